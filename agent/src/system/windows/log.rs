//! What the agent has to say: on the console, and in a file when it runs as a service.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use super::raw;

/// For whoever reads the log.
pub fn say(text: &str) {
    match LOG.get() {
        Some(log) => log.lock().unwrap_or_else(PoisonError::into_inner).write(text),
        None => eprintln!("hausmeister-agent: {text}"),
    }
}

/// From now on everything goes into `agent.log` of this folder; of too much the older half goes.
pub(super) fn to_file(folder: &Path) {
    // Whoever was first stays.
    let _ = LOG.set(Mutex::new(Log { path: folder.join("agent.log"), file: None }));
}

struct Log {
    path: PathBuf,
    file: Option<File>,
}

impl Log {
    /// A disk that is full costs the line and nothing else.
    fn write(&mut self, text: &str) {
        let long = fs::metadata(&self.path).is_ok_and(|about| about.len() > LOG_BYTES_MAX);
        if long {
            self.file = None;
            let _ = fs::rename(&self.path, self.path.with_extension("old.log"));
        }
        if self.file.is_none() {
            self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        }
        if let Some(file) = &mut self.file {
            let _ = writeln!(file, "{} {}", raw::time_of_day(), text.replace(['\r', '\n'], " "));
        }
    }
}

static LOG: OnceLock<Mutex<Log>> = OnceLock::new();
const LOG_BYTES_MAX: u64 = 1 << 20;
