//! The waiting list: PCs that nobody approved yet.

use askama::Template;
use axum::extract::State;
use inventory::{Device, Hostname, Inventory, Room, RoomId, Waiting, WaitingId, WaitingState, clock};

use crate::actions::{self, Approval};
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields, Id};
use crate::lang::Lang;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Me, choices};
use crate::texts::Texts;
use crate::views::{Hardware, When};

#[derive(Template)]
#[template(path = "waiting.html")]
pub(crate) struct WaitingList {
    pub(crate) p: Page,
    pub(crate) waiting: Vec<Pc>,
    pub(crate) rejected: Vec<Pc>,
    pub(crate) rooms: Vec<RoomChoice>,
    pub(crate) images: Vec<(String, String)>,
}

/// A waiting PC with its form.
pub(crate) struct Pc {
    pub(crate) id: String,
    pub(crate) code: String,
    pub(crate) address: String,
    pub(crate) hardware: Hardware,
    pub(crate) since: When,
    pub(crate) last_seen: When,
    /// Name of a device that was added beforehand and has this PC's card.
    pub(crate) recognised: Option<String>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) room: String,
    pub(crate) new_room: String,
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) replace: String,
    pub(crate) problems: Shown,
}

impl Pc {
    /// The field's id, as its problem's id begins.
    fn wrong_id(&self, field: &str) -> String {
        format!("{field}-{}", self.id)
    }
}

/// A known device that this PC may be.
pub(crate) struct Candidate {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) room: String,
    pub(crate) reason: &'static str,
}

/// A room with the name that comes next in it.
pub(crate) struct RoomChoice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) next_name: String,
}

/// A form that was sent and refused.
struct Tried<'a> {
    id: WaitingId,
    form: &'a Fields,
    problems: Shown,
}

/// `GET /waiting?room=ID`: that room is selected beforehand.
pub(crate) async fn show(State(app): State<App>, visit: Visit, Asked(query): Asked) -> Answer {
    visit.show(&page(&app, &visit, query.text("room"), None).await?)
}

/// `POST /waiting/{id}/approve`. Stays on the list with the same room selected: the next PC usually stands beside.
pub(crate) async fn approve(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<WaitingId>,
    form: Fields,
) -> Answer {
    let wish = Approval {
        name: form.text("name"),
        room: form.given("new_room").unwrap_or_else(|| form.text("room")),
        image: form.given("image"),
        replace: form.given("replace"),
    };
    match actions::approve(&app.inventory, me.by(), id, &wish).await {
        Ok(done) => {
            let text =
                Texts::of(visit.lang).said_approved(done.name.as_str(), &done.room.name, done.job.is_some());
            tracing::info!(device.id = %done.device, room.id = %done.room.id, "a PC was approved");
            Ok(visit.go(&format!("/waiting?room={}", done.room.id), text))
        }
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let tried = Tried { id, form: &form, problems };
            visit.show_problems(&page(&app, &visit, "", Some(tried)).await?)
        }
    }
}

/// `POST /waiting/{id}/reject`
pub(crate) async fn reject(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<WaitingId>,
) -> Answer {
    app.inventory.reject(me.by(), id).await?;
    Ok(visit.go("/waiting", Texts::of(visit.lang).said_rejected.to_owned()))
}

/// `POST /waiting/{id}/forget`
pub(crate) async fn forget(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<WaitingId>,
) -> Answer {
    app.inventory.forget_waiting(me.by(), id).await?;
    Ok(visit.go("/waiting", Texts::of(visit.lang).said_forgotten.to_owned()))
}

async fn page(app: &App, visit: &Visit, asked_room: &str, tried: Option<Tried<'_>>) -> Answer<WaitingList> {
    let (entries, _) = app.inventory.waiting().await?;
    let (devices, _) = app.inventory.devices().await?;
    let rooms = app.inventory.rooms().await?;
    let next = |room: &Room| {
        actions::suggestion(room, &devices).as_ref().map(Hostname::to_string).unwrap_or_default()
    };
    let rooms: Vec<RoomChoice> = rooms
        .iter()
        .map(|room| RoomChoice { id: room.id.to_string(), name: room.name.clone(), next_name: next(room) })
        .collect();
    let last = if asked_room.is_empty() { last_room(&app.inventory, &devices).await? } else { None };
    let wanted = last.map_or_else(|| asked_room.to_owned(), |room| room.to_string());
    let selected = rooms.iter().find(|room| room.id == wanted).or_else(|| rooms.first());
    let (mut waiting, mut rejected) = (Vec::new(), Vec::new());
    for entry in &entries {
        let mut pc = pc(visit.lang, entry, &devices);
        if pc.room.is_empty()
            && let Some(room) = selected
        {
            pc.room.clone_from(&room.id);
            pc.name.clone_from(&room.next_name);
        }
        match entry.state {
            WaitingState::Waiting => waiting.push(pc),
            WaitingState::Rejected => rejected.push(pc),
        }
    }
    if let Some(tried) = tried {
        let id = tried.id.to_string();
        // The PC may have gone meanwhile: then there is nothing to mend.
        let pc = waiting.iter_mut().find(|pc| pc.id == id).ok_or(Failure::Gone)?;
        let text = |field| tried.form.text(field).to_owned();
        pc.room = text("room");
        pc.new_room = text("new_room");
        pc.name = text("name");
        pc.image = text("image");
        pc.replace = text("replace");
        pc.problems = tried.problems;
    }
    let images = choices(&app.inventory.images().await?, true);
    Ok(WaitingList { p: visit.page(Here::Waiting), waiting, rejected, rooms, images })
}

/// The room of the device that was approved last: whoever sets up a room comes back to it.
async fn last_room(inventory: &Inventory, devices: &[Device]) -> Answer<Option<RoomId>> {
    let newest = inventory.last_change().await?;
    let changes = inventory.changes_since(newest.saturating_sub(i64::from(LOOK_BACK)), LOOK_BACK).await?;
    let mut approved = changes.iter().rev().filter(|c| c.entity == "device" && c.action == "approved");
    Ok(approved.find_map(|change| devices.iter().find(|d| d.id.to_string() == change.key)).map(|d| d.room.id))
}

fn pc(lang: Lang, entry: &Waiting, devices: &[Device]) -> Pc {
    let now = clock::now();
    let hardware = Hardware::read(lang, &entry.hardware);
    let announced = actions::announced(&entry.hardware, devices);
    let candidates = known(lang, &hardware, devices);
    Pc {
        id: entry.id.to_string(),
        code: spaced(&entry.code),
        address: entry.address.clone(),
        since: When::new(lang, now, entry.first_seen),
        last_seen: When::new(lang, now, entry.last_seen),
        recognised: announced.map(|d| d.name.to_string()),
        candidates,
        room: announced.map(|d| d.room.id.to_string()).unwrap_or_default(),
        new_room: String::new(),
        name: announced.map(|d| d.name.to_string()).unwrap_or_default(),
        image: announced.and_then(|d| d.desired_image).map(|i| i.to_string()).unwrap_or_default(),
        replace: String::new(),
        problems: Shown::default(),
        hardware,
    }
}

/// The approved devices that this PC may have been: the same serial number, system UUID or card. A hint for a person, who decides; none of these proves anything.
fn known(lang: Lang, hardware: &Hardware, devices: &[Device]) -> Vec<Candidate> {
    let t = Texts::of(lang);
    let has_card = |device: &Device| {
        device.interfaces.iter().any(|own| hardware.cards.iter().any(|card| card.mac.parse() == Ok(own.mac)))
    };
    let candidates = devices.iter().filter(|device| device.key.is_some()).filter_map(|device| {
        let of = Hardware::read(lang, &device.hardware);
        let same = |a: &str, b: &str| telling(a) && a.eq_ignore_ascii_case(b);
        let reason = if same(&of.serial, &hardware.serial) {
            t.same_serial
        } else if same(&of.uuid, &hardware.uuid) {
            t.same_uuid
        } else if has_card(device) {
            t.same_card
        } else {
            return None;
        };
        Some(Candidate {
            id: device.id.to_string(),
            name: device.name.to_string(),
            room: device.room.name.clone(),
            reason,
        })
    });
    candidates.take(20).collect()
}

/// Whether a serial number or UUID says anything: vendors leave placeholders that many PCs share.
fn telling(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let placeholder =
        ["to be filled", "default string", "system serial", "not specified", "none", "unknown", "o.e.m."];
    let digits: Vec<char> = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    let varied = digits.iter().any(|c| Some(c) != digits.first());
    lower.len() >= 4 && varied && lower != "123456789" && !placeholder.iter().any(|p| lower.contains(p))
}

/// Six digits in two groups, as the PC's screen shows them.
fn spaced(code: &str) -> String {
    match code.split_at_checked(3) {
        Some((first, second)) if !second.is_empty() => format!("{first} {second}"),
        _ => code.to_owned(),
    }
}

/// Changes that are searched for the last approval.
const LOOK_BACK: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_is_no_serial_number() {
        for text in ["YM4R001234", "4c4c4544-0042-3510-8054-b4c04f4a4d32"] {
            assert!(telling(text), "{text}");
        }
        for text in [
            "",
            "0",
            "To be filled by O.E.M.",
            "Default string",
            "00000000-0000-0000-0000-000000000000",
            "123456789",
            "FFFF-FFFF",
        ] {
            assert!(!telling(text), "{text}");
        }
    }

    #[test]
    fn the_code_is_shown_in_two_groups() {
        assert_eq!(spaced("042917"), "042 917");
        assert_eq!(spaced("1"), "1");
    }
}
