//! The resident agent of an installed system: tells the server once a minute that the PC runs, and what it runs.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

use images::protocol::{Hello, HelloReply, Report, RunsIn};

use crate::client::{Client, ClientError};
use crate::clock;
use crate::hardware;
use crate::machine::Machine;
use crate::personalise::CONFIG_DIR;

/// Why the resident agent cannot work at all. systemd starts it again later.
#[derive(Debug, thiserror::Error)]
pub enum ResidentError {
    /// A file that the deploy left is not there.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No disk holds a device key: this system was not written by a deploy, or the disk was copied.
    #[error("no disk of this PC holds a device key; deploy an image to it")]
    NoKey,
    /// The CA or the key cannot be used.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Reports for ever.
///
/// # Errors
/// See [`ResidentError`]; a server that does not answer is none.
pub fn run() -> Result<(), ResidentError> {
    let root = Path::new("/");
    let manifest = line(&root.join(CONFIG_DIR).join("manifest"))?;
    let (machine, client) = connected()?;
    let mut reported = false;
    let mut failures = 0u32;
    loop {
        let report = describe(root, &manifest, clock::uptime_secs());
        match tell(&client, &machine, &report) {
            Ok(()) if !reported => {
                reported = true;
                failures = 0;
                announce(&report.hostname);
            }
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                eprintln!("the report did not reach the server: {error}");
            }
        }
        clock::wait(pause(failures, rand::random()));
    }
}

/// This machine, and its school's server, as the deploy left them.
///
/// # Errors
/// The deploy left nothing, or no key is there.
pub(crate) fn connected() -> Result<(Machine, Client), ResidentError> {
    let config = Path::new("/").join(CONFIG_DIR);
    let server = line(&config.join("server"))?;
    let ca = config.join("ca.pem");
    let ca_pem =
        fs::read(&ca).map_err(|source| ResidentError::File { path: ca.display().to_string(), source })?;
    let machine = Machine::this();
    let identity = machine.kept_identity().ok_or(ResidentError::NoKey)?;
    let client = Client::new(&server, &ca_pem, &identity)?;
    Ok((machine, client))
}

/// One hello and one report.
fn tell(client: &Client, machine: &Machine, report: &Report) -> Result<(), ClientError> {
    let hello = Hello {
        agent_version: env!("CARGO_PKG_VERSION").into(),
        runs_in: RunsIn::InstalledSystem,
        hardware: hardware::describe(&machine.root),
    };
    match client.hello(&hello)? {
        HelloReply::Approved { .. } => client.report(report),
        HelloReply::Waiting { .. } | HelloReply::Rejected => Err(ClientError::Refused {
            status: 401,
            error: "this PC is not approved".into(),
            remedy: "approve it on the waiting list".into(),
        }),
    }
}

/// What this system is.
pub fn describe(root: &Path, manifest: &str, uptime_secs: u64) -> Report {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let release =
        Some(read("etc/os-release")).filter(|r| !r.is_empty()).unwrap_or_else(|| read("usr/lib/os-release"));
    let short = |text: &str| text.trim().chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
    Report {
        hostname: short(&read("proc/sys/kernel/hostname")),
        os: short(&pretty_name(&release)),
        kernel: short(&read("proc/sys/kernel/osrelease")),
        uptime_secs,
        manifest: short(manifest),
    }
}

/// os-release(5): shell assignments, with or without quotes.
fn pretty_name(release: &str) -> String {
    let value = release.lines().find_map(|l| l.trim().strip_prefix("PRETTY_NAME=")).unwrap_or_default();
    value.trim().trim_matches(['"', '\'']).replace('\\', "")
}

/// A minute after a success, sooner after a failure, with a random part of up to a fifth: `random` is any number.
pub(crate) fn pause(failures: u32, random: u16) -> Duration {
    let base = match failures {
        0 => 60_000,
        n => (1000u64 << n.min(6)).min(60_000),
    };
    Duration::from_millis(base - base * u64::from(random) / u64::from(u16::MAX) / 5)
}

/// For whoever watches the machine start.
fn announce(hostname: &str) {
    let text = format!("MARK hausmeister resident reported name={hostname}\r\n");
    if let Ok(mut console) = fs::OpenOptions::new().write(true).open("/dev/console") {
        let _ = console.write_all(text.as_bytes());
    }
}

fn line(path: &Path) -> Result<String, ResidentError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| ResidentError::File { path: path.display().to_string(), source })?;
    Ok(text.trim().to_owned())
}

const TEXT_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_is_described_from_its_own_files() {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("usr/lib/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\n"),
            ("proc/sys/kernel/hostname", "r204-pc07\n"),
            ("proc/sys/kernel/osrelease", "6.12.48-amd64\n"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let report = describe(dir.path(), "abc\n", 42);
        let expected = Report {
            hostname: "r204-pc07".into(),
            os: "Debian GNU/Linux 13 (trixie)".into(),
            kernel: "6.12.48-amd64".into(),
            uptime_secs: 42,
            manifest: "abc".into(),
        };
        assert_eq!(report, expected);
        assert_eq!(describe(Path::new("/nonexistent"), "", 0), Report::default());
    }

    #[test]
    fn names_are_read_however_they_are_quoted() {
        for (line, name) in [
            ("PRETTY_NAME=Arch", "Arch"),
            ("PRETTY_NAME='A \"b\"'", "A \"b"),
            ("NAME=x", ""),
            ("PRETTY_NAME=", ""),
        ] {
            assert_eq!(pretty_name(line), name);
        }
    }

    #[test]
    fn reports_come_once_a_minute_and_never_all_at_once() {
        assert_eq!(pause(0, 0), Duration::from_secs(60));
        assert_eq!(pause(0, u16::MAX), Duration::from_secs(48));
        assert_eq!(pause(1, 0), Duration::from_secs(2));
        assert_eq!(pause(100, 0), Duration::from_secs(60));
    }
}
