//! Group commit: leases wait here until they are durable, then their acknowledgements leave.

use std::collections::hash_map::{Entry, HashMap};
use std::collections::{HashSet, VecDeque};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use inventory::{Inventory, Lease, clock};
use tokio::sync::Notify;

use super::worker::{Order, transmit};
use super::{Counters, Shared};
use crate::chain::chain;
use crate::dhcp::{Problem, Reply};

/// A lease to write, and the reply that may leave afterwards.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) lease: Lease,
    pub(super) reply: Option<Reply>,
}

/// Work that waits, in the order of the packets; bounded.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<VecDeque<Work>>,
    filled: Condvar,
    stopped: AtomicBool,
}

impl Queue {
    /// Appends the work of one packet, all or nothing. `false` when too much waits: the client asks again.
    pub(super) fn push(&self, work: &mut Vec<Work>) -> bool {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = waiting.len() + work.len() <= WAITING_MAX;
        if fits {
            waiting.extend(work.drain(..));
            self.filled.notify_one();
        }
        work.clear();
        fits
    }

    pub(super) fn stop(&self) {
        // Under the lock, so that it cannot fall between the committer's look and its sleep.
        let _waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        self.stopped.store(true, Ordering::Relaxed);
        self.filled.notify_all();
    }

    /// Waits for work and takes all that one transaction can hold; nothing when it is time to stop.
    fn take(&self) -> Vec<Work> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while waiting.is_empty() && !self.stopped.load(Ordering::Relaxed) {
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        first_batch(&mut waiting)
    }
}

/// Takes work up to the first address that occurs a second time for another client. A transaction writes each address once,
/// and the later client's claim is judged against the earlier one's.
fn first_batch(waiting: &mut VecDeque<Work>) -> Vec<Work> {
    let mut clients: HashMap<Ipv4Addr, String> = HashMap::new();
    let mut count = 0;
    for work in waiting.iter().take(BATCH_MAX) {
        match clients.entry(work.lease.ip) {
            Entry::Occupied(seen) if *seen.get() != work.lease.client => break,
            Entry::Occupied(_) => {}
            Entry::Vacant(free) => {
                free.insert(work.lease.client.clone());
            }
        }
        count += 1;
    }
    waiting.drain(..count).collect()
}

/// The thread that writes leases.
pub(super) struct Committer {
    inventory: Inventory,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Handle,
    written: Vec<Arc<Notify>>,
}

impl Committer {
    pub(super) fn new(
        inventory: Inventory,
        shared: Arc<Shared>,
        runtime: tokio::runtime::Handle,
        written: Vec<Arc<Notify>>,
    ) -> Self {
        Self { inventory, shared, runtime, written }
    }

    pub(super) fn run(self) {
        loop {
            let batch = self.shared.queue.take();
            if batch.is_empty() {
                return;
            }
            self.commit(batch);
        }
    }

    fn commit(&self, batch: Vec<Work>) {
        let counters = &self.shared.counters;
        // Of several states of one lease the last counts; durable is durable.
        let mut last: HashMap<Ipv4Addr, usize> = HashMap::with_capacity(batch.len());
        let mut leases: Vec<Lease> = Vec::with_capacity(batch.len());
        let mut replies: Vec<Reply> = Vec::with_capacity(batch.len());
        let mut reply_addresses: Vec<Ipv4Addr> = Vec::with_capacity(batch.len());
        for Work { lease, reply } in batch {
            if let Some(reply) = reply {
                replies.push(reply);
                reply_addresses.push(lease.ip);
            }
            match last.entry(lease.ip) {
                Entry::Occupied(at) => {
                    if let Some(earlier) = leases.get_mut(*at.get()) {
                        *earlier = lease;
                    }
                }
                Entry::Vacant(free) => {
                    free.insert(leases.len());
                    leases.push(lease);
                }
            }
        }
        let accepted = match self.runtime.block_on(self.inventory.commit_leases(clock::now(), &leases)) {
            Ok(accepted) => accepted,
            Err(error) => {
                Counters::add(&counters.uncommitted, replies.len());
                if self.shared.notes.raise(COMMIT_PLACE, || unwritable(&error)) {
                    tracing::error!(
                        lease.count = leases.len(),
                        error = chain(&error),
                        "leases could not be written; their clients get no answer and ask again"
                    );
                }
                return;
            }
        };
        if self.shared.notes.clear(COMMIT_PLACE) {
            tracing::info!("leases can be written again");
        }
        Counters::add(&counters.committed, accepted.len());
        if accepted.len() < leases.len() {
            let accepted: HashSet<Ipv4Addr> = accepted.into_iter().collect();
            replies = replies
                .into_iter()
                .zip(&reply_addresses)
                .map(|(ack, ip)| if accepted.contains(ip) { ack } else { ack.into_refusal() })
                .collect();
            let refused: Vec<Ipv4Addr> =
                leases.iter().map(|lease| lease.ip).filter(|ip| !accepted.contains(ip)).collect();
            Counters::add(&counters.refused, refused.len());
            self.learn(&refused);
        }
        transmit(&self.shared, &mut replies);
        for written in &self.written {
            written.notify_one();
        }
    }

    /// Another server on the same database has given these addresses away; the engine is told to whom. All leases are read
    /// then: there will be more that it does not know.
    fn learn(&self, refused: &[Ipv4Addr]) {
        tracing::info!(
            lease.count = refused.len(),
            "another server has given these addresses; their clients start again"
        );
        match self.runtime.block_on(self.inventory.leases()) {
            Ok((leases, _)) => self.shared.control.send(Order::Stored(leases)),
            Err(error) => {
                tracing::warn!(error = chain(&error), "cannot read the leases of the other server");
            }
        }
    }
}

fn unwritable(error: &inventory::Error) -> Problem {
    Problem {
        place: COMMIT_PLACE.into(),
        text: format!("leases cannot be written, devices get no addresses: {}", chain(error)),
        remedy: "make room on the disk, or find out who locks the database; this server goes on by itself"
            .into(),
    }
}

const COMMIT_PLACE: &str = "leases/database";
/// A transaction of this size takes some tens of milliseconds.
const BATCH_MAX: usize = 512;
/// What two seconds of a very fast server bring; more than that nobody waits for.
const WAITING_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    use inventory::{LeaseState, MacAddr, UnixMillis};

    use super::*;

    fn work(ip: u8, client: &str) -> Work {
        let lease = Lease {
            ip: [10, 0, 0, ip].into(),
            client: client.into(),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            hostname: None,
            state: LeaseState::Active,
            expires_at: UnixMillis(1),
        };
        Work { lease, reply: None }
    }

    #[test]
    fn a_batch_ends_where_an_address_changes_hands() {
        let mut waiting: VecDeque<Work> =
            [work(1, "a"), work(2, "b"), work(1, "a"), work(1, "c"), work(2, "b")].into();
        assert_eq!(first_batch(&mut waiting).len(), 3);
        assert_eq!(first_batch(&mut waiting).len(), 2);
        assert!(first_batch(&mut waiting).is_empty());
    }

    #[test]
    fn the_queue_is_bounded_and_takes_the_work_of_a_packet_whole() {
        let queue = Queue::default();
        let mut pushed = 0;
        while queue.push(&mut vec![work(1, "a"), work(2, "a"), work(3, "a")]) {
            pushed += 3;
        }
        assert_eq!(pushed, WAITING_MAX / 3 * 3);
        queue.stop();
    }
}
