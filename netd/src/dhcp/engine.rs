//! The DHCP server as a state machine: a packet in, effects out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use dhcproto::v4::{MessageType, OptionCode};
use inventory::{DhcpMode, Lease, LeaseState, MacAddr, Network, UnixMillis};

use super::codec::{DecodeError, Request};
use super::conflict::Probes;
use super::leases::{Book, ClientKey};
use super::proxy;
use super::reply::Reply;
use super::scene::Scene;
use super::view::{LinkId, Problem, View};

/// Which of our ports a packet came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// 67, DHCP.
    Dhcp,
    /// 4011, the boot server of PXE 2.1.
    Proxy,
}

/// Something the engine is told.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// A packet arrived.
    Packet {
        /// On that interface.
        link: LinkId,
        /// At that port.
        port: Port,
        /// From there; unspecified for a client without an address.
        from: SocketAddrV4,
        /// To one of our addresses, or to a broadcast address.
        to: Ipv4Addr,
        /// What UDP carried.
        bytes: &'a [u8],
    },
    /// The inventory or the interfaces changed.
    View(Arc<View>),
    /// What the database says about some leases: at the start, or after it refused one.
    Stored(&'a [Lease]),
    /// An ARP packet says that this card has that address.
    Neighbour {
        /// The address.
        ip: Ipv4Addr,
        /// The card.
        mac: MacAddr,
    },
}

/// Something the caller must do. Effects are carried out in order: whoever sends a reply before the lease before it is
/// durable breaks RFC 2131 section 3.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make the lease durable.
    Record(Lease),
    /// Send the reply.
    Send(Reply),
    /// Ask by ARP who has the address; answers come back as [`Input::Neighbour`].
    Probe {
        /// On that interface.
        link: LinkId,
        /// For that address.
        ip: Ipv4Addr,
    },
    /// The packet was no DHCP request.
    Malformed(DecodeError),
}

/// The state of the DHCP server. Holds no socket and reads no clock.
#[derive(Debug)]
pub struct Engine {
    view: Arc<View>,
    book: Book,
    probes: Probes,
    problems: BTreeMap<String, (i64, Problem)>,
    problems_changed: bool,
}

impl Engine {
    /// An engine that serves nothing until it is told a view. `seed` decides where pools begin to be used.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            view: Arc::default(),
            book: Book::new(seed),
            probes: Probes::default(),
            problems: BTreeMap::new(),
            problems_changed: false,
        }
    }

    /// Takes one input and appends what to do to `effects`.
    pub fn handle(&mut self, now: UnixMillis, input: Input<'_>, effects: &mut Vec<Effect>) {
        match input {
            Input::Packet { link, port, from, to, bytes } => match Request::decode(bytes) {
                Err(error) => effects.push(Effect::Malformed(error)),
                Ok(request) => {
                    let scene = Scene { now, link, port, from, to, request, view: Arc::clone(&self.view) };
                    self.packet(&scene, effects);
                }
            },
            Input::View(view) => {
                let served = view.networks.iter().filter(|n| n.mode == DhcpMode::Server);
                self.book.set_pools(served.map(|n| (n.pool_first, n.pool_last)), view.excluded());
                self.view = view;
            }
            Input::Stored(leases) => leases.iter().for_each(|lease| self.book.learn(now.0, lease)),
            Input::Neighbour { ip, mac } => self.neighbour(now, ip, mac, effects),
        }
    }

    /// What a person should know, if that changed since the last call.
    pub fn take_problems(&mut self, now: UnixMillis) -> Option<Vec<Problem>> {
        let before = self.problems.len();
        self.problems.retain(|_, (until, _)| *until > now.0);
        let changed = std::mem::take(&mut self.problems_changed) || before != self.problems.len();
        changed.then(|| self.problems.values().map(|(_, problem)| problem.clone()).collect())
    }

    fn packet(&mut self, scene: &Scene<'_>, effects: &mut Vec<Effect>) {
        self.book.end_offers(scene.now.0);
        let Some(client) = ClientKey::of(&scene.request) else { return };
        let networks = scene.networks();
        if scene.port == Port::Proxy {
            effects.extend(proxy::boot_server_ack(scene, &networks).map(Effect::Send));
            return;
        }
        match scene.request.kind {
            MessageType::Discover => self.discover(scene, &client, &networks, effects),
            MessageType::Request => self.request(scene, &client, &networks, effects),
            MessageType::Decline => self.decline(scene, &client, &networks, effects),
            MessageType::Release => self.release(scene, &client, effects),
            MessageType::Inform => effects.extend(inform(scene, &networks).map(Effect::Send)),
            _ => {}
        }
    }

    fn discover(
        &mut self,
        scene: &Scene<'_>,
        client: &ClientKey,
        networks: &[&Network],
        effects: &mut Vec<Effect>,
    ) {
        let served: Vec<&Network> =
            networks.iter().copied().filter(|network| network.mode == DhcpMode::Server).collect();
        if served.is_empty() {
            effects.extend(proxy::offer(scene, networks).map(Effect::Send));
            return;
        }
        let Some((network, ip, untested)) = self.choose(scene, client, &served) else {
            self.exhausted(scene.now, &served);
            return;
        };
        let Some(server) = scene.server(network) else { return };
        if scene.request.has(OptionCode::RapidCommit) {
            self.grant(scene, client, network, ip, server, effects);
            return;
        }
        self.book.offer(scene.now.0, ip, client);
        effects.push(Effect::Send(scene.lease_reply(MessageType::Offer, network, ip, server)));
        // Beyond a relay agent nobody hears our ARP.
        if untested && !scene.is_relayed() {
            for ip in [Some(ip), self.book.upcoming(network.pool_first)].into_iter().flatten() {
                if self.probes.begin(scene.now.0, ip) {
                    effects.push(Effect::Probe { link: scene.link, ip });
                }
            }
        }
    }

    /// The address for a client, and whether it comes untested from the pool. In order: its reservation, the address offered
    /// to it, the one it has or had, the one it wishes, any free one.
    fn choose<'n>(
        &mut self,
        scene: &Scene<'_>,
        client: &ClientKey,
        served: &[&'n Network],
    ) -> Option<(&'n Network, Ipv4Addr, bool)> {
        let now = scene.now.0;
        let network_of = |ip: Ipv4Addr| served.iter().copied().find(|n| n.cidr.contains(ip));
        if let Some(ip) = scene.reserved(client)
            && let Some(network) = network_of(ip)
            && self.book.is_free_for(now, ip, client)
        {
            return Some((network, ip, false));
        }
        let fits = |ip: Ipv4Addr| {
            network_of(ip)
                .filter(|n| (n.pool_first..=n.pool_last).contains(&ip) && !self.view.excluded().contains(&ip))
        };
        let offered = self.book.offer_to(now, client);
        let wished = scene.request.address(OptionCode::RequestedIpAddress);
        let had = self
            .book
            .addresses_of(client)
            .max_by_key(|(_, held)| (held.state == LeaseState::Active, held.end));
        let known = offered.into_iter().chain(had.map(|(ip, _)| ip)).find_map(|ip| {
            let network = fits(ip).filter(|_| self.book.is_free_for(now, ip, client))?;
            Some((network, ip, false))
        });
        if known.is_some() {
            return known;
        }
        // The newest lease may lie in a network that the client left; an older one may lie here.
        let elsewhere = self.book.addresses_of(client).find_map(|(ip, _)| {
            let network = fits(ip).filter(|_| self.book.is_free_for(now, ip, client))?;
            Some((network, ip, false))
        });
        if elsewhere.is_some() {
            return elsewhere;
        }
        if let Some(ip) = wished
            && let Some(network) = fits(ip)
            && self.book.is_free_for(now, ip, client)
        {
            return Some((network, ip, true));
        }
        served.iter().find_map(|network| Some((*network, self.book.find(now, network.pool_first)?, true)))
    }

    /// RFC 2131 section 4.3.2: which of the four states the client is in follows from what its REQUEST names.
    fn request(
        &mut self,
        scene: &Scene<'_>,
        client: &ClientKey,
        networks: &[&Network],
        effects: &mut Vec<Effect>,
    ) {
        let request = &scene.request;
        let wished = request.address(OptionCode::RequestedIpAddress);
        if request.has(OptionCode::ServerIdentifier) {
            // SELECTING. The identifier tells whose offer was taken.
            let named = request.address(OptionCode::ServerIdentifier);
            if !named.is_some_and(|server| scene.is_own_identifier(server)) {
                self.book.withdraw_from(client);
                return;
            }
        }
        let has_address = !request.ciaddr.is_unspecified();
        let Some(ip) = wished.or(has_address.then_some(request.ciaddr)) else { return };
        let Some(network) = networks.iter().copied().find(|network| network.cidr.contains(ip)) else {
            // INIT-REBOOT or REBINDING in a network that this address does not belong to: the client has moved. Only a
            // network that we serve is ours to say so for, and a router that forwards unicasts says nothing about the link.
            if let Some(here) = networks.iter().copied().find(|n| n.mode == DhcpMode::Server)
                && !scene.is_unicast()
            {
                effects.extend(scene.refuse(here, "the address belongs to another network"));
            }
            return;
        };
        if network.mode != DhcpMode::Server {
            return;
        }
        match self.objection(scene, client, network, ip) {
            Some(reason) => {
                self.book.withdraw_from(client);
                effects.extend(scene.refuse(network, reason));
            }
            None => {
                let Some(server) = scene.server(network) else { return };
                self.grant(scene, client, network, ip, server, effects);
            }
        }
    }

    /// Why a client may not have an address.
    fn objection(
        &self,
        scene: &Scene<'_>,
        client: &ClientKey,
        network: &Network,
        ip: Ipv4Addr,
    ) -> Option<&'static str> {
        let now = scene.now.0;
        let reserved = scene.reserved(client);
        if !self.book.is_free_for(now, ip, client) {
            return Some("the address belongs to another client");
        }
        if reserved == Some(ip) {
            return None;
        }
        if let Some(reserved) = reserved
            && network.cidr.contains(reserved)
            && self.book.is_free_for(now, reserved, client)
        {
            return Some("another address is reserved for this client");
        }
        if self.view.excluded().contains(&ip) {
            return Some("the address is reserved");
        }
        if !(network.pool_first..=network.pool_last).contains(&ip) {
            return Some("the address is not one that this server gives");
        }
        None
    }

    /// Records the lease, then acknowledges it. Other addresses of the client in the same network are given back: one
    /// device keeps one address.
    fn grant(
        &mut self,
        scene: &Scene<'_>,
        client: &ClientKey,
        network: &Network,
        ip: Ipv4Addr,
        server: Ipv4Addr,
        effects: &mut Vec<Effect>,
    ) {
        let now = scene.now;
        let others: Vec<Ipv4Addr> = self
            .book
            .addresses_of(client)
            .filter(|(other, held)| {
                *other != ip
                    && network.cidr.contains(*other)
                    && held.state == LeaseState::Active
                    && held.end > now.0
            })
            .map(|(other, _)| other)
            .collect();
        for other in others {
            self.book.set(other, client, LeaseState::Released, now);
            effects.push(Effect::Record(lease(client, other, LeaseState::Released, now)));
        }
        let end = now.plus_secs(scene.lease_secs(network).into());
        // From here on the client checks for itself (RFC 2131 section 4.4.1), and declines.
        self.probes.end(ip);
        self.book.withdraw_from(client);
        self.book.set(ip, client, LeaseState::Active, end);
        if self.problems.remove(&pool_place(network)).is_some() {
            self.problems_changed = true;
        }
        let hostname = scene.request.hostname();
        effects.push(Effect::Record(Lease { hostname, ..lease(client, ip, LeaseState::Active, end) }));
        effects.push(Effect::Send(scene.lease_reply(MessageType::Ack, network, ip, server)));
    }

    /// RFC 2131 section 4.3.3: the client found the address in use.
    fn decline(
        &mut self,
        scene: &Scene<'_>,
        client: &ClientKey,
        networks: &[&Network],
        effects: &mut Vec<Effect>,
    ) {
        let Some(ip) = scene.request.address(OptionCode::RequestedIpAddress) else { return };
        let named = scene.request.address(OptionCode::ServerIdentifier);
        let ours = named.is_some_and(|server| scene.is_own_identifier(server))
            && networks.iter().any(|network| network.cidr.contains(ip));
        if ours
            && (self.book.holds(scene.now.0, ip, client)
                || self.book.offer_to(scene.now.0, client) == Some(ip))
        {
            self.quarantine(scene.now, ip, client, "its client found it in use", effects);
        }
    }

    fn release(&mut self, scene: &Scene<'_>, client: &ClientKey, effects: &mut Vec<Effect>) {
        let ip = scene.request.ciaddr;
        if self.book.holds(scene.now.0, ip, client) {
            self.book.set(ip, client, LeaseState::Released, scene.now);
            effects.push(Effect::Record(lease(client, ip, LeaseState::Released, scene.now)));
        }
    }

    /// Somebody answered a probe.
    fn neighbour(&mut self, now: UnixMillis, ip: Ipv4Addr, mac: MacAddr, effects: &mut Vec<Effect>) {
        if !self.probes.awaits(now.0, ip) || self.view.is_own(ip) {
            return;
        }
        let card = ClientKey::Card(mac);
        let held = self.book.held(ip);
        let expected = self.book.offered(ip).or(held.map(|held| &held.client));
        // Acknowledged by another server on the same database meanwhile.
        let given = held.is_some_and(|held| held.state == LeaseState::Active && held.end > now.0);
        if given || expected == Some(&card) {
            return;
        }
        self.probes.end(ip);
        self.quarantine(now, ip, &card, &format!("the card {mac} uses it without a lease"), effects);
    }

    /// Takes an address out of use for a day.
    fn quarantine(
        &mut self,
        now: UnixMillis,
        ip: Ipv4Addr,
        client: &ClientKey,
        reason: &str,
        effects: &mut Vec<Effect>,
    ) {
        let end = now.plus_secs(PROBATION_SECS);
        self.book.set(ip, client, LeaseState::Declined, end);
        effects.push(Effect::Record(lease(client, ip, LeaseState::Declined, end)));
        let name =
            self.view.network_of(ip).map_or_else(String::new, |network| format!(" of {}", network.name));
        self.note(end, Problem {
            place: format!("conflict/{ip}"),
            text: format!("the address {ip}{name} is not given out for a day: {reason}"),
            remedy: "give that machine an address outside the pool, or add it as a device with this address reserved".into(),
        });
    }

    fn exhausted(&mut self, now: UnixMillis, served: &[&Network]) {
        for network in served {
            self.note(
                now.plus_secs(EXHAUSTED_SECS),
                Problem {
                    place: pool_place(network),
                    text: format!(
                        "no address is free in the pool {} to {}; new devices get none",
                        network.pool_first, network.pool_last
                    ),
                    remedy:
                        "enlarge the pool, shorten the lease time, or remove devices that do not belong there"
                            .into(),
                },
            );
        }
    }

    fn note(&mut self, until: UnixMillis, problem: Problem) {
        if self.problems.len() >= PROBLEMS_MAX && !self.problems.contains_key(&problem.place) {
            return;
        }
        let known = self.problems.insert(problem.place.clone(), (until.0, problem.clone()));
        self.problems_changed |= known.is_none_or(|(_, before)| before != problem);
    }

    /// All leases that run, for tests.
    #[cfg(test)]
    pub(super) fn live(&self, now: UnixMillis) -> Vec<(Ipv4Addr, ClientKey)> {
        self.book.live(now.0)
    }
}

/// RFC 2131 section 4.3.5: everything but an address and a time.
fn inform(scene: &Scene<'_>, networks: &[&Network]) -> Option<Reply> {
    let ip = scene.request.ciaddr;
    let network = networks.iter().copied().find(|network| network.mode == DhcpMode::Server)?;
    if !network.cidr.is_host(ip) {
        return None;
    }
    let server = scene.server(network)?;
    Some(scene.reply(MessageType::Ack, network, Ipv4Addr::UNSPECIFIED, server, Vec::new()))
}

fn lease(client: &ClientKey, ip: Ipv4Addr, state: LeaseState, expires_at: UnixMillis) -> Lease {
    Lease { ip, client: client.to_string(), mac: client.stored_mac(), hostname: None, state, expires_at }
}

fn pool_place(network: &Network) -> String {
    format!("pool/{}", network.name)
}

/// RFC 2131 leaves the time open; a day is long enough for somebody to read the notice.
const PROBATION_SECS: u64 = 86_400;
/// How long the notice of a full pool stays after the last client went away empty.
const EXHAUSTED_SECS: u64 = 600;
const PROBLEMS_MAX: usize = 100;
