//! From bytes to lines of fields: the encoding and the separator are found out.

use encoding_rs::{Encoding, ISO_8859_15, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::{FILE_BYTES_MAX, FileProblem, LINES_MAX, Problem, What};

/// A file as fields.
pub(super) struct Text {
    pub(super) encoding: &'static str,
    pub(super) separator: char,
    pub(super) lines: Vec<Line>,
    pub(super) problems: Vec<Problem>,
}

/// A line that is neither empty nor a comment.
pub(super) struct Line {
    /// From 1.
    pub(super) number: usize,
    fields: Vec<String>,
}

impl Line {
    /// A field without the spaces around it; empty where the line is too short.
    pub(super) fn field(&self, at: usize) -> &str {
        self.fields.get(at).map_or("", |field| field.trim())
    }

    /// Number of its fields.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }
}

/// Reads a file. Each line of the file is one record, so that a quotation mark that is never closed costs one line and not the rest.
pub(super) fn read(bytes: &[u8]) -> Result<Text, FileProblem> {
    if bytes.len() > FILE_BYTES_MAX {
        return Err(FileProblem::TooLarge);
    }
    let (text, encoding) = decode(bytes)?;
    let used: Vec<(usize, &str)> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        .collect();
    if used.is_empty() {
        return Err(FileProblem::Empty);
    }
    if used.len() > LINES_MAX {
        return Err(FileProblem::TooManyLines);
    }
    let separator = separator(&used);
    let (open, closed): (Vec<_>, Vec<_>) = used.into_iter().partition(|(_, line)| is_open(line, separator));
    let numbers: Vec<usize> = closed.iter().map(|(number, _)| *number).collect();
    let lines = numbers.into_iter().zip(records(&closed, separator));
    let lines: Vec<Line> = lines.map(|(number, fields)| Line { number, fields }).collect();
    let problems = open.into_iter().map(|(number, _)| Problem::new(number, What::OpenQuote)).collect();
    if lines.is_empty() {
        return Err(FileProblem::NoText);
    }
    Ok(Text { encoding, separator: char::from(separator), lines, problems })
}

/// The text and the name of its encoding. What is valid UTF-8 is UTF-8: text in an 8-bit encoding is not, as soon as it has an umlaut.
fn decode(bytes: &[u8]) -> Result<(String, &'static str), FileProblem> {
    let (encoding, start) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, length),
        None if std::str::from_utf8(bytes).is_ok() => (UTF_8, 0),
        None => (eight_bit(bytes), 0),
    };
    let (text, damaged) = encoding.decode_without_bom_handling(bytes.get(start..).unwrap_or_default());
    let control = |c: char| c.is_control() && !matches!(c, '\t' | '\r' | '\n' | '\u{1a}');
    let wide = encoding == UTF_16LE || encoding == UTF_16BE;
    if text.chars().any(control) || (damaged && wide) {
        return Err(FileProblem::NoText);
    }
    // Excel for DOS ended files with a control character; others begin lines with a second byte order mark.
    let text = text.trim_matches(['\u{feff}', '\u{1a}']).replace("\r\n", "\n").replace('\r', "\n");
    Ok((text, encoding.name()))
}

/// Windows-1252 has letters and signs at 0x80 to 0x9f, where ISO-8859-15 has control characters; and ISO-8859-15 has letters (Š, Ž, Œ, Ÿ)
/// and the euro sign where Windows-1252 has fractions and accents without a letter, which no name holds.
fn eight_bit(bytes: &[u8]) -> &'static Encoding {
    let has = |wanted: &dyn Fn(u8) -> bool| bytes.iter().any(|b| wanted(*b));
    let letters = |b| matches!(b, 0xa4 | 0xa6 | 0xa8 | 0xb4 | 0xb8 | 0xbc..=0xbe);
    if !has(&|b| (0x80..0xa0).contains(&b)) && has(&letters) { ISO_8859_15 } else { WINDOWS_1252 }
}

/// The separator with which most of the first lines have as many fields as the first one, and at least two.
fn separator(lines: &[(usize, &str)]) -> u8 {
    let lines = lines.get(..LOOKED_AT).unwrap_or(lines);
    let score = |separator: u8| {
        let counts: Vec<usize> = records(lines, separator).iter().map(Vec::len).collect();
        let first = counts.first().copied().unwrap_or_default();
        let alike = counts.iter().filter(|count| **count == first).count();
        if first < 2 { (0, 0) } else { (alike, first) }
    };
    // Of equals the last one wins.
    b",\t;".iter().copied().max_by_key(|separator| score(*separator)).unwrap_or(b';')
}

/// Whether a field begins with a quotation mark that the line never closes.
fn is_open(line: &str, separator: u8) -> bool {
    let mut quoted = false;
    let mut at_start = true;
    for byte in line.bytes() {
        match byte {
            b'"' if quoted => quoted = false,
            // Within a quoted field a doubled mark closes and opens again.
            b'"' if at_start => quoted = true,
            _ => {}
        }
        at_start = byte == separator || (byte == b'"' && !quoted);
    }
    quoted
}

/// The fields of each line. No line of these has an open quotation mark, unless the separator is a wrong guess.
fn records(lines: &[(usize, &str)], separator: u8) -> Vec<Vec<String>> {
    let mut text = String::with_capacity(lines.iter().map(|(_, line)| line.len() + 1).sum());
    for (_, line) in lines {
        text.push_str(line);
        text.push('\n');
    }
    let reader = csv::ReaderBuilder::new()
        .delimiter(separator)
        .terminator(csv::Terminator::Any(b'\n'))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let fields = |record: csv::StringRecord| record.iter().take(FIELDS_MAX).map(str::to_owned).collect();
    reader.into_records().filter_map(Result::ok).map(fields).collect()
}

const LOOKED_AT: usize = 20;
/// More fields than any export has.
const FIELDS_MAX: usize = 60;
