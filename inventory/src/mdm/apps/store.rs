//! The catalogue and who gets what, in the database.

use std::collections::HashMap;

use uuid::Uuid;

use super::{App, AppAssignment, AppId, Asset, Install, Lookup};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, AppAssignmentId, Audience, By, Error, Inventory, UnixMillis};

impl Inventory {
    /// The apps of the school, by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn apps(&self) -> Answer<'_, Vec<App>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT a.id, a.name, a.bundle_id, a.version, a.pricing, a.total, a.available, a.usable, a.configuration, a.configuration_keys,
                   (SELECT COUNT(*) FROM app_licences l WHERE l.app_id = a.id AND l.state = 'assigned') AS assigned,
                   (SELECT COUNT(*) FROM app_licences l WHERE l.app_id = a.id AND l.state = 'lacking') AS lacking
                 FROM apps a ORDER BY LOWER(a.name), a.id").fetch_all(pool).await)
            .map_err(Error::db("list apps"))?;
            Ok(rows.into_iter().map(app).collect())
        })
    }

    /// Keeps the list that Apple gave. An app that is not in it any more has no licences; it is forgotten unless somebody should have it.
    /// What is the same is not written.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_app_catalogue<'a>(&'a self, by: By<'a>, assets: &'a [Asset]) -> Answer<'a, ()> {
        Box::pin(async move {
            let before: HashMap<AppId, App> =
                self.apps().await?.into_iter().map(|app| (app.id, app)).collect();
            let is_new = |asset: &&Asset| before.get(&asset.id).is_none_or(|app| !is_same(app, asset));
            let new: Vec<&Asset> = assets.iter().filter(is_new).collect();
            let listed: std::collections::HashSet<AppId> = assets.iter().map(|asset| asset.id).collect();
            let gone: Vec<AppId> = before
                .values()
                .filter(|app| !listed.contains(&app.id) && (app.total, app.available) != (0, 0))
                .map(|app| app.id)
                .collect();
            if new.is_empty() && gone.is_empty() {
                return Ok(());
            }
            in_transaction!(self, "keep the list of apps", tx => {
                for asset in &new {
                    sqlx::query(
                        "INSERT INTO apps (id, name, bundle_id, version, pricing, total, available, usable, configuration_keys)
                         VALUES ($1, '', '', '', $2, $3, $4, $5, '[]')
                         ON CONFLICT (id) DO UPDATE SET pricing = excluded.pricing, total = excluded.total,
                           available = excluded.available, usable = excluded.usable")
                        .bind(asset.id.stored()).bind(asset.pricing.clone()).bind(i64::from(asset.total))
                        .bind(i64::from(asset.available)).bind(asset.usable)
                        .execute(&mut *tx).await.map_err(Error::db("keep an app"))?;
                    record!(tx, by, "app", asset.id, "observed")?;
                }
                for id in &gone {
                    sqlx::query("UPDATE apps SET total = 0, available = 0 WHERE id = $1").bind(id.stored())
                        .execute(&mut *tx).await.map_err(Error::db("keep an app"))?;
                    sqlx::query("DELETE FROM apps WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM app_assignments s WHERE s.app_id = apps.id)")
                        .bind(id.stored()).execute(&mut *tx).await.map_err(Error::db("forget an app"))?;
                    record!(tx, by, "app", id, "observed")?;
                }
                Ok(())
            })
        })
    }

    /// Keeps what the store says of apps.
    ///
    /// # Errors
    /// The database failed.
    pub fn name_apps<'a>(&'a self, by: By<'a>, found: &'a [Lookup]) -> Answer<'a, ()> {
        Box::pin(async move {
            let before: HashMap<AppId, App> =
                self.apps().await?.into_iter().map(|app| (app.id, app)).collect();
            let differs = |new: &&Lookup| {
                before.get(&new.id).is_some_and(|app| {
                    (&app.name, &app.bundle_id, &app.version) != (&new.name, &new.bundle_id, &new.version)
                })
            };
            let found: Vec<&Lookup> = found.iter().filter(differs).collect();
            if found.is_empty() {
                return Ok(());
            }
            in_transaction!(self, "name apps", tx => {
                for new in &found {
                    sqlx::query("UPDATE apps SET name = $1, bundle_id = $2, version = $3 WHERE id = $4")
                        .bind(new.name.clone()).bind(new.bundle_id.clone()).bind(new.version.clone()).bind(new.id.stored())
                        .execute(&mut *tx).await.map_err(Error::db("name an app"))?;
                    record!(tx, by, "app", new.id, "observed")?;
                }
                Ok(())
            })
        })
    }

    /// Who gets what, oldest first. A row that cannot be used costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn app_assignments(&self) -> Answer<'_, Vec<AppAssignment>> {
        Box::pin(async move {
            let rows: Vec<AssignmentRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, app_id, device_id, room_id, group_id, required, created_by, created_at
                 FROM app_assignments ORDER BY created_at, id").fetch_all(pool).await)
            .map_err(Error::db("list who gets apps"))?;
            Ok(rows.into_iter().map(assignment).collect())
        })
    }

    /// Says that somebody gets an app, in the place of what was said of the same ones before.
    ///
    /// # Errors
    /// App or target do not exist, there are [`ASSIGNMENTS_MAX`], or the database failed.
    pub fn assign_app<'a>(
        &'a self,
        by: By<'a>,
        app: AppId,
        target: Audience,
        install: Install,
    ) -> Answer<'a, AppAssignmentId> {
        Box::pin(async move {
            let id = AppAssignmentId::random();
            let (device, room, group) = target.columns();
            in_transaction!(self, "give an app", tx => {
                let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM apps WHERE id = $1").bind(app.stored())
                    .fetch_one(&mut *tx).await.map_err(Error::db("find an app"))?;
                Error::unless_found(there.unsigned_abs(), "app", app)?;
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM app_assignments").fetch_one(&mut *tx).await
                    .map_err(Error::db("count who gets apps"))?;
                if count >= ASSIGNMENTS_MAX {
                    return Err(Error::Conflict(format!("there are {ASSIGNMENTS_MAX} assignments of apps; remove one first")));
                }
                let same: Vec<AssignmentRow> = sqlx::query_as(
                    "SELECT id, app_id, device_id, room_id, group_id, required, created_by, created_at
                     FROM app_assignments WHERE app_id = $1")
                    .bind(app.stored()).fetch_all(&mut *tx).await.map_err(Error::db("list who gets an app"))?;
                for old in same.into_iter().map(assignment).filter(|old| old.target == target) {
                    sqlx::query("DELETE FROM app_assignments WHERE id = $1").bind(old.id.0)
                        .execute(&mut *tx).await.map_err(Error::db("replace an assignment"))?;
                }
                sqlx::query(
                    "INSERT INTO app_assignments (id, app_id, device_id, room_id, group_id, required, created_by, created_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
                    .bind(id.0).bind(app.stored()).bind(device).bind(room).bind(group).bind(install == Install::Required)
                    .bind(by.actor.to_owned()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("give an app"))?;
                record!(tx, by, "app", app, "given")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Takes back that somebody gets an app.
    ///
    /// # Errors
    /// There is no such assignment, or the database failed.
    pub fn unassign_app<'a>(&'a self, by: By<'a>, id: AppAssignmentId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "take an app back", tx => {
                let app: Option<i64> = sqlx::query_scalar("DELETE FROM app_assignments WHERE id = $1 RETURNING app_id")
                    .bind(id.0).fetch_optional(&mut *tx).await.map_err(Error::db("take an app back"))?;
                let Some(app) = app else { return Err(Error::NotFound { what: "assignment", key: id.to_string() }) };
                record!(tx, by, "app", app, "taken back")?;
                Ok(())
            })
        })
    }

    /// Keeps the configuration that an app finds on every iPad, sealed, with the names of its keys; or none.
    ///
    /// # Errors
    /// There is no such app, or the database failed.
    pub fn configure_app<'a>(
        &'a self,
        by: By<'a>,
        app: AppId,
        configuration: Option<(&'a str, &'a [String])>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let keys = configuration.map_or_else(Vec::new, |(_, keys)| keys.to_vec());
            in_transaction!(self, "configure an app", tx => {
                let done = sqlx::query("UPDATE apps SET configuration = $1, configuration_keys = $2 WHERE id = $3")
                    .bind(configuration.map(|(sealed, _)| sealed.to_owned()))
                    .bind(serde_json::to_string(&keys).unwrap_or_default()).bind(app.stored())
                    .execute(&mut *tx).await.map_err(Error::db("configure an app"))?;
                Error::unless_found(done.rows_affected(), "app", app)?;
                record!(tx, by, "app", app, "configured")?;
                Ok(())
            })
        })
    }

    /// The sealed configuration of an app.
    ///
    /// # Errors
    /// The database failed.
    pub fn sealed_app_configuration(&self, app: AppId) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let sealed: Option<Option<String>> = on_pool!(self, pool =>
                sqlx::query_scalar("SELECT configuration FROM apps WHERE id = $1").bind(app.stored()).fetch_optional(pool).await)
            .map_err(Error::db("find the configuration of an app"))?;
            Ok(sealed.flatten())
        })
    }
}

fn is_same(app: &App, asset: &Asset) -> bool {
    (&app.pricing, app.total, app.available, app.usable)
        == (&asset.pricing, asset.total, asset.available, asset.usable)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    bundle_id: String,
    version: String,
    pricing: String,
    total: i64,
    available: i64,
    usable: bool,
    configuration: Option<String>,
    configuration_keys: String,
    assigned: i64,
    lacking: i64,
}

fn app(row: Row) -> App {
    let count = |number: i64| u32::try_from(number).unwrap_or(0);
    App {
        id: AppId::from_stored(row.id),
        name: row.name,
        bundle_id: row.bundle_id,
        version: row.version,
        pricing: row.pricing,
        total: count(row.total),
        available: count(row.available),
        usable: row.usable,
        configuration_keys: serde_json::from_str(&row.configuration_keys).unwrap_or_default(),
        configured: row
            .configuration
            .map(|sealed| blake3::hash(sealed.as_bytes()).to_hex().chars().take(16).collect()),
        assigned: count(row.assigned),
        lacking: count(row.lacking),
    }
}

type AssignmentRow = (Uuid, i64, Option<Uuid>, Option<Uuid>, Option<Uuid>, bool, String, i64);

fn assignment((id, app, device, room, group, required, by, at): AssignmentRow) -> AppAssignment {
    AppAssignment {
        id: AppAssignmentId(id),
        app: AppId::from_stored(app),
        target: Audience::of_columns(device, room, group),
        install: if required { Install::Required } else { Install::Offered },
        created_by: by,
        created_at: UnixMillis(at),
    }
}

/// Most assignments of apps.
pub const ASSIGNMENTS_MAX: i64 = 5000;
