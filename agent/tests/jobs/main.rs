//! Whole jobs: the agent's loop on disks that are files, against a server that speaks the protocol over real TLS.
//!
//! Needs root for loop devices and mounting, and `mke2fs`, `e2fsck` and `resize2fs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

mod server;
mod windows;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::client::{Client, ClientError};
use agent::identity::Identity;
use agent::job::Context;
use agent::line::{Line, Pauses};
use agent::machine::Machine;
use agent::screen::Screen;
use agent::session::{self, Timing};
use ed25519_dalek::SigningKey;
use images::blockdev::{BlockDev, FileDev};
use images::manifest::{Identity as PartitionIdentity, Manifest, TableKind};
use images::protocol::{Finish, Hardware, Hello, HelloReply, Job, Phase, RunsIn, Task, Work};
use images::table::{self, Entry, Table};
use server::{Faults, Server, WINDOWS_AGENT};
use uuid::Uuid;

/// A PC whose disk is a file.
struct Pc {
    dir: tempfile::TempDir,
    serial: Arc<Mutex<Vec<u8>>>,
}

impl Pc {
    fn with_disk(mib: u64) -> Pc {
        let dir = tempfile::tempdir().unwrap();
        let pc = Pc { dir, serial: Arc::default() };
        let sys = pc.path("sys/block/vda");
        fs::create_dir_all(sys.join("device")).unwrap();
        fs::create_dir_all(pc.path("dev")).unwrap();
        fs::create_dir_all(pc.path("mnt")).unwrap();
        fs::write(sys.join("size"), (mib * 2048).to_string()).unwrap();
        fs::write(sys.join("serial"), "SERIAL1").unwrap();
        fs::write(pc.path("agent"), b"\x7fELF resident agent").unwrap();
        FileDev::create(&pc.disk(), mib << 20, 512).unwrap();
        pc
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn disk(&self) -> PathBuf {
        self.path("dev/vda")
    }

    fn machine(&self) -> Machine {
        Machine { root: self.dir.path().to_owned(), dev: self.path("dev") }
    }

    /// Runs the boot environment until it would restart the machine. Like a real one it finds its key on the disk.
    fn boot(&self, server: &Server) {
        let machine = self.machine();
        let identity = machine.kept_identity().unwrap_or_else(|| Identity::generate().unwrap());
        let client = Client::new(&server.url, &server.ca_pem, &identity).unwrap();
        let screen = Screen::to(Box::new(Tee(self.serial.clone())));
        let pauses = Pauses { first: Duration::from_millis(5), longest: Duration::from_millis(50) };
        let context = Context {
            machine: &machine,
            identity: &identity,
            line: &Line::new(client, screen, pauses),
            ca_pem: &server.ca_pem,
            mount_point: self.path("mnt"),
            binary: self.path("agent"),
            efivars: self.path("efivars"),
        };
        let quick = Duration::from_millis(10);
        session::serve(&context, &Timing { hello: quick, work: Duration::from_secs(5), rejected: quick });
    }

    /// The milestones on the serial line.
    fn marks(&self) -> Vec<String> {
        let text = String::from_utf8(self.serial.lock().unwrap().clone()).unwrap();
        text.lines().filter_map(|l| l.trim_end().strip_prefix("MARK ").map(str::to_owned)).collect()
    }
}

struct Tee(Arc<Mutex<Vec<u8>>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A reference PC: an EFI system partition and a Linux system of `mib` MiB with `data` MiB that do not compress.
fn reference(mib: u64, data: usize) -> Pc {
    let pc = Pc::with_disk(mib);
    let root = pc.path("root");
    for (path, content) in [
        ("etc/os-release", "PRETTY_NAME=Test\n"),
        ("etc/hostname", "reference\n"),
        ("etc/hosts", "127.0.0.1 localhost\n127.0.1.1 reference\n"),
        ("etc/machine-id", "0123\n"),
    ] {
        fs::create_dir_all(root.join(path).parent().unwrap()).unwrap();
        fs::write(root.join(path), content).unwrap();
    }
    let mut noise = vec![0; data << 20];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    fs::write(root.join("noise"), noise).unwrap();
    let sectors = (mib - 12) * 2048;
    let fs_image = pc.path("root.img");
    let size = format!("{}k", sectors / 2);
    run("mke2fs", &["-q", "-t", "ext4", "-d", root.to_str().unwrap(), fs_image.to_str().unwrap(), &size]);
    let dev = FileDev::open_write(&pc.disk()).unwrap();
    let gpt = |type_guid: u128, name: &str| PartitionIdentity::Gpt {
        type_guid: Uuid::from_u128(type_guid),
        unique: Uuid::from_u128(type_guid ^ 77),
        name: name.into(),
        attributes: 0,
    };
    let esp = gpt(0xC12A_7328_F81F_11D2_BA4B_00A0_C93E_C93B, "efi");
    let linux = gpt(0x0FC6_3DAF_8483_4772_8E79_3D69_D847_7DE4, "root");
    let table = Table {
        kind: TableKind::Gpt { disk: Uuid::from_u128(5) },
        boot_code: [0; 440],
        entries: vec![
            Entry { number: 1, identity: esp, first_lba: 2048, sectors: 8 * 2048 },
            Entry { number: 2, identity: linux, first_lba: 9 * 2048, sectors },
        ],
    };
    table::write(&dev, &table).unwrap();
    dev.write_at(2048 * 512, b"boot code of the firmware").unwrap();
    dev.write_at(9 * 2048 * 512, &fs::read(&fs_image).unwrap()).unwrap();
    dev.sync().unwrap();
    pc
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// Captures a reference PC through the whole loop and makes the deploy job `id` of it.
fn captured(server: &Server, reference: &Pc, id: &str) -> Job {
    server.state().approved = true;
    let task = Task::Capture { image: "Schulbuchlinux".into() };
    server.give(Work::Job(Job { id: "capture1".into(), task }));
    server.give(Work::Reboot);
    reference.boot(server);
    let mut state = server.state();
    let unsigned = Manifest::parse(&state.published.take().expect("nothing was published")).unwrap();
    let manifest = unsigned.sign(&key());
    state.manifests.insert(id.into(), manifest.to_bytes());
    state.finished.clear();
    state.phases.clear();
    Job { id: id.into(), task: deploy_task(&manifest) }
}

fn deploy_task(manifest: &Manifest) -> Task {
    Task::Deploy {
        image: "Schulbuchlinux".into(),
        version: 1,
        manifest: manifest.id().to_string(),
        signing_key: key().verifying_key().to_bytes().iter().map(|b| format!("{b:02x}")).collect(),
        hostname: "r204-pc07".into(),
        disk: None,
        swarm: None,
    }
}

/// The content of a file of the root file system of a deployed disk, and the size of that file system in bytes.
fn read_deployed(pc: &Pc, path: &str) -> (Vec<u8>, u64) {
    let dev = FileDev::open_read(&pc.disk()).unwrap();
    let table = table::read(&dev).unwrap().expect("a partition table");
    let root = &table.entries[1];
    let mut image = vec![0; (root.sectors * 512) as usize];
    dev.read_at(root.first_lba * 512, &mut image).unwrap();
    let copy = pc.path("copy.img");
    fs::write(&copy, &image).unwrap();
    let (copy, out) = (copy.to_str().unwrap(), pc.path("out"));
    run("e2fsck", &["-f", "-n", copy]);
    run("debugfs", &["-R", &format!("dump {path} {}", out.to_str().unwrap()), copy]);
    let blocks = u32::from_le_bytes(image[1028..1032].try_into().unwrap());
    (fs::read(out).unwrap(), u64::from(blocks) << (10 + image[1048]))
}

fn last_finish(server: &Server) -> Finish {
    server.state().finished.last().expect("no result arrived").1.clone()
}

#[test]
fn an_unknown_pc_waits_is_approved_captured_and_another_is_written_from_it_and_grown() {
    let server = Server::start();
    let source = reference(64, 24);
    let before = fs::read(source.disk()).unwrap();
    std::thread::scope(|scope| {
        let approve = scope.spawn(|| {
            let mut state = server.until(|s| s.hellos.len() >= 3);
            state.approved = true;
            state.faults = Faults { busy: 2, ..Faults::default() };
            drop(state);
            server.give(Work::Reboot);
        });
        source.boot(&server);
        approve.join().unwrap();
    });
    assert_eq!(source.marks(), ["waiting code=120934", "approved name=r204-pc07", "rebooting"]);
    let after = fs::read(source.disk()).unwrap();
    let kept = images::reserved::range(64 << 20).unwrap();
    let (kept_from, kept_to) = (kept.start as usize, kept.end as usize);
    assert!(before[..kept_from] == after[..kept_from] && before[kept_to..] == after[kept_to..]);
    assert!(
        before[kept_from..kept_to] != after[kept_from..kept_to],
        "the key is kept outside of every partition"
    );

    let job = captured(&server, &source, "deploy1");
    let keys = server.state().keys.clone();
    assert!(keys.iter().all(|k| *k == keys[0]), "the PC has the same key after a restart: {keys:?}");
    assert!(fs::read(source.disk()).unwrap() == after, "a capture writes nothing");

    let target = Pc::with_disk(160);
    server.give(Work::Job(job));
    target.boot(&server);
    let Finish::Ok { bytes, transferred, disk, resumed_bytes, kept_bytes, peer_bytes, .. } =
        last_finish(&server)
    else {
        panic!()
    };
    assert!(bytes > 24 << 20 && transferred > 24 << 20 && transferred < 40 << 20, "{bytes} {transferred}");
    assert_eq!((disk.as_str(), resumed_bytes, kept_bytes, peer_bytes), ("SERIAL1", 0, 0, 0));
    let (noise, fs_bytes) = read_deployed(&target, "noise");
    assert!(noise == fs::read(source.path("root/noise")).unwrap());
    assert!(fs_bytes > 120 << 20, "the file system has grown to {fs_bytes}");
    assert_eq!(read_deployed(&target, "etc/hostname").0, b"r204-pc07\n");
    assert_eq!(read_deployed(&target, "usr/local/sbin/hausmeister-agent").0, b"\x7fELF resident agent");
    assert_eq!(
        read_deployed(&target, "etc/hausmeister-agent/server").0,
        format!("{}\n", server.url).into_bytes()
    );
    let phases = server.state().phases.clone();
    assert!(phases.starts_with(&[Phase::Prepare]) && phases.contains(&Phase::Personalise), "{phases:?}");
    let marks = target.marks();
    assert!(marks[1].starts_with("deploy begin") && marks[2].starts_with("deploy done"), "{marks:?}");
    assert_eq!(target.machine().kept_identity().unwrap().fingerprint(), server.state().keys.last().unwrap());
}

#[test]
fn a_pc_that_has_the_image_already_fetches_only_what_it_changed() {
    let server = Server::start();
    let source = reference(64, 32);
    let job = captured(&server, &source, "deploy1");
    let target = Pc::with_disk(64);
    server.give(Work::Job(job.clone()));
    target.boot(&server);
    let Finish::Ok { transferred: first, .. } = last_finish(&server) else { panic!("{:?}", target.marks()) };
    let manifest = server.state().manifests.get("deploy1").unwrap().clone();
    server.state().manifests.insert("deploy2".into(), manifest);
    server.give(Work::Job(Job { id: "deploy2".into(), ..job }));
    server.give(Work::Reboot);
    target.boot(&server);
    let Finish::Ok { bytes, transferred, kept_bytes, .. } = last_finish(&server) else {
        panic!("{:?}", target.marks())
    };
    // The file system was grown and got a host name and the agent, which is in a few chunks.
    println!("of {bytes} bytes {kept_bytes} were there; {transferred} were fetched, {first} the first time");
    assert!(kept_bytes > 30 << 20 && transferred < first / 10, "{kept_bytes} {transferred} {first}");
    assert!(read_deployed(&target, "noise").0 == fs::read(source.path("root/noise")).unwrap());
    assert_eq!(read_deployed(&target, "etc/hostname").0, b"r204-pc07\n");
}

#[test]
fn dying_connections_and_damaged_chunks_cost_time_only() {
    let server = Server::start();
    let source = reference(64, 32);
    let job = captured(&server, &source, "deploy1");
    server.state().faults = Faults { break_every: Some(2), damaged: Some(3), busy: 3, gone_from: None };
    let target = Pc::with_disk(64);
    server.give(Work::Job(job));
    server.give(Work::Reboot);
    target.boot(&server);
    assert!(matches!(last_finish(&server), Finish::Ok { .. }), "{:?}", target.marks());
    assert!(read_deployed(&target, "noise").0 == fs::read(source.path("root/noise")).unwrap());
}

#[test]
fn an_interrupted_deploy_does_not_boot_and_goes_on_where_it_stopped() {
    let server = Server::start();
    let source = reference(96, 64);
    let job = captured(&server, &source, "deploy1");
    let target = Pc::with_disk(96);
    // With six at a time and two more in memory, whoever asks for the twelfth batch has written four.
    server.state().faults.gone_from = Some(12);
    server.give(Work::Job(job.clone()));
    server.give(Work::Reboot);
    target.boot(&server);
    let dev = FileDev::open_read(&target.disk()).unwrap();
    assert!(table::read(&dev).unwrap().is_none(), "a half-written disk has no partition table");
    assert!(target.machine().kept_identity().is_some(), "but it has the key");

    server.state().faults.gone_from = None;
    server.give(Work::Job(job));
    target.boot(&server);
    let Finish::Ok { transferred, resumed_bytes, .. } = last_finish(&server) else {
        panic!("{:?}", target.marks())
    };
    assert!(resumed_bytes > 8 << 20, "{resumed_bytes}");
    assert!(transferred < 60 << 20, "{transferred}");
    assert!(read_deployed(&target, "noise").0 == fs::read(source.path("root/noise")).unwrap());
}

#[test]
fn a_cancelled_deploy_stops_and_says_so() {
    let server = Server::start();
    let source = reference(64, 16);
    let job = captured(&server, &source, "deploy1");
    server.state().cancel = true;
    // Nothing moves until the cancellation has arrived.
    server.state().faults.break_every = Some(1);
    server.give(Work::Job(job));
    let target = Pc::with_disk(64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            server.until(|s| s.phases.contains(&Phase::Transfer)).faults.break_every = None;
            server.give(Work::Reboot);
        });
        target.boot(&server);
    });
    assert_eq!(server.state().finished.len(), 0, "the server knows already");
    assert!(target.marks().iter().any(|m| m.starts_with("error deploy") && m.ends_with("cancelled")));
    assert!(table::read(&FileDev::open_read(&target.disk()).unwrap()).unwrap().is_none());
}

#[test]
fn a_job_that_cannot_be_done_is_refused_with_the_reason_and_the_disk_is_untouched() {
    let server = Server::start();
    let source = reference(64, 1);
    let job = captured(&server, &source, "deploy1");
    let Task::Deploy { manifest, .. } = &job.task else { panic!() };
    let manifest = manifest.clone();
    let change = |change: &dyn Fn(&mut Task)| {
        let mut task = job.task.clone();
        change(&mut task);
        task
    };
    let foreign_key = change(&|task| {
        let Task::Deploy { signing_key, .. } = task else { panic!() };
        *signing_key =
            SigningKey::from_bytes(&[9; 32]).verifying_key().to_bytes().map(|b| format!("{b:02x}")).concat();
    });
    let other_image = change(&|task| {
        let Task::Deploy { manifest, .. } = task else { panic!() };
        *manifest = "00".repeat(32);
    });
    for (task, mib, part) in [
        (foreign_key, 64, "not signed"),
        (other_image, 64, "another image"),
        (change(&|_| {}), 32, "too small"),
    ] {
        let target = Pc::with_disk(mib);
        let was = fs::read(target.disk()).unwrap();
        let reserved = images::reserved::range(mib << 20).unwrap();
        server.give(Work::Job(Job { id: "deploy1".into(), task }));
        server.give(Work::Reboot);
        target.boot(&server);
        let Finish::Failed { reason } = last_finish(&server) else { panic!() };
        assert!(reason.contains(part), "{part}: {reason}");
        let now = fs::read(target.disk()).unwrap();
        assert!(now[..reserved.start as usize] == was[..reserved.start as usize], "{part}");
    }
    assert_eq!(manifest.len(), 64);
}

#[test]
fn a_server_of_another_school_is_not_believed() {
    let (ours, theirs) = (Server::start(), Server::start());
    let identity = Identity::generate().unwrap();
    let hello =
        Hello { agent_version: "1".into(), runs_in: RunsIn::BootEnvironment, hardware: Hardware::default() };
    let good = Client::new(&ours.url, &ours.ca_pem, &identity).unwrap();
    assert!(matches!(good.hello(&hello), Ok(HelloReply::Waiting { .. })));
    assert_eq!(ours.state().keys, [identity.fingerprint()]);
    let fooled = Client::new(&theirs.url, &ours.ca_pem, &identity).unwrap();
    assert!(matches!(fooled.hello(&hello), Err(ClientError::Untrusted(_))), "{:?}", fooled.hello(&hello));
    assert!(theirs.state().keys.is_empty());
    // By another name than the one in the certificate.
    let renamed = Client::new(&ours.url.replace("127.0.0.1", "127.0.0.2"), &ours.ca_pem, &identity).unwrap();
    assert!(renamed.hello(&hello).is_err());
}
