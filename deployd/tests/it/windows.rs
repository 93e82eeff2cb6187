//! The Windows agent itself, under Wine, with real MSI files, as the server plans. `make windows-agent` makes what this needs.
//!
//! What Wine cannot show: a service that starts with the PC, access rights that are enforced, the sessions of a real Windows, and the
//! part of Windows Installer that runs in a service of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use ::software::package::{FileHash, Package, PackageId};
use ::software::plan::Wish;
use ::software::run::{Failure, Outcome};
use ::software::turn::Turn;
use agent::client::Client;
use agent::identity::Identity;
use agent::machine::write_identity;
use images::blockdev::FileDev;
use images::protocol::{Hello, HelloReply, RunsIn};
use inventory::software::PcSoftware;
use inventory::{Audience, DeviceId};
use serde_json::{Value, json};

use crate::support::{School, by};

/// A PC that is a Wine prefix, with a disk that is a file.
struct WindowsPc {
    dir: tempfile::TempDir,
    device: DeviceId,
}

/// An agent that runs; it ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for WindowsPc {
    fn drop(&mut self) {
        // With it everything ends that runs in this prefix.
        self.ends();
    }
}

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/windows")
        .canonicalize()
        .expect("run make windows-agent")
}

impl WindowsPc {
    /// A PC with what a deploy leaves: the key on its disk, and the agent's files.
    fn deployed(school: &School, name: &str) -> Self {
        let base = base();
        assert!(base.join("agent.exe").exists(), "run make windows-agent");
        let dir = tempfile::tempdir_in(base.join("pcs")).unwrap();
        let prefix = dir.path().join("wine");
        let copied = Command::new("cp").args(["-al", "--"]).arg(base.join("pcs/fresh")).arg(&prefix).status();
        assert!(copied.unwrap().success());
        // The registry is written in place of the old one by some versions of Wine.
        for file in ["system.reg", "user.reg", "userdef.reg"] {
            fs::remove_file(prefix.join(file)).unwrap();
            fs::copy(base.join("pcs/fresh").join(file), prefix.join(file)).unwrap();
        }
        let identity = Identity::generate().unwrap();
        let server = format!("https://{}", school.handle().agent_address());
        let client = Client::new(&server, school.ca.as_bytes(), &identity).unwrap();
        let hello = Hello {
            agent_version: "1".into(),
            runs_in: RunsIn::BootEnvironment,
            hardware: Default::default(),
        };
        let HelloReply::Waiting { code } = client.hello(&hello).unwrap() else { panic!("not on the list") };
        let device = school.approve(&code, name);
        let disk = FileDev::create(&dir.path().join("disk"), 64 << 20, 512).unwrap();
        write_identity(&disk, &identity, &server).unwrap();
        symlink("../../disk", prefix.join("dosdevices/physicaldrive0")).unwrap();
        let config = prefix.join("drive_c/ProgramData/Hausmeister");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("ca.pem"), &school.ca).unwrap();
        fs::write(config.join("server"), format!("{server}\n")).unwrap();
        fs::write(config.join("manifest"), format!("{}\n", "ab".repeat(32))).unwrap();
        Self { dir, device }
    }

    /// A command in the chroot, with this PC as Wine's.
    fn inside(&self, words: &[&str]) -> Command {
        let base = base();
        let name = self.dir.path().file_name().unwrap().to_str().unwrap();
        let mut command = Command::new(base.join("../../agent/windows/chroot.sh"));
        command.arg("run").arg(&base).arg("env").arg(format!("WINEPREFIX=/pcs/{name}/wine")).args(words);
        command.stdin(Stdio::null());
        command
    }

    /// The agent; the process is Wine's, so that a signal hits the agent itself.
    fn agent(&self, what: &str) -> Running {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        let mut command = self.inside(&["wine64", r"Z:\src\target\windows\agent.exe", what]);
        Running(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }

    /// The PC goes off: everything ends that runs in this prefix.
    fn ends(&self) {
        let _ = self.inside(&["wineserver", "-k", "-w"]).output();
    }

    fn wine(&self, words: &[&str]) -> String {
        let out = self.inside(&[&["wine64"], words].concat()).output().unwrap();
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }

    fn said(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn drive(&self, path: &str) -> PathBuf {
        self.dir.path().join("wine/drive_c").join(path)
    }

    /// What became of the package, once it is as wished.
    fn turn(&self, school: &School, what: &str, as_wished: impl Fn(&Turn) -> bool) -> Turn {
        let mut found = None;
        self.within(what, || {
            let (known, _) = school.block(school.inventory.known_software(Some(self.device))).unwrap();
            found = known.first().and_then(|pc| pc.turns.last.get(&hedy()).cloned());
            found.as_ref().is_some_and(&as_wished)
        });
        found.unwrap()
    }

    fn reported(&self, school: &School) -> Option<PcSoftware> {
        let (known, _) = school.block(school.inventory.known_software(Some(self.device))).unwrap();
        known.into_iter().next().map(|known| known.pc)
    }

    #[track_caller]
    fn within(&self, what: &str, mut done: impl FnMut() -> bool) {
        let deadline = inventory::clock::instant() + Duration::from_secs(150);
        let (_, wait) = std::sync::mpsc::channel::<()>();
        while !done() {
            assert!(inventory::clock::instant() < deadline, "waited in vain: {what}\n{}", self.said());
            let _ = wait.recv_timeout(Duration::from_millis(100));
        }
    }

    /// Processes of this PC that run with this in their command line.
    fn processes_with(&self, text: &str) -> usize {
        let name = self.dir.path().file_name().unwrap().to_str().unwrap();
        let read = |folder: &Path, file: &str| {
            String::from_utf8_lossy(&fs::read(folder.join(file)).unwrap_or_default()).replace('\0', " ")
        };
        let is_one = |entry: &fs::DirEntry| {
            read(&entry.path(), "cmdline").contains(text) && read(&entry.path(), "environ").contains(name)
        };
        fs::read_dir("/proc").unwrap().flatten().filter(is_one).count()
    }
}

fn hedy() -> PackageId {
    "hedy".parse().unwrap()
}

/// An MSI that lays down a file with its version in it.
fn msi(version: &str, product: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("hedy.txt"), version).unwrap();
    let source = format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<Wix xmlns="http://schemas.microsoft.com/wix/2006/wi">
  <Product Id="{product}" Name="Hedy" Language="1031" Version="{version}" Manufacturer="Schule" UpgradeCode="{UPGRADE}">
    <Package InstallerVersion="200" Compressed="yes" InstallScope="perMachine"/>
    <MajorUpgrade DowngradeErrorMessage="Eine neuere Version ist da."/>
    <Media Id="1" Cabinet="a.cab" EmbedCab="yes"/>
    <Directory Id="TARGETDIR" Name="SourceDir"><Directory Id="ProgramFiles64Folder"><Directory Id="INSTALLDIR" Name="Hedy">
      <Component Id="C" Guid="BBBBBBBB-2222-3333-4444-555555555555" Win64="yes"><File Id="F" Name="hedy.txt" Source="hedy.txt" KeyPath="yes"/></Component>
    </Directory></Directory></Directory>
    <Feature Id="A" Level="1"><ComponentRef Id="C"/></Feature>
  </Product>
</Wix>"#
    );
    fs::write(dir.path().join("a.wxs"), source).unwrap();
    let made =
        Command::new("wixl").current_dir(dir.path()).args(["-a", "x64", "-o", "a.msi", "a.wxs"]).output();
    assert!(made.unwrap().status.success());
    fs::read(dir.path().join("a.msi")).unwrap()
}

fn add(school: &School, definition: Value) {
    let package: Package = serde_json::from_value(definition).unwrap();
    school.block(school.inventory.add_software(by(), &package)).unwrap();
}

/// A package of an MSI, as the import makes it.
fn msi_package(school: &School, version: &str, product: &str) -> Value {
    let mut incoming = school.site.software_files().begin().unwrap();
    incoming.write(&msi(version, product)).unwrap();
    let kept = incoming.keep().unwrap();
    json!({
        "id": "hedy", "name": "Hedy", "version": version, "system": "windows", "architectures": ["x64"],
        "detect": { "msi": { "product": format!("{{{product}}}"), "upgrade": format!("{{{UPGRADE}}}") } },
        "install": ["msiexec.exe", "/i", r"{dir}\hedy.msi", "/qn", "/norestart", "/l*v", "{log}", "GRUSS=Guten Tag"],
        "uninstall": { "registered": {} },
        "exit_codes": { "3010": "done_after_reboot", "1641": "rebooting" },
        "files": [{ "name": "hedy.msi", "hash": FileHash::Blake3(kept.blake3), "size": kept.size }],
    })
}

/// A package of a command.
fn command(version: &str, line: &str) -> Value {
    json!({
        "id": "hedy", "name": "Hedy", "version": version, "system": "windows", "architectures": ["x64"],
        "detect": { "file_version": r"%ProgramData%\nichts.exe" }, "install": ["cmd.exe", "/d", "/c", line],
        "exit_codes": { "3010": "done_after_reboot" }, "timeout_secs": 60,
    })
}

fn wish(school: &School, wish: &Wish) {
    school
        .block(school.inventory.wish_software(by(), &hedy(), Audience::Room(school.room.id), wish))
        .unwrap();
}

const WANTED: Wish = Wish::Required { version: None };
const UPGRADE: &str = "AAAAAAAA-2222-3333-4444-555555555555";
const OLD: &str = "11111111-2222-3333-4444-0000000000A1";
const NEW: &str = "11111111-2222-3333-4444-0000000000A2";

#[test]
fn an_msi_is_installed_renewed_and_removed_by_the_windows_agent() {
    let school = School::open();
    let pc = WindowsPc::deployed(&school, "r204-pc01");
    add(&school, msi_package(&school, "1.0.0", OLD));
    wish(&school, &WANTED);
    let _agent = pc.agent("software");
    let done = |version: &'static str| {
        move |turn: &Turn| {
            turn.version.to_string() == version && matches!(turn.outcome, Outcome::Done { ran: true, .. })
        }
    };
    pc.turn(&school, "it is installed", done("1.0.0"));
    let file = pc.drive("Program Files/Hedy/hedy.txt");
    assert_eq!(fs::read_to_string(&file).unwrap(), "1.0.0");
    let observed = pc.reported(&school).unwrap().observed;
    assert_eq!(observed[&hedy()], ::software::package::Found::Version("1.0.0".parse().unwrap()));

    // Another product code; the upgrade code leads to it.
    add(&school, msi_package(&school, "1.1.0", NEW));
    pc.turn(&school, "it is renewed", done("1.1.0"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "1.1.0");

    wish(&school, &Wish::Absent);
    pc.turn(&school, "it is removed", |turn| {
        matches!(turn.action, ::software::plan::Action::Uninstall { .. })
            && matches!(turn.outcome, Outcome::Done { .. })
    });
    assert!(!file.exists());
    let cache = pc.drive("ProgramData/Hausmeister/cache");
    assert_eq!(fs::read_dir(cache).unwrap().count(), 0, "its files are not needed any more");
}

#[test]
fn a_hanging_installer_is_ended_with_what_it_started() {
    let school = School::open();
    let pc = WindowsPc::deployed(&school, "r204-pc01");
    add(&school, command("1", "echo wartet& ping -n 98765 127.0.0.1 >NUL"));
    wish(&school, &WANTED);
    let _agent = pc.agent("software");
    pc.within("it hangs", || pc.processes_with("-n 98765") >= 2);
    let turn = pc.turn(&school, "it is ended", |turn| matches!(turn.outcome, Outcome::Failed(_)));
    let Outcome::Failed(report) = turn.outcome else { panic!("{turn:?}") };
    assert_eq!((report.failure, report.tail.text().trim()), (Failure::TimedOut, "wartet"));
    assert_eq!(pc.processes_with("-n 98765"), 0);
}

#[test]
fn an_agent_that_was_killed_takes_its_installer_along_and_goes_on() {
    let school = School::open();
    let pc = WindowsPc::deployed(&school, "r204-pc01");
    let mut package = msi_package(&school, "1.0.0", OLD);
    let msiexec = package["install"].clone();
    package["install"] = json!(["cmd.exe", "/d", "/c", "echo x>>C:\\counted& ping -n 87654 127.0.0.1 >NUL"]);
    add(&school, package.clone());
    wish(&school, &WANTED);
    let first = pc.agent("software");
    pc.within("it has begun", || {
        fs::read(pc.drive("counted")).is_ok_and(|text| !text.is_empty()) && pc.processes_with("-n 87654") >= 2
    });
    drop(first);
    pc.within("the installer ends with its agent", || pc.processes_with("-n 87654") == 0);
    let _again = pc.agent("software");
    let turn =
        pc.turn(&school, "the interruption is told", |turn| matches!(turn.outcome, Outcome::Failed(_)));
    let Outcome::Failed(report) = turn.outcome else { panic!("{turn:?}") };
    assert_eq!((report.failure, report.attempts), (Failure::Interrupted, 1));
    assert_eq!(fs::read_to_string(pc.drive("counted")).unwrap(), "x\r\n", "it ran once");

    // A version that installs.
    let mut better = msi_package(&school, "1.0.1", NEW);
    better["install"] = msiexec;
    add(&school, better);
    pc.turn(&school, "it is installed", |turn| matches!(turn.outcome, Outcome::Done { ran: true, .. }));
}

#[test]
fn a_restart_is_wanted_and_waits_for_whoever_is_signed_in() {
    let school = School::open();
    let pc = WindowsPc::deployed(&school, "r204-pc01");
    add(&school, command("1", "exit 3010"));
    wish(&school, &WANTED);
    let agent = pc.agent("software");
    pc.turn(&school, "a restart is wanted", |turn| turn.outcome == Outcome::RestartPending);
    // Whoever runs Wine is signed in.
    assert!(pc.reported(&school).unwrap().signed_in);
    let waits = || pc.said().matches("which waits until nobody is signed in").count();
    pc.within("the restart waits", || waits() == 1);

    // A new start within the same boot does not take it for done.
    drop(agent);
    let again = pc.agent("software");
    pc.within("it waits again", || waits() == 2);
    assert_eq!(pc.turn(&school, "it waits", |_| true).outcome, Outcome::RestartPending);
    assert!(!pc.said().contains("and nobody is signed in"), "{}", pc.said());

    // After the next one it looks, and finds nothing.
    drop(again);
    pc.ends();
    let _later = pc.agent("software");
    let turn = pc.turn(&school, "it has looked", |turn| matches!(turn.outcome, Outcome::Failed(_)));
    let Outcome::Failed(report) = turn.outcome else { panic!("{turn:?}") };
    assert_eq!(report.failure, Failure::NotThere);
}

#[test]
fn the_service_is_started_by_the_service_control_manager_and_reports_what_it_runs_on() {
    let school = School::open();
    let pc = WindowsPc::deployed(&school, "r204-pc01");
    let path = r"Z:\src\target\windows\agent.exe service";
    pc.wine(&["sc", "create", "HausmeisterAgent", "binPath=", path, "start=", "auto"]);
    // The next start of the system starts it. The system stays for as long as somebody runs in it.
    pc.ends();
    let somebody =
        pc.inside(&["wine64", "ping", "-n", "1000", "127.0.0.1"]).stdout(Stdio::null()).spawn().unwrap();
    let _somebody = Running(somebody);
    let observed = || school.block(school.inventory.device(pc.device)).unwrap().unwrap().observed;
    pc.within("it reports", || observed().os.is_some());
    pc.within("both of its parts speak", || pc.reported(&school).is_some());
    let seen = observed();
    assert_eq!(seen.runs_in.as_deref(), Some("installed_system"));
    // What Wine says it is.
    assert!(seen.os.as_deref().unwrap().starts_with("Windows 10"), "{seen:?}");
    assert!(seen.kernel.as_deref().unwrap().starts_with("10.0.19"), "{seen:?}");
    let log = pc.drive("ProgramData/Hausmeister/agent.log");
    pc.within("it says so", || {
        fs::read_to_string(&log).unwrap_or_default().contains("the server knows this PC; it is called")
    });
}
