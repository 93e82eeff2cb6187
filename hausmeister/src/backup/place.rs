//! Where backups go, opened; making one, and looking whether one can be brought back.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use inventory::backup::{Facts, inspect};
use inventory::ca::Authority;
use inventory::config::{ConfigFile, Site};
use inventory::{Inventory, clock};
use nix::fcntl::{Flock, FlockArg};

use super::config::{Config, environment};
use super::phrase::Phrase;
use super::restic::{Progress, Restic, ResticError, Snapshot, Summary};

/// Where this server's backups go, with what is needed to make one.
#[derive(Clone)]
pub struct Place {
    /// The shared section of the configuration.
    pub site: Site,
    /// The section `[backup]`.
    pub config: Config,
    /// The repository.
    pub restic: Restic,
    /// The configuration file, which is backed up too.
    pub config_path: PathBuf,
}

impl Place {
    /// Opens the place that the configuration names; `None` if it names none, or nobody set it up.
    ///
    /// # Errors
    /// The configuration or a file that it names cannot be used.
    pub fn of(file: &ConfigFile, config_path: &Path) -> anyhow::Result<Option<Self>> {
        let (site, config): (Site, Config) = (file.site()?, file.section("backup")?);
        let Some(phrase) = Phrase::kept(&site.keys_dir())? else { return Ok(None) };
        Self::with(site, config, phrase, config_path)
    }

    /// The same with a phrase that is not kept on this server yet.
    ///
    /// # Errors
    /// A file that the configuration names cannot be used.
    pub fn with(
        site: Site,
        config: Config,
        phrase: Phrase,
        config_path: &Path,
    ) -> anyhow::Result<Option<Self>> {
        let Some(repository) = config.repository.clone() else { return Ok(None) };
        let environment =
            config.environment_file.as_deref().map(environment).transpose()?.unwrap_or_default();
        let cache = folder(&site).join("cache");
        let restic = Restic { repository, phrase, environment, cache, lock: None };
        Ok(Some(Self { site, config, restic, config_path: config_path.to_owned() }))
    }

    /// Makes a backup: the database as it is now, and with it keys, files and images.
    ///
    /// # Errors
    /// Something could not be read, the place failed, or another process makes one.
    pub async fn back_up(&self, inventory: &Inventory, progress: Progress<'_>) -> anyhow::Result<Summary> {
        let place = self.alone()?;
        place.restic.unlock().await?;
        place.clock_is_plausible().await?;
        let staged = folder(&self.site).join(STAGED);
        fresh_folder(&staged)?;
        // First: what is written meanwhile is in the copy besides.
        let facts = inventory.facts().await?;
        inventory.export(&self.site.database_url(), &staged.join(DATABASE)).await?;
        fs::copy(&self.config_path, staged.join(CONFIGURATION))
            .with_context(|| format!("cannot copy {}", self.config_path.display()))?;
        let made = match place.once(&facts, progress).await {
            // A file went while it was read, as lists and packs do; twice in a row is something else.
            Err(ResticError::Partly(_)) => place.once(&facts, progress).await,
            made => made,
        };
        fs::remove_dir_all(&staged).with_context(|| format!("cannot remove {}", staged.display()))?;
        Ok(made?)
    }

    /// The same place, kept from other processes until it is dropped and every restic that it started has ended.
    ///
    /// # Errors
    /// Another process is at it.
    pub fn alone(&self) -> anyhow::Result<Self> {
        let folder = folder(&self.site);
        private_folder(&folder)?;
        let path = folder.join(LOCK);
        let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
            anyhow::anyhow!("another process is backing up or restoring just now; wait until it is done")
        })?;
        let restic = Restic { lock: Some(Arc::new(lock)), ..self.restic.clone() };
        Ok(Self { restic, ..self.clone() })
    }

    async fn once(&self, facts: &Facts, progress: Progress<'_>) -> Result<Summary, ResticError> {
        let data = absolute(&self.site.data_dir);
        self.restic.back_up(&data, &self.excluded(&data), facts, progress).await
    }

    /// What is in the way of consistency, of no use, or not wanted.
    fn excluded(&self, data: &Path) -> Vec<PathBuf> {
        let mut excluded: Vec<PathBuf> = [CACHE, RESTORING, DRILL, LOCK]
            .map(|name| folder(&self.site).join(name))
            .map(|path| absolute(&path))
            .into();
        // The copy is backed up, not the files that are being written.
        excluded.extend(
            ["hausmeister.db", "hausmeister.db-wal", "hausmeister.db-shm"].map(|name| data.join(name)),
        );
        if let Some(path) = self.site.database_url().strip_prefix("sqlite://") {
            excluded.push(PathBuf::from(path));
        }
        if !self.config.images {
            excluded.push(absolute(&self.site.store_dir()));
        }
        excluded
    }

    /// A clock that is wrong would make this backup the oldest, or the others too old to be kept.
    async fn clock_is_plausible(&self) -> anyhow::Result<()> {
        let now = clock::now();
        let newest = self.restic.snapshots().await?.first().map(|snapshot| snapshot.shown.at);
        if now.0 < YEAR_2026_MILLIS || newest.is_some_and(|newest| newest.millis_since(now) > CLOCK_MILLIS) {
            bail!(
                "the clock of this server is behind that of its newest backup: set it (`timedatectl`), then try again"
            );
        }
        Ok(())
    }

    /// Brings the database and keys of a backup into a place of their own, opens them as a server would, looks whether every image
    /// is there, and reads back a share of all data.
    ///
    /// # Errors
    /// What is missing or damaged.
    pub async fn drill(&self, snapshot: &Snapshot, progress: Progress<'_>) -> anyhow::Result<()> {
        let place = self.alone()?;
        place.restic.unlock().await?;
        let into = folder(&self.site).join(DRILL);
        fresh_folder(&into)?;
        let looked = place.look_at(snapshot, &into, progress).await;
        fs::remove_dir_all(&into).with_context(|| format!("cannot remove {}", into.display()))?;
        looked
    }

    async fn look_at(&self, snapshot: &Snapshot, into: &Path, progress: Progress<'_>) -> anyhow::Result<()> {
        let id = &snapshot.shown.id;
        let staged = snapshot.root.join("backup").join(STAGED);
        let keys = snapshot.root.join("keys");
        self.restic.restore(id, into, &[staged.clone(), keys.clone()]).await?;
        progress(30);
        let database = under(into, &staged).join(DATABASE);
        inspect(&database, &snapshot.shown.facts).await?;
        Authority::open(&under(into, &keys)).context("the keys in it cannot be used")?;
        progress(40);
        if !self.site.database_url().starts_with("postgres") {
            let url = format!("sqlite://{}", database.display());
            let copy = Inventory::open(&url).await.context("the database in it cannot be opened")?;
            let looked = self.compare(&copy, snapshot).await;
            copy.close().await;
            looked?;
        }
        progress(50);
        Ok(self.restic.check(DRILL_PERCENT).await?)
    }

    /// What the backup's own database says against what lies beside it.
    async fn compare(&self, copy: &Inventory, snapshot: &Snapshot) -> anyhow::Result<()> {
        let (found, told) = (copy.facts().await?, &snapshot.shown.facts);
        // What was written while the copy was made may be in it besides.
        if found.seq < told.seq || (found.seq == told.seq && found != *told) {
            bail!("the database in it holds {found:?} and should hold {told:?}");
        }
        let listed = self.restic.list(&snapshot.shown.id).await?;
        let store = snapshot.root.join("store");
        if !listed.iter().any(|node| node.path.starts_with(&store)) {
            return Ok(());
        }
        for image in copy.images().await? {
            for version in &image.versions {
                let path = store.join("manifests").join(&version.manifest);
                if !listed.iter().any(|node| node.path == path) {
                    bail!("version {} of the image {} is not in it", version.version, image.name);
                }
            }
        }
        Ok(())
    }
}

/// Where everything about backups lies on this server.
#[must_use]
pub fn folder(site: &Site) -> PathBuf {
    site.data_dir.join("backup")
}

/// Where a path of a backup lies after it was brought back into a folder.
#[must_use]
pub fn under(folder: &Path, path: &Path) -> PathBuf {
    folder.join(path.strip_prefix("/").unwrap_or(path))
}

/// An empty folder that only its owner can enter: what it will hold is secret.
///
/// # Errors
/// It cannot be made.
pub fn fresh_folder(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    private_folder(path)
}

fn private_folder(path: &Path) -> anyhow::Result<()> {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path).with_context(|| format!("cannot create {}", path.display()))
}

/// restic keeps absolute paths.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// What is backed up in place of the database: its copy, and the configuration.
pub const STAGED: &str = "snapshot";
/// The database in it.
pub const DATABASE: &str = "database";
/// The configuration in it.
pub const CONFIGURATION: &str = "hausmeister.toml";
/// Where what is to be brought back is prepared.
pub const RESTORING: &str = "restoring";
const CACHE: &str = "cache";
const DRILL: &str = "drill";
const LOCK: &str = "lock";
/// Of all data, each month.
const DRILL_PERCENT: u8 = 10;
const CLOCK_MILLIS: i64 = 3_600_000;
const YEAR_2026_MILLIS: i64 = 1_767_225_600_000;
