//! A manifest cut into batches: what is fetched with one request and written in one go.

use crate::chunk::Hash;
use crate::manifest::{ChunkTable, Content, Manifest};

/// Chunks of one partition, ascending, with at most one request's worth of hashes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch<'m> {
    /// Counted from 0 at the beginning of the image, whatever was left out because it is written.
    pub(super) number: u32,
    /// Index of the partition in the manifest.
    pub(super) partition: usize,
    /// Where the chunks go, and zeros between them.
    pub(super) pieces: Vec<Piece>,
    /// The chunks of the pieces that are not zero.
    pub(super) hashes: &'m [Hash],
    /// Chunks of the image, zeros included, up to and with this batch.
    pub(super) end: u64,
}

/// Neighbouring chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) first: u32,
    pub(super) count: u32,
    pub(super) zero: bool,
}

/// The batches that an earlier run has not completed.
pub(super) fn batches(manifest: &Manifest, batch_chunks: usize, done: u64) -> Vec<Batch<'_>> {
    let limit = batch_chunks.clamp(1, crate::protocol::CHUNKS_PER_FETCH);
    let mut all = Vec::new();
    let (mut end, mut number) = (0, 0);
    for (partition, (_, table)) in manifest.partitions().enumerate() {
        for (pieces, hashes) in cut(table, limit) {
            end += pieces.iter().map(|p| u64::from(p.count)).sum::<u64>();
            if end > done {
                all.push(Batch { number, partition, pieces, hashes, end });
            }
            number += 1;
        }
    }
    all
}

fn cut(table: &ChunkTable, limit: usize) -> Vec<(Vec<Piece>, &[Hash])> {
    let mut batches = Vec::new();
    let mut pieces: Vec<Piece> = Vec::new();
    // The hashes of a table stand one after the other, so those of a batch are one slice.
    let mut rest = table.hashes();
    let mut taken = 0;
    let mut zeros = 0u32;
    let mut flush = |pieces: &mut Vec<Piece>, taken: &mut usize, zeros: &mut u32| {
        let (own, behind) = rest.split_at_checked(*taken).unwrap_or((rest, &[]));
        rest = behind;
        *taken = 0;
        *zeros = 0;
        if !pieces.is_empty() {
            batches.push((std::mem::take(pieces), own));
        }
    };
    for span in table.spans() {
        let zero = matches!(span.content, Content::Zeros(_));
        let mut first = span.first;
        let mut left = u32::try_from(span.count()).unwrap_or(u32::MAX);
        while left > 0 {
            let room = if zero { ZEROS_MAX - zeros } else { u32::try_from(limit - taken).unwrap_or(1) };
            let count = left.min(room);
            pieces.push(Piece { first, count, zero });
            first += count;
            left -= count;
            if zero {
                zeros += count;
            } else {
                taken += count as usize;
            }
            if taken == limit || zeros == ZEROS_MAX || pieces.len() == PIECES_MAX {
                flush(&mut pieces, &mut taken, &mut zeros);
            }
        }
    }
    flush(&mut pieces, &mut taken, &mut zeros);
    batches
}

/// 256 MiB of zeros between two reports of progress.
const ZEROS_MAX: u32 = 4096;
const PIECES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_chunk_is_in_one_batch_at_its_place_with_its_hash(
            steps in prop::collection::vec((0u32..3, 1u32..9, any::<bool>()), 0..40), limit in 1usize..7, huge in any::<bool>()
        ) {
            let mut table = ChunkTable::default();
            let mut expected = Vec::new();
            let mut number = 0;
            if huge {
                table.push_zeros(0, 10_000).unwrap();
                expected.extend((0..10_000).map(|n| (n, Hash::zero_chunk())));
                number = 10_000;
            }
            for (gap, count, zero) in steps {
                number += gap;
                for _ in 0..count {
                    let hash = if zero { Hash::zero_chunk() } else { Hash::of(&number.to_le_bytes()) };
                    table.push(number, hash).unwrap();
                    expected.push((number, hash));
                    number += 1;
                }
            }
            let mut found = Vec::new();
            for (pieces, hashes) in cut(&table, limit) {
                prop_assert!(hashes.len() <= limit && !pieces.is_empty());
                let mut hashes = hashes.iter();
                for piece in pieces {
                    for n in piece.first..piece.first + piece.count {
                        found.push((n, if piece.zero { Hash::zero_chunk() } else { *hashes.next().unwrap() }));
                    }
                }
                prop_assert_eq!(hashes.next(), None);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
