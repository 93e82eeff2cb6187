//! Ways of real firmware to the boot environment, besides those that the demo goes.

use std::net::Ipv4Addr;
use std::time::Duration;

use hausmeister::vm::{Extras, Firmware, VirtualPc, VmConfig};
use serde_json::Value;

use super::support::lan::Lan;
use super::support::school::School;
use super::support::{Process, within};

#[test]
fn a_uefi_pc_boots_over_http_alone() {
    let school = School::set_up(Lan::new(1));
    let ours = Ipv4Addr::new(10, 77, 0, 128)..=Ipv4Addr::new(10, 77, 0, 249);
    assert!(ours.contains(&waits_for_approval(&school, Firmware::Uefi, true)));
}

#[test]
fn a_bios_pc_boots_beside_a_foreign_dhcp_server() {
    boots_beside_a_foreign_dhcp_server(Firmware::Bios, false);
}

#[test]
fn a_uefi_pc_boots_beside_a_foreign_dhcp_server() {
    boots_beside_a_foreign_dhcp_server(Firmware::Uefi, false);
}

#[test]
fn a_uefi_pc_boots_over_http_beside_a_foreign_dhcp_server() {
    boots_beside_a_foreign_dhcp_server(Firmware::Uefi, true);
}

/// The other server gives the address and knows nothing of booting; `init` finds it and leaves the addresses to it.
fn boots_beside_a_foreign_dhcp_server(firmware: Firmware, http_boot: bool) {
    let lan = Lan::new(1);
    let router = lan.computer("52:54:00:40:00:02");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("dnsmasq.log");
    let foreign = router.give_addresses("10.77.0.2/24", "10.77.0.20,10.77.0.29", &log);
    let school = School::set_up(lan);
    let address = waits_for_approval(&school, firmware, http_boot);
    assert!((Ipv4Addr::new(10, 77, 0, 20)..=Ipv4Addr::new(10, 77, 0, 29)).contains(&address), "{address}");
    assert!(foreign.said().contains(&format!("DHCPACK(eth0) {address} {MAC}")), "{}", foreign.said());
}

/// Switches a PC on and waits until it is on the waiting list and shows its code; returns its address.
fn waits_for_approval(school: &School, firmware: Firmware, http_boot: bool) -> Ipv4Addr {
    let up = school.up();
    let admin = school.admin();
    let mut pc = switch_on(school, firmware, http_boot);
    let entry = within(BOOT_MAX, "the PC is on the waiting list", || {
        still_well(&mut pc, &up);
        admin.find("/waiting", "hardware.serial", SERIAL)
    });
    let code = format!("MARK waiting code={}", entry["code"].as_str().unwrap());
    within(BOOT_MAX, "the PC shows its code", || pc.line_with(&code).unwrap());
    let started_by = if firmware == Firmware::Bios { "bios" } else { "uefi" };
    assert_eq!(entry["hardware"]["firmware"], started_by);
    if http_boot {
        let mut tried = |way: &str| pc.line_with(way).unwrap();
        assert!(tried(">>Start HTTP Boot over IPv4").is_some() && tried(">>Start PXE").is_none());
    }
    assert_eq!(entry["hardware"]["nics"][0]["mac"], MAC);
    address(&entry)
}

fn switch_on(school: &School, firmware: Firmware, http_boot: bool) -> VirtualPc {
    let config = VmConfig {
        name: "pc".to_owned(),
        firmware,
        memory_mib: 512,
        disk: school.dir.path().join("pc.disk"),
        disk_bytes: 64 << 20,
        tap: school.lan.bridge.tap(0).unwrap(),
        mac: MAC.to_owned(),
        serial_number: SERIAL.to_owned(),
        log: school.log("pc"),
    };
    VirtualPc::start_with(&config, &Extras { http_boot, ..Extras::default() }).unwrap()
}

fn still_well(pc: &mut VirtualPc, up: &Process) {
    assert!(pc.is_running().unwrap(), "the PC went off\n{}", up.said());
    assert_eq!(pc.line_with("MARK error").unwrap(), None);
}

fn address(entry: &Value) -> Ipv4Addr {
    entry["address"].as_str().unwrap().parse().unwrap()
}

const MAC: &str = "52:54:00:40:00:01";
const SERIAL: &str = "BOOT-1";
/// Emulated processors on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(140);
