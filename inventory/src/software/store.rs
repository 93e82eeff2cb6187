//! Catalogue, wishes and what became of them, in the database.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use software::package::{Package, PackageId};
use software::plan::{Catalogue, Wish};
use software::protocol::StepResult;
use software::turn::Turn;
use uuid::Uuid;

use super::{Entry, Known, PcSoftware, SoftwareWish, Turns};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::gate::store::kept;
use crate::{Answer, Audience, By, DeviceId, EntryId, Error, Inventory, Result, UnixMillis, WishId};

type EntryRow = (Uuid, String, String, i64);
type WishRow = (Uuid, String, Option<Uuid>, Option<Uuid>, Option<Uuid>, String, String, i64);
type PcRow = (Uuid, String, String, String, i64, i64);
type TurnRow = (Uuid, String, Option<String>, i64);

impl Inventory {
    /// The catalogue, oldest entry first. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn software_entries(&self) -> Answer<'_, (Vec<Entry>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<EntryRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, definition, created_by, created_at FROM packages ORDER BY created_at, id")
                .fetch_all(pool).await)
            .map_err(Error::db("list packages"))?;
            let mut problems = Vec::new();
            let entries = rows.into_iter().filter_map(|row| kept(entry(row), &mut problems)).collect();
            Ok((entries, problems))
        })
    }

    /// Adds a version of a program.
    ///
    /// # Errors
    /// It contradicts the catalogue, or the database failed.
    pub fn add_software<'a>(&'a self, by: By<'a>, package: &'a Package) -> Answer<'a, EntryId> {
        Box::pin(async move {
            let id = EntryId::random();
            let definition = written(package)?;
            in_transaction!(self, "add a package", tx => {
                let rows: Vec<EntryRow> = sqlx::query_as("SELECT id, definition, created_by, created_at FROM packages")
                    .fetch_all(&mut *tx).await.map_err(Error::db("list packages"))?;
                let there = rows.into_iter().filter_map(|row| entry(row).ok());
                let mut packages: Vec<Package> = there.map(|entry| entry.package.as_ref().clone()).collect();
                packages.push(package.clone());
                Catalogue::new(packages).map_err(|error| Error::Conflict(error.to_string()))?;
                sqlx::query(
                    "INSERT INTO packages (id, package, version, definition, created_by, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6)")
                    .bind(id.0).bind(package.id.to_string()).bind(package.version.to_string()).bind(definition)
                    .bind(by.actor.to_owned()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("add a package"))?;
                record!(tx, by, "package", package.id, "added")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Removes a version of a program. The last one goes only when nobody wishes the program any more.
    ///
    /// # Errors
    /// There is none, somebody wishes it, or the database failed.
    pub fn remove_software<'a>(&'a self, by: By<'a>, id: EntryId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "remove a package", tx => {
                let package: Option<String> = sqlx::query_scalar("DELETE FROM packages WHERE id = $1 RETURNING package")
                    .bind(id.0).fetch_optional(&mut *tx).await.map_err(Error::db("remove a package"))?;
                let Some(package) = package else {
                    return Err(Error::NotFound { what: "package", key: id.to_string() });
                };
                let orphaned: i64 = sqlx::query_scalar(
                    "SELECT COUNT(*) FROM package_wishes w WHERE w.package = $1
                     AND NOT EXISTS (SELECT 1 FROM packages p WHERE p.package = w.package)")
                    .bind(package.clone()).fetch_one(&mut *tx).await.map_err(Error::db("count wishes"))?;
                if orphaned > 0 {
                    return Err(Error::Conflict(format!("{package} is assigned to PCs; take that back first")));
                }
                record!(tx, by, "package", package, "removed")?;
                Ok(())
            })
        })
    }

    /// Who should have what, oldest first. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn software_wishes(&self) -> Answer<'_, (Vec<SoftwareWish>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<WishRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, package, device_id, room_id, group_id, wish, created_by, created_at
                 FROM package_wishes ORDER BY created_at, id").fetch_all(pool).await)
            .map_err(Error::db("list who gets programs"))?;
            let mut problems = Vec::new();
            let wishes = rows.into_iter().filter_map(|row| kept(wish(row), &mut problems)).collect();
            Ok((wishes, problems))
        })
    }

    /// Says what is wished of a program, in the place of what was said of the same PCs before.
    ///
    /// # Errors
    /// The program or the PCs do not exist, there are [`WISHES_MAX`], or the database failed.
    pub fn wish_software<'a>(
        &'a self,
        by: By<'a>,
        package: &'a PackageId,
        audience: Audience,
        wish: &'a Wish,
    ) -> Answer<'a, WishId> {
        Box::pin(async move {
            let (id, text) = (WishId::random(), written(wish)?);
            let (device, room, group) = audience.columns();
            in_transaction!(self, "assign a program", tx => {
                let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM packages WHERE package = $1").bind(package.to_string())
                    .fetch_one(&mut *tx).await.map_err(Error::db("find a package"))?;
                Error::unless_found(there.unsigned_abs(), "package", package)?;
                let old: Vec<WishRow> = sqlx::query_as(
                    "SELECT id, package, device_id, room_id, group_id, wish, created_by, created_at
                     FROM package_wishes WHERE package = $1")
                    .bind(package.to_string()).fetch_all(&mut *tx).await.map_err(Error::db("list who gets a program"))?;
                for row in old.iter().filter(|row| (row.2, row.3, row.4) == (device, room, group)) {
                    sqlx::query("DELETE FROM package_wishes WHERE id = $1").bind(row.0)
                        .execute(&mut *tx).await.map_err(Error::db("replace an assignment"))?;
                }
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM package_wishes").fetch_one(&mut *tx).await
                    .map_err(Error::db("count who gets programs"))?;
                if count >= WISHES_MAX {
                    return Err(Error::Conflict(format!("there are {WISHES_MAX} assignments of programs; remove one first")));
                }
                sqlx::query(
                    "INSERT INTO package_wishes (id, package, device_id, room_id, group_id, wish, created_by, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
                    .bind(id.0).bind(package.to_string()).bind(device).bind(room).bind(group).bind(text)
                    .bind(by.actor.to_owned()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("assign a program"))?;
                record!(tx, by, "package", package, "assigned")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Takes back what was wished.
    ///
    /// # Errors
    /// There is no such wish, or the database failed.
    pub fn unwish_software<'a>(&'a self, by: By<'a>, id: WishId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "take an assignment back", tx => {
                let package: Option<String> = sqlx::query_scalar("DELETE FROM package_wishes WHERE id = $1 RETURNING package")
                    .bind(id.0).fetch_optional(&mut *tx).await.map_err(Error::db("take an assignment back"))?;
                let Some(package) = package else {
                    return Err(Error::NotFound { what: "assignment", key: id.to_string() });
                };
                record!(tx, by, "package", package, "taken back")?;
                Ok(())
            })
        })
    }

    /// Keeps what the agent of a PC found, and what became of steps there; both or neither.
    ///
    /// # Errors
    /// There is no such device, or the database failed.
    pub fn keep_software<'a>(
        &'a self,
        by: By<'a>,
        device: DeviceId,
        pc: &'a PcSoftware,
        results: &'a [StepResult],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let (system, architecture) = (written(&pc.system)?, written(&pc.architecture)?);
            let observed = written(&pc.observed)?;
            in_transaction!(self, "keep what a PC has", tx => {
                sqlx::query(
                    "INSERT INTO pc_software (device_id, system, architecture, observed, signed_in, reported_at)
                     VALUES ($1, $2, $3, $4, $5, $6)
                     ON CONFLICT (device_id) DO UPDATE SET system = excluded.system, architecture = excluded.architecture,
                       observed = excluded.observed, signed_in = excluded.signed_in, reported_at = excluded.reported_at")
                    .bind(device.0).bind(system).bind(architecture).bind(observed).bind(i64::from(pc.signed_in)).bind(pc.reported_at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("keep what a PC has"))?;
                for result in results {
                    let turn = Turn {
                        version: result.version.clone(),
                        action: result.action.clone(),
                        outcome: result.outcome.clone(),
                        at: by.at.0,
                    };
                    sqlx::query(
                        "INSERT INTO package_turns (device_id, package, turn, round) VALUES ($1, $2, $3, 0)
                         ON CONFLICT (device_id, package) DO UPDATE SET turn = excluded.turn")
                        .bind(device.0).bind(result.package.to_string()).bind(written(&turn)?)
                        .execute(&mut *tx).await.map_err(Error::reference("keep what became of a step"))?;
                }
                record!(tx, by, "software", device, "observed")?;
                Ok(())
            })
        })
    }

    /// Says that a program is to be tried again on a PC, or on all where it failed.
    ///
    /// # Errors
    /// It failed nowhere, or the database failed.
    pub fn retry_software<'a>(
        &'a self,
        by: By<'a>,
        package: &'a PackageId,
        device: Option<DeviceId>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "try a program again", tx => {
                let done = sqlx::query(
                    "UPDATE package_turns SET turn = NULL, round = round + 1
                     WHERE package = $1 AND turn IS NOT NULL AND ($2 IS NULL OR device_id = $2)")
                    .bind(package.to_string()).bind(device.map(|id| id.0))
                    .execute(&mut *tx).await.map_err(Error::db("try a program again"))?;
                Error::unless_found(done.rows_affected(), "result of package", package)?;
                record!(tx, by, "package", package, "tried again")?;
                Ok(())
            })
        })
    }

    /// What is known of programs on PCs: of all, or of one. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn known_software(&self, of: Option<DeviceId>) -> Answer<'_, (Vec<Known>, Vec<Error>)> {
        Box::pin(async move {
            let of = of.map(|id| id.0);
            let (pcs, turns): (Vec<PcRow>, Vec<TurnRow>) = on_pool!(self, pool => {
                let pcs = sqlx::query_as(
                    "SELECT device_id, system, architecture, observed, signed_in, reported_at FROM pc_software
                     WHERE $1 IS NULL OR device_id = $1")
                    .bind(of).fetch_all(pool).await.map_err(Error::db("list what PCs have"))?;
                let turns = sqlx::query_as(
                    "SELECT device_id, package, turn, round FROM package_turns WHERE $1 IS NULL OR device_id = $1")
                    .bind(of).fetch_all(pool).await.map_err(Error::db("list what became of steps"))?;
                (pcs, turns)
            });
            let mut problems = Vec::new();
            let mut by_device: HashMap<Uuid, Turns> = HashMap::new();
            for row in turns {
                let turns = by_device.entry(row.0).or_default();
                kept(take_turn(turns, row), &mut problems);
            }
            let pcs = pcs.into_iter().filter_map(|row| {
                let device = row.0;
                let pc = kept(pc(row), &mut problems)?;
                let turns = by_device.remove(&device).unwrap_or_default();
                Some(Known { device: DeviceId(device), pc, turns })
            });
            let pcs = pcs.collect();
            Ok((pcs, problems))
        })
    }
}

fn written(value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::Conflict(format!("this cannot be written: {error}")))
}

fn read<T: DeserializeOwned>(table: &'static str, key: impl ToString, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::row(table, key)(error.to_string()))
}

fn entry((id, definition, created_by, created_at): EntryRow) -> Result<Entry> {
    let package: Package = read("packages", id, &definition)?;
    let created_at = UnixMillis(created_at);
    Ok(Entry { id: EntryId(id), package: Arc::new(package), created_by, created_at })
}

fn wish((id, package, device, room, group, wish, created_by, created_at): WishRow) -> Result<SoftwareWish> {
    let bad = Error::row("package_wishes", id);
    Ok(SoftwareWish {
        id: WishId(id),
        package: package.parse().map_err(|error: software::package::ValueError| bad(error.to_string()))?,
        audience: Audience::of_columns(device, room, group),
        wish: read("package_wishes", id, &wish)?,
        created_by,
        created_at: UnixMillis(created_at),
    })
}

fn pc((device, system, architecture, observed, signed_in, reported_at): PcRow) -> Result<PcSoftware> {
    Ok(PcSoftware {
        system: read("pc_software", device, &system)?,
        architecture: read("pc_software", device, &architecture)?,
        observed: read("pc_software", device, &observed)?,
        signed_in: signed_in != 0,
        reported_at: UnixMillis(reported_at),
    })
}

fn take_turn(turns: &mut Turns, (device, package, turn, round): TurnRow) -> Result<()> {
    let bad = Error::row("package_turns", device);
    let package: PackageId =
        package.parse().map_err(|error: software::package::ValueError| bad(error.to_string()))?;
    turns.rounds.insert(package.clone(), round.unsigned_abs());
    if let Some(turn) = turn {
        turns.last.insert(package, read("package_turns", device, &turn)?);
    }
    Ok(())
}

/// Most assignments of programs.
pub const WISHES_MAX: i64 = 5000;
