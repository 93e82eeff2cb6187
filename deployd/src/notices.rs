//! The notices of this daemon: raised where something is found, cleared where it is found to be right again.

use std::collections::BTreeMap;

use inventory::{By, Inventory};
use tokio::sync::Mutex;

/// Notices by place. They are kept over a restart: damage does not heal by it.
pub(crate) struct Notices {
    inventory: Inventory,
    /// Place to text and remedy.
    found: Mutex<BTreeMap<String, (String, String)>>,
}

impl Notices {
    /// Reads what an earlier run has found.
    ///
    /// # Errors
    /// The database failed.
    pub(crate) async fn load(inventory: Inventory) -> inventory::Result<Self> {
        let found = inventory.notices().await?.into_iter().filter(|n| n.source == crate::NAME);
        let found = found.map(|n| (n.place, (n.text, n.remedy))).collect();
        Ok(Self { inventory, found: Mutex::new(found) })
    }

    /// Raises a notice, or replaces the one at that place.
    pub(crate) async fn raise(&self, place: &str, text: &str, remedy: &str) {
        let mut found = self.found.lock().await;
        let notice = (text.to_owned(), remedy.to_owned());
        if found.get(place) == Some(&notice) || (found.len() >= NOTICES_MAX && !found.contains_key(place)) {
            return;
        }
        tracing::error!(notice.place = place, "{text}; {remedy}");
        found.insert(place.to_owned(), notice);
        self.write(&found).await;
    }

    /// Takes a notice back.
    pub(crate) async fn clear(&self, place: &str) {
        let mut found = self.found.lock().await;
        if found.remove(place).is_some() {
            tracing::info!(notice.place = place, "this is in order again");
            self.write(&found).await;
        }
    }

    async fn write(&self, found: &BTreeMap<String, (String, String)>) {
        let rows: Vec<(String, String, String)> = found
            .iter()
            .map(|(place, (text, remedy))| (place.clone(), text.clone(), remedy.clone()))
            .collect();
        let by = By { actor: crate::NAME, at: inventory::clock::now() };
        if let Err(error) = self.inventory.set_notices(by, crate::NAME, &rows).await {
            // The next notice writes all of them again.
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note what is not in order");
        }
    }
}

const NOTICES_MAX: usize = 100;
