//! The TLS configuration that our servers share.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

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
