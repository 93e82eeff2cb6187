//! The calls of Windows that have no safe wrapper, each behind a function that has none of their traps.

#![allow(unsafe_code, reason = "functions of Windows take pointers; every use says why it is right")]

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::Path;
use std::process::Child;
use std::ptr::{null, null_mut};

use windows_sys::Win32::Foundation::{ERROR_NO_MORE_ITEMS, ERROR_SUCCESS, HANDLE, LUID};
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, DACL_SECURITY_INFORMATION, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW,
    OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR,
    SE_PRIVILEGE_ENABLED, SE_SHUTDOWN_NAME, SetFileSecurityW, TOKEN_ADJUST_PRIVILEGES, TOKEN_PRIVILEGES,
    TOKEN_QUERY,
};
use windows_sys::Win32::Storage::FileSystem::{
    GetDiskFreeSpaceExW, GetFileVersionInfoSizeW, GetFileVersionInfoW, MOVEFILE_REPLACE_EXISTING,
    MOVEFILE_WRITE_THROUGH, MoveFileExW, VS_FIXEDFILEINFO, VerQueryValueW,
};
use windows_sys::Win32::System::ApplicationInstallationAndServicing::MsiEnumRelatedProductsW;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::IO::DeviceIoControl;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectBasicAccountingInformation, JobObjectExtendedLimitInformation, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Power::{GetSystemPowerStatus, SYSTEM_POWER_STATUS};
use windows_sys::Win32::System::RemoteDesktop::{
    WTS_CURRENT_SERVER_HANDLE, WTS_SESSION_INFOW, WTSEnumerateSessionsW, WTSFreeMemory,
    WTSQuerySessionInformationW, WTSUserName,
};
use windows_sys::Win32::System::Shutdown::{
    InitiateSystemShutdownExW, SHTDN_REASON_FLAG_PLANNED, SHTDN_REASON_MAJOR_APPLICATION,
    SHTDN_REASON_MINOR_INSTALLATION,
};
use windows_sys::Win32::System::SystemInformation::{
    ComputerNamePhysicalDnsHostname, GetComputerNameExW, GetSystemFirmwareTable, GetSystemTime,
    GetTickCount64, GlobalMemoryStatusEx, MEMORYSTATUSEX, RSMB,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, OpenProcessToken, OpenThread, ResumeThread, THREAD_SUSPEND_RESUME,
};

/// Text as Windows takes it.
fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

fn checked(result: i32) -> io::Result<()> {
    if result == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The length of a value as Windows takes it.
fn size_of<T>() -> u32 {
    u32::try_from(std::mem::size_of::<T>()).unwrap_or(0)
}

/// Processes that end together.
/// <https://learn.microsoft.com/en-us/windows/win32/procthread/job-objects>
pub(super) struct Job(OwnedHandle);

impl Job {
    /// An empty one. Its processes end with it, also when this program is killed.
    pub(super) fn new() -> io::Result<Job> {
        // SAFETY: without attributes and name nothing is read.
        let handle = unsafe { CreateJobObjectW(null(), null()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle was just made and belongs to nobody else.
        let job = Job(unsafe { OwnedHandle::from_raw_handle(handle) });
        job.limit(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)?;
        Ok(job)
    }

    /// Puts a process into it. Whatever it starts from then on is in it too.
    pub(super) fn add(&self, child: &Child) -> io::Result<()> {
        // SAFETY: both handles are open for as long as they are borrowed.
        checked(unsafe { AssignProcessToJobObject(self.handle(), child.as_raw_handle()) })
    }

    /// How many of its processes run.
    pub(super) fn running(&self) -> io::Result<u32> {
        let mut said = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        // SAFETY: the call writes one such structure, whose length it is told.
        checked(unsafe {
            QueryInformationJobObject(
                self.handle(),
                JobObjectBasicAccountingInformation,
                (&raw mut said).cast(),
                size_of::<JOBOBJECT_BASIC_ACCOUNTING_INFORMATION>(),
                null_mut(),
            )
        })?;
        Ok(said.ActiveProcesses)
    }

    /// Ends all its processes.
    pub(super) fn end(&self) -> io::Result<()> {
        // SAFETY: the handle is open.
        checked(unsafe { TerminateJobObject(self.handle(), 1) })
    }

    /// From now on its processes outlive it.
    pub(super) fn let_go(&self) -> io::Result<()> {
        self.limit(0)
    }

    fn limit(&self, flags: u32) -> io::Result<()> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = flags;
        // SAFETY: the call reads one such structure, whose length it is told.
        checked(unsafe {
            SetInformationJobObject(
                self.handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of::<JOBOBJECT_EXTENDED_LIMIT_INFORMATION>(),
            )
        })
    }

    fn handle(&self) -> HANDLE {
        self.0.as_raw_handle()
    }
}

/// Lets a process run that was started suspended: it has one thread.
pub(super) fn resume(child: &Child) -> io::Result<()> {
    // SAFETY: nothing is read; the handle that comes back belongs to nobody else.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if snapshot as isize == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as above.
    let _closes = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry = THREADENTRY32 { dwSize: size_of::<THREADENTRY32>(), ..THREADENTRY32::default() };
    let mut resumed = false;
    // SAFETY: both calls write one entry, whose length stands in it.
    let mut more = unsafe { Thread32First(snapshot, &raw mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == child.id() {
            // SAFETY: nothing is read but numbers; the handle is closed right below.
            let thread = unsafe { OpenThread(THREAD_SUSPEND_RESUME, 0, entry.th32ThreadID) };
            if thread.is_null() {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the handle was just made and belongs to nobody else.
            let thread = unsafe { OwnedHandle::from_raw_handle(thread) };
            // SAFETY: the handle is open.
            if unsafe { ResumeThread(thread.as_raw_handle()) } == u32::MAX {
                return Err(io::Error::last_os_error());
            }
            resumed = true;
        }
        // SAFETY: as for the first.
        more = unsafe { Thread32Next(snapshot, &raw mut entry) };
    }
    if resumed { Ok(()) } else { Err(io::Error::other("the process has no thread")) }
}

/// Whether somebody is signed in: at the console, over Remote Desktop, or with a session that waits for them (also behind another's).
/// <https://learn.microsoft.com/en-us/windows/win32/api/wtsapi32/nf-wtsapi32-wtsenumeratesessionsw>
pub(super) fn somebody_is_signed_in() -> io::Result<bool> {
    let (mut list, mut count) = (null_mut::<WTS_SESSION_INFOW>(), 0);
    // SAFETY: the call writes a pointer and a count.
    checked(unsafe {
        WTSEnumerateSessionsW(WTS_CURRENT_SERVER_HANDLE, 0, 1, &raw mut list, &raw mut count)
    })?;
    // SAFETY: so many entries lie there until they are given back below.
    let sessions = unsafe { std::slice::from_raw_parts(list, count as usize) };
    let found = sessions.iter().any(|session| has_user(session.SessionId));
    // SAFETY: it came from WTSEnumerateSessionsW, and nobody looks at it any more.
    unsafe { WTSFreeMemory(list.cast()) };
    Ok(found)
}

/// The session of services and those that wait for somebody have no user name.
fn has_user(session: u32) -> bool {
    let (mut name, mut bytes) = (null_mut::<u16>(), 0);
    // SAFETY: the call writes a pointer and a length.
    let result = unsafe {
        WTSQuerySessionInformationW(
            WTS_CURRENT_SERVER_HANDLE,
            session,
            WTSUserName,
            &raw mut name,
            &raw mut bytes,
        )
    };
    if result == 0 || name.is_null() {
        return false;
    }
    // SAFETY: the text ends with a zero, so that there is at least one unit.
    let found = unsafe { *name } != 0;
    // SAFETY: it came from WTSQuerySessionInformationW, and nobody looks at it any more.
    unsafe { WTSFreeMemory(name.cast()) };
    found
}

/// Whether the PC says that it is not plugged in.
pub(super) fn is_on_battery() -> bool {
    let mut status = SYSTEM_POWER_STATUS::default();
    // SAFETY: the call writes one such structure.
    let known = unsafe { GetSystemPowerStatus(&raw mut status) };
    known != 0 && status.ACLineStatus == 0
}

/// Milliseconds since the system started.
pub(super) fn uptime_millis() -> u64 {
    // SAFETY: nothing is passed.
    unsafe { GetTickCount64() }
}

/// The time of day, UTC, as in RFC 3339.
pub(super) fn time_of_day() -> String {
    let mut time = Default::default();
    // SAFETY: the call writes one SYSTEMTIME.
    unsafe { GetSystemTime(&raw mut time) };
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.wYear, time.wMonth, time.wDay, time.wHour, time.wMinute, time.wSecond
    )
}

/// The name in the network; NetBIOS would have it in capitals.
pub(super) fn host_name() -> String {
    let mut name = [0u16; 256];
    let mut length = 256;
    // SAFETY: the call writes at most so many units as it is told.
    let known =
        unsafe { GetComputerNameExW(ComputerNamePhysicalDnsHostname, name.as_mut_ptr(), &raw mut length) };
    let units = if known == 0 { 0 } else { length as usize };
    String::from_utf16_lossy(name.get(..units).unwrap_or_default())
}

/// Memory in bytes.
pub(super) fn memory_bytes() -> u64 {
    let mut status = MEMORYSTATUSEX { dwLength: size_of::<MEMORYSTATUSEX>(), ..MEMORYSTATUSEX::default() };
    // SAFETY: the call writes one such structure, whose length stands in it.
    let known = unsafe { GlobalMemoryStatusEx(&raw mut status) };
    if known == 0 { 0 } else { status.ullTotalPhys }
}

/// SMBIOS, with eight bytes of Windows in front.
pub(super) fn firmware_table() -> Vec<u8> {
    // SAFETY: without a buffer the call answers with the length.
    let length = unsafe { GetSystemFirmwareTable(RSMB, 0, null_mut(), 0) };
    let mut table = vec![0u8; length.min(FIRMWARE_BYTES_MAX) as usize];
    // SAFETY: the call writes at most so many bytes as it is told.
    let written =
        unsafe { GetSystemFirmwareTable(RSMB, 0, table.as_mut_ptr().cast(), length.min(FIRMWARE_BYTES_MAX)) };
    table.truncate(written as usize);
    table
}

/// What the caller may still write to the volume of a folder, in bytes.
pub(super) fn free_bytes(folder: &Path) -> io::Result<u64> {
    let (path, mut free) = (wide(folder), 0);
    // SAFETY: the path ends with a zero and lives until the call has returned, which writes one number.
    checked(unsafe { GetDiskFreeSpaceExW(path.as_ptr(), &raw mut free, null_mut(), null_mut()) })?;
    Ok(free)
}

/// Gives a file its name, in place of one that was called so; on the disk when it returns.
pub(super) fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    let (from, to) = (wide(from), wide(to));
    // SAFETY: both paths end with a zero and live until the call has returned.
    checked(unsafe {
        MoveFileExW(from.as_ptr(), to.as_ptr(), MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)
    })
}

/// Leaves a folder, and what is made in it, to the system and administrators alone.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    let (path, text) = (wide(folder), wide(PRIVATE));
    let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
    // SAFETY: the text ends with a zero; the call writes a pointer.
    checked(unsafe {
        ConvertStringSecurityDescriptorToSecurityDescriptorW(
            text.as_ptr(),
            SDDL_REVISION_1,
            &raw mut descriptor,
            null_mut(),
        )
    })?;
    let what = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION | PROTECTED_DACL_SECURITY_INFORMATION;
    // SAFETY: the path ends with a zero and the descriptor is whole; both live until the call has returned.
    let result = checked(unsafe { SetFileSecurityW(path.as_ptr(), what, descriptor) });
    // SAFETY: it came from the call above, which asks for this, and nobody looks at it any more.
    unsafe { windows_sys::Win32::Foundation::LocalFree(descriptor) };
    result
}

/// Restarts the PC, or switches it off for good: not into the hibernation of a fast startup, which leaves the disk unfinished. Nobody is
/// asked, and nothing is closed by force.
pub(super) fn leave(restart: bool) -> io::Result<()> {
    may_shut_down()?;
    let reason = SHTDN_REASON_MAJOR_APPLICATION | SHTDN_REASON_MINOR_INSTALLATION | SHTDN_REASON_FLAG_PLANNED;
    // SAFETY: no text is passed.
    checked(unsafe { InitiateSystemShutdownExW(null(), null(), 0, 0, i32::from(restart), reason) })
}

/// The system has this right, but switched off.
fn may_shut_down() -> io::Result<()> {
    let (mut token, mut luid) = (null_mut(), LUID::default());
    // SAFETY: the call writes a handle; that of the process itself needs no closing.
    checked(unsafe {
        OpenProcessToken(GetCurrentProcess(), TOKEN_ADJUST_PRIVILEGES | TOKEN_QUERY, &raw mut token)
    })?;
    // SAFETY: the handle was just made and belongs to nobody else.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // SAFETY: the name is a constant of Windows; the call writes one LUID.
    checked(unsafe { LookupPrivilegeValueW(null(), SE_SHUTDOWN_NAME, &raw mut luid) })?;
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES { Luid: luid, Attributes: SE_PRIVILEGE_ENABLED }],
    };
    // SAFETY: the call reads one such structure; nothing is to be written.
    checked(unsafe {
        AdjustTokenPrivileges(token.as_raw_handle(), 0, &raw const wanted, 0, null_mut(), null_mut())
    })
}

/// The four numbers of the version that a program's file carries.
/// <https://learn.microsoft.com/en-us/windows/win32/api/verrsrc/ns-verrsrc-vs_fixedfileinfo>
pub(super) fn file_version(file: &Path) -> Option<[u16; 4]> {
    let path = wide(file);
    let mut ignored = 0;
    // SAFETY: the path ends with a zero; the call writes one number.
    let length = unsafe { GetFileVersionInfoSizeW(path.as_ptr(), &raw mut ignored) };
    if length == 0 || length > VERSION_BYTES_MAX {
        return None;
    }
    // Of numbers of 64 bits, so that what lies in it is aligned.
    let mut block = vec![0u64; (length as usize).div_ceil(8)];
    // SAFETY: the call writes at most so many bytes as it is told.
    if unsafe { GetFileVersionInfoW(path.as_ptr(), 0, length, block.as_mut_ptr().cast()) } == 0 {
        return None;
    }
    let (root, mut found, mut found_bytes) = (wide("\\"), null_mut(), 0);
    // SAFETY: the block is what the call above wrote; a pointer into it and a length are written.
    let known =
        unsafe { VerQueryValueW(block.as_ptr().cast(), root.as_ptr(), &raw mut found, &raw mut found_bytes) };
    if known == 0 || found.is_null() || found_bytes < size_of::<VS_FIXEDFILEINFO>() {
        return None;
    }
    // SAFETY: so many bytes lie there as long as the block lives.
    let info = unsafe { found.cast::<VS_FIXEDFILEINFO>().read_unaligned() };
    let half = |number: u32| [(number >> 16) as u16, (number & 0xffff) as u16];
    let ([a, b], [c, d]) = (half(info.dwFileVersionMS), half(info.dwFileVersionLS));
    (info.dwSignature == 0xfeef_04bd).then_some([a, b, c, d])
}

/// The product codes that Windows Installer has for an upgrade code.
pub(super) fn related_products(upgrade: &str) -> io::Result<Vec<String>> {
    let upgrade = wide(upgrade);
    let mut found = Vec::new();
    for index in 0..RELATED_MAX {
        let mut product = [0u16; 39];
        // SAFETY: the text ends with a zero; 39 units are written, as documented.
        let result = unsafe { MsiEnumRelatedProductsW(upgrade.as_ptr(), 0, index, product.as_mut_ptr()) };
        match result {
            ERROR_SUCCESS => found.push(String::from_utf16_lossy(product.get(..38).unwrap_or_default())),
            ERROR_NO_MORE_ITEMS => return Ok(found),
            other => return Err(io::Error::from_raw_os_error(other.cast_signed())),
        }
    }
    Ok(found)
}

/// Asks a device something and returns the bytes of its answer.
pub(super) fn ask_device(
    device: &File,
    code: u32,
    question: &[u8],
    answer_max: usize,
) -> io::Result<Vec<u8>> {
    let mut answer = vec![0u8; answer_max];
    let mut length = 0;
    // SAFETY: as many bytes are read and at most as many written as the call is told; the handle is open.
    checked(unsafe {
        DeviceIoControl(
            device.as_raw_handle(),
            code,
            question.as_ptr().cast(),
            u32::try_from(question.len()).unwrap_or(0),
            answer.as_mut_ptr().cast(),
            u32::try_from(answer_max).unwrap_or(0),
            &raw mut length,
            null_mut(),
        )
    })?;
    answer.truncate(length as usize);
    Ok(answer)
}

/// Owner administrators; the system and administrators may do everything, nobody else anything, and nothing is taken over from above.
const PRIVATE: &str = "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";
const FIRMWARE_BYTES_MAX: u32 = 1 << 20;
const VERSION_BYTES_MAX: u32 = 4 << 20;
const RELATED_MAX: u32 = 1000;
