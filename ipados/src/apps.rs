//! What people bring for apps: the content token of Apps and Books, and the configuration that an app finds on the iPad.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/getting-started-with-the-management-api>,
//! <https://developer.apple.com/documentation/devicemanagement/settingscommand>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::secret::Secret;

/// The content token (`sToken`) as a manager downloads it from Apple School Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentToken {
    /// What goes to Apple: the file itself.
    pub text: Secret<String>,
    /// Whose token it is, in Apple's words.
    pub organisation: String,
    /// When it ends.
    pub ends: OffsetDateTime,
}

/// Why a file is no content token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than any.
    #[error(
        "a content token is shorter than {TOKEN_BYTES_MAX} bytes; download it again from Apple School Manager"
    )]
    TooLong,
    /// Another file.
    #[error(
        "this is no content token; download it from Apple School Manager, Preferences, Payments and Billing, Content Tokens"
    )]
    NoToken,
}

impl ContentToken {
    /// Reads the file: base64 of JSON with `token`, `expDate` and `orgName`.
    ///
    /// # Errors
    /// See [`TokenError`].
    pub fn parse(file: &[u8]) -> Result<Self, TokenError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Inside {
            token: Secret<String>,
            exp_date: String,
            #[serde(default)]
            org_name: String,
        }
        if file.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let file = file.strip_prefix(b"\xef\xbb\xbf").unwrap_or(file);
        let text: Vec<u8> = file.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let inside = STANDARD.decode(&text).map_err(|_| TokenError::NoToken)?;
        let inside: Inside = serde_json::from_slice(&inside).map_err(|_| TokenError::NoToken)?;
        let ends = date(&inside.exp_date).ok_or(TokenError::NoToken)?;
        if inside.token.expose().is_empty() {
            return Err(TokenError::NoToken);
        }
        let organisation = inside.org_name.chars().filter(|c| !c.is_control()).take(ORGANISATION_CHARS_MAX);
        Ok(Self {
            organisation: organisation.collect(),
            text: Secret::new(String::from_utf8(text).map_err(|_| TokenError::NoToken)?),
            ends,
        })
    }
}

/// A time as Apps and Books writes it (`2030-11-08T22:33:22+0000`).
#[must_use]
pub fn date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, DATE).or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).ok()
}

/// Why a configuration cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigurationError {
    /// Too much.
    #[error("a configuration has at most {CONFIGURATION_BYTES_MAX} bytes")]
    TooLong,
    /// Not an object.
    #[error("a configuration is a JSON object, as {{\"key\": \"value\"}}")]
    NoObject,
    /// What a property list cannot carry.
    #[error(
        "a configuration cannot hold null, numbers beyond 64 bits, control characters, or more than {DEPTH_MAX} levels"
    )]
    NoPropertyList,
}

/// Reads the configuration of an app: a JSON object of what a property list can carry.
///
/// # Errors
/// See [`ConfigurationError`].
pub fn configuration(text: &str) -> Result<Map<String, Value>, ConfigurationError> {
    if text.len() > CONFIGURATION_BYTES_MAX {
        return Err(ConfigurationError::TooLong);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| ConfigurationError::NoObject)?;
    if !can_be_sent(&value, 0) {
        return Err(ConfigurationError::NoPropertyList);
    }
    match value {
        Value::Object(entries) => Ok(entries),
        _ => Err(ConfigurationError::NoObject),
    }
}

fn can_be_sent(value: &Value, depth: usize) -> bool {
    let text = |text: &str| !text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    match value {
        Value::Null => false,
        Value::Bool(_) => true,
        Value::Number(number) => number.is_i64() || number.is_u64() || number.is_f64(),
        Value::String(value) => text(value),
        Value::Array(_) | Value::Object(_) if depth >= DEPTH_MAX => false,
        Value::Array(items) => items.iter().all(|item| can_be_sent(item, depth + 1)),
        // A dollar sign begins what our own JSON of commands uses for bytes and dates.
        Value::Object(entries) => entries.iter().all(|(key, value)| {
            text(key) && !key.starts_with('$') && !key.is_empty() && can_be_sent(value, depth + 1)
        }),
    }
}

/// Longest file that is looked at as a content token; Apple's have some hundred bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Longest configuration of an app.
pub const CONFIGURATION_BYTES_MAX: usize = 32 * 1024;
const ORGANISATION_CHARS_MAX: usize = 200;
const DEPTH_MAX: usize = 10;
const DATE: &[FormatItem<'_>] = format_description!(
    "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory][offset_minute]"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    #[test]
    fn a_content_token_says_whose_it_is_and_when_it_ends() {
        let inside = r#"{"expDate":"2030-11-08T22:33:22+0000","token":"abc","orgName":"Testschule"}"#;
        let file = STANDARD.encode(inside);
        let (begin, end) = file.split_at(20);
        let token = ContentToken::parse(format!("{begin}\r\n{end}\n").as_bytes()).unwrap();
        assert_eq!(token.text.expose(), &file);
        assert_eq!(
            (token.organisation.as_str(), token.ends),
            ("Testschule", datetime!(2030-11-08 22:33:22 UTC))
        );
        assert!(!format!("{token:?}").contains(&file), "a token never reaches a log");
        for bad in ["", "{}", "bm8=", &STANDARD.encode("{}"), &STANDARD.encode(inside.replace("abc", ""))] {
            assert_eq!(ContentToken::parse(bad.as_bytes()), Err(TokenError::NoToken), "{bad}");
        }
        assert_eq!(ContentToken::parse(&[b'A'; 9000]), Err(TokenError::TooLong));
    }

    #[test]
    fn a_configuration_is_an_object_that_a_property_list_can_carry() {
        let good =
            configuration(r#"{"server": "https://a.example", "limit": 3, "list": [1.5, {"a": true}]}"#);
        assert_eq!(good.unwrap().len(), 3);
        let deep = format!("{}1{}", r#"{"a":"#.repeat(12), "}".repeat(12));
        for bad in [r#"{"a": null}"#, r#"{"$data": "AA=="}"#, "{\"a\": \"\\u0000\"}", &deep, r#"{"": 1}"#] {
            assert_eq!(configuration(bad), Err(ConfigurationError::NoPropertyList), "{bad}");
        }
        for bad in ["", "[]", "1", "{"] {
            assert_eq!(configuration(bad), Err(ConfigurationError::NoObject), "{bad}");
        }
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(40_000));
        assert_eq!(configuration(&long), Err(ConfigurationError::TooLong));
    }

    proptest! {
        #[test]
        fn whatever_people_upload_is_refused_in_words(file in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
            let _ = ContentToken::parse(&file);
            let _ = configuration(&text);
            let _ = date(&text);
        }
    }
}
