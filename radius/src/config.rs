//! The section `[radius]` of the configuration.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::Deserialize;

/// The section `[radius]`. Without it the WLAN is none of this server's business.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where access points ask.
    pub listen: IpAddr,
    /// The port for questions (RFC 2865).
    pub auth_port: u16,
    /// The port for reports (RFC 2866).
    pub accounting_port: u16,
    /// FreeRADIUS' program.
    pub freeradius: PathBuf,
    /// Where its configuration is written anew at every start: a folder that the account of FreeRADIUS can reach.
    pub run_dir: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: IpAddr::from([0, 0, 0, 0]),
            auth_port: 1812,
            accounting_port: 1813,
            freeradius: "/usr/sbin/freeradius".into(),
            run_dir: "/run/hausmeister-radius".into(),
        }
    }
}
