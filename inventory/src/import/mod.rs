//! People and devices from files: reading, planning, taking over and taking back.
//!
//! | module | from | to |
//! |---|---|---|
//! | `text` | bytes | lines of fields, with encoding and separator found out |
//! | `columns` | a heading, or the shape of the lines | which field is what |
//! | [`people`], [`devices`] | lines | rows, and what is wrong with which line |
//! | `plan_people`, `plan_devices` | rows and what is there | a [`Plan`] |
//! | `store` | a plan | the database, in one transaction; and back |
//!
//! Everything but `store` is pure. A line that cannot be used costs only itself: what stands in it is left as it is, and it is never a
//! reason to remove something.
//!
//! Formats: a heading with German or English column names in any order (IServ, WebUntis, SchILD, ASV, DaNiS, UCS users, CRANIX, FOG), and
//! without a heading linuxmuster's `students.csv`, `teachers.csv` and `devices.csv`, UCS' `import_computer` and FOG's host list.

mod columns;
pub mod devices;
mod logins;
pub mod people;
mod plan;
mod plan_devices;
mod plan_people;
mod problem;
mod store;
mod text;

use serde::{Deserialize, Serialize};

pub(crate) use logins::ascii;
pub use plan::{Change, Counts, Field, Item, Options, Plan, Verdict};
pub use plan_devices::{DeviceWish, Fleet, KnownDevice, plan_devices};
pub use plan_people::{KnownPerson, People, PersonWish, plan_people};
pub use problem::{FileProblem, Problem, What};
pub use store::{Applied, Import, Undone};

/// What a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Pupils and teachers.
    People,
    /// Devices.
    Devices,
}

impl Kind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::People, Self::Devices];

    /// Its name in the database, the API and addresses of pages.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::People => "people",
            Self::Devices => "devices",
        }
    }
}

/// A file that was read: its rows, and how it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File<R> {
    /// Lines that could be understood, at least in part.
    pub rows: Vec<R>,
    /// What is wrong with which line.
    pub problems: Vec<Problem>,
    /// How the file was understood.
    pub form: Form,
}

impl<R> File<R> {
    /// What was read, with its problems in the order of their lines.
    fn of(rows: Vec<R>, mut problems: Vec<Problem>, form: Form) -> Result<Self, FileProblem> {
        if rows.is_empty() {
            return Err(FileProblem::Empty);
        }
        problems.sort_by_key(|problem| problem.line);
        Ok(Self { rows, problems, form })
    }
}

/// How a file was understood.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Form {
    /// Its layout.
    pub format: Format,
    /// Its encoding, for example `UTF-8`.
    pub encoding: &'static str,
    /// What stands between its fields.
    pub separator: char,
    /// Columns that nothing is taken from.
    pub ignored: Vec<String>,
}

/// The layout of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// The first line names the columns.
    Heading,
    /// `students.csv` or `teachers.csv` of linuxmuster.
    LinuxmusterPeople,
    /// `devices.csv` of linuxmuster.
    LinuxmusterDevices,
    /// `import_computer` of UCS@school.
    Ucs,
    /// A host list of FOG.
    Fog,
}

impl Format {
    /// What people call it; a heading needs no name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Heading => None,
            Self::LinuxmusterPeople => Some("linuxmuster students.csv/teachers.csv"),
            Self::LinuxmusterDevices => Some("linuxmuster devices.csv"),
            Self::Ucs => Some("UCS import_computer"),
            Self::Fog => Some("FOG"),
        }
    }
}

/// Largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most lines of a file.
pub const LINES_MAX: usize = 100_000;

/// A password from a file. It is shown by nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
mod tests;
