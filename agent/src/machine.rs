//! The machine as the agent uses it: where its files are, its disks, and the key on one of them.

use std::io;
use std::path::{Path, PathBuf};

use images::blockdev::FileDev;
use images::disks::Candidate;
use images::reserved::{self, KeyRecord};

use crate::hardware;
use crate::identity::Identity;
use crate::tpm::{self, TpmError};

/// A machine. Tests use folders and plain files.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Below which `sys` and `proc` lie.
    pub root: PathBuf,
    /// Where the disks are, by their kernel names.
    pub dev: PathBuf,
}

impl Machine {
    /// The machine that this program runs on.
    pub fn this() -> Machine {
        Machine { root: "/".into(), dev: "/dev".into() }
    }

    /// The disks with what is needed to choose one.
    pub fn candidates(&self) -> Vec<Candidate> {
        let read_only = |name: &str| {
            let path = self.root.join("sys/block").join(name).join("ro");
            std::fs::read_to_string(path).is_ok_and(|text| text.trim() == "1")
        };
        let disks = hardware::disks(&self.root).into_iter();
        disks.map(|disk| Candidate { read_only: read_only(&disk.name), disk }).collect()
    }

    /// The device file of a disk.
    pub fn device(&self, disk: &str) -> PathBuf {
        self.dev.join(disk)
    }

    /// The identity that an earlier approval or deploy left in the TPM or on a fixed disk. The TPM is part of the machine,
    /// a disk may come from another one.
    pub fn kept_identity(&self) -> Option<Identity> {
        self.identity_in_tpm().or_else(|| self.identity_on_disk())
    }

    /// The identity in the TPM. No TPM, or one that refuses, is the same as an empty one.
    fn identity_in_tpm(&self) -> Option<Identity> {
        let key = tpm::open(&self.dev).ok()?.read_key().ok()??;
        Identity::from_private_key(&key).ok()
    }

    fn identity_on_disk(&self) -> Option<Identity> {
        self.candidates().iter().filter(|c| !c.disk.removable).find_map(|candidate| {
            let dev = FileDev::open_read(&self.device(&candidate.disk.name)).ok()?;
            let record = reserved::read_key(&dev).ok()??;
            Identity::from_private_key(&record.private_key).ok()
        })
    }

    /// Keeps the identity of an approved PC in its TPM.
    ///
    /// # Errors
    /// There is no TPM 2.0, or it refuses.
    pub fn keep_in_tpm(&self, identity: &Identity) -> Result<(), TpmError> {
        let mut tpm = tpm::open(&self.dev)?;
        if tpm.read_key()?.as_deref() == Some(identity.private_key()) {
            return Ok(());
        }
        tpm.write_key(identity.private_key())
    }

    /// Keeps the identity of a PC that was approved but has not been written yet, if its disk has room for it outside of
    /// every partition: then it needs no second approval after a restart. Returns whether it is on a disk.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep_on_disk(&self, identity: &Identity, server: &str, disk: Option<&str>) -> io::Result<bool> {
        if self.identity_on_disk().is_some_and(|kept| kept.fingerprint() == identity.fingerprint()) {
            return Ok(true);
        }
        let candidates = self.candidates();
        let Ok(chosen) = images::disks::choose(&candidates, disk) else { return Ok(false) };
        let dev = FileDev::open_write(&self.device(&chosen.disk.name))?;
        if !reserved::is_free(&dev)? {
            return Ok(false);
        }
        write_identity(&dev, identity, server)?;
        Ok(true)
    }
}

/// Writes the identity to the reserved place of a disk that is ours.
///
/// # Errors
/// The disk fails.
pub fn write_identity(dev: &FileDev, identity: &Identity, server: &str) -> io::Result<()> {
    let server = server.chars().take(SERVER_CHARS_MAX).collect();
    reserved::write_key(dev, &KeyRecord { private_key: identity.private_key().to_vec(), server })
}

/// Path of the agent's own binary.
pub fn own_binary() -> &'static Path {
    Path::new("/proc/self/exe")
}

const SERVER_CHARS_MAX: usize = 60;
