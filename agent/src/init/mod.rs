//! The boot environment: process 1, and the worker that it keeps alive.
//!
//! Process 1 must never end, for that is a kernel panic. It does as little as possible: mounts, signals, dead children, and
//! starting the worker again when it dies. All that can go wrong is in the worker.

mod supervisor;
mod time;
mod worker;

pub use supervisor::run as supervise;
pub use worker::run as work;

use std::path::Path;

/// Where the worker leaves its last words.
fn last_words() -> &'static Path {
    Path::new("/run/hausmeister/last-words")
}
