//! Telling server and screen how far a job is, once a second, from a thread of its own, so that the disk never waits for
//! the network.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use images::protocol::{JobControl, Phase, Progress};

use super::meter::Meter;
use crate::client::ClientError;
use crate::clock;
use crate::line::Line;
use crate::screen::{Kind, Scene, Work};

pub(super) struct Reporter<'r> {
    line: &'r Line,
    job: &'r str,
    kind: Kind,
    image: String,
    state: Mutex<State>,
    changed: Condvar,
    cancelled: AtomicBool,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    /// Counted up with every phase, so that a new one is told at once.
    phases: u32,
    over: bool,
}

impl<'r> Reporter<'r> {
    pub(super) fn new(line: &'r Line, job: &'r str, kind: Kind, image: String) -> Reporter<'r> {
        let state = Mutex::new(State { progress: Progress::default(), phases: 0, over: false });
        Reporter { line, job, kind, image, state, changed: Condvar::new(), cancelled: AtomicBool::new(false) }
    }

    /// A new phase with this many bytes begins; 0 when that is not known.
    pub(super) fn phase(&self, phase: Phase, total_bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.progress = Progress { phase, total_bytes, ..Progress::default() };
        state.phases += 1;
        self.changed.notify_all();
    }

    /// This many bytes of the phase are done. Costs nothing.
    pub(super) fn done(&self, done_bytes: u64, total_bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.progress.done_bytes = done_bytes;
        state.progress.total_bytes = total_bytes;
    }

    /// This many bytes crossed the network, and so many of them came from other PCs.
    pub(super) fn moved(&self, transferred: u64, peer_bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.progress.transferred = transferred;
        state.progress.peer_bytes = peer_bytes;
    }

    /// Whether the job is to be ended: a person cancelled it, or the server does not know it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Runs `work` while progress is told.
    pub(super) fn alongside<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            scope.spawn(|| self.tell_until_over());
            let result = work();
            self.state.lock().unwrap_or_else(PoisonError::into_inner).over = true;
            self.changed.notify_all();
            result
        })
    }

    fn tell_until_over(&self) {
        let mut meter = Meter::default();
        let mut told = None;
        loop {
            let (mut progress, phases) = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                let quiet = |s: &mut State| !s.over && told == Some(s.phases);
                let waited = self.changed.wait_timeout_while(state, INTERVAL, quiet);
                let state = waited.unwrap_or_else(PoisonError::into_inner).0;
                if state.over {
                    return;
                }
                (state.progress.clone(), state.phases)
            };
            if told != Some(phases) {
                meter = Meter::default();
                told = Some(phases);
            }
            let rate = meter.at(clock::now(), progress.done_bytes);
            progress.bytes_per_sec = rate as u64;
            self.draw(&progress, rate);
            match self.line.client().progress(self.job, &progress) {
                Ok(JobControl::Continue) => {}
                Ok(JobControl::Cancel) => self.cancelled.store(true, Ordering::Relaxed),
                // The job is over as far as the server is concerned.
                Err(ClientError::Refused { status: 404 | 409 | 410, .. }) => {
                    self.cancelled.store(true, Ordering::Relaxed);
                }
                // Whoever moves the data waits for the server and says so.
                Err(_) => {}
            }
        }
    }

    fn draw(&self, progress: &Progress, rate: f64) {
        let scene = Scene::Working(Work {
            kind: self.kind,
            image: self.image.clone(),
            phase: progress.phase,
            done: progress.done_bytes,
            total: progress.total_bytes,
            rate,
        });
        // The hitch stays: it is somebody else's to take away.
        self.line.screen().change(|view| view.scene = scene);
    }
}

const INTERVAL: Duration = Duration::from_secs(1);
