//! The protocol of an exam: from what the kernel counted for the devices that sit it, what is new since the last look.

use std::collections::{HashMap, HashSet};

use inventory::gate::Sitting;
use inventory::{DeviceId, ExamId, UnixMillis};

use super::plan::Sitter;
use super::state::Number;

/// What the kernel counted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reading {
    /// Devices that were heard of within half a minute.
    pub(crate) seen: HashSet<Number>,
    /// Connections that were turned away.
    pub(crate) refused: HashMap<Number, u64>,
    /// Those of them that would have led around the rules.
    pub(crate) dodged: HashMap<Number, u64>,
}

/// What was written down already.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    last: Reading,
    entered: HashMap<(ExamId, DeviceId), Option<UnixMillis>>,
}

impl Watch {
    /// What has to be written down: devices that are new, seen again after a while, or turned away since the last reading. The kernel's
    /// counters begin again when the table is made anew.
    pub(crate) fn news(
        &mut self,
        sitting: &HashMap<Number, Sitter>,
        reading: Reading,
        now: UnixMillis,
    ) -> Vec<Sitting> {
        let current: HashSet<(ExamId, DeviceId)> = sitting.values().map(|s| (s.exam, s.device)).collect();
        self.entered.retain(|key, _| current.contains(key));
        let mut news = Vec::new();
        for (number, sitter) in sitting {
            let key = (sitter.exam, sitter.device);
            let refused = since(&self.last.refused, &reading.refused, *number);
            let dodged = since(&self.last.dodged, &reading.dodged, *number);
            let known = self.entered.get(&key).copied();
            let stale = known.flatten().is_none_or(|at| now.millis_since(at) >= AGAIN_MILLIS);
            let seen = Some(now).filter(|_| reading.seen.contains(number) && stale);
            if known.is_some() && seen.is_none() && refused == 0 && dodged == 0 {
                continue;
            }
            self.entered.insert(key, seen.or(known.flatten()));
            news.push(Sitting {
                exam: sitter.exam,
                device: sitter.device,
                name: sitter.name.clone(),
                first_seen: seen,
                last_seen: seen,
                refused,
                dodged,
            });
        }
        self.last = reading;
        news
    }
}

fn since(before: &HashMap<Number, u64>, after: &HashMap<Number, u64>, number: Number) -> u64 {
    let count = |counts: &HashMap<Number, u64>| counts.get(&number).copied().unwrap_or(0);
    let (before, after) = (count(before), count(after));
    after.checked_sub(before).unwrap_or(after)
}

/// Who stays is written down this often.
const AGAIN_MILLIS: i64 = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_763_000_000_000);

    fn one() -> HashMap<Number, Sitter> {
        HashMap::from([(7, Sitter { exam: ExamId::random(), device: DeviceId::random(), name: "pc".into() })])
    }

    fn reading(seen: bool, refused: u64, dodged: u64) -> Reading {
        Reading {
            seen: seen.then_some(7).into_iter().collect(),
            refused: HashMap::from([(7, refused)]),
            dodged: HashMap::from([(7, dodged)]),
        }
    }

    fn told(news: &[Sitting]) -> Vec<(bool, u64, u64)> {
        news.iter().map(|s| (s.last_seen.is_some(), s.refused, s.dodged)).collect()
    }

    #[test]
    fn only_what_is_new_is_written_down() {
        let (sitting, mut watch) = (one(), Watch::default());
        for (at, read, expected) in [
            (0, reading(false, 0, 0), vec![(false, 0, 0)]), // entered as absent
            (5, reading(false, 0, 0), vec![]),
            (10, reading(true, 0, 0), vec![(true, 0, 0)]),
            (15, reading(true, 4, 0), vec![(false, 4, 0)]),
            (20, reading(true, 6, 1), vec![(false, 2, 1)]),
            (25, reading(true, 2, 0), vec![(false, 2, 0)]), // the table was made anew
            (80, reading(true, 2, 0), vec![(true, 0, 0)]),
            (85, reading(false, 2, 0), vec![]),
        ] {
            assert_eq!(told(&watch.news(&sitting, read, NOW.plus_secs(at))), expected, "after {at} s");
        }
        let next = one();
        assert_eq!(told(&watch.news(&next, reading(false, 2, 0), NOW.plus_secs(90))), [(false, 0, 0)]);
    }
}
