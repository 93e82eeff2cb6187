//! What the resident agent asks of the system that it runs on. Each system has a folder with the same names in it:
//!
//! | Name                                              | What it is                                                      |
//! |---------------------------------------------------|-----------------------------------------------------------------|
//! | `Pc`                                              | the PC as programs are installed on it: what is there, who is signed in, restart |
//! | `Process`, `Ended`                                | a command without a shell, ended with all that it started        |
//! | `private_folder`, `private_file`, `put_in_place`, `free_bytes` | files that are on the disk when they are said to be, for nobody else |
//! | `config_dir`, `kept_identity`, `hardware`, `describe` | where the deploy left what the agent needs, who this PC is, what it is |
//! | `say`, `announce`                                 | for people                                                      |
//! | `called`                                          | what the program does there besides                              |

/// The service's name on Windows.
pub const WINDOWS_SERVICE: &str = "HausmeisterAgent";
/// The agent's folder on Windows, below `%ProgramFiles%` and below `%ProgramData%`.
pub const WINDOWS_FOLDER: &str = "Hausmeister";
/// Where a PC's own notes lie below the latter; a copied system has none.
pub const WINDOWS_NOTES: &str = "software";

#[cfg(unix)]
mod linux;
mod output;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub use linux::*;
#[cfg(windows)]
pub use windows::*;
