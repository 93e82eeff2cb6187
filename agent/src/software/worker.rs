//! The conversation with the server about programs: what is there, what became of steps, what comes next.

use std::io;
use std::mem::discriminant;
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
    let client = connected()?;
    let pc = Pc::this();
    let state = pc.state.display().to_string();
    let mut worker = Worker::new(pc, client).map_err(|source| ResidentError::File { path: state, source })?;
    worker.resume();
    let mut failures = 0u32;
    loop {
        let begun = clock::now();
        match worker.turn(WAIT) {
            Ok(()) => {
                failures = 0;
                // A server that has nothing to say and does not wait with it is not asked without a pause.
                let took = clock::now().saturating_duration_since(begun);
                clock::wait(TURN_MIN.saturating_sub(took));
            }
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
    /// What is on the PC could not be looked at, or what must outlive a loss of power not be written.
    #[error("the agent cannot read or write what it needs on this PC: {0}")]
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
    restart: Restart,
    /// It was said that the restart waits.
    waits: bool,
}

/// Whether the PC has to be restarted before anything else begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Restart {
    /// No.
    NotWanted,
    /// As soon as nobody is signed in.
    Wanted,
    /// It was told to, by an installer or by us. If it does not come, it is told again.
    Told { at: Instant },
    /// Somebody asked for it to be switched off instead. If it stays on, it goes on with its work.
    SwitchingOff { at: Instant },
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
        Ok(Worker {
            pc,
            client,
            notes,
            rules,
            observed,
            looked_at: clock::now(),
            restart: Restart::NotWanted,
            waits: false,
        })
    }

    /// Goes on with steps that a restart or a loss of power cut off, before anything new begins.
    pub fn resume(&mut self) {
        for Note { order, journal } in self.notes.all() {
            if journal.phase == Phase::Idle || self.restart != Restart::NotWanted {
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
            self.look()?;
        }
        let (system, architecture) = Pc::kind();
        let status = Status {
            system,
            architecture,
            rules: self.rules.as_ref().map(|rules| rules.digest.clone()),
            observed: self.observed.clone(),
            results: self.notes.results(),
            signed_in: self.pc.conditions().signed_in,
            restarting: self.restart != Restart::NotWanted,
        };
        let wait = if status.restarting { RESTART_LOOK.min(wait) } else { wait };
        let reply = self.client.software(&status, wait)?;
        self.notes.answered()?;
        match reply {
            Reply::Look(rules) => {
                self.observed = look(&self.pc, &rules)?;
                self.rules = Some(rules);
            }
            Reply::Step(order) => self.begin(&order)?,
            Reply::Restart => self.leave(Restart::Told { at: clock::now() }),
            Reply::SwitchOff => self.leave(Restart::SwitchingOff { at: clock::now() }),
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
        if done.restart == Some(true) {
            self.restart = Restart::Told { at: clock::now() };
        } else if self.restart == Restart::NotWanted && (pending || done.restart.is_some()) {
            self.restart = Restart::Wanted;
        }
        self.look()
    }

    /// What was found before counts for as long as nothing newer is known.
    fn look(&mut self) -> io::Result<()> {
        self.looked_at = clock::now();
        if let Some(rules) = &self.rules {
            self.observed = look(&self.pc, rules)?;
        }
        Ok(())
    }

    fn restart_if_wanted(&mut self) {
        let now = clock::now();
        let is_due = match self.restart {
            Restart::NotWanted => false,
            Restart::Wanted => true,
            Restart::Told { at } => now.saturating_duration_since(at) >= RESTART_WITHIN,
            Restart::SwitchingOff { at } => {
                if now.saturating_duration_since(at) >= RESTART_WITHIN {
                    self.restart = Restart::NotWanted;
                }
                false
            }
        };
        if !is_due {
            return;
        }
        if self.pc.conditions().signed_in {
            if !std::mem::replace(&mut self.waits, true) {
                say("a program needs a restart, which waits until nobody is signed in");
            }
            return;
        }
        self.waits = false;
        say("a program needs a restart, and nobody is signed in");
        self.leave(Restart::Told { at: now });
    }

    /// Restarts or switches off. Nothing else begins meanwhile.
    fn leave(&mut self, how: Restart) {
        let off = matches!(how, Restart::SwitchingOff { .. });
        let what = if off { "switch off" } else { "restart" };
        // Somebody may have come since the server was told that nobody is there.
        if self.pc.conditions().signed_in {
            say(&format!("it does not {what}: somebody is signed in"));
            return;
        }
        match if off { self.pc.switch_off_now() } else { self.pc.restart_now() } {
            Ok(()) => self.restart = how,
            Err(error) => say(&format!("the PC does not {what}: {error}")),
        }
    }
}

fn look(pc: &Pc, rules: &Rules) -> io::Result<Observed> {
    Ok(rules.observe(Pc::kind().0, &facts::collect(pc, &rules.questions())?))
}

/// How long a question may stay open; the server answers before.
const WAIT: Duration = Duration::from_secs(25);
/// People install things by hand.
const LOOK_EVERY: Duration = Duration::from_secs(30 * 60);
const RESTART_LOOK: Duration = Duration::from_secs(10);
const RESTART_WITHIN: Duration = Duration::from_secs(5 * 60);
const TURN_MIN: Duration = Duration::from_millis(250);
