//! TLS 1.3 between two PCs: who passes on proves its device key, and who asks knows which that must be.

use std::sync::Arc;

use images::swarm::PeerId;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, PeerMisbehaved, ServerConfig,
    SignatureScheme,
};

use crate::client::tls13_only;
use crate::identity::Identity;

/// For who passes on.
///
/// # Errors
/// The library refuses our own key.
pub(super) fn serving(identity: &Identity) -> Result<Arc<ServerConfig>, Error> {
    let certificate = CertificateDer::from(identity.certificate().to_vec());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(identity.private_key().to_vec()));
    let mut config = ServerConfig::builder_with_provider(Arc::new(tls13_only()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

/// For who asks this very PC.
///
/// # Errors
/// The library refuses its own parts.
pub(super) fn asking(peer: PeerId) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(tls13_only());
    let verifier = Arc::new(Pinned { peer, provider: provider.clone() });
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.enable_sni = false;
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

/// The certificates of PCs are signed by nobody: the key counts, which the server knows.
#[derive(Debug)]
struct Pinned {
    peer: PeerId,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        // The same parser that the signature of the handshake is checked with.
        let parsed = ParsedCertificate::try_from(certificate)?;
        if PeerId::of(parsed.subject_public_key_info().as_ref()) == self.peer {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
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
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // What devices have.
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
