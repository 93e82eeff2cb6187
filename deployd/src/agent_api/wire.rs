//! The binary bodies: lists of hashes, chunk records, bitmaps. Pure.

use images::chunk::{Hash, STORED_BYTES_MAX, Stored};
use images::protocol::{ASK_BYTES_MAX, Ask, CHUNKS_PER_FETCH};

/// Reads a body of concatenated hashes: at least one, at most `max`.
///
/// # Errors
/// What is wrong with it.
pub(super) fn hashes(body: &[u8], max: usize) -> Result<Vec<Hash>, &'static str> {
    let hashes = Hash::list_from_bytes(body).ok_or("the length is no multiple of 32")?;
    match hashes.len() {
        0 => Err("no hash is named"),
        n if n > max => Err("too many hashes are named"),
        _ => Ok(hashes),
    }
}

/// Reads the body of a `batch` request.
///
/// # Errors
/// What is wrong with it.
pub(super) fn ask(body: &[u8]) -> Result<(Ask, Vec<Hash>), &'static str> {
    let (len, rest) = body.split_first_chunk::<4>().ok_or("the question has no length")?;
    let len = u32::from_le_bytes(*len) as usize;
    let (ask, rest) =
        rest.split_at_checked(len).filter(|_| len <= ASK_BYTES_MAX).ok_or("the question is cut off")?;
    let ask = serde_json::from_slice(ask).map_err(|_| "the question cannot be read")?;
    Ok((ask, hashes(rest, CHUNKS_PER_FETCH)?))
}

/// Reads an `upload` body: `[hash 32][u32 LE stored_len][stored bytes]`, one after the other. The content of the chunks is
/// not looked at.
///
/// # Errors
/// What is wrong with it; then nothing of it may be used.
pub(super) fn uploads(body: &[u8]) -> Result<Vec<(Hash, Stored)>, String> {
    let mut rest = body;
    let mut chunks = Vec::new();
    while !rest.is_empty() {
        let cut = || format!("chunk {} is cut off", chunks.len());
        let (hash, after) = rest.split_first_chunk::<32>().ok_or_else(cut)?;
        let (len, after) = after.split_first_chunk::<4>().ok_or_else(cut)?;
        let len = u32::from_le_bytes(*len) as usize;
        if len > STORED_BYTES_MAX {
            return Err(format!("chunk {} has {len} bytes", chunks.len()));
        }
        let (stored, after) = after.split_at_checked(len).ok_or_else(cut)?;
        let stored =
            Stored::from_bytes(stored.to_vec()).map_err(|e| format!("chunk {}: {e}", chunks.len()))?;
        chunks.push((Hash(*hash), stored));
        rest = after;
    }
    if chunks.is_empty() { Err("the body is empty".into()) } else { Ok(chunks) }
}

/// The answer to `missing`: bit i, counted from the lowest bit of each byte, is 1 if chunk i must be sent.
pub(super) fn bitmap(missing: &[bool]) -> Vec<u8> {
    missing
        .chunks(8)
        .map(|eight| eight.iter().rev().fold(0, |byte, bit| (byte << 1) | u8::from(*bit)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use images::chunk::CHUNK_BYTES;
    use proptest::prelude::*;

    fn upload(chunks: &[(Hash, Stored)]) -> Vec<u8> {
        let mut body = Vec::new();
        for (hash, stored) in chunks {
            body.extend_from_slice(hash.as_bytes());
            stored.push_record(&mut body);
        }
        body
    }

    #[test]
    fn bitmaps_begin_with_the_lowest_bit() {
        assert_eq!(bitmap(&[true, false, false, true]), [0b1001]);
        assert_eq!(bitmap(&[false, false, false, false, false, false, false, true, true]), [0b1000_0000, 1]);
        assert!(bitmap(&[]).is_empty());
    }

    #[test]
    fn lists_of_hashes_are_bounded() {
        assert_eq!(hashes(&[7; 64], 2), Ok(vec![Hash([7; 32]); 2]));
        for (body, max) in [(&[][..], 5), (&[0; 31], 5), (&[0; 33], 5), (&[0; 96], 2)] {
            assert!(hashes(body, max).is_err());
        }
    }

    #[test]
    fn an_upload_comes_out_as_it_went_in_and_every_cut_is_noticed() {
        let chunks: Vec<(Hash, Stored)> = [1u8, 2, 3]
            .map(|fill| vec![fill; CHUNK_BYTES])
            .iter()
            .map(|chunk| (Hash::of(chunk), Stored::pack(chunk).unwrap()))
            .collect();
        let body = upload(&chunks);
        assert_eq!(uploads(&body).unwrap(), chunks);
        let whole = [0, upload(&chunks[..1]).len(), upload(&chunks[..2]).len()];
        for cut in 0..body.len() {
            let read = uploads(&body[..cut]);
            assert_eq!(read.is_ok(), cut > 0 && whole.contains(&cut), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..2000), max in 0usize..10) {
            if let Ok(list) = hashes(&body, max) {
                prop_assert!(list.len() <= max && list.len() * 32 == body.len());
            }
            if let Ok(chunks) = uploads(&body) {
                prop_assert_eq!(upload(&chunks), body);
            }
        }

        #[test]
        fn no_length_makes_us_allocate(len in any::<u32>(), codec in 0u8..3, tail in 0usize..100) {
            let body = [&[0; 32][..], &len.to_le_bytes(), &[codec], &vec![0; tail]].concat();
            if let Ok(chunks) = uploads(&body) {
                prop_assert_eq!(chunks.len(), 1);
                prop_assert_eq!(len as usize, tail + 1);
            }
        }

        #[test]
        fn a_bitmap_says_what_was_asked(missing in prop::collection::vec(any::<bool>(), 0..100)) {
            let bytes = bitmap(&missing);
            prop_assert_eq!(bytes.len(), missing.len().div_ceil(8));
            for (i, bit) in missing.iter().enumerate() {
                prop_assert_eq!((bytes[i / 8] >> (i % 8)) & 1 == 1, *bit);
            }
        }
    }
}
