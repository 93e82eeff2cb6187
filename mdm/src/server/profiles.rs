//! The profiles that this server signs.

use time::OffsetDateTime;

use crate::cms::{self, Identity};
use crate::profile::{Enrolment, ProfileError, Scep, ServerCapability};
use crate::values::{Blob, HttpsUrl, Label, Secret, Topic};
use inventory::UnixMillis;

/// Makes and signs profiles.
pub(crate) struct Profiles {
    school: String,
    topic: Topic,
    base: String,
    /// The certificate of the school's authority (DER).
    authority: Vec<u8>,
    signer: Identity,
}

/// Why no profile can be made.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// The topic is not one.
    #[error(
        "the topic {0:?} is not that of a push certificate (com.apple.mgmt.…); import one, or set `topic` in [mdm]"
    )]
    Topic(String),
    /// The school has no name.
    #[error("the school's name in [site] must be a line of text")]
    School,
    /// Our own key is not usable.
    #[error("profiles cannot be signed")]
    Signer(#[from] cms::CmsError),
}

impl Profiles {
    /// `certificate` and `key` (DER) sign; `authority` (DER) is what iPads trust our TLS by where nobody else vouches for it.
    pub(crate) fn new(
        school: &str,
        topic: &str,
        base: &str,
        authority: Vec<u8>,
        (certificate, key): (&[u8], &[u8]),
    ) -> Result<Self, ProfilesError> {
        Ok(Self {
            school: school.chars().take(60).collect(),
            topic: topic.parse().map_err(|_| ProfilesError::Topic(topic.to_owned()))?,
            base: base.to_owned(),
            authority,
            signer: Identity::new(certificate, key)?,
        })
    }

    /// What the school is called, as profiles name it.
    pub(crate) fn organization(&self) -> Result<Label, ProfilesError> {
        self.school.parse().map_err(|_| ProfilesError::School)
    }

    /// Signs a profile.
    pub(crate) fn sign(&self, document: &[u8], now: UnixMillis) -> Option<Vec<u8>> {
        let now = OffsetDateTime::from_unix_timestamp(now.0 / 1000).ok()?;
        cms::sign(document, &self.signer, &[], now).ok()
    }

    /// What the school is called.
    pub(crate) fn school(&self) -> &str {
        &self.school
    }

    /// The topic of the push certificate.
    pub(crate) fn topic(&self) -> &str {
        self.topic.as_str()
    }

    /// The enrolment profile with a password for one certificate, signed.
    pub(crate) fn enrolment(&self, ipad: &str, challenge: &str, now: UnixMillis) -> Option<Vec<u8>> {
        self.sign(&self.unsigned(ipad, challenge).ok()?, now)
    }

    fn unsigned(&self, ipad: &str, challenge: &str) -> Result<Vec<u8>, ProfileError> {
        let url =
            |path: &str| -> Result<HttpsUrl, ProfileError> { Ok(format!("{}{path}", self.base).parse()?) };
        let enrolment = Enrolment {
            identifier: IDENTIFIER.parse()?,
            organization: self.school.parse()?,
            topic: self.topic.clone(),
            server_url: url("/commands")?,
            check_in_url: url("/checkin")?,
            scep: Scep {
                url: url("/scep")?,
                ca_name: None,
                subject: vec![("O".into(), self.school.clone()), ("CN".into(), ipad.to_owned())],
                challenge: Secret::new(challenge.to_owned()),
                ca_fingerprint: None,
            },
            ca: Blob::from(self.authority.clone()),
            // A pinned iPad would be lost on the day when the school gets a certificate that everybody trusts.
            pin_ca: false,
            capabilities: vec![ServerCapability::PerUserConnections],
            locked: false,
        };
        Ok(enrolment.write()?.xml)
    }
}

/// The same for ever: a renewal replaces the profile only under the same identifier.
const IDENTIFIER: &str = "org.hausmeister.enrolment";
