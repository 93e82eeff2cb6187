//! A reference disk as a school's PC has it, made of plain files: EFI system partition, ext4, swap.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::tools::{assert_same_tree, fill_fat, forget_gone, noise, run, tree};

const MIB: u64 = 1 << 20;
pub(crate) const DISK: u64 = 42 * MIB;
/// Where the growing partition begins, how long it is, and where the last one ends.
pub(crate) const ROOT: (u64, u64) = (11 * MIB, 24 * MIB);
pub(crate) const END: u64 = 39 * MIB;

/// Number, first MiB, MiB, sgdisk's type.
const PARTITIONS: [(u32, u64, u64, &str); 3] = [(1, 1, 10, "ef00"), (2, 11, 24, "8300"), (3, 35, 4, "8200")];

/// A disk image and the files on it.
pub(crate) struct Reference {
    pub(crate) dir: TempDir,
    pub(crate) disk: PathBuf,
    pub(crate) esp: PathBuf,
    pub(crate) root: PathBuf,
}

impl Reference {
    pub(crate) fn new() -> Reference {
        let dir = TempDir::new().unwrap();
        let disk = dir.path().join("reference.img");
        fs::write(&disk, noise("what was on the disk before", DISK as usize)).unwrap();
        run("sgdisk", &["-Z", disk.to_str().unwrap()]);
        let mut arguments: Vec<String> = Vec::new();
        for (number, first, len, kind) in PARTITIONS {
            arguments.extend(["-n".into(), format!("{number}:{}:+{len}M", first * 2048)]);
            arguments.extend([
                "-t".into(),
                format!("{number}:{kind}"),
                "-c".into(),
                format!("{number}:Teil {number}"),
            ]);
        }
        arguments.push(disk.to_str().unwrap().into());
        run("sgdisk", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let (esp, root) = (dir.path().join("esp"), dir.path().join("root"));
        fs::create_dir_all(esp.join("EFI/BOOT")).unwrap();
        fs::write(esp.join("EFI/BOOT/BOOTX64.EFI"), noise("boot loader", 700_000)).unwrap();
        tree(&root);
        let reference = Reference { dir, disk, esp, root };
        reference.fill();
        reference
    }

    /// Makes the file systems in files of their own and copies them to their places.
    fn fill(&self) {
        let part = self.part(&self.disk, 1, 0);
        run("mkfs.vfat", &["-F", "16", "-i", "CAFE1234", part.to_str().unwrap()]);
        fill_fat(&part, &self.esp);
        self.put(&self.disk, &part, 1);
        let part = self.part(&self.disk, 2, 0);
        run("mke2fs", &["-q", "-F", "-t", "ext4", "-d", self.root.to_str().unwrap(), part.to_str().unwrap()]);
        let script = self.dir.path().join("script");
        fs::write(&script, (0..40).map(|n| format!("rm /gone-{n:02}.bin\n")).collect::<String>()).unwrap();
        run("debugfs", &["-w", "-f", script.to_str().unwrap(), part.to_str().unwrap()]);
        forget_gone(&self.root);
        run("e2fsck", &["-fp", part.to_str().unwrap()]);
        self.put(&self.disk, &part, 2);
        let part = self.part(&self.disk, 3, 0);
        run("mkswap", &["-q", "-U", "0f0e0d0c-1111-2222-3333-444455556666", part.to_str().unwrap()]);
        self.put(&self.disk, &part, 3);
    }

    /// Copies a partition of a disk into a file; `shift` says how many bytes behind its first place it begins.
    pub(crate) fn part(&self, disk: &Path, number: u32, shift: u64) -> PathBuf {
        let (_, first, len, _) = PARTITIONS[number as usize - 1];
        self.cut(disk, first * MIB + shift, len * MIB)
    }

    /// Copies a piece of a disk into a file.
    pub(crate) fn cut(&self, disk: &Path, start: u64, len: u64) -> PathBuf {
        let part = self.dir.path().join("part.img");
        let _ = fs::remove_file(&part);
        let (from, to) = (format!("if={}", disk.display()), format!("of={}", part.display()));
        run(
            "dd",
            &[
                &from,
                &to,
                "bs=1M",
                &format!("skip={}", start / MIB),
                &format!("count={}", len / MIB),
                "status=none",
            ],
        );
        part
    }

    /// Copies a file over a partition of a disk.
    pub(crate) fn put(&self, disk: &Path, part: &Path, number: u32) {
        let (_, first, _, _) = PARTITIONS[number as usize - 1];
        let (from, to) = (format!("if={}", part.display()), format!("of={}", disk.display()));
        run("dd", &[&from, &to, "bs=1M", &format!("seek={first}"), "conv=notrunc", "status=none"]);
    }

    /// Checks that all three file systems of a deployed disk are clean and hold what the reference holds.
    pub(crate) fn check(&self, disk: &Path, swap_shift: u64) {
        let esp = self.part(disk, 1, 0);
        run("fsck.vfat", &["-n", esp.to_str().unwrap()]);
        let out = self.fresh("out-esp");
        run("mcopy", &["-s", "-i", esp.to_str().unwrap(), "::*", out.to_str().unwrap()]);
        assert_same_tree(&self.esp, &out);
        let root = self.part(disk, 2, 0);
        run("e2fsck", &["-fn", root.to_str().unwrap()]);
        let out = self.fresh("out-root");
        run("debugfs", &["-R", &format!("rdump / {}", out.to_str().unwrap()), root.to_str().unwrap()]);
        assert_same_tree(&self.root, &out);
        let swap = self.part(disk, 3, swap_shift);
        assert!(
            run("blkid", &["-p", swap.to_str().unwrap()]).contains("0f0e0d0c-1111-2222-3333-444455556666")
        );
    }

    fn fresh(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        path
    }
}
