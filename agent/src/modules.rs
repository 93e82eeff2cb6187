//! Kernel modules: which ones a device asks for, in which order they are loaded, and the kernel's own requests.
//!
//! There is no udev in the boot environment. Every device tells a *modalias*; `modules.alias` says by patterns which
//! module serves it, `modules.dep` and `modules.softdep` what must be there before. The kernel itself asks for modules
//! (file systems, character sets, checksums) by starting the program named in `/proc/sys/kernel/modprobe`, which the agent
//! answers too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use nix::kmod::{ModuleInitFlags, finit_module};

/// What the files of `/lib/modules/VERSION` say.
#[derive(Debug, Default)]
pub struct Index {
    folder: PathBuf,
    /// Pattern and module, in the order of the file.
    aliases: Vec<(String, String)>,
    /// Module to its file and the files that it needs, relative to `folder`.
    files: BTreeMap<String, (PathBuf, Vec<PathBuf>)>,
    /// Module to the modules that should be there before it.
    before: BTreeMap<String, Vec<String>>,
}

impl Index {
    /// Reads the index files of a kernel's module folder. Missing files are empty ones.
    pub fn read(folder: &Path) -> Index {
        let file = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_default();
        Index::parse(folder, &file("modules.dep"), &file("modules.alias"), &file("modules.softdep"))
    }

    /// The same from the content of the files.
    pub fn parse(folder: &Path, dep: &str, alias: &str, softdep: &str) -> Index {
        let mut index = Index { folder: folder.to_owned(), ..Index::default() };
        for line in dep.lines() {
            let Some((file, needs)) = line.split_once(':') else { continue };
            let needs = needs.split_ascii_whitespace().map(PathBuf::from).collect();
            index.files.insert(name_of(file), (PathBuf::from(file), needs));
        }
        for line in alias.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some("alias"), Some(pattern), Some(module)) = (words.next(), words.next(), words.next()) {
                index.aliases.push((underscored(pattern), module.replace('-', "_")));
            }
        }
        for line in softdep.lines() {
            let mut words = line.split_ascii_whitespace();
            if let (Some("softdep"), Some(module)) = (words.next(), words.next()) {
                let before = words.skip_while(|w| *w != "pre:").skip(1).take_while(|w| *w != "post:");
                index.before.insert(module.replace('-', "_"), before.map(|w| w.replace('-', "_")).collect());
            }
        }
        index
    }

    /// The modules that serve a modalias or are called by this name.
    pub fn modules_for(&self, wanted: &str) -> Vec<&str> {
        let wanted = wanted.replace('-', "_");
        if let Some((name, _)) = self.files.get_key_value(&wanted) {
            return vec![name];
        }
        self.aliases
            .iter()
            .filter(|(pattern, _)| matches(pattern, &wanted))
            .map(|(_, m)| m.as_str())
            .collect()
    }

    /// The files to load for a module, in this order.
    pub fn files_for(&self, module: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        self.collect(module, &mut files, 0);
        files
    }

    fn collect(&self, module: &str, files: &mut Vec<PathBuf>, depth: usize) {
        let Some((file, needs)) = self.files.get(module).filter(|_| depth < DEPTH_MAX) else { return };
        for soft in self.before.get(module).into_iter().flatten() {
            for name in self.modules_for(soft) {
                self.collect(name, files, depth + 1);
            }
        }
        // The file lists what is needed first last.
        for path in needs.iter().rev().chain([file]) {
            let path = self.folder.join(path);
            if !files.contains(&path) {
                files.push(path);
            }
        }
    }
}

/// Loads modules and remembers what was tried, so that each is tried once.
#[derive(Debug)]
pub struct Loader {
    index: Index,
    tried: BTreeSet<PathBuf>,
    seen: BTreeSet<String>,
}

impl Loader {
    /// A loader for the kernel that runs, whose modules lie in `/lib/modules`.
    pub fn for_running_kernel() -> Loader {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Loader::new(Index::read(&Path::new("/lib/modules").join(release.trim())))
    }

    /// A loader over this index.
    pub fn new(index: Index) -> Loader {
        Loader { index, tried: BTreeSet::new(), seen: BTreeSet::new() }
    }

    /// Loads what serves a modalias or has this name. Returns how many files were handed to the kernel successfully.
    pub fn load(&mut self, wanted: &str) -> usize {
        let modules: Vec<String> = self.index.modules_for(wanted).iter().map(|m| (*m).to_owned()).collect();
        let files: Vec<PathBuf> = modules.iter().flat_map(|m| self.index.files_for(m)).collect();
        files.iter().filter(|file| self.tried.insert((*file).clone()) && insert(file)).count()
    }

    /// Loads what the devices of all buses ask for that were not there at the last call; `sys_bus` is `/sys/bus`. A bus
    /// that comes up shows new devices, hence this repeats until nothing changes. Returns how many modules were loaded.
    pub fn load_for_devices(&mut self, sys_bus: &Path) -> usize {
        let mut total = 0;
        for _ in 0..ROUNDS_MAX {
            let aliases = device_aliases(sys_bus);
            let new: Vec<String> = aliases.difference(&self.seen).cloned().collect();
            let loaded: usize = new.iter().map(|alias| self.load(alias)).sum();
            self.seen.extend(new);
            total += loaded;
            if loaded == 0 {
                break;
            }
        }
        total
    }
}

/// Answers one request of the kernel, started by it as `modprobe -q -- NAME`.
pub fn answer_kernel(name: &str) -> bool {
    let index = Loader::for_running_kernel().index;
    let modules: Vec<String> = index.modules_for(name).iter().map(|m| (*m).to_owned()).collect();
    let files: Vec<PathBuf> = modules.iter().flat_map(|m| index.files_for(m)).collect();
    !files.is_empty() && files.iter().filter(|file| insert(file)).count() == files.len()
}

/// Hands a file to the kernel. A module that is there already counts as loaded.
fn insert(file: &Path) -> bool {
    let Ok(opened) = fs::File::open(file) else { return false };
    let compressed = file.extension().is_some_and(|e| e != "ko");
    let flags = if compressed {
        ModuleInitFlags::from_bits_retain(COMPRESSED_FILE)
    } else {
        ModuleInitFlags::empty()
    };
    matches!(finit_module(&opened, c"", flags), Ok(()) | Err(nix::Error::EEXIST))
}

/// What the devices call themselves. `/sys/bus/*/devices` has them all without the thousands of folders of `/sys/devices`.
fn device_aliases(sys_bus: &Path) -> BTreeSet<String> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let devices = entries(sys_bus).flat_map(|bus| entries(&bus.path().join("devices")));
    let aliases = devices.filter_map(|device| fs::read_to_string(device.path().join("modalias")).ok());
    aliases.map(|alias| alias.trim().to_owned()).filter(|alias| !alias.is_empty()).collect()
}

/// `kernel/drivers/net/virtio-net.ko.xz` is the module `virtio_net`.
fn name_of(file: &str) -> String {
    let base = file.rsplit('/').next().unwrap_or(file);
    base.split(".ko").next().unwrap_or(base).replace('-', "_")
}

/// Names and aliases treat `-` and `_` alike, but in the brackets of a pattern `-` means a range.
fn underscored(pattern: &str) -> String {
    let mut in_class = false;
    let mut change = |c| {
        in_class = (in_class || c == '[') && c != ']';
        if c == '-' && !in_class { '_' } else { c }
    };
    pattern.chars().map(&mut change).collect()
}

/// Whether a pattern with `*`, `?` and `[…]` describes the whole text.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Where to go on when what follows the last star does not fit: one character further in the text.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let here = text.get(t).copied().unwrap_or_default();
        let step = match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some(b'?') => Some(1),
            Some(b'[') => class(pattern.get(p + 1..).unwrap_or_default(), here),
            Some(&c) if c == here => Some(1),
            _ => None,
        };
        match (step, retry) {
            (Some(step), _) => (p, t) = (p + step, t + 1),
            (None, Some((after_star, from))) => {
                retry = Some((after_star, from + 1));
                (p, t) = (after_star, from + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|c| *c == b'*'))
}

/// Length of a class with its brackets when it contains `c`. `rest` begins behind the opening bracket.
fn class(rest: &[u8], c: u8) -> Option<usize> {
    let end = rest.iter().position(|b| *b == b']')?;
    let mut members = rest.get(..end)?;
    let mut contains = false;
    loop {
        members = match members {
            [low, b'-', high, more @ ..] => {
                contains |= (*low..=*high).contains(&c);
                more
            }
            [one, more @ ..] => {
                contains |= *one == c;
                more
            }
            [] => break,
        };
    }
    contains.then_some(end + 2)
}

/// `MODULE_INIT_COMPRESSED_FILE` of linux/module.h.
const COMPRESSED_FILE: u32 = 4;
const DEPTH_MAX: usize = 24;
const ROUNDS_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/drivers/virtio/virtio.ko\n\
                       kernel/drivers/virtio/virtio.ko:\n\
                       kernel/net/core/failover.ko:\n\
                       kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/jbd2/jbd2.ko\n\
                       kernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc16.ko:\n\
                       kernel/crypto/crc32c-generic.ko.xz:\n\
                       kernel/drivers/net/e1000e.ko:\n";
    const ALIAS: &str = "# Aliases extracted from modules themselves.\n\
                         alias virtio:d00000001v* virtio_net\n\
                         alias fs-ext4 ext4\n\
                         alias of-x[0-9] e1000e\n\
                         alias crypto-crc32c crc32c_generic\n\
                         alias crc32c crc32c-generic\n\
                         alias pci:v00008086d000015BEsv*sd*bc*sc*i* e1000e\n\
                         alias input:b*v*p*e*-e*1,*k*r*a*m*l*s*f*w* evdev\n";
    const SOFT: &str = "softdep ext4 pre: crc32c post: nothing\n";

    fn index() -> Index {
        Index::parse(Path::new("/m"), DEP, ALIAS, SOFT)
    }

    fn check(wanted: &str, expected: &[&str]) {
        let index = index();
        let files: Vec<_> = index.modules_for(wanted).into_iter().flat_map(|m| index.files_for(m)).collect();
        let names: Vec<_> = files.iter().map(|f| f.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, expected, "{wanted}");
    }

    #[test]
    fn a_device_gets_its_module_after_what_the_module_needs() {
        check("virtio:d00000001v00001AF4", &["virtio.ko", "failover.ko", "virtio_net.ko"]);
        check("virtio:d00000002v00001AF4", &[]);
        check("pci:v00008086d000015BEsv000017AAsd00002279bc02sc00i00", &["e1000e.ko"]);
        check("fs-ext4", &["crc32c-generic.ko.xz", "jbd2.ko", "crc16.ko", "ext4.ko"]);
        check("ext4", &["crc32c-generic.ko.xz", "jbd2.ko", "crc16.ko", "ext4.ko"]);
        check("crypto-crc32c", &["crc32c-generic.ko.xz"]);
        check("of-x7", &["e1000e.ko"]);
        check("of-x-", &[]);
        check("crc32c-generic", &["crc32c-generic.ko.xz"]);
    }

    #[test]
    fn patterns_match_as_the_shell_does() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("*", "", true),
            ("a*c", "abbc", true),
            ("a*c", "abbcd", false),
            ("a?c", "ac", false),
            ("v[0-9A]x", "v7x", true),
            ("v[0-9A]x", "vAx", true),
            ("v[0-9A]x", "vBx", false),
            ("a[", "a[", false),
            ("*a*b*c", "xxaxxbxxbc", true),
            (
                "usb:v*p*d*dc*dsc*dp*ic08isc06ip50in*",
                "usb:v0781p5567d0100dc00dsc00dp00ic08isc06ip50in00",
                true,
            ),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn the_modaliases_of_all_devices_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for (path, alias) in
            [("pci0/0000:00:03.0", "pci:v1\n"), ("pci0/0000:00:03.0/virtio0", "virtio:d1"), ("x", "")]
        {
            fs::create_dir_all(dir.path().join("devices").join(path)).unwrap();
            fs::write(dir.path().join("devices").join(path).join("modalias"), alias).unwrap();
        }
        for (bus, name, target) in [
            ("pci", "a", "pci0/0000:00:03.0"),
            ("virtio", "b", "pci0/0000:00:03.0/virtio0"),
            ("acpi", "c", "x"),
        ] {
            let devices = dir.path().join("bus").join(bus).join("devices");
            fs::create_dir_all(&devices).unwrap();
            std::os::unix::fs::symlink(dir.path().join("devices").join(target), devices.join(name)).unwrap();
        }
        let found: Vec<_> = device_aliases(&dir.path().join("bus")).into_iter().collect();
        assert_eq!(found, ["pci:v1", "virtio:d1"]);
        assert!(device_aliases(Path::new("/nonexistent")).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn any_index_and_any_pattern_are_taken_without_a_panic(a in "(?s).*", b in "(?s).*", c in "[*?a\\[\\]-]{0,12}", d in "[ab-]{0,12}") {
            let index = Index::parse(Path::new("/m"), &a, &b, &b);
            index.modules_for(&a);
            matches(&c, &d);
        }

        #[test]
        fn a_pattern_without_wildcards_matches_itself_only(a in "[a-z:]{0,10}", b in "[a-z:]{0,10}") {
            assert_eq!(matches(&a, &b), a == b);
        }
    }
}
