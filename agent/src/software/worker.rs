//! The conversation with the server about programs: what is there, what became of steps, what comes next.

use std::io;
use std::mem::discriminant;
use std::process::Command;
use std::time::{Duration, Instant};

use software::plan::Observed;
use software::protocol::{Order, Reply, Rules, Status};
use software::run::{Outcome, Phase, Run};

use super::notes::{Note, Notes};
use super::step::{self, carry_out};
use super::{Pc, facts, say};
use crate::client::{Client, ClientError};
use crate::clock;
use crate::resident::{ResidentError, connected, pause};

/// Works for ever.
///
/// # Errors
/// See [`ResidentError`]; a server that does not answer is none.
pub fn run() -> Result<(), ResidentError> {
    let (_, client) = connected()?;
    let pc = Pc::this();
    let state = pc.state.display().to_string();
    let mut worker = Worker::new(pc, client).map_err(|source| ResidentError::File { path: state, source })?;
    worker.resume();
    let mut failures = 0u32;
    loop {
        match worker.turn(WAIT) {
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                say(&error.to_string());
                clock::wait(pause(failures, rand::random()));
            }
        }
    }
}

/// Why a turn came to nothing. The next one tries again.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// The server.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What must outlive a loss of power could not be written.
    #[error("the agent's notes cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// The agent's state between two questions.
#[derive(Debug)]
pub struct Worker {
    pc: Pc,
    client: Client,
    notes: Notes,
    rules: Option<Rules>,
    observed: Observed,
    looked_at: Instant,
    wants_restart: bool,
}

impl Worker {
    /// A worker that has not looked yet.
    ///
    /// # Errors
    /// The folder for notes cannot be made.
    pub fn new(pc: Pc, client: Client) -> io::Result<Worker> {
        let notes = Notes::open(&pc.state)?;
        step::tidy(&pc, &notes);
        let (rules, observed) = (None, Observed::new());
        Ok(Worker { pc, client, notes, rules, observed, looked_at: clock::now(), wants_restart: false })
    }

    /// Goes on with steps that a restart or a loss of power cut off, before anything new begins.
    pub fn resume(&mut self) {
        for Note { order, journal } in self.notes.all() {
            if journal.phase == Phase::Idle {
                continue;
            }
            if let Some(run) = Run::resume(order.package.clone(), journal, &self.pc.boot())
                && let Err(error) = self.carry_out(&order, run)
            {
                say(&format!("{}: {error}", order.package.id));
            }
        }
    }

    /// Asks once, waiting so long at most for something to do, and does it.
    ///
    /// # Errors
    /// See [`TurnError`].
    pub fn turn(&mut self, wait: Duration) -> Result<(), TurnError> {
        self.restart_if_wanted();
        if clock::now().saturating_duration_since(self.looked_at) >= LOOK_EVERY {
            self.look();
        }
        let (system, architecture) = Pc::kind();
        let status = Status {
            system,
            architecture,
            rules: self.rules.as_ref().map(|rules| rules.digest.clone()),
            observed: self.observed.clone(),
            results: self.notes.results(),
        };
        // After a restart that is due nothing is asked for before it.
        let wait = if self.wants_restart { RESTART_LOOK.min(wait) } else { wait };
        let reply = self.client.software(&status, wait)?;
        self.notes.answered()?;
        match reply {
            Reply::Look(rules) => {
                self.rules = Some(rules);
                self.look();
            }
            Reply::Step(order) => self.begin(&order)?,
            Reply::Idle => {}
        }
        Ok(())
    }

    /// What was found last.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    fn begin(&mut self, order: &Order) -> io::Result<()> {
        let boot = self.pc.boot();
        let same = |note: &Note| {
            note.order.round == order.round
                && discriminant(&note.journal.action) == discriminant(&order.action)
        };
        let known = self.notes.find(&order.package.id).filter(same);
        let resumed = known.and_then(|note| Run::resume(order.package.clone(), note.journal, &boot));
        let run = resumed.unwrap_or_else(|| Run::new(order.package.clone(), order.action.clone(), &boot));
        self.carry_out(order, run)
    }

    fn carry_out(&mut self, order: &Order, run: Run) -> io::Result<()> {
        let done = carry_out(&self.pc, &self.client, &self.notes, order, run)?;
        let pending = done.result.is_some_and(|result| result.outcome == Outcome::RestartPending);
        self.wants_restart |= done.restart == Some(false) || (pending && done.restart.is_none());
        self.look();
        Ok(())
    }

    fn look(&mut self) {
        self.looked_at = clock::now();
        if let Some(rules) = &self.rules {
            let facts = facts::collect(&self.pc, &rules.questions());
            self.observed = rules.observe(Pc::kind().0, &facts);
        }
    }

    /// An installer wants a restart: as soon as nobody is signed in.
    fn restart_if_wanted(&self) {
        if !self.wants_restart || self.pc.conditions().signed_in {
            return;
        }
        say("a program needs a restart, and nobody is signed in");
        if let Err(error) =
            Command::new("systemctl").arg("reboot").env_clear().envs(super::process::ENVIRONMENT).status()
        {
            say(&format!("the PC cannot be restarted: {error}"));
        }
    }
}

/// How long a question may stay open; the server answers before.
const WAIT: Duration = Duration::from_secs(25);
/// People install things by hand.
const LOOK_EVERY: Duration = Duration::from_secs(30 * 60);
const RESTART_LOOK: Duration = Duration::from_secs(10);
