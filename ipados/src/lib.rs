//! What an iPad can be told, without saying it: pure, no I/O, no clock.
//!
//! | Module               | What it does                                                                  |
//! |----------------------|-------------------------------------------------------------------------------|
//! | [`catalogue`]        | every restriction that Apple knows, from Apple's own schema                   |
//! | [`profile`]          | configuration profiles: typed payloads in, a property list out                |
//! | [`rules`]            | one set of rules for each iPad, merged from everybody who has a say           |
//! | [`ber`], [`cms`], [`x509`] | signed and encrypted messages as Apple's devices and services make them |
//! | [`services`]         | what Apple's services hand out: certificates and tokens, read and asked for   |
//! | [`os`], [`values`]   | versions of the system; names, addresses and secrets that are parsed once     |
//!
//! `mdm` sends it, the pages show and check it before.

pub mod ber;
pub mod catalogue;
pub mod cms;
pub mod os;
pub mod profile;
pub mod rules;
pub mod secret;
pub mod services;
pub mod values;
pub mod x509;
