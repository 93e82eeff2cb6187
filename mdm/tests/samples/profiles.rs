//! One of everything, filled, and the minimal forms of what has optional keys.

use mdm::catalogue::{Kind, Restriction, Setting};
use mdm::declarative::{
    AppInstall, AppLicense, AppSource, Asset, AutomaticAction, Desired, DesiredApp, DesiredProfile,
    EnforcedUpdate, Organization, RecommendedCadence, StatusItem, UpdateSettings,
};
use mdm::os::OsVersion;
use mdm::profile::{
    AirPrint, AlertType, AppLock, AppLockOptions, AppNotifications, Certificate, Dns, DnsTransport, Eap,
    Enrolment, FolderIcon, HomeScreen, Icon, InnerAuthentication, LockedUserOptions, Notifications, Part,
    Passcode, PasswordMethod, Payload, Printer, Profile, Restrictions, Scep, ServerCapability, SharedDevice,
    WebClip, WebFilter, Wifi, WifiSecurity, WifiStandard,
};
use mdm::values::{Blob, Secret, Within};
use std::str::FromStr;
use uuid::Uuid;

/// Parses a value that is known to be good.
pub(crate) fn p<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn profiles() -> Vec<Profile> {
    vec![
        profile("de.schule.network", network()),
        profile("de.schule.rules", vec![part("rules", Payload::Restrictions(every_restriction()))]),
        profile("de.schule.screen", screen()),
        profile("de.schule.small", small()),
        enrolment().into_profile().unwrap(),
        Enrolment { pin_ca: true, locked: true, ..enrolment() }.into_profile().unwrap(),
        Enrolment { account: Some(p("lea@schule.example")), ..enrolment() }.into_profile().unwrap(),
    ]
}

pub(crate) fn profile(identifier: &str, parts: Vec<Part>) -> Profile {
    Profile {
        identifier: p(identifier),
        title: p("Schulregeln"),
        organization: p("Schule am See"),
        description: Some(p("Gilt für alle iPads der Schule.")),
        locked: true,
        removed_at: None,
        parts,
    }
}

pub(crate) fn part(name: &str, payload: Payload) -> Part {
    Part { name: p(name), title: None, payload }
}

pub(crate) fn scep() -> Scep {
    Scep {
        url: p("https://mdm.schule.de/scep"),
        ca_name: Some(p("Hausmeister")),
        subject: vec![("O".into(), "Schule am See".into()), ("CN".into(), "4711".into())],
        challenge: Secret::new("einmal".to_owned()),
        ca_fingerprint: Some(Blob::from(vec![7; 20])),
    }
}

pub(crate) fn enrolment() -> Enrolment {
    Enrolment {
        identifier: p("de.schule.mdm"),
        organization: p("Schule am See"),
        topic: p("com.apple.mgmt.External.4711"),
        server_url: p("https://mdm.schule.de/connect"),
        check_in_url: p("https://mdm.schule.de/checkin"),
        scep: Scep { ca_name: None, ca_fingerprint: None, ..scep() },
        ca: Blob::from(vec![0x30, 0x82]),
        pin_ca: false,
        capabilities: vec![ServerCapability::PerUserConnections, ServerCapability::Token],
        locked: false,
        account: None,
    }
}

pub(crate) fn wifi(ssid: &str, security: WifiSecurity) -> Payload {
    Payload::Wifi(Wifi { ssid: p(ssid), hidden: false, auto_join: true, own_address: true, security })
}

fn network() -> Vec<Part> {
    let enterprise = |eap| WifiSecurity::Enterprise {
        standard: WifiStandard::Wpa2,
        eap,
        server_names: vec![p("radius.schule.de")],
        anchors: vec![p("ca")],
    };
    let password = |method| Eap::Password {
        method,
        user_name: Some("ipad".into()),
        password: Some(Secret::new("geheim".to_owned())),
        outer_identity: Some("anonymous".into()),
    };
    let ttls = PasswordMethod::Ttls(InnerAuthentication::Pap);
    let psk =
        WifiSecurity::Password { standard: WifiStandard::Wpa3, password: Secret::new("geheim12".to_owned()) };
    vec![
        part("wifi-tls", wifi("Schule", enterprise(Eap::Tls { identity: p("identity") }))),
        part("ca", Payload::RootCertificate(Certificate { der: vec![1, 2, 3].into() })),
        part("intermediate", Payload::Certificate(Certificate { der: vec![4].into() })),
        part("identity", Payload::Scep(scep())),
        part("wifi-ttls", wifi("Schule 2", enterprise(password(ttls)))),
        part("wifi-peap", wifi("Schule 3", enterprise(password(PasswordMethod::Peap)))),
        part("wifi-psk", wifi("Aula", psk)),
        part("wifi-open", wifi("Gäste", WifiSecurity::Open)),
        part("printers", Payload::AirPrint(AirPrint { printers: vec![printer(Some(631)), printer(None)] })),
        part(
            "dns",
            Payload::Dns(Dns {
                transport: DnsTransport::Https(p("https://dns.schule.de/dns-query")),
                addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
                domains: vec![p("*.schule.de")],
                only_in: vec![p("Schule")],
                locked: true,
            }),
        ),
        part(
            "filter",
            Payload::WebFilter(WebFilter {
                automatic: true,
                permitted: [p("https://schule.de")].into(),
                denied: [p("https://example.com")].into(),
                only: Some([(p("https://schule.de"), p("Schule"))].into()),
            }),
        ),
    ]
}

fn printer(port: Option<u16>) -> Printer {
    Printer { address: p("10.0.3.9"), path: p("ipp/print"), port, tls: true }
}

fn screen() -> Vec<Part> {
    let app = |id: &str| Icon::App { app: p(id) };
    let folder = Icon::Folder {
        name: p("Mathe"),
        pages: vec![vec![
            FolderIcon::App { app: p("com.apple.calculator") },
            FolderIcon::WebClip { url: p("https://schule.de") },
        ]],
    };
    let lock = AppLock {
        app: p("com.apple.mobilesafari"),
        options: AppLockOptions { disable_auto_lock: true, ..AppLockOptions::default() },
        user_options: LockedUserOptions { zoom: true, ..LockedUserOptions::default() },
    };
    let notifications = AppNotifications {
        app: p("com.apple.MobileSMS"),
        notifications_enabled: false,
        show_in_notification_center: false,
        show_in_lock_screen: false,
        badges_enabled: true,
        sounds_enabled: false,
        alert_type: AlertType::Banner,
    };
    let clip = WebClip {
        url: p("https://schule.de/plan"),
        label: p("Vertretungsplan"),
        icon: Some(Blob::from(vec![0x89, b'P', b'N', b'G'])),
        removable: false,
        full_screen: true,
    };
    vec![
        part("lock", Payload::AppLock(lock)),
        part(
            "home",
            Payload::HomeScreen(HomeScreen {
                dock: vec![app("com.apple.mobilesafari")],
                pages: vec![vec![folder, Icon::WebClip { url: p("https://schule.de/plan") }]],
            }),
        ),
        part("clip", Payload::WebClip(clip)),
        part("notify", Payload::Notifications(Notifications { notification_settings: vec![notifications] })),
        part(
            "lock-screen",
            Payload::SharedDevice(SharedDevice {
                asset_tag: Some(p("iPad 12")),
                footnote: Some(p("Raum 103")),
            }),
        ),
        part(
            "passcode",
            Payload::Passcode(Passcode {
                required: true,
                allow_simple: false,
                require_alphanumeric: false,
                min_length: Some(within(6)),
                lock_after_minutes: Some(within(5)),
                grace_minutes: Some(within(1)),
                erase_after_attempts: Some(within(11)),
                max_age_days: Some(within(365)),
                history: Some(within(5)),
            }),
        ),
    ]
}

fn small() -> Vec<Part> {
    let dns = Dns {
        transport: DnsTransport::Tls(p("dns.schule.de")),
        addresses: Vec::new(),
        domains: Vec::new(),
        only_in: Vec::new(),
        locked: false,
    };
    let clip = WebClip {
        url: p("http://schule.de"),
        label: p("Schule"),
        icon: None,
        removable: true,
        full_screen: false,
    };
    let anyone = Eap::Password {
        method: PasswordMethod::Ttls(InnerAuthentication::MsChapV2),
        user_name: None,
        password: None,
        outer_identity: None,
    };
    let security = WifiSecurity::Enterprise {
        standard: WifiStandard::Wpa2,
        eap: anyone,
        server_names: Vec::new(),
        anchors: Vec::new(),
    };
    vec![
        part("dns", Payload::Dns(dns)),
        part("clip", Payload::WebClip(clip)),
        part("filter", Payload::WebFilter(WebFilter::default())),
        part("passcode", Payload::Passcode(Passcode::default())),
        part("lock-screen", Payload::SharedDevice(SharedDevice::default())),
        part("rules", Payload::Restrictions(Restrictions::new())),
        part("wifi", wifi("Schule", security)),
    ]
}

pub(crate) fn within<const MIN: u16, const MAX: u16>(value: u16) -> Within<MIN, MAX> {
    value.try_into().unwrap()
}

/// Every restriction with a value of its type.
pub(crate) fn every_restriction() -> Restrictions {
    let mut out = Restrictions::new();
    for restriction in Restriction::all() {
        let value = match restriction.kind {
            Kind::Bool { default } => Setting::Bool(!default),
            Kind::Int { max, .. } => Setting::Int(max),
            Kind::Real { choices } => Setting::Real(choices[0]),
            Kind::Choice { choices } => Setting::Text(choices[0].into()),
            Kind::List => Setting::List(["com.apple.calculator".into()].into()),
        };
        out.set(restriction.key, value).unwrap();
    }
    out
}

pub(crate) fn desired() -> Desired {
    let app = |source| DesiredApp { source, install: AppInstall::Required, in_backup: false, when: None };
    Desired {
        profiles: vec![
            desired_profile("rules", 1, None),
            desired_profile("pencil", 2, Some("(@status(device.model.family) == \"iPad\")")),
        ],
        apps: vec![
            app(AppSource::Store(409_183_694, AppLicense::Device)),
            DesiredApp {
                install: AppInstall::Optional,
                ..app(AppSource::Bundle(p("com.apple.Keynote"), AppLicense::User))
            },
            app(AppSource::Manifest(p("https://mdm.schule.de/apps/schule.plist"))),
            app(AppSource::Bundle(p(&format!("de.{}", "x".repeat(100))), AppLicense::Device)),
        ],
        update: Some(EnforcedUpdate {
            version: OsVersion::new(18, 2, 0),
            build: Some(p("22C152")),
            deadline: "2026-12-04T16:05:00".parse().unwrap(),
            details: Some(p("https://schule.de/update")),
        }),
        update_settings: Some(UpdateSettings {
            notifications: Some(true),
            defer_days: Some(within(14)),
            cadence: Some(RecommendedCadence::Oldest),
            download: Some(AutomaticAction::AlwaysOn),
            install: Some(AutomaticAction::AlwaysOff),
        }),
        status: StatusItem::standard(),
        organization: Some(Organization {
            name: p("Schule am See"),
            email: Some(p("it@schule.de")),
            url: Some(p("https://schule.de")),
        }),
        assets: vec![Asset {
            name: p("logo"),
            url: p("https://mdm.schule.de/assets/logo"),
            content_type: p("image/png"),
            size: 4,
            sha256: p(&"0".repeat(64)),
        }],
    }
}

pub(crate) fn desired_profile(name: &str, version: u128, when: Option<&str>) -> DesiredProfile {
    DesiredProfile {
        name: p(name),
        url: p(&format!("https://mdm.schule.de/profiles/{name}")),
        version: Uuid::from_u128(version),
        when: when.map(p),
    }
}
