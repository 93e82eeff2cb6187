//! Apps on pages and by API: the content token, who gets what, configurations.

use axum::http::{Method, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use inventory::Audience;
use inventory::mdm::{AppleKind, Install};
use serde_json::json;

use crate::testing::Desk;

fn token(ends: &str) -> String {
    STANDARD.encode(json!({ "expDate": ends, "token": "geheim", "orgName": "Schule am See" }).to_string())
}

#[tokio::test]
async fn a_content_token_is_kept_sealed_and_never_shown_again() {
    let desk = Desk::new().await;
    let (good, over) = (token("2030-11-08T22:33:22+0000"), token("2020-11-08T22:33:22+0000"));
    for (bad, why) in [("<&>", "kein Inhaltstoken"), (over.as_str(), "vorbei")] {
        let got = desk.post("/apps/token", &[("token", bad)]).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(got.body.contains(why), "{}", got.body);
    }
    let got = desk.post("/apps/token", &[("token", &good)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let page = desk.get("/apps").await.body;
    assert!(page.contains("Schule am See") && page.contains("2030"), "{page}");
    assert!(!page.contains(&good) && !page.contains("geheim"));
    let sealed = desk.inventory.sealed_apple_secret(AppleKind::Apps).await.unwrap().unwrap();
    assert!(!sealed.contains(&good));
    let service = desk.inventory.apple_service(AppleKind::Apps).await.unwrap().unwrap();
    assert!(service.ends_at.is_some() && service.problem.is_none());
    // The API says the same.
    let got = desk.json(Method::POST, "/api/v1/apps/token", json!({ "token": over })).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.body);
    let got = desk.json(Method::POST, "/api/v1/apps/token", json!({ "token": good })).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT, "{}", got.body);
}

#[tokio::test]
async fn an_app_is_given_and_taken_back_by_page_and_by_api() {
    let desk = Desk::new().await;
    let path = format!("/apps/{}", desk.school.app);
    let room = desk.school.room.to_string();
    let got =
        desk.post(&format!("{path}/give"), &[("to", "room"), ("room", &room), ("install", "offered")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let all = desk.inventory.app_assignments().await.unwrap();
    let one = all.iter().find(|one| one.target == Audience::Room(desk.school.room)).unwrap();
    assert_eq!(one.install, Install::Offered);
    assert!(desk.get(&path).await.body.contains("angeboten"));
    let got = desk.post(&format!("{path}/take-back"), &[("assignment", &one.id.to_string())]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.inventory.app_assignments().await.unwrap().len(), all.len() - 1);

    let api = format!("/api/v1/apps/{}", desk.school.app);
    let body = json!({ "target": { "kind": "group", "id": desk.school.class }, "install": "required" });
    let got = desk.json(Method::POST, &format!("{api}/assignments"), body).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
    let id = got.json()["id"].as_str().unwrap().to_owned();
    let shown = desk.get(&api).await.json();
    assert_eq!(shown["assignments"].as_array().unwrap().len(), all.len());
    assert_eq!(
        (shown["app"]["lacking"].clone(), shown["licences"][0]["state"].clone()),
        (json!(1), json!("lacking"))
    );
    let got = desk.json(Method::DELETE, &format!("/api/v1/app-assignments/{id}"), json!({})).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT);
    let body = json!({ "target": { "kind": "room", "id": uuid::Uuid::nil() }, "install": "required" });
    let got = desk.json(Method::POST, &format!("{api}/assignments"), body).await;
    assert_eq!(got.status, StatusCode::CONFLICT, "{}", got.body);
}

#[tokio::test]
async fn a_configuration_shows_its_keys_and_not_its_values() {
    let desk = Desk::new().await;
    let path = format!("/apps/{}", desk.school.app);
    let got = desk
        .post(&format!("{path}/configuration"), &[("configuration", r#"{"lizenz": "streng geheim"}"#)])
        .await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let page = desk.get(&path).await.body;
    assert!(page.contains("<code>lizenz</code>") && !page.contains("streng geheim"), "{page}");
    assert!(!desk.get(&format!("/api/v1/apps/{}", desk.school.app)).await.body.contains("streng"));
    let got = desk.post(&format!("{path}/configuration"), &[("configuration", "{\"a\": null}")]).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    desk.post(&format!("{path}/configuration"), &[("configuration", "")]).await;
    assert_eq!(desk.inventory.sealed_app_configuration(desk.school.app).await.unwrap(), None);
}

#[tokio::test]
async fn an_ipad_without_a_licence_says_so_on_its_page() {
    let desk = Desk::new().await;
    let page = desk.get(&format!("/ipads/{}", desk.school.ipad)).await.body;
    assert!(page.contains("Rechnen &#60;&#38;&#62;") || page.contains("Rechnen &lt;&amp;&gt;"), "{page}");
    assert!(page.contains("keine Lizenz"));
    let list = desk.get("/apps").await.body;
    assert!(list.contains("Ein anderer Server, Anderer"), "{list}");
    let other = desk.post("/apps/take-over", &[("other", "x")]).await;
    assert_eq!(other.status, StatusCode::SEE_OTHER);
    let service = desk.inventory.apple_service(AppleKind::Apps).await.unwrap().unwrap();
    assert_eq!(service.settings["take_over"], "x");
}
