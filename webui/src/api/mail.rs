//! E-mail.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};

use crate::api::Me;
use crate::app::App;
use crate::failure::Answer;
use crate::fields::Body;
use crate::mail::{self, Mail, Wish};

pub(crate) async fn read(State(app): State<App>) -> Answer<Json<Option<Mail>>> {
    Ok(Json(mail::read(&app).await?))
}

pub(crate) async fn save(
    State(app): State<App>,
    Extension(me): Me,
    Body(wish): Body<Wish>,
) -> Answer<StatusCode> {
    mail::save(&app, &me, wish).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn test(State(app): State<App>) -> Answer<StatusCode> {
    mail::test(&app).await?;
    Ok(StatusCode::NO_CONTENT)
}
