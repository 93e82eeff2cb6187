//! The API, as `hausmeister demo` uses it.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use crate::session;
use crate::testing::{Desk, PASSWORD, stranger};

async fn get(desk: &Desk, path: &str) -> Value {
    let got = desk.get(&format!("/api/v1/{path}")).await;
    assert_eq!((got.status, got.header("content-type")), (StatusCode::OK, "application/json"), "{path}");
    got.json()
}

async fn send(desk: &Desk, method: Method, path: &str, body: Value, expected: StatusCode) -> Value {
    let got = desk.json(method, &format!("/api/v1/{path}"), body).await;
    assert_eq!(got.status, expected, "{path}: {}", got.body);
    if got.body.is_empty() { Value::Null } else { got.json() }
}

#[tokio::test]
async fn a_program_signs_in_approves_a_pc_and_has_it_deployed() {
    let desk = Desk::new().await;
    let credentials = json!({"name": "admin", "password": PASSWORD}).to_string();
    let request = stranger(&Method::POST, "/api/v1/session").header(header::CONTENT_TYPE, "application/json");
    let got = desk.ask(request.body(Body::from(credentials)).unwrap()).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    assert_eq!(got.cookie(session::COOKIE).unwrap().len(), 43);

    let waiting = get(&desk, "waiting").await;
    let pc = waiting["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|w| w["hardware"]["serial"] == "YM4R009977")
        .unwrap()
        .clone();
    assert_eq!(pc["code"].as_str().unwrap().len(), 6);
    let approve = format!("waiting/{}/approve", pc["id"].as_str().unwrap());
    let body = json!({"name": "lab-pc01", "room": "Labor", "image": "Debian Schule"});
    let done = send(&desk, Method::POST, &approve, body, StatusCode::OK).await;
    assert_eq!((done["name"].as_str(), done["room"]["name"].as_str()), (Some("lab-pc01"), Some("Labor")));
    let job = get(&desk, &format!("jobs/{}", done["job"].as_str().unwrap())).await;
    assert_eq!(
        (job["task"]["task"].as_str(), job["state"]["state"].as_str()),
        (Some("deploy"), Some("queued"))
    );
    let device = get(&desk, &format!("devices/{}", done["device"].as_str().unwrap())).await;
    assert_eq!(device["name"], "lab-pc01");

    send(
        &desk,
        Method::POST,
        &format!("jobs/{}/cancel", job["id"].as_str().unwrap()),
        Value::Null,
        StatusCode::NO_CONTENT,
    )
    .await;
    let own = format!("devices/{}", device["id"].as_str().unwrap());
    let body = json!({"image": "Labor-Image"});
    let capture = send(&desk, Method::POST, &format!("{own}/capture"), body, StatusCode::CREATED).await;
    let error = send(&desk, Method::POST, &format!("{own}/deploy"), json!({}), StatusCode::CONFLICT).await;
    assert_eq!(error["error"], "This device has an open job already.");
    assert_eq!(error["remedy"], "Wait for its end or cancel it.");
    send(
        &desk,
        Method::POST,
        &format!("jobs/{}/cancel", capture["job"].as_str().unwrap()),
        Value::Null,
        StatusCode::NO_CONTENT,
    )
    .await;
    let body = json!({"image": "Debian Schule", "version": 1});
    send(&desk, Method::POST, &format!("{own}/deploy"), body, StatusCode::CREATED).await;

    let changes = get(&desk, "changes?since=0").await;
    assert!(
        changes["items"]
            .as_array()
            .unwrap()
            .iter()
            .any(|c| c["actor"] == "admin" && c["action"] == "approved")
    );
    assert_eq!(get(&desk, "notices").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn errors_name_the_field_the_reason_and_the_way_out() {
    let desk = Desk::new().await;
    let device = desk.school.device;
    let entries = desk.inventory.waiting().await.unwrap().0;
    let waiting = entries.iter().find(|entry| entry.hardware["nics"] == 7).unwrap().id;
    let nobody = "00000000-0000-4000-8000-000000000000";
    let approve = format!("waiting/{waiting}/approve");
    for (method, path, body, status, field) in [
        (Method::POST, approve.clone(), json!({"name": "a b", "room": "x"}), 422, Some("name")),
        (Method::POST, approve.clone(), json!({"name": "ok", "room": ""}), 422, Some("room")),
        (
            Method::POST,
            approve.clone(),
            json!({"name": "ok", "room": "x", "image": "nix"}),
            422,
            Some("image"),
        ),
        (Method::POST, approve.clone(), json!({"name": "ok", "room": nobody}), 422, Some("room")),
        (Method::POST, approve.clone(), json!({"name": "ok", "replace": "nix"}), 422, Some("replace")),
        (Method::POST, approve.clone(), json!({"name": "r204-pc01", "room": "Raum 204"}), 409, None),
        (Method::POST, approve.clone(), json!({"name": "ok", "room": "x", "typo": 1}), 400, None),
        (Method::POST, approve, json!([]), 400, None),
        (Method::POST, format!("waiting/{nobody}/approve"), json!({"name": "ok", "room": "x"}), 404, None),
        (Method::POST, "waiting/x/approve".into(), json!({"name": "ok", "room": "x"}), 404, None),
        (Method::GET, format!("devices/{nobody}"), Value::Null, 404, None),
        (Method::PATCH, format!("devices/{device}"), json!({}), 405, None),
        (Method::POST, format!("devices/{device}/reservation"), json!({"ip": "10.77.0.9"}), 422, Some("mac")),
        (Method::POST, format!("devices/{device}/deploy"), json!({"version": 99}), 422, Some("version")),
        (
            Method::POST,
            format!("devices/{}/deploy", desk.school.announced),
            json!({"image": "Debian Schule"}),
            409,
            None,
        ),
        (Method::POST, format!("jobs/{nobody}/cancel"), json!({}), 404, None),
        (Method::POST, "rooms".into(), json!({"name": "Aula"}), 409, None),
        (Method::DELETE, format!("rooms/{}", desk.school.room), json!({}), 409, None),
        (Method::DELETE, format!("images/{}", desk.school.image), json!({}), 409, None),
    ] {
        let got = desk.json(method.clone(), &format!("/api/v1/{path}"), body.clone()).await;
        let what = format!("{method} {path} {body}: {} {}", got.status, got.body);
        assert_eq!(got.status.as_u16(), status, "{what}");
        let error = got.json();
        assert!(!error["error"].as_str().unwrap().is_empty(), "{what}");
        assert_eq!(error["field"].as_str(), field, "{what}");
    }
    let large = json!({ "name": "x".repeat(100_000) });
    let got = desk.json(Method::POST, "/api/v1/rooms", large).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    // A plain form cannot pass for JSON: browsers send those across sites without asking.
    let request = desk.request(&Method::POST, "/api/v1/rooms").header(header::CONTENT_TYPE, "text/plain");
    let got = desk.ask(request.body(Body::from("{\"name\": \"Keller\"}")).unwrap()).await;
    assert_eq!(got.status, StatusCode::BAD_REQUEST);
    assert!(desk.inventory.room_by_name("Keller").await.unwrap().is_none());
}

#[tokio::test]
async fn what_was_read_can_be_sent_back() {
    let desk = Desk::new().await;
    let id = desk.school.network;
    let networks = get(&desk, "networks").await;
    let network =
        networks["items"].as_array().unwrap().iter().find(|n| n["id"] == id.to_string()).unwrap().clone();
    let same = send(&desk, Method::PUT, &format!("networks/{id}"), network.clone(), StatusCode::OK).await;
    assert_eq!(same, network);
    let mut longer = network.clone();
    longer["lease_secs"] = json!(90);
    let changed = send(&desk, Method::PUT, &format!("networks/{id}"), longer, StatusCode::OK).await;
    assert_eq!(changed["lease_secs"], 90);
    let mut wrong = network;
    wrong["pool_last"] = json!("10.99.0.1");
    let error =
        send(&desk, Method::PUT, &format!("networks/{id}"), wrong, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert_eq!(error["field"], "pool_last");

    let device = desk.school.device;
    let body = json!({"mac": "90:1b:0e:12:34:01", "ip": "10.77.0.77"});
    send(&desk, Method::POST, &format!("devices/{device}/reservation"), body, StatusCode::NO_CONTENT).await;
    let body = json!({"mac": "90:1b:0e:12:34:01", "ip": null});
    send(&desk, Method::POST, &format!("devices/{device}/reservation"), body, StatusCode::NO_CONTENT).await;
    let device = format!("devices/{device}");
    let moved = send(&desk, Method::PUT, &device, json!({"room": "Neubau"}), StatusCode::OK).await;
    assert_eq!((moved["room"]["name"].as_str(), moved["name"].as_str()), (Some("Neubau"), Some("r204-pc01")));
    send(&desk, Method::DELETE, &device, json!({}), StatusCode::NO_CONTENT).await;
}

#[tokio::test]
async fn a_device_is_announced_before_anybody_has_seen_it() {
    let desk = Desk::new().await;
    let card = |mac: &str| json!([{ "mac": mac, "kind": "wlan" }]);
    let body = json!({ "name": "handy-1", "room": "Neubau", "cards": card("a6:00:00:00:00:01") });
    let device = send(&desk, Method::POST, "devices", body, StatusCode::CREATED).await;
    assert_eq!((device["name"].as_str(), device["room"]["name"].as_str()), (Some("handy-1"), Some("Neubau")));
    assert_eq!(device["interfaces"][0]["kind"], "wlan");
    for (name, mac, status, field) in [
        ("handy 2", "a6:00:00:00:00:02", StatusCode::UNPROCESSABLE_ENTITY, Some("name")),
        ("handy-2", "a6:00:00:00:00", StatusCode::UNPROCESSABLE_ENTITY, Some("mac")),
        ("handy-2", "a6:00:00:00:00:01", StatusCode::CONFLICT, None),
    ] {
        let body = json!({ "name": name, "room": "Altbau", "cards": card(mac) });
        let error = send(&desk, Method::POST, "devices", body, status).await;
        assert_eq!(error["field"].as_str(), field, "{name} {mac}: {error}");
    }
}

#[tokio::test]
async fn something_harmless_is_asked_of_several_ipads_at_once() {
    let desk = Desk::new().await;
    let ipads = get(&desk, "ipads").await;
    let ids: Vec<Value> = ipads["items"].as_array().unwrap().iter().map(|ipad| ipad["id"].clone()).collect();
    let refresh = json!({"ipads": ids, "action": "refresh"});
    let done = send(&desk, Method::POST, "ipads/actions", refresh.clone(), StatusCode::OK).await;
    assert_eq!(done["asked"], ids.len());
    let again = send(&desk, Method::POST, "ipads/actions", refresh, StatusCode::OK).await;
    assert_eq!(again["asked"], 0, "it is asked already");
    let erase = json!({"ipads": ids, "action": "erase"});
    send(&desk, Method::POST, "ipads/actions", erase, StatusCode::UNPROCESSABLE_ENTITY).await;
    let many = json!({"ipads": vec![ids[0].clone(); 1001], "action": "refresh"});
    send(&desk, Method::POST, "ipads/actions", many, StatusCode::UNPROCESSABLE_ENTITY).await;
}
