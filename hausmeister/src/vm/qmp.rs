//! QEMU's machine protocol: lines of JSON on a socket (QEMU's docs/interop/qmp-spec).
//!
//! QEMU connects to us, to a name in the abstract namespace: it needs no file, belongs to the network namespace, and there is nothing
//! to wait for in rounds.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, bail};
use inventory::clock;
use serde_json::{Value, json};

/// Waits for QEMU to connect.
#[derive(Debug)]
pub(super) struct Listener {
    name: String,
    listener: UnixListener,
}

impl Listener {
    /// `distinct` tells PCs of one process apart.
    pub(super) fn new(distinct: &str) -> anyhow::Result<Self> {
        let name = format!("hausmeister-{}-{distinct}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name)?;
        let listener =
            UnixListener::bind_addr(&address).with_context(|| format!("cannot listen on {name}"))?;
        listener.set_nonblocking(true)?;
        Ok(Self { name, listener })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The connection of that QEMU, once it has agreed to take commands.
    pub(super) fn accept(&self, process: &mut Child) -> anyhow::Result<Qmp> {
        let deadline = clock::instant() + START_WITHIN;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("QEMU's control connection"),
            }
            if let Some(status) = process.try_wait()? {
                bail!("it ended at once ({status})");
            }
            if clock::instant() > deadline {
                bail!("it did not connect within {} s", START_WITHIN.as_secs());
            }
            wait_readable(&self.listener, ROUND)?;
        };
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let mut qmp = Qmp { stream: BufReader::new(stream) };
        qmp.read()?;
        qmp.execute("qmp_capabilities", &Value::Null)?;
        Ok(qmp)
    }
}

/// A connection that takes commands.
#[derive(Debug)]
pub(super) struct Qmp {
    stream: BufReader<UnixStream>,
}

impl Qmp {
    /// Runs one command and returns its answer.
    pub(super) fn execute(&mut self, command: &str, arguments: &Value) -> anyhow::Result<Value> {
        let mut request = json!({ "execute": command });
        if let (Value::Object(_), Some(object)) = (arguments, request.as_object_mut()) {
            object.insert("arguments".to_owned(), arguments.clone());
        }
        let told = |what: &str| format!("QEMU's {command}: {what}");
        self.stream
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())
            .with_context(|| told("the PC is off"))?;
        // Events come in between.
        for _ in 0..EVENTS_MAX {
            let mut answer = self.read().with_context(|| told("no answer"))?;
            if let Some(error) = answer.get("error") {
                bail!("{}", told(&error.to_string()));
            }
            if let Some(value) = answer.get_mut("return") {
                return Ok(value.take());
            }
        }
        bail!("{}", told("events, but no answer"))
    }

    fn read(&mut self) -> anyhow::Result<Value> {
        let mut line = String::new();
        self.stream.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)?;
        if line.is_empty() {
            bail!("the connection is closed");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

fn wait_readable(listener: &UnixListener, time: Duration) -> anyhow::Result<()> {
    use std::os::fd::AsFd as _;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::ZERO);
    match poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(_) | Err(nix::Error::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// QEMU reads firmware and disks before it connects; a loaded machine takes its time.
const START_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const ROUND: Duration = Duration::from_millis(100);
const EVENTS_MAX: usize = 10_000;
const LINE_BYTES_MAX: u64 = 1 << 20;
