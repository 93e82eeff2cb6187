//! The section `[webui]` of the configuration.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

/// The section `[webui]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where pages and API are served over HTTPS.
    pub listen: SocketAddr,
    /// Where plain HTTP is answered with a redirect to HTTPS, for people who type the bare name; off when absent.
    pub redirect_listen: Option<SocketAddr>,
    /// Where locked devices are led to that ask for something over plain HTTP, as in `page_port` of `[netd]`; off when absent.
    pub page_listen: Option<SocketAddr>,
    /// Whether accounts that may change people, networks or lessons must have a second factor: without one, all they can do is to
    /// set it up.
    pub require_second_factor: bool,
    /// PEM file of a certificate that everybody trusts, with those between it and the authority, for the name of `portal` in `[site]`.
    /// It is read again every hour.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, HTTPS_PORT)),
            redirect_listen: None,
            page_listen: None,
            require_second_factor: false,
            certificate: None,
            key: None,
        }
    }
}

/// Port that browsers take for `https://` without one.
pub(crate) const HTTPS_PORT: u16 = 443;
