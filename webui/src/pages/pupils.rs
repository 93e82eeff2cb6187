//! The pupils of a class, for their teachers: whoever forgot a password gets a new one.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::GroupId;

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::page::{Here, Page, Visit};
use crate::pages::people::PasswordShown;
use crate::pages::{Me, groups};
use crate::people;
use crate::problem::Problem;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "pupils.html")]
pub(crate) struct Pupils {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) class: String,
    /// Id, name, and whether they have yet to choose an own password.
    pub(crate) pupils: Vec<(String, String, bool)>,
}

/// `GET /class/{id}/pupils`
pub(crate) async fn show(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
) -> Answer {
    let class = groups::name(&app, id).await?;
    let pupils = people::pupils(&app, &me, id).await?;
    let row = |pupil: inventory::User| (pupil.id.to_string(), pupil.name, pupil.password_temporary);
    visit.show(&Pupils {
        p: visit.page(Here::Classes),
        id: id.to_string(),
        class,
        pupils: pupils.into_iter().map(row).collect(),
    })
}

/// `POST /class/{id}/pupils`: a new password for `person`.
pub(crate) async fn reset(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
    form: Fields,
) -> Answer {
    groups::name(&app, id).await?;
    let Ok(person) = form.text("person").parse() else {
        let missing = Failure::field("person", Problem::Missing);
        return visit.go_refused(&format!("/class/{id}/pupils"), missing);
    };
    let (user, password) = people::reset_pupil(&app, &me, id, person).await?;
    let back = (format!("/class/{id}/pupils"), Texts::of(visit.lang).pupils.to_owned());
    visit.show(&PasswordShown { p: visit.page(Here::Classes), name: user.name, password, back })
}
