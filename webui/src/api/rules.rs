//! Rules, timetable, lists, filters and lessons by API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::gate::{Layer, Level, NewSlot, Rule, Slot};
use inventory::lessons::Grid;
use inventory::{
    Filter, FilterId, ListAction, ListId, NameList, NewList, RuleId, SlotId, UnixMillis, YouTube, clock,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::api::Me;
use crate::api::read::List;
use crate::app::App;
use crate::failure::Answer;
use crate::fields::{Body, Id};
use crate::rules;

/// Rules with a time that hold or will, without the timetable's.
pub(crate) async fn all(State(app): State<App>) -> Answer<Json<List<Rule>>> {
    let (book, problems) = app.inventory.gate_book(clock::now()).await?;
    let mut rules: Vec<Rule> = book.rules().filter(|rule| rule.layer != Layer::Timetable).cloned().collect();
    rules.sort_by_key(|rule| (rule.layer, rule.starts_at, rule.id));
    Ok(Json((rules, problems).into()))
}

/// Locks a device or a person, named by its name.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LockBody {
    who: String,
    level: Level,
    ends_at: Option<UnixMillis>,
}

pub(crate) async fn lock(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<LockBody>,
) -> Answer<(StatusCode, Json<Value>)> {
    let id = rules::lock(&app.inventory, me.by(), &body.who, body.level, body.ends_at).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

pub(crate) async fn timetable(State(app): State<App>) -> Answer<Json<List<Slot>>> {
    Ok(Json(app.inventory.timetable().await?.into()))
}

pub(crate) async fn add_slot(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<NewSlot>,
) -> Answer<(StatusCode, Json<Value>)> {
    let id = app.inventory.add_slot(me.by(), &body).await?;
    Ok((StatusCode::CREATED, Json(json!({ "id": id }))))
}

pub(crate) async fn lists(State(app): State<App>) -> Answer<Json<List<NameList>>> {
    Ok(Json(app.inventory.name_lists().await?.into()))
}

/// A list with names of the school's own, or a publisher's.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListBody {
    name: String,
    source: Option<String>,
    #[serde(default)]
    names: String,
}

pub(crate) async fn put_list(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<ListId>,
    Body(body): Body<ListBody>,
) -> Answer<StatusCode> {
    let new = NewList { name: &body.name, source: body.source.as_deref(), names: &body.names };
    app.inventory.put_name_list(me.by(), id, &new).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn filters(State(app): State<App>) -> Answer<Json<List<Filter>>> {
    Ok(Json(app.inventory.filters().await?.into()))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterBody {
    name: String,
    safe_search: bool,
    youtube: YouTube,
    #[serde(default)]
    lists: Vec<(ListId, ListAction)>,
}

pub(crate) async fn put_filter(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<FilterId>,
    Body(body): Body<FilterBody>,
) -> Answer<StatusCode> {
    let FilterBody { name, safe_search, youtube, lists } = body;
    app.inventory.put_filter(me.by(), &Filter { id, name, safe_search, youtube, lists }).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn grid(State(app): State<App>) -> Answer<Json<Grid>> {
    Ok(Json(app.inventory.grid().await?))
}

pub(crate) async fn set_grid(
    State(app): State<App>,
    Extension(me): Me,
    Body(grid): Body<Grid>,
) -> Answer<StatusCode> {
    app.inventory.set_grid(me.by(), &grid).await?;
    Ok(StatusCode::NO_CONTENT)
}

macro_rules! removals {
    ($($name:ident: $id:ty => $remove:ident;)*) => {$(
        pub(crate) async fn $name(State(app): State<App>, Extension(me): Me, Id(id): Id<$id>) -> Answer<StatusCode> {
            app.inventory.$remove(me.by(), id).await?;
            Ok(StatusCode::NO_CONTENT)
        }
    )*};
}

removals! {
    end: RuleId => end_rule;
    delete_slot: SlotId => delete_slot;
    delete_list: ListId => delete_name_list;
    delete_filter: FilterId => delete_filter;
}
