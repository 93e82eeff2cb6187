//! The program on a managed PC.
//!
//! The boot environment is a Linux, so everything that only happens there is built for Linux alone. What the resident agent asks of
//! an installed system is in [`system`], once for each.

pub mod client;
pub mod clock;
#[cfg(unix)]
pub mod cmdline;
#[cfg(unix)]
pub mod drivers;
#[cfg(unix)]
pub mod efi;
#[cfg(unix)]
pub mod hardware;
pub mod identity;
#[cfg(unix)]
pub mod init;
#[cfg(unix)]
pub mod job;
#[cfg(unix)]
pub mod line;
#[cfg(unix)]
pub mod machine;
#[cfg(unix)]
pub mod modules;
#[cfg(unix)]
pub mod net;
#[cfg(unix)]
pub mod personalise;
pub mod resident;
#[cfg(unix)]
pub mod screen;
#[cfg(unix)]
pub mod session;
pub mod smbios;
pub mod software;
#[cfg(unix)]
pub mod swarm;
#[cfg(unix)]
pub mod sys;
pub mod system;
#[cfg(unix)]
pub mod tpm;
