//! Commands and how the queue treats them.

use super::*;
use crate::secret::Secret;

fn install(identifier: &str) -> Command {
    let payload = document::Data::from(vec![1]);
    Command::InstallProfile(InstallProfile { identifier: identifier.to_owned(), payload })
}

#[test]
fn a_document_has_apples_keys_and_not_the_queues() {
    let document = install("example.school.wifi").to_document(Uuid::nil()).unwrap();
    let document = String::from_utf8(document).unwrap();
    assert!(
        document.contains("<key>CommandUUID</key>\n\t<string>00000000-0000-0000-0000-000000000000</string>")
    );
    assert!(document.contains("<key>RequestType</key>\n\t\t<string>InstallProfile</string>"));
    assert!(document.contains("<key>Payload</key>\n\t\t<data>\n\t\tAQ==\n\t\t</data>"));
    assert!(!document.contains("example.school.wifi"), "{document}");
}

#[test]
fn a_text_that_no_device_can_read_is_refused_before_it_is_queued() {
    let lock = DeviceLock { message: Some("\u{7}".to_owned()), phone_number: None };
    assert!(Command::DeviceLock(lock).to_document(Uuid::nil()).is_err());
}

#[test]
fn newer_orders_supersede_older_ones_about_the_same_thing() {
    let key = |command: Command| command.queue_key();
    let remove = Command::RemoveProfile(RemoveProfile { identifier: "a".to_owned() });
    assert_eq!(key(install("a")), key(remove));
    assert_ne!(key(install("a")), key(install("b")));
    assert_eq!(key(Command::RestartDevice), key(Command::ShutDownDevice));
    let lost = EnableLostMode::new(Some("x".to_owned()), None, None).unwrap();
    assert_eq!(key(Command::EnableLostMode(lost)), key(Command::DisableLostMode));
    let inventory = |shared| Command::DeviceInformation(DeviceInformation::inventory(shared));
    assert_eq!(key(inventory(true)), key(inventory(false)), "one question at a time");
    let user = |name: &str| DeletedUsers::UserName(Secret::new(name.to_owned()));
    let delete = |whom| Command::DeleteUser(DeleteUser { whom, force_deletion: None });
    assert_ne!(key(delete(user("ada"))), key(delete(user("alan"))));
}

#[test]
fn settings_of_one_kind_supersede_each_other() {
    let settings = |settings| Command::Settings(Settings { settings }).queue_key();
    let name = |name: &str| Setting::DeviceName { device_name: name.to_owned() };
    let bluetooth = || Setting::Bluetooth { enabled: true };
    assert_eq!(settings(vec![name("a")]), settings(vec![name("b")]));
    assert_eq!(settings(vec![name("a"), bluetooth()]), settings(vec![bluetooth(), name("a")]));
    assert_ne!(settings(vec![name("a")]), settings(vec![bluetooth()]));
    let app =
        |app: &str| Setting::ApplicationConfiguration { identifier: app.to_owned(), configuration: None };
    assert_ne!(settings(vec![app("a")]), settings(vec![app("b")]));
}

#[test]
fn a_lock_that_comes_too_late_is_not_sent() {
    let minutes = |command: Command| command.policy().time_to_live.map(|time| time.as_secs() / 60);
    assert_eq!(minutes(Command::DeviceLock(DeviceLock::default())), Some(10));
    assert_eq!(minutes(Command::EraseDevice(EraseDevice::default())), None);
    assert_eq!(minutes(Command::SecurityInfo), Some(12 * 60));
}

#[test]
fn what_cannot_be_undone_needs_a_reason() {
    let erase = Command::EraseDevice(EraseDevice::default()).policy();
    assert!(erase.needs_reason && erase.repeatable);
    let clear = ClearPasscode { unlock_token: document::Data::from(vec![1]) };
    let clear = Command::ClearPasscode(clear).policy();
    assert!(clear.needs_reason && !clear.repeatable);
    assert!(Command::DeviceLocation.policy().needs_reason);
    assert!(!Command::DeviceLock(DeviceLock::default()).policy().needs_reason);
}

#[test]
fn feedback_is_not_asked_for_twice_once_it_was_deleted() {
    let ask = |delete_feedback| {
        let identifiers = vec!["a.b".to_owned()];
        let query = ManagedApplicationFeedback { identifiers, delete_feedback };
        Command::ManagedApplicationFeedback(query).policy().repeatable
    };
    assert_eq!((ask(None), ask(Some(true))), (true, false));
}

#[test]
fn lost_mode_has_something_to_show() {
    assert_eq!(EnableLostMode::new(None, Some(String::new()), Some("x".to_owned())), Err(NothingToShow));
    let json = r#"{"RequestType":"EnableLostMode","Footnote":"x"}"#;
    assert!(serde_json::from_str::<Command>(json).is_err(), "also out of the queue");
}

#[test]
fn numbers_stay_inside_their_ranges() {
    assert!(ScanTime::try_from(9).is_err() && ScanTime::try_from(300).is_ok());
    assert!(SessionTimeout::try_from(0).is_ok() && SessionTimeout::try_from(29).is_err());
    assert!(GracePeriod::try_from(61).is_err());
    assert_eq!(TextSize::try_from(12).unwrap_err().to_string(), "12 is not allowed for TextSize");
    assert!(ManagementFlags::try_from(2).is_err());
}

#[test]
fn secrets_are_known_and_not_shown() {
    let profile = install("a");
    assert!(profile.carries_secret());
    assert!(!format!("{profile:?}").contains("[1]"), "{profile:?}");
    assert!(!Command::SecurityInfo.carries_secret());
    let keys = serde_json::json!({"licence": "hunter2"}).as_object().cloned().unwrap();
    let setting = Setting::ApplicationConfiguration {
        identifier: "a.b".to_owned(),
        configuration: Some(AppConfiguration(keys)),
    };
    let settings = Command::Settings(Settings { settings: vec![setting] });
    assert!(settings.carries_secret());
    assert!(!format!("{settings:?}").contains("hunter2"));
}
