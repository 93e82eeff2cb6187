//! Giving jobs, hearing how far they are, and ending them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use images::chunk::Hash;
use images::protocol::{self, Finish, JobControl, Phase, Progress, Task, Work};
use inventory::{Device, ImageId, Job, JobProgress, JobResult, JobState, JobTask, Observed};
use serde::Deserialize;

use super::deploy::{Version, chain, deployed_version};
use super::error::ApiError;
use super::hello::runs_in;
use super::{Api, Caller, OwnJob, blocking, by, json_of};
use crate::catalogue::CatalogueError;
use crate::hardware::{clean, text};
use crate::policy::{Before, Step, next_step};
use crate::stop::stopped;

#[derive(Deserialize)]
pub(super) struct Wait {
    #[serde(default)]
    pub(super) wait_secs: u64,
}

/// Answers as soon as there is something to do, at the latest after `wait_secs`, at most [`WAIT_MAX`].
pub(super) async fn work(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    wait: Result<Query<Wait>, QueryRejection>,
) -> Result<Json<Work>, ApiError> {
    let Query(wait) = wait.map_err(|error| ApiError::Malformed(error.to_string()))?;
    let device = &caller.device;
    let begun = inventory::clock::instant();
    let wait = Duration::from_secs(wait.wait_secs).min(WAIT_MAX);
    if api.sessions.note_seen(device.id, begun) {
        api.inventory.observe_device(by(), device.id, &device.observed, None).await?;
    }
    let (mut changed, mut stop) = (api.work.clone(), api.stop.clone());
    loop {
        // Marked as seen before asking, so that a change in between wakes the wait below.
        changed.borrow_and_update();
        let job = api.inventory.open_job(device.id).await?;
        let now = inventory::clock::instant();
        let (idle, last) = match job {
            Some(_) => (Duration::ZERO, None),
            None => api.sessions.idle(device.id, now),
        };
        let step = next_step(runs_in(device), job.is_some(), idle, last);
        let left = wait.saturating_sub(now.saturating_duration_since(begun));
        let pause = match (step, job) {
            (Step::GiveJob, Some(job)) => match give(&api, &caller, job).await? {
                Some(job) => return Ok(Json(Work::Job(job))),
                None => continue,
            },
            (Step::Reboot, _) => {
                api.sessions.sent_to_disk(device.id);
                tracing::info!("nothing to do; the PC restarts from its own disk");
                return Ok(Json(Work::Reboot));
            }
            (Step::WaitFor(pause), _) => pause.min(left),
            (Step::Wait | Step::GiveJob, _) => left,
        };
        if left.is_zero() {
            return Ok(Json(Work::Idle));
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return Err(ApiError::Stopping) },
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut stop) => return Err(ApiError::Stopping),
        }
    }
}

/// Begins a job and describes it for the agent. `None` if it cannot be carried out; it has then failed with the reason.
async fn give(api: &Api, caller: &Caller, job: Job) -> Result<Option<protocol::Job>, ApiError> {
    // The device as it is at this moment: the poll may have waited while it was renamed, replaced or removed.
    let device = api.inventory.device(job.device).await?;
    let device = device.filter(|device| device.key == caller.device.key).ok_or(ApiError::UnknownKey)?;
    let mut hold = None;
    let prepared = match job.task {
        JobTask::Deploy { image, version } => deploy_task(api, &device, image, version).await?,
        JobTask::Capture { image } => match api.inventory.image(image).await? {
            Some(image) => {
                // Nothing may be on its way out of the store when the capture asks what is there: once the job runs, the
                // keeper drops nothing. What was imported by another process need not be uploaded again.
                let store = api.catalogue.store().clone();
                match blocking(move || store.hold()).await? {
                    Ok(taken) => hold = Some(taken),
                    Err(error) => return Err(ApiError::Internal(chain(&error))),
                }
                Ok((Task::Capture { image: image.name }, None))
            }
            None => Err("the image was deleted; choose another one".into()),
        },
    };
    let (task, version) = match prepared {
        Ok(prepared) => prepared,
        Err(reason) => {
            tracing::warn!(job.id = %job.id, "a job cannot begin: {reason}");
            ignore_if_over(api.inventory.fail_job(by(), job.id, &reason).await)?;
            return Ok(None);
        }
    };
    match api.inventory.start_job(by(), job.id, version).await {
        Ok(()) => {}
        // It was taken back a moment ago.
        Err(inventory::Error::Conflict(_)) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    drop(hold);
    api.sessions.busy(device.id);
    let again = matches!(job.state, JobState::Running { .. });
    tracing::info!(job.id = %job.id, job.again = again, "a PC takes its job");
    Ok(Some(protocol::Job { id: job.id.to_string(), task }))
}

/// Describes a deploy, or says why there can be none.
async fn deploy_task(
    api: &Api,
    device: &Device,
    image: ImageId,
    version: Option<i64>,
) -> Result<Result<(Task, Option<i64>), String>, ApiError> {
    let Some(image) = api.inventory.image(image).await? else {
        return Ok(Err("the image was deleted; choose another one".into()));
    };
    let found = match version {
        Some(wanted) => image.versions.iter().find(|v| v.version == wanted),
        None => image.versions.first(),
    };
    let Some(found) = found else {
        let wanted = version.map_or_else(String::new, |v| format!(" {v}"));
        let reason = format!("image {:?} has no version{wanted}; capture or import one first", image.name);
        return Ok(Err(reason));
    };
    let Ok(manifest) = found.manifest.parse::<Hash>() else {
        let reason =
            format!("image {:?}, version {}, names no manifest; import it again", image.name, found.version);
        return Ok(Err(reason));
    };
    let version = Version { image: image.name.clone(), version: found.version, manifest };
    match api.catalogue.image(manifest, inventory::clock::instant()).await {
        Ok(_) => {}
        Err(CatalogueError::Store(error)) => return Err(ApiError::Internal(chain(&error))),
        Err(error) => return Ok(Err(api.note_damage(&version, &error.to_string()).await.for_people())),
    }
    let task = Task::Deploy {
        image: version.image,
        version: version.version,
        manifest: manifest.to_string(),
        signing_key: api.catalogue.verifying_key_hex(),
        hostname: device.name.to_string(),
        disk: device.observed.disk.clone().filter(|disk| !disk.is_empty()),
        swarm: Some(api.swarm_token(device, image.id, version.version)),
    };
    Ok(Ok((task, Some(version.version))))
}

/// Notes how far a job is, and tells whether it is still wanted.
pub(super) async fn progress(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Json<JobControl>, ApiError> {
    let Progress { phase, done_bytes, total_bytes, bytes_per_sec, transferred, peer_bytes } =
        json_of(body).await?;
    if own.running().is_err() {
        return Ok(Json(JobControl::Cancel));
    }
    if api.sessions.note_progress(own.job.id, phase, inventory::clock::instant()) {
        let at = by();
        let progress = JobProgress {
            phase: phase_text(phase).into(),
            done_bytes: done_bytes.min(BYTES_MAX),
            total_bytes: total_bytes.min(BYTES_MAX),
            bytes_per_sec: bytes_per_sec.min(BYTES_MAX),
            transferred: transferred.min(BYTES_MAX),
            peer_bytes: peer_bytes.min(BYTES_MAX),
            at: at.at,
        };
        if !api.inventory.note_progress(at, own.job.id, &progress).await? {
            return Ok(Json(JobControl::Cancel));
        }
    }
    Ok(Json(JobControl::Continue))
}

/// Ends a job. Repeating it is harmless: the agent does so when the answer was lost.
pub(super) async fn finish(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let finish: Finish = json_of(body).await?;
    match (&own.job.state, &finish) {
        (JobState::Done { .. }, Finish::Ok { .. }) | (JobState::Failed { .. }, Finish::Failed { .. }) => {
            return Ok(StatusCode::NO_CONTENT);
        }
        _ => own.running()?,
    }
    let (device, job) = (&own.caller.device, &own.job);
    let ended = match finish {
        Finish::Failed { reason } => {
            let reason = Some(clean(&reason, REASON_CHARS_MAX)).filter(|reason| !reason.is_empty());
            let reason = reason.unwrap_or_else(|| "the PC gave no reason; look at its screen".into());
            tracing::warn!(job.id = %job.id, "a job failed: {reason}");
            api.inventory.fail_job(by(), job.id, &reason).await?;
            api.swarms.leave(job, device);
            Before::Failed
        }
        Finish::Ok { bytes, transferred, disk, resumed_bytes, kept_bytes, peer_bytes, shortcomings } => {
            let (manifest, version) = match job.task {
                JobTask::Deploy { image, version } => {
                    let version = deployed_version(&api, image, version).await?;
                    // Before the job ends: if the server dies in between, the agent repeats itself, and both are there.
                    let observed = Observed {
                        manifest: Some(version.manifest.to_string()),
                        disk: Some(text(&disk)),
                        ..device.observed.clone()
                    };
                    api.inventory.observe_device(by(), device.id, &observed, None).await?;
                    api.notices.clear(&version.place()).await;
                    api.notices
                        .tell_shortcomings(
                            &version.image,
                            version.version,
                            &device.name.to_string(),
                            &shortcomings,
                        )
                        .await;
                    (version.manifest.to_string(), version.version)
                }
                JobTask::Capture { image } => published(&api, &own, image).await?,
            };
            let result = JobResult {
                bytes: bytes.min(BYTES_MAX),
                transferred: transferred.min(BYTES_MAX),
                resumed_bytes: resumed_bytes.min(BYTES_MAX),
                kept_bytes: kept_bytes.min(BYTES_MAX),
                peer_bytes: peer_bytes.min(BYTES_MAX),
                manifest,
                version,
            };
            api.inventory.complete_job(by(), job.id, &result).await?;
            tracing::info!(
                job.id = %job.id, job.bytes = bytes, job.transferred = transferred, job.kept_bytes = kept_bytes,
                job.peer_bytes = peer_bytes, "a job is done"
            );
            Before::Done
        }
    };
    api.sessions.ended(device.id, job.id, ended, inventory::clock::instant());
    Ok(StatusCode::NO_CONTENT)
}

/// What a capture has published. After a restart of the server it is the version that was added since the job began.
async fn published(api: &Api, own: &OwnJob, image: ImageId) -> Result<(String, i64), ApiError> {
    if let Some(published) = api.sessions.published_by(own.job.id) {
        return Ok(published);
    }
    let JobState::Running { started_at, .. } = own.job.state else {
        return Err(ApiError::NotRunning("it has not begun".into()));
    };
    let versions = api.inventory.image(image).await?.map(|image| image.versions).unwrap_or_default();
    let newest = versions.into_iter().find(|version| version.created_at >= started_at);
    newest
        .map(|version| (version.manifest, version.version))
        .ok_or_else(|| ApiError::Conflict("the capture was not published; publish it again".into()))
}

/// Ending a job that has ended meanwhile is no fault.
pub(super) fn ignore_if_over(result: inventory::Result<()>) -> Result<(), ApiError> {
    match result {
        Err(inventory::Error::Conflict(_) | inventory::Error::NotFound { .. }) => Ok(()),
        other => other.map_err(ApiError::from),
    }
}

fn phase_text(phase: Phase) -> &'static str {
    match phase {
        Phase::Prepare => "prepare",
        Phase::Transfer => "transfer",
        Phase::Personalise => "personalise",
        Phase::Finish => "finish",
    }
}

pub(super) const WAIT_MAX: Duration = Duration::from_secs(25);
const REASON_CHARS_MAX: usize = 1000;
/// More than any disk has, and still exact in every number format on the way to the page.
const BYTES_MAX: u64 = 1 << 50;
