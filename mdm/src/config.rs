//! The section `[mdm]` of the configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// The section `[mdm]`. Without `mdm_url` in `[site]` there is no MDM.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where iPads are answered, TLS.
    pub listen: SocketAddr,
    /// PEM file of a certificate for that name that everybody trusts, with those between it and the authority. Absent: one of the
    /// school's own authority, which the enrolment profile brings along.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// iPads have to show their certificate in the TLS handshake. They go on signing what they say, so that this can be changed at any time.
    pub mutual_tls: bool,
    /// PEM file of Apple's push certificate. Absent: iPads are not woken, and hear of commands when they ask by themselves.
    pub push_certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub push_key: Option<PathBuf>,
    /// Topic, where there is no push certificate to take it from. Certificate, key and topic of files go before those of the page.
    pub topic: Option<String>,
    /// Apple's push service.
    pub push_url: String,
    /// PEM file of the authority behind `push_url`, where it is not one that everybody trusts.
    pub push_authority: Option<PathBuf>,
    /// Apple's Apps and Books.
    pub apps_url: String,
    /// PEM file of the authority behind Apple's other services, where it is not one that everybody trusts.
    pub services_authority: Option<PathBuf>,
    /// PEM file of an MDM vendor certificate, with those between it and Apple's root: it signs the school's requests for push certificates.
    pub vendor_certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub vendor_key: Option<PathBuf>,
    /// Apple School Manager's service for device management servers.
    pub ade_url: String,
    /// PEM file of the authority behind `ade_url`, where it is not one that everybody trusts.
    pub ade_authority: Option<PathBuf>,
    /// PEM file of further authorities that machine information of iPads may lead to, beside Apple's.
    pub device_authority: Option<PathBuf>,
    /// How long the certificates of iPads hold, and how often is looked whether they end soon.
    #[serde(skip)]
    pub certificates: Certificates,
    /// How often is looked what ends soon, and whether the files of the certificate changed.
    #[serde(skip)]
    pub look: Duration,
}

/// How long certificates of iPads hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificates {
    /// So long.
    pub life: Duration,
    /// So often is looked for those that end soon.
    pub look: Duration,
}

impl Default for Certificates {
    /// Two years: long enough that an iPad that lay in a cupboard over a summer is still known.
    fn default() -> Self {
        Self { life: Duration::from_secs(730 * 86_400), look: Duration::from_secs(600) }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            certificate: None,
            key: None,
            mutual_tls: false,
            push_certificate: None,
            push_key: None,
            topic: None,
            push_url: PUSH_URL.to_owned(),
            push_authority: None,
            apps_url: APPS_URL.to_owned(),
            services_authority: None,
            vendor_certificate: None,
            vendor_key: None,
            ade_url: ADE_URL.to_owned(),
            ade_authority: None,
            device_authority: None,
            certificates: Certificates::default(),
            look: Duration::from_secs(60),
        }
    }
}

/// Default of `listen`.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8444);
/// Default of `push_url`: <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>.
const PUSH_URL: &str = "https://api.push.apple.com";
/// Default of `apps_url`: <https://developer.apple.com/documentation/devicemanagement/service-config>.
const APPS_URL: &str = "https://vpp.itunes.apple.com/mdm/v2";
/// Default of `ade_url`: <https://developer.apple.com/documentation/devicemanagement/device_assignment>.
const ADE_URL: &str = "https://mdmenrollment.apple.com";
