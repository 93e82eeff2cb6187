//! What a file about devices would change.
//!
//! Which device a line means: whichever has one of its cards; else whichever has its name. So a PC keeps its key and its history when it is
//! renamed or moved, and when its card was swapped. What a line leaves empty stays as it is.
//!
//! Two PCs may swap names, cards or addresses in one file. What the school will look like is therefore compared as a whole: a line that
//! wants what another device keeps is refused, and what the refused line's own device keeps may refuse others.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::devices::DeviceRow;
use super::logins::same;
use super::plan::note;
use super::problem::short;
use super::{Change, Field, File, Item, Options, Plan, Problem, What};
use crate::suggest::Series;
use crate::{DeviceId, Hostname, Interface, InterfaceKind, MacAddr, Network, RoomId, UserId};

/// The devices of the school, and what lines about devices name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Fleet {
    /// The devices.
    pub devices: BTreeMap<DeviceId, KnownDevice>,
    /// The rooms.
    pub rooms: BTreeMap<RoomId, String>,
    /// Who may own a device: id, name to sign in with, full name.
    pub people: Vec<(UserId, String, String)>,
    /// The networks whose addresses can be fixed.
    pub networks: Vec<Network>,
}

/// A device of the school, as far as a file can change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownDevice {
    /// Host name.
    pub name: Hostname,
    /// Where it stands.
    pub room: RoomId,
    /// Its cards by address.
    pub cards: Vec<Interface>,
    /// Whose it is.
    pub owner: Option<UserId>,
    /// Whether it is the staff's.
    pub staff: bool,
    /// Whether a PC was approved as it.
    pub approved: bool,
}

/// What is written for a device. Its room is named; one that does not exist is among the plan's places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceWish {
    /// Which one; none yet for an addition.
    pub id: Option<DeviceId>,
    /// Host name.
    pub name: Hostname,
    /// Room.
    pub room: String,
    /// Its cards by address.
    pub cards: Vec<Interface>,
    /// Whose it is.
    pub owner: Option<UserId>,
    /// Whether it is the staff's.
    pub staff: bool,
}

/// Compares a file with the school. `room` is for new devices whose line names none; it may be empty.
#[must_use]
pub fn plan_devices(
    file: &File<DeviceRow>,
    school: &Fleet,
    room: &str,
    options: Options,
) -> Plan<DeviceWish> {
    let mut planner = Planner::new(file, school, room);
    planner.read(&file.rows);
    planner.find();
    planner.settle(options);
    planner.finish(options)
}

/// What only one device can have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Unique {
    Name(Hostname),
    Card(MacAddr),
    Address(Ipv4Addr),
}

/// A line with the device that it means.
struct Want<'a> {
    row: &'a DeviceRow,
    id: Option<DeviceId>,
    /// Without a name the device gets the next one of its room.
    name: Option<Hostname>,
    room: String,
    cards: Vec<Interface>,
    refused: bool,
}

struct Planner<'a> {
    school: &'a Fleet,
    room: &'a str,
    by_card: HashMap<MacAddr, DeviceId>,
    by_name: HashMap<&'a Hostname, DeviceId>,
    /// Rooms by their name in lower case.
    rooms: HashMap<String, &'a str>,
    owners: HashMap<String, Option<UserId>>,
    wants: Vec<Want<'a>>,
    /// Devices that a line means or may mean, with the place of the line among the wants.
    claimed: HashMap<DeviceId, Option<usize>>,
    problems: Vec<Problem>,
}

impl<'a> Planner<'a> {
    fn new(file: &File<DeviceRow>, school: &'a Fleet, room: &'a str) -> Self {
        let (mut by_card, mut by_name, mut owners) = (HashMap::new(), HashMap::new(), HashMap::new());
        for (id, device) in &school.devices {
            by_name.insert(&device.name, *id);
            by_card.extend(device.cards.iter().map(|card| (card.mac, *id)));
        }
        // A full name that two people have says nothing.
        for (id, _, name) in school.people.iter().filter(|(_, _, name)| !name.trim().is_empty()) {
            owners.entry(same(name)).and_modify(|owner| *owner = None).or_insert(Some(*id));
        }
        owners.extend(school.people.iter().map(|(id, login, _)| (login.clone(), Some(*id))));
        let rooms = school.rooms.values().map(|name| (name.to_lowercase(), name.as_str())).collect();
        let (wants, claimed, problems) = (Vec::new(), HashMap::new(), file.problems.clone());
        Self { school, room: room.trim(), by_card, by_name, rooms, owners, wants, claimed, problems }
    }

    /// Takes in the rows that do not contradict each other.
    fn read(&mut self, rows: &'a [DeviceRow]) {
        let mut seen: HashMap<Unique, usize> = HashMap::new();
        for row in rows {
            let own = uniques(row);
            let twice = own.iter().find_map(|unique| seen.get(unique).map(|line| (unique, *line)));
            if let Some((unique, line)) = twice.filter(|_| !row.broken) {
                let what = match unique {
                    Unique::Name(name) => What::SameName(name.to_string()),
                    Unique::Card(mac) => What::SameCard(mac.to_string()),
                    Unique::Address(ip) => What::SameAddress(*ip),
                };
                self.problems.push(Problem::twice(row.line, line, what));
            }
            if row.broken || twice.is_some() {
                self.spare(row);
                continue;
            }
            seen.extend(own.into_iter().map(|unique| (unique, row.line)));
            let (name, cards) = (row.name.clone(), Vec::new());
            self.wants.push(Want { row, id: None, name, room: String::new(), cards, refused: false });
        }
    }

    /// Leaves every device alone that a row may mean.
    fn spare(&mut self, row: &DeviceRow) {
        let by_card = row.cards.iter().filter_map(|(mac, ..)| self.by_card.get(mac));
        let by_name = row.name.as_ref().and_then(|name| self.by_name.get(name));
        for id in by_card.chain(by_name) {
            self.claimed.entry(*id).or_insert(None);
        }
    }

    /// Finds the device of each line: by a card first, so that nothing is found by name that another line has a card of.
    fn find(&mut self) {
        for at in 0..self.wants.len() {
            let Some(want) = self.wants.get(at) else { continue };
            let mut found: Vec<DeviceId> =
                want.row.cards.iter().filter_map(|(mac, ..)| self.by_card.get(mac).copied()).collect();
            found.dedup();
            match found.as_slice() {
                [] => {}
                [id] => self.claim(at, *id),
                [one, two, ..] => {
                    let name =
                        |id| self.school.devices.get(id).map(|d| d.name.to_string()).unwrap_or_default();
                    let what = What::TwoDevices(name(one), name(two));
                    self.refuse(at, what);
                }
            }
        }
        for at in 0..self.wants.len() {
            let Some(want) = self.wants.get(at).filter(|want| want.id.is_none() && !want.refused) else {
                continue;
            };
            let named = want.name.as_ref().and_then(|name| self.by_name.get(name).copied());
            let is_free = |id: &DeviceId| self.claimed.get(id).copied().flatten().is_none();
            if let Some(id) = named.filter(is_free) {
                self.claim(at, id);
            }
        }
        for at in 0..self.wants.len() {
            self.fill(at);
        }
    }

    fn claim(&mut self, at: usize, id: DeviceId) {
        // A line that cannot be used keeps its device from being removed, and no good line from it.
        let other = self.claimed.get(&id).copied().flatten().and_then(|other| self.wants.get(other));
        if let Some(line) = other.map(|want| want.row.line) {
            let name = self.school.devices.get(&id).map(|device| device.name.to_string()).unwrap_or_default();
            return self.refuse_beside(at, Some(line), What::SameDevice(name));
        }
        self.claimed.insert(id, Some(at));
        if let Some(want) = self.wants.get_mut(at) {
            want.id = Some(id);
        }
    }

    /// Says what the device of a line will have.
    fn fill(&mut self, at: usize) {
        let Some(want) = self.wants.get(at).filter(|want| !want.refused) else { return };
        let row = want.row;
        let known = want.id.and_then(|id| self.school.devices.get(&id));
        let own = known.and_then(|device| self.school.rooms.get(&device.room)).map(String::as_str);
        let named = row.room.as_deref().or(own).unwrap_or(self.room);
        let room = self.rooms.get(&named.to_lowercase()).copied().unwrap_or(named).to_owned();
        let name = row.name.clone().or_else(|| known.map(|device| device.name.clone()));
        let mut cards = known.map(|device| device.cards.clone()).unwrap_or_default();
        for (mac, kind, ip) in &row.cards {
            let address = ip.filter(|ip| self.is_usable(*ip, row.line));
            set_card(&mut cards, *mac, *kind, address, &row.cards);
        }
        cards.sort_by_key(|card| card.mac);
        if room.is_empty() {
            self.refuse(at, What::NoRoom);
        } else if let Some(want) = self.wants.get_mut(at) {
            (want.name, want.room, want.cards) = (name, room, cards);
        }
    }

    /// Whether an address can be fixed; if not, the line's device gets none.
    fn is_usable(&mut self, ip: Ipv4Addr, line: usize) -> bool {
        let networks = &self.school.networks;
        let what = if networks.iter().any(|network| network.router == Some(ip)) {
            What::Router(ip)
        } else if !networks.iter().any(|network| network.cidr.is_host(ip)) {
            What::NoNetwork(ip)
        } else {
            return true;
        };
        self.problems.push(Problem::new(line, what));
        false
    }

    fn refuse(&mut self, at: usize, what: What) {
        self.refuse_beside(at, None, what);
    }

    fn refuse_beside(&mut self, at: usize, other: Option<usize>, what: What) {
        let Some(want) = self.wants.get_mut(at) else { return };
        want.refused = true;
        let row = want.row;
        self.problems.push(Problem { line: row.line, other, what });
        self.spare(row);
    }

    /// Refuses lines that want what a device keeps that no line changes. What is removed keeps nothing.
    fn settle(&mut self, options: Options) {
        let mut wanted: HashMap<Unique, usize> = HashMap::new();
        for (at, want) in self.wants.iter().enumerate().filter(|(_, want)| !want.refused) {
            // Two lines can come to want the same through what a device has already; then it stays where it is.
            let own = want
                .id
                .and_then(|id| self.school.devices.get(&id))
                .map(KnownDevice::uniques)
                .unwrap_or_default();
            for unique in want.uniques() {
                if own.contains(&unique) || !wanted.contains_key(&unique) {
                    wanted.insert(unique, at);
                }
            }
        }
        let kept = |planner: &Self, id: &DeviceId| match planner.claimed.get(id) {
            Some(Some(at)) => planner.wants.get(*at).is_none_or(|want| want.refused),
            Some(None) => true,
            None => !options.complete,
        };
        let mut keepers: Vec<DeviceId> =
            self.school.devices.keys().filter(|id| kept(self, id)).copied().collect();
        let late: Vec<usize> = (0..self.wants.len()).filter(|at| self.loses(*at, &wanted)).collect();
        for at in late {
            keepers.extend(self.lose(at, &wanted));
        }
        while let Some(id) = keepers.pop() {
            let Some(device) = self.school.devices.get(&id) else { continue };
            for unique in device.uniques() {
                let Some(at) = wanted.get(&unique).copied() else { continue };
                if self.wants.get(at).is_some_and(|want| !want.refused && want.id != Some(id)) {
                    keepers.extend(self.taken(at, &unique));
                }
            }
        }
    }

    fn loses(&self, at: usize, wanted: &HashMap<Unique, usize>) -> bool {
        self.wants.get(at).is_some_and(|want| {
            !want.refused && want.uniques().iter().any(|unique| wanted.get(unique) != Some(&at))
        })
    }

    fn lose(&mut self, at: usize, wanted: &HashMap<Unique, usize>) -> Option<DeviceId> {
        let uniques = self.wants.get(at).map(Want::uniques).unwrap_or_default();
        let unique = uniques.into_iter().find(|unique| wanted.get(unique) != Some(&at))?;
        self.taken(at, &unique)
    }

    /// Refuses a line; its device keeps what it has.
    fn taken(&mut self, at: usize, unique: &Unique) -> Option<DeviceId> {
        self.refuse(
            at,
            match unique {
                Unique::Name(name) => What::NameTaken(name.to_string()),
                Unique::Card(mac) => What::CardTaken(mac.to_string()),
                Unique::Address(ip) => What::AddressTaken(*ip),
            },
        );
        self.wants.get(at).and_then(|want| want.id)
    }

    fn finish(mut self, options: Options) -> Plan<DeviceWish> {
        let mut plan = Plan {
            items: Vec::new(),
            places: Vec::new(),
            unchanged: 0,
            of_kind: self.school.devices.len(),
            problems: Vec::new(),
        };
        let mut names = Names::of(self.school, &self.wants);
        let mut places: HashMap<String, String> = HashMap::new();
        for mut want in std::mem::take(&mut self.wants).into_iter().filter(|want| !want.refused) {
            let key = want.room.to_lowercase();
            if !self.rooms.contains_key(&key) {
                // The first spelling of a new room is its name.
                want.room = places
                    .entry(key)
                    .or_insert_with(|| {
                        plan.places.push(want.room.clone());
                        want.room.clone()
                    })
                    .clone();
            }
            let Some(name) = want.name.clone().or_else(|| names.next(&want.room)) else {
                self.problems.push(Problem::new(want.row.line, What::NameTaken(short(&want.room))));
                continue;
            };
            self.item(&mut plan, &want, name);
        }
        if options.complete {
            let gone = self.school.devices.iter().filter(|(id, _)| !self.claimed.contains_key(id));
            let mut removed: Vec<_> = gone
                .map(|(id, device)| {
                    Item::removed(device.name.to_string(), DeviceWish::of(*id, device, self.room_of(device)))
                })
                .collect();
            removed.sort_by(|a, b| a.label.cmp(&b.label));
            plan.items.append(&mut removed);
        }
        plan.problems = self.problems;
        plan.problems.sort_by_key(|problem| problem.line);
        plan
    }

    fn item(&mut self, plan: &mut Plan<DeviceWish>, want: &Want<'_>, name: Hostname) {
        let row = want.row;
        let known = want.id.and_then(|id| self.school.devices.get(&id));
        let own = known.and_then(|device| device.owner);
        let owner = row.owner.as_ref().map_or(own, |text| {
            let found = self.owners.get(&text.to_lowercase()).or_else(|| self.owners.get(&same(text)));
            found.copied().flatten().or_else(|| {
                self.problems.push(Problem::new(row.line, What::NoOwner(short(text))));
                own
            })
        });
        let staff = row.staff.unwrap_or(known.is_some_and(|device| device.staff));
        let wish = DeviceWish {
            id: want.id,
            name,
            room: want.room.clone(),
            cards: want.cards.clone(),
            owner,
            staff,
        };
        let changes = self.differences(known, &wish);
        match known {
            None => plan.items.push(Item::new(row.line, wish.name.to_string(), changes, wish)),
            Some(_) if changes.is_empty() => plan.unchanged += 1,
            Some(known) => plan.items.push(Item::changed(row.line, known.name.to_string(), changes, wish)),
        }
    }

    fn differences(&self, known: Option<&KnownDevice>, wish: &DeviceWish) -> Vec<Change> {
        let mut changes = Vec::new();
        if let Some(known) = known {
            note(&mut changes, Field::Name, known.name.as_str(), wish.name.as_str());
        }
        let room = known.map(|device| self.room_of(device)).unwrap_or_default();
        note(&mut changes, Field::Room, &room, &wish.room);
        let before = known.map(|device| device.cards.as_slice()).unwrap_or_default();
        note(&mut changes, Field::Cards, &cards_text(before), &cards_text(&wish.cards));
        note(&mut changes, Field::Addresses, &addresses_text(before), &addresses_text(&wish.cards));
        // Addresses that two cards swap are the same addresses.
        if changes.is_empty() && before != wish.cards {
            changes.push(Change {
                field: Field::Addresses,
                from: String::new(),
                to: addresses_text(&wish.cards),
            });
        }
        let person = |id: Option<UserId>| {
            let found = self.school.people.iter().find(|(known, ..)| Some(*known) == id);
            found.map(|(_, login, _)| login.clone()).unwrap_or_default()
        };
        let owner = known.and_then(|device| device.owner);
        if owner != wish.owner {
            note(&mut changes, Field::Owner, &person(owner), &person(wish.owner));
        }
        let staff = known.is_some_and(|device| device.staff);
        if staff != wish.staff {
            note(&mut changes, Field::Staff, &staff.to_string(), &wish.staff.to_string());
        }
        changes
    }

    fn room_of(&self, device: &KnownDevice) -> String {
        self.school.rooms.get(&device.room).cloned().unwrap_or_default()
    }
}

/// Names for lines without one: the next of their room.
struct Names<'a> {
    taken: HashSet<Hostname>,
    in_room: HashMap<&'a str, Vec<&'a Hostname>>,
    series: HashMap<String, Series>,
}

impl<'a> Names<'a> {
    fn of(school: &'a Fleet, wants: &[Want<'_>]) -> Self {
        let mut in_room: HashMap<&str, Vec<&Hostname>> = HashMap::new();
        for device in school.devices.values() {
            let room = school.rooms.get(&device.room).map(String::as_str).unwrap_or_default();
            in_room.entry(room).or_default().push(&device.name);
        }
        let given = wants.iter().filter_map(|want| want.name.clone());
        let taken = school.devices.values().map(|device| device.name.clone()).chain(given).collect();
        Self { taken, in_room, series: HashMap::new() }
    }

    fn next(&mut self, room: &str) -> Option<Hostname> {
        if !self.series.contains_key(room) {
            let known = self.in_room.get(room).map(Vec::as_slice).unwrap_or_default();
            self.series.insert(room.to_owned(), Series::after(room, known.iter().copied()));
        }
        let name = self.series.get_mut(room)?.next_free(|name| self.taken.contains(name))?;
        self.taken.insert(name.clone());
        Some(name)
    }
}

impl Want<'_> {
    fn uniques(&self) -> Vec<Unique> {
        self.name.clone().map(Unique::Name).into_iter().chain(of_cards(&self.cards)).collect()
    }
}

impl KnownDevice {
    /// What only this device can have.
    pub(super) fn uniques(&self) -> Vec<Unique> {
        std::iter::once(Unique::Name(self.name.clone())).chain(of_cards(&self.cards)).collect()
    }
}

impl DeviceWish {
    fn of(id: DeviceId, device: &KnownDevice, room: String) -> Self {
        let KnownDevice { name, cards, owner, staff, .. } = device.clone();
        Self { id: Some(id), name, room, cards, owner, staff }
    }
}

fn of_cards(cards: &[Interface]) -> impl Iterator<Item = Unique> {
    cards
        .iter()
        .flat_map(|card| [Some(Unique::Card(card.mac)), card.reserved_ip.map(Unique::Address)])
        .flatten()
}

fn uniques(row: &DeviceRow) -> Vec<Unique> {
    let cards = row
        .cards
        .iter()
        .flat_map(|(mac, _, ip)| [Some(Unique::Card(*mac)), ip.map(Unique::Address)])
        .flatten();
    row.name.clone().map(Unique::Name).into_iter().chain(cards).collect()
}

/// Gives a device a card of its line. It takes the place of the only card of its kind, unless that stands in the line, too; a device with
/// several keeps them, since lists mostly name one.
fn set_card(
    cards: &mut Vec<Interface>,
    mac: MacAddr,
    kind: InterfaceKind,
    address: Option<Ipv4Addr>,
    of_row: &[(MacAddr, InterfaceKind, Option<Ipv4Addr>)],
) {
    if let Some(known) = cards.iter_mut().find(|card| card.mac == mac) {
        known.kind = kind;
        known.reserved_ip = address.or(known.reserved_ip);
        return;
    }
    let mut old = cards.iter_mut().filter(|card| card.kind == kind);
    match (old.next(), old.next()) {
        (Some(only), None) if !of_row.iter().any(|(listed, ..)| *listed == only.mac) => {
            only.mac = mac;
            only.reserved_ip = address.or(only.reserved_ip);
        }
        _ => cards.push(Interface { mac, kind, reserved_ip: address }),
    }
}

fn cards_text(cards: &[Interface]) -> String {
    let text = |card: &Interface| match card.kind {
        InterfaceKind::Lan => card.mac.to_string(),
        InterfaceKind::Wlan => format!("{} (WLAN)", card.mac),
    };
    cards.iter().map(text).collect::<Vec<_>>().join(", ")
}

fn addresses_text(cards: &[Interface]) -> String {
    let ips: Vec<String> =
        cards.iter().filter_map(|card| card.reserved_ip).map(|ip| ip.to_string()).collect();
    ips.join(", ")
}
