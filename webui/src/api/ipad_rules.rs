//! Rules for iPads by API.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::{EnrolmentId, IpadRuleId};
use ipados::catalogue::{Kind, Language, Restriction};
use serde_json::{Value, json};

use crate::api::Me;
use crate::api::read::List;
use crate::app::App;
use crate::failure::Answer;
use crate::fields::{Asked, Body, Id};
use crate::ipad_rules::{self, During, RuleShown, RuleWish};

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<RuleShown>>> {
    Ok(Json(ipad_rules::all(&app).await?.into()))
}

pub(crate) async fn show(State(app): State<App>, Id(id): Id<IpadRuleId>) -> Answer<Json<RuleShown>> {
    Ok(Json(ipad_rules::find(&app, id).await?))
}

pub(crate) async fn create(
    State(app): State<App>,
    Extension(me): Me,
    Body(wish): Body<RuleWish>,
) -> Answer<(StatusCode, Json<RuleShown>)> {
    let id = ipad_rules::save(&app, &me, None, wish).await?;
    Ok((StatusCode::CREATED, Json(ipad_rules::find(&app, id).await?)))
}

pub(crate) async fn save(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<IpadRuleId>,
    Body(wish): Body<RuleWish>,
) -> Answer<Json<RuleShown>> {
    ipad_rules::save(&app, &me, Some(id), wish).await?;
    Ok(Json(ipad_rules::find(&app, id).await?))
}

pub(crate) async fn delete(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<IpadRuleId>,
) -> Answer<StatusCode> {
    app.inventory.delete_ipad_rule(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What holds for an iPad and why; `?during=lesson` or `leisure` asks about another time than now.
pub(crate) async fn holding(
    State(app): State<App>,
    Id(id): Id<EnrolmentId>,
    Asked(asked): Asked,
) -> Answer<Json<Value>> {
    let during = During::of(asked.text("during"));
    let (ipad, merged) = ipad_rules::holding(&app, id, during, None).await?;
    Ok(Json(json!({ "ipad": ipad.name, "facts": ipad.facts, "explained": merged.explained })))
}

/// Every restriction that Apple knows.
pub(crate) async fn catalogue() -> Json<Value> {
    let takes = |kind: Kind| match kind {
        Kind::Bool { default } => json!({ "type": "boolean", "default": default }),
        Kind::Int { min, max, default } => {
            json!({ "type": "integer", "min": min, "max": max, "default": default })
        }
        Kind::Real { choices } => json!({ "type": "number", "choices": choices }),
        Kind::Choice { choices } => json!({ "type": "string", "choices": choices }),
        Kind::List => json!({ "type": "list" }),
    };
    let one = |known: &Restriction| {
        json!({
            "key": known.key,
            "title": { "de": known.title_in(Language::De), "en": known.title_in(Language::En) },
            "takes": takes(known.kind),
            "since": known.since,
            "deprecated": known.deprecated,
            "supervised": known.supervised,
            "shared_ipad": known.on_shared_ipad,
            "description": known.description,
        })
    };
    Json(json!({ "items": Restriction::all().iter().map(one).collect::<Vec<_>>() }))
}
