//! Disks as Windows shows them to administrators, `\\.\PhysicalDriveN`: read only, for the device key in the reserved place.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Mutex;

use images::blockdev::BlockDev;
use images::protocol::Disk;
use windows_sys::Win32::System::Ioctl::{
    IOCTL_DISK_GET_DRIVE_GEOMETRY, IOCTL_DISK_GET_LENGTH_INFO, IOCTL_STORAGE_QUERY_PROPERTY,
};

use super::raw::ask_device;

/// A disk that is only read.
pub(super) struct PhysicalDrive {
    file: Mutex<File>,
    len: u64,
    sector: u32,
    /// What is known about it.
    pub(super) about: Disk,
}

impl PhysicalDrive {
    /// The disks that are there, at most [`DISKS_MAX`].
    pub(super) fn all() -> Vec<PhysicalDrive> {
        (0..DISKS_MAX).filter_map(|number| PhysicalDrive::open(number).ok()).collect()
    }

    fn open(number: u32) -> io::Result<PhysicalDrive> {
        let file = OpenOptions::new().read(true).open(format!(r"\\.\PhysicalDrive{number}"))?;
        let mut about = Disk { name: format!("PhysicalDrive{number}"), ..Disk::default() };
        // A file that stands for a disk answers neither.
        about.bytes = match ask_device(&file, IOCTL_DISK_GET_LENGTH_INFO, &[], 8) {
            Ok(answer) => u64::from_le_bytes(answer.try_into().unwrap_or_default()),
            Err(error) => file.metadata().map(|about| about.len()).map_err(|_| error)?,
        };
        // DISK_GEOMETRY: cylinders (8 bytes), type, tracks, sectors, bytes of a sector.
        about.sector_bytes = ask_device(&file, IOCTL_DISK_GET_DRIVE_GEOMETRY, &[], 24)
            .ok()
            .and_then(|answer| number_at(&answer, 20))
            .filter(|bytes| bytes.is_power_of_two() && (512..=65_536).contains(bytes))
            .unwrap_or(512);
        // STORAGE_PROPERTY_QUERY: StorageDeviceProperty, PropertyStandardQuery.
        if let Ok(said) = ask_device(&file, IOCTL_STORAGE_QUERY_PROPERTY, &[0; 12], 1024) {
            describe(&said, &mut about);
        }
        Ok(PhysicalDrive { len: about.bytes, sector: about.sector_bytes, file: Mutex::new(file), about })
    }
}

/// STORAGE_DEVICE_DESCRIPTOR: texts lie behind it, where its numbers say.
/// <https://learn.microsoft.com/en-us/windows/win32/api/winioctl/ns-winioctl-storage_device_descriptor>
fn describe(said: &[u8], about: &mut Disk) {
    let text = |at: usize| {
        let from = number_at(said, at).filter(|from| *from > 0).and_then(|from| usize::try_from(from).ok());
        let bytes = from.and_then(|from| said.get(from..)).unwrap_or_default();
        let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        let text: String = String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect();
        text.trim().chars().take(TEXT_MAX).collect::<String>()
    };
    about.model = format!("{} {}", text(12), text(16)).trim().to_owned();
    about.serial = text(24);
    about.removable = said.get(10).is_some_and(|removable| *removable != 0)
        || number_at(said, 28).is_some_and(|bus| OUTSIDE.contains(&bus));
}

fn number_at(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

impl BlockDev for PhysicalDrive {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn sector_bytes(&self) -> u32 {
        self.sector
    }

    /// Windows reads whole sectors of disks only.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let sector = u64::from(self.sector);
        let from = offset - offset % sector;
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?.next_multiple_of(sector);
        let mut whole = vec![0; usize::try_from(end - from).map_err(io::Error::other)?];
        let mut file = self.file.lock().map_err(|_| io::Error::other("an earlier read has failed"))?;
        file.seek(SeekFrom::Start(from))?;
        file.read_exact(&mut whole)?;
        let skipped = usize::try_from(offset - from).map_err(io::Error::other)?;
        let wanted = whole.get(skipped..skipped + buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(wanted);
        Ok(())
    }

    fn write_at(&self, _offset: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

const DISKS_MAX: u32 = 32;
const TEXT_MAX: usize = 128;
/// `STORAGE_BUS_TYPE`: FireWire, USB, memory cards.
const OUTSIDE: [u32; 4] = [4, 7, 12, 13];
