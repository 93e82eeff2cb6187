//! The reserved place of a managed disk: one MiB near its end that images leave alone.
//!
//! ```text
//!   0 KiB  key record: the device's private key and the server's name
//!  32 KiB  the same again, written after the first is durable
//!  64 KiB  journal of the running deploy, slot 0
//! 128 KiB  journal, slot 1; the slots are written in turn
//! ```
//!
//! Every record has a magic, a version and a checksum, and what does not check counts as absent. The place begins two MiB
//! before the end of the disk, rounded down to a whole MiB, so that it is found by the disk's length alone, also while the
//! disk has no partition table. The table that a deploy writes has an entry for it ([`TYPE_GUID`]).

use std::io;
use std::ops::Range;

use uuid::Uuid;

use crate::blockdev::BlockDev;
use crate::chunk::Hash;
use crate::le::{array, u16_at, u32_at, u64_at};
use crate::manifest::{Identity, ManifestId};
use crate::table;

/// GPT partition type of the reserved place.
pub const TYPE_GUID: Uuid = Uuid::from_u128(0x6861_7573_6d65_4973_8000_7265_7365_7276);
/// GPT partition name of the reserved place.
pub const NAME: &str = "hausmeister";
/// Length of the reserved place in bytes.
pub const LEN_BYTES: u64 = 1 << 20;

/// What makes a PC recognisable after its disk was written.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The private key as PKCS#8 DER, at most 8 KiB.
    pub private_key: Vec<u8>,
    /// Name of the server that approved it, at most 255 bytes.
    pub server: String,
}

impl std::fmt::Debug for KeyRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyRecord").field("server", &self.server).finish_non_exhaustive()
    }
}

/// How far a deploy has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// Job id, at most 64 bytes.
    pub job: String,
    /// The image that is being written.
    pub manifest: ManifestId,
    /// Chunks, zeros included, that are durable, counted in the order of the manifest.
    pub done: u64,
    /// Whether the disk read as zeros where no chunk was written when this deploy began.
    pub zeroed: bool,
    /// Whether the partition table was written: the deploy is over.
    pub finished: bool,
}

/// Where the reserved place of a disk of `disk_bytes` is; `None` if the disk is too small to have one.
pub fn range(disk_bytes: u64) -> Option<Range<u64>> {
    let start = (disk_bytes >> 20).checked_sub(2)? << 20;
    // The MiB in front holds the partition table.
    (start >= 1 << 20).then_some(start..start + LEN_BYTES)
}

/// Whether the reserved place may be written: it lies in no partition but its own.
///
/// A PC that was never imaged has a system whose last partition often covers the place.
///
/// # Errors
/// The disk cannot be read. A damaged table counts as occupied.
pub fn is_free(dev: &dyn BlockDev) -> io::Result<bool> {
    let Some(place) = range(dev.len_bytes()) else { return Ok(false) };
    let sector = u64::from(dev.sector_bytes());
    match table::read(dev) {
        Ok(Some(table)) => Ok(table.entries.iter().all(|e| {
            let end = (e.first_lba + e.sectors).saturating_mul(sector);
            is_ours(&e.identity) || end <= place.start || e.first_lba.saturating_mul(sector) >= place.end
        })),
        // A disk that a deploy has wiped, or that is new.
        Ok(None) => Ok(table::is_blank(dev)? || read_key(dev)?.is_some()),
        Err(table::TableError::Io(error)) => Err(error),
        Err(_) => Ok(false),
    }
}

/// Whether a partition is the reserved place.
pub fn is_ours(identity: &Identity) -> bool {
    matches!(identity, Identity::Gpt { type_guid, .. } if *type_guid == TYPE_GUID)
}

/// The key record, if there is an intact one.
///
/// # Errors
/// The disk cannot be read.
pub fn read_key(dev: &dyn BlockDev) -> io::Result<Option<KeyRecord>> {
    for at in KEY_SLOTS {
        if let Some(body) = read_record(dev, at, KEY_MAGIC)?
            && let Some(key) = decode_key(&body)
        {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// Writes the key record, so that a power cut at any moment leaves either the old or the new one.
///
/// # Errors
/// The disk cannot be written, or `InvalidInput` for a key or name that is too long or a disk that is too small.
pub fn write_key(dev: &dyn BlockDev, key: &KeyRecord) -> io::Result<()> {
    if key.private_key.len() > KEY_BYTES_MAX || key.server.len() > SERVER_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the key or the server's name is too long"));
    }
    let mut body = Vec::new();
    put_field(&mut body, &key.private_key);
    put_field(&mut body, key.server.as_bytes());
    for at in KEY_SLOTS {
        write_record(dev, at, KEY_MAGIC, &body)?;
        dev.sync()?;
    }
    Ok(())
}

/// The newest intact journal.
///
/// # Errors
/// The disk cannot be read.
pub fn read_journal(dev: &dyn BlockDev) -> io::Result<Option<Journal>> {
    Ok(newest_journal(dev)?.map(|(_, journal)| journal))
}

/// Writes the journal over the older slot. Durable after the next [`BlockDev::sync`]; until then the other slot holds.
///
/// # Errors
/// The disk cannot be written, or `InvalidInput` for a job id that is too long.
pub fn write_journal(dev: &dyn BlockDev, journal: &Journal) -> io::Result<()> {
    if journal.job.len() > JOB_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the job id is too long"));
    }
    let sequence = newest_journal(dev)?.map_or(0, |(sequence, _)| sequence.wrapping_add(1));
    let mut body = Vec::new();
    body.extend_from_slice(&sequence.to_le_bytes());
    body.extend_from_slice(journal.manifest.as_bytes());
    body.extend_from_slice(&journal.done.to_le_bytes());
    body.push(u8::from(journal.zeroed));
    body.push(u8::from(journal.finished));
    put_field(&mut body, journal.job.as_bytes());
    let slot = if sequence.is_multiple_of(2) { JOURNAL_SLOTS[0] } else { JOURNAL_SLOTS[1] };
    write_record(dev, slot, JOURNAL_MAGIC, &body)
}

fn newest_journal(dev: &dyn BlockDev) -> io::Result<Option<(u64, Journal)>> {
    let mut newest: Option<(u64, Journal)> = None;
    for at in JOURNAL_SLOTS {
        if let Some(body) = read_record(dev, at, JOURNAL_MAGIC)?
            && let Some(found) = decode_journal(&body)
            && newest.as_ref().is_none_or(|(sequence, _)| found.0 > *sequence)
        {
            newest = Some(found);
        }
    }
    Ok(newest)
}

fn decode_key(body: &[u8]) -> Option<KeyRecord> {
    let (private_key, rest) = take_field(body)?;
    let (server, _) = take_field(rest)?;
    Some(KeyRecord { private_key: private_key.to_vec(), server: String::from_utf8(server.to_vec()).ok()? })
}

fn decode_journal(body: &[u8]) -> Option<(u64, Journal)> {
    let (job, _) = take_field(body.get(50..)?)?;
    let journal = Journal {
        job: String::from_utf8(job.to_vec()).ok()?,
        manifest: Hash(array(body, 8)?),
        done: u64_at(body, 40)?,
        zeroed: *body.get(48)? == 1,
        finished: *body.get(49)? == 1,
    };
    Some((u64_at(body, 0)?, journal))
}

fn put_field(body: &mut Vec<u8>, field: &[u8]) {
    body.extend_from_slice(&(field.len() as u16).to_le_bytes());
    body.extend_from_slice(field);
}

fn take_field(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(u16_at(body, 0)?);
    body.get(2..)?.split_at_checked(len)
}

/// Magic 8, version 4, body length 4, body, BLAKE3 over all of it cut to 16 bytes.
fn write_record(dev: &dyn BlockDev, at: u64, magic: &[u8; 8], body: &[u8]) -> io::Result<()> {
    let place = range(dev.len_bytes()).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the disk is too small for the reserved place")
    })?;
    let mut record = Vec::with_capacity(RECORD_BYTES);
    record.extend_from_slice(magic);
    record.extend_from_slice(&VERSION.to_le_bytes());
    record.extend_from_slice(&(body.len() as u32).to_le_bytes());
    record.extend_from_slice(body);
    let checksum = checksum(&record);
    record.extend_from_slice(&checksum);
    // Whole blocks, for disks that can only write those.
    record.resize(record.len().next_multiple_of(4096), 0);
    dev.write_at(place.start + at, &record)
}

fn read_record(dev: &dyn BlockDev, at: u64, magic: &[u8; 8]) -> io::Result<Option<Vec<u8>>> {
    let Some(place) = range(dev.len_bytes()) else { return Ok(None) };
    let mut raw = vec![0; RECORD_BYTES];
    dev.read_at(place.start + at, &mut raw)?;
    Ok(decode_record(&raw, magic))
}

fn decode_record(raw: &[u8], magic: &[u8; 8]) -> Option<Vec<u8>> {
    if array(raw, 0) != Some(*magic) || u32_at(raw, 8) != Some(VERSION) {
        return None;
    }
    let len = u32_at(raw, 12)? as usize;
    let end = len.checked_add(16)?;
    let (record, rest) = raw.split_at_checked(end)?;
    let right = array(rest, 0) == Some(checksum(record));
    right.then(|| record.get(16..).map(<[u8]>::to_vec)).flatten()
}

fn checksum(record: &[u8]) -> [u8; 16] {
    array(Hash::of(record).as_bytes(), 0).unwrap_or_default()
}

const KEY_MAGIC: &[u8; 8] = b"HAUSKEY1";
const JOURNAL_MAGIC: &[u8; 8] = b"HAUSJRN1";
const VERSION: u32 = 1;
const KEY_SLOTS: [u64; 2] = [0, 32 << 10];
const JOURNAL_SLOTS: [u64; 2] = [64 << 10, 128 << 10];
const RECORD_BYTES: usize = 16 << 10;
const KEY_BYTES_MAX: usize = 8 << 10;
const SERVER_BYTES_MAX: usize = 255;
const JOB_BYTES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blockdev::MemDev;
    use proptest::prelude::*;

    fn key() -> KeyRecord {
        KeyRecord { private_key: vec![0x30; 138], server: "hausmeister.schule.internal".into() }
    }

    fn journal(done: u64) -> Journal {
        Journal { job: "job-1".into(), manifest: Hash::of(b"m"), done, zeroed: true, finished: false }
    }

    #[test]
    fn the_place_is_a_whole_mib_two_mib_before_the_end() {
        assert_eq!(range(100 << 20), Some(98 << 20..99 << 20));
        assert_eq!(range((100 << 20) + 12345), Some(98 << 20..99 << 20));
        assert_eq!(range(3 << 20), Some(1 << 20..2 << 20));
        assert_eq!(range((3 << 20) - 1), None);
        assert_eq!(range(0), None);
    }

    #[test]
    fn key_and_journal_come_back_and_do_not_touch_each_other() {
        let dev = MemDev::new(vec![0xff; 8 << 20]);
        assert_eq!(read_key(&dev).unwrap(), None);
        assert_eq!(read_journal(&dev).unwrap(), None);
        write_key(&dev, &key()).unwrap();
        for done in 0..5 {
            write_journal(&dev, &journal(done)).unwrap();
            assert_eq!(read_journal(&dev).unwrap(), Some(journal(done)));
        }
        assert_eq!(read_key(&dev).unwrap(), Some(key()));
        let place = range(8 << 20).unwrap();
        let content = dev.content();
        assert!(
            content[..place.start as usize].iter().chain(&content[place.end as usize..]).all(|b| *b == 0xff)
        );
    }

    #[test]
    fn a_torn_write_leaves_the_record_before() {
        let dev = MemDev::new(vec![0; 8 << 20]);
        write_key(&dev, &key()).unwrap();
        write_journal(&dev, &journal(7)).unwrap();
        write_journal(&dev, &journal(8)).unwrap();
        let start = range(8 << 20).unwrap().start;
        dev.write_at(start + KEY_SLOTS[0] + 30, &[1; 10]).unwrap();
        dev.write_at(start + JOURNAL_SLOTS[1] + 20, &[1; 3]).unwrap();
        assert_eq!(read_key(&dev).unwrap(), Some(key()));
        assert_eq!(read_journal(&dev).unwrap(), Some(journal(7)));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_written() {
        let dev = MemDev::new(vec![0; 8 << 20]);
        assert!(write_key(&dev, &KeyRecord { private_key: vec![1; 9000], ..key() }).is_err());
        assert!(write_journal(&dev, &Journal { job: "x".repeat(65), ..journal(0) }).is_err());
        assert!(write_key(&MemDev::new(vec![0; 1 << 20]), &key()).is_err());
        assert!(crate::chunk::is_zero(&dev.content()));
    }

    #[test]
    fn the_private_key_is_not_shown_in_debug_output() {
        assert!(!format!("{:?}", KeyRecord { private_key: b"secret".to_vec(), ..key() }).contains("115"));
    }

    #[test]
    fn a_new_disk_is_free_and_one_with_unknown_content_is_not() {
        let dev = MemDev::new(vec![0; 8 << 20]);
        assert!(is_free(&dev).unwrap());
        dev.write_at(5000, b"LVM").unwrap();
        assert!(!is_free(&dev).unwrap());
        write_key(&dev, &key()).unwrap();
        assert!(is_free(&dev).unwrap());
    }

    proptest! {
        #[test]
        fn garbage_is_no_record(bytes in prop::collection::vec(any::<u8>(), 0..200), len in any::<u32>()) {
            let raw = [&KEY_MAGIC[..], &1u32.to_le_bytes(), &len.to_le_bytes(), &bytes].concat();
            prop_assert_eq!(decode_record(&raw, KEY_MAGIC), None);
            let _ = (decode_key(&bytes), decode_journal(&bytes));
        }
    }
}
