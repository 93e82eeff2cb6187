//! The push service: HTTP/2 over TLS with a client certificate.
//!
//! <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::{Authority, lock};

/// What the service says to a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200.
    Taken,
    /// 400 `BadDeviceToken`.
    BadDeviceToken,
    /// 410 `Unregistered`.
    Unregistered,
    /// 429 `TooManyRequests`.
    TooManyRequests,
    /// 503 `ServiceUnavailable`.
    Unavailable,
    /// Nothing, for ever.
    Silence,
}

/// A push that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// The token, hexadecimal.
    pub token: String,
    /// The push magic.
    pub magic: String,
    /// The connection that it came by, from 1.
    pub connection: usize,
    /// What was answered.
    pub answer: Answer,
}

/// The running service.
pub struct PushService {
    url: String,
    state: Arc<Mutex<State>>,
    goodbye: watch::Sender<u32>,
    accepting: JoinSet<()>,
}

#[derive(Default)]
struct State {
    pushes: Vec<Push>,
    connections: usize,
    answers: HashMap<String, Answer>,
    otherwise: Option<Answer>,
}

impl PushService {
    /// Starts it; whoever has a certificate of `authority` may push.
    pub async fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::start_on(authority, listener).await
    }

    /// The same at a place that was chosen before: after an outage it is where it was.
    pub async fn start_on(authority: &Authority, listener: TcpListener) -> Self {
        let port = listener.local_addr().unwrap().port();
        let tls = TlsAcceptor::from(Arc::new(tls(authority)));
        let state = Arc::new(Mutex::new(State::default()));
        let (goodbye, _) = watch::channel(0);
        let mut accepting = JoinSet::new();
        let (shared, bye) = (Arc::clone(&state), goodbye.clone());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                connections.spawn(connection(tls.clone(), tcp, Arc::clone(&shared), bye.subscribe()));
            }
        });
        Self { url: format!("https://localhost:{port}"), state, goodbye, accepting }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What it says to every push from here on, unless the token has an answer of its own.
    pub fn answer_all(&self, answer: Answer) {
        lock(&self.state).otherwise = Some(answer);
    }

    /// What it says to pushes for this token (bytes) from here on.
    pub fn answer(&self, token: &[u8], answer: Answer) {
        lock(&self.state).answers.insert(hex(token), answer);
    }

    /// What arrived.
    #[must_use]
    pub fn pushes(&self) -> Vec<Push> {
        lock(&self.state).pushes.clone()
    }

    /// How many connections were made.
    #[must_use]
    pub fn connections(&self) -> usize {
        lock(&self.state).connections
    }

    /// Closes all connections as Apple does it before maintenance: with GOAWAY.
    pub fn say_goodbye(&self) {
        self.goodbye.send_modify(|n| *n += 1);
    }

    /// Ends: nobody answers at its address any more.
    pub async fn stop(mut self) {
        self.accepting.shutdown().await;
    }
}

async fn connection(
    tls: TlsAcceptor,
    tcp: TcpStream,
    state: Arc<Mutex<State>>,
    mut goodbye: watch::Receiver<u32>,
) {
    let Ok(stream) = tls.accept(tcp).await else { return };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let topic = chain.first().and_then(topic_of).unwrap_or_default();
    let number = {
        let mut state = lock(&state);
        state.connections += 1;
        state.connections
    };
    let service = hyper::service::service_fn(move |request| {
        let (state, topic) = (Arc::clone(&state), topic.clone());
        async move { Ok::<_, Infallible>(answer(request, &state, &topic, number).await) }
    });
    let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = goodbye.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

async fn answer(
    request: Request<Incoming>,
    state: &Mutex<State>,
    topic: &str,
    connection: usize,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let Some(token) = head.uri.path().strip_prefix("/3/device/").filter(|token| token.len() == 64) else {
        return refuse(StatusCode::BAD_REQUEST, "BadDeviceToken");
    };
    let refusal = if head.method != hyper::Method::POST {
        Some((StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed"))
    } else if header("apns-topic").is_empty() {
        Some((StatusCode::BAD_REQUEST, "MissingTopic"))
    } else if header("apns-topic") != topic {
        Some((StatusCode::BAD_REQUEST, "TopicDisallowed"))
    } else if header("apns-push-type") != "mdm" {
        Some((StatusCode::BAD_REQUEST, "InvalidPushType"))
    } else if !["", "1", "5", "10"].contains(&header("apns-priority")) {
        Some((StatusCode::BAD_REQUEST, "BadPriority"))
    } else if header("apns-expiration").parse::<u64>().is_err() {
        Some((StatusCode::BAD_REQUEST, "BadExpirationDate"))
    } else {
        None
    };
    if let Some((status, reason)) = refusal {
        return refuse(status, reason);
    }
    let Ok(body) = Limited::new(body, PAYLOAD_BYTES_MAX).collect().await else {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE, "PayloadTooLarge");
    };
    let payload: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let Some(magic) = payload.get("mdm").and_then(Value::as_str) else {
        return refuse(StatusCode::BAD_REQUEST, "PayloadEmpty");
    };
    let answer = {
        let mut state = lock(state);
        let answer = state.answers.get(token).copied().or(state.otherwise).unwrap_or(Answer::Taken);
        state.pushes.push(Push { token: token.to_owned(), magic: magic.to_owned(), connection, answer });
        answer
    };
    match answer {
        Answer::Taken => respond(StatusCode::OK, Bytes::new()),
        Answer::BadDeviceToken => refuse(StatusCode::BAD_REQUEST, "BadDeviceToken"),
        Answer::Unregistered => {
            let reason = json!({ "reason": "Unregistered", "timestamp": 1_700_000_000_000_u64 });
            respond(StatusCode::GONE, Bytes::from(reason.to_string()))
        }
        Answer::TooManyRequests => refuse(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests"),
        Answer::Unavailable => refuse(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        Answer::Silence => {
            tokio::time::sleep(FOR_EVER).await;
            refuse(StatusCode::SERVICE_UNAVAILABLE, "Shutdown")
        }
    }
}

fn refuse(status: StatusCode, reason: &str) -> Response<Full<Bytes>> {
    respond(status, Bytes::from(json!({ "reason": reason }).to_string()))
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let id = uuid::Uuid::new_v4().to_string().to_uppercase();
    Response::builder().status(status).header("apns-id", id).body(Full::new(body)).unwrap()
}

fn tls(authority: &Authority) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der().to_vec())).unwrap();
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let (certificate, key) = authority.server();
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(clients.build().unwrap())
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)),
        )
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    tls
}

fn topic_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let mut uid = certificate.subject().iter_attributes().filter(|it| it.attr_type().to_id_string() == UID);
    uid.next()?.as_str().ok().map(str::to_owned)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const UID: &str = "0.9.2342.19200300.100.1.1";
/// Apple's limit for pushes of this kind.
const PAYLOAD_BYTES_MAX: usize = 4096;
const FOR_EVER: Duration = Duration::from_secs(3600);
