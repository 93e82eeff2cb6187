//! When there is a round with Apps and Books, and what comes of it.

use std::sync::Arc;
use std::time::Duration;

use inventory::mdm::{App, AppleKind, AppleService};
use inventory::{Change, UnixMillis, clock};
use serde_json::{Value, json};

use super::client::Books;
use super::plan;
use super::round::{self, Found, Trouble};
use super::wire::{AppsError, MdmInfo};
use crate::keep::pause_after;
use crate::server::Server;

/// Keeps licences and iPads as they should be. `url` is where iPads reach this server.
pub(crate) async fn run(server: Arc<Server>, books: Books, url: String) {
    let mut keeper = Keeper {
        ours: round::ours(&url),
        books,
        next: UnixMillis(0),
        not_before: UnixMillis(0),
        open: false,
        failures: 0,
        gather: pause_after(UnixMillis(0), UnixMillis(0)),
    };
    loop {
        if let Err(error) = keeper.look(&server).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look after apps; trying again");
        }
        keeper.wait(&server).await;
    }
}

struct Keeper {
    books: Books,
    ours: MdmInfo,
    /// Apple is not asked before; at that time it is asked in any case.
    next: UnixMillis,
    /// Apple asked to be left alone until then.
    not_before: UnixMillis,
    /// Something is under way at Apple.
    open: bool,
    /// How often Apple did not answer in a row.
    failures: u32,
    /// How long changes are gathered before they are looked at.
    gather: Duration,
}

impl Keeper {
    /// Waits until something changed that has to do with apps, or it is time to look anyway.
    async fn wait(&self, server: &Server) {
        let look = tokio::time::sleep(self.pause(clock::now()));
        tokio::time::sleep(self.gather).await;
        tokio::select! {
            () = look => {}
            () = server.heard.apps.notified() => {}
        }
    }

    /// How long nothing has to be done if nothing changes.
    fn pause(&self, now: UnixMillis) -> Duration {
        let to_next = u64::try_from(self.next.0.saturating_sub(now.0)).ok().filter(|millis| *millis > 0);
        let look = if self.open { OPEN } else { LOOK_ANYWAY };
        to_next.map_or(look, |millis| look.min(Duration::from_millis(millis)))
    }

    async fn look(&mut self, server: &Server) -> inventory::Result<()> {
        let now = clock::now();
        let service = server.inventory.apple_service(AppleKind::Apps).await?;
        if let Some(service) = service.filter(|service| service.imported)
            && self.is_time(server, &service, now).await?
        {
            let ended = round::round(server, &self.books, &self.ours, &service).await;
            self.note(server, &service, now, ended).await?;
        }
        let before = clock::now();
        server.tell_apps(before).await?;
        self.gather = pause_after(before, clock::now());
        notice(server).await
    }

    /// Apple is asked when something is to be done, when a person wants it, and now and then; not while it asks to wait.
    async fn is_time(
        &self,
        server: &Server,
        service: &AppleService,
        now: UnixMillis,
    ) -> inventory::Result<bool> {
        let since = |name: &str| service.settings.get(name).and_then(Value::as_i64).unwrap_or(0);
        let checked = service.checked_at.unwrap_or(UnixMillis(0));
        if now < self.not_before {
            return Ok(false);
        }
        if service.checked_at.is_none() || since("asked_at") >= checked.0 || now >= self.next {
            return Ok(true);
        }
        if self.failures > 0 {
            return Ok(false);
        }
        let (licences, _) = server.inventory.app_licences().await?;
        Ok(plan::is_unsettled(&server.app_wishes().await?, &licences, now))
    }

    async fn note(
        &mut self,
        server: &Server,
        service: &AppleService,
        began: UnixMillis,
        ended: Result<Found, Trouble>,
    ) -> inventory::Result<()> {
        let now = clock::now();
        let other = match &ended {
            Err(Trouble::Conflict(other)) => {
                json!({ "id": other.id, "name": other.name, "metadata": other.metadata })
            }
            _ => Value::Null,
        };
        self.open = ended.as_ref().is_ok_and(|found| found.open);
        let (location, problem) = match ended {
            Ok(found) => {
                (self.failures, self.next) = (0, now.plus_secs(SYNC_SECS));
                let (id, name) = found.location;
                (json!({ "id": id, "name": name }), None)
            }
            Err(Trouble::Inventory(error)) => return Err(error),
            Err(trouble) => {
                self.failures = self.failures.saturating_add(1);
                self.next = now.plus_secs(pause(&trouble, self.failures));
                if matches!(trouble, Trouble::Apps(AppsError::Busy(Some(_)))) {
                    self.not_before = self.next;
                }
                tracing::warn!(
                    error = &trouble as &dyn std::error::Error,
                    "licences of apps are not up to date"
                );
                (service.state.get("location").cloned().unwrap_or(Value::Null), Some(trouble.to_string()))
            }
        };
        let state = json!({ "location": location, "other": other });
        // Whatever a person wanted after the beginning is still to be done.
        server.inventory.note_apple_service(server.by(began), service, &state, problem.as_deref()).await
    }
}

/// How long Apple is left alone: as long as it asks for, a minute and twice as long each time, or until a person did something.
fn pause(trouble: &Trouble, failures: u32) -> u64 {
    let again = AGAIN_SECS.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(SYNC_SECS_MAX);
    match trouble {
        Trouble::Apps(AppsError::Busy(Some(wait))) => wait.as_secs().max(1),
        Trouble::Apps(AppsError::Expired | AppsError::Revoked | AppsError::Unauthorized)
        | Trouble::Conflict(_)
        | Trouble::Token => SYNC_SECS_MAX,
        _ => again,
    }
}

/// Whether a change has to do with apps. What iPads say of their commands does not.
pub(crate) fn concerns(change: &Change) -> bool {
    match change.entity.as_str() {
        "app" | "apple_service" | "device" | "room" | "group" | "user" => true,
        "ipad" => matches!(change.action.as_str(), "reachable" | "left" | "reported" | "authenticated"),
        _ => false,
    }
}

/// Says what a person has to look at.
async fn notice(server: &Server) -> inventory::Result<()> {
    let service = server.inventory.apple_service(AppleKind::Apps).await?;
    let mut found: Vec<(String, String, String)> = Vec::new();
    if let Some(problem) = service.as_ref().and_then(|service| service.problem.clone()) {
        let other =
            service.as_ref().is_some_and(|service| !service.state.get("other").is_none_or(Value::is_null));
        let remedy = if other {
            REMEDY_OTHER
        } else if problem.contains("token") {
            REMEDY_TOKEN
        } else {
            REMEDY_WAIT
        };
        found.push(("apple/apps".to_owned(), problem, remedy.to_owned()));
    }
    for app in server.inventory.apps().await?.iter().filter(|app| app.lacking > 0) {
        let text = format!("{} iPads have no licence of the app {}", app.lacking, called(app));
        found.push((format!("apps/{}", app.id), text, REMEDY_LACKING.to_owned()));
    }
    server.inventory.set_notices(server.by(clock::now()), SOURCE, &found).await
}

fn called(app: &App) -> String {
    if app.name.is_empty() { app.id.to_string() } else { app.name.clone() }
}

/// Name in the notices.
const SOURCE: &str = "mdm/apps";
const REMEDY_TOKEN: &str =
    "download a new content token from Apple School Manager and import it on the page Apps";
const REMEDY_OTHER: &str = "let the other server go first, or take over on the page Apps";
const REMEDY_WAIT: &str = "this server tries again by itself; see whether it reaches the internet";
const REMEDY_LACKING: &str = "get more licences in Apple School Manager, or give the app to fewer iPads";
/// Apple's counts are looked at so often when nothing is to be done.
const SYNC_SECS: u64 = 900;
const SYNC_SECS_MAX: u64 = 3600;
const AGAIN_SECS: u64 = 60;
const OPEN: Duration = Duration::from_secs(5);
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
