//! What an iPad in the setup assistant says of itself before it gets the enrolment profile, signed with the key that it was made with.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/machineinfo>.

use credentials::cms::{self, CmsError};
use credentials::x509::{X509Error, chains_to};

use crate::document::{self, DocumentError};
use crate::fields::{FieldError, Fields, Required as _};
use crate::os::OsVersion;

/// An iPad at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MachineInfo {
    /// Serial number.
    pub(crate) serial: String,
    /// Model, as Apple names it (`iPad13,18`).
    pub(crate) product: String,
    /// Version of its system; iPadOS 17 and later say it.
    pub(crate) os_version: Option<OsVersion>,
    /// Whether it can be told to update before it enrols.
    pub(crate) can_update: bool,
}

/// Why an iPad is not believed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MachineError {
    /// The message is not signed, or not as it should be.
    #[error("the machine information is not signed as it should be")]
    Signature(#[from] CmsError),
    /// Not Apple vouches for who signed it.
    #[error("the machine information is not by a device of Apple")]
    Authority(#[from] X509Error),
    /// It is no property list.
    #[error("the machine information is no property list")]
    Document(#[from] DocumentError),
    /// Something is missing.
    #[error("the machine information makes no sense: {0}")]
    Field(#[from] FieldError),
}

impl MachineInfo {
    /// Verifies a message and reads it. `anchors` are authorities (DER) of devices. Validity dates are not looked at: Apple's own authority
    /// of devices ended in 2014 and still issues.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub(crate) fn read(message: &[u8], anchors: &[Vec<u8>]) -> Result<Self, MachineError> {
        let content = signed_by_a_device(message, anchors)?;
        let value = document::parse_value(&content, BYTES_MAX)?;
        let expected = FieldError::Unfit { key: "MachineInfo", expected: "a dictionary" };
        let mut fields = Fields::new(value).ok_or(expected)?;
        let serial = fields.text("SERIAL")?.required("SERIAL")?;
        let is_serial = serial.len() <= 32 && serial.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_serial {
            return Err(FieldError::Unfit { key: "SERIAL", expected: "letters and digits" }.into());
        }
        Ok(Self {
            serial,
            product: fields.text("PRODUCT")?.unwrap_or_default().chars().take(64).collect(),
            os_version: fields.text("OS_VERSION")?.and_then(|version| version.parse().ok()),
            can_update: fields.boolean("MDM_CAN_REQUEST_SOFTWARE_UPDATE")?.unwrap_or(false),
        })
    }

    /// The version that it has to be updated to first.
    #[must_use]
    pub(crate) fn must_update_to(&self, least: Option<OsVersion>) -> Option<OsVersion> {
        least.filter(|least| self.can_update && self.os_version.is_some_and(|version| version < *least))
    }
}

/// What a device says, if one of `anchors` vouches for it.
///
/// # Errors
/// The message is not signed, or not by such a device.
pub(crate) fn signed_by_a_device(message: &[u8], anchors: &[Vec<u8>]) -> Result<Vec<u8>, MachineError> {
    let (content, signer) = cms::verify(message)?;
    chains_to(&signer.certificate, &signer.others, anchors)?;
    Ok(content)
}

/// A message has 3 kB with its chain.
const BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cms_tests::vector;

    #[test]
    fn a_real_device_is_believed_and_only_apples() {
        let Some(message) = vector("ota2") else { return };
        let apple: Vec<Vec<u8>> = super::super::apple_device_authorities();
        let info = MachineInfo::read(&message, &apple).unwrap();
        assert!(!info.serial.is_empty() && !info.product.is_empty(), "{info:?}");
        assert!(matches!(MachineInfo::read(&message, &[]), Err(MachineError::Authority(_))));
        let mut damaged = message.clone();
        let middle = damaged.len() / 3;
        damaged[middle] ^= 1;
        assert!(MachineInfo::read(&damaged, &apple).is_err());
    }

    #[test]
    fn only_who_can_update_is_told_to() {
        let info = |version: &str, can_update| MachineInfo {
            serial: "A".into(),
            product: "iPad13,18".into(),
            os_version: version.parse().ok(),
            can_update,
        };
        let least = Some(OsVersion::new(18, 0, 0));
        assert_eq!(info("17.7", true).must_update_to(least), least);
        for (has, can) in [("18.0", true), ("26.1", true), ("17.7", false), ("", true)] {
            assert_eq!(info(has, can).must_update_to(least), None, "{has} {can}");
        }
        assert_eq!(info("17.7", true).must_update_to(None), None);
    }
}
