//! What goes on beside the requests: following the inventory, waking iPads, writing down who spoke, tidying.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use inventory::mdm::AppleKind;
use inventory::{Change, EnrolmentId, UnixMillis, clock};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::apps;
use crate::push::{Address, PushError, Pushed};
use crate::server::{Sealed, Server, wishes};

/// Starts the tasks; they end with the set.
///
/// # Errors
/// The inventory failed.
pub(crate) async fn start(server: &Arc<Server>) -> inventory::Result<JoinSet<()>> {
    // Subscribed before the first read, so that nothing is missed between the two.
    let changed = server.inventory.follow();
    let seq = server.inventory.last_change().await?;
    server.reload_push(clock::now()).await?;
    let mut tasks = JoinSet::new();
    tasks.spawn(follow(Arc::clone(server), changed.clone(), seq));
    tasks.spawn(wake_all(Arc::clone(server), changed));
    tasks.spawn(write_down(Arc::clone(server)));
    tasks.spawn(wishes::follow(Arc::clone(server)));
    tasks.spawn(renew(Arc::clone(server)));
    Ok(tasks)
}

/// Hears what changed, and makes commands of what people ask.
async fn follow(server: Arc<Server>, mut changed: watch::Receiver<u64>, mut seq: i64) {
    loop {
        let mut done = read_changes(&server, &mut seq).await;
        if done.is_ok() {
            done = server.answer_all_asked(clock::now()).await;
        }
        if done.is_ok() {
            done = server.let_go(clock::now()).await;
        }
        if let Err(error) = done {
            // Nothing that is remembered can be believed any more.
            server.ipads.forget_all();
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot follow the inventory; trying again"
            );
        }
        tokio::time::sleep(GATHER).await;
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_ANYWAY) => {}
        }
    }
}

async fn read_changes(server: &Server, seq: &mut i64) -> inventory::Result<()> {
    loop {
        let from = seq.saturating_sub(server.inventory.changes_overlap());
        let changes = server.inventory.changes_since(from, CHANGES_MAX).await?;
        for change in &changes {
            let is_new = change.seq > *seq;
            if change.entity == "ipad" {
                heed(server, change, is_new);
            }
            if is_new {
                server.wishes.heed(change);
            }
        }
        let before = *seq;
        let new = || changes.iter().filter(|change| change.seq > before);
        let of =
            |change: &Change, kind: AppleKind| change.entity == "apple_service" && change.key == kind.text();
        if new().any(|change| of(change, AppleKind::Push) && change.action != "checked") {
            server.reload_push(clock::now()).await?;
        }
        let asked = |change: &Change| ["imported", "changed"].contains(&change.action.as_str());
        if new().any(|change| of(change, AppleKind::Ade) && asked(change)) {
            server.heard.ade.notify_one();
        }
        if new().any(apps::concerns) {
            server.heard.apps.notify_one();
        }
        if new().any(|change| change.entity == "apple_service") {
            server.heard.services.notify_one();
        }
        let newest = changes.last().map_or(*seq, |change| change.seq.max(*seq));
        let more = newest > *seq && changes.len() >= CHANGES_MAX as usize;
        *seq = newest;
        if !more {
            return Ok(());
        }
    }
}

fn heed(server: &Server, change: &Change, is_new: bool) {
    let Ok(ipad) = change.key.parse::<EnrolmentId>() else { return };
    match change.action.as_str() {
        "queued" if is_new => server.ipads.note_work(ipad),
        "authenticated" | "reachable" | "left" | "renewed" => server.ipads.forget(ipad),
        // What an iPad itself said changes neither who it is nor what waits for it.
        _ => {}
    }
}

/// Wakes iPads that have something to fetch: at once when it is new, and again with growing pauses.
async fn wake_all(server: Arc<Server>, mut changed: watch::Receiver<u64>) {
    let mut woken: HashMap<EnrolmentId, Wakes> = HashMap::new();
    let mut look_at = UnixMillis(0);
    loop {
        if let Err(error) = wake_due(&server, &mut woken, &mut look_at, clock::now()).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot see whom to wake; trying again");
        }
        tokio::time::sleep(WAKE_GATHER).await;
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(LOOK_ANYWAY) => {}
        }
    }
}

/// When an iPad was woken last, and how often since something new waits for it.
struct Wakes {
    at: UnixMillis,
    times: u32,
}

impl Wakes {
    /// A minute, then twice as long each time, to six hours: Apple delivers a push to an iPad that was switched off when it comes back.
    fn is_due(&self, now: UnixMillis) -> bool {
        let secs = WAKE_SECS.saturating_mul(1 << self.times.min(16)).min(WAKE_SECS_MAX);
        now >= self.at.plus_secs(secs)
    }
}

async fn wake_due(
    server: &Arc<Server>,
    woken: &mut HashMap<EnrolmentId, Wakes>,
    look_at: &mut UnixMillis,
    now: UnixMillis,
) -> inventory::Result<()> {
    let mut due = server.ipads.take_work();
    for ipad in &due {
        woken.remove(ipad);
    }
    // Who is due again is found by looking at all, which is not done for every answer of some iPad.
    if now >= *look_at {
        let waiting = server.inventory.ipads_with_commands(now).await?;
        woken.retain(|ipad, _| waiting.contains(ipad));
        due.extend(waiting.into_iter().filter(|ipad| woken.get(ipad).is_none_or(|w| w.is_due(now))));
        *look_at = now.plus_secs(LOOK_ANYWAY.as_secs());
    }
    if server.push().is_none() {
        return Ok(());
    }
    let mut pushes = JoinSet::new();
    for ipad in due {
        while pushes.len() >= PUSHES_AT_ONCE {
            note_wake(woken, pushes.join_next().await, now);
        }
        let server = Arc::clone(server);
        pushes.spawn(async move { (ipad, push(&server, ipad, now).await) });
    }
    while !pushes.is_empty() {
        note_wake(woken, pushes.join_next().await, now);
    }
    Ok(())
}

type Joined = Option<Result<(EnrolmentId, bool), tokio::task::JoinError>>;

/// Only what the push service took counts: after an outage nobody waits for hours.
fn note_wake(woken: &mut HashMap<EnrolmentId, Wakes>, joined: Joined, now: UnixMillis) {
    let Some(Ok((ipad, taken))) = joined else { return };
    let wakes = woken.entry(ipad).or_insert(Wakes { at: now, times: 0 });
    wakes.at = now;
    wakes.times = if taken { wakes.times.saturating_add(1) } else { 0 };
}

/// Wakes one iPad; whether the push service took it.
async fn push(server: &Server, ipad: EnrolmentId, now: UnixMillis) -> bool {
    let Some(push) = server.push() else { return false };
    let sealed = match server.inventory.enrolment(ipad).await {
        Ok(enrolment) => enrolment.and_then(|enrolment| enrolment.push),
        Err(error) => {
            tracing::warn!(ipad.id = %ipad, error = &error as &dyn std::error::Error, "cannot find an iPad to wake");
            return false;
        }
    };
    // Without an address nothing can be done before the iPad speaks.
    let Some(sealed) = sealed else { return true };
    let address = server.unseal(Sealed::Push, ipad, &sealed);
    let Some(address) = address.and_then(|text| serde_json::from_slice::<Address>(&text).ok()) else {
        return true;
    };
    match push.wake(&address, now).await {
        Ok(Pushed::Taken) => true,
        Ok(Pushed::Gone) => {
            tracing::info!(ipad.id = %ipad, "an iPad cannot be woken before it speaks again");
            server.inventory.forget_push(server.by(now), ipad, &sealed).await.is_ok()
        }
        Ok(Pushed::Busy) | Err(PushError::Down | PushError::Over) => false,
        Err(error) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot wake iPads; trying again in a minute"
            );
            false
        }
    }
}

/// Has certificates renewed that end soon.
async fn renew(server: Arc<Server>) {
    loop {
        if let Err(error) = server.renew_certificates(clock::now()).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "cannot renew certificates of iPads; trying again"
            );
        }
        tokio::time::sleep(server.certificates.look).await;
    }
}

/// Writes down who spoke; ends commands whose time is over, and forgets old ones.
async fn write_down(server: Arc<Server>) {
    let mut rounds: u32 = 0;
    loop {
        tokio::time::sleep(WRITE_DOWN).await;
        let (seen, now) = (server.ipads.take_seen(), clock::now());
        if !seen.is_empty()
            && let Err(error) = server.inventory.note_ipads_seen(&seen).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot write down which iPads spoke");
        }
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(TIDY_ROUNDS) {
            let forget = UnixMillis(now.0.saturating_sub(KEPT_MILLIS));
            if let Err(error) = server.inventory.tidy_ipads(server.by(now), forget).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot end old commands of iPads");
            }
        }
    }
}

/// How long changes are gathered before the whole school is looked at again: a class that is moved is one round, and a large school is
/// looked at less often, so that this stays a small part of the work.
pub(crate) fn pause_after(began: UnixMillis, ended: UnixMillis) -> Duration {
    let took = u64::try_from(ended.0.saturating_sub(began.0)).unwrap_or(0);
    Duration::from_millis(took.saturating_mul(SCHOOL_SHARE)).clamp(SCHOOL_GATHER, SCHOOL_GATHER_MAX)
}

const GATHER: Duration = Duration::from_millis(20);
const SCHOOL_GATHER: Duration = Duration::from_millis(300);
const SCHOOL_GATHER_MAX: Duration = Duration::from_secs(5);
/// One look in so many times its duration.
const SCHOOL_SHARE: u64 = 20;
/// Long enough that a command for a whole class is one round.
const WAKE_GATHER: Duration = Duration::from_millis(50);
const LOOK_ANYWAY: Duration = Duration::from_secs(5);
const WRITE_DOWN: Duration = Duration::from_secs(10);
/// Every minute.
const TIDY_ROUNDS: u32 = 6;
/// Commands that ended stay for looking at for thirty days.
const KEPT_MILLIS: i64 = 30 * 86_400_000;
const CHANGES_MAX: u32 = 2000;
const WAKE_SECS: u64 = 60;
const WAKE_SECS_MAX: u64 = 6 * 3600;
const PUSHES_AT_ONCE: usize = 100;
