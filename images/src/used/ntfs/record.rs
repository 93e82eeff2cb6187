//! One record of the master file table, its attributes and their run lists.

use super::super::{Part, UsedError};
use crate::le::{array, put, u8_at, u16_at, u32_at, u64_at};

/// A record whose sector ends were verified and restored.
pub(super) struct Record {
    bytes: Vec<u8>,
}

impl Record {
    pub(super) fn parse(raw: Vec<u8>) -> Option<Record> {
        if array(&raw, 0) != Some(*b"FILE") {
            return None;
        }
        fixed_up(raw).map(|bytes| Record { bytes })
    }

    pub(super) fn in_use(&self) -> bool {
        u16_at(&self.bytes, 0x16).is_some_and(|flags| flags & 1 != 0)
    }

    pub(super) fn sequence(&self) -> u16 {
        u16_at(&self.bytes, 0x10).unwrap_or(0)
    }

    /// The value of a resident attribute.
    pub(super) fn resident(&self, kind: u32, name: &[u8]) -> Option<&[u8]> {
        let attribute = self.attribute(kind, name, false)?;
        let len = u32_at(attribute, 16)? as usize;
        let at = usize::from(u16_at(attribute, 20)?);
        attribute.get(at..at.checked_add(len)?)
    }

    /// A non-resident attribute, if it begins in this record.
    pub(super) fn stream(&self, kind: u32, name: &[u8]) -> Option<Stream> {
        let attribute = self.attribute(kind, name, true)?;
        let flags = u16_at(attribute, 12)?;
        if u64_at(attribute, 16)? != 0 || flags & COMPRESSED_OR_ENCRYPTED != 0 {
            return None;
        }
        let at = usize::from(u16_at(attribute, 32)?);
        Some(Stream {
            runs: runs(attribute.get(at..)?)?,
            size: u64_at(attribute, 48)?,
            initialised: u64_at(attribute, 56)?,
        })
    }

    fn attribute(&self, kind: u32, name: &[u8], outside: bool) -> Option<&[u8]> {
        let mut at = usize::from(u16_at(&self.bytes, 0x14)?);
        loop {
            let found = u32_at(&self.bytes, at)?;
            let len = u32_at(&self.bytes, at + 4)? as usize;
            if found == ATTRIBUTES_END || len < 24 {
                return None;
            }
            let attribute = self.bytes.get(at..at.checked_add(len)?)?;
            let name_at = usize::from(u16_at(attribute, 10)?);
            let own_name = attribute.get(name_at..name_at + usize::from(u8_at(attribute, 9)?) * 2)?;
            if found == kind && own_name == name && (u8_at(attribute, 8)? != 0) == outside {
                return Some(attribute);
            }
            at += len;
        }
    }
}

/// The clusters of an attribute, in order.
pub(super) struct Stream {
    runs: Vec<Run>,
    /// Length in bytes as the attribute says; the runs may hold less.
    pub(super) size: u64,
    /// Bytes from here on were never written.
    pub(super) initialised: u64,
}

struct Run {
    /// First cluster on the volume; `None` for a hole.
    cluster: Option<u64>,
    count: u64,
}

impl Stream {
    /// `len` bytes from `offset`, or `None` where the runs end before or lead out of the partition.
    pub(super) fn read(
        &self,
        part: &Part<'_>,
        cluster: u64,
        offset: u64,
        len: usize,
    ) -> Result<Option<Vec<u8>>, UsedError> {
        let mut out = Vec::with_capacity(len.min(super::super::PIECE_MAX));
        let mut skip = offset;
        for run in &self.runs {
            let want = len - out.len();
            if want == 0 {
                break;
            }
            let run_bytes = run.count.saturating_mul(cluster);
            if skip >= run_bytes {
                skip -= run_bytes;
                continue;
            }
            let take = usize::try_from(run_bytes - skip).unwrap_or(usize::MAX).min(want);
            match run.cluster {
                None => out.resize(out.len() + take, 0),
                Some(first) => {
                    let Some(at) = first.checked_mul(cluster).and_then(|b| b.checked_add(skip)) else {
                        return Ok(None);
                    };
                    let Some(mut piece) = part.bytes(at, take)? else { return Ok(None) };
                    out.append(&mut piece);
                }
            }
            skip = 0;
        }
        Ok((out.len() == len).then_some(out))
    }
}

/// Decodes mapping pairs: a header byte with two lengths, a count, a signed distance from the run before.
fn runs(mut pairs: &[u8]) -> Option<Vec<Run>> {
    let mut runs = Vec::new();
    let mut cluster = 0i64;
    loop {
        let (header, rest) = pairs.split_first()?;
        if *header == 0 {
            return Some(runs);
        }
        let (count_len, distance_len) = (usize::from(header & 0xf), usize::from(header >> 4));
        if count_len == 0 || count_len > 8 || distance_len > 8 {
            return None;
        }
        let count = signed(rest.get(..count_len)?);
        let distance = rest.get(count_len..count_len + distance_len)?;
        pairs = rest.get(count_len + distance_len..)?;
        let count = u64::try_from(count).ok().filter(|c| *c > 0)?;
        let place = if distance.is_empty() {
            None
        } else {
            cluster = cluster.checked_add(signed(distance))?;
            Some(u64::try_from(cluster).ok()?)
        };
        runs.push(Run { cluster: place, count });
    }
}

/// A little-endian two's complement number of 1 to 8 bytes.
fn signed(bytes: &[u8]) -> i64 {
    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    for (to, from) in wide.iter_mut().zip(bytes) {
        *to = *from;
    }
    i64::from_le_bytes(wide)
}

/// Checks that every 512 bytes end with the update sequence number and puts the real bytes back.
///
/// A mismatch means that a write of the record was cut short.
pub(super) fn fixed_up(mut raw: Vec<u8>) -> Option<Vec<u8>> {
    let at = usize::from(u16_at(&raw, 4)?);
    let count = usize::from(u16_at(&raw, 6)?);
    if count == 0 || (count - 1) * 512 != raw.len() {
        return None;
    }
    let number: [u8; 2] = array(&raw, at)?;
    for sector in 1..count {
        let end = sector * 512 - 2;
        if array(&raw, end) != Some(number) {
            return None;
        }
        let real: [u8; 2] = array(&raw, at + sector * 2)?;
        put(&mut raw, end, &real)?;
    }
    Some(raw)
}

const ATTRIBUTES_END: u32 = 0xffff_ffff;
const COMPRESSED_OR_ENCRYPTED: u16 = 0x40ff;
