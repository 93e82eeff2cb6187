//! Who wins, and that everybody is told.

use super::*;
use crate::profile::{
    Certificate, Eap, HomeScreen, Passcode, Scep, WebClip, WebFilter, Wifi, WifiSecurity, WifiStandard,
};
use crate::values::Secret;
use proptest::prelude::*;

const IPAD: DeviceFacts = DeviceFacts { os: OsVersion::new(18, 1, 0), supervised: true, shared_ipad: false };
const CAMERA: &str = "allowCamera";
const ALLOWED: &str = "allowListedAppBundleIDs";
const BLOCKED: &str = "blockedAppBundleIDs";

fn p<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn layer(rank: Rank, name: &str, restrictions: &[(&str, Setting)]) -> Layer {
    let mut set = Restrictions::new();
    for (key, value) in restrictions {
        set.set(key, value.clone()).unwrap();
    }
    Layer { rank, name: p(name), until: None, content: Content { restrictions: set, ..Content::default() } }
}

fn with_parts(rank: Rank, name: &str, parts: Vec<Part>) -> Layer {
    Layer { rank, name: p(name), until: None, content: Content { parts, ..Content::default() } }
}

fn part(name: &str, payload: Payload) -> Part {
    Part { name: p(name), title: None, payload }
}

fn apps(ids: &[&str]) -> Setting {
    Setting::List(ids.iter().map(|id| format!("com.apple.{id}")).collect())
}

fn yes(value: bool) -> Setting {
    Setting::Bool(value)
}

fn outcome<'m>(merged: &'m Merged, key: &'static str) -> &'m Outcome {
    &merged.explained.iter().find(|e| e.subject == Subject::Restriction(key)).unwrap().outcome
}

fn applied(value: Setting, why: Why) -> Outcome {
    Outcome::Applied { value: Some(value), why }
}

/// What comes of the values that layers give to one restriction.
fn of(key: &'static str, said: &[(Rank, Setting)]) -> Outcome {
    let layers: Vec<_> = said
        .iter()
        .enumerate()
        .map(|(at, (rank, value))| layer(*rank, &format!("Ebene {at}"), &[(key, value.clone())]))
        .collect();
    let merged = merge(&layers, IPAD);
    if let Outcome::Applied { value, .. } = outcome(&merged, key) {
        assert_eq!(merged.restrictions.value(key), value.as_ref());
    }
    outcome(&merged, key).clone()
}

#[test]
fn the_more_specific_layer_wins_in_both_directions() {
    use Rank::{Class, Exam, School};
    let (on, off) = (yes(true), yes(false));
    assert_eq!(
        of(CAMERA, &[(School, off.clone()), (Class, on.clone())]),
        applied(on.clone(), Why::MoreSpecific)
    );
    assert_eq!(
        of(CAMERA, &[(Exam, off.clone()), (Class, on.clone())]),
        applied(off.clone(), Why::MoreSpecific)
    );
    assert_eq!(of(CAMERA, &[(Exam, off.clone()), (School, off.clone())]), applied(off, Why::Agreed));
    assert!(Rank::Exam > Rank::Lesson && Rank::Lesson > Rank::Device && Rank::Device > Rank::Class);
    assert!(Rank::Class > Rank::Room && Rank::Room > Rank::School);
}

#[test]
fn among_equals_the_stricter_wins() {
    let both = |key, a: Setting, b: Setting| of(key, &[(Rank::Class, a), (Rank::Class, b)]);
    assert_eq!(both(CAMERA, yes(true), yes(false)), applied(yes(false), Why::Stricter));
    assert_eq!(both("safariAllowPopups", yes(true), yes(false)), applied(yes(false), Why::Stricter));
    assert_eq!(both("forceWiFiPowerOn", yes(true), yes(false)), applied(yes(true), Why::Stricter));
    assert_eq!(
        both("allowUnmanagedToReadManagedContacts", yes(true), yes(false)),
        applied(yes(false), Why::Stricter)
    );
    assert_eq!(
        both("ratingApps", Setting::Int(600), Setting::Int(200)),
        applied(Setting::Int(200), Why::Stricter)
    );
    let delay = both("enforcedSoftwareUpdateDelay", Setting::Int(7), Setting::Int(30));
    assert_eq!(delay, applied(Setting::Int(30), Why::Stricter));
    let region = both("ratingRegion", Setting::Text("us".into()), Setting::Text("de".into()));
    assert_eq!(region, applied(Setting::Text("de".into()), Why::Arbitrary));
}

#[test]
fn lists_of_permitted_apps_intersect_and_lists_of_blocked_apps_unite() {
    use Rank::{Lesson, School};
    let said = |key, a, b| of(key, &[(School, a), (Lesson, b)]);
    assert_eq!(said(ALLOWED, apps(&["a", "b"]), apps(&["b", "c"])), applied(apps(&["b"]), Why::Intersection));
    assert_eq!(said(BLOCKED, apps(&["a"]), apps(&["b"])), applied(apps(&["a", "b"]), Why::Union));
    assert_eq!(said(ALLOWED, apps(&["a"]), apps(&["b"])), applied(apps(&[]), Why::NothingInCommon));
}

#[test]
fn a_layers_own_value_wins_over_its_preset() {
    let mut school = layer(Rank::School, "Schule", &[("allowHostPairing", yes(true))]);
    school.content.presets.insert(Preset::SchoolIpad);
    let merged = merge(&[school], IPAD);
    assert_eq!(merged.restrictions.value("allowHostPairing"), Some(&yes(true)));
    assert_eq!(merged.restrictions.value("allowVPNCreation"), Some(&yes(false)));
}

#[test]
fn a_renamed_restriction_is_one_restriction() {
    let layers = [
        layer(Rank::School, "Schule", &[("whitelistedAppBundleIDs", apps(&["a", "b"]))]),
        layer(Rank::Class, "7b", &[(ALLOWED, apps(&["b"]))]),
    ];
    let merged = merge(&layers, IPAD);
    assert_eq!(merged.restrictions.iter().collect::<Vec<_>>(), [(ALLOWED, &apps(&["b"]))]);
    let old = merge(&layers, DeviceFacts { os: OsVersion::new(13, 0, 0), ..IPAD });
    assert_eq!(old.restrictions.iter().collect::<Vec<_>>(), [("whitelistedAppBundleIDs", &apps(&["b"]))]);
}

#[test]
fn what_the_device_cannot_take_is_left_out_and_explained() {
    let said = [layer(Rank::School, "Schule", &[("allowGenmoji", yes(false)), (CAMERA, yes(false))])];
    let left = |device| outcome(&merge(&said, device), "allowGenmoji").clone();
    let needs = OsVersion::new(18, 0, 0);
    assert_eq!(
        left(DeviceFacts { os: OsVersion::new(17, 6, 0), ..IPAD }),
        Outcome::LeftOut(WhyNot::NeedsVersion(needs))
    );
    assert_eq!(left(DeviceFacts { supervised: false, ..IPAD }), Outcome::LeftOut(WhyNot::NeedsSupervision));
    assert_eq!(left(DeviceFacts { shared_ipad: true, ..IPAD }), Outcome::LeftOut(WhyNot::NotOnSharedIpad));
    let merged = merge(&said, DeviceFacts { supervised: false, ..IPAD });
    assert_eq!(merged.restrictions.iter().count(), 1, "the camera needs no supervision");
}

#[test]
fn the_explanation_names_everybody_with_the_most_specific_first() {
    let layers = [
        layer(Rank::School, "Schule", &[(CAMERA, yes(true))]),
        layer(Rank::Exam, "Klausur", &[(CAMERA, yes(false))]),
    ];
    let merged = merge(&layers, IPAD);
    let names: Vec<_> =
        merged.explained[0].said.iter().map(|said| (said.layer.as_str(), said.value.clone())).collect();
    assert_eq!(names, [("Klausur", Some(yes(false))), ("Schule", Some(yes(true)))]);
}

fn home(app: &str) -> Part {
    let icon = crate::profile::Icon::App { app: p(&format!("com.apple.{app}")) };
    part("home", Payload::HomeScreen(HomeScreen { dock: Vec::new(), pages: vec![vec![icon]] }))
}

#[test]
fn of_a_single_kind_the_more_specific_part_stays() {
    let layers =
        [with_parts(Rank::School, "Schule", vec![home("a")]), with_parts(Rank::Class, "7b", vec![home("b")])];
    let merged = merge(&layers, IPAD);
    assert_eq!(merged.parts, [home("b")]);
    assert_eq!(merged.explained[0].outcome, Outcome::Applied { value: None, why: Why::MoreSpecific });
    let equals =
        [with_parts(Rank::Class, "7a", vec![home("a")]), with_parts(Rank::Class, "7b", vec![home("b")])];
    let merged = merge(&equals, IPAD);
    assert_eq!(merged.explained[0].outcome, Outcome::Applied { value: None, why: Why::Arbitrary });
}

#[test]
fn web_filters_and_passcodes_satisfy_everybody() {
    let filter = |automatic, denied: &str, only: Option<&[&str]>| {
        let only = only.map(|urls| urls.iter().map(|url| (p(url), p("Seite"))).collect());
        let permitted = [p("https://frei.de")].into();
        part(
            "filter",
            Payload::WebFilter(WebFilter { automatic, permitted, denied: [p(denied)].into(), only }),
        )
    };
    let code = |required, minutes: u16| {
        let lock_after_minutes = Some(minutes.try_into().unwrap());
        part("code", Payload::Passcode(Passcode { required, lock_after_minutes, ..Passcode::default() }))
    };
    let school = vec![filter(true, "https://a.de", None), code(true, 0)];
    let lesson = vec![filter(false, "https://b.de", Some(&["https://c.de"])), code(false, 5)];
    let layers = [with_parts(Rank::School, "Schule", school), with_parts(Rank::Lesson, "Mathe", lesson)];
    let merged = merge(&layers, IPAD);
    for part in &merged.parts {
        match &part.payload {
            Payload::WebFilter(filter) => {
                assert!(filter.automatic);
                assert_eq!((filter.permitted.len(), filter.denied.len()), (1, 2));
                assert_eq!(filter.only.as_ref().unwrap().len(), 1);
            }
            Payload::Passcode(code) => {
                assert!(code.required);
                assert_eq!(code.lock_after_minutes, Some(5.try_into().unwrap()), "zero is no limit");
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(merged.parts.len(), 2);
}

fn eap_tls(name: &str, ssid: &str) -> Part {
    let security = WifiSecurity::Enterprise {
        standard: WifiStandard::Wpa2,
        eap: Eap::Tls { identity: p("identity") },
        server_names: Vec::new(),
        anchors: vec![p("ca")],
    };
    part(
        name,
        Payload::Wifi(Wifi { ssid: p(ssid), hidden: false, auto_join: true, own_address: true, security }),
    )
}

fn ca() -> Part {
    part("ca", Payload::RootCertificate(Certificate { der: vec![1].into() }))
}

fn identity() -> Part {
    let scep = Scep {
        url: p("https://mdm.schule.de/scep"),
        ca_name: None,
        subject: Vec::new(),
        challenge: Secret::new("x".to_owned()),
        ca_fingerprint: None,
    };
    part("identity", Payload::Scep(scep))
}

#[test]
fn a_network_without_its_certificates_is_left_out() {
    let complete =
        merge(&[with_parts(Rank::School, "Schule", vec![eap_tls("wifi", "S"), ca(), identity()])], IPAD);
    assert_eq!(complete.parts.len(), 3);
    let merged = merge(&[with_parts(Rank::School, "Schule", vec![eap_tls("wifi", "S"), ca()])], IPAD);
    assert_eq!(merged.parts, [ca()]);
    assert!(
        merged.explained.iter().any(|e| e.outcome == Outcome::LeftOut(WhyNot::MissingPart(p("identity"))))
    );
}

#[test]
fn two_parts_of_one_name_do_not_meet_in_a_profile() {
    let layers = [
        with_parts(Rank::School, "Schule", vec![eap_tls("wifi", "Schule"), ca(), identity()]),
        with_parts(Rank::Room, "Aula", vec![eap_tls("wifi", "Aula")]),
    ];
    let merged = merge(&layers, IPAD);
    assert_eq!(merged.parts.iter().filter(|part| part.name.as_str() == "wifi").count(), 1);
    assert!(merged.explained.iter().any(|e| e.outcome == Outcome::LeftOut(WhyNot::NameTaken(p("wifi")))));
}

#[test]
fn on_a_shared_ipad_web_clips_go_to_the_user() {
    let clip = WebClip {
        url: p("https://schule.de"),
        label: p("Schule"),
        icon: None,
        removable: true,
        full_screen: false,
    };
    let layers = [with_parts(Rank::School, "Schule", vec![part("clip", Payload::WebClip(clip)), home("a")])];
    let shared = merge(&layers, DeviceFacts { shared_ipad: true, ..IPAD });
    assert_eq!((shared.parts.len(), shared.user_parts.len()), (1, 1));
    assert_eq!(merge(&layers, IPAD).parts.len(), 2);
}

#[test]
fn every_purpose_is_one_profile_that_can_be_written() {
    let mut exam = layer(Rank::Exam, "Klausur", &[]);
    exam.content.presets.insert(Preset::ExamOneApp(p("com.apple.calculator")));
    let school =
        with_parts(Rank::School, "Schule", vec![eap_tls("wifi", "Schule"), ca(), identity(), home("a")]);
    let merged = merge(&[exam, school], IPAD);
    let profiles = merged.profiles(&p("de.schule.mdm"), &p("Schule am See"), Language::De).unwrap();
    let names: Vec<_> = profiles.iter().map(|profile| profile.identifier.as_str()).collect();
    assert_eq!(
        names,
        ["de.schule.mdm.network", "de.schule.mdm.rules", "de.schule.mdm.screen", "de.schule.mdm.lock"]
    );
    for profile in profiles {
        profile.write().unwrap();
    }
}

#[test]
fn enrolment_is_no_rule() {
    let mdm = crate::profile::MdmSettings {
        identity: p("identity"),
        topic: p("com.apple.mgmt.x"),
        server_url: p("https://m.de/a"),
        check_in_url: p("https://m.de/b"),
        capabilities: Vec::new(),
        pinned: Vec::new(),
        account: None,
    };
    let merged =
        merge(&[with_parts(Rank::School, "Schule", vec![part("mdm", Payload::Mdm(mdm)), identity()])], IPAD);
    assert_eq!(merged.parts, [identity()]);
    assert!(merged.explained.iter().any(|e| e.outcome == Outcome::LeftOut(WhyNot::Enrolment)));
}

fn any_layer() -> impl Strategy<Value = Layer> {
    let rank = prop_oneof![Just(Rank::School), Just(Rank::Class), Just(Rank::Lesson), Just(Rank::Exam)];
    let list = proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 0..3)
        .prop_map(|ids| apps(&ids));
    let setting = prop_oneof![
        any::<bool>().prop_map(|on| (CAMERA, yes(on))),
        any::<bool>().prop_map(|on| ("forceWiFiPowerOn", yes(on))),
        (0..3_i64).prop_map(|n| ("ratingApps", Setting::Int(n * 100))),
        list.clone().prop_map(|list| (ALLOWED, list)),
        list.clone().prop_map(|list| ("whitelistedAppBundleIDs", list)),
        list.prop_map(|list| (BLOCKED, list)),
        Just(("allowGenmoji", yes(false))),
        prop_oneof![Just("de"), Just("us")].prop_map(|region| ("ratingRegion", Setting::Text(region.into()))),
    ];
    let one = prop_oneof![
        Just(home("a")),
        Just(home("b")),
        Just(ca()),
        Just(identity()),
        Just(eap_tls("wifi", "A")),
        Just(eap_tls("wifi", "B")),
        Just(part("filter", Payload::WebFilter(WebFilter::default()))),
        Just(part("filter", Payload::WebFilter(WebFilter { automatic: true, ..WebFilter::default() }))),
    ];
    let presets = proptest::collection::btree_set(
        prop_oneof![Just(Preset::SchoolIpad), Just(Preset::ExamOneApp("com.apple.a".parse().unwrap()))],
        0..2,
    );
    let settings = proptest::collection::vec(setting, 0..5);
    let parts = proptest::collection::vec(one, 0..4);
    (rank, prop_oneof![Just("x"), Just("y")], settings, parts, presets).prop_map(
        |(rank, name, settings, parts, presets)| {
            let mut layer = layer(rank, name, &settings);
            layer.content = Content { presets, parts, ..layer.content };
            layer
        },
    )
}

fn any_device() -> impl Strategy<Value = DeviceFacts> {
    (8..20_u16, any::<bool>(), any::<bool>()).prop_map(|(major, supervised, shared_ipad)| DeviceFacts {
        os: OsVersion::new(major, 0, 0),
        supervised,
        shared_ipad,
    })
}

proptest! {
    #[test]
    fn the_order_of_the_layers_does_not_matter(
        (layers, shuffled) in proptest::collection::vec(any_layer(), 0..6)
            .prop_flat_map(|layers| (Just(layers.clone()), Just(layers).prop_shuffle())),
        device in any_device(),
    ) {
        prop_assert_eq!(merge(&layers, device), merge(&shuffled, device));
    }

    #[test]
    fn everything_that_was_said_is_explained_once(
        layers in proptest::collection::vec(any_layer(), 0..6), device in any_device(),
    ) {
        let merged = merge(&layers, device);
        let subjects: BTreeSet<_> = merged.explained.iter().map(|e| e.subject.clone()).collect();
        prop_assert_eq!(subjects.len(), merged.explained.len());
        for layer in &layers {
            for key in layer.own().keys() {
                let entry = merged.explained.iter().find(|e| e.subject == Subject::Restriction(key)).unwrap();
                prop_assert!(entry.said.iter().any(|said| said.layer == layer.name && said.rank == layer.rank));
                // What takes effect is in the payload under one of its names, and nothing else is.
                let there = [Some(*key), Restriction::find(key).unwrap().renamed().map(|names| names.old)];
                let found = there.into_iter().flatten().any(|name| merged.restrictions.value(name).is_some());
                prop_assert_eq!(found, matches!(entry.outcome, Outcome::Applied { .. }));
            }
        }
        let said = merged.explained.iter().filter(|e| matches!(e.subject, Subject::Restriction(_))).count();
        prop_assert!(merged.restrictions.iter().count() <= said);
    }

    #[test]
    fn a_device_gets_one_of_every_single_kind_and_complete_profiles(
        layers in proptest::collection::vec(any_layer(), 0..6), device in any_device(),
    ) {
        let merged = merge(&layers, device);
        for kind in Kind::ALL.into_iter().filter(|kind| kind.single()) {
            prop_assert!(merged.parts.iter().filter(|part| part.payload.kind() == kind).count() <= 1);
        }
        prop_assert!(merged.parts.iter().all(|part| part.payload.kind() != Kind::Restrictions));
        for profile in merged.profiles(&p("de.schule.mdm"), &p("Schule"), Language::En).unwrap() {
            profile.write().unwrap();
        }
    }
}

#[test]
fn an_app_lock_ends_with_the_exam_by_itself_and_the_other_profiles_stay() {
    let mut exam = layer(Rank::Exam, "Mathematik", &[]);
    exam.content.presets.insert(Preset::of_exam(&[p("com.apple.calculator")].into()).unwrap());
    exam.until = Some(1_796_000_000);
    let school = layer(Rank::School, "Schule", &[("allowCamera", Setting::Bool(true))]);
    let merged = merge(&[school, exam], IPAD);
    let profiles = merged.profiles(&p("de.schule"), &p("Schule"), Language::De).unwrap();
    let ends =
        |word: &str| profiles.iter().find(|it| it.identifier.as_str().ends_with(word)).unwrap().removed_at;
    assert_eq!((ends(".lock"), ends(".rules")), (Some(1_796_000_000), None));
    let lock = profiles.iter().find(|it| it.removed_at.is_some()).unwrap().write().unwrap();
    assert!(String::from_utf8(lock.xml).unwrap().contains("<date>2026-11-30T"));
}

#[test]
fn the_most_specific_wish_for_a_version_counts_and_of_equal_ones_the_newest() {
    let wish = |rank, name: &str, version: &str| {
        let mut layer = layer(rank, name, &[]);
        layer.content.update =
            Some(Update { version: p(version), deadline: "2026-12-01T18:00:00".parse().unwrap() });
        layer
    };
    let all = [wish(Rank::School, "a", "26.1"), wish(Rank::Room, "b", "18.1"), wish(Rank::Room, "c", "18.2")];
    let merged = merge(&all, IPAD);
    assert_eq!(merged.update.unwrap().version, p("18.2"));
    let explained = merged.explained.iter().find(|it| it.subject == Subject::Update).unwrap();
    assert_eq!(explained.said.len(), 3);
    assert!(matches!(explained.outcome, Outcome::Applied { why: Why::Stricter, .. }));
    let old = DeviceFacts { os: OsVersion::new(16, 7, 0), ..IPAD };
    assert_eq!(merge(&all, old).update, None);
}
