//! A block device of Linux or a plain file as a disk.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::{BlockDev, Discarded, beyond_the_end, within};

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
