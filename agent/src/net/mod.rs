//! The network of the boot environment: cards up, addresses by DHCP, everything kept alive by one thread per card.

pub mod dhcp;
pub mod link;
mod shell;

pub use shell::{Network, serve_card};
