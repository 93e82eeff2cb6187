//! Making a copied system this PC's own: file systems as large as their partitions, the host name, nothing that must
//! differ from PC to PC, and the resident agent. For a Windows see [`windows`].
//!
//! The partition table is not on the disk yet, so partitions are reached through loop devices at their offsets. That goes
//! for disks and for plain files alike.

mod mounted;
mod tree;
mod unit;
mod windows;

use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use images::layout::{Layout, Placement};
use images::protocol::{DriverFolder, Shortcoming};
use images::used::FsKind;

pub use unit::{CONFIG_DIR, files as agent_files};

use crate::sys::LoopDevice;
use crate::system::NOTES_DIR;
use mounted::{Access, Mounted};
use tree::Tree;
use windows::Windows;

/// What differs from PC to PC.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host name to set.
    pub hostname: String,
    /// URL of the server, for the resident agent.
    pub server: String,
    /// The school's CA, PEM.
    pub ca_pem: Vec<u8>,
    /// Manifest id of the image.
    pub manifest: String,
    /// The agent's own binary.
    pub binary: Vec<u8>,
}

/// Why a system could not be made this PC's own.
#[derive(Debug, thiserror::Error)]
pub enum PersonaliseError {
    /// A partition cannot be reached.
    #[error("partition {number} cannot be reached as a loop device: {source}")]
    Attach {
        /// Number of the partition.
        number: u32,
        /// Why.
        source: io::Error,
    },
    /// The file system check found what it cannot repair, or the growing failed.
    #[error("{program} fails on partition {number}: {said}")]
    Program {
        /// Which program.
        program: &'static str,
        /// Number of the partition.
        number: u32,
        /// Its last words.
        said: String,
    },
    /// A file system cannot be mounted.
    #[error("partition {number} cannot be mounted: {source}")]
    Mount {
        /// Number of the partition.
        number: u32,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written on partition {number}: {source}")]
    Write {
        /// Number of the partition.
        number: u32,
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The inventory's name for this PC is none.
    #[error("{0:?} is no host name")]
    Hostname(String),
}

/// Where drivers and the agent for Windows come from.
pub trait DriverSource {
    /// The folders that this PC needs for a Windows of this processor (`amd64`, `arm64`, `x86`).
    ///
    /// # Errors
    /// Why it is not known, for people.
    fn matching(&self, processor: &str) -> Result<Vec<DriverFolder>, String>;

    /// The content of a file, by its path with that of its folder before it.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    fn open(&self, path: &str) -> Result<Box<dyn Read>, String>;

    /// The agent for Windows.
    ///
    /// # Errors
    /// Why it cannot be had, for people.
    fn agent(&self) -> Result<Vec<u8>, String>;
}

/// The systems that were found and personalised, by the numbers of their partitions.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Systems {
    /// The first Linux.
    pub linux: Option<u32>,
    /// The first Windows, and what it is called.
    pub windows: Option<(u32, String)>,
    /// What did not work and need not, for the server, and for people with the details.
    pub notes: Vec<(Shortcoming, String)>,
}

/// Grows and personalises everything on `disk`, a block device or a plain file with sectors of `sector_bytes`. `mount_point`
/// is an empty folder.
///
/// # Errors
/// See [`PersonaliseError`]. May be repeated, but not with an NTFS that an earlier run was interrupted in: it is dirty then, and
/// must be written anew.
pub fn run(
    disk: &Path,
    sector_bytes: u32,
    layout: &Layout,
    settings: &Settings,
    drivers: &dyn DriverSource,
    mount_point: &Path,
) -> Result<Systems, PersonaliseError> {
    if !is_hostname(&settings.hostname) {
        return Err(PersonaliseError::Hostname(settings.hostname.clone()));
    }
    let mut systems = Systems::default();
    for placement in layout.placements.iter().filter(|p| p.number > 0) {
        let number = placement.number;
        if !matches!(placement.kind, FsKind::Ext | FsKind::Ntfs) {
            continue;
        }
        let device = LoopDevice::attach(disk, placement.start, placement.len, sector_bytes)
            .map_err(|source| PersonaliseError::Attach { number, source })?;
        let grows = placement.fs_bytes < placement.len && placement.grow;
        if placement.kind == FsKind::Ntfs {
            if systems.windows.is_none() {
                // Windows may still read what this kernel does not: a drive for data, or one that repairs.
                match holds_windows(&device.path(), mount_point) {
                    Ok(true) => {
                        let (name, agent) =
                            personalise_windows(&device.path(), number, settings, drivers, mount_point)?;
                        systems.windows = Some((number, name));
                        if let Err(why) = agent {
                            let note = format!("the Windows of partition {number} gets no agent: {why}");
                            systems.notes.push((Shortcoming::NoAgent { partition: number }, note));
                        }
                    }
                    Ok(false) => {}
                    Err(error) => systems.notes.push((
                        Shortcoming::NotOpened { partition: number },
                        format!(
                            "partition {number} cannot be mounted ({error}): if Windows is on it, it keeps the name of the \
                             reference PC"
                        ),
                    )),
                }
            }
            // Afterwards: Windows is to check what was grown, and until then nobody else writes to it.
            if grows && let Err(error) = grow_ntfs(&device.path(), placement) {
                let note = format!(
                    "{error}: in Windows, \"extend filesystem\" in diskpart makes the drive as large as its partition"
                );
                systems.notes.push((Shortcoming::NotGrown { partition: number }, note));
            }
            continue;
        }
        if grows {
            grow(&device.path(), placement)?;
        }
        if systems.linux.is_none() && personalise_linux(&device.path(), number, settings, mount_point)? {
            systems.linux = Some(number);
        }
    }
    Ok(systems)
}

/// Returns whether there is a Linux.
fn personalise_linux(
    device: &Path,
    number: u32,
    settings: &Settings,
    mount_point: &Path,
) -> Result<bool, PersonaliseError> {
    let failed = |source| PersonaliseError::Mount { number, source };
    let mounted = Mounted::at(device, mount_point, FsKind::Ext, Access::Write).map_err(failed)?;
    let tree = Tree::open(mount_point).map_err(failed)?;
    let found = tree.exists("etc/os-release") || tree.exists("usr/lib/os-release");
    if found {
        let write = |(path, source)| PersonaliseError::Write { number, path, source };
        apply(&tree, settings).map_err(write)?;
    }
    drop(tree);
    mounted.unmount().map_err(failed)?;
    Ok(found)
}

/// Whether there is a Windows. Nothing is written.
fn holds_windows(device: &Path, mount_point: &Path) -> io::Result<bool> {
    let mounted = Mounted::at(device, mount_point, FsKind::Ntfs, Access::Read)?;
    let found = Tree::open(mount_point).map(|tree| Windows::find(&tree).is_some());
    mounted.unmount()?;
    found
}

/// Returns what the PC is called, and why it has no agent, if so.
fn personalise_windows(
    device: &Path,
    number: u32,
    settings: &Settings,
    drivers: &dyn DriverSource,
    mount_point: &Path,
) -> Result<(String, Result<(), String>), PersonaliseError> {
    let failed = |source| PersonaliseError::Mount { number, source };
    let mounted = Mounted::at(device, mount_point, FsKind::Ntfs, Access::Write).map_err(failed)?;
    let tree = Tree::open(mount_point).map_err(failed)?;
    let windows = Windows::find(&tree).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    let written = windows.personalise(settings, drivers);
    drop(tree);
    let name = written.map_err(|(path, source)| PersonaliseError::Write { number, path, source })?;
    mounted.unmount().map_err(failed)?;
    Ok(name)
}

/// `resize2fs` refuses a file system that was not checked just before.
fn grow(device: &Path, placement: &Placement) -> Result<(), PersonaliseError> {
    // 1: repaired, 2: repaired and a restart would be needed if it were mounted.
    program("e2fsck", &["-f", "-y"], device, placement.number, &[0, 1, 2])?;
    program("resize2fs", &[], device, placement.number, &[0])
}

/// Marks the file system as dirty: Windows checks it at its next start.
fn grow_ntfs(device: &Path, placement: &Placement) -> Result<(), PersonaliseError> {
    program("ntfsresize", &["--force", "--force", "--no-progress-bar"], device, placement.number, &[0])
}

fn program(
    name: &'static str,
    arguments: &[&str],
    device: &Path,
    number: u32,
    good: &[i32],
) -> Result<(), PersonaliseError> {
    let failed = |said: String| PersonaliseError::Program { program: name, number, said };
    let paths = ["/sbin", "/usr/sbin", "/bin", "/usr/bin"].map(|folder| Path::new(folder).join(name));
    let path = paths
        .iter()
        .find(|p| p.exists())
        .ok_or_else(|| failed("it is not in the boot environment".into()))?;
    let output = Command::new(path)
        .args(arguments)
        .arg(device)
        .env_clear()
        .output()
        .map_err(|error| failed(error.to_string()))?;
    if output.status.code().is_some_and(|code| good.contains(&code)) {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&words);
    let tail: Vec<&str> = text.lines().rev().filter(|l| !l.trim().is_empty()).take(3).collect();
    Err(failed(format!("{}: {}", output.status, tail.into_iter().rev().collect::<Vec<_>>().join(" "))))
}

/// Everything that is done to the files of a system. Returns the path that made trouble.
fn apply(tree: &Tree, settings: &Settings) -> Result<(), (String, io::Error)> {
    let at = |path: &'static str| move |error: io::Error| (path.to_owned(), error);
    let name = &settings.hostname;
    tree.write("etc/hostname", format!("{name}\n").as_bytes(), 0o644).map_err(at("etc/hostname"))?;
    let old = tree.read("etc/hosts").unwrap_or_default();
    let hosts = hosts(&String::from_utf8_lossy(&old), name);
    tree.write("etc/hosts", hosts.as_bytes(), 0o644).map_err(at("etc/hosts"))?;
    // Empty, not missing: systemd makes a new one without taking this for the very first start.
    tree.write("etc/machine-id", b"", 0o444).map_err(at("etc/machine-id"))?;
    for path in tree.list("etc/ssh").into_iter().filter(|n| n.starts_with("ssh_host_") && n.contains("_key"))
    {
        let path = format!("etc/ssh/{path}");
        tree.remove(&path).map_err(|error| (path, error))?;
    }
    for note in tree.list(NOTES_DIR) {
        let path = format!("{NOTES_DIR}/{note}");
        tree.remove(&path).map_err(|error| (path, error))?;
    }
    for path in COPIED_SECRETS {
        tree.remove(path).map_err(at(path))?;
    }
    for file in agent_files(settings, tree.exists("usr/bin/ssh-keygen")) {
        let done = match &file.content {
            unit::Content::Bytes(bytes) => tree.write(file.path, bytes, file.mode),
            unit::Content::Link(target) => tree.symlink(target, file.path),
        };
        done.map_err(at(file.path))?;
    }
    Ok(())
}

/// `/etc/hosts` with this name at 127.0.1.1, where Debian has it, and everything else as it was.
fn hosts(old: &str, hostname: &str) -> String {
    let line = format!("127.0.1.1\t{hostname}");
    let is_name = |l: &&str| l.split_ascii_whitespace().next() == Some("127.0.1.1");
    let mut lines: Vec<&str> = old.lines().filter(|l| !is_name(l)).collect();
    let loopback = lines.iter().position(|l| l.split_ascii_whitespace().next() == Some("127.0.0.1"));
    match loopback {
        Some(at) => lines.insert(at + 1, &line),
        None => lines.splice(0..0, ["127.0.0.1\tlocalhost", line.as_str()]).for_each(drop),
    }
    lines.join("\n") + "\n"
}

/// RFC 1123 section 2.1.
fn is_hostname(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(plain)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// What would be the same on all copies and must not be.
const COPIED_SECRETS: [&str; 3] =
    ["var/lib/systemd/random-seed", "var/lib/systemd/credential.secret", "var/lib/NetworkManager/secret_key"];

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
