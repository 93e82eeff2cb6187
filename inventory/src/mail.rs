//! E-mail: how the school sends it, and which messages its mail server took.

use std::collections::HashMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::changes::record;
use crate::db::{in_transaction, on_pool};
use crate::{Answer, By, Error, Inventory, ParseError, UnixMillis};

/// How e-mail is sent, to whom and what about.
#[derive(Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// The mail server's name or address.
    pub host: String,
    /// Its port: usually 465 with [`MailSecurity::Tls`], 587 with [`MailSecurity::StartTls`].
    pub port: u16,
    /// How the connection is protected.
    pub security: MailSecurity,
    /// Who signs in there, with the sealed password; nobody if absent.
    pub login: Option<MailLogin>,
    /// Whom messages come from: an address, or `Name <address>`.
    pub sender: String,
    /// Whom they go to.
    pub recipients: Vec<String>,
    /// The morning report is sent.
    pub report: bool,
    /// What is not in order is sent.
    pub alerts: bool,
}

/// An account of the mail server.
#[derive(Clone, PartialEq, Eq)]
pub struct MailLogin {
    /// Its name.
    pub username: String,
    /// Its password, sealed by whoever saved it.
    pub sealed_password: String,
}

/// How the connection to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MailSecurity {
    /// TLS from the first byte (RFC 8314).
    Tls,
    /// TLS after `STARTTLS`, and nothing without it (RFC 3207).
    StartTls,
    /// Not at all: for a mail server on this machine.
    None,
}

impl MailSecurity {
    /// As it is stored and sent.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::StartTls => "starttls",
            Self::None => "none",
        }
    }
}

impl FromStr for MailSecurity {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let all = [Self::Tls, Self::StartTls, Self::None];
        let found = all.into_iter().find(|security| security.text() == text);
        found.ok_or_else(|| ParseError::new("mail security", text, "expected tls, starttls or none"))
    }
}

type SettingsRow = (String, i64, String, Option<String>, Option<String>, String, String, i64, i64);

impl Inventory {
    /// How e-mail is sent; `None` if it is not.
    ///
    /// # Errors
    /// The database failed, or what is stored makes no sense.
    pub fn mail_settings(&self) -> Answer<'_, Option<MailSettings>> {
        Box::pin(async move {
            let row: Option<SettingsRow> = on_pool!(self, pool => sqlx::query_as(
                "SELECT host, port, security, username, password, sender, recipients, report, alerts FROM mail_settings")
                .fetch_optional(pool).await)
            .map_err(Error::db("read how e-mail is sent"))?;
            row.map(settings).transpose()
        })
    }

    /// Saves how e-mail is sent.
    ///
    /// # Errors
    /// The database failed.
    pub fn set_mail_settings<'a>(&'a self, by: By<'a>, mail: &'a MailSettings) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "save how e-mail is sent", tx => {
                sqlx::query("DELETE FROM mail_settings").execute(&mut *tx).await
                    .map_err(Error::db("forget how e-mail is sent"))?;
                let (username, password) =
                    mail.login.clone().map(|login| (login.username, login.sealed_password)).unzip();
                let recipients = serde_json::to_string(&mail.recipients).unwrap_or_default();
                sqlx::query(
                    "INSERT INTO mail_settings (id, host, port, security, username, password, sender, recipients, report, alerts)
                     VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9)")
                    .bind(mail.host.clone()).bind(i64::from(mail.port)).bind(mail.security.text())
                    .bind(username).bind(password).bind(mail.sender.clone()).bind(recipients)
                    .bind(i64::from(mail.report)).bind(i64::from(mail.alerts))
                    .execute(&mut *tx).await.map_err(Error::db("save how e-mail is sent"))?;
                record!(tx, by, "mail", "settings", "changed")?;
                Ok(())
            })
        })
    }

    /// When the mail server took which message last, by what it was about and its recipient.
    ///
    /// # Errors
    /// The database failed.
    pub fn mails_sent(&self) -> Answer<'_, HashMap<(String, String), UnixMillis>> {
        Box::pin(async move {
            let rows: Vec<(String, String, i64)> = on_pool!(self, pool => sqlx::query_as(
                "SELECT about, recipient, at FROM mails_sent").fetch_all(pool).await)
            .map_err(Error::db("list e-mails that were sent"))?;
            Ok(rows.into_iter().map(|(about, recipient, at)| ((about, recipient), UnixMillis(at))).collect())
        })
    }

    /// Writes down what the mail server took for a recipient. What it took long ago is forgotten.
    ///
    /// # Errors
    /// The database failed.
    pub fn keep_mail_sent<'a>(
        &'a self,
        at: UnixMillis,
        about: &'a [String],
        recipient: &'a str,
    ) -> Answer<'a, ()> {
        Box::pin(async move {
            in_transaction!(self, "write down an e-mail", tx => {
                sqlx::query("DELETE FROM mails_sent WHERE at < $1").bind(at.0.saturating_sub(KEPT_MILLIS))
                    .execute(&mut *tx).await.map_err(Error::db("forget old e-mails"))?;
                for about in about {
                    sqlx::query(
                        "INSERT INTO mails_sent (about, recipient, at) VALUES ($1, $2, $3)
                         ON CONFLICT (about, recipient) DO UPDATE SET at = excluded.at")
                        .bind(about.clone()).bind(recipient.to_owned()).bind(at.0)
                        .execute(&mut *tx).await.map_err(Error::db("write down an e-mail"))?;
                }
                Ok(())
            })
        })
    }
}

fn settings(row: SettingsRow) -> crate::Result<MailSettings> {
    let (host, port, security, username, password, sender, recipients, report, alerts) = row;
    let bad = |what: &str| Error::row("mail_settings", 1)(what.into());
    Ok(MailSettings {
        host,
        port: u16::try_from(port).map_err(|_| bad("its port is none"))?,
        security: security.parse().map_err(|_| bad("its security is unknown"))?,
        login: username
            .zip(password)
            .map(|(username, sealed_password)| MailLogin { username, sealed_password }),
        sender,
        recipients: serde_json::from_str(&recipients).map_err(|_| bad("its recipients are no list"))?,
        report: report != 0,
        alerts: alerts != 0,
    })
}

const KEPT_MILLIS: i64 = 60 * 24 * 3_600_000;
