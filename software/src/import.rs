//! Drafts of packages from what makers publish. What could not be read is named, so that a person completes it in one form.
//!
//! | From                    | Read                                                                                          |
//! |-------------------------|-----------------------------------------------------------------------------------------------|
//! | [`winget`]              | manifests of the public schema, 1.0 to 1.10: one installer for all users of the wanted PCs        |
//! | [`deb`]                 | the control paragraph of a `.deb`, or of an index of apt                                         |
//! | [`msi`]                 | product, version, codes and architecture of an MSI file                                            |
//!
//! Everything is taken to be hostile: sizes are bounded, and nothing in a file is ever run to read it.

pub mod deb;
pub mod msi;
pub mod winget;

use crate::package::{
    Architecture, Argv, Dependency, Detect, ExitCodes, FileHash, FileName, Label, Needs, Package,
    PackageError, PackageFile, PackageId, Parts, System, Timeout, Uninstall, Upgrade, Url, Version,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A package with gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    /// [`Parts::id`].
    pub id: Option<PackageId>,
    /// [`Parts::name`].
    pub name: Option<Label>,
    /// [`Parts::version`].
    pub version: Option<Version>,
    /// [`Parts::system`].
    pub system: System,
    /// [`Parts::architectures`].
    pub architectures: BTreeSet<Architecture>,
    /// [`Parts::detect`].
    pub detect: Option<Detect>,
    /// [`Parts::install`].
    pub install: Option<Argv>,
    /// [`Parts::upgrade`].
    pub upgrade: Upgrade,
    /// [`Parts::uninstall`].
    pub uninstall: Option<Uninstall>,
    /// [`Parts::exit_codes`].
    pub exit_codes: ExitCodes,
    /// [`Parts::files`].
    pub files: Vec<PackageFile>,
    /// [`Parts::dependencies`].
    pub dependencies: Vec<Dependency>,
    /// Files that the server must fetch, check and add to `files`.
    pub downloads: Vec<Download>,
    /// What a person must look at, in the order of the form.
    pub open: Vec<Open>,
}

/// A file that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Download {
    /// What it is called in the package.
    pub name: FileName,
    /// Where it is.
    pub url: Url,
    /// Which bytes it must have.
    pub hash: FileHash,
}

/// A field that a person must look at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Which.
    pub field: Field,
    /// Why.
    pub why: Why,
}

/// The fields of the form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Field {
    /// The identifier.
    Id,
    /// The name.
    Name,
    /// The version.
    Version,
    /// For which PCs.
    Architectures,
    /// How it is found.
    Detect,
    /// How it is installed.
    Install,
    /// How it is upgraded.
    Upgrade,
    /// How it is removed.
    Uninstall,
    /// What exit codes mean.
    ExitCodes,
    /// What it depends on.
    Dependencies,
}

/// Why a field is open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The source does not say.
    Missing,
    /// The source says this, which is no such value.
    NotUnderstood(String),
    /// It is a guess.
    Guessed,
    /// The source asks for this, which packages cannot express.
    Beyond(String),
}

/// A draft is no package yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// Fields are empty.
    #[error("not filled in: {0:?}")]
    Missing(Vec<Field>),
    /// Files were not fetched.
    #[error("{0} was not fetched yet; let the server fetch it, or bring it")]
    NotFetched(FileName),
    /// It contradicts itself.
    #[error(transparent)]
    Package(#[from] PackageError),
}

impl Draft {
    /// A draft in which everything is open.
    pub fn empty(system: System) -> Self {
        Self {
            id: None,
            name: None,
            version: None,
            system,
            architectures: BTreeSet::new(),
            detect: None,
            install: None,
            upgrade: Upgrade::default(),
            uninstall: None,
            exit_codes: ExitCodes::of(system),
            files: Vec::new(),
            dependencies: Vec::new(),
            downloads: Vec::new(),
            open: Vec::new(),
        }
    }

    /// The package, if nothing is missing.
    pub fn finish(self) -> Result<Package, DraftError> {
        let mut missing = Vec::new();
        let mut gap = |field, is: bool| missing.extend(is.then_some(field));
        gap(Field::Id, self.id.is_none());
        gap(Field::Name, self.name.is_none());
        gap(Field::Version, self.version.is_none());
        gap(Field::Detect, self.detect.is_none());
        gap(Field::Install, self.install.is_none());
        let unfetched = |download: &&Download| !self.files.iter().any(|file| file.name == download.name);
        if let Some(download) = self.downloads.iter().find(unfetched) {
            return Err(DraftError::NotFetched(download.name.clone()));
        }
        let (Some(id), Some(name), Some(version), Some(detect), Some(install)) =
            (self.id, self.name, self.version, self.detect, self.install)
        else {
            return Err(DraftError::Missing(missing));
        };
        Ok(Package::try_from(Parts {
            id,
            name,
            version,
            system: self.system,
            architectures: self.architectures,
            detect,
            install,
            upgrade: self.upgrade,
            uninstall: self.uninstall,
            exit_codes: self.exit_codes,
            timeout: Timeout::default(),
            needs: Needs::default(),
            files: self.files,
            dependencies: self.dependencies,
            conflicts: BTreeSet::new(),
            replaces: BTreeSet::new(),
        })?)
    }

    /// Parses what a source says about a field, and notes when that fails.
    fn take<T: std::str::FromStr>(&mut self, field: Field, text: Option<&str>) -> Option<T> {
        let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
            self.note(field, Why::Missing);
            return None;
        };
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.note(field, Why::NotUnderstood(text.chars().take(200).collect()));
        }
        parsed
    }

    fn note(&mut self, field: Field, why: Why) {
        self.open.push(Open { field, why });
        self.open.sort();
        self.open.dedup();
    }
}

/// An identifier made of a name: `Mein Programm 2` becomes `mein-programm-2`.
fn id_of_name(name: &str) -> Option<PackageId> {
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { ' ' }).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    words.join("-").trim_matches(['-', '.']).parse().ok()
}

fn argv(words: impl IntoIterator<Item = impl Into<String>>) -> Option<Argv> {
    words.into_iter().map(Into::into).collect::<Vec<String>>().try_into().ok()
}
