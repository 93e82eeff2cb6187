//! Reading by API: the inventory's own types as JSON.

use axum::Json;
use axum::extract::State;
use inventory::{
    Change, Device, DeviceId, Error, Image, Job, JobId, Network, Notice, Room, Stray, Waiting, clock,
};
use schemars::JsonSchema;
use serde::Serialize;

use crate::actions;
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Id};

/// A list, and what could not be read of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    pub(crate) problems: Vec<String>,
}

impl<T> From<(Vec<T>, Vec<Error>)> for List<T> {
    fn from((items, problems): (Vec<T>, Vec<Error>)) -> Self {
        Self { items, problems: problems.iter().map(ToString::to_string).collect() }
    }
}

impl<T> From<Vec<T>> for List<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, problems: Vec::new() }
    }
}

type Listed<T> = Answer<Json<List<T>>>;

pub(crate) async fn devices(State(app): State<App>) -> Listed<Device> {
    Ok(Json(app.inventory.devices().await?.into()))
}

pub(crate) async fn device(State(app): State<App>, Id(id): Id<DeviceId>) -> Answer<Json<Device>> {
    Ok(Json(actions::device(&app.inventory, id).await?))
}

pub(crate) async fn waiting(State(app): State<App>) -> Listed<Waiting> {
    Ok(Json(app.inventory.waiting().await?.into()))
}

pub(crate) async fn rooms(State(app): State<App>) -> Listed<Room> {
    Ok(Json(app.inventory.rooms().await?.into()))
}

pub(crate) async fn images(State(app): State<App>) -> Listed<Image> {
    Ok(Json(app.inventory.images().await?.into()))
}

/// The newest 500 jobs, newest first.
pub(crate) async fn jobs(State(app): State<App>) -> Listed<Job> {
    Ok(Json(app.inventory.jobs(LIST_MAX).await?.into()))
}

pub(crate) async fn job(State(app): State<App>, Id(id): Id<JobId>) -> Answer<Json<Job>> {
    app.inventory.job(id).await?.map(Json).ok_or(Failure::Gone)
}

pub(crate) async fn networks(State(app): State<App>) -> Listed<Network> {
    Ok(Json(app.inventory.networks().await?.into()))
}

pub(crate) async fn notices(State(app): State<App>) -> Listed<Notice> {
    Ok(Json(app.inventory.notices().await?.into()))
}

/// Addresses in use that nothing explains, the latest first.
pub(crate) async fn strays(State(app): State<App>) -> Listed<Stray> {
    Ok(Json(app.inventory.strays(clock::now()).await?.into()))
}

/// `?since=N`: the changes after number N, oldest first, at most 500.
pub(crate) async fn changes(State(app): State<App>, Asked(query): Asked) -> Listed<Change> {
    let since = query.text("since").parse().unwrap_or(0);
    Ok(Json(app.inventory.changes_since(since, LIST_MAX).await?.into()))
}

const LIST_MAX: u32 = 500;
