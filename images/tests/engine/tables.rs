//! Partition tables against sgdisk and sfdisk.

use std::fs;
use std::os::unix::fs::FileExt;

use images::blockdev::{BlockDev, FileDev, MemDev};
use images::manifest::{Identity, TableKind};
use images::table::{self, Entry, Table, TableError};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::tools::{output, run};

const DISK: u64 = 64 << 20;

fn sgdisk(dir: &TempDir, arguments: &[&str]) -> std::path::PathBuf {
    let path = dir.path().join("disk.img");
    fs::File::create(&path).unwrap().set_len(DISK).unwrap();
    run("sgdisk", &[arguments, &[path.to_str().unwrap()]].concat());
    path
}

const THREE: [&str; 10] =
    ["-n", "1:2048:+8M", "-t", "1:ef00", "-c", "1:EFI Systempartition", "-n", "5:0:+4M", "-n", "2:0:+20M"];

#[test]
fn what_sgdisk_wrote_is_read() {
    let dir = TempDir::new().unwrap();
    let path = sgdisk(
        &dir,
        &[&THREE[..], &["-U", "11111111-2222-3333-4444-555566667777", "-A", "2:set:2"]].concat(),
    );
    let table = table::read(&FileDev::open_read(&path).unwrap()).unwrap().unwrap();
    let TableKind::Gpt { disk } = table.kind else { panic!("{table:?}") };
    assert_eq!(disk.to_string(), "11111111-2222-3333-4444-555566667777");
    let rows: Vec<_> = table.entries.iter().map(|e| (e.number, e.first_lba, e.sectors)).collect();
    assert_eq!(rows, [(1, 2048, 16384), (5, 18432, 8192), (2, 26624, 40960)]);
    let Identity::Gpt { type_guid, name, attributes, .. } = &table.entries[0].identity else { panic!() };
    assert_eq!(type_guid.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    assert_eq!((name.as_str(), *attributes), ("EFI Systempartition", 0));
    assert!(matches!(table.entries[2].identity, Identity::Gpt { attributes: 4, .. }));
}

#[test]
fn what_is_written_on_a_larger_disk_pleases_sgdisk_and_reads_the_same() {
    let dir = TempDir::new().unwrap();
    let path = sgdisk(&dir, &THREE);
    let mut table = table::read(&FileDev::open_read(&path).unwrap()).unwrap().unwrap();
    table.boot_code = [0xfa; 440];
    for sector in [512, 4096] {
        let copy = dir.path().join(format!("copy-{sector}.img"));
        // A disk that does not end with a whole MiB.
        let dev = FileDev::create(&copy, 2 * DISK + 7 * 4096, 512).unwrap().with_sector_bytes(sector);
        table::write(&dev, &table_for(&table, sector)).unwrap();
        assert_eq!(table::read(&dev).unwrap().unwrap(), table_for(&table, sector));
        if sector == 512 {
            let text = run("sgdisk", &["-v", copy.to_str().unwrap()]);
            assert!(text.contains("No problems found"), "{text}");
            let text = run("sfdisk", &["--verify", copy.to_str().unwrap()]);
            assert!(text.contains("No errors detected"), "{text}");
        }
    }
}

/// The same byte ranges in sectors of another size.
fn table_for(table: &Table, sector: u32) -> Table {
    let factor = u64::from(sector / 512);
    let entries = table.entries.iter().cloned();
    let entries =
        entries.map(|e| Entry { first_lba: e.first_lba / factor, sectors: e.sectors / factor, ..e });
    Table { entries: entries.collect(), ..table.clone() }
}

#[test]
fn a_broken_primary_gpt_is_read_from_its_backup_and_two_broken_ones_are_refused() {
    let dir = TempDir::new().unwrap();
    let path = sgdisk(&dir, &THREE);
    let whole = table::read(&FileDev::open_read(&path).unwrap()).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0x77], 1024 + 40).unwrap();
    assert_eq!(table::read(&FileDev::open_read(&path).unwrap()).unwrap(), whole);
    file.write_all_at(&[0x77; 200], DISK - 512).unwrap();
    assert!(matches!(table::read(&FileDev::open_read(&path).unwrap()), Err(TableError::DamagedGpt)));
}

#[test]
fn a_wiped_disk_has_no_table_and_nothing_else_is_lost() {
    let dir = TempDir::new().unwrap();
    let path = sgdisk(&dir, &THREE);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(b"data", 2048 * 512).unwrap();
    let dev = FileDev::open_write(&path).unwrap();
    table::wipe(&dev).unwrap();
    assert_eq!(table::read(&dev).unwrap(), None);
    assert!(output("sgdisk", &["-v", path.to_str().unwrap()]).stdout.windows(3).any(|w| w == b"GPT"));
    let mut data = [0; 4];
    dev.read_at(2048 * 512, &mut data).unwrap();
    assert_eq!(&data, b"data");
    assert!(!table::is_blank(&MemDev::new(vec![1; 5000])).unwrap());
    assert!(table::is_blank(&MemDev::new(vec![0; 5000])).unwrap());
}

fn sfdisk(dir: &TempDir, script: &str) -> std::path::PathBuf {
    let path = dir.path().join("disk.img");
    fs::File::create(&path).unwrap().set_len(DISK).unwrap();
    let input = dir.path().join("script");
    fs::write(&input, script).unwrap();
    run("sh", &["-c", &format!("/sbin/sfdisk -q {} < {}", path.display(), input.display())]);
    path
}

#[test]
fn an_msdos_table_is_read_and_written() {
    let dir = TempDir::new().unwrap();
    let script = "label: dos\nlabel-id: 0xcafe1234\nstart=2048, size=20480, type=83, bootable\nstart=30720, size=8192, type=82\n";
    let path = sfdisk(&dir, script);
    let table = table::read(&FileDev::open_read(&path).unwrap()).unwrap().unwrap();
    assert_eq!(table.kind, TableKind::Mbr { signature: 0xcafe_1234 });
    assert_eq!(table.entries[0].identity, Identity::Mbr { type_byte: 0x83, active: true });
    assert_eq!(
        (table.entries[1].number, table.entries[1].first_lba, table.entries[1].sectors),
        (2, 30720, 8192)
    );
    let copy = dir.path().join("copy.img");
    let dev = FileDev::create(&copy, DISK, 512).unwrap();
    table::write(&dev, &table).unwrap();
    assert_eq!(table::read(&dev).unwrap().unwrap(), table);
    assert!(run("sfdisk", &["--verify", copy.to_str().unwrap()]).contains("No errors detected"));
    let dump = |p: &std::path::Path| {
        run("sfdisk", &["-d", p.to_str().unwrap()]).replace(p.to_str().unwrap(), "disk")
    };
    assert_eq!(dump(&path), dump(&copy));
}

#[test]
fn an_extended_partition_is_refused_and_a_bare_file_system_is_no_table() {
    let dir = TempDir::new().unwrap();
    let path = sfdisk(&dir, "label: dos\nstart=2048, size=8192, type=83\nstart=12288, type=5\n");
    assert!(matches!(table::read(&FileDev::open_read(&path).unwrap()), Err(TableError::Extended)));
    run("mkfs.vfat", &["-I", path.to_str().unwrap()]);
    assert_eq!(table::read(&FileDev::open_read(&path).unwrap()).unwrap(), None);
}

#[test]
fn an_impossible_table_is_not_written() {
    let dev = MemDev::new(vec![0; 4 << 20]);
    let entry = |number, first_lba, sectors| Entry {
        number,
        identity: Identity::Mbr { type_byte: 0x83, active: false },
        first_lba,
        sectors,
    };
    let check = |entries: Vec<Entry>| {
        let table = Table { kind: TableKind::Mbr { signature: 1 }, boot_code: [0; 440], entries };
        assert!(table::write(&dev, &table).is_err());
    };
    check(vec![entry(1, 0, 5)]);
    check(vec![entry(1, 2048, 8192)]);
    check(vec![entry(1, 10, 20), entry(2, 29, 5)]);
    check(vec![entry(1, 10, 0)]);
    check(vec![entry(5, 10, 20)]);
    check(vec![entry(1, u64::MAX, 20)]);
    assert!(dev.content().iter().all(|b| *b == 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_mutated_table_never_panics_and_never_leads_out_of_the_disk(
        edits in prop::collection::vec((0usize..2048, any::<u8>()), 1..8), fix in any::<bool>(), msdos in any::<bool>()
    ) {
        static DISKS: std::sync::LazyLock<[Vec<u8>; 2]> = std::sync::LazyLock::new(|| {
            let dir = TempDir::new().unwrap();
            let gpt = fs::read(sgdisk(&dir, &THREE)).unwrap()[..1 << 20].to_vec();
            [gpt, fs::read(sfdisk(&dir, "label: dos\nstart=2048, size=8192, type=83\n")).unwrap()[..1 << 20].to_vec()]
        });
        let mut bytes = DISKS[usize::from(msdos)].clone();
        for (at, byte) in edits {
            bytes[at] = byte;
        }
        if fix {
            // Right checksums, so that the numbers behind them are looked at.
            let entries = crc32fast::hash(&bytes[1024..1024 + 128 * 128]);
            bytes[512 + 88..512 + 92].copy_from_slice(&entries.to_le_bytes());
            bytes[512 + 16..512 + 20].fill(0);
            let header = crc32fast::hash(&bytes[512..512 + 92]);
            bytes[512 + 16..512 + 20].copy_from_slice(&header.to_le_bytes());
        }
        let dev = MemDev::new(bytes);
        if let Ok(Some(table)) = table::read(&dev) {
            prop_assert!(table.entries.iter().all(|e| e.sectors > 0 && e.first_lba + e.sectors <= 2048));
        }
    }
}
