//! Sockets and threads around [`super::dhcp`]: one thread per card, for as long as the boot environment runs.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::dhcp::{Client, Effect, Lease};
use super::link;
use crate::clock;
use crate::hardware;

/// The addresses that the cards have at this moment.
#[derive(Debug, Clone, Default)]
pub struct Network {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    cards: Mutex<BTreeMap<String, Option<Ipv4Addr>>>,
    changed: Condvar,
}

impl Network {
    /// Starts a thread for every wired card that has none yet. Called again, it finds cards that appeared since.
    pub fn serve_new_cards(&self) {
        for nic in hardware::nics(Path::new("/")).into_iter().filter(|n| !n.wireless) {
            let (Some(mac), true) = (parse_mac(&nic.mac), self.claim(&nic.name)) else { continue };
            let network = self.clone();
            // A card without a thread stays without an address; there is nothing else to do about it.
            let _ =
                std::thread::Builder::new().name(nic.name.clone()).stack_size(256 << 10).spawn(move || {
                    serve_card(&nic.name, mac, &network);
                });
        }
    }

    /// The addresses, by card.
    pub fn addresses(&self) -> Vec<(String, Ipv4Addr)> {
        self.lock().iter().filter_map(|(name, address)| Some((name.clone(), (*address)?))).collect()
    }

    /// How many cards are served.
    pub fn card_count(&self) -> usize {
        self.lock().len()
    }

    /// Waits until some card has an address, at most this long. Returns whether one has.
    pub fn wait_for_address(&self, at_most: Duration) -> bool {
        let none = |cards: &mut BTreeMap<String, Option<Ipv4Addr>>| cards.values().all(Option::is_none);
        let waited = self.shared.changed.wait_timeout_while(self.lock(), at_most, none);
        waited.is_ok_and(|(_, result)| !result.timed_out())
    }

    fn claim(&self, card: &str) -> bool {
        let mut cards = self.lock();
        if cards.contains_key(card) {
            return false;
        }
        cards.insert(card.to_owned(), None);
        true
    }

    fn set(&self, card: &str, address: Option<Ipv4Addr>) {
        self.lock().insert(card.to_owned(), address);
        self.shared.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Option<Ipv4Addr>>> {
        self.shared.cards.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Switches the card on and keeps an address on it. Never returns.
pub fn serve_card(card: &str, mac: [u8; 6], network: &Network) {
    loop {
        // A card that was pulled out makes this fail again and again; it may come back.
        let _ = run(card, mac, network);
        network.set(card, None);
        clock::wait(Duration::from_secs(2));
    }
}

fn run(card: &str, mac: [u8; 6], network: &Network) -> io::Result<()> {
    link::set_up(card)?;
    let socket = open(card)?;
    let mut configured: Option<Lease> = None;
    let mut client = Client::new(mac, rand::random(), clock::now());
    let mut had_carrier = false;
    loop {
        let now = clock::now();
        let carrier = has_carrier(card);
        let mut effects = Vec::new();
        if had_carrier && !carrier {
            effects = client.link_lost(now);
        } else if carrier && !had_carrier {
            client = Client::new(mac, rand::random(), now);
        }
        had_carrier = carrier;
        if carrier {
            effects.extend(client.timeout(now));
            let wait = client.next_timeout().saturating_duration_since(now);
            if effects.is_empty() {
                effects = receive(&socket, wait)?
                    .map_or_else(Vec::new, |bytes| client.handle(clock::now(), &bytes));
            }
        } else if effects.is_empty() {
            // Reading the carrier is all that can be done without one.
            receive(&socket, CARRIER_POLL)?;
        }
        for effect in effects {
            carry_out(card, &socket, effect, &mut configured, network)?;
        }
    }
}

fn carry_out(
    card: &str,
    socket: &UdpSocket,
    effect: Effect,
    configured: &mut Option<Lease>,
    network: &Network,
) -> io::Result<()> {
    match effect {
        // A message that cannot be sent is lost like one on the wire: the client repeats it.
        Effect::Broadcast(bytes) => {
            let _ = socket.send_to(&bytes, SocketAddrV4::new(Ipv4Addr::BROADCAST, 67));
        }
        Effect::Unicast(server, bytes) => {
            let _ = socket.send_to(&bytes, SocketAddrV4::new(server, 67));
        }
        Effect::Configure(lease) => {
            if let Some(old) = configured.filter(|old| old.address != lease.address) {
                link::deconfigure(card, old.address, old.prefix)?;
            }
            link::configure(card, &lease)?;
            *configured = Some(lease);
            network.set(card, Some(lease.address));
        }
        Effect::Deconfigure => {
            if let Some(old) = configured.take() {
                link::deconfigure(card, old.address, old.prefix)?;
            }
            network.set(card, None);
        }
    }
    Ok(())
}

/// A socket that works on a card without an address.
fn open(card: &str) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(card.as_bytes()))?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 68).into())?;
    Ok(socket.into())
}

/// Waits for a datagram, but not longer than it takes to notice a pulled cable.
fn receive(socket: &UdpSocket, at_most: Duration) -> io::Result<Option<Vec<u8>>> {
    let wait = at_most.clamp(Duration::from_millis(1), CARRIER_POLL);
    socket.set_read_timeout(Some(wait))?;
    let mut buffer = vec![0; 2048];
    match socket.recv(&mut buffer) {
        Ok(length) => {
            buffer.truncate(length);
            Ok(Some(buffer))
        }
        Err(e) if e.raw_os_error() == Some(libc::ENETDOWN) => Ok(None),
        Err(e) => match e.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(e),
        },
    }
}

fn has_carrier(card: &str) -> bool {
    let path = Path::new("/sys/class/net").join(card).join("carrier");
    std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
}

fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    (parts.next().is_none() && mac != [0; 6]).then_some(mac)
}

/// How long a pulled cable may stay unnoticed.
const CARRIER_POLL: Duration = Duration::from_millis(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses_are_read_strictly() {
        assert_eq!(parse_mac("52:54:00:77:00:02"), Some([0x52, 0x54, 0, 0x77, 0, 2]));
        for bad in ["", "00:00:00:00:00:00", "52:54:00:77:00", "52:54:00:77:00:02:03", "xx:54:00:77:00:02"] {
            assert_eq!(parse_mac(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_network_without_cards_has_no_address() {
        assert!(!Network::default().wait_for_address(Duration::ZERO));
    }
}
