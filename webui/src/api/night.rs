//! The night shift.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::RoomId;
use inventory::night::NightPlan;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::Me;
use crate::api::read::List;
use crate::app::App;
use crate::drift::{self, Drift};
use crate::failure::{Answer, Failure};
use crate::fields::{Body, Id};
use crate::night::{self, Night, PastNight};
use crate::problem::Problem;

pub(crate) async fn latest(State(app): State<App>) -> Answer<Json<Option<Night>>> {
    let (devices, _) = app.inventory.devices().await?;
    Ok(Json(night::latest(&app, &devices, &night::notes(&app, night::HISTORY_DAYS).await?).await?))
}

pub(crate) async fn history(State(app): State<App>) -> Answer<Json<Vec<PastNight>>> {
    Ok(Json(night::history(&night::notes(&app, night::HISTORY_DAYS).await?)))
}

pub(crate) async fn drift(State(app): State<App>) -> Answer<Json<Vec<Drift>>> {
    Ok(Json(drift::list(&app).await?))
}

pub(crate) async fn plans(State(app): State<App>) -> Answer<Json<List<NightPlan>>> {
    Ok(Json(app.inventory.night_plans().await?.into()))
}

/// The plan of a room; without an evening it has no night shift.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanBody {
    /// From Monday to Sunday.
    evenings: [bool; 7],
    /// Minutes since midnight.
    begins: u16,
    /// Minutes since midnight; of the next day if not after `begins`.
    ends: u16,
    image: bool,
    switch_off: bool,
}

pub(crate) async fn save(
    State(app): State<App>,
    Extension(me): Me,
    Id(room): Id<RoomId>,
    Body(body): Body<PlanBody>,
) -> Answer<StatusCode> {
    for (field, minute) in [("begins", body.begins), ("ends", body.ends)] {
        if minute > 24 * 60 {
            return Err(Failure::field(field, Problem::NoTime(minute.to_string())));
        }
    }
    let PlanBody { evenings, begins, ends, image, switch_off } = body;
    let plan = NightPlan { room, evenings, begins, ends, image, switch_off, rests_on: None };
    app.inventory.set_night_plan(me.by(), &plan).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether the night that runs, or else the next one, is left out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestBody {
    rest: bool,
}

pub(crate) async fn rest(
    State(app): State<App>,
    Extension(me): Me,
    Id(room): Id<RoomId>,
    Body(body): Body<RestBody>,
) -> Answer<StatusCode> {
    night::rest(&app, &me, room, body.rest).await?;
    Ok(StatusCode::NO_CONTENT)
}
