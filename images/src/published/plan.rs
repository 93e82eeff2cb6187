//! What is fetched, in which requests, and what a publisher need not send again.

use std::collections::HashSet;
use std::ops::Range;

use super::{Catalogue, PackIndex, Published};
use crate::chunk::Hash;
use crate::store::pack::Place;

/// Neighbouring records of a pack that are fetched by one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Bytes of the pack.
    pub range: Range<u64>,
    pub(super) records: Vec<(Hash, Place)>,
}

impl Piece {
    /// The chunks in it.
    pub fn chunks(&self) -> impl Iterator<Item = &Hash> {
        self.records.iter().map(|(hash, _)| hash)
    }
}

/// The wanted chunks of a pack in the order of the file. Records that touch each other are one piece of at most `bytes_max`
/// bytes, or one record. Nothing is fetched only to join two pieces: on a thin line bytes are dearer than requests.
pub fn pieces(index: &PackIndex, wanted: &HashSet<Hash>, bytes_max: u64) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for (hash, place) in index.entries.iter().filter(|(hash, _)| wanted.contains(hash)) {
        let end = place.offset + place.record_bytes();
        match pieces.last_mut() {
            Some(last) if last.range.end == place.offset && end - last.range.start <= bytes_max => {
                last.range.end = end;
                last.records.push((*hash, *place));
            }
            _ => pieces.push(Piece { range: place.offset..end, records: vec![(*hash, *place)] }),
        }
    }
    pieces
}

/// The versions of the images to follow (`*`: of all), and the names of which the catalogue has none.
pub fn newest_followed<'c, 'n>(
    catalogue: &'c Catalogue,
    follow: &'n [String],
) -> (Vec<&'c Published>, Vec<&'n str>) {
    let all = follow.iter().any(|name| name == "*");
    let followed = catalogue.images.iter().filter(|p| all || follow.contains(&p.image)).collect();
    let offered = |name: &str| name == "*" || catalogue.images.iter().any(|p| p.image == name);
    (followed, follow.iter().map(String::as_str).filter(|name| !offered(name)).collect())
}

/// Which of the published packs stay: those of which at least half is still needed, each chunk counted once. What is needed of
/// the others is sent again in new packs, so that no more than as much lies there in vain as is of use.
pub fn worth_keeping(packs: &[PackIndex], needed: &HashSet<Hash>) -> Vec<bool> {
    let mut covered: HashSet<&Hash> = HashSet::new();
    packs
        .iter()
        .map(|pack| {
            let useful: Vec<(&Hash, u64)> = pack
                .chunks()
                .filter(|(hash, _)| needed.contains(*hash) && !covered.contains(*hash))
                .collect();
            let useful_bytes: u64 = useful.iter().map(|(_, bytes)| bytes).sum();
            let all_bytes: u64 = pack.chunks().map(|(_, bytes)| bytes).sum();
            let keep = !useful.is_empty() && useful_bytes.saturating_mul(2) >= all_bytes;
            if keep {
                covered.extend(useful.iter().map(|(hash, _)| *hash));
            }
            keep
        })
        .collect()
}
