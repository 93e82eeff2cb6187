//! Laying drivers down on the drive of a Windows.

use std::io;

use images::protocol::DriverFolder;

use super::super::DriverSource;
use super::super::tree::Tree;
use super::Rights;

/// Folder on the drive of Windows. Everybody who uses the PC may read it, only administrators may write.
pub(super) const FOLDER: &str = "Drivers/Hausmeister";

/// Fetches what this PC needs. Returns the names of the folders below [`FOLDER`] that hold an INF file, or the path that made
/// trouble, and which.
pub(super) fn lay_down(
    tree: &Tree,
    processor: &str,
    source: &dyn DriverSource,
) -> Result<Vec<String>, (String, io::Error)> {
    let folders = source.matching(processor).map_err(|said| (FOLDER.to_owned(), io::Error::other(said)))?;
    let rights = Rights::readable();
    let mut names = Vec::new();
    for (number, folder) in (1..).zip(&folders) {
        let name = name_of(number, folder);
        for file in &folder.files {
            let path = format!("{FOLDER}/{name}/{}", file.path);
            let from = if folder.path.is_empty() {
                file.path.clone()
            } else {
                format!("{}/{}", folder.path, file.path)
            };
            let fetch = || {
                let mut content = source.open(&from).map_err(io::Error::other)?;
                tree.write_stream(&path, &mut content, file.bytes, &rights)
            };
            let done = match is_windows_path(&file.path) {
                // A connection that breaks off in the middle of a file is worth another try.
                true => fetch().or_else(|_| fetch()).or_else(|_| fetch()),
                false => Err(io::Error::other(
                    "Windows takes no such name: rename it in the server's folder of drivers",
                )),
            };
            done.map_err(|error| (path, error))?;
        }
        names.push(name);
    }
    Ok(names)
}

/// Short, since Windows searches through a list of these, and different for every folder.
fn name_of(number: usize, folder: &DriverFolder) -> String {
    let last = folder.path.rsplit('/').next().unwrap_or_default();
    let plain: String = last.chars().filter(|c| c.is_ascii_alphanumeric()).take(NAME_CHARS_MAX).collect();
    format!("{number:02}-{plain}").trim_end_matches('-').to_owned()
}

/// Whether every part is a name that Windows takes
/// (learn.microsoft.com/windows/win32/fileio/naming-a-file).
fn is_windows_path(path: &str) -> bool {
    let good = |part: &str| {
        !part.is_empty()
            && part.len() <= 255
            && !part.ends_with(['.', ' '])
            && !part.contains(|c: char| c.is_control() || "<>:\"\\|?*".contains(c))
    };
    path.len() <= PATH_BYTES_MAX && path.split('/').all(good)
}

const NAME_CHARS_MAX: usize = 24;
/// With what stands before it, below the 260 that programs of Windows can count on.
const PATH_BYTES_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_windows_takes_are_laid_down() {
        for (path, good) in [
            ("e1d.inf", true),
            ("x64/e1d.sys", true),
            ("..", false),
            ("a/../b", false),
            ("a//b", false),
            ("c:x", false),
            ("a\\b", false),
            ("a ", false),
            ("", false),
        ] {
            assert_eq!(is_windows_path(path), good, "{path:?}");
        }
    }

    #[test]
    fn folders_get_short_names_of_their_own() {
        let name = |path: &str| name_of(3, &DriverFolder { path: path.into(), files: Vec::new() });
        assert_eq!(name("intel/net (v2)/PRO 1000"), "03-PRO1000");
        assert_eq!(name(""), "03");
    }
}
