//! The JSON API, `/api/v1`. Lists come as `{"items": […], "problems": ["…"]}`: what stands in the second could not be read.
//! Errors come as `{"error": "…", "remedy": "…", "field": "…"}` with the status that fits.

pub(crate) mod apple;
pub(crate) mod apps;
pub(crate) mod backups;
pub(crate) mod exam;
pub(crate) mod faults;
pub(crate) mod gate;
pub(crate) mod groups;
pub(crate) mod imports;
pub(crate) mod ipad_rules;
pub(crate) mod ipads;
pub(crate) mod mail;
pub(crate) mod night;
pub(crate) mod own;
pub(crate) mod people;
pub(crate) mod read;
pub(crate) mod rules;
pub(crate) mod session;
pub(crate) mod software;
pub(crate) mod tokens;
pub(crate) mod wlan;
pub(crate) mod write;

use axum::http::StatusCode;
use axum::{Extension, Json};

use crate::app::SignedIn;
use crate::failure::Answer;

/// Whom the request speaks for.
pub(crate) type Me = Extension<SignedIn>;

/// What was added.
type Created<T> = Answer<(StatusCode, Json<T>)>;
