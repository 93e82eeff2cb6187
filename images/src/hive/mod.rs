//! Windows registry hives: reading values, changing texts that are there, and making keys and values.
//!
//! Microsoft does not document the file. Source: Maxim Suhanov, "Windows registry file format specification"
//! (github.com/msuhanov/regf). A hive is a *base block* of 4 KiB and *bins* of multiples of 4 KiB, which *cells* fill without
//! a gap. Offsets count from the end of the base block.
//!
//! | Cell | What it is                                       | Here                                        |
//! |------|--------------------------------------------------|---------------------------------------------|
//! | `nk` | a key                                            | read, made                                  |
//! | `lf`, `lh`, `li`, `ri` | lists of keys                  | read; a key entered                         |
//! | `vk` | a value                                          | read, made                                  |
//! | data | content of a value                               | read up to 16,344 bytes; written            |
//! | `db` | content of a longer value, in pieces             | refused                                     |
//! | `sk` | access rights                                    | shared with the key above                   |
//!
//! What is not done: removing keys or values, and applying transaction logs. A hive whose Windows did not finish writing
//! is refused with [`HiveError::Unfinished`]: its newest state stands in logs beside it.
//!
//! Everything in a file is hostile: bins and cells are walked once at the start, and what is later followed must be the
//! beginning of a cell in use. There is nothing to loop in: a path is followed key by key, and lists name lists only once.

mod make;
mod space;

use std::ops::Range;

use crate::le::{array, put, u16_at, u32_at};

/// A registry file in memory.
#[derive(Debug, Clone)]
pub struct Hive {
    bytes: Vec<u8>,
    /// Where cells begin, in use or free, ascending. Offsets as the hive counts them.
    cells: Vec<u32>,
    /// Which bytes of the file differ from what was read.
    touched: Vec<Range<usize>>,
}

/// Why a hive cannot be read or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HiveError {
    /// It is another kind of file, or one that this program does not know.
    #[error("this is no registry file that can be read: {0}")]
    Foreign(&'static str),
    /// Its Windows was not shut down properly.
    #[error(
        "Windows did not finish writing this registry file: start Windows on the reference PC, shut it down with \
         shutdown /s /t 0 and capture the image again"
    )]
    Unfinished,
    /// A number in it leads nowhere.
    #[error("the registry file is damaged at byte {at}: {what}")]
    Damaged {
        /// Byte of the file.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// There is no such key or value.
    #[error("the registry file has no {0}")]
    Missing(String),
    /// The value is of a type that holds no text.
    #[error("{0} in the registry file is no text")]
    NoText(String),
    /// A text that would not fit.
    #[error("{0} characters are too many for a value of the registry")]
    TooLong(usize),
}

/// What a value holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// Type: [`REG_SZ`], [`REG_EXPAND_SZ`], [`REG_DWORD`] or another.
    pub kind: u32,
    /// The bytes as they stand.
    pub data: Vec<u8>,
}

impl Value {
    /// A text of that kind.
    pub fn of_text(kind: u32, text: &str) -> Value {
        Value { kind, data: text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect() }
    }

    /// A number.
    pub fn of_number(number: u32) -> Value {
        Value { kind: REG_DWORD, data: number.to_le_bytes().to_vec() }
    }

    /// The number of a [`REG_DWORD`].
    pub fn number(&self) -> Option<u32> {
        if self.kind == REG_DWORD && self.data.len() == 4 { u32_at(&self.data, 0) } else { None }
    }

    /// The text of a [`REG_SZ`] or [`REG_EXPAND_SZ`], up to its first zero.
    pub fn text(&self) -> Option<String> {
        if !matches!(self.kind, REG_SZ | REG_EXPAND_SZ) {
            return None;
        }
        let units: Vec<u16> = self.data.as_chunks::<2>().0.iter().map(|u| u16::from_le_bytes(*u)).collect();
        Some(String::from_utf16_lossy(units.split(|u| *u == 0).next().unwrap_or_default()))
    }
}

/// Text.
pub const REG_SZ: u32 = 1;
/// Text in which `%NAME%` stands for a variable of the environment.
pub const REG_EXPAND_SZ: u32 = 2;
/// Bytes that mean something to one program.
pub const REG_BINARY: u32 = 3;
/// A number of 32 bits.
pub const REG_DWORD: u32 = 4;

/// A key that was found.
#[derive(Debug, Clone, Copy)]
struct Key(u32);

impl Hive {
    /// Takes the whole content of a file.
    ///
    /// # Errors
    /// [`HiveError::Foreign`], [`HiveError::Unfinished`], [`HiveError::Damaged`].
    pub fn parse(bytes: Vec<u8>) -> Result<Hive, HiveError> {
        let number = |at| u32_at(&bytes, at).ok_or(HiveError::Foreign("it is too short"));
        if array(&bytes, 0) != Some(*b"regf") {
            return Err(HiveError::Foreign("it does not begin with \"regf\""));
        }
        let (first, second) = (number(4)?, number(8)?);
        // Windows writes the base block last; a checksum that is wrong means the same as numbers that differ.
        if first != second || checksum(&bytes) != Some(number(CHECKSUM_AT)?) {
            return Err(HiveError::Unfinished);
        }
        if number(20)? != 1 || !(3..=6).contains(&number(24)?) || number(28)? != 0 || number(32)? != 1 {
            return Err(HiveError::Foreign("its version is unknown"));
        }
        let end = number(BINS_BYTES_AT)?;
        let in_file = BASE_BYTES.checked_add(end as usize).is_some_and(|end| end <= bytes.len());
        if end == 0 || !end.is_multiple_of(BIN_BYTES) || end > BINS_BYTES_MAX || !in_file {
            return Err(damaged_file(BINS_BYTES_AT, "the length of the bins"));
        }
        let cells = space::walk(&bytes, end)?;
        Ok(Hive { bytes, cells, touched: Vec::new() })
    }

    /// A value. Keys are separated by backslashes; upper and lower case are the same.
    ///
    /// # Errors
    /// [`HiveError::Missing`], [`HiveError::Damaged`].
    pub fn value(&self, key: &str, name: &str) -> Result<Value, HiveError> {
        let cell = self.value_cell(key, name)?;
        Ok(Value { kind: self.number(cell, 12)?, data: self.data(cell)?.to_vec() })
    }

    /// The names of the keys below a key, as they are written.
    ///
    /// # Errors
    /// [`HiveError::Missing`], [`HiveError::Damaged`].
    pub fn keys(&self, key: &str) -> Result<Vec<String>, HiveError> {
        let key = self.key(key)?;
        self.children(key)?.into_iter().map(|child| self.key_name(child)).collect()
    }

    /// Gives a value that is there and holds text another text. Its type stays.
    ///
    /// # Errors
    /// Any [`HiveError`]. After [`HiveError::Damaged`] this value is to be dropped: half of the change may be in it.
    pub fn set_text(&mut self, key: &str, name: &str, text: &str) -> Result<(), HiveError> {
        let owner = self.key(key)?;
        let cell = self.value_cell(key, name)?;
        if !matches!(self.number(cell, 12)?, REG_SZ | REG_EXPAND_SZ) {
            return Err(HiveError::NoText(format!("{key}\\{name}")));
        }
        let data: Vec<u8> = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        if data.len() > DATA_BYTES_MAX || text.contains('\0') {
            return Err(HiveError::TooLong(text.chars().count()));
        }
        if self.data(cell)? == data {
            return Ok(());
        }
        self.put_data(cell, &data)?;
        // How much room whoever lists the values of the key must have.
        let size = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let longest = self.number(owner.0, LONGEST_DATA_AT)?.max(size);
        self.put(owner.0, LONGEST_DATA_AT, &longest.to_le_bytes())
    }

    /// What must be written to the file, in this order and each step durable before the next, so that an interruption leaves
    /// a hive that says it is unfinished. Empty when nothing was changed.
    #[must_use]
    pub fn changes(&self) -> Vec<Vec<(u64, Vec<u8>)>> {
        if self.touched.is_empty() {
            return Vec::new();
        }
        let sequence = u32_at(&self.bytes, 4).unwrap_or(0).wrapping_add(1);
        let base = |second: u32| {
            let mut base = self.bytes.get(..BASE_BYTES).unwrap_or_default().to_vec();
            put(&mut base, 4, &sequence.to_le_bytes());
            put(&mut base, 8, &second.to_le_bytes());
            let sum = checksum(&base).unwrap_or(0);
            put(&mut base, CHECKSUM_AT, &sum.to_le_bytes());
            (0, base)
        };
        let pieces = self
            .touched
            .iter()
            .filter_map(|range| Some((range.start as u64, self.bytes.get(range.clone())?.to_vec())));
        vec![vec![base(sequence.wrapping_sub(1))], pieces.collect(), vec![base(sequence)]]
    }

    /// The whole file with all changes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        for (at, piece) in self.changes().concat() {
            put(&mut bytes, usize::try_from(at).unwrap_or(usize::MAX), &piece);
        }
        bytes
    }

    fn key(&self, path: &str) -> Result<Key, HiveError> {
        let mut at = Key(u32_at(&self.bytes, ROOT_AT).unwrap_or(0));
        self.expect(at.0, *b"nk", "the root key")?;
        for part in path.split('\\').filter(|p| !p.is_empty()) {
            let mut found = None;
            for child in self.children(at)? {
                if same_name(&self.key_name(child)?, part) {
                    found = Some(child);
                    break;
                }
            }
            at = found.ok_or_else(|| HiveError::Missing(path.to_owned()))?;
        }
        Ok(at)
    }

    /// The keys below a key.
    fn children(&self, key: Key) -> Result<Vec<Key>, HiveError> {
        if self.number(key.0, 20)? == 0 {
            return Ok(Vec::new());
        }
        let list = self.number(key.0, 28)?;
        let mut keys = Vec::new();
        if self.signature(list)? == *b"ri" {
            for n in 0..usize::from(self.short(list, 2)?) {
                let leaf = self.number(list, 4 + n * 4)?;
                self.leaf(leaf, &mut keys)?;
            }
        } else {
            self.leaf(list, &mut keys)?;
        }
        Ok(keys)
    }

    fn leaf(&self, list: u32, keys: &mut Vec<Key>) -> Result<(), HiveError> {
        let step = match &self.signature(list)? {
            // Each with four bytes of the name or of its hash, which only save time.
            b"lf" | b"lh" => 8,
            b"li" => 4,
            _ => return Err(damaged(list, "no list of keys")),
        };
        for n in 0..usize::from(self.short(list, 2)?) {
            let key = self.number(list, 4 + n * step)?;
            self.expect(key, *b"nk", "no key")?;
            keys.push(Key(key));
            if keys.len() > self.cells.len() {
                return Err(damaged(list, "more keys than cells"));
            }
        }
        Ok(())
    }

    fn key_name(&self, key: Key) -> Result<String, HiveError> {
        let narrow = self.short(key.0, 2)? & NAME_IS_NARROW_KEY != 0;
        self.name(key.0, 76, self.short(key.0, 72)?, narrow)
    }

    fn name(&self, cell: u32, at: usize, length: u16, narrow: bool) -> Result<String, HiveError> {
        let bytes = at.checked_add(length.into()).and_then(|end| self.cell(cell).ok()?.get(at..end));
        let bytes = bytes.ok_or_else(|| damaged(cell, "a name longer than its cell"))?;
        if narrow {
            // Windows writes one byte for each character below 256.
            return Ok(bytes.iter().map(|b| char::from(*b)).collect());
        }
        let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|u| u16::from_le_bytes(*u)).collect();
        Ok(String::from_utf16_lossy(&units))
    }

    fn value_cell(&self, key: &str, name: &str) -> Result<u32, HiveError> {
        let found = self.key(key)?;
        let count = self.number(found.0, 36)? as usize;
        let list = self.number(found.0, 40)?;
        for n in 0..count {
            let cell = self.number(list, n.checked_mul(4).ok_or_else(|| damaged(list, "a count"))?)?;
            self.expect(cell, *b"vk", "no value")?;
            let narrow = self.short(cell, 16)? & NAME_IS_NARROW_VALUE != 0;
            if same_name(&self.name(cell, 20, self.short(cell, 2)?, narrow)?, name) {
                return Ok(cell);
            }
        }
        Err(HiveError::Missing(format!("{key}\\{name}")))
    }

    fn data(&self, value: u32) -> Result<&[u8], HiveError> {
        let length = self.number(value, 4)?;
        let bytes = if length & DATA_IS_HERE != 0 {
            let length = (length & !DATA_IS_HERE) as usize;
            self.cell(value)?.get(8..12).and_then(|four| four.get(..length))
        } else if length as usize > DATA_BYTES_MAX {
            return Err(damaged(value, "a value that is too long to be read"));
        } else if length == 0 {
            Some(&[][..])
        } else {
            self.cell(self.number(value, 8)?)?.get(..length as usize)
        };
        bytes.ok_or_else(|| damaged(value, "a value longer than its cell"))
    }

    fn put_data(&mut self, value: u32, data: &[u8]) -> Result<(), HiveError> {
        let length = self.number(value, 4)?;
        let old = if length & DATA_IS_HERE == 0 && length > 0 { Some(self.number(value, 8)?) } else { None };
        let size = u32::try_from(data.len()).map_err(|_| HiveError::TooLong(data.len()))?;
        if data.len() <= 4 {
            let mut four = [0; 4];
            put(&mut four, 0, data);
            self.put(value, 8, &four)?;
            self.put(value, 4, &(size | DATA_IS_HERE).to_le_bytes())?;
            return old.map_or(Ok(()), |old| self.free(old));
        }
        let place = match old {
            Some(old) if self.cell(old)?.len() >= data.len() => old,
            _ => {
                let new = self.allocate(data.len())?;
                if let Some(old) = old {
                    self.free(old)?;
                }
                new
            }
        };
        let mut whole = vec![0; self.cell(place)?.len()];
        put(&mut whole, 0, data);
        self.put(place, 0, &whole)?;
        self.put(value, 8, &place.to_le_bytes())?;
        self.put(value, 4, &size.to_le_bytes())
    }

    /// The content of a cell in use, without its length.
    fn cell(&self, cell: u32) -> Result<&[u8], HiveError> {
        let wrong = || damaged(cell, "no cell in use begins here");
        self.cells.binary_search(&cell).map_err(|_| wrong())?;
        let at = BASE_BYTES + cell as usize;
        let length = array(&self.bytes, at).map(i32::from_le_bytes).filter(|n| *n < 0).ok_or_else(wrong)?;
        self.bytes.get(at + 4..at + length.unsigned_abs() as usize).ok_or_else(wrong)
    }

    fn signature(&self, cell: u32) -> Result<[u8; 2], HiveError> {
        array(self.cell(cell)?, 0).ok_or_else(|| damaged(cell, "an empty cell"))
    }

    fn expect(&self, cell: u32, signature: [u8; 2], what: &'static str) -> Result<(), HiveError> {
        if self.signature(cell)? == signature { Ok(()) } else { Err(damaged(cell, what)) }
    }

    fn short(&self, cell: u32, at: usize) -> Result<u16, HiveError> {
        u16_at(self.cell(cell)?, at).ok_or_else(|| damaged(cell, "a cell that is too short"))
    }

    fn number(&self, cell: u32, at: usize) -> Result<u32, HiveError> {
        u32_at(self.cell(cell)?, at).ok_or_else(|| damaged(cell, "a cell that is too short"))
    }

    /// Writes into a cell in use.
    fn put(&mut self, cell: u32, at: usize, bytes: &[u8]) -> Result<(), HiveError> {
        let room = self.cell(cell)?.len();
        if at.checked_add(bytes.len()).is_none_or(|end| end > room) {
            return Err(damaged(cell, "a cell that is too short"));
        }
        self.put_raw(BASE_BYTES + cell as usize + 4 + at, bytes);
        Ok(())
    }

    fn put_raw(&mut self, at: usize, bytes: &[u8]) {
        if put(&mut self.bytes, at, bytes).is_some() {
            self.touched.push(at..at + bytes.len());
        }
    }
}

/// Exclusive or of the first 508 bytes, with two values that it never has.
fn checksum(bytes: &[u8]) -> Option<u32> {
    let words = bytes.get(..CHECKSUM_AT)?.as_chunks::<4>().0;
    Some(match words.iter().fold(0, |sum, word| sum ^ u32::from_le_bytes(*word)) {
        0 => 1,
        u32::MAX => u32::MAX - 1,
        sum => sum,
    })
}

fn same_name(left: &str, right: &str) -> bool {
    left.eq_ignore_ascii_case(right) || left.to_uppercase() == right.to_uppercase()
}

fn damaged(cell: u32, what: &'static str) -> HiveError {
    HiveError::Damaged { at: BASE_BYTES as u64 + u64::from(cell), what }
}

fn damaged_file(at: usize, what: &'static str) -> HiveError {
    HiveError::Damaged { at: at as u64, what }
}

/// Longest hive that is read, in bytes: the largest of a school PC, `SOFTWARE`, has about 150 MB.
pub const HIVE_BYTES_MAX: u64 = 384 << 20;

const BASE_BYTES: usize = 4096;
const ROOT_AT: usize = 36;
const BINS_BYTES_AT: usize = 40;
const CHECKSUM_AT: usize = 508;
const BIN_BYTES: u32 = 4096;
const BINS_BYTES_MAX: u32 = 384 << 20;
/// In a key.
const LONGEST_DATA_AT: usize = 64;
const NAME_IS_NARROW_KEY: u16 = 0x20;
const NAME_IS_NARROW_VALUE: u16 = 1;
/// Set in the length of data that stands where its place would.
const DATA_IS_HERE: u32 = 1 << 31;
/// What is longer stands in several cells.
const DATA_BYTES_MAX: usize = 16_344;

#[cfg(test)]
mod tests;
