//! The whole database as one file, and a database from such a file.
//!
//! SQLite writes a consistent copy beside running writers (`VACUUM INTO`, <https://sqlite.org/lang_vacuum.html>); PostgreSQL's own
//! `pg_dump` and `pg_restore` do the same (<https://www.postgresql.org/docs/current/app-pgdump.html>).

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::process::Command;

use crate::db::{Inventory, Pools, newest_migration, on_pool, sqlite_file};
use crate::{Answer, Boxed, Error, Result};

/// What a backup holds, in numbers that a person can compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Facts {
    /// Version of the program that made it.
    pub version: String,
    /// The newest migration of its database: an older program cannot read it.
    pub migration: i64,
    /// Number of its last change.
    pub seq: i64,
    /// How many devices there are.
    pub devices: u64,
    /// How many rooms.
    pub rooms: u64,
    /// How many people.
    pub people: u64,
    /// How many versions of images.
    pub images: u64,
}

/// Why a file is no database that this program can use.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It was made by a newer program.
    #[error(
        "it was made by Hausmeister {version}, which is newer than this one ({}): install that version first, then restore",
        env!("CARGO_PKG_VERSION")
    )]
    Newer {
        /// The version that made it.
        version: String,
    },
    /// It is damaged.
    #[error("the database in it is damaged: {0}")]
    Damaged(String),
    /// The database could not be asked.
    #[error(transparent)]
    Database(#[from] Error),
    /// A program of PostgreSQL failed or is not there.
    #[error("{program}: {problem}")]
    Program {
        /// Which.
        program: &'static str,
        /// What it said.
        problem: String,
    },
    /// A file could not be moved.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Inventory {
    /// Writes the whole database, as it is at one moment, to a new file.
    ///
    /// # Errors
    /// The file exists, the disk is full, or the database failed.
    pub fn export<'a>(&'a self, url: &'a str, to: &'a Path) -> Boxed<'a, Result<(), FileError>> {
        Box::pin(async move {
            match &self.pools {
                Pools::Sqlite { read, .. } => {
                    sqlx::query("VACUUM INTO $1")
                        .bind(to.display().to_string())
                        .execute(read)
                        .await
                        .map_err(Error::db("copy itself"))?;
                    Ok(())
                }
                Pools::Postgres(_) => {
                    let file = to.display().to_string();
                    postgres("pg_dump", url, &["--format=custom", "--file", &file]).await
                }
            }
        })
    }

    /// What the database holds now.
    ///
    /// # Errors
    /// The database failed.
    pub fn facts(&self) -> Answer<'_, Facts> {
        Box::pin(async move {
            let row: (i64, i64, i64, i64, i64) = on_pool!(self, pool => sqlx::query_as(
                "SELECT (SELECT COALESCE(MAX(seq), 0) FROM changes), (SELECT COUNT(*) FROM devices),
                        (SELECT COUNT(*) FROM rooms), (SELECT COUNT(*) FROM users), (SELECT COUNT(*) FROM image_versions)")
                .fetch_one(pool).await)
            .map_err(Error::db("count what there is"))?;
            let number = |n: i64| u64::try_from(n).unwrap_or_default();
            Ok(Facts {
                version: env!("CARGO_PKG_VERSION").into(),
                migration: newest_migration(),
                seq: row.0,
                devices: number(row.1),
                rooms: number(row.2),
                people: number(row.3),
                images: number(row.4),
            })
        })
    }
}

/// Looks whether a file that [`Inventory::export`] wrote is whole and can be used by this program.
///
/// # Errors
/// It was made by a newer program, or is damaged.
pub fn inspect<'a>(file: &'a Path, facts: &'a Facts) -> Boxed<'a, Result<(), FileError>> {
    Box::pin(async move {
        if facts.migration > newest_migration() {
            return Err(FileError::Newer { version: facts.version.clone() });
        }
        if is_postgres_dump(file)? {
            // Reads the whole archive, and writes what it would tell a server.
            let path = file.display().to_string();
            return run("pg_restore", Command::new("pg_restore").args(["--file=/dev/null", &path])).await;
        }
        let said: Result<String, sqlx::Error> = async {
            let mut connection = sqlite_file(file).read_only(true).connect().await?;
            let said = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await;
            connection.close().await?;
            said
        }
        .await;
        match said {
            Ok(said) if said == "ok" => Ok(()),
            Ok(said) => Err(FileError::Damaged(said)),
            Err(error) => Err(FileError::Damaged(error.to_string())),
        }
    })
}

/// Puts the database of a file in the place of the one at `url`. No process may have that open. The file is used up; if this is
/// interrupted, doing it again ends in the same.
///
/// # Errors
/// The file is for the other kind of database, a file cannot be moved, or PostgreSQL refused; then nothing was changed.
pub fn put_back<'a>(file: &'a Path, url: &'a str) -> Boxed<'a, Result<(), FileError>> {
    Box::pin(async move {
        let path = file.display().to_string();
        match (url.strip_prefix("sqlite://"), is_postgres_dump(file)?) {
            (None, true) => {
                postgres(
                    "pg_restore",
                    url,
                    &["--clean", "--if-exists", "--no-owner", "--single-transaction", &path],
                )
                .await?;
                moved(fs::remove_file(file), file)
            }
            (Some(to), false) => {
                let to = Path::new(to.split('?').next().unwrap_or(to));
                // What was not yet taken over belongs to the old file and would damage the new one.
                for suffix in ["-wal", "-shm"] {
                    let beside = to.with_file_name(format!(
                        "{}{suffix}",
                        to.file_name().unwrap_or_default().to_string_lossy()
                    ));
                    if beside.exists() {
                        moved(fs::remove_file(&beside), &beside)?;
                    }
                }
                moved(fs::File::open(file).and_then(|file| file.sync_all()), file)?;
                moved(fs::rename(file, to), to)?;
                let dir = to.parent().unwrap_or(to);
                moved(fs::File::open(dir).and_then(|dir| dir.sync_all()), dir)
            }
            _ => Err(FileError::Damaged(format!(
                "it is for another kind of database than {}",
                if url.starts_with("sqlite") { "SQLite" } else { "PostgreSQL" }
            ))),
        }
    })
}

/// Whether a file begins as `pg_dump` begins its archives.
fn is_postgres_dump(file: &Path) -> Result<bool, FileError> {
    let mut start = [0; 5];
    let read = fs::File::open(file).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut start));
    moved(read, file)?;
    Ok(&start == b"PGDMP")
}

fn moved(done: std::io::Result<()>, path: &Path) -> Result<(), FileError> {
    done.map_err(|source| FileError::File { path: path.display().to_string(), source })
}

/// Runs a program of PostgreSQL on the database at `url`. The password goes into its environment, which other users cannot see;
/// its arguments they can.
async fn postgres(program: &'static str, url: &str, arguments: &[&str]) -> Result<(), FileError> {
    let (open, password) = without_password(url);
    let mut command = Command::new(program);
    command.args(arguments).args(["--dbname", &open]);
    if let Some(password) = password {
        command.env("PGPASSWORD", password);
    }
    run(program, &mut command).await
}

async fn run(program: &'static str, command: &mut Command) -> Result<(), FileError> {
    let failed = |problem: String| FileError::Program { program, problem };
    let output = command.kill_on_drop(true).output().await.map_err(|error| {
        failed(format!("cannot be started ({error}); install the Debian package postgresql-client"))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(said.trim().lines().last().unwrap_or("failed without a word").to_owned()))
}

/// A database address without its password, and the password.
fn without_password(url: &str) -> (String, Option<String>) {
    let Some((scheme, rest)) = url.split_once("://") else { return (url.to_owned(), None) };
    let Some((account, host)) = rest.rsplit_once('@') else { return (url.to_owned(), None) };
    let Some((user, password)) = account.split_once(':') else { return (url.to_owned(), None) };
    (format!("{scheme}://{user}@{host}"), Some(percent_decoded(password)))
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_an_address() {
        let parts = without_password("postgres://haus:ge%40heim@db:5432/schule");
        assert_eq!(parts, ("postgres://haus@db:5432/schule".into(), Some("ge@heim".into())));
        for open in ["postgres:///schule?host=/run/x", "postgres://haus@db/schule"] {
            assert_eq!(without_password(open), (open.to_owned(), None));
        }
    }
}
