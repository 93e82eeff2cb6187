//! Files as schools have them, and what comes of them. A school is a value here: a plan is carried out on it as the store does it.

mod devices;
mod people;
mod reading;

use std::collections::BTreeMap;

use super::devices::{DeviceRow, read_devices};
use super::people::{PersonRow, read_people};
use super::*;
use crate::{DeviceId, GroupId, Role, RoomId, UnixMillis, UserId};

fn pupils(text: &str) -> File<PersonRow> {
    read_people(text.as_bytes(), Role::Pupil).unwrap()
}

fn list(text: &str) -> File<DeviceRow> {
    read_devices(text.as_bytes()).unwrap()
}

/// What is wrong, as `line/other kind`.
fn wrong(problems: &[Problem]) -> Vec<String> {
    let text = |problem: &Problem| {
        let what = format!("{:?}", problem.what);
        let kind = what.split(['(', ' ']).next().unwrap_or_default().to_owned();
        match problem.other {
            Some(other) => format!("{}/{other} {kind}", problem.line),
            None => format!("{} {kind}", problem.line),
        }
    };
    problems.iter().map(text).collect()
}

/// What is done, as `verdict label: field from>to`.
fn told<W>(plan: &Plan<W>) -> Vec<String> {
    let item = |item: &Item<W>| {
        let change = |change: &Change| format!("{:?} {}>{}", change.field, change.from, change.to);
        let changes: Vec<String> = item.changes.iter().map(change).collect();
        format!("{:?} {}: {}", item.verdict, item.label, changes.join("; "))
            .trim_end_matches([':', ' '])
            .to_owned()
    };
    plan.items.iter().map(item).collect()
}

const ALL: Options = Options { complete: true };
const SOME: Options = Options { complete: false };

/// Carries a plan out on people.
fn carry_people(school: &mut People, plan: &Plan<PersonWish>) {
    for name in &plan.places {
        school.groups.insert(GroupId::random(), name.clone());
    }
    let groups: BTreeMap<String, GroupId> =
        school.groups.iter().map(|(id, name)| (name.clone(), *id)).collect();
    for item in &plan.items {
        let wish = &item.wish;
        let id = wish.id.unwrap_or_else(UserId::random);
        if item.verdict == Verdict::Removed {
            school.people.get_mut(&id).unwrap().deactivated_at = Some(UnixMillis(1));
            continue;
        }
        let before = school.people.get(&id).cloned();
        let mut of = before.as_ref().map(|person| person.groups.clone()).unwrap_or_default();
        of.retain(|group, _| !wish.leave.contains(group));
        of.extend(wish.join.iter().map(|name| (groups[name], true)));
        let person = KnownPerson {
            login: wish.login.clone(),
            first_name: wish.first_name.clone(),
            last_name: wish.last_name.clone(),
            role: wish.role,
            external_id: wish.external_id.clone(),
            imported_as: before.map_or(Some(wish.role), |person| person.imported_as),
            deactivated_at: None,
            groups: of,
        };
        school.people.insert(id, person);
    }
    let mut logins: Vec<&str> = school.people.values().map(|person| person.login.as_str()).collect();
    logins.sort_unstable();
    logins.dedup();
    assert_eq!(logins.len(), school.people.len(), "no two have the same name to sign in with");
}

/// Carries a plan out on devices.
fn carry_devices(school: &mut Fleet, plan: &Plan<DeviceWish>) {
    for name in &plan.places {
        school.rooms.insert(RoomId::random(), name.clone());
    }
    let rooms: BTreeMap<String, RoomId> =
        school.rooms.iter().map(|(id, name)| (name.to_lowercase(), *id)).collect();
    for item in &plan.items {
        let wish = &item.wish;
        let id = wish.id.unwrap_or_else(DeviceId::random);
        if item.verdict == Verdict::Removed {
            school.devices.remove(&id);
            continue;
        }
        let device = KnownDevice {
            name: wish.name.clone(),
            room: rooms[&wish.room.to_lowercase()],
            cards: wish.cards.clone(),
            owner: wish.owner,
            staff: wish.staff,
            approved: school.devices.get(&id).is_some_and(|device| device.approved),
        };
        school.devices.insert(id, device);
    }
    let all: Vec<_> = school.devices.values().flat_map(KnownDevice::uniques).collect();
    let mut unique = all.clone();
    unique.sort_by_key(|unique| format!("{unique:?}"));
    unique.dedup();
    assert_eq!(unique.len(), all.len(), "no two devices have the same name, card or address");
}
