//! The night shift: what came of the last one, and what is planned for each room.

use askama::Template;
use axum::extract::State;
use inventory::RoomId;
use inventory::lessons::hour;
use inventory::night::NightPlan;

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::lang::Lang;
use crate::lessons;
use crate::night::{self, Night, NightPc, NightRoom, PastNight};
use crate::page::{Here, Page, Visit};
use crate::pages::Me;
use crate::texts::Texts;
use crate::views::{Badge, Bar, percent};

#[derive(Template)]
#[template(path = "night.html")]
pub(crate) struct NightPage {
    pub(crate) p: Page,
    /// Heading of the report.
    pub(crate) heading: String,
    pub(crate) report: Vec<RoomReport>,
    /// The nights before: name, and how many PCs were ready.
    pub(crate) history: Vec<(String, Bar)>,
    pub(crate) plans: Vec<PlanForm>,
    pub(crate) days: [(u8, &'static str); 7],
}

/// What came of it in a room.
pub(crate) struct RoomReport {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) sum: Badge,
    pub(crate) others: Vec<PcReport>,
}

/// What came of it on a PC that is not as it should be.
pub(crate) struct PcReport {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: Badge,
    /// What to do about it.
    pub(crate) advice: String,
}

/// The plan of a room, as a form.
pub(crate) struct PlanForm {
    pub(crate) id: String,
    pub(crate) name: String,
    /// Numbers of the evenings, from 1.
    pub(crate) evenings: Vec<u8>,
    pub(crate) begins: String,
    pub(crate) ends: String,
    pub(crate) image: bool,
    pub(crate) switch_off: bool,
    /// In a few words.
    pub(crate) about: String,
    /// The night that runs or comes next, and whether it is left out.
    pub(crate) coming: Option<(String, bool)>,
}

/// `GET /night`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let t = Texts::of(visit.lang);
    let (devices, _) = app.inventory.devices().await?;
    let notes = night::notes(&app, night::HISTORY_DAYS).await?;
    let latest = night::latest(&app, &devices, &notes).await?;
    let shown = latest.as_ref().map(|night| night.evening);
    let before = night::history(&notes).into_iter().filter(|past| Some(past.evening) != shown);
    let (heading, report) =
        latest.map_or_else(|| (t.night_none.to_owned(), Vec::new()), |night| report(visit.lang, night));
    let (plans, _) = app.inventory.night_plans().await?;
    let (grid, local) = (app.inventory.grid().await?, inventory::lessons::local(inventory::clock::now()));
    let rooms = app.inventory.rooms().await?.into_iter().map(|room| {
        let plan = plans.iter().find(|plan| plan.room == room.id);
        let form = plan.cloned().unwrap_or_else(|| proposed(room.id));
        let evenings: Vec<u8> =
            (1..).zip(form.evenings).filter(|(_, wanted)| *wanted).map(|(n, _)| n).collect();
        let names = t.weekdays().into_iter().filter(|(n, _)| evenings.contains(n)).map(|(_, name)| name);
        let names: Vec<&str> = names.collect();
        let coming = plan.and_then(|plan| {
            let evening = plan.coming(&grid, &local)?;
            Some((evening.strftime("%d.%m.").to_string(), plan.rests_on == Some(evening)))
        });
        PlanForm {
            id: room.id.to_string(),
            name: room.name,
            about: match plan {
                Some(_) => {
                    let rests = coming.as_ref().filter(|(_, rests)| *rests);
                    let rests = rests.map(|(evening, _)| format!(" · {}", t.night_rests(evening)));
                    let hours = format!("{}–{}", hour(form.begins), hour(form.ends));
                    format!("{} {hours}{}", names.join(" "), rests.unwrap_or_default())
                }
                None => t.night_not.to_owned(),
            },
            evenings,
            coming,
            begins: hour(form.begins),
            ends: hour(form.ends),
            image: form.image,
            switch_off: form.switch_off,
        }
    });
    visit.show(&NightPage {
        plans: rooms.collect(),
        history: before.map(|past| past_night(t, &past)).collect(),
        report,
        heading,
        days: t.weekdays(),
        p: visit.page(Here::Night),
    })
}

/// What came of a night: a heading, and the rooms.
pub(crate) fn report(lang: Lang, night: Night) -> (String, Vec<RoomReport>) {
    let t = Texts::of(lang);
    let Night { evening, running, rooms } = night;
    let heading = t.night_of(&evening.strftime("%d.%m.").to_string(), running);
    (heading, rooms.into_iter().map(|room| room_report(t, room, running)).collect())
}

/// `POST /rooms/{id}/night`: `day` (several; none means no night shift), `begins`, `ends`, `image`, `switch_off`.
pub(crate) async fn save(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(room): Id<RoomId>,
    form: Fields,
) -> Answer {
    let saved = async {
        let days: Vec<u8> = form.all("day").filter_map(|day| day.parse().ok()).collect();
        let plan = NightPlan {
            room,
            evenings: std::array::from_fn(|day| days.iter().any(|wanted| usize::from(*wanted) == day + 1)),
            begins: lessons::minute("begins", form.text("begins"))?,
            ends: lessons::minute("ends", form.text("ends"))?,
            image: form.given("image").is_some(),
            switch_off: form.given("switch_off").is_some(),
            rests_on: None,
        };
        app.inventory.set_night_plan(me.by(), &plan).await?;
        Ok::<_, Failure>(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done("/night", saved.await)
}

/// `POST /rooms/{id}/night/rest`: `rest` (`1`: the night that runs or comes next is left out; without, it is not).
pub(crate) async fn rest(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(room): Id<RoomId>,
    form: Fields,
) -> Answer {
    let done = night::rest(&app, &me, room, form.given("rest").is_some()).await;
    visit.go_done("/night", done.map(|_| Texts::of(visit.lang).said_saved.to_owned()))
}

/// What most schools want.
fn proposed(room: RoomId) -> NightPlan {
    let evenings = [true, true, true, true, true, false, false];
    NightPlan { room, evenings, begins: 22 * 60, ends: 6 * 60, image: true, switch_off: true, rests_on: None }
}

fn past_night(t: &Texts, past: &PastNight) -> (String, Bar) {
    let weekday = t
        .weekdays()
        .into_iter()
        .find(|(n, _)| i16::from(*n) == i16::from(past.evening.weekday().to_monday_one_offset()));
    let weekday = weekday.map_or("", |(_, name)| name);
    let bar = Bar {
        percent: percent(past.ready as u64, past.total as u64),
        phase: t.night_sum(past.ready, past.total),
        detail: String::new(),
    };
    (format!("{weekday} {}", past.evening.strftime("%d.%m.")), bar)
}

fn room_report(t: &Texts, room: NightRoom, running: bool) -> RoomReport {
    let total = room.ready + room.others.len();
    let kind = match room.others.is_empty() {
        true => "good",
        false if running => "busy",
        false => "bad",
    };
    RoomReport {
        id: room.room.to_string(),
        name: room.name,
        sum: Badge::new(kind, &t.night_sum(room.ready, total)),
        others: room.others.into_iter().map(|pc| pc_report(t, pc, running)).collect(),
    }
}

fn pc_report(t: &Texts, pc: NightPc, running: bool) -> PcReport {
    let (kind, state, advice) = t.night_state(&pc.note.state, running);
    let tired = pc.needs_person().then(|| t.night_again(pc.nights));
    PcReport {
        id: pc.device.to_string(),
        name: pc.name.to_string(),
        state: Badge::new(if tired.is_some() && !running { "bad" } else { kind }, state),
        advice: [tired.unwrap_or_default(), advice].join(" ").trim().to_owned(),
    }
}
