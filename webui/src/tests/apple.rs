//! Apple's services: asked for on the page, imported there and by API.

use ::apple::Authority;
use axum::http::{Method, StatusCode};
use inventory::mdm::{AppleKind, ListedDevice};
use inventory::{By, clock};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use crate::testing::Desk;

const TOPIC: &str = "com.apple.mgmt.External.0f1e2d3c";

fn in_a_year() -> OffsetDateTime {
    OffsetDateTime::now_utc() + Duration::days(365)
}

async fn request(desk: &Desk) -> String {
    let got = desk.post("/apple/push/request", &[]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let got = desk.get("/apple/push/request").await;
    assert!(got.header("content-disposition").contains("push.csr"));
    got.body
}

#[tokio::test]
async fn a_push_certificate_is_asked_for_imported_and_renewed_under_its_topic() {
    let (desk, apple) = (Desk::new().await, Authority::new());
    assert!(desk.get("/apple").await.body.contains("Noch nichts hinterlegt."));
    let csr = request(&desk).await;
    let certificate = apple.push_certificate_for(&csr, TOPIC, in_a_year());
    let got = desk.post("/apple/push/import", &[("content", &certificate)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let page = desk.get("/apple").await.body;
    assert!(page.contains("in Ordnung") && page.contains(TOPIC), "{page}");
    let sealed = desk.inventory.sealed_apple_secret(AppleKind::Push).await.unwrap().unwrap();
    assert!(!sealed.contains("PRIVATE") && !page.contains("PRIVATE"));

    // The next year's, and what comes instead of it.
    let renewed = apple.push_certificate_for(&request(&desk).await, TOPIC, in_a_year());
    let other = apple.push_certificate_for(&csr, TOPIC, in_a_year());
    let got = desk.post("/apple/push/import", &[("content", &other)]).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(got.body.contains("gehört zu einem anderen Schlüssel"), "{}", got.body);
    assert_eq!(desk.post("/apple/push/import", &[("content", &renewed)]).await.status, StatusCode::SEE_OTHER);
    let (chain, key) = apple.push_certificate("com.apple.mgmt.External.other", in_a_year());
    let both = format!("{chain}{key}");
    let got = desk.post("/apple/push/import", &[("content", &both)]).await;
    assert!(got.body.contains("Jedes iPad müsste neu aufgenommen werden"), "{}", got.body);
    let got = desk.post("/apple/push/import", &[("content", &both), ("insist", "1")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    for nonsense in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"] {
        let got = desk.post("/apple/push/import", &[("content", nonsense)]).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{nonsense}");
    }
    assert_eq!(desk.post("/apple/push/forget", &[]).await.status, StatusCode::SEE_OTHER);
    let mut left = desk.inventory.apple_services().await.unwrap();
    left.retain(|service| service.kind == AppleKind::Push);
    assert_eq!(left, []);
}

#[tokio::test]
async fn the_api_does_what_the_page_does_and_shows_no_secret() {
    let (desk, apple) = (Desk::new().await, Authority::new());
    let got = desk.json(Method::POST, "/api/v1/apple/request", json!({ "kind": "push" })).await;
    let csr = got.json()["request"].as_str().unwrap().to_owned();
    let certificate = apple.push_certificate_for(&csr, TOPIC, in_a_year());
    let body = json!({ "kind": "push", "content": certificate });
    let got = desk.json(Method::POST, "/api/v1/apple/import", body).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT, "{}", got.body);
    let listed = desk.get("/api/v1/apple").await;
    let services = listed.json();
    let push = services["items"].as_array().unwrap().iter().find(|service| service["kind"] == "push");
    assert_eq!(push.unwrap()["about"]["topic"], TOPIC);
    assert!(!listed.body.contains("secret") && !listed.body.contains("PRIVATE"), "{}", listed.body);

    let key = desk.json(Method::POST, "/api/v1/apple/request", json!({ "kind": "ade" })).await;
    assert!(key.json()["request"].as_str().unwrap().contains("BEGIN CERTIFICATE"));
    let body = json!({ "kind": "ade", "content": "AAAA" });
    let got = desk.json(Method::POST, "/api/v1/apple/import", body).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.body);
    let wrong = json!({ "default_room": null, "minimum_os": "neueste" });
    let got = desk.json(Method::PUT, "/api/v1/apple/settings", wrong).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.body);
    let settings = json!({ "default_room": desk.school.room, "minimum_os": "18.1" });
    let got = desk.json(Method::PUT, "/api/v1/apple/settings", settings).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT, "{}", got.body);
    assert!(desk.get("/apple").await.body.contains("value=\"18.1\""));
}

#[tokio::test]
async fn ipads_of_apple_school_manager_are_placed_many_at_once() {
    let desk = Desk::new().await;
    let listed = |serial: &str| ListedDevice {
        serial: serial.into(),
        model: "iPad".into(),
        description: "iPad 64GB".into(),
        profile: None,
        status: "assigned".into(),
    };
    let by = By { actor: "mdm", at: clock::now() };
    desk.inventory
        .note_ade_devices(by, &[listed("AAA1"), listed("BBB2"), listed("CCC3")], true)
        .await
        .unwrap();
    let page = desk.get("/apple").await.body;
    assert!(page.contains("AAA1") && page.contains("bekommt das Profil"), "{page}");
    let room = desk.school.room.to_string();
    let fields = [("serial", "AAA1"), ("serial", "CCC3"), ("room", room.as_str()), ("class", "")];
    assert_eq!(desk.post("/apple/ade/place", &fields).await.status, StatusCode::SEE_OTHER);
    let placed = desk.inventory.ade_devices().await.unwrap();
    let rooms: Vec<bool> = placed.iter().map(|device| device.room == Some(desk.school.room)).collect();
    assert_eq!(rooms, [true, false, true]);
    let body = json!({ "serials": ["BBB2", "nobody"], "room_id": desk.school.room });
    let got = desk.json(Method::POST, "/api/v1/apple/devices", body).await;
    assert_eq!(got.json()["placed"], 1, "{}", got.body);
}
