//! Reading chunks of an image back from the disk that it was written to.

use std::sync::Arc;

use super::place;
use super::work::{self, Piece};
use crate::blockdev::BlockDev;
use crate::chunk::{CHUNK_BYTES, Hash, Stored};
use crate::layout::Layout;
use crate::manifest::Manifest;
use crate::protocol::BATCH_CHUNKS;

/// A disk that an image is or was written to.
pub struct Written {
    dev: Box<dyn BlockDev>,
    manifest: Arc<Manifest>,
    layout: Layout,
}

impl Written {
    /// A disk of its own: whoever writes to it goes on.
    pub fn new(dev: Box<dyn BlockDev>, manifest: Arc<Manifest>, layout: Layout) -> Written {
        Written { dev, manifest, layout }
    }

    /// Where the chunks of a batch of [`BATCH_CHUNKS`] stand, each once.
    pub fn batch(&self, number: u32) -> WrittenBatch<'_> {
        let batches = work::batches(&self.manifest, BATCH_CHUNKS, 0);
        let mut places = Vec::with_capacity(BATCH_CHUNKS);
        if let Some(batch) = usize::try_from(number).ok().and_then(|number| batches.get(number)) {
            let chunks =
                batch.pieces.iter().filter(|piece| !piece.zero).flat_map(|p| p.first..p.first + p.count);
            places.extend(chunks.zip(batch.hashes).map(|(chunk, hash)| (*hash, batch.partition, chunk)));
            places.sort_unstable();
            places.dedup_by_key(|(hash, ..)| *hash);
        }
        WrittenBatch { disk: self, places }
    }

    fn read(&self, partition: usize, chunk: u32, hash: &Hash) -> Option<Stored> {
        let (offset, len) =
            place(self.layout.placements.get(partition)?, &Piece { first: chunk, count: 1, zero: false });
        let mut content = vec![0; CHUNK_BYTES];
        self.dev.read_at(offset, content.get_mut(..usize::try_from(len).ok()?)?).ok()?;
        (Hash::of(&content) == *hash).then(|| Stored::pack(&content).ok()).flatten()
    }
}

/// The places of one batch.
pub struct WrittenBatch<'w> {
    disk: &'w Written,
    places: Vec<(Hash, usize, u32)>,
}

impl WrittenBatch<'_> {
    /// The chunk, if it is part of the batch and stands on the disk as it should.
    pub fn chunk(&self, hash: &Hash) -> Option<Stored> {
        let place = self.places.binary_search_by_key(hash, |(hash, ..)| *hash).ok()?;
        let (hash, partition, chunk) = self.places.get(place)?;
        self.disk.read(*partition, *chunk, hash)
    }
}
