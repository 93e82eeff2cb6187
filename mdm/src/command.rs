//! What the server can tell an iPad to do.
//!
//! A [`Command`] is a value. It waits in the queue as JSON (`serde`) and leaves as a property list
//! ([`Command::to_document`]); both have Apple's keys. How the queue treats it is data as well: [`Command::policy`] and
//! [`Command::queue_key`].
//!
//! Not here: `ScheduleOSUpdate` and its neighbours, which iOS 26 removed in favour of declarations; commands of Macs;
//! redemption codes, provisioning profiles, books and eSIMs.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/commands-and-queries>

use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::document::{self, DocumentError};

mod application;
mod device;
mod policy;
mod query;
mod settings;
mod values;

pub use application::*;
pub use device::*;
pub use policy::{Channels, Policy, Priority};
pub use query::*;
pub use settings::*;
pub use values::{OutOfRange, Yes};

use policy::{APPLICATION, CONFIGURATION, LESSON, ORDER, QUERY};

/// One line for each command: its `RequestType`, its parameters, and how the queue treats it.
macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident $(($parameters:ty))?: $policy:expr;)+) => {
        /// A command with its parameters.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "RequestType")]
        pub enum Command {
            $($(#[$doc])* $name $(($parameters))?,)+
        }

        impl Command {
            /// Apple's name of the command.
            pub fn request_type(&self) -> &'static str {
                match self {
                    $(Self::$name { .. } => stringify!($name),)+
                }
            }

            fn general_policy(&self) -> Policy {
                match self {
                    $(Self::$name { .. } => $policy,)+
                }
            }

            /// Apple's names of all commands that there are.
            pub const REQUEST_TYPES: &[&str] = &[$(stringify!($name)),+];
        }
    };
}

commands! {
    /// Asks for properties of the device.
    DeviceInformation(DeviceInformation): Policy { channels: Channels::Both, ..QUERY };
    /// Asks about encryption, passcode and management.
    SecurityInfo: QUERY;
    /// Asks which profiles are installed.
    ProfileList(ProfileList): Policy { channels: Channels::Both, ..QUERY };
    /// Asks which apps are installed.
    InstalledApplicationList(InstalledApplicationList): QUERY;
    /// Asks about the apps that the server installed.
    ManagedApplicationList(ManagedApplicationList): QUERY;
    /// Asks which configuration managed apps have.
    ManagedApplicationConfiguration(ManagedApplications): QUERY;
    /// Asks which attributes managed apps have.
    ManagedApplicationAttributes(ManagedApplications): QUERY;
    /// Asks what managed apps report.
    ManagedApplicationFeedback(ManagedApplicationFeedback): QUERY;
    /// Asks which certificates are installed.
    CertificateList(CertificateList): QUERY;
    /// Asks which restrictions are in force.
    Restrictions(Restrictions): Policy { channels: Channels::Both, ..QUERY };
    /// Asks who has data on a Shared iPad.
    UserList: Policy { shared_ipad_only: true, ..QUERY };
    /// Asks for the code that takes off the activation lock without the pupil's password.
    ActivationLockBypassCode: Policy { supervised: true, ..QUERY };
    /// Forgets that code on the device.
    ClearActivationLockBypassCode: Policy { supervised: true, needs_reason: true, ..ORDER };

    /// Installs a profile, or replaces the one with the same identifier.
    InstallProfile(InstallProfile): Policy { channels: Channels::Both, ..CONFIGURATION };
    /// Removes a profile that the server installed.
    RemoveProfile(RemoveProfile): Policy { channels: Channels::Both, ..CONFIGURATION };
    /// Changes settings once; the user may change them back.
    Settings(Settings): Policy { channels: Channels::Both, ..CONFIGURATION };
    /// Switches declarative management on, or asks the device to compare.
    DeclarativeManagement(DeclarativeManagement): Policy { channels: Channels::Both, ..CONFIGURATION };
    /// Lets the setup assistant of the device go on.
    DeviceConfigured: Policy { supervised: true, ..CONFIGURATION };
    /// Lets the setup assistant of a user of a Shared iPad go on.
    UserConfigured: Policy { supervised: true, channels: Channels::User, ..CONFIGURATION };

    /// Installs or updates an app.
    InstallApplication(InstallApplication): APPLICATION;
    /// Removes an app that the server installed, with its data.
    RemoveApplication(RemoveApplication): APPLICATION;
    /// Checks the provisioning of apps that were not bought.
    ValidateApplications(ValidateApplications): APPLICATION;
    /// Invites a user into the school's purchase programme.
    InviteToProgram(InviteToProgram): Policy { channels: Channels::User, ..APPLICATION };

    /// Locks the screen.
    DeviceLock(DeviceLock): LESSON;
    /// Starts the device again.
    RestartDevice: Policy { supervised: true, ..LESSON };
    /// Switches the device off.
    ShutDownDevice: Policy { supervised: true, ..LESSON };
    /// Asks the device to show its screen on a display.
    RequestMirroring(RequestMirroring): LESSON;
    /// Ends that.
    StopMirroring: Policy { supervised: true, repeatable: true, ..LESSON };
    /// Signs out the user of a Shared iPad.
    LogOutUser: Policy { shared_ipad_only: true, ..LESSON };

    /// Removes a user and the user's data from a Shared iPad.
    DeleteUser(DeleteUser): Policy { shared_ipad_only: true, needs_reason: true, ..ORDER };
    /// Takes the passcode off.
    ClearPasscode(ClearPasscode): Policy { needs_reason: true, ..ORDER };
    /// Takes the Screen Time passcode and its restrictions off.
    ClearRestrictionsPassword: Policy { supervised: true, needs_reason: true, ..ORDER };
    /// Locks the device until [`Command::DisableLostMode`], and lets the server ask where it is.
    EnableLostMode(EnableLostMode): Policy {
        supervised: true, needs_reason: true, repeatable: true, time_to_live: None, ..ORDER
    };
    /// Ends lost mode.
    DisableLostMode: Policy { supervised: true, repeatable: true, time_to_live: None, ..ORDER };
    /// Asks where a device in lost mode is.
    DeviceLocation: Policy { supervised: true, needs_reason: true, priority: Priority::Urgent, ..QUERY };
    /// Lets a device in lost mode be heard.
    PlayLostModeSound: Policy { supervised: true, ..LESSON };
    /// Erases the device.
    EraseDevice(EraseDevice): Policy { needs_reason: true, repeatable: true, time_to_live: None, ..ORDER };
}

impl Command {
    /// The property list that goes to the device under the name `id`.
    pub fn to_document(&self, id: Uuid) -> Result<Vec<u8>, DocumentError> {
        let mut document = Dictionary::new();
        document.insert("CommandUUID".to_owned(), Value::String(id.to_string()));
        document.insert("Command".to_owned(), Value::Dictionary(self.parameters()?));
        document::write(&document)
    }

    /// The `Command` dictionary. Keys with a dollar sign are the queue's own, as the identifier of a signed profile.
    fn parameters(&self) -> Result<Dictionary, DocumentError> {
        let unwritable = DocumentError::Json { what: "this command" };
        let json = serde_json::to_value(self).map_err(|_| DocumentError::Json { what: "this command" })?;
        let mut parameters = document::value_from_json(&json)?.into_dictionary().ok_or(unwritable)?;
        parameters.retain(|key, _| !key.starts_with('$'));
        Ok(parameters)
    }

    /// How the queue treats the command.
    pub fn policy(&self) -> Policy {
        let policy = self.general_policy();
        match self {
            // The second time there would be nothing left to read.
            Self::ManagedApplicationFeedback(query) if query.delete_feedback == Some(true) => {
                Policy { repeatable: false, ..policy }
            }
            _ => policy,
        }
    }

    /// What the command decides. Of two commands that wait for the same channel with the same key, the older one is
    /// superseded: it is never sent.
    pub fn queue_key(&self) -> String {
        match self {
            Self::InstallProfile(InstallProfile { identifier, .. })
            | Self::RemoveProfile(RemoveProfile { identifier }) => format!("profile {identifier}"),
            Self::InstallApplication(install) => format!("app {}", install.app),
            Self::RemoveApplication(remove) => {
                format!("app {}", AppSource::Identifier(remove.identifier.clone()))
            }
            Self::Settings(settings) => settings.queue_key(),
            Self::InviteToProgram(invite) => format!("programme {}", invite.invitation_url),
            Self::DeleteUser(delete) => format!("user {}", delete.queue_key()),
            Self::RestartDevice | Self::ShutDownDevice => "power".to_owned(),
            Self::EnableLostMode(_) | Self::DisableLostMode => "lost mode".to_owned(),
            Self::RequestMirroring(_) | Self::StopMirroring => "mirroring".to_owned(),
            other => other.request_type().to_owned(),
        }
    }

    /// Whether the JSON holds what must not lie in a database readably: keys of profiles, passcode tokens, passwords.
    pub fn carries_secret(&self) -> bool {
        match self {
            Self::InstallProfile(_) | Self::ClearPasscode(_) | Self::InstallApplication(_) => true,
            Self::EraseDevice(erase) => erase.return_to_service.is_some(),
            Self::RequestMirroring(request) => request.password.is_some(),
            Self::Settings(settings) => settings.carries_secret(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
