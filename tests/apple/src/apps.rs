//! Apps and Books: the licences of a school, and which iPads have them.
//!
//! <https://developer.apple.com/documentation/devicemanagement/app-book-and-subscription-management>, API version 2. What is asked for is done
//! a few requests later, as Apple does it some time later.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::{Authority, lock, serve};

/// The running service.
pub struct AppsService {
    url: String,
    state: Arc<Mutex<State>>,
    _serving: httpd::Handle,
}

/// What can be wrong at Apple's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppsTrouble {
    /// The token's time is over.
    Expired,
    /// The token was replaced.
    Revoked,
    /// Too many requests; one second has to pass.
    Throttled,
    /// Nothing works, and one second has to pass.
    Down,
}

#[derive(Default)]
struct State {
    url: String,
    assets: BTreeMap<String, Asset>,
    held: BTreeSet<(String, String)>,
    events: Vec<Event>,
    mdm_info: Option<Value>,
    trouble: Option<AppsTrouble>,
    page: usize,
    /// Grows with everything that changes a list.
    version: usize,
    /// So many pages from now on a list changes while it is read.
    changes_in: Option<usize>,
    held_back: bool,
    made: usize,
    asked: Vec<String>,
}

#[derive(Clone)]
struct Asset {
    name: String,
    bundle_id: String,
    total: usize,
    for_devices: bool,
}

struct Event {
    id: String,
    kind: &'static str,
    pairs: Vec<(String, String)>,
    /// Done so many requests from now.
    ready_in: usize,
    failures: Option<Vec<Value>>,
}

impl AppsService {
    /// Starts it, without apps.
    pub async fn start(authority: &Authority) -> Self {
        let state = Arc::new(Mutex::new(State { page: 1000, ..State::default() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let (serving, url) = serve(authority, router).await;
        lock(&state).url.clone_from(&url);
        Self { url: format!("{url}/mdm/v2"), state, _serving: serving }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The content token as a manager downloads it. It ends then (`2030-11-08T22:33:22+0000`).
    #[must_use]
    pub fn token(ends: &str) -> String {
        STANDARD.encode(json!({ "expDate": ends, "token": SECRET, "orgName": "Testschule" }).to_string())
    }

    /// The school has so many licences of an app.
    pub fn license(&self, id: &str, name: &str, bundle_id: &str, total: usize) {
        let mut state = lock(&self.state);
        let asset =
            Asset { name: name.to_owned(), bundle_id: bundle_id.to_owned(), total, for_devices: true };
        state.assets.insert(id.to_owned(), asset);
        state.version += 1;
    }

    /// The licences of an app can belong to people only.
    pub fn for_people_only(&self, id: &str) {
        lock(&self.state).assets.get_mut(id).unwrap().for_devices = false;
    }

    /// Somebody else gives an iPad a licence.
    pub fn give(&self, id: &str, serial: &str) {
        let mut state = lock(&self.state);
        state.held.insert((id.to_owned(), serial.to_owned()));
        state.version += 1;
    }

    /// The serial numbers of the iPads that have a licence of an app.
    #[must_use]
    pub fn holders(&self, id: &str) -> Vec<String> {
        let state = lock(&self.state);
        state.held.iter().filter(|(app, _)| app == id).map(|(_, serial)| serial.clone()).collect()
    }

    /// Another server manages the licences, or nobody.
    pub fn set_manager(&self, manager: Option<(&str, &str)>) {
        let info = manager.map(|(id, name)| json!({ "id": id, "name": name, "metadata": "1.0" }));
        lock(&self.state).mdm_info = info;
    }

    /// The id of the server that manages the licences.
    #[must_use]
    pub fn manager(&self) -> Option<String> {
        Some(lock(&self.state).mdm_info.as_ref()?.get("id")?.as_str()?.to_owned())
    }

    /// What is wrong from here on.
    pub fn trouble(&self, trouble: Option<AppsTrouble>) {
        lock(&self.state).trouble = trouble;
    }

    /// So many entries on a page.
    pub fn set_page(&self, entries: usize) {
        lock(&self.state).page = entries;
    }

    /// A list changes once, when so many more pages were read.
    pub fn change_after_pages(&self, pages: usize) {
        lock(&self.state).changes_in = Some(pages);
    }

    /// Whether what is asked for stays under way.
    pub fn hold_events(&self, hold: bool) {
        lock(&self.state).held_back = hold;
    }

    /// What was asked, as `METHOD /path`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.state).asked.clone()
    }
}

async fn answer(
    Shared(state): Shared<Arc<Mutex<State>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut state = lock(&state);
    state.asked.push(format!("{method} {}", uri.path()));
    state.pass_time();
    let query: BTreeMap<&str, &str> =
        uri.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('=')).collect();
    if uri.path() == "/lookup" {
        assert!(!headers.contains_key("authorization"), "the token is nobody else's business");
        return state.lookup(&query);
    }
    let path = uri.path().strip_prefix("/mdm/v2/").unwrap_or_default();
    if path == "service/config" {
        return state.service();
    }
    if let Some(refused) = state.refused(&headers) {
        return refused;
    }
    let asked = match method {
        Method::POST => match serde_json::from_slice::<Value>(&body) {
            Ok(asked) => asked,
            Err(_) => return refuse(400, 9602, "Invalid argument."),
        },
        _ => Value::Null,
    };
    match (method.as_str(), path) {
        ("GET", "client/config") => reply(&state.client()),
        ("POST", "client/config") => state.set_client(&asked),
        ("GET", "assets") => {
            let assets: Vec<Value> =
                state.assets.iter().map(|(id, asset)| state.described(id, asset)).collect();
            state.paged("assets", &assets, &query)
        }
        ("GET", "assignments") => {
            let one = |(app, serial): &(String, String)| json!({ "adamId": app, "serialNumber": serial, "pricingParam": "STDQ" });
            let assignments: Vec<Value> = state.held.iter().map(one).collect();
            state.paged("assignments", &assignments, &query)
        }
        ("POST", "assets/associate") => state.manage("ASSOCIATE", &asked),
        ("POST", "assets/disassociate") => state.manage("DISASSOCIATE", &asked),
        ("GET", "status") => state.status(&query),
        _ => {
            refuse(405, 9726, "This request contains an unsupported HTTP method for the requested endpoint.")
        }
    }
}

impl State {
    fn refused(&self, headers: &HeaderMap) -> Option<Response> {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let token = bearer.strip_prefix("Bearer ").and_then(|token| STANDARD.decode(token).ok());
        let token = token.and_then(|token| serde_json::from_slice::<Value>(&token).ok());
        let wait = |status| {
            (status, [("retry-after", "1")], r#"{"errorNumber":9646,"errorMessage":"Too many."}"#)
                .into_response()
        };
        match (self.trouble, token) {
            (_, None) => Some(refuse(401, 9722, "This request contains an invalid authorization header.")),
            (Some(AppsTrouble::Expired), _) => Some(refuse(401, 9621, "The token has expired.")),
            (Some(AppsTrouble::Throttled), _) => Some(wait(StatusCode::TOO_MANY_REQUESTS)),
            (Some(AppsTrouble::Down), _) => Some(wait(StatusCode::SERVICE_UNAVAILABLE)),
            (Some(AppsTrouble::Revoked), _) => Some(refuse(401, 9625, "The server has revoked the sToken.")),
            (None, Some(token)) if token["token"] != SECRET => {
                Some(refuse(401, 9625, "The server has revoked the sToken."))
            }
            (None, Some(_)) => None,
        }
    }

    fn service(&self) -> Response {
        reply(&json!({
            "limits": { "maxAssets": ASSETS_MAX, "maxSerialNumbers": SERIALS_MAX, "maxRequestPerSecond": 15 },
            "urls": { "contentMetadataLookup": format!("{}/lookup", self.url) },
        }))
    }

    fn client(&self) -> Value {
        let mut out = json!({
            "countryISO2ACode": "DE",
            "defaultPlatform": "volumestore",
            "locationName": "Testschule",
            "tokenExpirationDate": "2030-11-08T22:33:22+0000",
            "uId": "2049025000431439",
            "websiteURL": "https://school.apple.com",
        });
        if let Some(info) = &self.mdm_info {
            out["mdmInfo"] = info.clone();
        }
        out
    }

    fn set_client(&mut self, asked: &Value) -> Response {
        let info = &asked["mdmInfo"];
        if ["id", "name", "metadata"].iter().any(|key| info[key].as_str().is_none_or(str::is_empty)) {
            return refuse(
                400,
                9723,
                "You must provide an MDM name, ID, and metadata when setting the MDM information.",
            );
        }
        self.mdm_info = Some(info.clone());
        reply(
            &json!({ "mdmInfo": info, "uId": "2049025000431439", "tokenExpirationDate": "2030-11-08T22:33:22+0000" }),
        )
    }

    fn free(&self, id: &str) -> usize {
        let held = self.held.iter().filter(|(app, _)| app == id).count();
        self.assets.get(id).map_or(0, |asset| asset.total.saturating_sub(held))
    }

    fn described(&self, id: &str, asset: &Asset) -> Value {
        json!({
            "adamId": id,
            "assignedCount": self.held.iter().filter(|(app, _)| app == id).count(),
            "availableCount": self.free(id),
            "deviceAssignable": asset.for_devices,
            "pricingParam": "STDQ",
            "productType": "App",
            "retiredCount": 0,
            "revocable": true,
            "supportedPlatforms": ["iOS"],
            "totalCount": asset.total,
        })
    }

    fn paged(&mut self, list: &str, all: &[Value], query: &BTreeMap<&str, &str>) -> Response {
        let index: usize = query.get("pageIndex").and_then(|text| text.parse().ok()).unwrap_or(0);
        if let Some(pages) = self.changes_in.take() {
            match pages.checked_sub(1) {
                Some(left) => self.changes_in = Some(left),
                None => self.version += 1,
            }
        }
        let pages: Vec<&[Value]> = all.chunks(self.page).collect();
        if index > 0 && index >= pages.len() {
            return refuse(
                400,
                9650,
                "The provided page index must be greater than 0, and less than the total number of pages.",
            );
        }
        let page = pages.get(index).copied().unwrap_or_default();
        reply(&json!({
            list: page,
            "currentPageIndex": index,
            "size": page.len(),
            "totalPages": pages.len(),
            "tokenExpirationDate": "2030-11-08T22:33:22+0000",
            "uId": "2049025000431439",
            "versionId": format!("version-{}", self.version),
        }))
    }

    fn manage(&mut self, kind: &'static str, asked: &Value) -> Response {
        let assets: Vec<String> = asked["assets"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|asset| asset["adamId"].as_str().map(str::to_owned))
            .collect();
        let serials: Vec<String> = asked["serialNumbers"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|serial| serial.as_str().map(str::to_owned))
            .collect();
        let unique = |list: &[String]| list.iter().collect::<BTreeSet<_>>().len() == list.len();
        if assets.is_empty() {
            return refuse(400, 9718, "This request doesn't contain an asset, which is a required argument.");
        }
        if serials.is_empty() {
            return refuse(400, 9719, "Either clientUserIds or serialNumbers are required arguments.");
        }
        if assets.len() > ASSETS_MAX {
            return refuse(
                400,
                9700,
                "Max assets limit on request has been passed, please stay within given limit.",
            );
        }
        if serials.len() > SERIALS_MAX {
            return refuse(
                400,
                9702,
                "Max serialNumbers limit on request has been passed, please stay within given limit.",
            );
        }
        if !unique(&assets) || !unique(&serials) {
            return refuse(
                400,
                9705,
                "Duplicate serialNumbers found in request, please send unique serials.",
            );
        }
        if assets.iter().any(|id| !self.assets.contains_key(id)) {
            return refuse(400, 9602, "Invalid argument.");
        }
        if assets.iter().any(|id| !self.assets[id].for_devices) {
            return refuse(
                400,
                9707,
                "Asset in request is not device assignable, please send device assignable assets.",
            );
        }
        let id = format!("event-{}", self.made);
        self.made += 1;
        let pairs =
            assets.iter().flat_map(|app| serials.iter().map(move |serial| (app.clone(), serial.clone())));
        let pairs = pairs.collect();
        self.events.push(Event { id: id.clone(), kind, pairs, ready_in: 2, failures: None });
        reply(
            &json!({ "eventId": id, "tokenExpirationDate": "2030-11-08T22:33:22+0000", "uId": "2049025000431439" }),
        )
    }

    /// Does what is due.
    fn pass_time(&mut self) {
        if self.held_back {
            return;
        }
        for index in 0..self.events.len() {
            let event = &mut self.events[index];
            event.ready_in = event.ready_in.saturating_sub(1);
            if event.ready_in > 0 || event.failures.is_some() {
                continue;
            }
            let (kind, pairs) = (event.kind, event.pairs.clone());
            let mut failures = Vec::new();
            for (app, serial) in pairs {
                let key = (app.clone(), serial.clone());
                match kind {
                    "DISASSOCIATE" => drop(self.held.remove(&key)),
                    _ if self.held.contains(&key) => {}
                    _ if self.free(&app) > 0 => drop(self.held.insert(key)),
                    _ => failures.push(json!({
                        "errorNumber": 9709,
                        "errorMessage": "There are not enough licenses for this app or book available to assign to the selected group.",
                        "errorInfo": { "assets": [{ "adamId": app, "pricingParam": "STDQ" }], "serialNumbers": [serial] },
                    })),
                }
            }
            self.events[index].failures = Some(failures);
            self.version += 1;
        }
    }

    fn status(&self, query: &BTreeMap<&str, &str>) -> Response {
        let id = query.get("eventId").copied().unwrap_or_default();
        let Some(event) = self.events.iter().find(|event| event.id == id) else {
            return refuse(400, 9708, "EventId could not be found.");
        };
        let requested = event.pairs.len();
        let (word, failures) = match &event.failures {
            None => ("PENDING", Vec::new()),
            Some(failures) if failures.is_empty() => ("COMPLETE", Vec::new()),
            Some(failures) => ("FAILED", failures.clone()),
        };
        let done = if event.failures.is_some() { requested - failures.len() } else { 0 };
        let mut out = json!({ "eventStatus": word, "eventType": event.kind, "numCompleted": done, "numRequested": requested,
            "tokenExpirationDate": "2030-11-08T22:33:22+0000", "uId": "2049025000431439" });
        if !failures.is_empty() {
            out["failures"] = Value::Array(failures);
        }
        reply(&out)
    }

    fn lookup(&self, query: &BTreeMap<&str, &str>) -> Response {
        let id = query.get("id").copied().unwrap_or_default();
        let mut results = serde_json::Map::new();
        if let Some(asset) = self.assets.get(id) {
            let offers = json!([{ "version": { "display": "14.2", "externalId": 1 } }]);
            results.insert(
                id.to_owned(),
                json!({ "name": asset.name, "bundleId": asset.bundle_id, "offers": offers }),
            );
        }
        reply(&json!({ "results": results, "version": 2 }))
    }
}

fn reply(body: &Value) -> Response {
    ([("content-type", "application/json")], body.to_string()).into_response()
}

fn refuse(status: u16, number: u32, message: &str) -> Response {
    let body = json!({ "errorNumber": number, "errorMessage": message }).to_string();
    (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], body).into_response()
}

const SECRET: &str = "content token of a simulated school";
const ASSETS_MAX: usize = 25;
const SERIALS_MAX: usize = 1000;
