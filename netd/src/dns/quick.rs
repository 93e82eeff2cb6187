//! The short way: an ordinary question about a name of our own, answered from the prepared bytes.
//!
//! Reads the header, one question and at most one OPT record (RFC 6891), and nothing else; any other message goes the long way
//! through hickory's parser ([`super::handler`]).

use std::net::IpAddr;

use hickory_server::proto::rr::RecordType;

use super::table::{Found, QUESTION_NAME, Set, Table, Zone};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quick {
    /// The answer is in the buffer.
    Answered,
    /// It gets no answer: it is an answer itself, or no DNS message.
    Ignored,
    /// It has to go the long way.
    LongWay,
}

/// How an answer travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// In one datagram.
    Udp,
    /// With its length in front.
    Tcp,
}

impl Transport {
    /// The longest answer. `edns` is what the client says it can take.
    pub(crate) fn limit(self, edns: Option<u16>) -> usize {
        match self {
            Self::Tcp => usize::from(u16::MAX),
            Self::Udp => usize::from(edns.unwrap_or(PLAIN_BYTES).clamp(PLAIN_BYTES, UDP_BYTES_MAX)),
        }
    }
}

/// Answers a message if that is simple. `out` is overwritten.
pub(crate) fn answer(
    table: &Table,
    client: IpAddr,
    transport: Transport,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Quick {
    let Some((header, rest)) = message.split_first_chunk::<HEADER_BYTES>() else { return Quick::Ignored };
    let [id0, id1, flags0, flags1, counts @ ..] = *header;
    if flags0 & RESPONSE != 0 {
        // Answering answers is how two servers talk to each other for ever.
        return Quick::Ignored;
    }
    let served = table.serves(client);
    let Some(question) = Question::read(flags0, counts, rest) else {
        return if served { Quick::LongWay } else { Quick::Ignored };
    };
    let found = if served { table.find(question.name(), question.kind) } else { Found::Elsewhere };
    let flags1 = RECURSION_AVAILABLE | flags1 & CHECKING_DISABLED;
    let flags0 = RESPONSE | flags0 & RECURSION_DESIRED;
    let mut reply = Reply { out, question: &question, limit: transport.limit(question.edns) };
    match found {
        Found::Elsewhere if served => return Quick::LongWay,
        Found::Elsewhere => reply.write([id0, id1, flags0, flags1 | REFUSED], &[], None),
        Found::Answer(set) => {
            reply.write([id0, id1, flags0 | AUTHORITATIVE, flags1], std::slice::from_ref(&set), None)
        }
        Found::NoData(zone) => reply.write([id0, id1, flags0 | AUTHORITATIVE, flags1], &[], Some(zone)),
        Found::NoName(zone) => {
            reply.write([id0, id1, flags0 | AUTHORITATIVE, flags1 | NO_NAME], &[], Some(zone))
        }
    }
    Quick::Answered
}

/// A question that is simple enough.
struct Question<'m> {
    /// The question as it was sent, to be sent back.
    raw: &'m [u8],
    lower: [u8; NAME_BYTES_MAX],
    name_bytes: usize,
    kind: RecordType,
    /// The client's longest datagram, if it speaks EDNS.
    edns: Option<u16>,
    /// Whether it asks for signatures. There are none, but the bit is copied (RFC 3225 section 3).
    signatures: bool,
}

impl<'m> Question<'m> {
    fn read(flags0: u8, counts: [u8; 8], rest: &'m [u8]) -> Option<Self> {
        let [0, 1, 0, 0, 0, 0, 0, additional @ 0..=1] = counts else { return None };
        if flags0 & (OPCODE | TRUNCATED) != 0 {
            return None;
        }
        let mut lower = [0; NAME_BYTES_MAX];
        let mut at = 0;
        loop {
            let length = usize::from(*rest.get(at)?);
            if length > LABEL_BYTES_MAX {
                return None;
            }
            let end = at + 1 + length;
            let (from, to) = (rest.get(at..end)?, lower.get_mut(at..end)?);
            to.copy_from_slice(from);
            // A length is at most 63 and no letter, so the whole label may be lowered.
            to.make_ascii_lowercase();
            at = end;
            if length == 0 {
                break;
            }
        }
        let (raw, rest) = rest.split_at_checked(at + 4)?;
        let [kind0, kind1, 0, CLASS_IN] = *raw.last_chunk::<4>()? else { return None };
        let kind = RecordType::from(u16::from_be_bytes([kind0, kind1]));
        if matches!(kind, RecordType::AXFR | RecordType::IXFR) {
            return None;
        }
        let mut question = Self { raw, lower, name_bytes: at, kind, edns: None, signatures: false };
        match (additional, rest) {
            (0, []) => {}
            // Root name, type 41, size, extended code, version 0, flags, length of the options.
            (1, [0, 0, OPT, size0, size1, 0, 0, flags, _, length0, length1, options @ ..])
                if usize::from(u16::from_be_bytes([*length0, *length1])) == options.len() =>
            {
                question.edns = Some(u16::from_be_bytes([*size0, *size1]));
                question.signatures = flags & SIGNATURES != 0;
            }
            _ => return None,
        }
        Some(question)
    }

    fn name(&self) -> &[u8] {
        self.lower.get(..self.name_bytes).unwrap_or_default()
    }
}

struct Reply<'r, 'm> {
    out: &'r mut Vec<u8>,
    question: &'r Question<'m>,
    limit: usize,
}

impl Reply<'_, '_> {
    fn write(&mut self, [id0, id1, flags0, flags1]: [u8; 4], answer: &[&Set], negative: Option<&Zone>) {
        let answer = answer.first();
        let edns_bytes = if self.question.edns.is_some() { OPT_BYTES } else { 0 };
        let body =
            answer.map_or(0, |set| set.wire.len()) + negative.map_or(0, |zone| zone.soa_wire.len() + 2);
        let fits = HEADER_BYTES + self.question.raw.len() + body + edns_bytes <= self.limit;
        let flags0 = if fits { flags0 } else { flags0 | TRUNCATED };
        let answers = answer.filter(|_| fits).map_or(0, |set| set.records.len());
        let [answers0, answers1] = u16::try_from(answers).unwrap_or_default().to_be_bytes();
        let authorities = u8::from(fits && negative.is_some());
        let additional = u8::from(self.question.edns.is_some());
        self.out.clear();
        self.out.extend_from_slice(&[
            id0,
            id1,
            flags0,
            flags1,
            0,
            1,
            answers0,
            answers1,
            0,
            authorities,
            0,
            additional,
        ]);
        self.out.extend_from_slice(self.question.raw);
        if fits && let Some(set) = answer {
            self.out.extend_from_slice(&set.wire);
        }
        if fits && let Some(zone) = negative {
            // The zone's name is the end of the question's, and pointers reach into the middle of names.
            let [high, low] = QUESTION_NAME;
            let into = self.question.name_bytes.saturating_sub(zone.name_bytes);
            let pointer = u16::from_be_bytes([high, low]) + u16::try_from(into).unwrap_or_default();
            self.out.extend_from_slice(&pointer.to_be_bytes());
            self.out.extend_from_slice(&zone.soa_wire);
        }
        if self.question.edns.is_some() {
            self.out.extend_from_slice(&opt(0, self.question.signatures));
        }
    }
}

/// Our OPT record. `code` holds the upper bits of the response code.
pub(crate) fn opt(code: u8, signatures: bool) -> [u8; OPT_BYTES] {
    let [size0, size1] = UDP_BYTES_MAX.to_be_bytes();
    [0, 0, OPT, size0, size1, code, 0, if signatures { SIGNATURES } else { 0 }, 0, 0, 0]
}

/// Length of a header (RFC 1035 section 4.1.1).
pub(crate) const HEADER_BYTES: usize = 12;
/// Length of an OPT record without options.
pub(crate) const OPT_BYTES: usize = 11;
/// In the third byte of a header: this is an answer.
pub(crate) const RESPONSE: u8 = 0x80;
const OPCODE: u8 = 0x78;
const AUTHORITATIVE: u8 = 0x04;
const TRUNCATED: u8 = 0x02;
const RECURSION_DESIRED: u8 = 0x01;
/// In the fourth byte of a header.
pub(crate) const RECURSION_AVAILABLE: u8 = 0x80;
const CHECKING_DISABLED: u8 = 0x10;
const NO_NAME: u8 = 3;
const REFUSED: u8 = 5;
const CLASS_IN: u8 = 1;
const OPT: u8 = 41;
const SIGNATURES: u8 = 0x80;
const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
/// Longest answer to a client without EDNS.
const PLAIN_BYTES: u16 = 512;
/// Longest datagram: below what any path cuts into fragments, which can be forged (DNS Flag Day 2020).
pub(crate) const UDP_BYTES_MAX: u16 = 1232;
