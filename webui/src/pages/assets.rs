//! The few files that pages load, compiled in, and two small public answers.

use std::sync::LazyLock;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::failure::{Answer, Failure};

/// `GET /assets/{file}`. The address carries the content's hash, so browsers may keep a file for ever; without the hash it
/// is asked for again.
pub(crate) async fn file(Path(name): Path<String>) -> Answer<Response> {
    let (kind, content, lasting) = match name.as_str() {
        "icon.svg" => ("image/svg+xml", ICON, false),
        name if css_path().strip_prefix(FOLDER) == Some(name) => ("text/css; charset=utf-8", CSS, true),
        name if js_path().strip_prefix(FOLDER) == Some(name) => ("text/javascript; charset=utf-8", JS, true),
        _ => return Err(Failure::NoPage),
    };
    let cache = if lasting { "public, max-age=31536000, immutable" } else { "public, max-age=3600" };
    Ok(([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cache)], content).into_response())
}

/// `GET /hausmeister-ca.crt`: the certificate of the school's authority, for a browser to import.
pub(crate) async fn authority(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-x509-ca-cert")], app.school.authority.clone()).into_response()
}

/// `GET /healthz`: 204 when the inventory answers.
pub(crate) async fn health(State(app): State<App>) -> Answer<StatusCode> {
    app.inventory.last_change().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Address of the style sheet.
pub(crate) fn css_path() -> &'static str {
    &CSS_PATH
}

/// Address of the script.
pub(crate) fn js_path() -> &'static str {
    &JS_PATH
}

fn hashed(stem: &str, content: &str, ending: &str) -> String {
    let hash = blake3::hash(content.as_bytes()).to_hex();
    format!("{FOLDER}{stem}-{}.{ending}", hash.get(..12).unwrap_or_default())
}

const FOLDER: &str = "/assets/";
static CSS_PATH: LazyLock<String> = LazyLock::new(|| hashed("app", CSS, "css"));
static JS_PATH: LazyLock<String> = LazyLock::new(|| hashed("app", JS, "js"));
const CSS: &str = include_str!("../../assets/app.css");
const JS: &str = include_str!("../../assets/app.js");
const ICON: &str = include_str!("../../assets/icon.svg");
