//! Strays: hardware and IP addresses in use together that no lease and no reservation explains. A device with an address that
//! somebody typed in is one, and so is a device that gives itself out as another.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use serde::Serialize;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, MacAddr, NetworkId, Result, UnixMillis};

/// A pair of addresses that nothing explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Stray {
    /// The address that is used.
    pub ip: Ipv4Addr,
    /// The card that uses it.
    pub mac: MacAddr,
    /// Name of the device that the card belongs to, if it is managed.
    pub card_of: Option<String>,
    /// Name of the device that the address is reserved for or leased to, if there is one.
    pub address_of: Option<String>,
    /// When it was first seen.
    pub first_seen: UnixMillis,
    /// When it was last seen, give or take a minute.
    pub last_seen: UnixMillis,
}

/// A pair that was seen, and the network that it was seen in.
pub type StraySeen = (NetworkId, MacAddr, Ipv4Addr);

type Row = (String, i64, i64, i64, Option<String>, Option<String>, Option<String>);
/// Cards and names of the devices that addresses are reserved for.
type Reserved = HashMap<String, (String, String)>;

impl Inventory {
    /// The pairs that nothing explains at `now`, the latest first, at most 500.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense come in the second list.
    pub fn strays(&self, now: UnixMillis) -> Answer<'_, (Vec<Stray>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT s.mac, s.ip, s.first_seen, s.last_seen, d.name, l.mac, h.name
                 FROM strays s
                 LEFT JOIN interfaces i ON i.mac = s.mac LEFT JOIN devices d ON d.id = i.device_id
                 LEFT JOIN leases l ON l.ip = s.ip AND l.state = 'active' AND l.expires_at > $1
                 LEFT JOIN interfaces k ON k.mac = l.mac LEFT JOIN devices h ON h.id = k.device_id
                 ORDER BY s.last_seen DESC, s.ip, s.mac LIMIT 500")
                .bind(now.0).fetch_all(pool).await)
            .map_err(Error::db("list addresses that nothing explains"))?;
            if rows.is_empty() {
                return Ok(Default::default());
            }
            let reserved: Vec<(String, String, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT i.reserved_ip, i.mac, d.name FROM interfaces i JOIN devices d ON d.id = i.device_id
                 WHERE i.reserved_ip IS NOT NULL").fetch_all(pool).await)
            .map_err(Error::db("list reserved addresses"))?;
            let reserved: Reserved = reserved.into_iter().map(|(ip, mac, name)| (ip, (mac, name))).collect();
            let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                match stray(row, &reserved) {
                    Ok(stray) => good.extend(stray),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// Writes down that these pairs were seen. Of each network the latest [`STRAYS_MAX`] are kept, and none longer than a week
    /// after it was last seen.
    ///
    /// # Errors
    /// The database failed; then nothing was written. A network that is gone is left out.
    pub fn see_strays<'a>(&'a self, by: By<'a>, seen: &'a [StraySeen]) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "write down addresses that nothing explains", tx => {
                let mut new = 0;
                for (network, mac, ip) in seen {
                    let ip = i64::from(u32::from(*ip));
                    let known = sqlx::query("UPDATE strays SET last_seen = $1, network_id = $2 WHERE mac = $3 AND ip = $4")
                        .bind(by.at.0).bind(network.0).bind(mac.to_string()).bind(ip)
                        .execute(&mut *tx).await.map_err(Error::db("see a stray again"))?.rows_affected();
                    if known > 0 {
                        continue;
                    }
                    new += sqlx::query(
                        "INSERT INTO strays (mac, ip, network_id, first_seen, last_seen)
                         SELECT $1, $2, id, $3, $3 FROM networks WHERE id = $4")
                        .bind(mac.to_string()).bind(ip).bind(by.at.0).bind(network.0)
                        .execute(&mut *tx).await.map_err(Error::db("add a stray"))?.rows_affected();
                }
                sqlx::query(
                    "DELETE FROM strays WHERE last_seen < $1 OR (mac, ip) IN (SELECT mac, ip FROM
                         (SELECT mac, ip, ROW_NUMBER() OVER (PARTITION BY network_id ORDER BY last_seen DESC, first_seen DESC) AS place
                          FROM strays) AS ordered WHERE place > $2)")
                    .bind(by.at.0.saturating_sub(KEPT_MILLIS)).bind(STRAYS_MAX)
                    .execute(&mut *tx).await.map_err(Error::db("forget strays"))?;
                if new > 0 {
                    record!(tx, by, "stray", new, "seen")?;
                }
                Ok(())
            })
        })
    }
}

/// The stray of a row; none if something explains it by now.
fn stray(row: Row, reserved: &Reserved) -> Result<Option<Stray>> {
    let (mac, ip, first_seen, last_seen, card_of, leased_to, leased_name) = row;
    let bad = Error::row("strays", &mac);
    let ip: Ipv4Addr = u32::try_from(ip).map_err(|_| bad("its address is no IPv4 address".into()))?.into();
    let reserved = reserved.get(&ip.to_string());
    if leased_to.as_ref() == Some(&mac) || reserved.is_some_and(|(card, _)| *card == mac) {
        return Ok(None);
    }
    Ok(Some(Stray {
        ip,
        mac: mac.parse().map_err(|e: crate::ParseError| bad(e.to_string()))?,
        card_of,
        address_of: leased_name.or_else(|| reserved.map(|(_, name)| name.clone())),
        first_seen: UnixMillis(first_seen),
        last_seen: UnixMillis(last_seen),
    }))
}

/// How many are kept of each network.
pub const STRAYS_MAX: i64 = 256;
/// How long one is kept after it was last seen.
const KEPT_MILLIS: i64 = 7 * 24 * 3600 * 1000;
