//! Following what is published: the newest version of each image that is followed is fetched, each chunk once.
//!
//! Chunks are stored as they come, so a cut line, a restart or `kill -9` cost what was on its way. Until the image is whole no
//! manifest names them; a [`Hold`] keeps them from being freed. The manifest is then signed with this server's own key, the one
//! that its PCs know.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use images::chunk::{Hash, Stored};
use images::manifest::{MANIFEST_BYTES_MAX, Manifest};
use images::published::{
    CATALOGUE_BYTES_MAX, CATALOGUE_PATH, Catalogue, INDEX_BYTES_MAX, PackIndex, PackName, Piece, Published,
    PublishedError, Records, index_path, manifest_path, newest_followed, pack_path, pieces,
};
use images::store::{Hold, Store, StoreError};
use inventory::lessons::local;
use inventory::{By, Inventory};

use super::pace::Pace;
use super::{PlaceError, Remote, RemoteError, Upstream};
use crate::catalogue::{Catalogue as Images, free_bytes};
use crate::notices::Notices;
use crate::stop::{Stop, stopped};

/// Whoever fetches.
pub(crate) struct Fetcher {
    pub(crate) upstream: Upstream,
    pub(crate) inventory: Inventory,
    pub(crate) images: Arc<Images>,
    pub(crate) notices: Arc<Notices>,
    pub(crate) store_dir: PathBuf,
    /// Bytes that stay free on the store's file system.
    pub(crate) reserve_bytes: u64,
    pub(crate) stop: Stop,
}

/// What lasts from round to round.
struct Progress {
    /// Keeps what was fetched until it is part of an image.
    hold: Option<Hold>,
    /// When something came the last time.
    came_at: Instant,
    pace: Option<Pace>,
}

/// How a round ended that did not fail.
#[derive(Debug, PartialEq, Eq)]
enum Round {
    /// Everything that is followed is here.
    Done,
    /// The hours are over.
    Closed,
}

/// Why a round did not end well. The next one goes on where it stopped.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error("{0}: not found")]
    Absent(String),
    #[error(transparent)]
    Published(#[from] PublishedError),
    #[error("the catalogue is older than the one that was seen before")]
    Older,
    #[error("{0}")]
    Damaged(String),
    #[error("it has no image {0}")]
    NotOffered(String),
    #[error("the disk is full")]
    Full,
    #[error("the image store does not take it")]
    Store(#[source] StoreError),
    #[error("the inventory does not answer")]
    Inventory(#[from] inventory::Error),
    #[error("a thread ended unexpectedly")]
    Interrupted(#[from] tokio::task::JoinError),
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::Full,
            other => Self::Store(other),
        }
    }
}

impl Fetcher {
    /// Takes hold of what an earlier run has fetched. To be called before anything is freed.
    pub(crate) fn begin(self) -> impl Future<Output = ()> {
        let hold = self.unfinished().exists().then(|| self.images.store().hold());
        if let Some(Err(error)) = &hold {
            tracing::warn!(error = error as &dyn std::error::Error, "what was fetched before may be freed");
        }
        let pace = self.upstream.mbit_per_s.map(|rate| Pace::new(rate.bytes_per_second));
        let progress =
            Progress { hold: hold.and_then(Result::ok), came_at: inventory::clock::instant(), pace };
        self.run(progress)
    }

    async fn run(self, mut progress: Progress) {
        let mut stop = self.stop.clone();
        let mut failures = 0u32;
        loop {
            let round = tokio::select! {
                round = self.round(&mut progress) => round,
                () = stopped(&mut stop) => break,
            };
            self.make_durable().await;
            let pause = match &round {
                Ok(ended) => {
                    failures = 0;
                    if *ended == Round::Closed { CLOSED } else { EVERY }
                }
                Err(_) => {
                    failures = failures.saturating_add(1);
                    RETRY.saturating_mul(1 << failures.min(7)).min(RETRY_MAX)
                }
            };
            self.tell(&round).await;
            let quiet = inventory::clock::instant().saturating_duration_since(progress.came_at);
            if matches!(round, Ok(Round::Done)) || quiet > HELD_MAX {
                let _ = std::fs::remove_file(self.unfinished());
                progress.hold = None;
            }
            // Not all schools of a city at the same moment.
            let jitter = rand::random_range(0.7..1.3);
            tokio::select! {
                () = tokio::time::sleep(pause.mul_f64(jitter)) => {}
                () = stopped(&mut stop) => break,
            }
        }
        self.make_durable().await;
    }

    async fn make_durable(&self) {
        let store = self.images.store().clone();
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store.sync()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "what was fetched may not be durable");
        }
    }

    async fn round(&self, progress: &mut Progress) -> Result<Round, FetchError> {
        if !self.is_open() {
            return Ok(Round::Closed);
        }
        let Upstream { url, credentials, ca, .. } = &self.upstream;
        let remote = Remote { store: url.open(credentials.as_deref(), ca.as_deref())? };
        let catalogue = self.catalogue(&remote).await?;
        let (followed, absent) = newest_followed(&catalogue, &self.upstream.images);
        let mut trouble = absent.first().map(|name| FetchError::NotOffered(format!("{name:?}")));
        for published in followed {
            if self.is_here(published).await? {
                continue;
            }
            match self.fetch(&remote, published, progress).await {
                Ok(Round::Done) => {}
                Ok(Round::Closed) => return Ok(Round::Closed),
                // Other images may well be whole.
                Err(error @ FetchError::Damaged(_)) => trouble = Some(error),
                Err(other) => return Err(other),
            }
        }
        trouble.map_or(Ok(Round::Done), Err)
    }

    /// The catalogue, if it is signed by the publisher and none that was replaced.
    async fn catalogue(&self, remote: &Remote) -> Result<Catalogue, FetchError> {
        let key = &self.upstream.key.0;
        let bytes = read(remote, CATALOGUE_PATH, CATALOGUE_BYTES_MAX).await?;
        let catalogue = Catalogue::parse_signed(&bytes, key)?;
        let seen = self.noted().join(CATALOGUE_PATH);
        let before = std::fs::read(&seen).ok().and_then(|bytes| Catalogue::parse_signed(&bytes, key).ok());
        if before.is_some_and(|before| before.made_at > catalogue.made_at) {
            return Err(FetchError::Older);
        }
        self.forget_indices(&catalogue);
        self.note(CATALOGUE_PATH, &bytes);
        Ok(catalogue)
    }

    /// Whether the inventory names that version and it lacks nothing.
    async fn is_here(&self, published: &Published) -> Result<bool, FetchError> {
        let images = self.inventory.images().await?;
        let id = published.manifest.to_string();
        let named = images.iter().filter(|i| i.name == published.image).flat_map(|i| &i.versions);
        if !named.into_iter().any(|version| version.manifest == id) {
            return Ok(false);
        }
        let (store, manifest) = (self.images.store().clone(), published.manifest);
        Ok(tokio::task::spawn_blocking(move || store.is_whole(&manifest)).await??)
    }

    /// Fetches what is missing of a version, and makes it a version here.
    async fn fetch(
        &self,
        remote: &Remote,
        published: &Published,
        progress: &mut Progress,
    ) -> Result<Round, FetchError> {
        let name = manifest_path(&published.manifest);
        let bytes = read(remote, &name, MANIFEST_BYTES_MAX).await?;
        let manifest = Manifest::parse_signed(&bytes, &self.upstream.key.0);
        let manifest = manifest.ok().filter(|m| m.id() == published.manifest);
        let manifest = manifest.ok_or_else(|| FetchError::Damaged(name))?;

        let store = self.images.store().clone();
        if progress.hold.is_none() {
            let store = store.clone();
            self.note(UNFINISHED, b"");
            progress.hold = Some(tokio::task::spawn_blocking(move || store.hold()).await??);
            progress.came_at = inventory::clock::instant();
        }
        let all: HashSet<Hash> = manifest.hashes().copied().collect();
        let count = all.len();
        let looked = store.clone();
        let lacking = tokio::task::spawn_blocking(move || {
            all.into_iter().filter(|hash| !looked.contains(hash)).collect::<HashSet<Hash>>()
        });
        let mut fetching = Fetching {
            image: &published.image,
            wanted: lacking.await?,
            all: count,
            bad: None,
            told_percent: 0,
        };
        for pack in &published.packs {
            if fetching.wanted.is_empty() {
                break;
            }
            if self.fetch_pack(remote, pack, &mut fetching, progress).await? == Round::Closed {
                return Ok(Round::Closed);
            }
        }
        if let Some(bad) = fetching.bad {
            return Err(FetchError::Damaged(bad));
        }
        if let Some(hash) = fetching.wanted.iter().next() {
            return Err(FetchError::Damaged(format!("{CATALOGUE_PATH}: chunk {hash} is in no pack")));
        }
        let signed = manifest.sign(self.images.signing_key());
        tokio::task::spawn_blocking(move || store.publish(&signed)).await??;
        let by = || By { actor: crate::NAME, at: inventory::clock::now() };
        let image = self.inventory.ensure_image(by(), &published.image).await?;
        let id = published.manifest.to_string();
        let version = self.inventory.add_version(by(), image, &id, published.used_bytes).await?;
        tracing::info!(image.name = published.image, image.version = version, "an image was fetched");
        Ok(Round::Done)
    }

    async fn fetch_pack(
        &self,
        remote: &Remote,
        pack: &PackName,
        fetching: &mut Fetching<'_>,
        progress: &mut Progress,
    ) -> Result<Round, FetchError> {
        let index = self.index(remote, pack).await?;
        let rate = self.upstream.mbit_per_s.map(|rate| rate.bytes_per_second);
        for piece in pieces(&index, &fetching.wanted, Pace::piece_bytes_max(rate)) {
            if !self.is_open() {
                return Ok(Round::Closed);
            }
            // The database may share the file system.
            if free_bytes(&self.store_dir).is_some_and(|free| free < self.reserve_bytes) {
                return Err(FetchError::Full);
            }
            self.fetch_piece(remote, pack, &piece, fetching, progress).await?;
            fetching.tell();
        }
        Ok(Round::Done)
    }

    async fn fetch_piece(
        &self,
        remote: &Remote,
        pack: &PackName,
        piece: &Piece,
        fetching: &mut Fetching<'_>,
        progress: &mut Progress,
    ) -> Result<(), FetchError> {
        let file = pack_path(pack);
        let body = remote.read_range(&file, piece.range.clone()).await?;
        let mut body = body.ok_or_else(|| FetchError::Absent(file.clone()))?;
        let mut records = Records::of(piece);
        let mut whole: Vec<(Hash, Stored)> = Vec::new();
        loop {
            let part = body.next().await;
            let fed = part.as_ref().ok().and_then(Option::as_ref).map(|bytes| records.feed(bytes));
            for record in fed.into_iter().flatten() {
                match record {
                    Ok(chunk) => whole.push(chunk),
                    Err(bad) => {
                        let place = format!("{file}: chunk {} at byte {}", bad.hash, bad.offset);
                        fetching.bad.get_or_insert(place);
                        // Not from another pack either: it is fetched again when it was put right.
                        fetching.wanted.remove(&bad.hash);
                    }
                }
            }
            let ended = !matches!(part, Ok(Some(_)));
            if ended || whole.len() >= CHUNKS_AT_ONCE {
                self.ingest(std::mem::take(&mut whole), fetching, progress).await?;
            }
            match part? {
                None if records.is_done() => return Ok(()),
                None => {
                    let problem = "the answer is shorter than it should be".to_owned();
                    return Err(RemoteError::Unreachable { file, problem }.into());
                }
                Some(bytes) => {
                    let wait = progress.pace.as_mut();
                    let wait = wait.map(|p| p.spend(inventory::clock::instant(), bytes.len() as u64));
                    tokio::time::sleep(wait.unwrap_or_default()).await;
                }
            }
        }
    }

    async fn ingest(
        &self,
        chunks: Vec<(Hash, Stored)>,
        fetching: &mut Fetching<'_>,
        progress: &mut Progress,
    ) -> Result<(), FetchError> {
        if chunks.is_empty() {
            return Ok(());
        }
        let store: Arc<Store> = self.images.store().clone();
        let stored = tokio::task::spawn_blocking(move || {
            store.ingest(&chunks)?;
            Ok::<_, StoreError>(chunks)
        });
        for (hash, _) in stored.await?? {
            fetching.wanted.remove(&hash);
        }
        progress.came_at = inventory::clock::instant();
        Ok(())
    }

    /// An index, which is asked for once.
    async fn index(&self, remote: &Remote, pack: &PackName) -> Result<PackIndex, FetchError> {
        let name = format!("{pack}.index");
        let noted = std::fs::read(self.noted().join(&name)).ok();
        if let Some(index) = noted.and_then(|bytes| PackIndex::parse(pack, &bytes).ok()) {
            return Ok(index);
        }
        let bytes = read(remote, &index_path(pack), INDEX_BYTES_MAX).await?;
        let index = PackIndex::parse(pack, &bytes).map_err(|error| FetchError::Damaged(error.to_string()))?;
        self.note(&name, &bytes);
        Ok(index)
    }

    fn is_open(&self) -> bool {
        let now = local(inventory::clock::now()).time();
        self.upstream.window().is_none_or(|window| window.is_open(now))
    }

    /// Folder of what need not be asked for again.
    fn noted(&self) -> PathBuf {
        self.store_dir.join(NOTED)
    }

    /// Is there while parts of an image may be here.
    fn unfinished(&self) -> PathBuf {
        self.noted().join(UNFINISHED)
    }

    /// Keeps a file. What cannot be kept, or was half written by a process that died, is asked for again.
    fn note(&self, name: &str, bytes: &[u8]) {
        let folder = self.noted();
        let written = std::fs::create_dir_all(&folder).and_then(|()| {
            std::fs::write(folder.join(format!("{name}.new")), bytes)?;
            std::fs::rename(folder.join(format!("{name}.new")), folder.join(name))
        });
        if let Err(error) = written {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot keep {name}");
        }
    }

    fn forget_indices(&self, catalogue: &Catalogue) {
        let named = catalogue.images.iter().flat_map(|image| &image.packs);
        let named: HashSet<String> = named.map(|pack| format!("{pack}.index")).collect();
        for entry in std::fs::read_dir(self.noted()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".index") && !named.contains(&name) {
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }

    /// Says what a person should know of a round, or that there is nothing any more.
    async fn tell(&self, round: &Result<Round, FetchError>) {
        let error = match round {
            Ok(Round::Done) => return self.notices.clear(NOTICE).await,
            // Nothing is known of tonight yet.
            Ok(Round::Closed) => return,
            Err(error) => error,
        };
        tracing::warn!(error = error as &dyn std::error::Error, "not all images could be fetched");
        let url = &self.upstream.url;
        let (text, remedy) = match error {
            FetchError::Place(PlaceError::Credentials) => (
                format!("images cannot be fetched from {url}: the file with its credentials cannot be used"),
                "it is what `credentials` in [deployd.upstream] names, and must hold access_key_id and secret_access_key",
            ),
            FetchError::Remote(RemoteError::Denied { .. }) => (
                format!("{url} does not let this server fetch images"),
                "check the file that `credentials` in [deployd.upstream] names",
            ),
            FetchError::Published(_) => (
                format!("the catalogue of {url} is not signed with the expected key"),
                "check `url` and `key` in [deployd.upstream] with whoever publishes the images; nothing is taken from there until they fit",
            ),
            FetchError::Older => (
                format!("the catalogue of {url} is older than the one that was there before"),
                "have the images published there again",
            ),
            FetchError::Damaged(what) => (
                format!("{url} hands over something damaged: {what}"),
                "have the images published again into an empty place; what is whole is kept",
            ),
            FetchError::NotOffered(image) => (
                format!("{url} does not have the image {image}"),
                "correct `images` in [deployd.upstream], or have the image published",
            ),
            FetchError::Full => (
                format!("there is no room for images from {url}"),
                "free space on the data folder's disk, or move the data folder to a larger one",
            ),
            FetchError::Place(_) | FetchError::Remote(_) | FetchError::Absent(_) => (
                format!("images cannot be fetched from {url}: {error}"),
                "check this server's way there and [deployd.upstream]; what is here stays, and it is tried again by itself",
            ),
            // Who looks after the database is told elsewhere.
            FetchError::Store(_) | FetchError::Inventory(_) | FetchError::Interrupted(_) => return,
        };
        self.notices.raise(NOTICE, &text, remedy).await;
    }
}

/// A version that is being fetched.
struct Fetching<'p> {
    image: &'p str,
    wanted: HashSet<Hash>,
    /// How many different chunks it has.
    all: usize,
    /// The first that was damaged.
    bad: Option<String>,
    told_percent: usize,
}

impl Fetching<'_> {
    /// Writes into the log how far it is, every five per cent.
    fn tell(&mut self) {
        let percent = (self.all - self.wanted.len()) * 100 / self.all.max(1);
        if percent >= self.told_percent + 5 {
            self.told_percent = percent;
            tracing::info!(image.name = self.image, fetched_percent = percent, "an image is being fetched");
        }
    }
}

async fn read(remote: &Remote, file: &str, bytes_max: usize) -> Result<Vec<u8>, FetchError> {
    remote.read(file, bytes_max).await?.ok_or_else(|| FetchError::Absent(file.to_owned()))
}

/// Where the notice stands.
pub(crate) const NOTICE: &str = "upstream";
/// Below the store: the last catalogue, and indices of packs.
const NOTED: &str = "upstream";
/// 1 MiB at most: on a thin line what is lost by a kill took seconds.
const CHUNKS_AT_ONCE: usize = 16;
const UNFINISHED: &str = "unfinished";
/// How soon it is seen that the hours have begun.
const CLOSED: Duration = Duration::from_secs(3 * 60);
const EVERY: Duration = Duration::from_secs(15 * 60);
const RETRY: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(3600);
/// How long what was fetched is kept for an upstream from which nothing comes.
const HELD_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
