//! Plans for devices.

use proptest::prelude::*;

use super::*;
use crate::{DhcpMode, Network, NetworkId};

fn empty() -> Fleet {
    let network = Network {
        id: NetworkId::random(),
        name: "Unterricht".into(),
        cidr: "10.77.0.0/22".parse().unwrap(),
        router: Some([10, 77, 0, 1].into()),
        pool_first: [10, 77, 1, 0].into(),
        pool_last: [10, 77, 3, 200].into(),
        lease_secs: 3600,
        mode: DhcpMode::Server,
    };
    let teacher = (UserId::random(), "kur".to_owned(), "Jana Kurz".to_owned());
    Fleet { networks: vec![network], people: vec![teacher], ..Fleet::default() }
}

fn school(text: &str) -> Fleet {
    let mut school = empty();
    let plan = plan_devices(&list(text), &school, "", ALL);
    assert_eq!(wrong(&plan.problems), Vec::<String>::new());
    carry_devices(&mut school, &plan);
    school
}

fn check(school: &Fleet, text: &str, expected: &[&str]) -> Plan<DeviceWish> {
    let plan = plan_devices(&list(text), school, "", ALL);
    assert_eq!(told(&plan), expected, "{text}");
    plan
}

const THREE: &str = "Raum;Name;MAC;MAC WLAN;IP\nR204;pc1;52:54:00:00:00:01;;10.77.0.11\nR204;pc2;52:54:00:00:00:02;52:54:00:00:01:02;\nR205;pc3;52:54:00:00:00:03;;\n";

#[test]
fn new_devices_get_rooms_and_names() {
    let text = "Raum;Name;MAC\nR204;R204-07;52:54:00:00:00:01\nR204;;52:54:00:00:00:02\nRaum 205;;52:54:00:00:00:03\nr204;;52:54:00:00:00:04\n";
    let plan = check(
        &empty(),
        text,
        &[
            "New r204-07: Room >R204; Cards >52:54:00:00:00:01",
            "New r204-pc01: Room >R204; Cards >52:54:00:00:00:02",
            "New r205-pc01: Room >Raum 205; Cards >52:54:00:00:00:03",
            "New r204-pc02: Room >R204; Cards >52:54:00:00:00:04",
        ],
    );
    assert_eq!(plan.places, ["R204", "Raum 205"]);
    // In a room with devices the next name is counted up from theirs.
    let school = school("Raum;Name;MAC\nR204;R204-07;52:54:00:00:00:01\n");
    let plan = plan_devices(&list("Raum;MAC\nR204;52:54:00:00:00:09\n"), &school, "", SOME);
    assert_eq!(told(&plan), ["New r204-08: Room >R204; Cards >52:54:00:00:00:09"]);
}

#[test]
fn a_device_is_known_by_its_card_and_then_by_its_name() {
    let school = school(THREE);
    check(&school, THREE, &[]);
    check(
        &school,
        "Raum;Name;MAC\nR300;neu;52-54-00-00-00-01\nR204;pc2;52:54:00:00:00:99\nR205;;52:54:00:00:00:03\n",
        &[
            "Moved pc1: Name pc1>neu; Room R204>R300",
            "Changed pc2: Cards 52:54:00:00:00:02, 52:54:00:00:01:02 (WLAN)>52:54:00:00:00:99, 52:54:00:00:01:02 (WLAN)",
        ],
    );
}

#[test]
fn devices_may_swap_names_rooms_and_addresses() {
    let mut school = school(THREE);
    let swapped = "Raum;Name;MAC;IP\nR205;pc3;52:54:00:00:00:01;10.77.0.12\nR204;pc2;52:54:00:00:00:02;10.77.0.11\nR204;pc1;52:54:00:00:00:03;\n";
    let plan = check(
        &school,
        swapped,
        &[
            "Moved pc1: Name pc1>pc3; Room R204>R205; Addresses 10.77.0.11>10.77.0.12",
            "Changed pc2: Addresses >10.77.0.11",
            "Moved pc3: Name pc3>pc1; Room R205>R204",
        ],
    );
    carry_devices(&mut school, &plan);
    check(&school, swapped, &[]);
}

#[test]
fn what_another_device_keeps_cannot_be_had_and_refusals_go_on() {
    let school = school(THREE);
    // pc1 wants to be pc2, which is renamed to pc3, which stays: neither is possible.
    let text = "Raum;Name;MAC\nR204;pc2;52:54:00:00:00:01\nR204;pc3;52:54:00:00:00:02\n";
    let plan = plan_devices(&list(text), &school, "", SOME);
    assert_eq!(
        (told(&plan), wrong(&plan.problems)),
        (vec![], vec!["2 NameTaken".to_owned(), "3 NameTaken".to_owned()])
    );
    let text = "Raum;Name;MAC;IP\nR204;pc9;52:54:00:00:00:09;10.77.0.11\n";
    let plan = plan_devices(&list(text), &school, "", SOME);
    assert_eq!(wrong(&plan.problems), ["2 AddressTaken"]);
    // What is removed keeps nothing.
    check(
        &school,
        text,
        &[
            "New pc9: Room >R204; Cards >52:54:00:00:00:09; Addresses >10.77.0.11",
            "Removed pc1",
            "Removed pc2",
            "Removed pc3",
        ],
    );
}

#[test]
fn lines_that_contradict_each_other_name_both() {
    let text = "Raum;Name;MAC;MAC WLAN;IP\nR1;a;52:54:00:00:00:01;;10.77.0.5\nR1;b;52:54:00:00:00:01;;\nR1;A;52:54:00:00:00:02;;\n\
        R1;c;52:54:00:00:00:03;;10.77.0.5\nR1;d;52:54:00:00:00:04;52:54:00:00:00:01;\n";
    let plan = plan_devices(&list(text), &empty(), "", SOME);
    assert_eq!(wrong(&plan.problems), ["3/2 SameCard", "4/2 SameName", "5/2 SameAddress", "6/2 SameCard"]);
    let school = school(THREE);
    let text = "Raum;Name;MAC;MAC WLAN\nR204;;52:54:00:00:00:01;52:54:00:00:01:02\nR204;pc2;52:54:00:00:00:02;\nR204;pc2-wlan;;52:54:00:00:01:02\n";
    let plan = plan_devices(&list(text), &school, "", ALL);
    assert_eq!(wrong(&plan.problems), ["2 TwoDevices", "4/2 SameCard"]);
    assert_eq!(told(&plan), ["Removed pc3"], "what a bad line may mean is kept");
    let text = "Raum;Name;MAC;MAC WLAN\nR204;pc2;52:54:00:00:00:02;\nR204;pc2-wlan;;52:54:00:00:01:02\n";
    assert_eq!(wrong(&plan_devices(&list(text), &school, "", SOME).problems), ["3/2 SameDevice"]);
}

#[test]
fn addresses_owners_and_flags_that_make_no_sense_cost_only_themselves() {
    let text = "Raum;Name;MAC;IP;Besitzer;Lehrergerät\n\
        R1;a;52:54:00:00:00:01;10.99.0.1;kur;ja\nR1;b;52:54:00:00:00:02;10.77.0.1;Jana Kurz;\nR1;c;52:54:00:00:00:03;x;niemand;vielleicht\n";
    let plan = check(
        &empty(),
        text,
        &[
            "New a: Room >R1; Cards >52:54:00:00:00:01; Owner >kur; Staff false>true",
            "New b: Room >R1; Cards >52:54:00:00:00:02; Owner >kur",
            "New c: Room >R1; Cards >52:54:00:00:00:03",
        ],
    );
    assert_eq!(wrong(&plan.problems), ["2 NoNetwork", "3 Router", "4 NoAddress", "4 NoFlag", "4 NoOwner"]);
    let plan = plan_devices(&list("pc1,52:54:00:00:00:01\npc2,52:54:00:00:00:02\n"), &empty(), "", SOME);
    assert_eq!(wrong(&plan.problems), ["1 NoRoom", "2 NoRoom"]);
    let plan =
        plan_devices(&list("pc1,52:54:00:00:00:01\npc2,52:54:00:00:00:02\n"), &empty(), " Lager ", SOME);
    assert_eq!((plan.counts().new, plan.places), (2, vec!["Lager".to_owned()]));
}

#[test]
fn removal_needs_a_complete_file_and_many_need_a_word() {
    let school = school(THREE);
    let one = "Raum;Name;MAC\nR204;pc1;52:54:00:00:00:01\n";
    let plan = check(&school, one, &["Removed pc2", "Removed pc3"]);
    assert!(plan.is_alarming());
    assert!(plan_devices(&list(one), &school, "", SOME).is_empty());
    // A line with a bad address for its card still names the device.
    check(&school, &format!("{one}R204;pc2;52:54:00:00:00:zz\nR205;;52:54:00:00:00:03\n"), &[]);
}

#[test]
fn a_large_school_is_planned_in_a_moment() {
    let line = |n: usize| {
        let mac = format!("52:54:00:{:02x}:{:02x}:{:02x}", n >> 16, (n >> 8) & 255, n & 255);
        format!(
            "R{};{};{mac};10.{}.{}.{};\n",
            n / 30,
            if n.is_multiple_of(3) { String::new() } else { format!("pc{n}") },
            80 + n / 60_000,
            n / 250 % 240,
            n % 250 + 1
        )
    };
    let text = format!("Raum;Name;MAC;IP;Besitzer\n{}", (0..26_000).map(line).collect::<String>());
    let mut school = empty();
    school.networks[0].cidr = "10.64.0.0/10".parse().unwrap();
    #[expect(clippy::disallowed_methods, reason = "what is measured is time")]
    let began = std::time::Instant::now();
    let file = list(&text);
    let read = began.elapsed();
    let plan = plan_devices(&file, &school, "", ALL);
    let planned = began.elapsed();
    assert_eq!((plan.counts().new, plan.counts().problems), (26_000, 0));
    carry_devices(&mut school, &plan);
    #[expect(clippy::disallowed_methods, reason = "what is measured is time")]
    let began = std::time::Instant::now();
    assert_eq!(plan_devices(&file, &school, "", ALL).unchanged, 26_000);
    let again = began.elapsed();
    println!(
        "26,000 devices: read {read:?}, read and planned {planned:?}, planned against themselves {again:?}"
    );
    assert!(planned.as_secs() < 5 && again.as_secs() < 5, "{planned:?} {again:?}");
}

fn row() -> impl Strategy<Value = String> {
    let mac = |kind: &'static str| {
        prop_oneof![Just(String::new()), "[1-8]".prop_map(move |n| format!("52:54:00:00:{kind}:0{n}"))]
    };
    let ip = prop_oneof![Just(String::new()), "[1-6]".prop_map(|n| format!("10.77.0.{n}"))];
    ("(R1|R2|r1|)", "(pc[1-6]|)", mac("00"), mac("01"), ip, "(kur|x|)", "(ja|nein|)").prop_map(
        |(room, name, lan, wlan, ip, owner, staff)| {
            format!("{room};{name};{lan};{wlan};{ip};{owner};{staff}\n")
        },
    )
}

fn file() -> impl Strategy<Value = String> {
    let rows = proptest::collection::vec(row(), 1..10);
    rows.prop_map(|rows| format!("Raum;Name;MAC LAN;MAC WLAN;IP;Besitzer;Lehrergerät\n{}", rows.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_plan_that_was_carried_out_leaves_nothing_to_do(files in proptest::collection::vec((file(), any::<bool>()), 1..4)) {
        let mut school = empty();
        for (text, complete) in files {
            let file = list(&text);
            let options = Options { complete };
            let plan = plan_devices(&file, &school, "Lager", options);
            carry_devices(&mut school, &plan);
            // What a line could not have, it may have once another line's device has given it away.
            let is_refused = |problem: &Problem| !problem.what.is_hint();
            let rounds = if plan.problems.iter().any(is_refused) { 9 } else { 0 };
            for _ in 0..rounds {
                let again = plan_devices(&file, &school, "Lager", options);
                carry_devices(&mut school, &again);
            }
            let again = plan_devices(&file, &school, "Lager", options);
            prop_assert_eq!(told(&again), Vec::<String>::new(), "{}", text);
        }
    }
}
