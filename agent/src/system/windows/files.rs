//! Folders and files that only the system and administrators read, and that are on the disk when a function has returned.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::{config_dir, raw};

/// Makes a folder that nobody else may read, with those above it.
///
/// # Errors
/// It cannot be made or protected, or something else is there: users may make folders below `%ProgramData%`, and links are folders too.
pub fn private_folder(folder: &Path) -> io::Result<()> {
    let ours = config_dir();
    let above: Vec<&Path> = folder.ancestors().take_while(|path| path.starts_with(&ours)).collect();
    for path in above.into_iter().rev() {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let about = fs::symlink_metadata(path)?;
        if about.is_symlink() || !about.is_dir() {
            return Err(io::Error::other(format!("{} is no folder; remove it", path.display())));
        }
        raw::make_private(path)?;
    }
    Ok(())
}

/// Opens a file for writing, as it is; made if it is not there. Who may read it is said by its folder.
///
/// # Errors
/// It cannot be opened or made.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

/// Gives a file its name in the same folder, in place of one that was called so. Durable when it returns.
///
/// # Errors
/// It cannot be renamed.
pub fn put_in_place(from: &Path, to: &Path) -> io::Result<()> {
    raw::move_file(from, to)
}

/// What may still be written to the volume of a folder, in bytes.
///
/// # Errors
/// It does not say.
pub fn free_bytes(folder: &Path) -> io::Result<u64> {
    raw::free_bytes(folder)
}
