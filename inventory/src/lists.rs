//! Lists of domain names, and the filters that use them.
//!
//! A list's names stand in the database when the school wrote them, and in a file of the data folder when they come from a publisher:
//! a category of a million domains is no matter for a row. `netd` reads both and writes back how many names it found.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::types::title;
use crate::{Answer, By, Error, FilterId, Inventory, ListId, Result, UnixMillis};

/// A list of domain names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct NameList {
    /// Its id; [`ListId::ALWAYS`] is the one that holds at every level.
    pub id: ListId,
    /// What people call it; unique.
    pub name: String,
    /// Where a publisher keeps it, an address that begins with `https://` or `http://`; `None` for a list that the school writes.
    pub source: Option<String>,
    /// How many names `netd` found in it.
    pub entries: u64,
    /// Why it, or its newest version, cannot be used.
    pub problem: Option<String>,
    /// When its names last changed; `None` before the first time.
    pub updated_at: Option<UnixMillis>,
}

/// What people decide about a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewList<'a> {
    /// What people call it: 1 to 60 characters, unique.
    pub name: &'a str,
    /// Where a publisher keeps it.
    pub source: Option<&'a str>,
    /// Its names, in any format that `netd` reads, at most [`NAMES_BYTES_MAX`]; empty with a source.
    pub names: &'a str,
}

/// What "filtered" means for some of the school.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Filter {
    /// Its id.
    pub id: FilterId,
    /// What people call it; unique.
    pub name: String,
    /// Whether search engines leave out what is not for children.
    pub safe_search: bool,
    /// What YouTube shows.
    pub youtube: YouTube,
    /// The lists that it uses, each once, at most [`FILTER_LISTS_MAX`].
    pub lists: Vec<(ListId, ListAction)>,
}

/// What YouTube shows to the filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum YouTube {
    /// Everything.
    Free,
    /// What YouTube calls moderately restricted.
    Moderate,
    /// What YouTube calls strictly restricted.
    Strict,
}

impl YouTube {
    /// All of them, the most generous first.
    pub const ALL: [Self; 3] = [Self::Free, Self::Moderate, Self::Strict];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Moderate => "moderate",
            Self::Strict => "strict",
        }
    }
}

/// What a filter does with the names of a list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ListAction {
    /// They are reachable, even if another list says otherwise.
    Allow,
    /// They are not reachable.
    Block,
}

impl ListAction {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Allow, Self::Block];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Block => "block",
        }
    }
}

impl ListId {
    /// The list of what is reachable at every level. Its row does not exist before somebody writes it: until then, and in addition
    /// afterwards, [`ALWAYS_DEFAULT`] holds.
    pub const ALWAYS: Self = Self(Uuid::from_u128(0x0000_0000_0000_8000_8000_616c_7761_7973));
}

/// What is reachable at every level before anybody said anything: device management and time.
pub const ALWAYS_DEFAULT: &str = include_str!("always.txt");
/// Longest text of a list that the school writes.
pub const NAMES_BYTES_MAX: usize = 1 << 20;
/// Most lists of one filter.
pub const FILTER_LISTS_MAX: usize = 32;

type ListRow = (Uuid, String, Option<String>, i64, Option<String>, Option<i64>);
type FilterRow = (Uuid, String, bool, String);

impl Inventory {
    /// All lists by name, without their names. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn name_lists(&self) -> Answer<'_, (Vec<NameList>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<ListRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, name, source, entries, problem, updated_at FROM name_lists ORDER BY name")
                .fetch_all(pool).await)
            .map_err(Error::db("list the lists of names"))?;
            Ok(sorted(rows.into_iter().map(list)))
        })
    }

    /// The text that the school wrote for a list; empty for a publisher's, `None` when there is no such list.
    ///
    /// # Errors
    /// The database failed.
    pub fn list_names(&self, id: ListId) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            on_pool!(self, pool => sqlx::query_scalar("SELECT names FROM name_lists WHERE id = $1")
                .bind(id.0).fetch_optional(pool).await)
            .map_err(Error::db("read a list of names"))
        })
    }

    /// Adds a list, or replaces what people decided about the one with this id. When its source changes, what was known of the old
    /// one is forgotten; its file stays in use until there is a new one.
    ///
    /// # Errors
    /// Its name is unusable or taken, its text is too long, its source is no web address, it has both source and names, it is
    /// [`ListId::ALWAYS`] and has a source, or the database failed.
    pub fn put_name_list<'a>(&'a self, by: By<'a>, id: ListId, new: &'a NewList<'a>) -> Answer<'a, ()> {
        Box::pin(async move {
            let (name, source) = (list_name(new.name)?, new.source.map(web_address).transpose()?);
            if new.names.len() > NAMES_BYTES_MAX {
                return Err(Error::Conflict("a list of the school's own may have at most 1 MiB".into()));
            }
            if source.is_some() && (!new.names.trim().is_empty() || id == ListId::ALWAYS) {
                return Err(Error::Conflict(
                    "this list cannot have names of the school's own and a source".into(),
                ));
            }
            let written = source.is_none().then_some(by.at.0);
            in_transaction!(self, "save a list of names", tx => {
                sqlx::query(
                    "INSERT INTO name_lists (id, name, source, names, entries, problem, updated_at)
                     VALUES ($1, $2, $3, $4, 0, NULL, $5)
                     ON CONFLICT (id) DO UPDATE SET name = excluded.name, source = excluded.source, names = excluded.names,
                     entries = CASE WHEN name_lists.source = excluded.source THEN name_lists.entries ELSE 0 END,
                     problem = CASE WHEN name_lists.source = excluded.source THEN name_lists.problem ELSE NULL END,
                     updated_at = CASE WHEN name_lists.source = excluded.source THEN name_lists.updated_at
                                       ELSE excluded.updated_at END")
                    .bind(id.0).bind(name.clone()).bind(source.clone()).bind(new.names.to_owned()).bind(written)
                    .execute(&mut *tx).await
                    .map_err(Error::unique("save a list of names", || format!("there is a list named {name:?} already")))?;
                record!(tx, by, "list", id, "saved")?;
                Ok(())
            })
        })
    }

    /// Removes a list. Filters go on without it; who was allowed only its names is allowed none.
    ///
    /// # Errors
    /// There is no such list, or the database failed.
    pub fn delete_name_list<'a>(&'a self, by: By<'a>, id: ListId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a list of names", tx => {
                let done = sqlx::query("DELETE FROM name_lists WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(Error::db("delete a list of names"))?;
                Error::unless_found(done.rows_affected(), "list", id)?;
                record!(tx, by, "list", id, "deleted")?;
                Ok(())
            })
        })
    }

    /// Notes how many names a list has and what is wrong with it; `updated` when its names changed. Nothing is written when nothing
    /// is new, and the change is recorded as `read`, which asks nobody to read the list again.
    ///
    /// # Errors
    /// The database failed. A list that is not there any more is no error.
    pub fn note_list<'a>(
        &'a self,
        by: By<'a>,
        id: ListId,
        entries: u64,
        problem: Option<&'a str>,
        updated: bool,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let entries = i64::try_from(entries).unwrap_or(i64::MAX);
            let (lists, _) = self.name_lists().await?;
            let same = |list: &NameList| {
                list.id == id
                    && i64::try_from(list.entries) == Ok(entries)
                    && list.problem.as_deref() == problem
            };
            if !updated && lists.iter().any(same) {
                return Ok(());
            }
            in_transaction!(self, "note what is in a list", tx => {
                let done = sqlx::query(
                    "UPDATE name_lists SET entries = $1, problem = $2, updated_at = COALESCE($3, updated_at) WHERE id = $4")
                    .bind(entries).bind(problem.map(str::to_owned)).bind(updated.then_some(by.at.0)).bind(id.0)
                    .execute(&mut *tx).await.map_err(Error::db("note what is in a list"))?;
                if done.rows_affected() > 0 {
                    record!(tx, by, "list", id, "read")?;
                }
                Ok(())
            })
        })
    }

    /// Tells `netd` that a new version of a list lies in the data folder, as `lists/ID.new`.
    ///
    /// # Errors
    /// The database failed.
    pub fn offer_list<'a>(&'a self, by: By<'a>, id: ListId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "tell of a new list", tx => {
                record!(tx, by, "list", id, "offered")?;
                Ok(())
            })
        })
    }

    /// All filters by name, each with its lists. A row that cannot be used is reported in the second list and costs only itself.
    ///
    /// # Errors
    /// The database failed.
    pub fn filters(&self) -> Answer<'_, (Vec<Filter>, Vec<Error>)> {
        Box::pin(async move {
            let rows: Vec<FilterRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT id, name, safe_search, youtube FROM filters ORDER BY name").fetch_all(pool).await)
            .map_err(Error::db("list the filters"))?;
            let uses: Vec<(Uuid, Uuid, String)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT filter_id, list_id, action FROM filter_lists ORDER BY filter_id, list_id").fetch_all(pool).await)
            .map_err(Error::db("list the filters"))?;
            let (mut filters, mut bad) = sorted(rows.into_iter().map(filter));
            for (id, list, action) in uses {
                let action =
                    ListAction::ALL.into_iter().find(|known| known.text() == action).ok_or_else(|| {
                        Error::row("filter_lists", format!("{id}/{list}"))(format!(
                            "unknown action {action:?}"
                        ))
                    });
                match action {
                    Ok(action) => {
                        let of = filters.iter_mut().filter(|filter: &&mut Filter| filter.id.0 == id);
                        of.for_each(|filter| filter.lists.push((ListId(list), action)));
                    }
                    Err(problem) => bad.push(problem),
                }
            }
            Ok((filters, bad))
        })
    }

    /// Adds a filter or replaces the one with the same id.
    ///
    /// # Errors
    /// Its name is unusable or taken, it has too many lists or one twice or one that does not exist, or the database failed.
    pub fn put_filter<'a>(&'a self, by: By<'a>, filter: &'a Filter) -> Answer<'a, ()> {
        Box::pin(async move {
            let name = list_name(&filter.name)?;
            if filter.lists.len() > FILTER_LISTS_MAX {
                return Err(Error::Conflict(format!("a filter may use at most {FILTER_LISTS_MAX} lists")));
            }
            in_transaction!(self, "save a filter", tx => {
                sqlx::query(
                    "INSERT INTO filters (id, name, safe_search, youtube) VALUES ($1, $2, $3, $4)
                     ON CONFLICT (id) DO UPDATE SET name = excluded.name, safe_search = excluded.safe_search,
                     youtube = excluded.youtube")
                    .bind(filter.id.0).bind(name.clone()).bind(filter.safe_search).bind(filter.youtube.text())
                    .execute(&mut *tx).await
                    .map_err(Error::unique("save a filter", || format!("there is a filter named {name:?} already")))?;
                sqlx::query("DELETE FROM filter_lists WHERE filter_id = $1").bind(filter.id.0)
                    .execute(&mut *tx).await.map_err(Error::db("save a filter"))?;
                for (list, action) in &filter.lists {
                    sqlx::query("INSERT INTO filter_lists (filter_id, list_id, action) VALUES ($1, $2, $3)")
                        .bind(filter.id.0).bind(list.0).bind(action.text())
                        .execute(&mut *tx).await
                        .map_err(Error::unique("save a filter", || "a filter cannot use a list twice".to_owned()))?;
                }
                record!(tx, by, "filter", filter.id, "saved")?;
                Ok(())
            })
        })
    }

    /// Removes a filter. Rooms, groups and networks that used it go on with the built-in one.
    ///
    /// # Errors
    /// There is no such filter, or the database failed.
    pub fn delete_filter<'a>(&'a self, by: By<'a>, id: FilterId) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "delete a filter", tx => {
                let done = sqlx::query("DELETE FROM filters WHERE id = $1").bind(id.0).execute(&mut *tx).await
                    .map_err(Error::db("delete a filter"))?;
                Error::unless_found(done.rows_affected(), "filter", id)?;
                record!(tx, by, "filter", id, "deleted")?;
                Ok(())
            })
        })
    }
}

fn list((id, name, source, entries, problem, updated_at): ListRow) -> Result<NameList> {
    let bad = Error::row("name_lists", &name);
    Ok(NameList {
        id: ListId(id),
        source,
        entries: u64::try_from(entries).map_err(|_| bad(format!("{entries} names are less than none")))?,
        problem,
        updated_at: updated_at.map(UnixMillis),
        name: name.clone(),
    })
}

fn filter((id, name, safe_search, youtube): FilterRow) -> Result<Filter> {
    let known = YouTube::ALL.into_iter().find(|known| known.text() == youtube);
    let youtube =
        known.ok_or_else(|| Error::row("filters", &name)(format!("unknown way with YouTube {youtube:?}")))?;
    Ok(Filter { id: FilterId(id), name, safe_search, youtube, lists: Vec::new() })
}

fn sorted<T>(rows: impl Iterator<Item = Result<T>>) -> (Vec<T>, Vec<Error>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for row in rows {
        match row {
            Ok(row) => good.push(row),
            Err(problem) => bad.push(problem),
        }
    }
    (good, bad)
}

fn list_name(name: &str) -> Result<String> {
    title(name, || Error::Conflict("a name must have 1 to 60 printable characters".into()))
}

fn web_address(text: &str) -> Result<String> {
    let text = text.trim();
    let rest = text.strip_prefix("https://").or(text.strip_prefix("http://"));
    let usable = rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_graphic()));
    if !usable || text.len() > 1000 {
        return Err(Error::Conflict(
            "a source must be an address that begins with https:// or http://".into(),
        ));
    }
    Ok(text.to_owned())
}
