//! A Linux PC as programs are installed on it: its packages, who is signed in, its power supply.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use software::package::{Architecture, DebName, Facts, FilePath, System, Version};
use software::protocol::Questions;
use software::run::Conditions;

use super::process::command;
use crate::software::entries;

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

    /// What rules ask for and the package manager knows.
    ///
    /// # Errors
    /// dpkg does not say what is installed.
    pub fn installed(&self, questions: &Questions) -> io::Result<Facts> {
        let mut facts = Facts::default();
        if questions.debs {
            facts.debs.extend(debs(&dpkg_list(self)?));
        }
        Ok(facts)
    }

    /// Where a file of a rule lies.
    pub fn place(&self, path: &FilePath) -> Option<PathBuf> {
        Some(self.root.join(path.as_str().trim_start_matches('/')))
    }

    /// Files of Linux carry no version.
    pub fn file_version(&self, _file: &Path) -> Option<Version> {
        None
    }

    /// Restarts.
    ///
    /// # Errors
    /// systemd refuses.
    pub fn restart_now(&self) -> io::Result<()> {
        tell(&self.restart)
    }

    /// Switches off.
    ///
    /// # Errors
    /// systemd refuses.
    pub fn switch_off_now(&self) -> io::Result<()> {
        tell(&self.switch_off)
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

fn tell(words: &[String]) -> io::Result<()> {
    let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let status = command(program).args(arguments).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
}

/// dpkg's own list: state, name, architecture and version of each package.
fn dpkg_list(pc: &Pc) -> io::Result<String> {
    // A database in which nothing stands is an error to dpkg-query; where there is none, there is no dpkg.
    if fs::metadata(pc.dpkg.join("status")).map_or(0, |about| about.len()) == 0 {
        return Ok(String::new());
    }
    let mut query = command("dpkg-query")
        .arg(format!("--admindir={}", pc.dpkg.display()))
        .args(["--show", "--showformat=${db:Status-Abbrev}\t${Package}\t${Architecture}\t${Version}\n"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let mut list = Vec::new();
    if let Some(output) = query.stdout.take() {
        output.take(LIST_BYTES_MAX).read_to_end(&mut list)?;
    }
    match query.wait()? {
        status if status.success() => Ok(String::from_utf8_lossy(&list).into_owned()),
        status => Err(io::Error::other(format!("dpkg-query does not say what is installed: {status}"))),
    }
}

/// The packages that are installed and configured, by name and by name with architecture.
fn debs(list: &str) -> Vec<(DebName, Version)> {
    let mut debs = Vec::new();
    for line in list.lines() {
        let mut fields = line.split('\t');
        let [Some(state), Some(name), Some(architecture), Some(version)] =
            [fields.next(), fields.next(), fields.next(), fields.next()]
        else {
            continue;
        };
        // dpkg-query(1): what is wanted, what is so, and whether it is broken.
        if state.get(1..).map(str::trim_end) != Some("i") {
            continue;
        }
        let Ok(version) = version.parse::<Version>() else { continue };
        for name in [name.to_owned(), format!("{name}:{architecture}")] {
            debs.extend(name.parse().ok().map(|name| (name, version.clone())));
        }
    }
    debs
}

/// All of Debian in one list has less.
const LIST_BYTES_MAX: u64 = 32 << 20;
/// Where a PC's own notes lie; a copied system has none.
pub const NOTES_DIR: &str = "var/lib/hausmeister-agent/software";

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

    #[test]
    fn only_what_is_installed_and_configured_is_there() {
        let list = "ii \tgeany\tamd64\t1.38-1\nrc \tvlc\tamd64\t3.0\nhi \tlibc6\tamd64\t2.36\niU \tnano\tamd64\t7\niiR\tbad\tamd64\t1\nx\n";
        let names: Vec<String> =
            debs(list).iter().map(|(name, version)| format!("{name} {version}")).collect();
        assert_eq!(names, ["geany 1.38-1", "geany:amd64 1.38-1", "libc6 2.36", "libc6:amd64 2.36"]);
    }

    #[test]
    fn a_database_that_cannot_be_read_is_not_taken_for_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        let pc = Pc { dpkg: dir.path().into(), ..Pc::this() };
        let questions = Questions { debs: true, ..Questions::default() };
        assert_eq!(pc.installed(&questions).unwrap(), Facts::default());
        std::fs::create_dir(dir.path().join("updates")).unwrap();
        std::fs::write(dir.path().join("status"), "Version: 1\n\nPackage").unwrap();
        assert!(pc.installed(&questions).is_err());
    }
}
