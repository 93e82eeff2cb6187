//! Where iPads reach us.

/// An `https` address with a host and nothing behind it, as `https://mdm.schule.example`. An iPad that enrolled keeps it for ever.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct ServerUrl(String);

impl ServerUrl {
    /// Without a slash at the end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, without the port.
    #[must_use]
    pub fn host(&self) -> &str {
        let rest = self.0.strip_prefix("https://").unwrap_or(&self.0);
        rest.split_once(':').map_or(rest, |(host, _)| host)
    }
}

impl TryFrom<String> for ServerUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let bad = || format!("{text:?} is not of the form https://mdm.schule.example");
        let address = text.trim_end_matches('/').to_ascii_lowercase();
        let rest = address.strip_prefix("https://").ok_or_else(bad)?;
        let (host, port) = rest.split_once(':').unwrap_or((rest, "443"));
        let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.');
        if host.is_empty() || host.len() > 253 || !host.bytes().all(named) || port.parse::<u16>().is_err() {
            return Err(bad());
        }
        Ok(Self(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_name_and_nothing_behind_it() {
        let url = |text: &str| ServerUrl::try_from(text.to_owned());
        assert_eq!(url("https://MDM.schule.example/").unwrap().as_str(), "https://mdm.schule.example");
        assert_eq!(url("https://mdm.schule.example:8444").unwrap().host(), "mdm.schule.example");
        for bad in [
            "http://mdm.schule.example",
            "mdm.schule.example",
            "https://",
            "https://a/b",
            "https://a:x",
            "https://a b",
        ] {
            assert!(url(bad).unwrap_err().contains("https://mdm.schule.example"), "{bad}");
        }
    }
}
