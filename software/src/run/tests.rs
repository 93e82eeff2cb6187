//! What an agent is told to do, event by event.

use super::*;
use crate::package::tests::{p, parts};

fn run(action: Action) -> Run {
    Run::new(Arc::new(parts("a", "2").try_into().unwrap()), action, "boot 1")
}

fn again(run: &Run, boot: &str) -> Run {
    let json = serde_json::to_string(run.journal()).unwrap();
    Run::resume(run.package.clone(), serde_json::from_str(&json).unwrap(), boot).unwrap()
}

fn version(text: &str) -> Event {
    Event::Looked(Found::Version(p(text)))
}

fn exit(code: i32) -> Event {
    Event::Exited { code: Some(code), tail: Tail::from("Ende".to_owned()) }
}

/// Begins a run and lets it come to its command.
fn to_command(run: &mut Run) {
    assert_eq!(run.handle(Event::Start(Conditions::default())), [Effect::Look]);
    assert_eq!(run.handle(Event::Looked(Found::Absent)), [Effect::Fetch]);
    let effects = run.handle(Event::Fetched);
    let [Effect::Record(journal), Effect::Run { command: Command::Install, .. }] = effects.as_slice() else {
        panic!("{effects:?}")
    };
    assert_eq!(journal.phase, Phase::Begun);
}

fn outcome(effects: &[Effect]) -> &Outcome {
    let outcome = effects.iter().find_map(|effect| match effect {
        Effect::Report(outcome) => Some(outcome),
        _ => None,
    });
    outcome.unwrap_or_else(|| panic!("{effects:?}"))
}

fn failure(effects: &[Effect]) -> (Failure, Left) {
    match outcome(effects) {
        Outcome::Failed(report) | Outcome::NeedsPerson(report) => (report.failure, report.left),
        other => panic!("{other:?}"),
    }
}

const DONE: Outcome = Outcome::Done { ran: true, despite: None };

#[test]
fn an_installation_is_journaled_before_it_is_begun_and_looked_at_after() {
    let mut run = run(Action::Install);
    to_command(&mut run);
    assert_eq!(run.handle(exit(0)), [Effect::Look]);
    assert_eq!(outcome(&run.handle(version("2"))), &DONE);
    assert_eq!(run.handle(exit(0)), []);
}

#[test]
fn what_is_there_already_is_not_installed() {
    let mut run = run(Action::Install);
    run.handle(Event::Start(Conditions::default()));
    assert_eq!(outcome(&run.handle(version("3"))), &Outcome::Done { ran: false, despite: None });
}

#[test]
fn an_installer_that_lies_is_named_so() {
    let mut run = run(Action::Install);
    to_command(&mut run);
    run.handle(exit(0));
    let effects = run.handle(Event::Looked(Found::Absent));
    assert_eq!(failure(&effects), (Failure::NotThere, Left::Nothing));
    let Outcome::Failed(report) = outcome(&effects) else { panic!("{effects:?}") };
    assert_eq!((report.tail.text().as_str(), report.attempts), ("Ende", 1));
}

#[test]
fn a_bad_code_is_told_even_if_all_is_there() {
    let mut run = run(Action::Install);
    to_command(&mut run);
    run.handle(exit(5));
    assert_eq!(outcome(&run.handle(version("2"))), &Outcome::Done { ran: true, despite: Some(5) });
}

#[test]
fn a_half_installation_is_taken_back() {
    let mut run = run(Action::Install);
    to_command(&mut run);
    run.handle(exit(1603));
    let effects = run.handle(Event::Looked(Found::Differs));
    assert!(
        matches!(effects.as_slice(), [Effect::Record(_), Effect::Run { command: Command::Uninstall, .. }]),
        "{effects:?}"
    );
    assert_eq!(run.handle(exit(0)), [Effect::Look]);
    let (failed, left) = failure(&run.handle(Event::Looked(Found::Absent)));
    assert_eq!((failed, left), (Failure::Exit { code: 1603, cause: Cause::Unknown }, Left::TakenBack));
}

#[test]
fn a_hanging_installer_is_ended() {
    let mut run = run(Action::Upgrade { from: None });
    to_command(&mut run);
    assert_eq!(run.handle(Event::TimedOut), [Effect::Kill]);
    assert_eq!(run.handle(Event::Exited { code: None, tail: Tail::default() }), [Effect::Look]);
    assert_eq!(failure(&run.handle(version("1"))), (Failure::TimedOut, Left::Nothing));
}

#[test]
fn a_restart_in_the_middle_looks_first_and_three_failures_need_a_person() {
    let mut first = run(Action::Install);
    to_command(&mut first);
    let mut second = again(&first, "boot 2");
    assert_eq!(second.handle(Event::Start(Conditions::default())), [Effect::Look]);
    assert_eq!(outcome(&second.handle(version("2"))), &DONE);
    let mut run = first;
    for attempt in 1..=3 {
        run = again(&run, &format!("boot {attempt}"));
        run.handle(Event::Start(Conditions::default()));
        let effects = run.handle(Event::Looked(Found::Absent));
        assert_eq!(failure(&effects).0, Failure::Interrupted);
        assert_eq!(matches!(outcome(&effects), Outcome::NeedsPerson(_)), attempt == 3, "{effects:?}");
        run = again(&run, "boot");
        to_command(&mut run);
    }
}

#[test]
fn a_restart_that_is_wanted_is_waited_for() {
    for (code, by_installer) in [(3010, false), (1641, true)] {
        let mut run = run(Action::Install);
        to_command(&mut run);
        let effects = run.handle(exit(code));
        assert_eq!(outcome(&effects), &Outcome::RestartPending);
        assert_eq!(effects.last(), Some(&Effect::Restart { by_installer }));
        // Only the agent was restarted.
        let effects = again(&run, "boot 1").handle(Event::Start(Conditions::default()));
        assert_eq!(outcome(&effects), &Outcome::RestartPending);
        let mut run = again(&run, "boot 2");
        assert_eq!(run.handle(Event::Start(Conditions::default())), [Effect::Look]);
        assert_eq!(outcome(&run.handle(version("2"))), &DONE);
    }
}

#[test]
fn what_is_in_the_way_is_no_failure_at_first() {
    let mut run = run(Action::Install);
    for delay in 1..=MAX_DELAYS {
        to_command(&mut run);
        let effects = run.handle(exit(1618));
        if delay < MAX_DELAYS {
            assert_eq!(outcome(&effects), &Outcome::RetryLater(Delay::Busy));
        } else {
            assert!(matches!(outcome(&effects), Outcome::NeedsPerson(_)), "{effects:?}");
        }
    }
}

#[test]
fn needs_are_waited_for() {
    let mut parts = parts("a", "2");
    (parts.needs.nobody_signed_in, parts.needs.mains_power) = (true, true);
    let mut run = Run::new(Arc::new(parts.try_into().unwrap()), Action::Install, "boot");
    let effects = run.handle(Event::Start(Conditions { signed_in: true, on_battery: false }));
    assert_eq!(outcome(&effects), &Outcome::Waiting { signed_in: true, on_battery: false });
    assert_eq!(run.handle(Event::Start(Conditions::default())), [Effect::Look]);
}

#[test]
fn a_removal_ends_when_nothing_is_found() {
    let mut run = run(Action::Uninstall { installed: None });
    run.handle(Event::Start(Conditions::default()));
    assert_eq!(run.handle(version("2")), [Effect::Fetch]);
    assert!(matches!(
        run.handle(Event::Fetched).last(),
        Some(Effect::Run { command: Command::Uninstall, .. })
    ));
    run.handle(exit(0));
    assert_eq!(failure(&run.handle(version("2"))), (Failure::StillThere, Left::Nothing));
}
