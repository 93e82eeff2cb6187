//! PCs that somebody wants switched on, restarted or switched off.
//!
//! deployd calls those that are off with magic packets until their agents speak, and tells the agents of the others.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, DeviceId, Error, Inventory, ParseError, Result, UnixMillis};

/// What a PC is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Power {
    /// Start, by a magic packet.
    On,
    /// Restart, when nobody is signed in.
    Restart,
    /// Switch itself off, when nobody is signed in.
    Off,
}

/// What was asked of a PC last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PowerAsk {
    /// Which PC.
    pub device: DeviceId,
    /// What.
    pub power: Power,
    /// When somebody asked for it.
    pub asked_at: UnixMillis,
    /// When its agent was told to restart or to switch off.
    pub told_at: Option<UnixMillis>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerState {
    /// It is being tried.
    Open,
    /// Its agent spoke, or was told.
    Done,
    /// Nothing, for [`POWER_MILLIS`].
    Silent,
}

impl PowerAsk {
    /// What became of it, by when the PC's agent spoke last.
    #[must_use]
    pub fn state(&self, last_seen: Option<UnixMillis>, now: UnixMillis) -> PowerState {
        let done = match self.power {
            Power::On => last_seen.is_some_and(|seen| seen >= self.asked_at),
            Power::Restart | Power::Off => self.told_at.is_some(),
        };
        match done {
            true => PowerState::Done,
            false if now.millis_since(self.asked_at) < POWER_MILLIS => PowerState::Open,
            false => PowerState::Silent,
        }
    }
}

impl Power {
    fn word(self) -> &'static str {
        match self {
            Power::On => "on",
            Power::Restart => "restart",
            Power::Off => "off",
        }
    }
}

impl FromStr for Power {
    type Err = ParseError;

    fn from_str(text: &str) -> std::result::Result<Self, ParseError> {
        let all = [Power::On, Power::Restart, Power::Off];
        let found = all.into_iter().find(|power| power.word() == text);
        found.ok_or_else(|| ParseError::new("power", text, "expected on, restart or off"))
    }
}

type Row = (Uuid, String, i64, Option<i64>);

impl Inventory {
    /// Asks it of those of the devices that can hear it: to be switched on, of those with a card with a cable; else of those with an agent
    /// that was approved. Returns how many these are.
    ///
    /// # Errors
    /// The database failed; then it is asked of none.
    pub fn ask_power<'a>(&'a self, by: By<'a>, devices: &'a [DeviceId], power: Power) -> Answer<'a, usize> {
        Box::pin(async move {
            let action = match power {
                Power::On => "asked to switch on",
                Power::Restart => "asked to restart",
                Power::Off => "asked to switch off",
            };
            in_transaction!(self, "ask PCs to switch on or off", tx => {
                let mut asked = 0;
                for device in devices {
                    let done = sqlx::query(
                        "INSERT INTO power_asks (device_id, power, asked_at)
                         SELECT d.id, CAST($1 AS TEXT), CAST($2 AS BIGINT) FROM devices d WHERE d.id = $3 AND CASE
                             WHEN $1 = 'on' THEN EXISTS (SELECT 1 FROM interfaces i WHERE i.device_id = d.id AND i.kind = 'lan')
                             ELSE d.key_fingerprint IS NOT NULL END
                         ON CONFLICT (device_id) DO UPDATE SET power = excluded.power, asked_at = excluded.asked_at, told_at = NULL")
                        .bind(power.word()).bind(by.at.0).bind(device.0)
                        .execute(&mut *tx).await.map_err(Error::db("ask a PC to switch on or off"))?;
                    if done.rows_affected() > 0 {
                        asked += 1;
                        record!(tx, by, "device", device, action)?;
                    }
                }
                Ok(asked)
            })
        })
    }

    /// What was asked since then, the latest first, of one device or of all.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn power_asks(&self, since: UnixMillis, device: Option<DeviceId>) -> Answer<'_, Vec<PowerAsk>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT device_id, power, asked_at, told_at FROM power_asks
                 WHERE asked_at >= $1 AND ($2 IS NULL OR device_id = $2) ORDER BY asked_at DESC, device_id")
                .bind(since.0).bind(device.map(|device| device.0)).fetch_all(pool).await)
            .map_err(Error::db("list PCs that are to switch on or off"))?;
            rows.into_iter().map(ask).collect()
        })
    }

    /// Writes down that a PC's agent is being told what was asked. `false` if it was told already or something else is asked by now: it is
    /// told once at most, as it would restart for ever otherwise.
    ///
    /// # Errors
    /// The database failed.
    pub fn tell_power<'a>(&'a self, by: By<'a>, ask: &'a PowerAsk) -> Answer<'a, bool> {
        Box::pin(async move {
            in_transaction!(self, "tell a PC to switch off", tx => {
                let done = sqlx::query(
                    "UPDATE power_asks SET told_at = $1 WHERE device_id = $2 AND asked_at = $3 AND power = $4 AND told_at IS NULL")
                    .bind(by.at.0).bind(ask.device.0).bind(ask.asked_at.0).bind(ask.power.word())
                    .execute(&mut *tx).await.map_err(Error::db("tell a PC to switch off"))?;
                Ok(done.rows_affected() == 1)
            })
        })
    }
}

fn ask((device, power, asked_at, told_at): Row) -> Result<PowerAsk> {
    let bad = Error::row("power_asks", device);
    Ok(PowerAsk {
        device: DeviceId(device),
        power: power.parse().map_err(|error: ParseError| bad(error.to_string()))?,
        asked_at: UnixMillis(asked_at),
        told_at: told_at.map(UnixMillis),
    })
}

/// So long it is tried: firmware, boot loader and system take two minutes on a slow PC.
pub const POWER_MILLIS: i64 = 5 * 60_000;
