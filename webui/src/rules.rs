//! Rules of the internet that admins make: locks, the timetable, lists and filters. Pages and API meet here.

use inventory::gate::{Layer, Level, NewRule, Target};
use inventory::{By, DeviceId, Inventory, RuleId, UnixMillis};

use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// Locks a device or everything of a person; without an end, until somebody ends it. `who` is the name of either.
pub(crate) async fn lock(
    inventory: &Inventory,
    by: By<'_>,
    who: &str,
    level: Level,
    ends_at: Option<UnixMillis>,
) -> Answer<RuleId> {
    let target = device_or_person(inventory, who).await?;
    let rule = NewRule { layer: Layer::Lock, target, setting: level.into(), starts_at: by.at, ends_at };
    let ids = inventory.add_rules(by, &[rule]).await?;
    ids.first().copied().ok_or(Failure::Internal)
}

/// The device of a name.
pub(crate) async fn device(inventory: &Inventory, name: &str) -> Answer<DeviceId> {
    let unknown = || Failure::field("guest", Problem::NoDevice(name.chars().take(60).collect()));
    find_device(inventory, name).await?.ok_or_else(unknown)
}

async fn device_or_person(inventory: &Inventory, name: &str) -> Answer<Target> {
    if let Some(id) = find_device(inventory, name).await? {
        return Ok(Target::Device(id));
    }
    match inventory.user_by_name(name).await? {
        Some(user) => Ok(Target::User(user.id)),
        None => Err(Failure::field("who", Problem::NoDeviceOrPerson(name.chars().take(60).collect()))),
    }
}

async fn find_device(inventory: &Inventory, name: &str) -> Answer<Option<DeviceId>> {
    let (devices, _) = inventory.devices().await?;
    Ok(devices.iter().find(|device| device.name.as_str().eq_ignore_ascii_case(name)).map(|device| device.id))
}
