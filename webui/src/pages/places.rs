//! The fields that say what holds at ordinary times: for a network, a room, a class.

use askama::Template;
use askama::filters::HtmlSafe;
use inventory::gate::{Place, Setting};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::lessons;
use crate::pages::{Choice, level_choices};
use crate::texts::Texts;

/// Level, allow list and filter to choose.
#[derive(Template)]
#[template(path = "place.html")]
pub(crate) struct PlaceForm {
    pub(crate) t: &'static Texts,
    pub(crate) levels: Vec<(&'static str, &'static str)>,
    /// Empty where nothing is said.
    pub(crate) level: &'static str,
    pub(crate) lists: Vec<Choice>,
    pub(crate) filters: Vec<Choice>,
}

// It escapes what it holds.
impl HtmlSafe for PlaceForm {}

impl PlaceForm {
    /// The fields with what is said now; `none` is what to call that nothing is said.
    pub(crate) async fn load(app: &App, t: &'static Texts, none: &'static str, now: Place) -> Answer<Self> {
        let list = now.setting.and_then(|setting| setting.list);
        let lists = lessons::allow_lists(app).await?.into_iter().map(|found| Choice {
            chosen: list == Some(found.id),
            id: found.id.to_string(),
            name: found.name,
        });
        let (filters, _) = app.inventory.filters().await?;
        let filters = filters.into_iter().map(|found| Choice {
            chosen: now.filter == Some(found.id),
            id: found.id.to_string(),
            name: found.name,
        });
        Ok(Self {
            t,
            levels: level_choices(t, none),
            level: now.setting.map_or("", |setting| setting.level.text()),
            lists: lists.collect(),
            filters: filters.collect(),
        })
    }
}

/// What was chosen in the fields.
pub(crate) fn place(form: &Fields) -> Answer<Place> {
    let level = form.given("level").map(lessons::level).transpose()?;
    let list = form.given("list").map(str::parse).transpose().map_err(|_| Failure::Gone)?;
    let filter = form.given("filter").map(str::parse).transpose().map_err(|_| Failure::Gone)?;
    Ok(Place { setting: level.map(|level| Setting { level, list }), filter })
}
