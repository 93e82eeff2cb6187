//! Licences and what iPads were told, in the database.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::commands::{NewCommand, insert_command, supersede};
use super::{AppId, Licence, LicenceState};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, CommandId, EnrolmentId, Error, Inventory, Result, UnixMillis};

/// What became of a licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LicenceChange {
    /// It is so from here on.
    Is(Licence),
    /// It was given back, or is nobody's business any more.
    Gone(AppId, String),
}

/// What an iPad was told of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToldApp {
    /// Which iPad.
    pub ipad: EnrolmentId,
    /// Which app.
    pub app: AppId,
    /// What; the daemon's own words.
    pub told: String,
}

impl Inventory {
    /// The licences of iPads, those that are wanted for longest first. A row that cannot be used costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn app_licences(&self) -> Answer<'_, (Vec<Licence>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT app_id, serial, location, state, event, problem, tries, not_before, changed_at
                 FROM app_licences ORDER BY changed_at, serial, app_id").fetch_all(pool).await)
            .map_err(Error::db("list licences"))?;
            let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                match licence(row) {
                    Ok(licence) => good.push(licence),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// Notes what became of licences, all or none. Followers hear of each app once.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_app_licences<'a>(&'a self, by: By<'a>, changes: &'a [LicenceChange]) -> Answer<'a, ()> {
        Box::pin(async move {
            if changes.is_empty() {
                return Ok(());
            }
            in_transaction!(self, "note licences", tx => {
                let mut apps = BTreeSet::new();
                for change in changes {
                    match change {
                        LicenceChange::Is(new) => {
                            apps.insert(new.app);
                            sqlx::query(
                                "INSERT INTO app_licences (app_id, serial, location, state, event, problem, tries, not_before, changed_at)
                                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                                 ON CONFLICT (app_id, serial) DO UPDATE SET location = excluded.location, state = excluded.state,
                                   event = excluded.event, problem = excluded.problem, tries = excluded.tries,
                                   not_before = excluded.not_before, changed_at = excluded.changed_at")
                                .bind(new.app.stored()).bind(new.serial.clone()).bind(new.location.clone())
                                .bind(new.state.text()).bind(new.event.clone()).bind(new.problem.clone())
                                .bind(i64::from(new.tries)).bind(new.not_before.0).bind(new.changed_at.0)
                                .execute(&mut *tx).await.map_err(Error::db("note a licence"))?;
                        }
                        LicenceChange::Gone(app, serial) => {
                            apps.insert(*app);
                            sqlx::query("DELETE FROM app_licences WHERE app_id = $1 AND serial = $2")
                                .bind(app.stored()).bind(serial.clone())
                                .execute(&mut *tx).await.map_err(Error::db("forget a licence"))?;
                        }
                    }
                }
                for app in apps {
                    record!(tx, by, "app", app, "observed")?;
                }
                Ok(())
            })
        })
    }

    /// What all iPads were told of apps.
    ///
    /// # Errors
    /// The database failed.
    pub fn told_apps(&self) -> Answer<'_, Vec<ToldApp>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, i64, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT enrolment_id, app_id, told FROM ipad_apps ORDER BY enrolment_id, app_id").fetch_all(pool).await)
            .map_err(Error::db("list what iPads were told"))?;
            let told =
                |(ipad, app, told)| ToldApp { ipad: EnrolmentId(ipad), app: AppId::from_stored(app), told };
            Ok(rows.into_iter().map(told).collect())
        })
    }

    /// What one iPad was told of apps.
    ///
    /// # Errors
    /// The database failed.
    pub fn told_apps_of(&self, ipad: EnrolmentId) -> Answer<'_, Vec<ToldApp>> {
        Box::pin(async move {
            let rows: Vec<(i64, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT app_id, told FROM ipad_apps WHERE enrolment_id = $1 ORDER BY app_id").bind(ipad.0).fetch_all(pool).await)
            .map_err(Error::db("list what an iPad was told"))?;
            Ok(rows
                .into_iter()
                .map(|(app, told)| ToldApp { ipad, app: AppId::from_stored(app), told })
                .collect())
        })
    }

    /// Tells an iPad which apps it has: the commands are queued and it is noted what they say, in one step. An iPad that left meanwhile is
    /// told nothing.
    ///
    /// # Errors
    /// The database failed.
    pub fn tell_apps<'a>(
        &'a self,
        by: By<'a>,
        ipad: EnrolmentId,
        told: &'a [(AppId, String)],
        commands: &'a [NewCommand],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "tell an iPad which apps it has", tx => {
                let there: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM mdm_enrolments WHERE id = $1 AND state = 'enrolled'")
                    .bind(ipad.0).fetch_one(&mut *tx).await.map_err(Error::db("find an iPad"))?;
                if there == 0 {
                    return Ok(());
                }
                sqlx::query("DELETE FROM ipad_apps WHERE enrolment_id = $1").bind(ipad.0)
                    .execute(&mut *tx).await.map_err(Error::db("note what an iPad was told"))?;
                for (app, told) in told {
                    sqlx::query("INSERT INTO ipad_apps (enrolment_id, app_id, told, at) VALUES ($1, $2, $3, $4)")
                        .bind(ipad.0).bind(app.stored()).bind(told.clone()).bind(by.at.0)
                        .execute(&mut *tx).await.map_err(Error::db("note what an iPad was told"))?;
                }
                for new in commands {
                    supersede!(tx, by, new)?;
                    insert_command!(tx, by, CommandId::random(), new)?;
                }
                record!(tx, by, "ipad", ipad, "queued")?;
                Ok(())
            })
        })
    }
}

type Row = (i64, String, String, String, Option<String>, Option<String>, i64, i64, i64);

fn licence(row: Row) -> Result<Licence> {
    let (app, serial, location, state, event, problem, tries, not_before, changed_at) = row;
    let known = LicenceState::ALL.into_iter().find(|known| known.text() == state);
    let bad = Error::row("app_licences", format!("{app} {serial}"));
    Ok(Licence {
        app: AppId::from_stored(app),
        location,
        state: known.ok_or_else(|| bad(format!("unknown state {state:?}")))?,
        event,
        problem,
        tries: u32::try_from(tries).unwrap_or(0),
        not_before: UnixMillis(not_before),
        changed_at: UnixMillis(changed_at),
        serial,
    })
}
