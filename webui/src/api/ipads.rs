//! iPads by API.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use inventory::mdm::{Action, Command, Enrolment, Invitation, Report};
use inventory::{DeviceId, EnrolmentId, GroupId, InvitationId, RoomId, clock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::read::List;
use crate::api::{Created, Me};
use crate::app::{App, SignedIn};
use crate::apps::{self, OnIpad};
use crate::failure::{Answer, Failure};
use crate::fields::{Body, Id};
use crate::ipads::{self, Wish};
use crate::problem::Problem;

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<Enrolment>>> {
    Ok(Json(app.inventory.enrolments().await?.into()))
}

/// An iPad with what it said of itself, and its newest commands.
#[derive(Serialize, JsonSchema)]
pub(crate) struct IpadJson {
    ipad: Enrolment,
    reports: Vec<Report>,
    commands: Vec<Command>,
    /// The apps that it should have or has a licence for.
    apps: Vec<OnIpad>,
}

pub(crate) async fn show(State(app): State<App>, Id(id): Id<EnrolmentId>) -> Answer<Json<IpadJson>> {
    Ok(Json(IpadJson {
        ipad: app.inventory.enrolment(id).await?.ok_or(Failure::Gone)?,
        reports: app.inventory.ipad_reports(id).await?,
        commands: app.inventory.commands_of(id, COMMANDS_SHOWN).await?,
        apps: apps::on_ipad(&app, id).await?,
    }))
}

/// What is to be done, and why.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ActionBody {
    #[serde(flatten)]
    action: Action,
    /// Needed for what takes something away from somebody; it stays in the history.
    #[serde(default)]
    reason: String,
}

/// Whether the iPad will hear of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AskedJson {
    /// `false` when the same is asked already, or the iPad is not under management any more.
    asked: bool,
}

pub(crate) async fn ask(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<EnrolmentId>,
    Body(body): Body<ActionBody>,
) -> Answer<Json<AskedJson>> {
    if body.action.needs_reason() {
        return Err(Failure::field("action", Problem::NeedsReason));
    }
    asked(&app, &me, id, &body).await
}

pub(crate) async fn insist(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<EnrolmentId>,
    Body(body): Body<ActionBody>,
) -> Answer<Json<AskedJson>> {
    asked(&app, &me, id, &body).await
}

async fn asked(app: &App, me: &SignedIn, id: EnrolmentId, body: &ActionBody) -> Answer<Json<AskedJson>> {
    let asked = ipads::ask(app, me, id, &body.action, &body.reason).await?;
    Ok(Json(AskedJson { asked }))
}

/// What several iPads are to do.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct ActionsBody {
    /// Which iPads, at most 1000. Those that are not under management are passed over.
    ipads: Vec<EnrolmentId>,
    #[serde(flatten)]
    action: Action,
}

/// How many iPads will hear of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AskedOfJson {
    /// Those of which the same is asked already do not count.
    asked: usize,
}

pub(crate) async fn ask_all(
    State(app): State<App>,
    axum::Extension(me): Me,
    Body(body): Body<ActionsBody>,
) -> Answer<Json<AskedOfJson>> {
    let asked = ipads::ask_all(&app, &me, &body.ipads, &body.action).await?;
    Ok(Json(AskedOfJson { asked }))
}

pub(crate) async fn invitations(State(app): State<App>) -> Answer<Json<List<Invitation>>> {
    Ok(Json(app.inventory.invitations(clock::now()).await?.into()))
}

/// An invitation to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InvitationBody {
    /// The one device it is for; then for one iPad only.
    #[serde(default)]
    device: Option<DeviceId>,
    /// Where iPads that come by it belong.
    room: RoomId,
    /// The class they belong to.
    #[serde(default)]
    group: Option<GroupId>,
    /// How many may come.
    uses: u32,
    /// How many days it holds.
    days: u32,
}

/// An invitation that was made. Nobody can see its link again.
#[derive(Serialize, JsonSchema)]
pub(crate) struct InvitedJson {
    id: InvitationId,
    link: String,
}

pub(crate) async fn invite(
    State(app): State<App>,
    axum::Extension(me): Me,
    Body(body): Body<InvitationBody>,
) -> Created<InvitedJson> {
    let InvitationBody { device, room, group, uses, days } = body;
    let (id, link) = ipads::invite(&app, &me, Wish { device, room, group, uses, days }).await?;
    Ok((StatusCode::CREATED, Json(InvitedJson { id, link })))
}

pub(crate) async fn uninvite(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<InvitationId>,
) -> Answer<StatusCode> {
    app.inventory.delete_invitation(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

const COMMANDS_SHOWN: u32 = 100;
