//! The change log: one increasing number for everything that anybody changed, who did it, and when.

use crate::db::on_pool;
use crate::{Answer, Error, Inventory, UnixMillis};

/// Who changes something, and when. Every write takes one and leaves it in the change log.
#[derive(Debug, Clone, Copy)]
pub struct By<'a> {
    /// A user's name or a daemon's.
    pub actor: &'a str,
    /// When.
    pub at: UnixMillis,
}

/// One entry of the change log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Change {
    /// Its number; later changes have greater ones.
    pub seq: i64,
    /// When.
    pub at: UnixMillis,
    /// Kind of thing: `room`, `device`, `waiting`, `network`, `image`, `job`, `user`, `notice`,
    /// `list`, `filter`, `exam`, `timetable`, `group`, `token`.
    pub entity: String,
    /// Its id.
    pub key: String,
    /// Who.
    pub actor: String,
    /// What: `created`, `changed`, `deleted`, `approved`, …
    pub action: String,
}

/// Appends to the change log inside a running transaction.
macro_rules! record {
    ($tx:expr, $by:expr, $entity:expr, $key:expr, $action:expr) => {
        sqlx::query("INSERT INTO changes (at, entity, entity_key, actor, action) VALUES ($1, $2, $3, $4, $5)")
            .bind($by.at.0)
            .bind($entity)
            .bind($key.to_string())
            .bind($by.actor.to_owned())
            .bind($action)
            .execute(&mut *$tx)
            .await
            .map_err($crate::Error::db("write the change log"))
    };
}
pub(crate) use record;

impl Inventory {
    /// Changes after `seq`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// The database failed.
    pub fn changes_since(&self, seq: i64, limit: u32) -> Answer<'_, Vec<Change>> {
        Box::pin(async move {
            let rows: Vec<(i64, i64, String, String, String, String)> = on_pool!(self, pool => sqlx::query_as(
            "SELECT seq, at, entity, entity_key, actor, action FROM changes WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(seq).bind(i64::from(limit)).fetch_all(pool).await)
        .map_err(Error::db("read the change log"))?;
            Ok(rows
                .into_iter()
                .map(|(seq, at, entity, key, actor, action)| Change {
                    seq,
                    at: UnixMillis(at),
                    entity,
                    key,
                    actor,
                    action,
                })
                .collect())
        })
    }

    /// How many of the last changes a follower looks at again: with several writers a change can appear after one with a greater
    /// number. SQLite has one writer at a time.
    #[must_use]
    pub fn changes_overlap(&self) -> i64 {
        match &self.pools {
            crate::db::Pools::Sqlite { .. } => 0,
            crate::db::Pools::Postgres(_) => 64,
        }
    }

    /// Number of the newest change; 0 when there is none.
    ///
    /// # Errors
    /// The database failed.
    pub fn last_change(&self) -> Answer<'_, i64> {
        Box::pin(async move {
            on_pool!(self, pool => sqlx::query_scalar("SELECT COALESCE(MAX(seq), 0) FROM changes").fetch_one(pool).await)
            .map_err(Error::db("read the change log"))
        })
    }
}
