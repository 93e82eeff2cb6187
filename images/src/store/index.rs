//! The index of a finished pack: where each chunk is, sorted by hash, mapped into memory instead of read.
//!
//! `"HAUSIDX1" count[u32]` and, sorted, `hash[32] offset[u64] stored_len[u32]`.

#![allow(unsafe_code, reason = "mapping a file into memory")]

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::Mmap;

use super::pack::Place;
use super::{StoreError, failed, write_whole};
use crate::chunk::Hash;
use crate::le::{array, u32_at, u64_at};

/// An index that was found intact in its outline. A wrong entry leads to a record whose checksum does not fit.
#[derive(Debug)]
pub(super) struct Index {
    map: Mmap,
    count: usize,
}

impl Index {
    /// `None` if there is none, or none that can be used: it is then written anew from the pack.
    pub(super) fn open(path: &Path) -> Result<Option<Index>, StoreError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("open", path)(error)),
        };
        if file.metadata().map_err(failed("read", path))?.len() < HEADER_BYTES as u64 {
            return Ok(None);
        }
        // SAFETY: an index appears by rename when it is complete and no process of ours writes to it or shortens it
        // afterwards. Somebody with root rights who does both kills this process with SIGBUS, which loses nothing.
        let map = unsafe { Mmap::map(&file) }.map_err(failed("map", path))?;
        let Some(count) = u32_at(&map, 8).map(|c| c as usize) else { return Ok(None) };
        let right = array(&map, 0) == Some(*MAGIC) && map.len() == HEADER_BYTES + count * ENTRY_BYTES;
        Ok(right.then_some(Index { map, count }))
    }

    /// All entries in the order of the hashes.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Hash, Place)> {
        (0..self.count).filter_map(|n| self.entry(n))
    }

    /// Entry `n` in the order of the hashes.
    pub(super) fn entry(&self, n: usize) -> Option<(Hash, Place)> {
        decode_entry(self.raw(n)?)
    }

    /// Where the chunk is.
    pub(super) fn find(&self, hash: &Hash) -> Option<Place> {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            match self.raw(middle)?.get(..32)?.cmp(hash.as_bytes().as_slice()) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return self.entry(middle).map(|(_, place)| place),
            }
        }
        None
    }

    fn raw(&self, n: usize) -> Option<&[u8]> {
        let at = HEADER_BYTES + n * ENTRY_BYTES;
        self.map.get(at..at + ENTRY_BYTES)
    }
}

/// Writes an index, durable and all or nothing.
pub(super) fn write(path: &Path, entries: Vec<(Hash, Place)>) -> Result<(), StoreError> {
    let bytes = encode(entries);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name().and_then(|n| n.to_str())) else {
        return Err(failed("write", path)(io::ErrorKind::InvalidInput.into()));
    };
    write_whole(folder, name, &[&bytes])
}

/// The bytes of an index.
pub(crate) fn encode(mut entries: Vec<(Hash, Place)>) -> Vec<u8> {
    entries.sort_unstable_by_key(|(hash, _)| *hash);
    let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    for (hash, place) in &entries {
        bytes.extend_from_slice(hash.as_bytes());
        bytes.extend_from_slice(&place.offset.to_le_bytes());
        bytes.extend_from_slice(&place.stored_len.to_le_bytes());
    }
    bytes
}

/// The entries of an index, as they stand there. `None` if these bytes are no index.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<(Hash, Place)>> {
    let count = u32_at(bytes, 8)? as usize;
    let (entries, rest) = bytes.get(HEADER_BYTES..)?.as_chunks::<ENTRY_BYTES>();
    if array(bytes, 0)? != *MAGIC || entries.len() != count || !rest.is_empty() {
        return None;
    }
    entries.iter().map(|entry| decode_entry(entry)).collect()
}

fn decode_entry(entry: &[u8]) -> Option<(Hash, Place)> {
    Some((Hash(array(entry, 0)?), Place { offset: u64_at(entry, 32)?, stored_len: u32_at(entry, 40)? }))
}

const MAGIC: &[u8; 8] = b"HAUSIDX1";
const HEADER_BYTES: usize = 12;
const ENTRY_BYTES: usize = 44;
