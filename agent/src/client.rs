//! The conversation with `deployd`: one function per message of [`images::protocol`].
//!
//! TLS 1.3 only, with the server's certificate checked against one CA, the school's, and our own certificate shown. Bodies
//! are bounded in both directions. Nothing here repeats a request: who asks knows whether that makes sense.

use std::sync::Arc;
use std::time::Duration;

use images::chunk::{Hash, STORED_BYTES_MAX, Stored};
use images::manifest::MANIFEST_BYTES_MAX;
use images::protocol::{
    Ask, CHUNKS_PER_FETCH, DRIVER_REPLY_BYTES_MAX, DriverAsk, DriverFetch, DriverReply, ErrorBody, Finish,
    HELLO, Hello, HelloReply, JOBS, JSON_BYTES_MAX, JobControl, Progress, REPORT, Referral, Report, Stay,
    WINDOWS_AGENT_BYTES_MAX, WORK, Work,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use software::protocol::{FILES, REPLY_BYTES_MAX, Reply, SOFTWARE, Status};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig, TlsProvider};

use crate::identity::Identity;

/// A server and who we are to it. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    agent: ureq::Agent,
    server: String,
}

/// Answer to a question for a batch.
#[derive(Debug)]
pub enum Batch {
    /// The chunks, in the order asked for, and unchecked.
    Chunks(Vec<Stored>),
    /// This PC has them.
    Referred(Referral),
}

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke.
    #[error("the server does not answer: {0}")]
    Unreachable(String),
    /// Somebody answered who is not the school's server, or whose certificate is not valid at the time of our clock.
    #[error("the server cannot prove that it is the school's: {0}")]
    Untrusted(String),
    /// The server said no.
    #[error("{error}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What is wrong, in the server's words.
        error: String,
        /// What to do about it, in the server's words.
        remedy: String,
    },
    /// An answer that makes no sense.
    #[error("the server's answer cannot be understood ({0})")]
    Answer(&'static str),
    /// The CA certificate or our own key cannot be used.
    #[error("the {0} cannot be used")]
    Setup(&'static str),
}

impl ClientError {
    /// How often the same request is worth repeating. A server that is away comes back, however long it takes; one that
    /// keeps saying that it cannot do something will not learn it.
    pub fn attempts_max(&self) -> u32 {
        match self {
            ClientError::Unreachable(_) | ClientError::Untrusted(_) => u32::MAX,
            ClientError::Refused { status: 429 | 503, .. } => u32::MAX,
            ClientError::Refused { status: 408 | 425 | 500.., .. } => REFUSED_ATTEMPTS,
            ClientError::Refused { .. } | ClientError::Setup(_) => 1,
            // Most probably the connection broke within the answer.
            ClientError::Answer(_) => 3,
        }
    }

    /// What to do about it, in the server's words, if it said so.
    pub fn remedy(&self) -> &str {
        match self {
            ClientError::Refused { remedy, .. } => remedy,
            _ => "",
        }
    }

    /// Whether the server does not know us, or not any more.
    pub fn is_unknown_device(&self) -> bool {
        matches!(self, ClientError::Refused { status: 401, .. })
    }
}

type Result<T> = std::result::Result<T, ClientError>;

impl Client {
    /// A client of `server`, for example `https://10.77.0.1:8443`, that trusts the certificates of `ca_pem` only.
    ///
    /// # Errors
    /// [`ClientError::Setup`] when the CA file holds no certificate.
    pub fn new(server: &str, ca_pem: &[u8], identity: &Identity) -> Result<Client> {
        let ca = Certificate::from_pem(ca_pem).map_err(|_| ClientError::Setup("CA certificate"))?;
        let own = Certificate::from_der(identity.certificate()).to_owned();
        let key = PrivateKey::from_pem(identity.private_key_pem().as_bytes())
            .map_err(|_| ClientError::Setup("own key"))?;
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .root_certs(RootCerts::new_with_certs(&[ca]))
            .client_cert(Some(ClientCert::new_with_certs(&[own], key)))
            .unversioned_rustls_crypto_provider(Arc::new(tls13_only()))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .user_agent(concat!("hausmeister-agent/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(Duration::from_secs(10)))
            .timeout_per_call(Some(REQUEST_TIME_MAX))
            .timeout_per_read(Some(SILENCE_MAX))
            .timeout_per_write(Some(SILENCE_MAX))
            .max_idle_connections_per_host(CONNECTIONS_KEPT)
            .input_buffer_size(256 << 10)
            .build()
            .new_agent();
        Ok(Client { agent, server: server.trim_end_matches('/').to_owned() })
    }

    /// The server's address as given.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Tells who is there.
    ///
    /// # Errors
    /// See [`ClientError`]; this holds for every function here.
    pub fn hello(&self, hello: &Hello) -> Result<HelloReply> {
        read_json(self.post_json(HELLO, hello)?)
    }

    /// Waits for something to do, at most `wait`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn work(&self, wait: Duration) -> Result<Work> {
        let url = format!("{}{WORK}?wait_secs={}", self.server, wait.as_secs());
        let limit = Some(wait + Duration::from_secs(20));
        let request = self.agent.get(url).config().timeout_per_call(limit).timeout_per_read(limit).build();
        read_json(read(request.call(), JSON_BYTES_MAX)?)
    }

    /// Tells how far a job is, and learns whether to go on.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn progress(&self, job: &str, progress: &Progress) -> Result<JobControl> {
        read_json(self.post_json(&path(job, "progress")?, progress)?)
    }

    /// The signed manifest of a deploy job.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn manifest(&self, job: &str) -> Result<Vec<u8>> {
        let url = format!("{}{}", self.server, path(job, "manifest")?);
        read(self.agent.get(url).call(), MANIFEST_BYTES_MAX)
    }

    /// Fetches up to [`CHUNKS_PER_FETCH`] chunks. They come in the order asked for, and unchecked.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn chunks(&self, job: &str, hashes: &[Hash]) -> Result<Vec<Stored>> {
        if hashes.len() > CHUNKS_PER_FETCH {
            return Err(ClientError::Answer("more chunks asked for than allowed"));
        }
        let body =
            self.post(&path(job, "chunks")?, &concatenated(hashes), hashes.len() * (STORED_BYTES_MAX + 4))?;
        records(&body, hashes.len())
    }

    /// Asks for chunks of one batch: they come, unchecked, or it is told from whom they are to be had.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn batch(&self, job: &str, ask: &Ask, hashes: &[Hash]) -> Result<Batch> {
        let ask = written(ask)?;
        let mut body = Vec::with_capacity(4 + ask.len() + hashes.len() * 32);
        body.extend_from_slice(&u32::try_from(ask.len()).unwrap_or(u32::MAX).to_le_bytes());
        body.extend_from_slice(&ask);
        body.extend_from_slice(&concatenated(hashes));
        let url = format!("{}{}", self.server, path(job, "batch")?);
        let answer = self.agent.post(url).content_type("application/octet-stream").send(body);
        let referred = matches!(&answer, Ok(answer) if answer.body().mime_type() == Some("application/json") && answer.status().is_success());
        let body = read(answer, hashes.len() * (STORED_BYTES_MAX + 4))?;
        if referred {
            Ok(Batch::Referred(read_json(body)?))
        } else {
            Ok(Batch::Chunks(records(&body, hashes.len())?))
        }
    }

    /// Asks for the drivers that Windows needs on this PC.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn drivers(&self, job: &str, ask: &DriverAsk) -> Result<DriverReply> {
        read_json(self.post(&path(job, "drivers")?, &written(ask)?, DRIVER_REPLY_BYTES_MAX)?)
    }

    /// A file of a driver, unbounded.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn driver(&self, job: &str, file: &str) -> Result<impl std::io::Read + use<>> {
        let fetch = DriverFetch { path: file.to_owned() };
        let body = written(&fetch)?;
        let request = self.agent.post(format!("{}{}", self.server, path(job, "driver")?));
        let request = request.content_type("application/json").config().timeout_per_call(None).build();
        let answer = request.send(body).map_err(|e| explain(&e))?;
        match answer.status().as_u16() {
            200 => Ok(answer.into_body().into_reader()),
            _ => Err(no_file(answer)),
        }
    }

    /// The server's agent for Windows.
    ///
    /// # Errors
    /// [`ClientError`]; status 404 when it has none.
    pub fn windows_agent(&self, job: &str) -> Result<Vec<u8>> {
        let url = format!("{}{}", self.server, path(job, "windows-agent")?);
        read(self.agent.get(url).call(), WINDOWS_AGENT_BYTES_MAX)
    }

    /// Asks whether others still need what this PC has.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn stay(&self, job: &str) -> Result<Stay> {
        read_json(self.post(&path(job, "stay")?, &[], JSON_BYTES_MAX)?)
    }

    /// Asks which of the chunks the store lacks.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn missing(&self, job: &str, hashes: &[Hash]) -> Result<Vec<bool>> {
        let bitmap = self.post(&path(job, "missing")?, &concatenated(hashes), hashes.len().div_ceil(8))?;
        if bitmap.len() != hashes.len().div_ceil(8) {
            return Err(ClientError::Answer("a bitmap of another length"));
        }
        let bits = bitmap.iter().flat_map(|byte| (0..8).map(move |bit| byte >> bit & 1 == 1));
        Ok(bits.take(hashes.len()).collect())
    }

    /// Hands chunks over: `body` is a sequence of hash, length (u32, little-endian) and stored bytes.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn upload(&self, job: &str, body: &[u8]) -> Result<()> {
        self.post(&path(job, "upload")?, body, JSON_BYTES_MAX).map(drop)
    }

    /// Hands the unsigned manifest over, which makes the captured image a version.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn publish(&self, job: &str, manifest: &[u8]) -> Result<()> {
        self.post(&path(job, "publish")?, manifest, JSON_BYTES_MAX).map(drop)
    }

    /// Tells how a job ended.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn finish(&self, job: &str, finish: &Finish) -> Result<()> {
        self.post_json(&path(job, "finish")?, finish).map(drop)
    }

    /// Tells how the installed system is.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn report(&self, report: &Report) -> Result<()> {
        self.post_json(REPORT, report).map(drop)
    }

    /// Tells what programs are there and what became of steps, and waits for the next one, at most `wait`.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn software(&self, status: &Status, wait: Duration) -> Result<Reply> {
        let body = written(status)?;
        let url = format!("{}{SOFTWARE}?wait_secs={}", self.server, wait.as_secs());
        let limit = Some(wait + Duration::from_secs(30));
        let request = self.agent.post(url).content_type("application/json");
        let request = request.config().timeout_per_call(limit).timeout_per_read(limit).build();
        read_json(read(request.send(body), REPLY_BYTES_MAX)?)
    }

    /// A file of a package from that byte on: the byte it really begins with, and the rest of it, unbounded and unchecked.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn program_file(&self, hash: &str, from: u64) -> Result<(u64, impl std::io::Read + use<>)> {
        let mut request = self.agent.get(format!("{}{FILES}/{hash}", self.server));
        if from > 0 {
            request = request.header("range", format!("bytes={from}-"));
        }
        // However long it takes, as long as something comes.
        let answer = request.config().timeout_per_call(None).build().call().map_err(|e| explain(&e))?;
        match answer.status().as_u16() {
            200 => Ok((0, answer.into_body().into_reader())),
            206 if begins_at(&answer, from) => Ok((from, answer.into_body().into_reader())),
            206 => Err(ClientError::Answer("another part of the file than was asked for")),
            _ => Err(no_file(answer)),
        }
    }

    fn post_json(&self, path: &str, message: &impl Serialize) -> Result<Vec<u8>> {
        let body = written(message)?;
        let request = self.agent.post(format!("{}{path}", self.server)).content_type("application/json");
        read(request.send(body), JSON_BYTES_MAX)
    }

    fn post(&self, path: &str, body: &[u8], answer_max: usize) -> Result<Vec<u8>> {
        let request =
            self.agent.post(format!("{}{path}", self.server)).content_type("application/octet-stream");
        read(request.send(body), answer_max)
    }
}

/// RFC 9110, section 14.4: `Content-Range: bytes FIRST-LAST/SIZE`.
fn begins_at<B>(answer: &ureq::http::Response<B>, from: u64) -> bool {
    let range = answer.headers().get("content-range").and_then(|value| value.to_str().ok());
    range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()) == Some(&from.to_string())
}

/// Old ciphers are not offered, so an old version of TLS cannot be agreed on. Processors without AES instructions do
/// ChaCha20 several times faster.
pub(crate) fn tls13_only() -> rustls::crypto::CryptoProvider {
    use rustls::crypto::ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256};
    let mut suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
    if !has_aes_instructions() {
        suites.reverse();
    }
    rustls::crypto::CryptoProvider { cipher_suites: suites, ..rustls::crypto::ring::default_provider() }
}

#[cfg(target_arch = "x86_64")]
fn has_aes_instructions() -> bool {
    std::is_x86_feature_detected!("aes") && std::is_x86_feature_detected!("pclmulqdq")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_aes_instructions() -> bool {
    true
}

/// The server chooses the job id; nothing that it could put in there may change the path.
fn path(job: &str, what: &str) -> Result<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if job.is_empty() || job.len() > 64 || !job.bytes().all(plain) {
        return Err(ClientError::Answer("an impossible job id"));
    }
    Ok(format!("{JOBS}/{job}/{what}"))
}

/// Chunks, each with its length before it.
fn records(mut rest: &[u8], count: usize) -> Result<Vec<Stored>> {
    let mut chunks = Vec::with_capacity(count);
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let (record, more) =
            more.split_at_checked(length).ok_or(ClientError::Answer("a chunk is cut off"))?;
        chunks.push(Stored::from_bytes(record.to_vec()).map_err(|_| ClientError::Answer("not a chunk"))?);
        rest = more;
    }
    if chunks.len() != count || !rest.is_empty() {
        return Err(ClientError::Answer("another number of chunks than asked for"));
    }
    Ok(chunks)
}

fn concatenated(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| h.as_bytes()).copied().collect()
}

fn written(message: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(message).map_err(|_| ClientError::Answer("a message cannot be written"))
}

fn read_json<T: DeserializeOwned>(body: Vec<u8>) -> Result<T> {
    serde_json::from_slice(&body).map_err(|_| ClientError::Answer("not the JSON that was expected"))
}

/// The body of a good answer, at most `max` bytes.
fn read(
    answer: std::result::Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    max: usize,
) -> Result<Vec<u8>> {
    let mut answer = answer.map_err(|e| explain(&e))?;
    let status = answer.status().as_u16();
    let good = answer.status().is_success();
    let limit = if good { max } else { JSON_BYTES_MAX };
    // One byte more than allowed is enough to see that it is too much.
    let body =
        answer.body_mut().with_config().limit(limit as u64 + 1).read_to_vec().map_err(|e| explain(&e))?;
    match (good, body.len() <= limit) {
        (true, true) => Ok(body),
        (true, false) => Err(ClientError::Answer("larger than allowed")),
        (false, _) => Err(refusal(status, &body)),
    }
}

/// Why something else came than the file that was asked for.
fn no_file(answer: ureq::http::Response<ureq::Body>) -> ClientError {
    read(Ok(answer), 0).err().unwrap_or(ClientError::Answer("neither a file nor a reason"))
}

fn refusal(status: u16, body: &[u8]) -> ClientError {
    let said = serde_json::from_slice::<ErrorBody>(body).unwrap_or_else(|_| ErrorBody {
        error: format!("the server answers with status {status}"),
        remedy: String::new(),
    });
    let cut = |text: String| text.chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
    ClientError::Refused { status, error: cut(said.error), remedy: cut(said.remedy) }
}

fn explain(error: &ureq::Error) -> ClientError {
    match error {
        ureq::Error::Rustls(e) => ClientError::Untrusted(e.to_string()),
        ureq::Error::Io(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            Some(e) => ClientError::Untrusted(e.to_string()),
            None => ClientError::Unreachable(e.to_string()),
        },
        ureq::Error::BodyExceedsLimit(_) => ClientError::Answer("larger than allowed"),
        other => ClientError::Unreachable(other.to_string()),
    }
}

/// A server that was cut off says nothing more; the connection does not notice by itself.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// 256 chunks of 64 KiB take this long at 1 Mbit/s.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(150);
/// Prefetching, progress and what else runs at the same time.
const CONNECTIONS_KEPT: usize = 20;
const TEXT_MAX: usize = 500;
/// With the pauses of [`crate::line`] about two minutes.
const REFUSED_ATTEMPTS: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_id_cannot_leave_its_path() {
        assert_eq!(path("0192-ab_C", "chunks").unwrap(), "/v1/jobs/0192-ab_C/chunks");
        for bad in ["", "../report", "a/b", "a?b", "a b", &"x".repeat(65)] {
            assert!(path(bad, "chunks").is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words_without_control_characters() {
        let body = br#"{"error":"the store is full","remedy":"delete\u001b[2J an image"}"#;
        let error = refusal(507, body);
        assert_eq!(error.attempts_max(), REFUSED_ATTEMPTS);
        let ClientError::Refused { error, remedy, .. } = error else { panic!() };
        assert_eq!((error.as_str(), remedy.as_str()), ("the store is full", "delete[2J an image"));
        assert_eq!(refusal(404, b"<html>").attempts_max(), 1);
        assert!(refusal(401, b"").is_unknown_device());
    }

    #[test]
    fn a_file_that_is_no_ca_is_refused() {
        let identity = Identity::generate().unwrap();
        assert!(matches!(Client::new("https://[::1]:1", b"nothing", &identity), Err(ClientError::Setup(_))));
    }
}
