//! Who gets which part of an image from whom, so that a room of PCs costs the server little more than one: pure.
//!
//! The PCs of a room that write the same image ask the server for one batch of chunks after the other. The first to ask gets
//! it from the server, everybody else is referred to a PC that asked before. A PC passes each chunk on as soon as it has
//! checked it, so it may be referred to before it has anything, and a batch that travels through many PCs takes hardly longer
//! than one that travels to one. Who passes on what is spread by how much each has to pass on already; a PC that is slow
//! asks late, and is passed over.
//!
//! | What happens                                  | What follows                                                            |
//! |-----------------------------------------------|-------------------------------------------------------------------------|
//! | a PC passes nothing on, or too slowly         | who waits for it asks again and gets another; it is left alone a while   |
//! | a PC only waits itself                        | the same, but nothing is held against it                                |
//! | a PC sends what is not the chunk              | who got it is not referred to it again; after a second one, nobody is    |
//! | a PC is switched off                          | as the first; it is forgotten when it has been silent for a while        |
//! | a PC comes late                               | it gets from the disks of the others what they have written              |
//! | a PC is done                                  | it is asked to stay while others are not, if it is needed                |
//! | nobody can be referred to                     | the server sends                                                        |

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::chunk::Hash;

/// A PC: the BLAKE3 hash of its public key.
pub type PeerId = Hash;

/// The PCs of a room that write one image.
#[derive(Debug, Default)]
pub struct Swarm {
    members: BTreeMap<PeerId, Member>,
    /// Batches that are on their way or were a short time ago.
    batches: BTreeMap<u32, Vec<Taker>>,
    /// How long a batch takes from the question to its last chunk.
    pace: Pace,
    /// The same of those that come from the server.
    server_pace: Pace,
    /// How many the server has sent only to measure a line.
    measured: u32,
}

#[derive(Debug)]
struct Member {
    address: SocketAddr,
    heard_at: Instant,
    /// Batches before this one are on its disk.
    written: u32,
    /// Until when nobody is referred to it.
    avoided_until: Option<Instant>,
    /// How often in a row it was found slow or away.
    faults: u32,
    /// Who says that it sent what was not the chunk.
    accused_by: BTreeSet<PeerId>,
    /// How often in a row it complained of others.
    complaints: u32,
    /// How long what comes from the server takes to it, as a multiple of what it takes to others. `None` while unknown.
    slowness: Option<f64>,
    /// When the server last sent it something that others have, to find that out.
    measured_at: Option<Instant>,
    /// When it had written everything.
    finished_at: Option<Instant>,
}

/// The median of durations, followed in steps: what is far away moves it no further than what is near.
#[derive(Debug, Default, Clone, Copy)]
struct Pace {
    median: Option<Duration>,
    seen: u32,
}

impl Pace {
    fn learn(&mut self, took: Duration) {
        let took = took.max(Duration::from_millis(1));
        self.seen = self.seen.saturating_add(1);
        let step = 1.1 + 2.0 / f64::from(self.seen);
        let median = self.median.get_or_insert(took);
        *median =
            if took > *median { took.min(median.mul_f64(step)) } else { took.max(median.div_f64(step)) };
    }

    /// How many times as long.
    fn ratio(&self, took: Duration) -> f64 {
        self.median.map_or(1.0, |median| took.as_secs_f64() / median.as_secs_f64())
    }
}

/// A PC that asked for a batch.
#[derive(Debug)]
struct Taker {
    peer: PeerId,
    /// Whom it was referred to; `None`: the server sends.
    from: Option<PeerId>,
    at: Instant,
    has: bool,
    /// Who was no help to it with this batch.
    tried: Vec<PeerId>,
}

/// A question for a batch.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Who asks.
    pub peer: PeerId,
    /// Where it passes on what it has.
    pub address: SocketAddr,
    /// What it wants.
    pub batch: u32,
    /// Batches before this one are on its disk.
    pub written: u32,
    /// It has tried others often enough.
    pub direct: bool,
}

/// Where a batch is to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the server.
    Server,
    /// From another PC.
    Peer {
        /// Which.
        peer: PeerId,
        /// Where.
        address: SocketAddr,
        /// After this time without all of it, ask again.
        patience: Duration,
    },
}

/// What was wrong with a PC that somebody was referred to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// No connection, or it broke.
    Away,
    /// It sent too slowly.
    Slow,
    /// It was itself waiting.
    Waiting,
    /// It does not have what was asked for.
    Lacks,
    /// It sent something else.
    Lied,
}

impl Swarm {
    /// Where the batch is to be had.
    pub fn ask(&mut self, ask: &Ask, now: Instant) -> Source {
        self.hear(ask, now);
        let source =
            if ask.direct || self.is_to_be_measured(ask, now) { None } else { self.choose(ask, now) };
        let takers = self.batches.entry(ask.batch).or_default();
        let before = takers.iter().position(|taker| taker.peer == ask.peer);
        let tried = before.map(|place| takers.remove(place).tried).unwrap_or_default();
        takers.push(Taker { peer: ask.peer, from: source, at: now, has: false, tried });
        self.forget(now);
        match source.and_then(|peer| Some((peer, self.members.get(&peer)?.address))) {
            Some((peer, address)) => Source::Peer { peer, address, patience: self.patience_of(ask.peer) },
            None => Source::Server,
        }
    }

    /// A PC has all that it wanted of a batch.
    pub fn done(&mut self, peer: PeerId, batch: u32, now: Instant) {
        let takers = self.batches.get_mut(&batch);
        let Some(taker) = takers.and_then(|takers| takers.iter_mut().find(|t| t.peer == peer)) else {
            return;
        };
        if std::mem::replace(&mut taker.has, true) {
            return;
        }
        let took = now.saturating_duration_since(taker.at);
        let (from, again) = (taker.from, !taker.tried.is_empty());
        self.pace.learn(took);
        if let Some(member) = from.and_then(|from| self.members.get_mut(&from)) {
            member.faults = 0;
            if let Some(member) = self.members.get_mut(&peer) {
                member.complaints = 0;
            }
        }
        if let (None, false, Some(member)) = (from, again, self.members.get_mut(&peer)) {
            self.server_pace.learn(took);
            let ratio = self.server_pace.ratio(took).min(RATIO_MAX);
            member.slowness = Some(member.slowness.map_or(ratio, |known| (known + ratio) / 2.0));
        }
    }

    /// A PC did not get a batch from whom it was referred to. Only the word of who was referred there counts.
    pub fn failed(&mut self, peer: PeerId, batch: u32, from: PeerId, fault: Fault, now: Instant) {
        let takers = self.batches.get_mut(&batch);
        let referred =
            takers.and_then(|takers| takers.iter_mut().find(|t| t.peer == peer && t.from == Some(from)));
        let Some(taker) = referred else { return };
        taker.from = None;
        taker.tried.push(from);
        let Some(accuser) = self.members.get_mut(&peer) else { return };
        accuser.complaints = accuser.complaints.saturating_add(1);
        // To somebody whose own line is bad all others are.
        let counts = !accuser.is_slow() && accuser.complaints <= COMPLAINTS_MAX;
        let Some(member) = self.members.get_mut(&from) else { return };
        match fault {
            Fault::Waiting | Fault::Lacks => {}
            Fault::Lied => {
                member.accused_by.insert(peer);
            }
            Fault::Away | Fault::Slow => {
                if counts && member.avoided_until.is_none_or(|until| until <= now) {
                    member.faults = member.faults.saturating_add(1);
                    member.avoided_until = Some(now + AVOIDED * (1 << (member.faults - 1).min(6)));
                }
            }
        }
    }

    /// A PC has written everything, or says that it still passes on what it has.
    pub fn finished(&mut self, peer: PeerId, now: Instant) {
        if let Some(member) = self.members.get_mut(&peer) {
            member.heard_at = now;
            member.written = u32::MAX;
            member.finished_at.get_or_insert(now);
        }
    }

    /// A PC does not take part any more.
    pub fn leave(&mut self, peer: PeerId) {
        self.members.remove(&peer);
        for takers in self.batches.values_mut() {
            takers.retain(|taker| taker.peer != peer);
        }
    }

    /// Whether a PC that has written everything is to stay for the others: the first few of those that have.
    pub fn is_needed(&self, peer: PeerId, now: Instant) -> bool {
        let alive = || self.members.iter().filter(|(_, member)| member.is_alive(now));
        let unfinished = alive().filter(|(_, member)| member.finished_at.is_none()).count();
        let Some(own) = self.members.get(&peer).and_then(|member| member.finished_at) else { return false };
        if now.saturating_duration_since(own) >= STAYS_MAX {
            return false;
        }
        let earlier =
            alive().filter(|(id, member)| member.finished_at.is_some_and(|at| (at, **id) < (own, peer)));
        earlier.count() < unfinished.min(STAYING_MAX)
    }

    /// Whether nobody takes part any more.
    pub fn is_over(&self, now: Instant) -> bool {
        !self.members.values().any(|member| member.is_alive(now))
    }

    fn hear(&mut self, ask: &Ask, now: Instant) {
        let new = Member {
            address: ask.address,
            heard_at: now,
            written: 0,
            avoided_until: None,
            faults: 0,
            accused_by: BTreeSet::new(),
            complaints: 0,
            slowness: None,
            measured_at: None,
            finished_at: None,
        };
        let member = self.members.entry(ask.peer).or_insert(new);
        member.address = ask.address;
        member.heard_at = now;
        member.written = ask.written;
        // It begins again, after a failure for example.
        member.finished_at = None;
    }

    /// Whether the server sends to find out how fast the line of a PC is. Once is enough of one that is not slow.
    fn is_to_be_measured(&mut self, ask: &Ask, now: Instant) -> bool {
        let running = |member: &Member| member.measured_at.is_some_and(|at| now < at + MEASURING_MAX);
        if self.members.len() < 2
            || self.members.values().filter(|it| it.slowness.is_none() && running(it)).count()
                >= MEASURED_AT_ONCE
        {
            return false;
        }
        let budget = MEASURED_AT_FIRST + ask.batch / BATCHES_PER_MEASURED;
        let Some(member) = self.members.get_mut(&ask.peer).filter(|_| self.measured < budget) else {
            return false;
        };
        let due = member.measured_at.is_none_or(|at| now >= at + MEASURED_EVERY);
        let wanted = due && (member.slowness.is_none() || member.is_slow());
        if wanted {
            self.measured += 1;
            member.measured_at = Some(now);
        }
        wanted
    }

    /// The PC that has the least to pass on of those that have the batch or will have it.
    fn choose(&self, ask: &Ask, now: Instant) -> Option<PeerId> {
        let takers = self.batches.get(&ask.batch).map(Vec::as_slice).unwrap_or_default();
        let tried = takers.iter().find(|taker| taker.peer == ask.peer).map_or(&[][..], |taker| &taker.tried);
        let loads = self.loads();
        let candidates = self.members.iter().filter(|(id, member)| {
            **id != ask.peer
                && member.is_usable(now)
                && !tried.contains(id)
                && !member.accused_by.contains(&ask.peer)
        });
        let ranked = candidates.filter_map(|(id, member)| {
            let load = loads.get(id).copied().unwrap_or(0);
            let taker = takers.iter().find(|taker| taker.peer == *id);
            let (effort, depth) = match taker {
                Some(taker) if taker.has => (0, 0),
                Some(_) => (0, self.depth(takers, *id, ask.peer, now)?),
                // From its disk. Who has nothing to write any more is disturbed least.
                None if member.finished_at.is_some() => (0, 0),
                None if member.written > ask.batch => (DISK_EFFORT, 0),
                None => return None,
            };
            Some((load + effort, depth, *id))
        });
        ranked.min().map(|(.., id)| id)
    }

    /// Through how many PCs a batch comes to one that waits for it. `None` if it comes through `asking`, or from nobody.
    fn depth(&self, takers: &[Taker], from: PeerId, asking: PeerId, now: Instant) -> Option<u32> {
        let mut at = from;
        for depth in 0..=u32::try_from(takers.len()).unwrap_or(u32::MAX) {
            if !self.members.get(&at)?.is_usable(now) {
                return None;
            }
            // Whoever is no taker any more has it on its disk.
            let Some(taker) = takers.iter().find(|taker| taker.peer == at) else { return Some(depth) };
            match taker.from.filter(|_| !taker.has) {
                None => return Some(depth),
                Some(next) if next == asking => return None,
                Some(next) => at = next,
            }
        }
        None
    }

    /// How much each has to pass on at the moment, in batches.
    fn loads(&self) -> BTreeMap<PeerId, u32> {
        let mut loads = BTreeMap::new();
        for from in self.batches.values().flatten().filter(|taker| !taker.has).filter_map(|taker| taker.from)
        {
            *loads.entry(from).or_insert(0) += 1;
        }
        loads
    }

    fn patience_of(&self, peer: PeerId) -> Duration {
        if self.members.get(&peer).is_some_and(Member::is_slow) {
            return PATIENCE_MAX;
        }
        self.pace.median.map_or(PATIENCE_FIRST, |it| (it * PATIENCE_TIMES).clamp(PATIENCE_MIN, PATIENCE_MAX))
    }

    /// Drops what is over.
    fn forget(&mut self, now: Instant) {
        let gone: Vec<PeerId> =
            self.members.iter().filter(|(_, member)| !member.is_alive(now)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|peer| self.leave(peer));
        let mut surplus = self.batches.len().saturating_sub(BATCHES_MAX);
        if surplus > 0 {
            let oldest = now.checked_sub(PATIENCE_MAX);
            self.batches.retain(|_, takers| {
                let goes = surplus > 0 && takers.iter().all(|it| it.has || Some(it.at) < oldest);
                surplus -= usize::from(goes);
                !goes
            });
        }
        while self.batches.len() > BATCHES_BOUND {
            self.batches.pop_first();
        }
    }
}

impl Member {
    fn is_alive(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.heard_at) < SILENCE_MAX
    }

    fn is_slow(&self) -> bool {
        self.slowness.is_some_and(|ratio| ratio > SLOW)
    }

    fn is_usable(&self, now: Instant) -> bool {
        self.accused_by.len() < ACCUSERS
            && !self.is_slow()
            && self.is_alive(now)
            && self.avoided_until.is_none_or(|until| until <= now)
    }
}

/// A PC that asks for nothing for so long is switched off, or has a disk that is no help to anybody.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The first time; twice as long each time after that.
const AVOIDED: Duration = Duration::from_secs(10);
/// While it is not known how long a batch takes.
const PATIENCE_FIRST: Duration = Duration::from_secs(5);
const PATIENCE_TIMES: u32 = 4;
const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_secs(30);
/// One PC alone, broken or hostile, brings nobody into disrepute.
const ACCUSERS: usize = 2;
/// Who complains so often in a row is itself the cause.
const COMPLAINTS_MAX: u32 = 4;
/// Reading a batch from a disk that is being written to counts as much as passing on so many.
const DISK_EFFORT: u32 = 2;
/// Who takes so many times as long as others passes nothing on.
const SLOW: f64 = 4.0;
const RATIO_MAX: f64 = 20.0;
const MEASURED_AT_ONCE: usize = 4;
/// What measuring costs: so many batches, and one in so many.
const MEASURED_AT_FIRST: u32 = 2;
const BATCHES_PER_MEASURED: u32 = 24;
const MEASURING_MAX: Duration = Duration::from_secs(2);
const MEASURED_EVERY: Duration = Duration::from_secs(10);
/// So many of those that are done stay, and never more than there are others that are not.
const STAYING_MAX: usize = 4;
/// Nobody waits longer than this for the others.
const STAYS_MAX: Duration = Duration::from_secs(900);
/// With more than these, the first that all have are forgotten: they are on the disks of those that have them.
const BATCHES_MAX: usize = 64;
/// Against a PC that asks for anything at all.
const BATCHES_BOUND: usize = 4096;

#[cfg(test)]
mod simulation;
