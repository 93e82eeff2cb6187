//! A UDP socket that knows which of our addresses a datagram was sent to, and answers from that address.
//!
//! A server with several addresses that answers from whichever the routing table prefers is ignored by clients that compare
//! (RFC 1123 section 2.3), and a firewall drops the answer. `IP_PKTINFO` carries the address both ways.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt, sockopt};
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
    pub(crate) from: SocketAddrV4,
    /// Which of our addresses answers: the one it was sent to, or for a broadcast the interface's own.
    pub(crate) asked: Ipv4Addr,
    /// Index of the interface it came in through.
    pub(crate) interface: u32,
    /// How many bytes of the buffer it fills.
    pub(crate) bytes: usize,
    /// It was longer than the buffer, and its end is lost.
    pub(crate) cut: bool,
}

impl AskedSocket {
    /// Binds inside a tokio runtime.
    pub(crate) fn bind(address: SocketAddrV4) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        Ok(Self { socket: UdpSocket::from_std(socket)? })
    }

    /// The address it is bound to.
    pub(crate) fn local(&self) -> io::Result<SocketAddrV4> {
        match self.socket.local_addr()? {
            SocketAddr::V4(address) => Ok(address),
            SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Waits for a datagram. One whose source nobody can answer (port 0, no or every address) is left out.
    pub(crate) async fn receive(&self, buffer: &mut [u8], control: &mut Vec<u8>) -> io::Result<Datagram> {
        loop {
            let received =
                self.socket.async_io(Interest::READABLE, || self.try_receive(buffer, control)).await?;
            let Some(datagram) = received else { continue };
            let ip = datagram.from.ip();
            if datagram.from.port() != 0 && !ip.is_unspecified() && !ip.is_broadcast() && !ip.is_multicast() {
                return Ok(datagram);
            }
        }
    }

    fn try_receive(&self, buffer: &mut [u8], control: &mut Vec<u8>) -> io::Result<Option<Datagram>> {
        let mut parts = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrIn>(
            self.socket.as_raw_fd(),
            &mut parts,
            Some(control.as_mut_slice()),
            MsgFlags::MSG_DONTWAIT,
        )?;
        let info = message.cmsgs()?.find_map(|part| match part {
            ControlMessageOwned::Ipv4PacketInfo(info) => Some(info),
            _ => None,
        });
        let (Some(from), Some(info)) = (message.address, info) else { return Ok(None) };
        Ok(Some(Datagram {
            from: SocketAddrV4::new(from.ip(), from.port()),
            asked: Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)),
            interface: u32::try_from(info.ipi_ifindex).unwrap_or(0),
            bytes: message.bytes,
            cut: message.flags.contains(MsgFlags::MSG_TRUNC),
        }))
    }

    /// Answers a datagram from the address it was sent to. When the send queue is full the answer is dropped: its asker
    /// asks again, while waiting would let one slow interface hold up all others.
    pub(crate) fn answer(&self, asked: &Datagram, bytes: &[u8]) -> io::Result<()> {
        let control = source_control(asked.asked);
        let to = socket2::SockAddr::from(asked.from);
        let parts = [IoSlice::new(bytes)];
        // Not nix's `sendmsg`, which allocates for each datagram.
        let message = socket2::MsgHdr::new().with_addr(&to).with_buffers(&parts).with_control(&control);
        socket2::SockRef::from(&self.socket).sendmsg(&message, nix::libc::MSG_DONTWAIT)?;
        Ok(())
    }
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

/// As long as CMSG_SPACE says: a multiple of the size of a word.
const CONTROL_BYTES: usize = (size_of::<nix::libc::cmsghdr>() + size_of::<nix::libc::in_pktinfo>())
    .next_multiple_of(size_of::<usize>());

/// A buffer for [`AskedSocket::receive`], to be used again and again.
pub(crate) fn control_buffer() -> Vec<u8> {
    nix::cmsg_space!(nix::libc::in_pktinfo)
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
    async fn a_datagram_longer_than_the_buffer_is_marked() {
        let server = AskedSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        client.send_to(&[1; 100], server.local().unwrap()).await.unwrap();
        let datagram = server.receive(&mut [0; 16], &mut control_buffer()).await.unwrap();
        assert!(datagram.cut);
    }
}
