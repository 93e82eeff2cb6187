//! Reading a prepared disk into chunks and a manifest. The disk is never written.
//!
//! [`plan`] looks at the partition table and the file systems and refuses what would make a worthless image. [`run`] reads
//! the used bytes in ascending order, sets everything else in a chunk to zero, hashes, asks which chunks are missing, and
//! compresses and uploads only those.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};

use crate::blockdev::BlockDev;
use crate::chunk::{CHUNK_BYTES, ChunkError, ChunkSink, Hash, Stored, TransferError, is_zero};
use crate::layout::{choose_growing, least_disk};
use crate::manifest::{
    ChunkTable, Filesystem, Header, Identity, Manifest, ManifestError, Partition, TableKind,
};
use crate::protocol::UPLOAD_BYTES_MAX;
use crate::reserved;
use crate::table::{self, TableError};
use crate::used::{self, FsKind, Ranges, Used, UsedError};

/// What will be captured.
#[derive(Debug)]
pub struct CapturePlan {
    header: Header,
    /// Used ranges of each partition of the header.
    ranges: Vec<Ranges>,
    /// What the admin should know, in sentences.
    pub warnings: Vec<String>,
}

/// How far a capture is, and how far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Used bytes that were read.
    pub read_bytes: u64,
    /// Used bytes in all.
    pub total_bytes: u64,
    /// Bytes that were uploaded, compressed.
    pub uploaded_bytes: u64,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The disk has no partition table.
    #[error("the disk has no partition table")]
    NoTable,
    /// The partition table cannot be used.
    #[error("the partition table cannot be used")]
    Table(#[from] TableError),
    /// A partition cannot be captured.
    #[error("partition {number}: {source}")]
    Partition {
        /// Number of the partition.
        number: u32,
        /// Why.
        source: UsedError,
    },
    /// The disk fails.
    #[error("the disk cannot be read at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The sink fails.
    #[error("chunks cannot be uploaded")]
    Upload(#[source] TransferError),
    /// A chunk cannot be compressed.
    #[error("a chunk cannot be compressed")]
    Compress(#[from] ChunkError),
    /// The image cannot be described: too much data or too many pieces.
    #[error("the image cannot be described")]
    Manifest(#[from] ManifestError),
    /// The progress callback said so.
    #[error("cancelled")]
    Cancelled,
}

/// Finds out what there is to capture on a disk.
///
/// # Errors
/// See [`CaptureError`]; nothing was read but tables and allocation records.
pub fn plan(dev: &dyn BlockDev) -> Result<CapturePlan, CaptureError> {
    let table = table::read(dev)?.ok_or(CaptureError::NoTable)?;
    let sector = u64::from(dev.sector_bytes());
    let mut plan = CapturePlan {
        header: Header {
            image: String::new(),
            created_at: 0,
            chunk_bytes: CHUNK_BYTES as u32,
            sector_bytes: dev.sector_bytes(),
            disk_bytes: dev.len_bytes() / sector * sector,
            table: table.kind,
            boot_code: Header::encode_boot_code(&table.boot_code),
            partitions: Vec::new(),
        },
        ranges: Vec::new(),
        warnings: Vec::new(),
    };
    if let TableKind::Mbr { .. } = table.kind
        && let Some(first) = table.entries.first()
        && first.first_lba > 1
    {
        let sectors = (first.first_lba - 1).min(BOOT_GAP_BYTES / sector);
        plan.push(sector, 0, Identity::BootGap, 1, sectors, whole(sectors * sector));
    }
    for entry in table.entries {
        if reserved::is_ours(&entry.identity) {
            continue;
        }
        let start = entry.first_lba.saturating_mul(sector);
        let used =
            used::detect_and_map(dev, start..start.saturating_add(entry.sectors.saturating_mul(sector)))
                .map_err(|source| CaptureError::Partition { number: entry.number, source })?;
        if let Some(why) = used.whole_because {
            plan.warnings.push(format!("partition {} is copied as a whole: {why}", entry.number));
        } else if used.kind == FsKind::Raw && used.fs_bytes > RAW_IS_USUAL_BYTES {
            plan.warnings.push(format!(
                "partition {} is copied as a whole: its file system is unknown here, or it is encrypted",
                entry.number
            ));
        }
        plan.push(sector, entry.number, entry.identity, entry.first_lba, entry.sectors, used);
    }
    if let Some(growing) = choose_growing(plan.header.table, &plan.header.partitions)
        && let Some(partition) = plan.header.partitions.get_mut(growing)
    {
        partition.grow = true;
    }
    let least = least_disk(&plan.header);
    if least > dev.len_bytes() {
        plan.warnings.push(format!(
            "the partitions reach to the end of the disk: the image needs disks that are at least {} MiB larger than this \
             one; make the last partition that much smaller and capture again if it is for PCs with the same disk",
            (least - dev.len_bytes()).div_ceil(1 << 20)
        ));
    }
    Ok(plan)
}

impl CapturePlan {
    /// Used bytes of all partitions together.
    pub fn total_bytes(&self) -> u64 {
        self.ranges.iter().map(Ranges::bytes).sum()
    }

    /// The disk layout that the manifest will have.
    pub fn header(&self) -> &Header {
        &self.header
    }

    fn push(
        &mut self,
        sector: u64,
        number: u32,
        identity: Identity,
        first_lba: u64,
        sectors: u64,
        used: Used,
    ) {
        let len = sectors * sector;
        let min_bytes =
            if used.whole_because.is_some() { len } else { used.fs_bytes.next_multiple_of(sector).min(len) };
        let filesystem =
            Filesystem { kind: used.kind, uuid: used.uuid, min_bytes, used_bytes: used.ranges.bytes() };
        self.header.partitions.push(Partition {
            number,
            identity,
            first_lba,
            sectors,
            filesystem,
            grow: false,
        });
        self.ranges.push(used.ranges);
    }

    /// What is read and hashed in one go, in ascending order.
    fn batches(&self) -> impl Iterator<Item = Batch<'_>> + '_ {
        self.header.partitions.iter().zip(&self.ranges).enumerate().flat_map(
            |(partition, (shape, ranges))| {
                let start = shape.first_lba.saturating_mul(u64::from(self.header.sector_bytes));
                chunk_runs(ranges).map(move |chunks| Batch { partition, start, chunks, ranges })
            },
        )
    }
}

/// Captures the disk as `image`, made at `created_at` (milliseconds UTC). The manifest is unsigned.
///
/// `progress` is called after every read and may end the work.
///
/// # Errors
/// See [`CaptureError`]. Chunks that were uploaded stay where they are; the next capture need not send them again.
pub fn run(
    dev: &dyn BlockDev,
    plan: &CapturePlan,
    image: &str,
    created_at: i64,
    sink: &dyn ChunkSink,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Manifest, Progress), CaptureError> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let workers = cores.min(WORKERS_MAX);
    let shared = Shared {
        sink,
        done: Mutex::new(Done { tables: vec![ChunkTable::default(); plan.ranges.len()], ..Done::default() }),
        uploaded: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let (to_workers, from_reader) = mpsc::sync_channel::<Work>(1);
    let from_reader = Mutex::new(from_reader);
    let (give_back, buffers) = mpsc::channel::<Vec<u8>>();
    let mut at = Progress { total_bytes: plan.total_bytes(), ..Progress::default() };
    let read = std::thread::scope(|scope| {
        for _ in 0..workers {
            let give_back = give_back.clone();
            let (shared, from_reader) = (&shared, &from_reader);
            scope.spawn(move || {
                loop {
                    let next = from_reader.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok(work) = next else { return };
                    let buffer = shared.handle(work);
                    let _ = give_back.send(buffer);
                }
            });
        }
        for (number, batch) in plan.batches().enumerate() {
            let mut buffer = buffers.try_recv().unwrap_or_default();
            at.read_bytes += batch.read(dev, &mut buffer)?;
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let (partition, first) = (batch.partition, batch.chunks.start);
            if to_workers.send(Work { number, partition, first, buffer }).is_err() {
                break;
            }
            at.uploaded_bytes = shared.uploaded.load(Ordering::Relaxed);
            if progress(at).is_break() {
                shared.stop.store(true, Ordering::Relaxed);
                return Err(CaptureError::Cancelled);
            }
        }
        drop(to_workers);
        Ok(())
    });
    at.uploaded_bytes = shared.uploaded.load(Ordering::Relaxed);
    let done = shared.done.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(error) = done.failed {
        return Err(error);
    }
    read?;
    let header = Header { image: image.into(), created_at, ..plan.header.clone() };
    Ok((Manifest::new(header, done.tables)?, at))
}

/// Neighbouring chunks of one partition.
struct Batch<'p> {
    partition: usize,
    /// Where the partition begins on the disk.
    start: u64,
    chunks: Range<u32>,
    ranges: &'p Ranges,
}

impl Batch<'_> {
    /// Fills `buffer` with the chunks, everything unused as zeros. Returns the used bytes.
    fn read(&self, dev: &dyn BlockDev, buffer: &mut Vec<u8>) -> Result<u64, CaptureError> {
        let chunk = CHUNK_BYTES as u64;
        let window = u64::from(self.chunks.start) * chunk..u64::from(self.chunks.end) * chunk;
        buffer.resize(self.chunks.len() * CHUNK_BYTES, 0);
        let mut filled = 0;
        let mut used = 0;
        // Used bytes that lie close together are read at once; what is read too much is erased again.
        let mut pieces = self.ranges.within(window.clone()).peekable();
        while let Some(first) = pieces.next() {
            let mut end = first.end;
            let mut holes = Vec::new();
            while let Some(next) = pieces.next_if(|n| n.start - end <= READ_OVER) {
                holes.push(end..next.start);
                end = next.end;
            }
            let from = index(first.start - window.start);
            let to = index(end - window.start);
            fill_zero(buffer, filled..from);
            let offset = self.start + first.start;
            if let Some(piece) = buffer.get_mut(from..to) {
                dev.read_at(offset, piece).map_err(|source| CaptureError::Read { offset, source })?;
            }
            used += end - first.start;
            for hole in holes {
                used -= hole.end - hole.start;
                fill_zero(buffer, index(hole.start - window.start)..index(hole.end - window.start));
            }
            filled = to;
        }
        let end = buffer.len();
        fill_zero(buffer, filled..end);
        Ok(used)
    }
}

/// One batch on its way to a worker.
struct Work {
    number: usize,
    partition: usize,
    first: u32,
    buffer: Vec<u8>,
}

struct Shared<'s> {
    sink: &'s dyn ChunkSink,
    done: Mutex<Done>,
    uploaded: AtomicU64,
    stop: AtomicBool,
}

#[derive(Default)]
struct Done {
    tables: Vec<ChunkTable>,
    /// Next batch to enter in its table.
    next: usize,
    /// Batches that came before their turn: partition, first chunk, hashes.
    waiting: BTreeMap<usize, (usize, u32, Vec<Hash>)>,
    failed: Option<CaptureError>,
}

impl Shared<'_> {
    /// Returns the buffer, to be filled again.
    fn handle(&self, work: Work) -> Vec<u8> {
        if !self.stop.load(Ordering::Relaxed) {
            let outcome = self.hash_and_upload(&work);
            let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
            if let Err(error) = outcome.and_then(|hashes| done.enter(&work, hashes)) {
                done.failed.get_or_insert(error);
                self.stop.store(true, Ordering::Relaxed);
            }
        }
        work.buffer
    }

    fn hash_and_upload(&self, work: &Work) -> Result<Vec<Hash>, CaptureError> {
        let chunks = || work.buffer.chunks_exact(CHUNK_BYTES);
        let hashes: Vec<Hash> =
            chunks().map(|c| if is_zero(c) { Hash::zero_chunk() } else { Hash::of(c) }).collect();
        let mut seen = HashSet::from([Hash::zero_chunk()]);
        let fresh: Vec<(Hash, &[u8])> =
            hashes.iter().copied().zip(chunks()).filter(|(h, _)| seen.insert(*h)).collect();
        if fresh.is_empty() {
            return Ok(hashes);
        }
        let wanted = self
            .sink
            .missing(&fresh.iter().map(|(h, _)| *h).collect::<Vec<_>>())
            .map_err(CaptureError::Upload)?;
        if wanted.len() != fresh.len() {
            return Err(CaptureError::Upload(
                "the answer tells about another number of chunks than was asked for".into(),
            ));
        }
        let mut group = Vec::new();
        let mut group_bytes = 0;
        for ((hash, chunk), _) in fresh.into_iter().zip(wanted).filter(|(_, wanted)| *wanted) {
            let stored = Stored::pack(chunk)?;
            let body = stored.stored_len() + UPLOAD_RECORD_OVERHEAD;
            if group_bytes + body > UPLOAD_BYTES_MAX {
                self.upload(&mut group)?;
                group_bytes = 0;
            }
            group_bytes += body;
            group.push((hash, stored));
        }
        self.upload(&mut group)?;
        Ok(hashes)
    }

    fn upload(&self, group: &mut Vec<(Hash, Stored)>) -> Result<(), CaptureError> {
        if !group.is_empty() {
            self.sink.upload(group).map_err(CaptureError::Upload)?;
            let bytes: usize = group.iter().map(|(_, s)| s.stored_len()).sum();
            self.uploaded.fetch_add(bytes as u64, Ordering::Relaxed);
            group.clear();
        }
        Ok(())
    }
}

impl Done {
    /// Enters every batch whose turn it is.
    fn enter(&mut self, work: &Work, hashes: Vec<Hash>) -> Result<(), CaptureError> {
        self.waiting.insert(work.number, (work.partition, work.first, hashes));
        while let Some((partition, first, hashes)) = self.waiting.remove(&self.next) {
            self.next += 1;
            if let Some(table) = self.tables.get_mut(partition) {
                for (number, hash) in (first..).zip(hashes) {
                    table.push(number, hash)?;
                }
            }
        }
        Ok(())
    }
}

/// The chunks that a set of ranges touches, as ranges of chunk numbers of bounded length.
fn chunk_runs(ranges: &Ranges) -> impl Iterator<Item = Range<u32>> + '_ {
    let chunk = CHUNK_BYTES as u64;
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let mut pieces =
        ranges.iter().map(move |r| number(r.start / chunk)..number(r.end.div_ceil(chunk))).peekable();
    let mut left = 0..0;
    std::iter::from_fn(move || {
        if left.is_empty() {
            left = pieces.next()?;
            while let Some(next) = pieces.next_if(|n| n.start <= left.end) {
                left.end = left.end.max(next.end);
            }
        }
        let run = left.start..left.end.min(left.start.saturating_add(BATCH_CHUNKS));
        left.start = run.end;
        Some(run)
    })
}

fn whole(len: u64) -> Used {
    Used {
        kind: FsKind::Raw,
        block_bytes: 0,
        uuid: None,
        fs_bytes: len,
        ranges: Ranges::whole(len),
        whole_because: None,
    }
}

fn fill_zero(buffer: &mut [u8], range: Range<usize>) {
    if let Some(part) = buffer.get_mut(range) {
        part.fill(0);
    }
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}

/// 8 MiB. With [`WORKERS_MAX`] workers, one batch waiting and one being read: 48 MiB, and as much again at most while
/// chunks that do not shrink are uploaded.
const BATCH_CHUNKS: u32 = 128;
const WORKERS_MAX: usize = 4;
/// A gap that costs less to read than to skip.
const READ_OVER: u64 = 64 << 10;
/// Hash and length in front of every chunk of an upload.
const UPLOAD_RECORD_OVERHEAD: usize = 36;
/// BIOS boot and Microsoft reserved partitions have no file system and are no surprise.
const RAW_IS_USUAL_BYTES: u64 = 64 << 20;
/// Where GRUB puts its second stage on MBR disks; more is left out.
const BOOT_GAP_BYTES: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockdev::MemDev;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_batch_holds_the_used_bytes_and_zeros_elsewhere(
            parts in prop::collection::vec((0u64..200_000, 1u64..90_000), 1..12), start in 0u64..5000
        ) {
            let disk: Vec<u8> = (0..4_000_000u32).map(|n| (n % 251 + 1) as u8).collect();
            let mut ranges = Ranges::default();
            let mut at = 0;
            for (gap, len) in parts {
                at += gap;
                ranges.push(at..at + len);
                at += len;
            }
            let dev = MemDev::new(disk.clone());
            // Leftovers of the batch before must not show.
            let mut buffer = vec![0xff; 9_000_000];
            let mut expected: Vec<u8> = vec![0; disk.len()];
            for range in ranges.iter() {
                let (from, to) = (range.start as usize, range.end as usize);
                expected[from..to].copy_from_slice(&disk[from + start as usize..to + start as usize]);
            }
            let mut used = 0;
            let mut next = 0;
            for chunks in chunk_runs(&ranges) {
                prop_assert!(chunks.start >= next && chunks.len() <= BATCH_CHUNKS as usize);
                let skipped = &expected[next as usize * CHUNK_BYTES..chunks.start as usize * CHUNK_BYTES];
                prop_assert!(is_zero(skipped));
                next = chunks.end;
                let batch = Batch { partition: 0, start, chunks: chunks.clone(), ranges: &ranges };
                used += batch.read(&dev, &mut buffer).unwrap();
                let whole = &expected[chunks.start as usize * CHUNK_BYTES..chunks.end as usize * CHUNK_BYTES];
                prop_assert!(buffer == whole);
            }
            prop_assert_eq!(used, ranges.bytes());
            prop_assert!(is_zero(&expected[next as usize * CHUNK_BYTES..]));
        }
    }
}
