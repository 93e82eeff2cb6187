//! Bytes inside of JSON, and JSON as a property list.
//!
//! A command waits in the queue as JSON and leaves as a property list. JSON has neither bytes nor dates, so both stand in
//! an object with one key: `{"$data": "<base64>"}` and `{"$date": "2026-11-22T08:00:00Z"}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

use super::{DocumentError, MAX_DEPTH};

/// Bytes that a property list carries as `<data>`. Its debug output tells only the length.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "InJson", into = "InJson")]
pub struct Data(Vec<u8>);

impl Data {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Data {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Data({} bytes)", self.0.len())
    }
}

#[derive(Serialize, Deserialize)]
struct InJson {
    #[serde(rename = "$data")]
    base64: String,
}

impl From<Data> for InJson {
    fn from(data: Data) -> Self {
        Self { base64: STANDARD.encode(data.0) }
    }
}

impl TryFrom<InJson> for Data {
    type Error = base64::DecodeError;

    fn try_from(json: InJson) -> Result<Self, Self::Error> {
        STANDARD.decode(json.base64).map(Self)
    }
}

/// Turns JSON into what a property list has.
///
/// A key whose value is `null` is left out, since that is how an absent key looks in JSON. Any other `null` is an error, as
/// is nesting beyond [`MAX_DEPTH`].
///
/// ```
/// let settings = serde_json::json!({"icon": {"$data": "AQI="}, "limit": 3});
/// let value = mdm::document::value_from_json(&settings).unwrap();
/// let value = value.as_dictionary().unwrap();
/// assert_eq!(value.get("icon").and_then(|icon| icon.as_data()), Some([1, 2].as_slice()));
/// assert_eq!(value.get("limit").and_then(|limit| limit.as_unsigned_integer()), Some(3));
/// ```
pub fn value_from_json(json: &serde_json::Value) -> Result<Value, DocumentError> {
    convert(json, 0)
}

fn convert(json: &serde_json::Value, depth: usize) -> Result<Value, DocumentError> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Err(DocumentError::Json { what: "null" }),
        Json::Bool(value) => Ok(Value::Boolean(*value)),
        Json::Number(number) => convert_number(number),
        Json::String(text) => Ok(Value::String(text.clone())),
        Json::Array(_) | Json::Object(_) if depth >= MAX_DEPTH => Err(DocumentError::TooDeep),
        Json::Array(items) => {
            items.iter().map(|item| convert(item, depth + 1)).collect::<Result<_, _>>().map(Value::Array)
        }
        Json::Object(entries) => {
            if let Some(scalar) = marked(entries) {
                return scalar;
            }
            let present = entries.iter().filter(|(_, value)| !value.is_null());
            let converted = present.map(|(key, value)| Ok((key.clone(), convert(value, depth + 1)?)));
            converted.collect::<Result<Dictionary, _>>().map(Value::Dictionary)
        }
    }
}

fn convert_number(number: &serde_json::Number) -> Result<Value, DocumentError> {
    let integer = number.as_i64().map(Value::from).or_else(|| number.as_u64().map(Value::from));
    integer
        .or_else(|| number.as_f64().map(Value::Real))
        .ok_or(DocumentError::Json { what: "a number of this size" })
}

/// The two types that JSON has not.
fn marked(entries: &serde_json::Map<String, serde_json::Value>) -> Option<Result<Value, DocumentError>> {
    if entries.len() != 1 {
        return None;
    }
    if let Some(base64) = entries.get("$data") {
        let bytes = base64.as_str().and_then(|text| STANDARD.decode(text).ok());
        return Some(bytes.map(Value::Data).ok_or(DocumentError::Json { what: "a $data that is no base64" }));
    }
    let date = entries.get("$date")?.as_str().and_then(|text| plist::Date::from_xml_format(text).ok());
    Some(date.map(Value::Date).ok_or(DocumentError::Json { what: "a $date that is no UTC time" }))
}
