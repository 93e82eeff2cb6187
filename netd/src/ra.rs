//! Answers router solicitations with "there is no IPv6 router here".
//!
//! | Standard | What is done here                                                                                  |
//! |----------|----------------------------------------------------------------------------------------------------|
//! | RFC 4861 | section 6.2.6: a solicited advertisement, at most one every 3 s; router lifetime 0 (section 6.2.5) |
//!
//! Firmware and iPXE wait about 13 seconds for a router before they go on with IPv4. The advertisement names no prefix, no
//! router and no DHCPv6, so it changes nothing for a host, whether or not the network has a real router; it only ends the
//! waiting. Without IPv6 on the interface this does nothing.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant};

use inventory::clock;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// Answers until it is dropped.
#[derive(Debug)]
pub struct Handle(#[expect(dead_code, reason = "dropping it ends the tasks")] JoinSet<()>);

/// Starts answering on each interface. An interface that cannot is told in the log and left out.
#[must_use]
pub fn serve(interfaces: &[String]) -> Handle {
    let mut tasks = JoinSet::new();
    for name in interfaces {
        match open(name) {
            Ok((socket, index)) => {
                tasks.spawn(answer(socket, index, name.clone()));
            }
            Err(error) => {
                tracing::info!(interface = %name, %error, "router solicitations are not answered; PCs may wait for an IPv6 router when they boot");
            }
        }
    }
    Handle(tasks)
}

async fn answer(socket: UdpSocket, index: u32, interface: String) {
    let everybody = SocketAddr::V6(SocketAddrV6::new(ALL_NODES, 0, 0, index));
    let mut limit = Limit::default();
    let mut room = [0; 8];
    loop {
        // The filter lets only solicitations through, and the kernel has checked their checksum.
        match socket.recv(&mut room).await {
            Ok(8..) if limit.allows(clock::instant()) => {
                if let Err(error) = socket.send_to(&NO_ROUTER, everybody).await {
                    tracing::debug!(%interface, %error, "cannot answer a router solicitation");
                }
            }
            Ok(_) => {}
            Err(error) => {
                tracing::info!(%interface, %error, "router solicitations are not answered any more");
                return;
            }
        }
    }
}

/// RFC 4861 section 6.2.6: advertisements to all nodes at most every MIN_DELAY_BETWEEN_RAS.
#[derive(Default)]
struct Limit {
    last: Option<Instant>,
}

impl Limit {
    fn allows(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|last| now.duration_since(last) < MIN_DELAY_BETWEEN_RAS) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

/// A raw ICMPv6 socket. Tokio has no type for one; to the runtime it is a datagram socket like any other.
fn open(interface: &str) -> io::Result<(UdpSocket, u32)> {
    let socket = Socket::new(Domain::IPV6, Type::RAW, Some(Protocol::ICMPV6))?;
    let index = nix::net::if_::if_nametoindex(interface)?;
    only_solicitations(&socket)?;
    socket.bind_device(Some(interface.as_bytes()))?;
    socket.join_multicast_v6(&ALL_ROUTERS, index)?;
    socket.set_multicast_if_v6(index)?;
    // Receivers drop neighbour discovery that crossed a router (RFC 4861 section 6.1.2).
    socket.set_multicast_hops_v6(255)?;
    socket.set_multicast_loop_v6(false)?;
    socket.set_nonblocking(true)?;
    Ok((UdpSocket::from_std(socket.into())?, index))
}

/// ICMP6_FILTER (RFC 3542 section 3.2): a bit per type; set means blocked.
#[allow(unsafe_code, reason = "no safe wrapper knows this socket option")]
fn only_solicitations(socket: &Socket) -> io::Result<()> {
    use std::os::fd::AsRawFd as _;
    const ICMP6_FILTER: libc::c_int = 1;
    let mut blocked = [u32::MAX; 8];
    if let Some(word) = blocked.get_mut(usize::from(ROUTER_SOLICITATION >> 5)) {
        *word &= !(1 << (ROUTER_SOLICITATION & 31));
    }
    let size = libc::socklen_t::try_from(size_of_val(&blocked)).unwrap_or(0);
    // SAFETY: the pointer and the size describe `blocked`, which outlives the call; the kernel only reads it.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_ICMPV6,
            ICMP6_FILTER,
            blocked.as_ptr().cast(),
            size,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const ALL_ROUTERS: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 2);
const ROUTER_SOLICITATION: u8 = 133;
/// Type 134, everything else zero: no hop limit advice, no flags, lifetime 0. The kernel fills in the checksum.
const NO_ROUTER: [u8; 16] = [134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
const MIN_DELAY_BETWEEN_RAS: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc4861_6_2_6_at_most_one_advertisement_every_three_seconds() {
        let start = clock::instant();
        let mut limit = Limit::default();
        let at = |ms| start + Duration::from_millis(ms);
        let answered: Vec<bool> = [0, 10, 2999, 3000, 5999, 6001].map(|ms| limit.allows(at(ms))).to_vec();
        assert_eq!(answered, [true, false, false, true, false, true]);
    }
}
