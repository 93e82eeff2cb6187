//! The admin's command: sets a server up, runs it, checks it, and shows it off in a school in a box.

pub mod backup;
pub mod boot_environment;
pub mod browser;
pub mod check;
pub mod cli;
pub mod demo;
pub mod doctor;
pub mod host;
pub mod image;
pub mod init;
pub mod up;
pub mod vm;
