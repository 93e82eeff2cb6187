//! NTFS: boot sector, the few system files that matter, and `$Bitmap`.
//!
//! Read: `$Volume` (dirty flag), `$LogFile` (closed properly?), the root folder (is there a `hiberfil.sys` with a sleeping
//! Windows in it?), `$Bitmap`. A volume that is dirty or asleep is refused: its disk is not what its Windows believes.
//! Not read: attribute lists. A system file that needs one makes the reader take the whole partition.

mod record;

use record::{Record, Stream, fixed_up};

use super::{FsKind, Part, Ranges, Used, UsedError, push_bits};
use crate::le::{array, u8_at, u16_at, u32_at, u64_at};

pub(super) fn map(part: &Part<'_>, head: &[u8]) -> Result<Option<Used>, UsedError> {
    if array(head, 3) != Some(*b"NTFS    ") || array(head, 510) != Some([0x55, 0xaa]) {
        return Ok(None);
    }
    let Some(volume) = Volume::parse(head, part.len) else { return Err(DAMAGED) };
    let Some(mft) = volume.mft(part)? else { return Err(DAMAGED) };
    refuse_if_dirty(part, &volume, &mft)?;
    refuse_if_asleep(part, &volume, &mft)?;
    let mut used = Used {
        kind: FsKind::Ntfs,
        block_bytes: u32::try_from(volume.cluster).unwrap_or(0),
        uuid: Some(format!("{:016X}", volume.serial)),
        fs_bytes: (volume.bytes + volume.sector).min(part.len),
        ranges: Ranges::whole(part.len),
        whole_because: None,
    };
    match allocated(part, &volume, &mft)? {
        Some(ranges) => used.ranges = ranges,
        None => used.whole_because = Some("the $Bitmap of this NTFS is scattered over several records"),
    }
    Ok(Some(used))
}

/// The numbers of the boot sector, checked against the partition.
struct Volume {
    sector: u64,
    cluster: u64,
    /// Length without the spare boot sector that follows.
    bytes: u64,
    mft: u64,
    record: usize,
    serial: u64,
}

impl Volume {
    fn parse(head: &[u8], len: u64) -> Option<Volume> {
        let sector = u64::from(u16_at(head, 0x0b)?);
        let per_cluster = match u8_at(head, 0x0d)? {
            small @ 1..=0x80 => u64::from(small),
            // Above 128 it is a negative power of two.
            large => 1u64.checked_shl(256 - u32::from(large))?,
        };
        if !matches!(sector, 512 | 1024 | 2048 | 4096) || !per_cluster.is_power_of_two() || per_cluster > 4096
        {
            return None;
        }
        let cluster = sector * per_cluster;
        let record = match u8_at(head, 0x40)? as i8 {
            clusters @ 1.. => u64::try_from(clusters).ok()? * cluster,
            power => 1u64.checked_shl(u32::from(power.unsigned_abs()))?,
        };
        let bytes = u64_at(head, 0x28)?.checked_mul(sector)?;
        let mft = u64_at(head, 0x30)?.checked_mul(cluster)?;
        let plausible = (512..=65536).contains(&record)
            && record.is_power_of_two()
            && cluster <= 2 << 20
            && bytes >= cluster
            && bytes <= len
            && mft < bytes;
        plausible.then_some(Volume {
            sector,
            cluster,
            bytes,
            mft,
            record: usize::try_from(record).ok()?,
            serial: u64_at(head, 0x48)?,
        })
    }

    /// The part of the master file table that its own first record names.
    fn mft(&self, part: &Part<'_>) -> Result<Option<Stream>, UsedError> {
        let Some(raw) = part.bytes(self.mft, self.record)? else { return Ok(None) };
        Ok(Record::parse(raw).and_then(|r| r.stream(ATTRIBUTE_DATA, &[])))
    }

    /// Record `number`, or `None` if it is not in use, damaged, or beyond what [`Volume::mft`] found.
    fn record(&self, part: &Part<'_>, mft: &Stream, number: u64) -> Result<Option<Record>, UsedError> {
        let Some(at) = number.checked_mul(self.record as u64) else { return Ok(None) };
        let raw = mft.read(part, self.cluster, at, self.record)?;
        Ok(raw.and_then(Record::parse).filter(Record::in_use))
    }
}

fn refuse_if_dirty(part: &Part<'_>, volume: &Volume, mft: &Stream) -> Result<(), UsedError> {
    let Some(record) = volume.record(part, mft, RECORD_VOLUME)? else { return Err(DAMAGED) };
    let Some(flags) = record.resident(ATTRIBUTE_VOLUME_INFORMATION, &[]).and_then(|v| u16_at(v, 10)) else {
        return Err(DAMAGED);
    };
    if flags & VOLUME_IS_DIRTY != 0 {
        return Err(UsedError::Refused {
            reason: "Windows marked the NTFS file system as dirty",
            remedy: "start Windows, run chkdsk /f on the drive, shut down with shutdown /s /t 0, capture again",
        });
    }
    Ok(())
}

fn refuse_if_asleep(part: &Part<'_>, volume: &Volume, mft: &Stream) -> Result<(), UsedError> {
    const ASLEEP: UsedError = UsedError::Refused {
        reason: "Windows is hibernated or was shut down with fast startup",
        remedy: "switch fast startup off (powercfg /h off), shut down with shutdown /s /t 0, capture again",
    };
    if let Some(log) = volume.record(part, mft, RECORD_LOGFILE)?.and_then(|r| r.stream(ATTRIBUTE_DATA, &[]))
        && !log_is_closed(part, volume, &log)?
    {
        return Err(ASLEEP);
    }
    let Some(reference) = root_entry(part, volume, mft, "hiberfil.sys")? else { return Ok(()) };
    let Some(record) = volume.record(part, mft, reference & REFERENCE_NUMBER)? else { return Ok(()) };
    if u64::from(record.sequence()) != reference >> 48 {
        return Ok(());
    }
    let start = match record.stream(ATTRIBUTE_DATA, &[]) {
        Some(stream) => stream.read(part, volume.cluster, 0, 4)?,
        None => record.resident(ATTRIBUTE_DATA, &[]).and_then(|v| v.get(..4)).map(<[u8]>::to_vec),
    };
    match start.map(|s| s.to_ascii_lowercase()) {
        Some(signature) if signature == b"hibr" => Err(ASLEEP),
        _ => Ok(()),
    }
}

/// Whether the last restart page of `$LogFile` says that the volume was closed. A log that was never used is closed.
fn log_is_closed(part: &Part<'_>, volume: &Volume, log: &Stream) -> Result<bool, UsedError> {
    let mut newest: Option<(u64, bool)> = None;
    let mut page = 4096;
    for number in 0..2 {
        let Some(raw) = log.read(part, volume.cluster, number * page as u64, page)? else { break };
        if array(&raw, 0) != Some(*b"RSTR") {
            continue;
        }
        if let Some(size) = u32_at(&raw, 16).filter(|s| s.is_power_of_two() && (512..=65536).contains(s)) {
            page = size as usize;
        }
        let Some(raw) = fixed_up(raw) else { continue };
        let area = usize::from(u16_at(&raw, 24).unwrap_or(0));
        if let (Some(lsn), Some(in_use), Some(flags)) =
            (u64_at(&raw, area), u16_at(&raw, area + 12), u16_at(&raw, area + 14))
            && newest.is_none_or(|(best, _)| lsn > best)
        {
            newest = Some((lsn, in_use == NO_CLIENT || flags & RESTART_VOLUME_IS_CLEAN != 0));
        }
    }
    Ok(newest.is_none_or(|(_, closed)| closed))
}

/// The MFT reference of a file in the root folder, by its name without regard to case.
fn root_entry(part: &Part<'_>, volume: &Volume, mft: &Stream, name: &str) -> Result<Option<u64>, UsedError> {
    let Some(root) = volume.record(part, mft, RECORD_ROOT)? else { return Err(DAMAGED) };
    let Some(index) = root.resident(ATTRIBUTE_INDEX_ROOT, I30) else { return Ok(None) };
    if let Some(found) = index.get(16..).and_then(|header| entry_named(header, name)) {
        return Ok(Some(found));
    }
    let Some(size) = u32_at(index, 8).filter(|s| s.is_power_of_two() && (512..=65536).contains(s)) else {
        return Ok(None);
    };
    let Some(blocks) = root.stream(ATTRIBUTE_INDEX_ALLOCATION, I30) else { return Ok(None) };
    let size = size as usize;
    let mut at = 0;
    while at < blocks.size.min(ROOT_INDEX_MAX) {
        let Some(raw) = blocks.read(part, volume.cluster, at, size)? else { break };
        at += size as u64;
        if array(&raw, 0) != Some(*b"INDX") {
            continue;
        }
        let Some(block) = fixed_up(raw) else { continue };
        if let Some(found) = block.get(24..).and_then(|header| entry_named(header, name)) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Looks through the entries behind one index header.
fn entry_named(header: &[u8], name: &str) -> Option<u64> {
    let mut at = u32_at(header, 0)? as usize;
    let end = (u32_at(header, 4)? as usize).min(header.len());
    while at.checked_add(16)? <= end {
        let entry = header.get(at..end)?;
        let len = usize::from(u16_at(entry, 8)?);
        if u16_at(entry, 12)? & INDEX_ENTRY_END != 0 || len < 16 {
            return None;
        }
        let chars = usize::from(u8_at(entry, 16 + 0x40).unwrap_or(0));
        let text = entry.get(16 + 0x42..16 + 0x42 + chars * 2).unwrap_or_default();
        let (units, _) = text.as_chunks::<2>();
        let same = String::from_utf16(&units.iter().map(|u| u16::from_le_bytes(*u)).collect::<Vec<_>>())
            .is_ok_and(|t| t.eq_ignore_ascii_case(name));
        if same {
            return u64_at(entry, 0);
        }
        at += len;
    }
    None
}

/// `None` when the one record does not name all of `$Bitmap`.
fn allocated(part: &Part<'_>, volume: &Volume, mft: &Stream) -> Result<Option<Ranges>, UsedError> {
    let Some(record) = volume.record(part, mft, RECORD_BITMAP)? else { return Err(DAMAGED) };
    let clusters = volume.bytes / volume.cluster;
    let Some(bitmap) = record.stream(ATTRIBUTE_DATA, &[]) else { return Ok(None) };
    if bitmap.size < clusters.div_ceil(8) || bitmap.initialised < clusters.div_ceil(8) {
        return Ok(None);
    }
    let mut ranges = Ranges::default();
    // The boot sectors, whatever the bitmap says.
    ranges.push(0..8192.min(part.len));
    let mut cluster = 0;
    while cluster < clusters {
        let count = (clusters - cluster).min(BITMAP_PIECE * 8);
        let want = usize::try_from(count.div_ceil(8)).unwrap_or(0);
        let Some(bits) = bitmap.read(part, volume.cluster, cluster / 8, want)? else { return Ok(None) };
        push_bits(&mut ranges, &bits, cluster, count, volume.cluster, 0);
        cluster += count;
    }
    // The spare boot sector stands behind the last cluster, and clusters do not always reach the end.
    ranges.push((clusters * volume.cluster).min(volume.bytes)..volume.bytes + volume.sector);
    ranges.truncate(part.len);
    Ok(Some(ranges))
}

const DAMAGED: UsedError = UsedError::Refused {
    reason: "the NTFS file system is damaged",
    remedy: "start Windows, run chkdsk /f on the drive, shut down with shutdown /s /t 0, capture again",
};

const RECORD_LOGFILE: u64 = 2;
const RECORD_VOLUME: u64 = 3;
const RECORD_ROOT: u64 = 5;
const RECORD_BITMAP: u64 = 6;
const ATTRIBUTE_VOLUME_INFORMATION: u32 = 0x70;
const ATTRIBUTE_DATA: u32 = 0x80;
const ATTRIBUTE_INDEX_ROOT: u32 = 0x90;
const ATTRIBUTE_INDEX_ALLOCATION: u32 = 0xa0;
/// The name of the attributes that make up a folder, in UTF-16.
const I30: &[u8] = b"$\0I\x003\x000\0";
const VOLUME_IS_DIRTY: u16 = 1;
const RESTART_VOLUME_IS_CLEAN: u16 = 2;
const NO_CLIENT: u16 = 0xffff;
const INDEX_ENTRY_END: u16 = 2;
const REFERENCE_NUMBER: u64 = (1 << 48) - 1;
/// The root folder of a real Windows needs a few dozen kilobytes.
const ROOT_INDEX_MAX: u64 = 16 << 20;
const BITMAP_PIECE: u64 = 1 << 20;
