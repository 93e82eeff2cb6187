//! The API in short: every route, what it does and who may call it.

use askama::Template;

use crate::failure::Answer;
use crate::lang::Lang;
use crate::openapi;
use crate::page::{Here, Page, Visit};
use crate::routes;

#[derive(Template)]
#[template(path = "described.html")]
pub(crate) struct Described {
    pub(crate) p: Page,
    pub(crate) rows: Vec<Row>,
}

/// A route.
pub(crate) struct Row {
    pub(crate) method: String,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    /// Scope that a token needs; empty if no token may call it.
    pub(crate) scope: String,
}

/// `GET /api`
pub(crate) async fn show(visit: Visit) -> Answer {
    let lang = visit.lang;
    let row = move |route: routes::Route| {
        let (de, en) = route.doc?.summary;
        let summary = match lang {
            Lang::De => de,
            Lang::En => en,
        };
        let scope = openapi::scope(&route).unwrap_or_default();
        Some(Row { method: route.method.to_string(), path: route.path, summary, scope })
    };
    let rows = routes::table().into_iter().filter_map(row).collect();
    visit.show(&Described { p: visit.page(Here::Nowhere), rows })
}
