//! What iPads say of themselves, as far as the school needs it: no names of people, no places.

use inventory::mdm::{Facts, Found};
use serde_json::{Value, json};

use crate::document::DocumentError;
use crate::response::Response;
use crate::response::results::{
    DeviceInformation, InstalledApplication, InstalledApplicationList, InstalledProfile, ManagedApplication,
    ManagedApplicationList, ProfileList, SecurityInfo,
};

/// What a response found out; `None` when it is no answer to a question that is kept.
///
/// # Errors
/// It is one, but makes no sense.
pub(crate) fn of(said: &Response) -> Result<Option<Found>, DocumentError> {
    if said.has("QueryResponses") {
        let found = said.result::<DeviceInformation>()?.query_responses;
        let facts = Facts {
            card: found.wifi_mac.as_deref().and_then(|card| card.parse().ok()),
            model: short(found.product_name.as_deref()),
            os_version: short(found.os_version.as_deref()),
        };
        return Ok(Some(Found {
            kind: "device",
            facts: Some(facts),
            body: json!({
                "os_version": found.os_version,
                "build": found.build_version,
                "model": found.product_name,
                "model_name": found.model_name,
                "capacity_gb": found.device_capacity,
                "free_gb": found.available_device_capacity,
                "battery": found.battery_level,
                "wifi_mac": found.wifi_mac,
                "supervised": found.is_supervised,
                "shared": found.is_multi_user,
                "lost_mode": found.is_mdm_lost_mode_enabled,
                "activation_lock": found.is_activation_lock_enabled,
            }),
        }));
    }
    if said.has("SecurityInfo") {
        let found = said.result::<SecurityInfo>()?.security_info;
        let facts =
            json!({ "passcode": found.passcode_present, "passcode_compliant": found.passcode_compliant });
        return Ok(found_out("security", facts));
    }
    if said.has("InstalledApplicationList") {
        let found = said.result::<InstalledApplicationList>()?.installed_application_list;
        let app = |app: InstalledApplication| json!({ "id": app.identifier, "name": app.name, "version": app.short_version.or(app.version) });
        return Ok(found_out("apps", Value::Array(found.into_iter().map(app).collect())));
    }
    if said.has("ManagedApplicationList") {
        let found = said.result::<ManagedApplicationList>()?.managed_application_list;
        let app = |(id, app): (String, ManagedApplication)| json!({ "id": id, "state": format!("{:?}", app.status) });
        return Ok(found_out("managed_apps", Value::Array(found.into_iter().map(app).collect())));
    }
    if said.has("ProfileList") {
        let found = said.result::<ProfileList>()?.profile_list;
        let profile = |profile: InstalledProfile| {
            json!({
                "id": profile.payload_identifier,
                "uuid": profile.payload_uuid,
                "name": profile.payload_display_name,
                "managed": profile.is_managed,
            })
        };
        return Ok(found_out("profiles", Value::Array(found.into_iter().map(profile).collect())));
    }
    Ok(None)
}

fn found_out(kind: &'static str, body: Value) -> Option<Found> {
    Some(Found { kind, body, facts: None })
}

/// As much of a text as a model or a version has.
pub(crate) fn short(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(SHORT_CHARS).collect()
}

const SHORT_CHARS: usize = 64;
