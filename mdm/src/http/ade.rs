//! The door for iPads of Apple School Manager: in the setup assistant they show who made them and get the enrolment profile.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use inventory::clock;
use inventory::mdm::{AppleKind, AtTheDoor, Door, secret_hash};
use serde_json::json;
use tokio::sync::SemaphorePermit;

use super::enrol::{CHALLENGE_SECS, challenge, profile_response};
use super::{Refused, SCEP_BYTES_MAX};
use crate::ade::machine::{MachineError, MachineInfo};
use crate::os::OsVersion;
use crate::server::{Profile, Server};

/// `POST /ade`: machine information in a signed message.
pub(super) async fn enrol(State(server): State<Arc<Server>>, body: Body) -> Result<Response, Refused> {
    let (info, _turn) = believed(&server, body, MachineInfo::read).await?;
    let service = server.inventory.apple_service(AppleKind::Ade).await?;
    let settings = service.map(|service| service.settings).unwrap_or_default();
    let setting = |key: &str| settings.get(key).and_then(serde_json::Value::as_str);
    let least: Option<OsVersion> = setting("minimum_os").and_then(|version| version.parse().ok());
    if let Some(version) = info.must_update_to(least) {
        return Ok(update_first(version));
    }
    let (now, challenge) = (clock::now(), challenge()?);
    let room = setting("room").and_then(|room| room.parse().ok());
    let new = AtTheDoor { serial: &info.serial, model: &info.product, room };
    let ends_at = now.plus_secs(CHALLENGE_SECS);
    let door = server.inventory.open_the_door(server.by(now), new, &secret_hash(&challenge), ends_at).await?;
    match door {
        Door::Open(enrolment) => {
            tracing::info!(ipad.id = %enrolment, "an iPad of Apple School Manager is let in");
            let wish =
                Profile { ipad: &enrolment.to_string(), challenge: &challenge, locked: true, account: None };
            profile_response(&server, &wish, now)
        }
        // They stand in the list on the page, with the time.
        Door::NotListed => {
            Ok(sent_away("Apple School Manager does not list this iPad for this school's server"))
        }
        Door::NoRoom => Ok(sent_away("nobody has said yet in which room this iPad belongs")),
    }
}

/// What a device says of itself in a signed message, and the turn in which it was verified: its profile is signed in the same.
pub(super) async fn believed<T>(
    server: &Server,
    body: Body,
    read: impl FnOnce(&[u8], &[Vec<u8>]) -> Result<T, MachineError>,
) -> Result<(T, SemaphorePermit<'_>), Refused> {
    let body = server.strangers.read(body, SCEP_BYTES_MAX).await?;
    let turn = server.signing.acquire().await.map_err(|_| Refused::Internal("nobody signs any more"))?;
    let said = read(&body.bytes, &server.device_authorities).map_err(|error| {
        tracing::info!(error = &error as &dyn std::error::Error, "machine information is not believed");
        Refused::Bad("machine information that is not believed")
    })?;
    Ok((said, turn))
}

/// <https://developer.apple.com/documentation/devicemanagement/errorcodesoftwareupdaterequired>
fn update_first(version: OsVersion) -> Response {
    let answer = json!({
        "code": "com.apple.softwareupdate.required",
        "description": "the system is older than the school wants",
        "message": format!("Zuerst iPadOS {version} installieren. / Install iPadOS {version} first."),
        "details": { "OSVersion": version.to_string() },
    });
    (StatusCode::FORBIDDEN, Json(answer)).into_response()
}

fn sent_away(why: &'static str) -> Response {
    tracing::info!(why, "an iPad was sent away");
    (StatusCode::FORBIDDEN, [(header::CONTENT_TYPE, "text/plain")], why).into_response()
}
