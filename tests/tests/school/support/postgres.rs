//! A PostgreSQL of the test's own: Debian's programs, a folder that is removed afterwards, no TCP port.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Process, eventually, succeed};

/// A running server. It ends with this.
pub(crate) struct Postgres {
    process: Process,
    dir: tempfile::TempDir,
}

impl Postgres {
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        // It refuses to run as root, so its folder belongs to Debian's user for it.
        succeed(Command::new("chown").arg("postgres").arg(dir.path()));
        let data = dir.path().join("data");
        succeed(
            as_postgres("initdb").args(["--auth=trust", "--no-sync", "--encoding=UTF8", "-D"]).arg(&data),
        );
        let mut server = as_postgres("postgres");
        server
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-k"])
            .arg(dir.path());
        let process = Process::start(server, dir.path().join("server.log"));
        let server = Self { process, dir };
        eventually("PostgreSQL answers", || server.psql("SELECT 1").then_some(()));
        server
    }

    /// Address of a new database.
    pub(crate) fn database(&self, name: &str) -> String {
        assert!(self.psql(&format!("CREATE DATABASE \"{name}\"")));
        format!("postgres://postgres@localhost/{name}?host={}", self.dir.path().display())
    }

    fn psql(&self, sql: &str) -> bool {
        let mut psql = Command::new(programs().join("psql"));
        psql.args(["-U", "postgres", "-q", "-c", sql, "-h"]).arg(self.dir.path());
        psql.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Not SIGKILL, upon which it leaves shared memory behind.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGINT);
        self.process.ended();
    }
}

fn as_postgres(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    // INT, which ends its children too.
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]);
    command.arg(programs().join(program)).current_dir(Path::new("/")).stdin(Stdio::null());
    command
}

fn programs() -> PathBuf {
    let mut versions: Vec<PathBuf> =
        std::fs::read_dir("/usr/lib/postgresql").unwrap().map(|e| e.unwrap().path()).collect();
    versions.sort();
    versions.pop().expect("Debian's package postgresql is installed").join("bin")
}
