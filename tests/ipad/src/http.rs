//! Talking to the server.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

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

/// Which servers an iPad talks to.
#[derive(Clone)]
pub struct Trust(ureq::Agent);

impl Trust {
    /// Those with a certificate of that authority (PEM).
    ///
    /// # Errors
    /// It is no certificate.
    pub fn authority(pem: &[u8]) -> Result<Self, HttpError> {
        let certificate =
            CertificateDer::from_pem_slice(pem).map_err(|_| HttpError::Answer("the authority is no PEM"))?;
        let roots = RootCerts::Specific(Arc::new(vec![Certificate::from_der(&certificate).to_owned()]));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls =
            TlsConfig::builder().provider(TlsProvider::Rustls).unversioned_rustls_crypto_provider(provider);
        let config = ureq::Agent::config_builder()
            .tls_config(tls.root_certs(roots).build())
            .http_status_as_error(false)
            // A fleet shares them.
            .max_idle_connections(IDLE_MAX)
            .max_idle_connections_per_host(IDLE_MAX)
            .timeout_global(Some(TIMEOUT))
            .user_agent("MDM-iPadOS/18.1")
            .build();
        Ok(Self(config.new_agent()))
    }

    /// The body behind a link.
    pub(crate) fn get(&self, url: &str) -> Result<Vec<u8>, HttpError> {
        body(self.0.get(url).call())
    }

    /// Posts a message.
    pub(crate) fn post(&self, url: &str, kind: &str, message: &[u8]) -> Result<Vec<u8>, HttpError> {
        body(self.0.post(url).content_type(kind).send(message))
    }

    /// Puts a message with its `Mdm-Signature`; `None` when the answer is empty.
    pub(crate) fn put(
        &self,
        url: &str,
        message: &[u8],
        signature: &str,
    ) -> Result<Option<Vec<u8>>, HttpError> {
        let request = self.0.put(url).header("mdm-signature", signature);
        let answer = body(request.content_type("application/x-apple-aspen-mdm").send(message))?;
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }
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
