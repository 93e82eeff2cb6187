//! What an MSI file says about itself.
//!
//! | Part                         | Source                                                                                     |
//! |------------------------------|--------------------------------------------------------------------------------------------|
//! | container                    | [MS-CFB], read by the crate `cfb`                                                            |
//! | names of streams, string pool, tables by column | Wine's and msitools' notes on the format, held against files made by `wixl`   |
//! | `ProductCode`, `ProductVersion`, … | <https://learn.microsoft.com/en-us/windows/win32/msi/property-reference>              |
//! | architecture                 | <https://learn.microsoft.com/en-us/windows/win32/msi/template-summary>                        |
//!
//! Only the table `Property` and the summary's template are read. Each stream may have 16 MiB at most.

use super::{Draft, Field, Why, argv, id_of_name};
use crate::package::{Architecture, Detect, Guid, Label, PackageFile, System, Uninstall, Version};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Seek};

/// The file is not one that could be read.
#[derive(Debug, thiserror::Error)]
pub enum MsiError {
    /// Not a container, or a broken one.
    #[error("this is no MSI file")]
    Container(#[source] io::Error),
    /// A part is missing or broken.
    #[error("the MSI file has no readable {0}; fetch it again from its maker")]
    Part(&'static str),
    /// A part is larger than it ever should be.
    #[error("the {0} of the MSI file has more than 16 MiB")]
    TooLarge(&'static str),
}

/// The properties of an MSI file and its template, as they stand there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Properties {
    /// The table `Property`.
    pub table: BTreeMap<String, String>,
    /// The template of the summary: `x64;1031`.
    pub template: String,
}

/// Reads the properties.
pub fn properties(file: impl Read + Seek) -> Result<Properties, MsiError> {
    let mut container = cfb::CompoundFile::open(file).map_err(MsiError::Container)?;
    let pool = stream(&mut container, &encoded("_StringPool"), "string pool")?;
    let data = stream(&mut container, &encoded("_StringData"), "string data")?;
    let strings = Strings::of(&pool, &data).ok_or(MsiError::Part("string pool"))?;
    let table = stream(&mut container, &encoded("Property"), "table of properties")?;
    let table = strings.pairs(&table).ok_or(MsiError::Part("table of properties"))?;
    let summary = stream(&mut container, "\u{5}SummaryInformation", "summary")?;
    let template = template(&summary).ok_or(MsiError::Part("template in its summary"))?;
    Ok(Properties { table, template })
}

/// A draft of the package that this file makes. `file` says under which name and hash the server keeps it.
pub fn draft(properties: &Properties, file: PackageFile) -> Draft {
    let mut draft = Draft::empty(System::Windows);
    let property = |name: &str| properties.table.get(name).map(String::as_str);
    draft.name = draft.take::<Label>(Field::Name, property("ProductName"));
    draft.version = draft.take::<Version>(Field::Version, property("ProductVersion"));
    draft.id = property("ProductName").and_then(id_of_name);
    draft.note(Field::Id, if draft.id.is_some() { Why::Guessed } else { Why::Missing });
    let product = draft.take::<Guid>(Field::Detect, property("ProductCode"));
    let upgrade = property("UpgradeCode").and_then(|code| code.parse().ok());
    draft.detect = product.map(|product| Detect::Msi { product, upgrade });
    draft.architectures = architectures(&properties.template);
    if draft.architectures.is_empty() {
        draft.note(Field::Architectures, Why::NotUnderstood(properties.template.clone()));
    }
    let path = format!("{{dir}}\\{}", file.name);
    draft.install = argv(["msiexec.exe", "/i", &path, "/qn", "/norestart", "ALLUSERS=1", "/l*v", "{log}"]);
    draft.uninstall = Some(Uninstall::Registered { switches: Vec::new() });
    draft.files.push(file);
    draft
}

fn architectures(template: &str) -> BTreeSet<Architecture> {
    let platforms = template.split(';').next().unwrap_or_default();
    let known = platforms.split(',').map(|platform| match platform.trim() {
        // Windows for 64 bits and for ARM runs programs for Intel; drivers and services need not work on ARM.
        "Intel" | "" => [Architecture::X86, Architecture::X64, Architecture::Arm64].as_slice(),
        "x64" | "AMD64" => &[Architecture::X64],
        "Arm64" => &[Architecture::Arm64],
        _ => &[],
    });
    known.flatten().copied().collect()
}

fn stream<F: Read + Seek>(
    container: &mut cfb::CompoundFile<F>,
    name: &str,
    part: &'static str,
) -> Result<Vec<u8>, MsiError> {
    let stream = container.open_stream(name).map_err(|_| MsiError::Part(part))?;
    let mut bytes = Vec::new();
    stream.take(MAX_STREAM + 1).read_to_end(&mut bytes).map_err(|_| MsiError::Part(part))?;
    if bytes.len() as u64 > MAX_STREAM {
        return Err(MsiError::TooLarge(part));
    }
    Ok(bytes)
}

/// The name of a table's stream: a mark, then two of 64 characters in one.
fn encoded(table: &str) -> String {
    let digits: Vec<u32> = table.bytes().map(digit).collect();
    let pair = |pair: &[u32]| match pair {
        [low, high] => char::from_u32(0x3800 + low + (high << 6)),
        [low] => char::from_u32(0x4800 + low),
        _ => None,
    };
    Some('\u{4840}').into_iter().chain(digits.chunks(2).filter_map(pair)).collect()
}

/// Tables have names of letters, digits, `_` and `.` only.
fn digit(byte: u8) -> u32 {
    match byte {
        b'0'..=b'9' => u32::from(byte - b'0'),
        b'A'..=b'Z' => u32::from(byte - b'A') + 10,
        b'a'..=b'z' => u32::from(byte - b'a') + 36,
        b'.' => 62,
        _ => 63,
    }
}

/// All strings of the file. Tables name them by number, from 1.
struct Strings<'a> {
    texts: Vec<&'a [u8]>,
    encoding: &'static Encoding,
    /// Bytes of a number in a table: 2 or 3.
    width: usize,
}

impl<'a> Strings<'a> {
    fn of(pool: &[u8], data: &'a [u8]) -> Option<Self> {
        let (head, mut entries) = pool.split_at_checked(4)?;
        let head = u32::from_le_bytes(head.try_into().ok()?);
        let (mut texts, mut at) = (Vec::new(), 0_usize);
        while let Some((entry, rest)) = entries.split_at_checked(4) {
            let [low, high, count_low, count_high] = entry else { return None };
            let mut len = u32::from(u16::from_le_bytes([*low, *high]));
            entries = rest;
            // A length that two bytes cannot hold stands in the next four.
            if len == 0 && (*count_low, *count_high) != (0, 0) {
                let (long, rest) = entries.split_at_checked(4)?;
                len = u32::from_le_bytes(long.try_into().ok()?);
                entries = rest;
            }
            let end = at.checked_add(usize::try_from(len).ok()?)?;
            texts.push(data.get(at..end)?);
            at = end;
        }
        let width = if head & LONG_NUMBERS == 0 { 2 } else { 3 };
        Some(Self { texts, encoding: encoding(head & !LONG_NUMBERS), width })
    }

    fn text(&self, number: &[u8]) -> Option<String> {
        let number = number.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        let Some(at) = number.checked_sub(1) else { return Some(String::new()) };
        let (text, _) = self.encoding.decode_without_bom_handling(self.texts.get(at)?);
        Some(text.into_owned())
    }

    /// A table of two columns of strings: all of the first, then all of the second.
    fn pairs(&self, table: &[u8]) -> Option<BTreeMap<String, String>> {
        let rows = table.len() / (2 * self.width);
        let (names, values) = table.split_at_checked(rows * self.width)?;
        let cells = names.chunks_exact(self.width).zip(values.chunks_exact(self.width));
        cells.take(MAX_PROPERTIES).map(|(name, value)| Some((self.text(name)?, self.text(value)?))).collect()
    }
}

/// Code pages: <https://learn.microsoft.com/en-us/windows/win32/intl/code-page-identifiers>
fn encoding(code_page: u32) -> &'static Encoding {
    let label = match code_page {
        0 => return WINDOWS_1252,
        65001 => return UTF_8,
        932 => "shift_jis".to_owned(),
        936 => "gbk".to_owned(),
        949 => "euc-kr".to_owned(),
        950 => "big5".to_owned(),
        other => format!("windows-{other}"),
    };
    Encoding::for_label(label.as_bytes()).unwrap_or(WINDOWS_1252)
}

/// The template of a summary. [MS-OLEPS]: a header of 48 bytes, then a table of properties; the template is number 7, a string.
fn template(summary: &[u8]) -> Option<String> {
    let word = |at: usize| {
        let bytes = summary.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let set = word(44)?;
    let count = word(set.checked_add(4)?)?.min(64);
    for property in 0..count {
        let entry = set.checked_add(8 + 8 * property)?;
        if word(entry)? != TEMPLATE {
            continue;
        }
        let value = set.checked_add(word(entry.checked_add(4)?)?)?;
        let (kind, len) = (word(value)?, word(value.checked_add(4)?)?);
        let text = summary.get(value.checked_add(8)?..value.checked_add(8)?.checked_add(len.min(256))?)?;
        let text = text.split(|byte| *byte == 0).next()?;
        return (kind == LPSTR).then(|| String::from_utf8_lossy(text).into_owned());
    }
    None
}

const MAX_STREAM: u64 = 16 << 20;
const MAX_PROPERTIES: usize = 10_000;
const LONG_NUMBERS: u32 = 0x8000_0000;
const TEMPLATE: usize = 7;
const LPSTR: usize = 30;
