//! The second service of an installed system: brings the PC's programs to what the server plans, one step at a time.
//!
//! | Module    | What it does                                                              |
//! |-----------|---------------------------------------------------------------------------|
//! | [`facts`] | looks at the PC, as far as rules ask                                       |
//! | `notes`   | what must outlive a loss of power: steps with their journals, and results  |
//! | `fetch`   | files of packages, continued where they broke off, checked                 |
//! | `process` | a command without a shell, in a group of processes of its own              |
//! | `step`    | one step: carries out the effects of [`software::run::Run`]                |
//! | `worker`  | the conversation with the server                                           |

pub mod facts;
mod fetch;
mod notes;
mod process;
mod step;
mod worker;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use software::package::{Architecture, System};
use software::run::Conditions;

pub use worker::{Worker, run};

/// The PC as programs are installed on it. Tests use folders.
#[derive(Debug, Clone)]
pub struct Pc {
    /// Below which `proc`, `sys`, `run` and the files of rules lie.
    pub root: PathBuf,
    /// What must outlive a loss of power.
    pub state: PathBuf,
    /// Files of packages on their way.
    pub cache: PathBuf,
    /// Where dpkg keeps its database.
    pub dpkg: PathBuf,
    /// No command may take longer, whatever its package says.
    pub command_time_max: Duration,
    /// The command that restarts the PC.
    pub restart: Vec<String>,
    /// The command that switches it off.
    pub switch_off: Vec<String>,
}

impl Pc {
    /// The PC that this program runs on.
    pub fn this() -> Pc {
        Pc {
            root: "/".into(),
            state: Path::new("/").join(NOTES_DIR),
            cache: "/var/cache/hausmeister-agent".into(),
            dpkg: "/var/lib/dpkg".into(),
            command_time_max: Duration::from_secs(8 * 3600),
            restart: ["systemctl", "reboot"].map(str::to_owned).into(),
            switch_off: ["systemctl", "poweroff"].map(str::to_owned).into(),
        }
    }

    /// What it runs, and on what.
    pub fn kind() -> (System, Architecture) {
        let architecture = match std::env::consts::ARCH {
            "aarch64" => Architecture::Arm64,
            "x86" => Architecture::X86,
            _ => Architecture::X64,
        };
        (System::Debian, architecture)
    }

    /// Names the present boot.
    pub fn boot(&self) -> String {
        let id = fs::read_to_string(self.root.join("proc/sys/kernel/random/boot_id"));
        id.unwrap_or_default().trim().to_owned()
    }

    /// What has to do with whether a step may begin.
    pub fn conditions(&self) -> Conditions {
        Conditions { signed_in: self.somebody_is_signed_in(), on_battery: self.is_on_battery() }
    }

    /// A session of systemd-logind that belongs to a person: pam_systemd(8), the classes `user`, `user-early`, `user-light` and so on.
    fn somebody_is_signed_in(&self) -> bool {
        let is_persons = |path: &Path| {
            let text = fs::read_to_string(path).unwrap_or_default();
            text.lines().any(|line| line.starts_with("CLASS=user"))
                && !text.lines().any(|line| line == "STATE=closing")
        };
        entries(&self.root.join("run/systemd/sessions")).iter().any(|path| is_persons(path))
    }

    /// It has a power supply and that one is unplugged (Linux: Documentation/ABI/testing/sysfs-class-power).
    fn is_on_battery(&self) -> bool {
        let says = |path: &Path, file: &str| {
            fs::read_to_string(path.join(file)).unwrap_or_default().trim().to_owned()
        };
        let supplies = entries(&self.root.join("sys/class/power_supply"));
        let mains: Vec<String> = supplies
            .iter()
            .filter(|path| says(path, "type") == "Mains")
            .map(|path| says(path, "online"))
            .collect();
        !mains.is_empty() && mains.iter().all(|online| online == "0")
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.take(ENTRIES_MAX).map(|entry| entry.path()).collect()
}

/// For whoever reads the journal.
fn say(text: &str) {
    eprintln!("hausmeister-agent: {text}");
}

/// Where a PC's own notes lie; a copied system has none.
pub const NOTES_DIR: &str = "var/lib/hausmeister-agent/software";
const ENTRIES_MAX: usize = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_and_batteries_are_seen() {
        let dir = tempfile::tempdir().unwrap();
        let pc = Pc { root: dir.path().into(), ..Pc::this() };
        let write = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!(pc.conditions(), Conditions::default());
        write("run/systemd/sessions/1", "UID=0\nCLASS=background\nSTATE=active\n");
        write("run/systemd/sessions/2", "UID=1000\nCLASS=user\nSTATE=closing\n");
        write("sys/class/power_supply/AC/type", "Mains\n");
        write("sys/class/power_supply/AC/online", "1\n");
        write("sys/class/power_supply/BAT0/type", "Battery\n");
        assert_eq!(pc.conditions(), Conditions::default());
        write("run/systemd/sessions/3", "UID=1000\nCLASS=user-early\nSTATE=active\n");
        write("sys/class/power_supply/AC/online", "0\n");
        assert_eq!(pc.conditions(), Conditions { signed_in: true, on_battery: true });
    }
}
