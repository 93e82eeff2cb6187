//! Apps of iPads: the catalogue of the school, who gets what, the licence for each iPad, and what iPads were told.
//!
//! ```text
//! wanted ─► asked ─► assigned ─► returning ─► (gone)
//!    │        └────► refused
//!    └─► lacking
//! ```
//! A licence is a row from the wish on, before Apple is asked for it, so that none is forgotten: neither when a server dies in between, nor when
//! the iPad is gone by then. Only licences with a row are ever given back.

mod licences;
mod store;
mod wish;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{AppAssignmentId, Audience, ParseError, UnixMillis};

pub use licences::{LicenceChange, ToldApp};
pub use store::ASSIGNMENTS_MAX;
pub use wish::wishes;

/// The number of an app in the App Store (Apple: `adamId`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId(i64);

impl AppId {
    /// As a number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// What its configuration is sealed for.
    #[must_use]
    pub fn owner(self) -> Vec<u8> {
        format!("app configuration {self}").into_bytes()
    }

    pub(super) fn stored(self) -> i64 {
        self.0
    }

    pub(super) fn from_stored(number: i64) -> Self {
        Self(number)
    }
}

impl FromStr for AppId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digits = (1..=15).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|number| digits && *number > 0);
        number.map(Self).ok_or(ParseError::new("app", text, "expected its number in the App Store"))
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for AppId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for AppId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for AppId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AppId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9]{1,15}$" })
    }
}

/// An app that the school has licences for, or had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct App {
    /// Its number in the App Store.
    pub id: AppId,
    /// What it is called; empty until the store told.
    pub name: String,
    /// Its bundle identifier; empty until the store told.
    pub bundle_id: String,
    /// The newest version in the store; empty until the store told.
    pub version: String,
    /// Apple's word for the kind of licence (`STDQ`).
    pub pricing: String,
    /// Licences that the school has.
    pub total: u32,
    /// Those that nobody has, as Apple said last.
    pub available: u32,
    /// Whether its licences can belong to iPads.
    pub usable: bool,
    /// The names of the keys of its configuration; their values are nobody's business.
    pub configuration_keys: Vec<String>,
    /// Changes with the configuration; `None` without one.
    #[serde(skip)]
    pub configured: Option<String>,
    /// Licences that iPads of ours have.
    pub assigned: u32,
    /// iPads that should have it and cannot, since there is no licence.
    pub lacking: u32,
}

/// An app as Apple lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Its number in the App Store.
    pub id: AppId,
    /// The kind of licence.
    pub pricing: String,
    /// Licences.
    pub total: u32,
    /// Those that nobody has.
    pub available: u32,
    /// Whether its licences can belong to iPads.
    pub usable: bool,
}

/// What the store says of an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// Its number in the App Store.
    pub id: AppId,
    /// What it is called.
    pub name: String,
    /// Its bundle identifier.
    pub bundle_id: String,
    /// The newest version.
    pub version: String,
}

/// Whether an app has to be there.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Install {
    /// Whoever uses the iPad may install it.
    Offered,
    /// It is installed, and cannot be removed.
    Required,
}

impl Install {
    /// Its name in the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Required => "required",
        }
    }
}

/// That somebody gets an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct AppAssignment {
    /// Its id.
    pub id: AppAssignmentId,
    /// Which app.
    pub app: AppId,
    /// Who.
    pub target: Audience,
    /// Whether it has to be there.
    pub install: Install,
    /// Who said so.
    pub created_by: String,
    /// When.
    pub created_at: UnixMillis,
}

/// How far a licence is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LicenceState {
    /// The iPad should have it; Apple was not asked yet.
    Wanted,
    /// Apple was asked.
    Asked,
    /// The iPad has it.
    Assigned,
    /// There are too few.
    Lacking,
    /// Apple refused.
    Refused,
    /// It is being given back.
    Returning,
}

impl LicenceState {
    const ALL: [Self; 6] =
        [Self::Wanted, Self::Asked, Self::Assigned, Self::Lacking, Self::Refused, Self::Returning];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Asked => "asked",
            Self::Assigned => "assigned",
            Self::Lacking => "lacking",
            Self::Refused => "refused",
            Self::Returning => "returning",
        }
    }
}

/// The licence of an app for an iPad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Licence {
    /// Which app.
    pub app: AppId,
    /// The serial number of the iPad.
    pub serial: String,
    /// Whose licences they are, as Apple numbers places.
    #[serde(skip)]
    pub location: String,
    /// How far it is.
    pub state: LicenceState,
    /// What Apple calls the request that is under way.
    #[serde(skip)]
    pub event: Option<String>,
    /// Why Apple refused.
    pub problem: Option<String>,
    /// How often Apple refused in a row.
    #[serde(skip)]
    pub tries: u32,
    /// Apple is not asked again before.
    #[serde(skip)]
    pub not_before: UnixMillis,
    /// Since when it is so.
    pub changed_at: UnixMillis,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_an_app_is_a_few_digits() {
        let id = |text: &str| text.parse::<AppId>();
        assert_eq!(id("361309726").unwrap().number(), 361_309_726);
        for bad in ["", "0", "-1", "+1", "1e3", "com.apple.Pages", "1234567890123456"] {
            assert!(id(bad).is_err(), "{bad}");
        }
    }
}
