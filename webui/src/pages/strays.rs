//! Addresses in use that no lease and no reservation explains: who uses them, whose they are, and what to do.

use askama::Template;
use axum::extract::State;
use inventory::{Stray, UnixMillis, clock};

use crate::app::App;
use crate::failure::Answer;
use crate::page::{Here, Page, Visit};
use crate::pages::texts_of;
use crate::texts::Texts;
use crate::views::When;

#[derive(Template)]
#[template(path = "strays.html")]
pub(crate) struct Strays {
    pub(crate) p: Page,
    pub(crate) strays: Vec<StrayView>,
    /// Rows that cannot be used.
    pub(crate) unusable: Vec<String>,
}

/// A pair in words.
pub(crate) struct StrayView {
    pub(crate) text: String,
    pub(crate) first_seen: When,
    pub(crate) last_seen: When,
}

/// `GET /strays`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let now = clock::now();
    let (strays, bad) = app.inventory.strays(now).await?;
    let t = Texts::of(visit.lang);
    let view = |stray: &Stray| StrayView {
        text: t.stray(
            &stray.ip.to_string(),
            &stray.mac.to_string(),
            stray.card_of.as_deref(),
            stray.address_of.as_deref(),
        ),
        first_seen: When::new(visit.lang, now, stray.first_seen),
        last_seen: When::new(visit.lang, now, stray.last_seen),
    };
    let strays = strays.iter().map(view).collect();
    visit.show(&Strays { p: visit.page(Here::Overview), strays, unusable: texts_of(&bad) })
}

/// How many of them were in use within the last day: what the overview tells.
pub(crate) fn recent(strays: &[Stray], now: UnixMillis) -> usize {
    strays.iter().filter(|stray| now.millis_since(stray.last_seen) < DAY_MILLIS).count()
}

const DAY_MILLIS: i64 = 86_400_000;
