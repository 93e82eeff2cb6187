//! Unknown PCs: the waiting list and its bounds.

use images::protocol::{Disk, HelloReply, Nic, RunsIn, Work};
use inventory::WaitingState;

use crate::support::{Pc, School};

fn code(pc: &Pc) -> String {
    match pc.hello() {
        HelloReply::Waiting { code } => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_pc_waits_with_a_code_and_is_known_after_its_approval() {
    let school = School::open();
    let pc = school.pc();
    let shown = code(&pc);
    assert!(shown.len() == 6 && shown.bytes().all(|b| b.is_ascii_digit()), "{shown}");
    assert_eq!(code(&pc), shown, "the screen keeps its code");
    assert_eq!(school.block(school.inventory.waiting()).unwrap().0.len(), 1);
    assert_eq!(pc.get("/v1/work").status, 401, "waiting allows nothing");

    let device = school.approve(&shown, "r204-pc01");
    let reply = pc.hello();
    let HelloReply::Approved { device: id, name, room } = reply else { panic!("{reply:?}") };
    assert_eq!((id, name.as_str(), room.as_str()), (device.to_string(), "r204-pc01", "Raum 204"));
    let stored = school.block(school.inventory.device(device)).unwrap().unwrap();
    assert_eq!(stored.observed.runs_in.as_deref(), Some("boot_environment"));
    assert_eq!(stored.observed.address.as_deref(), Some("127.0.0.1"));
    assert_eq!(stored.hardware["disks"][0]["serial"], "disk-1");
    assert_eq!(pc.work(0), Work::Idle);
    for query in ["?wait_secs=x", "?wait_secs=-1", "?wait_secs=99999999999999999999"] {
        let answer = pc.get(&format!("/v1/work{query}"));
        assert!(answer.status == 400 && answer.text().contains("remedy"), "{query}: {}", answer.text());
    }
}

#[test]
fn a_rejected_pc_is_told_so_and_stays_out() {
    let school = School::open();
    let pc = school.pc();
    code(&pc);
    let entry = school.block(school.inventory.waiting()).unwrap().0.remove(0);
    school.block(school.inventory.reject(crate::support::by(), entry.id)).unwrap();
    assert_eq!(pc.hello(), HelloReply::Rejected);
    assert_eq!(pc.get("/v1/work").status, 401);
    let entry = school.block(school.inventory.waiting()).unwrap().0.remove(0);
    assert_eq!(entry.state, WaitingState::Rejected);
}

#[test]
fn two_pcs_with_the_same_serial_number_and_card_are_two_entries() {
    let school = School::open();
    let first = school.pc();
    let second = Pc { hello: first.hello.clone(), ..school.pc() };
    assert_ne!(code(&first), code(&second));
    // Knowing what an approved device says about itself gives nothing.
    school.approve(&code(&first), "r204-pc01");
    assert!(matches!(first.hello(), HelloReply::Approved { .. }));
    assert!(matches!(second.hello(), HelloReply::Waiting { .. }));
}

#[test]
fn what_a_pc_says_is_bounded_before_it_is_kept() {
    let school = School::open();
    let mut pc = school.pc();
    pc.hello.hardware.vendor = format!("\u{1b}[31m{}", "x".repeat(5000));
    pc.hello.hardware.disks = vec![Disk { model: "d".repeat(300), ..Disk::default() }; 500];
    pc.hello.hardware.nics = vec![Nic { mac: "not a card".into(), ..Nic::default() }; 500];
    code(&pc);
    let entry = school.block(school.inventory.waiting()).unwrap().0.remove(0);
    assert_eq!(entry.hardware["vendor"].as_str().unwrap(), format!("[31m{}", "x".repeat(124)));
    assert_eq!(entry.hardware["disks"].as_array().unwrap().len(), 32);
    assert_eq!(entry.hardware["nics"].as_array().unwrap().len(), 32);
    assert!(entry.hardware.to_string().len() < 32 << 10);
}

#[test]
fn bodies_that_make_no_sense_are_refused_and_the_server_lives_on() {
    let school = School::open();
    let pc = school.pc();
    let long = format!("{{\"agent_version\": \"{}\"}}", "x".repeat(300 << 10));
    let deep = "[".repeat(100_000);
    for (body, status) in [
        (&b""[..], 400),
        (b"{", 400),
        (b"null", 400),
        (b"\xff\xfe", 400),
        (b"{\"agent_version\": 5}", 400),
        (br#"{"agent_version": "1", "runs_in": "moon", "hardware": {}}"#, 400),
        (deep.as_bytes(), 400),
        (long.as_bytes(), 413),
    ] {
        let answer = pc.post("/v1/hello", body);
        assert_eq!(answer.status, status, "{}", answer.text());
        let error: images::protocol::ErrorBody = serde_json::from_slice(&answer.body).unwrap();
        assert!(!error.error.is_empty() && !error.remedy.is_empty());
    }
    assert!(school.block(school.inventory.waiting()).unwrap().0.is_empty());
    code(&pc);
}

#[test]
fn hellos_are_slowed_down_per_address() {
    let school = School::open();
    let pc = school.pc();
    let mut refused = None;
    for _ in 0..200 {
        let answer = pc.post_json("/v1/hello", &pc.hello);
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("somebody who asks without a pause is slowed down");
    assert_eq!(refused.status, 429);
    assert_eq!(refused.retry_after.as_deref(), Some("1"));
}

#[test]
fn one_address_cannot_fill_the_waiting_list_with_keys() {
    let school = School::open();
    let accepted = (0..60).filter(|_| {
        let pc = school.pc();
        pc.post_json("/v1/hello", &pc.hello).status == 200
    });
    let accepted = accepted.count();
    assert!((20..=45).contains(&accepted), "{accepted}");
    assert!(school.block(school.inventory.waiting()).unwrap().0.len() <= 45);
}

#[test]
fn a_known_device_says_hello_again_and_keeps_what_was_seen_before() {
    let school = School::open();
    let (mut pc, device) = school.approved("r204-pc01");
    let report = images::protocol::Report {
        hostname: "r204-pc01".into(),
        os: "Debian GNU/Linux 12 (bookworm)".into(),
        kernel: "6.1.0-1-amd64".into(),
        uptime_secs: 12,
        manifest: "ab".repeat(32),
    };
    pc.post_json("/v1/report", &report).ok();
    pc.hello.runs_in = RunsIn::InstalledSystem;
    pc.hello();
    let observed = school.block(school.inventory.device(device)).unwrap().unwrap().observed;
    assert_eq!(observed.hostname.as_deref(), Some("r204-pc01"));
    assert_eq!(observed.os.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
    assert_eq!(observed.manifest, Some("ab".repeat(32)));
    assert_eq!(observed.runs_in.as_deref(), Some("installed_system"));
    assert!(observed.reported_at.is_some());
}
