//! How one sees that a program is on a PC, and in which version.
//!
//! The agent collects [`Facts`], once for all packages; [`Detect::find`] judges them. So what counts as installed is decided here,
//! and tested without a PC.

use super::values::{DebName, FileHash, FilePath, Guid, ValueError, line, parsed};
use super::version::Version;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

parsed! {
    /// The name of a program as the list of installed programs shows it, without regard to case; `*` stands for any characters:
    /// `7-Zip * (x64)`. At most 256 bytes, at most 8 stars, not only stars.
    NamePattern = |text| {
        let stars = text.matches('*').count();
        (line(text, 256) && stars <= 8 && text.chars().any(|c| c.is_alphanumeric())).then(|| text.trim().to_owned())
    }; "a program's name such as 7-Zip * (x64), where * stands for any characters"

    /// The name of a key below `…\CurrentVersion\Uninstall`: a product code or a name of the installer's own, such as `App_is1`.
    UninstallKey = |text| {
        (line(text, 255) && !text.contains(['\\', '/'])).then(|| text.to_owned())
    }; "the name of an uninstall key such as Notepad++ or {…}"
}

impl NamePattern {
    /// Whether a name is meant.
    pub fn matches(&self, name: &str) -> bool {
        let (pattern, name) = (self.as_str().to_lowercase(), name.trim().to_lowercase());
        let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The earliest place for each piece leaves the most room for the others.
        for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
            let Some((_, after)) = name.split_once(piece) else { return false };
            name = after;
        }
        name.ends_with(last)
    }
}

/// The rule by which a package is found on a PC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Detect {
    /// A product of Windows Installer. With the upgrade code older and newer versions are found too: their product codes differ.
    Msi {
        /// The product code of this version.
        product: Guid,
        /// What all versions share.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        upgrade: Option<Guid>,
    },
    /// An entry of the list of installed programs, by its key.
    UninstallKey(UninstallKey),
    /// An entry of the list of installed programs, by the name that it shows.
    UninstallName(NamePattern),
    /// The version that a program's file carries (`VS_FIXEDFILEINFO`).
    FileVersion(FilePath),
    /// A file with exactly these bytes.
    FileHash {
        /// Where.
        path: FilePath,
        /// Which bytes.
        hash: FileHash,
    },
    /// A package of Debian that is installed and configured.
    Dpkg(DebName),
}

/// What a rule says about a PC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// Not there.
    #[default]
    Absent,
    /// There, but not as this version of the package would have it.
    Differs,
    /// There; no version can be read, so any version is taken for it.
    Unversioned,
    /// There in this version.
    Version(Version),
}

impl Found {
    /// Whether anything of it is there.
    pub fn present(&self) -> bool {
        *self != Self::Absent
    }
}

/// What is on a PC, as far as rules ask. Lists are what the agent read; a rule about something that is not in them finds nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The list of installed programs, of both registry views.
    #[serde(default)]
    pub programs: Vec<Program>,
    /// Product codes that Windows Installer has for an upgrade code (`MsiEnumRelatedProducts`).
    #[serde(default)]
    pub related: BTreeMap<Guid, BTreeSet<Guid>>,
    /// Files that rules name and that exist.
    #[serde(default)]
    pub files: BTreeMap<FilePath, FileFacts>,
    /// Packages whose status in dpkg is `installed`.
    #[serde(default)]
    pub debs: BTreeMap<DebName, Version>,
}

/// An entry below `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall`.
/// <https://learn.microsoft.com/en-us/windows/win32/msi/uninstall-registry-key>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// The name of the key.
    pub key: UninstallKey,
    /// `DisplayName`.
    pub name: String,
    /// `DisplayVersion`.
    pub version: Option<Version>,
    /// `UninstallString`.
    pub uninstall: Option<String>,
    /// `QuietUninstallString`.
    pub quiet_uninstall: Option<String>,
}

/// A file on a PC.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileFacts {
    /// The version that it carries.
    pub version: Option<Version>,
    /// Its hashes, of the kinds that rules ask for.
    #[serde(default)]
    pub hashes: BTreeSet<FileHash>,
}

impl Detect {
    /// What this rule of a package in version `own` finds. Of several entries it takes the first as the list has them.
    pub fn find(&self, own: &Version, facts: &Facts) -> Found {
        match self {
            Self::Msi { .. } | Self::UninstallKey(_) | Self::UninstallName(_) => {
                self.program(facts).map_or(Found::Absent, |program| versioned(program.version.as_ref()))
            }
            Self::FileVersion(path) => {
                facts.files.get(path).map_or(Found::Absent, |file| versioned(file.version.as_ref()))
            }
            Self::FileHash { path, hash } => match facts.files.get(path) {
                None => Found::Absent,
                Some(file) if file.hashes.contains(hash) => Found::Version(own.clone()),
                Some(_) => Found::Differs,
            },
            Self::Dpkg(name) => facts.debs.get(name).cloned().map_or(Found::Absent, Found::Version),
        }
    }

    /// The entry of the list of installed programs that this rule means.
    pub fn program<'f>(&self, facts: &'f Facts) -> Option<&'f Program> {
        let keyed =
            |key: &str| facts.programs.iter().find(|entry| entry.key.as_str().eq_ignore_ascii_case(key));
        match self {
            Self::Msi { product, upgrade } => keyed(product.as_str()).or_else(|| {
                let related = facts.related.get(upgrade.as_ref()?)?;
                related.iter().find_map(|product| keyed(product.as_str()))
            }),
            Self::UninstallKey(key) => keyed(key.as_str()),
            Self::UninstallName(name) => facts.programs.iter().find(|entry| name.matches(&entry.name)),
            Self::FileVersion(_) | Self::FileHash { .. } | Self::Dpkg(_) => None,
        }
    }
}

fn versioned(version: Option<&Version>) -> Found {
    version.cloned().map_or(Found::Unversioned, Found::Version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn p<T: FromStr<Err = ValueError>>(text: &str) -> T {
        text.parse().unwrap()
    }

    const OLD: &str = "{00000000-0000-0000-0000-000000000001}";
    const NEW: &str = "{00000000-0000-0000-0000-000000000002}";
    const BOTH: &str = "{00000000-0000-0000-0000-00000000000F}";

    fn facts() -> Facts {
        let program = |key, name: &str, version: Option<&str>| Program {
            key: p(key),
            name: name.to_owned(),
            version: version.map(p),
            uninstall: None,
            quiet_uninstall: None,
        };
        Facts {
            programs: vec![program(OLD, "Editor", Some("1.0")), program("7-Zip", "7-Zip 24.08 (x64)", None)],
            related: [(p(BOTH), [p(OLD)].into())].into(),
            files: [(p("/opt/a"), FileFacts { hashes: [hash(1)].into(), version: None })].into(),
            debs: [(p("libc6:amd64"), p("2.36-9"))].into(),
        }
    }

    fn hash(byte: u8) -> FileHash {
        FileHash::Blake3([byte; 32])
    }

    #[test]
    fn a_rule_finds_what_it_names() {
        let version = |text| Found::Version(p(text));
        let at = |byte| Detect::FileHash { path: p("/opt/a"), hash: hash(byte) };
        for (rule, found) in [
            (Detect::Msi { product: p(OLD), upgrade: None }, version("1.0")),
            (Detect::Msi { product: p(NEW), upgrade: None }, Found::Absent),
            (Detect::Msi { product: p(NEW), upgrade: Some(p(BOTH)) }, version("1.0")),
            (Detect::UninstallKey(p("7-zip")), Found::Unversioned),
            (Detect::UninstallName(p("7-zip * (x64)")), Found::Unversioned),
            (Detect::UninstallName(p("7-Zip")), Found::Absent),
            (Detect::FileVersion(p("/opt/a")), Found::Unversioned),
            (at(1), version("9")),
            (at(2), Found::Differs),
            (Detect::Dpkg(p("libc6:amd64")), version("2.36-9")),
            (Detect::Dpkg(p("libc6")), Found::Absent),
        ] {
            assert_eq!(rule.find(&p("9"), &facts()), found, "{rule:?}");
        }
    }

    #[test]
    fn stars_stand_for_any_characters() {
        for (pattern, name, expected) in [
            ("Git", "git", true),
            ("Git", "Git 2", false),
            ("Git*", "Git version 2", true),
            ("*ab*b", "ab", false),
            ("*ab*b", "xabxb", true),
            ("a*a", "a", false),
            ("Java * Update *", "Java 8 Update 421", true),
        ] {
            assert_eq!(p::<NamePattern>(pattern).matches(name), expected, "{pattern} {name}");
        }
        for text in ["", "*", " * ", "a*********", "a\n"] {
            assert!(text.parse::<NamePattern>().is_err(), "{text}");
        }
    }
}
