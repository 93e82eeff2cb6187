//! Faults: reporting one with two taps, and what became of them.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use httpd::Peer;
use inventory::{DeviceId, Fault, FaultId, FaultKind, FaultState, RoomId, UnixMillis, clock};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields, Id};
use crate::lessons;
use crate::page::{Here, Page, Visit};
use crate::pages::{Choice, Me};
use crate::problem::Problem;
use crate::texts::faults::FaultTexts;
use crate::views::{Badge, When};

#[derive(Template)]
#[template(path = "report.html")]
pub(crate) struct ReportPage {
    pub(crate) p: Page,
    pub(crate) f: &'static FaultTexts,
    /// The room that is reported in: its id and name; a list to choose from without.
    pub(crate) room: Option<(String, String)>,
    pub(crate) rooms: Vec<(String, String)>,
    /// Devices of the room.
    pub(crate) devices: Vec<Choice>,
    pub(crate) kinds: Vec<(String, &'static str)>,
    pub(crate) mine: Vec<FaultRow>,
}

/// A fault in a list.
pub(crate) struct FaultRow {
    pub(crate) id: String,
    pub(crate) place: String,
    pub(crate) what: &'static str,
    pub(crate) state: Badge,
    /// Whether it is neither taken nor mended.
    pub(crate) is_open: bool,
    pub(crate) is_done: bool,
    /// When, who, and what was said.
    pub(crate) events: Vec<(When, String, String)>,
}

/// `GET /report?room=ID&device=ID`: the room somebody is in if none is named.
pub(crate) async fn form(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    Asked(query): Asked,
) -> Answer {
    let f = FaultTexts::of(visit.lang);
    let rooms = app.inventory.rooms().await?;
    let asked = match query.given("room") {
        Some(text) => Some(text.parse::<RoomId>().map_err(|_| Failure::NoPage)?),
        None => lessons::room_of(&app, peer.address.ip()).await?,
    };
    let room = asked.and_then(|id| rooms.iter().find(|room| room.id == id));
    let chosen = query.text("device");
    let devices = app
        .inventory
        .devices()
        .await?
        .0
        .into_iter()
        .filter(|device| Some(device.room.id) == room.map(|r| r.id));
    let devices = devices.map(|device| {
        let id = device.id.to_string();
        Choice { chosen: id == chosen, id, name: device.name.to_string() }
    });
    let now = clock::now();
    let mine = app.inventory.faults().await?.into_iter();
    let mine = mine.filter(|fault| fault.events.iter().any(|event| event.actor == me.user.name));
    visit.show(&ReportPage {
        p: visit.page(Here::Report),
        f,
        room: room.map(|room| (room.id.to_string(), room.name.clone())),
        devices: devices.collect(),
        kinds: FaultKind::REPORTED.map(|kind| (kind.text(), f.kind(kind))).to_vec(),
        mine: mine.take(MINE_SHOWN).map(|fault| row(&visit, f, now, fault)).collect(),
        rooms: rooms.into_iter().map(|room| (format!("/report?room={}", room.id), room.name)).collect(),
    })
}

/// `POST /report`: `room`, `device`, `kind`, `words`.
pub(crate) async fn report(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let reported = async {
        let no = |field: &'static str| Failure::field(field, Problem::NoChoice(form.text(field).to_owned()));
        let room: RoomId = form.text("room").parse().map_err(|_| no("room"))?;
        let device =
            form.given("device").map(str::parse::<DeviceId>).transpose().map_err(|_| no("device"))?;
        let kind = FaultKind::REPORTED.into_iter().find(|kind| kind.text() == form.text("kind"));
        let kind = kind.ok_or_else(|| no("kind"))?;
        app.inventory.report_fault(me.by(), room, device, kind, form.verbatim("words")).await?;
        Ok(FaultTexts::of(visit.lang).said_reported.to_owned())
    };
    visit.go_done("/report", reported.await)
}

#[derive(Template)]
#[template(path = "faults.html")]
pub(crate) struct FaultsPage {
    pub(crate) p: Page,
    pub(crate) f: &'static FaultTexts,
    pub(crate) open: Vec<FaultRow>,
    pub(crate) done: Vec<FaultRow>,
}

/// `GET /faults`
pub(crate) async fn list(State(app): State<App>, visit: Visit) -> Answer {
    let (f, now) = (FaultTexts::of(visit.lang), clock::now());
    let faults = app.inventory.faults().await?.into_iter().map(|fault| row(&visit, f, now, fault));
    let (done, open): (Vec<_>, Vec<_>) = faults.partition(|fault| fault.is_done);
    let done = done.into_iter().take(DONE_SHOWN).collect();
    visit.show(&FaultsPage { p: visit.page(Here::Faults), f, open, done })
}

/// `POST /faults/{id}`: `state`, `words`.
pub(crate) async fn answer(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<FaultId>,
    form: Fields,
) -> Answer {
    let state = match form.text("state") {
        "open" => FaultState::Open,
        "taken" => FaultState::Taken,
        "done" => FaultState::Done,
        other => return Err(Failure::field("state", Problem::NoChoice(other.to_owned()))),
    };
    let done = app.inventory.say_of_fault(me.by(), id, state, form.verbatim("words")).await;
    let said = crate::texts::Texts::of(visit.lang).said_saved.to_owned();
    visit.go_done("/faults", done.map(|()| said).map_err(Into::into))
}

fn row(visit: &Visit, f: &FaultTexts, now: UnixMillis, fault: Fault) -> FaultRow {
    let events = fault.events.into_iter();
    FaultRow {
        id: fault.id.to_string(),
        place: fault.place,
        what: f.kind(fault.kind),
        state: f.state(fault.state),
        is_open: fault.state == FaultState::Open,
        is_done: fault.state == FaultState::Done,
        events: events
            .map(|event| (When::new(visit.lang, now, event.at), event.actor, event.words))
            .collect(),
    }
}

const MINE_SHOWN: usize = 20;
const DONE_SHOWN: usize = 50;
