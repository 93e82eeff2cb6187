//! The gate by API: what holds in rooms, for classes and devices, and who they belong to.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use httpd::Peer;
use inventory::gate::{Level, Place, RoomControl, RoomGate, Setting, Target};
use inventory::{DeviceId, FilterId, GroupId, ListId, NetworkId, RoomId, UserId};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Me;
use crate::app::{App, SignedIn};
use crate::failure::Answer;
use crate::fields::{Body, Id};
use crate::lessons::{self, Scene, Seat};

pub(crate) type Caller = Extension<Peer>;

/// `level` for `span`: `lesson`, `day` or a number of minutes; with `allow_list`, the list that it means.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrantBody {
    level: Level,
    list: Option<ListId>,
    #[serde(default)]
    span: String,
}

async fn read(app: &App, target: Target) -> Answer<Json<Value>> {
    let scene = lessons::scene(app, target).await?;
    let Scene { name, seats, grant, bell, .. } = scene;
    let seats: Vec<Value> = seats.iter().map(seat).collect();
    Ok(Json(json!({
        "target": target, "name": name, "grant": grant, "lesson": bell.1, "lesson_ends_at": bell.0, "devices": seats,
    })))
}

fn seat(seat: &Seat) -> Value {
    json!({
        "device": seat.device, "name": seat.name, "staff": seat.staff,
        "level": seat.level(), "confirmed": seat.is_confirmed(), "until": seat.until,
        "confirmed_at": seat.confirmed.map(|confirmed| confirmed.at),
    })
}

async fn grant(
    app: &App,
    me: &SignedIn,
    peer: &Peer,
    target: Target,
    body: &GrantBody,
) -> Answer<Json<Value>> {
    let span = lessons::span(&body.span)?;
    let setting = Setting { level: body.level, list: body.list };
    let ends = lessons::set(app, me, peer.address.ip(), target, setting, span).await?;
    Ok(Json(json!({ "level": body.level, "ends_at": ends })))
}

async fn end(app: &App, me: &SignedIn, peer: &Peer, target: Target) -> Answer<StatusCode> {
    lessons::end(app, me, peer.address.ip(), target).await?;
    Ok(StatusCode::NO_CONTENT)
}

macro_rules! of_target {
    ($($read:ident, $grant:ident, $end:ident: $id:ty => $target:expr;)*) => {$(
        pub(crate) async fn $read(State(app): State<App>, Id(id): Id<$id>) -> Answer<Json<Value>> {
            read(&app, $target(id)).await
        }

        pub(crate) async fn $grant(
            State(app): State<App>,
            Extension(me): Me,
            Extension(peer): Caller,
            Id(id): Id<$id>,
            Body(body): Body<GrantBody>,
        ) -> Answer<Json<Value>> {
            grant(&app, &me, &peer, $target(id), &body).await
        }

        pub(crate) async fn $end(
            State(app): State<App>,
            Extension(me): Me,
            Extension(peer): Caller,
            Id(id): Id<$id>,
        ) -> Answer<StatusCode> {
            end(&app, &me, &peer, $target(id)).await
        }
    )*};
}

of_target! {
    room, grant_room, end_room: RoomId => Target::Room;
    group, grant_group, end_group: GroupId => Target::Group;
    device, grant_device, end_device: DeviceId => Target::Device;
}

/// What holds in a network where nothing else is said; without a level the gate leaves it alone.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NetworkBody {
    level: Option<Level>,
    list: Option<ListId>,
    filter: Option<FilterId>,
    #[serde(default)]
    nat: bool,
}

pub(crate) async fn guard_network(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<NetworkId>,
    Body(body): Body<NetworkBody>,
) -> Answer<StatusCode> {
    let setting = body.level.map(|level| Setting { level, list: body.list });
    app.inventory.set_network_gate(me.by(), id, setting, body.filter, body.nat).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomBody {
    level: Option<Level>,
    list: Option<ListId>,
    filter: Option<FilterId>,
    control: RoomControl,
}

pub(crate) async fn set_room(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<RoomId>,
    Body(body): Body<RoomBody>,
) -> Answer<StatusCode> {
    let setting = body.level.map(|level| Setting { level, list: body.list });
    let place = Place { setting, filter: body.filter };
    app.inventory.set_room_gate(me.by(), id, RoomGate { place, control: body.control }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OwnerBody {
    owner: Option<UserId>,
    #[serde(default)]
    staff: bool,
}

pub(crate) async fn set_owner(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<OwnerBody>,
) -> Answer<StatusCode> {
    app.inventory.set_owner(me.by(), id, body.owner, body.staff).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The room that a device belongs to until the bell; without one, to its own again.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VisitBody {
    room: Option<RoomId>,
}

pub(crate) async fn set_visit(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Caller,
    Id(id): Id<DeviceId>,
    Body(body): Body<VisitBody>,
) -> Answer<StatusCode> {
    lessons::visit(&app, &me, peer.address.ip(), id, body.room).await?;
    Ok(StatusCode::NO_CONTENT)
}
