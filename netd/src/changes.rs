//! Reading on in the change log.

use inventory::{Change, Error, Inventory};

/// Where a follower stands in the change log.
#[derive(Debug, Default)]
pub(crate) struct Bookmark(i64);

impl Bookmark {
    /// Behind the newest change.
    pub(crate) async fn newest(inventory: &Inventory) -> Result<Self, Error> {
        Ok(Self(inventory.last_change().await?))
    }

    /// Shows everything that changed since the last call. When the log cannot be read to its end, the next call begins where this one did.
    pub(crate) async fn read_on(
        &mut self,
        inventory: &Inventory,
        mut see: impl FnMut(&Change),
    ) -> Result<(), Error> {
        let mut seq = self.0;
        loop {
            let changes = inventory.changes_since(seq, AT_ONCE).await?;
            changes.iter().for_each(&mut see);
            seq = changes.last().map_or(seq, |change| change.seq);
            if changes.len() < AT_ONCE as usize {
                self.0 = seq;
                return Ok(());
            }
        }
    }

    /// Lets the next call show the newest change once more: what it asked for could not be done.
    pub(crate) fn step_back(&mut self) {
        self.0 -= 1;
    }
}

const AT_ONCE: u32 = 1000;
