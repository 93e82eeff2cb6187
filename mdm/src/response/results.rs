//! Details of results, one type for each kind of command.
//!
//! Nearly every key is optional, also where Apple's schema says that it is required: devices leave keys out with their
//! generation, their enrolment and their rights. Keys that are not named here are passed over, which is also how the
//! server avoids knowing what it has no use for.
//!
//! Apple describes each under the command's name with `Response` behind it, as
//! <https://developer.apple.com/documentation/devicemanagement/deviceinformationresponse>.

use std::collections::BTreeMap;

use plist::{Data, Date};
use serde::{Deserialize, Deserializer};

use crate::secret::Secret;

/// Answer to `DeviceInformation`. What was not asked for, or does not exist on the device, is `None`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceInformation {
    /// The properties.
    pub query_responses: DeviceProperties,
}

/// Properties of a device.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceProperties {
    /// The identifier for life.
    #[serde(rename = "UDID")]
    pub udid: Option<String>,
    /// The name that the user sees; often the user's own.
    pub device_name: Option<Secret<String>>,
    /// As on the back of the device.
    pub serial_number: Option<String>,
    /// For example `18.1`.
    #[serde(rename = "OSVersion")]
    pub os_version: Option<String>,
    /// For example `(a)` after a rapid security response.
    #[serde(rename = "SupplementalOSVersionExtra")]
    pub supplemental_os_version_extra: Option<String>,
    /// For example `22B83`.
    pub build_version: Option<String>,
    /// For example `22B91` after a rapid security response.
    pub supplemental_build_version: Option<String>,
    /// For example `iPad`.
    pub model_name: Option<String>,
    /// For example `MK2K3FD`.
    pub model: Option<String>,
    /// The same with the region's letters.
    pub model_number: Option<String>,
    /// For example `iPad14,1`.
    pub product_name: Option<String>,
    /// Gigabytes (2^30 bytes).
    pub device_capacity: Option<f64>,
    /// Gigabytes (2^30 bytes).
    pub available_device_capacity: Option<f64>,
    /// 0 to 1, or -1 where there is no battery.
    pub battery_level: Option<f64>,
    /// With colons.
    #[serde(rename = "WiFiMAC")]
    pub wifi_mac: Option<String>,
    /// With colons.
    #[serde(rename = "BluetoothMAC")]
    pub bluetooth_mac: Option<String>,
    /// Of a device with a modem.
    #[serde(rename = "IMEI")]
    pub imei: Option<String>,
    /// A name of the time zone database.
    pub time_zone: Option<String>,
    /// The school may do everything with it.
    pub is_supervised: Option<bool>,
    /// It is a Shared iPad.
    pub is_multi_user: Option<bool>,
    /// Find My is on.
    pub is_device_locator_service_enabled: Option<bool>,
    /// It cannot be set up again without a code.
    pub is_activation_lock_enabled: Option<bool>,
    /// It is in lost mode.
    #[serde(rename = "IsMDMLostModeEnabled")]
    pub is_mdm_lost_mode_enabled: Option<bool>,
    /// The setup assistant waits for the server.
    pub awaiting_configuration: Option<bool>,
    /// Backups go to iCloud.
    pub is_cloud_backup_enabled: Option<bool>,
    /// When the last one did.
    pub last_cloud_backup_date: Option<Date>,
    /// An Apple Account is signed in at the App Store.
    #[serde(rename = "iTunesStoreAccountIsActive")]
    pub itunes_store_account_is_active: Option<bool>,
    /// What tells accounts apart without naming them.
    #[serde(rename = "iTunesStoreAccountHash")]
    pub itunes_store_account_hash: Option<String>,
    /// Name of the device at Apple's update service.
    #[serde(rename = "SoftwareUpdateDeviceID")]
    pub software_update_device_id: Option<String>,
    /// Shared iPad: megabytes for each user.
    pub quota_size: Option<i64>,
    /// Shared iPad: how many users are expected.
    pub resident_users: Option<i64>,
    /// Shared iPad: how many users fit.
    pub estimated_resident_users: Option<i64>,
    /// Shared iPad: seconds, 0 for never.
    pub user_session_timeout: Option<i64>,
    /// Shared iPad: seconds, 0 for never.
    pub temporary_session_timeout: Option<i64>,
    /// Shared iPad: nobody signs in.
    pub temporary_session_only: Option<bool>,
    /// The certificates of an attestation by Apple, the leaf first (iOS 16).
    pub device_properties_attestation: Option<Vec<Data>>,
}

/// Answer to `SecurityInfo`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SecurityInfo {
    /// The facts.
    pub security_info: SecurityFacts,
}

/// How a device is secured.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecurityFacts {
    /// 1 blocks, 2 files, 3 both.
    pub hardware_encryption_caps: Option<i64>,
    /// There is one.
    pub passcode_present: Option<bool>,
    /// It obeys every rule, also that of an Exchange account.
    pub passcode_compliant: Option<bool>,
    /// It obeys the rules of the profiles.
    pub passcode_compliant_with_profiles: Option<bool>,
    /// Seconds, as the user chose.
    pub passcode_lock_grace_period: Option<i64>,
    /// Seconds, as they are in force.
    pub passcode_lock_grace_period_enforced: Option<i64>,
    /// Shared iPad: seconds (iOS 17).
    pub auto_lock_time: Option<i64>,
    /// How it is enrolled.
    pub management_status: Option<ManagementStatus>,
}

/// How a device is enrolled.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagementStatus {
    /// It belongs to its user.
    pub is_user_enrollment: Option<bool>,
}

/// Answer to `ProfileList`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProfileList {
    /// The profiles.
    pub profile_list: Vec<InstalledProfile>,
}

/// A profile on a device.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstalledProfile {
    /// Which profile.
    pub payload_identifier: Option<String>,
    /// Which edition of it.
    #[serde(rename = "PayloadUUID")]
    pub payload_uuid: Option<String>,
    /// Version of the format.
    pub payload_version: Option<i64>,
    /// Its title.
    pub payload_display_name: Option<String>,
    /// Who wrote it.
    pub payload_organization: Option<String>,
    /// Its text.
    pub payload_description: Option<String>,
    /// Users cannot remove it.
    pub payload_removal_disallowed: Option<bool>,
    /// Users need a passcode to remove it.
    pub has_removal_passcode: Option<bool>,
    /// It came encrypted.
    pub is_encrypted: Option<bool>,
    /// The server installed it.
    pub is_managed: Option<bool>,
    /// The declaration that brought it (iOS 18).
    pub source: Option<String>,
    /// Whoever signed it, the signer first.
    pub signer_certificates: Vec<Data>,
    /// What it consists of.
    pub payload_content: Vec<InstalledPayload>,
}

/// A part of a profile.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstalledPayload {
    /// For example `com.apple.wifi.managed`.
    pub payload_type: Option<String>,
    /// Which part.
    pub payload_identifier: Option<String>,
    /// Which edition of it (iOS 17).
    #[serde(rename = "PayloadUUID")]
    pub payload_uuid: Option<String>,
    /// Version of its format.
    pub payload_version: Option<i64>,
    /// Its title.
    pub payload_display_name: Option<String>,
}

/// Answer to `InstalledApplicationList`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstalledApplicationList {
    /// The apps.
    pub installed_application_list: Vec<InstalledApplication>,
}

/// An app on a device.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstalledApplication {
    /// Bundle identifier.
    pub identifier: Option<String>,
    /// Name under the icon.
    pub name: Option<String>,
    /// Version for people.
    pub short_version: Option<String>,
    /// Version of the bundle.
    pub version: Option<String>,
    /// The App Store's number for this version.
    pub external_version_identifier: Option<i64>,
    /// Bytes of the app.
    pub bundle_size: Option<i64>,
    /// Bytes of its data.
    pub dynamic_size: Option<i64>,
    /// It can run.
    pub is_validated: Option<bool>,
    /// It is on its way.
    pub installing: Option<bool>,
    /// It came from the App Store.
    pub app_store_vendable: Option<bool>,
    /// Its licence belongs to the device.
    #[serde(rename = "DeviceBasedVPP")]
    pub device_based_vpp: Option<bool>,
    /// It is a trial version.
    pub beta_app: Option<bool>,
    /// There is a newer version.
    pub has_update_available: Option<bool>,
    /// It could not be loaded.
    pub download_failed: Option<bool>,
    /// The declaration that brought it (iOS 17.2).
    pub source: Option<String>,
}

/// Answer to `ManagedApplicationList`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagedApplicationList {
    /// The apps by their bundle identifiers.
    pub managed_application_list: BTreeMap<String, ManagedApplication>,
}

/// An app that the server installed, or tried to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagedApplication {
    /// How far it is.
    pub status: ManagedApplicationStatus,
    /// As in `InstallApplication`.
    pub management_flags: Option<i64>,
    /// It has a configuration.
    pub has_configuration: Option<bool>,
    /// It has something to report.
    pub has_feedback: Option<bool>,
    /// It can run.
    pub is_validated: Option<bool>,
    /// The App Store's number for this version.
    pub external_version_identifier: Option<i64>,
}

/// How far the installation of an app is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the words are Apple's and stand in Apple's documentation")]
pub enum ManagedApplicationStatus {
    Queued,
    NeedsRedemption,
    Redeeming,
    Prompting,
    PromptingForLogin,
    ValidatingPurchase,
    PromptingForUpdate,
    PromptingForUpdateLogin,
    PromptingForManagement,
    ValidatingUpdate,
    Updating,
    Installing,
    Managed,
    ManagedButUninstalled,
    UserInstalledApp,
    UserRejected,
    UpdateRejected,
    ManagementRejected,
    Failed,
    Unknown,
    /// A word that Apple added later.
    #[serde(untagged)]
    Other(String),
}

/// Answer to `InstallApplication`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InstallApplication {
    /// Bundle identifier, where the device knows it already.
    pub identifier: Option<String>,
    /// How far it is.
    pub state: Option<ManagedApplicationStatus>,
    /// Why it was refused, as `AppAlreadyQueued`.
    pub rejection_reason: Option<String>,
}

/// Answer to `CertificateList`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CertificateList {
    /// The certificates.
    pub certificate_list: Vec<InstalledCertificate>,
}

/// A certificate on a device.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstalledCertificate {
    /// Of the subject.
    pub common_name: Option<String>,
    /// DER.
    pub data: Data,
    /// The device has the private key.
    #[serde(default)]
    pub is_identity: bool,
}

/// Answer to `DeviceLocation`. It tells where a person may be, and hides that from logs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct DeviceLocation(Secret<Place>);

impl DeviceLocation {
    /// The place.
    pub fn expose(&self) -> &Place {
        self.0.expose()
    }
}

/// Where a device in lost mode is.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Place {
    /// Degrees, north is positive.
    pub latitude: f64,
    /// Degrees, east is positive.
    pub longitude: f64,
    /// Radius in metres; negative where the place is worth nothing.
    pub horizontal_accuracy: Option<f64>,
    /// Metres; negative where the altitude is worth nothing.
    pub vertical_accuracy: Option<f64>,
    /// Metres above the sea.
    pub altitude: Option<f64>,
    /// Metres a second; negative where unknown.
    pub speed: Option<f64>,
    /// Degrees from north; negative where unknown.
    pub course: Option<f64>,
    /// When, in the form of RFC 3339.
    pub timestamp: Option<String>,
}

/// Answer to `ActivationLockBypassCode`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ActivationLockBypassCode {
    /// The code. A device gives it only within 15 days after supervision began.
    pub activation_lock_bypass_code: Secret<String>,
}

/// Answer to `UserList`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UserList {
    /// The users of a Shared iPad.
    pub users: Vec<SharedUser>,
}

/// A user of a Shared iPad.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SharedUser {
    /// The Managed Apple Account.
    pub user_name: Secret<String>,
    /// Has a session.
    #[serde(default)]
    pub is_logged_in: bool,
    /// Has data that are not in iCloud yet; `DeleteUser` needs force then.
    #[serde(default)]
    pub has_data_to_sync: bool,
    /// Bytes that may be used.
    pub data_quota: Option<i64>,
    /// Bytes that are used.
    pub data_used: Option<i64>,
}

/// Answer to `DeviceLock`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeviceLock {
    /// `Success`, `DeviceInLostMode` or `NoPasscodeSet`, if there was a text to show.
    pub message_result: Option<String>,
}

/// Answer to `Settings`: one result for each item, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Settings {
    /// The results.
    #[serde(deserialize_with = "one_or_many")]
    pub settings: Vec<SettingResult>,
}

/// How one item of `Settings` went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SettingResult {
    /// `Acknowledged` or `Error`.
    pub status: Option<String>,
    /// The app that it was about.
    pub identifier: Option<String>,
}

/// Apple's schema has one dictionary here, while the documentation of the protocol has an array of them. Both are taken.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SettingResult>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        Many(Vec<SettingResult>),
        One(SettingResult),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::Many(results) => results,
        OneOrMany::One(result) => vec![result],
    })
}
