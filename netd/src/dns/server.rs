//! The sockets: UDP and TCP, with everything bounded.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_server::proto::rr::Name;
use inventory::{Hostname, Inventory};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::book::Book;
use super::cache::Cache;
use super::fetch::Fetcher;
use super::follow::Maker;
use super::handler::{School, long_way};
use super::quick::{self, Quick, Transport};
use super::upstream::Upstream;
use super::{Config, Error};
use crate::clients::Link;
use crate::neighbours::Neighbours;
use crate::udp::{AskedSocket, control_buffer};

/// A running server; it stops when this is dropped.
#[derive(Debug)]
pub struct Handle {
    addresses: Vec<SocketAddr>,
    leases: Arc<Notify>,
    tasks: Vec<JoinHandle<()>>,
}

impl Handle {
    /// The addresses it listens on, UDP and TCP, in the order of the configuration.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Tells that leases changed. Cheap; any number of calls within half a second cost one look at the table of leases.
    pub fn leases_changed(&self) {
        self.leases.notify_one();
    }

    /// The same for whoever cannot hold the handle: `notify_one` after each commit of leases.
    #[must_use]
    pub fn lease_signal(&self) -> Arc<Notify> {
        Arc::clone(&self.leases)
    }

    /// Waits until a part of the server ended, which none does by itself.
    pub async fn ended(&mut self) {
        // Whether it ended or panicked, it no longer serves.
        poll_fn(|context| {
            let ended = self.tasks.iter_mut().any(|task| Pin::new(task).poll(context).is_ready());
            if ended { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Starts the server; it answers when this returns. `link` is the gate, which says who is filtered; nobody is without.
///
/// # Errors
/// A port cannot be opened, the zone is no domain name, or the inventory cannot be read.
pub async fn serve(config: Config, inventory: Inventory, link: Option<Link>) -> Result<Handle, Error> {
    let zone = zone_name(&config.zone)?;
    let mut own_names: Vec<Hostname> = "server".parse().into_iter().collect();
    own_names.extend(config.own_names);
    own_names.dedup();
    let forwarders = config.forwarders.into_iter().filter(|forwarder| {
        let ourselves = config.listen.contains(&forwarder.address);
        if ourselves {
            tracing::warn!(forwarder = %forwarder.address, "this DNS forwarder is this server itself and is left out");
        }
        !ourselves
    });
    let upstream = Upstream::new(forwarders.collect(), &config.authorities, &config.dnssec)
        .map_err(Error::Forwarders)?;

    let changes = inventory.follow();
    let mut book = Book::new(inventory.clone(), config.lists_dir.clone());
    let fetcher = Fetcher::new(inventory.clone(), config.lists_dir, config.authorities);
    let rules = if link.is_some() { book.make().await? } else { Book::empty() };
    let portal = config.portal.as_deref().map(zone_name).transpose()?;
    let mut maker = Maker::new(inventory.clone(), zone, own_names, config.own_addresses, portal);
    let table = maker.make().await?;
    let school = Arc::new(School {
        table: ArcSwap::from_pointee(table),
        rules: ArcSwap::from_pointee(rules),
        cache: Cache::new(CACHE_ENTRIES_MAX, CACHE_BYTES_MAX),
        link,
        neighbours: Neighbours::open(),
        upstream,
    });

    let mut handle = Handle { addresses: Vec::new(), leases: Arc::default(), tasks: Vec::new() };
    let long = Arc::new(Semaphore::new(LONG_WAYS_MAX));
    for address in config.listen {
        let (udp, tcp) = bind(address)?;
        let local = udp.local().map_err(|source| Error::Bind { address, transport: "UDP", source })?;
        handle.addresses.push(local);
        let udp = Arc::new(udp);
        for _ in 0..UDP_TASKS {
            handle.tasks.push(tokio::spawn(serve_udp(
                Arc::clone(&udp),
                Arc::clone(&school),
                Arc::clone(&long),
            )));
        }
        handle.tasks.push(tokio::spawn(serve_tcp(tcp, Arc::clone(&school))));
    }
    let leases = Arc::clone(&handle.leases);
    if school.link.is_some() {
        handle.tasks.push(tokio::spawn(book.follow(Arc::clone(&school), changes.clone())));
        handle.tasks.push(tokio::spawn(fetcher.follow(changes.clone())));
    }
    let watched = Arc::clone(&school);
    handle.tasks.push(tokio::spawn(async move { watched.upstream.watch(inventory).await }));
    handle.tasks.push(tokio::spawn(maker.follow(school, changes, leases)));
    Ok(handle)
}

fn zone_name(zone: &str) -> Result<Name, Error> {
    let bad = |problem: &str| Error::Zone { zone: zone.to_owned(), problem: problem.to_owned() };
    let labels: Vec<&str> = zone.trim_end_matches('.').split('.').collect();
    if labels.iter().any(|label| label.parse::<Hostname>().is_err()) {
        return Err(bad("its parts must be letters, digits and hyphens"));
    }
    if zone.len() > ZONE_BYTES_MAX {
        return Err(bad("it is too long"));
    }
    Name::from_ascii(format!("{}.", labels.join("."))).map_err(|error| bad(&error.to_string()))
}

/// Opens UDP and TCP on the same port.
fn bind(address: SocketAddr) -> Result<(AskedSocket, TcpListener), Error> {
    let mut tries = if address.port() == 0 { 8 } else { 1 };
    loop {
        tries -= 1;
        let udp =
            AskedSocket::bind(address).map_err(|source| Error::Bind { address, transport: "UDP", source })?;
        let local = udp.local().map_err(|source| Error::Bind { address, transport: "UDP", source })?;
        match listen(local) {
            Ok(tcp) => return Ok((udp, tcp)),
            // The system chose a port that is free for UDP only.
            Err(source) if tries == 0 => {
                return Err(Error::Bind { address: local, transport: "TCP", source });
            }
            Err(_) => {}
        }
    }
}

/// Not tokio's `bind`: a socket for all IPv6 addresses would take those of IPv4 too, for which there is another.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn serve_udp(socket: Arc<AskedSocket>, school: Arc<School>, long: Arc<Semaphore>) {
    let (mut buffer, mut control) = (vec![0; QUESTION_BYTES_MAX], control_buffer());
    let mut out = Vec::with_capacity(usize::from(quick::UDP_BYTES_MAX));
    let mut running: JoinSet<()> = JoinSet::new();
    loop {
        let datagram = match socket.receive(&mut buffer, &mut control).await {
            Ok(datagram) => datagram,
            Err(error) => {
                tracing::error!(%error, "cannot receive DNS questions; trying again");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        let message = buffer.get(..datagram.bytes).unwrap_or_default();
        if datagram.cut {
            continue;
        }
        let client = datagram.from.ip();
        let unmet = match client {
            IpAddr::V6(address) => school.unmet(address, datagram.interface).map(|link| (address, link)),
            IpAddr::V4(_) => None,
        };
        let quick = match unmet {
            Some(_) => Quick::LongWay,
            None => school.quick(client, Transport::Udp, message, &mut out),
        };
        if matches!(quick, Quick::Answered | Quick::Refresh) {
            // A lost answer is asked for again.
            drop(socket.answer(&datagram, &out));
        }
        if matches!(quick, Quick::Answered | Quick::Ignored) {
            continue;
        }
        while running.try_join_next().is_some() {}
        // When everything is busy, silence makes clients slow down.
        let Ok(turn) = Arc::clone(&long).try_acquire_owned() else { continue };
        let (school, socket, message) = (Arc::clone(&school), Arc::clone(&socket), message.to_vec());
        running.spawn(async move {
            let _turn = turn;
            if quick == Quick::Refresh {
                return school.refresh(client, &message).await;
            }
            if let Some((address, link)) = unmet {
                school.neighbours.seek(address, &link).await;
                let mut out = Vec::new();
                match school.quick(client, Transport::Udp, &message, &mut out) {
                    Quick::LongWay => {}
                    Quick::Ignored => return,
                    Quick::Answered | Quick::Refresh => return drop(socket.answer(&datagram, &out)),
                }
            }
            if let Some(answer) = long_way(&school, datagram.from, Transport::Udp, message).await {
                drop(socket.answer(&datagram, &answer));
            }
        });
    }
}

async fn serve_tcp(listener: TcpListener, school: Arc<School>) {
    let mut running: JoinSet<()> = JoinSet::new();
    let clients = Arc::new(Clients::default());
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // A connection that broke at once, or no more file descriptors.
                tracing::debug!(%error, "cannot accept a DNS connection");
                tokio::time::sleep(RETRY).await;
                continue;
            }
        };
        while running.try_join_next().is_some() {}
        if running.len() >= CONNECTIONS_MAX || !school.at_desk(|desk| desk.serves(client.ip())) {
            continue;
        }
        let Some(place) = Place::take(&clients, client.ip()) else { continue };
        let school = Arc::clone(&school);
        running.spawn(async move {
            let _place = place;
            if let Err(error) = converse(stream, client, school).await {
                tracing::debug!(%error, "a DNS connection ended");
            }
        });
    }
}

/// Answers the questions of one connection, one after the other.
async fn converse(mut stream: TcpStream, client: SocketAddr, school: Arc<School>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut message, mut out) = (Vec::new(), Vec::new());
    for _ in 0..QUESTIONS_PER_CONNECTION {
        let read = async {
            let bytes = usize::from(stream.read_u16().await?);
            if bytes > QUESTION_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            message.resize(bytes, 0);
            stream.read_exact(&mut message).await
        };
        tokio::time::timeout(IDLE, read).await??;
        match school.quick(client.ip(), Transport::Tcp, &message, &mut out) {
            Quick::Ignored => return Ok(()),
            Quick::Answered => {}
            Quick::Refresh => {
                let (school, message) = (Arc::clone(&school), message.clone());
                tokio::spawn(async move { school.refresh(client.ip(), &message).await });
            }
            Quick::LongWay => match long_way(&school, client, Transport::Tcp, message.clone()).await {
                Some(answer) => out = answer,
                None => return Ok(()),
            },
        }
        let length = u16::try_from(out.len()).map_err(io::Error::other)?.to_be_bytes();
        // In one piece: some clients expect length and message in one segment (RFC 7766 section 8).
        out.splice(0..0, length);
        tokio::time::timeout(IDLE, stream.write_all(&out)).await??;
    }
    Ok(())
}

/// Connections of each client.
#[derive(Default)]
struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// One connection; it counts until this is dropped.
struct Place {
    clients: Arc<Clients>,
    client: IpAddr,
}

impl Place {
    fn take(clients: &Arc<Clients>, client: IpAddr) -> Option<Self> {
        let mut count = clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = count.entry(client).or_default();
        if *count >= CONNECTIONS_PER_CLIENT {
            return None;
        }
        *count += 1;
        Some(Self { clients: Arc::clone(clients), client })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.clients.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Answers of forwarders that are remembered.
const CACHE_ENTRIES_MAX: usize = 100_000;
const CACHE_BYTES_MAX: usize = 64 << 20;
/// Tasks that read one UDP socket.
const UDP_TASKS: usize = 2;
/// Messages at once that wait for forwarders or need care.
const LONG_WAYS_MAX: usize = 2048;
/// Longest question. An ordinary one has less than 300 bytes.
const QUESTION_BYTES_MAX: usize = 2048;
/// TCP connections at once.
const CONNECTIONS_MAX: usize = 256;
/// Of those, one client's.
const CONNECTIONS_PER_CLIENT: usize = 16;
const QUESTIONS_PER_CONNECTION: usize = 1000;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long a connection may say nothing (RFC 7766 section 6.2.3: a few seconds).
const IDLE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(100);
/// Host name, dot and zone fit into a name of 253 characters.
const ZONE_BYTES_MAX: usize = 180;
