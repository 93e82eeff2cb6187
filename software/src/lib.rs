//! Programs on PCs: what there is, what a PC should have, and how one step of it is carried out. Pure: no I/O, no clock.
//!
//! | Module      | What it does                                                                                     |
//! |-------------|--------------------------------------------------------------------------------------------------|
//! | [`package`] | an entry of the catalogue: files by hash, commands without a shell, exit codes, how it is detected |
//! | [`plan`]    | from wishes and what a PC has to ordered steps, each with its reason, and problems with theirs      |
//! | [`run`]     | one step on the PC: told what happened, it answers with effects; survives restarts                 |
//! | [`turn`]    | what the server gives a PC next, after what became of earlier steps                                |
//! | [`protocol`]| what the two say to each other                                                                    |
//! | [`import`]  | drafts of packages from winget manifests, `.deb` and MSI files                                      |
//!
//! The server plans, the resident agent runs; people complete drafts in a form.

pub mod import;
pub mod package;
pub mod plan;
pub mod protocol;
pub mod run;
pub mod turn;
