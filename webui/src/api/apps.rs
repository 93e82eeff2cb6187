//! Apps by API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::mdm::{App as Known, AppAssignment, AppId, Install, Licence};
use inventory::{AppAssignmentId, Audience};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::api::read::List;
use crate::api::{Created, Me};
use crate::app::App;
use crate::apps;
use crate::failure::{Answer, Failure};
use crate::fields::{Body, Id};

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<Known>>> {
    Ok(Json((app.inventory.apps().await?, Vec::new()).into()))
}

/// An app with who gets it, and its licences.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AppJson {
    app: Known,
    assignments: Vec<AppAssignment>,
    licences: Vec<Licence>,
}

pub(crate) async fn show(State(app): State<App>, Id(id): Id<AppId>) -> Answer<Json<AppJson>> {
    let mut assignments = app.inventory.app_assignments().await?;
    assignments.retain(|assignment| assignment.app == id);
    let (mut licences, _) = app.inventory.app_licences().await?;
    licences.retain(|licence| licence.app == id);
    Ok(Json(AppJson { app: apps::one(&app, id).await?, assignments, licences }))
}

/// Who gets an app.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GiveBody {
    target: Audience,
    install: Install,
}

/// What was said.
#[derive(Serialize, JsonSchema)]
pub(crate) struct GivenJson {
    id: AppAssignmentId,
}

pub(crate) async fn give(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<AppId>,
    Body(body): Body<GiveBody>,
) -> Created<GivenJson> {
    let id = apps::give(&app, &me, id, body.target, body.install).await?;
    Ok((StatusCode::CREATED, Json(GivenJson { id })))
}

pub(crate) async fn take_back(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<AppAssignmentId>,
) -> Answer<StatusCode> {
    app.inventory.unassign_app(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What an app finds as its configuration. Without keys it has none.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfigurationBody {
    configuration: Map<String, Value>,
}

pub(crate) async fn configure(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<AppId>,
    Body(body): Body<ConfigurationBody>,
) -> Answer<StatusCode> {
    let text = match body.configuration.is_empty() {
        true => String::new(),
        false => serde_json::to_string(&body.configuration).map_err(|_| Failure::Internal)?,
    };
    apps::configure(&app, &me, id, &text).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The content token of Apps and Books, as it was downloaded.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    token: String,
}

pub(crate) async fn import(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<TokenBody>,
) -> Answer<StatusCode> {
    apps::import(&app, &me, &body.token).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn sync(State(app): State<App>, Extension(me): Me) -> Answer<StatusCode> {
    apps::sync(&app, &me, None).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The server that managed the licences until now.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TakeOverBody {
    /// Its id, as the notice says.
    other: String,
}

pub(crate) async fn take_over(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<TakeOverBody>,
) -> Answer<StatusCode> {
    apps::sync(&app, &me, Some(&body.other)).await?;
    Ok(StatusCode::NO_CONTENT)
}
