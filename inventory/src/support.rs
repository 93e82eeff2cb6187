//! What a support bundle wants to know of the inventory: how large it is, how new, and which words in it belong to people.

use sqlx::AssertSqlSafe;

use crate::db::{Pools, newest_migration, on_pool};
use crate::{Answer, Error, Inventory, Result};

/// How large and how new an inventory is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shape {
    /// `sqlite` or `postgres`.
    pub engine: &'static str,
    /// Number of the newest migration that was applied.
    pub migration: i64,
    /// Number of the newest migration that this program knows.
    pub newest_migration: i64,
    /// Rows of each table, by name.
    pub rows: Vec<(String, i64)>,
}

/// What a word is that must not leave the school.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Personal {
    /// A person: account, first or last name, number in the school's administration.
    Person,
    /// A device: its name, or what it calls itself.
    Device,
    /// A serial number or another number of one machine.
    Serial,
    /// A room, group, network or another thing that the school named.
    Named,
}

impl Inventory {
    /// How large and how new it is.
    ///
    /// # Errors
    /// The database failed.
    pub fn shape(&self) -> Answer<'_, Shape> {
        Box::pin(async move {
            let (engine, catalogue) = match &self.pools {
                Pools::Sqlite { .. } => {
                    ("sqlite", "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
                }
                Pools::Postgres(_) => (
                    "postgres",
                    "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
                ),
            };
            let tables: Vec<String> =
                on_pool!(self, pool => sqlx::query_scalar(catalogue).fetch_all(pool).await)
                    .map_err(Error::db("list the tables"))?;
            let mut rows = Vec::with_capacity(tables.len());
            for table in tables.into_iter().filter(|name| is_plain(name)) {
                let sql = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
                let count: i64 = on_pool!(self, pool => sqlx::query_scalar(sql).fetch_one(pool).await)
                    .map_err(Error::db("count rows"))?;
                rows.push((table, count));
            }
            let migration: Option<i64> = on_pool!(self, pool =>
                sqlx::query_scalar("SELECT MAX(version) FROM _sqlx_migrations").fetch_one(pool).await)
            .map_err(Error::db("ask for the migrations"))?;
            Ok(Shape {
                engine,
                migration: migration.unwrap_or_default(),
                newest_migration: newest_migration(),
                rows,
            })
        })
    }

    /// All words that belong to people or name what is the school's own, each with what it is. Up to some ten thousand.
    ///
    /// # Errors
    /// The database failed.
    pub fn personal_words(&self) -> Answer<'_, Vec<(Personal, String)>> {
        Box::pin(async move {
            let mut words = Vec::new();
            for (what, table, column) in PERSONAL {
                let found: Vec<String> = self.column(table, column).await?;
                words.extend(found.into_iter().map(|word| (what, word)));
            }
            Ok(words)
        })
    }

    async fn column(&self, table: &str, column: &str) -> Result<Vec<String>> {
        let sql =
            format!("SELECT DISTINCT {column} FROM {table} WHERE {column} IS NOT NULL AND {column} <> ''");
        let sql = AssertSqlSafe(sql);
        on_pool!(self, pool => sqlx::query_scalar(sql).fetch_all(pool).await)
            .map_err(Error::db("collect the words that belong to people"))
    }
}

/// Names of tables come from the catalogue; one that is not like ours is not put into a query.
fn is_plain(name: &str) -> bool {
    !name.starts_with("sqlite_")
        && name.chars().all(|sign| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == '_')
}

/// Where such words stand: what they are, table and column (text).
const PERSONAL: [(Personal, &str, &str); 24] = [
    (Personal::Person, "users", "name"),
    (Personal::Person, "users", "first_name"),
    (Personal::Person, "users", "last_name"),
    (Personal::Person, "users", "external_id"),
    // People who are gone stand in what they did.
    (Personal::Person, "changes", "actor"),
    (Personal::Named, "faults", "place"),
    (Personal::Person, "wlan_refusals", "name"),
    (Personal::Person, "wlan_vouchers", "note"),
    (Personal::Device, "devices", "name"),
    (Personal::Device, "leases", "hostname"),
    (Personal::Device, "access_points", "name"),
    (Personal::Serial, "devices", "serial"),
    (Personal::Serial, "devices", "smbios_uuid"),
    (Personal::Serial, "mdm_enrolments", "serial"),
    (Personal::Serial, "mdm_enrolments", "udid"),
    (Personal::Serial, "ade_devices", "serial"),
    (Personal::Named, "rooms", "name"),
    (Personal::Named, "networks", "name"),
    (Personal::Named, "school_groups", "name"),
    (Personal::Named, "name_lists", "name"),
    (Personal::Named, "exams", "name"),
    (Personal::Named, "tokens", "name"),
    (Personal::Named, "mdm_rules", "name"),
    (Personal::Named, "imports", "file_name"),
];
