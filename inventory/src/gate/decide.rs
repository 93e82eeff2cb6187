//! The decision: which of all rules holds for a device, until when, and what comes after it.
//!
//! | first to last | what it is                            | between several of a kind                              |
//! |---------------|---------------------------------------|--------------------------------------------------------|
//! | exam          | [`Layer::Exam`]                       | the strictest                                          |
//! | lock          | [`Layer::Lock`]                       | the strictest                                          |
//! | grant         | [`Layer::Grant`]                      | one for the device or its owner, then the latest       |
//! | timetable     | [`Layer::Timetable`]                  | the strictest                                          |
//! | room          | what the room says                    |                                                        |
//! | group         | what the groups say                   | the strictest                                          |
//! | network       | what the network says                 |                                                        |
//!
//! A device of the staff is never hit by what is said of a room or a group.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use serde::Serialize;

use super::{Layer, Rule, Setting, Target};
use crate::{DeviceId, FilterId, GroupId, RoomId, RuleId, UnixMillis, UserId};

/// Whom the rules are asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The device.
    pub device: DeviceId,
    /// Where it belongs.
    pub room: RoomId,
    /// Where it is for a while instead.
    pub visit: Option<(RoomId, UnixMillis)>,
    /// Whose it is.
    pub owner: Option<UserId>,
    /// Its groups and its owner's.
    pub groups: Vec<GroupId>,
    /// Whether it is the staff's, or its owner is.
    pub staff: bool,
}

impl Subject {
    /// The room it is in at that time.
    #[must_use]
    pub fn room_at(&self, at: UnixMillis) -> RoomId {
        self.visit.filter(|(_, ends)| at < *ends).map_or(self.room, |(room, _)| room)
    }

    /// Whether what is said of a target at that time is said of this device.
    #[must_use]
    pub fn is_meant(&self, target: Target, at: UnixMillis) -> bool {
        match target {
            Target::Room(room) => !self.staff && self.room_at(at) == room,
            Target::Group(group) => !self.staff && self.groups.contains(&group),
            Target::Device(device) => self.device == device,
            Target::User(user) => self.owner == Some(user),
        }
    }
}

/// All that is said: rules with a time, rooms, groups.
#[derive(Debug, Clone, Default)]
pub struct Book {
    timed: HashMap<Target, Vec<Rule>>,
    rooms: HashMap<RoomId, Place>,
    groups: HashMap<GroupId, Place>,
}

/// What a room or a group says at ordinary times.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Place {
    /// The level, if it says one.
    pub setting: Option<Setting>,
    /// What "filtered" means there, if it says so.
    pub filter: Option<FilterId>,
}

/// Where a verdict comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A rule with a time.
    Rule(RuleId, Layer),
    /// The room.
    Room(RoomId),
    /// A group.
    Group(GroupId),
    /// Nothing says more than the network the device is in.
    Network,
}

/// What holds for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// What it may do; what its network says when absent.
    pub setting: Option<Setting>,
    /// Why.
    pub cause: Cause,
}

/// A verdict and how long it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// What holds.
    pub verdict: Verdict,
    /// Until when; for ever when absent.
    pub until: Option<UnixMillis>,
}

impl Book {
    /// Sorts what the inventory holds.
    #[must_use]
    pub fn new(rules: Vec<Rule>, rooms: HashMap<RoomId, Place>, groups: HashMap<GroupId, Place>) -> Self {
        let mut timed: HashMap<Target, Vec<Rule>> = HashMap::new();
        for rule in rules {
            timed.entry(rule.target).or_default().push(rule);
        }
        Self { timed, rooms, groups }
    }

    /// What the rules with a time are about that are not the same in both books.
    #[must_use]
    pub fn differing(&self, other: &Self) -> HashSet<Target> {
        let targets = self.timed.keys().chain(other.timed.keys());
        let of = |book: &Self, target: &Target| {
            let mut rules: Vec<Rule> = book.timed.get(target).cloned().unwrap_or_default();
            rules.sort_unstable_by_key(|rule| (rule.id, rule.starts_at));
            rules
        };
        targets.filter(|target| of(self, target) != of(other, target)).copied().collect()
    }

    /// All rules with a time.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.timed.values().flatten()
    }

    /// What a room or group says at ordinary times.
    #[must_use]
    pub fn standing_at(&self, target: Target) -> Option<Setting> {
        match target {
            Target::Room(id) => self.rooms.get(&id)?.setting,
            Target::Group(id) => self.groups.get(&id)?.setting,
            Target::Device(_) | Target::User(_) => None,
        }
    }

    /// The rule with that id.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.rules().find(|rule| rule.id == id)
    }

    /// What holds for a device at a time.
    #[must_use]
    pub fn verdict(&self, subject: &Subject, at: UnixMillis) -> Verdict {
        let mut best: Option<(Rank, &Rule)> = None;
        for rule in self.about(subject).filter(|rule| rule.holds(at)) {
            if !rule.hits(subject, at) {
                continue;
            }
            let rank = rule.rank();
            if best.as_ref().is_none_or(|(least, _)| rank < *least) {
                best = Some((rank, rule));
            }
        }
        match best {
            Some((_, rule)) => {
                Verdict { setting: Some(rule.setting), cause: Cause::Rule(rule.id, rule.layer) }
            }
            None => self.standing(subject, at),
        }
    }

    /// What holds now and what follows it, at most `max` entries; neighbours differ. The last one holds for ever, or until what
    /// did not fit.
    #[must_use]
    pub fn timeline(&self, subject: &Subject, now: UnixMillis, max: usize) -> Vec<Segment> {
        let mut borders: Vec<UnixMillis> = self
            .about(subject)
            .flat_map(|rule| [Some(rule.starts_at), rule.ends_at])
            .chain([subject.visit.map(|(_, ends)| ends)])
            .flatten()
            .filter(|border| *border > now)
            .collect();
        borders.sort_unstable();
        borders.dedup();
        let mut line = vec![Segment { verdict: self.verdict(subject, now), until: None }];
        for border in borders {
            let verdict = self.verdict(subject, border);
            let Some(last) = line.last_mut().filter(|last| last.verdict != verdict) else { continue };
            last.until = Some(border);
            if line.len() == max {
                break;
            }
            line.push(Segment { verdict, until: None });
        }
        line
    }

    /// What "filtered" means for a device, if its groups or its room say so.
    #[must_use]
    pub fn filter(&self, subject: &Subject, at: UnixMillis) -> Option<FilterId> {
        let of_group = |group| self.groups.get(group).and_then(|place| place.filter);
        let of_room = || self.rooms.get(&subject.room_at(at)).and_then(|place| place.filter);
        subject.groups.iter().find_map(of_group).or_else(of_room).filter(|_| !subject.staff)
    }

    /// Rules that may be about a device, at some time.
    fn about<'b>(&'b self, subject: &'b Subject) -> impl Iterator<Item = &'b Rule> {
        let own = [Some(Target::Device(subject.device)), subject.owner.map(Target::User)];
        let rooms = [Some(subject.room), subject.visit.map(|(room, _)| room)];
        let shared = rooms.into_iter().flatten().map(Target::Room);
        let shared = shared.chain(subject.groups.iter().copied().map(Target::Group));
        own.into_iter()
            .flatten()
            .chain(shared.filter(|_| !subject.staff))
            .filter_map(|target| self.timed.get(&target))
            .flatten()
    }

    fn standing(&self, subject: &Subject, at: UnixMillis) -> Verdict {
        let network = Verdict { setting: None, cause: Cause::Network };
        if subject.staff {
            return network;
        }
        let room = subject.room_at(at);
        if let Some(setting) = self.rooms.get(&room).and_then(|place| place.setting) {
            return Verdict { setting: Some(setting), cause: Cause::Room(room) };
        }
        let said = subject.groups.iter().filter_map(|group| Some((*group, self.groups.get(group)?.setting?)));
        said.max_by_key(|(group, setting)| (setting.level, Reverse(*group))).map_or(
            network,
            |(group, setting)| Verdict { setting: Some(setting), cause: Cause::Group(group) },
        )
    }
}

/// Compares rules; the least decides. Ids make it total: two readers never disagree.
type Rank = (Layer, bool, Reverse<UnixMillis>, Reverse<super::Level>, Reverse<UnixMillis>, RuleId);

impl Rule {
    /// Whether it holds at that time.
    #[must_use]
    pub fn holds(&self, at: UnixMillis) -> bool {
        self.starts_at <= at && self.ends_at.is_none_or(|ends| at < ends)
    }

    fn hits(&self, subject: &Subject, at: UnixMillis) -> bool {
        !matches!(self.target, Target::Room(room) if room != subject.room_at(at))
    }

    fn rank(&self) -> Rank {
        let strictest = Reverse(self.setting.level);
        let begun = Reverse(self.created_at);
        match self.layer {
            Layer::Grant => {
                let shared = matches!(self.target, Target::Room(_) | Target::Group(_));
                (self.layer, shared, Reverse(self.starts_at), strictest, begun, self.id)
            }
            layer => (layer, false, Reverse(UnixMillis(0)), strictest, begun, self.id),
        }
    }
}

#[cfg(test)]
mod tests;
