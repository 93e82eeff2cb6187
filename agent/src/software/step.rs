//! One step: carries out what [`Run`] says, and tells it what happened.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use software::package::{Facts, Found, Package, Upgrade};
use software::protocol::{Order, StepResult, questions};
use software::run::{Command, Effect, Event, Outcome, Run, Tail};

use super::notes::Notes;
use super::{Pc, facts, fetch, log, say};
use crate::client::Client;
use crate::system::{self, Ended, Process};

/// What came of a step.
pub(super) struct Done {
    pub(super) result: Option<StepResult>,
    /// Nothing else may begin before the PC was restarted; `true` if the installer does it by itself.
    pub(super) restart: Option<bool>,
}

/// Carries a step out, from where it is.
///
/// # Errors
/// It could not be written down how far it is, or not be looked at what is there; nothing was begun without that, and the journal says
/// where to go on.
pub(super) fn carry_out(
    pc: &Pc,
    client: &Client,
    notes: &Notes,
    order: &Order,
    run: Run,
) -> io::Result<Done> {
    let step = Step { pc, client, order, process: None, log: PathBuf::new(), facts: Facts::default() };
    step.carry_out(notes, run)
}

struct Step<'s> {
    pc: &'s Pc,
    client: &'s Client,
    order: &'s Order,
    process: Option<Process>,
    /// Where the command that runs may write its log.
    log: PathBuf,
    /// As they were looked at last.
    facts: Facts,
}

impl Step<'_> {
    fn carry_out(mut self, notes: &Notes, mut run: Run) -> io::Result<Done> {
        let mut done = Done { result: None, restart: None };
        let mut events = VecDeque::from([Event::Start(self.pc.conditions())]);
        while let Some(event) = events.pop_front() {
            for effect in run.handle(event) {
                match effect {
                    Effect::Record(journal) => notes.keep(self.order, &journal)?,
                    Effect::Look => events.push_back(Event::Looked(self.look()?)),
                    Effect::Fetch => events.push_back(self.fetch()),
                    Effect::Run { command, timeout } => {
                        events.push_back(self.run(command, timeout.duration().min(self.pc.command_time_max)));
                    }
                    Effect::Kill => events.push_back(self.kill()),
                    Effect::Restart { by_installer } => done.restart = Some(by_installer),
                    Effect::Report(outcome) => done.result = Some(self.ended(notes, outcome)?),
                }
            }
        }
        Ok(done)
    }

    fn package(&self) -> &Package {
        &self.order.package
    }

    fn look(&mut self) -> io::Result<Found> {
        self.facts = facts::collect(self.pc, &questions([&self.package().detect]))?;
        Ok(self.package().find(&self.facts))
    }

    fn fetch(&self) -> Event {
        match fetch::fetch(self.pc, self.client, self.package()) {
            Ok(()) => Event::Fetched,
            Err(error) => {
                say(&format!("{}: {error}", self.package().id));
                Event::NotFetched
            }
        }
    }

    fn run(&mut self, command: Command, time: Duration) -> Event {
        let package = self.package();
        let argv = match (command, &package.upgrade, &package.uninstall) {
            (Command::Upgrade, Upgrade::Command(argv), _) => argv.clone(),
            (Command::Uninstall, _, Some(uninstall)) => match uninstall.command(&package.detect, &self.facts)
            {
                Ok(argv) => argv,
                Err(error) => return not_run(&error),
            },
            (Command::Uninstall, _, None) => {
                return not_run(&"the package names no command to uninstall with");
            }
            (Command::Install | Command::Upgrade, ..) => package.install.clone(),
        };
        let folder = fetch::folder(self.pc, package);
        if let Err(error) = system::private_folder(&folder) {
            return not_run(&error);
        }
        let (dir, log) = (folder.to_string_lossy(), folder.join(LOG));
        let words = argv.expand(&dir, &log.to_string_lossy());
        say(&format!("{} {}: {}", package.id, package.version, words.join(" ")));
        // One of an earlier attempt says nothing about this one.
        let _ = fs::remove_file(&log);
        self.log = log;
        match Process::start(&words, &folder) {
            Ok(process) => match self.process.insert(process).wait(time) {
                Ended::NotInTime => Event::TimedOut,
                Ended::Exited(code) => Event::Exited { code, tail: self.tail() },
            },
            Err(error) => not_run(&error),
        }
    }

    fn kill(&mut self) -> Event {
        if let Some(process) = &mut self.process {
            process.kill();
        }
        Event::Exited { code: None, tail: self.tail() }
    }

    /// What the command wrote last, or the end of its log: installers with a window write nothing else.
    fn tail(&self) -> Tail {
        let said = self.process.as_ref().map(Process::tail).unwrap_or_default();
        if said.text().trim().is_empty() { log::tail(&self.log).unwrap_or(said) } else { said }
    }

    /// Writes the result down; what is as it should be is forgotten with its files.
    fn ended(&self, notes: &Notes, outcome: Outcome) -> io::Result<StepResult> {
        let Order { package, action, .. } = self.order;
        let result = StepResult {
            package: package.id.clone(),
            version: package.version.clone(),
            action: action.clone(),
            outcome,
        };
        say(&format!("{} {}: {:?}", package.id, package.version, result.outcome));
        notes.add_result(result.clone())?;
        match result.outcome {
            Outcome::Done { .. } => {
                notes.forget(&package.id);
                fetch::drop_files(self.pc, package);
            }
            Outcome::NeedsPerson(_) => fetch::drop_files(self.pc, package),
            _ => {}
        }
        Ok(result)
    }
}

fn not_run(why: &impl std::fmt::Display) -> Event {
    Event::NotRun(Tail::from(why.to_string()))
}

/// Files that installers are told to write their log to.
const LOG: &str = ".log";

/// Removes caches of packages that nothing is known of any more.
pub(super) fn tidy(pc: &Pc, notes: &Notes) {
    for folder in super::entries(&pc.cache) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let known = name.parse().is_ok_and(|package| notes.find(&package).is_some());
        if !known {
            let _ = fs::remove_dir_all(folder);
        }
    }
}
