//! *Internetregeln*: everything that decides who may use the internet, on one page.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::gate::{Book, Layer, NewSlot, Rule, Setting, Slot, Target};
use inventory::lessons::hour;
use inventory::{Filter, ListId, NameList, RuleId, SlotId, clock};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::lessons;
use crate::page::{Here, Page, Visit};
use crate::pages::{Choice, Me, level_choices};
use crate::rules;
use crate::texts::Texts;
use crate::views::When;

#[derive(Template)]
#[template(path = "rules.html")]
pub(crate) struct RulesPage {
    pub(crate) p: Page,
    pub(crate) rules: Vec<RuleRow>,
    pub(crate) slots: Vec<SlotRow>,
    /// Networks, rooms and classes that say something at ordinary times: what, its name, where it is changed.
    pub(crate) standing: Vec<(String, String, String)>,
    pub(crate) filters: Vec<FilterRow>,
    pub(crate) lists: Vec<ListRow>,
    pub(crate) levels: Vec<(&'static str, &'static str)>,
    pub(crate) targets: Vec<Choice>,
    pub(crate) allow_lists: Vec<Choice>,
    pub(crate) days: [(u8, &'static str); 7],
}

/// A rule with a time.
pub(crate) struct RuleRow {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) about: String,
    pub(crate) level: String,
    pub(crate) until: String,
    pub(crate) who: String,
    /// The exam that it belongs to, where it is ended.
    pub(crate) exam: Option<String>,
}

/// A rule of the timetable.
pub(crate) struct SlotRow {
    pub(crate) id: String,
    pub(crate) about: String,
    pub(crate) level: String,
    pub(crate) hours: String,
    pub(crate) who: String,
}

/// A filter.
pub(crate) struct FilterRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) what: String,
}

/// A list of names.
pub(crate) struct ListRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) entries: u64,
    pub(crate) updated: Option<When>,
    pub(crate) problem: String,
}

/// `GET /rules`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let t = Texts::of(visit.lang);
    let said = Said { t, lists: app.inventory.name_lists().await?.0 };
    let (filters, _) = app.inventory.filters().await?;
    let (book, _) = app.inventory.gate_book(clock::now()).await?;
    let places = places(&app).await?;
    let allow_lists = lessons::allow_lists(&app).await?.into_iter();
    visit.show(&RulesPage {
        p: visit.page(Here::Rules),
        rules: timed(&app, &visit, &book, &places, &said).await?,
        slots: slots(&app, &places, &said).await?,
        standing: standing(&app, &book, &places, &said).await?,
        filters: filters.iter().map(|filter| filter_row(filter, &said)).collect(),
        levels: level_choices(t, "").split_off(1),
        targets: places.iter().map(choice).collect(),
        allow_lists: allow_lists
            .map(|list| Choice { id: list.id.to_string(), name: list.name, chosen: false })
            .collect(),
        lists: said.lists.into_iter().map(|list| list_row(&visit, list)).collect(),
        days: t.weekdays(),
    })
}

/// Rooms and classes with their names.
async fn places(app: &App) -> Answer<Vec<(Target, String)>> {
    let rooms = app.inventory.rooms().await?.into_iter().map(|room| (Target::Room(room.id), room.name));
    let groups = app.inventory.groups().await?.into_iter().map(|group| (Target::Group(group.id), group.name));
    Ok(rooms.chain(groups).collect())
}

/// Rules that hold or will, without the timetable's.
async fn timed(
    app: &App,
    visit: &Visit,
    book: &Book,
    places: &[(Target, String)],
    said: &Said,
) -> Answer<Vec<RuleRow>> {
    let t = said.t;
    let mut rules: Vec<&Rule> = book.rules().filter(|rule| rule.layer != Layer::Timetable).collect();
    rules.sort_by_key(|rule| (rule.layer, rule.starts_at, rule.id));
    let mut rows = Vec::new();
    for rule in rules.into_iter().take(ROWS_MAX) {
        rows.push(RuleRow {
            id: rule.id.to_string(),
            what: t.layer(rule.layer).to_owned(),
            about: about(app, places, rule.target).await,
            level: said.of(rule.setting),
            until: rule.ends_at.map_or_else(|| t.until_ended.to_owned(), |at| format::time(visit.lang, at)),
            who: rule.created_by.clone(),
            exam: rule.exam.map(|id| id.to_string()),
        });
    }
    Ok(rows)
}

async fn slots(app: &App, places: &[(Target, String)], said: &Said) -> Answer<Vec<SlotRow>> {
    let t = said.t;
    let (slots, _) = app.inventory.timetable().await?;
    let mut rows = Vec::new();
    for Slot { id, new, created_by, .. } in slots {
        let days: Vec<&str> =
            t.weekdays().into_iter().filter(|(n, _)| new.days.contains(n)).map(|(_, name)| name).collect();
        let rest = if new.school_days { t.on_school_days } else { t.also_in_holidays };
        rows.push(SlotRow {
            id: id.to_string(),
            about: about(app, places, new.target).await,
            level: said.of(new.setting),
            hours: format!("{} {}–{}, {rest}", days.join(" "), hour(new.starts), hour(new.ends)),
            who: created_by,
        });
    }
    Ok(rows)
}

async fn standing(
    app: &App,
    book: &Book,
    places: &[(Target, String)],
    said: &Said,
) -> Answer<Vec<(String, String, String)>> {
    let t = said.t;
    let (networks, _) = app.inventory.networks().await?;
    let (gated, _) = app.inventory.gated_networks().await?;
    let networks = gated.iter().map(|gated| {
        let known = networks.iter().find(|network| network.id == gated.id);
        let name = known.map_or("–", |network| &network.name);
        (format!("{} {name}", t.network), said.of(gated.setting), format!("/networks/{}", gated.id))
    });
    let row = |(target, name): &(Target, String)| {
        let setting = book.standing_at(*target)?;
        let (kind, path) = match target {
            Target::Room(id) => (t.room, format!("/room/{id}")),
            Target::Group(id) => (t.class, format!("/groups/{id}")),
            Target::Device(_) | Target::User(_) => return None,
        };
        Some((format!("{kind} {name}"), said.of(setting), path))
    };
    Ok(networks.chain(places.iter().filter_map(row)).collect())
}

/// A room or class to choose; its id says which of both it is.
fn choice((target, name): &(Target, String)) -> Choice {
    let id = match target {
        Target::Group(id) => format!("group {id}"),
        Target::Room(id) => format!("room {id}"),
        Target::Device(_) | Target::User(_) => String::new(),
    };
    Choice { id, name: name.clone(), chosen: false }
}

/// What a rule is about may have been deleted since.
async fn about(app: &App, places: &[(Target, String)], target: Target) -> String {
    match places.iter().find(|(place, _)| *place == target) {
        Some((_, name)) => name.clone(),
        None => lessons::name(app, target).await.unwrap_or_else(|_| "–".to_owned()),
    }
}

/// Settings as people read them.
struct Said {
    t: &'static Texts,
    lists: Vec<NameList>,
}

impl Said {
    fn of(&self, setting: Setting) -> String {
        let level = self.t.level(setting.level);
        let list = setting.list.and_then(|id| self.list(id));
        list.map_or_else(|| level.to_owned(), |list| format!("{level}: {list}"))
    }

    fn list(&self, id: ListId) -> Option<&str> {
        self.lists.iter().find(|list| list.id == id).map(|list| list.name.as_str())
    }
}

fn filter_row(filter: &Filter, said: &Said) -> FilterRow {
    let t = said.t;
    let uses = filter.lists.iter();
    let uses =
        uses.map(|(id, action)| format!("{} {}", t.list_action(*action), said.list(*id).unwrap_or("–")));
    let mut what: Vec<String> = uses.collect();
    if filter.safe_search {
        what.push(t.safe_search.to_owned());
    }
    what.push(format!("YouTube: {}", t.youtube(filter.youtube)));
    FilterRow { id: filter.id.to_string(), name: filter.name.clone(), what: what.join(" · ") }
}

fn list_row(visit: &Visit, list: NameList) -> ListRow {
    ListRow {
        id: list.id.to_string(),
        updated: list.updated_at.map(|at| When::new(visit.lang, clock::now(), at)),
        source: list.source.unwrap_or_else(|| Texts::of(visit.lang).own_list.to_owned()),
        entries: list.entries,
        problem: list.problem.unwrap_or_default(),
        name: list.name,
    }
}

/// `POST /rules/lock`: `who`, `level`, `until` (may be empty).
pub(crate) async fn lock(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let done = async {
        let ends = form.given("until").map(|text| lessons::instant("until", text)).transpose()?;
        let level = lessons::level(form.text("level"))?;
        rules::lock(&app.inventory, me.by(), form.text("who"), level, ends).await
    };
    back(&visit, done.await.map(drop))
}

/// `POST /rules/{id}/end`
pub(crate) async fn end(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<RuleId>,
) -> Answer {
    back(&visit, app.inventory.end_rule(me.by(), id).await.map_err(Failure::from))
}

/// `POST /rules/timetable`: `target`, `level`, `list`, `day` (several), `starts`, `ends`, `school_days`.
pub(crate) async fn add_slot(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let done = async {
        let new = new_slot(&form)?;
        Ok(app.inventory.add_slot(me.by(), &new).await.map(drop)?)
    };
    back(&visit, done.await)
}

fn new_slot(form: &Fields) -> Answer<NewSlot> {
    let target = match form.text("target").split_once(' ') {
        Some(("room", id)) => id.parse().map(Target::Room).ok(),
        Some(("group", id)) => id.parse().map(Target::Group).ok(),
        _ => None,
    };
    let level = lessons::level(form.text("level"))?;
    let list = form.given("list").map(str::parse).transpose().map_err(|_| Failure::Gone)?;
    let ends = lessons::minute("ends", form.text("ends"))?;
    Ok(NewSlot {
        target: target.ok_or(Failure::Gone)?,
        setting: Setting { level, list },
        days: form.all("day").filter_map(|day| day.parse().ok()).collect(),
        starts: lessons::minute("starts", form.text("starts"))?,
        // Midnight ends the day that the rule is on.
        ends: if ends == 0 { 24 * 60 } else { ends },
        school_days: form.given("school_days").is_some(),
    })
}

/// `POST /rules/timetable/{id}/delete`
pub(crate) async fn delete_slot(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<SlotId>,
) -> Answer {
    back(&visit, app.inventory.delete_slot(me.by(), id).await.map_err(Failure::from))
}

fn back(visit: &Visit, done: Answer<()>) -> Answer {
    visit.go_done("/rules", done.map(|()| Texts::of(visit.lang).said_saved.to_owned()))
}

/// More rules than this are not listed.
const ROWS_MAX: usize = 300;
