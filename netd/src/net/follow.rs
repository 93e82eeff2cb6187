//! Keeps the engine's view up to date: networks and devices of the inventory, interfaces of the machine; and tells the
//! inventory what is not in order.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use inventory::{By, Device, Inventory, Network, NetworkId, clock};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::links::{self, Port};
use super::worker::Order;
use super::{Config, Error, Shared};
use crate::chain::chain;
use crate::changes::Bookmark;
use crate::dhcp::{Link, LinkId, Problem, View};

/// What is not in order, from all threads.
#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    engine: Vec<Problem>,
    inventory: Vec<Problem>,
    /// Lease rows that cannot be read.
    leases: Vec<Problem>,
    shell: BTreeMap<&'static str, Problem>,
    changed: bool,
}

impl Notes {
    fn with<T>(&self, change: impl FnOnce(&mut Book) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set_engine(&self, problems: Vec<Problem>) {
        self.with(|book| {
            book.changed |= book.engine != problems;
            book.engine = problems;
        });
    }

    fn set_inventory(&self, problems: Vec<Problem>) {
        self.with(|book| {
            book.changed |= book.inventory != problems;
            book.inventory = problems;
        });
    }

    /// Raises a problem of the shell; `true` if it is new.
    pub(super) fn raise(&self, place: &'static str, problem: impl FnOnce() -> Problem) -> bool {
        self.with(|book| {
            let new = !book.shell.contains_key(place);
            if new {
                book.shell.insert(place, problem());
                book.changed = true;
            }
            new
        })
    }

    /// Ends a problem of the shell; `true` if there was one.
    pub(super) fn clear(&self, place: &'static str) -> bool {
        self.with(|book| {
            let was = book.shell.remove(place).is_some();
            book.changed |= was;
            was
        })
    }

    /// All problems, if they changed since the last call.
    fn take(&self) -> Option<Vec<Problem>> {
        self.with(|book| {
            std::mem::take(&mut book.changed).then(|| {
                let shell = book.shell.values();
                book.engine.iter().chain(&book.inventory).chain(&book.leases).chain(shell).cloned().collect()
            })
        })
    }

    fn mark(&self) {
        self.with(|book| book.changed = true);
    }
}

/// The task's state.
pub(super) struct Follower {
    config: Config,
    inventory: Inventory,
    shared: Arc<Shared>,
    changes: watch::Receiver<u64>,
    /// The changes that were looked at.
    seen: Bookmark,
    links: Vec<Link>,
    networks: Vec<Network>,
    devices: Vec<Device>,
    guarded: HashSet<NetworkId>,
    /// Rows of the inventory that cannot be used.
    unusable: Vec<Problem>,
    missing: Vec<(String, &'static str)>,
    unopened: Vec<Problem>,
}

impl Follower {
    pub(super) fn new(
        config: Config,
        inventory: Inventory,
        shared: Arc<Shared>,
        changes: watch::Receiver<u64>,
    ) -> Self {
        Self {
            config,
            inventory,
            shared,
            changes,
            seen: Bookmark::default(),
            links: Vec::new(),
            networks: Vec::new(),
            devices: Vec::new(),
            guarded: HashSet::new(),
            unusable: Vec::new(),
            missing: Vec::new(),
            unopened: Vec::new(),
        }
    }

    /// Opens all sockets and makes the first view. Here a socket that cannot be opened is an error: later it is a notice.
    pub(super) async fn first(&mut self) -> Result<View, Error> {
        let (links, missing) = links::present(&self.config.interfaces)
            .map_err(|source| Error::System { op: "list the interfaces", source })?;
        let opened: Result<HashMap<_, _>, Error> =
            links.iter().map(|link| Ok((link.id, Arc::new(Port::open(&self.config, link)?)))).collect();
        self.shared.ports.store(Arc::new(opened?));
        for (name, reason) in &missing {
            tracing::warn!(interface = name, "this interface is not served: {reason}");
        }
        (self.links, self.missing) = (links, missing);
        self.seen = Bookmark::newest(&self.inventory).await?;
        self.load().await?;
        Ok(self.view())
    }

    pub(super) fn lease_problems(&self, errors: &[inventory::Error]) {
        let problems: Vec<Problem> = errors.iter().take(ROWS_MAX).map(row_problem).collect();
        self.shared.notes.with(|book| {
            book.changed |= book.leases != problems;
            book.leases = problems;
        });
    }

    pub(super) async fn run(mut self) {
        let mut second = interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked = Instant::now();
        loop {
            tokio::select! {
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow_changes().await;
                    // Leases are commits too; a busy server looks at most every 20 ms.
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                _ = second.tick() => {
                    self.write_notes().await;
                    if looked.elapsed() >= LOOK_AT_LINKS {
                        looked = Instant::now();
                        self.look_at_links();
                    }
                }
            }
        }
    }

    /// Reads the inventory again if the change log names something that matters here.
    async fn follow_changes(&mut self) {
        let mut matters = false;
        let read = self.seen.read_on(&self.inventory, |change| {
            matters |= matches!(change.entity.as_str(), "network" | "device" | "waiting")
                && change.action != "observed";
        });
        if let Err(error) = read.await {
            tracing::warn!(error = chain(&error), "cannot read the change log; asking again");
            self.changes.mark_changed();
            return;
        }
        if matters {
            match self.load().await {
                Ok(()) => self.tell(),
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "cannot read networks and devices; serving the old ones"
                    );
                    // Nothing else will say so again.
                    self.seen.step_back();
                    self.changes.mark_changed();
                }
            }
        }
    }

    async fn load(&mut self) -> Result<(), inventory::Error> {
        let (networks, bad_networks) = self.inventory.networks().await?;
        let (devices, bad_devices) = self.inventory.devices().await?;
        // The gate tells of rows of these that cannot be used.
        let (guarded, _) = self.inventory.gated_networks().await?;
        self.guarded = guarded.iter().map(|network| network.id).collect();
        self.unusable = bad_networks.iter().chain(&bad_devices).take(ROWS_MAX).map(row_problem).collect();
        (self.networks, self.devices) = (networks, devices);
        Ok(())
    }

    fn view(&self) -> View {
        let (view, mut problems) =
            View::new(self.config.settings.clone(), self.networks.clone(), &self.devices, self.links.clone());
        let view = view.guarding(self.guarded.clone());
        problems.extend(self.unusable.iter().cloned());
        problems.extend(self.unopened.iter().cloned());
        problems.extend(self.missing.iter().map(|(name, reason)| Problem {
            place: format!("interfaces/{name}"),
            text: format!("the interface {name} is not served: {reason}"),
            remedy:
                "correct `interfaces` in the section [netd] of the configuration, or the interface".into(),
        }));
        self.shared.notes.set_inventory(problems);
        view
    }

    fn tell(&self) {
        self.shared.control.send(Order::View(Arc::new(self.view())));
    }

    /// Interfaces come and go, and change their addresses.
    fn look_at_links(&mut self) {
        let (links, missing) = match links::present(&self.config.interfaces) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "cannot list the interfaces");
                return;
            }
        };
        if links == self.links && missing == self.missing && self.unopened.is_empty() {
            return;
        }
        let before = self.shared.ports.load_full();
        let mut ports: HashMap<LinkId, Arc<Port>> = HashMap::new();
        let mut unopened = Vec::new();
        for link in &links {
            let opened = match before.get(&link.id).filter(|port| port.link.name == link.name) {
                Some(port) if port.link == *link => Ok(Arc::clone(port)),
                Some(port) => port.renewed(link).map(Arc::new),
                None => Port::open(&self.config, link).map(Arc::new),
            };
            match opened {
                Ok(port) => {
                    ports.insert(link.id, port);
                }
                Err(error) => unopened.push(Problem {
                    place: format!("interfaces/{}", link.name),
                    text: error.to_string(),
                    remedy: "`hausmeister check` looks for the cause".into(),
                }),
            }
        }
        if unopened != self.unopened || links != self.links {
            tracing::info!(interfaces = ?ports.values().map(|p| p.link.name.as_str()).collect::<Vec<_>>(), "serving DHCP");
        }
        let links = links.into_iter().filter(|link| ports.contains_key(&link.id)).collect();
        self.shared.ports.store(Arc::new(ports));
        (self.links, self.missing, self.unopened) = (links, missing, unopened);
        self.tell();
    }

    async fn write_notes(&self) {
        let Some(problems) = self.shared.notes.take() else { return };
        let found: Vec<(String, String, String)> =
            problems.into_iter().map(|p| (p.place, p.text, p.remedy)).collect();
        let by = By { actor: SOURCE, at: clock::now() };
        if let Err(error) = self.inventory.set_notices(by, SOURCE, &found).await {
            tracing::warn!(error = chain(&error), "cannot write notices; trying again");
            self.shared.notes.mark();
        }
    }
}

fn row_problem(error: &inventory::Error) -> Problem {
    let place = match error {
        inventory::Error::Row { table, key, .. } => format!("{table}/{key}"),
        _ => "inventory".into(),
    };
    Problem {
        place,
        text: chain(error),
        remedy: "correct or remove this entry; everything else is served".into(),
    }
}

/// Source of the notices, and name in the change log.
const SOURCE: &str = "netd";
const LOOK_AT_LINKS: Duration = Duration::from_secs(2);
/// More broken rows than this are one problem, not many.
const ROWS_MAX: usize = 50;
