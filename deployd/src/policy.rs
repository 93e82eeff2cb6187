//! What an agent that asks for work is told: pure, with the reasons.
//!
//! | Where the agent runs | Open job | What it is told                                                              |
//! |----------------------|----------|------------------------------------------------------------------------------|
//! | boot environment     | yes      | the job                                                                      |
//! | boot environment     | no       | *idle* for a while, then *reboot*: its own disk is where it belongs          |
//! | installed system     | yes      | *idle*: somebody may be working; the job begins when the PC is next started  |
//! | installed system     | no       | *idle*                                                                       |
//!
//! The while is short after a deploy, so that the PC is usable soon; longer after an approval, so that a person who has just
//! approved it has the time to choose an image; longer after a failure, so that somebody can read the screen; and longest when
//! the PC comes back, because its disk starts nothing and only a job can help. A device without a job boots its own disk from
//! then on ([`inventory::boot::Boot::LocalDisk`]).

use std::time::Duration;

use images::protocol::RunsIn;

/// What went before in this PC's session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Its job ended with success.
    Done,
    /// Its job ended without, or was taken back.
    Failed,
    /// It was sent to its own disk and is here again: nothing starts from it.
    CameBack,
}

/// What to do about an agent that asks for work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Give it its open job.
    GiveJob,
    /// Tell it to restart from its own disk.
    Reboot,
    /// Let it wait, and decide anew after this time at the latest.
    WaitFor(Duration),
    /// Let it wait until something changes.
    Wait,
}

/// Decides. `idle` is the time since the agent said hello, or since its last job ended.
pub(crate) fn next_step(runs_in: RunsIn, open_job: bool, idle: Duration, last: Option<Before>) -> Step {
    match (runs_in, open_job) {
        (RunsIn::BootEnvironment, true) => Step::GiveJob,
        (RunsIn::InstalledSystem, _) => Step::Wait,
        (RunsIn::BootEnvironment, false) => {
            let grace = match last {
                Some(Before::Done) => AFTER_SUCCESS,
                None => AFTER_HELLO,
                Some(Before::Failed) => AFTER_FAILURE,
                Some(Before::CameBack) => AFTER_RETURN,
            };
            match grace.checked_sub(idle) {
                None | Some(Duration::ZERO) => Step::Reboot,
                Some(rest) => Step::WaitFor(rest),
            }
        }
    }
}

const AFTER_SUCCESS: Duration = Duration::from_secs(2);
const AFTER_HELLO: Duration = Duration::from_secs(30);
const AFTER_FAILURE: Duration = Duration::from_secs(300);
const AFTER_RETURN: Duration = Duration::from_secs(900);

#[cfg(test)]
mod tests {
    use super::*;
    use RunsIn::{BootEnvironment, InstalledSystem};

    #[test]
    fn agents_are_told_what_the_table_says() {
        let secs = Duration::from_secs;
        let check = |runs_in, job, idle: u64, last, expected| {
            assert_eq!(
                next_step(runs_in, job, secs(idle), last),
                expected,
                "{runs_in:?} {job} {idle} {last:?}"
            );
        };
        check(BootEnvironment, true, 0, None, Step::GiveJob);
        check(BootEnvironment, true, 1000, Some(Before::Failed), Step::GiveJob);
        check(BootEnvironment, false, 0, None, Step::WaitFor(secs(30)));
        check(BootEnvironment, false, 29, None, Step::WaitFor(secs(1)));
        check(BootEnvironment, false, 30, None, Step::Reboot);
        check(BootEnvironment, false, 0, Some(Before::Done), Step::WaitFor(secs(2)));
        check(BootEnvironment, false, 2, Some(Before::Done), Step::Reboot);
        check(BootEnvironment, false, 299, Some(Before::Failed), Step::WaitFor(secs(1)));
        check(BootEnvironment, false, 3000, Some(Before::Failed), Step::Reboot);
        check(BootEnvironment, false, 0, Some(Before::CameBack), Step::WaitFor(secs(900)));
        check(BootEnvironment, true, 0, Some(Before::CameBack), Step::GiveJob);
    }

    #[test]
    fn an_installed_system_is_never_restarted_under_its_user() {
        for job in [false, true] {
            for idle in [0, 10_000] {
                for last in [None, Some(Before::Done), Some(Before::Failed)] {
                    let step = next_step(InstalledSystem, job, Duration::from_secs(idle), last);
                    assert_eq!(step, Step::Wait);
                }
            }
        }
    }
}
