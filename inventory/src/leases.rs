//! DHCP leases. Written in batches, many to one commit, before any of their ACKs is sent.

use std::net::Ipv4Addr;

use crate::db::{Pools, on_pool};
use crate::{Answer, Error, Hostname, Inventory, MacAddr, Result, UnixMillis};

/// A lease. Its address is the key: at most one client holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub ip: Ipv4Addr,
    /// Who holds it, in the words of the DHCP engine (device id, client identifier or hardware address).
    pub client: String,
    /// Hardware address that asked.
    pub mac: MacAddr,
    /// Host name the client told, if it can be a DNS label.
    pub hostname: Option<Hostname>,
    /// Whether it is in use.
    pub state: LeaseState,
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// Whether a lease is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// Held by its client until it expires.
    Active,
    /// Given back; free, but remembered so that its client gets it again.
    Released,
    /// Found in use by somebody else; nobody gets it until it expires (RFC 2131 section 4.3.3).
    Declined,
}

impl LeaseState {
    fn text(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Released => "released",
            Self::Declined => "declined",
        }
    }
}

/// A card, the address that it holds, and until when.
pub type HeldAddress = (MacAddr, Ipv4Addr, UnixMillis);

type Row = (i64, String, String, Option<String>, String, i64);

impl Inventory {
    /// All leases, also those that ended: they remember who had which address.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense come in the second list.
    pub fn leases(&self) -> Answer<'_, (Vec<Lease>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT ip, client, mac, hostname, state, expires_at FROM leases ORDER BY ip").fetch_all(pool).await)
        .map_err(Error::db("list leases"))?;
            Ok(sorted(rows))
        })
    }

    /// The leases that give a host name an address: those in use at `now` whose card belongs to a device or whose client told
    /// a name. A big network has many more.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense come in the second list.
    pub fn named_leases(&self, now: UnixMillis) -> Answer<'_, (Vec<Lease>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT ip, client, mac, hostname, state, expires_at FROM leases
             WHERE state = 'active' AND expires_at > $1 AND (hostname IS NOT NULL OR mac IN (SELECT mac FROM interfaces))
             ORDER BY ip").bind(now.0).fetch_all(pool).await)
        .map_err(Error::db("list leases with names"))?;
            Ok(sorted(rows))
        })
    }

    /// Which card holds which address at `now`, and until when.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense come in the second list.
    pub fn held_addresses(&self, now: UnixMillis) -> Answer<'_, (Vec<HeldAddress>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<(i64, String, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT ip, mac, expires_at FROM leases WHERE state = 'active' AND expires_at > $1")
                .bind(now.0).fetch_all(pool).await)
            .map_err(Error::db("list addresses that are held"))?;
            let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
            for (ip, mac, ends) in rows {
                match (address(ip), mac.parse()) {
                    (Ok(ip), Ok(mac)) => good.push((mac, ip, UnixMillis(ends))),
                    (Err(problem), _) => bad.push(problem),
                    (_, Err(problem)) => {
                        let problem: crate::ParseError = problem;
                        bad.push(Error::row("leases", ip)(problem.to_string()));
                    }
                }
            }
            Ok((good, bad))
        })
    }

    /// The lease of one address.
    ///
    /// # Errors
    /// The database failed or the row makes no sense.
    pub fn lease(&self, ip: Ipv4Addr) -> Answer<'_, Option<Lease>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT ip, client, mac, hostname, state, expires_at FROM leases WHERE ip = $1")
            .bind(i64::from(u32::from(ip))).fetch_optional(pool).await)
            .map_err(Error::db("find a lease"))?;
            row.map(lease).transpose()
        })
    }

    /// Writes leases durably in one transaction and returns the addresses that were accepted. An address that another
    /// client holds at `now` — given out by another server on the same database — is not accepted and stays as it is.
    /// Each address may occur once.
    ///
    /// # Errors
    /// The database failed; then nothing was written.
    pub fn commit_leases<'a>(&'a self, now: UnixMillis, leases: &'a [Lease]) -> Answer<'a, Vec<Ipv4Addr>> {
        Box::pin(async move {
            macro_rules! upsert {
            ($executor:expr, $part:expr) => {{
                let mut sql = sqlx::QueryBuilder::new("INSERT INTO leases (ip, client, mac, hostname, state, expires_at) ");
                sql.push_values($part, |mut row, lease| {
                    row.push_bind(i64::from(u32::from(lease.ip)))
                        .push_bind(lease.client.as_str())
                        .push_bind(lease.mac.to_string())
                        .push_bind(lease.hostname.as_ref().map(Hostname::as_str))
                        .push_bind(lease.state.text())
                        .push_bind(lease.expires_at.0);
                });
                sql.push(
                    " ON CONFLICT (ip) DO UPDATE SET client = excluded.client, mac = excluded.mac,
                     hostname = excluded.hostname, state = excluded.state, expires_at = excluded.expires_at
                     WHERE leases.client = excluded.client OR leases.state = 'released' OR leases.expires_at <= ",
                );
                sql.push_bind(now.0);
                sql.build().execute($executor).await.map_err(Error::db("write leases"))?.rows_affected()
            }};
        }
            macro_rules! upsert_all {
                ($tx:expr) => {{
                    let mut written = 0;
                    for part in leases.chunks(ROWS_PER_STATEMENT) {
                        written += upsert!(&mut *$tx, part);
                    }
                    $tx.commit().await.map_err(Error::db("write leases"))?;
                    written
                }};
            }
            // A single statement is a transaction by itself and costs one exchange with the engine where a transaction around it
            // costs three; a lone client waits for nothing else.
            let single = leases.len() <= ROWS_PER_STATEMENT;
            let written = match &self.pools {
                _ if leases.is_empty() => 0,
                Pools::Sqlite { write, .. } if single => upsert!(write, leases),
                Pools::Sqlite { write, .. } => {
                    let mut tx =
                        write.begin_with("BEGIN IMMEDIATE").await.map_err(Error::db("write leases"))?;
                    upsert_all!(tx)
                }
                Pools::Postgres(pool) if single => upsert!(pool, leases),
                Pools::Postgres(pool) => {
                    let mut tx = pool.begin().await.map_err(Error::db("write leases"))?;
                    upsert_all!(tx)
                }
            };
            if written == leases.len() as u64 {
                return Ok(leases.iter().map(|lease| lease.ip).collect());
            }
            // Rare: another server had given some of them away. What stands there now tells which.
            let mut accepted = Vec::with_capacity(leases.len());
            for lease in leases {
                if self.lease(lease.ip).await?.is_some_and(|row| row.client == lease.client) {
                    accepted.push(lease.ip);
                }
            }
            Ok(accepted)
        })
    }
}

fn sorted(rows: Vec<Row>) -> (Vec<Lease>, Vec<Error>) {
    let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        match lease(row) {
            Ok(lease) => good.push(lease),
            Err(problem) => bad.push(problem),
        }
    }
    (good, bad)
}

fn lease((ip, client, mac, hostname, state, expires_at): Row) -> Result<Lease> {
    let bad = Error::row("leases", ip);
    Ok(Lease {
        ip: address(ip)?,
        client,
        mac: mac.parse().map_err(|e: crate::ParseError| bad(e.to_string()))?,
        hostname: hostname.and_then(|name| name.parse().ok()),
        state: match state.as_str() {
            "active" => LeaseState::Active,
            "released" => LeaseState::Released,
            "declined" => LeaseState::Declined,
            other => return Err(bad(format!("unknown state {other:?}"))),
        },
        expires_at: UnixMillis(expires_at),
    })
}

fn address(ip: i64) -> Result<Ipv4Addr> {
    let bad = Error::row("leases", ip);
    Ok(u32::try_from(ip).map_err(|_| bad("this is no IPv4 address".into()))?.into())
}

/// Rows of one INSERT. Each number of rows is a statement of its own to prepare and keep.
const ROWS_PER_STATEMENT: usize = 64;
