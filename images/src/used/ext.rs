//! ext2, ext3 and ext4: superblock, group descriptors and block bitmaps.
//!
//! Source: Linux `Documentation/filesystems/ext4`. Read: any block size, 64bit, flex_bg, meta_bg, sparse_super(2),
//! gdt_csum and metadata_csum (checksums of descriptors and bitmaps are verified). Taken whole, with the reason:
//! bigalloc, a journal that must be replayed first, snapshots, features that this file does not know.

use super::{FsKind, Part, Ranges, Used, UsedError, crc32c, push_bits, uuid_text};
use crate::le::{array, put, u16_at, u32_at};

pub(super) fn map(part: &Part<'_>, head: &[u8]) -> Result<Option<Used>, UsedError> {
    let Some(sb) = head.get(1024..2048) else { return Ok(None) };
    let Some(fs) = Super::parse(sb, part.len) else { return Ok(None) };
    if fs.state & STATE_ERRORS != 0 {
        return Err(UsedError::Refused {
            reason: "the ext4 file system is marked as damaged",
            remedy: "run e2fsck -f on it on the reference PC, capture again",
        });
    }
    let mut used = Used {
        kind: FsKind::Ext,
        block_bytes: u32::try_from(fs.block).unwrap_or(0),
        uuid: uuid_text(Some(fs.uuid)),
        fs_bytes: fs.blocks * fs.block,
        ranges: Ranges::whole(part.len),
        whole_because: fs.unreadable(),
    };
    if used.whole_because.is_none() {
        match allocated(part, &fs)? {
            Ok(ranges) => used.ranges = ranges,
            Err(reason) => used.whole_because = Some(reason),
        }
    }
    Ok(Some(used))
}

/// The superblock's numbers, checked against each other and the partition.
struct Super {
    block: u64,
    blocks: u64,
    first_data_block: u64,
    blocks_per_group: u64,
    groups: u64,
    inode_table_blocks: u64,
    descriptor: usize,
    first_meta_group: u64,
    reserved_descriptor_blocks: u64,
    state: u16,
    compat: u32,
    incompat: u32,
    ro_compat: u32,
    uuid: [u8; 16],
    seed: u32,
    backup_groups: [u64; 2],
}

impl Super {
    fn parse(sb: &[u8], len: u64) -> Option<Super> {
        if u16_at(sb, 0x38)? != 0xef53 {
            return None;
        }
        let incompat = u32_at(sb, 0x60)?;
        let ro_compat = u32_at(sb, 0x64)?;
        let is_64 = incompat & INCOMPAT_64BIT != 0;
        let log_block = u32_at(sb, 0x18)?;
        if log_block > 6 {
            return None;
        }
        let block = 1024u64 << log_block;
        let high = if is_64 { u64::from(u32_at(sb, 0x150)?) } else { 0 };
        let blocks = high << 32 | u64::from(u32_at(sb, 0x4)?);
        let first_data_block = u64::from(u32_at(sb, 0x14)?);
        let blocks_per_group = u64::from(u32_at(sb, 0x20)?);
        let inodes_per_group = u64::from(u32_at(sb, 0x28)?);
        let revision = u32_at(sb, 0x4c)?;
        let inode_bytes = if revision == 0 { 128 } else { u64::from(u16_at(sb, 0x58)?) };
        let descriptor = match (is_64, u16_at(sb, 0xfe)?) {
            (false, _) => 32,
            (true, size) => usize::from(size),
        };
        let uuid: [u8; 16] = array(sb, 0x68)?;
        let seed =
            if incompat & INCOMPAT_CSUM_SEED != 0 { u32_at(sb, 0x270)? } else { crc32c::update(!0, &uuid) };
        let data_blocks = blocks.checked_sub(first_data_block)?;
        let plausible = blocks.checked_mul(block)? <= len
            && data_blocks > 0
            && first_data_block <= 1
            // A bit of a bigalloc bitmap stands for many blocks; such a file system is recognised and taken whole.
            && (ro_compat & RO_BIGALLOC != 0 || (256..=block * 8).contains(&blocks_per_group))
            && blocks_per_group > 0
            && blocks_per_group.is_multiple_of(8)
            && matches!(descriptor, 32 | 64 | 128 | 256 | 512 | 1024)
            && (32..=block).contains(&(descriptor as u64))
            && inode_bytes.is_power_of_two()
            && (128..=block).contains(&inode_bytes)
            && inodes_per_group <= block * 8;
        plausible.then_some(Super {
            block,
            blocks,
            first_data_block,
            blocks_per_group,
            groups: data_blocks.div_ceil(blocks_per_group),
            inode_table_blocks: (inodes_per_group * inode_bytes).div_ceil(block),
            descriptor,
            first_meta_group: u64::from(u32_at(sb, 0x104)?),
            reserved_descriptor_blocks: u64::from(u16_at(sb, 0xce)?),
            state: u16_at(sb, 0x3a)?,
            compat: u32_at(sb, 0x5c)?,
            incompat,
            ro_compat,
            uuid,
            seed,
            backup_groups: [u64::from(u32_at(sb, 0x24c)?), u64::from(u32_at(sb, 0x250)?)],
        })
    }

    /// Why the bitmaps do not tell, or cannot be trusted to tell, what is used.
    fn unreadable(&self) -> Option<&'static str> {
        if self.ro_compat & RO_BIGALLOC != 0 {
            Some("ext4 with bigalloc clusters")
        } else if self.incompat & INCOMPAT_RECOVER != 0 {
            Some("the ext4 journal was not replayed: the system was not shut down properly")
        } else if self.ro_compat & RO_SNAPSHOT != 0 {
            Some("ext4 with snapshots")
        } else if self.incompat & !INCOMPAT_KNOWN != 0 {
            Some("ext4 with a feature of which nothing is known here")
        } else if self.groups > GROUPS_MAX {
            Some("ext4 with too many block groups")
        } else {
            None
        }
    }

    fn group_first(&self, group: u64) -> u64 {
        self.first_data_block + group * self.blocks_per_group
    }

    fn group_blocks(&self, group: u64) -> u64 {
        self.blocks_per_group.min(self.blocks - self.group_first(group))
    }

    /// Whether the group begins with a copy of the superblock.
    fn has_super(&self, group: u64) -> bool {
        if group == 0 {
            return true;
        }
        if self.compat & COMPAT_SPARSE_SUPER2 != 0 {
            return self.backup_groups.contains(&group);
        }
        if group == 1 || self.ro_compat & RO_SPARSE_SUPER == 0 {
            return true;
        }
        [3, 5, 7].into_iter().any(|base| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        })
    }

    fn descriptors_per_block(&self) -> u64 {
        self.block / self.descriptor as u64
    }

    fn descriptor_blocks(&self) -> u64 {
        self.groups.div_ceil(self.descriptors_per_block())
    }

    /// Where descriptor block `index` lies, as a block number.
    fn descriptor_block(&self, index: u64) -> u64 {
        if self.incompat & INCOMPAT_META_BG == 0 || index < self.first_meta_group {
            return self.first_data_block + 1 + index;
        }
        let group = index * self.descriptors_per_block();
        self.group_first(group) + u64::from(self.has_super(group))
    }

    /// Blocks at the start of a group that hold superblock and descriptors, at most. A bitmap that was never written
    /// does not name them.
    fn base_blocks(&self, group: u64) -> u64 {
        let meta = self.incompat & INCOMPAT_META_BG != 0;
        let old =
            if meta { self.descriptor_blocks().min(self.first_meta_group) } else { self.descriptor_blocks() };
        let copies = if self.has_super(group) { 1 + old + self.reserved_descriptor_blocks } else { 0 };
        copies + u64::from(meta) * 2
    }
}

/// Where one group keeps its records.
struct Group {
    block_bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
    uninit: bool,
    bitmap_checksum: u32,
}

impl Group {
    /// `None` when the descriptor's own checksum is wrong.
    fn parse(fs: &Super, number: u64, bytes: &[u8]) -> Option<Group> {
        let high = |at| if fs.descriptor >= 64 { u32_at(bytes, at).map(u64::from) } else { Some(0) };
        if fs.ro_compat & RO_METADATA_CSUM != 0 {
            let mut blank = bytes.to_vec();
            put(&mut blank, 0x1e, &[0, 0])?;
            let crc = crc32c::update(fs.seed, &u32::try_from(number).ok()?.to_le_bytes());
            if crc32c::update(crc, &blank) as u16 != u16_at(bytes, 0x1e)? {
                return None;
            }
        }
        let flags = u16_at(bytes, 0x12)?;
        let checksum_high = if fs.descriptor >= 64 { u32::from(u16_at(bytes, 0x38)?) } else { 0 };
        Some(Group {
            block_bitmap: high(0x20)? << 32 | u64::from(u32_at(bytes, 0)?),
            inode_bitmap: high(0x24)? << 32 | u64::from(u32_at(bytes, 4)?),
            inode_table: high(0x28)? << 32 | u64::from(u32_at(bytes, 8)?),
            // The flag has a meaning only where a checksum protects it.
            uninit: flags & BLOCK_UNINIT != 0 && fs.ro_compat & (RO_GDT_CSUM | RO_METADATA_CSUM) != 0,
            bitmap_checksum: checksum_high << 16 | u32::from(u16_at(bytes, 0x18)?),
        })
    }
}

/// The allocated ranges, or why they cannot be told.
fn allocated(part: &Part<'_>, fs: &Super) -> Result<Result<Ranges, &'static str>, UsedError> {
    let mut ranges = Ranges::default();
    // Boot sector, superblock.
    ranges.push(0..2048);
    // What is known to be used whether a bitmap says so or not.
    let mut records = Vec::new();
    let blocks = |from: u64, count: u64| {
        from.saturating_mul(fs.block)..from.saturating_add(count).saturating_mul(fs.block)
    };
    let mut descriptors = Vec::new();
    for number in 0..fs.groups {
        let in_block = number % fs.descriptors_per_block();
        if in_block == 0 {
            let at = fs.descriptor_block(number / fs.descriptors_per_block());
            let Some(block) =
                part.bytes(at.saturating_mul(fs.block), usize::try_from(fs.block).unwrap_or(0))?
            else {
                return Ok(Err("an ext4 group descriptor lies beyond the partition"));
            };
            records.push(blocks(at, 1));
            descriptors = block;
        }
        let from = usize::try_from(in_block).unwrap_or(0) * fs.descriptor;
        let Some(group) =
            descriptors.get(from..from + fs.descriptor).and_then(|d| Group::parse(fs, number, d))
        else {
            return Ok(Err("the checksum of an ext4 group descriptor is wrong"));
        };
        records.push(blocks(group.block_bitmap, 1));
        records.push(blocks(group.inode_bitmap, 1));
        records.push(blocks(group.inode_table, fs.inode_table_blocks));
        let first = fs.group_first(number);
        if group.uninit {
            records.push(blocks(first, fs.base_blocks(number).min(fs.group_blocks(number))));
            continue;
        }
        let Some(bitmap) =
            part.bytes(group.block_bitmap.saturating_mul(fs.block), usize::try_from(fs.block).unwrap_or(0))?
        else {
            return Ok(Err("an ext4 block bitmap lies beyond the partition"));
        };
        let bits = bitmap.get(..usize::try_from(fs.blocks_per_group / 8).unwrap_or(0)).unwrap_or_default();
        if fs.ro_compat & RO_METADATA_CSUM != 0 {
            let crc = crc32c::update(fs.seed, bits);
            let crc = if fs.descriptor >= 64 { crc } else { crc & 0xffff };
            if crc != group.bitmap_checksum {
                return Ok(Err("the checksum of an ext4 block bitmap is wrong"));
            }
        }
        push_bits(&mut ranges, bits, first, fs.group_blocks(number), fs.block, 0);
        if records.len() >= RECORDS_MAX {
            ranges.extend_unsorted(std::mem::take(&mut records));
        }
    }
    ranges.extend_unsorted(records);
    ranges.truncate(part.len);
    Ok(Ok(ranges))
}

const STATE_ERRORS: u16 = 2;
const BLOCK_UNINIT: u16 = 2;
const COMPAT_SPARSE_SUPER2: u32 = 0x200;
const INCOMPAT_RECOVER: u32 = 0x4;
const INCOMPAT_META_BG: u32 = 0x10;
const INCOMPAT_64BIT: u32 = 0x80;
const INCOMPAT_CSUM_SEED: u32 = 0x2000;
/// filetype, recover, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, dirdata, csum_seed, largedir, inline_data,
/// encrypt, casefold: none of them changes what a block bitmap means.
const INCOMPAT_KNOWN: u32 = 0x2
    | 0x4
    | 0x10
    | 0x40
    | 0x80
    | 0x100
    | 0x200
    | 0x400
    | 0x1000
    | 0x2000
    | 0x4000
    | 0x8000
    | 0x10000
    | 0x20000;
const RO_SPARSE_SUPER: u32 = 0x1;
const RO_GDT_CSUM: u32 = 0x10;
const RO_SNAPSHOT: u32 = 0x80;
const RO_BIGALLOC: u32 = 0x200;
const RO_METADATA_CSUM: u32 = 0x400;
/// 512 TiB with 4 KiB blocks.
const GROUPS_MAX: u64 = 1 << 22;
const RECORDS_MAX: usize = 1 << 18;
