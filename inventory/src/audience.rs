//! Who gets something: an app, a program.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::gate::Subject;
use crate::{DeviceId, GroupId, RoomId};

/// Which devices something is for.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(tag = "kind", content = "id", rename_all = "snake_case")]
pub enum Audience {
    /// All of the school.
    School,
    /// Those that belong to a room.
    Room(RoomId),
    /// Those of a class or group and of its people.
    Group(GroupId),
    /// One.
    Device(DeviceId),
}

impl Audience {
    /// Whether a device is one of them. A visit to another room changes nothing: what is installed does not move for a lesson.
    #[must_use]
    pub fn includes(self, subject: &Subject) -> bool {
        match self {
            Self::School => true,
            Self::Room(room) => subject.room == room,
            Self::Group(group) => subject.groups.contains(&group),
            Self::Device(device) => subject.device == device,
        }
    }

    /// As a table keeps it: `device_id`, `room_id`, `group_id`.
    pub(crate) fn columns(self) -> (Option<Uuid>, Option<Uuid>, Option<Uuid>) {
        match self {
            Self::School => (None, None, None),
            Self::Device(id) => (Some(id.0), None, None),
            Self::Room(id) => (None, Some(id.0), None),
            Self::Group(id) => (None, None, Some(id.0)),
        }
    }

    pub(crate) fn of_columns(device: Option<Uuid>, room: Option<Uuid>, group: Option<Uuid>) -> Self {
        match (device, room, group) {
            (Some(id), _, _) => Self::Device(DeviceId(id)),
            (_, Some(id), _) => Self::Room(RoomId(id)),
            (_, _, Some(id)) => Self::Group(GroupId(id)),
            (None, None, None) => Self::School,
        }
    }
}
