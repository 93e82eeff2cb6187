//! The WLAN with the school account: who may join, and into which network.
//!
//! | Module            | What it does                                                                     |
//! |-------------------|----------------------------------------------------------------------------------|
//! | [`mod@decide`]    | which rule holds for whom (pure)                                                 |
//! | `settings`        | name, rules and options of the WLAN                                              |
//! | `access_points`   | who may ask, with which secret                                                   |
//! | `secrets`         | guests' codes, passwords and keys that are for the WLAN alone                    |
//! | `joiners`         | what is known of somebody who wants to join                                      |
//! | `stations`        | who joined and who was turned away                                               |

mod access_points;
pub mod decide;
mod joiners;
mod secrets;
mod settings;
mod stations;

pub use access_points::{AccessPoint, Addresses, NewAccessPoint, WithSecret, access_point_of};
pub use decide::{
    Hours, Joiner, Kind, Moment, Outcome, Refusal, Rule, Settings, Then, Verdict, Vlan, Who, decide,
};
pub use joiners::CertificateOwner;
pub use secrets::{GUEST_NAMES, NewVoucher, Voucher};
pub use stations::{Joined, Method, RefusalSeen, Refused, STATION_MILLIS, Station, StationOwner};

/// The name that the RADIUS server's certificate has in a school's zone: every profile names it, so that nobody types a password into
/// a stranger's access point.
#[must_use]
pub fn server_name(zone: &str) -> String {
    format!("radius.{zone}")
}
