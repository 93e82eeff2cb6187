//! Exams: who sits one, until when, and what was seen of them.
//!
//! An exam is a row and one rule of [`Layer::Exam`] for each room or class, made and ended together. The protocol holds what a person
//! has to know afterwards, per device: whether it was there and how often it was turned away. No names and no addresses.

use std::collections::{BTreeSet, HashMap};

use ipados::values::BundleId;
use serde::Serialize;
use uuid::Uuid;

use super::store::{
    RuleRow, check, end_at, insert_rules, kept, require_target, rule, select_rules, table_of, target_parts,
};
use super::{Layer, Level, NewRule, Rule, Setting, Target};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::types::title;
use crate::{Answer, By, DeviceId, Error, ExamId, Inventory, ListId, Result, RuleId, UnixMillis};

/// An exam.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Exam {
    /// Its id.
    pub id: ExamId,
    /// What it is called, for example `Mathematik 7b`.
    pub name: String,
    /// The rooms and classes that sit it.
    pub targets: Vec<Target>,
    /// The allow list; without one, only what is always reachable.
    pub list: Option<ListId>,
    /// The apps that it leaves on iPads: one fills the screen, several are all that there is; without any, iPads stay as they are.
    #[schemars(with = "BTreeSet<String>")]
    pub apps: BTreeSet<BundleId>,
    /// When it began.
    pub starts_at: UnixMillis,
    /// When it ends, or ended.
    pub ends_at: UnixMillis,
    /// Who began it.
    pub created_by: String,
    /// Who ended it before its time.
    pub ended_by: Option<String>,
}

/// An exam to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewExam<'a> {
    /// What it is called: 1 to 60 characters.
    pub name: &'a str,
    /// The rooms and classes that sit it, at least one.
    pub targets: &'a [Target],
    /// The allow list.
    pub list: Option<ListId>,
    /// The apps that it leaves on iPads.
    pub apps: &'a BTreeSet<BundleId>,
    /// When it ends.
    pub ends_at: UnixMillis,
}

/// A device that sits an exam, and what was seen of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Sitting {
    /// The exam.
    pub exam: ExamId,
    /// The device; it may have been deleted since.
    pub device: DeviceId,
    /// Its name at the time.
    pub name: String,
    /// When it was seen on the network first; `None` while it never was.
    pub first_seen: Option<UnixMillis>,
    /// When it was seen last.
    pub last_seen: Option<UnixMillis>,
    /// How many connections to addresses that are not allowed were turned away. Programs in the background try as well.
    pub refused: u64,
    /// How many of another kind were: encrypted DNS and VPN, which lead around the rules.
    pub dodged: u64,
}

type ExamRow = (Uuid, String, i64, i64, String, Option<String>, String);
type SittingRow = (Uuid, Uuid, String, Option<i64>, Option<i64>, i64, i64);

impl Inventory {
    /// Begins an exam: one transaction makes it and its rules. Exams that are over for a year are removed on the way.
    ///
    /// # Errors
    /// Its name is unusable, nobody sits it, it would be over already, a target or the list does not exist, or the database failed.
    pub fn begin_exam<'a>(&'a self, by: By<'a>, new: &'a NewExam<'a>) -> Answer<'a, ExamId> {
        Box::pin(async move {
            let name = title(new.name, || {
                Error::Conflict("an exam's name must have 1 to 60 printable characters".into())
            })?;
            if new.targets.is_empty() {
                return Err(Error::Conflict("nobody sits this exam; choose a room or a class".into()));
            }
            if new.apps.len() > APPS_MAX {
                return Err(Error::Conflict("these are too many apps for an exam".into()));
            }
            let apps = serde_json::to_string(new.apps).unwrap_or_else(|_| "[]".into());
            let setting = Setting { level: Level::AllowList, list: new.list };
            let rule = |target: &Target| NewRule {
                layer: Layer::Exam,
                target: *target,
                setting,
                starts_at: by.at,
                ends_at: Some(new.ends_at),
            };
            let rules: Vec<NewRule> = new.targets.iter().map(rule).collect();
            check(&rules)?;
            let (id, ids) = (ExamId::random(), rules.iter().map(|_| RuleId::random()).collect::<Vec<_>>());
            in_transaction!(self, "begin an exam", tx => {
                sqlx::query("DELETE FROM exams WHERE ends_at < $1").bind(by.at.0 - KEPT_DAYS * 86_400_000)
                    .execute(&mut *tx).await.map_err(Error::db("remove old exams"))?;
                sqlx::query("INSERT INTO exams (id, name, starts_at, ends_at, created_by, apps) VALUES ($1, $2, $3, $4, $5, $6)")
                    .bind(id.0).bind(name.clone()).bind(by.at.0).bind(new.ends_at.0).bind(by.actor.to_owned()).bind(apps.clone())
                    .execute(&mut *tx).await.map_err(Error::db("begin an exam"))?;
                insert_rules!(tx, by, rules, ids, Some(id));
                record!(tx, by, "exam", id, "begun")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Lets an exam that runs end at another time: later, earlier, or (at `by.at`) now.
    ///
    /// # Errors
    /// There is no such exam, it is over, or the database failed.
    pub fn set_exam_end<'a>(&'a self, by: By<'a>, id: ExamId, ends_at: UnixMillis) -> Answer<'a, ()> {
        Box::pin(async move {
            let exam = self.exam(id).await?.ok_or(Error::NotFound { what: "exam", key: id.to_string() })?;
            let ends_at = ends_at.max(by.at).max(exam.starts_at);
            let over = ends_at == by.at;
            in_transaction!(self, "end an exam", tx => {
                let done = sqlx::query("UPDATE exams SET ends_at = $1, ended_by = $2 WHERE id = $3 AND ends_at > $4")
                    .bind(ends_at.0).bind(over.then(|| by.actor.to_owned())).bind(id.0).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("end an exam"))?;
                if done.rows_affected() == 0 {
                    return Err(Error::Conflict("this exam is over; begin a new one".into()));
                }
                // Whatever ended one of its rules alone before stays as it is.
                sqlx::query("UPDATE gate_rules SET ends_at = $1 WHERE exam_id = $2 AND ends_at > $3")
                    .bind(ends_at.0).bind(id.0).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("end an exam"))?;
                record!(tx, by, "rule", id, if over { "exam ended" } else { "exam prolonged" })?;
                record!(tx, by, "exam", id, if over { "ended" } else { "prolonged" })?;
                Ok(())
            })
        })
    }

    /// The newest exams, those that run and those that are over.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn exams(&self, limit: u32) -> Answer<'_, Vec<Exam>> {
        Box::pin(async move {
            let (exams, rules): (Vec<ExamRow>, Vec<RuleRow>) = on_pool!(self, pool => {
                let exams = sqlx::query_as(
                    "SELECT id, name, starts_at, ends_at, created_by, ended_by, apps FROM exams ORDER BY starts_at DESC, id LIMIT $1")
                    .bind(i64::from(limit)).fetch_all(pool).await.map_err(Error::db("list exams"))?;
                let rules = sqlx::query_as(concat!(select_rules!(),
                    " WHERE exam_id IN (SELECT id FROM exams ORDER BY starts_at DESC, id LIMIT $1)"))
                    .bind(i64::from(limit)).fetch_all(pool).await.map_err(Error::db("list exams"))?;
                (exams, rules)
            });
            assemble(exams, rules)
        })
    }

    /// Who sits an exam at that time, and until when. A row that makes no sense is passed over.
    ///
    /// # Errors
    /// The database failed.
    pub fn running_exams(&self, at: UnixMillis) -> Answer<'_, Vec<(Target, UnixMillis)>> {
        Box::pin(async move {
            let rows: Vec<RuleRow> = on_pool!(self, pool => sqlx::query_as(concat!(select_rules!(),
                " WHERE layer = 'exam' AND starts_at <= $1 AND ends_at > $1"))
                .bind(at.0).fetch_all(pool).await)
            .map_err(Error::db("list exams that run"))?;
            let running = rows.into_iter().filter_map(|row| rule(row).ok());
            Ok(running.filter_map(|rule| Some((rule.target, rule.ends_at?))).collect())
        })
    }

    /// The exam with that id.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn exam(&self, id: ExamId) -> Answer<'_, Option<Exam>> {
        Box::pin(async move {
            let (exams, rules): (Vec<ExamRow>, Vec<RuleRow>) = on_pool!(self, pool => {
                let exams = sqlx::query_as("SELECT id, name, starts_at, ends_at, created_by, ended_by, apps FROM exams WHERE id = $1")
                    .bind(id.0).fetch_all(pool).await.map_err(Error::db("find an exam"))?;
                let rules = sqlx::query_as(concat!(select_rules!(), " WHERE exam_id = $1"))
                    .bind(id.0).fetch_all(pool).await.map_err(Error::db("find an exam"))?;
                (exams, rules)
            });
            Ok(assemble(exams, rules)?.into_iter().next())
        })
    }

    /// Writes down what was seen of devices since the last time: counts are added, a device is entered when it is seen of for the first
    /// time. An exam that was removed is left out.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_sittings<'a>(&'a self, by: By<'a>, news: &'a [Sitting]) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut exams: Vec<ExamId> = news.iter().map(|sitting| sitting.exam).collect();
            exams.sort_unstable();
            exams.dedup();
            in_transaction!(self, "write an exam's protocol", tx => {
                for new in news {
                    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
                    sqlx::query(
                        "INSERT INTO exam_devices (exam_id, device_id, name, first_seen, last_seen, refused, dodged)
                         SELECT id, $2, $3, $4, $5, $6, $7 FROM exams WHERE id = $1
                         ON CONFLICT (exam_id, device_id) DO UPDATE SET
                         first_seen = COALESCE(exam_devices.first_seen, excluded.first_seen),
                         last_seen = COALESCE(excluded.last_seen, exam_devices.last_seen),
                         refused = exam_devices.refused + excluded.refused, dodged = exam_devices.dodged + excluded.dodged")
                        .bind(new.exam.0).bind(new.device.0).bind(new.name.clone())
                        .bind(new.first_seen.map(|at| at.0)).bind(new.last_seen.map(|at| at.0))
                        .bind(count(new.refused)).bind(count(new.dodged))
                        .execute(&mut *tx).await.map_err(Error::db("write an exam's protocol"))?;
                }
                for exam in &exams {
                    record!(tx, by, "exam", exam, "observed")?;
                }
                Ok(())
            })
        })
    }

    /// The devices that sat an exam, by name.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn sittings(&self, id: ExamId) -> Answer<'_, Vec<Sitting>> {
        Box::pin(async move {
            let rows: Vec<SittingRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT exam_id, device_id, name, first_seen, last_seen, refused, dodged FROM exam_devices
                 WHERE exam_id = $1 ORDER BY name, device_id")
                .bind(id.0).fetch_all(pool).await)
            .map_err(Error::db("read an exam's protocol"))?;
            rows.into_iter().map(sitting).collect()
        })
    }
}

fn assemble(exams: Vec<ExamRow>, rules: Vec<RuleRow>) -> Result<Vec<Exam>> {
    let mut problems = Vec::new();
    let mut of: HashMap<ExamId, Vec<Rule>> = HashMap::new();
    for rule in rules.into_iter().filter_map(|row| kept(rule(row), &mut problems)) {
        if let Some(exam) = rule.exam {
            of.entry(exam).or_default().push(rule);
        }
    }
    if let Some(problem) = problems.into_iter().next() {
        return Err(problem);
    }
    let exam = |(id, name, starts_at, ends_at, created_by, ended_by, apps): ExamRow| {
        let apps = serde_json::from_str(&apps).map_err(|e| Error::row("exams", id)(e.to_string()))?;
        let rules = of.remove(&ExamId(id)).unwrap_or_default();
        let mut targets: Vec<Target> = rules.iter().map(|rule| rule.target).collect();
        targets.sort_unstable();
        Ok(Exam {
            id: ExamId(id),
            name,
            targets,
            list: rules.first().and_then(|rule| rule.setting.list),
            apps,
            starts_at: UnixMillis(starts_at),
            ends_at: UnixMillis(ends_at),
            created_by,
            ended_by,
        })
    };
    exams.into_iter().map(exam).collect()
}

fn sitting((exam, device, name, first, last, refused, dodged): SittingRow) -> Result<Sitting> {
    let bad = Error::row("exam_devices", device);
    let count = |n: i64| u64::try_from(n).map_err(|_| bad(format!("{n} connections are less than none")));
    let (refused, dodged) = (count(refused)?, count(dodged)?);
    Ok(Sitting {
        exam: ExamId(exam),
        device: DeviceId(device),
        name,
        first_seen: first.map(UnixMillis),
        last_seen: last.map(UnixMillis),
        refused,
        dodged,
    })
}

/// More than this are no exam any more.
const APPS_MAX: usize = 50;
/// How long a protocol is kept: a school year.
const KEPT_DAYS: i64 = 365;
