//! Questions and answers as bytes: an ordinary question is answered from prepared bytes, without a parser and without waiting.
//!
//! Reads the header, one question and at most one OPT record (RFC 6891), and nothing else; any other message goes the long way
//! through hickory's parser ([`super::handler`]), and so does what has to be asked for first. Whatever the way, one function decides
//! ([`decide`]) and one writes ([`Say::write`]).

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use super::cache::{Age, Answer, Cache, Hit, Key, Next};
use super::dnssec::Trust;
use super::rules::{Reason, Rules, Ruling, Target, Then};
use super::table::{Found, QUESTION_NAME, Set, Suffixes, Table, Zone};
use crate::clients::{Client, Clients};
use crate::neighbours::{Neighbour, Neighbours};

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quick {
    /// The answer is in the buffer.
    Answered,
    /// The answer is in the buffer, and ends soon: it should be fetched anew.
    Refresh,
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
    fn limit(self, edns: Option<u16>) -> usize {
        match self {
            Self::Tcp => usize::from(u16::MAX),
            Self::Udp => usize::from(edns.unwrap_or(PLAIN_BYTES).clamp(PLAIN_BYTES, UDP_BYTES_MAX)),
        }
    }
}

/// Everything that is known at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Desk<'d> {
    pub(crate) table: &'d Table,
    pub(crate) rules: &'d Rules,
    /// Nobody is filtered without.
    pub(crate) clients: Option<&'d Clients>,
    pub(crate) neighbours: &'d Neighbours,
    pub(crate) cache: &'d Cache,
    pub(crate) now: Instant,
}

impl Desk<'_> {
    /// Whether a client may ask at all.
    pub(crate) fn serves(&self, client: IpAddr) -> bool {
        self.table.holds(client) || matches!(client, IpAddr::V6(ip) if self.neighbour(ip).is_some())
    }

    /// What the gate decided for a client.
    pub(crate) fn who(&self, client: IpAddr) -> Option<Client> {
        let clients = self.clients?;
        match client {
            IpAddr::V4(_) => clients.of(client),
            IpAddr::V6(ip) => {
                let neighbour = self.neighbour(ip)?;
                clients.of_card(neighbour.mac, &neighbour.link)
            }
        }
    }

    fn neighbour(&self, ip: Ipv6Addr) -> Option<Neighbour> {
        self.neighbours.find(ip, &self.table.links, self.now)
    }
}

/// An answer, not yet written.
#[derive(Debug)]
pub(crate) enum Say<'d> {
    /// Nothing but a code.
    Code(ResponseCode),
    /// Records of our own.
    Set(&'d Set),
    /// Our own zone has no such name, or no such records.
    Negative(ResponseCode, &'d Zone),
    /// A rule forbids it.
    Refusal(ResponseCode, Reason<'d>),
    /// What the forwarders said.
    Told(Hit),
}

/// What has to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Fetch {
    /// For whom.
    pub(crate) who: Option<Client>,
    /// The name that is asked for instead.
    pub(crate) target: Option<Target>,
    /// What happens to the answer.
    pub(crate) then: Then,
    /// What is known already; nothing has to be asked for if it may be given.
    pub(crate) known: Option<Hit>,
}

/// What to do with a question.
#[derive(Debug)]
pub(crate) enum Step<'d> {
    /// This is the answer.
    Say(Say<'d>),
    /// It has to be fetched, or opened in the kernel.
    Fetch(Fetch),
}

/// Answers a message if that is simple. `out` is overwritten.
pub(crate) fn answer(
    desk: &Desk<'_>,
    client: IpAddr,
    transport: Transport,
    message: &[u8],
    out: &mut Vec<u8>,
) -> Quick {
    if message.len() < HEADER_BYTES || message.get(2).is_none_or(|flags| flags & RESPONSE != 0) {
        // Answering answers is how two servers talk to each other for ever.
        return Quick::Ignored;
    }
    let Some(question) = Question::read(message) else {
        return if desk.serves(client) { Quick::LongWay } else { Quick::Ignored };
    };
    match decide(desk, client, &question) {
        Step::Fetch(_) => Quick::LongWay,
        Step::Say(say) => {
            let refresh = matches!(&say, Say::Told(hit) if hit.then == Next::Refresh);
            say.write(desk.table, &question, transport, out);
            if refresh { Quick::Refresh } else { Quick::Answered }
        }
    }
}

/// Decides what to do with a question.
pub(crate) fn decide<'d>(desk: &Desk<'d>, client: IpAddr, question: &Question<'_>) -> Step<'d> {
    let (name, kind) = (question.name(), question.kind);
    if !desk.serves(client) || !question.is_of_internet || is_transfer(kind) {
        return Step::Say(Say::Code(ResponseCode::Refused));
    }
    match desk.table.find(name, kind) {
        Found::Answer(set) => return Step::Say(Say::Set(set)),
        Found::NoData(zone) => return Step::Say(Say::Negative(ResponseCode::NoError, zone)),
        Found::NoName(zone) => return Step::Say(Say::Negative(ResponseCode::NXDomain, zone)),
        Found::Elsewhere => {}
    }
    if !question.wants_recursion() {
        return Step::Say(Say::Code(ResponseCode::Refused));
    }
    if kind == RecordType::ANY {
        // RFC 8482: nobody has to collect everything about a name, and forwarders do not.
        return Step::Say(Say::Code(ResponseCode::NotImp));
    }
    let who = desk.who(client);
    let (target, then) = match desk.rules.rule(who, name, kind) {
        Ruling::Ask(then) => (None, then),
        Ruling::AskFor(target, then) => (Some(target), then),
        Ruling::NoName(reason) => return Step::Say(refuse(ResponseCode::NXDomain, reason, name)),
        Ruling::NoData(reason) => return Step::Say(refuse(ResponseCode::NoError, reason, name)),
    };
    let known = desk.cache.find(&Key::new(target, kind, name), desk.now);
    let fetch = Fetch { who, target, then, known };
    match &fetch.known {
        Some(hit) if hit.then != Next::AskFirst && then != Then::Open => {
            Step::Say(review(desk, &fetch, hit.clone()))
        }
        _ => Step::Fetch(fetch),
    }
}

/// The answer once it is there: it may lead over a name that the client may not have.
pub(crate) fn review<'d>(desk: &Desk<'d>, fetch: &Fetch, hit: Hit) -> Say<'d> {
    let aliases = match fetch.then {
        Then::CheckAliases => &*hit.answer.aliases,
        Then::Give | Then::Open => &[],
    };
    match aliases.iter().find_map(|alias| Some((alias, desk.rules.alias(fetch.who, alias)?))) {
        Some((alias, reason)) => refuse(ResponseCode::NXDomain, reason, alias),
        None => Say::Told(hit),
    }
}

fn refuse<'d>(code: ResponseCode, reason: Reason<'d>, name: &[u8]) -> Say<'d> {
    // Nothing of this is made unless somebody listens at this level.
    tracing::debug!(name = shown(name), reason = reason.text(), "a rule refuses a name");
    Say::Refusal(code, reason)
}

fn shown(name: &[u8]) -> String {
    let labels = Suffixes(name).filter_map(|suffix| {
        let (length, rest) = suffix.split_first()?;
        Some(rest.get(..usize::from(*length))?.escape_ascii().to_string())
    });
    labels.collect::<Vec<_>>().join(".")
}

fn is_transfer(kind: RecordType) -> bool {
    matches!(kind, RecordType::AXFR | RecordType::IXFR)
}

impl Say<'_> {
    /// Writes the answer to a question.
    pub(crate) fn write(
        &self,
        table: &Table,
        question: &Question<'_>,
        transport: Transport,
        out: &mut Vec<u8>,
    ) {
        let limit = transport.limit(question.edns);
        let sections = self.sections(table);
        let begin = HEADER_BYTES + question.raw.len();
        let edns_bytes = if question.edns.is_some() { OPT_BYTES } else { 0 };
        let fits = begin + sections.bytes() + edns_bytes <= limit;
        let [id0, id1, flags0, flags1] = question.head;
        let flags0 = RESPONSE
            | flags0 & (OPCODE | RECURSION_DESIRED)
            | if sections.ours { AUTHORITATIVE } else { 0 }
            | if fits { 0 } else { TRUNCATED };
        // RFC 6840 section 5.8: whoever understands the bit says so.
        let wants_proof = question.signatures || flags1 & AUTHENTIC != 0;
        let proven = if wants_proof && sections.is_proven() { AUTHENTIC } else { 0 };
        let flags1 = RECURSION_AVAILABLE | flags1 & CHECKING_DISABLED | proven | sections.code.low();
        let ([n0, n1], [m0, m1]) = if fits { sections.counts() } else { Default::default() };
        out.clear();
        out.extend_from_slice(&[id0, id1, flags0, flags1, 0, 1, n0, n1, m0, m1, 0, 0]);
        out.extend_from_slice(question.raw);
        if fits {
            sections.write(question, out);
        }
        if question.edns.is_some() {
            let reason = self.reason();
            // Why something is refused is told if there is room for it.
            let room = limit.saturating_sub(out.len() + OPT_BYTES);
            let explain = reason.as_ref().filter(|(_, text)| text.len() + EXPLAIN_BYTES <= room);
            write_opt(question.signatures, explain, out);
            if let Some(additional) = out.get_mut(HEADER_BYTES - 1) {
                *additional = 1;
            }
        }
    }

    fn sections<'s>(&'s self, table: &'s Table) -> Sections<'s> {
        let nothing =
            Sections { code: ResponseCode::NoError, ours: false, set: None, zone: None, told: None };
        match self {
            Self::Code(code) => Sections { code: *code, ..nothing },
            Self::Set(set) => Sections { ours: true, set: Some(*set), ..nothing },
            Self::Negative(code, zone) => Sections { code: *code, ours: true, zone: Some(*zone), ..nothing },
            Self::Refusal(code, _) => Sections { code: *code, zone: table.root(), ..nothing },
            Self::Told(hit) => {
                Sections { code: hit.answer.code, told: Some((&hit.answer, hit.age)), ..nothing }
            }
        }
    }

    /// What there is to explain (RFC 8914): a code and a text.
    fn reason(&self) -> Option<(u16, String)> {
        match self {
            Self::Refusal(_, reason) => Some((BLOCKED, reason.text())),
            Self::Told(hit) if hit.answer.trust == Trust::Bogus => Some((DNSSEC_BOGUS, String::new())),
            Self::Told(hit) if hit.age == Age::Stale => Some((STALE_ANSWER, String::new())),
            _ => None,
        }
    }
}

/// What stands between the question and the OPT record.
struct Sections<'s> {
    code: ResponseCode,
    ours: bool,
    set: Option<&'s Set>,
    zone: Option<&'s Zone>,
    told: Option<(&'s Arc<Answer>, Age)>,
}

impl Sections<'_> {
    /// Whether all of it is what the owners of the names signed, and still holds.
    fn is_proven(&self) -> bool {
        self.told.is_some_and(|(answer, age)| answer.trust == Trust::Secure && age != Age::Stale)
    }

    fn bytes(&self) -> usize {
        self.set.map_or(0, |set| set.wire.len())
            + self.zone.map_or(0, |zone| zone.soa_wire.len() + QUESTION_NAME.len())
            + self.told.map_or(0, |(answer, _)| answer.body.len())
    }

    /// Records in the answer and the authority section.
    fn counts(&self) -> ([u8; 2], [u8; 2]) {
        let ours = self.set.map_or(0, |set| set.count);
        let (answers, authorities) =
            self.told.map_or((ours, u16::from(self.zone.is_some())), |(a, _)| (a.answers, a.authorities));
        (answers.to_be_bytes(), authorities.to_be_bytes())
    }

    fn write(&self, question: &Question<'_>, out: &mut Vec<u8>) {
        if let Some(set) = self.set {
            out.extend_from_slice(&set.wire);
        }
        if let Some(zone) = self.zone {
            // The zone's name is the end of the question's, and pointers reach into the middle of names.
            let into = question.name_bytes.saturating_sub(zone.name_bytes);
            let pointer = u16::from_be_bytes(QUESTION_NAME) + u16::try_from(into).unwrap_or_default();
            out.extend_from_slice(&pointer.to_be_bytes());
            out.extend_from_slice(&zone.soa_wire);
        }
        if let Some((answer, age)) = self.told {
            answer.write(age, out);
        }
    }
}

/// A question.
#[derive(Debug)]
pub(crate) struct Question<'m> {
    /// The first four bytes of the message: its number and its flags.
    pub(crate) head: [u8; 4],
    /// The question as it was sent, to be sent back.
    pub(crate) raw: &'m [u8],
    pub(crate) lower: [u8; NAME_BYTES_MAX],
    pub(crate) name_bytes: usize,
    pub(crate) kind: RecordType,
    /// Its class is IN.
    pub(crate) is_of_internet: bool,
    /// The client's longest datagram, if it speaks EDNS.
    pub(crate) edns: Option<u16>,
    /// Whether it asks for signatures. There are none, but the bit is copied (RFC 3225 section 3).
    pub(crate) signatures: bool,
}

impl<'m> Question<'m> {
    /// Reads a message that is simple enough.
    pub(crate) fn read(message: &'m [u8]) -> Option<Self> {
        let (header, rest) = message.split_first_chunk::<HEADER_BYTES>()?;
        let [id0, id1, flags0, flags1, 0, 1, 0, 0, 0, 0, 0, additional @ 0..=1] = *header else {
            return None;
        };
        if flags0 & (RESPONSE | OPCODE | TRUNCATED) != 0 {
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
        let (edns, signatures) = match (additional, rest) {
            (0, []) => (None, false),
            // Root name, type 41, size, extended code, version 0, flags, length of the options.
            (1, [0, 0, OPT, size0, size1, 0, 0, flags, _, length0, length1, options @ ..])
                if usize::from(u16::from_be_bytes([*length0, *length1])) == options.len() =>
            {
                (Some(u16::from_be_bytes([*size0, *size1])), flags & SIGNATURES != 0)
            }
            _ => return None,
        };
        Some(Self {
            head: [id0, id1, flags0, flags1],
            raw,
            lower,
            name_bytes: at,
            kind: RecordType::from(u16::from_be_bytes([kind0, kind1])),
            is_of_internet: true,
            edns,
            signatures,
        })
    }

    /// The name in wire form and lower case.
    pub(crate) fn name(&self) -> &[u8] {
        self.lower.get(..self.name_bytes).unwrap_or_default()
    }

    fn wants_recursion(&self) -> bool {
        let [_, _, flags0, _] = self.head;
        flags0 & RECURSION_DESIRED != 0
    }
}

/// Our OPT record without options. `code` holds the upper bits of the response code.
pub(crate) fn opt(code: u8, signatures: bool) -> [u8; OPT_BYTES] {
    let [size0, size1] = UDP_BYTES_MAX.to_be_bytes();
    [0, 0, OPT, size0, size1, code, 0, if signatures { SIGNATURES } else { 0 }, 0, 0, 0]
}

/// Our OPT record, with an explanation if there is one (RFC 8914 section 2).
fn write_opt(signatures: bool, explain: Option<&(u16, String)>, out: &mut Vec<u8>) {
    out.extend_from_slice(&opt(0, signatures));
    let Some((code, text)) = explain else { return };
    let length = |bytes: usize| u16::try_from(bytes).unwrap_or_default().to_be_bytes();
    if let Some(options) = out.last_chunk_mut::<2>() {
        *options = length(text.len() + EXPLAIN_BYTES);
    }
    out.extend_from_slice(&EXTENDED_ERROR);
    out.extend_from_slice(&length(text.len() + 2));
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
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
const AUTHENTIC: u8 = 0x20;
const CHECKING_DISABLED: u8 = 0x10;
const CLASS_IN: u8 = 1;
const OPT: u8 = 41;
const SIGNATURES: u8 = 0x80;
/// Number of the option with an explanation (RFC 8914 section 2).
const EXTENDED_ERROR: [u8; 2] = [0, 15];
/// What it takes beside its text: number, length, code.
const EXPLAIN_BYTES: usize = 6;
const STALE_ANSWER: u16 = 3;
const DNSSEC_BOGUS: u16 = 6;
const BLOCKED: u16 = 15;
pub(crate) const NAME_BYTES_MAX: usize = 255;
const LABEL_BYTES_MAX: usize = 63;
/// Longest answer to a client without EDNS.
const PLAIN_BYTES: u16 = 512;
/// Longest datagram: below what any path cuts into fragments, which can be forged (DNS Flag Day 2020).
pub(crate) const UDP_BYTES_MAX: u16 = 1232;
