//! netd as a process, with real clients, in network namespaces. Needs root, `isc-dhcp-client`, `udhcpc`, `nftables`, `bind9`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows only functions marked #[test] as tests"
)]

mod dnssec;
mod faults;
mod gate;
mod internet;
mod lab;
mod real_clients;
mod talk;
