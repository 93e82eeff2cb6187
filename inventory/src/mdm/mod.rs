//! iPads: who may enrol, which certificate is whose, what was asked of a device and what became of it.
//!
//! The daemon `mdm` speaks Apple's protocol; the pages ask for [`Action`]s. They meet here. What is secret (push tokens, unlock tokens, the
//! commands themselves) arrives sealed and stays so: see [`crate::vault`].

mod ade;
mod apps;
mod commands;
mod enrolments;
mod invitations;
mod renewals;
mod rules;
mod services;
mod turns;
mod url;
mod wlan;

use serde::{Deserialize, Serialize};

pub use ade::{AdeDevice, AtTheDoor, Door, ListedDevice, STRANGERS_MAX};
pub use apps::{
    ASSIGNMENTS_MAX, App, AppAssignment, AppId, Asset, Install, Licence, LicenceChange, LicenceState, Lookup,
    ToldApp, wishes,
};
pub use commands::{
    Answered, Asked, Command, CommandState, Facts, Found, NewCommand, Outcome, Queued, TRIES_MAX, Tidied,
};
pub use enrolments::{Arrival, Arrived, Enrolment, EnrolmentState, Reachable, Report};
pub use invitations::{
    Certified, Challenge, INVITATIONS_MAX, Invitation, NewCertificate, NewInvitation, Opened, USES_MAX,
};
pub use renewals::Awaiting;
pub use rules::{Declared, Holding, IpadExam, IpadRule, Moment, NewIpadRule, RuledIpad, When};
pub use services::{AppleKind, AppleService, NewAppleService};
pub use turns::{Next, Turn};
pub use url::ServerUrl;
pub use wlan::WlanCertificate;

/// What the database keeps of a link's token or of a challenge.
#[must_use]
pub fn secret_hash(secret: &str) -> String {
    blake3::hash(secret.as_bytes()).to_hex().to_string()
}

/// What a person can ask of an iPad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Say everything about itself.
    Refresh,
    /// Restart.
    Restart,
    /// Switch off.
    ShutDown,
    /// Lock the screen.
    Lock {
        /// What stands on the lock screen; may be empty.
        message: String,
    },
    /// Forget the passcode.
    ClearPasscode,
    /// Show a message and nothing else until it is found.
    LostMode {
        /// What stands on the screen.
        message: String,
        /// Whom to call; may be empty.
        phone: String,
    },
    /// Be usable again.
    LostModeOff,
    /// Make a noise, in lost mode.
    LostModeSound,
    /// Erase everything; a supervised iPad comes back by itself.
    Erase,
}

impl Action {
    /// Its name in the database, the API and the change log.
    #[must_use]
    pub fn text(&self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Restart => "restart",
            Self::ShutDown => "shut_down",
            Self::Lock { .. } => "lock",
            Self::ClearPasscode => "clear_passcode",
            Self::LostMode { .. } => "lost_mode",
            Self::LostModeOff => "lost_mode_off",
            Self::LostModeSound => "lost_mode_sound",
            Self::Erase => "erase",
        }
    }

    /// Whether it takes something away from somebody: then a reason has to be given, and it stays in the log.
    #[must_use]
    pub fn needs_reason(&self) -> bool {
        matches!(self, Self::ClearPasscode | Self::LostMode { .. } | Self::Erase)
    }
}
