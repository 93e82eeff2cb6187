//! The server's chunks and manifests on disk.
//!
//! ```text
//! packs/00000001.pack    chunks, appended one after the other
//! packs/00000001.index   where each chunk is; exists once the pack is finished
//! manifests/HASH         one published image version
//! lock                   held while files appear or disappear
//! holders                locked by those who rely on chunks that no manifest names yet
//! ```
//!
//! A chunk is kept once, whatever images use it. A pack is written by one [`Store`] only, which holds a lock on it; once
//! it has an index it is never written again. So several processes may use one folder at a time, and `kill -9` or a power
//! cut at any moment leaves whole chunks, which the next [`Store::open`] keeps, and at most one half chunk at the end of a
//! pack, which it cuts off. A manifest appears by one `rename`, after every chunk that it names is durable.
//!
//! Chunks that no manifest names are freed by [`Store::collect`], pack by pack. Locks are taken in this order: the open
//! pack's mutex, the file `lock`, the mutex of [`Store::refresh`].

mod collect;
pub(crate) mod index;
pub(crate) mod pack;
mod scrub;
mod writer;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use nix::fcntl::{Flock, FlockArg};

use crate::chunk::{
    CHUNK_BYTES, ChunkError, ChunkSink, ChunkSource, Hash, Place, Stored, TransferError, Wanted,
};
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestError, ManifestId};
pub use collect::{Collected, Hold};
use pack::Pack;
pub use scrub::Scrub;
use writer::Writer;

/// A folder of chunks and manifests. Shared by reference between threads.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    /// Finished packs, the newest first.
    packs: RwLock<Vec<Arc<Pack>>>,
    /// Held from listing the folder until `packs` says the same.
    refreshing: Mutex<()>,
    writer: Mutex<Option<Writer>>,
    /// Records that turned out to be damaged: as good as absent until they are uploaded again.
    damaged: RwLock<HashSet<(u32, Hash)>>,
    pack_bytes_max: u64,
}

/// Why the store cannot do what it should.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder cannot be read or written.
    #[error("{path}: cannot {action}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// How it failed.
        #[source]
        source: io::Error,
    },
    /// The disk is full. Everything that was accepted before is kept.
    #[error(
        "no space left for the image store in {path}: free some space there, or move the data folder to a larger disk"
    )]
    Full {
        /// The folder.
        path: PathBuf,
    },
    /// A stored chunk is damaged. Capturing the same image again repairs it.
    #[error("chunk {hash} is damaged on disk ({pack} at byte {offset})")]
    Damaged {
        /// Which chunk.
        hash: Hash,
        /// In which file.
        pack: PathBuf,
        /// Where its record begins.
        offset: u64,
    },
    /// A chunk that was to be stored is not what it claims to be.
    #[error("chunk {hash} was not accepted")]
    Refused {
        /// Which chunk.
        hash: Hash,
        /// What is wrong.
        #[source]
        source: ChunkError,
    },
    /// A manifest cannot be published because chunks are not there.
    #[error("{missing} chunks of the image are not in the store, the first is {first}")]
    Incomplete {
        /// How many.
        missing: usize,
        /// One of them.
        first: Hash,
    },
    /// A manifest cannot be published because it is not signed.
    #[error("only a signed manifest can be published")]
    Unsigned,
    /// A published manifest is damaged.
    #[error("manifest {id} is damaged on disk")]
    Manifest {
        /// Which.
        id: ManifestId,
        /// How.
        #[source]
        source: ManifestError,
    },
}

impl Store {
    /// Opens the store in `dir`, creating it if there is none, and recovers what an interrupted process left.
    ///
    /// # Errors
    /// [`StoreError::Io`]. A damaged pack is no error: its intact chunks are kept.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        Store::open_with(dir, PACK_BYTES_MAX)
    }

    /// As [`Store::open`] with another size at which a pack is finished.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(dir: &Path, pack_bytes_max: u64) -> Result<Store, StoreError> {
        for folder in [dir.to_path_buf(), dir.join(PACKS), dir.join(MANIFESTS)] {
            fs::create_dir_all(&folder).map_err(failed("create the folder", &folder))?;
        }
        let store = Store {
            dir: dir.to_path_buf(),
            packs: RwLock::default(),
            refreshing: Mutex::default(),
            writer: Mutex::default(),
            damaged: RwLock::default(),
            pack_bytes_max,
        };
        let _lock = store.lock()?;
        for folder in [PACKS, MANIFESTS] {
            remove_strays(&dir.join(folder))?;
        }
        for (number, path) in store.pack_files()? {
            match pack::recover(number, &path) {
                // No published image needs a pack that was never finished: the server starts without it.
                Err(error @ StoreError::Full { .. }) => tracing::error!(pack = number, "{error}"),
                other => other?,
            }
        }
        store.refresh()?;
        Ok(store)
    }

    /// Whether the chunk is there, as far as is known without reading it. The chunk of zeros always is.
    pub fn contains(&self, hash: &Hash) -> bool {
        if *hash == Hash::zero_chunk() || self.locate(hash).is_some() {
            return true;
        }
        let in_open_pack = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.as_ref().is_some_and(|w| w.find(hash).is_some())
        };
        // The open pack may have been finished between the two looks.
        in_open_pack || self.locate(hash).is_some()
    }

    /// The chunk as it is stored, after its checksum was verified. `None` if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] or [`StoreError::Io`].
    pub fn stored(&self, hash: &Hash) -> Result<Option<Stored>, StoreError> {
        if *hash == Hash::zero_chunk() {
            let zeros = Stored::pack(&vec![0; CHUNK_BYTES]);
            return zeros.map(Some).map_err(|source| StoreError::Refused { hash: *hash, source });
        }
        if let Some(found) = self.read(hash)? {
            return Ok(Some(found));
        }
        let in_open_pack = {
            let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
            writer.as_ref().and_then(|w| w.find(hash).map(|place| w.record(place))).transpose()?
        };
        if let Some(record) = in_open_pack {
            return record.read(hash).map(Some);
        }
        // Another process may have finished a pack since.
        self.refresh()?;
        self.read(hash)
    }

    /// Stores chunks that are not there yet, each after its content was unpacked and hashed. Durable after
    /// [`Store::sync`]. Returns how many were new.
    ///
    /// # Errors
    /// [`StoreError::Refused`] before anything of this call is stored; [`StoreError::Full`] and [`StoreError::Io`] with
    /// some of it stored.
    pub fn ingest(&self, chunks: &[(Hash, Stored)]) -> Result<usize, StoreError> {
        let mut content = vec![0; CHUNK_BYTES];
        for (hash, stored) in chunks {
            stored
                .unpack_into(hash, &mut content)
                .map_err(|source| StoreError::Refused { hash: *hash, source })?;
        }
        let mut new = 0;
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        for (hash, stored) in chunks {
            let known = *hash == Hash::zero_chunk()
                || slot.as_ref().is_some_and(|w| w.find(hash).is_some())
                || self.locate(hash).is_some();
            if known {
                continue;
            }
            if slot.as_ref().is_some_and(|w| w.len() >= self.pack_bytes_max) {
                self.finish(&mut slot)?;
            }
            let writer = match slot.as_mut() {
                Some(writer) => writer,
                None => slot.insert(self.new_pack()?),
            };
            writer.append(hash, stored)?;
            new += 1;
        }
        Ok(new)
    }

    /// Returns once every chunk that was accepted is durable and indexed.
    ///
    /// # Errors
    /// [`StoreError::Full`] and [`StoreError::Io`].
    pub fn sync(&self) -> Result<(), StoreError> {
        let mut slot = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.finish(&mut slot)
    }

    /// Makes a signed manifest visible, all or nothing, after making its chunks durable.
    ///
    /// # Errors
    /// [`StoreError::Unsigned`], [`StoreError::Incomplete`], [`StoreError::Full`], [`StoreError::Io`]. The manifest is
    /// then not visible.
    pub fn publish(&self, manifest: &Manifest) -> Result<ManifestId, StoreError> {
        if !manifest.is_signed() {
            return Err(StoreError::Unsigned);
        }
        self.sync()?;
        // From the look at the chunks until the manifest is there, no pack may be dropped.
        let _lock = self.lock()?;
        self.refresh()?;
        let missing: HashSet<&Hash> = manifest.hashes().filter(|h| self.locate(h).is_none()).collect();
        if let Some(first) = manifest.hashes().find(|h| missing.contains(h)) {
            return Err(StoreError::Incomplete { missing: missing.len(), first: *first });
        }
        let id = manifest.id();
        write_whole(&self.dir.join(MANIFESTS), &id.to_string(), &[&manifest.to_bytes()])?;
        Ok(id)
    }

    /// The published images, in no particular order.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn manifests(&self) -> Result<Vec<ManifestId>, StoreError> {
        let folder = self.dir.join(MANIFESTS);
        let entries = fs::read_dir(&folder).map_err(failed("list", &folder))?;
        let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
        Ok(names.filter_map(|n| n.parse().ok()).collect())
    }

    /// A published manifest. `None` if there is none with this id.
    ///
    /// # Errors
    /// [`StoreError::Manifest`] if the file is damaged, [`StoreError::Io`]. The signature is for the caller to check.
    pub fn manifest(&self, id: &ManifestId) -> Result<Option<Manifest>, StoreError> {
        let Some(bytes) = self.manifest_bytes(id)? else { return Ok(None) };
        let manifest = Manifest::parse(&bytes).map_err(|source| StoreError::Manifest { id: *id, source })?;
        Ok(Some(manifest))
    }

    /// The file of a published manifest, to be sent as it is.
    ///
    /// # Errors
    /// As [`Store::manifest`]; a file that is not the manifest of this id is damaged.
    pub fn manifest_bytes(&self, id: &ManifestId) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.dir.join(MANIFESTS).join(id.to_string());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed("read", &path)(error)),
        };
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(StoreError::Manifest { id: *id, source: ManifestError::TooLarge(bytes.len()) });
        }
        // Name and signature are checked by whoever parses it; that it is this image and not another is checked here.
        let signed_part = bytes.len().checked_sub(65).and_then(|end| bytes.get(..end)).unwrap_or_default();
        if Hash::of(signed_part) != *id {
            return Err(StoreError::Manifest { id: *id, source: ManifestError::Signature });
        }
        Ok(Some(bytes))
    }

    fn read(&self, hash: &Hash) -> Result<Option<Stored>, StoreError> {
        let Some((pack, place)) = self.locate(hash) else { return Ok(None) };
        let outcome = pack.record(place).read(hash);
        if matches!(outcome, Err(StoreError::Damaged { .. })) {
            self.mark_damaged(pack.number(), *hash);
            tracing::error!(chunk = %hash, pack = %pack.path().display(), offset = place.offset, "a stored chunk is damaged");
        }
        outcome.map(Some)
    }

    fn mark_damaged(&self, pack: u32, hash: Hash) {
        self.damaged.write().unwrap_or_else(PoisonError::into_inner).insert((pack, hash));
    }

    fn packs(&self) -> Vec<Arc<Pack>> {
        self.packs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn locate(&self, hash: &Hash) -> Option<(Arc<Pack>, pack::Place)> {
        let packs = self.packs.read().unwrap_or_else(PoisonError::into_inner);
        packs.iter().find_map(|pack| {
            let place = pack.index().find(hash)?;
            let damaged = self.damaged.read().unwrap_or_else(PoisonError::into_inner);
            (!damaged.contains(&(pack.number(), *hash))).then(|| (Arc::clone(pack), place))
        })
    }

    /// Looks for packs that were finished, changed or dropped since, by this process or another.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn refresh(&self) -> Result<(), StoreError> {
        let _refreshing = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.packs();
        let mut found = Vec::new();
        for (number, path) in self.pack_files()? {
            match known.iter().find(|pack| pack.number() == number && pack.is_current()) {
                Some(pack) => found.push(Arc::clone(pack)),
                None => found.extend(Pack::open(number, &path)?.map(Arc::new)),
            }
        }
        found.sort_by_key(|pack| std::cmp::Reverse(pack.number()));
        *self.packs.write().unwrap_or_else(PoisonError::into_inner) = found;
        Ok(())
    }

    fn finish(&self, slot: &mut Option<Writer>) -> Result<(), StoreError> {
        let Some(writer) = slot.as_mut() else { return Ok(()) };
        let outcome = writer.finish(|| self.lock());
        if writer.is_spent() {
            *slot = None;
        }
        outcome?;
        self.refresh()
    }

    fn new_pack(&self) -> Result<Writer, StoreError> {
        let _lock = self.lock()?;
        let highest = self.pack_files()?.iter().map(|(number, _)| *number).max().unwrap_or(0);
        Writer::create(&self.dir.join(PACKS), highest + 1)
    }

    fn pack_files(&self) -> Result<Vec<(u32, PathBuf)>, StoreError> {
        let folder = self.dir.join(PACKS);
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed("list", &folder))? {
            let path = entry.map_err(failed("list", &folder))?.path();
            let number = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.parse().ok());
            if let (Some(number), Some("pack")) = (number, path.extension().and_then(|e| e.to_str())) {
                found.push((number, path));
            }
        }
        Ok(found)
    }

    /// Held by one process at a time, while files are created, renamed or cleaned away.
    fn lock(&self) -> Result<Flock<File>, StoreError> {
        let path = self.dir.join("lock");
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed("open", &path))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed("lock", &path)(errno.into()))
    }
}

impl ChunkSource for Store {
    fn fetch(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        for (index, hash) in wanted.hashes.iter().enumerate() {
            let stored = self.stored(hash)?.ok_or_else(|| format!("chunk {hash} is not in the store"))?;
            place(index, &stored);
        }
        Ok(())
    }
}

impl ChunkSink for Store {
    fn missing(&self, hashes: &[Hash]) -> Result<Vec<bool>, TransferError> {
        Ok(hashes.iter().map(|h| !self.contains(h)).collect())
    }

    fn upload(&self, chunks: &[(Hash, Stored)]) -> Result<(), TransferError> {
        self.ingest(chunks)?;
        Ok(())
    }
}

/// Writes a file that is either whole or not there.
fn write_whole(folder: &Path, name: &str, parts: &[&[u8]]) -> Result<(), StoreError> {
    use std::io::Write;
    let temporary = folder.join(format!("{name}{STRAY}"));
    let write = || {
        let mut file = File::create(&temporary)?;
        parts.iter().try_for_each(|part| file.write_all(part))?;
        file.sync_all()?;
        fs::rename(&temporary, folder.join(name))?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&temporary);
        failed("write", &folder.join(name))(error)
    })
}

/// Removes what [`write_whole`] was not able to finish, and an index whose pack is gone. The caller holds the lock, so nobody is writing.
fn remove_strays(folder: &Path) -> Result<(), StoreError> {
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let path = entry.map_err(failed("list", folder))?.path();
        let is_index = path.extension().is_some_and(|e| e == "index");
        if path.to_str().is_some_and(|p| p.ends_with(STRAY))
            || (is_index && !path.with_extension("pack").exists())
        {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// Names the operation and the path of an I/O error; a full disk is told apart.
fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_path_buf();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            StoreError::Full { path }
        }
        _ => StoreError::Io { action, path, source },
    }
}

const PACKS: &str = "packs";
const MANIFESTS: &str = "manifests";
const STRAY: &str = ".new";
/// 4 GiB: the index of an open pack then takes about 10 MB of memory.
const PACK_BYTES_MAX: u64 = 4 << 30;

#[cfg(test)]
mod collect_tests;
#[cfg(test)]
mod tests;
