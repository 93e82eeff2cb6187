//! Where devices of strangers reach the pages over HTTPS, and ask whether they are locked.

use serde::Deserialize;

/// A host name, and a port if it is not 443: `hausmeister.schule.example` or `hausmeister.schule.example:8443`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Portal {
    host: String,
    port: u16,
}

impl Portal {
    /// Path of the answer to "am I locked?" (RFC 8908).
    pub const API_PATH: &'static str = "/captive-portal";
    /// Path of the page that says why.
    pub const PAGE_PATH: &'static str = "/why";

    /// The host name, in lower case and without a dot at its end.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URI of a path there.
    #[must_use]
    pub fn uri(&self, path: &str) -> String {
        match self.port {
            HTTPS_PORT => format!("https://{}{path}", self.host),
            port => format!("https://{}:{port}{path}", self.host),
        }
    }
}

impl TryFrom<String> for Portal {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is no host name with an optional port, such as hausmeister.schule.example");
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0).ok_or_else(bad)?),
            None => (text.as_str(), HTTPS_PORT),
        };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(plain)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // RFC 8910 section 2: no address. A certificate that strangers trust is for a name of the world, which has a dot.
        let is_name = host.contains('.') && host.split('.').all(label);
        let is_address =
            host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
        if host.len() > HOST_CHARS_MAX || !is_name || is_address {
            return Err(bad());
        }
        Ok(Self { host, port })
    }
}

const HTTPS_PORT: u16 = 443;
/// With scheme, port and path the URI has to fit into a DHCP option of 255 bytes.
const HOST_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portal_is_a_name_with_an_optional_port() {
        let uri = |text: &str| Portal::try_from(text.to_owned()).map(|portal| portal.uri("/x"));
        assert_eq!(uri("Netz.Schule.example").unwrap(), "https://netz.schule.example/x");
        assert_eq!(uri("netz.schule.example.:8443").unwrap(), "https://netz.schule.example:8443/x");
        for bad in
            ["", "server", "10.0.0.1", "a.b:0", "a.b:x", "https://a.b", "a b.c", "-a.b", "a..b", "[::1]:1"]
        {
            assert!(uri(bad).unwrap_err().contains("host name"), "{bad}");
        }
    }
}
