//! Questions and answers as `rlm_rest` of FreeRADIUS writes them: attributes by name, each with a list of values, in JSON.
//!
//! <https://networkradius.com/doc/current/raddb/mods-available/rest.html>

use std::collections::HashMap;
use std::net::IpAddr;

use inventory::MacAddr;
use inventory::wlan::Vlan;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// What a question says, bounded by the router that took it. Everything in it may come from a stranger.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Attributes(HashMap<String, Attribute>);

#[derive(Debug, Deserialize)]
struct Attribute {
    #[serde(default)]
    value: Vec<Value>,
}

impl Attributes {
    /// The first value as text; empty if there is none.
    pub(crate) fn text(&self, name: &str) -> String {
        match self.0.get(name).and_then(|attribute| attribute.value.first()) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        }
    }

    /// The card that wants to join (RFC 3580 section 3.21).
    pub(crate) fn station(&self) -> Option<MacAddr> {
        self.text("Calling-Station-Id").parse().ok()
    }

    /// Where the question comes from; what an access point says about itself is not asked.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.text(SOURCE).parse().ok()
    }
}

/// The attribute that the configuration puts the sender's address in.
pub(crate) const SOURCE: &str = "Tmp-String-0";
/// The attribute in which we say who signed in inside a tunnel: the one that FreeRADIUS keeps with a TLS session. Its number is above
/// 255, which do not exist on the wire: no access point can send it.
pub(crate) const SUBJECT: &str = "Cached-Session-Policy";

/// An answer: attributes for the lists `control`, `reply` and `session-state`.
///
/// Values never have the form in which FreeRADIUS would expand `%{…}` in them: what somebody typed would be run.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Answer(Map<String, Value>);

impl Answer {
    /// With one more attribute.
    #[must_use]
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.insert(name.to_owned(), json!({ "value": [value.into()], "do_xlat": false }));
        self
    }

    /// That somebody joins: the network (RFC 3580 section 3.31), and after how many seconds they are asked again (section 3.17).
    #[must_use]
    pub(crate) fn joined(self, vlan: Option<Vlan>, seconds: u64) -> Self {
        let asked = self
            .with("reply:Session-Timeout", seconds.to_string())
            .with("reply:Termination-Action", "RADIUS-Request");
        match vlan {
            None => asked,
            Some(vlan) => asked
                .with("reply:Tunnel-Type", "VLAN")
                .with("reply:Tunnel-Medium-Type", "IEEE-802")
                .with("reply:Tunnel-Private-Group-Id", vlan.number().to_string()),
        }
    }

    pub(crate) fn into_json(self) -> Value {
        Value::Object(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_whatever_it_says() {
        let text = r#"{"User-Name":{"type":"string","value":["lea","x"]},"NAS-Port":{"type":"integer","value":[7]},
            "Calling-Station-Id":{"value":["02-AA-BB-CC-DD-01"]},"Odd":{"value":[[1]]},"Empty":{}}"#;
        let read: Attributes = serde_json::from_str(text).unwrap();
        assert_eq!((read.text("User-Name"), read.text("NAS-Port")), ("lea".into(), "7".into()));
        assert_eq!(read.station(), Some("02:aa:bb:cc:dd:01".parse().unwrap()));
        for name in ["Odd", "Empty", "Missing"] {
            assert_eq!(read.text(name), "", "{name}");
        }
        for bad in ["", "[]", r#"{"User-Name":"lea"}"#, r#"{"User-Name":{"value":"lea"}}"#] {
            assert!(serde_json::from_str::<Attributes>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_are_never_expanded() {
        let answer = Answer::default().with("reply:Tunnel-Password", "%{User-Password}").into_json();
        assert_eq!(answer["reply:Tunnel-Password"]["do_xlat"], false);
        let vlan = Answer::default().joined(Vlan::try_from(20).ok(), 60).into_json();
        assert_eq!(vlan["reply:Tunnel-Private-Group-Id"]["value"][0], "20");
        assert!(vlan.as_object().unwrap().values().all(|one| one["do_xlat"] == false));
    }
}
