//! Virtual PCs as the demo uses them, with real firmware. Needs root, QEMU and OVMF, as `make deps` installs them.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use hausmeister::vm::{Extras, Firmware, Network, VirtualPc, VmConfig};
use inventory::clock;
use nix::sched::{CloneFlags, unshare};

/// Moves this test's thread, and with it the processes it starts, into a network of its own.
fn network(ports: usize) -> Network {
    unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
    Network::lay_out("br0", "10.77.0.1/24", ports).unwrap()
}

fn config(folder: &Path, network: &Network, firmware: Firmware) -> VmConfig {
    VmConfig {
        name: "pc".to_owned(),
        firmware,
        memory_mib: 256,
        disk: folder.join("pc.disk"),
        disk_bytes: 64 << 20,
        tap: network.tap(0).unwrap(),
        mac: "52:54:00:77:00:01".to_owned(),
        serial_number: "TEST-1".to_owned(),
        log: folder.join("pc.log"),
    }
}

fn wait_for(vm: &mut VirtualPc, what: &str, mut seen: impl FnMut(&mut VirtualPc) -> bool) {
    let deadline = clock::instant() + Duration::from_secs(120);
    let (_never, tick) = std::sync::mpsc::channel::<()>();
    while !seen(vm) {
        assert!(vm.is_running().unwrap(), "the PC went off while waiting for {what}");
        assert!(clock::instant() < deadline, "{what}: not within 120 s");
        let _ = tick.recv_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_bios_pc_boots_from_the_network_restarts_by_its_button_and_ends_when_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let network = network(1);
    assert_eq!(network.tap(0).unwrap(), "br0-tap0");
    assert!(network.tap(1).is_err());
    let config = config(folder.path(), &network, Firmware::Bios);
    let mut vm = VirtualPc::start(&config).unwrap();
    wait_for(&mut vm, "the network card's ROM", |vm| vm.line_with("iPXE").unwrap().is_some());
    let mark = vm.mark();
    vm.press_reset().unwrap();
    wait_for(&mut vm, "the same after the button", |vm| vm.line_since(mark, "SeaBIOS").unwrap().is_some());
    vm.set_cable(false).unwrap();
    vm.press_ctrl_alt_del().unwrap();
    assert!(vm.is_running().unwrap());
    assert!(vm.usage().peak_memory_kib > 10_000, "{:?}", vm.usage());
    let second = VirtualPc::start(&config).unwrap_err();
    assert!(format!("{second:#}").contains("pc"), "{second:#}");
    let usage = vm.pull_plug().unwrap();
    assert!(usage.cpu > Duration::ZERO, "{usage:?}");
    let log = fs::read_to_string(&config.log).unwrap();
    assert!(log.lines().filter(|line| line.contains("SeaBIOS")).count() >= 2, "{log}");
    assert_eq!(fs::metadata(&config.disk).unwrap().len(), 64 << 20);
}

#[test]
fn a_uefi_pc_with_secure_boot_tries_the_network_first_and_leaves_no_variables_behind() {
    let folder = tempfile::tempdir().unwrap();
    let network = network(1);
    let config = config(folder.path(), &network, Firmware::UefiSecureBoot);
    let mut vm = VirtualPc::start_with(&config, &Extras { screen: true, ..Extras::default() }).unwrap();
    wait_for(&mut vm, "PXE", |vm| vm.line_with(">>Start PXE over IPv4").unwrap().is_some());
    let picture = folder.path().join("screen.ppm");
    vm.screenshot(&picture).unwrap();
    assert!(fs::read(&picture).unwrap().starts_with(b"P6"));
    assert!(folder.path().join("pc.vars").exists());
    drop(vm);
    assert!(!folder.path().join("pc.vars").exists());
}
