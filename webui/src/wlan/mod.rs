//! The WLAN as pages and API show it.

pub(crate) mod access_point;
pub(crate) mod profile;

use inventory::wlan::{Joiner, Kind, Outcome, Settings, StationOwner, decide};
use inventory::{DeviceId, MacAddr, UserId, clock};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;

/// What would happen if somebody wanted to join now.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Foreseen {
    /// What they are called.
    pub(crate) name: String,
    /// What they would join as.
    pub(crate) kind: Kind,
    /// The decision, and the rule that it is by.
    pub(crate) outcome: Outcome,
}

/// What would happen if the person or device of that name wanted to join now, with one more device than they have there.
pub(crate) async fn foresee(app: &App, settings: &Settings, name: &str) -> Answer<Foreseen> {
    let joiner = who(app, name).await?;
    let moment = app.inventory.wlan_moment(joiner.owner, None, clock::now()).await?;
    let outcome = decide(settings, &joiner, &moment);
    Ok(Foreseen { name: joiner.name, kind: joiner.kind, outcome })
}

/// The person who signs in with that name, or else the device that is called so.
pub(crate) async fn who(app: &App, name: &str) -> Answer<Joiner> {
    let nobody = || Failure::field("name", Problem::NoDeviceOrPerson(name.to_owned()));
    if let Some(user) = app.inventory.user_by_name(name).await? {
        return app.inventory.wlan_person(user.id).await?.ok_or_else(nobody);
    }
    let devices = app.inventory.devices().await?.0;
    let device = devices.into_iter().find(|device| device.name.as_str() == name.trim().to_lowercase());
    let id = device.ok_or_else(nobody)?.id;
    let kind = app.inventory.wlan_kind_of(id).await?;
    app.inventory.wlan_device(id, kind).await?.ok_or_else(nobody)
}

/// The person or device that somebody is.
pub(crate) fn person_or_device(joiner: &Joiner) -> Option<Result<UserId, DeviceId>> {
    match joiner.owner {
        StationOwner::User(id) => Some(Ok(id)),
        StationOwner::Device(id) => Some(Err(id)),
        StationOwner::Voucher(_) => None,
    }
}

/// Forgets a device, if it is that person's.
pub(crate) async fn forget_own(app: &App, me: &SignedIn, mac: MacAddr) -> Answer<()> {
    let own = app.inventory.stations_of_user(me.user.id, clock::now()).await?;
    if !own.iter().any(|station| station.mac == mac) {
        return Err(Failure::Gone);
    }
    Ok(app.inventory.forget_station(me.by(), mac).await?)
}
