//! An entry of the catalogue: one version of one program for one system.

mod argv;
mod detect;
mod exit;
mod uninstall;
mod values;
mod version;

pub use argv::{Argv, join_windows, split_windows};
pub use detect::{Detect, Facts, FileFacts, Found, NamePattern, Program, UninstallKey};
pub use exit::{Cause, ExitCodes, Meaning};
pub use uninstall::{NoUninstaller, Uninstall};
pub use values::{DebName, FileHash, FileName, FilePath, Guid, Label, PackageId, Url, ValueError};
pub use version::Version;

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;

/// What a PC runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum System {
    /// Windows 10 and later.
    Windows,
    /// Debian and what is made of it: dpkg and apt.
    Debian,
}

/// What a PC's processor and system are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Architecture {
    /// 32-bit Intel (Debian: `i386`).
    X86,
    /// 64-bit Intel (Debian: `amd64`).
    X64,
    /// 64-bit ARM.
    Arm64,
}

/// A file of a package. The agent gets it by its hash and finds it in `{dir}` under its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageFile {
    /// Under which name.
    pub name: FileName,
    /// Which bytes.
    pub hash: FileHash,
    /// How many.
    pub size: u64,
}

/// Another package that must be there first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Which.
    pub package: PackageId,
    /// In this version or a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<Version>,
}

/// How an installed version becomes this one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Upgrade {
    /// By the command that installs.
    #[default]
    Install,
    /// By a command of its own.
    Command(Argv),
    /// The old version is uninstalled, then this one is installed.
    Reinstall,
    /// Not at all: a person has to.
    Never,
}

/// What must hold before a command is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Needs {
    /// Nobody is signed in at the PC.
    pub nobody_signed_in: bool,
    /// The PC is not on its battery.
    pub mains_power: bool,
}

/// How long a command may take before it is ended: 1 minute to 8 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Timeout {
    secs: u32,
}

impl Timeout {
    /// As a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.secs.into())
    }
}

impl Default for Timeout {
    /// One hour.
    fn default() -> Self {
        Self { secs: 3600 }
    }
}

impl TryFrom<u32> for Timeout {
    type Error = ValueError;

    fn try_from(secs: u32) -> Result<Self, ValueError> {
        if (60..=8 * 3600).contains(&secs) {
            Ok(Self { secs })
        } else {
            Err(ValueError::new(&secs.to_string(), "a number of seconds from 60 to 28800"))
        }
    }
}

impl From<Timeout> for u32 {
    fn from(timeout: Timeout) -> Self {
        timeout.secs
    }
}

/// What a package consists of, before it is checked as a whole. The JSON of a [`Package`] is that of its parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// What machines call it. Several versions, and the same for several systems, share it.
    pub id: PackageId,
    /// What people call it.
    pub name: Label,
    /// Which version this is.
    pub version: Version,
    /// Which system it is for.
    pub system: System,
    /// Which PCs it is for: 1 to 3.
    pub architectures: BTreeSet<Architecture>,
    /// How it is found on a PC.
    pub detect: Detect,
    /// The command that installs it.
    pub install: Argv,
    /// How an installed version becomes this one.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// How it is removed. Without, a person has to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uninstall: Option<Uninstall>,
    /// What exit codes mean.
    pub exit_codes: ExitCodes,
    /// How long a command may take, in seconds.
    #[serde(default, rename = "timeout_secs")]
    pub timeout: Timeout,
    /// What must hold before a command is started.
    #[serde(default)]
    pub needs: Needs,
    /// Its files: at most 64, under different names.
    #[serde(default)]
    pub files: Vec<PackageFile>,
    /// What must be there first: at most 64, each once.
    #[serde(default)]
    pub dependencies: Vec<Dependency>,
    /// What must not be there beside it, in either direction: at most 64.
    #[serde(default)]
    pub conflicts: BTreeSet<PackageId>,
    /// What is uninstalled before this is installed: at most 64.
    #[serde(default)]
    pub replaces: BTreeSet<PackageId>,
}

/// An entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Package(Parts);

/// The parts do not make a package. The text says which and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// For no PC at all.
    #[error("{0}: no architecture is named; name at least one")]
    NoArchitecture(PackageId),
    /// A list is too long.
    #[error("{package}: {count} {list}, at most 64 are allowed")]
    TooMany {
        /// Of which package.
        package: PackageId,
        /// Which list.
        list: &'static str,
        /// How long it is.
        count: usize,
    },
    /// Two files with one name would overwrite each other. Windows does not tell case apart.
    #[error("{package}: two files are called {file}; rename one")]
    SameName {
        /// Of which package.
        package: PackageId,
        /// Which name.
        file: FileName,
    },
    /// It names itself, or another package twice.
    #[error("{package}: {list} name {named} twice, or the package itself; remove it")]
    Twice {
        /// Of which package.
        package: PackageId,
        /// Which list.
        list: &'static str,
        /// Which package.
        named: PackageId,
    },
    /// The same package is to be there and not to be there.
    #[error("{package}: {named} is a dependency and a conflict or replaced; decide for one")]
    Torn {
        /// Of which package.
        package: PackageId,
        /// Which package.
        named: PackageId,
    },
    /// A command names the folder of files, and there are none.
    #[error("{0}: a command names {{dir}}, but the package has no files; add the file or name the program")]
    NoFiles(PackageId),
    /// The old version must be uninstalled first, and there is no way to.
    #[error("{0}: an upgrade is to uninstall first, but there is no way to uninstall; give one")]
    NoUninstall(PackageId),
    /// A rule of the other system.
    #[error("{0}: the detection or removal is not one of this system; choose another")]
    OtherSystem(PackageId),
}

impl TryFrom<Parts> for Package {
    type Error = PackageError;

    fn try_from(parts: Parts) -> Result<Self, PackageError> {
        bounded(&parts)?;
        related(&parts)?;
        commands(&parts)?;
        Ok(Self(parts))
    }
}

impl From<Package> for Parts {
    fn from(package: Package) -> Self {
        package.0
    }
}

impl Deref for Package {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Package {
    /// What its rule finds on a PC.
    pub fn find(&self, facts: &Facts) -> Found {
        self.detect.find(&self.version, facts)
    }

    /// Whether it can be on such a PC.
    pub fn suits(&self, system: System, architecture: Architecture) -> bool {
        self.system == system && self.architectures.contains(&architecture)
    }

    /// Whether what was found is this version or a newer one, or cannot be told from it.
    pub fn satisfied_by(&self, found: &Found) -> bool {
        match found {
            Found::Absent | Found::Differs => false,
            Found::Unversioned => true,
            Found::Version(version) => self.system.compare(version, &self.version).is_ge(),
        }
    }
}

fn bounded(parts: &Parts) -> Result<(), PackageError> {
    if parts.architectures.is_empty() {
        return Err(PackageError::NoArchitecture(parts.id.clone()));
    }
    for (list, count) in [
        ("files", parts.files.len()),
        ("dependencies", parts.dependencies.len()),
        ("conflicts", parts.conflicts.len()),
        ("replaced packages", parts.replaces.len()),
    ] {
        if count > MAX_LISTED {
            return Err(PackageError::TooMany { package: parts.id.clone(), list, count });
        }
    }
    let mut names = BTreeSet::new();
    match parts.files.iter().find(|file| !names.insert(file.name.as_str().to_lowercase())) {
        Some(twice) => Err(PackageError::SameName { package: parts.id.clone(), file: twice.name.clone() }),
        None => Ok(()),
    }
}

fn related(parts: &Parts) -> Result<(), PackageError> {
    let twice = |list, named: &PackageId| {
        Err(PackageError::Twice { package: parts.id.clone(), list, named: named.clone() })
    };
    let mut seen = BTreeSet::from([&parts.id]);
    for dependency in &parts.dependencies {
        if !seen.insert(&dependency.package) {
            return twice("dependencies", &dependency.package);
        }
        let out =
            parts.conflicts.contains(&dependency.package) || parts.replaces.contains(&dependency.package);
        if out {
            return Err(PackageError::Torn { package: parts.id.clone(), named: dependency.package.clone() });
        }
    }
    for (list, names) in [("conflicts", &parts.conflicts), ("replaced packages", &parts.replaces)] {
        if names.contains(&parts.id) {
            return twice(list, &parts.id);
        }
    }
    Ok(())
}

fn commands(parts: &Parts) -> Result<(), PackageError> {
    let mut argvs = vec![&parts.install];
    if let Upgrade::Command(argv) = &parts.upgrade {
        argvs.push(argv);
    }
    if let Some(Uninstall::Command(argv)) = &parts.uninstall {
        argvs.push(argv);
    }
    if parts.files.is_empty() && argvs.iter().any(|argv| argv.uses_files()) {
        return Err(PackageError::NoFiles(parts.id.clone()));
    }
    if parts.upgrade == Upgrade::Reinstall && parts.uninstall.is_none() {
        return Err(PackageError::NoUninstall(parts.id.clone()));
    }
    let detect = match parts.detect {
        Detect::Msi { .. } | Detect::UninstallKey(_) | Detect::UninstallName(_) => Some(System::Windows),
        Detect::Dpkg(_) => Some(System::Debian),
        Detect::FileVersion(_) | Detect::FileHash { .. } => None,
    };
    let uninstall = match parts.uninstall {
        Some(Uninstall::Registered { .. }) => Some(System::Windows),
        Some(Uninstall::Command(_)) | None => None,
    };
    if [detect, uninstall].into_iter().flatten().any(|system| system != parts.system) {
        return Err(PackageError::OtherSystem(parts.id.clone()));
    }
    Ok(())
}

const MAX_LISTED: usize = 64;

#[cfg(test)]
pub(crate) mod tests;
