//! Automated Device Enrolment: the list of Apple School Manager is kept up to date, and every iPad in it gets the school's profile by itself.
//!
//! | Module    | What it does                                                          |
//! |-----------|-----------------------------------------------------------------------|
//! | `answers` | what Apple answers, read with bounds (pure)                            |
//! | `client`  | sessions and the order of the questions (blocking)                     |
//! | [`machine`] | what an iPad at the door says of itself, signed (pure)               |

mod answers;
mod client;
pub(crate) mod machine;

use std::sync::Arc;
use std::time::Duration;

use credentials::services::ade::{ServerToken, school_profile};
use inventory::mdm::{AppleKind, AppleService};
use inventory::{UnixMillis, clock};
use serde_json::{Value, json};

use self::client::{AdeError, Before, Session, Synced};
use crate::server::Server;

pub(crate) use self::client::Way;

/// Asks Apple School Manager again and again: when its token was imported or somebody asks for it, and every quarter of an hour.
pub(crate) async fn keep(server: Arc<Server>, way: Way, anchors: Vec<Vec<u8>>) {
    loop {
        let secs = once(&server, &way, &anchors, clock::now()).await;
        tokio::time::sleep(GATHER).await;
        tokio::select! {
            () = server.heard.ade.notified() => {}
            () = tokio::time::sleep(Duration::from_secs(secs)) => {}
        }
    }
}

/// One synchronisation; gives the seconds until the next one.
async fn once(server: &Server, way: &Way, anchors: &[Vec<u8>], now: UnixMillis) -> u64 {
    match synchronise(server, way, anchors, now).await {
        Ok(secs) => secs,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot keep the list of Apple School Manager"
            );
            AFTER_TROUBLE_SECS
        }
    }
}

async fn synchronise(
    server: &Server,
    way: &Way,
    anchors: &[Vec<u8>],
    now: UnixMillis,
) -> inventory::Result<u64> {
    let Some(service) = server.inventory.apple_service(AppleKind::Ade).await? else { return Ok(AFTER_SECS) };
    let Some(sealed) = server.inventory.sealed_apple_secret(AppleKind::Ade).await? else {
        return Ok(AFTER_SECS);
    };
    let token = server.unseal_service(AppleKind::Ade, &sealed);
    let Some(token) = token.and_then(|token| serde_json::from_slice::<ServerToken>(&token).ok()) else {
        let by = server.by(now);
        server.inventory.note_apple_service(by, &service, &service.state, Some(UNREADABLE)).await?;
        return Ok(AFTER_SECS);
    };
    let wanted = school_profile(server.profiles.school(), &server.profiles.url("/ade"), anchors);
    let hash = inventory::mdm::secret_hash(&wanted.to_string());
    let devices = server.inventory.ade_devices().await?;
    let state = &service.state;
    let text = |key: &str| state.get(key).and_then(Value::as_str).map(str::to_owned);
    let before = Before {
        cursor: text("cursor").filter(|cursor| !cursor.is_empty()),
        profile: text("profile").filter(|_| text("profile_hash").as_deref() == Some(&hash)),
        devices: devices.into_iter().filter(|it| it.listed).map(|it| (it.serial, it.profile)).collect(),
    };
    let (way, seconds) = (way.clone(), now.0 / 1000);
    let asked =
        tokio::task::spawn_blocking(move || Session::new(&way, &token, seconds).synchronise(before, &wanted));
    let done = asked.await.unwrap_or(Err(AdeError::Answer));
    take_over(server, done, &service, &hash, now).await
}

async fn take_over(
    server: &Server,
    done: Result<Synced, AdeError>,
    service: &AppleService,
    hash: &str,
    now: UnixMillis,
) -> inventory::Result<u64> {
    let by = server.by(now);
    match done {
        Ok(synced) => {
            if synced.complete || !synced.devices.is_empty() {
                server.inventory.note_ade_devices(by, &synced.devices, synced.complete).await?;
            }
            if !synced.gone.is_empty() {
                server.inventory.forget_ade_devices(by, &synced.gone).await?;
            }
            if !synced.given.is_empty() {
                server.inventory.note_ade_profiles(by, &synced.profile, &synced.given).await?;
            }
            // Last: whoever dies before this asks for the same again.
            let state = json!({
                "cursor": synced.cursor, "profile": synced.profile, "profile_hash": hash, "account": synced.account,
            });
            server.inventory.note_apple_service(by, service, &state, None).await?;
            Ok(AFTER_SECS)
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "Apple School Manager gives no list");
            let problem = error.to_string();
            server.inventory.note_apple_service(by, service, &service.state, Some(&problem)).await?;
            Ok(match error {
                AdeError::Throttled(Some(secs)) => secs.clamp(1, AFTER_SECS),
                _ => AFTER_TROUBLE_SECS,
            })
        }
    }
}

const UNREADABLE: &str = "the server cannot read this back; import it again";
const GATHER: Duration = Duration::from_millis(200);
const AFTER_SECS: u64 = 900;
const AFTER_TROUBLE_SECS: u64 = 300;

/// Apple's authority of devices, which issues the certificate that each iPad is made with. Not the ones above it: those also vouch for people.
pub(crate) fn apple_device_authorities() -> Vec<Vec<u8>> {
    credentials::services::pem_contents(APPLE_DEVICE_CA)
}

/// Public; from <https://www.apple.com/certificateauthority/>.
const APPLE_DEVICE_CA: &str = include_str!("apple-iphone-device-ca.pem");
