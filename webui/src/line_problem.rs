//! What is wrong with a line of a file, and what to do, in both languages.

use inventory::import::{FileProblem, What};

use crate::lang::Lang;
use crate::problem::{Problem, Said, said};

/// Why a file cannot be read at all.
pub(crate) fn say_file(lang: Lang, problem: &FileProblem) -> Said {
    let de = match problem {
        FileProblem::Empty => "Die Datei ist leer; sie noch einmal exportieren".to_owned(),
        FileProblem::TooLarge => "Die Datei ist größer als 8 MiB; sie aufteilen".to_owned(),
        FileProblem::TooManyLines => "Die Datei hat mehr als 100.000 Zeilen; sie aufteilen".to_owned(),
        FileProblem::NoText => "Die Datei ist kein Text; sie als CSV speichern".to_owned(),
        FileProblem::UnknownColumns(needed) => {
            format!("Die Spalten sind nicht bekannt; die erste Zeile muss sie nennen, mindestens: {needed}")
        }
    };
    match lang {
        Lang::De => said(&de),
        Lang::En => said(&problem.to_string()),
    }
}

/// What is wrong with a line.
pub(crate) fn say_line(lang: Lang, what: &What) -> Said {
    let (de, en) = match what {
        What::OpenQuote => (
            "Ein Anführungszeichen wird geöffnet und nicht geschlossen; die Zeile berichtigen".into(),
            "A quotation mark is opened and never closed; mend the line".into(),
        ),
        What::Parse(error) => return Problem::Parse(error.clone()).say(lang),
        What::NoName => (
            "Vorname oder Nachname fehlt; beide eintragen".into(),
            "The first or the last name is missing; fill in both".into(),
        ),
        What::BadName(text) => (
            format!("„{text}“ ist zu lang oder enthält Steuerzeichen; höchstens 60 Zeichen verwenden"),
            format!("\"{text}\" is too long or holds control characters; use at most 60 characters"),
        ),
        What::NoRole(text) => (
            format!("„{text}“ sind weder Schüler noch Lehrkräfte; solche Personen von Hand anlegen"),
            format!("\"{text}\" are neither pupils nor teachers; add such people by hand"),
        ),
        What::BadLogin(text) => (
            format!("„{text}“ kann kein Anmeldename sein; 1 bis 60 Zeichen ohne Leerzeichen verwenden"),
            format!("\"{text}\" cannot be a sign-in name; use 1 to 60 characters and no spaces"),
        ),
        What::LoginTaken(text) => (
            format!("Der Anmeldename {text} gehört einer anderen Person; einen anderen eintragen oder das Feld leeren"),
            format!("The sign-in name {text} belongs to somebody else; choose another one or leave the field empty"),
        ),
        What::SameId(text) => (
            format!("Die ID {text} steht noch in einer anderen Zeile, die frühere gilt; eine der beiden berichtigen"),
            format!("The id {text} stands in another line, too, and the earlier one holds; mend one of the two"),
        ),
        What::SameLogin(text) => (
            format!("Der Anmeldename {text} steht noch in einer anderen Zeile, die frühere gilt; einen der beiden ändern"),
            format!("The sign-in name {text} stands in another line, too, and the earlier one holds; change one of the two"),
        ),
        What::SamePerson => (
            "Diese Zeile meint dieselbe Person wie eine andere; eine der beiden streichen".into(),
            "This line is about the same person as another one; remove one of the two".into(),
        ),
        What::Namesakes => (
            "Zwei Zeilen haben denselben Namen und keine ID, keine von beiden wird übernommen; eine Spalte ID mitexportieren".into(),
            "Two lines have the same name and no id, and none of them is taken over; export a column with ids, too".into(),
        ),
        What::WhichPerson => (
            "Mehrere bekannte Personen heißen so; eine ID oder den Anmeldenamen eintragen".into(),
            "Several known people have that name; fill in an id or the sign-in name".into(),
        ),
        What::ShortPassword => (
            "Das Kennwort hat weniger als 10 Zeichen; die Person bekommt ein zufälliges".into(),
            "The password has fewer than 10 characters; the person gets a random one".into(),
        ),
        What::NoCard => (
            "Die MAC-Adresse fehlt; sie eintragen, sonst ist das Gerät nicht zu erkennen".into(),
            "The MAC address is missing; fill it in, or the device cannot be recognised".into(),
        ),
        What::NoRoom => (
            "Der Raum fehlt; ihn eintragen oder beim Hochladen einen für solche Geräte nennen".into(),
            "The room is missing; fill it in, or name one for such devices when uploading".into(),
        ),
        What::SameCard(text) => (
            format!("Die MAC-Adresse {text} steht noch in einer anderen Zeile, die frühere gilt; eine der beiden berichtigen"),
            format!("The MAC address {text} stands in another line, too, and the earlier one holds; mend one of the two"),
        ),
        What::SameName(text) => (
            format!("Der Name {text} steht noch in einer anderen Zeile, die frühere gilt; einen der beiden ändern"),
            format!("The name {text} stands in another line, too, and the earlier one holds; change one of the two"),
        ),
        What::SameAddress(ip) => (
            format!("Die Adresse {ip} steht noch in einer anderen Zeile, die frühere gilt; eine der beiden ändern"),
            format!("The address {ip} stands in another line, too, and the earlier one holds; change one of the two"),
        ),
        What::SameDevice(name) => (
            format!("Dasselbe Gerät, {name}, ist schon von einer anderen Zeile gemeint; LAN und WLAN in eine Zeile schreiben"),
            format!("The same device, {name}, is meant by another line already; write LAN and WLAN into one line"),
        ),
        What::TwoDevices(one, two) => (
            format!("Die Netzwerkkarten gehören zwei Geräten, {one} und {two}; eines der beiden löschen oder die Zeile trennen"),
            format!("The network cards belong to two devices, {one} and {two}; delete one of them or split the line"),
        ),
        What::CardTaken(text) => (
            format!("Die Netzwerkkarte {text} gehört einem anderen Gerät; jenes ändern oder löschen"),
            format!("The network card {text} belongs to another device; change or delete that one"),
        ),
        What::NameTaken(text) => (
            format!("Der Name {text} gehört einem anderen Gerät; einen anderen eintragen"),
            format!("The name {text} belongs to another device; choose another one"),
        ),
        What::AddressTaken(ip) => (
            format!("Die Adresse {ip} ist für ein anderes Gerät reserviert; eine andere eintragen"),
            format!("The address {ip} is reserved for another device; choose another one"),
        ),
        What::NoAddress(text) => (
            format!("„{text}“ ist keine IPv4-Adresse, das Gerät bekommt keine feste; zum Beispiel 10.77.1.20 eintragen"),
            format!("\"{text}\" is no IPv4 address, and the device gets no fixed one; write for example 10.77.1.20"),
        ),
        What::NoNetwork(ip) => (
            format!("{ip} liegt in keinem Netz, das Gerät bekommt keine feste Adresse; das Netz anlegen oder die Adresse ändern"),
            format!("{ip} lies in no network, and the device gets no fixed address; add the network or change the address"),
        ),
        What::Router(ip) => (
            format!("{ip} ist die Adresse eines Routers, das Gerät bekommt keine feste; eine andere eintragen"),
            format!("{ip} is a router's address, and the device gets no fixed one; choose another one"),
        ),
        What::NoOwner(text) => (
            format!("„{text}“ ist niemand, den wir kennen, der Besitz bleibt, wie er ist; den Anmeldenamen eintragen"),
            format!("\"{text}\" is nobody whom we know, and the owner stays as it is; fill in the sign-in name"),
        ),
        What::NoFlag(text) => (
            format!("„{text}“ ist weder ja noch nein und wird übergangen; ja oder nein eintragen"),
            format!("\"{text}\" is neither yes nor no and is passed over; write yes or no"),
        ),
    };
    said(match lang {
        Lang::De => &de,
        Lang::En => &en,
    })
}
