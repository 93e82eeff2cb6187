//! First contact, and the report of an installed system.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use httpd::Peer;
use images::chunk::Hash;
use images::protocol::{Hello, HelloReply, Report, RunsIn};
use inventory::{Device, KeyFingerprint, Observed, Sighting, Waiting, WaitingState};

use super::error::ApiError;
use super::session::Waited;
use super::{Api, Caller, by, json_of, proven_key};
use crate::hardware::{bounded_hello, bounded_report};
use crate::limits::Buckets;

/// Says who a PC is to us. The only path that works without an approval.
pub(super) async fn hello(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    body: Body,
) -> Result<Json<HelloReply>, ApiError> {
    let key = proven_key(&peer)?;
    let address = peer.address.ip().to_canonical();
    let now = inventory::clock::instant();
    take(&api.hellos, address, now)?;
    let hello = bounded_hello(json_of(body).await?);
    if let Some(device) = api.inventory.device_by_key(&key).await? {
        return known(&api, &device, &hello, address, now).await;
    }
    let entry = waiting(&api, key, &hello, address, now).await?;
    Ok(Json(match entry.state {
        WaitingState::Waiting => HelloReply::Waiting { code: entry.code },
        WaitingState::Rejected => HelloReply::Rejected,
    }))
}

async fn known(
    api: &Api,
    device: &Device,
    hello: &Hello,
    address: IpAddr,
    now: Instant,
) -> Result<Json<HelloReply>, ApiError> {
    let observed = Observed {
        address: Some(address.to_string()),
        runs_in: Some(runs_in_text(hello.runs_in).into()),
        agent_version: Some(hello.agent_version.clone()),
        ..device.observed.clone()
    };
    let hardware = hardware_json(hello)?;
    api.inventory.observe_device(by(), device.id, &observed, Some(&hardware)).await?;
    api.sessions.hello(device.id, hello.runs_in, now);
    tracing::info!(device.id = %device.id, agent.version = hello.agent_version, runs_in = ?hello.runs_in, "an agent has started");
    Ok(Json(HelloReply::Approved {
        device: device.id.to_string(),
        name: device.name.to_string(),
        room: device.room.name.clone(),
    }))
}

/// The waiting-list entry of an unknown key. Written at most every half minute: each write wakes everybody who follows the
/// inventory, and a PC that waits asks every few seconds.
async fn waiting(
    api: &Api,
    key: KeyFingerprint,
    hello: &Hello,
    address: IpAddr,
    now: Instant,
) -> Result<Waiting, ApiError> {
    match api.sessions.waiting(&key, now) {
        Waited::Fresh(id) => {
            if let Some(entry) = api.inventory.waiting_entry(id).await?.filter(|entry| entry.key == key) {
                return Ok(entry);
            }
        }
        Waited::Stale => {}
        Waited::Unknown => take(&api.new_keys, address, now)?,
    }
    let hardware = hardware_json(hello)?;
    let seen = Sighting { key: &key, hardware: &hardware, address: &address.to_string() };
    let entry = match api.inventory.see_waiting(by(), &seen).await {
        Err(inventory::Error::Conflict(full)) => return Err(ApiError::ListFull(full)),
        other => other?,
    };
    tracing::info!(waiting.id = %entry.id, peer.ip = %address, "a PC waits for approval");
    api.sessions.saw_waiting(key, entry.id, now);
    Ok(entry)
}

/// Notes what an installed system says about itself.
pub(super) async fn report(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let report: Report = bounded_report(json_of(body).await?);
    let at = by();
    let mut observed = caller.device.observed.clone();
    let text = |text: String| Some(text).filter(|text| !text.is_empty());
    observed.address = Some(caller.address.to_string());
    observed.runs_in = Some(runs_in_text(RunsIn::InstalledSystem).into());
    observed.hostname = text(report.hostname);
    observed.os = text(report.os);
    observed.kernel = text(report.kernel);
    // What the deploy noted stands, unless the system knows of a later one.
    if let Ok(manifest) = report.manifest.parse::<Hash>() {
        observed.manifest = Some(manifest.to_string());
    }
    let unchanged = Observed { reported_at: None, ..observed.clone() }
        == Observed { reported_at: None, ..caller.device.observed.clone() };
    let recent =
        observed.reported_at.is_some_and(|last| (0..REPORT_MILLIS).contains(&at.at.millis_since(last)));
    if !(unchanged && recent) {
        observed.reported_at = Some(at.at);
        api.inventory.observe_device(at, caller.device.id, &observed, None).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Where the device's agent said it runs. One that never said so has just been approved in the boot environment.
pub(super) fn runs_in(device: &Device) -> RunsIn {
    match device.observed.runs_in.as_deref() {
        Some(text) if text == runs_in_text(RunsIn::InstalledSystem) => RunsIn::InstalledSystem,
        _ => RunsIn::BootEnvironment,
    }
}

fn runs_in_text(runs_in: RunsIn) -> &'static str {
    match runs_in {
        RunsIn::BootEnvironment => "boot_environment",
        RunsIn::InstalledSystem => "installed_system",
    }
}

fn hardware_json(hello: &Hello) -> Result<serde_json::Value, ApiError> {
    serde_json::to_value(&hello.hardware).map_err(|error| ApiError::Malformed(error.to_string()))
}

fn take(buckets: &Mutex<Buckets<IpAddr>>, address: IpAddr, now: Instant) -> Result<(), ApiError> {
    // A bucket's map is changed entry by entry, so a panic elsewhere cannot have left half of one.
    let mut buckets = buckets.lock().unwrap_or_else(PoisonError::into_inner);
    buckets.take(address, now).map_err(ApiError::TooMany)
}

/// Reports that say nothing new are written at most this often.
const REPORT_MILLIS: i64 = 30_000;
