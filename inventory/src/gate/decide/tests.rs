//! The decision, layer by layer, and that the timeline agrees with it.

use super::super::Level;
use super::*;
use Level::{AllowList, Filtered, Off, On};

const HOUR: i64 = 3_600_000;

fn at(hours: i64) -> UnixMillis {
    UnixMillis(hours * HOUR)
}

fn id(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

const ROOM: u128 = 204;
const OTHER_ROOM: u128 = 205;
const CLASS: u128 = 7;

fn pc() -> Subject {
    Subject {
        device: DeviceId(id(1)),
        room: RoomId(id(ROOM)),
        visit: None,
        owner: Some(UserId(id(9))),
        groups: vec![GroupId(id(CLASS))],
        staff: false,
    }
}

fn rule(n: u128, layer: Layer, target: Target, level: Level, from: i64, to: Option<i64>) -> Rule {
    Rule {
        id: RuleId(id(n)),
        layer,
        target,
        setting: level.into(),
        exam: None,
        starts_at: at(from),
        ends_at: to.map(at),
        created_by: "test".into(),
        created_at: at(from),
    }
}

fn room(n: u128) -> Target {
    Target::Room(RoomId(id(n)))
}

fn class() -> Target {
    Target::Group(GroupId(id(CLASS)))
}

fn device() -> Target {
    Target::Device(DeviceId(id(1)))
}

fn book(rules: Vec<Rule>) -> Book {
    Book::new(
        rules,
        HashMap::from([(RoomId(id(ROOM)), says(Filtered))]),
        HashMap::from([(GroupId(id(CLASS)), says(On))]),
    )
}

fn says(level: Level) -> Place {
    Place { setting: Some(level.into()), filter: None }
}

fn level(book: &Book, subject: &Subject, hour: i64) -> Option<Level> {
    book.verdict(subject, at(hour)).setting.map(|setting| setting.level)
}

#[test]
fn each_layer_decides_before_the_ones_below_it() {
    let layers = [
        rule(1, Layer::Exam, room(ROOM), AllowList, 0, None),
        rule(2, Layer::Lock, device(), Off, 0, None),
        rule(3, Layer::Grant, class(), On, 0, None),
        rule(4, Layer::Timetable, room(ROOM), Off, 0, None),
    ];
    for (skip, expected) in [(0, AllowList), (1, Off), (2, On), (3, Off)] {
        let mut rules: Vec<Rule> = layers.iter().skip(skip).cloned().collect();
        assert_eq!(level(&book(rules.clone()), &pc(), 1), Some(expected));
        rules.reverse();
        assert_eq!(level(&book(rules), &pc(), 1), Some(expected), "whatever their order");
    }
}

#[test]
fn without_rules_the_room_decides_before_the_group_and_the_network_last() {
    let mut pc = pc();
    assert_eq!(level(&book(vec![]), &pc, 1), Some(Filtered));
    pc.room = RoomId(id(OTHER_ROOM));
    assert_eq!(level(&book(vec![]), &pc, 1), Some(On));
    pc.groups.clear();
    assert_eq!(book(vec![]).verdict(&pc, at(1)), Verdict { setting: None, cause: Cause::Network });
}

#[test]
fn the_strictest_of_several_exams_locks_and_groups_holds() {
    for layer in [Layer::Exam, Layer::Lock, Layer::Timetable] {
        let book = book(vec![
            rule(1, layer, class(), AllowList, 0, None),
            rule(2, layer, room(ROOM), Off, 0, None),
            rule(3, layer, device(), On, 0, None),
        ]);
        assert_eq!(level(&book, &pc(), 1), Some(Off), "{layer:?}");
    }
}

#[test]
fn a_grant_for_the_device_beats_one_for_the_room_and_the_later_of_two_shared_ones_holds() {
    let rules = vec![
        rule(1, Layer::Grant, room(ROOM), On, 1, None),
        rule(2, Layer::Grant, class(), Off, 2, None),
        rule(3, Layer::Grant, device(), AllowList, 0, Some(4)),
    ];
    assert_eq!(level(&book(rules.clone()), &pc(), 3), Some(AllowList));
    assert_eq!(level(&book(rules), &pc(), 5), Some(Off));
}

#[test]
fn what_is_said_of_a_room_or_class_never_hits_the_staff() {
    let teacher = Subject { staff: true, ..pc() };
    let shared =
        vec![rule(1, Layer::Exam, room(ROOM), Off, 0, None), rule(2, Layer::Grant, class(), Off, 0, None)];
    assert_eq!(book(shared.clone()).verdict(&teacher, at(1)).cause, Cause::Network);
    let own = shared.into_iter().chain([rule(3, Layer::Lock, device(), Off, 0, None)]).collect();
    assert_eq!(level(&book(own), &teacher, 1), Some(Off), "what is said of the device itself does");
}

#[test]
fn a_visiting_device_obeys_the_room_it_visits_until_it_goes_back() {
    let visitor = Subject { visit: Some((RoomId(id(OTHER_ROOM)), at(5))), ..pc() };
    let book = book(vec![
        rule(1, Layer::Grant, room(ROOM), Off, 0, None),
        rule(2, Layer::Grant, room(OTHER_ROOM), AllowList, 0, None),
    ]);
    assert_eq!(level(&book, &visitor, 4), Some(AllowList));
    assert_eq!(level(&book, &visitor, 5), Some(Off));
    assert_eq!(levels(&book.timeline(&visitor, at(4), 9)), [(Some(AllowList), Some(5)), (Some(Off), None)]);
}

fn levels(line: &[Segment]) -> Vec<(Option<Level>, Option<i64>)> {
    line.iter().map(|s| (s.verdict.setting.map(|s| s.level), s.until.map(|until| until.0 / HOUR))).collect()
}

#[test]
fn the_timeline_names_each_change_and_skips_what_is_hidden() {
    let book = book(vec![
        rule(1, Layer::Grant, room(ROOM), On, 0, Some(3)),
        rule(2, Layer::Exam, room(ROOM), Off, 2, Some(5)),
        rule(3, Layer::Grant, device(), On, 3, Some(4)),
        rule(4, Layer::Timetable, room(ROOM), AllowList, 8, Some(9)),
    ]);
    let all = [
        (Some(On), Some(2)),
        (Some(Off), Some(5)),
        (Some(Filtered), Some(8)),
        (Some(AllowList), Some(9)),
        (Some(Filtered), None),
    ];
    assert_eq!(levels(&book.timeline(&pc(), at(1), 9)), all);
    assert_eq!(levels(&book.timeline(&pc(), at(1), 2)), [(Some(On), Some(2)), (Some(Off), Some(5))]);
    assert_eq!(levels(&book.timeline(&pc(), at(9), 9)), [(Some(Filtered), None)]);
}

#[test]
fn a_rule_holds_from_its_first_to_before_its_last_instant() {
    let book = book(vec![rule(1, Layer::Grant, device(), Off, 1, Some(2))]);
    for (millis, expected) in [(HOUR - 1, Filtered), (HOUR, Off), (2 * HOUR - 1, Off), (2 * HOUR, Filtered)] {
        assert_eq!(book.verdict(&pc(), UnixMillis(millis)).setting, Some(expected.into()), "{millis}");
    }
}

proptest::proptest! {
    /// Walking along the timeline gives what asking at each instant gives.
    #[test]
    fn the_timeline_agrees_with_the_verdict_at_every_instant(
        seeds in proptest::collection::vec((0..4usize, 0..3usize, 0..4usize, 0..20i64, 1..9i64), 0..8),
        visit_ends in proptest::option::of(1..20i64),
    ) {
        let targets = [room(ROOM), class(), device()];
        let rules = seeds.iter().enumerate().map(|(n, (layer, target, level, from, hours))| {
            rule(n as u128, Layer::ALL[*layer], targets[*target], Level::ALL[*level], *from, Some(from + hours))
        });
        let book = book(rules.collect());
        let pc = Subject { visit: visit_ends.map(|ends| (RoomId(id(OTHER_ROOM)), at(ends))), ..pc() };
        let line = book.timeline(&pc, at(0), usize::MAX);
        for hour in 0..32 {
            let held = line.iter().find(|s| s.until.is_none_or(|until| at(hour) < until)).unwrap();
            proptest::prop_assert_eq!(held.verdict, book.verdict(&pc, at(hour)));
        }
    }
}
