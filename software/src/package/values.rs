//! Values of packages that are parsed once and trusted afterwards.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The text is not what the place needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("“{text}” is not {wanted}")]
pub struct ValueError {
    /// The beginning of the text.
    pub text: String,
    /// What the place takes, with an example.
    pub wanted: &'static str,
}

impl ValueError {
    pub(crate) fn new(text: &str, wanted: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), wanted }
    }
}

/// Texts with a form of their own. The second expression brings a text into its one form, or refuses it.
macro_rules! parsed {
    ($($(#[$about:meta])* $name:ident = $parse:expr; $wanted:literal)*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = ValueError;

            fn from_str(text: &str) -> Result<Self, ValueError> {
                let parse: fn(&str) -> Option<String> = $parse;
                let parsed = parse(text).ok_or_else(|| ValueError::new(text, $wanted))?;
                Ok(Self(parsed.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ValueError;

            fn try_from(text: String) -> Result<Self, ValueError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    )*};
}
pub(crate) use parsed;

parsed! {
    /// What a package is called by machines, in lower case: winget compares its identifiers without regard to case, and Debian
    /// has lower case only (Debian Policy, section 5.6.1).
    PackageId = |text| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'_');
        let good = line(text, 128)
            && text.bytes().all(inner)
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        good.then(|| text.to_ascii_lowercase())
    }; "a package's identifier such as mozilla.firefox: letters, digits, dots, hyphens, at most 128"

    /// What people read: one line of at most 200 bytes.
    Label = |text| line(text, 200).then(|| text.trim().to_owned()); "a name of one line of at most 200 bytes"

    /// The name of a file without a folder, good on Windows and Linux.
    FileName = |text| {
        let reserved = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
        let good = line(text, 128)
            && !text.contains(reserved)
            && !text.starts_with(['.', '-', ' '])
            && !text.ends_with(['.', ' '])
            && !device_name(text);
        good.then(|| text.to_owned())
    }; "the name of a file such as setup.msi, without a folder"

    /// An absolute path on a PC: `C:\Program Files\…`, `%ProgramFiles%\…`, or `/usr/…`.
    FilePath = |text| {
        let drive = |rest: &str| rest.starts_with(":\\");
        let windows = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic()) && text.get(1..).is_some_and(drive);
        let variable = text.starts_with('%') && text.contains("%\\");
        let above = text.split(['/', '\\']).any(|part| part == "..");
        (line(text, 512) && (windows || variable || text.starts_with('/')) && !above).then(|| text.to_owned())
    }; "an absolute path such as C:\\Program Files\\App\\app.exe or /usr/bin/app"

    /// The name of a Debian package, possibly with its architecture: `libc6:amd64` (Debian Policy, section 5.6.1).
    DebName = |text| {
        let (name, architecture) = text.split_once(':').unwrap_or((text, "any"));
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let good = (2..=128).contains(&name.len())
            && name.bytes().all(inner)
            && name.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            && (1..=32).contains(&architecture.len())
            && architecture.bytes().all(plain)
            && architecture.bytes().next() != Some(b'-');
        good.then(|| text.to_owned())
    }; "the name of a Debian package such as libreoffice-writer"

    /// A GUID as Windows Installer writes it, in upper case with braces.
    Guid = guid; "a code such as {90160000-008C-0000-1000-0000000FF1CE}"

    /// Where a file comes from: an address that begins with `https://` or `http://`, at most 2048 bytes. The hash vouches for it.
    Url = |text| {
        let graphic = |rest: &str| rest.bytes().all(|b| b.is_ascii_graphic() && b != b'"');
        let host = |rest: &str| !rest.is_empty() && !rest.starts_with('/');
        let schemes = ["https://", "http://"];
        let good = schemes.iter().any(|scheme| text.strip_prefix(scheme).is_some_and(|rest| host(rest) && graphic(rest)));
        (good && text.len() <= 2048).then(|| text.to_owned())
    }; "an address such as https://example.org/setup.msi"
}

/// One line with something on it, of at most `max` bytes.
pub(crate) fn line(text: &str, max: usize) -> bool {
    !text.trim().is_empty() && text.len() <= max && !text.chars().any(char::is_control)
}

/// Names that Windows keeps for devices, whatever follows the first dot.
/// <https://learn.microsoft.com/en-us/windows/win32/fileio/naming-a-file>
fn device_name(text: &str) -> bool {
    let stem = text.split('.').next().unwrap_or_default().trim_end().to_ascii_lowercase();
    let numbered = |rest: &str| rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit());
    matches!(stem.as_str(), "con" | "prn" | "aux" | "nul")
        || ["com", "lpt"].iter().any(|port| stem.strip_prefix(port).is_some_and(numbered))
}

fn guid(text: &str) -> Option<String> {
    let inner = text.strip_prefix('{')?.strip_suffix('}')?;
    let mut groups = inner.split('-');
    for digits in [8, 4, 4, 4, 12] {
        let group = groups.next()?;
        if group.len() != digits || !group.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
    }
    groups.next().is_none().then(|| text.to_ascii_uppercase())
}

/// What the bytes of a file are, as `blake3:` or `sha256:` and 64 hexadecimal digits. Our stores use BLAKE3, winget and apt SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum FileHash {
    /// BLAKE3, 32 bytes.
    Blake3([u8; 32]),
    /// SHA-256 (FIPS 180-4), 32 bytes.
    Sha256([u8; 32]),
}

impl FileHash {
    /// A SHA-256 from its 64 hexadecimal digits, in either case.
    pub fn sha256(digits: &str) -> Result<Self, ValueError> {
        hex(digits)
            .map(Self::Sha256)
            .ok_or_else(|| ValueError::new(digits, "the 64 hexadecimal digits of a SHA-256"))
    }
}

impl FromStr for FileHash {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let parsed = match text.split_once(':') {
            Some(("blake3", digits)) => hex(digits).map(Self::Blake3),
            Some(("sha256", digits)) => hex(digits).map(Self::Sha256),
            _ => None,
        };
        parsed.ok_or_else(|| ValueError::new(text, "a hash: blake3: or sha256: and 64 hexadecimal digits"))
    }
}

impl TryFrom<String> for FileHash {
    type Error = ValueError;

    fn try_from(text: String) -> Result<Self, ValueError> {
        text.parse()
    }
}

impl From<FileHash> for String {
    fn from(hash: FileHash) -> Self {
        hash.to_string()
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, bytes) = match self {
            Self::Blake3(bytes) => ("blake3:", bytes),
            Self::Sha256(bytes) => ("sha256:", bytes),
        };
        f.write_str(kind)?;
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        // `from_str_radix` would take a sign.
        let pair = digits.get(at..at + 2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr<Err = ValueError>>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text}");
        }
        for text in bad {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_a_pc_can_use_is_parsed() {
        check::<PackageId>(&["Mozilla.Firefox", "g++", "7zip.7zip"], &["", ".a", "a b", "a/b", "ä", "-x"]);
        check::<FileName>(
            &["setup.msi", "7z2408-x64.exe"],
            &["", "..", "a/b", "a\\b", "C:x", "nul.txt", "COM1", "-x", "x."],
        );
        check::<FilePath>(
            &["C:\\Program Files\\a.exe", "%ProgramFiles%\\a.exe", "/usr/bin/a"],
            &["a.exe", "C:a", "/usr/../etc", "", "é:\\"],
        );
        check::<DebName>(&["libc6", "libc6:amd64", "g++"], &["a", "A1", "--x", "libc6:", "libc6:-o", "a b"]);
        check::<Guid>(
            &["{90160000-008c-0000-1000-0000000ff1ce}"],
            &["90160000-008c-0000-1000-0000000ff1ce", "{}", "{ü}"],
        );
        check::<Url>(
            &["https://example.org/a"],
            &["ftp://example.org", "https://", "https:///x", "https://a b"],
        );
        let digits = "0123456789abcdefABCDEF0000000000000000000000000000000000000000ff";
        check::<FileHash>(&[&format!("sha256:{digits}")], &[digits, "sha256:00", &format!("md5:{digits}")]);
        assert!(FileHash::sha256(&digits.replace("01", "+1")).is_err());
    }

    #[test]
    fn identifiers_have_one_case() {
        assert_eq!("Mozilla.Firefox".parse::<PackageId>(), "mozilla.firefox".parse());
        assert_eq!(
            "{90160000-008c-0000-1000-0000000ff1ce}".parse::<Guid>().unwrap().as_str().get(..11),
            Some("{90160000-0")
        );
    }

    #[test]
    fn a_hash_is_read_back() {
        let hash = FileHash::sha256(&"aB".repeat(32)).unwrap();
        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"sha256:{}\"", "ab".repeat(32)));
    }
}
