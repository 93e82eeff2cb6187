//! Serving an axum router on a socket of our own: over TLS or plain, with bounded connections, time-outs on everything a
//! stranger can draw out, and an orderly stop.
//!
//! HTTP/1.1 only: our clients are browsers, firmware and our own agent, and none of them needs more.
//!
//! | Drawn out or multiplied by a client | Bound                                              |
//! |-------------------------------------|----------------------------------------------------|
//! | connections                         | [`Limits::connections`], [`Limits::per_address`]   |
//! | TLS handshake                       | [`Limits::handshake`]                              |
//! | request head, idle keep-alive       | [`Limits::head`], 64 KiB                           |
//! | request body                        | [`Limits::body_idle`] between two pieces; its size is the router's to bound |
//! | reading our answer                  | [`Limits::unacknowledged`] (TCP user timeout, RFC 5482) |

mod body;
mod connections;
mod local;
mod serve;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

pub use local::{local_addresses, local_name};
pub use rustls::Error as TlsError;
pub use serve::{Handle, serve_plain, serve_tls};
pub use tls::{Named, NamedError, clients_of, tls_config, tls_config_with_name};

/// Who is at the other end; every request carries it as an extension (`Extension<httpd::Peer>`).
#[derive(Debug, Clone)]
pub struct Peer {
    /// Address and port it speaks from.
    pub address: SocketAddr,
    /// Which of our addresses it reached.
    pub local: SocketAddr,
    /// The certificates it showed, its own first; empty without TLS or when it showed none.
    pub certificates: Arc<[CertificateDer<'static>]>,
}

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at one time; further ones wait in the kernel's backlog.
    pub connections: usize,
    /// Connections at one time from one address; further ones are closed at once.
    pub per_address: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time until a request's head is complete, counted from the end of the request before it: also how long an idle
    /// connection is kept.
    pub head: Duration,
    /// Longest pause inside a request's body.
    pub body_idle: Duration,
    /// How long sent data may stay unacknowledged, or the client's window closed, before the connection is given up.
    pub unacknowledged: Duration,
    /// How long requests that run may take to end once the server stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1024,
            per_address: 128,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            body_idle: Duration::from_secs(20),
            unacknowledged: Duration::from_secs(30),
            drain: Duration::from_secs(3),
        }
    }
}
