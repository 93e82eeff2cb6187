//! The second factor, from setting it up to losing the phone.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use inventory::clock;
use serde_json::json;

use crate::session;
use crate::testing::{Desk, Got, PASSWORD, form, stranger};
use crate::totp::Secret;

/// What stands in the page after a marker, up to a quote or a tag.
fn after<'h>(html: &'h str, marker: &str) -> &'h str {
    let at = html.find(marker).unwrap_or_else(|| panic!("no {marker} in {html}")) + marker.len();
    html[at..].split(['"', '<']).next().unwrap()
}

/// The code so many half minutes from this moment.
fn code(secret: &Secret, later: i64) -> String {
    format!("{:06}", secret.code(clock::now().0 / 30_000 + later))
}

/// Sets one up for the admin; returns it and its recovery codes.
async fn set_up(desk: &Desk) -> (Secret, Vec<String>) {
    let page = desk.get("/password/second-factor").await.body;
    let sealed = after(&page, "name=\"sealed\" value=\"").to_owned();
    let text = after(&page, "<code class=\"secret\">").replace(' ', "");
    let secret = Secret::from_bytes(&data_encoding::BASE32_NOPAD.decode(text.as_bytes()).unwrap()).unwrap();
    assert!(page.contains("<svg class=\"qr\""));

    let wrong = desk.post("/password/second-factor", &[("sealed", &sealed), ("code", "000000")]).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(wrong.body.contains(after(&page, "<code class=\"secret\">")), "the same secret is shown again");
    let got =
        desk.post("/password/second-factor", &[("sealed", &sealed), ("code", &code(&secret, -1))]).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    let codes =
        got.body.split("<code class=\"secret\">").skip(1).map(|c| c.split('<').next().unwrap().to_owned());
    (secret, codes.collect())
}

async fn password_step(desk: &Desk) -> String {
    let fields = [("name", "admin"), ("password", PASSWORD), ("next", "/rooms")];
    let got = desk.ask(form(stranger(&Method::POST, "/signin"), &fields)).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/signin/code?next=/rooms"));
    format!("{}={}", session::COOKIE, got.cookie(session::COOKIE).unwrap())
}

async fn code_step(desk: &Desk, half: &str, code: &str) -> Got {
    desk.ask_as(half, "/signin/code", Some(&[("code", code), ("next", "/rooms")])).await
}

#[tokio::test]
async fn after_the_password_comes_a_code_that_is_good_once() {
    let desk = Desk::new().await;
    let (secret, codes) = set_up(&desk).await;
    assert_eq!(codes.len(), 10);
    let kept =
        desk.inventory.totp_secret(desk.inventory.user_by_name("admin").await.unwrap().unwrap().id).await;
    assert!(!kept.unwrap().unwrap().contains(&secret.text().replace(' ', "")));

    let half = password_step(&desk).await;
    for path in ["/rooms", "/password", "/api/v1/rooms", "/events"] {
        let status = desk.ask_as(&half, path, None).await.status;
        assert!(matches!(status, StatusCode::SEE_OTHER | StatusCode::UNAUTHORIZED), "{path}: {status}");
    }
    assert_eq!(desk.ask_as(&half, "/signin/code", None).await.status, StatusCode::OK);
    for wrong in ["", "000000", "not a code", &code(&secret, -1), &code(&secret, 9)] {
        let got = code_step(&desk, &half, wrong).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(got.cookie(session::COOKIE).is_none());
    }
    let got = code_step(&desk, &half, &code(&secret, 0)).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/rooms"));
    let whole = format!("{}={}", session::COOKIE, got.cookie(session::COOKIE).unwrap());
    assert_ne!(whole, half);
    assert_eq!(desk.ask_as(&whole, "/rooms", None).await.status, StatusCode::OK);
    assert_eq!(
        desk.ask_as(&half, "/signin/code", None).await.status,
        StatusCode::SEE_OTHER,
        "the half is used up"
    );

    let half = password_step(&desk).await;
    let again = code_step(&desk, &half, &code(&secret, 0)).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "somebody looked over the shoulder");
    let recovery = code_step(&desk, &half, &codes[3].to_uppercase()).await;
    assert_eq!(recovery.status, StatusCode::SEE_OTHER);
    let half = password_step(&desk).await;
    assert_eq!(code_step(&desk, &half, &codes[3]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(desk.get("/password").await.body.contains("Noch 9 Ersatzcodes"));
}

#[tokio::test]
async fn guessing_codes_is_slowed_down() {
    let desk = Desk::new().await;
    let (secret, _) = set_up(&desk).await;
    let half = password_step(&desk).await;
    for _ in 0..6 {
        assert_eq!(code_step(&desk, &half, "000000").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    let held = code_step(&desk, &half, &code(&secret, 1)).await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(held.cookie(session::COOKIE).is_none());
}

#[tokio::test]
async fn a_program_gives_password_and_code_at_once() {
    let desk = Desk::new().await;
    let (secret, _) = set_up(&desk).await;
    let sign_in = async |body: serde_json::Value| {
        let request =
            stranger(&Method::POST, "/api/v1/session").header(header::CONTENT_TYPE, "application/json");
        desk.ask(request.body(Body::from(body.to_string())).unwrap()).await
    };
    let got = sign_in(json!({"name": "admin", "password": PASSWORD})).await;
    assert_eq!((got.status, got.json()["field"].as_str()), (StatusCode::UNPROCESSABLE_ENTITY, Some("code")));
    assert!(got.cookie(session::COOKIE).is_none());
    let got = sign_in(json!({"name": "admin", "password": PASSWORD, "code": code(&secret, 0)})).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    assert!(got.cookie(session::COOKIE).is_some());
}

#[tokio::test]
async fn a_lost_phone_is_no_lock_out() {
    let desk = Desk::new().await;
    let by = inventory::By { actor: "init", at: clock::now() };
    let other =
        desk.inventory.create_user(by, "vertretung", "x", inventory::Role::SchoolAdmin).await.unwrap();
    desk.inventory.set_totp(by, other, "sealed elsewhere", 1, &[]).await.unwrap();
    assert!(desk.get(&format!("/people/{other}")).await.body.contains("abschalten"));
    let got = desk.post(&format!("/people/{other}/second-factor"), &[]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert!(!desk.inventory.user(other).await.unwrap().unwrap().second_factor);
    set_up(&desk).await;
    assert_eq!(desk.post("/password/second-factor/clear", &[]).await.status, StatusCode::SEE_OTHER);
    assert!(!desk.inventory.user_by_name("admin").await.unwrap().unwrap().second_factor);
}

/// A secret that somebody else enrolled cannot be planted in another account.
#[tokio::test]
async fn a_sealed_secret_belongs_to_one_account() {
    let desk = Desk::new().await;
    let page = desk.get("/password/second-factor").await.body;
    let sealed = after(&page, "name=\"sealed\" value=\"").to_owned();
    let pupil = desk.session_of(desk.school.pupil, 0).await;
    for sealed in [sealed.as_str(), "", "AAAA"] {
        let fields = [("sealed", sealed), ("code", "123456")];
        let got = desk.ask_as(&pupil, "/password/second-factor", Some(&fields)).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{sealed}");
    }
}
