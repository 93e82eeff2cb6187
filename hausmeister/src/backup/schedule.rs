//! When something is due, from what was done before. Pure.

use inventory::UnixMillis;
use inventory::backup::{BackupKind, BackupRun, BackupState};
use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};

/// What is to be done now by itself, if anything.
#[must_use]
pub fn due(runs: &[BackupRun], at: Time, zone: &TimeZone, now: UnixMillis) -> Option<BackupKind> {
    let made = last(runs, BackupKind::Backup, BackupState::Done);
    let night = nights(at, zone, now).0;
    if made.is_none_or(|made| made < night) {
        let failed = last(runs, BackupKind::Backup, BackupState::Failed);
        return failed
            .is_none_or(|failed| now.millis_since(failed) >= AGAIN_MILLIS)
            .then_some(BackupKind::Backup);
    }
    let drilled = last(runs, BackupKind::Drill, BackupState::Done);
    let failed = last(runs, BackupKind::Drill, BackupState::Failed);
    let wanted = drilled.is_none_or(|drilled| now.millis_since(drilled) >= DRILL_MILLIS)
        && failed.is_none_or(|failed| now.millis_since(failed) >= DAY_MILLIS);
    // In the same night as a backup, not whenever a month is over.
    (wanted && now.millis_since(night) < NIGHT_MILLIS).then_some(BackupKind::Drill)
}

/// When the next backup is made if nobody asks for one.
#[must_use]
pub fn next(at: Time, zone: &TimeZone, now: UnixMillis) -> UnixMillis {
    nights(at, zone, now).1
}

/// Whether it is Sunday.
#[must_use]
pub fn is_sunday(zone: &TimeZone, now: UnixMillis) -> bool {
    local(zone, now).weekday() == Weekday::Sunday
}

fn local(zone: &TimeZone, now: UnixMillis) -> Zoned {
    Timestamp::from_millisecond(now.0).unwrap_or_default().to_zoned(zone.clone())
}

/// The last moment that a backup was to be made, and the one after it. In nights in which the clock skips the time, the moment after it.
fn nights(at: Time, zone: &TimeZone, now: UnixMillis) -> (UnixMillis, UnixMillis) {
    let moment = |days: i64| {
        let today = local(zone, now).date();
        let day = today.checked_add(days.days()).unwrap_or(today);
        let zoned = day.to_datetime(at).to_zoned(zone.clone());
        UnixMillis(zoned.map_or(now.0, |zoned| zoned.timestamp().as_millisecond()))
    };
    if moment(0) <= now { (moment(0), moment(1)) } else { (moment(-1), moment(0)) }
}

fn last(runs: &[BackupRun], kind: BackupKind, state: BackupState) -> Option<UnixMillis> {
    runs.iter().filter(|run| run.kind == kind && run.state == state).filter_map(|run| run.ended_at).max()
}

const DAY_MILLIS: i64 = 24 * 3_600_000;
const DRILL_MILLIS: i64 = 30 * DAY_MILLIS;
/// A disk that was pulled out may be there again.
const AGAIN_MILLIS: i64 = 3_600_000;
const NIGHT_MILLIS: i64 = 4 * 3_600_000;

#[cfg(test)]
mod tests {
    use inventory::BackupRunId;
    use inventory::backup::BackupResult;

    use super::*;

    fn at(text: &str) -> UnixMillis {
        let moment: jiff::civil::DateTime = text.parse().unwrap();
        UnixMillis(moment.to_zoned(berlin()).unwrap().timestamp().as_millisecond())
    }

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn run(kind: BackupKind, state: BackupState, ended: &str) -> BackupRun {
        let ended = at(ended);
        BackupRun {
            id: BackupRunId::random(),
            kind,
            state,
            snapshot: None,
            asked_by: "hausmeister".into(),
            asked_at: ended,
            ended_at: Some(ended),
            percent: 100,
            result: BackupResult::default(),
        }
    }

    #[test]
    fn a_backup_is_due_once_a_night_and_again_after_a_failure() {
        use BackupKind::{Backup, Drill};
        use BackupState::{Done, Failed};
        let half_past_one = jiff::civil::time(1, 30, 0, 0);
        let due = |runs: &[BackupRun], now: &str| due(runs, half_past_one, &berlin(), at(now));
        assert_eq!(due(&[], "2026-11-23T12:00"), Some(Backup), "never made: now");
        let mut runs = vec![run(Backup, Done, "2026-11-23T01:40"), run(Drill, Done, "2026-11-23T01:50")];
        assert_eq!(due(&runs, "2026-11-23T12:00"), None);
        assert_eq!(due(&runs, "2026-11-24T01:29"), None);
        assert_eq!(due(&runs, "2026-11-24T01:30"), Some(Backup));
        assert_eq!(due(&runs, "2026-11-24T09:00"), Some(Backup), "the server was off at night");
        runs.push(run(Backup, Failed, "2026-11-24T01:31"));
        assert_eq!(due(&runs, "2026-11-24T02:30"), None);
        assert_eq!(due(&runs, "2026-11-24T02:31"), Some(Backup));
        runs.push(run(Backup, Done, "2026-11-24T02:40"));
        assert_eq!(due(&runs, "2026-11-24T02:41"), None);
        // A month later one is brought back, in the night and not by day.
        runs.push(run(Backup, Done, "2026-12-23T09:00"));
        assert_eq!(due(&runs, "2026-12-23T12:00"), None);
        runs.push(run(Backup, Done, "2026-12-24T01:35"));
        assert_eq!(due(&runs, "2026-12-24T01:36"), Some(Drill));
        runs.push(run(Drill, Failed, "2026-12-24T01:37"));
        assert_eq!(due(&runs, "2026-12-24T03:00"), None, "a failed one is tried the next night");
    }

    #[test]
    fn the_night_in_which_the_clocks_change_has_its_backup() {
        let skipped = jiff::civil::time(2, 30, 0, 0);
        let next = next(skipped, &berlin(), at("2026-03-28T12:00"));
        assert_eq!(next, at("2026-03-29T03:30"), "02:30 does not exist that night");
    }
}
