//! SCEP: how a device gets its certificate.
//!
//! | Standard          | What is done here                                                                              |
//! |-------------------|-------------------------------------------------------------------------------------------------|
//! | RFC 8894 2.2      | the challenge password is handed to the caller, who compares it                                   |
//! | RFC 8894 3.1, 3.2 | PKCSReq, RenewalReq and CertRep, enveloped and signed                                             |
//! | RFC 8894 3.5, 4.2 | GetCACaps; GetCACert with RA and CA, or with the one certificate where they are the same           |
//! | RFC 2986, 2985    | the certification request: its signature is verified, its key and its challenge password are taken |
//!
//! Not done: polling (nothing is ever PENDING), GetCert, GetCRL, GetNextCACert. Subject, alternative names and usages of the
//! request are ignored: what a certificate says is decided by the server, not by who asks for it.
//!
//! Nothing here does I/O. [`Server`] reads a message and writes the answer; between the two the caller decides.
//! [`client`] is the other half, for the simulated iPad of the tests.

pub mod client;
mod server;
#[cfg(test)]
mod tests;

pub use server::{CaCertificates, Challenge, Kind, Rejection, Request, Server, Transaction, decode_get};

use const_oid::ObjectIdentifier;

use crate::cms::CmsError;

/// Why a SCEP message cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ScepError {
    /// The message is longer than any request.
    #[error("the SCEP message has {0} bytes; at most {MESSAGE_BYTES_MAX} are read")]
    TooLong(usize),
    /// The query parameter `message` is no base64.
    #[error("the parameter `message` is no base64")]
    Base64,
    /// The outer, signed message is not usable.
    #[error("SCEP: {0}")]
    Message(#[from] CmsError),
    /// A signed attribute that every message must have.
    #[error("the SCEP message has no usable attribute {0}")]
    Attribute(&'static str),
    /// A message type that is not served.
    #[error("SCEP messages of type {0:?} are not served; only PKCSReq (19) and RenewalReq (17) are")]
    Kind(String),
    /// What is inside cannot be decrypted, read or verified. One error for all, so that senders learn nothing from it.
    #[error(
        "the request inside the SCEP message cannot be read; the client must fetch the CA certificates again"
    )]
    Unreadable,
    /// The key of the request, or of its signer, is not accepted.
    #[error(
        "the request is not for an RSA key of 2048 to 8192 bits, or not signed with one; set Keysize 2048 in the SCEP payload"
    )]
    Key,
    /// An answer is not for this transaction.
    #[error("the answer belongs to another transaction")]
    OtherTransaction,
    /// A request cannot be made.
    #[error("the certification request cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// Why a request is refused, as the client is told (RFC 8894 section 3.2.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailInfo {
    /// An algorithm or key that is not accepted.
    BadAlg,
    /// The message cannot be read.
    BadMessageCheck,
    /// The request is not permitted: wrong challenge, wrong certificate, another message type.
    BadRequest,
    /// The time in the message is too far off.
    BadTime,
    /// No such certificate.
    BadCertId,
}

impl FailInfo {
    const ALL: [(Self, &'static str); 5] = [
        (Self::BadAlg, "0"),
        (Self::BadMessageCheck, "1"),
        (Self::BadRequest, "2"),
        (Self::BadTime, "3"),
        (Self::BadCertId, "4"),
    ];

    fn code(self) -> &'static str {
        Self::ALL.iter().find(|(info, _)| *info == self).map_or("2", |(_, code)| *code)
    }

    fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == code).map(|(info, _)| *info)
    }
}

/// The media type of `PKIOperation`, both ways (RFC 8894 section 4.3).
pub const MEDIA_TYPE: &str = "application/x-pki-message";
/// Longer messages are refused; a request with an 8192-bit key and a chain has 12 kB.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The signed attributes (RFC 8894 section 3.2.1).
const MESSAGE_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113733.1.9.2");
const PKI_STATUS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113733.1.9.3");
const FAIL_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113733.1.9.4");
const SENDER_NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113733.1.9.5");
const RECIPIENT_NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113733.1.9.6");
const TRANSACTION_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.113733.1.9.7");
const CERT_REP: &str = "3";
const RENEWAL_REQ: &str = "17";
const PKCS_REQ: &str = "19";
const SUCCESS: &str = "0";
const FAILURE: &str = "2";
const PRINTABLE_STRING: u8 = 0x13;
/// RFC 8894 section 3.2.1.5: nonces have 16 bytes.
const NONCE_BYTES: usize = 16;
