//! *Klausur*: begin one, watch it, end it, read its protocol.

use std::collections::BTreeSet;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use httpd::Peer;
use inventory::gate::{Exam, Sitting, Target};
use inventory::lessons::Span;
use inventory::{ExamId, ParseError, UnixMillis, clock};
use ipados::values::{BundleId, ValueError};

use crate::app::{App, SignedIn};
use crate::exams::{self, ExamWish};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::lessons;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Choice, Me};
use crate::problem::Problem;
use crate::texts::Texts;
use crate::views::{Badge, When};

/// All exams, and the form for a new one.
#[derive(Template)]
#[template(path = "exams.html")]
pub(crate) struct ExamsPage {
    pub(crate) p: Page,
    pub(crate) exams: Vec<ExamRow>,
    pub(crate) form: ExamForm,
    pub(crate) problems: Shown,
}

/// An exam in the list.
pub(crate) struct ExamRow {
    /// Where its protocol is, for those who may read it.
    pub(crate) link: Option<String>,
    pub(crate) name: String,
    pub(crate) who: String,
    pub(crate) starts: String,
    pub(crate) ends: String,
    pub(crate) state: Badge,
}

/// What was chosen.
pub(crate) struct ExamForm {
    pub(crate) name: String,
    pub(crate) rooms: Vec<Choice>,
    pub(crate) classes: Vec<Choice>,
    pub(crate) lists: Vec<Choice>,
    pub(crate) names: String,
    pub(crate) apps: String,
    pub(crate) until: String,
}

/// One exam.
#[derive(Template)]
#[template(path = "exam.html")]
pub(crate) struct ExamPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) name: String,
    /// Who, when, where.
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) runs: bool,
    pub(crate) summary: String,
    pub(crate) sittings: Vec<SittingRow>,
}

/// A device in the protocol.
pub(crate) struct SittingRow {
    pub(crate) name: String,
    pub(crate) state: Badge,
    pub(crate) last_seen: Option<When>,
    pub(crate) refused: u64,
    pub(crate) dodged: u64,
}

/// `GET /exams`
pub(crate) async fn show(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    let form = form(&app, &me, None).await?;
    visit.show(&page(&app, &me, &visit, form, Shown::default()).await?)
}

/// `POST /exams`
pub(crate) async fn begin(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    fields: Fields,
) -> Answer {
    let done = async {
        let wish = wish(&fields)?;
        exams::begin(&app, &me, peer.address.ip(), &wish).await
    };
    match done.await {
        Ok(id) => Ok(visit.go(&format!("/exams/{id}"), Texts::of(visit.lang).said_exam_begun.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let form = form(&app, &me, Some(&fields)).await?;
            visit.show_problems(&page(&app, &me, &visit, form, problems).await?)
        }
    }
}

fn wish(fields: &Fields) -> Answer<ExamWish> {
    let rooms = fields.all("room").map(|id| id.parse().map(Target::Room));
    let classes = fields.all("class").map(|id| id.parse().map(Target::Group));
    let targets: Result<Vec<Target>, _> = rooms.chain(classes).collect();
    let list = fields.given("list").map(str::parse).transpose();
    let unknown = |error: ParseError| Failure::field("", Problem::NoChoice(error.value));
    Ok(ExamWish {
        name: fields.text("name").to_owned(),
        targets: targets.map_err(unknown)?,
        list: list.map_err(unknown)?,
        names: fields.text("names").to_owned(),
        apps: apps(fields.text("apps"))?,
        ends_at: lessons::today("until", fields.text("until"))?,
    })
}

/// Bundle identifiers, each on its line.
fn apps(text: &str) -> Answer<BTreeSet<BundleId>> {
    let bad = |error: ValueError| Failure::field("apps", Problem::NoValue(error));
    text.split_whitespace().map(|app| app.parse().map_err(bad)).collect()
}

async fn page(app: &App, me: &SignedIn, visit: &Visit, form: ExamForm, problems: Shown) -> Answer<ExamsPage> {
    let t = Texts::of(visit.lang);
    let row = |exam: Exam| ExamRow {
        link: exams::may_read(me, &exam).then(|| format!("/exams/{}", exam.id)),
        state: state(t, &exam),
        who: exam.created_by,
        starts: format::time(visit.lang, exam.starts_at),
        ends: format::clock(exam.ends_at),
        name: exam.name,
    };
    let exams = app.inventory.exams(EXAMS_SHOWN).await?.into_iter().map(row).collect();
    Ok(ExamsPage { p: visit.page(Here::Exams), exams, form, problems })
}

/// The form, with what was chosen already.
async fn form(app: &App, me: &SignedIn, fields: Option<&Fields>) -> Answer<ExamForm> {
    let text = |name| fields.map_or("", |fields| fields.text(name)).to_owned();
    let chosen =
        |name: &str, id: &str| fields.is_some_and(|fields| fields.all(name).any(|other| other == id));
    let choice = |field: &'static str| {
        move |(id, name): (String, String)| Choice { chosen: chosen(field, &id), id, name }
    };
    let rooms = app.inventory.rooms().await?.into_iter().map(|room| (room.id.to_string(), room.name));
    let classes = lessons::groups(app, me).await?.into_iter().map(|group| (group.id.to_string(), group.name));
    let lists = lessons::allow_lists(app).await?.into_iter().map(|list| (list.id.to_string(), list.name));
    let (bell, _) = app.inventory.grid().await?.end(&inventory::lessons::local(clock::now()), Span::Lesson);
    let until = Some(text("until")).filter(|until| !until.is_empty());
    Ok(ExamForm {
        name: text("name"),
        rooms: rooms.map(choice("room")).collect(),
        classes: classes.map(choice("class")).collect(),
        lists: lists.map(choice("list")).collect(),
        names: text("names"),
        apps: text("apps"),
        // Midnight is no time of today.
        until: until.unwrap_or_else(|| format::clock(UnixMillis(bell.0 - 1))),
    })
}

/// `GET /exams/{id}`
pub(crate) async fn exam(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<ExamId>,
) -> Answer {
    let (exam, sittings) = exams::protocol(&app, &me, id).await?;
    let (t, now) = (Texts::of(visit.lang), clock::now());
    let runs = exams::runs(&exam);
    visit.show(&ExamPage {
        p: visit.page(Here::Exams),
        id: exam.id.to_string(),
        facts: facts(&app, t, &visit, &exam).await?,
        name: exam.name,
        runs,
        summary: summary(t, &sittings),
        sittings: sittings
            .into_iter()
            .map(|sitting| SittingRow {
                state: presence(t, &sitting, runs, now),
                last_seen: sitting.last_seen.map(|at| When::new(visit.lang, now, at)),
                name: sitting.name,
                refused: sitting.refused,
                dodged: sitting.dodged,
            })
            .collect(),
    })
}

async fn facts(
    app: &App,
    t: &'static Texts,
    visit: &Visit,
    exam: &Exam,
) -> Answer<Vec<(&'static str, String)>> {
    let mut names = Vec::new();
    for target in &exam.targets {
        // A room that was deleted since has no name any more.
        names.push(lessons::name(app, *target).await.unwrap_or_else(|_| "–".to_owned()));
    }
    let (lists, _) = app.inventory.name_lists().await?;
    let list = lists.into_iter().find(|list| Some(list.id) == exam.list).map(|list| list.name);
    let mut facts = vec![
        (t.rooms_and_classes, names.join(", ")),
        (t.begun_by, format!("{}, {}", exam.created_by, format::time(visit.lang, exam.starts_at))),
        (t.ends, format::clock(exam.ends_at)),
        (t.level_allow_list, list.unwrap_or_else(|| t.only_always.to_owned())),
    ];
    if !exam.apps.is_empty() {
        let apps: Vec<&str> = exam.apps.iter().map(BundleId::as_str).collect();
        facts.push((t.apps_in_exam, apps.join(", ")));
    }
    if let Some(who) = &exam.ended_by {
        facts.push((t.ended_by, who.clone()));
    }
    Ok(facts)
}

fn state(t: &Texts, exam: &Exam) -> Badge {
    if exams::runs(exam) { Badge::new("busy", t.exam_runs) } else { Badge::new("idle", t.exam_over) }
}

fn presence(t: &Texts, sitting: &Sitting, runs: bool, now: UnixMillis) -> Badge {
    match sitting.last_seen {
        None => Badge::new("warn", t.exam_absent),
        Some(at) if runs && now.millis_since(at) > GONE_MILLIS => Badge::new("warn", t.exam_gone),
        Some(_) => Badge::new("good", t.exam_present),
    }
}

fn summary(t: &Texts, sittings: &[Sitting]) -> String {
    let absent = sittings.iter().filter(|sitting| sitting.first_seen.is_none()).count();
    let dodged = sittings.iter().filter(|sitting| sitting.dodged > 0).count();
    t.exam_summary(sittings.len() - absent, absent, dodged)
}

/// `POST /exams/{id}`: `minutes` longer, or `end`.
pub(crate) async fn change(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    Id(id): Id<ExamId>,
    fields: Fields,
) -> Answer {
    let t = Texts::of(visit.lang);
    let done = async {
        let address = peer.address.ip();
        if fields.given("end").is_some() {
            exams::set_end(&app, &me, address, id, clock::now()).await?;
            return Ok(t.said_exam_ended.to_owned());
        }
        let minutes = fields.text("minutes");
        let Ok(more @ 1..=120) = minutes.parse::<u64>() else {
            return Err(Failure::field("minutes", Problem::NoChoice(minutes.chars().take(40).collect())));
        };
        let exam = app.inventory.exam(id).await?.ok_or(Failure::Gone)?;
        let ends = exam.ends_at.plus_secs(more * 60);
        exams::set_end(&app, &me, address, id, ends).await?;
        Ok(t.said_exam_prolonged(&format::clock(ends)))
    };
    let done = done.await;
    // Who may end a colleague's exam may not read its protocol.
    let readable = app.inventory.exam(id).await?.is_some_and(|exam| exams::may_read(&me, &exam));
    let path = if readable { format!("/exams/{id}") } else { "/exams".to_owned() };
    visit.go_done(&path, done)
}

const EXAMS_SHOWN: u32 = 50;
/// A device that was not heard of for so long is not there any more.
const GONE_MILLIS: i64 = 180_000;
