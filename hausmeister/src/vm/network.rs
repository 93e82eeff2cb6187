//! The cables of a school in a box: a bridge and the ports that virtual PCs are plugged into.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::Computer;

/// A bridge with ports, in the network namespace that this process is in. Dropping it removes them.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    ports: usize,
}

impl Network {
    /// Makes a bridge that has `address` (`10.77.0.1/24`), and `ports` tap interfaces in it. The bridge has a carrier from the start.
    ///
    /// # Errors
    /// `ip` is missing or the kernel refuses: a name is taken, or this process may not configure networks.
    pub fn lay_out(bridge: &str, address: &str, ports: usize) -> anyhow::Result<Self> {
        // A bridge without a live port has no carrier, and PCs that are off are no live ports: the two ends of one cable are.
        // The loose end must not answer ARP: Linux answers for every address of the host on every card, and a PC that
        // believed it would send its requests where no server listens.
        let mut commands = format!(
            "link set lo up\n\
             link add {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link add {bridge}-a type veth peer name {bridge}-b\n\
             link set {bridge}-a master {bridge} up\n\
             link set {bridge}-b arp off up\n\
             address add {address} dev {bridge}\n\
             link set {bridge} up\n"
        );
        for port in 0..ports {
            let tap = tap_name(bridge, port);
            commands += &format!("tuntap add {tap} mode tap\nlink set {tap} master {bridge} up\n");
        }
        let network = Self { bridge: bridge.to_owned(), ports };
        ip(&mut Command::new("ip"), &commands)
            .with_context(|| format!("cannot lay out the network {bridge}"))?;
        Ok(network)
    }

    /// Plugs a computer into the bridge, with a cable of that name.
    ///
    /// # Errors
    /// As [`Computer::new`].
    pub fn computer(&self, cable: &str, mac: &str) -> anyhow::Result<Computer> {
        let computer = Computer::new(cable, mac)?;
        ip(&mut Command::new("ip"), &format!("link set {cable} master {}\n", self.bridge))?;
        Ok(computer)
    }

    /// A computer outside of the bridge, at the end of a cable of its own whose near end has `address` (`198.51.100.1/24`).
    ///
    /// # Errors
    /// As [`Computer::new`].
    pub fn outside(&self, cable: &str, address: &str, mac: &str) -> anyhow::Result<Computer> {
        let computer = Computer::new(cable, mac)?;
        ip(&mut Command::new("ip"), &format!("address add {address} dev {cable}\n"))?;
        Ok(computer)
    }

    /// Name of the bridge.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge
    }

    /// Name of a port, counted from 0.
    ///
    /// # Errors
    /// There are not that many.
    pub fn tap(&self, port: usize) -> anyhow::Result<String> {
        if port >= self.ports {
            bail!("the network {} has {} ports, number {port} was asked for", self.bridge, self.ports);
        }
        Ok(tap_name(&self.bridge, port))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let mut commands = format!("link delete {0}\nlink delete {0}-a\n", self.bridge);
        for port in 0..self.ports {
            commands += &format!("link delete {}\n", tap_name(&self.bridge, port));
        }
        let _ = ip(&mut Command::new("ip"), &commands);
    }
}

fn tap_name(bridge: &str, port: usize) -> String {
    format!("{bridge}-tap{port}")
}

/// Carries out many commands with one start of `ip`.
pub(super) fn ip(ip: &mut Command, commands: &str) -> anyhow::Result<()> {
    let mut child = ip
        .args(["-force", "-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start ip (Debian package iproute2)")?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(commands.as_bytes())?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("ip says: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
