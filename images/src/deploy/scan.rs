//! What the disk holds already, so that only what differs is fetched.
//!
//! A chunk of an image is hashed with its unused bytes as zeros; on a disk that was in use there is something else in them.
//! So a chunk that does not fit as it is is looked at once more with everything zero that the file system on the disk does
//! not use. If it fits then, it need not be fetched, but it is written as the image has it: the file system of the image
//! may use what the one on the disk does not.

use std::sync::{Mutex, PoisonError};

use super::place;
use super::work::{Batch, Piece};
use crate::blockdev::BlockDev;
use crate::chunk::{CHUNK_BYTES, Hash};
use crate::layout::Layout;
use crate::manifest::{Content, Manifest};
use crate::used::{self, Ranges};

/// How a chunk of the image comes onto the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It stands there.
    Same,
    /// It was made of what stands there and is to be written.
    Masked,
    /// It is to be fetched and written.
    Differs,
}

/// Reads what stands where the chunks of an image go.
pub(super) struct Scan<'d> {
    dev: &'d dyn BlockDev,
    layout: &'d Layout,
    /// Used bytes of the file systems that stand where those of the image go; `None` where they are not known.
    used: Vec<Option<Ranges>>,
    /// One read at a time keeps the reads in order, as a disk that turns needs it.
    head: Mutex<()>,
}

impl<'d> Scan<'d> {
    pub(super) fn new(dev: &'d dyn BlockDev, layout: &'d Layout) -> Scan<'d> {
        dev.forget_cached();
        // A map that is out of date, or of a half-written file system, costs transfer only: every chunk is hashed.
        let map = |p: &crate::layout::Placement| used::detect_and_map(dev, p.start..p.start + p.len).ok();
        let used = layout.placements.iter().map(|p| map(p).map(|used| used.ranges)).collect();
        Scan { dev, layout, used, head: Mutex::new(()) }
    }

    /// Reads the chunks of a batch that are not zero into `content`, which has their length, and tells for each of them
    /// what it is worth. What cannot be read differs.
    pub(super) fn look(&self, batch: &Batch<'_>, content: &mut [u8]) -> Vec<Found> {
        let mut found = Vec::with_capacity(batch.hashes.len());
        let mut rest = content;
        let mut hashes = batch.hashes;
        for piece in batch.pieces.iter().filter(|p| !p.zero) {
            let count = piece.count as usize;
            let (own, behind) =
                std::mem::take(&mut rest).split_at_mut_checked(count * CHUNK_BYTES).unwrap_or_default();
            let (expected, others) = hashes.split_at_checked(count).unwrap_or_default();
            (rest, hashes) = (behind, others);
            if self.read(batch.partition, piece, own) {
                let chunks = (piece.first..).zip(own.chunks_exact_mut(CHUNK_BYTES));
                found.extend(
                    expected.iter().zip(chunks).map(|(h, (n, c))| self.compare(batch.partition, n, c, h)),
                );
            } else {
                found.extend(expected.iter().map(|_| Found::Differs));
            }
        }
        found
    }

    fn read(&self, partition: usize, piece: &Piece, buffer: &mut [u8]) -> bool {
        let Some(placement) = self.layout.placements.get(partition) else { return false };
        let (offset, len) = place(placement, piece);
        let Some((own, behind)) = buffer.split_at_mut_checked(usize::try_from(len).unwrap_or(usize::MAX))
        else {
            return false;
        };
        behind.fill(0);
        let _head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        self.dev.read_at(offset, own).is_ok()
    }

    fn compare(&self, partition: usize, number: u32, chunk: &mut [u8], expected: &Hash) -> Found {
        if Hash::of(chunk) == *expected {
            return Found::Same;
        }
        match self.used.get(partition) {
            Some(Some(used)) if mask(used, number, chunk) && Hash::of(chunk) == *expected => Found::Masked,
            _ => Found::Differs,
        }
    }
}

/// Sets everything to zero that is not used. Returns whether there was anything.
fn mask(used: &Ranges, number: u32, chunk: &mut [u8]) -> bool {
    let from = u64::from(number) * CHUNK_BYTES as u64;
    let within = |at: u64| usize::try_from(at - from).unwrap_or(CHUNK_BYTES);
    let mut masked = false;
    let mut filled = 0;
    for range in used.within(from..from + CHUNK_BYTES as u64) {
        masked |= zero(chunk, filled, within(range.start));
        filled = within(range.end);
    }
    masked | zero(chunk, filled, CHUNK_BYTES)
}

fn zero(chunk: &mut [u8], from: usize, to: usize) -> bool {
    match chunk.get_mut(from..to) {
        Some(gap) if !gap.is_empty() => {
            gap.fill(0);
            true
        }
        _ => false,
    }
}

/// Whether reading what the disk holds is likely to save more than it costs.
///
/// Chunks spread over the image behind the first `done` are compared, which takes two or three seconds on a disk that
/// turns. Another system, or none, has almost none of them. An update of all programs leaves half of them as they were, and
/// the use of a PC nearly all. In between there is little: below one in eight, reading a disk that turns costs more time
/// than fetching saves.
pub(super) fn is_worth_it(dev: &dyn BlockDev, manifest: &Manifest, layout: &Layout, done: u64) -> bool {
    let step = (manifest.chunk_count().saturating_sub(done) / SAMPLES).max(1);
    let mut position = 0;
    let (mut looked_at, mut same) = (0, 0);
    let mut chunk = vec![0; CHUNK_BYTES];
    for ((_, table), placement) in manifest.partitions().zip(&layout.placements) {
        for span in table.spans() {
            let hashes = match span.content {
                Content::Zeros(_) => &[],
                Content::Chunks(hashes) => hashes,
            };
            for ((first, hash), at) in (span.first..).zip(hashes).zip(position..) {
                if at < done || at % step != 0 {
                    continue;
                }
                let (offset, len) = place(placement, &Piece { first, count: 1, zero: false });
                chunk.fill(0);
                let own = chunk.get_mut(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
                looked_at += 1;
                same += u64::from(dev.read_at(offset, own).is_ok() && Hash::of(&chunk) == *hash);
            }
            position += span.count();
        }
    }
    tracing::info!(looked_at, same, "compared the disk with the image in some places");
    same > 0 && same * WORTH >= looked_at
}

const SAMPLES: u64 = 256;
/// One in so many chunks must be there.
const WORTH: u64 = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_used_stays_and_all_else_is_zero(
            parts in prop::collection::vec((0u64..30_000, 1u64..30_000), 0..12), number in 0u32..4
        ) {
            let mut used = Ranges::default();
            let mut is_used = vec![false; 5 * CHUNK_BYTES];
            let mut at = 0;
            for (gap, len) in parts {
                let range = (at + gap).min(5 * CHUNK_BYTES as u64)..(at + gap + len).min(5 * CHUNK_BYTES as u64);
                is_used[range.start as usize..range.end as usize].fill(true);
                at = range.end;
                used.push(range);
            }
            let mut chunk = vec![7; CHUNK_BYTES];
            let masked = mask(&used, number, &mut chunk);
            let own = &is_used[number as usize * CHUNK_BYTES..][..CHUNK_BYTES];
            prop_assert!(chunk.iter().zip(own).all(|(byte, used)| *byte == 7 * u8::from(*used)));
            prop_assert_eq!(masked, own.contains(&false));
        }
    }
}
