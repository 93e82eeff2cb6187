//! The thread that receives packets and runs the engine.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use inventory::{Lease, MacAddr, UnixMillis, clock};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::commit::Work;
use super::limit::LogLimit;
use super::links::Port as LinkPort;
use super::sys::{self, Ether, Inbox, Outgoing, Target};
use super::{Counters, Shared};
use crate::dhcp::{Destination, Effect, Engine, Input, LinkId, Port, Reply, View, conflict, frame};

/// Something the other threads tell this one.
#[derive(Debug)]
pub(super) enum Order {
    /// Inventory or interfaces changed; the sockets were replaced before.
    View(Arc<View>),
    /// What the database says about leases.
    Stored(Vec<Lease>),
}

/// Orders that wait, and the way to wake the thread for them.
#[derive(Debug)]
pub(super) struct Control {
    orders: Mutex<Vec<Order>>,
    /// Two ends of one pair: a byte written to the first wakes the thread, which polls the second.
    wake: (UnixStream, UnixStream),
    stopped: AtomicBool,
}

impl Control {
    pub(super) fn new() -> io::Result<Self> {
        let wake = UnixStream::pair()?;
        wake.0.set_nonblocking(true)?;
        wake.1.set_nonblocking(true)?;
        Ok(Self { orders: Mutex::default(), wake, stopped: AtomicBool::new(false) })
    }

    pub(super) fn send(&self, order: Order) {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
        self.ring();
    }

    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.ring();
    }

    fn ring(&self) {
        // It fails only when so many wait that the thread is awake anyway.
        drop((&self.wake.0).write(&[1]));
    }
}

/// The thread's state.
pub(super) struct Worker {
    engine: Engine,
    shared: Arc<Shared>,
    effects: Vec<Effect>,
    /// Replies of this round that need no lease.
    replies: Vec<Reply>,
    work: Vec<Work>,
    malformed: LogLimit,
}

impl Worker {
    pub(super) fn new(engine: Engine, shared: Arc<Shared>) -> Self {
        Self {
            engine,
            shared,
            effects: Vec::new(),
            replies: Vec::new(),
            work: Vec::new(),
            malformed: LogLimit::default(),
        }
    }

    pub(super) fn run(mut self) {
        let mut inbox = Inbox::new();
        while !self.shared.control.stopped.load(Ordering::Relaxed) {
            let ports: Vec<Arc<LinkPort>> = self.shared.ports.load().values().cloned().collect();
            let ready = self.wait(&ports);
            let now = clock::now();
            if ready.first() == Some(&true) {
                self.obey(now);
            }
            for (port, ready) in ports.iter().zip(ready.get(1..).unwrap_or_default().chunks(3)) {
                let [dhcp, proxy, raw] = ready else { continue };
                if *dhcp {
                    self.receive(now, &mut inbox, port, Port::Dhcp);
                }
                if *proxy {
                    self.receive(now, &mut inbox, port, Port::Proxy);
                }
                if *raw {
                    self.hear_arp(now, port);
                }
            }
            if let Some(problems) = self.engine.take_problems(now) {
                self.shared.notes.set_engine(problems);
            }
        }
    }

    /// Waits until something can be read, at most a second; tells what: the wake-up, then three sockets per interface.
    fn wait(&self, ports: &[Arc<LinkPort>]) -> Vec<bool> {
        let wake = self.shared.control.wake.1.as_fd();
        let sockets = ports.iter().flat_map(|p| [p.dhcp.as_fd(), p.proxy.as_fd(), p.raw.as_fd()]);
        let mut polled: Vec<PollFd<'_>> =
            std::iter::once(wake).chain(sockets).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut polled, PollTimeout::from(1000u16)) {
            Ok(0) | Err(_) => Vec::new(),
            // An error of a socket is fetched, and so cleared, by reading it.
            Ok(_) => polled.iter().map(|p| p.revents().is_some_and(|r| !r.is_empty())).collect(),
        }
    }

    fn obey(&mut self, now: UnixMillis) {
        drop((&self.shared.control.wake.1).read(&mut [0; 64]));
        let orders =
            std::mem::take(&mut *self.shared.control.orders.lock().unwrap_or_else(PoisonError::into_inner));
        for order in orders {
            match order {
                Order::View(view) => self.engine.handle(now, Input::View(view), &mut self.effects),
                Order::Stored(leases) => self.engine.handle(now, Input::Stored(&leases), &mut self.effects),
            }
        }
    }

    fn receive(&mut self, now: UnixMillis, inbox: &mut Inbox, link: &LinkPort, port: Port) {
        let socket = match port {
            Port::Dhcp => link.dhcp.as_fd(),
            Port::Proxy => link.proxy.as_fd(),
        };
        let shared = Arc::clone(&self.shared);
        let datagrams = match inbox.receive(socket) {
            Ok(datagrams) => datagrams,
            Err(error) => {
                tracing::debug!(%error, interface = link.link.name, "cannot receive");
                return;
            }
        };
        for datagram in datagrams {
            Counters::add(&shared.counters.received, 1);
            // What is longer than a frame is not read to its end, so it is not read at all.
            let bytes = if datagram.cut { &[] } else { datagram.bytes };
            let input =
                Input::Packet { link: link.link.id, port, from: datagram.from, to: datagram.to, bytes };
            self.engine.handle(now, input, &mut self.effects);
            self.carry_out(now, link, datagram.from, bytes);
        }
        transmit(&shared, &mut self.replies);
    }

    /// Carries out the effects of one packet. From the first lease on, replies wait for the database.
    fn carry_out(&mut self, now: UnixMillis, link: &LinkPort, from: SocketAddrV4, bytes: &[u8]) {
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Record(lease) => self.work.push(Work { lease, reply: None }),
                Effect::Send(reply) => match self.work.last_mut() {
                    Some(work) => work.reply = Some(reply),
                    None => self.replies.push(reply),
                },
                Effect::Probe { ip, .. } => probe(link, ip),
                Effect::Malformed(reason) => {
                    Counters::add(&self.shared.counters.malformed, 1);
                    let card = bytes.get(28..34).and_then(|b| b.try_into().ok()).unwrap_or_default();
                    let source = (link.link.id.0, u32::from(*from.ip()), card);
                    if let Some(count) = self.malformed.note(now, source) {
                        tracing::warn!(
                            %from, card = %MacAddr(card), interface = link.link.name, count, %reason,
                            "packets that are no DHCP requests were dropped"
                        );
                    }
                }
            }
        }
        if !self.work.is_empty() && !self.shared.queue.push(&mut self.work) {
            Counters::add(&self.shared.counters.overrun, 1);
        }
    }

    fn hear_arp(&mut self, now: UnixMillis, link: &LinkPort) {
        let mut buffer = [0; 64];
        // Bounded, so that a flood of ARP does not starve DHCP.
        for _ in 0..ARP_BATCH {
            let Ok(length) = nix::unistd::read(link.raw.as_fd(), &mut buffer) else { return };
            let body = buffer.get(..length).unwrap_or_default();
            let Some((ip, mac)) = conflict::sender(body) else { continue };
            if mac != link.link.mac {
                self.engine.handle(now, Input::Neighbour { ip, mac }, &mut self.effects);
                self.carry_out(now, link, SocketAddrV4::new(ip, 0), &[]);
            }
        }
    }
}

fn probe(link: &LinkPort, ip: Ipv4Addr) {
    let body = conflict::probe(link.link.mac, ip);
    let everybody = MacAddr([0xff; 6]);
    if let Err(error) = sys::send_to_card(link.raw.as_fd(), link.link.id.0, Ether::Arp, everybody, &body) {
        tracing::debug!(%error, interface = link.link.name, "cannot send an ARP probe");
    }
}

/// Sends replies, many in one system call, and empties the list.
pub(super) fn transmit(shared: &Shared, replies: &mut Vec<Reply>) {
    if replies.is_empty() {
        return;
    }
    let ports = shared.ports.load();
    let count = replies.len();
    let mut sent = 0;
    let mut by_link: HashMap<LinkId, Vec<Reply>> = HashMap::new();
    for reply in replies.drain(..) {
        by_link.entry(reply.link).or_default().push(reply);
    }
    for (id, replies) in by_link {
        if let Some(port) = ports.get(&id) {
            sent += transmit_on(port, &replies);
        }
    }
    Counters::add(&shared.counters.sent, sent);
    Counters::add(&shared.counters.unsent, count - sent);
}

fn transmit_on(port: &LinkPort, replies: &[Reply]) -> usize {
    let (server_port, client_port) = (port.dhcp_port, port.dhcp_port.saturating_add(1));
    let mut udp: Vec<Outgoing<'_>> = Vec::with_capacity(replies.len());
    let mut proxied: Vec<Outgoing<'_>> = Vec::new();
    let mut frames: Vec<(MacAddr, Vec<u8>)> = Vec::new();
    for reply in replies {
        let to = match reply.to {
            Destination::Relay(relay) => SocketAddrV4::new(relay, server_port),
            Destination::Client(ip, port) => SocketAddrV4::new(ip, port),
            Destination::Broadcast => SocketAddrV4::new(Ipv4Addr::BROADCAST, client_port),
            Destination::Card(mac, ip) => {
                let (from, to) =
                    (SocketAddrV4::new(reply.source, server_port), SocketAddrV4::new(ip, client_port));
                frames.extend(frame::datagram(from, to, &reply.bytes).map(|bytes| (mac, bytes)));
                continue;
            }
        };
        let message = Outgoing { to: Target::Udp { source: reply.source, to }, bytes: &reply.bytes };
        match reply.port {
            Port::Dhcp => udp.push(message),
            Port::Proxy => proxied.push(message),
        }
    }
    let frames: Vec<Outgoing<'_>> = frames
        .iter()
        .map(|(mac, bytes)| Outgoing { to: Target::Card { link: port.link.id.0, mac: *mac }, bytes })
        .collect();
    let through = |socket: BorrowedFd<'_>, messages: &[Outgoing<'_>]| {
        if messages.is_empty() { 0 } else { sys::send(socket, messages) }
    };
    through(port.dhcp.as_fd(), &udp)
        + through(port.proxy.as_fd(), &proxied)
        + through(port.raw.as_fd(), &frames)
}

const ARP_BATCH: usize = 64;
