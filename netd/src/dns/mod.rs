//! DNS server: the school's names from the inventory, everything else from forwarders.
//!
//! | Standard       | What is done here                                                                       |
//! |----------------|-----------------------------------------------------------------------------------------|
//! | RFC 1034, 1035 | the school's zone and its reverse zones, authoritative; recursion through forwarders     |
//! | RFC 2308       | negative answers carry the zone's SOA                                                   |
//! | RFC 6303, 6761 | names that never leave the house; see `special`                                         |
//! | RFC 4033-4035  | answers of forwarders are validated; see [`dnssec`]                                     |
//! | RFC 6891, 8914 | EDNS, datagrams of at most 1232 bytes; a refusal names its rule                         |
//! | RFC 7766       | TCP, with several questions on one connection                                           |
//! | RFC 7858       | forwarders over TLS; their certificates are checked, and nothing is asked in the clear instead |
//! | RFC 8482       | ANY gets one set of records                                                             |
//! | RFC 8767       | answers whose time is over are given while the forwarders are silent; see `cache`       |
//!
//! Not done: zone transfer, dynamic update, IPv6 addresses of devices.
//!
//! Only clients in a network of the inventory, and this machine, are answered; by IPv6 those on an interface with an address in such
//! a network. Answers about our own names come from a table
//! that is made anew when the inventory or a lease changed, at most twice a second; a question never waits for the database.
//! What a client may ask beyond those depends on its level, which the gate decides ([`crate::clients`]), and on lists (`rules`).

mod book;
mod cache;
pub mod dnssec;
mod fetch;
mod follow;
mod handler;
mod quick;
mod remember;
mod rules;
mod server;
mod special;
mod table;
mod upstream;
mod zones;

#[cfg(test)]
mod tests;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use inventory::Hostname;

pub use server::{Handle, serve};

/// What the server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, UDP and TCP, usually `0.0.0.0:53` and `[::]:53`; port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The school's zone, for example `schule.internal`.
    pub zone: String,
    /// Names of this server beside `server`, for example its host name.
    pub own_names: Vec<Hostname>,
    /// Addresses that these names have. When empty, those of this machine that lie in a network of the inventory.
    pub own_addresses: Vec<Ipv4Addr>,
    /// The server's name for strangers, which is not in the school's zone; it has the same addresses.
    pub portal: Option<String>,
    /// Servers that are asked for all other names. Without any, such questions are refused.
    pub forwarders: Vec<Forwarder>,
    /// Whether what they say is validated.
    pub dnssec: dnssec::Settings,
    /// PEM file of the authorities that may vouch for forwarders and for publishers of lists.
    pub authorities: PathBuf,
    /// Folder of subscribed lists: `ID` in use, `ID.new` a new version. It need not exist.
    pub lists_dir: PathBuf,
}

/// A server that is asked for names of the world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forwarder {
    /// Where it is.
    pub address: SocketAddr,
    /// The name or address that its certificate must have, if it is asked over TLS (RFC 7858).
    pub tls_name: Option<String>,
}

impl From<SocketAddr> for Forwarder {
    fn from(address: SocketAddr) -> Self {
        Self { address, tls_name: None }
    }
}

/// Debian's package ca-certificates.
pub const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be opened: another server has it, or the right is missing (`CAP_NET_BIND_SERVICE`).
    #[error("cannot open port {address} for DNS over {transport}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// UDP or TCP.
        transport: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The zone is no domain name.
    #[error("{zone:?} cannot be a DNS zone: {problem}")]
    Zone {
        /// What the configuration says.
        zone: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The forwarders cannot be used.
    #[error("cannot use the DNS forwarders: {0}")]
    Forwarders(String),
    /// The inventory cannot be read.
    #[error("cannot read the school's names from the inventory")]
    Inventory(#[from] inventory::Error),
    /// The names of the inventory make no zone.
    #[error("cannot make DNS zones from the inventory: {0}")]
    Names(String),
    /// The lists make no rules.
    #[error("cannot make DNS rules from the lists: {0}")]
    Lists(String),
}
