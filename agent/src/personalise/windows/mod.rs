//! Making a copied Windows this PC's own, offline: its name, its answer file, where its drivers are, the resident agent.
//!
//! | The image was                        | known by (`State.ini`)                 | what is written                        |
//! |--------------------------------------|----------------------------------------|----------------------------------------|
//! | prepared with `sysprep /generalize`  | `IMAGE_STATE_GENERALIZE_…`             | `Panther\unattend.xml`                 |
//! | shut down as it was                  | `IMAGE_STATE_COMPLETE`, anything else  | names in the registry                  |
//!
//! Source of the states: learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-states; of the order in which
//! Windows looks for answer files: learn.microsoft.com/windows-hardware/manufacture/desktop/windows-setup-automation-overview;
//! of the names: "ComputerName" and "NV Hostname" are where `SetComputerNameEx` leaves them for the next start
//! (learn.microsoft.com/windows/win32/api/sysinfoapi/nf-sysinfoapi-setcomputernameexw).
//!
//! What is not done: joining a domain, making a new machine SID (only sysprep can), changing `MachineGuid`.

mod agent;
mod drivers;
mod name;
mod security;
mod unattend;

use std::io;

use images::hive::{HIVE_BYTES_MAX, Hive, HiveError};

use super::tree::Tree;
use super::{DriverSource, Settings};
pub(super) use security::Rights;
use unattend::Answers;

/// A Windows below the root of a file system.
pub(super) struct Windows<'t> {
    tree: &'t Tree,
    /// Path of the registry's `SYSTEM`, as it is written there.
    system_hive: String,
}

impl<'t> Windows<'t> {
    /// The Windows of this file system, if there is one.
    pub(super) fn find(tree: &'t Tree) -> Option<Windows<'t>> {
        tree.spelled("Windows/System32/config/SYSTEM").map(|system_hive| Windows { tree, system_hive })
    }

    /// Gives it the name of this PC, the drivers that this PC needs, and the agent. Returns what it is called, and why it has no agent, if
    /// so. May be repeated.
    ///
    /// # Errors
    /// The path that made trouble, and which.
    pub(super) fn personalise(
        &self,
        settings: &Settings,
        drivers: &dyn DriverSource,
    ) -> Result<(String, Result<(), String>), (String, io::Error)> {
        let name = name::computer_name(&settings.hostname);
        let at = |path: &str| {
            let path = path.to_owned();
            move |error: io::Error| (path, error)
        };
        let mut system = self.hive(&self.system_hive).map_err(at(&self.system_hive))?;
        let set = control_set(&system).map_err(|e| at(&self.system_hive)(io::Error::other(e)))?;
        let architecture = architecture(&system, &set);
        let laid_down = drivers::lay_down(self.tree, architecture, drivers)?;
        if self.is_generalised() {
            let language = language(&system, &set);
            let folder = (!laid_down.is_empty()).then(drivers_folder);
            self.answer(&Answers {
                computer_name: &name,
                architecture,
                language,
                drivers: folder.as_deref(),
            })?;
        } else {
            rename(&mut system, &set, &name).map_err(|e| at(&self.system_hive)(io::Error::other(e)))?;
        }
        let agent = agent::lay_down(self.tree, architecture, settings, drivers).and_then(|()| {
            let mut with_service = system.clone();
            agent::register(&mut with_service, &set, language(&system, &set))
                .map_err(|error| error.to_string())?;
            system = with_service;
            Ok(())
        });
        self.save(&self.system_hive, &system).map_err(at(&self.system_hive))?;
        if !laid_down.is_empty() {
            let path = self.tree.spelled("Windows/System32/config/SOFTWARE");
            let path = path.unwrap_or_else(|| "Windows/System32/config/SOFTWARE".to_owned());
            let mut software = self.hive(&path).map_err(at(&path))?;
            look_for_drivers(&mut software, &laid_down).map_err(|e| at(&path)(io::Error::other(e)))?;
            self.save(&path, &software).map_err(at(&path))?;
        }
        Ok((name, agent))
    }

    /// Whether the next start is the first one after sysprep.
    fn is_generalised(&self) -> bool {
        let state = self.tree.spelled("Windows/Setup/State/State.ini");
        let text = state.and_then(|path| self.tree.read(&path).ok()).unwrap_or_default();
        // ANSI or UTF-16: without the zeros between them the letters are the same.
        let letters: Vec<u8> = text.into_iter().filter(|b| *b != 0).collect();
        String::from_utf8_lossy(&letters).contains("IMAGE_STATE_GENERALIZE_")
    }

    /// Puts the answer file where Windows looks first. One that sysprep was given is kept but for the name.
    fn answer(&self, answers: &Answers<'_>) -> Result<(), (String, io::Error)> {
        let first = self.tree.spelled("Windows/Panther/Unattend/Unattend.xml");
        let cached = self.tree.spelled("Windows/Panther/unattend.xml");
        let own = "Windows/Panther/unattend.xml".to_owned();
        let path = first.or(cached).unwrap_or_else(|| {
            let folder = self.tree.spelled("Windows/Panther");
            folder.map_or(own, |folder| format!("{folder}/unattend.xml"))
        });
        let failed = |path: &str| {
            let path = path.to_owned();
            move |error: io::Error| (path, error)
        };
        let old = self.tree.read(&path).ok();
        let text = match old.as_deref().map(|old| (old, unattend::renamed(old, answers))) {
            Some((_, Some(renamed))) => renamed,
            Some((old, None)) => {
                let aside = format!("{path}.old");
                self.tree.write_for_windows(&aside, old, &Rights::private()).map_err(failed(&aside))?;
                unattend::whole(answers).into_bytes()
            }
            None => unattend::whole(answers).into_bytes(),
        };
        self.tree.write_for_windows(&path, &text, &Rights::private()).map_err(failed(&path))
    }

    fn hive(&self, path: &str) -> io::Result<Hive> {
        Hive::parse(self.tree.read_up_to(path, HIVE_BYTES_MAX)?).map_err(io::Error::other)
    }

    /// Writes only what was changed, and so that an interruption in between can be seen.
    fn save(&self, path: &str, hive: &Hive) -> io::Result<()> {
        hive.changes().iter().try_for_each(|step| self.tree.patch(path, step))
    }
}

/// As Windows writes it.
fn drivers_folder() -> String {
    format!("%SystemDrive%\\{}", drivers::FOLDER.replace('/', "\\"))
}

/// Adds folders to those that Windows searches for the driver of a new device:
/// learn.microsoft.com/windows-hardware/drivers/install/where-setup-and-device-installation-searches
fn look_for_drivers(software: &mut Hive, names: &[String]) -> Result<(), HiveError> {
    const KEY: &str = r"Microsoft\Windows\CurrentVersion";
    let old = software.value(KEY, "DevicePath")?.text().unwrap_or_default();
    let ours = drivers_folder();
    // What an earlier deploy added must not pile up.
    let begins = format!("{}\\", ours.to_ascii_lowercase());
    let is_ours = |part: &&str| format!("{}\\", part.to_ascii_lowercase()).starts_with(&begins);
    let kept = old.split(';').filter(|p| !p.trim().is_empty() && !is_ours(p)).map(str::to_owned);
    let all: Vec<String> = kept.chain(names.iter().map(|name| format!("{ours}\\{name}"))).collect();
    software.set_text(KEY, "DevicePath", &all.join(";"))
}

/// The key of the configuration that Windows will start with.
fn control_set(system: &Hive) -> Result<String, HiveError> {
    let number = system.value("Select", "Default")?.number();
    let number = number.ok_or_else(|| HiveError::Missing(r"Select\Default".to_owned()))?;
    Ok(format!("ControlSet{number:03}"))
}

/// The name as NetBIOS has it, in capitals, and as the network has it.
fn rename(system: &mut Hive, set: &str, name: &str) -> Result<(), HiveError> {
    let key = format!(r"{set}\Control\ComputerName\ComputerName");
    system.set_text(&key, "ComputerName", &name.to_ascii_uppercase())?;
    let key = format!(r"{set}\Services\Tcpip\Parameters");
    // Windows writes `Hostname` anew from this one at every start; some images do not have it.
    system.set_text(&key, "NV Hostname", name)?;
    match system.set_text(&key, "Hostname", name) {
        Err(HiveError::Missing(_)) => Ok(()),
        other => other,
    }
}

/// As answer files name it.
fn architecture(system: &Hive, set: &str) -> &'static str {
    let key = format!(r"{set}\Control\Session Manager\Environment");
    let text = system.value(&key, "PROCESSOR_ARCHITECTURE").ok().and_then(|v| v.text()).unwrap_or_default();
    match text.to_ascii_lowercase().as_str() {
        "arm64" => "arm64",
        "x86" => "x86",
        _ => "amd64",
    }
}

/// The language of the image's own texts, where it is one that schools here have
/// (learn.microsoft.com/windows-hardware/manufacture/desktop/available-language-packs-for-windows).
fn language(system: &Hive, set: &str) -> Option<&'static str> {
    let text = system.value(&format!(r"{set}\Control\Nls\Language"), "InstallLanguage").ok()?.text()?;
    match text.to_ascii_lowercase().as_str() {
        "0407" => Some("de-DE"),
        "0409" => Some("en-US"),
        "0809" => Some("en-GB"),
        "040c" => Some("fr-FR"),
        "0410" => Some("it-IT"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
