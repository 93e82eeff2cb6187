//! A web server and an object store on loopback, as they answer to readers of published images.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use inventory::ca::Authority;
use inventory::config::Site;
use tokio::net::TcpListener;

/// Serves a folder over TLS.
pub(crate) struct WebPlace {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ca: PathBuf,
    pub(crate) port: u16,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
    handle: Option<httpd::Handle>,
}

struct Shared {
    dir: PathBuf,
    /// Asked for as a store of this access key, if it is one.
    access_key: Option<&'static str>,
    asked: Mutex<Vec<Asked>>,
    /// How many bytes of packs go out before the line is cut.
    until_cut: AtomicU64,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<(u64, u64)>,
    pub(crate) authorization: Option<String>,
}

impl WebPlace {
    pub(crate) fn web() -> Self {
        Self::new(None)
    }

    pub(crate) fn s3(access_key: &'static str) -> Self {
        Self::new(Some(access_key))
    }

    fn new(access_key: Option<&'static str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let site = Site { data_dir: dir.path().join("server"), ..Site::default() };
        let authority = Authority::ensure(&site.keys_dir(), "Stadt").unwrap();
        let ca = dir.path().join("ca.pem");
        std::fs::write(&ca, authority.pem()).unwrap();
        let certificate = authority.issue_server(&[IpAddr::V4(Ipv4Addr::LOCALHOST)], &[]).unwrap();
        let files = dir.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let shared = Arc::new(Shared {
            dir: files,
            access_key,
            asked: Mutex::default(),
            until_cut: AtomicU64::new(u64::MAX),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let tls = httpd::tls_config(certificate.certificate, certificate.key, None).unwrap();
        let router = Router::new()
            .fallback(answer)
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(shared.clone());
        let handle = {
            let _inside = runtime.enter();
            httpd::serve_tls(listener, tls, router, LIMITS).unwrap()
        };
        let port = handle.address().port();
        Self { dir, ca, port, shared, runtime, handle: Some(handle) }
    }

    pub(crate) fn files(&self) -> PathBuf {
        self.shared.dir.clone()
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub(crate) fn cut_after(&self, bytes: u64) {
        self.shared.until_cut.store(bytes, Ordering::SeqCst);
    }

    /// What was asked for since the last time.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.shared.asked.lock().unwrap())
    }

    /// The only pack, or the one that is not among those.
    pub(crate) fn pack(&self, but: &[PathBuf]) -> PathBuf {
        let packs = files_below(&self.shared.dir);
        let mut packs = packs.into_iter().filter(|p| p.extension().is_some_and(|e| e == "pack"));
        let pack = packs.find(|p| !but.contains(p)).unwrap();
        assert!(packs.all(|p| but.contains(&p)));
        pack
    }
}

impl Drop for WebPlace {
    fn drop(&mut self) {
        if let Some(handle) = self.handle.take() {
            self.runtime.block_on(handle.stop());
        }
    }
}

fn files_below(dir: &std::path::Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

/// The bytes of packs that were asked for, after looking that none was asked for twice.
#[track_caller]
pub(crate) fn pack_bytes(asked: &[Asked]) -> u64 {
    let mut ranges: Vec<(&str, u64, u64)> = asked
        .iter()
        .filter(|a| a.method == "GET" && a.path.ends_with(".pack"))
        .map(|a| {
            let (from, until) = a.range.expect("never a whole pack");
            (a.path.as_str(), from, until)
        })
        .collect();
    ranges.sort_unstable();
    for pair in ranges.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].2 <= pair[1].1, "asked for twice: {pair:?}");
    }
    ranges.iter().map(|(_, from, until)| until - from).sum()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let range = text("range").map(|range| {
        let (from, until) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
        (from.parse::<u64>().unwrap(), until.parse::<u64>().unwrap() + 1)
    });
    let asked = Asked {
        method: method.to_string(),
        path: uri.path().to_owned(),
        range,
        authorization: text("authorization"),
    };
    shared.asked.lock().unwrap().push(asked.clone());
    if let Some(key) = shared.access_key {
        let signed = asked.authorization.unwrap_or_default();
        let scope = format!("AWS4-HMAC-SHA256 Credential={key}/");
        let whole = signed.starts_with(&scope) && signed.contains("/s3/aws4_request, SignedHeaders=");
        if !whole || !signed.contains(", Signature=") || text("x-amz-date").is_none() {
            let code = "<Error><Code>InvalidAccessKeyId</Code></Error>";
            return (StatusCode::FORBIDDEN, code).into_response();
        }
        assert_eq!(uri.query(), None, "plain objects only");
    }
    let path = shared.dir.join(uri.path().trim_start_matches('/'));
    let etag = [(header::ETAG, "\"e\"")];
    match method {
        Method::PUT => {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &body).unwrap();
            (StatusCode::OK, etag).into_response()
        }
        Method::DELETE => {
            let _ = std::fs::remove_file(&path);
            StatusCode::NO_CONTENT.into_response()
        }
        Method::GET | Method::HEAD => {
            let Ok(content) = std::fs::read(&path) else { return StatusCode::NOT_FOUND.into_response() };
            let len = content.len() as u64;
            let (from, until) = range.unwrap_or((0, len));
            let part =
                content[usize::try_from(from).unwrap()..usize::try_from(until.min(len)).unwrap()].to_vec();
            let mut answer = Response::builder().header(header::CONTENT_LENGTH, part.len());
            if range.is_some() {
                answer = answer
                    .status(StatusCode::PARTIAL_CONTENT)
                    .header(header::CONTENT_RANGE, format!("bytes {from}-{}/{len}", until.min(len) - 1));
            }
            if shared.access_key.is_some() {
                answer = answer
                    .header(header::ETAG, "\"e\"")
                    .header(header::LAST_MODIFIED, "Mon, 23 Nov 2026 08:00:00 GMT");
            }
            let is_pack = path.extension().is_some_and(|e| e == "pack");
            answer.body(if is_pack { cut(&shared, part) } else { Body::from(part) }).unwrap()
        }
        other => panic!("{other}"),
    }
}

/// Small pieces, and an end of the line when enough went out.
fn cut(shared: &Arc<Shared>, content: Vec<u8>) -> Body {
    let shared = shared.clone();
    let pieces: Vec<Bytes> = content.chunks(10_000).map(|piece| Bytes::from(piece.to_vec())).collect();
    let pieces = pieces.into_iter().map(move |piece| {
        let len = piece.len() as u64;
        let left = |left: u64| Some(if left == u64::MAX { left } else { left.saturating_sub(len) });
        match shared.until_cut.fetch_update(Ordering::SeqCst, Ordering::SeqCst, left) {
            Ok(left) if left >= len => Ok(piece),
            _ => Err(std::io::Error::other("the line is cut")),
        }
    });
    Body::from_stream(futures_util::stream::iter(pieces))
}

const LIMITS: httpd::Limits = httpd::Limits {
    connections: 64,
    per_address: 64,
    handshake: Duration::from_secs(10),
    head: Duration::from_secs(20),
    body_idle: Duration::from_secs(10),
    unacknowledged: Duration::from_secs(20),
    drain: Duration::from_secs(1),
};
