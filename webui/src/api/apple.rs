//! Apple's services by API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::mdm::{AdeDevice, AppleKind, AppleService};
use inventory::{GroupId, RoomId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::Me;
use crate::api::read::List;
use crate::app::App;
use crate::apple::{self, FILE_CHARS_MAX, File};
use crate::failure::{Answer, Failure};
use crate::fields::Body;
use crate::problem::Problem;

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<AppleService>>> {
    Ok(Json(app.inventory.apple_services().await?.into()))
}

pub(crate) async fn devices(State(app): State<App>) -> Answer<Json<List<AdeDevice>>> {
    Ok(Json(app.inventory.ade_devices().await?.into()))
}

/// Which service.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct KindBody {
    kind: AppleKind,
}

/// What goes to Apple.
#[derive(Serialize, JsonSchema)]
pub(crate) struct RequestJson {
    /// A certification request or a certificate, PEM; or the property list of the portal, base64.
    request: String,
}

pub(crate) async fn ask(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<KindBody>,
) -> Answer<Json<RequestJson>> {
    apple::ask(&app, &me, body.kind).await?;
    let (_, request) = apple::request(&app, body.kind).await?;
    Ok(Json(RequestJson { request }))
}

/// A file of Apple's.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct FileBody {
    kind: AppleKind,
    /// PEM, S/MIME, or a binary file as base64.
    content: String,
    /// Of a PKCS#12 file.
    #[serde(default)]
    password: String,
    /// Another topic than before is wanted: every iPad has to enrol again.
    #[serde(default)]
    insist: bool,
}

pub(crate) async fn import(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<FileBody>,
) -> Answer<StatusCode> {
    if body.content.len() > FILE_CHARS_MAX {
        return Err(Failure::field("content", Problem::NoChoice("too long".into())));
    }
    let file = File { content: body.content, password: body.password, insist: body.insist };
    apple::import(&app, &me, body.kind, &file).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What iPads of Apple School Manager have to bring, and where they belong.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SettingsBody {
    /// Where those go that nobody gave a room.
    default_room: Option<RoomId>,
    /// Older systems are updated first; empty for any.
    #[serde(default)]
    minimum_os: String,
}

pub(crate) async fn set(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<SettingsBody>,
) -> Answer<StatusCode> {
    apple::set(&app, &me, body.default_room, &body.minimum_os).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where iPads of the list belong.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct PlaceBody {
    serials: Vec<String>,
    room_id: Option<RoomId>,
    class: Option<GroupId>,
}

/// How many were found.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PlacedJson {
    placed: u64,
}

pub(crate) async fn place(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<PlaceBody>,
) -> Answer<Json<PlacedJson>> {
    let placed = apple::place(&app, &me, &body.serials, body.room_id, body.class).await?;
    Ok(Json(PlacedJson { placed }))
}

pub(crate) async fn forget(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<KindBody>,
) -> Answer<StatusCode> {
    apple::forget(&app, &me, body.kind).await?;
    Ok(StatusCode::NO_CONTENT)
}
