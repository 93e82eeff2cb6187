//! The restrictions payload: values that have passed the catalogue.

use super::{ProfileError, put};
use crate::catalogue::{Restriction, Setting, SettingError};
use plist::Dictionary;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Restrictions by key. Only keys and values of the catalogue get in.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Setting>", into = "BTreeMap<String, Setting>")]
pub struct Restrictions(BTreeMap<&'static str, Setting>);

impl Restrictions {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one restriction, replacing what it was.
    pub fn set(&mut self, key: &str, value: Setting) -> Result<(), SettingError> {
        let restriction = Restriction::find(key).ok_or_else(|| SettingError::UnknownKey(key.to_owned()))?;
        self.0.insert(restriction.key, restriction.accept(value)?);
        Ok(())
    }

    /// The value of one.
    pub fn value(&self, key: &str) -> Option<&Setting> {
        self.0.get(key)
    }

    /// All of them, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }

    /// Whether nothing is restricted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn content(&self) -> Result<Dictionary, ProfileError> {
        let mut out = Dictionary::new();
        for (key, value) in &self.0 {
            put(&mut out, key, plist::to_value(value)?);
        }
        Ok(out)
    }
}

impl TryFrom<BTreeMap<String, Setting>> for Restrictions {
    type Error = SettingError;

    fn try_from(map: BTreeMap<String, Setting>) -> Result<Self, SettingError> {
        let mut out = Self::new();
        for (key, value) in map {
            out.set(&key, value)?;
        }
        Ok(out)
    }
}

impl From<Restrictions> for BTreeMap<String, Setting> {
    fn from(restrictions: Restrictions) -> Self {
        restrictions.0.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }
}
