//! Importing people and devices, by page and by API.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use inventory::{By, Role, clock};
use serde_json::{Value, json};

use crate::session;
use crate::testing::{Desk, Got, form, multipart, stranger};
use inventory::password::is_cheap;

const PUPILS: &str = "ID;Vorname;Nachname;Klasse\n10;Jürgen;Groß;7c\n11;Anna;Klein;7d\n12;=cmd();Böse;7d\n";

/// Uploads a file; returns the path of what it would change, and its page.
async fn uploaded(desk: &Desk, kind: &str, fields: &[(&str, &str)], file: &[u8]) -> (String, Got) {
    let got = desk.upload(&format!("/import/{kind}"), fields, file).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let path = got.header("location").to_owned();
    let page = desk.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    (path, page)
}

fn contains(got: &Got, texts: &[&str]) {
    for text in texts {
        assert!(got.body.contains(text), "{text} is not in {}", got.body);
    }
}

async fn sign_in(desk: &Desk, name: &str, password: &str) -> Got {
    desk.ask(form(stranger(&Method::POST, "/signin"), &[("name", name), ("password", password)])).await
}

async fn names(desk: &Desk) -> Vec<String> {
    desk.inventory.users().await.unwrap().0.into_iter().map(|user| user.name).collect()
}

#[tokio::test]
async fn the_secretary_imports_pupils_and_hands_out_their_passwords() {
    let desk = Desk::new().await;
    // As Excel on Windows writes it.
    let file: Vec<u8> = PUPILS.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    let before = names(&desk).await;
    let (path, page) = uploaded(&desk, "people", &[("role", "pupil")], &file).await;
    contains(
        &page,
        &["windows-1252", "Neu: 3", "Jürgen Groß", "juergen.gross", "7c, 7d", "liste &#60;1&#62;.csv"],
    );
    assert_eq!(names(&desk).await, before, "nothing is written before somebody says so");

    let got = desk.post(&format!("{path}/apply"), &[]).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, path.as_str()));
    let page = desk.get(&path).await;
    contains(&page, &["Erste Kennwörter", "juergen.gross", "<h3>7c</h3>", "<h3>7d</h3>"]);
    let table = desk.get(&format!("{path}/passwords")).await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    let lines: Vec<&str> = table.body.lines().collect();
    assert_eq!(lines[0], "\u{feff}Klasse;Name;Anmeldename;Kennwort");
    let password = lines[1].strip_prefix("7c;Jürgen Groß;juergen.gross;").unwrap();
    assert!(lines.iter().any(|line| line.starts_with("7d;'=cmd() Böse;")), "no formula: {lines:?}");

    // The first sign-in makes the hash as dear as any.
    let hash = async || desk.inventory.user_by_name("juergen.gross").await.unwrap().unwrap().password_hash;
    assert!(is_cheap(&hash().await));
    assert_eq!(
        sign_in(&desk, "juergen.gross", "etwas-anderes").await.status,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    for _ in 0..2 {
        assert_eq!(sign_in(&desk, "juergen.gross", password).await.status, StatusCode::SEE_OTHER);
        assert!(!is_cheap(&hash().await));
    }
    let groups = desk.inventory.groups().await.unwrap();
    assert!(groups.iter().any(|group| group.name == "7c"));

    // Once more: nothing to do. And the list is gone when it is discarded.
    let (_, again) = uploaded(&desk, "people", &[], &file).await;
    contains(&again, &["Es ist nichts zu tun"]);
    desk.post(&format!("{path}/forget"), &[]).await;
    let gone = desk.get(&format!("{path}/passwords")).await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert!(!desk.get(&path).await.body.contains("Erste Kennwörter"));
}

#[tokio::test]
async fn an_import_is_undone_with_one_button() {
    let desk = Desk::new().await;
    let before = names(&desk).await;
    let (path, _) = uploaded(&desk, "people", &[], PUPILS.as_bytes()).await;
    desk.post(&format!("{path}/apply"), &[]).await;
    assert_eq!(names(&desk).await.len(), before.len() + 3);
    contains(&desk.get("/import/people").await, &[&format!("{path}/undo")]);
    let choir = desk.inventory.create_group(By { actor: "x", at: clock::now() }, "Chor").await.unwrap();
    let anna = desk.inventory.user_by_name("anna.klein").await.unwrap().unwrap();
    let by = By { actor: "x", at: clock::now() };
    desk.inventory.add_to_group(by, choir.id, &[anna.id], &[]).await.unwrap();

    let got = desk.post(&format!("{path}/undo"), &[]).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/import/people"));
    let flash = got.cookie("__Host-flash").unwrap();
    let next =
        desk.request(&Method::GET, "/import/people").header(header::COOKIE, format!("__Host-flash={flash}"));
    let page = desk.ask(next.body(Body::empty()).unwrap()).await;
    contains(&page, &["Seither geändert und deshalb so gelassen: Anna Klein", "Rückgängig gemacht"]);
    let mut expected = before.clone();
    expected.push("anna.klein".into());
    expected.sort();
    assert_eq!(names(&desk).await, expected);
    // A second press does nothing.
    let again = desk.post(&format!("{path}/undo"), &[]).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    assert_eq!(names(&desk).await, expected);
}

#[tokio::test]
async fn a_file_that_removes_many_needs_the_number_and_a_bad_one_says_why() {
    let desk = Desk::new().await;
    let (path, page) = uploaded(&desk, "people", &[("complete", "1")], PUPILS.as_bytes()).await;
    contains(&page, &["Fällt weg: 2", "Es fiele mehr als ein Zehntel weg (2)"]);
    for typed in ["", "3", "x"] {
        let got = desk.post(&format!("{path}/apply"), &[("removals", typed)]).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        contains(&got, &["die Zahl 2 eintragen", "aria-invalid=\"true\""]);
    }
    let off = async || {
        let users = desk.inventory.users().await.unwrap().0;
        users.iter().filter(|user| user.deactivated_at.is_some()).count()
    };
    assert_eq!(off().await, 0);
    desk.post(&format!("{path}/apply"), &[("removals", "2")]).await;
    assert_eq!(off().await, 2);

    for (kind, file, reason) in [
        ("people", &b"Farbe;Form\nrot;rund\n"[..], "mindestens: Vorname, Nachname"),
        ("people", b"PK\x03\x04", "kein Text"),
        ("devices", b"", "Die Datei ist leer"),
        ("devices", &[b'a'; 8 * 1024 * 1024 + 1], "größer als 8 MiB"),
        ("devices", &[b'a'; 9 * 1024 * 1024], "größer als 8 MiB"),
    ] {
        let got = desk.upload(&format!("/import/{kind}"), &[], file).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{reason}");
        contains(&got, &[reason]);
    }
    let odd = desk.upload("/import/people", &[("role", "school_admin")], PUPILS.as_bytes()).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_plan_that_does_not_fit_any_more_is_shown_anew_and_not_carried_out() {
    let desk = Desk::new().await;
    let (path, _) = uploaded(&desk, "people", &[], PUPILS.as_bytes()).await;
    let by = By { actor: "x", at: clock::now() };
    desk.inventory.create_user(by, "anna.klein", "x", Role::Teacher).await.unwrap();
    let count = names(&desk).await.len();
    desk.post(&format!("{path}/apply"), &[]).await;
    assert_eq!(names(&desk).await.len(), count);
    contains(&desk.get(&path).await, &["Inzwischen hat jemand etwas geändert", "anna.klein2"]);
    desk.post(&format!("{path}/apply"), &[]).await;
    assert_eq!(names(&desk).await.len(), count + 3);
}

#[tokio::test]
async fn devices_are_imported_although_a_line_is_bad() {
    let desk = Desk::new().await;
    let file = "Raum;Name;MAC LAN;MAC WLAN;IP\nRaum 300;;52:54:00:00:00:01;;10.77.0.77\nRaum 300;x;52:54:00:00:00:zz;;\n\
        Aula;r204-pc02;90:1b:0e:12:34:02;;\n";
    let key = async || {
        desk.inventory
            .devices()
            .await
            .unwrap()
            .0
            .into_iter()
            .find(|d| d.name.as_str() == "r204-pc02")
            .unwrap()
            .key
    };
    let before = key().await;
    let (path, page) = uploaded(&desk, "devices", &[], file.as_bytes()).await;
    contains(
        &page,
        &["Neu: 1", "Versetzt: 1", "r300-pc01", "Zeilen mit Problemen: 1", "zwölf hexadezimale Ziffern"],
    );
    desk.post(&format!("{path}/apply"), &[]).await;
    let devices = desk.inventory.devices().await.unwrap().0;
    let new = devices.iter().find(|device| device.name.as_str() == "r300-pc01").unwrap();
    assert_eq!(new.interfaces[0].reserved_ip, Some([10, 77, 0, 77].into()));
    let moved = devices.iter().find(|device| device.name.as_str() == "r204-pc02").unwrap();
    assert_eq!((moved.room.name.as_str(), key().await), ("Aula", before), "it keeps its key");
    assert!(moved.desired_image.is_some(), "and its image");
    contains(&desk.get("/changes").await, &["aus Datei übernommen", "liste &#60;1&#62;.csv"]);
}

#[tokio::test]
async fn what_one_person_uploads_nobody_else_sees() {
    let desk = Desk::new().await;
    let (path, _) = uploaded(&desk, "people", &[], PUPILS.as_bytes()).await;
    desk.post(&format!("{path}/apply"), &[]).await;
    let cookie = desk.sign_in_as(Role::Secretary).await;
    let ask = async |method: Method, path: &str| {
        desk.ask(form(stranger(&method, path).header(header::COOKIE, &cookie), &[])).await
    };
    // The secretary sees that there was an import, but not its passwords; and has no business with devices.
    let page = ask(Method::GET, &path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(!page.body.contains("juergen.gross"));
    assert_eq!(ask(Method::GET, &format!("{path}/passwords")).await.status, StatusCode::SEE_OTHER);
    assert_eq!(ask(Method::GET, "/import/devices").await.status, StatusCode::FORBIDDEN);
    let request = stranger(&Method::POST, "/import/devices").header(header::COOKIE, &cookie);
    let got =
        desk.ask(multipart(request, &[], "liste.csv", b"Raum;Name;MAC\nR1;a;52:54:00:00:00:01\n")).await;
    assert_eq!(got.status, StatusCode::FORBIDDEN);
    let menu = ask(Method::GET, "/import/people").await;
    assert!(menu.body.contains("href=\"/import/people\"") && !menu.body.contains("href=\"/import/devices\""));
}

#[tokio::test]
async fn who_is_deactivated_cannot_sign_in() {
    let desk = Desk::new().await;
    let file = "ID;Vorname;Nachname;Passwort\n1;Lea;<groß>;x\n30;Eva;Lang;vom Sekretariat\n";
    let (path, page) = uploaded(&desk, "people", &[], file.as_bytes()).await;
    contains(&page, &["weniger als 10 Zeichen"]);
    desk.post(&format!("{path}/apply"), &[]).await;
    let got = sign_in(&desk, "eva.lang", "vom Sekretariat").await;
    assert_eq!(got.status, StatusCode::SEE_OTHER);
    let cookie = format!("{}={}", session::COOKIE, got.cookie(session::COOKIE).unwrap());
    let status = async || {
        let request = stranger(&Method::GET, "/status").header(header::COOKIE, &cookie);
        desk.ask(request.body(Body::empty()).unwrap()).await.status
    };
    assert_eq!(status().await, StatusCode::SEE_OTHER, "an own password is to be chosen first");
    let new = [("old", "vom Sekretariat"), ("new", "mein eigenes Wort"), ("again", "mein eigenes Wort")];
    let request = stranger(&Method::POST, "/password").header(header::COOKIE, &cookie);
    let got = desk.ask(form(request.header("sec-fetch-site", "same-origin"), &new)).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    assert_eq!(status().await, StatusCode::OK);
    let rest = "ID;Vorname;Nachname\n1;Lea;<groß>\n2;Ömer;Kurz & Lang\n";
    let (path, _) = uploaded(&desk, "people", &[("complete", "1")], rest.as_bytes()).await;
    desk.post(&format!("{path}/apply"), &[("removals", "1")]).await;
    assert_eq!(status().await, StatusCode::SEE_OTHER, "the session is over");
    let refused = sign_in(&desk, "eva.lang", "mein eigenes Wort").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    contains(&refused, &["Name oder Kennwort stimmen nicht"]);
}

async fn send(desk: &Desk, path: &str, body: Value, expected: StatusCode) -> Value {
    let got = desk.json(Method::POST, &format!("/api/v1/imports/{path}"), body).await;
    assert_eq!(got.status, expected, "{path}: {}", got.body);
    got.json()
}

async fn post_file(desk: &Desk, path: &str, file: &str) -> Value {
    let request = desk.request(&Method::POST, &format!("/api/v1/imports/{path}"));
    let got = desk.ask(request.body(Body::from(file.to_owned())).unwrap()).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
    got.json()
}

#[tokio::test]
async fn a_program_imports_people_and_takes_it_back() {
    let desk = Desk::new().await;
    let plan = post_file(&desk, "people?complete=1&name=schild.csv", &format!("{PUPILS}13;;Ohne;7d\n")).await;
    assert_eq!(
        plan["counts"],
        json!({"new": 3, "moved": 0, "changed": 0, "removed": 2, "unchanged": 0, "problems": 1})
    );
    assert_eq!((&plan["removals_needed"], &plan["plan"]["places"]), (&json!(2), &json!(["7c", "7d"])));
    let first = &plan["plan"]["items"][0];
    assert_eq!(
        (&first["verdict"], &first["line"], &first["name"]),
        (&json!("new"), &json!(2), &json!("Jürgen Groß"))
    );
    let problem = &plan["plan"]["problems"][0];
    assert_eq!((&problem["line"], &problem["line_used"]), (&json!(5), &json!(false)));
    assert!(problem["error"].as_str().unwrap().contains("name is missing"));

    let id = plan["id"].as_str().unwrap();
    send(&desk, &format!("people/{id}/apply"), json!({}), StatusCode::UNPROCESSABLE_ENTITY).await;
    let done = send(&desk, &format!("people/{id}/apply"), json!({"removals": 2}), StatusCode::OK).await;
    assert_eq!(done["state"], "done");
    assert_eq!(done["passwords"].as_array().unwrap().len(), 3);
    let list = desk.get("/api/v1/imports/people").await.json();
    assert_eq!((&list["items"][0]["id"], &list["items"][0]["can_undo"]), (&json!(id), &json!(true)));
    let undone = send(&desk, &format!("people/{id}/undo"), json!({}), StatusCode::OK).await;
    assert_eq!(undone, json!({"restored": 5, "left": []}));
    send(&desk, &format!("people/{id}/undo"), json!({}), StatusCode::CONFLICT).await;
    let shown = desk.get(&format!("/api/v1/imports/people/{id}")).await.json();
    assert_eq!((&shown["state"], &shown["import"]["undone"][0]), (&json!("done"), &json!("admin")));

    let plan = post_file(&desk, "devices?room=Lager", "pc1,52:54:00:00:00:01\n").await;
    assert_eq!((&plan["form"]["format"], &plan["plan"]["places"]), (&json!("fog"), &json!(["Lager"])));
    let id = plan["id"].as_str().unwrap();
    send(&desk, &format!("devices/{id}/apply"), json!({"removals": null}), StatusCode::OK).await;
    assert!(desk.inventory.room_by_name("Lager").await.unwrap().is_some());
}
