//! Turns: what iPads said of their last command, and what they get next. Many iPads share one commit.
//!
//! A statement costs an exchange with the engine's thread and a commit an fsync, whoever it is for. So a round of turns is a handful of
//! statements, each about all of its iPads.

use std::collections::{HashMap, HashSet};

use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::commands::{Found, Outcome, Queued, TRIES_MAX, fetchable, newer};
use super::enrolments::note_facts;
use crate::changes::record;
use crate::db::in_transaction;
use crate::{Answer, By, CommandId, EnrolmentId, Error, Inventory};

/// An iPad says what became of its last command, and asks for the next one.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// Which iPad.
    pub ipad: EnrolmentId,
    /// What became of a command. Without it a session begins: then what the iPad was too busy for is handed out again as well.
    pub outcome: Option<(CommandId, Outcome)>,
}

/// What an iPad gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This command.
    Command(Queued),
    /// Nothing in this session, and something when the next one begins.
    Later,
    /// Nothing: none waits.
    Nothing,
}

impl Inventory {
    /// What iPads said, and the next command for each, in one step: after a crash either all of it happened or nothing. An outcome that
    /// came before, or is about a command that is over or somebody else's, changes nothing. The answers are in the order of the turns.
    ///
    /// # Errors
    /// The database failed; then nothing happened.
    pub fn take_turns<'a>(&'a self, by: By<'a>, turns: &'a [Turn]) -> Answer<'a, Vec<Next>> {
        Box::pin(async move {
            in_transaction!(self, "go on with iPads", tx => {
                let mut next = vec![Next::Nothing; turns.len()];
                for round in rounds(turns) {
                    note_outcomes!(tx, by, round)?;
                    hand_out!(tx, by, round, next)?;
                }
                Ok(next)
            })
        })
    }

    /// One turn by itself; see [`Inventory::take_turns`].
    ///
    /// # Errors
    /// The database failed.
    pub fn next_command<'a>(
        &'a self,
        by: By<'a>,
        ipad: EnrolmentId,
        outcome: Option<(CommandId, Outcome)>,
    ) -> Answer<'a, Option<Queued>> {
        Box::pin(async move {
            match self.take_turns(by, &[Turn { ipad, outcome }]).await?.pop() {
                Some(Next::Command(queued)) => Ok(Some(queued)),
                _ => Ok(None),
            }
        })
    }
}

/// A turn and its place among all.
type Placed<'a> = (usize, &'a Turn);

/// Parts that name each iPad once, in order, of at most [`ROUND_MAX`] turns.
fn rounds(turns: &[Turn]) -> Vec<Vec<Placed<'_>>> {
    let mut rounds: Vec<Vec<Placed<'_>>> = Vec::new();
    let mut here: HashSet<EnrolmentId> = HashSet::new();
    for (place, turn) in turns.iter().enumerate() {
        match rounds.last_mut() {
            Some(round) if round.len() < ROUND_MAX && here.insert(turn.ipad) => round.push((place, turn)),
            _ => {
                here = HashSet::from([turn.ipad]);
                rounds.push(vec![(place, turn)]);
            }
        }
    }
    rounds
}

/// What becomes of a command by what its iPad said.
struct Noted<'a> {
    id: CommandId,
    ipad: EnrolmentId,
    kind: String,
    state: &'static str,
    problem: Option<&'a str>,
    found: Option<&'a Found>,
    tries: i64,
    deferred: i64,
}

impl<'a> Noted<'a> {
    fn of(id: CommandId, ipad: EnrolmentId, outcome: &'a Outcome, known: Open) -> Self {
        let Open { kind, tries, deferred } = known;
        let this = Self { id, ipad, kind, state: "done", problem: None, found: None, tries, deferred };
        match outcome {
            Outcome::Done(found) => Self { found: found.as_ref(), ..this },
            Outcome::Failed(problem) => Self { state: "failed", problem: Some(problem), ..this },
            Outcome::NotNow => Self { state: "not_now", tries: 0, deferred: deferred + 1, ..this },
            Outcome::Unreadable(problem) => {
                let state = if tries >= TRIES_MAX { "failed" } else { "queued" };
                Self { state, problem: Some(problem), ..this }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.state == "done"
    }

    fn ended(&self) -> bool {
        matches!(self.state, "done" | "failed")
    }

    /// What the change log says: followers hear of work only when there is some.
    fn action(&self) -> &'static str {
        if self.ended() { self.state } else { "not_now" }
    }

    /// Until when nobody wakes it. Whoever is busy is left alone for five minutes, then for twice as long each time, to six hours.
    fn not_before(&self, by: By<'_>) -> i64 {
        if self.state != "not_now" {
            return 0;
        }
        let doublings = (self.deferred - 1).clamp(0, 7);
        by.at.plus_secs(NOT_NOW_SECS.saturating_mul(1 << doublings).min(NOT_NOW_SECS_MAX)).0
    }
}

/// What is known of an open command.
struct Open {
    kind: String,
    tries: i64,
    deferred: i64,
}

/// What the iPads of a round said, as far as it is about open commands of their own.
fn noted<'a>(round: &[Placed<'a>], mut open: HashMap<(CommandId, EnrolmentId), Open>) -> Vec<Noted<'a>> {
    let said = round.iter().filter_map(|(_, turn)| Some((turn.ipad, turn.outcome.as_ref()?)));
    said.filter_map(|(ipad, (id, outcome))| Some(Noted::of(*id, ipad, outcome, open.remove(&(*id, ipad))?)))
        .collect()
}

/// Takes down what the iPads of a round said.
macro_rules! note_outcomes {
    ($tx:expr, $by:expr, $round:expr) => {
        async {
            let ids: Vec<Uuid> =
                $round.iter().filter_map(|(_, turn)| Some(turn.outcome.as_ref()?.0.0)).collect();
            if ids.is_empty() {
                return Ok(());
            }
            let sql = format!(
                "SELECT id, enrolment_id, kind, tries, deferred FROM mdm_commands
                 WHERE ended_at IS NULL AND state <> 'asked' AND id IN ({})",
                places(1, ids.len())
            );
            let mut query = sqlx::query_as(AssertSqlSafe(sql));
            for id in &ids {
                query = query.bind(*id);
            }
            let rows: Vec<(Uuid, Uuid, String, i64, i64)> =
                query.fetch_all(&mut *$tx).await.map_err(Error::db("find commands"))?;
            let open = rows.into_iter().map(|(id, ipad, kind, tries, deferred)| {
                ((CommandId(id), EnrolmentId(ipad)), Open { kind, tries, deferred })
            });
            let noted = noted(&$round, open.collect());
            write_outcomes!($tx, $by, noted)?;
            keep_found!($tx, $by, noted)?;
            Ok::<(), Error>(())
        }
        .await
    };
}
use note_outcomes;

/// Writes what became of commands, and the change log.
macro_rules! write_outcomes {
    ($tx:expr, $by:expr, $noted:expr) => {
        async {
            let done: Vec<&Noted<'_>> = $noted.iter().filter(|it| it.is_done()).collect();
            if !done.is_empty() {
                let sql = format!(
                    "UPDATE mdm_commands SET state = 'done', problem = NULL, not_before = 0, ended_at = $1 WHERE id IN ({})",
                    places(2, done.len()));
                let mut query = sqlx::query(AssertSqlSafe(sql)).bind($by.at.0);
                for it in &done {
                    query = query.bind(it.id.0);
                }
                query.execute(&mut *$tx).await.map_err(Error::db("note what became of commands"))?;
            }
            for it in $noted.iter().filter(|it| !it.is_done()) {
                sqlx::query("UPDATE mdm_commands SET state = $1, problem = $2, not_before = $3, ended_at = $4, tries = $5, deferred = $6 WHERE id = $7")
                    .bind(it.state).bind(it.problem.map(str::to_owned)).bind(it.not_before($by))
                    .bind(it.ended().then_some($by.at.0)).bind(it.tries).bind(it.deferred).bind(it.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("note what became of a command"))?;
                // It could wait, and a newer one came meanwhile.
                sqlx::query(concat!(
                    "UPDATE mdm_commands SET state = 'superseded', ended_at = $1 WHERE id = $2 AND ended_at IS NULL AND ",
                    newer!("mdm_commands")))
                    .bind($by.at.0).bind(it.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("take the place of older commands"))?;
            }
            if !$noted.is_empty() {
                let mut sql = sqlx::QueryBuilder::new("INSERT INTO changes (at, entity, entity_key, actor, action) ");
                sql.push_values($noted.iter(), |mut row, it| {
                    row.push_bind($by.at.0).push_bind("ipad").push_bind(it.ipad.to_string())
                        .push_bind($by.actor.to_owned()).push_bind(it.action());
                });
                sql.build().execute(&mut *$tx).await.map_err(Error::db("write the change log"))?;
            }
            Ok::<(), Error>(())
        }
        .await
    };
}
use write_outcomes;

/// Keeps what commands found out.
macro_rules! keep_found {
    ($tx:expr, $by:expr, $noted:expr) => {
        async {
            let reports: Vec<(EnrolmentId, &Found)> =
                $noted.iter().filter_map(|it| Some((it.ipad, it.found?))).collect();
            if !reports.is_empty() {
                let mut sql =
                    sqlx::QueryBuilder::new("INSERT INTO mdm_reports (enrolment_id, kind, body, at) ");
                sql.push_values(reports, |mut row, (ipad, found)| {
                    row.push_bind(ipad.0)
                        .push_bind(found.kind)
                        .push_bind(found.body.to_string())
                        .push_bind($by.at.0);
                });
                sql.push(
                    " ON CONFLICT (enrolment_id, kind) DO UPDATE SET body = excluded.body, at = excluded.at",
                );
                sql.build().execute(&mut *$tx).await.map_err(Error::reference("keep what iPads report"))?;
            }
            for it in $noted.iter().filter(|it| it.is_done()) {
                match (it.kind.as_str(), it.found.and_then(|found| found.facts.as_ref())) {
                    ("DeviceConfigured", _) => {
                        sqlx::query("UPDATE mdm_enrolments SET awaiting = $1 WHERE id = $2")
                            .bind(false)
                            .bind(it.ipad.0)
                            .execute(&mut *$tx)
                            .await
                            .map_err(Error::db("let an iPad go on"))?;
                    }
                    ("DeviceInformation", Some(facts)) => note_facts!($tx, $by, it.ipad, facts)?,
                    _ => {}
                }
            }
            Ok::<(), Error>(())
        }
        .await
    };
}
use keep_found;

/// Gives the iPads of a round their next commands.
macro_rules! hand_out {
    ($tx:expr, $by:expr, $round:expr, $next:expr) => {
        async {
            for begins in [true, false] {
                let mut waiting: HashMap<Uuid, usize> = $round
                    .iter()
                    .filter(|(_, turn)| turn.outcome.is_none() == begins)
                    .map(|(place, turn)| (turn.ipad.0, *place))
                    .collect();
                if waiting.is_empty() {
                    continue;
                }
                let mut query = sqlx::query_as(AssertSqlSafe(next_sql(begins, waiting.len())))
                    .bind($by.at.0)
                    .bind(TRIES_MAX);
                for ipad in waiting.keys() {
                    query = query.bind(*ipad);
                }
                let rows: Vec<(Uuid, Uuid, String, String)> =
                    query.fetch_all(&mut *$tx).await.map_err(Error::db("find the next commands"))?;
                for (ipad, id, kind, body) in rows {
                    let slot = waiting.remove(&ipad).and_then(|place| $next.get_mut(place));
                    if let Some(slot) = slot {
                        *slot = Next::Command(Queued { id: CommandId(id), kind, body });
                    }
                }
                // Whose session begins got whatever there is.
                if begins || waiting.is_empty() {
                    continue;
                }
                let mut query = sqlx::query_scalar(AssertSqlSafe(later_sql(waiting.len())))
                    .bind($by.at.0)
                    .bind(TRIES_MAX);
                for ipad in waiting.keys() {
                    query = query.bind(*ipad);
                }
                let later: Vec<Uuid> =
                    query.fetch_all(&mut *$tx).await.map_err(Error::db("look for waiting commands"))?;
                for ipad in later {
                    if let Some(slot) = waiting.get(&ipad).and_then(|place| $next.get_mut(*place)) {
                        *slot = Next::Later;
                    }
                }
            }
            Ok::<(), Error>(())
        }
        .await
    };
}
use hand_out;

/// Marks the first command of each iPad as sent and gives it: $1 is the time, $2 [`TRIES_MAX`], then the iPads.
fn next_sql(begins: bool, count: usize) -> String {
    let busy = if begins { "" } else { "AND c.state <> 'not_now'" };
    format!(
        "UPDATE mdm_commands SET state = 'sent', sent_at = $1, tries = tries + 1
         WHERE seq IN (SELECT w.seq FROM (
             SELECT c.seq, ROW_NUMBER() OVER (PARTITION BY c.enrolment_id ORDER BY c.priority DESC, c.seq) AS place
             FROM mdm_commands c WHERE c.enrolment_id IN ({}) AND {} {busy}) w WHERE w.place = 1)
           AND (state IN ('queued', 'not_now') OR (state = 'sent' AND repeatable))
         RETURNING enrolment_id, id, kind, body",
        places(3, count),
        fetchable!("$2"),
    )
}

/// For whom something waits, with the same parameters.
fn later_sql(count: usize) -> String {
    format!(
        "SELECT DISTINCT c.enrolment_id FROM mdm_commands c WHERE c.enrolment_id IN ({}) AND {}",
        places(3, count),
        fetchable!("$2"),
    )
}

/// `$3, $4, $5`.
fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// Rows of one statement: five parameters each stay far below what the engines take.
const ROUND_MAX: usize = 100;
const NOT_NOW_SECS: u64 = 300;
const NOT_NOW_SECS_MAX: u64 = 6 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_names_each_ipad_once_and_keeps_the_order() {
        let (a, b) = (EnrolmentId::random(), EnrolmentId::random());
        let turn = |ipad| Turn { ipad, outcome: None };
        let turns = [turn(a), turn(b), turn(a), turn(a), turn(b)];
        let found: Vec<Vec<usize>> =
            rounds(&turns).iter().map(|round| round.iter().map(|(place, _)| *place).collect()).collect();
        assert_eq!(found, [vec![0, 1], vec![2], vec![3, 4]]);
        let many: Vec<Turn> = (0..ROUND_MAX + 1).map(|_| turn(EnrolmentId::random())).collect();
        assert_eq!(rounds(&many).iter().map(Vec::len).collect::<Vec<_>>(), [ROUND_MAX, 1]);
    }
}
