//! Ready-made rules.

use crate::catalogue::Setting;
use crate::profile::{AppLock, AppLockOptions, LockedUserOptions, Part, Payload, Restrictions};
use crate::values::BundleId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Ready-made rules that a layer can take over.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// What every iPad of a school should obey: nobody gets around the network's filter, out of the management, or out of a
    /// class in Apple Classroom. Watching screens without asking is not part of it; a school has to want that itself.
    SchoolIpad,
    /// One app, and no way out of it.
    ExamOneApp(BundleId),
    /// A few apps, and no help from the keyboard, Siri, the cloud or neighbours.
    ExamApps(BTreeSet<BundleId>),
}

impl Preset {
    /// What an exam with these apps is on iPads: one app fills the screen, several are all that there is; without any, iPads stay as they are.
    pub fn of_exam(apps: &BTreeSet<BundleId>) -> Option<Self> {
        match apps.first() {
            Some(app) if apps.len() == 1 => Some(Self::ExamOneApp(app.clone())),
            Some(_) => Some(Self::ExamApps(apps.clone())),
            None => None,
        }
    }

    /// Its restrictions.
    pub fn restrictions(&self) -> Restrictions {
        let (off, on): (&[&str], &[&str]) = match self {
            Self::SchoolIpad => (SCHOOL_OFF, SCHOOL_ON),
            Self::ExamOneApp(_) | Self::ExamApps(_) => (EXAM_OFF, &[]),
        };
        let mut out = Restrictions::new();
        for (keys, value) in [(off, false), (on, true)] {
            for key in keys {
                // A test checks that every key of the tables is in the catalogue.
                let _ = out.set(key, Setting::Bool(value));
            }
        }
        if let Self::ExamApps(apps) = self {
            let apps = apps.iter().map(BundleId::to_string).collect();
            let _ = out.set("allowListedAppBundleIDs", Setting::List(apps));
        }
        out
    }

    /// Its payloads.
    pub fn parts(&self) -> Vec<Part> {
        let Self::ExamOneApp(app) = self else { return Vec::new() };
        let lock = AppLock {
            app: app.clone(),
            options: AppLockOptions::default(),
            // Pupils who need an aid to see may have it in an exam too.
            user_options: LockedUserOptions {
                voice_over: false,
                zoom: true,
                invert_colors: true,
                assistive_touch: true,
            },
        };
        "exam"
            .parse()
            .map(|name| Part { name, title: None, payload: Payload::AppLock(lock) })
            .into_iter()
            .collect()
    }
}

const SCHOOL_OFF: &[&str] = &[
    // Ways around the filter.
    "allowCloudPrivateRelay",
    "allowVPNCreation",
    "allowUntrustedTLSPrompt",
    // Ways out of the management.
    "allowAccountModification",
    "allowEnablingRestrictions",
    "allowEraseContentAndSettings",
    "allowProximitySetupToNewDevice",
    "allowUIConfigurationProfileInstallation",
    // Apps from elsewhere, and apps that disappear.
    "allowAppClips",
    "allowAppRemoval",
    "allowAppsToBeHidden",
    "allowAppsToBeLocked",
    "allowEnterpriseAppTrust",
    "allowInAppPurchases",
    "allowMarketplaceAppInstallation",
    "allowSystemAppRemoval",
    "allowWebDistributionAppInstallation",
    // Names and data.
    "allowApplePersonalizedAdvertising",
    "allowDeviceNameModification",
    "allowDiagnosticSubmission",
    "allowExplicitContent",
    "allowHostPairing",
];

const SCHOOL_ON: &[&str] = &[
    "forceAutomaticDateAndTime",
    "forceClassroomAutomaticallyJoinClasses",
    "forceClassroomRequestPermissionToLeaveClasses",
    "forceClassroomUnpromptedAppAndDeviceLock",
    "forceLimitAdTracking",
    "forceWiFiPowerOn",
];

const EXAM_OFF: &[&str] = &[
    // Help.
    "allowAssistant",
    "allowAutoCorrection",
    "allowDefinitionLookup",
    "allowDictation",
    "allowImagePlayground",
    "allowPredictiveKeyboard",
    "allowSpellCheck",
    "allowSpotlightInternetResults",
    "allowWritingTools",
    // Neighbours and other devices.
    "allowActivityContinuation",
    "allowAirDrop",
    "allowChat",
    "allowVideoConferencing",
    "allowFilesUSBDriveAccess",
    // Questions that leave the room.
    "allowCamera",
    "allowScreenShot",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_presets_is_in_the_catalogue() {
        assert_eq!(Preset::SchoolIpad.restrictions().iter().count(), SCHOOL_OFF.len() + SCHOOL_ON.len());
        let apps = Preset::ExamApps(["com.apple.calculator".parse().unwrap()].into());
        assert_eq!(apps.restrictions().iter().count(), EXAM_OFF.len() + 1);
        assert_eq!(Preset::ExamOneApp("com.apple.calculator".parse().unwrap()).parts().len(), 1);
    }
}
