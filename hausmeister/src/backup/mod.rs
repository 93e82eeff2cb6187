//! Backups: every night, of everything, into a place that nobody can read without the recovery phrase; and the way back.
//!
//! restic does the storing ([`restic`]). What to do when is decided in [`schedule`]; a backup is made and looked at in [`place`], brought
//! back in [`restore`]. The [`Keeper`] runs beside the daemons: it does what is due and what people ask for on the page, and writes
//! down what became of it.

pub mod command;
pub mod config;
mod keeper;
pub mod phrase;
pub mod place;
pub mod restic;
pub mod restore;
pub mod schedule;

pub use keeper::Keeper;
