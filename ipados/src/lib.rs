//! What an iPad can be told, without saying it: pure, no I/O, no clock.
//!
//! | Module               | What it does                                                                  |
//! |----------------------|-------------------------------------------------------------------------------|
//! | [`apps`]             | the content token of Apps and Books, configurations of apps                     |
//! | [`catalogue`]        | every restriction that Apple knows, from Apple's own schema                   |
//! | [`profile`]          | configuration profiles: typed payloads in, a property list out                |
//! | [`rules`]            | one set of rules for each iPad, merged from everybody who has a say           |
//! | [`os`], [`values`]   | versions of the system; names, addresses and secrets that are parsed once     |
//!
//! `mdm` sends it, the pages show and check it before.

pub mod apps;
pub mod catalogue;
pub mod os;
pub mod profile;
pub mod rules;
pub mod secret;
pub mod values;
