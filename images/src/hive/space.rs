//! The cells of a hive: walking them all, taking one, giving one back.

use super::{BASE_BYTES, BIN_BYTES, BINS_BYTES_AT, BINS_BYTES_MAX, Hive, HiveError, damaged};
use crate::le::{array, put, u32_at};

/// Where every cell begins, when bins fill the hive and cells fill each bin.
pub(super) fn walk(bytes: &[u8], end: u32) -> Result<Vec<u32>, HiveError> {
    let mut cells = Vec::new();
    let mut bin = 0;
    while bin < end {
        let at = BASE_BYTES + bin as usize;
        let length = u32_at(bytes, at + 8).unwrap_or(0);
        let whole = array(bytes, at) == Some(*b"hbin") && u32_at(bytes, at + 4) == Some(bin);
        if !whole || length == 0 || !length.is_multiple_of(BIN_BYTES) || length > end - bin {
            return Err(damaged(bin, "no bin begins here"));
        }
        let mut cell = bin + BIN_HEAD_BYTES;
        while cell < bin + length {
            let size = cell_bytes(bytes, cell).unwrap_or(0);
            if size < CELL_STEP || !size.is_multiple_of(CELL_STEP) || size > bin + length - cell {
                return Err(damaged(cell, "the length of a cell"));
            }
            cells.push(cell);
            cell += size;
        }
        bin += length;
    }
    Ok(cells)
}

/// Length of a cell, in use or free, with the four bytes that say so.
fn cell_bytes(bytes: &[u8], cell: u32) -> Option<u32> {
    array(bytes, BASE_BYTES + cell as usize).map(i32::from_le_bytes).map(i32::unsigned_abs)
}

impl Hive {
    /// A cell for `length` bytes: the smallest free one that is large enough, else one in a new bin at the end.
    pub(super) fn allocate(&mut self, length: usize) -> Result<u32, HiveError> {
        let need =
            u32::try_from(length).ok().and_then(|n| n.checked_add(4)?.checked_next_multiple_of(CELL_STEP));
        let need = need.ok_or(HiveError::TooLong(length))?;
        let free = |cell: u32| {
            let size = array(&self.bytes, BASE_BYTES + cell as usize).map(i32::from_le_bytes)?;
            u32::try_from(size).ok().filter(|size| *size >= need).map(|size| (size, cell))
        };
        let smallest = self.cells.iter().filter_map(|cell| free(*cell)).min();
        let (size, cell) = match smallest {
            Some(found) => found,
            None => self.append(need)?,
        };
        // At least 8, or nothing: both are multiples of 8.
        let used = if size > need {
            let rest = cell + need;
            self.put_raw(BASE_BYTES + rest as usize, &(size - need).to_le_bytes());
            if let Err(place) = self.cells.binary_search(&rest) {
                self.cells.insert(place, rest);
            }
            need
        } else {
            size
        };
        self.put_raw(BASE_BYTES + cell as usize, &used.wrapping_neg().to_le_bytes());
        Ok(cell)
    }

    /// Gives a cell in use back.
    pub(super) fn free(&mut self, cell: u32) -> Result<(), HiveError> {
        let size = self.cell(cell)?.len() + 4;
        let size = u32::try_from(size).map_err(|_| damaged(cell, "the length of a cell"))?;
        self.put_raw(BASE_BYTES + cell as usize, &size.to_le_bytes());
        Ok(())
    }

    /// A new bin at the end with one free cell; its length and place.
    fn append(&mut self, need: u32) -> Result<(u32, u32), HiveError> {
        let bin = u32_at(&self.bytes, BINS_BYTES_AT).unwrap_or(0);
        let length = (need + BIN_HEAD_BYTES).next_multiple_of(BIN_BYTES);
        if bin.checked_add(length).is_none_or(|end| end > BINS_BYTES_MAX) {
            return Err(damaged(bin, "the hive is as long as it can be"));
        }
        let mut whole = vec![0; length as usize];
        put(&mut whole, 0, b"hbin");
        put(&mut whole, 4, &bin.to_le_bytes());
        put(&mut whole, 8, &length.to_le_bytes());
        put(&mut whole, BIN_HEAD_BYTES as usize, &(length - BIN_HEAD_BYTES).to_le_bytes());
        // What stands in a file behind its bins belongs to nobody.
        let at = BASE_BYTES + bin as usize;
        if self.bytes.len() < at + whole.len() {
            self.bytes.resize(at + whole.len(), 0);
        }
        self.put_raw(at, &whole);
        self.put_raw(BINS_BYTES_AT, &(bin + length).to_le_bytes());
        let cell = bin + BIN_HEAD_BYTES;
        self.cells.push(cell);
        Ok((length - BIN_HEAD_BYTES, cell))
    }
}

const BIN_HEAD_BYTES: u32 = 32;
const CELL_STEP: u32 = 8;
