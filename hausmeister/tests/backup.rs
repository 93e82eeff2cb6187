//! Backups with the real restic, from the first one to a server that comes back on an empty machine. Needs restic, as `make deps`
//! installs it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use hausmeister::backup::phrase::Phrase;
use hausmeister::backup::place::Place;
use hausmeister::backup::{Keeper, restore};
use inventory::backup::{BackupKind, BackupRun, BackupState};
use inventory::ca::Authority;
use inventory::config::ConfigFile;
use inventory::{By, Inventory, UnixMillis};

const BY: By<'_> = By { actor: "admin", at: UnixMillis(1) };

/// A server's files, without daemons.
struct Server {
    dir: tempfile::TempDir,
}

impl Server {
    async fn new() -> Self {
        let server = Self { dir: tempfile::tempdir().unwrap() };
        let data = server.data();
        let text = format!("[site]\nname = 'Testschule'\ndata_dir = '{}'\n", data.display());
        fs::write(server.config(), text).unwrap();
        Authority::ensure(&data.join("keys"), "Testschule").unwrap();
        fs::set_permissions(data.join("keys"), fs::Permissions::from_mode(0o700)).unwrap();
        for (path, size) in [("software/ab/file", 70_000), ("drivers/net [1]*/a.inf", 500), ("lists/x", 10)] {
            write(&data.join(path), size);
        }
        for (name, size) in [("1.pack", 3_000_000), ("1.index", 900), ("2.pack", 40_000)] {
            write(&data.join("store/packs").join(name), size);
        }
        write(&data.join("store/manifests").join("1a".repeat(32)), 800);
        let inventory = server.inventory().await;
        inventory.create_room(BY, "Raum 204").await.unwrap();
        let image = inventory.ensure_image(BY, "Debian").await.unwrap();
        inventory.add_version(BY, image, &"1a".repeat(32), 10).await.unwrap();
        inventory.close().await;
        server
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn config(&self) -> PathBuf {
        self.dir.path().join("hausmeister.toml")
    }

    fn repository(&self) -> PathBuf {
        self.dir.path().join("disk/backups")
    }

    async fn inventory(&self) -> Inventory {
        Inventory::open(&format!("sqlite://{}", self.data().join("hausmeister.db").display())).await.unwrap()
    }

    async fn rooms(&self) -> Vec<String> {
        let inventory = self.inventory().await;
        let rooms = inventory.rooms().await.unwrap().into_iter().map(|room| room.name).collect();
        inventory.close().await;
        rooms
    }

    /// What the admin types.
    fn says(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hausmeister"));
        command.arg("--config").arg(self.config()).args(words).output().unwrap()
    }

    fn done(&self, words: &[&str]) -> String {
        let output = self.says(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, words: &[&str]) -> String {
        let output = self.says(words);
        assert!(!output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    /// Sets backups up; the file holds the phrase, as a person copies it from the screen.
    fn set_up(&self) -> PathBuf {
        let said = self.done(&["backup", "setup", "--to", &self.repository().display().to_string()]);
        let phrase =
            said.lines().find_map(|line| line.trim().strip_prefix("Recovery phrase")).unwrap().trim();
        assert!(phrase.parse::<Phrase>().is_ok(), "{said}");
        let file = self.dir.path().join("paper");
        fs::write(&file, phrase).unwrap();
        file
    }

    fn place(&self) -> Place {
        Place::of(&ConfigFile::read(&self.config()).unwrap(), &self.config()).unwrap().unwrap()
    }

    /// Everything that must come back, by its path.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.data()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                let path = entry.path();
                let relative = path.strip_prefix(self.data()).unwrap().to_owned();
                let name = relative.display().to_string();
                if name.starts_with("hausmeister.db") || name == "backup" {
                    continue;
                }
                if entry.file_type().unwrap().is_dir() {
                    folders.push(path)
                } else {
                    files.insert(relative, fs::read(path).unwrap()).map_or((), drop)
                }
            }
        }
        files
    }
}

/// Content that nothing compresses and that differs from file to file.
fn write(path: &Path, size: usize) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut content = vec![0; size];
    blake3::Hasher::new()
        .update(path.file_name().unwrap().as_encoded_bytes())
        .finalize_xof()
        .fill(&mut content);
    fs::write(path, content).unwrap();
}

#[tokio::test]
async fn an_empty_machine_becomes_the_server_with_nothing_but_the_phrase() {
    let server = Server::new().await;
    let (paper, before) = (server.set_up(), server.files());
    assert!(server.done(&["backup", "now"]).contains("were new"));
    let config = fs::read_to_string(server.config()).unwrap();
    let repository = server.repository().display().to_string();

    // Nothing in the place can be read without the phrase.
    for entry in walk(&server.repository()) {
        let content = fs::read(&entry).unwrap();
        assert!(!content.windows(8).any(|part| part == b"Raum 204"), "{}", entry.display());
    }

    fs::remove_dir_all(server.data()).unwrap();
    fs::remove_file(server.config()).unwrap();
    let from =
        ["restore", "--from", &repository, "--phrase-file", &paper.display().to_string()].map(str::to_owned);
    let words =
        |more: &[&str]| from.iter().cloned().chain(more.iter().map(|&w| w.to_owned())).collect::<Vec<_>>();
    let ask = |words: &[String]| server.done(&words.iter().map(String::as_str).collect::<Vec<_>>());
    let said = ask(&words(&["--dry-run"]));
    assert!(said.contains("1 image versions") && !server.config().exists(), "{said}");
    let said = ask(&words(&["--yes"]));
    assert!(said.contains("This server is back"), "{said}");
    assert_eq!(fs::read_to_string(server.config()).unwrap(), config);
    assert_eq!(server.files(), before);
    assert_eq!(server.rooms().await, ["Raum 204"]);
    assert!(Authority::open(&server.data().join("keys")).is_ok());
    assert_eq!(fs::metadata(server.data().join("keys/ca.key")).unwrap().permissions().mode() & 0o777, 0o600);
    // It goes on backing up to the same place, and nothing is sent twice.
    let said = server.done(&["backup", "now"]);
    assert!(said.contains(" 0 MiB were new"), "{said}");
    assert_eq!(server.done(&["backup", "list"]).lines().count(), 2);
    assert!(server.done(&["backup", "drill"]).contains("can be brought back"));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()))
        } else {
            found.push(entry.path())
        }
    }
    found
}

#[tokio::test]
async fn a_wrong_phrase_a_missing_disk_and_a_foreign_place_are_named() {
    let server = Server::new().await;
    assert!(server.refused(&["backup", "now"]).contains("backup setup --to"));
    let paper = server.set_up();
    server.done(&["backup", "now"]);
    assert!(
        server.done(&["backup", "setup"]).contains(fs::read_to_string(&paper).unwrap().as_str()),
        "said again"
    );

    let wrong = server.dir.path().join("wrong");
    fs::write(&wrong, Phrase::random().to_string()).unwrap();
    let with =
        |file: &Path| server.refused(&["restore", "--dry-run", "--phrase-file", &file.display().to_string()]);
    assert!(with(&wrong).contains("belongs to other backups"));
    fs::write(&wrong, "abc").unwrap();
    assert!(with(&wrong).contains("25 signs"));
    assert!(server.refused(&["restore", "--dry-run", "--at", "2001-01-01"]).contains("the oldest one is"));

    let away = server.dir.path().join("away");
    fs::rename(server.repository(), &away).unwrap();
    assert!(server.refused(&["backup", "now"]).contains("is the disk connected"));
    assert!(!server.repository().exists(), "nothing is written beside the disk that is missing");
    fs::rename(&away, server.repository()).unwrap();

    // Another server finds backups there that are not its own.
    let other = Server::new().await;
    let there = server.repository().display().to_string();
    assert!(other.refused(&["backup", "setup", "--to", &there]).contains("holds backups already"));
    assert!(other.refused(&["backup", "setup", "--to", "/elsewhere"]).contains("change `repository`"));
}

#[tokio::test]
async fn a_server_that_runs_is_not_overwritten_and_a_damaged_backup_is_found() {
    let server = Server::new().await;
    server.set_up();
    server.done(&["backup", "now"]);
    let inventory = server.inventory().await;
    assert!(server.refused(&["restore", "--yes"]).contains("stop the server first"));
    assert!(server.done(&["backup", "now"]).contains("Backup "), "backing up disturbs nobody");
    inventory.close().await;

    let packs = walk(&server.repository().join("data"));
    let largest = packs.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let mut content = fs::read(largest).unwrap();
    for byte in &mut content[1000..400_000] {
        *byte ^= 0xff;
    }
    fs::set_permissions(largest, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(largest, content).unwrap();
    let place = server.place();
    let checked = place.restic.check(100).await;
    assert!(checked.is_err(), "a share of all data is read back, here all of it");
}

#[tokio::test]
async fn the_keeper_does_what_the_page_asks_for_and_a_restore_can_be_undone() {
    let server = Server::new().await;
    server.set_up();
    let inventory = server.inventory().await;
    let mut keeper = Keeper::start(Some(server.place()), inventory.clone());
    // Never made: the first one is due at once, and in the night also the trial.
    let first = over(&inventory, BackupKind::Backup).await;
    assert_eq!(
        (first.state, first.asked_by.as_str()),
        (BackupState::Done, "hausmeister"),
        "{:?}",
        first.result
    );
    let snapshot = wait(async || inventory.backup_snapshots().await.unwrap().pop()).await;
    assert_eq!(Some(&snapshot.id), first.snapshot.as_ref());
    assert!(inventory.backup_place().await.unwrap().unwrap().next_at > first.asked_at);
    inventory.ask_backup(BY, BackupKind::Drill, None).await.unwrap();
    let drill = over(&inventory, BackupKind::Drill).await;
    assert_eq!(drill.state, BackupState::Done, "{:?}", drill.result);

    inventory.create_room(BY, "Ein Irrtum").await.unwrap();
    fs::remove_file(server.data().join("software/ab/file")).unwrap();
    write(&server.data().join("drivers/new.inf"), 99);
    inventory.ask_backup(BY, BackupKind::Restore, Some(&snapshot.id)).await.unwrap();
    tokio::time::timeout(PATIENCE, keeper.restore_is_ready()).await.unwrap();
    drop(keeper);
    inventory.close().await;
    let site = server.place().site;
    assert!(restore::is_ready(&site));
    restore::finish(&site).await.unwrap();

    assert_eq!(server.rooms().await, ["Raum 204"]);
    assert!(
        server.data().join("software/ab/file").exists() && server.data().join("drivers/new.inf").exists()
    );
    let inventory = server.inventory().await;
    let keeper = Keeper::start(Some(server.place()), inventory.clone());
    let restored = over(&inventory, BackupKind::Restore).await;
    assert_eq!(
        (restored.state, restored.asked_by.as_str(), restored.result.files),
        (BackupState::Done, "admin", 1)
    );
    // The backup that was being made when the copy was written is known to be whole.
    let made = over(&inventory, BackupKind::Backup).await;
    assert_eq!((made.state, made.snapshot), (BackupState::Done, Some(snapshot.id.clone())));
    // What was there before is a backup like the others: the way back from the way back.
    let undo = wait(async || {
        let all = inventory.backup_snapshots().await.unwrap();
        all.into_iter().find(|other| other.id != snapshot.id)
    })
    .await;
    assert_eq!((undo.facts.rooms, snapshot.facts.rooms), (2, 1));
    drop(keeper);
    inventory.close().await;
}

#[tokio::test]
async fn a_restore_that_is_cut_off_goes_on_where_it_stopped() {
    let server = Server::new().await;
    server.set_up();
    server.done(&["backup", "now"]);
    let place = server.place();
    let snapshot = place.restic.snapshots().await.unwrap().remove(0);
    let inventory = server.inventory().await;
    inventory.create_room(BY, "Ein Irrtum").await.unwrap();
    inventory.close().await;

    // Cut off before everything lies ready: nothing was touched, and nothing is done.
    restore::prepare(&place, &snapshot, "admin", &|_| {}).await.unwrap();
    fs::remove_file(server.data().join("backup/restoring/ready.json")).unwrap();
    assert_eq!(restore::finish(&place.site).await.unwrap(), None);
    assert_eq!(server.rooms().await.len(), 2);

    // Cut off after the database, before the last key.
    restore::prepare(&place, &snapshot, "admin", &|_| {}).await.unwrap();
    let key = server.data().join("keys/ca.key");
    let good = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    fs::create_dir_all(key.join("in the way")).unwrap();
    assert!(restore::finish(&place.site).await.is_err());
    assert!(restore::is_ready(&place.site));
    fs::remove_dir_all(&key).unwrap();
    assert!(restore::finish(&place.site).await.unwrap().is_some());
    assert_eq!((server.rooms().await, fs::read(&key).unwrap()), (vec!["Raum 204".to_owned()], good));
    assert!(!restore::is_ready(&place.site));
}

#[tokio::test]
async fn a_backup_that_is_killed_leaves_a_place_that_works() {
    let server = Server::new().await;
    server.set_up();
    write(&server.data().join("store/packs/3.pack"), 120 << 20);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hausmeister"));
    let mut killed = command.arg("--config").arg(server.config()).args(["backup", "now"]).spawn().unwrap();
    // In the middle: the first data is there.
    wait(async || walk(&server.repository().join("data")).first().cloned()).await;
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The restic that it had started is still writing: nobody changes what it reads.
    let beside = server.refused(&["backup", "now"]);
    assert!(beside.contains("another process is backing up"), "{beside}");
    wait(async || server.says(&["backup", "now"]).status.success().then_some(())).await;
    server.done(&["backup", "drill"]);
    server.place().restic.check(100).await.unwrap();
}

/// The newest run of a kind once it is over.
async fn over(inventory: &Inventory, kind: BackupKind) -> BackupRun {
    wait(async || {
        let runs = inventory.backup_runs().await.unwrap();
        runs.into_iter().find(|run| run.kind == kind).filter(|run| run.state.is_over())
    })
    .await
}

async fn wait<T>(mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("not within a minute")
}

const PATIENCE: Duration = Duration::from_secs(60);
