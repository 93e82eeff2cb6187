//! A server that speaks `images::protocol` over real TLS, keeps everything in memory and can be told to misbehave.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use images::chunk::{CHUNK_BYTES, Hash, Stored};
use images::protocol::{
    DriverAsk, DriverFetch, DriverFile, DriverFolder, DriverReply, ErrorBody, Finish, Hello, HelloReply,
    JobControl, Phase, Progress, Work,
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};

/// The server; its threads end with the test process.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) ca_pem: Vec<u8>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) approved: bool,
    pub(crate) hellos: Vec<Hello>,
    /// Fingerprints of the keys that said hello.
    pub(crate) keys: Vec<String>,
    pub(crate) work: VecDeque<Work>,
    pub(crate) chunks: HashMap<Hash, Vec<u8>>,
    pub(crate) manifests: BTreeMap<String, Vec<u8>>,
    pub(crate) published: Option<Vec<u8>>,
    pub(crate) finished: Vec<(String, Finish)>,
    pub(crate) phases: Vec<Phase>,
    pub(crate) uploads: usize,
    pub(crate) cancel: bool,
    pub(crate) faults: Faults,
    /// Files of the folder of drivers by their paths, all of them in one folder `net`.
    pub(crate) drivers: BTreeMap<String, Vec<u8>>,
    pub(crate) driver_asks: Vec<DriverAsk>,
    /// There is no agent for Windows.
    pub(crate) no_windows_agent: bool,
    chunk_requests: usize,
}

/// What goes wrong.
#[derive(Default)]
pub(crate) struct Faults {
    /// The connection dies within every n-th answer with chunks.
    pub(crate) break_every: Option<usize>,
    /// From this chunk request on, the job is gone.
    pub(crate) gone_from: Option<usize>,
    /// This answer with chunks, counted from 1, holds a damaged one.
    pub(crate) damaged: Option<usize>,
    /// So many requests are answered with 503 before anything else.
    pub(crate) busy: usize,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::start_at("127.0.0.1:0")
    }

    /// A server at this address.
    pub(crate) fn start_at(address: &str) -> Server {
        let name = address.split(':').next().unwrap();
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&ca_key).unwrap().pem().into_bytes();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.into()])
            .unwrap()
            .signed_by(&key, &Issuer::new(ca, ca_key))
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(Arc::new(AnyKey))
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .unwrap();
        let listener = TcpListener::bind(address).unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let (config, for_threads) = (Arc::new(config), shared.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, shared) = (config.clone(), for_threads.clone());
                std::thread::spawn(move || serve(stream, config, &shared));
            }
        });
        Server { url: format!("https://{address}"), ca_pem, shared }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap()
    }

    pub(crate) fn give(&self, work: Work) {
        self.state().work.push_back(work);
        self.shared.changed.notify_all();
    }

    /// Waits until the state is as wished.
    pub(crate) fn until(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let limit = Duration::from_secs(60);
        let (state, result) =
            self.shared.changed.wait_timeout_while(self.state(), limit, |s| !condition(s)).unwrap();
        assert!(!result.timed_out(), "the server waited in vain");
        state
    }
}

/// One connection. `None` ends it.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, shared: &Shared) -> Option<()> {
    let connection = rustls::ServerConnection::new(config).ok()?;
    let mut stream = BufReader::new(rustls::StreamOwned::new(connection, stream));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let length = head.lines().find_map(|l| {
            l.to_ascii_lowercase().strip_prefix("content-length:").map(|v| v.trim().parse().unwrap())
        });
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        let path = head.split(' ').nth(1)?.to_owned();
        assert_eq!(stream.get_ref().conn.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        let key = {
            let certificate = stream.get_ref().conn.peer_certificates()?.first()?.clone();
            let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).ok()?;
            blake3::hash(parsed.tbs_certificate.subject_pki.raw).to_hex().to_string()
        };
        let (status, answer, broken) = answer(shared, &path, &body, key);
        shared.changed.notify_all();
        let out = stream.get_mut();
        let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n", answer.len());
        out.write_all(head.as_bytes()).ok()?;
        if broken {
            out.write_all(&answer[..answer.len() / 2]).ok()?;
            out.flush().ok()?;
            return None;
        }
        out.write_all(&answer).ok()?;
        out.flush().ok()?;
    }
}

fn answer(shared: &Shared, path: &str, body: &[u8], key: String) -> (u16, Vec<u8>, bool) {
    let json = |value: &dyn erased::Json| (200, value.bytes(), false);
    let mut state = shared.state.lock().unwrap();
    if state.faults.busy > 0 {
        state.faults.busy -= 1;
        return (503, b"later".to_vec(), false);
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    if path == "/v1/hello" {
        state.hellos.push(serde_json::from_slice(body).unwrap());
        state.keys.push(key);
        let reply = if state.approved {
            HelloReply::Approved { device: "d1".into(), name: "r204-pc07".into(), room: "Raum 204".into() }
        } else {
            HelloReply::Waiting { code: "120934".into() }
        };
        return json(&reply);
    }
    if !state.approved {
        let error = ErrorBody { error: "unknown key".into(), remedy: "say hello".into() };
        return (401, serde_json::to_vec(&error).unwrap(), false);
    }
    if path == "/v1/work" {
        let wait: u64 = query.strip_prefix("wait_secs=").unwrap().parse().unwrap();
        let quiet = |s: &mut State| s.work.is_empty();
        let mut state = shared.changed.wait_timeout_while(state, Duration::from_secs(wait), quiet).unwrap().0;
        return json(&state.work.pop_front().unwrap_or(Work::Idle));
    }
    let mut parts = path.strip_prefix("/v1/jobs/").unwrap().split('/');
    let (job, what) = (parts.next().unwrap().to_owned(), parts.next().unwrap());
    match what {
        "progress" => {
            let progress: Progress = serde_json::from_slice(body).unwrap();
            if state.phases.last() != Some(&progress.phase) {
                state.phases.push(progress.phase);
            }
            json(&if state.cancel { JobControl::Cancel } else { JobControl::Continue })
        }
        "manifest" => (200, state.manifests.get(&job).cloned().unwrap_or_default(), false),
        "chunks" => {
            state.chunk_requests += 1;
            let number = state.chunk_requests;
            let is_nth = |every: Option<usize>| every.is_some_and(|n| number.is_multiple_of(n));
            if state.faults.gone_from.is_some_and(|from| number >= from) {
                return (
                    410,
                    serde_json::to_vec(&ErrorBody { error: "gone".into(), remedy: String::new() }).unwrap(),
                    false,
                );
            }
            let mut bytes = Vec::new();
            for hash in Hash::list_from_bytes(body).unwrap() {
                let stored = &state.chunks[&hash];
                bytes.extend((stored.len() as u32).to_le_bytes());
                bytes.extend(stored);
            }
            if state.faults.damaged == Some(number) {
                *bytes.last_mut().unwrap() ^= 1;
            }
            (200, bytes, is_nth(state.faults.break_every))
        }
        "drivers" => {
            state.driver_asks.push(serde_json::from_slice(body).unwrap());
            let files: Vec<DriverFile> = state
                .drivers
                .iter()
                .map(|(path, content)| DriverFile { path: path.clone(), bytes: content.len() as u64 })
                .collect();
            let folders =
                if files.is_empty() { vec![] } else { vec![DriverFolder { path: "net".into(), files }] };
            (200, serde_json::to_vec(&DriverReply { folders }).unwrap(), false)
        }
        "driver" => {
            let fetch: DriverFetch = serde_json::from_slice(body).unwrap();
            (200, state.drivers[fetch.path.strip_prefix("net/").unwrap()].clone(), false)
        }
        "windows-agent" if state.no_windows_agent => (404, Vec::new(), false),
        "windows-agent" => (200, WINDOWS_AGENT.to_vec(), false),
        "missing" => {
            let hashes = Hash::list_from_bytes(body).unwrap();
            let mut bitmap = vec![0; hashes.len().div_ceil(8)];
            for (at, hash) in hashes.iter().enumerate() {
                bitmap[at / 8] |= u8::from(!state.chunks.contains_key(hash)) << (at % 8);
            }
            (200, bitmap, false)
        }
        "upload" => {
            state.uploads += 1;
            let mut rest = body;
            while let Some((hash, more)) = rest.split_first_chunk::<32>() {
                let (length, more) = more.split_first_chunk::<4>().unwrap();
                let (stored, more) = more.split_at(u32::from_le_bytes(*length) as usize);
                let hash = Hash(*hash);
                let mut out = vec![0; CHUNK_BYTES];
                Stored::from_bytes(stored.to_vec()).unwrap().unpack_into(&hash, &mut out).unwrap();
                state.chunks.insert(hash, stored.to_vec());
                rest = more;
            }
            (204, Vec::new(), false)
        }
        "publish" => {
            state.published = Some(body.to_vec());
            (200, b"{\"version\":1}".to_vec(), false)
        }
        "finish" => {
            state.finished.push((job, serde_json::from_slice(body).unwrap()));
            (204, Vec::new(), false)
        }
        other => panic!("{other}"),
    }
}

mod erased {
    pub(crate) trait Json {
        fn bytes(&self) -> Vec<u8>;
    }

    impl<T: serde::Serialize> Json for T {
        fn bytes(&self) -> Vec<u8> {
            serde_json::to_vec(self).unwrap()
        }
    }
}

/// Lets in whoever holds the key of the certificate that it shows.
#[derive(Debug)]
struct AnyKey;

impl ClientCertVerifier for AnyKey {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// What stands for the agent for Windows.
pub(crate) const WINDOWS_AGENT: &[u8] = b"MZ the agent for Windows";
