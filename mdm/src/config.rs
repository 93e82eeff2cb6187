//! The section `[mdm]` of the configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

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
    /// PEM file of Apple's push certificate. Absent: iPads are not woken, and hear of commands when they ask by themselves.
    pub push_certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub push_key: Option<PathBuf>,
    /// Topic, where there is no push certificate to take it from.
    pub topic: Option<String>,
    /// Apple's push service.
    pub push_url: String,
    /// PEM file of the authority behind `push_url`, where it is not one that everybody trusts.
    pub push_authority: Option<PathBuf>,
    /// Apple's Apps and Books.
    pub apps_url: String,
    /// PEM file of the authority behind Apple's other services, where it is not one that everybody trusts.
    pub services_authority: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: LISTEN,
            certificate: None,
            key: None,
            push_certificate: None,
            push_key: None,
            topic: None,
            push_url: PUSH_URL.to_owned(),
            push_authority: None,
            apps_url: APPS_URL.to_owned(),
            services_authority: None,
        }
    }
}

/// Default of `listen`.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8444);
/// Default of `push_url`: <https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns>.
const PUSH_URL: &str = "https://api.push.apple.com";
/// Default of `apps_url`: <https://developer.apple.com/documentation/devicemanagement/service-config>.
const APPS_URL: &str = "https://vpp.itunes.apple.com/mdm/v2";
