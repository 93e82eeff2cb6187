//! The TLS side of the agent port: our certificate for whichever address was reached, and the key of whoever speaks.
//!
//! | Standard | What is done here                                                                     |
//! |----------|---------------------------------------------------------------------------------------|
//! | RFC 8446 | TLS 1.3 only, client certificate required, no resumption                              |
//! | RFC 5280 | of the client's certificate only the public key counts: no chain, no names, no dates  |
//!
//! A PC makes its own key and a certificate around it. The handshake proves that it holds the key; whether the key is
//! anybody's is looked up in the inventory later. Dates are ignored because PCs with a dead clock battery must work too.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use inventory::ca::{Authority, CaError};
use inventory::{KeyFingerprint, UnixMillis};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ClientHello, NoServerSessionStorage, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, ServerConfig,
    SignatureScheme,
};

/// Why there is no TLS configuration.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The school's authority cannot make a certificate.
    #[error("cannot make the certificate of the agent port")]
    Authority(#[from] CaError),
    /// The TLS library refuses it.
    #[error("the TLS library does not take the certificate of the agent port")]
    Library(#[from] Error),
}

/// Our certificate: made anew when an address of ours is not in it yet, and when it ages.
pub(crate) struct ServerIdentity {
    authority: Authority,
    names: Vec<String>,
    /// An address that PCs are told to use but that no interface of ours may have, for example behind a router.
    announced: Option<IpAddr>,
    current: Mutex<Current>,
}

struct Current {
    addresses: BTreeSet<IpAddr>,
    made_at: UnixMillis,
    looked_at: UnixMillis,
    key: Arc<CertifiedKey>,
}

impl ServerIdentity {
    /// Makes the first certificate.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(crate) fn new(
        authority: Authority,
        names: Vec<String>,
        announced: Option<IpAddr>,
        now: UnixMillis,
    ) -> Result<Self, TlsError> {
        let mut addresses = local_addresses();
        addresses.extend(announced);
        let key = issue(&authority, &addresses, &names)?;
        let current = Current { addresses, made_at: now, looked_at: now, key };
        Ok(Self { authority, names, announced, current: Mutex::new(current) })
    }

    /// The certificate of the moment. `addresses` finds out our addresses; it is asked every ten seconds at most.
    fn certificate(&self, now: UnixMillis, addresses: impl Fn() -> BTreeSet<IpAddr>) -> Arc<CertifiedKey> {
        // Each step below leaves a value that is right, so a panic elsewhere cannot have left half of one.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if (0..LOOK_MILLIS).contains(&now.millis_since(current.looked_at)) {
            return current.key.clone();
        }
        current.looked_at = now;
        let mut addresses = addresses();
        addresses.extend(self.announced);
        let fresh = (0..REISSUE_MILLIS).contains(&now.millis_since(current.made_at));
        if fresh && addresses.is_subset(&current.addresses) {
            return current.key.clone();
        }
        match issue(&self.authority, &addresses, &self.names) {
            Ok(key) => *current = Current { addresses, made_at: now, looked_at: now, key },
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(error, "cannot renew the certificate of the agent port; using the old one");
            }
        }
        current.key.clone()
    }
}

impl std::fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerIdentity").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for ServerIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.certificate(inventory::clock::now(), local_addresses))
    }
}

/// The configuration of the agent port.
///
/// # Errors
/// The TLS library refuses its own parts.
pub(crate) fn config(identity: ServerIdentity) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyKey { provider }))
        .with_cert_resolver(Arc::new(identity));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Every connection proves its key itself. Agents keep their connections, so this costs little.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn issue(
    authority: &Authority,
    addresses: &BTreeSet<IpAddr>,
    names: &[String],
) -> Result<Arc<CertifiedKey>, TlsError> {
    let addresses: Vec<IpAddr> = addresses.iter().copied().take(ADDRESSES_MAX).collect();
    let cert = authority.issue_server(&addresses, names)?;
    let key = PrivateKeyDer::Pkcs8(cert.key.into());
    let key = rustls::crypto::ring::sign::any_supported_type(&key)?;
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(cert.certificate)], key)))
}

fn local_addresses() -> BTreeSet<IpAddr> {
    httpd::local_addresses().into_iter().collect()
}

/// The fingerprint of the key that a handshake has proven.
///
/// The key is taken out of the certificate by the very parser that the handshake's signature was checked with; two parsers
/// that disagree about a crafted certificate would let one PC pass for another.
///
/// # Errors
/// `None` when the certificate cannot be read.
pub(crate) fn fingerprint(certificate: &CertificateDer<'_>) -> Option<KeyFingerprint> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    let key = parsed.subject_public_key_info();
    blake3::hash(key.as_ref()).to_hex().parse().ok()
}

/// Accepts every client certificate whose key the client holds.
#[derive(Debug)]
struct AnyKey {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if certificate.len() > CERTIFICATE_BYTES_MAX || !chain.is_empty() {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        fingerprint(certificate).ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // TLS 1.2 is not offered.
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        if !SCHEMES.contains(&signature.scheme) {
            return Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into());
        }
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SCHEMES.to_vec()
    }
}

/// Kinds of keys that a device may have. No RSA: a large key would let a stranger spend our time cheaply.
const SCHEMES: [SignatureScheme; 3] = [
    SignatureScheme::ED25519,
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
];
/// A self-signed certificate around one of these keys has about 400 bytes.
const CERTIFICATE_BYTES_MAX: usize = 4 << 10;
const ADDRESSES_MAX: usize = 64;
const LOOK_MILLIS: i64 = 10_000;
/// Certificates are valid for 396 days; one that is made anew every 30 never comes near the end.
const REISSUE_MILLIS: i64 = 30 * 86_400_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_made_again_for_a_new_address_and_when_it_ages() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::ensure(dir.path(), "Testschule").unwrap();
        let names = vec!["server.schule.internal".into()];
        let identity = ServerIdentity::new(authority, names, None, UnixMillis(0)).unwrap();
        let at = |secs: i64, address: &str| {
            identity.certificate(UnixMillis(secs * 1000), || BTreeSet::from([address.parse().unwrap()]))
        };
        let first = at(0, "127.0.0.1");
        assert!(Arc::ptr_eq(&first, &at(9, "192.0.2.77")), "the interfaces are not looked at every time");
        assert!(Arc::ptr_eq(&first, &at(10, "127.0.0.1")));
        let second = at(20, "192.0.2.77");
        assert!(!Arc::ptr_eq(&first, &second), "an address that was not named yet");
        let day = 86_400;
        assert!(Arc::ptr_eq(&second, &at(29 * day, "192.0.2.77")));
        let third = at(31 * day, "192.0.2.77");
        assert!(!Arc::ptr_eq(&second, &third), "it is made anew in time");
        assert!(!Arc::ptr_eq(&third, &at(-day, "192.0.2.77")), "the clock jumped back before its beginning");
    }

    #[test]
    fn a_fingerprint_is_the_hash_of_the_public_key_and_of_nothing_else() {
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = |name: &str| {
            let params = rcgen::CertificateParams::new(vec![name.into()]).unwrap();
            params.self_signed(&key).unwrap().der().clone()
        };
        use rcgen::PublicKeyData as _;
        let expected = blake3::hash(&key.subject_public_key_info()).to_hex();
        for name in ["a", "b"] {
            assert_eq!(fingerprint(&certificate(name)).unwrap().as_str(), expected.as_str());
        }
        assert_eq!(fingerprint(&CertificateDer::from(b"no certificate".to_vec())), None);
    }
}
