//! Simulated iPads against the real daemon over TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

use std::sync::mpsc;
use std::time::Duration;

use inventory::mdm::{Action, CommandState, NewInvitation, secret_hash};
use inventory::{By, EnrolmentId, Inventory, RoomId, clock};
use ipad::{Facts, HttpError, Ipad, Trust};
use tempfile::TempDir;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// The daemon, its inventory, and a link for as many iPads as wanted.
struct Lab {
    dir: TempDir,
    runtime: tokio::runtime::Runtime,
    inventory: Inventory,
    site: inventory::config::Site,
    server: Option<mdm::Handle>,
    address: String,
    room: RoomId,
}

impl Lab {
    fn new() -> Self {
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
        let mut lab = Self { dir, runtime, inventory, site, server: None, address, room };
        lab.start();
        lab
    }

    fn start(&mut self) {
        let config = mdm::Config {
            listen: self.address.replace("https://localhost", "127.0.0.1").parse().unwrap(),
            topic: Some("com.apple.mgmt.External.test".into()),
            ..mdm::Config::default()
        };
        let running = mdm::run(&self.site, config, self.inventory.clone());
        self.server = Some(self.runtime.block_on(running).unwrap());
    }

    fn invite(&self, uses: u32) -> String {
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

    fn trust(&self) -> Trust {
        Trust::authority(&std::fs::read(self.dir.path().join("keys/ca.pem")).unwrap()).unwrap()
    }

    fn id(&self, ipad: &Ipad) -> EnrolmentId {
        let (ipads, _) = self.runtime.block_on(self.inventory.enrolments()).unwrap();
        ipads.into_iter().find(|known| known.serial == ipad.facts.serial).unwrap().id
    }

    fn ask(&self, ipad: &Ipad, action: &Action) {
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

    fn newest(&self, ipad: &Ipad) -> CommandState {
        self.runtime.block_on(self.inventory.commands_of(self.id(ipad), 1)).unwrap()[0].state
    }
}

fn by() -> By<'static> {
    By { actor: "test", at: clock::now() }
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let (_never, tick) = mpsc::channel::<()>();
    for _ in 0..500 {
        if done() {
            return;
        }
        let _ = tick.recv_timeout(Duration::from_millis(20));
    }
    panic!("waited in vain: {what}");
}

fn refused<T>(result: Result<T, HttpError>) -> u16 {
    match result {
        Err(HttpError::Status(status)) => status,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was not refused"),
    }
}

#[test]
fn an_ipad_enrols_by_link_and_is_a_device_of_the_school() {
    let lab = Lab::new();
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(7), &lab.trust()).unwrap();
    let kinds: Vec<String> = ipad.connect().unwrap().into_iter().map(|done| done.kind).collect();
    for kind in [
        "DeviceInformation",
        "SecurityInfo",
        "InstalledApplicationList",
        "ProfileList",
        "DeclarativeManagement",
    ] {
        assert!(kinds.contains(&kind.to_owned()), "{kind} in {kinds:?}");
    }
    assert_eq!(ipad.connect().unwrap(), [], "everything was asked once");
    let card = ipad.facts.wifi_mac.parse().unwrap();
    let device = lab.runtime.block_on(lab.inventory.device_by_mac(card)).unwrap().expect("its card is known");
    assert_eq!((device.name.as_str(), device.room.id), ("ipad-dmpsim000007", lab.room));
    assert!(!ipad.state.declarations.is_empty(), "declarative management is on");
    let reports = lab.runtime.block_on(lab.inventory.ipad_reports(lab.id(&ipad))).unwrap();
    let declared =
        reports.iter().find(|report| report.kind == "declarations").unwrap().body.as_array().unwrap();
    assert_eq!(declared.len(), ipad.state.declarations.len());
    let device = reports.iter().find(|report| report.kind == "device").unwrap();
    assert_eq!(device.body["supervised"], true);
    // Nothing secret lies in the database.
    let database = std::fs::read(lab.dir.path().join("hausmeister.db")).unwrap();
    let log = std::fs::read(lab.dir.path().join("hausmeister.db-wal")).unwrap_or_default();
    let (token, magic) = ipad.push_address();
    for secret in [token, magic.as_bytes(), b"unlock token of a simulated iPad"] {
        let found = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found(&database) && !found(&log), "{}", String::from_utf8_lossy(secret));
    }
}

#[test]
fn a_link_is_for_so_many_ipads_and_a_certificate_for_one() {
    let lab = Lab::new();
    let link = lab.invite(1);
    let trust = lab.trust();
    let first = Ipad::enrol(&link, Facts::numbered(1), &trust).unwrap();
    assert!(Ipad::enrol(&link, Facts::numbered(2), &trust).is_err(), "the link is used up");
    let unknown = format!("{}/enrol/{}", lab.address, "x".repeat(40));
    assert!(Ipad::enrol(&unknown, Facts::numbered(3), &trust).is_err());
    // Another device with the certificate of the first one.
    let mut thief = first;
    thief.facts.udid = "00008101-00000000DEADBEEF".into();
    assert_eq!(refused(thief.authenticate()), 400);
    assert_eq!(refused(thief.connect().map(|_| ())), 400);
}

#[test]
fn commands_are_carried_out_once_and_survive_a_restart() {
    let mut lab = Lab::new();
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    ipad.connect().unwrap();
    lab.ask(&ipad, &Action::Lock { message: "Bitte abgeben".into() });
    // The server dies before the iPad asks.
    drop(lab.server.take());
    assert!(ipad.connect().is_err());
    lab.start();
    assert_eq!(ipad.connect().unwrap().len(), 1);
    assert_eq!((ipad.state.locks, lab.newest(&ipad)), (1, CommandState::Done));

    // Busy: it says so, others go first, and it is asked again later.
    ipad.busy = true;
    lab.ask(&ipad, &Action::Restart);
    assert_eq!(ipad.connect().unwrap()[0].status, "NotNow");
    assert_eq!(lab.newest(&ipad), CommandState::NotNow);
    ipad.busy = false;
    assert_eq!(ipad.connect().unwrap()[0].kind, "RestartDevice", "an iPad asks by itself when it can");
    assert_eq!(ipad.state.restarts, 1);

    lab.ask(&ipad, &Action::ClearPasscode);
    ipad.connect().unwrap();
    assert!(!ipad.state.passcode);
    lab.ask(
        &ipad,
        &Action::LostMode { message: "Bitte im Sekretariat abgeben".into(), phone: String::new() },
    );
    ipad.connect().unwrap();
    assert_eq!(ipad.state.lost.as_deref(), Some("Bitte im Sekretariat abgeben"));
    lab.ask(&ipad, &Action::LostModeSound);
    lab.ask(&ipad, &Action::LostModeOff);
    ipad.connect().unwrap();
    assert_eq!(ipad.state.lost, None);
    lab.ask(&ipad, &Action::Erase);
    ipad.connect().unwrap();
    assert!(ipad.state.erased);
    assert_eq!(lab.newest(&ipad), CommandState::Done, "the last answer left before the storage was wiped");
}

#[test]
fn what_an_ipad_refuses_says_why_and_stops_nobody() {
    let lab = Lab::new();
    let mut facts = Facts::numbered(1);
    facts.supervised = false;
    let mut ipad = Ipad::enrol(&lab.invite(1), facts, &lab.trust()).unwrap();
    ipad.connect().unwrap();
    lab.ask(&ipad, &Action::Restart);
    lab.ask(&ipad, &Action::Lock { message: String::new() });
    assert_eq!(ipad.connect().unwrap().len(), 2);
    let commands = lab.runtime.block_on(lab.inventory.commands_of(lab.id(&ipad), 2)).unwrap();
    let restart = commands.iter().find(|command| command.kind == "RestartDevice").unwrap();
    assert_eq!(restart.state, CommandState::Failed);
    assert!(restart.problem.as_deref().unwrap().contains("MCMDMErrorDomain 12021"), "{restart:?}");
    assert_eq!(ipad.state.locks, 1);
}

#[test]
fn a_certificate_is_renewed_and_the_old_one_ends_when_the_new_one_was_used() {
    let lab = Lab::new();
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    ipad.connect().unwrap();
    let before = lab.runtime.block_on(lab.inventory.enrolment(lab.id(&ipad))).unwrap().unwrap();
    ipad.renew().unwrap();
    ipad.connect().unwrap();
    let after = lab.runtime.block_on(lab.inventory.enrolment(before.id)).unwrap().unwrap();
    assert_ne!(after.certificate, before.certificate);
    assert_eq!(after.certificates, 1, "the old one is revoked");
}

#[test]
fn an_ipad_that_leaves_or_enrols_anew_loses_nothing_but_its_old_certificate() {
    let lab = Lab::new();
    let (link, trust) = (lab.invite(3), lab.trust());
    let mut old = Ipad::enrol(&link, Facts::numbered(1), &trust).unwrap();
    old.connect().unwrap();
    let device = lab.runtime.block_on(lab.inventory.enrolment(lab.id(&old))).unwrap().unwrap().device;
    let mut new = Ipad::enrol(&link, Facts::numbered(1), &trust).unwrap();
    new.connect().unwrap();
    assert_eq!(refused(old.connect().map(|_| ())), 400);
    assert_eq!(lab.runtime.block_on(lab.inventory.enrolment(lab.id(&new))).unwrap().unwrap().device, device);
    new.leave().unwrap();
    assert_eq!(refused(new.connect().map(|_| ())), 400);
    assert_eq!(lab.runtime.block_on(lab.inventory.enrolments()).unwrap().0, []);
}

#[test]
fn a_strangers_request_costs_nothing_and_is_never_answered_with_401() {
    let lab = Lab::new();
    let agent: ureq::Agent = {
        let pem = std::fs::read(lab.dir.path().join("keys/ca.pem")).unwrap();
        let root = RootCerts::new_with_certs(&[Certificate::from_pem(&pem).unwrap()]);
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = TlsConfig::builder().root_certs(root).unversioned_rustls_crypto_provider(provider).build();
        ureq::Agent::config_builder().tls_config(tls).http_status_as_error(false).build().into()
    };
    let nested = "<array>".repeat(100_000);
    for (path, body) in [("/checkin", nested.as_str()), ("/commands", "<plist>"), ("/checkin", "")] {
        let url = format!("{}{path}", lab.address);
        for signature in ["", "AAAA", "not base64 at all %%"] {
            match agent.put(&url).header("mdm-signature", signature).send(body) {
                Ok(got) => assert_eq!(got.status().as_u16(), 400, "{path} with {signature:?}"),
                // The body of a stranger is not read to its end.
                Err(ureq::Error::Io(_)) if body.len() > 100_000 => {}
                Err(error) => panic!("{path} with {signature:?}: {error}"),
            }
        }
    }
    for operation in ["PKIOperation&message=AAAA", "Nothing"] {
        let got = agent.get(format!("{}/scep?operation={operation}", lab.address)).call().unwrap();
        assert_eq!(got.status().as_u16(), 400, "{operation}");
    }
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    assert!(!ipad.connect().unwrap().is_empty(), "everybody else goes on");
}
