//! Every route × {nobody, admin, another site}.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use inventory::Role;

use crate::guard::Access;
use crate::openapi;
use crate::rights::{self, Right};
use crate::routes::{self, Route};
use crate::session;
use crate::testing::{Desk, form, stranger};

/// The route's path with ids that exist.
pub(super) fn path(desk: &Desk, route: &Route) -> String {
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
        Some("import" | "imports") if route.path.contains("/people") => school.people_import.to_string(),
        Some("import" | "imports") => school.device_import.to_string(),
        Some("exams") => school.exam.to_string(),
        Some("lists") => school.list.to_string(),
        Some("filters") => school.filter.to_string(),
        Some("timetable") => school.slot.to_string(),
        Some("rules") if route.path.contains("timetable") => school.slot.to_string(),
        Some("rules") => school.lock.to_string(),
        Some("class" | "groups") => school.class.to_string(),
        Some("people") => school.pupil.to_string(),
        Some("faults") => school.fault.to_string(),
        Some("wlan") if route.path.contains("vouchers") => school.voucher.to_string(),
        Some("wlan") => school.access_point.to_string(),
        Some("backups") => crate::testing::sample::SNAPSHOT.to_owned(),
        Some("tokens") => school.token.to_string(),
        Some("invitations") => school.invitation.to_string(),
        Some("apps") => school.app.to_string(),
        Some("software") => school.program.to_string(),
        Some("software-wishes") => school.software_wish.to_string(),
        Some("app-assignments") => school.app_assignment.to_string(),
        Some("ipads") if route.path.contains("invitations") => school.invitation.to_string(),
        Some("ipad-rules") => school.ipad_rule.to_string(),
        Some("ipads") if route.path.contains("rules/{id}") => school.ipad_rule.to_string(),
        Some("ipads") => school.ipad.to_string(),
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
pub(super) fn fitting(route: &Route, request: axum::http::request::Builder) -> Request<Body> {
    if route.method == Method::GET {
        return request.body(Body::empty()).unwrap();
    }
    if route.path.starts_with("/api/") {
        let body = r#"{"name": "neuer-name", "room": "Raum 204", "image": "Debian Schule"}"#;
        let body = match route.path.rsplit('/').next() {
            Some("deploy" | "secret" | "wlan-key") => "{}",
            Some("power") => r#"{"power": "on"}"#,
            Some("backups" | "restore") => "{}",
            Some("rest") => r#"{"rest": true}"#,
            Some("mail") => {
                r#"{"host": "127.0.0.1", "port": 9, "security": "none", "sender": "a@schule.example", "recipients": ["b@schule.example"]}"#
            }
            Some("night") => {
                r#"{"evenings": [true, true, true, true, true, false, false], "begins": 1320, "ends": 360, "image": true, "switch_off": true}"#
            }
            _ => body,
        };
        return request.header(header::CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    }
    form(
        request,
        &[
            ("name", "neuer-name"),
            ("room", "Raum 204"),
            ("image", "Debian Schule"),
            ("lang", "en"),
            ("power", "on"),
            ("host", "127.0.0.1"),
            ("port", "9"),
            ("security", "none"),
            ("sender", "a@schule.example"),
            ("recipients", "b@schule.example"),
            ("begins", "22:00"),
            ("ends", "06:00"),
        ],
    )
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
        "GET /signin/code",
        "POST /signin/code",
        "POST /signout",
        "POST /language",
        "GET /assets/{file}",
        "GET /hausmeister-ca.crt",
        "GET /healthz",
        "GET /captive-portal",
        "GET /why",
        "POST /api/v1/session",
        "GET /api/v1/openapi.json",
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
            // The sample body fits no network and no credentials; an image with an open job and an assigned program stay;
            // nothing is begun beside a restore.
            || matches!(status, StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST)
            || (status == StatusCode::CONFLICT && ["/images/", "/software/", "/backups"].iter().any(|it| path.contains(it)))
            // Apple was asked for nothing yet, and gave nothing; nothing says how e-mail is sent;
            // the room's plan went with the sample form.
            || (status == StatusCode::NOT_FOUND && (path.contains("/apple/") || ["/mail/test", "/night/rest", "/wlan-key", "/wifi-password"].iter().any(|it| path.ends_with(it))));
        assert!(allowed, "{} {path}: {status}", route.method);
        let to = response.headers().get(header::LOCATION).map_or("", |l| l.to_str().unwrap());
        let signs = path == "/signout" || path.starts_with("/signin");
        assert!(!to.starts_with("/signin") || signs, "{} {path} leads to {to}", route.method);
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

/// A token with one scope: it can call what the scope opens and nothing else, no page, and nothing that needs a person.
#[tokio::test]
async fn each_token_may_call_the_routes_of_its_scope_and_no_others() {
    for (right, write) in Right::GRANTABLE.into_iter().flat_map(|right| [(right, false), (right, true)]) {
        let desk = Desk::new().await;
        let scope = format!("{}:{}", right.text(), if write { "write" } else { "read" });
        let token = super::tokens::make(&desk, &[&scope], &[]).await;
        for route in routes::table() {
            let Access::Needs(needed) = route.access else { continue };
            let opens = route.path.starts_with("/api/v1/")
                && needed == right
                && (write || route.method == Method::GET)
                && !route.proof.fresh;
            let before = desk.inventory.last_change().await.unwrap();
            // The admin's cookie beside it changes nothing.
            let request = desk.request(&route.method, &path(&desk, &route));
            let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            let got = desk.ask(fitting(&route, request)).await;
            let what = format!("{scope} {} {}: {} {}", route.method, route.path, got.status, got.body);
            if opens {
                assert!(!matches!(got.status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED), "{what}");
                assert_eq!(openapi::scope(&route).unwrap().split(':').next(), Some(right.text()), "{what}");
            } else {
                assert_eq!(got.status, StatusCode::FORBIDDEN, "{what}");
                assert_eq!(desk.inventory.last_change().await.unwrap(), before, "{what}");
            }
        }
    }
}

/// Whoever finds a page open twenty minutes later can look, but not do what hurts.
#[tokio::test]
async fn what_hurts_needs_a_password_that_was_just_given() {
    let desk = Desk::new().await;
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap();
    let cookie = desk.session_of(admin.id, 20).await;
    let mut fresh = Vec::new();
    for route in routes::table().into_iter().filter(|route| route.proof.fresh) {
        assert_ne!(route.method, Method::GET, "{}: reading changes nothing", route.path);
        let before = desk.inventory.last_change().await.unwrap();
        let request = stranger(&route.method, &path(&desk, &route)).header(header::COOKIE, &cookie);
        let got = desk.ask(fitting(&route, request)).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{} {}", route.method, route.path);
        if !route.path.starts_with("/api/") {
            assert!(got.body.contains("name=\"password-again\""), "{}", route.path);
            assert!(got.body.contains("value=\"neuer-name\""), "{}: the form is carried along", route.path);
        }
        assert_eq!(desk.inventory.last_change().await.unwrap(), before, "{}", route.path);
        fresh.push(format!("{} {}", route.method, route.path));
    }
    let expected = [
        "POST /apple/push/request",
        "POST /apple/push/import",
        "POST /apple/push/forget",
        "POST /apple/ade/request",
        "POST /apple/ade/import",
        "POST /apple/ade/forget",
        "POST /ipads/{id}/insist",
        "POST /apps/token",
        "POST /apps/take-over",
        "POST /software",
        "POST /people/{id}/role",
        "POST /people/{id}/password",
        "POST /people/{id}/second-factor",
        "POST /password/second-factor",
        "POST /password/second-factor/clear",
        "POST /backups/{id}",
        "POST /mail",
        "POST /tokens",
        "POST /wlan/access-points/{id}/secret",
        "POST /devices/{id}/wlan-key",
        "POST /my/wlan/password",
        "PUT /api/v1/second-factor",
        "DELETE /api/v1/second-factor",
        "PUT /api/v1/people/{id}/role",
        "POST /api/v1/people/{id}/password",
        "DELETE /api/v1/people/{id}/second-factor",
        "POST /api/v1/backups/{id}/restore",
        "PUT /api/v1/mail",
        "POST /api/v1/tokens",
        "POST /api/v1/apple/request",
        "POST /api/v1/apple/import",
        "POST /api/v1/apple/forget",
        "POST /api/v1/ipads/{id}/drastic-actions",
        "POST /api/v1/apps/token",
        "POST /api/v1/apps/take-over",
        "POST /api/v1/software",
        "POST /api/v1/wlan/access-points/{id}/secret",
        "POST /api/v1/devices/{id}/wlan-key",
        "POST /api/v1/own/wifi-password",
    ];
    assert_eq!(fresh, expected);
}

/// Whoever has yet to choose an own password, or to set up the second factor that the school asks for, can do that and nothing else.
#[tokio::test]
async fn an_account_that_is_not_in_order_opens_nothing_but_what_mends_it() {
    let required =
        Desk::with(crate::Config { require_second_factor: true, ..crate::Config::default() }).await;
    let lacking = required.inventory.user_by_name("admin").await.unwrap().unwrap();
    let desk = Desk::new().await;
    let by = inventory::By { actor: "admin", at: inventory::clock::now() };
    let new =
        desk.inventory.create_user_with_temporary_password(by, "neu", "x", Role::SchoolAdmin).await.unwrap();
    for (desk, user) in [(&required, lacking.id), (&desk, new)] {
        let cookie = desk.session_of(user, 0).await;
        let mut mending = Vec::new();
        for route in routes::table() {
            let Access::Needs(_) = route.access else { continue };
            if !route.proof.settled {
                mending.push(format!("{} {}", route.method, route.path));
                continue;
            }
            let path = path(desk, &route);
            let before = desk.inventory.last_change().await.unwrap();
            let request = stranger(&route.method, &path).header(header::COOKIE, &cookie);
            let got = desk.ask(fitting(&route, request)).await;
            let what = format!("{} {path}: {}", route.method, got.status);
            if route.method == Method::GET && !path.starts_with("/api/") && path != "/events" {
                assert_eq!(
                    (got.status, got.header("location")),
                    (StatusCode::SEE_OTHER, "/password"),
                    "{what}"
                );
            } else {
                assert_eq!(got.status, StatusCode::FORBIDDEN, "{what}");
            }
            assert_eq!(desk.inventory.last_change().await.unwrap(), before, "{what}");
        }
        let expected = [
            "GET /password",
            "POST /password",
            "GET /password/second-factor",
            "POST /password/second-factor",
            "DELETE /api/v1/session",
            "PUT /api/v1/password",
            "POST /api/v1/second-factor",
            "PUT /api/v1/second-factor",
        ];
        assert_eq!(mending, expected);
        assert_eq!(desk.ask_as(&cookie, "/password", None).await.status, StatusCode::OK);
    }
    let pupil = required.session_of(required.school.pupil, 0).await;
    assert_eq!(required.ask_as(&pupil, "/status", None).await.status, StatusCode::OK, "pupils need none");
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
