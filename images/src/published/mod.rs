//! Images published for other servers: what lies in the folder that they fetch from. Pure.
//!
//! ```text
//! catalogue.json        what there is, signed; the only file that ever changes
//! manifests/HASH        one image version
//! packs/NAME.pack       chunk records, one after the other, as in the store
//! packs/NAME.index      where each chunk is; NAME is the BLAKE3 hash of these bytes
//! ```
//!
//! Whatever answers range requests will do: a web server, an object store, a folder. It need not be trusted: the publisher's
//! key vouches for the catalogue, the catalogue names manifests and indices by their hash, and those name the chunks. A name is
//! never used for other content, so what a reader noted of an index stays right.

mod plan;

use std::collections::VecDeque;

use ed25519_dalek::{Signature, Signer, SigningKey, Verifier, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::chunk::{CHUNK_BYTES, Hash, STORED_BYTES_MAX, Stored};
use crate::hex;
use crate::manifest::ManifestId;
use crate::store::index;
use crate::store::pack::{self, Place};
pub use plan::{Piece, newest_followed, pieces, worth_keeping};

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalogue {
    /// When it was made, milliseconds UTC. A reader takes none that is older than the one it has seen.
    pub made_at: i64,
    /// The versions, no image twice.
    pub images: Vec<Published>,
}

/// A published version of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Name of the image.
    pub image: String,
    /// The publisher's number of this version.
    pub version: i64,
    /// When it was made, milliseconds UTC.
    pub made_at: i64,
    /// Its manifest, signed by the publisher.
    pub manifest: ManifestId,
    /// Bytes in use on the captured disk.
    pub used_bytes: u64,
    /// The packs that hold its chunks.
    pub packs: Vec<PackName>,
}

/// BLAKE3 of a pack's index.
pub type PackName = Hash;

/// Why a published file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// The catalogue is not what this program reads.
    #[error("the catalogue cannot be read")]
    Catalogue(#[source] serde_json::Error),
    /// The catalogue is signed by somebody else, or was changed.
    #[error("the catalogue is not signed with the expected key")]
    Signature,
    /// An index is not the one of that name.
    #[error("the index of pack {0} is damaged")]
    Index(PackName),
}

/// The file `catalogue.json`. What is signed is a text inside it, so that there is no question which bytes are.
#[derive(Serialize, Deserialize)]
struct SignedFile {
    catalogue: String,
    signature: String,
}

impl Catalogue {
    /// The file, signed.
    ///
    /// # Errors
    /// [`PublishedError::Catalogue`], which strings and numbers do not cause.
    pub fn to_signed_bytes(&self, key: &SigningKey) -> Result<Vec<u8>, PublishedError> {
        let catalogue = serde_json::to_string(self).map_err(PublishedError::Catalogue)?;
        let signature = hex::encode(&key.sign(&signed_message(&catalogue)).to_bytes());
        serde_json::to_vec_pretty(&SignedFile { catalogue, signature }).map_err(PublishedError::Catalogue)
    }

    /// Reads a file that must be signed by `key`. Nothing of it is looked at before.
    ///
    /// # Errors
    /// See [`PublishedError`].
    pub fn parse_signed(bytes: &[u8], key: &VerifyingKey) -> Result<Catalogue, PublishedError> {
        let file: SignedFile = serde_json::from_slice(bytes).map_err(PublishedError::Catalogue)?;
        let signature = hex::decode(&file.signature).ok_or(PublishedError::Signature)?;
        key.verify(&signed_message(&file.catalogue), &Signature::from_bytes(&signature))
            .map_err(|_| PublishedError::Signature)?;
        serde_json::from_str(&file.catalogue).map_err(PublishedError::Catalogue)
    }
}

/// A pack's chunks in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackIndex {
    entries: Vec<(Hash, Place)>,
}

impl PackIndex {
    /// Reads the index of that name.
    ///
    /// # Errors
    /// [`PublishedError::Index`] unless the hash fits, and records lie one after the other.
    pub fn parse(name: &PackName, bytes: &[u8]) -> Result<PackIndex, PublishedError> {
        let damaged = || PublishedError::Index(*name);
        if Hash::of(bytes) != *name {
            return Err(damaged());
        }
        let mut entries = index::decode(bytes).ok_or_else(damaged)?;
        entries.sort_unstable_by_key(|(_, place)| place.offset);
        let mut end = 0;
        for (_, place) in &entries {
            if place.offset < end
                || place.offset > PACK_BYTES_BOUND
                || place.stored_len as usize > STORED_BYTES_MAX
            {
                return Err(damaged());
            }
            end = place.offset + place.record_bytes();
        }
        Ok(PackIndex { entries })
    }

    /// The chunks, and how many bytes each takes.
    pub fn chunks(&self) -> impl Iterator<Item = (&Hash, u64)> {
        self.entries.iter().map(|(hash, place)| (hash, place.record_bytes()))
    }
}

/// A pack that is being put together in memory.
#[derive(Debug, Default)]
pub struct PackBuilder {
    entries: Vec<(Hash, Place)>,
    bytes: Vec<u8>,
}

/// A pack to be published.
#[derive(Debug)]
pub struct BuiltPack {
    /// Its name.
    pub name: PackName,
    /// The records.
    pub pack: Vec<u8>,
    /// The index.
    pub index: Vec<u8>,
    /// What is in it.
    pub chunks: Vec<Hash>,
}

impl PackBuilder {
    /// Appends a chunk that is not in it yet.
    pub fn push(&mut self, hash: &Hash, stored: &Stored) {
        let offset = self.bytes.len() as u64;
        // A stored chunk has 64 KiB and a byte at most.
        let stored_len = u32::try_from(stored.stored_len()).unwrap_or(u32::MAX);
        self.entries.push((*hash, Place { offset, stored_len }));
        self.bytes.extend_from_slice(&pack::encode(hash, stored));
    }

    /// Whether it is as large as a pack should be: one request to write, held in memory once.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= PUBLISHED_PACK_BYTES
    }

    /// The pack, if anything is in it. The builder is empty then.
    pub fn finish(&mut self) -> Option<BuiltPack> {
        if self.entries.is_empty() {
            return None;
        }
        let entries = std::mem::take(&mut self.entries);
        let chunks = entries.iter().map(|(hash, _)| *hash).collect();
        let index = index::encode(entries);
        Some(BuiltPack { name: Hash::of(&index), pack: std::mem::take(&mut self.bytes), index, chunks })
    }
}

/// Takes the bytes of a [`Piece`] as they come and gives its chunks, each checked.
#[derive(Debug)]
pub struct Records {
    expected: VecDeque<(Hash, Place)>,
    buffer: Vec<u8>,
}

/// A record that is not the chunk that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadRecord {
    /// Which chunk was expected.
    pub hash: Hash,
    /// Where in the pack.
    pub offset: u64,
}

impl Records {
    /// Of that piece.
    pub fn of(piece: &Piece) -> Records {
        Records { expected: piece.records.iter().copied().collect(), buffer: Vec::new() }
    }

    /// Takes the next bytes and gives what is whole with them. A damaged record does not disturb the ones after it.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Result<(Hash, Stored), BadRecord>> {
        self.buffer.extend_from_slice(bytes);
        let (mut found, mut used) = (Vec::new(), 0);
        while let Some((hash, place)) = self.expected.front().copied() {
            let len = usize::try_from(place.record_bytes()).unwrap_or(usize::MAX);
            let Some(raw) = self.buffer.get(used..).and_then(|rest| rest.get(..len)) else { break };
            found.push(checked(&hash, raw).ok_or(BadRecord { hash, offset: place.offset }));
            used += len;
            self.expected.pop_front();
        }
        self.buffer.drain(..used);
        found
    }

    /// Whether every chunk was there.
    pub fn is_done(&self) -> bool {
        self.expected.is_empty()
    }
}

/// The chunk of a record, if its checksum and its content are right.
fn checked(hash: &Hash, raw: &[u8]) -> Option<(Hash, Stored)> {
    let (found, stored) = pack::parse(raw)?;
    let mut content = vec![0; CHUNK_BYTES];
    (found == *hash && stored.unpack_into(hash, &mut content).is_ok()).then_some((found, stored))
}

/// Where the pack of that name lies.
pub fn pack_path(name: &PackName) -> String {
    format!("packs/{name}.pack")
}

/// Where the index of that pack lies.
pub fn index_path(name: &PackName) -> String {
    format!("packs/{name}.index")
}

/// Where a manifest lies.
pub fn manifest_path(id: &ManifestId) -> String {
    format!("manifests/{id}")
}

/// So that the signature under a catalogue is worth nothing under a manifest, and the other way round.
fn signed_message(catalogue: &str) -> Vec<u8> {
    [b"hausmeister catalogue 1\n", catalogue.as_bytes()].concat()
}

/// Where the catalogue lies.
pub const CATALOGUE_PATH: &str = "catalogue.json";
/// The most bytes that a catalogue may have: a thousand packs take 70 KB.
pub const CATALOGUE_BYTES_MAX: usize = 16 << 20;
/// The most bytes that the index of a published pack may have: 190,000 chunks.
pub const INDEX_BYTES_MAX: usize = 8 << 20;
const PUBLISHED_PACK_BYTES: usize = 64 << 20;
/// No pack is that long; it keeps sums from wrapping around.
const PACK_BYTES_BOUND: u64 = 1 << 40;

#[cfg(test)]
mod tests;
