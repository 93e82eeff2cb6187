//! Disks, as the rest of this crate sees them: a length, a sector size, reads and writes at byte offsets.
//!
//! [`FileDev`] is a block device or a plain file, [`MemDev`] a disk in memory for tests.

#[cfg(unix)]
mod file;

use std::io;
use std::sync::RwLock;

#[cfg(unix)]
pub use file::FileDev;

/// What [`BlockDev::discard`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Discarded {
    /// The range reads as zeros from here on.
    Zeroed,
    /// Nothing is known about the content of the range.
    Unsupported,
}

/// A disk or a part of one. All offsets and lengths are bytes.
pub trait BlockDev: Send + Sync {
    /// Length in bytes.
    fn len_bytes(&self) -> u64;

    /// Logical sector size in bytes: 512, or 4096 for 4Kn disks.
    fn sector_bytes(&self) -> u32;

    /// Fills `buf` from `offset`.
    ///
    /// # Errors
    /// Whatever the device says; `UnexpectedEof` beyond its end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;

    /// Writes all of `data` at `offset`. Durable only after [`BlockDev::sync`].
    ///
    /// # Errors
    /// Whatever the device says; a write beyond the end is refused as a whole.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;

    /// Returns once everything written is on the medium.
    ///
    /// # Errors
    /// Whatever the device says; what was written since the last success is then in doubt.
    fn sync(&self) -> io::Result<()>;

    /// Tells the device that the range is not needed, if it can be told and answers with zeros afterwards.
    ///
    /// # Errors
    /// A device that does not support it is no error but [`Discarded::Unsupported`].
    fn discard(&self, _offset: u64, _len: u64) -> io::Result<Discarded> {
        Ok(Discarded::Unsupported)
    }

    /// Asks that writing out what was written to the range begins soon, without waiting for it.
    fn start_writeback(&self, _offset: u64, _len: u64) {}

    /// Lets go of what is held in memory, so that what is read afterwards is what the medium holds: the memory may hold
    /// what was lost in a failed [`BlockDev::sync`].
    fn forget_cached(&self) {}

    /// Makes the range read as zeros.
    ///
    /// # Errors
    /// Whatever the device says.
    fn write_zeros(&self, offset: u64, len: u64) -> io::Result<()> {
        if self.discard(offset, len)? == Discarded::Zeroed {
            return Ok(());
        }
        let zeros = vec![0; ZERO_PIECE.min(usize::try_from(len).unwrap_or(ZERO_PIECE))];
        let end = offset.checked_add(len).ok_or_else(beyond_the_end)?;
        let mut at = offset;
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(ZERO_PIECE).min(zeros.len());
            self.write_at(at, zeros.get(..piece).unwrap_or_default())?;
            at += piece as u64;
        }
        Ok(())
    }
}

/// A disk in memory. Clones of the content can be taken at any moment to see what a power cut would leave.
#[derive(Debug)]
pub struct MemDev {
    bytes: RwLock<Vec<u8>>,
    sector: u32,
    discards: bool,
}

impl MemDev {
    /// A disk with this content and 512-byte sectors.
    pub fn new(bytes: Vec<u8>) -> MemDev {
        MemDev { bytes: RwLock::new(bytes), sector: 512, discards: false }
    }

    /// The same disk with another sector size.
    #[must_use]
    pub fn with_sector_bytes(self, sector: u32) -> MemDev {
        MemDev { sector, ..self }
    }

    /// The same disk with a discard that zeroes.
    #[must_use]
    pub fn with_discard(self) -> MemDev {
        MemDev { discards: true, ..self }
    }

    /// A copy of the whole content.
    pub fn content(&self) -> Vec<u8> {
        self.bytes.read().map(|b| b.clone()).unwrap_or_default()
    }
}

impl BlockDev for MemDev {
    fn len_bytes(&self) -> u64 {
        self.bytes.read().map_or(0, |b| b.len() as u64)
    }

    fn sector_bytes(&self) -> u32 {
        self.sector
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let bytes = self.bytes.read().map_err(|_| poisoned())?;
        let from = usize::try_from(offset).map_err(|_| beyond_the_end())?;
        let to = from.checked_add(buf.len()).ok_or_else(beyond_the_end)?;
        buf.copy_from_slice(bytes.get(from..to).ok_or_else(beyond_the_end)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.write().map_err(|_| poisoned())?;
        let from = usize::try_from(offset).map_err(|_| beyond_the_end())?;
        let to = from.checked_add(data.len()).ok_or_else(beyond_the_end)?;
        bytes.get_mut(from..to).ok_or_else(beyond_the_end)?.copy_from_slice(data);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<Discarded> {
        if !self.discards {
            return Ok(Discarded::Unsupported);
        }
        within(self.len_bytes(), offset, len)?;
        let mut bytes = self.bytes.write().map_err(|_| poisoned())?;
        let from = usize::try_from(offset).map_err(|_| beyond_the_end())?;
        let len = usize::try_from(len).map_err(|_| beyond_the_end())?;
        bytes.get_mut(from..from.saturating_add(len)).ok_or_else(beyond_the_end)?.fill(0);
        Ok(Discarded::Zeroed)
    }
}

fn within(size: u64, offset: u64, len: u64) -> io::Result<()> {
    match offset.checked_add(len) {
        Some(end) if end <= size => Ok(()),
        _ => Err(beyond_the_end()),
    }
}

fn beyond_the_end() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "beyond the end of the disk")
}

fn poisoned() -> io::Error {
    io::Error::other("a thread died while it held the disk")
}

const ZERO_PIECE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(dev: &dyn BlockDev) {
        let len = dev.len_bytes();
        dev.write_at(len - 3, b"end").unwrap();
        dev.write_at(5000, &[9; 3000]).unwrap();
        dev.start_writeback(0, len);
        dev.sync().unwrap();
        dev.write_zeros(6000, 1000).unwrap();
        let mut all = vec![0; len as usize];
        dev.read_at(0, &mut all).unwrap();
        assert_eq!(&all[all.len() - 3..], b"end");
        assert!(all[5000..6000].iter().all(|b| *b == 9) && all[6000..7000].iter().all(|b| *b == 0));
        assert!(all[7000..8000].iter().all(|b| *b == 9));
        for (offset, bytes) in [(len - 2, 3), (len, 1), (u64::MAX, 2)] {
            assert!(dev.write_at(offset, &vec![1; bytes]).is_err(), "{offset}");
            assert!(dev.read_at(offset, &mut vec![1; bytes]).is_err(), "{offset}");
        }
        assert_eq!(dev.len_bytes(), len);
    }

    #[test]
    fn a_disk_in_memory_reads_back_what_was_written_and_has_an_end() {
        check(&MemDev::new(vec![0; 100_000]));
        check(&MemDev::new(vec![0; 100_000]).with_discard());
    }

    #[test]
    fn a_plain_file_reads_back_what_was_written_and_does_not_grow() {
        let dir = tempfile::tempdir().unwrap();
        check(&FileDev::create(&dir.path().join("disk"), 100_000, 512).unwrap());
        let dev = FileDev::open_read(&dir.path().join("disk")).unwrap();
        assert!(dev.write_at(0, b"x").is_err());
        assert!(FileDev::open_read(dir.path()).is_err());
    }
}
