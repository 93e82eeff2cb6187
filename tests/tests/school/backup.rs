//! A running server is brought back to a backup from its page, on both engines.

use serde_json::json;

use super::support::lan::Lan;
use super::support::postgres::Postgres;
use super::support::school::School;
use super::support::{eventually, succeed};

#[test]
fn a_running_server_is_brought_back_from_its_page_on_sqlite() {
    is_brought_back(&School::set_up(Lan::new(0)));
}

#[test]
fn a_running_server_is_brought_back_from_its_page_on_postgresql() {
    let postgres = Postgres::start();
    is_brought_back(&School::set_up_on(Lan::new(0), Some(&postgres.database("school"))));
}

fn is_brought_back(school: &School) {
    let place = school.dir.path().join("other-disk");
    succeed(school.hausmeister().args(["backup", "setup", "--to"]).arg(&place));
    let mut up = school.up();
    let admin = school.admin();
    let pc = school.lan.computer("52:54:00:30:00:01");
    let address = eventually("an address", || pc.ask_for_an_address());
    admin.post("/rooms", &json!({ "name": "Raum 204" })).unwrap();
    // The keeper makes the first one by itself, and it may have begun before the room was added.
    let id = eventually("a backup with the room", || {
        let backups = admin.get("/backups").ok()?;
        let made = backups["snapshots"].as_array()?.iter().find(|made| made["facts"]["rooms"] == 1);
        if made.is_none() && backups["runs"].as_array()?.iter().all(|run| run["state"] == "done") {
            let _ = admin.post("/backups", &json!({}));
        }
        Some(made?["id"].as_str()?.to_owned())
    });
    admin.post("/rooms", &json!({ "name": "Ein Irrtum" })).unwrap();
    let preview = admin.get(&format!("/backups/{id}")).unwrap();
    assert_eq!(preview["changes"][0]["entity"], "room", "{preview}");

    admin.post(&format!("/backups/{id}/restore"), &json!({})).unwrap();
    let admin = eventually("the server as it was", || {
        let admin = school.try_admin().ok()?;
        (admin.get("/rooms").ok()?["items"].as_array()?.len() == 1).then_some(admin)
    });
    assert_eq!(admin.list("/rooms")[0]["name"], "Raum 204");
    let restored = eventually("what became of it", || {
        let runs = admin.get("/backups").ok()?;
        runs["runs"].as_array()?.iter().find(|run| run["kind"] == "restore").cloned()
    });
    assert_eq!((&restored["state"], &restored["asked_by"]), (&json!("done"), &json!("admin")), "{restored}");
    // DHCP answers again, and the PC keeps its address.
    assert_eq!(eventually("an address again", || pc.ask_for_an_address()), address);
    assert!(up.is_running(), "{}", up.said());
}
