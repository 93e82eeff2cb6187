//! Which of the pairs that fell through in the kernel are to be written down: those that nothing explains, each at most once a minute.

use std::collections::HashMap;

use inventory::{StraySeen, UnixMillis};

use super::plan::Facts;
use super::state::Pair;

/// What was written down, and when.
#[derive(Debug, Default)]
pub(crate) struct Strays(HashMap<Pair, UnixMillis>);

impl Strays {
    /// Whether there is a pair that was never written down: a lease that is not read yet may explain it.
    pub(crate) fn has_new(&self, found: &[Pair], facts: &Facts) -> bool {
        found.iter().any(|pair| !self.0.contains_key(pair) && facts.stray(*pair).is_some())
    }

    /// What is to be written down of the pairs that the kernel found.
    pub(crate) fn due(&mut self, found: &[Pair], facts: &Facts, now: UnixMillis) -> Vec<StraySeen> {
        // As many as the kernel finds in a while, so this is bounded by the size of its set.
        self.0.retain(|_, at| now.millis_since(*at) < REMEMBERED_MILLIS);
        let mut due = Vec::new();
        for pair in found {
            let Some(seen) = facts.stray(*pair) else { continue };
            if self.0.get(pair).is_none_or(|at| now.millis_since(*at) >= AGAIN_MILLIS) {
                self.0.insert(*pair, now);
                due.push(seen);
            }
        }
        due
    }

    /// They could not be written.
    pub(crate) fn forget(&mut self, due: &[StraySeen]) {
        for (_, mac, ip) in due {
            self.0.remove(&Pair(*mac, *ip));
        }
    }
}

const AGAIN_MILLIS: i64 = 60_000;
const REMEMBERED_MILLIS: i64 = 600_000;
