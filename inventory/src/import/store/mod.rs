//! Taking a plan over and taking it back, and the list of files that were taken over.
//!
//! Both directions are the same: a [`Step`] says what a person or device is and what it becomes, and taking back goes the steps backwards.
//! All of it is one transaction: a server that dies in the middle has changed nothing.

mod devices;
mod people;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Counts, Kind};
use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, ImportId, Inventory, Result, UnixMillis};

/// A file that was taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Import {
    /// Its id.
    pub id: ImportId,
    /// What it was about.
    pub kind: Kind,
    /// Its name.
    pub file_name: String,
    /// What it changed.
    pub counts: Counts,
    /// By whom.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
    /// Who took it back, and when.
    pub undone: Option<(String, UnixMillis)>,
    /// Whether it can be taken back: nothing later stands, and it is not too long ago.
    pub can_undo: bool,
}

/// What became of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is done.
    Done,
    /// The school is not what the plan was made for. Nothing was changed.
    Outdated,
}

/// What became of taking an import back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Undone {
    /// How many people or devices are what they were.
    pub restored: usize,
    /// Those that somebody changed since, which are left alone: what people call them.
    pub left: Vec<String>,
}

/// What a person or device is, and what it becomes. `None` is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Step<I, T> {
    id: I,
    before: Option<T>,
    after: Option<T>,
}

impl<I, T> Step<I, T> {
    fn back(self) -> Self {
        Self { id: self.id, before: self.after, after: self.before }
    }
}

/// Describes an import that is about to be written.
struct Entry<'a> {
    id: ImportId,
    kind: Kind,
    file_name: &'a str,
    counts: Counts,
    undo: String,
}

/// Writes an import into the list, inside a running transaction.
macro_rules! enter {
    ($tx:expr, $by:expr, $entry:expr) => {{
        let entry: $crate::import::store::Entry<'_> = $entry;
        let counts = serde_json::to_string(&entry.counts).unwrap_or_default();
        sqlx::query(
            "INSERT INTO imports (id, kind, file_name, counts, undo, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(entry.id.0).bind(entry.kind.text()).bind(entry.file_name.to_owned()).bind(counts).bind(entry.undo)
            .bind($by.actor.to_owned()).bind($by.at.0)
            .execute(&mut *$tx).await
            .map_err($crate::Error::unique("note an import", || "this file was taken over already".into()))?;
    }};
}
use enter;

type Row = (Uuid, String, String, String, bool, String, i64, Option<String>, Option<i64>);

impl Inventory {
    /// Files of a kind that were taken over, newest first, at most `limit`.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn imports(&self, kind: Kind, limit: u32) -> Answer<'_, Vec<Import>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, kind, file_name, counts, undo IS NOT NULL, created_by, created_at, undone_by, undone_at
                 FROM imports WHERE kind = $1 ORDER BY created_at DESC, id LIMIT $2")
                .bind(kind.text()).bind(i64::from(limit)).fetch_all(pool).await)
            .map_err(Error::db("list imports"))?;
            let mut imports = rows.into_iter().map(import).collect::<Result<Vec<_>>>()?;
            // Only the last one that stands; what was taken back before does not count.
            let newest = imports.iter().find(|import| import.undone.is_none()).map(|import| import.id);
            for import in &mut imports {
                import.can_undo &= Some(import.id) == newest;
            }
            Ok(imports)
        })
    }

    /// Takes the last import of its kind back. What somebody changed since is left alone and named.
    ///
    /// # Errors
    /// There is no such import, a later one stands, it was taken back already or is too old, or the database failed.
    pub fn undo_import<'a>(&'a self, by: By<'a>, kind: Kind, id: ImportId) -> Answer<'a, Undone> {
        Box::pin(async move {
            let imports = self.imports(kind, IMPORTS_MAX).await?;
            let import = imports
                .iter()
                .find(|import| import.id == id)
                .ok_or(Error::NotFound { what: "import", key: id.to_string() })?;
            if !import.can_undo {
                return Err(Error::Conflict(
                    "only the last import can be taken back, and only for 90 days".into(),
                ));
            }
            let undo: Option<String> =
                on_pool!(self, pool => sqlx::query_scalar("SELECT undo FROM imports WHERE id = $1")
                .bind(id.0).fetch_one(pool).await)
                .map_err(Error::db("read an import"))?;
            let undo = undo.unwrap_or_default();
            let bad = |error: serde_json::Error| Error::row("imports", id)(error.to_string());
            match kind {
                Kind::People => self.undo_people(by, id, serde_json::from_str(&undo).map_err(bad)?).await,
                Kind::Devices => self.undo_devices(by, id, serde_json::from_str(&undo).map_err(bad)?).await,
            }
        })
    }

    /// Removes people who were deactivated more than 90 days ago, and what imports of that age would need to be taken back.
    ///
    /// # Errors
    /// The database failed.
    pub fn forget_imports<'a>(&'a self, by: By<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let cutoff = by.at.0 - KEPT_MILLIS;
            let due: i64 = on_pool!(self, pool => sqlx::query_scalar(
                "SELECT (SELECT COUNT(*) FROM users WHERE deactivated_at < $1)
                      + (SELECT COUNT(*) FROM imports WHERE created_at < $1 AND undo IS NOT NULL)")
                .bind(cutoff).fetch_one(pool).await)
            .map_err(Error::db("look for old imports"))?;
            if due == 0 {
                return Ok(());
            }
            in_transaction!(self, "forget old imports", tx => {
                sqlx::query("DELETE FROM users WHERE deactivated_at < $1").bind(cutoff)
                    .execute(&mut *tx).await.map_err(Error::db("remove people who left"))?;
                sqlx::query("UPDATE imports SET undo = NULL WHERE created_at < $1").bind(cutoff)
                    .execute(&mut *tx).await.map_err(Error::db("forget old imports"))?;
                record!(tx, by, "user", "deactivated", "deleted")?;
                Ok(())
            })
        })
    }
}

/// Marks an import as taken back, inside a running transaction. Two people may press the button at once.
macro_rules! mark_undone {
    ($tx:expr, $by:expr, $id:expr) => {{
        let done = sqlx::query("UPDATE imports SET undone_by = $1, undone_at = $2, undo = NULL WHERE id = $3 AND undone_at IS NULL")
            .bind($by.actor.to_owned()).bind($by.at.0).bind($id.0)
            .execute(&mut *$tx).await.map_err($crate::Error::db("take an import back"))?;
        $crate::Error::unless_found(done.rows_affected(), "import", $id)?;
    }};
}
use mark_undone;

fn import(
    (id, kind, file_name, counts, undo, created_by, created_at, undone_by, undone_at): Row,
) -> Result<Import> {
    let bad = Error::row("imports", id);
    let kind =
        Kind::ALL.into_iter().find(|known| known.text() == kind).ok_or_else(|| bad("unknown kind".into()))?;
    let undone = undone_by.zip(undone_at).map(|(who, at)| (who, UnixMillis(at)));
    Ok(Import {
        id: ImportId(id),
        kind,
        file_name,
        counts: serde_json::from_str(&counts).map_err(|e| bad(e.to_string()))?,
        created_by,
        created_at: UnixMillis(created_at),
        can_undo: undo && undone.is_none(),
        undone,
    })
}

/// How long people stay who are missing in a file, and imports can be taken back: 90 days.
const KEPT_MILLIS: i64 = 90 * 86_400 * 1000;
const IMPORTS_MAX: u32 = 1000;
/// Rows of one statement; databases bound the number of its values.
const ROWS_PER_STATEMENT: usize = 64;
