//! Programs of an installed system: what its agent found and did, and what comes next.

use std::sync::Arc;
use std::time::Duration;

use ::software::package::{FileHash, Package};
use ::software::plan::Plan;
use ::software::protocol::{Order, RESULTS_MAX, Reply, STATUS_BYTES_MAX, Status};
use ::software::turn::{Next, next};
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::header::RANGE;
use axum::http::{HeaderMap, Response};
use axum::{Extension, Json};
use inventory::gate::{Of, Target};
use inventory::software::{Known, PcSoftware};
use inventory::{DeviceId, POWER_MILLIS, Power, UnixMillis};

use super::error::ApiError;
use super::work::{WAIT_MAX, Wait};
use super::{Api, Caller, by, json_up_to};
use crate::software::Shared;
use crate::stop::stopped;

/// Keeps what a PC found and did, and answers as soon as there is something to do, at the latest after `wait_secs`.
pub(super) async fn status(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    wait: Result<Query<Wait>, QueryRejection>,
    body: Body,
) -> Result<Json<Reply>, ApiError> {
    let Query(wait) = wait.map_err(|error| ApiError::Malformed(error.to_string()))?;
    let status: Status = json_up_to(body, STATUS_BYTES_MAX).await?;
    if status.results.len() > RESULTS_MAX {
        return Err(ApiError::Malformed(format!("more than {RESULTS_MAX} results at once")));
    }
    let device = caller.device.id;
    let end = inventory::clock::instant() + Duration::from_secs(wait.wait_secs).min(WAIT_MAX);
    let (mut changed, mut stop) = (api.software.changed(), api.stop.clone());
    let pc = keep(&api, device, status.clone()).await?;
    loop {
        // Marked as seen before asking, so that a change in between wakes the wait below.
        changed.borrow_and_update();
        let book = api.software.now().await?;
        let rules = book.lock().rules(status.system, status.architecture);
        if status.rules.as_ref() != Some(&rules.digest) {
            return Ok(Json(Reply::Look(rules.as_ref().clone())));
        }
        if !status.signed_in
            && !status.restarting
            && let Some(reply) = power(&api, device).await?
        {
            return Ok(Json(reply));
        }
        let left = end.saturating_duration_since(inventory::clock::instant());
        let mut pause = left;
        let now = inventory::clock::now();
        // Most PCs ask while nobody is signed in: they need no lessons.
        let lesson = match pc.signed_in {
            true => pc.is_left_alone_until(&api.inventory.grid().await?.bell_at(now)),
            false => None,
        };
        let planned =
            if status.restarting || lesson.is_some() { None } else { plan(&api, &book, device).await? };
        if let Some(end) = lesson {
            pause = left.min(until(end.0));
        }
        if let Some((known, plan)) = planned {
            match next(&plan, &known.turns.last, now.0) {
                Next::Step(step) => {
                    let (action, package) = (step.action.clone(), step.package.clone());
                    let round = known.turns.rounds.get(&package.id).copied().unwrap_or_default();
                    tracing::info!(package = %package.id, version = %package.version, action = ?action, "a PC gets a step");
                    return Ok(Json(Reply::Step(Order { action, package, round })));
                }
                Next::NotBefore(at) => pause = left.min(until(at)),
                Next::Nothing => {}
            }
        }
        if left.is_zero() {
            return Ok(Json(Reply::Idle));
        }
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return Err(ApiError::Stopping) },
            () = tokio::time::sleep(pause) => {}
            () = stopped(&mut stop) => return Err(ApiError::Stopping),
        }
    }
}

/// What somebody asked this PC to do with itself, if it does not know yet.
async fn power(api: &Api, device: DeviceId) -> Result<Option<Reply>, ApiError> {
    let at = by();
    let since = UnixMillis(at.at.0.saturating_sub(POWER_MILLIS));
    let asks = api.inventory.power_asks(since, Some(device)).await?;
    let Some(ask) = asks.first().filter(|ask| ask.told_at.is_none()) else { return Ok(None) };
    let reply = match ask.power {
        Power::On => return Ok(None),
        Power::Restart => Reply::Restart,
        Power::Off => Reply::SwitchOff,
    };
    let tell = api.inventory.tell_power(at, ask).await?;
    if tell {
        tracing::info!(power = ?ask.power, "a PC is told to restart or to switch off");
    }
    Ok(tell.then_some(reply))
}

/// Writes down what is new. What was looked at by other rules counts as well: it is there.
async fn keep(api: &Api, device: DeviceId, status: Status) -> Result<PcSoftware, ApiError> {
    let at = by();
    let (known, _) = api.inventory.known_software(Some(device)).await?;
    let before = known.first().map(|known| &known.pc);
    let pc = PcSoftware {
        system: status.system,
        architecture: status.architecture,
        observed: status.observed,
        signed_in: status.signed_in,
        reported_at: at.at,
    };
    let is_same =
        before.is_some_and(|before| *before == PcSoftware { reported_at: before.reported_at, ..pc.clone() });
    let is_recent = before.is_some_and(|pc| (0..REPORT_MILLIS).contains(&at.at.millis_since(pc.reported_at)));
    if status.results.is_empty() && is_same && is_recent {
        return Ok(pc);
    }
    for result in &status.results {
        tracing::info!(package = %result.package, version = %result.version, outcome = ?result.outcome, "a PC did a step");
    }
    api.inventory.keep_software(at, device, &pc, &status.results).await?;
    Ok(pc)
}

/// What is to be done on a PC that has reported.
async fn plan(api: &Api, book: &Shared, device: DeviceId) -> Result<Option<(Known, Plan)>, ApiError> {
    let (known, _) = api.inventory.known_software(Some(device)).await?;
    let (devices, _) = api.inventory.gate_devices(Of::Target(Target::Device(device))).await?;
    let (Some(known), Some(device)) = (known.into_iter().next(), devices.into_iter().next()) else {
        return Ok(None);
    };
    let plan = book.lock().plan(&device.subject, &known.pc, &known.turns);
    Ok(Some((known, plan)))
}

/// Sends a file of a step that this PC has to do.
pub(super) async fn file(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Path(hash): Path<String>,
    headers: HeaderMap,
) -> Result<Response<Body>, ApiError> {
    let hash: FileHash = hash.parse().map_err(|_| ApiError::NoSuchFile)?;
    let FileHash::Blake3(bytes) = hash else { return Err(ApiError::NoSuchFile) };
    let book = api.software.now().await?;
    let (_, plan) = plan(&api, &book, caller.device.id).await?.ok_or(ApiError::NoSuchFile)?;
    let is_of = |package: &Package| package.files.iter().any(|file| file.hash == hash);
    if !plan.steps.iter().any(|step| is_of(&step.package)) {
        return Err(ApiError::NoSuchFile);
    }
    let range = headers.get(RANGE).and_then(|value| value.to_str().ok());
    crate::ranged::file(&api.software_files.path(&bytes), range).await.map_err(|error| {
        tracing::error!(file = %hash, "a file of a package cannot be read: {error}");
        ApiError::NoSuchFile
    })
}

fn until(at: i64) -> Duration {
    let millis = UnixMillis(at).millis_since(inventory::clock::now());
    Duration::from_millis(millis.max(0).unsigned_abs())
}

/// Reports that say nothing new are written at most this often.
const REPORT_MILLIS: i64 = 30 * 60_000;
