//! A school with one server, and PCs that speak to it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deployd::{Config, Handle};
use ed25519_dalek::SigningKey;
use images::chunk::{CHUNK_BYTES, Hash, Stored};
use images::manifest::{ChunkTable, Filesystem, Header, Identity, Manifest, Partition, TableKind};
use images::protocol::{Ask, Disk, Finish, Hardware, Hello, HelloReply, Job, Nic, RunsIn, Work};
use images::store::Store;
use images::used::FsKind;
use inventory::ca::{Authority, write_secret};
use inventory::config::Site;
use inventory::{By, DeviceId, ImageId, Inventory, JobId, JobState, JobTask, Notice, Room, UnixMillis};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// A school's server in a folder of its own. Its methods block, so tests read from top to bottom.
pub(crate) struct School {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) site: Site,
    pub(crate) config: Config,
    pub(crate) inventory: Inventory,
    pub(crate) room: Room,
    pub(crate) handle: Option<Handle>,
    pub(crate) ca: String,
    _dir: tempfile::TempDir,
}

impl School {
    /// A server that runs.
    pub(crate) fn open() -> Self {
        Self::open_with(|_| {})
    }

    /// A server that runs with a changed configuration.
    pub(crate) fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let site = Site { data_dir: dir.path().to_owned(), ..Site::default() };
        let ca = Authority::ensure(&site.keys_dir(), "Testschule").unwrap().pem().to_owned();
        write_secret(&site.keys_dir().join("signing.key"), "07".repeat(32).as_bytes()).unwrap();
        std::fs::create_dir_all(site.boot_dir()).unwrap();
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let mut config =
            Config { boot_listen: loopback, agent_listen: loopback, reserve_mib: 0, ..Config::default() };
        change(&mut config);
        let inventory = runtime.block_on(Inventory::open(&site.database_url())).unwrap();
        let room = runtime.block_on(inventory.create_room(by(), "Raum 204")).unwrap();
        let mut school = Self { runtime, site, config, inventory, room, handle: None, ca, _dir: dir };
        school.start();
        // The same ports after a restart.
        school.config.boot_listen = school.handle().boot_address();
        school.config.agent_listen = school.handle().agent_address();
        school
    }

    pub(crate) fn handle(&self) -> &Handle {
        self.handle.as_ref().unwrap()
    }

    pub(crate) fn start(&mut self) {
        let run = deployd::run(&self.site, self.config.clone(), self.inventory.clone());
        self.handle = Some(self.runtime.block_on(run).unwrap());
    }

    pub(crate) fn stop(&mut self) {
        let handle = self.handle.take().unwrap();
        self.runtime.block_on(handle.stop());
    }

    pub(crate) fn block<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// A PC with a key of its own that nobody knows.
    pub(crate) fn pc(&self) -> Pc {
        Pc::new(&self.ca, self.handle().agent_address(), Some(rcgen::KeyPair::generate().unwrap()))
    }

    /// Somebody without a key.
    pub(crate) fn nobody(&self) -> Pc {
        Pc::new(&self.ca, self.handle().agent_address(), None)
    }

    /// A PC that was approved in the boot environment and has no job.
    pub(crate) fn approved(&self, name: &str) -> (Pc, DeviceId) {
        let pc = self.pc();
        let HelloReply::Waiting { code } = pc.hello() else { panic!("not on the waiting list") };
        let device = self.approve(&code, name);
        assert!(matches!(pc.hello(), HelloReply::Approved { .. }));
        (pc, device)
    }

    /// Approves the PC that shows `code`, as the web page does.
    pub(crate) fn approve(&self, code: &str, name: &str) -> DeviceId {
        let (waiting, _) = self.block(self.inventory.waiting()).unwrap();
        let entry = waiting.iter().find(|entry| entry.code == code).unwrap();
        let name = name.parse().unwrap();
        let approved =
            self.block(self.inventory.approve(by(), entry.id, &name, self.room.id, None, None)).unwrap();
        approved.0
    }

    /// An image with one version of these chunks. The last is repeated; one of zeros is put in between.
    pub(crate) fn image(&self, name: &str, chunks: &[Vec<u8>]) -> (ImageId, Manifest) {
        let store = Store::open(&self.site.store_dir()).unwrap();
        let packed: Vec<(Hash, Stored)> =
            chunks.iter().map(|c| (Hash::of(c), Stored::pack(c).unwrap())).collect();
        store.ingest(&packed).unwrap();
        let manifest = manifest(name, &packed.iter().map(|(hash, _)| *hash).collect::<Vec<_>>());
        let manifest = manifest.sign(&signing_key());
        store.publish(&manifest).unwrap();
        let image = self.block(self.inventory.ensure_image(by(), name)).unwrap();
        let id = manifest.id().to_string();
        self.block(self.inventory.add_version(by(), image, &id, 12345)).unwrap();
        (image, manifest)
    }

    pub(crate) fn job(&self, device: DeviceId, task: JobTask) -> JobId {
        self.block(self.inventory.create_job(by(), device, task)).unwrap()
    }

    pub(crate) fn deploy_job(&self, device: DeviceId, image: ImageId) -> JobId {
        self.job(device, JobTask::Deploy { image, version: None })
    }

    pub(crate) fn state(&self, job: JobId) -> JobState {
        self.block(self.inventory.job(job)).unwrap().unwrap().state
    }

    pub(crate) fn notices(&self) -> Vec<Notice> {
        self.block(self.inventory.notices()).unwrap()
    }

    pub(crate) fn pack(&self) -> PathBuf {
        self.site.store_dir().join("packs/00000001.pack")
    }
}

/// Somebody who speaks to the agent port.
#[derive(Clone)]
pub(crate) struct Pc {
    pub(crate) agent: ureq::Agent,
    pub(crate) server: String,
    pub(crate) hello: Hello,
}

/// An answer: status, body, and the header `Retry-After`.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    pub(crate) retry_after: Option<String>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn ok(self) -> Vec<u8> {
        assert!((200..300).contains(&self.status), "{} {}", self.status, self.text());
        self.body
    }

    #[track_caller]
    pub(crate) fn json<T: DeserializeOwned>(self) -> T {
        serde_json::from_slice(&self.ok()).unwrap()
    }
}

impl Pc {
    fn new(ca: &str, server: SocketAddr, key: Option<rcgen::KeyPair>) -> Self {
        let own = key.map(|key| {
            let certificate =
                rcgen::CertificateParams::new(vec!["pc".into()]).unwrap().self_signed(&key).unwrap();
            let certificate = Certificate::from_der(certificate.der()).to_owned();
            ClientCert::new_with_certs(
                &[certificate],
                PrivateKey::from_pem(key.serialize_pem().as_bytes()).unwrap(),
            )
        });
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&[Certificate::from_pem(ca.as_bytes()).unwrap()]))
            .client_cert(own)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        let mac = format!("52:54:00:{:02x}:{:02x}:{:02x}", rand_byte(), rand_byte(), rand_byte());
        let hardware = Hardware {
            vendor: "QEMU".into(),
            product: "Standard PC".into(),
            serial: "S1".into(),
            disks: vec![Disk {
                name: "vda".into(),
                serial: "disk-1".into(),
                bytes: 8 << 30,
                ..Disk::default()
            }],
            nics: vec![Nic { name: "enp1s0".into(), mac, carrier: true, ..Nic::default() }],
            ..Hardware::default()
        };
        let hello = Hello { agent_version: "0.1.0".into(), runs_in: RunsIn::BootEnvironment, hardware };
        Self { agent, server: format!("https://{server}"), hello }
    }

    /// Sends a request; `Err` when there is no connection or TLS refuses.
    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<Answer, ureq::Error> {
        let url = format!("{}{path}", self.server);
        let mut answer = match method {
            "GET" => self.agent.get(url).call()?,
            _ => self.agent.post(url).send(body)?,
        };
        let retry_after = answer.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
        Ok(Answer { status: answer.status().as_u16(), body, retry_after })
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[]).unwrap()
    }

    /// From that byte on.
    pub(crate) fn get_from(&self, path: &str, from: u64) -> Answer {
        let request =
            self.agent.get(format!("{}{path}", self.server)).header("range", format!("bytes={from}-"));
        let mut answer = request.call().unwrap();
        let body = answer.body_mut().read_to_vec().unwrap();
        Answer { status: answer.status().as_u16(), body, retry_after: None }
    }

    pub(crate) fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, body).unwrap()
    }

    pub(crate) fn post_json(&self, path: &str, body: &impl Serialize) -> Answer {
        self.post(path, &serde_json::to_vec(body).unwrap())
    }

    pub(crate) fn hello(&self) -> HelloReply {
        self.post_json("/v1/hello", &self.hello).json()
    }

    pub(crate) fn work(&self, wait_secs: u64) -> Work {
        self.get(&format!("/v1/work?wait_secs={wait_secs}")).json()
    }

    #[track_caller]
    pub(crate) fn take_job(&self) -> Job {
        match self.work(5) {
            Work::Job(job) => job,
            other => panic!("no job but {other:?}"),
        }
    }

    pub(crate) fn job(&self, job: &str, action: &str, body: &[u8]) -> Answer {
        self.post(&format!("/v1/jobs/{job}/{action}"), body)
    }

    pub(crate) fn manifest(&self, job: &str) -> Answer {
        self.get(&format!("/v1/jobs/{job}/manifest"))
    }

    /// Fetches chunks, unpacked and checked.
    pub(crate) fn chunks(&self, job: &str, hashes: &[Hash]) -> Vec<Vec<u8>> {
        let body = self.job(job, "chunks", &concatenated(hashes)).ok();
        let mut rest = &body[..];
        let chunks = hashes.iter().map(|hash| {
            let (len, after) = rest.split_first_chunk::<4>().unwrap();
            let (stored, after) = after.split_at(u32::from_le_bytes(*len) as usize);
            rest = after;
            let mut chunk = vec![0; CHUNK_BYTES];
            Stored::from_bytes(stored.to_vec()).unwrap().unpack_into(hash, &mut chunk).unwrap();
            chunk
        });
        let chunks = chunks.collect();
        assert!(rest.is_empty());
        chunks
    }
}

/// A job that went well.
pub(crate) fn finished(bytes: u64, transferred: u64, disk: &str) -> Finish {
    Finish::Ok {
        bytes,
        transferred,
        disk: disk.into(),
        resumed_bytes: 0,
        kept_bytes: 0,
        peer_bytes: 0,
        shortcomings: Vec::new(),
    }
}

/// The body of a question for a batch.
pub(crate) fn batch_body(batch: u32, port: u16, hashes: &[Hash]) -> Vec<u8> {
    let ask = Ask { batch, port, written: 0, direct: false, told: Vec::new() };
    let ask = serde_json::to_vec(&ask).unwrap();
    [&u32::try_from(ask.len()).unwrap().to_le_bytes()[..], &ask, &concatenated(hashes)].concat()
}

pub(crate) fn by() -> By<'static> {
    By { actor: "test", at: inventory::clock::now() }
}

pub(crate) fn signing_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(crate) fn concatenated(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// An upload body.
pub(crate) fn records(chunks: &[Vec<u8>]) -> Vec<u8> {
    let record = |chunk: &Vec<u8>| {
        let stored = Stored::pack(chunk).unwrap();
        let len = u32::try_from(stored.stored_len()).unwrap().to_le_bytes();
        [&Hash::of(chunk).as_bytes()[..], &len, stored.as_bytes()].concat()
    };
    chunks.iter().flat_map(record).collect()
}

/// Chunks that do not shrink much, the same for the same seed.
pub(crate) fn some_chunks(seed: u8, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .map(|n| {
            let mut chunk = vec![0; CHUNK_BYTES];
            let mut hasher = blake3::Hasher::new();
            hasher.update(&[seed, u8::try_from(n % 256).unwrap(), u8::try_from(n / 256).unwrap()]);
            // A third is noise, the rest shrinks.
            hasher.finalize_xof().fill(&mut chunk[..CHUNK_BYTES / 3]);
            chunk
        })
        .collect()
}

/// An unsigned manifest of a disk with one partition.
pub(crate) fn manifest(image: &str, hashes: &[Hash]) -> Manifest {
    let mut table = ChunkTable::default();
    for (n, hash) in (0u32..).zip(hashes) {
        table.push(n * 2, *hash).unwrap();
        table.push_zeros(n * 2 + 1, 1).unwrap();
    }
    let partition = Partition {
        number: 1,
        identity: Identity::Mbr { type_byte: 0x83, active: true },
        first_lba: 2048,
        sectors: 1 << 21,
        filesystem: Filesystem { kind: FsKind::Raw, uuid: None, min_bytes: 1 << 30, used_bytes: 777 },
        grow: false,
    };
    let header = Header {
        image: image.into(),
        created_at: UnixMillis(5).0,
        chunk_bytes: u32::try_from(CHUNK_BYTES).unwrap(),
        sector_bytes: 512,
        disk_bytes: 2 << 30,
        table: TableKind::Mbr { signature: 1 },
        boot_code: String::new(),
        partitions: vec![partition],
    };
    Manifest::new(header, vec![table]).unwrap()
}

/// Waits until `done` holds.
#[track_caller]
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = inventory::clock::instant() + Duration::from_secs(20);
    while !done() {
        assert!(inventory::clock::instant() < deadline, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn rand_byte() -> u8 {
    inventory::DeviceId::random().0.as_bytes()[0]
}
