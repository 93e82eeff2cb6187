//! Files of programs, each under the hash of its bytes in one folder: never changed, written once, safe to read at any moment.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The folder.
#[derive(Debug, Clone)]
pub struct Files {
    dir: PathBuf,
}

/// A file that is coming in. Dropped before [`Incoming::keep`] it leaves nothing.
#[derive(Debug)]
pub struct Incoming {
    dir: PathBuf,
    path: PathBuf,
    file: File,
    size: u64,
    blake3: blake3::Hasher,
}

/// A file that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// BLAKE3 of its bytes, its name here.
    pub blake3: [u8; 32],
    /// How many bytes.
    pub size: u64,
}

impl Files {
    /// The files in that folder. It is made when the first comes in.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Where the file with that BLAKE3 is, if it is there.
    #[must_use]
    pub fn path(&self, blake3: &[u8; 32]) -> PathBuf {
        self.dir.join(blake3::Hash::from_bytes(*blake3).to_hex().as_str())
    }

    /// Begins to take a file in.
    ///
    /// # Errors
    /// The disk fails.
    pub fn begin(&self) -> io::Result<Incoming> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        let path = self.dir.join(format!("{INCOMING}{}", uuid::Uuid::new_v4()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Incoming { dir: self.dir.clone(), path, file, size: 0, blake3: blake3::Hasher::new() })
    }

    /// Removes what is not needed and older than a day: a file comes in before the package that names it is saved. Returns the bytes freed.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn collect(&self, needed: &HashSet<[u8; 32]>, now: SystemTime) -> io::Result<u64> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        let names: HashSet<String> =
            needed.iter().map(|hash| blake3::Hash::from_bytes(*hash).to_hex().to_string()).collect();
        let mut freed = 0;
        for entry in entries.flatten() {
            let Ok(about) = entry.metadata() else { continue };
            let age = about.modified().ok().and_then(|at| now.duration_since(at).ok()).unwrap_or_default();
            let is_needed = entry.file_name().to_str().is_some_and(|name| names.contains(name));
            if !is_needed && age > UNNAMED_KEPT && fs::remove_file(entry.path()).is_ok() {
                freed += about.len();
            }
        }
        Ok(freed)
    }
}

impl Incoming {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The disk fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.blake3.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Makes it durable under its name. The same bytes again are the same file, made young.
    ///
    /// # Errors
    /// The disk fails.
    pub fn keep(self) -> io::Result<Kept> {
        self.file.sync_all()?;
        let blake3 = self.blake3.finalize();
        fs::rename(&self.path, self.dir.join(blake3.to_hex().as_str()))?;
        File::open(&self.dir)?.sync_all()?;
        Ok(Kept { blake3: blake3.into(), size: self.size })
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After `keep` there is none of this name.
        let _ = fs::remove_file(&self.path);
    }
}

const INCOMING: &str = "incoming-";
const UNNAMED_KEPT: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_there_under_its_hash_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::new(&dir.path().join("software"));
        let mut incoming = files.begin().unwrap();
        incoming.write(b"Wort").unwrap();
        incoming.write(b" fuer Wort").unwrap();
        let kept = incoming.keep().unwrap();
        assert_eq!((kept.size, kept.blake3), (14, blake3::hash(b"Wort fuer Wort").into()));
        let path = files.path(&kept.blake3);
        assert_eq!(fs::read(&path).unwrap(), b"Wort fuer Wort");

        let mut given_up = files.begin().unwrap();
        given_up.write(b"half").unwrap();
        drop(given_up);
        let again = files.begin().unwrap();
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 2);
        drop(again);

        let millis = crate::clock::now().0.unsigned_abs();
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let day = Duration::from_secs(25 * 3600);
        assert_eq!(files.collect(&HashSet::new(), now).unwrap(), 0, "somebody may be about to name it");
        assert_eq!(files.collect(&[kept.blake3].into(), now + day).unwrap(), 0);
        assert_eq!(files.collect(&HashSet::new(), now + day).unwrap(), 14);
        assert!(!path.exists());
        assert_eq!(Files::new(Path::new("/nonexistent")).collect(&HashSet::new(), now).unwrap(), 0);
    }
}
