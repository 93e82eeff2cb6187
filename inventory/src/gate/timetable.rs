//! The timetable of the internet: what holds at the same hours of every week, and the rules that this makes of the days ahead.

use std::ops::Range;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::{kept, parse_target, require_target, setting, table_of, target_parts};
use super::{Layer, Rule, Setting, Target};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::lessons::{Grid, local};
use crate::{Answer, By, Error, Inventory, Result, RuleId, SlotId, UnixMillis};

/// A rule of the timetable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Slot {
    /// Its id.
    pub id: SlotId,
    /// What it says.
    #[serde(flatten)]
    pub new: NewSlot,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// What a rule of the timetable says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NewSlot {
    /// What it is about.
    pub target: Target,
    /// What holds then.
    #[serde(flatten)]
    pub setting: Setting,
    /// Its weekdays; 1 is Monday, 7 Sunday.
    pub days: Vec<u8>,
    /// Its first minute, since midnight.
    pub starts: u16,
    /// The minute after its last, at most 1440.
    pub ends: u16,
    /// Whether it rests on holidays: special days without lessons.
    pub school_days: bool,
}

type SlotRow = (Uuid, String, Uuid, String, Option<Uuid>, i64, i64, i64, bool, String, i64);

/// The rules that slots make of the days from `first` on. All rules of a slot have its id.
#[must_use]
fn occurrences(slots: &[Slot], grid: &Grid, zone: &TimeZone, first: Date, days: u8) -> Vec<Rule> {
    let mut rules = Vec::new();
    for day in (0..days).filter_map(|n| first.checked_add(i64::from(n).days()).ok()) {
        let weekday = u8::try_from(day.weekday().to_monday_one_offset()).unwrap_or_default();
        let free = grid.special.iter().any(|s| s.lessons.is_empty() && (s.first..=s.last).contains(&day));
        let here = slots.iter().filter(|slot| slot.new.days.contains(&weekday));
        for slot in here.filter(|slot| !(free && slot.new.school_days)) {
            if let Some(hours) = hours(day, zone, slot) {
                rules.push(rule(slot, &hours));
            }
        }
    }
    rules
}

/// When a slot begins and ends on a day, by the clock on the wall.
fn hours(day: Date, zone: &TimeZone, slot: &Slot) -> Option<Range<Timestamp>> {
    let at = |minute: u16| {
        let time = day.at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).ok()?;
        Some(time.to_zoned(zone.clone()).ok()?.timestamp())
    };
    Some(at(slot.new.starts)?..at(slot.new.ends)?).filter(|hours| !hours.is_empty())
}

fn rule(slot: &Slot, hours: &Range<Timestamp>) -> Rule {
    Rule {
        id: RuleId(slot.id.0),
        layer: Layer::Timetable,
        target: slot.new.target,
        setting: slot.new.setting,
        exam: None,
        starts_at: UnixMillis(hours.start.as_millisecond()),
        ends_at: Some(UnixMillis(hours.end.as_millisecond())),
        created_by: slot.created_by.clone(),
        created_at: slot.created_at,
    }
}

impl Inventory {
    /// The timetable, in the order of its hours. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn timetable(&self) -> Answer<'_, (Vec<Slot>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<SlotRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, target_kind, target_id, level, list_id, days, starts, ends, school_days, created_by, created_at
                 FROM timetable ORDER BY starts, ends, created_at, id").fetch_all(pool).await)
            .map_err(Error::db("read the timetable"))?;
            let mut problems = Vec::new();
            let slots = rows.into_iter().filter_map(|row| kept(slot(row), &mut problems)).collect();
            Ok((slots, problems))
        })
    }

    /// Adds a rule to the timetable.
    ///
    /// # Errors
    /// It has no day or no minute, its target or list does not exist, there are too many, or the database failed.
    pub fn add_slot<'a>(&'a self, by: By<'a>, new: &'a NewSlot) -> Answer<'a, SlotId> {
        Box::pin(async move {
            check(new)?;
            let id = SlotId::random();
            in_transaction!(self, "add to the timetable", tx => {
                let (kind, target) = require_target!(tx, new.target);
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM timetable").fetch_one(&mut *tx).await
                    .map_err(Error::db("read the timetable"))?;
                if count >= SLOTS_MAX {
                    return Err(Error::Conflict("the timetable is full; delete what is not needed any more".into()));
                }
                sqlx::query(
                    "INSERT INTO timetable (id, target_kind, target_id, level, list_id, days, starts, ends, school_days, created_by, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)")
                    .bind(id.0).bind(kind).bind(target).bind(new.setting.level.text()).bind(new.setting.list.map(|list| list.0))
                    .bind(bits(&new.days)).bind(i64::from(new.starts)).bind(i64::from(new.ends)).bind(new.school_days)
                    .bind(by.actor.to_owned()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("add to the timetable"))?;
                record!(tx, by, "timetable", id, "created")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Takes a rule out of the timetable.
    ///
    /// # Errors
    /// There is no such rule, or the database failed.
    pub fn delete_slot<'a>(&'a self, by: By<'a>, id: SlotId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete from the timetable", tx => {
                let done = sqlx::query("DELETE FROM timetable WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(Error::db("delete from the timetable"))?;
                Error::unless_found(done.rows_affected(), "timetable", id)?;
                record!(tx, by, "timetable", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// What the timetable says at `now` and in the days ahead.
    pub(super) async fn timetable_rules(
        &self,
        now: UnixMillis,
        problems: &mut Vec<Error>,
    ) -> Result<Vec<Rule>> {
        let (slots, bad) = self.timetable().await?;
        problems.extend(bad);
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let (grid, today) = (self.grid().await?, local(now));
        let mut rules = occurrences(&slots, &grid, today.time_zone(), today.date(), DAYS_AHEAD);
        rules.retain(|rule| rule.ends_at.is_none_or(|ends| ends > now));
        Ok(rules)
    }
}

fn check(new: &NewSlot) -> Result<()> {
    let week = |day: &u8| (1..=7).contains(day);
    if new.days.is_empty() || !new.days.iter().all(week) {
        return Err(Error::Conflict("no weekday is chosen; choose at least one".into()));
    }
    if new.starts >= new.ends || new.ends > 24 * 60 {
        return Err(Error::Conflict("the rule would end before it begins".into()));
    }
    Ok(())
}

fn bits(days: &[u8]) -> i64 {
    days.iter().fold(0, |bits, day| bits | 1 << (day - 1))
}

fn slot(row: SlotRow) -> Result<Slot> {
    let (id, kind, target, level, list, days, starts, ends, school_days, created_by, created_at) = row;
    let bad = Error::row("timetable", id);
    let minute = |minute: i64| u16::try_from(minute).map_err(|_| bad(format!("{minute} is no minute")));
    let new = NewSlot {
        target: parse_target(&kind, target).map_err(&bad)?,
        setting: setting(&level, list).map_err(&bad)?,
        days: (1..=7).filter(|day| days & (1 << (day - 1)) != 0).collect(),
        starts: minute(starts)?,
        ends: minute(ends)?,
        school_days,
    };
    check(&new).map_err(|error| bad(error.to_string()))?;
    Ok(Slot { id: SlotId(id), new, created_by, created_at: UnixMillis(created_at) })
}

/// Occurrences are made for so many days: readers ask again at least once a day.
const DAYS_AHEAD: u8 = 4;
const SLOTS_MAX: i64 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lessons::SpecialDays;
    use crate::{Level, RoomId};

    fn slot(days: &[u8], starts: u16, ends: u16) -> Slot {
        let new = NewSlot {
            target: Target::Room(RoomId::random()),
            setting: Level::Off.into(),
            days: days.to_vec(),
            starts,
            ends,
            school_days: true,
        };
        Slot { id: SlotId::random(), new, created_by: "test".into(), created_at: UnixMillis(0) }
    }

    /// Begin and end in German time.
    fn told(slots: &[Slot], grid: &Grid, first: &str, days: u8) -> Vec<String> {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let local = |at: UnixMillis| {
            let at = Timestamp::from_millisecond(at.0).unwrap().to_zoned(zone.clone());
            at.strftime("%d. %H:%M%:z").to_string()
        };
        let rules = occurrences(slots, grid, &zone, first.parse().unwrap(), days);
        rules
            .iter()
            .map(|rule| format!("{} - {}", local(rule.starts_at), local(rule.ends_at.unwrap())))
            .collect()
    }

    #[test]
    fn a_slot_comes_back_on_its_weekdays_and_rests_on_holidays() {
        let holidays = SpecialDays {
            first: "2026-11-25".parse().unwrap(),
            last: "2026-11-26".parse().unwrap(),
            name: "frei".into(),
            lessons: Vec::new(),
        };
        let grid = Grid { special: vec![holidays], ..Grid::default() };
        let mut slots = [slot(&[1, 3, 5], 8 * 60, 13 * 60 + 15)];
        let of = |day| format!("{day}. 08:00+01:00 - {day}. 13:15+01:00");
        assert_eq!(told(&slots, &grid, "2026-11-23", 7), [of(23), of(27)]);
        slots[0].new.school_days = false;
        assert_eq!(told(&slots, &grid, "2026-11-23", 7), [of(23), of(25), of(27)]);
    }

    #[test]
    fn a_slot_follows_the_clock_on_the_wall_and_may_last_until_midnight() {
        let slots = [slot(&[6, 7], 60, 4 * 60), slot(&[6], 22 * 60, 24 * 60)];
        assert_eq!(
            told(&slots, &Grid::default(), "2026-10-24", 2),
            [
                "24. 01:00+02:00 - 24. 04:00+02:00",
                "24. 22:00+02:00 - 25. 00:00+02:00",
                "25. 01:00+02:00 - 25. 04:00+01:00",
            ]
        );
    }
}
