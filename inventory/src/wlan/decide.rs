//! The decision who joins the WLAN: the first rule that fits, and why.
//!
//! What was proved (a password, a certificate, a key) is the business of whoever asks. Here it is known who somebody is.

use serde::{Deserialize, Serialize};

use crate::gate::Target;
use crate::{DeviceId, GroupId, ParseError, Role, UnixMillis, UserId};

use super::StationOwner;

/// How the WLAN is meant to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What the network is called: 1 to 32 bytes (IEEE 802.11).
    pub ssid: String,
    /// Whether people may also join with a password made for the WLAN (PEAP-MSCHAPv2), for devices that can do nothing better.
    pub peap: bool,
    /// Who may join; the first rule that fits decides, and whom none fits is turned away.
    pub rules: Vec<Rule>,
}

impl Default for Settings {
    /// Everybody of the school may join, pupils with two devices, in the network that the access point chooses.
    fn default() -> Self {
        let join = |who, devices_max| Rule {
            who,
            then: Then::Join { vlan: None },
            hours: None,
            until: None,
            devices_max,
        };
        Self {
            ssid: "Schule".into(),
            peap: false,
            rules: vec![
                join(Who::Ipads, None),
                join(Who::Pcs, None),
                join(Who::Appliances, None),
                join(Who::Guests, None),
                join(Who::Role(Role::Pupil), Some(2)),
                join(Who::Everyone, Some(5)),
            ],
        }
    }
}

/// What holds for some of those who ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For whom.
    pub who: Who,
    /// What.
    pub then: Then,
    /// At which time of day they may join; at any when absent. At other times they are turned away.
    #[serde(default)]
    pub hours: Option<Hours>,
    /// Until when the rule holds; for ever when absent.
    #[serde(default)]
    pub until: Option<UnixMillis>,
    /// With how many devices of their own a person may join, 1 to 99; with any number when absent.
    #[serde(default)]
    pub devices_max: Option<u8>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Whoever asks.
    Everyone,
    /// People with this role.
    Role(Role),
    /// Members of a class or group: people, and devices that belong to it.
    Group(GroupId),
    /// One person.
    User(UserId),
    /// One device of the school.
    Device(DeviceId),
    /// Who sits an exam at the moment.
    Exam,
    /// iPads that this server manages, with their certificate.
    Ipads,
    /// PCs that this server manages, with their certificate.
    Pcs,
    /// Printers, boards and whatever else joins with a key of its own.
    Appliances,
    /// Who has a voucher.
    Guests,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// They are turned away.
    Refuse,
    /// They join.
    Join {
        /// The network they get into (RFC 3580 section 3.31); the access point chooses when absent.
        vlan: Option<Vlan>,
    },
}

/// A time of day, in minutes since midnight by the school's clock. It may pass midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// First minute, 0 to 1439.
    pub from_minute: u16,
    /// First minute after it, 0 to 1439.
    pub until_minute: u16,
}

impl Hours {
    /// How many minutes are left at that minute of a day; `None` outside.
    #[must_use]
    pub fn minutes_left(self, minute: u16) -> Option<u16> {
        let since = |start: u16, end: u16| (end + DAY_MINUTES - start) % DAY_MINUTES;
        let length = since(self.from_minute, self.until_minute);
        let passed = since(self.from_minute, minute);
        (passed < length).then(|| length - passed)
    }
}

/// The number of a virtual LAN: 1 to 4094 (IEEE 802.1Q section 9.6).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(try_from = "u16", into = "u16")]
pub struct Vlan(#[schemars(range(min = 1, max = 4094))] u16);

impl Vlan {
    /// Its number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Vlan {
    type Error = ParseError;

    fn try_from(number: u16) -> Result<Self, ParseError> {
        if (1..=4094).contains(&number) {
            Ok(Self(number))
        } else {
            Err(ParseError::new("VLAN", &number.to_string(), "expected 1 to 4094"))
        }
    }
}

impl From<Vlan> for u16 {
    fn from(vlan: Vlan) -> Self {
        vlan.0
    }
}

/// Somebody who wants to join, and proved who that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joiner {
    /// Under whose name devices are counted.
    pub owner: StationOwner,
    /// What they are called.
    pub name: String,
    /// What they are.
    pub kind: Kind,
    /// Their classes and groups.
    pub groups: Vec<GroupId>,
    /// Whether somebody took their account away.
    pub deactivated: bool,
}

/// What somebody who wants to join is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A person with an account.
    Person(Role),
    /// An iPad that this server manages.
    Ipad,
    /// A PC that this server manages.
    Pc,
    /// A device with a key of its own.
    Appliance,
    /// Somebody with a voucher.
    Guest {
        /// When it ends.
        ends_at: UnixMillis,
        /// How many devices it is for.
        devices_max: u8,
    },
}

/// What counts beside who somebody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub at: UnixMillis,
    /// The same as minutes since midnight by the school's clock.
    pub minute: u16,
    /// How many other devices the same person or voucher joined with lately.
    pub other_devices: u32,
    /// Who sits an exam, and until when.
    pub exams: Vec<(Target, UnixMillis)>,
}

/// The decision, and the rule that it is by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Outcome {
    /// Which of the rules, counted from 0; none when no rule was asked.
    pub rule: Option<usize>,
    /// What follows.
    pub verdict: Verdict,
}

/// Whether somebody joins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Yes.
    Join {
        /// The network they get into.
        vlan: Option<Vlan>,
        /// Until when, if there is an end.
        until: Option<UnixMillis>,
    },
    /// No.
    Refuse(Refusal),
}

/// Why somebody is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// There is no such account, certificate, device key or voucher.
    Unknown,
    /// The password is wrong.
    WrongPassword,
    /// Too many wrong passwords in a short time.
    TooManyTries,
    /// The account is deactivated.
    Deactivated,
    /// The certificate was revoked: the device is no longer managed.
    Revoked,
    /// The certificate or voucher is over.
    Ended,
    /// This way of joining is switched off.
    MethodOff,
    /// A rule says so.
    ByRule,
    /// Not at this time of day.
    OutOfHours(Hours),
    /// They joined with as many devices as they may.
    TooManyDevices {
        /// How many.
        max: u8,
    },
    /// No rule is about them.
    NoRule,
    /// Device and server came to no agreement: the device does not trust this server, or showed a certificate that is not the school's.
    NotAgreed,
}

/// Decides about somebody who proved who they are.
#[must_use]
pub fn decide(settings: &Settings, joiner: &Joiner, moment: &Moment) -> Outcome {
    let refuse = |refusal| Outcome { rule: None, verdict: Verdict::Refuse(refusal) };
    if joiner.deactivated {
        return refuse(Refusal::Deactivated);
    }
    let mut ends = Vec::new();
    if let Kind::Guest { ends_at, devices_max } = joiner.kind {
        if ends_at <= moment.at {
            return refuse(Refusal::Ended);
        }
        if moment.other_devices >= u32::from(devices_max) {
            return refuse(Refusal::TooManyDevices { max: devices_max });
        }
        ends.push(ends_at);
    }
    let exam = joiner.exam_ends(moment);
    let fits = |rule: &&Rule| {
        let holds = rule.until.is_none_or(|until| moment.at < until);
        holds && joiner.is_meant(rule.who, exam.is_some())
    };
    let Some((index, rule)) = settings.rules.iter().enumerate().find(|(_, rule)| fits(rule)) else {
        return refuse(Refusal::NoRule);
    };
    ends.extend(rule.until);
    if rule.who == Who::Exam {
        ends.extend(exam);
    }
    Outcome { rule: Some(index), verdict: rule.verdict(joiner, moment, ends) }
}

impl Rule {
    fn verdict(&self, joiner: &Joiner, moment: &Moment, mut ends: Vec<UnixMillis>) -> Verdict {
        let Then::Join { vlan } = self.then else { return Verdict::Refuse(Refusal::ByRule) };
        if let Some(hours) = self.hours {
            let Some(left) = hours.minutes_left(moment.minute) else {
                return Verdict::Refuse(Refusal::OutOfHours(hours));
            };
            ends.push(moment.at.plus_secs(u64::from(left) * 60));
        }
        let counted = matches!(joiner.kind, Kind::Person(_));
        match self.devices_max.filter(|max| counted && moment.other_devices >= u32::from(*max)) {
            Some(max) => Verdict::Refuse(Refusal::TooManyDevices { max }),
            None => Verdict::Join { vlan, until: ends.into_iter().min() },
        }
    }
}

impl Joiner {
    fn is_meant(&self, who: Who, in_exam: bool) -> bool {
        match who {
            Who::Everyone => true,
            Who::Role(role) => self.kind == Kind::Person(role),
            Who::Group(group) => self.groups.contains(&group),
            Who::User(user) => self.owner == StationOwner::User(user),
            Who::Device(device) => self.owner == StationOwner::Device(device),
            Who::Exam => in_exam,
            Who::Ipads => self.kind == Kind::Ipad,
            Who::Pcs => self.kind == Kind::Pc,
            Who::Appliances => self.kind == Kind::Appliance,
            Who::Guests => matches!(self.kind, Kind::Guest { .. }),
        }
    }

    /// When the last of the exams ends that they sit. The staff sits none, and a room's exam is about the devices of that room.
    fn exam_ends(&self, moment: &Moment) -> Option<UnixMillis> {
        if matches!(self.kind, Kind::Person(role) if role.is_staff()) {
            return None;
        }
        let sits = |target: Target| match target {
            Target::Group(group) => self.groups.contains(&group),
            Target::User(user) => self.owner == StationOwner::User(user),
            Target::Device(device) => self.owner == StationOwner::Device(device),
            Target::Room(_) => false,
        };
        let running = moment.exams.iter().filter(|(target, ends)| sits(*target) && moment.at < *ends);
        running.map(|(_, ends)| *ends).max()
    }
}

const DAY_MINUTES: u16 = 24 * 60;

#[cfg(test)]
mod tests {
    use super::*;

    fn pupil() -> Joiner {
        Joiner {
            owner: StationOwner::User(UserId::random()),
            name: "lea".into(),
            kind: Kind::Person(Role::Pupil),
            groups: Vec::new(),
            deactivated: false,
        }
    }

    fn rule(who: Who, then: Then) -> Rule {
        Rule { who, then, hours: None, until: None, devices_max: None }
    }

    fn vlan(number: u16) -> Then {
        Then::Join { vlan: Some(Vlan::try_from(number).unwrap()) }
    }

    fn with(rules: Vec<Rule>) -> Settings {
        Settings { rules, ..Settings::default() }
    }

    fn at(millis: i64) -> Moment {
        Moment { at: UnixMillis(millis), minute: 8 * 60, ..Moment::default() }
    }

    fn joined(outcome: Outcome) -> (Option<u16>, Option<i64>) {
        match outcome.verdict {
            Verdict::Join { vlan, until } => (vlan.map(Vlan::number), until.map(|until| until.0)),
            Verdict::Refuse(why) => panic!("turned away: {why:?}"),
        }
    }

    fn refused(outcome: Outcome) -> Refusal {
        match outcome.verdict {
            Verdict::Refuse(why) => why,
            Verdict::Join { .. } => panic!("joined"),
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides_and_nobody_joins_without_one() {
        let class = GroupId::random();
        let rules = with(vec![rule(Who::Group(class), vlan(7)), rule(Who::Role(Role::Pupil), vlan(20))]);
        let other = decide(&rules, &pupil(), &at(0));
        assert_eq!((joined(other), other.rule), ((Some(20), None), Some(1)));
        let member = Joiner { groups: vec![class], ..pupil() };
        assert_eq!(joined(decide(&rules, &member, &at(0))).0, Some(7));
        let teacher = Joiner { kind: Kind::Person(Role::Teacher), ..pupil() };
        assert_eq!(refused(decide(&rules, &teacher, &at(0))), Refusal::NoRule);
        let gone = Joiner { deactivated: true, ..member };
        assert_eq!(refused(decide(&rules, &gone, &at(0))), Refusal::Deactivated);
    }

    #[test]
    fn a_rule_that_is_over_is_passed_over_and_one_that_ends_ends_the_session() {
        let off = Rule { until: Some(UnixMillis(1000)), ..rule(Who::Role(Role::Pupil), Then::Refuse) };
        let rules = with(vec![off, Rule { until: Some(UnixMillis(9000)), ..rule(Who::Everyone, vlan(20)) }]);
        assert_eq!(refused(decide(&rules, &pupil(), &at(999))), Refusal::ByRule);
        assert_eq!(joined(decide(&rules, &pupil(), &at(1000))), (Some(20), Some(9000)));
        assert_eq!(refused(decide(&rules, &pupil(), &at(9000))), Refusal::NoRule);
    }

    #[test]
    fn hours_may_pass_midnight_and_end_the_session() {
        let hours = |from_minute, until_minute| Hours { from_minute, until_minute };
        let day = hours(7 * 60, 17 * 60);
        assert_eq!(day.minutes_left(7 * 60), Some(600));
        assert_eq!(day.minutes_left(17 * 60 - 1), Some(1));
        assert_eq!((day.minutes_left(17 * 60), day.minutes_left(6 * 60)), (None, None));
        let night = hours(22 * 60, 6 * 60);
        assert_eq!((night.minutes_left(23 * 60), night.minutes_left(0)), (Some(420), Some(360)));
        assert_eq!(night.minutes_left(12 * 60), None);

        let rules = with(vec![Rule { hours: Some(day), ..rule(Who::Everyone, vlan(20)) }]);
        assert_eq!(joined(decide(&rules, &pupil(), &at(0))).1, Some(9 * 3_600_000));
        let late = Moment { minute: 20 * 60, ..at(0) };
        assert_eq!(refused(decide(&rules, &pupil(), &late)), Refusal::OutOfHours(day));
    }

    #[test]
    fn a_person_joins_with_so_many_devices_and_a_device_of_the_school_always() {
        let rules = with(vec![Rule { devices_max: Some(2), ..rule(Who::Everyone, vlan(20)) }]);
        let with = |other_devices| Moment { other_devices, ..at(0) };
        joined(decide(&rules, &pupil(), &with(1)));
        assert_eq!(refused(decide(&rules, &pupil(), &with(2))), Refusal::TooManyDevices { max: 2 });
        joined(decide(&rules, &Joiner { kind: Kind::Ipad, ..pupil() }, &with(2)));
    }

    #[test]
    fn an_exam_is_about_those_who_sit_it_and_not_about_the_staff() {
        let class = GroupId::random();
        let rules = with(vec![rule(Who::Exam, Then::Refuse), rule(Who::Everyone, vlan(20))]);
        let moment = Moment { exams: vec![(Target::Group(class), UnixMillis(5000))], ..at(0) };
        let member = Joiner { groups: vec![class], ..pupil() };
        assert_eq!(refused(decide(&rules, &member, &moment)), Refusal::ByRule);
        joined(decide(&rules, &pupil(), &moment));
        joined(decide(&rules, &member, &Moment { at: UnixMillis(5000), ..moment.clone() }));
        joined(decide(&rules, &Joiner { kind: Kind::Person(Role::Teacher), ..member }, &moment));
    }

    #[test]
    fn a_guest_joins_until_the_voucher_ends_with_as_many_devices_as_it_is_for() {
        let guest =
            |ends: i64| Joiner { kind: Kind::Guest { ends_at: UnixMillis(ends), devices_max: 1 }, ..pupil() };
        let rules = Settings::default();
        assert_eq!(joined(decide(&rules, &guest(10), &at(0))), (None, Some(10)));
        assert_eq!(refused(decide(&rules, &guest(10), &at(10))), Refusal::Ended);
        let second = Moment { other_devices: 1, ..at(0) };
        assert_eq!(refused(decide(&rules, &guest(10), &second)), Refusal::TooManyDevices { max: 1 });
    }

    #[test]
    fn what_is_stored_is_read_back_and_a_vlan_has_twelve_bits() {
        let rules = with(vec![Rule {
            hours: Some(Hours { from_minute: 420, until_minute: 1020 }),
            until: Some(UnixMillis(5)),
            devices_max: Some(3),
            ..rule(Who::Group(GroupId::random()), vlan(4094))
        }]);
        let text = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Settings>(&text).unwrap(), rules);
        for bad in ["0", "4095", "70000", "\"7\""] {
            assert!(serde_json::from_str::<Vlan>(bad).is_err(), "{bad}");
        }
    }
}
