//! Declarative management: fetches what changed, and reports.

use mdm::cms::RsaKey;
use plist::Value;
use serde_json::{Value as Json, json};

use crate::enrol::certify;
use crate::{HttpError, Ipad, Profile};

impl Ipad {
    /// Compares with the server, fetches what is new, and says what became of it.
    pub(crate) fn synchronise(&mut self) -> Result<(), HttpError> {
        let tokens = self.declared("tokens")?;
        if text(&tokens, "/SyncTokens/DeclarationsToken").is_none() {
            return Err(HttpError::Answer("no token of the declarations"));
        }
        let items = self.declared("declaration-items")?;
        let mut now = std::collections::BTreeMap::new();
        let mut reported = serde_json::Map::new();
        for (list, kind) in KINDS {
            let mut states = Vec::new();
            let listed = items.pointer(&format!("/Declarations/{list}")).and_then(Json::as_array);
            for item in listed.into_iter().flatten() {
                let (Some(id), Some(token)) = (text(item, "/Identifier"), text(item, "/ServerToken")) else {
                    return Err(HttpError::Answer("a declaration without identifier"));
                };
                let mut state =
                    json!({ "identifier": id, "active": true, "valid": "valid", "server-token": token });
                if self.state.declarations.get(id).is_none_or(|known| known != token) {
                    let declaration = self.declared(&format!("declaration/{kind}/{id}"))?;
                    let same = text(&declaration, "/Identifier") == Some(id)
                        && text(&declaration, "/ServerToken") == Some(token);
                    if !same {
                        return Err(HttpError::Answer("another declaration than the one that was asked for"));
                    }
                    if let Err(reason) = self.obey(id, &declaration) {
                        state = json!({
                            "identifier": id, "active": false, "valid": "invalid", "server-token": token,
                            "reasons": [{ "code": "Error.ConfigurationCannotBeApplied", "description": reason }],
                        });
                    }
                    if text(&declaration, "/Type") == Some("com.apple.configuration.app.managed") {
                        let payload = declaration.get("Payload").cloned().unwrap_or_default();
                        self.state.declared_apps.insert(id.to_owned(), payload);
                    }
                }
                now.insert(id.to_owned(), token.to_owned());
                states.push(state);
            }
            reported.insert(list.to_lowercase(), Json::Array(states));
        }
        // A profile goes with its declaration.
        self.state
            .profiles
            .retain(|_, profile| profile.declaration.as_ref().is_none_or(|id| now.contains_key(id)));
        self.state.declared_apps.retain(|id, _| now.contains_key(id));
        self.state.declarations = now;
        let management = json!({ "declarations": reported });
        let mut items = json!({ "management": management });
        if self.declares_apps() {
            self.apply_declared_apps();
            let list = self.declared_app_states();
            items = json!({ "management": management, "app": { "managed": { "list": list } } });
        }
        self.report_status(&items)
    }

    /// Sends a status report. A real iPad does it when something changed.
    ///
    /// # Errors
    /// The server is not reached, or refuses.
    pub fn report_apps(&self) -> Result<(), HttpError> {
        self.report_status(&json!({ "app": { "managed": { "list": self.declared_app_states() } } }))
    }

    fn report_status(&self, items: &Json) -> Result<(), HttpError> {
        // Only one that says something of declarations says everything.
        let full = items.get("management").is_some();
        let report = json!({ "StatusItems": items, "Errors": [], "FullReport": full });
        let fields = [("Endpoint", "status".into()), ("Data", Value::Data(report.to_string().into_bytes()))];
        self.check_in("DeclarativeManagement", fields).map(|_| ())
    }

    /// Does what a declaration says, or says why not.
    fn obey(&mut self, id: &str, declaration: &Json) -> Result<(), String> {
        if text(declaration, "/Type") != Some("com.apple.configuration.legacy") {
            return Ok(());
        }
        let url = text(declaration, "/Payload/ProfileURL").ok_or("there is no ProfileURL")?;
        let document = self.trust.get(url).map_err(|error| error.to_string())?;
        let (name, profile) = Profile::parse(&document, Some(id)).ok_or("the profile is invalid")?;
        for payload in profile.of_type("com.apple.security.scep") {
            let settings = payload.get("PayloadContent").and_then(Value::as_dictionary);
            let text = |key: &str| settings.and_then(|it| it.get(key)).and_then(Value::as_string);
            let (Some(url), Some(challenge)) = (text("URL"), text("Challenge")) else {
                return Err("SCEP without URL or challenge".into());
            };
            let key = RsaKey::generate().map_err(|error| error.to_string())?;
            let certificate = certify(&self.trust, url, key, challenge).map_err(|error| error.to_string())?;
            self.state.identities.push(certificate);
        }
        self.state.profiles.insert(name, profile);
        Ok(())
    }

    fn declared(&self, endpoint: &str) -> Result<Json, HttpError> {
        let answer = self.check_in("DeclarativeManagement", [("Endpoint", endpoint.into())])?;
        let answer = answer.ok_or(HttpError::Answer("nothing about declarations"))?;
        serde_json::from_slice(&answer).map_err(|_| HttpError::Answer("no JSON about declarations"))
    }
}

fn text<'j>(json: &'j Json, pointer: &str) -> Option<&'j str> {
    json.pointer(pointer).and_then(Json::as_str)
}

/// The list in the answer of `declaration-items`, and the word in the path.
const KINDS: [(&str, &str); 4] = [
    ("Activations", "activation"),
    ("Configurations", "configuration"),
    ("Assets", "asset"),
    ("Management", "management"),
];
