//! The text that nft is given: the whole table, or what changes in it. One script is one transaction: all of it or nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::hash::Hash;

use inventory::{Cidr, Level, UnixMillis};

use super::nft::Verdicts;
use super::state::{Action, Element, Elements, Frame, Member, Number, State};

/// The gate's own table.
pub(crate) const TABLE: &str = "inet hausmeister";

/// Replaces the table, whatever is in it.
pub(crate) fn whole(frame: &Frame, state: &State, now: UnixMillis) -> String {
    // Adding what may be there makes sure that deleting it succeeds.
    let mut text = nothing();
    let _ = writeln!(text, "define dns_port = {}\ndefine page_port = {}", frame.dns_port, frame.page_port);
    let _ = writeln!(text, "table {TABLE} {{");
    write_frame(&mut text, frame);
    text.push_str(include_str!("ruleset.nft"));
    text.push_str("}\n");
    let mut batch = Batch::new(now);
    batch.add_all(&state.pairs);
    batch.add_all(&state.cards);
    state.timed.iter().for_each(|map| batch.add_all(map));
    batch.add_all(&state.last);
    batch.add_all(&state.free);
    batch.add_all(&state.shown);
    batch.add_all(&state.watched);
    state.opened.iter().for_each(|set| batch.add_all(set));
    text + &batch.script()
}

/// Removes the table, if it is there.
pub(crate) fn nothing() -> String {
    format!("table {TABLE}\ndelete table {TABLE}\n")
}

fn write_frame(out: &mut String, frame: &Frame) {
    let networks = || frame.networks.iter().map(|(cidr, level)| (cidr.to_string(), *level));
    let with = |wanted: &'static [Level]| {
        networks().filter(|(_, level)| wanted.contains(level)).map(|(cidr, _)| cidr)
    };
    let texts = |list: &[Cidr]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    let quoted = |name: &String| format!("\"{name}\"");
    let resolvers = |six: bool| {
        let lines = include_str!("resolver_addresses.txt").lines().filter(|line| !line.starts_with('#'));
        lines.filter(move |line| line.contains(':') == six).map(str::to_owned)
    };
    fixed(out, "set links", "type ifname;", frame.links.keys().map(quoted));
    fixed(
        out,
        "map networks6",
        "type ifname : verdict;",
        frame.links.iter().map(|(name, level)| format!("{} : goto {level}", quoted(name))),
    );
    fixed(
        out,
        "map networks",
        "type ipv4_addr : verdict; flags interval;",
        networks().map(|(cidr, level)| format!("{cidr} : goto {level}")),
    );
    fixed(out, "set guarded", INTERVALS, networks().map(|(cidr, _)| cidr));
    fixed(out, "set school", INTERVALS, texts(&frame.school));
    fixed(out, "set hidden", INTERVALS, texts(&frame.hidden));
    fixed(out, "set free_networks", INTERVALS, with(&[Level::On]));
    fixed(out, "set shown_networks", INTERVALS, with(&[Level::Off, Level::AllowList]));
    fixed(out, "set resolvers4", "type ipv4_addr;", resolvers(false));
    fixed(out, "set resolvers6", "type ipv6_addr;", resolvers(true));
}

fn fixed(out: &mut String, what: &str, kind: &str, elements: impl IntoIterator<Item = String>) {
    let elements: Vec<String> = elements.into_iter().collect();
    // Writing to a String cannot fail. nft knows no empty list of elements.
    let _ = if elements.is_empty() {
        writeln!(out, "{what} {{ {kind} }}")
    } else {
        writeln!(out, "{what} {{ {kind} elements = {{ {} }}; }}", elements.join(", "))
    };
}

/// What the kernel has to be told, collected set by set.
#[derive(Debug)]
pub(crate) struct Batch {
    now: UnixMillis,
    sets: BTreeMap<&'static str, Commands>,
    /// Numbers with the chains that they lead to, to compare with what the kernel reports.
    verdicts: Vec<(&'static str, Number, &'static str)>,
}

#[derive(Debug, Default)]
struct Commands {
    /// Elements that go but may be gone already. Adding what is there changes nothing, and then they can be deleted.
    again: Vec<String>,
    gone: Vec<String>,
    come: Vec<String>,
}

impl Batch {
    pub(crate) fn new(now: UnixMillis) -> Self {
        Self { now, sets: BTreeMap::new(), verdicts: Vec::new() }
    }

    /// The time that time-outs count from.
    pub(crate) fn now(&self) -> UnixMillis {
        self.now
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    pub(crate) fn add<K: fmt::Display, V: Value>(
        &mut self,
        set: &'static str,
        key: &K,
        element: &Element<V>,
    ) {
        let text = with_value(timed(key.to_string(), element.ends, self.now), element);
        self.sets.entry(set).or_default().come.push(text);
    }

    pub(crate) fn remove<K: fmt::Display, V: Value>(&mut self, set: &'static str, key: &K, was: &Element<V>) {
        let commands = self.sets.entry(set).or_default();
        commands.gone.push(key.to_string());
        if was.ends.is_some() {
            commands.again.push(with_value(key.to_string(), was));
        }
    }

    fn add_all<K: Eq + Hash + fmt::Display, V: Value>(&mut self, elements: &Elements<K, V>) {
        for (key, element) in &elements.map {
            if element.ends.is_none_or(|ends| self.now < ends) {
                self.add(elements.name, key, element);
            }
        }
    }

    /// Notes that a number is to lead to a chain.
    pub(crate) fn expect(&mut self, set: &'static str, number: Number, action: Action) {
        self.verdicts.push((set, number, action.chain()));
    }

    /// The maps in which numbers are to lead somewhere.
    pub(crate) fn maps(&self) -> Vec<&'static str> {
        let maps: BTreeSet<&'static str> = self.verdicts.iter().map(|(map, ..)| *map).collect();
        maps.into_iter().collect()
    }

    /// Whether the kernel reports to have taken the verdicts of this batch.
    pub(crate) fn is_taken(&self, taken: &Verdicts) -> bool {
        self.verdicts.iter().all(|(set, number, chain)| {
            taken.get(&((*set).to_owned(), *number)).is_some_and(|taken| taken == chain)
        })
    }

    /// The commands as text.
    pub(crate) fn script(&self) -> String {
        let mut text = String::new();
        for (set, commands) in &self.sets {
            let all = [("add", &commands.again), ("delete", &commands.gone), ("add", &commands.come)];
            for (verb, elements) in all {
                for part in elements.chunks(ELEMENTS_PER_COMMAND) {
                    let _ = writeln!(text, "{verb} element {TABLE} {set} {{ {} }}", part.join(", "));
                }
            }
        }
        text
    }
}

fn timed(key: String, ends: Option<UnixMillis>, now: UnixMillis) -> String {
    ends.map_or(key.clone(), |ends| format!("{key} timeout {}ms", ends.millis_since(now).max(1)))
}

fn with_value<V: Value>(key: String, element: &Element<V>) -> String {
    element.value.text().map_or(key.clone(), |value| format!("{key} : {value}"))
}

/// What can stand behind a key.
pub(crate) trait Value: PartialEq {
    /// As nft reads it; nothing where the key says all.
    fn text(&self) -> Option<String>;
}

impl Value for Member {
    fn text(&self) -> Option<String> {
        None
    }
}

impl Value for Number {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl Value for Action {
    fn text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

const INTERVALS: &str = "type ipv4_addr; flags interval; auto-merge;";
const ELEMENTS_PER_COMMAND: usize = 1000;
