//! At most one log line per source and minute, in bounded memory.

use std::collections::HashMap;

use inventory::UnixMillis;

/// Who was mentioned in the log, and when.
#[derive(Debug, Default)]
pub(crate) struct LogLimit {
    seen: HashMap<Source, (i64, u64)>,
}

/// An interface number, an IP address and the first bytes of a hardware address, as far as there are any.
pub(crate) type Source = (u32, u32, [u8; 6]);

impl LogLimit {
    /// Counts an event; `Some(n)` when it should be logged, with the number of events since the last time.
    pub(crate) fn note(&mut self, now: UnixMillis, source: Source) -> Option<u64> {
        if self.seen.len() >= SOURCES_MAX && !self.seen.contains_key(&source) {
            self.seen.retain(|_, (at, _)| now.0 - *at < MINUTE);
            if self.seen.len() >= SOURCES_MAX {
                return None;
            }
        }
        let (at, count) = self.seen.entry(source).or_insert((i64::MIN, 0));
        *count += 1;
        (now.0.saturating_sub(*at) >= MINUTE).then(|| {
            *at = now.0;
            std::mem::take(count)
        })
    }
}

const MINUTE: i64 = 60_000;
const SOURCES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_mentioned_once_a_minute_with_what_was_left_out() {
        let mut limit = LogLimit::default();
        let mut at = |millis, n: u8| limit.note(UnixMillis(millis), (1, 0, [n; 6]));
        assert_eq!(at(0, 1), Some(1));
        assert_eq!(at(10, 1), None);
        assert_eq!(at(59_999, 1), None);
        assert_eq!(at(5, 2), Some(1));
        assert_eq!(at(60_000, 1), Some(3));
    }

    #[test]
    fn made_up_sources_fill_no_memory_and_silence_nobody_for_long() {
        let mut limit = LogLimit::default();
        let logged = (0..5000).filter(|n| limit.note(UnixMillis(0), (*n, 0, [0; 6])).is_some()).count();
        assert_eq!((logged, limit.seen.len()), (SOURCES_MAX, SOURCES_MAX));
        assert_eq!(limit.note(UnixMillis(MINUTE), (9999, 0, [0; 6])), Some(1));
    }
}
