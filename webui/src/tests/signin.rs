//! Signing in and out.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::json;

use crate::session;
use crate::testing::{Desk, Got, PASSWORD, form, stranger};

async fn try_in(desk: &Desk, name: &str, password: &str, next: &str) -> Got {
    let fields = [("name", name), ("password", password), ("next", next)];
    desk.ask(form(stranger(&Method::POST, "/signin"), &fields)).await
}

async fn with(desk: &Desk, token: &str, method: Method, path: &str) -> StatusCode {
    let cookie = format!("{}={token}", session::COOKIE);
    let request = stranger(&method, path).header(header::COOKIE, cookie);
    desk.ask(request.body(Body::empty()).unwrap()).await.status
}

#[tokio::test]
async fn the_right_password_opens_the_page_that_was_asked_for() {
    let desk = Desk::new().await;
    let got = desk.ask(stranger(&Method::GET, "/devices?q=a%20b").body(Body::empty()).unwrap()).await;
    assert_eq!(got.header("location"), "/signin?next=/devices%3Fq%3Da%2520b");
    let page = desk.ask(stranger(&Method::GET, got.header("location")).body(Body::empty()).unwrap()).await;
    assert!(page.body.contains("value=\"/devices?q=a%20b\""), "{}", page.body);

    let got = try_in(&desk, " Admin ", PASSWORD, "/devices?q=a%20b").await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/devices?q=a%20b"));
    let set = got.header("set-cookie");
    for attribute in
        ["__Host-session=", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=43200"]
    {
        assert!(set.contains(attribute), "{set}");
    }
    let token = got.cookie(session::COOKIE).unwrap();
    assert_eq!(with(&desk, &token, Method::GET, "/devices").await, StatusCode::OK);
    assert_eq!(with(&desk, &token, Method::GET, "/signin").await, StatusCode::SEE_OTHER);

    assert_eq!(with(&desk, &token, Method::POST, "/signout").await, StatusCode::SEE_OTHER);
    assert_eq!(with(&desk, &token, Method::GET, "/devices").await, StatusCode::SEE_OTHER);
    assert_eq!(with(&desk, &token, Method::GET, "/api/v1/devices").await, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_sign_in_never_leads_to_another_site() {
    let desk = Desk::new().await;
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", ""] {
        let got = try_in(&desk, "admin", PASSWORD, next).await;
        assert_eq!(got.header("location"), "/", "{next}");
    }
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_look_the_same_and_are_slowed_down() {
    let desk = Desk::new().await;
    let unknown = try_in(&desk, "niemand", "falsch und lang", "/").await;
    let wrong = try_in(&desk, "admin", "falsch und lang", "/").await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(unknown.body.replace("niemand", "admin"), wrong.body);
    assert!(wrong.cookie(session::COOKIE).is_none());
    for _ in 0..5 {
        assert_eq!(
            try_in(&desk, "admin", "falsch und lang", "/").await.status,
            StatusCode::UNPROCESSABLE_ENTITY
        );
    }
    let held = try_in(&desk, "admin", PASSWORD, "/").await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(held.body.contains("Zu viele falsche Kennwörter"), "{}", held.body);
    assert!(held.cookie(session::COOKIE).is_none());
    let body = json!({"name": "admin", "password": PASSWORD}).to_string();
    let request = stranger(&Method::POST, "/api/v1/session").header(header::CONTENT_TYPE, "application/json");
    let held = desk.ask(request.body(Body::from(body)).unwrap()).await;
    assert_eq!(held.status, StatusCode::TOO_MANY_REQUESTS);
    assert!((1..=300).contains(&held.header("retry-after").parse::<u32>().unwrap()));
}

#[tokio::test]
async fn the_switch_of_the_language_stays_and_comes_back() {
    let desk = Desk::new().await;
    let got = desk.post("/language", &[("lang", "en"), ("back", "/rooms")]).await;
    assert_eq!(got.header("location"), "/rooms");
    assert_eq!(got.cookie("__Host-lang").as_deref(), Some("en"));
    let request = desk.request(&Method::GET, "/rooms").header(header::COOKIE, "__Host-lang=en");
    let page = desk.ask(request.header(header::ACCEPT_LANGUAGE, "de").body(Body::empty()).unwrap()).await;
    assert!(page.body.contains("<html lang=\"en\">"));
    let got = desk.post("/language", &[("lang", "xx"), ("back", "//evil.example")]).await;
    assert_eq!((got.header("location"), got.cookie("__Host-lang")), ("/", None));
}
