//! Apple's services: push certificate, automated enrolment, apps; their state and how to get on.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use inventory::mdm::{AdeDevice, AppleKind, AppleService};
use inventory::{Room, clock};
use serde_json::Value;

use crate::app::App;
use crate::apple::{self, FILE_CHARS_MAX, File};
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::format;
use crate::notices::said;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Choice, Me};
use crate::problem::Problem;
use crate::texts::Texts;
use crate::views::{Badge, When};

#[derive(Template)]
#[template(path = "apple.html")]
pub(crate) struct Apple {
    p: Page,
    on: bool,
    push: Service,
    ade: Service,
    apps: Service,
    devices: Vec<DeviceRow>,
    rooms: Vec<Choice>,
    /// Where iPads go that nobody gave a room.
    standard_rooms: Vec<Choice>,
    classes: Vec<Choice>,
    minimum_os: String,
    problems: Shown,
    /// Which form was wrong.
    wrong: &'static str,
    chars_max: usize,
}

/// A service.
#[derive(Default)]
pub(crate) struct Service {
    known: bool,
    imported: bool,
    state: Option<Badge>,
    ends: Option<String>,
    checked: Option<When>,
    problem: Option<String>,
    request: Option<String>,
    /// Whether a vendor signed the request.
    signed: bool,
    facts: Vec<String>,
}

/// An iPad of the list.
pub(crate) struct DeviceRow {
    serial: String,
    model: String,
    room: String,
    state: Badge,
    asked: Option<When>,
}

/// `GET /apple`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&page(&app, &visit).await?)
}

macro_rules! of_kind {
    ($($module:ident: $kind:expr, $name:literal;)*) => {$(
        /// The handlers of one service.
        pub(crate) mod $module {
            use super::*;

            pub(crate) async fn ask(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
                super::ask(&app, &me, &visit, $kind).await
            }

            pub(crate) async fn request(State(app): State<App>) -> Answer {
                super::request(&app, $kind).await
            }

            pub(crate) async fn import(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
                super::import(&app, &me, &visit, $kind, $name, &form).await
            }

            pub(crate) async fn forget(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
                let done = apple::forget(&app, &me, $kind).await;
                visit.go_done("/apple", done.map(|()| Texts::of(visit.lang).apple_forgotten.to_owned()))
            }
        }
    )*};
}

of_kind! {
    push: AppleKind::Push, "push";
    ade: AppleKind::Ade, "ade";
}

async fn ask(app: &App, me: &crate::app::SignedIn, visit: &Visit, kind: AppleKind) -> Answer {
    let done = apple::ask(app, me, kind).await;
    visit.go_done("/apple", done.map(|()| Texts::of(visit.lang).apple_asked.to_owned()))
}

/// What goes to Apple, as a file.
async fn request(app: &App, kind: AppleKind) -> Answer<Response> {
    let (name, text) = apple::request(app, kind).await?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, text).into_response())
}

async fn import(
    app: &App,
    me: &crate::app::SignedIn,
    visit: &Visit,
    kind: AppleKind,
    wrong: &'static str,
    form: &Fields,
) -> Answer {
    let file = File {
        content: form.text("content").to_owned(),
        password: form.verbatim("file-password").to_owned(),
        insist: form.given("insist").is_some(),
    };
    let done = if file.content.is_empty() {
        Err(Failure::field("content", Problem::Missing))
    } else {
        apple::import(app, me, kind, &file).await
    };
    match done {
        Ok(()) => Ok(visit.go("/apple", Texts::of(visit.lang).apple_imported.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&Apple { problems, wrong, ..page(app, visit).await? })
        }
    }
}

/// `POST /apple/ade/settings`
pub(crate) async fn set(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let done = apple::set(&app, &me, form.text("room").parse().ok(), form.text("minimum_os")).await;
    visit.go_done("/apple", done.map(|()| Texts::of(visit.lang).apple_saved.to_owned()))
}

/// `POST /apple/ade/place`
pub(crate) async fn place(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let serials: Vec<String> = form.all("serial").map(str::to_owned).collect();
    let (room, class) = (form.text("room").parse().ok(), form.text("class").parse().ok());
    let done = apple::place(&app, &me, &serials, room, class).await;
    visit.go_done("/apple", done.map(|count| Texts::of(visit.lang).apple_placed(count)))
}

async fn page(app: &App, visit: &Visit) -> Answer<Apple> {
    let services = app.inventory.apple_services().await?;
    let of = |kind: AppleKind| {
        let found = services.iter().find(|service| service.kind == kind);
        found.map_or_else(Service::default, |found| service(visit, found))
    };
    let rooms = app.inventory.rooms().await?;
    let settings = services.iter().find(|service| service.kind == AppleKind::Ade);
    let setting = |key: &str| {
        let found = settings.and_then(|service| service.settings.get(key)).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let standard = setting("room");
    let choice =
        |room: &Room, chosen: bool| Choice { chosen, id: room.id.to_string(), name: room.name.clone() };
    let listed = app.inventory.ade_devices().await?;
    let classes = app.inventory.groups().await?;
    Ok(Apple {
        p: visit.page(Here::Apple),
        on: app.school.mdm_url.is_some(),
        push: of(AppleKind::Push),
        ade: of(AppleKind::Ade),
        apps: of(AppleKind::Apps),
        devices: listed.into_iter().take(DEVICES_SHOWN).map(|it| device(visit, it, &rooms)).collect(),
        standard_rooms: rooms.iter().map(|room| choice(room, room.id.to_string() == standard)).collect(),
        rooms: rooms.iter().map(|room| choice(room, false)).collect(),
        classes: classes
            .into_iter()
            .map(|class| Choice { chosen: false, id: class.id.to_string(), name: class.name })
            .collect(),
        minimum_os: setting("minimum_os"),
        problems: Shown::default(),
        wrong: "",
        chars_max: FILE_CHARS_MAX,
    })
}

fn service(visit: &Visit, found: &AppleService) -> Service {
    let (t, now) = (Texts::of(visit.lang), clock::now());
    let is_over = found.ends_at.is_some_and(|at| at <= now);
    let is_soon = found.ends_at.is_some_and(|at| at.millis_since(now) <= SOON_MILLIS);
    let (kind, word) = match (found.imported, is_over, found.problem.is_some(), is_soon) {
        (false, ..) => ("idle", t.apple_not_imported),
        (_, true, ..) => ("bad", t.apple_over),
        (_, _, true, _) => ("bad", t.apple_problem),
        (.., true) => ("warn", t.apple_soon),
        _ => ("good", t.apple_good),
    };
    let text = |of: &Value, key: &str| of.get(key).and_then(Value::as_str).map(str::to_owned);
    let account = found.state.get("account").cloned().unwrap_or_default();
    let facts = [
        text(&found.about, "topic"),
        text(&account, "school"),
        text(&account, "server"),
        text(&account, "administrator"),
    ];
    Service {
        known: true,
        imported: found.imported,
        state: Some(Badge::new(kind, word)),
        ends: found.ends_at.map(|at| format::time(visit.lang, at)),
        checked: found.checked_at.map(|at| When::new(visit.lang, now, at)),
        problem: found.problem.as_ref().map(|problem| said(visit.lang, problem, "").0),
        request: found.request.clone(),
        signed: found.state.get("signed_of").and_then(Value::as_str) == found.request.as_deref()
            && found.request.is_some(),
        facts: facts.into_iter().flatten().filter(|fact| !fact.is_empty()).collect(),
    }
}

fn device(visit: &Visit, found: AdeDevice, rooms: &[Room]) -> DeviceRow {
    let t = Texts::of(visit.lang);
    let room = rooms.iter().find(|room| Some(room.id) == found.room);
    DeviceRow {
        state: match found.status.as_str() {
            _ if !found.listed => Badge::new("warn", t.ade_not_listed),
            _ if found.problem.is_some() => Badge::new("bad", t.ade_no_profile),
            "pushed" => Badge::new("good", t.ade_pushed),
            "assigned" => Badge::new("good", t.ade_assigned),
            _ => Badge::new("busy", t.ade_waiting),
        },
        room: room.map_or_else(String::new, |room| room.name.clone()),
        asked: found.asked_at.map(|at| When::new(visit.lang, clock::now(), at)),
        serial: found.serial,
        model: if found.description.is_empty() { found.model } else { found.description },
    }
}

/// More are placed by API.
const DEVICES_SHOWN: usize = 200;
/// Sixty days, when the first notice comes.
const SOON_MILLIS: i64 = 60 * 86_400_000;
