//! What Apps and Books says. Pure.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/app-book-and-subscription-management>, API version 2.

use std::time::Duration;

use inventory::mdm::{AppId, Asset, Lookup};
use serde::Deserialize;
use serde_json::Value;

/// How much goes into one request, and where metadata are
/// (<https://developer.apple.com/documentation/devicemanagement/service-config>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Assets in a request.
    pub assets: usize,
    /// Serial numbers in a request.
    pub serials: usize,
    /// Where names of apps are looked up.
    pub lookup: Option<String>,
}

impl Service {
    /// Reads the service configuration. What it lacks is as Apple documents it.
    pub fn read(answer: &Value) -> Self {
        let limit = |name: &str, otherwise: u64, most: u64| {
            let said = answer.pointer(&format!("/limits/{name}")).and_then(Value::as_u64);
            usize::try_from(said.unwrap_or(otherwise).clamp(1, most)).unwrap_or(1)
        };
        let lookup = answer.pointer("/urls/contentMetadataLookup").and_then(Value::as_str);
        Self {
            assets: limit("maxAssets", ASSETS_MAX, ASSETS_MAX),
            serials: limit("maxSerialNumbers", SERIALS_MAX, SERIALS_MAX),
            lookup: lookup.map(str::to_owned),
        }
    }
}

/// Who manages the licences of a location
/// (<https://developer.apple.com/documentation/devicemanagement/client-config-71glv>).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    /// Apple's number of the location.
    #[serde(default)]
    pub u_id: String,
    /// Its name.
    #[serde(default)]
    pub location_name: String,
    /// Its country, for names of apps.
    #[serde(default, rename = "countryISO2ACode")]
    pub country: String,
    /// The server that said it manages the licences.
    pub mdm_info: Option<MdmInfo>,
}

/// A server that manages licences.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
pub struct MdmInfo {
    /// Its own id.
    pub id: String,
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Its own remarks.
    #[serde(default)]
    pub metadata: String,
}

/// One page of a list. A list is whole only when all its pages have the same version.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paged {
    /// What is listed.
    #[serde(alias = "assets", alias = "assignments", default)]
    pub items: Vec<Value>,
    /// How many pages there are.
    #[serde(default)]
    pub total_pages: usize,
    /// The version of the list.
    #[serde(default)]
    pub version_id: String,
}

/// An app of the list; `None` for books and what makes no sense.
pub fn asset(item: &Value) -> Option<Asset> {
    let text = |key: &str| item.get(key).and_then(Value::as_str);
    let count = |key: &str| item.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
    if text("productType").is_some_and(|kind| !kind.eq_ignore_ascii_case("App")) {
        return None;
    }
    let platforms = item.get("supportedPlatforms").and_then(Value::as_array);
    let for_ipads = platforms.is_none_or(|all| all.iter().any(|platform| platform == "iOS"));
    Some(Asset {
        id: text("adamId")?.parse().ok()?,
        pricing: text("pricingParam").unwrap_or(STANDARD).chars().take(PRICING_CHARS_MAX).collect(),
        total: count("totalCount").unwrap_or(0),
        available: count("availableCount").unwrap_or(0),
        usable: for_ipads && item.get("deviceAssignable").and_then(Value::as_bool).unwrap_or(false),
    })
}

/// Which device has a licence of which app; `None` for those of people.
pub fn assignment(item: &Value) -> Option<(AppId, String)> {
    let app = item.get("adamId")?.as_str()?.parse().ok()?;
    Some((app, item.get("serialNumber")?.as_str()?.to_owned()))
}

/// What became of a request (<https://developer.apple.com/documentation/devicemanagement/events-status>).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Not ready.
    Pending,
    /// All of it was done.
    Complete,
    /// Some of it was not.
    Failed(Vec<Failure>),
}

/// Something that was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Apple's number.
    pub number: u32,
    /// Apple's words.
    pub message: String,
    /// About which devices; all of the request when there is none.
    pub serials: Vec<String>,
    /// About which apps; all of the request when there is none.
    pub apps: Vec<AppId>,
}

impl Event {
    /// Reads the state of an event; a word that Apple added later is not ready.
    pub fn read(answer: &Value) -> Self {
        match answer.get("eventStatus").and_then(Value::as_str) {
            Some("COMPLETE") => Self::Complete,
            Some("FAILED") => {
                let failures = answer.get("failures").and_then(Value::as_array).into_iter().flatten();
                Self::Failed(failures.take(FAILURES_MAX).map(failure).collect())
            }
            _ => Self::Pending,
        }
    }
}

fn failure(item: &Value) -> Failure {
    let list = |name: &str| item.pointer(&format!("/errorInfo/{name}")).and_then(Value::as_array);
    let adam_id = |asset: &Value| asset.get("adamId")?.as_str()?.parse().ok();
    let serial = |text: &Value| text.as_str().map(str::to_owned);
    let (number, message) = error(item);
    Failure {
        number,
        message,
        serials: list("serialNumbers").into_iter().flatten().filter_map(serial).collect(),
        apps: list("assets").into_iter().flatten().filter_map(adam_id).collect(),
    }
}

fn error(answer: &Value) -> (u32, String) {
    let number = answer.get("errorNumber").and_then(Value::as_u64);
    let message = answer.get("errorMessage").and_then(Value::as_str).unwrap_or_default();
    let message = message.chars().filter(|c| !c.is_control()).take(MESSAGE_CHARS_MAX).collect();
    (number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0), message)
}

/// What the store says of an app (its answer has it by number)
/// (<https://developer.apple.com/documentation/devicemanagement/getting-app-and-book-information-legacy>).
pub fn lookup(answer: &Value, id: AppId) -> Option<Lookup> {
    let app = answer.pointer(&format!("/results/{id}"))?;
    let text = |pointer: &str| {
        let text = app.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX).collect::<String>()
    };
    let name = text("/name");
    let bundle_id = Some(text("/bundleId")).filter(|id| id.parse::<ipados::values::BundleId>().is_ok());
    let version = text("/offers/0/version/display");
    (!name.is_empty()).then(|| Lookup { id, name, bundle_id: bundle_id.unwrap_or_default(), version })
}

/// Why Apps and Books did not do what was asked. The words are for the admin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppsError {
    /// It is not reached.
    #[error("Apps and Books is not reached: {0}")]
    Unreachable(String),
    /// It has too much to do, or does not work.
    #[error("Apps and Books asks to wait")]
    Busy(Option<Duration>),
    /// The token's time is over.
    #[error("the content token of Apps and Books has expired")]
    Expired,
    /// The token was replaced or taken back.
    #[error("the content token of Apps and Books was revoked")]
    Revoked,
    /// It is not accepted for another reason.
    #[error("Apps and Books does not accept the content token")]
    Unauthorized,
    /// It refuses.
    #[error("Apps and Books refuses: {1} ({0})")]
    Refused(u32, String),
    /// It answers something else than documented.
    #[error("the answer of Apps and Books makes no sense: {0}")]
    Answer(&'static str),
}

/// Why an answer that is no success was given. `retry_after` is the header of that name.
pub fn refusal(status: u16, retry_after: Option<&str>, body: &[u8]) -> AppsError {
    let (number, message) =
        serde_json::from_slice(body).map(|answer: Value| error(&answer)).unwrap_or_default();
    let wait = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    match (number, status) {
        (EXPIRED, _) => AppsError::Expired,
        (REVOKED, _) => AppsError::Revoked,
        (TOO_MANY, _) | (_, 429 | 500..=599) => AppsError::Busy(wait.map(|wait| wait.min(WAIT_MAX))),
        (LOGIN_REQUIRED | BAD_HEADER, _) | (_, 401 | 403) => AppsError::Unauthorized,
        (number, _) => AppsError::Refused(number, message),
    }
}

/// There are not enough licences.
pub const NOT_ENOUGH: u32 = 9709;
/// An event that Apple does not know, or forgot.
pub const NO_EVENT: u32 = 9708;
const LOGIN_REQUIRED: u32 = 9601;
const EXPIRED: u32 = 9621;
const REVOKED: u32 = 9625;
const TOO_MANY: u32 = 9646;
const BAD_HEADER: u32 = 9722;
const ASSETS_MAX: u64 = 25;
const SERIALS_MAX: u64 = 1000;
/// Apple's word for ordinary licences.
pub const STANDARD: &str = "STDQ";
const PRICING_CHARS_MAX: usize = 16;
const MESSAGE_CHARS_MAX: usize = 300;
const NAME_CHARS_MAX: usize = 200;
const FAILURES_MAX: usize = 1000;
const WAIT_MAX: Duration = Duration::from_secs(3600);

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn apps_for_ipads_are_usable_and_books_are_none() {
        let app = json!({ "adamId": "408709785", "pricingParam": "STDQ", "productType": "App", "totalCount": 15, "availableCount": 10,
            "deviceAssignable": true, "supportedPlatforms": ["iOS"] });
        let asset_of = |change: Value| {
            let mut item = app.clone();
            item.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            asset(&item)
        };
        let plain = asset_of(json!({})).unwrap();
        assert_eq!((plain.total, plain.available, plain.usable), (15, 10, true));
        assert!(!asset_of(json!({ "deviceAssignable": false })).unwrap().usable);
        assert!(!asset_of(json!({ "supportedPlatforms": ["macOS"] })).unwrap().usable);
        assert_eq!(asset_of(json!({ "productType": "Book" })), None);
        assert_eq!(asset_of(json!({ "adamId": "x" })), None);
    }

    #[test]
    fn a_refusal_says_whether_to_wait_or_to_fetch_a_new_token() {
        let said = |status, after, number: u32| {
            let body = json!({ "errorNumber": number, "errorMessage": "Words." }).to_string();
            refusal(status, after, body.as_bytes())
        };
        assert_eq!(said(401, None, 9621), AppsError::Expired);
        assert_eq!(said(401, None, 9625), AppsError::Revoked);
        assert_eq!(said(401, None, 9722), AppsError::Unauthorized);
        assert_eq!(said(503, Some("120"), 9603), AppsError::Busy(Some(Duration::from_secs(120))));
        assert_eq!(said(503, Some("999999"), 9603), AppsError::Busy(Some(WAIT_MAX)));
        assert_eq!(said(400, None, 9646), AppsError::Busy(None));
        assert_eq!(refusal(429, Some("soon"), b"<html>"), AppsError::Busy(None));
        assert_eq!(said(400, None, 9602), AppsError::Refused(9602, "Words.".into()));
    }

    #[test]
    fn an_event_says_whom_it_failed_for() {
        let failed = json!({ "eventStatus": "FAILED", "failures": [
            { "errorNumber": 9709, "errorMessage": "Too few.", "errorInfo": { "serialNumbers": ["A"], "assets": [{ "adamId": "7" }] } },
            { "errorNumber": 9602 },
        ] });
        let Event::Failed(failures) = Event::read(&failed) else { panic!("{failed}") };
        assert_eq!((failures[0].number, failures[0].serials.as_slice()), (9709, ["A".to_owned()].as_slice()));
        assert_eq!(failures[0].apps[0].number(), 7);
        assert_eq!((failures[1].number, failures[1].serials.len()), (9602, 0));
        assert_eq!(Event::read(&json!({ "eventStatus": "COMPLETE" })), Event::Complete);
        assert_eq!(Event::read(&json!({ "eventStatus": "LATER" })), Event::Pending);
    }

    #[test]
    fn the_client_configuration_of_another_server_is_read() {
        let Some(text) = crate::cms_tests::vector("zentral/server_token_client_config_response.json") else {
            return;
        };
        let client: Client = serde_json::from_slice(&text).unwrap();
        assert_eq!(client.mdm_info.unwrap().name, "Zentral");
        assert_eq!((client.u_id.as_str(), client.country.as_str()), ("981060278089131045", "DE"));
    }
}
