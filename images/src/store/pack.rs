//! One pack file: chunk records, one after the other.
//!
//! A record is `hash[32] stored_len[u32] checksum[16] stored`, where `stored` begins with the codec byte and the checksum
//! is BLAKE3 over all the rest of the record, cut to 16 bytes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};

use super::index::{self, Index};
use super::{StoreError, failed};
use crate::chunk::{Hash, STORED_BYTES_MAX, Stored};
use crate::le::{array, u32_at};

/// Where a record is in its pack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// First byte of the record.
    pub(crate) offset: u64,
    /// Length of the stored bytes.
    pub(crate) stored_len: u32,
}

impl Place {
    /// Length of the whole record.
    pub(crate) fn record_bytes(self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.stored_len)
    }
}

/// A finished pack.
#[derive(Debug)]
pub(super) struct Pack {
    number: u32,
    path: PathBuf,
    file: Arc<File>,
    index: Index,
    /// Which files these are. They are open, so that no other file can have the same numbers.
    inodes: [u64; 2],
}

impl Pack {
    /// `None` while it has no index, because somebody is still writing it, and when it was dropped.
    pub(super) fn open(number: u32, path: &Path) -> Result<Option<Pack>, StoreError> {
        // Before the files are opened: if one is replaced in between, the next look finds out.
        let Some(inodes) = inodes(path) else { return Ok(None) };
        let Some(index) = Index::open(&index_path(path))? else { return Ok(None) };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", path)(error)),
        };
        Ok(Some(Pack { number, path: path.to_path_buf(), file: Arc::new(file), index, inodes }))
    }

    /// Whether the files in the folder are still these.
    pub(super) fn is_current(&self) -> bool {
        inodes(&self.path) == Some(self.inodes)
    }

    /// Length of the pack's file.
    pub(super) fn len_bytes(&self) -> Result<u64, StoreError> {
        Ok(self.file.metadata().map_err(failed("read", &self.path))?.len())
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn record(&self, place: Place) -> Record {
        Record { file: Arc::clone(&self.file), path: self.path.clone(), place }
    }
}

/// One record, to be read without holding any lock.
pub(super) struct Record {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    pub(super) place: Place,
}

impl Record {
    /// # Errors
    /// [`StoreError::Damaged`] unless it is the record of `hash` with a right checksum.
    pub(super) fn read(&self, hash: &Hash) -> Result<Stored, StoreError> {
        let damaged =
            || StoreError::Damaged { hash: *hash, pack: self.path.clone(), offset: self.place.offset };
        let len = self.place.stored_len as usize;
        if len > STORED_BYTES_MAX {
            return Err(damaged());
        }
        let mut raw = vec![0; HEADER_BYTES + len];
        match self.file.read_exact_at(&mut raw, self.place.offset) {
            Ok(()) => {}
            // An unreadable sector is a damaged chunk, not a broken store.
            Err(error)
                if error.kind() == std::io::ErrorKind::UnexpectedEof
                    || error.raw_os_error() == Some(libc::EIO) =>
            {
                return Err(damaged());
            }
            Err(error) => return Err(failed("read", &self.path)(error)),
        }
        match parse(&raw) {
            Some((found, stored)) if found == *hash && stored.stored_len() == len => Ok(stored),
            _ => Err(damaged()),
        }
    }
}

/// The bytes of a record.
pub(crate) fn encode(hash: &Hash, stored: &Stored) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + stored.stored_len());
    record.extend_from_slice(hash.as_bytes());
    record.extend_from_slice(&(stored.stored_len() as u32).to_le_bytes());
    record.extend_from_slice(&checksum(hash, stored.as_bytes()));
    record.extend_from_slice(stored.as_bytes());
    record
}

/// The record at the start of `raw`, if it is whole and its checksum is right.
pub(crate) fn parse(raw: &[u8]) -> Option<(Hash, Stored)> {
    let hash = Hash(array(raw, 0)?);
    let len = u32_at(raw, 32)? as usize;
    if len > STORED_BYTES_MAX {
        return None;
    }
    let stored = raw.get(HEADER_BYTES..HEADER_BYTES + len)?;
    if array(raw, 36)? != checksum(&hash, stored) {
        return None;
    }
    Some((hash, Stored::from_bytes(stored.to_vec()).ok()?))
}

fn checksum(hash: &Hash, stored: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(hash.as_bytes());
    hasher.update(&(stored.len() as u32).to_le_bytes());
    hasher.update(stored);
    array(hasher.finalize().as_bytes(), 0).unwrap_or_default()
}

/// Finishes a pack that a dead process left: cuts a half record off its end, makes the rest durable, writes the index.
///
/// A pack with an index is left alone, and so is one that a living process writes.
pub(super) fn recover(number: u32, path: &Path) -> Result<(), StoreError> {
    let index_path = index_path(path);
    if Index::open(&index_path)?.is_some() {
        return Ok(());
    }
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed("open", path))?;
    let Ok(file) = Flock::lock(file, FlockArg::LockExclusiveNonblock) else { return Ok(()) };
    let (entries, end) = scan(&file, path)?;
    if entries.is_empty() {
        return std::fs::remove_file(path).map_err(failed("remove", path));
    }
    let len = file.metadata().map_err(failed("read", path))?.len();
    if len != end {
        tracing::warn!(pack = number, bytes = len - end, "cut half-written chunks off the end of a pack");
        file.set_len(end).map_err(failed("shorten", path))?;
    }
    file.sync_all().map_err(failed("sync", path))?;
    index::write(&index_path, entries)
}

/// All whole records from the start of the file, and where the last one ends.
///
/// A damaged record in the middle is passed over if another one follows where it should end: bits rot, also in a pack
/// whose index was lost.
fn scan(file: &File, path: &Path) -> Result<(Vec<(Hash, Place)>, u64), StoreError> {
    let mut entries = Vec::new();
    let mut offset = 0;
    let mut skipped = false;
    let len = file.metadata().map_err(failed("read", path))?.len();
    let mut raw = vec![0; HEADER_BYTES + STORED_BYTES_MAX];
    while offset < len {
        let there = usize::try_from(len - offset).unwrap_or(usize::MAX).min(raw.len());
        let Some(piece) = raw.get_mut(..there) else { break };
        file.read_exact_at(piece, offset).map_err(failed("read", path))?;
        let claimed = u32_at(piece, 32).unwrap_or(u32::MAX);
        match parse(piece) {
            Some((hash, _)) => {
                entries.push((hash, Place { offset, stored_len: claimed }));
                skipped = false;
            }
            None if skipped || claimed as usize > STORED_BYTES_MAX => break,
            None => skipped = true,
        }
        offset += Place { offset, stored_len: claimed }.record_bytes();
    }
    let end = entries.last().map_or(0, |(_, p)| p.offset + p.record_bytes());
    Ok((entries, end))
}

/// Of the pack and its index, if both are there.
fn inodes(path: &Path) -> Option<[u64; 2]> {
    let inode = |path: &Path| path.metadata().ok().map(|m| m.ino());
    Some([inode(path)?, inode(&index_path(path))?])
}

pub(super) fn index_path(pack: &Path) -> PathBuf {
    pack.with_extension("index")
}

pub(super) const HEADER_BYTES: usize = 52;
