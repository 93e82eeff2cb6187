//! The only place that names a database engine: opening, migrating, and telling that something changed.
//!
//! One SQL text serves both engines: `$1` placeholders, `ON CONFLICT`, `RETURNING`. The macro [`on_pool!`] pastes a body into an
//! arm per engine, so that the compiler checks it against both.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgListener, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::watch;

use crate::{Answer, Boxed, Error, Result};

/// An open inventory. Clones share the connections.
#[derive(Clone, Debug)]
pub struct Inventory {
    pub(crate) pools: Pools,
    changed: watch::Sender<u64>,
    watcher: Arc<Watcher>,
}

/// The task that looks for changes of other processes; it ends with the last clone of the inventory.
#[derive(Debug)]
struct Watcher(tokio::task::JoinHandle<()>);

impl Drop for Watcher {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// SQLite lets one connection write at a time, so writers queue for one connection instead of for a file lock.
#[derive(Clone, Debug)]
pub(crate) enum Pools {
    Sqlite { write: SqlitePool, read: SqlitePool },
    Postgres(PgPool),
}

/// Runs a body against the reading side of whichever engine is open.
macro_rules! on_pool {
    ($inventory:expr, $pool:ident => $body:expr) => {
        match &$inventory.pools {
            $crate::db::Pools::Sqlite { read: $pool, .. } => $body,
            $crate::db::Pools::Postgres($pool) => $body,
        }
    };
}
pub(crate) use on_pool;

/// Runs a body in a write transaction, commits it and tells the followers. The body is an expression of type
/// `Result<T>` that may use `?`; an error rolls everything back.
macro_rules! in_transaction {
    ($inventory:expr, $op:literal, $tx:ident => $body:expr) => {{
        let result = match &$inventory.pools {
            $crate::db::Pools::Sqlite { write, .. } => {
                let mut $tx = write.begin_with("BEGIN IMMEDIATE").await.map_err($crate::Error::db($op))?;
                let value = async { $body }.await?;
                $tx.commit().await.map_err($crate::Error::db($op))?;
                value
            }
            $crate::db::Pools::Postgres(pool) => {
                let mut $tx = pool.begin().await.map_err($crate::Error::db($op))?;
                let value = async { $body }.await?;
                $tx.commit().await.map_err($crate::Error::db($op))?;
                value
            }
        };
        $inventory.announce();
        Ok::<_, $crate::Error>(result)
    }};
}
pub(crate) use in_transaction;

impl Inventory {
    /// Opens `sqlite:///path/file.db` (created when absent) or `postgres://…`, applies pending migrations, and starts to
    /// watch for changes of other processes.
    ///
    /// # Errors
    /// The database cannot be reached, is newer than this program, or its SQLite is older than 3.51.3, whose WAL mode can
    /// lose data with several connections.
    pub fn open(url: &str) -> Answer<'_, Self> {
        Box::pin(async move {
            let (changed, _) = watch::channel(0);
            let pools = if url.starts_with("postgres") {
                open_postgres(url).await?
            } else {
                open_sqlite(url).await?
            };
            let watcher = Arc::new(watch_other_processes(url, &pools, changed.clone()).await?);
            Ok(Self { pools, changed, watcher })
        })
    }

    /// A receiver that is marked changed after every commit, of this process at once and of others within 100 ms. The number
    /// itself means nothing; ask [`Inventory::changes_since`] what happened.
    #[must_use]
    pub fn follow(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn announce(&self) {
        self.changed.send_modify(|n| *n = n.wrapping_add(1));
    }

    /// Ends all connections; what was committed stays.
    pub fn close(&self) -> Boxed<'_, ()> {
        self.watcher.0.abort();
        Box::pin(async move {
            match &self.pools {
                Pools::Sqlite { write, read } => {
                    read.close().await;
                    write.close().await;
                }
                Pools::Postgres(pool) => pool.close().await,
            }
        })
    }
}

async fn watch_other_processes(url: &str, pools: &Pools, changed: watch::Sender<u64>) -> Result<Watcher> {
    let task = match pools {
        Pools::Sqlite { .. } => {
            let connection = sqlite_options(url)?.connect().await.map_err(Error::db("watch changes"))?;
            tokio::spawn(poll_data_version(connection, changed))
        }
        Pools::Postgres(pool) => {
            let mut listener = PgListener::connect_with(pool).await.map_err(Error::db("watch changes"))?;
            listener.listen(CHANNEL).await.map_err(Error::db("watch changes"))?;
            tokio::spawn(listen(listener, changed))
        }
    };
    Ok(Watcher(task))
}

/// `PRAGMA data_version` grows when another connection commits; asking costs a look at shared memory, no disk access.
async fn poll_data_version(mut connection: SqliteConnection, changed: watch::Sender<u64>) {
    let mut last: Option<i64> = None;
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await {
            Ok(version) => {
                if last.replace(version).is_some_and(|before| before != version) {
                    changed.send_modify(|n| *n = n.wrapping_add(1));
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot ask the database for changes of other processes; asking again");
            }
        }
    }
}

async fn listen(mut listener: PgListener, changed: watch::Sender<u64>) {
    loop {
        // The listener reconnects by itself; what happened meanwhile is unknown, so every answer counts as a change.
        if let Err(error) = listener.recv().await {
            tracing::warn!(%error, "lost the connection that reports changes; reconnecting");
            tokio::time::sleep(POLL).await;
        }
        changed.send_modify(|n| *n = n.wrapping_add(1));
    }
}

/// Number of the newest migration that this program knows; both engines have the same.
pub(crate) fn newest_migration() -> i64 {
    SQLITE_MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// A SQLite file that is no inventory of ours in use: for a look into it.
pub(crate) fn sqlite_file(path: &std::path::Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(path).disable_statement_logging()
}

fn sqlite_options(url: &str) -> Result<SqliteConnectOptions> {
    Ok(SqliteConnectOptions::from_str(url)
        .map_err(Error::db("read the database address"))?
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(5))
        .statement_cache_capacity(200)
        .disable_statement_logging())
}

async fn open_sqlite(url: &str) -> Result<Pools> {
    let options = sqlite_options(url)?;
    let write = open_for_writing(&options).await.map_err(Error::db("open the database"))?;
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(&write)
        .await
        .map_err(Error::db("ask the SQLite version"))?;
    if numbers(&version) < numbers(SQLITE_MIN) {
        return Err(Error::Unusable(format!(
            "this program was built with SQLite {version}; at least {SQLITE_MIN} is needed, older ones can damage the database"
        )));
    }
    migrate_sqlite(&write).await?;
    let read = SqlitePoolOptions::new()
        .max_connections(4)
        .connect_with(options)
        .await
        .map_err(Error::db("open the database"))?;
    Ok(Pools::Sqlite { write, read })
}

/// Daemons that start at the same time with a new database all want to change its journal mode. SQLite lets one do so and refuses the
/// others at once, however long they are ready to wait.
async fn open_for_writing(options: &SqliteConnectOptions) -> std::result::Result<SqlitePool, sqlx::Error> {
    let mut tries = 0;
    loop {
        match connect_for_writing(options).await {
            Err(sqlx::Error::Database(error)) if is_busy(error.as_ref()) && tries < OPEN_TRIES => {
                tries += 1;
                tokio::time::sleep(POLL).await;
            }
            outcome => return outcome,
        }
    }
}

/// The lowest byte of a code is the kind of error (<https://sqlite.org/rescode.html>): `SQLITE_BUSY`.
fn is_busy(error: &dyn sqlx::error::DatabaseError) -> bool {
    error.code().and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

async fn connect_for_writing(options: &SqliteConnectOptions) -> std::result::Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        // Asking a connection to a file whether it is alive costs every commit two switches of threads.
        .test_before_acquire(false)
        // When the disk is full SQLite rolls back by itself; sqlx then counts a transaction that is not there, and the
        // connection would refuse every later one.
        .after_release(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
        // Writers look up what they change: a page that is not at hand is a call to the kernel.
        .connect_with(options.clone().pragma("cache_size", WRITE_CACHE_KIB))
        .await
}

/// Daemons that start at the same time all find the same migrations pending, and SQLite knows no lock for that: whoever comes second sees
/// one fail that the first has done meanwhile.
async fn migrate_sqlite(write: &SqlitePool) -> Result<()> {
    let mut tries = 0;
    loop {
        match SQLITE_MIGRATIONS.run(write).await {
            Ok(()) => return Ok(()),
            Err(MigrateError::Execute(_) | MigrateError::ExecuteMigration(..)) if tries < OPEN_TRIES => {
                tries += 1;
                tokio::time::sleep(POLL).await;
            }
            Err(error) => return Err(Error::db("migrate the database")(error.into())),
        }
    }
}

async fn open_postgres(url: &str) -> Result<Pools> {
    let pool = PgPoolOptions::new()
        .max_connections(8)
        .acquire_timeout(Duration::from_secs(10))
        .connect(url)
        .await
        .map_err(Error::db("connect to PostgreSQL"))?;
    sqlx::migrate!("migrations/postgres")
        .run(&pool)
        .await
        .map_err(|e| Error::db("migrate the database")(e.into()))?;
    Ok(Pools::Postgres(pool))
}

fn numbers(version: &str) -> Vec<u32> {
    version.split('.').filter_map(|part| part.parse().ok()).collect()
}

static SQLITE_MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("migrations/sqlite");
/// How often another process's commits are looked for on SQLite.
const POLL: Duration = Duration::from_millis(50);
/// Two seconds: longer than all migrations take.
const OPEN_TRIES: u32 = 40;
/// 16 MiB; negative, since a positive number counts pages.
const WRITE_CACHE_KIB: &str = "-16384";
const CHANNEL: &str = "hausmeister_changes";
const SQLITE_MIN: &str = "3.51.3";
