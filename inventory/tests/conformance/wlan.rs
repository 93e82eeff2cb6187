//! The WLAN: rules, access points, guests, and who joined.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use inventory::vault::Vault;
use inventory::wlan::{
    Addresses, Joined, Kind, Method, NewAccessPoint, NewVoucher, Refusal, Refused, Settings, StationOwner,
    Then, Vlan, Who,
};
use inventory::{By, Error, MacAddr, Role, RoomId, UnixMillis};

use super::ipads::{certificate, enrolled};
use super::{BY, Open, approved, conflict};

fn mac(n: u8) -> MacAddr {
    MacAddr([2, 0, 0, 0, 0, n])
}

fn at(secs: u64) -> By<'static> {
    By { actor: "radius", at: BY.at.plus_secs(secs) }
}

pub(super) async fn rules_are_saved_whole_and_never_over_somebody_elses(open: Open) {
    let inventory = open.inventory().await;
    let (mut settings, version) = inventory.wlan().await.unwrap();
    assert_eq!((&settings, version), (&Settings::default(), 0));
    settings.ssid = "Bunte Schule".into();
    settings.rules.truncate(1);
    inventory.set_wlan(BY, version, &settings).await.unwrap();
    assert!(conflict(inventory.set_wlan(BY, version, &Settings::default()).await).contains("somebody else"));
    let (read, version) = inventory.wlan().await.unwrap();
    assert_eq!((&read, version), (&settings, 1));
    settings.rules.clear();
    inventory.set_wlan(BY, version, &settings).await.unwrap();
    assert_eq!(inventory.wlan().await.unwrap(), (settings.clone(), 2));
    for ssid in ["", " Schule", &"x".repeat(33), "a\nb"] {
        let bad = Settings { ssid: ssid.into(), ..settings.clone() };
        assert!(conflict(inventory.set_wlan(BY, 2, &bad).await).contains("32 bytes"), "{ssid:?}");
    }
}

pub(super) async fn an_access_point_has_a_sealed_secret_of_its_own(open: Open) {
    let inventory = open.inventory().await;
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(dir.path()).unwrap();
    let range = |text: &str| text.parse::<Addresses>().unwrap();
    let new = |name, text| NewAccessPoint { name, range: range(text), room: None };
    let gym = inventory.add_access_point(BY, &vault, new("Turnhalle", "10.5.0.7/32")).await.unwrap();
    let rest = inventory.add_access_point(BY, &vault, new("Haus A", "10.5.0.0/24")).await.unwrap();
    for taken in [new("Turnhalle", "10.5.0.9/32"), new("Anderer", "10.5.0.0/24")] {
        assert!(conflict(inventory.add_access_point(BY, &vault, taken).await).contains("already"));
    }
    let secret = inventory.access_point_secret(&vault, gym).await.unwrap();
    assert!(secret.len() >= 16 && secret != inventory.access_point_secret(&vault, rest).await.unwrap());
    inventory.renew_access_point_secret(BY, &vault, gym).await.unwrap();
    assert_ne!(inventory.access_point_secret(&vault, gym).await.unwrap(), secret);

    let room = inventory.create_room(BY, "Turnhalle").await.unwrap().id;
    let moved = NewAccessPoint { name: "Turnhalle", range: range("10.5.0.8/32"), room: Some(room) };
    inventory.set_access_point(BY, gym, moved).await.unwrap();
    inventory.note_access_point(gym, UnixMillis(7_000_000)).await.unwrap();
    let all = inventory.access_points().await.unwrap();
    let seen: Vec<_> =
        all.iter().map(|one| (one.name.as_str(), one.range.to_string(), one.last_seen)).collect();
    assert_eq!(
        seen,
        [
            ("Haus A", "10.5.0.0/24".into(), None),
            ("Turnhalle", "10.5.0.8".into(), Some(UnixMillis(7_000_000)))
        ]
    );

    let other = tempfile::tempdir().unwrap();
    let (good, bad) = inventory.access_point_secrets(&Vault::open(other.path()).unwrap()).await.unwrap();
    assert!(good.is_empty() && bad.len() == 2, "sealed with another key: {bad:?}");
    inventory.delete_access_point(BY, rest).await.unwrap();
    assert!(matches!(inventory.delete_access_point(BY, rest).await, Err(Error::NotFound { .. })));
}

pub(super) async fn a_voucher_is_found_by_its_code_and_what_is_sealed_belongs_to_one(open: Open) {
    let inventory = open.inventory().await;
    let new = |ends| NewVoucher { note: "Frau Wind", devices_max: 2, ends_at: BY.at.plus_secs(ends) };
    let (id, code) = inventory.make_voucher(BY, new(3600)).await.unwrap();
    let typed = format!(" {}-{} ", code[..6].to_uppercase(), &code[6..]);
    let found = inventory.voucher_by_code(&typed).await.unwrap().unwrap();
    assert_eq!((found.id, found.devices_max, found.note.as_str()), (id, 2, "Frau Wind"));
    assert_eq!(found.joiner().kind, Kind::Guest { ends_at: BY.at.plus_secs(3600), devices_max: 2 });
    assert_eq!(inventory.voucher_by_code("anders").await.unwrap(), None);
    assert!(conflict(inventory.make_voucher(BY, new(0)).await).contains("future"));
    inventory.end_voucher(at(10), id).await.unwrap();
    assert_eq!(inventory.vouchers().await.unwrap()[0].ends_at, at(10).at);
    assert!(matches!(inventory.end_voucher(at(10), id).await, Err(Error::NotFound { .. })));

    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(dir.path()).unwrap();
    let lea = inventory.create_user(BY, "lea", "hash", Role::Pupil).await.unwrap();
    assert_eq!(inventory.wifi_password(&vault, lea).await.unwrap(), None);
    let first = inventory.make_wifi_password(BY, &vault, lea).await.unwrap();
    let second = inventory.make_wifi_password(BY, &vault, lea).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(inventory.wifi_password(&vault, lea).await.unwrap(), Some(second));
    inventory.delete_wifi_password(BY, lea).await.unwrap();
    assert_eq!(inventory.wifi_password(&vault, lea).await.unwrap(), None);

    let printer = approved(&inventory, 1).await;
    let card = inventory.device(printer).await.unwrap().unwrap().interfaces[0].mac;
    assert_eq!(inventory.keyed_device(card).await.unwrap(), None, "an address alone opens nothing");
    let key = inventory.make_device_key(BY, &vault, printer).await.unwrap();
    assert_eq!(inventory.keyed_device(card).await.unwrap(), Some(printer));
    assert_eq!(inventory.device_key(&vault, printer).await.unwrap(), Some(key));
}

pub(super) async fn who_joined_is_known_counted_and_followed_through_the_rooms(open: Open) {
    let inventory = open.inventory().await;
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(dir.path()).unwrap();
    let room = inventory.create_room(BY, "Turnhalle").await.unwrap().id;
    let range: Addresses = "10.5.0.7/32".parse().unwrap();
    let new = NewAccessPoint { name: "AP Halle", range, room: Some(room) };
    let gym = inventory.add_access_point(BY, &vault, new).await.unwrap();
    let lea = inventory.create_user(BY, "lea", "hash", Role::Pupil).await.unwrap();
    let owner = StationOwner::User(lea);
    let joined = |n| Joined {
        mac: mac(n),
        owner,
        method: Method::Password,
        vlan: Some(Vlan::try_from(20).unwrap()),
        access_point: Some(gym),
    };
    inventory.note_joined(at(0), joined(1)).await.unwrap();
    inventory.note_joined(at(60), joined(2)).await.unwrap();
    inventory.note_joined(at(90), joined(1)).await.unwrap();
    let others =
        async |n| inventory.wlan_moment(owner, Some(mac(n)), at(100).at).await.unwrap().other_devices;
    assert_eq!((others(1).await, others(9).await), (1, 2));
    let all = inventory.stations(at(100).at, 10).await.unwrap();
    assert_eq!(all, inventory.stations_of_user(lea, at(100).at).await.unwrap());
    let first = &all[0];
    assert_eq!((first.mac, first.name.as_str(), first.joined_at), (mac(1), "lea", at(0).at));
    assert_eq!((first.room.as_deref(), first.online), (Some("Turnhalle"), true));

    inventory.note_station(at(200), mac(1), Some(gym), true).await.unwrap();
    assert!(!inventory.stations(at(201).at, 1).await.unwrap()[0].online);
    inventory.note_station(at(300), mac(7), Some(gym), false).await.unwrap();
    assert_eq!(inventory.stations(at(301).at, 10).await.unwrap().len(), 2, "what never joined is not there");
    inventory.forget_station(BY, mac(1)).await.unwrap();
    assert_eq!(others(9).await, 1);

    let refused = |reason| Refused {
        at: at(5).at,
        mac: mac(3),
        name: "wer\u{7}auch immer".into(),
        reason,
        access_point: Some(gym),
    };
    let both = [refused(Refusal::Unknown), refused(Refusal::TooManyDevices { max: 2 })];
    inventory.note_refusals(at(5).at, &both).await.unwrap();
    let seen = inventory.wlan_refusals(10).await.unwrap();
    assert_eq!(seen[0].reason, Refusal::TooManyDevices { max: 2 });
    assert_eq!((seen[1].name.as_str(), seen[1].access_point.as_deref()), ("werauch immer", Some("AP Halle")));

    // A device of the school is where it joined, and at home again when it joins there.
    let device = approved(&inventory, 1).await;
    let known = inventory.device(device).await.unwrap().unwrap();
    let own = Joined { mac: known.interfaces[0].mac, owner: StationOwner::Device(device), ..joined(0) };
    inventory.note_joined(at(10), own).await.unwrap();
    assert_eq!(room_of(&inventory, device, at(11).at).await, room);
    let desk =
        NewAccessPoint { name: "AP 204", range: "10.5.0.8/32".parse().unwrap(), room: Some(known.room.id) };
    let desk = inventory.add_access_point(BY, &vault, desk).await.unwrap();
    inventory.note_station(at(20), own.mac, Some(desk), false).await.unwrap();
    assert_eq!(room_of(&inventory, device, at(21).at).await, known.room.id);
    // What a person says goes before it.
    inventory.set_visit(BY, device, Some((known.room.id, at(9000).at))).await.unwrap();
    inventory.note_joined(at(30), own).await.unwrap();
    assert_eq!(room_of(&inventory, device, at(31).at).await, known.room.id);
}

async fn room_of(inventory: &inventory::Inventory, device: inventory::DeviceId, at: UnixMillis) -> RoomId {
    let (devices, _) = inventory.gate_devices(inventory::gate::Of::School).await.unwrap();
    devices.into_iter().find(|one| one.subject.device == device).unwrap().subject.room_at(at)
}

pub(super) async fn somebody_who_joins_is_known_with_classes_and_certificate(open: Open) {
    let inventory = open.inventory().await;
    let class = inventory.create_group(BY, "7b").await.unwrap().id;
    let lea = inventory.create_user(BY, "lea", "hash", Role::Pupil).await.unwrap();
    inventory.add_to_group(BY, class, &[lea], &[]).await.unwrap();
    let joiner = inventory.wlan_person(lea).await.unwrap().unwrap();
    assert_eq!(
        (joiner.kind, joiner.groups.as_slice(), joiner.deactivated),
        (Kind::Person(Role::Pupil), &[class][..], false)
    );
    assert_eq!(inventory.wlan_person(inventory::UserId::random()).await.unwrap(), None);

    let ipad = enrolled(&inventory, "f1", "udid-1", "SERIAL1").await;
    let good = inventory.challenge_for_wlan(BY, ipad, "c", BY.at.plus_secs(900)).await.unwrap();
    assert!(good);
    let new = certificate("w1");
    inventory.certify_for_wlan(BY, "c", "key", new).await.unwrap();
    let owner = inventory.wlan_certificate_owner(&new.serial.to_uppercase()).await.unwrap().unwrap();
    assert_eq!((owner.revoked, owner.ends_at), (false, new.ends_at));
    assert_eq!(inventory.wlan_kind_of(owner.device).await.unwrap(), Kind::Ipad);
    let joiner = inventory.wlan_device(owner.device, Kind::Ipad).await.unwrap().unwrap();
    assert_eq!(joiner.owner, StationOwner::Device(owner.device));
    assert_eq!(inventory.wlan_certificate_owner("00ff").await.unwrap(), None);
    let settings = Settings::default();
    assert!(
        settings.rules.iter().any(|rule| rule.who == Who::Ipads && rule.then == Then::Join { vlan: None })
    );
}
