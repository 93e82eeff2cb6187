//! Free addresses of one network, found without looking at every address for every client.

use std::collections::BTreeSet;

/// Addresses from first to last. Those never given away are walked through once; after that, the one whose lease ended
/// longest ago is reused first (RFC 2131 section 4.3.1).
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) first: u32,
    pub(super) last: u32,
    cursor: u32,
    unseen: u64,
    /// Walked past while they could not be given away, and free since.
    returned: Vec<u32>,
    /// `(end of lease, address)` of all leases of this pool that nobody else has a claim on.
    idle: BTreeSet<(i64, u32)>,
}

impl Pool {
    /// Begins its walk at an address chosen by `seed`, so that two servers on one database rarely offer the same address.
    pub(super) fn new(first: u32, last: u32, seed: u64) -> Self {
        let size = u64::from(last.saturating_sub(first)) + 1;
        let offset = u32::try_from(seed % size).unwrap_or(0);
        Self {
            first,
            last,
            cursor: first.saturating_add(offset),
            unseen: size,
            returned: Vec::new(),
            idle: BTreeSet::new(),
        }
    }

    pub(super) fn contains(&self, ip: u32) -> bool {
        (self.first..=self.last).contains(&ip)
    }

    /// An address that has no lease yet, if there is one. `taken` says which cannot be given away.
    pub(super) fn take_fresh(&mut self, taken: impl Fn(u32) -> bool) -> Option<u32> {
        while let Some(ip) = self.returned.pop() {
            if self.contains(ip) && !taken(ip) {
                return Some(ip);
            }
        }
        while self.unseen > 0 {
            let ip = self.cursor;
            self.unseen -= 1;
            self.cursor = if ip >= self.last { self.first } else { ip + 1 };
            if !taken(ip) {
                return Some(ip);
            }
        }
        None
    }

    /// The address that [`Pool::take_fresh`] will try next, if it is still walking.
    pub(super) fn upcoming(&self) -> Option<u32> {
        (self.unseen > 0).then_some(self.cursor)
    }

    /// The address whose lease ended longest ago, if it ended by `now`.
    pub(super) fn oldest_ended(&self, now: i64) -> Option<u32> {
        self.idle.first().filter(|(end, _)| *end <= now).map(|(_, ip)| *ip)
    }

    pub(super) fn give_back(&mut self, ip: u32) {
        self.returned.push(ip);
    }

    pub(super) fn note(&mut self, end: i64, ip: u32) {
        self.idle.insert((end, ip));
    }

    pub(super) fn forget(&mut self, end: i64, ip: u32) {
        self.idle.remove(&(end, ip));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_offered_once_wherever_the_walk_begins() {
        for seed in [0, 1, 4, 5, u64::MAX] {
            let mut pool = Pool::new(10, 14, seed);
            let mut seen: Vec<u32> = std::iter::from_fn(|| pool.take_fresh(|ip| ip == 12)).collect();
            seen.sort_unstable();
            assert_eq!(seen, [10, 11, 13, 14]);
        }
    }

    #[test]
    fn the_lease_that_ended_longest_ago_is_reused_first() {
        let mut pool = Pool::new(10, 14, 0);
        pool.note(500, 10);
        pool.note(300, 11);
        assert_eq!(pool.oldest_ended(299), None);
        assert_eq!(pool.oldest_ended(900), Some(11));
        pool.forget(300, 11);
        assert_eq!(pool.oldest_ended(900), Some(10));
    }

    #[test]
    fn a_pool_of_one_address_at_the_end_of_the_world_does_not_overflow() {
        let mut pool = Pool::new(u32::MAX, u32::MAX, 7);
        assert_eq!(pool.take_fresh(|_| false), Some(u32::MAX));
        assert_eq!(pool.take_fresh(|_| false), None);
    }
}
