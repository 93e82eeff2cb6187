//! The configuration file: only what is needed before the database can be asked.
//!
//! One TOML file, a section per daemon. This module reads the shared section `[site]` and hands the others to the crates
//! that own them.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Portal;
use crate::mdm::ServerUrl;

/// Where the configuration is looked for when nothing else is said.
pub const DEFAULT_PATH: &str = "/etc/hausmeister/hausmeister.toml";

/// The section `[site]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// What the school is called.
    #[serde(default = "default_name")]
    pub name: String,
    /// DNS zone of the school's devices.
    #[serde(default = "default_zone")]
    pub zone: String,
    /// Folder for keys, boot files, images and the SQLite file.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// `sqlite:///path` or `postgres://…`; a file in the data folder when absent.
    pub database: Option<String>,
    /// Language of texts that no person asked for: `de` or `en`.
    #[serde(default)]
    pub language: Language,
    /// Where devices of strangers reach the pages over HTTPS: a name whose certificate they trust, as in `certificate` of `[webui]`.
    /// DHCP tells it to devices in guarded networks (RFC 8910). Nothing is told when absent.
    pub portal: Option<Portal>,
    /// Where iPads reach the MDM server. One that enrolled keeps this for ever: choose a name that belongs to the school. No MDM when absent.
    pub mdm_url: Option<ServerUrl>,
}

/// Language of texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// German.
    #[default]
    De,
    /// English.
    En,
}

impl Default for Site {
    fn default() -> Self {
        Self {
            name: default_name(),
            zone: default_zone(),
            data_dir: default_data_dir(),
            database: None,
            language: Language::De,
            portal: None,
            mdm_url: None,
        }
    }
}

impl Site {
    /// Address of the database.
    #[must_use]
    pub fn database_url(&self) -> String {
        self.database
            .clone()
            .unwrap_or_else(|| format!("sqlite://{}", self.data_dir.join("hausmeister.db").display()))
    }

    /// Folder of the keys.
    #[must_use]
    pub fn keys_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// Folder of what firmware loads.
    #[must_use]
    pub fn boot_dir(&self) -> PathBuf {
        self.data_dir.join("boot")
    }

    /// Folder of the lists of names that publishers keep.
    #[must_use]
    pub fn lists_dir(&self) -> PathBuf {
        self.data_dir.join("lists")
    }

    /// Folder of the image store.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.data_dir.join("store")
    }

    /// Folder of drivers for Windows, as an admin lays them down.
    #[must_use]
    pub fn drivers_dir(&self) -> PathBuf {
        self.data_dir.join("drivers")
    }

    /// Files of programs.
    #[must_use]
    pub fn software_files(&self) -> crate::files::Files {
        crate::files::Files::new(&self.data_dir.join("software"))
    }
}

/// Why a configuration cannot be used. Display names the file and, where there is one, the line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read the configuration {}: {source}; `hausmeister init` writes one", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("{}: {problem}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong.
        problem: String,
    },
}

/// A read configuration file.
#[derive(Debug, Clone)]
pub struct ConfigFile {
    path: PathBuf,
    table: toml::Table,
}

impl ConfigFile {
    /// Reads the file.
    ///
    /// # Errors
    /// It is absent, no TOML, or has a section that no daemon knows.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Parses a text that came from `path`.
    ///
    /// # Errors
    /// It is no TOML, or has a section that no daemon knows.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let fail = |problem: String| ConfigError::Parse { path: path.to_owned(), problem };
        let table: toml::Table = text.parse().map_err(|e: toml::de::Error| fail(e.to_string()))?;
        if let Some(unknown) = table.keys().find(|key| !SECTIONS.contains(&key.as_str())) {
            return Err(fail(format!("unknown section [{unknown}]; known are {}", SECTIONS.join(", "))));
        }
        Ok(Self { path: path.to_owned(), table })
    }

    /// The section `[site]`.
    ///
    /// # Errors
    /// An unknown key or an unusable value.
    pub fn site(&self) -> Result<Site, ConfigError> {
        self.section("site")
    }

    /// A section that means something by being there, or `None`.
    ///
    /// # Errors
    /// An unknown key or an unusable value, named with its section.
    pub fn optional_section<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        if self.table.contains_key(name) { self.section(name).map(Some) } else { Ok(None) }
    }

    /// A section as the type of the crate that owns it; an absent section is an empty one.
    ///
    /// # Errors
    /// An unknown key or an unusable value, named with its section.
    pub fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        let value = self.table.get(name).cloned().unwrap_or_else(|| toml::Value::Table(toml::Table::new()));
        value.try_into().map_err(|e: toml::de::Error| ConfigError::Parse {
            path: self.path.clone(),
            problem: format!("section [{name}]: {}", e.to_string().trim()),
        })
    }
}

fn default_name() -> String {
    "Schule".into()
}

fn default_zone() -> String {
    "schule.internal".into()
}

fn default_data_dir() -> PathBuf {
    "/var/lib/hausmeister".into()
}

const SECTIONS: [&str; 7] = ["site", "netd", "deployd", "mdm", "radius", "webui", "backup"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_key_is_named_with_file_and_section() {
        let path = Path::new("/etc/x.toml");
        let file = ConfigFile::parse(path, "[site]\nzone = 'a.internal'\nnmae = 'x'").unwrap();
        let text = file.site().unwrap_err().to_string();
        assert!(text.contains("/etc/x.toml") && text.contains("[site]") && text.contains("nmae"), "{text}");
        let text = ConfigFile::parse(path, "[netdd]").unwrap_err().to_string();
        assert!(text.contains("[netdd]") && text.contains("netd"), "{text}");
        let text = ConfigFile::parse(path, "[site]\nzone = ").unwrap_err().to_string();
        assert!(text.contains("line 2"), "{text}");
    }

    #[test]
    fn an_empty_file_has_the_defaults() {
        let site = ConfigFile::parse(Path::new("x"), "").unwrap().site().unwrap();
        assert_eq!(site, Site::default());
        assert_eq!(site.database_url(), "sqlite:///var/lib/hausmeister/hausmeister.db");
    }
}
