//! Networks: address ranges, their pools, and what our DHCP server does there.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Cidr, Error, Inventory, NetworkId, ParseError, Result};

/// A network of the school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// What people call it; unique.
    pub name: String,
    /// Its addresses.
    pub cidr: Cidr,
    /// Default gateway handed out, if any.
    pub router: Option<Ipv4Addr>,
    /// First address of the pool.
    pub pool_first: Ipv4Addr,
    /// Last address of the pool.
    pub pool_last: Ipv4Addr,
    /// Length of a lease in seconds.
    pub lease_secs: u32,
    /// What our DHCP server does here.
    pub mode: DhcpMode,
}

/// What our DHCP server does in a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DhcpMode {
    /// Gives addresses.
    Server,
    /// Another server gives addresses; we only tell PCs what to boot (ProxyDHCP, Intel PXE 2.1 section 2.2.3).
    Proxy,
    /// Says nothing.
    Off,
}

/// Why a network cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkProblem {
    /// A text of it cannot be read.
    #[error(transparent)]
    Text(#[from] ParseError),
    /// Pool border or router lie outside.
    #[error("{what} {address} is not a host address of {cidr}")]
    Outside {
        /// Which one.
        what: &'static str,
        /// The address.
        address: Ipv4Addr,
        /// The network.
        cidr: Cidr,
    },
    /// The pool ends before it begins.
    #[error("the pool ends at {last}, before it begins at {first}")]
    Backwards {
        /// First address.
        first: Ipv4Addr,
        /// Last address.
        last: Ipv4Addr,
    },
    /// Nobody can work with such a lease.
    #[error("a lease of {0} seconds is outside of 60 seconds to 30 days")]
    LeaseLength(u32),
}

impl Network {
    /// Whether its parts fit together.
    ///
    /// # Errors
    /// The first part that does not.
    pub fn check(&self) -> Result<(), NetworkProblem> {
        let inside = |what, address| {
            if self.cidr.is_host(address) {
                Ok(())
            } else {
                Err(NetworkProblem::Outside { what, address, cidr: self.cidr })
            }
        };
        inside("first pool address", self.pool_first)?;
        inside("last pool address", self.pool_last)?;
        if let Some(router) = self.router {
            inside("router", router)?;
        }
        if self.pool_first > self.pool_last {
            return Err(NetworkProblem::Backwards { first: self.pool_first, last: self.pool_last });
        }
        if !(60..=30 * 86_400).contains(&self.lease_secs) {
            return Err(NetworkProblem::LeaseLength(self.lease_secs));
        }
        Ok(())
    }
}

type Row = (Uuid, String, String, Option<String>, String, String, i64, String);

impl Inventory {
    /// All networks by name. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn networks(&self) -> Answer<'_, (Vec<Network>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            "SELECT id, name, cidr, router, pool_first, pool_last, lease_secs, mode FROM networks ORDER BY name")
            .fetch_all(pool).await)
        .map_err(Error::db("list networks"))?;
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for row in rows {
                match network(row) {
                    Ok(network) => good.push(network),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// Adds a network or replaces the one with the same id.
    ///
    /// # Errors
    /// Its parts do not fit together, its name is taken, it overlaps another network, or the database failed.
    pub fn put_network<'a>(&'a self, by: By<'a>, network: &'a Network) -> Answer<'a, ()> {
        Box::pin(async move {
            network.check().map_err(|problem| Error::Conflict(problem.to_string()))?;
            let (others, _) = self.networks().await?;
            let overlaps = |other: &&Network| {
                other.id != network.id
                    && (other.cidr.contains(network.cidr.network())
                        || network.cidr.contains(other.cidr.network()))
            };
            if let Some(other) = others.iter().find(overlaps) {
                return Err(Error::Conflict(format!(
                    "{} overlaps {} ({})",
                    network.cidr, other.name, other.cidr
                )));
            }
            let mode = match network.mode {
                DhcpMode::Server => "server",
                DhcpMode::Proxy => "proxy",
                DhcpMode::Off => "off",
            };
            in_transaction!(self, "save a network", tx => {
                sqlx::query(
                    "INSERT INTO networks (id, name, cidr, router, pool_first, pool_last, lease_secs, mode)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, cidr = excluded.cidr, router = excluded.router,
                 pool_first = excluded.pool_first, pool_last = excluded.pool_last, lease_secs = excluded.lease_secs,
                 mode = excluded.mode")
                    .bind(network.id.0).bind(network.name.clone()).bind(network.cidr.to_string())
                    .bind(network.router.map(|r| r.to_string())).bind(network.pool_first.to_string())
                    .bind(network.pool_last.to_string()).bind(i64::from(network.lease_secs)).bind(mode)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("save a network", || format!("there is a network named {:?} already", network.name)))?;
                record!(tx, by, "network", network.id, "saved")?;
                Ok(())
            })
        })
    }

    /// Removes a network; its leases run out by themselves.
    ///
    /// # Errors
    /// There is no such network, or the database failed.
    pub fn delete_network<'a>(&'a self, by: By<'a>, id: NetworkId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a network", tx => {
                let done = sqlx::query("DELETE FROM networks WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(Error::db("delete a network"))?;
                Error::unless_found(done.rows_affected(), "network", id)?;
                record!(tx, by, "network", id, "deleted")?;
                Ok(())
            })
        })
    }
}

fn network((id, name, cidr, router, first, last, lease_secs, mode): Row) -> Result<Network> {
    let bad = Error::row("networks", &name);
    let address = |what: &'static str, text: &str| {
        text.parse::<Ipv4Addr>().map_err(|_| bad(format!("{what} {text:?} is no IPv4 address")))
    };
    let network = Network {
        id: NetworkId(id),
        cidr: cidr.parse().map_err(|e: ParseError| bad(e.to_string()))?,
        router: router.map(|r| address("router", &r)).transpose()?,
        pool_first: address("first pool address", &first)?,
        pool_last: address("last pool address", &last)?,
        lease_secs: u32::try_from(lease_secs)
            .map_err(|_| bad(format!("lease length {lease_secs} is out of range")))?,
        mode: match mode.as_str() {
            "server" => DhcpMode::Server,
            "proxy" => DhcpMode::Proxy,
            "off" => DhcpMode::Off,
            other => return Err(bad(format!("unknown mode {other:?}"))),
        },
        name: name.clone(),
    };
    network.check().map_err(|problem| bad(problem.to_string()))?;
    Ok(network)
}
