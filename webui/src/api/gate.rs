//! The gate by API: what holds in rooms, for classes and devices, and who they belong to.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use httpd::Peer;
use inventory::gate::{Level, Place, RoomControl, RoomGate, Setting, Target};
use inventory::{DeviceId, FilterId, Group, GroupId, ListId, NetworkId, Role, RoomId, UserId};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::read::List;
use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Body, Id};
use crate::lessons::{self, Scene, Seat};
use crate::problem::Problem;

pub(crate) type Me = Extension<SignedIn>;
pub(crate) type Caller = Extension<Peer>;

/// `level` for `span`: `lesson`, `day` or a number of minutes; with `allow_list`, the list that it means.
#[derive(Deserialize)]
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
#[derive(Deserialize)]
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

#[derive(Deserialize)]
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

#[derive(Deserialize)]
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
#[derive(Deserialize)]
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

pub(crate) async fn people(State(app): State<App>) -> Answer<Json<List<Value>>> {
    let (people, problems) = app.inventory.users().await?;
    let shown = |user: &inventory::User| {
        json!({
            "id": user.id, "name": user.name, "role": user.role,
            "first_name": user.first_name, "last_name": user.last_name,
            "external_id": user.external_id, "deactivated_at": user.deactivated_at,
        })
    };
    Ok(Json((people.iter().map(shown).collect::<Vec<Value>>(), problems).into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PersonBody {
    name: String,
    password: String,
    role: Role,
}

pub(crate) async fn create_person(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<PersonBody>,
) -> Answer<(StatusCode, Json<Value>)> {
    // Whoever may add people may not make themselves an admin that way.
    if body.role != Role::Pupil && body.role != Role::Teacher && me.user.role != Role::SchoolAdmin {
        return Err(Failure::Forbidden);
    }
    let hash = app.passwords.hash(&body.password).await.map_err(|_| Failure::Busy)?;
    let hash = hash.map_err(|error| Failure::field("password", Problem::Password(error)))?;
    let id = app.inventory.create_user(me.by(), &body.name, &hash, body.role).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

pub(crate) async fn groups(State(app): State<App>) -> Answer<Json<List<Group>>> {
    Ok(Json(app.inventory.groups().await?.into()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupBody {
    name: String,
}

pub(crate) async fn create_group(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<GroupBody>,
) -> Answer<(StatusCode, Json<Group>)> {
    Ok((StatusCode::CREATED, Json(app.inventory.create_group(me.by(), &body.name).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembersBody {
    #[serde(default)]
    people: Vec<UserId>,
    #[serde(default)]
    devices: Vec<DeviceId>,
}

pub(crate) async fn add_members(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<GroupId>,
    Body(body): Body<MembersBody>,
) -> Answer<StatusCode> {
    app.inventory.add_to_group(me.by(), id, &body.people, &body.devices).await?;
    Ok(StatusCode::NO_CONTENT)
}
