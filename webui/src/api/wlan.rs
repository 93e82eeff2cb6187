//! The WLAN.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use inventory::wlan::{
    AccessPoint, Addresses, NewAccessPoint, NewVoucher, RefusalSeen, Settings, Station, Voucher,
};
use inventory::{AccessPointId, DeviceId, MacAddr, RoomId, UnixMillis, VoucherId, clock};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Created, Me};
use crate::app::App;
use crate::failure::Answer;
use crate::fields::{Asked, Body, Id};
use crate::wlan::{Foreseen, foresee, forget_own};

/// How the WLAN is meant to be, and how often that was saved.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingsJson {
    /// To be sent back when it is saved: if somebody else saved meanwhile, it is refused.
    version: i64,
    settings: Settings,
}

pub(crate) async fn settings(State(app): State<App>) -> Answer<Json<SettingsJson>> {
    let (settings, version) = app.inventory.wlan().await?;
    Ok(Json(SettingsJson { version, settings }))
}

pub(crate) async fn save(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<SettingsJson>,
) -> Answer<StatusCode> {
    app.inventory.set_wlan(me.by(), body.version, &body.settings).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `?name=`: a person's or device's name; whoever asks, without one.
pub(crate) async fn preview(
    State(app): State<App>,
    Extension(me): Me,
    Asked(query): Asked,
) -> Answer<Json<Foreseen>> {
    let (settings, _) = app.inventory.wlan().await?;
    Ok(Json(foresee(&app, &settings, query.given("name").unwrap_or(&me.user.name)).await?))
}

pub(crate) async fn stations(State(app): State<App>) -> Answer<Json<Vec<Station>>> {
    Ok(Json(app.inventory.stations(clock::now(), STATIONS_MAX).await?))
}

pub(crate) async fn refusals(State(app): State<App>) -> Answer<Json<Vec<RefusalSeen>>> {
    Ok(Json(app.inventory.wlan_refusals(REFUSALS_MAX).await?))
}

/// A device on the WLAN.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CardBody {
    mac: MacAddr,
}

pub(crate) async fn forget(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<CardBody>,
) -> Answer<StatusCode> {
    app.inventory.forget_station(me.by(), body.mac).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn access_points(State(app): State<App>) -> Answer<Json<Vec<AccessPoint>>> {
    Ok(Json(app.inventory.access_points().await?))
}

/// An access point.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccessPointBody {
    name: String,
    /// Its address, or the network of several that share a secret.
    range: Addresses,
    /// Where it is.
    room: Option<RoomId>,
}

/// What was added.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AccessPointAdded {
    id: AccessPointId,
}

pub(crate) async fn add_access_point(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<AccessPointBody>,
) -> Created<AccessPointAdded> {
    let new = NewAccessPoint { name: &body.name, range: body.range, room: body.room };
    let id = app.inventory.add_access_point(me.by(), &app.vault, new).await?;
    Ok((StatusCode::CREATED, Json(AccessPointAdded { id })))
}

pub(crate) async fn change_access_point(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<AccessPointId>,
    Body(body): Body<AccessPointBody>,
) -> Answer<StatusCode> {
    let new = NewAccessPoint { name: &body.name, range: body.range, room: body.room };
    app.inventory.set_access_point(me.by(), id, new).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn delete_access_point(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<AccessPointId>,
) -> Answer<StatusCode> {
    app.inventory.delete_access_point(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whether another secret is made first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SecretBody {
    #[serde(default)]
    renew: bool,
}

/// A secret.
#[derive(Serialize, JsonSchema)]
pub(crate) struct SecretJson {
    secret: String,
}

pub(crate) async fn secret(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<AccessPointId>,
    Body(body): Body<SecretBody>,
) -> Answer<Json<SecretJson>> {
    if body.renew {
        app.inventory.renew_access_point_secret(me.by(), &app.vault, id).await?;
    }
    Ok(Json(SecretJson { secret: app.inventory.access_point_secret(&app.vault, id).await? }))
}

pub(crate) async fn device_key(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
    Body(body): Body<SecretBody>,
) -> Answer<Json<SecretJson>> {
    let known = app.inventory.device_key(&app.vault, id).await?.filter(|_| !body.renew);
    let secret = match known {
        Some(secret) => secret,
        None => app.inventory.make_device_key(me.by(), &app.vault, id).await?,
    };
    Ok(Json(SecretJson { secret }))
}

pub(crate) async fn delete_device_key(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<DeviceId>,
) -> Answer<StatusCode> {
    app.inventory.delete_device_key(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn vouchers(State(app): State<App>) -> Answer<Json<Vec<Voucher>>> {
    Ok(Json(app.inventory.vouchers().await?))
}

/// Whom a voucher is for, and how long.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VoucherBody {
    note: String,
    devices_max: u8,
    ends_at: UnixMillis,
}

/// A voucher with its code, which cannot be read again.
#[derive(Serialize, JsonSchema)]
pub(crate) struct VoucherMade {
    id: VoucherId,
    code: String,
}

pub(crate) async fn make_voucher(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<VoucherBody>,
) -> Created<VoucherMade> {
    let new = NewVoucher { note: &body.note, devices_max: body.devices_max, ends_at: body.ends_at };
    let (id, code) = app.inventory.make_voucher(me.by(), new).await?;
    Ok((StatusCode::CREATED, Json(VoucherMade { id, code })))
}

pub(crate) async fn end_voucher(
    State(app): State<App>,
    Extension(me): Me,
    Id(id): Id<VoucherId>,
) -> Answer<StatusCode> {
    app.inventory.end_voucher(me.by(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn own(State(app): State<App>, Extension(me): Me) -> Answer<Json<Vec<Station>>> {
    Ok(Json(app.inventory.stations_of_user(me.user.id, clock::now()).await?))
}

pub(crate) async fn own_forget(
    State(app): State<App>,
    Extension(me): Me,
    Body(body): Body<CardBody>,
) -> Answer<StatusCode> {
    forget_own(&app, &me, body.mac).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn make_own_password(State(app): State<App>, Extension(me): Me) -> Answer<Json<SecretJson>> {
    let secret = app.inventory.make_wifi_password(me.by(), &app.vault, me.user.id).await?;
    Ok(Json(SecretJson { secret }))
}

pub(crate) async fn delete_own_password(State(app): State<App>, Extension(me): Me) -> Answer<StatusCode> {
    app.inventory.delete_wifi_password(me.by(), me.user.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

const STATIONS_MAX: u32 = 1000;
const REFUSALS_MAX: u32 = 500;
