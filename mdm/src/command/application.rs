//! Apps: installing, removing, configuring.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::values::numbered;

/// Installs or updates an app: <https://developer.apple.com/documentation/devicemanagement/installapplicationcommand>.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstallApplication {
    /// Which app.
    #[serde(flatten)]
    pub app: AppSource,
    /// How it was paid for.
    pub options: Option<InstallOptions>,
    /// What happens to the app later.
    pub management_flags: Option<ManagementFlags>,
    /// What the app finds under `com.apple.configuration.managed` in its user defaults.
    pub configuration: Option<AppConfiguration>,
    /// What the system does with it.
    pub attributes: Option<AppAttributes>,
    /// Take over an app that the user installed. On an unsupervised device the user is asked.
    pub change_management_state: Option<ManagementState>,
}

impl InstallApplication {
    /// An app whose licence belongs to the device: it is installed without an Apple Account and leaves with the enrolment.
    pub fn licensed(store_id: u64) -> Self {
        Self {
            app: AppSource::ITunesStoreId(store_id),
            options: Some(InstallOptions { purchase_method: PurchaseMethod::Licence }),
            management_flags: Some(ManagementFlags::RemoveWithEnrolment),
            configuration: None,
            attributes: None,
            change_management_state: None,
        }
    }
}

/// Where an app comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppSource {
    /// The App Store, by its number there.
    #[serde(rename = "iTunesStoreID")]
    ITunesStoreId(u64),
    /// The App Store, by its bundle identifier.
    Identifier(String),
    /// A manifest at an `https` address.
    #[serde(rename = "ManifestURL")]
    ManifestUrl(String),
}

impl fmt::Display for AppSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ITunesStoreId(id) => write!(f, "{id}"),
            Self::Identifier(id) => f.write_str(id),
            Self::ManifestUrl(url) => f.write_str(url),
        }
    }
}

/// How an app was paid for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InstallOptions {
    /// The way of paying.
    pub purchase_method: PurchaseMethod,
}

numbered! {
    /// How an app was paid for.
    PurchaseMethod {
        /// By the Apple Account on the device, also where it costs nothing.
        Account = 0,
        /// By a licence that the school assigned before.
        Licence = 1,
    }

    /// What happens to an app later.
    ManagementFlags {
        /// It leaves with the enrolment.
        RemoveWithEnrolment = 1,
        /// Its data stay out of backups.
        NoBackup = 4,
        /// Both.
        RemoveWithEnrolmentAndNoBackup = 5,
    }
}

/// The only state that `ChangeManagementState` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManagementState {
    /// The server looks after the app.
    Managed,
}

/// Keys that the maker of the app describes, in the JSON of [`crate::document::value_from_json`]. Hidden from logs, since
/// licence keys stand there.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AppConfiguration(pub serde_json::Map<String, serde_json::Value>);

impl fmt::Debug for AppConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppConfiguration({} keys)", self.0.len())
    }
}

/// What the system does with an app:
/// <https://developer.apple.com/documentation/devicemanagement/installapplicationcommand/command-data.dictionary/attributes-data.dictionary>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppAttributes {
    /// Its traffic goes through this VPN.
    #[serde(rename = "VPNUUID")]
    pub vpn_uuid: Option<String>,
    /// Its traffic passes this content filter (iOS 16).
    #[serde(rename = "ContentFilterUUID")]
    pub content_filter_uuid: Option<String>,
    /// Its names are looked up here (iOS 16).
    #[serde(rename = "DNSProxyUUID")]
    pub dns_proxy_uuid: Option<String>,
    /// Its traffic goes through this relay (iOS 17).
    #[serde(rename = "RelayUUID")]
    pub relay_uuid: Option<String>,
    /// Domains that open in it (iOS 13).
    pub associated_domains: Option<Vec<String>>,
    /// Ask the domains themselves and not Apple about that (iOS 14).
    pub associated_domains_enable_direct_downloads: Option<bool>,
    /// Whether the user may remove it (iOS 14).
    pub removable: Option<bool>,
    /// Whether the user may hide it (iOS 18.1).
    pub hideable: Option<bool>,
    /// Whether the user may put a lock on it (iOS 18.1).
    pub lockable: Option<bool>,
}

/// Removes a managed app with its data:
/// <https://developer.apple.com/documentation/devicemanagement/removeapplicationcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RemoveApplication {
    /// The bundle identifier.
    pub identifier: String,
}

/// Checks the provisioning of apps that were not bought:
/// <https://developer.apple.com/documentation/devicemanagement/validateapplicationscommand>.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ValidateApplications {
    /// Bundle identifiers; all such apps if absent.
    pub identifiers: Option<Vec<String>>,
}

/// Invites a user: <https://developer.apple.com/documentation/devicemanagement/invitetoprogramcommand>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct InviteToProgram {
    /// Into what.
    #[serde(rename = "ProgramID")]
    pub program_id: Program,
    /// The address that Apple's service gave for this user.
    #[serde(rename = "InvitationURL")]
    pub invitation_url: String,
}

/// The only programme that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Program {
    /// The school's purchases.
    #[serde(rename = "com.apple.cloudvpp")]
    Purchases,
}
