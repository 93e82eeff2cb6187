//! Versions of iOS and iPadOS, and the facts about a device that decide what it understands.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A version such as 17.2 or 15.0.1. Missing parts are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OsVersion {
    major: u16,
    minor: u16,
    patch: u16,
}

impl OsVersion {
    /// Older than everything that still enrols: for keys whose first version Apple does not name.
    pub const ANY: Self = Self::new(0, 0, 0);

    /// A version from its three numbers.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }
}

impl FromStr for OsVersion {
    type Err = OsVersionError;

    fn from_str(text: &str) -> Result<Self, OsVersionError> {
        let error = || OsVersionError(text.chars().take(32).collect());
        let mut numbers = [0; 3];
        let mut parts = text.split('.');
        for (place, part) in numbers.iter_mut().zip(&mut parts) {
            *place = part.parse().map_err(|_| error())?;
        }
        let [major, minor, patch] = numbers;
        if parts.next().is_some() { Err(error()) } else { Ok(Self::new(major, minor, patch)) }
    }
}

impl fmt::Display for OsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)?;
        if self.patch == 0 { Ok(()) } else { write!(f, ".{}", self.patch) }
    }
}

impl TryFrom<String> for OsVersion {
    type Error = OsVersionError;

    fn try_from(text: String) -> Result<Self, OsVersionError> {
        text.parse()
    }
}

impl From<OsVersion> for String {
    fn from(version: OsVersion) -> Self {
        version.to_string()
    }
}

/// The text is not a version of iOS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{0}” is not a version of iPadOS: write it as 17.2 or 17.2.1")]
pub struct OsVersionError(String);

/// What is known of a device and decides which settings it accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// The version that the device reported last.
    pub os: OsVersion,
    /// Supervised through Apple School Manager or Configurator.
    pub supervised: bool,
    /// Set up as a Shared iPad, where users sign in and some settings belong to the user's channel.
    pub shared_ipad: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        let version = |text: &str| text.parse::<OsVersion>().unwrap();
        assert!(version("9.3.2") < version("17"));
        assert!(version("17.2") < version("17.10"));
        assert_eq!(version("17").to_string(), "17.0");
        assert_eq!(version("15.0.1").to_string(), "15.0.1");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in ["", "17.", "17.2.1.4", "n/a", "-1", "70000"] {
            assert!(text.parse::<OsVersion>().is_err(), "{text}");
        }
    }
}
