//! What this computer has: interfaces with their networks, and who holds a port.

use std::collections::HashSet;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use inventory::Cidr;

/// A network interface with its first IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The network that the address lies in.
    pub network: Cidr,
    /// The default gateway in that network, if another machine is it.
    pub gateway: Option<Ipv4Addr>,
    /// Whether there is something at the other end of its cable.
    pub has_link: bool,
}

/// Whether there is an interface of that name, whatever its state.
#[must_use]
pub fn has_interface(name: &str) -> bool {
    nix::net::if_::if_nametoindex(name).is_ok()
}

/// All interfaces but loopback that are up and have an IPv4 address, with the first one each.
///
/// # Errors
/// The kernel does not tell.
pub fn interfaces_with_addresses() -> anyhow::Result<Vec<Interface>> {
    let routes = fs::read_to_string("/proc/net/route").unwrap_or_default();
    let mut found: Vec<Interface> = Vec::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        let flags = nix::net::if_::InterfaceFlags::IFF_UP;
        let loopback = nix::net::if_::InterfaceFlags::IFF_LOOPBACK;
        if !entry.flags.contains(flags) || entry.flags.contains(loopback) {
            continue;
        }
        let address = entry.address.as_ref().and_then(|a| a.as_sockaddr_in()).map(|a| a.ip());
        let mask = entry.netmask.as_ref().and_then(|m| m.as_sockaddr_in()).map(|m| m.ip());
        let (Some(address), Some(mask)) = (address, mask) else { continue };
        if found.iter().any(|i| i.name == entry.interface_name) {
            continue;
        }
        let network = Cidr::containing(address, u8::try_from(u32::from(mask).leading_ones()).unwrap_or(32));
        let gateway = default_gateway(&routes, &entry.interface_name);
        let has_link = entry.flags.contains(nix::net::if_::InterfaceFlags::IFF_RUNNING);
        found.push(Interface { name: entry.interface_name, address, network, gateway, has_link });
    }
    Ok(found)
}

/// The gateway of the default route through an interface, from the text of /proc/net/route (numbers in the host's order).
fn default_gateway(routes: &str, interface: &str) -> Option<Ipv4Addr> {
    routes.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (name, destination, gateway) = (fields.next()?, fields.next()?, fields.next()?);
        let gateway = u32::from_str_radix(gateway, 16).ok()?;
        (name == interface && destination == "00000000" && gateway != 0)
            .then(|| Ipv4Addr::from(gateway.swap_bytes()))
    })
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP, listening.
    Tcp,
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// A program that this user may look at.
    Program {
        /// Its name.
        name: String,
        /// Its process id.
        pid: u32,
    },
    /// A program of somebody with more privileges, or of another container.
    Hidden,
}

/// Who has a port in this network namespace.
#[must_use]
pub fn holder_of(transport: Transport, port: u16) -> Holder {
    let files = match transport {
        Transport::Udp => ["/proc/net/udp", "/proc/net/udp6"],
        Transport::Tcp => ["/proc/net/tcp", "/proc/net/tcp6"],
    };
    let mut inodes = HashSet::new();
    for file in files {
        inodes.extend(socket_inodes(&fs::read_to_string(file).unwrap_or_default(), transport, port));
    }
    if inodes.is_empty() {
        return Holder::Nobody;
    }
    match process_with_socket(&inodes) {
        Some((name, pid)) => Holder::Program { name, pid },
        None => Holder::Hidden,
    }
}

/// Inodes of the sockets bound to a port, from the text of /proc/net/{udp,tcp}{,6}.
fn socket_inodes(table: &str, transport: Transport, port: u16) -> Vec<u64> {
    let listening = |state: &str| transport == Transport::Udp || state == "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (_, bound) = fields.get(1)?.rsplit_once(':')?;
            let bound = u16::from_str_radix(bound, 16).ok()?;
            (bound == port && listening(fields.get(3)?)).then(|| fields.get(9)?.parse().ok()).flatten()
        })
        .collect()
}

fn process_with_socket(inodes: &HashSet<u64>) -> Option<(String, u32)> {
    process_with(|target| {
        let inode = target.to_str().and_then(|t| t.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        inode.is_some_and(|inode| inodes.contains(&inode))
    })
}

/// A process that has a file open, with its name.
#[must_use]
pub fn process_with_file(path: &Path) -> Option<(String, u32)> {
    let path = fs::canonicalize(path).ok()?;
    process_with(|target| target == path)
}

/// The first process that has something open whose name in `/proc/PID/fd` is wanted.
fn process_with(wanted: impl Fn(&Path) -> bool) -> Option<(String, u32)> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        let mut targets =
            descriptors.flatten().filter_map(|descriptor| fs::read_link(descriptor.path()).ok());
        if targets.any(|target| wanted(&target)) {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some((name.trim().to_owned(), pid));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_gateway_is_read_from_the_kernels_table() {
        let routes = "Iface\tDestination\tGateway\tFlags\n\
                      eth0\t00000000\t0100A8C0\t0003\n\
                      eth1\t00004D0A\t00000000\t0001\n";
        assert_eq!(default_gateway(routes, "eth0"), Some(Ipv4Addr::new(192, 168, 0, 1)));
        assert_eq!(default_gateway(routes, "eth1"), None);
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        let holder = holder_of(Transport::Udp, port);
        assert!(matches!(holder, Holder::Program { pid, .. } if pid == std::process::id()), "{holder:?}");
        drop(socket);
        assert_eq!(holder_of(Transport::Udp, port), Holder::Nobody);
    }

    #[test]
    fn who_has_a_file_open_is_found() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let own = std::process::id();
        assert!(process_with_file(file.path()).is_some_and(|(_, pid)| pid == own));
        let path = file.into_temp_path();
        assert_eq!(process_with_file(&path), None);
    }
}
