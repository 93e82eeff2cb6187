//! The master boot record: 440 bytes of code, a signature, four entries.

use super::{Entry, Table, TableError};
use crate::blockdev::BlockDev;
use crate::le::{array, put, u8_at, u32_at};
use crate::manifest::{BOOT_CODE_BYTES, Identity, TableKind};

/// Whether one of the entries is the protective one of a GPT.
pub(super) fn announces_gpt(sector: &[u8]) -> bool {
    array(sector, 510) == Some(MAGIC) && (0..4).any(|n| u8_at(sector, ENTRIES_AT + n * 16 + 4) == Some(0xee))
}

pub(super) fn read(sector: &[u8]) -> Result<Option<Table>, TableError> {
    if array(sector, 510) != Some(MAGIC) {
        return Ok(None);
    }
    let mut entries = Vec::new();
    for n in 0..4u32 {
        let at = ENTRIES_AT + n as usize * 16;
        let (Some(flag), Some(type_byte)) = (u8_at(sector, at), u8_at(sector, at + 4)) else {
            return Ok(None);
        };
        // The boot sector of a file system without a table ends with the same two bytes; its text is no flag.
        if flag & 0x7f != 0 {
            return Ok(None);
        }
        let (first, count) = (u32_at(sector, at + 8).unwrap_or(0), u32_at(sector, at + 12).unwrap_or(0));
        match type_byte {
            0 => continue,
            0x05 | 0x0f | 0x85 => return Err(TableError::Extended),
            _ => entries.push(Entry {
                number: n + 1,
                identity: Identity::Mbr { type_byte, active: flag == 0x80 },
                first_lba: u64::from(first),
                sectors: u64::from(count),
            }),
        }
    }
    if entries.is_empty() {
        return Ok(None);
    }
    let signature = u32_at(sector, BOOT_CODE_BYTES).unwrap_or(0);
    Ok(Some(Table { kind: TableKind::Mbr { signature }, boot_code: boot_code(sector), entries }))
}

pub(super) fn boot_code(sector: &[u8]) -> [u8; BOOT_CODE_BYTES] {
    array(sector, 0).unwrap_or([0; BOOT_CODE_BYTES])
}

pub(super) fn write(dev: &dyn BlockDev, table: &Table, signature: u32) -> Result<(), TableError> {
    let mut records = Vec::new();
    for entry in &table.entries {
        let Identity::Mbr { type_byte, active } = entry.identity else {
            return Err(TableError::Impossible("an entry of another kind of table"));
        };
        let (Ok(first), Ok(count)) = (u32::try_from(entry.first_lba), u32::try_from(entry.sectors)) else {
            return Err(TableError::Impossible("an MBR cannot describe partitions beyond 2^32 sectors"));
        };
        records.push((entry.number, if active { 0x80 } else { 0 }, type_byte, first, count));
    }
    let sector = sector(dev, &table.boot_code, signature, &records)?;
    dev.write_at(0, &sector)?;
    dev.sync()?;
    Ok(())
}

/// The MBR in front of a GPT: one entry over the whole disk, for programs that know no GPT.
pub(super) fn protective(
    dev: &dyn BlockDev,
    boot_code: &[u8; BOOT_CODE_BYTES],
) -> Result<Vec<u8>, TableError> {
    let sectors = dev.len_bytes() / u64::from(dev.sector_bytes());
    let count = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    sector(dev, boot_code, 0, &[(1, 0, 0xee, 1, count)])
}

/// Number, flag, type, first sector, sectors.
type RawEntry = (u32, u8, u8, u32, u32);

fn sector(
    dev: &dyn BlockDev,
    boot_code: &[u8; BOOT_CODE_BYTES],
    signature: u32,
    entries: &[RawEntry],
) -> Result<Vec<u8>, TableError> {
    let mut sector = vec![0; dev.sector_bytes() as usize];
    let mut write = || {
        put(&mut sector, 0, boot_code)?;
        put(&mut sector, BOOT_CODE_BYTES, &signature.to_le_bytes())?;
        for (number, flag, type_byte, first, count) in entries {
            let at = ENTRIES_AT + (*number as usize).checked_sub(1).filter(|n| *n < 4)? * 16;
            // Cylinder, head and sector that say "look at the 32-bit numbers"; the protective entry has its own start.
            let start = if *type_byte == 0xee { [0x00, 0x02, 0x00] } else { CHS_BEYOND };
            put(&mut sector, at, &[*flag])?;
            put(&mut sector, at + 1, &start)?;
            put(&mut sector, at + 4, &[*type_byte])?;
            put(&mut sector, at + 5, if *type_byte == 0xee { &[0xff; 3] } else { &CHS_BEYOND })?;
            put(&mut sector, at + 8, &first.to_le_bytes())?;
            put(&mut sector, at + 12, &count.to_le_bytes())?;
        }
        put(&mut sector, 510, &MAGIC)
    };
    write().ok_or(TableError::Impossible("an MBR has four entries"))?;
    Ok(sector)
}

const ENTRIES_AT: usize = 446;
const MAGIC: [u8; 2] = [0x55, 0xaa];
const CHS_BEYOND: [u8; 3] = [0xfe, 0xff, 0xff];
