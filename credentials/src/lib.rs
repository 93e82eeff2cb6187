//! What a school and Apple prove themselves with. No I/O, no clock.
//!
//! | Module                     | What it does                                                                    |
//! |----------------------------|---------------------------------------------------------------------------------|
//! | [`ber`], [`cms`], [`x509`] | signed and encrypted messages as Apple's devices and services make them         |
//! | [`services`]               | what Apple's services hand out: certificates and tokens, read and asked for     |
//!
//! `mdm` uses it with iPads, the pages with the files that an admin brings.

pub mod ber;
pub mod cms;
pub mod services;
pub mod x509;
