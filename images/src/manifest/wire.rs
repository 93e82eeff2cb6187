//! The bytes of a manifest.

use super::{ChunkTable, Header, MANIFEST_BYTES_MAX, Manifest, ManifestError, RUN_MAX, Run};
use crate::chunk::Hash;

pub(super) const UNSIGNED: u8 = 0;
pub(super) const SIGNED: u8 = 1;

/// Everything that the signature covers.
pub(super) fn signed_part(header: &Header, tables: &[ChunkTable]) -> Vec<u8> {
    // A struct of strings and numbers cannot fail to serialise.
    let json = serde_json::to_vec(header).unwrap_or_default();
    let hashes: usize = tables.iter().map(|t| 4 + t.runs.len() * 8 + t.hashes.len() * 32).sum();
    let mut out = Vec::with_capacity(MAGIC.len() + 4 + json.len() + hashes + 65);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&(json.len() as u32).to_le_bytes());
    out.extend_from_slice(&json);
    for table in tables {
        out.extend_from_slice(&(table.runs.len() as u32).to_le_bytes());
        for run in &table.runs {
            out.extend_from_slice(&run.first.to_le_bytes());
            let zero = if run.zero { ZERO_BIT } else { 0 };
            out.extend_from_slice(&(run.count | zero).to_le_bytes());
        }
        for hash in &table.hashes {
            out.extend_from_slice(hash.as_bytes());
        }
    }
    out
}

pub(super) fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
    if bytes.len() > MANIFEST_BYTES_MAX {
        return Err(ManifestError::TooLarge(bytes.len()));
    }
    let mut rest = Reader { rest: bytes };
    if rest.take(MAGIC.len()).map_err(|_| ManifestError::Magic)? != MAGIC {
        return Err(ManifestError::Magic);
    }
    let json_len = rest.u32()? as usize;
    if json_len > HEADER_BYTES_MAX {
        return Err(ManifestError::TooLarge(json_len));
    }
    let json = rest.take(json_len)?;
    let header: Header = serde_json::from_slice(json).map_err(ManifestError::Header)?;
    if serde_json::to_vec(&header).map_err(ManifestError::Header)? != json {
        return Err(ManifestError::NotCanonical);
    }
    let tables = header.partitions.iter().map(|_| rest.table()).collect::<Result<Vec<_>, _>>()?;
    let signature = match rest.take(1)? {
        [UNSIGNED] => None,
        [SIGNED] => Some(rest.array()?),
        _ => return Err(ManifestError::Length),
    };
    if !rest.rest.is_empty() {
        return Err(ManifestError::Length);
    }
    Ok(Manifest { signature, ..Manifest::new(header, tables)? })
}

struct Reader<'b> {
    rest: &'b [u8],
}

impl<'b> Reader<'b> {
    fn take(&mut self, len: usize) -> Result<&'b [u8], ManifestError> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(ManifestError::Length)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ManifestError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(ManifestError::Length)?;
        self.rest = rest;
        Ok(*taken)
    }

    fn u32(&mut self) -> Result<u32, ManifestError> {
        self.array().map(u32::from_le_bytes)
    }

    /// Nothing is allocated beyond the bytes that are really there.
    fn table(&mut self) -> Result<ChunkTable, ManifestError> {
        let count = self.u32()? as usize;
        let raw = self.take(count.checked_mul(8).ok_or(ManifestError::Length)?)?;
        let (pairs, _) = raw.as_chunks::<8>();
        let mut runs: Vec<Run> = Vec::with_capacity(pairs.len());
        let mut hashes = 0usize;
        for [a, b, c, d, e, f, g, h] in pairs {
            let first = u32::from_le_bytes([*a, *b, *c, *d]);
            let word = u32::from_le_bytes([*e, *f, *g, *h]);
            let run = Run { first, count: word & RUN_MAX, zero: word & ZERO_BIT != 0 };
            if run.count == 0 || u64::from(run.first) + u64::from(run.count) > u64::from(u32::MAX) {
                return Err(ManifestError::Table("a run is empty or too long"));
            }
            if let Some(last) = runs.last() {
                let end = last.first + last.count;
                if run.first < end {
                    return Err(ManifestError::Table("the chunk numbers do not ascend"));
                }
                // Two runs that could be one would be a second way to write the same image down.
                if run.first == end && run.zero == last.zero {
                    return Err(ManifestError::NotCanonical);
                }
            }
            if !run.zero {
                hashes = hashes.checked_add(run.count as usize).ok_or(ManifestError::Length)?;
            }
            runs.push(run);
        }
        let raw = self.take(hashes.checked_mul(32).ok_or(ManifestError::Length)?)?;
        let hashes: Vec<Hash> = raw.as_chunks::<32>().0.iter().map(|h| Hash(*h)).collect();
        if hashes.contains(&Hash::zero_chunk()) {
            return Err(ManifestError::NotCanonical);
        }
        Ok(ChunkTable { runs, hashes })
    }
}

const MAGIC: &[u8; 8] = b"HAUSIMG1";
const ZERO_BIT: u32 = 1 << 31;
/// 128 partitions with long names stay far below.
const HEADER_BYTES_MAX: usize = 1 << 20;
