//! Which step a PC gets next, and when: the plan says what is to be done, earlier results say what has to wait.

use crate::package::{PackageId, Version};
use crate::plan::{Action, Device, Plan, Planner, Step};
use crate::run::{Delay, Outcome};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What became of a package on a PC the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// In which version.
    pub version: Version,
    /// What was done.
    pub action: Action,
    /// What became of it.
    pub outcome: Outcome,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// What a PC gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'p> {
    /// This.
    Step(&'p Step),
    /// Something, but not before this time, in milliseconds since 1970.
    NotBefore(i64),
    /// Nothing as long as nothing changes.
    Nothing,
}

/// The plan for a PC after what became of earlier steps: what needs a person is left alone, in the version that failed.
pub fn plan(planner: &mut Planner, device: &Device, turns: &BTreeMap<PackageId, Turn>) -> Plan {
    let plan = planner.plan(device);
    let failed = plan.steps.iter().filter(|step| {
        same_step(step, turns).is_some_and(|turn| matches!(turn.outcome, Outcome::NeedsPerson(_)))
    });
    let given_up: Vec<PackageId> = failed.map(|step| step.package.id.clone()).collect();
    if given_up.is_empty() {
        return plan;
    }
    let mut device = device.clone();
    device.given_up.extend(given_up);
    planner.plan(&device)
}

/// What a PC gets now. Of steps that wait for nothing the first.
pub fn next<'p>(plan: &'p Plan, turns: &BTreeMap<PackageId, Turn>, now: i64) -> Next<'p> {
    let mut earliest: Option<i64> = None;
    for step in plan.steps.iter().filter(|step| step.after.is_empty()) {
        let not_before =
            same_step(step, turns).map_or(i64::MIN, |turn| turn.at.saturating_add(pause(&turn.outcome)));
        // A clock that was ahead when the result came must not hold a step back for longer than its pause.
        let ahead = same_step(step, turns).is_some_and(|turn| turn.at > now);
        if not_before <= now || ahead {
            return Next::Step(step);
        }
        earliest = Some(earliest.map_or(not_before, |other| other.min(not_before)));
    }
    earliest.map_or(Next::Nothing, Next::NotBefore)
}

/// What became of this very step.
fn same_step<'t>(step: &Step, turns: &'t BTreeMap<PackageId, Turn>) -> Option<&'t Turn> {
    let removes = |action: &Action| matches!(action, Action::Uninstall { .. });
    turns
        .get(&step.package.id)
        .filter(|turn| turn.version == step.package.version && removes(&turn.action) == removes(&step.action))
}

/// How long a step rests, in milliseconds, before the same one is given again.
fn pause(outcome: &Outcome) -> i64 {
    const MINUTE: i64 = 60_000;
    match outcome {
        Outcome::Waiting { .. } => MINUTE,
        Outcome::RetryLater(Delay::Files) => MINUTE,
        Outcome::RetryLater(_) | Outcome::RestartPending => 5 * MINUTE,
        // It is as it should be and yet in the plan: the PC has not looked since, or two rules contradict each other.
        Outcome::Done { .. } => 10 * MINUTE,
        Outcome::Failed(_) => 60 * MINUTE,
        Outcome::NeedsPerson(_) => i64::MAX,
    }
}

#[cfg(test)]
mod tests;
