//! Devices with their network interfaces, what they should be and what was seen of them.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{
    Answer, By, DeviceId, Error, Hostname, ImageId, Inventory, KeyFingerprint, MacAddr, Result, Room, RoomId,
    UnixMillis,
};

/// A managed device.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Device {
    /// Its id.
    pub id: DeviceId,
    /// Host name, unique in the school.
    pub name: Hostname,
    /// Where it stands.
    pub room: Room,
    /// Its network cards; LAN and WLAN of one machine are one device.
    pub interfaces: Vec<Interface>,
    /// The key it authenticates with, once a person approved it.
    pub key: Option<KeyFingerprint>,
    /// Hardware as its agent described it; opaque here.
    pub hardware: serde_json::Value,
    /// The image it should have.
    pub desired_image: Option<ImageId>,
    /// What was seen last.
    pub observed: Observed,
    /// When its agent spoke last.
    pub last_seen: Option<UnixMillis>,
}

/// A network card of a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Interface {
    /// Hardware address; belongs to one device only.
    pub mac: MacAddr,
    /// Cable or radio.
    pub kind: InterfaceKind,
    /// The address DHCP gives it always.
    pub reserved_ip: Option<Ipv4Addr>,
}

/// Cable or radio.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceKind {
    /// Ethernet.
    Lan,
    /// WLAN.
    Wlan,
}

/// What daemons saw of a device; written by them, never by people.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Observed {
    /// Address its agent spoke from.
    pub address: Option<String>,
    /// Where its agent ran: `boot_environment` or `installed_system`.
    pub runs_in: Option<String>,
    /// Version of its agent.
    pub agent_version: Option<String>,
    /// Host name the installed system reports.
    pub hostname: Option<String>,
    /// Operating system the installed system reports.
    pub os: Option<String>,
    /// Kernel release the installed system reports.
    pub kernel: Option<String>,
    /// Id of the manifest the disk was written from.
    pub manifest: Option<String>,
    /// Identity of the disk that was written.
    pub disk: Option<String>,
    /// When the installed system reported last.
    pub reported_at: Option<UnixMillis>,
}

/// What a person decides about a device that is added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDevice {
    /// Host name.
    pub name: Hostname,
    /// Room.
    pub room: RoomId,
    /// Image it should get, if any.
    pub desired_image: Option<ImageId>,
    /// Its cards.
    pub interfaces: Vec<Interface>,
}

type DeviceRow = (Uuid, String, Uuid, String, Option<String>, String, Option<Uuid>, String, Option<i64>);
type InterfaceRow = (String, Uuid, String, Option<String>);

impl Inventory {
    /// All devices by name. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn devices(&self) -> Answer<'_, (Vec<Device>, Vec<Error>)> {
        Box::pin(async move {
            let (devices, interfaces): (Vec<DeviceRow>, Vec<InterfaceRow>) = on_pool!(self, pool => {
                let devices = sqlx::query_as(
                    "SELECT d.id, d.name, r.id, r.name, d.key_fingerprint, d.hardware, d.desired_image, d.observed, d.last_seen
                     FROM devices d JOIN rooms r ON r.id = d.room_id ORDER BY d.name")
                    .fetch_all(pool).await.map_err(Error::db("list devices"))?;
                let interfaces = sqlx::query_as("SELECT mac, device_id, kind, reserved_ip FROM interfaces ORDER BY mac")
                    .fetch_all(pool).await.map_err(Error::db("list interfaces"))?;
                (devices, interfaces)
            });
            let mut problems = Vec::new();
            let mut by_device: HashMap<Uuid, Vec<Interface>> = HashMap::new();
            for row in interfaces {
                let device = row.1;
                match interface(row) {
                    Ok(interface) => by_device.entry(device).or_default().push(interface),
                    Err(problem) => problems.push(problem),
                }
            }
            let mut good = Vec::with_capacity(devices.len());
            for row in devices {
                let interfaces = by_device.remove(&row.0).unwrap_or_default();
                match device(row, interfaces) {
                    Ok(device) => good.push(device),
                    Err(problem) => problems.push(problem),
                }
            }
            Ok((good, problems))
        })
    }

    /// The device with that id.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn device(&self, id: DeviceId) -> Answer<'_, Option<Device>> {
        Box::pin(async move { self.device_where("d.id = $1", id.0).await })
    }

    /// The device that authenticates with that key.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn device_by_key<'a>(&'a self, key: &'a KeyFingerprint) -> Answer<'a, Option<Device>> {
        Box::pin(async move { self.device_where("d.key_fingerprint = $1", key.to_string()).await })
    }

    /// The device that owns that card.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn device_by_mac(&self, mac: MacAddr) -> Answer<'_, Option<Device>> {
        Box::pin(async move {
            self.device_where("d.id = (SELECT device_id FROM interfaces WHERE mac = $1)", mac.to_string())
                .await
        })
    }

    /// The device for whose card that address is reserved.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn device_by_reservation(&self, ip: Ipv4Addr) -> Answer<'_, Option<Device>> {
        Box::pin(async move {
            self.device_where(
                "d.id = (SELECT device_id FROM interfaces WHERE reserved_ip = $1)",
                ip.to_string(),
            )
            .await
        })
    }

    async fn device_where<V>(&self, condition: &'static str, value: V) -> Result<Option<Device>>
    where
        V: Send
            + for<'q> sqlx::Encode<'q, sqlx::Sqlite>
            + sqlx::Type<sqlx::Sqlite>
            + for<'q> sqlx::Encode<'q, sqlx::Postgres>
            + sqlx::Type<sqlx::Postgres>
            + 'static,
    {
        let sql = format!(
            "SELECT d.id, d.name, r.id, r.name, d.key_fingerprint, d.hardware, d.desired_image, d.observed, d.last_seen
             FROM devices d JOIN rooms r ON r.id = d.room_id WHERE {condition}"
        );
        let found: Option<(DeviceRow, Vec<InterfaceRow>)> = on_pool!(self, pool => {
            // `condition` is one of the literals above.
            let row: Option<DeviceRow> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(value)
                .fetch_optional(pool).await.map_err(Error::db("find a device"))?;
            match row {
                None => None,
                Some(row) => {
                    let interfaces = sqlx::query_as(
                        "SELECT mac, device_id, kind, reserved_ip FROM interfaces WHERE device_id = $1 ORDER BY mac")
                        .bind(row.0).fetch_all(pool).await.map_err(Error::db("list interfaces"))?;
                    Some((row, interfaces))
                }
            }
        });
        let Some((row, interfaces)) = found else { return Ok(None) };
        let interfaces = interfaces.into_iter().map(interface).collect::<Result<_>>()?;
        device(row, interfaces).map(Some)
    }

    /// Adds a device that nobody has seen yet, for example from an import; its PC is recognised by its cards and still has
    /// to be approved.
    ///
    /// # Errors
    /// Name, card or reserved address are taken, the room does not exist, or the database failed.
    pub fn create_device<'a>(&'a self, by: By<'a>, new: &'a NewDevice) -> Answer<'a, DeviceId> {
        Box::pin(async move {
            let id = DeviceId::random();
            in_transaction!(self, "add a device", tx => {
                insert_device!(tx, by, id, new, None::<String>, "{}", "", "")?;
                record!(tx, by, "device", id, "created")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Changes name, room and desired image of a device.
    ///
    /// # Errors
    /// The name is taken, the room or image does not exist, there is no such device, or the database failed.
    pub fn change_device<'a>(
        &'a self,
        by: By<'a>,
        id: DeviceId,
        name: &'a Hostname,
        room: RoomId,
        desired_image: Option<ImageId>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "change a device", tx => {
                let done = sqlx::query("UPDATE devices SET name = $1, room_id = $2, desired_image = $3 WHERE id = $4")
                    .bind(name.to_string()).bind(room.0).bind(desired_image.map(|i| i.0)).bind(id.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("change a device", || format!("there is a device named {name} already")))?;
                Error::unless_found(done.rows_affected(), "device", id)?;
                record!(tx, by, "device", id, "changed")?;
                Ok(())
            })
        })
    }

    /// Sets or clears the address that DHCP gives a card.
    ///
    /// # Errors
    /// The address is reserved for another card, no device has the card, or the database failed.
    pub fn reserve_address<'a>(&'a self, by: By<'a>, mac: MacAddr, ip: Option<Ipv4Addr>) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "reserve an address", tx => {
                let done = sqlx::query("UPDATE interfaces SET reserved_ip = $1 WHERE mac = $2")
                    .bind(ip.map(|ip| ip.to_string())).bind(mac.to_string())
                    .execute(&mut *tx).await
                    .map_err(Error::unique("reserve an address", || "the address is reserved for another card".into()))?;
                Error::unless_found(done.rows_affected(), "network card", mac)?;
                record!(tx, by, "device", mac, "reserved")?;
                Ok(())
            })
        })
    }

    /// Removes a device. Its key is forgotten: the PC comes back to the waiting list.
    ///
    /// # Errors
    /// There is no such device, or the database failed.
    pub fn delete_device<'a>(&'a self, by: By<'a>, id: DeviceId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a device", tx => {
                let done = sqlx::query("DELETE FROM devices WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(Error::db("delete a device"))?;
                Error::unless_found(done.rows_affected(), "device", id)?;
                record!(tx, by, "device", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Writes what was seen of an authenticated device. Goes to the change log only when something other than the time
    /// changed, since agents speak every few seconds.
    ///
    /// # Errors
    /// There is no such device, or the database failed.
    pub fn observe_device<'a>(
        &'a self,
        by: By<'a>,
        id: DeviceId,
        observed: &'a Observed,
        hardware: Option<&'a serde_json::Value>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let text = serde_json::to_string(observed).unwrap_or_else(|_| "{}".into());
            in_transaction!(self, "note what was seen of a device", tx => {
                let before: Option<(String, String)> = sqlx::query_as("SELECT observed, hardware FROM devices WHERE id = $1")
                    .bind(id.0).fetch_optional(&mut *tx).await.map_err(Error::db("find a device"))?;
                let Some((before, hardware_before)) = before else {
                    return Err(Error::NotFound { what: "device", key: id.to_string() });
                };
                let hardware = hardware.map_or_else(|| hardware_before.clone(), ToString::to_string);
                sqlx::query("UPDATE devices SET observed = $1, hardware = $2, last_seen = $3 WHERE id = $4")
                    .bind(text.clone()).bind(hardware.clone()).bind(by.at.0).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("note what was seen of a device"))?;
                if before != text || hardware_before != hardware {
                    record!(tx, by, "device", id, "observed")?;
                }
                Ok(())
            })
        })
    }
}

/// Inserts a device with its cards. A card that another device owns is a conflict that names the card.
macro_rules! insert_device {
    ($tx:expr, $by:expr, $id:expr, $new:expr, $key:expr, $hardware:expr, $serial:expr, $uuid:expr) => {{
        let new: &$crate::NewDevice = $new;
        sqlx::query(
            "INSERT INTO devices (id, name, room_id, key_fingerprint, hardware, serial, smbios_uuid, desired_image, observed, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '{}', $9)")
            .bind($id.0).bind(new.name.to_string()).bind(new.room.0).bind($key).bind($hardware.to_string())
            .bind($serial.to_string()).bind($uuid.to_string()).bind(new.desired_image.map(|i| i.0)).bind($by.at.0)
            .execute(&mut *$tx).await
            .map_err($crate::Error::unique("add a device", || format!("there is a device named {} already", new.name)))?;
        sqlx::query("INSERT INTO device_numbers (device_id) VALUES ($1)").bind($id.0)
            .execute(&mut *$tx).await.map_err($crate::Error::db("number a device"))?;
        for interface in &new.interfaces {
            sqlx::query("INSERT INTO interfaces (mac, device_id, kind, reserved_ip) VALUES ($1, $2, $3, $4)")
                .bind(interface.mac.to_string()).bind($id.0)
                .bind($crate::devices::kind_text(interface.kind)).bind(interface.reserved_ip.map(|ip| ip.to_string()))
                .execute(&mut *$tx).await
                .map_err($crate::Error::unique("add a network card", || format!(
                    "the network card {} or its reserved address belongs to another device", interface.mac)))?;
        }
        Ok::<(), $crate::Error>(())
    }};
}
pub(crate) use insert_device;

pub(crate) fn kind_text(kind: InterfaceKind) -> &'static str {
    match kind {
        InterfaceKind::Lan => "lan",
        InterfaceKind::Wlan => "wlan",
    }
}

fn interface((mac, _, kind, reserved): InterfaceRow) -> Result<Interface> {
    let row = Error::row("interfaces", &mac);
    Ok(Interface {
        kind: match kind.as_str() {
            "lan" => InterfaceKind::Lan,
            "wlan" => InterfaceKind::Wlan,
            other => return Err(row(format!("unknown kind {other:?}"))),
        },
        reserved_ip: reserved
            .map(|ip| ip.parse().map_err(|_| row(format!("reserved address {ip:?} is no IPv4 address"))))
            .transpose()?,
        mac: mac.parse().map_err(|e: crate::ParseError| row(e.to_string()))?,
    })
}

fn device(row: DeviceRow, interfaces: Vec<Interface>) -> Result<Device> {
    let (id, name, room, room_name, key, hardware, desired_image, observed, last_seen) = row;
    let bad = Error::row("devices", id);
    Ok(Device {
        id: DeviceId(id),
        name: name.parse().map_err(|e: crate::ParseError| bad(e.to_string()))?,
        room: Room { id: RoomId(room), name: room_name },
        interfaces,
        key: key.map(|k| k.parse().map_err(|e: crate::ParseError| bad(e.to_string()))).transpose()?,
        hardware: serde_json::from_str(&hardware).map_err(|e| bad(format!("hardware: {e}")))?,
        desired_image: desired_image.map(ImageId),
        observed: serde_json::from_str(&observed).map_err(|e| bad(format!("observed: {e}")))?,
        last_seen: last_seen.map(UnixMillis),
    })
}
