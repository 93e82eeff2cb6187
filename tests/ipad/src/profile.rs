//! Configuration profiles on a simulated iPad, and what they make of it.

use std::collections::BTreeMap;

use mdm::cms;
use plist::{Dictionary, Value};
use time::OffsetDateTime;

use crate::state::State;

/// An installed profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Of the whole profile.
    pub uuid: String,
    /// Its payloads.
    pub payloads: Vec<Dictionary>,
    /// When the iPad removes it by itself.
    pub removal: Option<OffsetDateTime>,
    /// The declaration that it belongs to; without one a command installed it.
    pub declaration: Option<String>,
}

impl Profile {
    /// Takes a profile apart, signed or not; gives its identifier with it.
    pub(crate) fn parse(document: &[u8], declaration: Option<&str>) -> Option<(String, Self)> {
        let plain = cms::verify(document).map_or_else(|_| document.to_vec(), |(content, _)| content);
        let top = Value::from_reader_xml(plain.as_slice()).ok()?.into_dictionary()?;
        let text = |key: &str| top.get(key).and_then(Value::as_string).map(str::to_owned);
        let payloads = top.get("PayloadContent")?.as_array()?.iter();
        let removal = top.get("RemovalDate").and_then(Value::as_date);
        let profile = Self {
            uuid: text("PayloadUUID")?,
            payloads: payloads.filter_map(|it| it.as_dictionary().cloned()).collect(),
            removal: removal.map(|date| OffsetDateTime::from(std::time::SystemTime::from(date))),
            declaration: declaration.map(str::to_owned),
        };
        Some((text("PayloadIdentifier")?, profile))
    }

    /// Its payloads of a type.
    pub(crate) fn of_type<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = &'s Dictionary> {
        self.payloads.iter().filter(move |it| it.get("PayloadType").and_then(Value::as_string) == Some(kind))
    }
}

impl State {
    /// All payloads of a type, whichever profile they are in.
    pub fn payloads<'s>(&'s self, of_type: &'s str) -> impl Iterator<Item = &'s Dictionary> {
        self.profiles.values().flat_map(move |profile| profile.of_type(of_type))
    }

    /// What is restricted.
    #[must_use]
    pub fn restrictions(&self) -> BTreeMap<String, Value> {
        let all = self.payloads("com.apple.applicationaccess").flatten();
        let own = all.filter(|(key, _)| !key.starts_with("Payload"));
        own.map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// What a restriction with two positions says; `None` when nobody says anything.
    #[must_use]
    pub fn restricted(&self, key: &str) -> Option<bool> {
        self.restrictions().get(key).and_then(Value::as_boolean)
    }

    /// The app that fills the screen.
    #[must_use]
    pub fn locked_to(&self) -> Option<&str> {
        self.payloads("com.apple.app.lock")
            .next()?
            .get("App")?
            .as_dictionary()?
            .get("Identifier")?
            .as_string()
    }

    /// The Wi-Fi networks that it knows from profiles.
    #[must_use]
    pub fn networks(&self) -> Vec<&str> {
        self.payloads("com.apple.wifi.managed").filter_map(|it| it.get("SSID_STR")?.as_string()).collect()
    }

    /// The clock of the iPad goes on, wherever it is: profiles whose time is over disappear.
    pub fn pass(&mut self, now: OffsetDateTime) {
        self.profiles.retain(|_, profile| profile.removal.is_none_or(|at| now < at));
    }
}
