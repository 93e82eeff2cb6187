//! Computers that are no virtual PCs: a network of their own, a cable, and this machine's programs.

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, setns, unshare};

use super::network;

/// A computer whose network is its own and whose files are this machine's. Its cable leads to where it was made.
#[derive(Debug)]
pub struct Computer {
    namespace: File,
}

impl Computer {
    /// A computer that is switched on and has no address: its card `eth0` has the hardware address `mac`, and the other end of its cable
    /// is `plug`, up, in the namespace of the caller.
    ///
    /// # Errors
    /// This process may not configure networks, or `plug` is taken.
    pub fn new(plug: &str, mac: &str) -> anyhow::Result<Self> {
        let namespace = std::thread::spawn(|| -> anyhow::Result<File> {
            unshare(CloneFlags::CLONE_NEWNET)?;
            Ok(File::open("/proc/thread-self/ns/net")?)
        });
        let namespace =
            namespace.join().ok().context("no namespace")?.context("cannot make a network namespace")?;
        let computer = Self { namespace };
        let cable = format!(
            "link add {plug} type veth peer name eth0 netns {}\nlink set {plug} up\n",
            computer.path()
        );
        network::ip(&mut Command::new("ip"), &cable)?;
        computer.ip(&format!("link set lo up\nlink set eth0 address {mac} up\n"))?;
        Ok(computer)
    }

    /// A command that runs there.
    #[must_use]
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path())).arg(program.as_ref());
        command
    }

    /// Carries out commands of `ip` there.
    ///
    /// # Errors
    /// `ip` refuses one of them.
    pub fn ip(&self, commands: &str) -> anyhow::Result<()> {
        network::ip(&mut self.command("ip"), commands)
    }

    /// Does something there, on a thread of its own. A socket stays in the network that it was made in.
    ///
    /// # Errors
    /// The kernel refuses, or what was done failed.
    pub fn inside<T: Send>(&self, deed: impl FnOnce() -> anyhow::Result<T> + Send) -> anyhow::Result<T> {
        let moved = || {
            setns(&self.namespace, CloneFlags::CLONE_NEWNET).context("cannot enter a network namespace")?;
            deed()
        };
        std::thread::scope(|scope| scope.spawn(moved).join()).ok().context("the thread ended")?
    }

    /// Asks for an address like a PC that was just installed, with Debian's `udhcpc`, and uses it and the gateway. `None` when nobody
    /// gives one. `folder` is for what the client writes.
    ///
    /// # Errors
    /// `udhcpc` is missing, or what it got cannot be used.
    pub fn ask_for_an_address(&self, folder: &Path) -> anyhow::Result<Option<Ipv4Addr>> {
        let (script, told) = (folder.join("udhcpc.sh"), folder.join("udhcpc.address"));
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip address flush dev $interface\n\
             ip address add $ip/$mask dev $interface\n[ -z \"$router\" ] || ip route replace default via ${{router%% *}}\n\
             echo $ip >{}\n",
            told.display()
        );
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o700).open(&script)?;
        std::io::Write::write_all(&mut file, text.as_bytes())?;
        drop(file);
        let _ = fs::remove_file(&told);
        let mut udhcpc = self.command("udhcpc");
        udhcpc.args(["-f", "-n", "-q", "-t", "3", "-T", "1", "-i", "eth0", "-s"]).arg(&script);
        let out = udhcpc.stdin(Stdio::null()).output()?;
        let Ok(address) = fs::read_to_string(&told) else { return Ok(None) };
        if !out.status.success() {
            bail!("udhcpc (Debian package udhcpc) says: {}", String::from_utf8_lossy(&out.stderr).trim());
        }
        Ok(Some(address.trim().parse()?))
    }

    fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.namespace.as_raw_fd())
    }
}
