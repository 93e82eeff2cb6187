//! Making keys and values.
//!
//! A new key gets the access rights of the key above it, which it shares, and its time: nothing here knows another.

use super::{
    Hive, HiveError, Key, LONGEST_DATA_AT, NAME_IS_NARROW_KEY, NAME_IS_NARROW_VALUE, Value, damaged,
    same_name,
};
use crate::le::put;

impl Hive {
    /// Makes a key where there is none, below one that is there. Keys are separated by backslashes.
    ///
    /// # Errors
    /// Any [`HiveError`], also for a name that is not made of printable ASCII. After [`HiveError::Damaged`] this value is to be dropped:
    /// half of the change may be in it.
    pub fn make_key(&mut self, path: &str) -> Result<(), HiveError> {
        let (above, name) = path.rsplit_once('\\').unwrap_or(("", path));
        let parent = self.key(above)?;
        for child in self.children(parent)? {
            if same_name(&self.key_name(child)?, name) {
                return Ok(());
            }
        }
        let length = plain_length(name)?;
        let security = self.number(parent.0, 44)?;
        self.expect(security, *b"sk", "no access rights")?;
        let users = self.number(security, 12)?.checked_add(1).ok_or_else(|| damaged(security, "a count"))?;
        let time = self.cell(parent.0)?.get(4..12).unwrap_or_default().to_vec();
        let key = self.allocate(NAME_AT + name.len())?;
        let mut cell = vec![0; self.cell(key)?.len()];
        let number = |n: u32| n.to_le_bytes();
        put(&mut cell, 0, b"nk");
        put(&mut cell, 2, &NAME_IS_NARROW_KEY.to_le_bytes());
        put(&mut cell, 4, &time);
        put(&mut cell, 16, &number(parent.0));
        for at in [28, 32, 40, 48] {
            put(&mut cell, at, &number(NOWHERE));
        }
        put(&mut cell, 44, &number(security));
        put(&mut cell, 72, &length.to_le_bytes());
        put(&mut cell, NAME_AT, name.as_bytes());
        self.put(key, 0, &cell)?;
        self.put(security, 12, &number(users))?;
        self.enter(parent, key, name)?;
        let longest = self.short(parent.0, 52)?.max(length.saturating_mul(2));
        self.put(parent.0, 52, &longest.to_le_bytes())
    }

    /// Gives a key a value, in place of one that is called so.
    ///
    /// # Errors
    /// As [`Hive::make_key`].
    pub fn put_value(&mut self, key: &str, name: &str, value: &Value) -> Result<(), HiveError> {
        if value.data.len() > super::DATA_BYTES_MAX {
            return Err(HiveError::TooLong(value.data.len()));
        }
        let cell = match self.value_cell(key, name) {
            Ok(_) if self.value(key, name)? == *value => return Ok(()),
            Ok(cell) => cell,
            Err(HiveError::Missing(_)) => self.make_value(key, name)?,
            Err(error) => return Err(error),
        };
        let owner = self.key(key)?;
        self.put(cell, 12, &value.kind.to_le_bytes())?;
        self.put_data(cell, &value.data)?;
        let size = u32::try_from(value.data.len()).unwrap_or(u32::MAX);
        let longest = self.number(owner.0, LONGEST_DATA_AT)?.max(size);
        self.put(owner.0, LONGEST_DATA_AT, &longest.to_le_bytes())
    }

    /// A value without content; its cell.
    fn make_value(&mut self, key: &str, name: &str) -> Result<u32, HiveError> {
        let length = plain_length(name)?;
        let owner = self.key(key)?;
        let count = self.number(owner.0, 36)?;
        let mut list = match count {
            0 => Vec::new(),
            _ => {
                let bytes = usize::try_from(count).unwrap_or(usize::MAX).checked_mul(4);
                let list = self.number(owner.0, 40)?;
                let old = bytes.and_then(|bytes| self.cell(list).ok()?.get(..bytes));
                let old = old.ok_or_else(|| damaged(list, "a list of values"))?.to_vec();
                self.free(list)?;
                old
            }
        };
        let cell = self.allocate(20 + name.len())?;
        let mut bytes = vec![0; self.cell(cell)?.len()];
        put(&mut bytes, 0, b"vk");
        put(&mut bytes, 2, &length.to_le_bytes());
        put(&mut bytes, 16, &NAME_IS_NARROW_VALUE.to_le_bytes());
        put(&mut bytes, 20, name.as_bytes());
        self.put(cell, 0, &bytes)?;
        list.extend(cell.to_le_bytes());
        let place = self.fill(&list)?;
        self.put(owner.0, 36, &(count + 1).to_le_bytes())?;
        self.put(owner.0, 40, &place.to_le_bytes())?;
        // The longest name of a value, in bytes of UTF-16.
        let longest = self.number(owner.0, 60)?.max(u32::from(length) * 2);
        self.put(owner.0, 60, &longest.to_le_bytes())?;
        Ok(cell)
    }

    /// Enters a key into the list of the key above it, which is sorted by names in capitals.
    fn enter(&mut self, parent: Key, key: u32, name: &str) -> Result<(), HiveError> {
        let count = self.number(parent.0, 20)?;
        let list = self.number(parent.0, 28)?;
        if count == 0 {
            let place = self.fill(&leaf(*b"lh", &entry(*b"lh", key, name)))?;
            self.put(parent.0, 28, &place.to_le_bytes())?;
        } else if self.signature(list)? == *b"ri" {
            // The last of the lists that do not begin behind the name.
            let mut at = 0;
            for n in 0..usize::from(self.short(list, 2)?) {
                let first = self.number(self.number(list, 4 + n * 4)?, 4)?;
                if n > 0 && in_capitals(&self.key_name(Key(first))?) > in_capitals(name) {
                    break;
                }
                at = 4 + n * 4;
            }
            let part = self.number(list, at.max(4))?;
            let place = self.enter_leaf(part, key, name)?;
            self.put(list, at.max(4), &place.to_le_bytes())?;
        } else {
            let place = self.enter_leaf(list, key, name)?;
            self.put(parent.0, 28, &place.to_le_bytes())?;
        }
        self.put(parent.0, 20, &(count + 1).to_le_bytes())
    }

    /// A list with one key more, in place of the old one.
    fn enter_leaf(&mut self, list: u32, key: u32, name: &str) -> Result<u32, HiveError> {
        let kind = self.signature(list)?;
        let count = usize::from(self.short(list, 2)?);
        let new = entry(kind, key, name);
        let bytes = self.cell(list)?.get(4..4 + count * new.len());
        let mut entries = bytes.ok_or_else(|| damaged(list, "a list of keys"))?.to_vec();
        let mut place = count;
        for n in 0..count {
            let other = Key(self.number(list, 4 + n * new.len())?);
            if in_capitals(&self.key_name(other)?) > in_capitals(name) {
                place = n;
                break;
            }
        }
        let at = place * new.len();
        entries.splice(at..at, new);
        if count >= usize::from(u16::MAX) {
            return Err(damaged(list, "a list that is full"));
        }
        self.free(list)?;
        let whole = counted(kind, count + 1, &entries);
        self.fill(&whole)
    }

    /// A new cell with this content.
    fn fill(&mut self, content: &[u8]) -> Result<u32, HiveError> {
        let cell = self.allocate(content.len())?;
        let mut whole = vec![0; self.cell(cell)?.len()];
        put(&mut whole, 0, content);
        self.put(cell, 0, &whole)?;
        Ok(cell)
    }
}

/// How a list of that kind names a key: with a hash of its name (`lh`), its beginning (`lf`), or alone (`li`).
fn entry(kind: [u8; 2], key: u32, name: &str) -> Vec<u8> {
    let mut bytes = key.to_le_bytes().to_vec();
    match &kind {
        b"lh" => {
            let hash = in_capitals(name)
                .iter()
                .fold(0u32, |hash, unit| hash.wrapping_mul(37).wrapping_add(u32::from(*unit)));
            bytes.extend(hash.to_le_bytes());
        }
        b"lf" => {
            let mut begins = name.as_bytes().to_vec();
            begins.resize(4, 0);
            bytes.extend(begins);
        }
        _ => {}
    }
    bytes
}

fn leaf(kind: [u8; 2], entry: &[u8]) -> Vec<u8> {
    counted(kind, 1, entry)
}

fn counted(kind: [u8; 2], count: usize, entries: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_vec();
    bytes.extend(u16::try_from(count).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend(entries);
    bytes
}

fn in_capitals(name: &str) -> Vec<u16> {
    name.to_uppercase().encode_utf16().collect()
}

/// The length of a name that is written with one byte for each character.
fn plain_length(name: &str) -> Result<u16, HiveError> {
    let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    u16::try_from(name.len())
        .ok()
        .filter(|length| plain && *length <= 255)
        .ok_or(HiveError::TooLong(name.len()))
}

/// Where a key's name begins.
const NAME_AT: usize = 76;
/// In place of a cell: there is none.
const NOWHERE: u32 = u32::MAX;
