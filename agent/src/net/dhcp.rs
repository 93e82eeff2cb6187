//! A DHCP client without a socket and without a clock.
//!
//! | Standard           | What is done here                                                     |
//! |--------------------|-----------------------------------------------------------------------|
//! | RFC 2131           | DISCOVER, OFFER, REQUEST, ACK, NAK, renewing, rebinding, back-off      |
//! | RFC 2132           | subnet mask, router, lease, renewal and rebinding times, server id     |
//! | RFC 3442           | not done: a PC in a school has one way out                             |
//! | RFC 2131, 2.2      | the probe for a used address is not done; the server checks            |
//!
//! A [`Client`] is told what happened and answers with [`Effect`]s. Messages are written with `dhcproto`; answers are read
//! by a parser of our own that cannot panic and does not mind an option that it does not know.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use dhcproto::v4::{DhcpOption, Flags, Message, MessageType, Opcode, OptionCode};
use dhcproto::{Encodable, Encoder};

/// What the caller must do now, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send this to port 67 of everybody on the link.
    Broadcast(Vec<u8>),
    /// Send this to port 67 of the server.
    Unicast(Ipv4Addr, Vec<u8>),
    /// The card has this address from here on.
    Configure(Lease),
    /// The card has no address any more.
    Deconfigure,
}

/// An address and what belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Our address.
    pub address: Ipv4Addr,
    /// Length of the network prefix.
    pub prefix: u8,
    /// The way out, if there is one.
    pub router: Option<Ipv4Addr>,
    /// Who gave it.
    pub server: Ipv4Addr,
    /// Until when the address is ours.
    duration: Duration,
    renew_after: Duration,
    rebind_after: Duration,
}

/// The DHCP client of one card.
#[derive(Debug)]
pub struct Client {
    mac: [u8; 6],
    xid: u32,
    state: State,
    /// When [`Client::timeout`] is to be called.
    due: Instant,
    attempt: u32,
    began: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Selecting,
    Requesting(Lease),
    Bound { lease: Lease, since: Instant },
    Renewing { lease: Lease, since: Instant },
    Rebinding { lease: Lease, since: Instant },
}

impl Client {
    /// A client that has no address. `xid` must be random.
    pub fn new(mac: [u8; 6], xid: u32, now: Instant) -> Client {
        Client { mac, xid, state: State::Selecting, due: now, attempt: 0, began: now }
    }

    /// When to call [`Client::timeout`].
    pub fn next_timeout(&self) -> Instant {
        self.due
    }

    /// Time has come.
    pub fn timeout(&mut self, now: Instant) -> Vec<Effect> {
        if now < self.due {
            return Vec::new();
        }
        match self.state {
            State::Selecting => {
                self.due = now + self.back_off();
                vec![Effect::Broadcast(self.message(now, MessageType::Discover, None, None))]
            }
            // RFC 2131 section 3.1.5: start over when the request stays without an answer.
            State::Requesting(_) if self.attempt >= REQUESTS_MAX => self.start_over(now, false),
            State::Requesting(lease) => {
                self.due = now + self.back_off();
                vec![Effect::Broadcast(self.request_selected(now, &lease))]
            }
            State::Bound { lease, since } => {
                self.state = State::Renewing { lease, since };
                self.began = now;
                self.refresh(now, lease, since)
            }
            State::Renewing { lease, since } | State::Rebinding { lease, since } => {
                self.refresh(now, lease, since)
            }
        }
    }

    /// A datagram came to port 68. What is not for us is ignored.
    pub fn handle(&mut self, now: Instant, datagram: &[u8]) -> Vec<Effect> {
        let Some(reply) = Reply::parse(datagram).filter(|r| r.xid == self.xid && r.mac == self.mac) else {
            return Vec::new();
        };
        match (self.state, reply.kind) {
            (State::Selecting, OFFER) => {
                let Some(lease) = reply.lease() else { return Vec::new() };
                self.state = State::Requesting(lease);
                self.attempt = 0;
                self.due = now + self.back_off();
                vec![Effect::Broadcast(self.request_selected(now, &lease))]
            }
            (State::Requesting(asked), ACK) => self.bind(now, &reply, asked.address),
            (State::Renewing { lease, .. } | State::Rebinding { lease, .. }, ACK) => {
                self.bind(now, &reply, lease.address)
            }
            (State::Requesting(asked), NAK) if reply.server == Some(asked.server) => {
                self.start_over(now, false)
            }
            (State::Renewing { .. } | State::Rebinding { .. }, NAK) => self.start_over(now, true),
            _ => Vec::new(),
        }
    }

    /// The cable was pulled or the card went away: whatever network comes next must be asked again.
    pub fn link_lost(&mut self, now: Instant) -> Vec<Effect> {
        let had_address = self.address().is_some();
        self.start_over(now, had_address)
    }

    /// The address, while there is one.
    pub fn address(&self) -> Option<Ipv4Addr> {
        match self.state {
            State::Bound { lease, .. } | State::Renewing { lease, .. } | State::Rebinding { lease, .. } => {
                Some(lease.address)
            }
            State::Selecting | State::Requesting(_) => None,
        }
    }

    fn bind(&mut self, now: Instant, reply: &Reply, address: Ipv4Addr) -> Vec<Effect> {
        let Some(lease) = reply.lease().filter(|l| l.address == address) else { return Vec::new() };
        self.state = State::Bound { lease, since: now };
        self.attempt = 0;
        self.due = now + lease.renew_after;
        vec![Effect::Configure(lease)]
    }

    /// RFC 2131 section 4.4.5: half of what remains, at least a minute, between two requests.
    fn refresh(&mut self, now: Instant, lease: Lease, since: Instant) -> Vec<Effect> {
        let (rebind_at, ends_at) = (since + lease.rebind_after, since + lease.duration);
        if now >= ends_at {
            return self.start_over(now, true);
        }
        let (state, limit) = if now >= rebind_at {
            (State::Rebinding { lease, since }, ends_at)
        } else {
            (State::Renewing { lease, since }, rebind_at)
        };
        self.state = state;
        let pause = ((limit - now) / 2).max(Duration::from_secs(60));
        self.due = (now + pause).min(limit);
        let message = self.message(now, MessageType::Request, None, Some(lease.address));
        match state {
            State::Renewing { .. } => vec![Effect::Unicast(lease.server, message)],
            _ => vec![Effect::Broadcast(message)],
        }
    }

    fn start_over(&mut self, now: Instant, had_address: bool) -> Vec<Effect> {
        self.state = State::Selecting;
        self.xid = self.xid.wrapping_mul(0x9E37_79B1).wrapping_add(1);
        self.attempt = 0;
        self.began = now;
        self.due = now + Duration::from_secs(1);
        if had_address { vec![Effect::Deconfigure] } else { Vec::new() }
    }

    /// 1, 2, 4, 8, 16 and then always 16 seconds, plus up to half a second that differs from PC to PC, so that a room that
    /// was switched on together does not ask together for ever.
    fn back_off(&mut self) -> Duration {
        let seconds = 1u64 << self.attempt.min(4);
        let spread = u64::from(self.xid.rotate_left(self.attempt) % 500);
        self.attempt += 1;
        Duration::from_millis(seconds * 1000 + spread)
    }

    fn request_selected(&self, now: Instant, lease: &Lease) -> Vec<u8> {
        self.message(now, MessageType::Request, Some(lease), None)
    }

    fn message(
        &self,
        now: Instant,
        kind: MessageType,
        selected: Option<&Lease>,
        own: Option<Ipv4Addr>,
    ) -> Vec<u8> {
        let mut message = Message::default();
        let secs = u16::try_from((now - self.began).as_secs()).unwrap_or(u16::MAX);
        message.set_opcode(Opcode::BootRequest).set_xid(self.xid).set_secs(secs).set_chaddr(&self.mac);
        match own {
            Some(address) => {
                message.set_ciaddr(address);
            }
            // Without an address, only a broadcast reaches an ordinary socket.
            None => {
                message.set_flags(Flags::default().set_broadcast());
            }
        }
        let options = message.opts_mut();
        options.insert(DhcpOption::MessageType(kind));
        options.insert(DhcpOption::MaxMessageSize(1472));
        options.insert(DhcpOption::ClassIdentifier(b"hausmeister-agent".to_vec()));
        options.insert(DhcpOption::ParameterRequestList(vec![
            OptionCode::SubnetMask,
            OptionCode::Router,
            OptionCode::AddressLeaseTime,
            OptionCode::ServerIdentifier,
            OptionCode::Renewal,
            OptionCode::Rebinding,
        ]));
        if let Some(lease) = selected {
            options.insert(DhcpOption::RequestedIpAddress(lease.address));
            options.insert(DhcpOption::ServerIdentifier(lease.server));
        }
        let mut bytes = Vec::with_capacity(320);
        // Writing to memory fails only for fields that are too long, and these are ours.
        let _ = message.encode(&mut Encoder::new(&mut bytes));
        // RFC 1542 section 2.1: some relays drop what is shorter than a BOOTP message.
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }
}

/// The fields of a server's message that matter here.
#[derive(Debug, Default)]
struct Reply {
    xid: u32,
    mac: [u8; 6],
    kind: u8,
    address: Option<Ipv4Addr>,
    mask: Option<Ipv4Addr>,
    router: Option<Ipv4Addr>,
    server: Option<Ipv4Addr>,
    lease_secs: Option<u32>,
    renew_secs: Option<u32>,
    rebind_secs: Option<u32>,
}

impl Reply {
    /// RFC 2131 section 2, figure 1; `None` for whatever is no BOOTREPLY for an Ethernet card.
    fn parse(bytes: &[u8]) -> Option<Reply> {
        let fixed = bytes.get(..240)?;
        let [op, htype, hlen, ..] = *fixed else { return None };
        if (op, htype, hlen) != (2, 1, 6) || fixed.get(236..)? != COOKIE {
            return None;
        }
        let mut reply = Reply {
            xid: number(fixed.get(4..8)?)?,
            address: address(fixed.get(16..20)?),
            mac: fixed.get(28..34)?.try_into().ok()?,
            ..Reply::default()
        };
        let mut rest = bytes.get(240..)?;
        loop {
            rest = match rest {
                [0, more @ ..] => more,
                [255, ..] | [] => return Some(reply),
                [code, length, more @ ..] => {
                    // A last option that is cut off ends the list; the ones before it are good.
                    let Some((value, more)) = more.split_at_checked(usize::from(*length)) else {
                        return Some(reply);
                    };
                    reply.take(*code, value);
                    more
                }
                [_] => return Some(reply),
            };
        }
    }

    fn take(&mut self, code: u8, value: &[u8]) {
        match code {
            1 => self.mask = address(value),
            3 => self.router = value.get(..4).and_then(address),
            51 => self.lease_secs = number(value),
            53 => self.kind = value.first().copied().unwrap_or(0),
            54 => self.server = address(value),
            58 => self.renew_secs = number(value),
            59 => self.rebind_secs = number(value),
            _ => {}
        }
    }

    /// The lease, if everything that makes one is there and makes sense.
    fn lease(&self) -> Option<Lease> {
        let address =
            self.address.filter(|a| !a.is_unspecified() && !a.is_loopback() && !a.is_multicast())?;
        // Without a mask the network is as large as the old classes say; every server sends one.
        let mask = self.mask.unwrap_or(Ipv4Addr::new(255, 255, 255, 0)).to_bits();
        let prefix = mask.leading_ones();
        if mask.count_ones() != prefix || prefix == 0 {
            return None;
        }
        let secs = self.lease_secs?.max(LEASE_SECS_MIN);
        let renew = self.renew_secs.filter(|r| *r < secs).unwrap_or(secs / 2).max(LEASE_SECS_MIN / 2);
        let rebind = self.rebind_secs.filter(|r| *r > renew && *r < secs).unwrap_or(secs - secs / 8);
        let time = |secs: u32| Duration::from_secs(u64::from(secs.min(LEASE_SECS_MAX)));
        Some(Lease {
            address,
            prefix: u8::try_from(prefix).ok()?,
            router: self.router.filter(|r| !r.is_unspecified()),
            server: self.server?,
            duration: time(secs),
            renew_after: time(renew),
            rebind_after: time(rebind),
        })
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    number(bytes).map(Ipv4Addr::from_bits)
}

const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
const COOKIE: [u8; 4] = [99, 130, 83, 99];
const REQUESTS_MAX: u32 = 4;
/// A server that leases for seconds would make the PC do nothing but renew.
const LEASE_SECS_MIN: u32 = 60;
/// A year; RFC 2131 has infinity here, which would overflow the clock.
const LEASE_SECS_MAX: u32 = 31_536_000;

#[cfg(test)]
#[path = "dhcp_tests.rs"]
mod tests;
