//! Why something that a person asked for is refused, in both languages.
//!
//! The inventory speaks English. Its sentences are translated here by pattern; one that has no pattern is shown as it is,
//! since a reason in the wrong language is better than none.

use std::net::Ipv4Addr;

use inventory::import::FileProblem;
use inventory::{NetworkProblem, ParseError};
use ipados::apps::{ConfigurationError, TokenError};
use ipados::values::ValueError;

use crate::lang::Lang;
use crate::line_problem::say_file;
use crate::software::say_package;
use inventory::password::{PASSWORD_CHARS_MIN, PasswordError};

/// Why a wish is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A field was left empty.
    Missing,
    /// A text is not what it should be.
    Parse(ParseError),
    /// A network's parts do not fit together.
    Network(NetworkProblem),
    /// The inventory said no, in English.
    Inventory(String),
    /// No room of that name or id.
    NoRoom(String),
    /// No image of that name or id.
    NoImage(String),
    /// No such version of the image.
    NoVersion(i64),
    /// No device of that name or id.
    NoDevice(String),
    /// The device was added beforehand, and no PC was approved as it yet.
    NotApproved(String),
    /// An IPv4 address was expected.
    NoAddress(String),
    /// An address that cannot be given to a device.
    NotInANetwork(Ipv4Addr),
    /// The address is the router's.
    IsRouter(Ipv4Addr),
    /// A whole number was expected.
    NoNumber(String),
    /// One of a few words was expected.
    NoChoice(String),
    /// Neither a device nor a person has that name.
    NoDeviceOrPerson(String),
    /// Not a time of day.
    NoTime(String),
    /// A time that is not today any more.
    AfterMidnight,
    /// The device has no network card to reserve an address for, or several and none was named.
    WhichCard,
    /// Name or password are wrong.
    WrongPassword,
    /// A new password cannot be used.
    Password(PasswordError),
    /// Too many wrong passwords.
    TooManyAttempts(u64),
    /// A file cannot be read at all.
    File(FileProblem),
    /// What was uploaded is not there any more.
    UploadGone,
    /// So many are removed that the person must say how many; the number.
    Removals(usize),
    /// A new password is the old one.
    SamePassword,
    /// The password typed again is another one.
    TypedDifferently,
    /// The code of the second factor is wrong, over or used.
    WrongCode,
    /// Nobody of that name.
    NoPerson(String),
    /// This server manages no iPads.
    NoMdm,
    /// Something that hurts was asked for where only harmless things are.
    NeedsReason,
    /// What was given as the content token of Apps and Books is none.
    ContentToken(TokenError),
    /// A token whose time is over.
    TokenOver,
    /// The configuration of an app cannot be sent.
    AppConfiguration(ConfigurationError),
    /// Not with oneself.
    Yourself,
    /// A role that is not given when somebody is added.
    RoleLater,
    /// Neither an address range nor an address.
    NoNetwork(String),
    /// A token must end within a year and a bit.
    TokenLife,
    /// A Wi-Fi network's password is missing or too short.
    WifiPassword,
    /// A line of a field that cannot be read.
    BadLine(String),
    /// A text that an iPad would not understand.
    NoValue(ValueError),
    /// A field of a program cannot be used.
    Unfit(software::package::ValueError),
    /// Parts do not make a program.
    Package(software::package::PackageError),
    /// An uploaded file or a definition cannot be read; the text says why.
    PackageFile(String),
    /// A file of a program is larger than we take.
    PackageFileTooLarge,
    /// No name of a mail server.
    NoMailServer(String),
    /// No e-mail address.
    NoMailAddress(String),
    /// An account of the mail server whose password is not known.
    MailPasswordNeeded,
    /// A password would be sent for everybody to read.
    MailUnprotected,
    /// The mail server did not take a message, for that reason.
    Mail(String),
    /// A file that a program names was not uploaded.
    NotUploaded(String),
}

/// What is said about a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// What is wrong; a clause that begins with a capital.
    pub(crate) text: String,
    /// What to do; may be empty.
    pub(crate) remedy: String,
}

impl Problem {
    /// The refusal in a language.
    pub(crate) fn say(&self, lang: Lang) -> Said {
        let (de, en) = match self {
            Self::Missing => ("Dieses Feld wird gebraucht".into(), "This field is needed".into()),
            Self::Parse(error) => return said(&parse_error(lang, error)),
            Self::Network(problem) => return said(&network(lang, problem)),
            Self::Inventory(text) => return said(&inventory(lang, text)),
            Self::NoRoom(text) => {
                (format!("Es gibt keinen Raum „{text}“"), format!("There is no room \"{text}\""))
            }
            Self::NoImage(text) => {
                (format!("Es gibt kein Image „{text}“"), format!("There is no image \"{text}\""))
            }
            Self::NoVersion(n) => (
                format!("Version {n} gibt es von diesem Image nicht"),
                format!("This image has no version {n}"),
            ),
            Self::NoDevice(text) => {
                (format!("Es gibt kein Gerät „{text}“"), format!("There is no device \"{text}\""))
            }
            Self::NotApproved(name) => (
                format!(
                    "{name} ist noch nicht freigegeben; den PC über das Netz starten und auf der Warteliste freigeben"
                ),
                format!(
                    "{name} is not approved yet; boot the PC from the network and approve it on the waiting list"
                ),
            ),
            Self::NoAddress(text) => (
                format!("„{text}“ ist keine IPv4-Adresse; zum Beispiel 10.77.1.20"),
                format!("\"{text}\" is no IPv4 address; for example 10.77.1.20"),
            ),
            Self::NotInANetwork(ip) => (
                format!(
                    "{ip} gehört zu keinem Netz als Geräteadresse; eine Adresse aus einem der Netze wählen"
                ),
                format!(
                    "{ip} is not a host address of any network; choose an address of one of the networks"
                ),
            ),
            Self::IsRouter(ip) => (
                format!("{ip} ist die Adresse des Routers; eine andere wählen"),
                format!("{ip} is the router's address; choose another one"),
            ),
            Self::NoNumber(text) => {
                (format!("„{text}“ ist keine ganze Zahl"), format!("\"{text}\" is no whole number"))
            }
            Self::NoChoice(text) => {
                (format!("„{text}“ steht nicht zur Wahl"), format!("\"{text}\" is not one of the choices"))
            }
            Self::NoDeviceOrPerson(text) => (
                format!("Weder ein Gerät noch eine Person heißt „{text}“; den genauen Namen angeben"),
                format!("Neither a device nor a person is called \"{text}\"; give the exact name"),
            ),
            Self::NoTime(text) => (
                format!("„{text}“ ist keine Uhrzeit; zum Beispiel 10:40"),
                format!("\"{text}\" is no time of day; for example 10:40"),
            ),
            Self::AfterMidnight => (
                "Was für den Unterricht gesetzt wird, reicht nicht in den nächsten Tag; eine frühere Zeit wählen".into(),
                "What is set for lessons does not last into the next day; choose an earlier time".into(),
            ),
            Self::WhichCard => (
                "Die Netzwerkkarte fehlt; ihre MAC-Adresse angeben".into(),
                "The network card is missing; give its MAC address".into(),
            ),
            Self::WrongPassword => (
                "Name oder Kennwort stimmen nicht; auf Großschreibung achten".into(),
                "Name or password are wrong; mind capital letters".into(),
            ),
            Self::Password(error) => (
                match error {
                    PasswordError::TooShort => {
                        format!("Das Kennwort braucht mindestens {PASSWORD_CHARS_MIN} Zeichen")
                    }
                    PasswordError::TooLong => "Das Kennwort ist zu lang".into(),
                    PasswordError::Hash(_) => "Das Kennwort lässt sich nicht verwenden".into(),
                },
                error.to_string(),
            ),
            Self::SamePassword => (
                "Das ist das bisherige Kennwort; ein anderes wählen".into(),
                "This is the present password; choose another one".into(),
            ),
            Self::TypedDifferently => (
                "Die beiden neuen Kennwörter sind verschieden; beide noch einmal eingeben".into(),
                "The two new passwords differ; type both again".into(),
            ),
            Self::WrongCode => (
                "Der Code stimmt nicht oder wurde schon benutzt; auf den nächsten warten und die Uhr des Telefons prüfen".into(),
                "The code is wrong or was used before; wait for the next one, and check the phone's clock".into(),
            ),
            Self::NoPerson(text) => (
                format!("Es gibt niemanden mit dem Anmeldenamen „{text}“"),
                format!("There is nobody who signs in as \"{text}\""),
            ),
            Self::NoMdm => (
                "Dieser Server verwaltet keine iPads; mdm_url im Abschnitt [site] der Konfiguration setzen".into(),
                "This server manages no iPads; set mdm_url in the section [site] of the configuration".into(),
            ),
            Self::NeedsReason => (
                "Das geht nur mit Grund und Kennwort; dafür gibt es drastic-actions".into(),
                "This takes a reason and the password; use drastic-actions".into(),
            ),
            Self::ContentToken(error) => (
                match error {
                    TokenError::TooLong => "Ein Inhaltstoken ist viel kürzer; es im Apple School Manager noch einmal laden",
                    TokenError::NoToken => {
                        "Das ist kein Inhaltstoken; es im Apple School Manager unter Einstellungen, Zahlungen und Rechnungen laden"
                    }
                }
                .into(),
                error.to_string(),
            ),
            Self::TokenOver => (
                "Die Zeit dieses Tokens ist vorbei; im Apple School Manager ein neues laden".into(),
                "The time of this token is over; download a new one from Apple School Manager".into(),
            ),
            Self::AppConfiguration(error) => (
                match error {
                    ConfigurationError::TooLong => "Die Konfiguration ist zu lang; höchstens 32 KiB",
                    ConfigurationError::NoObject => {
                        "Das ist kein JSON-Objekt; zum Beispiel {\"server\": \"https://schule.example\"}"
                    }
                    ConfigurationError::NoPropertyList => {
                        "null, sehr große Zahlen, Steuerzeichen und mehr als zehn Ebenen kann ein iPad nicht lesen; sie weglassen"
                    }
                }
                .into(),
                error.to_string(),
            ),
            Self::Yourself => (
                "Das geht nicht mit dem eigenen Konto; eine andere Person aus der Schuladministration darum bitten".into(),
                "This cannot be done to one's own account; ask another admin".into(),
            ),
            Self::RoleLater => (
                "Neu angelegt werden nur Lehrkräfte und Schüler; andere Rollen gibt die Schuladministration danach".into(),
                "Only teachers and pupils are added; the school's admin gives other roles afterwards".into(),
            ),
            Self::NoNetwork(text) => (
                format!("„{text}“ ist kein Adressbereich; zum Beispiel 10.77.0.0/16 oder 2001:db8::/32, höchstens 20"),
                format!("\"{text}\" is no address range; for example 10.77.0.0/16 or 2001:db8::/32, at most 20"),
            ),
            Self::TokenLife => (
                "Ein Token braucht ein Ende in der Zukunft, höchstens 400 Tage von heute".into(),
                "A token needs an end in the future, at most 400 days from today".into(),
            ),
            Self::WifiPassword => (
                "Das Kennwort eines WLANs hat 8 bis 63 Zeichen; es eintragen, oder „offen“ ankreuzen".into(),
                "A Wi-Fi password has 8 to 63 characters; fill it in, or tick \"open\"".into(),
            ),
            Self::BadLine(line) => (
                format!("Die Zeile „{line}“ ist nicht zu lesen; das Beispiel im Feld zeigt die Form"),
                format!("The line \"{line}\" cannot be read; the example in the field shows the form"),
            ),
            Self::NoValue(ValueError { text, wanted }) => {
                let german = VALUES.iter().find(|(en, _)| en == wanted).map_or(*wanted, |(_, de)| de);
                (format!("„{text}“ ist nicht {german}"), format!("\"{text}\" is not {wanted}"))
            }
            Self::Unfit(software::package::ValueError { text, wanted }) => {
                let german = VALUES.iter().find(|(en, _)| en == wanted).map_or(*wanted, |(_, de)| de);
                (format!("„{text}“ ist nicht {german}"), format!("\"{text}\" is not {wanted}"))
            }
            Self::Package(error) => return said(&say_package(lang, error)),
            Self::PackageFile(why) => (
                format!("Die Datei ist nicht lesbar ({why}); sie noch einmal vom Hersteller holen"),
                format!("The file cannot be read ({why}); fetch it again from its maker"),
            ),
            Self::PackageFileTooLarge => (
                "Die Datei hat mehr als 16 GiB; das Programm von einem anderen Ort installieren lassen".into(),
                "The file has more than 16 GiB; have the program installed from another place".into(),
            ),
            Self::NoMailServer(text) => (
                format!("„{text}“ ist kein Name eines Mailservers; ohne http:// und ohne Port eingeben"),
                format!("\"{text}\" is no name of a mail server; enter it without http:// and without a port"),
            ),
            Self::NoMailAddress(text) => (
                format!("„{text}“ ist keine E-Mail-Adresse; erwartet wird name@schule.example oder Name <name@schule.example>"),
                format!("\"{text}\" is no e-mail address; expected is name@schule.example or Name <name@schule.example>"),
            ),
            Self::MailPasswordNeeded => (
                "Zum Konto gehört ein Kennwort; nach einem Wechsel von Server oder Konto noch einmal eingeben".into(),
                "The account needs its password; enter it again after a change of server or account".into(),
            ),
            Self::MailUnprotected => (
                "Ohne Verschlüsselung wird kein Kennwort gesendet; TLS oder STARTTLS wählen oder das Konto leer lassen".into(),
                "No password is sent without encryption; choose TLS or STARTTLS, or leave the account empty".into(),
            ),
            Self::Mail(why) => (
                format!("Der Mailserver hat die Nachricht nicht angenommen: {why}; Server, Port und Konto prüfen"),
                format!("The mail server did not take the message: {why}; check server, port and account"),
            ),
            Self::NotUploaded(name) => (
                format!("Die Datei {name} ist nicht auf dem Server; sie noch einmal hochladen"),
                format!("The file {name} is not on the server; upload it again"),
            ),
            Self::TooManyAttempts(secs) => (
                format!(
                    "Zu viele falsche Kennwörter; in {} noch einmal versuchen",
                    crate::format::duration(Lang::De, wait(*secs))
                ),
                format!(
                    "Too many wrong passwords; try again in {}",
                    crate::format::duration(Lang::En, wait(*secs))
                ),
            ),
            Self::File(problem) => return say_file(lang, problem),
            Self::UploadGone => (
                "Die hochgeladene Datei ist nicht mehr da (sie bleibt höchstens eine Stunde); sie noch einmal hochladen".into(),
                "The uploaded file is not there any more (it stays for an hour at most); upload it again".into(),
            ),
            Self::Removals(n) => (
                format!("Es fiele mehr als ein Zehntel weg; ist das gewollt, die Zahl {n} eintragen"),
                format!("More than one in ten would go; if that is meant, fill in the number {n}"),
            ),
        };
        said(match lang {
            Lang::De => &de,
            Lang::En => &en,
        })
    }
}

fn wait(secs: u64) -> i64 {
    i64::try_from(secs).unwrap_or(i64::MAX / 1000).saturating_mul(1000)
}

/// Splits `what is wrong; what to do`.
pub(crate) fn said(text: &str) -> Said {
    let (text, remedy) = text.split_once("; ").unwrap_or((text, ""));
    Said { text: sentence(text), remedy: sentence(remedy) }
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        None => String::new(),
        // Names of devices come first at times, and are not capitalised.
        Some(first) if text.split(' ').next().is_some_and(|w| w.contains(['-', '.', '/'])) => {
            format!("{first}{}.", chars.as_str())
        }
        Some(first) => format!("{}{}.", first.to_uppercase(), chars.as_str().trim_end_matches('.')),
    }
}

fn parse_error(lang: Lang, error: &ParseError) -> String {
    match lang {
        Lang::En => format!("\"{}\": {}", error.value, error.problem),
        Lang::De => {
            let problem = PARSE_PROBLEMS
                .iter()
                .find(|(en, _)| *en == error.problem)
                .map_or(error.problem, |(_, de)| de);
            format!("„{}“: {problem}", error.value)
        }
    }
}

fn network(lang: Lang, problem: &NetworkProblem) -> String {
    match (lang, problem) {
        (_, NetworkProblem::Text(error)) => parse_error(lang, error),
        (Lang::En, problem) => problem.to_string(),
        (Lang::De, NetworkProblem::Outside { address, cidr, .. }) => {
            format!("{address} ist keine Geräteadresse des Netzes {cidr}")
        }
        (Lang::De, NetworkProblem::Backwards { first, last }) => {
            format!("Der Adressbereich endet mit {last}, bevor er mit {first} beginnt")
        }
        (Lang::De, NetworkProblem::LeaseLength(secs)) => {
            format!("{secs} Sekunden sind keine brauchbare Lease-Dauer; erlaubt sind 60 Sekunden bis 30 Tage")
        }
    }
}

fn inventory(lang: Lang, text: &str) -> String {
    let german = || CONFLICTS.iter().find_map(|(en, de)| fill(de, &captured(en, text)?));
    match lang {
        Lang::En => text.to_owned(),
        Lang::De => german().unwrap_or_else(|| text.to_owned()),
    }
}

/// What stands in `text` where `pattern` has `{}`; `None` when the rest differs.
pub(crate) fn captured<'t>(pattern: &str, text: &'t str) -> Option<Vec<&'t str>> {
    let mut parts = pattern.split("{}");
    let mut rest = text.strip_prefix(parts.next()?)?;
    let mut values = Vec::new();
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let at = if parts.peek().is_none() { rest.len().checked_sub(part.len())? } else { rest.find(part)? };
        let (value, after) = rest.split_at_checked(at)?;
        values.push(value);
        rest = after.strip_prefix(part)?;
    }
    rest.is_empty().then_some(values)
}

pub(crate) fn fill(pattern: &str, values: &[&str]) -> Option<String> {
    let mut values = values.iter();
    let mut parts = pattern.split("{}");
    let mut filled = parts.next()?.to_owned();
    for part in parts {
        filled.push_str(values.next()?);
        filled.push_str(part);
    }
    Some(filled)
}

/// What the fields of rules for iPads and of programs take.
const VALUES: &[(&str, &str)] = &[
    ("a bundle identifier such as com.apple.calculator", "die Bundle-ID einer App wie com.apple.calculator"),
    ("the name of a Wi-Fi network of at most 32 bytes", "der Name eines WLANs mit höchstens 32 Byte"),
    ("a host name such as radius.schule.de", "ein Rechnername wie dns.schule.example"),
    ("a name of one line", "ein Text in einer Zeile"),
    (
        "a package's identifier such as mozilla.firefox: letters, digits, dots, hyphens, at most 128",
        "eine Kennung wie mozilla.firefox: Buchstaben, Ziffern, Punkte, Bindestriche, höchstens 128",
    ),
    ("a name of one line of at most 200 bytes", "ein Name in einer Zeile mit höchstens 200 Byte"),
    (
        "the name of a file such as setup.msi, without a folder",
        "der Name einer Datei wie setup.msi, ohne Ordner",
    ),
    (
        "an absolute path such as C:\\Program Files\\App\\app.exe or /usr/bin/app",
        "ein vollständiger Pfad wie C:\\Program Files\\App\\app.exe oder /usr/bin/app",
    ),
    (
        "the name of a Debian package such as libreoffice-writer",
        "der Name eines Debian-Pakets wie libreoffice-writer",
    ),
    (
        "a code such as {90160000-008C-0000-1000-0000000FF1CE}",
        "ein Code wie {90160000-008C-0000-1000-0000000FF1CE}",
    ),
    (
        "a program's name such as 7-Zip * (x64), where * stands for any characters",
        "der Name eines Programms wie 7-Zip * (x64), wobei * für beliebige Zeichen steht",
    ),
    (
        "the name of an uninstall key such as Notepad++ or {…}",
        "der Name eines Uninstall-Schlüssels wie Notepad++ oder {…}",
    ),
    (
        "a short name of lower-case letters, digits and hyphens",
        "ein kurzer Name aus Kleinbuchstaben, Ziffern und Bindestrichen",
    ),
];

/// Refusals of the inventory. Values keep their order.
const CONFLICTS: &[(&str, &str)] = &[
    (
        "somebody else changed the WLAN meanwhile; look at it again",
        "Jemand anderes hat das WLAN inzwischen geändert; noch einmal ansehen",
    ),
    (
        "the name of a WLAN has 1 to 32 bytes and no blanks at its ends",
        "Der Name eines WLANs hat 1 bis 32 Bytes und keine Leerzeichen am Rand",
    ),
    ("the WLAN can have at most {} rules", "Das WLAN kann höchstens {} Regeln haben"),
    (
        "rule {} of the WLAN has impossible hours, or no number of devices from 1 to 99",
        "Regel {} des WLANs hat unmögliche Uhrzeiten oder keine Gerätezahl von 1 bis 99",
    ),
    (
        "there are {} access points; let some share a secret",
        "Es gibt schon {} Access Points; mehrere unter einem Netz zusammenfassen",
    ),
    (
        "there is an access point with this name or this address already",
        "Es gibt schon einen Access Point mit diesem Namen oder dieser Adresse",
    ),
    (
        "the note of a voucher has at most 60 printable characters",
        "„Für wen“ hat höchstens 60 druckbare Zeichen",
    ),
    ("a voucher is for 1 to 99 devices", "Ein Gutschein gilt für 1 bis 99 Geräte"),
    (
        "a voucher ends in the future, and within a year",
        "Ein Gutschein endet in der Zukunft und innerhalb eines Jahres",
    ),
    ("there are {} vouchers; end some first", "Es gibt schon {} Gutscheine; erst einige beenden"),
    (
        "a backup is being restored; nothing else is begun",
        "Gerade wird ein Stand wiederhergestellt; anderes beginnt danach",
    ),
    (
        "too many faults are open ({}); close some first",
        "Zu viele Störungen sind offen ({}); erst einige schließen",
    ),
    (
        "at most {} characters can be said of a fault",
        "Zu einer Störung lassen sich höchstens {} Zeichen sagen",
    ),
    ("this backup was made by a newer Hausmeister", "Diese Sicherung stammt von einem neueren Hausmeister"),
    (
        "this device has no card with a cable; only such devices can be switched on",
        "Dieses Gerät hat keine Netzwerkkarte mit Kabel; nur solche lassen sich einschalten",
    ),
    (
        "this device was not approved; only a PC whose agent was approved can be switched off",
        "Dieses Gerät wurde nicht freigegeben; nur ein PC, dessen Agent freigegeben wurde, lässt sich ausschalten",
    ),
    ("there is a device named {} already", "Ein Gerät namens {} gibt es schon; einen anderen Namen wählen"),
    ("there is a room named {} already", "Einen Raum namens {} gibt es schon; einen anderen Namen wählen"),
    ("there is a network named {} already", "Ein Netz namens {} gibt es schon; einen anderen Namen wählen"),
    (
        "this is the last school admin; make somebody else one first",
        "Das ist das letzte Konto der Schuladministration; zuerst einer anderen Person diese Rolle geben",
    ),
    ("there is a token named {} already", "Ein Token namens {} gibt es schon; einen anderen Namen wählen"),
    ("an invitation is for 1 to {} iPads", "Eine Einladung gilt für 1 bis {} iPads"),
    (
        "there are {} assignments of apps; remove one first",
        "Es gibt schon {} Zuweisungen von Apps; zuerst eine zurücknehmen",
    ),
    (
        "there are {} assignments of programs; remove one first",
        "Es gibt schon {} Zuweisungen von Programmen; zuerst eine zurücknehmen",
    ),
    (
        "{} is assigned to PCs; take that back first",
        "{} ist PCs zugewiesen; zuerst die Zuweisungen zurücknehmen",
    ),
    ("this cannot be written: {}", "Das lässt sich nicht schreiben: {}"),
    (
        "the catalogue has more than 10,000 packages; remove old versions",
        "Im Katalog sind mehr als 10.000 Versionen; alte löschen",
    ),
    (
        "{} has more than 64 entries; remove old versions",
        "Von {} sind mehr als 64 Versionen da; alte löschen",
    ),
    (
        "{} {} is twice in the catalogue for the same system and architecture; remove one",
        "{} {} gibt es für dieses System und diese Bauart schon; eine andere Version angeben",
    ),
    ("there are {} invitations; remove one first", "Es gibt schon {} Einladungen; zuerst eine löschen"),
    (
        "this iPad has neither serial number nor UDID",
        "Dieses iPad hat weder Seriennummer noch UDID; es kann nicht verwaltet werden",
    ),
    ("the file cannot be used: {}", "Die Datei ist nicht brauchbar: {}"),
    ("the certificate cannot be read", "Das Zertifikat ist nicht lesbar"),
    ("a key or a request cannot be made: {}", "Schlüssel oder Anfrage lassen sich nicht anlegen: {}"),
    (
        "the certificate belongs to another key; upload the request of this page to Apple, or import the certificate with its key",
        "Das Zertifikat gehört zu einem anderen Schlüssel; die Anfrage dieser Seite bei Apple hochladen oder das Zertifikat mit seinem Schlüssel einfügen",
    ),
    (
        "there is no key for this certificate; make a request first, or import the certificate with its key",
        "Zu diesem Zertifikat fehlt der Schlüssel; zuerst eine Anfrage erzeugen oder das Zertifikat mit seinem Schlüssel einfügen",
    ),
    (
        "this is no push certificate for device management: it names no topic com.apple.mgmt.…",
        "Das ist kein Push-Zertifikat für Geräteverwaltung: Es nennt kein Topic com.apple.mgmt.…",
    ),
    ("the file does not open with this password", "Die Datei öffnet sich mit diesem Passwort nicht"),
    (
        "this is no server token of Apple School Manager; download the token (.p7m) again and import that file",
        "Das ist kein Server-Token des Apple School Managers; den Token (.p7m) noch einmal herunterladen und diese Datei einfügen",
    ),
    ("it ended already; get a new one from Apple", "Es ist schon abgelaufen; bei Apple ein neues holen"),
    (
        "this certificate has another topic than the one in use: every iPad would have to enrol again",
        "Dieses Zertifikat hat ein anderes Topic als das bisherige: Jedes iPad müsste neu aufgenommen werden",
    ),
    ("there are {} tokens; remove one first", "Es gibt schon {} Tokens; zuerst eines löschen"),
    ("there is a user named {} already", "Eine Person namens {} gibt es schon; einen anderen Namen wählen"),
    (
        "{} is an approved device; choose another name, or replace that device",
        "{} ist ein freigegebenes Gerät; einen anderen Namen wählen oder jenes Gerät ersetzen",
    ),
    (
        "the network card {} or its reserved address belongs to another device",
        "Die Netzwerkkarte {} oder ihre feste Adresse gehört einem anderen Gerät; jenes Gerät ersetzen oder löschen",
    ),
    (
        "the network card {} belongs to another device",
        "Die Netzwerkkarte {} gehört einem anderen Gerät; jenes Gerät ersetzen oder löschen",
    ),
    (
        "the address is reserved for another card",
        "Die Adresse ist schon für eine andere Netzwerkkarte reserviert; eine andere wählen",
    ),
    (
        "the waiting list is full; approve or reject PCs first",
        "Die Warteliste ist voll; zuerst PCs freigeben oder ablehnen",
    ),
    (
        "this device has an open job already; wait for its end or cancel it",
        "Für dieses Gerät läuft schon ein Auftrag; sein Ende abwarten oder ihn abbrechen",
    ),
    (
        "this image has no version yet; capture or import one first",
        "Dieses Image hat noch keine Version; zuerst eine aufnehmen oder einspielen",
    ),
    (
        "a job with this image is open; wait for its end or cancel it",
        "Ein Auftrag mit diesem Image läuft noch; sein Ende abwarten oder ihn abbrechen",
    ),
    ("the job is over: done", "Der Auftrag ist schon fertig"),
    ("the job is over: failed", "Der Auftrag ist schon gescheitert"),
    ("the job is over: cancelled", "Der Auftrag ist schon abgebrochen"),
    ("job {} is over or was taken back", "Der Auftrag {} ist vorbei oder wurde abgebrochen"),
    ("there is such a job already", "Diesen Auftrag gibt es schon"),
    ("this session exists already", "Diese Sitzung gibt es schon; noch einmal anmelden"),
    (
        "another version was added at the same moment; try again",
        "Im selben Augenblick kam eine andere Version hinzu; noch einmal versuchen",
    ),
    (
        "the room still has devices; move or delete them first",
        "Im Raum sind noch Geräte; sie zuerst verschieben oder löschen",
    ),
    ("a room's name must have 1 to 60 printable characters", "Ein Raumname hat 1 bis 60 druckbare Zeichen"),
    (
        "an image's name must have 1 to 60 printable characters",
        "Ein Imagename hat 1 bis 60 druckbare Zeichen",
    ),
    (
        "a user name must have 1 to 60 characters and no spaces",
        "Ein Anmeldename hat 1 bis 60 Zeichen, keine Leerzeichen",
    ),
    ("{} rules at once are more than {}", "{} Regeln auf einmal sind mehr als {}"),
    ("the rule would end before it begins", "Die Regel würde enden, bevor sie beginnt"),
    ("this rule exists already", "Diese Regel gibt es schon"),
    (
        "there is a group named {} already",
        "Eine Klasse oder Gruppe namens {} gibt es schon; einen anderen Namen wählen",
    ),
    (
        "a group's name must have 1 to 60 printable characters",
        "Ein Gruppenname hat 1 bis 60 druckbare Zeichen",
    ),
    ("lesson {} is there twice", "Die {}. Stunde steht zweimal da"),
    (
        "a list of the school's own may have at most 1 MiB",
        "Eine eigene Liste darf höchstens 1 MiB groß sein; größere von einer Adresse laden lassen",
    ),
    (
        "this list cannot have names of the school's own and a source",
        "Diese Liste hat entweder eigene Namen oder eine Quelle, nicht beides",
    ),
    (
        "a rule's name must have 1 to 60 printable characters",
        "Der Name einer Regel braucht 1 bis 60 druckbare Zeichen",
    ),
    ("this rule is too long; make several of it", "Diese Regel ist zu lang; mehrere daraus machen"),
    (
        "there are too many rules for iPads; delete what is not needed any more",
        "Es gibt zu viele Regeln für iPads; löschen, was nicht mehr gebraucht wird",
    ),
    ("these are too many apps for an exam", "Das sind zu viele Apps für eine Klausur"),
    (
        "an exam's name must have 1 to 60 printable characters",
        "Der Name einer Klausur braucht 1 bis 60 druckbare Zeichen",
    ),
    (
        "nobody sits this exam; choose a room or a class",
        "Niemand schreibt diese Klausur mit; einen Raum oder eine Klasse wählen",
    ),
    ("no weekday is chosen; choose at least one", "Es ist kein Wochentag gewählt; mindestens einen wählen"),
    (
        "the timetable is full; delete what is not needed any more",
        "Der Zeitplan ist voll; löschen, was nicht mehr gebraucht wird",
    ),
    ("this exam is over; begin a new one", "Diese Klausur ist beendet; eine neue beginnen"),
    ("there is a list named {} already", "Eine Liste namens {} gibt es schon; einen anderen Namen wählen"),
    ("a filter may use at most {} lists", "Ein Filter darf höchstens {} Listen verwenden"),
    (
        "there is a filter named {} already",
        "Einen Filter namens {} gibt es schon; einen anderen Namen wählen",
    ),
    ("a filter cannot use a list twice", "Ein Filter kann eine Liste nicht zweimal verwenden"),
    ("a name must have 1 to 60 printable characters", "Ein Name hat 1 bis 60 druckbare Zeichen"),
    (
        "a source must be an address that begins with https:// or http://",
        "Eine Quelle ist eine Adresse, die mit https:// oder http:// beginnt",
    ),
    ("two entries begin on {}", "Zwei Einträge beginnen am {}"),
    ("{} overlaps {} ({})", "{} überschneidet sich mit {} ({}); einen anderen Adressbereich wählen"),
    (
        "only the last import can be taken back, and only for 90 days",
        "Nur der letzte Import lässt sich rückgängig machen, und nur 90 Tage lang",
    ),
    ("this file was taken over already", "Diese Datei ist schon übernommen"),
    (
        "somebody changed people or classes at the same moment; try again",
        "Im selben Augenblick hat jemand Personen oder Klassen geändert; noch einmal versuchen",
    ),
    (
        "somebody changed devices or rooms at the same moment; try again",
        "Im selben Augenblick hat jemand Geräte oder Räume geändert; noch einmal versuchen",
    ),
    (
        "could not {}: something it refers to is missing, or something still refers to it",
        "Das ging nicht ({}): etwas Zugehöriges fehlt oder hängt noch daran; die Seite neu laden",
    ),
];

/// What can be wrong with a text.
const PARSE_PROBLEMS: &[(&str, &str)] = &[
    (
        "expected an address such as 10.0.5.7, or a network such as 10.0.5.0/24",
        "eine Adresse wie 10.0.5.7 oder ein Netz wie 10.0.5.0/24 wird erwartet",
    ),
    ("this is half the internet", "das ist das halbe Internet"),
    ("expected 1 to 4094", "1 bis 4094 wird erwartet"),
    ("expected twelve hexadecimal digits", "zwölf hexadezimale Ziffern werden erwartet"),
    (
        "this is a group address, not the address of one card",
        "das ist eine Gruppenadresse, nicht die Adresse einer Karte",
    ),
    ("the all-zero address belongs to no card", "die Adresse aus Nullen gehört keiner Karte"),
    ("must have 1 to 63 characters", "1 bis 63 Zeichen sind erlaubt"),
    (
        "may hold only letters a to z, digits and hyphens",
        "nur Buchstaben a bis z, Ziffern und Bindestriche sind erlaubt",
    ),
    ("must not begin or end with a hyphen", "am Anfang und am Ende darf kein Bindestrich stehen"),
    ("must not be all digits", "nur Ziffern sind nicht erlaubt"),
    ("expected 64 lower-case hexadecimal digits", "64 kleine hexadezimale Ziffern werden erwartet"),
    ("expected ADDRESS/PREFIX", "erwartet wird Adresse/Länge, zum Beispiel 10.77.0.0/22"),
    ("the part before / is no IPv4 address", "vor dem Schrägstrich steht keine IPv4-Adresse"),
    ("the part after / is no number", "nach dem Schrägstrich steht keine Zahl"),
    ("the prefix must lie between 8 and 30", "die Länge muss zwischen 8 und 30 liegen"),
    (
        "host bits are set; write the network's first address",
        "das ist nicht die erste Adresse des Netzes; die erste angeben",
    ),
    ("expected on, filtered, allow_list or off", "erwartet wird on, filtered, allow_list oder off"),
    ("there is no such role", "diese Rolle gibt es nicht"),
    ("expected a UUID", "eine UUID wird erwartet"),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    /// Reads the inventory's source: whoever adds a refusal there is told to translate it here.
    #[test]
    fn every_refusal_of_the_inventory_exists_in_german() {
        let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory/src")];
        let mut found = 0;
        while let Some(path) = folders.pop() {
            if path.is_dir() {
                folders.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
                continue;
            }
            let source = fs::read_to_string(path).unwrap();
            for marker in ["Error::Conflict(", "Self::Conflict(", "Error::unique("] {
                for (at, _) in source.match_indices(marker) {
                    // Tests match on the variant; they have no literal directly behind it.
                    let rest = &source[at + marker.len()..];
                    let Some(text) = sentence_in(rest) else { continue };
                    found += 1;
                    assert_ne!(super::inventory(Lang::De, &text), text, "no German for {text:?}");
                }
            }
        }
        assert!(found >= 20, "the source is not read any more: {found}");
    }

    /// The last literal of a call, its placeholders filled.
    fn sentence_in(call: &str) -> Option<String> {
        let mut depth = 1;
        let mut in_text = false;
        let mut literals = Vec::new();
        let mut literal = String::new();
        for c in call.chars() {
            match c {
                '"' => {
                    if in_text {
                        literals.push(std::mem::take(&mut literal));
                    }
                    in_text = !in_text;
                }
                c if in_text => literal.push(c),
                '(' => depth += 1,
                ')' => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
        let text = literals.pop().filter(|text| text.contains(' ') && !text.starts_with("SELECT"))?;
        let mut filled = String::new();
        let mut inside = false;
        for c in text.chars() {
            match c {
                '{' => inside = true,
                '}' => {
                    inside = false;
                    filled.push_str("done");
                }
                c if !inside => filled.push(c),
                _ => {}
            }
        }
        Some(filled)
    }

    #[test]
    fn every_way_a_text_can_be_wrong_exists_in_german() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inventory/src/types.rs");
        let source = fs::read_to_string(source).unwrap();
        let mut found = 0;
        for (at, _) in source.match_indices("bad(\"") {
            let text = source[at + 5..].split('"').next().unwrap();
            found += 1;
            assert!(PARSE_PROBLEMS.iter().any(|(en, _)| *en == text), "no German for {text:?}");
        }
        assert!(found >= 10);
    }

    #[test]
    fn a_refusal_says_what_is_wrong_and_what_to_do() {
        let problem = Problem::Inventory(
            "r204-pc01 is an approved device; choose another name, or replace that device".into(),
        );
        let said = problem.say(Lang::De);
        assert_eq!(said.text, "r204-pc01 ist ein freigegebenes Gerät.");
        assert_eq!(said.remedy, "Einen anderen Namen wählen oder jenes Gerät ersetzen.");
        let unknown = Problem::Inventory("the moon is full".into());
        assert_eq!(unknown.say(Lang::De).text, "The moon is full.");
        let overlap = Problem::Inventory("10.0.0.0/8 overlaps Lehrer (10.1.0.0/16)".into());
        assert_eq!(overlap.say(Lang::De).text, "10.0.0.0/8 überschneidet sich mit Lehrer (10.1.0.0/16).");
    }

    proptest! {
        #[test]
        fn any_text_can_be_said(text in "\\PC*", pattern in "[a-z{} ]{0,20}") {
            let _ = captured(&pattern, &text);
            for lang in Lang::ALL {
                let _ = Problem::Inventory(text.clone()).say(lang);
            }
        }
    }
}
