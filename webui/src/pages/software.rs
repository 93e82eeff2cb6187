//! Programs of PCs: the catalogue, one of them, adding one.

use std::collections::HashMap;

use ::software::import::Draft;
use ::software::package::System;
use ::software::plan::Wish;
use askama::Template;
use axum::Extension;
use axum::extract::{Multipart, State};
use inventory::{Audience, DeviceId, EntryId, WishId};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields, Id};
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Choice, Me, audience_of, no_choice};
use crate::problem::Problem;
use crate::rights::{self, Right};
use crate::software::{self, FormValues, OnPc, Program, say_reason, say_result, say_state};
use crate::texts::Texts;
use crate::views::{Badge, When};

#[derive(Template)]
#[template(path = "software.html")]
pub(crate) struct Programs {
    pub(crate) p: Page,
    pub(crate) rows: Vec<ProgramRow>,
    /// Whether this person may add to the catalogue.
    pub(crate) may_add: bool,
    pub(crate) problems: Shown,
}

/// A program in the list.
pub(crate) struct ProgramRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) versions: String,
    pub(crate) whom: String,
    pub(crate) good: usize,
    pub(crate) open: usize,
    pub(crate) wrong: usize,
}

#[derive(Template)]
#[template(path = "software_new.html")]
pub(crate) struct NewProgram {
    pub(crate) p: Page,
    pub(crate) v: FormValues,
    pub(crate) problems: Shown,
}

/// One program.
#[derive(Template)]
#[template(path = "program.html")]
pub(crate) struct ProgramPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) package: String,
    pub(crate) versions: Vec<VersionRow>,
    pub(crate) given: Vec<GivenRow>,
    pub(crate) rooms: Vec<Choice>,
    pub(crate) groups: Vec<Choice>,
    pub(crate) devices: Vec<Choice>,
    pub(crate) pcs: Vec<PcRow>,
    pub(crate) any_failed: bool,
    /// Whether this person may remove versions.
    pub(crate) may_remove: bool,
    pub(crate) preview: Option<Preview>,
    /// What was chosen when the preview was asked for.
    pub(crate) absent: bool,
    pub(crate) to: String,
}

/// What an assignment would change.
pub(crate) struct Preview {
    pub(crate) rows: Vec<PreviewRow>,
    /// Changes that are not shown.
    pub(crate) more: usize,
}

/// A change: program, PC, how it would stand, and why.
pub(crate) struct PreviewRow {
    pub(crate) program: String,
    pub(crate) pc: String,
    pub(crate) state: Badge,
    pub(crate) reason: String,
}

impl Preview {
    fn of(visit: &Visit, changes: &[(String, OnPc)]) -> Self {
        let row = |(program, pc): &(String, OnPc)| PreviewRow {
            program: program.clone(),
            pc: pc.name.to_string(),
            state: say_state(visit.lang, pc),
            reason: say_reason(visit.lang, pc),
        };
        let rows: Vec<PreviewRow> = changes.iter().take(PREVIEW_MAX).map(row).collect();
        Self { more: changes.len() - rows.len(), rows }
    }
}

impl ProgramPage {
    /// Keeps what was chosen.
    fn choose(&mut self, form: &Fields) {
        form.text("to").clone_into(&mut self.to);
        self.absent = form.text("wish") == "absent";
        let lists = [("room", &mut self.rooms), ("group", &mut self.groups), ("device", &mut self.devices)];
        for (field, list) in lists {
            list.iter_mut().for_each(|choice| choice.chosen = choice.id == form.text(field));
        }
    }
}

/// A version of it.
pub(crate) struct VersionRow {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) system: &'static str,
    pub(crate) files: String,
    pub(crate) by: String,
}

/// On which PCs it is to be, or not.
pub(crate) struct GivenRow {
    pub(crate) id: String,
    pub(crate) whom: String,
    pub(crate) what: String,
    pub(crate) by: String,
}

/// How a PC stands to it.
pub(crate) struct PcRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: Badge,
    pub(crate) reason: String,
    pub(crate) result: String,
    pub(crate) tail: String,
    pub(crate) failed: bool,
    pub(crate) reported: When,
}

/// A program on the page of a PC.
pub(crate) struct OnDevice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: Badge,
    pub(crate) reason: String,
}

/// The programs that concern a PC.
pub(crate) async fn on_device(app: &App, visit: &Visit, device: DeviceId) -> Answer<Vec<OnDevice>> {
    let survey = software::survey(app, Some(device)).await?;
    let rows = survey.programs.iter().filter_map(|program| {
        let (pc, newest) = (program.pcs.first()?, program.newest()?);
        Some(OnDevice {
            id: newest.id.to_string(),
            name: newest.package.name.to_string(),
            state: say_state(visit.lang, pc),
            reason: say_reason(visit.lang, pc),
        })
    });
    Ok(rows.collect())
}

/// `GET /software`
pub(crate) async fn list(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    visit.show(&page(&app, &visit, rights::has(me.user.role, Right::School)).await?)
}

/// `POST /software/upload`: a file becomes the form of a program.
pub(crate) async fn upload(State(app): State<App>, visit: Visit, mut form: Multipart) -> Answer {
    let taken = async {
        let unreadable =
            |error: axum::extract::multipart::MultipartError| Failure::Malformed(error.body_text());
        let field = form.next_field().await.map_err(unreadable)?;
        let field = field.filter(|field| field.name() == Some("file"));
        let field = field.ok_or(Failure::field("file", Problem::Missing))?;
        let name = field.file_name().unwrap_or_default().to_owned();
        software::take_in(&app, &name, field).await
    };
    match taken.await {
        Ok((_, draft)) => visit.show(&form_page(&visit, FormValues::of(&draft))),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&Programs { problems, ..page(&app, &visit, true).await? })
        }
    }
}

/// `GET /software/new?system=debian`: a program without a file of ours, such as one that apt fetches.
pub(crate) async fn fresh(visit: Visit, Asked(query): Asked) -> Answer {
    let system = if query.text("system") == "windows" { System::Windows } else { System::Debian };
    visit.show(&form_page(&visit, FormValues::of(&Draft::empty(system))))
}

/// `POST /software`
pub(crate) async fn create(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let done = async { software::add(&app, &me, &software::package_of(&form)?).await };
    match done.await {
        Ok(id) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_program_added.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let page = form_page(&visit, FormValues::typed(&form)?);
            visit.show_problems(&NewProgram { problems, ..page })
        }
    }
}

/// `GET /software/{id}`
pub(crate) async fn show(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EntryId>,
) -> Answer {
    visit.show(&one(&app, &visit, &me, id).await?)
}

/// `POST /software/{id}/assign`; with `preview` it only shows what would come of it.
pub(crate) async fn assign(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EntryId>,
    form: Fields,
) -> Answer {
    let wished = async {
        let package = software::entry(&app, id).await?.package.id.clone();
        let wish = match form.text("wish") {
            "required" => Wish::Required { version: None },
            "absent" => Wish::Absent,
            other => return Err(no_choice("wish", other)),
        };
        Ok((package, audience_of(&form)?, wish))
    };
    let (package, audience, wish) = match wished.await {
        Ok(wished) => wished,
        Err(failure) => return visit.go_refused(&path(id), failure),
    };
    if form.given("preview").is_some() {
        let changes = software::preview(&app, &package, audience, wish).await?;
        let mut page = one(&app, &visit, &me, id).await?;
        page.choose(&form);
        page.preview = Some(Preview::of(&visit, &changes));
        return visit.show(&page);
    }
    let done = app.inventory.wish_software(me.by(), &package, audience, &wish).await;
    visit.go_done(&path(id), done.map(|_| Texts::of(visit.lang).said_saved.to_owned()).map_err(Into::into))
}

/// `POST /software/{id}/take-back`
pub(crate) async fn take_back(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EntryId>,
    form: Fields,
) -> Answer {
    let done = async {
        let text = form.text("wish");
        let wish: WishId = text.parse().map_err(|_| no_choice("wish", text))?;
        app.inventory.unwish_software(me.by(), wish).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done(&path(id), done.await)
}

/// `POST /software/{id}/retry`: on one PC, or on all where it failed.
pub(crate) async fn retry(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EntryId>,
    form: Fields,
) -> Answer {
    let done = async {
        let entry = software::entry(&app, id).await?;
        let device: Option<DeviceId> = form
            .given("device")
            .map(str::parse)
            .transpose()
            .map_err(|_| no_choice("device", form.text("device")))?;
        app.inventory.retry_software(me.by(), &entry.package.id, device).await?;
        Ok(Texts::of(visit.lang).said_tried_again.to_owned())
    };
    visit.go_done(&path(id), done.await)
}

/// `POST /software/{id}/remove`: one version goes.
pub(crate) async fn remove(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EntryId>,
) -> Answer {
    let entry = software::entry(&app, id).await?;
    let name = format!("{} {}", entry.package.name, entry.package.version);
    match app.inventory.remove_software(me.by(), id).await {
        Ok(()) => Ok(visit.go("/software", Texts::of(visit.lang).said_deleted(&name))),
        Err(error) => visit.go_refused(&path(id), error.into()),
    }
}

fn path(id: EntryId) -> String {
    format!("/software/{id}")
}

fn form_page(visit: &Visit, v: FormValues) -> NewProgram {
    NewProgram { p: visit.page(Here::Software), v, problems: Shown::default() }
}

async fn page(app: &App, visit: &Visit, may_add: bool) -> Answer<Programs> {
    let survey = software::survey(app, None).await?;
    let row = |program: &Program| {
        let newest = program.newest()?;
        let (good, open, wrong) = program.counts();
        let whom = program.wishes.iter().map(|wish| whom(visit, &survey.names, wish.audience));
        Some(ProgramRow {
            id: newest.id.to_string(),
            name: newest.package.name.to_string(),
            versions: program
                .entries
                .iter()
                .map(|e| e.package.version.to_string())
                .collect::<Vec<_>>()
                .join(", "),
            whom: whom.collect::<Vec<_>>().join(", "),
            good,
            open,
            wrong,
        })
    };
    let rows = survey.programs.iter().filter_map(row).collect();
    Ok(Programs { p: visit.page(Here::Software), rows, may_add, problems: Shown::default() })
}

fn whom(visit: &Visit, names: &HashMap<Audience, String>, audience: Audience) -> String {
    match audience {
        Audience::School => Texts::of(visit.lang).whole_school.to_owned(),
        other => names.get(&other).cloned().unwrap_or_default(),
    }
}

async fn one(app: &App, visit: &Visit, me: &SignedIn, id: EntryId) -> Answer<ProgramPage> {
    let t = Texts::of(visit.lang);
    let (program, names) = software::one(app, id).await?;
    let newest = program.newest().ok_or(Failure::Gone)?;
    let versions = program.entries.iter().map(|entry| VersionRow {
        id: entry.id.to_string(),
        version: entry.package.version.to_string(),
        system: match entry.package.system {
            System::Windows => "Windows",
            System::Debian => "Debian",
        },
        files: entry.package.files.iter().map(|f| f.name.to_string()).collect::<Vec<_>>().join(", "),
        by: entry.created_by.clone(),
    });
    let given = program.wishes.iter().map(|wish| GivenRow {
        id: wish.id.to_string(),
        whom: whom(visit, &names, wish.audience),
        what: match &wish.wish {
            Wish::Required { version: Some(version) } => format!("{} {version}", t.program_required),
            Wish::Required { version: None } => t.program_required.to_owned(),
            Wish::Absent => t.program_absent.to_owned(),
        },
        by: wish.created_by.clone(),
    });
    let mut choices: [Vec<Choice>; 3] = Default::default();
    let mut sorted: Vec<_> = names.iter().collect();
    sorted.sort_by_key(|(_, name)| name.to_lowercase());
    for (audience, name) in sorted {
        let (at, id) = match audience {
            Audience::School => continue,
            Audience::Room(id) => (0, id.to_string()),
            Audience::Group(id) => (1, id.to_string()),
            Audience::Device(id) => (2, id.to_string()),
        };
        if let Some(choices) = choices.get_mut(at) {
            choices.push(Choice { chosen: false, id, name: name.clone() });
        }
    }
    let [rooms, groups, devices] = choices;
    let pcs: Vec<PcRow> = program.pcs.iter().map(|pc| pc_row(visit, pc)).collect();
    Ok(ProgramPage {
        p: visit.page(Here::Software),
        id: id.to_string(),
        name: newest.package.name.to_string(),
        package: program.id.to_string(),
        versions: versions.collect(),
        given: given.collect(),
        rooms,
        groups,
        devices,
        any_failed: pcs.iter().any(|pc| pc.failed),
        may_remove: rights::has(me.user.role, Right::School),
        preview: None,
        absent: false,
        to: String::new(),
        pcs,
    })
}

fn pc_row(visit: &Visit, pc: &OnPc) -> PcRow {
    let (result, tail) = pc.last.as_ref().map(|turn| say_result(visit.lang, turn)).unwrap_or_default();
    PcRow {
        id: pc.device.to_string(),
        name: pc.name.to_string(),
        state: say_state(visit.lang, pc),
        reason: say_reason(visit.lang, pc),
        result,
        tail,
        failed: pc.has_failed(),
        reported: When::new(visit.lang, inventory::clock::now(), pc.reported_at),
    }
}

/// A school's worth of rows helps nobody.
const PREVIEW_MAX: usize = 100;
