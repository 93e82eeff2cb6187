//! A room of real agents that write the same image at the same time.

use std::fs;
use std::io::Write;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::client::Client;
use agent::identity::Identity;
use agent::job::Context;
use agent::line::{Line, Pauses};
use agent::machine::Machine;
use agent::screen::Screen;
use agent::session::{self, Timing};
use images::blockdev::FileDev;
use images::chunk::{CHUNK_BYTES, Hash};
use images::protocol::{Referral, Task};
use inventory::{DeviceId, ImageId};

use crate::support::{Pc, School, batch_body, by, some_chunks, until};

/// 25 batches.
const CHUNKS: usize = 1600;
const DISK_MIB: u64 = 2048;

/// A PC that is a folder.
struct FolderPc {
    dir: tempfile::TempDir,
    serial: Arc<Mutex<Vec<u8>>>,
}

struct Tee(Arc<Mutex<Vec<u8>>>);

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl FolderPc {
    fn new(name: &str) -> Arc<FolderPc> {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("sys/block/vda/size", &(DISK_MIB * 2048).to_string());
        put("sys/block/vda/serial", &format!("DISK-{name}"));
        put("sys/class/dmi/id/product_serial", name);
        put("proc/meminfo", "MemTotal: 4000000 kB\n");
        put("agent", "the resident agent");
        put("mnt/empty", "");
        fs::create_dir_all(dir.path().join("dev")).unwrap();
        FileDev::create(&dir.path().join("dev/vda"), DISK_MIB << 20, 512).unwrap();
        Arc::new(FolderPc { dir, serial: Arc::default() })
    }

    fn disk(&self) -> PathBuf {
        self.dir.path().join("dev/vda")
    }

    /// Does what a real one does until it would restart.
    fn boot(&self, server: &str, ca: &str) {
        let machine = Machine { root: self.dir.path().to_owned(), dev: self.dir.path().join("dev") };
        let identity = machine.kept_identity().unwrap_or_else(|| Identity::generate().unwrap());
        let client = Client::new(server, ca.as_bytes(), &identity).unwrap();
        let pauses = Pauses { first: Duration::from_millis(20), longest: Duration::from_millis(200) };
        let context = Context {
            machine: &machine,
            identity: &identity,
            line: &Line::new(client, Screen::to(Box::new(Tee(self.serial.clone()))), pauses),
            ca_pem: ca.as_bytes(),
            mount_point: self.dir.path().join("mnt"),
            binary: self.dir.path().join("agent"),
            efivars: self.dir.path().join("efivars"),
        };
        let timing = Timing { hello: Duration::from_millis(50), ..Timing::default() };
        session::serve(&context, &timing);
    }

    #[track_caller]
    fn serial(&self) -> String {
        let serial = String::from_utf8_lossy(&self.serial.lock().unwrap()).into_owned();
        assert!(!serial.contains("MARK error"), "{serial}");
        serial
    }

    /// A number of the line that says that the deploy is done.
    fn said(&self, what: &str) -> u64 {
        let serial = self.serial();
        let line = serial
            .lines()
            .find(|line| line.contains("MARK deploy done"))
            .unwrap_or_else(|| panic!("{serial}"));
        let value = line.split(' ').find_map(|word| word.strip_prefix(&format!("{what}="))).unwrap();
        value.parse().unwrap()
    }
}

/// Approves each PC that waits under the name that its serial number is, and gives it the image.
fn approve(school: &School, names: &[&str], image: ImageId) -> Vec<DeviceId> {
    let waits = || school.block(school.inventory.waiting()).unwrap().0;
    until("all wait", || waits().len() >= names.len());
    let mut devices = Vec::new();
    for name in names {
        let entry = waits().into_iter().find(|entry| entry.hardware["serial"] == **name).unwrap();
        let device = school.approve(&entry.code, name);
        school.deploy_job(device, image);
        devices.push(device);
    }
    devices
}

/// Runs the PCs until all would restart, and compares their disks with the image.
fn write_all(school: &School, pcs: &[Arc<FolderPc>], image: ImageId, chunks: &[Vec<u8>]) {
    for pc in pcs {
        let (pc, server, ca) =
            (pc.clone(), format!("https://{}", school.handle().agent_address()), school.ca.clone());
        std::thread::spawn(move || pc.boot(&server, &ca));
    }
    let names: Vec<String> = (0..pcs.len()).map(name).collect();
    approve(school, &names.iter().map(String::as_str).collect::<Vec<_>>(), image);
    for pc in pcs {
        until("it is written", || pc.serial().contains("MARK deploy done"));
        assert_is_written(&pc.disk(), chunks);
    }
}

fn name(number: usize) -> String {
    format!("r204-pc{number:02}")
}

fn assert_is_written(disk: &Path, chunks: &[Vec<u8>]) {
    let disk = fs::File::open(disk).unwrap();
    let mut content = vec![0; CHUNK_BYTES];
    // The support's image begins at the first MiB; every other chunk is zero.
    for (n, chunk) in chunks.iter().enumerate() {
        disk.read_exact_at(&mut content, ((1 << 20) + 2 * n * CHUNK_BYTES) as u64).unwrap();
        assert!(content == *chunk, "chunk {n} of {disk:?}");
    }
}

#[test]
fn a_room_gets_an_image_and_the_server_sends_it_hardly_more_than_once() {
    let school = School::open();
    let chunks = some_chunks(1, CHUNKS);
    let (image, _) = school.image("Debian 12", &chunks);
    let pcs: Vec<_> = (0..5).map(|n| FolderPc::new(&name(n))).collect();
    write_all(&school, &pcs, image, &chunks);
    let all: u64 = pcs.iter().map(|pc| pc.said("transferred")).sum();
    let peers: u64 = pcs.iter().map(|pc| pc.said("peers")).sum();
    let times = (all - peers) as f64 / (all as f64 / 5.0);
    println!("the server sent the image {times:.2} times");
    // Each PC's line is measured with one of the 25 batches.
    assert!((1.0..1.7).contains(&times), "the server sent the image {times:.2} times");
}

#[test]
fn a_pc_that_is_gone_costs_the_others_time_and_nothing_else() {
    let school = School::open();
    let chunks = some_chunks(2, CHUNKS);
    let (image, manifest) = school.image("Debian 12", &chunks);
    let hashes: Vec<Hash> = manifest.hashes().copied().collect();
    // It was the first to ask for the beginning, and passes nothing on.
    let (gone, device) = school.approved("gone");
    school.deploy_job(device, image);
    let job = gone.take_job();
    for (number, batch) in (0..8).zip(hashes.chunks(64)) {
        assert!(ask(&gone, &job.id, number, 9, batch).is_none(), "the first to ask is not referred");
    }
    let pcs: Vec<_> = (0..3).map(|n| FolderPc::new(&name(n))).collect();
    write_all(&school, &pcs, image, &chunks);
    let peers: u64 = pcs.iter().map(|pc| pc.said("peers")).sum();
    assert!(peers > 0, "the others helped each other all the same");
}

#[test]
fn only_pcs_of_the_same_room_and_image_are_referred_to_each_other() {
    let school = School::open();
    let chunks = some_chunks(3, 10);
    let (image, manifest) = school.image("Debian 12", &chunks);
    let (other_image, other_manifest) = school.image("Windows 11", &chunks);
    let hashes: Vec<Hash> = manifest.hashes().copied().collect();
    assert_eq!(hashes, other_manifest.hashes().copied().collect::<Vec<_>>());
    let begin = |name: &str, image: ImageId| {
        let (pc, device) = school.approved(name);
        school.deploy_job(device, image);
        let job = pc.take_job();
        let Task::Deploy { swarm: Some(token), .. } = job.task else { panic!() };
        (pc, job.id, token, device)
    };
    let (first, first_job, first_token, _) = begin("r204-pc01", image);
    let (other, other_job, other_token, _) = begin("r204-pc02", other_image);
    assert_ne!(first_token, other_token);
    assert_eq!(ask(&first, &first_job, 0, 7001, &hashes), None);
    assert_eq!(ask(&other, &other_job, 0, 7002, &hashes), None, "another image");
    // The first question of a PC is answered by the server, to learn how fast its line is.
    let (second, second_job, second_token, device) = begin("r204-pc03", image);
    assert_eq!(first_token, second_token);
    assert_eq!(ask(&second, &second_job, 1, 7003, &hashes), None);
    let referral = ask(&second, &second_job, 0, 7003, &hashes).unwrap();
    assert_eq!(referral.address.port(), 7001);
    // Who has no port takes no part, and who belongs to another room neither.
    assert_eq!(ask(&second, &second_job, 0, 0, &hashes), None);
    let elsewhere = school.block(school.inventory.create_room(by(), "Raum 1")).unwrap();
    school
        .block(school.inventory.change_device(
            by(),
            device,
            &"r204-pc03".parse().unwrap(),
            elsewhere.id,
            None,
        ))
        .unwrap();
    assert_eq!(ask(&second, &second_job, 0, 7003, &hashes), None);
    // Chunks of other images are nobody's.
    let foreign = [Hash::of(b"something else")];
    assert_eq!(first.job(&first_job, "batch", &batch_body(5, 7001, &foreign)).status, 403);
    for bad in [&b""[..], &[9, 0, 0, 0], &[255; 64], &batch_body(5, 7001, &[])] {
        assert_eq!(first.job(&first_job, "batch", bad).status, 400, "{bad:?}");
    }
}

/// Asks for a batch: to whom the server refers, or `None` if it sends.
fn ask(pc: &Pc, job: &str, batch: u32, port: u16, hashes: &[Hash]) -> Option<Referral> {
    let answer = pc.job(job, "batch", &batch_body(batch, port, hashes)).ok();
    serde_json::from_slice(&answer).ok()
}
