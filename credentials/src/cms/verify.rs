//! Reading SignedData (RFC 5652 section 5).

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911;

use super::CmsError;
use crate::ber::{self, Cursor, Element};
use crate::x509::{self, Certificate, Digest};

/// Who signed a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The signer's certificate, DER, as it was sent. Nothing is known about who issued it.
    pub certificate: Vec<u8>,
    /// The SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The other certificates of the message, for [`x509::chains_to`].
    pub others: Vec<Vec<u8>>,
}

/// Verifies a detached signature over `body`: what the header `Mdm-Signature` holds, once its base64 is decoded.
///
/// The signature proves that the sender has the private key of [`Signer::certificate`]; whose certificate that is, the caller
/// decides. Dates are not checked.
///
/// Source: <https://developer.apple.com/documentation/devicemanagement/implementing-device-management/managing-certificates-in-mdm-servers-and-devices>.
///
/// # Errors
/// The signature is unreadable, uses other algorithms, or does not belong to `body`.
pub fn verify_detached(signature: &[u8], body: &[u8]) -> Result<Signer, CmsError> {
    DetachedSignature::read(signature)?.verify(body)
}

/// A detached signature that is looked at before the body is there.
pub struct DetachedSignature {
    der: Vec<u8>,
}

impl DetachedSignature {
    /// Reads a signature; nothing is verified yet.
    ///
    /// # Errors
    /// It is no BER.
    pub fn read(signature: &[u8]) -> Result<Self, CmsError> {
        Ok(Self { der: ber::to_der(signature)? })
    }

    /// The SHA-256 of each certificate that it brings, the signer's among them.
    ///
    /// # Errors
    /// It is no SignedData.
    pub fn fingerprints(&self) -> Result<Vec<[u8; 32]>, CmsError> {
        let data = SignedData::parse(&self.der)?;
        Ok(data.certificates.iter().map(|certificate| x509::fingerprint(certificate.whole)).collect())
    }

    /// See [`verify_detached`].
    ///
    /// # Errors
    /// It uses other algorithms, or does not belong to `body`.
    pub fn verify(&self, body: &[u8]) -> Result<Signer, CmsError> {
        verify_der(&self.der, Some(body)).map(|verified| verified.signer)
    }
}

/// Verifies a message that holds its content: phase 2 of over-the-air enrolment, the machine information of automated
/// enrolment, signed profiles. Returns the content and who signed it.
///
/// # Errors
/// The message is unreadable, uses other algorithms, holds no content, or its signature does not belong to the content.
pub fn verify(message: &[u8]) -> Result<(Vec<u8>, Signer), CmsError> {
    let verified = verify_message(message, None)?;
    Ok((verified.content.ok_or(CmsError::Part("content"))?, verified.signer))
}

/// The certificates of a message that consists of them only ("degenerate" PKCS#7; the answer to `GetCACert` of SCEP).
///
/// # Errors
/// The message is unreadable.
pub fn certificates(message: &[u8]) -> Result<Vec<Vec<u8>>, CmsError> {
    let der = ber::to_der(message)?;
    let data = SignedData::parse(&der)?;
    Ok(data.certificates.iter().map(|certificate| certificate.whole.to_vec()).collect())
}

/// A verified message with everything in it.
pub struct Verified {
    /// `None` in a detached signature, and in messages without content such as SCEP's refusals.
    pub content: Option<Vec<u8>>,
    /// Who signed.
    pub signer: Signer,
    /// The hash function of the signature.
    pub digest: Digest,
    /// The signed attributes, DER: a SET.
    attributes: Option<Vec<u8>>,
}

impl Verified {
    /// The value of a signed attribute: the content of an element with this tag.
    pub fn attribute(&self, oid: ObjectIdentifier, tag: u8) -> Result<Option<&[u8]>, CmsError> {
        let Some(attributes) = &self.attributes else { return Ok(None) };
        match attribute(attributes, oid)? {
            Some(value) if value.tag == tag => Ok(Some(value.content)),
            Some(_) => Err(CmsError::Part("signed attribute")),
            None => Ok(None),
        }
    }
}

/// Verifies a message over its own content, or over `detached`.
pub fn verify_message(message: &[u8], detached: Option<&[u8]>) -> Result<Verified, CmsError> {
    verify_der(&ber::to_der(message)?, detached)
}

fn verify_der(der: &[u8], detached: Option<&[u8]>) -> Result<Verified, CmsError> {
    let data = SignedData::parse(der)?;
    let info = SignerInfo::parse(data.signer_info)?;
    let certificates = data.certificates.iter().filter_map(|der| Certificate::parse(der.whole).ok());
    let certificate = certificates.into_iter().find(|it| info.names(it)).ok_or(CmsError::NoCertificate)?;
    let content = match (data.content, detached) {
        (Some(_), Some(_)) => {
            return Err(CmsError::Part("detached signature: it brings a content of its own"));
        }
        (content, detached) => detached.or(content).unwrap_or(&[]),
    };
    let attributes = info.attributes.map(|element| as_set(element.whole)).transpose()?;
    let signed = match &attributes {
        Some(attributes) => {
            check_attributes(attributes, info.digest, content)?;
            attributes.as_slice()
        }
        // Without attributes the signature covers the content itself. Somebody who has a message *with* attributes could
        // present those as a content that was signed without; no content of ours is a SET.
        None if Cursor::new(content).single(ber::SET).is_ok() => return Err(CmsError::Part("content")),
        None => content,
    };
    x509::verify(certificate.public_key, info.algorithm, Some(info.digest), signed, info.signature)?;
    let others = data.certificates.iter().filter(|it| it.whole != certificate.whole);
    Ok(Verified {
        content: data.content.map(<[u8]>::to_vec),
        signer: Signer {
            certificate: certificate.whole.to_vec(),
            fingerprint: x509::fingerprint(certificate.whole),
            others: others.map(|it| it.whole.to_vec()).collect(),
        },
        digest: info.digest,
        attributes,
    })
}

/// RFC 5652 section 11: where there are attributes, contentType and messageDigest must be among them, and be right.
fn check_attributes(attributes: &[u8], digest: Digest, content: &[u8]) -> Result<(), CmsError> {
    let kind =
        attribute(attributes, rfc5911::ID_CONTENT_TYPE)?.ok_or(CmsError::Part("contentType attribute"))?;
    if kind.tag != ber::OBJECT_IDENTIFIER || kind.content != rfc5911::ID_DATA.as_bytes() {
        return Err(CmsError::Part("contentType attribute"));
    }
    let hash = attribute(attributes, rfc5911::ID_MESSAGE_DIGEST)?
        .ok_or(CmsError::Part("messageDigest attribute"))?;
    if hash.tag == ber::OCTET_STRING && hash.content == digest.hash(content) {
        Ok(())
    } else {
        Err(CmsError::Signature)
    }
}

/// The only value of an attribute in a SET of attributes; `None` if it is not there.
fn attribute(attributes: &[u8], oid: ObjectIdentifier) -> Result<Option<Element<'_>>, CmsError> {
    let mut list = Cursor::new(attributes).single(ber::SET)?.open();
    let mut found = None;
    while !list.is_empty() {
        let mut fields = list.next(ber::SEQUENCE)?.open();
        if fields.next(ber::OBJECT_IDENTIFIER)?.content != oid.as_bytes() {
            continue;
        }
        let mut values = fields.next(ber::SET)?.open();
        let value = values.any()?;
        // Two values, or two attributes of a kind, are two opinions: a verifier that picks one invites the other.
        if !values.is_empty() || found.replace(value).is_some() {
            return Err(CmsError::Part("single value of a signed attribute"));
        }
    }
    Ok(found)
}

/// RFC 5652 section 5.4: signed are the attributes under the tag of a SET, not under the `[0]` that they travel under. Their
/// order stays as sent, which is what OpenSSL verifies too.
fn as_set(attributes: &[u8]) -> Result<Vec<u8>, CmsError> {
    let mut set = attributes.to_vec();
    *set.first_mut().ok_or(CmsError::Part("signed attributes"))? = ber::SET;
    Ok(set)
}

struct SignedData<'a> {
    content: Option<&'a [u8]>,
    certificates: Vec<Element<'a>>,
    /// The SET of signer infos.
    signer_info: Element<'a>,
}

impl<'a> SignedData<'a> {
    /// Takes apart a ContentInfo with SignedData inside, given as DER.
    fn parse(der: &'a [u8]) -> Result<Self, CmsError> {
        let mut data = open_content_info(der, rfc5911::ID_SIGNED_DATA)?;
        data.next(ber::INTEGER)?; // the version follows from the contents
        data.next(ber::SET)?; // the digest algorithms are repeated by the signer
        let mut encapsulated = data.next(ber::SEQUENCE)?.open();
        if encapsulated.next(ber::OBJECT_IDENTIFIER)?.content != rfc5911::ID_DATA.as_bytes() {
            return Err(CmsError::Part("content of type data"));
        }
        let content = match encapsulated.optional(CONTEXT_0)? {
            Some(explicit) => Some(explicit.open().single(ber::OCTET_STRING)?.content),
            None => None,
        };
        let mut certificates = Vec::new();
        if let Some(set) = data.optional(CONTEXT_0)? {
            let mut set = set.open();
            while !set.is_empty() {
                certificates.push(set.any()?);
                if certificates.len() > CERTIFICATES_MAX {
                    return Err(CmsError::Part("number of certificates"));
                }
            }
        }
        data.optional(CONTEXT_1)?; // revocation lists
        Ok(Self { content, certificates, signer_info: data.next(ber::SET)? })
    }
}

struct SignerInfo<'a> {
    signer: Element<'a>,
    digest: Digest,
    attributes: Option<Element<'a>>,
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

impl<'a> SignerInfo<'a> {
    fn parse(signer_infos: Element<'a>) -> Result<Self, CmsError> {
        let mut info =
            signer_infos.open().single(ber::SEQUENCE).map_err(|_| CmsError::Part("single signer"))?.open();
        info.next(ber::INTEGER)?;
        let signer = info.any()?;
        let (digest, _) = x509::algorithm(info.next(ber::SEQUENCE)?)?;
        let attributes = info.optional(CONTEXT_0)?;
        let (algorithm, _) = x509::algorithm(info.next(ber::SEQUENCE)?)?;
        let signature = info.next(ber::OCTET_STRING)?.content;
        Ok(Self { signer, digest: Digest::from_oid(digest)?, attributes, algorithm, signature })
    }

    fn names(&self, certificate: &Certificate<'_>) -> bool {
        is_named(self.signer, certificate)
    }
}

/// Whether a signer or recipient identifier (RFC 5652 sections 5.3 and 6.2.1) means this certificate.
pub(super) fn is_named(identifier: Element<'_>, certificate: &Certificate<'_>) -> bool {
    let mut fields = identifier.open();
    match identifier.tag {
        ber::SEQUENCE => {
            let issuer = fields.next(ber::SEQUENCE).map(|it| it.whole);
            let serial = fields.next(ber::INTEGER).map(|it| it.content);
            (issuer, serial) == (Ok(certificate.issuer), Ok(certificate.serial))
        }
        KEY_IDENTIFIER => certificate.key_identifier() == Some(identifier.content),
        _ => false,
    }
}

/// Opens a ContentInfo (RFC 5652 section 3) that must hold a SEQUENCE of this type.
pub fn open_content_info(der: &[u8], kind: ObjectIdentifier) -> Result<Cursor<'_>, CmsError> {
    let mut outer = Cursor::new(der).single(ber::SEQUENCE)?.open();
    if outer.next(ber::OBJECT_IDENTIFIER)?.content != kind.as_bytes() {
        return Err(CmsError::Part("content of the expected type (signed or enveloped data)"));
    }
    Ok(outer.next(CONTEXT_0)?.open().single(ber::SEQUENCE)?.open())
}

/// More certificates are refused.
const CERTIFICATES_MAX: usize = 16;
pub(super) const CONTEXT_0: u8 = 0xa0;
const CONTEXT_1: u8 = 0xa1;
/// `[0] IMPLICIT OCTET STRING`.
pub(super) const KEY_IDENTIFIER: u8 = 0x80;
