//! Promises about licences.

use inventory::mdm::LicenceState::{Asked, Assigned, Lacking, Refused, Returning, Wanted};
use proptest::prelude::*;

use super::*;

const NOW: UnixMillis = UnixMillis(1_000_000);

fn app(number: u64) -> AppId {
    number.to_string().parse().unwrap()
}

fn wish(number: u64, serial: &str, install: Install, since: i64) -> Wish {
    Wish { app: app(number), serial: serial.into(), install, since: UnixMillis(since) }
}

fn held(available: u32, licences: &[&str]) -> Held {
    let total = available + u32::try_from(licences.len()).unwrap();
    let asset = Asset { id: app(7), pricing: "STDQ".into(), total, available, usable: true };
    let licences = licences.iter().map(|serial| (app(7), (*serial).to_owned())).collect();
    Held { assets: HashMap::from([(app(7), asset)]), licences, location: "here".into() }
}

fn licence(serial: &str, state: LicenceState) -> Licence {
    Licence {
        app: app(7),
        serial: serial.into(),
        location: "here".into(),
        state,
        event: (state == Asked).then(|| "event".into()),
        problem: None,
        tries: 0,
        not_before: UnixMillis(0),
        changed_at: UnixMillis(1),
    }
}

fn serials(pairs: &[(AppId, String)]) -> Vec<&str> {
    pairs.iter().map(|(_, serial)| serial.as_str()).collect()
}

fn states(plan: &Plan) -> Vec<(&str, Option<LicenceState>)> {
    let state = |change: &'_ LicenceChange| match change {
        LicenceChange::Is(licence) => Some(licence.state),
        LicenceChange::Gone(..) => None,
    };
    let serial = |change| match change {
        &LicenceChange::Is(Licence { ref serial, .. }) | &LicenceChange::Gone(_, ref serial) => {
            serial.as_str()
        }
    };
    plan.changes.iter().map(|change| (serial(change), state(change))).collect()
}

#[test]
fn who_has_to_have_it_and_who_came_first_gets_a_scarce_licence() {
    use Install::{Offered, Required};
    let wishes = vec![
        wish(7, "OFFERED", Offered, 1),
        wish(7, "LATE", Required, 9),
        wish(7, "EARLY", Required, 2),
        wish(7, "FIRST", Required, 1),
    ];
    let plan = plan(wishes, &[], &held(3, &[]), NOW);
    assert_eq!(serials(&plan.associate), ["FIRST", "EARLY", "LATE"]);
    let expected = [
        ("FIRST", Some(Wanted)),
        ("EARLY", Some(Wanted)),
        ("LATE", Some(Wanted)),
        ("OFFERED", Some(Lacking)),
    ];
    assert_eq!(states(&plan), expected);
}

#[test]
fn a_shortage_is_noted_once_and_ends_when_somebody_gives_one_back() {
    let wishes = || vec![wish(7, "A", Install::Required, 1), wish(7, "B", Install::Required, 2)];
    let known = [licence("A", Assigned), licence("B", Lacking)];
    assert_eq!(
        plan(wishes(), &known, &held(0, &["A"]), NOW),
        Plan::default(),
        "nothing to ask and nothing to write"
    );
    let gone = plan(vec![wish(7, "B", Install::Required, 2)], &known, &held(0, &["A"]), NOW);
    assert_eq!((serials(&gone.disassociate), gone.associate.len()), (vec!["A"], 0));
    assert_eq!(states(&gone), [("A", Some(Returning))]);
    let after = plan(
        vec![wish(7, "B", Install::Required, 2)],
        &[licence("A", Returning), licence("B", Lacking)],
        &held(1, &[]),
        NOW,
    );
    assert_eq!(serials(&after.associate), ["B"]);
    assert_eq!(states(&after), [("B", Some(Wanted)), ("A", None)]);
}

#[test]
fn what_is_under_way_is_neither_asked_again_nor_counted_twice() {
    let wishes = vec![wish(7, "A", Install::Required, 1), wish(7, "B", Install::Required, 2)];
    let plan = plan(wishes, &[licence("A", Asked), licence("C", Asked)], &held(2, &[]), NOW);
    assert_eq!((serials(&plan.associate).len(), serials(&plan.disassociate).len()), (0, 0));
    assert_eq!(states(&plan), [("B", Some(Lacking))], "two of two are under way");
}

#[test]
fn licences_that_nobody_here_asked_for_are_left_alone_or_taken_over() {
    let others = plan(vec![], &[], &held(0, &["X"]), NOW);
    assert_eq!(others, Plan::default());
    let adopted = plan(vec![wish(7, "X", Install::Required, 1)], &[], &held(0, &["X"]), NOW);
    assert_eq!((states(&adopted), adopted.is_quiet()), (vec![("X", Some(Assigned))], true));
}

#[test]
fn after_a_crash_what_apple_says_counts() {
    // Asked for and the answer lost; written down and never asked for; given back and the answer lost.
    let known = [licence("A", Wanted), licence("B", Wanted), licence("C", Returning)];
    let wishes = vec![wish(7, "A", Install::Required, 1), wish(7, "B", Install::Required, 2)];
    let plan = plan(wishes, &known, &held(1, &["A"]), NOW);
    assert_eq!(states(&plan), [("A", Some(Assigned)), ("C", None)]);
    assert_eq!(serials(&plan.associate), ["B"]);
}

#[test]
fn a_refusal_waits_each_time_longer_and_a_book_of_another_place_is_closed() {
    let failure = |number| Failure { number, message: "Words.".into(), serials: vec![], apps: vec![] };
    let once = failed(licence("A", Asked), &failure(9602), NOW);
    assert_eq!(
        (once.state, once.problem.as_deref(), once.event.as_ref()),
        (Refused, Some("Words. (9602)"), None)
    );
    let twice = failed(once.clone(), &failure(NOT_ENOUGH), NOW);
    assert_eq!((twice.state, twice.problem.as_ref()), (Lacking, None));
    assert!(twice.not_before > once.not_before && once.not_before > NOW);
    let wishes = || vec![wish(7, "A", Install::Required, 1)];
    assert!(plan(wishes(), std::slice::from_ref(&once), &held(1, &[]), NOW).is_quiet());
    assert_eq!(serials(&plan(wishes(), &[once], &held(1, &[]), NOW.plus_secs(901)).associate), ["A"]);
    let elsewhere = Licence { location: "there".into(), ..licence("A", Assigned) };
    assert_eq!(states(&plan(vec![], std::slice::from_ref(&elsewhere), &held(1, &["A"]), NOW)), [("A", None)]);
    assert_eq!(serials(&plan(wishes(), &[elsewhere], &held(1, &[]), NOW).associate), ["A"]);
}

#[test]
fn requests_stay_within_apples_limits_and_say_each_pair_once() {
    let mut pairs: Vec<(AppId, String)> = (1..=30)
        .flat_map(|number| (0..1500).map(move |serial| (app(number), format!("S{serial}"))))
        .collect();
    pairs.push((app(99), "S1".into()));
    let packed = batches(&pairs, 25, 1000);
    assert!(packed.iter().all(|batch| batch.apps.len() <= 25 && batch.serials.len() <= 1000));
    assert_eq!(packed.len(), 5);
    let said: usize = packed.iter().map(|batch| batch.apps.len() * batch.serials.len()).sum();
    assert_eq!(said, pairs.len());
}

proptest! {
    #[test]
    fn never_more_licences_are_asked_for_than_there_are(
        available in 0_u32..6,
        wishes in proptest::collection::vec((0_u8..10, any::<bool>(), 0_i64..5), 0..20),
        known in proptest::collection::btree_map(0_u8..10, 0_usize..6, 0..10),
        has in proptest::collection::btree_set(0_u8..10, 0..5),
    ) {
        let all = [Wanted, Asked, Assigned, Lacking, Refused, Returning];
        let licences: Vec<Licence> = known.iter().map(|(n, state)| licence(&format!("S{n}"), all[*state])).collect();
        let names: Vec<String> = has.iter().map(|n| format!("S{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let install = |required| if required { Install::Required } else { Install::Offered };
        let wishes: Vec<Wish> = wishes.iter().map(|(n, required, since)| wish(7, &format!("S{n}"), install(*required), *since)).collect();
        let plan = plan(wishes.clone(), &licences, &held(available, &names), NOW);
        prop_assert!(plan.associate.len() <= available as usize);
        for (_, serial) in &plan.associate {
            prop_assert!(wishes.iter().any(|wish| wish.serial == *serial) && !names.contains(&serial.as_str()));
        }
        for (_, serial) in &plan.disassociate {
            prop_assert!(wishes.iter().all(|wish| wish.serial != *serial) && names.contains(&serial.as_str()));
        }
        // What is asked for is written down before.
        for pair in &plan.associate {
            let noted = plan.changes.iter().any(|c| matches!(c, LicenceChange::Is(l) if l.serial == pair.1 && l.state == Wanted));
            let known = licences.iter().any(|l| l.serial == pair.1 && l.state == Wanted);
            prop_assert!(noted || known);
        }
    }
}
