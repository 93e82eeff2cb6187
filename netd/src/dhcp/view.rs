//! What the engine knows of the school: an immutable snapshot, rebuilt when the inventory changes.

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;

use inventory::{Device, DhcpMode, Hostname, MacAddr, Network, NetworkId};

/// An interface, by the number the kernel gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(pub u32);

/// An interface that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its number.
    pub id: LinkId,
    /// Its name.
    pub name: String,
    /// Its hardware address.
    pub mac: MacAddr,
    /// Our addresses there, the preferred one first.
    pub addresses: Vec<Ipv4Addr>,
}

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// DNS zone of the school's devices (option 15).
    pub zone: String,
    /// Port of the plain HTTP server for firmware.
    pub boot_http_port: u16,
    /// Port of DHCP clients, 68.
    pub client_port: u16,
    /// Where devices in guarded networks ask whether they are locked (RFC 8908).
    pub portal: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { zone: "schule.internal".into(), boot_http_port: 8067, client_port: 68, portal: None }
    }
}

/// Something a person should put right.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// What it is about, for example `networks/Lehrer`.
    pub place: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

/// A device of the inventory, seen from one of its cards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) name: Hostname,
    pub(crate) reserved: Option<Ipv4Addr>,
}

/// Networks, cards, reservations and interfaces.
#[derive(Debug, Clone, Default)]
pub struct View {
    pub(crate) settings: Settings,
    pub(crate) networks: Vec<Network>,
    pub(crate) links: HashMap<LinkId, Link>,
    cards: HashMap<MacAddr, Known>,
    /// Addresses no pool may give away: reservations, our own, routers.
    excluded: HashSet<Ipv4Addr>,
    own: HashSet<Ipv4Addr>,
    /// Networks whose devices may be locked.
    guarded: HashSet<NetworkId>,
}

impl View {
    /// Combines what the inventory and the kernel say; also returns what does not fit together. A reservation that cannot
    /// be used is left out, and its card gets an address from the pool.
    #[must_use]
    pub fn new(
        settings: Settings,
        networks: Vec<Network>,
        devices: &[Device],
        links: Vec<Link>,
    ) -> (Self, Vec<Problem>) {
        let own: HashSet<Ipv4Addr> = links.iter().flat_map(|link| link.addresses.iter().copied()).collect();
        let mut problems = Vec::new();
        let routers: HashSet<Ipv4Addr> = networks.iter().filter_map(|network| network.router).collect();
        let mut excluded: HashSet<Ipv4Addr> = own.union(&routers).copied().collect();
        let mut cards = HashMap::new();
        for device in devices {
            for card in &device.interfaces {
                let reserved = card.reserved_ip.filter(|ip| match unusable(*ip, &networks, &own, &routers) {
                    None => true,
                    Some(text) => {
                        problems.push(Problem {
                            place: format!("devices/{}", device.name),
                            text,
                            remedy: "reserve another address for this card, or none".into(),
                        });
                        false
                    }
                });
                excluded.extend(reserved);
                cards.insert(card.mac, Known { name: device.name.clone(), reserved });
            }
        }
        let links = links.into_iter().map(|link| (link.id, link)).collect();
        (Self { settings, networks, links, cards, excluded, own, guarded: HashSet::new() }, problems)
    }

    /// The same where the gate guards these networks.
    #[must_use]
    pub fn guarding(self, guarded: HashSet<NetworkId>) -> Self {
        Self { guarded, ..self }
    }

    /// Where devices of a network ask whether they are locked.
    pub(crate) fn portal(&self, network: &Network) -> Option<&str> {
        self.settings.portal.as_deref().filter(|_| self.guarded.contains(&network.id))
    }

    pub(crate) fn known(&self, mac: MacAddr) -> Option<&Known> {
        self.cards.get(&mac)
    }

    pub(crate) fn is_own(&self, ip: Ipv4Addr) -> bool {
        self.own.contains(&ip)
    }

    pub(crate) fn excluded(&self) -> &HashSet<Ipv4Addr> {
        &self.excluded
    }

    /// The network an address lies in.
    pub(crate) fn network_of(&self, ip: Ipv4Addr) -> Option<&Network> {
        self.networks.iter().find(|network| network.cidr.contains(ip))
    }

    /// Our address on a link that hosts of that network reach directly.
    pub(crate) fn address_in(&self, link: LinkId, network: &Network) -> Option<Ipv4Addr> {
        self.links.get(&link)?.addresses.iter().copied().find(|ip| network.cidr.contains(*ip))
    }
}

fn unusable(
    ip: Ipv4Addr,
    networks: &[Network],
    own: &HashSet<Ipv4Addr>,
    routers: &HashSet<Ipv4Addr>,
) -> Option<String> {
    let Some(network) = networks.iter().find(|network| network.cidr.contains(ip)) else {
        return Some(format!("the reserved address {ip} lies in no network of the school"));
    };
    if !network.cidr.is_host(ip) {
        return Some(format!("the reserved address {ip} is the first or last of {}", network.cidr));
    }
    if own.contains(&ip) {
        return Some(format!("the reserved address {ip} is this server's own"));
    }
    if routers.contains(&ip) {
        return Some(format!("the reserved address {ip} is that of the router"));
    }
    if network.mode == DhcpMode::Proxy {
        return Some(format!(
            "another DHCP server gives the addresses of {}, this one cannot reserve {ip}",
            network.name
        ));
    }
    None
}

#[cfg(test)]
pub(crate) mod tests {
    use inventory::{DeviceId, Interface, InterfaceKind, NetworkId, Observed, Room, RoomId};

    use super::*;

    pub(crate) fn network(name: &str, cidr: &str, first: &str, last: &str) -> Network {
        Network {
            id: NetworkId::random(),
            name: name.into(),
            cidr: cidr.parse().unwrap(),
            router: None,
            pool_first: first.parse().unwrap(),
            pool_last: last.parse().unwrap(),
            lease_secs: 3600,
            mode: DhcpMode::Server,
        }
    }

    pub(crate) fn device(name: &str, mac: &str, reserved: Option<&str>) -> Device {
        Device {
            id: DeviceId::random(),
            name: name.parse().unwrap(),
            room: Room { id: RoomId::random(), name: "Raum 204".into() },
            interfaces: vec![Interface {
                mac: mac.parse().unwrap(),
                kind: InterfaceKind::Lan,
                reserved_ip: reserved.map(|ip| ip.parse().unwrap()),
            }],
            key: None,
            hardware: Default::default(),
            desired_image: None,
            observed: Observed::default(),
            last_seen: None,
        }
    }

    pub(crate) fn link(id: u32, address: &str) -> Link {
        Link {
            id: LinkId(id),
            name: format!("eth{id}"),
            mac: MacAddr([2, 0, 0, 0, 0, 1]),
            addresses: vec![address.parse().unwrap()],
        }
    }

    #[test]
    fn a_reservation_that_cannot_be_used_is_reported_and_costs_only_itself() {
        let mut proxied = network("Proxy", "10.2.0.0/24", "10.2.0.10", "10.2.0.20");
        proxied.mode = DhcpMode::Proxy;
        let mut pcs = network("PCs", "10.1.0.0/24", "10.1.0.10", "10.1.0.20");
        pcs.router = Some([10, 1, 0, 254].into());
        let cases = [
            ("10.1.0.15", None),
            ("10.9.0.1", Some("no network")),
            ("10.1.0.255", Some("first or last")),
            ("10.1.0.1", Some("own")),
            ("10.1.0.254", Some("router")),
            ("10.2.0.15", Some("another DHCP server")),
        ];
        for (ip, expected) in cases {
            let devices = [device("pc01", "52:54:00:00:00:01", Some(ip))];
            let (view, problems) = View::new(
                Settings::default(),
                vec![pcs.clone(), proxied.clone()],
                &devices,
                vec![link(1, "10.1.0.1")],
            );
            let known = view.known("52:54:00:00:00:01".parse().unwrap()).unwrap();
            assert_eq!(known.reserved.is_some(), expected.is_none(), "{ip}");
            assert_eq!(problems.len(), usize::from(expected.is_some()), "{ip}");
            if let Some(expected) = expected {
                assert!(problems[0].text.contains(expected), "{}", problems[0].text);
                assert_eq!(problems[0].place, "devices/pc01");
            }
        }
    }
}
