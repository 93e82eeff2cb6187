//! How the queue treats commands.

use std::time::Duration;

/// How the queue treats a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How long after the order it may still be sent. `None` waits for ever: the device was stolen, or is to be erased,
    /// and whoever ordered that has to take it back.
    pub time_to_live: Option<Duration>,
    /// What is sent first.
    pub priority: Priority,
    /// Whether it may be sent again when the result got lost after the device took it.
    pub repeatable: bool,
    /// It destroys data, opens a device or shows where somebody is: a role, a reason and a second look are needed.
    pub needs_reason: bool,
    /// Only supervised devices obey.
    pub supervised: bool,
    /// Only a Shared iPad obeys.
    pub shared_ipad_only: bool,
    /// On which channels it may be sent.
    pub channels: Channels,
}

/// What is sent first. Later variants go first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody waits for it.
    Background,
    /// The state that the school wants.
    Normal,
    /// Somebody stands in front of a class, or looks for a device.
    Urgent,
}

/// The channels on which devices take a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channels {
    /// Only for the whole device.
    Device,
    /// Only for one user of a Shared iPad.
    User,
    /// Either.
    Both,
}

/// Questions. The next round asks again, so an answer to an old one is worth nothing.
pub(super) const QUERY: Policy = Policy {
    time_to_live: Some(Duration::from_secs(12 * HOUR)),
    priority: Priority::Background,
    repeatable: true,
    needs_reason: false,
    supervised: false,
    shared_ipad_only: false,
    channels: Channels::Device,
};

/// The state that the school wants. Devices lie in a drawer over the summer; what is still wanted then is ordered again.
pub(super) const CONFIGURATION: Policy =
    Policy { time_to_live: Some(Duration::from_secs(30 * DAY)), priority: Priority::Normal, ..QUERY };

/// Apps. Background, because downloads of a whole class must not hold up its restrictions.
pub(super) const APPLICATION: Policy = Policy { priority: Priority::Background, ..CONFIGURATION };

/// Orders for the lesson that is under way. Ten minutes later they would hit the wrong one, and a repetition somebody who
/// went on working.
pub(super) const LESSON: Policy = Policy {
    time_to_live: Some(Duration::from_secs(10 * MINUTE)),
    priority: Priority::Urgent,
    repeatable: false,
    ..QUERY
};

/// Orders that somebody gives for one device on purpose.
pub(super) const ORDER: Policy = Policy {
    time_to_live: Some(Duration::from_secs(DAY)),
    priority: Priority::Urgent,
    repeatable: false,
    ..QUERY
};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
