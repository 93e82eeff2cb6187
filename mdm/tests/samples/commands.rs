//! One filled and one minimal sample of every command, and one of every setting.

use mdm::command::*;
use mdm::document::Data;
use mdm::secret::Secret;

/// Every command. A new variant of [`Command`] has no sample until it stands here, and the tests say so.
pub(crate) fn commands() -> Vec<Command> {
    [queries(), configuration(), applications(), lessons(), orders()].concat()
}

fn queries() -> Vec<Command> {
    let identifiers = || vec!["org.example.app".to_owned()];
    let items = AppItem::ALL.to_vec();
    vec![
        Command::DeviceInformation(DeviceInformation::inventory(false)),
        Command::DeviceInformation(DeviceInformation {
            queries: vec![DeviceQuery::DevicePropertiesAttestation],
            device_attestation_nonce: Some(Data::from(vec![7; 32])),
        }),
        Command::SecurityInfo,
        Command::ProfileList(ProfileList::default()),
        Command::ProfileList(ProfileList { managed_only: Some(true) }),
        Command::InstalledApplicationList(InstalledApplicationList::default()),
        Command::InstalledApplicationList(InstalledApplicationList {
            identifiers: Some(identifiers()),
            managed_apps_only: Some(true),
            items: Some(items),
        }),
        Command::ManagedApplicationList(ManagedApplicationList::default()),
        Command::ManagedApplicationList(ManagedApplicationList { identifiers: Some(identifiers()) }),
        Command::ManagedApplicationConfiguration(ManagedApplications { identifiers: identifiers() }),
        Command::ManagedApplicationAttributes(ManagedApplications { identifiers: identifiers() }),
        Command::ManagedApplicationFeedback(ManagedApplicationFeedback {
            identifiers: identifiers(),
            delete_feedback: Some(true),
        }),
        Command::CertificateList(CertificateList::default()),
        Command::CertificateList(CertificateList { managed_only: Some(false) }),
        Command::Restrictions(Restrictions::default()),
        Command::Restrictions(Restrictions { profile_restrictions: Some(true) }),
        Command::UserList,
        Command::ActivationLockBypassCode,
        Command::DeviceLocation,
    ]
}

fn configuration() -> Vec<Command> {
    vec![
        Command::InstallProfile(InstallProfile {
            identifier: "example.school.wifi".to_owned(),
            payload: Data::from(b"<plist/>".to_vec()),
        }),
        Command::RemoveProfile(RemoveProfile { identifier: "example.school.wifi".to_owned() }),
        Command::Settings(Settings { settings: Vec::new() }),
        Command::DeclarativeManagement(DeclarativeManagement::default()),
        Command::DeclarativeManagement(DeclarativeManagement { data: Some(Data::from(b"{}".to_vec())) }),
        Command::DeviceConfigured,
        Command::UserConfigured,
    ]
}

fn applications() -> Vec<Command> {
    vec![
        Command::InstallApplication(InstallApplication::licensed(361_309_726)),
        Command::InstallApplication(InstallApplication {
            app: AppSource::ManifestUrl("https://apps.school.example/a.plist".to_owned()),
            options: None,
            management_flags: Some(ManagementFlags::RemoveWithEnrolmentAndNoBackup),
            configuration: Some(app_configuration()),
            attributes: Some(app_attributes()),
            change_management_state: Some(ManagementState::Managed),
        }),
        Command::InstallApplication(InstallApplication {
            app: AppSource::Identifier("com.apple.mobilesafari".to_owned()),
            ..InstallApplication::licensed(0)
        }),
        Command::RemoveApplication(RemoveApplication { identifier: "org.example.app".to_owned() }),
        Command::ValidateApplications(ValidateApplications::default()),
        Command::ValidateApplications(ValidateApplications { identifiers: Some(vec!["a.b".to_owned()]) }),
        Command::InviteToProgram(InviteToProgram {
            program_id: Program::Purchases,
            invitation_url: "https://buy.itunes.apple.com/invitation".to_owned(),
        }),
    ]
}

fn lessons() -> Vec<Command> {
    vec![
        Command::DeviceLock(DeviceLock::default()),
        Command::DeviceLock(DeviceLock {
            message: Some("Bitte zuhören & hinsehen".to_owned()),
            phone_number: Some("+49 30 123".to_owned()),
        }),
        Command::RestartDevice,
        Command::ShutDownDevice,
        Command::RequestMirroring(RequestMirroring {
            destination: Destination::Name("Beamer 204".to_owned()),
            scan_time: None,
            password: None,
        }),
        Command::RequestMirroring(RequestMirroring {
            destination: Destination::Address("aa:bb:cc:dd:ee:ff".to_owned()),
            scan_time: ScanTime::try_from(10).ok(),
            password: Some(Secret::new("1234".to_owned())),
        }),
        Command::StopMirroring,
        Command::LogOutUser,
        Command::PlayLostModeSound,
    ]
}

fn orders() -> Vec<Command> {
    let lost = |message: Option<&str>, phone: Option<&str>| {
        EnableLostMode::new(message.map(str::to_owned), phone.map(str::to_owned), message.map(str::to_owned))
            .map(Command::EnableLostMode)
            .expect("there is something to show")
    };
    vec![
        Command::DeleteUser(DeleteUser {
            whom: DeletedUsers::UserName(Secret::new("pupil@school.example".to_owned())),
            force_deletion: Some(true),
        }),
        Command::DeleteUser(DeleteUser { whom: DeletedUsers::DeleteAllUsers(Yes), force_deletion: None }),
        Command::ClearPasscode(ClearPasscode { unlock_token: Data::from(vec![1, 2, 3]) }),
        Command::ClearRestrictionsPassword,
        Command::ClearActivationLockBypassCode,
        lost(Some("Property of the school"), None),
        lost(Some("Property of the school"), Some("+49 30 123")),
        lost(None, Some("+49 30 123")),
        Command::DisableLostMode,
        Command::EraseDevice(EraseDevice::default()),
        Command::EraseDevice(erase()),
    ]
}

/// Erasing with everything that can be said about it.
pub(crate) fn erase() -> EraseDevice {
    EraseDevice {
        preserve_data_plan: Some(true),
        disallow_proximity_setup: Some(true),
        return_to_service: Some(ReturnToService {
            enabled: Yes,
            wifi_profile: Some(Data::from(vec![1])),
            mdm_profile: Some(Data::from(vec![2])),
        }),
    }
}

/// Every setting, and whether only a Shared iPad takes it. The first is a wallpaper.
pub(crate) fn settings() -> Vec<(bool, Setting)> {
    let identifier = || "org.example.app".to_owned();
    vec![
        (false, Setting::Wallpaper { image: Data::from(vec![0x89]), r#where: WallpaperPlace::Both }),
        (false, Setting::Bluetooth { enabled: true }),
        (false, Setting::DataRoaming { enabled: false }),
        (false, Setting::PersonalHotspot { enabled: false }),
        (
            false,
            Setting::ApplicationConfiguration {
                identifier: identifier(),
                configuration: Some(app_configuration()),
            },
        ),
        (false, Setting::ApplicationConfiguration { identifier: identifier(), configuration: None }),
        (
            false,
            Setting::ApplicationAttributes { identifier: identifier(), attributes: Some(app_attributes()) },
        ),
        (false, Setting::ApplicationAttributes { identifier: identifier(), attributes: None }),
        (false, Setting::DeviceName { device_name: "7b-03".to_owned() }),
        (false, Setting::OrganizationInfo { organization_info: Some(organization()) }),
        (false, Setting::OrganizationInfo { organization_info: None }),
        (
            false,
            Setting::MdmOptions {
                options: MdmOptions { activation_lock_allowed_while_supervised: Some(false) },
            },
        ),
        (true, Setting::SharedDeviceConfiguration(SharedDeviceConfiguration::default())),
        (true, Setting::SharedDeviceConfiguration(shared())),
        (true, Setting::DiagnosticSubmission { enabled: false }),
        (true, Setting::AppAnalytics { enabled: false }),
        (false, Setting::TimeZone { time_zone: "Europe/Berlin".to_owned() }),
        (false, Setting::SoftwareUpdateSettings { recommendation_cadence: RecommendationCadence::Newest }),
        (false, Setting::AccessibilitySettings(AccessibilitySettings::default())),
        (false, Setting::AccessibilitySettings(accessibility())),
    ]
}

fn app_configuration() -> AppConfiguration {
    let keys = serde_json::json!({
        "server": "https://cloud.school.example",
        "retries": 3,
        "factor": 0.5,
        "key": {"$data": "AQID"},
        "until": {"$date": "2027-07-31T22:00:00Z"},
        "classes": ["7a", {"name": "7b"}],
    });
    AppConfiguration(keys.as_object().cloned().unwrap_or_default())
}

fn app_attributes() -> AppAttributes {
    AppAttributes {
        vpn_uuid: Some("1".to_owned()),
        content_filter_uuid: Some("2".to_owned()),
        dns_proxy_uuid: Some("3".to_owned()),
        relay_uuid: Some("4".to_owned()),
        associated_domains: Some(vec!["applinks:school.example".to_owned()]),
        associated_domains_enable_direct_downloads: Some(true),
        removable: Some(false),
        hideable: Some(false),
        lockable: Some(false),
    }
}

fn organization() -> OrganizationInfo {
    OrganizationInfo {
        organization_name: "Gymnasium am Beispiel".to_owned(),
        organization_short_name: Some("GaB".to_owned()),
        organization_address: Some("Schulstr. 1\n12345 Ort".to_owned()),
        organization_phone: Some("+49 30 123".to_owned()),
        organization_email: Some("it@school.example".to_owned()),
        organization_magic: Some("m".to_owned()),
    }
}

fn shared() -> SharedDeviceConfiguration {
    SharedDeviceConfiguration {
        quota_size: Some(2048),
        resident_users: Some(8),
        user_session_timeout: SessionTimeout::try_from(600).ok(),
        temporary_session_timeout: SessionTimeout::try_from(0).ok(),
        temporary_session_only: Some(true),
        managed_apple_id_default_domains: Some(vec!["school.example".to_owned()]),
        online_authentication_grace_period: Some(7),
        skip_language_and_locale_setup_for_new_users: Some(true),
        await_user_configuration: Some(AwaitUserConfiguration { enabled: true }),
        passcode_policy: Some(SharedPasscodePolicy {
            passcode_lock_grace_period: GracePeriod::try_from(300).ok(),
            auto_lock_time: AutoLockTime::try_from(120).ok(),
        }),
    }
}

fn accessibility() -> AccessibilitySettings {
    AccessibilitySettings {
        bold_text_enabled: Some(true),
        increase_contrast_enabled: Some(true),
        reduce_motion_enabled: Some(true),
        reduce_transparency_enabled: Some(true),
        text_size: TextSize::try_from(11).ok(),
        touch_accommodations_enabled: Some(true),
        voice_over_enabled: Some(true),
        zoom_enabled: Some(true),
    }
}
