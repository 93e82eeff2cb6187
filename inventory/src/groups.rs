//! Classes and other groups: people, their devices, and devices that belong to the group itself.

use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::gate::Place;
use crate::gate::store::{PlaceRow, place};
use crate::types::title;
use crate::{Answer, By, DeviceId, Error, GroupId, Inventory, Result, UserId};

/// A class or another group.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
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
            let name = group_name(name)?;
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

    /// Gives a group another name.
    ///
    /// # Errors
    /// As [`Inventory::create_group`], or there is no such group.
    pub fn rename_group<'a>(&'a self, by: By<'a>, id: GroupId, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = group_name(name)?;
            in_transaction!(self, "rename a group", tx => {
                let done = sqlx::query("UPDATE school_groups SET name = $1 WHERE id = $2").bind(name.clone()).bind(id.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("rename a group", || format!("there is a group named {name:?} already")))?;
                Error::unless_found(done.rows_affected(), "group", id)?;
                record!(tx, by, "group", id, "renamed")?;
                Ok(())
            })
        })
    }

    /// The groups with the number of their people and of the devices that belong to the group itself, by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn group_sizes(&self) -> Answer<'_, Vec<(Group, i64, i64)>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, String, i64, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT g.id, g.name, (SELECT COUNT(*) FROM members m WHERE m.group_id = g.id),
                     (SELECT COUNT(*) FROM device_groups d WHERE d.group_id = g.id)
                 FROM school_groups g ORDER BY g.name").fetch_all(pool).await)
            .map_err(Error::db("count members of groups"))?;
            let sized = |(id, name, people, devices)| (Group { id: GroupId(id), name }, people, devices);
            Ok(rows.into_iter().map(sized).collect())
        })
    }

    /// The devices that belong to a group itself, not to its people: id and host name, by name.
    ///
    /// # Errors
    /// The database failed.
    pub fn devices_of_group(&self, id: GroupId) -> Answer<'_, Vec<(DeviceId, String)>> {
        Box::pin(async move {
            let rows: Vec<(Uuid, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT d.id, d.name FROM devices d JOIN device_groups g ON g.device_id = d.id WHERE g.group_id = $1 ORDER BY d.name")
                .bind(id.0).fetch_all(pool).await)
            .map_err(Error::db("list a group's devices"))?;
            Ok(rows.into_iter().map(|(id, name)| (DeviceId(id), name)).collect())
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
                Error::unless_found(done.rows_affected(), "group", id)?;
                record!(tx, by, "group", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// What a group says at ordinary times.
    ///
    /// # Errors
    /// There is no such group, the row makes no sense, or the database failed.
    pub fn group_gate(&self, id: GroupId) -> Answer<'_, Place> {
        Box::pin(async move {
            let row: Option<PlaceRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, level, list_id, filter_id FROM school_groups WHERE id = $1").bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("find a group"))?;
            let row = row.ok_or(Error::NotFound { what: "group", key: id.to_string() })?;
            Ok(place("school_groups", row)?.1)
        })
    }

    /// Says what holds for a group at ordinary times; without a setting, what rooms and networks say.
    ///
    /// # Errors
    /// There is no such group, list or filter, or the database failed.
    pub fn set_group_gate<'a>(&'a self, by: By<'a>, id: GroupId, gate: Place) -> Answer<'a, ()> {
        Box::pin(async move {
            let Place { setting, filter } = gate;
            in_transaction!(self, "save what holds for a group", tx => {
                let done = sqlx::query("UPDATE school_groups SET level = $1, list_id = $2, filter_id = $3 WHERE id = $4")
                    .bind(setting.map(|s| s.level.text())).bind(setting.and_then(|s| s.list).map(|l| l.0))
                    .bind(filter.map(|f| f.0)).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::reference("save what holds for a group"))?;
                Error::unless_found(done.rows_affected(), "group", id)?;
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
        Box::pin(self.change_group(
            by,
            id,
            (people, "INSERT INTO members (group_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"),
            (
                devices,
                "INSERT INTO device_groups (group_id, device_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            ),
        ))
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
        Box::pin(self.change_group(
            by,
            id,
            (people, "DELETE FROM members WHERE group_id = $1 AND user_id = $2"),
            (devices, "DELETE FROM device_groups WHERE group_id = $1 AND device_id = $2"),
        ))
    }

    /// Runs a statement with the group's and a person's id for each person, and one with a device's for each device.
    async fn change_group(
        &self,
        by: By<'_>,
        id: GroupId,
        (people, for_person): (&[UserId], &'static str),
        (devices, for_device): (&[DeviceId], &'static str),
    ) -> Result<()> {
        let people = people.iter().map(|person| (for_person, person.0));
        let devices = devices.iter().map(|device| (for_device, device.0));
        let statements: Vec<(&'static str, Uuid)> = people.chain(devices).collect();
        in_transaction!(self, "change who belongs to a group", tx => {
            for (sql, member) in statements {
                sqlx::query(sql).bind(id.0).bind(member).execute(&mut *tx).await
                    .map_err(Error::reference("change who belongs to a group"))?;
            }
            record!(tx, by, "group", id, "changed")?;
            Ok(())
        })
    }
}

fn group_name(name: &str) -> Result<String> {
    title(name, || Error::Conflict("a group's name must have 1 to 60 printable characters".into()))
}
