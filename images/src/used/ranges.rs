//! A sorted set of byte ranges whose size in memory is bounded.

use std::ops::Range;

/// Byte ranges in ascending order that neither overlap nor touch.
///
/// A badly fragmented file system, or one made to hurt us, has many millions of ranges. Beyond a limit the set closes the
/// smallest gaps: it then names some unused bytes as used, which costs a little transfer and is never wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranges {
    ranges: Vec<Range<u64>>,
    /// Gaps shorter than this are closed.
    gap: u64,
    limit: usize,
}

impl Default for Ranges {
    fn default() -> Ranges {
        Ranges::with_limit(RANGES_MAX)
    }
}

impl Ranges {
    /// An empty set that holds at most `limit` ranges.
    pub fn with_limit(limit: usize) -> Ranges {
        Ranges { ranges: Vec::new(), gap: 0, limit: limit.max(1) }
    }

    /// The set of one range.
    pub fn whole(len: u64) -> Ranges {
        let mut set = Ranges::default();
        set.push(0..len);
        set
    }

    /// Adds a range that starts no earlier than every range before it. One that does anyway is merged by
    /// [`Ranges::extend_unsorted`] instead.
    pub fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.ranges.last_mut() {
            Some(last) if range.start < last.start => return self.extend_unsorted(vec![range]),
            Some(last) if range.start <= last.end.saturating_add(self.gap) => {
                last.end = last.end.max(range.end)
            }
            _ => self.ranges.push(range),
        }
        while self.ranges.len() > self.limit {
            self.gap = (self.gap * 2).max(4096);
            self.close_gaps();
        }
    }

    /// Adds ranges in any order.
    pub fn extend_unsorted(&mut self, mut more: Vec<Range<u64>>) {
        let mut all = std::mem::take(&mut self.ranges);
        all.append(&mut more);
        all.sort_unstable_by_key(|r| r.start);
        for range in all {
            self.push(range);
        }
    }

    /// Cuts away everything from `end` on.
    pub fn truncate(&mut self, end: u64) {
        self.ranges.retain(|r| r.start < end);
        if let Some(last) = self.ranges.last_mut() {
            last.end = last.end.min(end);
        }
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().cloned()
    }

    /// Bytes in all ranges together.
    pub fn bytes(&self) -> u64 {
        self.ranges.iter().map(|r| r.end - r.start).sum()
    }

    /// The ranges that overlap `window`, cut to it, ascending.
    pub fn within(&self, window: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let first = self.ranges.partition_point(|r| r.end <= window.start);
        let rest = self.ranges.get(first..).unwrap_or_default();
        let end = window.end;
        rest.iter().take_while(move |r| r.start < end).map(move |r| r.start.max(window.start)..r.end.min(end))
    }

    fn close_gaps(&mut self) {
        let gap = self.gap;
        self.ranges.dedup_by(|next, kept| {
            let close = next.start <= kept.end.saturating_add(gap);
            if close {
                kept.end = kept.end.max(next.end);
            }
            close
        });
    }
}

/// 16 MiB of memory.
const RANGES_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_set_covers_what_was_added_and_stays_sorted_and_small(
            parts in prop::collection::vec((0u64..2000, 0u64..50), 0..80), limit in 1usize..20, end in 0u64..2100
        ) {
            let mut set = Ranges::with_limit(limit);
            for (start, len) in &parts {
                set.push(*start..start + len);
            }
            let all: Vec<_> = set.iter().collect();
            prop_assert!(all.len() <= limit);
            prop_assert!(all.windows(2).all(|w| w[0].end < w[1].start));
            for (start, len) in &parts {
                for at in *start..start + len {
                    prop_assert!(all.iter().any(|r| r.contains(&at)));
                }
            }
            let inside: u64 = set.within(100..700).map(|r| r.end - r.start).sum();
            let expected = (100..700).filter(|at| all.iter().any(|r| r.contains(at))).count() as u64;
            prop_assert_eq!(inside, expected);
            set.truncate(end);
            prop_assert!(set.iter().all(|r| r.end <= end && r.start < r.end));
        }
    }

    #[test]
    fn without_a_shortage_nothing_is_rounded() {
        let mut set = Ranges::default();
        set.extend_unsorted(vec![10..20, 0..5, 21..22, 20..21, 7..8]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0..5, 7..8, 10..22]);
        assert_eq!(set.bytes(), 18);
    }
}
