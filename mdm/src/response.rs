//! What a device answers to commands.
//!
//! A response is read in two steps. [`Response::parse`] takes what moves the queue: whose it is, which command it answers
//! and how that went. [`Response::result`] reads the details of one kind of command. A detail that nobody foresaw is an
//! error of the second step only, so it cannot block the queue.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/commands-and-queries>

use plist::{Dictionary, Value};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::channel::Channel;
use crate::document::{self, DocumentError};
use crate::fields::{FieldError, Fields, Required};
use crate::secret::Secret;

pub mod results;

/// One request of a device for its next command.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// Whom it is about.
    pub channel: Channel,
    /// What became of the command before.
    pub report: Report,
    details: Secret<Dictionary>,
}

/// What a device reports when it asks for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// It has nothing to report. It was pushed, or polls by itself.
    Idle,
    /// A command came to this end. The same report may arrive twice.
    Done {
        /// The command's `CommandUUID`. `None` is none of ours: another server gave the command, or the device could not
        /// read the name either.
        command: Option<Uuid>,
        /// The end.
        outcome: Outcome,
    },
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out. [`Response::result`] has the details.
    Acknowledged,
    /// It failed. [`Response::result`] may have more.
    Failed(Vec<ChainedError>),
    /// The device does not understand it; it will not either when it is sent again.
    NotUnderstood(Vec<ChainedError>),
    /// Not at this moment, often because the iPad is locked. The device forgets the command: it is sent again later, and
    /// the device asks by itself only after the session ended with an empty answer.
    NotNow,
}

/// One link of an `ErrorChain`, the outermost first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainedError {
    /// The number of the error inside its domain.
    pub code: i64,
    /// The domain, as `MCInstallationErrorDomain`.
    pub domain: String,
    /// For people, in the device's language. May name what was to be installed.
    pub localized: Option<String>,
    /// For people, in English.
    pub english: Option<String>,
}

/// Why a response was not understood.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// The body is no property list that is taken here.
    #[error("the response cannot be read")]
    Document(#[from] DocumentError),
    /// The property list is no dictionary.
    #[error("the response is no dictionary")]
    NoDictionary,
    /// A key is missing or wrong.
    #[error("the response is incomplete")]
    Field(#[from] FieldError),
}

impl Response {
    /// Reads the body of a request for the next command, at most `limit` bytes.
    pub fn parse(body: &[u8], limit: usize) -> Result<Self, ResponseError> {
        let mut fields =
            Fields::new(document::parse_value(body, limit)?).ok_or(ResponseError::NoDictionary)?;
        let channel = Channel::take(&mut fields)?;
        let status = fields.text("Status")?.required("Status")?;
        let report = match status.as_str() {
            "Idle" => Report::Idle,
            status => {
                let outcome = outcome(status, &mut fields)?;
                let command = fields.text("CommandUUID")?.and_then(|id| Uuid::try_parse(&id).ok());
                Report::Done { command, outcome }
            }
        };
        Ok(Self { channel, report, details: Secret::new(fields.rest()) })
    }

    /// Whether a detail of that name came along: each kind of result has one of its own.
    pub fn has(&self, key: &str) -> bool {
        self.details.expose().contains_key(key)
    }

    /// The details as the type of one kind of command, one of [`results`].
    pub fn result<T: DeserializeOwned>(&self) -> Result<T, DocumentError> {
        document::from_value(&Value::Dictionary(self.details.expose().clone()))
    }
}

fn outcome(status: &str, fields: &mut Fields) -> Result<Outcome, FieldError> {
    match status {
        "Acknowledged" => Ok(Outcome::Acknowledged),
        "Error" => error_chain(fields).map(Outcome::Failed),
        "CommandFormatError" => error_chain(fields).map(Outcome::NotUnderstood),
        "NotNow" => Ok(Outcome::NotNow),
        _ => Err(FieldError::Unfit { key: "Status", expected: "one of Apple's five words" }),
    }
}

/// The first [`MAX_CHAIN`] errors. What is odd about one is left out, because an error report must not get lost for it.
fn error_chain(fields: &mut Fields) -> Result<Vec<ChainedError>, FieldError> {
    let chain = fields.array("ErrorChain")?.unwrap_or_default();
    Ok(chain.into_iter().take(MAX_CHAIN).filter_map(Fields::new).map(chained_error).collect())
}

fn chained_error(mut fields: Fields) -> ChainedError {
    ChainedError {
        code: fields.integer("ErrorCode").ok().flatten().unwrap_or_default(),
        domain: fields.beginning("ErrorDomain").unwrap_or_default(),
        localized: fields.beginning("LocalizedDescription"),
        english: fields.beginning("USEnglishDescription"),
    }
}

/// Devices nest a handful of errors.
pub const MAX_CHAIN: usize = 16;

#[cfg(test)]
mod tests;
