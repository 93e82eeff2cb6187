//! The queue of commands for iPads: durable before anybody is told, each with an end, none stops the others.
//!
//! ```text
//! asked ─► queued ─► sent ─► done | failed
//!              ▲       │
//!              └─ not_now        any open one ─► superseded | cancelled | expired
//! ```
//! A command stays `sent` until a status with its id comes. When the iPad asks for work without having answered it, it is sent again if
//! doing it twice does no harm, [`TRIES_MAX`] times; else it waits for its end. What an iPad is too busy for (`NotNow`) it gets again when its
//! next session begins: it asks by itself when it can.

use std::collections::HashSet;

use uuid::Uuid;

use super::Action;
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, CommandId, EnrolmentId, Error, Inventory, MacAddr, UnixMillis};

/// A command, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Command {
    /// Its id, which the iPad repeats.
    pub id: CommandId,
    /// Who is to carry it out.
    pub enrolment: EnrolmentId,
    /// Apple's name of it (`DeviceLock`), or of the action while it has none yet.
    pub kind: String,
    /// How far it is.
    pub state: CommandState,
    /// Why it failed.
    pub problem: Option<String>,
    /// Why somebody wanted it; empty where no reason is asked for.
    pub reason: String,
    /// Who wanted it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it was handed out last.
    pub sent_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CommandState {
    /// Somebody asked for it.
    Asked,
    /// It waits for the iPad.
    Queued,
    /// The iPad has it.
    Sent,
    /// The iPad cannot do it at the moment.
    NotNow,
    /// Done.
    Done,
    /// The iPad refused it, or was handed it [`TRIES_MAX`] times without a sensible answer.
    Failed,
    /// Its time ran out.
    Expired,
    /// A newer one took its place.
    Superseded,
    /// Taken back.
    Cancelled,
}

impl CommandState {
    const ALL: [Self; 9] = [
        Self::Asked,
        Self::Queued,
        Self::Sent,
        Self::NotNow,
        Self::Done,
        Self::Failed,
        Self::Expired,
        Self::Superseded,
        Self::Cancelled,
    ];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::NotNow => "not_now",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Superseded => "superseded",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A command to be queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCommand {
    /// Who is to carry it out.
    pub enrolment: EnrolmentId,
    /// Apple's name of it.
    pub kind: String,
    /// The command, sealed.
    pub body: String,
    /// Open commands of the same iPad with the same word here are superseded; empty for none.
    pub replaces: String,
    /// Whether it may be handed out again when the iPad did not answer it: it may have carried it out.
    pub repeatable: bool,
    /// Greater ones go first.
    pub priority: i32,
    /// When it is of no use any more.
    pub ends_at: UnixMillis,
}

/// A command to be handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queued {
    /// Its id.
    pub id: CommandId,
    /// Apple's name of it.
    pub kind: String,
    /// The command, sealed.
    pub body: String,
}

/// What an iPad said of a command.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// It is done, and this is what it found out.
    Done(Option<Found>),
    /// It will not be done.
    Failed(String),
    /// Not at the moment. It gets the command again in its next session, and is woken for it after a while, each time later.
    NotNow,
    /// Its answer makes no sense.
    Unreadable(String),
}

/// What a command found out.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Kind of question.
    pub kind: &'static str,
    /// The answer.
    pub body: serde_json::Value,
    /// What the rest of the inventory needs of it.
    pub facts: Option<Facts>,
}

/// What an iPad says of itself that the rest of the inventory needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its card, by which DHCP, DNS and the gate know it.
    pub card: Option<MacAddr>,
    /// Model; empty when it does not say.
    pub model: String,
    /// Version of its system; empty when it does not say.
    pub os_version: String,
}

/// Open commands that the new one takes the place of. One that was sent stays: nobody knows whether it was carried out.
macro_rules! supersede {
    ($tx:expr, $by:expr, $new:expr) => {
        sqlx::query(
            "UPDATE mdm_commands SET state = 'superseded', ended_at = $1
             WHERE enrolment_id = $2 AND replaces = $3 AND replaces <> '' AND state IN ('queued', 'not_now') AND ended_at IS NULL",
        )
        .bind($by.at.0)
        .bind($new.enrolment.0)
        .bind($new.replaces.clone())
        .execute(&mut *$tx)
        .await
        .map_err($crate::Error::db("take the place of older commands"))
    };
}
pub(super) use supersede;

/// Inserts a queued command.
macro_rules! insert_command {
    ($tx:expr, $by:expr, $id:expr, $new:expr) => {
        sqlx::query(
            "INSERT INTO mdm_commands (id, enrolment_id, kind, body, replaces, state, priority, not_before, ends_at, tries, reason, created_by, created_at, repeatable)
             VALUES ($1, $2, $3, $4, $5, 'queued', $6, 0, $7, 0, '', $8, $9, $10)",
        )
        .bind($id.0)
        .bind($new.enrolment.0)
        .bind($new.kind.clone())
        .bind($new.body.clone())
        .bind($new.replaces.clone())
        .bind(i64::from($new.priority))
        .bind($new.ends_at.0)
        .bind($by.actor.to_owned())
        .bind($by.at.0)
        .bind($new.repeatable)
        .execute(&mut *$tx)
        .await
        .map_err($crate::Error::reference("queue commands"))
    };
}
pub(super) use insert_command;

/// Whether a newer command took the place of the one that `$old` names. One that ended without being done took no place.
macro_rules! newer {
    ($old:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM mdm_commands n WHERE n.enrolment_id = ", $old, ".enrolment_id AND n.seq > ", $old, ".seq
                     AND n.replaces = ", $old, ".replaces AND n.replaces <> '' AND n.state NOT IN ('cancelled', 'expired', 'failed', 'superseded'))"
        )
    };
}
pub(super) use newer;

/// Whether a command `c` goes out when its iPad asks: $1 is the time, $3 (or the parameter given) [`TRIES_MAX`]. A newer one with the same
/// word in `replaces` holds an older one back, which may have been sent already.
macro_rules! fetchable {
    () => {
        fetchable!("$3")
    };
    ($tries:literal) => {
        concat!(
            "c.ended_at IS NULL AND c.ends_at > $1 AND c.tries < ",
            $tries,
            " AND (c.state IN ('queued', 'not_now') OR (c.state = 'sent' AND c.repeatable)) AND NOT ",
            newer!("c")
        )
    };
}
pub(super) use fetchable;

impl Inventory {
    /// Asks something of iPads; returns how many will hear of it. What is asked already is not asked twice.
    ///
    /// # Errors
    /// The database failed.
    pub fn ask_ipads<'a>(
        &'a self,
        by: By<'a>,
        ipads: &'a [EnrolmentId],
        action: &'a Action,
        reason: &'a str,
        ends_at: UnixMillis,
    ) -> Answer<'a, usize> {
        Box::pin(async move {
            let text = serde_json::to_string(action).unwrap_or_default();
            in_transaction!(self, "ask something of iPads", tx => {
                let mut asked = 0;
                for ipad in ipads {
                    let id = CommandId::random();
                    let done = sqlx::query(
                        "INSERT INTO mdm_commands (id, enrolment_id, kind, action, body, replaces, repeatable, state, priority, not_before, ends_at, tries, reason, created_by, created_at)
                         SELECT $1, e.id, $2, $3, '', '', FALSE, 'asked', 0, 0, $4, 0, $5, $6, $7 FROM mdm_enrolments e
                         WHERE e.id = $8 AND e.state = 'enrolled'
                           AND NOT EXISTS (SELECT 1 FROM mdm_commands q WHERE q.enrolment_id = e.id AND q.action = $3 AND q.state IN ('asked', 'queued') AND q.ended_at IS NULL)")
                        .bind(id.0).bind(action.text()).bind(text.clone()).bind(ends_at.0)
                        .bind(reason.chars().take(REASON_CHARS_MAX).collect::<String>())
                        .bind(by.actor.to_owned()).bind(by.at.0).bind(ipad.0)
                        .execute(&mut *tx).await.map_err(Error::db("ask something of iPads"))?;
                    if done.rows_affected() == 1 {
                        asked += 1;
                        record!(tx, by, "ipad", ipad, action.text())?;
                    }
                }
                Ok(asked)
            })
        })
    }

    /// What people asked for and no command was made of yet, oldest first, unless its time is over.
    ///
    /// # Errors
    /// The database failed.
    pub fn asked_of_ipads(&self, now: UnixMillis, limit: u32) -> Answer<'_, Vec<Asked>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, Uuid, Option<String>, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, enrolment_id, action, created_at FROM mdm_commands
                 WHERE state = 'asked' AND ended_at IS NULL AND ends_at > $1 ORDER BY seq LIMIT $2")
                .bind(now.0).bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("list what is asked of iPads"))?;
            let action = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
            Ok(rows
                .into_iter()
                .map(|(id, ipad, text, at)| Asked {
                    id: CommandId(id),
                    ipad: EnrolmentId(ipad),
                    action: action(text),
                    at: UnixMillis(at),
                })
                .collect())
        })
    }

    /// Makes commands of what was asked for, the first in its place; or refuses it, for the reason given. All or nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn answer_asked<'a>(&'a self, by: By<'a>, answers: &'a [Answered]) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "make commands", tx => {
                for (asked, commands) in answers {
                    let first = commands.as_deref().map_err(|why| *why);
                    let first = first.and_then(|new| new.split_first().ok_or("there is nothing to do"));
                    let (state, done) = match first {
                        Ok((new, rest)) => {
                            supersede!(tx, by, new)?;
                            let done = sqlx::query("UPDATE mdm_commands SET state = 'queued', kind = $1, body = $2, replaces = $3, priority = $4,
                                                      repeatable = $5, ends_at = $6 WHERE id = $7 AND state = 'asked'")
                                .bind(new.kind.clone()).bind(new.body.clone()).bind(new.replaces.clone())
                                .bind(i64::from(new.priority)).bind(new.repeatable).bind(new.ends_at.0).bind(asked.id.0)
                                .execute(&mut *tx).await.map_err(Error::db("make a command"))?;
                            for new in rest.iter().filter(|_| done.rows_affected() == 1) {
                                supersede!(tx, by, new)?;
                                insert_command!(tx, by, CommandId::random(), new)?;
                            }
                            ("queued", done)
                        }
                        Err(problem) => {
                            let done = sqlx::query("UPDATE mdm_commands SET state = 'failed', problem = $1, ended_at = $2
                                                    WHERE id = $3 AND state = 'asked'")
                                .bind(problem.to_owned()).bind(by.at.0).bind(asked.id.0)
                                .execute(&mut *tx).await.map_err(Error::db("refuse a command"))?;
                            ("failed", done)
                        }
                    };
                    if done.rows_affected() == 1 {
                        record!(tx, by, "ipad", asked.ipad, state)?;
                    }
                }
                Ok(())
            })
        })
    }

    /// Queues commands, all or none. Each takes the place of open ones with the same word in `replaces`.
    ///
    /// # Errors
    /// An iPad does not exist, or the database failed.
    pub fn queue_commands<'a>(&'a self, by: By<'a>, new: &'a [NewCommand]) -> Answer<'a, Vec<CommandId>> {
        Box::pin(async move {
            in_transaction!(self, "queue commands", tx => {
                let mut ids = Vec::with_capacity(new.len());
                for new in new {
                    supersede!(tx, by, new)?;
                    let id = CommandId::random();
                    insert_command!(tx, by, id, new)?;
                    record!(tx, by, "ipad", new.enrolment, "queued")?;
                    ids.push(id);
                }
                Ok(ids)
            })
        })
    }

    /// Whether an iPad gets something when it asks for work.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_commands(&self, ipad: EnrolmentId, now: UnixMillis) -> Answer<'_, bool> {
        Box::pin(async move {
            let count: i64 = on_pool!(self, pool => sqlx::query_scalar(concat!(
                "SELECT COUNT(*) FROM mdm_commands c WHERE c.enrolment_id = $2 AND ", fetchable!()))
                .bind(now.0).bind(ipad.0).bind(TRIES_MAX).fetch_one(pool).await)
            .map_err(Error::db("look for waiting commands"))?;
            Ok(count > 0)
        })
    }

    /// Whom to wake: iPads that have something to fetch and need not be left alone for a while.
    ///
    /// # Errors
    /// The database failed.
    pub fn ipads_with_commands(&self, now: UnixMillis) -> Answer<'_, HashSet<EnrolmentId>> {
        Box::pin(async move {
            let rows: Vec<Uuid> = on_pool!(self, pool => sqlx::query_scalar(concat!(
                "SELECT c.enrolment_id FROM mdm_commands c WHERE c.not_before <= $1 AND ", fetchable!("$2")))
                .bind(now.0).bind(TRIES_MAX).fetch_all(pool).await)
            .map_err(Error::db("look for waiting commands"))?;
            Ok(rows.into_iter().map(EnrolmentId).collect())
        })
    }

    /// The newest commands of an iPad, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn commands_of(&self, ipad: EnrolmentId, limit: u32) -> Answer<'_, Vec<Command>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, enrolment_id, kind, state, problem, reason, created_by, created_at, sent_at, ended_at
                 FROM mdm_commands WHERE enrolment_id = $1 ORDER BY seq DESC LIMIT $2")
                .bind(ipad.0).bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("list an iPad's commands"))?;
            Ok(rows.into_iter().filter_map(command).collect())
        })
    }

    /// Takes an open command back. One that was sent may have been carried out already.
    ///
    /// # Errors
    /// There is no such open command, or the database failed.
    pub fn cancel_command<'a>(&'a self, by: By<'a>, ipad: EnrolmentId, id: CommandId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "take a command back", tx => {
                let done = sqlx::query(
                    "UPDATE mdm_commands SET state = 'cancelled', ended_at = $1
                     WHERE id = $2 AND enrolment_id = $3 AND ended_at IS NULL")
                    .bind(by.at.0).bind(id.0).bind(ipad.0)
                    .execute(&mut *tx).await.map_err(Error::db("take a command back"))?;
                Error::unless_found(done.rows_affected(), "open command", id)?;
                record!(tx, by, "ipad", ipad, "cancelled")?;
                Ok(())
            })
        })
    }

    /// Ends commands whose time is over or that an iPad never answers, and forgets those that ended before `forget`, with certificates that
    /// ended, iPads that left, and what the change log says of answers by then.
    ///
    /// # Errors
    /// The database failed.
    pub fn tidy_ipads<'a>(&'a self, by: By<'a>, forget: UnixMillis) -> Answer<'a, Tidied> {
        Box::pin(async move {
            in_transaction!(self, "tidy what is known of iPads", tx => {
                let expired = sqlx::query("UPDATE mdm_commands SET state = 'expired', ended_at = $1 WHERE ended_at IS NULL AND ends_at <= $1")
                    .bind(by.at.0).execute(&mut *tx).await.map_err(Error::db("end old commands"))?;
                let unanswered = sqlx::query(
                    "UPDATE mdm_commands SET state = 'failed', ended_at = $1, problem = COALESCE(problem, 'the iPad took it and never answered')
                     WHERE ended_at IS NULL AND tries >= $2")
                    .bind(by.at.0).bind(TRIES_MAX).execute(&mut *tx).await.map_err(Error::db("give commands up"))?;
                let forgotten = sqlx::query("DELETE FROM mdm_commands WHERE ended_at < $1")
                    .bind(forget.0).execute(&mut *tx).await.map_err(Error::db("forget old commands"))?;
                for old in [
                    "DELETE FROM mdm_certificates WHERE ends_at < $1 OR revoked_at < $1",
                    "DELETE FROM mdm_challenges WHERE ends_at < $1",
                    "DELETE FROM mdm_enrolments WHERE state = 'left' AND COALESCE(last_seen, 0) < $1",
                    // What people did and who came and went stays; what iPads answer every day would be most of the log.
                    "DELETE FROM changes WHERE at < $1 AND entity = 'ipad'
                       AND action IN ('queued', 'not_now', 'done', 'failed', 'reported', 'reachable')",
                ] {
                    sqlx::query(old).bind(forget.0).execute(&mut *tx).await.map_err(Error::db("forget old iPads"))?;
                }
                Ok(Tidied {
                    expired: expired.rows_affected(),
                    unanswered: unanswered.rows_affected(),
                    forgotten: forgotten.rows_affected(),
                })
            })
        })
    }
}

/// What tidying did to commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tidied {
    /// Whose time was over.
    pub expired: u64,
    /// That were handed out again and again.
    pub unanswered: u64,
    /// That ended long ago.
    pub forgotten: u64,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its id, which the command keeps.
    pub id: CommandId,
    /// Of whom.
    pub ipad: EnrolmentId,
    /// What; `None` when a later version wrote it.
    pub action: Option<Action>,
    /// When.
    pub at: UnixMillis,
}

/// What was asked for, and the commands that are made of it, or why there are none.
pub type Answered = (Asked, Result<Vec<NewCommand>, &'static str>);

/// How often a command is handed out without a sensible answer before it is given up, so that it stops nobody.
pub const TRIES_MAX: i64 = 5;
const REASON_CHARS_MAX: usize = 300;

type Row = (Uuid, Uuid, String, String, Option<String>, String, String, i64, Option<i64>, Option<i64>);

/// A state that nobody knows is left out: the list is for looking only.
fn command(
    (id, ipad, kind, state, problem, reason, created_by, created, sent, ended): Row,
) -> Option<Command> {
    Some(Command {
        id: CommandId(id),
        enrolment: EnrolmentId(ipad),
        kind,
        state: CommandState::ALL.into_iter().find(|known| known.text() == state)?,
        problem,
        reason,
        created_by,
        created_at: UnixMillis(created),
        sent_at: sent.map(UnixMillis),
        ended_at: ended.map(UnixMillis),
    })
}
