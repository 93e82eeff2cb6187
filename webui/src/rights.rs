//! Who may do what: the one table of roles and rights, for pages and API alike.
//!
//! | role            | own status | rooms in lessons | devices, rooms, images | people and classes | networks, lessons | history |
//! |-----------------|------------|------------------|------------------------|--------------------|-------------------|---------|
//! | school admin    | yes        | yes              | yes                    | yes                | yes               | yes     |
//! | device officer  | yes        | no               | yes                    | no                 | no                | no      |
//! | head teacher    | yes        | yes              | no                     | no                 | no                | yes     |
//! | teacher         | yes        | yes              | no                     | no                 | no                | no      |
//! | secretary       | yes        | no               | no                     | yes                | no                | no      |
//! | pupil           | yes        | no               | no                     | no                 | no                | no      |

use inventory::Role;
use inventory::gate::RoomControl;

/// What a route asks of the person who calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Right {
    /// To see one's own status: everybody who is signed in.
    Own,
    /// To say what holds in rooms and for classes during lessons.
    Lessons,
    /// To manage devices, rooms, images and jobs.
    Devices,
    /// To manage people and classes.
    People,
    /// To manage networks, rules that always hold, and the lessons.
    School,
    /// To read who changed what.
    History,
}

impl Right {
    /// All rights.
    #[cfg(test)]
    pub(crate) const ALL: [Self; 6] =
        [Self::Own, Self::Lessons, Self::Devices, Self::People, Self::School, Self::History];

    /// Those that a token can be given: all but one's own, since a token is nobody's.
    pub(crate) const GRANTABLE: [Self; 5] =
        [Self::Lessons, Self::Devices, Self::People, Self::School, Self::History];

    /// Its name in the API.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Lessons => "lessons",
            Self::Devices => "devices",
            Self::People => "people",
            Self::School => "school",
            Self::History => "history",
        }
    }
}

/// Whether a role has a right.
pub(crate) fn has(role: Role, right: Right) -> bool {
    match right {
        Right::Own => true,
        Right::Lessons => matches!(role, Role::SchoolAdmin | Role::HeadTeacher | Role::Teacher),
        Right::Devices => matches!(role, Role::SchoolAdmin | Role::DeviceOfficer),
        Right::People => matches!(role, Role::SchoolAdmin | Role::Secretary),
        Right::School => role == Role::SchoolAdmin,
        Right::History => matches!(role, Role::SchoolAdmin | Role::HeadTeacher),
    }
}

/// Whether a person with the right to [`Right::People`] may change or remove somebody with that role.
pub(crate) fn manages(role: Role, other: Role) -> bool {
    match role {
        Role::SchoolAdmin => true,
        Role::Secretary => is_common(other),
        Role::DeviceOfficer | Role::HeadTeacher | Role::Teacher | Role::Pupil => false,
    }
}

/// Roles that everybody starts with. The others are given and taken by admins.
pub(crate) fn is_common(role: Role) -> bool {
    matches!(role, Role::Pupil | Role::Teacher)
}

/// Whether an account with this role opens so much that it should be kept by a second factor.
pub(crate) fn is_powerful(role: Role) -> bool {
    has(role, Right::School) || has(role, Right::People)
}

/// Whether a person with the right to [`Right::Lessons`] may say what holds in a room. `inside` tells whether they are in it.
pub(crate) fn controls(role: Role, control: RoomControl, inside: bool) -> bool {
    match control {
        RoomControl::Nobody => false,
        RoomControl::Inside => inside || role == Role::SchoolAdmin,
        RoomControl::Teachers => true,
        RoomControl::Admins => role == Role::SchoolAdmin,
    }
}

#[cfg(test)]
mod tests {
    use Right::{Devices, History, Lessons, Own, People, School};
    use RoomControl::{Admins, Inside, Nobody, Teachers};

    use super::*;

    /// The table above, once more and written differently: a change has to be made twice.
    #[test]
    fn each_role_has_its_rights_and_no_others() {
        for (role, rights) in [
            (Role::SchoolAdmin, &[Own, Lessons, Devices, People, School, History][..]),
            (Role::DeviceOfficer, &[Own, Devices]),
            (Role::HeadTeacher, &[Own, Lessons, History]),
            (Role::Teacher, &[Own, Lessons]),
            (Role::Secretary, &[Own, People]),
            (Role::Pupil, &[Own]),
        ] {
            for right in Right::ALL {
                assert_eq!(has(role, right), rights.contains(&right), "{role:?} {right:?}");
            }
        }
    }

    #[test]
    fn a_room_obeys_those_whom_it_is_set_to_obey() {
        for (control, teacher_outside, teacher_inside, admin_outside) in [
            (Nobody, false, false, false),
            (Inside, false, true, true),
            (Teachers, true, true, true),
            (Admins, false, false, true),
        ] {
            assert_eq!(controls(Role::Teacher, control, false), teacher_outside, "{control:?}");
            assert_eq!(controls(Role::Teacher, control, true), teacher_inside, "{control:?}");
            assert_eq!(controls(Role::SchoolAdmin, control, false), admin_outside, "{control:?}");
        }
    }

    #[test]
    fn the_secretary_keeps_pupils_and_teachers_and_nobody_else() {
        for other in Role::ALL {
            assert!(manages(Role::SchoolAdmin, other));
            assert_eq!(
                manages(Role::Secretary, other),
                matches!(other, Role::Pupil | Role::Teacher),
                "{other:?}"
            );
            for role in [Role::Teacher, Role::HeadTeacher, Role::DeviceOfficer, Role::Pupil] {
                assert!(!manages(role, other), "{role:?} {other:?}");
            }
        }
    }
}
