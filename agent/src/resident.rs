//! The resident agent of an installed system: tells the server once a minute that the PC runs, and what it runs.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use images::protocol::{Hello, HelloReply, Report, RunsIn};

use crate::client::{Client, ClientError};
use crate::clock;
use crate::system;

/// Why the resident agent cannot work at all. Whoever started it does so again later.
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
    let manifest = line(&system::config_dir().join("manifest"))?;
    let client = connected()?;
    let mut reported = false;
    let mut failures = 0u32;
    loop {
        let report = system::describe(&manifest);
        match tell(&client, &report) {
            Ok(()) if !reported => {
                reported = true;
                failures = 0;
                system::announce(&report.hostname);
            }
            Ok(()) => failures = 0,
            Err(error) => {
                failures = failures.saturating_add(1);
                system::say(&format!("the report did not reach the server: {error}"));
            }
        }
        clock::wait(pause(failures, rand::random()));
    }
}

/// The school's server, and who this PC is to it, as the deploy left them.
///
/// # Errors
/// The deploy left nothing, or no key is there.
pub(crate) fn connected() -> Result<Client, ResidentError> {
    let config = system::config_dir();
    let server = line(&config.join("server"))?;
    let ca = config.join("ca.pem");
    let ca_pem =
        fs::read(&ca).map_err(|source| ResidentError::File { path: ca.display().to_string(), source })?;
    let identity = system::kept_identity().ok_or(ResidentError::NoKey)?;
    Ok(Client::new(&server, &ca_pem, &identity)?)
}

/// One hello and one report.
fn tell(client: &Client, report: &Report) -> Result<(), ClientError> {
    let hello = Hello {
        agent_version: env!("CARGO_PKG_VERSION").into(),
        runs_in: RunsIn::InstalledSystem,
        hardware: system::hardware(),
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

/// A minute after a success, sooner after a failure, with a random part of up to a fifth: `random` is any number.
pub(crate) fn pause(failures: u32, random: u16) -> Duration {
    let base = match failures {
        0 => 60_000,
        n => (1000u64 << n.min(6)).min(60_000),
    };
    Duration::from_millis(base - base * u64::from(random) / u64::from(u16::MAX) / 5)
}

fn line(path: &Path) -> Result<String, ResidentError> {
    let text = fs::read_to_string(path);
    let text = text.map_err(|source| ResidentError::File { path: path.display().to_string(), source })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_once_a_minute_and_never_all_at_once() {
        assert_eq!(pause(0, 0), Duration::from_secs(60));
        assert_eq!(pause(0, u16::MAX), Duration::from_secs(48));
        assert_eq!(pause(1, 0), Duration::from_secs(2));
        assert_eq!(pause(100, 0), Duration::from_secs(60));
    }
}
