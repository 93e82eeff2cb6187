//! Telling open pages that something changed.
//!
//! One task follows the inventory for all clients; a client is told at most twice a second, and only that something
//! changed: it fetches the page's fragment again. A client that waits holds one of a bounded number of places, and loses it
//! when its session ends.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use inventory::{Inventory, UserId, clock};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};

/// The number of the newest change, and who listens.
#[derive(Clone)]
pub(crate) struct Live {
    newest: watch::Receiver<i64>,
    places: Arc<Mutex<HashMap<UserId, usize>>>,
}

/// The task that follows the inventory; it ends with this, and with it every stream.
#[derive(Debug)]
pub(crate) struct Following(JoinHandle<()>);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Live {
    /// Begins to follow.
    pub(crate) async fn follow(inventory: Inventory) -> Result<(Self, Following), inventory::Error> {
        let mut changed = inventory.follow();
        let (tell, newest) = watch::channel(inventory.last_change().await?);
        let task = tokio::spawn(async move {
            while changed.changed().await.is_ok() {
                match inventory.last_change().await {
                    Ok(seq) => {
                        tell.send_if_modified(|last| std::mem::replace(last, seq) != seq);
                    }
                    Err(error) => tracing::warn!(%error, "open pages are not told of a change"),
                }
                tokio::time::sleep(GATHER).await;
            }
        });
        Ok((Self { newest, places: Arc::default() }, Following(task)))
    }

    fn place(&self, user: UserId) -> Option<Place> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = places.get(&user).copied().unwrap_or(0);
        if mine >= PER_USER_MAX || places.values().sum::<usize>() >= ALL_MAX {
            return None;
        }
        places.insert(user, mine + 1);
        Some(Place { user, live: self.clone() })
    }
}

/// The right to one stream; dropping it gives it back.
struct Place {
    user: UserId,
    live: Live,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.live.places.lock().unwrap_or_else(PoisonError::into_inner);
        match places.get_mut(&self.user) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                places.remove(&self.user);
            }
        }
    }
}

/// `GET /events`: an event `changed` per change, its id the number of the newest one.
pub(crate) async fn events(
    State(app): State<App>,
    Extension(signed_in): Extension<SignedIn>,
) -> Answer<Response> {
    let place = app.live.place(signed_in.user.id).ok_or(Failure::Busy)?;
    let newest = app.live.newest.clone();
    let listener = Listener { app, session: signed_in.session, newest, first: true, _place: place };
    let events = stream::unfold(listener, |mut listener| async {
        let event = listener.next().await?;
        Some((Ok::<_, Infallible>(event), listener))
    });
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

struct Listener {
    app: App,
    session: Arc<str>,
    newest: watch::Receiver<i64>,
    first: bool,
    _place: Place,
}

impl Listener {
    /// The next event; `None` when the session or the server ends.
    async fn next(&mut self) -> Option<Event> {
        if std::mem::take(&mut self.first) {
            // At once, so that a page that was loaded before the stream stood learns what it missed.
            return Some(self.event());
        }
        tokio::time::sleep(PAUSE).await;
        loop {
            let waited = tokio::time::timeout(SESSION_CHECK, self.newest.changed()).await;
            let signed_in = self.app.inventory.session(&self.session, clock::now()).await;
            if !matches!(signed_in, Ok(Some(_))) {
                return None;
            }
            match waited {
                Ok(Ok(())) => return Some(self.event()),
                Ok(Err(_)) => return None,
                Err(_) => {}
            }
        }
    }

    fn event(&mut self) -> Event {
        let seq = *self.newest.borrow_and_update();
        Event::default().event("changed").id(seq.to_string()).data(seq.to_string())
    }
}

/// Changes that follow each other this closely are one.
const GATHER: Duration = Duration::from_millis(100);
/// A client hears at most one event per this time.
const PAUSE: Duration = Duration::from_millis(500);
/// How often a silent stream looks whether its session still stands.
const SESSION_CHECK: Duration = Duration::from_secs(10);
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams of one person: every visible tab has one.
const PER_USER_MAX: usize = 12;
const ALL_MAX: usize = 100;
