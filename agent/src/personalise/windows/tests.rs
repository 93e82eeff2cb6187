//! Personalising a Windows that is a folder.

use std::fs;
use std::io::Read;

use images::protocol::{DriverFile, DriverFolder};

use super::*;

const SYSTEM: &[u8] = include_bytes!("../../../../images/tests/hives/system.hive");
const SOFTWARE: &[u8] = include_bytes!("../../../../images/tests/hives/software.hive");

/// A Windows as a folder, with the names as some versions write them.
fn system(state: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let wide: Vec<u8> = format!("\u{feff}[State]\r\nImageState={state}\r\n")
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    for (path, content) in [
        ("Windows/System32/config/SYSTEM", SYSTEM),
        ("Windows/System32/config/SOFTWARE", SOFTWARE),
        ("Windows/Setup/State/State.ini", &wide),
        ("Windows/Panther/setupact.log", b""),
    ] {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

/// Drivers in folders of these names, each with an INF and a file below it.
struct Drivers(&'static [&'static str]);

impl DriverSource for Drivers {
    fn matching(&self, processor: &str) -> Result<Vec<DriverFolder>, String> {
        assert_eq!(processor, "amd64");
        let file = |path: &str, bytes| DriverFile { path: path.into(), bytes };
        let files = vec![file("a.inf", 15), file("x64/a.sys", 16)];
        Ok(self
            .0
            .iter()
            .map(|name| DriverFolder { path: format!("of/{name}"), files: files.clone() })
            .collect())
    }

    fn agent(&self) -> Result<Vec<u8>, String> {
        Ok(b"MZ the agent".to_vec())
    }

    fn open(&self, path: &str) -> Result<Box<dyn Read>, String> {
        let text = format!("<{}>", path.strip_prefix("of/net").ok_or("not there")?);
        Ok(Box::new(io::Cursor::new(
            format!("{text:->len$}", len = if path.ends_with("inf") { 15 } else { 16 }).into_bytes(),
        )))
    }
}

fn personalise(
    dir: &tempfile::TempDir,
    hostname: &str,
    drivers: &'static [&'static str],
) -> Result<String, String> {
    let tree = Tree::open(dir.path()).unwrap();
    let windows = Windows::find(&tree).expect("a Windows");
    let settings = Settings {
        hostname: hostname.into(),
        server: "https://10.77.0.1:8443".into(),
        ca_pem: b"-----BEGIN".to_vec(),
        manifest: "ab".repeat(32),
        binary: Vec::new(),
    };
    let done = windows.personalise(&settings, &Drivers(drivers));
    let (name, agent) = done.map_err(|(path, error)| format!("{path}: {error}"))?;
    assert_eq!(agent, Ok(()));
    Ok(name)
}

#[test]
fn a_prepared_windows_gets_its_agent_too_and_loses_the_notes_of_the_reference_pc() {
    let dir = system("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE");
    let notes = dir.path().join("ProgramData/Hausmeister/software");
    fs::create_dir_all(&notes).unwrap();
    fs::write(notes.join("step-hedy"), "{}").unwrap();
    // Twice, since a job may be repeated.
    personalise(&dir, "r204-pc07", &[]).unwrap();
    personalise(&dir, "r204-pc07", &[]).unwrap();
    let service = r"ControlSet002\Services\HausmeisterAgent";
    assert_eq!(value(&dir, "SYSTEM", service, "ObjectName"), "LocalSystem");
    assert_eq!(fs::read_dir(notes).unwrap().count(), 0);
    let server = fs::read(dir.path().join("ProgramData/Hausmeister/server")).unwrap();
    assert_eq!(server, b"https://10.77.0.1:8443\r\n");
}

fn value(dir: &tempfile::TempDir, hive: &str, key: &str, name: &str) -> String {
    let path = dir.path().join("Windows/System32/config").join(hive);
    Hive::parse(fs::read(path).unwrap()).unwrap().value(key, name).unwrap().text().unwrap()
}

#[test]
fn a_windows_that_was_only_shut_down_gets_its_name_in_the_registry() {
    let dir = system("IMAGE_STATE_COMPLETE");
    // Twice, since a job may be repeated.
    for hostname in ["r204-pc07", "r204-fensterplatz-07", "r204-fensterplatz-07"] {
        let name = personalise(&dir, hostname, &[]).unwrap();
        let computer =
            value(&dir, "SYSTEM", r"ControlSet002\Control\ComputerName\ComputerName", "ComputerName");
        assert_eq!(computer, name.to_ascii_uppercase());
        for entry in ["Hostname", "NV Hostname"] {
            assert_eq!(value(&dir, "SYSTEM", r"ControlSet002\Services\Tcpip\Parameters", entry), name);
        }
    }
    assert_eq!(
        value(&dir, "SYSTEM", r"ControlSet001\Services\Tcpip\Parameters", "Hostname"),
        "REFERENZ",
        "Select says that the second one is used"
    );
    assert!(!dir.path().join("Windows/Panther/unattend.xml").exists());
}

#[test]
fn a_windows_that_was_prepared_with_sysprep_gets_an_answer_file() {
    let dir = system("\"IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE\"");
    for _ in 0..2 {
        assert_eq!(personalise(&dir, "r204-pc07", &[]).unwrap(), "r204-pc07");
    }
    let text = fs::read_to_string(dir.path().join("Windows/Panther/unattend.xml")).unwrap();
    assert!(
        text.contains("<ComputerName>r204-pc07</ComputerName>") && text.contains("SkipUserOOBE"),
        "{text}"
    );
    // Windows takes the name from there.
    let computer = value(&dir, "SYSTEM", r"ControlSet002\Control\ComputerName\ComputerName", "ComputerName");
    assert_eq!(computer, "REFERENZ");
}

#[test]
fn an_answer_file_that_sysprep_was_given_stays_but_for_the_name() {
    let dir = system("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE");
    let cached = dir.path().join("Windows/Panther/UNATTEND.XML");
    let own = "<unattend><settings pass=\"specialize\"/><settings pass=\"oobeSystem\"><x>Konto</x></settings></unattend>";
    fs::write(&cached, own).unwrap();
    personalise(&dir, "r204-pc07", &[]).unwrap();
    let text = fs::read_to_string(&cached).unwrap();
    assert!(
        text.contains("<ComputerName>r204-pc07</ComputerName>") && text.contains("<x>Konto</x>"),
        "{text}"
    );
    // What Windows reads before this one.
    let first = dir.path().join("Windows/Panther/Unattend/Unattend.xml");
    fs::create_dir(first.parent().unwrap()).unwrap();
    fs::write(&first, "garbage").unwrap();
    personalise(&dir, "r204-pc07", &[]).unwrap();
    assert!(fs::read_to_string(&first).unwrap().contains("<ComputerName>r204-pc07</ComputerName>"));
    assert_eq!(fs::read_to_string(first.with_extension("xml.old")).unwrap(), "garbage");
}

#[test]
fn drivers_are_laid_down_where_windows_looks_for_them() {
    let dir = system("IMAGE_STATE_COMPLETE");
    let path = || value(&dir, "SOFTWARE", r"Microsoft\Windows\CurrentVersion", "DevicePath");
    for folders in [&["net", "net (2)"][..], &["net"]] {
        personalise(&dir, "r204-pc07", folders).unwrap();
    }
    assert_eq!(path(), r"%SystemRoot%\inf;%SystemDrive%\Drivers\Hausmeister\01-net");
    let file =
        |name: &str| fs::read_to_string(dir.path().join("Drivers/Hausmeister/01-net").join(name)).unwrap();
    assert_eq!((file("a.inf").as_str(), file("x64/a.sys").as_str()), ("-------</a.inf>", "----</x64/a.sys>"));

    let error = personalise(&dir, "r204-pc07", &["audio"]).unwrap_err();
    assert_eq!(error, "Drivers/Hausmeister/01-audio/a.inf: not there");
}

#[test]
fn a_prepared_windows_adds_its_drivers_before_its_first_start() {
    let dir = system("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE");
    personalise(&dir, "r204-pc07", &["net"]).unwrap();
    let text = fs::read_to_string(dir.path().join("Windows/Panther/unattend.xml")).unwrap();
    assert!(text.contains(r"/add-driver %SystemDrive%\Drivers\Hausmeister\*.inf /subdirs"), "{text}");
}

#[test]
fn a_registry_that_windows_did_not_finish_is_left_alone_and_named() {
    let dir = system("IMAGE_STATE_COMPLETE");
    let path = dir.path().join("Windows/System32/config/SYSTEM");
    let mut bytes = SYSTEM.to_vec();
    bytes[8] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let error = personalise(&dir, "r204-pc07", &[]).unwrap_err();
    assert!(error.starts_with("Windows/System32/config/SYSTEM: Windows did not finish"), "{error}");
    assert!(error.contains("shutdown /s /t 0"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_folder_without_a_registry_is_no_windows() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("Windows/System32/config")).unwrap();
    assert!(Windows::find(&Tree::open(dir.path()).unwrap()).is_none());
    fs::create_dir_all(dir.path().join("x")).unwrap();
    fs::write(dir.path().join("Windows/System32/config/system"), SYSTEM).unwrap();
    assert!(Windows::find(&Tree::open(dir.path()).unwrap()).is_some(), "case is not told apart");
}
