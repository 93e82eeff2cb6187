//! The conversation with agents: JSON and binary bodies over HTTPS, as `images::protocol` describes it.
//!
//! Who may do what:
//!
//! | Path                | Needs                                                                       |
//! |---------------------|-----------------------------------------------------------------------------|
//! | every path          | a client certificate whose key the peer holds (TLS)                         |
//! | `/v1/hello`         | nothing more; slowed down per address                                       |
//! | all others          | the key of an approved device ([`authenticate`])                            |
//! | `/v1/software/files/` | the file belongs to a step that this very device has to do                    |
//! | `/v1/jobs/{id}/...` | the job belongs to this very device ([`OwnJob`])                            |
//! | chunks, batch, manifest | it is a running deploy, and the chunk is part of its image              |
//! | drivers, driver     | it is a running deploy, and the file lies in the folder of drivers          |
//! | windows-agent       | it is a running deploy                                                      |
//! | missing, upload, publish | it is a running capture                                                |
//!
//! Nothing is taken from a message that says who is speaking. An address, a MAC address or a serial number allows nothing.

mod capture;
mod deploy;
mod drain;
mod drivers;
mod error;
mod hello;
mod session;
mod software;
mod swarm;
mod wire;
mod work;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::software::protocol::{FILES, SOFTWARE};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::{StatusCode, request};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use httpd::Peer;
use images::protocol::{HELLO, JSON_BYTES_MAX, REPORT, WORK};
use inventory::files::Files;
use inventory::{By, Device, Inventory, Job, JobId, JobState, KeyFingerprint};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tracing::Instrument as _;

use crate::catalogue::Catalogue;
use crate::drivers::Drivers;
use crate::limits::Buckets;
use crate::notices::Notices;
use crate::software::Books;
use crate::stop::Stop;
use error::ApiError;
use session::Sessions;
use swarm::Swarms;

/// What the API is made of.
pub(crate) struct Parts {
    pub(crate) inventory: Inventory,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) notices: Arc<Notices>,
    /// Marked changed when an agent may have got work.
    pub(crate) work: watch::Receiver<u64>,
    /// What programs every PC should have.
    pub(crate) software: Arc<Books>,
    /// Their files.
    pub(crate) software_files: Files,
    /// Drivers for Windows.
    pub(crate) drivers: Arc<Drivers>,
    pub(crate) stop: Stop,
    /// Folder of the boot files.
    pub(crate) boot_dir: PathBuf,
    /// Folder of the image store.
    pub(crate) store_dir: PathBuf,
    /// Bytes that uploads leave free on the store's file system.
    pub(crate) reserve_bytes: u64,
}

/// Everything that answers rest on.
pub(crate) struct Api {
    parts: Parts,
    sessions: Sessions,
    swarms: Swarms,
    /// Hellos, per address.
    hellos: Mutex<Buckets<IpAddr>>,
    /// Keys that were never seen before, per address: one PC has one.
    new_keys: Mutex<Buckets<IpAddr>>,
    /// Memory for chunk bodies, in units of [`MEMORY_UNIT`].
    memory: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            parts,
            sessions: Sessions::default(),
            swarms: Swarms::default(),
            hellos: Mutex::new(Buckets::new(HELLO_BURST, HELLO_EVERY, ADDRESSES_MAX)),
            new_keys: Mutex::new(Buckets::new(NEW_KEY_BURST, NEW_KEY_EVERY, ADDRESSES_MAX)),
            memory: Arc::new(Semaphore::new(MEMORY_UNITS)),
        }
    }
}

impl std::ops::Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// All paths.
pub(crate) fn router(api: Arc<Api>) -> Router {
    let job = |action: &str| format!("{}/{{id}}/{action}", images::protocol::JOBS);
    let approved = Router::new()
        .route(WORK, get(work::work))
        .route(REPORT, post(hello::report))
        .route(SOFTWARE, post(software::status))
        .route(&format!("{FILES}/{{hash}}"), get(software::file))
        .route(&job("progress"), post(work::progress))
        .route(&job("finish"), post(work::finish))
        .route(&job("manifest"), get(deploy::manifest))
        .route(&job("chunks"), post(deploy::chunks))
        .route(&job("batch"), post(swarm::batch))
        .route(&job("drivers"), post(drivers::matching))
        .route(&job("driver"), post(drivers::file))
        .route(&job("windows-agent"), get(drivers::windows_agent))
        .route(&job("stay"), post(swarm::stay))
        .route(&job("missing"), post(capture::missing))
        .route(&job("upload"), post(capture::upload))
        .route(&job("publish"), post(capture::publish))
        .route_layer(axum::middleware::from_fn_with_state(api.clone(), authenticate));
    Router::new()
        .route(HELLO, post(hello::hello))
        .merge(approved)
        .fallback(|| async { StatusCode::NOT_FOUND })
        .layer(axum::middleware::from_fn(drain::drain))
        .with_state(api)
}

/// The device that speaks, as its key proves.
#[derive(Clone)]
struct Caller {
    device: Arc<Device>,
    address: IpAddr,
}

/// Lets a request pass if the key of its connection belongs to an approved device. Asked anew for every request, so that a
/// device that was removed is out at once.
async fn authenticate(
    State(api): State<Arc<Api>>,
    Extension(peer): Extension<Peer>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let key = proven_key(&peer)?;
    let device = api.inventory.device_by_key(&key).await?.ok_or(ApiError::UnknownKey)?;
    let span = tracing::info_span!("agent", device.id = %device.id);
    let address = peer.address.ip().to_canonical();
    request.extensions_mut().insert(Caller { device: Arc::new(device), address });
    Ok(next.run(request).instrument(span).await)
}

fn proven_key(peer: &Peer) -> Result<KeyFingerprint, ApiError> {
    // TLS lets nobody in without a certificate; this is the second lock on the same door.
    peer.certificates.first().and_then(crate::tls::fingerprint).ok_or(ApiError::UnknownKey)
}

/// A job of the device that speaks.
struct OwnJob {
    caller: Caller,
    job: Job,
}

impl FromRequestParts<Arc<Api>> for OwnJob {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut request::Parts, api: &Arc<Api>) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned().ok_or(ApiError::UnknownKey)?;
        let Path(id) =
            Path::<String>::from_request_parts(parts, api).await.map_err(|_| ApiError::NoSuchJob)?;
        let id: JobId = id.parse().map_err(|_| ApiError::NoSuchJob)?;
        let job = api.inventory.job(id).await?.filter(|job| job.device == caller.device.id);
        Ok(Self { caller, job: job.ok_or(ApiError::NoSuchJob)? })
    }
}

impl OwnJob {
    /// # Errors
    /// The job is not running.
    fn running(&self) -> Result<(), ApiError> {
        let why = match &self.job.state {
            JobState::Running { .. } => return Ok(()),
            JobState::Queued => "it has not begun".into(),
            JobState::Done { .. } => "it is done".into(),
            JobState::Failed { reason, .. } => format!("it failed: {reason}"),
            JobState::Cancelled { .. } => "it was cancelled".into(),
        };
        Err(ApiError::NotRunning(why))
    }
}

/// This daemon, at this moment.
fn by() -> By<'static> {
    By { actor: crate::NAME, at: inventory::clock::now() }
}

/// Reads a body of at most `bytes_max` in at most [`BODY_TIME`].
async fn body_of(body: Body, bytes_max: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_TIME, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::TooLarge(bytes_max)),
        Ok(Err(_)) => Err(ApiError::Malformed("the body breaks off".into())),
        Err(_) => Err(ApiError::TooSlow),
    }
}

/// Reads a JSON body of the usual size.
async fn json_of<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    json_up_to(body, JSON_BYTES_MAX).await
}

/// Reads a JSON body.
async fn json_up_to<T: DeserializeOwned>(body: Body, bytes_max: usize) -> Result<T, ApiError> {
    let body = body_of(body, bytes_max).await?;
    serde_json::from_slice(&body).map_err(|error| ApiError::Malformed(error.to_string()))
}

/// Runs something that reads or writes the disk, or computes for long.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ApiError::Internal(error.to_string()))
}

/// Whole time that a body may take, however steadily it drips.
const BODY_TIME: Duration = Duration::from_secs(120);
/// A waiting PC asks every few seconds; a room of PCs behind one address must work as well.
const HELLO_BURST: u32 = 40;
const HELLO_EVERY: Duration = Duration::from_millis(500);
const NEW_KEY_BURST: u32 = 40;
const NEW_KEY_EVERY: Duration = Duration::from_secs(30);
const ADDRESSES_MAX: usize = 8192;
const MEMORY_UNIT: usize = 64 << 10;
/// 128 MiB: at 1 Gbit/s more than a second of sending.
const MEMORY_UNITS: usize = 2048;
