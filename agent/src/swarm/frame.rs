//! What two PCs say to each other, within TLS 1.3. Numbers are little-endian.
//!
//! ```text
//! who asks     token                    32 bytes, once
//!              batch, number of hashes  u32, u32; at most 256 hashes
//!              hashes                   32 bytes each
//! who answers  for each hash, in order
//!              length, bytes            u32; a chunk as it is stored
//!              0                        it is not to be had
//!              0xffffffff               not yet; said again and again until it comes
//! ```

use std::io::{self, Read, Write};

use images::chunk::{Hash, STORED_BYTES_MAX, Stored};
use images::protocol::CHUNKS_PER_FETCH;

/// A question for chunks of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) batch: u32,
    pub(super) hashes: Vec<Hash>,
}

/// A part of the answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// The next chunk.
    Chunk(Stored),
    /// The next chunk is not to be had here.
    Lacks,
    /// The next chunk will come.
    NotYet,
}

pub(super) fn write_request(to: &mut impl Write, batch: u32, hashes: &[Hash]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(8 + hashes.len() * 32);
    bytes.extend_from_slice(&batch.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(hashes.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(hashes.iter().flat_map(|hash| hash.as_bytes()));
    to.write_all(&bytes)?;
    to.flush()
}

/// # Errors
/// The connection ended, or nobody who speaks this speaks.
pub(super) fn read_request(from: &mut impl Read) -> io::Result<Request> {
    let batch = read_number(from)?;
    let count = read_number(from)? as usize;
    if count == 0 || count > CHUNKS_PER_FETCH {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut bytes = vec![0; count * 32];
    from.read_exact(&mut bytes)?;
    let hashes = Hash::list_from_bytes(&bytes).ok_or(io::ErrorKind::InvalidData)?;
    Ok(Request { batch, hashes })
}

pub(super) fn write_frame(to: &mut impl Write, frame: &Frame) -> io::Result<()> {
    match frame {
        Frame::Chunk(stored) => {
            // In one go: what is written separately is encrypted and sent separately.
            let mut bytes = Vec::with_capacity(stored.record_len());
            stored.push_record(&mut bytes);
            to.write_all(&bytes)?;
        }
        Frame::Lacks => to.write_all(&LACKS.to_le_bytes())?,
        Frame::NotYet => to.write_all(&NOT_YET.to_le_bytes())?,
    }
    to.flush()
}

/// # Errors
/// The connection ended or was silent for too long, or what comes is no chunk.
pub(super) fn read_frame(from: &mut impl Read) -> io::Result<Frame> {
    match read_number(from)? {
        LACKS => Ok(Frame::Lacks),
        NOT_YET => Ok(Frame::NotYet),
        len => {
            let len = len as usize;
            if len > STORED_BYTES_MAX {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let mut bytes = vec![0; len];
            from.read_exact(&mut bytes)?;
            Stored::from_bytes(bytes).map(Frame::Chunk).map_err(|_| io::ErrorKind::InvalidData.into())
        }
    }
}

fn read_number(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

const LACKS: u32 = 0;
const NOT_YET: u32 = u32::MAX;

#[cfg(test)]
mod tests {
    use super::*;
    use images::chunk::CHUNK_BYTES;
    use proptest::prelude::*;

    #[test]
    fn frames_and_requests_come_back() {
        let stored = Stored::pack(&[7; CHUNK_BYTES]).unwrap();
        let frames = [Frame::NotYet, Frame::Chunk(stored), Frame::Lacks];
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| write_frame(&mut bytes, frame).unwrap());
        let mut from = bytes.as_slice();
        for frame in frames {
            assert_eq!(read_frame(&mut from).unwrap(), frame);
        }
        assert!(read_frame(&mut from).is_err());
        let hashes = vec![Hash::zero_chunk(), Hash::of(b"another")];
        let mut bytes = Vec::new();
        write_request(&mut bytes, 77, &hashes).unwrap();
        assert_eq!(read_request(&mut bytes.as_slice()).unwrap(), Request { batch: 77, hashes });
    }

    proptest! {
        #[test]
        fn anything_is_read_without_a_panic_and_without_much_memory(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_frame(&mut bytes.as_slice());
            if let Ok(request) = read_request(&mut bytes.as_slice()) {
                prop_assert!(request.hashes.len() <= CHUNKS_PER_FETCH);
            }
        }
    }
}
