//! Payloads about what people see: apps, icons, notifications, the lock screen.
//!
//! Fields that are sent as they stand carry Apple's names.

use super::{ProfileError, flat, put};
use crate::values::{Blob, BundleId, Label, WebUrl, Within};
use plist::Dictionary;
use serde::{Deserialize, Serialize};

/// One app fills the screen until the profile goes.
/// <https://developer.apple.com/documentation/devicemanagement/applock>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppLock {
    /// The app.
    pub app: BundleId,
    /// What is switched off or on while it runs.
    pub options: AppLockOptions,
    /// What the person may switch on, such as aids to reading.
    pub user_options: LockedUserOptions,
}

/// What is switched off or on while the app is locked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, clippy::struct_excessive_bools, reason = "Apple's names, and they say it")]
pub struct AppLockOptions {
    pub disable_touch: bool,
    pub disable_device_rotation: bool,
    pub disable_volume_buttons: bool,
    pub disable_sleep_wake_button: bool,
    pub disable_auto_lock: bool,
    pub enable_voice_over: bool,
    pub enable_zoom: bool,
    pub enable_invert_colors: bool,
    pub enable_assistive_touch: bool,
    pub enable_speak_selection: bool,
    pub enable_mono_audio: bool,
}

/// Aids that the person may switch on and off while the app is locked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(missing_docs, reason = "Apple's names, and they say it")]
pub struct LockedUserOptions {
    pub voice_over: bool,
    pub zoom: bool,
    pub invert_colors: bool,
    pub assistive_touch: bool,
}

impl AppLock {
    pub(super) fn content(&self) -> Result<Dictionary, ProfileError> {
        let mut app = Dictionary::new();
        put(&mut app, "Identifier", self.app.as_str());
        put(&mut app, "Options", flat(&self.options)?);
        put(&mut app, "UserEnabledOptions", flat(&self.user_options)?);
        let mut out = Dictionary::new();
        put(&mut out, "App", app);
        Ok(out)
    }
}

/// Where the icons are.
/// <https://developer.apple.com/documentation/devicemanagement/homescreenlayout>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct HomeScreen {
    /// The row at the bottom.
    pub dock: Vec<Icon>,
    /// The pages from left to right.
    pub pages: Vec<Vec<Icon>>,
}

/// An icon on a page or in the dock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum Icon {
    /// An app.
    App {
        /// Its bundle identifier.
        #[serde(rename = "BundleID")]
        app: BundleId,
    },
    /// A web clip.
    WebClip {
        /// The address of the clip.
        #[serde(rename = "URL")]
        url: WebUrl,
    },
    /// A folder. Devices show no folder inside a folder, so the type has none.
    Folder {
        /// Its name.
        #[serde(rename = "DisplayName")]
        name: Label,
        /// Its pages.
        #[serde(rename = "Pages")]
        pages: Vec<Vec<FolderIcon>>,
    },
}

/// An icon in a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "Type")]
pub enum FolderIcon {
    /// An app.
    App {
        /// Its bundle identifier.
        #[serde(rename = "BundleID")]
        app: BundleId,
    },
    /// A web clip.
    WebClip {
        /// The address of the clip.
        #[serde(rename = "URL")]
        url: WebUrl,
    },
}

/// A page with an icon on the home screen.
/// <https://developer.apple.com/documentation/devicemanagement/webclip>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebClip {
    /// The page.
    pub url: WebUrl,
    /// The name below the icon.
    pub label: Label,
    /// A PNG picture.
    pub icon: Option<Blob>,
    /// Whether the person may remove it.
    pub removable: bool,
    /// Whether it opens without the browser's bars.
    pub full_screen: bool,
}

impl WebClip {
    pub(super) fn content(&self) -> Dictionary {
        let mut out = Dictionary::new();
        put(&mut out, "URL", self.url.as_str());
        put(&mut out, "Label", self.label.as_str());
        if let Some(icon) = &self.icon {
            put(&mut out, "Icon", icon);
            put(&mut out, "Precomposed", true);
        }
        put(&mut out, "IsRemovable", self.removable);
        put(&mut out, "FullScreen", self.full_screen);
        // Without this a page that leaves the address of the clip shows the browser's bars again (iOS 14).
        if self.full_screen {
            put(&mut out, "IgnoreManifestScope", true);
        }
        out
    }
}

/// What a passcode must be like. Not for Shared iPads.
/// <https://developer.apple.com/documentation/devicemanagement/passcode>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Passcode {
    /// Whether there must be one.
    #[serde(rename = "forcePIN")]
    pub required: bool,
    /// Whether `1234` is good enough.
    pub allow_simple: bool,
    /// Whether it needs a letter.
    pub require_alphanumeric: bool,
    /// The shortest length.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub min_length: Option<Within<0, 16>>,
    /// Minutes until the device locks itself.
    #[serde(rename = "maxInactivity", skip_serializing_if = "Option::is_none", default)]
    pub lock_after_minutes: Option<Within<0, 15>>,
    /// Minutes after locking in which no passcode is asked for.
    #[serde(rename = "maxGracePeriod", skip_serializing_if = "Option::is_none", default)]
    pub grace_minutes: Option<Within<0, 240>>,
    /// Wrong attempts after which the device erases itself.
    #[serde(rename = "maxFailedAttempts", skip_serializing_if = "Option::is_none", default)]
    pub erase_after_attempts: Option<Within<2, 11>>,
    /// Days until a new one is due.
    #[serde(rename = "maxPINAgeInDays", skip_serializing_if = "Option::is_none", default)]
    pub max_age_days: Option<Within<0, 730>>,
    /// How many old ones are remembered.
    #[serde(rename = "pinHistory", skip_serializing_if = "Option::is_none", default)]
    pub history: Option<Within<1, 50>>,
}

/// Texts on the lock screen.
/// <https://developer.apple.com/documentation/devicemanagement/lockscreenmessage>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedDevice {
    /// The tag in the sign-in window.
    #[serde(rename = "AssetTagInformation", skip_serializing_if = "Option::is_none", default)]
    pub asset_tag: Option<Label>,
    /// The line at the bottom, such as whom to return the device to.
    #[serde(rename = "LockScreenFootnote", skip_serializing_if = "Option::is_none", default)]
    pub footnote: Option<Label>,
}

/// Notifications per app.
/// <https://developer.apple.com/documentation/devicemanagement/notifications>
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Notifications {
    /// The apps.
    pub notification_settings: Vec<AppNotifications>,
}

/// Notifications of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
#[expect(missing_docs, clippy::struct_excessive_bools, reason = "Apple's names, and they say it")]
pub struct AppNotifications {
    #[serde(rename = "BundleIdentifier")]
    pub app: BundleId,
    pub notifications_enabled: bool,
    pub show_in_notification_center: bool,
    pub show_in_lock_screen: bool,
    pub badges_enabled: bool,
    pub sounds_enabled: bool,
    pub alert_type: AlertType,
}

/// How a notification shows itself while the device is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub enum AlertType {
    /// Not at all.
    None,
    /// For a moment.
    Banner,
    /// Until it is put away.
    Modal,
}

impl From<AlertType> for u8 {
    fn from(alert: AlertType) -> Self {
        match alert {
            AlertType::None => 0,
            AlertType::Banner => 1,
            AlertType::Modal => 2,
        }
    }
}

impl TryFrom<u8> for AlertType {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::None),
            1 => Ok(Self::Banner),
            2 => Ok(Self::Modal),
            _ => Err(format!("{number} is no alert type: write 0, 1 or 2")),
        }
    }
}
