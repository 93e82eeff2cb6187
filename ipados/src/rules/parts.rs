//! Merging the payloads other than restrictions.

use super::{Explained, Layer, Merged, Outcome, Said, Subject, Why, WhyNot};
use crate::os::DeviceFacts;
use crate::profile::{Kind, OnSharedIpad, Part, Passcode, Payload, WebFilter};
use crate::values::{PartName, Within};
use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

/// What one layer says about one place.
struct Statement<'a> {
    layer: &'a Layer,
    part: Part,
    /// The payload as text, by which equal ones are known and others have an order.
    text: String,
}

/// A winner that may still fail for a name or a reference.
struct Candidate<'a> {
    subject: Subject,
    said: Vec<Statement<'a>>,
    part: Part,
    why: Why,
}

/// Merges the parts of all layers into `merged`.
pub(super) fn merge(layers: &[Layer], device: DeviceFacts, merged: &mut Merged) {
    let mut places: BTreeMap<Subject, Vec<Statement<'_>>> = BTreeMap::new();
    for layer in layers {
        let presets = layer.content.presets.iter().flat_map(super::Preset::parts);
        for part in of_layer(presets, &layer.content.parts) {
            let text = serde_json::to_string(&part).unwrap_or_default();
            places.entry(place(&part)).or_default().push(Statement { layer, part, text });
        }
    }
    let mut candidates = Vec::new();
    for (subject, mut said) in places {
        said.sort_by(|a, b| {
            (Reverse(a.layer.rank), &a.layer.name, &a.text).cmp(&(
                Reverse(b.layer.rank),
                &b.layer.name,
                &b.text,
            ))
        });
        let Subject::Part { kind, .. } = &subject else { continue };
        if let Some(why_not) = unsuitable(*kind, device) {
            explain(merged, subject, said, Outcome::LeftOut(why_not));
        } else if let Some((part, why)) = choose(&said) {
            candidates.push(Candidate { subject, said, part, why });
        }
    }
    // The most specific take their names first.
    candidates.sort_by(|a, b| {
        let rank = |candidate: &Candidate<'_>| Reverse(candidate.said.first().map(|first| first.layer.rank));
        (rank(a), &a.subject).cmp(&(rank(b), &b.subject))
    });
    settle(candidates, device, merged);
}

/// A layer's own parts win over those of its presets in the same place.
fn of_layer(presets: impl Iterator<Item = Part>, own: &[Part]) -> Vec<Part> {
    let own = own.iter().filter(|part| part.payload.kind() != Kind::Restrictions);
    let taken: BTreeSet<Subject> = own.clone().map(place).collect();
    presets.filter(|part| !taken.contains(&place(part))).chain(own.cloned()).collect()
}

/// Two parts in the same place cannot both be.
fn place(part: &Part) -> Subject {
    let kind = part.payload.kind();
    let which = match &part.payload {
        _ if kind.single() => None,
        Payload::Wifi(wifi) => Some(wifi.ssid.to_string()),
        _ => Some(part.name.to_string()),
    };
    Subject::Part { kind, which }
}

fn unsuitable(kind: Kind, device: DeviceFacts) -> Option<WhyNot> {
    if kind == Kind::Mdm {
        Some(WhyNot::Enrolment)
    } else if kind.since() > device.os {
        Some(WhyNot::NeedsVersion(kind.since()))
    } else if kind.supervised() && !device.supervised {
        Some(WhyNot::NeedsSupervision)
    } else if device.shared_ipad && kind.on_shared_ipad() == OnSharedIpad::Never {
        Some(WhyNot::NotOnSharedIpad)
    } else {
        None
    }
}

/// The part for a place. `said` begins with the most specific; of equal ones with the one that comes first as text.
fn choose(said: &[Statement<'_>]) -> Option<(Part, Why)> {
    let first = said.first()?;
    if said.iter().all(|statement| statement.part.payload == first.part.payload) {
        return Some((first.part.clone(), Why::Agreed));
    }
    let payloads = said.iter().map(|statement| &statement.part.payload);
    if let Some(payload) = payloads.map(|payload| Some(payload.clone())).reduce(both).flatten() {
        return Some((Part { payload, ..first.part.clone() }, Why::Combined));
    }
    let mut highest = said.iter().filter(|statement| statement.layer.rank == first.layer.rank);
    let alone = highest.all(|statement| statement.part.payload == first.part.payload);
    let chosen = said
        .iter()
        .filter(|statement| statement.layer.rank == first.layer.rank)
        .min_by(|a, b| a.text.cmp(&b.text))?;
    Some((chosen.part.clone(), if alone { Why::MoreSpecific } else { Why::Arbitrary }))
}

/// Two payloads of a kind that can be combined. The order does not matter.
fn both(a: Option<Payload>, b: Option<Payload>) -> Option<Payload> {
    match (a?, b?) {
        (Payload::WebFilter(a), Payload::WebFilter(b)) => Some(Payload::WebFilter(filters(&a, &b))),
        (Payload::Passcode(a), Payload::Passcode(b)) => Some(Payload::Passcode(passcodes(&a, &b))),
        _ => None,
    }
}

/// A filter that lets through what both let through.
fn filters(a: &WebFilter, b: &WebFilter) -> WebFilter {
    let only = match (&a.only, &b.only) {
        (Some(a), Some(b)) => {
            // Where the titles differ, the choice must not depend on the order of the two.
            let common =
                a.iter().filter_map(|(url, title)| Some((url.clone(), title.min(b.get(url)?).clone())));
            Some(common.collect())
        }
        (Some(one), None) | (None, Some(one)) => Some(one.clone()),
        (None, None) => None,
    };
    // The exceptions of a filter without the automatic judgement mean nothing.
    let permitted = match (a.automatic, b.automatic) {
        (true, true) => &a.permitted & &b.permitted,
        (true, false) => a.permitted.clone(),
        _ => b.permitted.clone(),
    };
    WebFilter {
        automatic: a.automatic || b.automatic,
        permitted: if a.automatic || b.automatic { permitted } else { BTreeSet::new() },
        denied: &a.denied | &b.denied,
        only,
    }
}

/// Passcode rules that satisfy both, by the `combinetype` of `com.apple.configuration.passcode.settings`. A limit of zero
/// means none, except for the grace period. Apple takes the shorter memory for old passcodes; the longer one satisfies both.
fn passcodes(a: &Passcode, b: &Passcode) -> Passcode {
    Passcode {
        required: a.required || b.required,
        allow_simple: a.allow_simple && b.allow_simple,
        require_alphanumeric: a.require_alphanumeric || b.require_alphanumeric,
        min_length: a.min_length.max(b.min_length),
        lock_after_minutes: limit(a.lock_after_minutes, b.lock_after_minutes),
        grace_minutes: [a.grace_minutes, b.grace_minutes].into_iter().flatten().min(),
        erase_after_attempts: limit(a.erase_after_attempts, b.erase_after_attempts),
        max_age_days: limit(a.max_age_days, b.max_age_days),
        history: a.history.max(b.history),
    }
}

fn limit<const MIN: u16, const MAX: u16>(
    a: Option<Within<MIN, MAX>>,
    b: Option<Within<MIN, MAX>>,
) -> Option<Within<MIN, MAX>> {
    let some = |limit: &Within<MIN, MAX>| u16::from(*limit) != 0;
    [a, b].into_iter().flatten().filter(some).min().or(a.max(b))
}

/// Gives names to the candidates, and leaves out those whose name is taken or that refer to what is not there.
fn settle(candidates: Vec<Candidate<'_>>, device: DeviceFacts, merged: &mut Merged) {
    let mut named: BTreeMap<PartName, Candidate<'_>> = BTreeMap::new();
    for candidate in candidates {
        match named.entry(candidate.part.name.clone()) {
            Entry::Vacant(free) => {
                free.insert(candidate);
            }
            Entry::Occupied(taken) => {
                let outcome = Outcome::LeftOut(WhyNot::NameTaken(taken.key().clone()));
                explain(merged, candidate.subject, candidate.said, outcome);
            }
        }
    }
    // Nothing that is referred to refers to a third, so one pass suffices.
    let names: BTreeSet<PartName> = named.keys().cloned().collect();
    for candidate in named.into_values() {
        let missing =
            candidate.part.payload.references().into_iter().find(|name| !names.contains(*name)).cloned();
        let outcome = match missing {
            Some(name) => Outcome::LeftOut(WhyNot::MissingPart(name)),
            None => Outcome::Applied { value: None, why: candidate.why },
        };
        if matches!(outcome, Outcome::Applied { .. }) {
            let of_user =
                device.shared_ipad && candidate.part.payload.kind().on_shared_ipad() == OnSharedIpad::User;
            if candidate.part.payload.kind() == Kind::AppLock {
                merged.lock_ends = candidate.said.first().and_then(|chosen| chosen.layer.until);
            }
            let list = if of_user { &mut merged.user_parts } else { &mut merged.parts };
            list.push(candidate.part);
        }
        explain(merged, candidate.subject, candidate.said, outcome);
    }
    merged.explained.sort_by(|a, b| a.subject.cmp(&b.subject));
}

fn explain(merged: &mut Merged, subject: Subject, said: Vec<Statement<'_>>, outcome: Outcome) {
    let said = said
        .into_iter()
        .map(|statement| Said {
            rank: statement.layer.rank,
            layer: statement.layer.name.clone(),
            value: None,
        })
        .collect();
    merged.explained.push(Explained { subject, said, outcome });
}
