//! A server for simulated iPads, and what the tests want to know of it.
#![allow(dead_code, reason = "each test binary uses its share")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc;
use std::time::Duration;

use inventory::mdm::{Action, CommandState, NewInvitation, secret_hash};
use inventory::{By, EnrolmentId, Inventory, RoomId, clock};
use ipad::{HttpError, Ipad, Trust};
use tempfile::TempDir;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The daemon, its inventory, and a link for as many iPads as wanted.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) inventory: Inventory,
    pub(crate) site: inventory::config::Site,
    server: Option<Running>,
    is_process: bool,
    pub(crate) address: String,
    pub(crate) room: RoomId,
}

/// Inside the test, or the program that was built.
enum Running {
    Inside { _handle: mdm::Handle },
    Process(Process),
}

/// Killed (-9) when it is dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Lab {
    /// The daemon inside the test.
    pub(crate) fn new() -> Self {
        Self::started(false)
    }

    /// The program that was built.
    pub(crate) fn process() -> Self {
        Self::started(true)
    }

    fn started(is_process: bool) -> Self {
        let mut lab = Self { is_process, ..Self::not_started() };
        lab.start();
        lab
    }

    /// Everything but the daemon.
    pub(crate) fn not_started() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("https://localhost:{port}");
        let site = inventory::config::Site {
            name: "Testschule".into(),
            data_dir: dir.path().to_owned(),
            mdm_url: Some(address.clone().try_into().unwrap()),
            ..inventory::config::Site::default()
        };
        inventory::ca::Authority::ensure(&site.keys_dir(), &site.name).unwrap();
        let inventory = runtime.block_on(Inventory::open(&site.database_url())).unwrap();
        let room = runtime.block_on(inventory.create_room(by(), "Raum 204")).unwrap().id;
        Self { dir, runtime, inventory, site, server: None, is_process: false, address, room }
    }

    pub(crate) fn start(&mut self) {
        self.start_with(mdm::Config { topic: Some(TOPIC.into()), ..mdm::Config::default() });
    }

    /// With this configuration; the program that was built has its own.
    pub(crate) fn start_with(&mut self, mut config: mdm::Config) {
        let listen = self.address.replace("https://localhost", "127.0.0.1");
        if self.is_process {
            self.server = Some(Running::Process(self.spawn(&listen)));
            return;
        }
        config.listen = listen.parse().unwrap();
        // The listener of the one before closes when its task is gone, a moment after its handle.
        eventually("the port is free", || {
            let running = mdm::run(&self.site, config.clone(), self.inventory.clone());
            match self.runtime.block_on(running) {
                Ok(handle) => self.server = Some(Running::Inside { _handle: handle }),
                Err(mdm::StartError::Listen { .. }) => {}
                Err(other) => panic!("{other}"),
            }
            self.server.is_some()
        });
    }

    fn spawn(&self, listen: &str) -> Process {
        let release = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/release");
        let program = std::env::var_os("HAUSMEISTER_BIN").map_or(release, PathBuf::from).join("mdm");
        let file = self.dir.path().join("hausmeister.toml");
        let text = format!(
            "[site]\nname = \"Testschule\"\ndata_dir = {:?}\nmdm_url = {:?}\n[mdm]\nlisten = {listen:?}\ntopic = {TOPIC:?}\n",
            self.dir.path(),
            self.address,
        );
        std::fs::write(&file, text).unwrap();
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("mdm.log"));
        let child = Command::new(&program).arg("--config").arg(&file).stderr(log.unwrap()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{}: {error}; build it first", program.display()));
        let process = Process(child);
        eventually("the server answers", || std::net::TcpStream::connect(listen).is_ok());
        process
    }

    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// The server is gone at once: as a process by `kill -9`.
    pub(crate) fn stop(&mut self) {
        self.server = None;
    }

    /// The most memory that the process had, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        let Some(Running::Process(process)) = &self.server else { panic!("no process") };
        let status = std::fs::read_to_string(format!("/proc/{}/status", process.0.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn invite(&self, uses: u32) -> String {
        let token = format!("token-{}", uuid::Uuid::new_v4());
        let new = NewInvitation {
            hash: &secret_hash(&token),
            device: None,
            room: self.room,
            group: None,
            uses,
            ends_at: clock::now().plus_secs(3600),
        };
        self.runtime.block_on(self.inventory.create_invitation(by(), new)).unwrap();
        format!("{}/enrol/{token}", self.address)
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::authority(&std::fs::read(self.dir.path().join("keys/ca.pem")).unwrap()).unwrap()
    }

    /// Somebody who is no iPad.
    pub(crate) fn agent(&self) -> ureq::Agent {
        let pem = std::fs::read(self.dir.path().join("keys/ca.pem")).unwrap();
        let root = RootCerts::new_with_certs(&[Certificate::from_pem(&pem).unwrap()]);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(root).unversioned_rustls_crypto_provider(provider).build();
        ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().into()
    }

    pub(crate) fn id(&self, ipad: &Ipad) -> EnrolmentId {
        let (ipads, _) = self.runtime.block_on(self.inventory.enrolments()).unwrap();
        ipads.into_iter().find(|known| known.serial == ipad.facts.serial).unwrap().id
    }

    pub(crate) fn ask(&self, ipad: &Ipad, action: &Action) {
        let ends = clock::now().plus_secs(600);
        let id = self.id(ipad);
        assert_eq!(
            self.runtime.block_on(self.inventory.ask_ipads(by(), &[id], action, "Test", ends)).unwrap(),
            1
        );
        eventually("a command was made of it", || {
            let commands = self.runtime.block_on(self.inventory.commands_of(id, 20)).unwrap();
            commands.iter().all(|command| command.state != CommandState::Asked)
        });
    }

    pub(crate) fn newest(&self, ipad: &Ipad) -> CommandState {
        self.runtime.block_on(self.inventory.commands_of(self.id(ipad), 1)).unwrap()[0].state
    }
}

pub(crate) fn by() -> By<'static> {
    By { actor: "test", at: clock::now() }
}

pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let (_never, tick) = mpsc::channel::<()>();
    for _ in 0..1500 {
        if done() {
            return;
        }
        let _ = tick.recv_timeout(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

pub(crate) fn refused<T>(result: Result<T, HttpError>) -> u16 {
    match result {
        Err(HttpError::Status(status)) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

pub(crate) const TOPIC: &str = "com.apple.mgmt.External.test";
