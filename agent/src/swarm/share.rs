//! What this PC has for others: chunks that have just come, from memory, and all others from its disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use images::chunk::{Hash, Stored};
use images::deploy::{Written, WrittenBatch};

/// Chunks for others.
pub(super) struct Share {
    state: Mutex<State>,
    changed: Condvar,
    disk: Written,
    /// Bytes of chunks that are kept in memory.
    bytes_max: usize,
}

#[derive(Default)]
struct State {
    batches: BTreeMap<u32, Batch>,
    bytes: usize,
}

#[derive(Default)]
struct Batch {
    coming: HashSet<Hash>,
    here: HashMap<Hash, Arc<Stored>>,
}

/// Where a chunk is.
pub(super) enum Found {
    /// Here it is.
    Here(Arc<Stored>),
    /// On its way to this PC.
    Coming,
    /// Not in memory; perhaps on the disk.
    Elsewhere,
}

impl Share {
    pub(super) fn new(disk: Written, bytes_max: usize) -> Share {
        Share { state: Mutex::default(), changed: Condvar::new(), disk, bytes_max }
    }

    /// Each change leaves a state that is right, so a panic elsewhere cannot have left half of one.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These chunks are being fetched.
    pub(super) fn expect(&self, batch: u32, hashes: &[Hash]) {
        self.lock().batches.entry(batch).or_default().coming.extend(hashes);
    }

    /// A chunk has come and is what it should be.
    pub(super) fn put(&self, number: u32, hash: Hash, stored: Arc<Stored>) {
        let mut state = self.lock();
        let batch = state.batches.entry(number).or_default();
        batch.coming.remove(&hash);
        let len = stored.stored_len();
        let before = batch.here.insert(hash, stored).map_or(0, |old| old.stored_len());
        state.bytes = (state.bytes + len).saturating_sub(before);
        state.shrink(self.bytes_max);
        self.changed.notify_all();
    }

    /// What has not come of this batch will not.
    pub(super) fn settle(&self, batch: u32) {
        if let Some(batch) = self.lock().batches.get_mut(&batch) {
            batch.coming.clear();
        }
        self.changed.notify_all();
    }

    /// Where a chunk is; one that is on its way is waited for, so long.
    pub(super) fn find(&self, batch: u32, hash: &Hash, wait: Duration) -> Found {
        let is_coming =
            |state: &mut State| state.batches.get(&batch).is_some_and(|batch| batch.coming.contains(hash));
        let waited = self.changed.wait_timeout_while(self.lock(), wait, is_coming);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let Some(batch) = state.batches.get(&batch) else { return Found::Elsewhere };
        match batch.here.get(hash) {
            Some(stored) => Found::Here(stored.clone()),
            None if batch.coming.contains(hash) => Found::Coming,
            None => Found::Elsewhere,
        }
    }

    /// The batch as it stands on the disk.
    pub(super) fn on_disk(&self, batch: u32) -> WrittenBatch<'_> {
        self.disk.batch(batch)
    }
}

impl State {
    /// Gives up the first batches: all of them is on the disk.
    fn shrink(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(first) = self.batches.iter().find(|(_, batch)| batch.coming.is_empty()).map(|(n, _)| *n)
            else {
                return;
            };
            let gone = self.batches.remove(&first).unwrap_or_default();
            let bytes: usize = gone.here.values().map(|stored| stored.stored_len()).sum();
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
