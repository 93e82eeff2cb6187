//! Writes the catalogue of restrictions from Apple's own schema (`apple/`, MIT), so that names, types, defaults and minimum
//! versions are Apple's and a newer schema file is all that an update takes.

use serde::Deserialize;
use std::fmt::Write as _;
use std::{env, error::Error, fs, path::Path};

#[derive(Deserialize)]
struct Schema {
    payloadkeys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    key: String,
    title: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    default: Option<Scalar>,
    #[serde(default)]
    rangelist: Vec<Scalar>,
    range: Option<Range>,
    #[serde(default)]
    content: String,
    #[serde(rename = "supportedOS", default)]
    supported: Supported,
}

#[derive(Deserialize)]
struct Range {
    min: i64,
    max: i64,
}

#[derive(Deserialize, Default)]
struct Supported {
    #[serde(rename = "iOS", default)]
    ios: Ios,
}

#[derive(Deserialize, Default)]
struct Ios {
    introduced: Option<Scalar>,
    deprecated: Option<Scalar>,
    #[serde(default)]
    supervised: bool,
    sharedipad: Option<SharedIpad>,
}

#[derive(Deserialize)]
struct SharedIpad {
    mode: Option<String>,
}

/// What YAML may hold where a version or a default stands: `4.2.1` is a string, `14.0` in quotes too, `2.0` a number.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Bool(bool),
    Int(i64),
    Real(f64),
    Text(String),
}

impl Scalar {
    fn text(&self) -> String {
        match self {
            Self::Bool(value) => value.to_string(),
            Self::Int(value) => value.to_string(),
            Self::Real(value) => format!("{value:?}"),
            Self::Text(value) => value.clone(),
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let mut schema: Schema = serde_saphyr::from_str(&fs::read_to_string(SOURCE)?)?;
    // An "n/a" says that the key exists for other systems only.
    schema.payloadkeys.retain(|key| key.supported.ios.introduced.as_ref().is_none_or(|v| v.text() != "n/a"));
    schema.payloadkeys.sort_by(|a, b| a.key.cmp(&b.key));

    let mut out = String::from("pub(super) static ALL: &[Restriction] = &[\n");
    for key in &schema.payloadkeys {
        let ios = &key.supported.ios;
        let shared = ios.sharedipad.as_ref().is_none_or(|s| s.mode.as_deref() != Some("forbidden"));
        writeln!(
            out,
            "Restriction {{ key: {:?}, title: {:?}, kind: {}, since: {}, deprecated: {}, supervised: {}, on_shared_ipad: {shared}, description: {:?} }},",
            key.key,
            key.title.as_deref().unwrap_or(&key.key),
            kind(key)?,
            version(ios.introduced.as_ref())?.unwrap_or_else(|| "OsVersion::ANY".into()),
            version(ios.deprecated.as_ref())?.map_or("None".into(), |v| format!("Some({v})")),
            ios.supervised,
            short(&key.content),
        )?;
    }
    out.push_str("];\n");
    fs::write(Path::new(&env::var("OUT_DIR")?).join("catalogue.rs"), out)?;
    Ok(())
}

/// The constructor of `catalogue::Kind` for one key.
fn kind(key: &Key) -> Result<String, Box<dyn Error>> {
    let default = key.default.as_ref().map(Scalar::text);
    Ok(match key.kind.as_str() {
        "<boolean>" => format!("Kind::Bool {{ default: {} }}", default.ok_or("a boolean without default")?),
        "<integer>" => {
            let (min, max) = key.range.as_ref().map_or((i64::MIN, i64::MAX), |r| (r.min, r.max));
            format!("Kind::Int {{ min: {min}, max: {max}, default: {default:?} }}").replace('"', "")
        }
        "<real>" => {
            let choices: Vec<String> = key
                .rangelist
                .iter()
                .map(|v| v.text().parse::<f64>().map(|v| format!("{v:?}")))
                .collect::<Result<_, _>>()?;
            format!("Kind::Real {{ choices: &[{}] }}", choices.join(", "))
        }
        "<string>" => {
            format!(
                "Kind::Choice {{ choices: &{:?} }}",
                key.rangelist.iter().map(Scalar::text).collect::<Vec<_>>()
            )
        }
        "<array>" => "Kind::List".into(),
        other => return Err(format!("{}: no kind of restriction for the type {other}", key.key).into()),
    })
}

/// `15.0` as `OsVersion::new(15, 0, 0)`.
fn version(value: Option<&Scalar>) -> Result<Option<String>, Box<dyn Error>> {
    let Some(value) = value else { return Ok(None) };
    let text = value.text();
    let mut parts = text.split('.').map(str::parse::<u16>);
    let mut next = || parts.next().unwrap_or(Ok(0));
    Ok(Some(format!("OsVersion::new({}, {}, {})", next()?, next()?, next()?)))
}

/// Apple's sentences without those that repeat what the other columns say.
fn short(content: &str) -> String {
    let text = content.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::new();
    for sentence in text.split_inclusive(". ") {
        let told = ["Available ", "Requires a supervised", "Also available", "Support for this"];
        if !told.iter().any(|start| sentence.starts_with(start)) {
            out.push_str(sentence);
        }
    }
    out.trim_end().to_owned()
}

const SOURCE: &str = "apple/mdm/profiles/com.apple.applicationaccess.yaml";
