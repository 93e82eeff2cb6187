//! A file system that is mounted for a moment.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use images::used::FsKind;
use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What is to be done with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// A mounted file system that does not stay mounted when something fails.
pub(super) struct Mounted {
    at: PathBuf,
    mounted: bool,
}

impl Mounted {
    pub(super) fn at(device: &Path, mount_point: &Path, kind: FsKind, access: Access) -> io::Result<Mounted> {
        let mut flags = MsFlags::MS_NOATIME | MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        if access == Access::Read {
            flags |= MsFlags::MS_RDONLY;
        }
        let (name, options) = match kind {
            FsKind::Ntfs => ("ntfs3", Some("iocharset=utf8")),
            _ => ("ext4", None),
        };
        match mount(Some(device), mount_point, Some(name), flags, options) {
            // A kernel without this driver: that of Debian 12, and those of the machines that tests run on.
            Err(nix::Error::ENODEV) if kind == FsKind::Ntfs => ntfs_3g(device, mount_point, access)?,
            result => result?,
        }
        Ok(Mounted { at: mount_point.to_owned(), mounted: true })
    }

    pub(super) fn unmount(mut self) -> io::Result<()> {
        self.mounted = false;
        Ok(umount2(&self.at, MntFlags::empty())?)
    }
}

/// The driver outside of the kernel, where it is installed. It does the same.
fn ntfs_3g(device: &Path, mount_point: &Path, access: Access) -> io::Result<()> {
    let options = if access == Access::Read { "ro,noatime" } else { "noatime" };
    let output = Command::new("ntfs-3g").args(["-o", options]).arg(device).arg(mount_point).output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
        Err(error) => {
            Err(io::Error::other(format!("this kernel has no ntfs3, and ntfs-3g does not start: {error}")))
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if self.mounted {
            let _ = umount2(&self.at, MntFlags::MNT_DETACH);
        }
    }
}
