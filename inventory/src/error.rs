//! What can go wrong with the inventory, sorted by who can do something about it.

use std::pin::Pin;

/// Result of every inventory function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A future behind a pointer, for asynchronous functions that other crates call.
///
/// rustc compiles the body of an `async fn` again in every crate that awaits it, and with ours would come both database drivers, or a
/// whole daemon: minutes of building and megabytes of copies. What is boxed in a plain function is compiled once.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What asynchronous functions of the inventory return: awaited, it is a [`Result`].
pub type Answer<'a, T> = Boxed<'a, Result<T>>;

/// An inventory function failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database did not do what was asked; nothing was changed.
    #[error("the database could not {op}")]
    Database {
        /// What was tried, as a verb phrase.
        op: &'static str,
        /// What the engine said.
        #[source]
        source: sqlx::Error,
    },
    /// There is no such thing; the caller's list is out of date.
    #[error("there is no {what} {key}")]
    NotFound {
        /// Kind of thing.
        what: &'static str,
        /// Its id or name.
        key: String,
    },
    /// The wish contradicts what is there. The text names both and is meant for the person who asked.
    #[error("{0}")]
    Conflict(String),
    /// A stored row makes no sense.
    #[error("{table} row {key} cannot be used: {problem}")]
    Row {
        /// Table of the row.
        table: &'static str,
        /// Primary key of the row.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The environment does not allow to work.
    #[error("{0}")]
    Unusable(String),
}

impl Error {
    /// Whether the database has no room left on its disk; what was tried is undone.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        let Self::Database { source, .. } = self else { return false };
        let code = source.as_database_error().and_then(|error| error.code());
        // SQLITE_FULL, and PostgreSQL's disk_full.
        code.is_some_and(|code| code == "13" || code == "53100")
    }

    pub(crate) fn db(op: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Database { op, source }
    }

    /// Like [`Error::db`], but a violated unique constraint is the caller's conflict and says so.
    pub(crate) fn unique(op: &'static str, taken: impl Fn() -> String) -> impl Fn(sqlx::Error) -> Self {
        move |source| match source.as_database_error() {
            Some(e) if e.is_unique_violation() => Self::Conflict(taken()),
            _ => Self::reference(op)(source),
        }
    }

    /// Like [`Error::db`], but a violated reference is the caller's conflict and says so.
    pub(crate) fn reference(op: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| match source.as_database_error() {
            Some(e) if e.is_foreign_key_violation() => Self::Conflict(format!(
                "could not {op}: something it refers to is missing, or something still refers to it"
            )),
            _ => Self::Database { op, source },
        }
    }

    /// `Ok` if a statement changed a row; otherwise there is no such thing.
    pub(crate) fn unless_found(rows: u64, what: &'static str, key: impl ToString) -> Result<()> {
        if rows == 0 { Err(Self::NotFound { what, key: key.to_string() }) } else { Ok(()) }
    }

    pub(crate) fn row(table: &'static str, key: impl ToString) -> impl Fn(String) -> Self {
        let key = key.to_string();
        move |problem| Self::Row { table, key: key.clone(), problem }
    }
}
