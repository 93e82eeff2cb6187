//! What a device should have, in words of the school.

use super::Kind;
use crate::os::OsVersion;
use crate::values::{BundleId, HttpsUrl, Label, PartName, Predicate};
use jiff::civil::DateTime;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use uuid::Uuid;

/// What one device should have. Order has no meaning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    /// Configuration profiles.
    pub profiles: Vec<DesiredProfile>,
    /// Apps that the device looks after itself.
    pub apps: Vec<DesiredApp>,
    /// The version that it must have by a certain time.
    pub update: Option<EnforcedUpdate>,
    /// How it behaves about updates otherwise.
    pub update_settings: Option<UpdateSettings>,
    /// What it reports on.
    pub status: BTreeSet<StatusItem>,
    /// Who manages it.
    pub organization: Option<Organization>,
    /// Data that configurations refer to.
    pub assets: Vec<Asset>,
}

/// A configuration profile that the device fetches itself. It takes over a profile with the same identifier that a command
/// has installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DesiredProfile {
    /// The purpose; the last piece of the declaration's identifier.
    pub name: PartName,
    /// Where the device gets it; must be the management server's own host.
    pub url: HttpsUrl,
    /// The profile's UUID. A changed profile is a changed declaration, even under the same address.
    pub version: Uuid,
    /// When it applies; always, if there is no condition.
    pub when: Option<Predicate>,
}

/// An app that the device installs, updates and removes by itself (17.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DesiredApp {
    /// Which app.
    pub source: AppSource,
    /// Whether it must be there.
    pub install: AppInstall,
    /// Whether backups contain it and its data.
    pub in_backup: bool,
    /// When it applies; always, if there is no condition.
    pub when: Option<Predicate>,
}

/// Where an app comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AppSource {
    /// The App Store's number of the app.
    Store(u64, AppLicense),
    /// The App Store, by bundle identifier.
    Bundle(BundleId, AppLicense),
    /// A manifest for an app that the school distributes itself.
    Manifest(HttpsUrl),
}

/// Whom a licence is assigned to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "Apple's names, and they say it")]
pub enum AppLicense {
    Device,
    User,
}

/// Whether an app must be on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AppInstall {
    /// It is installed and cannot be removed.
    Required,
    /// The person may install and remove it.
    Optional,
}

/// A version of the system and when the device must have it (17.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnforcedUpdate {
    /// The version.
    pub version: OsVersion,
    /// The build, for test versions.
    pub build: Option<Label>,
    /// The device's local time after which it installs the update by force.
    pub deadline: DateTime,
    /// A page that explains it.
    pub details: Option<HttpsUrl>,
}

/// How a device behaves about updates that nobody enforces (18.0).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UpdateSettings {
    /// Whether it tells the person about enforced updates before the last hour.
    pub notifications: Option<bool>,
    /// For how many days a new version stays out of sight: 1 to 90.
    pub defer_days: Option<crate::values::Within<1, 90>>,
    /// Which version is offered where Apple has two.
    pub cadence: Option<RecommendedCadence>,
    /// Whether updates are fetched unasked.
    pub download: Option<AutomaticAction>,
    /// Whether updates are installed unasked.
    pub install: Option<AutomaticAction>,
}

/// Which version is offered where Apple maintains two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "Apple's names, and they say it")]
pub enum RecommendedCadence {
    All,
    Oldest,
    Newest,
}

/// Who decides about an automatic action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AutomaticAction {
    /// The person.
    Allowed,
    /// It always happens.
    AlwaysOn,
    /// It never happens.
    AlwaysOff,
}

/// Who manages the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// The school.
    pub name: Label,
    /// Whom to write to.
    pub email: Option<Label>,
    /// The school's page.
    pub url: Option<HttpsUrl>,
}

/// Data under an address of ours (`com.apple.asset.data`, 17.0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The last piece of the identifier.
    pub name: PartName,
    /// Where the data is.
    pub url: HttpsUrl,
    /// Its media type.
    pub content_type: Label,
    /// Its length in bytes.
    pub size: u64,
    /// Its SHA-256, in hexadecimal digits.
    pub sha256: Label,
}

/// Something that a device can report on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StatusItem {
    /// Apple's name.
    pub(super) name: &'static str,
    /// The first version that knows it.
    pub(super) since: OsVersion,
}

impl StatusItem {
    /// Apple's name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The first version that knows it.
    pub fn since(self) -> OsVersion {
        self.since
    }

    /// What a school needs to keep its devices running. Nothing in it says what a person does, and the list of all
    /// certificates and accounts is left out.
    pub fn standard() -> BTreeSet<Self> {
        STANDARD.iter().copied().collect()
    }
}

/// A declaration before it has identifier and token.
pub(super) struct Draft {
    pub(super) kind: Kind,
    pub(super) declaration_type: &'static str,
    /// A word for the sort and a name that is unique within it.
    pub(super) name: (&'static str, String),
    /// The first version that knows the type.
    pub(super) since: OsVersion,
    /// What belongs to the content and is not in the payload.
    pub(super) version: Option<Uuid>,
    pub(super) when: Option<Predicate>,
    pub(super) payload: Value,
}

impl Draft {
    fn new(
        kind: Kind,
        declaration_type: &'static str,
        name: (&'static str, String),
        since: (u16, u16),
        payload: Value,
    ) -> Self {
        let since = OsVersion::new(since.0, since.1, 0);
        Self { kind, declaration_type, name, since, version: None, when: None, payload }
    }
}

impl Desired {
    /// Everything but the activations, for a device of this version.
    pub(super) fn drafts(&self, os: OsVersion) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = self.profiles.iter().map(DesiredProfile::draft).collect();
        drafts.extend(self.apps.iter().map(|app| app.draft(os)));
        drafts.extend(self.update.iter().map(EnforcedUpdate::draft));
        drafts.extend(self.update_settings.iter().map(UpdateSettings::draft));
        drafts.extend(self.organization.iter().map(Organization::draft));
        drafts.extend(self.assets.iter().map(Asset::draft));
        drafts
    }
}

impl DesiredProfile {
    fn draft(&self) -> Draft {
        let draft = Draft::new(
            Kind::Configuration,
            "com.apple.configuration.legacy",
            ("profile", self.name.to_string()),
            (15, 0),
            json!({ "ProfileURL": self.url.as_str() }),
        );
        Draft { version: Some(self.version), when: self.when.clone(), ..draft }
    }
}

impl DesiredApp {
    fn draft(&self, os: OsVersion) -> Draft {
        let install = match self.install {
            AppInstall::Required => "Required",
            AppInstall::Optional => "Optional",
        };
        let mut behavior = Map::from_iter([("Install".into(), install.into())]);
        let (key, value, name) = match &self.source {
            AppSource::Store(number, _) => ("AppStoreID", number.to_string(), number.to_string()),
            AppSource::Bundle(id, _) => ("BundleID", id.to_string(), id.to_string()),
            AppSource::Manifest(url) => ("ManifestURL", url.to_string(), url.to_string()),
        };
        if let AppSource::Store(_, license) | AppSource::Bundle(_, license) = &self.source {
            let license = match license {
                AppLicense::Device => "Device",
                AppLicense::User => "User",
            };
            let mut assignment = Map::from_iter([("Assignment".into(), license.into())]);
            // The name of the key until iOS 18.
            if os < OsVersion::new(18, 0, 0) {
                assignment.insert("VPPType".into(), license.into());
            }
            behavior.insert("License".into(), assignment.into());
        }
        let payload = json!({ key: value, "InstallBehavior": behavior, "IncludeInBackup": self.in_backup });
        let draft = Draft::new(
            Kind::Configuration,
            "com.apple.configuration.app.managed",
            ("app", name),
            (17, 2),
            payload,
        );
        Draft { when: self.when.clone(), ..draft }
    }
}

impl EnforcedUpdate {
    fn draft(&self) -> Draft {
        let payload = object([
            ("TargetOSVersion", Some(self.version.to_string().into())),
            ("TargetBuildVersion", self.build.as_ref().map(|build| build.as_str().into())),
            ("TargetLocalDateTime", Some(self.deadline.to_string().into())),
            ("DetailsURL", self.details.as_ref().map(|url| url.as_str().into())),
        ]);
        let name = ("update", "enforced".into());
        let of_type = "com.apple.configuration.softwareupdate.enforcement.specific";
        Draft::new(Kind::Configuration, of_type, name, (17, 0), payload)
    }
}

impl UpdateSettings {
    fn draft(&self) -> Draft {
        let action = |action: AutomaticAction| -> Value {
            match action {
                AutomaticAction::Allowed => "Allowed",
                AutomaticAction::AlwaysOn => "AlwaysOn",
                AutomaticAction::AlwaysOff => "AlwaysOff",
            }
            .into()
        };
        let cadence = |cadence: RecommendedCadence| -> Value {
            match cadence {
                RecommendedCadence::All => "All",
                RecommendedCadence::Oldest => "Oldest",
                RecommendedCadence::Newest => "Newest",
            }
            .into()
        };
        let actions =
            object([("Download", self.download.map(action)), ("InstallOSUpdates", self.install.map(action))]);
        let some = |value: Value| value.as_object().is_some_and(|map| !map.is_empty()).then_some(value);
        let payload = object([
            ("Notifications", self.notifications.map(Value::from)),
            ("Deferrals", self.defer_days.map(|days| json!({ "CombinedPeriodInDays": u16::from(days) }))),
            ("RecommendedCadence", self.cadence.map(cadence)),
            ("AutomaticActions", some(actions)),
        ]);
        let name = ("update", "settings".into());
        Draft::new(
            Kind::Configuration,
            "com.apple.configuration.softwareupdate.settings",
            name,
            (18, 0),
            payload,
        )
    }
}

impl Organization {
    fn draft(&self) -> Draft {
        let payload = object([
            ("Name", Some(self.name.as_str().into())),
            ("Email", self.email.as_ref().map(|text| text.as_str().into())),
            ("URL", self.url.as_ref().map(|text| text.as_str().into())),
        ]);
        let name = ("organization", String::from("info"));
        Draft::new(Kind::Management, "com.apple.management.organization-info", name, (15, 0), payload)
    }
}

impl Asset {
    fn draft(&self) -> Draft {
        let payload = json!({
            "Reference": {
                "DataURL": self.url.as_str(),
                "ContentType": self.content_type.as_str(),
                "Size": self.size,
                "Hash-SHA-256": self.sha256.as_str(),
            },
            "Authentication": { "Type": "MDM" },
        });
        Draft::new(Kind::Asset, "com.apple.asset.data", ("asset", self.name.to_string()), (17, 0), payload)
    }
}

/// An object of the keys that have a value.
fn object<const N: usize>(entries: [(&str, Option<Value>); N]) -> Value {
    entries
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect::<Map<_, _>>()
        .into()
}

const fn item(name: &'static str, major: u16, minor: u16) -> StatusItem {
    StatusItem { name, since: OsVersion::new(major, minor, 0) }
}

const STANDARD: &[StatusItem] = &[
    item("app.managed.list", 17, 2),
    item("device.identifier.serial-number", 16, 0),
    item("device.model.family", 15, 0),
    item("device.model.identifier", 15, 0),
    item("device.model.marketing-name", 15, 0),
    item("device.operating-system.build-version", 15, 0),
    item("device.operating-system.family", 15, 0),
    item("device.operating-system.marketing-name", 15, 0),
    item("device.operating-system.supplemental.build-version", 16, 1),
    item("device.operating-system.supplemental.extra-version", 16, 1),
    item("device.operating-system.version", 15, 0),
    item("device.power.battery-health", 17, 0),
    item("management.client-capabilities", 15, 0),
    item("management.declarations", 15, 0),
    item("mdm.app", 16, 0),
    item("passcode.is-compliant", 16, 0),
    item("passcode.is-present", 16, 0),
    item("softwareupdate.device-id", 18, 0),
    item("softwareupdate.failure-reason", 17, 0),
    item("softwareupdate.install-reason", 17, 0),
    item("softwareupdate.install-state", 17, 0),
    item("softwareupdate.pending-version", 17, 0),
];
