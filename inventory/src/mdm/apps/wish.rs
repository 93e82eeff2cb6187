//! Which apps an iPad should have. Pure.

use std::collections::BTreeMap;

use super::{AppAssignment, AppId, Install};
use crate::gate::Subject;

/// What of all that is said applies to a device. Where one says that an app has to be there and another that it is offered, it has to be there.
/// A visit to another room changes nothing: licences do not move for a lesson.
#[must_use]
pub fn wishes(assignments: &[AppAssignment], subject: &Subject) -> BTreeMap<AppId, Install> {
    let mut wishes = BTreeMap::new();
    for assignment in assignments.iter().filter(|assignment| assignment.target.includes(subject)) {
        let install = wishes.entry(assignment.app).or_insert(assignment.install);
        *install = assignment.install.max(*install);
    }
    wishes
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::{AppAssignmentId, Audience, DeviceId, GroupId, RoomId, UnixMillis};

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn said(app: i64, target: Audience, install: Install) -> AppAssignment {
        AppAssignment {
            id: AppAssignmentId(id(1)),
            app: AppId(app),
            target,
            install,
            created_by: "test".into(),
            created_at: UnixMillis(0),
        }
    }

    #[test]
    fn an_ipad_gets_what_its_school_room_groups_and_it_itself_get() {
        use Audience::{Device, Group, Room, School};
        use Install::{Offered, Required};
        let subject = Subject {
            device: DeviceId(id(1)),
            room: RoomId(id(2)),
            visit: Some((RoomId(id(9)), UnixMillis(i64::MAX))),
            owner: None,
            groups: vec![GroupId(id(3)), GroupId(id(4))],
            staff: false,
        };
        let all = [
            said(1, School, Offered),
            said(2, Room(RoomId(id(2))), Required),
            said(3, Group(GroupId(id(4))), Required),
            said(4, Device(DeviceId(id(1))), Required),
            said(5, Room(RoomId(id(9))), Required),
            said(6, Group(GroupId(id(9))), Required),
            said(7, Device(DeviceId(id(9))), Required),
            said(2, School, Offered),
            said(1, Group(GroupId(id(3))), Required),
        ];
        let got: Vec<_> = wishes(&all, &subject).into_iter().map(|(app, install)| (app.0, install)).collect();
        assert_eq!(got, [(1, Required), (2, Required), (3, Required), (4, Required)]);
    }
}
