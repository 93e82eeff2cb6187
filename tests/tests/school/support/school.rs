//! A school's server, set up and started with the commands that an admin types.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::api::{Api, Pc};
use super::lan::{BRIDGE, Lan, SERVER};
use super::{Process, command, eventually, program, root, succeed};

/// A server that is set up in a LAN and does not run yet.
pub(crate) struct School {
    pub(crate) lan: Lan,
    pub(crate) dir: tempfile::TempDir,
    logs: Cell<usize>,
}

impl School {
    /// `hausmeister init` with a SQLite file.
    pub(crate) fn set_up(lan: Lan) -> Self {
        Self::set_up_on(lan, None)
    }

    /// `hausmeister init` with another database.
    pub(crate) fn set_up_on(lan: Lan, database: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        let school = Self { lan, dir, logs: Cell::new(0) };
        let mut init = school.hausmeister();
        init.args(["init", "--interface", BRIDGE, "--zone", ZONE, "--data-dir"]).arg(school.data());
        init.arg("--boot-files").arg(root().join("target/boot")).arg("--password-file").arg(&password);
        init.arg("--kernel-arguments=console=tty0 console=ttyS0,115200 no_timer_check");
        init.args(database.map(|url| format!("--database={url}")));
        succeed(&mut init);
        school
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.dir.path().join("hausmeister.toml")
    }

    /// Changes a text in the configuration that must be there.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "no {from:?} in\n{text}");
        std::fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// The admin's command with its configuration.
    pub(crate) fn hausmeister(&self) -> Command {
        let mut command = command(program("hausmeister"));
        command.arg("--config").arg(self.config());
        command
    }

    /// `hausmeister check`.
    pub(crate) fn hausmeister_check(&self) -> Command {
        let mut command = self.hausmeister();
        command.arg("check");
        command
    }

    /// Starts one daemon as a process of its own; it answers when this returns.
    pub(crate) fn start(&self, daemon: &str) -> Process {
        let ready = match daemon {
            "netd" => "serving DHCP",
            "deployd" => "deployd runs",
            "webui" => "webui serves the pages",
            other => panic!("{other} is none of ours"),
        };
        let mut command = command(program(daemon));
        command.arg("--config").arg(self.config());
        Process::start(command, self.log(daemon)).until_it_says(ready)
    }

    /// Starts `hausmeister up`; it answers when this returns.
    pub(crate) fn up(&self) -> Process {
        let mut command = self.hausmeister();
        command.arg("up");
        Process::start(command, self.log("up")).until_it_says("all daemons run")
    }

    /// A new file for what a program says.
    pub(crate) fn log(&self, name: &str) -> PathBuf {
        let number = self.logs.replace(self.logs.get() + 1);
        self.dir.path().join(format!("{number}-{name}.log"))
    }

    /// The first admin, signed in.
    pub(crate) fn admin(&self) -> Api {
        eventually("signing in", || self.try_admin().ok())
    }

    /// The first admin, if the page answers at this moment.
    pub(crate) fn try_admin(&self) -> Result<Api, String> {
        Api::sign_in(PAGE, &self.ca(), "admin", PASSWORD)
    }

    /// Somebody who did not sign in.
    pub(crate) fn stranger(&self) -> Api {
        Api::of_a_stranger(PAGE, &self.ca())
    }

    /// A PC in the boot environment with a new key: not its hardware, but what its agent says.
    pub(crate) fn pc(&self, mac: &str) -> Pc {
        Pc::new(&self.ca(), &format!("https://{SERVER}:8443"), mac)
    }

    /// What iPXE is told to do on the PC with that card.
    pub(crate) fn boot_script(&self, mac: &str) -> String {
        let url = format!("http://{SERVER}:8067/boot/ipxe?mac={mac}");
        ureq::get(url).call().unwrap().body_mut().read_to_string().unwrap()
    }

    /// Takes a small disk into the image store, with the command, whatever else runs.
    pub(crate) fn import(&self, image: &str) {
        let disk = self.dir.path().join("disk.img");
        make_disk(&disk, 4);
        succeed(self.hausmeister().args(["image", "import", "--name", image]).arg(&disk));
    }

    /// What `hausmeister image list` says.
    pub(crate) fn list_images(&self) -> String {
        succeed(self.hausmeister().args(["image", "list"]))
    }

    fn ca(&self) -> String {
        std::fs::read_to_string(self.data().join("keys/ca.pem")).unwrap()
    }
}

/// A disk with a partition table and a partition of so many mebibytes that do not shrink.
pub(crate) fn make_disk(path: &Path, mib: usize) {
    let script =
        format!("printf 'label: gpt\\nsize={mib}MiB, type=linux\\n' | sfdisk --quiet {}", path.display());
    std::fs::write(path, vec![0; (mib + 4) << 20]).unwrap();
    succeed(Command::new("sh").args(["-ec", &script]));
    let noise = format!(
        "head -c {mib}M /dev/urandom | dd of={} bs=1M seek=1 conv=notrunc status=none",
        path.display()
    );
    succeed(Command::new("sh").args(["-ec", &noise]));
}

/// DNS zone of the school.
pub(crate) const ZONE: &str = "schule.internal";
const PAGE: &str = "https://10.77.0.1";
const PASSWORD: &str = "ein-langes-passwort";
