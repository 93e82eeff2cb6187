//! What admins decide about the internet: rules, timetable, lists, filters, lessons.

use axum::http::{Method, StatusCode};
use inventory::gate::{Layer, Target};
use inventory::{FilterId, ListAction, ListId, YouTube, clock};
use serde_json::{Value, json};

use crate::testing::{Desk, Got, form};

async fn post(desk: &Desk, path: &str, fields: &[(&str, &str)]) -> Got {
    desk.ask(form(desk.request(&Method::POST, path), fields)).await
}

async fn send(desk: &Desk, method: Method, path: &str, body: Value) -> StatusCode {
    let request = desk.request(&method, path).header("content-type", "application/json");
    desk.ask(request.body(body.to_string().into()).unwrap()).await.status
}

#[tokio::test]
async fn a_device_is_locked_by_its_name_and_freed_again() {
    let desk = Desk::new().await;
    let rule = async || {
        let (book, _) = desk.inventory.gate_book(clock::now()).await.unwrap();
        let target = Target::Device(desk.school.device);
        book.rules().find(|rule| rule.layer == Layer::Lock && rule.target == target).cloned()
    };
    post(&desk, "/rules/lock", &[("who", "R204-PC01"), ("level", "off"), ("until", "")]).await;
    let made = rule().await.unwrap();
    assert_eq!((made.ends_at, made.created_by.as_str()), (None, "admin"));
    assert!(desk.get("/rules").await.body.contains("bis jemand es beendet"));
    post(&desk, &format!("/rules/{}/end", made.id), &[]).await;
    assert_eq!(rule().await, None);

    let before = desk.inventory.last_change().await.unwrap();
    for wrong in [
        [("who", "niemand"), ("level", "off"), ("until", "")],
        [("who", "r204-pc01"), ("level", "zu"), ("until", "")],
        [("who", "r204-pc01"), ("level", "off"), ("until", "2026-02-30T08:00")],
        [("who", "r204-pc01"), ("level", "off"), ("until", "2020-01-01T08:00")],
    ] {
        let got = post(&desk, "/rules/lock", &wrong).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{wrong:?}");
        assert_eq!(desk.inventory.last_change().await.unwrap(), before, "{wrong:?}");
    }
}

#[tokio::test]
async fn the_timetable_is_written_on_the_page() {
    let desk = Desk::new().await;
    let target = format!("room {}", desk.school.room);
    let fields = [
        ("target", target.as_str()),
        ("level", "filtered"),
        ("day", "6"),
        ("day", "7"),
        ("starts", "14:00"),
        ("ends", "00:00"),
    ];
    post(&desk, "/rules/timetable", &fields).await;
    let (slots, _) = desk.inventory.timetable().await.unwrap();
    let slot = slots.iter().find(|slot| slot.new.target == Target::Room(desk.school.room)).unwrap();
    assert_eq!((slot.new.starts, slot.new.ends, slot.new.days.as_slice()), (840, 1440, &[6, 7][..]));
    assert!(!slot.new.school_days);
    let page = desk.get("/rules").await.body;
    assert!(page.contains("Sa So 14:00–24:00, auch in den Ferien"), "{page}");
    post(&desk, &format!("/rules/timetable/{}/delete", slot.id), &[]).await;
    assert_eq!(desk.inventory.timetable().await.unwrap().0.len(), slots.len() - 1);
}

#[tokio::test]
async fn a_filter_is_made_of_lists_and_named_by_a_room() {
    let desk = Desk::new().await;
    post(&desk, "/lists/new", &[("name", "Spiele"), ("names", "spiele.example\nzocken.example")]).await;
    let lists = desk.inventory.name_lists().await.unwrap().0;
    let list = lists.iter().find(|list| list.name == "Spiele").unwrap().id;
    let (id, room) = (list.to_string(), desk.school.room);
    let fields = [("name", "Mittelstufe"), ("youtube", "strict"), (id.as_str(), "block")];
    post(&desk, "/filters/new", &fields).await;
    let filters = desk.inventory.filters().await.unwrap().0;
    let filter = filters.into_iter().find(|filter| filter.name == "Mittelstufe").unwrap();
    assert_eq!(
        (filter.safe_search, filter.youtube, filter.lists),
        (false, YouTube::Strict, vec![(list, ListAction::Block)])
    );
    let chosen = filter.id.to_string();
    let said = [("level", "filtered"), ("filter", chosen.as_str()), ("control", "teachers")];
    post(&desk, &format!("/rooms/{room}/gate"), &said).await;
    assert_eq!(desk.inventory.room_gate(room).await.unwrap().place.filter, Some(filter.id));
    let page = desk.get("/rules").await.body;
    assert!(page.contains("sperren Spiele") && page.contains("Raum Raum 204"), "{page}");
    let classroom = desk.get(&format!("/room/{room}")).await.body;
    assert!(!classroom.contains(">Spiele<"), "what a filter blocks is no allow list");
}

#[tokio::test]
async fn lesson_times_are_saved_only_when_every_line_can_be_read() {
    let desk = Desk::new().await;
    let before = desk.inventory.grid().await.unwrap();
    let got = post(&desk, "/lesson-times", &[("week", "1;7:50;8:35\n2;zehn;elf"), ("special", "x")]).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(got.body.contains("Zeile 2 ist nicht zu lesen: 2;zehn;elf"), "{}", got.body);
    assert_eq!(desk.inventory.grid().await.unwrap(), before);
    let special = "21.12.2026;05.01.2027;Ferien";
    let got =
        post(&desk, "/lesson-times", &[("week", "1;7:50;8:35\nFr;1;8:00;8:30"), ("special", special)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    let grid = desk.inventory.grid().await.unwrap();
    assert_eq!((grid.week[0][0].starts, grid.week[4][0].ends, grid.special.len()), (470, 510, 1));
    let page = desk.get("/lesson-times").await.body;
    assert!(page.contains("Fr;1;08:00;08:30") && page.contains("2026-12-21;2027-01-05;Ferien"), "{page}");
}

#[tokio::test]
async fn everything_about_rules_can_be_done_by_api() {
    let desk = Desk::new().await;
    let (list, filter) = (ListId::random(), FilterId::random());
    let room = desk.school.empty_room;
    for (method, path, body) in [
        (
            Method::PUT,
            format!("/api/v1/lists/{list}"),
            json!({ "name": "Lernen", "names": "lernen.example" }),
        ),
        (
            Method::PUT,
            format!("/api/v1/filters/{filter}"),
            json!({ "name": "Oberstufe", "safe_search": true, "youtube": "free", "lists": [[list, "allow"]] }),
        ),
        (
            Method::POST,
            "/api/v1/timetable".into(),
            json!({ "target": { "kind": "room", "id": room }, "level": "allow_list", "list": list, "days": [1],
                    "starts": 480, "ends": 525, "school_days": true }),
        ),
        (
            Method::POST,
            "/api/v1/rules".into(),
            json!({ "who": "r204-pc01", "level": "off", "ends_at": null }),
        ),
    ] {
        let status = send(&desk, method.clone(), &path, body).await;
        assert!(status.is_success(), "{method} {path}: {status}");
    }
    let items = async |path: &str| desk.get(path).await.json()["items"].as_array().unwrap().clone();
    assert!(items("/api/v1/filters").await.iter().any(|f| f["lists"] == json!([[list, "allow"]])));
    let slot = items("/api/v1/timetable").await.into_iter().find(|slot| slot["list"] == json!(list)).unwrap();
    let rule = items("/api/v1/rules").await.into_iter().find(|rule| rule["layer"] == "lock").unwrap();
    let grid = desk.get("/api/v1/lesson-times").await.json();
    assert_eq!(send(&desk, Method::PUT, "/api/v1/lesson-times", grid).await, StatusCode::NO_CONTENT);
    let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
    for path in [
        format!("timetable/{}", id(&slot)),
        format!("rules/{}", id(&rule)),
        format!("filters/{filter}"),
        format!("lists/{list}"),
    ] {
        let path = format!("/api/v1/{path}");
        assert_eq!(send(&desk, Method::DELETE, &path, json!({})).await, StatusCode::NO_CONTENT, "{path}");
        assert_eq!(
            send(&desk, Method::DELETE, &path, json!({})).await,
            StatusCode::NOT_FOUND,
            "{path} again"
        );
    }
}
