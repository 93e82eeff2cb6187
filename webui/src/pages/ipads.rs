//! iPads: the list, one of them, and invitations.

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::mdm::{Action, Command, CommandState, Enrolment, EnrolmentState, Report};
use inventory::{CommandId, Device, DeviceId, EnrolmentId, InvitationId, clock};
use serde_json::Value;

use crate::app::App;
use crate::apps::{self, OnIpad};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::ipads::{self, DAYS_MAX, Wish};
use crate::notices;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages;
use crate::pages::{Choice, Me, texts_of};
use crate::problem::Problem;
use crate::qr::{Qr, qr};
use crate::texts::Texts;
use crate::views::{Badge, When};

#[derive(Template)]
#[template(path = "ipads.html")]
pub(crate) struct Ipads {
    pub(crate) p: Page,
    /// Whether this server manages iPads at all.
    pub(crate) on: bool,
    pub(crate) rows: Vec<IpadRow>,
    pub(crate) invitations: Vec<InvitationRow>,
    pub(crate) unusable: Vec<String>,
    pub(crate) problems: Shown,
    pub(crate) rooms: Vec<Choice>,
    pub(crate) classes: Vec<Choice>,
    /// What was typed.
    pub(crate) uses: String,
    pub(crate) days: String,
    pub(crate) days_max: u32,
}

/// An iPad in the list.
pub(crate) struct IpadRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) room: String,
    pub(crate) serial: String,
    pub(crate) model: String,
    pub(crate) system: String,
    pub(crate) state: Badge,
    pub(crate) open: u32,
    pub(crate) seen: Option<When>,
}

/// An invitation in the list.
pub(crate) struct InvitationRow {
    pub(crate) id: String,
    pub(crate) room: String,
    pub(crate) uses: u32,
    pub(crate) ends: String,
    pub(crate) by: String,
}

/// A link, to be opened now.
#[derive(Template)]
#[template(path = "ipad_invited.html")]
pub(crate) struct Invited {
    pub(crate) p: Page,
    pub(crate) link: String,
    pub(crate) qr: Option<Qr>,
}

/// One iPad.
#[derive(Template)]
#[template(path = "ipad.html")]
pub(crate) struct IpadPage {
    pub(crate) p: Page,
    pub(crate) row: IpadRow,
    pub(crate) device: Option<String>,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) apps: Vec<String>,
    /// Those that the school gives it.
    pub(crate) managed: Vec<ManagedApp>,
    pub(crate) profiles: Vec<String>,
    /// What it should have, and how far that is.
    pub(crate) declared: Vec<DeclaredRow>,
    pub(crate) commands: Vec<CommandRow>,
    pub(crate) problems: Shown,
    /// Whether it can be asked anything.
    pub(crate) reachable: bool,
}

/// Something that an iPad should have.
pub(crate) struct DeclaredRow {
    pub(crate) what: String,
    pub(crate) state: Badge,
    /// Why not; may be empty.
    pub(crate) detail: String,
}

/// An app that the school gives an iPad.
pub(crate) struct ManagedApp {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) install: &'static str,
    pub(crate) state: Badge,
    pub(crate) problem: String,
}

/// A command in the list.
pub(crate) struct CommandRow {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) state: Badge,
    /// Why it failed, or why somebody wanted it.
    pub(crate) detail: String,
    pub(crate) by: String,
    pub(crate) at: When,
    pub(crate) open: bool,
}

/// `GET /ipads`
pub(crate) async fn list(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&page(&app, &visit, &Fields::default()).await?)
}

/// `POST /ipads/invitations`
pub(crate) async fn invite(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let made = match wish(&app, &form).await {
        Ok(wish) => ipads::invite(&app, &me, wish).await,
        Err(failure) => Err(failure),
    };
    match made {
        Ok((_, link)) => visit.show(&Invited { p: visit.page(Here::Ipads), qr: qr(&link), link }),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&Ipads { problems, ..page(&app, &visit, &form).await? })
        }
    }
}

async fn wish(app: &App, form: &Fields) -> Answer<Wish> {
    let number = |field: &'static str| {
        let text = form.text(field);
        let bad = || Failure::field(field, Problem::NoNumber(text.chars().take(20).collect()));
        text.parse::<u32>().map_err(|_| bad())
    };
    let room = form.text("room");
    let no_room = || Failure::field("room", Problem::NoRoom(room.chars().take(60).collect()));
    let rooms = app.inventory.rooms().await?;
    let found = rooms.iter().find(|known| known.id.to_string() == room || known.name == room);
    Ok(Wish {
        device: None,
        room: found.ok_or_else(no_room)?.id,
        group: form.text("class").parse().ok(),
        uses: number("uses")?,
        days: number("days")?,
    })
}

/// `POST /ipads/invitations/{id}/delete`. It protects, so nobody is asked twice.
pub(crate) async fn uninvite(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<InvitationId>,
) -> Answer {
    let t = Texts::of(visit.lang);
    let done = app.inventory.delete_invitation(me.by(), id).await;
    visit.go_done("/ipads", done.map(|()| t.said_deleted(t.invitation)).map_err(Failure::from))
}

/// `GET /ipads/{id}`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Id(id): Id<EnrolmentId>) -> Answer {
    visit.show(&one(&app, &visit, id).await?)
}

/// `POST /ipads/{id}/ask`: what hurts nobody.
pub(crate) async fn ask(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EnrolmentId>,
    form: Fields,
) -> Answer {
    let action = match form.text("action") {
        "refresh" => Action::Refresh,
        "restart" => Action::Restart,
        "shut_down" => Action::ShutDown,
        "lock" => Action::Lock { message: form.text("message").to_owned() },
        "lost_mode_off" => Action::LostModeOff,
        "lost_mode_sound" => Action::LostModeSound,
        other => {
            let problem = Problem::NoChoice(other.chars().take(40).collect());
            return visit.go_refused(&format!("/ipads/{id}"), Failure::field("action", problem));
        }
    };
    let asked = ipads::ask(&app, &me, id, &action, "").await;
    let t = Texts::of(visit.lang);
    visit.go_done(&format!("/ipads/{id}"), asked.map(|_| t.said_asked(t.action(&action))))
}

/// `POST /ipads/{id}/insist`: what takes something away from somebody; with a reason, by a person who gave the password a moment ago.
pub(crate) async fn insist(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EnrolmentId>,
    form: Fields,
) -> Answer {
    let text = |name: &str| form.text(name).to_owned();
    let action = match form.text("action") {
        "clear_passcode" => Action::ClearPasscode,
        "lost_mode" => Action::LostMode { message: text("message"), phone: text("phone") },
        "erase" => Action::Erase,
        other => {
            let problem = Problem::NoChoice(other.chars().take(40).collect());
            return visit.go_refused(&format!("/ipads/{id}"), Failure::field("action", problem));
        }
    };
    let t = Texts::of(visit.lang);
    match ipads::ask(&app, &me, id, &action, form.text("reason")).await {
        Ok(_) => Ok(visit.go(&format!("/ipads/{id}"), t.said_asked(t.action(&action)))),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&IpadPage { problems, ..one(&app, &visit, id).await? })
        }
    }
}

/// `POST /ipads/{id}/cancel`
pub(crate) async fn cancel(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<EnrolmentId>,
    form: Fields,
) -> Answer {
    let done = async {
        let text = form.text("command");
        let none = || Failure::field("command", Problem::NoChoice(text.chars().take(40).collect()));
        let command: CommandId = text.parse().map_err(|_| none())?;
        app.inventory.cancel_command(me.by(), id, command).await?;
        Ok(Texts::of(visit.lang).state_cancelled.to_owned())
    };
    visit.go_done(&format!("/ipads/{id}"), done.await)
}

async fn page(app: &App, visit: &Visit, typed: &Fields) -> Answer<Ipads> {
    let now = clock::now();
    let (ipads, mut problems) = app.inventory.enrolments().await?;
    let (devices, bad) = app.inventory.devices().await?;
    problems.extend(bad);
    let devices: HashMap<DeviceId, Device> = devices.into_iter().map(|device| (device.id, device)).collect();
    let rooms = app.inventory.rooms().await?;
    let row = |ipad: Enrolment| {
        let device = ipad.device.and_then(|id| devices.get(&id));
        row(visit, ipad, device)
    };
    let name =
        |id| rooms.iter().find(|room| room.id == id).map_or_else(String::new, |room| room.name.clone());
    let invitations = app.inventory.invitations(now).await?.into_iter().map(|invitation| InvitationRow {
        id: invitation.id.to_string(),
        room: name(invitation.room),
        uses: invitation.uses_left,
        ends: format::time(visit.lang, invitation.ends_at),
        by: invitation.created_by,
    });
    let invitations = invitations.collect();
    let choice = |field: &str, id: String, name: String| Choice { chosen: typed.text(field) == id, id, name };
    let classes = app.inventory.groups().await?;
    let text = |field: &str, otherwise: &str| match typed.text(field) {
        "" => otherwise.to_owned(),
        text => text.chars().take(20).collect(),
    };
    Ok(Ipads {
        p: visit.page(Here::Ipads),
        on: app.school.mdm_url.is_some(),
        rows: ipads.into_iter().map(row).collect(),
        invitations,
        unusable: texts_of(&problems),
        problems: Shown::default(),
        rooms: rooms.iter().map(|room| choice("room", room.id.to_string(), room.name.clone())).collect(),
        classes: classes.into_iter().map(|class| choice("class", class.id.to_string(), class.name)).collect(),
        uses: text("uses", "1"),
        days: text("days", "7"),
        days_max: DAYS_MAX,
    })
}

fn row(visit: &Visit, ipad: Enrolment, device: Option<&Device>) -> IpadRow {
    let t = Texts::of(visit.lang);
    IpadRow {
        id: ipad.id.to_string(),
        name: device.map_or_else(|| ipad.serial.clone(), |device| device.name.to_string()),
        room: device.map_or_else(String::new, |device| device.room.name.clone()),
        serial: ipad.serial,
        model: ipad.model,
        system: ipad.os_version,
        state: match ipad.state {
            EnrolmentState::Enrolled if ipad.awaiting => Badge::new("busy", t.ipad_awaiting),
            EnrolmentState::Enrolled => Badge::new("good", t.ipad_enrolled),
            EnrolmentState::Authenticated => Badge::new("busy", t.ipad_arriving),
            EnrolmentState::Left => Badge::new("idle", t.ipad_left),
        },
        open: ipad.open_commands,
        seen: ipad.last_seen.map(|at| When::new(visit.lang, clock::now(), at)),
    }
}

async fn one(app: &App, visit: &Visit, id: EnrolmentId) -> Answer<IpadPage> {
    let (t, now) = (Texts::of(visit.lang), clock::now());
    let ipad = app.inventory.enrolment(id).await?.ok_or(Failure::Gone)?;
    let device = match ipad.device {
        Some(id) => app.inventory.device(id).await?,
        None => None,
    };
    let reports = app.inventory.ipad_reports(id).await?;
    let commands = app.inventory.commands_of(id, COMMANDS_SHOWN).await?;
    let mut facts = facts(t, &reports);
    if let Some(at) = ipad.certificate_ends_at {
        facts.push((t.certificate_until, format::time(visit.lang, at)));
    }
    let command = |command: Command| CommandRow {
        id: command.id.to_string(),
        state: state(t, command.state),
        detail: command.problem.unwrap_or(command.reason),
        by: command.created_by,
        at: When::new(visit.lang, now, command.created_at),
        open: is_open(command.state),
        kind: command.kind,
    };
    Ok(IpadPage {
        p: visit.page(Here::Ipads),
        facts,
        apps: names(&reports, "apps", &["name", "version"]),
        managed: apps::on_ipad(app, id).await?.into_iter().map(|app| managed(visit, app)).collect(),
        profiles: names(&reports, "profiles", &["name", "id"]),
        declared: declared(t, &reports),
        commands: commands.into_iter().map(command).collect(),
        problems: Shown::default(),
        reachable: ipad.state == EnrolmentState::Enrolled,
        device: device.as_ref().map(|device| device.id.to_string()),
        row: row(visit, ipad, device.as_ref()),
    })
}

/// What an iPad reported of its declarations, without those that only hold the others together.
fn declared(t: &Texts, reports: &[Report]) -> Vec<DeclaredRow> {
    let report = reports.iter().find(|report| report.kind == "declarations");
    let entries = report.and_then(|report| report.body.as_array()).into_iter().flatten();
    let row = |entry: &Value| {
        let what = t.declaration(entry.get("id")?.as_str()?)?;
        let is = |key: &str| entry.get(key).and_then(Value::as_bool).unwrap_or_default();
        let state = match (is("valid"), is("active")) {
            (true, true) => Badge::new("good", t.declared_active),
            (true, false) => Badge::new("idle", t.declared_inactive),
            (false, _) => Badge::new("bad", t.declared_refused),
        };
        let reasons = entry.get("reasons").and_then(Value::as_array).into_iter().flatten();
        let detail = reasons.filter_map(Value::as_str).collect::<Vec<_>>().join("; ");
        Some(DeclaredRow { what, state, detail })
    };
    entries.filter_map(row).collect()
}

impl Texts {
    /// What a declaration is about; `None` for one that nobody needs to see.
    fn declaration(&self, id: &str) -> Option<String> {
        let (word, name) = id.strip_prefix("hausmeister.")?.split_once('.')?;
        match (word, name) {
            ("profile", "network") => Some(self.network_and_web.to_owned()),
            ("profile", "rules") => Some(self.restrictions.to_owned()),
            ("profile", "screen") => Some(self.screen_and_system.to_owned()),
            ("profile", "lock") => Some(self.an_exam.to_owned()),
            ("update", _) => Some("iPadOS".to_owned()),
            _ => None,
        }
    }
}

fn managed(visit: &Visit, app: OnIpad) -> ManagedApp {
    let t = Texts::of(visit.lang);
    ManagedApp {
        id: app.app.to_string(),
        install: app.install.map_or("", |install| pages::apps::install(t, install)),
        state: pages::apps::app_badge(t, &app),
        problem: app.problem.map(|problem| notices::said(visit.lang, &problem, "").0).unwrap_or_default(),
        name: app.name,
    }
}

fn facts(t: &Texts, reports: &[Report]) -> Vec<(&'static str, String)> {
    let found = |kind: &str, key: &str| {
        reports.iter().find(|report| report.kind == kind).and_then(|report| report.body.get(key)).cloned()
    };
    let word = |value: &Value| value.as_bool().map(|yes| if yes { t.yes } else { t.no }.to_owned());
    let number = |value: &Value, scale: f64, unit: &str| {
        value.as_f64().filter(|n| *n >= 0.0).map(|n| format!("{:.0} {unit}", n * scale))
    };
    let all = [
        (t.battery, found("device", "battery").and_then(|v| number(&v, 100.0, "%"))),
        (t.free_space, found("device", "free_gb").and_then(|v| number(&v, 1.0, "GB"))),
        (t.supervised, found("device", "supervised").and_then(|v| word(&v))),
        (t.passcode, found("security", "passcode").and_then(|v| word(&v))),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// The parts of each entry of a list that an iPad reported, those that are there.
fn names(reports: &[Report], kind: &str, keys: &[&str]) -> Vec<String> {
    let list = reports.iter().find(|report| report.kind == kind).and_then(|report| report.body.as_array());
    let name = |entry: &Value| {
        let parts = keys.iter().filter_map(|key| entry.get(key).and_then(Value::as_str));
        parts.collect::<Vec<_>>().join(" ")
    };
    list.map_or_else(Vec::new, |list| list.iter().map(name).filter(|name| !name.is_empty()).collect())
}

fn state(t: &Texts, state: CommandState) -> Badge {
    let (kind, text) = match state {
        CommandState::Asked => ("idle", t.state_asked),
        CommandState::Queued => ("idle", t.state_queued),
        CommandState::Sent => ("busy", t.state_sent),
        CommandState::NotNow => ("busy", t.state_not_now),
        CommandState::Done => ("good", t.state_done),
        CommandState::Failed => ("bad", t.command_failed),
        CommandState::Expired => ("warn", t.state_expired),
        CommandState::Superseded => ("idle", t.state_superseded),
        CommandState::Cancelled => ("idle", t.state_cancelled),
    };
    Badge::new(kind, text)
}

fn is_open(state: CommandState) -> bool {
    matches!(state, CommandState::Asked | CommandState::Queued | CommandState::Sent | CommandState::NotNow)
}

const COMMANDS_SHOWN: u32 = 50;
