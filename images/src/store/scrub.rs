//! Reading every stored chunk to find out which are damaged.

use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use super::pack::{self, Pack};
use super::{Store, StoreError, index};
use crate::chunk::{CHUNK_BYTES, Hash};
use crate::manifest::ManifestId;

/// What [`Store::scrub`] found.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Scrub {
    /// Chunks that were read and checked.
    pub chunks: u64,
    /// Chunks that are damaged and no longer counted as present.
    pub damaged: Vec<Hash>,
    /// Published images that need a chunk that is damaged or absent.
    pub broken_images: Vec<ManifestId>,
    /// Whether it was ended before everything was read.
    pub interrupted: bool,
}

impl Store {
    /// Reads and checks every chunk of the finished packs. Damaged chunks count as absent from then on, so that a new
    /// capture brings them again. `pace` is told the bytes that were read and may end the work.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn scrub(&self, pace: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<Scrub, StoreError> {
        self.refresh()?;
        let mut result = Scrub::default();
        for pack in self.packs() {
            let outcome = self.scrub_pack(&pack, &mut result, pace);
            // What was found counts also when the rest of the pack is not looked at.
            self.forget_damaged(&pack)?;
            if outcome?.is_break() {
                result.interrupted = true;
                break;
            }
        }
        for id in self.manifests()? {
            if !self.is_whole(&id)? {
                result.broken_images.push(id);
            }
        }
        Ok(result)
    }

    /// The chunks of a published image that are damaged or absent, as far as is known without reading them. An image that
    /// is not there lacks nothing.
    ///
    /// # Errors
    /// [`StoreError::Manifest`] and [`StoreError::Io`].
    pub fn lacking(&self, id: &ManifestId) -> Result<Vec<Hash>, StoreError> {
        let Some(manifest) = self.manifest(id)? else { return Ok(Vec::new()) };
        let mut lacking: Vec<Hash> = manifest.hashes().filter(|h| !self.contains(h)).copied().collect();
        lacking.sort_unstable();
        lacking.dedup();
        Ok(lacking)
    }

    /// Whether a published image can be read and lacks nothing.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn is_whole(&self, id: &ManifestId) -> Result<bool, StoreError> {
        match self.lacking(id) {
            Ok(lacking) => Ok(lacking.is_empty()),
            Err(StoreError::Manifest { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn scrub_pack(
        &self,
        pack: &Arc<Pack>,
        result: &mut Scrub,
        pace: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        let mut content = vec![0; CHUNK_BYTES];
        let mut entries: Vec<_> = pack.index().entries().collect();
        // In the order of the file: a disk that turns reads that twenty times as fast.
        entries.sort_unstable_by_key(|(_, place)| place.offset);
        for (hash, place) in entries {
            result.chunks += 1;
            let intact = match pack.record(place).read(&hash) {
                Ok(stored) => stored.unpack_into(&hash, &mut content).is_ok(),
                Err(StoreError::Damaged { .. }) => false,
                Err(other) => return Err(other),
            };
            if !intact {
                self.mark_damaged(pack.number(), hash);
                result.damaged.push(hash);
            }
            if pace(place.record_bytes()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Leaves the damaged chunks of a pack out of its index, so that they count as absent after a restart as well.
    fn forget_damaged(&self, pack: &Arc<Pack>) -> Result<(), StoreError> {
        let (good, bad): (Vec<_>, Vec<_>) = {
            let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
            pack.index().entries().partition(|(hash, _)| !damaged.contains(&(pack.number(), *hash)))
        };
        if bad.is_empty() {
            return Ok(());
        }
        {
            let _lock = self.lock()?;
            // Dropped by a collection meanwhile: its number may become another pack's.
            if !pack.is_current() {
                return Ok(());
            }
            index::write(&pack::index_path(pack.path()), good)?;
        }
        self.refresh()
    }
}
