//! Values without fields as the one word that the database and the API know them by.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The word of a value; empty for one that has fields.
pub(crate) fn word(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

/// The value of a word.
pub(crate) fn meant<T: DeserializeOwned>(word: &str) -> Result<T, String> {
    serde_json::from_value(word.into()).map_err(|error| error.to_string())
}
