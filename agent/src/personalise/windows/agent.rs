//! The resident agent in a Windows that does not run: its files, and the service in the registry.
//!
//! Source of the values: learn.microsoft.com/windows-hardware/drivers/install/hklm-system-currentcontrolset-services-registry-tree; of
//! what is to be done when the service ends by itself: learn.microsoft.com/windows/win32/api/winsvc/ns-winsvc-service_failure_actionsw.

use std::io;

use images::hive::{Hive, HiveError, REG_BINARY, REG_EXPAND_SZ, REG_SZ, Value};

use super::super::tree::Tree;
use super::super::{DriverSource, Settings};
use super::Rights;
use crate::system::{WINDOWS_FOLDER, WINDOWS_NOTES, WINDOWS_SERVICE};

/// Puts program, server, certificate and manifest into their places, and removes the notes of the reference PC.
///
/// # Errors
/// Why it has no agent, for people.
pub(super) fn lay_down(
    tree: &Tree,
    architecture: &str,
    settings: &Settings,
    source: &dyn DriverSource,
) -> Result<(), String> {
    if architecture != "amd64" {
        return Err(format!("there is none for {architecture}"));
    }
    let program = source.agent()?;
    if !program.starts_with(b"MZ") {
        return Err("what the server has is no program of Windows".to_owned());
    }
    let below = |folder: &str| {
        let folder = tree.spelled(folder).unwrap_or_else(|| folder.to_owned());
        let ours = format!("{folder}/{WINDOWS_FOLDER}");
        tree.spelled(&ours).unwrap_or(ours)
    };
    let (programs, data) = (below("Program Files"), below("ProgramData"));
    let notes = format!("{data}/{WINDOWS_NOTES}");
    for note in tree.list(&notes) {
        let path = format!("{notes}/{note}");
        tree.remove(&path).map_err(|error| told(&path, &error))?;
    }
    let line = |text: &str| format!("{text}\r\n").into_bytes();
    // Users may start the program and do nothing with what it needs.
    let files = [
        (format!("{programs}/{PROGRAM}"), program, Rights::readable()),
        (format!("{data}/ca.pem"), settings.ca_pem.clone(), Rights::private()),
        (format!("{data}/server"), line(&settings.server), Rights::private()),
        (format!("{data}/manifest"), line(&settings.manifest), Rights::private()),
    ];
    for (path, content, rights) in &files {
        tree.write_for_windows(path, content, rights).map_err(|error| told(path, &error))?;
    }
    Ok(())
}

fn told(path: &str, error: &io::Error) -> String {
    format!("{path} cannot be written: {error}")
}

/// Makes the service, which starts with the system under the system's account.
///
/// # Errors
/// The registry is of another kind than is known. Nothing of `system` may be used then.
pub(super) fn register(system: &mut Hive, set: &str, language: Option<&str>) -> Result<(), HiveError> {
    let key = format!(r"{set}\Services\{WINDOWS_SERVICE}");
    system.make_key(&key)?;
    let program = format!("\"%ProgramFiles%\\{WINDOWS_FOLDER}\\{PROGRAM}\" service");
    let about = match language {
        Some("en-US" | "en-GB") => {
            "Reports this PC to the school's server and keeps its programs up to date."
        }
        _ => "Meldet diesen PC beim Schulserver und hält seine Programme auf dem Stand.",
    };
    for (name, value) in [
        // SERVICE_WIN32_OWN_PROCESS, SERVICE_AUTO_START, SERVICE_ERROR_NORMAL.
        ("Type", Value::of_number(0x10)),
        ("Start", Value::of_number(2)),
        ("ErrorControl", Value::of_number(1)),
        ("ImagePath", Value::of_text(REG_EXPAND_SZ, &program)),
        ("ObjectName", Value::of_text(REG_SZ, "LocalSystem")),
        ("DisplayName", Value::of_text(REG_SZ, "Hausmeister")),
        ("Description", Value::of_text(REG_SZ, about)),
        ("FailureActions", Value { kind: REG_BINARY, data: started_again() }),
        ("FailureActionsOnNonCrashFailures", Value::of_number(1)),
    ] {
        system.put_value(&key, name, &value)?;
    }
    Ok(())
}

/// `SERVICE_FAILURE_ACTIONS` as the registry has it: started again after a minute, each time; failures count for a day.
fn started_again() -> Vec<u8> {
    const SC_ACTION_RESTART: u32 = 1;
    let head = [86_400, 0, 0, 3, 20];
    let actions = [SC_ACTION_RESTART, 60_000].repeat(3);
    head.iter().chain(&actions).flat_map(|number: &u32| number.to_le_bytes()).collect()
}

const PROGRAM: &str = "hausmeister-agent.exe";
