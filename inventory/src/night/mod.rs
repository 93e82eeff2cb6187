//! The night shift: what is done in a room when nobody is there, decided for each PC from what is known of it.
//!
//! A PC is switched on only if something is to be done on it. It gets its image first, then its programs, and is switched off at the end.
//! Nothing is begun that would not be finished before the shift ends, and a shift ends before the first lesson.

mod store;

use jiff::civil::Date;
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::lessons::Grid;
use crate::power::{Power, PowerAsk, PowerState};
use crate::{DeviceId, RoomId, UnixMillis};

/// When and what in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct NightPlan {
    /// Which room.
    pub room: RoomId,
    /// On which evenings it begins, from Monday to Sunday.
    pub evenings: [bool; 7],
    /// Its first minute, counted from midnight.
    pub begins: u16,
    /// The minute after its last; of the next day if it is not after `begins`.
    pub ends: u16,
    /// PCs whose disk does not hold the newest version of their image get it.
    pub image: bool,
    /// PCs that are as they should be are switched off, if nobody is signed in.
    pub switch_off: bool,
    /// The evening on which it does not begin, because somebody said so.
    #[schemars(with = "Option<String>")]
    pub rests_on: Option<Date>,
}

/// A shift that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tonight {
    /// The day on which it began; its name.
    pub evening: Date,
    /// Since when.
    pub begins: UnixMillis,
    /// Until when.
    pub ends: UnixMillis,
}

/// How far a PC came in a shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NightState {
    /// It is off and being called.
    Called,
    /// Something is being done on it.
    Working,
    /// Somebody is signed in.
    InUse,
    /// A person took back the job that would have brought its image: not tonight.
    Postponed,
    /// There is too little time left for its image.
    TooLate,
    /// It is as it should be.
    Ready,
    /// It is as it should be and was told to switch off.
    SwitchedOff,
    /// It did not answer, however often it was called.
    Silent,
    /// A job waits for it, and it started its own system however often it was restarted.
    NotFromNetwork,
    /// Its image could not be written, for this reason.
    ImageFailed(String),
    /// A program could not be installed or removed.
    ProgramFailed,
}

/// What is written down of a PC in a shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct NightNote {
    /// How far it came.
    pub state: NightState,
    /// How often it was called or restarted.
    pub calls: u8,
    /// Since when it is so.
    pub since: UnixMillis,
}

/// The note of a PC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcTonight {
    /// Which PC.
    pub device: DeviceId,
    /// Of which evening.
    pub evening: Date,
    /// What is written down.
    pub note: NightNote,
}

/// What is known of a PC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PcNow {
    /// When its agent spoke last.
    pub last_seen: Option<UnixMillis>,
    /// Somebody is signed in.
    pub signed_in: bool,
    /// How it is with its image.
    pub image: ImageNow,
    /// How it is with its programs.
    pub programs: ProgramsNow,
    /// What was asked of it last.
    pub asked: Option<PowerAsk>,
}

/// How it is with a PC's image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageNow {
    /// Its disk holds what it should, or nobody said what it should hold.
    AsItShould,
    /// There is a newer version, or another image is wanted.
    Differs,
    /// A job waits for the PC to start from the network.
    Queued,
    /// A job runs.
    Running,
    /// A job of this shift was taken back.
    TakenBack,
    /// A job of this shift failed.
    Failed(String),
}

/// How it is with a PC's programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProgramsNow {
    /// Nothing is to be done.
    AsTheyShould,
    /// Something will be done soon.
    ToDo,
    /// What is left needs a person, or rests until after the shift.
    Failed,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Have it switched on.
    Call,
    /// Have it restarted for the job that waits.
    Restart,
    /// Give it its image.
    Deploy,
    /// Have it switched off.
    SwitchOff,
}

impl NightPlan {
    /// The shift that runs now, if one does.
    #[must_use]
    pub fn tonight(&self, grid: &Grid, now: &Zoned) -> Option<Tonight> {
        let days = [Some(now.date()), now.date().yesterday().ok()];
        let at = UnixMillis(now.timestamp().as_millisecond());
        let days = days.into_iter().flatten().filter(|evening| Some(*evening) != self.rests_on);
        let mut shifts = days.filter_map(|evening| self.shift(grid, evening, now));
        shifts.find(|shift| (shift.begins..shift.ends).contains(&at))
    }

    /// The evening of the shift that runs now, or of the next one, whether it rests or not.
    #[must_use]
    pub fn coming(&self, grid: &Grid, now: &Zoned) -> Option<Date> {
        let at = UnixMillis(now.timestamp().as_millisecond());
        let days = (-1..=7).filter_map(|days: i64| now.date().checked_add(days.days()).ok());
        let mut shifts = days.filter_map(|evening| self.shift(grid, evening, now));
        shifts.find(|shift| at < shift.ends).map(|shift| shift.evening)
    }

    fn shift(&self, grid: &Grid, evening: Date, now: &Zoned) -> Option<Tonight> {
        let weekday = usize::try_from(evening.weekday().to_monday_zero_offset()).ok()?;
        self.evenings.get(weekday).filter(|wanted| **wanted)?;
        let instant = |day: Date, minute: u16| {
            let at = day.at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).ok()?;
            let at = at.to_zoned(now.time_zone().clone()).ok()?;
            Some(UnixMillis(at.timestamp().as_millisecond()))
        };
        let last = if self.ends > self.begins { evening } else { evening.tomorrow().ok()? };
        let begins = instant(evening, self.begins)?;
        let lessons = [evening, last]
            .into_iter()
            .flat_map(|day| grid.on(day).iter().filter_map(move |lesson| instant(day, lesson.starts)));
        let lesson = lessons.filter(|starts| *starts >= begins).min();
        let ends = instant(last, self.ends)?;
        Some(Tonight { evening, begins, ends: lesson.map_or(ends, |lesson| ends.min(lesson)) })
    }

    /// What is done with a PC now, and what is written down of it. `before` is what was written down last, of the same shift.
    #[must_use]
    pub fn decide(
        &self,
        tonight: &Tonight,
        now: UnixMillis,
        before: Option<&NightNote>,
        pc: &PcNow,
    ) -> (NightNote, Option<Deed>) {
        let mut calls = before.map_or(0, |note| note.calls);
        let (state, deed) = self.next(tonight, now, before.map(|note| &note.state), calls, pc);
        calls = calls.saturating_add(u8::from(matches!(deed, Some(Deed::Call | Deed::Restart))));
        let since = before.filter(|note| note.state == state).map_or(now, |note| note.since);
        (NightNote { state, calls, since }, deed)
    }

    fn next(
        &self,
        tonight: &Tonight,
        now: UnixMillis,
        before: Option<&NightState>,
        calls: u8,
        pc: &PcNow,
    ) -> (NightState, Option<Deed>) {
        if before == Some(&NightState::SwitchedOff) {
            return (NightState::SwitchedOff, None);
        }
        let has_job = matches!(pc.image, ImageNow::Queued | ImageNow::Running);
        let image = if self.image || has_job { &pc.image } else { &ImageNow::AsItShould };
        let nothing_to_do = *image == ImageNow::AsItShould && pc.programs == ProgramsNow::AsTheyShould;
        let is_on = pc.last_seen.is_some_and(|seen| {
            let went = pc.asked.filter(|ask| ask.power == Power::Off).and_then(|ask| ask.told_at);
            now.millis_since(seen) < ON_MILLIS
                && went.is_none_or(|told| seen.millis_since(told) > GOING_MILLIS)
        });
        // A restart takes as long as a start.
        let asked = pc.asked.filter(|ask| ask.power != Power::Off);
        let is_called = asked.is_some_and(|ask| match ask.told_at {
            Some(told) => now.millis_since(told) < ON_MILLIS,
            None => ask.state(None, now) == PowerState::Open,
        });
        if !is_on {
            return match () {
                () if nothing_to_do => (NightState::Ready, None),
                () if is_called => (NightState::Called, None),
                () if calls < CALLS_MAX => (NightState::Called, Some(Deed::Call)),
                () => (NightState::Silent, None),
            };
        }
        match (image, pc.programs) {
            (ImageNow::Running, _) => (NightState::Working, None),
            _ if pc.signed_in => (NightState::InUse, None),
            (ImageNow::Queued, _) if is_called => (NightState::Working, None),
            (ImageNow::Queued, _) if calls < CALLS_MAX => (NightState::Working, Some(Deed::Restart)),
            (ImageNow::Queued, _) => (NightState::NotFromNetwork, None),
            (ImageNow::TakenBack, _) => (NightState::Postponed, None),
            (ImageNow::Failed(reason), _) => (NightState::ImageFailed(reason.clone()), None),
            (ImageNow::Differs, _) if tonight.ends.millis_since(now) < IMAGE_MILLIS => {
                (NightState::TooLate, None)
            }
            (ImageNow::Differs, _) => (NightState::Working, Some(Deed::Deploy)),
            (ImageNow::AsItShould, ProgramsNow::ToDo) => (NightState::Working, None),
            (ImageNow::AsItShould, ProgramsNow::Failed) => (NightState::ProgramFailed, None),
            (ImageNow::AsItShould, ProgramsNow::AsTheyShould) if self.switch_off => {
                (NightState::SwitchedOff, Some(Deed::SwitchOff))
            }
            (ImageNow::AsItShould, ProgramsNow::AsTheyShould) => (NightState::Ready, None),
        }
    }
}

/// The agent of a PC that is on speaks once a minute.
pub const ON_MILLIS: i64 = 3 * 60_000;
/// What a PC says so long after it was told to switch off are its last words.
const GOING_MILLIS: i64 = 15_000;
const CALLS_MAX: u8 = 3;
/// So long an image may take.
const IMAGE_MILLIS: i64 = 45 * 60_000;

#[cfg(test)]
mod tests;
