//! The machine's clock, when its battery is empty.

use nix::sys::time::TimeSpec;
use nix::time::{ClockId, clock_settime};

use crate::clock;

/// Sets the clock when it is off by more than a day: school PCs with an empty battery wake up in 2005, and no certificate
/// is valid then. Returns whether it was set.
pub(super) fn correct(server_secs: i64) -> bool {
    if !is_wrong(clock::unix_secs(), server_secs) {
        return false;
    }
    clock_settime(ClockId::CLOCK_REALTIME, TimeSpec::new(server_secs, 0)).is_ok()
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
