//! Talking to Apple School Manager: sessions, retries, and the order of the questions. Blocking: it runs beside the runtime.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use credentials::cms;
use credentials::services::ade::ServerToken;
use inventory::mdm::ListedDevice;
use serde_json::{Value, json};

use super::answers::{self, Page};
use crate::ipads::hex;
use crate::trust;

/// Why Apple School Manager could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AdeError {
    /// A person has to accept new terms.
    #[error("Apple School Manager waits until somebody accepts its new terms of use")]
    Terms,
    /// The token is not valid any more.
    #[error("Apple School Manager does not accept the server token any more")]
    Token,
    /// Too many questions.
    #[error("Apple School Manager takes no more questions for a while")]
    Throttled(Option<u64>),
    /// The cursor is not valid any more: everything has to be fetched again.
    #[error("the cursor is over")]
    Cursor,
    /// There is no more in this list.
    #[error("the list is at its end")]
    Exhausted,
    /// The profile is not known there any more.
    #[error("the enrolment profile is gone")]
    Profile,
    /// Another refusal.
    #[error("Apple School Manager refuses with {0} {1}")]
    Refused(u16, String),
    /// It is not reached.
    #[error("Apple School Manager is not reached")]
    Reach(#[source] Box<ureq::Error>),
    /// It answers something that makes no sense.
    #[error("Apple School Manager answers something that makes no sense")]
    Answer,
}

/// How to get there.
#[derive(Clone)]
pub(crate) struct Way {
    agent: ureq::Agent,
    base: String,
}

impl Way {
    /// To `base`, which everybody trusts or the authority in that PEM file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn new(base: &str, authority: Option<&Path>) -> std::io::Result<Self> {
        let pem = match authority {
            Some(path) => std::fs::read(path)?,
            // Without it nobody is believed, and the page says that Apple is not reached.
            None => std::fs::read(SYSTEM_AUTHORITIES).unwrap_or_default(),
        };
        let config = ureq::Agent::config_builder()
            .tls_config(trust::tls(trust::authorities(&pem)))
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT))
            .user_agent(USER_AGENT)
            .build();
        Ok(Self { agent: config.new_agent(), base: base.trim_end_matches('/').to_owned() })
    }
}

/// What was found out, and what was done.
#[derive(Debug, Default)]
pub(crate) struct Synced {
    /// What people see of the account.
    pub(crate) account: Value,
    /// Devices that are new or changed.
    pub(crate) devices: Vec<ListedDevice>,
    /// Devices that are gone.
    pub(crate) gone: Vec<String>,
    /// Whether `devices` is everything there is.
    pub(crate) complete: bool,
    /// Where to go on.
    pub(crate) cursor: String,
    /// The school's profile.
    pub(crate) profile: String,
    /// Who was given it, or why not.
    pub(crate) given: Vec<(String, Option<String>)>,
}

/// What is known from before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Before {
    /// Where the last synchronisation ended.
    pub(crate) cursor: Option<String>,
    /// The school's profile, if the one that is wanted was defined.
    pub(crate) profile: Option<String>,
    /// The iPads of the list, with the profile of each.
    pub(crate) devices: Vec<(String, Option<String>)>,
}

/// A session.
pub(crate) struct Session<'a> {
    way: &'a Way,
    token: &'a ServerToken,
    /// Seconds since 1970.
    now: i64,
    session: Option<String>,
}

impl<'a> Session<'a> {
    pub(crate) fn new(way: &'a Way, token: &'a ServerToken, now: i64) -> Self {
        Self { way, token, now, session: None }
    }

    /// Everything in one go: the account, what changed, the profile, and whoever lacks it.
    ///
    /// # Errors
    /// See [`AdeError`].
    pub(crate) fn synchronise(&mut self, before: Before, wanted: &Value) -> Result<Synced, AdeError> {
        let mut synced =
            Synced { account: answers::account(&self.call("GET", "/account", None)?), ..Synced::default() };
        match before.cursor {
            Some(cursor) => match self.list("/devices/sync", Some(cursor), &mut synced) {
                Err(AdeError::Cursor) => self.fetch_all(&mut synced)?,
                other => other?,
            },
            None => self.fetch_all(&mut synced)?,
        }
        let lacking = |profile: &str, synced: &Synced| -> Vec<String> {
            let mut all: std::collections::BTreeMap<&str, Option<&str>> = std::collections::BTreeMap::new();
            if !synced.complete {
                all.extend(before.devices.iter().map(|(serial, has)| (serial.as_str(), has.as_deref())));
            }
            all.extend(synced.devices.iter().map(|it| (it.serial.as_str(), it.profile.as_deref())));
            let lacks = all.into_iter().filter(|(serial, has)| {
                *has != Some(profile) && !synced.gone.iter().any(|gone| gone == serial)
            });
            lacks.map(|(serial, _)| serial.to_owned()).collect()
        };
        let defined = before.profile.clone();
        let mut profile = match defined {
            Some(profile) => profile,
            None => self.define(wanted)?,
        };
        match self.give(&profile, &lacking(&profile, &synced)) {
            Ok(given) => synced.given = given,
            // Somebody removed it there.
            Err(AdeError::Profile) => {
                profile = self.define(wanted)?;
                synced.given = self.give(&profile, &lacking(&profile, &synced))?;
            }
            Err(error) => return Err(error),
        }
        synced.profile = profile;
        Ok(synced)
    }

    fn fetch_all(&mut self, synced: &mut Synced) -> Result<(), AdeError> {
        synced.devices.clear();
        synced.gone.clear();
        synced.complete = true;
        self.list("/server/devices", None, synced)
    }

    fn list(&mut self, path: &str, mut cursor: Option<String>, synced: &mut Synced) -> Result<(), AdeError> {
        for _ in 0..PAGES_MAX {
            let mut asked = json!({ "limit": PAGE_DEVICES });
            if let (Some(cursor), Some(asked)) = (&cursor, asked.as_object_mut()) {
                asked.insert("cursor".into(), json!(cursor));
            }
            let answer = match self.call("POST", path, Some(&asked)) {
                Err(AdeError::Exhausted) => return Ok(()),
                other => other?,
            };
            let page = Page::read(&answer).ok_or(AdeError::Answer)?;
            synced.gone.retain(|serial| !page.devices.iter().any(|device| device.serial == *serial));
            synced.devices.retain(|device| !page.gone.contains(&device.serial));
            synced.devices.extend(page.devices);
            synced.gone.extend(page.gone);
            synced.cursor.clone_from(&page.cursor);
            if !page.more {
                return Ok(());
            }
            cursor = Some(page.cursor);
        }
        Err(AdeError::Answer)
    }

    fn define(&mut self, wanted: &Value) -> Result<String, AdeError> {
        let answer = self.call("POST", "/profile", Some(wanted))?;
        let id = answer.get("profile_uuid").and_then(Value::as_str);
        id.filter(|id| (1..=PROFILE_CHARS_MAX).contains(&id.len())).map(str::to_owned).ok_or(AdeError::Answer)
    }

    fn give(&mut self, profile: &str, serials: &[String]) -> Result<Vec<(String, Option<String>)>, AdeError> {
        let mut given = Vec::new();
        for serials in serials.chunks(PAGE_DEVICES) {
            let asked = json!({ "profile_uuid": profile, "devices": serials });
            given.extend(answers::given(&self.call("PUT", "/profile/devices", Some(&asked))?));
        }
        Ok(given)
    }

    fn call(&mut self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, AdeError> {
        let mut is_fresh = false;
        loop {
            let session = match &self.session {
                Some(session) => session.clone(),
                None => {
                    is_fresh = true;
                    self.open()?
                }
            };
            match self.ask(method, path, body, &session) {
                // The session ended meanwhile.
                Err(AdeError::Token) if !is_fresh => self.session = None,
                other => return other,
            }
        }
    }

    fn open(&mut self) -> Result<String, AdeError> {
        let url = format!("{}/session", self.way.base);
        let nonce = hex(&cms::random::<16>().map_err(|_| AdeError::Answer)?);
        let authorization = self.token.authorization(&url, &nonce, self.now);
        let answer = self.way.agent.get(&url).header("authorization", authorization).call();
        let (answer, _) = understood(answer)?;
        let session = answer.get("auth_session_token").and_then(Value::as_str).ok_or(AdeError::Answer)?;
        self.session = Some(session.to_owned());
        Ok(session.to_owned())
    }

    fn ask(
        &mut self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        session: &str,
    ) -> Result<Value, AdeError> {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.way.base))
            .header("x-adm-auth-session", session)
            .header("x-server-protocol-version", "3")
            .header("content-type", "application/json;charset=UTF8")
            .body(body.map(Value::to_string).unwrap_or_default())
            .map_err(|_| AdeError::Answer)?;
        let (answer, renewed) = understood(self.way.agent.run(request))?;
        if let Some(renewed) = renewed {
            self.session = Some(renewed);
        }
        Ok(answer)
    }
}

/// The answer, and the session that takes the place of this one. Apple's errors are words in the body.
fn understood(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<(Value, Option<String>), AdeError> {
    let mut answer = answer.map_err(|error| AdeError::Reach(Box::new(error)))?;
    let status = answer.status().as_u16();
    let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
    let (renewed, after) = (header("x-adm-auth-session"), header("retry-after"));
    let mut body = Vec::new();
    let read = answer.body_mut().as_reader().take(BODY_BYTES_MAX).read_to_end(&mut body);
    read.map_err(|error| AdeError::Reach(Box::new(ureq::Error::Io(error))))?;
    if status == 200 {
        return Ok((serde_json::from_slice(&body).map_err(|_| AdeError::Answer)?, renewed));
    }
    let said = String::from_utf8_lossy(&body);
    let has = |word: &str| said.contains(word);
    Err(match status {
        403 if has("T_C_NOT_SIGNED") => AdeError::Terms,
        401 | 403 => AdeError::Token,
        429 => AdeError::Throttled(after.and_then(|after| after.parse().ok())),
        400 if has("EXHAUSTED_CURSOR") => AdeError::Exhausted,
        400 if has("CURSOR") => AdeError::Cursor,
        404 if has("NOT_FOUND") => AdeError::Profile,
        _ => AdeError::Refused(status, word(&said)),
    })
}

/// Apple's word for an error, and nothing that only looks like one.
fn word(said: &str) -> String {
    let is_letter = |c: &char| c.is_ascii_uppercase() || *c == '_';
    said.chars().take_while(is_letter).take(WORD_CHARS_MAX).collect()
}

/// Apple refuses requests that do not say who asks.
const USER_AGENT: &str = concat!("Hausmeister/", env!("CARGO_PKG_VERSION"));
/// Debian's bundle of the authorities that everybody trusts.
const SYSTEM_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
const TIMEOUT: Duration = Duration::from_secs(30);
const BODY_BYTES_MAX: u64 = 8 << 20;
/// Apple's limit.
const PAGE_DEVICES: usize = 1000;
/// Two hundred thousand devices: more than any school authority has.
const PAGES_MAX: usize = 200;
const PROFILE_CHARS_MAX: usize = 64;
const WORD_CHARS_MAX: usize = 60;
