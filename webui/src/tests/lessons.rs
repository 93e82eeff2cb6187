//! Rooms and classes in lessons: who may switch what, for how long, and what is shown of it.

use axum::http::{Method, StatusCode, header};
use inventory::gate::{Layer, Level, Of, Place, RoomControl, RoomGate, Rule, Target};
use inventory::{By, DeviceId, Role, RoomId, UserId, clock};
use serde_json::json;

use crate::testing::{Desk, Got, form, stranger};

fn by() -> By<'static> {
    By { actor: "admin", at: clock::now() }
}

/// Somebody who is signed in.
struct Person<'d> {
    desk: &'d Desk,
    cookie: String,
}

impl Person<'_> {
    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Got {
        let request = stranger(&Method::POST, path).header(header::COOKIE, &self.cookie);
        self.desk.ask(form(request.header("sec-fetch-site", "same-origin"), fields)).await
    }

    async fn get(&self, path: &str) -> Got {
        let request = stranger(&Method::GET, path).header(header::COOKIE, &self.cookie);
        self.desk.ask(request.body(axum::body::Body::empty()).unwrap()).await
    }
}

async fn teacher(desk: &Desk) -> (Person<'_>, UserId) {
    let cookie = desk.sign_in_as(Role::Teacher).await;
    let user = desk.inventory.user_by_name("teacher-x").await.unwrap().unwrap();
    (Person { desk, cookie }, user.id)
}

/// The teacher's rule about a target that holds.
async fn grant(desk: &Desk, target: Target) -> Option<Rule> {
    let now = clock::now();
    let (book, _) = desk.inventory.gate_book(now).await.unwrap();
    let about = |rule: &&Rule| rule.layer == Layer::Grant && rule.target == target && rule.holds(now);
    book.rules().find(about).cloned()
}

/// Lets requests of the tests come from a device in that room: 10.77.1.20 is reserved for one of its cards.
async fn sit_in(desk: &Desk, room: RoomId) {
    let (devices, _) = desk.inventory.devices().await.unwrap();
    let mac = devices.iter().find(|device| device.room.id == room).unwrap().interfaces[0].mac;
    desk.inventory.reserve_address(by(), mac, "10.77.1.20".parse().ok()).await.unwrap();
}

async fn set_control(desk: &Desk, control: RoomControl) {
    let gate = RoomGate { place: Place::default(), control };
    desk.inventory.set_room_gate(by(), desk.school.room, gate).await.unwrap();
}

#[tokio::test]
async fn a_teacher_switches_a_room_for_a_while_and_back() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let room = Target::Room(desk.school.room);
    let path = format!("/room/{}", desk.school.room);
    let got = person.post(&path, &[("level", "allow_list"), ("span", "15")]).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    let rule = grant(&desk, room).await.unwrap();
    assert_eq!((rule.setting, rule.created_by.as_str()), (Level::AllowList.into(), "teacher-x"));
    let minutes = (rule.ends_at.unwrap().millis_since(rule.starts_at)) / 60_000;
    // Shortly before midnight it is less: nothing lasts into the next day.
    assert!((0..=15).contains(&minutes), "{minutes}");
    assert!(person.get(&path).await.body.contains("aria-pressed=\"true\">Nur Freigabeliste"));

    person.post(&path, &[("level", "end")]).await;
    assert_eq!(grant(&desk, room).await, None);
    for wrong in [
        [("level", "open"), ("span", "15")],
        [("level", "on"), ("span", "0")],
        [("level", "on"), ("span", "ever")],
    ] {
        person.post(&path, &wrong).await;
        assert_eq!(grant(&desk, room).await, None, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_room_obeys_only_whom_it_is_set_to_obey() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let path = format!("/room/{}", desk.school.room);
    let on = [("level", "on"), ("span", "15")];
    for (control, expected) in [
        (RoomControl::Nobody, StatusCode::FORBIDDEN),
        (RoomControl::Admins, StatusCode::FORBIDDEN),
        (RoomControl::Inside, StatusCode::FORBIDDEN),
        (RoomControl::Teachers, StatusCode::SEE_OTHER),
    ] {
        set_control(&desk, control).await;
        assert_eq!(person.post(&path, &on).await.status, expected, "{control:?} from outside");
    }
    sit_in(&desk, desk.school.room).await;
    set_control(&desk, RoomControl::Inside).await;
    assert_eq!(person.post(&path, &on).await.status, StatusCode::SEE_OTHER, "from inside");
    let got = person.get("/room").await;
    assert_eq!(got.header("location"), path, "and the room is found");
}

#[tokio::test]
async fn a_class_obeys_its_teachers() {
    let desk = Desk::new().await;
    let (person, id) = teacher(&desk).await;
    let path = format!("/class/{}", desk.school.class);
    let off = [("level", "off"), ("span", "lesson")];
    assert_eq!(person.post(&path, &off).await.status, StatusCode::FORBIDDEN);
    assert!(!person.get("/classes").await.body.contains(&path));
    desk.inventory.add_to_group(by(), desk.school.class, &[id], &[]).await.unwrap();
    assert_eq!(person.post(&path, &off).await.status, StatusCode::SEE_OTHER);
    assert!(person.get("/classes").await.body.contains(&path));
    assert_eq!(grant(&desk, Target::Group(desk.school.class)).await.unwrap().setting, Level::Off.into());
}

#[tokio::test]
async fn a_single_device_is_excepted_and_one_of_the_staff_only_by_admins() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let path = format!("/room/{}", desk.school.room);
    let pupils: DeviceId = desk.school.device;
    let lock = |device: DeviceId| device.to_string();
    let device = lock(pupils);
    let fields = [("level", "off"), ("span", "15"), ("device", device.as_str())];
    assert_eq!(person.post(&path, &fields).await.status, StatusCode::SEE_OTHER);
    assert_eq!(grant(&desk, Target::Device(pupils)).await.unwrap().setting, Level::Off.into());
    person.post(&path, &[("level", "end"), ("device", device.as_str())]).await;
    assert_eq!(grant(&desk, Target::Device(pupils)).await, None);

    desk.inventory.set_owner(by(), pupils, None, true).await.unwrap();
    assert_eq!(person.post(&path, &fields).await.status, StatusCode::FORBIDDEN);
    let body = json!({ "level": "off", "span": "15" });
    let got = desk.json(Method::POST, &format!("/api/v1/gate/devices/{device}"), body).await;
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    assert!(grant(&desk, Target::Device(pupils)).await.is_some());
}

#[tokio::test]
async fn the_tiles_show_what_the_kernel_does_and_a_colleagues_setting_is_named() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let page = person.get(&format!("/room/{}", desk.school.room)).await.body;
    assert!(page.contains("gesetzt von frau-groß.") && page.contains("löst das ab"), "{page}");
    let confirmed =
        desk.inventory.confirmed_levels(Of::Target(Target::Room(desk.school.room))).await.unwrap();
    let on = confirmed.values().filter(|confirmed| confirmed.level == Level::On).count();
    assert_eq!(page.matches("<span class=\"badge good\">An</span>").count(), on);
    assert!(page.contains("wird umgestellt"), "what is not confirmed is not shown as if it were");

    let got = desk.get(&format!("/api/v1/gate/rooms/{}", desk.school.room)).await.json();
    let seats = got["devices"].as_array().unwrap();
    assert_eq!(seats.iter().filter(|seat| seat["level"] == "on" && seat["confirmed"] == true).count(), on);
}

#[tokio::test]
async fn everybody_sees_their_own_status_and_begins_where_they_belong() {
    let desk = Desk::new().await;
    let cookie = desk.sign_in_as(Role::Pupil).await;
    let pupil = Person { desk: &desk, cookie };
    assert_eq!(pupil.get("/").await.header("location"), "/status");
    assert!(pupil.get("/status").await.body.contains("nicht bekannt"));
    sit_in(&desk, desk.school.room).await;
    let page = pupil.get("/status").await.body;
    assert!(page.contains("von der Lehrkraft gesetzt, bis "), "{page}");
    let (person, _) = teacher(&desk).await;
    assert_eq!(person.get("/").await.header("location"), "/room");
    assert_eq!(person.get("/devices").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn an_exam_is_begun_prolonged_and_ended_by_whoever_may_switch_all_of_it() {
    let desk = Desk::new().await;
    let (person, id) = teacher(&desk).await;
    let (room, class) = (desk.school.room.to_string(), desk.school.class.to_string());
    let fields = [
        ("name", "Mathe"),
        ("room", room.as_str()),
        ("class", class.as_str()),
        ("names", "duden.de\nwetter.de"),
        ("until", "23:59"),
    ];
    let got = person.post("/exams", &fields).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN, "the class is not the teacher's");
    desk.inventory.add_to_group(by(), desk.school.class, &[id], &[]).await.unwrap();
    let got = person.post("/exams", &fields).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let path = got.header("location").to_owned();

    let exam = desk.inventory.exams(1).await.unwrap().remove(0);
    assert_eq!((exam.name.as_str(), exam.created_by.as_str(), exam.targets.len()), ("Mathe", "teacher-x", 2));
    let names = desk.inventory.list_names(exam.list.unwrap()).await.unwrap().unwrap();
    assert_eq!(names, "duden.de\nwetter.de");
    assert!(person.get(&path).await.body.contains("Mathe"));
    person.post(&format!("/room/{room}"), &[("level", "on"), ("span", "15")]).await;
    let scene = person.get(&format!("/room/{room}")).await.body;
    assert!(scene.contains("Klausur, bis"), "the room says what prevails");

    let got = person.post(&path, &[("minutes", "10")]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    assert_eq!(
        desk.inventory.exam(exam.id).await.unwrap().unwrap().ends_at,
        exam.ends_at,
        "not into the next day"
    );
    person.post(&path, &[("end", "1")]).await;
    let over = desk.inventory.exam(exam.id).await.unwrap().unwrap();
    assert_eq!(over.ended_by.as_deref(), Some("teacher-x"));
    assert!(over.ends_at <= clock::now());
}

#[tokio::test]
async fn a_protocol_is_for_whoever_gave_the_exam_and_those_who_answer_for_the_school() {
    let desk = Desk::new().await;
    let path = format!("/exams/{}", desk.school.exam);
    let (colleague, _) = teacher(&desk).await;
    assert_eq!(colleague.get(&path).await.status, StatusCode::FORBIDDEN);
    let head = Person { desk: &desk, cookie: desk.sign_in_as(Role::HeadTeacher).await };
    let page = head.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("2 dabei, 1 nicht dabei, 1 mit Umgehungsversuch"), "{}", page.body);
    let api = desk.get(&format!("/api/v1/exams/{}", desk.school.exam)).await.json();
    let devices: Vec<_> =
        api["devices"].as_array().unwrap().iter().map(|d| d["dodged"].as_u64().unwrap()).collect();
    assert_eq!((api["runs"].as_bool(), devices), (Some(true), vec![0, 0, 3]));
}

#[tokio::test]
async fn allow_list_only_means_the_list_that_was_chosen() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let list = inventory::ListId::random();
    let new = inventory::NewList { name: "Lexika", source: None, names: "duden.de" };
    desk.inventory.put_name_list(by(), list, &new).await.unwrap();
    let path = format!("/room/{}", desk.school.room);
    assert!(person.get(&path).await.body.contains("Lexika"));
    let (id, room) = (list.to_string(), Target::Room(desk.school.room));
    for (level, expected) in [("allow_list", Some(list)), ("filtered", None)] {
        person.post(&path, &[("level", level), ("span", "15"), ("list", &id)]).await;
        assert_eq!(grant(&desk, room).await.unwrap().setting.list, expected, "{level}");
    }
}

#[tokio::test]
async fn a_device_of_another_room_belongs_to_mine_until_the_bell() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let room = desk.school.empty_room;
    let path = format!("/room/{room}");
    let at = async || {
        let of = Of::Target(Target::Device(desk.school.device));
        let (devices, _) = desk.inventory.gate_devices(of).await.unwrap();
        devices[0].subject.room_at(clock::now())
    };
    person.post(&path, &[("guest", "r204-pc01")]).await;
    assert_eq!(at().await, room);
    let page = person.get(&path).await.body;
    assert!(page.contains("r204-pc01") && page.contains("Zurückgeben"), "{page}");
    assert!(!person.get(&format!("/room/{}", desk.school.room)).await.body.contains("<strong>r204-pc01"));
    person.post(&path, &[("level", "home"), ("device", &desk.school.device.to_string())]).await;
    assert_eq!(at().await, desk.school.room);

    for nobody in ["lehrer-pc01", "niemand"] {
        person.post(&path, &[("guest", nobody)]).await;
        assert!(!person.get(&path).await.body.contains("Zurückgeben"), "{nobody} stays where it is");
    }
    desk.inventory
        .set_room_gate(by(), room, RoomGate { place: Place::default(), control: RoomControl::Admins })
        .await
        .unwrap();
    person.post(&path, &[("guest", "r204-pc01")]).await;
    assert_eq!(at().await, desk.school.room, "whoever may not switch the room takes nothing in");
}

#[tokio::test]
async fn the_room_remembers_who_set_what() {
    let desk = Desk::new().await;
    let (person, _) = teacher(&desk).await;
    let path = format!("/room/{}", desk.school.room);
    person.post(&path, &[("level", "off"), ("span", "15")]).await;
    let page = person.get(&path).await.body;
    assert!(page.contains("gesetzt von teacher-x") && page.contains("gesetzt von frau-groß"), "{page}");
}
