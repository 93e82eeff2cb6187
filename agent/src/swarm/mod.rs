//! Chunks from and for the other PCs of the room that write the same image. Who asks whom is the server's decision:
//! [`images::swarm`].
//!
//! | Module  | What it does                                                   |
//! |---------|----------------------------------------------------------------|
//! | `share` | what this PC has                                               |
//! | `serve` | passes it on                                                   |
//! | `peers` | asks others                                                    |
//! | `frame` | what they say to each other                                    |
//! | `tls`   | nobody else understands it, and nobody else is believed        |

mod frame;
mod peers;
mod serve;
mod share;
mod tls;

#[cfg(test)]
mod tests;

use std::net::TcpStream;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use images::chunk::{ChunkSource, Hash, Place, Stored, TransferError, Wanted};
use images::deploy::Written;
use images::protocol::{Ask, Referral, SwarmToken, TYPE_OF_SERVICE, Told};
use images::swarm::{Fault, PeerId};

use crate::client::{Batch, ClientError};
use crate::clock;
use crate::identity::Identity;
use crate::line::Line;
use peers::Peers;
use serve::Serving;
use share::Share;

/// This PC's part in a swarm.
pub struct Swarm {
    line: Line,
    job: String,
    share: Arc<Share>,
    peers: Peers,
    serving: Serving,
    /// Batches before this one are on the disk.
    written: AtomicU32,
    told: Mutex<Vec<Told>>,
    from_server: AtomicU64,
    from_peers: AtomicU64,
}

/// Why this PC takes no part.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    /// The TLS library refuses the device key.
    #[error("the device key cannot be used: {0}")]
    Key(#[from] rustls::Error),
    /// No port is to be had.
    #[error("no port can be opened: {0}")]
    Port(#[from] std::io::Error),
}

impl Swarm {
    /// Begins to pass on what is on `disk`, and what will come.
    ///
    /// # Errors
    /// See [`SwarmError`].
    pub fn start(
        line: &Line,
        job: &str,
        token: SwarmToken,
        identity: &Identity,
        disk: Written,
        memory_bytes: u64,
    ) -> Result<Swarm, SwarmError> {
        let kept = usize::try_from(memory_bytes / KEPT_PART).unwrap_or(KEPT_MAX).clamp(KEPT_MIN, KEPT_MAX);
        let share = Arc::new(Share::new(disk, kept));
        let serving = Serving::start(tls::serving(identity)?, token, share.clone())?;
        Ok(Swarm {
            line: line.clone(),
            job: job.to_owned(),
            share,
            peers: Peers::new(token),
            serving,
            written: AtomicU32::new(0),
            told: Mutex::default(),
            from_server: AtomicU64::new(0),
            from_peers: AtomicU64::new(0),
        })
    }

    /// Batches before this one are on the disk.
    pub fn wrote(&self, batch: u32) {
        self.written.store(batch, Ordering::Relaxed);
    }

    /// Bytes of chunks that came from other PCs.
    pub fn peer_bytes(&self) -> u64 {
        self.from_peers.load(Ordering::Relaxed)
    }

    /// Bytes of chunks that came, from wherever.
    pub fn moved_bytes(&self) -> u64 {
        self.peer_bytes() + self.from_server.load(Ordering::Relaxed)
    }

    /// Goes on passing on as long as the server says that others need it.
    pub fn stay(self, line: &Line) {
        // A server that does not answer needs nobody to wait for it.
        while let Ok(true) = line.client().stay(&self.job).map(|stay| stay.needed) {
            line.screen().show(crate::screen::Scene::Helping);
            clock::wait(STAY_EVERY);
        }
    }

    /// `failed` is who was just no help with this batch.
    fn ask(
        &self,
        batch: u32,
        hashes: &[Hash],
        direct: bool,
        failed: Option<(PeerId, Fault)>,
    ) -> Result<Batch, ClientError> {
        let mut told: Vec<Told> =
            failed.map(|failed| Told { batch, failed: Some(failed) }).into_iter().collect();
        let mut waiting = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(TOLD_MAX);
        told.extend(waiting.drain(..count));
        drop(waiting);
        let written = self.written.load(Ordering::Relaxed);
        let ask = Ask { batch, port: self.serving.port(), written, direct, told };
        self.line.ask(|client| client.batch(&self.job, &ask, hashes))
    }

    fn bring(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        let mut open: Vec<(usize, Hash)> = wanted.hashes.iter().copied().enumerate().collect();
        let (mut referrals, mut failed) = (0, None);
        while !open.is_empty() {
            let hashes: Vec<Hash> = open.iter().map(|(_, hash)| *hash).collect();
            match self.ask(wanted.batch, &hashes, referrals >= REFERRALS_MAX, failed.take())? {
                Batch::Chunks(chunks) => {
                    for ((index, hash), stored) in open.iter().zip(chunks) {
                        self.from_server.fetch_add(stored.stored_len() as u64, Ordering::Relaxed);
                        self.take(wanted.batch, *index, hash, stored, place);
                    }
                    // What the server sends damaged is the caller's to ask for again.
                    break;
                }
                Batch::Referred(referral) => {
                    referrals += 1;
                    let outcome = self.take_from(&referral, wanted.batch, &hashes, &mut open, place);
                    failed = outcome.err().map(|fault| (referral.peer, fault));
                }
            }
        }
        let done = Told { batch: wanted.batch, failed: None };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        Ok(())
    }

    /// What came whole is not open any more.
    fn take_from(
        &self,
        referral: &Referral,
        batch: u32,
        hashes: &[Hash],
        open: &mut Vec<(usize, Hash)>,
        place: &mut Place<'_>,
    ) -> Result<(), Fault> {
        let asked = open.clone();
        self.peers.fetch(referral, batch, hashes, |at, stored| {
            let Some((index, hash)) = asked.get(at) else { return false };
            let len = stored.stored_len() as u64;
            let whole = self.take(batch, *index, hash, stored, place);
            if whole {
                self.from_peers.fetch_add(len, Ordering::Relaxed);
                open.retain(|(open, _)| open != index);
            }
            whole
        })
    }

    /// Puts a chunk where it belongs, and keeps it for others if it is whole.
    fn take(&self, batch: u32, index: usize, hash: &Hash, stored: Stored, place: &mut Place<'_>) -> bool {
        let whole = place(index, &stored);
        if whole {
            self.share.put(batch, *hash, Arc::new(stored));
        }
        whole
    }
}

impl ChunkSource for Swarm {
    fn fetch(&self, wanted: &Wanted<'_>, place: &mut Place<'_>) -> Result<(), TransferError> {
        self.share.expect(wanted.batch, wanted.hashes);
        let outcome = self.bring(wanted, place);
        self.share.settle(wanted.batch);
        outcome
    }
}

fn mark_background(stream: &TcpStream) {
    // A kernel that does not let us is no reason not to go on.
    let _ = socket2::SockRef::from(stream).set_tos_v4(TYPE_OF_SERVICE.into());
}

/// After so many PCs that were no help the server sends.
const REFERRALS_MAX: u32 = 3;
const TOLD_MAX: usize = 64;
const STAY_EVERY: Duration = Duration::from_secs(2);
/// One part in so many of the memory is for chunks that others may ask for.
const KEPT_PART: u64 = 16;
const KEPT_MIN: usize = 16 << 20;
const KEPT_MAX: usize = 256 << 20;
