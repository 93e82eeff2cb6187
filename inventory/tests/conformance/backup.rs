//! Backups: what is asked of their keeper, and the database as a file and back.

use inventory::backup::{
    self, BackupKind, BackupPlace, BackupSnapshot, BackupState, Facts, FileError, inspect, put_back,
};
use inventory::{Error, UnixMillis};

use super::{BY, Open, conflict};

pub(super) async fn a_backup_is_asked_for_once_and_nothing_beside_a_restore(open: Open) {
    let inventory = open.inventory().await;
    assert_eq!(
        (inventory.backup_place().await.unwrap(), inventory.backup_runs().await.unwrap()),
        (None, vec![])
    );
    let facts = Facts { version: "0.1.0".into(), migration: 19, seq: 7, devices: 3, ..Facts::default() };
    let snapshot = BackupSnapshot { id: "bf9cd062".into(), at: UnixMillis(5), facts };
    let place = BackupPlace { repository: "/mnt/backup".into(), next_at: UnixMillis(9) };
    inventory.set_backup_place(Some(&place), Some(std::slice::from_ref(&snapshot))).await.unwrap();
    assert_eq!(inventory.backup_place().await.unwrap(), Some(place.clone()));
    // The place did not answer: what was known stays.
    inventory.set_backup_place(Some(&place), None).await.unwrap();
    assert_eq!(inventory.backup_snapshots().await.unwrap(), std::slice::from_ref(&snapshot));

    let id = inventory.ask_backup(BY, BackupKind::Backup, None).await.unwrap();
    assert_eq!(inventory.ask_backup(BY, BackupKind::Backup, None).await.unwrap(), id);
    let mut run = inventory.backup_runs().await.unwrap().remove(0);
    assert_eq!((run.id, run.kind, run.state), (id, BackupKind::Backup, BackupState::Asked));
    inventory.set_backup_percent(BY, id, 40).await.unwrap();
    assert_eq!(inventory.backup_runs().await.unwrap().remove(0).percent, 40);
    run.state = BackupState::Failed;
    run.result = backup::BackupResult { error: Some("no room".into()), ..Default::default() };
    run.ended_at = Some(UnixMillis(8));
    inventory.keep_backup_run(BY, &run).await.unwrap();
    run.percent = 0;
    assert_eq!(inventory.backup_runs().await.unwrap(), [run]);

    let unknown = inventory.ask_backup(BY, BackupKind::Restore, Some("00000000")).await;
    assert!(matches!(unknown, Err(Error::NotFound { .. })), "{unknown:?}");
    inventory.ask_backup(BY, BackupKind::Restore, Some(&snapshot.id)).await.unwrap();
    assert!(conflict(inventory.ask_backup(BY, BackupKind::Backup, None).await).contains("restored"));
}

pub(super) async fn the_database_is_a_file_and_comes_back_from_it(open: Open) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("database");
    let inventory = open.inventory().await;
    inventory.create_room(BY, "Raum 204").await.unwrap();
    let facts = inventory.facts().await.unwrap();
    assert_eq!((facts.rooms, facts.devices, facts.seq), (1, 0, 1));
    inventory.export(&open.0, &file).await.unwrap();
    // Written after the copy was made: gone later.
    inventory.create_room(BY, "Raum 205").await.unwrap();
    inspect(&file, &facts).await.unwrap();

    let newer = Facts { migration: facts.migration + 1, version: "9.0".into(), ..facts.clone() };
    let refused = inspect(&file, &newer).await.unwrap_err();
    assert!(matches!(&refused, FileError::Newer { version } if version == "9.0"), "{refused}");
    let damaged = dir.path().join("damaged");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes.truncate(middle);
    std::fs::write(&damaged, bytes).unwrap();
    assert!(inspect(&damaged, &facts).await.is_err(), "half a database is none");

    inventory.close().await;
    put_back(&file, &open.0).await.unwrap();
    assert!(!file.exists(), "it is used up");
    let inventory = open.inventory().await;
    let rooms: Vec<String> = inventory.rooms().await.unwrap().into_iter().map(|room| room.name).collect();
    assert_eq!(rooms, ["Raum 204"]);
    inventory.create_room(BY, "Raum 206").await.unwrap();
    assert_eq!(inventory.facts().await.unwrap().rooms, 2, "and it goes on from there");
}
