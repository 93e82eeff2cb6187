//! Jobs, the newest first.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use inventory::JobId;

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::page::{Here, Page, Visit, safe_path};
use crate::pages::Me;
use crate::texts::Texts;
use crate::views::{Context, JobView};

#[derive(Template)]
#[template(path = "jobs.html")]
pub(crate) struct Jobs {
    pub(crate) p: Page,
    pub(crate) jobs: Vec<JobView>,
}

/// `GET /jobs`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let context = Context::load(&app.inventory, visit.lang).await?;
    let (devices, _) = app.inventory.devices().await?;
    let names: HashMap<_, _> = devices.iter().map(|d| (d.id, d.name.to_string())).collect();
    let (jobs, _) = app.inventory.jobs(SHOWN_MAX).await?;
    let mut jobs: Vec<JobView> = jobs.iter().map(|job| context.job(job, &names)).collect();
    // Open ones first; the sort keeps the order among the rest.
    jobs.sort_by_key(|job| !job.open);
    visit.show(&Jobs { p: visit.page(Here::Jobs), jobs })
}

/// `POST /jobs/{id}/cancel`
pub(crate) async fn cancel(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<JobId>,
    form: Fields,
) -> Answer {
    let back = form.given("back").map_or("/jobs", safe_path);
    let done = app.inventory.cancel_job(me.by(), id).await;
    let said = |()| Texts::of(visit.lang).said_cancelled.to_owned();
    visit.go_done(back, done.map(said).map_err(Failure::from))
}

const SHOWN_MAX: u32 = 200;
