//! Check-in messages, real and made up.

use super::*;
use crate::channel::{Enrolment, SHARED_IPAD_USER, Udid, UserShortName};

const LIMIT: usize = 256 << 10;
const UDID: &str = "00008030-001A35E22EF8802E";

fn message(keys: &[(&str, Value)]) -> Vec<u8> {
    let document: Dictionary = keys.iter().map(|(key, value)| (*key, value.clone())).collect();
    document::write(&document).unwrap()
}

fn parse(kind: &str, keys: &[(&str, Value)]) -> Result<CheckIn, CheckInError> {
    let mut all = vec![("MessageType", Value::from(kind)), ("UDID", Value::from(UDID))];
    all.extend_from_slice(keys);
    CheckIn::parse(&message(&all), LIMIT)
}

/// The whole chain of causes.
fn complaint(result: Result<CheckIn, CheckInError>) -> String {
    let error = result.unwrap_err();
    let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

fn token_update_with(keys: &[(&str, Value)]) -> Result<CheckIn, CheckInError> {
    let mut all = vec![
        ("Topic", Value::from("com.apple.mgmt.External.1")),
        ("Token", Value::Data(vec![0xab; 32])),
        ("PushMagic", Value::from("magic-word")),
    ];
    all.retain(|(key, _)| !keys.iter().any(|(other, _)| other == key));
    all.extend_from_slice(keys);
    parse("TokenUpdate", &all)
}

#[test]
fn an_old_ipad_introduces_itself() {
    let body = include_bytes!("../../tests/vectors/nanomdm/Authenticate.1.plist");
    let CheckIn { channel, message: Message::Authenticate(device) } = CheckIn::parse(body, LIMIT).unwrap()
    else {
        panic!("it is an Authenticate")
    };
    let udid = Udid::parse("663b07bb783e9ade1dae4fbb92ea12afc0ce5b69").unwrap();
    assert_eq!(channel, Channel { enrolment: Enrolment::Device(udid), user: None });
    assert_eq!(device.serial_number.as_deref(), Some("F5JM992LF193"));
    assert_eq!(device.product_name.as_deref(), Some("iPad2,5"));
    assert_eq!(device.topic.as_str(), "com.apple.mgmt.External.e0bd1eac-1f17-4c8e-8a63-dd17d3dd35d9");
}

#[test]
fn a_key_that_apple_does_not_describe_is_passed_over() {
    // It has a `Challenge`.
    let body = include_bytes!("../../tests/vectors/nanomdm/Authenticate.2.plist");
    assert!(matches!(CheckIn::parse(body, LIMIT).unwrap().message, Message::Authenticate(_)));
}

#[test]
fn a_device_tells_how_to_reach_it() {
    let body = include_bytes!("../../tests/vectors/nanomdm/TokenUpdate.1.plist");
    let Message::TokenUpdate(update) = CheckIn::parse(body, LIMIT).unwrap().message else {
        panic!("it is one")
    };
    assert_eq!(update.token.expose().len(), 32);
    assert_eq!(update.push_magic.expose(), "CEFDF0BD-E342-4A27-8742-E930EA116B0A");
    assert_eq!(update.unlock_token.unwrap().expose().len(), 1288);
    assert!(!update.awaiting_configuration);

    let body = include_bytes!("../../tests/vectors/nanomdm/TokenUpdate.2.plist");
    let Message::TokenUpdate(update) = CheckIn::parse(body, LIMIT).unwrap().message else {
        panic!("it is one")
    };
    assert_eq!(update.unlock_token, None);
}

#[test]
fn pupils_on_a_shared_ipad_are_told_apart_by_their_account() {
    let channel = |account: &str| {
        let keys = [("UserID", Value::from(SHARED_IPAD_USER)), ("UserShortName", Value::from(account))];
        token_update_with(&keys).unwrap().channel
    };
    assert_ne!(channel("ada@school.example"), channel("alan@school.example"));
    assert_eq!(channel("ada@school.example").user, UserShortName::parse("ada@school.example"));
    assert_eq!(channel("ada@school.example").enrolment, channel("alan@school.example").enrolment);
}

#[test]
fn a_user_without_an_account_is_nobody() {
    let no_account = token_update_with(&[("UserID", Value::from(SHARED_IPAD_USER))]);
    assert_eq!(
        complaint(no_account),
        "the check-in message TokenUpdate is incomplete: the key UserShortName is missing"
    );
    let mac = token_update_with(&[
        ("UserID", Value::from("8E1A0C52-0A4E-4F5C-8A15-1A2B3C4D5E6F")),
        ("UserShortName", Value::from("ada")),
    ]);
    assert!(complaint(mac).contains("the key UserID does not hold the value of a Shared iPad"));
}

#[test]
fn a_pupils_own_ipad_is_known_by_its_enrolment() {
    let keys = [
        ("MessageType", Value::from("CheckOut")),
        ("EnrollmentID", Value::from("5C3B2A1D-AAAA-BBBB-CCCC-0123456789AB")),
        ("Topic", Value::from("com.apple.mgmt.External.1")),
    ];
    let checkin = CheckIn::parse(&message(&keys), LIMIT).unwrap();
    assert!(matches!(checkin.channel.enrolment, Enrolment::Personal(_)));
    assert_eq!(checkin.channel.enrolment.as_str(), "5C3B2A1D-AAAA-BBBB-CCCC-0123456789AB");
}

#[test]
fn nothing_secret_and_nobodys_name_is_shown() {
    let checkin = token_update_with(&[
        ("PushMagic", Value::from("hunter2")),
        ("UnlockToken", Value::Data(b"hunter2".to_vec())),
        ("UserID", Value::from(SHARED_IPAD_USER)),
        ("UserShortName", Value::from("ada@school.example")),
    ]);
    let shown = format!("{:?}", checkin.unwrap());
    assert!(!shown.contains("hunter2") && !shown.contains("ada") && !shown.contains("104, 117"), "{shown}");
    let wrong = token_update_with(&[("Token", Value::from("hunter2"))]);
    assert!(
        !format!("{wrong:?} {}", complaint(token_update_with(&[("Token", Value::from("hunter2"))])))
            .contains("hunter2")
    );
}

#[test]
fn an_incomplete_message_names_the_key() {
    let missing = |key| format!("the check-in message TokenUpdate is incomplete: the key {key} is missing");
    assert_eq!(complaint(token_update_with(&[("PushMagic", Value::from(""))])), missing("PushMagic"));
    assert_eq!(complaint(token_update_with(&[("Token", Value::Data(Vec::new()))])), missing("Token"));
    assert!(complaint(parse("CheckOut", &[])).contains("Topic is missing"));
    assert!(complaint(parse("Surprise", &[])).contains("MessageType that is not known"));
    assert!(complaint(CheckIn::parse(&message(&[]), LIMIT)).contains("MessageType is missing"));
    assert!(complaint(CheckIn::parse(b"<plist><array/></plist>", LIMIT)).contains("no dictionary"));
}

#[test]
fn odd_identifiers_are_refused() {
    for udid in ["", "short", "../../etc/passwd", "00008030 001A35E22EF8802E", &"a".repeat(65)] {
        let keys = [("MessageType", Value::from("CheckOut")), ("UDID", Value::from(udid))];
        assert!(complaint(CheckIn::parse(&message(&keys), LIMIT)).contains("UDID"), "{udid}");
    }
    for topic in ["a b", "a\nb", &"a".repeat(256)] {
        assert!(complaint(parse("CheckOut", &[("Topic", Value::from(topic))])).contains("Topic"), "{topic}");
    }
}

#[test]
fn declarative_requests_are_read() {
    let endpoint = |text: &str| match parse("DeclarativeManagement", &[("Endpoint", Value::from(text))]) {
        Ok(CheckIn { message: Message::DeclarativeManagement { endpoint, .. }, .. }) => Some(endpoint),
        _ => None,
    };
    assert_eq!(endpoint("tokens"), Some(Endpoint::Tokens));
    assert_eq!(endpoint("declaration-items"), Some(Endpoint::DeclarationItems));
    assert_eq!(endpoint("status"), Some(Endpoint::Status));
    let declaration =
        Endpoint::Declaration { kind: crate::declarative::Kind::Configuration, identifier: "a/b".to_owned() };
    assert_eq!(endpoint("declaration/configuration/a/b"), Some(declaration));
    for unknown in ["", "declaration/", "declaration/configuration/", "declaration/spell/x", "tokens/"] {
        assert_eq!(endpoint(unknown), None, "{unknown}");
    }
}

#[test]
fn tokens_of_the_organisation_are_asked_for_by_service() {
    let service = |service: &str, parameters: Option<&[(&str, &str)]>| {
        let mut keys = vec![("TokenServiceType", Value::from(service))];
        let parameters =
            parameters.map(|all| all.iter().map(|(key, value)| (*key, Value::from(*value))).collect());
        keys.extend(parameters.map(|parameters| ("TokenParameters", Value::Dictionary(parameters))));
        parse("GetToken", &keys)
    };
    let account = service("com.apple.maid", None).unwrap().message;
    assert_eq!(account, Message::GetToken(TokenService::ManagedAppleAccount));
    let watch = [("SecurityToken", "s"), ("PhoneUDID", "p"), ("WatchUDID", "w")];
    let paired = service("com.apple.watch.pairing", Some(&watch)).unwrap().message;
    assert!(matches!(paired, Message::GetToken(TokenService::WatchPairing { phone, .. }) if phone == "p"));
    assert!(complaint(service("com.apple.watch.pairing", None)).contains("TokenParameters is missing"));
    assert!(complaint(service("com.example", None)).contains("TokenServiceType"));
}

#[test]
fn macs_are_understood_far_enough_to_be_answered() {
    let set = parse("SetBootstrapToken", &[("BootstrapToken", Value::Data(vec![1]))]).unwrap().message;
    assert_eq!(set, Message::SetBootstrapToken { token: Some(Secret::new(vec![1])) });
    let unset = parse("SetBootstrapToken", &[]).unwrap().message;
    assert_eq!(unset, Message::SetBootstrapToken { token: None });
    assert_eq!(parse("GetBootstrapToken", &[]).unwrap().message, Message::GetBootstrapToken);
    assert_eq!(parse("UserAuthenticate", &[]).unwrap().message, Message::UserAuthenticate);
}

#[test]
fn no_answer_is_401() {
    let secret = || Secret::new(vec![1, 2, 3]);
    let answers = [
        (Answer::Taken, 200),
        (Answer::BootstrapToken(None), 200),
        (Answer::BootstrapToken(Some(secret())), 200),
        (Answer::Token(secret()), 200),
        (Answer::Declarative(b"{}".to_vec()), 200),
        (Answer::NoSuchDeclaration, 404),
        (Answer::NoUserLogin, 410),
        (Answer::NotUnderstood, 400),
        (Answer::Unrecognized, 403),
    ];
    for (answer, status) in answers {
        let reply = answer.clone().reply().unwrap();
        assert_eq!(reply.status, status, "{answer:?}");
        assert_eq!(reply.content_type.is_some(), !reply.body.is_empty(), "{answer:?}");
    }
    let token = Answer::Token(secret()).reply().unwrap();
    let token: Dictionary = document::parse(&token.body, LIMIT).unwrap();
    assert_eq!(token.get("TokenData").unwrap().as_data(), Some([1, 2, 3].as_slice()));
}

proptest::proptest! {
    #[test]
    fn odd_values_do_no_harm(kind in 0..READERS.len(), key in 0..KEYS.len(), value in 0..6_usize) {
        let values = [
            Value::from(""), Value::from(-1), Value::from(true), Value::Array(vec![Value::Array(Vec::new())]),
            Value::Data(vec![0; 300]), Value::Dictionary(Dictionary::new()),
        ];
        let valid = [
            ("Topic", Value::from("com.apple.mgmt.1")), ("Token", Value::Data(vec![1])), ("PushMagic", Value::from("m")),
            ("Endpoint", Value::from("tokens")), ("TokenServiceType", Value::from("com.apple.watch.pairing")),
        ];
        let mut keys: Vec<_> = valid.into_iter().filter(|(name, _)| *name != KEYS[key]).collect();
        keys.push((KEYS[key], values[value].clone()));
        let _ = parse(READERS[kind].0, &keys);
    }
}

const KEYS: [&str; 13] = [
    "Topic",
    "Token",
    "PushMagic",
    "UnlockToken",
    "AwaitingConfiguration",
    "UserID",
    "UserShortName",
    "Endpoint",
    "Data",
    "TokenServiceType",
    "TokenParameters",
    "BootstrapToken",
    "EnrollmentID",
];
