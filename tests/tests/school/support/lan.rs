//! A LAN: a bridge in a network namespace of its own, and computers with a cable into it.

use std::cell::Cell;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

use hausmeister::vm::Network;
use nix::sched::{CloneFlags, unshare};

use super::command;

/// The server's address.
pub(crate) const SERVER: &str = "10.77.0.1";
/// The server's interface.
pub(crate) const BRIDGE: &str = "br0";

/// The network that this test's thread, and what it starts, has moved into.
pub(crate) struct Lan {
    pub(crate) bridge: Network,
    cables: Cell<usize>,
}

impl Lan {
    /// A bridge with the server's address, and taps `br0-tap0`, … for virtual PCs.
    pub(crate) fn new(taps: usize) -> Self {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        let bridge = Network::lay_out(BRIDGE, &format!("{SERVER}/24"), taps).unwrap();
        Self { bridge, cables: Cell::new(0) }
    }

    /// A computer that is switched on and has no address.
    pub(crate) fn computer(&self, mac: &str) -> Computer {
        let cable = self.cables.replace(self.cables.get() + 1);
        let computer = self.bridge.computer(&format!("cable{cable}"), mac).unwrap();
        Computer { computer, mac: mac.to_owned() }
    }
}

/// A computer in the LAN; only its network is its own.
pub(crate) struct Computer {
    computer: hausmeister::vm::Computer,
    pub(crate) mac: String,
}

impl Computer {
    /// A command that runs there.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let there = self.computer.command(program);
        let mut command = command(there.get_program());
        command.args(there.get_args());
        command
    }

    /// Gives it a fixed address.
    pub(crate) fn set_address(&self, address: &str) {
        self.computer.ip(&format!("address replace {address} dev eth0\n")).unwrap();
    }

    /// Asks for an address like a PC that was just installed. `None` when nobody gives one.
    pub(crate) fn ask_for_an_address(&self) -> Option<Ipv4Addr> {
        let folder = tempfile::tempdir().unwrap();
        self.computer.ask_for_an_address(folder.path()).unwrap()
    }

    /// Debian's `dnsmasq` as a DHCP server that gives addresses and tells nobody what to boot. It runs when it has said so.
    pub(crate) fn give_addresses(&self, own: &str, range: &str, log: &Path) -> super::Process {
        self.set_address(own);
        let mut dnsmasq = self.command("dnsmasq");
        dnsmasq.args(["-d", "-C", "/dev/null", "--port=0", "--interface=eth0", "--no-ping", "--log-dhcp"]);
        dnsmasq.args([
            "--dhcp-authoritative",
            "--dhcp-leasefile=/dev/null",
            &format!("--dhcp-range={range},1h"),
        ]);
        super::Process::start(dnsmasq, log.to_owned()).until_it_says("DHCP, IP range")
    }
}

/// Carries out commands of `ip` where the test is.
pub(crate) fn ip(commands: &str) {
    let mut child = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ip refuses one of:\n{commands}");
}
