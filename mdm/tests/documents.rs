//! Every profile and declaration that the crate can write, checked against Apple's schema.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "clippy knows test functions, not what they call"
)]

#[path = "samples/profiles.rs"]
mod samples;
mod schema;

use mdm::catalogue::Language;
use mdm::declarative::{DeclarationSet, Desired, Endpoint, StatusItem};
use mdm::os::{DeviceFacts, OsVersion};
use mdm::profile::{Kind, OnSharedIpad, Part, Profile};
use mdm::rules::{Content, Layer, Preset, Rank, merge};
use plist::Value;
use schema::{Fault, Finding, Target};
use std::collections::BTreeSet;
use time::OffsetDateTime;

#[test]
fn every_payload_is_what_apple_describes() {
    let mut seen = BTreeSet::new();
    for profile in samples::profiles() {
        for (part, value) in profile.parts.iter().zip(payloads(&profile)) {
            let kind = part.payload.kind();
            seen.insert(kind);
            let problems = payload_problems(&value, NEW);
            assert!(problems.is_empty(), "{} {}: {problems:#?}", profile.identifier, part.name);
        }
    }
    assert_eq!(seen, BTreeSet::from(Kind::ALL), "a kind without a sample");
}

#[test]
fn every_profile_is_what_apple_describes() {
    for profile in samples::profiles() {
        let (_, value) = profile.value().unwrap();
        let problems = schema::named("mdm/profiles/TopLevel.yaml").check(&value, target(NEW), &[]);
        assert_eq!(problems, [], "{}", profile.identifier);
        // The bytes are the value.
        let read = Value::from_reader_xml(profile.write().unwrap().xml.as_slice()).unwrap();
        assert_eq!(read, value);
    }
}

#[test]
fn the_table_of_kinds_is_apples() {
    for kind in Kind::ALL {
        let ios = ios(&format!("mdm/profiles/{}.yaml", kind.payload_type()));
        assert_eq!(kind.since(), since(&ios), "{kind:?}");
        assert_eq!(kind.supervised(), ios["supervised"] == true, "{kind:?}");
        assert!(kind.single() || ios["multiple"] == true, "{kind:?} may come once");
        let channel = match (&ios["sharedipad"]["mode"], &ios["sharedipad"]["devicechannel"]) {
            (mode, _) if mode == "forbidden" => OnSharedIpad::Never,
            (_, device) if device == true => OnSharedIpad::Device,
            _ => OnSharedIpad::User,
        };
        assert_eq!(kind.on_shared_ipad(), channel, "{kind:?}");
    }
}

#[test]
fn the_check_finds_what_is_wrong() {
    let network = samples::profiles().swap_remove(0);
    let at = network.parts.iter().position(|part| part.payload.kind() == Kind::Wifi).unwrap();
    let good = payloads(&network).swap_remove(at).into_dictionary().unwrap();
    let problems = |device, change: &dyn Fn(&mut plist::Dictionary)| {
        let mut bad = good.clone();
        change(&mut bad);
        payload_problems(&Value::Dictionary(bad), device)
            .into_iter()
            .map(|found| found.what)
            .collect::<Vec<_>>()
    };
    assert_eq!(problems(NEW, &|_| ()), []);
    assert_eq!(problems(NEW, &|d| drop(d.insert("SSID".into(), "x".into()))), [Fault::Unknown]);
    assert_eq!(problems(NEW, &|d| drop(d.remove("PayloadUUID"))), [Fault::Missing]);
    assert_eq!(
        problems(NEW, &|d| drop(d.insert("AutoJoin".into(), 1.into()))),
        [Fault::Type("boolean".into())]
    );
    let old = DeviceFacts { os: OsVersion::new(13, 0, 0), ..NEW };
    assert_eq!(problems(old, &|_| ()), [Fault::NotFor("this version")]);
}

#[test]
fn every_declaration_is_what_apple_describes() {
    let base = schema::named("declarative/declarations/declarationbase.yaml");
    for (major, minor) in [(15, 0), (16, 0), (17, 0), (17, 2), (18, 1)] {
        let device = DeviceFacts { os: OsVersion::new(major, minor, 0), ..NEW };
        let set = DeclarationSet::new(&samples::desired(), device, None).unwrap();
        for (kind, identifier, declaration) in set.iter() {
            let endpoint = Endpoint::Declaration { kind, identifier: identifier.into() };
            let answer = schema::from_json(&set.answer(&endpoint, OffsetDateTime::UNIX_EPOCH).unwrap());
            assert_eq!(base.check(&answer, target(device), &[]), []);
            assert!(identifier.len() <= 64 && declaration.server_token.len() <= 64);
            let payload = answer.as_dictionary().unwrap().get("Payload").unwrap();
            let problems =
                schema::declaration(declaration.declaration_type).check(payload, target(device), &[]);
            assert_eq!(problems, [], "{identifier} on {}", device.os);
        }
    }
}

#[test]
fn the_answers_about_the_set_are_what_apple_describes() {
    let set = DeclarationSet::new(&samples::desired(), NEW, None).unwrap();
    let both =
        [("tokensresponse", Endpoint::Tokens), ("declarationitemsresponse", Endpoint::DeclarationItems)];
    for (file, endpoint) in both {
        let answer = schema::from_json(&set.answer(&endpoint, OffsetDateTime::UNIX_EPOCH).unwrap());
        let schema = schema::named(&format!("declarative/protocol/{file}.yaml"));
        assert_eq!(schema.check(&answer, target(NEW), &[]), [], "{file}");
    }
}

#[test]
fn the_standard_status_items_are_apples() {
    for item in StatusItem::standard() {
        let ios = ios(&format!("declarative/status/{}.yaml", item.name()));
        assert_eq!(item.since(), since(&ios), "{}", item.name());
    }
}

#[test]
fn an_old_device_gets_no_declaration_that_it_does_not_know() {
    let old = DeviceFacts { os: OsVersion::new(15, 0, 0), ..NEW };
    let set = DeclarationSet::new(&samples::desired(), old, None).unwrap();
    let types: BTreeSet<_> = set.iter().map(|(_, _, declaration)| declaration.declaration_type).collect();
    assert!(types.contains("com.apple.configuration.legacy"));
    assert!(!types.contains("com.apple.configuration.app.managed"));
    assert!(set.left_out().iter().any(|left| left.what.starts_with("hausmeister.app.")));
    let empty = DeclarationSet::new(&Desired::default(), NEW, None).unwrap();
    assert_eq!(empty.iter().count(), 0);
}

#[test]
fn stored_parts_come_back_unchanged() {
    for part in samples::profiles().into_iter().flat_map(|profile| profile.parts) {
        let json = serde_json::to_string(&part).unwrap();
        assert_eq!(serde_json::from_str::<Part>(&json).unwrap(), part, "{json}");
    }
}

#[test]
fn every_device_gets_rules_that_it_knows() {
    let presets = [
        Preset::SchoolIpad,
        Preset::ExamOneApp("com.apple.calculator".parse().unwrap()),
        Preset::ExamApps(["com.apple.calculator".parse().unwrap()].into()),
    ];
    for preset in presets {
        for major in 9..=18 {
            for (supervised, shared_ipad) in [(false, false), (true, false), (true, true)] {
                let device = DeviceFacts { os: OsVersion::new(major, 3, 0), supervised, shared_ipad };
                let layer = Layer {
                    rank: Rank::School,
                    name: "Schule".parse().unwrap(),
                    until: Some(1_800_000_000),
                    content: Content { presets: [preset.clone()].into(), ..Content::default() },
                };
                let merged = merge(&[layer], device);
                let base = "de.schule.mdm".parse().unwrap();
                for profile in merged.profiles(&base, &"Schule".parse().unwrap(), Language::De).unwrap() {
                    let (_, value) = profile.value().unwrap();
                    for payload in
                        value.as_dictionary().unwrap().get("PayloadContent").unwrap().as_array().unwrap()
                    {
                        let problems = payload_problems(payload, device);
                        assert!(problems.is_empty(), "{preset:?} on {device:?}: {problems:?}");
                    }
                }
            }
        }
    }
}

fn payloads(profile: &Profile) -> Vec<Value> {
    let (_, value) = profile.value().unwrap();
    value.into_dictionary().unwrap().remove("PayloadContent").unwrap().into_array().unwrap()
}

/// What is wrong with a payload: its own keys and those that all payloads have are described in two files.
fn payload_problems(payload: &Value, device: DeviceFacts) -> Vec<Finding> {
    let mut own = payload.as_dictionary().unwrap().clone();
    let kind = own.get("PayloadType").unwrap().as_string().unwrap().to_owned();
    let mut common = plist::Dictionary::new();
    for key in COMMON {
        if let Some(value) = own.remove(key) {
            common.insert(key.into(), value);
        }
    }
    let mut problems = schema::common_payload_keys().check(&common.into(), target(device), &[]);
    problems.extend(schema::profile(&kind).check(&own.into(), target(device), &[]));
    problems
}

fn target(device: DeviceFacts) -> Target {
    let text = device.os.to_string();
    let mut numbers = text.split('.').map(|number| number.parse().unwrap());
    let version = (numbers.next().unwrap(), numbers.next().unwrap());
    Target { version, supervised: device.supervised, shared: device.shared_ipad }
}

/// What a file says of iOS at its beginning.
fn ios(path: &str) -> serde_json::Value {
    let full = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../ipados/apple").join(path);
    let text = std::fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()));
    let (header, _) = text.split_once("\npayloadkeys:").unwrap();
    let mut header: serde_json::Value = serde_saphyr::from_str(header).unwrap();
    header["payload"]["supportedOS"]["iOS"].take()
}

fn since(ios: &serde_json::Value) -> OsVersion {
    ios["introduced"].as_str().unwrap().parse().unwrap()
}

const COMMON: [&str; 7] = [
    "PayloadIdentifier",
    "PayloadUUID",
    "PayloadType",
    "PayloadVersion",
    "PayloadDescription",
    "PayloadDisplayName",
    "PayloadOrganization",
];

const NEW: DeviceFacts = DeviceFacts { os: OsVersion::new(18, 1, 0), supervised: true, shared_ipad: false };
