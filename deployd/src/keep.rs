//! Keeping the image store: what no version needs is freed, and what is stored is read now and then.
//!
//! A manifest that no version of the inventory names is taken back once it was seen so for [`ORPHANED`]; its chunks are then
//! freed. Nothing is taken from a running capture, which relies on chunks that no manifest names yet; those of a capture that
//! failed stay until something else is freed, so that the next attempt takes them up.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use images::manifest::ManifestId;
use images::store::{Scrub, Store, StoreError};
use inventory::files::Files;
use inventory::{Image, Inventory, JobState, JobTask};
use software::package::FileHash;
use tokio::runtime::Handle;

use crate::catalogue::Catalogue;
use crate::notices::{Notices, image_place};
use crate::stop::{Stop, stopped};

/// What the keeper works with.
pub(crate) struct Keeper {
    pub(crate) inventory: Inventory,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) notices: Arc<Notices>,
    /// Folder of the image store.
    pub(crate) store_dir: PathBuf,
    /// Files of programs.
    pub(crate) software_files: Files,
    pub(crate) stop: Stop,
}

/// Why a round was not finished. The next one tries again.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("the inventory does not answer")]
    Inventory(#[from] inventory::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the folder of programs' files cannot be read")]
    Files(#[from] std::io::Error),
    #[error("a thread ended unexpectedly")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl Keeper {
    /// Looks after the store until the daemon ends.
    pub(crate) async fn run(self) {
        let mut orphans = Orphans::default();
        let mut stuck = false;
        let mut stop = self.stop.clone();
        loop {
            if let Err(error) = self.round(&mut orphans, &mut stuck).await {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the image store cannot be looked after"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    async fn round(&self, orphans: &mut Orphans, stuck: &mut bool) -> Result<(), KeepError> {
        let store = self.catalogue.store().clone();
        let in_store = tokio::task::spawn_blocking(move || store.manifests()).await??;
        let images = self.inventory.images().await?;
        for id in orphans.due(inventory::clock::instant(), &in_store, &named(&images)) {
            *stuck &= !self.take_back(id).await?;
        }
        if !*stuck && self.garbage().exists() && no_capture_runs(&self.inventory).await {
            // After a failure the next attempt waits until more is to be freed: a manifest that cannot be read stays so.
            *stuck = true;
            self.free().await?;
            *stuck = false;
        }
        self.drop_program_files().await?;
        self.heal(&images).await?;
        if scrub_is_due(&self.store_dir) {
            self.scrub(&images).await?;
        }
        Ok(())
    }

    /// Frees files that no program of the catalogue names.
    async fn drop_program_files(&self) -> Result<(), KeepError> {
        let (entries, problems) = self.inventory.software_entries().await?;
        // A row that cannot be read may name any of them.
        if !problems.is_empty() {
            return Ok(());
        }
        let files = entries.iter().flat_map(|entry| &entry.package.files);
        let needed: HashSet<[u8; 32]> = files
            .filter_map(|file| match file.hash {
                FileHash::Blake3(hash) => Some(hash),
                FileHash::Sha256(_) => None,
            })
            .collect();
        let files = self.software_files.clone();
        let now = system_time();
        let freed = tokio::task::spawn_blocking(move || files.collect(&needed, now)).await??;
        if freed > 0 {
            tracing::info!(software.freed_bytes = freed, "files that no program names were removed");
        }
        Ok(())
    }

    /// Is there while chunks may be there that no manifest names.
    fn garbage(&self) -> PathBuf {
        self.store_dir.join(GARBAGE)
    }

    /// Takes back a manifest that no version names. Returns whether it is gone.
    async fn take_back(&self, id: ManifestId) -> Result<bool, KeepError> {
        // Before the manifest goes, so that its chunks go whenever this process ends.
        note(&self.garbage());
        let (inventory, runtime) = (self.inventory.clone(), Handle::current());
        // Asked again once no capture can begin: one may have published this very manifest a moment ago.
        let unnamed = move || {
            let images = runtime.block_on(inventory.images());
            images.is_ok_and(|images| !named(&images).contains(&id))
        };
        let gone =
            self.with_store(move |store, may_drop, _| store.retract(&id, &mut || may_drop() && unnamed()));
        let gone = gone.await?;
        if gone {
            tracing::info!(image.manifest = %id, "a manifest that no image version names was taken back");
        }
        Ok(gone)
    }

    /// Frees the chunks that no manifest names.
    async fn free(&self) -> Result<(), KeepError> {
        let done = self.with_store(Store::collect).await?;
        if done.kept_packs == 0 && !*self.stop.borrow() {
            let _ = std::fs::remove_file(self.garbage());
        }
        if done.packs > 0 {
            tracing::info!(
                store.packs = done.packs,
                store.dropped_bytes = done.dropped_bytes,
                store.copied_bytes = done.copied_bytes,
                "space in the image store was freed"
            );
        }
        Ok(())
    }

    /// Reads everything that is stored.
    async fn scrub(&self, images: &[Image]) -> Result<(), KeepError> {
        let first = !self.store_dir.join(SCRUBBED).exists();
        let scrub = self.with_store(|store, _, pace| store.scrub(pace)).await?;
        self.report(&scrub, images).await;
        if !scrub.interrupted {
            note(&self.store_dir.join(SCRUBBED));
            // What captures left behind that failed is freed now and then, too.
            if !first {
                note(&self.garbage());
            }
        }
        Ok(())
    }

    /// Takes back notices about images that are whole again, since a capture brought what was damaged.
    async fn heal(&self, images: &[Image]) -> Result<(), KeepError> {
        for (image, version, manifest) in versions(images) {
            let place = image_place(image, version);
            if !self.notices.stands(&place).await {
                continue;
            }
            let store = self.catalogue.store().clone();
            let whole = tokio::task::spawn_blocking(move || store.is_whole(&manifest)).await??;
            if whole && self.catalogue.image(manifest, inventory::clock::instant()).await.is_ok() {
                self.notices.clear(&place).await;
            }
        }
        Ok(())
    }

    async fn report(&self, scrub: &Scrub, images: &[Image]) {
        tracing::info!(
            store.chunks = scrub.chunks,
            store.damaged = scrub.damaged.len(),
            store.interrupted = scrub.interrupted,
            "stored chunks were read and checked"
        );
        for (image, version, manifest) in versions(images) {
            let is_known = self.notices.stands(&image_place(image, version)).await;
            if scrub.broken_images.contains(&manifest) && !is_known {
                let store = self.catalogue.store().clone();
                let lacking = tokio::task::spawn_blocking(move || store.lacking(&manifest)).await;
                let detail = match lacking {
                    Ok(Ok(chunks)) => damage(&chunks),
                    _ => "its manifest cannot be read".into(),
                };
                self.notices.raise_damage(image, version, &detail).await;
            }
        }
    }

    /// Runs something long on the store, at [`BYTES_PER_SECOND`], until the daemon ends.
    async fn with_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(
            &Store,
            &mut dyn FnMut() -> bool,
            &mut dyn FnMut(u64) -> ControlFlow<()>,
        ) -> Result<T, StoreError>
        + Send
        + 'static,
    ) -> Result<T, KeepError> {
        let (store, inventory, stop) =
            (self.catalogue.store().clone(), self.inventory.clone(), self.stop.clone());
        let runtime = Handle::current();
        let done = tokio::task::spawn_blocking(move || {
            let mut budget = Budget::default();
            let mut may_drop = || runtime.block_on(no_capture_runs(&inventory));
            let mut pace = |bytes| {
                if let Some(pause) = budget.spend(bytes) {
                    let mut stop = stop.clone();
                    let _ = runtime.block_on(async { tokio::time::timeout(pause, stopped(&mut stop)).await });
                }
                if *stop.borrow() || stop.has_changed().is_err() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            work(&store, &mut may_drop, &mut pace)
        });
        Ok(done.await??)
    }
}

/// A capture relies on chunks of which it was told that they are there, over restarts of the server as well.
async fn no_capture_runs(inventory: &Inventory) -> bool {
    let running = |job: &inventory::Job| {
        matches!(job.task, JobTask::Capture { .. }) && matches!(job.state, JobState::Running { .. })
    };
    // When that cannot be known, nothing is dropped.
    inventory
        .open_jobs()
        .await
        .is_ok_and(|(jobs, unreadable)| unreadable.is_empty() && !jobs.iter().any(running))
}

/// The manifests of all versions.
fn named(images: &[Image]) -> HashSet<ManifestId> {
    versions(images).map(|(_, _, manifest)| manifest).collect()
}

/// Name, number and manifest of all versions.
fn versions(images: &[Image]) -> impl Iterator<Item = (&str, i64, ManifestId)> {
    images.iter().flat_map(|image| {
        let of =
            |v: &inventory::ImageVersion| Some((image.name.as_str(), v.version, v.manifest.parse().ok()?));
        image.versions.iter().filter_map(of)
    })
}

fn damage(chunks: &[images::chunk::Hash]) -> String {
    let names: Vec<String> = chunks.iter().take(DAMAGE_NAMED_MAX).map(ToString::to_string).collect();
    match chunks.len() {
        count if count > names.len() => format!("{count} chunks, among them {}", names.join(", ")),
        _ => format!("chunk {}", names.join(", ")),
    }
}

/// Manifests that no version names, and since when.
#[derive(Debug, Default)]
struct Orphans {
    since: HashMap<ManifestId, Instant>,
}

impl Orphans {
    /// Those that are to be taken back.
    ///
    /// Somebody who publishes names the manifest in the inventory a moment after it appears in the store. And a database
    /// that was put back to an older state by mistake can be exchanged before anything is lost.
    fn due(&mut self, now: Instant, in_store: &[ManifestId], named: &HashSet<ManifestId>) -> Vec<ManifestId> {
        let orphaned: HashSet<ManifestId> =
            in_store.iter().filter(|id| !named.contains(*id)).copied().collect();
        self.since.retain(|id, _| orphaned.contains(id));
        for id in orphaned {
            self.since.entry(id).or_insert(now);
        }
        let due = self.since.iter().filter(|(_, since)| now.saturating_duration_since(**since) >= ORPHANED);
        due.map(|(id, _)| *id).collect()
    }
}

/// How much may be read and written.
#[derive(Debug, Default)]
struct Budget {
    spent: u64,
}

impl Budget {
    /// How long to pause after these bytes.
    fn spend(&mut self, bytes: u64) -> Option<Duration> {
        self.spent += bytes;
        (self.spent >= PIECE_BYTES).then(|| {
            let pause = Duration::from_millis(self.spent * 1000 / BYTES_PER_SECOND);
            self.spent = 0;
            pause
        })
    }
}

/// Makes an empty file.
fn note(path: &std::path::Path) {
    if let Err(error) = std::fs::write(path, b"") {
        tracing::warn!(error = &error as &dyn std::error::Error, "cannot write {}", path.display());
    }
}

fn scrub_is_due(store_dir: &std::path::Path) -> bool {
    let marker = store_dir.join(SCRUBBED).metadata().and_then(|m| m.modified());
    let now = system_time();
    // A marker of the future was written with a wrong clock.
    marker.map_or(true, |at| now.duration_since(at).is_ok_and(|age| age >= SCRUB_EVERY))
}

/// The time of files.
fn system_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(inventory::clock::now().0.max(0).unsigned_abs())
}

/// Its time is when everything was read the last time.
const SCRUBBED: &str = "scrubbed";
/// Is there while chunks may be there that no manifest names.
const GARBAGE: &str = "garbage";
const SCRUB_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);
const ROUND: Duration = Duration::from_secs(30);
/// As long as somebody may need to find out that an image was deleted by mistake with its database.
const ORPHANED: Duration = Duration::from_secs(600);
/// 100 GB in an hour and a half, and a disk that turns does it besides serving PCs.
const BYTES_PER_SECOND: u64 = 20 << 20;
const PIECE_BYTES: u64 = 2 << 20;
const DAMAGE_NAMED_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use images::chunk::Hash;

    #[test]
    fn a_manifest_is_taken_back_only_after_no_version_named_it_for_a_while() {
        let start = inventory::clock::instant();
        let (a, b) = (Hash::of(b"a"), Hash::of(b"b"));
        let mut orphans = Orphans::default();
        let mut due = |secs, in_store: &[Hash], named: &[Hash]| {
            orphans.due(start + Duration::from_secs(secs), in_store, &named.iter().copied().collect())
        };
        assert_eq!(due(0, &[a, b], &[a]), []);
        assert_eq!(due(599, &[a, b], &[a]), []);
        assert_eq!(due(600, &[a, b], &[a]), [b]);
        assert_eq!(due(700, &[a, b], &[a, b]), [], "it was named after all");
        assert_eq!(due(800, &[a, b], &[a]), []);
        assert_eq!(due(1399, &[a, b], &[a]), []);
        assert_eq!(due(1400, &[a, b], &[a]), [b]);
        assert_eq!(due(1500, &[a], &[a]), []);
    }

    #[test]
    fn the_pace_is_what_it_should_be() {
        let mut budget = Budget::default();
        let pauses: Duration = (0..2000).filter_map(|_| budget.spend(64 << 10)).sum();
        let expected = Duration::from_millis(2000 * (64 << 10) * 1000 / BYTES_PER_SECOND);
        assert!(
            pauses <= expected && pauses + Duration::from_millis(200) > expected,
            "{pauses:?} {expected:?}"
        );
    }
}
