//! Writing SignedData (RFC 5652 section 5).

use cms::cert::{CertificateChoices, IssuerAndSerialNumber};
use cms::content_info::{CmsVersion, ContentInfo};
use cms::signed_data::{
    CertificateSet, EncapsulatedContentInfo, SignedData, SignerIdentifier, SignerInfo, SignerInfos,
};
use const_oid::ObjectIdentifier;
use const_oid::db::rfc5911;
use der::asn1::{GeneralizedTime, OctetString, PrintableString, SetOfVec, UtcTime};
use der::{Any, Decode as _, Encode as _};
use spki::AlgorithmIdentifierOwned;
use time::OffsetDateTime;
use x509_cert::attr::Attribute;
use x509_cert::time::Time;

use super::{CmsError, Identity};
use crate::x509::Digest;

/// Signs `content` with SHA-256 and returns a message that holds it: a signed configuration profile.
///
/// `chain` are further certificates (DER) that lead from the signer to an authority that the device trusts.
///
/// # Errors
/// A certificate is unreadable, or the key cannot sign.
pub fn sign(
    content: &[u8],
    identity: &Identity,
    chain: &[Vec<u8>],
    signing_time: OffsetDateTime,
) -> Result<Vec<u8>, CmsError> {
    let attributes = vec![(rfc5911::ID_SIGNING_TIME, Any::encode_from(&time_of(signing_time)?)?)];
    sign_with(Some(content), attributes, identity, chain, Digest::Sha256)
}

/// Signs `content`, as `Mdm-Signature` does: the message holds the signature only.
///
/// # Errors
/// A certificate is unreadable, or the key cannot sign.
pub fn sign_detached(content: &[u8], identity: &Identity) -> Result<Vec<u8>, CmsError> {
    sign_over(content, None, Vec::new(), identity, &[], Digest::Sha256)
}

/// A message that consists of certificates only (RFC 5652 section 5.2, last paragraphs).
///
/// # Errors
/// A certificate is unreadable.
pub fn certificates_only(certificates: &[Vec<u8>]) -> Result<Vec<u8>, CmsError> {
    wrap(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::new(),
        encap_content_info: EncapsulatedContentInfo { econtent_type: rfc5911::ID_DATA, econtent: None },
        certificates: Some(certificate_set(certificates.iter().map(Vec::as_slice))?),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::new()),
    })
}

/// Signed attributes, in any order.
pub type Attributes = Vec<(ObjectIdentifier, Any)>;

/// A PrintableString as the value of an attribute.
pub fn printable(text: &str) -> Result<Any, CmsError> {
    Ok(Any::encode_from(&PrintableString::new(text)?)?)
}

/// Signs `content` (`None`: there is none, and the digest is the one of nothing) and these attributes.
pub fn sign_with(
    content: Option<&[u8]>,
    attributes: Attributes,
    identity: &Identity,
    chain: &[Vec<u8>],
    digest: Digest,
) -> Result<Vec<u8>, CmsError> {
    sign_over(content.unwrap_or(&[]), content, attributes, identity, chain, digest)
}

/// Signs `signed`, of which the message holds `content`.
fn sign_over(
    signed: &[u8],
    content: Option<&[u8]>,
    mut attributes: Attributes,
    identity: &Identity,
    chain: &[Vec<u8>],
    digest: Digest,
) -> Result<Vec<u8>, CmsError> {
    attributes.push((rfc5911::ID_CONTENT_TYPE, Any::encode_from(&rfc5911::ID_DATA)?));
    let hash = OctetString::new(digest.hash(signed))?;
    attributes.push((rfc5911::ID_MESSAGE_DIGEST, Any::encode_from(&hash)?));
    let attribute = |(oid, value): (ObjectIdentifier, Any)| {
        Ok(Attribute { oid, values: SetOfVec::try_from(vec![value])? })
    };
    let attributes = attributes.into_iter().map(attribute).collect::<Result<Vec<_>, der::Error>>()?;
    // The set sorts itself, as DER demands and Apple's verifier checks.
    let attributes = SetOfVec::try_from(attributes)?;
    let (signature, signature_algorithm) = identity.sign(digest, &attributes.to_der()?)?;
    let digest_alg = AlgorithmIdentifierOwned { oid: digest.oid(), parameters: None };
    let signer = SignerInfo {
        version: CmsVersion::V1,
        sid: SignerIdentifier::IssuerAndSerialNumber(issuer_and_serial(identity.certificate())?),
        digest_alg: digest_alg.clone(),
        signed_attrs: Some(attributes),
        signature_algorithm,
        signature: OctetString::new(signature)?,
        unsigned_attrs: None,
    };
    let content = content.map(|bytes| Any::encode_from(&OctetString::new(bytes)?)).transpose()?;
    let certificates = [identity.certificate()].into_iter().chain(chain.iter().map(Vec::as_slice));
    wrap(SignedData {
        version: CmsVersion::V1,
        digest_algorithms: SetOfVec::try_from(vec![digest_alg])?,
        encap_content_info: EncapsulatedContentInfo { econtent_type: rfc5911::ID_DATA, econtent: content },
        certificates: Some(certificate_set(certificates)?),
        crls: None,
        signer_infos: SignerInfos(SetOfVec::try_from(vec![signer])?),
    })
}

/// How a message names a certificate.
pub(super) fn issuer_and_serial(certificate: &[u8]) -> Result<IssuerAndSerialNumber, CmsError> {
    let certificate = x509_cert::Certificate::from_der(certificate)?.tbs_certificate;
    Ok(IssuerAndSerialNumber { issuer: certificate.issuer, serial_number: certificate.serial_number })
}

fn certificate_set<'a>(certificates: impl Iterator<Item = &'a [u8]>) -> Result<CertificateSet, CmsError> {
    let mut set = SetOfVec::new();
    let mut seen: Vec<&[u8]> = Vec::new();
    for der in certificates {
        // A set holds everything once; a chain may well repeat the signer.
        if seen.contains(&der) {
            continue;
        }
        seen.push(der);
        let certificate = x509_cert::Certificate::from_der(der)?;
        // It is written anew from its parts. Were a byte different, its signature would not fit any more.
        if certificate.to_der()? != der {
            return Err(CmsError::Identity("a certificate to be sent along is no proper DER"));
        }
        set.insert(CertificateChoices::Certificate(certificate))?;
    }
    Ok(CertificateSet(set))
}

fn wrap(data: SignedData) -> Result<Vec<u8>, CmsError> {
    let info = ContentInfo { content_type: rfc5911::ID_SIGNED_DATA, content: Any::encode_from(&data)? };
    Ok(info.to_der()?)
}

/// RFC 5652 section 11.3: UTCTime until 2049, GeneralizedTime from then on.
fn time_of(at: OffsetDateTime) -> Result<Time, CmsError> {
    let seconds = u64::try_from(at.unix_timestamp()).map_err(|_| CmsError::Part("signing time"))?;
    let since = std::time::Duration::from_secs(seconds);
    Ok(match UtcTime::from_unix_duration(since) {
        Ok(time) => Time::UtcTime(time),
        Err(_) => Time::GeneralTime(GeneralizedTime::from_unix_duration(since)?),
    })
}
