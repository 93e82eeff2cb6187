//! A simulated iPad, for the tests, the demo, and by hand (`hausmeister-ipad enrol URL`).
//!
//! It does what iPadOS does at the wire: opens an enrolment link, takes the profile apart, gets its certificate by SCEP with a key of its
//! own, checks in, signs every message (`Mdm-Signature`), and answers commands from a state that they change: apps, profiles, passcode,
//! lost mode. It can be busy (`NotNow`), be wiped, and enrol again. It shows no screen, and its App Store is a list.

mod account;
mod ade;
mod apps;
mod command;
mod declarations;
mod enrol;
mod http;
mod profile;
mod state;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mdm::cms::{self, Identity};
use plist::{Dictionary, Value};
use std::sync::Arc;

pub use ade::Maker;
pub use apps::{Licensed, Store};
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
    /// Where its apps come from.
    pub store: Store,
    trust: Trust,
    identity: Arc<Identity>,
    topic: String,
    check_in_url: String,
    server_url: String,
    scep_url: String,
    /// Who signed in to enrol it.
    account: Option<String>,
    push_token: [u8; 32],
    push_magic: String,
    /// The last message that asked for work, with its signature: it is the same each time.
    asked: Option<(Vec<u8>, String)>,
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
        let (mut did, mut next) = (Vec::new(), self.ask()?);
        while let Some(document) = next {
            let (done, answer) = self.carry_out(&document)?;
            did.push(done);
            // The answer leaves before the storage is wiped.
            next = self.report(&answer)?;
            if self.state.erased || did.len() >= COMMANDS_MAX {
                break;
            }
        }
        Ok(did)
    }

    /// Asks for work (`Idle`); gives the command, if there is one.
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn ask(&mut self) -> Result<Option<Vec<u8>>, HttpError> {
        let body = written(self.message([("Status", "Idle".into())]))?;
        let signature = match self.asked.take() {
            Some((before, signature)) if before == body => signature,
            _ => self.signature(&body)?,
        };
        let answer = self.trust.put(&self.server_url, &body, &signature);
        self.asked = Some((body, signature));
        answer
    }

    /// Says what became of a command, as [`Ipad::carry_out`] put it; gives the next one, if there is one.
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn report(&self, message: &Dictionary) -> Result<Option<Vec<u8>>, HttpError> {
        self.put(&self.server_url, message)
    }

    /// Talks to the server on connections of its own from here on, the first of them new.
    pub fn reconnect(&mut self, trust: Trust) {
        self.trust = trust;
    }

    /// How it talks to the server.
    #[must_use]
    pub fn trust(&self) -> &Trust {
        &self.trust
    }

    /// What stands in `Mdm-Signature` for a body.
    ///
    /// # Errors
    /// It cannot be signed.
    pub fn signature(&self, body: &[u8]) -> Result<String, HttpError> {
        let signature = cms::sign_detached(body, &self.identity);
        let signature = signature.map_err(|_| HttpError::Answer("the message cannot be signed"))?;
        Ok(STANDARD.encode(signature))
    }

    /// Takes the profile off: the server hears of it (`CheckOut`).
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn leave(&mut self) -> Result<(), HttpError> {
        // What the server installed leaves with it.
        self.state.apps.retain(|_, app| !app.managed);
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
        let body = written(message.clone())?;
        self.trust.put(url, &body, &self.signature(&body)?)
    }
}

fn written(message: Dictionary) -> Result<Vec<u8>, HttpError> {
    let mut body = Vec::new();
    let done = Value::Dictionary(message).to_writer_xml(&mut body);
    done.map(|()| body).map_err(|_| HttpError::Answer("our own message"))
}

/// A server that never ends is a fault.
const COMMANDS_MAX: usize = 1000;
