//! The texts about the WLAN.

use inventory::wlan::{Kind, Method, Refusal, Then, Verdict, Who};

use super::Texts;
use crate::lang::Lang;

texts! {
    /// The texts about the WLAN of one language.
    WlanTexts;

    title: "WLAN", "WLAN";
    intro: "Wer sich mit seinem Schulkonto, einem Zertifikat, einem Gutschein oder einem eigenen Schlüssel anmeldet, kommt nach diesen Regeln ins WLAN. Die erste Regel, die passt, gilt.", "Whoever signs in with the school account, a certificate, a voucher or a key of its own joins the WLAN by these rules. The first rule that fits holds.";
    not_running: "Damit der Server antwortet, braucht seine Konfiguration den Abschnitt [radius] und das Debian-Paket freeradius.", "For the server to answer, its configuration needs the section [radius], and the Debian package freeradius.";
    rules: "Regeln", "Rules";
    no_rules: "Ohne Regel kommt niemand ins WLAN.", "Without a rule nobody joins the WLAN.";
    for_whom: "Für wen", "For whom";
    what: "Was gilt", "What holds";
    up: "Nach oben", "Up";
    down: "Nach unten", "Down";
    remove: "Entfernen", "Remove";
    add_rule: "Regel hinzufügen", "Add a rule";
    name_hint: "Anmeldename oder Gerätename, wenn die Regel für eine Person oder ein Gerät gilt", "Sign-in name or device name, if the rule is about one person or device";
    one: "Eine Person oder ein Gerät", "One person or device";
    vlan: "VLAN-Nummer (leer: das Netz des Access Points)", "VLAN number (empty: the access point's network)";
    refuse: "Abweisen", "Turn away";
    from: "Täglich von", "Daily from";
    until: "bis", "until";
    devices_max: "Höchstens so viele eigene Geräte je Person", "At most so many own devices per person";
    ends: "Gilt bis einschließlich (leer: immer)", "Holds up to and including (empty: always)";
    settings: "Netz", "Network";
    ssid: "Name des WLANs (SSID)", "Name of the WLAN (SSID)";
    peap: "Auch ein eigenes WLAN-Kennwort zulassen (PEAP)", "Also allow a password that is for the WLAN alone (PEAP)";
    peap_hint: "Nur für Geräte, die nichts Besseres können: Das Verfahren ist schwach. Das Schulkennwort wird dabei nie benutzt.", "Only for devices that can do nothing better: the method is weak. It never takes the school password.";
    foresee: "Was würde geschehen?", "What would happen?";
    foresee_hint: "Anmeldename oder Gerätename", "Sign-in name or device name";
    ask: "Nachsehen", "Look";
    stations: "Jetzt und zuletzt im WLAN", "On the WLAN now and lately";
    no_stations: "Noch war niemand im WLAN.", "Nobody joined the WLAN yet.";
    who: "Wer", "Who";
    card: "Hardware-Adresse", "Hardware address";
    place: "Wo", "Where";
    proof: "Angemeldet mit", "Joined by";
    online: "da", "there";
    offline: "weg", "gone";
    forget: "Vergessen", "Forget";
    refusals: "Zuletzt abgewiesen", "Turned away lately";
    no_refusals: "In der letzten Woche wurde niemand abgewiesen.", "Nobody was turned away within the last week.";
    why: "Warum", "Why";
    when: "Wann", "When";
    access_points: "Access Points", "Access Points";
    access_points_intro: "Jeder Access Point steht hier mit seiner Adresse. Sein Geheimnis und die übrigen Werte trägt man auf seiner Seite ein.", "Each access point stands here with its address. Its secret and the other values are entered on its own page.";
    no_access_points: "Noch ist kein Access Point eingetragen.", "No access point is entered yet.";
    add_access_point: "Access Point eintragen", "Enter an access point";
    address: "Adresse, oder Netz von mehreren mit demselben Geheimnis", "Address, or the network of several that share a secret";
    room: "Raum", "Room";
    no_room: "kein Raum", "no room";
    last_asked: "Zuletzt gefragt", "Asked last";
    change: "Ändern", "Change";
    show_secret: "Werte und Geheimnis", "Values and secret";
    new_secret: "Neues Geheimnis", "New secret";
    values: "Diese Werte trägt man im Access Point ein", "Enter these values in the access point";
    security: "Sicherheit", "Security";
    server: "RADIUS-Server", "RADIUS server";
    auth_port: "Port für Anmeldung", "Port for authentication";
    accounting_port: "Port für Accounting", "Port for accounting";
    secret: "Geheimnis (Shared Secret)", "Shared secret";
    dynamic_vlan: "Dynamisches VLAN (RADIUS assigned VLAN)", "Dynamic VLAN (RADIUS assigned VLAN)";
    on: "ein", "on";
    hostapd: "Datei für hostapd", "File for hostapd";
    openwrt: "Befehle für OpenWrt", "Commands for OpenWrt";
    vouchers: "WLAN für Gäste", "WLAN for guests";
    vouchers_intro: "Ein Gast meldet sich im WLAN mit dem Namen gast und dem Code an (Verfahren TTLS mit PAP).", "A guest joins the WLAN with the name guest and the code (method TTLS with PAP).";
    no_vouchers: "Es gibt keine Gutscheine.", "There are no vouchers.";
    make_voucher: "Gutschein ausstellen", "Make a voucher";
    note: "Für wen", "For whom";
    devices: "Geräte", "Devices";
    last_day: "Gilt bis einschließlich", "Holds up to and including";
    code: "Code", "Code";
    code_shown: "Der Code wird nur jetzt angezeigt.", "The code is shown only now.";
    end_now: "Beenden", "End";
    over: "abgelaufen", "over";
    made_by: "Ausgestellt von", "Made by";
    own: "Mein WLAN", "My WLAN";
    own_intro: "So kommen eigene Geräte ins WLAN: Profil herunterladen, öffnen, Schulkennwort eingeben.", "How own devices join the WLAN: download the profile, open it, give the school password.";
    own_apple: "Profil für iPhone, iPad und Mac", "Profile for iPhone, iPad and Mac";
    own_windows: "Profil für Windows", "Profile for Windows";
    own_windows_hint: "Zuerst das Zertifikat der Schule unter „Vertrauenswürdige Stammzertifizierungsstellen“ importieren, dann in der Eingabeaufforderung: netsh wlan add profile filename=wlan.xml", "First import the school's certificate into \u{201c}Trusted Root Certification Authorities\u{201d}, then at the command prompt: netsh wlan add profile filename=wlan.xml";
    own_ca: "Zertifikat der Schule", "The school's certificate";
    own_other: "Android, Linux und andere", "Android, Linux and others";
    method: "EAP-Methode", "EAP method";
    inner: "Phase 2", "Phase 2";
    domain: "Domain", "Domain";
    identity: "Identität", "Identity";
    anonymous: "Anonyme Identität", "Anonymous identity";
    ca_certificate: "CA-Zertifikat", "CA certificate";
    own_devices: "Meine Geräte im WLAN", "My devices on the WLAN";
    no_own_devices: "Noch war keines deiner Geräte im WLAN.", "None of your devices joined the WLAN yet.";
    wifi_password: "Eigenes WLAN-Kennwort", "Password for the WLAN alone";
    wifi_password_hint: "Nur für Geräte, die sich nicht anders anmelden können (PEAP). Es öffnet nichts anderes.", "Only for devices that cannot join otherwise (PEAP). It opens nothing else.";
    make: "Erzeugen", "Make";
    make_anew: "Neues erzeugen", "Make a new one";
    shown_once: "Es wird nur jetzt angezeigt.", "It is shown only now.";
    device_key: "WLAN-Schlüssel", "WLAN key";
    device_key_hint: "Für Drucker, Tafeln und andere Geräte ohne Konto: Der Access Point fragt nach dem Gerät und verlangt diesen Schlüssel (WPA2-PSK mit RADIUS).", "For printers, boards and other devices without an account: the access point asks about the device and demands this key (WPA2-PSK with RADIUS).";
}

impl WlanTexts {
    fn pick(&self, de: impl Into<String>, en: impl Into<String>) -> String {
        if self.lang == Lang::De { de.into() } else { en.into() }
    }

    /// Whom a rule is about; `name` is what a class, person or device is called.
    pub(crate) fn whom(&self, who: Who, name: Option<&str>) -> String {
        let name = name.unwrap_or("?");
        match who {
            Who::Everyone => self.pick("alle", "everybody"),
            Who::Role(role) => Texts::of(self.lang).role(role).to_owned(),
            Who::Group(_) | Who::User(_) | Who::Device(_) => name.to_owned(),
            Who::Exam => self.pick("wer gerade eine Klausur schreibt", "whoever sits an exam"),
            Who::Ipads => self.pick("verwaltete iPads", "managed iPads"),
            Who::Pcs => self.pick("verwaltete PCs", "managed PCs"),
            Who::Appliances => self.pick("Drucker, Tafeln (eigener Schlüssel)", "printers, boards (own key)"),
            Who::Guests => self.pick("Gäste mit Gutschein", "guests with a voucher"),
        }
    }

    /// What a rule says.
    pub(crate) fn then(&self, then: Then) -> String {
        match then {
            Then::Refuse => self.pick("werden abgewiesen", "are turned away"),
            Then::Join { vlan: None } => self.pick("dürfen ins WLAN", "may join"),
            Then::Join { vlan: Some(vlan) } => {
                let number = vlan.number();
                self.pick(format!("dürfen ins WLAN, VLAN {number}"), format!("may join, VLAN {number}"))
            }
        }
    }

    /// The limits of a rule.
    pub(crate) fn hours(&self, from: &str, until: &str) -> String {
        self.pick(format!("{from} bis {until} Uhr"), format!("{from} to {until}"))
    }

    pub(crate) fn at_most(&self, devices: u8) -> String {
        self.pick(format!("höchstens {devices} eigene Geräte"), format!("at most {devices} own devices"))
    }

    pub(crate) fn ends_at(&self, time: &str) -> String {
        self.pick(format!("bis {time}"), format!("until {time}"))
    }

    /// How somebody proved who they are.
    pub(crate) fn method(&self, method: Method) -> String {
        match method {
            Method::Certificate => self.pick("Zertifikat", "certificate"),
            Method::Password => self.pick("Konto oder Gutschein", "account or voucher"),
            Method::WifiPassword => self.pick("WLAN-Kennwort", "WLAN password"),
            Method::DeviceKey => self.pick("eigener Schlüssel", "own key"),
        }
    }

    /// What somebody would join as.
    pub(crate) fn kind(&self, kind: Kind) -> String {
        match kind {
            Kind::Person(role) => Texts::of(self.lang).role(role).to_owned(),
            Kind::Ipad => "iPad".to_owned(),
            Kind::Pc => "PC".to_owned(),
            Kind::Appliance => self.pick("Gerät mit eigenem Schlüssel", "device with a key of its own"),
            Kind::Guest { .. } => self.pick("Gast", "guest"),
        }
    }

    /// What would happen.
    pub(crate) fn verdict(&self, verdict: Verdict) -> String {
        match verdict {
            Verdict::Join { vlan: None, .. } => self.pick("darf ins WLAN", "may join"),
            Verdict::Join { vlan: Some(vlan), .. } => {
                let number = vlan.number();
                self.pick(format!("darf ins WLAN, VLAN {number}"), format!("may join, VLAN {number}"))
            }
            Verdict::Refuse(why) => self.pick(
                format!("wird abgewiesen: {}", self.refusal(why)),
                format!("is turned away: {}", self.refusal(why)),
            ),
        }
    }

    pub(crate) fn by_rule(&self, number: usize) -> String {
        self.pick(format!("nach Regel {number}"), format!("by rule {number}"))
    }

    /// Why somebody is turned away, and what to do.
    pub(crate) fn refusal(&self, why: Refusal) -> String {
        match why {
            Refusal::Unknown => self.pick(
                "weder Konto noch Zertifikat, Schlüssel oder Gutschein sind bekannt",
                "no such account, certificate, key or voucher",
            ),
            Refusal::WrongPassword => {
                self.pick("Name oder Kennwort stimmt nicht", "name or password is wrong")
            }
            Refusal::TooManyTries => self.pick(
                "zu viele falsche Kennwörter, fünf Minuten warten und das gespeicherte Kennwort am Gerät berichtigen",
                "too many wrong passwords; wait five minutes and correct the password stored on the device",
            ),
            Refusal::Deactivated => self.pick("das Konto ist stillgelegt", "the account is deactivated"),
            Refusal::Revoked => self.pick(
                "das Zertifikat ist gesperrt, das Gerät neu aufnehmen",
                "the certificate was revoked; enrol the device again",
            ),
            Refusal::Ended => {
                self.pick("Zertifikat oder Gutschein ist abgelaufen", "the certificate or voucher is over")
            }
            Refusal::MethodOff => self.pick(
                "dieses Verfahren (PEAP) ist abgeschaltet, das Profil von „Mein WLAN“ benutzen",
                "this method (PEAP) is switched off; use the profile of \u{201c}My WLAN\u{201d}",
            ),
            Refusal::ByRule => self.pick("eine Regel weist ab", "a rule says so"),
            Refusal::OutOfHours(_) => self.pick("nicht um diese Zeit", "not at this time of day"),
            Refusal::TooManyDevices { max } => self.pick(
                format!("schon {max} Geräte, eines unter „Mein WLAN“ vergessen lassen"),
                format!("{max} devices already; have one forgotten under \u{201c}My WLAN\u{201d}"),
            ),
            Refusal::NoRule => self.pick("keine Regel passt", "no rule fits"),
            Refusal::NotAgreed => self.pick(
                "das Gerät traut dem Server nicht oder zeigt ein fremdes Zertifikat, das Profil neu laden",
                "the device does not trust the server or shows a foreign certificate; load the profile again",
            ),
        }
    }
}

impl Texts {
    /// The texts about the WLAN, for templates.
    pub(crate) fn wlan(&self) -> &'static WlanTexts {
        WlanTexts::of(self.lang)
    }
}
