//! One packet in its surroundings: which networks it concerns, how we are called there, where answers go.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use dhcproto::v4::{DhcpOption, MessageType, OptionCode};
use inventory::{Network, UnixMillis};

use super::boot::BootFile;
use super::codec::Request;
use super::engine::{Effect, Port};
use super::leases::ClientKey;
use super::options;
use super::reply::{Destination, Draft, Reply};
use super::view::{LinkId, View};

/// One packet in its surroundings.
pub(super) struct Scene<'p> {
    pub(super) now: UnixMillis,
    pub(super) link: LinkId,
    pub(super) port: Port,
    pub(super) from: SocketAddrV4,
    pub(super) to: Ipv4Addr,
    pub(super) request: Request<'p>,
    pub(super) view: Arc<View>,
}

impl Scene<'_> {
    pub(super) fn is_relayed(&self) -> bool {
        !self.request.giaddr.is_unspecified()
    }

    pub(super) fn is_unicast(&self) -> bool {
        !self.is_relayed() && self.view.is_own(self.to)
    }

    /// The networks the client may be in. A relay agent names one, by its own address or by an option; a client that already
    /// has an address and reaches us by unicast names one by that; else all networks of the interface.
    pub(super) fn networks(&self) -> Vec<&Network> {
        let request = &self.request;
        let named = if self.is_relayed() {
            let link = request.relay_address(LINK_SELECTION);
            Some(link.or(request.address(OptionCode::SubnetSelection)).unwrap_or(request.giaddr))
        } else if self.is_unicast() && !request.ciaddr.is_unspecified() {
            Some(request.ciaddr)
        } else {
            request.address(OptionCode::SubnetSelection)
        };
        match named {
            Some(ip) => self.view.network_of(ip).into_iter().collect(),
            None => {
                let here = |network: &&Network| self.view.address_in(self.link, network).is_some();
                self.view.networks.iter().filter(here).collect()
            }
        }
    }

    /// The address by which clients of a network name us: ours in their network, or the one that was asked.
    pub(super) fn server(&self, network: &Network) -> Option<Ipv4Addr> {
        let here = (!self.is_relayed()).then(|| self.view.address_in(self.link, network)).flatten();
        let asked = || self.view.is_own(self.to).then_some(self.to);
        let first = || self.view.links.get(&self.link)?.addresses.first().copied();
        here.or_else(asked).or_else(first)
    }

    /// RFC 5107: a relay agent may want to be named as the server, so that renewals pass it too.
    pub(super) fn identifier(&self, server: Ipv4Addr) -> Ipv4Addr {
        self.server_override().unwrap_or(server)
    }

    pub(super) fn server_override(&self) -> Option<Ipv4Addr> {
        self.is_relayed().then(|| self.request.relay_address(SERVER_OVERRIDE)).flatten()
    }

    pub(super) fn is_own_identifier(&self, named: Ipv4Addr) -> bool {
        self.view.is_own(named) || self.server_override() == Some(named)
    }

    pub(super) fn reserved(&self, client: &ClientKey) -> Option<Ipv4Addr> {
        match client {
            ClientKey::Card(mac) => self.view.known(*mac)?.reserved,
            ClientKey::Text(_) => None,
        }
    }

    /// A client may wish for less time than the network's, not for more.
    pub(super) fn lease_secs(&self, network: &Network) -> u32 {
        let wished = self.request.number(OptionCode::AddressLeaseTime).unwrap_or(u32::MAX);
        wished.clamp(LEASE_SECS_MIN.min(network.lease_secs), network.lease_secs)
    }

    pub(super) fn lease_reply(
        &self,
        kind: MessageType,
        network: &Network,
        ip: Ipv4Addr,
        server: Ipv4Addr,
    ) -> Reply {
        let mut options: Vec<DhcpOption> = options::of_lease(self.lease_secs(network)).into();
        if kind == MessageType::Ack && self.request.kind == MessageType::Discover {
            options.push(DhcpOption::RapidCommit);
        }
        self.reply(kind, network, ip, server, options)
    }

    pub(super) fn reply(
        &self,
        kind: MessageType,
        network: &Network,
        yiaddr: Ipv4Addr,
        server: Ipv4Addr,
        mut options: Vec<DhcpOption>,
    ) -> Reply {
        let request = &self.request;
        let known = request.mac().and_then(|mac| self.view.known(mac));
        let boot = BootFile::of(request, server, self.view.settings.boot_http_port);
        options.extend(options::of_network(request, &self.view.settings, network, server, known));
        options.extend(boot.iter().flat_map(|boot| boot.options(request, false)));
        options.extend(options::of_portal(request, self.view.portal(network)));
        self.send(kind, yiaddr, server, boot.as_ref(), options)
    }

    pub(super) fn send(
        &self,
        kind: MessageType,
        yiaddr: Ipv4Addr,
        server: Ipv4Addr,
        boot: Option<&BootFile>,
        options: Vec<DhcpOption>,
    ) -> Reply {
        let draft = Draft {
            request: &self.request,
            kind,
            yiaddr,
            siaddr: boot.map_or(Ipv4Addr::UNSPECIFIED, |boot| boot.server),
            server_id: self.identifier(server),
            file: boot.map(|boot| boot.file.as_str()),
            options,
        };
        Reply {
            link: self.link,
            source: server,
            port: self.port,
            to: self.destination(kind, yiaddr),
            bytes: draft.encode(),
        }
    }

    pub(super) fn refuse(&self, network: &Network, reason: &str) -> Option<Effect> {
        let server = self.server(network)?;
        let options = vec![DhcpOption::Message(reason.into())];
        Some(Effect::Send(self.send(MessageType::Nak, Ipv4Addr::UNSPECIFIED, server, None, options)))
    }

    /// RFC 2131 section 4.1.
    pub(super) fn destination(&self, kind: MessageType, yiaddr: Ipv4Addr) -> Destination {
        let request = &self.request;
        if self.is_relayed() {
            return Destination::Relay(request.giaddr);
        }
        // Only an address that the answer is about: anybody can write another's into a DISCOVER.
        let renews = kind == MessageType::Ack && !request.ciaddr.is_unspecified();
        if renews && (request.ciaddr == yiaddr || request.kind == MessageType::Inform) {
            return Destination::Client(request.ciaddr, self.view.settings.client_port);
        }
        match request.mac() {
            Some(mac)
                if kind != MessageType::Nak && !request.wants_broadcast() && !yiaddr.is_unspecified() =>
            {
                Destination::Card(mac, yiaddr)
            }
            _ => Destination::Broadcast,
        }
    }
}

const LEASE_SECS_MIN: u32 = 60;
/// Sub-options of option 82.
const LINK_SELECTION: u8 = 5;
const SERVER_OVERRIDE: u8 = 11;
