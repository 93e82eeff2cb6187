//! The waiting list: PCs that booted from the network and that nobody approved yet.

use rand::Rng;
use serde::Serialize;
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::devices::insert_device;
use crate::jobs::insert_job;
use crate::{
    Answer, By, DeviceId, Error, Hostname, ImageId, Interface, InterfaceKind, Inventory, JobId, JobTask,
    KeyFingerprint, MacAddr, NewDevice, Result, RoomId, UnixMillis, WaitingId,
};

/// A PC on the waiting list.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Waiting {
    /// Its id.
    pub id: WaitingId,
    /// The key it holds.
    pub key: KeyFingerprint,
    /// Six digits that its screen shows.
    pub code: String,
    /// Hardware as it described itself: `vendor`, `product`, `serial`, `uuid`, `nics`, `disks` …
    pub hardware: serde_json::Value,
    /// Address it speaks from.
    pub address: String,
    /// Whether a person said no.
    pub state: WaitingState,
    /// When it came first.
    pub first_seen: UnixMillis,
    /// When it spoke last.
    pub last_seen: UnixMillis,
}

/// Whether an entry waits or was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitingState {
    /// Waits for a person.
    Waiting,
    /// A person said no.
    Rejected,
}

/// What an unknown PC says.
#[derive(Debug, Clone)]
pub struct Sighting<'a> {
    /// Its key, proven by TLS.
    pub key: &'a KeyFingerprint,
    /// Its hardware, already bounded in size.
    pub hardware: &'a serde_json::Value,
    /// Address it speaks from.
    pub address: &'a str,
}

type Row = (Uuid, String, String, String, String, bool, i64, i64);

impl Inventory {
    /// The waiting list, newest first. A row that cannot be used costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn waiting(&self) -> Answer<'_, (Vec<Waiting>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT id, key_fingerprint, code, hardware, address, rejected = $1, first_seen, last_seen
             FROM waiting ORDER BY first_seen DESC")
            .bind(true).fetch_all(pool).await)
            .map_err(Error::db("read the waiting list"))?;
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for row in rows {
                match waiting(row) {
                    Ok(entry) => good.push(entry),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// Notes an unknown PC and returns its entry with the code its screen must show. The list holds at most
    /// [`WAITING_MAX`] entries: a further PC takes the place of the one that has been silent longest, provided that was for
    /// more than [`SILENT_SECS`]; otherwise it is turned away until there is room.
    ///
    /// # Errors
    /// The list is full ([`Error::Conflict`]), or the database failed.
    pub fn see_waiting<'a>(&'a self, by: By<'a>, seen: &'a Sighting<'a>) -> Answer<'a, Waiting> {
        Box::pin(async move {
            let id: Uuid = in_transaction!(self, "note a waiting PC", tx => {
                let known: Option<(Uuid,)> = sqlx::query_as(
                    "UPDATE waiting SET hardware = $1, address = $2, last_seen = $3 WHERE key_fingerprint = $4 RETURNING id")
                    .bind(seen.hardware.to_string()).bind(seen.address.to_owned()).bind(by.at.0).bind(seen.key.to_string())
                    .fetch_optional(&mut *tx).await.map_err(Error::db("note a waiting PC"))?;
                if let Some((id,)) = known {
                    return Ok(id);
                }
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM waiting")
                    .fetch_one(&mut *tx).await.map_err(Error::db("count waiting PCs"))?;
                if count >= WAITING_MAX {
                    let freed = sqlx::query(
                        "DELETE FROM waiting WHERE id = (SELECT id FROM waiting WHERE last_seen < $1 ORDER BY last_seen LIMIT 1)")
                        .bind(by.at.0 - SILENT_SECS * 1000)
                        .execute(&mut *tx).await.map_err(Error::db("make room on the waiting list"))?;
                    if freed.rows_affected() == 0 {
                        return Err(Error::Conflict("the waiting list is full; approve or reject PCs first".into()));
                    }
                }
                let taken: Vec<String> = sqlx::query_scalar("SELECT code FROM waiting")
                    .fetch_all(&mut *tx).await.map_err(Error::db("read codes"))?;
                let id = WaitingId::random();
                sqlx::query(
                    "INSERT INTO waiting (id, key_fingerprint, code, hardware, address, rejected, first_seen, last_seen)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $7)")
                    .bind(id.0).bind(seen.key.to_string()).bind(fresh_code(&taken)).bind(seen.hardware.to_string())
                    .bind(seen.address.to_owned()).bind(false).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("note a waiting PC"))?;
                record!(tx, by, "waiting", id, "arrived")?;
                Ok(id.0)
            })?;
            self.waiting_entry(WaitingId(id))
                .await?
                .ok_or(Error::NotFound { what: "waiting PC", key: id.to_string() })
        })
    }

    /// One entry of the waiting list.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn waiting_entry(&self, id: WaitingId) -> Answer<'_, Option<Waiting>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT id, key_fingerprint, code, hardware, address, rejected = $2, first_seen, last_seen
             FROM waiting WHERE id = $1")
            .bind(id.0).bind(true).fetch_optional(pool).await)
            .map_err(Error::db("read the waiting list"))?;
            row.map(waiting).transpose()
        })
    }

    /// Makes a waiting PC a device: with that name, in that room, and with a job when an image is given. A device that was
    /// added beforehand (same name or same card) and has no key yet takes the PC's key; so does a device that lost its key
    /// because its disk was swapped, if `replace` names it.
    ///
    /// # Errors
    /// The entry is gone, the name belongs to another device, a card belongs to another device, the image has no version,
    /// or the database failed.
    pub fn approve<'a>(
        &'a self,
        by: By<'a>,
        id: WaitingId,
        name: &'a Hostname,
        room: RoomId,
        image: Option<ImageId>,
        replace: Option<DeviceId>,
    ) -> Answer<'a, (DeviceId, Option<JobId>)> {
        Box::pin(async move {
            let entry = self
                .waiting_entry(id)
                .await?
                .ok_or_else(|| Error::NotFound { what: "waiting PC", key: id.to_string() })?;
            let cards = cards(&entry.hardware);
            let text =
                |key: &str| entry.hardware.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            let (serial, uuid) = (text("serial"), text("uuid"));
            in_transaction!(self, "approve a PC", tx => {
                let existing: Option<(Uuid, Option<String>)> = match replace {
                    Some(device) => sqlx::query_as("SELECT id, NULL FROM devices WHERE id = $1").bind(device.0)
                        .fetch_optional(&mut *tx).await.map_err(Error::db("find a device"))?,
                    None => sqlx::query_as("SELECT id, key_fingerprint FROM devices WHERE name = $1").bind(name.to_string())
                        .fetch_optional(&mut *tx).await.map_err(Error::db("find a device"))?,
                };
                let device = match existing {
                    Some((_, Some(_))) => {
                        return Err(Error::Conflict(format!(
                            "{name} is an approved device; choose another name, or replace that device")));
                    }
                    Some((device, None)) => {
                        sqlx::query(
                            "UPDATE devices SET name = $1, room_id = $2, key_fingerprint = $3, hardware = $4, serial = $5,
                             smbios_uuid = $6, desired_image = COALESCE($7, desired_image) WHERE id = $8")
                            .bind(name.to_string()).bind(room.0).bind(entry.key.to_string()).bind(entry.hardware.to_string())
                            .bind(serial.clone()).bind(uuid.clone()).bind(image.map(|i| i.0)).bind(device)
                            .execute(&mut *tx).await
                            .map_err(Error::unique("approve a PC", || format!("there is a device named {name} already")))?;
                        for card in &cards {
                            let done = sqlx::query(
                                "INSERT INTO interfaces (mac, device_id, kind, reserved_ip) VALUES ($1, $2, $3, NULL)
                                 ON CONFLICT (mac) DO UPDATE SET kind = excluded.kind WHERE interfaces.device_id = $2")
                                .bind(card.mac.to_string()).bind(device).bind(crate::devices::kind_text(card.kind))
                                .execute(&mut *tx).await.map_err(Error::db("add a network card"))?;
                            if done.rows_affected() == 0 {
                                return Err(Error::Conflict(format!(
                                    "the network card {} belongs to another device", card.mac)));
                            }
                        }
                        DeviceId(device)
                    }
                    None => {
                        let new = NewDevice { name: name.clone(), room, desired_image: image, interfaces: cards.clone() };
                        let device = DeviceId::random();
                        insert_device!(tx, by, device, &new, Some(entry.key.to_string()), entry.hardware, serial, uuid)?;
                        device
                    }
                };
                let job = match image {
                    Some(image) => Some(insert_job!(tx, by, device, JobTask::Deploy { image, version: None })?),
                    None => None,
                };
                sqlx::query("DELETE FROM waiting WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("approve a PC"))?;
                record!(tx, by, "waiting", id, "approved")?;
                record!(tx, by, "device", device, "approved")?;
                Ok((device, job))
            })
        })
    }

    /// Says no to a waiting PC; the entry stays, so that the PC can be told.
    ///
    /// # Errors
    /// The entry is gone, or the database failed.
    pub fn reject<'a>(&'a self, by: By<'a>, id: WaitingId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "reject a PC", tx => {
                let done = sqlx::query("UPDATE waiting SET rejected = $1 WHERE id = $2").bind(true).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("reject a PC"))?;
                Error::unless_found(done.rows_affected(), "waiting PC", id)?;
                record!(tx, by, "waiting", id, "rejected")?;
                Ok(())
            })
        })
    }

    /// Forgets an entry of the waiting list; the PC may come again.
    ///
    /// # Errors
    /// The database failed.
    pub fn forget_waiting<'a>(&'a self, by: By<'a>, id: WaitingId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "forget a waiting PC", tx => {
                sqlx::query("DELETE FROM waiting WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("forget a waiting PC"))?;
                record!(tx, by, "waiting", id, "forgotten")?;
                Ok(())
            })
        })
    }
}

/// The usable network cards that a PC named; cards with unusable addresses are left out.
fn cards(hardware: &serde_json::Value) -> Vec<Interface> {
    let nics = hardware.get("nics").and_then(|n| n.as_array()).map(Vec::as_slice).unwrap_or_default();
    let mut cards: Vec<Interface> = nics
        .iter()
        .take(16)
        .filter_map(|nic| {
            let mac: MacAddr = nic.get("mac")?.as_str()?.parse().ok()?;
            let wireless = nic.get("wireless").and_then(serde_json::Value::as_bool).unwrap_or(false);
            let kind = if wireless { InterfaceKind::Wlan } else { InterfaceKind::Lan };
            Some(Interface { mac, kind, reserved_ip: None })
        })
        .collect();
    cards.sort_by_key(|card| card.mac);
    cards.dedup_by_key(|card| card.mac);
    cards
}

/// Six random digits that no other waiting PC shows.
fn fresh_code(taken: &[String]) -> String {
    let mut random = rand::rng();
    loop {
        let code = format!("{:06}", random.random_range(0..1_000_000));
        if !taken.contains(&code) {
            return code;
        }
    }
}

fn waiting((id, key, code, hardware, address, rejected, first_seen, last_seen): Row) -> Result<Waiting> {
    let bad = Error::row("waiting", id);
    Ok(Waiting {
        id: WaitingId(id),
        key: key.parse().map_err(|e: crate::ParseError| bad(e.to_string()))?,
        code,
        hardware: serde_json::from_str(&hardware).map_err(|e| bad(format!("hardware: {e}")))?,
        address,
        state: if rejected { WaitingState::Rejected } else { WaitingState::Waiting },
        first_seen: UnixMillis(first_seen),
        last_seen: UnixMillis(last_seen),
    })
}

/// Most PCs that can wait at once.
pub const WAITING_MAX: i64 = 500;
/// Seconds after which a silent PC may lose its place to another one.
pub const SILENT_SECS: i64 = 120;
