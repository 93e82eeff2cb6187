//! All packages, and what follows from them for one kind of PC.

use crate::package::{Architecture, Found, Package, PackageId, System, Version};
use crate::protocol::Rule;
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What was found on a PC, by package. What is missing counts as absent.
pub type Observed = BTreeMap<PackageId, Found>;

/// Every package that there is: at most 10,000, at most 64 of one identifier.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// Sorted.
    ids: Vec<PackageId>,
    /// For each identifier, as they were given.
    variants: Vec<Vec<Arc<Package>>>,
}

/// The packages do not make a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// More than a planner takes.
    #[error("the catalogue has more than 10,000 packages; remove old versions")]
    TooMany,
    /// More versions than a planner takes.
    #[error("{0} has more than 64 entries; remove old versions")]
    TooManyOf(PackageId),
    /// Two entries are for the same PCs.
    #[error("{id} {version} is twice in the catalogue for the same system and architecture; remove one")]
    Twice {
        /// Which.
        id: PackageId,
        /// In which version.
        version: Version,
    },
}

impl Catalogue {
    /// Makes a catalogue of packages in any order.
    pub fn new(packages: Vec<Package>) -> Result<Self, CatalogueError> {
        if packages.len() > MAX_PACKAGES {
            return Err(CatalogueError::TooMany);
        }
        let mut by_id: BTreeMap<PackageId, Vec<Arc<Package>>> = BTreeMap::new();
        for package in packages {
            let variants = by_id.entry(package.id.clone()).or_default();
            if variants.iter().any(|other| same(other, &package)) {
                return Err(CatalogueError::Twice {
                    id: package.id.clone(),
                    version: package.version.clone(),
                });
            }
            if variants.len() == MAX_VARIANTS {
                return Err(CatalogueError::TooManyOf(package.id.clone()));
            }
            variants.push(Arc::new(package));
        }
        let (ids, variants) = by_id.into_iter().unzip();
        Ok(Self { ids, variants })
    }

    /// The packages that can be on such a PC, by identifier. The agent looks for each of them.
    pub fn suited(&self, system: System, architecture: Architecture) -> impl Iterator<Item = &Arc<Package>> {
        self.variants.iter().flatten().filter(move |package| package.suits(system, architecture))
    }

    /// How a PC of this kind looks for the packages that it could have.
    pub fn rules(&self, system: System, architecture: Architecture) -> Vec<Rule> {
        let rule = |p: &Arc<Package>| Rule {
            package: p.id.clone(),
            version: p.version.clone(),
            detect: p.detect.clone(),
        };
        self.suited(system, architecture).map(rule).collect()
    }

    pub(super) fn ids(&self) -> &[PackageId] {
        &self.ids
    }

    pub(super) fn at(&self, id: &PackageId) -> Option<usize> {
        self.ids.binary_search(id).ok()
    }

    pub(super) fn variants(&self, at: usize) -> &[Arc<Package>] {
        self.variants.get(at).map_or(&[], Vec::as_slice)
    }
}

fn same(a: &Package, b: &Package) -> bool {
    a.system == b.system
        && a.system.compare(&a.version, &b.version) == Ordering::Equal
        && !a.architectures.is_disjoint(&b.architectures)
}

/// What holds for all PCs of one system and architecture, by place in the catalogue.
#[derive(Debug)]
pub(super) struct Platform {
    pub(super) system: System,
    pub(super) architecture: Architecture,
    /// The newest package.
    pub(super) newest: Vec<Option<Arc<Package>>>,
    /// Whose newest package depends on it.
    pub(super) needed_by: Vec<Vec<usize>>,
    /// Whose newest package conflicts with it.
    pub(super) disliked_by: Vec<Vec<usize>>,
    /// Dependencies have a smaller rank than what depends on them, except in cycles.
    pub(super) rank: Vec<usize>,
}

impl Platform {
    pub(super) fn of(catalogue: &Catalogue, system: System, architecture: Architecture) -> Self {
        let newest: Vec<Option<Arc<Package>>> = catalogue
            .variants
            .iter()
            .map(|variants| {
                let suited = variants.iter().filter(|package| package.suits(system, architecture));
                suited.max_by(|a, b| system.compare(&a.version, &b.version)).cloned()
            })
            .collect();
        let reversed = |names: fn(&Package) -> Vec<&PackageId>| {
            let mut lists = vec![Vec::new(); newest.len()];
            for (at, package) in newest.iter().enumerate().filter_map(|(at, p)| Some((at, p.as_ref()?))) {
                for named in names(package).into_iter().filter_map(|id| catalogue.at(id)) {
                    if let Some(list) = lists.get_mut(named) {
                        list.push(at);
                    }
                }
            }
            lists
        };
        let needed_by = reversed(|package| package.dependencies.iter().map(|d| &d.package).collect());
        let disliked_by = reversed(|package| package.conflicts.iter().collect());
        let order = Order::of(&needed_by);
        let mut rank = vec![usize::MAX; newest.len()];
        for (place, at) in order.sorted.iter().enumerate() {
            if let Some(rank) = rank.get_mut(*at) {
                *rank = place;
            }
        }
        Self { system, architecture, newest, needed_by, disliked_by, rank }
    }
}

/// Things sorted so that what others need comes first.
pub(super) struct Order {
    /// All of them. Of several that could be next, the smallest number; those in cycles where what they need besides is done.
    pub(super) sorted: Vec<usize>,
    /// Those that are in a cycle, with all that they are in a cycle with, themselves among them.
    pub(super) cycles: BTreeMap<usize, BTreeSet<usize>>,
}

impl Order {
    /// `needed_by` has for each thing those that need it.
    pub(super) fn of(needed_by: &[Vec<usize>]) -> Self {
        let mut open = vec![0_usize; needed_by.len()];
        for other in needed_by.iter().flatten() {
            if let Some(count) = open.get_mut(*other) {
                *count += 1;
            }
        }
        let ready = open.iter().enumerate().filter(|(_, count)| **count == 0).map(|(at, _)| at).collect();
        let mut sorted = Vec::with_capacity(needed_by.len());
        drain(needed_by, &mut open, ready, &mut sorted);
        let left: Vec<usize> =
            open.iter().enumerate().filter(|(_, count)| **count > 0).map(|(at, _)| at).collect();
        let cycles = cycles(needed_by, &left);
        // As if the cycles were done, so that the others have an order among themselves.
        sorted.extend(cycles.keys());
        let mut ready = BTreeSet::new();
        for other in cycles.keys().filter_map(|member| needed_by.get(*member)).flatten() {
            if let Some(count) = open.get_mut(*other) {
                *count -= 1;
                if *count == 0 && !cycles.contains_key(other) {
                    ready.insert(*other);
                }
            }
        }
        // What is in a cycle must not come a second time.
        for member in cycles.keys() {
            if let Some(count) = open.get_mut(*member) {
                *count = usize::MAX;
            }
        }
        drain(needed_by, &mut open, ready, &mut sorted);
        Self { sorted, cycles }
    }
}

/// Appends what is ready, and what becomes so by that. `open` counts what each still waits for.
fn drain(needed_by: &[Vec<usize>], open: &mut [usize], mut ready: BTreeSet<usize>, sorted: &mut Vec<usize>) {
    while let Some(at) = ready.pop_first() {
        sorted.push(at);
        for other in needed_by.get(at).into_iter().flatten() {
            if let Some(count) = open.get_mut(*other) {
                *count -= 1;
                if *count == 0 {
                    ready.insert(*other);
                }
            }
        }
    }
}

/// Two are in a cycle together if each is reached from the other.
fn cycles(needed_by: &[Vec<usize>], left: &[usize]) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut of: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for at in left {
        if of.contains_key(at) {
            continue;
        }
        let forward = reached(needed_by, *at);
        let members: BTreeSet<usize> =
            forward.iter().copied().filter(|other| reached(needed_by, *other).contains(at)).collect();
        for member in &members {
            of.insert(*member, members.clone());
        }
    }
    of
}

/// What needs it, directly or not. Itself is among them only if it is in a cycle.
fn reached(needed_by: &[Vec<usize>], from: usize) -> BTreeSet<usize> {
    let mut seen = BTreeSet::new();
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        queue.extend(needed_by.get(at).into_iter().flatten().filter(|other| seen.insert(**other)));
    }
    seen
}

const MAX_PACKAGES: usize = 10_000;
const MAX_VARIANTS: usize = 64;
