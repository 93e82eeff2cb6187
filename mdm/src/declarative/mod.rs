//! Declarative management: what a device should be, as documents that it fetches, and what it reports back.
//!
//! | Source | What is done here |
//! |---|---|
//! | <https://developer.apple.com/documentation/devicemanagement/leveraging-the-declarative-management-data-model-to-scale-devices> | the data model |
//! | <https://developer.apple.com/documentation/devicemanagement/declarativemanagementrequest> | the endpoints of the check-in message |
//! | <https://developer.apple.com/documentation/devicemanagement/statusreport> | status reports |
//!
//! [`Desired`] says what a device should have, [`DeclarationSet`] is the same as declarations, [`DeviceStatus`] is what the
//! device said of it. Everything is computed from content: the same wishes give the same tokens, so a server that restarts
//! sends nobody to fetch anything.
//!
//! Not done: accounts, credentials as assets, `legacy.interactive`, anything for macOS.

mod desired;
mod set;
mod status;

pub use desired::{
    AppInstall, AppLicense, AppSource, Asset, AutomaticAction, Desired, DesiredApp, DesiredProfile,
    EnforcedUpdate, Organization, RecommendedCadence, StatusItem, UpdateSettings,
};
pub use set::{Declaration, DeclarationSet, LeftOut, LeftOutReason, Progress, SetError};
pub use status::{
    AppPhase, AppState, AppVia, Capabilities, DeclarationState, DeviceStatus, ItemError, Reason, StatusError,
    StatusReport, StatusValue, Validity,
};

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The four kinds of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Which configurations apply, and when.
    Activation,
    /// A setting.
    Configuration,
    /// Data that configurations refer to.
    Asset,
    /// Facts about the server.
    Management,
}

impl Kind {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Activation, Self::Configuration, Self::Asset, Self::Management];

    /// The word in the path of an endpoint.
    pub fn word(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Configuration => "configuration",
            Self::Asset => "asset",
            Self::Management => "management",
        }
    }

    /// The key of the list in the answer of `declaration-items`; status reports have it in small letters.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Activation => "Activations",
            Self::Configuration => "Configurations",
            Self::Asset => "Assets",
            Self::Management => "Management",
        }
    }
}

/// What a `DeclarativeManagement` check-in asks for (its key `Endpoint`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// Has anything changed?
    Tokens,
    /// Which declarations are there?
    DeclarationItems,
    /// One declaration.
    Declaration {
        /// Its kind.
        kind: Kind,
        /// Its identifier.
        identifier: String,
    },
    /// A status report is in the message.
    Status,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let error = || EndpointError(text.chars().take(80).collect());
        match text {
            "tokens" => return Ok(Self::Tokens),
            "declaration-items" => return Ok(Self::DeclarationItems),
            "status" => return Ok(Self::Status),
            _ => {}
        }
        let rest = text.strip_prefix("declaration/").ok_or_else(error)?;
        let (word, identifier) = rest.split_once('/').ok_or_else(error)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word).ok_or_else(error)?;
        if identifier.is_empty() || identifier.len() > IDENTIFIER_BYTES_MAX {
            return Err(error());
        }
        Ok(Self::Declaration { kind, identifier: identifier.to_owned() })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tokens => f.write_str("tokens"),
            Self::DeclarationItems => f.write_str("declaration-items"),
            Self::Status => f.write_str("status"),
            Self::Declaration { kind, identifier } => write!(f, "declaration/{}/{identifier}", kind.word()),
        }
    }
}

/// The device asked for something that Apple does not define.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is no endpoint of declarative management: answer 404")]
pub struct EndpointError(String);

/// Apple's bound for identifiers and server tokens.
const IDENTIFIER_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests;
