//! The JSON part of a manifest and the rules that it must obey.

use base64::Engine;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::ManifestError;
use crate::chunk::CHUNK_BYTES;
use crate::used::FsKind;

/// The image and the disk that it was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Name of the image, 1 to 200 bytes.
    pub image: String,
    /// When it was captured, milliseconds UTC.
    pub created_at: i64,
    /// Chunk length; always [`CHUNK_BYTES`].
    pub chunk_bytes: u32,
    /// Logical sector size of the disk: 512 or 4096. An image fits only on disks with the same.
    pub sector_bytes: u32,
    /// Length of the disk in bytes.
    pub disk_bytes: u64,
    /// Kind of partition table.
    pub table: TableKind,
    /// The first 440 bytes of the disk, code that a BIOS starts, base64. Empty when they are all zero.
    pub boot_code: String,
    /// The partitions, ascending by place.
    pub partitions: Vec<Partition>,
}

/// Kind of partition table with what identifies the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum TableKind {
    /// GUID partition table.
    Gpt {
        /// Disk GUID.
        disk: Uuid,
    },
    /// MBR ("msdos") with primary partitions.
    Mbr {
        /// The four bytes at offset 440, which Windows knows the disk by.
        signature: u32,
    },
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// Place in the table: 1 is `/dev/sda1`. 0 for [`Identity::BootGap`].
    pub number: u32,
    /// What the table says about it.
    pub identity: Identity,
    /// First sector.
    pub first_lba: u64,
    /// Length in sectors.
    pub sectors: u64,
    /// What fills it.
    pub filesystem: Filesystem,
    /// Whether this partition takes what a larger disk has more. At most one has it.
    pub grow: bool,
}

/// What the partition table says about a partition besides its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case", deny_unknown_fields)]
pub enum Identity {
    /// An entry of a GPT.
    Gpt {
        /// Partition type GUID.
        type_guid: Uuid,
        /// GUID of this partition.
        unique: Uuid,
        /// Name, at most 36 UTF-16 units.
        name: String,
        /// Attribute bits.
        attributes: u64,
    },
    /// An entry of an MBR.
    Mbr {
        /// Type byte.
        type_byte: u8,
        /// Whether a BIOS starts from it.
        active: bool,
    },
    /// The sectors between an MBR and the first partition, where GRUB keeps its second stage.
    BootGap,
}

/// What fills a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filesystem {
    /// Which file system.
    pub kind: FsKind,
    /// UUID or volume serial number.
    pub uuid: Option<String>,
    /// The partition must have at least this many bytes to hold the file system as it is.
    pub min_bytes: u64,
    /// Bytes that are in use, for people to read.
    pub used_bytes: u64,
}

impl Header {
    /// The first 440 bytes of the disk.
    pub fn boot_code_bytes(&self) -> [u8; BOOT_CODE_BYTES] {
        let mut code = [0; BOOT_CODE_BYTES];
        let decoded = base64::engine::general_purpose::STANDARD.decode(&self.boot_code).unwrap_or_default();
        for (to, from) in code.iter_mut().zip(decoded) {
            *to = from;
        }
        code
    }

    /// Encodes boot code for [`Header::boot_code`].
    pub fn encode_boot_code(code: &[u8; BOOT_CODE_BYTES]) -> String {
        if crate::chunk::is_zero(code) {
            return String::new();
        }
        base64::engine::general_purpose::STANDARD.encode(code)
    }

    /// Every rule that does not concern chunks.
    pub(super) fn check(&self) -> Result<(), ManifestError> {
        let bad = |why| Err(ManifestError::Layout(why));
        if self.image.is_empty() || self.image.len() > 200 || self.image.chars().any(char::is_control) {
            return bad("the image name is empty, too long or not printable");
        }
        if self.chunk_bytes as usize != CHUNK_BYTES {
            return bad("the chunk length is not 64 KiB");
        }
        if !matches!(self.sector_bytes, 512 | 4096) {
            return bad("the sector size is neither 512 nor 4096");
        }
        let sector = u64::from(self.sector_bytes);
        if self.disk_bytes == 0 || self.disk_bytes > DISK_BYTES_MAX || !self.disk_bytes.is_multiple_of(sector)
        {
            return bad("the disk length is impossible");
        }
        let code_ok =
            self.boot_code.is_empty() || Self::encode_boot_code(&self.boot_code_bytes()) == self.boot_code;
        if !code_ok {
            return bad("the boot code is not 440 bytes");
        }
        if self.partitions.len() > PARTITIONS_MAX {
            return bad("more than 128 partitions");
        }
        if self.partitions.iter().filter(|p| p.grow).count() > 1 {
            return bad("more than one partition is to grow");
        }
        let mut numbers = std::collections::BTreeSet::new();
        let is_gpt = matches!(self.table, TableKind::Gpt { .. });
        let mut free_from = if is_gpt { 2 + GPT_ENTRY_BYTES / sector } else { 1 };
        for partition in &self.partitions {
            let end = partition.first_lba.checked_add(partition.sectors);
            if partition.sectors == 0 || end.is_none_or(|end| end > self.disk_bytes / sector) {
                return bad("a partition is empty or ends beyond the disk");
            }
            if partition.first_lba < free_from {
                return bad("partitions overlap each other or the table");
            }
            free_from = end.unwrap_or(u64::MAX);
            if !numbers.insert(partition.number) {
                return bad("a partition number occurs twice");
            }
            if partition.filesystem.min_bytes > partition.sectors * sector {
                return bad("a file system is larger than its partition");
            }
            if partition.filesystem.uuid.as_ref().is_some_and(|u| u.len() > 64) {
                return bad("a file system UUID is too long");
            }
            partition.check_identity(is_gpt, sector)?;
        }
        Ok(())
    }
}

impl Partition {
    /// Length in bytes.
    pub fn len_bytes(&self, sector_bytes: u32) -> u64 {
        self.sectors.saturating_mul(u64::from(sector_bytes))
    }

    /// How many chunks its length makes; the last may be shorter.
    pub fn chunks(&self, sector_bytes: u32) -> u64 {
        self.len_bytes(sector_bytes).div_ceil(CHUNK_BYTES as u64)
    }

    fn check_identity(&self, is_gpt: bool, sector: u64) -> Result<(), ManifestError> {
        let right = match &self.identity {
            Identity::Gpt { name, type_guid, .. } => {
                is_gpt
                    && !type_guid.is_nil()
                    && (1..=128).contains(&self.number)
                    && name.encode_utf16().count() <= 36
                    && !name.contains('\0')
            }
            Identity::Mbr { type_byte, .. } => {
                let fits = self.first_lba + self.sectors <= u64::from(u32::MAX);
                !is_gpt && *type_byte != 0 && (1..=4).contains(&self.number) && fits
            }
            Identity::BootGap => {
                !is_gpt
                    && self.number == 0
                    && self.first_lba == 1
                    && self.sectors * sector <= BOOT_GAP_MAX
                    && !self.grow
            }
        };
        if right {
            Ok(())
        } else {
            Err(ManifestError::Layout("a partition does not suit the partition table"))
        }
    }
}

/// Code at the start of a disk, before the MBR's own fields.
pub const BOOT_CODE_BYTES: usize = 440;
/// 128 entries of 128 bytes, the size that every tool writes.
const GPT_ENTRY_BYTES: u64 = 128 * 128;
const PARTITIONS_MAX: usize = 128;
/// 64 TiB: chunk numbers stay below 2^30.
const DISK_BYTES_MAX: u64 = 1 << 46;
const BOOT_GAP_MAX: u64 = 16 << 20;
