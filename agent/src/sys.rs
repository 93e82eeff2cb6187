//! The few system calls that have no safe wrapper.

#![allow(unsafe_code, reason = "ioctl takes a pointer; every use says why it is right")]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, fstatfs};

/// Columns and rows of a terminal, if it is one that has a size.
pub fn terminal_size(terminal: &File) -> Option<(usize, usize)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes one `winsize`, which lives until the call has returned; the descriptor is open.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) };
    (result == 0 && size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

/// Gives an open file or folder of an NTFS its security descriptor. On file systems that keep none nothing is done.
///
/// # Errors
/// The driver refuses.
pub fn set_windows_rights(file: &File, descriptor: &[u8]) -> io::Result<()> {
    // Either driver takes the other's name as well, and does something else with it.
    let name = match fstatfs(file)?.filesystem_type() {
        FsType(NTFS3) => c"system.ntfs_security",
        FUSE_SUPER_MAGIC => c"system.ntfs_acl",
        _ => return Ok(()),
    };
    // SAFETY: fsetxattr reads a name that ends with zero and as many bytes as it is told; both live until it has returned.
    let result = unsafe {
        libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), descriptor.as_ptr().cast(), descriptor.len(), 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// A part of a file or block device as a block device of its own. Detached by the kernel when the last user is gone.
#[derive(Debug)]
pub struct LoopDevice {
    path: PathBuf,
    /// Held open: the kernel detaches a loop device that nobody has open.
    _device: File,
}

impl LoopDevice {
    /// Attaches `len` bytes of `backing` from `offset` on.
    ///
    /// # Errors
    /// No loop driver, no free device, or no access.
    pub fn attach(backing: &Path, offset: u64, len: u64, sector_bytes: u32) -> io::Result<LoopDevice> {
        let backing = OpenOptions::new().read(true).write(true).open(backing)?;
        let control = OpenOptions::new().read(true).write(true).open("/dev/loop-control")?;
        let mut config =
            LoopConfig { fd: backing.as_raw_fd() as u32, block_size: sector_bytes, ..LoopConfig::default() };
        config.info.offset = offset;
        config.info.size_limit = len;
        config.info.flags = LO_FLAGS_AUTOCLEAR;
        for _ in 0..LOOP_ATTEMPTS {
            // SAFETY: LOOP_CTL_GET_FREE takes no argument.
            let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) };
            if number < 0 {
                return Err(io::Error::last_os_error());
            }
            let path = PathBuf::from(format!("/dev/loop{number}"));
            let device = OpenOptions::new().read(true).write(true).open(&path)?;
            // SAFETY: LOOP_CONFIGURE reads one `loop_config` (linux/loop.h), which `LoopConfig` has the layout of; both
            // descriptors are open.
            let result = unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const config) };
            match result {
                0 => return Ok(LoopDevice { path, _device: device }),
                // Somebody else took the device between the two calls.
                _ if io::Error::last_os_error().raw_os_error() == Some(libc::EBUSY) => {}
                _ => return Err(io::Error::last_os_error()),
            }
        }
        Err(io::Error::from_raw_os_error(libc::EBUSY))
    }

    /// The device file.
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

/// `struct loop_config` of linux/loop.h.
#[repr(C)]
#[derive(Default)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// `struct loop_info64` of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    device: u64,
    inode: u64,
    rdevice: u64,
    offset: u64,
    size_limit: u64,
    number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    flags: u32,
    file_name: [u8; 64],
    crypt_name: [u8; 64],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl Default for LoopInfo {
    fn default() -> LoopInfo {
        LoopInfo {
            device: 0,
            inode: 0,
            rdevice: 0,
            offset: 0,
            size_limit: 0,
            number: 0,
            encrypt_type: 0,
            encrypt_key_size: 0,
            flags: 0,
            file_name: [0; 64],
            crypt_name: [0; 64],
            encrypt_key: [0; 32],
            init: [0; 2],
        }
    }
}

/// What statfs says of the kernel's driver: "ntfs" (fs/ntfs3/super.c).
const NTFS3: libc::__fsword_t = 0x7366_746e;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4C82;
const LOOP_CONFIGURE: libc::c_ulong = 0x4C0A;
const LO_FLAGS_AUTOCLEAR: u32 = 4;
const LOOP_ATTEMPTS: u32 = 16;
