//! Asking other PCs.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use images::chunk::{Hash, Stored};
use images::protocol::{Referral, SwarmToken};
use images::swarm::{Fault, PeerId};
use rustls::pki_types::{IpAddr, ServerName};
use rustls::{ClientConnection, StreamOwned};

use super::frame::{self, Frame};
use super::tls;
use crate::clock;

/// Connections to other PCs, kept for the next question.
pub(super) struct Peers {
    token: SwarmToken,
    idle: Mutex<HashMap<PeerId, Vec<Connection>>>,
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Peers {
    pub(super) fn new(token: SwarmToken) -> Peers {
        Peers { token, idle: Mutex::default() }
    }

    /// Asks for chunks of a batch and hands over one after the other; `take` tells whether it is whole.
    ///
    /// # Errors
    /// Why the rest did not come.
    pub(super) fn fetch(
        &self,
        referral: &Referral,
        batch: u32,
        hashes: &[Hash],
        mut take: impl FnMut(usize, Stored) -> bool,
    ) -> Result<(), Fault> {
        let began = clock::now();
        let away = |_| Fault::Away;
        let kept = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(&referral.peer)
            .and_then(Vec::pop);
        let mut connection = match kept.and_then(|kept| ask_again(kept, batch, hashes)) {
            Some((connection, first)) => {
                return self.read(connection, Some(first), referral, began, hashes.len(), take);
            }
            None => self.connect(referral).map_err(away)?,
        };
        frame::write_request(&mut connection, batch, hashes).map_err(away)?;
        self.read(connection, None, referral, began, hashes.len(), &mut take)
    }

    fn read(
        &self,
        mut connection: Connection,
        mut first: Option<Frame>,
        referral: &Referral,
        began: Instant,
        count: usize,
        mut take: impl FnMut(usize, Stored) -> bool,
    ) -> Result<(), Fault> {
        let patience = Duration::from_millis(referral.patience_ms);
        let mut waited = Duration::ZERO;
        let mut lacks = false;
        for index in 0..count {
            loop {
                let before = clock::now();
                let frame = match first.take() {
                    Some(first) => first,
                    None => frame::read_frame(&mut connection).map_err(|_| Fault::Away)?,
                };
                let now = clock::now();
                let is_late = now.saturating_duration_since(began) > patience;
                match frame {
                    Frame::Chunk(stored) => {
                        if !take(index, stored) {
                            return Err(Fault::Lied);
                        }
                        if is_late && index + 1 < count {
                            let waited_most = waited * 2 > now.saturating_duration_since(began);
                            return Err(if waited_most { Fault::Waiting } else { Fault::Slow });
                        }
                        break;
                    }
                    Frame::Lacks => {
                        lacks = true;
                        break;
                    }
                    Frame::NotYet => {
                        waited += now.saturating_duration_since(before);
                        if is_late {
                            return Err(Fault::Waiting);
                        }
                    }
                }
            }
        }
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.entry(referral.peer).or_default();
        if kept.len() < KEPT_MAX {
            kept.push(connection);
        }
        if lacks { Err(Fault::Lacks) } else { Ok(()) }
    }

    fn connect(&self, referral: &Referral) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&referral.address, CONNECT_MAX)?;
        stream.set_nodelay(true)?;
        super::mark_background(&stream);
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        let config = tls::asking(referral.peer).map_err(io::Error::other)?;
        let name = ServerName::IpAddress(IpAddr::from(referral.address.ip()));
        let tls = ClientConnection::new(config, name).map_err(io::Error::other)?;
        let mut connection = StreamOwned::new(tls, stream);
        connection.write_all(&self.token.0)?;
        Ok(connection)
    }
}

/// Asks on a connection from before. `None`: the other end has closed it meanwhile, which says nothing about the PC.
fn ask_again(mut connection: Connection, batch: u32, hashes: &[Hash]) -> Option<(Connection, Frame)> {
    frame::write_request(&mut connection, batch, hashes).ok()?;
    let first = frame::read_frame(&mut connection).ok()?;
    Some((connection, first))
}

const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Who is there says so three times a second; a busy line may keep that back for a while.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// As many as batches are fetched at once.
const KEPT_MAX: usize = 16;
