//! Enrolment in the setup assistant: an iPad shows who made it, and waits until it is let go.

use mdm::ca::{DeviceCa, KeyKind, Subject, fresh_serial};
use mdm::cms::{self, Identity, RsaKey};
use plist::{Dictionary, Value};
use time::OffsetDateTime;

use crate::enrol::{EnrolError, Way};
use crate::{Facts, Ipad, Trust};

/// Who makes iPads: the authority whose certificates they are born with. Apple's, or one that stands for it.
pub struct Maker(DeviceCa);

impl Maker {
    /// One that a server has to be told to believe.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn new() -> Result<Self, EnrolError> {
        let ca = DeviceCa::generate("Apple, simulated", KeyKind::P256, OffsetDateTime::now_utc());
        ca.map(Self).map_err(|error| EnrolError::Certificate(error.to_string()))
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        self.0.certificate()
    }

    /// What an iPad sends before it gets the enrolment profile: `MachineInfo`, signed with the key that it was made with.
    /// <https://developer.apple.com/documentation/devicemanagement/machineinfo>
    ///
    /// # Errors
    /// A key or a certificate cannot be made.
    pub fn machine_info(&self, facts: &Facts) -> Result<Vec<u8>, EnrolError> {
        let failed = |error: &dyn std::error::Error| EnrolError::Certificate(error.to_string());
        let (key, now) = (RsaKey::generate().map_err(|error| failed(&error))?, OffsetDateTime::now_utc());
        let subject = Subject { enrolment: &facts.udid, device_serial: None, organisation: "" };
        let serial = fresh_serial().map_err(|error| failed(&error))?;
        let life = time::Duration::days(365);
        let certificate = self
            .0
            .issue(key.public_key(), &subject, &serial, now - life, now + life)
            .map_err(|error| failed(&error))?;
        let identity = Identity::with_rsa(&certificate, key).map_err(|error| failed(&error))?;
        let mut info = Dictionary::new();
        let mut say = |key: &str, value: Value| info.insert(key.into(), value);
        say("UDID", facts.udid.clone().into());
        say("SERIAL", facts.serial.clone().into());
        say("PRODUCT", facts.product.clone().into());
        say("VERSION", "22B83".into());
        say("OS_VERSION", facts.os_version.clone().into());
        say("LANGUAGE", "de".into());
        say("MDM_CAN_REQUEST_PSSO_CONFIG", false.into());
        say("MDM_CAN_REQUEST_SOFTWARE_UPDATE", true.into());
        let mut xml = Vec::new();
        Value::Dictionary(info)
            .to_writer_xml(&mut xml)
            .map_err(|_| EnrolError::Profile("our own machine information"))?;
        cms::sign(&xml, &identity, &[], now).map_err(|error| failed(&error))
    }
}

impl Ipad {
    /// Enrols in the setup assistant, where the iPad then waits: `state.awaiting`.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub fn enrol_ade(url: &str, facts: Facts, trust: &Trust, maker: &Maker) -> Result<Self, EnrolError> {
        let key = RsaKey::generate().map_err(|_| EnrolError::Profile("no key can be made"))?;
        let message = maker.machine_info(&facts)?;
        let profile = trust.post(url, "application/pkcs7-signature", &message)?;
        Self::with_profile(&profile, facts, trust, key, Way::SetupAssistant)
    }
}
