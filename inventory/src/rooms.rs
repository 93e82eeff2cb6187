//! Rooms.

use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::types::title;
use crate::{Answer, By, Error, Inventory, Result, RoomId};

/// A room of the school.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Room {
    /// Its id.
    pub id: RoomId,
    /// What people call it, for example `Raum 204`; unique.
    pub name: String,
}

impl Inventory {
    /// All rooms by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn rooms(&self) -> Answer<'_, Vec<Room>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, String)> =
            on_pool!(self, pool => sqlx::query_as("SELECT id, name FROM rooms ORDER BY name").fetch_all(pool).await)
                .map_err(Error::db("list rooms"))?;
            Ok(rows.into_iter().map(|(id, name)| Room { id: RoomId(id), name }).collect())
        })
    }

    /// The room of that name.
    ///
    /// # Errors
    /// The database failed.
    pub fn room_by_name<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Room>> {
        Box::pin(async move { Ok(self.rooms().await?.into_iter().find(|room| room.name == name)) })
    }

    /// Adds a room.
    ///
    /// # Errors
    /// The name is empty, longer than 60 characters or taken; the database failed.
    pub fn create_room<'a>(&'a self, by: By<'a>, name: &'a str) -> Answer<'a, Room> {
        Box::pin(async move {
            let name = room_name(name)?;
            let id = RoomId::random();
            in_transaction!(self, "add a room", tx => {
                sqlx::query("INSERT INTO rooms (id, name, created_at) VALUES ($1, $2, $3)")
                    .bind(id.0).bind(name.clone()).bind(by.at.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("add a room", || format!("there is a room named {name:?} already")))?;
                record!(tx, by, "room", id, "created")?;
                Ok(())
            })?;
            Ok(Room { id, name })
        })
    }

    /// Gives a room another name.
    ///
    /// # Errors
    /// As [`Inventory::create_room`], or there is no such room.
    pub fn rename_room<'a>(&'a self, by: By<'a>, id: RoomId, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = room_name(name)?;
            in_transaction!(self, "rename a room", tx => {
                let done = sqlx::query("UPDATE rooms SET name = $1 WHERE id = $2")
                    .bind(name.clone()).bind(id.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("rename a room", || format!("there is a room named {name:?} already")))?;
                Error::unless_found(done.rows_affected(), "room", id)?;
                record!(tx, by, "room", id, "renamed")?;
                Ok(())
            })
        })
    }

    /// Removes an empty room.
    ///
    /// # Errors
    /// Devices are still in it, there is no such room, or the database failed.
    pub fn delete_room<'a>(&'a self, by: By<'a>, id: RoomId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a room", tx => {
                let done = sqlx::query("DELETE FROM rooms WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(|source| match source.as_database_error() {
                        Some(e) if e.is_foreign_key_violation() => {
                            Error::Conflict("the room still has devices; move or delete them first".into())
                        }
                        _ => Error::Database { op: "delete a room", source },
                    })?;
                Error::unless_found(done.rows_affected(), "room", id)?;
                record!(tx, by, "room", id, "deleted")?;
                Ok(())
            })
        })
    }
}

fn room_name(name: &str) -> Result<String> {
    title(name, || Error::Conflict("a room's name must have 1 to 60 printable characters".into()))
}
