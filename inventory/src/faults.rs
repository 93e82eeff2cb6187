//! Faults that people report in a room or of a device, and what becomes of them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::words::{meant, word};
use crate::{Answer, By, DeviceId, Error, FaultId, Inventory, ParseError, Result, RoomId, UnixMillis};

/// What is wrong, roughly: enough to send the right person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// A PC or laptop.
    Pc,
    /// The internet or the network.
    Internet,
    /// Projector, screen or board.
    Display,
    /// Keyboard, mouse, headphones, cables.
    Accessory,
    /// A printer.
    Printer,
    /// An iPad.
    Ipad,
    /// A program.
    Program,
    /// Anything else.
    Other,
    /// Several nights in a row the night shift could not bring it to what it should be.
    Night,
}

impl FaultKind {
    /// Those that a person reports.
    pub const REPORTED: [Self; 8] = [
        Self::Pc,
        Self::Internet,
        Self::Display,
        Self::Accessory,
        Self::Printer,
        Self::Ipad,
        Self::Program,
        Self::Other,
    ];

    /// Its one word in forms and in the API.
    #[must_use]
    pub fn text(self) -> String {
        word(&self)
    }
}

/// What becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FaultState {
    /// Nobody has taken it.
    Open,
    /// Somebody is at it.
    Taken,
    /// It is mended.
    Done,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Fault {
    /// Its id.
    pub id: FaultId,
    /// Where; `None` if the room is gone.
    pub room: Option<RoomId>,
    /// Which device; `None` for a whole room, and if the device is gone.
    pub device: Option<DeviceId>,
    /// What room and device were called when it was reported.
    pub place: String,
    /// What is wrong.
    pub kind: FaultKind,
    /// What becomes of it.
    pub state: FaultState,
    /// When something happened last.
    pub changed_at: UnixMillis,
    /// What happened, in order; the first is the report.
    pub events: Vec<FaultEvent>,
}

/// Something that happened to a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct FaultEvent {
    /// When.
    pub at: UnixMillis,
    /// Who.
    pub actor: String,
    /// Its state from then on.
    pub state: FaultState,
    /// What was said; may be empty.
    pub words: String,
}

type Row = (String, Option<Uuid>, Option<Uuid>, String, String, String, i64);

/// Adds what happened, after what happened before.
macro_rules! add_event {
    ($tx:expr, $by:expr, $id:expr, $state:expr, $words:expr) => {
        sqlx::query(
            "INSERT INTO fault_events (fault_id, n, at, actor, state, words)
             SELECT $1, COALESCE(MAX(n), 0) + 1, $2, $3, $4, $5 FROM fault_events WHERE fault_id = $1",
        )
        .bind($id.to_string())
        .bind($by.at.0)
        .bind($by.actor.to_owned())
        .bind(word(&$state))
        .bind($words)
        .execute(&mut *$tx)
        .await
        .map_err(Error::db("write down what happened to a fault"))?
    };
}

impl Inventory {
    /// Reports a fault in a room, or of a device in it. If the same is known and not mended, it is said there once more.
    ///
    /// # Errors
    /// There is no such room or device, the words are too long, too many faults are open, or the database failed.
    pub fn report_fault<'a>(
        &'a self,
        by: By<'a>,
        room: RoomId,
        device: Option<DeviceId>,
        kind: FaultKind,
        words: &'a str,
    ) -> Answer<'a, FaultId> {
        Box::pin(async move {
            let words = checked(words)?;
            let place = self.place_of(room, device).await?;
            let open = self.open_faults().await?;
            let same = |fault: &&Fault| (fault.room, fault.device, fault.kind) == (Some(room), device, kind);
            if let Some(same) = open.iter().find(same) {
                self.say_of_fault(by, same.id, same.state, &words).await?;
                return Ok(same.id);
            }
            if open.len() >= OPEN_MAX {
                return Err(Error::Conflict(format!(
                    "too many faults are open ({OPEN_MAX}); close some first"
                )));
            }
            let id = FaultId::random();
            in_transaction!(self, "report a fault", tx => {
                // What was mended long ago is forgotten.
                sqlx::query("DELETE FROM faults WHERE state = $1 AND changed_at < $2")
                    .bind(word(&FaultState::Done)).bind(by.at.0.saturating_sub(KEPT_MILLIS))
                    .execute(&mut *tx).await.map_err(Error::db("forget old faults"))?;
                sqlx::query(
                    "INSERT INTO faults (id, room_id, device_id, place, kind, state, changed_at)
                     VALUES ($1, $2, $3, $4, $5, $6, $7)")
                    .bind(id.to_string()).bind(room.0).bind(device.map(|device| device.0)).bind(place)
                    .bind(word(&kind)).bind(word(&FaultState::Open)).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::reference("report a fault"))?;
                add_event!(tx, by, id, FaultState::Open, words);
                record!(tx, by, "fault", id, "reported")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Takes a fault, closes it or opens it again, with something to say about it.
    ///
    /// # Errors
    /// There is none, the words are too long, or the database failed.
    pub fn say_of_fault<'a>(
        &'a self,
        by: By<'a>,
        id: FaultId,
        state: FaultState,
        words: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let words = checked(words)?;
            in_transaction!(self, "change a fault", tx => {
                let done = sqlx::query("UPDATE faults SET state = $1, changed_at = $2 WHERE id = $3")
                    .bind(word(&state)).bind(by.at.0).bind(id.to_string())
                    .execute(&mut *tx).await.map_err(Error::db("change a fault"))?;
                Error::unless_found(done.rows_affected(), "fault", id)?;
                add_event!(tx, by, id, state, words);
                record!(tx, by, "fault", id, word(&state))?;
                Ok(())
            })
        })
    }

    /// All faults: those that are not mended first, the newest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn faults(&self) -> Answer<'_, Vec<Fault>> {
        Box::pin(self.read_faults(true))
    }

    /// Those that are not mended, the newest first.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn open_faults(&self) -> Answer<'_, Vec<Fault>> {
        Box::pin(self.read_faults(false))
    }

    async fn read_faults(&self, mended_too: bool) -> Result<Vec<Fault>> {
        type EventRow = (String, i64, String, String, String);
        let (rows, events): (Vec<Row>, Vec<EventRow>) = on_pool!(self, pool => {
            let rows = sqlx::query_as(
                "SELECT id, room_id, device_id, place, kind, state, changed_at FROM faults
                 WHERE $1 = 1 OR state <> 'done' ORDER BY CASE state WHEN 'done' THEN 1 ELSE 0 END, changed_at DESC, id LIMIT 2000")
                .bind(i64::from(mended_too)).fetch_all(pool).await.map_err(Error::db("list faults"))?;
            let events = sqlx::query_as(
                "SELECT fault_id, at, actor, state, words FROM fault_events
                 WHERE $1 = 1 OR fault_id IN (SELECT id FROM faults WHERE state <> 'done') ORDER BY fault_id, n")
                .bind(i64::from(mended_too)).fetch_all(pool).await.map_err(Error::db("list what happened to faults"))?;
            (rows, events)
        });
        let mut by_fault: std::collections::HashMap<String, Vec<FaultEvent>> = Default::default();
        for (fault, at, actor, state, words) in events {
            let state = meant(&state).map_err(Error::row("fault_events", &fault))?;
            by_fault.entry(fault).or_default().push(FaultEvent { at: UnixMillis(at), actor, state, words });
        }
        rows.into_iter()
            .map(|(id, room, device, place, kind, state, changed_at)| {
                let bad = Error::row("faults", &id);
                Ok(Fault {
                    id: id.parse().map_err(|e: ParseError| bad(e.to_string()))?,
                    room: room.map(RoomId),
                    device: device.map(DeviceId),
                    place,
                    kind: meant(&kind).map_err(&bad)?,
                    state: meant(&state).map_err(&bad)?,
                    changed_at: UnixMillis(changed_at),
                    events: by_fault.remove(&id).unwrap_or_default(),
                })
            })
            .collect()
    }

    async fn place_of(&self, room: RoomId, device: Option<DeviceId>) -> Result<String> {
        let known = self.rooms().await?.into_iter().find(|known| known.id == room);
        let known = known.ok_or(Error::NotFound { what: "room", key: room.to_string() })?;
        let Some(id) = device else { return Ok(known.name) };
        let device = self.device(id).await?.ok_or(Error::NotFound { what: "device", key: id.to_string() })?;
        Ok(format!("{}, {}", known.name, device.name))
    }
}

/// What people say, without what could break a line or a page.
fn checked(words: &str) -> Result<String> {
    let words = words.trim();
    if words.chars().count() > WORDS_MAX {
        return Err(Error::Conflict(format!("at most {WORDS_MAX} characters can be said of a fault")));
    }
    Ok(words.chars().filter(|sign| !sign.is_control() || *sign == '\n').collect())
}

const OPEN_MAX: usize = 1000;
const WORDS_MAX: usize = 1000;
const KEPT_MILLIS: i64 = 365 * 24 * 3_600_000;
