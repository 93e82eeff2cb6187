//! Rules for iPads: kept, and held for whom and when they say.
#![allow(clippy::indexing_slicing, reason = "a broken promise should end the test")]

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use inventory::gate::{NewExam, Target};
use inventory::lessons::Bell;
use inventory::mdm::{Declared, Holding, Moment, NewIpadRule, RuledIpad, When};
use inventory::vault::Vault;
use inventory::{Error, Inventory, IpadRuleId, Lease, LeaseState, RoomId, UnixMillis};
use ipados::profile::{Part, Payload, Wifi, WifiSecurity, WifiStandard};
use ipados::rules::{Content, Preset, Rank};

use super::ipads::{command, enrolled, has_card, room};
use super::{BY, Open, conflict};

fn vault() -> (tempfile::TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(dir.path()).unwrap();
    (dir, vault)
}

fn rule(name: &str, target: Option<Target>, when: When) -> NewIpadRule {
    NewIpadRule { name: name.into(), target, when, content: Content::default() }
}

fn moment(lesson: bool, school: bool) -> Moment {
    Moment { at: BY.at, bell: Bell { lesson, school, until: UnixMillis(i64::MAX) } }
}

async fn ipad(inventory: &Inventory) -> RuledIpad {
    let (mut ipads, problems) = inventory.ruled_ipads(BY.at).await.unwrap();
    assert!(problems.is_empty(), "{problems:?}");
    ipads.pop().unwrap()
}

pub(super) async fn rules_for_ipads_are_kept_sealed(open: Open) {
    let inventory = open.inventory().await;
    let (_dir, vault) = vault();
    let wifi = Wifi {
        ssid: "Schule".parse().unwrap(),
        hidden: false,
        auto_join: true,
        own_address: true,
        security: WifiSecurity::Password {
            standard: WifiStandard::Wpa2,
            password: ipados::secret::Secret::new("geheimes Wort".to_owned()),
        },
    };
    let part = Part { name: "wifi".parse().unwrap(), title: None, payload: Payload::Wifi(wifi) };
    let mut new = rule(" WLAN ", None, When::Always);
    new.content = Content { presets: [Preset::SchoolIpad].into(), parts: vec![part], ..Content::default() };
    let id = inventory.save_ipad_rule(BY, &vault, None, &new).await.unwrap();
    let (rules, problems) = inventory.ipad_rules(&vault).await.unwrap();
    assert!(problems.is_empty());
    assert_eq!((rules[0].id, rules[0].new.name.as_str(), &rules[0].new.content), (id, "WLAN", &new.content));

    // With another key nothing is read, and the row says what to do.
    let (_other_dir, other) = self::vault();
    let (rules, problems) = inventory.ipad_rules(&other).await.unwrap();
    assert!(rules.is_empty() && problems[0].to_string().contains("seal"), "{problems:?}");

    let room = room(&inventory).await.id;
    let changed = rule("Raum", Some(Target::Room(room)), When::Lessons);
    inventory.save_ipad_rule(BY, &vault, Some(id), &changed).await.unwrap();
    assert_eq!(inventory.ipad_rules(&vault).await.unwrap().0[0].new, changed);

    conflict(inventory.save_ipad_rule(BY, &vault, None, &rule(" ", None, When::Always)).await);
    let nowhere = rule("x", Some(Target::Room(RoomId::random())), When::Always);
    assert!(matches!(
        inventory.save_ipad_rule(BY, &vault, None, &nowhere).await,
        Err(Error::NotFound { .. })
    ));
    let nobody = inventory.save_ipad_rule(BY, &vault, Some(IpadRuleId::random()), &changed).await;
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
    inventory.delete_ipad_rule(BY, id).await.unwrap();
    assert!(inventory.ipad_rules(&vault).await.unwrap().0.is_empty());
    assert!(matches!(inventory.delete_ipad_rule(BY, id).await, Err(Error::NotFound { .. })));
}

pub(super) async fn rules_hold_for_whom_and_when_they_say(open: Open) {
    let inventory = open.inventory().await;
    let (_dir, vault) = vault();
    let here = room(&inventory).await.id;
    let elsewhere = inventory.create_room(BY, "205").await.unwrap().id;
    enrolled(&inventory, "f1", "udid-1", "SERIAL1").await;
    let device = ipad(&inventory).await.subject.device;
    for (name, target, when) in [
        ("school", None, When::Always),
        ("room", Some(Target::Room(here)), When::Always),
        ("other", Some(Target::Room(elsewhere)), When::Always),
        ("device", Some(Target::Device(device)), When::Always),
        ("lessons", None, When::Lessons),
        ("hours", Some(Target::Room(here)), When::SchoolHours),
        ("present", None, When::AtSchool),
    ] {
        inventory.save_ipad_rule(BY, &vault, None, &rule(name, target, when)).await.unwrap();
    }
    let apps: BTreeSet<_> = ["com.apple.calculator".parse().unwrap()].into();
    let targets = [Target::Room(elsewhere)];
    let ends_at = BY.at.plus_secs(3600);
    let new = NewExam { name: "Mathe", targets: &targets, list: None, apps: &apps, ends_at };
    let exam = inventory.begin_exam(BY, &new).await.unwrap();

    let names = async |moment: Moment| {
        let rules = inventory.ipad_rules(&vault).await.unwrap().0;
        let (exams, ipad) = (inventory.ipad_exams(moment.at).await.unwrap(), ipad(&inventory).await);
        let holding = Holding::of(&rules, &exams, &ipad, moment);
        holding.layers().iter().map(|layer| (layer.name.to_string(), layer.rank)).collect::<Vec<_>>()
    };
    let always = [
        ("device".to_owned(), Rank::Device),
        ("room".to_owned(), Rank::Room),
        ("school".to_owned(), Rank::School),
    ];
    assert_eq!(names(moment(false, false)).await, always);
    let with = |more: &[(&str, Rank)]| {
        let mut all: Vec<_> =
            always.iter().cloned().chain(more.iter().map(|(n, r)| ((*n).to_owned(), *r))).collect();
        all.sort();
        all
    };
    assert_eq!(names(moment(false, true)).await, with(&[("hours", Rank::Lesson)]));
    assert_eq!(names(moment(true, true)).await, with(&[("hours", Rank::Lesson), ("lessons", Rank::Lesson)]));

    // The lease of its card says that it is here.
    let mac = "02:1a:d0:00:00:01".parse().unwrap();
    has_card(&inventory, ipad(&inventory).await.id, mac).await;
    let lease = Lease {
        ip: Ipv4Addr::new(10, 0, 0, 9),
        client: "01".into(),
        mac,
        hostname: None,
        state: LeaseState::Active,
        expires_at: BY.at.plus_secs(60),
    };
    inventory.commit_leases(BY.at, &[lease]).await.unwrap();
    assert!(ipad(&inventory).await.present);
    assert!(names(moment(false, true)).await.iter().any(|(name, _)| name == "present"));
    assert!(!names(moment(false, false)).await.iter().any(|(name, _)| name == "present"));

    // For a while it is in the room that sits the exam; afterwards nothing is left of it.
    inventory.set_visit(BY, device, Some((elsewhere, ends_at))).await.unwrap();
    let during = names(moment(false, false)).await;
    assert!(
        during.contains(&("Mathe".to_owned(), Rank::Exam))
            && during.contains(&("other".to_owned(), Rank::Room))
    );
    inventory.set_exam_end(BY, exam, BY.at).await.unwrap();
    assert!(!names(moment(false, false)).await.iter().any(|(_, rank)| *rank == Rank::Exam));
    // The staff's devices are not hit by what is said of a room.
    inventory.set_owner(BY, device, None, true).await.unwrap();
    let staff = names(moment(false, false)).await;
    assert_eq!(staff.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["device", "school"]);
}

pub(super) async fn an_ipad_is_told_once_of_what_it_should_have(open: Open) {
    let inventory = open.inventory().await;
    let id = enrolled(&inventory, "f1", "udid-1", "SERIAL1").await;
    assert_eq!(ipad(&inventory).await.declared, None);
    for token in ["one", "two"] {
        let news =
            [Declared { token: token.into(), command: command(id, "DeclarativeManagement", "declarations") }];
        inventory.declare(BY, &news).await.unwrap();
    }
    assert_eq!(ipad(&inventory).await.declared.as_deref(), Some("two"));
    let waiting = inventory.commands_of(id, 10).await.unwrap();
    assert_eq!(
        waiting.iter().filter(|command| command.ended_at.is_none()).count(),
        1,
        "the older one is superseded"
    );
    inventory.mdm_leave(BY, id).await.unwrap();
    let news =
        [Declared { token: "three".into(), command: command(id, "DeclarativeManagement", "declarations") }];
    inventory.declare(BY, &news).await.unwrap();
    assert_eq!(
        inventory.commands_of(id, 10).await.unwrap().len(),
        waiting.len(),
        "whoever left is told nothing"
    );
}
