//! Which bytes of a partition a file system uses.
//!
//! [`detect_and_map`] recognises ext2/3/4, FAT12/16/32, NTFS and Linux swap and reads their own allocation records. What
//! it does not know, or knows but cannot trust, is taken whole: naming too much is slow, naming too little loses data.
//! A file system that is in use by a sleeping Windows, encrypted or damaged is refused with the remedy.
//!
//! On-disk data is hostile: every number is checked against the length of the partition, every read is bounded, and
//! memory is bounded by [`Ranges`].

mod crc32c;
mod ext;
mod fat;
mod ntfs;
mod ranges;
mod swap;

use std::io;
use std::ops::Range;

use serde::{Deserialize, Serialize};

pub use ranges::Ranges;

use crate::blockdev::BlockDev;
use crate::le::array;

/// What kind of file system fills a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FsKind {
    /// ext2, ext3 or ext4.
    Ext,
    /// FAT12, FAT16 or FAT32.
    Fat,
    /// NTFS.
    Ntfs,
    /// Linux swap space; only its header is kept.
    Swap,
    /// Anything else, copied as it is.
    Raw,
}

impl FsKind {
    /// Whether its last partition can be made larger and the file system with it.
    pub fn can_grow(self) -> bool {
        matches!(self, FsKind::Ext | FsKind::Ntfs)
    }
}

/// What was found in a partition. Ranges are bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Used {
    /// Which file system.
    pub kind: FsKind,
    /// Allocation unit in bytes, 0 for [`FsKind::Raw`].
    pub block_bytes: u32,
    /// UUID or volume serial number, as `blkid` prints it.
    pub uuid: Option<String>,
    /// Length of the file system in bytes: a partition cut down to this still holds all of it.
    pub fs_bytes: u64,
    /// The bytes that matter.
    pub ranges: Ranges,
    /// Why everything is taken although the file system is known.
    pub whole_because: Option<&'static str>,
}

impl Used {
    /// Everything of a partition of `len` bytes.
    fn raw(len: u64) -> Used {
        Used {
            kind: FsKind::Raw,
            block_bytes: 0,
            uuid: None,
            fs_bytes: len,
            ranges: Ranges::whole(len),
            whole_because: None,
        }
    }
}

/// Why a partition cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum UsedError {
    /// The file system is in a state in which a copy would be worthless.
    #[error("{reason}: {remedy}")]
    Refused {
        /// What is the matter.
        reason: &'static str,
        /// What the admin can do.
        remedy: &'static str,
    },
    /// The partition lies outside the disk.
    #[error("the partition ends beyond the disk")]
    BeyondTheDisk,
    /// The disk cannot be read.
    #[error("the disk cannot be read")]
    Read(#[from] io::Error),
}

/// Finds the file system in the byte range `partition` of `dev` and the bytes that it uses.
///
/// # Errors
/// See [`UsedError`].
pub fn detect_and_map(dev: &dyn BlockDev, partition: Range<u64>) -> Result<Used, UsedError> {
    if partition.end > dev.len_bytes() || partition.start > partition.end {
        return Err(UsedError::BeyondTheDisk);
    }
    let part = Part { dev, start: partition.start, len: partition.end - partition.start };
    let mut head = vec![0; HEAD_BYTES.min(usize::try_from(part.len).unwrap_or(HEAD_BYTES))];
    part.read(0, &mut head)?;
    if array(&head, 3) == Some(*b"-FVE-FS-") {
        return Err(UsedError::Refused {
            reason: "the partition is encrypted with BitLocker",
            remedy: "switch BitLocker off in Windows (manage-bde -off C:), wait until it has decrypted everything, capture again",
        });
    }
    if let Some(found) = ntfs::map(&part, &head)? {
        return Ok(found);
    }
    if let Some(found) = swap::map(&part, &head)? {
        return Ok(found);
    }
    if let Some(found) = ext::map(&part, &head)? {
        return Ok(found);
    }
    if let Some(found) = fat::map(&part, &head)? {
        return Ok(found);
    }
    Ok(Used::raw(part.len))
}

/// One partition of a disk; offsets count from its start.
struct Part<'d> {
    dev: &'d dyn BlockDev,
    start: u64,
    len: u64,
}

impl Part<'_> {
    /// Fills `buf` from `offset`.
    fn read(&self, offset: u64, buf: &mut [u8]) -> Result<(), UsedError> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        let at = self.start.checked_add(offset);
        match (end, at) {
            (Some(_), Some(at)) => Ok(self.dev.read_at(at, buf)?),
            _ => Err(UsedError::Read(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// `len` bytes from `offset`, or `None` if the partition ends before: a number on the disk is wrong.
    fn bytes(&self, offset: u64, len: usize) -> Result<Option<Vec<u8>>, UsedError> {
        match offset.checked_add(len as u64) {
            Some(end) if end <= self.len && len <= PIECE_MAX => {
                let mut buf = vec![0; len];
                self.read(offset, &mut buf)?;
                Ok(Some(buf))
            }
            _ => Ok(None),
        }
    }
}

/// Turns allocation bits, least significant first, into used ranges.
///
/// `first` is the number of the unit that the first bit stands for, `count` how many bits count, `unit` the bytes of one.
/// `base` is added to every offset.
fn push_bits(ranges: &mut Ranges, bits: &[u8], first: u64, count: u64, unit: u64, base: u64) {
    let mut run: Option<u64> = None;
    let at = |n: u64| first.saturating_add(n).saturating_mul(unit).saturating_add(base);
    let mut n = 0;
    for byte in bits {
        if n >= count {
            break;
        }
        let whole = count - n >= 8;
        match (*byte, run) {
            (0xff, Some(_)) | (0, None) if whole => {}
            (0xff, None) if whole => run = Some(n),
            (0, Some(from)) if whole => {
                ranges.push(at(from)..at(n));
                run = None;
            }
            _ => {
                for bit in 0..(count - n).min(8) {
                    match (byte >> bit & 1, run) {
                        (1, None) => run = Some(n + bit),
                        (0, Some(from)) => {
                            ranges.push(at(from)..at(n + bit));
                            run = None;
                        }
                        _ => {}
                    }
                }
            }
        }
        n += 8;
    }
    if let Some(from) = run {
        ranges.push(at(from)..at(count.min(n)));
    }
}

/// Formats 16 bytes as a UUID, big-endian as ext and swap keep it.
fn uuid_text(bytes: Option<[u8; 16]>) -> Option<String> {
    bytes.filter(|b| *b != [0; 16]).map(|b| uuid::Uuid::from_bytes(b).to_string())
}

/// Large enough for every superblock, and for the header of swap space made on a machine with 64 KiB pages.
const HEAD_BYTES: usize = 64 * 1024;
/// No reader asks for more at once, so that no number on a disk makes us allocate much.
const PIECE_MAX: usize = 4 << 20;

#[cfg(test)]
mod tests;
