//! The worker of the boot environment: drivers, network, and the conversation with the server.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use images::protocol::{Firmware, Hardware};
use nix::mount::{MsFlags, mount};

use crate::client::Client;
use crate::clock;
use crate::cmdline::Cmdline;
use crate::hardware;
use crate::identity::Identity;
use crate::job::Context;
use crate::line::{Line, Pauses};
use crate::machine::{self, Machine};
use crate::modules::Loader;
use crate::net::Network;
use crate::screen::{Problem, Scene, Screen, Trouble};
use crate::session::{self, Timing};

/// Runs until the machine restarts.
pub fn run() -> ! {
    keep_last_words();
    let cmdline = Cmdline::parse(&fs::read_to_string("/proc/cmdline").unwrap_or_default());
    let screen = Screen::open(&cmdline);
    let server = cmdline.server.clone().unwrap_or_default();
    screen.change(|view| view.server = server.trim_start_matches("https://").to_owned());
    if cmdline.time.is_some_and(super::time::correct) {
        screen.note("the clock was wrong and has been set to the server's");
    }
    let mut loader = Loader::for_running_kernel();
    loader.load_for_devices(Path::new(BUSES));
    let network = Network::default();
    network.serve_new_cards();
    // The server answers while the rest is loaded.
    for module in ALWAYS {
        loader.load(module);
    }
    mount_efivars();
    let machine = Machine::this();
    describe(&screen, &network);
    wait_for_network(&screen, &network, &mut loader);
    wait_for_disks(&machine, &mut loader);
    describe(&screen, &network);
    screen.show(Scene::Server);
    loop {
        let detail = match converse(&screen, &machine, &server) {
            Ok(()) => format!("the machine does not restart: {}", super::supervisor::restart()),
            Err(error) => error,
        };
        let retry = Duration::from_secs(30);
        screen.mark(&format!("error {} {detail}", Problem::Incomplete.name()));
        screen.show(Scene::Trouble(Trouble { problem: Problem::Incomplete, detail, retry: Some(retry) }));
        clock::wait(retry);
    }
}

fn converse(screen: &Screen, machine: &Machine, server: &str) -> Result<(), String> {
    if server.is_empty() {
        return Err("the kernel command line names no hausmeister.server".into());
    }
    let ca_pem = fs::read(CA).map_err(|error| format!("{CA}: {error}"))?;
    let identity = match machine.kept_identity() {
        Some(kept) => kept,
        None => Identity::generate().map_err(|error| error.to_string())?,
    };
    let client = Client::new(server, &ca_pem, &identity).map_err(|error| error.to_string())?;
    let line = Line::new(client, screen.clone(), Pauses::default());
    let mount_point = PathBuf::from("/run/hausmeister/system");
    fs::create_dir_all(&mount_point).map_err(|error| error.to_string())?;
    let context = Context {
        machine,
        identity: &identity,
        line: &line,
        ca_pem: &ca_pem,
        mount_point,
        binary: machine::own_binary().to_owned(),
        efivars: EFIVARS.into(),
    };
    session::serve(&context, &Timing::default());
    Ok(())
}

/// Waits until a card has an address. Says what is missing, and goes on waiting.
fn wait_for_network(screen: &Screen, network: &Network, loader: &mut Loader) {
    screen.show(Scene::Network);
    let started = clock::now();
    let mut said = None;
    loop {
        network.serve_new_cards();
        if network.wait_for_address(Duration::from_secs(1)) {
            return;
        }
        // A card may hang on a bus that takes its time, or be plugged in just now.
        loader.load_for_devices(Path::new(BUSES));
        let waited = clock::now().saturating_duration_since(started);
        let problem = missing(network, waited);
        if problem != said
            && let Some(problem) = problem
        {
            describe(screen, network);
            screen.mark(&format!("error {}", problem.name()));
            screen.show(Scene::Trouble(Trouble { problem, detail: String::new(), retry: None }));
        }
        said = problem;
    }
}

fn missing(network: &Network, waited: Duration) -> Option<Problem> {
    let nics = hardware::nics(Path::new("/"));
    match () {
        () if network.card_count() == 0 => (waited > Duration::from_secs(10)).then_some(Problem::NoCard),
        // Some switches let nothing through for half a minute after the link came up.
        () if nics.iter().any(|nic| nic.carrier) => {
            (waited > Duration::from_secs(45)).then_some(Problem::NoAddress)
        }
        () => (waited > Duration::from_secs(30)).then_some(Problem::NoCable),
    }
}

/// The key may be on a disk that is still spinning up. A PC without any disk waits in vain for a moment.
fn wait_for_disks(machine: &Machine, loader: &mut Loader) {
    let deadline = clock::now() + Duration::from_secs(10);
    while machine.candidates().iter().all(|c| c.disk.removable) && clock::now() < deadline {
        loader.load_for_devices(Path::new(BUSES));
        clock::wait(Duration::from_millis(250));
    }
}

/// Tells the screen what this machine is.
fn describe(screen: &Screen, network: &Network) {
    let lines = machine_lines(&hardware::describe(Path::new("/")), network);
    screen.change(|view| view.machine = lines);
}

fn machine_lines(hardware: &Hardware, network: &Network) -> Vec<String> {
    let firmware = match hardware.firmware {
        Firmware::Bios => "BIOS",
        Firmware::Uefi => "UEFI",
        Firmware::UefiSecureBoot => "UEFI Secure Boot",
    };
    let mut lines = vec![
        format!("{} {}   S/N {}   {firmware}", hardware.vendor, hardware.product, hardware.serial),
        format!("{} x {}, {} MB", hardware.cpu_count, hardware.cpu, hardware.memory_bytes >> 20),
    ];
    for disk in hardware.disks.iter().take(3) {
        lines.push(format!(
            "{}   {} {}   {} GB",
            disk.name,
            disk.model,
            disk.serial,
            disk.bytes / 1_000_000_000
        ));
    }
    let addresses = network.addresses();
    for nic in hardware.nics.iter().filter(|n| !n.wireless).take(3) {
        let address = addresses.iter().find(|(name, _)| *name == nic.name).map(|(_, a)| a.to_string());
        lines.push(format!("{}   {}   {}", nic.name, nic.mac, address.unwrap_or_default()));
    }
    lines
}

fn mount_efivars() {
    if Path::new("/sys/firmware/efi").exists() {
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC | MsFlags::MS_NODEV;
        // Firmware without variables at run time exists; only the boot entry is lost.
        let _ = mount(Some("efivarfs"), Path::new(EFIVARS), Some("efivarfs"), flags, None::<&str>);
    }
}

/// A panic ends the process. What it said is shown by process 1.
fn keep_last_words() {
    std::panic::set_hook(Box::new(|info| {
        let _ = fs::write(super::last_words(), info.to_string());
    }));
}

/// File systems and what they ask for; devices say themselves what they need.
const ALWAYS: [&str; 9] =
    ["ext4", "ntfs3", "vfat", "nls_cp437", "nls_ascii", "nls_iso8859_1", "loop", "efivarfs", "crc32c"];
const BUSES: &str = "/sys/bus";
const EFIVARS: &str = "/sys/firmware/efi/efivars";
const CA: &str = "/hausmeister/ca.pem";
