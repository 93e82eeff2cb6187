//! What should stand in the kernel: from what the inventory says, who has which address, and the time.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr};

use inventory::gate::{Book, Cause, GateDevice, GatedNetwork, Layer, Segment, Target};
use inventory::{Cidr, DeviceId, ExamId, HeldAddress, Level, MacAddr, StraySeen, UnixMillis};

use super::script::Batch;
use super::state::{Action, Element, Frame, Line, Member, Number, Pair, State, TIMED};
use crate::clients::{Card, Client, Clients};

/// What is known of the school.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    pub(crate) devices: Vec<GateDevice>,
    /// Positions of the devices that a rule for a target may be about.
    about: HashMap<Target, Vec<usize>>,
    /// Whose a card is.
    owners: HashMap<MacAddr, Number>,
    pub(crate) book: Book,
    /// Networks the gate guards.
    pub(crate) networks: Vec<GatedNetwork>,
    /// All networks.
    pub(crate) school: Vec<Cidr>,
    /// Hardware and IP addresses that leases and reservations explain, by device.
    /// Those of guarded networks that belong to no device stand under 0.
    addresses: HashMap<Number, Vec<Pair>>,
    /// When a lease ends that explains one of them.
    pub(crate) addresses_end: Option<UnixMillis>,
    /// Names and addresses of this machine's interfaces.
    pub(crate) interfaces: Vec<(String, Ipv4Addr)>,
}

/// For which devices something may have changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// For those that rules about these are about.
    Targets(HashSet<Target>),
    /// For all.
    All,
}

impl Scope {
    /// Both together.
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Targets(mut some), Self::Targets(more)) => {
                some.extend(more);
                Self::Targets(some)
            }
            _ => Self::All,
        }
    }
}

/// What holds for the devices.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// What DNS has to know.
    pub(crate) clients: Clients,
    /// What each device that was looked at may do, where that is known: without an address, the network says nothing.
    pub(crate) levels: Vec<(DeviceId, Level, Option<UnixMillis>)>,
    /// The devices that sit an exam.
    pub(crate) sitting: HashMap<Number, Sitter>,
    /// When something changes next.
    pub(crate) next: Option<UnixMillis>,
}

/// A device that sits an exam.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sitter {
    pub(crate) exam: ExamId,
    pub(crate) device: DeviceId,
    pub(crate) name: String,
}

impl Facts {
    /// The part that seldom changes, and the guarded networks in which no interface has an address.
    pub(crate) fn frame(&self, dns_port: u16, page_port: u16) -> (Frame, Vec<Cidr>) {
        let mut links: BTreeMap<String, Level> = BTreeMap::new();
        let mut nowhere = Vec::new();
        for network in &self.networks {
            let mut here = self.interfaces.iter().filter(|(_, ip)| network.cidr.contains(*ip)).peekable();
            if here.peek().is_none() {
                nowhere.push(network.cidr);
            }
            for (name, _) in here {
                let level = links.entry(name.clone()).or_insert(network.setting.level);
                *level = network.setting.level.max(*level);
            }
        }
        let frame = Frame {
            links,
            networks: self.networks.iter().map(|network| (network.cidr, network.setting.level)).collect(),
            school: self.school.clone(),
            hidden: self.networks.iter().filter(|network| network.nat).map(|network| network.cidr).collect(),
            dns_port,
            page_port,
        };
        (frame, nowhere)
    }

    /// Takes in the devices.
    pub(crate) fn set_devices(&mut self, devices: Vec<GateDevice>) {
        self.about.clear();
        for (at, device) in devices.iter().enumerate() {
            let subject = &device.subject;
            let rooms = [Some(subject.room), subject.visit.map(|(room, _)| room)].into_iter().flatten();
            let targets = [Some(Target::Device(subject.device)), subject.owner.map(Target::User)];
            let groups = subject.groups.iter().copied().map(Target::Group);
            for target in targets.into_iter().flatten().chain(rooms.map(Target::Room)).chain(groups) {
                self.about.entry(target).or_default().push(at);
            }
        }
        self.owners = devices.iter().flat_map(|d| d.cards.iter().map(|(mac, _)| (*mac, d.number))).collect();
        self.devices = devices;
    }

    /// Brings the levels of devices to what they should be.
    pub(crate) fn carry_out(&self, scope: &Scope, state: &mut State, batch: &mut Batch, plan: &mut Plan) {
        plan.levels.clear();
        match scope {
            Scope::All => {
                plan.clients = self.strangers();
                plan.next = None;
                plan.sitting.clear();
                self.devices.iter().for_each(|device| self.carry_out_one(device, state, batch, plan));
                self.forget_deleted(state, batch);
            }
            Scope::Targets(targets) => {
                let about = targets.iter().filter_map(|target| self.about.get(target)).flatten();
                let devices: BTreeSet<usize> = about.copied().collect();
                let devices = devices.into_iter().filter_map(|at| self.devices.get(at));
                devices.for_each(|device| self.carry_out_one(device, state, batch, plan));
            }
        }
    }

    fn carry_out_one(&self, device: &GateDevice, state: &mut State, batch: &mut Batch, plan: &mut Plan) {
        let now = batch.now();
        let segments = self.book.timeline(&device.subject, now, TIMED + 2);
        let line = line(&segments);
        state.set_line(batch, device.number, &line);
        let (action, until) = line.at(now);
        let (cause, said, next) = segments.first().map_or((Cause::Network, None, None), |first| {
            (first.verdict.cause, first.verdict.setting, first.until)
        });
        // The next rule may say the same level with another allow list.
        plan.next = [plan.next, until, next].into_iter().flatten().min();
        let sitter = self.sitter(device, cause);
        state.watched.put(
            batch,
            device.number,
            sitter.is_some().then_some(Element { value: Member, ends: next }),
        );
        match sitter {
            Some(sitter) => plan.sitting.insert(device.number, sitter),
            None => plan.sitting.remove(&device.number),
        };
        let addresses = self.addresses.get(&device.number).map(Vec::as_slice).unwrap_or_default();
        let network = |pair: &Pair| self.guards(pair.1);
        let home = addresses.iter().find_map(network);
        // Nobody is told anything of a device that is in a network which the gate leaves alone.
        let guarded = addresses.is_empty() || home.is_some();
        let level = action.0.filter(|_| guarded).or(home.map(|network| network.setting.level));
        let member = |is: bool| is.then_some(Element { value: Member, ends: until });
        state.free.put(batch, device.number, member(level == Some(Level::On)));
        let shown = matches!(level, Some(Level::Off | Level::AllowList));
        state.shown.put(batch, device.number, member(shown));
        let filter = self.book.filter(&device.subject, now);
        let card =
            Card { number: device.number, level: action.0, filter, list: said.map(|setting| setting.list) };
        plan.clients.cards.extend(device.cards.iter().map(|(mac, _)| (*mac, card)));
        let Some(level) = level else { return };
        plan.levels.push((device.subject.device, level, until));
        for pair in addresses {
            let Some(here) = network(pair) else { continue };
            let client = Client {
                number: device.number,
                level: action.0.unwrap_or(here.setting.level),
                filter: filter.or(here.filter),
                list: said.map_or(here.setting.list, |setting| setting.list),
            };
            plan.clients.devices.insert(IpAddr::V4(pair.1), client);
        }
    }

    fn sitter(&self, device: &GateDevice, cause: Cause) -> Option<Sitter> {
        let Cause::Rule(id, Layer::Exam) = cause else { return None };
        let exam = self.book.rule(id)?.exam?;
        Some(Sitter { exam, device: device.subject.device, name: device.name.to_string() })
    }

    /// Notes who has which address: from leases, and from reservations, which need no lease. Returns the devices for which that is new; when
    /// somebody lost an address, DNS has to forget it, which only all together do.
    pub(crate) fn explain(&mut self, leases: impl IntoIterator<Item = HeldAddress>) -> Scope {
        let mut found: HashMap<Number, Vec<Pair>> = HashMap::new();
        self.addresses_end = None;
        for (mac, ip, ends) in leases {
            let owner =
                self.owners.get(&mac).copied().or_else(|| self.guards(ip).is_some().then_some(NOBODY));
            let Some(number) = owner else { continue };
            found.entry(number).or_default().push(Pair(mac, ip));
            self.addresses_end = Some(self.addresses_end.map_or(ends, |first| first.min(ends)));
        }
        for device in &self.devices {
            let reserved = device.cards.iter().filter_map(|(mac, ip)| Some(Pair(*mac, (*ip)?)));
            found.entry(device.number).or_default().extend(reserved);
        }
        for pairs in found.values_mut() {
            pairs.sort_unstable();
            pairs.dedup();
        }
        let before = std::mem::replace(&mut self.addresses, found);
        let has = |number, pair| self.addresses.get(number).is_some_and(|pairs| pairs.contains(pair));
        // What nobody's card lost is of no interest to anybody.
        let mut known = before.iter().filter(|(number, _)| **number != NOBODY);
        if known.any(|(number, pairs)| pairs.iter().any(|pair| !has(number, pair))) {
            return Scope::All;
        }
        let new = self.devices.iter().filter(|d| before.get(&d.number) != self.addresses.get(&d.number));
        Scope::Targets(new.map(|device| Target::Device(device.subject.device)).collect())
    }

    /// The guarded network that an address lies in.
    fn guards(&self, ip: Ipv4Addr) -> Option<&GatedNetwork> {
        self.networks.iter().find(|network| network.cidr.contains(ip))
    }

    /// A pair that fell through in the kernel, with its network; none if something explains it after all.
    pub(crate) fn stray(&self, pair: Pair) -> Option<StraySeen> {
        let Pair(mac, ip) = pair;
        let network = self.guards(ip)?;
        let number = self.owners.get(&mac).unwrap_or(&NOBODY);
        let explained = self.addresses.get(number).is_some_and(|pairs| pairs.contains(&pair));
        let ours = self.interfaces.iter().any(|(_, own)| *own == ip);
        (!explained && !ours).then_some((network.id, mac, ip))
    }

    /// Brings the maps by which packets are recognised to what they should be.
    pub(crate) fn identify(&self, state: &mut State, batch: &mut Batch) {
        let lasting = |number: Number| Element { value: number, ends: None };
        let pairs = self
            .addresses
            .iter()
            .flat_map(|(number, pairs)| pairs.iter().map(|pair| (*pair, lasting(*number))));
        state.pairs.put_all(batch, pairs.collect());
        let cards =
            self.devices.iter().flat_map(|d| d.cards.iter().map(|(mac, _)| (*mac, lasting(d.number))));
        state.cards.put_all(batch, cards.collect());
    }

    /// What holds for addresses that no device explains.
    fn strangers(&self) -> Clients {
        let stranger = |network: &GatedNetwork| Client {
            number: 0,
            level: network.setting.level,
            filter: network.filter,
            list: network.setting.list,
        };
        let networks = self.networks.iter().map(|network| (network.cidr, stranger(network))).collect();
        let mut links: HashMap<String, Client> = HashMap::new();
        for (name, ip) in &self.interfaces {
            let Some(here) = self.guards(*ip).map(stranger) else { continue };
            // Of several networks on one interface the strictest, as in the kernel.
            let link = links.entry(name.clone()).or_insert(here);
            if link.level < here.level {
                *link = here;
            }
        }
        Clients { networks, links, ..Clients::default() }
    }

    fn forget_deleted(&self, state: &mut State, batch: &mut Batch) {
        let known: HashSet<Number> = self.devices.iter().map(|device| device.number).collect();
        let gone: Vec<Number> = state.numbers().filter(|number| !known.contains(number)).collect();
        for number in gone {
            state.set_line(batch, number, &Line { timed: Vec::new(), last: Action(None) });
            state.free.put(batch, number, None);
            state.shown.put(batch, number, None);
            state.watched.put(batch, number, None);
        }
    }
}

/// A timeline as the kernel can hold it. What does not fit is decided for the strictest of it.
fn line(segments: &[Segment]) -> Line {
    let mut steps: Vec<(Action, Option<UnixMillis>)> = Vec::with_capacity(segments.len());
    for segment in segments {
        let action = Action(segment.verdict.setting.map(|setting| setting.level));
        match steps.last_mut().filter(|(last, _)| *last == action) {
            Some(last) => last.1 = segment.until,
            None => steps.push((action, segment.until)),
        }
    }
    let (ahead, rest) = steps.split_at(steps.len().saturating_sub(1).min(TIMED));
    let timed = ahead.iter().filter_map(|(action, until)| Some((*action, (*until)?))).collect();
    let last = match rest {
        [(action, None)] => *action,
        // More changes ahead than the kernel can hold: until netd comes back to it, nobody gains from that.
        rest => Action(rest.iter().map(|(action, _)| action.0.unwrap_or(Level::Off)).max()),
    };
    Line { timed, last }
}

/// The number of whoever is no device that we know.
const NOBODY: Number = 0;
