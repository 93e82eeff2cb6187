//! The end of what an installer wrote into its log.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use software::run::Tail;

/// The last lines of a log, of any length. Windows Installer writes UTF-16 with a mark in front of it, others bytes.
///
/// # Errors
/// There is none, or it cannot be read.
pub(super) fn tail(log: &Path) -> io::Result<Tail> {
    let mut file = File::open(log)?;
    let mut mark = [0; 2];
    let wide = file.read(&mut mark)? == 2 && mark == UTF16_MARK;
    let length = file.metadata()?.len();
    // From an even place on: units of UTF-16 are pairs.
    let from = length.saturating_sub(READ_BYTES) & !1;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES + 2).read_to_end(&mut bytes)?;
    if !wide {
        let mut tail = Tail::default();
        tail.push(&bytes);
        return Ok(tail);
    }
    let units: Vec<u16> = bytes.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    Ok(Tail::from(String::from_utf16_lossy(&units).trim_start_matches('\u{feff}').to_owned()))
}

/// More than a [`Tail`] keeps, in UTF-16.
const READ_BYTES: u64 = 16 << 10;
const UTF16_MARK: [u8; 2] = [0xff, 0xfe];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_read_in_either_form() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        assert!(tail(&log).is_err());
        let text = format!("{}\r\nFehler 1603: Müll\r\n", "x".repeat(40_001));
        let wide: Vec<u8> =
            [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [wide, text.into_bytes()] {
            std::fs::write(&log, bytes).unwrap();
            let said = tail(&log).unwrap().text();
            assert!(said.starts_with("xxx") && said.ends_with("x\nFehler 1603: Müll\n"), "{said}");
        }
        std::fs::write(&log, b"kurz").unwrap();
        assert_eq!(tail(&log).unwrap().text(), "kurz");
    }
}
