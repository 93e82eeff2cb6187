//! How a program is removed.

use super::argv::{Argv, split_windows};
use super::detect::{Detect, Facts, Program};
use super::values::ValueError;
use serde::{Deserialize, Serialize};

/// How a program is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Uninstall {
    /// By a command of the package.
    Command(Argv),
    /// By what the installer noted in the list of installed programs. So versions that this package never installed are removed too.
    Registered {
        /// What makes the noted command silent, if the installer did not note a silent one.
        #[serde(default)]
        switches: Vec<String>,
    },
}

/// There is no command to remove a program with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoUninstaller {
    /// Nothing is found that it could be the uninstaller of.
    #[error(
        "the program is not in the list of installed programs; give the package a command that uninstalls it"
    )]
    NotListed,
    /// The entry names no command.
    #[error(
        "the entry {0} of the list of installed programs names no uninstaller; give the package a command"
    )]
    NotNoted(String),
    /// What was noted is no command.
    #[error("the noted uninstaller is no command")]
    Malformed(#[from] ValueError),
}

impl Uninstall {
    /// The command, after the PC was looked at.
    pub fn command(&self, detect: &Detect, facts: &Facts) -> Result<Argv, NoUninstaller> {
        match self {
            Self::Command(argv) => Ok(argv.clone()),
            Self::Registered { switches } => {
                registered(detect.program(facts).ok_or(NoUninstaller::NotListed)?, switches)
            }
        }
    }
}

fn registered(program: &Program, switches: &[String]) -> Result<Argv, NoUninstaller> {
    let key = program.key.as_str();
    // What Windows Installer notes opens a dialogue in which the program can be changed.
    if key.parse::<super::Guid>().is_ok() && program.quiet_uninstall.is_none() {
        let words = ["msiexec.exe", "/x", key, "/qn", "/norestart"];
        return Ok(words.map(str::to_owned).to_vec().try_into()?);
    }
    let (line, added) = match (&program.quiet_uninstall, &program.uninstall) {
        (Some(quiet), _) => (quiet, &[][..]),
        (None, Some(noisy)) => (noisy, switches),
        (None, None) => return Err(NoUninstaller::NotNoted(key.to_owned())),
    };
    let mut words = unquoted(line).unwrap_or_else(|| split_windows(line));
    words.extend_from_slice(added);
    Ok(words.try_into()?)
}

/// Some installers note `C:\Program Files\App\uninst.exe` without quotes.
fn unquoted(line: &str) -> Option<Vec<String>> {
    if line.get(1..3) != Some(":\\") {
        return None;
    }
    let end = line.to_ascii_lowercase().find(".exe")? + ".exe".len();
    let (program, rest) = line.split_at_checked(end)?;
    let mut words = vec![program.to_owned()];
    words.extend(split_windows(rest));
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, quiet: Option<&str>, noisy: Option<&str>, expected: &[&str]) {
        let facts = Facts {
            programs: vec![Program {
                key: key.parse().unwrap(),
                name: "App".to_owned(),
                version: None,
                uninstall: noisy.map(str::to_owned),
                quiet_uninstall: quiet.map(str::to_owned),
            }],
            ..Facts::default()
        };
        let way = Uninstall::Registered { switches: vec!["/S".to_owned()] };
        let argv = way.command(&Detect::UninstallName("App".parse().unwrap()), &facts);
        assert_eq!(argv.map(|argv| argv.words().to_vec()).unwrap_or_default(), expected);
    }

    #[test]
    fn the_noted_uninstaller_is_silent() {
        let guid = "{00000000-0000-0000-0000-000000000001}";
        check(guid, None, Some("MsiExec.exe /I{…}"), &["msiexec.exe", "/x", guid, "/qn", "/norestart"]);
        check("App_is1", Some("\"C:\\A b\\u.exe\" /SILENT"), Some("x"), &["C:\\A b\\u.exe", "/SILENT"]);
        check("App", None, Some("C:\\A b\\u.exe _?=C:\\A"), &["C:\\A b\\u.exe", "_?=C:\\A", "/S"]);
        check("App", None, Some("rundll32 a.dll,U"), &["rundll32", "a.dll,U", "/S"]);
        check("App", None, None, &[]);
        check("App", None, Some("  "), &["/S"]);
    }
}
