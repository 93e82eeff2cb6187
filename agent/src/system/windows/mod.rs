//! A Windows as the resident agent sees it.
//!
//! The device key comes from the reserved place of the disk. One that lies in the TPM alone is not found: Linux put it there under a handle
//! of its own, and Windows keeps the TPM to itself; a deploy writes the key to the disk in any case.

mod disk;
mod files;
mod hardware;
mod log;
mod network;
mod pc;
mod process;
mod programs;
mod raw;
mod registry;
mod service;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use images::protocol::Report;
use images::reserved;

use super::WINDOWS_FOLDER;
use crate::identity::Identity;
use disk::PhysicalDrive;
pub use files::{free_bytes, private_file, private_folder, put_in_place};
pub use hardware::hardware;
pub use log::say;
pub use pc::Pc;
pub use process::{Ended, Process};
use registry::{machine_number, machine_text};

/// What the program does as a service. `None` if the words mean something else.
pub fn called(words: &[&str]) -> Option<ExitCode> {
    (words == ["service"]).then(service::run)
}

/// The words of [`called`], for people.
pub const COMMANDS: &str = "service";

/// `%ProgramData%\Hausmeister`: where the deploy left what the agent needs, and where it keeps what is its own.
pub fn config_dir() -> PathBuf {
    let data = std::env::var_os("ProgramData").unwrap_or_else(|| r"C:\ProgramData".into());
    Path::new(&data).join(WINDOWS_FOLDER)
}

/// The identity that a deploy left in the reserved place of a fixed disk.
pub fn kept_identity() -> Option<Identity> {
    PhysicalDrive::all().iter().filter(|drive| !drive.about.removable).find_map(|drive| {
        let record = reserved::read_key(drive).ok()??;
        Identity::from_private_key(&record.private_key).ok()
    })
}

/// What this system is, with the manifest of its image.
pub fn describe(manifest: &str) -> Report {
    let short = |text: &str| text.trim().chars().filter(|c| !c.is_control()).take(TEXT_MAX).collect();
    let build = machine_text(VERSION, "CurrentBuildNumber");
    let edition = [machine_text(VERSION, "ProductName"), machine_text(VERSION, "DisplayVersion")].join(" ");
    // Windows 11 still calls itself 10 there.
    let edition = match build.parse::<u32>() {
        Ok(22_000..) => edition.replacen("Windows 10", "Windows 11", 1),
        _ => edition,
    };
    let kernel = match machine_number(VERSION, "UBR") {
        Some(revision) => format!("10.0.{build}.{revision}"),
        None => format!("10.0.{build}"),
    };
    Report {
        hostname: short(&raw::host_name()),
        os: short(&edition),
        kernel: short(&kernel),
        uptime_secs: raw::uptime_millis() / 1000,
        manifest: short(manifest),
    }
}

/// For whoever reads the log.
pub fn announce(hostname: &str) {
    say(&format!("the server knows this PC; it is called {hostname}"));
}

const VERSION: &str = r"SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const TEXT_MAX: usize = 200;
