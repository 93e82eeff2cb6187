//! Cryptographic messages: signed and enveloped data, as Apple's devices and services exchange them.
//!
//! | Standard  | What is done here                                                                          |
//! |-----------|---------------------------------------------------------------------------------------------|
//! | RFC 5652  | SignedData with one signer over id-data; EnvelopedData for recipients with RSA keys           |
//! | RFC 3370  | SHA-1 signatures (verified only), RSA key transport PKCS#1 v1.5, Triple DES in CBC mode       |
//! | RFC 5754  | SHA-256, SHA-384, SHA-512                                                                     |
//! | RFC 3565  | AES in CBC mode                                                                               |
//! | RFC 3218  | a key that cannot be unwrapped is replaced by a random one, so that nothing tells the two apart |
//!
//! Not done: several signers, countersignatures, RSASSA-PSS, key agreement, authenticated encryption, time checks.
//! Incoming messages may be BER ([`crate::ber`]); outgoing ones are DER.

mod enveloped;
mod identity;
mod signed;
pub mod verify;

pub use enveloped::{Cipher, Opened, SingleDes, open, seal};
pub use identity::{Identity, RsaKey};
pub use signed::{Attributes, certificates_only, printable, sign, sign_detached, sign_with};
pub use verify::{
    DetachedSignature, Signer, Verified, certificates, verify, verify_detached, verify_message,
};

use crate::ber::BerError;
use crate::x509::X509Error;

/// Why a message cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum CmsError {
    /// It is no BER.
    #[error("the CMS message cannot be read: {0}")]
    Encoding(#[from] BerError),
    /// A part is missing, double, or does not fit the others.
    #[error("the CMS message has no usable {0}")]
    Part(&'static str),
    /// The signer's certificate is not in the message.
    #[error("the CMS message does not hold the certificate of its signer; the sender must include it")]
    NoCertificate,
    /// A certificate, a key or an algorithm is not usable.
    #[error("the CMS message: {0}")]
    Certificate(X509Error),
    /// The signature does not fit the content.
    #[error("the signature does not belong to this content")]
    Signature,
    /// The message is encrypted for somebody else.
    #[error("the message is not encrypted for this server's certificate; the sender must fetch it again")]
    OtherRecipient,
    /// The content does not decrypt. There is one such error for all causes, so that senders learn nothing from it.
    #[error("the message cannot be decrypted")]
    Decrypt,
    /// A cipher that is not allowed here.
    #[error("the cipher {0} is not accepted; use AES-128 or Triple DES in CBC mode")]
    Cipher(String),
    /// A private key or certificate of ours is not usable.
    #[error("{0}")]
    Identity(&'static str),
    /// Our own message cannot be encoded.
    #[error("the CMS message cannot be written: {0}")]
    Write(#[from] der::Error),
}

impl From<X509Error> for CmsError {
    fn from(error: X509Error) -> Self {
        match error {
            X509Error::Encoding(error) => Self::Encoding(error),
            X509Error::Signature => Self::Signature,
            other => Self::Certificate(other),
        }
    }
}

/// Fresh random bytes: the one place where this crate's messages get theirs (nonces, content keys, initialisation vectors).
///
/// # Errors
/// The system has no randomness.
pub fn random<const N: usize>() -> Result<[u8; N], CmsError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| CmsError::Identity("the system has no random bytes"))?;
    Ok(bytes)
}
