//! Plans of the night shift and what came of it, as rows.

use jiff::ToSpan;
use jiff::civil::Date;
use uuid::Uuid;

use super::{NightNote, NightPlan, PcTonight};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, DeviceId, Error, Inventory, Result, RoomId, UnixMillis};

type PlanRow = (Uuid, i64, i64, i64, i64, i64, Option<String>);
type NoteRow = (Uuid, String, String, i64, i64);

impl Inventory {
    /// The rooms that have a night shift. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn night_plans(&self) -> Answer<'_, (Vec<NightPlan>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<PlanRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT room_id, evenings, begins, ends, image, switch_off, rests_on FROM night_plans ORDER BY room_id")
                .fetch_all(pool).await)
            .map_err(Error::db("list the plans of the night shift"))?;
            let (mut plans, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                plan(row).map_or_else(|problem| problems.push(problem), |plan| plans.push(plan));
            }
            Ok((plans, problems))
        })
    }

    /// Saves what a room has a night shift for; without an evening it has none any more. The night that it leaves out stays.
    ///
    /// # Errors
    /// The room does not exist, or the database failed.
    pub fn set_night_plan<'a>(&'a self, by: By<'a>, plan: &'a NightPlan) -> Answer<'a, ()> {
        Box::pin(async move {
            let evenings =
                (0..).zip(plan.evenings).filter(|(_, wanted)| *wanted).map(|(day, _)| 1_i64 << day);
            let evenings: i64 = evenings.sum();
            in_transaction!(self, "save a plan of the night shift", tx => {
                if evenings == 0 {
                    sqlx::query("DELETE FROM night_plans WHERE room_id = $1").bind(plan.room.0)
                        .execute(&mut *tx).await.map_err(Error::db("forget a plan of the night shift"))?;
                } else {
                    sqlx::query(
                        "INSERT INTO night_plans (room_id, evenings, begins, ends, image, switch_off) VALUES ($1, $2, $3, $4, $5, $6)
                         ON CONFLICT (room_id) DO UPDATE SET evenings = excluded.evenings, begins = excluded.begins,
                             ends = excluded.ends, image = excluded.image, switch_off = excluded.switch_off")
                        .bind(plan.room.0).bind(evenings).bind(i64::from(plan.begins)).bind(i64::from(plan.ends))
                        .bind(i64::from(plan.image)).bind(i64::from(plan.switch_off))
                        .execute(&mut *tx).await.map_err(Error::reference("save a plan of the night shift"))?;
                }
                record!(tx, by, "night", plan.room, "changed")?;
                Ok(())
            })
        })
    }

    /// Has a room's shift leave out the one that begins on that day, or no night.
    ///
    /// # Errors
    /// The room has no night shift, or the database failed.
    pub fn set_night_rest<'a>(&'a self, by: By<'a>, room: RoomId, evening: Option<Date>) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "have a night left out", tx => {
                let done = sqlx::query("UPDATE night_plans SET rests_on = $1 WHERE room_id = $2")
                    .bind(evening.map(|evening| evening.to_string())).bind(room.0)
                    .execute(&mut *tx).await.map_err(Error::db("have a night left out"))?;
                Error::unless_found(done.rows_affected(), "night shift of room", room)?;
                record!(tx, by, "night", room, if evening.is_some() { "left out" } else { "not left out" })?;
                Ok(())
            })
        })
    }

    /// What was written down of the shifts that began on that evening or later, the latest first, of one evening by device.
    ///
    /// # Errors
    /// The database failed. Rows that make no sense come in the second list.
    pub fn night_notes(&self, since: Date) -> Answer<'_, (Vec<PcTonight>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<NoteRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT device_id, evening, state, calls, since FROM night_notes WHERE evening >= $1
                 ORDER BY evening DESC, device_id")
                .bind(since.to_string()).fetch_all(pool).await)
            .map_err(Error::db("list what came of the night shift"))?;
            let (mut notes, mut problems) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                note(row).map_or_else(|problem| problems.push(problem), |note| notes.push(note));
            }
            Ok((notes, problems))
        })
    }

    /// Writes down how far PCs came. Notes of nights long ago go.
    ///
    /// # Errors
    /// The database failed; then nothing was written. A device that is gone is left out.
    pub fn keep_night_notes<'a>(&'a self, by: By<'a>, notes: &'a [PcTonight]) -> Answer<'a, ()> {
        Box::pin(async move {
            let today = crate::lessons::local(by.at).date();
            let forget = today.checked_sub(NIGHTS_KEPT.days()).unwrap_or(today);
            in_transaction!(self, "write down what came of the night shift", tx => {
                sqlx::query("DELETE FROM night_notes WHERE evening < $1").bind(forget.to_string())
                    .execute(&mut *tx).await.map_err(Error::db("forget old nights"))?;
                for PcTonight { device, evening, note } in notes {
                    let state = serde_json::to_string(&note.state).unwrap_or_default();
                    sqlx::query(
                        "INSERT INTO night_notes (device_id, evening, state, calls, since)
                         SELECT id, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS BIGINT) FROM devices WHERE id = $5
                         ON CONFLICT (device_id, evening) DO UPDATE SET
                             state = excluded.state, calls = excluded.calls, since = excluded.since")
                        .bind(evening.to_string()).bind(state).bind(i64::from(note.calls)).bind(note.since.0).bind(device.0)
                        .execute(&mut *tx).await.map_err(Error::db("write down how far a PC came"))?;
                }
                if !notes.is_empty() {
                    record!(tx, by, "night", "all", "observed")?;
                }
                Ok(())
            })
        })
    }
}

fn plan((room, evenings, begins, ends, image, switch_off, rests_on): PlanRow) -> Result<NightPlan> {
    let bad = Error::row("night_plans", room);
    let minute = |minute: i64| u16::try_from(minute).ok().filter(|minute| *minute <= 24 * 60);
    let (Some(begins), Some(ends)) = (minute(begins), minute(ends)) else {
        return Err(bad("its hours are no minutes of a day".into()));
    };
    let evenings = std::array::from_fn(|day| evenings >> day & 1 == 1);
    Ok(NightPlan {
        room: RoomId(room),
        evenings,
        begins,
        ends,
        image: image != 0,
        switch_off: switch_off != 0,
        rests_on: rests_on
            .map(|day| day.parse())
            .transpose()
            .map_err(|_| bad("the night it leaves out is no date".into()))?,
    })
}

fn note((device, evening, state, calls, since): NoteRow) -> Result<PcTonight> {
    let bad = |what: &str| Error::row("night_notes", device)(what.into());
    Ok(PcTonight {
        device: DeviceId(device),
        evening: evening.parse().map_err(|_| bad("its evening is no date"))?,
        note: NightNote {
            state: serde_json::from_str(&state).map_err(|_| bad("its state is unknown"))?,
            calls: u8::try_from(calls).map_err(|_| bad("it was called too often"))?,
            since: UnixMillis(since),
        },
    })
}

/// For the morning report, and to see what fails night after night.
const NIGHTS_KEPT: i64 = 60;
