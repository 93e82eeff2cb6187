//! Drivers and the agent for the Windows that a PC was written with.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use images::protocol::{DRIVER_IDS_MAX, DriverAsk, DriverFetch, DriverReply, WINDOWS_AGENT};
use inventory::JobTask;

use super::error::ApiError;
use super::{Api, OwnJob, blocking, json_of};

/// The folders of drivers that this PC's devices need.
pub(super) async fn matching(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Json<DriverReply>, ApiError> {
    is_deploy(&own)?;
    let ask: DriverAsk = json_of(body).await?;
    if ask.ids.len() > DRIVER_IDS_MAX {
        return Err(ApiError::Malformed(format!("more than {DRIVER_IDS_MAX} hardware ids")));
    }
    let drivers = api.drivers.clone();
    let reply = blocking(move || drivers.matching(&ask)).await?.map_err(|error| {
        tracing::error!("the folder of drivers cannot be used: {error}");
        ApiError::Conflict(error.to_string())
    })?;
    tracing::info!(job.id = %own.job.id, folders = reply.folders.len(), "a PC gets drivers");
    Ok(Json(reply))
}

/// Sends a file of a driver.
pub(super) async fn file(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    is_deploy(&own)?;
    let fetch: DriverFetch = json_of(body).await?;
    let drivers = api.drivers.clone();
    let path = blocking(move || drivers.place(&fetch.path)).await?.ok_or(ApiError::NoSuchFile)?;
    crate::ranged::file(&path, None).await.map_err(|error| {
        tracing::error!(file = %path.display(), "a file of a driver cannot be read: {error}");
        ApiError::NoSuchFile
    })
}

/// Sends the agent for Windows, if there is one.
pub(super) async fn windows_agent(
    State(api): State<Arc<Api>>,
    own: OwnJob,
) -> Result<Response<Body>, ApiError> {
    is_deploy(&own)?;
    let path = api.boot_dir.join(WINDOWS_AGENT);
    crate::ranged::file(&path, None).await.map_err(|error| {
        tracing::warn!(file = %path.display(), "a Windows gets no agent, which is not among the boot files: {error}");
        ApiError::NoSuchFile
    })
}

fn is_deploy(own: &OwnJob) -> Result<(), ApiError> {
    own.running()?;
    match own.job.task {
        JobTask::Deploy { .. } => Ok(()),
        _ => Err(ApiError::WrongTask("write an image")),
    }
}
