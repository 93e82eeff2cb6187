//! Declarations, and what devices report of them.

use super::*;
use crate::cms_tests::vector;
use crate::os::{DeviceFacts, OsVersion};
use proptest::prelude::*;
use serde_json::{Value, json};
use time::OffsetDateTime;
use uuid::Uuid;

const IPAD: DeviceFacts = DeviceFacts { os: OsVersion::new(18, 1, 0), supervised: true, shared_ipad: false };

fn profile(name: &str, version: u128, when: Option<&str>) -> DesiredProfile {
    DesiredProfile {
        name: name.parse().unwrap(),
        url: "https://mdm.schule.de/profile".parse().unwrap(),
        version: Uuid::from_u128(version),
        when: when.map(|text| text.parse().unwrap()),
    }
}

fn set(profiles: Vec<DesiredProfile>) -> DeclarationSet {
    DeclarationSet::new(&Desired { profiles, ..Desired::default() }, IPAD, None).unwrap()
}

#[test]
fn the_order_of_wishes_does_not_matter() {
    let (a, b) = (profile("a", 1, None), profile("b", 2, None));
    assert_eq!(set(vec![a.clone(), b.clone()]), set(vec![b, a]));
}

#[test]
fn a_changed_profile_changes_its_token_and_that_of_the_set_alone() {
    let before = set(vec![profile("a", 1, None), profile("b", 1, None)]);
    let after = set(vec![profile("a", 1, None), profile("b", 2, None)]);
    assert_ne!(before.token(), after.token());
    let changed: Vec<_> = before.iter().zip(after.iter()).filter(|(a, b)| a != b).map(|(a, _)| a.1).collect();
    assert_eq!(changed, ["hausmeister.profile.b"]);
}

#[test]
fn every_configuration_is_in_exactly_one_activation() {
    let when = Some("(@status(device.model.family) == \"iPad\")");
    let set = set(vec![profile("a", 1, None), profile("b", 1, when), profile("c", 1, when)]);
    let mut listed: Vec<String> = Vec::new();
    for (kind, _, declaration) in set.iter() {
        if kind == Kind::Activation {
            let list = declaration.payload["StandardConfigurations"].as_array().unwrap();
            listed.extend(list.iter().map(|id| id.as_str().unwrap().to_owned()));
            assert_eq!(declaration.payload.get("Predicate").is_some(), list.len() == 2);
        }
    }
    listed.sort();
    assert_eq!(listed, ["hausmeister.profile.a", "hausmeister.profile.b", "hausmeister.profile.c"]);
}

#[test]
fn two_wishes_of_one_name_are_refused() {
    let desired =
        Desired { profiles: vec![profile("a", 1, None), profile("a", 2, None)], ..Desired::default() };
    let error = DeclarationSet::new(&desired, IPAD, None).unwrap_err();
    assert_eq!(error, SetError::NameTwice("hausmeister.profile.a".into()));
}

#[test]
fn the_device_gets_what_it_asks_for() {
    let set = set(vec![profile("a", 1, None)]);
    let at = OffsetDateTime::from_unix_timestamp(1_795_356_000).unwrap();
    let ask = |endpoint: &str| set.answer(&endpoint.parse().unwrap(), at);
    let tokens = ask("tokens").unwrap();
    assert_eq!(tokens["SyncTokens"]["DeclarationsToken"], set.token());
    assert_eq!(tokens["SyncTokens"]["Timestamp"], "2026-11-22T14:00:00Z");
    let items = ask("declaration-items").unwrap();
    for item in items["Declarations"]["Configurations"].as_array().unwrap() {
        let one =
            ask(&format!("declaration/configuration/{}", item["Identifier"].as_str().unwrap())).unwrap();
        assert_eq!(one["ServerToken"], item["ServerToken"]);
    }
    assert_eq!(items["DeclarationsToken"], set.token());
    assert_eq!(ask("declaration/asset/hausmeister.profile.a"), None);
    assert_eq!(ask("status"), None);
}

#[test]
fn endpoints_are_read_strictly() {
    for text in ["tokens", "declaration-items", "status", "declaration/activation/x"] {
        assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
    }
    let long = format!("declaration/asset/{}", "x".repeat(65));
    for text in ["", "declaration", "declaration/x/y", "declaration/asset/", "Tokens", &long] {
        assert!(text.parse::<Endpoint>().is_err(), "{text}");
    }
}

#[test]
fn what_the_device_says_it_supports_counts_more_than_its_version() {
    let known = Capabilities {
        declarations: ["com.apple.configuration.management.status-subscriptions".into()].into(),
        status_items: ["device.model.family".into()].into(),
    };
    let desired = Desired {
        profiles: vec![profile("a", 1, None)],
        status: StatusItem::standard(),
        ..Desired::default()
    };
    let set = DeclarationSet::new(&desired, IPAD, Some(&known)).unwrap();
    let payload = set.iter().find(|(kind, ..)| *kind == Kind::Configuration).unwrap().2.payload.clone();
    assert_eq!(payload, json!({ "StatusItems": [{ "Name": "device.model.family" }] }));
    let left = set.left_out().iter().find(|left| left.what == "hausmeister.profile.a").unwrap();
    assert_eq!(left.reason, LeftOutReason::NotSupported);
}

fn report(declarations: Value, full: bool) -> StatusReport {
    let document = json!({
        "StatusItems": { "management": { "declarations": declarations } }, "Errors": [], "FullReport": full,
    });
    StatusReport::parse(document.to_string().as_bytes()).unwrap()
}

#[test]
fn progress_speaks_of_the_present_revision_only() {
    let set = set(vec![profile("a", 1, None)]);
    let key = (Kind::Configuration, "hausmeister.profile.a".to_owned());
    let token = &set.iter().find(|(_, id, _)| *id == key.1).unwrap().2.server_token;
    let told = |token: &str, active: bool, valid: &str| {
        let mut status = DeviceStatus::default();
        let item = json!({ "identifier": key.1, "server-token": token, "active": active, "valid": valid,
            "reasons": [{ "code": "Error.ConfigurationCannotBeApplied", "details": { "Error": "no" } }] });
        status.absorb(report(json!({ "configurations": [item] }), false));
        set.progress(&status).remove(&key).unwrap()
    };
    assert_eq!(told("old", true, "valid"), Progress::Waiting);
    assert_eq!(told(token, true, "valid"), Progress::Active);
    assert!(matches!(told(token, false, "unknown"), Progress::Inactive(_)));
    let Progress::Failed(reasons) = told(token, true, "invalid") else { panic!("not failed") };
    assert_eq!(reasons[0].code, "Error.ConfigurationCannotBeApplied");
    assert_eq!(reasons[0].details["Error"], "no");
}

#[test]
fn a_partial_report_changes_what_it_names() {
    let app = |id: &str, state: &str| json!({ "identifier": id, "state": state });
    let parse = |items: Value, full: bool| {
        let document = json!({ "StatusItems": items, "Errors": [], "FullReport": full });
        StatusReport::parse(document.to_string().as_bytes()).unwrap()
    };
    let mut status = DeviceStatus::default();
    status.absorb(parse(
        json!({
            "device": { "operating-system": { "version": "18.1" } },
            "softwareupdate": { "install-state": "none" },
            "app": { "managed": { "list": [app("a", "queued"), app("b", "managed")] } },
        }),
        true,
    ));
    status.absorb(parse(
        json!({
            "softwareupdate": { "install-state": "downloading" },
            "app": { "managed": { "list": [app("a", "managed"), { "identifier": "b", "_removed": true }] } },
        }),
        false,
    ));
    assert_eq!(status.text("device.operating-system.version"), Some("18.1"));
    assert_eq!(status.text("softwareupdate.install-state"), Some("downloading"));
    assert_eq!(
        status.apps.iter().map(|app| (app.identifier.as_str(), app.phase())).collect::<Vec<_>>(),
        [("a", AppPhase::Managed)]
    );
    status.absorb(parse(json!({}), true));
    assert_eq!(status, DeviceStatus::default());
}

#[test]
fn an_error_about_an_item_lasts_until_the_item_is_reported() {
    let mut status = DeviceStatus::default();
    let error = json!({ "StatusItems": {}, "Errors": [{ "StatusItem": "passcode.is-present",
        "Reasons": [{ "Code": "Error.X", "Description": "no" }] }] });
    status.absorb(StatusReport::parse(error.to_string().as_bytes()).unwrap());
    assert_eq!(status.errors[0].reasons[0].code, "Error.X");
    let good = json!({ "StatusItems": { "passcode": { "is-present": true } }, "Errors": [] });
    status.absorb(StatusReport::parse(good.to_string().as_bytes()).unwrap());
    assert!(status.errors.is_empty());
}

/// Reports of real devices that NanoMDM's KMFDDM and Zentral publish with their tests.
#[test]
fn reports_of_real_devices_are_read() {
    const PHONE: &str = "kmfddm/A047820F-FC6B-4104-BED0-466876D82BB8.20220628-103225.001918.status.json";
    if vector(PHONE).is_none() {
        return;
    }
    let read = |name: &str| StatusReport::parse(&vector(name).unwrap()).unwrap();
    let phone = read(PHONE);
    assert_eq!(phone.values["device.operating-system.version"], StatusValue::Text("16.0".into()));
    let declarations = phone.declarations.unwrap();
    assert_eq!(declarations.iter().filter(|state| state.validity == Validity::Invalid).count(), 2);
    assert!(phone.capabilities.unwrap().status_items.contains("mdm.app"));
    assert!(!phone.values.contains_key("management.push-token"), "a secret");

    let error = read("kmfddm/status.D0.error.json").declarations.unwrap();
    assert_eq!(error[0].reasons[0].code, "Info.NotReferencedByActivation");
    assert_eq!(error[0].reasons[0].details["Identifier"], "com.example.test");

    let mac = read("zentral/status_report.json");
    assert_eq!(
        mac.values["device.operating-system.supplemental.extra-version"],
        StatusValue::Text("(a)".into())
    );
    assert!(read("kmfddm/status.1st.json").declarations.unwrap().is_empty());
}

#[test]
fn a_report_is_bounded() {
    assert!(matches!(StatusReport::parse(&vec![b' '; 3 << 20]), Err(StatusError::TooLong(_))));
    assert!(StatusReport::parse("[".repeat(100_000).as_bytes()).is_err());
    assert!(matches!(StatusReport::parse(b"{}"), Err(StatusError::Shape)));
    let many: serde_json::Map<_, _> =
        (0..5000).map(|n| (format!("x{n}"), Value::from("y".repeat(3000)))).take(600).collect();
    let report = StatusReport::parse(json!({ "StatusItems": many }).to_string().as_bytes()).unwrap();
    assert!(
        report.values.values().all(|value| matches!(value, StatusValue::Text(text) if text.len() == 1000))
    );
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z.-]{0,8}".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("management".to_owned()),
        Just("declarations".to_owned()),
        Just("app".to_owned()),
        Just("managed".to_owned()),
        Just("list".to_owned()),
        Just("identifier".to_owned()),
        Just("reasons".to_owned()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_report_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), items in arbitrary_json()) {
        let _ = StatusReport::parse(&bytes);
        if let Ok(report) = StatusReport::parse(json!({ "StatusItems": items }).to_string().as_bytes()) {
            DeviceStatus::default().absorb(report);
        }
    }
}
