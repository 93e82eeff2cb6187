//! Passing on what this PC has: a TCP port, and a thread for each that asks.

use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use images::chunk::{Hash, Stored};
use images::deploy::WrittenBatch;
use images::protocol::SwarmToken;
use nix::poll::{PollFd, PollFlags, poll};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::frame::{self, Frame};
use super::share::{Found, Share};
use crate::clock;

/// The port. Dropping it ends everything that goes over it.
pub(super) struct Serving {
    port: u16,
    stop: Arc<AtomicBool>,
}

impl Serving {
    /// # Errors
    /// No port is to be had.
    pub(super) fn start(tls: Arc<ServerConfig>, token: SwarmToken, share: Arc<Share>) -> io::Result<Serving> {
        // One socket for both families, where the kernel has IPv6.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let stop = Arc::new(AtomicBool::new(false));
        let passing = Arc::new(Passing { tls, token, share, stop: stop.clone(), open: AtomicUsize::new(0) });
        std::thread::Builder::new().name("swarm".into()).spawn(move || accept(&listener, &passing))?;
        Ok(Serving { port, stop })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Passing {
    tls: Arc<ServerConfig>,
    token: SwarmToken,
    share: Arc<Share>,
    stop: Arc<AtomicBool>,
    /// Connections.
    open: AtomicUsize,
}

impl Passing {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

fn accept(listener: &TcpListener, passing: &Arc<Passing>) {
    while !passing.is_over() {
        // Not for ever, so that the end is noticed. A connection to ourselves could not tell: the boot environment has no loopback.
        let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
        let _ = poll(&mut ready, LOOK_UP_MILLIS);
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(_) => {
                clock::wait(Duration::from_millis(100));
                continue;
            }
        };
        if passing.open.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            passing.open.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let own = passing.clone();
        let thread = std::thread::Builder::new().name("swarm-peer".into()).spawn(move || {
            // Whoever ends a connection, or says what it should not, needs no answer.
            let _ = pass_on(&own, stream);
            own.open.fetch_sub(1, Ordering::Relaxed);
        });
        if thread.is_err() {
            passing.open.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

fn pass_on(passing: &Passing, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    super::mark_background(&stream);
    stream.set_read_timeout(Some(HANDSHAKE_MAX))?;
    stream.set_write_timeout(Some(WRITE_MAX))?;
    let tls = ServerConnection::new(passing.tls.clone()).map_err(io::Error::other)?;
    let mut stream = StreamOwned::new(tls, stream);
    let mut token = [0; 32];
    stream.read_exact(&mut token)?;
    // Hashes are compared in constant time.
    if blake3::hash(&token) != blake3::hash(&passing.token.0) {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    stream.sock.set_read_timeout(Some(IDLE_MAX))?;
    while !passing.is_over() {
        let request = frame::read_request(&mut stream)?;
        let mut disk = None;
        for hash in &request.hashes {
            let found = find(passing, request.batch, hash, &mut disk, || {
                frame::write_frame(&mut stream, &Frame::NotYet)
            })?;
            frame::write_frame(&mut stream, &found.map_or(Frame::Lacks, Frame::Chunk))?;
        }
    }
    Ok(())
}

/// A chunk from memory, when it comes, or from the disk. `not_yet` is called again and again while it is waited for.
fn find<'s>(
    passing: &'s Passing,
    batch: u32,
    hash: &Hash,
    disk: &mut Option<WrittenBatch<'s>>,
    mut not_yet: impl FnMut() -> io::Result<()>,
) -> io::Result<Option<Stored>> {
    loop {
        match passing.share.find(batch, hash, SAY_SO_EVERY) {
            Found::Here(stored) => return Ok(Some(Stored::clone(&stored))),
            Found::Coming if passing.is_over() => return Ok(None),
            Found::Coming => not_yet()?,
            Found::Elsewhere => {
                return Ok(disk.get_or_insert_with(|| passing.share.on_disk(batch)).chunk(hash));
            }
        }
    }
}

const LOOK_UP_MILLIS: u16 = 300;
/// A room of PCs with several connections each; threads that wait cost little.
const CONNECTIONS_MAX: usize = 256;
const HANDSHAKE_MAX: Duration = Duration::from_secs(5);
/// Whoever takes nothing for so long is gone.
const WRITE_MAX: Duration = Duration::from_secs(10);
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Often enough that silence means something.
const SAY_SO_EVERY: Duration = Duration::from_millis(300);
