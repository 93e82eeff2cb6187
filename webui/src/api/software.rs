//! Programs by API.

use ::software::import::Draft;
use ::software::package::{Package, PackageFile};
use ::software::plan::Wish;
use ::software::turn::Turn;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::{Audience, DeviceId, EntryId, Hostname, UnixMillis, WishId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::read::List;
use crate::api::{Created, Me};
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Body, Id};
use crate::lang::Lang;
use crate::problem::Problem;
use crate::software::{self, OnPc, Program, say_reason, say_state};

/// A program in the list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProgramJson {
    /// The id of its newest entry.
    id: EntryId,
    /// What machines call it.
    package: String,
    /// What people call it.
    name: String,
    /// Oldest first.
    versions: Vec<String>,
    /// PCs on which it is as it should be.
    in_order: usize,
    /// PCs on which something is to be done.
    to_do: usize,
    /// PCs where a person is needed.
    needs_person: usize,
}

impl ProgramJson {
    fn of(program: &Program) -> Option<Self> {
        let newest = program.newest()?;
        let (in_order, to_do, needs_person) = program.counts();
        Some(Self {
            id: newest.id,
            package: program.id.to_string(),
            name: newest.package.name.to_string(),
            versions: program.entries.iter().map(|entry| entry.package.version.to_string()).collect(),
            in_order,
            to_do,
            needs_person,
        })
    }
}

/// A program with its versions, who gets it, and how PCs stand to it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ProgramDetail {
    #[serde(flatten)]
    program: ProgramJson,
    entries: Vec<EntryJson>,
    wishes: Vec<WishJson>,
    pcs: Vec<PcJson>,
}

/// One version of it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct EntryJson {
    id: EntryId,
    /// The definition, as it was added.
    #[schemars(with = "Value")]
    package: Package,
    created_by: String,
    created_at: UnixMillis,
}

/// On which PCs it is to be, or not.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WishJson {
    id: WishId,
    audience: Audience,
    #[schemars(with = "Value")]
    wish: Wish,
    created_by: String,
    created_at: UnixMillis,
}

/// How a PC stands to it.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PcJson {
    device: DeviceId,
    name: Hostname,
    /// What is there.
    #[schemars(with = "Value")]
    found: ::software::package::Found,
    /// Whether it is as it should be.
    in_order: bool,
    /// How it stands, in words.
    state: String,
    /// Why, in words.
    reason: String,
    /// What became of it the last time.
    #[schemars(with = "Option<Value>")]
    last: Option<Turn>,
    /// Somebody sits at it, in a lesson: it gets nothing until the end of it.
    in_lesson: bool,
    reported_at: UnixMillis,
}

impl PcJson {
    fn of(pc: OnPc) -> Self {
        Self {
            device: pc.device,
            in_order: matches!(pc.stand, software::Stand::Good),
            state: say_state(Lang::En, &pc).text,
            reason: say_reason(Lang::En, &pc),
            name: pc.name,
            found: pc.found,
            last: pc.last,
            in_lesson: pc.in_lesson,
            reported_at: pc.reported_at,
        }
    }
}

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<ProgramJson>>> {
    let survey = software::survey(&app, None).await?;
    Ok(Json((survey.programs.iter().filter_map(ProgramJson::of).collect(), Vec::new()).into()))
}

/// A program on one PC.
#[derive(Serialize, JsonSchema)]
pub(crate) struct OnDeviceJson {
    /// The id of the program's newest entry.
    id: EntryId,
    /// What machines call it.
    package: String,
    #[serde(flatten)]
    pc: PcJson,
}

pub(crate) async fn on_device(
    State(app): State<App>,
    Id(device): Id<DeviceId>,
) -> Answer<Json<List<OnDeviceJson>>> {
    app.inventory.device(device).await?.ok_or(Failure::Gone)?;
    let programs = software::survey(&app, Some(device)).await?.programs.into_iter().filter_map(|program| {
        let (id, package) = (program.newest()?.id, program.id.to_string());
        Some(OnDeviceJson { id, package, pc: PcJson::of(program.pcs.into_iter().next()?) })
    });
    Ok(Json((programs.collect(), Vec::new()).into()))
}

pub(crate) async fn show(State(app): State<App>, Id(id): Id<EntryId>) -> Answer<Json<ProgramDetail>> {
    let (program, _) = software::one(&app, id).await?;
    let entries = program.entries.iter().map(|entry| EntryJson {
        id: entry.id,
        package: entry.package.as_ref().clone(),
        created_by: entry.created_by.clone(),
        created_at: entry.created_at,
    });
    let wishes = program.wishes.iter().map(|wish| WishJson {
        id: wish.id,
        audience: wish.audience,
        wish: wish.wish.clone(),
        created_by: wish.created_by.clone(),
        created_at: wish.created_at,
    });
    Ok(Json(ProgramDetail {
        program: ProgramJson::of(&program).ok_or(Failure::Gone)?,
        entries: entries.collect(),
        wishes: wishes.collect(),
        pcs: program.pcs.into_iter().map(PcJson::of).collect(),
    }))
}

/// A file that was uploaded, and what it says about itself.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FileJson {
    /// As a definition names it.
    #[schemars(with = "Value")]
    file: PackageFile,
    /// A definition with gaps.
    #[schemars(with = "Value")]
    draft: Draft,
    /// The definition, if there are no gaps.
    #[schemars(with = "Option<Value>")]
    package: Option<Package>,
}

pub(crate) async fn upload(
    State(app): State<App>,
    Asked(query): Asked,
    request: Request,
) -> Created<FileJson> {
    let (file, draft) =
        software::take_in(&app, query.text("name"), request.into_body().into_data_stream()).await?;
    let package = draft.clone().finish().ok();
    Ok((StatusCode::CREATED, Json(FileJson { file, draft, package })))
}

/// What was added.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AddedJson {
    id: EntryId,
}

pub(crate) async fn add(
    State(app): State<App>,
    Extension(me): Me,
    Body(definition): Body<Value>,
) -> Created<AddedJson> {
    let package: Package = serde_json::from_value(definition)
        .map_err(|error| Failure::field("", Problem::PackageFile(error.to_string())))?;
    let id = software::add(&app, &me, &package).await?;
    Ok((StatusCode::CREATED, Json(AddedJson { id })))
}

pub(crate) async fn remove(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<EntryId>,
) -> Answer<StatusCode> {
    app.inventory.remove_software(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// On which PCs a program is to be, or not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WishBody {
    audience: Audience,
    /// `{"required": {}}`, `{"required": {"version": "1.2"}}` or `"absent"`.
    #[schemars(with = "Value")]
    wish: Wish,
}

/// What was said.
#[derive(Serialize, JsonSchema)]
pub(crate) struct WishedJson {
    id: WishId,
}

pub(crate) async fn wish(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<EntryId>,
    Body(body): Body<WishBody>,
) -> Created<WishedJson> {
    let entry = software::entry(&app, id).await?;
    let id = app.inventory.wish_software(me.by(), &entry.package.id, body.audience, &body.wish).await?;
    Ok((StatusCode::CREATED, Json(WishedJson { id })))
}

pub(crate) async fn unwish(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<WishId>,
) -> Answer<StatusCode> {
    app.inventory.unwish_software(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where it is to be tried again; everywhere without a device.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryBody {
    #[serde(default)]
    device: Option<DeviceId>,
}

pub(crate) async fn retry(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<EntryId>,
    Body(body): Body<RetryBody>,
) -> Answer<StatusCode> {
    let entry = software::entry(&app, id).await?;
    app.inventory.retry_software(me.by(), &entry.package.id, body.device).await?;
    Ok(StatusCode::NO_CONTENT)
}
