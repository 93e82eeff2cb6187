//! Bounds in time: how often something may happen, and for whom.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// A token bucket for each key: `burst` at once, one more after every `refill`. Knows at most `keys_max` keys; a further
/// key is refused until the bucket of another has filled up and can be forgotten.
#[derive(Debug)]
pub(crate) struct Buckets<K> {
    burst: u32,
    refill: Duration,
    keys_max: usize,
    /// For each key the instant at which its bucket is full again. A full bucket needs no entry.
    full_at: HashMap<K, Instant>,
}

impl<K: Eq + Hash> Buckets<K> {
    pub(crate) fn new(burst: u32, refill: Duration, keys_max: usize) -> Self {
        Self { burst, refill, keys_max, full_at: HashMap::new() }
    }

    /// Takes a token of that key, or tells how long to wait for one.
    pub(crate) fn take(&mut self, key: K, now: Instant) -> Result<(), Duration> {
        if self.full_at.len() >= self.keys_max && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= self.keys_max {
                return Err(self.refill);
            }
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        let then = (*full_at).max(now) + self.refill;
        let missing = then.saturating_duration_since(now);
        let allowed = self.refill * self.burst;
        if missing > allowed {
            return Err(missing - allowed);
        }
        *full_at = then;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_one_per_interval() {
        let start = inventory::clock::instant();
        let mut buckets = Buckets::new(3, Duration::from_secs(2), 10);
        let mut taken = |key: &'static str, after_ms: u64| {
            buckets.take(key, start + Duration::from_millis(after_ms)).map_err(|wait| wait.as_millis())
        };
        assert_eq!([taken("a", 0), taken("a", 0), taken("a", 0)], [Ok(()); 3]);
        assert_eq!(taken("a", 0), Err(2000));
        assert_eq!(taken("b", 0), Ok(()), "another key has its own bucket");
        assert_eq!(taken("a", 1500), Err(500));
        assert_eq!(taken("a", 2000), Ok(()));
        assert_eq!(taken("a", 2000), Err(2000));
        assert_eq!([taken("a", 60_000), taken("a", 60_000), taken("a", 60_000)], [Ok(()); 3]);
        assert_eq!(taken("a", 60_000), Err(2000), "a long silence saves up no more than the burst");
    }

    #[test]
    fn strangers_cannot_fill_the_memory_with_keys() {
        let start = inventory::clock::instant();
        let mut buckets = Buckets::new(2, Duration::from_secs(1), 100);
        for key in 0..1000 {
            assert_eq!(buckets.take(key, start).is_ok(), key < 100);
        }
        assert_eq!(buckets.full_at.len(), 100);
        assert!(buckets.take(5000, start + Duration::from_secs(1)).is_ok(), "full buckets are forgotten");
    }
}
