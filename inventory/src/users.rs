//! People who may sign in, and their sessions.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, ParseError, Result, UnixMillis, UserId};

/// The statement that reads people, with the rest of it.
macro_rules! select_users {
    ($rest:literal) => {
        concat!(
            "SELECT u.id, u.name, u.first_name, u.last_name, u.external_id, u.deactivated_at, u.password_hash, u.role
             FROM users u ",
            $rest
        )
    };
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
        Box::pin(async move {
            let name = name.trim().to_lowercase();
            if name.is_empty() || name.len() > 60 || name.chars().any(|c| c.is_control() || c.is_whitespace())
            {
                return Err(Error::Conflict("a user name must have 1 to 60 characters and no spaces".into()));
            }
            let id = UserId::random();
            in_transaction!(self, "add a user", tx => {
                sqlx::query("INSERT INTO users (id, name, password_hash, role, created_at) VALUES ($1, $2, $3, $4, $5)")
                    .bind(id.0).bind(name.clone()).bind(password_hash.to_owned()).bind(role.text()).bind(by.at.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("add a user", || format!("there is a user named {name:?} already")))?;
                record!(tx, by, "user", id, "created")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Replaces a person's password hash and ends their sessions.
    ///
    /// # Errors
    /// There is no such person, or the database failed.
    pub fn set_password<'a>(&'a self, by: By<'a>, name: &'a str, password_hash: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            let user = self
                .user_by_name(name)
                .await?
                .ok_or(Error::NotFound { what: "user", key: name.to_owned() })?;
            in_transaction!(self, "set a password", tx => {
                sqlx::query("UPDATE users SET password_hash = $1 WHERE id = $2").bind(password_hash.to_owned()).bind(user.id.0)
                    .execute(&mut *tx).await.map_err(Error::db("set a password"))?;
                sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(user.id.0)
                    .execute(&mut *tx).await.map_err(Error::db("end sessions"))?;
                record!(tx, by, "user", user.id, "password set")?;
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

    /// Begins a session. Only the hash of its token is stored. Sessions that ended are removed on the way.
    ///
    /// # Errors
    /// There is no such person, or the database failed.
    pub fn create_session<'a>(
        &'a self,
        by: By<'a>,
        user: UserId,
        token_hash: &'a str,
        expires_at: UnixMillis,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "begin a session", tx => {
                sqlx::query("DELETE FROM sessions WHERE expires_at <= $1").bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("remove old sessions"))?;
                sqlx::query("INSERT INTO sessions (token_hash, user_id, created_at, expires_at) VALUES ($1, $2, $3, $4)")
                    .bind(token_hash.to_owned()).bind(user.0).bind(by.at.0).bind(expires_at.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("begin a session", || "this session exists already".into()))?;
                record!(tx, by, "user", user, "signed in")?;
                Ok(())
            })
        })
    }

    /// Whose session that is, if it has not ended and they may still sign in.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn session_user<'a>(&'a self, token_hash: &'a str, now: UnixMillis) -> Answer<'a, Option<User>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
            select_users!("JOIN sessions s ON s.user_id = u.id
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.deactivated_at IS NULL"))
            .bind(token_hash.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find a session"))?;
            row.map(user).transpose()
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// The database failed.
    pub fn end_session<'a>(&'a self, token_hash: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "end a session", tx => {
                sqlx::query("DELETE FROM sessions WHERE token_hash = $1").bind(token_hash.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("end a session"))?;
                Ok(())
            })
        })
    }
}

type Row = (Uuid, String, String, String, Option<String>, Option<i64>, String, String);

fn user(row: Row) -> Result<User> {
    let (id, name, first_name, last_name, external_id, deactivated_at, password_hash, role) = row;
    let role = role.parse().map_err(|e: ParseError| Error::row("users", &name)(e.to_string()))?;
    let deactivated_at = deactivated_at.map(UnixMillis);
    Ok(User { id: UserId(id), name, first_name, last_name, external_id, deactivated_at, password_hash, role })
}
