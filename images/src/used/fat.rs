//! FAT12, FAT16 and FAT32: the boot sector and the first file allocation table.
//!
//! Source: Microsoft, "FAT: General Overview of On-Disk Format", version 1.03. exFAT is another format and is not read.

use super::{FsKind, Part, Ranges, Used, UsedError};
use crate::le::{array, u8_at, u16_at, u32_at};

/// The numbers of the boot sector, checked against each other and the partition.
struct Shape {
    cluster: u64,
    /// Offset of the first FAT.
    fat: u64,
    fat_bytes: u64,
    /// Offset of cluster 2.
    data: u64,
    clusters: u64,
    fs_bytes: u64,
    serial: u32,
    width: Width,
}

pub(super) fn map(part: &Part<'_>, head: &[u8]) -> Result<Option<Used>, UsedError> {
    let Some(shape) = shape(part, head) else { return Ok(None) };
    let mut ranges = Ranges::default();
    // Boot sector, spare boot sector, both FATs and the root directory of FAT12/16.
    ranges.push(0..shape.data);
    let width = shape.width;
    let mut cluster = 2;
    let mut run: Option<u64> = None;
    let at = |cluster: u64| shape.data + (cluster - 2) * shape.cluster;
    while cluster < shape.clusters + 2 {
        // A FAT12 entry is 12 bits, so pieces begin at even clusters.
        let skip = cluster * width.bits() / 8;
        let want = (shape.fat_bytes - skip).min(FAT_PIECE);
        let Some(piece) = part.bytes(shape.fat + skip, usize::try_from(want).unwrap_or(0))? else {
            return Ok(None);
        };
        let count = (want * 8 / width.bits()).min(shape.clusters + 2 - cluster);
        if count == 0 {
            return Ok(None);
        }
        for n in 0..count {
            let used = width.is_used(&piece, usize::try_from(n).unwrap_or(0));
            match (used, run) {
                (true, None) => run = Some(cluster + n),
                (false, Some(from)) => {
                    ranges.push(at(from)..at(cluster + n));
                    run = None;
                }
                _ => {}
            }
        }
        cluster += count;
    }
    if let Some(from) = run {
        ranges.push(at(from)..at(cluster));
    }
    ranges.truncate(part.len);
    Ok(Some(Used {
        kind: FsKind::Fat,
        block_bytes: u32::try_from(shape.cluster).unwrap_or(0),
        uuid: Some(format!("{:04X}-{:04X}", shape.serial >> 16, shape.serial & 0xffff)),
        fs_bytes: shape.fs_bytes,
        ranges,
        whole_because: None,
    }))
}

#[derive(Clone, Copy)]
enum Width {
    Fat12,
    Fat16,
    Fat32,
}

impl Width {
    fn bits(self) -> u64 {
        match self {
            Width::Fat12 => 12,
            Width::Fat16 => 16,
            Width::Fat32 => 32,
        }
    }

    /// Whether entry `n` of the piece names a cluster with content. A bad cluster has none, and reading it may fail.
    fn is_used(self, piece: &[u8], n: usize) -> bool {
        match self {
            Width::Fat12 => {
                let pair = u16_at(piece, n + n / 2).unwrap_or(0);
                let entry = if n.is_multiple_of(2) { pair & 0xfff } else { pair >> 4 };
                entry != 0 && entry != 0xff7
            }
            Width::Fat16 => !matches!(u16_at(piece, n * 2), Some(0 | 0xfff7) | None),
            // The upper four bits are reserved.
            Width::Fat32 => {
                !matches!(u32_at(piece, n * 4).map(|e| e & 0x0fff_ffff), Some(0 | 0x0fff_fff7) | None)
            }
        }
    }
}

fn shape(part: &Part<'_>, head: &[u8]) -> Option<Shape> {
    let sector = u64::from(u16_at(head, 11)?);
    let per_cluster = u64::from(u8_at(head, 13)?);
    let reserved = u64::from(u16_at(head, 14)?);
    let fats = u64::from(u8_at(head, 16)?);
    let root_entries = u64::from(u16_at(head, 17)?);
    let media = u8_at(head, 21)?;
    let sectors = match u16_at(head, 19)? {
        0 => u64::from(u32_at(head, 32)?),
        small => u64::from(small),
    };
    let (fat_sectors, is_32) = match u16_at(head, 22)? {
        0 => (u64::from(u32_at(head, 36)?), true),
        small => (u64::from(small), false),
    };
    let jump = u8_at(head, 0)?;
    let plausible = array(head, 510) == Some([0x55, 0xaa])
        && matches!(jump, 0xeb | 0xe9)
        && matches!(sector, 512 | 1024 | 2048 | 4096)
        && per_cluster.is_power_of_two()
        && reserved >= 1
        && matches!(fats, 1 | 2)
        && media >= 0xf0
        && fat_sectors >= 1
        && (root_entries == 0) == is_32;
    if !plausible {
        return None;
    }
    let root_sectors = (root_entries * 32).div_ceil(sector);
    let data_sector = reserved + fats * fat_sectors + root_sectors;
    let clusters = sectors.checked_sub(data_sector)? / per_cluster;
    let fs_bytes = sectors * sector;
    // The count of clusters tells FAT12 from FAT16. FAT32 is told by its empty 16-bit length, as Linux does: small EFI
    // system partitions are FAT32 with fewer clusters than the specification asks for.
    let width = match clusters {
        _ if is_32 => Width::Fat32,
        0..4085 => Width::Fat12,
        _ => Width::Fat16,
    };
    let shape = Shape {
        cluster: per_cluster * sector,
        fat: reserved * sector,
        fat_bytes: fat_sectors * sector,
        data: data_sector * sector,
        clusters,
        fs_bytes,
        serial: u32_at(head, if is_32 { 67 } else { 39 })?,
        width,
    };
    let entries = shape.fat_bytes * 8 / width.bits();
    let consistent = clusters > 0 && fs_bytes <= part.len && entries >= clusters + 2;
    consistent.then_some(shape)
}

/// 1.5 MiB: a multiple of 3 bytes, so that no FAT12 entry is cut, and of every sector size.
const FAT_PIECE: u64 = 3 << 19;
