//! Every text of the pages, in both languages side by side: a text without its translation does not compile.
//!
//! Texts with something inside are functions further below; a `match` over the language keeps those complete.

use inventory::Level;
use inventory::gate::{Cause, Layer};

use crate::lang::Lang;

macro_rules! texts {
    ($($(#[$doc:meta])* $key:ident: $de:literal, $en:literal;)*) => {
        /// The texts of one language.
        pub(crate) struct Texts {
            lang: Lang,
            $($(#[$doc])* pub(crate) $key: &'static str,)*
        }

        static DE: Texts = Texts { lang: Lang::De, $($key: $de,)* };
        static EN: Texts = Texts { lang: Lang::En, $($key: $en,)* };

        /// Both forms of every text, for the tests.
        #[cfg(test)]
        pub(crate) const PAIRS: &[(&str, &str)] = &[$(($de, $en),)*];
    };
}

texts! {
    // Frame.
    skip: "Zum Inhalt", "Skip to content";
    menu: "Menü", "Menu";
    sign_in: "Anmelden", "Sign in";
    sign_out: "Abmelden", "Sign out";
    stale: "Die Seite hat sich inzwischen geändert.", "The page has changed meanwhile.";
    reload: "Neu laden", "Reload";
    to_overview: "Zur Übersicht", "To the overview";
    back: "Zurück", "Back";
    save: "Speichern", "Save";
    add: "Anlegen", "Add";
    delete: "Löschen", "Delete";
    delete_confirm: "Endgültig löschen", "Delete for good";
    clear: "Aufheben", "Clear";
    show: "Anzeigen", "Show";
    not_saved: "Nichts gespeichert: Bitte die markierten Felder berichtigen.", "Nothing saved: please mend the marked fields.";

    // Menu and headings.
    overview: "Übersicht", "Overview";
    waiting_list: "Warteliste", "Waiting list";
    devices: "Geräte", "Devices";
    rooms: "Räume", "Rooms";
    images: "Images", "Images";
    jobs: "Aufträge", "Jobs";
    networks: "Netze", "Networks";
    changes: "Verlauf", "History";

    // Lessons.
    my_room: "Mein Raum", "My room";
    my_classes: "Meine Klassen", "My classes";
    lessons: "Unterricht", "Lessons";
    classes: "Klassen", "Classes";
    status: "Status", "Status";
    internet: "Internet", "Internet";
    level_on: "An", "On";
    level_filtered: "Gefiltert", "Filtered";
    level_allow_list: "Nur Freigabeliste", "Allow list only";
    level_off: "Aus", "Off";
    level_unknown: "unbekannt", "unknown";
    level_pending: "wird umgestellt …", "changing …";
    how_long: "Wie lange?", "For how long?";
    minutes_short: "Min.", "min";
    whole_day: "ganzer Tag", "whole day";
    back_to_normal: "Zurück zum Normalzustand", "Back to normal";
    seats: "Plätze", "Seats";
    no_seats: "Hier gibt es noch keine Geräte.", "There are no devices here yet.";
    lock: "Sperren", "Lock";
    unlock: "Freigeben", "Unlock";
    take_back: "Ausnahme aufheben", "Take exception back";
    takes_over: "Eine Änderung hier löst das ab.", "A change here takes over.";
    is_staff: "Lehrkraft: von Raum und Klasse unberührt", "Staff: untouched by room and class";
    room_unknown: "Dieses Gerät ist keinem Raum zugeordnet. Welcher Raum ist es?", "This device belongs to no room. Which room is it?";
    list_for_allow: "Freigabeliste", "Allow list";
    no_classes: "Ihnen ist noch keine Klasse zugeordnet. Die Schuladministration kann das tun.", "No class is assigned to you yet. The school's admin can do that.";
    other_rooms: "Andere Räume", "Other rooms";
    other_classes: "Andere Klassen", "Other classes";
    said_ended: "Es gilt wieder der Normalzustand.", "Back to normal.";
    not_guarded: "Hausmeister regelt das Internet hier nicht", "Hausmeister does not rule the internet here";
    guard_hint: "Nur wenn dieser Server das Gateway des Netzes ist: was dort gilt, solange Raum, Klasse oder Lehrkraft nichts anderes sagen.", "Only if this server is the network's gateway: what holds there while room, class or teacher say nothing else.";
    ordinary_times: "Zu gewöhnlichen Zeiten", "At ordinary times";
    nat: "Adressen des Netzes hinter der des Servers verbergen (NAT)", "Hide the network's addresses behind the server's (NAT)";
    room_says: "Vorgabe des Raums", "What the room says";
    room_says_nothing: "keine: was Klasse oder Netz sagen", "nothing: what class or network say";
    who_controls: "Wer darf hier schalten?", "Who may switch here?";
    control_nobody: "Niemand", "Nobody";
    control_inside: "Lehrkräfte, die im Raum sind", "Teachers who are in the room";
    control_teachers: "Alle Lehrkräfte", "All teachers";
    control_admins: "Nur die Schuladministration", "Admins only";
    have_i_internet: "Habe ich Internet?", "Do I have internet?";
    device_unknown: "Dieses Gerät ist der Schule nicht bekannt: Es darf, was im Netz für Unbekannte gilt. Die Schuladministration kann es aufnehmen.", "The school does not know this device: it may do what the network lets strangers do. The school's admin can add it.";

    // Exams.
    exams: "Klausur", "Exam";
    exam_new: "Neue Klausur", "New exam";
    exam_hint: "Wer mitschreibt, erreicht nur noch die Freigabeliste. Offene Verbindungen enden sofort, keine Freigabe für Raum oder Klasse kommt dagegen an, und am Ende gilt von selbst wieder der Normalzustand.", "Whoever sits it reaches nothing but the allow list. Open connections end at once, no setting of a room or class prevails, and at the end everything is back to normal by itself.";
    exam_name: "Name der Klausur", "Name of the exam";
    exam_example: "z. B. Mathematik 7b", "e.g. Maths 7b";
    exam_names: "… oder diese Namen erlauben, einer je Zeile", "… or allow these names, one a line";
    exam_begin: "Klausur jetzt beginnen", "Begin the exam now";
    exam_not_begun: "Die Klausur hat nicht begonnen: Bitte das Markierte berichtigen.", "The exam has not begun: please mend what is marked.";
    exam_runs: "läuft", "running";
    exam_over: "beendet", "over";
    exam_present: "dabei", "present";
    exam_absent: "nicht dabei", "absent";
    exam_gone: "nicht mehr da", "gone";
    exam_end: "Klausur jetzt beenden", "End the exam now";
    exam_end_hint: "Alle bekommen sofort zurück, was sonst gilt.", "Everybody gets back at once what holds otherwise.";
    said_exam_begun: "Die Klausur läuft.", "The exam is on.";
    said_exam_ended: "Die Klausur ist beendet.", "The exam has ended.";
    rooms_and_classes: "Räume und Klassen", "Rooms and classes";
    begun_by: "Begonnen von", "Begun by";
    ended_by: "Vorzeitig beendet von", "Ended early by";
    begins: "Beginn", "Begin";
    ends: "Ende", "End";
    only_always: "nur, was immer erreichbar ist", "only what is always reachable";
    protocol: "Protokoll", "Protocol";
    protocol_hint: "Abgewiesen werden auch Programme, die im Hintergrund ins Netz wollen. „Umgehung“ zählt verschlüsseltes DNS und VPN. Welche Seiten jemand wollte, wird nicht festgehalten.", "Programs in the background are turned away, too. \"Ways around\" counts encrypted DNS and VPN. Which pages somebody wanted is not recorded.";
    protocol_empty: "Noch nichts: Der erste Eintrag erscheint nach wenigen Sekunden.", "Nothing yet: the first entry appears within seconds.";
    refused: "Abgewiesen", "Turned away";
    dodged: "Umgehung", "Ways around";

    // Sign-in.
    user_name: "Name", "Name";
    password: "Kennwort", "Password";
    signed_out: "Abgemeldet.", "Signed out.";
    nobody_yet: "Es gibt noch kein Konto. Auf dem Server legt „hausmeister init“ das erste an.", "There is no account yet. On the server, \"hausmeister init\" adds the first one.";
    certificate_hint: "Warnt der Browser vor dieser Seite, kennt er die Zertifikatsstelle der Schule noch nicht:", "If the browser warns of this page, it does not know the school's certificate authority yet:";
    certificate_link: "Zertifikat laden", "get its certificate";

    // Overview.
    notices: "Hinweise", "Notices";
    all_in_order: "Alles in Ordnung: Kein Dienst meldet ein Problem.", "All in order: no daemon reports a problem.";
    row_unusable: "Ein Eintrag der Datenbank ist nicht brauchbar; alles andere läuft weiter.", "An entry of the database cannot be used; everything else goes on.";
    running_jobs: "Laufende Aufträge", "Running jobs";
    tile_waiting: "PCs warten", "PCs waiting";
    tile_devices: "Geräte", "devices";
    tile_on: "eingeschaltet", "switched on";
    tile_jobs: "offene Aufträge", "open jobs";
    tile_images: "Images", "images";

    // Addresses that nothing explains.
    strays: "Unerklärte Adressen", "Unexplained addresses";
    strays_intro: "Diese Adressen sind in Gebrauch, ohne dass eine Lease oder Reservierung sie erklärt. Wer sie benutzt, darf nur, was das Netz Unbekannten erlaubt.", "These addresses are in use, and no lease and no reservation explains them. Whoever uses them may do only what the network lets strangers do.";
    strays_remedy: "Hat ein Gerät eine fest eingestellte Adresse, reservieren Sie sie auf der Seite des Geräts für seine Karte, oder stellen Sie das Gerät auf automatische Adressen (DHCP). Gehört die Karte oder die Adresse einem anderen Gerät, gibt sich vielleicht jemand als dieses aus: Sehen Sie nach, wo es steht.", "If a device has an address that was typed in, reserve it for its card on the device's page, or set the device to automatic addresses (DHCP). If card or address belong to another device, somebody may give themselves out as it: look where it is.";
    strays_none: "Jede Adresse ist erklärt.", "Every address is explained.";
    first_seen: "zuerst gesehen:", "first seen:";
    last_seen_at: "zuletzt gesehen:", "last seen:";
    look_at_them: "Ansehen", "Look at them";

    // Waiting list.
    waiting_intro: "Diese PCs haben über das Netz gestartet und sind noch nicht freigegeben. Die sechs Ziffern müssen dieselben sein wie auf dem Bildschirm des PCs.", "These PCs booted from the network and are not approved yet. The six digits must be the same as on the PC's screen.";
    waiting_none: "Kein PC wartet. Ein unbekannter PC erscheint hier von selbst, sobald er über das Netz startet.", "No PC is waiting. An unknown PC appears here by itself as soon as it boots from the network.";
    code: "Code", "Code";
    unknown_model: "Unbekanntes Modell", "Unknown model";
    since: "Wartet seit", "Waiting since";
    new_room: "Neuer Raum", "New room";
    new_room_option: "– neuer Raum –", "– new room –";
    new_room_example: "z. B. Raum 204", "e.g. Room 204";
    name_automatic: "leer: nächster Name im Raum", "empty: next name in the room";
    image_at_once: "Image sofort aufspielen", "Image to deploy at once";
    no_image: "– keines –", "– none –";
    replace_device: "Vorhandenes Gerät ersetzen", "Replace a known device";
    replace_none: "– nein, neues Gerät –", "– no, a new device –";
    replace_hint: "Nur wenn es wirklich derselbe PC ist, zum Beispiel nach einem Plattentausch. Der alte Schlüssel gilt danach nicht mehr.", "Only if it really is the same PC, for example after its disk was swapped. The old key is void afterwards.";
    same_serial: "gleiche Seriennummer", "same serial number";
    same_uuid: "gleiche Geräte-UUID", "same system UUID";
    same_card: "gleiche Netzwerkkarte", "same network card";
    approve: "Freigeben", "Approve";
    reject: "Ablehnen", "Reject";
    rejected: "Abgelehnt", "Rejected";
    forget: "Wieder zulassen", "Allow again";
    forget_hint: "Ein abgelehnter PC bekommt nichts. „Wieder zulassen“ streicht ihn; startet er noch einmal über das Netz, erscheint er wieder oben.", "A rejected PC gets nothing. \"Allow again\" removes it; when it boots from the network once more, it appears above.";
    said_rejected: "Der PC wurde abgelehnt.", "The PC was rejected.";
    said_forgotten: "Der PC darf sich wieder melden.", "The PC may come again.";

    // Columns and facts.
    name: "Name", "Name";
    room: "Raum", "Room";
    device: "Gerät", "Device";
    state: "Zustand", "State";
    image: "Image", "Image";
    address: "Adresse", "Address";
    last_seen: "Zuletzt gesehen", "Last seen";
    action: "Aktion", "Action";
    model: "Modell", "Model";
    serial: "Seriennummer", "Serial number";
    system_uuid: "Geräte-UUID", "System UUID";
    cards: "Netzwerkkarten", "Network cards";
    disks: "Festplatten", "Disks";
    disk: "Platte", "Disk";
    removable: "wechselbar", "removable";
    processor: "Prozessor", "Processor";
    memory: "Arbeitsspeicher", "Memory";
    firmware: "Firmware", "Firmware";
    hardware: "Hardware", "Hardware";
    created: "Angelegt", "Created";
    took: "Dauer", "Took";

    // Devices.
    search: "Suche", "Search";
    search_example: "Name, MAC, Adresse, Seriennummer", "name, MAC, address, serial number";
    all_rooms: "alle Räume", "all rooms";
    clear_filter: "Filter aufheben", "Clear the filter";
    devices_none: "Noch kein Gerät. Einen PC über das Netz starten und freigeben:", "No device yet. Boot a PC from the network and approve it:";
    devices_no_match: "Kein Gerät passt zu Suche und Raum.", "No device matches search and room.";
    state_expected: "noch nicht freigegeben", "not approved yet";
    state_job_waits: "Auftrag wartet", "job waits";
    state_deploying: "wird bespielt", "being deployed";
    state_capturing: "wird aufgenommen", "being captured";
    state_failed: "Auftrag gescheitert", "job failed";
    state_in_boot: "an, Netzstart", "on, network boot";
    state_on: "an", "on";
    state_off: "aus", "off";
    image_current: "aktuell", "current";
    image_missing: "nicht aufgespielt", "not deployed";

    // One device.
    desired: "Soll", "Desired";
    observed: "Ist", "Observed";
    desired_image: "Image, das es haben soll", "Image it should have";
    runs: "Läuft", "Running";
    runs_boot: "Netzstart-Umgebung", "boot environment";
    runs_installed: "installiertes System", "installed system";
    reported_name: "Eigener Rechnername", "Own host name";
    system: "Betriebssystem", "Operating system";
    kernel: "Kernel", "Kernel";
    agent: "Agent", "Agent";
    written_disk: "Bespielte Platte", "Deployed disk";
    key: "Schlüssel", "Key";
    never_seen: "Das Gerät hat sich noch nie gemeldet.", "The device never reported.";
    not_approved_hint: "Noch kein PC wurde als dieses Gerät freigegeben; Aufträge gehen erst danach.", "No PC was approved as this device yet; jobs need that first.";
    fixed_address: "Feste Adresse", "Fixed address";
    from_pool: "aus dem Adressbereich", "from the pool";
    no_cards: "Keine Netzwerkkarte bekannt.", "No network card known.";
    lan: "LAN", "LAN";
    wlan: "WLAN", "WLAN";
    deploy_now: "Image aufspielen", "Deploy an image";
    deploy_erases: "Alles auf der Platte dieses Geräts wird gelöscht, auch Dateien, die dort jemand gespeichert hat. Das lässt sich nicht rückgängig machen.", "Everything on this device's disk will be erased, also files that somebody saved there. This cannot be undone.";
    deploy_disk_choice: "Beschrieben wird die Platte, die schon einmal bespielt wurde, sonst die einzige eingebaute. Wechselbare Datenträger bleiben unberührt.", "The disk that was deployed before is written, else the only built-in one. Removable media stay untouched.";
    deploy_no_image: "Es gibt noch kein Image mit einer Version. Zuerst einen eingerichteten PC aufnehmen.", "There is no image with a version yet. Capture a prepared PC first.";
    deploy_confirm: "Platte löschen und aufspielen", "Erase the disk and deploy";
    capture_now: "Als Image aufnehmen", "Capture as an image";
    capture_intro: "Die Platte wird gelesen und als neue Version im Image-Speicher abgelegt; auf dem PC ändert sich nichts. Der PC startet dazu neu über das Netz. Persönliche Daten vorher entfernen: Alles auf der Platte kommt ins Image.", "The disk is read and stored as a new version; nothing changes on the PC, which restarts from the network for it. Remove personal data before: everything on the disk becomes part of the image.";
    capture_name_hint: "Ein vorhandener Name bekommt eine neue Version, ein neuer Name wird ein neues Image.", "A known name gets a new version, a new name becomes a new image.";
    capture_confirm: "Aufnehmen", "Capture";
    image_name: "Name des Images", "Name of the image";
    said_saved: "Gespeichert.", "Saved.";
    said_reserved: "Die feste Adresse gilt ab der nächsten DHCP-Anfrage des Geräts.", "The fixed address holds from the device's next DHCP request on.";
    said_unreserved: "Die feste Adresse ist aufgehoben.", "The fixed address is cleared.";
    said_job: "Der Auftrag ist angelegt; er beginnt, sobald der PC über das Netz startet.", "The job is queued; it begins as soon as the PC boots from the network.";
    cancel_job: "Auftrag abbrechen", "Cancel the job";
    cancel: "Abbrechen", "Cancel";
    said_cancelled: "Der Auftrag ist abgebrochen.", "The job is cancelled.";

    // Rooms.
    rooms_none: "Noch kein Raum.", "No room yet.";
    rename: "Umbenennen", "Rename";
    room_in_use: "hat Geräte", "has devices";

    // Images.
    images_intro: "Ein Image ist der Inhalt der Platte eines eingerichteten PCs. Neue Versionen entstehen auf der Seite eines Geräts mit „Als Image aufnehmen“.", "An image is the content of a prepared PC's disk. New versions are made on a device's page with \"Capture as an image\".";
    images_none: "Noch kein Image.", "No image yet.";
    image_empty: "Noch keine Version; die erste Aufnahme läuft oder ist gescheitert.", "No version yet; the first capture runs or failed.";
    version: "Version", "Version";
    size: "Belegt", "In use";
    manifest: "Manifest", "Manifest";

    // Jobs.
    job: "Auftrag", "Job";
    jobs_none: "Noch kein Auftrag.", "No job yet.";
    job_queued: "wartet auf den PC", "waits for the PC";
    job_running: "läuft", "running";
    job_done: "fertig", "done";
    job_failed: "gescheitert", "failed";
    job_cancelled: "abgebrochen", "cancelled";
    phase_start: "Beginn", "Starting";
    phase_prepare: "Vorbereiten", "Preparing";
    phase_write: "Aufspielen", "Writing";
    phase_read: "Lesen", "Reading";
    phase_personalise: "Anpassen", "Personalising";
    phase_finish: "Abschließen", "Finishing";

    // Networks.
    networks_intro: "In diesen Netzen vergibt der Server Adressen und sagt PCs, was sie starten sollen.", "In these networks the server gives addresses and tells PCs what to boot.";
    networks_none: "Noch kein Netz: Kein PC bekommt von uns eine Adresse.", "No network yet: no PC gets an address from us.";
    network: "Netz", "Network";
    router: "Router", "Router";
    pool: "Adressbereich", "Pool";
    pool_first: "Erste Adresse des Bereichs", "First address of the pool";
    pool_last: "Letzte Adresse des Bereichs", "Last address of the pool";
    lease: "Lease-Dauer", "Lease time";
    lease_minutes: "Lease-Dauer in Minuten", "Lease time in minutes";
    mode: "DHCP", "DHCP";
    mode_server: "Unser Server vergibt Adressen", "Our server gives addresses";
    mode_proxy: "Ein anderer Server vergibt Adressen; unserer sagt nur, was zu starten ist (ProxyDHCP)", "Another server gives addresses; ours only says what to boot (ProxyDHCP)";
    mode_off: "Aus: Unser Server schweigt in diesem Netz", "Off: our server says nothing in this network";
    mode_server_short: "Server", "server";
    mode_proxy_short: "ProxyDHCP", "ProxyDHCP";
    mode_off_short: "aus", "off";
    add_network: "Netz anlegen", "Add a network";
    network_delete_consequence: "Unser Server vergibt dann in diesem Netz keine Adressen mehr. Geräte behalten ihre bis zum Ende der Lease-Dauer.", "Our server then gives no addresses in this network any more. Devices keep theirs until the lease ends.";

    // History.
    changes_intro: "Wer was wann geändert hat. Fortschritt von Aufträgen und Meldungen der Geräte sind weggelassen.", "Who changed what and when. Progress of jobs and reports of devices are left out.";
    changes_none: "Noch keine Änderung.", "No change yet.";
    time: "Zeit", "Time";
    who: "Wer", "Who";
    what: "Was", "What";
    subject: "Woran", "Subject";
    older: "Ältere", "Older";
}

impl Texts {
    /// The texts of a language.
    pub(crate) fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::De => &DE,
            Lang::En => &EN,
        }
    }

    pub(crate) fn shown_of(&self, shown: usize, total: &usize) -> String {
        match self.lang {
            Lang::De if shown == *total => count(*total, "Gerät", "Geräte"),
            Lang::De => format!("{shown} von {}", count(*total, "Gerät", "Geräten")),
            Lang::En if shown == *total => count(*total, "device", "devices"),
            Lang::En => format!("{shown} of {}", count(*total, "device", "devices")),
        }
    }

    pub(crate) fn room_line(&self, on: usize, total: usize) -> String {
        match self.lang {
            Lang::De => format!("{on} von {total} an"),
            Lang::En => format!("{on} of {total} on"),
        }
    }

    pub(crate) fn image_used_by(&self, devices: &usize) -> String {
        match self.lang {
            Lang::De => format!("Soll auf {} sein.", count(*devices, "Gerät", "Geräten")),
            Lang::En => format!("Wanted on {}.", count(*devices, "device", "devices")),
        }
    }

    pub(crate) fn image_behind(&self, version: i64) -> String {
        match self.lang {
            Lang::De => format!("hat v{version}"),
            Lang::En => format!("has v{version}"),
        }
    }

    pub(crate) fn recognised(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("Dieser PC scheint das angekündigte Gerät {name} zu sein."),
            Lang::En => format!("This PC seems to be the announced device {name}."),
        }
    }

    pub(crate) fn said_approved(&self, name: &str, room: &str, job: bool) -> String {
        match (self.lang, job) {
            (Lang::De, false) => format!("{name} ({room}) ist freigegeben."),
            (Lang::De, true) => format!("{name} ({room}) ist freigegeben; das Image wird aufgespielt."),
            (Lang::En, false) => format!("{name} ({room}) is approved."),
            (Lang::En, true) => format!("{name} ({room}) is approved; the image is being deployed."),
        }
    }

    pub(crate) fn said_created(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("„{name}“ ist angelegt."),
            Lang::En => format!("\"{name}\" is added."),
        }
    }

    pub(crate) fn said_deleted(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("„{name}“ ist gelöscht."),
            Lang::En => format!("\"{name}\" is deleted."),
        }
    }

    /// A level of the gate.
    pub(crate) fn level(&self, level: Level) -> &'static str {
        match level {
            Level::On => self.level_on,
            Level::Filtered => self.level_filtered,
            Level::AllowList => self.level_allow_list,
            Level::Off => self.level_off,
        }
    }

    pub(crate) fn said_level(&self, level: &str, until: &str) -> String {
        match self.lang {
            Lang::De => format!("Internet: {level} bis {until} Uhr."),
            Lang::En => format!("Internet: {level} until {until}."),
        }
    }

    /// What somebody set; `until` may be empty.
    pub(crate) fn set_by(&self, level: &str, until: &str, who: &str) -> String {
        match (self.lang, until) {
            (Lang::De, "") => format!("{level}, gesetzt von {who}."),
            (Lang::De, until) => format!("{level} bis {until} Uhr, gesetzt von {who}."),
            (Lang::En, "") => format!("{level}, set by {who}."),
            (Lang::En, until) => format!("{level} until {until}, set by {who}."),
        }
    }

    pub(crate) fn until_bell(&self, end: &str, lesson: Option<u8>) -> String {
        match (self.lang, lesson) {
            (Lang::De, Some(number)) => format!("bis Ende der {number}. Stunde ({end})"),
            (Lang::De, None) => format!("eine Stunde lang ({end})"),
            (Lang::En, Some(number)) => format!("until the end of lesson {number} ({end})"),
            (Lang::En, None) => format!("for one lesson ({end})"),
        }
    }

    pub(crate) fn longer(&self, minutes: &str) -> String {
        match self.lang {
            Lang::De => format!("{minutes} Min. länger"),
            Lang::En => format!("{minutes} min longer"),
        }
    }

    pub(crate) fn said_exam_prolonged(&self, until: &str) -> String {
        match self.lang {
            Lang::De => format!("Die Klausur dauert jetzt bis {until} Uhr."),
            Lang::En => format!("The exam now lasts until {until}."),
        }
    }

    pub(crate) fn exam_summary(&self, present: usize, absent: usize, dodged: usize) -> String {
        match self.lang {
            Lang::De => format!("{present} dabei, {absent} nicht dabei, {dodged} mit Umgehungsversuch"),
            Lang::En => format!("{present} present, {absent} absent, {dodged} tried a way around"),
        }
    }

    /// Why a level holds, and until when.
    pub(crate) fn cause(&self, cause: Cause, until: Option<&str>) -> String {
        let (de, en) = match cause {
            Cause::Rule(_, Layer::Exam) => ("Klausur", "Exam"),
            Cause::Rule(_, Layer::Lock) => ("Sperre dieses Geräts", "Lock of this device"),
            Cause::Rule(_, Layer::Grant) => ("von der Lehrkraft gesetzt", "set by the teacher"),
            Cause::Rule(_, Layer::Timetable) => ("Stundenplan", "Timetable"),
            Cause::Room(_) => ("Vorgabe des Raums", "What the room says"),
            Cause::Group(_) => ("Vorgabe der Klasse", "What the class says"),
            Cause::Network => ("Vorgabe des Netzes", "What the network says"),
        };
        match (self.lang, until) {
            (Lang::De, Some(until)) => format!("{de}, bis {until} Uhr"),
            (Lang::De, None) => de.into(),
            (Lang::En, Some(until)) => format!("{en}, until {until}"),
            (Lang::En, None) => en.into(),
        }
    }

    /// A pair of addresses that nothing explains, with the devices that card and address belong to.
    pub(crate) fn stray(
        &self,
        ip: &str,
        mac: &str,
        card_of: Option<&str>,
        address_of: Option<&str>,
    ) -> String {
        let (de, en) = match (card_of, address_of) {
            (None, None) => (String::new(), String::new()),
            (Some(card), None) => (format!(" von {card}"), format!(" of {card}")),
            (None, Some(address)) => {
                (format!("; die Adresse gehört {address}"), format!("; the address is {address}'s"))
            }
            (Some(card), Some(address)) => (
                format!(" von {card}; die Adresse gehört {address}"),
                format!(" of {card}; the address is {address}'s"),
            ),
        };
        match self.lang {
            Lang::De => format!("{ip} benutzt die Karte {mac}{de}; keine Lease erklärt es."),
            Lang::En => format!("{ip} uses the card {mac}{en}; no lease explains it."),
        }
    }

    pub(crate) fn strays_seen(&self, n: usize) -> String {
        match self.lang {
            Lang::De => {
                count(n, "Adresse ist in Gebrauch, die", "Adressen sind in Gebrauch, die")
                    + " keine Lease erklärt"
            }
            Lang::En => count(n, "address is", "addresses are") + " in use that no lease explains",
        }
    }

    pub(crate) fn new_name_of(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("Neuer Name für {name}"),
            Lang::En => format!("New name of {name}"),
        }
    }

    pub(crate) fn deploy_title(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("Image auf {name} aufspielen?"),
            Lang::En => format!("Deploy an image to {name}?"),
        }
    }

    pub(crate) fn capture_title(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("{name} als Image aufnehmen"),
            Lang::En => format!("Capture {name} as an image"),
        }
    }

    pub(crate) fn delete_title(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("{name} löschen?"),
            Lang::En => format!("Delete {name}?"),
        }
    }

    pub(crate) fn device_delete_consequence(&self, room: &str) -> String {
        match self.lang {
            Lang::De => format!(
                "Das Gerät in {room} wird mit seinen Aufträgen und festen Adressen vergessen. Seine Platte bleibt, wie sie ist; startet der PC über das Netz, erscheint er wieder auf der Warteliste."
            ),
            Lang::En => format!(
                "The device in {room} is forgotten with its jobs and fixed addresses. Its disk stays as it is; when the PC boots from the network, it appears on the waiting list again."
            ),
        }
    }

    pub(crate) fn image_delete_consequence(&self, versions: usize, devices: usize) -> String {
        match self.lang {
            Lang::De => format!(
                "{} und die Aufträge damit werden gelöscht; {} danach kein Image mehr haben. Das lässt sich nicht rückgängig machen.",
                count(versions, "Version", "Versionen"),
                match devices {
                    1 => "1 Gerät soll".to_owned(),
                    n => format!("{n} Geräte sollen"),
                }
            ),
            Lang::En => format!(
                "{} and the jobs with it are deleted; {} will not be meant to have an image any more. This cannot be undone.",
                count(versions, "version", "versions"),
                count(devices, "device", "devices")
            ),
        }
    }

    pub(crate) fn job_deploy(&self, image: &str, version: Option<i64>) -> String {
        let version = version.map(|v| format!(" v{v}")).unwrap_or_default();
        match self.lang {
            Lang::De => format!("Image „{image}“{version} aufspielen"),
            Lang::En => format!("Deploy image \"{image}\"{version}"),
        }
    }

    pub(crate) fn job_capture(&self, image: &str) -> String {
        match self.lang {
            Lang::De => format!("Als Image „{image}“ aufnehmen"),
            Lang::En => format!("Capture as image \"{image}\""),
        }
    }

    pub(crate) fn job_result(&self, version: i64, bytes: &str, transferred: &str) -> String {
        match self.lang {
            Lang::De => format!("v{version}, {bytes}, davon {transferred} übertragen"),
            Lang::En => format!("v{version}, {bytes}, {transferred} of it transferred"),
        }
    }

    pub(crate) fn of_total(&self, done: &str, total: &str) -> String {
        match self.lang {
            Lang::De => format!("{done} von {total}"),
            Lang::En => format!("{done} of {total}"),
        }
    }

    /// What a change of the log did to what. A word that is new to us is shown as it is.
    pub(crate) fn change(&self, entity: &str, action: &str) -> String {
        let word = |table: &[(&str, &'static str, &'static str)], word: &str| {
            let known = table.iter().find(|(key, _, _)| *key == word);
            known.map_or_else(
                || word.to_owned(),
                |(_, de, en)| match self.lang {
                    Lang::De => (*de).to_owned(),
                    Lang::En => (*en).to_owned(),
                },
            )
        };
        format!("{} {}", word(ENTITIES, entity), word(ACTIONS, action))
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}

const ENTITIES: &[(&str, &str, &str)] = &[
    ("room", "Raum", "Room"),
    ("device", "Gerät", "Device"),
    ("waiting", "Wartender PC", "Waiting PC"),
    ("network", "Netz", "Network"),
    ("image", "Image", "Image"),
    ("job", "Auftrag", "Job"),
    ("user", "Person", "Person"),
    ("notice", "Hinweise", "Notices"),
    ("stray", "Unerklärte Adressen", "Unexplained addresses"),
    ("rule", "Internetregel", "Internet rule"),
    ("gate", "Internetsperre", "Internet lock"),
    ("group", "Klasse", "Class"),
    ("lessons", "Stundenraster", "Lesson times"),
    ("list", "Namensliste", "List of names"),
    ("filter", "Filter", "Filter"),
    ("exam", "Klausur", "Exam"),
];

const ACTIONS: &[(&str, &str, &str)] = &[
    ("created", "angelegt", "added"),
    ("changed", "geändert", "changed"),
    ("deleted", "gelöscht", "deleted"),
    ("renamed", "umbenannt", "renamed"),
    ("saved", "gespeichert", "saved"),
    ("approved", "freigegeben", "approved"),
    ("rejected", "abgelehnt", "rejected"),
    ("forgotten", "wieder zugelassen", "allowed again"),
    ("arrived", "neu gemeldet", "arrived"),
    ("reserved", "geändert (feste Adresse)", "changed (fixed address)"),
    ("version added", "neue Version", "new version"),
    ("started", "begonnen", "started"),
    ("done", "fertig", "done"),
    ("failed", "gescheitert", "failed"),
    ("cancelled", "abgebrochen", "cancelled"),
    ("signed in", "angemeldet", "signed in"),
    ("seen", "gesehen", "seen"),
    ("confirmed", "vom Kernel bestätigt", "confirmed by the kernel"),
    ("ended", "beendet", "ended"),
    ("begun", "begonnen", "begun"),
    ("prolonged", "verlängert", "prolonged"),
    ("exam allow_list", "einer Klausur: nur Freigabeliste", "of an exam: allow list only"),
    ("exam ended", "einer Klausur beendet", "of an exam ended"),
    ("exam prolonged", "einer Klausur verlängert", "of an exam prolonged"),
    ("gate set", "geändert (Internet)", "changed (internet)"),
    ("owner set", "geändert (Besitz)", "changed (owner)"),
    ("visits", "gehört eine Zeit lang woandershin", "belongs elsewhere for a while"),
    ("went back", "gehört wieder in seinen Raum", "belongs to its room again"),
    ("grant on", "von einer Lehrkraft: an", "by a teacher: on"),
    ("grant filtered", "von einer Lehrkraft: gefiltert", "by a teacher: filtered"),
    ("grant allow_list", "von einer Lehrkraft: nur Freigabeliste", "by a teacher: allow list only"),
    ("grant off", "von einer Lehrkraft: aus", "by a teacher: off"),
    ("grant ended", "der Lehrkraft zurückgenommen", "of the teacher taken back"),
    ("password set", "Kennwort geändert", "password set"),
];
