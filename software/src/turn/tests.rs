//! What waits, for how long, and what goes on beside it.

use super::*;
use crate::package::tests::p;
use crate::plan::Problem;
use crate::plan::tests::made;
use crate::run::{Failure, Left, Report, Tail};

const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;

fn report() -> Report {
    Report { failure: Failure::NotThere, left: Left::Nothing, attempts: 3, tail: Tail::default() }
}

fn turn(version: &str, outcome: Outcome, minutes_ago: i64) -> Turn {
    Turn { version: p(version), action: Action::Install, outcome, at: NOW - minutes_ago * MINUTE }
}

/// Of `a`, and `b` that depends on `c`: what is next after these turns.
fn next_of(turns: &[(&str, Turn)]) -> String {
    let packages = ["a 1", "b 1 needs:c", "c 1"];
    let (mut planner, device) = made(&packages, &["room:a,b"], "");
    let turns = turns.iter().map(|(package, turn)| (p(package), turn.clone())).collect();
    let plan = plan(&mut planner, &device, &turns);
    match next(&plan, &turns, NOW) {
        Next::Step(step) => step.package.id.to_string(),
        Next::NotBefore(at) => format!("in {} min", (at - NOW) / MINUTE),
        Next::Nothing => "nothing".to_owned(),
    }
}

#[test]
fn what_failed_rests_and_others_go_on() {
    let failed = |ago| turn("1", Outcome::Failed(report()), ago);
    let busy = |ago| turn("1", Outcome::RetryLater(Delay::Busy), ago);
    assert_eq!(next_of(&[]), "a");
    assert_eq!(next_of(&[("a", failed(10))]), "c");
    assert_eq!(next_of(&[("a", failed(60))]), "a");
    assert_eq!(next_of(&[("a", failed(10)), ("c", busy(1))]), "in 4 min");
    // Of another version nothing is known.
    assert_eq!(next_of(&[("a", turn("0.9", Outcome::Failed(report()), 1))]), "a");
    // The clock was set back.
    assert_eq!(next_of(&[("a", failed(-600))]), "a");
}

#[test]
fn what_needs_a_person_is_left_alone_with_all_that_depends_on_it() {
    let given_up = |version| turn(version, Outcome::NeedsPerson(report()), 100_000);
    assert_eq!(next_of(&[("a", given_up("1"))]), "c");
    assert_eq!(next_of(&[("a", given_up("1")), ("c", given_up("1"))]), "nothing");
    assert_eq!(next_of(&[("a", given_up("0.9"))]), "a");
    let (mut planner, device) = made(&["b 1 needs:c", "c 1"], &["room:b"], "");
    let turns = [(p("c"), given_up("1"))].into();
    let stopped = plan(&mut planner, &device, &turns).stopped;
    let problems: Vec<&Problem> = stopped.iter().map(|stopped| &stopped.problem).collect();
    assert_eq!(problems, [&Problem::DependencyStopped(p("c")), &Problem::GaveUp]);
}
