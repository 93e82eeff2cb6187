//! Programs on pages and by API: added from a file, assigned, tried again, removed.

use std::process::Command;

use axum::http::{Method, StatusCode};
use inventory::{Audience, By, clock};
use serde_json::json;

use crate::testing::{Desk, program};

/// A `.deb` with a file of its own, made by Debian's own program.
fn deb(name: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control = format!(
        "Package: {name}\nVersion: 1.2-3\nArchitecture: amd64\nMaintainer: Test <test@schule.example>\nDescription: Ein Editor\n"
    );
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let file = dir.path().join("made.deb");
    let made = Command::new("dpkg-deb").arg("--build").arg(&tree).arg(&file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(file).unwrap()
}

/// The value of a form's field.
fn value<'p>(page: &'p str, field: &str) -> &'p str {
    let input =
        page.split(&format!("name=\"{field}\" value=\"")).nth(1).unwrap_or_else(|| panic!("{field}: {page}"));
    input.split('"').next().unwrap()
}

fn unescaped(text: &str) -> String {
    text.replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#38;", "&")
}

#[tokio::test]
async fn a_deb_file_fills_in_its_form_and_becomes_a_program() {
    let desk = Desk::new().await;
    let file = deb("hedy");
    let form = desk.upload_as("/software/upload", "hedy_1.2-3_amd64.deb", &file).await;
    assert_eq!(form.status, StatusCode::OK, "{}", form.body);
    assert_eq!((value(&form.body, "id"), value(&form.body, "version")), ("hedy", "1.2-3"));
    assert_eq!(value(&form.body, "detect_value"), "hedy");
    let (draft, name) = (unescaped(value(&form.body, "draft")), unescaped(value(&form.body, "name")));
    let (install, uninstall) =
        (unescaped(value(&form.body, "install")), unescaped(value(&form.body, "uninstall")));
    assert!(install.contains("{dir}"), "{install}");
    let fields = [
        ("draft", draft.as_str()),
        ("name", name.as_str()),
        ("id", "hedy"),
        ("version", "1.2-3"),
        ("architecture", "x64"),
        ("detect", "dpkg"),
        ("detect_value", "hedy"),
        ("install", install.as_str()),
        ("uninstall", uninstall.as_str()),
    ];
    let refused = desk.post("/software", &[&fields[..7], &[("install", "")]].concat()).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("Dieses Feld wird gebraucht"), "{}", refused.body);
    let added = desk.post("/software", &fields).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.body);
    let page = added.header("location").to_owned();

    // The same version again is refused, in German.
    let again = desk.post("/software", &fields).await;
    assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", again.body);
    assert!(again.body.contains("gibt es für dieses System"), "{}", again.body);

    let (entries, _) = desk.inventory.software_entries().await.unwrap();
    let entry = entries.iter().find(|entry| entry.package.id.as_str() == "hedy").unwrap();
    assert_eq!(entry.package.files[0].size, file.len() as u64);
    let room = desk.school.room.to_string();
    let wanted = [("wish", "required"), ("to", "room"), ("room", room.as_str())];
    let preview = desk.post(&format!("{page}/assign"), &[&wanted[..], &[("preview", "1")]].concat()).await;
    assert_eq!(preview.status, StatusCode::OK, "{}", preview.body);
    assert!(preview.body.contains("<li>r204-pc01: hedy: Ein Editor"), "{}", preview.body);
    assert!(preview.body.contains(&format!("<option value=\"{room}\" selected>")), "{}", preview.body);
    assert!(desk.inventory.software_wishes().await.unwrap().0.iter().all(|w| w.package.as_str() != "hedy"));
    let got =
        desk.post(&format!("{page}/assign"), &[("wish", "required"), ("to", "room"), ("room", &room)]).await;
    assert_eq!(got.status, StatusCode::SEE_OTHER, "{}", got.body);
    let shown = desk.get(&page).await.body;
    assert!(shown.contains("wird installiert") && shown.contains("zugewiesen: Raum 204"), "{shown}");
    let got = desk.post(&format!("{page}/remove"), &[]).await;
    assert_eq!(got.header("location"), page, "it is assigned");
    let (wishes, _) = desk.inventory.software_wishes().await.unwrap();
    let wish = wishes.iter().find(|wish| wish.package.as_str() == "hedy").unwrap();
    assert_eq!(wish.audience, Audience::Room(desk.school.room));
    desk.post(&format!("{page}/take-back"), &[("wish", &wish.id.to_string())]).await;
    desk.post(&format!("{page}/remove"), &[]).await;
    assert_eq!(desk.get(&page).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_file_that_is_not_what_its_name_says_is_refused_with_the_reason() {
    let desk = Desk::new().await;
    for (name, bytes) in
        [("a.deb", b"no archive".as_slice()), ("a.msi", b"no container"), ("..", b"x"), ("leer.exe", b"")]
    {
        let got = desk.upload_as("/software/upload", name, bytes).await;
        assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
    }
    let form = desk.upload_as("/software/upload", "setup.exe", b"MZ").await;
    assert!(form.body.contains("setup.exe") && form.body.contains("Windows"), "{}", form.body);
}

#[tokio::test]
async fn what_failed_is_shown_with_what_the_installer_wrote_and_tried_again() {
    let desk = Desk::new().await;
    let page = format!("/software/{}", desk.school.program);
    let shown = desk.get(&page).await.body;
    assert!(shown.contains("die Platte ist voll") && shown.contains("E: &#60;b&#62;kein Platz"), "{shown}");
    let list = desk.get("/api/v1/software").await.json();
    let geany =
        list["items"].as_array().unwrap().iter().find(|program| program["package"] == "geany").unwrap();
    assert_eq!((geany["in_order"].clone(), geany["needs_person"].clone()), (json!(1), json!(1)));
    let pc = desk.get(&format!("/devices/{}", desk.school.busy)).await.body;
    assert!(pc.contains("Geany &#60;b&#62;Editor") && pc.contains("dreimal gescheitert"), "{pc}");
    let pc = desk.get(&format!("/api/v1/devices/{}/software", desk.school.device)).await.json();
    assert_eq!(
        (pc["items"][0]["package"].clone(), pc["items"][0]["in_order"].clone()),
        (json!("geany"), json!(true))
    );
    let api = format!("/api/v1{page}");
    let got = desk.json(Method::POST, &format!("{api}/retry"), json!({})).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT, "{}", got.body);
    let shown = desk.get(&api).await.json();
    let states: Vec<&str> =
        shown["pcs"].as_array().unwrap().iter().map(|pc| pc["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["there", "is being installed"]);
    let got = desk.json(Method::POST, &format!("{api}/retry"), json!({})).await;
    assert_eq!(got.status, StatusCode::NOT_FOUND, "nothing failed since");
    let history = desk.get("/changes").await.body;
    assert!(history.contains("Programm wird noch einmal versucht") && history.contains(&page), "{history}");
}

#[tokio::test]
async fn a_definition_comes_by_api_with_its_file_and_goes_to_those_who_are_named() {
    let desk = Desk::new().await;
    let request = desk.request(&Method::POST, "/api/v1/software-files?name=hedy.deb");
    let got = desk.ask(request.body(axum::body::Body::from(deb("hedy"))).unwrap()).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
    let mut package = got.json()["package"].clone();
    let added = desk.json(Method::POST, "/api/v1/software", package.clone()).await;
    assert_eq!(added.status, StatusCode::CREATED, "{}", added.body);
    let id = added.json()["id"].as_str().unwrap().to_owned();
    package["version"] = json!("2");
    package["files"][0]["size"] = json!(1);
    let got = desk.json(Method::POST, "/api/v1/software", package).await;
    assert_eq!(got.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", got.body);
    let wish = json!({ "audience": { "kind": "group", "id": desk.school.class }, "wish": { "required": { "version": "1.2-3" } } });
    let got = desk.json(Method::POST, &format!("/api/v1/software/{id}/wishes"), wish).await;
    assert_eq!(got.status, StatusCode::CREATED, "{}", got.body);
    let wish = got.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(
        desk.get(&format!("/api/v1/software/{id}")).await.json()["wishes"][0]["audience"]["kind"],
        "group"
    );
    let got = desk.json(Method::DELETE, &format!("/api/v1/software-wishes/{wish}"), json!({})).await;
    assert_eq!(got.status, StatusCode::NO_CONTENT);
    // A newer version of another entry is one program with it.
    let by = By { actor: "test", at: clock::now() };
    desk.inventory.add_software(by, &program("hedy", "Hedy", "3")).await.unwrap();
    assert_eq!(desk.get(&format!("/api/v1/software/{id}")).await.json()["versions"], json!(["1.2-3", "3"]));
}
