//! The school's server inside the demo: set up, started and stopped with the same commands that an admin types.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rand::Rng as _;

use super::api::Api;
use super::apple::Apple;
use super::{now, pause};

/// A running server.
pub(super) struct School {
    process: Child,
    /// Signed in as its first admin.
    pub(super) api: Api,
    /// Password of the first admin, made up for this run.
    pub(super) password: String,
}

/// What `hausmeister init` is told.
pub(super) struct Plan<'a> {
    pub(super) work_dir: &'a Path,
    pub(super) boot_files: &'a Path,
    pub(super) interface: &'a str,
    pub(super) address: &'a str,
}

impl Plan<'_> {
    fn config(&self) -> PathBuf {
        self.work_dir.join("hausmeister.toml")
    }

    fn mdm_url(&self) -> String {
        format!("https://{}:{}", self.address, mdm::LISTEN.port())
    }

    fn command(&self) -> anyhow::Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("where is this program?")?);
        command.arg("--config").arg(self.config()).stdin(Stdio::null());
        // The demo's children end with it, however it ends.
        #[allow(unsafe_code, reason = "prctl is async-signal-safe and touches only the child")]
        // SAFETY: the closure makes one system call and allocates nothing.
        unsafe {
            command.pre_exec(|| {
                nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL).map_err(Into::into)
            });
        }
        Ok(command)
    }

    /// Sets the server up and takes the prepared Debian into its image store.
    pub(super) fn set_up(&self, apple: &Apple, image: &Path, image_name: &str) -> anyhow::Result<String> {
        let password: String = (0..20).map(|_| char::from(rand::rng().random_range(b'a'..=b'z'))).collect();
        let password_file = self.work_dir.join("password");
        fs::write(&password_file, &password)?;
        let log = File::create(self.work_dir.join("init.log"))?;
        run(self
            .command()?
            .args(["init", "--name", "Demoschule", "--zone", "demo.internal", "--interface", self.interface])
            .arg("--kernel-arguments=console=tty0 console=ttyS0,115200 no_timer_check")
            .arg("--data-dir")
            .arg(self.work_dir.join("data"))
            .arg("--boot-files")
            .arg(self.boot_files)
            .arg("--password-file")
            .arg(&password_file)
            .args(["--mdm-url", &self.mdm_url()])
            .stdout(log.try_clone()?)
            .stderr(log.try_clone()?))
        .with_context(|| {
            format!("`hausmeister init` failed; see {}", self.work_dir.join("init.log").display())
        })?;
        fs::remove_file(&password_file)?;
        // Apple issues push certificates to schools, not to demos: the simulated iPads ask by themselves.
        let mut config = File::options().append(true).open(self.config())?;
        let apple = apple.configuration(self.work_dir);
        writeln!(config, "\n[mdm]\ntopic = \"com.apple.mgmt.External.demo\"\n{apple}")?;
        writeln!(config, "\n[radius]\nrun_dir = \"/run/hausmeister-demo-{}\"", std::process::id())?;
        run(self
            .command()?
            .args(["image", "import", "--name", image_name])
            .arg(image)
            .stdout(log.try_clone()?)
            .stderr(log))
        .with_context(|| {
            format!("`hausmeister image import` failed; see {}", self.work_dir.join("init.log").display())
        })?;
        Ok(password)
    }

    /// Runs a command of the admin's to its end; what it wrote.
    pub(super) fn says(&self, words: &[&str]) -> anyhow::Result<String> {
        let output = self.command()?.args(words).output()?;
        let complaints = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "`hausmeister {}`: {}", words.join(" "), complaints.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Starts `hausmeister up` and signs in as soon as the page answers.
    pub(super) fn start(&self, password: &str, interrupted: &mpsc::Receiver<()>) -> anyhow::Result<School> {
        let log_path = self.work_dir.join("server.log");
        let mut log = File::options().create(true).append(true).open(&log_path)?;
        writeln!(log, "--- hausmeister up")?;
        let mut process = self.command()?.arg("up").stdout(log.try_clone()?).stderr(log).spawn()?;
        let ca =
            fs::read_to_string(self.work_dir.join("data/keys/ca.pem")).context("the school's certificate")?;
        let deadline = now() + Duration::from_secs(20);
        loop {
            if let Some(status) = process.try_wait()? {
                bail!("`hausmeister up` ended at once ({status}); see {}", log_path.display());
            }
            match Api::sign_in(&format!("https://{}", self.address), &ca, "admin", password) {
                Ok(api) => return Ok(School { process, api, password: password.to_owned() }),
                Err(error) if now() > deadline => {
                    let _ = process.kill();
                    let _ = process.wait();
                    return Err(error.context("the page did not answer within 20 s"));
                }
                Err(_) => pause(interrupted, Duration::from_millis(50))?,
            }
        }
    }
}

impl School {
    /// Process id of `hausmeister up`.
    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as a power failure would.
    pub(super) fn kill(&mut self) -> anyhow::Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Fails when the server has ended.
    pub(super) fn check_alive(&mut self) -> anyhow::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("the server ended in the middle ({status})"),
        }
    }
}

impl Drop for School {
    fn drop(&mut self) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(i32::try_from(self.process.id()).unwrap_or(i32::MAX)),
            nix::sys::signal::Signal::SIGTERM,
        );
        let deadline = now() + Duration::from_secs(5);
        let (_never, wait) = mpsc::channel();
        while now() < deadline && matches!(self.process.try_wait(), Ok(None)) {
            let _ = pause(&wait, Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status()?;
    if !status.success() {
        bail!("{status}");
    }
    Ok(())
}
