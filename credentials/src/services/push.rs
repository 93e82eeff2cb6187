//! The push certificate: asked for with a request that a vendor signed, renewed once a year under the same topic.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/setting-up-push-notifications-for-your-mdm-customers>.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use const_oid::ObjectIdentifier;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use plist::{Dictionary, Value};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{FILE_BYTES_MAX, ServiceError, ends_at, pem_text};
use crate::ber::{self, Cursor};
use crate::cms::{CmsError, Identity, RsaKey};
use crate::x509::{Certificate, Digest, X509Error};
use ipados::secret::Secret;

/// A new key, and the request for its certificate.
pub struct Request {
    /// The key, PEM (PKCS#8). A secret.
    pub key: Zeroizing<String>,
    /// The request (RFC 2986), PEM. Public.
    pub csr: String,
}

/// Makes a key (RSA, 2048 bits: Apple takes no other) and a request for it.
///
/// # Errors
/// The system has no randomness.
pub fn request(school: &str) -> Result<Request, ServiceError> {
    let pkcs8 = RsaKey::generate()?.to_pkcs8()?;
    let key = KeyPair::try_from(pkcs8.as_slice())?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Hausmeister");
    params.distinguished_name.push(DnType::OrganizationName, school.chars().take(64).collect::<String>());
    let csr = params.serialize_request(&key)?;
    Ok(Request {
        key: Zeroizing::new(pem_text("PRIVATE KEY", &pkcs8)),
        csr: pem_text("CERTIFICATE REQUEST", csr.der()),
    })
}

/// What <https://identity.apple.com/pushcert> takes: the request, signed by whoever holds an MDM vendor certificate. `vendor` is PEM: that
/// certificate, its key, and the certificates between it and Apple's root.
///
/// # Errors
/// The request or the vendor's PEM cannot be used.
pub fn signed_request(csr: &str, vendor: &str) -> Result<String, ServiceError> {
    let csr = pem::parse(csr).map_err(|_| CmsError::Identity("the request is no PEM text"))?;
    let (identity, chain) = Identity::from_pem(vendor)?;
    let (signature, _) = identity.sign(Digest::Sha256, csr.contents())?;
    let chain: String = std::iter::once(identity.certificate())
        .chain(chain.iter().map(Vec::as_slice))
        .map(|certificate| pem_text("CERTIFICATE", certificate))
        .collect();
    let mut document = Dictionary::new();
    document.insert("PushCertRequestCSR".into(), STANDARD.encode(csr.contents()).into());
    document.insert("PushCertCertificateChain".into(), chain.into());
    document.insert("PushCertSignature".into(), STANDARD.encode(signature).into());
    let mut xml = Vec::new();
    Value::Dictionary(document)
        .to_writer_xml(&mut xml)
        .map_err(|_| CmsError::Identity("the request cannot be written"))?;
    Ok(STANDARD.encode(xml))
}

/// A push certificate with its key, checked: what is sealed and kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushCertificate {
    /// Its topic.
    pub topic: String,
    /// Until when it holds, seconds since 1970.
    pub ends_at: i64,
    /// The certificate and those between it and the authority, PEM.
    pub chain: String,
    /// Its key, PEM.
    pub key: Secret<String>,
}

/// Reads a push certificate: PEM, with its key or for `own_key` (PEM, of [`request`]); DER for `own_key`; or PKCS#12 with a password.
/// `now` in seconds since 1970.
///
/// # Errors
/// See [`ServiceError`].
pub fn read(
    file: &[u8],
    password: &str,
    own_key: Option<&str>,
    now: i64,
) -> Result<PushCertificate, ServiceError> {
    if file.len() > FILE_BYTES_MAX {
        return Err(CmsError::Identity("it is too long").into());
    }
    let text = as_pem(file, password)?;
    let text = if text.contains("PRIVATE KEY-----") {
        text
    } else {
        Zeroizing::new(format!("{}{}", own_key.ok_or(ServiceError::NoKey)?, *text))
    };
    let (identity, chain) = Identity::from_pem(&text).map_err(|error| match error {
        CmsError::Identity(why) if why.contains("belongs to its key") => ServiceError::OtherKey,
        other => other.into(),
    })?;
    let ends_at = ends_at(identity.certificate())?;
    if ends_at <= now {
        return Err(ServiceError::Over);
    }
    let certificates = std::iter::once(identity.certificate()).chain(chain.iter().map(Vec::as_slice));
    let key = pem::parse_many(text.as_bytes())
        .ok()
        .and_then(|parts| parts.into_iter().find(|part| part.tag().ends_with("PRIVATE KEY")));
    let key = key.ok_or(ServiceError::NoKey)?;
    Ok(PushCertificate {
        topic: topic(identity.certificate())?.ok_or(ServiceError::NoTopic)?,
        ends_at,
        chain: certificates.map(|der| pem_text("CERTIFICATE", der)).collect(),
        key: Secret::new(pem_text(key.tag(), key.contents())),
    })
}

/// The topic that a push certificate (DER) is for: the user id of its subject.
///
/// # Errors
/// It cannot be read.
pub fn topic(certificate: &[u8]) -> Result<Option<String>, ServiceError> {
    let parsed = Certificate::parse(certificate).map_err(X509Error::from)?;
    let mut sets = Cursor::new(parsed.subject).single(ber::SEQUENCE).map_err(X509Error::from)?.open();
    while let Ok(set) = sets.next(ber::SET) {
        let mut fields = set.open().next(ber::SEQUENCE).map_err(X509Error::from)?.open();
        if fields.next(ber::OBJECT_IDENTIFIER).map_err(X509Error::from)?.content == USER_ID.as_bytes() {
            let text = fields.any().map_err(X509Error::from)?.content.to_vec();
            return Ok(String::from_utf8(text).ok().filter(|text| text.starts_with("com.apple.mgmt.")));
        }
    }
    Ok(None)
}

/// The file as PEM.
fn as_pem(file: &[u8], password: &str) -> Result<Zeroizing<String>, ServiceError> {
    if let Some(text) = std::str::from_utf8(file).ok().filter(|text| text.contains("-----BEGIN ")) {
        return Ok(Zeroizing::new(text.to_owned()));
    }
    if Certificate::parse(file).is_ok() {
        return Ok(Zeroizing::new(pem_text("CERTIFICATE", file)));
    }
    let store = KeyStore::from_pkcs12(file, password, Pkcs12ImportPolicy::Strict)
        .map_err(|_| ServiceError::Password)?;
    let (_, found) = store.private_key_chain().ok_or(ServiceError::NoKey)?;
    let mut text = pem_text("PRIVATE KEY", found.key().as_der());
    for certificate in found.certs() {
        text.push_str(&pem_text("CERTIFICATE", certificate.as_der()));
    }
    Ok(Zeroizing::new(text))
}

/// RFC 4519 section 2.39.
const USER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1");
