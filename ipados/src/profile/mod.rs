//! Configuration profiles: typed payloads in, a property list out.
//!
//! | Source | What is done here |
//! |---|---|
//! | <https://developer.apple.com/documentation/devicemanagement/toplevel> | the envelope |
//! | <https://developer.apple.com/documentation/devicemanagement/profile-specific_payload_keys> | the payloads of [`Kind`] |
//!
//! A device replaces a profile when one with the same `PayloadIdentifier` arrives, so the identifier belongs to the *purpose*
//! and never changes. The UUIDs are hashes of the content: the same content is the same file byte for byte, and whoever holds
//! a profile's UUID knows whether the device has the present one.
//!
//! Signing is not done here (see `cms`), nor are encrypted profiles and the payloads of Apple Classroom.

mod apps;
mod enrolment;
mod network;
mod payload;
mod restrictions;

pub use apps::{
    AlertType, AppLock, AppLockOptions, AppNotifications, FolderIcon, HomeScreen, Icon, LockedUserOptions,
    Notifications, Passcode, SharedDevice, WebClip,
};
pub use enrolment::{Enrolment, MdmSettings, ServerCapability};
pub use network::{
    AirPrint, Certificate, Dns, DnsTransport, Eap, InnerAuthentication, PasswordMethod, Printer, Scep,
    WebFilter, Wifi, WifiSecurity, WifiStandard,
};
pub use payload::{Kind, OnSharedIpad, Payload};
pub use restrictions::Restrictions;

use crate::values::{Label, PartName, ProfileId, ValueError};
use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};
use uuid::Uuid;

/// One payload with the name by which others in the same profile refer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The name inside the profile; the last piece of the payload's identifier.
    pub name: PartName,
    /// What the settings app shows, or the kind's English name.
    pub title: Option<Label>,
    /// The settings.
    pub payload: Payload,
}

/// A configuration profile before it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Stands for the purpose and never changes.
    pub identifier: ProfileId,
    /// What the settings app shows.
    pub title: Label,
    /// The school.
    pub organization: Label,
    /// A sentence below the title.
    pub description: Option<Label>,
    /// Whether the person at the device may not remove it; obeyed by supervised devices only.
    pub locked: bool,
    /// When the device removes it by itself, in Unix seconds.
    pub removed_at: Option<i64>,
    /// The payloads, in the order in which the device installs them.
    pub parts: Vec<Part>,
}

/// A profile as the device gets it, unsigned. It may hold passwords, so `Debug` shows its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct Document {
    /// The `PayloadUUID`: a hash of everything in the profile.
    pub uuid: Uuid,
    /// The property list.
    pub xml: Vec<u8>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({}, {} bytes)", self.uuid, self.xml.len())
    }
}

impl Profile {
    /// Writes the profile.
    pub fn write(&self) -> Result<Document, ProfileError> {
        let (uuid, value) = self.value()?;
        Ok(Document { uuid, xml: xml(&value)? })
    }

    /// The profile as a value, and its UUID.
    pub fn value(&self) -> Result<(Uuid, Value), ProfileError> {
        let uuids = self.part_uuids()?;
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            let uuid = uuids.get(&part.name).copied().unwrap_or_default();
            parts.push(Value::Dictionary(self.part(part, uuid, &uuids)?));
        }
        let mut top = Dictionary::new();
        put(&mut top, "PayloadType", "Configuration");
        put(&mut top, "PayloadVersion", 1);
        put(&mut top, "PayloadIdentifier", self.identifier.as_str());
        put(&mut top, "PayloadDisplayName", self.title.as_str());
        put(&mut top, "PayloadOrganization", self.organization.as_str());
        if let Some(text) = &self.description {
            put(&mut top, "PayloadDescription", text.as_str());
        }
        put(&mut top, "PayloadScope", "System");
        if self.locked {
            put(&mut top, "PayloadRemovalDisallowed", true);
        }
        if let Some(at) = self.removed_at.and_then(|secs| u64::try_from(secs).ok()) {
            let date = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
            put(&mut top, "RemovalDate", Value::Date(date.into()));
        }
        put(&mut top, "PayloadContent", parts);
        let uuid = derived(self.identifier.as_str(), &top)?;
        put(&mut top, "PayloadUUID", spelled(uuid));
        Ok((uuid, Value::Dictionary(top)))
    }

    /// The UUID of every part. Parts that refer to others come second, since the others' UUIDs are part of their content;
    /// no part that is referred to refers to a third.
    fn part_uuids(&self) -> Result<BTreeMap<PartName, Uuid>, ProfileError> {
        let mut uuids = BTreeMap::new();
        let (second, first): (Vec<_>, Vec<_>) =
            self.parts.iter().partition(|part| !part.payload.references().is_empty());
        for part in first.into_iter().chain(second) {
            let uuid = derived(&self.part_identifier(part), &self.content(part, &uuids)?)?;
            if uuids.insert(part.name.clone(), uuid).is_some() {
                return Err(ProfileError::NameTwice {
                    profile: self.identifier.to_string(),
                    part: part.name.clone(),
                });
            }
        }
        Ok(uuids)
    }

    fn part(
        &self,
        part: &Part,
        uuid: Uuid,
        uuids: &BTreeMap<PartName, Uuid>,
    ) -> Result<Dictionary, ProfileError> {
        let mut dictionary = self.content(part, uuids)?;
        put(&mut dictionary, "PayloadType", part.payload.kind().payload_type());
        put(&mut dictionary, "PayloadVersion", 1);
        put(&mut dictionary, "PayloadIdentifier", self.part_identifier(part));
        put(&mut dictionary, "PayloadUUID", spelled(uuid));
        let title = part.title.as_ref().map_or(part.payload.kind().title(), Label::as_str);
        put(&mut dictionary, "PayloadDisplayName", title);
        Ok(dictionary)
    }

    fn content(&self, part: &Part, uuids: &BTreeMap<PartName, Uuid>) -> Result<Dictionary, ProfileError> {
        part.payload.content(&|name| {
            uuids.get(name).map(|uuid| spelled(*uuid)).ok_or_else(|| ProfileError::NoSuchPart {
                profile: self.identifier.to_string(),
                part: part.name.clone(),
                missing: name.clone(),
            })
        })
    }

    fn part_identifier(&self, part: &Part) -> String {
        format!("{}.{}", self.identifier, part.name)
    }
}

/// Why a profile cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A payload refers to a part that the profile does not have, or that itself refers to others.
    #[error(
        "in the profile {profile}, the part {part} refers to {missing}: add a certificate part of that name"
    )]
    NoSuchPart {
        /// The profile.
        profile: String,
        /// The part that refers.
        part: PartName,
        /// The name that it gives.
        missing: PartName,
    },
    /// Two parts have one name.
    #[error("the profile {profile} has two parts named {part}: give one of them another name")]
    NameTwice {
        /// The profile.
        profile: String,
        /// The name.
        part: PartName,
    },
    /// A name or an address is not one.
    #[error("a value of the profile is malformed")]
    Value(#[from] ValueError),
    /// The property list could not be written.
    #[error("a payload cannot be written as a property list")]
    Encode(#[from] plist::Error),
}

/// A lookup from the name of a part to its UUID.
type Resolve<'a> = &'a dyn Fn(&PartName) -> Result<String, ProfileError>;

fn put(dictionary: &mut Dictionary, key: &str, value: impl Into<Value>) {
    dictionary.insert(key.to_owned(), value.into());
}

/// The dictionary of a payload whose fields carry Apple's names.
fn flat(payload: &impl Serialize) -> Result<Dictionary, ProfileError> {
    Ok(plist::to_value(payload)?.into_dictionary().unwrap_or_default())
}

/// Texts as an array.
fn texts<T: ToString>(items: impl IntoIterator<Item = T>) -> Value {
    Value::Array(items.into_iter().map(|item| Value::String(item.to_string())).collect())
}

fn xml(value: &Value) -> Result<Vec<u8>, plist::Error> {
    let mut out = Vec::new();
    value.to_writer_xml(&mut out)?;
    Ok(out)
}

/// A UUID made from content (RFC 9562, version 8). The identifier takes part, so that equal payloads in different places differ.
fn derived(identifier: &str, content: &Dictionary) -> Result<Uuid, plist::Error> {
    let mut hasher = blake3::Hasher::new_derive_key("hausmeister mdm profile 2026");
    hasher.update(identifier.as_bytes());
    hasher.update(&[0]);
    hasher.update(&xml(&Value::Dictionary(content.clone()))?);
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    Ok(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// Apple writes UUIDs in capitals, and compares some of them as text.
fn spelled(uuid: Uuid) -> String {
    uuid.hyphenated().encode_upper(&mut Uuid::encode_buffer()).to_owned()
}

#[cfg(test)]
mod tests;
