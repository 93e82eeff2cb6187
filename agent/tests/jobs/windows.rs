//! Whole jobs with a Windows: from one disk to a larger one, judged by ntfs-3g's tools and hivex.
//!
//! This machine's kernel may have no ntfs3; then the agent mounts with ntfs-3g. What Windows itself makes of the result cannot
//! be seen here.

use images::protocol::Shortcoming;

use super::*;

const SYSTEM: &[u8] = include_bytes!("../../../images/tests/hives/system.hive");
const SOFTWARE: &[u8] = include_bytes!("../../../images/tests/hives/software.hive");
const MSR: u128 = 0xE3C9_E316_0B5C_4DB8_817D_F92D_F002_15AE;
const BASIC_DATA: u128 = 0xEBD0_A0A2_B9E5_4433_87C0_68B6_B726_99C7;
const ESP: u128 = 0xC12A_7328_F81F_11D2_BA4B_00A0_C93E_C93B;

const RECOVERY: u128 = 0xDE94_BBA4_06D1_4D40_A16A_BFD5_0179_D6AC;

/// SIDs as they stand in security descriptors, in hexadecimal digits.
const EVERYBODY: &str = "010100000000000100000000";
const USERS: &str = "01020000000000052000000021020000";
/// The last entry: what users may do.
const USERS_READ: &str = "a900120001020000000000052000000021020000";

/// Type, first MiB, MiB: as Windows Setup lays a disk out.
const PARTITIONS: [(u128, u64, u64); 4] = [(ESP, 1, 8), (MSR, 9, 1), (BASIC_DATA, 10, 48), (RECOVERY, 58, 4)];

fn identity(type_guid: u128) -> PartitionIdentity {
    PartitionIdentity::Gpt {
        type_guid: Uuid::from_u128(type_guid),
        unique: Uuid::from_u128(type_guid ^ 99),
        name: String::new(),
        attributes: if type_guid == MSR { 1 << 63 } else { 0 },
    }
}

/// An NTFS of 48 MiB with a Windows, made by ntfs-3g, for a partition that begins at that sector.
fn ntfs(pc: &Pc, first_lba: u64, state: &str, hive: &[u8]) -> Vec<u8> {
    let volume = pc.path("windows.img");
    fs::File::create(&volume).unwrap().set_len(48 << 20).unwrap();
    let first = first_lba.to_string();
    run("mkntfs", &["-q", "-F", "-Q", "-p", &first, "-H", "255", "-S", "63", volume.to_str().unwrap()]);
    let mount = pc.path("mnt");
    run("ntfs-3g", &[volume.to_str().unwrap(), mount.to_str().unwrap()]);
    let ini = format!("[State]\r\nImageState={state}\r\n");
    for (path, content) in [
        ("Windows/System32/config/SYSTEM", hive),
        ("Windows/System32/config/SOFTWARE", SOFTWARE),
        ("Windows/Setup/State/State.ini", ini.as_bytes()),
        ("Windows/Panther/setupact.log", b""),
        ("Windows/notepad.exe", &[0x4d; 70_000]),
    ] {
        fs::create_dir_all(mount.join(path).parent().unwrap()).unwrap();
        fs::write(mount.join(path), content).unwrap();
    }
    run("umount", &[mount.to_str().unwrap()]);
    fs::read(volume).unwrap()
}

/// A reference PC with Windows as Setup lays it out.
fn windows(state: &str, hive: &[u8]) -> Pc {
    let pc = Pc::with_disk(64);
    let volume = ntfs(&pc, 20480, state, hive);
    let table = Table {
        kind: TableKind::Gpt { disk: Uuid::from_u128(0x1234_5678_9abc) },
        boot_code: [0; 440],
        entries: (1..)
            .zip(PARTITIONS)
            .map(|(number, (guid, first, mib))| Entry {
                number,
                identity: identity(guid),
                first_lba: first * 2048,
                sectors: mib * 2048,
            })
            .collect(),
    };
    let dev = FileDev::open_write(&pc.disk()).unwrap();
    table::write(&dev, &table).unwrap();
    dev.write_at(1 << 20, b"boot code of the firmware").unwrap();
    dev.write_at(10 << 20, &volume).unwrap();
    let volume = pc.path("recovery.img");
    fs::write(&volume, vec![0; 4 << 20]).unwrap();
    run("mkntfs", &["-q", "-F", "-Q", "-p", "118784", "-H", "255", "-S", "63", volume.to_str().unwrap()]);
    let mut recovery = fs::read(&volume).unwrap();
    break_for_linux(&mut recovery);
    dev.write_at(58 << 20, &recovery).unwrap();
    dev.sync().unwrap();
    pc
}

/// The table of a deployed disk, and its Windows partition as a file.
fn deployed(pc: &Pc) -> (Table, PathBuf) {
    let dev = FileDev::open_read(&pc.disk()).unwrap();
    let table = table::read(&dev).unwrap().expect("a partition table");
    let entry = table.entries.iter().find(|e| e.number == 3).unwrap();
    let mut image = vec![0; (entry.sectors * 512) as usize];
    dev.read_at(entry.first_lba * 512, &mut image).unwrap();
    let copy = pc.path("copy.img");
    fs::write(&copy, &image).unwrap();
    (table, copy)
}

fn cat(volume: &std::path::Path, path: &str) -> Vec<u8> {
    let output = Command::new("ntfscat").args(["-f", volume.to_str().unwrap(), path]).output().unwrap();
    assert!(output.status.success(), "{path}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The security descriptor of a file of a volume.
fn rights(pc: &Pc, volume: &std::path::Path, path: &str) -> String {
    let mount = pc.path("mnt");
    run("ntfs-3g", &["-o", "ro,force", volume.to_str().unwrap(), mount.to_str().unwrap()]);
    let file = mount.join(path);
    let output =
        Command::new("getfattr").args(["-e", "hex", "-n", "system.ntfs_acl"]).arg(file).output().unwrap();
    run("umount", &[mount.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// What hivex finds in a hive of a volume.
fn value(pc: &Pc, volume: &std::path::Path, file: &str, key: &str, name: &str) -> String {
    let hive = pc.path("hive");
    fs::write(&hive, cat(volume, &format!("Windows/System32/config/{file}"))).unwrap();
    let output = Command::new("hivexget").args([hive.to_str().unwrap(), key, name]).output().unwrap();
    assert!(output.status.success(), "{key}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Deploys what `source` holds to a PC with a disk of `mib` and UEFI.
fn deploy(server: &Server, source: &Pc, mib: u64) -> Pc {
    // What the PC before left: one that was written asks for nothing more.
    server.state().work.clear();
    let job = captured(server, source, "deploy1");
    let target = Pc::with_disk(mib);
    fs::create_dir(target.path("efivars")).unwrap();
    server.give(Work::Job(job));
    server.give(Work::Reboot);
    target.boot(server);
    target
}

#[test]
fn a_windows_comes_to_a_larger_disk_with_its_name_its_guids_and_its_boot_entry() {
    let server = Server::start();
    let source = windows("IMAGE_STATE_COMPLETE", SYSTEM);
    let target = deploy(&server, &source, 128);
    let Finish::Ok { shortcomings, .. } = last_finish(&server) else { panic!("{:?}", target.marks()) };
    // The recovery partition, which Linux does not mount, stands behind the drive of Windows.
    assert_eq!(shortcomings, []);

    let (table, volume) = deployed(&target);
    // The boot configuration data names the disk and its partitions by these.
    assert_eq!(table.kind, TableKind::Gpt { disk: Uuid::from_u128(0x1234_5678_9abc) });
    let placed: Vec<_> = table.entries.iter().take(4).map(|e| (e.identity.clone(), e.first_lba)).collect();
    let mut wanted: Vec<_> =
        PARTITIONS.iter().map(|(guid, first, _)| (identity(*guid), first * 2048)).collect();
    // Recovery is moved to the end, so that the drive in front of it can grow.
    wanted[3].1 += 64 * 2048;
    assert_eq!(placed, wanted);

    let name = |key: &str, name: &str| value(&target, &volume, "SYSTEM", key, name);
    assert_eq!(name(r"ControlSet002\Control\ComputerName\ComputerName", "ComputerName"), "R204-PC07");
    assert_eq!(name(r"ControlSet002\Services\Tcpip\Parameters", "NV Hostname"), "r204-pc07");
    assert_eq!(name(r"ControlSet002\Services\Tcpip\Parameters", "Hostname"), "r204-pc07");
    assert_eq!(name(r"ControlSet001\Services\Tcpip\Parameters", "Hostname"), "REFERENZ");
    let service = |name_of: &str| name(r"ControlSet002\Services\HausmeisterAgent", name_of);
    assert_eq!(service("ImagePath"), r#""%ProgramFiles%\Hausmeister\hausmeister-agent.exe" service"#);
    assert_eq!((service("ObjectName").as_str(), service("Start").as_str()), ("LocalSystem", "2"));
    assert_eq!(cat(&volume, "Program Files/Hausmeister/hausmeister-agent.exe"), WINDOWS_AGENT);
    assert_eq!(cat(&volume, "ProgramData/Hausmeister/ca.pem"), server.ca_pem);
    assert_eq!(cat(&volume, "ProgramData/Hausmeister/server"), format!("{}\r\n", server.url).into_bytes());
    let of = |path: &str| rights(&target, &volume, path);
    assert!(of("Program Files/Hausmeister/hausmeister-agent.exe").ends_with(USERS_READ));
    for path in ["ProgramData/Hausmeister", "ProgramData/Hausmeister/server"] {
        let rights = of(path);
        assert!(!rights.contains(USERS) && !rights.contains(EVERYBODY), "{path}: {rights}");
    }
    assert_eq!(cat(&volume, "Windows/notepad.exe"), vec![0x4d; 70_000]);

    // From where it was to the recovery partition.
    let sectors = table.entries[2].sectors;
    assert_eq!(sectors, 112 * 2048);
    let boot = fs::read(&volume).unwrap();
    let believes = u64::from_le_bytes(boot[0x28..0x30].try_into().unwrap());
    assert!(
        believes > sectors - 16 && believes < sectors,
        "the file system has {believes} sectors of {sectors}"
    );
    let info =
        Command::new("ntfsresize").args(["-i", "-f", "-f", volume.to_str().unwrap()]).output().unwrap();
    assert!(info.status.success(), "{}", String::from_utf8_lossy(&info.stdout));

    let next = fs::read(target.path("efivars/BootNext-8be4df61-93ca-11d2-aa0d-00e098032b8c")).unwrap();
    assert_eq!(next, [7, 0, 0, 0, 0, 1]);
    let entry = fs::read(target.path("efivars/Boot0100-8be4df61-93ca-11d2-aa0d-00e098032b8c")).unwrap();
    let file: Vec<u8> =
        r"\EFI\Microsoft\Boot\bootmgfw.efi".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(entry.windows(file.len()).any(|w| w == file));
    let unique = Uuid::from_u128(ESP ^ 99).to_bytes_le();
    assert!(entry.windows(16).any(|w| w == unique), "the entry names the system partition by its GUID");
}

#[test]
fn a_server_without_an_agent_for_windows_writes_the_windows_all_the_same() {
    let server = Server::start();
    server.state().no_windows_agent = true;
    let target = deploy(&server, &windows("IMAGE_STATE_COMPLETE", SYSTEM), 64);
    let Finish::Ok { shortcomings, .. } = last_finish(&server) else { panic!("{:?}", target.marks()) };
    assert_eq!(shortcomings, [Shortcoming::NoAgent { partition: 3 }]);
    let (_, volume) = deployed(&target);
    let key = r"ControlSet002\Control\ComputerName\ComputerName";
    assert_eq!(value(&target, &volume, "SYSTEM", key, "ComputerName"), "R204-PC07");
}

/// A reference PC with an MBR and one partition.
fn bios_pc(volume: impl FnOnce(&Pc) -> Vec<u8>) -> Pc {
    let pc = Pc::with_disk(64);
    let active = PartitionIdentity::Mbr { type_byte: 7, active: true };
    let table = Table {
        kind: TableKind::Mbr { signature: 0xcafe_1234 },
        boot_code: [0x90; 440],
        entries: vec![Entry { number: 1, identity: active, first_lba: 2048, sectors: 48 * 2048 }],
    };
    let dev = FileDev::open_write(&pc.disk()).unwrap();
    table::write(&dev, &table).unwrap();
    dev.write_at(1 << 20, &volume(&pc)).unwrap();
    dev.sync().unwrap();
    pc
}

#[test]
fn a_windows_that_cannot_be_opened_is_written_and_told() {
    let server = Server::start();
    let source = bios_pc(|pc| {
        let mut volume = ntfs(pc, 2048, "IMAGE_STATE_COMPLETE", SYSTEM);
        break_for_linux(&mut volume);
        volume
    });
    for (mib, lacks) in [
        (51, vec![Shortcoming::NotOpened { partition: 1 }]),
        (64, vec![Shortcoming::NotOpened { partition: 1 }, Shortcoming::NotGrown { partition: 1 }]),
    ] {
        let target = deploy(&server, &source, mib);
        let Finish::Ok { shortcomings, .. } = last_finish(&server) else { panic!("{:?}", target.marks()) };
        assert_eq!(shortcomings, lacks);
    }
}

/// The copy of the first file records differs: Linux does not mount that, and Windows repairs it.
fn break_for_linux(volume: &mut [u8]) {
    let copy = u64::from_le_bytes(volume[0x38..0x40].try_into().unwrap()) as usize * 4096;
    volume[copy..copy + 4096].fill(0x55);
}

#[test]
fn a_windows_that_a_bios_starts_keeps_its_boot_code_and_its_signature() {
    let server = Server::start();
    let source = bios_pc(|pc| ntfs(pc, 2048, "IMAGE_STATE_COMPLETE", SYSTEM));
    let target = deploy(&server, &source, 128);
    assert!(matches!(last_finish(&server), Finish::Ok { .. }), "{:?}", target.marks());
    let disk = fs::read(target.disk()).unwrap();
    assert_eq!(disk[..440], [0x90; 440]);
    // The boot configuration data knows the disk by these four bytes, and the partition by where it begins.
    assert_eq!(disk[440..444], [0x34, 0x12, 0xfe, 0xca]);
    assert_eq!(disk[446], 0x80);
    assert_eq!(disk[454..458], 2048u32.to_le_bytes());
    // What the partition's own boot code looks at: where it lies.
    assert_eq!(disk[(1 << 20) + 0x1c..(1 << 20) + 0x20], 2048u32.to_le_bytes());
    let volume = target.path("copy.img");
    fs::write(&volume, &disk[1 << 20..126 << 20]).unwrap();
    let key = r"ControlSet002\Control\ComputerName\ComputerName";
    assert_eq!(value(&target, &volume, "SYSTEM", key, "ComputerName"), "R204-PC07");
}

#[test]
fn drivers_of_the_pc_are_laid_down_and_found_by_windows() {
    let server = Server::start();
    let source = windows("IMAGE_STATE_COMPLETE", SYSTEM);
    let driver: Vec<u8> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    server.state().drivers = [("e1d.inf", b"[Version]".to_vec()), ("x64/e1d.sys", driver.clone())]
        .map(|(path, content)| (path.to_owned(), content))
        .into();
    let target = deploy(&server, &source, 64);
    assert!(matches!(last_finish(&server), Finish::Ok { .. }), "{:?}", target.marks());
    let (_, volume) = deployed(&target);
    assert_eq!(cat(&volume, "Drivers/Hausmeister/01-net/e1d.inf"), b"[Version]");
    assert_eq!(cat(&volume, "Drivers/Hausmeister/01-net/x64/e1d.sys"), driver);
    let path = value(&target, &volume, "SOFTWARE", r"Microsoft\Windows\CurrentVersion", "DevicePath");
    assert_eq!(path, r"%SystemRoot%\inf;%SystemDrive%\Drivers\Hausmeister\01-net");
    for file in ["Drivers", "Drivers/Hausmeister/01-net/x64", "Drivers/Hausmeister/01-net/x64/e1d.sys"] {
        let rights = rights(&target, &volume, file);
        assert!(rights.ends_with(USERS_READ) && !rights.contains(EVERYBODY), "{file}: {rights}");
    }
    let asks = server.state().driver_asks.clone();
    assert_eq!(asks.iter().map(|ask| ask.processor.as_str()).collect::<Vec<_>>(), ["amd64"]);
}

#[test]
fn a_windows_that_was_prepared_with_sysprep_finds_its_answers() {
    let server = Server::start();
    let source = windows("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", SYSTEM);
    let target = deploy(&server, &source, 64);
    assert!(matches!(last_finish(&server), Finish::Ok { .. }), "{:?}", target.marks());
    let (_, volume) = deployed(&target);
    let text = String::from_utf8(cat(&volume, "Windows/Panther/unattend.xml")).unwrap();
    assert!(text.contains("<ComputerName>r204-pc07</ComputerName>"), "{text}");
    let key = r"ControlSet002\Control\ComputerName\ComputerName";
    assert_eq!(value(&target, &volume, "SYSTEM", key, "ComputerName"), "REFERENZ");
    let service = r"ControlSet002\Services\HausmeisterAgent";
    assert_eq!(value(&target, &volume, "SYSTEM", service, "ObjectName"), "LocalSystem");
    let rights = rights(&target, &volume, "Windows/Panther/unattend.xml");
    assert!(
        !rights.contains(USERS) && !rights.contains(EVERYBODY),
        "an answer file may hold passwords: {rights}"
    );
    // Nothing grew, so that nothing is to be checked either.
    let info = Command::new("ntfsresize").args(["-i", volume.to_str().unwrap()]).output().unwrap();
    assert!(info.status.success(), "{}", String::from_utf8_lossy(&info.stdout));
}

#[test]
fn a_windows_that_was_being_set_up_when_the_power_went_is_compared_and_written_again() {
    let server = Server::start();
    let source = windows("IMAGE_STATE_COMPLETE", SYSTEM);
    let target = deploy(&server, &source, 128);
    let Finish::Ok { transferred: first, .. } = last_finish(&server) else { panic!("{:?}", target.marks()) };
    // As the disk is when the power goes while the registry is written: all chunks are there, no table, a half-written file.
    let job = server.state().manifests.remove("deploy1").unwrap();
    let manifest = Manifest::parse(&job).unwrap();
    server.state().manifests.insert("deploy1".into(), job);
    let dev = FileDev::open_write(&target.disk()).unwrap();
    table::wipe(&dev).unwrap();
    let journal = images::reserved::Journal {
        job: "deploy1".into(),
        manifest: manifest.id(),
        done: manifest.chunk_count(),
        zeroed: false,
        finished: false,
    };
    images::reserved::write_journal(&dev, &journal).unwrap();
    let disk = fs::read(target.disk()).unwrap();
    let hives: Vec<usize> =
        (10 << 20..disk.len()).step_by(512).filter(|at| disk[*at..].starts_with(b"regf")).collect();
    for at in hives {
        dev.write_at(at as u64 + 4, &[0xee]).unwrap();
    }
    dev.sync().unwrap();

    // A PC that was written asks for nothing more.
    server.state().work.clear();
    server.give(Work::Job(Job { id: "deploy1".into(), task: deploy_task(&manifest) }));
    server.give(Work::Reboot);
    target.boot(&server);
    let Finish::Ok { transferred, .. } = last_finish(&server) else { panic!("{:?}", target.marks()) };
    let (_, volume) = deployed(&target);
    let key = r"ControlSet002\Control\ComputerName\ComputerName";
    assert_eq!(value(&target, &volume, "SYSTEM", key, "ComputerName"), "R204-PC07");
    println!("{transferred} bytes were fetched, {first} the first time");
    assert!(transferred < first, "{transferred} {first}");
}

#[test]
fn a_windows_whose_registry_was_not_finished_fails_with_the_way_out_and_boots_nothing() {
    let server = Server::start();
    let mut hive = SYSTEM.to_vec();
    hive[4] ^= 1;
    let source = windows("IMAGE_STATE_COMPLETE", &hive);
    let target = deploy(&server, &source, 64);
    let Finish::Failed { reason } = last_finish(&server) else { panic!("{:?}", target.marks()) };
    assert!(reason.contains("Windows/System32/config/SYSTEM") && reason.contains("partition 3"), "{reason}");
    assert!(reason.contains("shutdown /s /t 0"), "{reason}");
    assert!(table::read(&FileDev::open_read(&target.disk()).unwrap()).unwrap().is_none());
}
