//! Every route × {nobody, admin, another site}.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use inventory::Role;

use crate::guard::Access;
use crate::rights;
use crate::routes::{self, Route};
use crate::session;
use crate::testing::{Desk, form, stranger};

/// The route's path with ids that exist.
fn path(desk: &Desk, route: &Route) -> String {
    let school = &desk.school;
    let id = match route.path.trim_start_matches("/api/v1").split('/').nth(1) {
        Some("waiting") if route.path.ends_with("forget") => school.rejected.to_string(),
        Some("waiting") => school.waiting.to_string(),
        Some("devices") => school.device.to_string(),
        Some("rooms") => school.empty_room.to_string(),
        Some("images") => school.image.to_string(),
        Some("jobs") => school.job.to_string(),
        Some("networks") => school.network.to_string(),
        Some("room") => school.empty_room.to_string(),
        Some("exams") => school.exam.to_string(),
        Some("class" | "groups") => school.class.to_string(),
        Some("gate") => match route.path.split('/').nth(5 - 1) {
            Some("rooms") => school.empty_room.to_string(),
            Some("groups") => school.class.to_string(),
            _ => school.device.to_string(),
        },
        _ => String::new(),
    };
    route.path.replace("{id}", &id).replace("{file}", "icon.svg")
}

/// A request that would succeed, if its sender may.
fn fitting(route: &Route, request: axum::http::request::Builder) -> Request<Body> {
    if route.method == Method::GET {
        return request.body(Body::empty()).unwrap();
    }
    if route.path.starts_with("/api/") {
        let body = r#"{"name": "neuer-name", "room": "Raum 204", "image": "Debian Schule"}"#;
        let body = if route.path.ends_with("/deploy") { "{}" } else { body };
        return request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    }
    form(request, &[("name", "neuer-name"), ("room", "Raum 204"), ("image", "Debian Schule"), ("lang", "en")])
}

/// A number that grows with every change of anything that a route can change.
async fn state(desk: &Desk) -> (i64, usize) {
    let sessions = desk.get("/api/v1/rooms").await;
    assert_eq!(sessions.status, StatusCode::OK, "the admin's session stands");
    (desk.inventory.last_change().await.unwrap(), desk.inventory.devices().await.unwrap().0.len())
}

#[tokio::test]
async fn nobody_can_read_or_change_anything_without_signing_in() {
    let desk = Desk::new().await;
    let before = state(&desk).await;
    let expired = session::fresh_token();
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap();
    let long_ago = inventory::By { actor: "admin", at: inventory::UnixMillis(1000) };
    let ended = inventory::UnixMillis(2000);
    desk.inventory.create_session(long_ago, admin.id, &session::token_hash(&expired), ended).await.unwrap();
    let before = (before.0 + 1, before.1);

    for cookie in [String::new(), session::fresh_token(), expired, session::token_hash("x"), "x".into()] {
        for route in routes::table() {
            let path = path(&desk, &route);
            let request = stranger(&route.method, &path)
                .header(header::COOKIE, format!("{}={cookie}", session::COOKIE));
            let got = desk.ask(fitting(&route, request)).await;
            let what = format!("{} {path} with {cookie:?}: {}", route.method, got.status);
            match route.access {
                Access::Public => assert_ne!(got.status, StatusCode::INTERNAL_SERVER_ERROR, "{what}"),
                Access::Needs(_) if path.starts_with("/api/") || path == "/events" => {
                    assert_eq!(got.status, StatusCode::UNAUTHORIZED, "{what}");
                }
                Access::Needs(_) => {
                    assert_eq!(got.status, StatusCode::SEE_OTHER, "{what}");
                    assert!(got.header("location").starts_with("/signin"), "{what}");
                    assert_eq!(got.body, "", "{what}");
                }
            }
            assert_eq!(state(&desk).await, before, "{what}");
        }
    }
}

#[test]
fn the_public_routes_are_these_and_no_others() {
    let public: Vec<String> = routes::table()
        .iter()
        .filter(|route| route.access == Access::Public)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let expected = [
        "GET /signin",
        "POST /signin",
        "POST /signout",
        "POST /language",
        "GET /assets/{file}",
        "GET /hausmeister-ca.crt",
        "GET /healthz",
        "GET /captive-portal",
        "GET /why",
        "POST /api/v1/session",
    ];
    assert_eq!(public, expected);
}

#[tokio::test]
async fn the_admin_may_call_every_route() {
    for route in routes::table() {
        // One school for each: routes delete what the next one needs.
        let desk = Desk::new().await;
        let path = path(&desk, &route);
        let request = desk.request(&route.method, &path).header("sec-fetch-site", "same-origin");
        let response = desk.open(fitting(&route, request)).await;
        let status = response.status();
        let allowed = status.is_success()
            || status == StatusCode::SEE_OTHER
            // The sample body fits no network and no credentials, and an image with an open job stays.
            || matches!(status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST)
            || (status == StatusCode::CONFLICT && path.contains("/images/"));
        assert!(allowed, "{} {path}: {status}", route.method);
        let to = response.headers().get(header::LOCATION).map_or("", |l| l.to_str().unwrap());
        assert!(!to.starts_with("/signin") || path == "/signout", "{} {path} leads to {to}", route.method);
    }
}

/// A teacher in no class, from outside of any room, and a pupil: they get what their role may and nothing else, and are not sent to sign
/// in again.
#[tokio::test]
async fn each_role_may_call_the_routes_of_its_rights_and_no_others() {
    let desk = Desk::new().await;
    for role in Role::ALL.into_iter().filter(|role| *role != Role::SchoolAdmin) {
        let cookie = desk.sign_in_as(role).await;
        for route in routes::table() {
            let Access::Needs(right) = route.access else { continue };
            if route.path.ends_with("/session") || rights::has(role, right) {
                continue;
            }
            let before = desk.inventory.last_change().await.unwrap();
            let request = stranger(&route.method, &path(&desk, &route)).header(header::COOKIE, &cookie);
            let got = desk.ask(fitting(&route, request)).await;
            assert_eq!(got.status, StatusCode::FORBIDDEN, "{role:?} {} {}", route.method, route.path);
            assert_eq!(desk.inventory.last_change().await.unwrap(), before);
        }
    }
}

#[tokio::test]
async fn another_site_cannot_use_the_admins_session() {
    let desk = Desk::new().await;
    let before = state(&desk).await;
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://evil.example"),
    ] {
        for route in routes::table().iter().filter(|route| route.method != Method::GET) {
            let path = path(&desk, route);
            let request = desk.request(&route.method, &path).header(name, value);
            let got = desk.ask(fitting(route, request)).await;
            assert_eq!(got.status, StatusCode::FORBIDDEN, "{} {path} with {name}: {value}", route.method);
        }
    }
    assert_eq!(state(&desk).await, before);
}

#[test]
fn no_body_makes_a_route_fail() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let desk = runtime.block_on(Desk::new());
    // Signing in takes 50 ms and throttles; its parsing is the same extractors'.
    let routes: Vec<Route> = routes::table()
        .into_iter()
        .filter(|r| {
            r.method != Method::GET
                && !r.path.ends_with("/signin")
                && !r.path.contains("session")
                && r.path != "/signout"
        })
        .collect();
    let value = "\\PC{0,20}|[0-9./:-]{0,20}";
    let pair =
        ("name|room|image|replace|ip|mac|cidr|router|pool_first|pool_last|lease|mode|new_room|back", value);
    let json = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..200),
        proptest::collection::hash_map(pair.0, value, 0..8).prop_map(|map| serde_json::to_vec(&map).unwrap()),
    ];
    let fields = proptest::collection::vec(pair, 0..8);
    let mut runner = TestRunner::new(ProptestConfig::with_cases(300));
    let strategy = (0..routes.len(), any::<bool>(), json, fields);
    runner
        .run(&strategy, |(at, as_form, json, fields)| {
            let route = &routes[at];
            let request = desk.request(&route.method, &path(&desk, route));
            let request = if as_form {
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
                form(request, &fields)
            } else {
                request.header(header::CONTENT_TYPE, "application/json").body(Body::from(json)).unwrap()
            };
            let status = runtime.block_on(desk.open(request)).status();
            prop_assert!(!status.is_server_error(), "{} {}: {}", route.method, route.path, status);
            Ok(())
        })
        .unwrap();
}
