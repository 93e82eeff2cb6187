//! Programs of PCs: the catalogue, who gets what, what was found and what became of it.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use ::software::package::{Architecture, Found, Package, PackageId, System};
use ::software::plan::{Action, Problem, Wish};
use ::software::protocol::StepResult;
use ::software::run::Outcome;
use inventory::software::PcSoftware;
use inventory::{Audience, By, DeviceId, GroupId, Inventory, RoomId};
use uuid::Uuid;

use super::{BY, Open, approved, conflict};

fn package(id: &str, version: &str) -> Package {
    let definition = serde_json::json!({
        "id": id, "name": id, "version": version, "system": "debian", "architectures": ["x64"],
        "detect": { "dpkg": id }, "install": ["apt-get", "install", id], "exit_codes": {},
    });
    serde_json::from_value(definition).unwrap()
}

fn id(text: &str) -> PackageId {
    text.parse().unwrap()
}

const NEWEST: Wish = Wish::Required { version: None };

fn pc(observed: &[(&str, &str)]) -> PcSoftware {
    let found = |(id, version): &(&str, &str)| (self::id(id), Found::Version(version.parse().unwrap()));
    PcSoftware {
        system: System::Debian,
        architecture: Architecture::X64,
        observed: observed.iter().map(found).collect(),
        signed_in: true,
        reported_at: BY.at,
    }
}

pub(super) async fn a_catalogue_has_no_two_entries_for_the_same_pcs(open: Open) {
    let inventory = open.inventory().await;
    let old = inventory.add_software(BY, &package("geany", "1")).await.unwrap();
    let later = By { at: BY.at.plus_secs(1), ..BY };
    inventory.add_software(later, &package("geany", "2")).await.unwrap();
    assert!(conflict(inventory.add_software(BY, &package("geany", "2")).await).contains("twice"));
    let (entries, problems) = inventory.software_entries().await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((entries.len(), entries[0].id), (2, old));
    assert_eq!(*entries[1].package, package("geany", "2"));
    inventory.remove_software(BY, old).await.unwrap();
    assert!(inventory.remove_software(BY, old).await.is_err());
}

pub(super) async fn a_program_is_wished_once_of_the_same_pcs_and_not_removed_meanwhile(open: Open) {
    let inventory = open.inventory().await;
    let entry = inventory.add_software(BY, &package("geany", "1")).await.unwrap();
    let device = approved(&inventory, 1).await;
    let room = inventory.device(device).await.unwrap().unwrap().room.id;
    let all = [Audience::School, Audience::Room(room), Audience::Device(device)];
    for audience in all {
        inventory.wish_software(BY, &id("geany"), audience, &NEWEST).await.unwrap();
        inventory.wish_software(BY, &id("geany"), audience, &Wish::Absent).await.unwrap();
    }
    let (wishes, _) = inventory.software_wishes().await.unwrap();
    assert_eq!(wishes.len(), 3);
    assert!(wishes.iter().all(|wish| wish.wish == Wish::Absent && all.contains(&wish.audience)));
    assert!(inventory.wish_software(BY, &id("nix"), Audience::School, &NEWEST).await.is_err());
    for nowhere in [Audience::Room(RoomId(Uuid::nil())), Audience::Group(GroupId(Uuid::nil()))] {
        conflict(inventory.wish_software(BY, &id("geany"), nowhere, &NEWEST).await);
    }
    assert!(conflict(inventory.remove_software(BY, entry).await).contains("take that back first"));
    for wish in wishes {
        inventory.unwish_software(BY, wish.id).await.unwrap();
    }
    inventory.remove_software(BY, entry).await.unwrap();
}

async fn plan_of(inventory: &Inventory, device: DeviceId) -> String {
    let (mut book, problems) = inventory.software_book().await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    let (known, _) = inventory.known_software(Some(device)).await.unwrap();
    let (devices, _) = inventory.gate_devices(inventory::gate::Of::School).await.unwrap();
    let subject = devices.into_iter().find(|pc| pc.subject.device == device).unwrap().subject;
    let plan = book.plan(&subject, &known[0].pc, &known[0].turns);
    let steps = plan.steps.iter().map(|step| format!("+{} {}", step.package.id, step.package.version));
    let stopped = plan.stopped.iter().map(|stopped| match stopped.problem {
        Problem::GaveUp => format!("!{} gave up", stopped.package),
        _ => format!("!{}", stopped.package),
    });
    steps.chain(stopped).collect::<Vec<_>>().join(", ")
}

pub(super) async fn what_a_pc_has_and_what_became_of_steps_make_its_plan(open: Open) {
    let inventory = open.inventory().await;
    inventory.add_software(BY, &package("geany", "1")).await.unwrap();
    inventory.add_software(BY, &package("vlc", "3")).await.unwrap();
    let device = approved(&inventory, 1).await;
    inventory.wish_software(BY, &id("geany"), Audience::School, &NEWEST).await.unwrap();
    inventory.wish_software(BY, &id("vlc"), Audience::Device(device), &NEWEST).await.unwrap();
    inventory.keep_software(BY, device, &pc(&[("vlc", "3")]), &[]).await.unwrap();
    assert_eq!(plan_of(&inventory, device).await, "+geany 1");

    let outcome: Outcome = serde_json::from_value(serde_json::json!({ "needs_person":
        { "failure": "timed_out", "left": "nothing", "attempts": 3, "tail": "…" } }))
    .unwrap();
    let result =
        StepResult { package: id("geany"), version: "1".parse().unwrap(), action: Action::Install, outcome };
    inventory.keep_software(BY, device, &pc(&[("vlc", "3")]), std::slice::from_ref(&result)).await.unwrap();
    assert_eq!(plan_of(&inventory, device).await, "!geany gave up");
    let (known, problems) = inventory.known_software(None).await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(known[0].turns.last[&id("geany")].outcome, result.outcome);
    assert_eq!(known[0].pc, pc(&[("vlc", "3")]));

    inventory.retry_software(BY, &id("geany"), Some(device)).await.unwrap();
    assert_eq!(plan_of(&inventory, device).await, "+geany 1");
    let (known, _) = inventory.known_software(Some(device)).await.unwrap();
    assert_eq!((known[0].turns.rounds[&id("geany")], known[0].turns.last.len()), (1, 0));
    assert!(inventory.retry_software(BY, &id("geany"), None).await.is_err(), "nothing failed since");

    assert!(inventory.keep_software(BY, DeviceId(Uuid::nil()), &pc(&[]), &[]).await.is_err());
    inventory.delete_device(BY, device).await.unwrap();
    assert_eq!(inventory.known_software(None).await.unwrap().0.len(), 0);
    assert_eq!(inventory.software_wishes().await.unwrap().0.len(), 1);
}
