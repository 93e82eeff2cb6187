//! FreeRADIUS as a child process: started, listened to, started again.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::stopped;

/// What it is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    /// It was started and did not say yet that it answers.
    Starting,
    /// It answers.
    Running,
    /// It ended by itself, or could not be started; what it said last.
    Failed(String),
}

/// How it is started.
#[derive(Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) dir: PathBuf,
    /// Whom it runs as, if not as ourselves.
    pub(crate) account: Option<(Uid, Gid)>,
}

/// Whom FreeRADIUS runs as when we are root: the account that Debian's package makes for it.
pub(crate) fn account() -> Option<(Uid, Gid)> {
    if !Uid::effective().is_root() {
        return None;
    }
    let user = User::from_name(DEBIANS).ok().flatten()?;
    Some((user.uid, user.gid))
}

impl Program {
    /// Runs it once, until it ends or is to stop. `state` is told how it goes.
    pub(crate) async fn run_once(self, state: watch::Sender<State>, mut stop: watch::Receiver<bool>) {
        state.send_replace(State::Starting);
        let mut child = match self.start() {
            Ok(child) => child,
            Err(error) => {
                state.send_replace(State::Failed(match error.kind() {
                    std::io::ErrorKind::NotFound => NOT_INSTALLED.into(),
                    _ => error.to_string(),
                }));
                return;
            }
        };
        let pid = child.id();
        let (Some(out), Some(err)) = (child.stdout.take(), child.stderr.take()) else { return };
        let said = tokio::spawn(listen(err, None));
        let heard = tokio::spawn(listen(out, Some(state.clone())));
        tokio::select! {
            _ = child.wait() => {
                let (first, second) = (heard.await.unwrap_or_default(), said.await.unwrap_or_default());
                let last = if first.is_empty() { second } else { first };
                state.send_replace(State::Failed(if last.is_empty() { "it ended without a word".into() } else { last }));
            }
            () = stopped(&mut stop) => end(&mut child, pid).await,
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        // Asked for here, so that a missing program is told from a missing setpriv.
        std::fs::metadata(&self.path)?;
        let mut command = Command::new("setpriv");
        // Not TERM, which it may have been started with blocked; it has nothing to lose.
        command.arg("--pdeathsig=KILL");
        if let Some((user, group)) = self.account {
            command.args([format!("--reuid={user}"), format!("--regid={group}"), "--clear-groups".into()]);
        }
        command.arg("--").arg(&self.path).args(["-f", "-n", "radiusd", "-l", "stdout", "-d"]).arg(&self.dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.current_dir(Path::new("/")).kill_on_drop(true);
        command.spawn()
    }
}

/// Ends it: asked first, then made to.
async fn end(child: &mut Child, pid: Option<u32>) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended just now.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(END_WITHIN, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// Passes on what it says; gives the last line about an error.
async fn listen(from: impl AsyncRead + Unpin, state: Option<watch::Sender<State>>) -> String {
    let mut lines = BufReader::new(from).lines();
    let mut last = String::new();
    while let Ok(Some(line)) = lines.next_line().await {
        let line: String = line.chars().filter(|sign| !sign.is_control()).take(LINE_CHARS_MAX).collect();
        if let Some(state) = state.as_ref().filter(|_| line.contains("Ready to process requests")) {
            state.send_replace(State::Running);
        }
        let bad = ["Error: ", "error: "].iter().find_map(|word| Some(line.split_once(word)?.1.to_owned()));
        match bad {
            Some(bad) => {
                tracing::warn!(freeradius = bad);
                last = bad;
            }
            None => tracing::debug!(freeradius = line),
        }
    }
    last
}

/// What is said when the program is not there.
pub(crate) const NOT_INSTALLED: &str = "it is not installed";
const DEBIANS: &str = "freerad";
const END_WITHIN: Duration = Duration::from_secs(3);
const LINE_CHARS_MAX: usize = 500;
