//! Orders for a device: profiles, lock, lost mode, erasing, users.

use serde::{Deserialize, Serialize};

use super::values::{Yes, bounded};
use crate::document::Data;
use crate::secret::Secret;

/// Installs a profile: <https://developer.apple.com/documentation/devicemanagement/installprofilecommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstallProfile {
    /// The profile's `PayloadIdentifier`. It stays here: the queue cannot look into a signed profile.
    #[serde(rename = "$profile")]
    pub identifier: String,
    /// The profile, signed or not.
    pub payload: Data,
}

/// Removes a profile: <https://developer.apple.com/documentation/devicemanagement/removeprofilecommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveProfile {
    /// The profile's `PayloadIdentifier`.
    pub identifier: String,
}

/// Switches declarative management on, or tells the device that something changed:
/// <https://developer.apple.com/documentation/devicemanagement/declarativemanagementcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeclarativeManagement {
    /// The answer to `tokens`, as JSON: it saves the device from asking.
    pub data: Option<Data>,
}

/// Locks the screen: <https://developer.apple.com/documentation/devicemanagement/devicelockcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeviceLock {
    /// Shown on the locked screen if there is a passcode. A Shared iPad shows nothing.
    pub message: Option<String>,
    /// Shown with it.
    pub phone_number: Option<String>,
}

/// Takes the passcode off: <https://developer.apple.com/documentation/devicemanagement/clearpasscodecommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ClearPasscode {
    /// What the device gave in its last `TokenUpdate` that had one.
    pub unlock_token: Data,
}

/// Switches lost mode on: <https://developer.apple.com/documentation/devicemanagement/enablelostmodecommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", try_from = "LostModeTexts")]
pub struct EnableLostMode {
    message: Option<String>,
    phone_number: Option<String>,
    footnote: Option<String>,
}

/// Lost mode needs something to show to whoever finds the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("lost mode needs a message or a telephone number for the finder")]
pub struct NothingToShow;

impl EnableLostMode {
    /// Lost mode with these texts. Devices refuse it without a message and without a telephone number.
    pub fn new(
        message: Option<String>,
        phone_number: Option<String>,
        footnote: Option<String>,
    ) -> Result<Self, NothingToShow> {
        let texts = LostModeTexts { message, phone_number, footnote };
        Self::try_from(texts)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct LostModeTexts {
    message: Option<String>,
    phone_number: Option<String>,
    footnote: Option<String>,
}

impl TryFrom<LostModeTexts> for EnableLostMode {
    type Error = NothingToShow;

    fn try_from(texts: LostModeTexts) -> Result<Self, Self::Error> {
        let shown = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !shown(&texts.message) && !shown(&texts.phone_number) {
            return Err(NothingToShow);
        }
        let LostModeTexts { message, phone_number, footnote } = texts;
        Ok(Self { message, phone_number, footnote })
    }
}

/// Erases the device: <https://developer.apple.com/documentation/devicemanagement/erasedevicecommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct EraseDevice {
    /// Keep the eSIM.
    pub preserve_data_plan: Option<bool>,
    /// Leave out the setup by another device nearby. A Shared iPad refuses this key.
    pub disallow_proximity_setup: Option<bool>,
    /// Come back by itself (iOS 17).
    pub return_to_service: Option<ReturnToService>,
}

/// How an erased device comes back without anybody touching it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReturnToService {
    /// Apple wants the key as well as the dictionary.
    pub enabled: Yes,
    /// The profile with the wireless network. Needed without a cable.
    #[serde(rename = "WiFiProfileData")]
    pub wifi_profile: Option<Data>,
    /// The enrolment profile. Needed unless the device gets it from Apple's device enrolment.
    #[serde(rename = "MDMProfileData")]
    pub mdm_profile: Option<Data>,
}

/// Removes users from a Shared iPad: <https://developer.apple.com/documentation/devicemanagement/deleteusercommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteUser {
    /// Whom.
    #[serde(flatten)]
    pub whom: DeletedUsers,
    /// Even if data were not synchronised yet: they are lost.
    pub force_deletion: Option<bool>,
}

/// Whom to remove.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletedUsers {
    /// One account, as `UserList` names it.
    UserName(Secret<String>),
    /// Everybody (iOS 14).
    DeleteAllUsers(Yes),
}

impl DeleteUser {
    pub(super) fn queue_key(&self) -> &str {
        match &self.whom {
            DeletedUsers::UserName(name) => name.expose(),
            DeletedUsers::DeleteAllUsers(Yes) => "*",
        }
    }
}

/// Asks the device to show its screen on a display:
/// <https://developer.apple.com/documentation/devicemanagement/requestmirroringcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestMirroring {
    /// Where to.
    #[serde(flatten)]
    pub destination: Destination,
    /// How long to search, 30 seconds if absent.
    pub scan_time: Option<ScanTime>,
    /// What the display asks for.
    pub password: Option<Secret<String>>,
}

/// A display.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// By its name.
    #[serde(rename = "DestinationName")]
    Name(String),
    /// By its hardware address.
    #[serde(rename = "DestinationDeviceID")]
    Address(String),
}

bounded! {
    /// How many seconds a device searches for a display, 10 to 300.
    ScanTime: 10..=300,
}
