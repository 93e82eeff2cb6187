//! Faults: two taps for a teacher, a list for whoever mends, and one by itself after bad nights.

use axum::http::{Method, StatusCode};
use inventory::night::{NightNote, NightState, PcTonight};
use inventory::{By, FaultKind, FaultState, Role, UnixMillis, clock};
use jiff::ToSpan as _;
use serde_json::json;

use crate::faults;
use crate::testing::Desk;

#[tokio::test]
async fn a_teacher_reports_with_two_taps_and_reads_what_became_of_it() {
    let desk = Desk::new().await;
    let teacher = desk.sign_in_as(Role::Teacher).await;
    let room = desk.school.room.to_string();
    let lesson = desk.ask_as(&teacher, &format!("/room/{room}"), None).await.body;
    let form = format!("/report?room={room}");
    assert!(lesson.contains(&format!("href=\"{form}\"")), "{lesson}");
    let page = desk.ask_as(&teacher, &form, None).await.body;
    assert!(
        page.contains("name=\"kind\" value=\"display\"") && page.contains(">r204-pc01</option>"),
        "{page}"
    );

    let fields =
        [("room", room.as_str()), ("device", ""), ("kind", "internet"), ("words", "<b>nichts</b> geht")];
    let got = desk.ask_as(&teacher, "/report", Some(&fields)).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/report"));
    let open = desk.get("/faults").await.body;
    assert!(open.contains("Raum 204: Internet") && open.contains("&#60;b&#62;nichts"), "{open}");
    assert!(desk.get("/").await.body.contains("href=\"/faults\""));

    let known = desk.inventory.faults().await.unwrap();
    let fault = known.iter().find(|fault| fault.kind == FaultKind::Internet).unwrap();
    let answer = [("state", "done"), ("words", "Kabel steckte nicht")];
    let got = desk.post(&format!("/faults/{}", fault.id), &answer).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/faults"));
    let mine = desk.ask_as(&teacher, "/report", None).await.body;
    assert!(mine.contains("Kabel steckte nicht") && mine.contains("erledigt"), "{mine}");
    assert!(!mine.contains("Lampe ist bestellt"), "others' reports are not shown");

    for wrong in [[("room", "x"), ("kind", "pc")], [("room", room.as_str()), ("kind", "night")]] {
        let before = desk.inventory.faults().await.unwrap().len();
        let got = desk.ask_as(&teacher, "/report", Some(&wrong)).await;
        assert!(got.status.is_redirection() || got.status.is_client_error(), "{wrong:?}");
        assert_eq!(desk.inventory.faults().await.unwrap().len(), before, "{wrong:?}");
    }
}

#[tokio::test]
async fn the_api_reports_and_closes_faults() {
    let desk = Desk::new().await;
    let body =
        json!({"room": desk.school.room, "device": desk.school.device, "kind": "program", "words": "Writer"});
    let made = desk.json(Method::POST, "/api/v1/faults", body.clone()).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let again = desk.json(Method::POST, "/api/v1/faults", body).await;
    assert_eq!(again.json()["id"], made.json()["id"], "the same fault is told once");
    let path = format!("/api/v1/faults/{}", made.json()["id"].as_str().unwrap());
    let closed = desk.json(Method::PUT, &path, json!({"state": "done", "words": "neu installiert"})).await;
    assert_eq!(closed.status, StatusCode::NO_CONTENT);
    let faults = desk.get("/api/v1/faults").await.json();
    let found = faults.as_array().unwrap().iter().find(|fault| fault["id"] == made.json()["id"]).unwrap();
    assert_eq!((&found["state"], found["events"].as_array().unwrap().len()), (&json!("done"), 3), "{found}");
}

#[tokio::test]
async fn what_the_night_shift_tries_in_vain_becomes_a_fault_once() {
    let desk = Desk::new().await;
    let of_nights = async || {
        let faults = desk.inventory.faults().await.unwrap();
        faults.into_iter().filter(|fault| fault.kind == FaultKind::Night).collect::<Vec<_>>()
    };
    faults::from_nights(&desk.app).await.unwrap();
    assert!(of_nights().await.is_empty(), "two bad nights are none");
    let devices = desk.inventory.devices().await.unwrap().0;
    let bad = devices.iter().find(|device| device.name.as_str() == "r204-pc03").unwrap().id;
    let evening = inventory::lessons::local(clock::now()).date().checked_sub(2.days()).unwrap();
    let since = UnixMillis(clock::now().0 - 2 * 86_400_000);
    let note = NightNote { state: NightState::Silent, calls: 5, since };
    let by = By { actor: "night shift", at: clock::now() };
    desk.inventory.keep_night_notes(by, &[PcTonight { device: bad, evening, note }]).await.unwrap();
    faults::from_nights(&desk.app).await.unwrap();
    faults::from_nights(&desk.app).await.unwrap();
    let made = of_nights().await;
    let [fault] = &made[..] else { panic!("one PC has had three bad nights: {made:?}") };
    assert_eq!((fault.device, fault.state, fault.events.len()), (Some(bad), FaultState::Open, 1));
    assert_eq!(fault.events[0].actor, "night shift");
    let by = By { actor: "admin", at: clock::now() };
    desk.inventory.say_of_fault(by, fault.id, FaultState::Done, "getauscht").await.unwrap();
    faults::from_nights(&desk.app).await.unwrap();
    assert_eq!(of_nights().await.len(), 1, "the same night is not told twice");

    let told = faults::notices(&desk.app).await.unwrap();
    assert!(told.iter().any(|notice| notice.text.contains("PC oder Laptop – geht nicht an")), "{told:?}");
    assert!(
        told.iter().all(|notice| !notice.text.contains("Papierstau")),
        "what is mended is no news: {told:?}"
    );
}
