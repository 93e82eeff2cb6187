//! Name, rules and options of the WLAN.

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, Result};

use super::{Rule, Settings};

impl Inventory {
    /// How the WLAN is meant to be, and how often that was saved.
    ///
    /// # Errors
    /// The database failed, or what is stored makes no sense.
    pub fn wlan(&self) -> Answer<'_, (Settings, i64)> {
        Box::pin(async move {
            let row: Option<(i64, String)> = on_pool!(self, pool =>
                sqlx::query_as("SELECT version, body FROM wlan_settings").fetch_optional(pool).await)
            .map_err(Error::db("read the rules of the WLAN"))?;
            let Some((version, body)) = row else { return Ok((Settings::default(), 0)) };
            let settings =
                serde_json::from_str(&body).map_err(|e| Error::row("wlan_settings", 1)(e.to_string()))?;
            Ok((settings, version))
        })
    }

    /// Saves how the WLAN is meant to be. `version` is the one that was read.
    ///
    /// # Errors
    /// Somebody else saved meanwhile, something cannot be, or the database failed.
    pub fn set_wlan<'a>(&'a self, by: By<'a>, version: i64, settings: &'a Settings) -> Answer<'a, ()> {
        Box::pin(async move {
            check(settings)?;
            let body = serde_json::to_string(settings).unwrap_or_default();
            in_transaction!(self, "save the rules of the WLAN", tx => {
                let done = sqlx::query(
                    "INSERT INTO wlan_settings (id, version, body) SELECT 1, 1, $1 WHERE $2 = 0
                     ON CONFLICT (id) DO NOTHING")
                    .bind(body.clone()).bind(version)
                    .execute(&mut *tx).await.map_err(Error::db("save the rules of the WLAN"))?.rows_affected();
                let done = done + sqlx::query(
                    "UPDATE wlan_settings SET version = version + 1, body = $1 WHERE version = $2 AND $2 > 0")
                    .bind(body.clone()).bind(version)
                    .execute(&mut *tx).await.map_err(Error::db("save the rules of the WLAN"))?.rows_affected();
                if done == 0 {
                    return Err(Error::Conflict("somebody else changed the WLAN meanwhile; look at it again".into()));
                }
                record!(tx, by, "wlan", "settings", "changed")?;
                Ok(())
            })
        })
    }
}

fn check(settings: &Settings) -> Result<()> {
    let name = &settings.ssid;
    if name.is_empty()
        || name.len() > SSID_BYTES_MAX
        || name.trim() != name
        || name.chars().any(char::is_control)
    {
        return Err(Error::Conflict("the name of a WLAN has 1 to 32 bytes and no blanks at its ends".into()));
    }
    if settings.rules.len() > RULES_MAX {
        return Err(Error::Conflict(format!("the WLAN can have at most {RULES_MAX} rules")));
    }
    let possible = |rule: &Rule| {
        let hours = rule.hours.is_none_or(|hours| {
            hours.from_minute < 1440 && hours.until_minute < 1440 && hours.from_minute != hours.until_minute
        });
        hours && rule.devices_max.is_none_or(|max| (1..=99).contains(&max))
    };
    match settings.rules.iter().position(|rule| !possible(rule)) {
        Some(at) => Err(Error::Conflict(format!(
            "rule {} of the WLAN has impossible hours, or no number of devices from 1 to 99",
            at + 1
        ))),
        None => Ok(()),
    }
}

const SSID_BYTES_MAX: usize = 32;
const RULES_MAX: usize = 100;
