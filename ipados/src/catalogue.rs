//! The catalogue of restrictions that an iPad knows (`com.apple.applicationaccess`).
//!
//! `build.rs` writes it from Apple's schema: <https://github.com/apple/device-management>, copied to `apple/` under its MIT
//! licence. Titles and groups in words that a school uses are in [`titles`]; a restriction without one keeps Apple's name.

mod titles;

pub use titles::{Group, Language};

use crate::os::OsVersion;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// One restriction as Apple describes it.
#[derive(Debug, PartialEq)]
pub struct Restriction {
    /// The key in the payload, such as `allowCamera`.
    pub key: &'static str,
    /// Apple's English title, or the key where Apple gives none.
    pub title: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// The first version of iOS that knows it.
    pub since: OsVersion,
    /// The version in which Apple declared it superseded.
    pub deprecated: Option<OsVersion>,
    /// Obeyed by supervised devices only.
    pub supervised: bool,
    /// May be set on a Shared iPad.
    pub on_shared_ipad: bool,
    /// What it does, in Apple's words.
    pub description: &'static str,
}

/// The type of a restriction and the values it may have.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Yes or no.
    Bool {
        /// What the device does without the key.
        default: bool,
    },
    /// A number from a range, both ends included.
    Int {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
        /// What the device does without the key.
        default: Option<i64>,
    },
    /// A number from a list (`safariAcceptCookies`).
    Real {
        /// The values that Apple defines.
        choices: &'static [f64],
    },
    /// A word from a list.
    Choice {
        /// The values that Apple defines.
        choices: &'static [&'static str],
    },
    /// A list of bundle identifiers.
    List,
}

/// A value given to a restriction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// A word.
    Text(String),
    /// Bundle identifiers; their order has no meaning.
    List(BTreeSet<String>),
}

impl Restriction {
    /// The restriction with this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        let at = ALL.binary_search_by(|entry| entry.key.cmp(key)).ok()?;
        ALL.get(at)
    }

    /// Every restriction, sorted by key.
    pub fn all() -> &'static [Self] {
        ALL
    }

    /// The value in the form that this restriction takes, or what is wrong with it.
    pub fn accept(&self, value: Setting) -> Result<Setting, SettingError> {
        let wrong = |wanted: String| SettingError::Value { key: self.key, wanted };
        match (self.kind, value) {
            (Kind::Bool { .. }, value @ Setting::Bool(_)) => Ok(value),
            (Kind::Bool { .. }, _) => Err(wrong("true or false".into())),
            (Kind::Int { min, max, .. }, Setting::Int(n)) if (min..=max).contains(&n) => Ok(Setting::Int(n)),
            (Kind::Int { min, max, .. }, _) => Err(wrong(format!("a whole number from {min} to {max}"))),
            // JSON does not tell 2 from 2.0.
            (Kind::Real { .. }, Setting::Int(n)) if i32::try_from(n).is_ok() => {
                self.accept(Setting::Real(i32::try_from(n).map_or(f64::NAN, f64::from)))
            }
            (Kind::Real { choices }, Setting::Real(n)) if choices.contains(&n) => Ok(Setting::Real(n)),
            (Kind::Real { choices }, _) => Err(wrong(format!("one of {choices:?}"))),
            (Kind::Choice { choices }, Setting::Text(word)) if choices.contains(&word.as_str()) => {
                Ok(Setting::Text(word))
            }
            (Kind::Choice { choices }, _) => Err(wrong(format!("one of {}", choices.join(", ")))),
            (Kind::List, Setting::List(items))
                if items.len() <= LIST_MAX && items.iter().all(|i| bundle_like(i)) =>
            {
                Ok(Setting::List(items))
            }
            (Kind::List, _) => Err(wrong(format!("a list of at most {LIST_MAX} bundle identifiers"))),
        }
    }

    /// The key that takes over from one that Apple has renamed, and the one that stands for it on systems before the change.
    pub(crate) fn renamed(&self) -> Option<&'static Renamed> {
        RENAMED.iter().find(|pair| pair.old == self.key || pair.new == self.key)
    }
}

/// Two names of one restriction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Renamed {
    /// The name until the new one came.
    pub(crate) old: &'static str,
    /// The present name.
    pub(crate) new: &'static str,
}

/// A key or value that no restriction has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// Apple's schema has no such key for iOS.
    #[error("there is no restriction named “{0}” for iPads: look it up in the catalogue")]
    UnknownKey(String),
    /// The value has the wrong type or lies outside the range.
    #[error("the restriction {key} takes {wanted}")]
    Value {
        /// The restriction.
        key: &'static str,
        /// What it takes.
        wanted: String,
    },
}

/// Bundle identifiers are letters, digits, points and hyphens; Apple names no length, and App Store Connect stops at 155.
pub(crate) fn bundle_like(text: &str) -> bool {
    (1..=155).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// A list longer than this is a mistake: an iPad shows some hundred apps.
const LIST_MAX: usize = 1000;

const RENAMED: &[Renamed] = &[
    Renamed { old: "whitelistedAppBundleIDs", new: "allowListedAppBundleIDs" },
    Renamed { old: "blacklistedAppBundleIDs", new: "blockedAppBundleIDs" },
    Renamed { old: "forceWiFiWhitelisting", new: "forceWiFiToAllowedNetworksOnly" },
];

include!(concat!(env!("OUT_DIR"), "/catalogue.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_is_apples() {
        assert_eq!(ALL.len(), 155);
        assert!(ALL.is_sorted_by(|a, b| a.key < b.key));
        let camera = Restriction::find("allowCamera").unwrap();
        assert_eq!(camera.kind, Kind::Bool { default: true });
        assert!(!camera.supervised);
        let apps = Restriction::find("allowListedAppBundleIDs").unwrap();
        assert_eq!((apps.kind, apps.since, apps.supervised), (Kind::List, OsVersion::new(15, 0, 0), true));
        assert!(!Restriction::find("allowGenmoji").unwrap().on_shared_ipad);
        let old = Restriction::find("whitelistedAppBundleIDs").unwrap();
        assert_eq!(old.deprecated, Some(OsVersion::new(15, 0, 0)));
    }

    #[test]
    fn descriptions_leave_out_what_the_other_columns_say() {
        let text = Restriction::find("allowAppClips").unwrap().description;
        assert!(
            text.starts_with("If 'false', the system prevents a user from adding any App Clips"),
            "{text}"
        );
        assert!(!text.contains("supervised") && !text.contains("Available"), "{text}");
    }

    #[test]
    fn values_outside_apples_range_are_refused() {
        let accept = |key: &str, value| Restriction::find(key).unwrap().accept(value).is_ok();
        assert!(accept("allowCamera", Setting::Bool(false)));
        assert!(!accept("allowCamera", Setting::Int(0)));
        assert!(accept("enforcedSoftwareUpdateDelay", Setting::Int(90)));
        assert!(!accept("enforcedSoftwareUpdateDelay", Setting::Int(91)));
        assert!(accept("safariAcceptCookies", Setting::Real(1.5)));
        assert!(accept("safariAcceptCookies", Setting::Int(2)));
        assert!(!accept("safariAcceptCookies", Setting::Real(0.7)));
        assert!(accept("ratingRegion", Setting::Text("de".into())));
        assert!(!accept("ratingRegion", Setting::Text("at".into())));
        assert!(accept("blockedAppBundleIDs", Setting::List(["com.apple.mobilesafari".into()].into())));
        assert!(!accept("blockedAppBundleIDs", Setting::List(["Mobile Safari".into()].into())));
    }

    #[test]
    fn both_names_of_a_renamed_restriction_exist() {
        for pair in RENAMED {
            let (old, new) = (Restriction::find(pair.old).unwrap(), Restriction::find(pair.new).unwrap());
            assert_eq!(old.kind.is_list(), new.kind.is_list());
            assert_eq!(old.deprecated, Some(new.since), "{}", pair.old);
        }
    }

    impl Kind {
        fn is_list(self) -> bool {
            matches!(self, Self::List)
        }
    }
}
