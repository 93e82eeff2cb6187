//! PCs of a room that write the same image are referred to each other: [`images::swarm`] decides, this remembers who is there.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use images::protocol::{ASK_BYTES_MAX, Ask, CHUNKS_PER_FETCH, Referral, Stay, SwarmToken};
use images::swarm::{self, PeerId, Source, Swarm};
use inventory::{Device, ImageId, Job, JobTask, RoomId};

use super::deploy::send;
use super::error::ApiError;
use super::{Api, OwnJob, body_of, wire};

/// What PCs have in common that can help each other: a version of an image, and a room, because what is between rooms may be
/// slow.
type Key = (ImageId, i64, RoomId);

/// All swarms. Losing them costs nothing but some batches that the server sends again.
#[derive(Default)]
pub(crate) struct Swarms {
    swarms: Mutex<HashMap<Key, Swarm>>,
}

impl Swarms {
    /// Each change leaves a swarm that is right, so a panic elsewhere cannot have left half of one.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Swarm>> {
        self.swarms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a PC gets its chunks.
    fn ask(&self, key: Key, peer: PeerId, own: &OwnJob, ask: &Ask, now: Instant) -> Source {
        let mut swarms = self.lock();
        if !swarms.contains_key(&key) {
            swarms.retain(|_, swarm| !swarm.is_over(now));
        }
        let swarm = swarms.entry(key).or_default();
        for told in &ask.told {
            match told.failed {
                Some((from, fault)) => {
                    tracing::debug!(batch = told.batch, %from, ?fault, "a PC was no help to another");
                    swarm.failed(peer, told.batch, from, fault, now);
                }
                None => swarm.done(peer, told.batch, now),
            }
        }
        let address = SocketAddr::from((own.caller.address, ask.port));
        let question =
            swarm::Ask { peer, address, batch: ask.batch, written: ask.written, direct: ask.direct };
        swarm.ask(&question, now)
    }

    /// The PC has written everything, or still passes on what it has. Whether it is needed.
    pub(super) fn stay(&self, job: &Job, device: &Device, now: Instant) -> bool {
        let (Some(key), Some(peer)) = (key(job, device), peer(device)) else { return false };
        let mut swarms = self.lock();
        let Some(swarm) = swarms.get_mut(&key) else { return false };
        swarm.finished(peer, now);
        let needed = swarm.is_needed(peer, now);
        if !needed {
            swarm.leave(peer);
        }
        needed
    }

    /// The PC does not take part any more.
    pub(super) fn leave(&self, job: &Job, device: &Device) {
        if let (Some(key), Some(peer)) = (key(job, device), peer(device))
            && let Some(swarm) = self.lock().get_mut(&key)
        {
            swarm.leave(peer);
        }
    }
}

/// Sends chunks of one batch, or tells from whom they are to be had.
pub(super) async fn batch(
    State(api): State<Arc<Api>>,
    own: OwnJob,
    body: Body,
) -> Result<Response, ApiError> {
    own.running()?;
    let body = body_of(body, 4 + ASK_BYTES_MAX + CHUNKS_PER_FETCH * 32).await?;
    let (ask, hashes) = wire::ask(&body).map_err(|why| ApiError::Malformed(why.into()))?;
    let device = &own.caller.device;
    let source = match (key(&own.job, device), peer(device)) {
        // A PC without a port takes and gives nothing.
        (Some(key), Some(peer)) if ask.port != 0 => {
            api.swarms.ask(key, peer, &own, &ask, inventory::clock::instant())
        }
        _ => Source::Server,
    };
    match source {
        Source::Server => send(&api, &own, hashes).await,
        Source::Peer { peer, address, patience } => {
            let patience_ms = u64::try_from(patience.as_millis()).unwrap_or(u64::MAX);
            Ok(Json(Referral { address, peer, patience_ms }).into_response())
        }
    }
}

/// Tells a PC that is done whether others still need it.
pub(super) async fn stay(State(api): State<Arc<Api>>, own: OwnJob) -> Json<Stay> {
    let needed = api.swarms.stay(&own.job, &own.caller.device, inventory::clock::instant());
    Json(Stay { needed })
}

impl Api {
    /// What the PCs of a swarm show each other. It is made of a secret that outlives this process, because the PCs do too.
    pub(super) fn swarm_token(&self, device: &Device, image: ImageId, version: i64) -> SwarmToken {
        let mut hasher = blake3::Hasher::new_derive_key("hausmeister 2026-11 swarm token");
        hasher.update(&self.catalogue.signing_key().to_bytes());
        hasher.update(image.0.as_bytes());
        hasher.update(&version.to_le_bytes());
        hasher.update(device.room.id.0.as_bytes());
        SwarmToken(*hasher.finalize().as_bytes())
    }
}

fn key(job: &Job, device: &Device) -> Option<Key> {
    match job.task {
        JobTask::Deploy { image, version: Some(version) } => Some((image, version, device.room.id)),
        _ => None,
    }
}

fn peer(device: &Device) -> Option<PeerId> {
    device.key.as_ref()?.as_str().parse().ok()
}
