//! The client's half, as an iPad plays it: for the simulated devices of the tests.

use std::sync::Arc;

use rcgen::{Attribute, CertificateParams, DistinguishedName, DnType, KeyPair, KeyUsagePurpose};
use time::OffsetDateTime;

use super::server::{nonce, octets, text};
use super::{
    CERT_REP, FAIL_INFO, FAILURE, FailInfo, MESSAGE_TYPE, NONCE_BYTES, PKCS_REQ, PKI_STATUS, RECIPIENT_NONCE,
    RENEWAL_REQ, SENDER_NONCE, SUCCESS, ScepError, TRANSACTION_ID,
};
use crate::cms::{self, Cipher, CmsError, Identity, RsaKey, SingleDes};
use crate::x509::{self, Certificate, Digest};

/// What the server answered.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The certificate, DER.
    Granted(Vec<u8>),
    /// It refused.
    Refused(FailInfo),
}

/// How a client speaks.
#[derive(Debug, Clone, Copy)]
pub struct Algorithms {
    /// How the request is encrypted.
    pub cipher: Cipher,
    /// How it is signed.
    pub digest: Digest,
}

/// A request under way.
pub struct Enrolment {
    signer: Arc<Identity>,
    id: String,
    nonce: [u8; NONCE_BYTES],
}

impl Enrolment {
    /// A first request (PKCSReq) for `key`, signed with a certificate that the client makes itself (RFC 8894 section 2.3).
    /// `ra` is the certificate to encrypt for. Returns the message to send.
    ///
    /// # Errors
    /// The key cannot sign, or the RA's certificate is not usable.
    pub fn initial(
        key: RsaKey,
        challenge: &str,
        ra: &[u8],
        now: OffsetDateTime,
        algorithms: Algorithms,
    ) -> Result<(Self, Vec<u8>), ScepError> {
        let signing = signing_key(&key)?;
        let mut params = subject("SCEP client")?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.not_before = now - time::Duration::hours(1);
        params.not_after = now + time::Duration::days(1);
        let certificate = params.self_signed(&signing)?;
        let csr = request(&signing, Some(challenge))?;
        let signer = Arc::new(Identity::with_rsa(certificate.der(), key)?);
        Self::send(signer, PKCS_REQ, &csr, ra, algorithms)
    }

    /// A renewal (RenewalReq): a request for `key`, signed with the present identity, whose key must be RSA.
    ///
    /// # Errors
    /// A key cannot sign, or the RA's certificate is not usable.
    pub fn renewal(
        present: Arc<Identity>,
        key: &RsaKey,
        ra: &[u8],
        algorithms: Algorithms,
    ) -> Result<(Self, Vec<u8>), ScepError> {
        let csr = request(&signing_key(key)?, None)?;
        Self::send(present, RENEWAL_REQ, &csr, ra, algorithms)
    }

    fn send(
        signer: Arc<Identity>,
        kind: &str,
        csr: &[u8],
        ra: &[u8],
        algorithms: Algorithms,
    ) -> Result<(Self, Vec<u8>), ScepError> {
        let nonce = cms::random::<NONCE_BYTES>()?;
        // RFC 8894 section 3.2.1.1: a request that is sent again keeps its name, so the name is made of the request.
        let id: String = x509::fingerprint(csr).iter().map(|byte| format!("{byte:02x}")).collect();
        let attributes = vec![
            (MESSAGE_TYPE, cms::printable(kind)?),
            (TRANSACTION_ID, cms::printable(&id)?),
            (SENDER_NONCE, octets(&nonce)?),
        ];
        let envelope = cms::seal(csr, ra, algorithms.cipher)?;
        let message = cms::sign_with(Some(&envelope), attributes, &signer, &[], algorithms.digest)?;
        Ok((Self { signer, id, nonce }, message))
    }

    /// Reads the answer, which must be signed by `ra`.
    ///
    /// # Errors
    /// The answer is unreadable, by somebody else, or for another request.
    pub fn read(&self, answer: &[u8], ra: &[u8]) -> Result<Answer, ScepError> {
        let verified = cms::verify_message(answer, None)?;
        let is_ours = text(&verified, TRANSACTION_ID, "transactionID")? == self.id
            && nonce(&verified, RECIPIENT_NONCE, "recipientNonce")? == self.nonce
            && text(&verified, MESSAGE_TYPE, "messageType")? == CERT_REP
            && verified.signer.certificate == ra;
        if !is_ours {
            return Err(ScepError::OtherTransaction);
        }
        match text(&verified, PKI_STATUS, "pkiStatus")?.as_str() {
            SUCCESS => {
                let envelope = verified.content.ok_or(CmsError::Part("content"))?;
                let opened = cms::open(&envelope, &self.signer, SingleDes::Refused)?;
                let certificate = cms::certificates(&opened.content)?.into_iter().next();
                Ok(Answer::Granted(certificate.ok_or(CmsError::NoCertificate)?))
            }
            FAILURE => {
                let info = text(&verified, FAIL_INFO, "failInfo")?;
                FailInfo::from_code(&info).map(Answer::Refused).ok_or(ScepError::Attribute("failInfo"))
            }
            _ => Err(ScepError::Attribute("pkiStatus")),
        }
    }
}

/// The certificate to encrypt for among those of `GetCACert`: the one whose key may encrypt keys (RFC 8894 section 2.1.2), or
/// the only one.
///
/// # Errors
/// There is none.
pub fn ra_certificate(media_type: &str, body: &[u8]) -> Result<Vec<u8>, ScepError> {
    if media_type == "application/x-x509-ca-cert" {
        return Ok(body.to_vec());
    }
    let encrypts = |der: &Vec<u8>| {
        Certificate::parse(der)
            .is_ok_and(|it| it.key_usage().is_some_and(|first| first & KEY_ENCIPHERMENT != 0))
    };
    cms::certificates(body)?.into_iter().find(encrypts).ok_or_else(|| CmsError::NoCertificate.into())
}

fn subject(name: &str) -> Result<CertificateParams, ScepError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

/// A certification request, DER.
fn request(key: &KeyPair, challenge: Option<&str>) -> Result<Vec<u8>, ScepError> {
    let attribute = |text: &str| {
        let set = der::asn1::SetOfVec::try_from(vec![cms::printable(text)?]).map_err(CmsError::from)?;
        let values = der::Encode::to_der(&set).map_err(CmsError::from)?;
        Ok::<_, ScepError>(Attribute { oid: &[1, 2, 840, 113549, 1, 9, 7], values })
    };
    let attributes = challenge.map(attribute).transpose()?.into_iter().collect();
    Ok(subject("iPad")?.serialize_request_with_attributes(key, attributes)?.der().to_vec())
}

fn signing_key(key: &RsaKey) -> Result<KeyPair, ScepError> {
    Ok(KeyPair::try_from(key.to_pkcs8()?.as_slice())?)
}

/// In the first byte of the key usage bits.
const KEY_ENCIPHERMENT: u8 = 0x20;
