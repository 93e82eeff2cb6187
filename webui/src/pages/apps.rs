//! Apps: the list, one of them, and the content token.

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::mdm::{App as Known, AppAssignment, AppId, AppleKind, Install, Licence, LicenceState};
use inventory::{AppAssignmentId, Audience, DeviceId};
use serde_json::Value;

use crate::app::App;
use crate::apps::{self, OnIpad, called};
use crate::failure::Answer;
use crate::fields::{Fields, Id};
use crate::format;
use crate::notices;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Choice, Me, audience_of, no_choice};
use crate::rights::{self, Right};
use crate::texts::Texts;
use crate::views::{Badge, When};

#[derive(Template)]
#[template(path = "apps.html")]
pub(crate) struct Apps {
    pub(crate) p: Page,
    /// What is known of Apps and Books, once a token was imported.
    pub(crate) service: Option<Service>,
    pub(crate) rows: Vec<AppRow>,
    /// Whether this person may import a token.
    pub(crate) may_import: bool,
    pub(crate) problems: Shown,
}

/// Apps and Books.
pub(crate) struct Service {
    pub(crate) organisation: String,
    pub(crate) location: String,
    pub(crate) ends: String,
    pub(crate) checked: Option<When>,
    /// What is wrong, and what to do.
    pub(crate) problem: Option<String>,
    /// Id and name of another server that manages the licences.
    pub(crate) other: Option<(String, String)>,
}

/// An app in the list.
pub(crate) struct AppRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) total: u32,
    pub(crate) assigned: u32,
    pub(crate) available: u32,
    pub(crate) lacking: u32,
    pub(crate) usable: bool,
}

/// One app.
#[derive(Template)]
#[template(path = "app.html")]
pub(crate) struct AppPage {
    pub(crate) p: Page,
    pub(crate) row: AppRow,
    pub(crate) bundle_id: String,
    pub(crate) given: Vec<GivenRow>,
    pub(crate) rooms: Vec<Choice>,
    pub(crate) groups: Vec<Choice>,
    pub(crate) ipads: Vec<Choice>,
    pub(crate) licences: Vec<LicenceRow>,
    pub(crate) keys: String,
    /// What was typed as the configuration and refused.
    pub(crate) typed: String,
    pub(crate) problems: Shown,
}

/// Who gets it.
pub(crate) struct GivenRow {
    pub(crate) id: String,
    pub(crate) whom: String,
    pub(crate) install: &'static str,
    pub(crate) by: String,
}

/// The licence of an iPad.
pub(crate) struct LicenceRow {
    pub(crate) ipad: Option<String>,
    pub(crate) name: String,
    pub(crate) state: Badge,
    pub(crate) problem: String,
}

/// `GET /apps`
pub(crate) async fn list(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    visit.show(&page(&app, &visit, rights::has(me.user.role, Right::School)).await?)
}

/// `POST /apps/token`
pub(crate) async fn import(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    match apps::import(&app, &me, form.text("token")).await {
        Ok(()) => Ok(visit.go("/apps", Texts::of(visit.lang).said_token_imported.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&Apps { problems, ..page(&app, &visit, true).await? })
        }
    }
}

/// `POST /apps/sync`
pub(crate) async fn sync(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    let done = apps::sync(&app, &me, None).await;
    visit.go_done("/apps", done.map(|()| Texts::of(visit.lang).said_apple_asked.to_owned()))
}

/// `POST /apps/take-over`: the other server ends.
pub(crate) async fn take_over(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let done = apps::sync(&app, &me, form.given("other")).await;
    visit.go_done("/apps", done.map(|()| Texts::of(visit.lang).said_taken_over.to_owned()))
}

/// `GET /apps/{id}`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Id(id): Id<AppId>) -> Answer {
    visit.show(&one(&app, &visit, id).await?)
}

/// `POST /apps/{id}/give`
pub(crate) async fn give(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<AppId>,
    form: Fields,
) -> Answer {
    let done = async {
        let install = match form.text("install") {
            "required" => Install::Required,
            "offered" => Install::Offered,
            other => return Err(no_choice("install", other)),
        };
        apps::give(&app, &me, id, audience_of(&form)?, install).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done(&path(id), done.await)
}

/// `POST /apps/{id}/take-back`
pub(crate) async fn take_back(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<AppId>,
    form: Fields,
) -> Answer {
    let done = async {
        let text = form.text("assignment");
        let assignment: AppAssignmentId = text.parse().map_err(|_| no_choice("assignment", text))?;
        app.inventory.unassign_app(me.by(), assignment).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done(&path(id), done.await)
}

/// `POST /apps/{id}/configuration`
pub(crate) async fn configure(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<AppId>,
    form: Fields,
) -> Answer {
    let text = form.text("configuration");
    match apps::configure(&app, &me, id, text).await {
        Ok(()) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&AppPage { problems, typed: text.to_owned(), ..one(&app, &visit, id).await? })
        }
    }
}

fn path(id: AppId) -> String {
    format!("/apps/{id}")
}

async fn page(app: &App, visit: &Visit, may_import: bool) -> Answer<Apps> {
    let service = app.inventory.apple_service(AppleKind::Apps).await?.filter(|service| service.imported);
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let service = service.map(|service| Service {
        organisation: text(&service.about, "/organisation"),
        location: text(&service.state, "/location/name"),
        ends: service.ends_at.map_or_else(String::new, |at| format::time(visit.lang, at)),
        checked: service.checked_at.map(|at| When::new(visit.lang, inventory::clock::now(), at)),
        problem: service.problem.as_deref().map(|problem| notices::said(visit.lang, problem, "").0),
        other: service
            .state
            .pointer("/other/id")
            .and_then(Value::as_str)
            .map(|id| (id.to_owned(), text(&service.state, "/other/name"))),
    });
    Ok(Apps {
        p: visit.page(Here::Apps),
        service,
        rows: app.inventory.apps().await?.iter().map(row).collect(),
        may_import,
        problems: Shown::default(),
    })
}

fn row(app: &Known) -> AppRow {
    AppRow {
        id: app.id.to_string(),
        name: called(app),
        version: app.version.clone(),
        total: app.total,
        assigned: app.assigned,
        available: app.available,
        lacking: app.lacking,
        usable: app.usable,
    }
}

async fn one(app: &App, visit: &Visit, id: AppId) -> Answer<AppPage> {
    let t = Texts::of(visit.lang);
    let known = apps::one(app, id).await?;
    let rooms = app.inventory.rooms().await?;
    let groups = app.inventory.groups().await?;
    let (devices, _) = app.inventory.devices().await?;
    let names: HashMap<DeviceId, String> =
        devices.iter().map(|device| (device.id, device.name.to_string())).collect();
    let (ipads, _) = app.inventory.enrolments().await?;
    let name_of = |assignment: &AppAssignment| match assignment.target {
        Audience::School => t.whole_school.to_owned(),
        Audience::Room(id) => {
            rooms.iter().find(|room| room.id == id).map(|room| room.name.clone()).unwrap_or_default()
        }
        Audience::Group(id) => {
            groups.iter().find(|group| group.id == id).map(|group| group.name.clone()).unwrap_or_default()
        }
        Audience::Device(id) => names.get(&id).cloned().unwrap_or_default(),
    };
    let said = app.inventory.app_assignments().await?;
    let given = said.iter().filter(|assignment| assignment.app == id).map(|assignment| GivenRow {
        id: assignment.id.to_string(),
        whom: name_of(assignment),
        install: install(t, assignment.install),
        by: assignment.created_by.clone(),
    });
    let (licences, _) = app.inventory.app_licences().await?;
    let licences = licences.into_iter().filter(|licence| licence.app == id).map(|licence: Licence| {
        let ipad = ipads.iter().find(|ipad| ipad.serial == licence.serial);
        let device = ipad.and_then(|ipad| ipad.device);
        LicenceRow {
            ipad: ipad.map(|ipad| ipad.id.to_string()),
            name: device.and_then(|id| names.get(&id).cloned()).unwrap_or_else(|| licence.serial.clone()),
            state: licence_badge(t, licence.state),
            problem: licence
                .problem
                .map(|problem| notices::said(visit.lang, &problem, "").0)
                .unwrap_or_default(),
        }
    });
    let choice = |id: String, name: String| Choice { chosen: false, id, name };
    Ok(AppPage {
        p: visit.page(Here::Apps),
        given: given.collect(),
        rooms: rooms.iter().map(|room| choice(room.id.to_string(), room.name.clone())).collect(),
        groups: groups.iter().map(|group| choice(group.id.to_string(), group.name.clone())).collect(),
        ipads: ipads
            .iter()
            .filter_map(|ipad| Some(choice(ipad.device?.to_string(), names.get(&ipad.device?)?.clone())))
            .collect(),
        licences: licences.collect(),
        keys: known.configuration_keys.join(", "),
        typed: String::new(),
        problems: Shown::default(),
        bundle_id: known.bundle_id.clone(),
        row: row(&known),
    })
}

/// Whether an app has to be there, as a word.
pub(crate) fn install(t: &Texts, install: Install) -> &'static str {
    match install {
        Install::Required => t.app_required,
        Install::Offered => t.app_offered,
    }
}

fn licence_badge(t: &Texts, state: LicenceState) -> Badge {
    match state {
        LicenceState::Wanted | LicenceState::Asked => Badge::new("busy", t.licence_asked),
        LicenceState::Assigned => Badge::new("good", t.licence_assigned),
        LicenceState::Lacking => Badge::new("bad", t.licence_lacking),
        LicenceState::Refused => Badge::new("bad", t.licence_refused),
        LicenceState::Returning => Badge::new("idle", t.licence_returning),
    }
}

/// How far an app is on an iPad: the licence first, then what the iPad says.
pub(crate) fn app_badge(t: &Texts, app: &OnIpad) -> Badge {
    match (app.licence, app.install, app.reported.as_deref()) {
        (Some(LicenceState::Assigned), Some(install), reported) => match (reported, install) {
            (Some("managed"), _) => Badge::new("good", t.app_there),
            (Some("working"), _) => Badge::new("busy", t.app_working),
            (Some("asking"), _) => Badge::new("warn", t.app_asking),
            (Some("failed"), _) => Badge::new("bad", t.app_failed),
            (Some("missing"), _) => Badge::new("warn", t.app_missing),
            (Some("offered"), _) | (_, Install::Offered) => Badge::new("idle", t.app_offered),
            (_, Install::Required) => Badge::new("busy", t.state_queued),
        },
        (Some(state), _, _) => licence_badge(t, state),
        (None, _, _) => Badge::new("idle", t.licence_none),
    }
}
