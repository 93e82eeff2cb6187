//! The server's half: reading requests, granting and refusing them.

use std::sync::Arc;

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use const_oid::ObjectIdentifier;
use der::Any;
use der::asn1::OctetString;
use zeroize::Zeroizing;

use super::{
    CERT_REP, FAIL_INFO, FAILURE, FailInfo, MESSAGE_BYTES_MAX, MESSAGE_TYPE, NONCE_BYTES, PKCS_REQ,
    PKI_STATUS, PRINTABLE_STRING, RECIPIENT_NONCE, RENEWAL_REQ, SENDER_NONCE, SUCCESS, ScepError,
    TRANSACTION_ID,
};
use crate::ber::{self, Cursor};
use crate::cms::{self, Attributes, Cipher, CmsError, Identity, Signer, SingleDes, Verified};
use crate::x509::{self, Certificate, Digest, Signed};

/// The server's half of SCEP, with the key that requests are encrypted for and answers are signed with.
pub struct Server {
    ra: Arc<Identity>,
    ca_certificate: Vec<u8>,
    single_des: SingleDes,
}

/// The answer to `GetCACert`.
#[derive(Debug, PartialEq, Eq)]
pub struct CaCertificates {
    /// The media type of the body.
    pub media_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// What an answer must refer to.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// The transaction's name, chosen by the client.
    pub id: String,
    /// Who signed the request. For [`Kind::Renewal`] this is the certificate to be renewed, which the caller must judge.
    pub signer: Signer,
    sender_nonce: Vec<u8>,
    digest: Digest,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// PKCSReq: a first certificate, proved by a challenge password.
    Initial,
    /// RenewalReq: another one, proved by the signature with the old one.
    Renewal,
}

/// A request for a certificate, whose signatures are verified and on which the caller decides.
#[derive(Debug)]
pub struct Request {
    /// What the answer must refer to, and who signed.
    pub transaction: Transaction,
    /// What is asked for.
    pub kind: Kind,
    /// The public key to be certified (RSA, 2048 bits or more): a SubjectPublicKeyInfo, DER.
    pub public_key: Vec<u8>,
    /// The challenge password.
    pub challenge: Option<Challenge>,
    /// Whether the signer's certificate holds the requested key too, as in a first request that the client signed with a
    /// certificate it made itself.
    pub is_signed_with_requested_key: bool,
    cipher: Cipher,
}

/// A challenge password. It is a secret that must not reach a log, so its `Debug` is empty.
pub struct Challenge(Zeroizing<String>);

impl Challenge {
    /// The text, to be hashed or compared in constant time.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Challenge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Challenge")
    }
}

/// A message that is not served.
#[derive(Debug)]
pub struct Rejection {
    /// Why, for the log.
    pub error: ScepError,
    /// What to answer with [`Server::refuse`]; `None` if the message is too broken for an answer, which is HTTP status 400.
    pub answer: Option<(Transaction, FailInfo)>,
}

impl From<ScepError> for Box<Rejection> {
    fn from(error: ScepError) -> Self {
        Self::new(Rejection { error, answer: None })
    }
}

impl From<CmsError> for Box<Rejection> {
    fn from(error: CmsError) -> Self {
        ScepError::from(error).into()
    }
}

impl Server {
    /// A server that decrypts and signs as `ra` (RSA) and names `ca_certificate` (DER) as the authority. The two certificates
    /// may be the same.
    ///
    /// # Errors
    /// The RA's key is not RSA.
    pub fn new(ra: Arc<Identity>, ca_certificate: &[u8], single_des: SingleDes) -> Result<Self, ScepError> {
        if ra.rsa().is_none() {
            return Err(
                CmsError::Identity("the SCEP server needs an RSA key, since clients encrypt for it").into()
            );
        }
        Ok(Self { ra, ca_certificate: ca_certificate.to_vec(), single_des })
    }

    /// The answer to `GetCACaps` (RFC 8894 section 3.5.2), of type `text/plain`.
    #[must_use]
    pub fn capabilities(&self) -> &'static str {
        "AES\nDES3\nPOSTPKIOperation\nRenewal\nSCEPStandard\nSHA-256\nSHA-512\n"
    }

    /// The answer to `GetCACert` (RFC 8894 section 4.2).
    ///
    /// # Errors
    /// A certificate cannot be encoded.
    pub fn ca_certificates(&self) -> Result<CaCertificates, ScepError> {
        let ra = self.ra.certificate();
        if ra == self.ca_certificate {
            return Ok(CaCertificates { media_type: "application/x-x509-ca-cert", body: ra.to_vec() });
        }
        let body = cms::certificates_only(&[ra.to_vec(), self.ca_certificate.clone()])?;
        Ok(CaCertificates { media_type: "application/x-x509-ca-ra-cert", body })
    }

    /// Reads the message of a `PKIOperation`: verifies the signer, decrypts, and verifies the request inside.
    ///
    /// # Errors
    /// The message is not served; the rejection says what to answer.
    pub fn request(&self, message: &[u8]) -> Result<Request, Box<Rejection>> {
        if message.len() > MESSAGE_BYTES_MAX {
            return Err(ScepError::TooLong(message.len()).into());
        }
        let verified = cms::verify_message(message, None)?;
        let transaction = Transaction {
            id: text(&verified, TRANSACTION_ID, "transactionID")?,
            sender_nonce: nonce(&verified, SENDER_NONCE, "senderNonce")?,
            signer: verified.signer.clone(),
            digest: verified.digest,
        };
        let refuse = |error, info| Box::new(Rejection { error, answer: Some((transaction.clone(), info)) });
        let kind = match text(&verified, MESSAGE_TYPE, "messageType")?.as_str() {
            PKCS_REQ => Kind::Initial,
            RENEWAL_REQ => Kind::Renewal,
            other => return Err(refuse(ScepError::Kind(other.to_owned()), FailInfo::BadRequest)),
        };
        let envelope = verified.content.unwrap_or_default();
        let opened = cms::open(&envelope, &self.ra, self.single_des).map_err(|error| match error {
            // What the sender can see himself is told; everything that depends on our key is one error.
            CmsError::Cipher(_) => refuse(error.into(), FailInfo::BadAlg),
            CmsError::OtherRecipient => refuse(error.into(), FailInfo::BadRequest),
            _ => refuse(ScepError::Unreadable, FailInfo::BadMessageCheck),
        })?;
        let csr = Csr::parse(&opened.content)
            .ok_or_else(|| refuse(ScepError::Unreadable, FailInfo::BadMessageCheck))?;
        let signer_key =
            Certificate::parse(&transaction.signer.certificate).map_err(CmsError::from)?.public_key;
        let fits =
            |key| x509::rsa_bits(key).is_some_and(|bits| (KEY_BITS_MIN..=KEY_BITS_MAX).contains(&bits));
        // The signer's too: the answer is encrypted for it.
        if !fits(csr.public_key) || !fits(signer_key) {
            return Err(refuse(ScepError::Key, FailInfo::BadAlg));
        }
        Ok(Request {
            kind,
            public_key: csr.public_key.to_vec(),
            challenge: csr.challenge,
            is_signed_with_requested_key: signer_key == csr.public_key,
            cipher: opened.cipher,
            transaction,
        })
    }

    /// The answer with a certificate (DER), encrypted for the signer of the request (RFC 8894 section 3.3.2.1).
    ///
    /// # Errors
    /// The signer's certificate has no RSA key to encrypt for.
    pub fn grant(&self, request: &Request, certificate: &[u8]) -> Result<Vec<u8>, ScepError> {
        // Only the issued certificate: clients take the first of the set, and a set is sorted by its bytes.
        let content = cms::certificates_only(&[certificate.to_vec()])?;
        // Whoever asked in DES reads Triple DES too, and what is known to be breakable is not sent.
        let cipher = if request.cipher == Cipher::Des { Cipher::TripleDes } else { request.cipher };
        let envelope = cms::seal(&content, &request.transaction.signer.certificate, cipher)?;
        self.answer(&request.transaction, SUCCESS, Some(&envelope), Vec::new())
    }

    /// The answer that refuses (RFC 8894 section 3.3.2.2).
    ///
    /// # Errors
    /// It cannot be encoded.
    pub fn refuse(&self, transaction: &Transaction, info: FailInfo) -> Result<Vec<u8>, ScepError> {
        let info = vec![(FAIL_INFO, cms::printable(info.code())?)];
        self.answer(transaction, FAILURE, None, info)
    }

    fn answer(
        &self,
        transaction: &Transaction,
        status: &str,
        envelope: Option<&[u8]>,
        mut attributes: Attributes,
    ) -> Result<Vec<u8>, ScepError> {
        attributes.extend([
            (MESSAGE_TYPE, cms::printable(CERT_REP)?),
            (PKI_STATUS, cms::printable(status)?),
            (TRANSACTION_ID, cms::printable(&transaction.id)?),
            (SENDER_NONCE, octets(&cms::random::<NONCE_BYTES>()?)?),
            (RECIPIENT_NONCE, octets(&transaction.sender_nonce)?),
        ]);
        // SHA-1 is only read: whoever sends it was told in GetCACaps that SHA-256 is spoken here.
        let digest = if transaction.digest == Digest::Sha1 { Digest::Sha256 } else { transaction.digest };
        Ok(cms::sign_with(envelope, attributes, &self.ra, &[], digest)?)
    }
}

/// Decodes the query parameter `message` of a `PKIOperation` by GET (RFC 8894 section 4.1): base64, percent-encoded or not. Plus
/// signs that a query parser took for spaces are plus signs again, and the URL alphabet is read too (mdmb writes it).
///
/// # Errors
/// It is too long or no base64.
pub fn decode_get(message: &str) -> Result<Vec<u8>, ScepError> {
    // Each byte of the message takes 4/3 characters, and each of these at most three when it is percent-encoded.
    if message.len() > MESSAGE_BYTES_MAX * 4 {
        return Err(ScepError::TooLong(message.len()));
    }
    let mut base64 = Vec::with_capacity(message.len());
    let mut bytes = message.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => percent(bytes.next(), bytes.next()).ok_or(ScepError::Base64)?,
            other => other,
        };
        match byte {
            b' ' | b'-' => base64.push(b'+'),
            b'_' => base64.push(b'/'),
            b'\r' | b'\n' => {}
            other => base64.push(other),
        }
    }
    let lenient = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&STANDARD, lenient).decode(base64).map_err(|_| ScepError::Base64)
}

fn percent(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}

/// A certification request whose signature is verified.
struct Csr<'a> {
    public_key: &'a [u8],
    challenge: Option<Challenge>,
}

impl<'a> Csr<'a> {
    /// `None` if it is unreadable or its signature is wrong.
    fn parse(der: &'a [u8]) -> Option<Self> {
        let signed = Signed::parse(der).ok()?;
        let mut body = signed.body.open();
        body.next(ber::INTEGER).ok()?;
        body.next(ber::SEQUENCE).ok()?; // the subject, which the server decides
        let public_key = body.next(ber::SEQUENCE).ok()?.whole;
        signed.verify(public_key).ok()?;
        let mut challenge = None;
        if let Some(attributes) = body.optional(ATTRIBUTES).ok()? {
            let mut attributes = attributes.open();
            while !attributes.is_empty() {
                let mut fields = attributes.next(ber::SEQUENCE).ok()?.open();
                if fields.next(ber::OBJECT_IDENTIFIER).ok()?.content == CHALLENGE_PASSWORD.as_bytes() {
                    let text = challenge_text(fields.next(ber::SET).ok()?.open())?;
                    // Two passwords would be two attempts in one.
                    if challenge.replace(text).is_some() {
                        return None;
                    }
                }
            }
        }
        Some(Self { public_key, challenge })
    }
}

/// A DirectoryString (RFC 2985 section 5.4.1). The passwords are our own and plain ASCII, whatever type the client gives them.
fn challenge_text(mut values: Cursor<'_>) -> Option<Challenge> {
    let value = values.any().ok()?;
    let text = match value.tag {
        UTF8_STRING | PRINTABLE_STRING | TELETEX_STRING | IA5_STRING => value.content,
        _ => return None,
    };
    String::from_utf8(text.to_vec()).ok().map(|text| Challenge(Zeroizing::new(text)))
}

/// The text of a signed attribute.
pub(super) fn text(
    verified: &Verified,
    oid: ObjectIdentifier,
    name: &'static str,
) -> Result<String, ScepError> {
    let value = verified.attribute(oid, PRINTABLE_STRING)?.ok_or(ScepError::Attribute(name))?;
    // It is written back as a PrintableString, so it must be one.
    let text =
        std::str::from_utf8(value).ok().filter(|text| !text.is_empty() && text.len() <= ATTRIBUTE_BYTES_MAX);
    let text = text.filter(|text| der::asn1::PrintableStringRef::new(text).is_ok());
    text.map(str::to_owned).ok_or(ScepError::Attribute(name))
}

/// The bytes of a signed attribute.
pub(super) fn nonce(
    verified: &Verified,
    oid: ObjectIdentifier,
    name: &'static str,
) -> Result<Vec<u8>, ScepError> {
    let value = verified.attribute(oid, ber::OCTET_STRING)?.ok_or(ScepError::Attribute(name))?;
    if value.len() > ATTRIBUTE_BYTES_MAX { Err(ScepError::Attribute(name)) } else { Ok(value.to_vec()) }
}

pub(super) fn octets(bytes: &[u8]) -> Result<Any, ScepError> {
    let encode = || Any::encode_from(&OctetString::new(bytes)?);
    Ok(encode().map_err(CmsError::from)?)
}

const CHALLENGE_PASSWORD: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");
const KEY_BITS_MIN: usize = 2048;
const KEY_BITS_MAX: usize = 8192;
const ATTRIBUTE_BYTES_MAX: usize = 256;
/// `[0] IMPLICIT SET`.
const ATTRIBUTES: u8 = 0xa0;
const UTF8_STRING: u8 = 0x0c;
const TELETEX_STRING: u8 = 0x14;
const IA5_STRING: u8 = 0x16;
