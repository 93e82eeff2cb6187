//! What real devices answered.

use super::results::*;
use super::*;
use crate::channel::{Enrolment, Udid};

const LIMIT: usize = 2 << 20;

fn vector(name: &str) -> Response {
    let path = format!("{}/tests/vectors/{name}.plist", env!("CARGO_MANIFEST_DIR"));
    Response::parse(&std::fs::read(&path).unwrap(), LIMIT).unwrap()
}

fn response(keys: &str) -> Result<Response, ResponseError> {
    let udid = "<key>UDID</key><string>00008030-001A35E22EF8802E</string>";
    Response::parse(format!("<plist version=\"1.0\"><dict>{udid}{keys}</dict></plist>").as_bytes(), LIMIT)
}

fn done(status: &str, more: &str) -> Report {
    let command = "<key>CommandUUID</key><string>9A105E87-EC35-4F65-A265-423CFB92D624</string>";
    response(&format!("<key>Status</key><string>{status}</string>{command}{more}")).unwrap().report
}

const COMMAND: Uuid = uuid::uuid!("9a105e87-ec35-4f65-a265-423cfb92d624");

#[test]
fn an_idle_device_asks_for_a_command() {
    let idle = response("<key>Status</key><string>Idle</string>").unwrap();
    assert_eq!(idle.report, Report::Idle);
    assert_eq!(idle.channel.enrolment, Enrolment::Device(Udid::parse("00008030-001A35E22EF8802E").unwrap()));
}

#[test]
fn a_command_ends_in_one_of_four_ways() {
    let ended = |outcome| Report::Done { command: Some(COMMAND), outcome };
    assert_eq!(done("Acknowledged", ""), ended(Outcome::Acknowledged));
    assert_eq!(done("NotNow", ""), ended(Outcome::NotNow));
    assert_eq!(done("CommandFormatError", ""), ended(Outcome::NotUnderstood(Vec::new())));
    let chain = "<key>ErrorChain</key><array><dict><key>ErrorCode</key><integer>12026</integer>\
        <key>ErrorDomain</key><string>MCMDMErrorDomain</string><key>LocalizedDescription</key><string>Nein</string>\
        <key>USEnglishDescription</key><string>No</string></dict></array>";
    let error = ChainedError {
        code: 12026,
        domain: "MCMDMErrorDomain".to_owned(),
        localized: Some("Nein".to_owned()),
        english: Some("No".to_owned()),
    };
    assert_eq!(done("Error", chain), ended(Outcome::Failed(vec![error])));
}

#[test]
fn an_error_report_does_not_get_lost_for_what_is_odd_in_it() {
    let many = "<dict><key>ErrorCode</key><string>x</string></dict><string/>".repeat(200);
    let Report::Done { outcome: Outcome::Failed(chain), .. } =
        done("Error", &format!("<key>ErrorChain</key><array>{many}</array>"))
    else {
        panic!("it failed")
    };
    assert!((1..=MAX_CHAIN).contains(&chain.len()));
    let long = format!("<key>LocalizedDescription</key><string>{}</string>", "ä".repeat(2000));
    let Report::Done { outcome: Outcome::Failed(shortened), .. } =
        done("Error", &format!("<key>ErrorChain</key><array><dict>{long}</dict></array>"))
    else {
        panic!("it failed")
    };
    assert_eq!(shortened[0].localized.as_ref().map(String::len), Some(1024));
    assert_eq!(chain[0], ChainedError { code: 0, domain: String::new(), localized: None, english: None });
}

#[test]
fn a_response_needs_a_known_status() {
    assert!(response("").is_err());
    assert!(response("<key>Status</key><string>Bored</string>").is_err());
}

#[test]
fn a_command_of_another_server_does_not_end_the_conversation() {
    let foreign =
        "<key>Status</key><string>NotNow</string><key>CommandUUID</key><string>0001-CertificateList</string>";
    let expected = Report::Done { command: None, outcome: Outcome::NotNow };
    assert_eq!(response(foreign).unwrap().report, expected);
    let nameless = "<key>Status</key><string>CommandFormatError</string>";
    let expected = Report::Done { command: None, outcome: Outcome::NotUnderstood(Vec::new()) };
    assert_eq!(response(nameless).unwrap().report, expected);
}

#[test]
fn a_detail_that_nobody_foresaw_does_not_hide_the_outcome() {
    let response = response(
        "<key>Status</key><string>Acknowledged</string>\
         <key>CommandUUID</key><string>9A105E87-EC35-4F65-A265-423CFB92D624</string>\
         <key>QueryResponses</key><dict><key>BatteryLevel</key><string>full</string></dict>",
    );
    let response = response.unwrap();
    assert_eq!(response.report, Report::Done { command: Some(COMMAND), outcome: Outcome::Acknowledged });
    assert!(response.result::<DeviceInformation>().is_err());
}

#[test]
fn device_information_is_read() {
    let properties =
        vector("zentral/device_information").result::<DeviceInformation>().unwrap().query_responses;
    assert_eq!(properties.serial_number.as_deref(), Some("Z3C2FCE2C0"));
    assert_eq!(properties.os_version.as_deref(), Some("13.0"));
    assert_eq!(properties.device_capacity, Some(29.0));
    assert_eq!((properties.is_supervised, properties.is_multi_user), (Some(true), None));
    let few = vector("nanomdm/DeviceInformation.1").result::<DeviceInformation>().unwrap().query_responses;
    assert_eq!(few.udid.as_deref(), Some("66ADE930-5FDF-5EC4-8429-15640684C489"));
    assert_eq!(few.serial_number, None);
}

#[test]
fn security_information_is_read() {
    let facts = vector("zentral/security_info_ios").result::<SecurityInfo>().unwrap().security_info;
    assert_eq!((facts.passcode_present, facts.hardware_encryption_caps), (Some(false), Some(3)));
    assert_eq!(facts.management_status.unwrap().is_user_enrollment, Some(false));
    assert!(vector("zentral/security_info").result::<SecurityInfo>().is_ok(), "that of a Mac");
}

#[test]
fn profiles_are_read() {
    let profiles = vector("zentral/profile_list").result::<ProfileList>().unwrap().profile_list;
    let profile = &profiles[0];
    assert_eq!(profile.payload_identifier.as_deref(), Some("com.example.zentral.santa_configuration"));
    assert_eq!((profile.payload_version, profile.payload_removal_disallowed), (Some(1), Some(true)));
    assert_eq!(
        profile.payload_content[0].payload_type.as_deref(),
        Some("com.apple.ManagedClient.preferences")
    );
    assert_eq!(profile.signer_certificates.len(), 2);
}

#[test]
fn applications_are_read_also_those_without_an_identifier() {
    let installed =
        vector("zentral/installed_application_list").result::<InstalledApplicationList>().unwrap();
    let identifiers: Vec<_> =
        installed.installed_application_list.iter().map(|app| app.identifier.as_deref()).collect();
    assert_eq!(identifiers, [Some("com.apple.mail"), Some("com.apple.dt.Xcode"), None]);
    let managed = vector("zentral/managed_application_list").result::<ManagedApplicationList>().unwrap();
    let app = &managed.managed_application_list["com.acme.myenterpriseapp"];
    assert_eq!((&app.status, app.is_validated), (&ManagedApplicationStatus::Managed, Some(true)));
}

#[test]
fn certificates_are_read() {
    let list = vector("zentral/certificate_list").result::<CertificateList>().unwrap().certificate_list;
    let identities: Vec<_> = list.iter().map(|certificate| certificate.is_identity).collect();
    assert_eq!(identities, [true, false]);
    assert!(list.iter().all(|certificate| certificate.data.as_ref().starts_with(&[0x30, 0x82])), "DER");
}

fn acknowledged(details: &str) -> Response {
    response(&format!(
        "<key>Status</key><string>Acknowledged</string>\
         <key>CommandUUID</key><string>9A105E87-EC35-4F65-A265-423CFB92D624</string>{details}"
    ))
    .unwrap()
}

#[test]
fn a_place_is_read_and_not_shown() {
    let location = acknowledged(
        "<key>Latitude</key><real>52.520008</real><key>Longitude</key><integer>13</integer>\
         <key>HorizontalAccuracy</key><real>65</real><key>Timestamp</key><string>2026-11-22T08:00:00Z</string>",
    );
    let place = location.result::<DeviceLocation>().unwrap();
    assert_eq!((place.expose().latitude, place.expose().longitude), (52.520008, 13.0));
    assert!(!format!("{place:?}").contains("52"));
    assert!(!format!("{location:?}").contains("52"), "{location:?}");
}

#[test]
fn a_bypass_code_is_read_and_not_shown() {
    let code = acknowledged("<key>ActivationLockBypassCode</key><string>A1B2-C3D4</string>");
    let code = code.result::<ActivationLockBypassCode>().unwrap();
    assert_eq!(code.activation_lock_bypass_code.expose(), "A1B2-C3D4");
    assert!(!format!("{code:?}").contains("A1B2"));
}

#[test]
fn users_of_a_shared_ipad_are_read() {
    let users = acknowledged(
        "<key>Users</key><array><dict><key>UserName</key><string>ada@school.example</string><key>IsLoggedIn</key><true/>\
         <key>HasDataToSync</key><false/><key>DataQuota</key><integer>5000000000</integer><key>DataUsed</key>\
         <integer>7</integer></dict></array>",
    );
    let users = users.result::<UserList>().unwrap().users;
    assert_eq!((users[0].user_name.expose().as_str(), users[0].is_logged_in), ("ada@school.example", true));
    assert_eq!(users[0].data_quota, Some(5_000_000_000));
}

#[test]
fn settings_tell_how_each_went() {
    let result =
        "<dict><key>Item</key><string>DeviceName</string><key>Status</key><string>Error</string></dict>";
    let statuses = |details: String| {
        let settings = acknowledged(&details).result::<Settings>().unwrap().settings;
        settings.into_iter().map(|result| result.status.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(statuses(format!("<key>Settings</key><array>{result}{result}</array>")), ["Error", "Error"]);
    assert_eq!(statuses(format!("<key>Settings</key>{result}")), ["Error"]);
    assert!(acknowledged("").result::<Settings>().unwrap().settings.is_empty());
}

#[test]
fn a_word_that_apple_adds_later_is_kept() {
    let install =
        acknowledged("<key>State</key><string>Teleporting</string>").result::<InstallApplication>().unwrap();
    assert_eq!(install.state, Some(ManagedApplicationStatus::Other("Teleporting".to_owned())));
}

proptest::proptest! {
    #[test]
    fn odd_values_do_no_harm(key in 0..KEYS.len(), value in 0..VALUES.len(), status in 0..STATUS.len()) {
        let details = format!("<key>Status</key><string>{}</string><key>{}</key>{}", STATUS[status], KEYS[key], VALUES[value]);
        if let Ok(response) = response(&details) {
            let _ = response.result::<DeviceInformation>();
            let _ = response.result::<ProfileList>();
            let _ = response.result::<ManagedApplicationList>();
            let _ = response.result::<Settings>();
        }
    }
}

const STATUS: [&str; 3] = ["Idle", "Acknowledged", "Error"];
const KEYS: [&str; 9] = [
    "UDID",
    "UserID",
    "UserShortName",
    "CommandUUID",
    "ErrorChain",
    "QueryResponses",
    "ProfileList",
    "ManagedApplicationList",
    "Settings",
];
const VALUES: [&str; 10] = [
    "<string/>",
    "<string>9A105E87-EC35-4F65-A265-423CFB92D624</string>",
    "<integer>-1</integer>",
    "<integer>18446744073709551615</integer>",
    "<real>nan</real>",
    "<true/>",
    "<data/>",
    "<array><array/></array>",
    "<dict><key>ErrorCode</key><data/></dict>",
    "<date>2026-11-22T08:00:00Z</date>",
];
