//! One device: what it should be, what it is, and what can be done with it.

use std::collections::HashMap;

use askama::Template;
use axum::extract::State;
use inventory::{Device, DeviceId, InterfaceKind, PowerAsk, Room, UnixMillis};

use crate::actions;
use crate::app::App;
use crate::failure::Answer;
use crate::fields::{Asked, Fields, Id};
use crate::format;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::software::{OnDevice, on_device};
use crate::pages::{Confirm, Me, choices};
use crate::problem::Said;
use crate::texts::Texts;
use crate::views::{Context, DeviceRow, Hardware, JobView};

#[derive(Template)]
#[template(path = "device.html")]
pub(crate) struct DevicePage {
    pub(crate) p: Page,
    pub(crate) d: DeviceRow,
    pub(crate) approved: bool,
    pub(crate) job: Option<JobView>,
    /// The newest job, if it failed.
    pub(crate) failed: Option<JobView>,
    pub(crate) rooms: Vec<Room>,
    pub(crate) images: Vec<(String, String)>,
    /// Values of the form.
    pub(crate) name: String,
    pub(crate) room: String,
    pub(crate) image: String,
    pub(crate) problems: Shown,
    pub(crate) observed: Vec<(&'static str, String)>,
    pub(crate) cards: Vec<CardForm>,
    pub(crate) hardware: Hardware,
    pub(crate) hardware_lines: Vec<(&'static str, String)>,
    pub(crate) programs: Vec<OnDevice>,
    /// It can be switched on over the network.
    pub(crate) has_cable: bool,
    /// It was asked to switch on or off today, and what became of that.
    pub(crate) power: Option<String>,
}

/// A network card with the form of its fixed address.
pub(crate) struct CardForm {
    pub(crate) mac: String,
    pub(crate) kind: &'static str,
    pub(crate) ip: String,
    pub(crate) reserved: bool,
    pub(crate) wrong: Option<Said>,
}

/// Asks which image, and says what is erased.
#[derive(Template)]
#[template(path = "deploy.html")]
pub(crate) struct DeployPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) room: String,
    pub(crate) hardware: Hardware,
    pub(crate) images: Vec<(String, String)>,
    pub(crate) image: String,
    pub(crate) problems: Shown,
}

/// Asks for the image's name.
#[derive(Template)]
#[template(path = "capture.html")]
pub(crate) struct CapturePage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) images: Vec<(String, String)>,
    pub(crate) image: String,
    pub(crate) problems: Shown,
}

/// `GET /devices/{id}`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Id(id): Id<DeviceId>) -> Answer {
    visit.show(&page(&app, &visit, id).await?)
}

/// `POST /devices/{id}`: name, room and image it should have.
pub(crate) async fn change(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
    form: Fields,
) -> Answer {
    let text = |field| Some(form.text(field));
    let done =
        actions::change_device(&app.inventory, me.by(), id, text("name"), text("room"), text("image")).await;
    match done {
        Ok(()) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let [name, room, image] = ["name", "room", "image"].map(|field| form.text(field).to_owned());
            visit.show_problems(&DevicePage { name, room, image, problems, ..page(&app, &visit, id).await? })
        }
    }
}

/// `POST /devices/{id}/reservation`
pub(crate) async fn reserve(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
    form: Fields,
) -> Answer {
    let ip = form.given("ip").filter(|_| form.given("clear").is_none());
    let t = Texts::of(visit.lang);
    match actions::reserve(&app.inventory, me.by(), id, Some(form.text("mac")), ip).await {
        Ok(()) => {
            let said = if ip.is_some() { t.said_reserved } else { t.said_unreserved };
            Ok(visit.go(&path(id), said.to_owned()))
        }
        Err(failure) => {
            let problems = failure.problems()?;
            let mut page = page(&app, &visit, id).await?;
            if let Some(card) = page.cards.iter_mut().find(|card| card.mac == form.text("mac")) {
                card.wrong = problems.first().map(|(_, problem)| problem.say(visit.lang));
                form.text("ip").clone_into(&mut card.ip);
            }
            visit.show_problems(&page)
        }
    }
}

/// `POST /devices/{id}/power`
pub(crate) async fn power(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
    form: Fields,
) -> Answer {
    let power = actions::power_of(form.text("power"))?;
    let done = actions::power(&app.inventory, me.by(), id, power).await;
    visit.go_done(&path(id), done.map(|()| Texts::of(visit.lang).said_power(power, 1)))
}

/// `GET /devices/{id}/deploy?image=ID`
pub(crate) async fn confirm_deploy(
    State(app): State<App>,
    visit: Visit,
    Id(id): Id<DeviceId>,
    Asked(query): Asked,
) -> Answer {
    visit.show(&deploy_page(&app, &visit, id, query.given("image")).await?)
}

/// `POST /devices/{id}/deploy`
pub(crate) async fn deploy(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
    form: Fields,
) -> Answer {
    match actions::deploy(&app.inventory, me.by(), id, form.given("image"), None).await {
        Ok(_) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_job.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let page = deploy_page(&app, &visit, id, form.given("image")).await?;
            visit.show_problems(&DeployPage { problems, ..page })
        }
    }
}

/// `GET /devices/{id}/capture`
pub(crate) async fn confirm_capture(State(app): State<App>, visit: Visit, Id(id): Id<DeviceId>) -> Answer {
    visit.show(&capture_page(&app, &visit, id).await?)
}

/// `POST /devices/{id}/capture`
pub(crate) async fn capture(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
    form: Fields,
) -> Answer {
    match actions::capture(&app.inventory, me.by(), id, form.text("image")).await {
        Ok(_) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_job.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let image = form.text("image").to_owned();
            visit.show_problems(&CapturePage { image, problems, ..capture_page(&app, &visit, id).await? })
        }
    }
}

/// `GET /devices/{id}/delete`
pub(crate) async fn confirm_delete(State(app): State<App>, visit: Visit, Id(id): Id<DeviceId>) -> Answer {
    let device = actions::device(&app.inventory, id).await?;
    let t = Texts::of(visit.lang);
    visit.show(&Confirm {
        p: visit.page(Here::Devices),
        title: t.delete_title(device.name.as_str()),
        consequence: t.device_delete_consequence(&device.room.name),
        action: format!("{}/delete", path(id)),
        back: path(id),
    })
}

/// `POST /devices/{id}/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
) -> Answer {
    let device = actions::device(&app.inventory, id).await?;
    app.inventory.delete_device(me.by(), id).await?;
    Ok(visit.go("/devices", Texts::of(visit.lang).said_deleted(device.name.as_str())))
}

async fn page(app: &App, visit: &Visit, id: DeviceId) -> Answer<DevicePage> {
    let device = actions::device(&app.inventory, id).await?;
    let context = Context::load(&app.inventory, visit.lang).await?;
    let names = HashMap::from([(id, device.name.to_string())]);
    let t = Texts::of(visit.lang);
    let hardware = Hardware::read(visit.lang, &device.hardware);
    Ok(DevicePage {
        programs: on_device(app, visit, id).await?,
        has_cable: device.interfaces.iter().any(|card| card.kind == InterfaceKind::Lan),
        power: power_asked(app, visit, &device).await?,
        p: visit.page(Here::Devices),
        approved: device.key.is_some(),
        job: context.open.get(&id).map(|job| context.job(job, &names)),
        failed: context.failed(id).map(|job| context.job(job, &names)),
        rooms: app.inventory.rooms().await?,
        images: choices(&context.images, false),
        name: device.name.to_string(),
        room: device.room.id.to_string(),
        image: device.desired_image.map(|i| i.to_string()).unwrap_or_default(),
        problems: Shown::default(),
        observed: observed(t, &device),
        cards: cards(t, &device),
        hardware_lines: hardware_lines(t, &hardware),
        hardware,
        d: context.row(&device),
    })
}

async fn power_asked(app: &App, visit: &Visit, device: &Device) -> Answer<Option<String>> {
    let now = inventory::clock::now();
    let since = UnixMillis(now.0.saturating_sub(POWER_SHOWN_MILLIS));
    let asks = app.inventory.power_asks(since, Some(device.id)).await?;
    let say = |ask: &PowerAsk| {
        let asked = format::clock(ask.asked_at);
        Texts::of(visit.lang).power(ask.power, ask.state(device.last_seen, now), &asked)
    };
    Ok(asks.first().map(say))
}

async fn deploy_page(app: &App, visit: &Visit, id: DeviceId, image: Option<&str>) -> Answer<DeployPage> {
    let device = actions::device(&app.inventory, id).await?;
    let desired = || device.desired_image.map(|i| i.to_string());
    Ok(DeployPage {
        p: visit.page(Here::Devices),
        id: id.to_string(),
        hardware: Hardware::read(visit.lang, &device.hardware),
        images: choices(&app.inventory.images().await?, true),
        image: image.map(str::to_owned).or_else(desired).unwrap_or_default(),
        problems: Shown::default(),
        name: device.name.to_string(),
        room: device.room.name,
    })
}

async fn capture_page(app: &App, visit: &Visit, id: DeviceId) -> Answer<CapturePage> {
    let device = actions::device(&app.inventory, id).await?;
    let images = app.inventory.images().await?;
    let desired = images.iter().find(|image| Some(image.id) == device.desired_image);
    Ok(CapturePage {
        p: visit.page(Here::Devices),
        id: id.to_string(),
        name: device.name.to_string(),
        image: desired.map(|image| image.name.clone()).unwrap_or_default(),
        images: images.iter().map(|image| (image.id.to_string(), image.name.clone())).collect(),
        problems: Shown::default(),
    })
}

fn observed(t: &Texts, device: &Device) -> Vec<(&'static str, String)> {
    let seen = &device.observed;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let runs = match seen.runs_in.as_deref() {
        Some("boot_environment") => t.runs_boot.to_owned(),
        Some("installed_system") => t.runs_installed.to_owned(),
        other => other.unwrap_or_default().to_owned(),
    };
    // The beginning is enough to compare; the whole is 64 digits.
    let key = device.key.as_ref().and_then(|key| key.as_str().get(..16)).map(|start| format!("{start}…"));
    vec![
        (t.address, text(&seen.address)),
        (t.runs, runs),
        (t.reported_name, text(&seen.hostname)),
        (t.system, text(&seen.os)),
        (t.kernel, text(&seen.kernel)),
        (t.agent, text(&seen.agent_version)),
        (t.written_disk, text(&seen.disk)),
        (t.key, key.unwrap_or_default()),
    ]
}

fn hardware_lines(t: &Texts, hardware: &Hardware) -> Vec<(&'static str, String)> {
    vec![
        (t.model, hardware.model.clone()),
        (t.serial, hardware.serial.clone()),
        (t.system_uuid, hardware.uuid.clone()),
        (t.processor, hardware.processor.clone()),
        (t.memory, hardware.memory.clone()),
        (t.firmware, hardware.firmware.clone()),
    ]
}

fn cards(t: &Texts, device: &Device) -> Vec<CardForm> {
    let card = |card: &inventory::Interface| CardForm {
        mac: card.mac.to_string(),
        kind: match card.kind {
            InterfaceKind::Lan => t.lan,
            InterfaceKind::Wlan => t.wlan,
        },
        ip: card.reserved_ip.map(|ip| ip.to_string()).unwrap_or_default(),
        reserved: card.reserved_ip.is_some(),
        wrong: None,
    };
    device.interfaces.iter().map(card).collect()
}

fn path(id: DeviceId) -> String {
    format!("/devices/{id}")
}

const POWER_SHOWN_MILLIS: i64 = 12 * 3600 * 1000;
