//! Looking for other DHCP servers on a link.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::time::Duration;

use inventory::{MacAddr, clock};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pnet::packet::Packet;
use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::Ipv4Packet;
use pnet::packet::udp::UdpPacket;

use super::links;
use super::sys::{self, Ether};
use crate::dhcp::codec::MAGIC_COOKIE;
use crate::dhcp::frame;

/// A DHCP server that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSeen {
    /// How it names itself (option 54), else where its answer came from.
    pub server: Ipv4Addr,
    /// The address it would give; unspecified for a server that only tells what to boot.
    pub offers: Ipv4Addr,
}

/// Asks everybody on an interface for an address, which nobody then takes, and lists who offers one; this machine's own
/// servers do not hear it. Takes as long as `patience`. Needs CAP_NET_RAW, but no port.
///
/// # Errors
/// There is no such interface, or it does not allow to send.
pub async fn probe(interface: &str, patience: Duration) -> io::Result<Vec<ServerSeen>> {
    let interface = interface.to_owned();
    tokio::task::spawn_blocking(move || ask_everybody(&interface, patience)).await?
}

fn ask_everybody(interface: &str, patience: Duration) -> io::Result<Vec<ServerSeen>> {
    let (links, missing) = links::present(&[interface.to_owned()])?;
    let Some(link) = links.into_iter().next() else {
        let reason = missing.first().map_or("it cannot be used", |(_, reason)| *reason);
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("{interface}: {reason}")));
    };
    let socket = sys::link_socket(link.id.0, Ether::Ipv4)?;
    let began = clock::instant();
    let xid = u32::try_from(clock::now().0 & 0xffff_ffff).unwrap_or(1) ^ std::process::id().rotate_left(16);
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
    let to = SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT);
    let packet = frame::datagram(from, to, &discover(xid, link.mac)).unwrap_or_default();
    sys::send_to_card(socket.as_fd(), link.id.0, Ether::Ipv4, MacAddr([0xff; 6]), &packet)?;
    let mut seen: Vec<ServerSeen> = Vec::new();
    let mut buffer = [0; 2048];
    while let Some(left) = patience.checked_sub(began.elapsed()).filter(|left| !left.is_zero()) {
        let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        let millis = u16::try_from(left.as_millis()).unwrap_or(u16::MAX).max(1);
        if poll(&mut polled, PollTimeout::from(millis))? == 0 {
            continue;
        }
        let Ok(length) = nix::unistd::read(socket.as_fd(), &mut buffer) else { continue };
        let Some(server) = offer(buffer.get(..length).unwrap_or_default(), xid) else { continue };
        if !seen.contains(&server) && !link.addresses.contains(&server.server) && seen.len() < SERVERS_MAX {
            seen.push(server);
        }
    }
    Ok(seen)
}

/// A DISCOVER that asks for broadcast answers, since no address is on this card yet as far as the server knows. The class
/// makes a ProxyDHCP server answer too.
fn discover(xid: u32, mac: MacAddr) -> Vec<u8> {
    let mut p = vec![1, 1, 6, 0];
    p.extend(xid.to_be_bytes());
    p.extend([0, 0, 0x80, 0]);
    p.extend([0; 16]);
    p.extend(mac.0);
    p.extend([0; 10 + 64 + 128]);
    p.extend(MAGIC_COOKIE);
    p.extend([53, 1, 1, 55, 3, 1, 3, 6]);
    p.extend([60, 32]);
    p.extend(b"PXEClient:Arch:00007:UNDI:003016");
    p.extend([93, 2, 0, 7, 94, 3, 1, 3, 16, 255]);
    p
}

/// Reads an IPv4 packet that may hold an answer to us.
fn offer(packet: &[u8], xid: u32) -> Option<ServerSeen> {
    let ip = Ipv4Packet::new(packet)?;
    if ip.get_next_level_protocol() != IpNextHeaderProtocols::Udp || ip.get_header_length() < 5 {
        return None;
    }
    let udp = UdpPacket::new(packet.get(usize::from(ip.get_header_length()) * 4..)?)?;
    if udp.get_destination() != CLIENT_PORT {
        return None;
    }
    let (fixed, area) = udp.payload().split_at_checked(240)?;
    let reply =
        fixed.first() == Some(&2) && fixed.get(4..8)? == xid.to_be_bytes() && fixed.ends_with(&MAGIC_COOKIE);
    let mut server = ip.get_source();
    let mut rest = area;
    while let [code, length, tail @ ..] = rest {
        if *code == 255 {
            break;
        }
        let (value, tail) = tail.split_at_checked(usize::from(*length))?;
        if let (54, Ok(named)) = (*code, <[u8; 4]>::try_from(value)) {
            server = named.into();
        }
        rest = tail;
    }
    let offers: [u8; 4] = fixed.get(16..20)?.try_into().ok()?;
    reply.then_some(ServerSeen { server, offers: offers.into() })
}

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// On a link with more servers than this, the number is the least of its problems.
const SERVERS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_answer_names_its_server_and_what_it_offers() {
        let mut reply = discover(7, MacAddr([2, 0, 0, 0, 0, 1]));
        reply[0] = 2;
        reply[16..20].copy_from_slice(&[10, 0, 0, 9]);
        reply.truncate(240);
        reply.extend([53, 1, 2, 54, 4, 10, 0, 0, 2, 255]);
        let (from, to) =
            (SocketAddrV4::new([10, 0, 0, 3].into(), 67), SocketAddrV4::new([10, 0, 0, 9].into(), 68));
        let packet = frame::datagram(from, to, &reply).unwrap();
        let seen = ServerSeen { server: [10, 0, 0, 2].into(), offers: [10, 0, 0, 9].into() };
        assert_eq!(offer(&packet, 7), Some(seen));
        assert_eq!(offer(&packet, 8), None, "somebody else's");
    }

    proptest! {
        #[test]
        fn no_packet_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), xid: u32) {
            let _ = offer(&bytes, xid);
            let from = SocketAddrV4::new([10, 0, 0, 3].into(), 67);
            let to = SocketAddrV4::new([10, 0, 0, 9].into(), 68);
            let _ = offer(&frame::datagram(from, to, &bytes).unwrap(), xid);
        }
    }
}
