//! The declarations of one device, and the answers to what it asks.

use super::desired::Draft;
use super::{Capabilities, Desired, DeviceStatus, Endpoint, IDENTIFIER_BYTES_MAX, Kind, Reason, Validity};
use crate::os::{DeviceFacts, OsVersion};
use crate::values::Predicate;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use time::{OffsetDateTime, UtcOffset};
use uuid::Uuid;

/// One declaration as the device gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Apple's type.
    pub declaration_type: &'static str,
    /// A hash of everything in it, at most 64 bytes.
    pub server_token: String,
    /// The settings.
    pub payload: Value,
}

/// All declarations of one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarationSet {
    declarations: BTreeMap<(Kind, String), Declaration>,
    left_out: Vec<LeftOut>,
    token: String,
}

/// A wish that the device cannot take as a declaration. Whoever calls may have a command for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The identifier that the declaration would have had, or the name of a status item.
    pub what: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why a wish is not among the declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOutReason {
    /// The device's system is older than the feature.
    NeedsVersion(OsVersion),
    /// The device has listed what it supports, and this is not in the list.
    NotSupported,
}

/// What has become of one declaration on the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The device has not reported this revision.
    Waiting,
    /// In force.
    Active,
    /// Accepted and not in force: a condition is not met, or an activation is missing.
    Inactive(Vec<Reason>),
    /// Refused.
    Failed(Vec<Reason>),
}

/// Why there is no set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Two wishes would be one declaration.
    #[error("two declarations are called {0}: give the profile or asset another name, or name the app once")]
    NameTwice(String),
}

impl DeclarationSet {
    /// The declarations for what is desired, as far as the device understands them. What it has said it supports counts more
    /// than its version.
    pub fn new(
        desired: &Desired,
        device: DeviceFacts,
        capabilities: Option<&Capabilities>,
    ) -> Result<Self, SetError> {
        let mut set = Self { declarations: BTreeMap::new(), left_out: Vec::new(), token: String::new() };
        let mut activations: BTreeMap<Option<Predicate>, Vec<String>> = BTreeMap::new();
        let drafts =
            desired.drafts(device.os).into_iter().chain(set.subscriptions(desired, device, capabilities));
        for draft in drafts.collect::<Vec<_>>() {
            let identifier = identifier(draft.name.0, &draft.name.1);
            let supported = capabilities.map(|known| known.declarations.contains(draft.declaration_type));
            let reason = match supported {
                Some(true) => None,
                Some(false) => Some(LeftOutReason::NotSupported),
                None => (device.os < draft.since).then_some(LeftOutReason::NeedsVersion(draft.since)),
            };
            if let Some(reason) = reason {
                set.left_out.push(LeftOut { what: identifier, reason });
                continue;
            }
            if draft.kind == Kind::Configuration {
                activations.entry(draft.when.clone()).or_default().push(identifier.clone());
            }
            set.insert(identifier, draft)?;
        }
        for (when, configurations) in activations {
            set.activate(when, configurations)?;
        }
        set.token = set.hash();
        Ok(set)
    }

    /// The token of the whole set.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// What the device cannot take.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Every declaration with its kind and identifier.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &str, &Declaration)> {
        self.declarations
            .iter()
            .map(|((kind, identifier), declaration)| (*kind, identifier.as_str(), declaration))
    }

    /// The answer to one request as JSON, or `None` where the declaration does not exist (HTTP 404) and for a status report,
    /// whose answer is empty. `changed` is when the set last became what it is.
    pub fn answer(&self, endpoint: &Endpoint, changed: OffsetDateTime) -> Option<Value> {
        match endpoint {
            Endpoint::Tokens => Some(self.tokens(changed)),
            Endpoint::DeclarationItems => Some(self.items()),
            Endpoint::Declaration { kind, identifier } => self.declaration(*kind, identifier),
            Endpoint::Status => None,
        }
    }

    /// The synchronisation tokens: the answer to `tokens`, and the data of a `DeclarativeManagement` command, which saves
    /// the device that request.
    pub fn tokens(&self, changed: OffsetDateTime) -> Value {
        let at = changed.to_offset(UtcOffset::UTC);
        let (date, clock) = (at.date(), at.time());
        let timestamp = format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            clock.hour(),
            clock.minute(),
            clock.second()
        );
        json!({ "SyncTokens": { "DeclarationsToken": self.token, "Timestamp": timestamp } })
    }

    /// What has become of every declaration, according to what the device has reported.
    pub fn progress(&self, status: &DeviceStatus) -> BTreeMap<(Kind, String), Progress> {
        let of = |(kind, identifier): &(Kind, String), declaration: &Declaration| {
            let state = status.declarations.iter().find(|state| {
                state.kind == *kind
                    && state.identifier == *identifier
                    && state.server_token == declaration.server_token
            });
            match state {
                None => Progress::Waiting,
                Some(state) if state.validity == Validity::Invalid => Progress::Failed(state.reasons.clone()),
                // Facts about the server and data are never "active".
                Some(state) if state.active || !matches!(kind, Kind::Activation | Kind::Configuration) => {
                    Progress::Active
                }
                Some(state) => Progress::Inactive(state.reasons.clone()),
            }
        };
        self.declarations.iter().map(|(key, declaration)| (key.clone(), of(key, declaration))).collect()
    }

    fn items(&self) -> Value {
        let mut lists = serde_json::Map::new();
        for kind in Kind::ALL {
            let items: Vec<Value> = self
                .declarations
                .iter()
                .filter(|((of, _), _)| *of == kind)
                .map(|((_, id), declaration)| json!({ "Identifier": id, "ServerToken": declaration.server_token }))
                .collect();
            lists.insert(kind.list().to_owned(), items.into());
        }
        json!({ "Declarations": lists, "DeclarationsToken": self.token })
    }

    fn declaration(&self, kind: Kind, identifier: &str) -> Option<Value> {
        let declaration = self.declarations.get(&(kind, identifier.to_owned()))?;
        Some(json!({
            "Type": declaration.declaration_type,
            "Identifier": identifier,
            "ServerToken": declaration.server_token,
            "Payload": declaration.payload,
        }))
    }

    /// One configuration with every status item that the device knows. A subscription to an unknown item is an error in every
    /// report.
    fn subscriptions(
        &mut self,
        desired: &Desired,
        device: DeviceFacts,
        capabilities: Option<&Capabilities>,
    ) -> Option<Draft> {
        let mut names = Vec::new();
        for item in &desired.status {
            let reason = match capabilities.map(|known| known.status_items.contains(item.name)) {
                Some(true) => None,
                Some(false) => Some(LeftOutReason::NotSupported),
                None => (device.os < item.since).then_some(LeftOutReason::NeedsVersion(item.since)),
            };
            match reason {
                None => names.push(json!({ "Name": item.name })),
                Some(reason) => self.left_out.push(LeftOut { what: item.name.to_owned(), reason }),
            }
        }
        (!names.is_empty()).then(|| Draft {
            kind: Kind::Configuration,
            declaration_type: "com.apple.configuration.management.status-subscriptions",
            name: ("status", "subscriptions".into()),
            since: OsVersion::new(15, 0, 0),
            version: None,
            when: None,
            payload: json!({ "StatusItems": names }),
        })
    }

    /// One activation for all configurations under the same condition. A configuration that fails does not hold up the others.
    fn activate(&mut self, when: Option<Predicate>, mut configurations: Vec<String>) -> Result<(), SetError> {
        configurations.sort();
        let mut payload = json!({ "StandardConfigurations": configurations });
        let name = match when.as_ref() {
            None => "always".to_owned(),
            Some(predicate) => format!("when-{}", digest(&[predicate.as_str()])),
        };
        if let (Some(predicate), Some(map)) = (when, payload.as_object_mut()) {
            map.insert("Predicate".into(), predicate.as_str().into());
        }
        let draft = Draft {
            kind: Kind::Activation,
            declaration_type: "com.apple.activation.simple",
            name: ("activation", name),
            since: OsVersion::new(15, 0, 0),
            version: None,
            when: None,
            payload,
        };
        self.insert(identifier(draft.name.0, &draft.name.1), draft)
    }

    fn insert(&mut self, identifier: String, draft: Draft) -> Result<(), SetError> {
        let version = draft.version.as_ref().map(Uuid::to_string).unwrap_or_default();
        let payload = draft.payload.to_string();
        let server_token = digest(&[draft.declaration_type, &identifier, &version, &payload]);
        let declaration =
            Declaration { declaration_type: draft.declaration_type, server_token, payload: draft.payload };
        match self.declarations.insert((draft.kind, identifier.clone()), declaration) {
            None => Ok(()),
            Some(_) => Err(SetError::NameTwice(identifier)),
        }
    }

    fn hash(&self) -> String {
        let lines = self.declarations.iter().flat_map(|((kind, identifier), declaration)| {
            [kind.word(), identifier.as_str(), declaration.server_token.as_str()]
        });
        digest(&lines.collect::<Vec<_>>())
    }
}

/// `hausmeister.app.com.example.app`; a name that would make it longer than Apple allows is replaced by its hash.
fn identifier(word: &str, name: &str) -> String {
    let plain = format!("hausmeister.{word}.{name}");
    let clean = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
    if clean && plain.len() <= IDENTIFIER_BYTES_MAX {
        plain
    } else {
        format!("hausmeister.{word}.{}", digest(&[name]))
    }
}

/// 128 bits of a hash over texts; the lengths keep "ab", "c" and "a", "bc" apart.
fn digest(texts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("hausmeister mdm declarations 2026");
    for text in texts {
        hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().chars().take(32).collect()
}
