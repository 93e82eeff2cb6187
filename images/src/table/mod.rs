//! Partition tables: GPT (UEFI specification 2.10, chapter 5) and MBR with primary partitions.
//!
//! Reading trusts nothing and writes nothing. Writing lays a new table down such that a disk with half a table does not
//! boot: the sector that firmware looks at first comes last. Not done: extended ("logical") MBR partitions, hybrid MBRs.

mod gpt;
mod mbr;

use std::io;

use crate::blockdev::BlockDev;
use crate::chunk::is_zero;
use crate::manifest::{BOOT_CODE_BYTES, Identity, TableKind};

/// What a disk says about its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Kind and identity.
    pub kind: TableKind,
    /// Code that a BIOS starts.
    pub boot_code: [u8; BOOT_CODE_BYTES],
    /// The partitions, ascending by place.
    pub entries: Vec<Entry>,
}

/// One partition of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Place in the table, counted from 1.
    pub number: u32,
    /// Types and names.
    pub identity: Identity,
    /// First sector.
    pub first_lba: u64,
    /// Length in sectors.
    pub sectors: u64,
}

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The protective MBR announces a GPT, and neither of its copies is intact.
    #[error("the disk has a GPT and both of its copies are damaged; repair it with gdisk or sgdisk --verify")]
    DamagedGpt,
    /// An extended partition.
    #[error("the disk has an extended MBR partition, which images cannot hold; convert the disk to GPT")]
    Extended,
    /// Entries that overlap or lead beyond the disk.
    #[error("the partition table is impossible: {0}")]
    Impossible(&'static str),
    /// The disk is too small to hold a table.
    #[error("a disk of {0} bytes cannot hold a partition table")]
    DiskTooSmall(u64),
    /// The disk cannot be read or written.
    #[error("the disk cannot be read or written")]
    Io(#[from] io::Error),
}

/// Reads the table. `None` for a disk without one.
///
/// # Errors
/// See [`TableError`].
pub fn read(dev: &dyn BlockDev) -> Result<Option<Table>, TableError> {
    let sector = u64::from(dev.sector_bytes());
    if dev.len_bytes() < sector * 4 || !matches!(sector, 512 | 4096) {
        return Ok(None);
    }
    let mut first = vec![0; SECTOR_0_BYTES];
    dev.read_at(0, &mut first)?;
    let gpt = gpt::read(dev, &first)?;
    let table = match gpt {
        Some(table) => table,
        None if mbr::announces_gpt(&first) => return Err(TableError::DamagedGpt),
        None => match mbr::read(&first)? {
            Some(table) => table,
            None => return Ok(None),
        },
    };
    checked(table, dev.len_bytes() / sector).map(Some)
}

/// Writes the table over whatever is there, and returns once it is durable.
///
/// # Errors
/// See [`TableError`].
pub fn write(dev: &dyn BlockDev, table: &Table) -> Result<(), TableError> {
    let sectors = dev.len_bytes() / u64::from(dev.sector_bytes().max(1));
    if sectors < 2 * reserved_sectors(dev.sector_bytes()) {
        return Err(TableError::DiskTooSmall(dev.len_bytes()));
    }
    let table = checked(table.clone(), sectors)?;
    match table.kind {
        TableKind::Gpt { disk } => gpt::write(dev, &table, disk),
        TableKind::Mbr { signature } => mbr::write(dev, &table, signature),
    }
}

/// Erases every trace of a partition table at both ends of the disk, so that firmware finds nothing to start.
///
/// # Errors
/// See [`TableError`].
pub fn wipe(dev: &dyn BlockDev) -> Result<(), TableError> {
    let sector = u64::from(dev.sector_bytes());
    let size = reserved_sectors(dev.sector_bytes()) * sector;
    let end = dev.len_bytes() / sector.max(1) * sector;
    let Some(backup) = end.checked_sub(size).filter(|b| *b >= size) else {
        return Err(TableError::DiskTooSmall(dev.len_bytes()));
    };
    let zeros = vec![0; usize::try_from(size).unwrap_or(0)];
    dev.write_at(0, &zeros)?;
    dev.sync()?;
    dev.write_at(backup, &zeros)?;
    dev.sync()?;
    Ok(())
}

/// Whether the start of the disk holds neither a table nor anything else.
///
/// # Errors
/// The disk cannot be read.
pub fn is_blank(dev: &dyn BlockDev) -> io::Result<bool> {
    let mut start = vec![0; usize::try_from(dev.len_bytes().min(BLANK_BYTES)).unwrap_or(0)];
    dev.read_at(0, &mut start)?;
    Ok(is_zero(&start))
}

/// Sectors at the start of the disk that a GPT takes; at its end it takes one less.
pub fn reserved_sectors(sector_bytes: u32) -> u64 {
    2 + (gpt::ENTRIES * gpt::ENTRY_BYTES) as u64 / u64::from(sector_bytes.max(512))
}

/// Sorts by place and refuses what cannot be.
fn checked(mut table: Table, sectors: u64) -> Result<Table, TableError> {
    table.entries.sort_by_key(|e| e.first_lba);
    let mut free_from = 1;
    for entry in &table.entries {
        if entry.first_lba < free_from {
            return Err(TableError::Impossible("partitions overlap each other or the table"));
        }
        free_from = match entry.first_lba.checked_add(entry.sectors) {
            Some(end) if entry.sectors > 0 && end <= sectors => end,
            _ => return Err(TableError::Impossible("a partition is empty or ends beyond the disk")),
        };
    }
    Ok(table)
}

/// What [`read`] needs of the first sector, whatever the sector size.
const SECTOR_0_BYTES: usize = 512;
const BLANK_BYTES: u64 = 1 << 20;
