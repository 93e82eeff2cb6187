//! DHCPv4: what to answer, decided without a socket, a clock or a database.
//!
//! | Standard | What is done here |
//! |---|---|
//! | RFC 2131 | DISCOVER, REQUEST in all four states of section 4.3.2, DECLINE, RELEASE, INFORM; authoritative |
//! | RFC 2132 | the options a school network needs |
//! | RFC 1542 | broadcast flag, relay agents, 300-byte minimum |
//! | RFC 3396 | long and repeated options, read and written; option overload |
//! | RFC 3046, 3527, 5107 | option 82 echoed verbatim as last option, link selection, server identifier override |
//! | RFC 3011 | subnet selection |
//! | RFC 4039 | rapid commit |
//! | RFC 4578, Intel PXE 2.1 | client architecture, ProxyDHCP on port 4011 |
//! | RFC 4702 | option 81 read for the name, also in the deprecated ASCII form |
//! | RFC 5227 | ARP probe of an offered address, beside the conversation |
//! | RFC 6842 | client identifier always echoed |
//! | RFC 8910 | option 114 for clients of guarded networks that ask for it; only if the school has a portal that strangers trust |
//!
//! Not done: BOOTP without DHCP, forced renewal (RFC 3203), lease queries (RFC 4388), dynamic DNS updates (our own DNS
//! answers from the inventory).
//!
//! [`Engine`] is told a packet and answers with [`Effect`]s in the order in which they must happen: a lease is recorded before
//! its ACK is sent.

pub mod boot;
pub mod codec;
pub mod conflict;
mod engine;
pub mod frame;
mod leases;
mod options;
mod pool;
mod proxy;
mod reply;
mod scene;
mod view;

pub use crate::net::rogue::{ServerSeen, probe};
pub use engine::{Effect, Engine, Input, Port};
pub use leases::ClientKey;
pub use reply::{Destination, Reply};
pub use view::{Link, LinkId, Problem, Settings, View};

#[cfg(test)]
mod tests;
