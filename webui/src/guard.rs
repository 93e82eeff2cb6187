//! What stands before and behind every handler: the check that a request comes from our own pages, the check of who may, the
//! rendering of failures, and the headers that tell browsers what to refuse.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};
use httpd::Peer;
use inventory::clock;
use serde::Serialize;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failed, Failure};
use crate::lang::Lang;
use crate::page::Page;
use crate::problem::Said;
use crate::rights::{self, Right};
use crate::{bearer, fresh, session};

/// Who may call a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// Whoever is signed in and has the right.
    Needs(Right),
}

/// What a route asks beside the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    /// An own password, and a second factor where the school asks for one. The routes without are those by which people get there.
    pub(crate) settled: bool,
    /// That a person gave the password within the last quarter of an hour. No token has one to give.
    pub(crate) fresh: bool,
}

/// Layer of every route that is not public: finds whom the request speaks for and lets it pass if they may.
pub(crate) async fn admit(
    State((app, right, proof)): State<(App, Right, Proof)>,
    request: Request,
    next: Next,
) -> Response {
    match check(&app, right, proof, request).await {
        Ok(request) => next.run(request).await,
        Err(answer) => answer,
    }
}

/// The request with whom it speaks for, or the answer to one that may not pass.
async fn check(app: &App, right: Right, proof: Proof, mut request: Request) -> Result<Request, Response> {
    let address = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
    let me = match caller(app, request.headers(), address).await {
        Ok(Some(me)) => me,
        Ok(None) => return Err(turned_away(request.method(), request.uri())),
        Err(failure) => return Err(failure.into_response()),
    };
    if !may(&me, right, request.method(), request.uri()) {
        return Err(Failure::Forbidden.into_response());
    }
    if proof.settled
        && let Some(failure) = unsettled(app, &me)
    {
        // A page leads to where it is settled; a program is told.
        let to_page = request.method() == Method::GET && !for_programs(request.uri());
        return Err(if to_page { Redirect::to(SETTLE).into_response() } else { failure.into_response() });
    }
    request.extensions_mut().insert(me.clone());
    match (proof.fresh && !me.is_fresh(), is_api(request.uri())) {
        (false, _) => Ok(request),
        (true, true) => Err(Failure::PasswordNeeded.into_response()),
        (true, false) => fresh::ask(app, &me, request).await,
    }
}

/// Whom a request speaks for: a token, if it shows one, else the person of its session.
async fn caller(app: &App, headers: &HeaderMap, address: Option<IpAddr>) -> Answer<Option<SignedIn>> {
    if !bearer::is_shown(headers) {
        return signed_in(app, headers).await;
    }
    bearer::admit(app, headers, address.ok_or(Failure::Internal)?).await.map(Some)
}

fn may(me: &SignedIn, right: Right, method: &Method, uri: &Uri) -> bool {
    match &me.scopes {
        Some(scopes) => is_api(uri) && scopes.iter().any(|scope| scope.opens(right, method)),
        None => rights::has(me.user.role, right),
    }
}

/// What has to be put in order before anything else.
fn unsettled(app: &App, me: &SignedIn) -> Option<Failure> {
    if me.user.password_temporary {
        return Some(Failure::PasswordTemporary);
    }
    let lacks =
        app.school.require_second_factor && rights::is_powerful(me.user.role) && !me.user.second_factor;
    lacks.then_some(Failure::SecondFactorNeeded)
}

/// The person of a request's session, if it stands.
pub(crate) async fn signed_in(app: &App, headers: &HeaderMap) -> Answer<Option<SignedIn>> {
    let Some(token) = session::token(headers) else { return Ok(None) };
    let hash = session::token_hash(token);
    let session = app.inventory.session(&hash, clock::now()).await?;
    Ok(session.map(|session| SignedIn {
        user: Arc::new(session.user),
        session: hash.into(),
        authenticated_at: session.authenticated_at,
        scopes: None,
    }))
}

/// People are sent to the sign-in and come back to their page; programs and fragments get a status.
fn turned_away(method: &Method, uri: &Uri) -> Response {
    let path = uri.path_and_query().map_or("/", |p| p.as_str());
    if for_programs(uri) {
        return Failure::NotSignedIn.into_response();
    }
    if method == Method::GET && path != "/" {
        return Redirect::to(&format!("/signin?next={}", percent(path))).into_response();
    }
    Redirect::to("/signin").into_response()
}

/// Whether a script reads the answer, and not a person.
fn for_programs(uri: &Uri) -> bool {
    is_api(uri) || uri.path() == "/events" || uri.query().is_some_and(|query| query.contains("fragment=1"))
}

/// Layer around everything.
pub(crate) async fn around(State(app): State<App>, request: Request, next: Next) -> Response {
    let lang = Lang::of(request.headers(), if is_api(request.uri()) { Lang::En } else { app.school.lang });
    let api = is_api(request.uri());
    let asset = request.uri().path().starts_with("/assets/");
    let response = if !from_own_pages(request.method(), request.headers()) {
        Failure::CrossSite.into_response()
    } else {
        match tokio::time::timeout(HANDLER_MAX, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Failure::Busy.into_response(),
        }
    };
    let mut response = render_failure(response, lang, api, &app.school.name);
    let headers = response.headers_mut();
    for (name, value) in SECURITY_HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !asset {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Whether a request that may change something comes from our own pages, or from a program. One with a token does: no browser adds that by
/// itself, and a cookie beside it is not looked at. Browsers say where a request
/// comes from in `Sec-Fetch-Site`; where that is missing (it needs a trustworthy connection), they say it in `Origin`. A
/// request with neither comes from no browser, so nobody's cookie was used without their knowing.
fn from_own_pages(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || bearer::is_shown(headers) {
        return true;
    }
    if let Some(site) = headers.get("sec-fetch-site") {
        return matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let own = || {
        let origin = origin.to_str().ok()?.strip_prefix("https://")?;
        let host = headers.get(header::HOST)?.to_str().ok()?;
        let bare = |authority: &str| authority.strip_suffix(":443").unwrap_or(authority).to_ascii_lowercase();
        Some(bare(origin) == bare(host))
    };
    own().unwrap_or(false)
}

fn is_api(uri: &Uri) -> bool {
    uri.path().starts_with("/api/")
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    p: Page,
    status: u16,
    said: Said,
    sign_in: bool,
}

/// Why a request of a program fails.
#[derive(Serialize, schemars::JsonSchema)]
#[schemars(rename = "Error")]
pub(crate) struct ErrorJson {
    /// What is wrong.
    error: String,
    /// What to do; may be empty.
    remedy: String,
    /// The field of the body that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
}

/// Turns what a handler (or the router itself) reported into a page or into JSON.
fn render_failure(response: Response, lang: Lang, api: bool, school: &str) -> Response {
    let failure = match response.extensions().get::<Failed>() {
        Some(Failed(failure)) => failure.clone(),
        None => match response.status() {
            StatusCode::METHOD_NOT_ALLOWED => Arc::new(Failure::Method),
            StatusCode::PAYLOAD_TOO_LARGE => Arc::new(Failure::Malformed(String::new())),
            _ => return response,
        },
    };
    let status = failure.status();
    let said = failure.say(lang);
    let mut rendered = if api {
        let field = match &*failure {
            Failure::Input(problems) => {
                problems.first().map(|(field, _)| *field).filter(|field| !field.is_empty())
            }
            _ => None,
        };
        let error = ErrorJson { error: said.text, remedy: said.remedy, field };
        (status, Json(error)).into_response()
    } else {
        let sign_in = *failure == Failure::NotSignedIn;
        let page = ErrorPage { p: Page::bare(lang, school), status: status.as_u16(), said, sign_in };
        match page.render() {
            Ok(html) => (status, Html(html)).into_response(),
            Err(error) => {
                tracing::error!(%error, "the error page failed");
                status.into_response()
            }
        }
    };
    if let Failure::Wait(secs) = *failure {
        rendered.headers_mut().insert(header::RETRY_AFTER, secs.into());
    }
    if let Some(allow) = response.headers().get(header::ALLOW) {
        rendered.headers_mut().insert(header::ALLOW, allow.clone());
    }
    rendered
}

/// Percent-encodes a path for a query value.
pub(crate) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// Where people put their sign-in in order.
const SETTLE: &str = "/password";
/// A handler that takes longer has lost its database.
const HANDLER_MAX: Duration = Duration::from_secs(30);

/// No HSTS on purpose: with it, a browser that does not trust the school's authority yet could not be told to go on.
/// `same-origin` as referrer policy keeps `Origin` in our own forms' requests, which the check above reads.
const SECURITY_HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_and_programs_may_change_something() {
        let check = |pairs: &[(&'static str, &str)], expected: bool| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(from_own_pages(&Method::POST, &headers), expected, "{pairs:?}");
            assert!(from_own_pages(&Method::GET, &headers), "{pairs:?}");
        };
        check(&[], true);
        check(&[("authorization", "Bearer x"), ("sec-fetch-site", "cross-site")], true);
        check(&[("authorization", "Basic x"), ("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "same-origin")], true);
        check(&[("sec-fetch-site", "none")], true);
        check(&[("sec-fetch-site", "same-site")], false);
        check(&[("sec-fetch-site", "cross-site")], false);
        check(&[("sec-fetch-site", "cross-site"), ("origin", "https://a"), ("host", "a")], false);
        check(&[("origin", "https://server"), ("host", "server")], true);
        check(&[("origin", "https://Server:443"), ("host", "server")], true);
        check(&[("origin", "https://server:8443"), ("host", "server:8443")], true);
        check(&[("origin", "https://server:8443"), ("host", "server")], false);
        check(&[("origin", "http://server"), ("host", "server")], false);
        check(&[("origin", "null"), ("host", "server")], false);
        check(&[("origin", "https://evil"), ("host", "server")], false);
        check(&[("origin", "https://server")], false);
    }

    #[test]
    fn a_path_survives_the_way_through_the_query() {
        assert_eq!(percent("/devices?room=a b&q=ü"), "/devices%3Froom%3Da%20b%26q%3D%C3%BC");
    }
}
