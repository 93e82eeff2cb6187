//! Am I locked? The answer for operating systems that ask instead of guessing.
//!
//! | Standard | What is done here                                                                                        |
//! |----------|----------------------------------------------------------------------------------------------------------|
//! | RFC 8908 | `application/captive+json`: locked or not, where a person reads why, how long it lasts                     |
//! | RFC 8910 | section 2: whoever does not ask for that type is led to the page; netd tells the address by DHCP, option 114 |
//!
//! **Where this works.** RFC 8908 section 4 demands HTTPS with a certificate that the device trusts, and a device that cannot check it
//! must not believe the answer. The school's own authority is known to managed devices only, and those need no portal; a pupil's phone
//! does not know it. So nothing is offered unless the admin gives the server a name of the world (`portal` in `[site]`) and a certificate
//! for it that everybody trusts (`certificate` and `key` in `[webui]`). Everywhere else devices guess as they always did: they fetch a
//! page over plain HTTP, are led to [`crate::why`], and show it. Both ways show the same page.
//!
//! Not done: `venue-info-url`, `bytes-remaining`. A person cannot end a lock there, so `can-extend-session` is false.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect};
use axum::{Extension, Json};
use httpd::{Named, Peer};
use inventory::gate::{Level, Segment};
use inventory::{By, Inventory, Portal, UnixMillis, clock};
use serde::Serialize;

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::lessons;
use crate::page::{Here, Visit};
use crate::pages::lesson;

/// Whether somebody is locked, and if not, when they will be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Session {
    captive: bool,
    ends_at: Option<UnixMillis>,
}

/// RFC 8908 section 5.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct CaptiveJson {
    captive: bool,
    user_portal_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds_remaining: Option<u64>,
    can_extend_session: bool,
}

/// `GET /captive-portal`: the answer for the device that asks.
pub(crate) async fn api(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer {
    let Some(portal) = &app.school.portal else { return Err(Failure::NoPage) };
    if !asks_for_json(&headers) {
        return Ok(Redirect::to(Portal::PAGE_PATH).into_response());
    }
    let now = clock::now();
    let session = session(&app, peer.address.ip(), now).await?;
    let remaining = |ends: UnixMillis| u64::try_from(ends.millis_since(now) / 1000).unwrap_or_default();
    let answer = CaptiveJson {
        captive: session.captive,
        user_portal_url: portal.uri(Portal::PAGE_PATH),
        seconds_remaining: session.ends_at.map(remaining),
        can_extend_session: false,
    };
    Ok(([(header::CONTENT_TYPE, CAPTIVE_JSON)], Json(answer)).into_response())
}

/// `GET /why`: *Warum geht es nicht?*, without a sign-in, since it is about the device that asks.
pub(crate) async fn page(State(app): State<App>, Extension(peer): Extension<Peer>, visit: Visit) -> Answer {
    visit.show(&lesson::status_page(&app, visit.page(Here::Nowhere), &peer).await?)
}

/// RFC 8908 section 4: who wants this type says so.
fn asks_for_json(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|accept| accept.to_str().ok());
    let mut types = accepted.flat_map(|accept| accept.split(',')).filter_map(|part| part.split(';').next());
    types.any(|kind| kind.trim().eq_ignore_ascii_case(CAPTIVE_JSON))
}

async fn session(app: &App, address: IpAddr, now: UnixMillis) -> Answer<Session> {
    let (networks, _) = app.inventory.gated_networks().await?;
    let network = match address {
        IpAddr::V4(ip) => networks.iter().find(|network| network.cidr.contains(ip)),
        IpAddr::V6(_) => None,
    };
    let Some(network) = network else { return Ok(Session { captive: false, ends_at: None }) };
    let Some(device) = lessons::device_at(app, address).await? else {
        return Ok(Session { captive: locks(network.setting.level), ends_at: None });
    };
    let (book, _) = app.inventory.gate_book(now).await?;
    Ok(session_of(&book.timeline(&device.subject, now, SEGMENTS), network.setting.level))
}

/// What a device's timeline means, where its network says `standard`.
fn session_of(segments: &[Segment], standard: Level) -> Session {
    let is_captive = |segment: &Segment| locks(segment.verdict.setting.map_or(standard, |s| s.level));
    let captive = segments.first().map_or(locks(standard), is_captive);
    let free = segments.iter().take_while(|segment| !is_captive(segment)).count();
    let locked_later = segments.get(free).is_some();
    let ends_at = segments.get(..free).and_then(<[Segment]>::last).and_then(|last| last.until);
    Session { captive, ends_at: ends_at.filter(|_| locked_later) }
}

fn locks(level: Level) -> bool {
    matches!(level, Level::Off | Level::AllowList)
}

/// Keeps the portal's certificate up to date, and tells the admin when it cannot be used.
#[derive(Debug)]
pub(crate) struct Keeper {
    inventory: Inventory,
    named: Arc<Named>,
    host: String,
    files: Option<(PathBuf, PathBuf)>,
}

impl Keeper {
    pub(crate) fn new(
        inventory: Inventory,
        portal: &Portal,
        files: Option<(PathBuf, PathBuf)>,
    ) -> (Self, Arc<Named>) {
        let named = Arc::new(Named::new(portal.host()));
        let host = portal.host().to_owned();
        (Self { inventory, named: Arc::clone(&named), host, files }, named)
    }

    /// Reads the files, and again every hour: such certificates are renewed every few weeks.
    pub(crate) async fn keep(self) {
        loop {
            self.look().await;
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads the files once.
    pub(crate) async fn look(&self) {
        let problem = self.read().await.err().map(|problem| {
            tracing::warn!(host = self.host, problem, "the portal's certificate cannot be used");
            let text = format!("the certificate of {} cannot be used: {problem}", self.host);
            ("certificate".to_owned(), text, REMEDY.to_owned())
        });
        let by = By { actor: SOURCE, at: clock::now() };
        let found: Vec<_> = problem.into_iter().collect();
        if let Err(error) = self.inventory.set_notices(by, SOURCE, &found).await {
            tracing::warn!(%error, "cannot write notices");
        }
    }

    async fn read(&self) -> Result<(), String> {
        let (certificate, key) =
            self.files.as_ref().ok_or("`certificate` and `key` are missing in [webui]")?;
        let (certificate, key) = (read(certificate).await?, read(key).await?);
        self.named.replace(&certificate, &key).map_err(|error| error.to_string())
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    tokio::fs::read(path).await.map_err(|error| format!("cannot read {}: {error}", path.display()))
}

const CAPTIVE_JSON: &str = "application/captive+json";
/// Changes ahead that are looked at.
const SEGMENTS: usize = 8;
const LOOK: Duration = Duration::from_secs(3600);
/// Source of the notices.
const SOURCE: &str = "webui";
const REMEDY: &str =
    "name a certificate that everybody trusts and its key in [webui], or remove `portal` from [site]";

#[cfg(test)]
mod tests {
    use inventory::gate::{Cause, Verdict};

    use super::*;

    #[test]
    fn a_session_ends_when_the_device_will_be_locked() {
        use Level::{AllowList, Filtered, Off, On};
        let check = |levels: &[Option<Level>], standard, captive, ends_at: Option<i64>| {
            let segments: Vec<Segment> = (1..)
                .zip(levels)
                .map(|(minute, level)| Segment {
                    verdict: Verdict { setting: level.map(Into::into), cause: Cause::Network },
                    until: (usize::try_from(minute) != Ok(levels.len())).then_some(UnixMillis(minute)),
                })
                .collect();
            let expected = Session { captive, ends_at: ends_at.map(UnixMillis) };
            assert_eq!(session_of(&segments, standard), expected, "{levels:?} {standard:?}");
        };
        check(&[Some(On)], Off, false, None);
        check(&[Some(On), None], Off, false, Some(1));
        check(&[Some(On), None], Filtered, false, None);
        check(&[Some(On), Some(Filtered), Some(AllowList), None], On, false, Some(2));
        check(&[Some(Off), Some(On)], On, true, None);
        check(&[None], AllowList, true, None);
        check(&[], Off, true, None);
    }

    #[test]
    fn only_who_names_the_type_gets_it() {
        let asks = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            asks_for_json(&headers)
        };
        assert!(asks("application/captive+json") && asks("text/html, Application/Captive+JSON;q=0.5"));
        assert!(!asks("*/*") && !asks("text/html") && !asks("application/captive+jsonx"));
        assert!(!asks_for_json(&HeaderMap::new()));
    }
}
