//! The image engine with real file systems, partition tables and power cuts.
//!
//! File systems are made and checked by their own tools (`make deps` installs them); everything lies in plain files.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy.toml allows these in test functions; this is all test code, helpers included"
)]

mod differential;
mod disk;
mod filesystems;
mod hive;
mod killed;
mod power;
mod roundtrip;
mod tables;
mod tools;
