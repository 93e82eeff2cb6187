//! The used-block readers against the file systems' own tools: whatever a reader calls unused is overwritten in a copy,
//! which must then be clean to the checker and hold the same files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use images::blockdev::{FileDev, MemDev};
use images::used::{FsKind, Used, UsedError, detect_and_map};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::tools::{assert_same_tree, fill_fat, forget_gone, noise, output, run, tree};

/// An odd place on the disk, so that nothing depends on the partition beginning at 0.
const START: u64 = 1 << 20;

struct Bench {
    dir: TempDir,
    /// The file system alone in a file.
    image: PathBuf,
    /// The files that it holds.
    tree: PathBuf,
}

impl Bench {
    fn new(bytes: u64) -> Bench {
        let dir = TempDir::new().unwrap();
        let image = dir.path().join("fs.img");
        fs::File::create(&image).unwrap().set_len(bytes).unwrap();
        // A used disk is not full of zeros: old content everywhere.
        if bytes <= 256 << 20 {
            fs::write(&image, noise("old content", bytes as usize)).unwrap();
        }
        let files = dir.path().join("tree");
        tree(&files);
        Bench { image, tree: files, dir }
    }

    fn image(&self) -> &str {
        self.image.to_str().unwrap()
    }

    /// Maps the image as a partition that begins at [`START`] of a disk and goes on behind the file system.
    fn map(&self) -> Result<Used, UsedError> {
        let disk = self.dir.path().join("disk.img");
        let len = fs::metadata(&self.image).unwrap().len();
        run("cp", &["--sparse=always", self.image(), disk.to_str().unwrap()]);
        run("fallocate", &["--insert-range", "--length", &START.to_string(), disk.to_str().unwrap()]);
        let dev = FileDev::open_read(&disk).unwrap();
        let used = detect_and_map(&dev, START..START + len);
        fs::remove_file(&disk).unwrap();
        used
    }

    /// A copy of the image in which everything that is not in `used` is `filler`.
    fn without_unused(&self, used: &Used, filler: u8) -> PathBuf {
        let copy = self.dir.path().join(format!("copy-{filler}.img"));
        run("cp", &["--sparse=always", self.image(), copy.to_str().unwrap()]);
        let file = fs::OpenOptions::new().write(true).open(&copy).unwrap();
        let mut at = 0;
        let wipe = |range: std::ops::Range<u64>| {
            let mut at = range.start;
            while at < range.end {
                let piece = (range.end - at).min(1 << 20);
                file.write_all_at(&vec![filler; piece as usize], at).unwrap();
                at += piece;
            }
        };
        for range in used.ranges.iter() {
            wipe(at..range.start);
            at = range.end;
        }
        wipe(at..fs::metadata(&self.image).unwrap().len());
        copy
    }
}

/// A number that a tool prints behind `label`.
#[track_caller]
fn number(text: &str, label: &str) -> u64 {
    let line = text.lines().find(|l| l.starts_with(label)).unwrap_or_else(|| panic!("{label} in {text}"));
    let digits: String = line[label.len()..].chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[track_caller]
fn check_ext(mib: u64, options: &[&str]) -> Used {
    let bench = Bench::new(mib << 20);
    let tree = bench.tree.to_str().unwrap();
    let size = format!("{}k", (mib << 10) - 13);
    run("mke2fs", &[&["-q", "-F", "-d", tree], options, &[bench.image(), &size]].concat());
    let gone: String = (0..40).map(|n| format!("rm /gone-{n:02}.bin\n")).collect();
    let script = bench.dir.path().join("script");
    fs::write(&script, gone).unwrap();
    run("debugfs", &["-w", "-f", script.to_str().unwrap(), bench.image()]);
    forget_gone(&bench.tree);
    // Bring the counters in order, as shutting down does.
    output("e2fsck", &["-fy", bench.image()]);

    let used = bench.map().unwrap();
    assert_eq!((used.kind, used.whole_because), (FsKind::Ext, None));
    let info = run("dumpe2fs", &["-h", bench.image()]);
    let blocks = number(&info, "Block count:");
    let block = number(&info, "Block size:");
    let taken = (blocks - number(&info, "Free blocks:")) * block;
    assert_eq!(u64::from(used.block_bytes), block);
    assert_eq!(used.fs_bytes, blocks * block);
    assert!(info.contains(&format!("Filesystem UUID:          {}", used.uuid.clone().unwrap())));
    assert!(used.ranges.bytes() >= taken, "{} of {taken}", used.ranges.bytes());
    // More than allocated are only the records that a reader of uninitialised groups names to be safe.
    assert!(used.ranges.bytes() <= taken + taken / 50 + 65536, "{} of {taken}", used.ranges.bytes());
    for filler in [0, 0xa5] {
        let copy = bench.without_unused(&used, filler);
        let copy = copy.to_str().unwrap();
        run("e2fsck", &["-fn", copy]);
        let out = bench.dir.path().join(format!("out-{filler}"));
        fs::create_dir(&out).unwrap();
        run("debugfs", &["-R", &format!("rdump / {}", out.to_str().unwrap()), copy]);
        assert_same_tree(&bench.tree, &out);
    }
    used
}

#[test]
fn ext4_as_debian_makes_it() {
    check_ext(64, &["-t", "ext4"]);
}

#[test]
fn ext4_with_small_blocks_and_many_groups() {
    check_ext(96, &["-t", "ext4", "-b", "1024"]);
}

#[test]
fn ext4_with_uninitialised_groups_and_no_metadata_checksums() {
    check_ext(96, &["-t", "ext4", "-b", "1024", "-O", "^metadata_csum,uninit_bg,^64bit"]);
}

#[test]
fn ext4_without_flex_bg() {
    check_ext(96, &["-t", "ext4", "-b", "1024", "-O", "^flex_bg"]);
}

#[test]
fn ext4_with_meta_bg() {
    check_ext(96, &["-t", "ext4", "-b", "1024", "-O", "meta_bg,^resize_inode"]);
}

#[test]
fn ext4_with_sparse_super2_and_a_seed_of_its_own() {
    check_ext(96, &["-t", "ext4", "-b", "2048", "-O", "sparse_super2,metadata_csum_seed,^resize_inode"]);
}

#[test]
fn ext4_with_many_large_inodes() {
    check_ext(64, &["-t", "ext4", "-I", "1024", "-i", "4096"]);
}

#[test]
fn ext2_and_ext3() {
    check_ext(40, &["-t", "ext2", "-b", "1024"]);
    check_ext(40, &["-t", "ext3", "-b", "4096"]);
}

#[test]
fn ext2_of_revision_0() {
    check_ext(20, &["-t", "ext2", "-r", "0", "-b", "1024", "-O", "none"]);
}

#[test]
fn a_large_and_empty_ext4_is_read_quickly_and_is_small() {
    let bench = Bench::new(200 << 30);
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-m", "0", bench.image()]);
    let dev = FileDev::open_read(&bench.image).unwrap();
    let used = detect_and_map(&dev, 0..200 << 30).unwrap();
    assert_eq!((used.kind, used.whole_because), (FsKind::Ext, None));
    let info = run("dumpe2fs", &["-h", bench.image()]);
    let taken = (number(&info, "Block count:") - number(&info, "Free blocks:")) * 4096;
    assert!((taken..taken + taken / 50).contains(&used.ranges.bytes()), "{} of {taken}", used.ranges.bytes());
}

#[test]
fn ext4_that_cannot_be_trusted_is_taken_whole_with_the_reason() {
    let whole = |bench: &Bench, word: &str| {
        let used = bench.map().unwrap();
        assert_eq!(used.kind, FsKind::Ext);
        assert!(used.whole_because.unwrap().contains(word), "{:?}", used.whole_because);
        assert_eq!(used.ranges.bytes(), 32 << 20);
    };
    let bench = Bench::new(32 << 20);
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-O", "bigalloc", "-C", "16384", bench.image()]);
    whole(&bench, "bigalloc");
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-b", "4096", bench.image()]);
    let file = fs::OpenOptions::new().read(true).write(true).open(&bench.image).unwrap();
    // Superblock: the incompatible feature "needs recovery".
    let mut byte = [0];
    file.read_exact_at(&mut byte, 1024 + 0x60).unwrap();
    file.write_all_at(&[byte[0] | 4], 1024 + 0x60).unwrap();
    whole(&bench, "journal");
    file.write_all_at(&[byte[0]], 1024 + 0x60).unwrap();
    assert!(bench.map().unwrap().whole_because.is_none());
    // First descriptor: its checksum.
    file.read_exact_at(&mut byte, 4096 + 0x1e).unwrap();
    file.write_all_at(&[byte[0] ^ 1], 4096 + 0x1e).unwrap();
    whole(&bench, "descriptor");
    file.write_all_at(&[byte[0]], 4096 + 0x1e).unwrap();
    // Block bitmap of the first group, whose place the descriptor names.
    let mut place = [0; 4];
    file.read_exact_at(&mut place, 4096).unwrap();
    let bitmap = u64::from(u32::from_le_bytes(place)) * 4096;
    file.read_exact_at(&mut byte, bitmap + 300).unwrap();
    file.write_all_at(&[byte[0] ^ 1], bitmap + 300).unwrap();
    whole(&bench, "bitmap");
}

#[test]
fn a_damaged_ext4_is_refused_with_the_remedy() {
    let bench = Bench::new(32 << 20);
    run("mke2fs", &["-q", "-F", "-t", "ext4", bench.image()]);
    run("debugfs", &["-w", "-R", "ssv state 2", bench.image()]);
    let error = bench.map().unwrap_err().to_string();
    assert!(error.contains("e2fsck -f"), "{error}");
}

#[track_caller]
fn check_fat(mib: u64, options: &[&str]) {
    let bench = Bench::new(mib << 20);
    run("mkfs.vfat", &[options, &[bench.image()]].concat());
    fill_fat(&bench.image, &bench.tree);
    run("mdel", &["-i", bench.image(), "::gone-*.bin"]);
    forget_gone(&bench.tree);
    let used = bench.map().unwrap();
    assert_eq!((used.kind, used.whole_because), (FsKind::Fat, None));
    assert_eq!(used.fs_bytes, mib << 20);
    assert!(used.ranges.bytes() < 7 << 20, "{}", used.ranges.bytes());
    let serial = run("mdir", &["-i", bench.image(), "::"]);
    assert!(serial.contains(&used.uuid.clone().unwrap()), "{serial}");
    for filler in [0, 0xa5] {
        let copy = bench.without_unused(&used, filler);
        let copy = copy.to_str().unwrap();
        run("fsck.vfat", &["-n", copy]);
        let out = bench.dir.path().join(format!("out-{filler}"));
        fs::create_dir(&out).unwrap();
        run("mcopy", &["-s", "-i", copy, "::*", out.to_str().unwrap()]);
        assert_same_tree(&bench.tree, &out);
    }
}

#[test]
fn fat12() {
    check_fat(8, &["-F", "12", "-s", "8"]);
}

#[test]
fn fat16() {
    check_fat(64, &["-F", "16"]);
}

#[test]
fn fat32() {
    check_fat(128, &["-F", "32", "-s", "1"]);
}

#[test]
fn fat32_as_on_a_small_efi_system_partition() {
    check_fat(40, &["-F", "32"]);
}

#[test]
fn fat32_with_sectors_of_4_kib() {
    check_fat(300, &["-F", "32", "-S", "4096", "-s", "1"]);
}

fn ntfs(mib: u64, options: &[&str]) -> Bench {
    let bench = Bench::new(mib << 20);
    let sectors = ((mib << 20) / 512).to_string();
    run(
        "mkntfs",
        &[
            &["-q", "-F", "-Q", "-p", "2048", "-H", "16", "-S", "63", "-s", "512"],
            options,
            &[bench.image(), &sectors],
        ]
        .concat(),
    );
    for n in 0..40 {
        let name = format!("datei-{n:02}.bin");
        run("ntfscp", &["-q", bench.image(), bench.tree.join(&name).to_str().unwrap(), &name]);
    }
    bench
}

#[track_caller]
fn check_ntfs(mib: u64, options: &[&str]) {
    let bench = ntfs(mib, options);
    let used = bench.map().unwrap();
    assert_eq!((used.kind, used.whole_because), (FsKind::Ntfs, None));
    let info = run("ntfsresize", &["-i", "-f", "-P", bench.image()]);
    let usage = info.lines().find(|l| l.starts_with("Space in use")).unwrap();
    let mb: u64 = usage.split_whitespace().nth(4).unwrap().parse().unwrap();
    assert!(used.ranges.bytes().abs_diff(mb * 1_000_000) < 2_000_000, "{} and {usage}", used.ranges.bytes());
    for filler in [0, 0xa5] {
        let copy = bench.without_unused(&used, filler);
        let copy = copy.to_str().unwrap();
        run("ntfsfix", &["-n", copy]);
        // Accounts for every cluster and compares with $Bitmap.
        run("ntfsresize", &["-i", "-f", "-P", copy]);
        for n in 0..40 {
            let name = format!("datei-{n:02}.bin");
            let out = output("ntfscat", &[copy, &name]);
            assert!(out.stdout == fs::read(bench.tree.join(&name)).unwrap(), "{name}");
        }
    }
}

#[test]
fn ntfs_as_windows_makes_it() {
    check_ntfs(64, &[]);
}

#[test]
fn ntfs_with_small_and_large_clusters() {
    check_ntfs(32, &["-c", "512"]);
    check_ntfs(128, &["-c", "65536"]);
    check_ntfs(128, &["-c", "1048576"]);
}

/// Where record `number` of the master file table is, for tools that want to break something.
fn ntfs_record(image: &Path, number: u64) -> u64 {
    let mut boot = [0; 512];
    fs::File::open(image).unwrap().read_exact_at(&mut boot, 0).unwrap();
    let cluster = u64::from(boot[0x0d]) * 512;
    u64::from_le_bytes(boot[0x30..0x38].try_into().unwrap()) * cluster + number * 1024
}

#[test]
fn a_dirty_ntfs_is_refused_with_the_remedy() {
    let bench = ntfs(32, &[]);
    let file = fs::OpenOptions::new().read(true).write(true).open(&bench.image).unwrap();
    let mut record = vec![0; 1024];
    let at = ntfs_record(&bench.image, 3);
    file.read_exact_at(&mut record, at).unwrap();
    let mut attribute = usize::from(u16::from_le_bytes([record[0x14], record[0x15]]));
    while record[attribute] != 0x70 {
        attribute += u32::from_le_bytes(record[attribute + 4..attribute + 8].try_into().unwrap()) as usize;
    }
    let value = attribute + usize::from(u16::from_le_bytes([record[attribute + 20], record[attribute + 21]]));
    file.write_all_at(&[record[value + 10] | 1], at + value as u64 + 10).unwrap();
    let error = bench.map().unwrap_err().to_string();
    assert!(error.contains("dirty") && error.contains("chkdsk /f"), "{error}");
}

#[test]
fn a_hibernated_windows_is_refused_with_the_remedy() {
    for (content, refused) in [(b"HIBR", true), (b"hibr", true), (b"WAKE", false), (b"\0\0\0\0", false)] {
        for len in [100, 40_000] {
            let bench = ntfs(32, &[]);
            let hiber = bench.dir.path().join("h");
            fs::write(&hiber, [&content[..], &vec![0; len]].concat()).unwrap();
            run("ntfscp", &["-q", bench.image(), hiber.to_str().unwrap(), "hiberfil.sys"]);
            match bench.map() {
                Ok(_) => assert!(!refused, "{content:?} {len}"),
                Err(error) => assert!(refused && error.to_string().contains("powercfg /h off"), "{error}"),
            }
        }
    }
}

#[test]
fn an_ntfs_whose_log_is_open_is_refused() {
    let bench = ntfs(32, &[]);
    let file = fs::OpenOptions::new().read(true).write(true).open(&bench.image).unwrap();
    let mut record = vec![0; 1024];
    file.read_exact_at(&mut record, ntfs_record(&bench.image, 2)).unwrap();
    // The first run of the unnamed data of $LogFile, as mkntfs writes it: one run.
    let mut attribute = usize::from(u16::from_le_bytes([record[0x14], record[0x15]]));
    while record[attribute] != 0x80 {
        attribute += u32::from_le_bytes(record[attribute + 4..attribute + 8].try_into().unwrap()) as usize;
    }
    let pairs = attribute + usize::from(u16::from_le_bytes([record[attribute + 32], record[attribute + 33]]));
    let (count, distance) = (usize::from(record[pairs] & 0xf), usize::from(record[pairs] >> 4));
    let mut lcn = [0; 8];
    lcn[..distance].copy_from_slice(&record[pairs + 1 + count..pairs + 1 + count + distance]);
    let log = u64::from_le_bytes(lcn) * 4096;
    let page = |lsn: u64, in_use: u16, flags: u16| {
        let mut page = vec![0u8; 4096];
        page[..4].copy_from_slice(b"RSTR");
        page[4..6].copy_from_slice(&30u16.to_le_bytes());
        page[6..8].copy_from_slice(&9u16.to_le_bytes());
        page[16..20].copy_from_slice(&4096u32.to_le_bytes());
        page[20..24].copy_from_slice(&4096u32.to_le_bytes());
        page[24..26].copy_from_slice(&64u16.to_le_bytes());
        page[64..72].copy_from_slice(&lsn.to_le_bytes());
        page[76..78].copy_from_slice(&in_use.to_le_bytes());
        page[78..80].copy_from_slice(&flags.to_le_bytes());
        page[30..32].copy_from_slice(&[1, 0]);
        (1..=8).for_each(|n| page[n * 512 - 2..n * 512].copy_from_slice(&[1, 0]));
        page
    };
    let check = |first: Vec<u8>, second: Vec<u8>, refused: bool| {
        file.write_all_at(&first, log).unwrap();
        file.write_all_at(&second, log + 4096).unwrap();
        assert_eq!(bench.map().is_err(), refused);
    };
    check(page(5, 0xffff, 0), page(6, 0xffff, 0), false);
    check(page(5, 0xffff, 0), page(6, 0, 0), true);
    check(page(7, 0, 0), page(6, 0xffff, 0), true);
    check(page(7, 0, 2), page(6, 0, 0), false);
    check(vec![0xff; 4096], vec![0xff; 4096], false);
}

#[test]
fn swap_is_its_header_only_and_a_sleeping_linux_is_refused() {
    let bench = Bench::new(16 << 20);
    run("mkswap", &["-q", "-f", "-U", "0f0e0d0c-1111-2222-3333-444455556666", bench.image()]);
    let used = bench.map().unwrap();
    assert_eq!((used.kind, used.fs_bytes, used.ranges.bytes()), (FsKind::Swap, 16 << 20, 4096));
    assert_eq!(used.uuid.as_deref(), Some("0f0e0d0c-1111-2222-3333-444455556666"));
    let file = fs::OpenOptions::new().write(true).open(&bench.image).unwrap();
    file.write_all_at(b"S1SUSPEND\0", 4086).unwrap();
    assert!(bench.map().unwrap_err().to_string().contains("hibernated"));
}

/// Small file systems, made once, to be damaged in memory.
fn victims() -> &'static Vec<Vec<u8>> {
    static VICTIMS: std::sync::LazyLock<Vec<Vec<u8>>> = std::sync::LazyLock::new(|| {
        let make = |mib: u64, program: &str, arguments: &[&str]| {
            let bench = Bench::new(mib << 20);
            run(program, &[arguments, &[bench.image()]].concat());
            fs::read(&bench.image).unwrap()
        };
        vec![
            make(4, "mke2fs", &["-q", "-F", "-t", "ext4", "-b", "1024"]),
            make(
                4,
                "mke2fs",
                &[
                    "-q",
                    "-F",
                    "-t",
                    "ext4",
                    "-b",
                    "1024",
                    "-O",
                    "^metadata_csum,uninit_bg,meta_bg,^resize_inode",
                ],
            ),
            make(2, "mkfs.vfat", &["-F", "12"]),
            make(6, "mkfs.vfat", &["-F", "16", "-s", "1"]),
            make(34, "mkfs.vfat", &["-F", "32", "-s", "1"]),
            make(4, "mkntfs", &["-q", "-F", "-Q", "-p", "0", "-H", "16", "-S", "63", "-s", "512"]),
            make(1, "mkswap", &["-q", "-f"]),
        ]
    });
    &VICTIMS
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_mutated_file_system_never_panics_and_never_leads_out_of_the_partition(
        victim in 0usize..7, edits in prop::collection::vec((any::<u32>(), 0u8..4, any::<u64>()), 1..6)
    ) {
        let mut bytes = victims()[victim].clone();
        for (at, width, value) in edits {
            // Superblocks, boot sectors, descriptors, the master file table: where the numbers are.
            let place = match at % 4 {
                0 => at as usize % 512,
                1 => 1024 + at as usize % 1024,
                2 => at as usize % 16384,
                _ => at as usize % 65536,
            };
            let value = value.to_le_bytes();
            let width = 1 << width;
            bytes[place..place + width].copy_from_slice(&value[..width]);
        }
        let len = bytes.len() as u64;
        if let Ok(used) = detect_and_map(&MemDev::new(bytes), 0..len) {
            prop_assert!(used.ranges.iter().all(|r| r.end <= len));
            prop_assert!(used.fs_bytes <= len);
        }
    }
}
