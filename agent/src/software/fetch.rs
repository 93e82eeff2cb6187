//! Files of packages: continued where they broke off, and of no use before their hash is right.

use std::fs::{self, File};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use software::package::{FileHash, Package, PackageFile};

use super::{Pc, facts, say};
use crate::client::{Client, ClientError};
use crate::system;

/// Why a file is not there.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("{name}: the disk lacks {missing} bytes; free some space")]
    NoSpace { name: String, missing: u64 },
    #[error("{name}: what came is not what the catalogue names; upload the file again")]
    Damaged { name: String },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the file cannot be written: {0}")]
    Disk(#[from] io::Error),
}

/// The folder of a package's files.
pub(super) fn folder(pc: &Pc, package: &Package) -> PathBuf {
    pc.cache.join(package.id.as_str())
}

/// Brings all files of a package into its folder.
pub(super) fn fetch(pc: &Pc, client: &Client, package: &Package) -> Result<(), FetchError> {
    let folder = folder(pc, package);
    system::private_folder(&folder)?;
    package.files.iter().try_for_each(|file| one(client, &folder, file))
}

/// Removes what was fetched.
pub(super) fn drop_files(pc: &Pc, package: &Package) {
    // What stays is found again, or lies in a cache.
    let _ = fs::remove_dir_all(folder(pc, package));
}

fn one(client: &Client, folder: &Path, file: &PackageFile) -> Result<(), FetchError> {
    let path = folder.join(file.name.as_str());
    if is_right(&path, file) {
        return Ok(());
    }
    let part = folder.join(format!("{PART}{}", file.hash));
    let have = || fs::metadata(&part).map_or(0, |about| about.len());
    loop {
        let before = have();
        match go_on(client, folder, &part, file) {
            // A break is no failure as long as something comes.
            Err(FetchError::Client(error)) if have() >= before + PROGRESS_BYTES => say(&error.to_string()),
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    Ok(system::put_in_place(&part, &path)?)
}

/// Fetches what is missing of a file, and looks whether it is the right one.
fn go_on(client: &Client, folder: &Path, part: &Path, file: &PackageFile) -> Result<(), FetchError> {
    let mut partial = system::private_file(part)?;
    let mut have = partial.metadata()?.len();
    if have > file.size {
        have = 0;
    }
    let free = system::free_bytes(folder)?;
    let needed = file.size.saturating_sub(have).saturating_add(SPARE_BYTES);
    if free < needed {
        return Err(FetchError::NoSpace { name: file.name.to_string(), missing: needed - free });
    }
    if have < file.size {
        let (from, reader) = client.program_file(&file.hash.to_string(), have)?;
        partial.set_len(from)?;
        partial.seek(io::SeekFrom::Start(from))?;
        // One byte more than named is enough to see that it is too much.
        copy(&mut reader.take(file.size - from + 1), &mut partial)?;
    }
    partial.sync_all()?;
    let came = partial.metadata()?.len();
    // Windows neither moves nor removes a file that is open.
    drop(partial);
    if came < file.size {
        return Err(ClientError::Answer("the file ended early").into());
    }
    if !is_right(part, file) {
        fs::remove_file(part)?;
        return Err(FetchError::Damaged { name: file.name.to_string() });
    }
    Ok(())
}

/// A connection that breaks leaves what came; the disk's own failures are told apart.
fn copy(reader: &mut impl Read, file: &mut File) -> Result<(), FetchError> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(ClientError::Unreachable(error.to_string()).into()),
        };
        file.write_all(buffer.get(..count).unwrap_or_default())?;
    }
}

fn is_right(path: &Path, file: &PackageFile) -> bool {
    let len = fs::symlink_metadata(path).map_or(0, |about| if about.is_file() { about.len() } else { 0 });
    len == file.size && facts::hashes(path).is_ok_and(|hashes: [FileHash; 2]| hashes.contains(&file.hash))
}

/// No file of a package is called so: their names do not begin with a dot.
const PART: &str = ".part-";
/// So much has to come for a break to be no failure.
const PROGRESS_BYTES: u64 = 64 << 10;
/// A system without any space left is no use to anybody.
const SPARE_BYTES: u64 = 256 << 20;
