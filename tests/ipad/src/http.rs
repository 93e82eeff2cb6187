//! Talking to the server.

use std::sync::Arc;
use std::time::Duration;

use credentials::services::pem_text;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

/// Why the server was not understood.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// It was not reached.
    #[error("the server is not reached: {0}")]
    Reach(#[from] Box<ureq::Error>),
    /// It refused with this status.
    #[error("the server answers {0}")]
    Status(u16),
    /// It answered something that makes no sense.
    #[error("the server's answer makes no sense: {0}")]
    Answer(&'static str),
}

/// Which servers an iPad talks to, and whether it shows them its certificate.
#[derive(Clone)]
pub struct Trust {
    agent: ureq::Agent,
    authority: Certificate<'static>,
    shows: bool,
}

impl Trust {
    /// Those with a certificate of that authority (PEM).
    ///
    /// # Errors
    /// It is no certificate.
    pub fn authority(pem: &[u8]) -> Result<Self, HttpError> {
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|_| HttpError::Answer("the authority is no PEM"))?;
        let authority = Certificate::from_der(&certificate).to_owned();
        Ok(Self { agent: agent(&authority, None), authority, shows: false })
    }

    /// iPads that trust like this show their certificate in each TLS handshake from when they have it, as real ones do that are asked for
    /// it. Each has connections of its own then.
    #[must_use]
    pub fn showing_certificates(self) -> Self {
        Self { shows: true, ..self }
    }

    /// For an iPad with this certificate (DER) and key (PKCS#8 DER).
    pub(crate) fn of(&self, certificate: &[u8], key: &[u8]) -> Result<Self, HttpError> {
        if !self.shows {
            return Ok(self.clone());
        }
        let key = PrivateKey::from_pem(pem_text("PRIVATE KEY", key).as_bytes());
        let key = key.map_err(|_| HttpError::Answer("our own key"))?;
        let shown = ClientCert::new_with_certs(&[Certificate::from_der(certificate).to_owned()], key);
        Ok(Self { agent: agent(&self.authority, Some(shown)), ..self.clone() })
    }

    /// The body behind a link.
    pub(crate) fn get(&self, url: &str) -> Result<Vec<u8>, HttpError> {
        body(self.agent.get(url).call())
    }

    /// Posts a message.
    pub(crate) fn post(&self, url: &str, kind: &str, message: &[u8]) -> Result<Vec<u8>, HttpError> {
        body(self.agent.post(url).content_type(kind).send(message))
    }

    /// A request with these headers; what is answered, whatever its status.
    pub(crate) fn exchange(
        &self,
        request: ureq::http::Request<Vec<u8>>,
    ) -> Result<ureq::http::Response<Vec<u8>>, HttpError> {
        let (head, mut body) = self.agent.run(request).map_err(Box::new)?.into_parts();
        let body = body.read_to_vec().map_err(Box::new)?;
        Ok(ureq::http::Response::from_parts(head, body))
    }

    /// Puts a message with its `Mdm-Signature`; `None` when the answer is empty.
    pub(crate) fn put(
        &self,
        url: &str,
        message: &[u8],
        signature: &str,
    ) -> Result<Option<Vec<u8>>, HttpError> {
        let request = self.agent.put(url).header("mdm-signature", signature);
        let answer = body(request.content_type("application/x-apple-aspen-mdm").send(message))?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }
}

fn agent(authority: &Certificate<'static>, shown: Option<ClientCert>) -> ureq::Agent {
    let roots = RootCerts::Specific(Arc::new(vec![authority.clone()]));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = TlsConfig::builder().provider(TlsProvider::Rustls).unversioned_rustls_crypto_provider(provider);
    let config = ureq::Agent::config_builder()
        .tls_config(tls.root_certs(roots).client_cert(shown).build())
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        // A fleet shares them.
        .max_idle_connections(IDLE_MAX)
        .max_idle_connections_per_host(IDLE_MAX)
        .timeout_global(Some(TIMEOUT))
        .user_agent("MDM-iPadOS/18.1")
        .build();
    config.new_agent()
}

fn body(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<Vec<u8>, HttpError> {
    let mut answer = answer.map_err(Box::new)?;
    match answer.status().as_u16() {
        200 => Ok(answer.body_mut().read_to_vec().map_err(Box::new)?),
        status => Err(HttpError::Status(status)),
    }
}

const IDLE_MAX: usize = 64;
const TIMEOUT: Duration = Duration::from_secs(30);
