//! What the machine is made of, read from `/sys` and `/proc`.
//!
//! Everything starts from a root folder, `/` on a real machine, so that tests can describe machines as folders. Firmware
//! vendors write anything into SMBIOS, hence every text is cleaned and cut here.

use std::fs;
use std::path::Path;

use images::protocol::{Disk, Firmware, Hardware, Nic};

/// Describes the machine below `root`.
pub fn describe(root: &Path) -> Hardware {
    let dmi = root.join("sys/class/dmi/id");
    let (cpu, cpu_count) = processors(&read(&root.join("proc/cpuinfo")));
    Hardware {
        vendor: text(&dmi.join("sys_vendor")),
        product: text(&dmi.join("product_name")),
        serial: text(&dmi.join("product_serial")),
        uuid: text(&dmi.join("product_uuid")).to_ascii_lowercase(),
        firmware: firmware(root),
        cpu,
        cpu_count,
        memory_bytes: memory_bytes(&read(&root.join("proc/meminfo"))),
        disks: disks(root),
        nics: nics(root),
    }
}

/// What started the machine.
pub fn firmware(root: &Path) -> Firmware {
    let efi = root.join("sys/firmware/efi");
    if !efi.exists() {
        return Firmware::Bios;
    }
    // Four bytes of attributes, then the value.
    match fs::read(efi.join("efivars").join(SECURE_BOOT)).unwrap_or_default().as_slice() {
        [_, _, _, _, 1] => Firmware::UefiSecureBoot,
        _ => Firmware::Uefi,
    }
}

/// The fixed and removable disks, ascending by kernel name. Memory disks, optical drives and readers without a medium are
/// left out.
pub fn disks(root: &Path) -> Vec<Disk> {
    let folder = root.join("sys/block");
    names(&folder).iter().filter(|n| is_disk(n)).filter_map(|name| disk(&folder.join(name), name)).collect()
}

/// The network cards, ascending by kernel name; nothing virtual.
pub fn nics(root: &Path) -> Vec<Nic> {
    let folder = root.join("sys/class/net");
    let physical = names(&folder).into_iter().filter(|n| folder.join(n).join("device").exists());
    physical.take(LIST_MAX).map(|name| nic(&folder.join(&name), name)).collect()
}

fn is_disk(name: &str) -> bool {
    const OTHERS: [&str; 9] = ["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "mtd"];
    // eMMC has small boot and key partitions that look like disks.
    let part_of_emmc = name.starts_with("mmcblk") && (name.contains("boot") || name.contains("rpmb"));
    !OTHERS.iter().any(|o| name.starts_with(o)) && !part_of_emmc
}

fn disk(folder: &Path, name: &str) -> Option<Disk> {
    // The kernel counts in 512 bytes here, whatever the disk's sector size is.
    let bytes = number(&folder.join("size"))?.checked_mul(512).filter(|b| *b > 0)?;
    let usb = fs::canonicalize(folder).is_ok_and(|p| p.to_string_lossy().contains("/usb"));
    Some(Disk {
        name: name.to_owned(),
        model: text(&folder.join("device/model")),
        serial: disk_serial(folder),
        wwn: first_text(&[folder.join("wwid"), folder.join("device/wwid")]),
        bytes,
        sector_bytes: number(&folder.join("queue/logical_block_size"))
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(512),
        removable: usb || number(&folder.join("removable")) == Some(1),
    })
}

/// NVMe and virtio have a file with the serial number, SCSI and SATA page 0x80 of the vital product data.
fn disk_serial(folder: &Path) -> String {
    let plain = first_text(&[folder.join("serial"), folder.join("device/serial")]);
    if !plain.is_empty() {
        return plain;
    }
    let page = fs::read(folder.join("device/vpd_pg80")).unwrap_or_default();
    clean(&String::from_utf8_lossy(page.get(4..).unwrap_or_default()))
}

fn nic(folder: &Path, name: String) -> Nic {
    let driver = fs::read_link(folder.join("device/driver")).unwrap_or_default();
    Nic {
        mac: text(&folder.join("address")).to_ascii_lowercase(),
        driver: driver.file_name().map(|n| clean(&n.to_string_lossy())).unwrap_or_default(),
        // Reading this fails with EINVAL while the card is down, which means the same.
        carrier: number(&folder.join("carrier")) == Some(1),
        wireless: folder.join("phy80211").exists() || folder.join("wireless").exists(),
        name,
    }
}

/// The name of the first processor and how many there are.
fn processors(cpuinfo: &str) -> (String, u32) {
    let field = |line: &str, key: &str| {
        Some(line.split_once(':')?).filter(|(k, _)| k.trim() == key).map(|(_, v)| clean(v))
    };
    let name = cpuinfo.lines().find_map(|l| field(l, "model name")).unwrap_or_default();
    let count = cpuinfo.lines().filter(|l| field(l, "processor").is_some()).count();
    (name, u32::try_from(count).unwrap_or(u32::MAX))
}

/// Memory of the machine below `root`, in bytes.
pub fn memory(root: &Path) -> u64 {
    memory_bytes(&read(&root.join("proc/meminfo")))
}

fn memory_bytes(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|l| l.strip_prefix("MemTotal:")).unwrap_or_default();
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().unwrap_or(0);
    kib.saturating_mul(1024)
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<String> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names.truncate(LIST_MAX * 8);
    names
}

fn first_text(paths: &[std::path::PathBuf]) -> String {
    paths.iter().map(|p| text(p)).find(|t| !t.is_empty()).unwrap_or_default()
}

fn text(path: &Path) -> String {
    clean(&read(path))
}

fn number(path: &Path) -> Option<u64> {
    read(path).trim().parse().ok()
}

fn read(path: &Path) -> String {
    fs::read(path).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// Printable, without needless blanks, at most [`TEXT_MAX`] characters.
fn clean(raw: &str) -> String {
    let printable: String =
        raw.chars().map(|c| if c.is_control() || c == '\u{fffd}' { ' ' } else { c }).collect();
    let words: Vec<&str> = printable.split_whitespace().collect();
    words.join(" ").chars().take(TEXT_MAX).collect()
}

const SECURE_BOOT: &str = "SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
const TEXT_MAX: usize = 128;
const LIST_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// A machine as a folder: a file for every line `path = content`.
    fn machine(lines: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in lines {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        dir
    }

    #[test]
    fn a_school_pc_is_described_with_its_disks_and_cards() {
        let dir = machine(&[
            ("sys/class/dmi/id/sys_vendor", "FUJITSU\n"),
            ("sys/class/dmi/id/product_name", "ESPRIMO  Q558\n"),
            ("sys/class/dmi/id/product_serial", "YM4R001234   \n"),
            ("sys/class/dmi/id/product_uuid", "4C4C4544-0042-3510-8054-B4C04F4A4D32\n"),
            ("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "\x06\0\0\0\x01"),
            (
                "proc/cpuinfo",
                "processor\t: 0\nmodel name\t: Intel(R) Core(TM) i5-9400T\n\nprocessor\t: 1\nmodel name\t: x\n",
            ),
            ("proc/meminfo", "MemTotal:        8029456 kB\nMemFree:  1 kB\n"),
            ("sys/block/loop0/size", "8"),
            ("sys/block/sr0/size", "2097151"),
            ("sys/block/nvme0n1/size", "500118192\n"),
            ("sys/block/nvme0n1/wwid", "eui.0025385991b0b2a1\n"),
            ("sys/block/nvme0n1/device/model", "SAMSUNG MZVLB256HBHQ-000L7              \n"),
            ("sys/block/nvme0n1/device/serial", "S4ELNX0N123456      \n"),
            ("sys/block/nvme0n1/queue/logical_block_size", "512\n"),
            ("sys/block/sda/size", "0\n"),
            ("sys/block/sdb/size", "15728640\n"),
            ("sys/block/sdb/removable", "1\n"),
            ("sys/block/sdb/device/vpd_pg80", "\0\u{1}\0\u{8}  AA0011"),
            ("sys/block/mmcblk0boot0/size", "8192"),
            ("sys/class/net/lo/address", "00:00:00:00:00:00\n"),
            ("sys/class/net/eno1/device/vendor", "0x8086\n"),
            ("sys/class/net/eno1/address", "90:1B:0E:12:34:56\n"),
            ("sys/class/net/eno1/carrier", "1\n"),
            ("sys/class/net/wlp1s0/device/vendor", "0x8086\n"),
            ("sys/class/net/wlp1s0/phy80211/index", "0\n"),
        ]);
        let hardware = describe(dir.path());
        assert_eq!((hardware.vendor.as_str(), hardware.product.as_str()), ("FUJITSU", "ESPRIMO Q558"));
        assert_eq!(hardware.serial, "YM4R001234");
        assert_eq!(hardware.uuid, "4c4c4544-0042-3510-8054-b4c04f4a4d32");
        assert_eq!(hardware.firmware, Firmware::UefiSecureBoot);
        assert_eq!((hardware.cpu.as_str(), hardware.cpu_count), ("Intel(R) Core(TM) i5-9400T", 2));
        assert_eq!(hardware.memory_bytes, 8_029_456 * 1024);
        let disks: Vec<_> =
            hardware.disks.iter().map(|d| (&*d.name, &*d.serial, d.bytes, d.removable)).collect();
        assert_eq!(
            disks,
            [("nvme0n1", "S4ELNX0N123456", 256_060_514_304, false), ("sdb", "AA0011", 8_053_063_680, true)]
        );
        assert_eq!(hardware.disks[0].wwn, "eui.0025385991b0b2a1");
        let nics: Vec<_> = hardware.nics.iter().map(|n| (&*n.name, &*n.mac, n.carrier, n.wireless)).collect();
        assert_eq!(nics, [("eno1", "90:1b:0e:12:34:56", true, false), ("wlp1s0", "", false, true)]);
    }

    #[test]
    fn a_machine_that_tells_nothing_is_described_as_nothing() {
        assert_eq!(describe(Path::new("/nonexistent")), Hardware::default());
    }

    #[test]
    fn hostile_texts_are_cut_and_made_printable() {
        assert_eq!(clean("\x1b[2J To be  filled\0by O.E.M.\n"), "[2J To be filled by O.E.M.");
        assert_eq!(clean(&"x".repeat(100_000)).len(), TEXT_MAX);
    }

    proptest::proptest! {
        #[test]
        fn any_cpuinfo_and_meminfo_are_read_without_a_panic(text in "(?s).*") {
            processors(&text);
            memory_bytes(&text);
        }
    }
}
