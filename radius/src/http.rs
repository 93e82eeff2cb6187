//! The HTTP side of the [`Desk`]: loopback, FreeRADIUS alone, small questions.
//!
//! What the status means to `rlm_rest`: 200 takes the answer over, 204 is a plain yes, 401 turns somebody away, 404 knows nobody, and
//! anything else (or no answer) turns everybody away as well.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;

use crate::attributes::{Answer, Attributes};
use crate::desk::{Desk, No};

/// Where FreeRADIUS asks; `token` is what it says so that nobody else does.
pub(crate) fn router(desk: Arc<Desk>, token: String) -> Router {
    macro_rules! asked {
        ($question:ident) => {
            post(async |State(desk): State<Arc<Desk>>, body: Bytes| match read(&body) {
                Some(question) => answered(desk.$question(&question).await),
                None => StatusCode::BAD_REQUEST.into_response(),
            })
        };
    }
    Router::new()
        .route("/client", asked!(client))
        .route("/password", asked!(password))
        .route("/wifi-password", asked!(wifi_password))
        .route("/joined", asked!(joined))
        .route("/device", asked!(device))
        .route("/accounting", asked!(accounting))
        .route("/refused", asked!(refused))
        .with_state(desk)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(Arc::<str>::from(format!("Bearer {token}")), only_freeradius))
}

fn read(body: &[u8]) -> Option<Attributes> {
    serde_json::from_slice(body)
        .inspect_err(|error| tracing::warn!(%error, "a question that makes no sense"))
        .ok()
}

fn answered(answer: Result<Answer, No>) -> Response {
    match answer {
        Ok(answer) if answer == Answer::default() => StatusCode::NO_CONTENT.into_response(),
        Ok(answer) => axum::Json(answer.into_json()).into_response(),
        Err(No::Refused) => StatusCode::UNAUTHORIZED.into_response(),
        Err(No::Unknown) => StatusCode::NOT_FOUND.into_response(),
        Err(No::Unavailable) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

async fn only_freeradius(State(expected): State<Arc<str>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
    // Their digests, so that the time says nothing about where they differ.
    let digest = |text: &[u8]| ring::digest::digest(&ring::digest::SHA256, text);
    if digest(shown).as_ref() == digest(expected.as_bytes()).as_ref() {
        next.run(request).await
    } else {
        StatusCode::FORBIDDEN.into_response()
    }
}

/// A RADIUS packet has 4096 bytes; in JSON it is a few times as long.
const BODY_BYTES_MAX: usize = 64 << 10;
