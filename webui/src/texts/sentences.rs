//! Texts with something inside, in both languages.

use inventory::backup::BackupState;
use inventory::gate::{Cause, Layer};
use inventory::import::{Field, Form, Verdict};
use inventory::mdm::Action;
use inventory::night::NightState;
use inventory::{JobResult, Level, ListAction, Power, PowerState, Role, YouTube};

use super::Texts;
use crate::drift::ImageDrift;
use crate::lang::Lang;
use crate::rights::Right;
use crate::views::{Badge, percent};

impl Texts {
    pub(crate) fn shown_of(&self, shown: usize, total: &usize) -> String {
        match self.lang {
            Lang::De if shown == *total => count(*total, "Gerät", "Geräte"),
            Lang::De => format!("{shown} von {}", count(*total, "Gerät", "Geräten")),
            Lang::En if shown == *total => count(*total, "device", "devices"),
            Lang::En => format!("{shown} of {}", count(*total, "device", "devices")),
        }
    }

    pub(crate) fn people_count(&self, total: &usize) -> String {
        match self.lang {
            Lang::De => count(*total, "Person", "Personen"),
            Lang::En => count(*total, "person", "people"),
        }
    }

    /// A role.
    pub(crate) fn role(&self, role: Role) -> &'static str {
        match role {
            Role::SchoolAdmin => self.role_school_admin,
            Role::DeviceOfficer => self.role_device_officer,
            Role::HeadTeacher => self.role_head_teacher,
            Role::Teacher => self.role_teacher,
            Role::Secretary => self.role_secretary,
            Role::Pupil => self.role_pupil,
        }
    }

    /// What a right opens.
    pub(crate) fn right(&self, right: Right) -> &'static str {
        match right {
            Right::Own => self.own_password,
            Right::Lessons => self.right_lessons,
            Right::Devices => self.right_devices,
            Right::People => self.right_people,
            Right::School => self.right_school,
            Right::History => self.right_history,
        }
    }

    pub(crate) fn new_password_of(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("Neues Kennwort für {name}"),
            Lang::En => format!("New password of {name}"),
        }
    }

    pub(crate) fn pupils_of(&self, class: &str) -> String {
        match self.lang {
            Lang::De => format!("Schüler der Klasse {class}"),
            Lang::En => format!("Pupils of class {class}"),
        }
    }

    pub(crate) fn codes_left(&self, left: &usize) -> String {
        match self.lang {
            Lang::De => format!("Noch {}.", count(*left, "Ersatzcode", "Ersatzcodes")),
            Lang::En => format!("{} left.", count(*left, "recovery code", "recovery codes")),
        }
    }

    pub(crate) fn chars_min(&self, chars: &usize) -> String {
        match self.lang {
            Lang::De => format!("Mindestens {chars} Zeichen."),
            Lang::En => format!("At least {chars} characters."),
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

    /// Heading of what came of a night.
    pub(crate) fn night_of(&self, evening: &str, running: bool) -> String {
        match (self.lang, running) {
            (Lang::De, true) => format!("Die Nacht seit {evening} läuft"),
            (Lang::En, true) => format!("The night since {evening} is running"),
            (Lang::De, false) => format!("Die Nacht vom {evening}"),
            (Lang::En, false) => format!("The night of {evening}"),
        }
    }

    /// How many PCs of a room are as they should be.
    pub(crate) fn night_sum(&self, ready: usize, total: usize) -> String {
        match self.lang {
            Lang::De => format!("{ready}/{total} bereit"),
            Lang::En => format!("{ready}/{total} ready"),
        }
    }

    /// That a PC was not as it should be in so many nights in a row.
    pub(crate) fn night_again(&self, nights: usize) -> String {
        match self.lang {
            Lang::De => format!("Schon die {nights}. Nacht: Hier muss jemand nachsehen."),
            Lang::En => format!("Night number {nights}: somebody has to look at it."),
        }
    }

    /// Subject of a message about what is not in order.
    pub(crate) fn mail_alert(&self, notices: usize) -> String {
        match self.lang {
            Lang::De => format!("{} nicht in Ordnung", count(notices, "Stelle", "Stellen")),
            Lang::En => format!("{} not in order", count(notices, "place", "places")),
        }
    }

    /// How many messages the mail server took.
    pub(crate) fn said_mailed(&self, recipients: usize) -> String {
        match self.lang {
            Lang::De => {
                format!("Der Mailserver hat {} angenommen.", count(recipients, "Nachricht", "Nachrichten"))
            }
            Lang::En => format!("The mail server took {}.", count(recipients, "message", "messages")),
        }
    }

    /// How far a PC came in a night: the kind of badge, the state, and what to do about it.
    pub(crate) fn night_state(
        &self,
        state: &NightState,
        running: bool,
    ) -> (&'static str, &'static str, String) {
        let (kind, de, en, advice_de, advice_en) = match state {
            NightState::Ready | NightState::SwitchedOff => ("good", "bereit", "ready", "", ""),
            NightState::Called if running => ("busy", "wird eingeschaltet", "being switched on", "", ""),
            NightState::Working if running => ("busy", "in Arbeit", "being worked on", "", ""),
            NightState::Working => (
                "warn",
                "nicht fertig geworden",
                "not finished",
                "Es geht in der nächsten Nacht weiter; eine frühere Anfangszeit hilft.",
                "It goes on in the next night; an earlier beginning helps.",
            ),
            NightState::InUse => (
                "warn",
                "jemand war angemeldet",
                "somebody was signed in",
                "Abmelden; in der nächsten Nacht wird es wieder versucht.",
                "Sign out; it is tried again in the next night.",
            ),
            NightState::Postponed => (
                "warn",
                "verschoben",
                "postponed",
                "Der Auftrag wurde von Hand abgebrochen; er kommt in der nächsten Nacht wieder.",
                "The job was cancelled by hand; it comes again in the next night.",
            ),
            NightState::TooLate => (
                "warn",
                "zu spät für sein Image",
                "too late for its image",
                "Eine frühere Anfangszeit wählen oder das Image von Hand aufspielen.",
                "Choose an earlier beginning or have the image deployed by hand.",
            ),
            NightState::Called | NightState::Silent => (
                "bad",
                "antwortet nicht",
                "does not answer",
                "Steckt das Netzwerkkabel, und ist „Wake on LAN“ in der Firmware erlaubt?",
                "Is the network cable plugged in, and is \"Wake on LAN\" allowed in the firmware?",
            ),
            NightState::NotFromNetwork => (
                "bad",
                "startet nicht über das Netz",
                "does not start from the network",
                "In der Firmware des PCs den Start über das Netz an die erste Stelle setzen; ein Auftrag wartet.",
                "Put booting from the network first in the PC's firmware; a job waits.",
            ),
            NightState::ImageFailed(reason) => {
                let (de, en) = ("Image gescheitert", "image failed");
                return ("bad", if self.lang == Lang::De { de } else { en }, reason.clone());
            }
            NightState::ProgramFailed => (
                "bad",
                "Programm gescheitert",
                "program failed",
                "Auf der Seite des PCs steht, welches und warum.",
                "The page of the PC says which one and why.",
            ),
        };
        match self.lang {
            Lang::De => (kind, de, advice_de.to_owned()),
            Lang::En => (kind, en, advice_en.to_owned()),
        }
    }

    /// How many PCs of a room were asked to switch on or off.
    pub(crate) fn said_power(&self, power: Power, asked: usize) -> String {
        let pcs = count(asked, "PC", "PCs");
        match (self.lang, power) {
            (Lang::De, _) if asked == 0 => "In diesem Raum steht kein PC, der das kann.".to_owned(),
            (Lang::En, _) if asked == 0 => "There is no PC in this room that can do that.".to_owned(),
            (Lang::De, Power::On) => format!("Eingeschaltet werden: {pcs}."),
            (Lang::En, Power::On) => format!("Being switched on: {pcs}."),
            (Lang::De, Power::Restart) => format!("Neu gestartet werden, wo niemand angemeldet ist: {pcs}."),
            (Lang::En, Power::Restart) => format!("Being restarted, where nobody is signed in: {pcs}."),
            (Lang::De, Power::Off) => format!("Ausgeschaltet werden, wo niemand angemeldet ist: {pcs}."),
            (Lang::En, Power::Off) => format!("Being switched off, where nobody is signed in: {pcs}."),
        }
    }

    /// What became of a PC that was to be switched on or off.
    pub(crate) fn power(&self, power: Power, state: PowerState, asked: &str) -> String {
        let what = match (self.lang, power) {
            (Lang::De, Power::On) => "Einschalten",
            (Lang::En, Power::On) => "Switch on",
            (Lang::De, Power::Restart) => "Neu starten",
            (Lang::En, Power::Restart) => "Restart",
            (Lang::De, Power::Off) => "Ausschalten",
            (Lang::En, Power::Off) => "Switch off",
        };
        let (de, en) = match (power, state) {
            (Power::On, PowerState::Open) => ("wird versucht", "being tried"),
            (_, PowerState::Open) => ("sobald niemand angemeldet ist", "as soon as nobody is signed in"),
            (_, PowerState::Done) => ("erledigt", "done"),
            (Power::On, PowerState::Silent) => (
                "der PC hat sich nicht gemeldet. Steckt das Netzwerkkabel, und ist „Wake on LAN“ in seiner Firmware erlaubt?",
                "the PC did not answer. Is the network cable plugged in, and is \"Wake on LAN\" allowed in its firmware?",
            ),
            (_, PowerState::Silent) => (
                "nicht geschehen: es war jemand angemeldet, oder der PC ist aus",
                "did not happen: somebody was signed in, or the PC is off",
            ),
        };
        match self.lang {
            Lang::De => format!("{what} ({asked}): {de}"),
            Lang::En => format!("{what} ({asked}): {en}"),
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

    /// What can be asked of an iPad.
    pub(crate) fn action(&self, action: &Action) -> &'static str {
        match action {
            Action::Refresh => self.ask_refresh,
            Action::Restart => self.ask_restart,
            Action::ShutDown => self.ask_shut_down,
            Action::Lock { .. } => self.ask_lock,
            Action::ClearPasscode => self.ask_clear_passcode,
            Action::LostMode { .. } => self.ask_lost,
            Action::LostModeOff => self.ask_lost_off,
            Action::LostModeSound => self.ask_lost_sound,
            Action::Erase => self.ask_erase,
        }
    }

    pub(crate) fn restrictions_count(&self, count: usize) -> String {
        match (self.lang, count) {
            (Lang::De, 1) => "1 Einschränkung".to_owned(),
            (Lang::De, n) => format!("{n} Einschränkungen"),
            (Lang::En, 1) => "1 restriction".to_owned(),
            (Lang::En, n) => format!("{n} restrictions"),
        }
    }

    pub(crate) fn needs_version(&self, version: &str) -> String {
        match self.lang {
            Lang::De => format!("erst ab iPadOS {version}"),
            Lang::En => format!("needs iPadOS {version}"),
        }
    }

    pub(crate) fn missing_part(&self, part: &str) -> String {
        match self.lang {
            Lang::De => format!("dazu fehlt {part}"),
            Lang::En => format!("{part} is missing"),
        }
    }

    pub(crate) fn name_taken(&self, part: &str) -> String {
        match self.lang {
            Lang::De => format!("den Namen {part} hat schon ein anderer Teil"),
            Lang::En => format!("another part is called {part} already"),
        }
    }

    pub(crate) fn apple_placed(&self, count: u64) -> String {
        match self.lang {
            Lang::De => format!("{count} iPads zugewiesen."),
            Lang::En => format!("{count} iPads assigned."),
        }
    }

    pub(crate) fn said_asked(&self, what: &str) -> String {
        match self.lang {
            Lang::De => format!("Verlangt: {what}. Das iPad erledigt es, sobald es erreichbar ist."),
            Lang::En => format!("Asked: {what}. The iPad does it as soon as it can be reached."),
        }
    }

    /// The weekdays; 1 is Monday.
    pub(crate) fn weekdays(&self) -> [(u8, &'static str); 7] {
        match self.lang {
            Lang::De => [(1, "Mo"), (2, "Di"), (3, "Mi"), (4, "Do"), (5, "Fr"), (6, "Sa"), (7, "So")],
            Lang::En => [(1, "Mon"), (2, "Tue"), (3, "Wed"), (4, "Thu"), (5, "Fri"), (6, "Sat"), (7, "Sun")],
        }
    }

    /// Why a rule with a time exists.
    pub(crate) fn layer(&self, layer: Layer) -> &'static str {
        match (self.lang, layer) {
            (Lang::De, Layer::Exam) => "Klausur",
            (Lang::De, Layer::Lock) => "Sperre",
            (Lang::De, Layer::Grant) => "Lehrkraft",
            (Lang::De, Layer::Timetable) => "Zeitplan",
            (Lang::En, Layer::Exam) => "exam",
            (Lang::En, Layer::Lock) => "lock",
            (Lang::En, Layer::Grant) => "teacher",
            (Lang::En, Layer::Timetable) => "timetable",
        }
    }

    pub(crate) fn youtube(&self, way: YouTube) -> &'static str {
        match way {
            YouTube::Free => self.youtube_free,
            YouTube::Moderate => self.youtube_moderate,
            YouTube::Strict => self.youtube_strict,
        }
    }

    pub(crate) fn list_action(&self, action: ListAction) -> &'static str {
        match action {
            ListAction::Allow => self.list_allow,
            ListAction::Block => self.list_block,
        }
    }

    pub(crate) fn bad_line(&self, line: usize, text: &str) -> String {
        match self.lang {
            Lang::De => format!("Zeile {line} ist nicht zu lesen: {text}"),
            Lang::En => format!("Line {line} cannot be read: {text}"),
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
            (Lang::De, None) => format!("eine Schulstunde lang ({end})"),
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

    pub(crate) fn said_guest(&self, name: &str) -> String {
        match self.lang {
            Lang::De => format!("{name} gehört bis zum Ende der Stunde hierher."),
            Lang::En => format!("{name} belongs here until the end of the lesson."),
        }
    }

    /// Why a level holds, and until when.
    pub(crate) fn cause(&self, cause: Cause, until: Option<&str>) -> String {
        let (de, en) = match cause {
            Cause::Rule(_, Layer::Exam) => ("Klausur", "Exam"),
            Cause::Rule(_, Layer::Lock) => ("Sperre dieses Geräts", "Lock of this device"),
            Cause::Rule(_, Layer::Grant) => ("von der Lehrkraft gesetzt", "set by the teacher"),
            Cause::Rule(_, Layer::Timetable) => ("Zeitplan", "Timetable"),
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

    /// What an import does to somebody or something.
    pub(crate) fn verdict(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::New => self.verdict_new,
            Verdict::Moved => self.verdict_moved,
            Verdict::Changed => self.verdict_changed,
            Verdict::Removed => self.verdict_removed,
        }
    }

    /// What an import changes of somebody or something.
    pub(crate) fn import_field(&self, field: Field) -> &'static str {
        match field {
            Field::FirstName => self.first_name,
            Field::LastName => self.last_name,
            Field::Login => self.login_name,
            Field::ExternalId => self.external_id,
            Field::Classes => self.class,
            Field::Returns => self.field_returns,
            Field::Name => self.name,
            Field::Room => self.room,
            Field::Cards => self.cards,
            Field::Addresses => self.fixed_address,
            Field::Owner => self.owner,
            Field::Staff => self.field_staff,
        }
    }

    /// How a file was understood.
    pub(crate) fn import_form(&self, form: &Form) -> String {
        let separator = match (self.lang, form.separator) {
            (Lang::De, '\t') => "Tabulator".to_owned(),
            (Lang::En, '\t') => "tab".to_owned(),
            (_, separator) => format!("„{separator}“"),
        };
        let format = form.format.name();
        match self.lang {
            Lang::De => format!(
                "Erkannt: {}, Zeichensatz {}, Trennzeichen {separator}",
                format.unwrap_or("Spalten nach der ersten Zeile"),
                form.encoding
            ),
            Lang::En => format!(
                "Understood as: {}, encoding {}, separator {}",
                format.unwrap_or("columns named by the first line"),
                form.encoding,
                separator.replace(['„', '“'], "\"")
            ),
        }
    }

    pub(crate) fn first_of(&self, shown: usize, total: &usize) -> String {
        match self.lang {
            Lang::De => format!("Die ersten {shown} von {total}."),
            Lang::En => format!("The first {shown} of {total}."),
        }
    }

    pub(crate) fn and_line(&self, other: &usize) -> String {
        match self.lang {
            Lang::De => format!("und {other}"),
            Lang::En => format!("and {other}"),
        }
    }

    /// So many of a kind would be removed that the number must be typed.
    pub(crate) fn type_removals(&self, removals: &usize) -> String {
        match self.lang {
            Lang::De => format!(
                "Es fiele mehr als ein Zehntel weg ({removals}). Vielleicht ist die Datei nicht vollständig. Ist das gewollt, hier die Zahl {removals} eintragen:"
            ),
            Lang::En => format!(
                "More than one in ten would go ({removals}). Perhaps the file is not complete. If that is meant, type the number {removals} here:"
            ),
        }
    }

    pub(crate) fn said_undone(&self, restored: usize, left: &[String]) -> String {
        let names = left.join(", ");
        match (self.lang, left.is_empty()) {
            (Lang::De, true) => format!("Der Import ist rückgängig gemacht ({restored})."),
            (Lang::En, true) => format!("The import is undone ({restored})."),
            (Lang::De, false) => {
                format!(
                    "Der Import ist rückgängig gemacht ({restored}). Seither geändert und deshalb so gelassen: {names}."
                )
            }
            (Lang::En, false) => {
                format!(
                    "The import is undone ({restored}). Changed since, and therefore left as they are: {names}."
                )
            }
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

    /// What came of a job; what other PCs and the disk itself had is told where there is any.
    pub(crate) fn job_result(&self, result: &JobResult) -> String {
        let bytes = |bytes: u64| crate::format::bytes(self.lang, bytes);
        let (all, moved) = (bytes(result.bytes), bytes(result.transferred));
        let mut said = match self.lang {
            Lang::De => format!("v{}, {all}, davon {moved} übertragen", result.version),
            Lang::En => format!("v{}, {all}, {moved} of it transferred", result.version),
        };
        if result.peer_bytes > 0 {
            let peers = bytes(result.peer_bytes);
            said.push_str(&match self.lang {
                Lang::De => format!(" ({peers} von anderen PCs)"),
                Lang::En => format!(" ({peers} from other PCs)"),
            });
        }
        if result.kept_bytes > 0 {
            let kept = bytes(result.kept_bytes);
            said.push_str(&match self.lang {
                Lang::De => format!(", {kept} waren schon da"),
                Lang::En => format!(", {kept} were there already"),
            });
        }
        said
    }

    pub(crate) fn of_total(&self, done: &str, total: &str) -> String {
        match self.lang {
            Lang::De => format!("{done} von {total}"),
            Lang::En => format!("{done} of {total}"),
        }
    }

    /// How long something still takes.
    pub(crate) fn still(&self, left: &str) -> String {
        match self.lang {
            Lang::De => format!("noch {left}"),
            Lang::En => format!("{left} left"),
        }
    }

    /// How many PCs of a room get an image.
    pub(crate) fn room_imaged(&self, pcs: usize) -> String {
        let pcs = count(pcs, "PC", "PCs");
        match (self.lang, pcs.as_str()) {
            (Lang::De, "1 PC") => "1 PC bekommt ein Image".into(),
            (Lang::En, "1 PC") => "1 PC gets an image".into(),
            (Lang::De, pcs) => format!("{pcs} bekommen ein Image"),
            (Lang::En, pcs) => format!("{pcs} get an image"),
        }
    }

    /// How a disk differs from its image.
    pub(crate) fn image_drift(&self, drift: &ImageDrift) -> Badge {
        match drift.held {
            Some(held) => Badge::new("warn", &self.image_behind(held)),
            None => Badge::new("warn", self.image_missing),
        }
    }

    /// How much of what crossed the network came from other PCs; nothing if none did.
    pub(crate) fn peers_gave(&self, transferred: u64, peer_bytes: u64) -> Option<String> {
        let percent = percent(peer_bytes, transferred).filter(|percent| *percent > 0)?;
        Some(match self.lang {
            Lang::De => format!("{percent} % von anderen PCs"),
            Lang::En => format!("{percent} % from other PCs"),
        })
    }

    /// What a change of the log did to what. A word that is new to us is shown as it is.
    /// That a night is left out.
    pub(crate) fn night_rests(&self, evening: &str) -> String {
        match self.lang {
            Lang::De => format!("in der Nacht vom {evening} nicht"),
            Lang::En => format!("not in the night of {evening}"),
        }
    }

    /// Leave a night out.
    pub(crate) fn night_rest(&self, evening: &str) -> String {
        match self.lang {
            Lang::De => format!("Die Nacht vom {evening} auslassen"),
            Lang::En => format!("Leave out the night of {evening}"),
        }
    }

    /// Do not leave it out after all.
    pub(crate) fn night_rest_not(&self, evening: &str) -> String {
        match self.lang {
            Lang::De => format!("Die Nacht vom {evening} doch nicht auslassen"),
            Lang::En => format!("Do not leave out the night of {evening} after all"),
        }
    }

    /// That so many changes of people would be gone.
    pub(crate) fn backup_loses(&self, changes: usize) -> String {
        match (self.lang, changes) {
            (Lang::De, 0) => "Seitdem hat niemand etwas geändert.".into(),
            (Lang::En, 0) => "Nobody changed anything since then.".into(),
            (Lang::De, n) => {
                format!("Verloren geht, was seitdem geändert wurde: {}.", count(n, "Änderung", "Änderungen"))
            }
            (Lang::En, n) => {
                format!("What was changed since then will be gone: {}.", count(n, "change", "changes"))
            }
        }
    }

    /// What became of something that the keeper of backups was asked for.
    pub(crate) fn backup_state(&self, state: BackupState, percent: u8) -> Badge {
        let (kind, de, en) = match state {
            BackupState::Asked => ("busy", "kommt gleich", "comes next"),
            BackupState::Running => {
                return Badge { kind: "busy", text: format!("{percent}\u{a0}%") };
            }
            BackupState::Done => ("good", "gelungen", "done"),
            BackupState::Failed => ("bad", "gescheitert", "failed"),
        };
        Badge::new(kind, if self.lang == Lang::De { de } else { en })
    }
}

fn count(n: usize, one: &str, many: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {many}") }
}
