//! Classes and other groups by API.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use inventory::gate::{Level, Place, Setting};
use inventory::{DeviceId, FilterId, Find, Group, GroupId, ListId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::people::{PasswordJson, PersonJson};
use crate::api::read::List;
use crate::api::{Created, Me};
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Body, Id};
use crate::people;

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<Group>>> {
    Ok(Json(app.inventory.groups().await?.into()))
}

/// A class with who and what belongs to it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct GroupJson {
    id: GroupId,
    name: String,
    people: Vec<PersonJson>,
    /// Devices that belong to the class itself.
    devices: Vec<DeviceJson>,
    /// What holds at ordinary times.
    gate: Place,
}

/// A device of a class.
#[derive(Serialize, JsonSchema)]
pub(crate) struct DeviceJson {
    id: DeviceId,
    name: String,
}

pub(crate) async fn group(State(app): State<App>, Id(id): Id<GroupId>) -> Answer<Json<GroupJson>> {
    let gate = app.inventory.group_gate(id).await?;
    let group =
        app.inventory.groups().await?.into_iter().find(|group| group.id == id).ok_or(Failure::Gone)?;
    let find = Find { group: Some(id), limit: people::CLASS_MAX, ..Find::default() };
    let found = app.inventory.find_people(find).await?;
    let devices = app.inventory.devices_of_group(id).await?;
    Ok(Json(GroupJson {
        id,
        name: group.name,
        people: found.people.iter().map(|person| (&person.user).into()).collect(),
        devices: devices.into_iter().map(|(id, name)| DeviceJson { id, name }).collect(),
        gate,
    }))
}

/// A class's name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupBody {
    name: String,
}

pub(crate) async fn create(
    State(app): State<App>,
    axum::Extension(me): Me,
    Body(body): Body<GroupBody>,
) -> Created<Group> {
    Ok((StatusCode::CREATED, Json(app.inventory.create_group(me.by(), &body.name).await?)))
}

pub(crate) async fn rename(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
    Body(body): Body<GroupBody>,
) -> Answer<StatusCode> {
    app.inventory.rename_group(me.by(), id, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
) -> Answer<StatusCode> {
    app.inventory.delete_group(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Who and what joins or leaves a class.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MembersBody {
    #[serde(default)]
    people: Vec<UserId>,
    #[serde(default)]
    devices: Vec<DeviceId>,
}

pub(crate) async fn add_members(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
    Body(body): Body<MembersBody>,
) -> Answer<StatusCode> {
    app.inventory.add_to_group(me.by(), id, &body.people, &body.devices).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn remove_members(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
    Body(body): Body<MembersBody>,
) -> Answer<StatusCode> {
    app.inventory.remove_from_group(me.by(), id, &body.people, &body.devices).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What holds for a class at ordinary times; without a level, what rooms and networks say.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupGateBody {
    level: Option<Level>,
    list: Option<ListId>,
    filter: Option<FilterId>,
}

pub(crate) async fn set_gate(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
    Body(body): Body<GroupGateBody>,
) -> Answer<StatusCode> {
    let setting = body.level.map(|level| Setting { level, list: body.list });
    app.inventory.set_group_gate(me.by(), id, Place { setting, filter: body.filter }).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The pupils of a class, for those who teach it.
pub(crate) async fn pupils(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
) -> Answer<Json<List<PersonJson>>> {
    let pupils = people::pupils(&app, &me, id).await?;
    Ok(Json(pupils.iter().map(PersonJson::from).collect::<Vec<_>>().into()))
}

/// Whose password is to be replaced.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PupilBody {
    person: UserId,
}

pub(crate) async fn reset_pupil(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<GroupId>,
    Body(body): Body<PupilBody>,
) -> Answer<Json<PasswordJson>> {
    let (_, password) = people::reset_pupil(&app, &me, id, body.person).await?;
    Ok(Json(PasswordJson { password }))
}
