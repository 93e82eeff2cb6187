//! Exams by API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::gate::Exam;
use inventory::{ExamId, UnixMillis, clock};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Me;
use crate::api::gate::Caller;
use crate::api::read::List;
use crate::app::App;
use crate::exams::{self, ExamWish};
use crate::failure::Answer;
use crate::fields::{Body, Id};

pub(crate) async fn all(State(app): State<App>) -> Answer<Json<List<Exam>>> {
    Ok(Json(app.inventory.exams(EXAMS_MAX).await?.into()))
}

pub(crate) async fn one(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<ExamId>,
) -> Answer<Json<Value>> {
    let (exam, sittings) = exams::protocol(&app, &me, id).await?;
    Ok(Json(json!({ "exam": exam, "runs": exams::runs(&exam), "devices": sittings })))
}

pub(crate) async fn begin(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Caller,
    Body(wish): Body<ExamWish>,
) -> Answer<(StatusCode, Json<Value>)> {
    let id = exams::begin(&app, &me, peer.address.ip(), &wish).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndBody {
    ends_at: UnixMillis,
}

pub(crate) async fn prolong(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Caller,
    Id(id): Id<ExamId>,
    Body(body): Body<EndBody>,
) -> Answer<StatusCode> {
    exams::set_end(&app, &me, peer.address.ip(), id, body.ends_at).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn end(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Caller,
    Id(id): Id<ExamId>,
) -> Answer<StatusCode> {
    exams::set_end(&app, &me, peer.address.ip(), id, clock::now()).await?;
    Ok(StatusCode::NO_CONTENT)
}

const EXAMS_MAX: u32 = 500;
