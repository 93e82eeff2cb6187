//! The school's lessons: when they begin and end, and until when a teacher's "until the bell" is.
//!
//! Times are local: minutes since midnight of a calendar day. What they are in the world's time is asked of the time zone, so a lesson
//! is where it was on the day the clocks change.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, Result, UnixMillis};

/// A lesson of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Lesson {
    /// Its number, from 1.
    pub number: u8,
    /// Its first minute.
    pub starts: u16,
    /// The minute after its last.
    pub ends: u16,
}

/// Days that are not like their weekday.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SpecialDays {
    /// The first day.
    pub first: Date,
    /// The last day.
    pub last: Date,
    /// What they are called, for example `Herbstferien`.
    pub name: String,
    /// Their lessons; none on a holiday.
    pub lessons: Vec<Lesson>,
}

/// All lessons.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Grid {
    /// From Monday to Sunday.
    pub week: [Vec<Lesson>; 7],
    /// Holidays and short days.
    pub special: Vec<SpecialDays>,
}

/// How long a teacher's rule is to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Until the end of the lesson, or of the next one in a break.
    Lesson,
    /// For so many minutes, but not into the next day.
    Minutes(u16),
    /// Until midnight.
    Day,
}

/// Whether there is school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bell {
    /// There is a lesson.
    pub lesson: bool,
    /// The first lesson of the day began and the last one is not over.
    pub school: bool,
    /// Until when this is so.
    pub until: UnixMillis,
}

impl Grid {
    /// Whether there is school now, and until when that is so.
    #[must_use]
    pub fn bell(&self, now: &Zoned) -> Bell {
        let minute = u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).unwrap_or(u16::MAX);
        let lessons = self.on(now.date());
        let begins = lessons.iter().map(|lesson| lesson.starts).min();
        let ends = lessons.iter().map(|lesson| lesson.ends).max();
        let next =
            lessons.iter().flat_map(|lesson| [lesson.starts, lesson.ends]).filter(|at| *at > minute).min();
        let at = |minute: u16| now.date().at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).ok();
        let until = at(next.unwrap_or(24 * 60)).and_then(|at| at.to_zoned(now.time_zone().clone()).ok());
        Bell {
            lesson: lessons.iter().any(|lesson| (lesson.starts..lesson.ends).contains(&minute)),
            school: begins.zip(ends).is_some_and(|(begins, ends)| (begins..ends).contains(&minute)),
            until: UnixMillis(until.map_or(i64::MAX, |until| until.timestamp().as_millisecond())),
        }
    }

    /// The same in the server's time zone.
    #[must_use]
    pub fn bell_at(&self, now: UnixMillis) -> Bell {
        self.bell(&local(now))
    }

    /// The lessons of a day, in their order.
    #[must_use]
    pub fn on(&self, day: Date) -> &[Lesson] {
        let special = self.special.iter().find(|special| (special.first..=special.last).contains(&day));
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or_default();
        special
            .map_or_else(|| self.week.get(weekday).map_or(&[][..], Vec::as_slice), |special| &special.lessons)
    }

    /// When a rule that is made now ends, and the number of the lesson if that decides. Without a lesson left today, "until the end of
    /// the lesson" is 45 minutes.
    #[must_use]
    pub fn end(&self, now: &Zoned, span: Span) -> (UnixMillis, Option<u8>) {
        let midnight =
            now.tomorrow().and_then(|day| day.start_of_day()).map_or(now.timestamp(), |day| day.timestamp());
        let lesson = if span == Span::Lesson { self.lesson_end(now) } else { None };
        let minutes = match span {
            Span::Minutes(minutes) => i64::from(minutes),
            Span::Lesson => LESSON_MINUTES,
            Span::Day => 24 * 60,
        };
        let later = now.timestamp().checked_add(SignedDuration::from_mins(minutes)).unwrap_or(midnight);
        let ends = match (span, lesson) {
            (Span::Day, _) => midnight,
            (_, Some((ends, _))) => ends,
            _ => later,
        };
        (UnixMillis(ends.min(midnight).as_millisecond()), lesson.map(|(_, number)| number))
    }

    /// End of the lesson that runs, or of the next one today. A little is added, so that the bell does not cut off who is finishing, but
    /// never into the next lesson.
    fn lesson_end(&self, now: &Zoned) -> Option<(Timestamp, u8)> {
        let minute = u16::try_from(i32::from(now.hour()) * 60 + i32::from(now.minute())).ok()?;
        let mut coming = self.on(now.date()).iter().filter(|lesson| minute < lesson.ends);
        let lesson = coming.next()?;
        let next = coming.next().map_or(u16::MAX, |next| next.starts);
        let minute = lesson.ends.saturating_add(BELL_MINUTES).min(next.max(lesson.ends));
        let midnight = now.date().at(0, 0, 0, 0).checked_add(i64::from(minute).minutes()).ok()?;
        Some((midnight.to_zoned(now.time_zone().clone()).ok()?.timestamp(), lesson.number))
    }
}

/// An instant in the server's time zone.
#[must_use]
pub fn local(at: UnixMillis) -> Zoned {
    Timestamp::from_millisecond(at.0).unwrap_or_default().to_zoned(TimeZone::system())
}

/// Reads a grid from lines `number;start;end` or `weekday;number;start;end`, separated by `;`, `,` or tabs: `1;08:00;08:45`,
/// `Fr;6;12:30;13:10`. A first line with words is a heading. Returns the week, and what is wrong with which line.
#[must_use]
pub fn parse_week(text: &str) -> ([Vec<Lesson>; 7], Vec<(usize, String)>) {
    let mut week: [Vec<Lesson>; 7] = Default::default();
    let mut wrong = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate().take(LINES_MAX) {
        if line.trim().is_empty() {
            continue;
        }
        match parse_line(line) {
            Some((days, lesson)) => {
                for day in
                    week.iter_mut().enumerate().filter(|(day, _)| days.contains(day)).map(|(_, day)| day)
                {
                    day.retain(|known| known.number != lesson.number);
                    day.push(lesson);
                    day.sort_by_key(|lesson| lesson.starts);
                }
            }
            // A heading has no digits.
            None if at == 0 && !line.contains(|c: char| c.is_ascii_digit()) => {}
            None => wrong.push((at + 1, line.chars().take(80).collect())),
        }
    }
    (week, wrong)
}

/// Writes a week in the form that [`parse_week`] reads.
#[must_use]
pub fn write_week(week: &[Vec<Lesson>; 7]) -> String {
    let [monday, rest @ .., saturday, sunday] = week;
    let alike = rest.iter().all(|day| day == monday) && saturday.is_empty() && sunday.is_empty();
    let line = |day: &str, lesson: &Lesson| {
        format!("{day}{};{};{}\n", lesson.number, hour(lesson.starts), hour(lesson.ends))
    };
    if alike {
        return monday.iter().map(|lesson| line("", lesson)).collect();
    }
    let days = WEEKDAY_NAMES.iter().zip(week);
    days.flat_map(|(day, lessons)| lessons.iter().map(move |lesson| line(day, lesson))).collect()
}

/// Reads days that are not like their weekday from lines `first;last;name` (no lessons) or
/// `first;last;name;number start-end, number start-end …`; a day is written `21.12.2026` or `2026-12-21`, one without a last day is one
/// day. Returns them, and what is wrong with which line.
#[must_use]
pub fn parse_special(text: &str) -> (Vec<SpecialDays>, Vec<(usize, String)>) {
    let (mut special, mut wrong) = (Vec::new(), Vec::new());
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate().take(LINES_MAX) {
        if line.trim().is_empty() {
            continue;
        }
        match parse_days(line) {
            Some(days) => special.push(days),
            None if at == 0 && !line.contains(|c: char| c.is_ascii_digit()) => {}
            None => wrong.push((at + 1, line.chars().take(80).collect())),
        }
    }
    special.sort_by_key(|days| days.first);
    (special, wrong)
}

fn parse_days(line: &str) -> Option<SpecialDays> {
    let mut fields = line.splitn(4, [';', '\t']).map(|field| field.trim().trim_matches('"'));
    let first = parse_date(fields.next()?)?;
    let last = fields.next().filter(|last| !last.is_empty()).map_or(Some(first), parse_date)?;
    let name: String = fields.next()?.chars().take(60).collect();
    let lessons = fields.next().unwrap_or_default();
    let lessons: Option<Vec<Lesson>> =
        lessons.split(',').map(str::trim).filter(|part| !part.is_empty()).map(parse_lesson).collect();
    (first <= last && !name.is_empty()).then_some(SpecialDays { first, last, name, lessons: lessons? })
}

/// `3 9:55-10:40`.
fn parse_lesson(text: &str) -> Option<Lesson> {
    let (number, hours) = text.split_once(' ')?;
    let (starts, ends) = hours.split_once(['-', '–'])?;
    let lesson = Lesson {
        number: number.trim_end_matches('.').parse().ok()?,
        starts: minute(starts.trim())?,
        ends: minute(ends.trim())?,
    };
    (lesson.number > 0 && lesson.starts < lesson.ends).then_some(lesson)
}

fn parse_date(text: &str) -> Option<Date> {
    text.parse().ok().or_else(|| Date::strptime("%d.%m.%Y", text).ok())
}

/// Writes special days in the form that [`parse_special`] reads.
#[must_use]
pub fn write_special(special: &[SpecialDays]) -> String {
    let lesson = |lesson: &Lesson| format!("{} {}-{}", lesson.number, hour(lesson.starts), hour(lesson.ends));
    let line = |days: &SpecialDays| {
        let lessons: Vec<String> = days.lessons.iter().map(lesson).collect();
        let rest = if lessons.is_empty() { String::new() } else { format!(";{}", lessons.join(", ")) };
        format!("{};{};{}{rest}\n", days.first, days.last, days.name)
    };
    special.iter().map(line).collect()
}

/// `08:05`; the end of the day is `24:00`.
#[must_use]
pub fn hour(minute: u16) -> String {
    format!("{:02}:{:02}", minute / 60, minute % 60)
}

fn parse_line(line: &str) -> Option<(std::ops::RangeInclusive<usize>, Lesson)> {
    let fields: Vec<&str> =
        line.split([';', ',', '\t']).map(|field| field.trim().trim_matches('"')).collect();
    let (days, rest) = match fields.as_slice() {
        [day, rest @ ..] if rest.len() == 3 => {
            let two: String = day.to_lowercase().chars().take(2).collect();
            let at = WEEKDAYS.iter().position(|(german, english)| two == *german || two == *english)?;
            (at..=at, rest)
        }
        rest if rest.len() == 3 => (0..=4, rest),
        _ => return None,
    };
    let [number, starts, ends] = rest else { return None };
    let lesson = Lesson {
        number: number.trim_end_matches('.').parse().ok()?,
        starts: minute(starts)?,
        ends: minute(ends)?,
    };
    (lesson.number > 0 && lesson.starts < lesson.ends).then_some((days, lesson))
}

/// `8:00` or `08:00`; a day ends at `24:00`.
fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.split_once([':', '.'])?;
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (minute < 60 && hour <= 24).then_some(hour * 60 + minute).filter(|minutes| *minutes <= 24 * 60)
}

impl Inventory {
    /// The lessons.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn grid(&self) -> Answer<'_, Grid> {
        Box::pin(async move {
            type Rows = (Vec<(i64, i64, i64, i64)>, Vec<(String, String, String, String)>);
            let (lessons, special): Rows = on_pool!(self, pool => {
                let lessons = sqlx::query_as("SELECT weekday, number, starts, ends FROM lessons ORDER BY weekday, starts")
                    .fetch_all(pool).await.map_err(Error::db("list lessons"))?;
                let special = sqlx::query_as("SELECT first, last, name, lessons FROM special_days ORDER BY first")
                    .fetch_all(pool).await.map_err(Error::db("list special days"))?;
                (lessons, special)
            });
            let mut grid = Grid::default();
            for (weekday, number, starts, ends) in lessons {
                let day = usize::try_from(weekday - 1).ok().and_then(|day| grid.week.get_mut(day));
                let lesson = || {
                    let (starts, ends) = (u16::try_from(starts).ok()?, u16::try_from(ends).ok()?);
                    Some(Lesson { number: u8::try_from(number).ok()?, starts, ends })
                };
                match (day, lesson()) {
                    (Some(day), Some(lesson)) => day.push(lesson),
                    _ => {
                        return Err(Error::row("lessons", format!("{weekday}/{number}"))(
                            "out of range".into(),
                        ));
                    }
                }
            }
            grid.special = special.into_iter().map(special_days).collect::<Result<_>>()?;
            Ok(grid)
        })
    }

    /// Replaces the lessons.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_grid<'a>(&'a self, by: By<'a>, grid: &'a Grid) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "save the lessons", tx => {
                for table in ["DELETE FROM lessons", "DELETE FROM special_days"] {
                    sqlx::query(table).execute(&mut *tx).await.map_err(Error::db("save the lessons"))?;
                }
                for (weekday, lessons) in (1i64..).zip(&grid.week) {
                    for lesson in lessons {
                        sqlx::query("INSERT INTO lessons (weekday, number, starts, ends) VALUES ($1, $2, $3, $4)")
                            .bind(weekday).bind(i64::from(lesson.number)).bind(i64::from(lesson.starts)).bind(i64::from(lesson.ends))
                            .execute(&mut *tx).await
                            .map_err(Error::unique("save the lessons", || format!("lesson {} is there twice", lesson.number)))?;
                    }
                }
                for special in &grid.special {
                    let lessons = serde_json::to_string(&special.lessons).unwrap_or_else(|_| "[]".into());
                    sqlx::query("INSERT INTO special_days (first, last, name, lessons) VALUES ($1, $2, $3, $4)")
                        .bind(special.first.to_string()).bind(special.last.to_string()).bind(special.name.clone()).bind(lessons)
                        .execute(&mut *tx).await
                        .map_err(Error::unique("save special days", || format!("two entries begin on {}", special.first)))?;
                }
                record!(tx, by, "lessons", "all", "saved")?;
                Ok(())
            })
        })
    }
}

fn special_days((first, last, name, lessons): (String, String, String, String)) -> Result<SpecialDays> {
    let bad = Error::row("special_days", &first);
    let day = |text: &str| text.parse::<Date>().map_err(|e| bad(e.to_string()));
    let lessons = serde_json::from_str(&lessons).map_err(|e| bad(e.to_string()))?;
    Ok(SpecialDays { first: day(&first)?, last: day(&last)?, name, lessons })
}

/// Added to the end of a lesson.
const BELL_MINUTES: u16 = 3;
/// Of an ordinary lesson.
const LESSON_MINUTES: i64 = 45;
const WEEKDAYS: [(&str, &str); 7] =
    [("mo", "mo"), ("di", "tu"), ("mi", "we"), ("do", "th"), ("fr", "fr"), ("sa", "sa"), ("so", "su")];
/// As [`write_week`] begins a line.
const WEEKDAY_NAMES: [&str; 7] = ["Mo;", "Di;", "Mi;", "Do;", "Fr;", "Sa;", "So;"];
/// More lines than this are no list of lessons.
const LINES_MAX: usize = 500;

#[cfg(test)]
mod tests {
    use jiff::civil::DateTime;
    use jiff::tz::TimeZone;

    use super::*;

    const LIST: &str =
        "Stunde;Beginn;Ende\n1;8:00;8:45\n2;08:50;09:35\n3;9:55;10:40\nFr;3;9:40;10:20\nx;y\n4;11:00;10:00\n";

    fn grid() -> Grid {
        let special = |first: &str, last: &str, lessons| SpecialDays {
            first: first.parse().unwrap(),
            last: last.parse().unwrap(),
            name: "x".into(),
            lessons,
        };
        Grid {
            week: parse_week(LIST).0,
            special: vec![
                special("2026-12-18", "2026-12-18", vec![Lesson { number: 1, starts: 480, ends: 510 }]),
                special("2026-12-21", "2027-01-05", vec![]),
            ],
        }
    }

    /// Ends as local time in Germany. A time with an offset is taken as it is.
    fn end(now: &str, span: Span) -> String {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let local = |text: &str| text.parse::<DateTime>().unwrap().to_zoned(zone.clone()).unwrap();
        let now = now.parse::<Timestamp>().map_or_else(|_| local(now), |at| at.to_zoned(zone.clone()));
        let (ends, _) = grid().end(&now, span);
        let ends = Timestamp::from_millisecond(ends.0).unwrap().to_zoned(now.time_zone().clone());
        ends.strftime("%d. %H:%M").to_string()
    }

    #[test]
    fn a_list_is_read_and_bad_lines_are_named() {
        let (week, wrong) = parse_week(LIST);
        assert_eq!(week[0], [(1, 480, 525), (2, 530, 575), (3, 595, 640)].map(lesson));
        assert_eq!(week[4].last(), Some(&lesson((3, 580, 620))));
        assert!(week[5].is_empty());
        assert_eq!(wrong, [(6, "x;y".to_owned()), (7, "4;11:00;10:00".to_owned())]);
    }

    #[test]
    fn what_was_written_is_read_again() {
        for text in [LIST, "1;8:00;8:45\n2;8:50;9:35", ""] {
            let (week, _) = parse_week(text);
            assert_eq!(parse_week(&write_week(&week)), (week, Vec::new()), "{text}");
        }
        let text = "von;bis;was\n21.12.2026;5.1.2027;Ferien\n2026-12-18;;Zeugnisse;1 8:00-8:30, 2. 8:35-9:05\nx;y;z\n2.1.2027;1.1.2027;rückwärts";
        let (special, wrong) = parse_special(text);
        assert_eq!(wrong.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5]);
        assert_eq!(special[0].lessons, [(1, 480, 510), (2, 515, 545)].map(lesson));
        assert_eq!((special[1].name.as_str(), special[1].lessons.len()), ("Ferien", 0));
        assert_eq!(parse_special(&write_special(&special)), (special, Vec::new()));
    }

    fn lesson((number, starts, ends): (u8, u16, u16)) -> Lesson {
        Lesson { number, starts, ends }
    }

    #[test]
    fn until_the_bell_is_the_end_of_the_lesson_and_a_little_more_but_not_into_the_next() {
        for (now, expected) in [
            ("2026-11-23T08:10", "23. 08:48"),
            ("2026-11-23T08:47", "23. 09:38"), // a break: the lesson to come
            ("2026-11-27T09:00", "27. 09:38"), // Friday's third lesson begins at 9:40
            ("2026-11-23T10:39", "23. 10:43"),
            ("2026-11-23T15:00", "23. 15:45"), // after school
            ("2026-12-18T08:05", "18. 08:33"), // a short day
            ("2026-12-24T08:05", "24. 08:50"), // a holiday
        ] {
            assert_eq!(end(now, Span::Lesson), expected, "{now}");
        }
    }

    #[test]
    fn the_bell_knows_lessons_breaks_and_holidays() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let bell = |now: &str| {
            let bell = grid().bell(&now.parse::<DateTime>().unwrap().to_zoned(zone.clone()).unwrap());
            let until = Timestamp::from_millisecond(bell.until.0).unwrap().to_zoned(zone.clone());
            (bell.lesson, bell.school, until.strftime("%d. %H:%M").to_string())
        };
        let expected = |lesson, school, until: &str| (lesson, school, until.to_owned());
        assert_eq!(bell("2026-11-23T07:10"), expected(false, false, "23. 08:00"));
        assert_eq!(bell("2026-11-23T08:00"), expected(true, true, "23. 08:45"));
        assert_eq!(bell("2026-11-23T08:45"), expected(false, true, "23. 08:50"));
        assert_eq!(bell("2026-11-23T10:40"), expected(false, false, "24. 00:00"));
        assert_eq!(bell("2026-12-24T09:00"), expected(false, false, "25. 00:00"));
    }

    #[test]
    fn nothing_lasts_into_the_next_day() {
        assert_eq!(end("2026-11-23T23:30", Span::Minutes(90)), "24. 00:00");
        assert_eq!(end("2026-11-23T23:30", Span::Lesson), "24. 00:00");
        assert_eq!(end("2026-11-23T07:00", Span::Day), "24. 00:00");
        assert_eq!(end("2026-11-23T07:00", Span::Minutes(15)), "23. 07:15");
    }

    #[test]
    fn on_the_day_the_clocks_change_minutes_are_minutes_and_midnight_is_midnight() {
        assert_eq!(end("2026-10-25T02:50:00+02:00", Span::Minutes(30)), "25. 02:20");
        assert_eq!(end("2026-10-25T02:20:00+01:00", Span::Day), "26. 00:00");
        assert_eq!(end("2026-03-29T01:50", Span::Minutes(30)), "29. 03:20");
    }
}
