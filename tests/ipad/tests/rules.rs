//! Rules of the school on simulated iPads: over the real daemon, as declarations and profiles.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken promise should end the test"
)]

mod lab;

use std::collections::BTreeSet;

use inventory::gate::{NewExam, Target};
use inventory::lessons::{Grid, Lesson};
use inventory::mdm::{NewIpadRule, When};
use inventory::vault::Vault;
use inventory::{IpadRuleId, clock};
use ipad::{Facts, Ipad};
use lab::{Lab, by, eventually};
use mdm::catalogue::Setting;
use mdm::profile::{Part, Payload, Wifi, WifiSecurity, WifiStandard};
use mdm::rules::{Content, Preset};
use mdm::values::BundleId;
use time::OffsetDateTime;

impl Lab {
    fn rule(
        &self,
        id: Option<IpadRuleId>,
        target: Option<Target>,
        when: When,
        content: Content,
    ) -> IpadRuleId {
        let vault = Vault::open(&self.site.keys_dir()).unwrap();
        let new = NewIpadRule { name: "Regel".into(), target, when, content };
        self.runtime.block_on(self.inventory.save_ipad_rule(by(), &vault, id, &new)).unwrap()
    }

    fn exam(&self, apps: &BTreeSet<BundleId>, secs: u64) -> inventory::ExamId {
        let ends_at = clock::now().plus_secs(secs);
        let targets = [Target::Room(self.room)];
        let new = NewExam { name: "Mathematik", targets: &targets, list: None, apps, ends_at };
        self.runtime.block_on(self.inventory.begin_exam(by(), &new)).unwrap()
    }
}

fn forbids(key: &str) -> Content {
    let mut content = Content::default();
    content.restrictions.set(key, Setting::Bool(false)).unwrap();
    content
}

fn wifi() -> Part {
    let security = WifiSecurity::Password {
        standard: WifiStandard::Wpa2,
        password: mdm::secret::Secret::new("geheimes Wort".to_owned()),
    };
    let ssid = "Schule".parse().unwrap();
    let wifi = Wifi { ssid, hidden: false, auto_join: true, own_address: true, security };
    Part { name: "wifi".parse().unwrap(), title: None, payload: Payload::Wifi(wifi) }
}

/// Lets the iPad ask until it is as it should be.
fn until(ipad: &mut Ipad, what: &str, is: impl Fn(&Ipad) -> bool) {
    eventually(what, || {
        ipad.connect().unwrap();
        is(ipad)
    });
}

fn says(ipad: &Ipad, key: &str) -> Option<bool> {
    ipad.state.restrictions().get(key).and_then(plist::Value::as_boolean)
}

#[test]
fn an_ipad_gets_one_set_of_rules_and_hears_of_changes() {
    let lab = Lab::new();
    let school = Content { presets: [Preset::SchoolIpad].into(), parts: vec![wifi()], ..Content::default() };
    lab.rule(None, None, When::Always, school);
    let room = lab.rule(None, Some(Target::Room(lab.room)), When::Always, forbids("allowCamera"));
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    until(&mut ipad, "the rules of school and room", |ipad| {
        says(ipad, "allowVPNCreation") == Some(false) && says(ipad, "allowCamera") == Some(false)
    });
    assert_eq!(ipad.state.networks(), ["Schule"]);
    assert_eq!(
        ipad.state.payloads("com.apple.applicationaccess").count(),
        1,
        "exactly one payload of restrictions"
    );

    let wifi = ipad.state.profiles["org.hausmeister.network"].uuid.clone();
    lab.rule(Some(room), Some(Target::Room(lab.room)), When::Always, forbids("allowAirDrop"));
    until(&mut ipad, "the changed rule", |ipad| {
        says(ipad, "allowAirDrop") == Some(false) && says(ipad, "allowCamera").is_none()
    });
    assert_eq!(ipad.state.profiles["org.hausmeister.network"].uuid, wifi, "the Wi-Fi was not touched");

    // In another room other rules hold.
    let elsewhere = lab.runtime.block_on(lab.inventory.create_room(by(), "205")).unwrap().id;
    let device =
        lab.runtime.block_on(lab.inventory.enrolment(lab.id(&ipad))).unwrap().unwrap().device.unwrap();
    let visit = Some((elsewhere, clock::now().plus_secs(600)));
    lab.runtime.block_on(lab.inventory.set_visit(by(), device, visit)).unwrap();
    until(&mut ipad, "the rules of the other room", |ipad| says(ipad, "allowAirDrop").is_none());
    // What it reports is known.
    let reports = lab.runtime.block_on(lab.inventory.ipad_reports(lab.id(&ipad))).unwrap();
    let declared = reports.iter().find(|report| report.kind == "declarations").unwrap().body.to_string();
    assert!(declared.contains("hausmeister.profile.network"), "{declared}");
}

#[test]
fn an_exam_locks_ipads_and_lets_them_go_even_those_that_were_switched_off() {
    let lab = Lab::new();
    lab.rule(None, None, When::Always, forbids("allowVPNCreation"));
    let trust = lab.trust();
    let link = lab.invite(2);
    let mut ipads = [1, 2].map(|n| Ipad::enrol(&link, Facts::numbered(n), &trust).unwrap());
    for ipad in &mut ipads {
        until(ipad, "the everyday rules", |ipad| says(ipad, "allowVPNCreation") == Some(false));
    }
    let calculator = BTreeSet::from(["com.apple.calculator".parse().unwrap()]);
    let exam = lab.exam(&calculator, 3600);
    for ipad in &mut ipads {
        until(ipad, "the exam", |ipad| ipad.state.locked_to() == Some("com.apple.calculator"));
        assert_eq!(says(ipad, "allowSpellCheck"), Some(false));
    }
    let [here, away] = &mut ipads;
    lab.runtime.block_on(lab.inventory.set_exam_end(by(), exam, clock::now())).unwrap();
    until(here, "the end of the exam", |ipad| ipad.state.locked_to().is_none());
    assert_eq!((says(here, "allowVPNCreation"), says(here, "allowSpellCheck")), (Some(false), None));

    // The other one reaches nobody. When the exam would have been over it lets go by itself, and the rules of the school stay.
    assert!(away.state.locked_to().is_some());
    away.state.pass(OffsetDateTime::now_utc() + std::time::Duration::from_secs(3590));
    assert!(away.state.locked_to().is_some(), "not before its time");
    away.state.pass(OffsetDateTime::now_utc() + std::time::Duration::from_secs(3610));
    assert_eq!((away.state.locked_to(), says(away, "allowVPNCreation")), (None, Some(false)));
    // On its next contact everything is as before.
    until(away, "the next contact", |ipad| says(ipad, "allowSpellCheck").is_none());

    // Several apps are a list of what may be opened.
    let two = BTreeSet::from(["com.apple.calculator".parse().unwrap(), "com.apple.iBooks".parse().unwrap()]);
    lab.exam(&two, 3600);
    until(here, "the allowed apps", |ipad| ipad.state.restrictions().contains_key("allowListedAppBundleIDs"));
    assert_eq!(here.state.locked_to(), None);
}

#[test]
fn rules_of_school_hours_come_and_go_with_the_bell() {
    let lab = Lab::new();
    lab.rule(None, None, When::SchoolHours, forbids("allowGameCenter"));
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    until(&mut ipad, "the first answer", |ipad| !ipad.state.declarations.is_empty());
    assert_eq!(says(&ipad, "allowGameCenter"), None, "no lessons are entered");
    let all_day = vec![Lesson { number: 1, starts: 0, ends: 24 * 60 }];
    let grid = Grid { week: std::array::from_fn(|_| all_day.clone()), special: Vec::new() };
    lab.runtime.block_on(lab.inventory.set_grid(by(), &grid)).unwrap();
    until(&mut ipad, "school", |ipad| says(ipad, "allowGameCenter") == Some(false));
    lab.runtime.block_on(lab.inventory.set_grid(by(), &Grid::default())).unwrap();
    until(&mut ipad, "the afternoon", |ipad| says(ipad, "allowGameCenter").is_none());
}

#[test]
fn an_ipad_that_was_told_is_not_told_again_after_a_restart() {
    let mut lab = Lab::new();
    lab.rule(None, None, When::Always, forbids("allowCamera"));
    let mut ipad = Ipad::enrol(&lab.invite(1), Facts::numbered(1), &lab.trust()).unwrap();
    until(&mut ipad, "the rule", |ipad| says(ipad, "allowCamera") == Some(false));
    eventually("it is idle", || ipad.connect().unwrap().is_empty());
    let told = lab.runtime.block_on(lab.inventory.commands_of(lab.id(&ipad), 100)).unwrap().len();
    lab.stop();
    lab.start();
    // What comes next is told of, so the daemon has computed everything anew by then.
    lab.rule(None, Some(Target::Room(lab.room)), When::Always, forbids("allowAirDrop"));
    until(&mut ipad, "the next rule", |ipad| says(ipad, "allowAirDrop") == Some(false));
    let commands = lab.runtime.block_on(lab.inventory.commands_of(lab.id(&ipad), 100)).unwrap();
    assert_eq!(commands.len(), told + 1, "{commands:?}");
}
