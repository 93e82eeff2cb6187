//! TFTP server: what firmware and boot loaders load before they have HTTP. Read only.
//!
//! | Standard | What is done here                                                                   |
//! |----------|-------------------------------------------------------------------------------------|
//! | RFC 1350 | read requests in mode `octet`; write requests and other modes are refused           |
//! | RFC 1123 | section 4.2.3.1: a duplicate ACK is not answered                                    |
//! | RFC 2347 | options; an unacceptable one is left out                                            |
//! | RFC 2348 | `blksize`, at most one packet of the client's network                               |
//! | RFC 2349 | `timeout` of 1 to 10 seconds, `tsize`                                               |
//! | RFC 7440 | `windowsize`, at most 16                                                            |
//!
//! Not done: `netascii` and `mail`, multicast (RFC 2090), IPv6.
//!
//! A session costs one task, one socket and about 100 KiB, whatever the file is. Their number is bounded in total and per client.

mod files;
mod request;
mod server;
mod session;
mod transfer;

#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;

pub use server::{Handle, serve};

/// What the server needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen, usually `0.0.0.0:69`; port 0 takes a free one.
    pub listen: SocketAddrV4,
    /// Names of the interfaces whose requests are answered; all when empty. Loopback always is.
    pub interfaces: Vec<String>,
    /// Folder of the files that can be loaded.
    pub boot_dir: PathBuf,
    /// Port of the plain HTTP server that boot scripts name; its address is the one the PC asked.
    pub http_port: u16,
    /// Port of the TLS server for agents that boot scripts name.
    pub agent_port: u16,
    /// More arguments for the boot environment's kernel, for example `console=ttyS0`.
    pub kernel_arguments: String,
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The port cannot be opened: another server has it, or the right is missing (`CAP_NET_BIND_SERVICE`).
    #[error("cannot open UDP port {address} for TFTP")]
    Bind {
        /// The address.
        address: SocketAddrV4,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// There is no thread to serve on.
    #[error("cannot start a thread for TFTP")]
    Thread(#[source] io::Error),
    /// The inventory does not say who boots what.
    #[error("cannot read from the inventory who boots what")]
    Inventory(#[from] inventory::Error),
}
