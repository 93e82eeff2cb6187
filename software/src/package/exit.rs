//! What the exit code of an installer means.
//!
//! Sources: <https://learn.microsoft.com/en-us/windows/win32/msi/error-codes> for Windows Installer, and the return responses
//! of winget's schema, <https://github.com/microsoft/winget-cli/tree/master/schemas/JSON/manifests>.

use super::System;
use super::values::ValueError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an exit code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Carried out. The detection has the last word.
    Done,
    /// Carried out, complete after a restart (3010).
    DoneAfterReboot,
    /// Carried out, and the installer is restarting the PC itself (1641).
    Rebooting,
    /// Nothing was done because something else is in the way that will pass (1618: another installation is running).
    RetryLater,
    /// Nothing was done because the PC must be restarted first.
    RebootFirst,
    /// Not carried out, for a reason that is known.
    Failed(Cause),
}

/// Reasons that installers have codes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The code says no more than that it failed.
    Unknown,
    /// Something that the program needs is missing.
    MissingDependency,
    /// The disk is full.
    DiskFull,
    /// Too little memory.
    Memory,
    /// The installer does not know an argument.
    Arguments,
    /// The installer wanted the network and had none.
    Network,
    /// Somebody cancelled it.
    Cancelled,
    /// A newer version is there.
    Newer,
    /// A rule of the system forbids it.
    Forbidden,
    /// The system is too old or of the wrong kind.
    Unsupported,
}

/// Exit codes of one package. What is not listed is a failure, except 0. At most 256.
///
/// Windows hands out codes as unsigned numbers; here they are the same 32 bits with a sign, as Rust's `ExitStatus::code` gives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<i32, Meaning>", into = "BTreeMap<i32, Meaning>")]
pub struct ExitCodes(BTreeMap<i32, Meaning>);

impl ExitCodes {
    /// What every installer of a system may answer.
    pub fn of(system: System) -> Self {
        let known: &[(i32, Meaning)] = match system {
            System::Windows => WINDOWS,
            System::Debian => &[],
        };
        Self(known.iter().copied().collect())
    }

    /// The same with one more code, or another meaning for one. A full table stays as it is.
    #[must_use]
    pub fn with(mut self, code: i32, meaning: Meaning) -> Self {
        if self.0.len() < MAX || self.0.contains_key(&code) {
            self.0.insert(code, meaning);
        }
        self
    }

    /// What a code means.
    pub fn meaning(&self, code: i32) -> Meaning {
        let unlisted = if code == 0 { Meaning::Done } else { Meaning::Failed(Cause::Unknown) };
        self.0.get(&code).copied().unwrap_or(unlisted)
    }

    /// The codes that are listed, ascending.
    pub fn listed(&self) -> impl Iterator<Item = (i32, Meaning)> + '_ {
        self.0.iter().map(|(code, meaning)| (*code, *meaning))
    }
}

impl TryFrom<BTreeMap<i32, Meaning>> for ExitCodes {
    type Error = ValueError;

    fn try_from(codes: BTreeMap<i32, Meaning>) -> Result<Self, ValueError> {
        if codes.len() <= MAX {
            Ok(Self(codes))
        } else {
            Err(ValueError::new(&codes.len().to_string(), "at most 256 exit codes"))
        }
    }
}

impl From<ExitCodes> for BTreeMap<i32, Meaning> {
    fn from(codes: ExitCodes) -> Self {
        codes.0
    }
}

const MAX: usize = 256;

const WINDOWS: &[(i32, Meaning)] = &[
    (112, Meaning::Failed(Cause::DiskFull)),
    (1602, Meaning::Failed(Cause::Cancelled)),
    // The product is not installed: an uninstaller has nothing to do, and for an installer the detection will object.
    (1605, Meaning::Done),
    (1618, Meaning::RetryLater),
    (1625, Meaning::Failed(Cause::Forbidden)),
    (1633, Meaning::Failed(Cause::Unsupported)),
    (1638, Meaning::Failed(Cause::Newer)),
    (1639, Meaning::Failed(Cause::Arguments)),
    (1641, Meaning::Rebooting),
    (3010, Meaning::DoneAfterReboot),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_of_windows_installer_are_known_and_others_fail() {
        let codes = ExitCodes::of(System::Windows).with(-5, Meaning::RetryLater);
        for (code, meaning) in [
            (0, Meaning::Done),
            (3010, Meaning::DoneAfterReboot),
            (1641, Meaning::Rebooting),
            (1618, Meaning::RetryLater),
            (-5, Meaning::RetryLater),
            (1603, Meaning::Failed(Cause::Unknown)),
        ] {
            assert_eq!(codes.meaning(code), meaning, "{code}");
        }
        assert_eq!(ExitCodes::of(System::Debian).meaning(3010), Meaning::Failed(Cause::Unknown));
    }
}
