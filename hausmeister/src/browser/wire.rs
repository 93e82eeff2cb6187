//! The two pipes to a browser: calls with their answers, and what it reports in between.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use inventory::clock;
use serde_json::{Value, json};

use super::PATIENCE;

/// A browser process with one page.
pub(super) struct Wire {
    process: Child,
    /// `None` once it is to end.
    calls: Option<ChildStdin>,
    messages: mpsc::Receiver<Value>,
    profile: PathBuf,
    /// The page's session, in every message that is about it.
    session: Option<String>,
    last_call: u64,
    loads: u64,
    faults: Vec<String>,
}

impl Wire {
    /// Starts a browser and opens a page in it.
    pub(super) fn start(mut shell: Command, profile: &Path) -> anyhow::Result<Self> {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&folders).any(|folder| folder.join(PROGRAM).is_file());
        ensure!(found, "Chromium is missing; `apt-get install chromium` installs it");
        // The browser reads calls from descriptor 3 and writes answers to 4 (`--remote-debugging-pipe`).
        shell.args(["-c", r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null 2>&1"#, "sh", PROGRAM]).args(FLAGS);
        shell.arg(format!("--user-data-dir={}", profile.display()));
        let mut process = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start Chromium")?;
        let calls = process.stdin.take();
        let answers = process.stdout.take().context("the browser has no output")?;
        let (sender, messages) = mpsc::sync_channel(MESSAGES_MAX);
        std::thread::spawn(move || read(answers, &sender));
        let mut wire = Self {
            process,
            calls,
            messages,
            profile: profile.to_owned(),
            session: None,
            last_call: 0,
            loads: 0,
            faults: Vec::new(),
        };
        let page = wire.call("Target.createTarget", &json!({ "url": "about:blank" }))?;
        let page = page.get("targetId").cloned().unwrap_or_default();
        let session = wire.call("Target.attachToTarget", &json!({ "targetId": page, "flatten": true }))?;
        wire.session = session.get("sessionId").and_then(Value::as_str).map(str::to_owned);
        ensure!(wire.session.is_some(), "the browser opened no page");
        Ok(wire)
    }

    /// Calls a method and returns its result.
    pub(super) fn call(&mut self, method: &str, params: &Value) -> anyhow::Result<Value> {
        self.last_call += 1;
        let id = self.last_call;
        let mut call = json!({ "id": id, "method": method, "params": params });
        if let (Some(session), Some(call)) = (&self.session, call.as_object_mut()) {
            call.insert("sessionId".into(), session.as_str().into());
        }
        let calls = self.calls.as_mut().context("the browser was ended")?;
        calls.write_all(format!("{call}\0").as_bytes()).context("the browser has ended")?;
        let deadline = clock::instant() + PATIENCE;
        loop {
            let Some(mut message) = self.next(deadline)? else {
                bail!("the browser does not answer to {method}");
            };
            if message.get("id").and_then(Value::as_u64) == Some(id) {
                if let Some(error) = message.get("error") {
                    bail!("the browser refuses {method}: {error}");
                }
                return Ok(message.get_mut("result").map(Value::take).unwrap_or_default());
            }
        }
    }

    /// The value of an expression on the page.
    pub(super) fn value(&mut self, expression: &str) -> anyhow::Result<Value> {
        let wanted = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", &wanted)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("a script threw: {thrown}");
        }
        Ok(answer.pointer_mut("/result/value").map(Value::take).unwrap_or_default())
    }

    /// Waits until `done`, which is asked again after a moment and whenever the browser reports something.
    pub(super) fn until(
        &mut self,
        what: &str,
        mut done: impl FnMut(&mut Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let deadline = clock::instant() + PATIENCE;
        while !done(self)? {
            let now = clock::instant();
            ensure!(now < deadline, "the browser waited {} s in vain for: {what}", PATIENCE.as_secs());
            self.next(now + TICK)?;
        }
        Ok(())
    }

    /// How many pages were loaded.
    pub(super) fn loads(&self) -> u64 {
        self.loads
    }

    pub(super) fn take_faults(&mut self) -> Vec<String> {
        std::mem::take(&mut self.faults)
    }

    /// The next message, `None` when there is none until then. What is reported is noted.
    fn next(&mut self, deadline: Instant) -> anyhow::Result<Option<Value>> {
        match self.messages.recv_timeout(deadline.saturating_duration_since(clock::instant())) {
            Ok(message) => {
                self.note(&message);
                Ok(Some(message))
            }
            Err(mpsc::RecvTimeoutError::Timeout) => Ok(None),
            Err(mpsc::RecvTimeoutError::Disconnected) => bail!("the browser has ended"),
        }
    }

    fn note(&mut self, message: &Value) {
        let text = |path: &str| {
            message.pointer(path).map(|value| value.as_str().map_or(value.to_string(), str::to_owned))
        };
        let fault = match message.get("method").and_then(Value::as_str) {
            Some("Page.loadEventFired") => {
                self.loads += 1;
                None
            }
            Some("Runtime.exceptionThrown") => text("/params/exceptionDetails"),
            Some("Runtime.consoleAPICalled") => {
                text("/params/args").filter(|_| message.pointer("/params/type") == Some(&"error".into()))
            }
            Some("Log.entryAdded") => text("/params/entry")
                .filter(|_| message.pointer("/params/entry/level") == Some(&"error".into())),
            _ => None,
        };
        if self.faults.len() < FAULTS_MAX {
            self.faults.extend(fault);
        }
    }
}

impl Drop for Wire {
    /// A browser whose pipe is closed ends by itself, and with it the processes that it started.
    fn drop(&mut self) {
        self.calls = None;
        let deadline = clock::instant() + Duration::from_secs(5);
        while let Ok(Some(_)) = self.next(deadline) {}
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// Hands on every message until the pipe ends. Each ends with a zero byte.
fn read(answers: ChildStdout, messages: &mpsc::SyncSender<Value>) {
    let mut answers = BufReader::new(answers);
    let mut message = Vec::new();
    while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
        message.pop();
        if serde_json::from_slice(&message).is_ok_and(|value| messages.send(value).is_err()) {
            return;
        }
        message.clear();
    }
}

const PROGRAM: &str = "chromium";
/// German, as root, and without whatever a browser does of its own accord.
const FLAGS: [&str; 16] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-breakpad",
    "--disable-extensions",
    "--hide-scrollbars",
    "--ignore-certificate-errors",
    "--accept-lang=de-DE",
    "--remote-debugging-pipe",
    "--password-store=basic",
];
const TICK: Duration = Duration::from_millis(30);
/// Messages that wait to be read; the browser waits when there are more.
const MESSAGES_MAX: usize = 1024;
const FAULTS_MAX: usize = 100;
