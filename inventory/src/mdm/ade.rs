//! iPads that Apple School Manager lists for this school, and those that stand at the door by themselves (Automated Device Enrolment).

use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, EnrolmentId, Error, GroupId, Inventory, RoomId, UnixMillis};

/// An iPad of the list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct AdeDevice {
    /// Serial number.
    pub serial: String,
    /// Model, as Apple School Manager names it.
    pub model: String,
    /// The same with its storage.
    pub description: String,
    /// Whether Apple School Manager lists it for this server. One that it does not list stood at the door and was sent away.
    pub listed: bool,
    /// The enrolment profile that Apple has for it.
    pub profile: Option<String>,
    /// What Apple says of that profile: `empty`, `assigned`, `pushed`, `removed`.
    pub status: String,
    /// Why it does not get the school's profile.
    pub problem: Option<String>,
    /// Where it will belong when it enrols.
    pub room: Option<RoomId>,
    /// The class it will belong to.
    pub group: Option<GroupId>,
    /// When it came into the list.
    pub added_at: UnixMillis,
    /// When it stood at the door last.
    pub asked_at: Option<UnixMillis>,
}

/// An iPad as Apple School Manager describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedDevice {
    /// Serial number.
    pub serial: String,
    /// Model.
    pub model: String,
    /// The same with its storage.
    pub description: String,
    /// The enrolment profile that it has.
    pub profile: Option<String>,
    /// What becomes of that.
    pub status: String,
}

/// An iPad at the door that proved to be one.
#[derive(Debug, Clone, Copy)]
pub struct AtTheDoor<'a> {
    /// Serial number.
    pub serial: &'a str,
    /// Model.
    pub model: &'a str,
    /// Where iPads belong that nobody gave a room.
    pub room: Option<RoomId>,
}

/// Whether it may come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// It will be this enrolment.
    Open(EnrolmentId),
    /// Apple School Manager does not list it for this server.
    NotListed,
    /// Nobody said where it belongs.
    NoRoom,
}

impl Inventory {
    /// The list, by serial number.
    ///
    /// # Errors
    /// The database failed.
    pub fn ade_devices(&self) -> Answer<'_, Vec<AdeDevice>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT serial, model, description, listed, profile, status, problem, room_id, group_id, added_at, asked_at
                 FROM ade_devices ORDER BY serial").fetch_all(pool).await)
            .map_err(Error::db("list the iPads of Apple School Manager"))?;
            Ok(rows.into_iter().map(device).collect())
        })
    }

    /// Takes over what Apple School Manager lists: all of it (`complete`), or what changed. Where they belong stays.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_ade_devices<'a>(
        &'a self,
        by: By<'a>,
        found: &'a [ListedDevice],
        complete: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note the iPads of Apple School Manager", tx => {
                if complete {
                    sqlx::query("UPDATE ade_devices SET listed = $1").bind(false)
                        .execute(&mut *tx).await.map_err(Error::db("note the iPads of Apple School Manager"))?;
                }
                for new in found {
                    sqlx::query(
                        "INSERT INTO ade_devices (serial, model, description, listed, profile, status, added_at)
                         VALUES ($1, $2, $3, $4, $5, $6, $7)
                         ON CONFLICT (serial) DO UPDATE SET model = excluded.model, description = excluded.description,
                           listed = excluded.listed, profile = excluded.profile, status = excluded.status")
                        .bind(new.serial.clone()).bind(new.model.clone()).bind(new.description.clone()).bind(true)
                        .bind(new.profile.clone()).bind(new.status.clone()).bind(by.at.0)
                        .execute(&mut *tx).await.map_err(Error::db("note the iPads of Apple School Manager"))?;
                }
                if complete {
                    sqlx::query("DELETE FROM ade_devices WHERE listed = $1 AND asked_at IS NULL").bind(false)
                        .execute(&mut *tx).await.map_err(Error::db("forget iPads that Apple School Manager does not list"))?;
                }
                record!(tx, by, "ade_device", "all", "changed")?;
                Ok(())
            })
        })
    }

    /// Apple School Manager lists these for this server no more.
    ///
    /// # Errors
    /// The database failed.
    pub fn forget_ade_devices<'a>(&'a self, by: By<'a>, serials: &'a [String]) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "forget iPads of Apple School Manager", tx => {
                for serial in serials {
                    sqlx::query("DELETE FROM ade_devices WHERE serial = $1").bind(serial.clone())
                        .execute(&mut *tx).await.map_err(Error::db("forget iPads of Apple School Manager"))?;
                }
                record!(tx, by, "ade_device", "all", "changed")?;
                Ok(())
            })
        })
    }

    /// What became of giving iPads a profile: the profile they have now, or why not.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_ade_profiles<'a>(
        &'a self,
        by: By<'a>,
        profile: &'a str,
        done: &'a [(String, Option<String>)],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note which iPads have the profile", tx => {
                for (serial, problem) in done {
                    let given = problem.is_none().then(|| profile.to_owned());
                    sqlx::query(
                        "UPDATE ade_devices SET problem = $1, profile = COALESCE($2, profile),
                           status = CASE WHEN $2 IS NULL THEN status ELSE 'assigned' END WHERE serial = $3")
                        .bind(problem.clone()).bind(given).bind(serial.clone())
                        .execute(&mut *tx).await.map_err(Error::db("note which iPads have the profile"))?;
                }
                record!(tx, by, "ade_device", "all", "changed")?;
                Ok(())
            })
        })
    }

    /// Says where iPads of the list will belong; gives how many there are of them.
    ///
    /// # Errors
    /// Room or class do not exist, or the database failed.
    pub fn place_ade_devices<'a>(
        &'a self,
        by: By<'a>,
        serials: &'a [String],
        room: Option<RoomId>,
        group: Option<GroupId>,
    ) -> Answer<'a, u64> {
        Box::pin(async move {
            in_transaction!(self, "say where iPads belong", tx => {
                let mut placed = 0;
                for serial in serials {
                    let done = sqlx::query("UPDATE ade_devices SET room_id = $1, group_id = $2 WHERE serial = $3")
                        .bind(room.map(|room| room.0)).bind(group.map(|group| group.0)).bind(serial.clone())
                        .execute(&mut *tx).await.map_err(Error::reference("say where iPads belong"))?;
                    if done.rows_affected() > 0 {
                        placed += 1;
                        record!(tx, by, "ade_device", serial, "placed")?;
                    }
                }
                Ok(placed)
            })
        })
    }

    /// Lets an iPad in that proved to be one, if it is listed and somebody said where it belongs: makes a challenge that holds until
    /// `ends_at`, for this serial number only. Where it belongs: as the list says, else where a device with its serial number is, else as
    /// `new` says. Whoever is sent away stands in the list.
    ///
    /// # Errors
    /// The database failed.
    pub fn open_the_door<'a>(
        &'a self,
        by: By<'a>,
        new: AtTheDoor<'a>,
        challenge_hash: &'a str,
        ends_at: UnixMillis,
    ) -> Answer<'a, Door> {
        Box::pin(async move {
            in_transaction!(self, "let an iPad in by Apple School Manager", tx => {
                let known: Option<(bool, Option<Uuid>, Option<Uuid>)> = sqlx::query_as(
                    "UPDATE ade_devices SET asked_at = $1 WHERE serial = $2 RETURNING listed, room_id, group_id")
                    .bind(by.at.0).bind(new.serial.to_owned())
                    .fetch_optional(&mut *tx).await.map_err(Error::db("find an iPad of Apple School Manager"))?;
                let Some((true, room, group)) = known else {
                    if known.is_none() {
                        // Any iPad of the world can stand at the door.
                        sqlx::query("DELETE FROM ade_devices WHERE serial IN
                                       (SELECT serial FROM ade_devices WHERE listed = $1 ORDER BY asked_at DESC, serial LIMIT 1000 OFFSET $2)")
                            .bind(false).bind(STRANGERS_MAX - 1)
                            .execute(&mut *tx).await.map_err(Error::db("forget strange iPads"))?;
                        sqlx::query("INSERT INTO ade_devices (serial, model, description, listed, status, added_at, asked_at)
                                     VALUES ($1, $2, '', $3, 'empty', $4, $4)")
                            .bind(new.serial.to_owned()).bind(new.model.to_owned()).bind(false).bind(by.at.0)
                            .execute(&mut *tx).await.map_err(Error::db("note a strange iPad"))?;
                    }
                    record!(tx, by, "ade_device", new.serial, "sent away")?;
                    return Ok(Door::NotListed);
                };
                let of_device: Option<Uuid> = sqlx::query_scalar("SELECT room_id FROM devices WHERE serial = $1 ORDER BY created_at LIMIT 1")
                    .bind(new.serial.to_owned()).fetch_optional(&mut *tx).await.map_err(Error::db("find a device"))?;
                let Some(room) = room.or(of_device).or(new.room.map(|room| room.0)) else {
                    record!(tx, by, "ade_device", new.serial, "sent away")?;
                    return Ok(Door::NoRoom);
                };
                sqlx::query("DELETE FROM mdm_invitations WHERE serial = $1").bind(new.serial.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("replace an invitation"))?;
                let (invitation, enrolment) = (Uuid::new_v4(), EnrolmentId::random());
                // No token has this hash: nobody comes by a link.
                sqlx::query("INSERT INTO mdm_invitations (id, token_hash, room_id, group_id, uses_left, created_by, created_at, ends_at, serial)
                             VALUES ($1, $2, $3, $4, 1, $5, $6, $7, $8)")
                    .bind(invitation).bind(format!("ade {}", new.serial)).bind(room).bind(group).bind(by.actor.to_owned())
                    .bind(by.at.0).bind(ends_at.0).bind(new.serial.to_owned())
                    .execute(&mut *tx).await.map_err(Error::reference("make an invitation"))?;
                sqlx::query("INSERT INTO mdm_challenges (hash, invitation_id, enrolment_id, ends_at) VALUES ($1, $2, $3, $4)")
                    .bind(challenge_hash.to_owned()).bind(invitation).bind(enrolment.0).bind(ends_at.0)
                    .execute(&mut *tx).await.map_err(Error::db("make a challenge"))?;
                record!(tx, by, "ade_device", new.serial, "let in")?;
                Ok(Door::Open(enrolment))
            })
        })
    }
}

/// Most iPads that Apple School Manager does not list and that stay in the list nevertheless.
pub const STRANGERS_MAX: i64 = 100;

type Row = (
    String,
    String,
    String,
    bool,
    Option<String>,
    String,
    Option<String>,
    Option<Uuid>,
    Option<Uuid>,
    i64,
    Option<i64>,
);

fn device(row: Row) -> AdeDevice {
    let (serial, model, description, listed, profile, status, problem, room, group, added, asked) = row;
    AdeDevice {
        serial,
        model,
        description,
        listed,
        profile,
        status,
        problem,
        room: room.map(RoomId),
        group: group.map(GroupId),
        added_at: UnixMillis(added),
        asked_at: asked.map(UnixMillis),
    }
}
