//! The list of devices.

use askama::Template;
use axum::extract::State;
use inventory::Room;

use crate::app::App;
use crate::failure::Answer;
use crate::fields::Asked;
use crate::page::{Here, Page, Visit};
use crate::pages::matches;
use crate::views::{Context, DeviceRow};

#[derive(Template)]
#[template(path = "devices.html")]
pub(crate) struct Devices {
    pub(crate) p: Page,
    pub(crate) q: String,
    /// Id of the room that is shown; empty for all.
    pub(crate) room: String,
    pub(crate) rooms: Vec<Room>,
    pub(crate) rows: Vec<DeviceRow>,
    pub(crate) total: usize,
}

/// `GET /devices?room=ID&q=TEXT`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Asked(query): Asked) -> Answer {
    let context = Context::load(&app.inventory, visit.lang).await?;
    let (devices, _) = app.inventory.devices().await?;
    let q: String = query.text("q").chars().take(100).collect();
    let (room, search) = (query.text("room"), q.to_lowercase());
    let wanted = devices
        .iter()
        .filter(|d| room.is_empty() || d.room.id.to_string() == room)
        .filter(|d| search.is_empty() || matches(d, &search));
    visit.show(&Devices {
        p: visit.page(Here::Devices),
        room: room.to_owned(),
        rooms: app.inventory.rooms().await?,
        rows: wanted.map(|device| context.row(device)).collect(),
        total: devices.len(),
        q,
    })
}
