//! The section `[netd]` of the configuration file.

use std::net::{IpAddr, SocketAddr};

use serde::Deserialize;

/// What the file says; every key may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Names of the interfaces that are served; all that have an IPv4 address and can broadcast when empty.
    pub interfaces: Vec<String>,
    /// DNS servers that are asked for names outside the school: addresses, with a port if it is not 53.
    pub dns_forwarders: Vec<Forwarder>,
    /// Port of the DNS server, UDP and TCP.
    pub dns_port: u16,
    /// UDP port of the DHCP server; clients use the one above.
    pub dhcp_port: u16,
    /// UDP port of the TFTP server.
    pub tftp_port: u16,
    /// UDP port of the PXE boot server.
    pub proxy_dhcp_port: u16,
    /// Port of the plain HTTP server that firmware is sent to, as in `boot_listen` of `[deployd]`.
    pub boot_http_port: u16,
    /// Port of the TLS server that agents are sent to, as in `agent_listen` of `[deployd]`.
    pub agent_port: u16,
    /// Port of the plain HTTP page that tells a locked device why, as in `page_listen` of `[webui]`.
    pub page_port: u16,
    /// More kernel arguments of the boot environment where netd itself writes the boot script.
    pub kernel_arguments: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            dns_forwarders: Vec::new(),
            dns_port: 53,
            dhcp_port: 67,
            tftp_port: 69,
            proxy_dhcp_port: 4011,
            boot_http_port: 8067,
            agent_port: 8443,
            page_port: 8068,
            kernel_arguments: String::new(),
        }
    }
}

/// A DNS server: `9.9.9.9` or `9.9.9.9:5353`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Forwarder(SocketAddr);

impl Forwarder {
    /// Its address and port.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

impl TryFrom<String> for Forwarder {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        plain
            .or_else(|_| text.parse())
            .map(Self)
            .map_err(|_| format!("{text:?} is no address of a DNS server; write 192.0.2.1 or 192.0.2.1:53"))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use inventory::config::{ConfigError, ConfigFile};

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        ConfigFile::parse(Path::new("x.toml"), text).unwrap().section("netd")
    }

    #[test]
    fn an_absent_section_is_the_default() {
        assert_eq!(read("").unwrap(), Config::default());
    }

    #[test]
    fn forwarders_may_name_a_port() {
        let config = read("[netd]\ndns_forwarders = ['9.9.9.9', '127.0.0.1:5353', '2620:fe::9']").unwrap();
        let addresses: Vec<String> = config.dns_forwarders.iter().map(|f| f.address().to_string()).collect();
        assert_eq!(addresses, ["9.9.9.9:53", "127.0.0.1:5353", "[2620:fe::9]:53"]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, expected) in [
            ("[netd]\ndns_forwarders = ['dns.example']", "dns.example"),
            ("[netd]\ndhcp_port = 70000", "dhcp_port"),
            ("[netd]\ninterface = ['eth0']", "interface"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("[netd]"), "{error}");
        }
    }
}
