//! What is done in a night, PC by PC.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::*;
use crate::lessons::{Lesson, SpecialDays};

fn plan() -> NightPlan {
    let evenings = [true, true, true, true, true, false, false];
    let room = RoomId::random();
    NightPlan { room, evenings, begins: 22 * 60, ends: 6 * 60, image: true, switch_off: true, rests_on: None }
}

fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn zoned(text: &str) -> Zoned {
    text.parse::<DateTime>().unwrap().to_zoned(zone()).unwrap()
}

fn minutes(tonight: Option<Tonight>) -> Option<i64> {
    tonight.map(|tonight| tonight.ends.millis_since(tonight.begins) / 60_000)
}

#[test]
fn a_shift_begins_in_the_evening_and_ends_before_the_first_lesson() {
    let early = Lesson { number: 0, starts: 5 * 60, ends: 5 * 60 + 45 };
    let mut grid = Grid::default();
    // A Wednesday begins early.
    grid.week[2] = vec![early];
    let tonight = |at: &str| plan().tonight(&grid, &zoned(at));
    assert_eq!(tonight("2026-11-23T21:59:59"), None);
    assert_eq!(minutes(tonight("2026-11-23T22:00:00")), Some(8 * 60));
    assert_eq!(tonight("2026-11-24T05:59:00").unwrap().evening, Date::constant(2026, 11, 23));
    assert_eq!(tonight("2026-11-24T06:00:00"), None);
    assert_eq!(minutes(tonight("2026-11-24T23:00:00")), Some(7 * 60), "before Wednesday's lesson");
    assert_eq!(tonight("2026-11-25T05:00:00"), None);
    assert_eq!(tonight("2026-11-28T23:00:00"), None, "Saturday");
    // Friday's shift goes on into Saturday.
    assert!(tonight("2026-11-28T01:00:00").is_some());
    grid.special = vec![SpecialDays {
        first: Date::constant(2026, 11, 25),
        last: Date::constant(2026, 11, 25),
        name: "Feiertag".into(),
        lessons: Vec::new(),
    }];
    assert_eq!(minutes(plan().tonight(&grid, &zoned("2026-11-24T23:00:00"))), Some(8 * 60));
}

#[test]
fn a_night_that_is_left_out_is_named_while_it_is_still_to_come() {
    let rests = NightPlan { rests_on: Some(Date::constant(2026, 11, 23)), ..plan() };
    let tonight = |at: &str| rests.tonight(&Grid::default(), &zoned(at)).map(|shift| shift.evening);
    assert_eq!(tonight("2026-11-23T23:00:00"), None);
    assert_eq!(tonight("2026-11-24T03:00:00"), None, "its morning is left out as well");
    assert_eq!(tonight("2026-11-24T23:00:00"), Some(Date::constant(2026, 11, 24)));
    let coming = |at: &str| rests.coming(&Grid::default(), &zoned(at)).map(|day| day.to_string());
    for (at, evening) in [
        ("2026-11-23T12:00:00", "2026-11-23"),
        ("2026-11-24T03:00:00", "2026-11-23"),
        ("2026-11-24T06:00:00", "2026-11-24"),
        ("2026-11-28T12:00:00", "2026-11-30"),
    ] {
        assert_eq!(coming(at).as_deref(), Some(evening), "{at}");
    }
    let never = NightPlan { evenings: [false; 7], ..plan() };
    assert_eq!(never.coming(&Grid::default(), &zoned("2026-11-23T12:00:00")), None);
}

#[test]
fn a_night_in_which_the_clocks_change_is_longer_or_shorter() {
    let every = NightPlan { evenings: [true; 7], ..plan() };
    let length = |at: &str| minutes(every.tonight(&Grid::default(), &zoned(at)));
    assert_eq!(length("2026-10-24T23:00:00"), Some(9 * 60));
    assert_eq!(length("2026-03-28T23:00:00"), Some(7 * 60));
    let noon = NightPlan { begins: 12 * 60, ends: 13 * 60, ..every.clone() };
    assert_eq!(minutes(noon.tonight(&Grid::default(), &zoned("2026-10-25T12:30:00"))), Some(60));
}

const TONIGHT: Tonight =
    Tonight { evening: Date::constant(2026, 11, 23), begins: UnixMillis(0), ends: UnixMillis(8 * HOUR) };
const HOUR: i64 = 60 * MINUTE;
const MINUTE: i64 = 60_000;

fn off() -> PcNow {
    PcNow {
        last_seen: None,
        signed_in: false,
        image: ImageNow::AsItShould,
        programs: ProgramsNow::AsTheyShould,
        asked: None,
    }
}

fn on(at: i64) -> PcNow {
    PcNow { last_seen: Some(UnixMillis(at)), ..off() }
}

fn decide(at: i64, before: Option<&NightNote>, pc: &PcNow) -> (NightNote, Option<Deed>) {
    plan().decide(&TONIGHT, UnixMillis(at), before, pc)
}

fn state(at: i64, pc: &PcNow) -> (NightState, Option<Deed>) {
    let (note, deed) = decide(at, None, pc);
    (note.state, deed)
}

#[test]
fn a_pc_that_was_just_told_to_switch_off_is_off() {
    let told = |at| PowerAsk {
        device: DeviceId::random(),
        power: Power::Off,
        asked_at: UnixMillis(0),
        told_at: Some(UnixMillis(at)),
    };
    let pc = |told_at| PcNow { asked: Some(told(told_at)), programs: ProgramsNow::ToDo, ..on(MINUTE) };
    let state = |pc: &PcNow| plan().decide(&TONIGHT, UnixMillis(2 * MINUTE), None, pc);
    let (note, deed) = state(&pc(MINUTE - 1000));
    assert_eq!((note.state, deed), (NightState::Called, Some(Deed::Call)));
    let (note, deed) = state(&pc(MINUTE - GOING_MILLIS - 1));
    assert_eq!((note.state, deed), (NightState::Working, None), "it did not: somebody came");
}

#[test]
fn a_pc_goes_its_way_through_the_night() {
    let differs = |pc: PcNow| PcNow { image: ImageNow::Differs, programs: ProgramsNow::ToDo, ..pc };
    let (note, deed) = decide(0, None, &differs(off()));
    assert_eq!((note.state.clone(), deed), (NightState::Called, Some(Deed::Call)));
    let (note, deed) = decide(MINUTE, Some(&note), &differs(on(MINUTE)));
    assert_eq!((note.state.clone(), deed), (NightState::Working, Some(Deed::Deploy)));
    let (note, deed) = decide(2 * MINUTE, Some(&note), &PcNow { image: ImageNow::Running, ..on(2 * MINUTE) });
    assert_eq!((note.state.clone(), deed, note.since.0), (NightState::Working, None, MINUTE));
    let (note, deed) =
        decide(9 * MINUTE, Some(&note), &PcNow { programs: ProgramsNow::ToDo, ..on(9 * MINUTE) });
    assert_eq!((note.state.clone(), deed), (NightState::Working, None));
    let (note, deed) = decide(12 * MINUTE, Some(&note), &on(12 * MINUTE));
    assert_eq!((note.state.clone(), deed), (NightState::SwitchedOff, Some(Deed::SwitchOff)));
    assert_eq!((note.calls, note.since.0), (1, 12 * MINUTE));
    // It speaks a last time, and then no more.
    assert_eq!(decide(13 * MINUTE, Some(&note), &on(13 * MINUTE)), (note.clone(), None));
    assert_eq!(decide(HOUR, Some(&note), &on(13 * MINUTE)), (note, None));
}

#[test]
fn who_has_nothing_to_do_sleeps_on_and_who_is_silent_is_called_three_times() {
    assert_eq!(state(0, &off()), (NightState::Ready, None));
    let needed = PcNow { programs: ProgramsNow::ToDo, ..off() };
    let mut note = None;
    let mut calls = 0;
    let mut pc = needed;
    for at in (0..HOUR).step_by(usize::try_from(MINUTE / 2).unwrap()) {
        let (next, deed) = decide(at, note.as_ref(), &pc);
        if deed == Some(Deed::Call) {
            calls += 1;
            let (device, asked_at) = (DeviceId::random(), UnixMillis(at));
            pc.asked = Some(PowerAsk { device, power: Power::On, asked_at, told_at: None });
        }
        note = Some(next);
    }
    assert_eq!((calls, note.unwrap().state), (3, NightState::Silent));
}

#[test]
fn a_pc_that_does_not_come_to_its_job_is_restarted_three_times_and_then_named() {
    let (device, mut note, mut restarts, mut asked) = (DeviceId::random(), None, 0, None);
    for at in (0..HOUR).step_by(usize::try_from(MINUTE / 2).unwrap()) {
        let pc = PcNow { image: ImageNow::Queued, asked, ..on(at) };
        let (next, deed) = decide(at, note.as_ref(), &pc);
        if deed == Some(Deed::Restart) {
            restarts += 1;
            let at = UnixMillis(at);
            asked = Some(PowerAsk { device, power: Power::Restart, asked_at: at, told_at: Some(at) });
        }
        note = Some(next);
    }
    assert_eq!((restarts, note.unwrap().state), (3, NightState::NotFromNetwork));
    let used = PcNow { image: ImageNow::Queued, signed_in: true, ..on(0) };
    assert_eq!(state(0, &used), (NightState::InUse, None));
}

#[test]
fn nobody_is_disturbed_and_nothing_is_begun_too_late() {
    let differs = PcNow { image: ImageNow::Differs, ..on(0) };
    assert_eq!(state(0, &PcNow { signed_in: true, ..differs.clone() }), (NightState::InUse, None));
    assert_eq!(state(0, &PcNow { signed_in: true, ..on(0) }), (NightState::InUse, None));
    let late = 8 * HOUR - 44 * MINUTE;
    let at_late = PcNow { last_seen: Some(UnixMillis(late)), ..differs.clone() };
    assert_eq!(state(late, &at_late), (NightState::TooLate, None));
    let failed = PcNow { image: ImageNow::Failed("Platte".into()), ..on(0) };
    assert_eq!(state(0, &failed), (NightState::ImageFailed("Platte".into()), None));
    let program = PcNow { programs: ProgramsNow::Failed, ..on(0) };
    assert_eq!(state(0, &program), (NightState::ProgramFailed, None));

    // Where the plan says so, images stay as they are and PCs on.
    let modest = NightPlan { image: false, switch_off: false, ..plan() };
    let (note, deed) = modest.decide(&TONIGHT, UnixMillis(0), None, &differs);
    assert_eq!((note.state, deed), (NightState::Ready, None));
}
