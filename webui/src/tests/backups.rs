//! Backups on the page and by the API.

use axum::http::{Method, StatusCode};
use inventory::backup::{BackupKind, BackupState};
use serde_json::json;

use crate::testing::Desk;
use crate::testing::sample::SNAPSHOT;

#[tokio::test]
async fn a_server_without_backups_says_how_to_have_some() {
    let desk = Desk::new().await;
    desk.inventory.set_backup_place(None, Some(&[])).await.unwrap();
    let page = desk.get("/backups").await.body;
    assert!(
        page.contains("hausmeister backup setup --to") && !page.contains("action=\"/backups\""),
        "{page}"
    );
    let asked = desk.json(Method::POST, "/api/v1/backups", json!({})).await;
    assert_eq!(asked.status, StatusCode::NOT_FOUND, "nobody would ever do it");
    assert_eq!(desk.get(&format!("/backups/{SNAPSHOT}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_a_restore_would_undo_is_said_before_it_is_asked_for() {
    let desk = Desk::new().await;
    let page = desk.get("/backups").await.body;
    assert!(page.contains("sftp:sicherung@nas.schule.internal:/hausmeister"), "{page}");
    assert!(page.contains("/mnt/usb ist voll") && page.contains("84,0 MiB"), "{page}");

    let mine = desk.get(&format!("/api/v1/backups/{SNAPSHOT}")).await.json();
    let seq = mine["snapshot"]["facts"]["seq"].as_i64().unwrap();
    let before: u64 =
        mine["changes"].as_array().unwrap().iter().map(|lost| lost["times"].as_u64().unwrap()).sum();
    desk.inventory
        .create_room(inventory::By { actor: "admin", at: inventory::clock::now() }, "Neu")
        .await
        .unwrap();
    // What daemons write by themselves is no loss.
    desk.inventory
        .create_room(inventory::By { actor: "netd", at: inventory::clock::now() }, "Netz")
        .await
        .unwrap();
    let mine = desk.get(&format!("/api/v1/backups/{SNAPSHOT}")).await.json();
    let after: u64 =
        mine["changes"].as_array().unwrap().iter().map(|lost| lost["times"].as_u64().unwrap()).sum();
    assert_eq!((after, mine["newer"].as_bool()), (before + 1, Some(false)), "{mine}");
    assert!(seq > 0 && mine["now"]["rooms"].as_u64() > mine["snapshot"]["facts"]["rooms"].as_u64(), "{mine}");
    let page = desk.get(&format!("/backups/{SNAPSHOT}")).await.body;
    assert!(page.contains(&format!("{after} Änderungen")) && page.contains("Raum angelegt"), "{page}");

    let got = desk.post(&format!("/backups/{SNAPSHOT}"), &[]).await;
    assert_eq!((got.status, got.header("location")), (StatusCode::SEE_OTHER, "/backups"));
    let runs = desk.inventory.backup_runs().await.unwrap();
    let run = runs.iter().find(|run| run.kind == BackupKind::Restore).unwrap();
    assert_eq!(
        (run.state, run.snapshot.as_deref(), run.asked_by.as_str()),
        (BackupState::Asked, Some(SNAPSHOT), "admin")
    );
    let beside = desk.json(Method::POST, "/api/v1/backups", json!({"drill": true})).await;
    assert_eq!(beside.status, StatusCode::CONFLICT, "{}", beside.body);
}

#[tokio::test]
async fn what_a_newer_program_made_is_not_brought_back() {
    let desk = Desk::new().await;
    let mut snapshots = desk.inventory.backup_snapshots().await.unwrap();
    snapshots[0].facts.migration += 1;
    let place = desk.inventory.backup_place().await.unwrap();
    desk.inventory.set_backup_place(place.as_ref(), Some(&snapshots)).await.unwrap();
    let page = desk.get(&format!("/backups/{SNAPSHOT}")).await.body;
    assert!(
        page.contains("neueren Hausmeister") && !page.contains("Diesen Stand wiederherstellen"),
        "{page}"
    );
    let refused = desk.json(Method::POST, &format!("/api/v1/backups/{SNAPSHOT}/restore"), json!({})).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(desk.inventory.backup_runs().await.unwrap().iter().all(|run| run.kind != BackupKind::Restore));
}
