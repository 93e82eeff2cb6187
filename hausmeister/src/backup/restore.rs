//! Bringing a server back to a backup, on the machine that made it or on an empty one.
//!
//! Everything is fetched and looked at beside what is in use ([`prepare`]); files that are never changed once they exist (images,
//! installers) are added where they are missing. What is left, the database and the keys, changes places when no daemon runs
//! ([`finish`]), from a folder that says it is complete: interrupted at any moment, doing it again ends in the same.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use inventory::backup::{inspect, put_back};
use inventory::config::Site;
use serde::{Deserialize, Serialize};

use super::place::{CONFIGURATION, DATABASE, Place, RESTORING, STAGED, folder, fresh_folder, under};
use super::restic::{Node, Progress, Snapshot};

/// What is to change places, written when all of it lies ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// The backup.
    pub snapshot: String,
    /// Who asked for it.
    pub asked_by: String,
    /// How many files were missing here.
    pub files: u64,
    /// Folder of the data in the backup.
    root: PathBuf,
    /// Whether the image store is replaced as a whole.
    store: bool,
}

/// What bringing a backup back would do; nothing is changed by finding out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Files that are missing here.
    missing: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
    /// Whether the image store here holds other files under the same names.
    pub store: bool,
}

impl Difference {
    /// How many files are missing here.
    #[must_use]
    pub fn files(&self) -> usize {
        self.missing.len()
    }
}

/// Compares a backup with what lies here.
///
/// # Errors
/// The repository failed.
pub async fn compare(place: &Place, snapshot: &Snapshot) -> anyhow::Result<Difference> {
    let listed = place.restic.list(&snapshot.shown.id).await?;
    Ok(difference(&listed, &snapshot.root, |relative| {
        fs::symlink_metadata(place.site.data_dir.join(relative)).ok().map(|meta| meta.len())
    }))
}

/// Compares listed files with what `here` finds: the bytes of a file, by its path in the data folder.
fn difference(listed: &[Node], root: &Path, here: impl Fn(&Path) -> Option<u64>) -> Difference {
    let files = || {
        let files = listed.iter().filter(|node| node.kind == "file");
        files.filter_map(|node| Some((node, node.path.strip_prefix(root).ok()?)))
    };
    // A pack without its index is still being written: it only grows.
    let finished: BTreeSet<&Path> =
        files().map(|(_, path)| path).filter(|path| path.extension().is_some_and(|e| e == "index")).collect();
    let same = |node: &Node, path: &Path, size: u64| {
        size == node.size || (!finished.contains(path.with_extension("index").as_path()) && size > node.size)
    };
    let in_packs = |path: &Path| path.starts_with("store/packs");
    let store = files()
        .filter(|(_, path)| in_packs(path))
        .any(|(node, path)| here(path).is_some_and(|size| !same(node, path, size)));
    let mut difference = Difference { missing: Vec::new(), bytes: 0, store };
    for (node, path) in files() {
        if path.starts_with("keys") || path.starts_with("backup") {
            continue;
        }
        if here(path).is_none() || (store && path.starts_with("store")) {
            difference.bytes += node.size;
            difference.missing.push(path.to_owned());
        }
    }
    difference
}

/// Fetches what is needed and looks whether this program can use it. Nothing that is in use is touched; from its end on, the next
/// [`finish`] brings the server back.
///
/// # Errors
/// The backup is damaged or was made by a newer program, the repository failed, or the disk is full.
pub async fn prepare(
    place: &Place,
    snapshot: &Snapshot,
    asked_by: &str,
    progress: Progress<'_>,
) -> anyhow::Result<Ready> {
    let place = &place.alone()?;
    let id = &snapshot.shown.id;
    let into = folder(&place.site).join(RESTORING);
    fresh_folder(&into)?;
    let staged = snapshot.root.join("backup").join(STAGED);
    place.restic.restore(id, &into, &[staged.clone(), snapshot.root.join("keys")]).await?;
    inspect(&under(&into, &staged).join(DATABASE), &snapshot.shown.facts).await?;
    progress(30);

    let difference = compare(place, snapshot).await?;
    enough_space(&place.site, difference.bytes)?;
    let groups = wanted(&difference.missing);
    for (n, group) in groups.iter().enumerate() {
        let included: Vec<PathBuf> = group.iter().map(|path| snapshot.root.join(path)).collect();
        place.restic.restore(id, &into, &included).await?;
        progress(u8::try_from(30 + 60 * (n + 1) / groups.len()).unwrap_or(90));
    }
    let data = under(&into, &snapshot.root);
    for path in &difference.missing {
        if !(difference.store && path.starts_with("store")) {
            bring(&data.join(path), &place.site.data_dir.join(path))?;
        }
    }
    let ready = Ready {
        snapshot: id.clone(),
        asked_by: asked_by.to_owned(),
        files: difference.missing.len() as u64,
        root: snapshot.root.clone(),
        store: difference.store,
    };
    say(&into.join(READY), &ready)?;
    progress(95);
    Ok(ready)
}

/// What to ask the repository for: single files while they are few, else the folders that miss something.
fn wanted(missing: &[PathBuf]) -> Vec<Vec<PathBuf>> {
    if missing.len() <= SINGLE_FILES_MAX {
        return missing.chunks(FILES_AT_ONCE).map(<[PathBuf]>::to_vec).collect();
    }
    let tops: BTreeSet<PathBuf> = missing
        .iter()
        .filter_map(|path| path.components().next())
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect();
    tops.into_iter().map(|top| vec![top]).collect()
}

/// Whether something was prepared and its places are not yet changed.
#[must_use]
pub fn is_ready(site: &Site) -> bool {
    folder(site).join(RESTORING).join(READY).exists()
}

/// Changes places, if something was prepared: no daemon may run. Returns what was done.
///
/// # Errors
/// A file cannot be moved, or PostgreSQL refuses; doing it again goes on.
pub async fn finish(site: &Site) -> anyhow::Result<Option<Ready>> {
    let from = folder(site).join(RESTORING);
    let Ok(text) = fs::read_to_string(from.join(READY)) else { return Ok(None) };
    let ready: Ready =
        serde_json::from_str(&text).context("what was prepared for a restore makes no sense")?;
    let data = under(&from, &ready.root);
    let database = data.join("backup").join(STAGED).join(DATABASE);
    if database.exists() {
        put_back(&database, &site.database_url()).await?;
    }
    for key in entries(&data.join("keys"))? {
        let name = key.file_name().unwrap_or_default();
        bring(&key, &site.keys_dir().join(name))?;
    }
    let store = data.join("store");
    if ready.store && store.exists() {
        let here = site.store_dir();
        let before = here.with_file_name("store.before-restore");
        if here.exists() {
            if before.exists() {
                fs::remove_dir_all(&before).with_context(|| format!("cannot remove {}", before.display()))?;
            }
            fs::rename(&here, &before).with_context(|| format!("cannot move {}", here.display()))?;
        }
        bring(&store, &here)?;
    }
    say(&folder(site).join(FINISHED), &ready)?;
    fs::remove_dir_all(&from).with_context(|| format!("cannot remove {}", from.display()))?;
    Ok(Some(ready))
}

/// What the last [`finish`] did, once: for the inventory that it brought back.
///
/// # Errors
/// It cannot be read or removed.
pub fn finished(site: &Site) -> anyhow::Result<Option<Ready>> {
    let path = folder(site).join(FINISHED);
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    Ok(serde_json::from_str(&text).ok())
}

/// The configuration in a backup.
///
/// # Errors
/// The repository failed.
pub async fn configuration(place: &Place, snapshot: &Snapshot) -> anyhow::Result<String> {
    let path = snapshot.root.join("backup").join(STAGED).join(CONFIGURATION);
    Ok(place.restic.file(&snapshot.shown.id, &path).await?)
}

/// Moves a file or folder where it belongs, with the owner that everything there has.
fn bring(from: &Path, to: &Path) -> anyhow::Result<()> {
    let dir = to.parent().context("a file without a folder")?;
    let moved = || format!("cannot bring back {}", to.display());
    fs::create_dir_all(dir).with_context(moved)?;
    fs::rename(from, to).with_context(moved)?;
    fs::File::open(dir).and_then(|dir| dir.sync_all()).with_context(moved)
}

fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    Ok(read.collect::<Result<Vec<_>, _>>()?.into_iter().map(|entry| entry.path()).collect())
}

/// Writes a note that is there as a whole or not at all.
fn say(path: &Path, ready: &Ready) -> anyhow::Result<()> {
    let unfinished = path.with_extension("new");
    let file =
        fs::File::create(&unfinished).with_context(|| format!("cannot write {}", unfinished.display()))?;
    serde_json::to_writer(&file, ready)?;
    file.sync_all()?;
    bring(&unfinished, path)
}

fn enough_space(site: &Site, bytes: u64) -> anyhow::Result<()> {
    let stat = nix::sys::statvfs::statvfs(&folder(site)).context("cannot ask how much room is left")?;
    let free = stat.blocks_available().saturating_mul(stat.fragment_size());
    if free < bytes.saturating_add(RESERVE_BYTES) {
        bail!(
            "{} MiB are to be brought back and {} has room for {} MiB: make some, or move the data folder to a larger disk",
            bytes >> 20,
            site.data_dir.display(),
            free.saturating_sub(RESERVE_BYTES) >> 20
        );
    }
    Ok(())
}

const READY: &str = "ready.json";
const FINISHED: &str = "restored.json";
/// More than that are fetched by folders.
const SINGLE_FILES_MAX: usize = 500;
const FILES_AT_ONCE: usize = 100;
const RESERVE_BYTES: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn file(path: &str, size: u64) -> Node {
        Node { path: Path::new("/var/lib/h").join(path), kind: "file".into(), size }
    }

    fn compared(here: &[(&str, u64)], there: &[(&str, u64)]) -> Difference {
        let listed: Vec<Node> = there.iter().map(|(path, size)| file(path, *size)).collect();
        let here: HashMap<PathBuf, u64> =
            here.iter().map(|(path, size)| (PathBuf::from(path), *size)).collect();
        difference(&listed, Path::new("/var/lib/h"), |path| here.get(path).copied())
    }

    #[test]
    fn only_what_is_missing_is_fetched_and_a_foreign_store_is_replaced() {
        let there = [
            ("software/ab", 7),
            ("store/packs/1.pack", 100),
            ("store/packs/1.index", 10),
            ("store/packs/2.pack", 50),
            ("keys/ca.key", 3),
            ("backup/snapshot/database", 9),
        ];
        let missing = |d: &Difference| d.missing.iter().map(|p| p.display().to_string()).collect::<Vec<_>>();
        let all = compared(&[], &there);
        assert_eq!(
            missing(&all),
            ["software/ab", "store/packs/1.pack", "store/packs/1.index", "store/packs/2.pack"]
        );
        assert_eq!((all.bytes, all.store), (167, false));
        // The second pack was being written and grew.
        let here = [
            ("software/ab", 7),
            ("store/packs/1.pack", 100),
            ("store/packs/1.index", 10),
            ("store/packs/2.pack", 80),
        ];
        assert_eq!(compared(&here, &there), Difference { missing: vec![], bytes: 0, store: false });
        let foreign = compared(&[("store/packs/1.pack", 101)], &there);
        assert!(foreign.store && foreign.files() == 4, "{foreign:?}");
    }

    #[test]
    fn few_files_are_fetched_one_by_one_and_many_by_folder() {
        let few: Vec<PathBuf> = (0..150).map(|n| format!("store/packs/{n}").into()).collect();
        assert_eq!(wanted(&few).iter().map(Vec::len).collect::<Vec<_>>(), [100, 50]);
        let many: Vec<PathBuf> =
            (0..501).map(|n| format!("store/packs/{n}").into()).chain(["lists/x".into()]).collect();
        assert_eq!(wanted(&many), [[PathBuf::from("lists")], [PathBuf::from("store")]]);
        assert!(wanted(&[]).is_empty());
    }
}
