//! Finding out whether somebody uses an address that we are about to give away (RFC 5227 section 2.1.1).
//!
//! The probe leaves together with the offer and nobody waits for its answer. A host that has the address usually answers
//! within a millisecond, before the client has sent its REQUEST, which is then refused. The address that will be offered
//! next is probed along with it, so that its turn comes with the answer known.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use inventory::MacAddr;
use pnet::packet::arp::{ArpHardwareTypes, ArpOperations, ArpPacket, MutableArpPacket};
use pnet::packet::ethernet::EtherTypes;
use pnet::util::MacAddr as PnetMac;

/// The body of an ARP probe for an address, to be sent to everybody.
#[must_use]
pub fn probe(own: MacAddr, ip: Ipv4Addr) -> Vec<u8> {
    let mut bytes = vec![0; ArpPacket::minimum_packet_size()];
    if let Some(mut arp) = MutableArpPacket::new(&mut bytes) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(PnetMac::from(own.0));
        // An unspecified sender leaves the neighbour tables of others alone.
        arp.set_sender_proto_addr(Ipv4Addr::UNSPECIFIED);
        arp.set_target_proto_addr(ip);
    }
    bytes
}

/// Who says in an ARP packet that it has which address.
#[must_use]
pub fn sender(body: &[u8]) -> Option<(Ipv4Addr, MacAddr)> {
    let arp = ArpPacket::new(body)?;
    let plain = arp.get_hardware_type() == ArpHardwareTypes::Ethernet
        && arp.get_protocol_type() == EtherTypes::Ipv4
        && arp.get_hw_addr_len() == 6
        && arp.get_proto_addr_len() == 4;
    let (ip, mac) = (arp.get_sender_proto_addr(), MacAddr(arp.get_sender_hw_addr().octets()));
    let [first, ..] = mac.0;
    let usable = !ip.is_unspecified() && first & 1 == 0 && mac.0 != [0; 6];
    (plain && usable).then_some((ip, mac))
}

/// Probes that are out, bounded in number and rate.
#[derive(Debug, Default)]
pub(super) struct Probes {
    /// Address to the end of its probe.
    out: HashMap<Ipv4Addr, i64>,
    second: i64,
    sent: u32,
}

impl Probes {
    /// Whether a probe for the address should be sent at this instant; then its answers count.
    pub(super) fn begin(&mut self, now: i64, ip: Ipv4Addr) -> bool {
        let second = now.div_euclid(1000);
        if self.second != second {
            (self.second, self.sent) = (second, 0);
            self.out.retain(|_, until| *until > now);
        }
        if self.sent >= PROBES_PER_SECOND || self.out.contains_key(&ip) {
            return false;
        }
        self.sent += 1;
        self.out.insert(ip, now + ANSWER_MILLIS);
        true
    }

    /// Whether an answer for the address counts at this instant.
    pub(super) fn awaits(&self, now: i64, ip: Ipv4Addr) -> bool {
        self.out.get(&ip).is_some_and(|until| *until > now)
    }

    pub(super) fn end(&mut self, ip: Ipv4Addr) {
        self.out.remove(&ip);
    }
}

const PROBES_PER_SECOND: u32 = 200;
const ANSWER_MILLIS: i64 = 3000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_claims_no_address_and_an_answer_names_its_sender() {
        let own = MacAddr([2, 0, 0, 0, 0, 1]);
        let body = probe(own, [10, 0, 0, 9].into());
        assert_eq!(sender(&body), None);
        let mut answer = body.clone();
        answer[7] = 2;
        answer[14..18].copy_from_slice(&[10, 0, 0, 9]);
        assert_eq!(sender(&answer), Some(([10, 0, 0, 9].into(), own)));
        for (at, value) in [(0, 9), (2, 9), (4, 8), (5, 16), (8, 1)] {
            let mut bad = answer.clone();
            bad[at] = value;
            assert_eq!(sender(&bad), None, "byte {at}");
        }
        assert_eq!(sender(&answer[..27]), None);
    }

    #[test]
    fn probes_are_bounded_per_second() {
        let mut probes = Probes::default();
        let begun = (0..1000u32).filter(|n| probes.begin(5, Ipv4Addr::from(*n + 1))).count();
        assert_eq!(begun, 200);
        assert!(probes.begin(1000, [10, 0, 0, 1].into()) && !probes.begin(1001, [10, 0, 0, 1].into()));
        assert!(probes.awaits(2000, [10, 0, 0, 1].into()) && !probes.awaits(4000, [10, 0, 0, 1].into()));
    }
}
