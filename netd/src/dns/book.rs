//! Keeps the rules up to date: lists from the inventory and from the data folder, read again when one changed.
//!
//! A subscribed list is the file `lists/ID`. A new version comes as `lists/ID.new`, from whoever fetched it, renamed to that name when
//! it is complete. It is read from beginning to end before it takes the place of the one in use, by another rename: half a download,
//! a page of a web server that says "not found", or a list that lost half of its names is refused, kept as `lists/ID.refused` for
//! whoever wants to look, and told of. Rules are made beside those in use and put in their place in one step.

use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use inventory::{By, Filter, Inventory, ListId, NameList, clock};
use tokio::sync::watch;

use super::Error;
use super::handler::School;
use super::rules::{Builder, Names, Reader, Report, Rules};
use crate::chain::chain;

/// Makes rules.
#[derive(Debug)]
pub(crate) struct Book {
    inventory: Inventory,
    folder: PathBuf,
    /// Hashes are different after each start; see `rules::table`.
    key: RandomState,
    /// The newest change that the rules know.
    revision: i64,
    kept: Option<Kept>,
}

/// The table of the lists that filters use, and what it was made from. A teacher who adds a page to an allow list does not make a
/// million other names be read again.
#[derive(Debug, Clone)]
struct Kept {
    stamps: Vec<(ListId, Stamp)>,
    names: Arc<Names>,
}

/// How a list is known to be the same.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stamp {
    /// The school's own: a hash of its names.
    Own(u64),
    /// Length and time of its file.
    File(u64, Option<SystemTime>),
    /// It has no file.
    Absent,
}

/// What was made of all lists.
struct Compiled {
    rules: Rules,
    found: Vec<Found>,
    /// What else a person should know: place and text.
    notes: Vec<(String, String)>,
    kept: Kept,
}

/// A list as it is read.
struct Source {
    list: NameList,
    /// The school's own names; `None` for a subscribed list.
    text: Option<String>,
}

/// What was found in a list.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    id: ListId,
    name: String,
    entries: u64,
    problem: Option<String>,
    /// A new version took the place of the old one.
    updated: bool,
}

impl Book {
    /// Rules from this inventory and the lists in this folder.
    pub(crate) fn new(inventory: Inventory, folder: PathBuf) -> Self {
        Self { inventory, folder, key: RandomState::new(), revision: 0, kept: None }
    }

    /// Rules of an inventory without lists, for a server that filters nobody.
    pub(crate) fn empty() -> Rules {
        Builder::new(RandomState::new(), &[], &[]).build()
    }

    /// Reads everything and makes rules of it.
    pub(crate) async fn make(&mut self) -> Result<Rules, Error> {
        // The number is read first: what changes meanwhile is read now and once more the next time.
        let revision = self.inventory.last_change().await?;
        let (filters, mut problems) = self.inventory.filters().await?;
        let (lists, bad) = self.inventory.name_lists().await?;
        problems.extend(bad);
        let mut sources = Vec::with_capacity(lists.len());
        for list in lists {
            let text = match list.source {
                Some(_) => None,
                None => Some(self.inventory.list_names(list.id).await?.unwrap_or_default()),
            };
            sources.push(Source { list, text });
        }
        let (folder, key, kept) = (self.folder.clone(), self.key.clone(), self.kept.clone());
        let begun = clock::instant();
        let made = tokio::task::spawn_blocking(move || compile(&folder, key, kept, &filters, &sources)).await;
        let Compiled { rules, found, mut notes, kept } =
            made.map_err(|error| Error::Lists(error.to_string()))?;
        tracing::info!(
            names = rules.len(),
            duration_ms = (clock::instant() - begun).as_millis(),
            "read the DNS lists"
        );
        notes.extend(problems.iter().map(|problem| ("filters".to_owned(), problem.to_string())));
        if let Err(error) = self.tell(&found, notes).await {
            // A database that cannot be written, for example on a full disk, is no reason to filter nobody.
            tracing::warn!(error = chain(&error), "cannot write what was found in the DNS lists");
        }
        self.revision = revision;
        self.kept = Some(kept);
        Ok(rules)
    }

    async fn tell(&self, found: &[Found], mut notes: Vec<(String, String)>) -> Result<(), Error> {
        let by = By { actor: SOURCE, at: clock::now() };
        for list in found {
            let problem = list.problem.as_deref();
            self.inventory.note_list(by, list.id, list.entries, problem, list.updated).await?;
            notes.extend(problem.map(|problem| (format!("lists/{}", list.name), problem.to_owned())));
        }
        notes.truncate(NOTES_MAX);
        let notes: Vec<_> = notes.into_iter().map(|(place, text)| (place, text, REMEDY.to_owned())).collect();
        Ok(self.inventory.set_notices(by, SOURCE, &notes).await?)
    }

    /// Makes new rules whenever a list or a filter changed, or a new version of a list lies in the folder.
    pub(crate) async fn follow(mut self, school: Arc<School>, mut changes: watch::Receiver<u64>) {
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(LOOK) => {}
            }
            let made = match self.is_concerned().await {
                Ok(false) => Ok(None),
                Ok(true) => self.make().await.map(Some),
                Err(error) => Err(error),
            };
            match made {
                Ok(None) => {}
                Ok(Some(rules)) => school.rules.store(Arc::new(rules)),
                Err(error) => {
                    tracing::warn!(
                        error = chain(&error),
                        "cannot read the DNS lists; rules stay as they were"
                    );
                    tokio::time::sleep(RETRY).await;
                    changes.mark_changed();
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn is_concerned(&mut self) -> Result<bool, Error> {
        let changes = self.inventory.changes_since(self.revision, CHANGES).await?;
        let ours = changes.iter().any(|change| match change.entity.as_str() {
            "filter" => true,
            // What this daemon noted about a list.
            "list" => change.action != "read",
            _ => false,
        });
        let concerned = ours || changes.len() >= CHANGES as usize || has_new_versions(&self.folder);
        if let (false, Some(last)) = (concerned, changes.last()) {
            self.revision = last.seq;
        }
        Ok(concerned)
    }
}

fn has_new_versions(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(".new"))
}

fn compile(
    folder: &Path,
    key: RandomState,
    kept: Option<Kept>,
    filters: &[Filter],
    sources: &[Source],
) -> Compiled {
    let lists: Vec<NameList> = sources.iter().map(|source| source.list.clone()).collect();
    let mut builder = Builder::new(key.clone(), filters, &lists);
    let taken: Vec<Result<bool, String>> = sources.iter().map(|source| take(folder, source)).collect();
    let of_list = |id| sources.iter().find(|source| source.list.id == id);
    let stamps: Vec<(ListId, Stamp)> =
        builder.used().filter_map(|id| Some((id, stamp(folder, &key, of_list(id)?)))).collect();
    if let Some(kept) = kept.filter(|kept| kept.stamps == stamps) {
        builder.keep(kept.names);
    }
    let found =
        sources.iter().zip(taken).map(|(source, taken)| read(folder, &mut builder, source, taken)).collect();
    let mut notes = Vec::new();
    let (surplus, full) = builder.left_out();
    for list in lists.iter().filter(|list| surplus.contains(&list.id)) {
        let text = "filters use more than 32 lists together, and this one is left out";
        notes.push((format!("lists/{}", list.name), text.to_owned()));
    }
    if full {
        let text = "the lists have more than 16 million names together, and the rest is left out";
        notes.push(("lists".to_owned(), text.to_owned()));
    }
    let rules = builder.build();
    let kept = Kept { stamps, names: rules.names() };
    Compiled { rules, found, notes, kept }
}

fn file_of(folder: &Path, list: &NameList) -> PathBuf {
    folder.join(list.id.to_string())
}

fn take(folder: &Path, source: &Source) -> Result<bool, String> {
    match source.text {
        Some(_) => Ok(false),
        None => take_new_version(&file_of(folder, &source.list), source.list.entries),
    }
}

fn stamp(folder: &Path, key: &RandomState, source: &Source) -> Stamp {
    match (&source.text, fs::metadata(file_of(folder, &source.list))) {
        (Some(text), _) => Stamp::Own(key.hash_one(text)),
        (None, Ok(file)) => Stamp::File(file.len(), file.modified().ok()),
        (None, Err(_)) => Stamp::Absent,
    }
}

/// Reads a list into the rules. `taken` tells what became of its new version.
fn read(folder: &Path, builder: &mut Builder, source: &Source, taken: Result<bool, String>) -> Found {
    let list = &source.list;
    let (updated, refused) = match taken {
        Ok(updated) => (updated, None),
        Err(problem) => (false, Some(problem)),
    };
    // What was wrong with the last version that came is still worth knowing.
    let before = list.problem.clone().filter(|problem| !updated && problem != NOT_THERE);
    let mut found = Found {
        id: list.id,
        name: list.name.clone(),
        entries: list.entries,
        problem: refused.or(before),
        updated,
    };
    let path = file_of(folder, list);
    let report = match &source.text {
        Some(text) => builder.read(list, u64::try_from(text.len()).unwrap_or(u64::MAX), |feed| {
            feed(text.as_bytes());
            Ok(())
        }),
        None if !builder.needs(list) => return found,
        None => {
            let bytes = fs::metadata(&path).map_or(0, |file| file.len());
            builder.read(list, bytes, |feed| File::open(&path).and_then(|file| pour(file, feed)))
        }
    };
    match report {
        Ok(report) => {
            tracing::info!(
                list.id = %list.id,
                names = report.names,
                exceptions = report.exceptions,
                ignored = report.ignored,
                bad = report.bad,
                "read a list of names"
            );
            found.entries = report.names + report.exceptions;
            if source.text.is_some() {
                found.problem = first_bad(&report);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            found.entries = 0;
            found.problem = found.problem.or(Some(NOT_THERE.to_owned()));
        }
        Err(error) => found.problem = Some(format!("it cannot be read: {error}")),
    }
    found
}

/// Whether a new version was there and took the place of the old one.
///
/// # Errors
/// Why it did not.
fn take_new_version(path: &Path, entries_before: u64) -> Result<bool, String> {
    let new = path.with_extension("new");
    let file = match File::open(&new) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(format!("its new version cannot be read: {error}")),
    };
    let mut reader = Reader::new(|_: &[u8], _| ());
    let poured = pour(file, &mut |piece| reader.feed(piece));
    let checked = match poured {
        Ok(()) => check(&reader.finish(), entries_before),
        Err(error) => Err(format!("its new version cannot be read: {error}")),
    };
    let to = if checked.is_ok() { path.to_owned() } else { path.with_extension("refused") };
    fs::rename(&new, to).map_err(|error| format!("its new version cannot be put in place: {error}"))?;
    checked.map(|()| true)
}

/// Whether a new version can be meant.
fn check(report: &Report, entries_before: u64) -> Result<(), String> {
    let entries = report.names + report.exceptions;
    if entries == 0 {
        return Err("its new version has no names, and the one before stays in use".into());
    }
    if report.bad > entries + report.ignored {
        let bad = first_bad(report).unwrap_or_default();
        return Err(format!(
            "most lines of its new version make no sense ({bad}), and the one before stays in use"
        ));
    }
    if entries < entries_before / 2 {
        return Err(format!(
            "its new version has {entries} names where the one before has {entries_before}, which stays in use"
        ));
    }
    Ok(())
}

fn first_bad(report: &Report) -> Option<String> {
    let first = report.first_bad.first()?;
    let more = if report.bad > 1 { format!(", and {} more", report.bad - 1) } else { String::new() };
    Some(format!("line {} ({:?}): {}{more}", first.line, first.text, first.problem))
}

fn pour(mut file: File, feed: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut left = FILE_BYTES_MAX;
    loop {
        let bytes = file.read(&mut buffer)?;
        if bytes == 0 {
            return Ok(());
        }
        left = left.checked_sub(bytes).ok_or_else(|| io::Error::other("it is longer than 512 MiB"))?;
        feed(buffer.get(..bytes).unwrap_or_default());
    }
}

/// Source of the notices, and name in the change log.
const SOURCE: &str = "netd-dns";
const REMEDY: &str = "correct the list or its source; everything else is in use";
const NOT_THERE: &str = "it has not been fetched yet";
const NOTES_MAX: usize = 50;
const CHANGES: u32 = 500;
/// How often new versions are looked for of which nobody told.
const LOOK: Duration = Duration::from_secs(30);
/// While images are written, something changes all the time.
const PAUSE: Duration = Duration::from_millis(100);
const RETRY: Duration = Duration::from_secs(5);
const PIECE_BYTES: usize = 65_536;
const FILE_BYTES_MAX: usize = 512 << 20;

#[cfg(test)]
mod tests;
