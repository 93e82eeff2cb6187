//! The sample school's WLAN.

use inventory::vault::Vault;
use inventory::wlan::{
    Hours, Joined, Method, NewAccessPoint, NewVoucher, Refusal, Refused, Rule, Settings, StationOwner, Then,
    Vlan, Who,
};
use inventory::{
    AccessPointId, By, DeviceId, Error, GroupId, Inventory, MacAddr, Result, RoomId, UnixMillis, UserId,
    VoucherId,
};

/// Rules with everything that one can say, two access points, a guest, who joined and who was turned away.
pub(crate) async fn wlan(
    inventory: &Inventory,
    vault: &Vault,
    by: By<'_>,
    room: RoomId,
    class: GroupId,
    pupil: UserId,
    device: DeviceId,
) -> Result<(AccessPointId, VoucherId)> {
    let (mut settings, version) = inventory.wlan().await?;
    let vlan = |number: u16| Vlan::try_from(number).map_err(|e| Error::Unusable(e.to_string()));
    let rule = |who, then| Rule { who, then, hours: None, until: None, devices_max: None };
    let limited = Rule {
        hours: Some(Hours { from_minute: 7 * 60, until_minute: 17 * 60 }),
        until: Some(by.at.plus_secs(30 * 86_400)),
        devices_max: Some(2),
        ..rule(Who::Group(class), Then::Join { vlan: Some(vlan(20)?) })
    };
    let rules = [rule(Who::Exam, Then::Refuse), limited, rule(Who::User(pupil), Then::Refuse)];
    settings
        .rules
        .splice(0..0, rules.into_iter().chain([rule(Who::Device(device), Then::Join { vlan: None })]));
    settings.peap = true;
    inventory.set_wlan(by, version, &Settings { ssid: "Schule <1> & Co".into(), ..settings }).await?;

    let parse = |text: &str| text.parse().map_err(|_| Error::Unusable(text.to_owned()));
    let new = NewAccessPoint { name: "AP Raum 204", range: parse("10.77.5.4")?, room: Some(room) };
    let point = inventory.add_access_point(by, vault, new).await?;
    let new = NewAccessPoint { name: "Haus <B>", range: parse("10.77.6.0/24")?, room: None };
    inventory.add_access_point(by, vault, new).await?;
    inventory.note_access_point(point, by.at).await?;
    let ends_at = by.at.plus_secs(86_400);
    let new = NewVoucher { note: "Frau Wind <Theater>", devices_max: 2, ends_at };
    let (voucher, _) = inventory.make_voucher(by, new).await?;

    let card = |n: u8| MacAddr([2, 0, 0x5e, 0, 0, n]);
    let ago = |minutes: i64| By { actor: "radius", at: UnixMillis(by.at.0 - minutes * 60_000) };
    let access_point = Some(point);
    for (n, owner, method, minutes) in [
        (1, StationOwner::User(pupil), Method::Password, 200),
        (2, StationOwner::Device(device), Method::Certificate, 12),
        (3, StationOwner::Voucher(voucher), Method::Password, 3),
    ] {
        let joined = Joined { mac: card(n), owner, method, vlan: Some(vlan(20)?), access_point };
        inventory.note_joined(ago(minutes), joined).await?;
    }
    let refused = |n, name: &str, reason, minutes| Refused {
        at: ago(minutes).at,
        mac: card(n),
        name: name.to_owned(),
        reason,
        access_point,
    };
    let all = [
        refused(7, "niemand <b>", Refusal::WrongPassword, 90),
        refused(8, "lea.maier", Refusal::TooManyDevices { max: 2 }, 5),
        refused(9, "anonymous", Refusal::NotAgreed, 1),
    ];
    inventory.note_refusals(by.at, &all).await?;
    Ok((point, voucher))
}
