//! What PCs with the same layers have in common: which wish holds, which packages that means, in which order.

use super::catalogue::{Catalogue, Order, Platform};
use super::{Decision, Layer, Problem, Reason, Source, Stopped, Wish};
use crate::package::{Package, PackageId, Version};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What is wanted. Places are those of the catalogue, numbers those of `chosen`.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    /// What is to be there, dependencies first.
    pub(super) chosen: Vec<Chosen>,
    /// The number of a place.
    pub(super) numbers: Vec<Option<usize>>,
    /// What is not to be there, by place.
    pub(super) absent: BTreeMap<usize, Arc<Decision>>,
    /// Places of what people wish and the catalogue cannot give: it stays if it is there.
    pub(super) held: BTreeSet<usize>,
    /// What cannot be planned whatever a PC has.
    pub(super) stopped: Vec<Stopped>,
}

/// A package that is to be there.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) at: usize,
    pub(super) package: Arc<Package>,
    /// Exactly this version.
    pub(super) pinned: bool,
    /// The wish; without, it is here for others.
    pub(super) decision: Option<Arc<Decision>>,
    /// The numbers of those that depend on it.
    pub(super) dependents: Vec<usize>,
    pub(super) dependencies: Vec<Needed>,
    /// Places of what it cannot be beside.
    pub(super) conflicts: Vec<usize>,
    /// Places of what goes before it comes.
    pub(super) replaces: Vec<usize>,
    pub(super) cycle: Option<Problem>,
}

/// A dependency and its place, if the catalogue has it.
#[derive(Debug)]
pub(super) struct Needed {
    pub(super) at: Option<usize>,
    pub(super) package: PackageId,
    pub(super) at_least: Option<Version>,
}

pub(super) fn resolve(catalogue: &Catalogue, platform: &Platform, layers: &[&Layer]) -> Resolved {
    let mut said: BTreeMap<&PackageId, Vec<(&Source, &Wish)>> = BTreeMap::new();
    for layer in layers {
        for (package, wish) in &layer.wishes {
            said.entry(package).or_default().push((&layer.source, wish));
        }
    }
    let mut resolved = Resolved { numbers: vec![None; catalogue.ids().len()], ..Resolved::default() };
    let mut wanted: BTreeMap<usize, Wanted> = BTreeMap::new();
    let mut settled = BTreeSet::new();
    for (id, said) in said {
        settled.extend(catalogue.at(id));
        let outcome = match decide(said) {
            Ok(decision) => choose(catalogue, platform, id, Arc::new(decision)),
            Err(said) => Err((Problem::Contradiction, Reason::Undecided(said))),
        };
        match outcome {
            Ok(Choice::There(at, package)) => {
                wanted.insert(at, package);
            }
            Ok(Choice::Absent(at, decision)) => {
                resolved.absent.insert(at, decision);
            }
            Err((problem, reason)) => {
                resolved.held.extend(catalogue.at(id));
                resolved.stopped.push(Stopped { package: id.clone(), problem, reason });
            }
        }
    }
    pull(catalogue, platform, &settled, &mut wanted);
    arrange(catalogue, platform, wanted, &mut resolved);
    resolved
}

struct Wanted {
    package: Arc<Package>,
    pinned: bool,
    decision: Option<Arc<Decision>>,
}

enum Choice {
    There(usize, Wanted),
    Absent(usize, Arc<Decision>),
}

/// The most specific wish, or the contradiction between those of the most specific rank.
fn decide(mut said: Vec<(&Source, &Wish)>) -> Result<Decision, Vec<(Source, Wish)>> {
    said.sort_by(|a, b| (b.0.rank, &a.0.name, a.1).cmp(&(a.0.rank, &b.0.name, b.1)));
    let rank = said.first().map(|(source, _)| source.rank);
    let (top, over): (Vec<_>, Vec<_>) = said.into_iter().partition(|(source, _)| Some(source.rank) == rank);
    let whole = |(source, wish): (&Source, &Wish)| (source.clone(), wish.clone());
    // A version that one of them names holds for those that name none.
    let any = Wish::Required { version: None };
    let wishes: BTreeSet<&Wish> = top.iter().map(|(_, wish)| *wish).collect();
    let definite: Vec<&Wish> = wishes.iter().copied().filter(|wish| **wish != any).collect();
    let wish = match definite.as_slice() {
        [] => any,
        [Wish::Absent] if wishes.len() > 1 => return Err(top.into_iter().map(whole).collect()),
        [wish] => (*wish).clone(),
        _ => return Err(top.into_iter().map(whole).collect()),
    };
    let by = top.into_iter().map(|(source, _)| source.clone()).collect();
    Ok(Decision { wish, by, over: over.into_iter().map(whole).collect() })
}

fn choose(
    catalogue: &Catalogue,
    platform: &Platform,
    id: &PackageId,
    decision: Arc<Decision>,
) -> Result<Choice, (Problem, Reason)> {
    let stop = |problem| (problem, Reason::Assigned(decision.clone()));
    let at = catalogue.at(id).ok_or_else(|| stop(Problem::Unknown))?;
    let newest = platform.newest.get(at).and_then(Option::as_ref);
    match &decision.wish {
        Wish::Absent => Ok(Choice::Absent(at, decision)),
        Wish::Required { version } => {
            let newest = newest.ok_or_else(|| stop(Problem::Unsuitable))?;
            let package = match version {
                None => newest.clone(),
                Some(version) => exactly(catalogue, platform, at, version)
                    .ok_or_else(|| stop(Problem::NoSuchVersion(version.clone())))?,
            };
            let pinned = version.is_some();
            Ok(Choice::There(at, Wanted { package, pinned, decision: Some(decision) }))
        }
    }
}

/// The package of a place in one version.
pub(super) fn exactly(
    catalogue: &Catalogue,
    platform: &Platform,
    at: usize,
    version: &Version,
) -> Option<Arc<Package>> {
    let suited = |package: &&Arc<Package>| package.suits(platform.system, platform.architecture);
    let mut variants = catalogue.variants(at).iter().filter(suited);
    variants.find(|package| platform.system.compare(&package.version, version).is_eq()).cloned()
}

/// Adds what wanted packages depend on, unless somebody has a wish about it.
fn pull(
    catalogue: &Catalogue,
    platform: &Platform,
    settled: &BTreeSet<usize>,
    wanted: &mut BTreeMap<usize, Wanted>,
) {
    let mut queue: VecDeque<Arc<Package>> = wanted.values().map(|wanted| wanted.package.clone()).collect();
    while let Some(package) = queue.pop_front() {
        for dependency in &package.dependencies {
            let Some(at) = catalogue.at(&dependency.package) else { continue };
            if settled.contains(&at) || wanted.contains_key(&at) {
                continue;
            }
            if let Some(newest) = platform.newest.get(at).and_then(Option::as_ref) {
                queue.push_back(newest.clone());
                wanted.insert(at, Wanted { package: newest.clone(), pinned: false, decision: None });
            }
        }
    }
}

/// Brings what is wanted into its order.
fn arrange(
    catalogue: &Catalogue,
    platform: &Platform,
    wanted: BTreeMap<usize, Wanted>,
    resolved: &mut Resolved,
) {
    let places: Vec<usize> = wanted.keys().copied().collect();
    let mut needed_by = vec![Vec::new(); places.len()];
    for (number, wanted) in wanted.values().enumerate() {
        for dependency in &wanted.package.dependencies {
            let needed = catalogue.at(&dependency.package).and_then(|at| places.binary_search(&at).ok());
            if let Some(list) = needed.and_then(|needed| needed_by.get_mut(needed)) {
                list.push(number);
            }
        }
    }
    let order = Order::of(&needed_by);
    let name = |number: &usize| places.get(*number).and_then(|at| catalogue.ids().get(*at)).cloned();
    let cycle = |number: &usize| {
        let members = order.cycles.get(number)?;
        Some(Problem::Cycle(members.iter().filter_map(name).collect()))
    };
    let mut new_numbers = vec![0; places.len()];
    for (new, old) in order.sorted.iter().enumerate() {
        if let Some(place) = new_numbers.get_mut(*old) {
            *place = new;
        }
    }
    let mut wanted: Vec<Option<(usize, Wanted)>> = wanted.into_iter().map(Some).collect();
    for (new, old) in order.sorted.iter().enumerate() {
        let Some((at, wanted)) = wanted.get_mut(*old).and_then(Option::take) else { continue };
        if let Some(number) = resolved.numbers.get_mut(at) {
            *number = Some(new);
        }
        let dependents = needed_by.get(*old).into_iter().flatten();
        let dependents = dependents.filter_map(|old| new_numbers.get(*old).copied()).collect();
        resolved.chosen.push(chosen(catalogue, platform, at, wanted, dependents, cycle(old)));
    }
}

fn chosen(
    catalogue: &Catalogue,
    platform: &Platform,
    at: usize,
    wanted: Wanted,
    dependents: Vec<usize>,
    cycle: Option<Problem>,
) -> Chosen {
    let Wanted { package, pinned, decision } = wanted;
    let dependencies = package.dependencies.iter().map(|dependency| Needed {
        at: catalogue.at(&dependency.package),
        package: dependency.package.clone(),
        at_least: dependency.at_least.clone(),
    });
    let own = package.conflicts.iter().filter_map(|id| catalogue.at(id));
    let others = platform.disliked_by.get(at).into_iter().flatten().copied();
    let conflicts: BTreeSet<usize> = own.chain(others).collect();
    Chosen {
        at,
        pinned,
        decision,
        dependents,
        dependencies: dependencies.collect(),
        conflicts: conflicts.into_iter().collect(),
        replaces: package.replaces.iter().filter_map(|id| catalogue.at(id)).collect(),
        cycle,
        package,
    }
}
