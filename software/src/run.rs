//! One step of a plan on a PC: told what happened, it answers with effects, which the agent carries out in their order.
//!
//! | What may happen                        | What comes of it                                                                  |
//! |----------------------------------------|-----------------------------------------------------------------------------------|
//! | the PC loses power, the installer restarts it | the journal says that the command was begun; the next start looks before it runs anything |
//! | the installer hangs                    | its whole group of processes is ended, what it left is looked at                      |
//! | exit code 0, but nothing is there      | [`Failure::NotThere`]: the installer lied, and is said to have                        |
//! | a bad exit code, but all is there      | [`Outcome::Done`] with that code                                                     |
//! | a first installation fails half way    | what it left is uninstalled; an upgrade cannot be taken back                          |
//! | it fails three times                   | [`Outcome::NeedsPerson`]                                                            |
//!
//! A [`Run`] reads no clock: the agent measures the timeout it is given. It must end the group of processes (job object, cgroup)
//! whenever it ends itself, so that no installer runs on without being watched.

use crate::package::{Cause, Found, Meaning, Package, PackageId, Timeout, Upgrade, Version};
use crate::plan::Action;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

mod tail;

pub use tail::Tail;

/// What the agent must write down durably. With it and the step the run goes on after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// With which package.
    pub package: PackageId,
    /// In which version.
    pub version: Version,
    /// What was to be done with it.
    pub action: Action,
    /// How often the command was begun.
    pub attempts: u8,
    /// How often something else was in the way, in a row.
    pub delays: u8,
    /// How far it came.
    pub phase: Phase,
}

/// How far a step came, as the journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No command is running.
    Idle,
    /// A command is about to be run, or is running.
    Begun,
    /// A failed installation is being taken back.
    TakingBack(Failure),
    /// A command is done and wants a restart. The name is that of the boot in which it ran (`/proc/sys/kernel/random/boot_id`).
    RestartPending {
        /// Of which boot.
        boot: String,
    },
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The step may begin, under these conditions.
    Start(Conditions),
    /// What the package's rule finds, asked by [`Effect::Look`].
    Looked(Found),
    /// The package's files are there and their hashes are right.
    Fetched,
    /// They are not.
    NotFetched,
    /// There is no command to uninstall with ([`crate::package::NoUninstaller`]), or the program could not be started.
    NotRun(Tail),
    /// The command ended.
    Exited {
        /// With this code; without, it was ended by the agent or a signal.
        code: Option<i32>,
        /// What it wrote last.
        tail: Tail,
    },
    /// The command took longer than it may.
    TimedOut,
}

/// What the agent sees before a step begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Somebody is signed in.
    pub signed_in: bool,
    /// The PC runs on its battery.
    pub on_battery: bool,
}

/// What the agent must do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Write this down and wait until it is on the disk.
    Record(Journal),
    /// Collect the facts of the package's rule and answer [`Event::Looked`].
    Look,
    /// Get the package's files, check their hashes, answer [`Event::Fetched`] or [`Event::NotFetched`].
    Fetch,
    /// Run this command, answer [`Event::Exited`], or [`Event::TimedOut`] when the time is over.
    Run {
        /// Which command of the package.
        command: Command,
        /// How long it may take.
        timeout: Timeout,
    },
    /// End the command and all that it started, then answer [`Event::Exited`], also if it does not end: nobody waits for it for ever.
    Kill,
    /// Nothing else may begin before the PC was restarted.
    Restart {
        /// The installer restarts it by itself.
        by_installer: bool,
    },
    /// Tell the server. The run is over, unless the outcome says that it waits for a restart.
    Report(Outcome),
}

/// A command of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// [`crate::package::Parts::install`].
    Install,
    /// [`Upgrade::Command`].
    Upgrade,
    /// [`crate::package::Parts::uninstall`].
    Uninstall,
}

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is as it should be.
    Done {
        /// A command ran for it; else it was so already.
        ran: bool,
        /// The command said it failed, with this code.
        despite: Option<i32>,
    },
    /// It will be as it should after a restart, and is looked at again then.
    RestartPending,
    /// Conditions are not met. Try again when they change.
    Waiting {
        /// Nobody may be signed in.
        signed_in: bool,
        /// The PC must be plugged in.
        on_battery: bool,
    },
    /// Something was in the way that will pass: try again in a few minutes.
    RetryLater(Delay),
    /// It failed. It is tried again in the next window.
    Failed(Report),
    /// It failed too often. It is left alone until a person says otherwise.
    NeedsPerson(Report),
}

/// What was in the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delay {
    /// The files are not there yet.
    Files,
    /// Another installation is running, or a file is in use.
    Busy,
    /// The installer wants a restart first.
    RestartFirst,
}

/// What a person needs to know about a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What failed.
    pub failure: Failure,
    /// What was there before and after.
    pub left: Left,
    /// How often the command was begun, this time included.
    pub attempts: u8,
    /// What the command wrote last.
    pub tail: Tail,
}

/// What failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The command ended with this code.
    Exit {
        /// Which code.
        code: i32,
        /// What it means.
        cause: Cause,
    },
    /// The command was ended by a signal.
    Ended,
    /// It took longer than it may.
    TimedOut,
    /// The command said that all went well, but the package's rule does not find what it should.
    NotThere,
    /// The same for removing: it is still there.
    StillThere,
    /// The PC went off in the middle.
    Interrupted,
    /// The program could not be started.
    NotStarted,
    /// Something was in the way too often.
    Delayed(Delay),
}

/// What a failure left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Left {
    /// Nothing changed as far as the rule sees.
    Nothing,
    /// A half installation that was uninstalled again.
    TakenBack,
    /// Something, and it could not be taken back.
    Something,
}

/// One step being carried out.
#[derive(Debug)]
pub struct Run {
    package: Arc<Package>,
    journal: Journal,
    state: State,
    boot: String,
}

#[derive(Debug, Clone, PartialEq)]
enum State {
    Idle,
    /// Looking before a command is run.
    Checking,
    Fetching,
    Running,
    Killing,
    /// Looking whether the command did it.
    Verifying {
        failure: Option<Failure>,
        tail: Tail,
    },
    TakingBack {
        failure: Failure,
        tail: Tail,
    },
    /// Looking whether the half installation is gone.
    TakenBack {
        failure: Failure,
        tail: Tail,
    },
    Over,
}

impl Run {
    /// A step that begins anew. `boot` names the PC's present boot.
    pub fn new(package: Arc<Package>, action: Action, boot: &str) -> Self {
        let journal = Journal {
            package: package.id.clone(),
            version: package.version.clone(),
            action,
            attempts: 0,
            delays: 0,
            phase: Phase::Idle,
        };
        Self { package, journal, state: State::Idle, boot: boot.to_owned() }
    }

    /// A step that the journal knows, also after a restart. `None` if the journal is about another one.
    pub fn resume(package: Arc<Package>, journal: Journal, boot: &str) -> Option<Self> {
        let same = package.id == journal.package && package.version == journal.version;
        same.then(|| Self { package, journal, state: State::Idle, boot: boot.to_owned() })
    }

    /// What the journal has.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Takes in what happened and answers with what to do, in this order. What does not fit the moment changes nothing.
    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        match (std::mem::replace(&mut self.state, State::Over), event) {
            (State::Idle, Event::Start(conditions)) => self.start(conditions),
            (State::Checking, Event::Looked(found)) => self.checked(&found),
            (State::Fetching, Event::Fetched) => self.begin(),
            (State::Fetching, Event::NotFetched) => self.delay(Delay::Files),
            (State::Running, Event::Exited { code, tail }) => self.exited(code, tail),
            (State::Running, Event::NotRun(tail)) => self.verify(Some(Failure::NotStarted), tail),
            (State::Running, Event::TimedOut) => self.go(State::Killing, vec![Effect::Kill]),
            (State::Killing, Event::Exited { tail, .. }) => self.verify(Some(Failure::TimedOut), tail),
            (State::Verifying { failure, tail }, Event::Looked(found)) => {
                self.verified(&found, failure, tail)
            }
            (State::TakingBack { failure, tail }, Event::Exited { .. } | Event::NotRun(_)) => {
                self.go(State::TakenBack { failure, tail }, vec![Effect::Look])
            }
            (State::TakingBack { failure, tail }, Event::TimedOut) => {
                self.go(State::TakingBack { failure, tail }, vec![Effect::Kill])
            }
            (State::TakenBack { failure, tail }, Event::Looked(found)) => {
                let left = if found.present() { Left::Something } else { Left::TakenBack };
                self.fail(failure, left, tail)
            }
            (state, _) => self.go(state, Vec::new()),
        }
    }

    fn go(&mut self, state: State, effects: Vec<Effect>) -> Vec<Effect> {
        self.state = state;
        effects
    }

    fn record(&mut self, phase: Phase) -> Effect {
        self.journal.phase = phase;
        Effect::Record(self.journal.clone())
    }

    fn start(&mut self, conditions: Conditions) -> Vec<Effect> {
        match self.journal.phase.clone() {
            Phase::RestartPending { boot } if boot == self.boot => {
                self.go(State::Idle, vec![Effect::Report(Outcome::RestartPending)])
            }
            Phase::RestartPending { .. } => self.verify(None, Tail::default()),
            Phase::Begun => self.verify(Some(Failure::Interrupted), Tail::default()),
            Phase::TakingBack(failure) => {
                self.go(State::TakenBack { failure, tail: Tail::default() }, vec![Effect::Look])
            }
            Phase::Idle => {
                let signed_in = self.package.needs.nobody_signed_in && conditions.signed_in;
                let on_battery = self.package.needs.mains_power && conditions.on_battery;
                if signed_in || on_battery {
                    return self
                        .go(State::Idle, vec![Effect::Report(Outcome::Waiting { signed_in, on_battery })]);
                }
                self.go(State::Checking, vec![Effect::Look])
            }
        }
    }

    fn removes(&self) -> bool {
        matches!(self.journal.action, Action::Uninstall { .. })
    }

    fn reached(&self, found: &Found) -> bool {
        if self.removes() { !found.present() } else { self.package.satisfied_by(found) }
    }

    fn checked(&mut self, found: &Found) -> Vec<Effect> {
        if self.reached(found) {
            return self.done(false, None);
        }
        if self.package.files.is_empty() {
            self.begin()
        } else {
            self.go(State::Fetching, vec![Effect::Fetch])
        }
    }

    fn begin(&mut self) -> Vec<Effect> {
        self.journal.attempts = self.journal.attempts.saturating_add(1);
        let command = match (&self.journal.action, &self.package.upgrade) {
            (Action::Uninstall { .. }, _) => Command::Uninstall,
            (Action::Upgrade { .. }, Upgrade::Command(_)) => Command::Upgrade,
            _ => Command::Install,
        };
        let record = self.record(Phase::Begun);
        self.go(State::Running, vec![record, Effect::Run { command, timeout: self.package.timeout }])
    }

    fn exited(&mut self, code: Option<i32>, tail: Tail) -> Vec<Effect> {
        let Some(code) = code else { return self.verify(Some(Failure::Ended), tail) };
        match self.package.exit_codes.meaning(code) {
            Meaning::Done => self.verify(None, tail),
            Meaning::DoneAfterReboot => self.restart(false),
            Meaning::Rebooting => self.restart(true),
            Meaning::RetryLater => self.undo_attempt(Delay::Busy),
            Meaning::RebootFirst => self.undo_attempt(Delay::RestartFirst),
            Meaning::Failed(cause) => self.verify(Some(Failure::Exit { code, cause }), tail),
        }
    }

    fn restart(&mut self, by_installer: bool) -> Vec<Effect> {
        let record = self.record(Phase::RestartPending { boot: self.boot.clone() });
        let report = Effect::Report(Outcome::RestartPending);
        self.go(State::Over, vec![record, report, Effect::Restart { by_installer }])
    }

    /// The command did nothing, so it was no attempt.
    fn undo_attempt(&mut self, delay: Delay) -> Vec<Effect> {
        self.journal.attempts = self.journal.attempts.saturating_sub(1);
        self.delay(delay)
    }

    fn delay(&mut self, delay: Delay) -> Vec<Effect> {
        self.journal.delays = self.journal.delays.saturating_add(1);
        if self.journal.delays >= MAX_DELAYS {
            self.journal.delays = 0;
            self.journal.attempts = MAX_ATTEMPTS;
            return self.fail(Failure::Delayed(delay), Left::Nothing, Tail::default());
        }
        let mut effects = vec![self.record(Phase::Idle), Effect::Report(Outcome::RetryLater(delay))];
        if delay == Delay::RestartFirst {
            effects.push(Effect::Restart { by_installer: false });
        }
        self.go(State::Idle, effects)
    }

    fn verify(&mut self, failure: Option<Failure>, tail: Tail) -> Vec<Effect> {
        self.go(State::Verifying { failure, tail }, vec![Effect::Look])
    }

    fn verified(&mut self, found: &Found, failure: Option<Failure>, tail: Tail) -> Vec<Effect> {
        if self.reached(found) {
            let despite = match failure {
                Some(Failure::Exit { code, .. }) => Some(code),
                _ => None,
            };
            return self.done(true, despite);
        }
        let lie = if self.removes() { Failure::StillThere } else { Failure::NotThere };
        let failure = failure.unwrap_or(lie);
        let half = found.present() && self.journal.action == Action::Install;
        if half && self.package.uninstall.is_some() {
            let record = self.record(Phase::TakingBack(failure));
            let run = Effect::Run { command: Command::Uninstall, timeout: self.package.timeout };
            return self.go(State::TakingBack { failure, tail }, vec![record, run]);
        }
        let left = if half { Left::Something } else { Left::Nothing };
        self.fail(failure, left, tail)
    }

    fn done(&mut self, ran: bool, despite: Option<i32>) -> Vec<Effect> {
        (self.journal.attempts, self.journal.delays) = (0, 0);
        let record = self.record(Phase::Idle);
        self.go(State::Over, vec![record, Effect::Report(Outcome::Done { ran, despite })])
    }

    fn fail(&mut self, failure: Failure, left: Left, tail: Tail) -> Vec<Effect> {
        let attempts = self.journal.attempts;
        let report = Report { failure, left, attempts, tail };
        let over = attempts >= MAX_ATTEMPTS;
        let outcome = if over { Outcome::NeedsPerson(report) } else { Outcome::Failed(report) };
        let record = self.record(Phase::Idle);
        self.go(State::Over, vec![record, Effect::Report(outcome)])
    }
}

/// After so many a person is needed.
pub const MAX_ATTEMPTS: u8 = 3;
/// So often something else may be in the way in a row.
const MAX_DELAYS: u8 = 20;

#[cfg(test)]
mod tests;
