//! Files of a foreign system, none of whose symbolic links leads out of it.
//!
//! A link `/etc/hostname -> /run/…` in an image would otherwise make us write to our own `/run`. Paths are resolved by the
//! kernel with `RESOLVE_IN_ROOT` (openat2(2)); what is replaced is replaced by a rename, which follows no link.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat, openat2, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

use super::windows::Rights;
use crate::sys::set_windows_rights;

/// A system below a folder. Paths have no slash in front.
pub(super) struct Tree {
    root: OwnedFd,
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Tree> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_PATH | OFlag::O_CLOEXEC;
        Ok(Tree { root: nix::fcntl::open(root, flags, Mode::empty())? })
    }

    /// Whether the path leads to something.
    pub(super) fn exists(&self, path: &str) -> bool {
        self.resolve(path, OFlag::O_PATH).is_ok()
    }

    /// The path as it is written on a file system whose Windows does not tell upper from lower case, if it leads somewhere.
    pub(super) fn spelled(&self, path: &str) -> Option<String> {
        let mut done = String::new();
        for part in path.split('/') {
            let names = self.list(&done);
            let found = names.iter().find(|n| *n == part);
            let found = found.or_else(|| names.iter().find(|n| n.eq_ignore_ascii_case(part)))?;
            done = if done.is_empty() { found.clone() } else { format!("{done}/{found}") };
        }
        Some(done)
    }

    /// The content of a plain file, at most [`READ_MAX`] bytes of it.
    pub(super) fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        self.read_up_to(path, READ_MAX)
    }

    /// The content of a plain file, at most `bytes_max` of it.
    pub(super) fn read_up_to(&self, path: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        // Opening a named pipe would wait for ever.
        let file = File::from(self.resolve(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
        }
        let length = file.metadata()?.len().min(bytes_max);
        let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        file.take(bytes_max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Changes bytes of a plain file that is there, durably. Who may do what with the file stays as it is.
    pub(super) fn patch(&self, path: &str, pieces: &[(u64, Vec<u8>)]) -> io::Result<()> {
        let file = File::from(self.resolve(path, OFlag::O_RDWR | OFlag::O_NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain file"));
        }
        for (at, bytes) in pieces {
            file.write_all_at(bytes, *at)?;
        }
        file.sync_all()
    }

    /// The names in a folder; none if there is no such folder.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let Ok(fd) = self.resolve(folder, OFlag::O_RDONLY | OFlag::O_DIRECTORY) else { return Vec::new() };
        let open = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let entries = std::fs::read_dir(open).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|e| e.file_name().into_string().ok()).collect()
    }

    /// Puts a file at the place, in one step, replacing whatever is there but a folder. Missing folders are made.
    pub(super) fn write(&self, path: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let (folder, name) = self.place(path, None)?;
        let mut file = new_file(&folder)?;
        file.write_all(content)?;
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        Ok(renameat(&folder, NEW, &folder, name)?)
    }

    /// The same on the drive of a Windows. Folders that are made get their rights too.
    pub(super) fn write_for_windows(&self, path: &str, content: &[u8], rights: &Rights) -> io::Result<()> {
        self.write_stream(path, &mut &*content, content.len() as u64, rights)
    }

    /// The same with `bytes` bytes that come from somewhere.
    pub(super) fn write_stream(
        &self,
        path: &str,
        from: &mut dyn Read,
        bytes: u64,
        rights: &Rights,
    ) -> io::Result<()> {
        let (folder, name) = self.place(path, Some(rights))?;
        let mut file = new_file(&folder)?;
        set_windows_rights(&file, &rights.file)?;
        // One byte more than announced is enough to see that it is too much.
        let came = io::copy(&mut from.take(bytes.saturating_add(1)), &mut file)?;
        if came != bytes {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "another length than the server named"));
        }
        file.sync_all()?;
        Ok(renameat(&folder, NEW, &folder, name)?)
    }

    /// Puts a symbolic link at the place.
    pub(super) fn symlink(&self, target: &str, path: &str) -> io::Result<()> {
        let (folder, name) = self.place(path, None)?;
        unlink(&folder, NEW)?;
        symlinkat(target, &folder, NEW)?;
        Ok(renameat(&folder, NEW, &folder, name)?)
    }

    /// Removes a file or a link, if it is there.
    pub(super) fn remove(&self, path: &str) -> io::Result<()> {
        let (folder, name) = split(path)?;
        match self.resolve(folder, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(folder) => unlink(&folder, name),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The folder of a path, made if it is missing, and the name in it.
    fn place<'p>(&self, path: &'p str, rights: Option<&Rights>) -> io::Result<(OwnedFd, &'p str)> {
        let (folder, name) = split(path)?;
        let mut done = String::new();
        let mut at = self.resolve("", OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        for part in folder.split('/').filter(|p| !p.is_empty()) {
            done = format!("{done}/{part}");
            let next = match self.resolve(&done, OFlag::O_PATH | OFlag::O_DIRECTORY) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    mkdirat(&at, part, Mode::from_bits_truncate(0o755))?;
                    if let Some(rights) = rights {
                        let made = self.resolve(&done, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
                        set_windows_rights(&File::from(made), &rights.folder)?;
                    }
                    self.resolve(&done, OFlag::O_PATH | OFlag::O_DIRECTORY)
                }
                other => other,
            };
            at = next?;
        }
        Ok((at, name))
    }

    fn resolve(&self, path: &str, flags: OFlag) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(ResolveFlag::RESOLVE_IN_ROOT);
        Ok(openat2(&self.root, path, how)?)
    }
}

/// An empty file under a name of its own.
fn new_file(folder: &OwnedFd) -> io::Result<File> {
    unlink(folder, NEW)?;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
    Ok(File::from(openat(folder, NEW, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

fn unlink(folder: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(folder.as_fd(), name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn split(path: &str) -> io::Result<(&str, &str)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "" | "." | "..") {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the path of a file"));
    }
    Ok((folder, name))
}

/// Name under which a file is written before it takes its place.
const NEW: &str = ".hausmeister-new";
const READ_MAX: u64 = 1 << 20;
