//! What is to be done on one PC.
//!
//! At first everything that is wanted is taken to be possible. Then whatever is not possible with the rest is taken out, until
//! nothing changes. Taking out never makes possible what was impossible, so this ends, and the result does not depend on
//! the order.

use super::catalogue::{Catalogue, Platform};
use super::resolve::{Chosen, Needed, Resolved, exactly};
use super::{Action, Device, Plan, Problem, Reason, Step, Stopped};
use crate::package::{Found, Package, PackageId, Upgrade, Version};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

pub(super) fn plan(catalogue: &Catalogue, platform: &Platform, resolved: &Resolved, device: &Device) -> Plan {
    let mut work = Work {
        catalogue,
        platform,
        resolved,
        device,
        found: align(catalogue.ids(), device),
        states: Vec::new(),
        kept: BTreeMap::new(),
        going: BTreeMap::new(),
    };
    let states: Vec<State> = resolved.chosen.iter().map(|chosen| work.first_state(chosen)).collect();
    work.states = states;
    work.settle();
    if work.exclude() {
        work.settle();
    }
    work.finish()
}

struct Work<'a> {
    catalogue: &'a Catalogue,
    platform: &'a Platform,
    resolved: &'a Resolved,
    device: &'a Device,
    /// By place.
    found: Vec<&'a Found>,
    /// By number.
    states: Vec<State>,
    /// Places of what should go and cannot.
    kept: BTreeMap<usize, (Problem, Reason)>,
    /// Places of what goes.
    going: BTreeMap<usize, Reason>,
}

#[derive(Debug, PartialEq)]
enum State {
    Fine,
    Install,
    Upgrade,
    Reinstall,
    Stopped(Problem),
    /// Whatever depended on it was stopped.
    Dropped,
}

impl State {
    fn alive(&self) -> bool {
        !matches!(self, Self::Stopped(_) | Self::Dropped)
    }
}

/// What was found, by place in the catalogue. Both are sorted.
fn align<'a>(ids: &[PackageId], device: &'a Device) -> Vec<&'a Found> {
    let mut observed = device.observed.iter().peekable();
    let find = |id: &PackageId| {
        while observed.next_if(|(other, _)| *other < id).is_some() {}
        observed.next_if(|(other, _)| *other == id).map_or(&ABSENT, |(_, found)| found)
    };
    ids.iter().map(find).collect()
}

impl<'a> Work<'a> {
    fn found(&self, at: usize) -> &'a Found {
        self.found.get(at).copied().unwrap_or(&ABSENT)
    }

    /// The state of what is wanted at a place.
    fn state(&self, at: usize) -> Option<&State> {
        self.states.get((*self.resolved.numbers.get(at)?)?)
    }

    fn name(&self, at: usize) -> Option<PackageId> {
        self.catalogue.ids().get(at).cloned()
    }

    fn first_state(&self, chosen: &Chosen) -> State {
        let package = &chosen.package;
        let found = self.found(chosen.at);
        if let Some(cycle) = &chosen.cycle {
            return State::Stopped(cycle.clone());
        }
        let state = match found {
            Found::Absent => State::Install,
            Found::Version(version)
                if chosen.pinned && package.system.compare(version, &package.version).is_gt() =>
            {
                return State::Stopped(Problem::NewerInstalled(version.clone()));
            }
            _ if package.satisfied_by(found) => return State::Fine,
            _ => match package.upgrade {
                Upgrade::Never => return State::Stopped(Problem::CannotUpgrade),
                Upgrade::Reinstall => State::Reinstall,
                Upgrade::Install | Upgrade::Command(_) => State::Upgrade,
            },
        };
        let given_up = self.device.given_up.contains(&package.id);
        if given_up { State::Stopped(Problem::GaveUp) } else { state }
    }

    fn settle(&mut self) {
        loop {
            self.going = self.removals();
            let kept = self.keep();
            let stopped = self.stop();
            let dropped = self.drop_unneeded();
            if !(kept || stopped || dropped) {
                return;
            }
        }
    }

    /// What is there and should go.
    fn removals(&self) -> BTreeMap<usize, Reason> {
        let mut going = BTreeMap::new();
        let mut goes = |at: usize, reason: Reason| {
            if self.found(at).present() && !self.kept.contains_key(&at) {
                going.entry(at).or_insert(reason);
            }
        };
        for (at, decision) in &self.resolved.absent {
            goes(*at, Reason::Assigned(decision.clone()));
        }
        for (chosen, state) in self.resolved.chosen.iter().zip(&self.states) {
            let free = |at: &&usize| self.state(**at).is_none() && !self.resolved.held.contains(at);
            for at in chosen.replaces.iter().filter(|at| state.alive() && free(at)) {
                goes(*at, Reason::ReplacedBy(chosen.package.id.clone()));
            }
        }
        going
    }

    /// Takes out of `going` what cannot go.
    fn keep(&mut self) -> bool {
        let stuck: Vec<(usize, Problem)> =
            self.going.keys().filter_map(|at| Some((*at, self.stuck(*at)?))).collect();
        for (at, problem) in &stuck {
            if let Some(reason) = self.going.remove(at) {
                self.kept.insert(*at, (problem.clone(), reason));
            }
        }
        !stuck.is_empty()
    }

    fn stuck(&self, at: usize) -> Option<Problem> {
        if self.uninstaller(at).is_none_or(|package| package.uninstall.is_none()) {
            return Some(Problem::CannotUninstall);
        }
        if self.name(at).is_some_and(|name| self.device.given_up.contains(&name)) {
            return Some(Problem::GaveUp);
        }
        let needing = self.platform.needed_by.get(at).into_iter().flatten();
        let staying =
            needing.filter(|other| self.found(**other).present() && !self.going.contains_key(other));
        let names: Vec<PackageId> = staying.filter_map(|other| self.name(*other)).collect();
        (!names.is_empty()).then_some(Problem::NeededBy(names))
    }

    /// The package that knows best how to remove what is there.
    fn uninstaller(&self, at: usize) -> Option<Arc<Package>> {
        let same = installed(self.found(at))
            .and_then(|version| exactly(self.catalogue, self.platform, at, &version));
        same.or_else(|| self.platform.newest.get(at).cloned().flatten())
    }

    /// Stops what cannot be as the rest stands. Dependencies come first, so one pass reaches those that depend on them.
    fn stop(&mut self) -> bool {
        let mut changed = false;
        for (number, chosen) in self.resolved.chosen.iter().enumerate() {
            if !self.states.get(number).is_some_and(State::alive) {
                continue;
            }
            let lacking = chosen.dependencies.iter().find_map(|needed| self.lacking(needed));
            if let Some(problem) = lacking.or_else(|| self.blocked(chosen))
                && let Some(state) = self.states.get_mut(number)
            {
                *state = State::Stopped(problem);
                changed = true;
            }
        }
        changed
    }

    fn lacking(&self, needed: &Needed) -> Option<Problem> {
        let name = || needed.package.clone();
        let Some(at) = needed.at else { return Some(Problem::MissingDependency(name())) };
        let enough = |version: &Version| {
            needed.at_least.as_ref().is_none_or(|least| self.platform.system.compare(version, least).is_ge())
        };
        let there = match self.found(at) {
            Found::Absent | Found::Differs => false,
            Found::Unversioned => true,
            Found::Version(version) => enough(version),
        };
        if there && !self.going.contains_key(&at) {
            return None;
        }
        let number = self.resolved.numbers.get(at).copied().flatten();
        if let Some((chosen, state)) =
            number.and_then(|number| self.resolved.chosen.get(number).zip(self.states.get(number)))
        {
            return match &needed.at_least {
                Some(at_least) if !enough(&chosen.package.version) => {
                    Some(Problem::DependencyTooOld { dependency: name(), at_least: at_least.clone() })
                }
                _ if state.alive() => None,
                _ => Some(Problem::DependencyStopped(name())),
            };
        }
        if let Some(decision) = self.resolved.absent.get(&at) {
            return Some(Problem::DependencyForbidden { dependency: name(), by: decision.by.clone() });
        }
        let suitable = self.platform.newest.get(at).is_some_and(Option::is_some);
        let problem = if suitable { Problem::DependencyStopped } else { Problem::MissingDependency };
        Some(problem(name()))
    }

    /// What is there, stays, and cannot be beside it.
    fn blocked(&self, chosen: &Chosen) -> Option<Problem> {
        let mut others = chosen.conflicts.iter().chain(&chosen.replaces);
        let other = others.find(|other| {
            let wanted = self.state(**other).is_some_and(State::alive);
            !wanted && self.found(**other).present() && !self.going.contains_key(other)
        })?;
        Some(Problem::Conflict { with: self.name(*other)?, installed: true })
    }

    /// Drops what is here for others when none of them is left. What depends on others comes last, so one backward pass suffices.
    fn drop_unneeded(&mut self) -> bool {
        let mut changed = false;
        for (number, chosen) in self.resolved.chosen.iter().enumerate().rev() {
            let alive = |number: &usize| self.states.get(*number).is_some_and(State::alive);
            let unneeded = chosen.decision.is_none() && !chosen.dependents.iter().any(alive);
            if unneeded
                && alive(&number)
                && let Some(state) = self.states.get_mut(number)
            {
                *state = State::Dropped;
                changed = true;
            }
        }
        changed
    }

    /// Stops both of every two that are wanted and cannot be together.
    fn exclude(&mut self) -> bool {
        let mut stopped: BTreeMap<usize, Problem> = BTreeMap::new();
        for (number, chosen) in self.resolved.chosen.iter().enumerate() {
            for other in chosen.conflicts.iter().chain(&chosen.replaces) {
                let alive = |number: usize| self.states.get(number).is_some_and(State::alive);
                let Some(theirs) = self.resolved.numbers.get(*other).copied().flatten() else { continue };
                if !alive(number) || !alive(theirs) {
                    continue;
                }
                let conflict = |with| Problem::Conflict { with, installed: false };
                stopped.entry(theirs).or_insert_with(|| conflict(chosen.package.id.clone()));
                if let Some(with) = self.name(*other) {
                    stopped.entry(number).or_insert_with(|| conflict(with));
                }
            }
        }
        let any = !stopped.is_empty();
        for (number, problem) in stopped {
            if let Some(state) = self.states.get_mut(number) {
                *state = State::Stopped(problem);
            }
        }
        any
    }

    fn finish(self) -> Plan {
        let mut steps =
            Steps { work: &self, steps: Vec::new(), removed: BTreeMap::new(), done: BTreeMap::new() };
        for at in self.resolved.absent.keys() {
            steps.remove(*at);
        }
        for (chosen, state) in self.resolved.chosen.iter().zip(&self.states) {
            steps.add(chosen, state);
        }
        let steps = steps.steps;
        let mut stopped = self.resolved.stopped.clone();
        for (chosen, state) in self.resolved.chosen.iter().zip(&self.states) {
            if let State::Stopped(problem) = state {
                let (package, problem) = (chosen.package.id.clone(), problem.clone());
                stopped.push(Stopped { package, problem, reason: self.reason(chosen) });
            }
        }
        for (at, (problem, reason)) in &self.kept {
            if let Some(package) = self.name(*at) {
                stopped.push(Stopped { package, problem: problem.clone(), reason: reason.clone() });
            }
        }
        stopped.sort();
        Plan { steps, stopped }
    }

    fn reason(&self, chosen: &Chosen) -> Reason {
        if let Some(decision) = &chosen.decision {
            return Reason::Assigned(decision.clone());
        }
        let dependents = chosen.dependents.iter().filter_map(|number| self.resolved.chosen.get(*number));
        let names: BTreeSet<PackageId> = dependents.map(|chosen| chosen.package.id.clone()).collect();
        Reason::DependencyOf(names.into_iter().collect())
    }
}

/// The steps so far.
struct Steps<'w, 'a> {
    work: &'w Work<'a>,
    steps: Vec<Step>,
    /// The step that removes what was at a place.
    removed: BTreeMap<usize, usize>,
    /// The step that brings what is wanted at a place.
    done: BTreeMap<usize, usize>,
}

impl Steps<'_, '_> {
    /// Removes what is at a place if it goes, after everything that goes and needs it.
    fn remove(&mut self, at: usize) {
        let open =
            |steps: &Self, at: usize| steps.work.going.contains_key(&at) && !steps.removed.contains_key(&at);
        let mut all = BTreeSet::new();
        let mut queue = vec![at];
        while let Some(at) = queue.pop() {
            if open(self, at) && all.insert(at) {
                queue.extend(self.work.platform.needed_by.get(at).into_iter().flatten());
            }
        }
        let mut all: Vec<usize> = all.into_iter().collect();
        all.sort_by_key(|at| (Reverse(self.work.platform.rank.get(*at)), *at));
        for at in all {
            let needing = self.work.platform.needed_by.get(at).into_iter().flatten();
            let after = needing.filter_map(|other| self.removed.get(other).copied()).collect();
            if let Some((package, reason)) = self.work.uninstaller(at).zip(self.work.going.get(&at).cloned())
            {
                self.removed.insert(at, self.steps.len());
                let installed = installed(self.work.found(at));
                self.steps.push(Step { action: Action::Uninstall { installed }, package, reason, after });
            }
        }
    }

    fn add(&mut self, chosen: &Chosen, state: &State) {
        let installed = installed(self.work.found(chosen.at));
        let action = match state {
            State::Install | State::Reinstall => Action::Install,
            State::Upgrade => Action::Upgrade { from: installed.clone() },
            State::Fine | State::Stopped(_) | State::Dropped => {
                if *state == State::Fine {
                    chosen.replaces.iter().for_each(|at| self.remove(*at));
                }
                return;
            }
        };
        chosen.conflicts.iter().chain(&chosen.replaces).for_each(|at| self.remove(*at));
        let mut after: BTreeSet<usize> = BTreeSet::new();
        after.extend(chosen.dependencies.iter().filter_map(|needed| self.done.get(&needed.at?)));
        after.extend(chosen.conflicts.iter().chain(&chosen.replaces).filter_map(|at| self.removed.get(at)));
        if *state == State::Reinstall
            && let Some(old) = self.work.uninstaller(chosen.at)
        {
            let (action, reason) = (Action::Uninstall { installed }, Reason::Reinstall);
            let before = after.iter().copied().collect();
            after.insert(self.steps.len());
            self.steps.push(Step { action, package: old, reason, after: before });
        }
        self.done.insert(chosen.at, self.steps.len());
        let (package, reason) = (chosen.package.clone(), self.work.reason(chosen));
        self.steps.push(Step { action, package, reason, after: after.into_iter().collect() });
    }
}

fn installed(found: &Found) -> Option<Version> {
    match found {
        Found::Version(version) => Some(version.clone()),
        Found::Absent | Found::Differs | Found::Unversioned => None,
    }
}

static ABSENT: Found = Found::Absent;
