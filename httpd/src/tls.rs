//! The TLS configuration that our servers share.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ResolvesServerCertUsingSni, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};

/// A server configuration (TLS 1.2 and 1.3, ring) for one certificate (DER) and its key (PKCS#8 DER). With `clients`, a
/// client is asked for a certificate, and that verifier judges it.
///
/// # Errors
/// Certificate and key do not fit together.
pub fn tls_config(
    certificate: Vec<u8>,
    key: Vec<u8>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)),
        )?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A server configuration for several certificates: `own` (DER, with its PKCS#8 key) for everybody, unless a client asks for the
/// name that `named` has a certificate for. `clients` as above.
///
/// # Errors
/// Certificate and key do not fit together.
pub fn tls_config_with_name(
    certificate: Vec<u8>,
    key: Vec<u8>,
    named: Arc<Named>,
    clients: Option<Arc<dyn ClientCertVerifier>>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key));
    let own = CertifiedKey::from_der(vec![CertificateDer::from(certificate)], key, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.unwrap_or_else(WebPkiClientVerifier::no_client_auth))
        .with_cert_resolver(Arc::new(Chosen { own: Arc::new(own), named }));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Asks clients for a certificate of this authority (DER); who has none may come as well, who shows another one may not.
///
/// # Errors
/// The authority is no certificate.
pub fn clients_of(authority: &[u8]) -> Result<Arc<dyn ClientCertVerifier>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated();
    verifier.build().map_err(|error| rustls::Error::General(error.to_string()))
}

/// A certificate for one name, which is replaced while the server runs: those that strangers trust hold for some weeks.
#[derive(Debug)]
pub struct Named {
    name: String,
    certificate: RwLock<Option<Arc<CertifiedKey>>>,
}

impl Named {
    /// No certificate yet for that name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.to_ascii_lowercase(), certificate: RwLock::default() }
    }

    /// Takes the certificates (the server's first) and the key of two PEM texts.
    ///
    /// # Errors
    /// One of them cannot be read, they do not fit together, or the certificate is for another name; then the one before stays.
    pub fn replace(&self, certificates: &[u8], key: &[u8]) -> Result<(), NamedError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(NamedError::Certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| NamedError::Key)?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, key, &provider).map_err(NamedError::Pair)?;
        ResolvesServerCertUsingSni::new().add(&self.name, pair.clone()).map_err(NamedError::Name)?;
        *self.certificate.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(pair));
        Ok(())
    }
}

/// Why a certificate for a name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NamedError {
    /// The first text has no certificate.
    #[error("there is no certificate in the file of certificates")]
    Certificate,
    /// The second text has no key.
    #[error("there is no private key in the file of the key")]
    Key,
    /// They do not fit together.
    #[error("certificate and key do not fit together: {0}")]
    Pair(#[source] rustls::Error),
    /// The certificate does not have the name.
    #[error("the certificate is for another name: {0}")]
    Name(#[source] rustls::Error),
}

#[derive(Debug)]
struct Chosen {
    own: Arc<CertifiedKey>,
    named: Arc<Named>,
}

impl ResolvesServerCert for Chosen {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked = hello.server_name().is_some_and(|name| name.eq_ignore_ascii_case(&self.named.name));
        let named = || self.named.certificate.read().unwrap_or_else(PoisonError::into_inner).clone();
        asked.then(named).flatten().or_else(|| Some(Arc::clone(&self.own)))
    }
}
