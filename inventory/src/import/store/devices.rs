//! Devices: what is there, taking a plan over, taking it back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Applied, Entry, ROWS_PER_STATEMENT, Step, Undone, enter, mark_undone};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::devices::kind_text;
use crate::import::{DeviceWish, Fleet, Item, Kind, KnownDevice, Plan, Verdict};
use crate::{
    Answer, By, DeviceId, Error, ImportId, Interface, InterfaceKind, Inventory, Network, Result, RoomId,
    UserId,
};

type DeviceStep = Step<DeviceId, KnownDevice>;
type DeviceRow = (Uuid, String, Uuid, Option<Uuid>, bool, bool);
type CardRow = (String, Uuid, String, Option<String>);
type RestRow = (Option<String>, String, String, String, Option<Uuid>, String, Option<i64>, i64);

/// What is needed to take an import of devices back.
#[derive(Serialize, Deserialize)]
pub(super) struct Undo {
    steps: Vec<DeviceStep>,
    /// Rooms that were added.
    rooms: Vec<RoomId>,
    /// Of devices that were removed, what no file says of them.
    rest: HashMap<DeviceId, Rest>,
}

/// What no file says of a device: its key, and what was seen of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Rest {
    key: Option<String>,
    hardware: String,
    serial: String,
    smbios_uuid: String,
    desired_image: Option<Uuid>,
    observed: String,
    last_seen: Option<i64>,
    created_at: i64,
    groups: Vec<Uuid>,
}

/// Reads devices and rooms with whatever executes statements. People and networks are compared with a file and not changed by it, so
/// the plan need not be made again when they change.
macro_rules! read_devices {
    ($db:expr) => {{
        let devices: Vec<DeviceRow> = sqlx::query_as(
            "SELECT id, name, room_id, owner_id, staff, key_fingerprint IS NOT NULL FROM devices",
        )
        .fetch_all($db)
        .await
        .map_err(Error::db("list devices"))?;
        let cards: Vec<CardRow> =
            sqlx::query_as("SELECT mac, device_id, kind, reserved_ip FROM interfaces ORDER BY mac")
                .fetch_all($db)
                .await
                .map_err(Error::db("list interfaces"))?;
        let rooms: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, name FROM rooms")
            .fetch_all($db)
            .await
            .map_err(Error::db("list rooms"))?;
        fleet_of(devices, cards, rooms)
    }};
}

/// Goes the steps. Names, cards and addresses that devices swap are given back by all before one of them is taken.
macro_rules! walk_devices {
    ($tx:expr, $by:expr, $steps:expr, $rest:expr) => {{
        let (steps, rest): (&[DeviceStep], &HashMap<DeviceId, Rest>) = ($steps, $rest);
        let none = Rest { hardware: "{}".into(), observed: "{}".into(), created_at: $by.at.0, ..Rest::default() };
        for step in steps {
            let Some(before) = &step.before else { continue };
            let Some(after) = &step.after else {
                sqlx::query("DELETE FROM devices WHERE id = $1").bind(step.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("delete a device"))?;
                continue;
            };
            if before.name != after.name {
                sqlx::query("UPDATE devices SET name = $1 WHERE id = $2").bind(step.id.to_string()).bind(step.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("rename a device"))?;
            }
            if before.cards != after.cards {
                sqlx::query("DELETE FROM interfaces WHERE device_id = $1").bind(step.id.0)
                    .execute(&mut *$tx).await.map_err(Error::db("change network cards"))?;
            }
        }
        let fresh: Vec<(DeviceId, &KnownDevice)> =
            steps.iter().filter(|step| step.before.is_none()).filter_map(|step| Some((step.id, step.after.as_ref()?))).collect();
        for part in fresh.chunks(ROWS_PER_STATEMENT) {
            let mut sql = sqlx::QueryBuilder::new(
                "INSERT INTO devices (id, name, room_id, owner_id, staff, key_fingerprint, hardware, serial, smbios_uuid, observed, last_seen, created_at) ");
            sql.push_values(part, |mut row, (id, device)| {
                let rest = rest.get(id).unwrap_or(&none);
                row.push_bind(id.0).push_bind(device.name.to_string()).push_bind(device.room.0)
                    .push_bind(device.owner.map(|owner| owner.0)).push_bind(device.staff).push_bind(rest.key.clone())
                    .push_bind(rest.hardware.clone()).push_bind(rest.serial.clone()).push_bind(rest.smbios_uuid.clone())
                    .push_bind(rest.observed.clone()).push_bind(rest.last_seen).push_bind(rest.created_at);
            });
            sql.build().execute(&mut *$tx).await.map_err(taken("add devices"))?;
            let mut sql = sqlx::QueryBuilder::new("INSERT INTO device_numbers (device_id) ");
            sql.push_values(part, |mut row, (id, _)| { row.push_bind(id.0); });
            sql.build().execute(&mut *$tx).await.map_err(Error::db("number devices"))?;
        }
        for step in steps {
            let (Some(before), Some(after)) = (&step.before, &step.after) else { continue };
            let inside = |device: &KnownDevice| (device.name.clone(), device.room, device.owner, device.staff);
            if inside(before) != inside(after) {
                sqlx::query("UPDATE devices SET name = $1, room_id = $2, owner_id = $3, staff = $4 WHERE id = $5")
                    .bind(after.name.to_string()).bind(after.room.0).bind(after.owner.map(|owner| owner.0))
                    .bind(after.staff).bind(step.id.0)
                    .execute(&mut *$tx).await.map_err(taken("change a device"))?;
            }
        }
        let cards: Vec<(DeviceId, Interface)> = steps.iter().flat_map(cards).collect();
        for part in cards.chunks(ROWS_PER_STATEMENT) {
            let mut sql = sqlx::QueryBuilder::new("INSERT INTO interfaces (mac, device_id, kind, reserved_ip) ");
            sql.push_values(part, |mut row, (id, card)| {
                row.push_bind(card.mac.to_string()).push_bind(id.0).push_bind(kind_text(card.kind))
                    .push_bind(card.reserved_ip.map(|ip| ip.to_string()));
            });
            sql.build().execute(&mut *$tx).await.map_err(taken("add network cards"))?;
        }
    }};
}

impl Inventory {
    /// What a file about devices is compared with.
    ///
    /// # Errors
    /// The database failed.
    pub fn fleet_for_import(&self) -> Answer<'_, Fleet> {
        Box::pin(async move {
            let (people, _) = self.users().await?;
            let (networks, _): (Vec<Network>, _) = self.networks().await?;
            let fleet: Fleet = on_pool!(self, pool => Ok::<_, Error>(read_devices!(pool)))?;
            let active = people.into_iter().filter(|person| person.deactivated_at.is_none());
            let people =
                active.map(|p| (p.id, p.name, format!("{} {}", p.first_name, p.last_name))).collect();
            Ok(Fleet { people, networks, ..fleet })
        })
    }

    /// Carries a plan out, if the devices are still those it was made for.
    ///
    /// # Errors
    /// The database failed; then nothing was changed.
    pub fn apply_devices<'a>(
        &'a self,
        by: By<'a>,
        (id, file_name): (ImportId, &'a str),
        school: &'a Fleet,
        plan: &'a Plan<DeviceWish>,
    ) -> Answer<'a, Applied> {
        Box::pin(async move {
            let added: BTreeMap<RoomId, String> =
                plan.places.iter().map(|name| (RoomId::random(), name.clone())).collect();
            let steps = steps_of(plan, school, &added);
            in_transaction!(self, "take devices over from a file", tx => {
                let there = read_devices!(&mut *tx);
                if there.devices != school.devices || there.rooms != school.rooms {
                    return Ok(Applied::Outdated);
                }
                let mut rest = HashMap::new();
                for step in steps.iter().filter(|step| step.after.is_none()) {
                    let row: RestRow = sqlx::query_as(
                        "SELECT key_fingerprint, hardware, serial, smbios_uuid, desired_image, observed, last_seen, created_at
                         FROM devices WHERE id = $1")
                        .bind(step.id.0).fetch_one(&mut *tx).await.map_err(Error::db("read a device"))?;
                    let groups: Vec<Uuid> = sqlx::query_scalar("SELECT group_id FROM device_groups WHERE device_id = $1")
                        .bind(step.id.0).fetch_all(&mut *tx).await.map_err(Error::db("list a device's groups"))?;
                    rest.insert(step.id, rest_of(row, groups));
                }
                for (room, name) in &added {
                    sqlx::query("INSERT INTO rooms (id, name, created_at) VALUES ($1, $2, $3)")
                        .bind(room.0).bind(name.clone()).bind(by.at.0)
                        .execute(&mut *tx).await.map_err(taken("add a room"))?;
                }
                walk_devices!(tx, by, &steps, &HashMap::new());
                let undo = Undo { steps: steps.clone(), rooms: added.keys().copied().collect(), rest };
                let undo = serde_json::to_string(&undo).unwrap_or_default();
                enter!(tx, by, Entry { id, kind: Kind::Devices, file_name, counts: plan.counts(), undo });
                record!(tx, by, "device", id, "imported")?;
                Ok(Applied::Done)
            })
        })
    }

    /// Takes an import of devices back.
    pub(super) async fn undo_devices(&self, by: By<'_>, id: ImportId, undo: Undo) -> Result<Undone> {
        in_transaction!(self, "take an import of devices back", tx => {
            mark_undone!(tx, by, id);
            let school = read_devices!(&mut *tx);
            let people: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM users")
                .fetch_all(&mut *tx).await.map_err(Error::db("list users"))?;
            let people: HashSet<UserId> = people.into_iter().map(UserId).collect();
            let (steps, left) = untouched(&undo.steps, &school, &people);
            walk_devices!(tx, by, &steps, &undo.rest);
            for (device, rest) in steps.iter().filter_map(|step| Some((step.id, undo.rest.get(&step.id)?))) {
                sqlx::query("UPDATE devices SET desired_image = (SELECT id FROM images WHERE id = $1) WHERE id = $2")
                    .bind(rest.desired_image).bind(device.0)
                    .execute(&mut *tx).await.map_err(Error::db("restore a device's image"))?;
                for group in &rest.groups {
                    sqlx::query("INSERT INTO device_groups (device_id, group_id) SELECT $1, id FROM school_groups WHERE id = $2")
                        .bind(device.0).bind(*group)
                        .execute(&mut *tx).await.map_err(Error::db("restore a device's groups"))?;
                }
                // Whoever came back to the waiting list meanwhile is known again.
                sqlx::query("DELETE FROM waiting WHERE key_fingerprint = $1").bind(rest.key.clone())
                    .execute(&mut *tx).await.map_err(Error::db("clear the waiting list"))?;
            }
            for room in &undo.rooms {
                sqlx::query(
                    "DELETE FROM rooms WHERE id = $1 AND level IS NULL AND list_id IS NULL AND filter_id IS NULL
                     AND NOT EXISTS (SELECT 1 FROM devices d WHERE d.room_id = rooms.id)")
                    .bind(room.0).execute(&mut *tx).await.map_err(Error::db("remove a room"))?;
            }
            record!(tx, by, "device", id, "import undone")?;
            Ok(Undone { restored: steps.len(), left })
        })
    }
}

/// A device was added between reading and writing that has the same name, card or address.
fn taken(op: &'static str) -> impl Fn(sqlx::Error) -> Error {
    Error::unique(op, || "somebody changed devices or rooms at the same moment; try again".into())
}

/// What is in the tables. A row that makes no sense is nothing that a file can mean.
fn fleet_of(devices: Vec<DeviceRow>, cards: Vec<CardRow>, rooms: Vec<(Uuid, String)>) -> Fleet {
    let device = |(id, name, room, owner, staff, approved): DeviceRow| {
        let (room, owner, cards) = (RoomId(room), owner.map(UserId), Vec::new());
        Some((DeviceId(id), KnownDevice { name: name.parse().ok()?, room, cards, owner, staff, approved }))
    };
    let mut devices: BTreeMap<DeviceId, KnownDevice> = devices.into_iter().filter_map(device).collect();
    for (mac, device, kind, ip) in cards {
        let kind =
            if kind == kind_text(InterfaceKind::Wlan) { InterfaceKind::Wlan } else { InterfaceKind::Lan };
        let reserved_ip: Option<Ipv4Addr> = ip.and_then(|ip| ip.parse().ok());
        if let (Some(device), Ok(mac)) = (devices.get_mut(&DeviceId(device)), mac.parse()) {
            device.cards.push(Interface { mac, kind, reserved_ip });
        }
    }
    let rooms = rooms.into_iter().map(|(id, name)| (RoomId(id), name)).collect();
    Fleet { devices, rooms, people: Vec::new(), networks: Vec::new() }
}

fn rest_of(row: RestRow, groups: Vec<Uuid>) -> Rest {
    let (key, hardware, serial, smbios_uuid, desired_image, observed, last_seen, created_at) = row;
    Rest { key, hardware, serial, smbios_uuid, desired_image, observed, last_seen, created_at, groups }
}

fn steps_of(plan: &Plan<DeviceWish>, school: &Fleet, added: &BTreeMap<RoomId, String>) -> Vec<DeviceStep> {
    let rooms: HashMap<&str, RoomId> =
        school.rooms.iter().chain(added).map(|(id, name)| (name.as_str(), *id)).collect();
    let room = |name: &str| rooms.get(name).copied();
    plan.items.iter().filter_map(|item| step(item, school, room(&item.wish.room))).collect()
}

fn step(item: &Item<DeviceWish>, school: &Fleet, room: Option<RoomId>) -> Option<DeviceStep> {
    let wish = &item.wish;
    let before = wish.id.and_then(|id| school.devices.get(&id)).cloned();
    let id = wish.id.unwrap_or_else(DeviceId::random);
    let after = match (item.verdict, &before) {
        (Verdict::Removed, Some(_)) => None,
        (Verdict::New, None) | (Verdict::Changed | Verdict::Moved, Some(_)) => Some(KnownDevice {
            name: wish.name.clone(),
            room: room?,
            cards: wish.cards.clone(),
            owner: wish.owner,
            staff: wish.staff,
            approved: before.as_ref().is_some_and(|device| device.approved),
        }),
        // A plan for other devices.
        _ => return None,
    };
    Some(Step { id, before, after })
}

/// Cards that a step gives a device: all of them, if any differs.
fn cards(step: &DeviceStep) -> Vec<(DeviceId, Interface)> {
    let Some(after) = &step.after else { return Vec::new() };
    if step.before.as_ref().is_some_and(|before| before.cards == after.cards) {
        return Vec::new();
    }
    after.cards.iter().map(|card| (step.id, card.clone())).collect()
}

/// The steps back of devices that are still what the import made of them and whose name, cards, addresses, room and owner of before are
/// still to be had; and what the others are called.
fn untouched(
    steps: &[DeviceStep],
    school: &Fleet,
    people: &HashSet<UserId>,
) -> (Vec<DeviceStep>, Vec<String>) {
    let same = |step: &&DeviceStep| school.devices.get(&step.id) == step.after.as_ref();
    let possible = |step: &&DeviceStep| {
        let known = |before: &KnownDevice| {
            school.rooms.contains_key(&before.room)
                && before.owner.is_none_or(|owner| people.contains(&owner))
        };
        step.before.as_ref().is_none_or(known)
    };
    let mut back: Vec<&DeviceStep> = steps.iter().filter(same).filter(possible).collect();
    // Whoever stays as they are may have what another one would get back; leaving that one as it is may keep more.
    loop {
        let going: HashSet<DeviceId> = back.iter().map(|step| step.id).collect();
        let staying = school.devices.iter().filter(|(id, _)| !going.contains(id));
        let held: HashSet<_> = staying.flat_map(|(_, device)| device.uniques()).collect();
        let before = back.len();
        back.retain(|step| {
            step.before.as_ref().is_none_or(|d| !d.uniques().iter().any(|u| held.contains(u)))
        });
        if back.len() == before {
            break;
        }
    }
    let going: HashSet<DeviceId> = back.iter().map(|step| step.id).collect();
    let name = |step: &DeviceStep| {
        step.after.as_ref().or(step.before.as_ref()).map(|device| device.name.to_string())
    };
    let left = steps.iter().filter(|step| !going.contains(&step.id)).filter_map(name).collect();
    (back.into_iter().cloned().map(Step::back).collect(), left)
}
