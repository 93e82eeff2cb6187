//! Backups.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::BackupRunId;
use inventory::backup::BackupKind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Me;
use crate::app::App;
use crate::backups::{self, Backups, Preview};
use crate::failure::Answer;
use crate::fields::{Body, Id};

pub(crate) async fn read(State(app): State<App>) -> Answer<Json<Backups>> {
    Ok(Json(backups::read(&app).await?))
}

pub(crate) async fn preview(State(app): State<App>, Id(id): Id<String>) -> Answer<Json<Preview>> {
    Ok(Json(backups::preview(&app, &id).await?))
}

/// What is to be done.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskBody {
    /// With `true` the newest backup is brought back on trial; else one is made.
    #[serde(default)]
    drill: bool,
}

/// What was asked for.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Asked {
    /// Its run.
    id: BackupRunId,
}

pub(crate) async fn ask(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<AskBody>,
) -> Answer<(StatusCode, Json<Asked>)> {
    let kind = if body.drill { BackupKind::Drill } else { BackupKind::Backup };
    Ok((StatusCode::CREATED, Json(Asked { id: backups::ask(&app, &me, kind).await? })))
}

pub(crate) async fn restore(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<String>,
) -> Answer<(StatusCode, Json<Asked>)> {
    Ok((StatusCode::CREATED, Json(Asked { id: backups::restore(&app, &me, &id).await? })))
}
