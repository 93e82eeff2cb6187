//! The overview: what is not in order, what waits, what runs.

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use inventory::WaitingState;

use crate::app::App;
use crate::failure::Answer;
use crate::night;
use crate::notices;
use crate::page::{Here, Page, Visit};
use crate::pages::night::{RoomReport, report};
use crate::pages::{Me, strays, texts_of};
use crate::rights::{self, Right};
use crate::texts::Texts;
use crate::views::{Bar, Context, JobView, When};

#[derive(Template)]
#[template(path = "overview.html")]
pub(crate) struct Overview {
    pub(crate) p: Page,
    pub(crate) tiles: Vec<Tile>,
    pub(crate) notices: Vec<NoticeView>,
    /// That addresses are in use which nothing explains; empty when there are none.
    pub(crate) strays: String,
    /// Rows that cannot be used.
    pub(crate) unusable: Vec<String>,
    pub(crate) jobs: Vec<JobView>,
    pub(crate) rooms: Vec<RoomLine>,
    /// What came of the last night.
    pub(crate) night: Option<(String, Vec<RoomReport>)>,
}

/// A number that leads to its page.
pub(crate) struct Tile {
    pub(crate) path: &'static str,
    pub(crate) count: usize,
    pub(crate) name: &'static str,
    pub(crate) urgent: bool,
}

/// A notice.
pub(crate) struct NoticeView {
    pub(crate) text: String,
    pub(crate) remedy: String,
    pub(crate) place: String,
    pub(crate) source: String,
    pub(crate) since: When,
}

/// A room in one line.
pub(crate) struct RoomLine {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) line: String,
    /// How far its images are.
    pub(crate) bar: Option<Bar>,
}

/// `GET /`: the overview for those who manage devices; others begin with what is theirs.
pub(crate) async fn show(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    if !rights::has(me.user.role, Right::Devices) {
        let teaches = rights::has(me.user.role, Right::Lessons);
        return Ok(Redirect::to(if teaches { "/room" } else { "/status" }).into_response());
    }
    let inventory = &app.inventory;
    let context = Context::load(inventory, visit.lang).await?;
    let t = Texts::of(visit.lang);
    let (devices, bad_devices) = inventory.devices().await?;
    let (waiting, bad_waiting) = inventory.waiting().await?;
    let (_, bad_networks) = inventory.networks().await?;
    let names: HashMap<_, _> = devices.iter().map(|d| (d.id, d.name.to_string())).collect();

    let notices = inventory.notices().await?.into_iter().map(|n| {
        let (text, remedy) = notices::said(visit.lang, &n.text, &n.remedy);
        let since = When::new(visit.lang, context.now, n.raised_at);
        NoticeView { text, remedy, place: n.place, source: n.source, since }
    });
    let (strays, bad_strays) = inventory.strays(context.now).await?;
    let strays = strays::recent(&strays, context.now);
    let mut jobs: Vec<JobView> = context.open.values().map(|job| context.job(job, &names)).collect();
    jobs.sort_by(|a, b| a.device.cmp(&b.device));
    let rooms = inventory.rooms().await?.into_iter().filter_map(|room| {
        let here: Vec<_> = devices.iter().filter(|d| d.room.id == room.id).collect();
        let on = here.iter().filter(|d| context.is_on(d)).count();
        let line = t.room_line(on, here.len());
        let bar = context.room_bar(&here);
        (!here.is_empty()).then(|| RoomLine { id: room.id.to_string(), name: room.name, line, bar })
    });

    let night = night::latest(&app, &devices, &night::notes(&app, night::DAYS).await?).await?;
    let faults = inventory.open_faults().await?.len();
    let wait = waiting.iter().filter(|w| w.state == WaitingState::Waiting).count();
    let on = devices.iter().filter(|d| context.is_on(d)).count();
    let tile = |path, count, name| Tile { path, count, name, urgent: false };
    let tiles = vec![
        Tile { path: "/waiting", count: wait, name: t.tile_waiting, urgent: wait > 0 },
        tile("/devices", devices.len(), t.tile_devices),
        tile("/devices", on, t.tile_on),
        tile("/jobs", context.open.len(), t.tile_jobs),
        tile("/images", context.images.len(), t.tile_images),
        Tile { path: "/faults", count: faults, name: t.faults().open_faults, urgent: faults > 0 },
    ];
    visit.show(&Overview {
        p: visit.page(Here::Overview),
        tiles,
        notices: notices.collect(),
        strays: if strays > 0 { t.strays_seen(strays) } else { String::new() },
        unusable: texts_of(
            &[bad_devices, bad_waiting, bad_networks, bad_strays].into_iter().flatten().collect::<Vec<_>>(),
        ),
        jobs,
        rooms: rooms.collect(),
        night: night.map(|night| report(visit.lang, night)),
    })
}
