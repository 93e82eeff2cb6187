//! What holds in a room or for a class: reading it as a teacher sees it, and changing it. Pages and API meet here.

use std::net::IpAddr;

use inventory::gate::{
    Book, Cause, Confirmed, GateDevice, Layer, Level, NewRule, Of, Rule, Setting, Target, Verdict,
};
use inventory::lessons::{Grid, Span, local};
use inventory::{DeviceId, Group, LeaseState, ListAction, ListId, NameList, Role, RoomId, UnixMillis, clock};
use jiff::tz::TimeZone;

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::problem::Problem;
use crate::rights;

/// A room or class with its devices.
pub(crate) struct Scene {
    pub(crate) target: Target,
    pub(crate) name: String,
    pub(crate) seats: Vec<Seat>,
    /// What a teacher set for the whole of it.
    pub(crate) grant: Option<Rule>,
    /// Number and end of the lesson that "until the bell" means.
    pub(crate) bell: (UnixMillis, Option<u8>),
}

/// A device in it.
pub(crate) struct Seat {
    pub(crate) device: DeviceId,
    pub(crate) name: String,
    /// Whether a change of the whole leaves it alone.
    pub(crate) staff: bool,
    /// What should hold.
    pub(crate) verdict: Verdict,
    /// When that changes.
    pub(crate) until: Option<UnixMillis>,
    /// When a person decided it, if one did.
    pub(crate) decided_at: Option<UnixMillis>,
    /// What the kernel was read to enforce.
    pub(crate) confirmed: Option<Confirmed>,
    /// Whether a teacher's rule for this device alone decides.
    pub(crate) excepted: bool,
    /// Until when it belongs here although its room is another.
    pub(crate) guest_until: Option<UnixMillis>,
}

impl Seat {
    /// What it may do, as far as anybody knows: what the kernel does, else what was decided.
    pub(crate) fn level(&self) -> Option<Level> {
        self.confirmed.map(|confirmed| confirmed.level).or(self.verdict.setting.map(|setting| setting.level))
    }

    /// Whether the kernel was read to do what was decided, after it was decided.
    pub(crate) fn is_confirmed(&self) -> bool {
        let wanted = self.verdict.setting.map(|setting| setting.level);
        self.confirmed.is_some_and(|confirmed| {
            wanted.is_none_or(|wanted| wanted == confirmed.level)
                && self.decided_at.is_none_or(|at| at <= confirmed.at)
        })
    }
}

/// Reads a room or class.
pub(crate) async fn scene(app: &App, target: Target) -> Answer<Scene> {
    let now = clock::now();
    let name = name(app, target).await?;
    let (devices, _) = app.inventory.gate_devices(Of::Target(target)).await?;
    let (book, _) = app.inventory.gate_book(now).await?;
    let confirmed = app.inventory.confirmed_levels(Of::Target(target)).await?;
    let here =
        |device: &&GateDevice| !matches!(target, Target::Room(room) if device.subject.room_at(now) != room);
    let mut seats: Vec<Seat> = devices.iter().filter(here).map(|device| seat(&book, device, now)).collect();
    for seat in &mut seats {
        seat.confirmed = confirmed.get(&seat.device).copied();
    }
    seats.sort_by(|a, b| (a.staff, &a.name).cmp(&(b.staff, &b.name)));
    let of_target = |rule: &&Rule| rule.layer == Layer::Grant && rule.target == target && rule.holds(now);
    let grant = book.rules().find(of_target).cloned();
    let bell = app.inventory.grid().await?.end(&local(now), Span::Lesson);
    Ok(Scene { target, name, seats, grant, bell })
}

fn seat(book: &Book, device: &GateDevice, now: UnixMillis) -> Seat {
    let first = book.timeline(&device.subject, now, 1);
    let (verdict, until) = first
        .first()
        .map_or((Verdict { setting: None, cause: Cause::Network }, None), |s| (s.verdict, s.until));
    let rule = match verdict.cause {
        Cause::Rule(id, _) => book.rule(id),
        _ => None,
    };
    let own = |rule: &Rule| rule.layer == Layer::Grant && matches!(rule.target, Target::Device(_));
    Seat {
        excepted: rule.is_some_and(own),
        guest_until: device.subject.visit.map(|(_, ends)| ends).filter(|ends| now < *ends),
        decided_at: rule.map(|rule| rule.created_at),
        device: device.subject.device,
        name: device.name.to_string(),
        staff: device.subject.staff,
        verdict,
        until,
        confirmed: None,
    }
}

/// What a target is called.
pub(crate) async fn name(app: &App, target: Target) -> Answer<String> {
    let found = match target {
        Target::Room(id) => app.inventory.rooms().await?.into_iter().find(|r| r.id == id).map(|r| r.name),
        Target::Group(id) => app.inventory.groups().await?.into_iter().find(|g| g.id == id).map(|g| g.name),
        Target::Device(id) => app.inventory.device(id).await?.map(|device| device.name.to_string()),
        Target::User(id) => app.inventory.user(id).await?.map(|user| user.name),
    };
    found.ok_or(Failure::Gone)
}

/// Lets somebody say what holds for a target for a while, if they may.
pub(crate) async fn set(
    app: &App,
    me: &SignedIn,
    address: IpAddr,
    target: Target,
    setting: Setting,
    span: Span,
) -> Answer<UnixMillis> {
    allow(app, me, address, target).await?;
    let by = me.by();
    let (ends, _) = app.inventory.grid().await?.end(&local(by.at), span);
    // Only an allow list has names.
    let setting = if setting.level == Level::AllowList { setting } else { setting.level.into() };
    let rule = NewRule { layer: Layer::Grant, target, setting, starts_at: by.at, ends_at: Some(ends) };
    app.inventory.add_rules(by, &[rule]).await?;
    Ok(ends)
}

/// Takes back what a teacher said of a target.
pub(crate) async fn end(app: &App, me: &SignedIn, address: IpAddr, target: Target) -> Answer<()> {
    allow(app, me, address, target).await?;
    app.inventory.end_rules(me.by(), Layer::Grant, target).await?;
    Ok(())
}

/// Lets a device belong to a room until the bell, or (without one) to its own again. Whoever may switch the room may; the staff's devices
/// stay where they are.
pub(crate) async fn visit(
    app: &App,
    me: &SignedIn,
    address: IpAddr,
    device: DeviceId,
    room: Option<RoomId>,
) -> Answer<()> {
    let (devices, _) = app.inventory.gate_devices(Of::Target(Target::Device(device))).await?;
    let subject = &devices.first().ok_or(Failure::Gone)?.subject;
    let by = me.by();
    let obeyed = room.unwrap_or_else(|| subject.room_at(by.at));
    allow(app, me, address, Target::Room(obeyed)).await?;
    if subject.staff {
        return Err(Failure::Forbidden);
    }
    let (ends, _) = app.inventory.grid().await?.end(&local(by.at), Span::Lesson);
    Ok(app.inventory.set_visit(by, device, room.map(|room| (room, ends))).await?)
}

/// Whether somebody may say what holds for a target.
pub(crate) async fn allow(app: &App, me: &SignedIn, address: IpAddr, target: Target) -> Answer<()> {
    let may = match target {
        Target::Room(room) => controls_room(app, me, address, room).await?,
        Target::Group(group) => {
            me.user.role == Role::SchoolAdmin
                || app.inventory.groups_of(me.user.id).await?.iter().any(|mine| mine.id == group)
        }
        Target::Device(_) | Target::User(_) => controls_devices(app, me, address, target).await?,
    };
    if may { Ok(()) } else { Err(Failure::Forbidden) }
}

async fn controls_room(app: &App, me: &SignedIn, address: IpAddr, room: RoomId) -> Answer<bool> {
    let control = app.inventory.room_gate(room).await?.control;
    let inside = room_of(app, address).await? == Some(room);
    Ok(rights::controls(me.user.role, control, inside))
}

/// Single devices obey whoever their room obeys or whose class they belong to; those of the staff only admins.
async fn controls_devices(app: &App, me: &SignedIn, address: IpAddr, target: Target) -> Answer<bool> {
    if me.user.role == Role::SchoolAdmin {
        return Ok(true);
    }
    let now = clock::now();
    let (devices, _) = app.inventory.gate_devices(Of::Target(target)).await?;
    let mine = app.inventory.groups_of(me.user.id).await?;
    for device in &devices {
        let in_class = device.subject.groups.iter().any(|group| mine.iter().any(|m| m.id == *group));
        let obeys = in_class || controls_room(app, me, address, device.subject.room_at(now)).await?;
        if device.subject.staff || !obeys {
            return Ok(false);
        }
    }
    Ok(!devices.is_empty())
}

/// The classes of a teacher; all of them for an admin.
pub(crate) async fn groups(app: &App, me: &SignedIn) -> Answer<Vec<Group>> {
    Ok(match me.user.role {
        Role::SchoolAdmin => app.inventory.groups().await?,
        _ => app.inventory.groups_of(me.user.id).await?,
    })
}

/// Lists that can be meant by "allow list only": the school's own, unless a filter blocks their names.
pub(crate) async fn allow_lists(app: &App) -> Answer<Vec<NameList>> {
    let (lists, _) = app.inventory.name_lists().await?;
    let (filters, _) = app.inventory.filters().await?;
    let blocked = |id| filters.iter().any(|filter| filter.lists.contains(&(id, ListAction::Block)));
    let fit = |list: &NameList| list.source.is_none() && list.id != ListId::ALWAYS && !blocked(list.id);
    Ok(lists.into_iter().filter(fit).collect())
}

/// The device at an address, if its lease says so.
pub(crate) async fn device_at(app: &App, address: IpAddr) -> Answer<Option<GateDevice>> {
    let IpAddr::V4(ip) = address else { return Ok(None) };
    let now = clock::now();
    let lease = app.inventory.lease(ip).await?;
    let held = lease.filter(|lease| lease.state == LeaseState::Active && lease.expires_at > now);
    let found = match held {
        Some(lease) => app.inventory.device_by_mac(lease.mac).await?,
        None => app.inventory.device_by_reservation(ip).await?,
    };
    let Some(device) = found else { return Ok(None) };
    let (devices, _) = app.inventory.gate_devices(Of::Target(Target::Device(device.id))).await?;
    Ok(devices.into_iter().next())
}

/// The room from which somebody asks.
pub(crate) async fn room_of(app: &App, address: IpAddr) -> Answer<Option<RoomId>> {
    Ok(device_at(app, address).await?.map(|device| device.subject.room_at(clock::now())))
}

/// How long a rule is to hold, as a form or a program says it: `lesson`, `day` or minutes.
pub(crate) fn span(text: &str) -> Answer<Span> {
    match text {
        "" | "lesson" => Ok(Span::Lesson),
        "day" => Ok(Span::Day),
        minutes => match minutes.parse() {
            Ok(minutes @ 1..=MINUTES_MAX) => Ok(Span::Minutes(minutes)),
            _ => Err(Failure::field("span", Problem::NoChoice(minutes.chars().take(40).collect()))),
        },
    }
}

/// Refuses a time after the end of the day: nothing that a teacher sets lasts longer.
pub(crate) fn until_midnight(field: &'static str, ends: UnixMillis) -> Answer<()> {
    let (midnight, _) = Grid::default().end(&local(clock::now()), Span::Day);
    if ends <= midnight { Ok(()) } else { Err(Failure::field(field, Problem::AfterMidnight)) }
}

/// The instant of a time of today, `10:40`.
pub(crate) fn today(field: &'static str, text: &str) -> Answer<UnixMillis> {
    let minute = minute(field, text)?;
    let today = local(clock::now()).start_of_day();
    let at = today.and_then(|day| day.datetime().checked_add(jiff::Span::new().minutes(i64::from(minute))));
    let at = at.and_then(|at| at.to_zoned(TimeZone::system())).map_err(|_| Failure::Internal)?;
    Ok(UnixMillis(at.timestamp().as_millisecond()))
}

/// A minute of the day, `7:45`.
pub(crate) fn minute(field: &'static str, text: &str) -> Answer<u16> {
    let problem = |_| Failure::field(field, Problem::NoTime(text.chars().take(40).collect()));
    let time = jiff::civil::Time::strptime("%H:%M", text).map_err(problem)?;
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).map_err(|_| Failure::Internal)
}

/// The instant of a local day and time, `2026-11-30T12:00`.
pub(crate) fn instant(field: &'static str, text: &str) -> Answer<UnixMillis> {
    let problem = |_| Failure::field(field, Problem::NoTime(text.chars().take(40).collect()));
    let local: jiff::civil::DateTime = text.parse().map_err(problem)?;
    let at = local.to_zoned(TimeZone::system()).map_err(problem)?;
    Ok(UnixMillis(at.timestamp().as_millisecond()))
}

/// A level, as a form or a program says it.
pub(crate) fn level(text: &str) -> Answer<Level> {
    text.parse().map_err(|error| Failure::field("level", Problem::Parse(error)))
}

const MINUTES_MAX: u16 = 24 * 60;
