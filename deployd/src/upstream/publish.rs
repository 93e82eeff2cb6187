//! Writing images to a place where other servers fetch them.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use images::chunk::Hash;
use images::manifest::{Manifest, ManifestError, ManifestId};
use images::published::{
    BuiltPack, CATALOGUE_BYTES_MAX, CATALOGUE_PATH, Catalogue, INDEX_BYTES_MAX, PackBuilder, PackIndex,
    PackName, Published, PublishedError, index_path, manifest_path, pack_path, worth_keeping,
};
use images::store::{Hold, Store, StoreError};
use inventory::Inventory;
use inventory::config::Site;

use super::{Place, PlaceError, Remote, RemoteError};
use crate::keys::{KeyError, signing_key, verifying_key_hex};

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// Image, version.
    pub images: Vec<(String, i64)>,
    /// The key that readers must be told, hexadecimal.
    pub key: String,
    /// Packs that were sent.
    pub packs: usize,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packs that were removed because nothing needs them.
    pub removed: usize,
}

/// Why images are not published. What is published stays readable, and what was sent is not sent again.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The signing key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The place cannot be opened.
    #[error(transparent)]
    Place(#[from] PlaceError),
    /// A web server is for readers.
    #[error("{0} can only be read: publish to file:///folder or s3://bucket/prefix")]
    ReadOnly(Place),
    /// The place does not take it.
    #[error("{place} does not take the images")]
    Remote {
        /// Which.
        place: Place,
        /// Why.
        source: RemoteError,
    },
    /// Another server publishes there.
    #[error("{place} holds a catalogue of another server: choose an empty folder or prefix")]
    Foreign {
        /// Which.
        place: Place,
        /// What is wrong with its signature.
        source: PublishedError,
    },
    /// The catalogue cannot be written down.
    #[error("the catalogue cannot be made")]
    Catalogue(#[source] PublishedError),
    /// There is no such image.
    #[error("there is no image {0:?}, or it has no version")]
    NoImage(String),
    /// A manifest is not there or not ours.
    #[error("the manifest of image {image:?} cannot be used")]
    Manifest {
        /// Of which image.
        image: String,
        /// Why.
        source: Option<ManifestError>,
    },
    /// The store cannot be read.
    #[error("the image store cannot be read")]
    Store(#[from] StoreError),
    /// A chunk is not there.
    #[error("the image store lacks chunk {0}: capture or import the image again")]
    Lacks(Hash),
    /// The inventory does not answer.
    #[error("the inventory does not answer")]
    Inventory(#[from] inventory::Error),
    /// The work ended unexpectedly.
    #[error("the work ended unexpectedly")]
    Interrupted(#[from] tokio::task::JoinError),
}

/// Publishes the newest version of the named images, or of all. What is published is then exactly this; chunks that lie there
/// are not sent again. `progress` is told the chunks that lie there and all.
///
/// # Errors
/// See [`PublishError`].
pub async fn publish(
    site: &Site,
    inventory: &Inventory,
    place: &Place,
    credentials: Option<&Path>,
    ca: Option<&Path>,
    names: &[String],
    mut progress: impl FnMut(usize, usize),
) -> Result<Publication, PublishError> {
    if !place.is_writable() {
        return Err(PublishError::ReadOnly(place.clone()));
    }
    let key = signing_key(site)?;
    place.create()?;
    let remote = Remote { store: place.open(credentials, ca)? };
    let failed = |source| PublishError::Remote { place: place.clone(), source };
    let local = Local::open(site, inventory, &key, names).await?;
    let needed: HashSet<Hash> = local.versions.iter().flat_map(|v| v.chunks.iter().copied()).collect();

    let old = old_catalogue(&remote, place, &key).await?;
    let old_packs = old.iter().flat_map(packs_of).collect::<HashSet<_>>();
    let mut there = there(&remote, &old_packs, &needed).await.map_err(failed)?;
    let mut done = Publication {
        images: local.versions.iter().map(|v| (v.image.clone(), v.version)).collect(),
        key: verifying_key_hex(&key),
        packs: 0,
        sent_bytes: 0,
        removed: 0,
    };
    let mut builder = PackBuilder::default();
    let mut planned = HashSet::new();
    progress(there.len(), needed.len());
    for hash in local.versions.iter().flat_map(|v| &v.chunks) {
        if there.contains_key(hash) || !planned.insert(*hash) {
            continue;
        }
        let (store, wanted) = (local.store.clone(), *hash);
        let stored = tokio::task::spawn_blocking(move || store.stored(&wanted)).await??;
        builder.push(hash, &stored.ok_or(PublishError::Lacks(*hash))?);
        if builder.is_full()
            && let Some(pack) = builder.finish()
        {
            send(&remote, pack, &mut there, &mut done).await.map_err(failed)?;
            progress(there.len(), needed.len());
        }
    }
    if let Some(pack) = builder.finish() {
        send(&remote, pack, &mut there, &mut done).await.map_err(failed)?;
        progress(there.len(), needed.len());
    }

    let mut images = Vec::new();
    for version in &local.versions {
        let file = manifest_path(&version.manifest);
        if remote.len(&file).await.map_err(failed)?.is_none() {
            remote.write(&file, version.bytes.clone()).await.map_err(failed)?;
        }
        let mut packs: Vec<PackName> = version.chunks.iter().filter_map(|h| there.get(h).copied()).collect();
        packs.sort_unstable();
        packs.dedup();
        images.push(version.published(packs));
    }
    // Last of all, so that it never names what is not there; and what it no longer names goes after it.
    let before = old.as_ref().map_or(0, |catalogue| catalogue.made_at);
    if old.as_ref().is_none_or(|catalogue| catalogue.images != images) {
        let made_at = inventory::clock::now().0.max(before + 1);
        let catalogue = Catalogue { made_at, images: images.clone() };
        let bytes = catalogue.to_signed_bytes(&key).map_err(PublishError::Catalogue)?;
        remote.write(CATALOGUE_PATH, bytes).await.map_err(failed)?;
    }
    let named: HashSet<PackName> = images.iter().flat_map(|p| p.packs.iter().copied()).collect();
    for name in old_packs.difference(&named) {
        remote.remove(&index_path(name)).await.map_err(failed)?;
        remote.remove(&pack_path(name)).await.map_err(failed)?;
        done.removed += 1;
    }
    let manifests: HashSet<ManifestId> = images.iter().map(|p| p.manifest).collect();
    for gone in old.iter().flat_map(|c| &c.images).filter(|p| !manifests.contains(&p.manifest)) {
        remote.remove(&manifest_path(&gone.manifest)).await.map_err(failed)?;
    }
    Ok(done)
}

/// What is to be published, as it lies here.
struct Local {
    store: Arc<Store>,
    versions: Vec<Version>,
    /// Nothing of it vanishes meanwhile.
    _hold: Hold,
}

struct Version {
    image: String,
    version: i64,
    made_at: i64,
    used_bytes: u64,
    manifest: ManifestId,
    bytes: Vec<u8>,
    /// In the order of the disk.
    chunks: Vec<Hash>,
}

impl Version {
    fn published(&self, packs: Vec<PackName>) -> Published {
        Published {
            image: self.image.clone(),
            version: self.version,
            made_at: self.made_at,
            manifest: self.manifest,
            used_bytes: self.used_bytes,
            packs,
        }
    }
}

impl Local {
    async fn open(
        site: &Site,
        inventory: &Inventory,
        key: &SigningKey,
        names: &[String],
    ) -> Result<Self, PublishError> {
        let dir = site.store_dir();
        let opened = tokio::task::spawn_blocking(move || {
            let store = Store::open(&dir)?;
            let hold = store.hold()?;
            Ok::<_, StoreError>((Arc::new(store), hold))
        });
        let (store, hold) = opened.await??;
        let images = inventory.images().await?;
        let has = |name: &String| images.iter().any(|i| i.name == *name && !i.versions.is_empty());
        if let Some(absent) = names.iter().find(|name| !has(name)) {
            return Err(PublishError::NoImage(absent.clone()));
        }
        let mut versions = Vec::new();
        for image in images.iter().filter(|image| names.is_empty() || names.contains(&image.name)) {
            let Some(newest) = image.versions.iter().max_by_key(|v| v.version) else { continue };
            let unusable = |source| PublishError::Manifest { image: image.name.clone(), source };
            let id: ManifestId = newest.manifest.parse().map_err(|_| unusable(None))?;
            let bytes = store.manifest_bytes(&id)?.ok_or_else(|| unusable(None))?;
            let manifest = Manifest::parse_signed(&bytes, &key.verifying_key());
            let manifest = manifest.map_err(|error| unusable(Some(error)))?;
            versions.push(Version {
                image: image.name.clone(),
                version: newest.version,
                made_at: newest.created_at.0,
                used_bytes: newest.bytes,
                manifest: id,
                chunks: manifest.hashes().copied().collect(),
                bytes,
            });
        }
        Ok(Self { store, versions, _hold: hold })
    }
}

async fn old_catalogue(
    remote: &Remote,
    place: &Place,
    key: &SigningKey,
) -> Result<Option<Catalogue>, PublishError> {
    let read = remote.read(CATALOGUE_PATH, CATALOGUE_BYTES_MAX).await;
    let read = read.map_err(|source| PublishError::Remote { place: place.clone(), source })?;
    let parsed = read.map(|bytes| Catalogue::parse_signed(&bytes, &key.verifying_key())).transpose();
    parsed.map_err(|source| PublishError::Foreign { place: place.clone(), source })
}

fn packs_of(catalogue: &Catalogue) -> impl Iterator<Item = PackName> {
    catalogue.images.iter().flat_map(|image| image.packs.iter().copied())
}

/// The needed chunks that lie there already, and in which of the packs that stay.
async fn there(
    remote: &Remote,
    packs: &HashSet<PackName>,
    needed: &HashSet<Hash>,
) -> Result<HashMap<Hash, PackName>, RemoteError> {
    let mut names: Vec<&PackName> = packs.iter().collect();
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names {
        // A pack that somebody removed or damaged there is sent again.
        let Some(bytes) = remote.read(&index_path(name), INDEX_BYTES_MAX).await? else { continue };
        let Ok(index) = PackIndex::parse(name, &bytes) else { continue };
        let len: u64 = index.chunks().map(|(_, bytes)| bytes).sum();
        if remote.len(&pack_path(name)).await? == Some(len) {
            found.push((*name, index));
        }
    }
    let (names, indices): (Vec<PackName>, Vec<PackIndex>) = found.into_iter().unzip();
    let kept = worth_keeping(&indices, needed);
    let mut there = HashMap::new();
    for (name, index) in names.iter().zip(&indices).zip(kept).filter_map(|(pack, keep)| keep.then_some(pack))
    {
        for (hash, _) in index.chunks().filter(|(hash, _)| needed.contains(*hash)) {
            there.entry(*hash).or_insert(*name);
        }
    }
    Ok(there)
}

/// Sends a pack, then its index. The same chunks in the same order have the same name, so what an earlier attempt has sent is
/// found there.
async fn send(
    remote: &Remote,
    built: BuiltPack,
    there: &mut HashMap<Hash, PackName>,
    done: &mut Publication,
) -> Result<(), RemoteError> {
    let (file, len) = (pack_path(&built.name), built.pack.len() as u64);
    if remote.len(&file).await? != Some(len) {
        remote.write(&file, built.pack).await?;
        done.packs += 1;
        done.sent_bytes += len;
    }
    let (file, len) = (index_path(&built.name), built.index.len() as u64);
    if remote.len(&file).await? != Some(len) {
        remote.write(&file, built.index).await?;
    }
    there.extend(built.chunks.into_iter().map(|hash| (hash, built.name)));
    Ok(())
}
