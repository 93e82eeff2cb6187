//! IPv4 and UDP headers for a client that has no address yet and so answers no ARP.

use std::net::SocketAddrV4;

use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::{self, Ipv4Flags, MutableIpv4Packet};
use pnet::packet::udp::{self, MutableUdpPacket};

/// A whole IPv4 packet around a UDP payload, checksums included; the kernel adds the Ethernet header. `None` when the
/// payload is longer than an IPv4 packet can be.
#[must_use]
pub fn datagram(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) -> Option<Vec<u8>> {
    let total = IP_HEADER_BYTES + UDP_HEADER_BYTES + payload.len();
    let mut bytes = vec![0; total];
    let (head, body) = bytes.split_at_mut_checked(IP_HEADER_BYTES)?;
    {
        let mut udp = MutableUdpPacket::new(body)?;
        udp.set_source(from.port());
        udp.set_destination(to.port());
        udp.set_length(u16::try_from(UDP_HEADER_BYTES + payload.len()).ok()?);
        udp.set_payload(payload);
        // RFC 768: a sum of zero is sent as all ones, since zero means that there is none.
        let sum = match udp::ipv4_checksum(&udp.to_immutable(), from.ip(), to.ip()) {
            0 => 0xffff,
            sum => sum,
        };
        udp.set_checksum(sum);
    }
    let mut ip = MutableIpv4Packet::new(head)?;
    ip.set_version(4);
    ip.set_header_length(5);
    ip.set_total_length(u16::try_from(total).ok()?);
    ip.set_flags(Ipv4Flags::DontFragment);
    ip.set_ttl(64);
    ip.set_next_level_protocol(IpNextHeaderProtocols::Udp);
    ip.set_source(*from.ip());
    ip.set_destination(*to.ip());
    let sum = ipv4::checksum(&ip.to_immutable());
    ip.set_checksum(sum);
    Some(bytes)
}

const IP_HEADER_BYTES: usize = 20;
const UDP_HEADER_BYTES: usize = 8;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071: the sum over data that includes its checksum is all ones.
    fn sums_up(words: &[u8]) -> bool {
        let mut sum: u32 =
            words.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        sum == 0xffff
    }

    proptest! {
        #[test]
        fn both_checksums_are_right(
            payload in prop::collection::vec(any::<u8>(), 0..600), a: [u8; 4], b: [u8; 4], p: u16, q: u16,
        ) {
            let bytes = datagram(SocketAddrV4::new(a.into(), p), SocketAddrV4::new(b.into(), q), &payload).unwrap();
            prop_assert!(sums_up(&bytes[..20]));
            let length = u16::try_from(payload.len() + 8).unwrap().to_be_bytes();
            let pseudo = [&a[..], &b, &[0, 17], &length, &bytes[20..]].concat();
            prop_assert!(sums_up(&pseudo));
            prop_assert_eq!(&bytes[28..], &payload);
        }
    }

    #[test]
    fn a_payload_that_no_packet_can_hold_is_refused() {
        let to = SocketAddrV4::new([10, 0, 0, 1].into(), 68);
        assert_eq!(datagram(to, to, &[0; 65_508]), None);
    }
}
