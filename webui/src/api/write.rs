//! Changing by API. Every handler reads a small body and leaves the rest to [`actions`].

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::{
    DeviceId, ImageId, InterfaceKind, JobId, Network, NetworkId, Power, Room, RoomId, WaitingId,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::actions::{self, Approval, NetworkWish};
use crate::api::{Created, Me};
use crate::app::App;
use crate::failure::Answer;
use crate::fields::{Body, Id};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApproveBody {
    #[serde(default)]
    name: String,
    #[serde(default)]
    room: String,
    image: Option<String>,
    replace: Option<String>,
}

pub(crate) async fn approve(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<WaitingId>,
    Body(body): Body<ApproveBody>,
) -> Answer<Json<Value>> {
    let wish = Approval {
        name: body.name.trim(),
        room: body.room.trim(),
        image: body.image.as_deref().filter(|text| !text.is_empty()),
        replace: body.replace.as_deref().filter(|text| !text.is_empty()),
    };
    let done = actions::approve(&app.inventory, me.by(), id, &wish).await?;
    Ok(Json(json!({ "device": done.device, "name": done.name, "room": done.room, "job": done.job })))
}

pub(crate) async fn reject(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<WaitingId>,
) -> Answer<StatusCode> {
    app.inventory.reject(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn forget(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<WaitingId>,
) -> Answer<StatusCode> {
    app.inventory.forget_waiting(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A device that nobody has seen yet. A room of that name is added if there is none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewDeviceBody {
    name: String,
    room: String,
    #[serde(default)]
    cards: Vec<CardBody>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardBody {
    mac: String,
    kind: InterfaceKind,
}

pub(crate) async fn create_device(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<NewDeviceBody>,
) -> Created<inventory::Device> {
    let cards: Vec<(&str, InterfaceKind)> = body.cards.iter().map(|card| (&*card.mac, card.kind)).collect();
    let id = actions::create_device(&app.inventory, me.by(), &body.name, &body.room, &cards).await?;
    Ok((StatusCode::CREATED, Json(actions::device(&app.inventory, id).await?)))
}

/// What is absent stays; an empty image means none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeviceBody {
    name: Option<String>,
    room: Option<String>,
    image: Option<String>,
}

pub(crate) async fn change_device(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<DeviceBody>,
) -> Answer<Json<inventory::Device>> {
    let (name, room, image) = (body.name.as_deref(), body.room.as_deref(), body.image.as_deref());
    actions::change_device(&app.inventory, me.by(), id, name, room, image).await?;
    Ok(Json(actions::device(&app.inventory, id).await?))
}

pub(crate) async fn delete_device(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
) -> Answer<StatusCode> {
    app.inventory.delete_device(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The job that does it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobJson {
    job: JobId,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PowerBody {
    power: Power,
}

pub(crate) async fn power(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<PowerBody>,
) -> Answer<StatusCode> {
    actions::power(&app.inventory, me.by(), id, body.power).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// How many PCs were asked.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PoweredJson {
    asked: usize,
}

pub(crate) async fn power_room(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<RoomId>,
    Body(body): Body<PowerBody>,
) -> Answer<Json<PoweredJson>> {
    let asked = actions::power_room(&app.inventory, me.by(), id, body.power).await?;
    Ok(Json(PoweredJson { asked }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeployBody {
    image: Option<String>,
    version: Option<i64>,
}

pub(crate) async fn deploy(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<DeployBody>,
) -> Created<JobJson> {
    let job = actions::deploy(&app.inventory, me.by(), id, body.image.as_deref(), body.version).await?;
    Ok((StatusCode::CREATED, Json(JobJson { job })))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CaptureBody {
    image: String,
}

pub(crate) async fn capture(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<CaptureBody>,
) -> Created<JobJson> {
    let job = actions::capture(&app.inventory, me.by(), id, body.image.trim()).await?;
    Ok((StatusCode::CREATED, Json(JobJson { job })))
}

/// `ip: null` clears the reservation. `mac` may be absent when the device has one card.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReservationBody {
    mac: Option<String>,
    ip: Option<String>,
}

pub(crate) async fn reserve(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<ReservationBody>,
) -> Answer<StatusCode> {
    actions::reserve(&app.inventory, me.by(), id, body.mac.as_deref(), body.ip.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn cancel_job(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<JobId>,
) -> Answer<StatusCode> {
    app.inventory.cancel_job(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomBody {
    name: String,
}

pub(crate) async fn create_room(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<RoomBody>,
) -> Created<Room> {
    let room = app.inventory.create_room(me.by(), &body.name).await?;
    Ok((StatusCode::CREATED, Json(room)))
}

pub(crate) async fn rename_room(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<RoomId>,
    Body(body): Body<RoomBody>,
) -> Answer<StatusCode> {
    app.inventory.rename_room(me.by(), id, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_room(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<RoomId>,
) -> Answer<StatusCode> {
    app.inventory.delete_room(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_image(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<ImageId>,
) -> Answer<StatusCode> {
    app.inventory.delete_image(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// As `GET` tells a network; further fields (its id) are passed over, so that what was read can be sent back.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct NetworkBody {
    name: String,
    cidr: String,
    router: Option<String>,
    pool_first: String,
    pool_last: String,
    lease_secs: u32,
    mode: String,
}

impl From<NetworkBody> for NetworkWish {
    fn from(body: NetworkBody) -> Self {
        Self {
            name: body.name.trim().to_owned(),
            cidr: body.cidr,
            router: body.router.unwrap_or_default(),
            pool_first: body.pool_first,
            pool_last: body.pool_last,
            lease: body.lease_secs.to_string(),
            lease_unit_secs: 1,
            mode: body.mode,
        }
    }
}

pub(crate) async fn create_network(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<NetworkBody>,
) -> Created<Network> {
    let network = actions::put_network(&app.inventory, me.by(), NetworkId::random(), &body.into()).await?;
    Ok((StatusCode::CREATED, Json(network)))
}

pub(crate) async fn put_network(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<NetworkId>,
    Body(body): Body<NetworkBody>,
) -> Answer<Json<Network>> {
    Ok(Json(actions::put_network(&app.inventory, me.by(), id, &body.into()).await?))
}

pub(crate) async fn delete_network(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<NetworkId>,
) -> Answer<StatusCode> {
    app.inventory.delete_network(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
