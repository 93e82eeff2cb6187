//! What the forwarders said, remembered as the bytes that follow the question.
//!
//! | Standard | What is done here                                                                                 |
//! |----------|---------------------------------------------------------------------------------------------------|
//! | RFC 1035 | TTLs count down; none is longer than a day                                                         |
//! | RFC 2308 | negative answers with an SOA are kept for its TTL or its minimum, at most a quarter of an hour      |
//! | RFC 8767 | answers whose TTL is over are kept for a day, and given for 30 s while the forwarders do not answer |
//! | RFC 9520 | that there was no answer is remembered for a moment, so that a dead line is not asked all the time  |
//!
//! A question is a name in lower case, a type and, if it was led elsewhere, the target; the class is always IN. So what SafeSearch
//! makes of a name and what the name is for others never meet. An answer says nothing about who may have it: rules are asked for
//! every question. Answers that are asked for again and end soon are fetched anew before they end.
//!
//! The cache is told the time. It is bounded in entries and bytes; what was not asked for since it was last considered goes first.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::dnssec::Trust;
use super::quick::HEADER_BYTES;
use super::rules::Target;
use super::table::wire;

/// A prepared answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: ResponseCode,
    /// Records in the answer section.
    pub(crate) answers: u16,
    /// Records in the authority section.
    pub(crate) authorities: u16,
    /// Both sections. Compression pointers count from the header, and the question is as long in every message.
    pub(crate) body: Box<[u8]>,
    /// Where in the body the records' TTLs are.
    ttls: Box<[u16]>,
    /// Names that the answer leads over, in wire form and lower case.
    pub(crate) aliases: Box<[Box<[u8]>]>,
    /// How long it may be kept, in seconds.
    ttl_secs: u32,
    /// Whether it is what the owner of the name signed.
    pub(crate) trust: Trust,
}

impl Answer {
    /// No answer: the forwarders failed.
    pub(crate) fn failure(code: ResponseCode) -> Self {
        let (body, ttls, aliases, trust) = Default::default();
        Self { code, answers: 0, authorities: 0, body, ttls, aliases, ttl_secs: 0, trust }
    }

    /// The same, with what is known of it.
    pub(crate) fn with_trust(self, trust: Trust) -> Self {
        Self { trust, ..self }
    }

    /// Prepares an answer to a question. TTLs longer than a day are shortened.
    pub(crate) fn new(
        name: &Name,
        kind: RecordType,
        code: ResponseCode,
        mut answers: Vec<Record>,
        mut authorities: Vec<Record>,
    ) -> Result<Self, ProtoError> {
        let ttl_secs = if answers.iter().any(|record| record.record_type() != RecordType::CNAME) {
            answers.iter().map(|record| record.ttl).min().unwrap_or_default().min(TTL_SECS_MAX)
        } else {
            negative_ttl(&authorities).min(NEGATIVE_TTL_SECS_MAX)
        };
        for record in &mut answers {
            record.ttl = record.ttl.min(TTL_SECS_MAX);
        }
        for record in &mut authorities {
            record.ttl = record.ttl.min(ttl_secs);
        }
        let aliases = answers.iter().filter_map(|record| match &record.data {
            RData::CNAME(target) => wire(&target.0).ok().map(Vec::into_boxed_slice),
            _ => None,
        });
        let aliases: Box<[_]> = aliases.take(ALIASES_MAX).collect();
        let mut message = Message::response(0, OpCode::Query);
        message.add_query(Query::query(name.clone(), kind));
        message.add_answers(answers);
        message.add_authorities(authorities);
        let bytes = message.to_vec()?;
        let [_, _, _, _, _, _, n0, n1, m0, m1, ..] = *bytes.as_slice() else {
            return Ok(Self::failure(ResponseCode::ServFail));
        };
        let body = bytes.get(HEADER_BYTES + wire(name)?.len() + 4..).unwrap_or_default();
        let (answers, authorities) = (u16::from_be_bytes([n0, n1]), u16::from_be_bytes([m0, m1]));
        let ttls = Records(body, 0).map(|at| u16::try_from(at).unwrap_or(u16::MAX)).collect();
        let trust = Trust::Unknown;
        Ok(Self { code, answers, authorities, body: body.into(), ttls, aliases, ttl_secs, trust })
    }

    /// Writes the records with the TTLs that they have now.
    pub(crate) fn write(&self, age: Age, out: &mut Vec<u8>) {
        let begin = out.len();
        out.extend_from_slice(&self.body);
        for at in &self.ttls {
            let at = begin + usize::from(*at);
            let Some(bytes) = out.get_mut(at..).and_then(<[u8]>::first_chunk_mut::<4>) else { continue };
            *bytes = age.of(u32::from_be_bytes(*bytes)).to_be_bytes();
        }
    }

    /// The addresses that it gives.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.ttls.iter().filter_map(|at| {
            let record = self.body.get(usize::from(*at).checked_sub(4)?..)?;
            match record {
                // Type, class, TTL, length of the data, data.
                [0, 1, 0, 1, _, _, _, _, 0, 4, a, b, c, d, ..] => Some(Ipv4Addr::new(*a, *b, *c, *d).into()),
                [0, 28, 0, 1, _, _, _, _, 0, 16, rest @ ..] => {
                    Some(Ipv6Addr::from(*rest.first_chunk::<16>()?).into())
                }
                _ => None,
            }
        })
    }

    /// How long it may be kept.
    pub(crate) fn ttl_secs(&self) -> u32 {
        self.ttl_secs
    }

    fn bytes(&self) -> usize {
        let aliases: usize = self.aliases.iter().map(|alias| alias.len() + 16).sum();
        self.body.len() + 2 * self.ttls.len() + aliases
    }
}

/// Where the TTLs of records are in a body: the body, and how far it was read.
struct Records<'b>(&'b [u8], usize);

impl Iterator for Records<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let mut at = self.1;
        loop {
            match *self.0.get(at)? {
                0 => {
                    at += 1;
                    break;
                }
                // A pointer ends a name (RFC 1035 section 4.1.4).
                0xc0.. => {
                    at += 2;
                    break;
                }
                length => at += 1 + usize::from(length),
            }
        }
        let length = self.0.get(at + 8..)?.first_chunk::<2>()?;
        self.1 = at + 10 + usize::from(u16::from_be_bytes(*length));
        Some(at + 4)
    }
}

/// RFC 2308 section 5.
fn negative_ttl(authorities: &[Record]) -> u32 {
    let soa = authorities.iter().find_map(|record| match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    });
    soa.unwrap_or_default()
}

/// How old an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Age {
    /// Its TTL is not over; so many seconds ago it came.
    Fresh(u32),
    /// Its TTL is over (RFC 8767 section 4).
    Stale,
}

impl Age {
    /// The TTL that a record has now.
    pub(crate) fn of(self, ttl: u32) -> u32 {
        match self {
            Self::Fresh(secs) => ttl.saturating_sub(secs),
            Self::Stale => STALE_TTL_SECS,
        }
    }
}

/// What is known about a question.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) answer: Arc<Answer>,
    pub(crate) age: Age,
    pub(crate) then: Next,
}

/// What to do with a [`Hit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Give it.
    Give,
    /// Give it, and fetch it anew. Said once.
    Refresh,
    /// Ask the forwarders first, and give it if they do not answer.
    AskFirst,
}

/// The key of a question.
pub(crate) struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    length: usize,
}

impl Key {
    /// `name` is in wire form and lower case.
    pub(crate) fn new(target: Option<Target>, kind: RecordType, name: &[u8]) -> Self {
        let mut bytes = [0; KEY_BYTES_MAX];
        let length = (3 + name.len()).min(KEY_BYTES_MAX);
        let [k0, k1] = u16::from(kind).to_be_bytes();
        let [view, b0, b1, rest @ ..] = &mut bytes;
        (*view, *b0, *b1) = (target.map_or(0, |target| target as u8), k0, k1);
        rest.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
        Self { bytes, length }
    }

    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

/// The remembered answers.
#[derive(Debug)]
pub(crate) struct Cache {
    shards: Vec<Mutex<Shard>>,
    shard_entries_max: usize,
    shard_bytes_max: usize,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<Arc<[u8]>, Entry>,
    /// Each key once; the next to be considered for leaving is at the front.
    order: VecDeque<Arc<[u8]>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Arc<Answer>,
    stored: Instant,
    /// How often it was asked for since it came.
    asked: u32,
    /// Whether it was asked for since it was last considered for leaving.
    used: bool,
    refreshing: bool,
    /// The forwarders just failed; until then they are not asked again.
    failed_until: Option<Instant>,
}

impl Cache {
    /// A cache of at most so many answers and bytes.
    pub(crate) fn new(entries_max: usize, bytes_max: usize) -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            shard_entries_max: (entries_max / SHARDS).max(1),
            shard_bytes_max: bytes_max / SHARDS,
        }
    }

    /// What is known about a question.
    pub(crate) fn find(&self, key: &Key, now: Instant) -> Option<Hit> {
        let mut shard = self.shard(key.as_slice())?.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = shard.entries.get_mut(key.as_slice())?;
        entry.asked = entry.asked.saturating_add(1);
        entry.used = true;
        let age = now.saturating_duration_since(entry.stored);
        let ttl = Duration::from_secs(entry.answer.ttl_secs.into());
        let failed = entry.answer.code == ResponseCode::ServFail;
        let (age, then) = if age < ttl {
            let ends_soon = entry.asked >= ASKED_OFTEN && (ttl - age) * 10 < ttl && !failed;
            let refresh = ends_soon && !std::mem::replace(&mut entry.refreshing, ends_soon);
            let secs = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
            (Age::Fresh(secs), if refresh { Next::Refresh } else { Next::Give })
        } else if failed || age > ttl + STALE_MAX {
            return None;
        } else if entry.failed_until.is_some_and(|until| now < until) {
            (Age::Stale, Next::Give)
        } else {
            (Age::Stale, Next::AskFirst)
        };
        Some(Hit { answer: Arc::clone(&entry.answer), age, then })
    }

    /// Remembers an answer, if it may be.
    pub(crate) fn insert(&self, key: &Key, answer: Arc<Answer>, now: Instant) {
        if answer.ttl_secs == 0 || answer.bytes() > ANSWER_BYTES_MAX {
            return;
        }
        let Some(shard) = self.shard(key.as_slice()) else { return };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let entry =
            Entry { answer, stored: now, asked: 0, used: false, refreshing: false, failed_until: None };
        shard.bytes += entry.answer.bytes();
        if let Some(there) = shard.entries.get_mut(key.as_slice()) {
            let before = std::mem::replace(there, entry);
            shard.bytes = shard.bytes.saturating_sub(before.answer.bytes());
        } else {
            let key: Arc<[u8]> = key.as_slice().into();
            shard.bytes += key.len() + ENTRY_BYTES;
            shard.order.push_back(Arc::clone(&key));
            shard.entries.insert(key, entry);
        }
        self.make_room(&mut shard);
    }

    /// Remembers that the forwarders did not answer: what is there may be given for a while, or else the failure itself.
    pub(crate) fn fail(&self, key: &Key, trust: Trust, now: Instant) {
        let Some(shard) = self.shard(key.as_slice()) else { return };
        {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let there = shard.entries.get_mut(key.as_slice());
            if let Some(entry) = there.filter(|entry| entry.answer.code != ResponseCode::ServFail) {
                entry.refreshing = false;
                entry.failed_until = Some(now + FAILURE_PAUSE);
                return;
            }
        }
        let failure = Answer { ttl_secs: FAILURE_SECS, trust, ..Answer::failure(ResponseCode::ServFail) };
        self.insert(key, Arc::new(failure), now);
    }

    fn make_room(&self, shard: &mut Shard) {
        let mut chances = shard.order.len();
        while shard.entries.len() > self.shard_entries_max || shard.bytes > self.shard_bytes_max {
            let Some(key) = shard.order.pop_front() else { return };
            if chances > 0
                && let Some(entry) = shard.entries.get_mut(&key)
                && std::mem::take(&mut entry.used)
            {
                chances -= 1;
                shard.order.push_back(key);
            } else if let Some(gone) = shard.entries.remove(&key) {
                shard.bytes = shard.bytes.saturating_sub(gone.answer.bytes() + key.len() + ENTRY_BYTES);
            }
        }
    }

    /// The shards only spread the locks; each has a keyed hash of its own.
    fn shard(&self, key: &[u8]) -> Option<&Mutex<Shard>> {
        let mixed = key.iter().fold(0_u32, |mixed, byte| mixed.rotate_left(5) ^ u32::from(*byte));
        self.shards.get(usize::try_from(mixed.wrapping_mul(0x9e37_79b1) >> 16).ok()? % SHARDS)
    }
}

/// Locks that questions share.
const SHARDS: usize = 16;
const KEY_BYTES_MAX: usize = 3 + 255;
/// Longest TTL.
const TTL_SECS_MAX: u32 = 86_400;
const NEGATIVE_TTL_SECS_MAX: u32 = 900;
/// TTL of a stale answer (RFC 8767 section 4).
const STALE_TTL_SECS: u32 = 30;
/// How long after its TTL an answer is still better than none (RFC 8767 section 5: one to three days).
const STALE_MAX: Duration = Duration::from_secs(86_400);
/// How long the forwarders are left alone after they failed, when there is a stale answer (RFC 8767 section 5).
const FAILURE_PAUSE: Duration = Duration::from_secs(30);
/// The same when there is none (RFC 9520 section 3.2: at least one second).
const FAILURE_SECS: u32 = 5;
/// Answers asked for so often are fetched anew before they end.
const ASKED_OFTEN: u32 = 2;
/// Longer answers are not kept.
const ANSWER_BYTES_MAX: usize = 16_384;
/// About what an entry takes beside its key and its answer.
const ENTRY_BYTES: usize = 240;
/// Longest chain of aliases that is looked at.
const ALIASES_MAX: usize = 32;

#[cfg(test)]
mod tests;
