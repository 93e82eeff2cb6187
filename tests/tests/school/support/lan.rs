//! A LAN: a bridge in a network namespace of its own, and computers with a cable into it.

use std::cell::Cell;
use std::fs::File;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
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
        let computer = Computer { namespace: new_namespace(), mac: mac.to_owned() };
        let namespace = path_of(&computer.namespace);
        ip(&format!(
            "link add cable{cable} type veth peer name eth0 netns {namespace}\n\
             link set cable{cable} master {BRIDGE} up\n"
        ));
        run_ip(&mut computer.command("ip"), &format!("link set lo up\nlink set eth0 address {mac} up\n"));
        computer
    }
}

/// A computer in the LAN; only its network is its own.
pub(crate) struct Computer {
    namespace: File,
    pub(crate) mac: String,
}

impl Computer {
    /// A command that runs there.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = command("nsenter");
        command.arg(format!("--net={}", path_of(&self.namespace))).arg(program.as_ref());
        command
    }

    /// Gives it a fixed address.
    pub(crate) fn set_address(&self, address: &str) {
        run_ip(&mut self.command("ip"), &format!("address replace {address} dev eth0\n"));
    }

    /// Asks for an address like a PC that was just installed, with Debian's `udhcpc`, and uses it. `None` when nobody gives one.
    pub(crate) fn ask_for_an_address(&self) -> Option<Ipv4Addr> {
        let folder = tempfile::tempdir().unwrap();
        let (script, told) = (folder.path().join("script"), folder.path().join("address"));
        let text = format!(
            "#!/bin/sh\n[ \"$1\" = bound ] || exit 0\nip address flush dev $interface\n\
             ip address add $ip/$mask dev $interface\necho $ip > {}\n",
            told.display()
        );
        std::fs::write(&script, text).unwrap();
        super::succeed(Command::new("chmod").arg("+x").arg(&script));
        let mut udhcpc = self.command("udhcpc");
        udhcpc.args(["-f", "-n", "-q", "-t", "3", "-T", "1", "-i", "eth0", "-s"]).arg(&script);
        let (code, said) = super::output(&mut udhcpc);
        let address = std::fs::read_to_string(&told).ok()?;
        assert_eq!(code, 0, "{said}");
        Some(address.trim().parse().unwrap())
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

fn new_namespace() -> File {
    let made = std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        File::open("/proc/thread-self/ns/net").unwrap()
    });
    made.join().unwrap()
}

fn path_of(namespace: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd())
}

/// Carries out commands of `ip` where the test is.
pub(crate) fn ip(commands: &str) {
    run_ip(&mut Command::new("ip"), commands);
}

fn run_ip(ip: &mut Command, commands: &str) {
    let mut child = ip.args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ip refuses one of:\n{commands}");
}
