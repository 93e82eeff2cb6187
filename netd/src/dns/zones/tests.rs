//! What is answered, asked directly of the table.

use expect_test::{Expect, expect};
use hickory_server::proto::op::{Message, ResponseCode};
use hickory_server::proto::rr::RecordType;
use inventory::{DeviceId, DhcpMode, Interface, InterfaceKind, NetworkId, Observed, Room, RoomId};

use super::super::book::Book;
use super::super::cache::Cache;
use super::super::quick::{self, Desk, Quick, Transport};
use super::super::table::{Found, wire};
use super::*;

fn network(cidr: &str) -> Network {
    let cidr: Cidr = cidr.parse().unwrap();
    let host = |n: u32| Ipv4Addr::from(u32::from(cidr.network()) + n);
    Network {
        id: NetworkId::random(),
        name: cidr.to_string(),
        cidr,
        router: None,
        pool_first: host(1),
        pool_last: host(2),
        lease_secs: 3600,
        mode: DhcpMode::Server,
    }
}

fn card(mac: &str, reserved: Option<&str>) -> Interface {
    let reserved_ip = reserved.map(|ip| ip.parse().unwrap());
    Interface { mac: mac.parse().unwrap(), kind: InterfaceKind::Lan, reserved_ip }
}

fn device(name: &str, interfaces: Vec<Interface>) -> Device {
    Device {
        id: DeviceId::random(),
        name: name.parse().unwrap(),
        room: Room { id: RoomId::random(), name: "204".into() },
        interfaces,
        key: None,
        hardware: serde_json::Value::Null,
        desired_image: None,
        observed: Observed::default(),
        last_seen: None,
    }
}

fn lease(ip: &str, mac: &str, hostname: Option<&str>, expires_at: i64) -> Lease {
    Lease {
        ip: ip.parse().unwrap(),
        client: mac.into(),
        mac: mac.parse().unwrap(),
        hostname: hostname.map(|name| name.parse().unwrap()),
        state: LeaseState::Active,
        expires_at: UnixMillis(expires_at),
    }
}

fn school() -> Facts {
    Facts {
        zone: Name::from_ascii("schule.internal.").unwrap(),
        own_names: vec!["server".parse().unwrap(), "haus".parse().unwrap()],
        own_addresses: vec!["10.77.0.1".parse().unwrap()],
        portal: None,
        networks: vec![network("10.77.0.0/22"), network("192.168.5.128/25"), network("203.0.112.8/30")],
        devices: vec![
            device("r204-pc01", vec![card("52:54:00:00:00:01", Some("10.77.0.21"))]),
            device("r204-pc02", vec![card("52:54:00:00:00:02", Some("10.77.0.22"))]),
            device(
                "cart-07",
                vec![card("52:54:00:00:00:03", None), card("52:54:00:00:00:04", Some("192.168.5.130"))],
            ),
            device("dark", vec![card("52:54:00:00:00:05", None)]),
            device("public", vec![card("52:54:00:00:00:06", Some("203.0.112.9"))]),
        ],
        leases: vec![
            lease("10.77.2.100", "52:54:00:00:00:02", None, 2000),
            lease("10.77.2.101", "52:54:00:00:00:03", Some("liar"), 2000),
            lease("10.77.2.102", "52:54:00:00:00:03", None, 3000),
            lease("10.77.3.5", "52:54:00:00:01:01", Some("anna-laptop"), 2000),
            lease("10.77.3.6", "52:54:00:00:01:02", Some("r204-pc01"), 2000),
            lease("10.77.3.7", "52:54:00:00:01:03", Some("wpad"), 2000),
            lease("10.77.3.8", "52:54:00:00:01:04", Some("server"), 2000),
            lease("10.77.3.9", "52:54:00:00:01:05", Some("gone"), 1000),
        ],
        revision: 0x1_0000_0007,
    }
}

fn ask(table: &Table, name: &str, kind: RecordType) -> String {
    let name = Name::from_ascii(name).unwrap();
    let found = match table.find(&wire(&name).unwrap(), kind) {
        Found::Answer(set) => {
            set.records.iter().map(|record| record.data.to_string()).collect::<Vec<_>>().join(" ")
        }
        Found::NoData(zone) => format!("no data, {}", zone.soa.name),
        Found::NoName(zone) => format!("no name, {}", zone.soa.name),
        Found::Elsewhere => "elsewhere".into(),
    };
    format!("{name} {kind} {found}")
}

fn check(names: &[(&str, RecordType)], expected: Expect) {
    let (table, _) = build(&school(), &Guests::new(), UnixMillis(1500)).unwrap();
    let answers: Vec<String> = names.iter().map(|(name, kind)| ask(&table, name, *kind)).collect();
    expected.assert_eq(&answers.join("\n"));
}

#[test]
fn the_portal_is_found_here_and_the_rest_of_its_domain_is_not_ours() {
    let portal = Some(Name::from_ascii("netz.schule.example.").unwrap());
    let (table, _) = build(&Facts { portal, ..school() }, &Guests::new(), UnixMillis(1500)).unwrap();
    let names = ["netz.schule.example.", "x.netz.schule.example.", "www.schule.example.", "schule.example."];
    let answers: Vec<String> = names.iter().map(|name| ask(&table, name, A)).collect();
    expect![[r"
        netz.schule.example. A 10.77.0.1
        x.netz.schule.example. A elsewhere
        www.schule.example. A elsewhere
        schule.example. A elsewhere"]]
    .assert_eq(&answers.join("\n"));
    assert_eq!(
        ask(&table, "netz.schule.example.", AAAA),
        "netz.schule.example. AAAA no data, netz.schule.example."
    );
}

use RecordType::{A, AAAA, ANY, MX, NS, PTR, SOA};

#[test]
fn devices_are_found_under_leased_or_else_reserved_addresses() {
    check(
        &[
            ("r204-pc01.schule.internal.", A),
            ("r204-pc02.schule.internal.", A),
            ("CART-07.Schule.Internal.", A),
            ("cart-07.schule.internal.", AAAA),
            ("public.schule.internal.", A),
            ("dark.schule.internal.", A),
            ("server.schule.internal.", A),
            ("haus.schule.internal.", A),
        ],
        expect![[r#"
            r204-pc01.schule.internal. A 10.77.0.21
            r204-pc02.schule.internal. A 10.77.2.100
            CART-07.Schule.Internal. A 10.77.2.102 192.168.5.130
            cart-07.schule.internal. AAAA no data, schule.internal.
            public.schule.internal. A 203.0.112.9
            dark.schule.internal. A no name, schule.internal.
            server.schule.internal. A 10.77.0.1
            haus.schule.internal. A 10.77.0.1"#]],
    );
}

#[test]
fn unmanaged_clients_are_found_unless_the_name_is_somebody_elses() {
    check(
        &[
            ("anna-laptop.schule.internal.", A),
            ("liar.schule.internal.", A),
            ("wpad.schule.internal.", A),
            ("gone.schule.internal.", A),
        ],
        expect![[r#"
            anna-laptop.schule.internal. A 10.77.3.5
            liar.schule.internal. A no name, schule.internal.
            wpad.schule.internal. A no name, schule.internal.
            gone.schule.internal. A no name, schule.internal."#]],
    );
}

#[test]
fn addresses_are_found_in_reverse_zones_of_every_network() {
    check(
        &[
            ("21.0.77.10.in-addr.arpa.", PTR),
            ("100.2.77.10.in-addr.arpa.", PTR),
            ("22.0.77.10.in-addr.arpa.", PTR),
            ("130.5.168.192.in-addr.arpa.", PTR),
            ("9.112.0.203.in-addr.arpa.", PTR),
            ("10.112.0.203.in-addr.arpa.", PTR),
            ("12.112.0.203.in-addr.arpa.", PTR),
            ("1.0.77.10.in-addr.arpa.", PTR),
            ("5.3.77.10.in-addr.arpa.", PTR),
            ("200.3.77.10.in-addr.arpa.", PTR),
            ("1.4.77.10.in-addr.arpa.", PTR),
            ("3.77.10.in-addr.arpa.", NS),
            ("77.10.in-addr.arpa.", PTR),
        ],
        expect![[r#"
            21.0.77.10.in-addr.arpa. PTR r204-pc01.schule.internal.
            100.2.77.10.in-addr.arpa. PTR r204-pc02.schule.internal.
            22.0.77.10.in-addr.arpa. PTR no name, 0.77.10.in-addr.arpa.
            130.5.168.192.in-addr.arpa. PTR cart-07.schule.internal.
            9.112.0.203.in-addr.arpa. PTR public.schule.internal.
            10.112.0.203.in-addr.arpa. PTR no data, 10.112.0.203.in-addr.arpa.
            12.112.0.203.in-addr.arpa. PTR elsewhere
            1.0.77.10.in-addr.arpa. PTR server.schule.internal.
            5.3.77.10.in-addr.arpa. PTR anna-laptop.schule.internal.
            200.3.77.10.in-addr.arpa. PTR no name, 3.77.10.in-addr.arpa.
            1.4.77.10.in-addr.arpa. PTR no name, 10.in-addr.arpa.
            3.77.10.in-addr.arpa. NS server.schule.internal.
            77.10.in-addr.arpa. PTR no data, 10.in-addr.arpa."#]],
    );
}

#[test]
fn negative_answers_name_the_zone_and_the_zone_knows_the_revision() {
    check(
        &[
            ("nobody.schule.internal.", A),
            ("a.b.schule.internal.", A),
            ("schule.internal.", A),
            ("schule.internal.", SOA),
            ("schule.internal.", NS),
            ("r204-pc01.schule.internal.", MX),
            ("r204-pc01.schule.internal.", ANY),
        ],
        expect![[r#"
            nobody.schule.internal. A no name, schule.internal.
            a.b.schule.internal. A no name, schule.internal.
            schule.internal. A no data, schule.internal.
            schule.internal. SOA server.schule.internal. hostmaster.schule.internal. 7 3600 600 86400 10
            schule.internal. NS server.schule.internal.
            r204-pc01.schule.internal. MX no data, schule.internal.
            r204-pc01.schule.internal. ANY 10.77.0.21"#]],
    );
}

#[test]
fn rfc6303_and_rfc6761_special_names_stay_in_the_house() {
    check(
        &[
            ("localhost.", A),
            ("www.localhost.", AAAA),
            ("localhost.", MX),
            ("1.0.0.127.in-addr.arpa.", PTR),
            ("printer.local.", A),
            ("x.test.", A),
            ("a.invalid.", A),
            ("other.internal.", A),
            ("1.1.16.172.in-addr.arpa.", PTR),
            ("1.1.32.172.in-addr.arpa.", PTR),
            ("1.1.64.100.in-addr.arpa.", PTR),
            ("1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa.", PTR),
            ("a.b.c.d.f.ip6.arpa.", PTR),
            ("_dns.resolver.arpa.", RecordType::SVCB),
            ("r204-pc01.", A),
            ("com.", NS),
            ("com.", A),
            ("www.example.org.", A),
            ("8.8.8.8.in-addr.arpa.", PTR),
        ],
        expect![[r#"
            localhost. A 127.0.0.1
            www.localhost. AAAA ::1
            localhost. MX no data, localhost.
            1.0.0.127.in-addr.arpa. PTR localhost.
            printer.local. A no name, local.
            x.test. A no name, test.
            a.invalid. A no name, invalid.
            other.internal. A no name, internal.
            1.1.16.172.in-addr.arpa. PTR no name, 16.172.in-addr.arpa.
            1.1.32.172.in-addr.arpa. PTR elsewhere
            1.1.64.100.in-addr.arpa. PTR no name, 64.100.in-addr.arpa.
            1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa. PTR localhost.
            a.b.c.d.f.ip6.arpa. PTR no name, d.f.ip6.arpa.
            _dns.resolver.arpa. SVCB no data, resolver.arpa.
            r204-pc01. A no data, .
            com. NS elsewhere
            com. A no data, .
            www.example.org. A elsewhere
            8.8.8.8.in-addr.arpa. PTR elsewhere"#]],
    );
}

#[test]
fn a_name_stays_with_the_client_that_had_it_first() {
    let mut facts = school();
    let (_, guests) = build(&facts, &Guests::new(), UnixMillis(1500)).unwrap();
    facts.leases.insert(0, lease("10.77.1.1", "52:54:00:00:02:02", Some("anna-laptop"), 9000));
    let (table, guests) = build(&facts, &guests, UnixMillis(1500)).unwrap();
    assert_eq!(ask(&table, "anna-laptop.schule.internal.", A), "anna-laptop.schule.internal. A 10.77.3.5");
    // When its lease has ended, the name is free.
    let (table, _) = build(&facts, &guests, UnixMillis(2500)).unwrap();
    assert_eq!(ask(&table, "anna-laptop.schule.internal.", A), "anna-laptop.schule.internal. A 10.77.1.1");
}

#[test]
fn prepared_bytes_are_what_hickory_reads() {
    let (table, _) = build(&school(), &Guests::new(), UnixMillis(1500)).unwrap();
    for (name, kind, code, answers, authorities) in [
        ("r204-PC01.schule.internal.", A, ResponseCode::NoError, 1, 0),
        ("21.0.77.10.in-addr.arpa.", PTR, ResponseCode::NoError, 1, 0),
        ("schule.internal.", SOA, ResponseCode::NoError, 1, 0),
        ("schule.internal.", NS, ResponseCode::NoError, 1, 0),
        ("nobody.schule.internal.", A, ResponseCode::NXDomain, 0, 1),
        ("schule.internal.", A, ResponseCode::NoError, 0, 1),
        ("a.b.c.d.test.", A, ResponseCode::NXDomain, 0, 1),
        ("pc.", A, ResponseCode::NoError, 0, 1),
    ] {
        let name = Name::from_ascii(name).unwrap();
        let mut query = Message::query();
        query.add_query(hickory_server::proto::op::Query::query(name.clone(), kind));
        let mut out = Vec::new();
        let client = "10.77.0.99".parse().unwrap();
        let (rules, cache) = (Book::empty(), Cache::new(1, 1));
        let desk = Desk {
            table: &table,
            rules: &rules,
            clients: None,
            neighbours: &crate::neighbours::Neighbours::open(),
            cache: &cache,
            now: inventory::clock::instant(),
        };
        let quick = quick::answer(&desk, client, Transport::Udp, &query.to_vec().unwrap(), &mut out);
        assert_eq!(quick, Quick::Answered);
        let reply = Message::from_vec(&out).unwrap();
        assert_eq!(reply.metadata.response_code, code, "{name}");
        assert!(reply.metadata.authoritative && reply.metadata.recursion_available);
        assert_eq!((reply.answers.len(), reply.authorities.len()), (answers, authorities), "{name}");
        let wire = wire(&name).unwrap();
        match table.find(&wire, kind) {
            Found::Answer(set) => {
                for (sent, held) in reply.answers.iter().zip(&set.records) {
                    assert_eq!((&sent.data, &sent.name, sent.ttl), (&held.data, &name, held.ttl));
                }
            }
            Found::NoData(zone) | Found::NoName(zone) => {
                assert_eq!(reply.authorities, vec![zone.soa.clone()])
            }
            Found::Elsewhere => panic!("{name}"),
        }
    }
}

#[test]
fn a_big_school_is_made_in_a_moment() {
    let mut facts = school();
    facts.devices.extend((0..5000_u32).map(|n| {
        let [_, a, b, c] = n.to_be_bytes();
        let ip = Ipv4Addr::from(0x0a4d_0000 + n % 1000);
        device(
            &format!("pc{n}"),
            vec![card(&format!("52:54:01:{a:02x}:{b:02x}:{c:02x}"), Some(&ip.to_string()))],
        )
    }));
    // Far more than it takes on a busy machine, and far less than something that grows with the square.
    let begin = inventory::clock::instant();
    build(&facts, &Guests::new(), UnixMillis(1500)).unwrap();
    assert!(inventory::clock::instant() - begin < std::time::Duration::from_secs(10));
}
