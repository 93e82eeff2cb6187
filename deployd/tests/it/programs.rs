//! Real agents that install real packages with dpkg, into a folder, as the server plans.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ::software::package::{FileHash, Package, PackageId};
use ::software::plan::Wish;
use ::software::run::{Failure, Outcome, Report};
use ::software::turn::Turn;
use agent::client::Client;
use agent::identity::Identity;
use agent::software::{Pc, Worker};
use images::protocol::{Hello, HelloReply, RunsIn};
use inventory::{Audience, DeviceId, Power, WishId};
use serde_json::{Value, json};

use crate::support::{School, by, until};

/// A PC that is a folder, with a package database of its own.
struct FolderPc {
    dir: tempfile::TempDir,
    client: Client,
    device: DeviceId,
}

impl FolderPc {
    fn approved(school: &School, name: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["root", "dpkg/info", "dpkg/updates"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        for file in ["dpkg/status", "dpkg/available"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let server = format!("https://{}", school.handle().agent_address());
        let client = Client::new(&server, school.ca.as_bytes(), &Identity::generate().unwrap()).unwrap();
        let hello = Hello {
            agent_version: "1".into(),
            runs_in: RunsIn::InstalledSystem,
            hardware: Default::default(),
        };
        let HelloReply::Waiting { code } = client.hello(&hello).unwrap() else { panic!("not on the list") };
        let device = school.approve(&code, name);
        Self { dir, client, device }
    }

    fn pc(&self) -> Pc {
        let dir = self.dir.path();
        Pc {
            root: dir.join("root"),
            state: dir.join("state"),
            cache: dir.join("cache"),
            dpkg: dir.join("dpkg"),
            command_time_max: Duration::from_secs(20),
            restart: ["/bin/touch".to_owned(), dir.join("restarted").display().to_string()].into(),
            switch_off: ["/bin/touch".to_owned(), dir.join("off").display().to_string()].into(),
        }
    }

    fn worker(&self) -> Worker {
        Worker::new(self.pc(), self.client.clone()).unwrap()
    }

    /// dpkg with the words that make it work in this folder.
    fn dpkg(&self, words: &[&str]) -> Value {
        let dir = self.dir.path();
        let own = [
            "dpkg".to_owned(),
            format!("--admindir={}", dir.join("dpkg").display()),
            format!("--instdir={}", dir.join("root").display()),
            "--log=/dev/null".to_owned(),
        ];
        own.into_iter().chain(words.iter().map(|word| (*word).to_owned())).collect::<Vec<_>>().into()
    }

    fn has(&self, path: &str) -> bool {
        self.dir.path().join("root").join(path).exists()
    }
}

/// Makes a package that says its version in `/usr/share/hedy/version`.
fn deb(version: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let tree = dir.path().join("tree");
    fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    fs::create_dir_all(tree.join("usr/share/hedy")).unwrap();
    fs::write(tree.join("usr/share/hedy/version"), version).unwrap();
    // Larger than what crosses the network at once, and not to be packed.
    let noise: Vec<u8> = (0u32..600_000).map(|n| blake3::hash(&n.to_le_bytes()).as_bytes()[0]).collect();
    fs::write(tree.join("usr/share/hedy/noise"), noise).unwrap();
    let control = format!(
        "Package: hedy\nVersion: {version}\nArchitecture: all\nMaintainer: Test <test@schule.example>\nDescription: Ein Editor\n"
    );
    fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let file = dir.path().join("made.deb");
    let words = ["--root-owner-group", "-Znone", "--build"];
    assert!(Command::new("dpkg-deb").args(words).arg(&tree).arg(&file).output().unwrap().status.success());
    fs::read(file).unwrap()
}

/// Puts a file where the server keeps those of programs; returns it as a definition names it.
fn uploaded(school: &School, bytes: &[u8]) -> Value {
    let mut incoming = school.site.software_files().begin().unwrap();
    incoming.write(bytes).unwrap();
    let kept = incoming.keep().unwrap();
    json!([{ "name": "hedy.deb", "hash": FileHash::Blake3(kept.blake3), "size": kept.size }])
}

fn definition(version: &str, install: Value, files: Value) -> Value {
    json!({
        "id": "hedy", "name": "Hedy", "version": version, "system": "debian", "architectures": ["x64", "arm64"],
        "detect": { "dpkg": "hedy" }, "install": install, "files": files, "exit_codes": {},
    })
}

fn add(school: &School, definition: Value) {
    let package: Package = serde_json::from_value(definition).unwrap();
    school.block(school.inventory.add_software(by(), &package)).unwrap();
}

fn hedy() -> PackageId {
    "hedy".parse().unwrap()
}

fn wish(school: &School, wish: &Wish) -> WishId {
    school.block(school.inventory.wish_software(by(), &hedy(), Audience::Room(school.room.id), wish)).unwrap()
}

const WANTED: Wish = Wish::Required { version: None };

/// Lets the agent work until something became of the package after `wish`, and tells it to the server.
fn work(school: &School, pc: &FolderPc, worker: &mut Worker) -> Turn {
    let before = last(school, pc);
    for _ in 0..20 {
        worker.turn(Duration::from_secs(2)).unwrap();
        match last(school, pc) {
            Some(turn) if before.as_ref() != Some(&turn) => return turn,
            _ => {}
        }
    }
    panic!("nothing became of it");
}

fn last(school: &School, pc: &FolderPc) -> Option<Turn> {
    let (known, _) = school.block(school.inventory.known_software(Some(pc.device))).unwrap();
    known.first()?.turns.last.get(&hedy()).cloned()
}

fn report(turn: Turn) -> Report {
    match turn.outcome {
        Outcome::Failed(report) => report,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_package_is_installed_renewed_and_removed_by_dpkg() {
    let school = School::open();
    let pc = FolderPc::approved(&school, "r204-pc01");
    let install = pc.dpkg(&["--install", "{dir}/hedy.deb"]);
    let mut old = definition("1.0", install.clone(), uploaded(&school, &deb("1.0")));
    old["uninstall"] = json!({ "command": pc.dpkg(&["--remove", "hedy"]) });
    add(&school, old.clone());
    wish(&school, &WANTED);
    let mut worker = pc.worker();
    assert_eq!(work(&school, &pc, &mut worker).outcome, Outcome::Done { ran: true, despite: None });
    let version = pc.dir.path().join("root/usr/share/hedy/version");
    assert_eq!(fs::read_to_string(&version).unwrap(), "1.0");
    assert_eq!(
        fs::read_dir(pc.dir.path().join("cache")).unwrap().count(),
        0,
        "its files are not needed any more"
    );

    // A new version in the catalogue is enough.
    let mut new = definition("1.1", install, uploaded(&school, &deb("1.1")));
    new["uninstall"] = old["uninstall"].clone();
    add(&school, new);
    assert_eq!(work(&school, &pc, &mut worker).version.to_string(), "1.1");
    assert_eq!(fs::read_to_string(&version).unwrap(), "1.1");

    wish(&school, &Wish::Absent);
    assert!(matches!(work(&school, &pc, &mut worker).outcome, Outcome::Done { ran: true, .. }));
    assert!(!version.exists());
    assert_eq!(worker.observed().len(), 0);
}

#[test]
fn an_installer_that_lies_or_hangs_is_found_out_with_its_last_words() {
    let school = School::open();
    let pc = FolderPc::approved(&school, "r204-pc01");
    add(&school, definition("1", json!(["/bin/sh", "-c", "echo alles gut"]), json!([])));
    wish(&school, &WANTED);
    let mut worker = pc.worker();
    let lie = report(work(&school, &pc, &mut worker));
    assert_eq!((lie.failure, lie.tail.text().as_str()), (Failure::NotThere, "alles gut\n"));
    let told = last(&school, &pc);
    worker.turn(Duration::ZERO).unwrap();
    worker.turn(Duration::ZERO).unwrap();
    assert_eq!(last(&school, &pc), told, "it rests");

    let pid = pc.dir.path().join("pid");
    let script = format!("echo wartet; sleep 1000 & echo $! > {}; wait", pid.display());
    add(&school, definition("2", json!(["/bin/sh", "-c", script]), json!([])));
    let mut hasty =
        Worker::new(Pc { command_time_max: Duration::from_secs(1), ..pc.pc() }, pc.client.clone()).unwrap();
    let hung = report(work(&school, &pc, &mut hasty));
    assert_eq!((hung.failure, hung.tail.text().as_str()), (Failure::TimedOut, "wartet\n"));
    let child = fs::read_to_string(pid).unwrap();
    let stat = format!("/proc/{}/stat", child.trim());
    until("what it had started is ended with it", || {
        fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))
    });
}

#[test]
fn a_damaged_file_is_never_installed_and_a_broken_off_one_is_continued() {
    let school = School::open();
    let pc = FolderPc::approved(&school, "r204-pc01");
    let good = deb("1");
    let files = uploaded(&school, &good);
    let kept = school.site.software_files().path(blake3::hash(&good).as_bytes());
    let half = good.len() / 2;
    // The first half is damaged on the server; the PC has it from before.
    let mut damaged = good.clone();
    damaged[half / 2] ^= 1;
    fs::write(&kept, &damaged).unwrap();
    add(&school, definition("1", pc.dpkg(&["--install", "{dir}/hedy.deb"]), files));
    wish(&school, &WANTED);
    let mut worker = pc.worker();
    assert!(matches!(work(&school, &pc, &mut worker).outcome, Outcome::RetryLater(_)));
    assert!(!pc.has("usr/share/hedy"));

    fs::create_dir_all(pc.dir.path().join("cache/hedy")).unwrap();
    let hash = FileHash::Blake3(blake3::hash(&good).into());
    fs::write(pc.dir.path().join(format!("cache/hedy/.part-{hash}")), &good[..half]).unwrap();
    school.block(school.inventory.retry_software(by(), &hedy(), Some(pc.device))).unwrap();
    assert!(matches!(work(&school, &pc, &mut worker).outcome, Outcome::Done { ran: true, .. }));
    assert!(pc.has("usr/share/hedy/version"));
}

#[test]
fn nothing_else_begins_before_a_restart_that_is_wanted() {
    let school = School::open();
    let pc = FolderPc::approved(&school, "r204-pc01");
    let sessions = pc.dir.path().join("root/run/systemd/sessions");
    fs::create_dir_all(&sessions).unwrap();
    fs::write(sessions.join("1"), "CLASS=user\nSTATE=active\n").unwrap();
    let mut first = definition("1", json!(["/bin/sh", "-c", "exit 10"]), json!([]));
    first["exit_codes"] = json!({ "10": "done_after_reboot" });
    add(&school, first);
    let mut second = definition("1", json!(["/bin/touch", pc.dir.path().join("second")]), json!([]));
    (second["id"], second["detect"]) = (json!("zweites"), json!({ "dpkg": "zweites" }));
    add(&school, second);
    wish(&school, &WANTED);
    let id = "zweites".parse().unwrap();
    school.block(school.inventory.wish_software(by(), &id, Audience::Room(school.room.id), &WANTED)).unwrap();
    let mut worker = pc.worker();
    assert_eq!(work(&school, &pc, &mut worker).outcome, Outcome::RestartPending);
    let restarted = pc.dir.path().join("restarted");
    worker.turn(Duration::ZERO).unwrap();
    assert!(!restarted.exists(), "somebody is signed in");
    fs::remove_file(sessions.join("1")).unwrap();
    (0..3).for_each(|_| worker.turn(Duration::ZERO).unwrap());
    assert!(restarted.exists());
    assert!(!pc.dir.path().join("second").exists(), "it waits for the restart");
}

#[test]
fn a_pc_switches_off_when_it_is_asked_to_and_nobody_is_signed_in() {
    let school = School::open();
    let pc = FolderPc::approved(&school, "r204-pc01");
    let mut worker = pc.worker();
    worker.turn(Duration::ZERO).unwrap();
    let ask = |power| school.block(school.inventory.ask_power(by(), &[pc.device], power)).unwrap();
    let has = |name: &str| pc.dir.path().join(name).exists();
    let session = pc.dir.path().join("root/run/systemd/sessions/1");
    fs::create_dir_all(session.parent().unwrap()).unwrap();
    fs::write(&session, "CLASS=user\nSTATE=active\n").unwrap();
    assert_eq!(ask(Power::Off), 1);
    worker.turn(Duration::ZERO).unwrap();
    assert!(!has("off"), "somebody is signed in");
    fs::remove_file(session).unwrap();
    worker.turn(Duration::ZERO).unwrap();
    assert!(has("off") && !has("restarted"));

    // Come up again it is not told a second time, and does what is asked next.
    let mut again = pc.worker();
    fs::remove_file(pc.dir.path().join("off")).unwrap();
    again.turn(Duration::ZERO).unwrap();
    again.turn(Duration::ZERO).unwrap();
    assert!(!has("off"));
    ask(Power::Restart);
    again.turn(Duration::ZERO).unwrap();
    assert!(has("restarted"));
}

#[test]
fn after_a_loss_of_power_the_pc_looks_before_it_runs_anything() {
    let school = School::open();
    let pc = FolderPc::approved(&school, "r204-pc01");
    let counted = pc.dir.path().join("counted");
    // Installs, then the PC loses power before the installer ends.
    let script = format!(
        "echo x >> {}; sleep 1; exec {}",
        counted.display(),
        shell(&pc.dpkg(&["--install", "{dir}/hedy.deb"]))
    );
    add(&school, definition("1", json!(["/bin/sh", "-c", script]), uploaded(&school, &deb("1"))));
    wish(&school, &WANTED);
    let mut worker = pc.worker();
    let state = pc.dir.path().join("state");
    let saved = std::thread::scope(|scope| {
        let watch = scope.spawn(|| copy_when_begun(&state));
        work(&school, &pc, &mut worker);
        watch.join().unwrap()
    });
    // What lay on the disk while the command ran is all that a new start finds.
    fs::remove_dir_all(&state).unwrap();
    fs::create_dir_all(&state).unwrap();
    fs::write(state.join("step-hedy"), saved).unwrap();
    let mut again = pc.worker();
    again.resume();
    again.turn(Duration::ZERO).unwrap();
    assert!(matches!(last(&school, &pc).unwrap().outcome, Outcome::Done { ran: true, .. }));
    assert_eq!(fs::read_to_string(counted).unwrap(), "x\n", "it ran once");
}

/// The step's note as it lies on the disk while its command runs.
fn copy_when_begun(state: &Path) -> Vec<u8> {
    let mut note = Vec::new();
    until("it is begun", || {
        note = fs::read(state.join("step-hedy")).unwrap_or_default();
        String::from_utf8_lossy(&note).contains("\"phase\":\"begun\"")
    });
    note
}

fn shell(words: &Value) -> String {
    let words = words.as_array().unwrap().iter().map(|word| format!("'{}'", word.as_str().unwrap()));
    words.collect::<Vec<_>>().join(" ")
}
