//! Things that this crate's tests need: an app on a temporary database with a school in it, and a way to ask it.

pub(crate) mod sample;

pub(crate) use sample::programs::program;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use inventory::ca::Authority;
use inventory::config::Site;
use inventory::{By, Inventory, Role, UnixMillis, UserId, clock, password};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::app::App;
use crate::live::{Following, Live};
use crate::{Config, routes, session};
use inventory::vault::Vault;

/// An app with an admin who is signed in.
pub(crate) struct Desk {
    pub(crate) inventory: Inventory,
    pub(crate) school: sample::School,
    pub(crate) app: App,
    pub(crate) authority: Authority,
    router: Router,
    cookie: String,
    following: Option<Following>,
    _dir: TempDir,
}

/// The sample school with an admin who is signed in, made once for all desks of a test.
struct Model {
    dir: TempDir,
    school: sample::School,
    token: String,
}

static MODEL: tokio::sync::OnceCell<Model> = tokio::sync::OnceCell::const_new();
/// The database of the model.
const COPY: &str = "copy.db";

impl Model {
    async fn make() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/t.db", dir.path().display());
        let inventory = Inventory::open(&url).await.unwrap();
        let keys = dir.path().join("keys");
        Authority::ensure(&keys, "Testschule").unwrap();
        let school = sample::fill(&inventory, &Vault::open(&keys).unwrap()).await.unwrap();
        let by = By { actor: "init", at: clock::now() };
        let hash = password::hash(PASSWORD).unwrap();
        let admin = inventory.create_user(by, "admin", &hash, Role::SchoolAdmin).await.unwrap();
        let token = session::fresh_token();
        let ends = by.at.plus_secs(session::SESSION_SECS);
        inventory.create_session(by, admin, &session::token_hash(&token), ends).await.unwrap();
        inventory.export(&url, &dir.path().join(COPY)).await.unwrap();
        inventory.close().await;
        Self { dir, school, token }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: StatusCode,
    pub(crate) head: Response<()>,
    pub(crate) body: String,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.head.headers().get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    /// The value of a cookie that was set.
    pub(crate) fn cookie(&self, name: &str) -> Option<String> {
        let values = self.head.headers().get_all(header::SET_COOKIE).iter();
        let pairs = values.filter_map(|v| v.to_str().unwrap().split(';').next().unwrap().split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
    }
}

impl Desk {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    /// One with another configuration.
    pub(crate) async fn with(config: Config) -> Self {
        let model = MODEL.get_or_init(Model::make).await;
        let dir = tempfile::tempdir().unwrap();
        let portal = Some("netz.schule.example".to_owned().try_into().unwrap());
        let site = Site { data_dir: dir.path().to_owned(), portal, ..Site::default() };
        std::fs::copy(model.dir.path().join(COPY), dir.path().join("t.db")).unwrap();
        std::fs::create_dir(site.keys_dir()).unwrap();
        for key in std::fs::read_dir(model.dir.path().join("keys")).unwrap().map(Result::unwrap) {
            std::fs::copy(key.path(), site.keys_dir().join(key.file_name())).unwrap();
        }
        let inventory = Inventory::open(&format!("sqlite://{}/t.db", dir.path().display())).await.unwrap();
        let vault = Vault::open(&site.keys_dir()).unwrap();
        let (school, token) = (model.school, &model.token);
        let (live, following) = Live::follow(inventory.clone()).await.unwrap();
        let authority = Authority::open(&site.keys_dir()).unwrap();
        let pem = authority.pem().to_owned();
        let app = App::new(&site, &config, inventory.clone(), live, vault, pem).unwrap();
        let router = routes::router(app.clone());
        let cookie = format!("{}={token}", session::COOKIE);
        Self { inventory, school, app, authority, router, cookie, following: Some(following), _dir: dir }
    }

    /// A cookie of somebody with that role.
    pub(crate) async fn sign_in_as(&self, role: Role) -> String {
        let by = By { actor: "init", at: clock::now() };
        let user = self.inventory.create_user(by, &format!("{}-x", role.text()), "x", role).await.unwrap();
        self.session_of(user, 0).await
    }

    /// A cookie of somebody who gave the password so many minutes ago.
    pub(crate) async fn session_of(&self, user: UserId, minutes_ago: i64) -> String {
        let at = UnixMillis(clock::now().0 - minutes_ago * 60_000);
        let token = session::fresh_token();
        let (by, ends) = (By { actor: "init", at }, at.plus_secs(session::SESSION_SECS));
        self.inventory.create_session(by, user, &session::token_hash(&token), ends).await.unwrap();
        format!("{}={token}", session::COOKIE)
    }

    /// Asks with a cookie; with fields, sends them as a form.
    pub(crate) async fn ask_as(&self, cookie: &str, path: &str, fields: Option<&[(&str, &str)]>) -> Got {
        let method = if fields.is_some() { Method::POST } else { Method::GET };
        let request = stranger(&method, path).header(header::COOKIE, cookie);
        match fields {
            Some(fields) => self.ask(form(request, fields)).await,
            None => self.ask(request.body(Body::empty()).unwrap()).await,
        }
    }

    /// Ends what tells open pages of changes, as stopping the server does.
    pub(crate) fn stop_following(&mut self) {
        self.following = None;
    }

    /// A request by the admin; other headers as given.
    pub(crate) fn request(&self, method: &Method, path: &str) -> axum::http::request::Builder {
        stranger(method, path).header(header::COOKIE, &self.cookie)
    }

    /// The answer with its body still to come.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn ask(&self, request: Request<Body>) -> Got {
        let (head, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Got { status: head.status, head: Response::from_parts(head, ()), body }
    }

    pub(crate) async fn get(&self, path: &str) -> Got {
        self.ask(self.request(&Method::GET, path).body(Body::empty()).unwrap()).await
    }

    /// Sends a form as a browser does.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let request = self.request(&Method::POST, path).header("sec-fetch-site", "same-origin");
        self.ask(form(request, fields)).await
    }

    /// Sends a form with a file as a browser does.
    pub(crate) async fn upload(&self, path: &str, fields: &[(&str, &str)], file: &[u8]) -> Got {
        let request = self.request(&Method::POST, path).header("sec-fetch-site", "same-origin");
        self.ask(multipart(request, fields, "liste <1>.csv", file)).await
    }

    /// Sends one file under its name.
    pub(crate) async fn upload_as(&self, path: &str, file_name: &str, file: &[u8]) -> Got {
        let request = self.request(&Method::POST, path).header("sec-fetch-site", "same-origin");
        self.ask(multipart(request, &[], file_name, file)).await
    }

    /// Sends JSON as a program does.
    pub(crate) async fn json(&self, method: Method, path: &str, body: serde_json::Value) -> Got {
        let request = self.request(&method, path).header(header::CONTENT_TYPE, "application/json");
        self.ask(request.body(Body::from(body.to_string())).unwrap()).await
    }
}

/// A request by nobody.
pub(crate) fn stranger(method: &Method, path: &str) -> axum::http::request::Builder {
    let address = "10.77.1.20:50000".parse().unwrap();
    let peer = httpd::Peer { address, local: "10.77.0.1:443".parse().unwrap(), certificates: [].into() };
    Request::builder().method(method).uri(path).header(header::HOST, "server").extension(peer)
}

/// Gives a request a form as its body.
pub(crate) fn form(request: axum::http::request::Builder, fields: &[(&str, &str)]) -> Request<Body> {
    let pairs: Vec<String> = fields
        .iter()
        .map(|(key, value)| format!("{key}={}", crate::guard::percent(value).replace('/', "%2F")))
        .collect();
    let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    request.body(Body::from(pairs.join("&"))).unwrap()
}

/// Gives a request a form with a file as its body.
pub(crate) fn multipart(
    request: axum::http::request::Builder,
    fields: &[(&str, &str)],
    file_name: &str,
    file: &[u8],
) -> Request<Body> {
    let mut body = Vec::new();
    for (name, value) in fields {
        let part = format!("--grenze\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend(part.into_bytes());
    }
    let head = format!(
        "--grenze\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{file_name}\"\r\n\r\n"
    );
    body.extend([head.as_bytes(), file, b"\r\n--grenze--\r\n"].concat());
    request
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=grenze")
        .body(Body::from(body))
        .unwrap()
}

/// The admin's password.
pub(crate) const PASSWORD: &str = "Hausmeister 1";
