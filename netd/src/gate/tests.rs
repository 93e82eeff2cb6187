//! The gate without a kernel: a model takes the scripts as nft would, and time passes.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use inventory::gate::{Book, GateDevice, GatedNetwork, Layer, Place, Rule, Subject, Target};
use inventory::{DeviceId, Level, MacAddr, NetworkId, RoomId, RuleId, UnixMillis};
use proptest::prelude::*;

use super::plan::{Facts, Plan, Scope};
use super::script::{self, Batch};
use super::state::{Action, Pair, State};
use super::strays::Strays;

const MINUTE: i64 = 60_000;

fn at(minute: i64) -> UnixMillis {
    UnixMillis(1_700_000_000_000 + minute * MINUTE)
}

fn id(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

fn device(number: u32) -> GateDevice {
    let n = u8::try_from(number).unwrap();
    GateDevice {
        number,
        name: format!("pc{n}x").parse().unwrap(),
        subject: Subject {
            device: DeviceId(id(number.into())),
            room: RoomId(id(204)),
            visit: None,
            owner: None,
            groups: Vec::new(),
            staff: false,
        },
        cards: vec![(inventory::MacAddr([2, 0, 0, 0, 0, n]), Some([10, 77, 1, n].into()))],
    }
}

fn facts(rules: Vec<Rule>, room: Option<Level>) -> Facts {
    let place = Place { setting: room.map(Into::into), filter: None };
    let mut facts = Facts::default();
    facts.book = Book::new(rules, HashMap::from([(RoomId(id(204)), place)]), HashMap::new());
    facts.networks = vec![GatedNetwork {
        id: NetworkId(id(1)),
        cidr: "10.77.0.0/16".parse().unwrap(),
        setting: Level::Filtered.into(),
        filter: None,
        nat: true,
    }];
    facts.interfaces = vec![("lan0".into(), [10, 77, 0, 1].into())];
    facts.set_devices(vec![device(1), device(2)]);
    let _ = facts.explain([]);
    facts
}

fn rule(n: u128, layer: Layer, target: Target, level: Level, from: i64, minutes: i64) -> Rule {
    Rule {
        id: RuleId(id(n)),
        layer,
        target,
        setting: level.into(),
        exam: None,
        starts_at: at(from),
        ends_at: Some(at(from + minutes)),
        created_by: "test".into(),
        created_at: at(from),
    }
}

fn room() -> Target {
    Target::Room(RoomId(id(204)))
}

/// What nft does with the elements of our sets.
#[derive(Default)]
struct Kernel(HashMap<(String, String), (String, Option<i64>)>);

impl Kernel {
    /// Carries out a script at that time; refuses what the kernel refuses.
    fn take(&mut self, script: &str, now: UnixMillis) {
        self.0.retain(|_, (_, ends)| ends.is_none_or(|ends| now.0 < ends));
        for line in script.lines() {
            let (verb, rest) = line.split_once(" element inet hausmeister ").unwrap();
            let (set, elements) = rest.trim_end_matches(" }").split_once(" { ").unwrap();
            for element in elements.split(", ") {
                let (key, value) = element.split_once(" : ").unwrap_or((element, ""));
                let (key, ends) = match key.split_once(" timeout ") {
                    Some((key, millis)) => {
                        (key, Some(now.0 + millis.trim_end_matches("ms").parse::<i64>().unwrap()))
                    }
                    None => (key, None),
                };
                let place = (set.to_owned(), key.to_owned());
                match (verb, self.0.get(&place)) {
                    ("add", Some((known, _))) => assert_eq!(known, value, "{set} {key}: EEXIST"),
                    ("add", None) => drop(self.0.insert(place, (value.to_owned(), ends))),
                    ("delete", Some(_)) => drop(self.0.remove(&place)),
                    (verb, known) => panic!("{verb} {set} {key}: {known:?}"),
                }
            }
        }
    }

    fn lookup(&self, set: &str, key: &str, now: UnixMillis) -> Option<&str> {
        let (value, ends) = self.0.get(&(set.to_owned(), key.to_owned()))?;
        ends.is_none_or(|ends| now.0 < ends).then_some(value.as_str())
    }

    /// What becomes of a packet of that device.
    fn action(&self, number: u32, now: UnixMillis) -> String {
        let maps = ["first", "second", "third", "last"];
        let found = maps.iter().find_map(|map| self.lookup(map, &number.to_string(), now));
        found.unwrap_or("goto standard").to_owned()
    }
}

fn carry_out(facts: &Facts, state: &mut State, kernel: &mut Kernel, now: UnixMillis) -> usize {
    let mut batch = Batch::new(now);
    facts.identify(state, &mut batch);
    facts.carry_out(&Scope::All, state, &mut batch, &mut Plan::default());
    let script = batch.script();
    kernel.take(&script, now);
    script.lines().count()
}

#[test]
fn what_ends_by_itself_needs_no_correction() {
    let facts = facts(vec![rule(1, Layer::Grant, room(), Level::On, 0, 10)], Some(Level::Off));
    let (mut state, mut kernel) = (State::default(), Kernel::default());
    carry_out(&facts, &mut state, &mut kernel, at(0));
    assert_eq!(kernel.action(1, at(9)), "goto on");
    assert_eq!(kernel.action(1, at(10)), "goto off", "nobody did anything");
    // Only the sets of the resolver and of the page change, by what netd adds.
    let mut batch = Batch::new(at(10));
    facts.carry_out(&Scope::All, &mut state, &mut batch, &mut Plan::default());
    let script = batch.script();
    assert!(
        !script.contains(" first ") && !script.contains(" last ") && script.contains(" shown "),
        "{script}"
    );
}

#[test]
fn more_changes_than_the_kernel_can_hold_end_in_the_strictest() {
    let rules = (0..5).map(|n| {
        let level = if n % 2 == 0 { Level::On } else { Level::AllowList };
        rule(n as u128, Layer::Grant, room(), level, n * 10, 10)
    });
    let facts = facts(rules.collect(), None);
    let (mut state, mut kernel) = (State::default(), Kernel::default());
    carry_out(&facts, &mut state, &mut kernel, at(0));
    let held = [5, 15, 25, 35, 45, 99].map(|minute| kernel.action(1, at(minute)));
    let expected = ["on", "allow_list", "on", "allow_list", "allow_list", "allow_list"];
    assert_eq!(held, expected.map(|chain| format!("goto {chain}")));
}

#[test]
fn a_device_that_is_deleted_leaves_nothing_behind() {
    let mut facts = facts(vec![rule(1, Layer::Grant, room(), Level::On, 0, 10)], Some(Level::Off));
    let (mut state, mut kernel) = (State::default(), Kernel::default());
    carry_out(&facts, &mut state, &mut kernel, at(0));
    facts.set_devices(Vec::new());
    let _ = facts.explain([]);
    carry_out(&facts, &mut state, &mut kernel, at(1));
    assert!(kernel.0.is_empty(), "{:?}", kernel.0);
}

#[test]
fn dns_is_told_who_may_what() {
    let mut facts = facts(vec![rule(1, Layer::Exam, room(), Level::AllowList, 0, 10)], None);
    facts.devices[1].subject.staff = true;
    let mut batch = Batch::new(at(0));
    let mut plan = Plan::default();
    facts.carry_out(&Scope::All, &mut State::default(), &mut batch, &mut plan);
    let level =
        |address: &str| plan.clients.of(address.parse::<IpAddr>().unwrap()).map(|c| (c.number, c.level));
    assert_eq!(level("10.77.1.1"), Some((1, Level::AllowList)));
    assert_eq!(level("10.77.1.2"), Some((2, Level::Filtered)), "the staff has what the network says");
    assert_eq!(level("10.77.9.9"), Some((0, Level::Filtered)), "and so has a stranger");
    assert_eq!(level("192.0.2.1"), None);
    assert_eq!(plan.next, Some(at(10)));
    assert_eq!(plan.levels[0], (DeviceId(id(1)), Level::AllowList, Some(at(10))));
}

#[test]
fn dns_knows_by_its_card_who_asks_over_ipv6() {
    let mut facts = facts(vec![rule(1, Layer::Exam, room(), Level::AllowList, 0, 10)], None);
    facts.devices[1].subject.staff = true;
    let mut plan = Plan::default();
    facts.carry_out(&Scope::All, &mut State::default(), &mut Batch::new(at(0)), &mut plan);
    let level = |card: u8, link: &str| {
        let mac = MacAddr([2, 0, 0, 0, 0, card]);
        plan.clients.of_card(mac, link).map(|client| (client.number, client.level))
    };
    assert_eq!(level(1, "lan0"), Some((1, Level::AllowList)));
    assert_eq!(level(2, "lan0"), Some((2, Level::Filtered)), "the staff has what the network says");
    assert_eq!(level(99, "lan0"), Some((0, Level::Filtered)), "and so has a stranger");
    assert_eq!(level(1, "wan0"), None, "nobody is guarded there");
}

#[test]
fn an_address_that_a_device_lost_is_a_strangers_to_dns() {
    let mut facts = facts(vec![rule(1, Layer::Grant, room(), Level::On, 0, 10)], None);
    let (mut state, mut plan) = (State::default(), Plan::default());
    let lent: std::net::Ipv4Addr = [10, 77, 9, 9].into();
    let mut number_of_lent = |leases: &[inventory::HeldAddress]| {
        let scope = facts.explain(leases.iter().copied());
        facts.carry_out(&scope, &mut state, &mut Batch::new(at(0)), &mut plan);
        plan.clients.of(lent.into()).map(|client| client.number)
    };
    assert_eq!(number_of_lent(&[(inventory::MacAddr([2, 0, 0, 0, 0, 1]), lent, at(10))]), Some(1));
    assert_eq!(number_of_lent(&[]), Some(0));
}

#[test]
fn a_pair_is_a_stray_if_neither_a_lease_nor_a_reservation_explains_it() {
    let mut facts = facts(Vec::new(), None);
    let (known, guest) = (MacAddr([2, 0, 0, 0, 0, 1]), MacAddr([2, 0, 0, 0, 9, 9]));
    let ip = |text: &str| text.parse::<Ipv4Addr>().unwrap();
    let held =
        [(guest, ip("10.77.9.9"), at(10)), (known, ip("10.77.9.1"), at(20)), (guest, ip("192.0.2.1"), at(5))];
    let _ = facts.explain(held);
    assert_eq!(facts.addresses_end, Some(at(10)), "what is in no guarded network does not matter");
    let cases = [
        (known, "10.77.1.1", false, "reserved"),
        (known, "10.77.9.1", false, "leased"),
        (guest, "10.77.9.9", false, "leased to a card that is nobody's"),
        (guest, "10.77.0.1", false, "our own"),
        (known, "192.0.2.9", false, "in no guarded network"),
        (known, "10.77.200.9", true, "invented"),
        (known, "10.77.1.2", true, "another's address"),
        (guest, "10.77.1.1", true, "another's address"),
        (known, "10.77.9.9", true, "a guest's address"),
    ];
    let mut strays = Strays::default();
    let found = cases.map(|(mac, address, ..)| Pair(mac, ip(address)));
    assert!(strays.has_new(&found, &facts) && !strays.has_new(&found[..5], &facts));
    let due = strays.due(&found, &facts, at(0));
    for (mac, address, stray, what) in cases {
        let told = due.contains(&(facts.networks[0].id, mac, ip(address)));
        assert_eq!(told, stray, "{what}");
    }
    let half_a_minute = UnixMillis(at(0).0 + MINUTE / 2);
    assert!(strays.due(&found, &facts, half_a_minute).is_empty(), "at most once a minute");
    assert_eq!(strays.due(&found, &facts, at(1)).len(), due.len());
    strays.forget(&due[..1]);
    assert_eq!(strays.due(&found, &facts, at(1)), due[..1], "what could not be written is tried again");

    let mut batch = Batch::new(at(0));
    facts.identify(&mut State::default(), &mut batch);
    assert!(
        batch.script().contains("02:00:00:00:09:09 . 10.77.9.9 : 0"),
        "the kernel does not take it for a stray"
    );
}

#[test]
fn a_device_in_a_network_that_is_left_alone_is_not_confirmed() {
    let mut facts = facts(vec![rule(1, Layer::Grant, room(), Level::Off, 0, 10)], None);
    let levels = |facts: &Facts| {
        let mut plan = Plan::default();
        facts.carry_out(&Scope::All, &mut State::default(), &mut Batch::new(at(0)), &mut plan);
        (plan.levels.len(), plan.clients.devices.len())
    };
    assert_eq!(levels(&facts), (2, 2));
    facts.networks[0].cidr = "10.78.0.0/16".parse().unwrap();
    assert_eq!(levels(&facts), (0, 0));
}

#[test]
fn a_guarded_network_without_an_interface_is_named() {
    let mut facts = facts(Vec::new(), None);
    let (frame, nowhere) = facts.frame(53, 80);
    assert_eq!(frame.links.get("lan0"), Some(&Level::Filtered));
    assert!(nowhere.is_empty());
    facts.interfaces.clear();
    let (frame, nowhere) = facts.frame(53, 80);
    assert!(frame.links.is_empty() && nowhere == [facts.networks[0].cidr]);
}

#[test]
fn after_a_change_of_rules_only_those_are_looked_at_whom_they_are_about() {
    let mut facts = facts(Vec::new(), Some(Level::Off));
    let (mut state, mut plan) = (State::default(), Plan::default());
    facts.carry_out(&Scope::All, &mut state, &mut Batch::new(at(0)), &mut plan);
    for (target, expected) in [(room(), vec![1, 2]), (Target::Device(DeviceId(id(2))), vec![2])] {
        let rules = vec![rule(1, Layer::Grant, target, Level::On, 0, 10)];
        let book = Book::new(rules, HashMap::new(), HashMap::new());
        let scope = Scope::Targets(book.differing(&facts.book));
        facts.book = book;
        let mut batch = Batch::new(at(1));
        facts.carry_out(&scope, &mut state, &mut batch, &mut plan);
        let looked_at: Vec<u128> = plan.levels.iter().map(|(device, ..)| device.0.as_u128()).collect();
        assert_eq!(looked_at, expected);
        assert_eq!(plan.clients.devices.len(), 2, "the others are still known to DNS");
        assert_eq!(plan.next, Some(at(10)));
        facts.book = Book::default();
    }
}

#[test]
fn the_whole_table_holds_what_the_changes_add_up_to() {
    let facts = facts(vec![rule(1, Layer::Grant, room(), Level::On, 0, 10)], Some(Level::Off));
    let (mut state, mut kernel) = (State::default(), Kernel::default());
    carry_out(&facts, &mut state, &mut kernel, at(0));
    let whole = script::whole(&facts.frame(53, 80).0, &state, at(1));
    let elements: String =
        whole.lines().filter(|l| l.starts_with("add element")).map(|l| format!("{l}\n")).collect();
    let mut anew = Kernel::default();
    anew.take(&elements, at(1));
    for minute in [1, 9, 10, 11] {
        assert_eq!(anew.action(1, at(minute)), kernel.action(1, at(minute)), "{minute}");
    }
    assert_eq!(anew.lookup("pairs", "02:00:00:00:00:01 . 10.77.1.1", at(1)), Some("1"));
}

/// A rule: layer, whether for the room, level, first minute, minutes.
type Seed = (usize, bool, usize, i64, i64);

/// One thing that happens: minutes pass, the rules are these, and so is the room.
fn step() -> impl Strategy<Value = (i64, Vec<Seed>, Option<usize>)> {
    let rules = proptest::collection::vec((0..4usize, any::<bool>(), 0..4usize, -5..15i64, 1..20i64), 0..5);
    (0..12i64, rules, proptest::option::of(0..4usize))
}

proptest! {
    /// Whatever was said before and whenever it changes, the kernel does what is said now; and without netd, what was said to come.
    #[test]
    fn the_kernel_always_does_what_the_rules_say(steps in proptest::collection::vec(step(), 1..8)) {
        let (mut state, mut kernel) = (State::default(), Kernel::default());
        let mut now = 100;
        for (minutes, rules, level) in steps {
            now += minutes;
            let rules = rules.iter().enumerate().map(|(n, (layer, whole, level, from, minutes))| {
                let target = if *whole { room() } else { Target::Device(DeviceId(id(1))) };
                rule(n as u128, Layer::ALL[*layer], target, Level::ALL[*level], now + from, *minutes)
            });
            let facts = facts(rules.collect(), level.map(|level| Level::ALL[level]));
            carry_out(&facts, &mut state, &mut kernel, at(now));
            for device in &facts.devices {
                // What the kernel can hold: three changes ahead. With more, only the first three are exact.
                let line = facts.book.timeline(&device.subject, at(now), 5);
                let exact = if line.len() > 4 || line[line.len() - 1].until.is_some() { 3 } else { line.len() };
                let held_until = line[exact - 1].until.unwrap_or(at(now + 60));
                for minute in now..now + 40 {
                    if at(minute) >= held_until {
                        break;
                    }
                    let setting = facts.book.verdict(&device.subject, at(minute)).setting;
                    let wanted = Action(setting.map(|setting| setting.level)).to_string();
                    prop_assert_eq!(kernel.action(device.number, at(minute)), wanted);
                }
            }
        }
    }
}
