//! The number of the kernel's ruleset, which grows with every transaction of anybody: a glance that costs two system calls.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Asks for the number.
#[derive(Debug)]
pub(crate) struct Generation(OwnedFd);

impl Generation {
    /// Opens the socket.
    ///
    /// # Errors
    /// The kernel has no netfilter.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC;
        let kind = SockProtocol::NetlinkNetFilter;
        Ok(Self(socket(AddressFamily::Netlink, SockType::Raw, flags, kind)?))
    }

    /// The number.
    ///
    /// # Errors
    /// The kernel said no or something else.
    pub(crate) fn read(&self) -> io::Result<u32> {
        send(self.0.as_raw_fd(), &REQUEST, MsgFlags::empty())?;
        let mut answer = [0; ANSWER_BYTES_MAX];
        let bytes = recv(self.0.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        answer.get(..bytes).and_then(number).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}

/// Behind the two headers stand attributes: length, type, value, filled up to four bytes.
fn number(answer: &[u8]) -> Option<u32> {
    let mut rest = answer.get(HEADERS_BYTES..)?;
    loop {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let (kind, value) = after.split_first_chunk::<2>()?;
        if u16::from_ne_bytes(*kind) == NFTA_GEN_ID {
            return value.first_chunk().map(|bytes| u32::from_be_bytes(*bytes));
        }
        rest = rest.get(usize::from(u16::from_ne_bytes(*length)).next_multiple_of(4).max(4)..)?;
    }
}

/// `nlmsghdr` (length, type, flags, sequence, port) and `nfgenmsg` (family, version, resource) of NFT_MSG_GETGEN, from
/// linux/netlink.h and linux/netfilter/nf_tables.h.
const REQUEST: [u8; HEADERS_BYTES] = {
    let [length0, length1, length2, length3] = (HEADERS_BYTES as u32).to_ne_bytes();
    let [kind0, kind1] = (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN).to_ne_bytes();
    let [flags0, flags1] = NLM_F_REQUEST.to_ne_bytes();
    [length0, length1, length2, length3, kind0, kind1, flags0, flags1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
};
const HEADERS_BYTES: usize = 20;
const ANSWER_BYTES_MAX: usize = 512;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETGEN: u16 = 16;
const NFTA_GEN_ID: u16 = 1;
const NLM_F_REQUEST: u16 = 1;
