//! The section `[backup]`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use jiff::civil::Time;
use serde::Deserialize;

/// Where backups go, and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// As restic names places: a folder, `sftp:user@host:/folder`, `rest:https://…`, `s3:https://…`. No backups when absent.
    pub repository: Option<String>,
    /// File of `NAME=value` lines that the place wants, for example `AWS_ACCESS_KEY_ID`; nobody but its owner may read it.
    pub environment_file: Option<PathBuf>,
    /// When one is made each night, by the server's clock: `"01:30"`.
    pub at: Time,
    /// How many days one is kept.
    pub keep_days: u16,
    /// Whether images of PCs are backed up; without them a server that is brought back has none.
    pub images: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            repository: None,
            environment_file: None,
            at: jiff::civil::time(1, 30, 0, 0),
            keep_days: 180,
            images: true,
        }
    }
}

/// Reads a file of `NAME=value` lines.
///
/// # Errors
/// Others can read it, or a line is none; its number is named, not what it holds.
pub fn environment(path: &Path) -> anyhow::Result<Vec<(String, String)>> {
    let mode =
        fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others can read {}, which holds secrets: chmod 600 it", path.display());
    }
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().enumerate().map(|(n, line)| (n + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(n, line)| {
            let (name, value) = line
                .split_once('=')
                .with_context(|| format!("{}, line {n}: expected NAME=value", path.display()))?;
            Ok((name.trim().to_owned(), value.trim().trim_matches('"').to_owned()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_makes_no_backups_and_a_wrong_key_is_named() {
        let read = |text: &str| toml::from_str::<Config>(text);
        assert_eq!(read("").unwrap(), Config::default());
        let config = read("repository = '/mnt/x'\nat = '23:05'\nkeep_days = 30\nimages = false").unwrap();
        assert_eq!((config.at, config.keep_days, config.images), (jiff::civil::time(23, 5, 0, 0), 30, false));
        assert!(read("repositry = '/mnt/x'").unwrap_err().to_string().contains("repositry"));
    }

    #[test]
    fn secrets_are_read_from_a_private_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("env");
        fs::write(&path, "# S3\nAWS_ACCESS_KEY_ID=abc\n\nAWS_SECRET_ACCESS_KEY=\"x=y\"\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(environment(&path).unwrap_err().to_string().contains("chmod 600"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            environment(&path).unwrap(),
            [pair("AWS_ACCESS_KEY_ID", "abc"), pair("AWS_SECRET_ACCESS_KEY", "x=y")]
        );
        fs::write(&path, "geheim").unwrap();
        let error = environment(&path).unwrap_err().to_string();
        assert!(error.contains("line 1") && !error.contains("geheim"), "{error}");
    }
}
