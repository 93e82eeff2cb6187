//! A client that speaks DHCP through a socket of the test.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};

use super::lab::{RELAY, SERVER};

pub(crate) const DISCOVER: u8 = 1;
pub(crate) const OFFER: u8 = 2;
pub(crate) const REQUEST: u8 = 3;
pub(crate) const ACK: u8 = 5;
pub(crate) const NAK: u8 = 6;

/// A reply, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) kind: u8,
    pub(crate) client: u32,
    pub(crate) ip: Ipv4Addr,
}

/// A packet of client number `client`; `relayed` through 10.77.0.2, else with the broadcast flag.
pub(crate) fn packet(kind: u8, client: u32, relayed: bool, requested: Option<Ipv4Addr>) -> Vec<u8> {
    let mut p = vec![1, 1, 6, 0];
    p.extend(client.to_be_bytes());
    p.extend([0, 0, if relayed { 0 } else { 0x80 }, 0]);
    p.extend([0; 12]);
    p.extend(if relayed { RELAY.octets() } else { [0; 4] });
    p.extend([2, 0]);
    p.extend(client.to_be_bytes());
    p.extend([0; 10 + 64 + 128]);
    p.extend([99, 130, 83, 99, 53, 1, kind]);
    if let Some(ip) = requested {
        p.extend([50, 4]);
        p.extend(ip.octets());
        p.extend([54, 4]);
        p.extend(SERVER.octets());
    }
    p.push(255);
    p
}

/// The next reply, if one comes soon.
pub(crate) fn hear(socket: &UdpSocket) -> Option<Heard> {
    let mut buffer = [0; 1500];
    let (length, _) = socket.recv_from(&mut buffer).ok()?;
    let reply = &buffer[..length];
    let mut options = HashMap::new();
    let mut rest = reply.get(240..)?;
    while let [code, length, tail @ ..] = rest {
        if *code == 255 {
            break;
        }
        let (value, tail) = tail.split_at(usize::from(*length));
        options.insert(*code, value);
        rest = tail;
    }
    Some(Heard {
        kind: options.get(&53)?[0],
        client: u32::from_be_bytes(reply[4..8].try_into().unwrap()),
        ip: <[u8; 4]>::try_from(&reply[16..20]).unwrap().into(),
    })
}

/// Asks and waits for the answer to this client.
pub(crate) fn ask(socket: &UdpSocket, to: Ipv4Addr, packet: &[u8]) -> Option<Heard> {
    socket.send_to(packet, SocketAddrV4::new(to, 67)).unwrap();
    let client = u32::from_be_bytes(packet[4..8].try_into().unwrap());
    std::iter::from_fn(|| hear(socket)).take(20).find(|heard| heard.client == client)
}

/// DISCOVER and REQUEST until there is an ACK, some times.
pub(crate) fn lease(socket: &UdpSocket, to: Ipv4Addr, client: u32) -> Option<Ipv4Addr> {
    let relayed = to == SERVER;
    for _ in 0..20 {
        let Some(offer) = ask(socket, to, &packet(DISCOVER, client, relayed, None)) else { continue };
        if offer.kind != OFFER {
            continue;
        }
        let request = packet(REQUEST, client, relayed, Some(offer.ip));
        if let Some(Heard { kind: ACK, ip, .. }) = ask(socket, to, &request) {
            return Some(ip);
        }
    }
    None
}
