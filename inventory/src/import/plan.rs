//! What a file would change: the same shape for people and devices.

use serde::Serialize;

use super::Problem;

/// What taking a file over means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether whoever is not in the file is to be removed.
    pub complete: bool,
}

/// What a file would change. `W` is what is written for one person or device.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan<W> {
    /// Additions and changes in the order of the file, then removals by name.
    pub items: Vec<Item<W>>,
    /// Rooms or classes that do not exist yet.
    pub places: Vec<String>,
    /// Lines that say what holds already.
    pub unchanged: usize,
    /// How many there are that a complete file would have to name.
    pub of_kind: usize,
    /// What is wrong with which line, in the order of the file.
    pub problems: Vec<Problem>,
}

/// One person or device of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Item<W> {
    /// The line that says so; a removal has none.
    pub line: Option<usize>,
    /// What people call it.
    pub label: String,
    /// What happens.
    pub verdict: Verdict,
    /// What differs, or of an addition what it gets.
    pub changes: Vec<Change>,
    /// What is written.
    pub wish: W,
}

/// What happens to a person or device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It is added.
    New,
    /// Its room or class changes, and perhaps more.
    Moved,
    /// Something else changes.
    Changed,
    /// It is removed.
    Removed,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::New, Self::Moved, Self::Changed, Self::Removed];
}

/// A value that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which one.
    pub field: Field,
    /// What it is; empty when it is nothing.
    pub from: String,
    /// What it becomes.
    pub to: String,
}

/// What can change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// First name.
    FirstName,
    /// Last name.
    LastName,
    /// Name to sign in with.
    Login,
    /// What the school's own system calls somebody.
    ExternalId,
    /// Classes.
    Classes,
    /// Somebody who was deactivated comes back.
    Returns,
    /// Host name.
    Name,
    /// Room.
    Room,
    /// Network cards.
    Cards,
    /// Fixed addresses.
    Addresses,
    /// Whose it is.
    Owner,
    /// Whether it is the staff's: `true` or `false`.
    Staff,
}

impl Field {
    /// Whether a change of it is a move.
    fn is_place(self) -> bool {
        matches!(self, Self::Classes | Self::Room)
    }
}

/// How many there are of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, serde::Deserialize, schemars::JsonSchema)]
pub struct Counts {
    /// Additions.
    pub new: usize,
    /// Changes of room or class.
    pub moved: usize,
    /// Other changes.
    pub changed: usize,
    /// Removals.
    pub removed: usize,
    /// Lines that say what holds already.
    pub unchanged: usize,
    /// Problems.
    pub problems: usize,
}

impl<W> Plan<W> {
    /// How many there are of each.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let of = |verdict| self.items.iter().filter(|item| item.verdict == verdict).count();
        Counts {
            new: of(Verdict::New),
            moved: of(Verdict::Moved),
            changed: of(Verdict::Changed),
            removed: of(Verdict::Removed),
            unchanged: self.unchanged,
            problems: self.problems.len(),
        }
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether so many are removed (more than one in ten) that the file may well be no complete one.
    #[must_use]
    pub fn is_alarming(&self) -> bool {
        self.counts().removed * 10 > self.of_kind
    }
}

impl<W> Item<W> {
    /// An addition.
    pub(super) fn new(line: usize, label: String, changes: Vec<Change>, wish: W) -> Self {
        Self { line: Some(line), label, verdict: Verdict::New, changes, wish }
    }

    /// A change.
    pub(super) fn changed(line: usize, label: String, changes: Vec<Change>, wish: W) -> Self {
        let moved = changes.iter().any(|change| change.field.is_place());
        let verdict = if moved { Verdict::Moved } else { Verdict::Changed };
        Self { line: Some(line), label, verdict, changes, wish }
    }

    /// A removal.
    pub(super) fn removed(label: String, wish: W) -> Self {
        Self { line: None, label, verdict: Verdict::Removed, changes: Vec::new(), wish }
    }
}

/// Notes a change if there is one.
pub(super) fn note(changes: &mut Vec<Change>, field: Field, from: &str, to: &str) {
    if from != to {
        changes.push(Change { field, from: from.to_owned(), to: to.to_owned() });
    }
}
