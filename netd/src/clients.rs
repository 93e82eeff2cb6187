//! What DNS knows of who asks. The gate writes it, DNS reads it; neither knows anything else of the other.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use inventory::{Cidr, FilterId, Level, ListId, MacAddr};
use tokio::sync::{mpsc, oneshot};

/// What the gate decided for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Client {
    /// Number of the device in the kernel's tables; 0 for an address that no device explains.
    pub number: u32,
    /// What it may use.
    pub level: Level,
    /// What "filtered" means for it.
    pub filter: Option<FilterId>,
    /// The allow list that goes with [`Level::AllowList`].
    pub list: Option<ListId>,
}

/// What is said of a device itself, wherever it is: how a device is known by its card, whose IPv6 addresses nobody gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Card {
    /// Number of the device.
    pub number: u32,
    /// What it may use; what the network says when absent.
    pub level: Option<Level>,
    /// What "filtered" means for it; what the network says when absent.
    pub filter: Option<FilterId>,
    /// The allow list, if something is said of the device.
    pub list: Option<Option<ListId>>,
}

/// Everybody who may ask: an immutable snapshot that is replaced as a whole.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    /// Devices by their addresses.
    pub devices: HashMap<IpAddr, Client>,
    /// Devices by their cards.
    pub cards: HashMap<MacAddr, Card>,
    /// What holds on an interface for cards of nobody.
    pub links: HashMap<String, Client>,
    /// What holds for all other addresses of a network.
    pub networks: Vec<(Cidr, Client)>,
}

impl Clients {
    /// What holds for an address; `None` where the gate decides nothing.
    #[must_use]
    pub fn of(&self, address: IpAddr) -> Option<Client> {
        let in_network =
            |ip: Ipv4Addr| self.networks.iter().find(|(cidr, _)| cidr.contains(ip)).map(|(_, c)| *c);
        self.devices.get(&address).copied().or(match address {
            IpAddr::V4(ip) => in_network(ip),
            IpAddr::V6(_) => None,
        })
    }
}

impl Clients {
    /// What holds for a card on an interface; `None` where the gate decides nothing.
    #[must_use]
    pub fn of_card(&self, mac: MacAddr, link: &str) -> Option<Client> {
        let stranger = *self.links.get(link)?;
        let Some(card) = self.cards.get(&mac) else { return Some(stranger) };
        Some(Client {
            number: card.number,
            level: card.level.unwrap_or(stranger.level),
            filter: card.filter.or(stranger.filter),
            list: card.list.unwrap_or(stranger.list),
        })
    }
}

/// The addresses behind an allowed name, which a client may use for a while. DNS waits for `opened` before it answers: the client
/// connects as soon as it has the answer.
#[derive(Debug)]
pub struct Opening {
    /// Number of the device.
    pub number: u32,
    /// The addresses of the answer.
    pub addresses: Vec<IpAddr>,
    /// How long they may be used, in seconds.
    pub secs: u32,
    /// Whether the name is always reachable, and not only on an allow list.
    pub always: bool,
    /// Told when the kernel has them.
    pub opened: oneshot::Sender<()>,
}

/// What the gate and DNS share.
#[derive(Debug, Clone)]
pub struct Link {
    /// Who may ask what.
    pub clients: Arc<ArcSwap<Clients>>,
    /// Where DNS asks the gate to open addresses.
    pub openings: mpsc::Sender<Opening>,
}
