//! The second factor of a sign-in: a sealed secret, codes that are good once, and recovery codes.
//!
//! The seal is the caller's: neither the secret nor a code reaches this crate.

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, UserId};

/// Replaces all recovery codes of a person.
macro_rules! replace_codes {
    ($tx:ident, $user:expr, $hashes:expr) => {
        async {
            sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1")
                .bind($user.0)
                .execute(&mut *$tx)
                .await
                .map_err(Error::db("remove recovery codes"))?;
            for hash in $hashes {
                sqlx::query("INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)")
                    .bind($user.0)
                    .bind(hash.to_owned())
                    .execute(&mut *$tx)
                    .await
                    .map_err(Error::reference("keep recovery codes"))?;
            }
            Ok::<(), Error>(())
        }
        .await
    };
}

impl Inventory {
    /// The sealed secret of a person's second factor, if they have one.
    ///
    /// # Errors
    /// The database failed.
    pub fn totp_secret(&self, user: UserId) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let row: Option<(Option<String>,)> = on_pool!(self, pool =>
                sqlx::query_as("SELECT totp_secret FROM users WHERE id = $1").bind(user.0).fetch_optional(pool).await)
            .map_err(Error::db("find a second factor"))?;
            Ok(row.and_then(|(secret,)| secret))
        })
    }

    /// Gives a person a second factor: its sealed secret, the time step of the code that proved it, and the hashes of the recovery codes.
    /// What they had before is void.
    ///
    /// # Errors
    /// There is no such person, or the database failed.
    pub fn set_totp<'a>(
        &'a self,
        by: By<'a>,
        user: UserId,
        sealed: &'a str,
        step: i64,
        recovery: &'a [String],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "set a second factor", tx => {
                let done = sqlx::query("UPDATE users SET totp_secret = $1, totp_step = $2 WHERE id = $3")
                    .bind(sealed.to_owned()).bind(step).bind(user.0)
                    .execute(&mut *tx).await.map_err(Error::db("set a second factor"))?;
                Error::unless_found(done.rows_affected(), "user", user)?;
                replace_codes!(tx, user, recovery)?;
                record!(tx, by, "user", user, "second factor set")?;
                Ok(())
            })
        })
    }

    /// Takes a person's second factor away.
    ///
    /// # Errors
    /// There is no such person, or the database failed.
    pub fn clear_totp<'a>(&'a self, by: By<'a>, user: UserId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "clear a second factor", tx => {
                let done = sqlx::query("UPDATE users SET totp_secret = NULL WHERE id = $1").bind(user.0)
                    .execute(&mut *tx).await.map_err(Error::db("clear a second factor"))?;
                Error::unless_found(done.rows_affected(), "user", user)?;
                replace_codes!(tx, user, [] as [String; 0])?;
                record!(tx, by, "user", user, "second factor cleared")?;
                Ok(())
            })
        })
    }

    /// Marks the code of a time step as used. `false` if it, or a later one, was used before (RFC 6238 section 5.2).
    ///
    /// # Errors
    /// The database failed.
    pub fn use_totp_step(&self, user: UserId, step: i64) -> Answer<'_, bool> {
        Box::pin(async move {
            in_transaction!(self, "use a code", tx => {
                let done = sqlx::query("UPDATE users SET totp_step = $1 WHERE id = $2 AND totp_step < $1")
                    .bind(step).bind(user.0).execute(&mut *tx).await.map_err(Error::db("use a code"))?;
                Ok(done.rows_affected() == 1)
            })
        })
    }

    /// Uses a recovery code up. `false` if there is no such code.
    ///
    /// # Errors
    /// The database failed.
    pub fn use_recovery_code<'a>(&'a self, by: By<'a>, user: UserId, hash: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            in_transaction!(self, "use a recovery code", tx => {
                let done = sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1 AND code_hash = $2")
                    .bind(user.0).bind(hash.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("use a recovery code"))?;
                let used = done.rows_affected() == 1;
                if used {
                    record!(tx, by, "user", user, "recovery code used")?;
                }
                Ok(used)
            })
        })
    }

    /// How many recovery codes a person has left.
    ///
    /// # Errors
    /// The database failed.
    pub fn recovery_codes_left(&self, user: UserId) -> Answer<'_, usize> {
        Box::pin(async move {
            let count: i64 = on_pool!(self, pool => sqlx::query_scalar("SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1")
                .bind(user.0).fetch_one(pool).await)
            .map_err(Error::db("count recovery codes"))?;
            Ok(usize::try_from(count).unwrap_or(0))
        })
    }
}
