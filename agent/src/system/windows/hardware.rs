//! What a Windows PC is made of.

use images::protocol::{Firmware, Hardware, Nic};

use super::disk::PhysicalDrive;
use super::network;
use super::raw;
use super::registry::{machine_number, machine_text};
use crate::smbios;

/// Describes this machine.
pub fn hardware() -> Hardware {
    let table = raw::firmware_table();
    // Four bytes of versions and four of the length come before the table itself (RawSMBIOSData).
    let system = smbios::system(table.get(8..).unwrap_or_default()).unwrap_or_default();
    let nics: Vec<Nic> = network::cards();
    Hardware {
        vendor: system.vendor,
        product: system.product,
        serial: system.serial,
        uuid: system.uuid,
        firmware: firmware(),
        cpu: machine_text(r"HARDWARE\DESCRIPTION\System\CentralProcessor\0", "ProcessorNameString"),
        cpu_count: std::thread::available_parallelism().map_or(0, |n| u32::try_from(n.get()).unwrap_or(0)),
        memory_bytes: raw::memory_bytes(),
        disks: PhysicalDrive::all().into_iter().map(|drive| drive.about).collect(),
        nics,
    }
}

/// Windows makes this key on a PC with UEFI only.
fn firmware() -> Firmware {
    match machine_number(r"SYSTEM\CurrentControlSet\Control\SecureBoot\State", "UEFISecureBootEnabled") {
        Some(0) => Firmware::Uefi,
        Some(_) => Firmware::UefiSecureBoot,
        None => Firmware::Bios,
    }
}
