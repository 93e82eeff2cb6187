//! Chunks over HTTP, in both directions, with all the patience that a school's network needs.

use std::sync::atomic::{AtomicU64, Ordering};

use images::chunk::{ChunkSink, ChunkSource, Hash, Place, Stored, TransferError, Wanted};
use images::protocol::HASHES_PER_QUERY;

use crate::line::Line;

/// The server's chunks for one job.
pub(super) struct HttpChunks<'h> {
    line: &'h Line,
    job: &'h str,
    /// Bytes of chunks that crossed the network.
    moved: AtomicU64,
}

impl<'h> HttpChunks<'h> {
    pub(super) fn new(line: &'h Line, job: &'h str) -> HttpChunks<'h> {
        HttpChunks { line, job, moved: AtomicU64::new(0) }
    }

    pub(super) fn moved_bytes(&self) -> u64 {
        self.moved.load(Ordering::Relaxed)
    }
}

impl ChunkSource for HttpChunks<'_> {
    fn fetch(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        let chunks = self.line.ask(|client| client.chunks(self.job, wanted.hashes))?;
        for (index, stored) in chunks.iter().enumerate() {
            self.moved.fetch_add(stored.stored_len() as u64, Ordering::Relaxed);
            // What is damaged is asked for again.
            place(index, stored);
        }
        Ok(())
    }
}

impl ChunkSink for HttpChunks<'_> {
    fn missing(&self, hashes: &[Hash]) -> Result<Vec<bool>, TransferError> {
        let mut missing = Vec::with_capacity(hashes.len());
        for part in hashes.chunks(HASHES_PER_QUERY) {
            missing.extend(self.line.ask(|client| client.missing(self.job, part))?);
        }
        Ok(missing)
    }

    fn upload(&self, chunks: &[(Hash, Stored)]) -> Result<(), TransferError> {
        let bytes: usize = chunks.iter().map(|(_, stored)| stored.stored_len()).sum();
        let mut body = Vec::with_capacity(bytes + chunks.len() * 36);
        for (hash, stored) in chunks {
            body.extend_from_slice(hash.as_bytes());
            stored.push_record(&mut body);
        }
        self.line.ask(|client| client.upload(self.job, &body))?;
        self.moved.fetch_add(bytes as u64, Ordering::Relaxed);
        Ok(())
    }
}
