//! Rules for iPads: what is wanted, of whom and when; and which of them hold for an iPad at a moment.
//!
//! What a rule wants is [`ipados::rules::Content`]; how several combine is decided there ([`ipados::rules::merge`]).

use ipados::os::DeviceFacts;
use ipados::rules::{Content, Layer, Preset, Rank};
use ipados::values::BundleId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

use super::NewCommand;
use super::commands::{insert_command, supersede};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::gate::store::{kept, parse_target, require_target, table_of, target_parts};
use crate::gate::{GateDevice, Of, Subject, Target};
use crate::lessons::Bell;
use crate::types::title;
use crate::vault::Vault;
use crate::{Answer, By, DeviceId, EnrolmentId, Error, ExamId, Inventory, IpadRuleId, Result, UnixMillis};

/// When a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At all times.
    Always,
    /// While there is a lesson; not in breaks.
    Lessons,
    /// From the first lesson of a day to its last.
    SchoolHours,
    /// As before, and only while the iPad has an address in the school's network.
    AtSchool,
}

impl When {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Always, Self::Lessons, Self::SchoolHours, Self::AtSchool];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Lessons => "lessons",
            Self::SchoolHours => "school_hours",
            Self::AtSchool => "at_school",
        }
    }

    fn holds(self, moment: Moment, present: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Lessons => moment.bell.lesson,
            Self::SchoolHours => moment.bell.school,
            Self::AtSchool => moment.bell.school && present,
        }
    }
}

/// A rule to be saved.
#[derive(Debug, Clone, PartialEq)]
pub struct NewIpadRule {
    /// What it is called: 1 to 60 characters.
    pub name: String,
    /// Whom it is about; the whole school when absent.
    pub target: Option<Target>,
    /// When it holds.
    pub when: When,
    /// What it wants.
    pub content: Content,
}

/// A rule.
#[derive(Debug, Clone, PartialEq)]
pub struct IpadRule {
    /// Its id.
    pub id: IpadRuleId,
    /// What it says.
    pub new: NewIpadRule,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: UnixMillis,
}

/// An exam that leaves certain apps on iPads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpadExam {
    /// Its id.
    pub id: ExamId,
    /// What it is called.
    pub name: String,
    /// The apps.
    pub apps: BTreeSet<BundleId>,
    /// Who sits it, each until when.
    pub targets: Vec<(Target, UnixMillis)>,
}

/// An iPad as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuledIpad {
    /// Its enrolment.
    pub id: EnrolmentId,
    /// Whom the rules are asked about.
    pub subject: Subject,
    /// What it is called.
    pub name: String,
    /// What decides what it accepts.
    pub facts: DeviceFacts,
    /// The token of the declarations that it was last told of.
    pub declared: Option<String>,
    /// Whether it has an address in the school's network.
    pub present: bool,
}

/// What an iPad is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declared {
    /// The token of its declarations.
    pub token: String,
    /// The command that tells it.
    pub command: NewCommand,
}

/// A moment in the life of the school.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: UnixMillis,
    /// Whether there is a lesson.
    pub bell: Bell,
}

/// What holds for an iPad at a moment.
#[derive(Debug, Clone, Default)]
pub struct Holding<'a> {
    rules: Vec<&'a IpadRule>,
    exams: Vec<(&'a IpadExam, UnixMillis)>,
}

impl<'a> Holding<'a> {
    /// What of all rules and exams holds for an iPad.
    #[must_use]
    pub fn of(rules: &'a [IpadRule], exams: &'a [IpadExam], ipad: &RuledIpad, moment: Moment) -> Self {
        let subject = &ipad.subject;
        let about = |rule: &&IpadRule| {
            rule.new.target.is_none_or(|target| subject.is_meant(target, moment.at))
                && rule.new.when.holds(moment, ipad.present)
        };
        let sits = |exam: &'a IpadExam| {
            let targets = exam
                .targets
                .iter()
                .filter(|(target, ends)| moment.at < *ends && subject.is_meant(*target, moment.at));
            Some((exam, targets.map(|(_, ends)| *ends).max()?))
        };
        Self { rules: rules.iter().filter(about).collect(), exams: exams.iter().filter_map(sits).collect() }
    }

    /// The same for whom the same holds.
    #[must_use]
    pub fn key(&self) -> Vec<(Uuid, i64)> {
        let rules = self.rules.iter().map(|rule| (rule.id.0, rule.changed_at.0));
        rules.chain(self.exams.iter().map(|(exam, ends)| (exam.id.0, ends.0))).collect()
    }

    /// What everybody says, to be merged.
    #[must_use]
    pub fn layers(&self) -> Vec<Layer> {
        let of_rule = |rule: &&IpadRule| {
            let (rank, content) = (rank(rule.new.when, rule.new.target), rule.new.content.clone());
            Some(Layer { rank, name: rule.new.name.parse().ok()?, until: None, content })
        };
        let of_exam = |(exam, ends): &(&IpadExam, UnixMillis)| {
            let presets = Preset::of_exam(&exam.apps).into_iter().collect();
            let content = Content { presets, ..Content::default() };
            let until = Some(ends.0.div_euclid(1000));
            Some(Layer { rank: Rank::Exam, name: exam.name.parse().ok()?, until, content })
        };
        self.rules.iter().filter_map(of_rule).chain(self.exams.iter().filter_map(of_exam)).collect()
    }
}

fn rank(when: When, target: Option<Target>) -> Rank {
    match (when, target) {
        (When::Lessons | When::SchoolHours | When::AtSchool, _) => Rank::Lesson,
        (When::Always, None) => Rank::School,
        (When::Always, Some(Target::Room(_))) => Rank::Room,
        (When::Always, Some(Target::Group(_))) => Rank::Class,
        (When::Always, Some(Target::Device(_) | Target::User(_))) => Rank::Device,
    }
}

type RuleRow = (Uuid, String, Option<String>, Option<Uuid>, String, String, String, i64);

impl Inventory {
    /// All rules, by name. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn ipad_rules<'a>(&'a self, vault: &'a Vault) -> Answer<'a, (Vec<IpadRule>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<RuleRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, name, target_kind, target_id, holds, content, changed_by, changed_at FROM mdm_rules ORDER BY name, id")
                .fetch_all(pool).await)
            .map_err(Error::db("list rules for iPads"))?;
            let mut problems = Vec::new();
            let rules = rows.into_iter().filter_map(|row| kept(rule(vault, row), &mut problems)).collect();
            Ok((rules, problems))
        })
    }

    /// Saves a rule: a new one, or in the place of the one with that id.
    ///
    /// # Errors
    /// Its name is unusable, it is too long, there are too many, there is no such rule or target, or the database failed.
    pub fn save_ipad_rule<'a>(
        &'a self,
        by: By<'a>,
        vault: &'a Vault,
        id: Option<IpadRuleId>,
        new: &'a NewIpadRule,
    ) -> Answer<'a, IpadRuleId> {
        Box::pin(async move {
            let name = title(&new.name, || {
                Error::Conflict("a rule's name must have 1 to 60 printable characters".into())
            })?;
            let text = serde_json::to_vec(&new.content).unwrap_or_default();
            if text.len() > CONTENT_BYTES_MAX {
                return Err(Error::Conflict("this rule is too long; make several of it".into()));
            }
            let (rule, is_new) = (id.unwrap_or_else(IpadRuleId::random), id.is_none());
            let content = vault.seal(&owner(rule), &text).unwrap_or_default();
            in_transaction!(self, "save a rule for iPads", tx => {
                let (kind, target) = match new.target {
                    Some(target) => {
                        let (kind, target) = require_target!(tx, target);
                        (Some(kind), Some(target))
                    }
                    None => (None, None),
                };
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mdm_rules").fetch_one(&mut *tx).await
                    .map_err(Error::db("list rules for iPads"))?;
                if is_new && count >= RULES_MAX {
                    return Err(Error::Conflict("there are too many rules for iPads; delete what is not needed any more".into()));
                }
                let sql = if is_new {
                    "INSERT INTO mdm_rules (id, name, target_kind, target_id, holds, content, changed_by, changed_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
                } else {
                    "UPDATE mdm_rules SET name = $2, target_kind = $3, target_id = $4, holds = $5, content = $6, changed_by = $7,
                     changed_at = $8 WHERE id = $1"
                };
                let done = sqlx::query(sql).bind(rule.0).bind(name.clone()).bind(kind).bind(target).bind(new.when.text())
                    .bind(content.clone()).bind(by.actor.to_owned()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("save a rule for iPads"))?;
                Error::unless_found(done.rows_affected(), "rule", rule)?;
                record!(tx, by, "ipad_rule", rule, if is_new { "created" } else { "changed" })?;
                Ok(())
            })?;
            Ok(rule)
        })
    }

    /// Deletes a rule.
    ///
    /// # Errors
    /// There is no such rule, or the database failed.
    pub fn delete_ipad_rule<'a>(&'a self, by: By<'a>, id: IpadRuleId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a rule for iPads", tx => {
                let done = sqlx::query("DELETE FROM mdm_rules WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("delete a rule for iPads"))?;
                Error::unless_found(done.rows_affected(), "rule", id)?;
                record!(tx, by, "ipad_rule", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// The exams that run and leave certain apps on iPads.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn ipad_exams(&self, now: UnixMillis) -> Answer<'_, Vec<IpadExam>> {
        Box::pin(async move {
            type Rows = (Vec<(Uuid, String, String)>, Vec<(Uuid, String, Uuid, i64)>);
            let (exams, targets): Rows = on_pool!(self, pool => {
                let exams = sqlx::query_as("SELECT id, name, apps FROM exams WHERE ends_at > $1 AND apps <> '[]' ORDER BY id")
                    .bind(now.0).fetch_all(pool).await.map_err(Error::db("list exams"))?;
                let targets = sqlx::query_as(
                    "SELECT exam_id, target_kind, target_id, ends_at FROM gate_rules WHERE exam_id IS NOT NULL AND ends_at > $1
                     ORDER BY target_kind, target_id")
                    .bind(now.0).fetch_all(pool).await.map_err(Error::db("list exams"))?;
                (exams, targets)
            });
            let mut of: HashMap<Uuid, Vec<(Target, UnixMillis)>> = HashMap::new();
            for (exam, kind, id, ends) in targets {
                let target = parse_target(&kind, id).map_err(Error::row("gate_rules", exam))?;
                of.entry(exam).or_default().push((target, UnixMillis(ends)));
            }
            let exam = |(id, name, apps): (Uuid, String, String)| {
                let apps = serde_json::from_str(&apps).map_err(|e| Error::row("exams", id)(e.to_string()))?;
                Ok(IpadExam { id: ExamId(id), name, apps, targets: of.remove(&id).unwrap_or_default() })
            };
            exams.into_iter().map(exam).collect()
        })
    }

    /// The enrolled iPads as the rules see them. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn ruled_ipads(&self, now: UnixMillis) -> Answer<'_, (Vec<RuledIpad>, Vec<Error>)> {
        Box::pin(async move {
            type Row = (Uuid, Uuid, String, Option<String>, Option<String>);
            let (devices, mut problems) = self.gate_devices(Of::Ipads).await?;
            let (rows, present): (Vec<Row>, Vec<Uuid>) = on_pool!(self, pool => {
                let rows = sqlx::query_as(
                    "SELECT e.id, e.device_id, e.os_version, e.declared, r.body FROM mdm_enrolments e
                     LEFT JOIN mdm_reports r ON r.enrolment_id = e.id AND r.kind = 'device'
                     WHERE e.state = 'enrolled' AND e.device_id IS NOT NULL ORDER BY e.id")
                    .fetch_all(pool).await.map_err(Error::db("list iPads"))?;
                let present = sqlx::query_scalar(
                    "SELECT i.device_id FROM interfaces i JOIN leases l ON l.mac = i.mac
                     WHERE l.state = 'active' AND l.expires_at > $1 AND i.device_id IN (SELECT device_id FROM mdm_enrolments WHERE state = 'enrolled')")
                    .bind(now.0).fetch_all(pool).await.map_err(Error::db("list leases"))?;
                (rows, present)
            });
            let present: BTreeSet<Uuid> = present.into_iter().collect();
            let mut devices: HashMap<DeviceId, GateDevice> =
                devices.into_iter().map(|device| (device.subject.device, device)).collect();
            let mut ipad = |(id, device, os, declared, report): Row| {
                let GateDevice { name, subject, .. } = devices
                    .remove(&DeviceId(device))
                    .ok_or_else(|| Error::row("mdm_enrolments", id)("its device makes no sense".into()))?;
                let facts = facts(&os, report.as_deref());
                let present = present.contains(&device);
                Ok(RuledIpad {
                    id: EnrolmentId(id),
                    subject,
                    name: name.to_string(),
                    facts,
                    declared,
                    present,
                })
            };
            let ipads = rows.into_iter().filter_map(|row| kept(ipad(row), &mut problems)).collect();
            Ok((ipads, problems))
        })
    }

    /// Queues what tells iPads that their declarations are others, and takes down which. What was queued before for the same is superseded.
    ///
    /// # Errors
    /// The database failed.
    pub fn declare<'a>(&'a self, by: By<'a>, news: &'a [Declared]) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "tell iPads of their declarations", tx => {
                for Declared { token, command } in news {
                    let done = sqlx::query("UPDATE mdm_enrolments SET declared = $1 WHERE id = $2 AND state = 'enrolled'")
                        .bind(token.clone()).bind(command.enrolment.0)
                        .execute(&mut *tx).await.map_err(Error::db("tell iPads of their declarations"))?;
                    if done.rows_affected() == 0 {
                        continue;
                    }
                    supersede!(tx, by, command)?;
                    insert_command!(tx, by, crate::CommandId::random(), command)?;
                    record!(tx, by, "ipad", command.enrolment, "queued")?;
                }
                Ok(())
            })
        })
    }
}

/// What the device said of itself; before it did, nothing that needs supervision is asked of it.
fn facts(os: &str, report: Option<&str>) -> DeviceFacts {
    let report: serde_json::Value =
        report.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let said = |key: &str| report.get(key).and_then(serde_json::Value::as_bool).unwrap_or_default();
    DeviceFacts {
        os: os.parse().unwrap_or(ipados::os::OsVersion::ANY),
        supervised: said("supervised"),
        shared_ipad: said("shared"),
    }
}

fn rule(vault: &Vault, row: RuleRow) -> Result<IpadRule> {
    let (id, name, kind, target, holds, content, changed_by, changed_at) = row;
    let (id, bad) = (IpadRuleId(id), Error::row("mdm_rules", id));
    let content = vault.unseal(&owner(id), &content).ok_or_else(|| {
        bad("its seal does not open; restore the keys from the backup, or make the rule anew".into())
    })?;
    let target = match kind.zip(target) {
        Some((kind, target)) => Some(parse_target(&kind, target).map_err(&bad)?),
        None => None,
    };
    Ok(IpadRule {
        id,
        new: NewIpadRule {
            name,
            target,
            when: When::ALL
                .into_iter()
                .find(|when| when.text() == holds)
                .ok_or_else(|| bad(format!("unknown time {holds:?}")))?,
            content: serde_json::from_slice(&content).map_err(|e| bad(e.to_string()))?,
        },
        changed_by,
        changed_at: UnixMillis(changed_at),
    })
}

fn owner(id: IpadRuleId) -> Vec<u8> {
    [b"ipad rule", id.0.as_bytes().as_slice()].concat()
}

/// A home screen with a few hundred icons, or five hundred addresses of a filter, have some 50 kB.
const CONTENT_BYTES_MAX: usize = 256 << 10;
/// Rules of the largest school.
const RULES_MAX: i64 = 1000;
