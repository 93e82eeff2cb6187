//! Promises about the gate: rules, exams, timetable, lessons.

use std::collections::{BTreeSet, HashSet};
use std::net::Ipv4Addr;

use inventory::gate::{
    Confirmed, Layer, NewExam, NewRule, NewSlot, Of, Place, RoomControl, RoomGate, Sitting, Target,
};
use inventory::lessons::Grid;
use inventory::{By, Error, Filter, FilterId, Lease, LeaseState, Level, NetworkId, Role, YouTube};

use super::{BY, Open, approved, conflict, network};

fn rule(layer: Layer, target: Target, level: Level, from: u64, to: Option<u64>) -> NewRule {
    let at = |secs| BY.at.plus_secs(secs);
    NewRule { layer, target, setting: level.into(), starts_at: at(from), ends_at: to.map(at) }
}

pub(super) async fn a_later_rule_takes_the_place_of_an_earlier_one_but_exams_stand_beside_each_other(
    open: Open,
) {
    let inventory = open.inventory().await;
    let room = Target::Room(inventory.create_room(BY, "Raum 204").await.unwrap().id);
    inventory.add_rules(BY, &[rule(Layer::Grant, room, Level::On, 0, Some(100))]).await.unwrap();
    inventory.add_rules(BY, &[rule(Layer::Grant, room, Level::Off, 50, Some(70))]).await.unwrap();
    inventory.add_rules(BY, &[rule(Layer::Grant, room, Level::On, 200, None)]).await.unwrap();
    for _ in 0..2 {
        inventory.add_rules(BY, &[rule(Layer::Exam, room, Level::AllowList, 0, Some(80))]).await.unwrap();
    }
    let (book, problems) = inventory.gate_book(BY.at).await.unwrap();
    assert!(problems.is_empty());
    let mut spans: Vec<_> = book
        .rules()
        .map(|rule| {
            (
                rule.layer.text(),
                (rule.starts_at.0 - BY.at.0) / 1000,
                rule.ends_at.map(|e| (e.0 - BY.at.0) / 1000),
            )
        })
        .collect();
    spans.sort_unstable();
    let grants = [("grant", 0, Some(50)), ("grant", 50, Some(70)), ("grant", 200, None)];
    assert_eq!(spans, [&[("exam", 0, Some(80)), ("exam", 0, Some(80))][..], &grants[..]].concat());

    let later = By { at: BY.at.plus_secs(60), ..BY };
    assert_eq!(
        inventory.end_rules(later, Layer::Grant, room).await.unwrap(),
        2,
        "the one that runs and the one to come"
    );
    let (book, _) = inventory.gate_book(later.at).await.unwrap();
    let exam = book.rules().find(|rule| rule.layer == Layer::Exam).unwrap().id;
    assert!(book.rules().all(|rule| rule.layer == Layer::Exam || !rule.holds(later.at)));
    inventory.end_rule(later, exam).await.unwrap();
    assert!(matches!(inventory.end_rule(later, exam).await, Err(Error::NotFound { .. })));
    let history = inventory.rule_history(room, 3).await.unwrap();
    assert_eq!(history.len(), 3, "what ended is remembered, and no more than was asked for");
    assert!(
        inventory.rule_history(Target::Device(inventory::DeviceId::random()), 3).await.unwrap().is_empty()
    );
}

pub(super) async fn rules_about_nothing_and_rules_that_end_before_they_begin_are_refused(open: Open) {
    let inventory = open.inventory().await;
    let nowhere = Target::Room(inventory::RoomId::random());
    let room = Target::Room(inventory.create_room(BY, "Raum 204").await.unwrap().id);
    let good = rule(Layer::Grant, room, Level::On, 0, Some(100));
    let refused = inventory.add_rules(BY, &[good, rule(Layer::Grant, nowhere, Level::On, 0, None)]).await;
    assert!(matches!(refused, Err(Error::NotFound { what: "room", .. })));
    conflict(inventory.add_rules(BY, &[good, rule(Layer::Grant, room, Level::On, 5, Some(5))]).await);
    assert_eq!(inventory.gate_book(BY.at).await.unwrap().0.rules().count(), 0, "all or none");
}

pub(super) async fn the_gate_is_told_of_rooms_groups_owners_and_visits(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let other = inventory.create_room(BY, "Raum 205").await.unwrap();
    let class = inventory.create_group(BY, "7b").await.unwrap();
    let carts = inventory.create_group(BY, "iPad-Wagen").await.unwrap();
    let pupil = inventory.create_user(BY, "lea", "x", Role::Pupil).await.unwrap();
    let teacher = inventory.create_user(BY, "herr-kurz", "x", Role::Teacher).await.unwrap();
    inventory.add_to_group(BY, class.id, &[pupil, teacher], &[]).await.unwrap();
    inventory.add_to_group(BY, carts.id, &[], &[device]).await.unwrap();
    inventory.set_owner(BY, device, Some(pupil), false).await.unwrap();
    inventory.set_visit(BY, device, Some((other.id, BY.at.plus_secs(60)))).await.unwrap();
    inventory
        .set_room_gate(
            BY,
            other.id,
            RoomGate {
                place: Place { setting: Some(Level::Off.into()), filter: None },
                control: RoomControl::Inside,
            },
        )
        .await
        .unwrap();

    let told = async |of| inventory.gate_devices(of).await.unwrap().0;
    let all = told(Of::School).await;
    let [told_one] = all.as_slice() else { panic!("{all:?}") };
    let subject = &told_one.subject;
    assert_eq!((subject.device, subject.staff, subject.owner), (device, false, Some(pupil)));
    assert_eq!(HashSet::from_iter(subject.groups.iter().copied()), HashSet::from([class.id, carts.id]));
    assert_eq!(subject.room_at(BY.at), other.id);
    let (book, _) = inventory.gate_book(BY.at).await.unwrap();
    assert_eq!(book.verdict(subject, BY.at).setting, Some(Level::Off.into()));
    assert_eq!(book.verdict(subject, BY.at.plus_secs(60)).setting, None);
    assert_eq!(inventory.room_gate(other.id).await.unwrap().control, RoomControl::Inside);
    for target in [
        Target::Room(other.id),
        Target::Room(subject.room),
        Target::Group(class.id),
        Target::Group(carts.id),
        Target::Device(device),
        Target::User(pupil),
    ] {
        assert_eq!(told(Of::Target(target)).await, all, "{target:?}");
    }
    assert!(told(Of::Target(Target::User(teacher))).await.is_empty());
    inventory.set_owner(BY, device, Some(teacher), false).await.unwrap();
    assert!(
        told(Of::School).await.iter().all(|device| device.subject.staff),
        "what belongs to a teacher is the staff's"
    );
    let groups = inventory.groups_of(teacher).await.unwrap();
    assert_eq!(groups, std::slice::from_ref(&class));

    let filter = Filter {
        id: FilterId::random(),
        name: "Jugend".into(),
        safe_search: true,
        youtube: YouTube::Free,
        lists: Vec::new(),
    };
    inventory.put_filter(BY, &filter).await.unwrap();
    let place = Place { setting: Some(Level::Filtered.into()), filter: Some(filter.id) };
    inventory.set_group_gate(BY, class.id, place).await.unwrap();
    inventory.set_room_gate(BY, other.id, RoomGate { place, control: RoomControl::Admins }).await.unwrap();
    assert_eq!(inventory.group_gate(class.id).await.unwrap(), place);
    assert_eq!(inventory.room_gate(other.id).await.unwrap().place, place);
    inventory.delete_filter(BY, filter.id).await.unwrap();
    assert_eq!(inventory.group_gate(class.id).await.unwrap().filter, None, "they go on without it");
}

pub(super) async fn devices_keep_their_numbers_and_numbers_are_never_reused(open: Open) {
    let inventory = open.inventory().await;
    let (first, second) = (approved(&inventory, 1).await, approved(&inventory, 2).await);
    let numbers = async || -> Vec<(u32, inventory::DeviceId)> {
        let (devices, _) = inventory.gate_devices(Of::School).await.unwrap();
        devices.iter().map(|device| (device.number, device.subject.device)).collect()
    };
    assert_eq!(numbers().await, [(1, first), (2, second)]);
    inventory.delete_device(BY, second).await.unwrap();
    let third = approved(&inventory, 3).await;
    assert_eq!(numbers().await, [(1, first), (3, third)]);
}

pub(super) async fn what_the_kernel_enforces_is_written_down(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let ends = Some(BY.at.plus_secs(5));
    let gone = inventory::DeviceId::random();
    inventory.confirm_levels(BY, &[(device, Level::On, ends), (gone, Level::On, None)]).await.unwrap();
    inventory.confirm_levels(BY, &[(device, Level::Filtered, ends)]).await.unwrap();
    for of in [Of::School, Of::Target(Target::Device(device))] {
        let confirmed = inventory.confirmed_levels(of).await.unwrap();
        let expected = Confirmed { level: Level::Filtered, ends_at: ends, at: BY.at };
        assert_eq!(confirmed.into_iter().collect::<Vec<_>>(), [(device, expected)]);
    }
    inventory.forget_levels(BY, &[gone]).await.unwrap();
    assert_eq!(inventory.confirmed_levels(Of::School).await.unwrap().len(), 1);
    inventory.forget_levels(BY, &[device]).await.unwrap();
    assert!(inventory.confirmed_levels(Of::School).await.unwrap().is_empty());
}

pub(super) async fn addresses_that_nothing_explains_are_kept_and_bounded(open: Open) {
    let inventory = open.inventory().await;
    let device = approved(&inventory, 1).await;
    let card = inventory.device(device).await.unwrap().unwrap().interfaces.first().unwrap().mac;
    let lan = network("PCs", "10.77.0.0/16", [10, 77, 1, 0], [10, 77, 1, 99]);
    inventory.put_network(BY, &lan).await.unwrap();
    let address = |n: u32| Ipv4Addr::from(0x0a4d_0200 + n);
    let later = |secs| By { actor: "test", at: BY.at.plus_secs(secs) };
    let seen = async |at: By<'static>, pairs: &[_]| inventory.see_strays(at, pairs).await.unwrap();
    let listed = async || {
        let (strays, bad) = inventory.strays(BY.at).await.unwrap();
        assert!(bad.is_empty(), "{bad:?}");
        strays
    };
    seen(BY, &[(lan.id, card, address(1)), (NetworkId::random(), card, address(2))]).await;
    seen(later(60), &[(lan.id, card, address(1))]).await;
    let [stray] = listed().await.try_into().expect("the network of the other is gone");
    assert_eq!((stray.ip, stray.mac, stray.card_of.is_some()), (address(1), card, true));
    assert_eq!((stray.first_seen, stray.last_seen), (BY.at, BY.at.plus_secs(60)));

    let other = "02:00:00:00:00:99".parse().unwrap();
    let lease = Lease {
        ip: address(1),
        client: "x".into(),
        mac: other,
        hostname: None,
        state: LeaseState::Active,
        expires_at: BY.at.plus_secs(100),
    };
    inventory.commit_leases(BY.at, std::slice::from_ref(&lease)).await.unwrap();
    assert_eq!(inventory.held_addresses(BY.at).await.unwrap().0, [(other, address(1), lease.expires_at)]);
    assert!(inventory.held_addresses(lease.expires_at).await.unwrap().0.is_empty());
    seen(later(61), &[(lan.id, other, address(1))]).await;
    assert_eq!(listed().await.len(), 1, "a lease explains the pair");
    inventory.reserve_address(BY, card, Some(address(1))).await.unwrap();
    assert!(listed().await.is_empty(), "and so does a reservation");
    inventory.reserve_address(BY, card, Some(address(3))).await.unwrap();
    seen(later(62), &[(lan.id, other, address(3))]).await;
    assert_eq!(listed().await.first().unwrap().address_of, stray.card_of, "whose the address is");

    let many: Vec<_> = (0..300).map(|n| (lan.id, other, address(100 + n))).collect();
    let (first, rest) = many.split_at(100);
    seen(later(63), first).await;
    seen(later(64), rest).await;
    let left = listed().await;
    assert_eq!(left.len() as i64, inventory::STRAYS_MAX, "the oldest went");
    assert!(left.iter().all(|stray| stray.last_seen >= BY.at.plus_secs(63)));
    seen(later(8 * 24 * 3600), &[]).await;
    assert!(listed().await.is_empty(), "nothing is kept for ever");
}

pub(super) async fn an_exam_and_its_rules_begin_and_end_together(open: Open) {
    let inventory = open.inventory().await;
    let rooms =
        [inventory.create_room(BY, "204").await.unwrap(), inventory.create_room(BY, "205").await.unwrap()];
    let targets = [Target::Room(rooms[0].id), Target::Room(rooms[1].id)];
    let apps = ["com.apple.calculator".parse().unwrap()].into();
    let new = NewExam {
        name: " Mathe 7b ",
        targets: &targets,
        list: None,
        apps: &apps,
        ends_at: BY.at.plus_secs(3600),
    };
    let id = inventory.begin_exam(BY, &new).await.unwrap();
    let exam = inventory.exam(id).await.unwrap().unwrap();
    assert_eq!(
        (exam.name.as_str(), exam.created_by.as_str(), exam.ended_by.as_deref()),
        ("Mathe 7b", "test", None)
    );
    let mut sorted = targets;
    sorted.sort_unstable();
    assert_eq!((&exam.targets[..], &exam.apps), (&sorted[..], &apps));

    let nobody = NewExam { targets: &[], ..new };
    assert!(conflict(inventory.begin_exam(BY, &nobody).await).contains("room or a class"));
    let nameless = NewExam { name: "", ..new };
    conflict(inventory.begin_exam(BY, &nameless).await);
    conflict(inventory.begin_exam(BY, &NewExam { ends_at: BY.at, ..new }).await);
    let nowhere = [targets[0], Target::Room(inventory::RoomId::random())];
    let refused = inventory.begin_exam(BY, &NewExam { targets: &nowhere, ..new }).await;
    assert!(matches!(refused, Err(Error::NotFound { .. })));
    assert_eq!(
        inventory.exams(10).await.unwrap(),
        std::slice::from_ref(&exam),
        "what was refused left nothing"
    );

    let later = |secs| By { actor: "frau", at: BY.at.plus_secs(secs) };
    inventory.set_exam_end(later(10), id, BY.at.plus_secs(7200)).await.unwrap();
    let (book, _) = inventory.gate_book(later(10).at).await.unwrap();
    let ends: Vec<_> = book.rules().map(|rule| (rule.exam, rule.ends_at)).collect();
    assert_eq!(ends, [(Some(id), Some(BY.at.plus_secs(7200))); 2]);
    assert_eq!(inventory.exam(id).await.unwrap().unwrap().ended_by, None);
    inventory.set_exam_end(later(20), id, BY.at).await.unwrap();
    assert_eq!(inventory.gate_book(later(20).at).await.unwrap().0.rules().count(), 0);
    let over = inventory.exam(id).await.unwrap().unwrap();
    assert_eq!((over.ends_at, over.ended_by.as_deref()), (later(20).at, Some("frau")));
    assert!(conflict(inventory.set_exam_end(later(30), id, later(99).at).await).contains("over"));

    let next_year = By { actor: "test", at: BY.at.plus_secs(366 * 86_400) };
    let again = NewExam { ends_at: next_year.at.plus_secs(60), ..new };
    let new = inventory.begin_exam(next_year, &again).await.unwrap();
    let left: Vec<_> = inventory.exams(10).await.unwrap().into_iter().map(|exam| exam.id).collect();
    assert_eq!(left, [new], "a year later it is forgotten");
}

pub(super) async fn what_is_seen_of_an_exam_adds_up(open: Open) {
    let inventory = open.inventory().await;
    let room = inventory.create_room(BY, "204").await.unwrap();
    let (targets, apps) = ([Target::Room(room.id)], BTreeSet::new());
    let new = NewExam { name: "x", targets: &targets, list: None, apps: &apps, ends_at: BY.at.plus_secs(60) };
    let exam = inventory.begin_exam(BY, &new).await.unwrap();
    let absent = Sitting {
        exam,
        device: inventory::DeviceId::random(),
        name: "r204-pc01".into(),
        first_seen: None,
        last_seen: None,
        refused: 0,
        dodged: 0,
    };
    let at = |secs| Some(BY.at.plus_secs(secs));
    let here = Sitting {
        device: inventory::DeviceId::random(),
        name: "r204-pc02".into(),
        first_seen: at(1),
        last_seen: at(1),
        ..absent.clone()
    };
    let of_nothing = Sitting { exam: inventory::ExamId::random(), ..absent.clone() };
    inventory.note_sittings(BY, &[here.clone(), absent.clone(), of_nothing.clone()]).await.unwrap();
    let busy = Sitting { first_seen: at(5), last_seen: at(5), refused: 3, dodged: 1, ..here.clone() };
    let quiet = Sitting { first_seen: None, last_seen: None, refused: 2, ..here.clone() };
    inventory.note_sittings(BY, &[busy, quiet]).await.unwrap();
    let sum = Sitting { last_seen: at(5), refused: 5, dodged: 1, ..here };
    assert_eq!(inventory.sittings(exam).await.unwrap(), [absent, sum]);
    assert!(inventory.sittings(of_nothing.exam).await.unwrap().is_empty());
}

pub(super) async fn the_timetable_makes_rules_of_the_days_ahead(open: Open) {
    let inventory = open.inventory().await;
    let room = Target::Room(inventory.create_room(BY, "204").await.unwrap().id);
    let slot = NewSlot {
        target: room,
        setting: Level::Off.into(),
        days: vec![1, 2, 3, 4, 5, 6, 7],
        starts: 0,
        ends: 1440,
        school_days: false,
    };
    let id = inventory.add_slot(BY, &slot).await.unwrap();
    let stored = inventory.timetable().await.unwrap().0.remove(0);
    assert_eq!((stored.id, &stored.new, stored.created_by.as_str()), (id, &slot, "test"));
    let (book, bad) = inventory.gate_book(BY.at).await.unwrap();
    assert!(bad.is_empty());
    let rules: Vec<_> = book.rules().filter(|rule| rule.layer == Layer::Timetable).collect();
    assert!(rules.len() >= 3 && rules.iter().all(|rule| rule.target == room));
    assert_eq!(rules.iter().filter(|rule| rule.holds(BY.at)).count(), 1, "one of them is today's");

    conflict(inventory.add_slot(BY, &NewSlot { days: Vec::new(), ..slot.clone() }).await);
    conflict(inventory.add_slot(BY, &NewSlot { days: vec![8], ..slot.clone() }).await);
    conflict(inventory.add_slot(BY, &NewSlot { starts: 600, ends: 600, ..slot.clone() }).await);
    let nowhere = NewSlot { target: Target::Room(inventory::RoomId::random()), ..slot };
    assert!(matches!(inventory.add_slot(BY, &nowhere).await, Err(Error::NotFound { .. })));
    inventory.delete_slot(BY, id).await.unwrap();
    assert!(matches!(inventory.delete_slot(BY, id).await, Err(Error::NotFound { .. })));
    assert_eq!(inventory.gate_book(BY.at).await.unwrap().0.rules().count(), 0);
}

pub(super) async fn lessons_are_kept(open: Open) {
    let inventory = open.inventory().await;
    assert_eq!(inventory.grid().await.unwrap(), Grid::default());
    let (week, wrong) = inventory::lessons::parse_week("1;8:00;8:45\n2;8:50;9:35\nSa;1;9:00;9:45");
    assert!(wrong.is_empty());
    let holiday = inventory::lessons::SpecialDays {
        first: "2026-12-21".parse().unwrap(),
        last: "2027-01-05".parse().unwrap(),
        name: "Weihnachtsferien".into(),
        lessons: Vec::new(),
    };
    let grid = Grid { week, special: vec![holiday] };
    for _ in 0..2 {
        inventory.set_grid(BY, &grid).await.unwrap();
        assert_eq!(inventory.grid().await.unwrap(), grid);
    }
}
