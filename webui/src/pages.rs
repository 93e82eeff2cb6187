//! The pages: one module each, with its handlers and its template's fields.

pub(crate) mod apple;
pub(crate) mod apps;
pub(crate) mod assets;
pub(crate) mod backups;
pub(crate) mod changes;
pub(crate) mod described;
pub(crate) mod device;
pub(crate) mod devices;
pub(crate) mod drift;
pub(crate) mod exam;
pub(crate) mod faults;
pub(crate) mod grid;
pub(crate) mod groups;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod ipad_rules;
pub(crate) mod ipads;
pub(crate) mod jobs;
pub(crate) mod lesson;
pub(crate) mod lists;
pub(crate) mod mail;
pub(crate) mod networks;
pub(crate) mod night;
pub(crate) mod overview;
pub(crate) mod own;
pub(crate) mod people;
pub(crate) mod person;
pub(crate) mod places;
pub(crate) mod pupils;
pub(crate) mod rooms;
pub(crate) mod rules;
pub(crate) mod signin;
pub(crate) mod software;
pub(crate) mod strays;
pub(crate) mod tokens;
pub(crate) mod waiting;
pub(crate) mod wlan;

use askama::Template;
use axum::Extension;
use inventory::{Audience, Device, Error, Level};

use crate::app::SignedIn;
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::page::Page;
use crate::problem::Problem;
use crate::texts::Texts;

/// Who is signed in.
type Me = Extension<SignedIn>;

/// Asks before something is deleted.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct Confirm {
    p: Page,
    title: String,
    consequence: String,
    action: String,
    back: String,
}

/// Something to tick or choose.
pub(crate) struct Choice {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) chosen: bool,
}

/// What a form says about who gets something: `to` and the field of that name.
fn audience_of(form: &Fields) -> Answer<Audience> {
    let chosen = |field: &'static str| form.given(field).ok_or(Failure::field(field, Problem::Missing));
    let bad = |field: &'static str| move |_| no_choice(field, form.text(field));
    Ok(match form.text("to") {
        "school" => Audience::School,
        "room" => Audience::Room(chosen("room")?.parse().map_err(bad("room"))?),
        "group" => Audience::Group(chosen("group")?.parse().map_err(bad("group"))?),
        "device" => Audience::Device(chosen("device")?.parse().map_err(bad("device"))?),
        other => return Err(no_choice("to", other)),
    })
}

/// None of the words that a field takes.
fn no_choice(field: &'static str, text: &str) -> Failure {
    Failure::field(field, Problem::NoChoice(text.chars().take(40).collect()))
}

/// Images to choose from: id and label, those with a version first wanted.
fn choices(images: &[inventory::Image], only_deployable: bool) -> Vec<(String, String)> {
    let label = |image: &inventory::Image| match image.versions.first() {
        Some(newest) => format!("{} (v{})", image.name, newest.version),
        None => image.name.clone(),
    };
    let wanted = |image: &&inventory::Image| !only_deployable || !image.versions.is_empty();
    images.iter().filter(wanted).map(|image| (image.id.to_string(), label(image))).collect()
}

/// Levels of the gate to choose from, after the choice of none.
fn level_choices(t: &Texts, none: &'static str) -> Vec<(&'static str, &'static str)> {
    let levels = Level::ALL.map(|level| (level.text(), t.level(level)));
    [("", none)].into_iter().chain(levels).collect()
}

/// Rows that cannot be used, for the log of the person who can mend them.
fn texts_of(problems: &[Error]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// Whether a device matches a search, already in lower case: by name, room, address, card, serial number or model.
fn matches(device: &Device, search: &str) -> bool {
    let hardware =
        |key: &str| device.hardware.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_lowercase();
    let cards = device.interfaces.iter().any(|card| {
        card.mac.to_string().contains(&search.replace('-', ":"))
            || card.reserved_ip.is_some_and(|ip| ip.to_string().contains(search))
    });
    cards
        || device.name.as_str().contains(search)
        || device.room.name.to_lowercase().contains(search)
        || device.observed.address.as_deref().is_some_and(|a| a.contains(search))
        || ["serial", "vendor", "product"].iter().any(|key| hardware(key).contains(search))
}
