//! Which card is behind an IPv6 address, as the kernel's neighbour table says (RFC 4861 section 5.1). Devices make their IPv6
//! addresses themselves and change them daily; the card stays.
//!
//! The table is asked for one address at a time: the kernel answers that within the system call. What it says is remembered for a
//! few seconds. A device that knows us already may ask from an address that the kernel has not spoken with yet; then the kernel is
//! told to look for it.

use std::collections::HashMap;
use std::io;
use std::net::Ipv6Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use inventory::{MacAddr, clock};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// An interface of ours: name and number.
pub(crate) type Link = (Arc<str>, u32);

/// The card behind an address, and the interface where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Neighbour {
    pub(crate) mac: MacAddr,
    pub(crate) link: Arc<str>,
}

/// What the kernel knows of the neighbours.
#[derive(Debug)]
pub(crate) struct Neighbours {
    /// `None` if the kernel has no such socket.
    kernel: Option<Mutex<OwnedFd>>,
    known: Mutex<HashMap<Ipv6Addr, (Instant, Option<Neighbour>)>>,
}

impl Neighbours {
    /// Opens the socket.
    pub(crate) fn open() -> Self {
        let (flags, kind) = (SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        let kernel = socket(AddressFamily::Netlink, SockType::Raw, flags, kind)
            .map_err(|error| tracing::warn!(%error, "questions over IPv6 are not answered"))
            .ok();
        Self { kernel: kernel.map(Mutex::new), known: Mutex::default() }
    }

    /// The neighbour at an address on one of these interfaces. Addresses that hold for one interface only are nobody's.
    pub(crate) fn find(&self, address: Ipv6Addr, links: &[Link], now: Instant) -> Option<Neighbour> {
        if address.is_unicast_link_local() {
            return None;
        }
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, neighbour)) = known.get(&address).filter(|(until, _)| now < *until) {
            return neighbour.clone();
        }
        drop(known);
        self.look(address, links, now)
    }

    /// Has the kernel look for whoever has an address on an interface (neighbour solicitation), and waits for it for a moment.
    pub(crate) async fn seek(&self, address: Ipv6Addr, link: &Link) {
        let request = request(RTM_NEWNEIGH, address, link.1);
        let asked = self.kernel.as_ref().is_some_and(|kernel| {
            let kernel = kernel.lock().unwrap_or_else(PoisonError::into_inner);
            send(kernel.as_raw_fd(), &request, MsgFlags::empty()).is_ok()
        });
        for _ in 0..if asked { SEEK_TIMES } else { 0 } {
            if self.look(address, std::slice::from_ref(link), clock::instant()).is_some() {
                return;
            }
            tokio::time::sleep(SEEK_PAUSE).await;
        }
    }

    /// Asks the kernel, whatever is remembered.
    fn look(&self, address: Ipv6Addr, links: &[Link], now: Instant) -> Option<Neighbour> {
        let kernel = self.kernel.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let found = links.iter().find_map(|(link, index)| {
            let mac = ask(&kernel, address, *index).ok().flatten()?;
            Some(Neighbour { mac, link: Arc::clone(link) })
        });
        drop(kernel);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            known.retain(|_, (until, _)| now < *until);
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let lasts = if found.is_some() { FOUND } else { NOT_FOUND };
        known.insert(address, (now + lasts, found.clone()));
        found
    }
}

/// Asks the kernel for one entry of its table.
fn ask(kernel: &OwnedFd, address: Ipv6Addr, link: u32) -> io::Result<Option<MacAddr>> {
    send(kernel.as_raw_fd(), &request(RTM_GETNEIGH, address, link), MsgFlags::empty())?;
    let mut answer = [0; ANSWER_BYTES_MAX];
    // One question has one answer, an entry or an error, and it is there already.
    let bytes = recv(kernel.as_raw_fd(), &mut answer, MsgFlags::MSG_DONTWAIT)?;
    Ok(answer.get(..bytes).and_then(|answer| entry(answer, address)))
}

/// `nlmsghdr` (length, type, flags, sequence, port), `ndmsg` (family, padding, interface, state, flags, type) and the address, from
/// linux/netlink.h and linux/neighbour.h. To read an entry, or to make one that the kernel is to fill.
fn request(kind: u16, address: Ipv6Addr, link: u32) -> Vec<u8> {
    let (flags, entry_flags) =
        if kind == RTM_NEWNEIGH { (NLM_F_REQUEST | NLM_F_CREATE, NTF_USE) } else { (NLM_F_REQUEST, 0) };
    let mut bytes = Vec::with_capacity(REQUEST_BYTES.into());
    bytes.extend_from_slice(&u32::from(REQUEST_BYTES).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&flags.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[AF_INET6, 0, 0, 0]);
    bytes.extend_from_slice(&link.to_ne_bytes());
    bytes.extend_from_slice(&[0, 0, entry_flags, 0]);
    bytes.extend_from_slice(&ATTRIBUTE_BYTES.to_ne_bytes());
    bytes.extend_from_slice(&NDA_DST.to_ne_bytes());
    bytes.extend_from_slice(&address.octets());
    bytes
}

/// The card in an answer about that address, if the kernel has spoken with it.
fn entry(answer: &[u8], address: Ipv6Addr) -> Option<MacAddr> {
    let kind = answer.get(4..6)?.first_chunk::<2>()?;
    let state = answer.get(24..26)?.first_chunk::<2>()?;
    if u16::from_ne_bytes(*kind) != RTM_NEWNEIGH || u16::from_ne_bytes(*state) & NUD_VALID == 0 {
        return None;
    }
    let (mut about, mut card) = (false, None);
    let mut rest = answer.get(HEADERS_BYTES..)?;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_ne_bytes(*length));
        let (kind, value) = after.get(..length.checked_sub(2)?)?.split_first_chunk::<2>()?;
        match u16::from_ne_bytes(*kind) {
            NDA_DST => about = value == address.octets(),
            NDA_LLADDR => card = value.first_chunk::<6>().map(|bytes| MacAddr(*bytes)),
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    card.filter(|_| about)
}

const RTM_NEWNEIGH: u16 = 28;
const RTM_GETNEIGH: u16 = 30;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_CREATE: u16 = 0x400;
/// Use it now: look for the neighbour.
const NTF_USE: u8 = 1;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const AF_INET6: u8 = 10;
/// Reachable, stale, delayed, probed, permanent.
const NUD_VALID: u16 = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
const HEADERS_BYTES: usize = 28;
const ATTRIBUTE_BYTES: u16 = 20;
const REQUEST_BYTES: u16 = 48;
const ANSWER_BYTES_MAX: usize = 512;
const KNOWN_MAX: usize = 16_384;
const FOUND: Duration = Duration::from_secs(5);
const NOT_FOUND: Duration = Duration::from_millis(500);
/// The kernel asks again after a second (RFC 4861 section 10, RETRANS_TIMER), and a device does not hear the first question if it
/// has just made the address.
const SEEK_TIMES: u32 = 150;
const SEEK_PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(state: u8, address: Ipv6Addr) -> Vec<u8> {
        let mut bytes = request(RTM_NEWNEIGH, address, 3);
        bytes[24] = state;
        bytes.extend([10, 0, 2, 0, 2, 0, 0, 0, 0, 9, 0, 0]);
        bytes
    }

    #[test]
    fn an_entry_is_read_if_it_is_about_the_address_and_the_kernel_knows_the_card() {
        let [one, other] = ["fd77::10", "fd77::11"].map(|text| text.parse::<Ipv6Addr>().unwrap());
        assert_eq!(entry(&answer(2, one), one), Some(MacAddr([2, 0, 0, 0, 0, 9])));
        assert_eq!(entry(&answer(4, one), one), Some(MacAddr([2, 0, 0, 0, 0, 9])));
        assert_eq!(entry(&answer(1, one), one), None, "nobody answered yet");
        assert_eq!(entry(&answer(32, one), one), None, "nobody answered");
        assert_eq!(entry(&answer(2, one), other), None);
        let whole = answer(2, one);
        for end in 0..whole.len() {
            let _ = entry(&whole[..end], one);
        }
        let mut endless = answer(2, one);
        endless[28] = 0;
        assert_eq!(entry(&endless, one), None, "a length of nothing ends the reading");
    }

    #[test]
    fn what_nobody_has_is_nobodys_and_remembered() {
        let neighbours = Neighbours::open();
        let (address, now) = ("fd77::1234".parse().unwrap(), inventory::clock::instant());
        assert_eq!(neighbours.find(address, &[("lo".into(), 1)], now), None);
        assert_eq!(neighbours.known.lock().unwrap().len(), 1);
        assert_eq!(neighbours.find("fe80::1".parse().unwrap(), &[("lo".into(), 1)], now), None);
    }
}
