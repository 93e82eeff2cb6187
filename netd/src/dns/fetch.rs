//! Fetches subscribed lists: at once when they are new, and again each night.
//!
//! | Standard | What is done here                                                                |
//! |----------|----------------------------------------------------------------------------------|
//! | RFC 9110 | GET with `If-None-Match`, so that a list that did not change is not sent again    |
//!
//! What comes is written to `lists/ID.part`, renamed to `ID.new` when it is complete, and then judged by [`super::book`]. `ID.tag` holds
//! the address and the ETag of the last version that came; its time is when the publisher was asked. Certificates are checked against
//! the system's authorities. Nothing is sent but the address.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory::{By, Inventory, ListId, NameList, UnixMillis, clock};
use tokio::sync::{oneshot, watch};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};

use crate::chain::chain;

/// Asks the publishers.
#[derive(Debug)]
pub(crate) struct Fetcher {
    inventory: Inventory,
    folder: PathBuf,
    authorities: PathBuf,
    /// When each list failed.
    failed: HashMap<ListId, Instant>,
}

/// What a publisher said.
#[derive(Debug, PartialEq, Eq)]
enum Fetched {
    /// A new version lies in the folder.
    New,
    /// Nothing changed.
    Same,
}

impl Fetcher {
    /// A fetcher for this folder, which is made when it is needed.
    pub(crate) fn new(inventory: Inventory, folder: PathBuf, authorities: PathBuf) -> Self {
        Self { inventory, folder, authorities, failed: HashMap::new() }
    }

    /// Looks for lists that are due whenever something changed, and every few minutes.
    pub(crate) async fn follow(mut self, mut changes: watch::Receiver<u64>) {
        loop {
            if let Err(error) = self.fetch_due(clock::now()).await {
                tracing::warn!(error = chain(&error), "cannot see which DNS lists are due");
            }
            tokio::time::sleep(PAUSE).await;
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    async fn fetch_due(&mut self, now: UnixMillis) -> Result<(), inventory::Error> {
        let (lists, _) = self.inventory.name_lists().await?;
        for list in lists {
            let Some(source) = list.source.clone() else { continue };
            let path = self.folder.join(list.id.to_string());
            let waits = self.failed.get(&list.id).is_some_and(|at| clock::instant() - *at < AFTER_FAILURE);
            if !waits && is_due(asked(&path, &source), now) {
                self.fetch_one(&list, source, path).await?;
            }
        }
        Ok(())
    }

    async fn fetch_one(
        &mut self,
        list: &NameList,
        source: String,
        path: PathBuf,
    ) -> Result<(), inventory::Error> {
        let by = By { actor: SOURCE, at: clock::now() };
        let authorities = self.authorities.clone();
        let (told, result) = oneshot::channel();
        // A thread of its own, which a server that stops does not wait for.
        let started = std::thread::Builder::new().name("list".into()).spawn(move || {
            drop(told.send(fetch(&source, &path, &authorities)));
        });
        let result = match started {
            Ok(_) => result.await.unwrap_or_else(|_| Err("the download ended by itself".into())),
            Err(error) => Err(error.to_string()),
        };
        let unreachable = list.problem.as_deref().is_some_and(|problem| problem.starts_with(UNREACHABLE));
        match result {
            Ok(Fetched::New) => self.inventory.offer_list(by, list.id).await?,
            Ok(Fetched::Same) if unreachable => {
                self.inventory.note_list(by, list.id, list.entries, None, false).await?;
                self.inventory.offer_list(by, list.id).await?;
            }
            Ok(Fetched::Same) => {}
            Err(problem) => {
                self.failed.insert(list.id, clock::instant());
                let problem = format!("{UNREACHABLE}: {problem}");
                tracing::info!(list.id = %list.id, problem, "a DNS list could not be fetched");
                if list.problem.as_deref() != Some(&problem) {
                    self.inventory.note_list(by, list.id, list.entries, Some(&problem), false).await?;
                    self.inventory.offer_list(by, list.id).await?;
                }
                return Ok(());
            }
        }
        self.failed.remove(&list.id);
        Ok(())
    }
}

/// Whether a publisher should be asked. `asked` is when he was last asked.
fn is_due(asked: Option<UnixMillis>, now: UnixMillis) -> bool {
    let Some(asked) = asked else { return true };
    let hours = now.millis_since(asked) / HOUR_MILLIS;
    // Night in Germany, in summer and in winter; a server that is off at night asks by day.
    let night = NIGHT_UTC.contains(&(now.0.rem_euclid(24 * HOUR_MILLIS) / HOUR_MILLIS));
    // A clock that was set back makes no list wait.
    !(0..36).contains(&hours) || night && hours >= 12
}

/// When the publisher was last asked for what is at this address.
fn asked(path: &Path, source: &str) -> Option<UnixMillis> {
    let tag = path.with_extension("tag");
    tag_for(path, source)?;
    let since = fs::metadata(tag).ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(UnixMillis(i64::try_from(since.as_millis()).ok()?))
}

/// The ETag of the last version that came from this address; empty if it had none.
fn tag_for(path: &Path, source: &str) -> Option<String> {
    let text = fs::read_to_string(path.with_extension("tag")).ok()?;
    let (from, tag) = text.split_once('\n')?;
    (from == source).then(|| tag.trim().to_owned())
}

/// Asks a publisher. Takes as long as it takes, at most [`WHOLE`].
fn fetch(source: &str, path: &Path, authorities: &Path) -> Result<Fetched, String> {
    let mut request = agent(authorities).get(source);
    if let Some(tag) = tag_for(path, source).filter(|tag| !tag.is_empty() && path.exists()) {
        request = request.header("If-None-Match", tag);
    }
    let mut answer = request.call().map_err(|error| error.to_string())?;
    let tag = answer.headers().get("etag").and_then(|tag| tag.to_str().ok()).unwrap_or_default().to_owned();
    let note = || fs::write(path.with_extension("tag"), format!("{source}\n{tag}\n"));
    match answer.status().as_u16() {
        200 => {
            let body = answer.body_mut().with_config().limit(BYTES_MAX).reader();
            save(body, path).and_then(|()| note()).map_err(|error| error.to_string())?;
            Ok(Fetched::New)
        }
        304 => {
            note().map_err(|error| error.to_string())?;
            Ok(Fetched::Same)
        }
        other => Err(format!("the publisher's server says {other}")),
    }
}

fn save(mut body: impl Read, path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    io::copy(&mut body, &mut file)?;
    file.flush()?;
    file.sync_all()?;
    fs::rename(part, path.with_extension("new"))
}

fn agent(authorities: &Path) -> ureq::Agent {
    let pem = fs::read(authorities).unwrap_or_default();
    let authorities = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(authorities.collect())))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .max_redirects(5)
        .user_agent("Hausmeister")
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(WHOLE))
        .build()
        .into()
}

/// Name in the change log.
const SOURCE: &str = "netd-dns";
const UNREACHABLE: &str = "it cannot be fetched";
const CONNECT: Duration = Duration::from_secs(20);
const WHOLE: Duration = Duration::from_secs(900);
const BYTES_MAX: u64 = 512 << 20;
const HOUR_MILLIS: i64 = 3_600_000;
const NIGHT_UTC: std::ops::Range<i64> = 1..4;
const AFTER_FAILURE: Duration = Duration::from_secs(1800);
const LOOK: Duration = Duration::from_secs(300);
/// Between two looks, however much changes.
const PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use inventory::NewList;

    use super::*;

    /// A publisher who gives each answer once, and tells what he was asked.
    fn publisher(answers: &'static [&'static str]) -> (String, std::thread::JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/list.txt", listener.local_addr().unwrap());
        let thread = std::thread::spawn(move || {
            answers
                .iter()
                .map(|answer| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        let mut byte = [0];
                        stream.read_exact(&mut byte).unwrap();
                        request.extend(byte);
                    }
                    stream.write_all(answer.as_bytes()).unwrap();
                    String::from_utf8(request).unwrap().to_lowercase()
                })
                .collect()
        });
        (address, thread)
    }

    const WHOLE_LIST: &str =
        "HTTP/1.1 200 OK\r\nETag: \"v1\"\r\nContent-Length: 12\r\nConnection: close\r\n\r\nads.example\n";
    const SAME: &str = "HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\nConnection: close\r\n\r\n";
    const HALF: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\nConnection: close\r\n\r\nads.example\n";
    const GONE: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n";

    #[test]
    fn a_list_comes_once_and_again_only_when_it_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lists/x");
        let (source, asked_for) = publisher(&[WHOLE_LIST, SAME]);
        assert_eq!(asked(&path, &source), None);
        assert_eq!(fetch(&source, &path, Path::new("/none")), Ok(Fetched::New));
        assert_eq!(fs::read_to_string(path.with_extension("new")).unwrap(), "ads.example\n");
        fs::rename(path.with_extension("new"), &path).unwrap();
        assert_eq!(fetch(&source, &path, Path::new("/none")), Ok(Fetched::Same));
        let requests = asked_for.join().unwrap();
        assert!(!requests[0].contains("if-none-match") && requests[1].contains("if-none-match: \"v1\""));
        assert!(asked(&path, &source).is_some());
        assert_eq!(asked(&path, "http://elsewhere.example/"), None, "another address is another list");
    }

    #[test]
    fn half_a_list_or_a_wrong_page_never_becomes_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let (source, _asked) = publisher(&[HALF, GONE]);
        assert!(fetch(&source, &path, Path::new("/none")).is_err());
        assert_eq!(fetch(&source, &path, Path::new("/none")), Err("the publisher's server says 404".into()));
        assert!(!path.with_extension("new").exists() && asked(&path, &source).is_none());
    }

    #[test]
    fn publishers_are_asked_at_night() {
        let at = |hours: i64| UnixMillis(hours * HOUR_MILLIS);
        assert!(is_due(None, at(1000)));
        for (asked, now, due) in [
            (24 * 9 + 2, 24 * 9 + 3, false),
            (24 * 9 + 2, 24 * 9 + 20, false),
            (24 * 9 + 2, 24 * 10 + 1, true),
            (24 * 9 + 12, 24 * 10 + 1, true),
            (24 * 9 + 6, 24 * 10 + 18, true),
            (24 * 9 + 20, 24 * 10 + 2, false),
            (24 * 11, 24 * 9, true),
        ] {
            assert_eq!(is_due(Some(at(asked)), at(now)), due, "{asked} {now}");
        }
    }

    #[tokio::test]
    async fn a_publisher_who_cannot_be_reached_is_told_of_and_left_alone_for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("i.db").display());
        let inventory = Inventory::open(&url).await.unwrap();
        let (source, asked_for) = publisher(&[GONE]);
        let (id, by) = (ListId::random(), By { actor: "test", at: UnixMillis(1) });
        let new = NewList { name: "Werbung", source: Some(&source), names: "" };
        inventory.put_name_list(by, id, &new).await.unwrap();
        let mut fetcher = Fetcher::new(inventory.clone(), dir.path().to_owned(), "/none".into());
        fetcher.fetch_due(clock::now()).await.unwrap();
        asked_for.join().unwrap();
        // Nobody listens there now, and nobody is asked.
        fetcher.fetch_due(clock::now()).await.unwrap();
        let (lists, _) = inventory.name_lists().await.unwrap();
        assert_eq!(
            lists[0].problem.as_deref(),
            Some("it cannot be fetched: the publisher's server says 404")
        );
    }
}
