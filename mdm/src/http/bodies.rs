//! How much of all request bodies together is held in memory.
//!
//! A body may be long and come slowly, and thousands may come at once. The first bytes of each, which is all that most have, are bounded by
//! the number of connections; everything beyond is taken from one budget, in the pieces in which it arrives. Whoever comes when that is spent
//! is asked to come again (503): iPads do.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody as _};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Refused;

/// The budget of all bodies of one kind.
pub(crate) struct Bodies {
    budget: Arc<Semaphore>,
}

/// A body that was read, and its share of the budget: given back when it is dropped.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bytes: Bytes,
    _share: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// For `budget` bytes beyond the first [`FREE_BYTES`] of each body.
    pub(crate) fn new(budget: usize) -> Self {
        Self { budget: Arc::new(Semaphore::new(budget)) }
    }

    /// Reads a body of at most `limit` bytes.
    ///
    /// # Errors
    /// It is too long, broke off or took too long (400), or the budget is spent (503).
    pub(super) async fn read(&self, body: Body, limit: usize) -> Result<Held, Refused> {
        let read = tokio::time::timeout(BODY, self.collect(body, limit)).await;
        read.unwrap_or(Err(Refused::Bad("the body took too long")))
    }

    async fn collect(&self, mut body: Body, limit: usize) -> Result<Held, Refused> {
        const LONG: Refused = Refused::Bad("the body is too long");
        if body.size_hint().lower() > limit as u64 {
            return Err(LONG);
        }
        let mut bytes = Vec::new();
        let mut share: Option<OwnedSemaphorePermit> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| Refused::Bad("the body broke off"))?.into_data() else {
                continue;
            };
            let length = bytes.len() + data.len();
            if length > limit {
                return Err(LONG);
            }
            let held = share.as_ref().map_or(FREE_BYTES, |share| FREE_BYTES + share.num_permits());
            if length > held {
                let more = u32::try_from(length - held).map_err(|_| LONG)?;
                let more =
                    Arc::clone(&self.budget).try_acquire_many_owned(more).map_err(|_| Refused::Busy)?;
                match &mut share {
                    Some(share) => share.merge(more),
                    None => share = Some(more),
                }
            }
            // Exactly: doubling would hold twice what is counted.
            bytes.reserve_exact(data.len());
            bytes.extend_from_slice(&data);
        }
        Ok(Held { bytes: bytes.into(), _share: share })
    }
}

/// What every body may have without asking: most have less.
const FREE_BYTES: usize = 8 << 10;
/// Longest time for a body, however steadily it trickles.
const BODY: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    fn body(pieces: usize, bytes: usize) -> Body {
        let piece = move |_| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; bytes]));
        Body::from_stream(futures_util::stream::iter((0..pieces).map(piece)))
    }

    #[tokio::test]
    async fn bodies_share_a_budget_and_give_it_back() {
        let bodies = Bodies::new(100 << 10);
        let one = bodies.read(body(9, FREE_BYTES), 1 << 20).await.unwrap();
        assert_eq!(one.bytes.len(), 9 * FREE_BYTES);
        assert!(matches!(bodies.read(body(9, FREE_BYTES), 1 << 20).await, Err(Refused::Busy)));
        let short = bodies.read(body(8, FREE_BYTES / 8), 1 << 20).await.unwrap();
        assert_eq!(short.bytes.len(), FREE_BYTES, "what most iPads say is always taken");
        drop(one);
        assert!(bodies.read(body(9, FREE_BYTES), 1 << 20).await.is_ok());
        assert_eq!(bodies.budget.available_permits(), 100 << 10);
    }

    #[tokio::test]
    async fn a_body_beyond_its_limit_is_refused_before_it_is_held() {
        let bodies = Bodies::new(1 << 20);
        assert!(matches!(bodies.read(body(3, 10), 29).await, Err(Refused::Bad(_))));
        assert!(matches!(bodies.read(Body::from(vec![0; 30]), 29).await, Err(Refused::Bad(_))));
        assert!(bodies.read(body(3, 10), 30).await.is_ok());
        assert!(bodies.read(Body::empty(), 0).await.unwrap().bytes.is_empty());
    }
}
