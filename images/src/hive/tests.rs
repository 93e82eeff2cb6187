//! Reading and changing a hive that hivexregedit made (`tests/hives/system.reg`).

use proptest::prelude::*;

use super::*;

const SYSTEM: &[u8] = include_bytes!("../../tests/hives/system.hive");
const NAME: &str = r"ControlSet002\Control\ComputerName\ComputerName";
const TCPIP: &str = r"controlset002\SERVICES\Tcpip\parameters";

fn system() -> Hive {
    Hive::parse(SYSTEM.to_vec()).unwrap()
}

fn text(hive: &Hive, key: &str, name: &str) -> String {
    hive.value(key, name).unwrap().text().unwrap()
}

#[test]
fn keys_and_values_are_found_whatever_their_case() {
    let hive = system();
    assert_eq!(hive.value("Select", "default").unwrap().number(), Some(2));
    assert_eq!(text(&hive, NAME, "COMPUTERNAME"), "REFERENZ");
    assert_eq!(text(&hive, TCPIP, "nv hostname"), "REFERENZ");
    assert_eq!(text(&hive, TCPIP, "DataBasePath"), r"%SystemRoot%\d");
    assert_eq!(text(&hive, TCPIP, "Domain"), "");
    assert_eq!(hive.keys("").unwrap(), ["ControlSet001", "ControlSet002", "Select", "Setup"]);
    let missing = |key: &str, name: &str| hive.value(key, name).unwrap_err();
    assert_eq!(missing(r"Select\Nothing", "x"), HiveError::Missing(r"Select\Nothing".into()));
    assert_eq!(missing("Select", "x"), HiveError::Missing(r"Select\x".into()));
    assert_eq!(hive.changes(), Vec::<Vec<(u64, Vec<u8>)>>::new());
}

#[test]
fn a_text_is_changed_in_place_in_a_free_cell_or_in_a_new_bin() {
    let long = "x".repeat(700);
    let longest = "y".repeat(3000);
    for text_now in ["A", "", "PC-07", "R204-PC07", &long, &longest] {
        let mut hive = system();
        hive.set_text(NAME, "ComputerName", text_now).unwrap();
        let bytes = hive.to_bytes();
        assert_eq!(bytes.len() % 4096, 0);
        let again = Hive::parse(bytes).unwrap();
        assert_eq!(text(&again, NAME, "ComputerName"), text_now);
        assert_eq!(text(&again, TCPIP, "Hostname"), "REFERENZ", "nothing else changes");
        assert_eq!(again.value(NAME, "").unwrap(), system().value(NAME, "").unwrap());
    }
}

#[test]
fn the_same_text_changes_nothing() {
    let mut hive = system();
    hive.set_text(NAME, "ComputerName", "REFERENZ").unwrap();
    assert!(hive.changes().is_empty());
    assert_eq!(hive.to_bytes(), SYSTEM);
}

#[test]
fn a_number_is_not_overwritten_with_a_text() {
    let error = system().set_text("Select", "Default", "3").unwrap_err();
    assert_eq!(error, HiveError::NoText(r"Select\Default".into()));
    let error = system().set_text(NAME, "ComputerName", &"z".repeat(10_000)).unwrap_err();
    assert_eq!(error, HiveError::TooLong(10_000));
}

#[test]
fn a_file_that_was_cut_off_between_the_steps_says_that_it_is_unfinished() {
    let mut hive = system();
    hive.set_text(NAME, "ComputerName", &"n".repeat(900)).unwrap();
    let steps = hive.changes();
    assert_eq!(steps.len(), 3);
    let mut file = SYSTEM.to_vec();
    for (number, step) in steps.iter().enumerate() {
        for (at, bytes) in step {
            let at = *at as usize;
            file.resize(file.len().max(at + bytes.len()), 0);
            file[at..at + bytes.len()].copy_from_slice(bytes);
            let read = Hive::parse(file.clone());
            if number < 2 {
                assert_eq!(read.unwrap_err(), HiveError::Unfinished);
            } else {
                assert_eq!(text(&read.unwrap(), NAME, "ComputerName").len(), 900);
            }
        }
    }
    assert_eq!(file, hive.to_bytes());
}

#[test]
fn what_windows_did_not_finish_is_refused_with_the_remedy() {
    let mut bytes = SYSTEM.to_vec();
    bytes[4] ^= 1;
    let error = Hive::parse(bytes).unwrap_err();
    assert_eq!(error, HiveError::Unfinished);
    assert!(error.to_string().contains("shutdown /s /t 0"));
    assert!(matches!(Hive::parse(b"regf".to_vec()), Err(HiveError::Foreign(_))));
    assert!(matches!(Hive::parse(Vec::new()), Err(HiveError::Foreign(_))));
}

/// A hive whose numbers are wrong, but whose checksum is right, so that the numbers are looked at.
fn broken(changes: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = SYSTEM.to_vec();
    for (at, value) in changes {
        // Bytes of the base block that decide whether anything else is read stay as they are.
        let at = 36 + at % (bytes.len() - 36);
        bytes[at] = *value;
    }
    let sum = checksum(&bytes).unwrap();
    bytes[508..512].copy_from_slice(&sum.to_le_bytes());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn a_broken_hive_is_an_error_or_a_hive_and_stays_one(
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 1..12), length in 0usize..2000
    ) {
        let Ok(mut hive) = Hive::parse(broken(&changes)) else { return Ok(()) };
        for key in ["", "Select", NAME, TCPIP] {
            let _ = hive.keys(key);
        }
        let name = "n".repeat(length);
        if hive.set_text(NAME, "ComputerName", &name).is_ok() {
            let again = Hive::parse(hive.to_bytes()).unwrap();
            prop_assert_eq!(text(&again, NAME, "ComputerName"), name);
        }
    }

    #[test]
    fn every_text_is_read_back(texts in prop::collection::vec("[^\0]{0,400}", 1..8)) {
        let mut hive = system();
        for now in &texts {
            hive.set_text(TCPIP, "Hostname", now).unwrap();
            prop_assert_eq!(&text(&hive, TCPIP, "Hostname"), now);
        }
        let again = Hive::parse(hive.to_bytes()).unwrap();
        prop_assert_eq!(&text(&again, TCPIP, "Hostname"), texts.last().unwrap());
        prop_assert_eq!(text(&again, NAME, "ComputerName"), "REFERENZ");
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        let _ = Hive::parse([b"regf".to_vec(), bytes].concat());
    }
}

const SERVICE: &str = r"ControlSet002\Services\HausmeisterAgent";

#[test]
fn a_key_with_values_is_made_and_everything_else_stays() {
    let mut hive = system();
    let before = hive.keys(r"ControlSet002\Services").unwrap();
    hive.make_key(SERVICE).unwrap();
    hive.make_key(SERVICE).unwrap();
    let values = [
        ("Start", Value::of_number(2)),
        ("ImagePath", Value::of_text(REG_EXPAND_SZ, "\"%ProgramFiles%\\a.exe\" service")),
        ("FailureActions", Value { kind: REG_BINARY, data: vec![7; 44] }),
        ("Start", Value::of_number(3)),
    ];
    for (name, value) in &values {
        hive.put_value(SERVICE, name, value).unwrap();
    }
    let again = Hive::parse(hive.to_bytes()).unwrap();
    for (name, value) in values.iter().skip(1) {
        assert_eq!(again.value(SERVICE, name).unwrap(), *value);
    }
    let mut expected = before;
    expected.push("HausmeisterAgent".into());
    expected.sort();
    assert_eq!(again.keys(r"ControlSet002\Services").unwrap(), expected);
    assert_eq!(text(&again, TCPIP, "Hostname"), "REFERENZ");
    // The same again is no change.
    let mut same = again.clone();
    same.make_key(SERVICE).unwrap();
    same.put_value(SERVICE, "Start", &Value::of_number(3)).unwrap();
    assert!(same.changes().is_empty());
    assert!(same.make_key(r"Nothing\x").is_err() && same.make_key("ü").is_err());
}

proptest! {
    #[test]
    fn keys_are_found_in_whatever_order_they_were_made(names in proptest::collection::btree_set("[a-zA-Z][a-zA-Z0-9_ ]{0,12}", 1..60)) {
        let mut hive = system();
        let mut names: Vec<String> = names.into_iter().collect();
        names.sort_by_key(|name| blake3::hash(name.as_bytes()).to_hex().to_string());
        for name in &names {
            hive.make_key(&format!(r"Setup\{name}")).unwrap();
            hive.put_value(&format!(r"Setup\{name}"), "Wert", &Value::of_text(REG_SZ, name)).unwrap();
        }
        let again = Hive::parse(hive.to_bytes()).unwrap();
        let mut found: Vec<String> = again.keys("Setup").unwrap().iter().map(|n| n.to_uppercase()).collect();
        let in_order = found.clone();
        found.sort();
        prop_assert_eq!(&found, &in_order);
        for name in &names {
            let found = again.value(&format!(r"Setup\{name}"), "Wert");
            prop_assert!(found.is_ok());
        }
    }
}
