//! People who may sign in: adding, finding and changing them.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, GroupId, Inventory, ParseError, Result, UnixMillis, UserId};

/// A person who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: UserId,
    /// Name they sign in with; unique.
    pub name: String,
    /// First name; empty when nobody gave one.
    pub first_name: String,
    /// Last name; empty when nobody gave one.
    pub last_name: String,
    /// What the school's own system calls them.
    pub external_id: Option<String>,
    /// Since when they may not sign in.
    pub deactivated_at: Option<UnixMillis>,
    /// argon2id hash in PHC string format.
    pub password_hash: String,
    /// What they may do.
    pub role: Role,
    /// Whether somebody else chose the password: its owner chooses an own one first of all.
    pub password_temporary: bool,
    /// Whether a code is asked for after the password.
    pub second_factor: bool,
}

/// Which people are wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Find<'a> {
    /// Part of the name; empty for all.
    pub text: &'a str,
    /// Only those with this role.
    pub role: Option<Role>,
    /// Only members of this group.
    pub group: Option<GroupId>,
    /// How many to pass over.
    pub offset: u32,
    /// How many at most.
    pub limit: u32,
}

/// A person in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The person.
    pub user: User,
    /// Names of the groups they are in, separated by `, `.
    pub groups: String,
}

/// People that were found, by name.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that were asked for.
    pub people: Vec<Person>,
    /// Rows that cannot be used.
    pub problems: Vec<Error>,
    /// How many there are in all, whatever the limit.
    pub total: usize,
}

/// A password to be kept, as its hash.
#[derive(Debug, Clone, Copy)]
pub struct NewPassword<'a> {
    /// argon2id hash in PHC string format.
    pub hash: &'a str,
    /// Whether the person is to choose an own one first of all.
    pub temporary: bool,
    /// The one session that goes on: that of the person who changes the own password.
    pub keep_session: Option<&'a str>,
}

impl User {
    /// What people call them: first and last name, or else the name they sign in with.
    #[must_use]
    pub fn display_name(&self) -> String {
        let full = format!("{} {}", self.first_name, self.last_name);
        if full.trim().is_empty() { self.name.clone() } else { full.trim().to_owned() }
    }
}

/// What a person may do: see the table of roles in webui.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in one school.
    SchoolAdmin,
    /// Devices, rooms and images, but no people.
    DeviceOfficer,
    /// Roles and reports of a school, but no technical settings.
    HeadTeacher,
    /// Rooms and classes in lessons.
    Teacher,
    /// Imports of people.
    Secretary,
    /// Their own status and devices.
    Pupil,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 6] = [
        Self::SchoolAdmin,
        Self::DeviceOfficer,
        Self::HeadTeacher,
        Self::Teacher,
        Self::Secretary,
        Self::Pupil,
    ];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::SchoolAdmin => "school_admin",
            Self::DeviceOfficer => "device_officer",
            Self::HeadTeacher => "head_teacher",
            Self::Teacher => "teacher",
            Self::Secretary => "secretary",
            Self::Pupil => "pupil",
        }
    }

    /// Whether this person's own devices are left alone when a room or class is locked.
    #[must_use]
    pub fn is_staff(self) -> bool {
        self != Self::Pupil
    }
}

impl FromStr for Role {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let found = Self::ALL.into_iter().find(|role| role.text() == text);
        found.ok_or(ParseError::new("role", text, "there is no such role"))
    }
}

/// What a [`User`] is read from; the table is called `u`.
macro_rules! columns {
    () => {
        "u.id, u.name, u.first_name, u.last_name, u.external_id, u.deactivated_at, u.password_hash, u.role, u.password_temporary,
         u.totp_secret IS NOT NULL AS second_factor"
    };
}
pub(crate) use columns;

/// The question for users, and how it goes on.
macro_rules! select_users {
    ($rest:literal) => {
        concat!("SELECT ", columns!(), " FROM users u ", $rest)
    };
}

/// Which people [`Find`] wants: $1 is a pattern, $2 a role or nothing, $3 a group or NULL.
macro_rules! wanted {
    () => {
        " FROM users u
          WHERE (u.name LIKE $1 ESCAPE '!' OR LOWER(u.first_name || ' ' || u.last_name) LIKE $1 ESCAPE '!') AND ($2 = '' OR u.role = $2)
          AND ($3 IS NULL OR u.id IN (SELECT user_id FROM members WHERE group_id = $3))"
    };
}

/// The people whom [`Find`] wants, with the names of their groups; $4 is how many at most, $5 how many to pass over.
macro_rules! select_people {
    () => {
        concat!(
            "SELECT ",
            columns!(),
            ", COALESCE((SELECT STRING_AGG(g.name, ', ' ORDER BY g.name) FROM members m
                JOIN school_groups g ON g.id = m.group_id WHERE m.user_id = u.id), '') AS group_names",
            wanted!(),
            " ORDER BY u.name LIMIT $4 OFFSET $5"
        )
    };
}

/// Refuses if that person is the only school admin. Two admins who remove each other at the same moment meet at the lock that the first
/// statement takes: the second one counts after the first is done.
macro_rules! another_admin {
    ($tx:ident, $id:expr) => {
        async {
            let admin = Role::SchoolAdmin.text();
            sqlx::query("UPDATE users SET role = role WHERE role = $1")
                .bind(admin)
                .execute(&mut *$tx)
                .await
                .map_err(Error::db("lock the admins"))?;
            let (mine, all): (i64, i64) = sqlx::query_as(
                "SELECT COUNT(CASE WHEN id = $1 THEN 1 END), COUNT(*) FROM users WHERE role = $2 AND deactivated_at IS NULL",
            )
            .bind($id.0)
            .bind(admin)
            .fetch_one(&mut *$tx)
            .await
            .map_err(Error::db("count the admins"))?;
            if mine == 1 && all == 1 {
                return Err(Error::Conflict(
                    "this is the last school admin; make somebody else one first".into(),
                ));
            }
            Ok(())
        }
        .await
    };
}

impl Inventory {
    /// Adds a person. The hash is made by the caller; no password reaches this crate.
    ///
    /// # Errors
    /// The name is taken or unusable, or the database failed.
    pub fn create_user<'a>(
        &'a self,
        by: By<'a>,
        name: &'a str,
        password_hash: &'a str,
        role: Role,
    ) -> Answer<'a, UserId> {
        let new = NewPassword { hash: password_hash, temporary: false, keep_session: None };
        Box::pin(self.add_user(by, name, role, new))
    }

    /// As [`Inventory::create_user`], with a password that its owner is to replace first of all.
    ///
    /// # Errors
    /// As [`Inventory::create_user`].
    pub fn create_user_with_temporary_password<'a>(
        &'a self,
        by: By<'a>,
        name: &'a str,
        password_hash: &'a str,
        role: Role,
    ) -> Answer<'a, UserId> {
        let new = NewPassword { hash: password_hash, temporary: true, keep_session: None };
        Box::pin(self.add_user(by, name, role, new))
    }

    async fn add_user(
        &self,
        by: By<'_>,
        name: &str,
        role: Role,
        password: NewPassword<'_>,
    ) -> Result<UserId> {
        let name = user_name(name)?;
        let id = UserId::random();
        in_transaction!(self, "add a user", tx => {
            sqlx::query("INSERT INTO users (id, name, password_hash, role, created_at, password_temporary) VALUES ($1, $2, $3, $4, $5, $6)")
                .bind(id.0).bind(name.clone()).bind(password.hash.to_owned()).bind(role.text()).bind(by.at.0).bind(password.temporary)
                .execute(&mut *tx).await
                .map_err(Error::unique("add a user", || format!("there is a user named {name:?} already")))?;
            record!(tx, by, "user", id, "created")?;
            Ok(())
        })?;
        Ok(id)
    }

    /// Replaces a person's password hash and ends their sessions.
    ///
    /// # Errors
    /// There is no such person, or the database failed.
    pub fn set_password<'a>(&'a self, by: By<'a>, id: UserId, new: NewPassword<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "set a password", tx => {
                let done = sqlx::query("UPDATE users SET password_hash = $1, password_temporary = $2 WHERE id = $3")
                    .bind(new.hash.to_owned()).bind(new.temporary).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("set a password"))?;
                Error::unless_found(done.rows_affected(), "user", id)?;
                sqlx::query("DELETE FROM sessions WHERE user_id = $1 AND token_hash <> $2")
                    .bind(id.0).bind(new.keep_session.unwrap_or_default().to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("end sessions"))?;
                record!(tx, by, "user", id, "password set")?;
                Ok(())
            })
        })
    }

    /// Gives a person another name to sign in with.
    ///
    /// # Errors
    /// As [`Inventory::create_user`], or there is no such person.
    pub fn rename_user<'a>(&'a self, by: By<'a>, id: UserId, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = user_name(name)?;
            in_transaction!(self, "rename a user", tx => {
                let done = sqlx::query("UPDATE users SET name = $1 WHERE id = $2").bind(name.clone()).bind(id.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("rename a user", || format!("there is a user named {name:?} already")))?;
                Error::unless_found(done.rows_affected(), "user", id)?;
                record!(tx, by, "user", id, "renamed")?;
                Ok(())
            })
        })
    }

    /// Gives a person another role.
    ///
    /// # Errors
    /// It is the last school admin, there is no such person, or the database failed.
    pub fn set_role<'a>(&'a self, by: By<'a>, id: UserId, role: Role) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "change a role", tx => {
                if role != Role::SchoolAdmin {
                    another_admin!(tx, id)?;
                }
                let done = sqlx::query("UPDATE users SET role = $1 WHERE id = $2").bind(role.text()).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("change a role"))?;
                Error::unless_found(done.rows_affected(), "user", id)?;
                record!(tx, by, "user", id, "role set")?;
                Ok(())
            })
        })
    }

    /// Removes a person with their sessions. Their devices stay and belong to nobody.
    ///
    /// # Errors
    /// It is the last school admin, there is no such person, or the database failed.
    pub fn delete_user<'a>(&'a self, by: By<'a>, id: UserId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a user", tx => {
                another_admin!(tx, id)?;
                let done = sqlx::query("DELETE FROM users WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("delete a user"))?;
                Error::unless_found(done.rows_affected(), "user", id)?;
                record!(tx, by, "user", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Stores another hash of the same password, unless the password was changed meanwhile. Sessions go on.
    ///
    /// # Errors
    /// The database failed.
    pub fn rehash_password<'a>(&'a self, id: UserId, old_hash: &'a str, new_hash: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "hash a password again", tx => {
                sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2 AND password_hash = $3")
                    .bind(new_hash.to_owned()).bind(id.0).bind(old_hash.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("hash a password again"))?;
                Ok(())
            })
        })
    }

    /// The person of that name.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn user_by_name<'a>(&'a self, name: &'a str) -> Answer<'a, Option<User>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
            select_users!("WHERE u.name = $1"))
            .bind(name.trim().to_lowercase()).fetch_optional(pool).await)
            .map_err(Error::db("find a user"))?;
            row.map(user).transpose()
        })
    }

    /// The person with that id.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn user(&self, id: UserId) -> Answer<'_, Option<User>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
            select_users!("WHERE u.id = $1"))
            .bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("find a user"))?;
            row.map(user).transpose()
        })
    }

    /// All people by name. A row that cannot be used is reported in the second list.
    ///
    /// # Errors
    /// The database failed.
    pub fn users(&self) -> Answer<'_, (Vec<User>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
            select_users!("ORDER BY u.name")).fetch_all(pool).await)
            .map_err(Error::db("list users"))?;
            let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                match user(row) {
                    Ok(user) => good.push(user),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// Some people by name, with their groups.
    ///
    /// # Errors
    /// The database failed.
    pub fn find_people<'a>(&'a self, find: Find<'a>) -> Answer<'a, Found> {
        Box::pin(async move {
            let pattern = pattern(find.text);
            let role = find.role.map_or("", Role::text);
            let group = find.group.map(|group| group.0);
            let (rows, total): (Vec<PersonRow>, i64) = on_pool!(self, pool => {
                let rows = sqlx::query_as(select_people!())
                    .bind(pattern.clone()).bind(role).bind(group).bind(i64::from(find.limit)).bind(i64::from(find.offset))
                    .fetch_all(pool).await.map_err(Error::db("find people"))?;
                let total = sqlx::query_scalar(concat!("SELECT COUNT(*)", wanted!()))
                    .bind(pattern.clone()).bind(role).bind(group).fetch_one(pool).await.map_err(Error::db("count people"))?;
                (rows, total)
            });
            let mut found = Found { total: usize::try_from(total).unwrap_or(0), ..Found::default() };
            for row in rows {
                match user(row.user) {
                    Ok(user) => found.people.push(Person { user, groups: row.group_names }),
                    Err(problem) => found.problems.push(problem),
                }
            }
            Ok(found)
        })
    }

    /// Whether anybody may sign in yet.
    ///
    /// # Errors
    /// The database failed.
    pub fn has_users(&self) -> Answer<'_, bool> {
        Box::pin(async move {
            let count: i64 =
            on_pool!(self, pool => sqlx::query_scalar("SELECT COUNT(*) FROM users").fetch_one(pool).await)
                .map_err(Error::db("count users"))?;
            Ok(count > 0)
        })
    }
}

/// A [`User`] as it is stored.
#[derive(sqlx::FromRow)]
pub(crate) struct Row {
    id: Uuid,
    name: String,
    first_name: String,
    last_name: String,
    external_id: Option<String>,
    deactivated_at: Option<i64>,
    password_hash: String,
    role: String,
    password_temporary: bool,
    second_factor: bool,
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    #[sqlx(flatten)]
    user: Row,
    group_names: String,
}

pub(crate) fn user(row: Row) -> Result<User> {
    let role = row.role.parse().map_err(|e: ParseError| Error::row("users", &row.name)(e.to_string()))?;
    Ok(User {
        id: UserId(row.id),
        name: row.name,
        first_name: row.first_name,
        last_name: row.last_name,
        external_id: row.external_id,
        deactivated_at: row.deactivated_at.map(UnixMillis),
        password_hash: row.password_hash,
        role,
        password_temporary: row.password_temporary,
        second_factor: row.second_factor,
    })
}

/// A pattern for `LIKE … ESCAPE '!'` that finds a text anywhere.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.trim().to_lowercase().chars() {
        if matches!(c, '!' | '%' | '_') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

fn user_name(name: &str) -> Result<String> {
    let name = name.trim().to_lowercase();
    if name.is_empty() || name.len() > 60 || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::Conflict("a user name must have 1 to 60 characters and no spaces".into()));
    }
    Ok(name)
}
