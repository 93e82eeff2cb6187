//! The end of what a command wrote.

use serde::{Deserialize, Serialize};

/// The last 4096 bytes at most, as text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    /// Appends what the command wrote, in pieces of any size.
    pub fn push(&mut self, piece: &[u8]) {
        let new = piece.get(piece.len().saturating_sub(MAX)..).unwrap_or(piece);
        let excess = (self.bytes.len() + new.len()).saturating_sub(MAX);
        self.bytes.drain(..excess.min(self.bytes.len()));
        self.bytes.extend_from_slice(new);
    }

    /// As text: what is no UTF-8 or controls a terminal is replaced. UTF-16 without a mark, as `msiexec` writes it, is read too.
    pub fn text(&self) -> String {
        let zeros = self.bytes.iter().filter(|byte| **byte == 0).count();
        let text = if zeros * 3 > self.bytes.len() {
            let units = self.bytes.iter().filter(|byte| **byte != 0).copied().collect::<Vec<u8>>();
            String::from_utf8_lossy(&units).into_owned()
        } else {
            String::from_utf8_lossy(&self.bytes).into_owned()
        };
        let clean = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
        text.replace("\r\n", "\n").chars().map(clean).collect()
    }
}

impl From<String> for Tail {
    fn from(text: String) -> Self {
        let mut tail = Self::default();
        tail.push(text.as_bytes());
        tail
    }
}

impl From<Tail> for String {
    fn from(tail: Tail) -> Self {
        tail.text()
    }
}

const MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_harmless() {
        let mut tail = Tail::default();
        (0..3000).for_each(|n| tail.push(format!("{n}\r\n").as_bytes()));
        assert!(tail.text().ends_with("2998\n2999\n") && tail.text().len() <= MAX);
        tail.push(&[b'x'; 5000]);
        assert_eq!(tail.text(), "x".repeat(MAX));
        assert_eq!(Tail::from("\u{1b}[2Jä".to_owned()).text(), "\u{fffd}[2Jä");
        let mut wide = Tail::default();
        wide.push(b"F\0e\0h\0l\0e\0r\0");
        assert_eq!(wide.text(), "Fehler");
    }
}
