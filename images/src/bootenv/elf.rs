//! What a program needs in order to start: its dynamic linker and libraries, out of the ELF file (System V ABI, chapters 4 and 5).
//!
//! Only what the boot environment is made of is read: 64-bit little-endian files. Anything else, and anything whose tables lie
//! outside the file, is `None`.

use crate::le::{array, u16_at, u64_at};

/// What a file asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Links {
    /// Path of the dynamic linker; none for static programs and libraries.
    pub(super) interpreter: Option<String>,
    /// Names of the libraries it needs, in the order of the file.
    pub(super) libraries: Vec<String>,
}

struct Segment {
    kind: u32,
    offset: usize,
    address: u64,
    bytes: usize,
}

/// Reads them.
pub(super) fn links(file: &[u8]) -> Option<Links> {
    // Magic, 64 bit, little endian.
    if array::<6>(file, 0)? != *b"\x7fELF\x02\x01" {
        return None;
    }
    let segments = segments(file)?;
    let mut links = Links::default();
    for segment in &segments {
        match segment.kind {
            PT_INTERP => links.interpreter = Some(text(file, segment.offset, segment.bytes)?),
            PT_DYNAMIC => links.libraries = libraries(file, segment, &segments)?,
            _ => {}
        }
    }
    Some(links)
}

fn segments(file: &[u8]) -> Option<Vec<Segment>> {
    let table = usize::try_from(u64_at(file, 32)?).ok()?;
    let entry_bytes = usize::from(u16_at(file, 54)?);
    let count = usize::from(u16_at(file, 56)?);
    (0..count)
        .map(|n| {
            let at = table.checked_add(n.checked_mul(entry_bytes)?)?;
            Some(Segment {
                kind: crate::le::u32_at(file, at)?,
                offset: usize::try_from(u64_at(file, at.checked_add(8)?)?).ok()?,
                address: u64_at(file, at.checked_add(16)?)?,
                bytes: usize::try_from(u64_at(file, at.checked_add(32)?)?).ok()?,
            })
        })
        .collect()
}

fn libraries(file: &[u8], dynamic: &Segment, segments: &[Segment]) -> Option<Vec<String>> {
    let end = dynamic.offset.checked_add(dynamic.bytes)?;
    let table = file.get(dynamic.offset..end)?;
    let (mut names, mut strings) = (Vec::new(), None);
    for entry in table.chunks_exact(16) {
        match (u64_at(entry, 0)?, u64_at(entry, 8)?) {
            (DT_NULL, _) => break,
            (DT_NEEDED, offset) => names.push(usize::try_from(offset).ok()?),
            (DT_STRTAB, address) => strings = Some(offset_of(address, segments)?),
            _ => {}
        }
    }
    if names.is_empty() {
        return Some(Vec::new());
    }
    let strings = strings?;
    names.into_iter().map(|name| text(file, strings.checked_add(name)?, NAME_BYTES_MAX)).collect()
}

/// Where in the file the byte for an address lies.
fn offset_of(address: u64, segments: &[Segment]) -> Option<usize> {
    segments.iter().filter(|s| s.kind == PT_LOAD).find_map(|s| {
        let into = usize::try_from(address.checked_sub(s.address)?).ok()?;
        (into < s.bytes).then(|| s.offset.checked_add(into))?
    })
}

/// The text at a place, up to a NUL byte within `bytes_max`.
fn text(file: &[u8], at: usize, bytes_max: usize) -> Option<String> {
    let rest = file.get(at..)?;
    let length = rest.iter().take(bytes_max).position(|b| *b == 0)?;
    String::from_utf8(rest.get(..length)?.to_vec()).ok()
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_test_needs_the_c_library() {
        let links = links(&std::fs::read("/proc/self/exe").unwrap()).unwrap();
        assert_eq!(links.interpreter.as_deref(), Some("/lib64/ld-linux-x86-64.so.2"));
        assert!(links.libraries.contains(&"libc.so.6".to_owned()), "{links:?}");
    }

    #[test]
    fn what_is_no_program_is_refused() {
        for file in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x01\x01\x01"] {
            assert_eq!(links(file), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_program_is_read_without_a_panic(at in 0_usize..4096, value: u8, cut in 0_usize..8192) {
            let mut file = std::fs::read("/proc/self/exe").unwrap();
            file.truncate(cut + 64);
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
            links(&file);
        }
    }
}
