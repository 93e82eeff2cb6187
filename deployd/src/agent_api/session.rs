//! What is remembered of agents between their requests. Losing it costs nothing but a repeated write.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use images::protocol::{Phase, RunsIn};
use inventory::{DeviceId, JobId, KeyFingerprint, WaitingId};

use crate::policy::Before;

/// Memory about agents.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    devices: HashMap<DeviceId, Session>,
    progress: HashMap<JobId, (Phase, Instant)>,
    published: HashMap<JobId, (String, i64)>,
    waiting: HashMap<KeyFingerprint, (WaitingId, Instant)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Session {
    idle_since: Option<Instant>,
    last: Option<Before>,
    noted_at: Option<Instant>,
    sent_to_disk: bool,
}

impl Sessions {
    /// Every value in it is valid alone, so a panic elsewhere cannot have left half of something.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An approved agent has started.
    pub(crate) fn hello(&self, device: DeviceId, runs_in: RunsIn, now: Instant) {
        let mut inner = self.lock();
        let before = inner.devices.get(&device).copied().unwrap_or_default();
        let came_back = before.sent_to_disk && runs_in == RunsIn::BootEnvironment;
        let last = came_back.then_some(Before::CameBack);
        let session = Session { idle_since: Some(now), last, noted_at: Some(now), sent_to_disk: false };
        inner.devices.insert(device, session);
    }

    /// The device is told to start its own disk.
    pub(crate) fn sent_to_disk(&self, device: DeviceId) {
        self.lock().devices.entry(device).or_default().sent_to_disk = true;
    }

    /// A job of the device has ended.
    pub(crate) fn ended(&self, device: DeviceId, job: JobId, ended: Before, now: Instant) {
        let mut inner = self.lock();
        let session = inner.devices.entry(device).or_default();
        session.last = Some(ended);
        session.idle_since = Some(now);
        inner.progress.remove(&job);
        inner.published.remove(&job);
    }

    /// The device has got a job.
    pub(crate) fn busy(&self, device: DeviceId) {
        // When the job ends without the agent's word, because it was cancelled or failed on our side, this remains.
        let mut inner = self.lock();
        let session = inner.devices.entry(device).or_default();
        session.idle_since = None;
        session.last = Some(Before::Failed);
    }

    /// How long the device has had nothing to do, and how its last job ended.
    pub(crate) fn idle(&self, device: DeviceId, now: Instant) -> (Duration, Option<Before>) {
        let mut inner = self.lock();
        let session = inner.devices.entry(device).or_default();
        let since = *session.idle_since.get_or_insert(now);
        (now.saturating_duration_since(since), session.last)
    }

    /// Whether it is time to note again that a device was seen.
    pub(crate) fn note_seen(&self, device: DeviceId, now: Instant) -> bool {
        let mut inner = self.lock();
        let session = inner.devices.entry(device).or_default();
        due(&mut session.noted_at, now, SEEN_EVERY)
    }

    /// Whether progress is to be written: at once for a new phase, else at most every [`PROGRESS_EVERY`].
    pub(crate) fn note_progress(&self, job: JobId, phase: Phase, now: Instant) -> bool {
        let mut inner = self.lock();
        if inner.progress.len() >= JOBS_MAX {
            inner.progress.retain(|_, (_, at)| now.saturating_duration_since(*at) < PROGRESS_EVERY);
        }
        let known = inner.progress.get(&job).copied();
        let due = known.is_none_or(|(before, at)| {
            before != phase || now.saturating_duration_since(at) >= PROGRESS_EVERY
        });
        if due {
            inner.progress.insert(job, (phase, now));
        }
        due
    }

    /// Remembers what a capture has published, for its end.
    pub(crate) fn published(&self, job: JobId, manifest: String, version: i64) {
        let mut inner = self.lock();
        if inner.published.len() < JOBS_MAX {
            inner.published.insert(job, (manifest, version));
        }
    }

    /// What a capture has published since this process runs.
    pub(crate) fn published_by(&self, job: JobId) -> Option<(String, i64)> {
        self.lock().published.get(&job).cloned()
    }

    /// The waiting-list entry of a key, if it was written a short time ago.
    pub(crate) fn waiting(&self, key: &KeyFingerprint, now: Instant) -> Waited {
        match self.lock().waiting.get(key) {
            None => Waited::Unknown,
            Some((id, at)) if now.saturating_duration_since(*at) < WAITING_EVERY => Waited::Fresh(*id),
            Some(_) => Waited::Stale,
        }
    }

    /// Remembers that a waiting-list entry was written.
    pub(crate) fn saw_waiting(&self, key: KeyFingerprint, id: WaitingId, now: Instant) {
        let mut inner = self.lock();
        if inner.waiting.len() >= WAITING_KEYS_MAX {
            inner.waiting.retain(|_, (_, at)| now.saturating_duration_since(*at) < WAITING_EVERY * 4);
        }
        if inner.waiting.len() < WAITING_KEYS_MAX {
            inner.waiting.insert(key, (id, now));
        }
    }
}

/// What is known of a key on the waiting list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Nothing.
    Unknown,
    /// It was written some time ago and is due again.
    Stale,
    /// It was written a short time ago as this entry.
    Fresh(WaitingId),
}

fn due(last: &mut Option<Instant>, now: Instant, every: Duration) -> bool {
    let due = last.is_none_or(|last| now.saturating_duration_since(last) >= every);
    if due {
        *last = Some(now);
    }
    due
}

/// Each write wakes every follower of the inventory, so they are spread.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
const SEEN_EVERY: Duration = Duration::from_secs(60);
/// Well below [`inventory::SILENT_SECS`], after which a waiting PC may lose its place.
const WAITING_EVERY: Duration = Duration::from_secs(30);
const JOBS_MAX: usize = 10_000;
const WAITING_KEYS_MAX: usize = 2000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_written_twice_a_second_and_at_every_new_phase() {
        let (sessions, job, start) = (Sessions::default(), JobId::random(), inventory::clock::instant());
        let at = |ms, phase| sessions.note_progress(job, phase, start + Duration::from_millis(ms));
        assert!(at(0, Phase::Transfer));
        assert!(!at(499, Phase::Transfer));
        assert!(at(500, Phase::Transfer));
        assert!(!at(600, Phase::Transfer));
        assert!(at(601, Phase::Finish));
    }

    #[test]
    fn idleness_counts_from_hello_and_from_the_end_of_a_job() {
        let (sessions, start) = (Sessions::default(), inventory::clock::instant());
        let (device, job) = (DeviceId::random(), JobId::random());
        let at = |secs| start + Duration::from_secs(secs);
        sessions.hello(device, RunsIn::BootEnvironment, at(0));
        assert_eq!(sessions.idle(device, at(10)), (Duration::from_secs(10), None));
        sessions.ended(device, job, Before::Done, at(20));
        assert_eq!(sessions.idle(device, at(25)), (Duration::from_secs(5), Some(Before::Done)));
        sessions.hello(device, RunsIn::BootEnvironment, at(30));
        assert_eq!(sessions.idle(device, at(30)), (Duration::ZERO, None));
    }

    #[test]
    fn a_pc_that_was_sent_to_its_disk_and_is_here_again_came_back() {
        let (sessions, now) = (Sessions::default(), inventory::clock::instant());
        let device = DeviceId::random();
        let last = || sessions.idle(device, now).1;
        sessions.hello(device, RunsIn::BootEnvironment, now);
        sessions.sent_to_disk(device);
        sessions.hello(device, RunsIn::BootEnvironment, now);
        assert_eq!(last(), Some(Before::CameBack));
        sessions.sent_to_disk(device);
        sessions.hello(device, RunsIn::InstalledSystem, now);
        assert_eq!(last(), None);
        sessions.hello(device, RunsIn::BootEnvironment, now);
        assert_eq!(last(), None);
    }
}
