//! The list of installed programs, as the registry has it for both kinds of programs.
//! <https://learn.microsoft.com/en-us/windows/win32/msi/uninstall-registry-key>

use std::io;

use software::package::Program;
use windows_registry::{Key, LOCAL_MACHINE};

use super::registry::{View, text};

/// All entries, those of 64 bits first. What users installed for themselves is not among them.
///
/// # Errors
/// The registry does not say what is there. That is not taken for a PC on which nothing is.
pub(super) fn installed() -> io::Result<Vec<Program>> {
    let mut programs = Vec::new();
    for view in [View::Bits64, View::Bits32] {
        let list = match LOCAL_MACHINE.options().read().access(view.access()).open(LIST) {
            Ok(list) => list,
            // A system on which nothing was installed with an installer of that kind.
            Err(error) if error.code().0 == FILE_NOT_FOUND => continue,
            Err(error) => return Err(io::Error::other(error)),
        };
        for name in list.keys().map_err(io::Error::other)?.take(ENTRIES_MAX) {
            // One that goes away meanwhile is not there.
            let Ok(key) = list.options().read().access(view.access()).open(&name) else { continue };
            programs.extend(program(&name, &key));
        }
    }
    Ok(programs)
}

fn program(name: &str, key: &Key) -> Option<Program> {
    let value = |name: &str| text(key, name).filter(|text| !text.is_empty());
    Some(Program {
        key: name.parse().ok()?,
        name: value("DisplayName").unwrap_or_default(),
        version: value("DisplayVersion").and_then(|version| version.parse().ok()),
        uninstall: value("UninstallString"),
        quiet_uninstall: value("QuietUninstallString"),
    })
}

const LIST: &str = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall";
const ENTRIES_MAX: usize = 20_000;
/// `HRESULT_FROM_WIN32(ERROR_FILE_NOT_FOUND)`
const FILE_NOT_FOUND: i32 = 0x8007_0002_u32.cast_signed();
