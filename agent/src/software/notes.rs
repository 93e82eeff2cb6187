//! What must outlive a loss of power: a file for each package with its step and journal, and the results that the server does not know.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use software::package::PackageId;
use software::protocol::{Order, RESULTS_MAX, StepResult};
use software::run::Journal;

use super::{entries, say};
use crate::system;

/// The folder.
#[derive(Debug)]
pub(super) struct Notes {
    dir: PathBuf,
}

/// A step and how far it came.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Note {
    pub(super) order: Order,
    pub(super) journal: Journal,
}

impl Notes {
    pub(super) fn open(dir: &Path) -> io::Result<Notes> {
        system::private_folder(dir)?;
        Ok(Notes { dir: dir.to_owned() })
    }

    /// Writes down how far a step is; durable when it returns.
    pub(super) fn keep(&self, order: &Order, journal: &Journal) -> io::Result<()> {
        self.write(&self.of(&order.package.id), &Note { order: order.clone(), journal: journal.clone() })
    }

    /// What is known of a package.
    pub(super) fn find(&self, package: &PackageId) -> Option<Note> {
        read(&self.of(package))
    }

    /// Forgets a package: it is as it should be.
    pub(super) fn forget(&self, package: &PackageId) {
        // One that stays is read again and says so again.
        let _ = fs::remove_file(self.of(package));
    }

    /// Everything that is known.
    pub(super) fn all(&self) -> Vec<Note> {
        let is_note =
            |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(STEP));
        let mut paths: Vec<PathBuf> = entries(&self.dir).into_iter().filter(is_note).collect();
        paths.sort();
        paths.iter().filter_map(|path| read(path)).collect()
    }

    /// Results that the server has not answered yet.
    pub(super) fn results(&self) -> Vec<StepResult> {
        read(&self.dir.join(RESULTS)).unwrap_or_default()
    }

    /// Adds a result; of too many the oldest goes.
    pub(super) fn add_result(&self, result: StepResult) -> io::Result<()> {
        let mut results = self.results();
        results.push(result);
        let too_many = results.len().saturating_sub(RESULTS_MAX);
        results.drain(..too_many);
        self.write(&self.dir.join(RESULTS), &results)
    }

    /// The server knows them.
    pub(super) fn answered(&self) -> io::Result<()> {
        match fs::remove_file(self.dir.join(RESULTS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A package's identifier is a file name: letters, digits, dots, hyphens, and never a dot first.
    fn of(&self, package: &PackageId) -> PathBuf {
        self.dir.join(format!("{STEP}{package}"))
    }

    fn write(&self, path: &Path, value: &impl Serialize) -> io::Result<()> {
        let new = self.dir.join(NEW);
        let mut file = system::private_file(&new)?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(value).map_err(io::Error::other)?)?;
        file.sync_all()?;
        drop(file);
        system::put_in_place(&new, path)
    }
}

/// What cannot be read is set aside: the server says again what is to be done.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    serde_json::from_slice(&bytes)
        .map_err(|error| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let aside = path.with_file_name(format!("{ASIDE}{name}"));
            say(&format!("{} cannot be read and becomes {}: {error}", path.display(), aside.display()));
            // One that cannot be moved is read again and says so again.
            let _ = fs::rename(path, aside);
        })
        .ok()
}

const STEP: &str = "step-";
const RESULTS: &str = "results";
const NEW: &str = "new";
const ASIDE: &str = "unreadable-";
