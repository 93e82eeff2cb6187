//! A Windows that reaches a PC the whole way: imported, written by the real boot environment with the kernel's own NTFS driver,
//! given its name and its drivers, grown, and started. There is no Windows here: its registry is one that hivexregedit made,
//! and its boot manager is iPXE, which says that it was started.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hausmeister::vm::{Extras, Firmware, VirtualPc, VmConfig};
use serde_json::json;

use super::support::lan::Lan;
use super::support::school::School;
use super::support::{root, succeed, within};

#[test]
fn a_windows_gets_its_name_and_drivers_in_the_boot_environment_grows_and_is_started() {
    let school = School::set_up(Lan::new(1));
    let up = school.up();
    let admin = school.admin();
    let source = windows_disk(&school);
    succeed(school.hausmeister().args(["image", "import", "--name", "Windows"]).arg(&source));
    let drivers = school.data().join("drivers/virtio/net");
    std::fs::create_dir_all(&drivers).unwrap();
    let inf = "[Manufacturer]\n%M%=M,NTamd64\n[M.NTamd64]\n%D%=I,PCI\\VEN_1AF4&DEV_1000\n%D%=I,PCI\\VEN_1AF4&DEV_1041\n";
    std::fs::write(drivers.join("netkvm.inf"), inf).unwrap();
    let disk = school.dir.path().join("pc.disk");
    let config = VmConfig {
        name: "pc".to_owned(),
        firmware: Firmware::Uefi,
        memory_mib: 512,
        disk: disk.clone(),
        disk_bytes: 192 << 20,
        tap: school.lan.bridge.tap(0).unwrap(),
        mac: "52:54:00:41:00:01".to_owned(),
        serial_number: SERIAL.to_owned(),
        log: school.log("pc"),
    };
    let mut pc = VirtualPc::start_with(&config, &Extras::default()).unwrap();
    let entry = within(BOOT_MAX, "the PC is on the waiting list", || {
        assert!(pc.is_running().unwrap(), "the PC went off\n{}", up.said());
        admin.find("/waiting", "hardware.serial", SERIAL)
    });
    admin.post("/rooms", &json!({ "name": "Raum 204" })).unwrap();
    let approval = json!({ "name": "r204-pc07", "room": "Raum 204", "image": "Windows" });
    admin.post(&format!("/waiting/{}/approve", entry["id"].as_str().unwrap()), &approval).unwrap();
    within(BOOT_MAX, "the image is written", || {
        assert_eq!(pc.line_with("MARK error").unwrap(), None);
        pc.line_with("MARK deploy done").unwrap()
    });
    within(BOOT_MAX, "the firmware starts the boot manager of Windows", || pc.line_with("iPXE 1.").unwrap());
    drop(pc);

    let volume = volume(&disk, &school);
    let path = r"ControlSet002\Services\Tcpip\Parameters";
    assert_eq!(value(&school, &volume, "SYSTEM", path, "NV Hostname"), "r204-pc07");
    let path = r"ControlSet002\Control\ComputerName\ComputerName";
    assert_eq!(value(&school, &volume, "SYSTEM", path, "ComputerName"), "R204-PC07");
    let path = value(&school, &volume, "SOFTWARE", r"Microsoft\Windows\CurrentVersion", "DevicePath");
    assert_eq!(path, r"%SystemRoot%\inf;%SystemDrive%\Drivers\Hausmeister\01-net");
    assert_eq!(cat(&volume, "Drivers/Hausmeister/01-net/netkvm.inf"), inf.as_bytes());
    let rights = rights(&school, &volume, "Drivers/Hausmeister/01-net/netkvm.inf");
    // The kernel's driver gives what it makes to everybody; users are to read it only (access mask 0x1200a9).
    assert!(rights.ends_with("a900120001020000000000052000000021020000"), "{rights}");
    assert!(!rights.contains("010100000000000100000000"), "{rights}");
    let info = succeed(Command::new("ntfsresize").args(["-i", "-f", "-f"]).arg(&volume));
    let grown = info.lines().find(|l| l.starts_with("Current volume size")).unwrap();
    // 173 MiB to the reserved place, less the cluster that holds the copy of the boot sector.
    assert!(grown.contains(" 181400064 bytes"), "{grown}");
}

/// An EFI system partition and an NTFS of 48 MiB with a Windows that was only shut down.
fn windows_disk(school: &School) -> PathBuf {
    let at = |name: &str| school.dir.path().join(name);
    let (disk, ntfs, esp, mount) = (at("windows.img"), at("ntfs.img"), at("esp.img"), at("mount"));
    let hives = root().join("images/tests/hives");
    let script = r#"
        truncate -s 80M "$1"; truncate -s 48M "$2"; truncate -s 16M "$3"; mkdir "$4"
        printf 'label: gpt\nsize=16MiB, type=uefi\nsize=48MiB, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n' | sfdisk --quiet "$1"
        mkntfs -q -F -Q -p 34816 -H 255 -S 63 "$2" 2>/dev/null
        ntfs-3g "$2" "$4"
        mkdir -p "$4/Windows/System32/config" "$4/Windows/Setup/State"
        cp "$5/system.hive" "$4/Windows/System32/config/SYSTEM"
        cp "$5/software.hive" "$4/Windows/System32/config/SOFTWARE"
        printf '[State]\r\nImageState=IMAGE_STATE_COMPLETE\r\n' >"$4/Windows/Setup/State/State.ini"
        umount "$4"
        mkfs.vfat "$3" >/dev/null
        mmd -i "$3" ::/EFI ::/EFI/Microsoft ::/EFI/Microsoft/Boot
        mcopy -i "$3" "$6" ::/EFI/Microsoft/Boot/bootmgfw.efi
        dd if="$3" of="$1" bs=1M seek=1 conv=notrunc status=none
        dd if="$2" of="$1" bs=1M seek=17 conv=notrunc status=none
    "#;
    let mut shell = Command::new("sh");
    shell.args(["-ec", script, "sh"]).args([&disk, &ntfs, &esp, &mount, &hives]);
    succeed(shell.arg(root().join("target/boot/ipxe.efi")));
    disk
}

/// The NTFS of a disk as a file.
fn volume(disk: &Path, school: &School) -> PathBuf {
    let volume = school.dir.path().join("volume.img");
    let (from, to) = (format!("if={}", disk.display()), format!("of={}", volume.display()));
    succeed(Command::new("dd").args([&from, &to]).args(["bs=1M", "skip=17", "count=173", "status=none"]));
    volume
}

fn cat(volume: &Path, path: &str) -> Vec<u8> {
    let out = Command::new("ntfscat").arg("-f").arg(volume).arg(path).output().unwrap();
    assert!(out.status.success(), "{path}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

/// The security descriptor of a file, in hexadecimal digits.
fn rights(school: &School, volume: &Path, path: &str) -> String {
    let mount = school.dir.path().join("mount");
    succeed(Command::new("ntfs-3g").args(["-o", "ro,force"]).args([volume, &mount]));
    let said = succeed(
        Command::new("getfattr")
            .args(["--absolute-names", "-e", "hex", "-n", "system.ntfs_acl"])
            .arg(mount.join(path)),
    );
    succeed(Command::new("umount").arg(&mount));
    said.trim_end().to_owned()
}

fn value(school: &School, volume: &Path, file: &str, key: &str, name: &str) -> String {
    let hive = school.dir.path().join("hive");
    std::fs::write(&hive, cat(volume, &format!("Windows/System32/config/{file}"))).unwrap();
    succeed(Command::new("hivexget").arg(&hive).args([key, name])).trim_end().to_owned()
}

const SERIAL: &str = "WINDOWS-1";
/// Emulated processors on a busy machine.
const BOOT_MAX: Duration = Duration::from_secs(140);
