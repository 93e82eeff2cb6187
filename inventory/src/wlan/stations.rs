//! Who joined the WLAN last under which hardware address, and who was turned away.
//!
//! These are observations. A hardware address proves nothing; whoever joined under it did.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::words::{meant, word};
use crate::{
    AccessPointId, Answer, By, DeviceId, Error, Inventory, MacAddr, ParseError, Result, UnixMillis, UserId,
    VoucherId,
};

use super::{Refusal, Vlan};

/// Under whose name something joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StationOwner {
    /// A person.
    User(UserId),
    /// A device of the school.
    Device(DeviceId),
    /// Somebody with a voucher.
    Voucher(VoucherId),
}

/// How somebody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A certificate of the school (EAP-TLS, RFC 5216).
    Certificate,
    /// The account's password, or a voucher's code, in a tunnel (EAP-TTLS with PAP, RFC 5281).
    Password,
    /// The password that is for the WLAN alone (PEAP with MSCHAPv2).
    WifiPassword,
    /// The device's own pre-shared key.
    DeviceKey,
}

/// That somebody joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Joined {
    /// The card.
    pub mac: MacAddr,
    /// Whose.
    pub owner: StationOwner,
    /// How that was proved.
    pub method: Method,
    /// The network.
    pub vlan: Option<Vlan>,
    /// Where.
    pub access_point: Option<AccessPointId>,
}

/// What joined last under a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Station {
    /// The card.
    pub mac: MacAddr,
    /// Under whose name.
    pub owner: StationOwner,
    /// What that one is called.
    pub name: String,
    /// Where: the name of the access point.
    pub access_point: Option<String>,
    /// Where: the room of the access point.
    pub room: Option<String>,
    /// How that was proved.
    pub method: Method,
    /// The network.
    pub vlan: Option<Vlan>,
    /// When it joined.
    pub joined_at: UnixMillis,
    /// When it was heard of last.
    pub last_at: UnixMillis,
    /// Whether it joined, did not leave, and was heard of lately.
    pub online: bool,
}

/// That somebody was turned away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// When.
    pub at: UnixMillis,
    /// The card that was named.
    pub mac: MacAddr,
    /// The name that was given.
    pub name: String,
    /// Why.
    pub reason: Refusal,
    /// Where.
    pub access_point: Option<AccessPointId>,
}

/// That somebody was turned away, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct RefusalSeen {
    /// When.
    pub at: UnixMillis,
    /// The card that was named.
    pub mac: MacAddr,
    /// The name that was given. Whoever it was may have typed anything.
    pub name: String,
    /// Why.
    pub reason: Refusal,
    /// Where: the name of the access point.
    pub access_point: Option<String>,
}

/// How long a device that was not heard of still counts as one of a person's devices: two weeks.
pub const STATION_MILLIS: i64 = 14 * 86_400_000;

/// The question for stations.
macro_rules! select_stations {
    ($rest:literal) => {
        concat!(
            "SELECT s.mac, s.user_id, s.device_id, s.voucher_id, COALESCE(u.name, d.name, v.note), a.name, r.name, s.method, s.vlan,
                    s.joined_at, s.last_at, s.left_at
             FROM wlan_stations s LEFT JOIN users u ON u.id = s.user_id LEFT JOIN devices d ON d.id = s.device_id
             LEFT JOIN wlan_vouchers v ON v.id = s.voucher_id LEFT JOIN access_points a ON a.id = s.access_point_id
             LEFT JOIN rooms r ON r.id = a.room_id ",
            $rest
        )
    };
}

/// Lets a device of the school be where the access point stands, unless a person said where it is. Nothing is written while that is
/// known and holds for a while yet.
macro_rules! follow_device {
    ($tx:expr, $by:expr, $mac:expr, $access_point:expr) => {{
        let row: Option<(Uuid, Uuid, Option<Uuid>, Option<Uuid>, Option<i64>, Option<i64>)> = sqlx::query_as(
            "SELECT d.id, d.room_id, a.room_id, v.room_id, v.ends_at, v.wlan
             FROM interfaces i JOIN devices d ON d.id = i.device_id
             JOIN access_points a ON a.id = $2 LEFT JOIN visits v ON v.device_id = d.id
             WHERE i.mac = $1")
            .bind($mac.to_string()).bind($access_point.map(|id: AccessPointId| id.0))
            .fetch_optional(&mut *$tx).await.map_err(Error::db("find where a device is"))?;
        if let Some((device, home, Some(here), visit, ends, wlan)) = row {
            match step(home, here, visit.zip(ends).zip(wlan), $by.at) {
                Step::Stay => {}
                Step::Home => {
                    sqlx::query("DELETE FROM visits WHERE device_id = $1").bind(device)
                        .execute(&mut *$tx).await.map_err(Error::db("let a device belong to its room again"))?;
                    record!($tx, $by, "device", device, "went back")?;
                }
                Step::Visit { moved } => {
                    sqlx::query(
                        "INSERT INTO visits (device_id, room_id, ends_at, wlan) VALUES ($1, $2, $3, 1)
                         ON CONFLICT (device_id) DO UPDATE SET room_id = excluded.room_id, ends_at = excluded.ends_at, wlan = 1")
                        .bind(device).bind(here).bind($by.at.0 + VISIT_MILLIS)
                        .execute(&mut *$tx).await.map_err(Error::db("note where a device is"))?;
                    record!($tx, $by, "device", device, if moved { "visits" } else { "stays" })?;
                }
            }
        }
    }};
}

/// What becomes of a device's stay in another room.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Stay,
    Home,
    Visit { moved: bool },
}

fn step(home: Uuid, here: Uuid, visit: Option<((Uuid, i64), i64)>, now: UnixMillis) -> Step {
    let visit = visit.filter(|((_, ends), _)| now.0 < *ends);
    match visit {
        // A person said where it is.
        Some((_, 0)) => Step::Stay,
        Some(_) if home == here => Step::Home,
        Some(((room, ends), _)) if room == here && ends - now.0 > VISIT_MILLIS / 2 => Step::Stay,
        Some(((room, _), _)) => Step::Visit { moved: room != here },
        None if home == here => Step::Stay,
        None => Step::Visit { moved: true },
    }
}

impl Inventory {
    /// Notes that somebody joined, and with it where a device of the school is.
    ///
    /// # Errors
    /// The owner is gone, or the database failed.
    pub fn note_joined<'a>(&'a self, by: By<'a>, joined: Joined) -> Answer<'a, ()> {
        Box::pin(async move {
            let (user, device, voucher) = columns(joined.owner);
            in_transaction!(self, "note who joined the WLAN", tx => {
                sqlx::query("DELETE FROM wlan_stations WHERE last_at < $1").bind(by.at.0 - KEPT_MILLIS)
                    .execute(&mut *tx).await.map_err(Error::db("forget who joined the WLAN"))?;
                sqlx::query(
                    "INSERT INTO wlan_stations (mac, user_id, device_id, voucher_id, access_point_id, method, vlan, joined_at, last_at, left_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8, NULL)
                     ON CONFLICT (mac) DO UPDATE SET user_id = excluded.user_id, device_id = excluded.device_id,
                       voucher_id = excluded.voucher_id, access_point_id = excluded.access_point_id, method = excluded.method,
                       vlan = excluded.vlan, last_at = excluded.last_at, left_at = NULL,
                       joined_at = CASE WHEN wlan_stations.left_at IS NULL THEN wlan_stations.joined_at ELSE excluded.joined_at END")
                    .bind(joined.mac.to_string()).bind(user).bind(device).bind(voucher)
                    .bind(joined.access_point.map(|id| id.0)).bind(word(&joined.method))
                    .bind(joined.vlan.map(|vlan| i64::from(vlan.number()))).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("note who joined the WLAN"))?;
                follow_device!(tx, by, joined.mac, joined.access_point);
                Ok(())
            })
        })
    }

    /// Notes what an access point reports of a card: that it is still there, or (`left`) that it is gone. A card that did not join is
    /// passed over.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_station<'a>(
        &'a self,
        by: By<'a>,
        mac: MacAddr,
        access_point: Option<AccessPointId>,
        left: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note what is on the WLAN", tx => {
                // What left another access point than the one it is at has only moved on.
                let done = sqlx::query(
                    "UPDATE wlan_stations SET last_at = $1, left_at = CASE WHEN $2 = 1 THEN $1 END,
                       access_point_id = COALESCE($3, access_point_id)
                     WHERE mac = $4 AND ($2 = 0 OR access_point_id IS NULL OR $3 IS NULL OR access_point_id = $3)")
                    .bind(by.at.0).bind(i64::from(left)).bind(access_point.map(|id| id.0)).bind(mac.to_string())
                    .execute(&mut *tx).await.map_err(Error::db("note what is on the WLAN"))?;
                if done.rows_affected() > 0 && !left {
                    follow_device!(tx, by, mac, access_point);
                }
                Ok(())
            })
        })
    }

    /// What joined, the latest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn stations(&self, now: UnixMillis, limit: u32) -> Answer<'_, Vec<Station>> {
        Box::pin(async move {
            let rows: Vec<StationRow> = on_pool!(self, pool => sqlx::query_as(
                select_stations!("ORDER BY s.last_at DESC, s.mac LIMIT $1"))
                .bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("list what joined the WLAN"))?;
            rows.into_iter().map(|row| station(row, now)).collect()
        })
    }

    /// What a person joined with, the latest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn stations_of_user(&self, id: UserId, now: UnixMillis) -> Answer<'_, Vec<Station>> {
        Box::pin(async move {
            let rows: Vec<StationRow> = on_pool!(self, pool => sqlx::query_as(
                select_stations!("WHERE s.user_id = $1 ORDER BY s.last_at DESC, s.mac LIMIT 200"))
                .bind(id.0).fetch_all(pool).await)
            .map_err(Error::db("list what a person joined the WLAN with"))?;
            rows.into_iter().map(|row| station(row, now)).collect()
        })
    }

    /// Forgets a card, so that it is none of a person's devices any more. It may join again.
    ///
    /// # Errors
    /// There is none, or the database failed.
    pub fn forget_station<'a>(&'a self, by: By<'a>, mac: MacAddr) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "forget a device", tx => {
                let done = sqlx::query("DELETE FROM wlan_stations WHERE mac = $1").bind(mac.to_string())
                    .execute(&mut *tx).await.map_err(Error::db("forget a device"))?;
                Error::unless_found(done.rows_affected(), "device on the WLAN", mac)?;
                record!(tx, by, "wlan_station", mac, "deleted")?;
                Ok(())
            })
        })
    }

    /// Notes who was turned away. The last thousand of a week are kept.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_refusals<'a>(&'a self, now: UnixMillis, refused: &'a [Refused]) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note who was turned away", tx => {
                for one in refused {
                    let name: String = one.name.chars().filter(|sign| !sign.is_control()).take(NAME_CHARS_MAX).collect();
                    let reason = serde_json::to_string(&one.reason).unwrap_or_default();
                    sqlx::query("INSERT INTO wlan_refusals (at, mac, name, reason, access_point_id) VALUES ($1, $2, $3, $4, $5)")
                        .bind(one.at.0).bind(one.mac.to_string()).bind(name).bind(reason).bind(one.access_point.map(|id| id.0))
                        .execute(&mut *tx).await.map_err(Error::reference("note who was turned away"))?;
                }
                sqlx::query("DELETE FROM wlan_refusals WHERE at < $1 OR n <= (SELECT MAX(n) FROM wlan_refusals) - $2")
                    .bind(now.0 - REFUSALS_MILLIS).bind(REFUSALS_MAX)
                    .execute(&mut *tx).await.map_err(Error::db("forget who was turned away"))?;
                Ok(())
            })
        })
    }

    /// Who was turned away, the latest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn wlan_refusals(&self, limit: u32) -> Answer<'_, Vec<RefusalSeen>> {
        Box::pin(async move {
            type Row = (i64, i64, String, String, String, Option<String>);
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT f.n, f.at, f.mac, f.name, f.reason, a.name FROM wlan_refusals f
                 LEFT JOIN access_points a ON a.id = f.access_point_id ORDER BY f.n DESC LIMIT $1")
                .bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("list who was turned away"))?;
            let one = |(n, at, mac, name, reason, access_point): Row| {
                let bad = Error::row("wlan_refusals", n);
                Ok(RefusalSeen {
                    at: UnixMillis(at),
                    mac: mac.parse().map_err(|e: ParseError| bad(e.to_string()))?,
                    name,
                    reason: serde_json::from_str(&reason).map_err(|e| bad(e.to_string()))?,
                    access_point,
                })
            };
            rows.into_iter().map(one).collect()
        })
    }
}

fn columns(owner: StationOwner) -> (Option<Uuid>, Option<Uuid>, Option<Uuid>) {
    match owner {
        StationOwner::User(id) => (Some(id.0), None, None),
        StationOwner::Device(id) => (None, Some(id.0), None),
        StationOwner::Voucher(id) => (None, None, Some(id.0)),
    }
}

type StationRow = (
    String,
    Option<Uuid>,
    Option<Uuid>,
    Option<Uuid>,
    Option<String>,
    Option<String>,
    Option<String>,
    String,
    Option<i64>,
    i64,
    i64,
    Option<i64>,
);

fn station(row: StationRow, now: UnixMillis) -> Result<Station> {
    let (mac, user, device, voucher, name, access_point, room, method, vlan, joined, last, left) = row;
    let bad = Error::row("wlan_stations", &mac);
    let owner = user.map(|id| StationOwner::User(UserId(id)));
    let owner = owner.or(device.map(|id| StationOwner::Device(DeviceId(id))));
    let owner = owner.or(voucher.map(|id| StationOwner::Voucher(VoucherId(id))));
    let vlan = vlan.map(|vlan| u16::try_from(vlan).map_err(|e| bad(e.to_string()))).transpose()?;
    Ok(Station {
        mac: mac.parse().map_err(|e: ParseError| bad(e.to_string()))?,
        owner: owner.ok_or_else(|| bad("it belongs to nobody".into()))?,
        name: name.unwrap_or_default(),
        access_point,
        room,
        method: meant(&method).map_err(&bad)?,
        vlan: vlan.map(|vlan| Vlan::try_from(vlan).map_err(|e| bad(e.to_string()))).transpose()?,
        joined_at: UnixMillis(joined),
        last_at: UnixMillis(last),
        online: left.is_none() && now.0 - last < ONLINE_MILLIS,
    })
}

/// Where a device was seen holds so long when nothing more is heard. Access points report every ten minutes.
const VISIT_MILLIS: i64 = 60 * 60_000;
/// Whoever joins is asked again after an hour.
const ONLINE_MILLIS: i64 = 75 * 60_000;
const KEPT_MILLIS: i64 = 90 * 86_400_000;
const REFUSALS_MILLIS: i64 = 7 * 86_400_000;
const REFUSALS_MAX: i64 = 1000;
const NAME_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_where_its_access_point_is_unless_a_person_said_so() {
        let [home, gym, lab] = [1, 2, 3].map(Uuid::from_u128);
        let now = UnixMillis(1_000_000_000);
        let seen = |room, left: i64| Some(((room, now.0 + left), 1));
        assert_eq!(step(home, home, None, now), Step::Stay);
        assert_eq!(step(home, gym, None, now), Step::Visit { moved: true });
        assert_eq!(step(home, gym, seen(gym, VISIT_MILLIS - 1), now), Step::Stay);
        assert_eq!(step(home, gym, seen(gym, 1000), now), Step::Visit { moved: false });
        assert_eq!(step(home, lab, seen(gym, VISIT_MILLIS - 1), now), Step::Visit { moved: true });
        assert_eq!(step(home, home, seen(gym, 1000), now), Step::Home);
        assert_eq!(step(home, home, seen(gym, -1), now), Step::Stay);
        assert_eq!(step(home, lab, Some(((gym, now.0 + 5), 0)), now), Step::Stay);
    }
}
