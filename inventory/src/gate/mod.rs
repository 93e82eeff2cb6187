//! Who may use the internet, where and until when: levels and rules, the decision between them, and what the kernel was read to
//! enforce.

mod decide;
mod exams;
pub(crate) mod store;
mod timetable;

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{
    Cidr, DeviceId, ExamId, FilterId, GroupId, Hostname, ListId, MacAddr, NetworkId, ParseError, RoomId,
    RuleId, UnixMillis, UserId,
};

pub use decide::{Book, Cause, Place, Segment, Subject, Verdict};
pub use exams::{Exam, NewExam, Sitting};
pub use timetable::{NewSlot, Slot};

/// How much of the internet a device may use. Later levels allow less.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everything.
    On,
    /// Everything but the names that its filter blocks.
    Filtered,
    /// Only the names of an allow list.
    AllowList,
    /// Only what is always reachable.
    Off,
}

impl Level {
    /// All levels, the most generous first.
    pub const ALL: [Self; 4] = [Self::On, Self::Filtered, Self::AllowList, Self::Off];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Filtered => "filtered",
            Self::AllowList => "allow_list",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for Level {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL.into_iter().find(|level| level.text() == text).ok_or(ParseError::new(
            "level",
            text,
            "expected on, filtered, allow_list or off",
        ))
    }
}

/// What a rule or a place says: a level, and which names [`Level::AllowList`] means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Setting {
    /// The level.
    pub level: Level,
    /// The allow list; without one, only what is always reachable.
    pub list: Option<ListId>,
}

impl From<Level> for Setting {
    fn from(level: Level) -> Self {
        Self { level, list: None }
    }
}

/// What a rule is about.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Target {
    /// Devices in a room, without the staff's.
    Room(RoomId),
    /// Devices of a class or group and of its people, without the staff's.
    Group(GroupId),
    /// One device.
    Device(DeviceId),
    /// All devices of a person.
    User(UserId),
}

/// Why a rule with a time exists. An earlier layer decides before a later one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// An exam.
    Exam,
    /// A lock of one device or person.
    Lock,
    /// What a teacher set for a while.
    Grant,
    /// The timetable.
    Timetable,
}

impl Layer {
    /// All layers, the first to decide first.
    pub const ALL: [Self; 4] = [Self::Exam, Self::Lock, Self::Grant, Self::Timetable];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Exam => "exam",
            Self::Lock => "lock",
            Self::Grant => "grant",
            Self::Timetable => "timetable",
        }
    }
}

/// A rule with a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Rule {
    /// Its id.
    pub id: RuleId,
    /// Why it exists.
    pub layer: Layer,
    /// What it is about.
    pub target: Target,
    /// What it says.
    #[serde(flatten)]
    pub setting: Setting,
    /// The exam that it belongs to.
    pub exam: Option<ExamId>,
    /// When it begins.
    pub starts_at: UnixMillis,
    /// When it ends; never by itself when absent.
    pub ends_at: Option<UnixMillis>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: UnixMillis,
}

/// A rule to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRule {
    /// Why.
    pub layer: Layer,
    /// About what.
    pub target: Target,
    /// What it says.
    pub setting: Setting,
    /// When it begins.
    pub starts_at: UnixMillis,
    /// When it ends.
    pub ends_at: Option<UnixMillis>,
}

/// What the gate needs to know of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateDevice {
    /// Its number in the kernel's tables, from 1.
    pub number: u32,
    /// Its name.
    pub name: Hostname,
    /// Whom the rules are asked about.
    pub subject: Subject,
    /// Its cards, with the addresses that are reserved for them.
    pub cards: Vec<(MacAddr, Option<Ipv4Addr>)>,
}

/// Who may say what holds in a room during lessons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoomControl {
    /// Nobody.
    Nobody,
    /// Teachers who are in the room.
    Inside,
    /// All teachers.
    Teachers,
    /// Admins.
    Admins,
}

impl RoomControl {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nobody, Self::Inside, Self::Teachers, Self::Admins];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Nobody => "nobody",
            Self::Inside => "inside",
            Self::Teachers => "teachers",
            Self::Admins => "admins",
        }
    }
}

/// What a room says to the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RoomGate {
    /// What holds there at ordinary times.
    #[serde(flatten)]
    pub place: Place,
    /// Who may say something else.
    pub control: RoomControl,
}

/// Which devices are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// All.
    School,
    /// Those that a rule for the target would be about, the staff's included.
    Target(Target),
    /// iPads under management, also while they enrol.
    Ipads,
}

/// A network that the gate guards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct GatedNetwork {
    /// Its id.
    pub id: NetworkId,
    /// Its addresses.
    pub cidr: Cidr,
    /// What holds where nothing else is said.
    #[serde(flatten)]
    pub setting: Setting,
    /// What "filtered" means here.
    pub filter: Option<FilterId>,
    /// Whether its addresses are hidden behind the server's towards the internet.
    pub nat: bool,
}

/// What the kernel was read to enforce for a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Confirmed {
    /// The level.
    pub level: Level,
    /// When the kernel changes it by itself.
    pub ends_at: Option<UnixMillis>,
    /// When the kernel was read.
    pub at: UnixMillis,
}
