//! The kinds of payloads, and what Apple says of each.

use super::{
    AirPrint, AppLock, Certificate, Dns, HomeScreen, MdmSettings, Notifications, Passcode, ProfileError,
    Resolve, Restrictions, Scep, SharedDevice, WebClip, WebFilter, Wifi,
};
use crate::catalogue::Language;
use crate::os::OsVersion;
use crate::values::{PartName, Secret};
use plist::Dictionary;
use serde::{Deserialize, Serialize};

/// The settings of one payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "settings", rename_all = "snake_case")]
pub enum Payload {
    /// What the device may and may not do.
    Restrictions(Restrictions),
    /// A Wi-Fi network.
    Wifi(Wifi),
    /// A root certificate to trust (DER).
    RootCertificate(Certificate),
    /// Another certificate (DER).
    Certificate(Certificate),
    /// An identity that the device gets from the school's CA.
    Scep(Scep),
    /// The enrolment itself.
    Mdm(MdmSettings),
    /// One app, and no way out of it.
    AppLock(AppLock),
    /// Where the icons are.
    HomeScreen(HomeScreen),
    /// A page with an icon.
    WebClip(WebClip),
    /// Printers.
    AirPrint(AirPrint),
    /// Encrypted name resolution.
    Dns(Dns),
    /// The built-in filter of web pages.
    WebFilter(WebFilter),
    /// What a passcode must be like.
    Passcode(Passcode),
    /// Lock screen texts of a school device.
    SharedDevice(SharedDevice),
    /// Notifications per app.
    Notifications(Notifications),
}

/// The kind of a payload without its settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each stands for the variant of `Payload` with the same name")]
pub enum Kind {
    Restrictions,
    Wifi,
    RootCertificate,
    Certificate,
    Scep,
    Mdm,
    AppLock,
    HomeScreen,
    WebClip,
    AirPrint,
    Dns,
    WebFilter,
    Passcode,
    SharedDevice,
    Notifications,
}

/// Through which channel a Shared iPad takes a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnSharedIpad {
    /// The device's channel, possibly the user's too.
    Device,
    /// Only the channel of the user who has signed in.
    User,
    /// Not at all.
    Never,
}

impl Payload {
    /// The kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Restrictions(_) => Kind::Restrictions,
            Self::Wifi(_) => Kind::Wifi,
            Self::RootCertificate(_) => Kind::RootCertificate,
            Self::Certificate(_) => Kind::Certificate,
            Self::Scep(_) => Kind::Scep,
            Self::Mdm(_) => Kind::Mdm,
            Self::AppLock(_) => Kind::AppLock,
            Self::HomeScreen(_) => Kind::HomeScreen,
            Self::WebClip(_) => Kind::WebClip,
            Self::AirPrint(_) => Kind::AirPrint,
            Self::Dns(_) => Kind::Dns,
            Self::WebFilter(_) => Kind::WebFilter,
            Self::Passcode(_) => Kind::Passcode,
            Self::SharedDevice(_) => Kind::SharedDevice,
            Self::Notifications(_) => Kind::Notifications,
        }
    }

    /// The password in it, if it has one.
    pub(crate) fn secret(&mut self) -> Option<&mut Secret> {
        match self {
            Self::Wifi(wifi) => wifi.secret(),
            Self::Scep(scep) => Some(&mut scep.challenge),
            _ => None,
        }
    }

    /// The parts of the same profile that this payload names.
    pub fn references(&self) -> Vec<&PartName> {
        match self {
            Self::Wifi(wifi) => wifi.references(),
            Self::Mdm(mdm) => mdm.references(),
            _ => Vec::new(),
        }
    }

    /// The keys of the payload without those that every payload has.
    pub(super) fn content(&self, resolve: Resolve<'_>) -> Result<Dictionary, ProfileError> {
        match self {
            Self::Restrictions(payload) => payload.content(),
            Self::Wifi(payload) => payload.content(resolve),
            Self::RootCertificate(payload) | Self::Certificate(payload) => Ok(payload.content()),
            Self::Scep(payload) => Ok(payload.content()),
            Self::Mdm(payload) => payload.content(resolve),
            Self::AppLock(payload) => payload.content(),
            Self::HomeScreen(payload) => super::flat(payload),
            Self::WebClip(payload) => Ok(payload.content()),
            Self::AirPrint(payload) => super::flat(payload),
            Self::Dns(payload) => Ok(payload.content()),
            Self::WebFilter(payload) => Ok(payload.content()),
            Self::Passcode(payload) => super::flat(payload),
            Self::SharedDevice(payload) => super::flat(payload),
            Self::Notifications(payload) => super::flat(payload),
        }
    }
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 15] = [
        Self::Restrictions,
        Self::Wifi,
        Self::RootCertificate,
        Self::Certificate,
        Self::Scep,
        Self::Mdm,
        Self::AppLock,
        Self::HomeScreen,
        Self::WebClip,
        Self::AirPrint,
        Self::Dns,
        Self::WebFilter,
        Self::Passcode,
        Self::SharedDevice,
        Self::Notifications,
    ];

    /// Apple's `PayloadType`.
    pub fn payload_type(self) -> &'static str {
        self.facts().payload_type
    }

    /// The name in Apple's words.
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// The name in words of a school.
    pub fn title_in(self, language: Language) -> &'static str {
        let german = match self {
            Self::Restrictions => "Einschränkungen",
            Self::Wifi => "WLAN",
            Self::RootCertificate | Self::Certificate => "Zertifikat",
            Self::Scep => "Zertifikat des iPads",
            Self::Mdm => "Verwaltung",
            Self::AppLock => "Nur eine App",
            Self::HomeScreen => "Home-Bildschirm",
            Self::WebClip => "Web-Lesezeichen",
            Self::AirPrint => "Drucker",
            Self::Dns => "Verschlüsseltes DNS",
            Self::WebFilter => "Web-Filter",
            Self::Passcode => "Code",
            Self::SharedDevice => "Sperrbildschirm",
            Self::Notifications => "Mitteilungen",
        };
        match language {
            Language::De => german,
            Language::En => self.title(),
        }
    }

    /// Whether a device gets at most one. Apple forbids a second for some; of others (restrictions, passcode, name
    /// resolution, web filter) a second would be legal, and what the two mean together is nowhere defined.
    pub fn single(self) -> bool {
        self.facts().single
    }

    /// The first version of iOS that knows it.
    pub fn since(self) -> OsVersion {
        self.facts().since
    }

    /// Whether only supervised devices accept it.
    pub fn supervised(self) -> bool {
        self.facts().supervised
    }

    /// Through which channel a Shared iPad takes it.
    pub fn on_shared_ipad(self) -> OnSharedIpad {
        self.facts().on_shared_ipad
    }

    #[rustfmt::skip]
    fn facts(self) -> Facts {
        use OnSharedIpad::{Device, Never, User};
        let row = |payload_type, title, single, (major, minor), supervised, on_shared_ipad| Facts {
            payload_type, title, single, since: OsVersion::new(major, minor, 0), supervised, on_shared_ipad,
        };
        match self {
            Self::Restrictions => row("com.apple.applicationaccess", "Restrictions", true, (4, 0), false, Device),
            Self::Wifi => row("com.apple.wifi.managed", "Wi-Fi", false, (4, 0), false, Device),
            Self::RootCertificate => row("com.apple.security.root", "Root certificate", false, (4, 0), false, Device),
            Self::Certificate => row("com.apple.security.pkcs1", "Certificate", false, (4, 0), false, Device),
            Self::Scep => row("com.apple.security.scep", "Device identity", false, (4, 0), false, Device),
            Self::Mdm => row("com.apple.mdm", "Device management", true, (4, 0), false, Device),
            Self::AppLock => row("com.apple.app.lock", "App lock", true, (6, 0), true, Device),
            Self::HomeScreen => row("com.apple.homescreenlayout", "Home screen", true, (9, 3), true, Device),
            Self::WebClip => row("com.apple.webClip.managed", "Web clip", false, (4, 0), false, User),
            Self::AirPrint => row("com.apple.airprint", "Printers", false, (7, 0), false, Device),
            Self::Dns => row("com.apple.dnsSettings.managed", "Encrypted DNS", true, (14, 0), false, Device),
            Self::WebFilter => row("com.apple.webcontent-filter", "Web filter", true, (7, 0), false, Device),
            Self::Passcode => row("com.apple.mobiledevice.passwordpolicy", "Passcode", true, (4, 0), false, Never),
            Self::SharedDevice => row("com.apple.shareddeviceconfiguration", "Lock screen", true, (9, 3), true, Device),
            Self::Notifications => row("com.apple.notificationsettings", "Notifications", true, (9, 3), true, Device),
        }
    }
}

struct Facts {
    payload_type: &'static str,
    title: &'static str,
    single: bool,
    since: OsVersion,
    supervised: bool,
    on_shared_ipad: OnSharedIpad,
}
