//! The description of one image: disk layout, which chunks go where, and the server's signature over both.
//!
//! File format, all numbers little-endian:
//!
//! ```text
//! "HAUSIMG1"                            8 bytes
//! header length                         u32, at most 1 MiB
//! header                                JSON, canonical: exactly what serde writes for `Header`
//! per partition, in header order:
//!     number of runs                    u32
//!     runs                              u32 first chunk, u32 number of chunks; top bit of the number: all zero
//!     hashes                            32 bytes for every chunk of a run that is not zero
//! 0                                     unsigned, the end
//! 1, signature                          Ed25519 over the BLAKE3 hash of everything before this byte, the end
//! ```
//!
//! A chunk that is in no run holds nothing that matters. There is one way only to write an image down, so the BLAKE3 hash
//! of the signed part, the [`ManifestId`], names the image. The whole is at most 64 MiB, enough for 120 GB of data.

mod header;
mod wire;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};

pub use header::{BOOT_CODE_BYTES, Filesystem, Header, Identity, Partition, TableKind};

use crate::chunk::{CHUNK_BYTES, Hash};

/// BLAKE3 of the signed part of a manifest. Written as 64 hexadecimal digits.
pub type ManifestId = Hash;

/// One image version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    header: Header,
    tables: Vec<ChunkTable>,
    signature: Option<[u8; 64]>,
}

/// The chunks of one partition in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChunkTable {
    runs: Vec<Run>,
    hashes: Vec<Hash>,
}

/// Neighbouring chunks that are all zero or all not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Run {
    first: u32,
    count: u32,
    zero: bool,
}

/// What must stand at one chunk of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content<'m> {
    /// This many chunks of zeros, of which none is stored.
    Zeros(u32),
    /// These chunks, one after the other.
    Chunks(&'m [Hash]),
}

/// Neighbouring chunks of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<'m> {
    /// Number of the first chunk, counted from the partition's start.
    pub first: u32,
    /// What belongs there.
    pub content: Content<'m>,
}

impl Span<'_> {
    /// How many chunks.
    pub fn count(&self) -> u64 {
        match self.content {
            Content::Zeros(count) => u64::from(count),
            Content::Chunks(hashes) => hashes.len() as u64,
        }
    }
}

impl ChunkTable {
    /// Appends a chunk. The hash of a chunk of zeros becomes part of a zero run.
    ///
    /// # Errors
    /// [`ManifestError::Table`] unless `number` is above every number before it.
    pub fn push(&mut self, number: u32, hash: Hash) -> Result<(), ManifestError> {
        let zero = hash == Hash::zero_chunk();
        let end = self.end();
        if u64::from(number) < end || number == u32::MAX {
            return Err(ManifestError::Table("the chunk numbers do not ascend"));
        }
        match self.runs.last_mut() {
            Some(run) if run.zero == zero && u64::from(number) == end && run.count < RUN_MAX => {
                run.count += 1
            }
            _ => self.runs.push(Run { first: number, count: 1, zero }),
        }
        if !zero {
            self.hashes.push(hash);
        }
        Ok(())
    }

    /// Appends `count` chunks of zeros beginning at `first`.
    ///
    /// # Errors
    /// As [`ChunkTable::push`].
    pub fn push_zeros(&mut self, first: u32, count: u32) -> Result<(), ManifestError> {
        if count == 0 {
            return Ok(());
        }
        let end = self.end();
        if u64::from(first) < end || u64::from(first) + u64::from(count) > u64::from(u32::MAX) {
            return Err(ManifestError::Table("the chunk numbers do not ascend"));
        }
        match self.runs.last_mut() {
            Some(run) if run.zero && u64::from(first) == end && count <= RUN_MAX - run.count => {
                run.count += count
            }
            _ if count > RUN_MAX => return Err(ManifestError::Table("a run is too long")),
            _ => self.runs.push(Run { first, count, zero: true }),
        }
        Ok(())
    }

    /// The table as spans, ascending.
    pub fn spans(&self) -> impl Iterator<Item = Span<'_>> + '_ {
        let mut at = 0usize;
        self.runs.iter().map(move |run| {
            if run.zero {
                return Span { first: run.first, content: Content::Zeros(run.count) };
            }
            let from = at;
            at += run.count as usize;
            Span { first: run.first, content: Content::Chunks(self.hashes.get(from..at).unwrap_or_default()) }
        })
    }

    /// The hashes of the chunks that are not zero, in order; one may occur several times.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// How many chunks there are, zeros included.
    pub fn count(&self) -> u64 {
        self.runs.iter().map(|r| u64::from(r.count)).sum()
    }

    /// The number after the last chunk.
    fn end(&self) -> u64 {
        self.runs.last().map_or(0, |r| u64::from(r.first) + u64::from(r.count))
    }
}

impl Manifest {
    /// Puts a manifest together, unsigned.
    ///
    /// # Errors
    /// Whatever [`Manifest::parse`] would refuse.
    pub fn new(header: Header, tables: Vec<ChunkTable>) -> Result<Manifest, ManifestError> {
        header.check()?;
        if tables.len() != header.partitions.len() {
            return Err(ManifestError::Table("not one table per partition"));
        }
        for (partition, table) in header.partitions.iter().zip(&tables) {
            if table.end() > partition.chunks(header.sector_bytes) {
                return Err(ManifestError::Table("a chunk lies beyond its partition"));
            }
        }
        Ok(Manifest { header, tables, signature: None })
    }

    /// Reads a manifest. Its structure is checked completely, its signature is not: see [`Manifest::parse_signed`].
    ///
    /// # Errors
    /// Never panics; every refusal is a [`ManifestError`].
    pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestError> {
        wire::parse(bytes)
    }

    /// Reads a manifest that must be signed by `key`.
    ///
    /// # Errors
    /// As [`Manifest::parse`], and [`ManifestError::Signature`] when it is not signed or not by this key.
    pub fn parse_signed(bytes: &[u8], key: &VerifyingKey) -> Result<Manifest, ManifestError> {
        let manifest = wire::parse(bytes)?;
        manifest.verify(key)?;
        Ok(manifest)
    }

    /// Checks the signature.
    ///
    /// # Errors
    /// [`ManifestError::Signature`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), ManifestError> {
        let signature = Signature::from_bytes(&self.signature.ok_or(ManifestError::Signature)?);
        key.verify(self.id().as_bytes(), &signature).map_err(|_| ManifestError::Signature)
    }

    /// Signs, replacing a signature that is there.
    #[must_use]
    pub fn sign(self, key: &SigningKey) -> Manifest {
        let signature = key.sign(self.id().as_bytes()).to_bytes();
        Manifest { signature: Some(signature), ..self }
    }

    /// Whether there is a signature, of whomever.
    pub fn is_signed(&self) -> bool {
        self.signature.is_some()
    }

    /// The file, as [`Manifest::parse`] reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = wire::signed_part(&self.header, &self.tables);
        match self.signature {
            None => bytes.push(wire::UNSIGNED),
            Some(signature) => {
                bytes.push(wire::SIGNED);
                bytes.extend_from_slice(&signature);
            }
        }
        bytes
    }

    /// The name of this image version. The same with and without a signature.
    pub fn id(&self) -> ManifestId {
        Hash::of(&wire::signed_part(&self.header, &self.tables))
    }

    /// Everything but the chunks.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The partitions with their chunks, ascending on the disk.
    pub fn partitions(&self) -> impl Iterator<Item = (&Partition, &ChunkTable)> {
        self.header.partitions.iter().zip(&self.tables)
    }

    /// The hashes of all chunks that must be in the store, in the order of the disk; one may occur several times.
    pub fn hashes(&self) -> impl Iterator<Item = &Hash> {
        self.tables.iter().flat_map(|t| t.hashes())
    }

    /// How many chunks the image has, zeros included: what [`crate::deploy`] counts its progress in.
    pub fn chunk_count(&self) -> u64 {
        self.tables.iter().map(ChunkTable::count).sum()
    }

    /// How many bytes of the disk the chunks cover.
    pub fn data_bytes(&self) -> u64 {
        self.chunk_count().saturating_mul(CHUNK_BYTES as u64)
    }
}

/// Why bytes are not a manifest that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Larger than 64 MiB.
    #[error("the manifest has {0} bytes, more than are allowed")]
    TooLarge(usize),
    /// Ends in the middle, or goes on after the end.
    #[error("the manifest is cut off or has something behind its end")]
    Length,
    /// Not a manifest, or of another version.
    #[error("this is not an image manifest of a version known here")]
    Magic,
    /// The header is no JSON, lacks fields or has unknown ones.
    #[error("the manifest header cannot be read")]
    Header(#[source] serde_json::Error),
    /// The header is not written the one way there is.
    #[error("the manifest header is not in its canonical form")]
    NotCanonical,
    /// The header contradicts itself.
    #[error("the disk layout of the manifest is impossible: {0}")]
    Layout(&'static str),
    /// The chunk table contradicts itself or the header.
    #[error("the chunk table of the manifest is impossible: {0}")]
    Table(&'static str),
    /// No signature, or not of the expected key.
    #[error("the manifest is not signed by this server")]
    Signature,
}

/// The largest manifest in bytes.
pub const MANIFEST_BYTES_MAX: usize = 64 << 20;
/// One bit of a run's length says whether it is zero.
const RUN_MAX: u32 = (1 << 31) - 1;

#[cfg(test)]
mod tests;
