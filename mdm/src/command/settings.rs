//! The items of the `Settings` command.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/settingscommand>. Left out are items that newer ones
//! replaced (`MaximumResidentUsers`, `PasscodeLockGracePeriod`) and what only telephones have (`VoiceRoaming`).

use serde::{Deserialize, Serialize};

use super::application::{AppAttributes, AppConfiguration};
use super::values::{bounded, numbered};
use crate::document::Data;

/// Changes settings, one after the other. The device answers for each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Settings {
    /// The items.
    pub settings: Vec<Setting>,
}

/// One item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "Item", rename_all_fields = "PascalCase")]
pub enum Setting {
    /// A picture behind the icons. Supervised only.
    Wallpaper {
        /// PNG or JPEG.
        image: Data,
        /// On which screen. The first time, both get it.
        r#where: WallpaperPlace,
    },
    /// Supervised only.
    Bluetooth {
        /// On or off.
        enabled: bool,
    },
    /// Use of data abroad.
    DataRoaming {
        /// On or off.
        enabled: bool,
    },
    /// The hotspot of a device with a modem.
    PersonalHotspot {
        /// On or off.
        enabled: bool,
    },
    /// What a managed app finds in its user defaults.
    ApplicationConfiguration {
        /// The bundle identifier.
        identifier: String,
        /// The keys; absent, the app loses its configuration.
        configuration: Option<AppConfiguration>,
    },
    /// What the system does with a managed app.
    ApplicationAttributes {
        /// The bundle identifier.
        identifier: String,
        /// The attributes; absent, the app loses them.
        attributes: Option<AppAttributes>,
    },
    /// The device's name. Supervised only.
    DeviceName {
        /// The name.
        device_name: String,
    },
    /// Who looks after the device.
    OrganizationInfo {
        /// The school; absent, nobody.
        organization_info: Option<OrganizationInfo>,
    },
    /// How the device deals with management.
    #[serde(rename = "MDMOptions")]
    MdmOptions {
        /// The options.
        #[serde(rename = "MDMOptions")]
        options: MdmOptions,
    },
    /// How a Shared iPad is shared.
    SharedDeviceConfiguration(SharedDeviceConfiguration),
    /// Whether a Shared iPad sends diagnoses to Apple.
    DiagnosticSubmission {
        /// On or off.
        enabled: bool,
    },
    /// Whether a Shared iPad tells makers of apps about crashes.
    AppAnalytics {
        /// On or off.
        enabled: bool,
    },
    /// Supervised only.
    TimeZone {
        /// A name of the time zone database, as `Europe/Berlin`.
        time_zone: String,
    },
    /// Which updates the user is offered. Supervised only.
    SoftwareUpdateSettings {
        /// Which.
        recommendation_cadence: RecommendationCadence,
    },
    /// Help for seeing, hearing and touching. Supervised only, and not while several users share the device.
    AccessibilitySettings(AccessibilitySettings),
}

numbered! {
    /// Where a wallpaper goes.
    WallpaperPlace {
        /// Behind the lock.
        LockScreen = 1,
        /// Behind the icons.
        HomeScreen = 2,
        /// Both.
        Both = 3,
    }

    /// Which updates a user is offered.
    RecommendationCadence {
        /// All.
        All = 0,
        /// The oldest version that still gets updates.
        Oldest = 1,
        /// The newest version.
        Newest = 2,
    }
}

/// Who looks after a device. Users see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct OrganizationInfo {
    /// The school's name.
    pub organization_name: String,
    /// One word for it.
    pub organization_short_name: Option<String>,
    /// Its address; lines end with a line feed.
    pub organization_address: Option<String>,
    /// Its telephone number.
    pub organization_phone: Option<String>,
    /// Where to ask for help.
    pub organization_email: Option<String>,
    /// What its services know each other by.
    pub organization_magic: Option<String>,
}

/// How a device deals with management.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct MdmOptions {
    /// A supervised device may put an activation lock on itself.
    pub activation_lock_allowed_while_supervised: Option<bool>,
}

/// How a Shared iPad is shared. It refuses `QuotaSize` and `ResidentUsers` once it has users.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SharedDeviceConfiguration {
    /// Megabytes for each user.
    pub quota_size: Option<u32>,
    /// How many users are expected, in place of a quota.
    pub resident_users: Option<u32>,
    /// Signs a user out who does nothing.
    pub user_session_timeout: Option<SessionTimeout>,
    /// Ends a temporary session in which nothing happens.
    pub temporary_session_timeout: Option<SessionTimeout>,
    /// Nobody signs in: every session starts empty and leaves nothing behind.
    pub temporary_session_only: Option<bool>,
    /// Offered behind the name when signing in; the device shows three.
    #[serde(rename = "ManagedAppleIDDefaultDomains")]
    pub managed_apple_id_default_domains: Option<Vec<String>>,
    /// For how many days a passcode is enough.
    pub online_authentication_grace_period: Option<u32>,
    /// Take the device's language for new users.
    pub skip_language_and_locale_setup_for_new_users: Option<bool>,
    /// Hold new sessions until `UserConfigured` (iOS 17).
    pub await_user_configuration: Option<AwaitUserConfiguration>,
    /// Rules for passcodes (iOS 17).
    pub passcode_policy: Option<SharedPasscodePolicy>,
}

/// Whether new sessions of a Shared iPad wait for the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AwaitUserConfiguration {
    /// Yes or no.
    pub enabled: bool,
}

/// Rules for passcodes on a Shared iPad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct SharedPasscodePolicy {
    /// How long a locked screen opens without a passcode.
    pub passcode_lock_grace_period: Option<GracePeriod>,
    /// After how many seconds the screen locks.
    pub auto_lock_time: Option<AutoLockTime>,
}

bounded! {
    /// Seconds without a touch: 0 for never, else 30 or more.
    SessionTimeout: 0 | 30..,
    /// Seconds during which a locked screen opens without a passcode. Devices know these six values.
    GracePeriod: 0 | 60 | 300 | 900 | 3600 | 14400,
    /// Seconds until the screen locks, 120 or more.
    AutoLockTime: 120..,
    /// Size of the text, 0 to 11; devices start with 4.
    TextSize: 0..=11,
}

/// Help for seeing, hearing and touching. Only the keys that are there change anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AccessibilitySettings {
    /// Bold text.
    pub bold_text_enabled: Option<bool>,
    /// More contrast.
    pub increase_contrast_enabled: Option<bool>,
    /// Less motion.
    pub reduce_motion_enabled: Option<bool>,
    /// Less transparency.
    pub reduce_transparency_enabled: Option<bool>,
    /// Size of the text.
    pub text_size: Option<TextSize>,
    /// Help with touching.
    pub touch_accommodations_enabled: Option<bool>,
    /// The screen is read out.
    pub voice_over_enabled: Option<bool>,
    /// The screen can be magnified.
    pub zoom_enabled: Option<bool>,
}

impl Settings {
    /// Items of one kind replace each other, those of different kinds do not; so the key is the list of kinds.
    pub(super) fn queue_key(&self) -> String {
        let mut kinds: Vec<_> = self.settings.iter().map(Setting::kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        format!("settings {}", kinds.join(" "))
    }

    pub(super) fn carries_secret(&self) -> bool {
        self.settings.iter().any(|setting| matches!(setting, Setting::ApplicationConfiguration { .. }))
    }
}

impl Setting {
    /// What the item decides.
    fn kind(&self) -> String {
        match self {
            Self::Wallpaper { r#where, .. } => format!("wallpaper-{}", u32::from(*r#where)),
            Self::ApplicationConfiguration { identifier, .. } => format!("configuration-{identifier}"),
            Self::ApplicationAttributes { identifier, .. } => format!("attributes-{identifier}"),
            Self::Bluetooth { .. } => "bluetooth".to_owned(),
            Self::DataRoaming { .. } => "data-roaming".to_owned(),
            Self::PersonalHotspot { .. } => "hotspot".to_owned(),
            Self::DeviceName { .. } => "name".to_owned(),
            Self::OrganizationInfo { .. } => "organization".to_owned(),
            Self::MdmOptions { .. } => "options".to_owned(),
            Self::SharedDeviceConfiguration(_) => "shared".to_owned(),
            Self::DiagnosticSubmission { .. } => "diagnostics".to_owned(),
            Self::AppAnalytics { .. } => "analytics".to_owned(),
            Self::TimeZone { .. } => "time-zone".to_owned(),
            Self::SoftwareUpdateSettings { .. } => "updates".to_owned(),
            Self::AccessibilitySettings(_) => "accessibility".to_owned(),
        }
    }
}
