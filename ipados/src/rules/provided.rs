//! What the server itself adds to rules: the school's certificate and an identity for each iPad, where a Wi-Fi network names them.

use super::{Content, Layer, Rank};
use crate::profile::{Certificate, Eap, Part, Payload, Scep, WifiSecurity};
use crate::values::{Blob, Label, PartName, ValueError};

/// The part by which a network of a rule means an identity that the server makes for each iPad.
pub const IDENTITY: &str = "ipad-identity";
/// The part by which a network of a rule means the certificate of the school's authority.
pub const SCHOOL_CA: &str = "school-ca";

/// What the server provides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provided {
    /// The certificate of the school's authority (DER).
    pub authority: Blob,
    /// Where an iPad gets its identity.
    pub scep: Scep,
}

/// Whether a network among these layers needs an identity of the iPad's own.
pub fn needs_identity(layers: &[Layer]) -> bool {
    networks(layers).any(|eap| matches!(eap, (Eap::Tls { identity }, _) if identity.as_str() == IDENTITY))
}

/// The layer with what the server provides, if a network needs any of it.
pub fn provide(layers: &[Layer], school: &Label, provided: Provided) -> Result<Option<Layer>, ValueError> {
    let named = |name: &PartName| name.as_str() == SCHOOL_CA;
    let mut parts = Vec::new();
    if networks(layers).any(|(_, anchors)| anchors.iter().any(named)) {
        let certificate = Certificate { der: provided.authority };
        parts.push(part(SCHOOL_CA, Payload::RootCertificate(certificate))?);
    }
    if needs_identity(layers) {
        parts.push(part(IDENTITY, Payload::Scep(provided.scep))?);
    }
    let content = Content { parts, ..Content::default() };
    let layer = Layer { rank: Rank::School, name: school.clone(), until: None, content };
    Ok((!layer.content.parts.is_empty()).then_some(layer))
}

fn networks(layers: &[Layer]) -> impl Iterator<Item = (&Eap, &Vec<PartName>)> {
    let parts = layers.iter().flat_map(|layer| &layer.content.parts);
    parts.filter_map(|part| match &part.payload {
        Payload::Wifi(wifi) => match &wifi.security {
            WifiSecurity::Enterprise { eap, anchors, .. } => Some((eap, anchors)),
            WifiSecurity::Open | WifiSecurity::Password { .. } => None,
        },
        _ => None,
    })
}

fn part(name: &str, payload: Payload) -> Result<Part, ValueError> {
    Ok(Part { name: name.parse()?, title: None, payload })
}
