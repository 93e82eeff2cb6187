//! *Mein Raum* and *Meine Klassen*: who may use the internet in a room or class, here and now.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect};
use httpd::Peer;
use inventory::gate::{Cause, Layer, Level, RoomControl, RoomGate, Rule, Setting, Subject, Target};
use inventory::{DeviceId, GroupId, NameList, RoomId, UnixMillis, clock};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::lessons::{self, Scene, Seat};
use crate::page::{Here, Page, Visit};
use crate::pages::places::{PlaceForm, place};
use crate::pages::{Choice, Me};
use crate::problem::Problem;
use crate::rights::{self, Right};
use crate::texts::Texts;
use crate::views::Badge;

/// A room or class.
#[derive(Template)]
#[template(path = "lesson.html")]
pub(crate) struct LessonPage {
    pub(crate) p: Page,
    pub(crate) name: String,
    /// Where the forms go.
    pub(crate) action: String,
    /// What a teacher set for the whole, in a sentence; empty when nobody did.
    pub(crate) said: String,
    /// Whether a colleague set it.
    pub(crate) foreign: bool,
    pub(crate) spans: Vec<(&'static str, String)>,
    pub(crate) levels: [(&'static str, &'static str); 4],
    /// Allow lists to choose from.
    pub(crate) lists: Vec<Choice>,
    /// The level that holds for the whole, if a teacher set one.
    pub(crate) current: &'static str,
    pub(crate) tiles: Vec<Tile>,
    /// For example `3 an, 27 aus`.
    pub(crate) summary: String,
    /// The other rooms, or classes, to go to.
    pub(crate) others: Vec<(String, String)>,
    pub(crate) others_title: &'static str,
    /// What the room says at ordinary times; for those who may change it.
    pub(crate) standing: Option<StandingForm>,
    /// Whether devices of other rooms can be taken in.
    pub(crate) is_room: bool,
    /// What was set lately, the newest first.
    pub(crate) history: Vec<String>,
    /// Where a fault of the room is reported.
    pub(crate) report: Option<String>,
    /// Where forgotten passwords of the class's pupils are replaced.
    pub(crate) pupils: Option<String>,
}

/// What a room says at ordinary times.
pub(crate) struct StandingForm {
    pub(crate) action: String,
    pub(crate) place: PlaceForm,
    pub(crate) controls: [(&'static str, &'static str); 4],
    pub(crate) control: &'static str,
}

/// A seat.
pub(crate) struct Tile {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) level: &'static str,
    pub(crate) state: Badge,
    /// Why, and until when.
    pub(crate) why: String,
    /// Whether there is an exception to take back.
    pub(crate) excepted: bool,
    /// Whether its room is another.
    pub(crate) guest: bool,
    pub(crate) staff: bool,
}

/// A list to choose from.
#[derive(Template)]
#[template(path = "choose.html")]
pub(crate) struct ChoosePage {
    pub(crate) p: Page,
    pub(crate) title: &'static str,
    pub(crate) hint: &'static str,
    pub(crate) choices: Vec<(String, String)>,
}

/// `GET /room`: the room somebody is in, or a list of all.
pub(crate) async fn my_room(
    State(app): State<App>,
    Extension(peer): Extension<Peer>,
    visit: Visit,
) -> Answer {
    if let Some(room) = lessons::room_of(&app, peer.address.ip()).await? {
        return Ok(Redirect::to(&format!("/room/{room}")).into_response());
    }
    let t = Texts::of(visit.lang);
    let choices = rooms(&app, None).await?;
    visit.show(&ChoosePage { p: visit.page(Here::Room), title: t.my_room, hint: t.room_unknown, choices })
}

/// `GET /classes`: the classes of a teacher; all of them for an admin.
pub(crate) async fn my_classes(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    let t = Texts::of(visit.lang);
    let choices = classes(&app, &me, None).await?;
    let hint = if choices.is_empty() { t.no_classes } else { "" };
    visit.show(&ChoosePage { p: visit.page(Here::Classes), title: t.my_classes, hint, choices })
}

/// `GET /room/{id}`
pub(crate) async fn room(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<RoomId>,
) -> Answer {
    show(&app, &me, &visit, Target::Room(id)).await
}

/// `GET /class/{id}`
pub(crate) async fn class(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
) -> Answer {
    show(&app, &me, &visit, Target::Group(id)).await
}

/// `POST /room/{id}`
pub(crate) async fn set_room(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    Id(id): Id<RoomId>,
    form: Fields,
) -> Answer {
    set(&app, &me, &peer, &visit, Target::Room(id), &form).await
}

/// `POST /class/{id}`
pub(crate) async fn set_class(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    Id(id): Id<GroupId>,
    form: Fields,
) -> Answer {
    set(&app, &me, &peer, &visit, Target::Group(id), &form).await
}

/// The fields: `level` (`end` takes back what was set), `span`, `list` for an allow list, and `device` for one seat; or `guest`, the
/// name of a device that belongs here for this lesson (`home` sends it back).
async fn set(app: &App, me: &SignedIn, peer: &Peer, visit: &Visit, whole: Target, form: &Fields) -> Answer {
    let t = Texts::of(visit.lang);
    let (path, address) = (path(whole), peer.address.ip());
    let target = match form.given("device") {
        Some(text) => Target::Device(text.parse::<DeviceId>().map_err(|_| Failure::Gone)?),
        None => whole,
    };
    let done = async {
        if let Some(name) = form.given("guest") {
            let device = crate::rules::device(&app.inventory, name).await?;
            lessons::visit(app, me, address, device, room_of(whole)).await?;
            return Ok(t.said_guest(name));
        }
        if form.text("level") == "home" {
            let Target::Device(device) = target else { return Err(Failure::Gone) };
            lessons::visit(app, me, address, device, None).await?;
            return Ok(t.said_saved.to_owned());
        }
        if form.text("level") == "end" {
            lessons::end(app, me, address, target).await?;
            return Ok(t.said_ended.to_owned());
        }
        let (level, span) = (lessons::level(form.text("level"))?, lessons::span(form.text("span"))?);
        let list = form.given("list").map(str::parse).transpose().map_err(|_| Failure::Gone)?;
        let ends = lessons::set(app, me, address, target, Setting { level, list }, span).await?;
        Ok(t.said_level(t.level(level), &format::clock(ends)))
    };
    visit.go_done(&path, done.await)
}

fn room_of(target: Target) -> Option<RoomId> {
    match target {
        Target::Room(id) => Some(id),
        _ => None,
    }
}

async fn show(app: &App, me: &SignedIn, visit: &Visit, target: Target) -> Answer {
    let scene = lessons::scene(app, target).await?;
    let t = Texts::of(visit.lang);
    let (here, others, others_title) = match target {
        Target::Group(id) => (Here::Classes, classes(app, me, Some(id)).await?, t.other_classes),
        Target::Room(id) => (Here::Room, rooms(app, Some(id)).await?, t.other_rooms),
        _ => (Here::Room, Vec::new(), t.other_rooms),
    };
    let standing = match target {
        Target::Room(id) if rights::has(me.user.role, Right::School) => Some(standing(app, t, id).await?),
        _ => None,
    };
    visit.show(&LessonPage {
        others,
        others_title,
        standing,
        is_room: room_of(target).is_some(),
        report: room_of(target).map(|room| format!("/report?room={room}")),
        history: history(app, visit, t, target).await?,
        lists: lists(app, scene.grant.as_ref()).await?,
        ..page(visit.page(here), &scene, &me.user.name)
    })
}

async fn history(app: &App, visit: &Visit, t: &Texts, target: Target) -> Answer<Vec<String>> {
    let line = |rule: Rule| {
        let until = rule.ends_at.map(format::clock).unwrap_or_default();
        let said = t.set_by(t.level(rule.setting.level), &until, &rule.created_by);
        format!("{}: {} – {said}", format::time(visit.lang, rule.starts_at), t.layer(rule.layer))
    };
    Ok(app.inventory.rule_history(target, HISTORY_SHOWN).await?.into_iter().map(line).collect())
}

/// Allow lists to choose from; the one that holds is chosen.
async fn lists(app: &App, grant: Option<&Rule>) -> Answer<Vec<Choice>> {
    let holds = grant.and_then(|rule| rule.setting.list);
    let choice =
        |list: NameList| Choice { chosen: Some(list.id) == holds, id: list.id.to_string(), name: list.name };
    Ok(lessons::allow_lists(app).await?.into_iter().map(choice).collect())
}

async fn standing(app: &App, t: &'static Texts, id: RoomId) -> Answer<StandingForm> {
    let gate = app.inventory.room_gate(id).await?;
    let control = |control: RoomControl| {
        let word = match control {
            RoomControl::Nobody => t.control_nobody,
            RoomControl::Inside => t.control_inside,
            RoomControl::Teachers => t.control_teachers,
            RoomControl::Admins => t.control_admins,
        };
        (control.text(), word)
    };
    Ok(StandingForm {
        action: format!("/rooms/{id}/gate"),
        place: PlaceForm::load(app, t, t.room_says_nothing, gate.place).await?,
        controls: RoomControl::ALL.map(control),
        control: gate.control.text(),
    })
}

/// `POST /rooms/{id}/gate`
pub(crate) async fn set_standing(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<RoomId>,
    form: Fields,
) -> Answer {
    let control = RoomControl::ALL.into_iter().find(|control| control.text() == form.text("control"));
    let done = async {
        let place = place(&form)?;
        let chosen = || Problem::NoChoice(form.text("control").chars().take(40).collect());
        let control = control.ok_or_else(|| Failure::field("control", chosen()))?;
        app.inventory.set_room_gate(me.by(), id, RoomGate { place, control }).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done(&path(Target::Room(id)), done.await)
}

/// The page of a scene as `reader` sees it, without what leads elsewhere.
fn page(p: Page, scene: &Scene, reader: &str) -> LessonPage {
    let t = p.t;
    let grant = scene.grant.as_ref();
    let until = |at: Option<UnixMillis>| at.map(format::clock).unwrap_or_default();
    let said =
        grant.map(|rule| t.set_by(t.level(rule.setting.level), &until(rule.ends_at), &rule.created_by));
    let bell = format::clock(scene.bell.0);
    let mut spans = vec![("lesson", t.until_bell(&bell, scene.bell.1))];
    spans.extend(["15", "30", "45", "90"].map(|minutes| (minutes, format!("{minutes} {}", t.minutes_short))));
    spans.push(("day", t.whole_day.to_owned()));
    LessonPage {
        name: scene.name.clone(),
        action: path(scene.target),
        said: said.unwrap_or_default(),
        foreign: grant.is_some_and(|rule| rule.created_by != reader),
        spans,
        levels: Level::ALL.map(|level| (level.text(), t.level(level))),
        current: grant.map_or("", |rule| rule.setting.level.text()),
        tiles: scene.seats.iter().map(|seat| tile(t, seat)).collect(),
        summary: summary(t, &scene.seats),
        lists: Vec::new(),
        others: Vec::new(),
        others_title: "",
        standing: None,
        is_room: false,
        report: None,
        history: Vec::new(),
        pupils: match scene.target {
            Target::Group(id) => Some(format!("/class/{id}/pupils")),
            _ => None,
        },
        p,
    }
}

fn tile(t: &Texts, seat: &Seat) -> Tile {
    let level = seat.level();
    let state = match level {
        None => Badge::new("idle", t.level_unknown),
        Some(_) if !seat.is_confirmed() => Badge::new("busy", t.level_pending),
        Some(level @ Level::On) => Badge::new("good", t.level(level)),
        Some(level @ Level::Off) => Badge::new("bad", t.level(level)),
        Some(level) => Badge::new("warn", t.level(level)),
    };
    let until = seat.until.map(format::clock);
    Tile {
        id: seat.device.to_string(),
        name: seat.name.clone(),
        level: level.filter(|_| seat.is_confirmed()).map_or("unknown", Level::text),
        state,
        why: if seat.staff { t.is_staff.to_owned() } else { t.cause(seat.verdict.cause, until.as_deref()) },
        excepted: seat.excepted,
        guest: seat.guest_until.is_some(),
        staff: seat.staff,
    }
}

fn summary(t: &Texts, seats: &[Seat]) -> String {
    let counts = |seat: &&Seat| !seat.staff && seat.is_confirmed();
    let count = |level| seats.iter().filter(counts).filter(|seat| seat.level() == Some(level)).count();
    let some = Level::ALL.map(|level| (count(level), t.level(level)));
    let words = some.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}"));
    words.collect::<Vec<_>>().join(" · ")
}

fn path(target: Target) -> String {
    match target {
        Target::Group(id) => format!("/class/{id}"),
        Target::Room(id) => format!("/room/{id}"),
        Target::Device(_) | Target::User(_) => "/room".into(),
    }
}

async fn rooms(app: &App, without: Option<RoomId>) -> Answer<Vec<(String, String)>> {
    let rooms = app.inventory.rooms().await?.into_iter().filter(|room| Some(room.id) != without);
    Ok(rooms.map(|room| (path(Target::Room(room.id)), room.name)).collect())
}

async fn classes(app: &App, me: &SignedIn, without: Option<GroupId>) -> Answer<Vec<(String, String)>> {
    let mine = lessons::groups(app, me).await?;
    let others = mine.into_iter().filter(|group| Some(group.id) != without);
    Ok(others.map(|group| (path(Target::Group(group.id)), group.name)).collect())
}

/// A pupil's own status.
#[derive(Template)]
#[template(path = "status.html")]
pub(crate) struct StatusPage {
    pub(crate) p: Page,
    /// The device's name; empty when it is not known.
    pub(crate) device: String,
    pub(crate) state: Option<Badge>,
    pub(crate) why: String,
    /// Who can change it; empty when there is nothing to wish for.
    pub(crate) whom_to_ask: &'static str,
}

/// `GET /status`: do I have internet, why not, until when?
pub(crate) async fn status(State(app): State<App>, Extension(peer): Extension<Peer>, visit: Visit) -> Answer {
    visit.show(&status_page(&app, visit.page(Here::Status), &peer).await?)
}

/// The status of the device that asks.
pub(crate) async fn status_page(app: &App, p: Page, peer: &Peer) -> Answer<StatusPage> {
    let t = p.t;
    let Some(device) = lessons::device_at(app, peer.address.ip()).await? else {
        let why = t.device_unknown.to_owned();
        return Ok(StatusPage { p, device: String::new(), state: None, why, whom_to_ask: "" });
    };
    let scene = lessons::scene(app, Target::Device(device.subject.device)).await?;
    let mut page =
        StatusPage { p, device: device.name.to_string(), state: None, why: String::new(), whom_to_ask: "" };
    if let Some(seat) = scene.seats.first() {
        let Tile { state, why, .. } = tile(t, seat);
        (page.state, page.why) = (Some(state), why);
        if seat.level() != Some(Level::On) {
            let room = app.inventory.room_gate(device.subject.room_at(clock::now())).await?;
            page.whom_to_ask = whom_to_ask(t, seat.verdict.cause, room.control, &device.subject);
        }
    }
    Ok(page)
}

/// Who can change what holds for a device.
fn whom_to_ask(t: &Texts, cause: Cause, room: RoomControl, device: &Subject) -> &'static str {
    match cause {
        Cause::Rule(_, Layer::Exam) => t.ask_examiner,
        Cause::Rule(_, Layer::Lock) => t.ask_admin,
        _ if matches!(room, RoomControl::Inside | RoomControl::Teachers) || !device.groups.is_empty() => {
            t.ask_teacher
        }
        _ => t.ask_admin,
    }
}

const HISTORY_SHOWN: u32 = 12;
