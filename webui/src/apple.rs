//! Apple's services, the same for pages and API: asking for what Apple hands out, importing it, and saying where iPads belong.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credentials::services::ServiceError;
use credentials::services::ade::{ServerToken, token_key};
use credentials::services::push::{self, PushCertificate};
use inventory::mdm::{AppleKind, NewAppleService};
use inventory::{GroupId, RoomId, UnixMillis};
use ipados::os::OsVersion;
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// A file of Apple's, as it was pasted or sent.
pub(crate) struct File {
    /// A text (PEM, S/MIME), or a binary file as base64.
    pub(crate) content: String,
    /// Of a PKCS#12 file.
    pub(crate) password: String,
    /// Another topic is wanted, although every iPad has to enrol again.
    pub(crate) insist: bool,
}

/// Makes a key and what goes to Apple for it.
pub(crate) async fn ask(app: &App, me: &SignedIn, kind: AppleKind) -> Answer<()> {
    let (school, now) = (app.school.name.clone(), time_of(me.by().at)?);
    // Making an RSA key takes a tenth of a second and more.
    let made = tokio::task::spawn_blocking(move || match kind {
        AppleKind::Push => push::request(&school).map(|made| (made.key, made.csr)),
        _ => token_key(&school, now).map(|made| (made.key, made.certificate)),
    });
    let (key, request) = made.await.map_err(|_| Failure::Internal)?.map_err(refused)?;
    let sealed = app.vault.seal(&request_owner(kind), key.as_bytes()).ok_or(Failure::Internal)?;
    Ok(app.inventory.keep_apple_request(me.by(), kind, &sealed, &request).await?)
}

/// Imports what Apple gave.
pub(crate) async fn import(app: &App, me: &SignedIn, kind: AppleKind, file: &File) -> Answer<()> {
    let key = request_key(app, kind).await?;
    let now = me.by().at.0 / 1000;
    let bytes = bytes_of(&file.content);
    let (secret, about, ends_at) = match kind {
        AppleKind::Push => {
            let read = push::read(&bytes, &file.password, key.as_deref(), now).map_err(refused)?;
            same_topic(app, &read, file.insist).await?;
            let secret = serde_json::to_string(&read).map_err(|_| Failure::Internal)?;
            (secret, json!({ "topic": read.topic }), read.ends_at)
        }
        AppleKind::Ade => {
            let service = app.inventory.apple_service(kind).await?;
            let certificate = service.and_then(|service| service.request);
            let (Some(key), Some(certificate)) = (key, certificate) else {
                return Err(refused(ServiceError::NoKey));
            };
            let token = ServerToken::open(&bytes, &key, &certificate, now).map_err(refused)?;
            let secret = serde_json::to_string(&token).map_err(|_| Failure::Internal)?;
            (secret, json!({}), token.ends_at().map_err(refused)?)
        }
        AppleKind::Apps => return Err(Failure::Gone),
    };
    let sealed = app.vault.seal(kind.text().as_bytes(), secret.as_bytes()).ok_or(Failure::Internal)?;
    let ends_at = Some(UnixMillis(ends_at.saturating_mul(1000)));
    let new = NewAppleService { secret: &sealed, about: &about, ends_at };
    Ok(app.inventory.import_apple_service(me.by(), kind, new).await?)
}

/// Sets what iPads of Apple School Manager have to bring, and where they belong that nobody gave a room.
pub(crate) async fn set(app: &App, me: &SignedIn, room: Option<RoomId>, least: &str) -> Answer<()> {
    if !least.is_empty() && least.parse::<OsVersion>().is_err() {
        return Err(Failure::field("minimum_os", Problem::NoNumber(least.chars().take(20).collect())));
    }
    let settings = json!({ "room": room.map(|room| room.to_string()), "minimum_os": least });
    Ok(app.inventory.set_apple_settings(me.by(), AppleKind::Ade, &settings).await?)
}

/// Says where iPads of the list belong; gives how many there are of them.
pub(crate) async fn place(
    app: &App,
    me: &SignedIn,
    serials: &[String],
    room: Option<RoomId>,
    group: Option<GroupId>,
) -> Answer<u64> {
    Ok(app.inventory.place_ade_devices(me.by(), serials, room, group).await?)
}

/// Forgets a service and what Apple gave for it.
pub(crate) async fn forget(app: &App, me: &SignedIn, kind: AppleKind) -> Answer<()> {
    Ok(app.inventory.delete_apple_service(me.by(), kind).await?)
}

/// What goes to Apple: its name as a file, and the text. A request for a push certificate is what the portal takes once a vendor signed it.
pub(crate) async fn request(app: &App, kind: AppleKind) -> Answer<(&'static str, String)> {
    let service = app.inventory.apple_service(kind).await?.ok_or(Failure::Gone)?;
    let request = service.request.ok_or(Failure::Gone)?;
    let signed = service.state.get("signed_request").and_then(Value::as_str);
    let is_of_this = service.state.get("signed_of").and_then(Value::as_str) == Some(request.as_str());
    Ok(match (kind, signed.filter(|_| is_of_this)) {
        (AppleKind::Push, Some(signed)) => ("PushCertificateRequest.plist", signed.to_owned()),
        (AppleKind::Push, None) => ("push.csr", request),
        _ => ("hausmeister.pem", request),
    })
}

/// Another topic is another school to every iPad.
async fn same_topic(app: &App, new: &PushCertificate, insist: bool) -> Answer<()> {
    let service = app.inventory.apple_service(AppleKind::Push).await?;
    let before = service.as_ref().and_then(|service| service.about.get("topic")).and_then(Value::as_str);
    if insist || before.is_none_or(|before| before == new.topic) {
        return Ok(());
    }
    let why = "this certificate has another topic than the one in use: every iPad would have to enrol again";
    Err(Failure::field("content", Problem::Inventory(why.into())))
}

async fn request_key(app: &App, kind: AppleKind) -> Answer<Option<String>> {
    let sealed = app.inventory.sealed_apple_request_key(kind).await?;
    let key = sealed.and_then(|sealed| app.vault.unseal(&request_owner(kind), &sealed));
    Ok(key.and_then(|key| String::from_utf8(key).ok()))
}

/// What the key of a request is sealed for.
fn request_owner(kind: AppleKind) -> Vec<u8> {
    format!("{kind} request").into_bytes()
}

/// The bytes of a file that came as text: base64 is unwrapped, unless the text has lines that say what it is.
fn bytes_of(content: &str) -> Vec<u8> {
    let is_text = content.contains("-----BEGIN ") || content.contains("Content-T");
    let bare: String = content.split_ascii_whitespace().collect();
    match STANDARD.decode(&bare) {
        Ok(bytes) if !is_text => bytes,
        _ => content.as_bytes().to_vec(),
    }
}

fn refused(error: ServiceError) -> Failure {
    Failure::field("content", Problem::Inventory(error.to_string()))
}

fn time_of(at: UnixMillis) -> Answer<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(at.0 / 1000).map_err(|_| Failure::Internal)
}

/// Longest file that is imported.
pub(crate) const FILE_CHARS_MAX: usize = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_text_or_base64() {
        for text in
            ["-----BEGIN CERTIFICATE-----\nMIIB\n", "Content-Type: application/pkcs7-mime\n\nMIIB", "häää"]
        {
            assert_eq!(bytes_of(text), text.as_bytes(), "{text}");
        }
        assert_eq!(bytes_of(" MAMC\n AQU= \n"), [0x30, 3, 2, 1, 5]);
    }
}
