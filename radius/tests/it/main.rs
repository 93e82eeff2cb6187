//! The daemon with Debian's FreeRADIUS, asked by Debian's `eapol_test` and `radclient` as an access point asks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

mod devices;
mod faults;
mod people;
mod supplicant;
mod support;
