//! Importing people and devices: upload, what it would change, what it changed, taking it back.

use askama::Template;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use inventory::import::{
    Change, Counts, FILE_BYTES_MAX, Field, FileProblem, Import, Item, Kind, Plan, Problem as LineProblem,
    Undone, Verdict,
};
use inventory::{ImportId, Role};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::imports::{self, Draft, NewAccount, Planned, State as DraftState, Upload};
use crate::lang::Lang;
use crate::line_problem::say_line;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::Me;
use crate::problem::{Problem, Said};
use crate::rights::{self, Right};
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "import.html")]
pub(crate) struct Start {
    p: Page,
    /// `people` or `devices`.
    kind: &'static str,
    /// The kinds that this person may import: path, name, whether it is this one.
    kinds: Vec<(&'static str, &'static str, bool)>,
    imports: Vec<ImportRow>,
    problems: Shown,
}

/// An import in the list.
pub(crate) struct ImportRow {
    import: Import,
    at: String,
    undone: Option<String>,
}

#[derive(Template)]
#[template(path = "import_draft.html")]
pub(crate) struct Preview {
    p: Page,
    kind: &'static str,
    id: String,
    file_name: String,
    form: String,
    ignored: String,
    counts: Vec<(&'static str, usize)>,
    /// Rooms or classes that would be added.
    places: String,
    sections: Vec<Section>,
    wrong: Vec<WrongLine>,
    wrong_total: usize,
    /// Somebody changed the inventory meanwhile.
    outdated: bool,
    /// How many must be typed.
    removals: Option<usize>,
    is_empty: bool,
    problems: Shown,
}

/// Additions, moves, changes or removals.
pub(crate) struct Section {
    title: &'static str,
    total: usize,
    rows: Vec<PlanRow>,
}

/// A person or device of a plan.
pub(crate) struct PlanRow {
    line: String,
    label: String,
    changes: Vec<(&'static str, String, String)>,
}

/// A line that cannot be used, or not all of it.
pub(crate) struct WrongLine {
    line: usize,
    other: Option<usize>,
    said: Said,
}

#[derive(Template)]
#[template(path = "import_done.html")]
pub(crate) struct Done {
    p: Page,
    kind: &'static str,
    id: String,
    /// The import is still being taken over.
    running: bool,
    import: Option<ImportRow>,
    counts: Vec<(&'static str, usize)>,
    /// First passwords by class: class, then name, sign-in name and password.
    classes: Vec<(String, Vec<[String; 3]>)>,
}

macro_rules! of_kind {
    ($($module:ident: $kind:expr;)*) => {$(
        /// The handlers of one kind.
        pub(crate) mod $module {
            use super::*;

            pub(crate) async fn start(State(app): State<App>, visit: Visit, axum::Extension(me): Me) -> Answer {
                super::start(&app, &visit, &me, $kind).await
            }

            pub(crate) async fn upload(
                State(app): State<App>,
                visit: Visit,
                axum::Extension(me): Me,
                upload: Upload,
            ) -> Answer {
                super::upload(&app, &visit, &me, $kind, upload).await
            }

            pub(crate) async fn show(
                State(app): State<App>,
                visit: Visit,
                axum::Extension(me): Me,
                Id(id): Id<ImportId>,
            ) -> Answer {
                super::show(&app, &visit, &me, $kind, id).await
            }

            pub(crate) async fn apply(
                State(app): State<App>,
                visit: Visit,
                axum::Extension(me): Me,
                Id(id): Id<ImportId>,
                form: Fields,
            ) -> Answer {
                super::apply(&app, &visit, &me, $kind, id, &form).await
            }

            pub(crate) async fn forget(
                State(app): State<App>,
                visit: Visit,
                axum::Extension(me): Me,
                Id(id): Id<ImportId>,
            ) -> Response {
                app.uploads.forget(&me, $kind, id);
                visit.go(path($kind), Texts::of(visit.lang).said_forgotten_upload.to_owned())
            }

            pub(crate) async fn undo(
                State(app): State<App>,
                visit: Visit,
                axum::Extension(me): Me,
                Id(id): Id<ImportId>,
            ) -> Answer {
                super::undo(&app, &visit, &me, $kind, id).await
            }
        }
    )*};
}

of_kind! {
    people: Kind::People;
    devices: Kind::Devices;
}

/// `GET /import/people/{id}/passwords`: the first passwords as a table for spreadsheets.
pub(crate) async fn passwords(
    State(app): State<App>,
    visit: Visit,
    axum::Extension(me): Me,
    Id(id): Id<ImportId>,
) -> Answer {
    let state = app.uploads.find(&me, Kind::People, id).map(|draft| draft.state());
    let Some(DraftState::Done(accounts)) = state else {
        return visit.go_refused(path(Kind::People), Failure::Refused(Problem::UploadGone));
    };
    let t = Texts::of(visit.lang);
    let table = imports::password_table(&accounts, [t.class, t.name, t.login_name, t.password])?;
    let mut response = table.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"passwords.csv\""),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Where a kind is imported.
pub(crate) fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::People => "/import/people",
        Kind::Devices => "/import/devices",
    }
}

async fn start(app: &App, visit: &Visit, me: &SignedIn, kind: Kind) -> Answer {
    visit.show(&start_page(app, visit, me, kind, Shown::default()).await?)
}

async fn start_page(app: &App, visit: &Visit, me: &SignedIn, kind: Kind, problems: Shown) -> Answer<Start> {
    let t = Texts::of(visit.lang);
    let all = [(Kind::People, Right::People, t.import_people), (Kind::Devices, Right::Devices, t.devices)];
    let may = all.into_iter().filter(|(_, right, _)| rights::has(me.user.role, *right));
    let imports = app.inventory.imports(kind, LISTED).await?;
    Ok(Start {
        p: still(visit),
        kind: kind.text(),
        kinds: may.map(|(other, _, name)| (path(other), name, other == kind)).collect(),
        imports: imports.into_iter().map(|import| ImportRow::of(visit.lang, import)).collect(),
        problems,
    })
}

async fn upload(app: &App, visit: &Visit, me: &SignedIn, kind: Kind, upload: Upload) -> Answer {
    match imports::read(app, me, kind, upload).await {
        Ok(draft) => {
            Ok(axum::response::Redirect::to(&format!("{}/{}", path(kind), draft.id)).into_response())
        }
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&start_page(app, visit, me, kind, problems).await?)
        }
    }
}

async fn show(app: &App, visit: &Visit, me: &SignedIn, kind: Kind, id: ImportId) -> Answer {
    let Some(draft) = app.uploads.find(me, kind, id) else {
        return visit.show(&done_page(app, visit, kind, id, None).await?);
    };
    match draft.state() {
        DraftState::Planned { plan, outdated } => {
            visit.show(&preview(visit, &draft, &plan, outdated, Shown::default()))
        }
        DraftState::Applying => {
            let mut response = visit.show(&done_page(app, visit, kind, id, Some(&[])).await?)?;
            response.headers_mut().insert(header::REFRESH, HeaderValue::from_static("2"));
            Ok(response)
        }
        DraftState::Done(accounts) => {
            let mut page = done_page(app, visit, kind, id, None).await?;
            page.classes = table(&accounts);
            visit.show(&page)
        }
        DraftState::Failed(failure) => {
            app.uploads.forget(me, kind, id);
            visit.go_refused(path(kind), failure)
        }
    }
}

async fn apply(app: &App, visit: &Visit, me: &SignedIn, kind: Kind, id: ImportId, form: &Fields) -> Answer {
    let here = format!("{}/{id}", path(kind));
    let typed = form.given("removals").and_then(|text| text.parse().ok());
    match imports::apply(app, me, kind, id, typed).await {
        Ok(_) => Ok(axum::response::Redirect::to(&here).into_response()),
        Err(failure @ Failure::Input(_)) => {
            let draft = app.uploads.find(me, kind, id).ok_or(Failure::Gone)?;
            let problems = Shown::of(visit.lang, &failure.problems()?);
            match draft.state() {
                DraftState::Planned { plan, outdated } => {
                    visit.show_problems(&preview(visit, &draft, &plan, outdated, problems))
                }
                _ => Ok(axum::response::Redirect::to(&here).into_response()),
            }
        }
        Err(failure) => visit.go_refused(path(kind), failure),
    }
}

async fn undo(app: &App, visit: &Visit, me: &SignedIn, kind: Kind, id: ImportId) -> Answer {
    let done = imports::undo(app, me, kind, id).await;
    let said = |undone: Undone| Texts::of(visit.lang).said_undone(undone.restored, &undone.left);
    visit.go_done(path(kind), done.map(said))
}

async fn done_page(
    app: &App,
    visit: &Visit,
    kind: Kind,
    id: ImportId,
    running: Option<&[NewAccount]>,
) -> Answer<Done> {
    let imports = app.inventory.imports(kind, LISTED).await?;
    let import = imports.into_iter().find(|import| import.id == id);
    if import.is_none() && running.is_none() {
        return Err(Failure::Gone);
    }
    let t = Texts::of(visit.lang);
    Ok(Done {
        p: if running.is_some() { visit.page(Here::Import) } else { still(visit) },
        kind: kind.text(),
        id: id.to_string(),
        running: running.is_some(),
        counts: import.as_ref().map(|import| counts(t, &import.counts)).unwrap_or_default(),
        import: import.map(|import| ImportRow::of(visit.lang, import)),
        classes: Vec::new(),
    })
}

/// The frame of a page that does not follow changes: what somebody chose or typed must stay, and what is shown must be what is meant.
fn still(visit: &Visit) -> Page {
    Page { live: false, ..visit.page(Here::Import) }
}

impl ImportRow {
    fn of(lang: Lang, import: Import) -> Self {
        let undone = import.undone.as_ref().map(|(who, at)| format!("{who}, {}", format::time(lang, *at)));
        Self { at: format::time(lang, import.created_at), undone, import }
    }
}

fn preview(visit: &Visit, draft: &Draft, planned: &Planned, outdated: bool, problems: Shown) -> Preview {
    let t = Texts::of(visit.lang);
    let (sections, places, lines) = match planned {
        Planned::People(_, plan) => (sections(t, plan), &plan.places, &plan.problems),
        Planned::Devices(_, plan) => (sections(t, plan), &plan.places, &plan.problems),
    };
    let all = planned.counts();
    Preview {
        p: still(visit),
        kind: draft.kind.text(),
        id: draft.id.to_string(),
        file_name: draft.file_name.clone(),
        form: t.import_form(&draft.form),
        ignored: draft.form.ignored.join(", "),
        counts: counts(t, &all),
        places: places.join(", "),
        is_empty: sections.is_empty(),
        sections,
        wrong_total: lines.len(),
        wrong: lines.iter().take(SHOWN).map(|problem| wrong(visit.lang, problem)).collect(),
        outdated,
        removals: planned.is_alarming().then_some(all.removed),
        problems,
    }
}

fn wrong(lang: Lang, problem: &LineProblem) -> WrongLine {
    WrongLine { line: problem.line, other: problem.other, said: say_line(lang, &problem.what) }
}

fn sections<W>(t: &'static Texts, plan: &Plan<W>) -> Vec<Section> {
    let section = |verdict: Verdict| {
        let items: Vec<&Item<W>> = plan.items.iter().filter(|item| item.verdict == verdict).collect();
        let rows = items.iter().take(SHOWN).map(|item| PlanRow {
            line: item.line.map(|line| line.to_string()).unwrap_or_default(),
            label: item.label.clone(),
            changes: item.changes.iter().map(|change| shown(t, change)).collect(),
        });
        Section { title: t.verdict(verdict), total: items.len(), rows: rows.collect() }
    };
    Verdict::ALL.map(section).into_iter().filter(|section| section.total > 0).collect()
}

fn shown(t: &'static Texts, change: &Change) -> (&'static str, String, String) {
    let value = |text: &str| match (change.field, text) {
        (Field::Staff, "true") => t.yes.to_owned(),
        (Field::Staff, "false") => t.no.to_owned(),
        _ => text.to_owned(),
    };
    (t.import_field(change.field), value(&change.from), value(&change.to))
}

fn counts(t: &'static Texts, counts: &Counts) -> Vec<(&'static str, usize)> {
    let Counts { new, moved, changed, removed, unchanged, problems } = *counts;
    vec![
        (t.verdict(Verdict::New), new),
        (t.verdict(Verdict::Moved), moved),
        (t.verdict(Verdict::Changed), changed),
        (t.verdict(Verdict::Removed), removed),
        (t.unchanged, unchanged),
        (t.line_problems, problems),
    ]
}

fn table(accounts: &[NewAccount]) -> Vec<(String, Vec<[String; 3]>)> {
    let row = |a: &&NewAccount| [a.name.clone(), a.login.clone(), a.password.text().to_owned()];
    let classes = imports::by_class(accounts).into_iter();
    classes.map(|(class, accounts)| (class.to_owned(), accounts.iter().map(row).collect())).collect()
}

impl<S: Send + Sync> FromRequest<S> for Upload {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let form = Multipart::from_request(request, state).await;
        let mut form = form.map_err(|rejection| Failure::Malformed(rejection.body_text()))?;
        let mut upload = Self {
            file_name: String::new(),
            bytes: Vec::new(),
            complete: false,
            role: Role::Pupil,
            room: String::new(),
        };
        let mut fields = 0;
        while let Some(field) = form.next_field().await.map_err(unreadable)? {
            fields += 1;
            if fields > FIELDS_MAX {
                return Err(Failure::Malformed(String::new()));
            }
            let name = field.name().unwrap_or_default().to_owned();
            let file_name = field.file_name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await.map_err(unreadable)?;
            let text = || String::from_utf8_lossy(&bytes).trim().chars().take(60).collect::<String>();
            match name.as_str() {
                "file" => (upload.file_name, upload.bytes) = (file_name, bytes.into()),
                "complete" => upload.complete = text() == "1",
                "role" => upload.role = role(&text())?,
                "room" => upload.room = text(),
                _ => {}
            }
        }
        Ok(upload)
    }
}

/// The role of people in a file: pupils or teachers.
pub(crate) fn role(text: &str) -> Answer<Role> {
    match text {
        "" | "pupil" => Ok(Role::Pupil),
        "teacher" => Ok(Role::Teacher),
        other => Err(Failure::field("role", Problem::NoChoice(other.to_owned()))),
    }
}

fn unreadable(error: MultipartError) -> Failure {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::field("file", Problem::File(FileProblem::TooLarge)),
        _ => Failure::Malformed(error.body_text()),
    }
}

/// Largest upload: the file, and the rest of its form.
pub(crate) const UPLOAD_BYTES_MAX: usize = FILE_BYTES_MAX + 64 * 1024;
const FIELDS_MAX: usize = 20;
/// Rows of each section of a plan; the counts tell of all.
const SHOWN: usize = 300;
const LISTED: u32 = 100;
