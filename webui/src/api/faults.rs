//! Faults.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::{DeviceId, Fault, FaultId, FaultKind, FaultState, RoomId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Me;
use crate::app::App;
use crate::failure::Answer;
use crate::fields::{Body, Id};

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<Vec<Fault>>> {
    Ok(Json(app.inventory.faults().await?))
}

/// What is wrong, and where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportBody {
    room: RoomId,
    /// The whole room if absent.
    device: Option<DeviceId>,
    kind: FaultKind,
    #[serde(default)]
    words: String,
}

/// What was reported.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Reported {
    id: FaultId,
}

pub(crate) async fn report(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<ReportBody>,
) -> Answer<(StatusCode, Json<Reported>)> {
    let id = app.inventory.report_fault(me.by(), body.room, body.device, body.kind, &body.words).await?;
    Ok((StatusCode::CREATED, Json(Reported { id })))
}

/// What becomes of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerBody {
    state: FaultState,
    #[serde(default)]
    words: String,
}

pub(crate) async fn answer(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<FaultId>,
    Body(body): Body<AnswerBody>,
) -> Answer<StatusCode> {
    app.inventory.say_of_fault(me.by(), id, body.state, &body.words).await?;
    Ok(StatusCode::NO_CONTENT)
}
