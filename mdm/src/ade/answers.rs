//! What Apple School Manager answers, read with bounds.
//!
//! Apple: <https://developer.apple.com/documentation/devicemanagement/device_assignment>.

use inventory::mdm::ListedDevice;
use serde_json::{Map, Value, json};

/// One page of the list of devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// Devices that are this server's.
    pub(crate) devices: Vec<ListedDevice>,
    /// Serial numbers of those that are no more.
    pub(crate) gone: Vec<String>,
    /// Where to go on.
    pub(crate) cursor: String,
    /// Whether there is more.
    pub(crate) more: bool,
}

impl Page {
    /// Reads a page; `None` when it is none. Devices that are no iPads are left out: nothing else can enrol here.
    pub(crate) fn read(answer: &Value) -> Option<Self> {
        let cursor = text(answer, "cursor").filter(|cursor| cursor.len() <= CURSOR_BYTES_MAX)?;
        let more = answer.get("more_to_follow").and_then(Value::as_bool).unwrap_or(false);
        let mut page = Self { cursor, more, ..Self::default() };
        for device in answer.get("devices").and_then(Value::as_array).into_iter().flatten() {
            let Some(serial) = text(device, "serial_number").filter(|serial| is_serial(serial)) else {
                continue;
            };
            if text(device, "op_type").as_deref() == Some("deleted") {
                page.devices.retain(|known| known.serial != serial);
                page.gone.push(serial);
            } else if is_ipad(device) {
                page.gone.retain(|gone| *gone != serial);
                page.devices.push(listed(serial, device));
            }
        }
        Some(page)
    }
}

fn is_ipad(device: &Value) -> bool {
    match text(device, "device_family") {
        Some(family) => family == "iPad",
        None => text(device, "model").is_some_and(|model| model.to_lowercase().starts_with("ipad")),
    }
}

fn listed(serial: String, device: &Value) -> ListedDevice {
    let short = |key: &str| -> String {
        text(device, key).unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect()
    };
    let profile = short("profile_uuid");
    ListedDevice {
        serial,
        model: short("model"),
        description: short("description"),
        profile: Some(profile).filter(|profile| !profile.is_empty()),
        status: short("profile_status"),
    }
}

/// What became of giving devices a profile: serial number, and Apple's word where it is not `SUCCESS`.
pub(crate) fn given(answer: &Value) -> Vec<(String, Option<String>)> {
    let devices = answer.get("devices").and_then(Value::as_object).cloned().unwrap_or_else(Map::new);
    devices
        .into_iter()
        .filter(|(serial, _)| is_serial(serial))
        .map(|(serial, word)| {
            let word: String = word.as_str().unwrap_or("FAILED").chars().take(TEXT_CHARS_MAX).collect();
            (serial, Some(word).filter(|word| word != "SUCCESS"))
        })
        .collect()
}

/// What people see of the account.
pub(crate) fn account(answer: &Value) -> Value {
    let short = |key: &str| -> String {
        text(answer, key).unwrap_or_default().chars().take(TEXT_CHARS_MAX).collect()
    };
    json!({ "server": short("server_name"), "school": short("org_name"), "administrator": short("admin_id") })
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).map(str::to_owned)
}

fn is_serial(text: &str) -> bool {
    (1..=SERIAL_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

const CURSOR_BYTES_MAX: usize = 4096;
const SERIAL_CHARS_MAX: usize = 32;
const TEXT_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_the_ipads_and_who_is_gone() {
        let answer = json!({
            "cursor": "c", "more_to_follow": true,
            "devices": [
                { "serial_number": "A1", "device_family": "iPad", "model": "iPad", "profile_status": "assigned", "profile_uuid": "P" },
                { "serial_number": "M1", "device_family": "Mac", "model": "MacBook" },
                { "serial_number": "B2", "model": "IPAD AIR", "op_type": "added" },
                { "serial_number": "B2", "op_type": "deleted" },
                { "serial_number": "<script>", "device_family": "iPad" },
                { "device_family": "iPad" },
                7,
            ],
        });
        let page = Page::read(&answer).unwrap();
        let serials: Vec<&str> = page.devices.iter().map(|device| device.serial.as_str()).collect();
        assert_eq!((serials, page.gone.as_slice(), page.more), (vec!["A1"], &["B2".to_owned()][..], true));
        assert_eq!(page.devices[0].profile.as_deref(), Some("P"));
        for nonsense in
            [json!(null), json!([]), json!({}), json!({ "cursor": 7 }), json!({ "cursor": "x".repeat(5000) })]
        {
            assert_eq!(Page::read(&nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_profile_is_given_or_not_with_apples_word() {
        let answer = json!({ "devices": { "A": "SUCCESS", "B": "NOT_ACCESSIBLE", "C": 3 } });
        let want = [("A", None), ("B", Some("NOT_ACCESSIBLE")), ("C", Some("FAILED"))];
        assert_eq!(given(&answer), want.map(|(serial, word)| (serial.to_owned(), word.map(str::to_owned))));
        assert_eq!(given(&json!([])), []);
    }
}
