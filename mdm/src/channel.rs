//! Whom a message is about.
//!
//! An enrolment has one device channel. A Shared iPad has a user channel for every pupil who signed in, too. Apple:
//! <https://developer.apple.com/documentation/devicemanagement/token-update>

use std::fmt;

use crate::fields::{FieldError, Fields};
use crate::secret::Secret;

macro_rules! identifier {
    ($(#[$doc:meta])* $name:ident, $key:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// Takes 8 to 64 letters, digits and hyphens, as they stand: devices of one generation write capitals, those
            /// of another do not.
            pub fn parse(text: &str) -> Option<Self> {
                let fits = (8..=64).contains(&text.len());
                let known = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
                (fits && known).then(|| Self(text.to_owned()))
            }

            /// The identifier as the device wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            fn take(fields: &mut Fields) -> Result<Option<Self>, FieldError> {
                let unfit = FieldError::Unfit { key: $key, expected: "8 to 64 letters, digits and hyphens" };
                fields.text($key)?.map(|text| Self::parse(&text).ok_or(unfit)).transpose()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

identifier! {
    /// The identifier that a device keeps for its life.
    Udid, "UDID"
}

identifier! {
    /// What stands for the device where the pupil owns it (User Enrollment, since iOS 13): another one after each enrolment.
    EnrollmentId, "EnrollmentID"
}

/// A device as it is known to the server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Enrolment {
    /// A device of the school.
    Device(Udid),
    /// A device that belongs to its user.
    Personal(EnrollmentId),
}

impl Enrolment {
    /// The identifier, whichever of the two it is.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Device(id) => id.as_str(),
            Self::Personal(id) => id.as_str(),
        }
    }
}

/// The Managed Apple Account of a pupil on a Shared iPad. It is a person's name and therefore hidden from logs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserShortName(Secret<String>);

impl UserShortName {
    /// Takes 1 to 255 bytes without control characters.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=255).contains(&text.len()) && !text.chars().any(char::is_control);
        fits.then(|| Self(Secret::new(text.to_owned())))
    }

    /// The account, for storing it and for `DeleteUser`.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

/// The device channel, or one pupil's channel on a Shared iPad.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Channel {
    /// The device.
    pub enrolment: Enrolment,
    /// The pupil; `None` is the device channel.
    pub user: Option<UserShortName>,
}

impl Channel {
    /// Reads the keys that every message has.
    ///
    /// `UserID` tells no one apart: every Shared iPad writes [`SHARED_IPAD_USER`] there, so the account is the key. A
    /// message with another `UserID` comes from a Mac.
    pub(crate) fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        let enrolment = match (Udid::take(fields)?, EnrollmentId::take(fields)?) {
            // Every caller passes here, so a message that names two is checked and stored as the same one.
            (Some(device), _) => Enrolment::Device(device),
            (None, Some(personal)) => Enrolment::Personal(personal),
            (None, None) => return Err(FieldError::Missing { key: "UDID" }),
        };
        let unfit = FieldError::Unfit { key: "UserShortName", expected: "an account of at most 255 bytes" };
        let user =
            fields.text("UserShortName")?.map(|name| UserShortName::parse(&name).ok_or(unfit)).transpose()?;
        match (fields.text("UserID")?, &user) {
            (Some(id), _) if !id.eq_ignore_ascii_case(SHARED_IPAD_USER) => {
                Err(FieldError::Unfit { key: "UserID", expected: "the value of a Shared iPad" })
            }
            (Some(_), None) => Err(FieldError::Missing { key: "UserShortName" }),
            _ => Ok(Self { enrolment, user }),
        }
    }
}

/// What every Shared iPad writes as `UserID`, for every user.
pub const SHARED_IPAD_USER: &str = "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF";
