//! Words of the inventory: parsed once at the edge, trusted inside.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Error, Result};

/// Why a text is not what it should be. Display names the value's kind and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {value:?}: {problem}")]
pub struct ParseError {
    /// What was expected, for example `MAC address`.
    pub kind: &'static str,
    /// The offending text, shortened.
    pub value: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ParseError {
    pub(crate) fn new(kind: &'static str, value: &str, problem: &'static str) -> Self {
        Self { kind, value: value.chars().take(80).collect(), problem }
    }
}

/// Milliseconds since 1970-01-01 UTC.
#[derive(
    Debug,
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(transparent)]
pub struct UnixMillis(pub i64);

impl UnixMillis {
    /// This instant plus a number of seconds; saturates.
    #[must_use]
    pub fn plus_secs(self, secs: u64) -> Self {
        Self(self.0.saturating_add(i64::try_from(secs.saturating_mul(1000)).unwrap_or(i64::MAX)))
    }

    /// Milliseconds from `earlier` to this instant; negative when this one comes first.
    #[must_use]
    pub fn millis_since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// An Ethernet hardware address (EUI-48).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddr(pub [u8; 6]);

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = ParseError;

    /// Accepts `00:11:22:aa:bb:cc`, `00-11-22-AA-BB-CC`, `0011.22aa.bbcc` and `001122aabbcc`; refuses group addresses and
    /// the all-zero address, which no card owns.
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |problem| ParseError::new("MAC address", text, problem);
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-' | '.')).collect();
        if digits.len() != 12 || text.len() > 17 {
            return Err(bad("expected twelve hexadecimal digits"));
        }
        let value =
            u64::from_str_radix(&digits, 16).map_err(|_| bad("expected twelve hexadecimal digits"))?;
        let [_, _, a, b, c, d, e, f] = value.to_be_bytes();
        if a & 1 == 1 {
            return Err(bad("this is a group address, not the address of one card"));
        }
        if value == 0 {
            return Err(bad("the all-zero address belongs to no card"));
        }
        Ok(Self([a, b, c, d, e, f]))
    }
}

macro_rules! text_serde {
    ($($name:ident),*) => {$(
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string" })
            }
        }
    )*};
}
pub(crate) use text_serde;
text_serde!(MacAddr, Hostname, KeyFingerprint, Cidr);

/// One DNS label that names a host: letters, digits and inner hyphens, at most 63, lower case (RFC 1123 section 2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(String);

impl Hostname {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Hostname {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |problem| ParseError::new("host name", text, problem);
        if text.is_empty() || text.len() > 63 {
            return Err(bad("must have 1 to 63 characters"));
        }
        if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(bad("may hold only letters a to z, digits and hyphens"));
        }
        if text.starts_with('-') || text.ends_with('-') {
            return Err(bad("must not begin or end with a hyphen"));
        }
        if text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(bad("must not be all digits"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

/// BLAKE3 of a public key's SubjectPublicKeyInfo, 64 hexadecimal digits: who a device is once it was approved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KeyFingerprint(String);

impl KeyFingerprint {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyFingerprint {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        if text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ParseError::new("key fingerprint", text, "expected 64 lower-case hexadecimal digits"))
        }
    }
}

/// An IPv4 network in CIDR notation with no host bits set.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cidr {
    base: u32,
    prefix: u8,
}

impl Cidr {
    /// The network that holds `address` with a mask of `prefix` bits (0 to 32).
    #[must_use]
    pub fn containing(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        Self { base: u32::from(address) & mask_bits(prefix), prefix }
    }

    /// First address, the network's own.
    #[must_use]
    pub fn network(&self) -> Ipv4Addr {
        self.base.into()
    }

    /// Last address, the directed broadcast.
    #[must_use]
    pub fn broadcast(&self) -> Ipv4Addr {
        (self.base | !mask_bits(self.prefix)).into()
    }

    /// Mask in dotted form.
    #[must_use]
    pub fn netmask(&self) -> Ipv4Addr {
        mask_bits(self.prefix).into()
    }

    /// Number of leading ones of the mask.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address lies inside.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        u32::from(address) & mask_bits(self.prefix) == self.base
    }

    /// Whether an address can be given to a host: inside and neither first nor last.
    #[must_use]
    pub fn is_host(&self, address: Ipv4Addr) -> bool {
        self.contains(address) && address != self.network() && address != self.broadcast()
    }
}

fn mask_bits(prefix: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network(), self.prefix)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Cidr {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let bad = |problem| ParseError::new("network", text, problem);
        let (address, prefix) = text.split_once('/').ok_or_else(|| bad("expected ADDRESS/PREFIX"))?;
        let address: Ipv4Addr = address.parse().map_err(|_| bad("the part before / is no IPv4 address"))?;
        let prefix: u8 = prefix.parse().map_err(|_| bad("the part after / is no number"))?;
        if !(8..=30).contains(&prefix) {
            return Err(bad("the prefix must lie between 8 and 30"));
        }
        let cidr = Self::containing(address, prefix);
        if cidr.network() != address {
            return Err(bad("host bits are set; write the network's first address"));
        }
        Ok(cidr)
    }
}

/// What people call something, without spaces around it: 1 to 60 printable characters.
pub(crate) fn title(name: &str, unusable: impl FnOnce() -> Error) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 60 || name.chars().any(char::is_control) {
        return Err(unusable());
    }
    Ok(name.to_owned())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, sqlx::Type, schemars::JsonSchema)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A fresh id from the system's random numbers.
            #[must_use]
            pub fn random() -> Self {
                Self(Uuid::new_v4())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                text.parse().map(Self).map_err(|_| ParseError::new(stringify!($name), text, "expected a UUID"))
            }
        }
    )*};
}
ids!(
    /// A class or another group of people and devices.
    GroupId,
    /// A link that enrols iPads.
    InvitationId,
    /// An iPad under our management: the common name of its certificate.
    EnrolmentId,
    /// A command for an iPad.
    CommandId,
    /// A rule for iPads.
    IpadRuleId,
    /// That somebody gets an app.
    AppAssignmentId,
    /// One version of a program in the catalogue.
    EntryId,
    /// A fault that somebody reported.
    FaultId,
    /// Something that was asked of the keeper of backups.
    BackupRunId,
    /// That a program is to be somewhere, or not.
    WishId,
    /// A rule of the gate.
    RuleId,
    /// An exam.
    ExamId,
    /// A rule of the timetable.
    SlotId,
    /// A list of domain names.
    ListId,
    /// What "filtered" means for some of the school.
    FilterId,
    /// A room of the school.
    RoomId,
    /// A managed device.
    DeviceId,
    /// A network with its address pool.
    NetworkId,
    /// An image, in all its versions.
    ImageId,
    /// A file that was taken over.
    ImportId,
    /// One version of an image.
    VersionId,
    /// A job for one device.
    JobId,
    /// An entry of the waiting list.
    WaitingId,
    /// A person who may sign in.
    UserId,
    /// The key of a program.
    TokenId,
    /// An access point, or several that share a secret.
    AccessPointId,
    /// That a guest may use the WLAN.
    VoucherId,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses_are_read_in_every_usual_notation() {
        let mac = MacAddr([0x52, 0x54, 0, 0xaa, 0xbb, 0xcc]);
        for text in ["52:54:00:aa:bb:cc", "52-54-00-AA-BB-CC", "5254.00aa.bbcc", "525400AABBCC"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for text in [
            "",
            "52:54:00:aa:bb",
            "52:54:00:aa:bb:cg",
            "01:00:5e:00:00:01",
            "00:00:00:00:00:00",
            "+5:25:40:0a:ab:bc",
        ] {
            assert!(text.parse::<MacAddr>().is_err(), "{text}");
        }
    }

    #[test]
    fn host_names_follow_rfc_1123() {
        assert_eq!("R204-PC01".parse::<Hostname>().unwrap().as_str(), "r204-pc01");
        for text in ["", "-a", "a-", "a.b", "büro", "123", &"a".repeat(64), "a b", "a_b"] {
            assert!(text.parse::<Hostname>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_network_knows_its_borders() {
        let net: Cidr = "10.77.4.0/22".parse().unwrap();
        assert_eq!(net.broadcast(), Ipv4Addr::new(10, 77, 7, 255));
        assert_eq!(net.netmask(), Ipv4Addr::new(255, 255, 252, 0));
        assert!(net.contains(Ipv4Addr::new(10, 77, 7, 1)) && !net.contains(Ipv4Addr::new(10, 77, 8, 1)));
        assert!(!net.is_host(net.network()) && !net.is_host(net.broadcast()));
        for text in ["10.77.4.1/22", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/31", "x/8", "0.0.0.0/0"] {
            assert!(text.parse::<Cidr>().is_err(), "{text}");
        }
    }
}
