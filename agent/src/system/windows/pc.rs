//! A Windows PC as programs are installed on it: its list of programs, who is signed in, its power supply.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use software::package::{Architecture, Facts, FilePath, System, Version};
use software::protocol::Questions;
use software::run::Conditions;
use windows_registry::LOCAL_MACHINE;

use super::{config_dir, programs, raw, say};
use crate::system::WINDOWS_NOTES;

/// The PC as programs are installed on it.
#[derive(Debug, Clone)]
pub struct Pc {
    /// What must outlive a loss of power.
    pub state: PathBuf,
    /// Files of packages on their way.
    pub cache: PathBuf,
    /// No command may take longer, whatever its package says.
    pub command_time_max: Duration,
}

impl Pc {
    /// The PC that this program runs on.
    pub fn this() -> Pc {
        Pc {
            state: config_dir().join(WINDOWS_NOTES),
            cache: config_dir().join("cache"),
            command_time_max: Duration::from_secs(8 * 3600),
        }
    }

    /// What it runs, and on what.
    pub fn kind() -> (System, Architecture) {
        let architecture = match std::env::consts::ARCH {
            "aarch64" => Architecture::Arm64,
            "x86" => Architecture::X86,
            _ => Architecture::X64,
        };
        (System::Windows, architecture)
    }

    /// Names the present boot: a key that Windows forgets when it starts anew, and keeps over the hibernation that a fast startup is.
    pub fn boot(&self) -> String {
        boot().unwrap_or_else(|error| {
            say(&format!("the present boot cannot be named: {error}"));
            String::new()
        })
    }

    /// What has to do with whether a step may begin. When Windows does not say who is signed in, somebody is.
    pub fn conditions(&self) -> Conditions {
        let signed_in = raw::somebody_is_signed_in().unwrap_or_else(|error| {
            say(&format!("Windows does not say who is signed in: {error}"));
            true
        });
        Conditions { signed_in, on_battery: raw::is_on_battery() }
    }

    /// What rules ask for and the list of installed programs and Windows Installer know.
    ///
    /// # Errors
    /// The registry does not say what is installed.
    pub fn installed(&self, questions: &Questions) -> io::Result<Facts> {
        let mut facts = Facts::default();
        if questions.programs {
            facts.programs = programs::installed()?;
        }
        for upgrade in &questions.related {
            let products = raw::related_products(upgrade.as_str())?;
            facts
                .related
                .insert(upgrade.clone(), products.iter().filter_map(|code| code.parse().ok()).collect());
        }
        Ok(facts)
    }

    /// Where a file of a rule lies; `%NAME%` in front stands for a variable of the system.
    pub fn place(&self, path: &FilePath) -> Option<PathBuf> {
        let text = path.as_str();
        match text.strip_prefix('%').and_then(|rest| rest.split_once("%\\")) {
            Some((name, rest)) => Some(Path::new(&std::env::var_os(name)?).join(rest)),
            None if text.starts_with('/') => None,
            None => Some(PathBuf::from(text)),
        }
    }

    /// The version that a program's file carries.
    pub fn file_version(&self, file: &Path) -> Option<Version> {
        let [a, b, c, d] = raw::file_version(file)?;
        format!("{a}.{b}.{c}.{d}").parse().ok()
    }

    /// Restarts.
    ///
    /// # Errors
    /// Windows refuses.
    pub fn restart_now(&self) -> io::Result<()> {
        raw::leave(true)
    }

    /// Switches off.
    ///
    /// # Errors
    /// Windows refuses.
    pub fn switch_off_now(&self) -> io::Result<()> {
        raw::leave(false)
    }
}

fn boot() -> io::Result<String> {
    let key =
        LOCAL_MACHINE.options().read().write().create().volatile().open(BOOT).map_err(io::Error::other)?;
    if let Ok(known) = key.get_string(BOOT_NAME) {
        return Ok(known);
    }
    let name = format!("{:032x}", rand::random::<u128>());
    key.set_string(BOOT_NAME, &name).map_err(io::Error::other)?;
    Ok(name)
}

const BOOT: &str = r"SOFTWARE\Hausmeister\Boot";
const BOOT_NAME: &str = "Id";
