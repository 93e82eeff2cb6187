//! What can be loaded: the files of the boot folder, and scripts made for the PC that asks.

use std::fs::File;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory::boot::{BootServer, BootView};
use inventory::{MacAddr, UnixMillis};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

/// A name that was asked for, made harmless: parts of plain letters, none of them hidden or a step upwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// Firmware and boot loaders write `a/b`, `/a/b`, `\a\b` and `a//b` for the same file. `None` when it can be no file of ours.
    pub(crate) fn read(asked: &str) -> Option<Self> {
        let parts: Vec<&str> = asked.split(['/', '\\']).filter(|part| !part.is_empty()).collect();
        let plain = |part: &&str| {
            !part.starts_with('.')
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'+' | b':'))
        };
        ((1..=PARTS_MAX).contains(&parts.len()) && parts.iter().all(plain)).then(|| Self(parts.join("/")))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where scripts point to; the address is the one the PC asked.
#[derive(Debug, Clone)]
pub(crate) struct Scripts {
    pub(crate) http_port: u16,
    pub(crate) agent_port: u16,
    pub(crate) kernel_arguments: String,
}

impl Scripts {
    /// The script of that name, if it is one.
    pub(crate) fn text(
        &self,
        name: &Name,
        asked: Ipv4Addr,
        view: &BootView,
        now: UnixMillis,
    ) -> Option<String> {
        let server = || BootServer {
            address: asked,
            http_port: self.http_port,
            agent_port: self.agent_port,
            kernel_arguments: self.kernel_arguments.clone(),
        };
        if name.as_str() == "grub/grub.cfg" {
            return Some(server().grub_entry());
        }
        let mac = name.as_str().strip_prefix("grub/by-mac/")?.strip_suffix(".cfg")?;
        let mac: MacAddr = mac.parse().ok()?;
        Some(server().grub_config(view.decide(mac), now))
    }
}

/// Why a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is none of that name.
    #[error("no such file")]
    Absent,
    /// It is no regular file, or lies behind a symbolic link.
    #[error("not a plain file of the boot folder")]
    NotPlain,
    /// The system cannot read it.
    #[error("cannot read the file")]
    Read(#[source] io::Error),
}

/// Opens a file of the boot folder for reading. Blocks.
///
/// The kernel resolves the name, so there is no moment between looking and opening: nothing outside the folder and nothing
/// behind a symbolic link can be reached.
pub(crate) fn open(boot_dir: &Path, name: &Name) -> Result<(File, u64), Refusal> {
    let folder = File::open(boot_dir).map_err(Refusal::Read)?;
    let how = OpenHow::new()
        // Without O_NONBLOCK a named pipe would wait for a writer.
        .flags(OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    let file = match openat2(&folder, Path::new(name.as_str()), how) {
        Ok(file) => File::from(file),
        Err(nix::errno::Errno::ENOENT | nix::errno::Errno::ENOTDIR) => return Err(Refusal::Absent),
        Err(nix::errno::Errno::ELOOP | nix::errno::Errno::EXDEV | nix::errno::Errno::ENXIO) => {
            return Err(Refusal::NotPlain);
        }
        Err(errno) => return Err(Refusal::Read(errno.into())),
    };
    let about = file.metadata().map_err(Refusal::Read)?;
    if about.is_file() { Ok((file, about.len())) } else { Err(Refusal::NotPlain) }
}

/// A readable content of known length. A file is read a part at a time, so a session costs the same for every file.
#[derive(Debug)]
pub(crate) enum Content {
    /// A script, held whole.
    Text(Vec<u8>),
    /// A file.
    File {
        /// The open file.
        file: Arc<File>,
        /// Its length when it was opened.
        bytes: u64,
        /// The part that was read last.
        part: Vec<u8>,
        /// Where that part begins.
        at: u64,
    },
}

impl Content {
    /// A file's content.
    pub(crate) fn file(file: File, bytes: u64) -> Self {
        Self::File { file: Arc::new(file), bytes, part: Vec::new(), at: 0 }
    }

    /// Length.
    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File { bytes, .. } => *bytes,
        }
    }

    /// The bytes from `from` on, as many as there are up to `wanted`.
    ///
    /// # Errors
    /// The file cannot be read or became shorter.
    pub(crate) async fn range(&mut self, from: u64, wanted: usize) -> io::Result<&[u8]> {
        let total = self.bytes();
        let wanted = wanted.min(usize::try_from(total.saturating_sub(from)).unwrap_or(usize::MAX));
        let (held, at) = match self {
            Self::Text(text) => (text, 0),
            Self::File { file, bytes, part, at } => {
                let inside = from >= *at && from + wanted as u64 <= *at + part.len() as u64;
                if !inside {
                    let left = usize::try_from(bytes.saturating_sub(from)).unwrap_or(usize::MAX);
                    part.resize(left.min(PART_BYTES), 0);
                    *at = from;
                    if !read_if_cached(file, part, from) {
                        let (file, mut buffer) = (Arc::clone(file), std::mem::take(part));
                        *part = tokio::task::spawn_blocking(move || {
                            file.read_exact_at(&mut buffer, from).map(|()| buffer)
                        })
                        .await
                        .map_err(io::Error::other)??;
                    }
                }
                (part, *at)
            }
        };
        let begin = usize::try_from(from - at).map_err(io::Error::other)?;
        held.get(begin..begin + wanted).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

/// Fills the buffer from the kernel's page cache; `false` if something would have to come from the disk first. Boot files are
/// cached nearly always, and asking another thread to read them costs more than reading.
#[expect(unsafe_code, reason = "no safe wrapper of preadv2 takes flags")]
fn read_if_cached(file: &File, buffer: &mut [u8], from: u64) -> bool {
    let Ok(offset) = libc::off_t::try_from(from) else { return false };
    let part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: the file is open for the whole call, and the one part is this buffer, which nobody else uses meanwhile.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), &raw const part, 1, offset, libc::RWF_NOWAIT) };
    usize::try_from(read) == Ok(buffer.len())
}

/// Opens what was asked for: a script or a file.
pub(crate) async fn find(boot_dir: PathBuf, name: Name) -> Result<Content, Refusal> {
    let opened = tokio::task::spawn_blocking(move || open(&boot_dir, &name)).await;
    let (file, bytes) = opened.map_err(|e| Refusal::Read(io::Error::other(e)))??;
    Ok(Content::file(file, bytes))
}

/// How much of a file a session holds in memory. Longer than the largest window (16 blocks of 1468 bytes).
const PART_BYTES: usize = 64 * 1024;
/// Deepest folder: `grub/by-mac/<mac>.cfg` and `grub/x86_64-efi/<list>` have three parts.
const PARTS_MAX: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_firmware_writes_them() {
        for (asked, name) in [
            ("shimx64.efi", "shimx64.efi"),
            ("/grub/grub.cfg", "grub/grub.cfg"),
            ("\\grub\\x86_64-efi\\command.lst", "grub/x86_64-efi/command.lst"),
            ("//grub//by-mac/52:54:00:77:00:02.cfg", "grub/by-mac/52:54:00:77:00:02.cfg"),
        ] {
            assert_eq!(Name::read(asked).unwrap().as_str(), name, "{asked}");
        }
        for asked in [
            "",
            "/",
            "..",
            "../keys/ca.key",
            "a/../../b",
            "a/./b",
            ".hidden",
            "a/.b",
            "a b",
            "ä",
            "a\0",
            "a/b/c/d/e",
        ] {
            assert_eq!(Name::read(asked), None, "{asked}");
        }
    }

    #[test]
    fn only_plain_files_inside_of_the_folder_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let boot = dir.path().join("boot");
        std::fs::create_dir_all(boot.join("grub")).unwrap();
        std::fs::write(dir.path().join("ca.key"), "secret").unwrap();
        std::fs::write(boot.join("vmlinuz"), "kernel").unwrap();
        std::fs::write(boot.join("grub/font.pf2"), "font").unwrap();
        std::os::unix::fs::symlink("../ca.key", boot.join("link")).unwrap();
        std::os::unix::fs::symlink("vmlinuz", boot.join("near")).unwrap();
        std::os::unix::fs::symlink("..", boot.join("up")).unwrap();
        nix::unistd::mkfifo(&boot.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let length = |name: &str| open(&boot, &Name::read(name).unwrap()).map(|(_, bytes)| bytes);
        assert_eq!(length("vmlinuz").unwrap(), 6);
        assert_eq!(length("grub/font.pf2").unwrap(), 4);
        for absent in ["nothing", "vmlinuz/x", "grub/nothing"] {
            assert!(matches!(length(absent), Err(Refusal::Absent)), "{absent}");
        }
        for refused in ["link", "near", "up/ca.key", "pipe", "grub"] {
            assert!(matches!(length(refused), Err(Refusal::NotPlain)), "{refused}");
        }
        // Even a name that was not read by `Name` stays inside.
        for hostile in ["../ca.key", "/etc/passwd"] {
            assert!(open(&boot, &Name(hostile.into())).is_err(), "{hostile}");
        }
    }

    #[test]
    fn scripts_are_made_for_the_card_and_the_address_that_was_asked() {
        let scripts = Scripts { http_port: 8067, agent_port: 8443, kernel_arguments: String::new() };
        let text = |name: &str| {
            let asked = Ipv4Addr::new(10, 77, 0, 1);
            scripts.text(&Name::read(name).unwrap(), asked, &BootView::default(), UnixMillis(0))
        };
        assert!(text("/grub/grub.cfg").unwrap().contains("10.77.0.1:8067"));
        assert!(text("grub/by-mac/52:54:00:77:00:02.cfg").unwrap().contains("vmlinuz"));
        assert_eq!(text("grub/by-mac/unknown.cfg"), None);
        assert_eq!(text("shimx64.efi"), None);
    }

    #[tokio::test]
    async fn a_file_is_read_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let whole: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1]).collect();
        std::fs::write(dir.path().join("f"), &whole).unwrap();
        let (file, bytes) = open(dir.path(), &Name::read("f").unwrap()).unwrap();
        let mut content = Content::file(file, bytes);
        for (from, wanted) in
            [(0, 1468), (1468, 23_488), (65_000, 23_488), (199_999, 512), (200_000, 512), (10, 5)]
        {
            let end = (from + wanted).min(whole.len());
            assert_eq!(content.range(from as u64, wanted).await.unwrap(), &whole[from..end], "{from}");
            assert!(matches!(&content, Content::File { part, .. } if part.len() <= PART_BYTES));
        }
        std::fs::write(dir.path().join("f"), "short").unwrap();
        assert!(content.range(100_000, 1468).await.is_err());
    }
}
