//! Faults that people report.

use inventory::{By, Error, FaultKind, FaultState, RoomId, UnixMillis};

use super::{BY, Open, approved, conflict};

pub(super) async fn a_fault_is_reported_once_taken_and_mended(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let room = inventory.room_by_name("Raum 204").await.unwrap().unwrap().id;
    let lea = By { actor: "lea", at: UnixMillis(10) };
    let id =
        inventory.report_fault(lea, room, Some(device), FaultKind::Pc, " geht nicht an\u{7} ").await.unwrap();
    let max = By { actor: "max", at: UnixMillis(20) };
    assert_eq!(
        inventory.report_fault(max, room, Some(device), FaultKind::Pc, "auch bei mir").await.unwrap(),
        id
    );
    let whole = inventory.report_fault(max, room, None, FaultKind::Pc, "").await.unwrap();
    assert_ne!(whole, id, "the room is not the device");

    let fault = inventory.faults().await.unwrap().into_iter().find(|fault| fault.id == id).unwrap();
    assert_eq!(
        (fault.kind, fault.state, fault.changed_at),
        (FaultKind::Pc, FaultState::Open, UnixMillis(20))
    );
    assert!(fault.place.starts_with("Raum 204, "), "{}", fault.place);
    let said: Vec<(&str, &str)> = fault.events.iter().map(|e| (e.actor.as_str(), e.words.as_str())).collect();
    assert_eq!(said, [("lea", "geht nicht an"), ("max", "auch bei mir")]);

    inventory.say_of_fault(BY, id, FaultState::Done, "Netzteil getauscht").await.unwrap();
    let faults = inventory.faults().await.unwrap();
    assert_eq!(faults.iter().map(|fault| fault.id).collect::<Vec<_>>(), [whole, id], "mended ones come last");
    let open = inventory.open_faults().await.unwrap();
    assert_eq!(
        open.iter().collect::<Vec<_>>(),
        faults.iter().take(1).collect::<Vec<_>>(),
        "with what happened to it, and without the mended one"
    );
    // The next one is a new fault.
    assert_ne!(inventory.report_fault(lea, room, Some(device), FaultKind::Pc, "").await.unwrap(), id);

    assert!(
        conflict(inventory.say_of_fault(BY, whole, FaultState::Open, &"x".repeat(1001)).await)
            .contains("1000")
    );
    let nowhere = inventory.report_fault(lea, RoomId::random(), None, FaultKind::Pc, "").await;
    assert!(matches!(nowhere, Err(Error::NotFound { .. })), "{nowhere:?}");
    inventory.delete_device(BY, device).await.unwrap();
    let kept = inventory.faults().await.unwrap().into_iter().find(|fault| fault.id == id).unwrap();
    assert!(kept.device.is_none() && kept.place == fault.place, "{kept:?}");
}
