//! The profile that makes a device ours.

use super::{Certificate, Document, Part, Payload, Profile, ProfileError, Resolve, Scep, put, texts};
use crate::values::{Blob, HttpsUrl, Label, ManagedAccount, PartName, ProfileId, Topic};
use plist::Dictionary;
use serde::{Deserialize, Serialize};

/// The management payload. The server's addresses and the topic can never change on an enrolled device.
/// <https://developer.apple.com/documentation/devicemanagement/mdm>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MdmSettings {
    /// The SCEP part whose certificate the device shows and signs with.
    pub identity: PartName,
    /// The topic of the push certificate.
    pub topic: Topic,
    /// Where commands come from.
    pub server_url: HttpsUrl,
    /// Where the device announces itself.
    pub check_in_url: HttpsUrl,
    /// What the server can do.
    pub capabilities: Vec<ServerCapability>,
    /// Certificates of this profile that the server's TLS certificate must lead to; empty for those that the system trusts.
    pub pinned: Vec<PartName>,
    /// Who signed in on a device that enrols by account. May not change later.
    #[serde(default)]
    pub account: Option<ManagedAccount>,
}

/// What the server can do beyond the device's channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerCapability {
    /// Users of a Shared iPad have channels of their own. May be neither added nor removed later.
    PerUserConnections,
    /// `GetToken` is answered.
    Token,
}

impl MdmSettings {
    pub(super) fn references(&self) -> Vec<&PartName> {
        std::iter::once(&self.identity).chain(&self.pinned).collect()
    }

    pub(super) fn content(&self, resolve: Resolve<'_>) -> Result<Dictionary, ProfileError> {
        let mut out = Dictionary::new();
        put(&mut out, "IdentityCertificateUUID", resolve(&self.identity)?);
        put(&mut out, "Topic", self.topic.as_str());
        put(&mut out, "ServerURL", self.server_url.as_str());
        put(&mut out, "CheckInURL", self.check_in_url.as_str());
        put(&mut out, "SignMessage", true);
        put(&mut out, "CheckOutWhenRemoved", true);
        put(&mut out, "AccessRights", EVERY_RIGHT);
        let capabilities = self.capabilities.iter().map(|capability| match capability {
            ServerCapability::PerUserConnections => "com.apple.mdm.per-user-connections",
            ServerCapability::Token => "com.apple.mdm.token",
        });
        put(&mut out, "ServerCapabilities", texts(capabilities));
        if !self.pinned.is_empty() {
            let uuids = self.pinned.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
            put(&mut out, "ServerURLPinningCertificateUUIDs", texts(&uuids));
            put(&mut out, "CheckInURLPinningCertificateUUIDs", texts(uuids));
        }
        if let Some(account) = &self.account {
            put(&mut out, "AssignedManagedAppleID", account.as_str());
            put(&mut out, "EnrollmentMode", "ADDE");
        }
        Ok(out)
    }
}

/// What an enrolment profile is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The same for every device and for ever: a renewal replaces the profile only under the same identifier.
    pub identifier: ProfileId,
    /// The school.
    pub organization: Label,
    /// The topic of the push certificate.
    pub topic: Topic,
    /// Where commands come from.
    pub server_url: HttpsUrl,
    /// Where the device announces itself.
    pub check_in_url: HttpsUrl,
    /// How the device gets its identity. A new challenge is a new UUID, so a renewal makes the device ask for a new key.
    pub scep: Scep,
    /// The school's CA (DER).
    pub ca: Blob,
    /// Whether the server's TLS certificate comes from the school's CA, so that devices accept no other.
    pub pin_ca: bool,
    /// What the server can do.
    pub capabilities: Vec<ServerCapability>,
    /// Whether the person at the device may not remove it; obeyed by supervised devices only.
    pub locked: bool,
    /// Who signed in on a device that enrols by account.
    pub account: Option<ManagedAccount>,
}

impl Enrolment {
    /// Writes the profile, unsigned.
    pub fn write(self) -> Result<Document, ProfileError> {
        self.into_profile()?.write()
    }

    /// The profile: the CA first, so that it is trusted when the device goes for its identity.
    pub fn into_profile(self) -> Result<Profile, ProfileError> {
        let (ca, identity) = (name("ca")?, name("identity")?);
        let mdm = MdmSettings {
            identity: identity.clone(),
            topic: self.topic,
            server_url: self.server_url,
            check_in_url: self.check_in_url,
            capabilities: self.capabilities,
            pinned: if self.pin_ca { vec![ca.clone()] } else { Vec::new() },
            account: self.account,
        };
        let part = |name, payload| Part { name, title: None, payload };
        Ok(Profile {
            identifier: self.identifier,
            title: self.organization.clone(),
            organization: self.organization,
            description: None,
            locked: self.locked,
            removed_at: None,
            parts: vec![
                part(ca, Payload::RootCertificate(Certificate { der: self.ca })),
                part(identity, Payload::Scep(self.scep)),
                part(name("mdm")?, Payload::Mdm(mdm)),
            ],
        })
    }
}

fn name(text: &str) -> Result<PartName, ProfileError> {
    Ok(text.parse()?)
}

/// All thirteen rights. They can only be taken away later, so a device that lacks one would have to enrol again.
const EVERY_RIGHT: i64 = 8191;
