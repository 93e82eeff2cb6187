//! From a [`View`] to lines of text.

use std::time::Duration;

use super::texts::{self, Both};
use super::{Scene, Trouble, View, Work, digits};

/// The screen as lines: never more than `rows`, never wider than `columns`. Both languages, German first.
pub fn render(view: &View, columns: usize, rows: usize) -> Vec<String> {
    let mut page = Page { lines: Vec::new(), columns: columns.max(20) };
    page.header(view);
    page.gap();
    page.both(texts::headline(&view.scene));
    page.gap();
    page.scene(&view.scene);
    if let Some((problem, detail)) = &view.hitch {
        let [german, english] = problem.text();
        page.gap();
        page.text(&format!("! {german} / {english}"));
        page.wrapped(detail);
        page.both(problem.remedy());
    }
    let mut footer = Page { lines: Vec::new(), columns: page.columns };
    footer.rule();
    view.machine.iter().for_each(|line| footer.text(line));
    // The middle gives way when the screen is small; then the machine's lines.
    let rows = rows.max(1);
    footer.lines.truncate(rows / 2);
    page.lines.truncate(rows - footer.lines.len());
    page.lines.resize(rows - footer.lines.len(), String::new());
    page.lines.append(&mut footer.lines);
    page.lines
}

struct Page {
    lines: Vec<String>,
    columns: usize,
}

impl Page {
    fn header(&mut self, view: &View) {
        let left = match &view.device {
            Some(device) if device.room.is_empty() => format!("HAUSMEISTER  {}", device.name),
            Some(device) => format!("HAUSMEISTER  {} ({})", device.name, device.room),
            None => "HAUSMEISTER".to_owned(),
        };
        let used = left.chars().count() + view.server.chars().count() + 2 * MARGIN.len();
        let space = " ".repeat(self.columns.saturating_sub(used).max(1));
        self.text(&format!("{left}{space}{}", view.server));
        self.rule();
    }

    fn scene(&mut self, scene: &Scene) {
        match scene {
            Scene::Waiting { code } => {
                (0..digits::HEIGHT).for_each(|row| self.text(&digits::row(code, row)));
                self.gap();
                self.both(texts::COMPARE);
            }
            Scene::Working(work) => self.work(work),
            Scene::Trouble(trouble) => self.trouble(trouble),
            Scene::Drivers
            | Scene::Network
            | Scene::Server
            | Scene::Ready
            | Scene::Helping
            | Scene::Restarting => {}
        }
    }

    fn work(&mut self, work: &Work) {
        self.text(&work.image);
        self.gap();
        let [german, english] = texts::phase(work.phase, work.kind);
        self.text(&format!("{german} / {english}"));
        if work.total > 0 {
            self.bar(work.done, work.total);
            self.text(&figures(work));
        }
        self.gap();
        self.both(texts::DO_NOT_SWITCH_OFF);
    }

    fn trouble(&mut self, trouble: &Trouble) {
        if !trouble.detail.is_empty() {
            self.wrapped(&trouble.detail);
            self.gap();
        }
        self.both(trouble.problem.remedy());
        if let Some(retry) = trouble.retry {
            let [german, english] = texts::RETRY;
            let secs = retry.as_secs();
            self.text(&format!("{german} {secs} s / {english} {secs} s"));
        }
    }

    fn bar(&mut self, done: u64, total: u64) {
        let percent = percent(done, total);
        let width = self.columns.saturating_sub(2 * MARGIN.len() + 6);
        let full = width * percent / 100;
        self.text(&format!("{}{} {percent:3} %", "█".repeat(full), "░".repeat(width - full)));
    }

    fn both(&mut self, [german, english]: Both) {
        self.wrapped(german);
        self.wrapped(english);
    }

    /// Breaks between words.
    fn wrapped(&mut self, text: &str) {
        let width = self.columns.saturating_sub(2 * MARGIN.len());
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                self.text(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.text(&line);
    }

    fn text(&mut self, text: &str) {
        let printable = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let line: String = MARGIN.chars().chain(printable).take(self.columns.saturating_sub(1)).collect();
        self.lines.push(line.trim_end().to_owned());
    }

    fn rule(&mut self) {
        self.text(&"─".repeat(self.columns.saturating_sub(2 * MARGIN.len())));
    }

    fn gap(&mut self) {
        self.lines.push(String::new());
    }
}

/// `1.2 of 5.0 GB, 103 MB/s, noch 0:36 left`
fn figures(work: &Work) -> String {
    let mut text = format!("{} / {}", size(work.done), size(work.total));
    if work.rate >= 1.0 {
        text.push_str(&format!("   {}/s", size(work.rate as u64)));
    }
    if let Some(remaining) = work.remaining() {
        let [german, english] = texts::REMAINING;
        text.push_str(&format!("   {german} {} {english}", clock_time(remaining)));
    }
    text
}

pub(super) fn percent(done: u64, total: u64) -> usize {
    let percent = u128::from(done.min(total)) * 100 / u128::from(total.max(1));
    usize::try_from(percent).unwrap_or(100)
}

/// Decimal units, as disks are sold.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes / 1000),
        1_000_000..1_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10),
    }
}

fn clock_time(time: Duration) -> String {
    let secs = time.as_secs();
    match secs / 3600 {
        0 => format!("{}:{:02} min", secs / 60, secs % 60),
        hours => format!("{hours}:{:02} h", secs / 60 % 60),
    }
}

const MARGIN: &str = "  ";

#[cfg(test)]
#[path = "render_tests.rs"]
mod tests;
