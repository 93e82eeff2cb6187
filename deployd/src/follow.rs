//! Following the inventory: keeps the snapshot of who boots what, and wakes agents that wait for work.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use inventory::boot::BootView;
use inventory::{Change, Inventory};
use tokio::sync::watch;

use crate::stop::{Stop, stopped};

/// What the rest of the daemon knows of the inventory without asking it.
#[derive(Clone)]
pub(crate) struct Followed {
    /// Who boots what.
    pub(crate) boot: Arc<ArcSwap<BootView>>,
    /// Marked changed when devices or jobs changed in a way that an agent may have waited for.
    pub(crate) work: watch::Receiver<u64>,
    /// Marked changed when what programs PCs should have may have changed.
    pub(crate) software: watch::Receiver<u64>,
}

/// Starts to follow.
///
/// # Errors
/// The database failed.
pub(crate) async fn start(
    inventory: Inventory,
    stop: Stop,
) -> inventory::Result<(Followed, tokio::task::JoinHandle<()>)> {
    // Subscribed before the first read, so that nothing is missed between the two.
    let changed = inventory.follow();
    let seq = inventory.last_change().await?;
    let boot = Arc::new(ArcSwap::from_pointee(inventory.boot_view().await?));
    let (wake, work) = watch::channel(0);
    let (software_changed, software) = watch::channel(0);
    let followed = Followed { boot: boot.clone(), work, software };
    let follower = Follower { inventory, boot, wake, software_changed, seq, seen: HashSet::new() };
    Ok((followed, tokio::spawn(follower.run(changed, stop))))
}

struct Follower {
    inventory: Inventory,
    boot: Arc<ArcSwap<BootView>>,
    wake: watch::Sender<u64>,
    software_changed: watch::Sender<u64>,
    /// The newest change that was looked at.
    seq: i64,
    /// Changes that were looked at, of the last [`Inventory::changes_overlap`] at least.
    seen: HashSet<i64>,
}

impl Follower {
    async fn run(mut self, mut changed: watch::Receiver<u64>, mut stop: Stop) {
        let mut failing = false;
        loop {
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                // Also looks by itself, in case the engine's own messages were lost.
                () = tokio::time::sleep(LOOK_ANYWAY) => {}
                () = stopped(&mut stop) => return,
            }
            match self.refresh().await {
                Ok(()) if failing => {
                    failing = false;
                    tracing::info!("following the inventory again");
                }
                Ok(()) => {}
                Err(error) => {
                    if !failing {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "cannot follow the inventory; PCs boot by what was known before"
                        );
                    }
                    failing = true;
                    changed.mark_changed();
                    tokio::time::sleep(RETRY).await;
                }
            }
            // Progress of thirty PCs is many commits a second; one look serves them all.
            tokio::time::sleep(GATHER).await;
        }
    }

    async fn refresh(&mut self) -> inventory::Result<()> {
        let changes = self
            .inventory
            .changes_since(self.seq.saturating_sub(self.inventory.changes_overlap()), CHANGES_MAX)
            .await?;
        let fresh: Vec<&Change> = changes.iter().filter(|change| !self.seen.contains(&change.seq)).collect();
        if fresh.is_empty() {
            return Ok(());
        }
        let full = u32::try_from(changes.len()).is_ok_and(|n| n >= CHANGES_MAX);
        // The number is read before the snapshot: what is committed in between is in the snapshot and looked at once more.
        let newest = if full { self.inventory.last_change().await? } else { self.seq };
        if full || fresh.iter().any(|change| concerns_agents(change)) {
            self.boot.store(Arc::new(self.inventory.boot_view().await?));
            self.wake.send_modify(|n| *n = n.wrapping_add(1));
        }
        if full || fresh.iter().any(|change| concerns_software(change)) {
            self.software_changed.send_modify(|n| *n = n.wrapping_add(1));
        }
        self.seq = changes.last().map_or(newest, |change| change.seq).max(newest);
        self.seen = changes.iter().map(|change| change.seq).collect();
        Ok(())
    }
}

/// Whether a change may alter what a PC boots or what its agent is told.
fn concerns_agents(change: &Change) -> bool {
    match change.entity.as_str() {
        "job" => change.action != "progress",
        "device" => change.action != "observed",
        "night" => change.action != "observed",
        "image" => true,
        _ => false,
    }
}

/// Whether a change may alter what programs a PC should have.
fn concerns_software(change: &Change) -> bool {
    match change.entity.as_str() {
        "device" => change.action != "observed",
        "package" | "room" | "group" => true,
        _ => false,
    }
}

const GATHER: Duration = Duration::from_millis(20);
const RETRY: Duration = Duration::from_secs(1);
const LOOK_ANYWAY: Duration = Duration::from_secs(10);
const CHANGES_MAX: u32 = 500;
