//! What an iPad should have, as declarations: profiles from the rules, apps, the version of the system.

use ipados::catalogue::Language;
use ipados::os::DeviceFacts;
use ipados::profile::{Document, ProfileError};
use ipados::rules::{Layer, Update, merge};
use ipados::values::{HttpsUrl, Label, PartName, ProfileId, ValueError};

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
    ) -> Result<Wanted, WantedError> {
        let merged = merge(layers, device);
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
                url: self.url(&document)?,
                version: document.uuid,
                when: None,
            });
            profiles.push(document);
        }
        Ok(Wanted { declarations: DeclarationSet::new(&desired, device, None)?, profiles })
    }

    fn url(&self, document: &Document) -> Result<HttpsUrl, ValueError> {
        format!("{}/profiles/{}", self.base, document.uuid.simple()).parse()
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

/// How the identifiers of our profiles begin.
const IDENTIFIERS: &str = "org.hausmeister";

#[cfg(test)]
mod tests {
    use ipados::os::OsVersion;
    use ipados::rules::{Content, Preset, Rank};

    use super::*;

    fn school() -> School {
        School { name: "Schule am See".parse().unwrap(), base: "https://mdm.schule.example".into() }
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
        let before = school().wanted(&everyday, IPAD, Vec::new()).unwrap();
        let during = school().wanted(&[everyday[0].clone(), exam], IPAD, Vec::new()).unwrap();
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
        let one = school().wanted(&layers, IPAD, Vec::new()).unwrap();
        let two = school().wanted(&layers, IPAD, Vec::new()).unwrap();
        assert_eq!(one.declarations.token(), two.declarations.token());
        let url = format!("https://mdm.schule.example/profiles/{}", one.profiles[0].uuid.simple());
        assert!(one.declarations.iter().any(|(_, _, it)| it.payload.to_string().contains(&url)));
    }
}
