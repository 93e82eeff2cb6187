//! The boot environment: what a PC loads from the network before it has a system of its own.
//!
//! [`build`] makes it from unpacked Debian packages (`images/fetch-boot-packages.sh` fetches them) and the static agent. The result
//! is a folder of files as firmware asks for them:
//!
//! | File                        | What it is                                                            |
//! |-----------------------------|-----------------------------------------------------------------------|
//! | `vmlinuz`                   | Debian's signed kernel, untouched                                     |
//! | `initrd.img`                | newc archive, zstd: the agent as `/init`, modules, file system tools   |
//! | `shimx64.efi`, `mmx64.efi`  | Debian's shim, signed by Microsoft, and its key manager               |
//! | `grubx64.efi`               | Debian's signed network GRUB                                          |
//! | `undionly.kpxe`             | iPXE for BIOS                                                         |
//! | `snponly.efi`, `ipxe.efi`   | iPXE for UEFI without Secure Boot                                     |
//!
//! The same sources give the same bytes: entries are sorted, belong to root, and carry no time. What differs from school to school,
//! the school's certificate, is an archive of its own ([`site_cpio`]) that is appended; the kernel unpacks one after the other
//! (Documentation/driver-api/early-userspace/buffer-format.rst). `initrd.img` is padded to 4 bytes for that.
//!
//! Secure Boot does not check the initramfs. It checks every module in it (kernel lockdown), and those are Debian's.

mod cpio;
mod elf;
mod modules;

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cpio::{Archive, Node};

/// What the boot environment is built from.
#[derive(Debug, Clone)]
pub struct Sources {
    packages: PathBuf,
    agent: PathBuf,
}

impl Sources {
    /// `packages` is the folder that `images/fetch-boot-packages.sh` filled (`kernel/`, `loader/`, `tools/`), `agent` the statically
    /// linked agent.
    #[must_use]
    pub fn new(packages: &Path, agent: &Path) -> Sources {
        Sources { packages: packages.to_owned(), agent: agent.to_owned() }
    }
}

/// What was built. `Display` gives it as text for an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Release of the kernel, as `uname -r` will say.
    pub kernel: String,
    /// Bytes of `initrd.img`.
    pub initramfs_bytes: u64,
    /// Bytes of the archive before compression: what it takes in the PC's memory.
    pub unpacked_bytes: u64,
    /// BLAKE3 hash of `initrd.img`, in hexadecimal.
    pub initramfs_hash: String,
    /// How many module files are inside.
    pub modules: usize,
    /// Modules of the list that this kernel does not have.
    pub missing_modules: Vec<String>,
    /// Files written, with their sizes in bytes.
    pub files: Vec<(String, u64)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "kernel {}, {} modules", self.kernel, self.modules)?;
        for (name, bytes) in &self.files {
            writeln!(f, "  {name:<16} {bytes:>10} bytes")?;
        }
        if !self.missing_modules.is_empty() {
            writeln!(f, "not in this kernel: {}", self.missing_modules.join(" "))?;
        }
        write!(f, "initrd.img unpacks to {} bytes, BLAKE3 {}", self.unpacked_bytes, self.initramfs_hash)
    }
}

/// Why the boot environment could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A source cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The result cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The packages are not what they should be.
    #[error("{what} is not in {}: run images/fetch-boot-packages.sh", folder.display())]
    Incomplete {
        /// What was looked for.
        what: String,
        /// Where.
        folder: PathBuf,
    },
    /// A file that should be a program or library is none.
    #[error("{} is no 64-bit program", path.display())]
    NoProgram {
        /// The file.
        path: PathBuf,
    },
    /// The agent needs libraries that the initramfs does not have.
    #[error("the agent {} is not statically linked: build it with RUSTFLAGS=-Ctarget-feature=+crt-static", path.display())]
    NotStatic {
        /// The file.
        path: PathBuf,
    },
}

/// Builds the boot environment into the folder `out`, which is made if need be. Each file is replaced as a whole.
///
/// # Errors
/// A source is missing or not usable, or `out` cannot be written.
pub fn build(sources: &Sources, out: &Path) -> Result<Report, Error> {
    let kernel_root = sources.packages.join("kernel");
    let release = kernel_release(&kernel_root)?;
    let module_folder = kernel_root.join("lib/modules").join(&release);
    let index = modules::Index::read(&module_folder)?;
    let selection = index.select(MODULES);

    let mut archive = Archive::default();
    for folder in ["proc", "sys", "dev", "run", "tmp", "newroot"] {
        archive.insert(folder, Node::Folder);
    }
    archive.insert("dev/console", Node::CharacterDevice { major: 5, minor: 1 });
    archive.insert("init", Node::Program(static_program(&sources.agent)?));
    let inside = format!("lib/modules/{release}");
    for path in &selection.files {
        archive.insert(&format!("{inside}/{path}"), Node::File(read(&module_folder.join(path))?));
    }
    for (name, text) in index.of(&selection) {
        archive.insert(&format!("{inside}/{name}"), Node::File(text.into_bytes()));
    }
    add_tools(&mut archive, &sources.packages.join("tools"))?;

    let unpacked = archive.to_bytes();
    let mut packed = zstd::bulk::compress(&unpacked, ZSTD_LEVEL)
        .map_err(|source| Error::Write { path: out.join("initrd.img"), source })?;
    packed.resize(packed.len().next_multiple_of(ARCHIVE_ALIGNMENT), 0);

    fs::create_dir_all(out).map_err(|source| Error::Write { path: out.to_owned(), source })?;
    let mut files = vec![
        replace(out, "vmlinuz", &read(&kernel_root.join("boot").join(format!("vmlinuz-{release}")))?)?,
        replace(out, "initrd.img", &packed)?,
    ];
    for (name, path) in LOADERS {
        let loader = sources.packages.join("loader/usr/lib").join(path);
        files.push(replace(out, name, &read(&loader)?)?);
    }
    Ok(Report {
        kernel: release,
        initramfs_bytes: packed.len() as u64,
        unpacked_bytes: unpacked.len() as u64,
        initramfs_hash: blake3::hash(&packed).to_hex().to_string(),
        modules: selection.files.len(),
        missing_modules: selection.missing,
        files,
    })
}

/// The archive with the school's certificate, to be appended to `initrd.img` at an offset that is a multiple of 4.
#[must_use]
pub fn site_cpio(ca_pem: &str) -> Vec<u8> {
    let mut archive = Archive::default();
    archive.insert("hausmeister/ca.pem", Node::File(ca_pem.as_bytes().to_vec()));
    archive.to_bytes()
}

/// The only kernel release below `lib/modules`.
fn kernel_release(kernel_root: &Path) -> Result<String, Error> {
    let folder = kernel_root.join("lib/modules");
    let entries = fs::read_dir(&folder).map_err(|source| Error::Read { path: folder.clone(), source })?;
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    match (names.pop(), names.pop()) {
        (Some(release), None) => Ok(release),
        _ => Err(Error::Incomplete { what: "exactly one kernel".to_owned(), folder }),
    }
}

/// The agent's bytes, once it is sure that nothing else is needed to start it.
fn static_program(path: &Path) -> Result<Vec<u8>, Error> {
    let bytes = read(path)?;
    let links = elf::links(&bytes).ok_or_else(|| Error::NoProgram { path: path.to_owned() })?;
    if links.interpreter.is_some() || !links.libraries.is_empty() {
        return Err(Error::NotStatic { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Adds the programs that grow file systems, with their dynamic linker and every library down to the C library.
fn add_tools(archive: &mut Archive, tools: &Path) -> Result<(), Error> {
    let mut open: Vec<(String, PathBuf)> = Vec::new();
    for tool in TOOLS {
        open.push((format!("sbin/{tool}"), find(tools, tool, &["sbin", "usr/sbin"])?));
    }
    let mut done = BTreeSet::new();
    while let Some((inside, path)) = open.pop() {
        if !done.insert(inside.clone()) {
            continue;
        }
        let bytes = read(&path)?;
        let links = elf::links(&bytes).ok_or_else(|| Error::NoProgram { path: path.clone() })?;
        if let Some(interpreter) = links.interpreter {
            let inside = interpreter.trim_start_matches('/').to_owned();
            let name = inside.rsplit('/').next().unwrap_or_default().to_owned();
            open.push((inside, find(tools, &name, LIBRARY_FOLDERS)?));
        }
        for library in links.libraries {
            // The dynamic linker is named as a library too, but lies where the programs expect it.
            if !library.starts_with("ld-linux") {
                open.push((format!("{LIBRARIES_INSIDE}/{library}"), find(tools, &library, LIBRARY_FOLDERS)?));
            }
        }
        archive.insert(&inside, Node::Program(bytes));
    }
    Ok(())
}

fn find(root: &Path, name: &str, folders: &[&str]) -> Result<PathBuf, Error> {
    // A name that climbs out of its folder is not a file name.
    let plain = !name.contains('/') && name != "..";
    folders
        .iter()
        .map(|folder| root.join(folder).join(name))
        .find(|path| plain && path.is_file())
        .ok_or_else(|| Error::Incomplete { what: name.to_owned(), folder: root.to_owned() })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failed = |source| Error::Read { path: path.to_owned(), source };
    let length = fs::metadata(path).map_err(failed)?.len();
    if length > SOURCE_BYTES_MAX {
        return Err(failed(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "larger than any part of a boot environment",
        )));
    }
    fs::read(path).map_err(failed)
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<(String, u64), Error> {
    let path = folder.join(name);
    let unfinished = folder.join(format!("{name}.new"));
    let failed = |source| Error::Write { path: path.clone(), source };
    fs::write(&unfinished, bytes).map_err(failed)?;
    fs::rename(&unfinished, &path).map_err(failed)?;
    Ok((name.to_owned(), bytes.len() as u64))
}

/// Modules of the hardware that stands in schools, by the kernel's names. What they need is found by itself, and what a kernel has
/// built in or does not know is left out.
const MODULES: &[&str] = &[
    // Virtual machines.
    "virtio_pci",
    "virtio_blk",
    "virtio_scsi",
    "virtio_net",
    "virtio_rng",
    "vmxnet3",
    "vmw_pvscsi",
    "hv_vmbus",
    "hv_netvsc",
    "hv_storvsc",
    // Wired network cards.
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "ixgbe",
    "r8169",
    "realtek",
    "tg3",
    "broadcom",
    "atlantic",
    "alx",
    "atl1c",
    "sky2",
    "forcedeth",
    "dwmac-intel",
    // Network cards on USB: thin notebooks and docking stations.
    "r8152",
    "r8153_ecm",
    "ax88179_178a",
    "asix",
    "cdc_ether",
    "cdc_ncm",
    "smsc95xx",
    "lan78xx",
    // Disks. `vmd` is what hides NVMe disks of newer Intel PCs, `sdhci` reaches the eMMC of small notebooks.
    "nvme",
    "vmd",
    "ahci",
    "ata_piix",
    "sd_mod",
    "mmc_block",
    "sdhci_pci",
    "sdhci_acpi",
    "usb_storage",
    "uas",
    // USB and keyboards.
    "xhci_hcd",
    "xhci_pci",
    "ehci_hcd",
    "ehci_pci",
    "uhci_hcd",
    "ohci_hcd",
    "ohci_pci",
    "usbhid",
    "hid_generic",
    "i8042",
    "atkbd",
    // File systems and what they ask for when they are mounted.
    "ext4",
    "ntfs3",
    "crc32c_generic",
    "crc32c_intel",
    "vfat",
    "nls_cp437",
    "nls_iso8859-1",
    "nls_ascii",
    "nls_utf8",
    "efivarfs",
    "loop",
    // The place for a device's key.
    "tpm_tis",
    "tpm_crb",
];

/// Name that firmware asks for, and where the packages have it below `usr/lib`.
const LOADERS: &[(&str, &str)] = &[
    ("shimx64.efi", "shim/shimx64.efi.signed"),
    ("mmx64.efi", "shim/mmx64.efi.signed"),
    // The variant that looks for its configuration on the server it came from.
    ("grubx64.efi", "grub/x86_64-efi-signed/grubnetx64.efi.signed"),
    ("undionly.kpxe", "ipxe/undionly.kpxe"),
    ("snponly.efi", "ipxe/snponly.efi"),
    ("ipxe.efi", "ipxe/ipxe.efi"),
];

const TOOLS: [&str; 3] = ["e2fsck", "resize2fs", "ntfsresize"];
const LIBRARIES_INSIDE: &str = "lib/x86_64-linux-gnu";
const LIBRARY_FOLDERS: &[&str] =
    &["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib64", "usr/lib64", "lib", "usr/lib"];

/// Level 19 saves 5 % more and takes ten times as long.
const ZSTD_LEVEL: i32 = 12;
const ARCHIVE_ALIGNMENT: usize = 4;
const SOURCE_BYTES_MAX: u64 = 256 << 20;

#[cfg(test)]
mod tests;
