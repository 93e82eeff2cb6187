//! The one place where the agent reads a clock or waits.

#![allow(clippy::disallowed_methods, reason = "everything else is told the time by this module")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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
