//! Disk images: how they are described, stored, captured and deployed.
//!
//! | Module       | What it knows                                                            |
//! |--------------|--------------------------------------------------------------------------|
//! | [`blockdev`] | disks: block devices, plain files, memory                                |
//! | [`bootenv`]  | what PCs boot from the network: initramfs, kernel, boot loaders          |
//! | [`chunk`]    | 64 KiB of a partition, its hash and its compressed form                  |
//! | [`used`]     | which bytes of ext, FAT, NTFS and swap matter                            |
//! | [`table`]    | GPT and MBR partition tables                                             |
//! | [`manifest`] | the signed description of one image                                      |
//! | [`store`]    | the server's chunks and manifests on disk                                |
//! | [`published`] | what lies where other servers fetch images from (pure)                  |
//! | [`capture`]  | disk to chunks and manifest                                              |
//! | [`layout`]   | where an image's partitions go on another disk                           |
//! | [`deploy`]   | manifest and chunks to disk, resumable                                   |
//! | [`reserved`] | the MiB of a managed disk that images leave alone: device key and journal |
//! | [`swarm`]    | who gets which part of an image from whom (pure)                         |
//! | [`disks`]    | which disk of a PC is the one to write                                   |
//! | [`hive`]     | registry files of an installed Windows (pure)                            |
//! | [`drivers`]  | which Windows drivers a PC needs (pure)                                  |
//! | [`protocol`] | the messages between agent and `deployd`                                 |
//!
//! The resident agent of a Windows uses the part that does not touch disks; what does is built for Linux alone.

pub mod blockdev;
#[cfg(unix)]
pub mod bootenv;
pub mod capture;
pub mod chunk;
pub mod deploy;
pub mod disks;
pub mod drivers;
pub mod hex;
pub mod hive;
pub mod layout;
mod le;
pub mod manifest;
pub mod protocol;
#[cfg(unix)]
pub mod published;
pub mod reserved;
#[cfg(unix)]
pub mod store;
pub mod swarm;
pub mod table;
pub mod used;
