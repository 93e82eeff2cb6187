//! What stands in the kernel, or should: the elements of the gate's sets and maps, as data.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};

use inventory::{Cidr, Level, MacAddr, UnixMillis};

use super::nft::Verdicts;
use super::script::{Batch, Value};

/// Number of a device in the kernel, from 1; 0 is nobody.
pub(crate) type Number = u32;

/// What becomes of a packet: what a level says, or (without one) what the network says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Action(pub(crate) Option<Level>);

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("goto ")?;
        f.write_str(self.chain())
    }
}

impl Action {
    /// The chain that carries it out.
    pub(crate) fn chain(self) -> &'static str {
        self.0.map_or("standard", Level::text)
    }
}

/// Two addresses that belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair(pub(crate) MacAddr, pub(crate) Ipv4Addr);

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} . {}", self.0, self.1)
    }
}

/// An address that a device on an allow list may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Opened(pub(crate) Number, pub(crate) IpAddr);

impl fmt::Display for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} . {}", self.0, self.1)
    }
}

/// The value of a set's elements: none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member;

/// An element's value, and when the kernel lets go of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<V> {
    pub(crate) value: V,
    pub(crate) ends: Option<UnixMillis>,
}

/// A set or map: its name in the kernel, and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Elements<K: Eq + Hash, V> {
    pub(crate) name: &'static str,
    pub(crate) map: HashMap<K, Element<V>>,
}

impl<K: Eq + Hash + Copy + fmt::Display, V: Value + Copy> Elements<K, V> {
    fn new(name: &'static str) -> Self {
        Self { name, map: HashMap::new() }
    }

    /// Makes one element what it should be, or (with none) takes it out, and leaves in the batch what the kernel has to be told.
    /// Returns whether it is told to add something.
    pub(crate) fn put(&mut self, batch: &mut Batch, key: K, wanted: Option<Element<V>>) -> bool {
        let wanted = wanted.filter(|element| element.ends.is_none_or(|ends| batch.now() < ends));
        if self.map.get(&key) == wanted.as_ref() {
            return false;
        }
        let before = match wanted {
            Some(element) => self.map.insert(key, element),
            None => self.map.remove(&key),
        };
        if let Some(before) = before {
            batch.remove(self.name, &key, &before);
        }
        if let Some(element) = wanted {
            batch.add(self.name, &key, &element);
        }
        wanted.is_some()
    }

    /// Makes everything what it should be.
    pub(crate) fn put_all(&mut self, batch: &mut Batch, wanted: HashMap<K, Element<V>>) {
        let gone: Vec<K> = self.map.keys().filter(|key| !wanted.contains_key(key)).copied().collect();
        for key in gone {
            self.put(batch, key, None);
        }
        for (key, element) in wanted {
            self.put(batch, key, Some(element));
        }
    }

    /// Forgets what the kernel let go of long ago.
    pub(crate) fn forget(&mut self, before: UnixMillis) {
        self.map.retain(|_, element| element.ends.is_none_or(|ends| before < ends));
    }
}

/// What seldom changes: a change makes the whole table anew.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Frame {
    /// Interfaces of guarded networks, with what holds there for an IPv6 address of nobody.
    pub(crate) links: BTreeMap<String, Level>,
    /// Guarded networks, with what holds where nothing else is said.
    pub(crate) networks: BTreeMap<Cidr, Level>,
    /// All networks of the school.
    pub(crate) school: Vec<Cidr>,
    /// Networks that are hidden behind the server's address.
    pub(crate) hidden: Vec<Cidr>,
    /// Port of the DNS server.
    pub(crate) dns_port: u16,
    /// Port of the page that says why something is locked.
    pub(crate) page_port: u16,
}

/// What changes with people, addresses and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) pairs: Elements<Pair, Number>,
    pub(crate) cards: Elements<MacAddr, Number>,
    /// What holds for a while: now, then, and after that.
    pub(crate) timed: [Elements<Number, Action>; TIMED],
    pub(crate) last: Elements<Number, Action>,
    pub(crate) free: Elements<Number, Member>,
    pub(crate) shown: Elements<Number, Member>,
    pub(crate) watched: Elements<Number, Member>,
    /// Addresses that DNS gave devices: of IPv4 and IPv6, for allow lists and for what is always reachable.
    pub(crate) opened: [Elements<Opened, Member>; 4],
}

impl Default for State {
    fn default() -> Self {
        Self {
            pairs: Elements::new("pairs"),
            cards: Elements::new("cards"),
            timed: ["first", "second", "third"].map(Elements::new),
            last: Elements::new("last"),
            free: Elements::new("free"),
            shown: Elements::new("shown"),
            watched: Elements::new("watched"),
            opened: ["opened4", "opened6", "always4", "always6"].map(Elements::new),
        }
    }
}

impl State {
    /// What the kernel does with a device's packets at that time and later: each action with its end, and what holds for ever.
    pub(crate) fn line(&self, number: Number, now: UnixMillis) -> Line {
        let timed = self.timed.iter().filter_map(|map| map.map.get(&number));
        let timed =
            timed.filter_map(|element| Some((element.value, element.ends.filter(|ends| now < *ends)?)));
        Line { timed: timed.collect(), last: self.last.map.get(&number).map_or(Action(None), |e| e.value) }
    }

    /// Makes the kernel do with a device's packets what a line says. Nothing changes where it does so already: what ended by
    /// itself needs no correction.
    pub(crate) fn set_line(&mut self, batch: &mut Batch, number: Number, line: &Line) {
        if self.line(number, batch.now()) == *line {
            return;
        }
        let timed = line.timed.iter().map(|(value, ends)| Element { value: *value, ends: Some(*ends) });
        let mut wanted: Vec<Option<Element<Action>>> = timed.map(Some).collect();
        wanted.resize(TIMED, None);
        wanted.push(line.last.0.map(|_| Element { value: line.last, ends: None }));
        for (map, element) in self.timed.iter_mut().chain([&mut self.last]).zip(wanted) {
            if map.put(batch, number, element)
                && let Some(element) = element
            {
                batch.expect(map.name, number, element.value);
            }
        }
    }

    /// How many verdicts in the kernel are not what they should be.
    pub(crate) fn differing(&self, read: &Verdicts, now: UnixMillis) -> usize {
        let maps = || self.timed.iter().chain([&self.last]);
        let lasts = |element: &&Element<Action>| {
            element.ends.is_none_or(|ends| ends.millis_since(now) > LATENESS_MILLIS)
        };
        let ours =
            maps().flat_map(|map| map.map.iter().map(|(number, element)| (map.name, *number, element)));
        let wrong = ours.filter(|(_, _, element)| lasts(element)).filter(|(name, number, element)| {
            read.get(&((*name).to_owned(), *number)).is_none_or(|chain| chain != element.value.chain())
        });
        let known = |name: &str, number| maps().any(|map| map.name == name && map.map.contains_key(number));
        let theirs = read.keys().filter(|(name, number)| !known(name, number));
        wrong.count() + theirs.count()
    }

    /// Names of the maps that hold verdicts.
    pub(crate) fn maps(&self) -> Vec<&'static str> {
        self.timed.iter().chain([&self.last]).map(|map| map.name).collect()
    }

    /// Numbers of all devices that have a line of their own.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = Number> {
        self.timed.iter().chain([&self.last]).flat_map(|map| map.map.keys().copied())
    }

    /// Forgets what the kernel let go of long ago.
    pub(crate) fn forget(&mut self, before: UnixMillis) {
        self.timed.iter_mut().for_each(|map| map.forget(before));
        self.free.forget(before);
        self.shown.forget(before);
        self.watched.forget(before);
        self.opened.iter_mut().for_each(|set| set.forget(before));
    }

    /// The set that lets an address pass: for a device on an allow list, or for what is always reachable.
    pub(crate) fn opened(&mut self, address: IpAddr, always: bool) -> &mut Elements<Opened, Member> {
        let [four, six, always_four, always_six] = &mut self.opened;
        match (address, always) {
            (IpAddr::V4(_), false) => four,
            (IpAddr::V6(_), false) => six,
            (IpAddr::V4(_), true) => always_four,
            (IpAddr::V6(_), true) => always_six,
        }
    }
}

/// What becomes of a device's packets in the course of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// At most [`TIMED`], in ascending order of their ends.
    pub(crate) timed: Vec<(Action, UnixMillis)>,
    /// After them.
    pub(crate) last: Action,
}

impl Line {
    /// What holds at that time, and until when.
    pub(crate) fn at(&self, now: UnixMillis) -> (Action, Option<UnixMillis>) {
        let timed = self.timed.iter().find(|(_, ends)| now < *ends);
        timed.map_or((self.last, None), |(action, ends)| (*action, Some(*ends)))
    }
}

/// Changes ahead that the kernel makes by itself.
pub(crate) const TIMED: usize = 3;
/// What ends within this time may have ended in the kernel.
const LATENESS_MILLIS: i64 = 500;
