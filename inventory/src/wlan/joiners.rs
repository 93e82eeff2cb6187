//! What is known of somebody who wants to join.

use uuid::Uuid;

use crate::db::on_pool;
use crate::{Answer, DeviceId, Error, GroupId, Inventory, MacAddr, UnixMillis, UserId, VoucherId, lessons};

use super::stations::STATION_MILLIS;
use super::{Joiner, Kind, Moment, StationOwner, Voucher};

/// Whose certificate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateOwner {
    /// The device.
    pub device: DeviceId,
    /// Whether it may not be used any more.
    pub revoked: bool,
    /// When it ends.
    pub ends_at: UnixMillis,
}

impl Inventory {
    /// A person as one who joins.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn wlan_person(&self, id: UserId) -> Answer<'_, Option<Joiner>> {
        Box::pin(async move {
            let Some(user) = self.user(id).await? else { return Ok(None) };
            Ok(Some(Joiner {
                owner: StationOwner::User(id),
                name: user.name,
                kind: Kind::Person(user.role),
                groups: self.groups_of(id).await?.into_iter().map(|group| group.id).collect(),
                deactivated: user.deactivated_at.is_some(),
            }))
        })
    }

    /// A device as one that joins. What it proved says what it is: `kind` is what the caller saw.
    ///
    /// # Errors
    /// The database failed.
    pub fn wlan_device(&self, id: DeviceId, kind: Kind) -> Answer<'_, Option<Joiner>> {
        Box::pin(async move {
            let (name, groups): (Option<String>, Vec<Uuid>) = on_pool!(self, pool => {
                let name = sqlx::query_scalar("SELECT name FROM devices WHERE id = $1")
                    .bind(id.0).fetch_optional(pool).await.map_err(Error::db("find a device"))?;
                let groups = sqlx::query_scalar("SELECT group_id FROM device_groups WHERE device_id = $1")
                    .bind(id.0).fetch_all(pool).await.map_err(Error::db("find a device's groups"))?;
                (name, groups)
            });
            Ok(name.map(|name| Joiner {
                owner: StationOwner::Device(id),
                name,
                kind,
                groups: groups.into_iter().map(GroupId).collect(),
                deactivated: false,
            }))
        })
    }

    /// What a device would join as: with its certificate if it has one, or else with a key of its own.
    ///
    /// # Errors
    /// The database failed.
    pub fn wlan_kind_of(&self, id: DeviceId) -> Answer<'_, Kind> {
        Box::pin(async move {
            let enrolled: i64 = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT COUNT(*) FROM mdm_enrolments WHERE device_id = $1 AND state = 'enrolled'")
                .bind(id.0).fetch_one(pool).await)
            .map_err(Error::db("find an iPad"))?;
            let agent: i64 = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT COUNT(*) FROM devices WHERE id = $1 AND key_fingerprint IS NOT NULL")
                .bind(id.0).fetch_one(pool).await)
            .map_err(Error::db("find a PC"))?;
            Ok(match (enrolled, agent) {
                (1.., _) => Kind::Ipad,
                (_, 1..) => Kind::Pc,
                _ => Kind::Appliance,
            })
        })
    }

    /// Whose certificate for the WLAN has that serial number, in hexadecimal digits; the authority is the one of this school's devices.
    ///
    /// # Errors
    /// The database failed.
    pub fn wlan_certificate_owner<'a>(&'a self, serial: &'a str) -> Answer<'a, Option<CertificateOwner>> {
        Box::pin(async move {
            let row: Option<(Uuid, i64, Option<i64>)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT e.device_id, c.ends_at, c.revoked_at
                 FROM wlan_certificates c JOIN mdm_enrolments e ON e.id = c.enrolment_id
                 WHERE c.serial = $1 AND e.device_id IS NOT NULL")
                .bind(serial.trim_start_matches('0').to_ascii_lowercase()).fetch_optional(pool).await)
            .map_err(Error::db("find a certificate"))?;
            Ok(row.map(|(device, ends, revoked)| CertificateOwner {
                device: DeviceId(device),
                revoked: revoked.is_some(),
                ends_at: UnixMillis(ends),
            }))
        })
    }

    /// The device with a card of that address that has a key for the WLAN.
    ///
    /// # Errors
    /// The database failed.
    pub fn keyed_device(&self, mac: MacAddr) -> Answer<'_, Option<DeviceId>> {
        Box::pin(async move {
            let id: Option<Uuid> = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT i.device_id FROM interfaces i JOIN wlan_device_keys k ON k.device_id = i.device_id WHERE i.mac = $1")
                .bind(mac.to_string()).fetch_optional(pool).await)
            .map_err(Error::db("find a device"))?;
            Ok(id.map(DeviceId))
        })
    }

    /// What counts at that time for somebody who joins with that card; with any card when it is not known.
    ///
    /// # Errors
    /// The database failed.
    pub fn wlan_moment(
        &self,
        owner: StationOwner,
        mac: Option<MacAddr>,
        at: UnixMillis,
    ) -> Answer<'_, Moment> {
        Box::pin(async move {
            let other_devices: i64 = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT COUNT(*) FROM wlan_stations WHERE (user_id = $1 OR voucher_id = $1) AND mac <> $2 AND last_at > $3")
                .bind(owner.id()).bind(mac.map_or(String::new(), |mac| mac.to_string())).bind(at.0 - STATION_MILLIS)
                .fetch_one(pool).await)
            .map_err(Error::db("count devices"))?;
            let local = lessons::local(at);
            let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute()));
            Ok(Moment {
                at,
                minute: minute.unwrap_or_default(),
                other_devices: u32::try_from(other_devices).unwrap_or(u32::MAX),
                exams: self.running_exams(at).await?,
            })
        })
    }
}

impl Voucher {
    /// Who has it, as one who joins.
    #[must_use]
    pub fn joiner(&self) -> Joiner {
        Joiner {
            owner: StationOwner::Voucher(self.id),
            name: self.note.clone(),
            kind: Kind::Guest { ends_at: self.ends_at, devices_max: self.devices_max },
            groups: Vec::new(),
            deactivated: false,
        }
    }
}

impl StationOwner {
    fn id(self) -> Uuid {
        match self {
            Self::User(UserId(id)) | Self::Device(DeviceId(id)) | Self::Voucher(VoucherId(id)) => id,
        }
    }
}
