//! The second service of an installed system: brings the PC's programs to what the server plans, one step at a time.
//!
//! | Module    | What it does                                                              |
//! |-----------|---------------------------------------------------------------------------|
//! | [`facts`] | looks at the PC, as far as rules ask                                       |
//! | `notes`   | what must outlive a loss of power: steps with their journals, and results  |
//! | `fetch`   | files of packages, continued where they broke off, checked                 |
//! | `log`     | the end of what an installer wrote into its log                             |
//! | `step`    | one step: carries out the effects of [`software::run::Run`]                |
//! | `worker`  | the conversation with the server                                           |
//!
//! What differs between systems (a command and all it started, what is installed, who is signed in) is in [`crate::system`].

pub mod facts;
mod fetch;
mod log;
mod notes;
mod step;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};

pub use crate::system::Pc;
pub use worker::{Worker, run};

pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(ENTRIES_MAX).map(|entry| entry.path()).collect()
}

/// For whoever reads the journal.
fn say(text: &str) {
    crate::system::say(text);
}

const ENTRIES_MAX: usize = 1000;
