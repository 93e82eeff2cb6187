//! Automated Device Enrolment: the server token, how requests are signed with it, and what an iPad is told to show.
//!
//! | Standard | What is done here                                                                                 |
//! |----------|---------------------------------------------------------------------------------------------------|
//! | RFC 5849 | OAuth 1.0 with HMAC-SHA1, for the one request that opens a session                                  |
//! | RFC 8551 | the token file: an S/MIME message, enveloped for the certificate that was uploaded                  |
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/device_assignment>.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use zeroize::Zeroizing;

use super::{FILE_BYTES_MAX, ServiceError, pem_text};
use crate::cms::{self, Identity, RsaKey, SingleDes};

/// A key that Apple encrypts the server token for.
pub struct TokenKey {
    /// The key, PEM (PKCS#8). A secret.
    pub key: Zeroizing<String>,
    /// Its certificate, PEM, for the upload. Public.
    pub certificate: String,
}

/// Makes a key and a certificate for it. Apple looks at nothing in it but the key.
///
/// # Errors
/// The system has no randomness.
pub fn token_key(school: &str, now: OffsetDateTime) -> Result<TokenKey, ServiceError> {
    let pkcs8 = RsaKey::generate()?.to_pkcs8()?;
    let key = KeyPair::try_from(pkcs8.as_slice())?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Hausmeister");
    params.distinguished_name.push(DnType::OrganizationName, school.chars().take(64).collect::<String>());
    (params.not_before, params.not_after) = (now - time::Duration::DAY, now + time::Duration::days(KEY_DAYS));
    let certificate = params.self_signed(&key)?;
    Ok(TokenKey {
        key: Zeroizing::new(pem_text("PRIVATE KEY", &pkcs8)),
        certificate: pem_text("CERTIFICATE", certificate.der()),
    })
}

/// The server token: four words that open a session. A secret; what is sealed and kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerToken {
    /// Who we are.
    pub consumer_key: String,
    /// Its password.
    pub consumer_secret: String,
    /// For which server of the school.
    pub access_token: String,
    /// Its password.
    pub access_secret: String,
    /// Until when, RFC 3339.
    pub access_token_expiry: String,
}

impl std::fmt::Debug for ServerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerToken").field("until", &self.access_token_expiry).finish_non_exhaustive()
    }
}

impl ServerToken {
    /// Opens a token file with the key (PEM) and the certificate (PEM) that was uploaded. `now` in seconds since 1970.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn open(file: &[u8], key: &str, certificate: &str, now: i64) -> Result<Self, ServiceError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(ServiceError::NoToken);
        }
        let (identity, _) = Identity::from_pem(&Zeroizing::new(format!("{key}{certificate}")))?;
        let opened = cms::open(&enveloped(file)?, &identity, SingleDes::Refused)?;
        let text = std::str::from_utf8(&opened.content).map_err(|_| ServiceError::NoToken)?;
        let token: Self = serde_json::from_str(message(text)).map_err(|_| ServiceError::NoToken)?;
        if token.ends_at()? <= now { Err(ServiceError::Over) } else { Ok(token) }
    }

    /// Until when, seconds since 1970.
    ///
    /// # Errors
    /// It is no time.
    pub fn ends_at(&self) -> Result<i64, ServiceError> {
        let at = OffsetDateTime::parse(&self.access_token_expiry, &Rfc3339);
        at.map(OffsetDateTime::unix_timestamp).map_err(|_| ServiceError::NoToken)
    }

    /// The header `Authorization` of `GET url` (RFC 5849 section 3). A nonce is used once; `now` in seconds since 1970.
    #[must_use]
    pub fn authorization(&self, url: &str, nonce: &str, now: i64) -> String {
        let timestamp = now.to_string();
        // Sorted by name, as section 3.4.1.3.2 wants them.
        let fields = [
            ("oauth_consumer_key", self.consumer_key.as_str()),
            ("oauth_nonce", nonce),
            ("oauth_signature_method", "HMAC-SHA1"),
            ("oauth_timestamp", &timestamp),
            ("oauth_token", &self.access_token),
            ("oauth_version", "1.0"),
        ];
        let pairs: Vec<String> =
            fields.iter().map(|(key, value)| format!("{key}={}", encoded(value))).collect();
        let base = format!("GET&{}&{}", encoded(url), encoded(&pairs.join("&")));
        let secret = format!("{}&{}", encoded(&self.consumer_secret), encoded(&self.access_secret));
        let secret = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let signature = STANDARD.encode(hmac::sign(&secret, base.as_bytes()));
        let quoted: Vec<String> =
            fields.iter().map(|(key, value)| format!("{key}=\"{}\"", encoded(value))).collect();
        format!("OAuth {}, oauth_signature=\"{}\"", quoted.join(", "), encoded(&signature))
    }
}

/// The CMS message in a token file: S/MIME with base64, or the bare message.
fn enveloped(file: &[u8]) -> Result<Vec<u8>, ServiceError> {
    if file.first() == Some(&0x30) {
        return Ok(file.to_vec());
    }
    let text = std::str::from_utf8(file).map_err(|_| ServiceError::NoToken)?.replace("\r\n", "\n");
    let body = text.split_once("\n\n").map_or(text.as_str(), |(_, body)| body);
    let body: String = body.split_ascii_whitespace().collect();
    STANDARD.decode(body).map_err(|_| ServiceError::NoToken)
}

/// What stands between the lines that mark a token.
fn message(text: &str) -> &str {
    let begin = text.split_once("-----BEGIN MESSAGE-----").map_or(text, |(_, rest)| rest);
    begin.split_once("-----END MESSAGE-----").map_or(begin, |(json, _)| json).trim()
}

/// The profile of automated enrolment for a school's iPads: supervised, held in the setup assistant until all is there, not to be taken off,
/// and no question on the way that a pupil should not be asked.
/// <https://developer.apple.com/documentation/devicemanagement/profile>
#[must_use]
pub fn school_profile(school: &str, url: &str, anchors: &[Vec<u8>]) -> Value {
    let anchors: Vec<String> = anchors.iter().map(|der| STANDARD.encode(der)).collect();
    json!({
        "profile_name": format!("Hausmeister {school}").chars().take(NAME_CHARS_MAX).collect::<String>(),
        "url": url,
        "is_supervised": true,
        "is_mandatory": true,
        "is_mdm_removable": false,
        "await_device_configured": true,
        "allow_pairing": true,
        "department": school.chars().take(NAME_CHARS_MAX).collect::<String>(),
        "org_magic": "hausmeister",
        "language": "de",
        "region": "DE",
        "skip_setup_items": SKIPPED,
        "anchor_certs": anchors,
        "devices": [],
    })
}

/// RFC 5849 section 3.6.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Accounts, payment, voice, and everything that asks a pupil for data. Language, region and the network are asked.
/// <https://developer.apple.com/documentation/devicemanagement/skipkeys>
pub const SKIPPED: &[&str] = &[
    "ActionButton",
    "Android",
    "AppleID",
    "AppStore",
    "Biometric",
    "CameraButton",
    "DeviceToDeviceMigration",
    "Diagnostics",
    "DisplayTone",
    "EnableLockdownMode",
    "HomeButtonSensitivity",
    "iMessageAndFaceTime",
    "Intelligence",
    "Keyboard",
    "Location",
    "MessagingActivationUsingPhoneNumber",
    "OnBoarding",
    "Passcode",
    "Payment",
    "Privacy",
    "Restore",
    "RestoreCompleted",
    "Safety",
    "ScreenSaver",
    "ScreenTime",
    "SIMSetup",
    "Siri",
    "SoftwareUpdate",
    "SpokenLanguage",
    "TapToSetup",
    "TermsOfAddress",
    "TOS",
    "UpdateCompleted",
    "WatchMigration",
    "Welcome",
    "Zoom",
];
/// Longer than any school keeps a token without renewing it; the key stays the same from token to token.
const KEY_DAYS: i64 = 3650;
/// Apple: at most 125 characters.
const NAME_CHARS_MAX: usize = 125;
