//! Registry files, with hivex as the judge of what was written.

use std::fs;
use std::path::Path;

use images::hive::{Hive, REG_BINARY, REG_SZ, Value};

use crate::tools::run;

const NAME: &str = r"ControlSet002\Control\ComputerName\ComputerName";

fn value(file: &Path, key: &str, name: &str) -> String {
    run("hivexget", &[file.to_str().unwrap(), key, name]).trim_end().to_owned()
}

fn everything(file: &Path) -> String {
    run("hivexregedit", &["--export", "--unsafe-printable-strings", file.to_str().unwrap(), r"\"])
}

#[test]
fn hivex_reads_what_was_changed_and_finds_everything_else_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("SYSTEM");
    fs::write(&file, include_bytes!("../hives/system.hive")).unwrap();
    let before = everything(&file);
    let mut hive = Hive::parse(fs::read(&file).unwrap()).unwrap();
    let long = "langername-".repeat(300);
    for (number, name) in ["PC", "R204-PC07", "R204-FENSTER-12345", &long, "E"].into_iter().enumerate() {
        hive.set_text(NAME, "ComputerName", name).unwrap();
        fs::write(&file, hive.to_bytes()).unwrap();
        assert_eq!(value(&file, NAME, "ComputerName"), name, "step {number}");
        let changed = everything(&file);
        let differs = before.lines().zip(changed.lines()).filter(|(a, b)| a != b).count();
        assert_eq!((differs, changed.lines().count()), (1, before.lines().count()));
    }
    // hivex walks all cells and writes the file anew in its own way.
    let reg = dir.path().join("more.reg");
    fs::write(&reg, "Windows Registry Editor Version 5.00\n\n[\\Select]\n\"Extra\"=\"ja\"\n").unwrap();
    run("hivexregedit", &["--merge", file.to_str().unwrap(), reg.to_str().unwrap()]);
    let again = Hive::parse(fs::read(&file).unwrap()).unwrap();
    assert_eq!(again.value("Select", "Extra").unwrap().text().unwrap(), "ja");
    assert_eq!(again.value(NAME, "ComputerName").unwrap().text().unwrap(), "E");
}

#[test]
fn hivex_reads_a_key_that_was_made_and_writes_beside_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("SYSTEM");
    fs::write(&file, include_bytes!("../hives/system.hive")).unwrap();
    let before = everything(&file);
    let mut hive = Hive::parse(fs::read(&file).unwrap()).unwrap();
    let key = r"ControlSet002\Services\HausmeisterAgent";
    hive.make_key(key).unwrap();
    hive.put_value(key, "Start", &Value::of_number(2)).unwrap();
    hive.put_value(key, "ImagePath", &Value::of_text(REG_SZ, "C:\\a b\\c.exe service")).unwrap();
    hive.put_value(key, "FailureActions", &Value { kind: REG_BINARY, data: vec![0xab; 44] }).unwrap();
    fs::write(&file, hive.to_bytes()).unwrap();
    assert_eq!(value(&file, key, "Start"), "2");
    assert_eq!(value(&file, key, "ImagePath"), "C:\\a b\\c.exe service");
    let after = everything(&file);
    assert!(after.contains(&["ab"; 44].join(",")), "{after}");
    // Everything that was there still is.
    let lines: std::collections::HashSet<&str> = after.lines().collect();
    assert!(before.lines().all(|line| lines.contains(line)));
    let reg = dir.path().join("more.reg");
    let more = format!("Windows Registry Editor Version 5.00\n\n[\\{key}\\Parameters]\n\"Extra\"=\"ja\"\n");
    fs::write(&reg, more).unwrap();
    run("hivexregedit", &["--merge", file.to_str().unwrap(), reg.to_str().unwrap()]);
    let again = Hive::parse(fs::read(&file).unwrap()).unwrap();
    assert_eq!(again.value(&format!(r"{key}\Parameters"), "Extra").unwrap().text().unwrap(), "ja");
    assert_eq!(again.value(key, "Start").unwrap().number(), Some(2));
}

#[test]
fn a_hive_with_thousands_of_keys_is_searched_through_all_its_lists() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("SOFTWARE");
    fs::write(&file, include_bytes!("../hives/empty.hive")).unwrap();
    let mut reg = "Windows Registry Editor Version 5.00\n\n[\\Viele]\n\n".to_owned();
    for n in 0..3000 {
        reg += &format!("[\\Viele\\Schlüssel {n:04}]\n\"Wert\"=\"Inhalt {n}\"\n\n");
    }
    let text = dir.path().join("many.reg");
    fs::write(&text, reg).unwrap();
    run(
        "hivexregedit",
        &["--merge", "--encoding", "UTF-16LE", file.to_str().unwrap(), text.to_str().unwrap()],
    );
    let mut hive = Hive::parse(fs::read(&file).unwrap()).unwrap();
    assert_eq!(hive.keys("Viele").unwrap().len(), 3000);
    for n in [0, 511, 512, 1023, 2999] {
        let key = format!(r"viele\SCHLÜSSEL {n:04}");
        assert_eq!(hive.value(&key, "Wert").unwrap().text().unwrap(), format!("Inhalt {n}"));
        hive.set_text(&key, "Wert", "C:\\Drivers").unwrap();
    }
    // Before, between and behind the others.
    let made = ["A", "Schloss", "Zuletzt", "Hausmeister"];
    for name in made {
        hive.make_key(&format!(r"Viele\{name}")).unwrap();
        hive.put_value(&format!(r"Viele\{name}"), "Wert", &Value::of_text(REG_SZ, name)).unwrap();
    }
    fs::write(&file, hive.to_bytes()).unwrap();
    assert_eq!(value(&file, r"Viele\Schlüssel 2999", "Wert"), "C:\\Drivers");
    for name in made {
        assert_eq!(value(&file, &format!(r"Viele\{name}"), "Wert"), name);
    }
    assert_eq!(everything(&file).matches("[\\Viele\\").count(), 3004);
}
