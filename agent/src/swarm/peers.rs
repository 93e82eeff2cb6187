//! Asking other PCs.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::net::TcpStream;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
        let kept = self.idle().get_mut(&referral.peer).and_then(Vec::pop);
        // That one from before was closed meanwhile says nothing about the PC.
        let asked = kept.and_then(|kept| ask(kept, batch, hashes).ok());
        let (connection, first) = match asked {
            Some(asked) => asked,
            None => {
                let asked = self.connect(referral).and_then(|fresh| ask(fresh, batch, hashes));
                asked.map_err(|_| Fault::Away)?
            }
        };
        self.read(connection, first, referral, began, hashes.len(), &mut take)
    }

    /// Each change leaves lists that are right, so a panic elsewhere cannot have left half of one.
    fn idle(&self) -> MutexGuard<'_, HashMap<PeerId, Vec<Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(
        &self,
        mut connection: Connection,
        first: Frame,
        referral: &Referral,
        began: Instant,
        count: usize,
        take: &mut dyn FnMut(usize, Stored) -> bool,
    ) -> Result<(), Fault> {
        let patience = Duration::from_millis(referral.patience_ms);
        let (mut index, mut frame, mut last) = (0, first, began);
        let mut waited = Duration::ZERO;
        let mut lacks = false;
        loop {
            let now = clock::now();
            let took = now.saturating_duration_since(began);
            let is_late = took > patience;
            match frame {
                Frame::Chunk(stored) => {
                    if !take(index, stored) {
                        return Err(Fault::Lied);
                    }
                    index += 1;
                    if is_late && index < count {
                        return Err(if waited * 2 > took { Fault::Waiting } else { Fault::Slow });
                    }
                }
                Frame::Lacks => {
                    lacks = true;
                    index += 1;
                }
                Frame::NotYet => {
                    waited += now.saturating_duration_since(last);
                    if is_late {
                        return Err(Fault::Waiting);
                    }
                }
            }
            if index == count {
                break;
            }
            last = now;
            frame = frame::read_frame(&mut connection).map_err(|_| Fault::Away)?;
        }
        let mut idle = self.idle();
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

/// Asks, and waits for the first that comes.
fn ask(mut connection: Connection, batch: u32, hashes: &[Hash]) -> io::Result<(Connection, Frame)> {
    frame::write_request(&mut connection, batch, hashes)?;
    let first = frame::read_frame(&mut connection)?;
    Ok((connection, first))
}

const CONNECT_MAX: Duration = Duration::from_secs(3);
/// Who is there says so three times a second; a busy line may keep that back for a while.
const SILENCE_MAX: Duration = Duration::from_secs(4);
/// As many as batches are fetched at once.
const KEPT_MAX: usize = 16;
