//! What is not on PCs as it should be.

use askama::Template;
use axum::extract::State;

use crate::app::App;
use crate::drift::{self, Drift};
use crate::failure::Answer;
use crate::page::{Here, Page, Visit};
use crate::software::{say_reason, say_state};
use crate::texts::Texts;
use crate::views::Badge;

#[derive(Template)]
#[template(path = "drift.html")]
pub(crate) struct DriftPage {
    pub(crate) p: Page,
    pub(crate) rows: Vec<DriftRow>,
}

/// A PC that is not as it should be.
pub(crate) struct DriftRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) room: String,
    /// Its image, and how the disk differs from it.
    pub(crate) image: Option<(String, Badge)>,
    pub(crate) programs: Vec<ProgramRow>,
}

/// A program that is not as it should be.
pub(crate) struct ProgramRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: Badge,
    pub(crate) reason: String,
}

/// `GET /drift`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let rows = drift::list(&app).await?.into_iter().map(|drift| row(&visit, drift));
    visit.show(&DriftPage { p: visit.page(Here::Night), rows: rows.collect() })
}

fn row(visit: &Visit, drift: Drift) -> DriftRow {
    let t = Texts::of(visit.lang);
    let programs = drift.programs.into_iter().map(|program| ProgramRow {
        id: program.program.to_string(),
        name: program.name,
        state: say_state(visit.lang, &program.pc),
        reason: say_reason(visit.lang, &program.pc),
    });
    DriftRow {
        id: drift.device.to_string(),
        name: drift.name.to_string(),
        room: drift.room,
        image: drift.image.map(|image| (format!("{} v{}", image.image, image.wanted), t.image_drift(&image))),
        programs: programs.collect(),
    }
}
