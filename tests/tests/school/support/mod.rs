//! What the tests stand on: a LAN with computers, a school's server in it, and the people and PCs that speak to that server.

pub(crate) mod api;
pub(crate) mod lan;
pub(crate) mod postgres;
pub(crate) mod school;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// A program that ends with this, and also with the thread that started it, however that ends. Its log is shown when the test
/// fails.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command made with [`command`]; what it says goes to a new file.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Self {
        let file = File::create(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Waits until it has said something.
    pub(crate) fn until_it_says(mut self, text: &str) -> Self {
        eventually(&format!("{}: {text}", self.log.display()), || {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended:\n{}", self.said());
            self.said().contains(text).then_some(())
        });
        self
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        eventually("the end of a program", || self.child.try_wait().unwrap())
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            eprintln!(
                "--- {}\n{}",
                self.log.display(),
                lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
            );
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A command that dies with the thread that starts it.
pub(crate) fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=KILL").arg(program.as_ref()).stdin(Stdio::null());
    command
}

/// What a program said, and its exit code.
pub(crate) fn output(command: &mut Command) -> (i32, String) {
    let out = command.output().unwrap();
    let said = [out.stdout, out.stderr].concat();
    (out.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
}

/// Runs a program that must succeed, and returns what it said.
pub(crate) fn succeed(command: &mut Command) -> String {
    let (code, said) = output(command);
    assert_eq!(code, 0, "{command:?} said:\n{said}");
    said
}

/// Asks until there is an answer, at most [`PATIENCE`].
pub(crate) fn eventually<T>(what: &str, answer: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, answer)
}

/// Asks until there is an answer. Counts the time until the question was asked that was answered: how long a program takes to ask
/// it on a busy machine is not what is measured.
pub(crate) fn within<T>(limit: Duration, what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let (_never, tick) = mpsc::channel::<()>();
    let began = now();
    loop {
        let asked = began.elapsed();
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(asked < limit, "not within {limit:?}: {what}");
        let _ = tick.recv_timeout(Duration::from_millis(20));
    }
}

#[expect(clippy::disallowed_methods, reason = "deadlines for processes outside of the test")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// One of our programs.
pub(crate) fn program(name: &str) -> PathBuf {
    std::env::var_os("HAUSMEISTER_BIN").map_or(root().join("target/release"), PathBuf::from).join(name)
}

const PATIENCE: Duration = Duration::from_secs(20);
const LINES_SHOWN: usize = 40;
