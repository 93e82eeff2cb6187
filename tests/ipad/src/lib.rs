//! A simulated iPad, for the tests, the demo, and by hand (`hausmeister-ipad enrol URL`).
//!
//! It does what iPadOS does at the wire: opens an enrolment link, takes the profile apart, gets its certificate by SCEP with a key of its
//! own, checks in, signs every message (`Mdm-Signature`), and answers commands from a state that they change: apps, profiles, passcode,
//! lost mode. It can be busy (`NotNow`), be wiped, and enrol again. It shows no screen and knows nothing of Apple's services.

mod ade;
mod command;
mod declarations;
mod enrol;
mod http;
mod profile;
mod state;

use mdm::cms::Identity;
use plist::{Dictionary, Value};
use std::sync::Arc;

pub use ade::Maker;
pub use enrol::EnrolError;
pub use http::{HttpError, Trust};
pub use profile::Profile;
pub use state::{App, Facts, State};

/// An iPad under management.
pub struct Ipad {
    /// What it is.
    pub facts: Facts,
    /// What was done to it.
    pub state: State,
    /// It is locked, or in use: it answers `NotNow` to what changes something.
    pub busy: bool,
    trust: Trust,
    identity: Arc<Identity>,
    topic: String,
    check_in_url: String,
    server_url: String,
    scep_url: String,
    push_token: [u8; 32],
    push_magic: String,
}

/// What an iPad did in one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The id of the command.
    pub id: String,
    /// Apple's name of the command.
    pub kind: String,
    /// What it answered (`Acknowledged`, `NotNow`, `Error`).
    pub status: &'static str,
}

impl Ipad {
    /// One session: asks for work, does it and reports, until there is none. A real iPad does this when it is woken.
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn connect(&mut self) -> Result<Vec<Done>, HttpError> {
        let waited = self.state.awaiting;
        let did = self.session()?;
        if waited && !self.state.awaiting {
            // The setup assistant goes on, and says so.
            self.update_token()?;
        }
        Ok(did)
    }

    fn session(&mut self) -> Result<Vec<Done>, HttpError> {
        let mut did = Vec::new();
        let mut message = self.message([("Status", "Idle".into())]);
        while did.len() < COMMANDS_MAX {
            let Some(next) = self.put(&self.server_url, &message)? else { return Ok(did) };
            let (done, answer) = self.carry_out(&next)?;
            let erased = self.state.erased;
            did.push(done);
            message = answer;
            if erased {
                // The answer leaves before the storage is wiped.
                self.put(&self.server_url, &message)?;
                return Ok(did);
            }
        }
        Ok(did)
    }

    /// Takes the profile off: the server hears of it (`CheckOut`).
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn leave(&mut self) -> Result<(), HttpError> {
        self.check_in("CheckOut", [("Topic", self.topic.clone().into())]).map(|_| ())
    }

    /// The token that pushes go to, and the word that has to stand in them.
    #[must_use]
    pub fn push_address(&self) -> (&[u8], &str) {
        (&self.push_token, &self.push_magic)
    }

    /// Sends a message about this iPad to the check-in address, signed.
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn check_in<const N: usize>(
        &self,
        kind: &str,
        fields: [(&str, Value); N],
    ) -> Result<Option<Vec<u8>>, HttpError> {
        let mut message = self.message(fields);
        message.insert("MessageType".into(), kind.into());
        self.put(&self.check_in_url, &message)
    }

    fn message<const N: usize>(&self, fields: [(&str, Value); N]) -> Dictionary {
        let mut message = Dictionary::new();
        message.insert("UDID".into(), self.facts.udid.clone().into());
        for (key, value) in fields {
            message.insert(key.into(), value);
        }
        message
    }

    fn put(&self, url: &str, message: &Dictionary) -> Result<Option<Vec<u8>>, HttpError> {
        let mut body = Vec::new();
        Value::Dictionary(message.clone())
            .to_writer_xml(&mut body)
            .map_err(|_| HttpError::Answer("our own message"))?;
        self.trust.put(url, &body, &self.identity)
    }
}

/// A server that never ends is a fault.
const COMMANDS_MAX: usize = 1000;
