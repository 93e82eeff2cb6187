//! Conversations with the engine, packet by packet.

mod clients;
mod faults;
mod networks;
mod properties;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use dhcproto::v4::MessageType;
use inventory::{Device, Lease, LeaseState, Network, UnixMillis};

use super::codec::MAGIC_COOKIE;
use super::view::tests::{link, network};
use super::{Destination, Effect, Engine, Input, Link, LinkId, Port, Reply, Settings, View};

pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const NOBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);

/// A school with a clock.
pub(super) struct School {
    pub(super) engine: Engine,
    pub(super) now: UnixMillis,
}

/// A pool of three addresses, 10.1.0.10 to 10.1.0.12, and nothing else.
pub(super) fn pcs() -> Network {
    network("PCs", "10.1.0.0/24", "10.1.0.10", "10.1.0.12")
}

impl School {
    pub(super) fn new(networks: Vec<Network>, devices: &[Device]) -> Self {
        let mut school = Self { engine: Engine::new(0), now: UnixMillis(1_000_000) };
        school.view(networks, devices, vec![link(1, "10.1.0.1")]);
        school
    }

    pub(super) fn view(&mut self, networks: Vec<Network>, devices: &[Device], links: Vec<Link>) {
        let (view, _) = View::new(Settings::default(), networks, devices, links);
        self.engine.handle(self.now, Input::View(Arc::new(view)), &mut Vec::new());
    }

    pub(super) fn pass(&mut self, secs: u64) {
        self.now = self.now.plus_secs(secs);
    }

    /// All effects of a packet on link 1.
    pub(super) fn hear(&mut self, ask: &Ask) -> Vec<Effect> {
        let mut effects = Vec::new();
        let bytes = ask.bytes();
        let input =
            Input::Packet { link: LinkId(1), port: ask.port, from: ask.from, to: ask.to, bytes: &bytes };
        self.engine.handle(self.now, input, &mut effects);
        effects
    }

    /// The one reply to a packet.
    pub(super) fn ask(&mut self, ask: &Ask) -> Option<Answer> {
        let mut replies: Vec<Reply> = self
            .hear(ask)
            .into_iter()
            .filter_map(|effect| match effect {
                Effect::Send(reply) => Some(reply),
                _ => None,
            })
            .collect();
        assert!(replies.len() <= 1, "{replies:?}");
        replies.pop().map(Answer)
    }

    /// DISCOVER and REQUEST of a card; the address it got.
    pub(super) fn lease(&mut self, card: u8) -> Ipv4Addr {
        let offer = self.ask(&Ask::discover(card)).expect("an offer");
        let ack = self.ask(&Ask::select(card, offer.yiaddr())).expect("an answer");
        assert_eq!(ack.kind(), MessageType::Ack);
        assert_eq!(ack.yiaddr(), offer.yiaddr());
        ack.yiaddr()
    }
}

/// A packet of a client.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) card: [u8; 6],
    pub(super) ciaddr: Ipv4Addr,
    pub(super) giaddr: Ipv4Addr,
    pub(super) flags: u16,
    pub(super) to: Ipv4Addr,
    pub(super) from: SocketAddrV4,
    pub(super) port: Port,
    pub(super) options: Vec<u8>,
}

impl Ask {
    pub(super) fn new(kind: MessageType, card: u8) -> Self {
        Self {
            card: [0x52, 0x54, 0, 0, 0, card],
            ciaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            flags: 0,
            to: Ipv4Addr::BROADCAST,
            from: NOBODY,
            port: Port::Dhcp,
            options: vec![53, 1, kind.into()],
        }
    }

    pub(super) fn discover(card: u8) -> Self {
        Self::new(MessageType::Discover, card)
    }

    /// SELECTING: takes our offer.
    pub(super) fn select(card: u8, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Request, card).option(50, &ip.octets()).option(54, &SERVER.octets())
    }

    /// INIT-REBOOT: knows its address from before.
    pub(super) fn reboot(card: u8, ip: Ipv4Addr) -> Self {
        Self::new(MessageType::Request, card).option(50, &ip.octets())
    }

    /// RENEWING: speaks to us directly.
    pub(super) fn renew(card: u8, ip: Ipv4Addr) -> Self {
        Self { ciaddr: ip, to: SERVER, ..Self::new(MessageType::Request, card) }
    }

    /// REBINDING: speaks to everybody.
    pub(super) fn rebind(card: u8, ip: Ipv4Addr) -> Self {
        Self { ciaddr: ip, ..Self::new(MessageType::Request, card) }
    }

    /// Through a relay agent with that address.
    pub(super) fn via(self, giaddr: [u8; 4]) -> Self {
        Self { giaddr: giaddr.into(), to: SERVER, from: SocketAddrV4::new(giaddr.into(), 67), ..self }
    }

    pub(super) fn option(mut self, code: u8, value: &[u8]) -> Self {
        self.options.extend([code, u8::try_from(value.len()).unwrap()]);
        self.options.extend(value);
        self
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut p = vec![1, 1, 6, 0, 9, 9, 9, 9, 0, 0];
        p.extend(self.flags.to_be_bytes());
        p.extend(self.ciaddr.octets());
        p.extend([0; 8]);
        p.extend(self.giaddr.octets());
        p.extend(self.card);
        p.extend([0; 10 + 64 + 128]);
        p.extend(MAGIC_COOKIE);
        p.extend(&self.options);
        p.push(255);
        p
    }
}

/// A reply, read with dhcproto, which did not write its fixed part's addresses by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer(pub(super) Reply);

impl Answer {
    pub(super) fn option(&self, wanted: u8) -> Option<Vec<u8>> {
        let mut rest = &self.0.bytes[240..];
        while let [code, tail @ ..] = rest {
            if *code == 255 {
                return None;
            }
            let (value, tail) = tail[1..].split_at(usize::from(tail[0]));
            if *code == wanted {
                return Some(value.to_vec());
            }
            rest = tail;
        }
        None
    }

    pub(super) fn kind(&self) -> MessageType {
        self.option(53).unwrap()[0].into()
    }

    pub(super) fn yiaddr(&self) -> Ipv4Addr {
        <[u8; 4]>::try_from(&self.0.bytes[16..20]).unwrap().into()
    }

    pub(super) fn siaddr(&self) -> Ipv4Addr {
        <[u8; 4]>::try_from(&self.0.bytes[20..24]).unwrap().into()
    }

    pub(super) fn file(&self) -> String {
        String::from_utf8(self.0.bytes[108..236].iter().copied().take_while(|b| *b != 0).collect()).unwrap()
    }

    pub(super) fn to(&self) -> Destination {
        self.0.to
    }
}

/// The leases an input recorded.
pub(super) fn recorded(effects: &[Effect]) -> Vec<&Lease> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Record(lease) => Some(lease),
            _ => None,
        })
        .collect()
}

pub(super) fn stored(ip: Ipv4Addr, card: u8, state: LeaseState, end: UnixMillis) -> Lease {
    let mac = inventory::MacAddr([0x52, 0x54, 0, 0, 0, card]);
    Lease { ip, client: mac.to_string(), mac, hostname: None, state, expires_at: end }
}
