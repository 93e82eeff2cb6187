//! Requests to Apps and Books. They block; every answer is bounded.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use inventory::mdm::{AppId, Asset, Lookup};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::tls::RootCerts;

use super::plan::Batch;
use super::wire::{self, AppsError, Client, Event, MdmInfo, Paged, Service};
use crate::secret::Secret;
use crate::trust;

/// Where Apps and Books is, and whom we believe that it is it. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Books {
    agent: ureq::Agent,
    url: String,
}

/// The apps of the list, by number.
pub(super) type Assets = HashMap<AppId, Asset>;

/// Apps and Books with a token.
#[derive(Clone)]
pub(super) struct Session {
    books: Books,
    token: Arc<Secret<String>>,
}

impl Books {
    /// `authority` is a PEM file of the authority behind `url`, where it is not one that everybody trusts.
    pub(crate) fn new(url: &str, authority: Option<&Path>) -> std::io::Result<Self> {
        let roots = match authority {
            None => RootCerts::WebPki,
            Some(path) => trust::authorities(&std::fs::read(path)?),
        };
        let agent = ureq::Agent::config_builder()
            .tls_config(trust::tls(roots))
            .http_status_as_error(false)
            .https_only(true)
            // The token goes where it was meant to go, and nowhere else.
            .max_redirects(0)
            .timeout_global(Some(ANSWER))
            .user_agent("Hausmeister")
            .build()
            .new_agent();
        Ok(Self { agent, url: url.trim_end_matches('/').to_owned() })
    }

    pub(super) fn session(&self, token: Secret<String>) -> Session {
        Session { books: self.clone(), token: Arc::new(token) }
    }
}

impl Session {
    pub(super) fn service(&self) -> Result<Service, AppsError> {
        Ok(Service::read(&self.get("service/config")?))
    }

    pub(super) fn client(&self) -> Result<Client, AppsError> {
        self.get("client/config")
    }

    /// Says that the licences are managed here.
    pub(super) fn take_over(&self, ours: &MdmInfo) -> Result<Client, AppsError> {
        self.post("client/config", &json!({ "mdmInfo": ours }))
    }

    pub(super) fn assets(&self) -> Result<Vec<Asset>, AppsError> {
        Ok(self.all("assets")?.iter().filter_map(wire::asset).collect())
    }

    pub(super) fn assignments(&self) -> Result<Vec<(AppId, String)>, AppsError> {
        Ok(self.all("assignments")?.iter().filter_map(wire::assignment).collect())
    }

    /// Asks for licences; returns the event that tells when they are there.
    pub(super) fn associate(&self, batch: &Batch, assets: &Assets) -> Result<String, AppsError> {
        self.event("assets/associate", batch, assets)
    }

    /// Gives licences back.
    pub(super) fn disassociate(&self, batch: &Batch, assets: &Assets) -> Result<String, AppsError> {
        self.event("assets/disassociate", batch, assets)
    }

    fn event(&self, path: &str, batch: &Batch, assets: &Assets) -> Result<String, AppsError> {
        let pricing = |app| assets.get(app).map_or(wire::STANDARD, |asset| asset.pricing.as_str());
        let asset = |app| json!({ "adamId": app, "pricingParam": pricing(app) });
        let assets: Vec<Value> = batch.apps.iter().map(asset).collect();
        let body = json!({ "assets": assets, "serialNumbers": batch.serials });
        let answer: Value = self.post(path, &body)?;
        let id = answer.get("eventId").and_then(Value::as_str).filter(|id| id.len() <= EVENT_BYTES_MAX);
        id.map(str::to_owned).ok_or(AppsError::Answer("an event without id"))
    }

    pub(super) fn status(&self, event: &str) -> Result<Event, AppsError> {
        let clean: String = event.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        match self.get::<Value>(&format!("status?eventId={clean}")) {
            Ok(answer) => Ok(Event::read(&answer)),
            // Apple forgot it: what it says of licences counts.
            Err(AppsError::Refused(wire::NO_EVENT, _)) => Ok(Event::Failed(Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// What the store says of an app; `None` when it does not know it. The token does not go there.
    pub(super) fn lookup(
        &self,
        service: &Service,
        country: &str,
        app: AppId,
    ) -> Result<Option<Lookup>, AppsError> {
        let Some(url) = service.lookup.as_deref().filter(|url| self.is_apples(url)) else { return Ok(None) };
        let country: String = country.chars().filter(char::is_ascii_alphabetic).take(2).collect();
        let country = if country.is_empty() { "de".to_owned() } else { country.to_ascii_lowercase() };
        let request = self.books.agent.get(url);
        let query = [
            ("version", "2"),
            ("p", "mdm-lockup"),
            ("caller", "MDM"),
            ("platform", "volumestore"),
            ("l", "de"),
        ];
        let request = request.query_pairs(query).query("cc", country).query("id", app.to_string());
        let answer: Value = read(request.call())?;
        Ok(wire::lookup(&answer, app))
    }

    /// Apple says where the store is; another name than Apple's, or our own for tests, is not asked.
    fn is_apples(&self, url: &str) -> bool {
        let host = |url: &str| {
            let rest = url.strip_prefix("https://")?;
            let host = rest.split(['/', '?', '#']).next()?;
            (!host.contains('@')).then(|| host.to_ascii_lowercase())
        };
        let asked = host(url);
        asked.is_some()
            && (asked == host(&self.books.url) || asked.is_some_and(|host| host.ends_with(".apple.com")))
    }

    /// A whole list: all its pages of one version. Where it changes in between, it is read again.
    fn all(&self, path: &str) -> Result<Vec<Value>, AppsError> {
        for _ in 0..RESTARTS {
            if let Some(items) = self.pages(path)? {
                return Ok(items);
            }
        }
        Err(AppsError::Busy(None))
    }

    fn pages(&self, path: &str) -> Result<Option<Vec<Value>>, AppsError> {
        let first: Paged = self.get(&format!("{path}?pageIndex=0"))?;
        let (version, mut items) = (first.version_id, first.items);
        for index in 1..first.total_pages.min(PAGES_MAX) {
            let page: Paged = match self.get(&format!("{path}?pageIndex={index}")) {
                Ok(page) => page,
                Err(AppsError::Refused(NO_PAGE, _)) => return Ok(None),
                Err(error) => return Err(error),
            };
            if page.version_id != version {
                return Ok(None);
            }
            items.extend(page.items);
        }
        Ok(Some(items))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, AppsError> {
        let request = self.books.agent.get(format!("{}/{path}", self.books.url));
        read(request.header("authorization", self.bearer()).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, AppsError> {
        let request = self.books.agent.post(format!("{}/{path}", self.books.url));
        let request = request.header("authorization", self.bearer()).content_type("application/json");
        read(request.send(body.to_string()))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.expose())
    }
}

fn read<T: DeserializeOwned>(
    answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<T, AppsError> {
    let mut answer = answer.map_err(|error| AppsError::Unreachable(error.to_string()))?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
    if status != 200 {
        let wait = answer.headers().get("retry-after").and_then(|value| value.to_str().ok());
        return Err(wire::refusal(status, wait, &body.unwrap_or_default()));
    }
    let body = body.map_err(|error| AppsError::Unreachable(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|_| AppsError::Answer("it is not the JSON that Apple documents"))
}

const ANSWER: Duration = Duration::from_secs(60);
const ANSWER_BYTES_MAX: u64 = 16 << 20;
const EVENT_BYTES_MAX: usize = 100;
/// "The provided page index must be greater than 0, and less than the total number of pages": the list became shorter.
const NO_PAGE: u32 = 9650;
const PAGES_MAX: usize = 2000;
const RESTARTS: usize = 4;
