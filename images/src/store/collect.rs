//! Freeing what no published image needs.
//!
//! A pack of which less than half is needed is emptied: what is needed is copied into a new pack, and once that is durable
//! the old one is dropped. So at most as much is copied as is freed. A kill at any moment leaves a chunk twice, never none.
//!
//! Three things keep what is needed:
//! - whoever relies on chunks that no manifest names yet holds a [`Hold`], and nothing is dropped meanwhile;
//! - a manifest appears, and a pack vanishes, under the lock of the store, and each looks at the other before;
//! - a reader has the pack's file open: a pack that vanishes while a PC is served is read to the end.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use nix::fcntl::{Flock, FlockArg};

use super::pack::{self, Pack, Place};
use super::{MANIFESTS, PACKS, Store, StoreError, failed};
use crate::chunk::Hash;
use crate::manifest::ManifestId;

/// As long as it lives nothing is dropped, by whichever process.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "held, not read")] Flock<File>);

/// What [`Store::collect`] did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Packs that were dropped.
    pub packs: u64,
    /// Bytes of the files that were dropped.
    pub dropped_bytes: u64,
    /// Bytes that were copied before.
    pub copied_bytes: u64,
    /// Packs that could be dropped but for a [`Hold`], `may_drop`, a chunk that cannot be read, or a full disk.
    pub kept_packs: u64,
}

impl Store {
    /// Keeps everything that is in the store until the [`Hold`] is dropped. Waits while something is being dropped, for
    /// seconds at most.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn hold(&self) -> Result<Hold, StoreError> {
        let path = self.dir.join(HOLDERS);
        let lock = Flock::lock(open(&path)?, FlockArg::LockShared);
        let hold = Hold(lock.map_err(|(_, errno)| failed("lock", &path)(errno.into()))?);
        self.refresh()?;
        Ok(hold)
    }

    /// Takes a published image back. Its chunks go with the next [`Store::collect`]. Returns whether it is gone: not while
    /// there is a [`Hold`] or `may_drop`, which is asked when no new one can come, says no.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn retract(&self, id: &ManifestId, may_drop: &mut dyn FnMut() -> bool) -> Result<bool, StoreError> {
        let Some(_alone) = self.alone()? else { return Ok(false) };
        if !may_drop() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        let folder = self.dir.join(MANIFESTS);
        let path = folder.join(id.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path)(error));
            }
            _ => {}
        }
        File::open(&folder).and_then(|f| f.sync_all()).map_err(failed("sync", &folder))?;
        Ok(true)
    }

    /// Frees chunks that no manifest names, pack by pack. `pace` is told the bytes that were copied and may end the work;
    /// `may_drop` is as in [`Store::retract`].
    ///
    /// # Errors
    /// [`StoreError::Manifest`] when a manifest cannot be read: what it names is not known, so nothing is freed.
    /// [`StoreError::Io`]. Everything that is needed is there after any error.
    pub fn collect(
        &self,
        may_drop: &mut dyn FnMut() -> bool,
        pace: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<Collected, StoreError> {
        self.refresh()?;
        let mut named = Named::default();
        named.read(self)?;
        let mut done = Collected::default();
        for pack in self.packs() {
            let needed = self.needed(&pack, &named);
            let needed_bytes: u64 = needed.iter().map(|(_, place)| place.record_bytes()).sum();
            let len = pack.len_bytes()?;
            if needed_bytes.saturating_mul(2) > len {
                continue;
            }
            match self.copy(&pack, &needed, pace) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => break,
                // Another pack may be dropped without a copy, and make room for this one.
                Err(StoreError::Full { .. }) => {
                    done.kept_packs += 1;
                    continue;
                }
                Err(other) => return Err(other),
            }
            done.copied_bytes += needed_bytes;
            if self.drop_pack(&pack, &mut named, may_drop)? {
                done.packs += 1;
                done.dropped_bytes += len;
            } else {
                done.kept_packs += 1;
            }
        }
        Ok(done)
    }

    /// The chunks of a pack that manifests name and that are read from this pack and no newer one.
    fn needed(&self, pack: &Arc<Pack>, named: &Named) -> Vec<(Hash, Place)> {
        let here = |hash: &Hash| self.locate(hash).is_some_and(|(found, _)| found.number() == pack.number());
        pack.index().entries().filter(|(hash, _)| named.contains(hash) && here(hash)).collect()
    }

    /// Copies chunks into a pack of their own and makes it durable. What cannot be read is left out.
    fn copy(
        &self,
        pack: &Arc<Pack>,
        needed: &[(Hash, Place)],
        pace: &mut dyn FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        if needed.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        let mut writer = self.new_pack()?;
        for (hash, place) in needed {
            let copied = match pack.record(*place).read(hash) {
                Ok(stored) => writer.append(hash, &stored),
                Err(StoreError::Damaged { .. }) => {
                    self.mark_damaged(pack.number(), *hash);
                    Ok(())
                }
                Err(other) => Err(other),
            };
            if let Err(error) = copied {
                writer.abandon();
                return Err(error);
            }
            if pace(place.record_bytes()).is_break() {
                writer.abandon();
                return Ok(ControlFlow::Break(()));
            }
        }
        if let Err(error) = writer.finish(|| self.lock()) {
            writer.abandon();
            return Err(error);
        }
        drop(writer);
        self.refresh()?;
        Ok(ControlFlow::Continue(()))
    }

    /// Removes a pack if nothing in it is needed. Returns whether it is gone.
    fn drop_pack(
        &self,
        pack: &Arc<Pack>,
        named: &mut Named,
        may_drop: &mut dyn FnMut() -> bool,
    ) -> Result<bool, StoreError> {
        let Some(_alone) = self.alone()? else { return Ok(false) };
        if !may_drop() {
            return Ok(false);
        }
        let _lock = self.lock()?;
        // Images that were published since are counted too.
        named.read(self)?;
        let mut hashes = pack.index().entries().map(|(hash, _)| hash);
        if hashes.any(|hash| named.contains(&hash) && !self.is_elsewhere(&hash, pack.number())) {
            return Ok(false);
        }
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.dir.join(PACKS);
        // The index first: a pack without one is recovered at the next start, an index without a pack is a lie.
        for path in [&pack::index_path(pack.path()), pack.path()] {
            fs::remove_file(path).map_err(failed("remove", path))?;
            File::open(&folder).and_then(|f| f.sync_all()).map_err(failed("sync", &folder))?;
        }
        let mut packs = self.packs.write().unwrap_or_else(PoisonError::into_inner);
        packs.retain(|p| p.number() != pack.number());
        let mut damaged = self.damaged.write().unwrap_or_else(PoisonError::into_inner);
        damaged.retain(|(number, _)| *number != pack.number());
        Ok(true)
    }

    /// Whether another pack than this one has the chunk.
    fn is_elsewhere(&self, hash: &Hash, number: u32) -> bool {
        let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
        let has = |pack: &Arc<Pack>| {
            pack.number() != number
                && pack.index().find(hash).is_some()
                && !damaged.contains(&(pack.number(), *hash))
        };
        self.packs().iter().any(has)
    }

    /// `None` while there is a [`Hold`].
    fn alone(&self) -> Result<Option<Hold>, StoreError> {
        let path = self.dir.join(HOLDERS);
        match Flock::lock(open(&path)?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(Hold(lock))),
            Err((_, nix::Error::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(failed("lock", &path)(errno.into())),
        }
    }
}

/// The chunks that published manifests name. One million take 32 MB.
#[derive(Default)]
struct Named {
    manifests: HashSet<ManifestId>,
    /// Sorted.
    hashes: Vec<Hash>,
}

impl Named {
    /// Adds the manifests that were not read yet.
    fn read(&mut self, store: &Store) -> Result<(), StoreError> {
        for id in store.manifests()? {
            if self.manifests.contains(&id) {
                continue;
            }
            if let Some(manifest) = store.manifest(&id)? {
                self.hashes.extend(manifest.hashes());
                self.hashes.sort_unstable();
                self.hashes.dedup();
                self.manifests.insert(id);
            }
        }
        Ok(())
    }

    fn contains(&self, hash: &Hash) -> bool {
        self.hashes.binary_search(hash).is_ok()
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).open(path).map_err(failed("open", path))
}

/// Its shared lock is a [`Hold`].
const HOLDERS: &str = "holders";
