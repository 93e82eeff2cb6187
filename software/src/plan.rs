//! From what people want and what a PC has to what is to be done, with reasons.
//!
//! Wishes come in [`Layer`]s: of the school, a room, a group, a device. The more specific wins; two of one rank that contradict
//! each other stop the package until a person decides. What a wanted package depends on is wanted too, and stays when nobody
//! wants it any more.
//!
//! A [`Problem`] stops the package that has it and what cannot be without it; all others go on. A package that is stopped is
//! left as it is. Packages that were not looked for count as absent: the agent looks again before it installs.
//!
//! | Rule        | Taken from                                                                                              |
//! |-------------|---------------------------------------------------------------------------------------------------------|
//! | dependencies, conflicts, replaces | Debian Policy, sections 7.2, 7.4 and 7.6.2; conflicts hold in both directions         |
//! | order       | dependencies first, of several the one whose identifier sorts first; removals before what needs them gone |
//!
//! PCs with the same layers share one [`Planner`]'s work: only what differs between PCs is computed for each.

mod catalogue;
mod device;
mod resolve;

pub use catalogue::{Catalogue, CatalogueError, Observed};

use crate::package::{Architecture, Label, Package, PackageId, System, Version};
use catalogue::Platform;
use resolve::Resolved;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// How specific a wish is. The later wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rank {
    /// For every PC.
    School,
    /// For the PCs of a room.
    Room,
    /// For the PCs of a group.
    Group,
    /// For one PC.
    Device,
}

/// Who wishes something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// How specific.
    pub rank: Rank,
    /// The name of the room, group or device.
    pub name: Label,
}

/// What is wished for one package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// It is to be there.
    Required {
        /// In exactly this version; else in the newest of the catalogue, or a newer one that is there.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        version: Option<Version>,
    },
    /// It is not to be there.
    Absent,
}

/// All wishes of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// Whose.
    pub source: Source,
    /// For which packages.
    pub wishes: BTreeMap<PackageId, Wish>,
}

/// Which wish holds for a package on a PC.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Decision {
    /// What holds.
    pub wish: Wish,
    /// Who wished it, by the most specific rank that has a say.
    pub by: Vec<Source>,
    /// Who was less specific, and what they wished.
    pub over: Vec<(Source, Wish)>,
}

/// A PC to plan for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// What it runs.
    pub system: System,
    /// What its processor is.
    pub architecture: Architecture,
    /// Whose wishes hold for it, in any order.
    pub layers: Vec<LayerKey>,
    /// What was found on it.
    pub observed: Observed,
    /// What failed too often, until a person says to try again.
    pub given_up: BTreeSet<PackageId>,
}

/// A layer that a planner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LayerKey(u32);

/// What to do on a PC, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Plan {
    /// What is done.
    pub steps: Vec<Step>,
    /// What is not done and why, by identifier.
    pub stopped: Vec<Stopped>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub action: Action,
    /// With which package.
    pub package: Arc<Package>,
    /// Why.
    pub reason: Reason,
    /// Places of earlier steps that must have succeeded.
    pub after: Vec<usize>,
}

/// What is done with a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is not there and will be.
    Install,
    /// It is there in another version.
    Upgrade {
        /// Which, if it can be read.
        from: Option<Version>,
    },
    /// It is there and will not be.
    Uninstall {
        /// In which version, if it can be read.
        installed: Option<Version>,
    },
}

/// Why a package is to be there or not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Somebody wishes it.
    Assigned(Arc<Decision>),
    /// These wanted packages depend on it.
    DependencyOf(Vec<PackageId>),
    /// This package replaces it.
    ReplacedBy(PackageId),
    /// Its old version must go before the new one comes.
    Reinstall,
    /// People of one rank wish different things.
    Undecided(Vec<(Source, Wish)>),
}

/// A package that is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stopped {
    /// Which.
    pub package: PackageId,
    /// What is in the way.
    pub problem: Problem,
    /// Why it was to be changed.
    pub reason: Reason,
}

/// What stops a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Problem {
    /// The catalogue does not have it.
    Unknown,
    /// The catalogue has it, but not for this system and architecture.
    Unsuitable,
    /// The catalogue does not have the version that is wished.
    NoSuchVersion(Version),
    /// The most specific wishes contradict each other; [`Reason::Undecided`] has them.
    Contradiction,
    /// It depends on itself by way of these, by identifier.
    Cycle(Vec<PackageId>),
    /// The catalogue does not have what it depends on, or not for this PC.
    MissingDependency(PackageId),
    /// What it depends on is to be there in an older version.
    DependencyTooOld {
        /// Which.
        dependency: PackageId,
        /// What it needs.
        at_least: Version,
    },
    /// What it depends on is not to be there.
    DependencyForbidden {
        /// Which.
        dependency: PackageId,
        /// By whom.
        by: Vec<Source>,
    },
    /// What it depends on was stopped.
    DependencyStopped(PackageId),
    /// The two cannot be on one PC.
    Conflict {
        /// With which.
        with: PackageId,
        /// Whether the other one is there and stays; else it is wanted as well.
        installed: bool,
    },
    /// A newer version is there than the one wished.
    NewerInstalled(Version),
    /// The package says that a person must upgrade it.
    CannotUpgrade,
    /// The package does not say how it is uninstalled.
    CannotUninstall,
    /// These are there, stay, and depend on it.
    NeededBy(Vec<PackageId>),
    /// It failed too often.
    GaveUp,
}

/// Makes plans for many PCs and shares what they have in common.
#[derive(Debug)]
pub struct Planner {
    catalogue: Arc<Catalogue>,
    layers: Vec<Layer>,
    platforms: HashMap<(System, Architecture), Arc<Platform>>,
    resolved: HashMap<Combination, Arc<Resolved>>,
}

/// PCs with the same of this want the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Combination {
    system: System,
    architecture: Architecture,
    layers: Box<[LayerKey]>,
}

impl Planner {
    /// A planner that knows no layer.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue, layers: Vec::new(), platforms: HashMap::new(), resolved: HashMap::new() }
    }

    /// Makes wishes known. The key is good for this planner only.
    pub fn layer(&mut self, layer: Layer) -> LayerKey {
        let key = LayerKey(u32::try_from(self.layers.len()).unwrap_or(u32::MAX));
        self.layers.push(layer);
        key
    }

    /// What to do on a PC. The same input gives the same plan, byte for byte.
    pub fn plan(&mut self, device: &Device) -> Plan {
        let (platform, resolved) = self.resolve(device.system, device.architecture, &device.layers);
        device::plan(&self.catalogue, &platform, &resolved, device)
    }

    fn resolve(
        &mut self,
        system: System,
        architecture: Architecture,
        layers: &[LayerKey],
    ) -> (Arc<Platform>, Arc<Resolved>) {
        let platform = self
            .platforms
            .entry((system, architecture))
            .or_insert_with(|| Arc::new(Platform::of(&self.catalogue, system, architecture)));
        let mut layers: Box<[LayerKey]> = layers.into();
        layers.sort_unstable();
        let combination = Combination { system, architecture, layers };
        if let Some(resolved) = self.resolved.get(&combination) {
            return (platform.clone(), resolved.clone());
        }
        let known = combination.layers.iter();
        let layers: Vec<&Layer> =
            known.filter_map(|key| self.layers.get(usize::try_from(key.0).ok()?)).collect();
        let resolved = Arc::new(resolve::resolve(&self.catalogue, platform, &layers));
        if self.resolved.len() >= MAX_REMEMBERED {
            self.resolved.clear();
        }
        self.resolved.insert(combination, resolved.clone());
        (platform.clone(), resolved)
    }
}

/// How many combinations of layers a planner remembers.
const MAX_REMEMBERED: usize = 4096;

#[cfg(test)]
pub(crate) mod tests;
