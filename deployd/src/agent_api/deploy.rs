//! What a deploy needs: the manifest and the chunks of the job's image, and of nothing else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;
use images::chunk::Hash;
use images::manifest::ManifestId;
use images::protocol::CHUNKS_PER_FETCH;
use images::store::{Store, StoreError};
use inventory::{ImageId, JobTask};
use tokio::sync::OwnedSemaphorePermit;

use super::error::ApiError;
use super::work::ignore_if_over;
use super::{Api, MEMORY_UNIT, OwnJob, blocking, body_of, by, wire};
use crate::catalogue::{CatalogueError, ServedImage};
use crate::notices::image_place;

/// Which version of which image.
pub(super) struct Version {
    pub(super) image: String,
    pub(super) version: i64,
    pub(super) manifest: ManifestId,
}

impl Version {
    /// Where notices about it stand.
    pub(super) fn place(&self) -> String {
        image_place(&self.image, self.version)
    }
}

/// Sends the signed manifest.
pub(super) async fn manifest(State(api): State<Arc<Api>>, own: OwnJob) -> Result<Response, ApiError> {
    let (_, image) = served(&api, &own).await?;
    binary(image.bytes.len(), Body::from(image.bytes.clone()))
}

/// Sends chunks of the job's image, each with its length, in the order in which they were asked for.
///
/// All are read and checked before the first byte goes out, so that damage is an answer that can be read and not a
/// connection that breaks off.
pub(super) async fn chunks(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Response, ApiError> {
    own.running()?;
    let body = body_of(body, CHUNKS_PER_FETCH * 32).await?;
    let hashes = wire::hashes(&body, CHUNKS_PER_FETCH).map_err(|why| ApiError::Malformed(why.into()))?;
    send(&api, &own, hashes).await
}

/// Sends chunks of the image of a running deploy.
pub(super) async fn send(api: &Api, own: &OwnJob, hashes: Vec<Hash>) -> Result<Response, ApiError> {
    let (version, image) = served(api, own).await?;
    if !hashes.iter().all(|hash| image.contains(hash)) {
        return Err(ApiError::ForeignChunk);
    }
    let units = u32::try_from(hashes.len() + 1).unwrap_or(u32::MAX);
    let mut memory = api.memory.clone().acquire_many_owned(units).await.map_err(|_| ApiError::Stopping)?;
    let store = api.catalogue.store().clone();
    let frames = match blocking(move || read(&store, &hashes)).await? {
        Ok(frames) => frames,
        Err(Unreadable::Damaged(detail)) => return Err(api.damaged(own, &version, &detail).await),
        Err(Unreadable::Store(error)) => return Err(ApiError::Internal(chain(&error))),
    };
    let len: usize = frames.iter().map(Bytes::len).sum();
    // Most chunks are compressed; what they take less is given back before they are sent.
    drop(memory.split(memory.num_permits().saturating_sub(len.div_ceil(MEMORY_UNIT))));
    binary(len, sent(frames, memory, inventory::clock::instant() + SEND_TIME))
}

/// The image of a running deploy.
async fn served(api: &Api, own: &OwnJob) -> Result<(Version, Arc<ServedImage>), ApiError> {
    own.running()?;
    let JobTask::Deploy { image, version } = own.job.task else {
        return Err(ApiError::WrongTask("write an image"));
    };
    let version = deployed_version(api, image, version).await?;
    match api.catalogue.image(version.manifest, inventory::clock::instant()).await {
        Ok(image) => Ok((version, image)),
        Err(CatalogueError::Store(error)) => Err(ApiError::Internal(chain(&error))),
        Err(error) => Err(api.damaged(own, &version, &error.to_string()).await),
    }
}

/// The version that a deploy writes; it was fixed when the job began.
pub(super) async fn deployed_version(
    api: &Api,
    image: ImageId,
    version: Option<i64>,
) -> Result<Version, ApiError> {
    let gone = || ApiError::Conflict("the image of this job is gone".into());
    let image = api.inventory.image(image).await?.ok_or_else(gone)?;
    let found = image.versions.iter().find(|v| Some(v.version) == version).ok_or_else(gone)?;
    let manifest = found.manifest.parse().map_err(|_| gone())?;
    Ok(Version { version: found.version, manifest, image: image.name })
}

impl Api {
    /// Raises a notice about a damaged image and ends the job that needs it.
    async fn damaged(&self, own: &OwnJob, version: &Version, detail: &str) -> ApiError {
        let error = self.note_damage(version, detail).await;
        tracing::error!(job.id = %own.job.id, "{error}");
        let failed = self.inventory.fail_job(by(), own.job.id, &error.for_people()).await;
        match ignore_if_over(failed) {
            Ok(()) => error,
            Err(busy) => busy,
        }
    }

    /// Raises a notice about a damaged image.
    pub(super) async fn note_damage(&self, version: &Version, detail: &str) -> ApiError {
        ApiError::Damaged(self.notices.raise_damage(&version.image, version.version, detail).await)
    }
}

enum Unreadable {
    /// The image cannot be served any more.
    Damaged(String),
    /// The store fails at the moment.
    Store(StoreError),
}

/// Reads chunks and joins them into frames of about [`FRAME_BYTES`].
fn read(store: &Store, hashes: &[Hash]) -> Result<Vec<Bytes>, Unreadable> {
    let mut frames = Vec::new();
    let mut frame: Vec<u8> = Vec::with_capacity(FRAME_BYTES);
    for hash in hashes {
        let stored = match store.stored(hash) {
            Ok(Some(stored)) => stored,
            Ok(None) => return Err(Unreadable::Damaged(format!("chunk {hash} is not in the store"))),
            Err(error @ StoreError::Damaged { .. }) => return Err(Unreadable::Damaged(error.to_string())),
            Err(other) => return Err(Unreadable::Store(other)),
        };
        if frame.len() + stored.record_len() > FRAME_BYTES && !frame.is_empty() {
            frames.push(Bytes::from(std::mem::replace(&mut frame, Vec::with_capacity(FRAME_BYTES))));
        }
        stored.push_record(&mut frame);
    }
    frames.push(frame.into());
    Ok(frames)
}

/// A body that gives its memory back frame by frame, and breaks off when the PC takes too long.
fn sent(frames: Vec<Bytes>, memory: OwnedSemaphorePermit, until: Instant) -> Body {
    let state = (frames.into_iter(), memory);
    Body::from_stream(futures_util::stream::unfold(state, move |(mut frames, mut memory)| async move {
        let frame = frames.next()?;
        if inventory::clock::instant() > until {
            return Some((
                Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
                (Vec::new().into_iter(), memory),
            ));
        }
        drop(memory.split(memory.num_permits().min(frame.len() / MEMORY_UNIT)));
        Some((Ok(frame), (frames, memory)))
    }))
}

fn binary(len: usize, body: Body) -> Result<Response, ApiError> {
    Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, len)
        .body(body)
        .map_err(|error| ApiError::Internal(error.to_string()))
}

/// An error with everything that led to it, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

const FRAME_BYTES: usize = 256 << 10;
const SEND_TIME: Duration = Duration::from_secs(300);
