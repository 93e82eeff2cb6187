//! The profiles that this server signs.

use std::sync::{PoisonError, RwLock};

use time::OffsetDateTime;

use crate::cms::{self, Identity};
use crate::profile::{Enrolment, ProfileError, Scep};
use crate::values::{Blob, HttpsUrl, Label, ManagedAccount, Secret, Topic};
use inventory::UnixMillis;

/// Makes and signs profiles.
pub(crate) struct Profiles {
    school: String,
    topic: RwLock<Option<Topic>>,
    base: String,
    /// The certificate of the school's authority (DER).
    authority: Vec<u8>,
    signer: Identity,
}

/// For whom an enrolment profile is.
pub(crate) struct Profile<'a> {
    /// The enrolment.
    pub(crate) ipad: &'a str,
    /// The password for one certificate.
    pub(crate) challenge: &'a str,
    /// Whether a supervised iPad keeps it against the will of whoever holds it.
    pub(crate) locked: bool,
    /// Who signed in on it, where it enrols by account.
    pub(crate) account: Option<ManagedAccount>,
}

/// Why no profile can be made.
#[derive(Debug, thiserror::Error)]
pub enum ProfilesError {
    /// The topic is not one.
    #[error("the topic {0:?} of [mdm] is not that of a push certificate (com.apple.mgmt.…)")]
    Topic(String),
    /// The school has no name.
    #[error("the school's name in [site] must be a line of text")]
    School,
    /// Our own key is not usable.
    #[error("profiles cannot be signed")]
    Signer(#[from] cms::CmsError),
}

/// A password that nobody guesses; `None` when the system has no randomness.
pub(crate) fn fresh_challenge() -> Option<String> {
    Some(data_encoding::BASE32_NOPAD.encode(&cms::random::<20>().ok()?))
}

impl Profiles {
    /// `certificate` and `key` (DER) sign; `authority` (DER) is what iPads trust our TLS by where nobody else vouches for it.
    pub(crate) fn new(
        school: &str,
        topic: Option<&str>,
        base: &str,
        authority: Vec<u8>,
        (certificate, key): (&[u8], &[u8]),
    ) -> Result<Self, ProfilesError> {
        let topic = topic.map(|topic| topic.parse().map_err(|_| ProfilesError::Topic(topic.to_owned())));
        Ok(Self {
            school: school.chars().take(60).collect(),
            topic: RwLock::new(topic.transpose()?),
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
    pub(crate) fn topic(&self) -> Option<String> {
        self.read_topic().map(|topic| topic.as_str().to_owned())
    }

    /// There is a push certificate for this topic.
    pub(crate) fn use_topic(&self, topic: &str) {
        let Ok(topic) = topic.parse() else { return };
        *self.topic.write().unwrap_or_else(PoisonError::into_inner) = Some(topic);
    }

    fn read_topic(&self) -> Option<Topic> {
        self.topic.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where iPads reach a path of this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// The enrolment profile with a password for one certificate, signed. `None` without a topic.
    pub(crate) fn enrolment(&self, wish: &Profile<'_>, now: UnixMillis) -> Option<Vec<u8>> {
        self.sign(&self.unsigned(wish, self.read_topic()?).ok()?, now)
    }

    fn unsigned(&self, wish: &Profile<'_>, topic: Topic) -> Result<Vec<u8>, ProfileError> {
        let url = |path: &str| -> Result<HttpsUrl, ProfileError> { Ok(self.url(path).parse()?) };
        let enrolment = Enrolment {
            identifier: IDENTIFIER.parse()?,
            organization: self.school.parse()?,
            topic,
            server_url: url("/commands")?,
            check_in_url: url("/checkin")?,
            scep: Scep {
                url: url("/scep")?,
                ca_name: None,
                subject: vec![("O".into(), self.school.clone()), ("CN".into(), wish.ipad.to_owned())],
                challenge: Secret::new(wish.challenge.to_owned()),
                ca_fingerprint: None,
            },
            ca: Blob::from(self.authority.clone()),
            // A pinned iPad would be lost on the day when the school gets a certificate that everybody trusts.
            pin_ca: false,
            capabilities: Vec::new(),
            locked: wish.locked,
            account: wish.account.clone(),
        };
        Ok(enrolment.write()?.xml)
    }
}

/// The same for ever: a renewal replaces the profile only under the same identifier.
pub(crate) const IDENTIFIER: &str = "org.hausmeister.enrolment";
