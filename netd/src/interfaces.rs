//! The addresses of this machine.

use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
use std::sync::Arc;

use inventory::Cidr;

use crate::neighbours::Link;

/// Names and IPv4 addresses of the interfaces, sorted; nothing when the system does not tell.
pub(crate) fn addresses() -> Vec<(String, Ipv4Addr)> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut found: Vec<_> =
        all.filter_map(|one| Some((one.interface_name, one.address?.as_sockaddr_in()?.ip()))).collect();
    found.sort();
    found
}

/// The interfaces that have an address in one of these networks.
pub(crate) fn links_in(networks: &[Cidr]) -> Vec<Link> {
    let inside = |ip: Ipv4Addr| networks.iter().any(|network| network.contains(ip));
    let mut names: Vec<String> =
        addresses().into_iter().filter(|(_, ip)| inside(*ip)).map(|(name, _)| name).collect();
    names.dedup();
    let number = |name: &String| nix::net::if_::if_nametoindex(name.as_str()).ok();
    names.iter().filter_map(|name| Some((Arc::from(name.as_str()), number(name)?))).collect()
}

/// Whether this machine speaks IPv6 at all.
pub(crate) fn have_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok()
}
