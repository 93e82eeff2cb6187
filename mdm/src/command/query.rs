//! Questions about a device.

use serde::{Deserialize, Serialize};

use super::values::words;
use crate::document::Data;

/// Asks for properties: <https://developer.apple.com/documentation/devicemanagement/deviceinformationcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceInformation {
    /// What is asked for.
    pub queries: Vec<DeviceQuery>,
    /// What a [`DeviceQuery::DevicePropertiesAttestation`] has to repeat, at most 32 bytes.
    pub device_attestation_nonce: Option<Data>,
}

impl DeviceInformation {
    /// What a school has to know to look after its devices, and no more: no telephone numbers, no SIM cards, nothing about
    /// the user's Apple Account.
    pub fn inventory(shared_ipad: bool) -> Self {
        let shared = if shared_ipad { SHARED_INVENTORY } else { &[] };
        Self { queries: [INVENTORY, shared].concat(), device_attestation_nonce: None }
    }
}

words! {
    /// A property of a device. Some need a supervised device or a Shared iPad; others are left out of the answer without a
    /// word.
    DeviceQuery {
        Udid = "UDID",
        OrganizationInfo,
        MdmOptions = "MDMOptions",
        LastCloudBackupDate,
        AwaitingConfiguration,
        ITunesStoreAccountIsActive = "iTunesStoreAccountIsActive",
        ITunesStoreAccountHash = "iTunesStoreAccountHash",
        DeviceName,
        OsVersion = "OSVersion",
        SupplementalOsVersionExtra = "SupplementalOSVersionExtra",
        BuildVersion,
        SupplementalBuildVersion,
        ModelName,
        Model,
        ModelNumber,
        ProductName,
        SerialNumber,
        DeviceCapacity,
        AvailableDeviceCapacity,
        Imei = "IMEI",
        Meid = "MEID",
        ModemFirmwareVersion,
        CellularTechnology,
        BatteryLevel,
        IsSupervised,
        IsMultiUser,
        IsDeviceLocatorServiceEnabled,
        IsActivationLockEnabled,
        IsDoNotDisturbInEffect,
        EasDeviceIdentifier = "EASDeviceIdentifier",
        IsCloudBackupEnabled,
        IsMdmLostModeEnabled = "IsMDMLostModeEnabled",
        MaximumResidentUsers,
        EstimatedResidentUsers,
        QuotaSize,
        ResidentUsers,
        UserSessionTimeout,
        TemporarySessionTimeout,
        TemporarySessionOnly,
        ManagedAppleIdDefaultDomains = "ManagedAppleIDDefaultDomains",
        OnlineAuthenticationGracePeriod,
        SkipLanguageAndLocaleSetupForNewUsers,
        PushToken,
        DiagnosticSubmissionEnabled,
        AppAnalyticsEnabled,
        TimeZone,
        Iccid = "ICCID",
        BluetoothMac = "BluetoothMAC",
        WiFiMac = "WiFiMAC",
        CurrentCarrierNetwork,
        SubscriberCarrierNetwork,
        CarrierSettingsVersion,
        PhoneNumber,
        DataRoamingEnabled,
        VoiceRoamingEnabled,
        PersonalHotspotEnabled,
        IsNetworkTethered,
        IsRoaming,
        SubscriberMcc = "SubscriberMCC",
        SubscriberMnc = "SubscriberMNC",
        CurrentMcc = "CurrentMCC",
        CurrentMnc = "CurrentMNC",
        ServiceSubscriptions,
        SoftwareUpdateDeviceId = "SoftwareUpdateDeviceID",
        SoftwareUpdateSettings,
        AccessibilitySettings,
        DevicePropertiesAttestation,
    }
}

/// Asks which profiles are installed: <https://developer.apple.com/documentation/devicemanagement/profilelistcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProfileList {
    /// Leave out what the user installed. User Enrollment does so always.
    pub managed_only: Option<bool>,
}

/// Asks which certificates are installed:
/// <https://developer.apple.com/documentation/devicemanagement/certificatelistcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CertificateList {
    /// Leave out what the user installed. User Enrollment does so always.
    pub managed_only: Option<bool>,
}

/// Asks which restrictions are in force: <https://developer.apple.com/documentation/devicemanagement/restrictionscommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Restrictions {
    /// Also tell which profile brought which.
    pub profile_restrictions: Option<bool>,
}

/// Asks which apps are installed:
/// <https://developer.apple.com/documentation/devicemanagement/installedapplicationlistcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstalledApplicationList {
    /// Only these bundle identifiers.
    pub identifiers: Option<Vec<String>>,
    /// Only what the server installed. For devices that belong to their users nothing else may be asked.
    pub managed_apps_only: Option<bool>,
    /// Which properties; everything if absent, which takes devices longer.
    pub items: Option<Vec<AppItem>>,
}

words! {
    /// A property of an installed app.
    AppItem {
        AdHocCodeSigned,
        AppStoreVendable,
        BetaApp,
        BundleSize,
        DeviceBasedVpp = "DeviceBasedVPP",
        DistributorIdentifier,
        DynamicSize,
        ExternalVersionIdentifier,
        HasUpdateAvailable,
        Identifier,
        Installing,
        IsAppClip,
        IsValidated,
        Name,
        ShortVersion,
        Version,
    }
}

/// Asks about the apps that the server installed:
/// <https://developer.apple.com/documentation/devicemanagement/managedapplicationlistcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagedApplicationList {
    /// Only these bundle identifiers.
    pub identifiers: Option<Vec<String>>,
}

/// The apps that a question is about.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagedApplications {
    /// Bundle identifiers.
    pub identifiers: Vec<String>,
}

/// Asks what managed apps report:
/// <https://developer.apple.com/documentation/devicemanagement/managedapplicationfeedbackcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ManagedApplicationFeedback {
    /// Bundle identifiers.
    pub identifiers: Vec<String>,
    /// Forget the reports once they were read.
    pub delete_feedback: Option<bool>,
}

const INVENTORY: &[DeviceQuery] = &[
    DeviceQuery::DeviceName,
    DeviceQuery::SerialNumber,
    DeviceQuery::OsVersion,
    DeviceQuery::SupplementalOsVersionExtra,
    DeviceQuery::BuildVersion,
    DeviceQuery::ModelName,
    DeviceQuery::ModelNumber,
    DeviceQuery::ProductName,
    DeviceQuery::DeviceCapacity,
    DeviceQuery::AvailableDeviceCapacity,
    DeviceQuery::BatteryLevel,
    DeviceQuery::WiFiMac,
    DeviceQuery::BluetoothMac,
    DeviceQuery::TimeZone,
    DeviceQuery::IsSupervised,
    DeviceQuery::IsMultiUser,
    DeviceQuery::IsActivationLockEnabled,
    DeviceQuery::IsMdmLostModeEnabled,
    DeviceQuery::AwaitingConfiguration,
    DeviceQuery::SoftwareUpdateDeviceId,
];

const SHARED_INVENTORY: &[DeviceQuery] = &[
    DeviceQuery::QuotaSize,
    DeviceQuery::ResidentUsers,
    DeviceQuery::EstimatedResidentUsers,
    DeviceQuery::UserSessionTimeout,
    DeviceQuery::TemporarySessionTimeout,
    DeviceQuery::TemporarySessionOnly,
];
