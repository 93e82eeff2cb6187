//! The notices of this daemon: raised where something is found, cleared where it is found to be right again.

use std::collections::{BTreeMap, HashSet};

use images::protocol::Shortcoming;
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

    /// Raises a notice about a damaged version of an image; gives its text.
    pub(crate) async fn raise_damage(&self, image: &str, version: i64, detail: &str) -> String {
        let text = format!("image {image:?}, version {version}, is damaged on the server: {detail}");
        let remedy =
            "capture or import the image again, or deploy an older version; check the disk of the server";
        self.raise(&image_place(image, version), &text, remedy).await;
        text
    }

    /// Raises a notice about what a PC's Windows lacks after a deploy, or takes the last one about this version back. One for each
    /// version: what is wrong on one PC is wrong on all that get it.
    pub(crate) async fn tell_shortcomings(
        &self,
        image: &str,
        version: i64,
        pc: &str,
        shortcomings: &[Shortcoming],
    ) {
        let place = format!("{}{AFTERWARDS}", image_place(image, version));
        // The others are about what is on the disk; an agent can come later.
        let no_agent = |shortcoming: &&Shortcoming| matches!(shortcoming, Shortcoming::NoAgent { .. });
        let told = shortcomings.iter().find(|shortcoming| !no_agent(shortcoming)).or(shortcomings.first());
        match told {
            None => self.clear(&place).await,
            Some(Shortcoming::NotGrown { partition }) => {
                let text = format!(
                    "image {image:?}, version {version}: on {pc} the NTFS of partition {partition} could not be made as large as its \
                     partition"
                );
                let remedy = "in Windows, select the drive in diskpart and say \"extend filesystem\"; if it is so on every PC, run \
                              chkdsk /f on the reference PC and capture the image again";
                self.raise(&place, &text, remedy).await;
            }
            Some(Shortcoming::NoAgent { partition }) => {
                let text = format!(
                    "image {image:?}, version {version}: on {pc} the Windows of partition {partition} got no agent; it reports nothing, \
                     and no programs are installed on it"
                );
                let remedy = "on the server, run `make windows-agent` and `hausmeister init --boot-files`, then deploy the image again";
                self.raise(&place, &text, remedy).await;
            }
            Some(Shortcoming::NotOpened { partition }) => {
                let text = format!(
                    "image {image:?}, version {version}: on {pc} the NTFS of partition {partition} could not be opened; a Windows on \
                     it has the name of the reference PC"
                );
                let remedy = "run chkdsk /f on the reference PC and capture the image again; make the boot environment anew \
                              (`hausmeister boot-environment`) if it is older than this server";
                self.raise(&place, &text, remedy).await;
            }
        }
    }

    /// Whether there is a notice at that place.
    pub(crate) async fn stands(&self, place: &str) -> bool {
        self.found.lock().await.contains_key(place)
    }

    /// Takes a notice back.
    pub(crate) async fn clear(&self, place: &str) {
        let mut found = self.found.lock().await;
        if found.remove(place).is_some() {
            tracing::info!(notice.place = place, "this is in order again");
            self.write(&found).await;
        }
    }

    /// Takes back the notices about images that are not there any more.
    pub(crate) async fn forget_gone_images(&self) {
        let mut found = self.found.lock().await;
        if !found.keys().any(|place| place.starts_with(IMAGES)) {
            return;
        }
        // A database that fails is asked again later.
        let Ok(images) = self.inventory.images().await else { return };
        let there: HashSet<String> = images
            .iter()
            .flat_map(|image| image.versions.iter().map(|v| image_place(&image.name, v.version)))
            .collect();
        let before = found.len();
        let of = |place: &str| place.strip_suffix(AFTERWARDS).unwrap_or(place).to_owned();
        found.retain(|place, _| !place.starts_with(IMAGES) || there.contains(&of(place)));
        if found.len() != before {
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

/// Where notices about a version of an image stand.
pub(crate) fn image_place(image: &str, version: i64) -> String {
    format!("{IMAGES}{image}/{version}")
}

const IMAGES: &str = "images/";
const AFTERWARDS: &str = "/windows";
const NOTICES_MAX: usize = 100;
