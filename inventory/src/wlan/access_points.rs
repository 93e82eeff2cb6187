//! Access points: who may ask the RADIUS server, and with which secret (RFC 2865 section 3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::Serialize;
use uuid::Uuid;

use super::secrets::random_text;
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::types::{text_serde, title};
use crate::vault::Vault;
use crate::{AccessPointId, Answer, By, Error, Inventory, ParseError, Result, RoomId, UnixMillis};

/// An access point, or several that share a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AccessPoint {
    /// Its id.
    pub id: AccessPointId,
    /// What it is called.
    pub name: String,
    /// Its address, or the network of those that share the secret.
    pub range: Addresses,
    /// Where it is, so that devices that join there are known to be there.
    pub room: Option<RoomId>,
    /// When it asked last.
    pub last_seen: Option<UnixMillis>,
}

/// An access point with its secret.
pub type WithSecret = (AccessPoint, String);

/// An access point to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAccessPoint<'a> {
    /// What it is called: 1 to 60 characters.
    pub name: &'a str,
    /// Its address, or the network of those that share the secret.
    pub range: Addresses,
    /// Where it is.
    pub room: Option<RoomId>,
}

/// One address, or a network in CIDR notation (RFC 4632), of either version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Addresses(IpNet);
text_serde!(Addresses);

impl FromStr for Addresses {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let text = text.trim();
        let found = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let bad = |problem| ParseError::new("address or network", text, problem);
        let found = found
            .map_err(|_| bad("expected an address such as 10.0.5.7, or a network such as 10.0.5.0/24"))?;
        if found.prefix_len() < PREFIX_MIN {
            return Err(bad("this is half the internet"));
        }
        Ok(Self(found.trunc()))
    }
}

impl fmt::Display for Addresses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

/// Whose secret it is that answers to an address: the one with the narrowest range.
#[must_use]
pub fn access_point_of<T>(all: &[T], address: IpAddr, range: impl Fn(&T) -> Addresses) -> Option<&T> {
    let found = all.iter().filter(|one| range(one).0.contains(&address));
    found.max_by_key(|one| range(one).0.prefix_len())
}

impl Inventory {
    /// All access points, by name.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn access_points(&self) -> Answer<'_, Vec<AccessPoint>> {
        Box::pin(async move { Ok(self.access_point_rows().await?.into_iter().map(|(one, _)| one).collect()) })
    }

    /// All access points with their secrets, by name. One whose secret cannot be opened is left out and named in the second list.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn access_point_secrets<'a>(&'a self, vault: &'a Vault) -> Answer<'a, (Vec<WithSecret>, Vec<Error>)> {
        Box::pin(async move {
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for (one, sealed) in self.access_point_rows().await? {
                match opened(vault, one.id, &sealed) {
                    Ok(secret) => good.push((one, secret)),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// The secret of an access point.
    ///
    /// # Errors
    /// There is no such access point, its secret cannot be opened, or the database failed.
    pub fn access_point_secret<'a>(&'a self, vault: &'a Vault, id: AccessPointId) -> Answer<'a, String> {
        Box::pin(async move {
            let rows = self.access_point_rows().await?;
            let found = rows.into_iter().find(|(one, _)| one.id == id);
            let (_, sealed) =
                found.ok_or_else(|| Error::NotFound { what: "access point", key: id.to_string() })?;
            opened(vault, id, &sealed)
        })
    }

    /// Adds an access point with a secret of its own.
    ///
    /// # Errors
    /// Its name is unusable, or it or the range is taken; there are too many; or the database failed.
    pub fn add_access_point<'a>(
        &'a self,
        by: By<'a>,
        vault: &'a Vault,
        new: NewAccessPoint<'a>,
    ) -> Answer<'a, AccessPointId> {
        Box::pin(async move {
            let name = checked(new.name)?;
            let id = AccessPointId::random();
            let sealed = fresh(vault, id)?;
            in_transaction!(self, "add an access point", tx => {
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM access_points")
                    .fetch_one(&mut *tx).await.map_err(Error::db("count access points"))?;
                if count >= ACCESS_POINTS_MAX {
                    return Err(Error::Conflict(format!("there are {ACCESS_POINTS_MAX} access points; let some share a secret")));
                }
                sqlx::query("INSERT INTO access_points (id, name, range, room_id, secret) VALUES ($1, $2, $3, $4, $5)")
                    .bind(id.0).bind(name).bind(new.range.to_string()).bind(new.room.map(|room| room.0)).bind(sealed)
                    .execute(&mut *tx).await.map_err(Error::unique("add an access point", || "there is an access point with this name or this address already".into()))?;
                record!(tx, by, "access_point", id, "created")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Changes name, range and room of an access point. Its secret stays.
    ///
    /// # Errors
    /// There is no such access point, its name is unusable, or it or the range is taken; or the database failed.
    pub fn set_access_point<'a>(
        &'a self,
        by: By<'a>,
        id: AccessPointId,
        new: NewAccessPoint<'a>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = checked(new.name)?;
            in_transaction!(self, "change an access point", tx => {
                let done = sqlx::query("UPDATE access_points SET name = $1, range = $2, room_id = $3 WHERE id = $4")
                    .bind(name).bind(new.range.to_string()).bind(new.room.map(|room| room.0)).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::unique("change an access point", || "there is an access point with this name or this address already".into()))?;
                Error::unless_found(done.rows_affected(), "access point", id)?;
                record!(tx, by, "access_point", id, "changed")?;
                Ok(())
            })
        })
    }

    /// Gives an access point another secret.
    ///
    /// # Errors
    /// There is no such access point, or the database failed.
    pub fn renew_access_point_secret<'a>(
        &'a self,
        by: By<'a>,
        vault: &'a Vault,
        id: AccessPointId,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let sealed = fresh(vault, id)?;
            in_transaction!(self, "change a secret", tx => {
                let done = sqlx::query("UPDATE access_points SET secret = $1 WHERE id = $2")
                    .bind(sealed).bind(id.0).execute(&mut *tx).await.map_err(Error::db("change a secret"))?;
                Error::unless_found(done.rows_affected(), "access point", id)?;
                record!(tx, by, "access_point", id, "secret changed")?;
                Ok(())
            })
        })
    }

    /// Removes an access point: it is not answered any more.
    ///
    /// # Errors
    /// There is no such access point, or the database failed.
    pub fn delete_access_point<'a>(&'a self, by: By<'a>, id: AccessPointId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "remove an access point", tx => {
                let done = sqlx::query("DELETE FROM access_points WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("remove an access point"))?;
                Error::unless_found(done.rows_affected(), "access point", id)?;
                record!(tx, by, "access_point", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Notes that an access point asked; written at most every five minutes.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_access_point(&self, id: AccessPointId, now: UnixMillis) -> Answer<'_, ()> {
        Box::pin(async move {
            in_transaction!(self, "note an access point", tx => {
                sqlx::query("UPDATE access_points SET last_seen = $1 WHERE id = $2 AND (last_seen IS NULL OR last_seen < $3)")
                    .bind(now.0).bind(id.0).bind(now.0 - SEEN_MILLIS)
                    .execute(&mut *tx).await.map_err(Error::db("note an access point"))?;
                Ok(())
            })
        })
    }

    async fn access_point_rows(&self) -> Result<Vec<(AccessPoint, String)>> {
        type Row = (Uuid, String, String, Option<Uuid>, String, Option<i64>);
        let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT id, name, range, room_id, secret, last_seen FROM access_points ORDER BY name")
            .fetch_all(pool).await)
        .map_err(Error::db("list access points"))?;
        let one = |(id, name, range, room, secret, seen): Row| {
            let bad = Error::row("access_points", id);
            let range: Addresses = range.parse().map_err(|e: ParseError| bad(e.to_string()))?;
            let room = room.map(RoomId);
            let last_seen = seen.map(UnixMillis);
            Ok((AccessPoint { id: AccessPointId(id), name, range, room, last_seen }, secret))
        };
        rows.into_iter().map(one).collect()
    }
}

fn checked(name: &str) -> Result<String> {
    title(name, || Error::Conflict("a name must have 1 to 60 printable characters".into()))
}

/// A new secret: 24 characters of 31, as RFC 2865 section 3 asks for at least 16 bytes that cannot be guessed.
fn fresh(vault: &Vault, id: AccessPointId) -> Result<String> {
    let sealed = vault.seal(id.0.as_bytes(), random_text(SECRET_CHARS).as_bytes());
    sealed.ok_or_else(|| Error::Unusable("a secret cannot be sealed".into()))
}

fn opened(vault: &Vault, id: AccessPointId, sealed: &str) -> Result<String> {
    let opened = vault.unseal(id.0.as_bytes(), sealed).and_then(|secret| String::from_utf8(secret).ok());
    opened.ok_or_else(|| {
        Error::row("access_points", id)("its secret was sealed with another key; make a new one".into())
    })
}

const PREFIX_MIN: u8 = 8;
const ACCESS_POINTS_MAX: i64 = 2000;
const SECRET_CHARS: usize = 24;
const SEEN_MILLIS: i64 = 5 * 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrowest_range_answers() {
        let ranges: Vec<Addresses> =
            ["10.0.0.0/8", "10.5.0.0/24", "10.5.0.7/32"].iter().map(|text| text.parse().unwrap()).collect();
        let of = |address: &str| {
            access_point_of(&ranges, address.parse().unwrap(), |range| *range).map(ToString::to_string)
        };
        assert_eq!(of("10.5.0.7").as_deref(), Some("10.5.0.7"));
        assert_eq!(of("10.5.0.8").as_deref(), Some("10.5.0.0/24"));
        assert_eq!(of("10.9.0.8").as_deref(), Some("10.0.0.0/8"));
        assert_eq!(of("192.168.0.1"), None);
        assert_eq!("10.5.0.9/24".parse::<Addresses>().unwrap().to_string(), "10.5.0.0/24");
        assert_eq!("fd00::1".parse::<Addresses>().unwrap().to_string(), "fd00::1");
        for bad in ["", "0.0.0.0/0", "10.0.0", "ap.schule", "10.0.0.1/33"] {
            assert!(bad.parse::<Addresses>().is_err(), "{bad}");
        }
    }
}
