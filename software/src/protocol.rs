//! The messages between the agent of an installed system and the server: JSON over HTTPS, both sides authenticated by TLS, as all of
//! an agent's. The agent looks and carries out one step at a time; the server plans anew after each.

use crate::package::{
    Architecture, Detect, Facts, FilePath, Found, Guid, Package, PackageId, System, Version,
};
use crate::plan::{Action, Observed};
use crate::run::Outcome;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// `POST {SOFTWARE}?wait_secs=N` with a [`Status`]; answered with a [`Reply`] as soon as there is something to do, or after that time.
pub const SOFTWARE: &str = "/v1/software";
/// `GET {FILES}/{hash}`: a file of a package that the PC was told to install. The hash as [`crate::package::FileHash`] writes it.
/// `Range: bytes=N-` continues.
pub const FILES: &str = "/v1/software/files";
/// Largest [`Status`] in bytes.
pub const STATUS_BYTES_MAX: usize = 4 << 20;
/// Largest [`Reply`] in bytes: rules for ten thousand packages.
pub const REPLY_BYTES_MAX: usize = 16 << 20;
/// Most results of one [`Status`].
pub const RESULTS_MAX: usize = 64;

/// How a PC is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// What it runs.
    pub system: System,
    /// What its processor and system are.
    pub architecture: Architecture,
    /// [`Rules::digest`] of the rules that `observed` was found by; nothing before the first were fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<String>,
    /// What is there, by these rules. What is missing is absent.
    #[serde(default)]
    pub observed: Observed,
    /// What became of steps since the last answer of the server, oldest first, at most [`RESULTS_MAX`]. An answer means that they are kept.
    #[serde(default)]
    pub results: Vec<StepResult>,
    /// Somebody is signed in.
    #[serde(default)]
    pub signed_in: bool,
    /// It is about to be restarted: no step is given before.
    #[serde(default)]
    pub restarting: bool,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepResult {
    /// With which package.
    pub package: PackageId,
    /// In which version.
    pub version: Version,
    /// What was to be done with it.
    pub action: Action,
    /// What became of it.
    pub outcome: Outcome,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// Look by these rules, then ask again at once.
    Look(Rules),
    /// Carry this out, look, and ask again.
    Step(Order),
    /// Restart, if nobody is signed in. Said once; an agent that has come up again must not be told twice.
    Restart,
    /// The same for switching off.
    SwitchOff,
    /// Nothing; ask again.
    Idle,
}

/// One step for this PC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// What.
    pub action: Action,
    /// With which package.
    pub package: Arc<Package>,
    /// Changes when a person says that the step is to be tried again: earlier attempts do not count then.
    pub round: u64,
}

/// How a PC looks for the packages that it could have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Says whether two sets are the same. The server makes it; it means nothing else.
    pub digest: String,
    /// The rules, sorted by package.
    pub rules: Vec<Rule>,
}

/// How one version of a package is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which package.
    pub package: PackageId,
    /// Which version.
    pub version: Version,
    /// How.
    pub detect: Detect,
}

/// Facts that rules ask for. Debian packages and the list of installed programs are read whole, if at all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Questions {
    /// Whether the list of Debian packages is needed.
    pub debs: bool,
    /// Whether the list of installed programs is needed.
    pub programs: bool,
    /// Upgrade codes whose products are needed.
    pub related: BTreeSet<Guid>,
    /// Files that are to be looked at.
    pub files: BTreeMap<FilePath, FileQuestions>,
}

/// What is to be read of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileQuestions {
    /// The version that it carries.
    pub version: bool,
    /// Its BLAKE3.
    pub blake3: bool,
    /// Its SHA-256.
    pub sha256: bool,
}

impl Rules {
    /// What facts say about every package. Of several versions the one that says most counts.
    pub fn observe(&self, system: System, facts: &Facts) -> Observed {
        let mut observed = Observed::new();
        for rule in &self.rules {
            let found = rule.detect.find(&rule.version, facts);
            let known = observed.entry(rule.package.clone()).or_default();
            if better(system, &found, known) {
                *known = found;
            }
        }
        observed.retain(|_, found| found.present());
        observed
    }

    /// What is to be looked at.
    pub fn questions(&self) -> Questions {
        questions(self.rules.iter().map(|rule| &rule.detect))
    }
}

/// What is to be looked at for these rules.
pub fn questions<'r>(rules: impl IntoIterator<Item = &'r Detect>) -> Questions {
    let mut all = Questions::default();
    for rule in rules {
        match rule {
            Detect::Msi { upgrade, .. } => {
                all.programs = true;
                all.related.extend(upgrade.clone());
            }
            Detect::UninstallKey(_) | Detect::UninstallName(_) => all.programs = true,
            Detect::FileVersion(path) => all.files.entry(path.clone()).or_default().version = true,
            Detect::FileHash { path, hash } => {
                let file = all.files.entry(path.clone()).or_default();
                match hash {
                    crate::package::FileHash::Blake3(_) => file.blake3 = true,
                    crate::package::FileHash::Sha256(_) => file.sha256 = true,
                }
            }
            Detect::Dpkg(_) => all.debs = true,
        }
    }
    all
}

/// Whether `new` says more than `known`.
fn better(system: System, new: &Found, known: &Found) -> bool {
    match (new, known) {
        (Found::Version(new), Found::Version(known)) => system.compare(new, known).is_gt(),
        _ => new > known,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::package::tests::parts;

    #[test]
    fn a_step_with_exit_codes_of_its_own_arrives_as_it_was_sent() {
        let package: Package = parts("a", "1").try_into().unwrap();
        assert!(package.exit_codes.listed().count() > 0);
        let order = Order { action: Action::Install, package: Arc::new(package), round: 1 };
        let look = Rules { digest: "x".into(), rules: Vec::new() };
        for reply in [Reply::Step(order), Reply::Look(look), Reply::Idle] {
            let json = serde_json::to_vec(&reply).unwrap();
            assert_eq!(serde_json::from_slice::<Reply>(&json).unwrap(), reply);
        }
    }
}
