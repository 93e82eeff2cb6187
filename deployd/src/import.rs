//! Taking an image from a disk image file on the server.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use images::blockdev::FileDev;
use images::capture::{self, CaptureError};
use images::manifest::ManifestId;
use images::store::{Hold, Store, StoreError};
use inventory::config::Site;
use inventory::{By, Inventory, UnixMillis};

use crate::catalogue::free_bytes;
use crate::keys::{KeyError, signing_key};

/// Why there is no new version. The image store and the inventory are as they were, but for chunks that a next attempt
/// need not bring again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file cannot be opened.
    #[error("cannot open {}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file cannot be captured.
    #[error("{} cannot be made an image", path.display())]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CaptureError,
    },
    /// The file system is as full as it may become.
    #[error(
        "{} may fill up no further: {} MiB stay free for the database (reserve_mib in [deployd]); free some space there",
        path.display(), reserve_bytes >> 20
    )]
    Full {
        /// Folder of the image store.
        path: PathBuf,
        /// What stays free.
        reserve_bytes: u64,
    },
    /// The store does not take it.
    #[error("the image store does not take the image")]
    Store(#[from] StoreError),
    /// The inventory does not take it.
    #[error("the inventory does not take the image")]
    Inventory(#[from] inventory::Error),
    /// The work ended unexpectedly.
    #[error("the import ended unexpectedly")]
    Interrupted(#[source] tokio::task::JoinError),
}

/// Reads a raw disk image into the store and adds it as the newest version of the image `name`, which is made if there is
/// none. Returns the version's number. A running `deployd` may use the store at the same time.
///
/// `reserve_bytes` of the store's file system stay free, as in [`crate::Config::reserve_mib`]: the database may lie there too.
/// `progress` is called often with the used bytes that were read and all used bytes.
///
/// # Errors
/// See [`ImportError`].
pub async fn import_image(
    site: &Site,
    inventory: &Inventory,
    name: &str,
    path: &Path,
    reserve_bytes: u64,
    progress: impl FnMut(u64, u64) + Send + 'static,
) -> Result<i64, ImportError> {
    let key = signing_key(site)?;
    let by = || By { actor: crate::NAME, at: inventory::clock::now() };
    let name = name.trim().to_owned();
    let known = inventory.images().await?.iter().any(|image| image.name == name);
    // First of all, so that an unusable name is not found out after an hour of reading.
    let image = inventory.ensure_image(by(), &name).await?;
    let (store_dir, path) = (site.store_dir(), path.to_owned());
    let made_at = by().at;
    let source = Source { name, path, made_at };
    let read =
        tokio::task::spawn_blocking(move || read(&store_dir, reserve_bytes, &key, &source, progress)).await;
    match read.unwrap_or_else(|error| Err(ImportError::Interrupted(error))) {
        Ok(Imported { manifest, used_bytes, _hold }) => {
            Ok(inventory.add_version(by(), image, &manifest.to_string(), used_bytes).await?)
        }
        Err(error) => {
            if !known && let Err(left) = inventory.delete_image(by(), image).await {
                tracing::warn!(image.id = %image, error = &left as &dyn std::error::Error, "an empty image remains");
            }
            Err(error)
        }
    }
}

struct Source {
    /// Of the image.
    name: String,
    /// Of the file.
    path: PathBuf,
    made_at: UnixMillis,
}

struct Imported {
    manifest: ManifestId,
    used_bytes: u64,
    /// Until the inventory names the manifest.
    _hold: Hold,
}

fn read(
    store_dir: &Path,
    reserve_bytes: u64,
    key: &SigningKey,
    source: &Source,
    mut progress: impl FnMut(u64, u64),
) -> Result<Imported, ImportError> {
    let path = &source.path;
    let disk = FileDev::open_read(path).map_err(|source| ImportError::Open { path: path.clone(), source })?;
    let failed = |source| ImportError::Capture { path: path.clone(), source };
    let plan = capture::plan(&disk).map_err(failed)?;
    for warning in &plan.warnings {
        tracing::warn!(path = %path.display(), "{warning}");
    }
    let store = Store::open(store_dir)?;
    let hold = store.hold()?;
    let has_room = || free_bytes(store_dir).is_none_or(|free| free >= reserve_bytes);
    let full = || ImportError::Full { path: store_dir.to_owned(), reserve_bytes };
    // Before the first chunk too: what is on its way when room ends is stored still, and repeated attempts would add up.
    if !has_room() {
        return Err(full());
    }
    let mut room = true;
    let captured = capture::run(&disk, &plan, &source.name, source.made_at.0, &store, &mut |at| {
        progress(at.read_bytes, at.total_bytes);
        room = has_room();
        if room { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    if !room {
        return Err(full());
    }
    let (manifest, _) = captured.map_err(failed)?;
    let id = store.publish(&manifest.sign(key))?;
    Ok(Imported { manifest: id, used_bytes: plan.total_bytes(), _hold: hold })
}
