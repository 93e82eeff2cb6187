//! Apple's own schema as a judge over what this crate writes.
//!
//! The YAML files stand in `ipados/apple/` (see its `README.md`). [`Schema::check`] reads one of them and compares a property
//! list with it for one kind of iPad. What it looks at: unknown keys, missing keys, types, lists of allowed values, ranges,
//! formats, how often something may occur, and for which version, supervision and sharing a key is meant.
//!
//! A test file says `mod schema;` and calls [`command`], [`checkin`], [`profile`] or [`declaration`].

#![allow(dead_code, reason = "every test file that includes this module uses another part of it")]
#![allow(clippy::expect_used, clippy::panic, reason = "this is test support")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use plist::{Dictionary, Value};
use serde::Deserialize;

/// The iPad that a document is meant for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// Major and minor version of iOS.
    pub(crate) version: (u32, u32),
    pub(crate) supervised: bool,
    pub(crate) shared: bool,
}

impl Target {
    /// The newest iOS that the files describe.
    pub(crate) const SUPERVISED: Self = Self { version: (18, 1), supervised: true, shared: false };
    pub(crate) const UNSUPERVISED: Self = Self { supervised: false, ..Self::SUPERVISED };
    pub(crate) const SHARED: Self = Self { shared: true, ..Self::SUPERVISED };
}

/// One difference between a document and the schema.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// The keys down to the place, as `Settings[0].Item`.
    pub(crate) at: String,
    pub(crate) what: Fault,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    Unknown,
    Missing,
    /// The type that it should have.
    Type(String),
    /// Not in the list of values, outside of the range, or of another format.
    Value(String),
    /// Not for this iPad, and why.
    NotFor(&'static str),
}

/// One YAML file.
#[derive(Debug, Deserialize)]
pub(crate) struct Schema {
    pub(crate) payload: Payload,
    #[serde(default)]
    payloadkeys: Vec<Key>,
    #[serde(default)]
    responsekeys: Vec<Key>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Payload {
    pub(crate) requesttype: Option<String>,
    pub(crate) payloadtype: Option<String>,
    pub(crate) declarationtype: Option<String>,
    #[serde(default, rename = "supportedOS")]
    supported: BTreeMap<String, Support>,
}

#[derive(Debug, Clone, Deserialize)]
struct Key {
    key: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default, rename = "supportedOS")]
    supported: BTreeMap<String, Support>,
    #[serde(default)]
    presence: Option<String>,
    #[serde(default)]
    rangelist: Vec<Scalar>,
    range: Option<Range>,
    format: Option<String>,
    repetition: Option<Range>,
    subkeytype: Option<String>,
    #[serde(default)]
    subkeys: Vec<Key>,
}

/// Where a command or a key is supported. `introduced: n/a` means nowhere.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Support {
    introduced: Option<String>,
    removed: Option<String>,
    pub(crate) supervised: Option<bool>,
    #[serde(default)]
    pub(crate) sharedipad: Mode,
    #[serde(default)]
    userenrollment: Mode,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Mode {
    pub(crate) mode: Option<String>,
    pub(crate) devicechannel: Option<bool>,
    pub(crate) userchannel: Option<bool>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Boolean(bool),
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Schema {
    /// What iOS supports of it; `None` where it is not for iOS at all.
    pub(crate) fn ios(&self) -> Option<&Support> {
        self.payload.supported.get("iOS").filter(|support| support.introduced.as_deref() != Some("n/a"))
    }

    /// Compares the parameters of a command, a check-in message, a profile's payload or a declaration's payload.
    ///
    /// `allowed` are keys that stand in the same dictionary without being described in the file, as `RequestType`.
    pub(crate) fn check(&self, value: &Value, target: Target, allowed: &[&str]) -> Vec<Finding> {
        let mut findings = Vec::new();
        match self.ios() {
            None => findings.push(finding("", Fault::NotFor("iOS"))),
            Some(support) => {
                findings.extend(support.objection(target).map(|why| finding("", Fault::NotFor(why))))
            }
        }
        findings.extend(check_root(&self.payloadkeys, value, target, allowed));
        findings
    }

    /// Compares the answer of a device. `CommandUUID` and the like are always allowed.
    pub(crate) fn check_response(&self, value: &Value, target: Target) -> Vec<Finding> {
        let envelope =
            ["CommandUUID", "Status", "UDID", "RequestType", "ErrorChain", "UserID", "UserShortName"];
        check_root(&self.responsekeys, value, target, &envelope)
    }
}

impl Schema {
    /// The names of the keys of an answer below `path`, for every system. An array is stepped over.
    pub(crate) fn response_keys(&self, path: &[&str]) -> Vec<&str> {
        let mut keys = &self.responsekeys;
        for step in path {
            let key = keys.iter().find(|key| key.key == *step).unwrap_or_else(|| panic!("no key {step}"));
            keys = &key.subkeys;
        }
        keys.iter().map(|key| key.key.as_str()).collect()
    }
}

fn check_root(keys: &[Key], value: &Value, target: Target, allowed: &[&str]) -> Vec<Finding> {
    let Some(entries) = value.as_dictionary() else {
        return vec![finding("", Fault::Type("dictionary".to_owned()))];
    };
    let mut entries = entries.clone();
    entries.retain(|key, _| !allowed.contains(&key.as_str()));
    check_entries(keys, &entries, target, "")
}

impl Support {
    /// Why a key is not for `target`.
    fn objection(&self, target: Target) -> Option<&'static str> {
        let reached = |version: &Option<String>| {
            version.as_deref().and_then(parse_version).map(|v| v <= target.version)
        };
        if self.introduced.as_deref() == Some("n/a") {
            Some("iOS")
        } else if reached(&self.introduced) == Some(false) {
            Some("this version")
        } else if reached(&self.removed) == Some(true) {
            Some("this version any longer")
        } else if self.supervised == Some(true) && !target.supervised {
            Some("unsupervised devices")
        } else if self.userenrollment.is("required") {
            Some("devices of the school")
        } else if self.sharedipad.is("required") && !target.shared {
            Some("an iPad that is not shared")
        } else if self.sharedipad.is("forbidden") && target.shared {
            Some("a Shared iPad")
        } else {
            None
        }
    }
}

impl Mode {
    fn is(&self, mode: &str) -> bool {
        self.mode.as_deref() == Some(mode)
    }
}

impl Key {
    fn objection(&self, target: Target) -> Option<&'static str> {
        self.supported.get("iOS").and_then(|support| support.objection(target))
    }

    /// `ANY` and `ANY profile identifier` stand for keys that the schema cannot know.
    fn is_wildcard(&self) -> bool {
        self.key == "ANY" || self.key.starts_with("ANY ")
    }
}

fn check_entries(keys: &[Key], entries: &Dictionary, target: Target, at: &str) -> Vec<Finding> {
    let wildcard = keys.iter().find(|key| key.is_wildcard());
    let present = entries.iter().flat_map(|(name, value)| {
        let at = if at.is_empty() { name.clone() } else { format!("{at}.{name}") };
        // The same key may be described twice, for different systems.
        let described: Vec<_> = keys.iter().filter(|key| key.key == *name).collect();
        let usable = described.iter().find(|key| key.objection(target).is_none());
        match (usable, described.first(), wildcard) {
            (Some(key), _, _) => check_value(key, value, target, &at),
            (None, Some(key), _) => {
                key.objection(target).map(|why| finding(&at, Fault::NotFor(why))).into_iter().collect()
            }
            (None, None, Some(key)) => check_value(key, value, target, &at),
            (None, None, None) => vec![finding(&at, Fault::Unknown)],
        }
    });
    let missing = keys.iter().filter(|key| {
        key.presence.as_deref() == Some("required")
            && !key.is_wildcard()
            && key.objection(target).is_none()
            && !entries.contains_key(&key.key)
    });
    let missing = missing.map(|key| {
        let at = if at.is_empty() { key.key.clone() } else { format!("{at}.{}", key.key) };
        finding(&at, Fault::Missing)
    });
    present.chain(missing).collect()
}

fn check_value(key: &Key, value: &Value, target: Target, at: &str) -> Vec<Finding> {
    let kind = key.kind.trim_matches(['<', '>']);
    let fits = match (kind, value) {
        ("any", _) => return Vec::new(),
        ("string", Value::String(_))
        | ("integer", Value::Integer(_))
        | ("real", Value::Real(_) | Value::Integer(_))
        | ("boolean", Value::Boolean(_))
        | ("date", Value::Date(_))
        | ("data", Value::Data(_))
        | ("array", Value::Array(_))
        | ("dictionary", Value::Dictionary(_)) => true,
        _ => false,
    };
    if !fits {
        return vec![finding(at, Fault::Type(kind.to_owned()))];
    }
    let mut findings: Vec<_> = check_scalar(key, value, at).into_iter().collect();
    match value {
        Value::Dictionary(entries) if !key.subkeys.is_empty() => {
            findings.extend(check_entries(&key.subkeys, entries, target, at));
        }
        Value::Array(items) => {
            findings.extend(key.repetition.as_ref().and_then(|range| range.refuses(items.len() as f64, at)));
            for (index, item) in items.iter().enumerate() {
                findings.extend(check_item(&key.subkeys, item, target, &format!("{at}[{index}]")));
            }
        }
        // A text whose subkeys are its allowed values, as in `Queries`.
        Value::String(text) if !key.subkeys.is_empty() => {
            let word = key.subkeys.iter().find(|word| word.key == *text);
            let fault = match word {
                None => Some(Fault::Value(text.clone())),
                Some(word) => word.objection(target).map(Fault::NotFor),
            };
            findings.extend(fault.map(|fault| finding(at, fault)));
        }
        _ => {}
    }
    findings
}

/// An item of an array is right if it is right for one of the described kinds; else the nearest kind tells what is wrong.
fn check_item(kinds: &[Key], item: &Value, target: Target, at: &str) -> Vec<Finding> {
    let attempts = kinds.iter().map(|kind| {
        let refused = kind.objection(target).map(|why| finding(at, Fault::NotFor(why)));
        let mut findings: Vec<_> = refused.into_iter().collect();
        findings.extend(check_value(kind, item, target, at));
        findings
    });
    attempts.min_by_key(Vec::len).unwrap_or_default()
}

fn check_scalar(key: &Key, value: &Value, at: &str) -> Option<Finding> {
    let number = match value {
        Value::Integer(integer) => integer.as_signed().map(|value| value as f64),
        Value::Real(real) => Some(*real),
        _ => None,
    };
    let listed = key.rangelist.is_empty()
        || matches!(value, Value::Array(_) | Value::Dictionary(_))
        || key.rangelist.iter().any(|allowed| allowed.is(value));
    if !listed {
        return Some(finding(at, Fault::Value(format!("{value:?}"))));
    }
    if let (Some(range), Some(number)) = (&key.range, number) {
        return range.refuses(number, at);
    }
    let format = key.format.as_deref().zip(value.as_string());
    let (format, text) = format?;
    let format = regex_lite::Regex::new(format).expect("a format in the schema is a regular expression");
    (!format.is_match(text)).then(|| finding(at, Fault::Value(text.to_owned())))
}

impl Range {
    fn refuses(&self, number: f64, at: &str) -> Option<Finding> {
        let inside = self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max);
        (!inside).then(|| finding(at, Fault::Value(number.to_string())))
    }
}

impl Scalar {
    fn is(&self, value: &Value) -> bool {
        match self {
            Self::Boolean(allowed) => value.as_boolean() == Some(*allowed),
            Self::Integer(allowed) => {
                value.as_signed_integer() == Some(*allowed) || value.as_real() == Some(*allowed as f64)
            }
            Self::Real(allowed) => value.as_real() == Some(*allowed),
            Self::Text(allowed) => value.as_string() == Some(allowed),
        }
    }
}

fn finding(at: &str, what: Fault) -> Finding {
    Finding { at: at.to_owned(), what }
}

/// Major and minor; the third number never decides anything here.
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.').map(|part| part.parse().ok());
    Some((parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// The file of a command, by its `RequestType`.
pub(crate) fn command(request_type: &str) -> &'static Schema {
    all("mdm/commands")
        .iter()
        .find(|schema| schema.payload.requesttype.as_deref() == Some(request_type))
        .unwrap_or_else(|| panic!("Apple describes no command {request_type}"))
}

/// The file of a check-in message, by its `MessageType`.
pub(crate) fn checkin(message_type: &str) -> &'static Schema {
    all("mdm/checkin")
        .iter()
        .find(|schema| schema.payload.requesttype.as_deref() == Some(message_type))
        .unwrap_or_else(|| panic!("Apple describes no check-in message {message_type}"))
}

/// The file of a profile's payload, by its `PayloadType`. `Configuration` is the profile itself.
pub(crate) fn profile(payload_type: &str) -> &'static Schema {
    all("mdm/profiles")
        .iter()
        .find(|schema| schema.payload.payloadtype.as_deref() == Some(payload_type))
        .unwrap_or_else(|| panic!("Apple describes no payload {payload_type}"))
}

/// The file of a declaration, by its `Type`. It describes what stands under `Payload`.
pub(crate) fn declaration(declaration_type: &str) -> &'static Schema {
    all("declarative/declarations")
        .iter()
        .find(|schema| schema.payload.declarationtype.as_deref() == Some(declaration_type))
        .unwrap_or_else(|| panic!("Apple describes no declaration {declaration_type}"))
}

/// The four keys that every payload of a profile has, and its optional ones.
pub(crate) fn common_payload_keys() -> &'static Schema {
    named("mdm/profiles/CommonPayloadKeys.yaml")
}

/// One file, by its path below `apple/`.
pub(crate) fn named(path: &str) -> &'static Schema {
    let folder = Path::new(path).parent().and_then(Path::to_str).unwrap_or_default();
    let position = files(folder).iter().position(|file| file.ends_with(path));
    let position = position.unwrap_or_else(|| panic!("apple/{path} does not exist"));
    all(folder).get(position).unwrap_or_else(|| panic!("apple/{path} was not read"))
}

/// Every file of a folder, read once for the whole run, in the order of [`files`].
pub(crate) fn all(folder: &str) -> &'static [Schema] {
    static FOLDERS: [OnceLock<(String, Vec<Schema>)>; 8] = [const { OnceLock::new() }; 8];
    for slot in &FOLDERS {
        let (name, schemas) =
            slot.get_or_init(|| (folder.to_owned(), files(folder).iter().map(|f| read(f)).collect()));
        if name == folder {
            return schemas;
        }
    }
    panic!("more folders are read than there are slots")
}

/// The YAML files of a folder and the folders below it, sorted.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ipados/apple").join(folder);
    let mut files = Vec::new();
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let entries =
            std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for path in entries.map(|entry| entry.expect("a folder can be read").path()) {
            match path.extension() {
                None => folders.push(path),
                Some(extension) if extension == "yaml" => files.push(path),
                Some(_) => {}
            }
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> Schema {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let recursive = RECURSIVE.iter().any(|name| path.ends_with(name));
    let text = if recursive { text.replace("subkeys: *id001", "") } else { text };
    let mut schema: Schema =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Twice: a page, and the folders on it.
    for _ in 0..if recursive { 2 } else { 0 } {
        let mut named = BTreeMap::new();
        collect_named(&schema.payloadkeys, &mut named);
        unroll(&mut schema.payloadkeys, &named);
    }
    schema
}

/// The groups of keys that have a name.
fn collect_named(keys: &[Key], named: &mut BTreeMap<String, Vec<Key>>) {
    for key in keys {
        if let (Some(name), false) = (&key.subkeytype, key.subkeys.is_empty()) {
            named.insert(name.clone(), key.subkeys.clone());
        }
        collect_named(&key.subkeys, named);
    }
}

/// Puts a named group where only its name stands. What that contains of its own kind stays open.
fn unroll(keys: &mut [Key], named: &BTreeMap<String, Vec<Key>>) {
    for key in keys {
        unroll(&mut key.subkeys, named);
        let group = key.subkeytype.as_ref().and_then(|name| named.get(name));
        if let (true, Some(group)) = (key.subkeys.is_empty(), group) {
            key.subkeys = group.clone();
        }
    }
}

/// JSON as the validator reads it: the same tree without bytes and dates.
pub(crate) fn from_json(json: &serde_json::Value) -> Value {
    use serde_json::Value as Json;
    match json {
        Json::Null => panic!("the schema has no null"),
        Json::Bool(value) => Value::Boolean(*value),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::from(number),
            (None, Some(number), _) => Value::from(number),
            (None, None, number) => Value::Real(number.unwrap_or_default()),
        },
        Json::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        Json::Object(entries) => {
            Value::Dictionary(entries.iter().map(|(key, value)| (key.clone(), from_json(value))).collect())
        }
    }
}

/// Descriptions that contain themselves, which the YAML reader refuses: folders stand between icons on a home screen.
const RECURSIVE: [&str; 2] = ["com.apple.homescreenlayout.yaml", "com.apple.applicationaccess.new.yaml"];
