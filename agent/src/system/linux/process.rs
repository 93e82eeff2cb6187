//! A command without a shell, with a mark in its environment, so that all it started can be ended with it.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use software::run::Tail;

use crate::clock;
use crate::system::output::Output;

/// What commands see; nothing of ours.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// A program with that environment and nothing to read.
pub(super) fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
    command
}

/// A command that was started.
pub struct Process {
    child: Child,
    /// What its environment and that of all it started have and no other.
    mark: String,
    output: Output,
}

/// How a command ended.
pub enum Ended {
    /// With this code; without, by a signal.
    Exited(Option<i32>),
    /// Not in time; it still runs.
    NotInTime,
}

impl Process {
    /// Starts words in a folder.
    ///
    /// # Errors
    /// There is no such program, or it cannot be started.
    pub fn start(words: &[String], dir: &Path) -> io::Result<Process> {
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (reader, writer) = io::pipe()?;
        let mark = format!("{:016x}", rand::random::<u64>());
        let child = command(program)
            .args(arguments)
            .current_dir(dir)
            .env(MARK, &mark)
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        Ok(Process { child, mark: format!("{MARK}={mark}"), output: Output::read(reader) })
    }

    /// Waits for its end, so long at most.
    pub fn wait(&mut self, time: Duration) -> Ended {
        let end = clock::now() + time;
        loop {
            match self.child.try_wait() {
                Ok(None) if clock::now() >= end => return Ended::NotInTime,
                Ok(None) => clock::wait(LOOK_EVERY),
                Ok(Some(status)) => return Ended::Exited(status.code()),
                Err(_) => return Ended::Exited(None),
            }
        }
    }

    /// Ends it and all that it started, also what left its group and session.
    pub fn kill(&mut self) {
        let end = clock::now() + KILLED_WITHIN;
        loop {
            let running = marked(&self.mark);
            for process in &running {
                // Whoever has ended meanwhile needs no signal.
                let _ = kill(*process, Signal::SIGKILL);
            }
            let ended = !matches!(self.child.try_wait(), Ok(None));
            if (ended && running.is_empty()) || clock::now() >= end {
                return;
            }
            clock::wait(LOOK_EVERY);
        }
    }

    /// What it wrote last.
    pub fn tail(&self) -> Tail {
        self.output.tail()
    }
}

/// The processes that have this in their environment. Those that have ended have none.
fn marked(mark: &str) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_marked = |pid: &i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes())
    };
    let ids = processes.filter_map(|process| process.file_name().to_string_lossy().parse().ok());
    ids.filter(is_marked).map(Pid::from_raw).collect()
}

const MARK: &str = "HAUSMEISTER_STEP";
const LOOK_EVERY: Duration = Duration::from_millis(50);
const KILLED_WITHIN: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn start(script: &str) -> Process {
        let words = ["/bin/sh", "-c", script].map(str::to_owned);
        Process::start(&words, Path::new("/")).unwrap()
    }

    #[test]
    fn a_command_ends_with_its_code_and_its_last_words() {
        let mut process = start("echo gut; echo schlecht >&2; exit 7");
        assert!(matches!(process.wait(Duration::from_secs(10)), Ended::Exited(Some(7))));
        assert_eq!(process.tail().text(), "gut\nschlecht\n");
        let words = ["/nonexistent/setup".to_owned()];
        assert!(Process::start(&words, Path::new("/")).is_err());
    }

    #[test]
    fn a_hanging_command_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        // It leaves the group and the session of what started it.
        let mut process =
            start(&format!("setsid sh -c 'echo $$ > {}; exec sleep 1000' & wait", pid.display()));
        assert!(matches!(process.wait(Duration::from_millis(500)), Ended::NotInTime));
        let grandchild: i32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        process.kill();
        assert!(matches!(process.wait(Duration::ZERO), Ended::Exited(None)));
        // Whoever has ended and was not fetched yet still has a name.
        let stat = fs::read_to_string(format!("/proc/{grandchild}/stat")).unwrap_or_default();
        assert!(stat.is_empty() || stat.contains(") Z "), "{grandchild} runs on: {stat}");
    }

    #[test]
    fn a_service_that_stays_behind_is_not_waited_for() {
        let mut process = start("echo da; setsid sleep 5 &");
        let begun = clock::now();
        assert!(matches!(process.wait(Duration::from_secs(10)), Ended::Exited(Some(0))));
        assert_eq!(process.tail().text(), "da\n");
        assert!(clock::now() - begun < Duration::from_secs(4));
    }
}
