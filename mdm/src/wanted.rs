//! What an iPad should have, as declarations: profiles from the rules, apps, the version of the system.

use ipados::catalogue::Language;
use ipados::os::DeviceFacts;
use ipados::profile::{Document, ProfileError, Scep};
use ipados::rules::{Layer, Provided, Update, merge, provide};
use ipados::values::{Blob, HttpsUrl, Label, PartName, ProfileId, Secret, ValueError};

use crate::declarative::{
    DeclarationSet, Desired, DesiredApp, DesiredProfile, EnforcedUpdate, Organization, SetError, StatusItem,
};

/// What one iPad should have.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// What it is told.
    pub declarations: DeclarationSet,
    /// The profiles that the declarations name.
    pub profiles: Vec<Document>,
}

/// Why it cannot be said.
#[derive(Debug, thiserror::Error)]
pub enum WantedError {
    /// A profile cannot be written.
    #[error("a profile cannot be written")]
    Profile(#[from] ProfileError),
    /// A name or address is malformed.
    #[error("a value of the profiles is malformed")]
    Value(#[from] ValueError),
    /// Two declarations have one name.
    #[error("the declarations do not fit together")]
    Set(#[from] SetError),
}

/// What stands in everything that comes from this school.
#[derive(Debug, Clone)]
pub struct School {
    /// What it is called.
    pub name: Label,
    /// Where iPads reach us, without a slash at the end.
    pub base: String,
    /// The certificate of the school's authority (DER).
    pub authority: Vec<u8>,
}

/// Who an iPad is in the school's WLAN.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WlanIdentity {
    /// Its enrolment: the common name of the certificate.
    pub enrolment: String,
    /// Another number makes it fetch another certificate.
    pub generation: i64,
}

impl School {
    /// What follows from the rules for a device.
    ///
    /// A profile's address is the hash of its content: whoever knows it knows the content, and an iPad learns it over its own channel only.
    pub fn wanted(
        &self,
        layers: &[Layer],
        device: DeviceFacts,
        apps: Vec<DesiredApp>,
        wlan: &WlanIdentity,
    ) -> Result<Wanted, WantedError> {
        let provided = provide(layers, &self.name, self.provided(wlan)?)?;
        let merged = match provided {
            Some(provided) => merge(&[layers, &[provided]].concat(), device),
            None => merge(layers, device),
        };
        let base: ProfileId = IDENTIFIERS.parse()?;
        let mut desired = Desired {
            status: StatusItem::standard(),
            organization: Some(Organization { name: self.name.clone(), email: None, url: None }),
            update: merged.update.as_ref().map(enforced),
            apps,
            ..Desired::default()
        };
        let mut profiles = Vec::new();
        for profile in merged.profiles(&base, &self.name, Language::De)? {
            let document = profile.write()?;
            desired.profiles.push(DesiredProfile {
                name: purpose(&profile.identifier)?,
                url: self.url(&document, wlan)?,
                version: document.uuid,
                when: None,
            });
            profiles.push(document);
        }
        Ok(Wanted { declarations: DeclarationSet::new(&desired, device, None)?, profiles })
    }

    /// The part of a URL after the profile's hash names the iPad where its content is the iPad's own.
    fn url(&self, document: &Document, wlan: &WlanIdentity) -> Result<HttpsUrl, ValueError> {
        let url = format!("{}/profiles/{}", self.base, document.uuid.simple());
        if is_own(document) { format!("{url}/{}", wlan.enrolment).parse() } else { url.parse() }
    }

    fn provided(&self, wlan: &WlanIdentity) -> Result<Provided, WantedError> {
        let subject = vec![
            ("O".into(), self.name.to_string()),
            ("OU".into(), format!("WLAN {}", wlan.generation)),
            ("CN".into(), wlan.enrolment.clone()),
        ];
        let scep = Scep {
            url: format!("{}/scep", self.base).parse()?,
            ca_name: None,
            subject,
            challenge: Secret::new(CHALLENGE.to_owned()),
            ca_fingerprint: None,
        };
        Ok(Provided { authority: Blob::from(self.authority.clone()), scep })
    }
}

/// The last piece of a profile's identifier.
fn purpose(identifier: &ProfileId) -> Result<PartName, ValueError> {
    let text = identifier.as_str();
    text.rsplit_once('.').map_or(text, |(_, last)| last).parse()
}

fn enforced(update: &Update) -> EnforcedUpdate {
    EnforcedUpdate { version: update.version, build: None, deadline: update.deadline, details: None }
}

/// Whether a profile lacks a password that is made when it is fetched.
pub fn is_own(document: &Document) -> bool {
    document.xml.windows(CHALLENGE.len()).any(|window| window == CHALLENGE.as_bytes())
}

/// The profile with the password for one certificate. The hash stays what it was: it stands for everything else.
pub fn with_challenge(document: &[u8], challenge: &str) -> Vec<u8> {
    String::from_utf8_lossy(document).replace(CHALLENGE, challenge).into_bytes()
}

/// Stands where the password will be.
const CHALLENGE: &str = "a password is made when this profile is fetched";

/// How the identifiers of our profiles begin.
const IDENTIFIERS: &str = "org.hausmeister";

#[cfg(test)]
mod tests {
    use ipados::os::OsVersion;
    use ipados::profile::{Eap, Part, Payload, Wifi, WifiSecurity, WifiStandard};
    use ipados::rules::{Content, IDENTITY, Preset, Rank, SCHOOL_CA};

    use super::*;

    fn school() -> School {
        let (name, base) = ("Schule am See".parse().unwrap(), "https://mdm.schule.example".into());
        School { name, base, authority: b"DER".to_vec() }
    }

    fn wlan(generation: i64) -> WlanIdentity {
        WlanIdentity { enrolment: "b8f0".into(), generation }
    }

    fn layer(rank: Rank, preset: Preset) -> Layer {
        let content = Content { presets: [preset].into(), ..Content::default() };
        Layer { rank, name: "x".parse().unwrap(), until: Some(1_800_000_000), content }
    }

    const IPAD: DeviceFacts =
        DeviceFacts { os: OsVersion::new(18, 1, 0), supervised: true, shared_ipad: false };

    #[test]
    fn an_exam_adds_one_declaration_and_changes_the_rules() {
        let everyday = [layer(Rank::School, Preset::SchoolIpad)];
        let exam = layer(Rank::Exam, Preset::ExamOneApp("com.apple.calculator".parse().unwrap()));
        let before = school().wanted(&everyday, IPAD, Vec::new(), &wlan(1)).unwrap();
        let during = school().wanted(&[everyday[0].clone(), exam], IPAD, Vec::new(), &wlan(1)).unwrap();
        let names = |wanted: &Wanted| {
            let names = wanted.declarations.iter().filter(|(_, name, _)| name.contains(".profile."));
            names.map(|(_, name, it)| (name.to_owned(), it.server_token.clone())).collect::<Vec<_>>()
        };
        let (before, during) = (names(&before), names(&during));
        assert_eq!(before.len(), 1);
        assert_eq!(
            during.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(),
            ["hausmeister.profile.lock", "hausmeister.profile.rules"]
        );
        assert_ne!(before[0].1, during[1].1, "what is forbidden in an exam is in the one profile of rules");
    }

    #[test]
    fn the_same_rules_are_the_same_declarations_and_each_profile_has_its_address() {
        let layers = [layer(Rank::School, Preset::SchoolIpad)];
        let one = school().wanted(&layers, IPAD, Vec::new(), &wlan(1)).unwrap();
        let two = school().wanted(&layers, IPAD, Vec::new(), &wlan(2)).unwrap();
        assert_eq!(one.declarations.token(), two.declarations.token());
        let url = format!("https://mdm.schule.example/profiles/{}", one.profiles[0].uuid.simple());
        assert!(one.declarations.iter().any(|(_, _, it)| it.payload.to_string().contains(&url)));
    }

    #[test]
    fn a_network_with_certificates_brings_the_schools_and_an_identity_of_the_ipads_own() {
        let security = WifiSecurity::Enterprise {
            standard: WifiStandard::Wpa2,
            eap: Eap::Tls { identity: IDENTITY.parse().unwrap() },
            server_names: vec!["radius.schule.example".parse().unwrap()],
            anchors: vec![SCHOOL_CA.parse().unwrap()],
        };
        let ssid = "Schule".parse().unwrap();
        let wifi = Wifi { ssid, hidden: false, auto_join: true, own_address: true, security };
        let part = Part { name: "wifi".parse().unwrap(), title: None, payload: Payload::Wifi(wifi) };
        let content = Content { parts: vec![part], ..Content::default() };
        let layers = [Layer { rank: Rank::Room, name: "x".parse().unwrap(), until: None, content }];
        let one = school().wanted(&layers, IPAD, Vec::new(), &wlan(1)).unwrap();
        let document = &one.profiles[0];
        assert!(is_own(document));
        let whole = String::from_utf8(with_challenge(&document.xml, "GEHEIM")).unwrap();
        assert!(
            whole.contains("GEHEIM")
                && !whole.contains(CHALLENGE)
                && whole.contains("com.apple.security.root")
        );
        let url = format!("/profiles/{}/b8f0", document.uuid.simple());
        assert!(one.declarations.iter().any(|(_, _, it)| it.payload.to_string().contains(&url)));
        let next = school().wanted(&layers, IPAD, Vec::new(), &wlan(2)).unwrap();
        assert_ne!(next.profiles[0].uuid, document.uuid, "the next generation is another profile");
    }
}
