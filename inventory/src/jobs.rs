//! Jobs: one thing for one PC to do, from being asked for to its end.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, DeviceId, Error, ImageId, Inventory, JobId, Result, UnixMillis};

/// A job.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// Who has to do it.
    pub device: DeviceId,
    /// What to do.
    pub task: JobTask,
    /// How far it is.
    pub state: JobState,
    /// When it was asked for.
    pub created_at: UnixMillis,
}

/// What a job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(tag = "task", rename_all = "snake_case")]
pub enum JobTask {
    /// Write an image to the PC's disk.
    Deploy {
        /// Which image.
        image: ImageId,
        /// Which version; when `None`, the newest at the time the job starts.
        version: Option<i64>,
    },
    /// Read the PC's disk into a new version of an image.
    Capture {
        /// Which image.
        image: ImageId,
    },
}

/// How far a job is. Each state carries only what exists in it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum JobState {
    /// Waits for the PC.
    Queued,
    /// The PC works on it.
    Running {
        /// Since when.
        started_at: UnixMillis,
        /// How far.
        progress: JobProgress,
    },
    /// Done.
    Done {
        /// When it began.
        started_at: UnixMillis,
        /// When it ended.
        finished_at: UnixMillis,
        /// What came out.
        result: JobResult,
    },
    /// It ended without success.
    Failed {
        /// When it ended.
        finished_at: UnixMillis,
        /// Why, and what to do.
        reason: String,
    },
    /// A person took it back.
    Cancelled {
        /// When.
        finished_at: UnixMillis,
    },
}

/// How far a running job is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct JobProgress {
    /// `prepare`, `transfer`, `personalise` or `finish`.
    pub phase: String,
    /// Bytes done of this phase.
    pub done_bytes: u64,
    /// Bytes of this phase in all; 0 while unknown.
    pub total_bytes: u64,
    /// Bytes of this phase per second, over the last seconds; 0 while unknown.
    pub bytes_per_sec: u64,
    /// Bytes that crossed the network so far.
    pub transferred: u64,
    /// Those of `transferred` that came from other PCs of the room.
    pub peer_bytes: u64,
    /// When the PC said so.
    pub at: UnixMillis,
}

/// What came out of a job.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct JobResult {
    /// Bytes written to or read from the disk.
    pub bytes: u64,
    /// Bytes that crossed the network.
    pub transferred: u64,
    /// Bytes that an interrupted run had left and that were not transferred again.
    pub resumed_bytes: u64,
    /// Bytes that the disk held from an earlier image.
    pub kept_bytes: u64,
    /// Those of `transferred` that came from other PCs of the room.
    pub peer_bytes: u64,
    /// Manifest id of the image version.
    pub manifest: String,
    /// Version of the image that was deployed or made.
    pub version: i64,
}

type Row =
    (Uuid, Uuid, String, Uuid, Option<i64>, String, String, Option<String>, i64, Option<i64>, Option<i64>);

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, device_id, kind, image_id, version, state, progress, result, created_at, started_at, finished_at FROM jobs ",
            $rest
        )
    };
}

/// Inserts a queued job inside a running transaction, unless the device has an open one.
macro_rules! insert_job {
    ($tx:expr, $by:expr, $device:expr, $task:expr) => {{
        let (kind, image, version) = match $task {
            $crate::JobTask::Deploy { image, version } => ("deploy", image, version),
            $crate::JobTask::Capture { image } => ("capture", image, None),
        };
        let open: i64 = sqlx::query_scalar(
            "SELECT COUNT(*) FROM jobs WHERE device_id = $1 AND state IN ('queued', 'running')",
        )
        .bind($device.0)
        .fetch_one(&mut *$tx)
        .await
        .map_err($crate::Error::db("look for open jobs"))?;
        if open > 0 {
            return Err($crate::Error::Conflict(
                "this device has an open job already; wait for its end or cancel it".into(),
            ));
        }
        if kind == "deploy" {
            let versions: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM image_versions WHERE image_id = $1")
                .bind(image.0)
                .fetch_one(&mut *$tx)
                .await
                .map_err($crate::Error::db("look for image versions"))?;
            if versions == 0 {
                return Err($crate::Error::Conflict(
                    "this image has no version yet; capture or import one first".into(),
                ));
            }
        }
        let id = $crate::JobId::random();
        sqlx::query(
            "INSERT INTO jobs (id, device_id, kind, image_id, version, state, progress, created_at)
             VALUES ($1, $2, $3, $4, $5, 'queued', '{}', $6)",
        )
        .bind(id.0)
        .bind($device.0)
        .bind(kind)
        .bind(image.0)
        .bind(version)
        .bind($by.at.0)
        .execute(&mut *$tx)
        .await
        .map_err($crate::Error::unique("add a job", || "there is such a job already".into()))?;
        record!($tx, $by, "job", id, "created")?;
        Ok::<$crate::JobId, $crate::Error>(id)
    }};
}
pub(crate) use insert_job;

impl Inventory {
    /// Queues a job.
    ///
    /// # Errors
    /// The device has an open job, or device or image do not exist, or the image has no version to deploy, or the database
    /// failed.
    pub fn create_job<'a>(&'a self, by: By<'a>, device: DeviceId, task: JobTask) -> Answer<'a, JobId> {
        Box::pin(async move { in_transaction!(self, "add a job", tx => insert_job!(tx, by, device, task)) })
    }

    /// The newest jobs, newest first. A row that cannot be used costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn jobs(&self, limit: u32) -> Answer<'_, (Vec<Job>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> =
                on_pool!(self, pool => sqlx::query_as(select!("ORDER BY created_at DESC, id LIMIT $1"))
            .bind(i64::from(limit)).fetch_all(pool).await)
                .map_err(Error::db("list jobs"))?;
            Ok(sorted(rows))
        })
    }

    /// All jobs that are queued or running.
    ///
    /// # Errors
    /// The database failed.
    pub fn open_jobs(&self) -> Answer<'_, (Vec<Job>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            select!("WHERE state IN ('queued', 'running') ORDER BY created_at, id")).fetch_all(pool).await)
            .map_err(Error::db("list open jobs"))?;
            Ok(sorted(rows))
        })
    }

    /// The open job of a device.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn open_job(&self, device: DeviceId) -> Answer<'_, Option<Job>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
            select!("WHERE device_id = $1 AND state IN ('queued', 'running') ORDER BY created_at, id LIMIT 1"))
            .bind(device.0).fetch_optional(pool).await)
        .map_err(Error::db("find a job"))?;
            row.map(job).transpose()
        })
    }

    /// One job.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn job(&self, id: JobId) -> Answer<'_, Option<Job>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(select!("WHERE id = $1"))
            .bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("find a job"))?;
            row.map(job).transpose()
        })
    }

    /// Marks a queued job as running, with the version a deploy will write. A job that runs already goes on: its PC
    /// restarted in the middle.
    ///
    /// # Errors
    /// The job is over or gone, or the database failed.
    pub fn start_job<'a>(&'a self, by: By<'a>, id: JobId, version: Option<i64>) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "start a job", tx => {
                let done = sqlx::query(
                    "UPDATE jobs SET state = 'running', started_at = COALESCE(started_at, $1), version = COALESCE(version, $2)
                     WHERE id = $3 AND state IN ('queued', 'running')")
                    .bind(by.at.0).bind(version).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("start a job"))?;
                changed_one(done.rows_affected(), id)?;
                record!(tx, by, "job", id, "started")?;
                Ok(())
            })
        })
    }

    /// Notes how far a running job is. Returns `false` when the job is not running any more: cancelled, or gone.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_progress<'a>(&'a self, by: By<'a>, id: JobId, progress: &'a JobProgress) -> Answer<'a, bool> {
        Box::pin(async move {
            let text = serde_json::to_string(progress).unwrap_or_else(|_| "{}".into());
            in_transaction!(self, "note a job's progress", tx => {
                let done = sqlx::query("UPDATE jobs SET progress = $1 WHERE id = $2 AND state = 'running'")
                    .bind(text.clone()).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("note a job's progress"))?;
                if done.rows_affected() == 1 {
                    record!(tx, by, "job", id, "progress")?;
                }
                Ok(done.rows_affected() == 1)
            })
        })
    }

    /// Ends a running job with success. Ending it again changes nothing: the PC repeats itself when the answer was lost.
    ///
    /// # Errors
    /// The job was cancelled, failed or is gone, or the database failed.
    pub fn complete_job<'a>(&'a self, by: By<'a>, id: JobId, result: &'a JobResult) -> Answer<'a, ()> {
        Box::pin(async move {
            let text = serde_json::to_string(result).unwrap_or_else(|_| "{}".into());
            self.end_job(by, id, "done", text).await
        })
    }

    /// Ends a job without success.
    ///
    /// # Errors
    /// The job is over or gone, or the database failed.
    pub fn fail_job<'a>(&'a self, by: By<'a>, id: JobId, reason: &'a str) -> Answer<'a, ()> {
        Box::pin(async move { self.end_job(by, id, "failed", reason.chars().take(2000).collect()).await })
    }

    /// Takes a job back.
    ///
    /// # Errors
    /// The job is over or gone, or the database failed.
    pub fn cancel_job<'a>(&'a self, by: By<'a>, id: JobId) -> Answer<'a, ()> {
        Box::pin(async move { self.end_job(by, id, "cancelled", String::new()).await })
    }

    async fn end_job(&self, by: By<'_>, id: JobId, state: &'static str, result: String) -> Result<()> {
        in_transaction!(self, "end a job", tx => {
            let done = sqlx::query(
                "UPDATE jobs SET state = $1, result = $2, finished_at = $3
                 WHERE id = $4 AND state IN ('queued', 'running')")
                .bind(state).bind(result.clone()).bind(by.at.0).bind(id.0)
                .execute(&mut *tx).await.map_err(Error::db("end a job"))?;
            if done.rows_affected() == 0 {
                let now: Option<String> = sqlx::query_scalar("SELECT state FROM jobs WHERE id = $1").bind(id.0)
                    .fetch_optional(&mut *tx).await.map_err(Error::db("find a job"))?;
                return match now {
                    Some(now) if now == state => Ok(()),
                    Some(now) => Err(Error::Conflict(format!("the job is over: {now}"))),
                    None => Err(Error::NotFound { what: "job", key: id.to_string() }),
                };
            }
            record!(tx, by, "job", id, state)?;
            Ok(())
        })
    }
}

fn changed_one(rows: u64, id: JobId) -> Result<()> {
    if rows == 1 { Ok(()) } else { Err(Error::Conflict(format!("job {id} is over or was taken back"))) }
}

fn sorted(rows: Vec<Row>) -> (Vec<Job>, Vec<Error>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for row in rows {
        match job(row) {
            Ok(job) => good.push(job),
            Err(problem) => bad.push(problem),
        }
    }
    (good, bad)
}

fn job(row: Row) -> Result<Job> {
    let (id, device, kind, image, version, state, progress, result, created_at, started_at, finished_at) =
        row;
    let bad = Error::row("jobs", id);
    let image = ImageId(image);
    let task = match kind.as_str() {
        "deploy" => JobTask::Deploy { image, version },
        "capture" => JobTask::Capture { image },
        other => return Err(bad(format!("unknown kind {other:?}"))),
    };
    let started = || started_at.map(UnixMillis).ok_or_else(|| bad("it has no start".into()));
    let finished = || finished_at.map(UnixMillis).ok_or_else(|| bad("it has no end".into()));
    let result = result.unwrap_or_default();
    let state = match state.as_str() {
        "queued" => JobState::Queued,
        "running" => JobState::Running {
            started_at: started()?,
            progress: serde_json::from_str(&progress).map_err(|e| bad(format!("progress: {e}")))?,
        },
        "done" => JobState::Done {
            started_at: started()?,
            finished_at: finished()?,
            result: serde_json::from_str(&result).map_err(|e| bad(format!("result: {e}")))?,
        },
        "failed" => JobState::Failed { finished_at: finished()?, reason: result },
        "cancelled" => JobState::Cancelled { finished_at: finished()? },
        other => return Err(bad(format!("unknown state {other:?}"))),
    };
    Ok(Job { id: JobId(id), device: DeviceId(device), task, state, created_at: UnixMillis(created_at) })
}
