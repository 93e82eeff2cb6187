//! What holds for every sequence of packets.

use std::collections::HashMap;

use inventory::LeaseState;
use proptest::prelude::*;

use super::super::view::tests::device;
use super::*;

/// One step: seconds that pass, and a packet.
fn step() -> impl Strategy<Value = (u64, Ask, Vec<u8>)> {
    let address = (8u8..16).prop_map(|last| Ipv4Addr::new(10, 1, 0, last));
    let optional = prop::option::of(address);
    let kind = prop::sample::select(vec![1u8, 1, 3, 3, 3, 4, 7, 8, 99]);
    let server = prop::option::of(prop::sample::select(vec![SERVER, Ipv4Addr::new(10, 1, 0, 2)]));
    let garbage = prop::collection::vec(any::<u8>(), 0..40);
    (0u64..2000, kind, 1u8..7, optional.clone(), optional, server, any::<(bool, bool, bool)>(), garbage)
        .prop_map(|(secs, kind, card, ciaddr, wished, server, (relayed, unicast, rapid), garbage)| {
            let mut ask = Ask::new(kind.into(), card);
            if relayed {
                ask = ask.via([10, 1, 0, 254]);
            }
            if unicast {
                ask.to = SERVER;
            }
            ask.ciaddr = ciaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
            if let Some(ip) = wished {
                ask = ask.option(50, &ip.octets());
            }
            if let Some(ip) = server {
                ask = ask.option(54, &ip.octets());
            }
            if rapid {
                ask = ask.option(80, &[]);
            }
            (secs, ask, garbage)
        })
}

/// The rule of `Inventory::commit_leases`.
fn commit(table: &mut HashMap<Ipv4Addr, Lease>, now: UnixMillis, lease: &Lease) -> bool {
    let refused = table.get(&lease.ip).is_some_and(|row| {
        row.client != lease.client && row.state != LeaseState::Released && row.expires_at > now
    });
    if !refused {
        table.insert(lease.ip, lease.clone());
    }
    !refused
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_ack_was_recorded_and_no_two_clients_hold_one_address(
        steps in prop::collection::vec(step(), 1..120), restart in 0usize..120,
    ) {
        let devices = [device("pc01", "52:54:00:00:00:01", Some("10.1.0.14")), device("pc02", "52:54:00:00:00:02", Some("10.1.0.11"))];
        let mut school = School::new(vec![pcs()], &devices);
        let mut table: HashMap<Ipv4Addr, Lease> = HashMap::new();
        for (at, (secs, mut ask, garbage)) in steps.into_iter().enumerate() {
            school.pass(secs);
            if at == restart {
                let now = school.now;
                school = School::new(vec![pcs()], &devices);
                school.now = now;
                let leases: Vec<Lease> = table.values().cloned().collect();
                school.engine.handle(now, Input::Stored(&leases), &mut Vec::new());
            }
            ask.options.extend(garbage);
            let mut durable = None;
            for effect in school.hear(&ask) {
                match effect {
                    Effect::Record(lease) => {
                        prop_assert!(commit(&mut table, school.now, &lease), "{lease:?} was another client's");
                        durable = Some((lease.ip, lease.state));
                    }
                    Effect::Send(reply) => {
                        let answer = Answer(reply);
                        if u8::from(answer.kind()) == 5 && !answer.yiaddr().is_unspecified() {
                            prop_assert_eq!(durable, Some((answer.yiaddr(), LeaseState::Active)));
                        }
                        prop_assert!((300..=1472).contains(&answer.0.bytes.len()));
                    }
                    Effect::Probe { .. } | Effect::Malformed(_) => {}
                }
            }
            for (ip, client) in school.engine.live(school.now) {
                prop_assert_eq!(&table[&ip].client, &client.to_string());
            }
        }
    }

    #[test]
    fn no_bytes_make_the_engine_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), head in any::<bool>()) {
        let mut school = School::new(vec![pcs()], &[]);
        let mut packet = if head { Ask::discover(1).bytes() } else { Vec::new() };
        packet.pop();
        packet.extend(bytes);
        for port in [Port::Dhcp, Port::Proxy] {
            let input = Input::Packet { link: LinkId(1), port, from: NOBODY, to: SERVER, bytes: &packet };
            school.engine.handle(school.now, input, &mut Vec::new());
        }
    }
}
