//! API tokens: made once, used from where they may be, ended at once.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use inventory::{By, NewToken, UnixMillis, clock};
use serde_json::json;

use crate::session;
use crate::testing::{Desk, Got, stranger};

/// Makes a token with these scopes, for these networks.
pub(super) async fn make(desk: &Desk, scopes: &[&str], networks: &[&str]) -> String {
    let expires_at = clock::now().plus_secs(86_400);
    let body = json!({"name": "Prüfung", "scopes": scopes, "networks": networks, "expires_at": expires_at});
    let got = desk.json(Method::POST, "/api/v1/tokens", body).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
    got.json()["token"].as_str().unwrap().to_owned()
}

async fn with(desk: &Desk, token: &str, method: Method, path: &str) -> Got {
    let request = stranger(&method, path).header(header::AUTHORIZATION, format!("Bearer {token}"));
    desk.ask(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn a_token_is_shown_once_works_at_once_and_ends_at_once() {
    let desk = Desk::new().await;
    let fields = [
        ("name", "Stadt"),
        ("scope_devices", "write"),
        ("expires", "2026-01-01"),
        ("networks", "10.77.0.0/16 2001:db8::1"),
    ];
    let got = desk.post("/tokens", &fields).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(got.body.contains("höchstens 400 Tage") && got.body.contains("value=\"Stadt\""), "{}", got.body);

    let later = jiff::Zoned::now().date().saturating_add(jiff::Span::new().days(30)).to_string();
    let mut fields = fields;
    fields[2].1 = &later;
    let shown = desk.post("/tokens", &fields).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.body);
    let at = shown.body.find("hm_").unwrap();
    let token = shown.body[at..].split('<').next().unwrap().to_owned();
    assert!(!desk.get("/tokens").await.body.contains(&token));

    assert_eq!(with(&desk, &token, Method::GET, "/api/v1/rooms").await.status, StatusCode::OK);
    let request = stranger(&Method::POST, "/api/v1/rooms")
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header("sec-fetch-site", "cross-site")
        .header(header::CONTENT_TYPE, "application/json");
    let made = desk.ask(request.body(Body::from(r#"{"name": "Raum 9"}"#)).unwrap()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let log = desk.inventory.changes_since(0, 500).await.unwrap();
    assert_eq!(log.last().unwrap().actor, "token Stadt");
    let listed = desk.inventory.tokens().await.unwrap().0;
    let stadt = listed.iter().find(|known| known.name == "Stadt").unwrap();
    assert!(stadt.last_used_at.is_some());
    assert_eq!(stadt.networks, ["10.77.0.0/16", "2001:db8::1/128"]);
    assert!(!format!("{log:?} {listed:?}").contains(&token), "the token is kept nowhere");

    assert_eq!(desk.post(&format!("/tokens/{}/delete", stadt.id), &[]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(with(&desk, &token, Method::GET, "/api/v1/rooms").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_token_is_void_elsewhere_and_after_its_day() {
    let desk = Desk::new().await;
    let token = make(&desk, &["devices:read"], &["192.0.2.0/24"]).await;
    let got = with(&desk, &token, Method::GET, "/api/v1/rooms").await;
    assert_eq!(got.status, StatusCode::UNAUTHORIZED, "from 10.77.1.20");
    assert!(got.json()["remedy"].as_str().unwrap().contains("addresses"));

    let (scopes, token) = (["devices:read".to_owned()], format!("hm_{}", "A".repeat(40)));
    let hash = session::token_hash(&token);
    let by = By { actor: "admin", at: UnixMillis(1000) };
    let expires_at = UnixMillis(clock::now().0 - 1);
    let new = NewToken { name: "alt", hash: &hash, scopes: &scopes, networks: &[], expires_at };
    desk.inventory.create_token(by, new).await.unwrap();
    assert_eq!(with(&desk, &token, Method::GET, "/api/v1/rooms").await.status, StatusCode::UNAUTHORIZED);
    for (scopes, life) in
        [(json!(["own:read"]), 60), (json!([]), 60), (json!(["devices:read"]), 500 * 86_400)]
    {
        let expires_at = clock::now().plus_secs(life);
        let body = json!({"name": "neu", "scopes": scopes, "expires_at": expires_at});
        let got = desk.json(Method::POST, "/api/v1/tokens", body).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{scopes} {life}");
    }
}

#[tokio::test]
async fn guessing_tokens_is_slowed_down_but_a_good_one_is_never_held_up() {
    let desk = Desk::new().await;
    let token = make(&desk, &["devices:read"], &[]).await;
    let mut statuses = Vec::new();
    for n in 0..70 {
        let wrong = format!("hm_{n:040}");
        statuses.push(with(&desk, &wrong, Method::GET, "/api/v1/rooms").await.status);
    }
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 60);
    assert_eq!(statuses.last(), Some(&StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(with(&desk, &token, Method::GET, "/api/v1/rooms").await.status, StatusCode::OK);
    assert_eq!(desk.get("/rooms").await.status, StatusCode::OK);
}

/// With a token, a program keeps pupils and teachers; whoever rules the school is out of its reach.
#[tokio::test]
async fn a_token_cannot_touch_admins() {
    let desk = Desk::new().await;
    let token = make(&desk, &["people:write"], &[]).await;
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap();
    let path = |id: inventory::UserId| format!("/api/v1/people/{id}");
    assert_eq!(with(&desk, &token, Method::DELETE, &path(admin.id)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(
        with(&desk, &token, Method::DELETE, &path(desk.school.pupil)).await.status,
        StatusCode::NO_CONTENT
    );
}
