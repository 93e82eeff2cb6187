//! Simulated iPads against the real daemon over TLS.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

mod lab;

use inventory::mdm::{Action, CommandState};
use ipad::{Facts, Ipad};
use lab::{Lab, TOPIC, eventually, refused};

#[test]
fn an_ipad_enrols_by_link_and_is_a_device_of_the_school() {
    let lab = Lab::new();
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(7), &lab.trust()).unwrap();
    let mut kinds: Vec<String> = Vec::new();
    eventually("it is told of its declarations", || {
        kinds.extend(ipad.connect().unwrap().into_iter().map(|done| done.kind));
        kinds.iter().any(|kind| kind == "DeclarativeManagement")
    });
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
    // What it should have is told when it was computed: from here on only what is asked waits for it.
    eventually("it has its declarations", || {
        ipad.connect().unwrap();
        !ipad.state.declarations.is_empty()
    });
    lab.ask(&ipad, &Action::Lock { message: "Bitte abgeben".into() });
    // The server dies before the iPad asks.
    lab.stop();
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
    let mut kinds: Vec<_> = ipad.connect().unwrap().into_iter().map(|done| done.kind).collect();
    kinds.retain(|kind| kind != "DeclarativeManagement");
    assert_eq!(kinds.len(), 2);
    let commands = lab.runtime.block_on(lab.inventory.commands_of(lab.id(&ipad), 5)).unwrap();
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
fn with_mutual_tls_an_ipad_shows_in_the_handshake_what_it_signs_with() {
    let mut lab = Lab::not_started();
    let config = mdm::Config { topic: Some(TOPIC.into()), ..mdm::Config::default() };
    lab.start_with(mdm::Config { mutual_tls: true, ..config.clone() });
    let (link, trust) = (lab.invite(2), lab.trust().showing_certificates());
    let mut ipad = Ipad::enrol(&link, Facts::numbered(1), &trust).unwrap();
    assert!(!ipad.connect().unwrap().is_empty(), "it is known");
    ipad.renew().unwrap();
    ipad.connect().unwrap();
    let own = ipad.trust().clone();
    let other = Ipad::enrol(&link, Facts::numbered(2), &trust).unwrap();
    for (trust, what) in
        [(lab.trust(), "what was overheard"), (other.trust().clone(), "through another's connection")]
    {
        ipad.reconnect(trust);
        assert_eq!(refused(ipad.connect().map(|_| ())), 400, "{what}");
    }
    ipad.reconnect(own);
    ipad.connect().unwrap();
    // The option can be taken back: the iPads were signing all the time.
    lab.stop();
    lab.start_with(config);
    ipad.reconnect(lab.trust());
    ipad.connect().unwrap();
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
    let agent = lab.agent();
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
