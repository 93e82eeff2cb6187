//! Profiles as devices get them.

use super::*;
use crate::values::Secret;

fn text<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

fn enrolment(challenge: &str) -> Enrolment {
    Enrolment {
        identifier: text("de.schule.mdm"),
        organization: text("Schule am See"),
        topic: text("com.apple.mgmt.External.4711"),
        server_url: text("https://mdm.schule.de/connect"),
        check_in_url: text("https://mdm.schule.de/checkin"),
        scep: Scep {
            url: text("https://mdm.schule.de/scep"),
            ca_name: None,
            subject: vec![("CN".into(), "4711".into())],
            challenge: Secret::new(challenge.to_owned()),
            ca_fingerprint: None,
        },
        ca: vec![0x30].into(),
        pin_ca: true,
        capabilities: vec![ServerCapability::PerUserConnections],
        locked: true,
        account: None,
    }
}

fn payload(document: &Document, payload_type: &str) -> Dictionary {
    let value = Value::from_reader_xml(document.xml.as_slice()).unwrap();
    let parts = value.into_dictionary().unwrap().remove("PayloadContent").unwrap().into_array().unwrap();
    let of_type = |part: &Value| {
        part.as_dictionary().unwrap().get("PayloadType").unwrap().as_string() == Some(payload_type)
    };
    parts.into_iter().find(of_type).unwrap().into_dictionary().unwrap()
}

#[test]
fn equal_content_gives_the_same_file() {
    let (first, second) = (enrolment("a").write().unwrap(), enrolment("a").write().unwrap());
    assert_eq!(first, second);
    assert_eq!(first.uuid.get_version_num(), 8);
}

#[test]
fn a_new_challenge_changes_the_identity_and_nothing_that_it_does_not_touch() {
    let (first, second) = (enrolment("a").write().unwrap(), enrolment("b").write().unwrap());
    let uuid = |document: &Document, kind| payload(document, kind).get("PayloadUUID").unwrap().clone();
    assert_ne!(first.uuid, second.uuid);
    assert_ne!(uuid(&first, "com.apple.security.scep"), uuid(&second, "com.apple.security.scep"));
    assert_eq!(uuid(&first, "com.apple.security.root"), uuid(&second, "com.apple.security.root"));
    let id = |document| payload(document, "com.apple.mdm").get("PayloadIdentifier").unwrap().clone();
    assert_eq!(id(&first), id(&second));
}

#[test]
fn an_enrolment_by_account_names_it() {
    let by_account = Enrolment { account: Some(text("lea@schule.example")), ..enrolment("a") };
    let mdm = payload(&by_account.write().unwrap(), "com.apple.mdm");
    let said = |key: &str| mdm.get(key).and_then(Value::as_string);
    assert_eq!(
        (said("AssignedManagedAppleID"), said("EnrollmentMode")),
        (Some("lea@schule.example"), Some("ADDE"))
    );
    assert_eq!(payload(&enrolment("a").write().unwrap(), "com.apple.mdm").get("EnrollmentMode"), None);
    for bad in [
        "",
        "lea",
        "@schule.example",
        "lea@schule",
        "lea@.example",
        "l a@schule.example",
        "<b>@schule.example",
        "lea@sch\"le.example",
    ] {
        assert!(bad.parse::<crate::values::ManagedAccount>().is_err(), "{bad}");
    }
}

#[test]
fn the_enrolment_refers_to_its_own_identity_and_ca() {
    let document = enrolment("a").write().unwrap();
    let mdm = payload(&document, "com.apple.mdm");
    let scep = payload(&document, "com.apple.security.scep");
    let root = payload(&document, "com.apple.security.root");
    assert_eq!(mdm.get("IdentityCertificateUUID"), scep.get("PayloadUUID"));
    let pins = mdm.get("ServerURLPinningCertificateUUIDs").unwrap().as_array().unwrap();
    assert_eq!(pins.first(), root.get("PayloadUUID"));
    assert_eq!(mdm.get("AccessRights").unwrap().as_signed_integer(), Some(8191));
    let request = scep.get("PayloadContent").unwrap().as_dictionary().unwrap();
    assert_eq!(request.get("Keysize").unwrap().as_signed_integer(), Some(2048));
    assert_eq!(request.get("Key Usage").unwrap().as_signed_integer(), Some(5));
}

#[test]
fn the_same_payload_in_two_profiles_has_two_uuids() {
    let other = Enrolment { identifier: text("de.schule.other"), ..enrolment("a") };
    let (first, second) = (enrolment("a").write().unwrap(), other.write().unwrap());
    let uuid = |document| payload(document, "com.apple.security.root").get("PayloadUUID").unwrap().clone();
    assert_ne!(uuid(&first), uuid(&second));
}

#[test]
fn a_reference_to_nothing_is_an_error_that_names_both() {
    let mut profile = enrolment("a").into_profile().unwrap();
    profile.parts.retain(|part| part.name.as_str() != "identity");
    let error = profile.write().unwrap_err().to_string();
    assert_eq!(
        error,
        "in the profile de.schule.mdm, the part mdm refers to identity: add a certificate part of that name"
    );
}

#[test]
fn two_parts_of_one_name_are_refused() {
    let mut profile = enrolment("a").into_profile().unwrap();
    let again = profile.parts.first().unwrap().clone();
    profile.parts.push(again);
    assert!(matches!(profile.write(), Err(ProfileError::NameTwice { .. })));
}

#[test]
fn text_that_looks_like_markup_stays_text() {
    let odd = Enrolment { organization: text("A & B <schule> ]]>"), ..enrolment("a") };
    let document = odd.write().unwrap();
    let value = Value::from_reader_xml(document.xml.as_slice()).unwrap();
    let name = value.as_dictionary().unwrap().get("PayloadOrganization").unwrap().as_string();
    assert_eq!(name, Some("A & B <schule> ]]>"));
}
