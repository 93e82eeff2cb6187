//! People by API.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use inventory::{Find, Role, UnixMillis, User, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Created, Me};
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Body, Id};
use crate::people;
use crate::problem::Problem;

/// A person.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PersonJson {
    id: UserId,
    /// What they sign in with.
    name: String,
    /// Empty when nobody gave one.
    first_name: String,
    last_name: String,
    /// What the school's own system calls them.
    external_id: Option<String>,
    /// Since when they may not sign in.
    deactivated_at: Option<UnixMillis>,
    role: Role,
    /// Whether they have yet to choose an own password.
    password_temporary: bool,
    /// Whether a code is asked for after the password.
    second_factor: bool,
}

impl From<&User> for PersonJson {
    fn from(user: &User) -> Self {
        Self {
            id: user.id,
            name: user.name.clone(),
            first_name: user.first_name.clone(),
            last_name: user.last_name.clone(),
            external_id: user.external_id.clone(),
            deactivated_at: user.deactivated_at,
            role: user.role,
            password_temporary: user.password_temporary,
            second_factor: user.second_factor,
        }
    }
}

/// Some of the people.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PeopleJson {
    items: Vec<PersonJson>,
    problems: Vec<String>,
    /// How many there are in all.
    total: usize,
}

/// `?q=TEXT&role=ROLE&group=ID&offset=N`: at most 500 at once.
pub(crate) async fn list(State(app): State<App>, Asked(query): Asked) -> Answer<Json<PeopleJson>> {
    let parse = |error| Failure::field("role", Problem::Parse(error));
    let role = query.given("role").map(str::parse::<Role>).transpose().map_err(parse)?;
    let group = query.given("group").map(str::parse).transpose().map_err(|_| Failure::Gone)?;
    let offset = query.text("offset").parse().unwrap_or(0);
    let find = Find { text: query.text("q"), role, group, offset, limit: LIST_MAX };
    let found = app.inventory.find_people(find).await?;
    Ok(Json(PeopleJson {
        items: found.people.iter().map(|person| (&person.user).into()).collect(),
        problems: found.problems.iter().map(ToString::to_string).collect(),
        total: found.total,
    }))
}

pub(crate) async fn person(State(app): State<App>, Id(id): Id<UserId>) -> Answer<Json<PersonJson>> {
    Ok(Json((&people::person(&app, id).await?).into()))
}

/// Somebody to be added: a pupil or a teacher.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPersonBody {
    name: String,
    role: Role,
    /// Without one, one is made up and told; it is to be replaced at the first sign-in.
    password: Option<String>,
}

/// Somebody who was added.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AddedJson {
    id: UserId,
    /// If it was made up.
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

pub(crate) async fn create(
    State(app): State<App>,
    axum::Extension(me): Me,
    Body(body): Body<NewPersonBody>,
) -> Created<AddedJson> {
    let added = people::add(&app, &me, &body.name, body.role, body.password.as_deref()).await?;
    Ok((StatusCode::CREATED, Json(AddedJson { id: added.id, password: added.password })))
}

/// Another name to sign in with.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RenameBody {
    name: String,
}

pub(crate) async fn rename(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<UserId>,
    Body(body): Body<RenameBody>,
) -> Answer<StatusCode> {
    people::rename(&app, &me, id, &body.name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another role.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleBody {
    role: Role,
}

pub(crate) async fn set_role(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<UserId>,
    Body(body): Body<RoleBody>,
) -> Answer<StatusCode> {
    people::set_role(&app, &me, id, body.role).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A password that was made up. It is told once, and to be replaced at the next sign-in.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PasswordJson {
    pub(crate) password: String,
}

pub(crate) async fn reset(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<UserId>,
) -> Answer<Json<PasswordJson>> {
    let (_, password) = people::reset(&app, &me, id).await?;
    Ok(Json(PasswordJson { password }))
}

pub(crate) async fn clear_second_factor(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<UserId>,
) -> Answer<StatusCode> {
    people::clear_second_factor(&app, &me, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<UserId>,
) -> Answer<StatusCode> {
    people::remove(&app, &me, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

const LIST_MAX: u32 = 500;
