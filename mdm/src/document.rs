//! Property lists: the guard in front of the `plist` crate, and the way out.
//!
//! Every byte that a device sends passes [`parse`]. What `plist` would do with hostile input decides what is refused here:
//!
//! | Input | What `plist` 1.10 does | What happens here |
//! |---|---|---|
//! | 100,000 nested arrays | recursion ends the process | [`DocumentError::TooDeep`] beyond [`MAX_DEPTH`] |
//! | text that is no XML | tries the NeXTSTEP format, `<html>` becomes a string | [`DocumentError::NotAPropertyList`] |
//! | CDATA, unknown entities | leaves the text out without a word | [`DocumentError::Unsupported`] |
//! | a binary list whose objects name each other many times | unfolds it | [`DocumentError::TooLong`], measured unfolded |
//!
//! Formats: <https://www.apple.com/DTDs/PropertyList-1.0.dtd> and, for the binary one, CFBinaryPList.c of Apple's CoreFoundation.

use plist::{Dictionary, Value};
use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;
use quick_xml::name::LocalName;
use serde::Serialize;
use serde::de::DeserializeOwned;

mod binary;
mod data;

pub use data::{Data, value_from_json};

/// Why bytes were not taken as a property list, or a value could not be written as one.
///
/// No variant repeats what stood in the document: tokens and pupils' names stay out of the log.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The document, or what it unfolds to, is longer than the caller takes.
    #[error("the property list is longer than the {limit} bytes that are taken here")]
    TooLong {
        /// The caller's limit in bytes.
        limit: usize,
    },
    /// The bytes begin like neither of the two formats.
    #[error("this is no property list: it begins with neither <?xml, <!DOCTYPE plist, <plist nor bplist00")]
    NotAPropertyList,
    /// Dictionaries and arrays stand in each other too often.
    #[error("the property list is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// XML that no device writes, and that would be read with something missing.
    #[error("the property list has {what} at byte {at}; write it as plain text and escapes")]
    Unsupported {
        /// What was found.
        what: &'static str,
        /// Where, in bytes from the start of the XML.
        at: u64,
    },
    /// The XML is not well formed.
    #[error("the property list is not well-formed XML at byte {at}")]
    Xml {
        /// Where, in bytes from the start of the XML.
        at: u64,
        /// What the XML reader says.
        source: quick_xml::Error,
    },
    /// The binary property list is damaged.
    #[error("the binary property list is damaged: {what}")]
    Binary {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Elements stand where a property list has none, or hold what their type forbids.
    #[error("the property list is damaged")]
    Damaged(#[source] plist::Error),
    /// The keys do not fit the type that was asked for. The cause is left out, since it would quote the value.
    #[error("the property list does not have the keys and types of {wanted}")]
    Shape {
        /// The name of the Rust type that was asked for.
        wanted: &'static str,
    },
    /// A string has a character that XML cannot carry, so that a device would refuse the whole document.
    #[error("a text has the control character U+{code:04X}; take it out")]
    Character {
        /// The character's number.
        code: u32,
    },
    /// The value has no form as a property list.
    #[error("this value cannot be written as a property list")]
    Write(#[source] plist::Error),
    /// JSON that has no form as a property list.
    #[error("{what} cannot be written as a property list")]
    Json {
        /// What was found.
        what: &'static str,
    },
}

/// Reads a document of at most `limit` bytes into `T`. Keys that `T` does not name are passed over, since devices send
/// keys that no schema has.
pub fn parse<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DocumentError> {
    from_value(&parse_value(bytes, limit)?)
}

/// Reads a document of at most `limit` bytes without asking what it is about.
pub fn parse_value(bytes: &[u8], limit: usize) -> Result<Value, DocumentError> {
    if bytes.len() > limit {
        return Err(DocumentError::TooLong { limit });
    }
    if bytes.starts_with(binary::MAGIC) {
        binary::guard(bytes, limit)?;
        return plist::from_bytes(bytes).map_err(DocumentError::Damaged);
    }
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    if !XML_BEGINNINGS.iter().any(|beginning| text.starts_with(beginning)) {
        return Err(DocumentError::NotAPropertyList);
    }
    guard_xml(text)?;
    // Not `from_bytes`, which would try the NeXTSTEP format after a failure.
    plist::from_reader_xml(text).map_err(DocumentError::Damaged)
}

/// Reads a part of a document that was parsed before.
pub fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, DocumentError> {
    plist::from_value(value).map_err(|_| DocumentError::Shape { wanted: std::any::type_name::<T>() })
}

/// Writes `value` as an XML property list, which every version of iOS reads.
pub fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, DocumentError> {
    let value = plist::to_value(value).map_err(DocumentError::Write)?;
    check(&value, 0)?;
    let mut document = Vec::new();
    value.to_writer_xml(&mut document).map_err(DocumentError::Write)?;
    Ok(document)
}

/// Walks through the XML once, with the reader, the settings and even the buffering of `plist`, and builds nothing. What
/// this loop takes for one array, `plist` cannot take for two.
fn guard_xml(text: &[u8]) -> Result<(), DocumentError> {
    let mut reader = Reader::from_reader(text);
    reader.config_mut().expand_empty_elements = true;
    let mut buffer = Vec::new();
    let mut depth = 0_usize;
    loop {
        let at = reader.buffer_position();
        buffer.clear();
        let event =
            reader.read_event_into(&mut buffer).map_err(|source| DocumentError::Xml { at, source })?;
        let unsupported = |what| Err(DocumentError::Unsupported { what, at });
        match event {
            Event::Start(name) if holds_others(&name.local_name()) => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(DocumentError::TooDeep);
                }
            }
            // The reader refuses an end without its start, so this never drops below zero.
            Event::End(name) if holds_others(&name.local_name()) => depth = depth.saturating_sub(1),
            Event::CData(_) => return unsupported("a CDATA section"),
            Event::DocType(declaration) if declaration.contains('[') => {
                return unsupported("a document type with declarations of its own");
            }
            Event::GeneralRef(name) if !name.is_char_ref() && resolve_xml_entity(&name).is_none() => {
                return unsupported("an entity that XML does not define");
            }
            Event::Eof => return Ok(()),
            _ => {}
        }
    }
}

/// Whether `plist` recurses into the element. `x:array` is an array to it as well.
fn holds_others(name: &LocalName<'_>) -> bool {
    matches!(name.as_ref(), "array" | "dict")
}

/// Refuses what could be written but not be read again.
fn check(value: &Value, depth: usize) -> Result<(), DocumentError> {
    match value {
        Value::Array(_) | Value::Dictionary(_) if depth >= MAX_DEPTH => Err(DocumentError::TooDeep),
        Value::Array(items) => items.iter().try_for_each(|item| check(item, depth + 1)),
        Value::Dictionary(entries) => check_entries(entries, depth + 1),
        Value::String(text) => check_text(text),
        _ => Ok(()),
    }
}

fn check_entries(entries: &Dictionary, depth: usize) -> Result<(), DocumentError> {
    entries.iter().try_for_each(|(key, value)| {
        check_text(key)?;
        check(value, depth)
    })
}

/// XML 1.0 section 2.2 (production 2, Char): the characters that no document may have, escaped or not.
fn check_text(text: &str) -> Result<(), DocumentError> {
    let forbidden = |&c: &char| matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}');
    match text.chars().find(forbidden) {
        Some(character) => Err(DocumentError::Character { code: u32::from(character) }),
        None => Ok(()),
    }
}

/// How many dictionaries and arrays may stand in each other. Apple's deepest message, a home screen layout, needs nine.
pub const MAX_DEPTH: usize = 32;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const XML_BEGINNINGS: [&[u8]; 3] = [b"<?xml", b"<!DOCTYPE plist", b"<plist"];

#[cfg(test)]
mod tests;
