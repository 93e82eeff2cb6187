//! The one place where the agent reads a clock, waits, or sets the clock.

#![allow(clippy::disallowed_methods, reason = "everything else is told the time by this module")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_settime};

/// The monotonic clock.
pub fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970 UTC as the machine believes.
pub fn unix_secs() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(0))
}

/// Milliseconds since 1970 UTC as the machine believes.
pub fn unix_millis() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0))
}

/// Lets time pass. Only loops that repeat something with a back-off call this.
pub fn wait(time: Duration) {
    std::thread::sleep(time);
}

/// Sets the clock when it is off by more than a day: school PCs with an empty battery wake up in 2005, and no certificate
/// is valid then. Returns whether it was set.
pub fn correct(server_secs: i64) -> bool {
    if !is_wrong(unix_secs(), server_secs) {
        return false;
    }
    clock_settime(ClockId::CLOCK_REALTIME, nix::sys::time::TimeSpec::new(server_secs, 0)).is_ok()
}

/// Seconds since the kernel started.
pub fn uptime_secs() -> u64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0)
}

fn is_wrong(own: i64, server: i64) -> bool {
    server > EARLIEST && (own - server).abs() > 86_400
}

/// 2026-01-01. A server that believes in an earlier time has a wrong clock itself.
const EARLIEST: i64 = 1_767_225_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_that_is_off_by_more_than_a_day_is_set() {
        let server = EARLIEST + 1_000_000;
        for (own, wrong) in [(0, true), (server - 86_400, false), (server + 86_401, true), (server, false)] {
            assert_eq!(is_wrong(own, server), wrong, "{own}");
        }
        assert!(!is_wrong(EARLIEST + 10, 0), "a server without a clock is not believed");
    }
}
