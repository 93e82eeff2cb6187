//! The history: the change log, newest first, without what machines report all the time.

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::import::Kind;
use inventory::{Change, Inventory, Role, UnixMillis, clock};

use crate::app::App;
use crate::apps::called;
use crate::failure::Answer;
use crate::fields::Asked;
use crate::page::{Here, Page, Visit};
use crate::pages::{Me, import};
use crate::rights;
use crate::rights::Right::{Devices, People, School};
use crate::texts::Texts;
use crate::views::When;

#[derive(Template)]
#[template(path = "changes.html")]
pub(crate) struct Changes {
    pub(crate) p: Page,
    pub(crate) changes: Vec<ChangeRow>,
    /// Number before which older changes begin, if there are any.
    pub(crate) older: Option<i64>,
}

/// A change.
pub(crate) struct ChangeRow {
    pub(crate) at: When,
    pub(crate) actor: String,
    pub(crate) what: String,
    pub(crate) subject: String,
    pub(crate) link: Option<String>,
}

/// `GET /changes?before=N`
pub(crate) async fn show(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Asked(query): Asked,
) -> Answer {
    let newest = app.inventory.last_change().await?.saturating_add(1);
    let before = query.text("before").parse::<i64>().map_or(newest, |n| n.clamp(1, newest));
    let (changes, older) = told(&app.inventory, before).await?;
    let names = Names::load(&app.inventory, me.user.role).await?;
    let (t, now) = (Texts::of(visit.lang), clock::now());
    let row = |change: &Change| {
        let (subject, link) = names.of(change);
        ChangeRow {
            at: When::new(visit.lang, now, UnixMillis(change.at.0)),
            actor: change.actor.clone(),
            what: t.change(&change.entity, &change.action),
            subject,
            link,
        }
    };
    visit.show(&Changes { p: visit.page(Here::Changes), changes: changes.iter().map(row).collect(), older })
}

/// The newest changes before a number that are worth telling, and where to go on. The log is read in windows, backwards;
/// their number is bounded, since a night of imaging can fill many with nothing but progress.
async fn told(inventory: &Inventory, before: i64) -> Answer<(Vec<Change>, Option<i64>)> {
    let (mut told, mut end) = (Vec::new(), before);
    for _ in 0..WINDOWS_MAX {
        if end <= 1 || told.len() >= SHOWN {
            break;
        }
        let start = end.saturating_sub(WINDOW).max(1);
        let mut window =
            inventory.changes_since(start - 1, u32::try_from(WINDOW).unwrap_or(u32::MAX)).await?;
        window.retain(|change| change.seq < end && is_told(change));
        told.extend(window.into_iter().rev());
        end = start;
    }
    if told.len() > SHOWN {
        told.truncate(SHOWN);
        end = told.last().map_or(end, |change| change.seq);
    }
    Ok((told, (end > 1).then_some(end)))
}

/// Whether it is more than what machines report all the time.
pub(crate) fn is_told(change: &Change) -> bool {
    !matches!(change.action.as_str(), "progress" | "observed")
}

/// What ids are called, and where that is shown to the person who asks.
struct Names {
    names: HashMap<String, (String, Option<String>)>,
    /// Whether people are shown to the person who asks.
    people: bool,
}

impl Names {
    async fn load(inventory: &Inventory, role: Role) -> Answer<Self> {
        let mut names = HashMap::new();
        let link = |right, path: String| rights::has(role, right).then_some(path);
        let (devices, _) = inventory.devices().await?;
        for device in &devices {
            let entry = (device.name.to_string(), link(Devices, format!("/devices/{}", device.id)));
            for card in &device.interfaces {
                names.insert(card.mac.to_string(), entry.clone());
            }
            names.insert(device.id.to_string(), entry);
        }
        for room in inventory.rooms().await? {
            names.insert(
                room.id.to_string(),
                (room.name, link(Devices, format!("/devices?room={}", room.id))),
            );
        }
        for app in inventory.apps().await? {
            let entry = (called(&app), link(Devices, format!("/apps/{}", app.id)));
            names.insert(app.id.to_string(), entry);
        }
        for entry in inventory.software_entries().await?.0 {
            let shown = (entry.package.name.to_string(), link(Devices, format!("/software/{}", entry.id)));
            names.insert(entry.package.id.to_string(), shown);
        }
        for image in inventory.images().await? {
            names.insert(image.id.to_string(), (image.name, link(Devices, "/images".into())));
        }
        for network in inventory.networks().await?.0 {
            names.insert(
                network.id.to_string(),
                (network.name, link(School, format!("/networks/{}", network.id))),
            );
        }
        for group in inventory.groups().await? {
            names.insert(group.id.to_string(), (group.name, link(People, format!("/groups/{}", group.id))));
        }
        for token in inventory.tokens().await?.0 {
            names.insert(token.id.to_string(), (token.name, link(School, "/tokens".into())));
        }
        for job in inventory.jobs(JOBS_MAX).await?.0 {
            if let Some(device) = names.get(&job.device.to_string()).cloned() {
                names.insert(job.id.to_string(), device);
            }
        }
        for kind in Kind::ALL {
            for import in inventory.imports(kind, IMPORTS_MAX).await? {
                let right = if kind == Kind::People { People } else { Devices };
                let page = link(right, format!("{}/{}", import::path(kind), import.id));
                names.insert(import.id.to_string(), (import.file_name, page));
            }
        }
        Ok(Self { names, people: rights::has(role, People) })
    }

    /// The name of what was changed and where it is shown. What is gone keeps the beginning of its id.
    fn of(&self, change: &Change) -> (String, Option<String>) {
        match (self.names.get(&change.key), change.entity.as_str()) {
            (Some((name, link)), _) => (name.clone(), link.clone()),
            (None, "notice") => (change.key.clone(), Some("/".into())),
            // Not by name: whoever reads the history need not see who is at the school.
            (None, "user") => {
                let link = self.people.then(|| format!("/people/{}", change.key));
                (change.key.chars().take(8).collect(), link)
            }
            (None, _) => (change.key.chars().take(8).collect(), None),
        }
    }
}

const SHOWN: usize = 100;
const WINDOW: i64 = 500;
const WINDOWS_MAX: usize = 20;
const JOBS_MAX: u32 = 1000;
const IMPORTS_MAX: u32 = 100;
