//! Apple's services, the iPads of Apple School Manager, and what happens to iPads by themselves.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use inventory::mdm::{
    AppleKind, Arrived, AtTheDoor, Certified, Door, ListedDevice, NewAppleService, Outcome, Reachable,
    STRANGERS_MAX,
};
use inventory::{Inventory, UnixMillis};
use serde_json::json;

use super::ipads::{HOUR, arrival, at, certificate, command, enrolled, room};
use super::{BY, Open};

pub(super) async fn what_apple_gave_is_kept_and_replaced(open: Open) {
    let inventory = open.inventory().await;
    assert_eq!(inventory.apple_services().await.unwrap(), []);
    inventory.keep_apple_request(BY, AppleKind::Push, "sealed key", "CSR").await.unwrap();
    let service = inventory.apple_service(AppleKind::Push).await.unwrap().unwrap();
    assert!(!service.imported && service.request.as_deref() == Some("CSR"), "{service:?}");
    let about = json!({ "topic": "com.apple.mgmt.External.1" });
    let new = NewAppleService { secret: "sealed", about: &about, ends_at: Some(at(HOUR).at) };
    inventory.import_apple_service(BY, AppleKind::Push, new).await.unwrap();
    let settings = json!({ "room": "1" });
    inventory.set_apple_settings(BY, AppleKind::Push, &settings).await.unwrap();
    let asked = inventory.apple_service(AppleKind::Push).await.unwrap().unwrap();
    let state = json!({ "cursor": "c" });
    inventory.note_apple_service(at(1), &asked, &state, Some("it is down")).await.unwrap();
    let seq = inventory.last_change().await.unwrap();
    inventory.note_apple_service(at(2), &asked, &state, Some("it is down")).await.unwrap();
    assert_eq!(inventory.last_change().await.unwrap(), seq, "nothing new is no change");
    let service = inventory.apple_service(AppleKind::Push).await.unwrap().unwrap();
    assert_eq!((service.problem.as_deref(), service.checked_at), (Some("it is down"), Some(at(2).at)));
    assert_eq!((service.state["cursor"].as_str(), &service.settings), (Some("c"), &settings));
    assert_eq!(
        inventory.sealed_apple_request_key(AppleKind::Push).await.unwrap().as_deref(),
        Some("sealed key")
    );

    let new = NewAppleService { secret: "sealed 2", about: &about, ends_at: None };
    inventory.import_apple_service(at(3), AppleKind::Push, new).await.unwrap();
    inventory.note_apple_service(at(4), &asked, &state, Some("it was down")).await.unwrap();
    let service = inventory.apple_service(AppleKind::Push).await.unwrap().unwrap();
    let noted = (service.problem.as_ref(), &service.state, &service.settings);
    assert_eq!(
        noted,
        (None, &json!({}), &settings),
        "what was heard of the old one is not noted of the new one"
    );
    assert_eq!(inventory.sealed_apple_secret(AppleKind::Push).await.unwrap().as_deref(), Some("sealed 2"));
    assert_eq!(inventory.sealed_apple_secret(AppleKind::Ade).await.unwrap(), None);
    inventory.delete_apple_service(BY, AppleKind::Push).await.unwrap();
    assert!(inventory.delete_apple_service(BY, AppleKind::Push).await.is_err());
    inventory.note_apple_service(BY, &service, &json!({}), None).await.unwrap();
    assert_eq!(inventory.apple_services().await.unwrap(), []);
}

fn listed(serial: &str) -> ListedDevice {
    ListedDevice {
        serial: serial.into(),
        model: "iPad".into(),
        description: "iPad 64GB".into(),
        profile: None,
        status: "empty".into(),
    }
}

async fn knock(inventory: &Inventory, serial: &str, challenge: &str) -> Door {
    let new = AtTheDoor { serial, model: "iPad13,18", room: None };
    inventory.open_the_door(BY, new, challenge, at(900).at).await.unwrap()
}

pub(super) async fn ipads_of_apple_school_manager_come_in_where_they_belong(open: Open) {
    let inventory = open.inventory().await;
    let room = room(&inventory).await.id;
    inventory.note_ade_devices(BY, &[listed("A"), listed("B"), listed("C")], true).await.unwrap();
    inventory
        .note_ade_profiles(BY, "P1", &[("A".into(), None), ("B".into(), Some("NOT_ACCESSIBLE".into()))])
        .await
        .unwrap();
    assert_eq!(knock(&inventory, "A", "c0").await, Door::NoRoom);
    assert_eq!(
        inventory.place_ade_devices(BY, &["A".into(), "X".into()], Some(room), None).await.unwrap(),
        1
    );
    let Door::Open(id) = knock(&inventory, "A", "c1").await else { panic!("it is listed and has a room") };
    // The invitation is for its serial number, shown to nobody, and counts for no limit.
    assert_eq!(inventory.invitations(BY.at).await.unwrap(), []);
    assert_eq!(inventory.certify(BY, "c1", "key", certificate("f1")).await.unwrap(), Certified::Yes);
    let other = inventory.mdm_arrive(BY, arrival("f1", "udid-a", "OTHER")).await.unwrap();
    assert!(matches!(other, Arrived::Refused(_)), "{other:?}");
    let Door::Open(id2) = knock(&inventory, "A", "c2").await else { panic!("it may knock again") };
    assert_ne!(id, id2);
    assert_eq!(inventory.certify(BY, "c2", "key", certificate("f2")).await.unwrap(), Certified::Yes);
    assert_eq!(inventory.mdm_arrive(BY, arrival("f2", "udid-a", "A")).await.unwrap(), Arrived::Welcome(id2));
    let enrolment = inventory.enrolment(id2).await.unwrap().unwrap();
    let device = inventory.device(enrolment.device.unwrap()).await.unwrap().unwrap();
    assert_eq!((device.room.id, enrolment.serial.as_str()), (room, "A"));

    let all = inventory.ade_devices().await.unwrap();
    let of = |serial: &str| all.iter().find(|device| device.serial == serial).unwrap();
    assert_eq!((of("A").profile.as_deref(), of("A").status.as_str()), (Some("P1"), "assigned"));
    assert_eq!((of("B").profile.as_deref(), of("B").problem.as_deref()), (None, Some("NOT_ACCESSIBLE")));
    // What is listed no more is gone; who stood at the door stays to be seen.
    assert_eq!(knock(&inventory, "STRANGER", "c3").await, Door::NotListed);
    inventory.forget_ade_devices(BY, &["B".into()]).await.unwrap();
    inventory.note_ade_devices(BY, &[listed("A")], true).await.unwrap();
    let all = inventory.ade_devices().await.unwrap();
    let left: Vec<_> = all.iter().map(|device| (device.serial.as_str(), device.listed)).collect();
    assert_eq!(left, [("A", true), ("STRANGER", false)]);
    assert_eq!(all.first().unwrap().room, Some(room), "where it belongs stays");
    for number in 0..STRANGERS_MAX + 5 {
        knock(&inventory, &format!("S{number}"), "x").await;
    }
    let strangers = inventory.ade_devices().await.unwrap().iter().filter(|device| !device.listed).count();
    assert_eq!(i64::try_from(strangers).unwrap(), STRANGERS_MAX);
}

pub(super) async fn a_certificate_is_renewed_by_a_challenge_of_its_ipad(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "udid-1", "SERIAL1").await;
    let day = 24 * HOUR;
    let due = async |secs: u64| {
        let never = UnixMillis(at(secs).at.0 - 1);
        inventory.ipads_to_renew(at(secs).at, never, 10).await.unwrap()
    };
    assert_eq!(due(200 * day).await, []);
    assert_eq!(due(250 * day).await, [ipad], "two thirds of a year are over");
    assert_eq!(due(366 * day).await, [], "it is too late to ask by itself");
    let by = at(250 * day);
    let mut profile = command(ipad, "InstallProfile", "profile");
    profile.ends_at = at(251 * day).at;
    inventory.ask_to_renew(by, "r1", at(251 * day).at, &profile).await.unwrap();
    assert_eq!(inventory.ipads_to_renew(by.at, BY.at, 10).await.unwrap(), [], "once a day");
    assert_eq!(inventory.next_command(by, ipad, None).await.unwrap().unwrap().kind, "InstallProfile");
    assert_eq!(inventory.challenge("r1", by.at).await.unwrap().unwrap().enrolment, ipad);
    let new = inventory::mdm::NewCertificate { fingerprint: "f2", serial: "f2", ends_at: at(600 * day).at };
    assert_eq!(inventory.certify(by, "r1", "key 2", new).await.unwrap(), Certified::Yes);
    let again = inventory::mdm::NewCertificate { fingerprint: "f3", serial: "f3", ..new };
    assert_eq!(inventory.certify(by, "r1", "key 3", again).await.unwrap(), Certified::No, "one key");
    assert_eq!(
        inventory.certify(at(252 * day), "r1", "key 2", again).await.unwrap(),
        Certified::No,
        "in time"
    );
    assert_eq!(inventory.enrolment_of_certificate("f2", by.at).await.unwrap(), Some(ipad));
    assert_eq!(due(260 * day).await, []);
    inventory.mdm_leave(at(260 * day), ipad).await.unwrap();
    assert_eq!(due(550 * day).await, []);
}

pub(super) async fn an_ipad_waits_until_it_is_told_to_go_on(open: Open) {
    let inventory = open.inventory().await;
    let ipad = enrolled(&inventory, "f1", "udid-1", "SERIAL1").await;
    assert_eq!(inventory.awaiting_ipads().await.unwrap(), []);
    let questions = [command(ipad, "DeviceInformation", "")];
    let how = Reachable { push: "sealed", unlock_token: None, awaiting: true, welcome: &questions };
    inventory.mdm_reachable(BY, ipad, how).await.unwrap();
    let waits = inventory.awaiting_ipads().await.unwrap();
    assert_eq!((waits.len(), waits.first().unwrap().open_commands), (1, 1));
    let asked = inventory.next_command(BY, ipad, None).await.unwrap().unwrap();
    assert!(inventory.next_command(BY, ipad, Some((asked.id, Outcome::Done(None)))).await.unwrap().is_none());
    assert_eq!(inventory.awaiting_ipads().await.unwrap().first().unwrap().open_commands, 0);
    inventory.queue_commands(BY, &[command(ipad, "DeviceConfigured", "")]).await.unwrap();
    assert_eq!(inventory.awaiting_ipads().await.unwrap(), [], "it is told once");
}
