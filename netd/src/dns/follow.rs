//! Keeps the table up to date.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::proto::rr::Name;
use inventory::{Hostname, Inventory, clock};
use tokio::sync::{Notify, watch};

use super::Error;
use super::handler::School;
use super::table::Table;
use super::zones::{self, Facts, Guests};
use crate::chain::chain;
use crate::interfaces;

/// Makes tables.
#[derive(Debug)]
pub(crate) struct Maker {
    inventory: Inventory,
    /// From the configuration; when empty, the machine is asked.
    own_addresses: Vec<Ipv4Addr>,
    /// What the last table was made from.
    facts: Facts,
    guests: Guests,
}

impl Maker {
    /// Makes tables for this zone and this server; what the inventory holds is read with the first one.
    pub(crate) fn new(
        inventory: Inventory,
        zone: Name,
        own_names: Vec<Hostname>,
        own_addresses: Vec<Ipv4Addr>,
        portal: Option<Name>,
    ) -> Self {
        let facts = Facts {
            zone,
            own_names,
            own_addresses: Vec::new(),
            portal,
            networks: Vec::new(),
            devices: Vec::new(),
            leases: Vec::new(),
            revision: 0,
        };
        Self { inventory, own_addresses, facts, guests: Guests::new() }
    }

    /// Reads what changed and makes a table of it.
    pub(crate) async fn make(&mut self) -> Result<Table, Error> {
        let mut problems = self.read_devices().await?;
        let (leases, bad) = self.inventory.named_leases(clock::now()).await?;
        problems.extend(bad);
        self.facts.leases = leases;
        for problem in &problems {
            tracing::debug!(error = chain(problem), "left out of the DNS zones");
        }
        let mut addresses = self.own_addresses.clone();
        if addresses.is_empty() {
            addresses = machine_addresses();
            addresses.retain(|ip| self.facts.networks.iter().any(|network| network.cidr.contains(*ip)));
        }
        self.facts.own_addresses = addresses;
        // With thousands of devices this takes tens of milliseconds, in which questions are to be answered.
        let (facts, guests) = (self.facts.clone(), self.guests.clone());
        let made = tokio::task::spawn_blocking(move || zones::build(&facts, &guests, clock::now())).await;
        let (table, guests) = made
            .map_err(|error| Error::Names(error.to_string()))?
            .map_err(|error| Error::Names(error.to_string()))?;
        self.guests = guests;
        let networks: Vec<_> = self.facts.networks.iter().map(|network| network.cidr).collect();
        Ok(table.with_links(interfaces::links_in(&networks)))
    }

    /// Reads networks and devices if one of them may have changed. While images are written, the inventory changes all the
    /// time, but nothing that is in a zone.
    async fn read_devices(&mut self) -> Result<Vec<inventory::Error>, Error> {
        // The number is read first: what changes meanwhile is read now and once more the next time.
        let revision = self.inventory.last_change().await?;
        let known = self.facts.revision;
        let changes = self.inventory.changes_since(known, CHANGES).await?;
        let all_seen = changes.len() < CHANGES as usize;
        let elsewhere = |entity: &str| !matches!(entity, "device" | "network");
        if known > 0 && all_seen && changes.iter().all(|change| elsewhere(&change.entity)) {
            self.facts.revision = revision;
            return Ok(Vec::new());
        }
        let (networks, mut problems) = self.inventory.networks().await?;
        let (devices, bad) = self.inventory.devices().await?;
        problems.extend(bad);
        self.facts.networks = networks;
        self.facts.devices = devices;
        self.facts.revision = revision;
        // Tens of kilobytes for each device, and no name in them.
        for device in &mut self.facts.devices {
            device.hardware = Default::default();
        }
        Ok(problems)
    }

    /// Makes a new table whenever something changed.
    pub(crate) async fn follow(
        mut self,
        school: Arc<School>,
        mut changes: watch::Receiver<u64>,
        leases: Arc<Notify>,
    ) {
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = leases.notified() => {}
                // Leases end without anybody writing it down.
                () = tokio::time::sleep(EXPIRY) => {}
            }
            let began = clock::instant();
            match self.make().await {
                Ok(table) => school.table.store(Arc::new(table)),
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "cannot read the school's names; DNS answers stay as they were"
                    );
                    changes.mark_changed();
                }
            }
            // At most a tenth of the time, however big the school is.
            tokio::time::sleep(LEAST_TIME.max(9 * (clock::instant() - began))).await;
        }
    }
}

fn machine_addresses() -> Vec<Ipv4Addr> {
    let mut addresses: Vec<Ipv4Addr> = interfaces::addresses().into_iter().map(|(_, ip)| ip).collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Least time between two tables.
const LEAST_TIME: Duration = Duration::from_millis(500);
/// More changes than this are not looked at one by one.
const CHANGES: u32 = 500;
/// How long an ended lease may still be answered.
const EXPIRY: Duration = Duration::from_secs(10);
