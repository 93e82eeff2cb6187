//! What the firmware says of the PC it is in. Windows hands the table out as it is; Linux has read it already.
//!
//! Source: DMTF DSP0134, "System Management BIOS Reference Specification" 3.7: section 6.1 (structures and their texts), 7.2 (System
//! Information, type 1).

/// The PC as its maker calls it. Every text is cleaned and cut.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct System {
    /// Manufacturer.
    pub vendor: String,
    /// Product name.
    pub product: String,
    /// Serial number.
    pub serial: String,
    /// UUID, lower case with hyphens.
    pub uuid: String,
}

/// Reads the structures until that of type 1.
pub fn system(mut table: &[u8]) -> Option<System> {
    loop {
        let [kind, length, ..] = *table.first_chunk::<4>()?;
        let (formatted, rest) = table.split_at_checked(usize::from(length).max(4))?;
        // Texts end with a zero each, and with one more after the last.
        let end = rest.windows(2).position(|pair| pair == [0, 0])?;
        let (texts, after) = rest.split_at_checked(end + 2)?;
        match kind {
            1 => return Some(read(formatted, texts)),
            127 => return None,
            _ => table = after,
        }
    }
}

fn read(formatted: &[u8], texts: &[u8]) -> System {
    let text = |at: usize| {
        let number = formatted.get(at).copied().unwrap_or(0);
        let index = usize::from(number).checked_sub(1);
        let bytes = index.and_then(|index| texts.split(|byte| *byte == 0).nth(index)).unwrap_or_default();
        clean(&String::from_utf8_lossy(bytes))
    };
    let uuid = formatted.get(8..24).and_then(|bytes| bytes.first_chunk::<16>());
    System {
        vendor: text(4),
        product: text(5),
        serial: text(7),
        uuid: uuid.map(uuid_text).unwrap_or_default(),
    }
}

/// The first three fields are little-endian (section 7.2.1). All zeros and all ones mean that there is none.
fn uuid_text(bytes: &[u8; 16]) -> String {
    if [[0; 16], [0xff; 16]].contains(bytes) {
        return String::new();
    }
    let [a, b, c, d, e, f, g, h, rest @ ..] = *bytes;
    let swapped = [d, c, b, a, f, e, h, g].into_iter().chain(rest);
    let hex: String = swapped.map(|byte| format!("{byte:02x}")).collect();
    let mut text = String::new();
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn clean(raw: &str) -> String {
    let printable = raw.chars().map(|c| if c.is_control() || c == '\u{fffd}' { ' ' } else { c });
    let printable: String = printable.collect();
    let words: Vec<&str> = printable.split_whitespace().collect();
    words.join(" ").chars().take(TEXT_MAX).collect()
}

const TEXT_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pc_is_known_by_its_table() {
        let mut table = vec![0, 24, 0, 0];
        table.extend([0; 20]);
        table.extend(b"Phoenix\0\0");
        table.extend([1, 27, 1, 0, 1, 2, 0, 3]);
        table.extend([
            0x44, 0x45, 0x4c, 0x4c, 0x42, 0, 0x10, 0x35, 0x80, 0x54, 0xb4, 0xc0, 0x4f, 0x4a, 0x4d, 0x32,
        ]);
        table.extend([6, 0, 0]);
        table.extend(b"FUJITSU\0ESPRIMO  Q558\0YM4R001234 \0\0");
        let system = system(&table).unwrap();
        assert_eq!((system.vendor.as_str(), system.product.as_str()), ("FUJITSU", "ESPRIMO Q558"));
        assert_eq!(system.serial, "YM4R001234");
        assert_eq!(system.uuid, "4c4c4544-0042-3510-8054-b4c04f4a4d32");
    }

    proptest::proptest! {
        #[test]
        fn any_table_is_read_without_a_panic(table in proptest::collection::vec(0u8..4, 0..200)) {
            system(&table);
        }
    }
}
