//! What a simulated iPad is, and what was done to it.

use std::collections::BTreeMap;

use rand::Rng as _;

use crate::profile::Profile;

/// What an iPad is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Apple's id of the hardware.
    pub udid: String,
    /// As on the back of the device.
    pub serial: String,
    /// Model, as Apple names it.
    pub product: String,
    /// Version of its system.
    pub os_version: String,
    /// Hardware address of its radio.
    pub wifi_mac: String,
    /// Whether the school may do everything with it.
    pub supervised: bool,
}

impl Facts {
    /// An iPad (10th generation) with iPadOS 18.1; `number` makes serial number, UDID and card its own.
    #[must_use]
    pub fn numbered(number: u32) -> Self {
        let [_, a, b, c] = number.to_be_bytes();
        Self {
            udid: format!("00008101-{number:016X}"),
            serial: format!("DMPSIM{number:06X}"),
            product: "iPad13,18".into(),
            os_version: "18.1".into(),
            wifi_mac: format!("02:1a:d0:{a:02x}:{b:02x}:{c:02x}"),
            supervised: true,
        }
    }

    /// One that nobody else is.
    #[must_use]
    pub fn random() -> Self {
        Self::numbered(rand::rng().random_range(1..0x00ff_ffff))
    }
}

/// What was done to an iPad.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct State {
    /// Installed apps by bundle id.
    pub apps: BTreeMap<String, App>,
    /// Installed profiles by identifier.
    pub profiles: BTreeMap<String, Profile>,
    /// Certificates for the WLAN (DER).
    pub identities: Vec<Vec<u8>>,
    /// A passcode is set.
    pub passcode: bool,
    /// The screen was locked so often.
    pub locks: u32,
    /// It was restarted so often.
    pub restarts: u32,
    /// What stands on the screen in lost mode.
    pub lost: Option<String>,
    /// Everything is gone.
    pub erased: bool,
    /// It waits in the setup assistant.
    pub awaiting: bool,
    /// Declarations by identifier, with their server token.
    pub declarations: BTreeMap<String, String>,
    /// What the declarations of apps say, by identifier.
    pub declared_apps: BTreeMap<String, serde_json::Value>,
    /// Managed apps that could not be installed, with Apple's word for the reason.
    pub refused_apps: BTreeMap<String, &'static str>,
}

/// An installed app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// What it is called.
    pub name: String,
    /// Version.
    pub version: String,
    /// Whether the server installed it.
    pub managed: bool,
    /// The declaration that it belongs to, where it came by one.
    pub declaration: Option<String>,
    /// What it finds as its configuration.
    pub configuration: Option<serde_json::Value>,
}
