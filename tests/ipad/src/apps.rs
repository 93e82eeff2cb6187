//! Apps: what the App Store would do, installing by command and by declaration, configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use plist::{Dictionary, Value};
use serde_json::{Value as Json, json};

use crate::{App, Ipad};

/// The App Store, as an iPad sees it. An app that is not in it is called after its number.
#[derive(Clone, Default)]
pub struct Store {
    /// Bundle identifiers and names by number.
    pub apps: BTreeMap<u64, (String, String)>,
    /// Whether the iPad with that serial number has a licence of an app; all have when nothing is said.
    pub licensed: Option<Licensed>,
}

/// Says whether an iPad has a licence: number of the app, serial number.
pub type Licensed = Arc<dyn Fn(u64, &str) -> bool + Send + Sync>;

impl Store {
    fn app(&self, number: u64) -> (String, String) {
        let unnamed = || (format!("com.example.app{number}"), format!("App {number}"));
        self.apps.get(&number).cloned().unwrap_or_else(unnamed)
    }
}

impl Ipad {
    /// `InstallApplication`, which leaves alone what a declaration manages.
    pub(crate) fn install_application(&mut self, command: &Dictionary) -> Result<Dictionary, &'static str> {
        let number = command.get("iTunesStoreID").and_then(Value::as_unsigned_integer);
        let (id, name) = match (number, command.get("Identifier").and_then(Value::as_string)) {
            (Some(number), _) => self.store.app(number),
            (None, Some(id)) => (id.to_owned(), id.to_owned()),
            (None, None) => return Err("The app is not named"),
        };
        if self.state.apps.get(&id).is_some_and(|app| app.declaration.is_some()) {
            return Err("The app is managed by a declaration");
        }
        if number.is_some_and(|number| !self.has_licence(number)) {
            return Err("There is no licence for the app");
        }
        let configuration = command.get("Configuration").and_then(as_json);
        let app = App { name, version: "1.0".into(), managed: true, declaration: None, configuration };
        self.state.apps.insert(id.clone(), app);
        let mut found = Dictionary::new();
        found.insert("Identifier".into(), id.into());
        found.insert("State".into(), "Managed".into());
        Ok(found)
    }

    /// `RemoveApplication`, for what came by command.
    pub(crate) fn remove_application(&mut self, id: &str) -> Result<(), &'static str> {
        match self.state.apps.get(id) {
            Some(app) if app.declaration.is_some() => Err("The app is managed by a declaration"),
            Some(app) if app.managed => {
                self.state.apps.remove(id);
                Ok(())
            }
            _ => Err("The app is not managed"),
        }
    }

    /// The items of `Settings` that are about apps; the others are done.
    pub(crate) fn settings(&mut self, command: &Dictionary) -> Vec<Value> {
        let items = command.get("Settings").and_then(Value::as_array).cloned().unwrap_or_default();
        items.iter().filter_map(Value::as_dictionary).map(|item| self.setting(item)).collect()
    }

    fn setting(&mut self, item: &Dictionary) -> Value {
        let text = |key: &str| item.get(key).and_then(Value::as_string).unwrap_or_default();
        let mut status = "Acknowledged";
        if text("Item") == "ApplicationConfiguration" {
            match self.state.apps.get_mut(text("Identifier")).filter(|app| app.managed) {
                Some(app) => app.configuration = item.get("Configuration").and_then(as_json),
                None => status = "Error",
            }
        }
        let mut result = Dictionary::new();
        result.insert("Item".into(), text("Item").into());
        result.insert("Status".into(), status.into());
        Value::Dictionary(result)
    }

    /// Brings the apps to what the declarations say: a supervised iPad asks nobody.
    pub(crate) fn apply_declared_apps(&mut self) {
        self.state.refused_apps.clear();
        let mut declared = BTreeSet::new();
        for (declaration, payload) in self.state.declared_apps.clone() {
            let number = payload.get("AppStoreID").and_then(Json::as_str).and_then(|text| text.parse().ok());
            let Some(number) = number else { continue };
            let (id, name) = self.store.app(number);
            declared.insert(id.clone());
            let required =
                payload.pointer("/InstallBehavior/Install").and_then(Json::as_str) == Some("Required");
            let licensed = self.has_licence(number);
            match self.state.apps.get_mut(&id) {
                Some(app) => (app.managed, app.declaration) = (true, Some(declaration)),
                None if !required => {}
                None if !licensed => {
                    self.state.refused_apps.insert(id, "Error.LicenseNotFound");
                }
                None => {
                    let declaration = Some(declaration);
                    let app =
                        App { name, version: "1.0".into(), managed: true, declaration, configuration: None };
                    self.state.apps.insert(id, app);
                }
            }
        }
        self.state.apps.retain(|id, app| app.declaration.is_none() || declared.contains(id));
    }

    /// The user installs an app that is offered.
    pub fn install_offered(&mut self, number: u64) -> bool {
        let (id, name) = self.store.app(number);
        let offers =
            |payload: &Json| payload.get("AppStoreID").and_then(Json::as_str) == Some(&number.to_string());
        let declaration =
            self.state.declared_apps.iter().find(|(_, payload)| offers(payload)).map(|(id, _)| id.clone());
        let may = declaration.is_some() && self.has_licence(number);
        if may {
            let app = App { name, version: "1.0".into(), managed: true, declaration, configuration: None };
            self.state.apps.insert(id, app);
        }
        may
    }

    /// The status item `app.managed.list`.
    pub(crate) fn declared_app_states(&self) -> Vec<Json> {
        let state = |(declaration, payload): (&String, &Json)| {
            let number =
                payload.get("AppStoreID").and_then(Json::as_str).and_then(|text| text.parse().ok())?;
            let (id, name) = self.store.app(number);
            let installed = self.state.apps.get(&id);
            let refused = self.state.refused_apps.get(&id);
            let word = match (installed, refused) {
                (Some(_), _) => "managed",
                (None, Some(_)) => "failed",
                (None, None) => "optional",
            };
            let reasons: Vec<Json> = refused.iter().map(|reason| json!({ "code": reason })).collect();
            Some(json!({
                "identifier": id,
                "declaration-identifier": declaration,
                "name": name,
                "short-version": installed.map(|app| app.version.clone()),
                "state": word,
                "reasons": reasons,
            }))
        };
        self.state.declared_apps.iter().filter_map(state).collect()
    }

    /// Whether this system knows the declaration of an app (17.2).
    pub(crate) fn declares_apps(&self) -> bool {
        let mut numbers = self.facts.os_version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (17, 2)
    }

    fn has_licence(&self, number: u64) -> bool {
        self.store.licensed.as_ref().is_none_or(|licensed| licensed(number, &self.facts.serial))
    }
}

fn as_json(value: &Value) -> Option<Json> {
    serde_json::to_value(value).ok()
}
