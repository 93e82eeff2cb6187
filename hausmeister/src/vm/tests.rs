//! The command lines that virtual PCs are started with.

use super::*;

fn config() -> VmConfig {
    VmConfig {
        name: "r204-pc01".to_owned(),
        firmware: Firmware::UefiSecureBoot,
        memory_mib: 512,
        disk: PathBuf::from("/x/a,b.disk"),
        disk_bytes: 1 << 20,
        tap: "tap0".to_owned(),
        mac: "52:54:00:77:00:0a".to_owned(),
        serial_number: "A,1".to_owned(),
        log: PathBuf::from("/x/a.log"),
    }
}

fn line(config: &VmConfig, extras: &Extras) -> String {
    let variables = (config.firmware != Firmware::Bios).then(|| Path::new("/x/a.vars"));
    let list = arguments(config, extras, variables, "socket");
    list.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[test]
fn commas_in_names_reach_qemu_as_commas() {
    let line = line(&config(), &Extras::default());
    assert!(
        line.contains("file=/x/a,,b.disk")
            && line.contains("serial=A,,1,uuid=4861b5e1-7e00-4d0e-8000-52540077000a"),
        "{line}"
    );
}

#[test]
fn each_firmware_gets_what_it_needs_and_boots_from_the_network_first() {
    let check = |firmware: Firmware, extras: &Extras, wanted: &[&str], unwanted: &[&str]| {
        let line = line(&VmConfig { firmware, ..config() }, extras);
        assert!(line.contains("mac=52:54:00:77:00:0a,bootindex=1") && line.contains("bootindex=2"), "{line}");
        wanted.iter().for_each(|text| assert!(line.contains(text), "{firmware}: {text} not in {line}"));
        unwanted.iter().for_each(|text| assert!(!line.contains(text), "{firmware}: {text} in {line}"));
    };
    let plain = Extras::default();
    check(Firmware::Bios, &plain, &["pc,graphics=off"], &["pflash", "fw_cfg", "romfile"]);
    check(Firmware::Uefi, &plain, &["OVMF_CODE_4M.fd", "romfile="], &["smm=on", "IPv4PXE"]);
    check(Firmware::UefiSecureBoot, &plain, &["smm=on", "OVMF_CODE_4M.secboot.fd", "value=on"], &["IPv4PXE"]);
    let http = Extras { http_boot: true, disk: DiskInterface::Nvme, ..Extras::default() };
    check(Firmware::Uefi, &http, &["IPv4PXESupport,string=n", "nvme,drive=disk0"], &["virtio-blk"]);
}

#[test]
fn cost_is_read_from_the_kernels_tables() {
    let stat = "77 (qemu) S) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 4 0 100 1 2 3";
    let status = "Name:\tqemu\nVmPeak:\t  900 kB\nVmHWM:\t   512 kB\n";
    let usage = Usage { cpu: Duration::from_secs(3), peak_memory_kib: 512 };
    assert_eq!(usage_from(stat, status), Some(usage));
    assert_eq!(usage_from("77 (q", status), None);
    assert!(usage_of(std::process::id()).is_some_and(|usage| usage.peak_memory_kib > 0));
}

#[test]
fn a_disk_that_exists_is_kept_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    make_disk(&path, 1 << 30).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().len(), 1 << 30);
    fs::write(&path, b"system").unwrap();
    make_disk(&path, 1 << 30).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"system");
}

proptest::proptest! {
    #[test]
    fn any_text_of_the_kernel_is_taken_without_a_panic(stat in ".*", status in "(?s).*") {
        let _ = usage_from(&stat, &status);
        let _ = uuid_from(&stat);
    }
}
