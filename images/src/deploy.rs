//! Writing an image onto a disk, such that it can be interrupted at any moment and never boots half-written.
//!
//! The order is: [`Deploy::new`] lays the image out and looks for the journal of an interrupted run ->
//! [`Deploy::wipe_table`] -> [`Deploy::write_chunks`] -> the caller grows and personalises file systems, with partitions
//! that only the kernel knows of -> [`Deploy::commit_table`]. A caller that needs the disk's device for itself in between
//! drops the value and makes a new one: the journal tells it that all chunks are there.
//!
//! A disk that holds much of the image already is not emptied but read, and only what differs is fetched and written, in
//! place. Nothing is noted about what was found: an interrupted run looks again.

use std::io;
use std::ops::ControlFlow;

use crate::blockdev::{BlockDev, Discarded};
use crate::chunk::{CHUNK_BYTES, ChunkError, ChunkSource, Hash, TransferError};
use crate::layout::{self, FitError, Layout, Placement};
use crate::manifest::Manifest;
use crate::protocol::BATCH_CHUNKS;
use crate::reserved::{self, Journal};
use crate::table::{self, TableError};

mod prefetch;
mod scan;
mod work;
mod written;

use prefetch::Ready;
use scan::{Found, Scan};
use work::{Batch, Piece};
pub use written::{Written, WrittenBatch};

/// One image on its way to one disk.
pub struct Deploy<'d> {
    dev: &'d dyn BlockDev,
    manifest: &'d Manifest,
    layout: Layout,
    journal: Journal,
    /// Chunks that were durable when this value was made.
    resumed: u64,
    /// Whether to look first at what the disk holds.
    scans: bool,
}

/// How many threads fetch and how much at once. The look-ahead takes about `(fetch_threads + 2) * batch_chunks` times
/// 64 KiB of memory.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Threads that fetch, check and unpack chunks.
    pub fetch_threads: usize,
    /// Chunks per fetch, at most [`crate::protocol::CHUNKS_PER_FETCH`]. With [`crate::protocol::BATCH_CHUNKS`] batches are
    /// what other PCs take for them.
    pub batch_chunks: usize,
    /// The journal is written when this many bytes are durable since the last time.
    pub journal_bytes: u64,
}

impl Default for Options {
    fn default() -> Options {
        Options { fetch_threads: 6, batch_chunks: BATCH_CHUNKS, journal_bytes: 64 << 20 }
    }
}

/// How far [`Deploy::write_chunks`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Bytes of the image that are written, including what an earlier run had written.
    pub done_bytes: u64,
    /// Bytes of the image in all, zeros included.
    pub total_bytes: u64,
    /// Bytes that were fetched, as stored.
    pub fetched_bytes: u64,
    /// Bytes that an earlier run had written.
    pub resumed_bytes: u64,
    /// Bytes that this run found on the disk, unused bytes aside, and did not fetch.
    pub kept_bytes: u64,
    /// Batches, counted from the beginning of the image, before which all is written.
    pub batches: u32,
}

/// Why a deploy cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    /// The image does not go onto this disk.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The partition table cannot be written.
    #[error("the partition table cannot be written")]
    Table(#[from] TableError),
    /// The disk fails.
    #[error("the disk fails at byte {offset}")]
    Disk {
        /// Where.
        offset: u64,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The reserved place cannot be read or written.
    #[error("the journal in the reserved place of the disk cannot be read or written")]
    Journal(#[source] io::Error),
    /// Chunks cannot be fetched.
    #[error("chunks cannot be fetched")]
    Fetch(#[source] TransferError),
    /// The source answered with something else than was asked for.
    #[error("{asked} chunks were asked for and {got} came")]
    Count {
        /// Chunks in the request.
        asked: usize,
        /// Chunks in the answer.
        got: usize,
    },
    /// A chunk was damaged, twice. Nothing of it was written.
    #[error("chunk {hash} of the image is damaged")]
    Corrupt {
        /// Which.
        hash: Hash,
        /// How.
        #[source]
        source: ChunkError,
    },
    /// The progress callback said so. What was written counts when the job is resumed.
    #[error("cancelled")]
    Cancelled,
    /// [`Deploy::commit_table`] before all chunks are durable.
    #[error("the partition table must not be written before all {total} chunks are; {done} are")]
    TooEarly {
        /// Durable chunks.
        done: u64,
        /// Chunks of the image.
        total: u64,
    },
}

impl<'d> Deploy<'d> {
    /// Lays the image out on the disk and finds out how far an interrupted run of the same job has come. Writes nothing.
    ///
    /// # Errors
    /// [`DeployError::Fit`], or the disk cannot be read.
    pub fn new(dev: &'d dyn BlockDev, manifest: &'d Manifest, job: &str) -> Result<Deploy<'d>, DeployError> {
        let layout = layout::fit(manifest, dev.len_bytes(), dev.sector_bytes())?;
        let id = manifest.id();
        let total = manifest.chunk_count();
        let found = reserved::read_journal(dev).map_err(DeployError::Journal)?;
        let journal = match found {
            // With a table on it the disk has been somebody else's in between, unless the chunks were complete.
            Some(old)
                if old.job == job
                    && old.manifest == id
                    && old.done <= total
                    && (old.done == total || !matches!(table::read(dev), Ok(Some(_)))) =>
            {
                old
            }
            _ => Journal { job: job.into(), manifest: id, done: 0, zeroed: false, finished: false },
        };
        let resumed = journal.done;
        Ok(Deploy { dev, manifest, layout, journal, resumed, scans: false })
    }

    /// Where everything goes.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Whether all chunks are durable: only personalising and the table are left.
    pub fn chunks_are_written(&self) -> bool {
        self.journal.done == self.manifest.chunk_count()
    }

    /// Whether the table is written too: the job is done.
    pub fn is_finished(&self) -> bool {
        self.journal.finished
    }

    /// Bytes that an earlier run of this job had written.
    pub fn resumed_bytes(&self) -> u64 {
        self.resumed.saturating_mul(CHUNK_BYTES as u64)
    }

    /// Erases the partition table, so that a half-written disk boots nothing, and begins the journal. A disk that holds
    /// little or nothing of the image is told that all of its content may go. Does nothing of this a second time when an
    /// interrupted job goes on.
    ///
    /// # Errors
    /// The disk fails.
    pub fn wipe_table(&mut self) -> Result<(), DeployError> {
        if self.journal.finished || self.chunks_are_written() {
            return Ok(());
        }
        // A disk that was emptied holds only what the journal counts, and a little more that is not worth a look.
        self.scans = !self.journal.zeroed
            && scan::is_worth_it(self.dev, self.manifest, &self.layout, self.journal.done);
        table::wipe(self.dev)?;
        if self.journal.done == 0 {
            self.journal.zeroed = !self.scans && self.discard_all()?;
            self.write_journal(0)?;
        }
        Ok(())
    }

    /// Writes every chunk that is not yet durable and does not stand there, in ascending order, each checked before it is
    /// written. What stands there is known only after [`Deploy::wipe_table`].
    ///
    /// `progress` is called after every batch and may end the work.
    ///
    /// # Errors
    /// After any error the job can be resumed with a new [`Deploy`].
    pub fn write_chunks(
        &mut self,
        source: &dyn ChunkSource,
        options: &Options,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Progress, DeployError> {
        let manifest = self.manifest;
        if self.journal.finished {
            let all = manifest.data_bytes();
            return Ok(Progress {
                done_bytes: all,
                total_bytes: all,
                resumed_bytes: all,
                ..Progress::default()
            });
        }
        let batches = work::batches(manifest, options.batch_chunks, self.journal.done);
        let mut at = Progress {
            done_bytes: self.journal.done.saturating_mul(CHUNK_BYTES as u64),
            total_bytes: manifest.data_bytes(),
            resumed_bytes: self.resumed_bytes(),
            ..Progress::default()
        };
        let mut unsynced = 0;
        let mut position = self.journal.done;
        let threads = options.fetch_threads.clamp(1, 16);
        let layout = self.layout.clone();
        let scan = self.scans.then(|| Scan::new(self.dev, &layout));
        let outcome = prefetch::in_order(source, scan.as_ref(), &batches, threads, |batch, ready| {
            unsynced += self.write_batch(batch, ready)?;
            position = batch.end;
            at.batches = batch.number + 1;
            at.done_bytes = position.saturating_mul(CHUNK_BYTES as u64);
            at.fetched_bytes += ready.fetched;
            let kept = ready.found.iter().filter(|found| **found != Found::Differs).count();
            at.kept_bytes += (kept * CHUNK_BYTES) as u64;
            if unsynced >= options.journal_bytes {
                self.checkpoint(position)?;
                unsynced = 0;
            }
            match progress(at) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(DeployError::Cancelled),
            }
        });
        // What is on the disk need not be fetched again, unless the disk itself failed: after a failed sync the next one
        // may succeed although the data is lost.
        if !matches!(outcome, Err(DeployError::Disk { .. } | DeployError::Journal(_))) {
            let saved = self.checkpoint(position);
            return outcome.and(saved).map(|()| at);
        }
        outcome.map(|()| at)
    }

    /// Writes the partition table and the boot code: from here on the disk boots.
    ///
    /// # Errors
    /// [`DeployError::TooEarly`], or the disk fails.
    pub fn commit_table(&mut self) -> Result<(), DeployError> {
        if self.journal.finished {
            return Ok(());
        }
        if !self.chunks_are_written() {
            let total = self.manifest.chunk_count();
            return Err(DeployError::TooEarly { done: self.journal.done, total });
        }
        self.sync()?;
        table::write(self.dev, &self.layout.table)?;
        self.journal.finished = true;
        self.write_journal(self.journal.done)?;
        self.sync()
    }

    /// Makes everything before `position` durable, then says so in the journal, durably as well.
    fn checkpoint(&mut self, position: u64) -> Result<(), DeployError> {
        if position == self.journal.done && position != self.manifest.chunk_count() {
            return Ok(());
        }
        self.sync()?;
        self.write_journal(position)?;
        self.sync()
    }

    fn write_journal(&mut self, done: u64) -> Result<(), DeployError> {
        self.journal.done = done;
        reserved::write_journal(self.dev, &self.journal).map_err(DeployError::Journal)
    }

    fn sync(&self) -> Result<(), DeployError> {
        self.dev.sync().map_err(|source| DeployError::Disk { offset: 0, source })
    }

    /// Whether the whole disk but the reserved place reads as zeros afterwards.
    fn discard_all(&self) -> Result<bool, DeployError> {
        let len = self.dev.len_bytes();
        let Some(place) = reserved::range(len) else { return Ok(false) };
        let mut zeroed = true;
        for range in [0..place.start, place.end..len] {
            let done = self.dev.discard(range.start, range.end - range.start);
            zeroed &= done.map_err(|source| DeployError::Disk { offset: range.start, source })?
                == Discarded::Zeroed;
        }
        Ok(zeroed)
    }

    /// Returns how many bytes were handed to the disk.
    fn write_batch(&self, batch: &Batch<'_>, ready: &Ready) -> Result<u64, DeployError> {
        let Some(placement) = self.layout.placements.get(batch.partition) else { return Ok(0) };
        let mut content = ready.content.as_slice();
        let mut found = ready.found.as_slice();
        let mut written = 0;
        for piece in &batch.pieces {
            if piece.zero {
                if !self.journal.zeroed {
                    let (offset, len) = place(placement, piece);
                    let zeroed = self.dev.write_zeros(offset, len);
                    zeroed.map_err(|source| DeployError::Disk { offset, source })?;
                    self.dev.start_writeback(offset, len);
                    written += len;
                }
                continue;
            }
            let count = piece.count as usize;
            let (own, behind) = content.split_at_checked(count * CHUNK_BYTES).unwrap_or_default();
            let (own_found, found_behind) = found.split_at_checked(count).unwrap_or_default();
            (content, found) = (behind, found_behind);
            written += self.write_piece(placement, piece.first, own, own_found)?;
        }
        Ok(written)
    }

    /// Writes those of neighbouring chunks that do not stand on the disk, as many in one go as there are.
    fn write_piece(
        &self,
        placement: &Placement,
        mut first: u32,
        mut content: &[u8],
        found: &[Found],
    ) -> Result<u64, DeployError> {
        let mut written = 0;
        for run in found.chunk_by(|a, b| (*a == Found::Same) == (*b == Found::Same)) {
            let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
            let (offset, len) = place(placement, &Piece { first, count, zero: false });
            let (own, behind) = content.split_at_checked(run.len() * CHUNK_BYTES).unwrap_or_default();
            first = first.saturating_add(count);
            content = behind;
            if run.first() == Some(&Found::Same) {
                continue;
            }
            // The last chunk of a partition is longer than what is left of the partition.
            let own = own.get(..usize::try_from(len).unwrap_or(0)).unwrap_or_default();
            self.dev.write_at(offset, own).map_err(|source| DeployError::Disk { offset, source })?;
            self.dev.start_writeback(offset, len);
            written += len;
        }
        Ok(written)
    }
}

/// Where a piece goes on the disk, cut at the end of its partition.
fn place(placement: &Placement, piece: &Piece) -> (u64, u64) {
    let from = (u64::from(piece.first) * CHUNK_BYTES as u64).min(placement.len);
    let len = u64::from(piece.count) * CHUNK_BYTES as u64;
    (placement.start + from, len.min(placement.len - from))
}
