//! Backups as the page sees them: what was asked of their keeper (`hausmeister`), what became of it, and which ones there are.
//!
//! The database itself is written to a file, and read from one, in `file`.

mod file;

use serde::{Deserialize, Serialize};

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::words::{meant, word};
use crate::{Answer, BackupRunId, By, Error, Inventory, ParseError, Result, UnixMillis};

pub use file::{Facts, FileError, inspect, put_back};

/// What the keeper of backups can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupKind {
    /// Make a backup.
    Backup,
    /// Bring one back into a place of its own and look whether it is whole.
    Drill,
    /// Bring the server back to one.
    Restore,
}

/// How far something is that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BackupState {
    /// Asked for.
    Asked,
    /// Being done.
    Running,
    /// Done.
    Done,
    /// Not done; the result says why.
    Failed,
}

impl BackupState {
    /// Whether nothing follows.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// Something that was asked of the keeper, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BackupRun {
    /// Its id.
    pub id: BackupRunId,
    /// What was asked for.
    pub kind: BackupKind,
    /// How far it is.
    pub state: BackupState,
    /// Which backup: to be restored or looked at, or the one that was made.
    pub snapshot: Option<String>,
    /// A user's name; `hausmeister` for what is done by itself.
    pub asked_by: String,
    /// When it was asked for.
    pub asked_at: UnixMillis,
    /// When it was over.
    pub ended_at: Option<UnixMillis>,
    /// How much of it is done, 0 to 100.
    pub percent: u8,
    /// What came of it.
    pub result: BackupResult,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct BackupResult {
    /// Why it failed, with the way out; English, as the keeper's commands say it.
    pub error: Option<String>,
    /// Bytes that were looked at.
    pub bytes: u64,
    /// Bytes that were new in the repository.
    pub new_bytes: u64,
    /// Files that were brought back.
    pub files: u64,
}

/// A backup that can be brought back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BackupSnapshot {
    /// Its id in the repository, eight hexadecimal digits or more.
    pub id: String,
    /// When it was made.
    pub at: UnixMillis,
    /// What it holds.
    pub facts: Facts,
}

/// Where backups go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct BackupPlace {
    /// The repository, without passwords.
    pub repository: String,
    /// When the next one is made.
    pub next_at: UnixMillis,
}

type RunRow = (String, String, String, Option<String>, String, i64, Option<i64>, i64, String);

impl Inventory {
    /// Asks the keeper for something. What is asked for already is not asked for twice.
    ///
    /// # Errors
    /// A restore is under way, its backup is not known, or the database failed.
    pub fn ask_backup<'a>(
        &'a self,
        by: By<'a>,
        kind: BackupKind,
        snapshot: Option<&'a str>,
    ) -> Answer<'a, BackupRunId> {
        Box::pin(async move {
            let open: Vec<BackupRun> =
                self.backup_runs().await?.into_iter().filter(|run| !run.state.is_over()).collect();
            if open.iter().any(|run| run.kind == BackupKind::Restore) {
                return Err(Error::Conflict("a backup is being restored; nothing else is begun".into()));
            }
            if let Some(same) =
                open.iter().find(|run| run.kind == kind && run.snapshot.as_deref() == snapshot)
            {
                return Ok(same.id);
            }
            if let Some(wanted) = snapshot
                && !self.backup_snapshots().await?.iter().any(|known| known.id == wanted)
            {
                return Err(Error::NotFound { what: "backup", key: wanted.to_owned() });
            }
            let run = BackupRun {
                id: BackupRunId::random(),
                kind,
                state: BackupState::Asked,
                snapshot: snapshot.map(ToOwned::to_owned),
                asked_by: by.actor.to_owned(),
                asked_at: by.at,
                ended_at: None,
                percent: 0,
                result: BackupResult::default(),
            };
            self.keep_backup_run(by, &run).await?;
            Ok(run.id)
        })
    }

    /// Writes down how far a run is. Runs that are over leave after two years.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_backup_run<'a>(&'a self, by: By<'a>, run: &'a BackupRun) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "write down a backup", tx => {
                sqlx::query("DELETE FROM backup_runs WHERE asked_at < $1").bind(by.at.0.saturating_sub(KEPT_MILLIS))
                    .execute(&mut *tx).await.map_err(Error::db("forget old backups"))?;
                sqlx::query(
                    "INSERT INTO backup_runs (id, kind, state, snapshot, asked_by, asked_at, ended_at, percent, result)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                     ON CONFLICT (id) DO UPDATE SET state = excluded.state, snapshot = excluded.snapshot,
                         ended_at = excluded.ended_at, percent = excluded.percent, result = excluded.result")
                    .bind(run.id.to_string()).bind(word(&run.kind)).bind(word(&run.state))
                    .bind(run.snapshot.clone()).bind(run.asked_by.clone()).bind(run.asked_at.0)
                    .bind(run.ended_at.map(|at| at.0)).bind(i64::from(run.percent))
                    .bind(serde_json::to_string(&run.result).unwrap_or_default())
                    .execute(&mut *tx).await.map_err(Error::db("write down a backup"))?;
                record!(tx, by, entity(run.kind), run.id, word(&run.state))?;
                Ok(())
            })
        })
    }

    /// Writes down how much of a run is done.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_backup_percent<'a>(&'a self, by: By<'a>, id: BackupRunId, percent: u8) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "write down how far a backup is", tx => {
                sqlx::query("UPDATE backup_runs SET percent = $1 WHERE id = $2")
                    .bind(i64::from(percent)).bind(id.to_string())
                    .execute(&mut *tx).await.map_err(Error::db("write down how far a backup is"))?;
                record!(tx, by, "backup", id, "progress")?;
                Ok(())
            })
        })
    }

    /// What was asked of the keeper, the newest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn backup_runs(&self) -> Answer<'_, Vec<BackupRun>> {
        Box::pin(async move {
            let rows: Vec<RunRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, kind, state, snapshot, asked_by, asked_at, ended_at, percent, result FROM backup_runs
                 ORDER BY asked_at DESC, id LIMIT 500")
                .fetch_all(pool).await)
            .map_err(Error::db("list backups"))?;
            rows.into_iter().map(run).collect()
        })
    }

    /// The backups that lie in the repository, the newest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn backup_snapshots(&self) -> Answer<'_, Vec<BackupSnapshot>> {
        Box::pin(async move {
            let rows: Vec<(String, i64, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, at, facts FROM backup_snapshots ORDER BY at DESC, id").fetch_all(pool).await)
            .map_err(Error::db("list backups"))?;
            rows.into_iter()
                .map(|(id, at, facts)| {
                    let facts = serde_json::from_str(&facts)
                        .map_err(|error| Error::row("backup_snapshots", &id)(error.to_string()))?;
                    Ok(BackupSnapshot { id, at: UnixMillis(at), facts })
                })
                .collect()
        })
    }

    /// Where backups go; `None` while nobody set any up.
    ///
    /// # Errors
    /// The database failed.
    pub fn backup_place(&self) -> Answer<'_, Option<BackupPlace>> {
        Box::pin(async move {
            let row: Option<(String, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT repository, next_at FROM backup_place").fetch_optional(pool).await)
            .map_err(Error::db("read where backups go"))?;
            Ok(row.map(|(repository, next_at)| BackupPlace { repository, next_at: UnixMillis(next_at) }))
        })
    }

    /// Says where backups go, and, unless the repository did not answer, what lies there. Nothing is written when nothing changed.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_backup_place<'a>(
        &'a self,
        place: Option<&'a BackupPlace>,
        snapshots: Option<&'a [BackupSnapshot]>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let same_place = self.backup_place().await?.as_ref() == place;
            let mut known = self.backup_snapshots().await?;
            let mut found = snapshots.map_or_else(|| known.clone(), <[_]>::to_vec);
            known.sort_by(|a, b| a.id.cmp(&b.id));
            found.sort_by(|a, b| a.id.cmp(&b.id));
            if same_place && known == found {
                return Ok(());
            }
            in_transaction!(self, "write down which backups there are", tx => {
                sqlx::query("DELETE FROM backup_place").execute(&mut *tx).await
                    .map_err(Error::db("forget where backups go"))?;
                if let Some(place) = place {
                    sqlx::query("INSERT INTO backup_place (id, repository, next_at) VALUES (1, $1, $2)")
                        .bind(place.repository.clone()).bind(place.next_at.0)
                        .execute(&mut *tx).await.map_err(Error::db("write down where backups go"))?;
                }
                sqlx::query("DELETE FROM backup_snapshots").execute(&mut *tx).await
                    .map_err(Error::db("forget which backups there are"))?;
                for snapshot in &found {
                    sqlx::query("INSERT INTO backup_snapshots (id, at, facts) VALUES ($1, $2, $3)")
                        .bind(snapshot.id.clone()).bind(snapshot.at.0)
                        .bind(serde_json::to_string(&snapshot.facts).unwrap_or_default())
                        .execute(&mut *tx).await.map_err(Error::db("write down which backups there are"))?;
                }
                Ok(())
            })
        })
    }
}

fn run(row: RunRow) -> Result<BackupRun> {
    let (id, kind, state, snapshot, asked_by, asked_at, ended_at, percent, result) = row;
    let bad = Error::row("backup_runs", &id);
    Ok(BackupRun {
        id: id.parse().map_err(|e: ParseError| bad(e.to_string()))?,
        kind: meant(&kind).map_err(&bad)?,
        state: meant(&state).map_err(&bad)?,
        snapshot,
        asked_by,
        asked_at: UnixMillis(asked_at),
        ended_at: ended_at.map(UnixMillis),
        percent: u8::try_from(percent).map_err(|_| bad("its percentage is none".into()))?,
        result: serde_json::from_str(&result).map_err(|e| bad(e.to_string()))?,
    })
}

/// What the change log calls it.
fn entity(kind: BackupKind) -> &'static str {
    match kind {
        BackupKind::Backup => "backup",
        BackupKind::Drill => "drill",
        BackupKind::Restore => "restore",
    }
}

const KEPT_MILLIS: i64 = 730 * 24 * 3_600_000;
