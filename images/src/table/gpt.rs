//! The GUID partition table: a header and an array of entries at the start of the disk, and both again at its end.

use uuid::Uuid;

use super::{Entry, Table, TableError, mbr};
use crate::blockdev::BlockDev;
use crate::chunk::is_zero;
use crate::le::{array, put, u32_at, u64_at};
use crate::manifest::{Identity, TableKind};

/// Reads the first intact copy; `None` if there is none.
pub(super) fn read(dev: &dyn BlockDev, sector_0: &[u8]) -> Result<Option<Table>, TableError> {
    let last = dev.len_bytes() / u64::from(dev.sector_bytes()) - 1;
    for at in [1, last] {
        if let Some(table) = read_copy(dev, at, sector_0)? {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

fn read_copy(dev: &dyn BlockDev, lba: u64, sector_0: &[u8]) -> Result<Option<Table>, TableError> {
    let sector = u64::from(dev.sector_bytes());
    let mut header = vec![0; dev.sector_bytes() as usize];
    dev.read_at(lba * sector, &mut header)?;
    let Some(place) = entries_place(&header, lba, sector, dev.len_bytes()) else { return Ok(None) };
    let mut raw = vec![0; place.count * place.size];
    dev.read_at(place.offset, &mut raw)?;
    if crc32fast::hash(&raw) != place.crc {
        return Ok(None);
    }
    let mut entries = Vec::new();
    for (number, raw) in (1u32..).zip(raw.chunks_exact(place.size)) {
        let type_guid: Option<[u8; 16]> = array(raw, 0);
        if type_guid.is_none_or(|t| is_zero(&t)) {
            continue;
        }
        if number > ENTRIES as u32 {
            return Err(TableError::Impossible("a GPT with more than 128 partitions"));
        }
        entries.push(
            parse_entry(raw, number).ok_or(TableError::Impossible("a GPT entry ends before it begins"))?,
        );
    }
    let disk = Uuid::from_bytes_le(array(&header, 56).unwrap_or_default());
    Ok(Some(Table { kind: TableKind::Gpt { disk }, boot_code: mbr::boot_code(sector_0), entries }))
}

struct EntriesPlace {
    offset: u64,
    count: usize,
    size: usize,
    crc: u32,
}

/// `None` if the header is not intact or names a place that cannot be.
fn entries_place(header: &[u8], lba: u64, sector: u64, len: u64) -> Option<EntriesPlace> {
    let header_len = u32_at(header, 12)? as usize;
    if array(header, 0) != Some(*MAGIC) || !(HEADER_BYTES..=header.len()).contains(&header_len) {
        return None;
    }
    let mut blank = header.get(..header_len)?.to_vec();
    put(&mut blank, 16, &[0; 4])?;
    if crc32fast::hash(&blank) != u32_at(header, 16)? || u64_at(header, 24)? != lba {
        return None;
    }
    let (count, size) = (u32_at(header, 80)?, u32_at(header, 84)?);
    if !(1..=1024).contains(&count) || !(128..=1024).contains(&size) || size % 128 != 0 {
        return None;
    }
    let offset = u64_at(header, 72)?.checked_mul(sector)?;
    let end = offset.checked_add(u64::from(count) * u64::from(size))?;
    (end <= len).then_some(EntriesPlace {
        offset,
        count: count as usize,
        size: size as usize,
        crc: u32_at(header, 88)?,
    })
}

fn parse_entry(raw: &[u8], number: u32) -> Option<Entry> {
    let (first_lba, last) = (u64_at(raw, 32)?, u64_at(raw, 40)?);
    let units: Vec<u16> =
        raw.get(56..128)?.as_chunks::<2>().0.iter().map(|u| u16::from_le_bytes(*u)).collect();
    let used = units.split(|u| *u == 0).next().unwrap_or_default();
    Some(Entry {
        number,
        identity: Identity::Gpt {
            type_guid: Uuid::from_bytes_le(array(raw, 0)?),
            unique: Uuid::from_bytes_le(array(raw, 16)?),
            name: String::from_utf16_lossy(used),
            attributes: u64_at(raw, 48)?,
        },
        first_lba,
        sectors: last.checked_sub(first_lba)?.checked_add(1)?,
    })
}

/// Backup first, then the entries, and only when those are durable the header and the protective MBR.
pub(super) fn write(dev: &dyn BlockDev, table: &Table, disk: Uuid) -> Result<(), TableError> {
    let sector = u64::from(dev.sector_bytes());
    let last = dev.len_bytes() / sector - 1;
    let entry_sectors = (ENTRIES * ENTRY_BYTES) as u64 / sector;
    let usable = 2 + entry_sectors..last - entry_sectors;
    let mut entries = vec![0; ENTRIES * ENTRY_BYTES];
    for entry in &table.entries {
        if entry.first_lba < usable.start || entry.first_lba + entry.sectors > usable.end {
            return Err(TableError::Impossible("a partition lies where the GPT itself lies"));
        }
        put_entry(&mut entries, entry).ok_or(TableError::Impossible("a partition does not suit a GPT"))?;
    }
    let header = |own: u64, other: u64, entries_lba: u64| {
        let mut header = vec![0; dev.sector_bytes() as usize];
        let mut fill = || {
            put(&mut header, 0, MAGIC)?;
            put(&mut header, 8, &0x0001_0000u32.to_le_bytes())?;
            put(&mut header, 12, &(HEADER_BYTES as u32).to_le_bytes())?;
            put(&mut header, 24, &own.to_le_bytes())?;
            put(&mut header, 32, &other.to_le_bytes())?;
            put(&mut header, 40, &usable.start.to_le_bytes())?;
            put(&mut header, 48, &(usable.end - 1).to_le_bytes())?;
            put(&mut header, 56, &disk.to_bytes_le())?;
            put(&mut header, 72, &entries_lba.to_le_bytes())?;
            put(&mut header, 80, &(ENTRIES as u32).to_le_bytes())?;
            put(&mut header, 84, &(ENTRY_BYTES as u32).to_le_bytes())?;
            put(&mut header, 88, &crc32fast::hash(&entries).to_le_bytes())?;
            let crc = crc32fast::hash(header.get(..HEADER_BYTES)?);
            put(&mut header, 16, &crc.to_le_bytes())
        };
        fill().map(|()| header).ok_or(TableError::Impossible("the sector is too small for a GPT header"))
    };
    let backup_entries = last - entry_sectors;
    dev.write_at(backup_entries * sector, &entries)?;
    dev.write_at(last * sector, &header(last, 1, backup_entries)?)?;
    dev.write_at(2 * sector, &entries)?;
    dev.sync()?;
    dev.write_at(sector, &header(1, last, 2)?)?;
    dev.write_at(0, &mbr::protective(dev, &table.boot_code)?)?;
    dev.sync()?;
    Ok(())
}

fn put_entry(entries: &mut [u8], entry: &Entry) -> Option<()> {
    let Identity::Gpt { type_guid, unique, name, attributes } = &entry.identity else { return None };
    let at = (entry.number as usize).checked_sub(1).filter(|n| *n < ENTRIES)? * ENTRY_BYTES;
    put(entries, at, &type_guid.to_bytes_le())?;
    put(entries, at + 16, &unique.to_bytes_le())?;
    put(entries, at + 32, &entry.first_lba.to_le_bytes())?;
    put(entries, at + 40, &(entry.first_lba + entry.sectors - 1).to_le_bytes())?;
    put(entries, at + 48, &attributes.to_le_bytes())?;
    for (n, unit) in name.encode_utf16().take(36).enumerate() {
        put(entries, at + 56 + n * 2, &unit.to_le_bytes())?;
    }
    Some(())
}

pub(super) const ENTRIES: usize = 128;
pub(super) const ENTRY_BYTES: usize = 128;
const MAGIC: &[u8; 8] = b"EFI PART";
const HEADER_BYTES: usize = 92;
