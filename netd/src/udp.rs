//! A UDP socket that knows which of our addresses a datagram was sent to, and answers from that address.
//!
//! A server with several addresses that answers from whichever the routing table prefers is ignored by clients that compare
//! (RFC 1123 section 2.3), and a firewall drops the answer. `IP_PKTINFO` and `IPV6_PKTINFO` carry the address both ways.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Socket, Type};
use tokio::io::Interest;
use tokio::net::UdpSocket;

/// A bound socket.
#[derive(Debug)]
pub(crate) struct AskedSocket {
    socket: UdpSocket,
}

/// What is known about one received datagram; its bytes are in the caller's buffer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datagram {
    /// Who sent it.
    pub(crate) from: SocketAddr,
    /// Which of our addresses answers: the one it was sent to, or for a broadcast the interface's own.
    pub(crate) asked: IpAddr,
    /// Index of the interface it came in through.
    pub(crate) interface: u32,
    /// How many bytes of the buffer it fills.
    pub(crate) bytes: usize,
    /// It was longer than the buffer, and its end is lost.
    pub(crate) cut: bool,
}

impl Datagram {
    /// Who sent it, and which of our addresses answers, if both are of IPv4.
    pub(crate) fn v4(&self) -> Option<(SocketAddrV4, Ipv4Addr)> {
        match (self.from, self.asked) {
            (SocketAddr::V4(from), IpAddr::V4(asked)) => Some((from, asked)),
            _ => None,
        }
    }
}

impl AskedSocket {
    /// Binds inside a tokio runtime.
    pub(crate) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
        if address.is_ipv6() {
            // IPv4 has a socket of its own.
            socket.set_only_v6(true)?;
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())? })
    }

    /// The address it is bound to.
    pub(crate) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Waits for a datagram. One whose source nobody can answer (port 0, no or every address) is left out.
    pub(crate) async fn receive(&self, buffer: &mut [u8], control: &mut Vec<u8>) -> io::Result<Datagram> {
        loop {
            let receive = || self.try_receive(buffer, control);
            let received = self.socket.async_io(Interest::READABLE, receive).await?;
            let Some(datagram) = received else { continue };
            let ip = datagram.from.ip();
            let nobody = ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
            if datagram.from.port() != 0 && !nobody {
                return Ok(datagram);
            }
        }
    }

    fn try_receive(&self, buffer: &mut [u8], control: &mut Vec<u8>) -> io::Result<Option<Datagram>> {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(control.as_mut_slice()),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let asked = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let asked = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
                Some((IpAddr::V4(asked), u32::try_from(info.ipi_ifindex).unwrap_or(0)))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                Some((Ipv6Addr::from(info.ipi6_addr.s6_addr).into(), info.ipi6_ifindex))
            }
            _ => None,
        });
        let (Some(from), Some((asked, interface))) = (message.address.as_ref().and_then(sender), asked)
        else {
            return Ok(None);
        };
        let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
        Ok(Some(Datagram { from, asked, interface, bytes: message.bytes, cut }))
    }

    /// Answers a datagram from the address it was sent to. When the send queue is full the answer is dropped: its asker
    /// asks again, while waiting would let one slow interface hold up all others.
    pub(crate) fn answer(&self, asked: &Datagram, bytes: &[u8]) -> io::Result<()> {
        let (v4, v6);
        let control: &[u8] = match asked.asked {
            IpAddr::V4(source) => {
                v4 = source_control(source);
                &v4
            }
            IpAddr::V6(source) => {
                v6 = source_control_v6(source, asked.interface);
                &v6
            }
        };
        let to = socket2::SockAddr::from(asked.from);
        let parts = [IoSlice::new(bytes)];
        // Not nix's `sendmsg`, which allocates for each datagram.
        let message = socket2::MsgHdr::new().with_addr(&to).with_buffers(&parts).with_control(control);
        socket2::SockRef::from(&self.socket).sendmsg(&message, nix::libc::MSG_DONTWAIT)?;
        Ok(())
    }
}

fn sender(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from((v4.ip(), v4.port())));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| std::net::SocketAddrV6::from(*v6).into()))
}

/// A control message that names our source address (ip(7), `IP_PKTINFO`): length, level, type, and an `in_pktinfo` of interface,
/// address, and an address that is not read.
fn source_control(source: Ipv4Addr) -> [u8; CONTROL_BYTES] {
    let mut control = [0; CONTROL_BYTES];
    let (level, kind) = (nix::libc::IPPROTO_IP.to_ne_bytes(), nix::libc::IP_PKTINFO.to_ne_bytes());
    let length = (size_of::<nix::libc::cmsghdr>() + size_of::<nix::libc::in_pktinfo>()).to_ne_bytes();
    let interface = 0_i32.to_ne_bytes();
    let fields = length.iter().chain(&level).chain(&kind).chain(&interface).copied();
    for (to, byte) in control.iter_mut().zip(fields.chain(source.octets())) {
        *to = byte;
    }
    control
}

/// The same for IPv6 (ipv6(7), `IPV6_PKTINFO`): an `in6_pktinfo` of address and interface.
fn source_control_v6(source: Ipv6Addr, interface: u32) -> [u8; CONTROL_V6_BYTES] {
    let mut control = [0; CONTROL_V6_BYTES];
    let (level, kind) = (nix::libc::IPPROTO_IPV6.to_ne_bytes(), nix::libc::IPV6_PKTINFO.to_ne_bytes());
    let length = (size_of::<nix::libc::cmsghdr>() + size_of::<nix::libc::in6_pktinfo>()).to_ne_bytes();
    let fields = length.iter().chain(&level).chain(&kind).copied();
    let fields = fields.chain(source.octets()).chain(interface.to_ne_bytes());
    for (to, byte) in control.iter_mut().zip(fields) {
        *to = byte;
    }
    control
}

const CONTROL_V6_BYTES: usize = (size_of::<nix::libc::cmsghdr>() + size_of::<nix::libc::in6_pktinfo>())
    .next_multiple_of(size_of::<usize>());
/// As long as CMSG_SPACE says: a multiple of the size of a word.
const CONTROL_BYTES: usize = (size_of::<nix::libc::cmsghdr>() + size_of::<nix::libc::in_pktinfo>())
    .next_multiple_of(size_of::<usize>());

/// A buffer for [`AskedSocket::receive`], to be used again and again.
pub(crate) fn control_buffer() -> Vec<u8> {
    // The longer one has room for the shorter.
    nix::cmsg_space!(nix::libc::in6_pktinfo)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn answers_leave_from_the_address_that_was_asked() {
        let server = AskedSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let port = server.local().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        for asked in ["127.0.0.1", "127.0.0.2", "127.88.1.7"] {
            client.send_to(b"hello", (asked, port)).await.unwrap();
            let (mut buffer, mut control) = ([0; 16], control_buffer());
            let datagram = server.receive(&mut buffer, &mut control).await.unwrap();
            assert_eq!(
                (datagram.asked.to_string().as_str(), datagram.bytes, datagram.cut),
                (asked, 5, false)
            );
            server.answer(&datagram, b"welcome").unwrap();
            let (_, from) = client.recv_from(&mut buffer).await.unwrap();
            assert_eq!(from.to_string(), format!("{asked}:{port}"));
        }
    }

    #[tokio::test]
    async fn so_they_do_with_ipv6() {
        let server = AskedSocket::bind("[::]:0".parse().unwrap()).unwrap();
        let port = server.local().unwrap().port();
        let client = UdpSocket::bind("[::1]:0").await.unwrap();
        client.send_to(b"hello", ("::1", port)).await.unwrap();
        let (mut buffer, mut control) = ([0; 16], control_buffer());
        let datagram = server.receive(&mut buffer, &mut control).await.unwrap();
        assert_eq!((datagram.asked.to_string().as_str(), datagram.bytes), ("::1", 5));
        assert_eq!(datagram.from, client.local_addr().unwrap());
        server.answer(&datagram, b"welcome").unwrap();
        let (_, from) = client.recv_from(&mut buffer).await.unwrap();
        assert_eq!(from.to_string(), format!("[::1]:{port}"));
        // IPv4 is another socket's.
        AskedSocket::bind(format!("0.0.0.0:{port}").parse().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_datagram_longer_than_the_buffer_is_marked() {
        let server = AskedSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&[1; 100], server.local().unwrap()).await.unwrap();
        let datagram = server.receive(&mut [0; 16], &mut control_buffer()).await.unwrap();
        assert!(datagram.cut);
    }
}
