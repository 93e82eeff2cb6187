//! People and classes: who may change whom, and passwords that are given and chosen.

use axum::http::{Method, StatusCode};
use inventory::{Level, Role, UserId};
use serde_json::json;

use crate::session;
use crate::testing::{Desk, Got, PASSWORD, form, stranger};

/// The password that a page shows once.
fn shown(got: &Got) -> String {
    assert_eq!(got.status, StatusCode::OK, "{}", got.body);
    let marker = "<p class=\"code secret\">";
    let at = got.body.find(marker).unwrap() + marker.len();
    got.body[at..].split('<').next().unwrap().to_owned()
}

async fn sign_in(desk: &Desk, name: &str, password: &str) -> Option<String> {
    let fields = [("name", name), ("password", password)];
    let got = desk.ask(form(stranger(&Method::POST, "/signin"), &fields)).await;
    got.cookie(session::COOKIE).map(|token| format!("{}={token}", session::COOKIE))
}

async fn role(desk: &Desk, id: UserId) -> Option<Role> {
    desk.inventory.user(id).await.unwrap().map(|user| user.role)
}

#[tokio::test]
async fn a_new_pupil_chooses_an_own_password_before_anything_else() {
    let desk = Desk::new().await;
    let class = desk.school.class.to_string();
    let made =
        shown(&desk.post("/people", &[("name", " Tim.Neu "), ("role", "pupil"), ("group", &class)]).await);
    let tim = desk.inventory.user_by_name("tim.neu").await.unwrap().unwrap();
    assert!(desk.inventory.groups_of(tim.id).await.unwrap().iter().any(|g| g.id == desk.school.class));
    assert!(desk.get("/people?q=TIM").await.body.contains("7b &#60;&#38;&#62;"));

    let cookie = sign_in(&desk, "tim.neu", &made).await.unwrap();
    assert_eq!(desk.ask_as(&cookie, "/status", None).await.header("location"), "/password");
    let change = async |old: &str, new: &str, again: &str| {
        desk.ask_as(&cookie, "/password", Some(&[("old", old), ("new", new), ("again", again)])).await
    };
    let own = "Hasen hoppeln";
    for (old, new, again, said) in [
        ("falsch und lang", own, own, "stimmen nicht"),
        (&made, own, "Hasen hüpfen", "verschieden"),
        (&made, "kurz", "kurz", "mindestens 10"),
        (&made, &made, &made, "bisherige Kennwort"),
    ] {
        let got = change(old, new, again).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{said}");
        assert!(got.body.contains(said), "{said}: {}", got.body);
    }
    let elsewhere = desk.session_of(tim.id, 0).await;
    assert_eq!(change(&made, own, own).await.status, StatusCode::SEE_OTHER);
    assert_eq!(desk.ask_as(&cookie, "/status", None).await.status, StatusCode::OK);
    assert_eq!(
        desk.ask_as(&elsewhere, "/status", None).await.status,
        StatusCode::SEE_OTHER,
        "other sessions end"
    );
    assert!(sign_in(&desk, "tim.neu", &made).await.is_none());
    let log = desk.inventory.changes_since(0, 500).await.unwrap();
    let set = log.iter().find(|change| change.action == "password set").unwrap();
    assert_eq!((set.actor.as_str(), set.key.as_str()), ("tim.neu", tim.id.to_string().as_str()));
    assert!(!format!("{log:?}").contains(&made));
}

#[tokio::test]
async fn a_teacher_resets_pupils_of_the_own_class_and_nobody_else() {
    let desk = Desk::new().await;
    let school = &desk.school;
    let teacher = desk.session_of(school.teacher, 0).await;
    let page = format!("/class/{}/pupils", school.class);
    let listed = desk.ask_as(&teacher, &page, None).await.body;
    assert!(listed.contains("lea.maier") && listed.contains("max&#60;b&#62;") && !listed.contains("noah"));
    assert!(!listed.contains(&school.teacher.to_string()), "teachers are not on this list");

    let pupil = desk.session_of(school.pupil, 0).await;
    let reset = async |cookie: &str, person: UserId| {
        desk.ask_as(cookie, &page, Some(&[("person", &person.to_string())])).await
    };
    let made = shown(&reset(&teacher, school.pupil).await);
    assert_eq!(
        desk.ask_as(&pupil, "/status", None).await.status,
        StatusCode::SEE_OTHER,
        "the old session ends"
    );
    assert!(sign_in(&desk, "lea.maier", &made).await.is_some());

    let noah = desk.inventory.user_by_name("noah.ohne-klasse").await.unwrap().unwrap().id;
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap().id;
    let by = inventory::By { actor: "admin", at: inventory::clock::now() };
    let colleague = desk.inventory.create_user(by, "herr.kurz", "x", Role::Teacher).await.unwrap();
    desk.inventory.add_to_group(by, school.class, &[colleague, admin], &[]).await.unwrap();
    for other in [noah, admin, colleague, school.teacher, UserId::random()] {
        assert_eq!(reset(&teacher, other).await.status, StatusCode::FORBIDDEN, "{other}");
    }
    let elsewhere = desk.inventory.create_group(by, "8a").await.unwrap().id;
    desk.inventory.add_to_group(by, elsewhere, &[noah], &[]).await.unwrap();
    let got = desk.ask_as(&teacher, &format!("/class/{elsewhere}/pupils"), None).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN, "not this teacher's class");
    let fields = [("person", noah.to_string())];
    let fields = [(fields[0].0, fields[0].1.as_str())];
    let got = desk.ask_as(&teacher, &format!("/class/{elsewhere}/pupils"), Some(&fields)).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN);
    let last = desk.inventory.changes_since(0, 500).await.unwrap();
    assert!(
        last.iter()
            .filter(|change| change.action == "password set")
            .all(|change| change.actor == "frau-groß")
    );
}

#[tokio::test]
async fn a_secretary_cannot_reach_those_who_rule_the_school() {
    let desk = Desk::new().await;
    let secretary = desk.sign_in_as(Role::Secretary).await;
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap().id;
    assert!(
        desk.ask_as(&secretary, &format!("/people/{admin}"), None)
            .await
            .body
            .contains("nur die Schuladministration")
    );
    for (path, fields) in [
        (format!("/people/{admin}"), &[("name", "ex-admin")][..]),
        (format!("/people/{admin}/role"), &[("role", "pupil")]),
        (format!("/people/{admin}/password"), &[]),
        (format!("/people/{admin}/second-factor"), &[]),
        (format!("/people/{admin}/delete"), &[]),
        (format!("/people/{}/role", desk.school.teacher), &[("role", "school_admin")]),
        (format!("/people/{}/role", desk.school.pupil), &[("role", "head_teacher")]),
        (format!("/groups/{}/gate", desk.school.class), &[("level", "on")]),
    ] {
        let before = desk.inventory.last_change().await.unwrap();
        let got = desk.ask_as(&secretary, &path, Some(fields)).await;
        assert_eq!(got.status, StatusCode::FORBIDDEN, "{path} {fields:?}");
        assert_eq!(desk.inventory.last_change().await.unwrap(), before, "{path}");
    }
    let to_teacher = format!("/people/{}/role", desk.school.pupil);
    assert_eq!(
        desk.ask_as(&secretary, &to_teacher, Some(&[("role", "teacher")])).await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(role(&desk, desk.school.pupil).await, Some(Role::Teacher));
    shown(&desk.ask_as(&secretary, &format!("/people/{}/password", desk.school.teacher), Some(&[])).await);
}

#[tokio::test]
async fn nobody_locks_themselves_or_the_school_out() {
    let desk = Desk::new().await;
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap().id;
    for (path, fields) in [
        (format!("/people/{admin}/role"), &[("role", "pupil")][..]),
        (format!("/people/{admin}/password"), &[]),
        (format!("/people/{admin}/delete"), &[]),
    ] {
        let got = desk.post(&path, fields).await;
        assert_eq!(got.status, StatusCode::SEE_OTHER, "{path}");
        assert!(got.cookie("__Host-flash").is_some(), "{path} is refused and says why");
    }
    assert_eq!(role(&desk, admin).await, Some(Role::SchoolAdmin));
    assert_eq!(desk.get("/rooms").await.status, StatusCode::OK, "the session stands");
    let give = format!("/people/{}/role", desk.school.teacher);
    assert_eq!(desk.post(&give, &[("role", "school_admin")]).await.status, StatusCode::SEE_OTHER);
    assert_eq!(role(&desk, desk.school.teacher).await, Some(Role::SchoolAdmin));
    let second = desk.session_of(desk.school.teacher, 0).await;
    let removed = desk.ask_as(&second, &format!("/people/{admin}/delete"), Some(&[])).await;
    assert_eq!(removed.status, StatusCode::SEE_OTHER);
    assert_eq!(role(&desk, admin).await, None);
    assert_eq!(desk.get("/rooms").await.status, StatusCode::SEE_OTHER, "who is removed is out at once");
}

/// A form that comes too late asks for the password once and then goes its way.
#[tokio::test]
async fn a_late_form_goes_on_after_the_password() {
    let desk = Desk::new().await;
    let admin = desk.inventory.user_by_name("admin").await.unwrap().unwrap().id;
    let late = desk.session_of(admin, 20).await;
    let path = format!("/people/{}/role", desk.school.teacher);
    let with = async |password: &str| {
        desk.ask_as(&late, &path, Some(&[("role", "head_teacher"), ("password-again", password)])).await
    };
    let asked = desk.ask_as(&late, &path, Some(&[("role", "head_teacher")])).await;
    assert_eq!(asked.status, StatusCode::FORBIDDEN);
    assert!(
        asked.body.contains(&format!("action=\"{path}\""))
            && asked.body.contains("name=\"role\" value=\"head_teacher\"")
    );
    let wrong = with("falsch und lang").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!wrong.body.contains("falsch und lang"), "the password is not sent back");
    assert_eq!(role(&desk, desk.school.teacher).await, Some(Role::Teacher));
    assert_eq!(with(PASSWORD).await.status, StatusCode::SEE_OTHER);
    assert_eq!(role(&desk, desk.school.teacher).await, Some(Role::HeadTeacher));
    let next = desk.ask_as(&late, &path, Some(&[("role", "teacher")])).await;
    assert_eq!(next.status, StatusCode::SEE_OTHER, "for a quarter of an hour nobody is asked again");
}

#[tokio::test]
async fn a_class_is_made_filled_and_removed() {
    let desk = Desk::new().await;
    let got = desk.post("/groups", &[("name", "9c")]).await;
    let page = got.header("location").to_owned();
    let class = page.trim_start_matches("/groups/").parse().unwrap();
    let members = format!("{page}/members");
    let to_page = |got: Got| {
        assert_eq!(
            (got.status, got.header("location")),
            (StatusCode::SEE_OTHER, page.as_str()),
            "{}",
            got.body
        );
    };
    to_page(desk.post(&members, &[("people", "lea.maier, noah.ohne-klasse")]).await);
    to_page(desk.post(&members, &[("devices", "R204-PC01 r204-pc02")]).await);
    let html = desk.get(&page).await.body;
    for part in ["lea.maier", "noah.ohne-klasse", "r204-pc01", "r204-pc02"] {
        assert!(html.contains(part), "{part}");
    }
    to_page(desk.post(&members, &[("remove_person", &desk.school.pupil.to_string())]).await);
    to_page(desk.post(&members, &[("remove_device", &desk.school.device.to_string())]).await);
    let html = desk.get(&page).await.body;
    assert!(!html.contains("lea.maier") && !html.contains("r204-pc01") && html.contains("r204-pc02"));
    to_page(desk.post(&page, &[("name", "10c")]).await);
    to_page(desk.post(&format!("{page}/gate"), &[("level", "off")]).await);
    assert_eq!(desk.inventory.group_gate(class).await.unwrap().setting, Some(Level::Off.into()));
    let person = format!("/people/{}", desk.school.pupil);
    desk.post(&format!("{person}/groups"), &[("join", &class.to_string())]).await;
    assert!(desk.get(&person).await.body.contains("10c"));
    desk.post(&format!("{person}/groups"), &[("leave", &class.to_string())]).await;
    assert_eq!(desk.post(&format!("{page}/delete"), &[]).await.header("location"), "/groups");
    assert_eq!(desk.get(&page).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_school_with_many_pupils_is_shown_in_pages() {
    let desk = Desk::new().await;
    let by = inventory::By { actor: "admin", at: inventory::clock::now() };
    for n in 0..205 {
        desk.inventory.create_user(by, &format!("z-pupil-{n:03}"), "x", Role::Pupil).await.unwrap();
    }
    let rows = |html: &str| html.matches("<th scope=\"row\"").count();
    let first = desk.get("/people?q=z-pupil").await.body;
    assert_eq!((rows(&first), first.contains("205 Personen")), (100, true));
    assert!(first.contains("/people?q=z-pupil&#38;role=&#38;page=1"), "{first}");
    assert_eq!(rows(&desk.get("/people?q=z-pupil&page=2").await.body), 5);
    assert_eq!(rows(&desk.get("/people?q=z-pupil&page=4294967295").await.body), 0);
    let got = desk.get("/api/v1/people?q=z-pupil&role=pupil&offset=200").await.json();
    assert_eq!((got["items"].as_array().unwrap().len(), got["total"].as_u64()), (5, Some(205)));
    assert!(!got.to_string().contains("hash"));
}

#[tokio::test]
async fn a_program_does_the_same() {
    let desk = Desk::new().await;
    let call = async |method: Method, path: String, body: serde_json::Value, expected: StatusCode| {
        let got = desk.json(method, &format!("/api/v1/{path}"), body).await;
        assert_eq!(got.status, expected, "{path}: {}", got.body);
        if got.body.is_empty() { json!(null) } else { got.json() }
    };
    let no_content = StatusCode::NO_CONTENT;
    let body = json!({"name": "ida", "role": "pupil"});
    let added = call(Method::POST, "people".into(), body, StatusCode::CREATED).await;
    let made = added["password"].as_str().unwrap();
    let ida = format!("people/{}", added["id"].as_str().unwrap());
    let told = call(Method::GET, ida.clone(), json!(null), StatusCode::OK).await;
    assert_eq!((told["name"].as_str(), told["password_temporary"].as_bool()), (Some("ida"), Some(true)));
    call(Method::PUT, ida.clone(), json!({"name": "ida.b"}), no_content).await;
    call(Method::PUT, format!("{ida}/role"), json!({"role": "teacher"}), no_content).await;
    let reset = call(Method::POST, format!("{ida}/password"), json!(null), StatusCode::OK).await;
    assert_ne!(reset["password"].as_str(), Some(made));
    let body = json!({"name": "x", "role": "school_admin", "password": "zehn Zeichen"});
    call(Method::POST, "people".into(), body, StatusCode::UNPROCESSABLE_ENTITY).await;

    let class = call(Method::POST, "groups".into(), json!({"name": "5c"}), StatusCode::CREATED).await;
    let group = format!("groups/{}", class["id"].as_str().unwrap());
    let members = json!({"people": [added["id"]], "devices": [desk.school.device]});
    call(Method::POST, format!("{group}/members"), members.clone(), no_content).await;
    call(Method::PUT, format!("{group}/gate"), json!({"level": "filtered"}), no_content).await;
    let told = call(Method::GET, group.clone(), json!(null), StatusCode::OK).await;
    assert_eq!(
        (told["people"][0]["name"].as_str(), told["gate"]["setting"]["level"].as_str()),
        (Some("ida.b"), Some("filtered"))
    );
    call(Method::DELETE, format!("{group}/members"), members, no_content).await;
    let own = format!("groups/{}", desk.school.class);
    let pupils = call(Method::GET, format!("{own}/pupils"), json!(null), StatusCode::OK).await;
    assert_eq!(pupils["items"].as_array().unwrap().len(), 2);
    call(Method::POST, format!("{own}/password"), json!({"person": desk.school.pupil}), StatusCode::OK).await;
    call(Method::DELETE, group, json!(null), no_content).await;
    call(Method::DELETE, ida, json!(null), no_content).await;
    let body = json!({"old": PASSWORD, "new": "Hausmeister 2"});
    call(Method::PUT, "password".into(), body, no_content).await;
    let body = json!({"old": PASSWORD, "new": "Hausmeister 3"});
    call(Method::PUT, "password".into(), body, StatusCode::UNPROCESSABLE_ENTITY).await;
    let enrolment = call(Method::POST, "second-factor".into(), json!(null), StatusCode::OK).await;
    assert!(enrolment["uri"].as_str().unwrap().starts_with("otpauth://totp/"));
}
