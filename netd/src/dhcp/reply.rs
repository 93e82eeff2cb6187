//! Writing DHCP replies, with dhcproto's types and encoding.

use std::net::Ipv4Addr;

use dhcproto::v4::{
    DhcpOption, Flags, HType, Message, MessageType, Opcode, OptionCode, encode_long_opt_bytes,
};
use dhcproto::{Encodable, Encoder};
use inventory::MacAddr;

use super::codec::{MAGIC_COOKIE, Request};
use super::engine::Port;
use super::view::LinkId;

/// A packet to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The interface.
    pub link: LinkId,
    /// Our address there, the source of the packet.
    pub source: Ipv4Addr,
    /// The port it leaves from: the one that was asked, since firmware compares.
    pub port: Port,
    /// Where to.
    pub to: Destination,
    /// The DHCP packet, without UDP and IP headers.
    pub bytes: Vec<u8>,
}

/// Where a reply goes (RFC 2131 section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// The server port of a relay agent.
    Relay(Ipv4Addr),
    /// A client that has the address and answers ARP.
    Client(Ipv4Addr, u16),
    /// A client that is about to have the address: a frame to its card.
    Card(MacAddr, Ipv4Addr),
    /// Everybody on the link.
    Broadcast,
}

impl Reply {
    /// The NAK to send instead of this ACK, because the lease could not be kept.
    #[must_use]
    pub fn into_refusal(self) -> Self {
        let kept = refusal_of(&self.bytes);
        let to = match self.to {
            Destination::Relay(relay) => Destination::Relay(relay),
            // RFC 2131 section 4.1: a NAK is broadcast when there is no relay agent.
            _ => Destination::Broadcast,
        };
        Self { to, bytes: kept.unwrap_or_default(), ..self }
    }
}

/// What a reply says.
#[derive(Debug)]
pub(crate) struct Draft<'r, 'p> {
    pub(crate) request: &'r Request<'p>,
    pub(crate) kind: MessageType,
    pub(crate) yiaddr: Ipv4Addr,
    pub(crate) siaddr: Ipv4Addr,
    pub(crate) server_id: Ipv4Addr,
    pub(crate) file: Option<&'r str>,
    /// After message type and server identifier, in order of importance: what does not fit is left out from the end.
    pub(crate) options: Vec<DhcpOption>,
}

impl Draft<'_, '_> {
    /// The packet's bytes. Message type and server identifier come first, since there is firmware that reads no further;
    /// client identifier and relay information come last (RFC 3046 section 2.2).
    pub(crate) fn encode(self) -> Vec<u8> {
        let request = self.request;
        let mut head = Message::default();
        head.set_opcode(Opcode::BootReply)
            .set_htype(HType::from(request.htype))
            .set_hops(request.hops)
            .set_xid(request.xid)
            .set_flags(Flags::from(request.flags))
            .set_yiaddr(self.yiaddr)
            .set_siaddr(self.siaddr)
            .set_giaddr(request.giaddr)
            .set_chaddr(request.hardware());
        if self.kind == MessageType::Ack {
            head.set_ciaddr(request.ciaddr);
        }
        if self.kind == MessageType::Nak && request.giaddr != Ipv4Addr::UNSPECIFIED {
            // RFC 2131 section 4.3.2: the relay agent must broadcast it.
            head.set_flags(Flags::from(request.flags | 0x8000));
        }
        if let Some(file) = self.file.filter(|file| file.len() < FILE_BYTES) {
            head.set_fname(file.as_bytes());
        }

        let mut last = Vec::new();
        for code in [OptionCode::ClientIdentifier, OptionCode::RelayAgentInformation] {
            // Longer ones would not leave room for an answer; no card and no relay agent sends them.
            if let Some(value) = request.option(code).filter(|value| value.len() <= ECHO_BYTES_MAX) {
                let mut part = Vec::with_capacity(value.len() + 2);
                if encode_long_opt_bytes(code, &value, &mut Encoder::new(&mut part)).is_ok() {
                    last.extend_from_slice(&part);
                }
            }
        }
        let relayed = request.giaddr != Ipv4Addr::UNSPECIFIED;
        let limit = if relayed { RELAYED_BYTES_MAX } else { request.reply_bytes_max() };

        let mut bytes = Vec::with_capacity(512);
        // The header without options writes no END.
        if head.encode(&mut Encoder::new(&mut bytes)).is_err() {
            return Vec::new();
        }
        put(&mut bytes, &DhcpOption::MessageType(self.kind));
        put(&mut bytes, &DhcpOption::ServerIdentifier(self.server_id));
        for option in &self.options {
            let before = bytes.len();
            put(&mut bytes, option);
            if bytes.len() + last.len() + 1 > limit {
                bytes.truncate(before);
                break;
            }
        }
        bytes.extend_from_slice(&last);
        bytes.push(END);
        if bytes.len() < BOOTP_BYTES_MIN {
            bytes.resize(BOOTP_BYTES_MIN, 0);
        }
        bytes
    }
}

/// Appends an option; one that cannot be encoded is left out whole.
fn put(bytes: &mut Vec<u8>, option: &DhcpOption) {
    let mut scratch = Vec::with_capacity(64);
    if option.encode(&mut Encoder::new(&mut scratch)).is_ok() {
        bytes.extend_from_slice(&scratch);
    }
}

/// Turns the bytes of an ACK into those of a NAK: no addresses, and only options 53, 54, 61 and 82 (RFC 2131 table 3).
fn refusal_of(ack: &[u8]) -> Option<Vec<u8>> {
    let (header, area) = ack.split_at_checked(240)?;
    let mut nak = header.to_vec();
    nak.get_mut(12..24)?.fill(0);
    nak.get_mut(44..236)?.fill(0);
    if nak.get(24..28)? != [0; 4] {
        *nak.get_mut(10)? |= 0x80;
    }
    debug_assert!(nak.ends_with(&MAGIC_COOKIE));
    nak.extend([u8::from(OptionCode::MessageType), 1, u8::from(MessageType::Nak)]);
    let mut rest = area;
    while let [code, length, tail @ ..] = rest {
        if *code == END {
            break;
        }
        let (value, tail) = tail.split_at_checked(usize::from(*length))?;
        if matches!(*code, 54 | 61 | 82) {
            nak.extend([*code, *length]);
            nak.extend(value);
        }
        rest = tail;
    }
    nak.push(END);
    nak.resize(nak.len().max(BOOTP_BYTES_MIN), 0);
    Some(nak)
}

const END: u8 = 255;
/// Old relay agents and firmware drop anything shorter (RFC 1542 section 2.1).
const BOOTP_BYTES_MIN: usize = 300;
/// Between relay agent and server, where option 82 comes on top of what the client can take.
const RELAYED_BYTES_MAX: usize = 1472;
const FILE_BYTES: usize = 128;
const ECHO_BYTES_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::super::codec::tests::packet;
    use super::*;

    fn ack(request: &[u8], options: Vec<DhcpOption>) -> Vec<u8> {
        let request = Request::decode(request).unwrap();
        Draft {
            request: &request,
            kind: MessageType::Ack,
            yiaddr: Ipv4Addr::new(10, 0, 0, 5),
            siaddr: Ipv4Addr::new(10, 0, 0, 1),
            server_id: Ipv4Addr::new(10, 0, 0, 1),
            file: Some("a"),
            options,
        }
        .encode()
    }

    fn codes(reply: &[u8]) -> Vec<u8> {
        let (mut codes, mut rest) = (Vec::new(), &reply[240..]);
        while let [code, tail @ ..] = rest {
            codes.push(*code);
            if *code == 255 {
                break;
            }
            rest = &tail[1 + usize::from(tail[0])..];
        }
        codes
    }

    #[test]
    fn a_reply_has_at_least_300_bytes_and_ends_with_the_relay_information() {
        let reply = ack(
            &packet(6, &[53, 1, 3, 82, 4, 1, 2, 9, 9, 61, 2, 0, 7]),
            vec![DhcpOption::AddressLeaseTime(60)],
        );
        assert_eq!(reply.len(), 300);
        assert_eq!(codes(&reply), [53, 54, 51, 61, 82, 255]);
    }

    #[test]
    fn what_does_not_fit_the_clients_limit_is_left_out_and_relay_information_stays() {
        let options = (0..3).map(|_| DhcpOption::Hostname("x".repeat(200))).collect();
        let reply = ack(&packet(6, &[53, 1, 3, 61, 2, 0, 7]), options);
        assert!(reply.len() <= 548);
        assert_eq!(codes(&reply), [53, 54, 12, 61, 255]);
    }

    #[test]
    fn an_ack_that_could_not_be_kept_becomes_a_nak_without_addresses() {
        let mut request = packet(6, &[53, 1, 3, 82, 4, 1, 2, 9, 9, 61, 2, 0, 7]);
        request[24..28].copy_from_slice(&[10, 0, 0, 2]);
        let bytes = ack(&request, vec![DhcpOption::AddressLeaseTime(60)]);
        let reply = Reply {
            link: LinkId(1),
            source: Ipv4Addr::new(10, 0, 0, 1),
            port: Port::Dhcp,
            to: Destination::Relay([10, 0, 0, 2].into()),
            bytes,
        };
        let nak = reply.into_refusal();
        assert_eq!(codes(&nak.bytes), [53, 54, 61, 82, 255]);
        assert_eq!(nak.bytes[242], 6);
        assert_eq!(&nak.bytes[12..24], &[0; 12]);
        assert_eq!(nak.bytes[10] & 0x80, 0x80);
        assert_eq!(&nak.bytes[28..34], &[0x52, 0x54, 0, 1, 2, 3]);
    }
}
