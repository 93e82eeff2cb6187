//! The section `[deployd.upstream]` of the configuration.

use std::path::PathBuf;

use ed25519_dalek::VerifyingKey;
use jiff::civil::Time;
use serde::Deserialize;

use super::pace::Window;
use super::place::Place;

/// Whose images are fetched, from where, when and how fast.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// `https://…`, `s3://bucket/prefix` or `file:///folder`.
    pub url: Place,
    /// The publisher's key, as `hausmeister image publish` shows it.
    pub key: PublisherKey,
    /// File (PEM) with the certificates that the server of `url` may be signed by. When absent, those of the usual
    /// authorities.
    pub ca: Option<PathBuf>,
    /// File with access to S3.
    pub credentials: Option<PathBuf>,
    /// How much of the line may be used. When absent, all of it.
    pub mbit_per_s: Option<Rate>,
    /// From when on, local time. When absent, always.
    pub from: Option<Time>,
    /// Until when.
    pub until: Option<Time>,
    /// Names of the images to follow; `*` stands for all.
    #[serde(default = "all_images")]
    pub images: Vec<String>,
}

fn all_images() -> Vec<String> {
    vec!["*".into()]
}

impl Upstream {
    pub(super) fn window(&self) -> Option<Window> {
        let midnight = Time::midnight();
        (self.from.is_some() || self.until.is_some())
            .then(|| Window { from: self.from.unwrap_or(midnight), until: self.until.unwrap_or(midnight) })
    }
}

/// An Ed25519 key, 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PublisherKey(pub(super) VerifyingKey);

impl TryFrom<String> for PublisherKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bytes: Option<images::chunk::Hash> = text.to_ascii_lowercase().parse().ok();
        let key = bytes.and_then(|bytes| VerifyingKey::from_bytes(bytes.as_bytes()).ok());
        key.map(Self).ok_or_else(|| {
            "key must be the 64 hexadecimal digits that `hausmeister image publish` shows".to_owned()
        })
    }
}

/// How fast, given in megabits per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Rate {
    /// In bytes.
    pub bytes_per_second: u64,
}

impl TryFrom<f64> for Rate {
    type Error = String;

    fn try_from(mbit: f64) -> Result<Self, String> {
        if !(0.1..=100_000.0).contains(&mbit) {
            return Err("mbit_per_s must be between 0.1 and 100000".into());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        Ok(Self { bytes_per_second: (mbit * 125_000.0) as u64 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";

    fn section(text: &str) -> Result<Upstream, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_school_behind_a_thin_line() {
        let upstream = section(&format!(
            "url = 's3://stadt/images'\nkey = '{KEY}'\ncredentials = '/etc/x'\nmbit_per_s = 2.5\nfrom = '20:00'\nuntil = '05:30'\nimages = ['Debian 12']"
        ));
        let upstream = upstream.unwrap();
        assert_eq!(upstream.mbit_per_s.unwrap().bytes_per_second, 312_500);
        assert!(upstream.window().unwrap().is_open("23:00".parse().unwrap()));
        assert!(!upstream.window().unwrap().is_open("12:00".parse().unwrap()));
        let plain = section(&format!("url = 'https://images.example/x'\nkey = '{KEY}'")).unwrap();
        assert_eq!((plain.window(), plain.images), (None, vec!["*".to_owned()]));
        // A whole number is a rate as well.
        assert!(section(&format!("url = 'https://a.example'\nkey = '{KEY}'\nmbit_per_s = 4")).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let key = format!("key = '{KEY}'\n");
        for (text, named) in [
            ("url = 'https://a.example'".to_owned(), "key"),
            ("url = 'https://a.example'\nkey = '12'".to_owned(), "64 hexadecimal digits"),
            (format!("{key}url = 'ftp://a'"), "https://"),
            (format!("{key}url = 'https://name:secret@a.example/'"), "credentials"),
            (format!("{key}url = 's3://'"), "bucket"),
            (format!("{key}url = 'https://a.example'\nmbit_per_s = 0"), "mbit_per_s"),
            (format!("{key}url = 'https://a.example'\nfrom = '25:00'"), "from"),
        ] {
            let error = section(&text).unwrap_err();
            assert!(error.contains(named), "{text}: {error}");
        }
    }
}
