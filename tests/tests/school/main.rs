//! A school's server and its clients with real parts only, in network namespaces of their own. Needs root, the programs in
//! the folder of the build, and the Debian packages that `make test` installs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

mod backup;
mod boot_ways;
mod check;
mod full_disk;
mod pages;
mod processes;
mod support;
mod windows;
