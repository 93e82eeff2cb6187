//! Names that never go to a forwarder, whatever the inventory says.
//!
//! | Standard | Names                                                                        |
//! |----------|------------------------------------------------------------------------------|
//! | RFC 6303 | reverse zones of private, local and documentation addresses                   |
//! | RFC 6761 | `localhost`, `invalid`, `test`                                                |
//! | RFC 6762 | `local`: found by multicast, never here                                       |
//! | RFC 7686 | `onion`                                                                       |
//! | RFC 7793 | reverse zones of shared addresses, 100.64.0.0/10                              |
//! | RFC 8375 | `home.arpa`                                                                   |
//! | RFC 9462 | `resolver.arpa`: exists and is empty, or clients would go to the forwarder    |
//! | RFC 9476 | `alt`                                                                         |
//!
//! `internal` is reserved for private use by ICANN and is treated like `test`. A zone of the inventory of the same name or below
//! comes first.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_server::proto::ProtoError;
use hickory_server::proto::rr::rdata::{A, AAAA, PTR, SOA};
use hickory_server::proto::rr::{Name, RData, Record};

use super::table::{Below, NEGATIVE_TTL_SECS, Table};

/// Adds the zones that the table does not have yet.
pub(crate) fn add_to(table: &mut Table) -> Result<(), ProtoError> {
    let reverse_v4 = REVERSE_V4.iter().map(|name| format!("{name}.in-addr.arpa."));
    let private_172 = (16..32).map(|octet| format!("{octet}.172.in-addr.arpa."));
    let shared = (64..128).map(|octet| format!("{octet}.100.in-addr.arpa."));
    let reverse_v6 = REVERSE_V6.iter().map(|name| format!("{name}.ip6.arpa."));
    let plain = NOWHERE.iter().map(|name| format!("{name}."));
    for name in reverse_v4.chain(private_172).chain(shared).chain(reverse_v6).chain(plain) {
        empty(table, &name, Below::Nothing)?;
    }
    empty(table, "resolver.arpa.", Below::Empty)?;
    empty(table, ".", Below::Nothing)?;

    let localhost = Name::from_ascii("localhost.")?;
    empty(table, "localhost.", Below::Same)?;
    let loopback = [RData::A(A(Ipv4Addr::LOCALHOST)), RData::AAAA(AAAA(Ipv6Addr::LOCALHOST))];
    for data in loopback {
        table.add(Record::from_rdata(localhost.clone(), DAY_SECS, data))?;
    }
    for name in [Name::from(Ipv4Addr::LOCALHOST), Name::from(Ipv6Addr::LOCALHOST)] {
        table.add(Record::from_rdata(name, DAY_SECS, RData::PTR(PTR(localhost.clone()))))?;
    }
    Ok(())
}

fn empty(table: &mut Table, name: &str, below: Below) -> Result<(), ProtoError> {
    let zone = Name::from_ascii(name)?;
    // The contents of an empty zone are those of RFC 6303 section 3.
    let contact = Name::from_ascii("nobody.invalid.")?;
    let soa = SOA::new(zone.clone(), contact, 1, 3600, 1200, 604_800, NEGATIVE_TTL_SECS);
    table.add_zone(&zone, soa, below)
}

const REVERSE_V4: [&str; 9] =
    ["10", "168.192", "0", "127", "254.169", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"];
const REVERSE_V6: [&str; 8] = [
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0",
    "d.f",
    "8.e.f",
    "9.e.f",
    "a.e.f",
    "b.e.f",
    "8.b.d.0.1.0.0.2",
];
const NOWHERE: [&str; 7] = ["invalid", "test", "local", "onion", "home.arpa", "alt", "internal"];
const DAY_SECS: u32 = 86_400;
