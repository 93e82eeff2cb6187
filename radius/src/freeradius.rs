//! The folder that FreeRADIUS is started with: one configuration of our own, keys, and nothing of Debian's.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use inventory::UnixMillis;
use nix::unistd::{Gid, Uid, chown};
use zeroize::Zeroizing;

use crate::attributes::{SOURCE, SUBJECT};
use crate::certificate::{Identity, replace};
use crate::config::Config;

/// What FreeRADIUS is told.
pub(crate) struct Folder<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) config: &'a Config,
    /// Where we answer its questions.
    pub(crate) ourselves: SocketAddr,
    /// What it says so that we know it; made anew at every start of ours.
    pub(crate) token: &'a str,
    pub(crate) identity: &'a Identity,
    /// The authority of devices' certificates, PEM.
    pub(crate) devices: &'a str,
    /// Whom it will run as, if not as ourselves.
    pub(crate) account: Option<(Uid, Gid)>,
}

impl Folder<'_> {
    /// Writes it. What an earlier run left of sessions stays, unless the folder is somebody else's by now.
    pub(crate) fn write(&self) -> std::io::Result<()> {
        let sessions = self.dir.join(SESSIONS);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&sessions)?;
        let text = Zeroizing::new(self.configuration()?);
        let files = [
            ("radiusd.conf", text.as_bytes()),
            ("server.key", self.identity.key.as_bytes()),
            ("server.pem", self.identity.certificate.as_bytes()),
            ("devices.pem", self.devices.as_bytes()),
        ];
        for (name, content) in files {
            let path = self.dir.join(name);
            replace(&path, content)?;
            self.give(&path)?;
        }
        for folder in [self.dir, &sessions] {
            fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
            self.give(folder)?;
        }
        Ok(())
    }

    fn give(&self, path: &Path) -> std::io::Result<()> {
        let Some((user, group)) = self.account else { return Ok(()) };
        chown(path, Some(user), Some(group)).map_err(std::io::Error::from)
    }

    fn configuration(&self) -> std::io::Result<String> {
        let dir = self.dir.to_str().filter(|path| path.chars().all(is_plain));
        let dir = dir.ok_or_else(|| {
            let text = format!(
                "FreeRADIUS cannot be told of the folder {}: choose one of letters, digits, dots and dashes as run_dir in [radius]",
                self.dir.display()
            );
            std::io::Error::other(text)
        })?;
        let anybody = if self.config.listen.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
        let values = [
            ("@DIR@", dir.to_owned()),
            ("@LISTEN@", listen(self.config.listen)),
            ("@ANYBODY@", anybody.to_owned()),
            ("@AUTH_PORT@", self.config.auth_port.to_string()),
            ("@ACCOUNTING_PORT@", self.config.accounting_port.to_string()),
            ("@OURSELVES@", format!("http://{}", self.ourselves)),
            ("@TOKEN@", self.token.to_owned()),
            ("@SOURCE@", SOURCE.to_owned()),
            ("@SUBJECT@", SUBJECT.to_owned()),
        ];
        Ok(values.into_iter().fold(TEMPLATE.to_owned(), |text, (name, value)| text.replace(name, &value)))
    }
}

/// Removes sessions that were not written to for so long: FreeRADIUS only ever adds files.
pub(crate) fn forget_sessions(dir: &Path, now: UnixMillis, after: Duration) {
    let Ok(entries) = fs::read_dir(dir.join(SESSIONS)) else { return };
    let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(now.0).unwrap_or(0));
    let old = |path: &PathBuf| {
        let modified = fs::metadata(path).and_then(|meta| meta.modified());
        modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > after))
    };
    for path in entries.flatten().map(|entry| entry.path()).filter(old) {
        // One that stays is tried again later.
        let _ = fs::remove_file(path);
    }
}

fn listen(address: IpAddr) -> String {
    if address.is_unspecified() { "*".into() } else { address.to_string() }
}

/// Nothing that means something in FreeRADIUS' configuration.
fn is_plain(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || "/._-".contains(sign)
}

const TEMPLATE: &str = include_str!("radiusd.conf");
const SESSIONS: &str = "sessions";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_private_and_nothing_is_left_open() {
        let dir = tempfile::tempdir().unwrap();
        let identity = Identity { key: "K".into(), certificate: "C".into() };
        let run = dir.path().join("radius");
        let folder = Folder {
            dir: &run,
            config: &Config::default(),
            ourselves: "127.0.0.1:1".parse().unwrap(),
            token: "t0ken",
            identity: &identity,
            devices: "D",
            account: None,
        };
        folder.write().unwrap();
        folder.write().unwrap();
        let text = fs::read_to_string(run.join("radiusd.conf")).unwrap();
        assert!(text.contains("Bearer t0ken") && text.contains("http://127.0.0.1:1/joined"));
        assert!(!text.contains('@'), "{:?}", text.lines().find(|line| line.contains('@')));
        for name in ["radiusd.conf", "server.key"] {
            assert_eq!(fs::metadata(run.join(name)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let odd = Folder { dir: Path::new("/run/a${b}"), ..folder };
        assert!(odd.configuration().unwrap_err().to_string().contains("run_dir"));
    }
}
