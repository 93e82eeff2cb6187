//! Who may use the internet, where and until when: the levels, the rules, and what the kernel was read to enforce.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// How much of the internet a device may use. Later levels allow less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everything.
    On,
    /// Everything but the names that its filter blocks.
    Filtered,
    /// Only the names of an allow list.
    AllowList,
    /// Only what is always reachable.
    Off,
}

impl Level {
    /// All levels, the most generous first.
    pub const ALL: [Self; 4] = [Self::On, Self::Filtered, Self::AllowList, Self::Off];

    /// Its name in the database and the API.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Filtered => "filtered",
            Self::AllowList => "allow_list",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl FromStr for Level {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::ALL.into_iter().find(|level| level.text() == text).ok_or(ParseError::new(
            "level",
            text,
            "expected on, filtered, allow_list or off",
        ))
    }
}
