//! Taking in a captured disk: which chunks are missing, the chunks, and the manifest that makes them an image.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use ed25519_dalek::SigningKey;
use images::chunk::Hash;
use images::manifest::{MANIFEST_BYTES_MAX, Manifest, ManifestId};
use images::protocol::{HASHES_PER_QUERY, UPLOAD_BYTES_MAX};
use images::store::{Store, StoreError};
use inventory::{ImageId, JobTask};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::deploy::chain;
use super::error::ApiError;
use super::work::ignore_if_over;
use super::{Api, MEMORY_UNIT, MEMORY_UNITS, OwnJob, blocking, body_of, by, wire};
use crate::catalogue::free_bytes;

/// Tells which chunks have to be uploaded.
pub(super) async fn missing(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Response, ApiError> {
    captured_image(&own)?;
    let body = body_of(body, HASHES_PER_QUERY * 32).await?;
    let hashes = wire::hashes(&body, HASHES_PER_QUERY).map_err(|why| ApiError::Malformed(why.into()))?;
    let store = api.catalogue.store().clone();
    let bitmap = blocking(move || {
        let missing: Vec<bool> = hashes.iter().map(|hash| !store.contains(hash)).collect();
        wire::bitmap(&missing)
    })
    .await?;
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bitmap).into_response())
}

/// Takes chunks. Each is unpacked and hashed before any of them is kept.
pub(super) async fn upload(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<StatusCode, ApiError> {
    captured_image(&own)?;
    let _memory = memory(&api, UPLOAD_BYTES_MAX).await?;
    let body = body_of(body, UPLOAD_BYTES_MAX).await?;
    let (store, dir, reserve) = (api.catalogue.store().clone(), api.store_dir.clone(), api.reserve_bytes);
    match blocking(move || take_in(&store, &dir, reserve, &body)).await? {
        Ok(()) => {
            api.notices.clear(SPACE).await;
            Ok(StatusCode::NO_CONTENT)
        }
        Err(refused) => Err(api.refused(&own, refused).await),
    }
}

/// Signs the manifest and makes it a version of the image. The same manifest again gives the same answer.
pub(super) async fn publish(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Json<Published>, ApiError> {
    let image = captured_image(&own)?;
    let name = api.inventory.image(image).await?.map(|image| image.name);
    let name = name.ok_or_else(|| ApiError::Conflict("the image of this job is gone".into()))?;
    let _memory = memory(&api, MANIFEST_BYTES_MAX).await?;
    let body = body_of(body, MANIFEST_BYTES_MAX).await?;
    let (store, key) = (api.catalogue.store().clone(), api.catalogue.signing_key().clone());
    let published = match blocking(move || sign_and_publish(&store, &key, &name, &body)).await? {
        Ok(published) => published,
        Err(refused) => return Err(api.refused(&own, refused).await),
    };
    let manifest = published.id.to_string();
    let version = api.inventory.add_version(by(), image, &manifest, published.used_bytes).await?;
    tracing::info!(job.id = %own.job.id, image.version = version, manifest, "a captured image is published");
    api.sessions.published(own.job.id, manifest.clone(), version);
    Ok(Json(Published { version, manifest }))
}

/// Answer of `publish`.
#[derive(Serialize)]
pub(super) struct Published {
    version: i64,
    manifest: String,
}

/// The image of a running capture.
fn captured_image(own: &OwnJob) -> Result<ImageId, ApiError> {
    own.running()?;
    match own.job.task {
        JobTask::Capture { image } => Ok(image),
        JobTask::Deploy { .. } => Err(ApiError::WrongTask("read a disk")),
    }
}

async fn memory(api: &Api, bytes: usize) -> Result<OwnedSemaphorePermit, ApiError> {
    let units = u32::try_from((bytes / MEMORY_UNIT).min(MEMORY_UNITS)).unwrap_or(u32::MAX);
    api.memory.clone().acquire_many_owned(units).await.map_err(|_| ApiError::Stopping)
}

/// Why something was not taken in.
enum Refused {
    /// The agent's fault.
    Malformed(String),
    /// Chunks are missing.
    Incomplete(usize),
    /// No space.
    Full,
    /// The store fails.
    Store(StoreError),
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => Self::Full,
            StoreError::Refused { .. } => Self::Malformed(chain(&error)),
            StoreError::Incomplete { missing, .. } => Self::Incomplete(missing),
            other => Self::Store(other),
        }
    }
}

impl Api {
    /// What the agent is told; a full disk ends the job, because waiting does not help.
    async fn refused(&self, own: &OwnJob, refused: Refused) -> ApiError {
        match refused {
            Refused::Malformed(why) => ApiError::Malformed(why),
            Refused::Incomplete(missing) => ApiError::Incomplete(missing),
            Refused::Store(error) => ApiError::Internal(chain(&error)),
            Refused::Full => {
                let error = ApiError::NoSpace;
                let remedy = "free space on the data folder's disk, or move the data folder to a larger one";
                self.notices.raise(SPACE, &error.to_string(), remedy).await;
                let failed = self.inventory.fail_job(by(), own.job.id, &error.for_people()).await;
                match ignore_if_over(failed) {
                    Ok(()) => error,
                    Err(busy) => busy,
                }
            }
        }
    }
}

fn take_in(store: &Store, dir: &Path, reserve_bytes: u64, body: &[u8]) -> Result<(), Refused> {
    let chunks = wire::uploads(body).map_err(Refused::Malformed)?;
    // The database may share the file system; filling it to the last byte would stop the whole school.
    if free_bytes(dir).is_some_and(|free| free < reserve_bytes) {
        return Err(Refused::Full);
    }
    store.ingest(&chunks)?;
    Ok(())
}

struct Signed {
    id: ManifestId,
    used_bytes: u64,
}

fn sign_and_publish(store: &Store, key: &SigningKey, image: &str, body: &[u8]) -> Result<Signed, Refused> {
    let manifest = Manifest::parse(body).map_err(|error| Refused::Malformed(chain(&error)))?;
    if manifest.header().image != image {
        return Err(Refused::Malformed("the manifest is of another image than the job".into()));
    }
    let used_bytes = manifest
        .header()
        .partitions
        .iter()
        .map(|partition| partition.filesystem.used_bytes)
        .fold(0, u64::saturating_add);
    let id: Hash = store.publish(&manifest.sign(key))?;
    Ok(Signed { id, used_bytes })
}

/// Where the notice about a full disk stands.
const SPACE: &str = "store/space";
