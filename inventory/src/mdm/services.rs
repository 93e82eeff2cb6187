//! What Apple's services gave the school: the push certificate, and the tokens of automated enrolment and of apps.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, Result, UnixMillis};

/// One of Apple's services.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum AppleKind {
    /// Waking iPads: the push certificate.
    Push,
    /// Automated Device Enrolment: the server token of Apple School Manager.
    Ade,
    /// Apps and Books: the content token.
    Apps,
}

impl AppleKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Push, Self::Ade, Self::Apps];

    /// Its name in the database, the API and the change log.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Push => "push",
            Self::Ade => "ade",
            Self::Apps => "apps",
        }
    }
}

impl std::fmt::Display for AppleKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

/// What is known of a service. Secrets are not in it.
#[derive(Debug, Clone, PartialEq, Serialize, schemars::JsonSchema)]
pub struct AppleService {
    /// Which.
    pub kind: AppleKind,
    /// Whether what Apple gave was imported; until then there is a key and a request at most.
    pub imported: bool,
    /// What it is, for people: topic, name of the organisation, Apple account, …
    pub about: Value,
    /// When it ends.
    pub ends_at: Option<UnixMillis>,
    /// What goes to Apple for the next one, PEM: a certification request, or a certificate. Public.
    pub request: Option<String>,
    /// What people chose.
    pub settings: Value,
    /// The daemon's own: cursors, versions.
    #[serde(skip)]
    pub state: Value,
    /// Why it does not work at the moment.
    pub problem: Option<String>,
    /// Who imported it; empty before.
    pub imported_by: String,
    /// When.
    pub imported_at: Option<UnixMillis>,
    /// When Apple was last asked: what is noted holds for this time.
    pub checked_at: Option<UnixMillis>,
}

/// Something to be imported.
#[derive(Debug, Clone, Copy)]
pub struct NewAppleService<'a> {
    /// Sealed for [`AppleKind::text`].
    pub secret: &'a str,
    /// What it is, for people.
    pub about: &'a Value,
    /// When it ends.
    pub ends_at: Option<UnixMillis>,
}

impl Inventory {
    /// The services that something is known of, by name.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn apple_services(&self) -> Answer<'_, Vec<AppleService>> {
        Box::pin(async move {
            let rows: Vec<Row> = on_pool!(self, pool => sqlx::query_as(
                "SELECT kind, secret IS NOT NULL AS imported, about, ends_at, request, settings, state, problem, imported_by,
                   imported_at, checked_at FROM apple_services ORDER BY kind")
                .fetch_all(pool).await)
            .map_err(Error::db("list Apple's services"))?;
            rows.into_iter().map(service).collect()
        })
    }

    /// One service.
    ///
    /// # Errors
    /// The database failed, or a row makes no sense.
    pub fn apple_service(&self, kind: AppleKind) -> Answer<'_, Option<AppleService>> {
        Box::pin(
            async move { Ok(self.apple_services().await?.into_iter().find(|service| service.kind == kind)) },
        )
    }

    /// Keeps what Apple gave, in the place of what it gave before. What the daemon noted of the old one is forgotten; what people chose stays.
    ///
    /// # Errors
    /// The database failed.
    pub fn import_apple_service<'a>(
        &'a self,
        by: By<'a>,
        kind: AppleKind,
        new: NewAppleService<'a>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "import what Apple gave", tx => {
                sqlx::query(
                    "INSERT INTO apple_services (kind, secret, about, ends_at, settings, state, imported_by, imported_at)
                     VALUES ($1, $2, $3, $4, '{}', '{}', $5, $6)
                     ON CONFLICT (kind) DO UPDATE SET secret = excluded.secret, about = excluded.about, ends_at = excluded.ends_at,
                       state = '{}', problem = NULL, imported_by = excluded.imported_by, imported_at = excluded.imported_at,
                       checked_at = NULL")
                    .bind(kind.text()).bind(new.secret.to_owned()).bind(new.about.to_string())
                    .bind(new.ends_at.map(|at| at.0)).bind(by.actor.to_owned()).bind(by.at.0)
                    .execute(&mut *tx).await.map_err(Error::db("import what Apple gave"))?;
                record!(tx, by, "apple_service", kind, "imported")?;
                Ok(())
            })
        })
    }

    /// What Apple gave, sealed.
    ///
    /// # Errors
    /// The database failed.
    pub fn sealed_apple_secret(&self, kind: AppleKind) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let secret: Option<Option<String>> = on_pool!(self, pool =>
                sqlx::query_scalar("SELECT secret FROM apple_services WHERE kind = $1").bind(kind.text()).fetch_optional(pool).await)
            .map_err(Error::db("find what Apple gave"))?;
            Ok(secret.flatten())
        })
    }

    /// Keeps a new key, sealed, and what goes to Apple for it. What was imported before stays in use.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_apple_request<'a>(
        &'a self,
        by: By<'a>,
        kind: AppleKind,
        key: &'a str,
        request: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "keep a key for Apple", tx => {
                sqlx::query(
                    "INSERT INTO apple_services (kind, about, request_key, request, settings, state, imported_by)
                     VALUES ($1, '{}', $2, $3, '{}', '{}', '')
                     ON CONFLICT (kind) DO UPDATE SET request_key = excluded.request_key, request = excluded.request")
                    .bind(kind.text()).bind(key.to_owned()).bind(request.to_owned())
                    .execute(&mut *tx).await.map_err(Error::db("keep a key for Apple"))?;
                record!(tx, by, "apple_service", kind, "requested")?;
                Ok(())
            })
        })
    }

    /// The sealed key of the request.
    ///
    /// # Errors
    /// The database failed.
    pub fn sealed_apple_request_key(&self, kind: AppleKind) -> Answer<'_, Option<String>> {
        Box::pin(async move {
            let key: Option<Option<String>> = on_pool!(self, pool =>
                sqlx::query_scalar("SELECT request_key FROM apple_services WHERE kind = $1").bind(kind.text()).fetch_optional(pool).await)
            .map_err(Error::db("find a key for Apple"))?;
            Ok(key.flatten())
        })
    }

    /// Keeps what people chose.
    ///
    /// # Errors
    /// Nothing is known of this service, or the database failed.
    pub fn set_apple_settings<'a>(
        &'a self,
        by: By<'a>,
        kind: AppleKind,
        settings: &'a Value,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "keep the settings of Apple's service", tx => {
                let done = sqlx::query("UPDATE apple_services SET settings = $1 WHERE kind = $2")
                    .bind(settings.to_string()).bind(kind.text())
                    .execute(&mut *tx).await.map_err(Error::db("keep the settings of Apple's service"))?;
                Error::unless_found(done.rows_affected(), "Apple service", kind)?;
                record!(tx, by, "apple_service", kind, "changed")?;
                Ok(())
            })
        })
    }

    /// Notes how it went when Apple was asked: the daemon's own state, and why it does not work. Others hear of it only when that changed.
    /// `asked` is the service as it was asked: nothing happens when it is gone meanwhile, or something else was imported.
    ///
    /// # Errors
    /// The database failed.
    pub fn note_apple_service<'a>(
        &'a self,
        by: By<'a>,
        asked: &'a AppleService,
        state: &'a Value,
        problem: Option<&'a str>,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "note how Apple's service is", tx => {
                let kind = asked.kind;
                let before: Option<(String, Option<String>, Option<i64>)> =
                    sqlx::query_as("SELECT state, problem, imported_at FROM apple_services WHERE kind = $1")
                        .bind(kind.text()).fetch_optional(&mut *tx).await.map_err(Error::db("find Apple's service"))?;
                let Some((old_state, old_problem, imported_at)) = before else { return Ok(()) };
                if imported_at != asked.imported_at.map(|at| at.0) {
                    return Ok(());
                }
                let state = state.to_string();
                sqlx::query("UPDATE apple_services SET state = $1, problem = $2, checked_at = $3 WHERE kind = $4")
                    .bind(state.clone()).bind(problem.map(ToOwned::to_owned)).bind(by.at.0).bind(kind.text())
                    .execute(&mut *tx).await.map_err(Error::db("note how Apple's service is"))?;
                if old_state != state || old_problem.as_deref() != problem {
                    record!(tx, by, "apple_service", kind, "checked")?;
                }
                Ok(())
            })
        })
    }

    /// Forgets a service: what Apple gave, the key of the request, and what was noted.
    ///
    /// # Errors
    /// Nothing is known of this service, or the database failed.
    pub fn delete_apple_service<'a>(&'a self, by: By<'a>, kind: AppleKind) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "forget what Apple gave", tx => {
                let done = sqlx::query("DELETE FROM apple_services WHERE kind = $1").bind(kind.text())
                    .execute(&mut *tx).await.map_err(Error::db("forget what Apple gave"))?;
                Error::unless_found(done.rows_affected(), "Apple service", kind)?;
                record!(tx, by, "apple_service", kind, "deleted")?;
                Ok(())
            })
        })
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    kind: String,
    imported: bool,
    about: String,
    ends_at: Option<i64>,
    request: Option<String>,
    settings: String,
    state: String,
    problem: Option<String>,
    imported_by: String,
    imported_at: Option<i64>,
    checked_at: Option<i64>,
}

fn service(row: Row) -> Result<AppleService> {
    let bad = Error::row("apple_services", row.kind.clone());
    let kind = AppleKind::ALL.into_iter().find(|kind| kind.text() == row.kind);
    let json = |text: &str| serde_json::from_str(text).map_err(|error| bad(error.to_string()));
    Ok(AppleService {
        kind: kind.ok_or_else(|| bad("unknown kind".into()))?,
        imported: row.imported,
        about: json(&row.about)?,
        ends_at: row.ends_at.map(UnixMillis),
        request: row.request,
        settings: json(&row.settings)?,
        state: json(&row.state)?,
        problem: row.problem,
        imported_by: row.imported_by,
        imported_at: row.imported_at.map(UnixMillis),
        checked_at: row.checked_at.map(UnixMillis),
    })
}
