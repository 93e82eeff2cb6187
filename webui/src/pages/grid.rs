//! *Stundenraster*: when lessons begin and end, holidays and short days.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::lessons::{Grid, parse_special, parse_week, write_special, write_week};

use crate::app::App;
use crate::failure::Answer;
use crate::fields::Fields;
use crate::page::{Here, Page, Visit};
use crate::pages::Me;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "grid.html")]
pub(crate) struct GridPage {
    pub(crate) p: Page,
    pub(crate) week: String,
    pub(crate) special: String,
    /// Lines that cannot be read.
    pub(crate) week_wrong: Vec<String>,
    pub(crate) special_wrong: Vec<String>,
}

/// `GET /lesson-times`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let grid = app.inventory.grid().await?;
    visit.show(&GridPage {
        p: visit.page(Here::Grid),
        week: write_week(&grid.week),
        special: write_special(&grid.special),
        week_wrong: Vec::new(),
        special_wrong: Vec::new(),
    })
}

/// `POST /lesson-times`: `week` and `special`, as lines. Nothing is saved while a line cannot be read.
pub(crate) async fn save(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let t = Texts::of(visit.lang);
    let (week, week_wrong) = parse_week(form.text("week"));
    let (special, special_wrong) = parse_special(form.text("special"));
    if week_wrong.is_empty() && special_wrong.is_empty() {
        app.inventory.set_grid(me.by(), &Grid { week, special }).await?;
        return Ok(visit.go("/lesson-times", t.said_saved.to_owned()));
    }
    let told = |wrong: Vec<(usize, String)>| {
        wrong.into_iter().take(LINES_SHOWN).map(|(line, text)| t.bad_line(line, &text)).collect()
    };
    visit.show_problems(&GridPage {
        p: visit.page(Here::Grid),
        week: form.text("week").to_owned(),
        special: form.text("special").to_owned(),
        week_wrong: told(week_wrong),
        special_wrong: told(special_wrong),
    })
}

const LINES_SHOWN: usize = 20;
