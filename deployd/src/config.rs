//! The section `[deployd]` of the configuration.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Deserialize;

use crate::upstream::Upstream;

/// The section `[deployd]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where firmware and boot loaders are answered, plain HTTP.
    pub boot_listen: SocketAddr,
    /// Where agents are answered, TLS.
    pub agent_listen: SocketAddr,
    /// Address that PCs are told to use. When absent, the one by which they reached us.
    pub server_address: Option<Ipv4Addr>,
    /// More arguments for the boot environment's kernel.
    pub kernel_arguments: KernelArguments,
    /// Mebibytes that captures and imports leave free on the file system of the image store.
    pub reserve_mib: u64,
    /// Whose images are fetched. When absent, none are.
    pub upstream: Option<Upstream>,
}

/// Default of `boot_listen`.
pub const BOOT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8067);
/// Default of `agent_listen`.
pub const AGENT_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8443);
/// Default of `reserve_mib`: enough for the database and the logs of some weeks.
pub const RESERVE_MIB: u64 = 1024;

impl Default for Config {
    fn default() -> Self {
        Self {
            boot_listen: BOOT_LISTEN,
            agent_listen: AGENT_LISTEN,
            server_address: None,
            kernel_arguments: KernelArguments::default(),
            reserve_mib: RESERVE_MIB,
            upstream: None,
        }
    }
}

impl Config {
    /// [`Config::reserve_mib`] in bytes.
    #[must_use]
    pub fn reserve_bytes(&self) -> u64 {
        self.reserve_mib.saturating_mul(1 << 20)
    }
}

/// Kernel arguments that stand in scripts of iPXE and GRUB as they are: printable ASCII without characters that mean
/// something to either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KernelArguments(String);

impl KernelArguments {
    /// The arguments, separated by spaces.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KernelArguments {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || " .,:=+-_/@%".contains(c);
        match text.chars().find(|c| !allowed(*c)) {
            Some(bad) => Err(format!("kernel_arguments must not hold the character {bad:?}")),
            None if text.len() > ARGUMENTS_BYTES_MAX => {
                Err(format!("kernel_arguments must not be longer than {ARGUMENTS_BYTES_MAX} characters"))
            }
            None => Ok(Self(text.trim().to_owned())),
        }
    }
}

/// The kernel takes 2048 bytes in all, GRUB and iPXE somewhat less.
const ARGUMENTS_BYTES_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use inventory::config::ConfigFile;
    use std::path::Path;

    fn section(text: &str) -> Result<Config, String> {
        let file = ConfigFile::parse(Path::new("x.toml"), &format!("[deployd]\n{text}")).unwrap();
        file.section("deployd").map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_section_has_the_defaults() {
        assert_eq!(section("").unwrap(), Config::default());
        let config = section("kernel_arguments = 'console=tty0 console=ttyS0,115200 panic=-1'").unwrap();
        assert_eq!(config.kernel_arguments.as_str(), "console=tty0 console=ttyS0,115200 panic=-1");
        assert_eq!(
            section("server_address = '10.77.0.1'").unwrap().server_address,
            Some([10, 77, 0, 1].into())
        );
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            ("boot_listn = 'x'", "boot_listn"),
            ("boot_listen = '0.0.0.0'", "boot_listen"),
            ("kernel_arguments = \"a\\nb\"", "'\\n'"),
            ("kernel_arguments = 'a; reboot'", "';'"),
            ("kernel_arguments = 'a $b'", "'$'"),
            ("kernel_arguments = 'init=/bin/sh\"'", "'\"'"),
        ] {
            let error = section(text).unwrap_err();
            assert!(error.contains(named) && error.contains("[deployd]"), "{text}: {error}");
        }
    }
}
