//! Waking iPads: Apple's push service over HTTP/2, one connection for all.
//!
//! Apple: <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>. A push says nothing but that
//! there is work: `{"mdm": PushMagic}`.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
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
    /// The service was not reached a moment ago, and is not asked again yet.
    #[error("the push service did not answer a moment ago")]
    Down,
}

/// The topic that a push certificate (PEM) is for: the user id of its subject.
pub(crate) fn topic_of(pem: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&certificate).ok()?;
    let attributes = certificate.subject().iter_attributes();
    let mut ids = attributes.filter(|attribute| attribute.attr_type().to_id_string() == USER_ID);
    ids.next()?.as_str().ok().map(str::to_owned)
}

/// The connection to the push service.
pub(crate) struct Push {
    tls: TlsConnector,
    host: String,
    port: u16,
    topic: String,
    connection: Mutex<Connection>,
}

/// The one connection, and what is known of it.
#[derive(Default)]
struct Connection {
    sender: Option<SendRequest<Full<Bytes>>>,
    /// Grows with each connection: who finds one broken does not close the next one.
    number: u64,
    /// Nobody tries before.
    down_until: UnixMillis,
}

impl Push {
    /// Reads certificate and key; `None` when there is none.
    pub(crate) fn new(config: &Config, topic: &str) -> Result<Option<Self>, PushError> {
        let (Some(certificate), Some(key)) = (&config.push_certificate, &config.push_key) else {
            return Ok(None);
        };
        let bad = |error: String| PushError::Certificate(error);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(certificate)?).collect();
        let chain = chain.map_err(|error| bad(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| bad(error.to_string()))?;
        let mut roots = RootCertStore::empty();
        match &config.push_authority {
            Some(path) => {
                for certificate in CertificateDer::pem_slice_iter(&read(path)?).flatten() {
                    roots.add(certificate).map_err(|error| bad(error.to_string()))?;
                }
            }
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| bad(error.to_string()))?.with_root_certificates(roots);
        let mut tls = tls.with_client_auth_cert(chain, key).map_err(|error| bad(error.to_string()))?;
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let url = || PushError::Url(config.push_url.clone());
        let rest = config.push_url.strip_prefix("https://").ok_or_else(url)?.trim_end_matches('/');
        let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
        Ok(Some(Self {
            tls: TlsConnector::from(Arc::new(tls)),
            host: host.to_owned(),
            port: port.parse().map_err(|_| url())?,
            topic: topic.to_owned(),
            connection: Mutex::default(),
        }))
    }

    /// Wakes one iPad.
    ///
    /// # Errors
    /// The service is not reached.
    pub(crate) async fn wake(&self, address: &Address, now: UnixMillis) -> Result<Pushed, PushError> {
        let (mut sender, number) = self.sender(now).await?;
        let answer = tokio::time::timeout(ANSWER, self.ask(&mut sender, address, now)).await;
        match answer.map_err(Into::into).and_then(|answer| answer) {
            Ok(pushed) => Ok(pushed),
            Err(error) => {
                let mut connection = self.connection.lock().await;
                if connection.number == number {
                    connection.sender = None;
                }
                Err(PushError::Connect(error))
            }
        }
    }

    async fn ask(
        &self,
        sender: &mut SendRequest<Full<Bytes>>,
        address: &Address,
        now: UnixMillis,
    ) -> Result<Pushed, Box<dyn std::error::Error + Send + Sync>> {
        let path = format!("https://{}:{}/3/device/{}", self.host, self.port, hex(&address.token));
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

    async fn sender(&self, now: UnixMillis) -> Result<(SendRequest<Full<Bytes>>, u64), PushError> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.sender.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok((sender.clone(), connection.number));
        }
        if now < connection.down_until {
            return Err(PushError::Down);
        }
        let sender = tokio::time::timeout(ANSWER, self.connect()).await;
        let sender = match sender.map_err(Into::into).and_then(|sender| sender) {
            Ok(sender) => sender,
            Err(error) => {
                connection.down_until = now.plus_secs(DOWN_SECS);
                return Err(PushError::Connect(error));
            }
        };
        connection.number += 1;
        connection.sender = Some(sender.clone());
        Ok((sender, connection.number))
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let tls = self.tls.connect(ServerName::try_from(self.host.clone())?, tcp).await?;
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
        f.debug_struct("Push").field("host", &self.host).field("topic", &self.topic).finish_non_exhaustive()
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

/// RFC 4519 section 2.39.
const USER_ID: &str = "0.9.2342.19200300.100.1.1";
/// Reasons that say that a token is of no use.
const TOKEN_REASONS: [&str; 3] = ["BadDeviceToken", "DeviceTokenNotForTopic", "Unregistered"];
/// Two days: over a weekend.
const KEPT_SECS: i64 = 2 * 86_400;
/// How long nobody tries after a connection failed.
const DOWN_SECS: u64 = 30;
const ANSWER: std::time::Duration = std::time::Duration::from_secs(10);
const KEEP_ALIVE: std::time::Duration = std::time::Duration::from_secs(60);
const REASON_BYTES_MAX: usize = 4096;
