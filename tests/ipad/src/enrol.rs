//! From a link to an iPad under management.

use std::sync::Arc;

use mdm::cms::{self, Cipher, Identity, RsaKey};
use mdm::scep::client::{Algorithms, Answer, Enrolment, ra_certificate};
use mdm::x509::Digest;
use plist::{Dictionary, Value};
use rand::RngCore as _;
use time::OffsetDateTime;

use crate::{Facts, HttpError, Ipad, State, Trust};

/// Why an enrolment failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The server is not reached, or refuses.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The profile is not signed, or not as it should be.
    #[error("the enrolment profile cannot be used: {0}")]
    Profile(&'static str),
    /// No certificate was issued.
    #[error("the server issued no certificate: {0}")]
    Certificate(String),
}

/// What an enrolment profile says.
struct Wishes {
    scep_url: String,
    challenge: String,
    topic: String,
    check_in_url: String,
    server_url: String,
    account: Option<String>,
}

impl Ipad {
    /// Opens an enrolment link and does everything up to the first session.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn enrol(link: &str, facts: Facts, trust: &Trust) -> Result<Self, EnrolError> {
        let key = RsaKey::generate().map_err(|_| EnrolError::Profile("no key can be made"))?;
        Self::enrol_with(link, facts, trust, key)
    }

    /// The same with a key that was made before: making one takes a tenth of a second.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn enrol_with(link: &str, facts: Facts, trust: &Trust, key: RsaKey) -> Result<Self, EnrolError> {
        Self::with_profile(&trust.get(link)?, facts, trust, key, Way::Link)
    }

    /// Everything from the enrolment profile on.
    pub(crate) fn with_profile(
        profile: &[u8],
        facts: Facts,
        trust: &Trust,
        key: RsaKey,
        way: Way<'_>,
    ) -> Result<Self, EnrolError> {
        let wishes = wishes(profile)?;
        let (awaiting, account) = match way {
            Way::Link => (false, None),
            Way::SetupAssistant => (true, None),
            Way::Account(account) => (false, Some(account.to_owned())),
        };
        if wishes.account != account {
            return Err(EnrolError::Profile("it is not for the account that signed in"));
        }
        let pkcs8 = key.to_pkcs8().map_err(|_| EnrolError::Profile("the key cannot be kept"))?;
        let certificate = certify(trust, &wishes.scep_url, key, &wishes.challenge)?;
        let identity = Identity::new(&certificate, &pkcs8)
            .map_err(|error| EnrolError::Certificate(error.to_string()))?;
        let mut push_token = [0; 32];
        rand::rng().fill_bytes(&mut push_token);
        let ipad = Self {
            facts,
            state: State { passcode: true, awaiting, ..State::default() },
            busy: false,
            store: crate::Store::default(),
            trust: trust.of(&certificate, &pkcs8)?,
            identity: Arc::new(identity),
            topic: wishes.topic,
            check_in_url: wishes.check_in_url,
            server_url: wishes.server_url,
            scep_url: wishes.scep_url,
            account,
            push_token,
            push_magic: uuid::Uuid::new_v4().to_string(),
            asked: None,
        };
        ipad.authenticate()?;
        ipad.update_token()?;
        Ok(ipad)
    }

    /// Says who it is (`Authenticate`).
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn authenticate(&self) -> Result<(), HttpError> {
        let Facts { serial, product, os_version, .. } = &self.facts;
        let fields = [
            ("Topic", self.topic.clone().into()),
            ("SerialNumber", serial.clone().into()),
            ("ProductName", product.clone().into()),
            ("OSVersion", os_version.clone().into()),
            ("BuildVersion", "22B83".into()),
            ("DeviceName", "iPad".into()),
            ("Model", "MPQ03FD".into()),
            ("ModelName", "iPad".into()),
        ];
        self.check_in("Authenticate", fields).map(|_| ())
    }

    /// Says how it is reached (`TokenUpdate`).
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn update_token(&self) -> Result<(), HttpError> {
        let fields = [
            ("Topic", self.topic.clone().into()),
            ("Token", Value::Data(self.push_token.to_vec())),
            ("PushMagic", self.push_magic.clone().into()),
            ("UnlockToken", Value::Data(b"unlock token of a simulated iPad".to_vec())),
            ("AwaitingConfiguration", self.state.awaiting.into()),
        ];
        self.check_in("TokenUpdate", fields).map(|_| ())
    }

    /// Gets another certificate for a new key, signed with the present one, and uses it from here on.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn renew(&mut self) -> Result<(), EnrolError> {
        let failed = |error: &dyn std::error::Error| EnrolError::Certificate(error.to_string());
        let key = RsaKey::generate().map_err(|error| failed(&error))?;
        let ra = authority(&self.trust, &self.scep_url)?;
        let (request, message) = Enrolment::renewal(Arc::clone(&self.identity), &key, &ra, ALGORITHMS)
            .map_err(|error| failed(&error))?;
        let certificate = exchange(&self.trust, &self.scep_url, &request, &message, &ra)?;
        let pkcs8 = key.to_pkcs8().map_err(|error| failed(&error))?;
        self.identify(&certificate, &pkcs8)
    }
}

impl Ipad {
    /// Takes the enrolment profile again: the password in it is for a new key.
    pub(crate) fn enrol_again(&mut self, profile: &[u8]) -> Result<(), EnrolError> {
        let wishes = wishes(profile)?;
        if (&wishes.topic, &wishes.server_url, &wishes.account)
            != (&self.topic, &self.server_url, &self.account)
        {
            return Err(EnrolError::Profile("it is another server's"));
        }
        let failed = |error: &dyn std::error::Error| EnrolError::Certificate(error.to_string());
        let key = RsaKey::generate().map_err(|error| failed(&error))?;
        let pkcs8 = key.to_pkcs8().map_err(|error| failed(&error))?;
        let certificate = certify(&self.trust, &wishes.scep_url, key, &wishes.challenge)?;
        self.identify(&certificate, &pkcs8)
    }

    /// From here on it is known by this certificate.
    fn identify(&mut self, certificate: &[u8], pkcs8: &[u8]) -> Result<(), EnrolError> {
        let identity =
            Identity::new(certificate, pkcs8).map_err(|error| EnrolError::Certificate(error.to_string()))?;
        (self.asked, self.identity) = (None, Arc::new(identity));
        self.trust = self.trust.of(certificate, pkcs8)?;
        Ok(())
    }
}

/// The certificate for a key and a challenge.
pub(crate) fn certify(trust: &Trust, url: &str, key: RsaKey, challenge: &str) -> Result<Vec<u8>, EnrolError> {
    let ra = authority(trust, url)?;
    let (request, message) = Enrolment::initial(key, challenge, &ra, OffsetDateTime::now_utc(), ALGORITHMS)
        .map_err(|error| EnrolError::Certificate(error.to_string()))?;
    exchange(trust, url, &request, &message, &ra)
}

fn authority(trust: &Trust, url: &str) -> Result<Vec<u8>, EnrolError> {
    let body = trust.get(&format!("{url}?operation=GetCACert"))?;
    ra_certificate("application/x-x509-ca-ra-cert", &body)
        .map_err(|error| EnrolError::Certificate(error.to_string()))
}

fn exchange(
    trust: &Trust,
    url: &str,
    request: &Enrolment,
    message: &[u8],
    ra: &[u8],
) -> Result<Vec<u8>, EnrolError> {
    let answer = trust.post(&format!("{url}?operation=PKIOperation"), mdm::scep::MEDIA_TYPE, message)?;
    match request.read(&answer, ra).map_err(|error| EnrolError::Certificate(error.to_string()))? {
        Answer::Granted(certificate) => Ok(certificate),
        Answer::Refused(why) => Err(EnrolError::Certificate(format!("{why:?}"))),
    }
}

/// Takes a signed enrolment profile apart.
fn wishes(signed: &[u8]) -> Result<Wishes, EnrolError> {
    let (profile, _) = cms::verify(signed).map_err(|_| EnrolError::Profile("its signature is wrong"))?;
    let profile = Value::from_reader_xml(profile.as_slice())
        .map_err(|_| EnrolError::Profile("it is no property list"))?;
    let payloads = profile.as_dictionary().and_then(|it| it.get("PayloadContent")).and_then(Value::as_array);
    let payloads = payloads.ok_or(EnrolError::Profile("it has no payloads"))?;
    let of_type = |kind: &str| {
        let is = |it: &&Dictionary| it.get("PayloadType").and_then(Value::as_string) == Some(kind);
        payloads.iter().filter_map(Value::as_dictionary).find(is)
    };
    let scep = of_type("com.apple.security.scep")
        .and_then(|it| it.get("PayloadContent"))
        .and_then(Value::as_dictionary);
    let (Some(scep), Some(mdm)) = (scep, of_type("com.apple.mdm")) else {
        return Err(EnrolError::Profile("it lacks SCEP or MDM"));
    };
    let text = |from: &Dictionary, key: &str| {
        let value = from.get(key).and_then(Value::as_string);
        value.map(str::to_owned).ok_or(EnrolError::Profile("a key is missing"))
    };
    Ok(Wishes {
        scep_url: text(scep, "URL")?,
        challenge: text(scep, "Challenge")?,
        topic: text(mdm, "Topic")?,
        check_in_url: text(mdm, "CheckInURL")?,
        server_url: text(mdm, "ServerURL")?,
        account: match mdm.get("EnrollmentMode").and_then(Value::as_string) {
            None => None,
            Some("ADDE") => Some(text(mdm, "AssignedManagedAppleID")?),
            Some(_) => return Err(EnrolError::Profile("its mode is unknown")),
        },
    })
}

/// How an iPad comes to its enrolment profile.
#[derive(Clone, Copy)]
pub(crate) enum Way<'a> {
    /// Somebody opened a link.
    Link,
    /// It waits in the setup assistant until it is let go.
    SetupAssistant,
    /// Somebody signed in with this account.
    Account(&'a str),
}

/// What iPadOS uses where the server says that it knows them.
const ALGORITHMS: Algorithms = Algorithms { cipher: Cipher::Aes128, digest: Digest::Sha256 };
