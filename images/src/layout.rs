//! Where the partitions of an image go on another disk.
//!
//! Everything stays where it was on the reference disk, except that the one partition that may grow takes what a larger
//! disk has more, and what stands behind it moves along. In front of the reserved place everything ends. A disk that is
//! a little smaller is fine as long as every file system still fits as it is: nothing is ever shrunk.

use uuid::Uuid;

use crate::chunk::Hash;
use crate::manifest::{Header, Identity, Manifest, ManifestId, Partition, TableKind};
use crate::reserved;
use crate::table::{Entry, Table};
use crate::used::FsKind;

/// The places of an image's partitions on one disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// In the order of the manifest.
    pub placements: Vec<Placement>,
    /// The table to write at the very end, the reserved place included.
    pub table: Table,
}

/// Where one partition goes. Bytes from the start of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Number in the table; 0 for the gap behind an MBR, which is no partition.
    pub number: u32,
    /// Where it begins.
    pub start: u64,
    /// Its length.
    pub len: u64,
    /// What fills it.
    pub kind: FsKind,
    /// UUID or volume serial number of the file system.
    pub uuid: Option<String>,
    /// How long the file system believes its partition is. Where this is less than `len`, and `grow` is set, the file
    /// system is to be grown: `resize2fs` for [`FsKind::Ext`] (after `e2fsck -fp`), `ntfsresize` for [`FsKind::Ntfs`].
    pub fs_bytes: u64,
    /// Whether the partition became larger than in the image.
    pub grow: bool,
}

/// Why an image does not go onto a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// The disk is too small.
    #[error(
        "the disk is too small: the image needs {need} bytes ({}), the disk has {have} bytes ({}); \
         use a larger disk or capture an image with a smaller last partition",
        gib(*need), gib(*have)
    )]
    TooSmall {
        /// Least length of a disk in bytes.
        need: u64,
        /// Length of the disk in bytes.
        have: u64,
    },
    /// The disk has another sector size.
    #[error(
        "the image was made on a disk with sectors of {image} bytes, this disk has {disk}; capture one on a PC of this kind"
    )]
    SectorSize {
        /// Of the image.
        image: u32,
        /// Of the disk.
        disk: u32,
    },
}

/// Lays the image out on a disk of `disk_bytes` with sectors of `sector_bytes`.
///
/// # Errors
/// See [`FitError`].
pub fn fit(manifest: &Manifest, disk_bytes: u64, sector_bytes: u32) -> Result<Layout, FitError> {
    let header = manifest.header();
    if header.sector_bytes != sector_bytes {
        return Err(FitError::SectorSize { image: header.sector_bytes, disk: sector_bytes });
    }
    let sector = u64::from(sector_bytes);
    let partitions = &header.partitions;
    let end = partitions.last().map_or(0, |p| (p.first_lba + p.sectors) * sector);
    let flexible = partitions.iter().position(|p| p.grow);
    // Without one that grows, the last may still lose what its file system does not reach.
    let elastic = flexible.or_else(|| partitions.len().checked_sub(1));
    let slack = elastic.and_then(|n| partitions.get(n)).map_or(0, |p| spare(p, sector_bytes) / MIB * MIB);
    let too_small = FitError::TooSmall { need: least_disk_bytes(end, slack), have: disk_bytes };
    let Some(place) = reserved::range(disk_bytes) else { return Err(too_small) };
    let limit = match header.table {
        TableKind::Gpt { .. } => place.start,
        TableKind::Mbr { .. } => place.start.min(u64::from(u32::MAX) / MIB * MIB * sector),
    };
    let more = if flexible.is_some() { limit.saturating_sub(end) / MIB * MIB } else { 0 };
    let less = end.saturating_sub(limit).next_multiple_of(MIB);
    if less > slack {
        return Err(too_small);
    }
    let mut placements = Vec::with_capacity(partitions.len());
    for (n, partition) in partitions.iter().enumerate() {
        let moves = elastic.is_some_and(|e| n > e);
        let changes = elastic == Some(n);
        let start = partition.first_lba * sector;
        let len = partition.len_bytes(sector_bytes);
        placements.push(Placement {
            number: partition.number,
            start: if moves { start + more - less } else { start },
            len: if changes { len + more - less } else { len },
            kind: partition.filesystem.kind,
            uuid: partition.filesystem.uuid.clone(),
            fs_bytes: partition.filesystem.min_bytes,
            grow: changes && more > 0,
        });
    }
    let table = table(manifest, &placements, &place, sector);
    Ok(Layout { placements, table })
}

/// The least length of a disk that the image of this header fits on, in bytes.
pub fn least_disk(header: &Header) -> u64 {
    let partitions = &header.partitions;
    let end = partitions.last().map_or(0, |p| (p.first_lba + p.sectors) * u64::from(header.sector_bytes));
    let elastic = partitions.iter().find(|p| p.grow).or(partitions.last());
    least_disk_bytes(end, elastic.map_or(0, |p| spare(p, header.sector_bytes) / MIB * MIB))
}

/// What ends at `end` and can lose `slack`, with the reserved place and the rest behind it.
fn least_disk_bytes(end: u64, slack: u64) -> u64 {
    end.saturating_sub(slack).next_multiple_of(MIB).max(MIB) + 2 * MIB
}

/// Which partition of a disk takes the space of a larger one: the last whose file system can grow and that people use, provided
/// that all behind it can be moved.
pub fn choose_growing(table: TableKind, partitions: &[Partition]) -> Option<usize> {
    let last = partitions.iter().rposition(|p| p.filesystem.kind.can_grow() && !is_kept(&p.identity))?;
    let behind = partitions.get(last + 1..).unwrap_or_default();
    let movable = match table {
        // GRUB's second stage in a raw BIOS boot partition is found by its sector number; a file system is not.
        TableKind::Gpt { .. } => behind.iter().all(|p| p.filesystem.kind != FsKind::Raw),
        // Boot code on MBR disks finds things by sector number.
        TableKind::Mbr { .. } => behind.is_empty(),
    };
    movable.then_some(last)
}

/// Whether a partition serves only to repair a system: Windows puts an NTFS of that kind behind its own
/// (learn.microsoft.com/windows-hardware/manufacture/desktop/configure-uefigpt-based-hard-drive-partitions). The lowest bit says
/// that the machine needs the partition as it is (UEFI specification 2.10, section 5.3.3).
fn is_kept(identity: &Identity) -> bool {
    match identity {
        Identity::Gpt { type_guid, attributes, .. } => *type_guid == WINDOWS_RECOVERY || attributes & 1 != 0,
        Identity::Mbr { type_byte, .. } => *type_byte == MBR_RECOVERY,
        Identity::BootGap => true,
    }
}

/// Bytes at the end of the partition that its file system does not reach.
fn spare(partition: &Partition, sector_bytes: u32) -> u64 {
    partition.len_bytes(sector_bytes).saturating_sub(partition.filesystem.min_bytes)
}

fn table(manifest: &Manifest, placements: &[Placement], place: &std::ops::Range<u64>, sector: u64) -> Table {
    let header = manifest.header();
    let mut entries: Vec<Entry> = header
        .partitions
        .iter()
        .zip(placements)
        .filter(|(partition, _)| partition.identity != Identity::BootGap)
        .map(|(partition, placement)| Entry {
            number: partition.number,
            identity: partition.identity.clone(),
            first_lba: placement.start / sector,
            sectors: placement.len / sector,
        })
        .collect();
    if let TableKind::Gpt { .. } = header.table
        && let Some(number) = free_number(&entries)
    {
        entries.push(Entry {
            number,
            identity: Identity::Gpt {
                type_guid: reserved::TYPE_GUID,
                unique: reserved_guid(manifest.id()),
                name: reserved::NAME.into(),
                attributes: 0,
            },
            first_lba: place.start / sector,
            sectors: reserved::LEN_BYTES / sector,
        });
    }
    Table { kind: header.table, boot_code: header.boot_code_bytes(), entries }
}

/// The number after the highest, so that no partition of the image changes its own.
fn free_number(entries: &[Entry]) -> Option<u32> {
    let highest = entries.iter().map(|e| e.number).max().unwrap_or(0);
    (highest + 1..=128).chain(1..=128).find(|n| entries.iter().all(|e| e.number != *n))
}

/// The same image gives the same GUID, as for its other partitions.
fn reserved_guid(id: ManifestId) -> Uuid {
    let hash = Hash::of(&[b"hausmeister reserved place", &id.as_bytes()[..]].concat());
    uuid::Builder::from_random_bytes(crate::le::array(hash.as_bytes(), 0).unwrap_or_default()).into_uuid()
}

fn gib(bytes: u64) -> String {
    format!("{}.{} GiB", bytes >> 30, ((bytes & ((1 << 30) - 1)) * 10) >> 30)
}

const MIB: u64 = 1 << 20;
const WINDOWS_RECOVERY: Uuid = Uuid::from_u128(0xDE94_BBA4_06D1_4D40_A16A_BFD5_0179_D6AC);
/// PARTITION_MSFT_RECOVERY (learn.microsoft.com/windows/win32/fileio/disk-partition-types).
const MBR_RECOVERY: u8 = 0x27;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::{ChunkTable, Filesystem};
    use proptest::prelude::*;

    /// Kind, first MiB, MiB, MiB of the file system.
    type Row = (FsKind, u64, u64, u64);

    fn manifest(rows: &[Row], disk_mib: u64) -> Manifest {
        let table = TableKind::Gpt { disk: Uuid::from_u128(1) };
        let mut partitions: Vec<Partition> = (1u32..)
            .zip(rows)
            .map(|(number, (kind, first, len, fs))| Partition {
                number,
                identity: Identity::Gpt {
                    type_guid: Uuid::from_u128(2),
                    unique: Uuid::from_u128(u128::from(number)),
                    name: String::new(),
                    attributes: 0,
                },
                first_lba: first * 2048,
                sectors: len * 2048,
                filesystem: Filesystem { kind: *kind, uuid: None, min_bytes: fs * MIB, used_bytes: 0 },
                grow: false,
            })
            .collect();
        if let Some(n) = choose_growing(table, &partitions) {
            partitions[n].grow = true;
        }
        let header = Header {
            image: "x".into(),
            created_at: 0,
            chunk_bytes: 65536,
            sector_bytes: 512,
            disk_bytes: disk_mib * MIB,
            table,
            boot_code: String::new(),
            partitions,
        };
        let tables = rows.iter().map(|_| ChunkTable::default()).collect();
        Manifest::new(header, tables).unwrap()
    }

    /// Start and length of every partition in MiB.
    fn check(rows: &[Row], disk_mib: u64) -> Result<Vec<(u64, u64)>, FitError> {
        let layout = fit(&manifest(rows, 1 << 16), disk_mib * MIB, 512)?;
        Ok(layout.placements.iter().map(|p| (p.start / MIB, p.len / MIB)).collect())
    }

    const ESP: Row = (FsKind::Fat, 1, 100, 100);

    #[test]
    fn the_last_file_system_takes_what_a_larger_disk_has_more() {
        let rows = [ESP, (FsKind::Ext, 101, 400, 400)];
        assert_eq!(check(&rows, 503).unwrap(), [(1, 100), (101, 400)]);
        assert_eq!(check(&rows, 1000).unwrap(), [(1, 100), (101, 897)]);
    }

    #[test]
    fn swap_and_recovery_behind_the_growing_partition_move_along() {
        let rows =
            [ESP, (FsKind::Ntfs, 101, 400, 400), (FsKind::Swap, 501, 20, 20), (FsKind::Fat, 521, 9, 9)];
        assert_eq!(check(&rows, 1000).unwrap(), [(1, 100), (101, 868), (969, 20), (989, 9)]);
    }

    #[test]
    fn the_recovery_partition_of_windows_moves_and_does_not_grow() {
        let rows = [ESP, (FsKind::Ntfs, 101, 400, 400), (FsKind::Ntfs, 501, 20, 20)];
        let mut partitions = manifest(&rows, 1 << 16).header().partitions.clone();
        let table = TableKind::Gpt { disk: Uuid::from_u128(1) };
        assert_eq!(choose_growing(table, &partitions), Some(2), "two drives: the last");
        let recovery = |type_guid, attributes| Identity::Gpt {
            type_guid,
            unique: Uuid::from_u128(9),
            name: String::new(),
            attributes,
        };
        for identity in [recovery(WINDOWS_RECOVERY, 0), recovery(Uuid::from_u128(2), 1 << 63 | 1)] {
            partitions[2].identity = identity;
            assert_eq!(choose_growing(table, &partitions), Some(1));
        }
        let mbr = |type_byte| Identity::Mbr { type_byte, active: false };
        partitions[2].identity = mbr(7);
        assert_eq!(choose_growing(TableKind::Mbr { signature: 1 }, &partitions), Some(2));
        partitions[2].identity = mbr(MBR_RECOVERY);
        assert_eq!(
            choose_growing(TableKind::Mbr { signature: 1 }, &partitions),
            None,
            "it cannot be moved there"
        );
    }

    #[test]
    fn nothing_grows_when_something_unknown_stands_behind_it() {
        let rows = [(FsKind::Ext, 1, 400, 400), (FsKind::Raw, 401, 20, 20)];
        assert_eq!(check(&rows, 1000).unwrap(), [(1, 400), (401, 20)]);
    }

    #[test]
    fn too_small_names_both_sizes() {
        let rows = [ESP, (FsKind::Ext, 101, 400, 400)];
        let error = check(&rows, 502).unwrap_err();
        assert_eq!(error, FitError::TooSmall { need: 503 * MIB, have: 502 * MIB });
        let text = error.to_string();
        assert!(text.contains("527433728") && text.contains("526385152"), "{text}");
        assert!(check(&rows, 0).is_err());
    }

    #[test]
    fn a_partition_that_its_file_system_does_not_fill_may_become_shorter() {
        let rows = [ESP, (FsKind::Ext, 101, 400, 300), (FsKind::Swap, 501, 10, 10)];
        assert_eq!(check(&rows, 413).unwrap(), [(1, 100), (101, 300), (401, 10)]);
        assert_eq!(check(&rows, 412).unwrap_err(), FitError::TooSmall { need: 413 * MIB, have: 412 * MIB });
    }

    #[test]
    fn another_sector_size_is_refused() {
        let error = fit(&manifest(&[ESP], 200), 1 << 30, 4096).unwrap_err();
        assert_eq!(error, FitError::SectorSize { image: 512, disk: 4096 });
    }

    #[test]
    fn the_reserved_place_gets_an_entry_with_a_number_of_its_own() {
        let layout = fit(&manifest(&[ESP, (FsKind::Ext, 101, 400, 400)], 600), 1000 * MIB, 512).unwrap();
        let entry = layout.table.entries.last().unwrap();
        assert!(reserved::is_ours(&entry.identity));
        assert_eq!((entry.number, entry.first_lba, entry.sectors), (3, 998 * 2048, 2048));
    }

    proptest! {
        #[test]
        fn partitions_never_overlap_nor_shrink_below_their_file_system(
            parts in prop::collection::vec((0u8..4, 0u64..5, 1u64..50, 0u64..50), 1..6), disk in 0u64..400
        ) {
            let mut at = 1;
            let rows: Vec<Row> = parts.iter().map(|(kind, gap, len, missing)| {
                let kind = [FsKind::Ext, FsKind::Fat, FsKind::Swap, FsKind::Raw][usize::from(*kind)];
                at += gap;
                let row = (kind, at, *len, len.saturating_sub(*missing));
                at += len;
                row
            }).collect();
            match check(&rows, disk) {
                Ok(places) => {
                    prop_assert!(places.windows(2).all(|w| w[0].0 + w[0].1 <= w[1].0));
                    prop_assert!(places.last().is_none_or(|(start, len)| start + len <= disk - 2));
                    prop_assert!(places.iter().zip(&rows).all(|((_, len), row)| *len >= row.3));
                }
                Err(FitError::TooSmall { need, have }) => {
                    prop_assert!(have < need);
                    prop_assert_eq!(need, least_disk(manifest(&rows, 1 << 16).header()));
                    prop_assert!(check(&rows, need / MIB).is_ok());
                }
                Err(other) => prop_assert!(false, "{other}"),
            }
        }
    }
}
