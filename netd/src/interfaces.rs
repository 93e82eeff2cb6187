//! The addresses of this machine.

use std::net::Ipv4Addr;

/// Names and IPv4 addresses of the interfaces, sorted; nothing when the system does not tell.
pub(crate) fn addresses() -> Vec<(String, Ipv4Addr)> {
    let Ok(all) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let mut found: Vec<_> =
        all.filter_map(|one| Some((one.interface_name, one.address?.as_sockaddr_in()?.ip()))).collect();
    found.sort();
    found
}
