//! Notices: what a daemon found that a person should know, with its place and the way out.

use serde::Serialize;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, UnixMillis};

/// Something that is not in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Notice {
    /// Which daemon noticed: `netd`, `deployd`, …
    pub source: String,
    /// What it is about, for example `networks/Lehrer` or `pool/PC-Netz`; one notice per place.
    pub place: String,
    /// What is wrong.
    pub text: String,
    /// What to do.
    pub remedy: String,
    /// Since when.
    pub raised_at: UnixMillis,
}

impl Inventory {
    /// All notices, newest first.
    ///
    /// # Errors
    /// The database failed.
    pub fn notices(&self) -> Answer<'_, Vec<Notice>> {
        Box::pin(async move {
            let rows: Vec<(String, String, String, String, i64)> = on_pool!(self, pool => sqlx::query_as(
            "SELECT source, place, text, remedy, raised_at FROM notices ORDER BY raised_at DESC, source, place LIMIT 500")
            .fetch_all(pool).await)
        .map_err(Error::db("list notices"))?;
            Ok(rows
                .into_iter()
                .map(|(source, place, text, remedy, at)| Notice {
                    source,
                    place,
                    text,
                    remedy,
                    raised_at: UnixMillis(at),
                })
                .collect())
        })
    }

    /// Replaces all notices of one source, so that what is in order again disappears. A notice that stays keeps its time;
    /// nothing is written when nothing changed. `found` holds `(place, text, remedy)`.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_notices<'a>(
        &'a self,
        by: By<'a>,
        source: &'a str,
        found: &'a [(String, String, String)],
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            let mut before: Vec<(String, String, String)> = self
                .notices()
                .await?
                .into_iter()
                .filter(|n| n.source == source)
                .map(|n| (n.place, n.text, n.remedy))
                .collect();
            let mut found = found.to_vec();
            found.sort();
            found.dedup_by(|a, b| a.0 == b.0);
            before.sort();
            if before == found {
                return Ok(());
            }
            in_transaction!(self, "note what is not in order", tx => {
                for (place, _, _) in before.iter().filter(|old| !found.contains(old)) {
                    sqlx::query("DELETE FROM notices WHERE source = $1 AND place = $2")
                        .bind(source.to_owned()).bind(place.clone())
                        .execute(&mut *tx).await.map_err(Error::db("remove a notice"))?;
                }
                for (place, text, remedy) in found.iter().filter(|new| !before.contains(new)) {
                    sqlx::query("INSERT INTO notices (source, place, text, remedy, raised_at) VALUES ($1, $2, $3, $4, $5)")
                        .bind(source.to_owned()).bind(place.clone()).bind(text.clone()).bind(remedy.clone()).bind(by.at.0)
                        .execute(&mut *tx).await.map_err(Error::db("add a notice"))?;
                }
                record!(tx, by, "notice", source, "changed")?;
                Ok(())
            })
        })
    }
}
