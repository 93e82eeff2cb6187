//! Automated enrolment: what Apple School Manager tells a device management server of the school's devices.
//!
//! <https://developer.apple.com/documentation/devicemanagement/device_assignment>

use std::collections::{BTreeMap, HashMap};
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
pub struct EnrolmentService {
    url: String,
    state: Arc<Mutex<State>>,
    _serving: httpd::Handle,
}

/// What can be wrong at Apple's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The terms of use changed, and nobody accepted them yet.
    TermsNotSigned,
    /// The token was replaced or taken back.
    TokenRejected,
    /// Too many requests.
    Throttled,
    /// Nothing works.
    Down,
}

#[derive(Default)]
struct State {
    devices: BTreeMap<String, Device>,
    /// What changed since the beginning, for `sync`.
    log: Vec<(String, &'static str)>,
    sessions: Vec<String>,
    made: usize,
    /// The number in front of a cursor; those of older ones have expired.
    era: usize,
    profiles: HashMap<String, Value>,
    trouble: Option<Trouble>,
    page: usize,
    nonces: Vec<String>,
    asked: Vec<String>,
}

#[derive(Clone, Default)]
struct Device {
    model: String,
    profile: Option<String>,
}

impl EnrolmentService {
    /// Starts it, without devices.
    pub async fn start(authority: &Authority) -> Self {
        let state = Arc::new(Mutex::new(State { page: 1000, ..State::default() }));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let (serving, url) = serve(authority, router).await;
        Self { url, state, _serving: serving }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What stands in the server token, as JSON. It ends then (RFC 3339).
    #[must_use]
    pub fn token(ends: &str) -> String {
        json!({
            "consumer_key": CONSUMER_KEY,
            "consumer_secret": CONSUMER_SECRET,
            "access_token": ACCESS_TOKEN,
            "access_secret": ACCESS_SECRET,
            "access_token_expiry": ends,
        })
        .to_string()
    }

    /// The school assigns a device to the server.
    pub fn add(&self, serial: &str, model: &str) {
        let mut state = lock(&self.state);
        let known = state.devices.contains_key(serial);
        state.devices.insert(serial.to_owned(), Device { model: model.to_owned(), profile: None });
        state.log.push((serial.to_owned(), if known { "modified" } else { "added" }));
    }

    /// The school takes a device away from the server.
    pub fn remove(&self, serial: &str) {
        let mut state = lock(&self.state);
        state.devices.remove(serial);
        state.log.push((serial.to_owned(), "deleted"));
    }

    /// What is wrong from here on.
    pub fn trouble(&self, trouble: Option<Trouble>) {
        lock(&self.state).trouble = trouble;
    }

    /// All sessions end.
    pub fn end_sessions(&self) {
        lock(&self.state).sessions.clear();
    }

    /// All cursors are older than seven days.
    pub fn expire_cursors(&self) {
        lock(&self.state).era += 1;
    }

    /// So many devices in an answer.
    pub fn set_page(&self, devices: usize) {
        lock(&self.state).page = devices;
    }

    /// The profile that a device was given.
    #[must_use]
    pub fn profile_of(&self, serial: &str) -> Option<Value> {
        let state = lock(&self.state);
        state.profiles.get(state.devices.get(serial)?.profile.as_ref()?).cloned()
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
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    state.asked.push(format!("{method} {}", uri.path()));
    match state.trouble {
        Some(Trouble::TermsNotSigned) => return refuse(403, "T_C_NOT_SIGNED"),
        Some(Trouble::TokenRejected) => return refuse(401, "token_rejected"),
        Some(Trouble::Down) => return refuse(503, "SERVICE_UNAVAILABLE"),
        Some(Trouble::Throttled) => {
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response();
        }
        None => {}
    }
    if header("user-agent").is_empty() {
        return refuse(403, "USER_AGENT_REQUIRED");
    }
    if uri.path() == "/session" {
        let url = format!("https://{}/session", header("host"));
        return session(&mut state, &method, &url, header("authorization"));
    }
    if !state.sessions.iter().any(|known| known == header("x-adm-auth-session")) {
        return refuse(401, "UNAUTHORIZED");
    }
    if header("x-server-protocol-version") != "3" {
        return refuse(400, "UNSUPPORTED_PROTOCOL_VERSION");
    }
    let Ok(asked) = serde_json::from_slice::<Value>(if body.is_empty() { b"{}" } else { &body }) else {
        return refuse(400, "MALFORMED_REQUEST_BODY");
    };
    // Apple replaces the session now and then; the old one ends.
    let fresh = format!("session-{}", state.made);
    state.made += 1;
    state.sessions = vec![fresh.clone()];
    let mut response = match (method.as_str(), uri.path()) {
        ("GET", "/account") => account(),
        ("POST", "/server/devices") => fetch(&state, &asked),
        ("POST", "/devices/sync") => sync(&state, &asked),
        ("POST", "/devices") => details(&state, &asked),
        ("POST", "/profile") => define(&mut state, asked),
        ("PUT" | "POST", "/profile/devices") => assign(&mut state, &asked),
        ("DELETE", "/profile/devices") => unassign(&mut state, &asked),
        _ => refuse(404, "NOT_FOUND"),
    };
    response.headers_mut().insert("x-adm-auth-session", fresh.parse().unwrap());
    response
}

/// OAuth 1.0a (RFC 5849) with HMAC-SHA1.
fn session(state: &mut State, method: &Method, url: &str, authorization: &str) -> Response {
    let Some(fields) = authorization.strip_prefix("OAuth ") else { return refuse(401, "UNAUTHORIZED") };
    let fields: BTreeMap<String, String> = fields
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .map(|(key, value)| (key.to_owned(), decoded(value.trim_matches('"'))))
        .collect();
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    let signed: Vec<String> = fields
        .iter()
        .filter(|(key, _)| *key != "oauth_signature" && *key != "realm")
        .map(|(key, value)| format!("{}={}", encoded(key), encoded(value)))
        .collect();
    let base = format!("{method}&{}&{}", encoded(url), encoded(&signed.join("&")));
    let key = format!("{}&{}", encoded(CONSUMER_SECRET), encoded(ACCESS_SECRET));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_bytes());
    let signature = STANDARD.decode(field("oauth_signature")).unwrap_or_default();
    let known = field("oauth_consumer_key") == CONSUMER_KEY && field("oauth_token") == ACCESS_TOKEN;
    if !known || ring::hmac::verify(&key, base.as_bytes(), &signature).is_err() {
        return refuse(401, "token_rejected");
    }
    let nonce = field("oauth_nonce");
    if nonce.is_empty() || state.nonces.contains(&nonce) {
        return refuse(401, "nonce_used");
    }
    let seconds = time::OffsetDateTime::now_utc().unix_timestamp();
    if field("oauth_timestamp").parse::<i64>().is_ok_and(|at| (at - seconds).abs() > 300) {
        return refuse(401, "timestamp_refused");
    }
    state.nonces.push(nonce);
    let session = format!("session-{}", state.made);
    state.made += 1;
    state.sessions.push(session.clone());
    reply(&json!({ "auth_session_token": session }))
}

fn account() -> Response {
    reply(&json!({
        "server_name": "Hausmeister",
        "server_uuid": "F6E1E81A93837E1E87D6F4D99E235117",
        "admin_id": "admin@testschule.example",
        "facilitator_id": "admin@testschule.example",
        "org_name": "Testschule",
        "org_email": "info@testschule.example",
        "org_phone": "0251 0",
        "org_address": "Schulstr. 1, 48143 Münster",
        "org_id": "1234567",
        "org_id_hash": "abcdef",
        "org_type": "edu",
        "org_version": "v2",
    }))
}

fn fetch(state: &State, asked: &Value) -> Response {
    let Some(from) = position(state, asked.get("cursor"), 'f') else { return refuse(400, "INVALID_CURSOR") };
    let from = match from {
        Position::Start => 0,
        Position::Expired => return refuse(400, "EXPIRED_CURSOR"),
        Position::At(at) => at,
    };
    if from > 0 && from >= state.devices.len() {
        return refuse(400, "EXHAUSTED_CURSOR");
    }
    let page: Vec<Value> = state
        .devices
        .iter()
        .skip(from)
        .take(page(state, asked))
        .map(|(serial, device)| described(serial, device))
        .collect();
    let next = from + page.len();
    let more = next < state.devices.len();
    // The cursor of the last page is where `sync` goes on.
    let cursor =
        if more { format!("{}f{next}", state.era) } else { format!("{}s{}", state.era, state.log.len()) };
    reply(
        &json!({ "devices": page, "cursor": cursor, "more_to_follow": more, "fetched_until": "2026-01-01T00:00:00Z" }),
    )
}

fn sync(state: &State, asked: &Value) -> Response {
    let from = match position(state, asked.get("cursor"), 's') {
        Some(Position::At(at)) => at,
        Some(Position::Expired) => return refuse(400, "EXPIRED_CURSOR"),
        Some(Position::Start) => return refuse(400, "CURSOR_REQUIRED"),
        None => return refuse(400, "INVALID_CURSOR"),
    };
    let page: Vec<Value> = state
        .log
        .iter()
        .skip(from)
        .take(page(state, asked))
        .map(|(serial, op)| {
            let device = state.devices.get(serial).cloned().unwrap_or_default();
            let mut out = described(serial, &device);
            out["op_type"] = json!(op);
            out["op_date"] = json!("2026-01-01T00:00:00Z");
            out
        })
        .collect();
    let next = from + page.len();
    let cursor = format!("{}s{next}", state.era);
    reply(
        &json!({ "devices": page, "cursor": cursor, "more_to_follow": next < state.log.len(), "fetched_until": "2026-01-01T00:00:00Z" }),
    )
}

enum Position {
    Start,
    At(usize),
    Expired,
}

/// `None` when a cursor is none, or of the other list.
fn position(state: &State, cursor: Option<&Value>, list: char) -> Option<Position> {
    let Some(cursor) = cursor.filter(|cursor| !cursor.is_null()) else { return Some(Position::Start) };
    let (era, at) = cursor.as_str()?.split_once(list)?;
    if era.parse::<usize>().ok()? < state.era {
        return Some(Position::Expired);
    }
    Some(Position::At(at.parse().ok()?))
}

fn page(state: &State, asked: &Value) -> usize {
    let limit =
        asked.get("limit").and_then(Value::as_u64).map_or(state.page, |n| usize::try_from(n).unwrap());
    limit.min(state.page)
}

fn described(serial: &str, device: &Device) -> Value {
    let mut out = json!({
        "serial_number": serial,
        "model": device.model,
        "description": format!("{} 64GB", device.model),
        "color": "SPACE GRAY",
        "asset_tag": "",
        "device_assigned_by": "admin@testschule.example",
        "device_assigned_date": "2026-01-01T00:00:00Z",
        "device_family": "iPad",
        "os": "iOS",
        "profile_status": if device.profile.is_some() { "assigned" } else { "empty" },
    });
    if let Some(profile) = &device.profile {
        out["profile_uuid"] = json!(profile);
    }
    out
}

fn details(state: &State, asked: &Value) -> Response {
    let mut devices = serde_json::Map::new();
    for serial in serials(asked) {
        let found = match state.devices.get(&serial) {
            Some(device) => {
                let mut found = described(&serial, device);
                found["response_status"] = json!("SUCCESS");
                found
            }
            None => json!({ "response_status": "NOT_FOUND" }),
        };
        devices.insert(serial, found);
    }
    reply(&json!({ "devices": devices }))
}

fn define(state: &mut State, asked: Value) -> Response {
    let text = |key: &str| asked.get(key).and_then(Value::as_str).unwrap_or_default();
    if text("profile_name").is_empty() || text("profile_name").len() > 125 {
        return refuse(400, "CONFIG_NAME_REQUIRED");
    }
    if !text("url").starts_with("https://") {
        return refuse(400, "CONFIG_URL_REQUIRED");
    }
    let flag = |key: &str| asked.get(key).and_then(Value::as_bool);
    if flag("is_mdm_removable") == Some(false) && flag("is_supervised") != Some(true) {
        return refuse(400, "FLAGS_INVALID");
    }
    let id = uuid::Uuid::new_v4().simple().to_string().to_uppercase();
    let given = give(state, &serials(&asked), &id);
    state.profiles.insert(id.clone(), asked);
    reply(&json!({ "profile_uuid": id, "devices": given }))
}

fn assign(state: &mut State, asked: &Value) -> Response {
    let id = asked.get("profile_uuid").and_then(Value::as_str).unwrap_or_default().to_owned();
    if id.is_empty() {
        return refuse(400, "PROFILE_UUID_REQUIRED");
    }
    if !state.profiles.contains_key(&id) {
        return refuse(404, "NOT_FOUND");
    }
    let serials = serials(asked);
    if serials.is_empty() {
        return refuse(400, "DEVICE_ID_REQUIRED");
    }
    let given = give(state, &serials, &id);
    reply(&json!({ "profile_uuid": id, "devices": given }))
}

fn give(state: &mut State, serials: &[String], id: &str) -> serde_json::Map<String, Value> {
    let mut out = serde_json::Map::new();
    for serial in serials {
        let done = match state.devices.get_mut(serial) {
            Some(device) => {
                device.profile = Some(id.to_owned());
                "SUCCESS"
            }
            None => "NOT_ACCESSIBLE",
        };
        out.insert(serial.clone(), json!(done));
    }
    out
}

fn unassign(state: &mut State, asked: &Value) -> Response {
    let mut out = serde_json::Map::new();
    for serial in serials(asked) {
        let found = state.devices.get_mut(&serial).map(|device| device.profile = None);
        out.insert(serial, json!(if found.is_some() { "SUCCESS" } else { "NOT_ACCESSIBLE" }));
    }
    reply(&json!({ "devices": out }))
}

fn serials(asked: &Value) -> Vec<String> {
    let listed = asked.get("devices").and_then(Value::as_array);
    listed.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn reply(body: &Value) -> Response {
    ([("content-type", "application/json;charset=UTF8")], body.to_string()).into_response()
}

/// Apple's errors are words in the body.
fn refuse(status: u16, word: &'static str) -> Response {
    (StatusCode::from_u16(status).unwrap(), word).into_response()
}

/// RFC 5849 section 3.6.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
            out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap_or(0));
        } else {
            out.push(byte);
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

const CONSUMER_KEY: &str = "CK_2e0cd6b4c0dcb5cf6cbe7e5b9e4b3a7f";
const CONSUMER_SECRET: &str = "CS_f1f0fe3f3ddff6d1fbb30e1ba4f2a5d2+/=";
const ACCESS_TOKEN: &str = "AT_O1234567890O7a5b";
const ACCESS_SECRET: &str = "AS_9d9e8f7a6b5c4d3e2f1a&%";
