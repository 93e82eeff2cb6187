//! Payloads about reaching the network and trusting what is there.

use super::{ProfileError, Resolve, put, texts};
use crate::values::{Blob, HostName, HttpsUrl, Label, PartName, Secret, Ssid, WebUrl};
use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A Wi-Fi network.
/// <https://developer.apple.com/documentation/devicemanagement/wifi>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wifi {
    /// The name of the network.
    pub ssid: Ssid,
    /// Whether the access points do not announce the name.
    pub hidden: bool,
    /// Whether the device joins by itself.
    pub auto_join: bool,
    /// Whether the device uses its own hardware address here. The school knows its devices by it (leases, filters); with a
    /// random one an iPad is a stranger.
    pub own_address: bool,
    /// How the network is protected.
    pub security: WifiSecurity,
}

/// How a Wi-Fi network is protected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WifiSecurity {
    /// Not at all.
    Open,
    /// One password for all.
    Password {
        /// The oldest standard that the device accepts.
        standard: WifiStandard,
        /// The password.
        password: Secret,
    },
    /// IEEE 802.1X.
    Enterprise {
        /// The oldest standard that the device accepts.
        standard: WifiStandard,
        /// How the device or person proves who it is.
        eap: Eap,
        /// The names that the RADIUS server's certificate may have. Empty would let any server of the anchors in.
        server_names: Vec<HostName>,
        /// The root certificates in this profile that the server's certificate must lead to.
        anchors: Vec<PartName>,
    },
}

/// The oldest protection that a device accepts; since iOS 16 `WPA2` includes WPA3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum WifiStandard {
    Wpa2,
    Wpa3,
}

/// An EAP method (RFC 3748).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eap {
    /// EAP-TLS (RFC 5216) with an identity of this profile.
    Tls {
        /// The SCEP part.
        identity: PartName,
    },
    /// A name and a password inside a tunnel.
    Password {
        /// The tunnel.
        method: PasswordMethod,
        /// The name; without it the device asks.
        user_name: Option<String>,
        /// The password; without it the device asks.
        password: Option<Secret>,
        /// The name that is visible outside the tunnel.
        outer_identity: Option<String>,
    },
}

/// A tunnelled EAP method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PasswordMethod {
    /// EAP-TTLS (RFC 5281).
    Ttls(InnerAuthentication),
    /// PEAP with MSCHAPv2.
    Peap,
}

/// What happens inside EAP-TTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum InnerAuthentication {
    /// The password itself: for servers that keep hashes which no challenge can be computed from.
    #[serde(rename = "PAP")]
    Pap,
    /// MSCHAPv2.
    #[serde(rename = "MSCHAPv2")]
    MsChapV2,
}

impl Wifi {
    pub(super) fn secret(&mut self) -> Option<&mut Secret> {
        match &mut self.security {
            WifiSecurity::Password { password, .. } => Some(password),
            WifiSecurity::Enterprise { eap: Eap::Password { password, .. }, .. } => password.as_mut(),
            WifiSecurity::Open | WifiSecurity::Enterprise { eap: Eap::Tls { .. }, .. } => None,
        }
    }

    pub(super) fn references(&self) -> Vec<&PartName> {
        let WifiSecurity::Enterprise { eap, anchors, .. } = &self.security else { return Vec::new() };
        let identity = if let Eap::Tls { identity } = eap { Some(identity) } else { None };
        identity.into_iter().chain(anchors).collect()
    }

    pub(super) fn content(&self, resolve: Resolve<'_>) -> Result<Dictionary, ProfileError> {
        let mut out = Dictionary::new();
        put(&mut out, "SSID_STR", self.ssid.as_str());
        put(&mut out, "HIDDEN_NETWORK", self.hidden);
        put(&mut out, "AutoJoin", self.auto_join);
        put(&mut out, "DisableAssociationMACRandomization", self.own_address);
        match &self.security {
            WifiSecurity::Open => put(&mut out, "EncryptionType", "None"),
            WifiSecurity::Password { standard, password } => {
                put(&mut out, "EncryptionType", standard.name());
                put(&mut out, "Password", password.expose().as_str());
            }
            WifiSecurity::Enterprise { standard, eap, server_names, anchors } => {
                put(&mut out, "EncryptionType", standard.name());
                let mut client = eap.content();
                if let Eap::Tls { identity } = eap {
                    put(&mut out, "PayloadCertificateUUID", resolve(identity)?);
                }
                if !server_names.is_empty() {
                    put(&mut client, "TLSTrustedServerNames", texts(server_names));
                }
                if !anchors.is_empty() {
                    let uuids = anchors.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
                    put(&mut client, "PayloadCertificateAnchorUUID", texts(uuids));
                }
                put(&mut out, "EAPClientConfiguration", client);
            }
        }
        Ok(out)
    }
}

impl WifiStandard {
    fn name(self) -> &'static str {
        match self {
            Self::Wpa2 => "WPA2",
            Self::Wpa3 => "WPA3",
        }
    }
}

impl Eap {
    fn content(&self) -> Dictionary {
        let mut out = Dictionary::new();
        put(&mut out, "TLSMinimumVersion", "1.2");
        let types = |number: i64| vec![Value::from(number)];
        match self {
            Self::Tls { .. } => put(&mut out, "AcceptEAPTypes", types(13)),
            Self::Password { method, user_name, password, outer_identity } => {
                match method {
                    PasswordMethod::Ttls(inner) => {
                        put(&mut out, "AcceptEAPTypes", types(21));
                        let name = match inner {
                            InnerAuthentication::Pap => "PAP",
                            InnerAuthentication::MsChapV2 => "MSCHAPv2",
                        };
                        put(&mut out, "TTLSInnerAuthentication", name);
                    }
                    PasswordMethod::Peap => put(&mut out, "AcceptEAPTypes", types(25)),
                }
                let password = password.as_ref().map(|password| password.expose().as_str());
                let texts = [
                    ("UserName", user_name.as_deref()),
                    ("UserPassword", password),
                    ("OuterIdentity", outer_identity.as_deref()),
                ];
                for (key, text) in texts {
                    if let Some(text) = text {
                        put(&mut out, key, text);
                    }
                }
            }
        }
        out
    }
}

/// A certificate.
/// <https://developer.apple.com/documentation/devicemanagement/certificateroot>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// DER.
    pub der: Blob,
}

impl Certificate {
    pub(super) fn content(&self) -> Dictionary {
        let mut out = Dictionary::new();
        put(&mut out, "PayloadContent", &self.der);
        out
    }
}

/// An identity by way of SCEP (RFC 8894). The key is RSA of 2048 bits, stays on the device, and signs and decrypts.
/// <https://developer.apple.com/documentation/devicemanagement/scep>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scep {
    /// Where the CA answers.
    pub url: HttpsUrl,
    /// What the CA calls itself, if it has several.
    pub ca_name: Option<Label>,
    /// The subject as attribute and value, outermost first, such as `("O", "Schule")`, `("CN", "…")`.
    pub subject: Vec<(String, String)>,
    /// The one-time password.
    pub challenge: Secret,
    /// The fingerprint of the CA's certificate, for transports that cannot be trusted.
    pub ca_fingerprint: Option<Blob>,
}

impl Scep {
    pub(super) fn content(&self) -> Dictionary {
        let mut request = Dictionary::new();
        put(&mut request, "URL", self.url.as_str());
        if let Some(name) = &self.ca_name {
            put(&mut request, "Name", name.as_str());
        }
        let subject: Vec<Value> = self
            .subject
            .iter()
            .map(|(attribute, value)| Value::Array(vec![texts([attribute.as_str(), value.as_str()])]))
            .collect();
        put(&mut request, "Subject", subject);
        put(&mut request, "Challenge", self.challenge.expose().as_str());
        put(&mut request, "Keysize", 2048);
        put(&mut request, "Key Type", "RSA");
        // 1 signs, 4 decrypts: the device decrypts the CA's reply with this very key.
        put(&mut request, "Key Usage", 5);
        put(&mut request, "KeyIsExtractable", false);
        if let Some(fingerprint) = &self.ca_fingerprint {
            put(&mut request, "CAFingerprint", fingerprint);
        }
        let mut out = Dictionary::new();
        put(&mut out, "PayloadContent", request);
        out
    }
}

/// Printers that devices find without Bonjour.
/// <https://developer.apple.com/documentation/devicemanagement/airprint>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AirPrint {
    /// The printers.
    #[serde(rename = "AirPrint")]
    pub printers: Vec<Printer>,
}

/// One printer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Printer {
    /// Address or host name.
    #[serde(rename = "IPAddress")]
    pub address: HostName,
    /// The path, such as `ipp/print`.
    #[serde(rename = "ResourcePath")]
    pub path: Label,
    /// The port where it is not the usual one.
    #[serde(rename = "Port", skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// Whether the connection must be encrypted.
    #[serde(rename = "ForceTLS", default)]
    pub tls: bool,
}

/// Encrypted name resolution for the whole device.
/// <https://developer.apple.com/documentation/devicemanagement/dnssettings>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// The protocol and the server.
    pub transport: DnsTransport,
    /// Addresses of the server; without them its name is looked up first.
    pub addresses: Vec<IpAddr>,
    /// The domains that go there; empty for all.
    pub domains: Vec<HostName>,
    /// The Wi-Fi networks in which it is used; empty for everywhere.
    pub only_in: Vec<Ssid>,
    /// Whether nobody can switch it off; obeyed by supervised devices only.
    pub locked: bool,
}

/// The two protocols that Apple offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DnsTransport {
    /// RFC 8484.
    Https(HttpsUrl),
    /// RFC 7858.
    Tls(HostName),
}

impl Dns {
    pub(super) fn content(&self) -> Dictionary {
        let mut settings = Dictionary::new();
        match &self.transport {
            DnsTransport::Https(url) => {
                put(&mut settings, "DNSProtocol", "HTTPS");
                put(&mut settings, "ServerURL", url.as_str());
            }
            DnsTransport::Tls(name) => {
                put(&mut settings, "DNSProtocol", "TLS");
                put(&mut settings, "ServerName", name.as_str());
            }
        }
        if !self.addresses.is_empty() {
            put(&mut settings, "ServerAddresses", texts(&self.addresses));
        }
        if !self.domains.is_empty() {
            put(&mut settings, "SupplementalMatchDomains", texts(&self.domains));
        }
        let mut out = Dictionary::new();
        put(&mut out, "DNSSettings", settings);
        if !self.only_in.is_empty() {
            put(&mut out, "OnDemandRules", self.on_demand());
        }
        put(&mut out, "ProhibitDisablement", self.locked);
        out
    }

    /// The first rule that matches decides; the second has no condition and catches the rest.
    fn on_demand(&self) -> Vec<Value> {
        let mut inside = Dictionary::new();
        put(&mut inside, "Action", "Connect");
        put(&mut inside, "SSIDMatch", texts(&self.only_in));
        let mut outside = Dictionary::new();
        put(&mut outside, "Action", "Disconnect");
        vec![inside.into(), outside.into()]
    }
}

/// The built-in filter of web pages.
/// <https://developer.apple.com/documentation/devicemanagement/webcontentfilter>
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WebFilter {
    /// Apple's own judgement of what is fit for children.
    pub automatic: bool,
    /// Addresses that the automatic filter lets through.
    pub permitted: BTreeSet<WebUrl>,
    /// Addresses that are closed; Apple advises at most about 500.
    pub denied: BTreeSet<WebUrl>,
    /// If given, only these pages open: addresses and their titles among the bookmarks.
    pub only: Option<BTreeMap<WebUrl, Label>>,
}

impl WebFilter {
    pub(super) fn content(&self) -> Dictionary {
        let mut out = Dictionary::new();
        put(&mut out, "FilterType", "BuiltIn");
        put(&mut out, "AutoFilterEnabled", self.automatic);
        if self.automatic && !self.permitted.is_empty() {
            put(&mut out, "PermittedURLs", texts(&self.permitted));
        }
        if !self.denied.is_empty() {
            put(&mut out, "DenyListURLs", texts(&self.denied));
        }
        if let Some(pages) = &self.only {
            let bookmark = |(url, title): (&WebUrl, &Label)| {
                let mut page = Dictionary::new();
                put(&mut page, "URL", url.as_str());
                put(&mut page, "Title", title.as_str());
                Value::Dictionary(page)
            };
            put(&mut out, "AllowListBookmarks", pages.iter().map(bookmark).collect::<Vec<_>>());
        }
        out
    }
}
