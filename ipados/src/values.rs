//! Values that are parsed once and trusted afterwards.

use crate::catalogue::bundle_like;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The text is not what the place needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{text}” is not {wanted}")]
pub struct ValueError {
    /// The beginning of the text.
    pub text: String,
    /// What the place takes, with an example.
    pub wanted: &'static str,
}

/// A parsed text: the type, its document, the test, and what to tell whoever gave something else.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident: $test:expr, $wanted:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                let test: fn(&str) -> bool = $test;
                if test(&text) {
                    Ok(Self(text))
                } else {
                    Err(ValueError { text: text.chars().take(80).collect(), wanted: $wanted })
                }
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

texts! {
    /// An address that begins with `https://`, at most 2048 bytes.
    HttpsUrl: |text| url_with(text, &["https://"]), "an address such as https://mdm.schule.de/connect";
    /// An address of a page, with or without TLS, at most 2048 bytes.
    WebUrl: |text| url_with(text, &["https://", "http://"]), "an address such as https://schule.de";
    /// A bundle identifier of an app.
    BundleId: bundle_like, "a bundle identifier such as com.apple.calculator";
    /// A Managed Apple Account: a name and a domain, at most 254 bytes (RFC 5321, section 4.5.3.1.3).
    ManagedAccount: is_account, "a Managed Apple Account such as lea@schule.de";
    /// A name that people read: one line of at most 200 bytes.
    Label: |text| !text.trim().is_empty() && text.len() <= 200 && !text.chars().any(char::is_control),
        "a name of one line";
    /// The name of a Wi-Fi network: 1 to 32 bytes (IEEE 802.11, section 9.4.2.2).
    Ssid: |text| (1..=32).contains(&text.len()) && !text.chars().any(char::is_control),
        "the name of a Wi-Fi network of at most 32 bytes";
    /// A host name, possibly with `*` for one of its labels.
    HostName: |text| (1..=253).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'*')),
        "a host name such as radius.schule.de";
    /// The name of a part inside a profile or of a declaration: lower-case letters, digits and hyphens.
    PartName: |text| (1..=40).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
        "a short name of lower-case letters, digits and hyphens";
    /// The identifier of a profile in reversed domain style, at most 128 bytes.
    ProfileId: |text| text.len() <= 128 && text.contains('.') && bundle_like(text),
        "an identifier such as de.schule.mdm.network";
    /// The topic of the push certificate.
    Topic: |text| text.len() <= 200 && text.strip_prefix("com.apple.mgmt.").is_some_and(bundle_like),
        "the topic of an MDM push certificate, which begins with com.apple.mgmt.";
    /// A condition that the device evaluates, in the syntax of NSPredicate:
    /// `(@status(device.model.family) == "iPad")`. Only the device can tell whether it is well formed.
    Predicate: |text| !text.trim().is_empty() && text.len() <= 1000 && !text.chars().any(char::is_control),
        "a condition such as (@status(device.model.family) == \"iPad\")";
}

/// Names of few characters: no service of Apple gives out others, and none of these means anything to HTML.
fn is_account(text: &str) -> bool {
    let Some((name, domain)) = text.rsplit_once('@') else { return false };
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.len() <= 254
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte))
        && domain.contains('.')
        && domain.split('.').all(is_label)
}

fn url_with(text: &str, schemes: &[&str]) -> bool {
    let clean = |rest: &str| {
        !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(|b| b.is_ascii_graphic() && b != b'"')
    };
    text.len() <= 2048 && schemes.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(clean))
}

/// A password or challenge. It is stored and sent like any text, and never shown by `Debug`.
pub type Secret = crate::secret::Secret<String>;

/// Bytes: a certificate, a picture, a fingerprint. Stored as base64, sent as `<data>`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Blob(Vec<u8>);

impl Blob {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Blob {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl TryFrom<String> for Blob {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, base64::DecodeError> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Blob> for String {
    fn from(blob: Blob) -> Self {
        STANDARD.encode(blob.0)
    }
}

impl From<&Blob> for plist::Value {
    fn from(blob: &Blob) -> Self {
        Self::Data(blob.0.clone())
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct Within<const MIN: u16, const MAX: u16>(u16);

impl<const MIN: u16, const MAX: u16> TryFrom<u16> for Within<MIN, MAX> {
    type Error = RangeError;

    fn try_from(value: u16) -> Result<Self, RangeError> {
        if (MIN..=MAX).contains(&value) {
            Ok(Self(value))
        } else {
            Err(RangeError { value, min: MIN, max: MAX })
        }
    }
}

impl<const MIN: u16, const MAX: u16> From<Within<MIN, MAX>> for u16 {
    fn from(value: Within<MIN, MAX>) -> Self {
        value.0
    }
}

/// The number lies outside what Apple allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value} is outside the range from {min} to {max}")]
pub struct RangeError {
    value: u16,
    min: u16,
    max: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_device_can_use_is_parsed() {
        assert!("https://mdm.schule.de:8443/connect".parse::<HttpsUrl>().is_ok());
        for text in
            ["http://mdm.schule.de", "https://", "https:///x", "https://a b", "https://ä.de", "https://a\n"]
        {
            assert!(text.parse::<HttpsUrl>().is_err(), "{text}");
        }
        assert!("http://schule.de".parse::<WebUrl>().is_ok());
        assert!("javascript:alert(1)".parse::<WebUrl>().is_err());
        assert!("com.apple.mgmt.External.1234".parse::<Topic>().is_ok());
        assert!("com.apple.mgmt.".parse::<Topic>().is_err());
        assert!("de.schule.mdm".parse::<ProfileId>().is_ok());
        assert!("mdm".parse::<ProfileId>().is_err());
        assert!("wifi-1".parse::<PartName>().is_ok());
        assert!("Wifi.1".parse::<PartName>().is_err());
        assert!("ä".repeat(17).parse::<Ssid>().is_err());
    }

    #[test]
    fn stored_values_are_parsed_again() {
        assert!(serde_json::from_str::<HttpsUrl>("\"http://mdm.schule.de\"").is_err());
        assert!(serde_json::from_str::<Within<0, 16>>("17").is_err());
        assert_eq!(serde_json::to_string(&Within::<0, 16>::try_from(6).unwrap()).unwrap(), "6");
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new("geheim".to_owned())), "Secret");
    }
}
