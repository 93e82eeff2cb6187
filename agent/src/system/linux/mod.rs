//! A Linux as the resident agent sees it.

mod files;
mod pc;
mod process;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use images::protocol::{Hardware, Report};

use crate::identity::Identity;
use crate::machine::Machine;
use crate::personalise::CONFIG_DIR;
use crate::{hardware, init, modules};
pub use files::{free_bytes, private_file, private_folder, put_in_place};
pub use pc::{NOTES_DIR, Pc};
pub use process::{Ended, Process};

/// What the program does as process 1, as its worker, and for the kernel. `None` if the words mean something else.
pub fn called(words: &[&str]) -> Option<ExitCode> {
    match words {
        // The kernel starts /init with whatever of its command line it does not know itself.
        _ if std::process::id() == 1 => init::supervise(),
        ["init"] => init::supervise(),
        ["work"] => init::work(),
        // Called by the kernel, as modprobe(8).
        ["-q", "--", name] => Some(ExitCode::from(u8::from(!modules::answer_kernel(name)))),
        _ => None,
    }
}

/// The words of [`called`], for people.
pub const COMMANDS: &str = "init";

/// Where the deploy left what the agent needs.
pub fn config_dir() -> PathBuf {
    Path::new("/").join(CONFIG_DIR)
}

/// The identity that an earlier approval or deploy left on this machine.
pub fn kept_identity() -> Option<Identity> {
    Machine::this().kept_identity()
}

/// What this machine is made of.
pub fn hardware() -> Hardware {
    hardware::describe(Path::new("/"))
}

/// What this system is, with the manifest of its image.
pub fn describe(manifest: &str) -> Report {
    described(Path::new("/"), manifest, uptime_secs())
}

/// For whoever reads the journal.
pub fn say(text: &str) {
    eprintln!("hausmeister-agent: {text}");
}

/// Seconds since the kernel started.
pub fn uptime_secs() -> u64 {
    let text = fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split('.').next().and_then(|s| s.parse().ok()).unwrap_or(0)
}

/// For whoever watches the machine start.
pub fn announce(hostname: &str) {
    let text = format!("MARK hausmeister resident reported name={hostname}\r\n");
    if let Ok(mut console) = fs::OpenOptions::new().write(true).open("/dev/console") {
        let _ = console.write_all(text.as_bytes());
    }
}

/// What the system below `root` is.
fn described(root: &Path, manifest: &str, uptime_secs: u64) -> Report {
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
        let report = described(dir.path(), "abc\n", 42);
        let expected = Report {
            hostname: "r204-pc07".into(),
            os: "Debian GNU/Linux 13 (trixie)".into(),
            kernel: "6.12.48-amd64".into(),
            uptime_secs: 42,
            manifest: "abc".into(),
        };
        assert_eq!(report, expected);
        assert_eq!(described(Path::new("/nonexistent"), "", 0), Report::default());
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
}
