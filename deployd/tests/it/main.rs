//! deployd from the outside: real sockets, real TLS, a real database and store in a temporary folder.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests are tests, too"
)]

mod access;
mod boot;
mod capture;
mod deploy;
mod drivers;
mod faults;
mod keep;
mod night;
mod programs;
mod room;
mod software;
mod support;
mod tls;
mod upstream;
mod upstream_place;
mod waiting;
mod wake;
mod windows;
