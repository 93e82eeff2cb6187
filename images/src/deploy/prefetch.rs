//! Looking at batches and fetching what they lack, ahead, with several threads, and handing them over in order.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::DeployError;
use super::scan::{Found, Scan};
use super::work::Batch;
use crate::chunk::{CHUNK_BYTES, ChunkError, ChunkSource, Hash, Stored, Wanted};

/// Calls `write` for every batch in order, with its unpacked and verified chunks. With a `scan`, only chunks that differ
/// from what the disk holds are fetched; while one thread waits for the disk, others wait for the network.
///
/// At most `threads + 2` batches are in memory. The first error, of a fetch or of `write`, ends everything; what comes
/// before the batch that could not be fetched is written first.
pub(super) fn in_order(
    source: &dyn ChunkSource,
    scan: Option<&Scan<'_>>,
    batches: &[Batch<'_>],
    threads: usize,
    mut write: impl FnMut(&Batch<'_>, &Ready) -> Result<(), DeployError>,
) -> Result<(), DeployError> {
    let line = Line { state: Mutex::new(State::default()), changed: Condvar::new(), window: threads + 2 };
    std::thread::scope(|scope| {
        for _ in 0..threads.min(batches.len()) {
            scope.spawn(|| {
                let _leave = Leave { line: &line, writer: false };
                line.fetch_all(source, scan, batches);
            });
        }
        let _leave = Leave { line: &line, writer: true };
        for (number, batch) in batches.iter().enumerate() {
            let ready = line.take(number)?;
            write(batch, &ready)?;
            line.give_back(ready.content);
        }
        Ok(())
    })
}

struct Line {
    state: Mutex<State>,
    changed: Condvar,
    window: usize,
}

#[derive(Default)]
struct State {
    /// Next batch that nobody fetches yet.
    next: usize,
    /// Next batch to be written.
    writing: usize,
    /// How many have come. More are asked for at once as they come: what PCs do at the beginning of a lesson, all at once,
    /// would else be one long wait for each.
    fetched: usize,
    ready: BTreeMap<usize, Ready>,
    /// Buffers to use again: giving 4 MiB back to the system and asking for it again costs as much as hashing it.
    buffers: Vec<Vec<u8>>,
    /// The first batch that cannot be had, and why.
    failed: Option<(usize, DeployError)>,
    stop: bool,
}

/// A batch that can be written.
pub(super) struct Ready {
    /// Its chunks that are not zero.
    pub(super) content: Vec<u8>,
    /// Where each of them came from.
    pub(super) found: Vec<Found>,
    /// Bytes that were fetched, as stored.
    pub(super) fetched: u64,
}

impl State {
    /// Nothing more is begun; what was begun for earlier batches may still come.
    fn fail(&mut self, number: usize, error: DeployError) {
        if self.failed.as_ref().is_none_or(|(at, _)| number < *at) {
            self.failed = Some((number, error));
        }
        self.stop = true;
    }
}

impl Line {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fetch_all(&self, source: &dyn ChunkSource, scan: Option<&Scan<'_>>, batches: &[Batch<'_>]) {
        while let Some((number, batch, mut content)) = self.claim(batches) {
            content.resize(batch.hashes.len() * CHUNK_BYTES, 0);
            let found = match scan {
                Some(scan) => scan.look(batch, &mut content),
                None => vec![Found::Differs; batch.hashes.len()],
            };
            let outcome = fetch(source, batch, &found, &mut content);
            let mut state = self.lock();
            match outcome {
                Ok(fetched) => {
                    state.fetched += 1;
                    state.ready.insert(number, Ready { content, found, fetched });
                }
                Err(error) => {
                    state.fail(number, error);
                }
            }
            self.changed.notify_all();
        }
    }

    /// The next batch to fetch, as soon as the look-ahead allows it.
    fn claim<'b, 'm>(&self, batches: &'b [Batch<'m>]) -> Option<(usize, &'b Batch<'m>, Vec<u8>)> {
        let mut state = self.lock();
        while !state.stop && state.next >= state.writing + self.window.min(AT_FIRST + state.fetched) {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let number = state.next;
        let batch = batches.get(number).filter(|_| !state.stop)?;
        state.next += 1;
        Some((number, batch, state.buffers.pop().unwrap_or_default()))
    }

    fn take(&self, number: usize) -> Result<Ready, DeployError> {
        let mut state = self.lock();
        state.writing = number;
        self.changed.notify_all();
        loop {
            if let Some(ready) = state.ready.remove(&number) {
                return Ok(ready);
            }
            if let Some((_, error)) = state.failed.take_if(|(at, _)| *at <= number) {
                return Err(error);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn give_back(&self, buffer: Vec<u8>) {
        self.lock().buffers.push(buffer);
    }
}

/// Ends the waiting of all others when a thread leaves: the writing one always, a fetching one when it panics.
struct Leave<'l> {
    line: &'l Line,
    writer: bool,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        if self.writer || std::thread::panicking() {
            // The scope passes a panic of a fetching thread on.
            self.line.lock().fail(0, DeployError::Cancelled);
            self.line.changed.notify_all();
        }
    }
}

/// Fetches what differs, checks and unpacks it. What comes damaged is asked for once more: the damage may be on the way.
/// Returns the bytes that came, as stored.
fn fetch(
    source: &dyn ChunkSource,
    batch: &Batch<'_>,
    found: &[Found],
    content: &mut [u8],
) -> Result<u64, DeployError> {
    let places = batch.hashes.iter().zip(found).zip(content.chunks_exact_mut(CHUNK_BYTES));
    let mut open: Vec<Open<'_>> = places
        .filter(|((_, found), _)| **found == Found::Differs)
        .map(|((hash, _), out)| Open { hash: *hash, out, damage: None })
        .collect();
    let mut fetched = 0;
    for _ in 0..ATTEMPTS {
        if open.is_empty() {
            break;
        }
        fetched += fetch_once(source, batch.number, &mut open)?;
    }
    match open.into_iter().find_map(|it| Some((it.hash, it.damage?))) {
        Some((hash, source)) => Err(DeployError::Corrupt { hash, source }),
        None => Ok(fetched),
    }
}

/// A chunk that is not there yet.
struct Open<'c> {
    hash: Hash,
    out: &'c mut [u8],
    /// What was wrong with what came.
    damage: Option<ChunkError>,
}

/// What came whole is not open any more.
fn fetch_once(source: &dyn ChunkSource, batch: u32, open: &mut Vec<Open<'_>>) -> Result<u64, DeployError> {
    let hashes: Vec<Hash> = open.iter().map(|it| it.hash).collect();
    let (mut fetched, mut whole) = (0, vec![false; hashes.len()]);
    let mut place = |index: usize, stored: &Stored| {
        let (Some(it), Some(whole)) = (open.get_mut(index), whole.get_mut(index)) else { return false };
        fetched += stored.stored_len() as u64;
        it.damage = stored.unpack_into(&it.hash, it.out).err();
        *whole = it.damage.is_none();
        *whole
    };
    source.fetch(&Wanted { batch, hashes: &hashes }, &mut place).map_err(DeployError::Fetch)?;
    let mut whole = whole.into_iter();
    open.retain(|_| !whole.next().unwrap_or(false));
    match open.iter().filter(|it| it.damage.is_none()).count() {
        0 => Ok(fetched),
        absent => Err(DeployError::Count { asked: hashes.len(), got: hashes.len() - absent }),
    }
}

const ATTEMPTS: usize = 2;
const AT_FIRST: usize = 3;
