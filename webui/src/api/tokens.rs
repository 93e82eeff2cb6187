//! Tokens by API.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use inventory::{Token, TokenId, UnixMillis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::read::List;
use crate::api::{Created, Me};
use crate::app::App;
use crate::bearer::{self, TokenWish};
use crate::failure::Answer;
use crate::fields::{Body, Id};

pub(crate) async fn list(State(app): State<App>) -> Answer<Json<List<Token>>> {
    Ok(Json(app.inventory.tokens().await?.into()))
}

/// A token to be made.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    name: String,
    /// What it may do, for example `devices:read` or `lessons:write`.
    scopes: Vec<String>,
    /// When it ends; at most 400 days from now.
    expires_at: UnixMillis,
    /// Address ranges it may be used from; none means any.
    #[serde(default)]
    networks: Vec<String>,
}

/// A token that was made. Nobody can see it again.
#[derive(Serialize, JsonSchema)]
pub(crate) struct TokenJson {
    id: TokenId,
    token: String,
}

pub(crate) async fn create(
    State(app): State<App>,
    axum::Extension(me): Me,
    Body(body): Body<TokenBody>,
) -> Created<TokenJson> {
    let wish = TokenWish {
        name: &body.name,
        scopes: body.scopes,
        networks: body.networks.iter().map(String::as_str).collect(),
        expires_at: Some(body.expires_at),
    };
    let (id, token) = bearer::make(&app, &me, &wish).await?;
    Ok((StatusCode::CREATED, Json(TokenJson { id, token })))
}

pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    Id(id): Id<TokenId>,
) -> Answer<StatusCode> {
    app.inventory.delete_token(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
