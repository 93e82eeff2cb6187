//! CRC-32C (Castagnoli) as ext4 uses it: no inversion at either end, so that pieces can be chained.

/// Continues `crc` over `data`.
pub(super) fn update(crc: u32, data: &[u8]) -> u32 {
    data.iter().fold(crc, |crc, byte| {
        let index = usize::from((crc as u8) ^ byte);
        TABLE.get(index).copied().unwrap_or(0) ^ (crc >> 8)
    })
}

const POLYNOMIAL: u32 = 0x82f6_3b78;

static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        #[allow(
            clippy::indexing_slicing,
            reason = "evaluated by the compiler, which refuses an index out of bounds"
        )]
        {
            table[index] = crc;
        }
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_the_catalogue_comes_out() {
        // CRC-32C of "123456789" is E3069283 with both ends inverted.
        assert_eq!(!super::update(!0, b"123456789"), 0xe306_9283);
    }
}
