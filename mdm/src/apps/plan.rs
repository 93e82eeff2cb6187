//! Which licences to ask for and to give back. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use inventory::UnixMillis;
use inventory::mdm::{AppId, Asset, Install, Licence, LicenceChange, LicenceState};

use super::wire::{Failure, NOT_ENOUGH};

/// An iPad, by its serial number, that should have an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Which app.
    pub app: AppId,
    /// Which iPad.
    pub serial: String,
    /// Whether it has to be there: those go first when there are too few licences.
    pub install: Install,
    /// When the iPad came; whoever came first goes first.
    pub since: UnixMillis,
}

/// What Apple said.
#[derive(Debug, Clone, Default)]
pub struct Held {
    /// The apps with their counts.
    pub assets: HashMap<AppId, Asset>,
    /// Which iPad has a licence of which app.
    pub licences: HashSet<(AppId, String)>,
    /// Whose licences they are.
    pub location: String,
}

/// What follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// To be written down before anything is asked.
    pub changes: Vec<LicenceChange>,
    /// Licences to ask for.
    pub associate: Vec<(AppId, String)>,
    /// Licences to give back.
    pub disassociate: Vec<(AppId, String)>,
}

/// Compares what is wanted and known with what Apple said. Licences that nobody here asked for are left alone: another server or a person may
/// have given them. A licence that is refused, or that turns out to be lacking, waits until its time has come.
#[must_use]
pub fn plan(mut wishes: Vec<Wish>, licences: &[Licence], held: &Held, now: UnixMillis) -> Plan {
    wishes.sort_by(|a, b| (b.install, a.since, &a.serial).cmp(&(a.install, b.since, &b.serial)));
    let known: HashMap<(AppId, &str), &Licence> = licences
        .iter()
        .filter(|licence| licence.location == held.location)
        .map(|licence| ((licence.app, licence.serial.as_str()), licence))
        .collect();
    let mut plan = Plan::default();
    let mut free: HashMap<AppId, u32> =
        held.assets.iter().map(|(app, asset)| (*app, asset.available)).collect();
    for asked in known.values().filter(|licence| licence.state == LicenceState::Asked) {
        free.entry(asked.app).and_modify(|free| *free = free.saturating_sub(1));
    }
    let mut wanted: HashSet<(AppId, &str)> = HashSet::new();
    for wish in &wishes {
        if wanted.insert((wish.app, &wish.serial)) {
            let before = known.get(&(wish.app, wish.serial.as_str())).copied();
            plan.want(wish, before, held, &mut free, now);
        }
    }
    for licence in licences.iter().filter(|licence| !wanted.contains(&(licence.app, &licence.serial))) {
        let key = (licence.app, licence.serial.clone());
        if licence.location != held.location {
            plan.changes.push(LicenceChange::Gone(key.0, key.1));
        } else if licence.event.is_some() || now < licence.not_before && held.licences.contains(&key) {
            // What is under way comes to its end first; what Apple did not take back is given back later.
        } else if held.licences.contains(&key) {
            plan.note(licence.clone(), LicenceState::Returning, None, now);
            plan.disassociate.push(key);
        } else {
            plan.changes.push(LicenceChange::Gone(key.0, key.1));
        }
    }
    plan
}

impl Plan {
    /// Whether Apple has to be asked for anything.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.associate.is_empty() && self.disassociate.is_empty()
    }

    fn want(
        &mut self,
        wish: &Wish,
        before: Option<&Licence>,
        held: &Held,
        free: &mut HashMap<AppId, u32>,
        now: UnixMillis,
    ) {
        let new = || Licence {
            app: wish.app,
            serial: wish.serial.clone(),
            location: held.location.clone(),
            state: LicenceState::Wanted,
            event: None,
            problem: None,
            tries: 0,
            not_before: UnixMillis(0),
            changed_at: UnixMillis(0),
        };
        let licence = before.cloned().unwrap_or_else(new);
        if licence.event.is_some() {
            return;
        }
        let key = (wish.app, wish.serial.clone());
        if held.licences.contains(&key) {
            return self.note(licence, LicenceState::Assigned, None, now);
        }
        let asset = held.assets.get(&wish.app).filter(|asset| asset.total > 0);
        let free = free.get_mut(&wish.app).filter(|free| **free > 0);
        match (asset, free) {
            (Some(asset), _) if !asset.usable => {
                self.note(licence, LicenceState::Refused, Some(NOT_FOR_DEVICES), now);
            }
            _ if now < licence.not_before => {}
            (Some(_), Some(free)) => {
                *free -= 1;
                self.note(licence, LicenceState::Wanted, None, now);
                self.associate.push(key);
            }
            _ => self.note(licence, LicenceState::Lacking, None, now),
        }
    }

    /// A state that is the same is not written again, and keeps its time.
    fn note(&mut self, before: Licence, state: LicenceState, problem: Option<&str>, now: UnixMillis) {
        let is_new = before.changed_at == UnixMillis(0);
        if is_new || before.state != state || before.problem.as_deref() != problem {
            let tries = if state == LicenceState::Assigned { 0 } else { before.tries };
            let problem = problem.map(str::to_owned);
            self.changes.push(LicenceChange::Is(Licence {
                state,
                problem,
                tries,
                changed_at: now,
                ..before
            }));
        }
    }
}

/// Whether Apple has to be asked because of what is known here: something is wanted and not known yet, or known and not wanted, or under way.
#[must_use]
pub fn is_unsettled(wishes: &[Wish], licences: &[Licence], now: UnixMillis) -> bool {
    let wanted: HashSet<(AppId, &str)> = wishes.iter().map(|wish| (wish.app, wish.serial.as_str())).collect();
    let known: HashSet<(AppId, &str)> =
        licences.iter().map(|licence| (licence.app, licence.serial.as_str())).collect();
    let open = |licence: &Licence| match licence.state {
        LicenceState::Wanted | LicenceState::Asked | LicenceState::Returning => true,
        LicenceState::Assigned | LicenceState::Lacking | LicenceState::Refused => {
            !wanted.contains(&(licence.app, licence.serial.as_str()))
        }
    };
    wanted.iter().any(|key| !known.contains(key))
        || licences.iter().any(|licence| now >= licence.not_before && open(licence))
}

/// One request: all these apps for, or from, all these iPads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The apps.
    pub apps: Vec<AppId>,
    /// The serial numbers.
    pub serials: Vec<String>,
}

/// Packs pairs into requests of at most so many apps and serial numbers. Apps that go to the same iPads share a request.
#[must_use]
pub fn batches(pairs: &[(AppId, String)], apps_max: usize, serials_max: usize) -> Vec<Batch> {
    let mut of_app: BTreeMap<AppId, BTreeSet<&str>> = BTreeMap::new();
    for (app, serial) in pairs {
        of_app.entry(*app).or_default().insert(serial);
    }
    let mut same: BTreeMap<BTreeSet<&str>, Vec<AppId>> = BTreeMap::new();
    for (app, serials) in of_app {
        same.entry(serials).or_default().push(app);
    }
    let mut batches = Vec::new();
    for (serials, apps) in same {
        let serials: Vec<String> = serials.into_iter().map(str::to_owned).collect();
        for apps in apps.chunks(apps_max.max(1)) {
            for serials in serials.chunks(serials_max.max(1)) {
                batches.push(Batch { apps: apps.to_vec(), serials: serials.to_vec() });
            }
        }
    }
    batches
}

/// What a failure means for a licence that was asked for: it is lacking, or refused; one that was to be given back is still there. Apple is not
/// asked again for a while; each time for longer, to a day.
#[must_use]
pub fn failed(licence: Licence, failure: &Failure, now: UnixMillis) -> Licence {
    let lacking = failure.number == NOT_ENOUGH;
    let state = match licence.state {
        LicenceState::Returning => LicenceState::Returning,
        _ if lacking => LicenceState::Lacking,
        _ => LicenceState::Refused,
    };
    let pause = FAILED_SECS.saturating_mul(1 << licence.tries.min(8)).min(FAILED_SECS_MAX);
    Licence {
        state,
        problem: (!lacking).then(|| format!("{} ({})", failure.message, failure.number)),
        event: None,
        tries: licence.tries.saturating_add(1),
        not_before: now.plus_secs(pause),
        changed_at: now,
        ..licence
    }
}

impl Failure {
    /// Whether it is about that app on that iPad.
    #[must_use]
    pub fn is_about(&self, app: AppId, serial: &str) -> bool {
        (self.apps.is_empty() || self.apps.contains(&app))
            && (self.serials.is_empty() || self.serials.iter().any(|known| known == serial))
    }
}

/// Why an app that the school has cannot go to iPads.
pub const NOT_FOR_DEVICES: &str = "licences of this app cannot belong to iPads";
const FAILED_SECS: u64 = 900;
const FAILED_SECS_MAX: u64 = 86_400;

#[cfg(test)]
mod tests;
