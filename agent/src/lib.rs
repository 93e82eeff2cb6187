//! The program on a managed PC.

pub mod client;
pub mod clock;
pub mod cmdline;
pub mod hardware;
pub mod identity;
pub mod modules;
pub mod net;
pub mod screen;
pub mod sys;
