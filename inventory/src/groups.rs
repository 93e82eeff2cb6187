//! Classes and other groups: people, their devices, and devices that belong to the group itself.

use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::gate::Setting;
use crate::{Answer, By, DeviceId, Error, GroupId, Inventory, Result, UserId};

/// A class or another group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// What people call it, for example `7b`; unique.
    pub name: String,
}

impl Inventory {
    /// All groups by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn groups(&self) -> Answer<'_, Vec<Group>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, String)> = on_pool!(self, pool =>
                sqlx::query_as("SELECT id, name FROM school_groups ORDER BY name").fetch_all(pool).await)
            .map_err(Error::db("list groups"))?;
            Ok(rows.into_iter().map(|(id, name)| Group { id: GroupId(id), name }).collect())
        })
    }

    /// The groups a person is in, by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn groups_of(&self, user: UserId) -> Answer<'_, Vec<Group>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT g.id, g.name FROM school_groups g JOIN members m ON m.group_id = g.id WHERE m.user_id = $1 ORDER BY g.name")
                .bind(user.0).fetch_all(pool).await)
            .map_err(Error::db("list a person's groups"))?;
            Ok(rows.into_iter().map(|(id, name)| Group { id: GroupId(id), name }).collect())
        })
    }

    /// Adds a group.
    ///
    /// # Errors
    /// The name is empty, longer than 60 characters or taken; the database failed.
    pub fn create_group<'a>(&'a self, by: By<'a>, name: &'a str) -> Answer<'a, Group> {
        Box::pin(async move {
            let name = name.trim().to_owned();
            if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
                return Err(Error::Conflict("a group's name must have 1 to 60 printable characters".into()));
            }
            let id = GroupId::random();
            in_transaction!(self, "add a group", tx => {
                sqlx::query("INSERT INTO school_groups (id, name) VALUES ($1, $2)").bind(id.0).bind(name.clone())
                    .execute(&mut *tx).await
                    .map_err(Error::unique("add a group", || format!("there is a group named {name:?} already")))?;
                record!(tx, by, "group", id, "created")?;
                Ok(())
            })?;
            Ok(Group { id, name })
        })
    }

    /// Removes a group; its people and devices stay.
    ///
    /// # Errors
    /// There is no such group, or the database failed.
    pub fn delete_group<'a>(&'a self, by: By<'a>, id: GroupId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a group", tx => {
                let done = sqlx::query("DELETE FROM school_groups WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(Error::db("delete a group"))?;
                found(done.rows_affected(), id)?;
                record!(tx, by, "group", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Says what holds for a group at ordinary times; without a setting, what rooms and networks say.
    ///
    /// # Errors
    /// There is no such group or list, or the database failed.
    pub fn set_group_gate<'a>(&'a self, by: By<'a>, id: GroupId, setting: Option<Setting>) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "save what holds for a group", tx => {
                let done = sqlx::query("UPDATE school_groups SET level = $1, list_id = $2 WHERE id = $3")
                    .bind(setting.map(|s| s.level.text())).bind(setting.and_then(|s| s.list).map(|l| l.0)).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::reference("save what holds for a group"))?;
                found(done.rows_affected(), id)?;
                record!(tx, by, "group", id, "gate set")?;
                Ok(())
            })
        })
    }

    /// Puts people and devices into a group, in addition to those who are in it.
    ///
    /// # Errors
    /// Group, person or device do not exist, or the database failed; then nothing is changed.
    pub fn add_to_group<'a>(
        &'a self,
        by: By<'a>,
        id: GroupId,
        people: &'a [UserId],
        devices: &'a [DeviceId],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "add to a group", tx => {
                for person in people {
                    sqlx::query("INSERT INTO members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(id.0).bind(person.0).execute(&mut *tx).await
                        .map_err(Error::reference("add a person to a group"))?;
                }
                for device in devices {
                    sqlx::query("INSERT INTO device_groups (group_id, device_id) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(id.0).bind(device.0).execute(&mut *tx).await
                        .map_err(Error::reference("add a device to a group"))?;
                }
                record!(tx, by, "group", id, "changed")?;
                Ok(())
            })
        })
    }

    /// Takes people and devices out of a group.
    ///
    /// # Errors
    /// The database failed.
    pub fn remove_from_group<'a>(
        &'a self,
        by: By<'a>,
        id: GroupId,
        people: &'a [UserId],
        devices: &'a [DeviceId],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "take out of a group", tx => {
                for person in people {
                    sqlx::query("DELETE FROM members WHERE group_id = $1 AND user_id = $2").bind(id.0).bind(person.0)
                        .execute(&mut *tx).await.map_err(Error::db("take a person out of a group"))?;
                }
                for device in devices {
                    sqlx::query("DELETE FROM device_groups WHERE group_id = $1 AND device_id = $2").bind(id.0).bind(device.0)
                        .execute(&mut *tx).await.map_err(Error::db("take a device out of a group"))?;
                }
                record!(tx, by, "group", id, "changed")?;
                Ok(())
            })
        })
    }
}

fn found(rows: u64, id: GroupId) -> Result<()> {
    if rows == 0 { Err(Error::NotFound { what: "group", key: id.to_string() }) } else { Ok(()) }
}
