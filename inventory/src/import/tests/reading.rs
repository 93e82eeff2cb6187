//! From bytes to rows: the formats, encodings and separators.

use proptest::prelude::*;

use super::*;

/// Rows as `role id login first last [classes] password`.
fn check_people(bytes: &[u8], expected: &[&str]) -> File<PersonRow> {
    let file = read_people(bytes, Role::Pupil).unwrap();
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    let row = |row: &PersonRow| {
        let classes = row.classes.as_ref().map_or("-".into(), |classes| classes.join("+"));
        let password = row.password.as_ref().map_or("-", |password| &password.0);
        let (id, login) = (text(&row.external_id), text(&row.login));
        format!(
            "{} {id} {login} {} {} [{classes}] {password}",
            row.role.text(),
            row.first_name,
            row.last_name
        )
    };
    assert_eq!(file.rows.iter().map(row).collect::<Vec<_>>(), expected);
    file
}

#[test]
fn exports_of_people_in_their_usual_forms_are_read() {
    // IServ.
    let file = check_people(
        b"Vorname,Nachname,Klasse,Passwort\nLea,\"M\xc3\xbcller, geb. Kurz\",7b,ein langes Kennwort\n",
        &["pupil - - Lea Müller, geb. Kurz [7b] ein langes Kennwort"],
    );
    assert_eq!((file.form.separator, file.form.encoding, file.form.format), (',', "UTF-8", Format::Heading));
    // linuxmuster students.csv and teachers.csv.
    let file = check_people(
        "# Klasse;Nachname;Vorname;Geburtsdatum;ID\n7b;Müller;Lea;31.12.2012;4711;\n\n7c;Weiß;Ömer;1.2.2012;;\n".as_bytes(),
        &["pupil 4711 - Lea Müller [7b] -", "pupil - - Ömer Weiß [7c] -"],
    );
    assert_eq!((file.form.format, file.rows[1].line), (Format::LinuxmusterPeople, 4));
    check_people(b"lehrer;Kurz;Jana;5.6.1980;KUR;\n", &["teacher - kur Jana Kurz [-] -"]);
    // WebUntis, with tabs.
    let file = check_people(
        b"name\tlongName\tforeName\tgender\tbirthDate\tklasse.name\texternKey\nMueLea\tMueller\tLea\tW\t31.12.2012\t7b\t99\n",
        &["pupil 99 - Lea Mueller [7b] -"],
    );
    assert_eq!(file.form.ignored, ["name", "gender", "birthDate"]);
    check_people(b"Vorname\tFamilienname\tKlasse\nLea\tKurz\t7b", &["pupil - - Lea Kurz [7b] -"]);
    // SchILD and DaNiS.
    check_people(
        b"\"Nachname\";\"Vorname\";\"Klasse\";\"Status\";\"Interne ID-Nummer\";\"Schild-ID\"\n\"Kurz\";\"Lea\";\"7b\";\"2\";\"1\";\"812\"\n",
        &["pupil 812 - Lea Kurz [7b] -"],
    );
    check_people(
        b"SchuelerIdentNummer;SchuelerRufname;SchuelerNachname;GruppeBezeichung\n5;Lea;Kurz;7b\n",
        &["pupil 5 - Lea Kurz [7b] -"],
    );
    // ASV-BW.
    check_people(
        b"Rufname;Familienname;E-Mail;Geburtsdatum;Klasse\nLea;Kurz;;31.12.2012;7b\n",
        &["pupil - - Lea Kurz [7b] -"],
    );
    // UCS, with several classes and roles of its own.
    let file = check_people(
        b"Schulen,Benutzertyp,Vorname,Nachname,Klassen\nGYM,student,Lea,Kurz,7b\nGYM,teacher,Jana,Weiss,\"7b,8a\"\nGYM,staff,Uwe,Amt,\n",
        &["pupil - - Lea Kurz [7b] -", "teacher - - Jana Weiss [7b+8a] -", "pupil - - Uwe Amt [] -"],
    );
    assert_eq!(wrong(&file.problems), ["4 NoRole"]);
}

/// Rows as `room name cards owner staff`.
fn check_devices(text: &str, expected: &[&str]) -> File<DeviceRow> {
    let file = list(text);
    let row = |row: &DeviceRow| {
        let cards: Vec<String> = row
            .cards
            .iter()
            .map(|(mac, kind, ip)| format!("{mac}/{kind:?}/{}", ip.map_or("-".into(), |ip| ip.to_string())))
            .collect();
        let name = row.name.as_ref().map_or("-", |name| name.as_str());
        let or = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let staff = row.staff.map_or("-".to_owned(), |staff| staff.to_string());
        format!("{} {name} {} {} {staff}", or(&row.room), cards.join(" "), or(&row.owner))
    };
    assert_eq!(file.rows.iter().map(row).collect::<Vec<_>>(), expected);
    file
}

#[test]
fn lists_of_devices_in_their_usual_forms_are_read() {
    // Our own.
    let file = check_devices(
        "Raum;Name;MAC LAN;MAC-Adresse (WLAN);IP-Adresse;Inventarnr;Besitzer;Lehrergerät\n\
         R204;R204-01;00-11-22-33-44-55;0011.2233.4466;10.77.0.9;4711;kur;ja\nR204;;001122334477;;;;;nein\n",
        &[
            "R204 r204-01 00:11:22:33:44:55/Lan/10.77.0.9 00:11:22:33:44:66/Wlan/- kur true",
            "R204 - 00:11:22:33:44:77/Lan/- - false",
        ],
    );
    assert_eq!((file.form.ignored, file.problems), (vec!["Inventarnr".to_owned()], vec![]));
    // linuxmuster.
    let file = check_devices(
        "#room;host;group;mac;ip\nr100;r100-pc01;group1;00:11:22:33:44:55;10.16.100.1;;;;classroom-studentcomputer;;1;;;;;\n\
         r100;r100-lpc;group1;00:11:22:33:44:66;DHCP;;;;classroom-teachercomputer;;1;;;;;\n",
        &[
            "r100 r100-pc01 00:11:22:33:44:55/Lan/10.16.100.1 - false",
            "r100 r100-lpc 00:11:22:33:44:66/Lan/- - true",
        ],
    );
    assert_eq!(file.form.format, Format::LinuxmusterDevices);
    // UCS import_computer: a network means the next free address.
    let file = check_devices(
        "windows\twin01\t00:11:22:33:44:55\tGYM\t10.200.42.7/24\twindows\tid-1\nmacos\tmac01\t00:11:22:33:44:66\tGYM\t10.200.42.0/24\n",
        &["- win01 00:11:22:33:44:55/Lan/10.200.42.7 - -", "- mac01 00:11:22:33:44:66/Lan/- - -"],
    );
    assert_eq!((file.form.format, file.form.separator), (Format::Ucs, '\t'));
    // CRANIX.
    check_devices(
        "Room;MAC;Serial;Inventary;Locality;HWConf;Owner;Name;IP;WLANMAC;WLANIP;Row;Place\n\
         R204;00:11:22:33:44:55;S1;I1;EG;Win;kur;pc01;10.77.0.9;00:11:22:33:44:66;10.77.0.10;1;2\n",
        &["R204 pc01 00:11:22:33:44:55/Lan/10.77.0.9 00:11:22:33:44:66/Wlan/10.77.0.10 kur -"],
    );
    // FOG, with and without a heading.
    let file = check_devices(
        "pc01,00:11:22:33:44:55|00:11:22:33:44:66,Gruppe\npc02,00:11:22:33:44:77,\n",
        &["- pc01 00:11:22:33:44:55/Lan/- 00:11:22:33:44:66/Lan/- - -", "- pc02 00:11:22:33:44:77/Lan/- - -"],
    );
    assert_eq!(file.form.format, Format::Fog);
    check_devices("name,primac\npc01,00:11:22:33:44:55\n", &["- pc01 00:11:22:33:44:55/Lan/- - -"]);
}

#[test]
fn every_usual_encoding_is_found_out() {
    let text = "Vorname;Nachname;Klasse\r\nJürgen;Groß;7b\r\n";
    let utf16 = |little: bool| {
        let unit = |unit: u16| if little { unit.to_le_bytes() } else { unit.to_be_bytes() };
        std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(unit).collect::<Vec<u8>>()
    };
    let single: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (bytes, encoding) in [
        (text.as_bytes().to_vec(), "UTF-8"),
        ([b"\xef\xbb\xbf", text.as_bytes()].concat(), "UTF-8"),
        (utf16(true), "UTF-16LE"),
        (utf16(false), "UTF-16BE"),
        (single, "windows-1252"),
    ] {
        let file = check_people(&bytes, &["pupil - - Jürgen Groß [7b] -"]);
        assert_eq!(file.form.encoding, encoding);
    }
    // Š, œ and € tell the two apart.
    let file = check_people(b"Vorname;Nachname\nBo\xfe;\x8aimi\xe6", &["pupil - - Boþ Šimiæ [-] -"]);
    assert_eq!(file.form.encoding, "windows-1252");
    let file = check_people(b"Vorname;Nachname\nEva;\xa6imon\xbdu", &["pupil - - Eva Šimonœu [-] -"]);
    assert_eq!(file.form.encoding, "ISO-8859-15");
}

#[test]
fn what_is_no_list_is_refused_with_a_reason() {
    let check = |bytes: &[u8], expected: FileProblem| {
        assert_eq!(read_people(bytes, Role::Pupil).map(|file| file.rows.len()), Err(expected));
    };
    check(b"", FileProblem::Empty);
    check(b"\xef\xbb\xbf\n \n# nur ein Kommentar\n", FileProblem::Empty);
    check(b"Vorname;Nachname\n", FileProblem::Empty);
    check(b"PK\x03\x04\x14\x00\x06\x00", FileProblem::NoText);
    check(b"Anrede;Ort\nFrau;Bonn\n", FileProblem::UnknownColumns("Vorname, Nachname"));
    check(&vec![b'a'; FILE_BYTES_MAX + 1], FileProblem::TooLarge);
    check("a;b\n".repeat(LINES_MAX + 1).as_bytes(), FileProblem::TooManyLines);
    assert!(matches!(read_devices(b"Name;Farbe\npc01;blau\n"), Err(FileProblem::UnknownColumns(_))));
}

#[test]
fn a_bad_line_costs_only_itself() {
    let mut text = String::from("Raum;Name;MAC\n");
    for n in 2..=1000 {
        let mac = if n == 412 {
            "00:11:22:33:44:zz".to_owned()
        } else {
            format!("52:54:00:00:{:02x}:{:02x}", n / 256, n % 256)
        };
        text.push_str(&format!("R{};pc{n};{mac}\n", n / 30));
    }
    let file = list(&text);
    assert_eq!(wrong(&file.problems), ["412 Parse"]);
    let plan = plan_devices(&file, &Fleet::default(), "", SOME);
    assert_eq!((plan.counts().new, plan.counts().problems), (998, 1));

    let file = list(
        "Raum;Name;MAC\nR1;\"offen;52:54:00:00:00:01\nR1;pc2;52:54:00:00:00:02\nR1;b\u{fc}ro;52:54:00:00:00:03\nR1;pc4;\n",
    );
    assert_eq!(wrong(&file.problems), ["2 OpenQuote", "4 Parse", "5 NoCard"]);
    assert_eq!(file.rows.iter().filter(|row| !row.broken).count(), 1);
    let file = pupils("Vorname;Nachname;Login;Passwort\nLea;;lea;\nLea;Kurz;l k;\nEva;Lang;eva;kurz\n");
    assert_eq!(wrong(&file.problems), ["2 NoName", "3 BadLogin", "4 ShortPassword"]);
    assert!(!file.rows[2].broken && file.rows[2].password.is_none());
}

#[test]
fn a_password_is_shown_by_nothing() {
    let file = pupils("Vorname;Nachname;Passwort\nLea;Kurz;streng geheim\n");
    let plan = plan_people(&file, &People::default(), SOME);
    assert!(!format!("{file:?}{plan:?}").contains("geheim"));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400), head in 0..4_usize) {
        let head = ["", "Vorname;Nachname;Klasse;ID\n", "Raum,Name,MAC,IP\n", "\u{feff}r1;h;g;52:54:00:00:00:01;1.2.3.4;;;;x\n"][head];
        let bytes = [head.as_bytes(), &bytes].concat();
        if let Ok(file) = read_people(&bytes, Role::Pupil) {
            let _ = plan_people(&file, &People::default(), ALL);
        }
        if let Ok(file) = read_devices(&bytes) {
            let _ = plan_devices(&file, &Fleet::default(), "", ALL);
        }
    }

    #[test]
    fn fields_are_read_as_a_spreadsheet_writes_them(first in "[a-zA-Zäöü \"';,]{1,20}", last in "[a-zA-Zß\";,\t]{1,20}") {
        prop_assume!(!first.trim().is_empty() && !last.trim().is_empty());
        let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
        let file = pupils(&format!("Vorname;Nachname\n{};{}\n", quoted(&first), quoted(&last)));
        prop_assert_eq!(&file.rows[0].first_name, first.trim());
        // A tab is a control character and no part of a name.
        prop_assert_eq!(&file.rows[0].last_name, last.trim());
    }
}
