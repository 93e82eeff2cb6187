//! What the school's zones hold: made from the inventory, from nothing else.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use hickory_server::proto::ProtoError;
use hickory_server::proto::rr::rdata::{A, NS, PTR, SOA};
use hickory_server::proto::rr::{Name, RData, Record};
use inventory::{Cidr, Device, Hostname, Lease, LeaseState, MacAddr, Network, UnixMillis};

use super::special;
use super::table::{Below, NEGATIVE_TTL_SECS, Table};

/// Everything that the zones are made from.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    /// The school's zone.
    pub(crate) zone: Name,
    /// Names of this server; the first is the one that SOA and NS records give.
    pub(crate) own_names: Vec<Hostname>,
    /// Addresses of this server.
    pub(crate) own_addresses: Vec<Ipv4Addr>,
    /// The server's name for strangers, outside of the zone.
    pub(crate) portal: Option<Name>,
    /// The school's networks.
    pub(crate) networks: Vec<Network>,
    /// The managed devices.
    pub(crate) devices: Vec<Device>,
    /// All leases, also those that ended.
    pub(crate) leases: Vec<Lease>,
    /// Number of the newest change of the inventory.
    pub(crate) revision: i64,
}

/// Who holds a name that no device and no person owns, so that the next to claim it does not get it.
pub(crate) type Guests = HashMap<Hostname, MacAddr>;

/// Makes the table. `guests` are those of the table before; the new ones are returned.
pub(crate) fn build(facts: &Facts, guests: &Guests, now: UnixMillis) -> Result<(Table, Guests), ProtoError> {
    let mut table = Table::new(facts.networks.iter().map(|network| network.cidr).collect());
    let server = match facts.own_names.first() {
        Some(name) => facts.zone.prepend_label(name.as_str())?,
        None => facts.zone.clone(),
    };
    let soa = |zone: &Name| -> Result<SOA, ProtoError> {
        let contact = zone.prepend_label("hostmaster").unwrap_or_else(|_| zone.clone());
        // Serial numbers are compared modulo 2^32 (RFC 1982), so the lowest bits of the revision are enough.
        let serial = u32::try_from(facts.revision & 0xffff_ffff).unwrap_or_default();
        Ok(SOA::new(server.clone(), contact, serial, 3600, 600, 86_400, NEGATIVE_TTL_SECS))
    };
    let reverse = facts.networks.iter().flat_map(|network| reverse_zones(network.cidr));
    for name in std::iter::once(facts.zone.clone()).chain(reverse) {
        table.add_zone(&name, soa(&name)?, Below::Nothing)?;
        table.add(record(&name, RData::NS(NS(server.clone()))))?;
    }
    let mut zones = Zones { table: &mut table, forward: &facts.zone };

    let addresses = addresses(facts, now);
    let mut taken: HashSet<&Hostname> = HashSet::new();
    for (number, name) in facts.own_names.iter().enumerate() {
        taken.insert(name);
        // An address leads back to one name (RFC 1912 section 2.1).
        zones.host(name, facts.own_addresses.iter().copied(), number == 0)?;
    }
    for device in &facts.devices {
        // Our own names are ours, even when somebody calls a device so.
        if taken.insert(&device.name) {
            let of_device = device.interfaces.iter().filter_map(|card| addresses.get(&card.mac).copied());
            zones.host(&device.name, of_device, true)?;
        }
    }
    let guests = unmanaged(facts, guests, &taken, now);
    for lease in active(&facts.leases, now) {
        if let Some(name) = &lease.hostname
            && guests.get(name) == Some(&lease.mac)
        {
            zones.host(name, [lease.ip], true)?;
        }
    }
    if let Some(portal) = &facts.portal {
        // It has to be found by devices that are locked, and many forwarders do not give private addresses for names of the world
        // (DNS rebinding). Nothing else about its domain is ours.
        table.add_zone(portal, soa(portal)?, Below::Elsewhere)?;
        for ip in &facts.own_addresses {
            table.add(record(portal, RData::A(A(*ip))))?;
        }
    }
    special::add_to(&mut table)?;
    Ok((table, guests))
}

struct Zones<'t> {
    table: &'t mut Table,
    forward: &'t Name,
}

impl Zones<'_> {
    /// Adds a host with its addresses, and if wanted the way back.
    fn host(
        &mut self,
        name: &Hostname,
        addresses: impl IntoIterator<Item = Ipv4Addr>,
        reverse: bool,
    ) -> Result<(), ProtoError> {
        let host = self.forward.prepend_label(name.as_str())?;
        for ip in addresses {
            self.table.add(record(&host, RData::A(A(ip))))?;
            if reverse {
                // An address outside of our networks has no reverse zone of ours and is left out there.
                self.table.add(record(&Name::from(ip), RData::PTR(PTR(host.clone()))))?;
            }
        }
        Ok(())
    }
}

fn record(owner: &Name, data: RData) -> Record {
    Record::from_rdata(owner.clone(), TTL_SECS, data)
}

/// The address of each card: the lease that runs longest, or else the reserved one.
fn addresses(facts: &Facts, now: UnixMillis) -> HashMap<MacAddr, Ipv4Addr> {
    let mut leased: HashMap<MacAddr, &Lease> = HashMap::new();
    for lease in active(&facts.leases, now) {
        let held = leased.entry(lease.mac).or_insert(lease);
        if lease.expires_at > held.expires_at {
            *held = lease;
        }
    }
    let reserved = facts.devices.iter().flat_map(|device| &device.interfaces);
    let mut addresses: HashMap<MacAddr, Ipv4Addr> =
        reserved.filter_map(|card| Some((card.mac, card.reserved_ip?))).collect();
    addresses.extend(leased.into_iter().map(|(mac, lease)| (mac, lease.ip)));
    addresses
}

/// Which unmanaged client holds which name. A name goes to one client, and stays with it as long as its lease runs.
fn unmanaged(facts: &Facts, before: &Guests, taken: &HashSet<&Hostname>, now: UnixMillis) -> Guests {
    let managed: HashSet<MacAddr> =
        facts.devices.iter().flat_map(|device| device.interfaces.iter().map(|card| card.mac)).collect();
    let mut guests = Guests::new();
    for lease in active(&facts.leases, now) {
        let Some(name) = &lease.hostname else { continue };
        if managed.contains(&lease.mac) || taken.contains(name) || TRUSTED_NAMES.contains(&name.as_str()) {
            continue;
        }
        match guests.get(name) {
            None => drop(guests.insert(name.clone(), lease.mac)),
            Some(_) if before.get(name) == Some(&lease.mac) => drop(guests.insert(name.clone(), lease.mac)),
            Some(_) => {}
        }
    }
    guests
}

fn active(leases: &[Lease], now: UnixMillis) -> impl Iterator<Item = &Lease> {
    leases.iter().filter(move |lease| lease.state == LeaseState::Active && lease.expires_at > now)
}

/// The zones of a network's addresses: as many whole octets as it has. A network smaller than 256 addresses takes the zone of
/// all 256 if they are private, since nobody else can know about them, and a zone per address otherwise.
fn reverse_zones(network: Cidr) -> Vec<Name> {
    let octets = match network.prefix() {
        0..=8 => 1,
        9..=16 => 2,
        17..=24 => 3,
        _ if network.network().is_private() => 3,
        _ => 4,
    };
    let step = 1_u64 << (32 - 8 * octets);
    let first = u64::from(u32::from(network.network())) / step * step;
    let last = u64::from(u32::from(network.broadcast()));
    let mut zones = Vec::new();
    let mut at = first;
    while at <= last {
        if let Ok(address) = u32::try_from(at) {
            zones.push(Name::from(Ipv4Addr::from(address)).trim_to(octets + 2));
        }
        at += step;
    }
    zones
}

/// How long clients may remember an address. A PC that moves is found again after this.
const TTL_SECS: u32 = 60;
/// Names that programs trust without being told to: whoever gets an address for `wpad` becomes the proxy of every browser that
/// looks for one. An unmanaged client does not get them by calling itself so.
const TRUSTED_NAMES: [&str; 9] =
    ["wpad", "isatap", "localhost", "proxy", "autodiscover", "autoconfig", "kerberos", "ldap", "ns"];

#[cfg(test)]
mod tests;
