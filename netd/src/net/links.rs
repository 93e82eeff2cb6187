//! The interfaces that are served, and their sockets.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use arc_swap::ArcSwap;
use inventory::MacAddr;
use nix::net::if_::InterfaceFlags;
use socket2::{Domain, Protocol, Socket, Type};

use super::sys::{self, Ether};
use super::{Config, Error};
use crate::dhcp::{Link, LinkId};

/// The open sockets of all interfaces, replaced as a whole when interfaces come and go.
pub(super) type Ports = ArcSwap<HashMap<LinkId, Arc<Port>>>;

/// The sockets of one interface.
#[derive(Debug)]
pub(super) struct Port {
    pub(super) link: Link,
    /// UDP, the port of DHCP servers.
    pub(super) dhcp: OwnedFd,
    /// The number of that port.
    pub(super) dhcp_port: u16,
    /// UDP, the port of PXE boot servers.
    pub(super) proxy: OwnedFd,
    /// Receives ARP; sends ARP, and frames to cards without an address.
    pub(super) raw: OwnedFd,
}

impl Port {
    pub(super) fn open(config: &Config, link: &Link) -> Result<Self, Error> {
        let failed = |what: String| {
            let interface = link.name.clone();
            move |source: io::Error| Error::Open { what, interface, remedy: remedy(&source), source }
        };
        let udp = |port| udp_socket(&link.name, port).map_err(failed(format!("UDP port {port}")));
        let dhcp = udp(config.port)?;
        let bound = dhcp.local_addr().map_err(failed(format!("UDP port {}", config.port)))?;
        let proxy = udp(config.proxy_port)?;
        let raw = sys::link_socket(link.id.0, Ether::Arp).map_err(failed("a link-layer socket".into()))?;
        Ok(Self {
            link: link.clone(),
            dhcp: dhcp.into(),
            dhcp_port: bound.as_socket_ipv4().map_or(config.port, |address| address.port()),
            proxy: proxy.into(),
            raw,
        })
    }

    /// The same sockets, for the same interface under another hardware address or with other addresses, as a bridge has when a port
    /// is added: the ports are not free for new sockets while the old ones are open.
    pub(super) fn renewed(&self, link: &Link) -> Result<Self, Error> {
        let same = |socket: &OwnedFd| {
            socket.try_clone().map_err(|source| Error::System { op: "keep a socket", source })
        };
        Ok(Self {
            link: link.clone(),
            dhcp: same(&self.dhcp)?,
            dhcp_port: self.dhcp_port,
            proxy: same(&self.proxy)?,
            raw: same(&self.raw)?,
        })
    }
}

fn udp_socket(interface: &str, port: u16) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // One socket per interface: a broadcast is answered where it came from, and a second server on the same port of the same
    // interface is an error and not a riddle, which is why there is no SO_REUSEADDR.
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.set_broadcast(true)?;
    socket.set_nonblocking(true)?;
    nix::sys::socket::setsockopt(&socket.as_fd(), nix::sys::socket::sockopt::Ipv4PacketInfo, &true)?;
    // A whole school that is switched on at once should find room; without the right to force it, the limit of the system.
    if nix::sys::socket::setsockopt(&socket.as_fd(), nix::sys::socket::sockopt::RcvBufForce, &BUFFER_BYTES)
        .is_err()
    {
        socket.set_recv_buffer_size(BUFFER_BYTES)?;
    }
    socket.set_send_buffer_size(BUFFER_BYTES)?;
    socket.bind(&std::net::SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    Ok(socket)
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another DHCP server runs on this machine: `ss -lunp` names it; stop it or take the interface from it"
        }
        io::ErrorKind::PermissionDenied => {
            "run as root, or with the capabilities CAP_NET_RAW and CAP_NET_BIND_SERVICE"
        }
        _ => "see the message of the system",
    }
}

/// An interface that is configured but cannot be served now, and the reason.
pub(super) type Missing = (String, &'static str);

/// The interfaces to serve, and those that cannot be served.
pub(super) fn present(wanted: &[String]) -> io::Result<(Vec<Link>, Vec<Missing>)> {
    let mut found: BTreeMap<String, (InterfaceFlags, Option<MacAddr>, Vec<Ipv4Addr>)> = BTreeMap::new();
    for entry in nix::ifaddrs::getifaddrs()? {
        let (flags, mac, addresses) =
            found.entry(entry.interface_name).or_insert((entry.flags, None, Vec::new()));
        *flags = entry.flags;
        if let Some(address) = entry.address {
            if let Some(link) = address.as_link_addr() {
                *mac = link.addr().map(MacAddr);
            }
            addresses.extend(address.as_sockaddr_in().map(|inet| inet.ip()));
        }
    }
    let (mut links, mut missing) = (Vec::new(), Vec::new());
    for name in wanted {
        match found.get(name) {
            None => missing.push((name.clone(), "it does not exist")),
            Some((_, _, addresses)) if addresses.is_empty() => {
                missing.push((name.clone(), "it has no IPv4 address"))
            }
            Some((flags, ..)) if !flags.contains(InterfaceFlags::IFF_UP) => {
                missing.push((name.clone(), "it is down"))
            }
            Some(_) => {}
        }
    }
    for (name, (flags, mac, addresses)) in found {
        let chosen = if wanted.is_empty() {
            flags.contains(InterfaceFlags::IFF_BROADCAST)
        } else {
            wanted.contains(&name)
        };
        if !chosen || addresses.is_empty() || !flags.contains(InterfaceFlags::IFF_UP) {
            continue;
        }
        // An interface that went away in between is simply absent.
        let Ok(index) = nix::net::if_::if_nametoindex(name.as_str()) else { continue };
        links.push(Link { id: LinkId(index), name, mac: mac.unwrap_or(MacAddr([0; 6])), addresses });
    }
    Ok((links, missing))
}

const BUFFER_BYTES: usize = 4 << 20;
