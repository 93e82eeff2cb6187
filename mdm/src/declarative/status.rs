//! Status reports: what a device says of its declarations and of itself.
//!
//! Reports come from devices, so everything in them is bounded and nothing unknown is an error: each version of the system
//! brings new items.

use super::Kind;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// One report.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatusReport {
    /// Whether it is the whole status and replaces what was known. Devices send such a report about once a day.
    pub full: bool,
    /// The state of all declarations, if the report is about them.
    pub declarations: Option<Vec<DeclarationState>>,
    /// Single values by their full name, such as `device.operating-system.version`.
    pub values: BTreeMap<String, StatusValue>,
    /// Apps that have changed.
    pub apps: Vec<AppState>,
    /// What the device supports, if it said so.
    pub capabilities: Option<Capabilities>,
    /// Items that the device could not report.
    pub errors: Vec<ItemError>,
    /// Names of items that are not read here.
    pub unread: BTreeSet<String>,
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum StatusValue {
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
    Texts(Vec<String>),
}

/// What a device says of one declaration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclarationState {
    /// Its kind.
    pub kind: Kind,
    /// Its identifier.
    pub identifier: String,
    /// The revision that the device speaks of.
    pub server_token: String,
    /// Whether it is in force.
    pub active: bool,
    /// Whether the device could use it.
    pub validity: Validity,
    /// Why not.
    pub reasons: Vec<Reason>,
}

/// Whether a device could use a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "Apple's names, and they say it")]
pub enum Validity {
    Unknown,
    Invalid,
    Valid,
}

/// A reason in Apple's words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A code such as `Error.ConfigurationCannotBeApplied`.
    pub code: String,
    /// A sentence in the device's language.
    pub description: Option<String>,
    /// More, as names and values.
    pub details: BTreeMap<String, String>,
}

/// What a device says of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppState {
    /// The bundle identifier.
    pub identifier: String,
    /// Whether the app came by declaration or by command.
    pub via: AppVia,
    /// Whether it is gone.
    pub removed: bool,
    /// The declaration that it belongs to.
    pub declaration: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The version that people know.
    pub short_version: Option<String>,
    /// Apple's word for its state, such as `downloading`.
    pub state: Option<String>,
    /// Apple's word for the state of an update.
    pub update_state: Option<String>,
    /// Why it failed.
    pub reasons: Vec<Reason>,
}

/// How an app came to the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppVia {
    /// `app.managed.list`.
    Declaration,
    /// `mdm.app`.
    Command,
}

/// What Apple's many states of an app come down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppPhase {
    /// It may be installed, and nobody has done so.
    Offered,
    /// On its way.
    Working,
    /// Somebody has to answer a question on the device.
    Asking,
    /// Installed and managed.
    Managed,
    /// Managed, and not on the device.
    Missing,
    /// It did not work, or somebody said no.
    Failed,
    /// A state that is not known here.
    Other,
}

/// What a device supports.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Types of declarations.
    pub declarations: BTreeSet<String>,
    /// Status items.
    pub status_items: BTreeSet<String>,
}

/// A status item that the device could not report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemError {
    /// The item.
    pub item: String,
    /// Why.
    pub reasons: Vec<Reason>,
}

/// Everything that a device has said so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceStatus {
    /// The state of the declarations.
    pub declarations: Vec<DeclarationState>,
    /// Single values.
    pub values: BTreeMap<String, StatusValue>,
    /// Apps, sorted by identifier and way.
    pub apps: Vec<AppState>,
    /// What it supports.
    pub capabilities: Option<Capabilities>,
    /// Items that it could not report.
    pub errors: Vec<ItemError>,
}

/// Why a report cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum StatusError {
    /// Longer than any device has reason to send.
    #[error("the status report has {0} bytes, more than {REPORT_BYTES_MAX}: refuse it with 413")]
    TooLong(usize),
    /// Not JSON, or nested too deeply.
    #[error("the status report is not JSON")]
    Json(#[from] serde_json::Error),
    /// JSON of another shape.
    #[error("the status report lacks the object StatusItems")]
    Shape,
}

impl StatusReport {
    /// Reads a report.
    pub fn parse(bytes: &[u8]) -> Result<Self, StatusError> {
        if bytes.len() > REPORT_BYTES_MAX {
            return Err(StatusError::TooLong(bytes.len()));
        }
        let document: Value = serde_json::from_slice(bytes)?;
        let items = document.get("StatusItems").and_then(Value::as_object).ok_or(StatusError::Shape)?;
        let mut report = Self {
            full: flag(&document, "FullReport"),
            errors: list(&document, "Errors")
                .map(|error| ItemError {
                    item: text(error, "StatusItem").unwrap_or_default(),
                    reasons: reasons(error, "Reasons"),
                })
                .collect(),
            ..Self::default()
        };
        report.walk("", items, 0);
        Ok(report)
    }

    /// Items are nested along the points of their names: `device.model.family` is three objects deep.
    fn walk(&mut self, prefix: &str, items: &Map<String, Value>, depth: usize) {
        for (key, value) in items.iter().take(LIST_MAX) {
            let name = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
            match (name.as_str(), value) {
                ("management.declarations", value) => self.declarations = Some(declarations(value)),
                ("management.client-capabilities", value) => self.capabilities = Some(capabilities(value)),
                ("app.managed.list", value) => self.apps(value, AppVia::Declaration),
                ("mdm.app", value) => self.apps(value, AppVia::Command),
                // With it anybody could wake the device; the check-in brings it where it is kept safe.
                ("management.push-token", _) => {}
                (_, Value::Object(inner)) if depth < DEPTH_MAX => self.walk(&name, inner, depth + 1),
                (_, value) => self.value(name, value),
            }
        }
    }

    fn value(&mut self, name: String, value: &Value) {
        let value = match value {
            Value::Bool(value) => Some(StatusValue::Bool(*value)),
            Value::Number(number) => {
                number.as_i64().map(StatusValue::Int).or_else(|| number.as_f64().map(StatusValue::Real))
            }
            Value::String(text) => Some(StatusValue::Text(clip(text))),
            Value::Array(items) if items.iter().all(Value::is_string) => Some(StatusValue::Texts(
                items.iter().filter_map(Value::as_str).take(LIST_MAX).map(clip).collect(),
            )),
            _ => None,
        };
        let room = self.values.len() < LIST_MAX && self.unread.len() < LIST_MAX && name.len() <= TEXT_MAX;
        match value {
            Some(value) if room => drop(self.values.insert(name, value)),
            None if room => drop(self.unread.insert(name)),
            _ => {}
        }
    }

    fn apps(&mut self, value: &Value, via: AppVia) {
        let items = value.as_array().into_iter().flatten().take(LIST_MAX);
        self.apps.extend(items.filter_map(|item| {
            Some(AppState {
                identifier: text(item, "identifier")?,
                via,
                removed: flag(item, "_removed"),
                declaration: text(item, "declaration-identifier"),
                name: text(item, "name"),
                short_version: text(item, "short-version"),
                state: text(item, "state"),
                update_state: text(item, "update-state"),
                reasons: reasons(item, "reasons"),
            })
        }));
    }
}

impl AppState {
    /// What the state comes down to.
    pub fn phase(&self) -> AppPhase {
        match self.state.as_deref().unwrap_or_default() {
            "optional" => AppPhase::Offered,
            "queued"
            | "downloading"
            | "installing"
            | "updating"
            | "redeeming"
            | "validating-purchase"
            | "validating-update" => AppPhase::Working,
            "managed" => AppPhase::Managed,
            "managed-but-uninstalled" => AppPhase::Missing,
            "failed" | "user-rejected" | "update-rejected" | "management-rejected" | "needs-redemption" => {
                AppPhase::Failed
            }
            state if state.starts_with("prompting") => AppPhase::Asking,
            _ => AppPhase::Other,
        }
    }
}

impl DeviceStatus {
    /// Takes in a report. A partial one changes what it names: single values and apps one by one, declarations as a whole,
    /// since their list has no mark for what is gone.
    pub fn absorb(&mut self, report: StatusReport) {
        if report.full {
            let capabilities = self.capabilities.take();
            *self = Self { capabilities, ..Self::default() };
        }
        if let Some(declarations) = report.declarations {
            self.declarations = declarations;
        }
        // An item that is reported has got over its error.
        self.errors.retain(|error| {
            !report.values.contains_key(&error.item)
                && !report.errors.iter().any(|new| new.item == error.item)
        });
        self.errors.extend(report.errors);
        self.errors.truncate(LIST_MAX);
        self.values.extend(report.values);
        self.capabilities = report.capabilities.or_else(|| self.capabilities.take());
        for app in report.apps {
            self.apps.retain(|known| (&known.identifier, known.via) != (&app.identifier, app.via));
            if !app.removed && self.apps.len() < LIST_MAX {
                self.apps.push(app);
            }
        }
        self.apps.sort_by(|a, b| (&a.identifier, a.via).cmp(&(&b.identifier, b.via)));
    }

    /// The text of a single value, such as `softwareupdate.install-state`.
    pub fn text(&self, item: &str) -> Option<&str> {
        match self.values.get(item)? {
            StatusValue::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn declarations(value: &Value) -> Vec<DeclarationState> {
    let of = |kind: Kind| {
        list(value, &kind.list().to_ascii_lowercase())
            .filter_map(|item| {
                Some(DeclarationState {
                    kind,
                    identifier: text(item, "identifier")?,
                    server_token: text(item, "server-token").unwrap_or_default(),
                    active: flag(item, "active"),
                    validity: match item.get("valid").and_then(Value::as_str) {
                        Some("valid") => Validity::Valid,
                        Some("invalid") => Validity::Invalid,
                        _ => Validity::Unknown,
                    },
                    reasons: reasons(item, "reasons"),
                })
            })
            .collect::<Vec<_>>()
    };
    Kind::ALL.into_iter().flat_map(of).collect()
}

fn capabilities(value: &Value) -> Capabilities {
    let Some(payloads) = value.get("supported-payloads") else { return Capabilities::default() };
    let names = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).take(LIST_MAX).map(clip).collect()
    };
    let kinds = payloads.get("declarations").and_then(Value::as_object);
    Capabilities {
        declarations: kinds.into_iter().flat_map(|kinds| kinds.values().take(8).flat_map(names)).collect(),
        status_items: payloads.get("status-items").map(names).unwrap_or_default().into_iter().collect(),
    }
}

/// Reasons have capitalised keys in `Errors` and small ones in status items.
fn reasons(value: &Value, key: &str) -> Vec<Reason> {
    let either = |item: &Value, small: &str, capital: &str| text(item, small).or_else(|| text(item, capital));
    let details = |item: &Value| -> BTreeMap<String, String> {
        let map = item.get("details").or_else(|| item.get("Details")).and_then(Value::as_object);
        map.into_iter()
            .flatten()
            .take(REASONS_MAX)
            .map(|(key, value)| (clip(key), value.as_str().map_or_else(|| clip(value.to_string()), clip)))
            .collect()
    };
    list(value, key)
        .take(REASONS_MAX)
        .map(|item| Reason {
            code: either(item, "code", "Code").unwrap_or_default(),
            description: either(item, "description", "Description"),
            details: details(item),
        })
        .collect()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().take(LIST_MAX)
}

fn flag(value: &Value, key: &str) -> bool {
    value.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(clip)
}

fn clip(text: impl AsRef<str>) -> String {
    text.as_ref().chars().take(TEXT_MAX).collect()
}

/// A device with 500 apps and declarations reports about 200 kB.
const REPORT_BYTES_MAX: usize = 2 << 20;
const LIST_MAX: usize = 2000;
const REASONS_MAX: usize = 16;
const TEXT_MAX: usize = 1000;
/// Apple's deepest name has four pieces, and the value may be an object.
const DEPTH_MAX: usize = 8;
