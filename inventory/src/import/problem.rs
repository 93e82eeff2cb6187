//! What can be wrong with a file and with its lines.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::ParseError;

/// Why a file cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileProblem {
    /// It has nothing in it.
    #[error("the file is empty; export it again")]
    Empty,
    /// It is larger than [`super::FILE_BYTES_MAX`].
    #[error("the file is larger than 8 MiB; split it")]
    TooLarge,
    /// It has more lines than [`super::LINES_MAX`].
    #[error("the file has more than 100,000 lines; split it")]
    TooManyLines,
    /// It is no text: a spreadsheet, an archive, an encrypted export.
    #[error("the file is no text; save it as CSV")]
    NoText,
    /// Neither heading nor shape are known.
    #[error("the columns are not known; the first line must name them, at least {0}")]
    UnknownColumns(&'static str),
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Number of the line, from 1.
    pub line: usize,
    /// Another line that it is at odds with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<usize>,
    /// What it is.
    #[serde(skip)]
    pub what: What,
}

/// What can be wrong with a line. Values are those of the file, shortened where they are free text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A quotation mark is opened and never closed.
    OpenQuote,
    /// A field is not what it should be.
    Parse(ParseError),
    /// The person has no first or no last name.
    NoName,
    /// A name is too long or holds control characters.
    BadName(String),
    /// Only pupils and teachers can be imported.
    NoRole(String),
    /// The name to sign in with cannot be one.
    BadLogin(String),
    /// Somebody else has that name to sign in with.
    LoginTaken(String),
    /// Another line has the same id.
    SameId(String),
    /// Another line has the same name to sign in with.
    SameLogin(String),
    /// Another line is about the same person.
    SamePerson,
    /// Another line has the same name, and neither has an id.
    Namesakes,
    /// Several people of the school have that name, and nothing tells which is meant.
    WhichPerson,
    /// The password is too short; the person gets another one.
    ShortPassword,
    /// The device has no network card.
    NoCard,
    /// A new device has no room.
    NoRoom,
    /// The card stands in another line, too.
    SameCard(String),
    /// The name stands in another line, too.
    SameName(String),
    /// The address stands in another line, too.
    SameAddress(Ipv4Addr),
    /// Another line is about the same device.
    SameDevice(String),
    /// The cards belong to two devices of the school.
    TwoDevices(String, String),
    /// Another device of the school has that card.
    CardTaken(String),
    /// Another device of the school has that name.
    NameTaken(String),
    /// The address is reserved for another device.
    AddressTaken(Ipv4Addr),
    /// The field is no IPv4 address.
    NoAddress(String),
    /// The address is no host address of any network.
    NoNetwork(Ipv4Addr),
    /// The address is a router's.
    Router(Ipv4Addr),
    /// Nobody of that name is known.
    NoOwner(String),
    /// The field is neither yes nor no.
    NoFlag(String),
}

impl What {
    /// Whether the rest of the line is used.
    #[must_use]
    pub fn is_hint(&self) -> bool {
        matches!(
            self,
            Self::ShortPassword
                | Self::NoAddress(_)
                | Self::NoNetwork(_)
                | Self::Router(_)
                | Self::NoOwner(_)
                | Self::NoFlag(_)
        )
    }
}

impl Problem {
    pub(super) fn new(line: usize, what: What) -> Self {
        Self { line, other: None, what }
    }

    pub(super) fn twice(line: usize, other: usize, what: What) -> Self {
        Self { line, other: Some(other), what }
    }
}

/// A text of the file, short enough to be shown.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).collect()
}
