//! System calls that neither the standard library nor nix offers as they are needed: many datagrams in one call with the
//! address they were sent to, and sockets of the link layer.
#![allow(
    unsafe_code,
    reason = "recvmmsg, sendmmsg and sockaddr_ll have no safe interface that keeps IP_PKTINFO per message"
)]

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use inventory::MacAddr;

/// Buffers for [`Inbox::receive`].
pub(super) struct Inbox {
    slots: Vec<Slot>,
}

struct Slot {
    bytes: [u8; DATAGRAM_BYTES],
    length: usize,
    cut: bool,
    from: libc::sockaddr_in,
    control: Control,
    control_length: usize,
}

/// Room for one `in_pktinfo`, aligned as control messages must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// A received datagram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Datagram<'a> {
    pub(super) from: SocketAddrV4,
    pub(super) to: Ipv4Addr,
    /// Longer than any DHCP packet may be; the rest is lost.
    pub(super) cut: bool,
    pub(super) bytes: &'a [u8],
}

impl Inbox {
    pub(super) fn new() -> Self {
        let slot = || Slot {
            bytes: [0; DATAGRAM_BYTES],
            length: 0,
            cut: false,
            // SAFETY: all zeros is a valid sockaddr_in.
            from: unsafe { zeroed() },
            control: Control([0; 64]),
            control_length: 0,
        };
        Self { slots: std::iter::repeat_with(slot).take(BATCH).collect() }
    }

    /// Takes what waits at a socket, at most 64 datagrams; none is no error.
    pub(super) fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
    ) -> io::Result<impl Iterator<Item = Datagram<'_>>> {
        let mut parts: Vec<libc::iovec> = Vec::with_capacity(BATCH);
        let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(BATCH);
        for slot in &mut self.slots {
            parts.push(libc::iovec { iov_base: slot.bytes.as_mut_ptr().cast(), iov_len: DATAGRAM_BYTES });
            // SAFETY: all zeros is a valid mmsghdr.
            let mut header: libc::mmsghdr = unsafe { zeroed() };
            header.msg_hdr.msg_name = ptr::from_mut(&mut slot.from).cast();
            header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
            header.msg_hdr.msg_control = slot.control.0.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
            headers.push(header);
        }
        for (header, part) in headers.iter_mut().zip(&mut parts) {
            header.msg_hdr.msg_iov = part;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: every header points to buffers of `self` and to `parts`, which outlive the call, with their true lengths.
        let received = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                headers.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = match usize::try_from(received) {
            Ok(received) => received,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => 0,
                error => return Err(error),
            },
        };
        for (slot, header) in self.slots.iter_mut().zip(&headers).take(received) {
            slot.length = (header.msg_len as usize).min(DATAGRAM_BYTES);
            slot.cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.control_length = header.msg_hdr.msg_controllen.min(size_of::<Control>());
        }
        Ok(self.slots.iter().take(received).map(Slot::datagram))
    }
}

impl Slot {
    fn datagram(&self) -> Datagram<'_> {
        Datagram {
            from: SocketAddrV4::new(
                u32::from_be(self.from.sin_addr.s_addr).into(),
                u16::from_be(self.from.sin_port),
            ),
            to: self.destination().unwrap_or(Ipv4Addr::UNSPECIFIED),
            cut: self.cut,
            bytes: self.bytes.get(..self.length).unwrap_or_default(),
        }
    }

    /// The address in the IP header, from the control message.
    fn destination(&self) -> Option<Ipv4Addr> {
        const HEADER: usize = size_of::<libc::cmsghdr>();
        let control = self.control.0.get(..self.control_length)?;
        if control.len() < HEADER + size_of::<libc::in_pktinfo>() {
            return None;
        }
        // SAFETY: the buffer is long enough, checked above; both types are plain numbers, read unaligned.
        let (header, info) = unsafe {
            (
                control.as_ptr().cast::<libc::cmsghdr>().read_unaligned(),
                control.as_ptr().add(HEADER).cast::<libc::in_pktinfo>().read_unaligned(),
            )
        };
        let is_info = header.cmsg_level == libc::IPPROTO_IP && header.cmsg_type == libc::IP_PKTINFO;
        is_info.then(|| u32::from_be(info.ipi_addr.s_addr).into())
    }
}

/// A datagram to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outgoing<'a> {
    pub(super) to: Target,
    pub(super) bytes: &'a [u8],
}

/// Where a datagram goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// Through a UDP socket, from one of our addresses.
    Udp { source: Ipv4Addr, to: SocketAddrV4 },
    /// Through a link-layer socket, as an IPv4 packet to a card.
    Card { link: u32, mac: MacAddr },
}

/// Sends datagrams through one socket and returns how many the kernel took. One that cannot be sent costs only itself.
pub(super) fn send(socket: BorrowedFd<'_>, messages: &[Outgoing<'_>]) -> usize {
    messages.chunks(BATCH).map(|part| send_batch(socket, part)).sum()
}

fn send_batch(socket: BorrowedFd<'_>, messages: &[Outgoing<'_>]) -> usize {
    let count = messages.len();
    let mut parts: Vec<libc::iovec> = Vec::with_capacity(count);
    let mut names: Vec<libc::sockaddr_storage> = Vec::with_capacity(count);
    let mut controls = vec![Control([0; 64]); count];
    let mut headers: Vec<libc::mmsghdr> = Vec::with_capacity(count);
    for (message, control) in messages.iter().zip(&mut controls) {
        parts.push(libc::iovec {
            iov_base: message.bytes.as_ptr().cast_mut().cast(),
            iov_len: message.bytes.len(),
        });
        // SAFETY: all zeros is valid for both types.
        let (mut name, mut header): (libc::sockaddr_storage, libc::mmsghdr) = unsafe { zeroed() };
        let name_length = match message.to {
            Target::Udp { source, to } => {
                header.msg_hdr.msg_controllen = write_source(control, source);
                // SAFETY: a sockaddr_storage is large enough and aligned for every kind of address.
                unsafe { ptr::from_mut(&mut name).cast::<libc::sockaddr_in>().write(inet(to)) };
                size_of::<libc::sockaddr_in>()
            }
            Target::Card { link, mac } => {
                let address = link_address(link, libc::ETH_P_IP, Some(mac));
                // SAFETY: as above.
                unsafe { ptr::from_mut(&mut name).cast::<libc::sockaddr_ll>().write(address) };
                size_of::<libc::sockaddr_ll>()
            }
        };
        header.msg_hdr.msg_namelen = name_length as libc::socklen_t;
        names.push(name);
        headers.push(header);
    }
    for (((header, part), name), control) in
        headers.iter_mut().zip(&mut parts).zip(&mut names).zip(&mut controls)
    {
        header.msg_hdr.msg_iov = part;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = ptr::from_mut(name).cast();
        if header.msg_hdr.msg_controllen > 0 {
            header.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
        }
    }
    let (mut at, mut sent) = (0, 0);
    while let Some(rest) = headers.get_mut(at..).filter(|rest| !rest.is_empty()) {
        // SAFETY: every header points into `parts`, `names`, `controls` and the messages' bytes, which outlive the call; the
        // kernel only reads them.
        let taken = unsafe {
            libc::sendmmsg(
                socket.as_raw_fd(),
                rest.as_mut_ptr(),
                rest.len() as libc::c_uint,
                libc::MSG_DONTWAIT,
            )
        };
        match usize::try_from(taken) {
            Ok(taken) if taken > 0 => {
                at += taken;
                sent += taken;
            }
            // The first of the rest failed.
            _ => at += 1,
        }
    }
    sent
}

/// Writes an IP_PKTINFO that names our source address; returns the length used.
fn write_source(control: &mut Control, source: Ipv4Addr) -> usize {
    const HEADER: usize = size_of::<libc::cmsghdr>();
    const LENGTH: usize = HEADER + size_of::<libc::in_pktinfo>();
    const { assert!(LENGTH <= size_of::<Control>()) };
    // SAFETY: all zeros is valid for both types.
    let (mut header, mut info): (libc::cmsghdr, libc::in_pktinfo) = unsafe { zeroed() };
    header.cmsg_level = libc::IPPROTO_IP;
    header.cmsg_type = libc::IP_PKTINFO;
    header.cmsg_len = LENGTH;
    info.ipi_spec_dst.s_addr = u32::from(source).to_be();
    let start = control.0.as_mut_ptr();
    // SAFETY: the buffer is longer than LENGTH, asserted above.
    unsafe {
        start.cast::<libc::cmsghdr>().write_unaligned(header);
        start.add(HEADER).cast::<libc::in_pktinfo>().write_unaligned(info);
    }
    LENGTH.next_multiple_of(size_of::<usize>())
}

fn inet(address: SocketAddrV4) -> libc::sockaddr_in {
    // SAFETY: all zeros is a valid sockaddr_in.
    let mut raw: libc::sockaddr_in = unsafe { zeroed() };
    raw.sin_family = libc::AF_INET as libc::sa_family_t;
    raw.sin_port = address.port().to_be();
    raw.sin_addr.s_addr = u32::from(*address.ip()).to_be();
    raw
}

fn link_address(link: u32, protocol: libc::c_int, mac: Option<MacAddr>) -> libc::sockaddr_ll {
    // SAFETY: all zeros is a valid sockaddr_ll.
    let mut raw: libc::sockaddr_ll = unsafe { zeroed() };
    raw.sll_family = libc::AF_PACKET as libc::sa_family_t;
    raw.sll_protocol = (protocol as u16).to_be();
    raw.sll_ifindex = link as libc::c_int;
    if let Some(mac) = mac {
        raw.sll_halen = 6;
        let (address, _) = raw.sll_addr.split_at_mut(6);
        address.copy_from_slice(&mac.0);
    }
    raw
}

/// Kind of packets that a link-layer socket receives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ether {
    Arp,
    Ipv4,
}

impl Ether {
    fn number(self) -> libc::c_int {
        match self {
            Self::Arp => libc::ETH_P_ARP,
            Self::Ipv4 => libc::ETH_P_IP,
        }
    }
}

/// A socket that sends and receives on one interface below IP; the kernel adds and removes the Ethernet header.
pub(super) fn link_socket(link: u32, ether: Ether) -> io::Result<OwnedFd> {
    let address = link_address(link, ether.number(), None);
    // SAFETY: plain system calls; the descriptor is owned as soon as it exists, the address is of the length given.
    unsafe {
        let protocol = libc::c_int::from((ether.number() as u16).to_be());
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = libc::socket(libc::AF_PACKET, kind, protocol);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = OwnedFd::from_raw_fd(fd);
        let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
        if libc::bind(fd.as_raw_fd(), ptr::from_ref(&address).cast(), length) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(fd)
    }
}

/// Sends one packet through a link-layer socket.
pub(super) fn send_to_card(
    socket: BorrowedFd<'_>,
    link: u32,
    ether: Ether,
    mac: MacAddr,
    bytes: &[u8],
) -> io::Result<()> {
    let address = link_address(link, ether.number(), Some(mac));
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: both buffers outlive the call and have the lengths given.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            libc::MSG_DONTWAIT,
            ptr::from_ref(&address).cast(),
            length,
        )
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const BATCH: usize = 64;
/// No DHCP packet that travels in one Ethernet frame is longer.
const DATAGRAM_BYTES: usize = 2048;

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn many_datagrams_travel_in_one_call_with_the_addresses_they_were_sent_to() {
        let server = UdpSocket::bind("0.0.0.0:0").unwrap();
        nix::sys::socket::setsockopt(&server, nix::sys::socket::sockopt::Ipv4PacketInfo, &true).unwrap();
        let port = server.local_addr().unwrap().port();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(client_address) = client.local_addr().unwrap() else { panic!() };
        let target = |last: u8| Target::Udp {
            source: Ipv4Addr::LOCALHOST,
            to: SocketAddrV4::new([127, 0, 0, last].into(), port),
        };
        let payloads: Vec<Vec<u8>> = (1..=100).map(|n| vec![n; usize::from(n)]).collect();
        let messages: Vec<Outgoing<'_>> =
            payloads.iter().map(|p| Outgoing { to: target(p[0]), bytes: p }).collect();
        assert_eq!(send(client.as_fd(), &messages), 100);
        let mut inbox = Inbox::new();
        let mut seen = 0u8;
        for _ in 0..2 {
            for datagram in inbox.receive(server.as_fd()).unwrap() {
                seen += 1;
                assert_eq!(datagram.from, client_address);
                assert_eq!(datagram.to, Ipv4Addr::new(127, 0, 0, seen));
                assert_eq!((datagram.bytes, datagram.cut), (&payloads[usize::from(seen) - 1][..], false));
            }
        }
        assert_eq!(seen, 100);
        assert_eq!(inbox.receive(server.as_fd()).unwrap().count(), 0);
    }

    #[test]
    fn a_message_that_cannot_be_sent_costs_only_itself() {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let std::net::SocketAddr::V4(to) = server.local_addr().unwrap() else { panic!() };
        let good = Target::Udp { source: Ipv4Addr::LOCALHOST, to };
        let bad = Target::Udp { source: [192, 0, 2, 77].into(), to };
        let messages = [good, bad, good].map(|to| Outgoing { to, bytes: b"x" });
        assert_eq!(send(client.as_fd(), &messages), 2);
    }

    #[test]
    fn what_is_longer_than_a_dhcp_packet_is_marked() {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(&[0; 5000], server.local_addr().unwrap()).unwrap();
        let mut inbox = Inbox::new();
        assert!(inbox.receive(server.as_fd()).unwrap().next().unwrap().cut);
    }
}
