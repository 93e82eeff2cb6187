//! The pack that is being written.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{Flock, FlockArg};

use super::pack::{self, Place, Record};
use super::{StoreError, failed, index};
use crate::chunk::{Hash, Stored};

/// Appends records. Whoever holds it holds a lock on the file, so that nobody takes it for abandoned.
#[derive(Debug)]
pub(super) struct Writer {
    path: PathBuf,
    file: Arc<File>,
    /// A second handle of the same file that carries the lock.
    _lock: Flock<File>,
    entries: HashMap<Hash, Place>,
    len: u64,
    /// Finished, or lost to a failed sync.
    spent: bool,
}

impl Writer {
    /// The caller holds the lock of the store.
    pub(super) fn create(folder: &Path, number: u32) -> Result<Writer, StoreError> {
        let path = folder.join(format!("{number:08}.pack"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(failed("create", &path))?;
        let lock = file.try_clone().map_err(failed("open", &path))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| failed("lock", &path)(errno.into()))?;
        // The name must survive a power cut as well as the content.
        File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync", folder))?;
        Ok(Writer { path, file: Arc::new(file), _lock: lock, entries: HashMap::new(), len: 0, spent: false })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn find(&self, hash: &Hash) -> Option<Place> {
        self.entries.get(hash).copied()
    }

    pub(super) fn record(&self, place: Place) -> Result<Record, StoreError> {
        Ok(Record { file: Arc::clone(&self.file), path: self.path.clone(), place })
    }

    /// After an error the pack ends with the record before.
    pub(super) fn append(&mut self, hash: &Hash, stored: &Stored) -> Result<(), StoreError> {
        let record = pack::encode(hash, stored);
        if let Err(error) = self.file.write_all_at(&record, self.len) {
            // What was written of it would be cut off by the next start anyway.
            let _ = self.file.set_len(self.len);
            return Err(failed("write", &self.path)(error));
        }
        self.entries.insert(*hash, Place { offset: self.len, stored_len: stored.stored_len() as u32 });
        self.len += record.len() as u64;
        Ok(())
    }

    /// Makes everything durable and writes the index. After an error it can be called again unless
    /// [`Writer::is_spent`]; the next start of the store would do the same. `lock` takes the lock of the store: whoever opens
    /// the store meanwhile would take a half-written index for one that a dead process left.
    pub(super) fn finish(
        &mut self,
        lock: impl FnOnce() -> Result<Flock<File>, StoreError>,
    ) -> Result<(), StoreError> {
        if self.entries.is_empty() {
            self.spent = true;
            return fs::remove_file(&self.path).map_err(failed("remove", &self.path));
        }
        if let Err(error) = self.file.sync_all() {
            // The kernel may have dropped what it could not write, and a second sync would succeed all the same. The
            // next start of the store finds out what is really there.
            self.spent = true;
            return Err(failed("sync", &self.path)(error));
        }
        let _lock = lock()?;
        index::write(&pack::index_path(&self.path), self.entries.iter().map(|(h, p)| (*h, *p)).collect())?;
        self.spent = true;
        Ok(())
    }

    /// Removes the file. If that fails, the next start of the store keeps what is in it.
    pub(super) fn abandon(&mut self) {
        self.spent = true;
        let _ = fs::remove_file(&self.path);
    }

    /// Whether this writer must not be used any more.
    pub(super) fn is_spent(&self) -> bool {
        self.spent
    }
}
