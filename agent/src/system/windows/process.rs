//! A command without a shell, in a job object with all that it starts.
//!
//! What runs in services is in no job: for an MSI that is Windows Installer's own, which takes an installation back when whoever asked for
//! it (`msiexec`, which is in the job) is gone.

use std::io;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use software::package::join_windows;
use software::run::Tail;
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, CREATE_NO_WINDOW, CREATE_SUSPENDED,
};

use super::raw::{self, Job};
use crate::clock;
use crate::system::output::Output;

/// A command that was started.
pub struct Process {
    child: Child,
    job: Job,
    output: Output,
}

/// How a command ended.
pub enum Ended {
    /// With this code.
    Exited(Option<i32>),
    /// Not in time; it still runs.
    NotInTime,
}

impl Process {
    /// Starts words in a folder. Nothing of it runs before it is in the job.
    ///
    /// # Errors
    /// There is no such program, or it cannot be started.
    pub fn start(words: &[String], dir: &Path) -> io::Result<Process> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        if is_script(program) {
            return Err(io::Error::other("a script of the shell cannot be started without the shell"));
        }
        let job = Job::new()?;
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(program);
        // One line as msiexec and everybody else reads it.
        command.raw_arg(join_windows(arguments.iter().map(String::as_str)));
        command.current_dir(dir).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        command.creation_flags(CREATE_SUSPENDED | CREATE_NO_WINDOW | BELOW_NORMAL_PRIORITY_CLASS);
        let mut child = command.spawn()?;
        // With the command the ends of the pipe that it was given are closed here.
        drop(command);
        if let Err(error) = job.add(&child).and_then(|()| raw::resume(&child)) {
            // It has not run and is not to.
            let _ = child.kill();
            return Err(error);
        }
        Ok(Process { child, job, output: Output::read(reader) })
    }

    /// Waits for its end, so long at most. What it left behind (uninstallers go on as a copy of themselves) is waited for a little.
    pub fn wait(&mut self, time: Duration) -> Ended {
        let end = clock::now() + time;
        loop {
            match self.child.try_wait() {
                Ok(None) if clock::now() >= end => return Ended::NotInTime,
                Ok(None) => clock::wait(LOOK_EVERY),
                Ok(Some(status)) => {
                    self.wait_for_the_rest(end.min(clock::now() + LEFT_BEHIND));
                    return Ended::Exited(status.code());
                }
                Err(_) => return Ended::Exited(None),
            }
        }
    }

    /// A program that an installer starts when it is done may stay.
    fn wait_for_the_rest(&self, end: Instant) {
        while clock::now() < end {
            match self.job.running() {
                Ok(0) => return,
                Ok(_) => clock::wait(LOOK_EVERY),
                Err(_) => break,
            }
        }
        if let Err(error) = self.job.let_go() {
            super::say(&format!("what the command left behind ends with it: {error}"));
        }
    }

    /// Ends it and all that it started.
    pub fn kill(&mut self) {
        if let Err(error) = self.job.end() {
            super::say(&format!("the command cannot be ended: {error}"));
        }
        let end = clock::now() + KILLED_WITHIN;
        while clock::now() < end && !matches!(self.job.running(), Ok(0)) {
            clock::wait(LOOK_EVERY);
        }
        // Fetched, so that it is not there any more.
        let _ = self.child.try_wait();
    }

    /// What it wrote last.
    pub fn tail(&self) -> Tail {
        self.output.tail()
    }
}

/// Whether Windows would start the shell for it.
fn is_script(program: &str) -> bool {
    let extension = Path::new(program).extension().unwrap_or_default();
    ["bat", "cmd"].iter().any(|script| extension.eq_ignore_ascii_case(script))
}

const LOOK_EVERY: Duration = Duration::from_millis(50);
const LEFT_BEHIND: Duration = Duration::from_secs(60);
const KILLED_WITHIN: Duration = Duration::from_secs(10);
