//! By what addresses and name this machine can be reached: the subjects of a server certificate.

use std::net::{IpAddr, Ipv6Addr};

/// Addresses of this machine's interfaces, loopback included, link-local IPv6 left out (a browser cannot name them). Empty
/// when the kernel does not tell.
#[must_use]
pub fn local_addresses() -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = nix::ifaddrs::getifaddrs()
        .into_iter()
        .flatten()
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|address| !matches!(address, IpAddr::V6(v6) if link_local(v6)))
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

/// This machine's host name, when it is one that a certificate can carry.
#[must_use]
pub fn local_name() -> Option<String> {
    let name = nix::unistd::gethostname().ok()?.into_string().ok()?.to_ascii_lowercase();
    let label = |part: &str| {
        (1..=63).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    (name.len() <= 253 && name.split('.').all(label)).then_some(name)
}

/// fe80::/10, RFC 4291 section 2.5.6.
fn link_local(address: &Ipv6Addr) -> bool {
    address.segments().first().is_some_and(|first| first & 0xffc0 == 0xfe80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_among_the_addresses_and_nothing_link_local_is() {
        let addresses = local_addresses();
        assert!(addresses.contains(&"127.0.0.1".parse().unwrap()), "{addresses:?}");
        assert!(!addresses.iter().any(|a| a.to_string().starts_with("fe80")), "{addresses:?}");
    }
}
