//! The long way: messages that need hickory's parser, names that have to be asked for, addresses that have to be opened first.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinEncodable, BinEncoder, NameEncoding};
use inventory::{Level, clock};
use tokio::sync::oneshot;

use super::cache::{Age, Answer, Cache, Hit, Key, Next};
use super::dnssec::Trust;
use super::quick::{self, Desk, Fetch, HEADER_BYTES, NAME_BYTES_MAX, Question, Quick, Step, Transport};
use super::rules::{Rules, Ruling, Target, Then};
use super::table::{Table, wire};
use super::upstream::Upstream;
use crate::clients::{Client, Link, Opening};
use crate::neighbours::{self, Neighbours};

/// What answers: the prepared table, the rules, what is remembered, and the forwarders for everything else.
#[derive(Debug)]
pub(crate) struct School {
    pub(crate) table: ArcSwap<Table>,
    pub(crate) rules: ArcSwap<Rules>,
    /// The gate; nobody is filtered without.
    pub(crate) link: Option<Link>,
    pub(crate) neighbours: Neighbours,
    pub(crate) cache: Cache,
    pub(crate) upstream: Upstream,
}

impl School {
    /// Does something with what is known at the moment.
    pub(crate) fn at_desk<R>(&self, work: impl FnOnce(&Desk<'_>) -> R) -> R {
        let (table, rules) = (self.table.load(), self.rules.load());
        let clients = self.link.as_ref().map(|link| link.clients.load());
        work(&Desk {
            table: &table,
            rules: &rules,
            clients: clients.as_ref().map(|clients| &***clients),
            neighbours: &self.neighbours,
            cache: &self.cache,
            now: clock::instant(),
        })
    }

    /// The interface of ours where a question came from, if the kernel has not met whoever sent it.
    pub(crate) fn unmet(&self, client: Ipv6Addr, interface: u32) -> Option<neighbours::Link> {
        if client.is_unicast_link_local() {
            return None;
        }
        self.at_desk(|desk| {
            let mut links = desk.table.links.iter();
            links.find(|(_, index)| *index == interface).filter(|_| !desk.serves(client.into())).cloned()
        })
    }

    /// Answers a message at once if that is possible. `out` is overwritten.
    pub(crate) fn quick(&self, client: IpAddr, way: Transport, message: &[u8], out: &mut Vec<u8>) -> Quick {
        self.at_desk(|desk| quick::answer(desk, client, way, message, out))
    }

    /// Fetches an answer anew that was given and ends soon.
    pub(crate) async fn refresh(&self, client: IpAddr, message: &[u8]) {
        let Some(question) = Question::read(message) else { return };
        let ruling = self.at_desk(|desk| {
            let who = desk.who(client);
            match desk.rules.rule(who, question.name(), question.kind) {
                Ruling::Ask(_) => Some(None),
                Ruling::AskFor(target, _) => Some(Some(target)),
                Ruling::NoName(_) | Ruling::NoData(_) => None,
            }
        });
        if let Some(target) = ruling {
            self.fetch(client, question.name(), question.kind, target).await;
        }
    }

    async fn answer(self: &Arc<Self>, client: IpAddr, question: &Question<'_>, way: Transport) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        let fetch = self.at_desk(|desk| match quick::decide(desk, client, question) {
            Step::Say(say) => {
                say.write(desk.table, question, way, &mut out);
                None
            }
            Step::Fetch(fetch) => Some(fetch),
        });
        let Some(fetch) = fetch else { return out };
        let hit = self.obtain(client, question, &fetch).await;
        if fetch.then == Then::Open
            && let Some(who) = fetch.who
        {
            self.open(who, &hit).await;
        }
        self.at_desk(|desk| {
            let say = quick::review(desk, &fetch, hit);
            say.write(desk.table, question, way, &mut out);
        });
        out
    }

    /// Gets an answer: the known one, or that of the forwarders, or if they are slow the one whose time is over (RFC 8767).
    async fn obtain(self: &Arc<Self>, client: IpAddr, question: &Question<'_>, fetch: &Fetch) -> Hit {
        let fresh = |answer| Hit { answer, age: Age::Fresh(0), then: Next::Give };
        let (name, kind, target) = (question.name().to_vec(), question.kind, fetch.target);
        let old = match &fetch.known {
            None => return fresh(self.fetch(client, &name, kind, target).await),
            Some(hit) if hit.then == Next::Give => return hit.clone(),
            Some(old) => old.clone(),
        };
        // It goes on when nobody waits for it any more, so that the next to ask has it.
        let school = Arc::clone(self);
        let asking = tokio::spawn(async move { school.fetch(client, &name, kind, target).await });
        if old.then == Next::Refresh {
            return old;
        }
        match tokio::time::timeout(STALE_AFTER, asking).await {
            Ok(Ok(answer)) if is_lasting(answer.code) => fresh(answer),
            _ => {
                self.cache.fail(&Key::new(target, kind, question.name()), Trust::Unknown, clock::instant());
                old
            }
        }
    }

    /// Asks the forwarders, and remembers what they say.
    async fn fetch(
        &self,
        client: IpAddr,
        name: &[u8],
        kind: RecordType,
        target: Option<Target>,
    ) -> Arc<Answer> {
        let failure = || Arc::new(Answer::failure(ResponseCode::ServFail));
        let Ok(name_asked) = Name::from_bytes(name) else { return failure() };
        let Ok(ask_for) = target.map_or(Ok(name_asked.clone()), |target| Name::from_ascii(target.name()))
        else {
            return failure();
        };
        let mut outcome = self.upstream.ask(client, ask_for.clone(), kind).await;
        let key = Key::new(target, kind, name);
        if !is_lasting(outcome.code) {
            if outcome.in_vain || outcome.trust == Trust::Bogus {
                self.cache.fail(&key, outcome.trust, clock::instant());
            }
            return Arc::new(Answer::failure(outcome.code).with_trust(outcome.trust));
        }
        if target.is_some() {
            outcome.trust = Trust::Unknown;
            let alias = RData::CNAME(CNAME(ask_for));
            outcome.answers.insert(0, Record::from_rdata(name_asked.clone(), ALIAS_TTL_SECS, alias));
        }
        let made = Answer::new(&name_asked, kind, outcome.code, outcome.answers, outcome.authorities);
        let Ok(answer) = made.map(|answer| Arc::new(answer.with_trust(outcome.trust))) else {
            return failure();
        };
        self.cache.insert(&key, Arc::clone(&answer), clock::instant());
        answer
    }

    /// Has the kernel open the addresses of an answer, and waits for it for a moment. An answer that leaves too early costs the client
    /// another try, one that never leaves costs it the name.
    async fn open(&self, who: Client, hit: &Hit) {
        let Some(link) = &self.link else { return };
        // A name of the world that leads into the school's networks opens nothing there.
        let addresses: Vec<IpAddr> =
            self.at_desk(|desk| hit.answer.addresses().filter(|ip| !desk.table.holds(*ip)).collect());
        if addresses.is_empty() {
            return;
        }
        let secs = hit.age.of(hit.answer.ttl_secs()).saturating_add(OPEN_LONGER_SECS);
        let (opened, done) = oneshot::channel();
        let opening =
            Opening { number: who.number, addresses, secs, always: who.level == Level::Off, opened };
        let asked = async {
            link.openings.send(opening).await.ok()?;
            done.await.ok()
        };
        if !matches!(tokio::time::timeout(OPEN_WITHIN, asked).await, Ok(Some(()))) {
            tracing::debug!(
                device.number = who.number,
                "the gate did not open the addresses of a name in time"
            );
        }
    }
}

fn is_lasting(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// Answers one message; `None` when it gets no answer.
pub(crate) async fn long_way(
    school: &Arc<School>,
    client: SocketAddr,
    way: Transport,
    message: Vec<u8>,
) -> Option<Vec<u8>> {
    let client = client.ip();
    if let Some(question) = Question::read(&message) {
        return Some(school.answer(client, &question, way).await);
    }
    let header = *message.first_chunk::<HEADER_BYTES>()?;
    let [id0, id1, flags0, flags1, ..] = header;
    let Ok(parsed) = Message::from_vec(&message) else { return Some(bare(header, ResponseCode::FormErr)) };
    let edns = parsed.edns.as_ref();
    if let Some(edns) = edns.filter(|edns| edns.version() > 0) {
        let mut reply = bare(header, ResponseCode::NoError);
        *reply.last_mut()? = 1;
        reply.extend_from_slice(&quick::opt(BAD_VERSION, edns.flags().dnssec_ok));
        return Some(reply);
    }
    if parsed.metadata.op_code != OpCode::Query {
        return Some(bare(header, ResponseCode::NotImp));
    }
    let [query] = parsed.queries.as_slice() else { return Some(bare(header, ResponseCode::FormErr)) };
    let Some((raw, lower, name_bytes)) = bytes_of(query) else {
        return Some(bare(header, ResponseCode::FormErr));
    };
    let question = Question {
        head: [id0, id1, flags0, flags1],
        raw: &raw,
        lower,
        name_bytes,
        kind: query.query_type(),
        is_of_internet: query.query_class() == DNSClass::IN,
        edns: edns.map(Edns::max_payload),
        signatures: edns.is_some_and(|edns| edns.flags().dnssec_ok),
    };
    Some(school.answer(client, &question, way).await)
}

/// A question as it is sent back, and its name in lower case with the length of that.
fn bytes_of(query: &Query) -> Option<(Vec<u8>, [u8; NAME_BYTES_MAX], usize)> {
    let mut raw = Vec::with_capacity(64);
    let mut encoder = BinEncoder::new(&mut raw);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    query.name().emit(&mut encoder).ok()?;
    raw.extend_from_slice(&u16::from(query.query_type()).to_be_bytes());
    raw.extend_from_slice(&u16::from(query.query_class()).to_be_bytes());
    let name = wire(query.name()).ok()?;
    let mut lower = [0; NAME_BYTES_MAX];
    lower.get_mut(..name.len())?.copy_from_slice(&name);
    Some((raw, lower, name.len()))
}

/// An answer that is nothing but a header.
fn bare([id0, id1, flags0, ..]: [u8; HEADER_BYTES], code: ResponseCode) -> Vec<u8> {
    vec![
        id0,
        id1,
        quick::RESPONSE | flags0 & 0x79,
        quick::RECURSION_AVAILABLE | code.low(),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ]
}

/// Upper bits of BADVERS (RFC 6891 section 9).
const BAD_VERSION: u8 = 1;
/// After how long an old answer is better than waiting (RFC 8767 section 5).
const STALE_AFTER: Duration = Duration::from_millis(1800);
/// TTL of an alias that SafeSearch makes; the address behind it has its own.
const ALIAS_TTL_SECS: u32 = 300;
/// How long an answer waits for the kernel.
const OPEN_WITHIN: Duration = Duration::from_secs(1);
/// How much longer than its TTL an address is open: browsers keep it for a minute, whatever the TTL says.
const OPEN_LONGER_SECS: u32 = 60;
