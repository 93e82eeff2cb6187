//! Sessions of people who signed in. The database knows the hash of a session's token only.

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::users::{Row, columns, user};
use crate::{Answer, By, Error, Inventory, Result, UnixMillis, User, UserId};

/// A session that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub user: User,
    /// When the password was given in it last.
    pub authenticated_at: UnixMillis,
}

/// Which sessions are meant: those that are open, or those that wait for the second factor.
macro_rules! select_session {
    ($stage:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            ", s.authenticated_at FROM sessions s JOIN users u ON u.id = s.user_id
             WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.deactivated_at IS NULL AND s.code_needed = ",
            $stage
        )
    };
}

/// Adds the row of a session.
macro_rules! insert {
    ($tx:ident, $by:expr, $user:expr, $token_hash:expr, $expires_at:expr, $code_needed:literal) => {
        sqlx::query(
            "INSERT INTO sessions (token_hash, user_id, created_at, expires_at, authenticated_at, code_needed)
             VALUES ($1, $2, $3, $4, $3, $5)",
        )
        .bind($token_hash.to_owned())
        .bind($user.0)
        .bind($by.at.0)
        .bind($expires_at.0)
        .bind($code_needed)
        .execute(&mut *$tx)
        .await
        .map_err(Error::unique("begin a session", || "this session exists already".into()))
    };
}

impl Inventory {
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
                insert!(tx, by, user, token_hash, expires_at, false)?;
                record!(tx, by, "user", user, "signed in")?;
                Ok(())
            })
        })
    }

    /// Begins a session that opens nothing: the password was right, and the second factor is to come.
    ///
    /// # Errors
    /// There is no such person, or the database failed.
    pub fn create_half_session<'a>(
        &'a self,
        by: By<'a>,
        user: UserId,
        token_hash: &'a str,
        expires_at: UnixMillis,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "begin half a session", tx => {
                insert!(tx, by, user, token_hash, expires_at, true)?;
                Ok(())
            })
        })
    }

    /// The session with that token, if it has not ended.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn session<'a>(&'a self, token_hash: &'a str, now: UnixMillis) -> Answer<'a, Option<Session>> {
        Box::pin(async move {
            let row: Option<SessionRow> = on_pool!(self, pool => sqlx::query_as(select_session!("FALSE"))
                .bind(token_hash.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find a session"))?;
            row.map(session).transpose()
        })
    }

    /// Who gave the right password in the session with that token and has yet to give a code.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn half_session<'a>(&'a self, token_hash: &'a str, now: UnixMillis) -> Answer<'a, Option<User>> {
        Box::pin(async move {
            let row: Option<SessionRow> = on_pool!(self, pool => sqlx::query_as(select_session!("TRUE"))
                .bind(token_hash.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find half a session"))?;
            Ok(row.map(session).transpose()?.map(|session| session.user))
        })
    }

    /// Notes that the password was given again in a session.
    ///
    /// # Errors
    /// The session has ended, or the database failed.
    pub fn renew_session<'a>(&'a self, by: By<'a>, token_hash: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "renew a session", tx => {
                let done = sqlx::query("UPDATE sessions SET authenticated_at = $1 WHERE token_hash = $2 AND code_needed = FALSE")
                    .bind(by.at.0).bind(token_hash.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("renew a session"))?;
                Error::unless_found(done.rows_affected(), "session", "of this token")
            })
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

#[derive(sqlx::FromRow)]
struct SessionRow {
    #[sqlx(flatten)]
    user: Row,
    authenticated_at: i64,
}

fn session(row: SessionRow) -> Result<Session> {
    Ok(Session { user: user(row.user)?, authenticated_at: UnixMillis(row.authenticated_at) })
}
