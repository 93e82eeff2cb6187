//! Things that this crate's tests need.

use crate::{Device, DeviceId, Interface, InterfaceKind, Observed, Room, RoomId};

/// A device with one card; with a key if it is approved.
pub(crate) fn device(name: &str, mac: &str, approved: bool) -> Device {
    Device {
        id: DeviceId::random(),
        name: name.parse().unwrap(),
        room: Room { id: RoomId::random(), name: "Raum 204".into() },
        interfaces: vec![Interface {
            mac: mac.parse().unwrap(),
            kind: InterfaceKind::Lan,
            reserved_ip: None,
        }],
        key: approved.then(|| "ab".repeat(32).parse().unwrap()),
        hardware: serde_json::json!({}),
        desired_image: None,
        observed: Observed::default(),
        last_seen: None,
    }
}
