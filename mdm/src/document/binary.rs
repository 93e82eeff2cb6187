//! What a binary property list would unfold to, measured before anything is built.
//!
//! Layout (CFBinaryPList.c): the magic `bplist00`, objects, a table of their offsets, and a trailer of 32 bytes. Arrays
//! and dictionaries name their members by number, so 40 small objects can stand for a tree of a billion.

use super::{DocumentError, MAX_DEPTH};

pub(super) const MAGIC: &[u8] = b"bplist00";

/// Refuses a list that is damaged, too deep, or longer than `limit` when every reference is written out.
pub(super) fn guard(bytes: &[u8], limit: usize) -> Result<(), DocumentError> {
    let mut objects = Objects::open(bytes, limit)?;
    objects.measure(objects.root, 0).map(drop)
}

/// What stands below one object, with all references followed.
#[derive(Clone, Copy)]
struct Extent {
    bytes: usize,
    levels: usize,
}

struct Objects<'b> {
    /// Everything in front of the trailer.
    body: &'b [u8],
    offsets: &'b [u8],
    offset_size: usize,
    reference_size: usize,
    root: usize,
    limit: usize,
    /// Objects that were measured already, so that each is measured once.
    known: Vec<Option<Extent>>,
}

impl<'b> Objects<'b> {
    fn open(bytes: &'b [u8], limit: usize) -> Result<Self, DocumentError> {
        let (body, trailer) =
            bytes.split_last_chunk::<TRAILER_BYTES>().ok_or(damaged("it has no trailer"))?;
        let [_, _, _, _, _, _, offset_size, reference_size, numbers @ ..] = trailer;
        let mut numbers = numbers.chunks_exact(8).map(number);
        let (Some(count), Some(root), Some(table)) = (numbers.next(), numbers.next(), numbers.next()) else {
            return Err(damaged("its trailer is too short"));
        };
        let offset_size = integer_size(*offset_size)?;
        let table_bytes = count.checked_mul(offset_size).ok_or(damaged("its offset table is too long"))?;
        // The table lies inside the document, so `count` is bounded by the document's length.
        let offsets = slice(body, table, table_bytes)?;
        let reference_size = integer_size(*reference_size)?;
        Ok(Self { body, offsets, offset_size, reference_size, root, limit, known: vec![None; count] })
    }

    /// Depth first, and never deeper than [`MAX_DEPTH`], which ends a circle as well.
    fn measure(&mut self, object: usize, depth: usize) -> Result<Extent, DocumentError> {
        let known = *self.known.get(object).ok_or(damaged("a reference names no object"))?;
        if let Some(extent) = known {
            return if depth + extent.levels > MAX_DEPTH { Err(DocumentError::TooDeep) } else { Ok(extent) };
        }
        let Token { bytes, members, container } = self.token(object)?;
        if container && depth >= MAX_DEPTH {
            return Err(DocumentError::TooDeep);
        }
        let mut extent = Extent { bytes, levels: usize::from(container) };
        for member in members.chunks_exact(self.reference_size).map(number) {
            let below = self.measure(member, depth + usize::from(container))?;
            extent.levels = extent.levels.max(below.levels + 1);
            extent.bytes = extent.bytes.saturating_add(below.bytes);
            if extent.bytes > self.limit {
                return Err(DocumentError::TooLong { limit: self.limit });
            }
        }
        if let Some(slot) = self.known.get_mut(object) {
            *slot = Some(extent);
        }
        Ok(extent)
    }

    /// One object's own length and the references to its members.
    fn token(&self, object: usize) -> Result<Token<'b>, DocumentError> {
        let place = object.checked_mul(self.offset_size).ok_or(damaged("a reference names no object"))?;
        let offset = number(slice(self.offsets, place, self.offset_size)?);
        let (&marker, rest) =
            self.body.get(offset..).and_then(<[u8]>::split_first).ok_or(damaged("an object lies outside"))?;
        let leaf =
            |bytes: usize| slice(rest, 0, bytes).map(|_| Token { bytes, members: &[], container: false });
        match marker >> 4 {
            // Null, booleans, fill.
            0x0 => leaf(1),
            // Integers and reals of 2^n bytes, dates of 8.
            0x1..=0x3 => leaf(1_usize << (marker & 0x07)),
            0x8 => leaf(usize::from(marker & 0x0f) + 1),
            0x4 | 0x5 => counted(marker, rest, 1, false),
            // UTF-16 in two bytes a unit.
            0x6 => counted(marker, rest, 2, false),
            0xa => counted(marker, rest, self.reference_size, true),
            // Keys first, then values.
            0xd => counted(marker, rest, self.reference_size * 2, true),
            _ => Err(damaged("an object has a type that no property list has")),
        }
    }
}

struct Token<'b> {
    bytes: usize,
    members: &'b [u8],
    container: bool,
}

/// An object that is `count` units of `unit` bytes. A count from 15 on stands in an integer of its own behind the marker.
fn counted(marker: u8, rest: &[u8], unit: usize, container: bool) -> Result<Token<'_>, DocumentError> {
    let (count, rest) = match marker & 0x0f {
        0x0f => {
            let (&size, rest) = rest.split_first().ok_or(damaged("an object has no length"))?;
            let size = 1_usize << (size & 0x03);
            let (count, rest) = rest.split_at_checked(size).ok_or(damaged("an object has no length"))?;
            (number(count), rest)
        }
        count => (usize::from(count), rest),
    };
    let bytes = count.checked_mul(unit).ok_or(damaged("an object is longer than the document"))?;
    let content = slice(rest, 0, bytes)?;
    // One byte for the marker, so that an empty array is not free.
    Ok(Token { bytes: bytes + 1, members: if container { content } else { &[] }, container })
}

fn slice(bytes: &[u8], start: usize, length: usize) -> Result<&[u8], DocumentError> {
    start
        .checked_add(length)
        .and_then(|end| bytes.get(start..end))
        .ok_or(damaged("an object lies outside of the document"))
}

/// Big-endian. What does not fit becomes a number that lies outside of every document.
fn number(bytes: &[u8]) -> usize {
    bytes.iter().fold(0_usize, |value, &byte| {
        value.checked_mul(256).map_or(usize::MAX, |value| value | usize::from(byte))
    })
}

fn integer_size(size: u8) -> Result<usize, DocumentError> {
    match size {
        1..=4 | 8 => Ok(usize::from(size)),
        _ => Err(damaged("its trailer has an impossible integer size")),
    }
}

fn damaged(what: &'static str) -> DocumentError {
    DocumentError::Binary { what }
}

const TRAILER_BYTES: usize = 32;
