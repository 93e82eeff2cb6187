//! What a person can have done, the same for pages and API: wishes in words become inventory writes, and whatever cannot be
//! understood is refused by field.

use std::net::Ipv4Addr;

use inventory::night::ON_MILLIS;
use inventory::suggest::Series;
use inventory::{
    By, Cidr, Device, DeviceId, DhcpMode, Hostname, Image, Interface, InterfaceKind, Inventory, JobId,
    JobTask, MacAddr, Network, NetworkId, NetworkProblem, NewDevice, Power, Room, RoomId, WaitingId,
};
use serde_json::Value;

use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// What to make of a waiting PC. Rooms, images and devices are named by name or id.
#[derive(Debug, Default)]
pub(crate) struct Approval<'a> {
    /// Host name; empty for the next one of the room, or the replaced device's.
    pub(crate) name: &'a str,
    /// Room; added if there is none of that name. Empty for the replaced device's.
    pub(crate) room: &'a str,
    /// Image to write at once.
    pub(crate) image: Option<&'a str>,
    /// Device whose place the PC takes; without one, the device that was added beforehand with one of the PC's cards.
    pub(crate) replace: Option<&'a str>,
}

/// What became of a waiting PC.
pub(crate) struct Approved {
    pub(crate) device: DeviceId,
    pub(crate) name: Hostname,
    pub(crate) room: Room,
    pub(crate) job: Option<JobId>,
}

/// Makes a waiting PC a device.
pub(crate) async fn approve(
    inventory: &Inventory,
    by: By<'_>,
    id: WaitingId,
    wish: &Approval<'_>,
) -> Answer<Approved> {
    let entry = inventory.waiting_entry(id).await?.ok_or(Failure::Gone)?;
    let (devices, _) = inventory.devices().await?;
    let replace = match wish.replace {
        Some(text) => Some(device_in(&devices, text)?),
        None => announced(&entry.hardware, &devices),
    };
    let image = match wish.image {
        Some(text) => Some(image(inventory, text).await?.id),
        None => None,
    };
    let asked_name = match (wish.name, replace) {
        ("", None) => None,
        ("", Some(device)) => Some(device.name.clone()),
        (text, _) => Some(hostname(text)?),
    };
    // The room last: it may be added, and nothing before it writes.
    let room = match (wish.room, replace) {
        ("", Some(device)) => device.room.clone(),
        (text, _) => room(inventory, by, text).await?,
    };
    let name = match asked_name {
        Some(name) => name,
        None => suggestion(&room, &devices).ok_or(Failure::field("name", Problem::Missing))?,
    };
    let (device, job) = inventory.approve(by, id, &name, room.id, image, replace.map(|d| d.id)).await?;
    Ok(Approved { device, name, room, job })
}

/// Adds a device that nobody has seen yet.
pub(crate) async fn create_device(
    inventory: &Inventory,
    by: By<'_>,
    name: &str,
    room_text: &str,
    cards: &[(&str, InterfaceKind)],
) -> Answer<DeviceId> {
    let name = hostname(name.trim())?;
    let interface = |(mac, kind): &(&str, InterfaceKind)| {
        let mac = mac.parse().map_err(|error| Failure::field("mac", Problem::Parse(error)))?;
        Ok(Interface { mac, kind: *kind, reserved_ip: None })
    };
    let interfaces = cards.iter().map(interface).collect::<Answer<_>>()?;
    // The room last: it may be added, and nothing before it writes.
    let room = room(inventory, by, room_text).await?.id;
    Ok(inventory.create_device(by, &NewDevice { name, room, desired_image: None, interfaces }).await?)
}

/// The device that was added beforehand for a PC: it has one of the PC's cards, and no PC was approved as it yet.
pub(crate) fn announced<'d>(hardware: &Value, devices: &'d [Device]) -> Option<&'d Device> {
    let nics = hardware.get("nics").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let cards: Vec<MacAddr> =
        nics.iter().take(16).filter_map(|nic| nic.get("mac")?.as_str()?.parse().ok()).collect();
    devices.iter().find(|d| d.key.is_none() && d.interfaces.iter().any(|own| cards.contains(&own.mac)))
}

/// The next free name of a room.
pub(crate) fn suggestion(room: &Room, devices: &[Device]) -> Option<Hostname> {
    let in_room = devices.iter().filter(|device| device.room.id == room.id).map(|device| &device.name);
    Series::after(&room.name, in_room).next_free(|name| devices.iter().any(|device| device.name == *name))
}

/// Gives a device another name, room or image; what is `None` stays. An empty image means none.
pub(crate) async fn change_device(
    inventory: &Inventory,
    by: By<'_>,
    id: DeviceId,
    name: Option<&str>,
    new_room: Option<&str>,
    new_image: Option<&str>,
) -> Answer<()> {
    let device = device(inventory, id).await?;
    let name = name.map_or(Ok(device.name), hostname)?;
    let image = match new_image {
        None => device.desired_image,
        Some("") => None,
        Some(text) => Some(image(inventory, text).await?.id),
    };
    let room = match new_room {
        None => device.room,
        Some(text) => room(inventory, by, text).await?,
    };
    Ok(inventory.change_device(by, id, &name, room.id, image).await?)
}

/// Has an image written to a device: the named one (which the device then keeps), or the one it should have.
pub(crate) async fn deploy(
    inventory: &Inventory,
    by: By<'_>,
    id: DeviceId,
    asked: Option<&str>,
    version: Option<i64>,
) -> Answer<JobId> {
    let device = approved_device(inventory, id).await?;
    let image = match (asked, device.desired_image) {
        (Some(text), _) => image(inventory, text).await?,
        (None, Some(desired)) => {
            inventory.image(desired).await?.ok_or(Failure::field("image", Problem::Missing))?
        }
        (None, None) => return Err(Failure::field("image", Problem::Missing)),
    };
    if let Some(version) = version.filter(|v| !image.versions.iter().any(|known| known.version == *v)) {
        return Err(Failure::field("version", Problem::NoVersion(version)));
    }
    let job = inventory.create_job(by, id, JobTask::Deploy { image: image.id, version }).await?;
    bring_to_job(inventory, by, &device).await?;
    if device.desired_image != Some(image.id) {
        inventory.change_device(by, id, &device.name, device.room.id, Some(image.id)).await?;
    }
    Ok(job)
}

/// What a PC is to do, as a form says it.
pub(crate) fn power_of(text: &str) -> Answer<Power> {
    text.parse().map_err(|error| Failure::field("power", Problem::Parse(error)))
}

/// Has those PCs of a room switched on or off that can hear it; says how many these are.
pub(crate) async fn power_room(
    inventory: &Inventory,
    by: By<'_>,
    room: RoomId,
    power: Power,
) -> Answer<usize> {
    let (devices, _) = inventory.devices().await?;
    let ids: Vec<DeviceId> = devices.iter().filter(|device| device.room.id == room).map(|d| d.id).collect();
    Ok(inventory.ask_power(by, &ids, power).await?)
}

/// Has a PC switched on or off.
pub(crate) async fn power(inventory: &Inventory, by: By<'_>, id: DeviceId, power: Power) -> Answer<()> {
    device(inventory, id).await?;
    if inventory.ask_power(by, &[id], power).await? > 0 {
        return Ok(());
    }
    let text = match power {
        Power::On => "this device has no card with a cable; only such devices can be switched on",
        Power::Restart | Power::Off => {
            "this device was not approved; only a PC whose agent was approved can be switched off"
        }
    };
    Err(Failure::Refused(Problem::Inventory(text.into())))
}

/// Has a PC come to its job: switched on if it is off, restarted if its own system runs. Who is in the boot environment is there already.
async fn bring_to_job(inventory: &Inventory, by: By<'_>, device: &Device) -> Answer<()> {
    let is_on = device.last_seen.is_some_and(|seen| by.at.millis_since(seen) < ON_MILLIS);
    let power = match device.observed.runs_in.as_deref() {
        _ if !is_on => Power::On,
        Some("installed_system") => Power::Restart,
        _ => return Ok(()),
    };
    // One that cannot hear it gets its job when somebody switches it on.
    inventory.ask_power(by, &[device.id], power).await?;
    Ok(())
}

/// Has a device's disk read into an image of that name, added if there is none.
pub(crate) async fn capture(inventory: &Inventory, by: By<'_>, id: DeviceId, name: &str) -> Answer<JobId> {
    let device = approved_device(inventory, id).await?;
    if name.is_empty() {
        return Err(Failure::field("image", Problem::Missing));
    }
    // Before a new image is added, which would stay without a version.
    if inventory.open_job(id).await?.is_some() {
        let text = "this device has an open job already; wait for its end or cancel it";
        return Err(Failure::Refused(Problem::Inventory(text.into())));
    }
    let known = inventory.images().await?.into_iter().find(|image| image.id.to_string() == name);
    let image = match known {
        Some(image) => image.id,
        None => inventory.ensure_image(by, name).await.map_err(at("image"))?,
    };
    let job = inventory.create_job(by, id, JobTask::Capture { image }).await?;
    bring_to_job(inventory, by, &device).await?;
    Ok(job)
}

/// Sets or clears (`None`) the fixed address of a device's card; without a card named, of its only one.
pub(crate) async fn reserve(
    inventory: &Inventory,
    by: By<'_>,
    id: DeviceId,
    card: Option<&str>,
    address: Option<&str>,
) -> Answer<()> {
    let device = device(inventory, id).await?;
    let card = match (card, device.interfaces.as_slice()) {
        (Some(text), cards) => {
            let mac: MacAddr = text.parse().map_err(|e| Failure::field("mac", Problem::Parse(e)))?;
            cards.iter().find(|c| c.mac == mac).ok_or(Failure::Gone)?
        }
        (None, [only]) => only,
        (None, _) => return Err(Failure::field("mac", Problem::WhichCard)),
    };
    let address = address.map(|text| ipv4(text).map_err(|p| Failure::field("ip", p))).transpose()?;
    if let Some(address) = address {
        let (networks, _) = inventory.networks().await?;
        if networks.iter().any(|n| n.router == Some(address)) {
            return Err(Failure::field("ip", Problem::IsRouter(address)));
        }
        if !networks.iter().any(|n| n.cidr.is_host(address)) {
            return Err(Failure::field("ip", Problem::NotInANetwork(address)));
        }
    }
    inventory.reserve_address(by, card.mac, address).await.map_err(at("ip"))
}

/// A network as a person wrote it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct NetworkWish {
    pub(crate) name: String,
    pub(crate) cidr: String,
    pub(crate) router: String,
    pub(crate) pool_first: String,
    pub(crate) pool_last: String,
    /// Length of a lease, counted in `lease_unit_secs`: people write minutes, programs seconds.
    pub(crate) lease: String,
    pub(crate) lease_unit_secs: u32,
    /// `server`, `proxy` or `off`.
    pub(crate) mode: String,
}

impl NetworkWish {
    /// Understands it, or says of every field what is wrong.
    pub(crate) fn parse(&self, id: NetworkId) -> Result<Network, Vec<(&'static str, Problem)>> {
        let mut problems = Vec::new();
        let mut ask = |field, result: Result<Ipv4Addr, Problem>| {
            result.map_err(|problem| problems.push((field, problem))).ok()
        };
        let first = ask("pool_first", ipv4(&self.pool_first));
        let last = ask("pool_last", ipv4(&self.pool_last));
        let router = if self.router.is_empty() { None } else { ask("router", ipv4(&self.router)) };
        let cidr: Option<Cidr> = match self.cidr.parse() {
            Ok(cidr) => Some(cidr),
            Err(_) if self.cidr.is_empty() => {
                problems.push(("cidr", Problem::Missing));
                None
            }
            Err(error) => {
                problems.push(("cidr", Problem::Parse(error)));
                None
            }
        };
        if self.name.is_empty() || self.name.chars().count() > 60 {
            problems.push(("name", Problem::Missing));
        }
        let lease_secs = self.lease.parse::<u32>().ok().and_then(|n| n.checked_mul(self.lease_unit_secs));
        if lease_secs.is_none() {
            problems.push(("lease", Problem::NoNumber(self.lease.chars().take(40).collect())));
        }
        let mode = mode(&self.mode);
        if mode.is_none() {
            problems.push(("mode", Problem::NoChoice(self.mode.chars().take(40).collect())));
        }
        let (Some(cidr), Some(pool_first), Some(pool_last), Some(lease_secs), Some(mode), true) =
            (cidr, first, last, lease_secs, mode, problems.is_empty())
        else {
            return Err(problems);
        };
        let network =
            Network { id, name: self.name.clone(), cidr, router, pool_first, pool_last, lease_secs, mode };
        match network.check() {
            Ok(()) => Ok(network),
            Err(problem) => Err(vec![(field_of(&problem, &network), Problem::Network(problem))]),
        }
    }

    /// How a person would write this network.
    pub(crate) fn of(network: &Network) -> Self {
        Self {
            name: network.name.clone(),
            cidr: network.cidr.to_string(),
            router: network.router.map(|r| r.to_string()).unwrap_or_default(),
            pool_first: network.pool_first.to_string(),
            pool_last: network.pool_last.to_string(),
            lease: network.lease_secs.div_ceil(MINUTE_SECS).to_string(),
            lease_unit_secs: MINUTE_SECS,
            mode: mode_text(network.mode).to_owned(),
        }
    }
}

/// Adds a network, or replaces the one with that id.
pub(crate) async fn put_network(
    inventory: &Inventory,
    by: By<'_>,
    id: NetworkId,
    wish: &NetworkWish,
) -> Answer<Network> {
    let network = wish.parse(id).map_err(Failure::Input)?;
    inventory.put_network(by, &network).await.map_err(|error| match Failure::from(error) {
        Failure::Refused(problem @ Problem::Inventory(_)) => {
            let overlaps = matches!(&problem, Problem::Inventory(text) if text.contains(" overlaps "));
            Failure::field(if overlaps { "cidr" } else { "name" }, problem)
        }
        other => other,
    })?;
    Ok(network)
}

pub(crate) fn mode_text(mode: DhcpMode) -> &'static str {
    match mode {
        DhcpMode::Server => "server",
        DhcpMode::Proxy => "proxy",
        DhcpMode::Off => "off",
    }
}

/// The device, or [`Failure::Gone`].
pub(crate) async fn device(inventory: &Inventory, id: DeviceId) -> Answer<Device> {
    inventory.device(id).await?.ok_or(Failure::Gone)
}

/// The device, if a PC was approved as it: nobody else would ever do its jobs.
async fn approved_device(inventory: &Inventory, id: DeviceId) -> Answer<Device> {
    let device = device(inventory, id).await?;
    match device.key {
        Some(_) => Ok(device),
        None => Err(Failure::Refused(Problem::NotApproved(device.name.to_string()))),
    }
}

fn mode(text: &str) -> Option<DhcpMode> {
    [DhcpMode::Server, DhcpMode::Proxy, DhcpMode::Off].into_iter().find(|mode| mode_text(*mode) == text)
}

fn hostname(text: &str) -> Answer<Hostname> {
    text.parse().map_err(|error| Failure::field("name", Problem::Parse(error)))
}

fn ipv4(text: &str) -> Result<Ipv4Addr, Problem> {
    if text.is_empty() {
        return Err(Problem::Missing);
    }
    text.parse().map_err(|_| Problem::NoAddress(text.chars().take(40).collect()))
}

/// The room of that id or name, added if there is none.
async fn room(inventory: &Inventory, by: By<'_>, text: &str) -> Answer<Room> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::field("room", Problem::Missing));
    }
    let known =
        inventory.rooms().await?.into_iter().find(|room| room.name == text || room.id.to_string() == text);
    match known {
        Some(room) => Ok(room),
        // An id of a room that somebody deleted meanwhile must not become a room of that name.
        None if text.parse::<RoomId>().is_ok() => {
            Err(Failure::field("room", Problem::NoRoom(text.to_owned())))
        }
        None => inventory.create_room(by, text).await.map_err(at("room")),
    }
}

async fn image(inventory: &Inventory, text: &str) -> Answer<Image> {
    let known = inventory
        .images()
        .await?
        .into_iter()
        .find(|image| image.name == text || image.id.to_string() == text);
    known.ok_or_else(|| Failure::field("image", Problem::NoImage(text.chars().take(60).collect())))
}

fn device_in<'d>(devices: &'d [Device], text: &str) -> Answer<&'d Device> {
    let known = devices.iter().find(|d| d.name.as_str() == text || d.id.to_string() == text);
    known.ok_or_else(|| Failure::field("replace", Problem::NoDevice(text.chars().take(60).collect())))
}

/// Hangs a refusal of the inventory on a field.
fn at(field: &'static str) -> impl Fn(inventory::Error) -> Failure {
    move |error| match Failure::from(error) {
        Failure::Refused(problem) => Failure::field(field, problem),
        other => other,
    }
}

fn field_of(problem: &NetworkProblem, network: &Network) -> &'static str {
    match problem {
        NetworkProblem::Text(_) => "cidr",
        NetworkProblem::Outside { address, .. } if network.router == Some(*address) => "router",
        NetworkProblem::Outside { address, .. } if network.pool_first == *address => "pool_first",
        NetworkProblem::Outside { .. } | NetworkProblem::Backwards { .. } => "pool_last",
        NetworkProblem::LeaseLength(_) => "lease",
    }
}

/// People write the length of a lease in minutes.
pub(crate) const MINUTE_SECS: u32 = 60;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wish() -> NetworkWish {
        NetworkWish {
            name: "Lehrer".into(),
            cidr: "10.77.4.0/22".into(),
            router: "10.77.4.1".into(),
            pool_first: "10.77.5.0".into(),
            pool_last: "10.77.7.200".into(),
            lease: "720".into(),
            lease_unit_secs: MINUTE_SECS,
            mode: "server".into(),
        }
    }

    #[test]
    fn a_network_is_read_as_written_and_written_as_read() {
        let network = wish().parse(NetworkId::random()).unwrap();
        assert_eq!(network.lease_secs, 43_200);
        assert_eq!(NetworkWish::of(&network), wish());
    }

    #[test]
    fn every_wrong_field_is_named() {
        let check = |change: &dyn Fn(&mut NetworkWish), fields: &[&str]| {
            let mut wish = wish();
            change(&mut wish);
            let problems = wish.parse(NetworkId::random()).unwrap_err();
            assert_eq!(problems.iter().map(|(f, _)| *f).collect::<Vec<_>>(), fields, "{wish:?}");
        };
        check(&|w| w.cidr = "10.77.4.1/22".into(), &["cidr"]);
        check(&|w| w.router = "10.77.9.1".into(), &["router"]);
        check(&|w| w.router = "x".into(), &["router"]);
        check(&|w| w.pool_first = "10.0.0.1".into(), &["pool_first"]);
        check(&|w| w.pool_last = "10.77.4.9".into(), &["pool_last"]);
        check(&|w| w.lease = "0".into(), &["lease"]);
        check(&|w| w.lease = "99999999".into(), &["lease"]);
        check(&|w| w.mode = "on".into(), &["mode"]);
        check(
            &|w| *w = NetworkWish::default(),
            &["pool_first", "pool_last", "cidr", "name", "lease", "mode"],
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_a_network_panic(texts in proptest::array::uniform7("\\PC{0,50}|[0-9./]{0,20}")) {
            let [name, cidr, router, pool_first, pool_last, lease, mode] = texts;
            let wish = NetworkWish { name, cidr, router, pool_first, pool_last, lease, lease_unit_secs: MINUTE_SECS, mode };
            if let Ok(network) = wish.parse(NetworkId::random()) {
                prop_assert!(network.check().is_ok());
            }
        }
    }
}
