//! Disks, as the rest of this crate sees them: a length, a sector size, reads and writes at byte offsets.
//!
//! [`FileDev`] is a block device or a plain file, [`MemDev`] a disk in memory for tests.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::RwLock;

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

/// A block device such as `/dev/nvme0n1` or `/dev/loop0`, or a plain file that holds a disk.
#[derive(Debug)]
pub struct FileDev {
    file: File,
    path: PathBuf,
    len: u64,
    sector: u32,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    /// `discard`: the queue supports it, so zeroing by punching is quick and not a slow pass of the heads.
    Block {
        discard: bool,
    },
}

impl FileDev {
    /// Opens for reading only: what [`crate::capture`] needs.
    ///
    /// # Errors
    /// The path cannot be opened or is neither a file nor a block device.
    pub fn open_read(path: &Path) -> io::Result<FileDev> {
        FileDev::from_file(OpenOptions::new().read(true).open(path)?, path)
    }

    /// Opens for reading and writing. A block device is claimed for us alone (`O_EXCL`): this fails with `EBUSY` while
    /// one of its partitions is mounted, and as long as this value lives none can be mounted.
    ///
    /// # Errors
    /// As [`FileDev::open_read`], and `EBUSY`.
    pub fn open_write(path: &Path) -> io::Result<FileDev> {
        let is_block = path.metadata()?.file_type().is_block_device();
        let flags = if is_block { libc::O_EXCL } else { 0 };
        FileDev::from_file(OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?, path)
    }

    /// Creates a plain file of `len` bytes, all zero, that behaves as a disk with `sector` byte sectors.
    ///
    /// # Errors
    /// The file exists or cannot be created.
    pub fn create(path: &Path, len: u64, sector: u32) -> io::Result<FileDev> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        file.set_len(len)?;
        Ok(FileDev::from_file(file, path)?.with_sector_bytes(sector))
    }

    /// Treats a plain file as a disk with another sector size than 512.
    #[must_use]
    pub fn with_sector_bytes(self, sector: u32) -> FileDev {
        FileDev { sector, ..self }
    }

    /// The path that was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn from_file(file: File, path: &Path) -> io::Result<FileDev> {
        let metadata = file.metadata()?;
        let path = path.to_path_buf();
        if metadata.file_type().is_block_device() {
            let queue = queue_folder(metadata.rdev());
            let sector = queue_number(&queue, "logical_block_size").unwrap_or(512);
            let discard = queue_number(&queue, "discard_max_bytes").unwrap_or(0) > 0;
            let len = io::Seek::seek(&mut &file, io::SeekFrom::End(0))?;
            let sector = u32::try_from(sector).unwrap_or(512);
            return Ok(FileDev { file, path, len, sector, kind: Kind::Block { discard } });
        }
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "neither a file nor a block device"));
        }
        Ok(FileDev { file, path, len: metadata.len(), sector: 512, kind: Kind::File })
    }
}

impl BlockDev for FileDev {
    fn len_bytes(&self) -> u64 {
        self.len
    }

    fn sector_bytes(&self) -> u32 {
        self.sector
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // A plain file would grow without a word where a disk refuses.
        within(self.len, offset, data.len() as u64)?;
        self.file.write_all_at(data, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn discard(&self, offset: u64, len: u64) -> io::Result<Discarded> {
        use nix::fcntl::{FallocateFlags, fallocate};
        within(self.len, offset, len)?;
        if self.kind == (Kind::Block { discard: false }) {
            return Ok(Discarded::Unsupported);
        }
        if len == 0 {
            return Ok(Discarded::Zeroed);
        }
        // Punching a hole guarantees zeros on files and on block devices alike, which BLKDISCARD does not.
        let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
        let (Ok(from), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else {
            return Err(beyond_the_end());
        };
        match fallocate(&self.file, flags, from, len) {
            Ok(()) => Ok(Discarded::Zeroed),
            Err(nix::Error::EOPNOTSUPP | nix::Error::ENOSYS | nix::Error::EINVAL) => {
                Ok(Discarded::Unsupported)
            }
            Err(other) => Err(other.into()),
        }
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        writeback::start(&self.file, offset, len);
    }

    fn forget_cached(&self) {
        use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
        // Advice only, but the kernel follows it for every page that is neither dirty nor in use.
        let _ = posix_fadvise(&self.file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
    }
}

mod writeback {
    #![allow(unsafe_code, reason = "sync_file_range has no safe wrapper")]
    use std::fs::File;
    use std::os::fd::AsRawFd;

    pub(super) fn start(file: &File, offset: u64, len: u64) {
        let (Ok(offset), Ok(len)) = (i64::try_from(offset), i64::try_from(len)) else { return };
        // SAFETY: the descriptor is open for as long as `file` is borrowed and the call touches no memory of ours. It is
        // a hint only: a failure shows in the `sync` that follows.
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    }
}

/// Partitions have no queue of their own; their disk has.
fn queue_folder(device: u64) -> PathBuf {
    let name = format!("/sys/dev/block/{}:{}", libc::major(device), libc::minor(device));
    let own = Path::new(&name).join("queue");
    if own.exists() { own } else { Path::new(&name).join("../queue") }
}

fn queue_number(folder: &Path, name: &str) -> Option<u64> {
    std::fs::read_to_string(folder.join(name)).ok()?.trim().parse().ok()
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
