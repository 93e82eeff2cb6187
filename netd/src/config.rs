//! The section `[netd]` of the configuration file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use hickory_proto::rr::Name;
use serde::Deserialize;

use crate::dns;
use crate::dns::dnssec::Mode;

/// What the file says; every key may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Names of the interfaces that are served; all that have an IPv4 address and can broadcast when empty.
    pub interfaces: Vec<String>,
    /// DNS servers that are asked for names outside the school: addresses, with a port if it is not 53.
    pub dns_forwarders: Vec<Forwarder>,
    /// Whether their answers are validated (DNSSEC): `auto`, while they hand over what it takes; `validate`, always; `off`.
    pub dnssec: Mode,
    /// Domains that are not validated, for example that of a Windows domain which a forwarder answers for.
    pub dnssec_except: Vec<Domain>,
    /// File of the root's keys (DNSKEY records) where they are not those of the internet.
    pub dnssec_trust_anchor: Option<PathBuf>,
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
            dnssec: Mode::Auto,
            dnssec_except: Vec::new(),
            dnssec_trust_anchor: None,
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

/// A DNS server: `9.9.9.9`, `9.9.9.9:5353`, or over TLS `tls://9.9.9.9#dns.quad9.net`, where the name is that of its certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Forwarder(dns::Forwarder);

impl Forwarder {
    /// Where it is, and how it is asked.
    #[must_use]
    pub fn server(&self) -> dns::Forwarder {
        self.0.clone()
    }
}

impl TryFrom<String> for Forwarder {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (rest, port) = text.strip_prefix("tls://").map_or((text.as_str(), 53), |rest| (rest, 853));
        let (address, name) = rest.split_once('#').map_or((rest, None), |(a, name)| (a, Some(name)));
        let socket: Option<SocketAddr> =
            address.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port)).or_else(|_| address.parse()).ok();
        let named = |address: SocketAddr| match (port, name) {
            (53, None) => Some(None),
            (53, Some(_)) | (_, Some("")) => None,
            (_, Some(name)) => Some(Some(name.to_owned())),
            // Without a name the certificate has to be for the address.
            (_, None) => Some(Some(address.ip().to_string())),
        };
        let forwarder =
            socket.and_then(|address| Some(dns::Forwarder { tls_name: named(address)?, address }));
        forwarder.map(Self).ok_or_else(|| {
            format!(
                "{text:?} is no address of a DNS server; write 192.0.2.1, 192.0.2.1:53 or tls://192.0.2.1#dns.example"
            )
        })
    }
}

/// A domain name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Domain(Name);

impl Domain {
    /// The name, with the root at its end.
    #[must_use]
    pub fn name(&self) -> Name {
        self.0.clone()
    }
}

impl TryFrom<String> for Domain {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let name = Name::from_ascii(format!("{}.", text.trim_end_matches('.'))).ok();
        // The root would be everything.
        name.filter(|name| !name.is_root())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no domain; write ad.schule.example"))
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
        let addresses: Vec<String> =
            config.dns_forwarders.iter().map(|f| f.server().address.to_string()).collect();
        assert_eq!(addresses, ["9.9.9.9:53", "127.0.0.1:5353", "[2620:fe::9]:53"]);
        assert!(config.dns_forwarders.iter().all(|f| f.server().tls_name.is_none()));
    }

    #[test]
    fn forwarders_over_tls_have_a_name_or_are_known_by_their_address() {
        for (text, address, name) in [
            ("tls://9.9.9.9#dns.quad9.net", "9.9.9.9:853", "dns.quad9.net"),
            ("tls://127.0.0.1:8530#x.example", "127.0.0.1:8530", "x.example"),
            ("tls://9.9.9.9", "9.9.9.9:853", "9.9.9.9"),
            ("tls://[2620:fe::9]:853#x.example", "[2620:fe::9]:853", "x.example"),
        ] {
            let config = read(&format!("[netd]\ndns_forwarders = ['{text}']")).unwrap();
            let server = config.dns_forwarders[0].server();
            assert_eq!(
                (server.address.to_string().as_str(), server.tls_name.as_deref()),
                (address, Some(name))
            );
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, expected) in [
            ("[netd]\ndns_forwarders = ['dns.example']", "dns.example"),
            ("[netd]\ndns_forwarders = ['9.9.9.9#dns.quad9.net']", "tls://"),
            ("[netd]\ndns_forwarders = ['tls://9.9.9.9#']", "tls://"),
            ("[netd]\ndhcp_port = 70000", "dhcp_port"),
            ("[netd]\ndnssec = 'perhaps'", "dnssec"),
            ("[netd]\ndnssec_except = ['a..b']", "a..b"),
            ("[netd]\ndnssec_except = ['.']", "no domain"),
            ("[netd]\ninterface = ['eth0']", "interface"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("[netd]"), "{error}");
        }
    }
}
