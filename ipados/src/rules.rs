//! The one set of rules of a device, merged from everybody who has a say.
//!
//! Apple leaves open what two payloads mean that set the same restriction, and devices differ in what they make of it. So a
//! device gets exactly one restrictions payload and at most one of every kind that must not conflict, and the merging is done
//! here, where it can be explained:
//!
//! * The more specific layer wins, in the order of [`Rank`]. Within a layer its own values win over its presets.
//! * Layers of equal rank: the stricter value wins.
//! * Lists of permitted apps intersect and lists of blocked apps unite, whoever is more specific, as Apple combines
//!   `AllowedApps` and `DeniedApps` of app settings. Web filters and passcode rules combine to what satisfies all of them, the
//!   latter by the `combinetype` of `com.apple.configuration.passcode.settings`.
//! * What the device cannot take is left out, and the explanation says so.
//!
//! The result depends on what the layers say and not on their order.

mod parts;
mod presets;
mod provided;

pub use presets::Preset;
pub use provided::{IDENTITY, Provided, SCHOOL_CA, needs_identity, provide};

use crate::catalogue::{Language, Restriction, Setting};
use crate::os::{DeviceFacts, OsVersion};
use crate::profile::{Kind, Part, Payload, Profile, Restrictions};
use crate::values::{Label, PartName, ProfileId, Secret, ValueError};
use jiff::civil::DateTime;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// How specific a layer is, from the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Rank {
    School,
    Room,
    Class,
    Device,
    Lesson,
    Exam,
}

/// What one of those who have a say wants.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// How specific it is.
    pub rank: Rank,
    /// Its name for people, such as `7b` or `Mathematik, 3. Stunde`.
    pub name: Label,
    /// When it ends, in Unix seconds, if that is known. An app lock ends then by itself, even on an iPad that nobody reaches.
    pub until: Option<i64>,
    /// What it wants.
    pub content: Content,
}

/// What rules want, without whom they are about.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Content {
    /// Ready-made rules.
    pub presets: BTreeSet<Preset>,
    /// Restrictions of their own; they win over those of the presets.
    pub restrictions: Restrictions,
    /// Other payloads.
    pub parts: Vec<Part>,
    /// The version of the system that iPads must have.
    pub update: Option<Update>,
}

impl Content {
    /// The same for people: passwords are empty.
    pub fn without_secrets(mut self) -> Self {
        self.parts
            .iter_mut()
            .filter_map(|part| part.payload.secret())
            .for_each(|secret| *secret = Secret::new(String::new()));
        self
    }

    /// Passwords that are empty are what they were in the part of the same name.
    pub fn with_secrets_of(mut self, before: &Self) -> Self {
        let mut before = before.clone();
        for part in &mut self.parts {
            let Some(secret) = part.payload.secret().filter(|secret| secret.expose().is_empty()) else {
                continue;
            };
            let same = before.parts.iter_mut().find(|known| known.name == part.name);
            if let Some(known) = same.and_then(|known| known.payload.secret()) {
                *secret = known.clone();
            }
        }
        self
    }
}

/// A version of the system that iPads must have by a certain time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Update {
    /// The version.
    pub version: OsVersion,
    /// The iPad's local time after which it installs it by force, such as `2026-12-01T18:00:00`.
    pub deadline: DateTime,
}

/// The rules of one device. The parts may hold passwords; for people there is the explanation.
#[derive(Debug, Clone, PartialEq)]
pub struct Merged {
    /// The content of the one restrictions payload.
    pub restrictions: Restrictions,
    /// The other payloads for the device.
    pub parts: Vec<Part>,
    /// The version of the system that it must have.
    pub update: Option<Update>,
    /// When the app lock among the parts ends, in Unix seconds.
    pub lock_ends: Option<i64>,
    /// Payloads that a Shared iPad takes only through the channel of whoever has signed in.
    pub user_parts: Vec<Part>,
    /// Who said what, and what became of it: one entry for everything that anybody said.
    pub explained: Vec<Explained>,
}

/// What became of one thing that was said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// What it is about.
    pub subject: Subject,
    /// Who said something, the most specific first.
    pub said: Vec<Said>,
    /// What the device gets.
    pub outcome: Outcome,
}

/// What an explanation is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A restriction, by its present name.
    Restriction(&'static str),
    /// A payload.
    Part {
        /// Its kind.
        kind: Kind,
        /// Which one of the kind, where there may be several: the network's name or the part's.
        which: Option<String>,
    },
    /// The version of the system.
    Update,
}

/// What one layer said.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// How specific the layer is.
    pub rank: Rank,
    /// Its name.
    pub layer: Label,
    /// The value; payloads have none.
    pub value: Option<Setting>,
}

/// What the device gets of one thing.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It takes effect.
    Applied {
        /// The value of a restriction.
        value: Option<Setting>,
        /// Why it is this one.
        why: Why,
    },
    /// It does not.
    LeftOut(WhyNot),
}

/// Why it is this value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// One layer spoke, or all said the same.
    Agreed,
    /// The first layer is more specific than those that said otherwise.
    MoreSpecific,
    /// Layers of equal rank: the stricter of what they said.
    Stricter,
    /// What all lists have in common.
    Intersection,
    /// As before, and nothing is left: the device would show no app.
    NothingInCommon,
    /// What is in any of the lists.
    Union,
    /// What satisfies all of them.
    Combined,
    /// Layers of equal rank said different things that cannot be compared. One was chosen by its content, so that it is
    /// always the same one; somebody should decide.
    Arbitrary,
}

/// Why the device does not get it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// Its system is older.
    NeedsVersion(OsVersion),
    /// It is not supervised.
    NeedsSupervision,
    /// Shared iPads do not take it.
    NotOnSharedIpad,
    /// It refers to a part that the device does not get.
    MissingPart(PartName),
    /// A more specific part of another kind has the same name.
    NameTaken(PartName),
    /// Enrolment is not a matter of rules.
    Enrolment,
}

/// Merges what all layers say for one device.
pub fn merge(layers: &[Layer], device: DeviceFacts) -> Merged {
    let mut merged = Merged {
        restrictions: Restrictions::new(),
        parts: Vec::new(),
        update: None,
        lock_ends: None,
        user_parts: Vec::new(),
        explained: Vec::new(),
    };
    let mut statements: BTreeMap<&'static str, Vec<Statement<'_>>> = BTreeMap::new();
    for layer in layers {
        for (key, value) in layer.own() {
            statements.entry(key).or_default().push(Statement { layer, value });
        }
    }
    for (key, mut said) in statements {
        said.sort_by_cached_key(Statement::order);
        let outcome = restriction(key, &said, device, &mut merged.restrictions);
        let said = said.into_iter().map(Statement::said).collect();
        merged.explained.push(Explained { subject: Subject::Restriction(key), said, outcome });
    }
    parts::merge(layers, device, &mut merged);
    update(layers, device, &mut merged);
    merged
}

/// The most specific wish for a version; of equal ones the newest, and of those the earliest.
fn update(layers: &[Layer], device: DeviceFacts, merged: &mut Merged) {
    let mut wishes: Vec<(&Layer, &Update)> =
        layers.iter().filter_map(|layer| Some((layer, layer.content.update.as_ref()?))).collect();
    wishes.sort_by_key(|(layer, wish)| {
        (std::cmp::Reverse((layer.rank, wish.version)), wish.deadline, layer.name.clone())
    });
    let Some((first, chosen)) = wishes.first().copied() else { return };
    let outcome = if device.os < UPDATES_SINCE {
        Outcome::LeftOut(WhyNot::NeedsVersion(UPDATES_SINCE))
    } else {
        let why = if wishes.iter().all(|(_, wish)| *wish == chosen) {
            Why::Agreed
        } else if wishes.iter().all(|(layer, wish)| layer.rank < first.rank || *wish == chosen) {
            Why::MoreSpecific
        } else {
            Why::Stricter
        };
        merged.update = Some(chosen.clone());
        Outcome::Applied { value: Some(Setting::Text(chosen.version.to_string())), why }
    };
    let said = |(layer, wish): &(&Layer, &Update)| Said {
        rank: layer.rank,
        layer: layer.name.clone(),
        value: Some(Setting::Text(wish.version.to_string())),
    };
    let said = wishes.iter().map(said).collect();
    merged.explained.push(Explained { subject: Subject::Update, said, outcome });
}

/// `com.apple.configuration.softwareupdate.enforcement.specific`
const UPDATES_SINCE: OsVersion = OsVersion::new(17, 0, 0);

/// What one layer says of one restriction.
struct Statement<'a> {
    layer: &'a Layer,
    value: Setting,
}

impl Statement<'_> {
    /// The most specific first; among equals anything that does not depend on the order of the layers.
    fn order(&self) -> (std::cmp::Reverse<Rank>, Label, String) {
        let value = serde_json::to_string(&self.value).unwrap_or_default();
        (std::cmp::Reverse(self.layer.rank), self.layer.name.clone(), value)
    }

    fn said(self) -> Said {
        Said { rank: self.layer.rank, layer: self.layer.name.clone(), value: Some(self.value) }
    }
}

impl Layer {
    /// The values of this layer under present names: presets combined, then its own.
    fn own(&self) -> BTreeMap<&'static str, Setting> {
        let mut values = BTreeMap::new();
        for preset in &self.content.presets {
            add(&mut values, &preset.restrictions());
        }
        let mut own = BTreeMap::new();
        add(&mut own, &self.content.restrictions);
        for part in &self.content.parts {
            if let Payload::Restrictions(restrictions) = &part.payload {
                add(&mut own, restrictions);
            }
        }
        values.extend(own);
        values
    }
}

/// Adds restrictions; where a key is there already, under either of its names, both count.
fn add(values: &mut BTreeMap<&'static str, Setting>, restrictions: &Restrictions) {
    for (key, value) in restrictions.iter() {
        let key = Restriction::find(key).and_then(Restriction::renamed).map_or(key, |names| names.new);
        let value = match values.remove(key) {
            Some(before) => rule_of(key).both(key, before, value.clone()),
            None => value.clone(),
        };
        values.insert(key, value);
    }
}

/// How the values of a restriction combine.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    MoreSpecific,
    Intersect,
    Unite,
}

fn rule_of(key: &str) -> Rule {
    match key {
        "allowListedAppBundleIDs" => Rule::Intersect,
        "blockedAppBundleIDs" => Rule::Unite,
        _ => Rule::MoreSpecific,
    }
}

impl Rule {
    /// Two values of equal weight.
    fn both(self, key: &str, a: Setting, b: Setting) -> Setting {
        match (self, a, b) {
            (Self::Intersect, Setting::List(a), Setting::List(b)) => Setting::List(&a & &b),
            (Self::Unite, Setting::List(a), Setting::List(b)) => Setting::List(&a | &b),
            (_, a, b) => stricter(key, a, b),
        }
    }
}

/// The value that permits less.
fn stricter(key: &str, a: Setting, b: Setting) -> Setting {
    let permits = key.starts_with("allow") || key.starts_with("safariAllow");
    match (a, b) {
        (Setting::Bool(a), Setting::Bool(b)) => Setting::Bool(if permits { a && b } else { a || b }),
        // A longer delay keeps more away, a lower age rating or fewer cookies let less in.
        (Setting::Int(a), Setting::Int(b)) if key == "enforcedSoftwareUpdateDelay" => Setting::Int(a.max(b)),
        (Setting::Int(a), Setting::Int(b)) => Setting::Int(a.min(b)),
        (Setting::Real(a), Setting::Real(b)) => Setting::Real(a.min(b)),
        (Setting::List(a), Setting::List(b)) => Setting::List(&a & &b),
        (Setting::Text(a), Setting::Text(b)) => Setting::Text(a.min(b)),
        // The catalogue gives every key one type.
        (a, _) => a,
    }
}

/// Decides one restriction and puts it where it belongs. `said` begins with the most specific.
fn restriction(
    key: &'static str,
    said: &[Statement<'_>],
    device: DeviceFacts,
    out: &mut Restrictions,
) -> Outcome {
    let name = match spelling(key, device) {
        Ok(name) => name,
        Err(why_not) => return Outcome::LeftOut(why_not),
    };
    let rule = rule_of(key);
    let highest = said.first().map(|first| first.layer.rank);
    let counted = said.iter().filter(|s| rule != Rule::MoreSpecific || Some(s.layer.rank) == highest);
    let counted: Vec<&Setting> = counted.map(|statement| &statement.value).collect();
    let all_equal = |values: &[&Setting]| values.windows(2).all(|pair| pair.first() == pair.last());
    let agreed = all_equal(&said.iter().map(|s| &s.value).collect::<Vec<_>>());
    let Some(value) = counted.iter().map(|value| (*value).clone()).reduce(|a, b| rule.both(key, a, b)) else {
        return Outcome::LeftOut(WhyNot::NeedsVersion(OsVersion::ANY));
    };
    let why = match (rule, &value) {
        (Rule::Intersect, Setting::List(list)) if list.is_empty() => Why::NothingInCommon,
        _ if agreed => Why::Agreed,
        (Rule::Intersect, _) => Why::Intersection,
        (Rule::Unite, _) => Why::Union,
        (Rule::MoreSpecific, _) if all_equal(&counted) => Why::MoreSpecific,
        (Rule::MoreSpecific, Setting::Text(_)) => Why::Arbitrary,
        (Rule::MoreSpecific, _) => Why::Stricter,
    };
    // The value has passed the catalogue under one of the two names, which have the same type.
    let _ = out.set(name, value.clone());
    Outcome::Applied { value: Some(value), why }
}

/// The name under which the device knows a restriction.
fn spelling(key: &'static str, device: DeviceFacts) -> Result<&'static str, WhyNot> {
    let Some(entry) = Restriction::find(key) else { return Err(WhyNot::NeedsVersion(OsVersion::ANY)) };
    if entry.supervised && !device.supervised {
        return Err(WhyNot::NeedsSupervision);
    }
    if device.shared_ipad && !entry.on_shared_ipad {
        return Err(WhyNot::NotOnSharedIpad);
    }
    if entry.since <= device.os {
        return Ok(key);
    }
    let old = entry.renamed().and_then(|names| Restriction::find(names.old));
    match old.filter(|old| old.since <= device.os) {
        Some(old) => Ok(old.key),
        None => Err(WhyNot::NeedsVersion(old.map_or(entry.since, |old| old.since))),
    }
}

impl Merged {
    /// The device's profiles, one for each purpose, so that a change of one purpose leaves the others alone. Their
    /// identifiers are `base` and a word; a purpose with nothing in it has no profile.
    pub fn profiles(
        &self,
        base: &ProfileId,
        organization: &Label,
        language: Language,
    ) -> Result<Vec<Profile>, ValueError> {
        let mut by_purpose: BTreeMap<Purpose, Vec<Part>> = BTreeMap::new();
        if !self.restrictions.is_empty() {
            let payload = Payload::Restrictions(self.restrictions.clone());
            let part = Part { name: "restrictions".parse()?, title: None, payload };
            by_purpose.insert(Purpose::Rules, vec![part]);
        }
        for part in &self.parts {
            by_purpose.entry(Purpose::of(part.payload.kind())).or_default().push(part.clone());
        }
        by_purpose
            .into_iter()
            .map(|(purpose, parts)| {
                let (word, de, en) = purpose.words();
                Ok(Profile {
                    identifier: format!("{base}.{word}").parse()?,
                    title: match language {
                        Language::De => de.parse()?,
                        Language::En => en.parse()?,
                    },
                    organization: organization.clone(),
                    description: None,
                    locked: true,
                    removed_at: self.lock_ends.filter(|_| purpose == Purpose::Lock),
                    parts,
                })
            })
            .collect()
    }
}

/// What a profile is for. Payloads that refer to each other share one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Purpose {
    Network,
    Rules,
    Screen,
    Lock,
}

impl Purpose {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Wifi | Kind::RootCertificate | Kind::Certificate | Kind::Scep | Kind::Mdm => Self::Network,
            Kind::AirPrint | Kind::Dns | Kind::WebFilter => Self::Network,
            Kind::Restrictions | Kind::Passcode => Self::Rules,
            Kind::HomeScreen | Kind::WebClip | Kind::SharedDevice | Kind::Notifications => Self::Screen,
            Kind::AppLock => Self::Lock,
        }
    }

    /// The last piece of the identifier, and the titles in German and English.
    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Network => ("network", "Netz", "Network"),
            Self::Rules => ("rules", "Regeln", "Rules"),
            Self::Screen => ("screen", "Bildschirm", "Screen"),
            Self::Lock => ("lock", "Prüfung", "Exam"),
        }
    }
}

#[cfg(test)]
mod tests;
