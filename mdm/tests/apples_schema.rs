//! Everything that the crate writes, judged by Apple's schema.

#![allow(clippy::expect_used, reason = "the helpers of the tests may fail as the tests do")]

#[path = "samples/commands.rs"]
mod samples;
mod schema;

use mdm::command::{Channels, Command, DeviceQuery};
use plist::{Dictionary, Value};
use schema::{Fault, Finding, Target};
use uuid::Uuid;

/// The `Command` dictionary of what goes over the wire.
fn parameters(command: &Command) -> Value {
    let document = command.to_document(Uuid::nil()).expect("every command can be written");
    let document: Dictionary =
        mdm::document::parse(&document, 1 << 20).expect("what was written can be read");
    assert_eq!(document.keys().collect::<Vec<_>>(), ["CommandUUID", "Command"]);
    document.get("Command").cloned().expect("a command has parameters")
}

fn judge(command: &Command) -> Vec<Finding> {
    let policy = command.policy();
    let target = if policy.shared_ipad_only { Target::SHARED } else { Target::SUPERVISED };
    schema::command(command.request_type()).check(&parameters(command), target, &["RequestType"])
}

#[test]
fn every_file_of_apple_is_understood() {
    for folder in ["mdm/commands", "mdm/checkin", "mdm/profiles", "declarative/declarations"] {
        let schemas = schema::all(folder);
        assert!(schemas.len() > 7, "{folder} has only {} files", schemas.len());
    }
}

#[test]
fn every_command_is_one_that_apple_describes() {
    let samples = samples::commands();
    for request_type in Command::REQUEST_TYPES {
        assert!(
            samples.iter().any(|sample| sample.request_type() == *request_type),
            "no sample of {request_type}"
        );
    }
    for command in samples {
        assert_eq!(judge(&command), [], "{}", command.request_type());
    }
}

#[test]
fn every_setting_is_one_that_apple_describes() {
    for (shared, setting) in samples::settings() {
        let command = Command::Settings(mdm::command::Settings { settings: vec![setting] });
        let target = if shared { Target::SHARED } else { Target::SUPERVISED };
        let findings = schema::command("Settings").check(&parameters(&command), target, &["RequestType"]);
        assert_eq!(findings, [], "{command:?}");
    }
}

#[test]
fn every_query_is_one_that_apple_describes() {
    for &query in DeviceQuery::ALL {
        let queries =
            mdm::command::DeviceInformation { queries: vec![query], device_attestation_nonce: None };
        let command = parameters(&Command::DeviceInformation(queries));
        let information = schema::command("DeviceInformation");
        let judged =
            [Target::SUPERVISED, Target::SHARED].map(|t| information.check(&command, t, &["RequestType"]));
        assert!(judged.iter().any(Vec::is_empty), "{query:?}: {judged:?}");
    }
}

#[test]
fn the_policies_say_where_a_command_may_go_as_apple_does() {
    for command in samples::commands() {
        let (name, policy) = (command.request_type(), command.policy());
        let apple = schema::command(name).ios().expect("every command is for iPads");
        assert_eq!(policy.supervised, apple.supervised == Some(true), "{name}");
        assert_eq!(policy.shared_ipad_only, apple.sharedipad.mode.as_deref() == Some("required"), "{name}");
        let channels = match (apple.sharedipad.devicechannel, apple.sharedipad.userchannel) {
            (Some(true), Some(true)) => Channels::Both,
            (Some(false), Some(true)) => Channels::User,
            _ => Channels::Device,
        };
        assert_eq!(policy.channels, channels, "{name}");
    }
}

#[test]
fn a_command_survives_the_queue() {
    let settings = samples::settings().into_iter().map(|(_, setting)| setting);
    let settings = Command::Settings(mdm::command::Settings { settings: settings.collect() });
    for command in samples::commands().into_iter().chain([settings]) {
        let json = serde_json::to_string(&command).expect("a command can be queued");
        let back: Command = serde_json::from_str(&json).expect("a queued command can be read");
        assert_eq!(back, command, "{json}");
    }
}

#[test]
fn every_key_that_is_read_is_one_that_apple_describes() {
    use mdm::response::results as read;
    let check = |fields: &'static [&'static str], command: &str, path: &[&str]| {
        assert!(!fields.is_empty(), "{command} {path:?}: no fields were seen");
        let described = schema::command(command).response_keys(path);
        for field in fields {
            assert!(described.contains(field), "{command} {path:?} has no {field}");
        }
    };
    check(fields::<read::DeviceInformation>(), "DeviceInformation", &[]);
    check(fields::<read::DeviceProperties>(), "DeviceInformation", &["QueryResponses"]);
    check(fields::<read::SecurityInfo>(), "SecurityInfo", &[]);
    check(fields::<read::SecurityFacts>(), "SecurityInfo", &["SecurityInfo"]);
    check(fields::<read::ManagementStatus>(), "SecurityInfo", &["SecurityInfo", "ManagementStatus"]);
    check(fields::<read::ProfileList>(), "ProfileList", &[]);
    check(fields::<read::InstalledProfile>(), "ProfileList", &["ProfileList", "ProfileListItem"]);
    let payload = ["ProfileList", "ProfileListItem", "PayloadContent", "PayloadContentItem"];
    check(fields::<read::InstalledPayload>(), "ProfileList", &payload);
    check(fields::<read::InstalledApplicationList>(), "InstalledApplicationList", &[]);
    let app = ["InstalledApplicationList", "InstalledApplicationListItem"];
    check(fields::<read::InstalledApplication>(), "InstalledApplicationList", &app);
    check(fields::<read::ManagedApplicationList>(), "ManagedApplicationList", &[]);
    let app = ["ManagedApplicationList", "ANY app identifier"];
    check(fields::<read::ManagedApplication>(), "ManagedApplicationList", &app);
    check(fields::<read::InstallApplication>(), "InstallApplication", &[]);
    check(fields::<read::CertificateList>(), "CertificateList", &[]);
    check(
        fields::<read::InstalledCertificate>(),
        "CertificateList",
        &["CertificateList", "CertificateListItem"],
    );
    check(fields::<read::Place>(), "DeviceLocation", &[]);
    check(fields::<read::ActivationLockBypassCode>(), "ActivationLockBypassCode", &[]);
    check(fields::<read::UserList>(), "UserList", &[]);
    check(fields::<read::SharedUser>(), "UserList", &["Users", "UsersItem"]);
    check(fields::<read::DeviceLock>(), "DeviceLock", &[]);
    check(fields::<read::Settings>(), "Settings", &[]);
    check(fields::<read::SettingResult>(), "Settings", &["Settings"]);
}

/// The keys that a type looks for. Nearly all of them are optional, so a misspelt one would be absent for ever.
fn fields<T: serde::de::DeserializeOwned>() -> &'static [&'static str] {
    let mut seen: &'static [&'static str] = &[];
    let _ = T::deserialize(Spy(&mut seen));
    seen
}

/// Notes which keys are asked for, and has nothing.
struct Spy<'s>(&'s mut &'static [&'static str]);

impl<'de> serde::Deserializer<'de> for Spy<'_> {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("there is nothing"))
    }

    fn deserialize_struct<V: serde::de::Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(serde::de::Error::custom("there is nothing"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[test]
fn what_ipads_send_is_described_by_apple_but_for_few_keys() {
    let findings = |name: &str| {
        let path = format!("{}/tests/vectors/nanomdm/{name}.plist", env!("CARGO_MANIFEST_DIR"));
        let message: Value = mdm::document::parse(&std::fs::read(path).expect("the file is there"), 1 << 20)
            .expect("the file is a property list");
        let kind = name.split('.').next().unwrap_or_default();
        let old = Target { version: (9, 3), ..Target::SUPERVISED };
        schema::checkin(kind)
            .check(&message, old, &[])
            .into_iter()
            .map(|finding| finding.at)
            .collect::<Vec<_>>()
    };
    assert!(findings("Authenticate.1").is_empty());
    assert!(findings("TokenUpdate.1").is_empty());
    assert!(findings("TokenUpdate.2").is_empty());
    assert_eq!(findings("Authenticate.2"), ["Challenge", "DeviceName", "Model", "ModelName"], "a Mac");
}

#[test]
fn answers_can_be_judged_as_well() {
    let findings = |name: &str| {
        let path = format!("{}/tests/vectors/zentral/{name}.plist", env!("CARGO_MANIFEST_DIR"));
        let answer = std::fs::read(&path).expect("the file is there");
        let answer: Value = mdm::document::parse(&answer, 1 << 20).expect("the file is a property list");
        schema::command("SecurityInfo").check_response(&answer, Target::SUPERVISED)
    };
    assert_eq!(findings("security_info_ios"), []);
    let mac = findings("security_info");
    let of_macs = Finding { at: "SecurityInfo.FDE_Enabled".to_owned(), what: Fault::NotFor("iOS") };
    assert!(mac.contains(&of_macs), "{mac:?}");
}

#[test]
fn the_order_to_forget_an_enrolment_is_apples() {
    let reply = mdm::checkin::Answer::Unrecognized.reply().expect("it can be written");
    let body: serde_json::Value = serde_json::from_slice(&reply.body).expect("it is JSON");
    let unrecognized = schema::named("mdm/errors/unrecognized.device.yaml");
    assert_eq!(unrecognized.check(&schema::from_json(&body), Target::SUPERVISED, &[]), []);
}

/// Changes one sample and tells what the schema says then.
fn spoiled(command: &Command, spoil: impl FnOnce(&mut Dictionary)) -> Vec<(String, Fault)> {
    let mut parameters = parameters(command);
    spoil(parameters.as_dictionary_mut().expect("parameters are a dictionary"));
    let findings =
        schema::command(command.request_type()).check(&parameters, Target::SUPERVISED, &["RequestType"]);
    findings.into_iter().map(|finding| (finding.at, finding.what)).collect()
}

#[test]
fn planted_mistakes_are_found() {
    let erase = Command::EraseDevice(samples::erase());
    let expected = |at: &str, fault| vec![(at.to_owned(), fault)];
    assert_eq!(spoiled(&erase, |_| ()), []);

    let found = spoiled(&erase, |keys| drop(keys.insert("PreserveDataPlan".to_owned(), Value::from("yes"))));
    assert_eq!(found, expected("PreserveDataPlan", Fault::Type("boolean".to_owned())), "wrong type");

    let found = spoiled(&erase, |keys| drop(keys.insert("PIN".to_owned(), Value::from("123456"))));
    assert_eq!(found, expected("PIN", Fault::NotFor("iOS")), "a key of Macs");

    let found = spoiled(&erase, |keys| drop(keys.insert("Colour".to_owned(), Value::from("blue"))));
    assert_eq!(found, expected("Colour", Fault::Unknown), "a key that does not exist");

    let found = spoiled(&erase, |keys| {
        let service = keys.get_mut("ReturnToService").and_then(Value::as_dictionary_mut);
        service.expect("the sample returns to service").remove("Enabled");
    });
    assert_eq!(found, expected("ReturnToService.Enabled", Fault::Missing), "a missing key, deep down");

    let install = Command::InstallApplication(mdm::command::InstallApplication::licensed(1));
    let found = spoiled(&install, |keys| drop(keys.insert("ManagementFlags".to_owned(), Value::from(2))));
    assert_eq!(found, expected("ManagementFlags", Fault::Value("Integer(2)".to_owned())), "not in the list");

    let query = Command::DeviceInformation(mdm::command::DeviceInformation::inventory(true));
    let found = spoiled(&query, |_| ());
    assert!(
        found.contains(&("Queries[20]".to_owned(), Fault::NotFor("an iPad that is not shared"))),
        "{found:?}"
    );

    let settings = samples::settings().into_iter().find(|(shared, _)| !shared).map(|(_, setting)| setting);
    let settings = Command::Settings(mdm::command::Settings { settings: settings.into_iter().collect() });
    let found = spoiled(&settings, |keys| {
        let items = keys.get_mut("Settings").and_then(Value::as_array_mut).expect("settings are an array");
        items[0]
            .as_dictionary_mut()
            .expect("an item is a dictionary")
            .insert("Where".to_owned(), Value::from(4));
    });
    assert_eq!(
        found,
        expected("Settings[0].Where", Fault::Value("Integer(4)".to_owned())),
        "inside of an array"
    );
}

#[test]
fn what_a_device_cannot_do_is_found() {
    let restart = parameters(&Command::RestartDevice);
    let check = |target| schema::command("RestartDevice").check(&restart, target, &["RequestType"]);
    let refused = |why| vec![Finding { at: String::new(), what: Fault::NotFor(why) }];
    assert_eq!(check(Target::SUPERVISED), []);
    assert_eq!(check(Target::UNSUPERVISED), refused("unsupervised devices"));
    assert_eq!(check(Target { version: (10, 2), ..Target::SUPERVISED }), refused("this version"));
}

#[test]
fn formats_and_ranges_are_checked() {
    let url = |address: &str| {
        let mut payload = Dictionary::new();
        payload.insert("ServerURL".to_owned(), Value::from(address));
        let findings =
            schema::profile("com.apple.mdm").check(&Value::Dictionary(payload), Target::SUPERVISED, &[]);
        findings.into_iter().filter(|finding| finding.at == "ServerURL").count()
    };
    assert_eq!((url("https://mdm.school.example/"), url("http://mdm.school.example/")), (0, 1));
}

#[test]
fn a_folder_on_the_home_screen_is_checked() {
    let layout = |kind: &str| {
        let icon: Dictionary =
            [("Type", Value::from(kind)), ("BundleID", Value::from("a.b"))].into_iter().collect();
        let page = Value::Array(vec![Value::Dictionary(icon)]);
        let folder: Dictionary = [
            ("Type", Value::from("Folder")),
            ("DisplayName", Value::from("Maths")),
            ("Pages", Value::Array(vec![page])),
        ]
        .into_iter()
        .collect();
        let pages = Value::Array(vec![Value::Array(vec![Value::Dictionary(folder)])]);
        let payload: Dictionary = [("Pages", pages)].into_iter().collect();
        schema::profile("com.apple.homescreenlayout").check(
            &Value::Dictionary(payload),
            Target::SUPERVISED,
            &[],
        )
    };
    assert_eq!(layout("App"), []);
    let found: Vec<_> = layout("Spaceship").into_iter().map(|finding| finding.at).collect();
    assert_eq!(found, ["Pages[0][0].Pages[0][0].Type"]);
}
