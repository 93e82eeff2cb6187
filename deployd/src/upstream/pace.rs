//! When and how fast something is fetched. Pure.

use std::time::{Duration, Instant};

use jiff::civil::Time;

/// A part of the day, the same every day. It may go over midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) from: Time,
    pub(crate) until: Time,
}

impl Window {
    /// Whether it is open at that time of day. A window that ends when it begins is always open.
    pub(crate) fn is_open(self, at: Time) -> bool {
        match self.from.cmp(&self.until) {
            std::cmp::Ordering::Less => (self.from..self.until).contains(&at),
            std::cmp::Ordering::Equal => true,
            std::cmp::Ordering::Greater => at >= self.from || at < self.until,
        }
    }
}

/// Spreads bytes over time.
#[derive(Debug)]
pub(crate) struct Pace {
    bytes_per_second: u64,
    /// When what was taken so far would have gone through the line.
    free_at: Option<Instant>,
}

impl Pace {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second: bytes_per_second.max(1), free_at: None }
    }

    /// How long to wait after these bytes before the next are taken. Time that passed unused is not caught up on.
    pub(crate) fn spend(&mut self, now: Instant, bytes: u64) -> Duration {
        let takes = Duration::from_micros(bytes.saturating_mul(1_000_000) / self.bytes_per_second);
        let free_at = self.free_at.map_or(now, |at| at.max(now)) + takes.min(WAIT_MAX);
        self.free_at = Some(free_at);
        free_at.saturating_duration_since(now)
    }

    /// How many bytes one request should ask for: not more than some seconds' worth, since a request that was sent is not
    /// taken back when a window closes.
    pub(crate) fn piece_bytes_max(bytes_per_second: Option<u64>) -> u64 {
        let seconds = bytes_per_second.map_or(PIECE_BYTES_MAX, |rate| rate.saturating_mul(PIECE_SECONDS));
        seconds.clamp(PIECE_BYTES_MIN, PIECE_BYTES_MAX)
    }
}

const PIECE_BYTES_MAX: u64 = 8 << 20;
const PIECE_BYTES_MIN: u64 = 256 << 10;
const PIECE_SECONDS: u64 = 5;
/// What the network brings at once is small; this only keeps times from wrapping around.
const WAIT_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_may_go_over_midnight() {
        let at = |text: &str| text.parse::<Time>().unwrap();
        for (from, until, open, closed) in [
            ("20:00", "05:30", &["20:00", "23:59", "00:00", "05:29"][..], &["05:30", "12:00", "19:59"][..]),
            ("08:00", "09:00", &["08:00", "08:59"], &["07:59", "09:00", "00:00"]),
            ("00:00", "00:00", &["00:00", "13:00"], &[]),
        ] {
            let window = Window { from: at(from), until: at(until) };
            for time in open {
                assert!(window.is_open(at(time)), "{window:?} {time}");
            }
            for time in closed {
                assert!(!window.is_open(at(time)), "{window:?} {time}");
            }
        }
    }

    #[test]
    fn bytes_take_as_long_as_the_line_may_be_used_for_them() {
        let start = inventory::clock::instant();
        let mut pace = Pace::new(1000);
        assert_eq!(pace.spend(start, 500), Duration::from_millis(500));
        assert_eq!(pace.spend(start, 500), Duration::from_millis(1000), "nobody waited");
        let later = start + Duration::from_secs(60);
        assert_eq!(pace.spend(later, 100), Duration::from_millis(100), "a quiet minute is not made up for");
    }

    #[test]
    fn a_request_is_small_on_a_thin_line() {
        assert_eq!(Pace::piece_bytes_max(None), 8 << 20);
        assert_eq!(Pace::piece_bytes_max(Some(125_000)), 625_000);
        assert_eq!(Pace::piece_bytes_max(Some(1)), 256 << 10);
        assert_eq!(Pace::piece_bytes_max(Some(u64::MAX)), 8 << 20);
    }
}
