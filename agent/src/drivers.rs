//! Drivers for the Windows that was written: what this PC is made of, in the ids that Windows matches drivers by, and the
//! server's files for it.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::Path;

use images::drivers::{acpi_ids, pci_ids, usb_ids};
use images::protocol::{DRIVER_IDS_MAX, DriverAsk, DriverFolder};

use crate::client::ClientError;
use crate::line::Line;
use crate::personalise::DriverSource;

/// The hardware ids of the machine below `root`, in capitals. What has no driver in the boot environment (sound, for example, hangs
/// behind a controller) is known only as far as its bus tells.
pub fn hardware_ids(root: &Path) -> Vec<String> {
    let mut ids = BTreeSet::new();
    let bus = |name: &str| {
        let folder = root.join("sys/bus").join(name).join("devices");
        fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path())
    };
    for device in bus("pci") {
        let (Some(vendor), Some(id)) = (hex(&device, "vendor"), hex(&device, "device")) else { continue };
        let subsystem = (
            short(hex(&device, "subsystem_vendor").unwrap_or(0)),
            short(hex(&device, "subsystem_device").unwrap_or(0)),
        );
        let revision = u8::try_from(hex(&device, "revision").unwrap_or(0)).unwrap_or(0);
        let class = hex(&device, "class").unwrap_or(0);
        ids.extend(pci_ids(short(vendor), short(id), subsystem, revision, class));
    }
    for device in bus("usb") {
        // An interface lies below its device and has its numbers.
        let function = hex(&device, "bInterfaceNumber").and_then(|n| u8::try_from(n).ok());
        let owner = if function.is_some() { device.join("..") } else { device.clone() };
        let owner = if owner.join("idVendor").exists() { owner } else { parent_of_interface(&device) };
        let (Some(vendor), Some(product)) = (hex(&owner, "idVendor"), hex(&owner, "idProduct")) else {
            continue;
        };
        ids.extend(usb_ids(
            short(vendor),
            short(product),
            short(hex(&owner, "bcdDevice").unwrap_or(0)),
            function,
        ));
    }
    for device in bus("acpi") {
        let hid = fs::read_to_string(device.join("hid")).unwrap_or_default();
        let hid = hid.trim();
        if (4..=16).contains(&hid.len()) && hid.bytes().all(|b| b.is_ascii_alphanumeric()) {
            ids.extend(acpi_ids(hid));
        }
    }
    ids.into_iter().take(DRIVER_IDS_MAX).collect()
}

/// `1-2:1.0` is an interface of `1-2`, its neighbour in the folder of the bus.
fn parent_of_interface(interface: &Path) -> std::path::PathBuf {
    let name = interface.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    interface.with_file_name(name.split(':').next().unwrap_or_default())
}

fn hex(folder: &Path, name: &str) -> Option<u32> {
    let text = fs::read_to_string(folder.join(name)).ok()?;
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

fn short(number: u32) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}

/// The server's folder of drivers, for one job on this PC.
pub struct ServerDrivers<'l> {
    line: &'l Line,
    job: &'l str,
    /// Root of the machine's file system.
    root: &'l Path,
}

impl<'l> ServerDrivers<'l> {
    /// For the machine below `root`.
    pub fn new(line: &'l Line, job: &'l str, root: &'l Path) -> ServerDrivers<'l> {
        ServerDrivers { line, job, root }
    }
}

impl DriverSource for ServerDrivers<'_> {
    fn matching(&self, processor: &str) -> Result<Vec<DriverFolder>, String> {
        let ask = DriverAsk { processor: processor.to_owned(), ids: hardware_ids(self.root) };
        match self.line.ask(|client| client.drivers(self.job, &ask)) {
            Ok(reply) => Ok(reply.folders),
            // A server that knows no drivers.
            Err(ClientError::Refused { status: 404, .. }) => Ok(Vec::new()),
            Err(error) => Err(error.to_string()),
        }
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, String> {
        let opened = self.line.ask(|client| client.driver(self.job, path));
        opened.map(|reader| Box::new(reader) as Box<dyn Read>).map_err(|error| error.to_string())
    }

    fn agent(&self) -> Result<Vec<u8>, String> {
        self.line.ask(|client| client.windows_agent(self.job)).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_known_by_what_its_buses_tell() {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("pci/devices/0000:00:1f.6/vendor", "0x8086\n"),
            ("pci/devices/0000:00:1f.6/device", "0x15b8\n"),
            ("pci/devices/0000:00:1f.6/subsystem_vendor", "0x1028\n"),
            ("pci/devices/0000:00:1f.6/subsystem_device", "0x07a1\n"),
            ("pci/devices/0000:00:1f.6/revision", "0x31\n"),
            ("pci/devices/0000:00:1f.6/class", "0x020000\n"),
            ("pci/devices/broken/vendor", "x"),
            ("usb/devices/1-2/idVendor", "0bda\n"),
            ("usb/devices/1-2/idProduct", "8153\n"),
            ("usb/devices/1-2/bcdDevice", "3000\n"),
            ("usb/devices/1-2:1.0/bInterfaceNumber", "00\n"),
            ("acpi/devices/INT33A1:00/hid", "INT33A1\n"),
            ("acpi/devices/x/hid", "../../x\n"),
        ] {
            let path = dir.path().join("sys/bus").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        assert_eq!(
            hardware_ids(dir.path()),
            [
                "*INT33A1",
                r"ACPI\INT33A1",
                r"PCI\VEN_8086&DEV_15B8",
                r"PCI\VEN_8086&DEV_15B8&CC_0200",
                r"PCI\VEN_8086&DEV_15B8&CC_020000",
                r"PCI\VEN_8086&DEV_15B8&REV_31",
                r"PCI\VEN_8086&DEV_15B8&SUBSYS_07A11028",
                r"PCI\VEN_8086&DEV_15B8&SUBSYS_07A11028&REV_31",
                r"USB\VID_0BDA&PID_8153",
                r"USB\VID_0BDA&PID_8153&MI_00",
                r"USB\VID_0BDA&PID_8153&REV_3000",
                r"USB\VID_0BDA&PID_8153&REV_3000&MI_00",
            ]
        );
        assert!(hardware_ids(Path::new("/nonexistent")).is_empty());
    }
}
