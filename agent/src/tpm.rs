//! The device key in a TPM 2.0, where it survives a new disk.
//!
//! | Standard                                             | What is used                                            |
//! |------------------------------------------------------|---------------------------------------------------------|
//! | TPM 2.0 Library, part 3, chapter 31                  | NV_ReadPublic, NV_DefineSpace, NV_Read, NV_Write         |
//! | TPM 2.0 Library, part 1, chapter 19.4                | password sessions with the empty password                |
//!
//! The key lies in one non-volatile index, readable with the empty password: what protects it is the same as on the disk,
//! namely that one must be root on this very machine. It is not bound to PCRs, since firmware updates would lose it. A TPM
//! whose owner has set a password refuses, and the key stays on the disk only.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use crate::clock;

/// Why the TPM did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum TpmError {
    /// There is none, or it cannot be spoken to.
    #[error("the TPM cannot be reached")]
    Io(#[from] io::Error),
    /// It refuses, with a code of part 2, chapter 6.6.
    #[error("the TPM refuses {command} with {code:#x}")]
    Refused {
        /// Which command.
        command: &'static str,
        /// Response code.
        code: u32,
    },
    /// An answer that cannot be read.
    #[error("the TPM's answer makes no sense")]
    Answer,
    /// The index belongs to somebody else, or the key is too long.
    #[error("the TPM has no place for the key")]
    NoPlace,
}

type Result<T> = std::result::Result<T, TpmError>;

/// A TPM behind a stream that takes one command and gives one answer: `/dev/tpmrm0`, or a simulator's socket.
pub struct Tpm<S> {
    stream: S,
}

/// Opens the resource manager's device below `dev`.
///
/// # Errors
/// There is no TPM 2.0.
pub fn open(dev: &Path) -> Result<Tpm<std::fs::File>> {
    Ok(Tpm { stream: OpenOptions::new().read(true).write(true).open(dev.join("tpmrm0"))? })
}

impl<S: Read + Write> Tpm<S> {
    /// A TPM that is spoken to through `stream`.
    pub fn new(stream: S) -> Tpm<S> {
        Tpm { stream }
    }

    /// The key that was kept, if there is an intact one.
    ///
    /// # Errors
    /// See [`TpmError`]; an index that does not exist is none.
    pub fn read_key(&mut self) -> Result<Option<Vec<u8>>> {
        if self.find_index()?.is_none() {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        while bytes.len() < INDEX_BYTES {
            let piece = self.read_piece(bytes.len(), PIECE_BYTES.min(INDEX_BYTES - bytes.len()))?;
            if piece.is_empty() {
                return Err(TpmError::Answer);
            }
            bytes.extend(piece);
        }
        Ok(decode(&bytes))
    }

    /// Keeps a key, over an older one if need be.
    ///
    /// # Errors
    /// See [`TpmError`].
    pub fn write_key(&mut self, key: &[u8]) -> Result<()> {
        let record = encode(key).ok_or(TpmError::NoPlace)?;
        match self.find_index()? {
            Some(size) if usize::from(size) == INDEX_BYTES => {}
            Some(_) => return Err(TpmError::NoPlace),
            None => self.define_index()?,
        }
        for (number, piece) in record.chunks(PIECE_BYTES).enumerate() {
            let mut body = Body::default();
            body.u32(INDEX).u32(INDEX).empty_password();
            body.sized(piece).u16(u16::try_from(number * PIECE_BYTES).unwrap_or(u16::MAX));
            self.command("NV_Write", SESSIONS, 0x137, &body)?;
        }
        Ok(())
    }

    /// The size of our index, if it exists.
    fn find_index(&mut self) -> Result<Option<u16>> {
        let mut body = Body::default();
        body.u32(INDEX);
        let answer = match self.command("NV_ReadPublic", NO_SESSIONS, 0x169, &body) {
            // TPM_RC_HANDLE for the first handle: there is no such index.
            Err(TpmError::Refused { code: 0x18b, .. }) => return Ok(None),
            other => other?,
        };
        // TPM2B_NV_PUBLIC: size, index, algorithm, attributes, policy, data size.
        let policy = usize::from(u16_at(&answer, 12)?);
        Ok(Some(u16_at(&answer, 14 + policy)?))
    }

    fn define_index(&mut self) -> Result<()> {
        let mut public = Body::default();
        public.u32(INDEX).u16(SHA256).u32(ATTRIBUTES).sized(&[]).u16(INDEX_BYTES as u16);
        let mut body = Body::default();
        // The index gets the empty password.
        body.u32(OWNER).empty_password().sized(&[]).sized(&public.0);
        self.command("NV_DefineSpace", SESSIONS, 0x12a, &body).map(drop)
    }

    fn read_piece(&mut self, offset: usize, length: usize) -> Result<Vec<u8>> {
        let mut body = Body::default();
        body.u32(INDEX).u32(INDEX).empty_password();
        body.u16(u16::try_from(length).unwrap_or(0)).u16(u16::try_from(offset).unwrap_or(u16::MAX));
        let answer = self.command("NV_Read", SESSIONS, 0x14e, &body)?;
        // Length of the parameters, then a TPM2B.
        let size = usize::from(u16_at(&answer, 4)?);
        Ok(answer.get(6..6 + size).filter(|p| p.len() <= length).ok_or(TpmError::Answer)?.to_vec())
    }

    /// Sends a command, again while the TPM is busy, and returns what follows the header of the answer.
    fn command(&mut self, name: &'static str, tag: u16, code: u32, body: &Body) -> Result<Vec<u8>> {
        let mut message = Body::default();
        message.u16(tag).u32(u32::try_from(body.0.len() + HEADER_BYTES).unwrap_or(u32::MAX)).u32(code);
        message.0.extend(&body.0);
        for _ in 0..BUSY_TRIES {
            self.stream.write_all(&message.0)?;
            let answer = self.answer()?;
            match u32_at(&answer, 6)? {
                0 => return Ok(answer.get(HEADER_BYTES..).unwrap_or_default().to_vec()),
                // TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING.
                0x922 | 0x908 | 0x90a => clock::wait(Duration::from_millis(100)),
                code => return Err(TpmError::Refused { command: name, code }),
            }
        }
        Err(TpmError::Refused { command: name, code: 0x922 })
    }

    /// A device gives an answer in one piece and forgets what was not read; a socket may give it in several.
    fn answer(&mut self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; ANSWER_BYTES_MAX];
        let mut length = 0;
        loop {
            let read = self.stream.read(bytes.get_mut(length..).unwrap_or_default())?;
            length += read;
            let complete = length >= HEADER_BYTES && length >= u32_at(&bytes, 2)? as usize;
            if complete {
                bytes.truncate(length);
                return Ok(bytes);
            }
            if read == 0 {
                return Err(TpmError::Answer);
            }
        }
    }
}

/// Bytes of a command in the making; all numbers are big-endian.
#[derive(Default)]
struct Body(Vec<u8>);

impl Body {
    fn u16(&mut self, number: u16) -> &mut Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Body {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// A TPM2B: length and bytes.
    fn sized(&mut self, bytes: &[u8]) -> &mut Body {
        self.u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
        self.0.extend(bytes);
        self
    }

    /// An authorisation area with one password session: length, handle, no nonce, no attributes, no password.
    fn empty_password(&mut self) -> &mut Body {
        self.u32(9).u32(PASSWORD_SESSION).u16(0);
        self.0.push(0);
        self.u16(0)
    }
}

/// Magic, length, key, hash of the key, zeros.
fn encode(key: &[u8]) -> Option<Vec<u8>> {
    let mut record = MAGIC.to_vec();
    record.extend(u16::try_from(key.len()).ok()?.to_be_bytes());
    record.extend(key);
    record.extend(blake3::hash(key).as_bytes());
    (record.len() <= INDEX_BYTES).then(|| {
        record.resize(INDEX_BYTES, 0);
        record
    })
}

fn decode(record: &[u8]) -> Option<Vec<u8>> {
    let rest = record.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let hash = rest.get(..32)?;
    (hash == blake3::hash(key).as_bytes()).then(|| key.to_vec())
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TpmError::Answer)?;
    Ok(u16::from_be_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32> {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TpmError::Answer)?;
    Ok(u32::from_be_bytes(*field))
}

/// In the range that is the owner's to give out.
const INDEX: u32 = 0x0184_8d01;
const INDEX_BYTES: usize = 320;
/// Every TPM takes this much at once.
const PIECE_BYTES: usize = 128;
const MAGIC: &[u8] = b"HAUSKEY1";
/// TPM_RH_OWNER and TPM_RS_PW.
const OWNER: u32 = 0x4000_0001;
const PASSWORD_SESSION: u32 = 0x4000_0009;
const SHA256: u16 = 0x000b;
/// OWNERWRITE, AUTHWRITE, OWNERREAD, AUTHREAD, NO_DA.
const ATTRIBUTES: u32 = 1 << 1 | 1 << 2 | 1 << 17 | 1 << 18 | 1 << 25;
const NO_SESSIONS: u16 = 0x8001;
const SESSIONS: u16 = 0x8002;
const HEADER_BYTES: usize = 10;
const ANSWER_BYTES_MAX: usize = 4096;
const BUSY_TRIES: u32 = 20;

#[cfg(test)]
#[path = "tpm_tests.rs"]
mod tests;
