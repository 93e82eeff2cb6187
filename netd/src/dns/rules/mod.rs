//! What a client may look up: lists of names, and what follows from them. No socket, no file, no clock.
//!
//! `formats` reads lists, `table` keeps them, `policy` decides.

mod formats;
mod policy;
mod table;

pub(crate) use formats::{Reader, Report};
pub(crate) use policy::{Builder, Reason, Rules, Ruling, Target, Then};
pub(crate) use table::Names;
