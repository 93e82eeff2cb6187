//! What can be done with apps, the same for pages and API.

use inventory::gate::{Of, Target};
use inventory::mdm::{
    self, AppId, AppleKind, Install, Licence, LicenceState, NewAppleService, Report, wishes,
};
use inventory::{AppAssignmentId, Audience, EnrolmentId, UnixMillis, clock};
use ipados::apps::{ContentToken, configuration};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// Takes the content token of Apps and Books, in the place of the one before.
pub(crate) async fn import(app: &App, me: &SignedIn, file: &str) -> Answer<()> {
    let token = ContentToken::parse(file.as_bytes());
    let token = token.map_err(|error| Failure::field("token", Problem::ContentToken(error)))?;
    let ends_at = UnixMillis(token.ends.unix_timestamp().saturating_mul(1000));
    if ends_at <= clock::now() {
        return Err(Failure::field("token", Problem::TokenOver));
    }
    let owner = AppleKind::Apps.text().as_bytes();
    let secret = app.vault.seal(owner, token.text.expose().as_bytes()).ok_or(Failure::Internal)?;
    let about = json!({ "organisation": token.organisation });
    let new = NewAppleService { secret: &secret, about: &about, ends_at: Some(ends_at) };
    Ok(app.inventory.import_apple_service(me.by(), AppleKind::Apps, new).await?)
}

/// Has Apple asked at once; `take_over` agrees that the server with that id ends, which managed the licences until now.
pub(crate) async fn sync(app: &App, me: &SignedIn, take_over: Option<&str>) -> Answer<()> {
    let service = app.inventory.apple_service(AppleKind::Apps).await?.ok_or(Failure::Gone)?;
    let by = me.by();
    let mut settings = json!({ "asked_at": by.at.0 });
    let agreed = take_over.map(Value::from).or_else(|| service.settings.get("take_over").cloned());
    if let (Some(agreed), Value::Object(entries)) = (agreed, &mut settings) {
        entries.insert("take_over".to_owned(), agreed);
    }
    Ok(app.inventory.set_apple_settings(by, AppleKind::Apps, &settings).await?)
}

/// Says that somebody gets an app.
pub(crate) async fn give(
    app: &App,
    me: &SignedIn,
    id: AppId,
    target: Audience,
    install: Install,
) -> Answer<AppAssignmentId> {
    Ok(app.inventory.assign_app(me.by(), id, target, install).await?)
}

/// Sets what an app finds as its configuration, a JSON object; nothing for an empty text. Nobody sees the values again.
pub(crate) async fn configure(app: &App, me: &SignedIn, id: AppId, text: &str) -> Answer<()> {
    if text.trim().is_empty() {
        return Ok(app.inventory.configure_app(me.by(), id, None).await?);
    }
    let bad = |error| Failure::field("configuration", Problem::AppConfiguration(error));
    let entries = configuration(text).map_err(bad)?;
    let keys: Vec<String> = entries.keys().cloned().collect();
    let plain = serde_json::to_vec(&entries).map_err(|_| Failure::Internal)?;
    let sealed = app.vault.seal(&id.owner(), &plain).ok_or(Failure::Internal)?;
    Ok(app.inventory.configure_app(me.by(), id, Some((&sealed, &keys))).await?)
}

/// The app of that number.
pub(crate) async fn one(app: &App, id: AppId) -> Answer<mdm::App> {
    app.inventory.apps().await?.into_iter().find(|known| known.id == id).ok_or(Failure::Gone)
}

/// An app on an iPad.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct OnIpad {
    /// Its number in the App Store.
    pub(crate) app: AppId,
    /// What it is called.
    pub(crate) name: String,
    /// Whether it has to be there; `None` when the iPad should not have it any more.
    pub(crate) install: Option<Install>,
    /// How far its licence is.
    pub(crate) licence: Option<LicenceState>,
    /// Why Apple refused the licence.
    pub(crate) problem: Option<String>,
    /// What the iPad says of it: `managed`, `offered`, `working`, `asking`, `missing`, `failed` or `other`.
    pub(crate) reported: Option<String>,
}

/// The apps that an iPad should have or has a licence for.
pub(crate) async fn on_ipad(app: &App, ipad: EnrolmentId) -> Answer<Vec<OnIpad>> {
    let ipad = app.inventory.enrolment(ipad).await?.ok_or(Failure::Gone)?;
    let said = app.inventory.app_assignments().await?;
    let wishes = match ipad.device {
        Some(device) => {
            let (devices, _) = app.inventory.gate_devices(Of::Target(Target::Device(device))).await?;
            devices.first().map(|device| wishes(&said, &device.subject)).unwrap_or_default()
        }
        None => Default::default(),
    };
    let (licences, _) = app.inventory.app_licences().await?;
    let mine: Vec<Licence> = licences.into_iter().filter(|licence| licence.serial == ipad.serial).collect();
    let reports = app.inventory.ipad_reports(ipad.id).await?;
    let mut all = Vec::new();
    for known in app.inventory.apps().await? {
        let install = wishes.get(&known.id).copied();
        let licence = mine.iter().find(|licence| licence.app == known.id);
        if install.is_none() && licence.is_none() {
            continue;
        }
        all.push(OnIpad {
            app: known.id,
            install,
            licence: licence.map(|licence| licence.state),
            problem: licence.and_then(|licence| licence.problem.clone()),
            reported: reported(&reports, &known.bundle_id),
            name: called(&known),
        });
    }
    Ok(all)
}

/// What an app is called; its number, while the store did not tell.
pub(crate) fn called(app: &mdm::App) -> String {
    if app.name.is_empty() { app.id.to_string() } else { app.name.clone() }
}

/// What an iPad said of an app that it looks after itself, or that a command installed.
fn reported(reports: &[Report], bundle_id: &str) -> Option<String> {
    let find = |kind: &str, key: &str| {
        let report = reports.iter().find(|report| report.kind == kind)?;
        let is = |entry: &&Value| entry.get(key).and_then(Value::as_str) == Some(bundle_id);
        report.body.as_array()?.iter().find(is)
    };
    if bundle_id.is_empty() {
        return None;
    }
    let declared = find("declared_apps", "identifier");
    if let Some(phase) = declared.and_then(|entry| entry.get("phase")).and_then(Value::as_str) {
        return Some(phase.to_owned());
    }
    let word = match find("managed_apps", "id")?.get("state")?.as_str()? {
        "Managed" => "managed",
        "ManagedButUninstalled" => "missing",
        "Failed" | "UserRejected" | "UpdateRejected" | "ManagementRejected" | "NeedsRedemption" => "failed",
        state if state.starts_with("Prompting") => "asking",
        "Unknown" => "other",
        _ => "working",
    };
    Some(word.to_owned())
}
