//! The folder of drivers for Windows: which of its folders a PC needs, and where a file lies.
//!
//! An admin lays drivers down as manufacturers hand them out, unpacked, in folders of any depth. A folder with an INF file is a
//! driver, together with everything below it. Links are not followed: nothing outside of the folder is ever sent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use images::drivers::{INF_BYTES_MAX, Inf};
use images::protocol::{
    DRIVER_FILES_MAX, DRIVER_FOLDERS_MAX, DRIVER_REPLY_BYTES_MAX, DriverAsk, DriverFile, DriverFolder,
    DriverReply,
};

/// Why drivers cannot be given out. The text is for the admin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DriverError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "more than {FILES_MAX} files or {DEPTH_MAX} folders in each other lie in {}: take out what no PC of the school needs",
        path.display()
    )]
    TooMany { path: PathBuf },
    #[error(
        "the drivers for this PC are more than {DRIVER_FILES_MAX} files in {DRIVER_FOLDERS_MAX} folders: take out of {} what \
         the school's PCs do not need, such as drivers for other versions of Windows",
        path.display()
    )]
    TooMuch { path: PathBuf },
}

/// The folder, and what its INF files said when they were last read.
#[derive(Debug)]
pub(crate) struct Drivers {
    root: PathBuf,
    known: Mutex<BTreeMap<PathBuf, Known>>,
}

/// An INF file as it was read.
#[derive(Debug)]
struct Known {
    changed: SystemTime,
    bytes: u64,
    inf: Arc<Inf>,
}

/// A file below the folder.
struct Found {
    /// With slashes.
    path: String,
    bytes: u64,
    changed: SystemTime,
}

impl Drivers {
    pub(crate) fn new(root: PathBuf) -> Drivers {
        Drivers { root, known: Mutex::default() }
    }

    /// The folders that serve one of the PC's devices, with all files below them. None if there is no folder of drivers.
    pub(crate) fn matching(&self, ask: &DriverAsk) -> Result<DriverReply, DriverError> {
        let ids: BTreeSet<String> = ask.ids.iter().map(|id| id.to_uppercase()).collect();
        let mut files = Vec::new();
        self.walk(&self.root, "", 0, &mut files)?;
        let mut folders = BTreeSet::new();
        for file in files.iter().filter(|file| file.path.to_ascii_lowercase().ends_with(".inf")) {
            let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
            if !folders.contains(folder) && self.inf(file)?.serves(&ask.processor, &ids) {
                folders.insert(folder.to_owned());
            }
        }
        let below = |folder: &str| {
            let inside = |file: &Found| match folder {
                "" => Some(file.path.clone()),
                folder => file.path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned),
            };
            files.iter().filter_map(|f| Some(DriverFile { path: inside(f)?, bytes: f.bytes })).collect()
        };
        let folders: Vec<_> =
            folders.iter().map(|path| DriverFolder { path: path.clone(), files: below(path) }).collect();
        let count: usize = folders.iter().map(|folder| folder.files.len()).sum();
        let letters: usize = folders.iter().flat_map(|f| &f.files).map(|f| f.path.len() + 48).sum();
        if folders.len() > DRIVER_FOLDERS_MAX
            || count > DRIVER_FILES_MAX
            || letters > DRIVER_REPLY_BYTES_MAX / 2
        {
            return Err(DriverError::TooMuch { path: self.root.clone() });
        }
        Ok(DriverReply { folders })
    }

    /// Where a file lies, if it is a plain file that no link leads to.
    pub(crate) fn place(&self, path: &str) -> Option<PathBuf> {
        let mut place = self.root.clone();
        for part in path.split('/') {
            if matches!(part, "" | "." | "..") || part.contains('\0') {
                return None;
            }
            place.push(part);
            if fs::symlink_metadata(&place).ok()?.is_symlink() {
                return None;
            }
        }
        place.is_file().then_some(place)
    }

    fn walk(
        &self,
        folder: &Path,
        path: &str,
        depth: usize,
        files: &mut Vec<Found>,
    ) -> Result<(), DriverError> {
        let failed = |source| DriverError::Read { path: folder.to_owned(), source };
        let entries = match fs::read_dir(folder) {
            Err(error) if depth == 0 && error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let entry = entry.map_err(failed)?;
            let about = entry.metadata().map_err(failed)?;
            // Windows could not take a name that is no text either.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let path = if path.is_empty() { name } else { format!("{path}/{name}") };
            if files.len() >= FILES_MAX || depth >= DEPTH_MAX {
                return Err(DriverError::TooMany { path: self.root.clone() });
            }
            if about.is_dir() {
                self.walk(&entry.path(), &path, depth + 1, files)?;
            } else if about.is_file() {
                let changed = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                files.push(Found { path, bytes: about.len(), changed });
            }
        }
        if depth == 0 {
            files.sort_by(|a, b| a.path.cmp(&b.path));
        }
        Ok(())
    }

    /// What an INF file says; read again only after it changed.
    fn inf(&self, file: &Found) -> Result<Arc<Inf>, DriverError> {
        let path = self.root.join(&file.path);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&path)
            && (known.changed, known.bytes) == (file.changed, file.bytes)
        {
            return Ok(known.inf.clone());
        }
        let read = || {
            let mut bytes = Vec::new();
            File::open(&path)?.take(INF_BYTES_MAX as u64).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| DriverError::Read { path: path.clone(), source })?;
        let inf = Arc::new(Inf::parse(&bytes));
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(path, Known { changed: file.changed, bytes: file.bytes, inf: inf.clone() });
        Ok(inf)
    }
}

const FILES_MAX: usize = 200_000;
const DEPTH_MAX: usize = 16;
const KNOWN_MAX: usize = 20_000;

#[cfg(test)]
mod tests {
    use super::*;

    const INF: &str = "[Manufacturer]\n%A%=A,NTamd64\n[A.NTamd64]\n%D%=I,PCI\\VEN_8086&DEV_15B8\n";

    fn folder() -> (tempfile::TempDir, Drivers) {
        let dir = tempfile::tempdir().unwrap();
        for (path, content) in [
            ("intel/net/e1d.INF", INF.to_owned()),
            ("intel/net/x64/e1d.sys", "driver".to_owned()),
            ("intel/gfx/igd.inf", INF.replace("15B8", "3E92")),
            ("intel/readme.txt", "x".to_owned()),
        ] {
            let path = dir.path().join("drivers").join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let drivers = Drivers::new(dir.path().join("drivers"));
        (dir, drivers)
    }

    fn ask(id: &str) -> DriverAsk {
        DriverAsk { processor: "amd64".into(), ids: vec![id.into()] }
    }

    #[test]
    fn a_folder_with_a_matching_inf_is_given_with_all_that_is_below_it() {
        let (dir, drivers) = folder();
        let reply = drivers.matching(&ask(r"pci\ven_8086&dev_15b8")).unwrap();
        let file = |path: &str, bytes| DriverFile { path: path.into(), bytes };
        assert_eq!(
            reply.folders,
            [DriverFolder {
                path: "intel/net".into(),
                files: vec![file("e1d.INF", INF.len() as u64), file("x64/e1d.sys", 6)]
            }]
        );
        assert_eq!(drivers.matching(&ask(r"PCI\VEN_10EC&DEV_8168")).unwrap(), DriverReply::default());
        // An INF that was replaced is read again.
        let gfx = dir.path().join("drivers/intel/gfx/igd.inf");
        fs::write(gfx, INF.replace("15B8", "8168&SUBSYS_1")).unwrap();
        let reply = drivers.matching(&ask(r"PCI\VEN_8086&DEV_8168&SUBSYS_1")).unwrap();
        assert_eq!(reply.folders.len(), 1);
    }

    #[test]
    fn without_a_folder_there_are_no_drivers() {
        let (dir, _) = folder();
        let drivers = Drivers::new(dir.path().join("nothing"));
        assert_eq!(drivers.matching(&ask("x")).unwrap(), DriverReply::default());
    }

    #[test]
    fn nothing_outside_of_the_folder_is_ever_named() {
        let (dir, drivers) = folder();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("drivers/up")).unwrap();
        std::os::unix::fs::symlink("../secret", dir.path().join("drivers/link")).unwrap();
        assert!(drivers.place("intel/net/e1d.INF").is_some());
        for path in
            ["../secret", "up/secret", "link", "/etc/passwd", "intel", "", "intel/../../secret", "a\0b"]
        {
            assert_eq!(drivers.place(path), None, "{path:?}");
        }
    }
}
