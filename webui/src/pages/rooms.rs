//! Rooms.

use askama::Template;
use axum::extract::State;
use inventory::RoomId;

use crate::actions;
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::Me;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "rooms.html")]
pub(crate) struct Rooms {
    pub(crate) p: Page,
    pub(crate) rooms: Vec<RoomRow>,
    /// Name that was refused.
    pub(crate) tried: String,
    pub(crate) problems: Shown,
}

/// A room in the list.
pub(crate) struct RoomRow {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Devices in it.
    pub(crate) count: usize,
}

/// `GET /rooms`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&page(&app, &visit).await?)
}

/// `POST /rooms`
pub(crate) async fn create(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let name = form.text("name");
    match app.inventory.create_room(me.by(), name).await {
        Ok(room) => Ok(visit.go("/rooms", Texts::of(visit.lang).said_created(&room.name))),
        Err(error) => {
            let problems = Shown::of(visit.lang, &Failure::from(error).problems()?);
            visit.show_problems(&Rooms { tried: name.to_owned(), problems, ..page(&app, &visit).await? })
        }
    }
}

/// `POST /rooms/{id}`
pub(crate) async fn rename(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<RoomId>,
    form: Fields,
) -> Answer {
    let done = app.inventory.rename_room(me.by(), id, form.text("name")).await;
    let said = |()| Texts::of(visit.lang).said_saved.to_owned();
    visit.go_done("/rooms", done.map(said).map_err(Failure::from))
}

/// `POST /rooms/{id}/power`
pub(crate) async fn power(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<RoomId>,
    form: Fields,
) -> Answer {
    let power = actions::power_of(form.text("power"))?;
    let done = actions::power_room(&app.inventory, me.by(), id, power).await;
    let said = |asked| Texts::of(visit.lang).said_power(power, asked);
    visit.go_done(&format!("/devices?room={id}"), done.map(said))
}

/// `POST /rooms/{id}/delete`. A room is empty when it can be deleted, so nobody is asked twice.
pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<RoomId>,
) -> Answer {
    let room = app.inventory.rooms().await?.into_iter().find(|room| room.id == id).ok_or(Failure::Gone)?;
    let done = app.inventory.delete_room(me.by(), id).await;
    let said = |()| Texts::of(visit.lang).said_deleted(&room.name);
    visit.go_done("/rooms", done.map(said).map_err(Failure::from))
}

async fn page(app: &App, visit: &Visit) -> Answer<Rooms> {
    let (devices, _) = app.inventory.devices().await?;
    let rooms = app.inventory.rooms().await?.into_iter().map(|room| RoomRow {
        id: room.id.to_string(),
        count: devices.iter().filter(|d| d.room.id == room.id).count(),
        name: room.name,
    });
    Ok(Rooms {
        p: visit.page(Here::Rooms),
        rooms: rooms.collect(),
        tried: String::new(),
        problems: Shown::default(),
    })
}
