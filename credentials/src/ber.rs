//! BER to DER, and a cursor over the result.
//!
//! | Standard               | What is done here                                                                |
//! |------------------------|----------------------------------------------------------------------------------|
//! | ITU-T X.690 8.1.3      | indefinite and over-long lengths become definite and minimal                       |
//! | ITU-T X.690 8.7.3      | constructed OCTET STRINGs become primitive                                         |
//! | ITU-T X.690 10, 11     | nothing else: the order of sets, booleans and strings of other kinds stay as sent  |
//!
//! Apple's devices sign with indefinite lengths (every `Mdm-Signature` does), and strict DER parsers refuse that. The order of
//! a SET is deliberately left alone, since a signature over signed attributes covers the bytes that the signer wrote.

/// Why bytes are no BER that is accepted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BerError {
    /// The input is longer than anything that a device sends.
    #[error("the message has {0} bytes; at most {INPUT_BYTES_MAX} are read")]
    TooLong(usize),
    /// An element says that it is longer than what is there.
    #[error("the message ends inside an element; it was cut off on its way")]
    Truncated,
    /// Elements lie inside each other too deeply.
    #[error("the message nests more than {DEPTH_MAX} elements")]
    TooDeep,
    /// A tag or length in a form that no certificate or CMS message uses.
    #[error("the message holds a tag or length that no CMS message uses")]
    Form,
    /// Bytes follow after the outermost element.
    #[error("bytes follow after the end of the message")]
    Trailing,
    /// An element is there, but another kind was due.
    #[error("the message holds an element of another kind than expected")]
    Unexpected,
}

/// Rewrites one BER element as DER lengths and primitive octet strings, see the head of this module. DER comes out unchanged.
///
/// # Errors
/// The bytes are no single element, too long, too deep, or in a form that CMS does not use.
pub fn to_der(input: &[u8]) -> Result<Vec<u8>, BerError> {
    if input.len() > INPUT_BYTES_MAX {
        return Err(BerError::TooLong(input.len()));
    }
    let mut out = Vec::with_capacity(input.len());
    let rest = element(input, 0, &mut out)?;
    if rest.is_empty() { Ok(out) } else { Err(BerError::Trailing) }
}

/// One element of a DER text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// What it is.
    pub tag: u8,
    /// What is in it.
    pub content: &'a [u8],
    /// Tag, length and content.
    pub whole: &'a [u8],
}

impl<'a> Element<'a> {
    /// A cursor over what lies inside.
    pub fn open(&self) -> Cursor<'a> {
        Cursor(self.content)
    }
}

/// Walks over DER elements that follow each other, without copying.
#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// At the beginning of `der`.
    pub fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// Whether nothing follows.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, whatever it is.
    pub fn any(&mut self) -> Result<Element<'a>, BerError> {
        let (tag, length, body) = header(self.0)?;
        // Only `to_der` reads indefinite lengths; here they are as wrong as any other form that is not DER.
        let (content, rest) = split(body, length.ok_or(BerError::Form)?)?;
        let (whole, _) = split(self.0, self.0.len().saturating_sub(rest.len()))?;
        self.0 = rest;
        Ok(Element { tag, content, whole })
    }

    /// The next element, which must have this tag.
    pub fn next(&mut self, tag: u8) -> Result<Element<'a>, BerError> {
        let element = self.any()?;
        if element.tag == tag { Ok(element) } else { Err(BerError::Unexpected) }
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, BerError> {
        if self.0.first() == Some(&tag) { self.any().map(Some) } else { Ok(None) }
    }

    /// The one element with this tag that the text consists of.
    pub fn single(mut self, tag: u8) -> Result<Element<'a>, BerError> {
        let element = self.next(tag)?;
        if self.0.is_empty() { Ok(element) } else { Err(BerError::Trailing) }
    }
}

/// Copies one element to `out`; returns what follows it.
fn element<'a>(input: &'a [u8], depth: usize, out: &mut Vec<u8>) -> Result<&'a [u8], BerError> {
    let (tag, length, body) = header(input)?;
    if tag & CONSTRUCTED == 0 {
        let (content, rest) = split(body, length.ok_or(BerError::Form)?)?;
        out.push(tag);
        push_length(out, content.len());
        out.extend_from_slice(content);
        return Ok(rest);
    }
    if depth == DEPTH_MAX {
        return Err(BerError::TooDeep);
    }
    let mut inner = Vec::new();
    let is_string = tag == OCTET_STRING | CONSTRUCTED;
    let rest = children(body, length, |child| match is_string {
        true => string_part(child, depth + 1, &mut inner),
        false => element(child, depth + 1, &mut inner),
    })?;
    out.push(if is_string { OCTET_STRING } else { tag });
    push_length(out, inner.len());
    out.append(&mut inner);
    Ok(rest)
}

/// Appends the content of one part of a constructed OCTET STRING to `out`; returns what follows it.
fn string_part<'a>(input: &'a [u8], depth: usize, out: &mut Vec<u8>) -> Result<&'a [u8], BerError> {
    let (tag, length, body) = header(input)?;
    match tag {
        OCTET_STRING => {
            let (content, rest) = split(body, length.ok_or(BerError::Form)?)?;
            out.extend_from_slice(content);
            Ok(rest)
        }
        _ if tag == OCTET_STRING | CONSTRUCTED && depth < DEPTH_MAX => {
            children(body, length, |child| string_part(child, depth + 1, out))
        }
        _ if tag == OCTET_STRING | CONSTRUCTED => Err(BerError::TooDeep),
        _ => Err(BerError::Unexpected),
    }
}

/// Hands every child of a constructed element to `each`, which returns what follows the child. Returns what follows the parent.
fn children<'a>(
    body: &'a [u8],
    length: Option<usize>,
    mut each: impl FnMut(&'a [u8]) -> Result<&'a [u8], BerError>,
) -> Result<&'a [u8], BerError> {
    if let Some(length) = length {
        let (mut content, rest) = split(body, length)?;
        while !content.is_empty() {
            content = each(content)?;
        }
        return Ok(rest);
    }
    let mut rest = body;
    loop {
        if let Some(after) = rest.strip_prefix(&END_OF_CONTENTS) {
            return Ok(after);
        }
        rest = each(rest)?;
    }
}

/// Reads tag and length (`None` if indefinite); returns them and what follows.
fn header(input: &[u8]) -> Result<(u8, Option<usize>, &[u8]), BerError> {
    let (tag, rest) = input.split_first().ok_or(BerError::Truncated)?;
    let (first, rest) = rest.split_first().ok_or(BerError::Truncated)?;
    // Tag numbers above 30 take several bytes, and 0 is the end-of-contents mark: CMS and X.509 have neither.
    if tag & TAG_NUMBER == TAG_NUMBER || *tag == 0 {
        return Err(BerError::Form);
    }
    match *first {
        0x80 => Ok((*tag, None, rest)),
        short @ 0..0x80 => Ok((*tag, Some(usize::from(short)), rest)),
        long => {
            let (bytes, rest) = split(rest, usize::from(long & 0x7f))?;
            let significant =
                bytes.iter().position(|byte| *byte != 0).map_or(&[][..], |at| bytes.get(at..).unwrap_or(&[]));
            if significant.len() > 4 {
                return Err(BerError::Truncated);
            }
            let length = significant.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            Ok((*tag, Some(length), rest))
        }
    }
}

fn split(bytes: &[u8], at: usize) -> Result<(&[u8], &[u8]), BerError> {
    bytes.split_at_checked(at).ok_or(BerError::Truncated)
}

fn push_length(out: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let significant = bytes.iter().skip_while(|byte| **byte == 0);
    match u8::try_from(length) {
        Ok(short) if short < 0x80 => out.push(short),
        _ => {
            let count = significant.clone().count();
            out.push(0x80 | u8::try_from(count).unwrap_or(8));
            out.extend(significant);
        }
    }
}

/// Longer messages are refused before they are looked at. The longest that a device sends, its machine information with a chain
/// of four certificates, has 5 kB.
pub const INPUT_BYTES_MAX: usize = 1 << 20;
/// Deeper nesting is refused; a signed message with certificates reaches 12.
pub const DEPTH_MAX: usize = 32;

/// Tags (X.680).
pub const INTEGER: u8 = 0x02;
/// See [`INTEGER`].
pub const BIT_STRING: u8 = 0x03;
/// See [`INTEGER`].
pub const OCTET_STRING: u8 = 0x04;
/// See [`INTEGER`].
pub const OBJECT_IDENTIFIER: u8 = 0x06;
/// See [`INTEGER`].
pub const SEQUENCE: u8 = 0x30;
/// See [`INTEGER`].
pub const SET: u8 = 0x31;
const CONSTRUCTED: u8 = 0x20;
const TAG_NUMBER: u8 = 0x1f;
const END_OF_CONTENTS: [u8; 2] = [0, 0];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn indefinite_lengths_become_definite() {
        let cases: [(&[u8], &[u8]); 6] = [
            (&[0x30, 0x80, 0x02, 1, 5, 0, 0], &[0x30, 3, 2, 1, 5]),
            (&[0x30, 0x80, 0x30, 0x80, 0, 0, 0, 0], &[0x30, 2, 0x30, 0]),
            (&[0x24, 0x80, 4, 1, b'a', 4, 1, b'b', 0, 0], &[4, 2, b'a', b'b']),
            (&[0x24, 0x80, 0x24, 3, 4, 1, b'a', 4, 0, 0, 0], &[4, 1, b'a']),
            (&[0x30, 0x83, 0, 0, 3, 2, 1, 5], &[0x30, 3, 2, 1, 5]),
            (&[0xa0, 0x80, 4, 0x81, 1, 7, 0, 0], &[0xa0, 3, 4, 1, 7]),
        ];
        for (ber, der) in cases {
            assert_eq!(to_der(ber).as_deref(), Ok(der), "{ber:02x?}");
        }
    }

    #[test]
    fn what_is_no_single_element_is_refused() {
        let cases: [(&[u8], BerError); 9] = [
            (&[], BerError::Truncated),
            (&[0x30], BerError::Truncated),
            (&[0x30, 0x82, 1], BerError::Truncated),
            (&[0x30, 5, 1], BerError::Truncated),
            (&[0x02, 0x80, 0, 0], BerError::Form),
            (&[0x1f, 0x81, 0], BerError::Form),
            (&[0x30, 2, 0, 0], BerError::Form),
            (&[2, 1, 1, 0], BerError::Trailing),
            (&[0x24, 3, 2, 1, 1], BerError::Unexpected),
        ];
        for (ber, error) in cases {
            assert_eq!(to_der(ber), Err(error), "{ber:02x?}");
        }
    }

    #[test]
    fn nesting_is_bounded_for_sequences_and_for_strings() {
        for tag in [0x30, 0x24] {
            let nested = |depth: usize| [[tag, 0x80].repeat(depth), [0, 0].repeat(depth)].concat();
            assert!(to_der(&nested(DEPTH_MAX)).is_ok());
            assert_eq!(to_der(&nested(DEPTH_MAX + 1)), Err(BerError::TooDeep));
            assert_eq!(to_der(&nested(10_000)), Err(BerError::TooDeep));
        }
    }

    /// DER of any shape, with the lengths that matter.
    fn der() -> impl Strategy<Value = Vec<u8>> {
        let wrap = |tag: u8, content: Vec<u8>| {
            let mut out = vec![tag];
            push_length(&mut out, content.len());
            out.extend(content);
            out
        };
        let leaf = (1_u8..30, prop::collection::vec(any::<u8>(), 0..300))
            .prop_map(move |(tag, content)| wrap(tag, content));
        leaf.prop_recursive(6, 40, 5, move |inner| {
            (prop::sample::select(vec![0x30_u8, 0x31, 0xa0, 0xa3]), prop::collection::vec(inner, 0..5))
                .prop_map(move |(tag, children)| wrap(tag, children.concat()))
        })
    }

    proptest! {
        #[test]
        fn der_comes_out_as_it_went_in(der in der()) {
            prop_assert_eq!(to_der(&der), Ok(der));
        }

        #[test]
        fn any_bytes_are_converted_to_something_stable_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(der) = to_der(&bytes) {
                prop_assert_eq!(to_der(&der), Ok(der));
            }
        }
    }
}
