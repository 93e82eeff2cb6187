//! Cards up, addresses and the default route, by rtnetlink (rtnetlink(7)); there is no `ip` in the boot environment.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

use super::dhcp::Lease;

/// Switches a card on.
///
/// # Errors
/// No such card, or not allowed.
pub fn set_up(card: &str) -> io::Result<()> {
    // struct ifinfomsg: family, type, index, flags, change mask.
    let mut body = vec![0; 4];
    body.extend(index_of(card)?.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    body.extend(IFF_UP.to_ne_bytes());
    request(RTM_NEWLINK, 0, &body)
}

/// Gives a card its address, without any other of ours, and the default route.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn configure(card: &str, lease: &Lease) -> io::Result<()> {
    let index = index_of(card)?;
    let mut body = address_header(lease.prefix, index);
    let broadcast =
        Ipv4Addr::from_bits(lease.address.to_bits() | u32::MAX.checked_shr(lease.prefix.into()).unwrap_or(0));
    attribute(&mut body, IFA_LOCAL, &lease.address.octets());
    attribute(&mut body, IFA_ADDRESS, &lease.address.octets());
    attribute(&mut body, IFA_BROADCAST, &broadcast.octets());
    request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &body)?;
    let Some(router) = lease.router.filter(|r| *r != lease.address) else { return Ok(()) };
    // struct rtmsg: family, destination length, source length, tos, table, protocol, scope, type, flags.
    let mut body =
        vec![AF_INET, 0, 0, 0, RT_TABLE_MAIN, RTPROT_DHCP, RT_SCOPE_UNIVERSE, RTN_UNICAST, 0, 0, 0, 0];
    attribute(&mut body, RTA_GATEWAY, &router.octets());
    attribute(&mut body, RTA_OIF, &index.to_ne_bytes());
    // With two cards there are two default routes, told apart by their preference.
    attribute(&mut body, RTA_PRIORITY, &(100 + index).to_ne_bytes());
    request(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &body)
}

/// Takes an address away from a card.
///
/// # Errors
/// Whatever the kernel refuses.
pub fn deconfigure(card: &str, address: Ipv4Addr, prefix: u8) -> io::Result<()> {
    let mut body = address_header(prefix, index_of(card)?);
    attribute(&mut body, IFA_LOCAL, &address.octets());
    request(RTM_DELADDR, 0, &body)
}

/// struct ifaddrmsg: family, prefix length, flags, scope, index.
fn address_header(prefix: u8, index: u32) -> Vec<u8> {
    let mut body = vec![AF_INET, prefix, 0, RT_SCOPE_UNIVERSE];
    body.extend(index.to_ne_bytes());
    body
}

fn index_of(card: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(card)?)
}

/// struct rtattr: length, type, value, filled up to a multiple of four.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Sends one request and waits for the kernel's answer to it.
fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let netlink: OwnedFd =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    // struct nlmsghdr: length, type, flags, sequence number, port.
    let mut message = Vec::with_capacity(16 + body.len());
    message.extend(u32::try_from(16 + body.len()).unwrap_or(u32::MAX).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    sendto(netlink.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut answer = vec![0; 8192];
    let length = recv(netlink.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    match acknowledgement(answer.get(..length).unwrap_or_default()) {
        Some(0) => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno)),
        None => Err(io::Error::new(io::ErrorKind::InvalidData, "no answer from rtnetlink")),
    }
}

/// The error number in an NLMSG_ERROR; 0 means done.
fn acknowledgement(answer: &[u8]) -> Option<i32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let negative = i32::from_ne_bytes(answer.get(16..20)?.try_into().ok()?);
    (kind == NLMSG_ERROR).then_some(negative.wrapping_neg())
}

const AF_INET: u8 = libc::AF_INET as u8;
const IFF_UP: u32 = libc::IFF_UP as u32;
const RTM_NEWLINK: u16 = libc::RTM_NEWLINK;
const RTM_NEWADDR: u16 = libc::RTM_NEWADDR;
const RTM_DELADDR: u16 = libc::RTM_DELADDR;
const RTM_NEWROUTE: u16 = libc::RTM_NEWROUTE;
const NLM_F_REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const NLM_F_ACK: u16 = libc::NLM_F_ACK as u16;
const NLM_F_CREATE: u16 = libc::NLM_F_CREATE as u16;
const NLM_F_REPLACE: u16 = libc::NLM_F_REPLACE as u16;
const NLMSG_ERROR: u16 = libc::NLMSG_ERROR as u16;
const IFA_ADDRESS: u16 = libc::IFA_ADDRESS;
const IFA_LOCAL: u16 = libc::IFA_LOCAL;
const IFA_BROADCAST: u16 = libc::IFA_BROADCAST;
const RTA_GATEWAY: u16 = libc::RTA_GATEWAY;
const RTA_OIF: u16 = libc::RTA_OIF;
const RTA_PRIORITY: u16 = libc::RTA_PRIORITY;
const RT_TABLE_MAIN: u8 = libc::RT_TABLE_MAIN;
const RT_SCOPE_UNIVERSE: u8 = libc::RT_SCOPE_UNIVERSE;
const RTN_UNICAST: u8 = libc::RTN_UNICAST;
/// Route learnt by DHCP, linux/rtnetlink.h.
const RTPROT_DHCP: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_that_does_not_exist_is_an_error() {
        assert!(set_up("nosuchcard0").is_err());
    }

    #[test]
    fn the_kernel_says_why_it_refuses() {
        // An address for the card with the index 0, which no card has.
        let error = request(RTM_NEWADDR, NLM_F_CREATE, &address_header(24, 0)).unwrap_err();
        assert!(error.raw_os_error().is_some(), "{error}");
    }

    #[test]
    fn attributes_are_filled_up_to_four_bytes() {
        let mut body = Vec::new();
        attribute(&mut body, 3, b"abcde");
        assert_eq!(body, [&9u16.to_ne_bytes()[..], &3u16.to_ne_bytes(), b"abcde\0\0\0"].concat());
    }
}
