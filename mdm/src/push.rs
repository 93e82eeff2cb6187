//! Waking iPads: Apple's push service over HTTP/2, one connection for all.
//!
//! Apple: <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>. A push says nothing but that
//! there is work: `{"mdm": PushMagic}`.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use credentials::services::ServiceError;
use credentials::services::push::{self, PushCertificate};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use inventory::UnixMillis;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::config::Config;
use crate::ipads::hex;

/// How an iPad is reached; sealed where it is stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    /// Its address at the push service.
    #[serde(with = "serde_bytes_base64")]
    pub(crate) token: Vec<u8>,
    /// What it wants to see in a push before it believes it.
    pub(crate) magic: String,
}

/// Why the push service is not reached.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the push service said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It will be delivered.
    Taken,
    /// The token is not valid any more: nothing can be pushed before the next `TokenUpdate`.
    Gone,
    /// Not now.
    Busy,
}

/// Why pushing does not work at all.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// A file cannot be read.
    #[error("cannot read {path}; [mdm] names it")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Certificate or key make no sense.
    #[error("the push certificate cannot be used: {0}; import the one that Apple issued, with its key")]
    Certificate(String),
    /// The address of the service makes no sense.
    #[error("push_url {0:?} is not of the form https://api.push.apple.com")]
    Url(String),
    /// The service is not reached.
    #[error("the push service does not answer")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The service took nothing a moment ago, and is not asked again yet.
    #[error("the push service took nothing a moment ago")]
    Down,
    /// The certificate is over.
    #[error("the push certificate has ended; renew it with the same Apple account")]
    Over,
}

/// Where pushes go, and whom to believe there.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    host: String,
    port: u16,
    roots: Arc<RootCertStore>,
    /// How long an answer may take.
    answer: Duration,
}

impl Target {
    /// As the configuration says.
    pub(crate) fn new(config: &Config) -> Result<Self, PushError> {
        let bad = |error: rustls::Error| PushError::Certificate(error.to_string());
        let mut roots = RootCertStore::empty();
        match &config.push_authority {
            Some(path) => {
                for certificate in CertificateDer::pem_slice_iter(&read(path)?).flatten() {
                    roots.add(certificate).map_err(bad)?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let url = || PushError::Url(config.push_url.clone());
        let rest = config.push_url.strip_prefix("https://").ok_or_else(url)?.trim_end_matches('/');
        let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
        let port = port.parse().map_err(|_| url())?;
        Ok(Self { host: host.to_owned(), port, roots: Arc::new(roots), answer: ANSWER })
    }
}

/// The push certificate of the configuration's files.
pub(crate) fn of_files(config: &Config, now: UnixMillis) -> Result<Option<PushCertificate>, PushError> {
    let (Some(certificate), Some(key)) = (&config.push_certificate, &config.push_key) else {
        return Ok(None);
    };
    let text = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
    // One that is over is told of on the admin's page, and stops nothing else.
    let found = push::read(&text, "", None, now.0 / 1000).or_else(|error| match error {
        ServiceError::Over => push::read(&text, "", None, 0),
        other => Err(other),
    });
    found.map(Some).map_err(|error| PushError::Certificate(error.to_string()))
}

/// The connection to the push service.
pub(crate) struct Push {
    target: Target,
    tls: TlsConnector,
    topic: String,
    ends_at: UnixMillis,
    connection: Mutex<Connection>,
    trouble: std::sync::Mutex<Option<Trouble>>,
}

/// Why pushes are not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The service is not reached, or does not answer.
    Silent,
    /// It takes none at the moment.
    Refusing,
}

/// The one connection, and what is known of it.
#[derive(Default)]
struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Grows with each connection: who finds one broken does not close the next one.
    number: u64,
    /// How often in a row nothing was taken.
    failures: u32,
    /// Nobody tries before.
    down_until: UnixMillis,
}

impl Connection {
    /// Nobody tries for a while: half a minute, twice as long each time, to five minutes.
    fn back_off(&mut self, now: UnixMillis) {
        // A hundred pushes that fail together failed once.
        if now >= self.down_until {
            self.down_until = now.plus_secs((DOWN_SECS << self.failures.min(8)).min(DOWN_SECS_MAX));
            self.failures = self.failures.saturating_add(1);
        }
    }
}

impl Push {
    /// Pushes with this certificate.
    pub(crate) fn new(target: Target, certificate: &PushCertificate) -> Result<Self, PushError> {
        let bad = |error: String| PushError::Certificate(error);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate.chain.as_bytes()).collect();
        let chain = chain.map_err(|error| bad(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(certificate.key.expose().as_bytes());
        let key = key.map_err(|error| bad(error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| bad(error.to_string()))?;
        let tls = tls.with_root_certificates(Arc::clone(&target.roots));
        let mut tls = tls.with_client_auth_cert(chain, key).map_err(|error| bad(error.to_string()))?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Self {
            target,
            tls: TlsConnector::from(Arc::new(tls)),
            topic: certificate.topic.clone(),
            ends_at: UnixMillis(certificate.ends_at.saturating_mul(1000)),
            connection: Mutex::default(),
            trouble: std::sync::Mutex::default(),
        })
    }

    /// When the certificate ends.
    pub(crate) fn ends_at(&self) -> UnixMillis {
        self.ends_at
    }

    /// Why pushes are not taken at the moment.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Wakes one iPad.
    ///
    /// # Errors
    /// The service is not reached.
    pub(crate) async fn wake(&self, address: &Address, now: UnixMillis) -> Result<Pushed, PushError> {
        if now >= self.ends_at {
            return Err(PushError::Over);
        }
        let (sender, number, is_new) = self.sender(now).await?;
        let mut done = self.try_once(sender, address, now).await;
        if done.is_err() && !is_new {
            // The connection may have been closed for its age (GOAWAY) with this push on its way.
            self.drop_connection(number).await;
            let (sender, number, _) = self.sender(now).await?;
            done = self.try_once(sender, address, now).await;
            if done.is_err() {
                self.drop_connection(number).await;
            }
        }
        match done {
            Ok(Pushed::Busy) => {
                self.connection.lock().await.back_off(now);
                self.note(Some(Trouble::Refusing));
                Ok(Pushed::Busy)
            }
            Ok(pushed) => {
                self.connection.lock().await.failures = 0;
                self.note(None);
                Ok(pushed)
            }
            Err(error) => {
                self.drop_connection(number).await;
                self.connection.lock().await.back_off(now);
                self.note(Some(Trouble::Silent));
                Err(PushError::Connect(error))
            }
        }
    }

    async fn try_once(
        &self,
        mut sender: SendRequest<Full<Bytes>>,
        address: &Address,
        now: UnixMillis,
    ) -> Result<Pushed, Failure> {
        let answer = tokio::time::timeout(self.target.answer, self.ask(&mut sender, address, now)).await;
        answer.map_err(Into::into).and_then(|answer| answer)
    }

    /// Who finds a connection broken does not close the next one.
    async fn drop_connection(&self, number: u64) {
        let mut connection = self.connection.lock().await;
        if connection.number == number {
            connection.sender = None;
        }
    }

    async fn ask(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        address: &Address,
        now: UnixMillis,
    ) -> Result<Pushed, Failure> {
        let path =
            format!("https://{}:{}/3/device/{}", self.target.host, self.target.port, hex(&address.token));
        let body = serde_json::json!({ "mdm": address.magic }).to_string();
        let request = Request::post(path)
            .header("apns-topic", &self.topic)
            .header("apns-push-type", "mdm")
            .header("apns-priority", "10")
            // Apple keeps it for an iPad that is switched off, and delivers the last one.
            .header("apns-expiration", (now.0 / 1000 + KEPT_SECS).to_string())
            .body(Full::new(Bytes::from(body)))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), REASON_BYTES_MAX).collect().await;
        let reason = body.ok().and_then(|body| serde_json::from_slice::<Reason>(&body.to_bytes()).ok());
        let reason = reason.map_or_else(String::new, |reason| reason.reason);
        Ok(match status {
            StatusCode::OK => Pushed::Taken,
            StatusCode::GONE => Pushed::Gone,
            StatusCode::BAD_REQUEST if TOKEN_REASONS.contains(&reason.as_str()) => Pushed::Gone,
            _ => {
                tracing::warn!(
                    status = status.as_u16(),
                    reason,
                    "the push service refused a push; trying again"
                );
                Pushed::Busy
            }
        })
    }

    /// The connection, its number, and whether it was made for this.
    async fn sender(&self, now: UnixMillis) -> Result<(SendRequest<Full<Bytes>>, u64, bool), PushError> {
        let mut connection = self.connection.lock().await;
        if now < connection.down_until {
            return Err(PushError::Down);
        }
        if let Some(sender) = connection.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), connection.number, false));
        }
        let sender = tokio::time::timeout(self.target.answer, self.connect()).await;
        let sender = match sender.map_err(Into::into).and_then(|sender| sender) {
            Ok(sender) => sender,
            Err(error) => {
                connection.back_off(now);
                self.note(Some(Trouble::Silent));
                return Err(PushError::Connect(error));
            }
        };
        connection.number += 1;
        connection.sender = Some(sender.clone());
        Ok((sender, connection.number, true))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Failure> {
        let tcp = TcpStream::connect((self.target.host.as_str(), self.target.port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(ServerName::try_from(self.target.host.clone())?, tcp).await?;
        let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(Some(KEEP_ALIVE))
            .handshake(TokioIo::new(tls))
            .await?;
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "the connection to the push service ended");
            }
        });
        Ok(sender)
    }
}

impl std::fmt::Debug for Push {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Push")
            .field("host", &self.target.host)
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

/// What stands in a refusal.
#[derive(Deserialize)]
struct Reason {
    reason: String,
}

fn read(path: &Path) -> Result<Vec<u8>, PushError> {
    fs::read(path).map_err(|source| PushError::File { path: path.display().to_string(), source })
}

mod serde_bytes_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<u8>, D::Error> {
        STANDARD.decode(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// Reasons that say that a token is of no use.
const TOKEN_REASONS: [&str; 3] = ["BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered"];
/// Two days: over a weekend.
const KEPT_SECS: i64 = 2 * 86_400;
/// How long nobody tries after nothing was taken, the first time and at most.
const DOWN_SECS: u64 = 30;
const DOWN_SECS_MAX: u64 = 300;
const ANSWER: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const REASON_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests;
