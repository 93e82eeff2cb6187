//! The real daemon over TLS, its inventory, and links for simulated iPads.
#![allow(dead_code, reason = "each test program uses its part")]

use std::sync::mpsc;
use std::time::Duration;

use inventory::mdm::{Action, CommandState, NewInvitation, secret_hash};
use inventory::{By, EnrolmentId, Inventory, RoomId, clock};
use ipad::{HttpError, Ipad, Trust};
use tempfile::TempDir;

/// The daemon, its inventory, and a link for as many iPads as wanted.
pub(crate) struct Lab {
    pub(crate) dir: TempDir,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) inventory: Inventory,
    pub(crate) site: inventory::config::Site,
    pub(crate) server: Option<mdm::Handle>,
    pub(crate) address: String,
    pub(crate) room: RoomId,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let mut lab = Self::not_started();
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
        Self { dir, runtime, inventory, site, server: None, address, room }
    }

    pub(crate) fn start(&mut self) {
        let topic = Some("com.apple.mgmt.External.test".into());
        self.start_with(mdm::Config { topic, ..mdm::Config::default() });
    }

    pub(crate) fn start_with(&mut self, mut config: mdm::Config) {
        config.listen = self.address.replace("https://localhost", "127.0.0.1").parse().unwrap();
        let running = mdm::run(&self.site, config, self.inventory.clone());
        self.server = Some(self.runtime.block_on(running).unwrap());
    }

    pub(crate) fn invite(&self, uses: u32) -> String {
        let token = format!("token-{}", clock::now().0);
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
            let commands = self.runtime.block_on(self.inventory.commands_of(id, 1)).unwrap();
            commands[0].state != CommandState::Asked
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
