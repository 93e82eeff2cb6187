//! Certificates as CMS needs them: who issued them, what key they hold, whose signature they bear.
//!
//! | Standard            | What is done here                                                                     |
//! |---------------------|---------------------------------------------------------------------------------------|
//! | RFC 5280            | fields and extensions are found; issuer and subject are compared as bytes               |
//! | RFC 8017, RFC 3279  | RSA PKCS#1 v1.5 from 1024 bits with SHA-1 and SHA-2, ECDSA P-256 and P-384 with SHA-2   |
//!
//! Validity dates, revocation, name constraints and policies are not looked at. Apple's device certificates are chained to
//! authorities that expired in 2014 and 2022 and sign with SHA-1; a general verifier refuses them, and is right to.
//!
//! Everything borrows from the bytes that were received: a fingerprint must be the one of what was sent.

use aws_lc_rs::{digest, signature};
use const_oid::ObjectIdentifier;
use const_oid::db::{rfc5280, rfc5912};

use crate::ber::{self, BerError, Cursor, Element};

/// Why a certificate is not usable.
#[derive(Debug, thiserror::Error)]
pub enum X509Error {
    /// It cannot be read.
    #[error("the certificate or request cannot be read; it is damaged or no DER")]
    Encoding(#[from] BerError),
    /// An algorithm that is not supported.
    #[error("the algorithm {0} is not supported; use RSA or ECDSA P-256 with SHA-256")]
    Algorithm(String),
    /// The signature is not by the key that it should be by.
    #[error("the signature of the certificate or request is wrong")]
    Signature,
    /// No way leads from the certificate to one of the anchors.
    #[error("the certificate was not issued by an authority that is trusted here")]
    Untrusted,
}

/// A hash function of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1: only verified, never produced. Apple's devices sign with it.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    /// The hash of `bytes`.
    #[must_use]
    pub fn hash(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// Its object identifier.
    pub fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1 => rfc5912::ID_SHA_1,
            Self::Sha256 => rfc5912::ID_SHA_256,
            Self::Sha384 => rfc5912::ID_SHA_384,
            Self::Sha512 => rfc5912::ID_SHA_512,
        }
    }

    /// The one with this object identifier.
    pub fn from_oid(oid: ObjectIdentifier) -> Result<Self, X509Error> {
        [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512]
            .into_iter()
            .find(|digest| digest.oid() == oid)
            .ok_or_else(|| X509Error::Algorithm(oid.to_string()))
    }
}

/// The SHA-256 of a certificate or a public key: how an enrolment recognises its device.
#[must_use]
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, der).as_ref());
    out
}

/// Checks that signatures lead from `certificate` over `intermediates` to one of `anchors`. Dates are ignored, see the head
/// of this module; that issuers are authorities (basicConstraints, keyCertSign) is checked. All DER.
///
/// # Errors
/// No such way, or a certificate on it cannot be read.
pub fn chains_to(
    certificate: &[u8],
    intermediates: &[Vec<u8>],
    anchors: &[Vec<u8>],
) -> Result<(), X509Error> {
    let anchors = anchors.iter().map(|der| Certificate::parse(der)).collect::<Result<Vec<_>, _>>()?;
    // What the sender put beside its certificate is not trusted to be readable.
    let intermediates: Vec<_> =
        intermediates.iter().take(INTERMEDIATES_MAX).filter_map(|der| Certificate::parse(der).ok()).collect();
    let mut current = Certificate::parse(certificate)?;
    for _ in 0..CHAIN_MAX {
        if anchors.iter().any(|anchor| anchor.whole == current.whole || current.is_issued_by(anchor)) {
            return Ok(());
        }
        let issuer =
            intermediates.iter().find(|issuer| issuer.whole != current.whole && current.is_issued_by(issuer));
        current = *issuer.ok_or(X509Error::Untrusted)?;
    }
    Err(X509Error::Untrusted)
}

/// A signed structure: a certificate, a certification request (RFC 5280 section 4.1, RFC 2986 section 4.2).
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// What is signed.
    pub body: Element<'a>,
    algorithm: Element<'a>,
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes it apart; checks nothing.
    pub fn parse(der: &'a [u8]) -> Result<Self, BerError> {
        let mut outer = Cursor::new(der).single(ber::SEQUENCE)?.open();
        let (body, algorithm) = (outer.next(ber::SEQUENCE)?, outer.next(ber::SEQUENCE)?);
        Ok(Self { body, algorithm, signature: bits(outer.next(ber::BIT_STRING)?)? })
    }

    /// Checks the signature with a SubjectPublicKeyInfo.
    pub fn verify(&self, public_key: &[u8]) -> Result<(), X509Error> {
        let (oid, _) = algorithm(self.algorithm)?;
        verify(public_key, oid, None, self.body.whole, self.signature)
    }
}

/// A certificate, borrowed from its DER.
#[derive(Debug, Clone, Copy)]
pub struct Certificate<'a> {
    /// All of it.
    pub whole: &'a [u8],
    signed: Signed<'a>,
    /// The content of the INTEGER.
    pub serial: &'a [u8],
    /// The name of who issued it, DER.
    pub issuer: &'a [u8],
    /// The name of whom it is for, DER.
    pub subject: &'a [u8],
    /// From when to when, DER.
    pub validity: &'a [u8],
    /// A SubjectPublicKeyInfo, DER.
    pub public_key: &'a [u8],
    extensions: Option<Element<'a>>,
}

impl<'a> Certificate<'a> {
    /// Takes a certificate apart; checks nothing.
    pub fn parse(der: &'a [u8]) -> Result<Self, BerError> {
        let signed = Signed::parse(der)?;
        let mut body = signed.body.open();
        body.optional(EXPLICIT_0)?; // the version: what matters is whether there are extensions
        let serial = body.next(ber::INTEGER)?.content;
        body.next(ber::SEQUENCE)?; // the signature algorithm, repeated outside
        let issuer = body.next(ber::SEQUENCE)?.whole;
        let validity = body.next(ber::SEQUENCE)?.whole;
        let subject = body.next(ber::SEQUENCE)?.whole;
        let public_key = body.next(ber::SEQUENCE)?.whole;
        let mut extensions = None;
        while !body.is_empty() {
            let element = body.any()?;
            if element.tag == EXPLICIT_3 {
                extensions = Some(element.open().single(ber::SEQUENCE)?);
            }
        }
        Ok(Self { whole: der, signed, serial, issuer, subject, validity, public_key, extensions })
    }

    /// The value of an extension: the DER inside its OCTET STRING.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&'a [u8]> {
        let mut extensions = self.extensions?.open();
        while let Ok(extension) = extensions.next(ber::SEQUENCE) {
            let mut fields = extension.open();
            if fields.next(ber::OBJECT_IDENTIFIER).ok()?.content != oid.as_bytes() {
                continue;
            }
            fields.optional(BOOLEAN).ok()?;
            return Some(fields.next(ber::OCTET_STRING).ok()?.content);
        }
        None
    }

    /// The subject key identifier.
    pub fn key_identifier(&self) -> Option<&'a [u8]> {
        let value = self.extension(rfc5280::ID_CE_SUBJECT_KEY_IDENTIFIER)?;
        Some(Cursor::new(value).single(ber::OCTET_STRING).ok()?.content)
    }

    /// Whether an extended key usage is named.
    pub fn has_extended_usage(&self, usage: ObjectIdentifier) -> bool {
        let Some(list) = self.extension(rfc5280::ID_CE_EXT_KEY_USAGE) else { return false };
        let Ok(list) = Cursor::new(list).single(ber::SEQUENCE) else { return false };
        let mut usages = list.open();
        while let Ok(found) = usages.next(ber::OBJECT_IDENTIFIER) {
            if found.content == usage.as_bytes() {
                return true;
            }
        }
        false
    }

    /// Whether `issuer` is an authority, bears the name of this certificate's issuer, and signed it.
    pub fn is_issued_by(&self, issuer: &Certificate<'_>) -> bool {
        self.issuer == issuer.subject
            && issuer.is_authority()
            && self.signed.verify(issuer.public_key).is_ok()
    }

    /// RFC 5280 section 4.2.1.9: basicConstraints with cA, and, where there is a keyUsage, keyCertSign in it.
    fn is_authority(&self) -> bool {
        let constraints = self.extension(rfc5280::ID_CE_BASIC_CONSTRAINTS).and_then(|value| {
            Cursor::new(value).single(ber::SEQUENCE).ok()?.open().optional(BOOLEAN).ok()?
        });
        let may_sign = self.key_usage().is_none_or(|first| first & KEY_CERT_SIGN != 0);
        constraints.is_some_and(|authority| authority.content != [0]) && may_sign
    }

    /// The first byte of the key usage bits.
    pub fn key_usage(&self) -> Option<u8> {
        let value = self.extension(rfc5280::ID_CE_KEY_USAGE)?;
        let bits = Cursor::new(value).single(ber::BIT_STRING).ok()?;
        Some(bits.content.get(1).copied().unwrap_or(0))
    }
}

/// The object identifier and the parameters of an AlgorithmIdentifier.
pub fn algorithm<'a>(element: Element<'a>) -> Result<(ObjectIdentifier, Option<Element<'a>>), BerError> {
    let mut fields = element.open();
    let oid = self::oid(fields.next(ber::OBJECT_IDENTIFIER)?)?;
    let parameters = if fields.is_empty() { None } else { Some(fields.any()?) };
    Ok((oid, parameters))
}

/// The object identifier in an element.
pub fn oid(element: Element<'_>) -> Result<ObjectIdentifier, BerError> {
    ObjectIdentifier::from_bytes(element.content).map_err(|_| BerError::Form)
}

/// The number of bits of an RSA key in a SubjectPublicKeyInfo; `None` if the key is another.
pub fn rsa_bits(public_key: &[u8]) -> Option<usize> {
    let (kind, key) = key_parts(public_key).ok()?;
    let Kind::Rsa = kind else { return None };
    let modulus = Cursor::new(key).single(ber::SEQUENCE).ok()?.open().next(ber::INTEGER).ok()?.content;
    let first = modulus.iter().position(|byte| *byte != 0)?;
    let significant = modulus.get(first..)?;
    Some(significant.len() * 8 - significant.first()?.leading_zeros() as usize)
}

/// Checks a signature. `digest` is what a CMS message names beside the algorithm, and decides where the algorithm leaves it
/// open (rsaEncryption); a disagreement is an error.
pub fn verify(
    public_key: &[u8],
    algorithm: ObjectIdentifier,
    digest: Option<Digest>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), X509Error> {
    let unsupported = || X509Error::Algorithm(algorithm.to_string());
    let (is_rsa, named) = match algorithm {
        rfc5912::RSA_ENCRYPTION => (true, None),
        rfc5912::SHA_1_WITH_RSA_ENCRYPTION => (true, Some(Digest::Sha1)),
        rfc5912::SHA_256_WITH_RSA_ENCRYPTION => (true, Some(Digest::Sha256)),
        rfc5912::SHA_384_WITH_RSA_ENCRYPTION => (true, Some(Digest::Sha384)),
        rfc5912::SHA_512_WITH_RSA_ENCRYPTION => (true, Some(Digest::Sha512)),
        rfc5912::ECDSA_WITH_SHA_256 => (false, Some(Digest::Sha256)),
        rfc5912::ECDSA_WITH_SHA_384 => (false, Some(Digest::Sha384)),
        _ => return Err(unsupported()),
    };
    if named.is_some() && digest.is_some() && named != digest {
        return Err(unsupported());
    }
    let digest = named.or(digest).ok_or_else(unsupported)?;
    let (kind, key) = key_parts(public_key)?;
    let verifier: &'static dyn signature::VerificationAlgorithm = match (kind, is_rsa, digest) {
        (Kind::Rsa, true, Digest::Sha1) => &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        (Kind::Rsa, true, Digest::Sha256) => &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        (Kind::Rsa, true, Digest::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (Kind::Rsa, true, Digest::Sha512) => &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY,
        (Kind::P256, false, Digest::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Kind::P256, false, Digest::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (Kind::P384, false, Digest::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (Kind::P384, false, Digest::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        _ => return Err(unsupported()),
    };
    signature::UnparsedPublicKey::new(verifier, key)
        .verify(message, signature)
        .map_err(|_| X509Error::Signature)
}

enum Kind {
    Rsa,
    P256,
    P384,
}

/// The kind of a SubjectPublicKeyInfo and the key in it (an RSAPublicKey, or a point).
fn key_parts(public_key: &[u8]) -> Result<(Kind, &[u8]), X509Error> {
    let mut fields = Cursor::new(public_key).single(ber::SEQUENCE)?.open();
    let (oid, parameters) = algorithm(fields.next(ber::SEQUENCE)?)?;
    let curve = parameters.filter(|it| it.tag == ber::OBJECT_IDENTIFIER).map(self::oid).transpose()?;
    let kind = match (oid, curve) {
        (rfc5912::RSA_ENCRYPTION, _) => Kind::Rsa,
        (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_256_R_1)) => Kind::P256,
        (rfc5912::ID_EC_PUBLIC_KEY, Some(rfc5912::SECP_384_R_1)) => Kind::P384,
        _ => return Err(X509Error::Algorithm(oid.to_string())),
    };
    Ok((kind, bits(fields.next(ber::BIT_STRING)?)?))
}

/// The bytes of a BIT STRING that has no unused bits.
fn bits(element: Element<'_>) -> Result<&[u8], BerError> {
    element.content.strip_prefix(&[0]).ok_or(BerError::Form)
}

/// Digital signature, in the first byte of the key usage bits.
pub const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_CERT_SIGN: u8 = 0x04;
const BOOLEAN: u8 = 0x01;
const EXPLICIT_0: u8 = 0xa0;
const EXPLICIT_3: u8 = 0xa3;
/// Apple's chain has four certificates.
const CHAIN_MAX: usize = 8;
const INTERMEDIATES_MAX: usize = 16;
