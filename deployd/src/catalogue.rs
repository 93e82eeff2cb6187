//! The images that can be served: the store, and the manifests that are in use kept in memory once for all PCs.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use ed25519_dalek::{SigningKey, VerifyingKey};
use images::chunk::Hash;
use images::manifest::{Manifest, ManifestError, ManifestId};
use images::store::{Store, StoreError};
use tokio::sync::Mutex;

/// Images and the key that signs them.
pub(crate) struct Catalogue {
    store: Arc<Store>,
    signing: SigningKey,
    /// Most recently used last.
    loaded: Mutex<Vec<Loaded>>,
}

struct Loaded {
    id: ManifestId,
    image: Arc<ServedImage>,
    used_at: Instant,
}

/// A manifest that is being served.
pub(crate) struct ServedImage {
    /// The file, as agents get it.
    pub(crate) bytes: Bytes,
    /// All chunks, sorted.
    chunks: Vec<Hash>,
}

impl ServedImage {
    /// Whether the chunk is part of the image.
    pub(crate) fn contains(&self, chunk: &Hash) -> bool {
        self.chunks.binary_search(chunk).is_ok()
    }
}

/// Why an image cannot be served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogueError {
    /// The store has no such manifest.
    #[error("its manifest {0} is not in the store")]
    Absent(ManifestId),
    /// The manifest was not signed by this server's key, or is damaged.
    #[error("its manifest {id} cannot be used: {problem}")]
    Unusable {
        /// Which.
        id: ManifestId,
        /// What is wrong with it.
        problem: String,
    },
    /// The store cannot be read.
    #[error(transparent)]
    Store(StoreError),
}

impl Catalogue {
    pub(crate) fn new(store: Arc<Store>, signing: SigningKey) -> Self {
        Self { store, signing, loaded: Mutex::default() }
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        &self.store
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.signing
    }

    /// The key that manifests are checked with, as agents are told it.
    pub(crate) fn verifying_key_hex(&self) -> String {
        crate::keys::verifying_key_hex(&self.signing)
    }

    /// The image with that manifest. Loaded once, however many PCs ask at the same time.
    ///
    /// # Errors
    /// See [`CatalogueError`].
    pub(crate) async fn image(
        &self,
        id: ManifestId,
        now: Instant,
    ) -> Result<Arc<ServedImage>, CatalogueError> {
        // Held while loading: thirty PCs that begin at once must not read a large manifest thirty times.
        let mut loaded = self.loaded.lock().await;
        if let Some(at) = loaded.iter().position(|entry| entry.id == id) {
            let mut entry = loaded.remove(at);
            entry.used_at = now;
            let image = entry.image.clone();
            loaded.push(entry);
            return Ok(image);
        }
        let (store, key) = (self.store.clone(), self.signing.verifying_key());
        let image = tokio::task::spawn_blocking(move || load(&store, id, &key)).await;
        let image = image.unwrap_or_else(|panic| {
            Err(CatalogueError::Unusable { id, problem: format!("reading it failed: {panic}") })
        })?;
        let image = Arc::new(image);
        if loaded.len() >= LOADED_MAX {
            loaded.remove(0);
        }
        loaded.push(Loaded { id, image: image.clone(), used_at: now });
        Ok(image)
    }

    /// Frees what nobody has used for a while.
    pub(crate) async fn tidy(&self, now: Instant) {
        self.loaded.lock().await.retain(|entry| now.saturating_duration_since(entry.used_at) < KEPT_UNUSED);
    }
}

fn load(store: &Store, id: ManifestId, key: &VerifyingKey) -> Result<ServedImage, CatalogueError> {
    let unusable = |error: ManifestError| CatalogueError::Unusable { id, problem: error.to_string() };
    let bytes = match store.manifest_bytes(&id) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(CatalogueError::Absent(id)),
        Err(StoreError::Manifest { source, .. }) => return Err(unusable(source)),
        Err(other) => return Err(CatalogueError::Store(other)),
    };
    let manifest = Manifest::parse_signed(&bytes, key).map_err(unusable)?;
    let mut chunks: Vec<Hash> = manifest.hashes().copied().collect();
    chunks.sort_unstable();
    chunks.dedup();
    Ok(ServedImage { bytes: bytes.into(), chunks })
}

/// Bytes that are free for us on the file system of a folder; `None` when it does not tell.
pub(crate) fn free_bytes(dir: &Path) -> Option<u64> {
    let stat = nix::sys::statvfs::statvfs(dir).ok()?;
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// A school deploys one or two images at a time; each may take up to 128 MiB here.
const LOADED_MAX: usize = 4;
const KEPT_UNUSED: Duration = Duration::from_secs(120);
