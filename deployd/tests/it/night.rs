//! The night shift with PCs that are simulated and everything else as it is.

use inventory::night::{NightNote, NightPlan, NightState};
use inventory::{DeviceId, JobId, JobTask, Power, PowerAsk, UnixMillis};
use jiff::civil::Date;

use crate::support::{School, by, some_chunks, until};

/// A shift that began an hour ago and has three to go.
fn now_in(school: &School) -> NightPlan {
    let local = inventory::lessons::local(by().at);
    let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap();
    let day = 24 * 60;
    NightPlan {
        room: school.room.id,
        evenings: [true; 7],
        begins: (minute + day - 60) % day,
        ends: (minute + 180) % day,
        image: true,
        switch_off: true,
        rests_on: None,
    }
}

fn asked(school: &School, device: DeviceId) -> Option<Power> {
    let asks: Vec<PowerAsk> = school.block(school.inventory.power_asks(UnixMillis(0), Some(device))).unwrap();
    asks.first().map(|ask| ask.power)
}

fn note(school: &School, device: DeviceId) -> Option<NightNote> {
    let (notes, problems) = school.block(school.inventory.night_notes(Date::constant(2026, 1, 1))).unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    notes.into_iter().find(|note| note.device == device).map(|note| note.note)
}

fn open_job(school: &School, device: DeviceId) -> Option<(JobId, JobTask)> {
    school.block(school.inventory.open_job(device)).unwrap().map(|job| (job.id, job.task))
}

#[test]
fn a_pc_gets_its_image_unless_a_person_takes_the_job_back_and_is_switched_off_at_the_end() {
    let school = School::open();
    let (image, _) = school.image("Debian", &some_chunks(1, 2));
    let (_pc, device) = school.approved("r204-pc01");
    let (_other, ready) = school.approved("r204-pc02");
    let name = "r204-pc01".parse().unwrap();
    let set = |image| {
        school.block(school.inventory.change_device(by(), device, &name, school.room.id, image)).unwrap();
    };
    let is = |state| note(&school, device).is_some_and(|note| note.state == state);
    set(Some(image));
    school.block(school.inventory.set_night_plan(by(), &now_in(&school))).unwrap();

    until("it has a job", || open_job(&school, device).is_some());
    let (job, task) = open_job(&school, device).unwrap();
    assert_eq!(task, JobTask::Deploy { image, version: None });
    until("that is written down", || is(NightState::Working));
    assert_eq!(asked(&school, device), Some(Power::Restart));

    school.block(school.inventory.cancel_job(by(), job)).unwrap();
    until("it is left alone", || is(NightState::Postponed));
    assert_eq!(open_job(&school, device), None);

    // The other has spoken a moment ago and has nothing to do.
    assert_eq!(asked(&school, ready), Some(Power::Off));
    assert_eq!(note(&school, ready).map(|note| note.state), Some(NightState::SwitchedOff));
}
