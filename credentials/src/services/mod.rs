//! What Apple's services hand out, and what a school asks them with: read, checked and made here, kept by the inventory.

pub mod ade;
pub mod push;
#[cfg(test)]
mod tests;

use crate::cms::CmsError;
use crate::x509::{Certificate, X509Error};
use der::Decode as _;
use x509_cert::time::Validity;

/// Why a file of Apple's, or what goes to Apple, cannot be used. The sentences are for the person at the page.
#[derive(Debug, thiserror::Error)]
pub enum ServiceError {
    /// A key, a certificate or a message cannot be used.
    #[error("the file cannot be used: {0}")]
    Message(#[from] CmsError),
    /// A certificate cannot be read.
    #[error("the certificate cannot be read")]
    Certificate(#[from] X509Error),
    /// A key or a request cannot be made.
    #[error("a key or a request cannot be made: {0}")]
    Make(#[from] rcgen::Error),
    /// The certificate is for another key than the one of the request.
    #[error(
        "the certificate belongs to another key; upload the request of this page to Apple, or import the certificate with its key"
    )]
    OtherKey,
    /// There is no key for this certificate.
    #[error(
        "there is no key for this certificate; make a request first, or import the certificate with its key"
    )]
    NoKey,
    /// It is no push certificate for device management.
    #[error("this is no push certificate for device management: it names no topic com.apple.mgmt.…")]
    NoTopic,
    /// The PKCS#12 file does not open.
    #[error("the file does not open with this password")]
    Password,
    /// The token file is something else.
    #[error(
        "this is no server token of Apple School Manager; download the token (.p7m) again and import that file"
    )]
    NoToken,
    /// It is over.
    #[error("it ended already; get a new one from Apple")]
    Over,
}

/// Until when a certificate (DER) holds, seconds since 1970.
///
/// # Errors
/// It cannot be read.
pub fn ends_at(certificate: &[u8]) -> Result<i64, ServiceError> {
    let parsed = Certificate::parse(certificate).map_err(X509Error::from)?;
    let validity = Validity::from_der(parsed.validity).map_err(CmsError::from)?;
    Ok(i64::try_from(validity.not_after.to_unix_duration().as_secs()).unwrap_or(i64::MAX))
}

/// A PEM text.
#[must_use]
pub fn pem_text(label: &str, der: &[u8]) -> String {
    pem::encode_config(
        &pem::Pem::new(label, der),
        pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF),
    )
}

/// What is in the parts of a PEM text, DER; nothing where it is none.
#[must_use]
pub fn pem_contents(text: &str) -> Vec<Vec<u8>> {
    pem::parse_many(text).unwrap_or_default().into_iter().map(pem::Pem::into_contents).collect()
}

/// At most so many bytes has a file that is imported.
pub const FILE_BYTES_MAX: usize = 64 << 10;
