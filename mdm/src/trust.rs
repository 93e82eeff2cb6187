//! Whom requests to Apple's services of HTTP/1.1 believe that they are it.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// The authorities of a PEM file; what is no certificate is passed over.
pub(crate) fn authorities(pem: &[u8]) -> RootCerts {
    let certificates = CertificateDer::pem_slice_iter(pem).flatten();
    let certificates = certificates.map(|der| Certificate::from_der(&der).to_owned()).collect();
    RootCerts::Specific(Arc::new(certificates))
}

/// TLS with a service that these vouch for.
pub(crate) fn tls(roots: RootCerts) -> TlsConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().provider(TlsProvider::Rustls).unversioned_rustls_crypto_provider(provider);
    tls.root_certs(roots).build()
}
