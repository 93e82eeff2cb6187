//! The serial console of a virtual PC: read by a thread, written to a log with times, kept for questions.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use anyhow::{Context as _, bail};
use inventory::clock;

/// A console that is being followed.
#[derive(Debug)]
pub(super) struct Console {
    shared: Arc<Mutex<Lines>>,
    readers: Vec<JoinHandle<()>>,
}

/// What was said so far, cleaned of control sequences.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// The newest lines, at most [`LINES_MAX`].
    kept: VecDeque<String>,
    /// How many lines there ever were.
    count: u64,
    partial: Vec<u8>,
    fault: Option<String>,
}

impl Console {
    /// Follows what QEMU writes: the PC's serial console on its output, its own complaints on its error output.
    pub(super) fn follow(process: &mut Child, log: &Path) -> anyhow::Result<Self> {
        let output = process.stdout.take().context("QEMU has no output")?;
        let errors = process.stderr.take().context("QEMU has no error output")?;
        let log = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot write {}", log.display()))?;
        let shared = Arc::new(Mutex::new(Lines::default()));
        let begun = clock::instant();
        let second = (Arc::clone(&shared), log.try_clone()?);
        let readers = vec![
            std::thread::spawn({
                let shared = Arc::clone(&shared);
                move || copy(output, &shared, log, begun)
            }),
            // What QEMU says itself goes to the log; the PC did not say it.
            std::thread::spawn(move || {
                copy(errors, &Arc::new(Mutex::new(Lines::default())), second.1, begun)
            }),
        ];
        Ok(Self { shared, readers })
    }

    /// The latest line with `text` in it.
    pub(super) fn line_with(&self, text: &str) -> anyhow::Result<Option<String>> {
        self.line_since(0, text)
    }

    /// The latest line with `text` in it among those after the first `count`.
    pub(super) fn line_since(&self, count: u64, text: &str) -> anyhow::Result<Option<String>> {
        let lines = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match &lines.fault {
            Some(fault) => bail!("{fault}"),
            None => Ok(lines.find(count, text)),
        }
    }

    pub(super) fn lines_so_far(&self) -> u64 {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).count
    }

    /// Waits for the last words of a process that has ended.
    pub(super) fn finish(&mut self) {
        for reader in self.readers.drain(..) {
            let _ = reader.join();
        }
    }
}

impl Lines {
    /// Takes what was read and returns the lines that it completed.
    fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut complete = Vec::new();
        for &byte in bytes {
            let end = byte == b'\n' || byte == b'\r';
            if !end {
                self.partial.push(byte);
            }
            if end || self.partial.len() >= LINE_BYTES_MAX {
                let line = cleaned(&self.partial);
                self.partial.clear();
                if !line.trim().is_empty() {
                    complete.push(line);
                }
            }
        }
        for line in &complete {
            if self.kept.len() >= LINES_MAX {
                self.kept.pop_front();
            }
            self.kept.push_back(line.clone());
            self.count += 1;
        }
        complete
    }

    fn find(&self, count: u64, text: &str) -> Option<String> {
        let partial = cleaned(&self.partial);
        if partial.contains(text) {
            return Some(partial);
        }
        let newer = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        self.kept.iter().rev().take(newer).find(|line| line.contains(text)).cloned()
    }
}

fn copy(mut from: impl Read, shared: &Mutex<Lines>, mut log: File, begun: Instant) {
    let mut buffer = [0; 4096];
    let outcome = loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(length) => buffer.get(..length).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => break Err(error),
        };
        let complete = shared.lock().unwrap_or_else(PoisonError::into_inner).take(bytes);
        let seconds = clock::instant().duration_since(begun).as_secs_f64();
        let text: String = complete.iter().map(|line| format!("{seconds:8.2} {line}\n")).collect();
        if let Err(error) = log.write_all(text.as_bytes()) {
            break Err(error);
        }
    };
    let mut lines = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if let Err(error) = outcome {
        lines.fault = Some(error.to_string());
    }
    // A prompt without an end is the last thing a PC says.
    let last = cleaned(&lines.partial);
    if !last.trim().is_empty() {
        let _ = writeln!(log, "{:8.2} {last}", clock::instant().duration_since(begun).as_secs_f64());
    }
}

/// Text without terminal control: escape sequences and control characters go, what is no UTF-8 is marked.
fn cleaned(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '\u{1b}' => match characters.next() {
                // CSI: parameters up to a final character.
                Some('[') => while characters.next_if(|c| !('@'..='~').contains(c)).is_some() {},
                _ => continue,
            },
            c if !c.is_control() || c == '\t' => {
                out.push(c);
                continue;
            }
            _ => continue,
        }
        characters.next();
    }
    out.trim_end().to_owned()
}

const LINES_MAX: usize = 20_000;
const LINE_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cleaned_kept_and_found_latest_first() {
        let mut lines = Lines::default();
        let complete = lines.take(b"\x1b[2J\x1b[01;01HiPXE 1.0\r\n\r\n  \r\ncode=1\ncode=2\nvorlage lo");
        assert_eq!(complete, ["iPXE 1.0", "code=1", "code=2"]);
        assert_eq!(lines.find(0, "code="), Some("code=2".to_owned()));
        assert_eq!(lines.find(3, "code="), None);
        assert_eq!(lines.find(0, "login:"), None);
        lines.take(b"gin: ");
        assert_eq!(lines.find(3, "login:"), Some("vorlage login:".to_owned()));
    }

    #[test]
    fn a_console_that_never_ends_a_line_takes_bounded_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.take(&[b'x'; 100_000]);
        }
        assert!(lines.kept.len() <= LINES_MAX && lines.partial.len() < LINE_BYTES_MAX);
        assert!(lines.kept.iter().all(|line| line.len() <= LINE_BYTES_MAX));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_become_text_without_control(bytes: Vec<u8>) {
            let text = cleaned(&bytes);
            proptest::prop_assert!(text.chars().all(|c| !c.is_control() || c == '\t'), "{text:?}");
        }
    }
}
