//! Programs: what a PC is told to look for, what it gets to do, and which files it may have.

use std::time::Duration;

use ::software::package::{Architecture, FileHash, Found, Package, PackageId, System};
use ::software::plan::{Action, Wish};
use ::software::protocol::{Reply, Rules, SOFTWARE, Status, StepResult};
use ::software::run::Outcome;
use inventory::lessons::Grid;
use inventory::{Audience, DeviceId};

use crate::support::{Pc, School, by};

fn package(id: &str, version: &str, file: Option<&[u8]>) -> Package {
    let files = file.map(|bytes| {
        let hash = format!("blake3:{}", blake3::hash(bytes).to_hex());
        serde_json::json!([{ "name": "setup.deb", "hash": hash, "size": bytes.len() }])
    });
    let definition = serde_json::json!({
        "id": id, "name": id, "version": version, "system": "debian", "architectures": ["x64"],
        "detect": { "dpkg": id }, "install": ["dpkg", "--install", "x"], "exit_codes": {},
        "files": files.unwrap_or_else(|| serde_json::json!([])),
    });
    serde_json::from_value(definition).unwrap()
}

fn status(rules: Option<&Rules>, there: &[(&str, &str)], results: Vec<StepResult>) -> Status {
    let found = |(id, version): &(&str, &str)| {
        let id: PackageId = id.parse().unwrap();
        (id, Found::Version(version.parse().unwrap()))
    };
    Status {
        system: System::Debian,
        architecture: Architecture::X64,
        rules: rules.map(|rules| rules.digest.clone()),
        observed: there.iter().map(found).collect(),
        results,
        signed_in: false,
        restarting: false,
    }
}

fn ask(pc: &Pc, status: &Status, wait: u64) -> Reply {
    pc.post_json(&format!("{SOFTWARE}?wait_secs={wait}"), status).json()
}

fn rules(pc: &Pc) -> Rules {
    match ask(pc, &status(None, &[], Vec::new()), 0) {
        Reply::Look(rules) => rules,
        other => panic!("{other:?}"),
    }
}

fn wish(school: &School, id: &str, audience: Audience) {
    let wish = Wish::Required { version: None };
    school.block(school.inventory.wish_software(by(), &id.parse().unwrap(), audience, &wish)).unwrap();
}

fn result(id: &str, version: &str, outcome: serde_json::Value) -> StepResult {
    StepResult {
        package: id.parse().unwrap(),
        version: version.parse().unwrap(),
        action: Action::Install,
        outcome: serde_json::from_value(outcome).unwrap(),
    }
}

fn two_pcs(school: &School) -> (Pc, DeviceId, Pc) {
    let (pc, device) = school.approved("r204-pc01");
    (pc, device, school.approved("r204-pc02").0)
}

#[test]
fn a_program_that_is_assigned_reaches_a_pc_that_waits_within_a_second() {
    let school = School::open();
    let (pc, device, other) = two_pcs(&school);
    school.block(school.inventory.add_software(by(), &package("geany", "1.38", None))).unwrap();
    let rules = rules(&pc);
    assert_eq!(rules.rules.len(), 1);
    assert_eq!(ask(&pc, &status(Some(&rules), &[], Vec::new()), 1), Reply::Idle);
    let (reply, took) = std::thread::scope(|scope| {
        let waits = scope.spawn(|| ask(&pc, &status(Some(&rules), &[], Vec::new()), 20));
        wish(&school, "geany", Audience::Device(device));
        let wished = inventory::clock::instant();
        (waits.join().unwrap(), wished.elapsed())
    });
    assert!(took < Duration::from_secs(1), "{took:?}");
    let Reply::Step(order) = reply else { panic!("{reply:?}") };
    assert_eq!((order.package.id.as_str(), &order.action, order.round), ("geany", &Action::Install, 0));
    assert_eq!(
        ask(&other, &status(Some(&rules), &[], Vec::new()), 0),
        Reply::Idle,
        "nobody assigned it there"
    );

    // It is there now: nothing to do, and the inventory knows.
    let done = result("geany", "1.38", serde_json::json!({ "done": { "ran": true, "despite": null } }));
    assert_eq!(ask(&pc, &status(Some(&rules), &[("geany", "1.38")], vec![done]), 0), Reply::Idle);
    let (known, _) = school.block(school.inventory.known_software(Some(device))).unwrap();
    assert_eq!(known[0].pc.observed.len(), 1);
    assert!(matches!(known[0].turns.last.values().next().unwrap().outcome, Outcome::Done { ran: true, .. }));

    // A new version in the catalogue: look again, then upgrade.
    school.block(school.inventory.add_software(by(), &package("geany", "2.0", None))).unwrap();
    crate::support::until("the PC is told to look again", || {
        matches!(ask(&pc, &status(Some(&rules), &[("geany", "1.38")], Vec::new()), 0), Reply::Look(_))
    });
}

#[test]
fn who_works_at_a_pc_in_a_lesson_is_left_alone() {
    let school = School::open();
    let (pc, _, _) = two_pcs(&school);
    school.block(school.inventory.add_software(by(), &package("geany", "1", None))).unwrap();
    wish(&school, "geany", Audience::School);
    let rules = rules(&pc);
    let working = Status { signed_in: true, ..status(Some(&rules), &[], Vec::new()) };
    assert!(matches!(ask(&pc, &working, 0), Reply::Step(_)), "there is no lesson");
    let all_day = inventory::lessons::Lesson { number: 1, starts: 0, ends: 24 * 60 };
    let grid = Grid { week: std::array::from_fn(|_| vec![all_day]), special: Vec::new() };
    school.block(school.inventory.set_grid(by(), &grid)).unwrap();
    assert_eq!(ask(&pc, &working, 0), Reply::Idle);
    assert!(matches!(ask(&pc, &status(Some(&rules), &[], Vec::new()), 0), Reply::Step(_)), "nobody is there");
}

#[test]
fn what_failed_rests_until_a_person_says_otherwise() {
    let school = School::open();
    let (pc, device, _) = two_pcs(&school);
    school.block(school.inventory.add_software(by(), &package("geany", "1", None))).unwrap();
    wish(&school, "geany", Audience::School);
    let rules = rules(&pc);
    let report =
        serde_json::json!({ "failure": "not_there", "left": "nothing", "attempts": 1, "tail": "E: <b>" });
    let failed = result("geany", "1", serde_json::json!({ "failed": report }));
    assert!(matches!(ask(&pc, &status(Some(&rules), &[], Vec::new()), 0), Reply::Step(_)));
    assert_eq!(ask(&pc, &status(Some(&rules), &[], vec![failed]), 0), Reply::Idle);
    school.block(school.inventory.retry_software(by(), &"geany".parse().unwrap(), Some(device))).unwrap();
    let Reply::Step(order) = ask(&pc, &status(Some(&rules), &[], Vec::new()), 5) else { panic!("not again") };
    assert_eq!(order.round, 1, "earlier attempts do not count");
    let too_many = vec![result("geany", "1", serde_json::json!("restart_pending")); 65];
    assert_eq!(pc.post_json(SOFTWARE, &status(Some(&rules), &[], too_many)).status, 400);
}

#[test]
fn a_file_is_for_those_who_have_to_install_it_and_for_nobody_else() {
    let school = School::open();
    let (pc, device, other) = two_pcs(&school);
    let bytes: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let mut incoming = school.site.software_files().begin().unwrap();
    incoming.write(&bytes).unwrap();
    let kept = incoming.keep().unwrap();
    let path = format!("{}/{}", ::software::protocol::FILES, FileHash::Blake3(kept.blake3));
    assert_eq!(pc.get(&path).status, 404, "it is nobody's yet");
    school.block(school.inventory.add_software(by(), &package("geany", "1", Some(&bytes)))).unwrap();
    wish(&school, "geany", Audience::Device(device));
    for pc in [&pc, &other] {
        let rules = rules(pc);
        ask(pc, &status(Some(&rules), &[], Vec::new()), 2);
    }
    assert_eq!(pc.get(&path).ok(), bytes);
    assert_eq!(other.get(&path).status, 404);
    assert_eq!(school.pc().get(&path).status, 401, "it is not approved");
    let rest = pc.get_from(&path, 299_990);
    assert_eq!((rest.status, rest.body.as_slice()), (206, &bytes[299_990..]));
    for bad in ["sha256:00", "blake3:../../etc/passwd", "x"] {
        assert_eq!(pc.get(&format!("{}/{bad}", ::software::protocol::FILES)).status, 404, "{bad}");
    }
    // Once it is installed there is no reason any more.
    let rules = rules(&pc);
    ask(&pc, &status(Some(&rules), &[("geany", "1")], Vec::new()), 0);
    assert_eq!(pc.get(&path).status, 404);
}
