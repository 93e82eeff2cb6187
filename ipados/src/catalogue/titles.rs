//! Titles and groups for the restrictions that a school works with, in German and English.
//!
//! A title of an `allow…` key names what is permitted, that of a `force…` key what is required, so that a switch beside it
//! reads right in both positions.

use super::Restriction;
use serde::{Deserialize, Serialize};

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// German.
    De,
    /// English.
    En,
}

/// The heading under which a restriction is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// Installing, removing and showing apps.
    Apps,
    /// Camera and pictures of the screen.
    Camera,
    /// AirDrop, AirPrint and AirPlay.
    Air,
    /// The browser.
    Safari,
    /// iCloud.
    Cloud,
    /// Accounts, passwords and managed data.
    Accounts,
    /// Wi-Fi, VPN and other connections.
    Network,
    /// Apple Classroom.
    Classroom,
    /// Apple Intelligence, Siri and the keyboard's help.
    Intelligence,
    /// The device itself.
    Device,
    /// Everything without a title of ours.
    Other,
}

impl Group {
    /// Every group, in the order of the page.
    pub const ALL: [Self; 11] = [
        Self::Apps,
        Self::Camera,
        Self::Air,
        Self::Safari,
        Self::Cloud,
        Self::Accounts,
        Self::Network,
        Self::Classroom,
        Self::Intelligence,
        Self::Device,
        Self::Other,
    ];

    /// The heading.
    pub fn title(self, language: Language) -> &'static str {
        let (de, en) = match self {
            Self::Apps => ("Apps", "Apps"),
            Self::Camera => ("Kamera und Bildschirm", "Camera and screen"),
            Self::Air => ("AirDrop, AirPrint, AirPlay", "AirDrop, AirPrint, AirPlay"),
            Self::Safari => ("Safari", "Safari"),
            Self::Cloud => ("iCloud", "iCloud"),
            Self::Accounts => ("Konten und Passwörter", "Accounts and passwords"),
            Self::Network => ("Netz", "Network"),
            Self::Classroom => ("Classroom", "Classroom"),
            Self::Intelligence => ("Intelligenz und Sprache", "Intelligence and language"),
            Self::Device => ("Gerät", "Device"),
            Self::Other => ("Weitere", "Others"),
        };
        language.of(de, en)
    }
}

impl Language {
    fn of(self, de: &'static str, en: &'static str) -> &'static str {
        match self {
            Self::De => de,
            Self::En => en,
        }
    }
}

impl Restriction {
    /// The heading under which this restriction is shown.
    pub fn group(&self) -> Group {
        entry(self.key).map_or(Group::Other, |entry| entry.1)
    }

    /// The title in words of the school, or Apple's English one.
    pub fn title_in(&self, language: Language) -> &'static str {
        entry(self.key).map_or(self.title, |entry| language.of(entry.2, entry.3))
    }
}

fn entry(key: &str) -> Option<&'static Entry> {
    TITLES.iter().find(|entry| entry.0 == key)
}

/// Key, group, German title, English title.
type Entry = (&'static str, Group, &'static str, &'static str);

#[rustfmt::skip]
const TITLES: &[Entry] = &[
    ("allowListedAppBundleIDs", Group::Apps, "Nur diese Apps zeigen", "Show only these apps"),
    ("blockedAppBundleIDs", Group::Apps, "Diese Apps sperren", "Block these apps"),
    ("autonomousSingleAppModePermittedAppIDs", Group::Apps, "Apps, die sich selbst sperren dürfen (Prüfungs-Apps)", "Apps that may lock themselves (assessment apps)"),
    ("allowAppInstallation", Group::Apps, "Apps installieren", "Install apps"),
    ("allowUIAppInstallation", Group::Apps, "App Store zeigen", "Show the App Store"),
    ("allowAppRemoval", Group::Apps, "Apps entfernen", "Remove apps"),
    ("allowSystemAppRemoval", Group::Apps, "Apps des Systems entfernen", "Remove system apps"),
    ("allowAutomaticAppDownloads", Group::Apps, "Apps anderer Geräte automatisch laden", "Download apps bought on other devices"),
    ("allowInAppPurchases", Group::Apps, "In-App-Käufe", "In-app purchases"),
    ("allowAppClips", Group::Apps, "App-Clips", "App Clips"),
    ("allowAppsToBeHidden", Group::Apps, "Apps ausblenden", "Hide apps"),
    ("allowAppsToBeLocked", Group::Apps, "Apps mit Face ID oder Touch ID sperren", "Lock apps with Face ID or Touch ID"),
    ("allowGameCenter", Group::Apps, "Game Center", "Game Center"),
    ("allowMusicService", Group::Apps, "Apple Music", "Apple Music"),
    ("allowNews", Group::Apps, "News", "News"),
    ("allowChat", Group::Apps, "iMessage", "iMessage"),
    ("allowVideoConferencing", Group::Apps, "FaceTime", "FaceTime"),
    ("ratingApps", Group::Apps, "Höchste Altersstufe der Apps", "Highest age rating of apps"),
    ("allowExplicitContent", Group::Apps, "Anstößige Musik und Podcasts", "Explicit music and podcasts"),

    ("allowCamera", Group::Camera, "Kamera benutzen", "Use the camera"),
    ("allowScreenShot", Group::Camera, "Bildschirmfotos und -aufnahmen", "Screenshots and recordings"),
    ("allowRemoteScreenObservation", Group::Camera, "Bildschirm durch Lehrkraft beobachten", "Screen observation by the teacher"),

    ("allowAirDrop", Group::Air, "AirDrop", "AirDrop"),
    ("forceAirDropUnmanaged", Group::Air, "AirDrop als nicht verwaltetes Ziel behandeln", "Treat AirDrop as an unmanaged destination"),
    ("allowAirPrint", Group::Air, "Drucken über AirPrint", "Print with AirPrint"),
    ("forceAirPlayOutgoingRequestsPairingPassword", Group::Air, "AirPlay nur mit Code", "AirPlay only with a code"),

    ("allowSafari", Group::Safari, "Safari", "Safari"),
    ("safariAllowAutoFill", Group::Safari, "Formulare ausfüllen", "Fill in forms"),
    ("safariAllowPopups", Group::Safari, "Pop-ups", "Pop-ups"),
    ("safariForceFraudWarning", Group::Safari, "Vor Betrug warnen", "Warn of fraud"),
    ("safariAcceptCookies", Group::Safari, "Cookies annehmen", "Accept cookies"),

    ("allowCloudBackup", Group::Cloud, "Backup in iCloud", "Backup to iCloud"),
    ("allowCloudDocumentSync", Group::Cloud, "Dokumente in iCloud", "Documents in iCloud"),
    ("allowCloudKeychainSync", Group::Cloud, "Schlüsselbund in iCloud", "Keychain in iCloud"),
    ("allowCloudPhotoLibrary", Group::Cloud, "Fotos in iCloud", "Photos in iCloud"),
    ("allowCloudPrivateRelay", Group::Cloud, "Privat-Relay (umgeht den Filter)", "Private Relay (bypasses the filter)"),
    ("allowManagedAppsCloudSync", Group::Cloud, "Daten verwalteter Apps in iCloud", "Data of managed apps in iCloud"),

    ("allowAccountModification", Group::Accounts, "Konten ändern", "Change accounts"),
    ("allowPasscodeModification", Group::Accounts, "Code ändern", "Change the passcode"),
    ("allowFingerprintModification", Group::Accounts, "Face ID und Touch ID ändern", "Change Face ID and Touch ID"),
    ("allowPasswordAutoFill", Group::Accounts, "Passwörter automatisch ausfüllen", "Fill in passwords"),
    ("allowPasswordSharing", Group::Accounts, "Passwörter teilen", "Share passwords"),
    ("allowOpenFromManagedToUnmanaged", Group::Accounts, "Schuldaten in privaten Apps öffnen", "Open school data in private apps"),
    ("allowOpenFromUnmanagedToManaged", Group::Accounts, "Private Daten in Schul-Apps öffnen", "Open private data in school apps"),
    ("requireManagedPasteboard", Group::Accounts, "Zwischenablage zwischen Schule und privat trennen", "Keep school and private clipboards apart"),

    ("forceWiFiToAllowedNetworksOnly", Group::Network, "Nur WLANs der Schule", "Only the school's Wi-Fi networks"),
    ("forceWiFiPowerOn", Group::Network, "WLAN bleibt an", "Wi-Fi stays on"),
    ("allowVPNCreation", Group::Network, "VPN einrichten", "Set up a VPN"),
    ("allowBluetoothModification", Group::Network, "Bluetooth ändern", "Change Bluetooth"),
    ("allowPersonalHotspotModification", Group::Network, "Persönlichen Hotspot ändern", "Change the personal hotspot"),
    ("allowUntrustedTLSPrompt", Group::Network, "Unbekannte Zertifikate annehmen", "Accept unknown certificates"),

    ("forceClassroomAutomaticallyJoinClasses", Group::Classroom, "Klassen ohne Rückfrage beitreten", "Join classes without asking"),
    ("forceClassroomRequestPermissionToLeaveClasses", Group::Classroom, "Klasse nur mit Erlaubnis verlassen", "Leave a class only with permission"),
    ("forceClassroomUnpromptedAppAndDeviceLock", Group::Classroom, "App und Gerät ohne Rückfrage sperren", "Lock app and device without asking"),
    ("forceClassroomUnpromptedScreenObservation", Group::Classroom, "Bildschirm ohne Rückfrage beobachten", "Observe the screen without asking"),

    ("allowWritingTools", Group::Intelligence, "Schreibwerkzeuge", "Writing Tools"),
    ("allowImagePlayground", Group::Intelligence, "Image Playground", "Image Playground"),
    ("allowGenmoji", Group::Intelligence, "Genmoji", "Genmoji"),
    ("allowMailSummary", Group::Intelligence, "Mails zusammenfassen", "Summarise mail"),
    ("allowAssistant", Group::Intelligence, "Siri", "Siri"),
    ("allowDictation", Group::Intelligence, "Diktieren", "Dictation"),
    ("allowAutoCorrection", Group::Intelligence, "Autokorrektur", "Autocorrection"),
    ("allowSpellCheck", Group::Intelligence, "Rechtschreibprüfung", "Spell check"),
    ("allowPredictiveKeyboard", Group::Intelligence, "Wortvorschläge", "Predictive text"),
    ("allowDefinitionLookup", Group::Intelligence, "Wörter nachschlagen", "Look up words"),
    ("allowKeyboardShortcuts", Group::Intelligence, "Tastenkürzel", "Keyboard shortcuts"),

    ("allowEraseContentAndSettings", Group::Device, "Gerät löschen", "Erase the device"),
    ("allowUIConfigurationProfileInstallation", Group::Device, "Profile von Hand installieren", "Install profiles by hand"),
    ("allowDeviceNameModification", Group::Device, "Gerät umbenennen", "Rename the device"),
    ("allowWallpaperModification", Group::Device, "Hintergrundbild ändern", "Change the wallpaper"),
    ("allowNotificationsModification", Group::Device, "Mitteilungen ändern", "Change notifications"),
    ("allowEnablingRestrictions", Group::Device, "Bildschirmzeit ändern", "Change Screen Time"),
    ("allowHostPairing", Group::Device, "Mit Computern koppeln", "Pair with computers"),
    ("allowUSBRestrictedMode", Group::Device, "USB-Zubehör gesperrt lassen, bis das Gerät entsperrt ist", "Keep USB accessories locked until the device is unlocked"),
    ("allowFilesUSBDriveAccess", Group::Device, "USB-Laufwerke in Dateien", "USB drives in Files"),
    ("allowProximitySetupToNewDevice", Group::Device, "Neue Geräte in der Nähe einrichten", "Set up new devices nearby"),
    ("forceAutomaticDateAndTime", Group::Device, "Uhrzeit automatisch stellen", "Set date and time automatically"),
    ("forceDelayedSoftwareUpdates", Group::Device, "Updates verzögern", "Delay updates"),
    ("enforcedSoftwareUpdateDelay", Group::Device, "Updates verzögern um (Tage)", "Delay updates by (days)"),
    ("allowSharedDeviceTemporarySession", Group::Device, "Als Gast anmelden (geteiltes iPad)", "Guest sessions (Shared iPad)"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_title_belongs_to_one_restriction_of_apples() {
        let keys: BTreeSet<_> = TITLES.iter().map(|entry| entry.0).collect();
        assert_eq!(keys.len(), TITLES.len(), "a key stands twice");
        for key in keys {
            assert!(Restriction::find(key).is_some(), "{key}");
        }
    }

    #[test]
    fn a_restriction_without_a_title_keeps_apples() {
        let restriction = Restriction::find("allowActivityContinuation").unwrap();
        assert_eq!(restriction.group(), Group::Other);
        assert_eq!(restriction.title_in(Language::De), "Allow Handoff");
        assert_eq!(Restriction::find("allowCamera").unwrap().title_in(Language::De), "Kamera benutzen");
    }
}
