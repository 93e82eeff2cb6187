//! Apple's services as they answer, on loopback, for tests: one module each.
//!
//! | Module        | What it stands for                                                                       |
//! |---------------|------------------------------------------------------------------------------------------|
//! | [`push`]      | the push service (APNs): HTTP/2, TLS with a client certificate                            |
//! | [`enrolment`] | automated enrolment (Apple School Manager's device assignment)                            |
//!
//! They answer as Apple documents it, with its errors, and note what they were asked. All speak TLS with certificates of an
//! [`Authority`] that is made for the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a simulation for tests: what cannot be made should end the test"
)]

pub mod enrolment;
pub mod push;

use std::sync::{Mutex, MutexGuard, PoisonError};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

/// An authority for the certificates of a test: those of the services, and those that Apple hands out.
pub struct Authority {
    pem: String,
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = named("Apple, simulated");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).unwrap();
        let der = certificate.der().to_vec();
        let issuer = Issuer::from_ca_cert_der(certificate.der(), key).unwrap();
        Self { pem: certificate.pem(), der, issuer }
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// A certificate (DER) for `localhost`, and its key (PKCS#8 DER).
    #[must_use]
    pub fn server(&self) -> (Vec<u8>, Vec<u8>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params, OffsetDateTime::now_utc() + time::Duration::days(30))
    }

    /// A push certificate for a topic, as Apple issues one, that ends then: certificate and key, PEM.
    #[must_use]
    pub fn push_certificate(&self, topic: &str, ends: OffsetDateTime) -> (String, String) {
        let (certificate, key) = self.issue(push_params(topic), ends);
        (pem_of("CERTIFICATE", &certificate), pem_of("PRIVATE KEY", &key))
    }

    /// A push certificate for the key of a certification request (PEM), which is what the portal makes of it: PEM.
    #[must_use]
    pub fn push_certificate_for(&self, request: &str, topic: &str, ends: OffsetDateTime) -> String {
        let request = rcgen::CertificateSigningRequestParams::from_pem(request).unwrap();
        let mut params = push_params(topic);
        (params.not_before, params.not_after) = (ends - time::Duration::days(365), ends);
        params.signed_by(&request.public_key, &self.issuer).unwrap().pem()
    }

    fn issue(&self, mut params: CertificateParams, ends: OffsetDateTime) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        (params.not_before, params.not_after) = (ends - time::Duration::days(365), ends);
        params.use_authority_key_identifier_extension = true;
        (params.signed_by(&key, &self.issuer).unwrap().der().to_vec(), key.serialize_der())
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

/// A PEM text.
#[must_use]
pub fn pem_of(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn push_params(topic: &str) -> CertificateParams {
    let mut params = named(&format!("APSP:{topic}"));
    // RFC 4519 section 2.39: uid.
    let uid = DnType::CustomDnType(vec![0, 9, 2342, 19_200_300, 100, 1, 1]);
    params.distinguished_name.push(uid, DnValue::Utf8String(topic.to_owned()));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// Serves a router with a certificate of the authority; gives its address as `https://localhost:…`.
pub(crate) async fn serve(authority: &Authority, router: axum::Router) -> (httpd::Handle, String) {
    let (certificate, key) = authority.server();
    let tls = httpd::tls_config(certificate, key, None).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let handle = httpd::serve_tls(listener, tls, router, httpd::Limits::default()).unwrap();
    let url = format!("https://localhost:{}", handle.address().port());
    (handle, url)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
