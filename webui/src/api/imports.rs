//! Imports by API: the file is the body, and a plan comes back.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::ImportId;
use inventory::import::{Import, Item, Kind, Plan, Problem as LineProblem, Undone};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Me;
use crate::api::read::List;
use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Body, Fields, Id};
use crate::imports::{self, Draft, Planned, State as DraftState, Upload};
use crate::lang::Lang;
use crate::line_problem::say_line;
use crate::pages::import::role;

/// How many are removed, if that is more than one in ten.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApplyBody {
    removals: Option<usize>,
}

macro_rules! of_kind {
    ($($module:ident: $kind:expr;)*) => {$(
        /// The handlers of one kind.
        pub(crate) mod $module {
            use super::*;

            pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<Import>>> {
                Ok(Json(app.inventory.imports($kind, LIST_MAX).await?.into()))
            }

            /// `?name=FILE&complete=1&role=pupil|teacher&room=ROOM`
            pub(crate) async fn upload(
                State(app): State<App>,
                Extension(me): Me,
                Asked(query): Asked,
                bytes: Bytes,
            ) -> Answer<(StatusCode, Json<Value>)> {
                let draft = imports::read(&app, &me, $kind, uploaded(&query, &bytes)?).await?;
                Ok((StatusCode::CREATED, Json(told(&draft))))
            }

            pub(crate) async fn show(
                State(app): State<App>,
                Extension(me): Me,
                Id(id): Id<ImportId>,
            ) -> Answer<Json<Value>> {
                super::show(&app, &me, $kind, id).await
            }

            pub(crate) async fn apply(
                State(app): State<App>,
                Extension(me): Me,
                Id(id): Id<ImportId>,
                Body(body): Body<ApplyBody>,
            ) -> Answer<(StatusCode, Json<Value>)> {
                let draft = imports::apply(&app, &me, $kind, id, body.removals).await?;
                super::applied(&draft)
            }

            pub(crate) async fn undo(
                State(app): State<App>,
                Extension(me): Me,
                Id(id): Id<ImportId>,
            ) -> Answer<Json<Undone>> {
                Ok(Json(imports::undo(&app, &me, $kind, id).await?))
            }
        }
    )*};
}

of_kind! {
    people: Kind::People;
    devices: Kind::Devices;
}

fn uploaded(query: &Fields, bytes: &Bytes) -> Answer<Upload> {
    Ok(Upload {
        file_name: query.text("name").to_owned(),
        bytes: bytes.to_vec(),
        complete: query.text("complete") == "1",
        role: role(query.text("role"))?,
        room: query.text("room").chars().take(60).collect(),
    })
}

async fn show(app: &App, me: &SignedIn, kind: Kind, id: ImportId) -> Answer<Json<Value>> {
    if let Some(draft) = app.uploads.find(me, kind, id) {
        return Ok(Json(told(&draft)));
    }
    let imports = app.inventory.imports(kind, LIST_MAX).await?;
    let import = imports.into_iter().find(|import| import.id == id).ok_or(Failure::Gone)?;
    Ok(Json(json!({ "id": id, "state": "done", "import": import })))
}

/// What an order to take over came to: done, still running, or the plan anew since it did not fit any more.
fn applied(draft: &Draft) -> Answer<(StatusCode, Json<Value>)> {
    let status = match draft.state() {
        DraftState::Done(_) => StatusCode::OK,
        DraftState::Applying => StatusCode::ACCEPTED,
        DraftState::Planned { .. } => StatusCode::CONFLICT,
        DraftState::Failed(failure) => return Err(failure),
    };
    Ok((status, Json(told(draft))))
}

fn told(draft: &Draft) -> Value {
    let mut told = match draft.state() {
        DraftState::Planned { plan, outdated } => json!({
            "state": "planned", "outdated": outdated, "form": draft.form,
            "counts": plan.counts(), "removals_needed": plan.is_alarming().then(|| plan.counts().removed),
            "plan": match &*plan {
                Planned::People(_, plan) => plan_json(plan),
                Planned::Devices(_, plan) => plan_json(plan),
            },
        }),
        DraftState::Applying => json!({ "state": "applying" }),
        DraftState::Failed(failure) => json!({ "state": "failed", "error": failure.say(Lang::En).text }),
        DraftState::Done(accounts) => {
            let account = |a: &imports::NewAccount| json!({ "class": a.class, "name": a.name, "login": a.login, "password": a.password.text() });
            json!({ "state": "done", "passwords": accounts.iter().map(account).collect::<Vec<_>>() })
        }
    };
    if let Some(told) = told.as_object_mut() {
        told.insert("id".into(), json!(draft.id));
        told.insert("file_name".into(), json!(draft.file_name));
    }
    told
}

fn plan_json<W>(plan: &Plan<W>) -> Value {
    let item = |item: &Item<W>| json!({ "line": item.line, "name": item.label, "verdict": item.verdict, "changes": item.changes });
    let problem = |problem: &LineProblem| {
        let said = say_line(Lang::En, &problem.what);
        let used = problem.what.is_hint();
        json!({ "line": problem.line, "other": problem.other, "error": said.text, "remedy": said.remedy, "line_used": used })
    };
    json!({
        "items": plan.items.iter().map(item).collect::<Vec<_>>(),
        "places": plan.places,
        "problems": plan.problems.iter().map(problem).collect::<Vec<_>>(),
    })
}

const LIST_MAX: u32 = 500;
