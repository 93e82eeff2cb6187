//! How fast it goes, as people want to read it: steady, and right after a few seconds.

use std::time::{Duration, Instant};

/// Bytes per second over the last seconds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Meter {
    last: Option<(Instant, u64)>,
    rate: f64,
}

impl Meter {
    /// Takes the bytes done so far, and returns the rate.
    pub(super) fn at(&mut self, now: Instant, done: u64) -> f64 {
        let Some((then, before)) = self.last else {
            self.last = Some((now, done));
            return 0.0;
        };
        let passed = now.saturating_duration_since(then);
        if passed < SAMPLE {
            return self.rate;
        }
        let current = done.saturating_sub(before) as f64 / passed.as_secs_f64();
        // Half of what is shown is older than three seconds.
        let weight = 1.0 - 0.5_f64.powf(passed.as_secs_f64() / 3.0);
        self.rate = if self.rate == 0.0 { current } else { self.rate + (current - self.rate) * weight };
        self.last = Some((now, done));
        self.rate
    }
}

const SAMPLE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_the_line_without_jumping() {
        let start = crate::clock::now();
        let mut meter = Meter::default();
        let mut done = 0;
        for second in 0..=10 {
            meter.at(start + Duration::from_secs(second), done);
            done += 100_000_000;
        }
        assert!((meter.rate - 100e6).abs() < 1.0, "{}", meter.rate);
        let paused = meter.at(start + Duration::from_secs(11), done - 100_000_000);
        assert!((50e6..90e6).contains(&paused), "{paused}");
        assert_eq!(
            meter.at(start + Duration::from_millis(11_100), done),
            paused,
            "too early for a new value"
        );
    }
}
