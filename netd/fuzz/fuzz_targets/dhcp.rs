//! Whatever packets come in, one after the other: the engine does not panic, every ACK with an address follows the record of
//! its lease, and no record takes an address from a client that holds it.
#![no_main]

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use inventory::{DhcpMode, Lease, LeaseState, MacAddr, Network, NetworkId, UnixMillis};
use libfuzzer_sys::fuzz_target;
use netd::dhcp::{Effect, Engine, Input, Link, LinkId, Port, Settings, View};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);

fn network(second: u8, mode: DhcpMode) -> Network {
    Network {
        id: NetworkId::random(),
        name: second.to_string(),
        cidr: format!("10.{second}.0.0/24").parse().unwrap(),
        router: None,
        pool_first: [10, second, 0, 10].into(),
        pool_last: [10, second, 0, 12].into(),
        lease_secs: 3600,
        mode,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let link = Link { id: LinkId(1), name: "e".into(), mac: MacAddr([2; 6]), addresses: vec![SERVER, [10, 2, 0, 1].into()] };
    let networks = vec![network(1, DhcpMode::Server), network(2, DhcpMode::Proxy), network(3, DhcpMode::Server)];
    let (view, _) = View::new(Settings::default(), networks, &[], vec![link]);
    let mut engine = Engine::new(0);
    let mut now = UnixMillis(1_000_000);
    engine.handle(now, Input::View(Arc::new(view)), &mut Vec::new());
    let mut held: HashMap<Ipv4Addr, Lease> = HashMap::new();
    // Each packet: a head of two bytes with its length, then its bytes.
    let mut rest = bytes;
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high & 7, *low])).min(tail.len());
        let (packet, tail) = tail.split_at(length);
        rest = tail;
        now = now.plus_secs(u64::from(*high >> 3) * 100);
        let to = if high & 8 == 0 { Ipv4Addr::BROADCAST } else { SERVER };
        let port = if high & 16 == 0 { Port::Dhcp } else { Port::Proxy };
        let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68);
        let mut effects = Vec::new();
        engine.handle(now, Input::Packet { link: LinkId(1), port, from, to, bytes: packet }, &mut effects);
        let mut durable = None;
        for effect in effects {
            match effect {
                Effect::Record(lease) => {
                    let stolen = held.get(&lease.ip).is_some_and(|row| {
                        row.client != lease.client && row.state != LeaseState::Released && row.expires_at > now
                    });
                    assert!(!stolen, "{lease:?}");
                    durable = Some(lease.ip);
                    held.insert(lease.ip, lease);
                }
                Effect::Send(reply) => {
                    let yiaddr = <[u8; 4]>::try_from(&reply.bytes[16..20]).unwrap();
                    let is_ack = reply.bytes[240..243] == [53, 1, 5];
                    assert!(!is_ack || yiaddr == [0; 4] || durable == Some(yiaddr.into()));
                }
                Effect::Probe { .. } | Effect::Malformed(_) => {}
            }
        }
    }
});
