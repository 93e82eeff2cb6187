//! Keys of programs: what they may do, until when, and from where. The database knows the hash of a token only.

use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::types::title;
use crate::{Answer, By, Error, Inventory, Result, TokenId, UnixMillis};

/// The key of a program.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// What people call it; unique.
    pub name: String,
    /// What it may do, in words of whoever checks it.
    pub scopes: Vec<String>,
    /// Address ranges it may be used from; none means any.
    pub networks: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// When it ends.
    pub expires_at: UnixMillis,
    /// When it was used last, to the hour.
    pub last_used_at: Option<UnixMillis>,
}

/// A token to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewToken<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Hash of the token.
    pub hash: &'a str,
    /// What it may do.
    pub scopes: &'a [String],
    /// Address ranges it may be used from; none means any.
    pub networks: &'a [String],
    /// When it ends.
    pub expires_at: UnixMillis,
}

/// What a [`Token`] is read from.
macro_rules! columns {
    () => {
        "id, name, scopes, networks, created_by, created_at, expires_at, last_used_at"
    };
}

impl Inventory {
    /// All tokens by name, those that ended as well. A row that cannot be used is reported in the second list.
    ///
    /// # Errors
    /// The database failed.
    pub fn tokens(&self) -> Answer<'_, (Vec<Token>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool =>
                sqlx::query_as(concat!("SELECT ", columns!(), " FROM tokens ORDER BY name")).fetch_all(pool).await)
            .map_err(Error::db("list tokens"))?;
            let (mut good, mut bad) = (Vec::with_capacity(rows.len()), Vec::new());
            for row in rows {
                match token(row) {
                    Ok(token) => good.push(token),
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((good, bad))
        })
    }

    /// The token with that hash, if it has not ended.
    ///
    /// # Errors
    /// The database failed, or the row makes no sense.
    pub fn token_by_hash<'a>(&'a self, hash: &'a str, now: UnixMillis) -> Answer<'a, Option<Token>> {
        Box::pin(async move {
            let row: Option<Row> = on_pool!(self, pool => sqlx::query_as(
                concat!("SELECT ", columns!(), " FROM tokens WHERE token_hash = $1 AND expires_at > $2"))
                .bind(hash.to_owned()).bind(now.0).fetch_optional(pool).await)
            .map_err(Error::db("find a token"))?;
            row.map(token).transpose()
        })
    }

    /// Makes a token.
    ///
    /// # Errors
    /// The name is unusable or taken, there are [`TOKENS_MAX`] tokens, or the database failed.
    pub fn create_token<'a>(&'a self, by: By<'a>, new: NewToken<'a>) -> Answer<'a, TokenId> {
        Box::pin(async move {
            let name =
                title(new.name, || Error::Conflict("a name must have 1 to 60 printable characters".into()))?;
            let id = TokenId::random();
            let list = |texts: &[String]| serde_json::Value::from(texts).to_string();
            in_transaction!(self, "make a token", tx => {
                let count: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM tokens")
                    .fetch_one(&mut *tx).await.map_err(Error::db("count tokens"))?;
                if count >= TOKENS_MAX {
                    return Err(Error::Conflict(format!("there are {TOKENS_MAX} tokens; remove one first")));
                }
                sqlx::query("INSERT INTO tokens (id, name, token_hash, scopes, networks, created_by, created_at, expires_at)
                             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
                    .bind(id.0).bind(name.to_owned()).bind(new.hash.to_owned()).bind(list(new.scopes)).bind(list(new.networks))
                    .bind(by.actor.to_owned()).bind(by.at.0).bind(new.expires_at.0)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("make a token", || format!("there is a token named {name:?} already")))?;
                record!(tx, by, "token", id, "created")?;
                Ok(())
            })?;
            Ok(id)
        })
    }

    /// Ends a token at once.
    ///
    /// # Errors
    /// There is no such token, or the database failed.
    pub fn delete_token<'a>(&'a self, by: By<'a>, id: TokenId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "end a token", tx => {
                let done = sqlx::query("DELETE FROM tokens WHERE id = $1").bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("end a token"))?;
                Error::unless_found(done.rows_affected(), "token", id)?;
                record!(tx, by, "token", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Notes that a token is used; written at most once an hour.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_token_use<'a>(&'a self, token: &'a Token, now: UnixMillis) -> Answer<'a, ()> {
        Box::pin(async move {
            if token.last_used_at.is_some_and(|at| (0..HOUR_MILLIS).contains(&now.millis_since(at))) {
                return Ok(());
            }
            in_transaction!(self, "note a token's use", tx => {
                sqlx::query("UPDATE tokens SET last_used_at = $1 WHERE id = $2").bind(now.0).bind(token.id.0)
                    .execute(&mut *tx).await.map_err(Error::db("note a token's use"))?;
                Ok(())
            })
        })
    }
}

/// Most tokens of a school.
pub const TOKENS_MAX: i64 = 200;
const HOUR_MILLIS: i64 = 3_600_000;

type Row = (Uuid, String, String, String, String, i64, i64, Option<i64>);

fn token((id, name, scopes, networks, created_by, created, expires, used): Row) -> Result<Token> {
    let bad = Error::row("tokens", id);
    let list = |text: &str| serde_json::from_str::<Vec<String>>(text).map_err(|e| bad(e.to_string()));
    Ok(Token {
        id: TokenId(id),
        scopes: list(&scopes)?,
        networks: list(&networks)?,
        name,
        created_by,
        created_at: UnixMillis(created),
        expires_at: UnixMillis(expires),
        last_used_at: used.map(UnixMillis),
    })
}
