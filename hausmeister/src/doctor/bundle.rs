//! The file that `doctor` writes: a tar archive (POSIX.1-1988, `ustar`) compressed with zstd (RFC 8878).

use std::io;

/// An archive of these files (name, content), all in the folder `folder`, last changed at `at_secs` (seconds since 1970).
///
/// # Errors
/// A name is longer than 100 bytes or a content larger than 8 GiB, as the format has no room for; or zstd fails.
pub fn pack(folder: &str, at_secs: u64, files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut tar = Vec::new();
    for (name, content) in files {
        tar.extend(header(&format!("{folder}/{name}"), content.len(), at_secs)?);
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    // Two empty blocks end an archive.
    tar.resize(tar.len() + 2 * BLOCK, 0);
    zstd::encode_all(tar.as_slice(), LEVEL)
}

fn header(name: &str, size: usize, at_secs: u64) -> io::Result<Vec<u8>> {
    let size = u64::try_from(size).unwrap_or(u64::MAX);
    if name.len() > 100 || size > SIZE_MAX {
        return Err(io::Error::other(format!("{name} does not fit into a tar archive")));
    }
    let before =
        format!("{name:\0<100}0000600\00000000\00000000\0{size:011o}\0{:011o}\0", at_secs & SIZE_MAX);
    let after = format!("0{:\0<100}ustar\000", "");
    let mut header = Vec::with_capacity(BLOCK);
    header.extend_from_slice(before.as_bytes());
    header.extend_from_slice(b"        ");
    header.extend_from_slice(after.as_bytes());
    header.resize(BLOCK, 0);
    // The checksum counts its own place as blanks.
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    if let Some(place) = header.get_mut(148..156) {
        place.copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    Ok(header)
}

const BLOCK: usize = 512;
const LEVEL: i32 = 9;
/// Eleven octal digits.
const SIZE_MAX: u64 = 0o777_7777_7777;
