//! The program on a managed PC.

pub mod client;
pub mod clock;
pub mod cmdline;
pub mod drivers;
pub mod efi;
pub mod hardware;
pub mod identity;
pub mod init;
pub mod job;
pub mod line;
pub mod machine;
pub mod modules;
pub mod net;
pub mod personalise;
pub mod resident;
pub mod screen;
pub mod session;
pub mod software;
pub mod swarm;
pub mod sys;
pub mod tpm;
