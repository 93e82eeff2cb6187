//! What a person sees while the demo runs: a line per milestone with the time since the start, and on a terminal one line
//! below that moves.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

/// The demo's voice.
pub(super) struct Progress {
    begun: Instant,
    terminal: bool,
    moving: String,
}

impl Progress {
    pub(super) fn new(begun: Instant) -> Self {
        Self { begun, terminal: std::io::stdout().is_terminal(), moving: String::new() }
    }

    /// Tells a milestone.
    pub(super) fn milestone(&mut self, now: Instant, text: &str) {
        self.clear();
        println!("[{:6.1} s] {text}", now.duration_since(self.begun).as_secs_f64());
    }

    /// Shows how far running work is. Without a terminal only tens of percent are told, by the caller's `text` changing.
    pub(super) fn moving(&mut self, now: Instant, text: &str) {
        if self.moving == text {
            return;
        }
        if self.terminal {
            self.clear();
            print!("\r[{:6.1} s] {text}", now.duration_since(self.begun).as_secs_f64());
            let _ = std::io::stdout().flush();
        }
        text.clone_into(&mut self.moving);
    }

    fn clear(&mut self) {
        if self.terminal && !self.moving.is_empty() {
            print!("\r\x1b[2K");
            self.moving.clear();
        }
    }
}

/// A bar of 20 characters with percent and size.
pub(super) fn bar(done: u64, total: u64) -> String {
    let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0).min(100);
    let full = usize::try_from(percent / 5).unwrap_or(0);
    format!(
        "[{}{}] {percent:3} % of {} MiB",
        "#".repeat(full),
        ".".repeat(20_usize.saturating_sub(full)),
        total >> 20
    )
}
