//! Wake-on-LAN: magic packets to PCs that somebody wants switched on, repeated until their agents speak.
//!
//! A magic packet is six bytes FF and sixteen times the hardware address, anywhere in a frame (AMD, "Magic Packet Technology", publication
//! 20213). It goes to the broadcast address of every network, because nobody knows where a PC that is off is plugged in, and to the PC's
//! last address, which a switch or router may still know when it forwards no broadcasts.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory::{
    Device, Interface, InterfaceKind, Inventory, MacAddr, Network, POWER_MILLIS, Power, PowerAsk, PowerState,
    UnixMillis,
};
use tokio::net::UdpSocket;
use tokio::sync::watch;

use crate::notices::Notices;
use crate::stop::{Stop, stopped};

/// Sends magic packets.
pub(crate) struct Waker {
    pub(crate) inventory: Inventory,
    pub(crate) notices: Arc<Notices>,
    /// Marked changed when devices changed.
    pub(crate) changed: watch::Receiver<u64>,
    pub(crate) stop: Stop,
}

/// Why a round was not finished. The next one tries again.
#[derive(Debug, thiserror::Error)]
enum WakeError {
    #[error("the inventory does not answer")]
    Inventory(#[from] inventory::Error),
    #[error("no socket can be had")]
    Socket(#[from] io::Error),
}

impl Waker {
    /// Sends what is asked for until the daemon ends.
    pub(crate) async fn run(self) {
        let (mut changed, mut stop) = (self.changed.clone(), self.stop.clone());
        // When each was last called, since it was asked for.
        let mut called = HashMap::new();
        loop {
            changed.borrow_and_update();
            let waits = match self.round(&mut called).await {
                Ok(waits) => waits,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "PCs cannot be woken");
                    true
                }
            };
            let pause = if waits { LOOK_EVERY } else { LOOK_ANYWAY };
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// Calls who has to be called. Returns whether somebody has not answered yet.
    async fn round(&self, called: &mut HashMap<PowerAsk, Instant>) -> Result<bool, WakeError> {
        let now = inventory::clock::now();
        let since = UnixMillis(now.0.saturating_sub(POWER_MILLIS));
        let mut asks = self.inventory.power_asks(since, None).await?;
        asks.retain(|ask| ask.power == Power::On);
        called.retain(|ask, _| asks.contains(ask));
        if asks.is_empty() {
            return Ok(false);
        }
        let networks = self.inventory.networks().await?.0;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await?;
        socket.set_broadcast(true)?;
        let mut waits = false;
        for ask in asks {
            let Some(device) = self.inventory.device(ask.device).await? else { continue };
            if ask.state(device.last_seen, now) != PowerState::Open {
                continue;
            }
            waits = true;
            let at = inventory::clock::instant();
            if called.get(&ask).is_some_and(|last| at.saturating_duration_since(*last) < CALL_EVERY) {
                continue;
            }
            if called.insert(ask, at).is_none() {
                tracing::info!(device = %device.name, "a PC is being woken");
            }
            self.call(&socket, &device, &networks).await;
            // A room that starts in one instant trips its fuse.
            tokio::time::sleep(STAGGER).await;
        }
        Ok(waits)
    }

    async fn call(&self, socket: &UdpSocket, device: &Device, networks: &[Network]) {
        let mut refused = None;
        let mut sent = false;
        for card in device.interfaces.iter().filter(|card| card.kind == InterfaceKind::Lan) {
            for target in targets(device, card, networks) {
                match socket.send_to(&magic_packet(card.mac), SocketAddrV4::new(target, PORT)).await {
                    Ok(_) => sent = true,
                    Err(error) => refused = Some(format!("{target}: {error}")),
                }
            }
        }
        match refused {
            Some(why) if !sent => {
                self.notices.raise(PLACE, &format!("PCs cannot be switched on: {why}"), REMEDY).await;
            }
            _ => self.notices.clear(PLACE).await,
        }
    }
}

/// Where a card may hear it.
fn targets(device: &Device, card: &Interface, networks: &[Network]) -> Vec<Ipv4Addr> {
    let last: Option<Ipv4Addr> = device.observed.address.as_deref().and_then(|address| address.parse().ok());
    let mut targets: Vec<Ipv4Addr> = networks.iter().map(|network| network.cidr.broadcast()).collect();
    targets.extend(last);
    targets.extend(card.reserved_ip);
    targets.push(Ipv4Addr::BROADCAST);
    targets.sort_unstable();
    targets.dedup();
    targets
}

fn magic_packet(mac: MacAddr) -> [u8; 102] {
    let mut packet = [0xff; 102];
    for place in packet.chunks_exact_mut(6).skip(1) {
        place.copy_from_slice(&mac.0);
    }
    packet
}

/// Nobody answers at it: "discard".
const PORT: u16 = 9;
const CALL_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_ANYWAY: Duration = Duration::from_secs(30);
const STAGGER: Duration = Duration::from_millis(50);
const PLACE: &str = "wake";
const REMEDY: &str = "check that the server has an address in the PCs' network";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_magic_packet_is_six_ff_and_sixteen_times_the_address() {
        let packet = magic_packet("52:54:00:12:34:56".parse().unwrap());
        assert_eq!(packet[..6], [0xff; 6]);
        assert_eq!(packet[6..].len(), 96);
        assert!(packet[6..].chunks(6).all(|place| place == [0x52, 0x54, 0, 0x12, 0x34, 0x56]));
    }
}
