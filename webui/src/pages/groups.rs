//! Classes and other groups.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::gate::Target;
use inventory::{DeviceId, Find, Group, GroupId, UserId};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::lessons;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::places::{self, PlaceForm};
use crate::pages::{Confirm, Me};
use crate::people;
use crate::problem::Problem;
use crate::rights::{self, Right};
use crate::texts::Texts;

/// All of them.
#[derive(Template)]
#[template(path = "groups.html")]
pub(crate) struct Groups {
    pub(crate) p: Page,
    pub(crate) rows: Vec<(Group, i64, i64)>,
    /// Name that was refused.
    pub(crate) tried: String,
    pub(crate) problems: Shown,
}

/// One of them.
#[derive(Template)]
#[template(path = "group.html")]
pub(crate) struct GroupPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) name: String,
    /// Id, name and role.
    pub(crate) people: Vec<(String, String, &'static str)>,
    /// Id and host name.
    pub(crate) devices: Vec<(String, String)>,
    /// Names that were refused.
    pub(crate) tried: (String, String),
    pub(crate) problems: Shown,
    /// What holds at ordinary times; for those who may change it.
    pub(crate) gate: Option<PlaceForm>,
}

/// `GET /groups`
pub(crate) async fn list(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&list_page(&app, &visit).await?)
}

/// `POST /groups`
pub(crate) async fn create(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let name = form.text("name");
    match app.inventory.create_group(me.by(), name).await {
        Ok(group) => Ok(visit.go(&path(group.id), Texts::of(visit.lang).said_created(&group.name))),
        Err(error) => {
            let problems = Shown::of(visit.lang, &Failure::from(error).problems()?);
            let tried = name.chars().take(60).collect();
            visit.show_problems(&Groups { tried, problems, ..list_page(&app, &visit).await? })
        }
    }
}

/// `GET /groups/{id}`
pub(crate) async fn show(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
) -> Answer {
    visit.show(&page(&app, &me, &visit, id).await?)
}

/// `POST /groups/{id}`: another name.
pub(crate) async fn rename(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
    form: Fields,
) -> Answer {
    let done = app.inventory.rename_group(me.by(), id, form.text("name")).await;
    let said = |()| Texts::of(visit.lang).said_saved.to_owned();
    visit.go_done(&path(id), done.map(said).map_err(Failure::from))
}

/// `POST /groups/{id}/members`: `people` and `devices` are names to add; `remove_person` and `remove_device` are ids.
pub(crate) async fn change_members(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
    form: Fields,
) -> Answer {
    match change(&app, &me, id, &form).await {
        Ok(()) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let typed = |name| form.text(name).chars().take(TYPED_CHARS_MAX).collect();
            let tried = (typed("people"), typed("devices"));
            visit.show_problems(&GroupPage { problems, tried, ..page(&app, &me, &visit, id).await? })
        }
    }
}

async fn change(app: &App, me: &SignedIn, id: GroupId, form: &Fields) -> Answer<()> {
    app.inventory.group_gate(id).await?;
    let people = people::named(app, form.text("people")).await?;
    let devices = devices_named(app, form.text("devices")).await?;
    if !people.is_empty() || !devices.is_empty() {
        app.inventory.add_to_group(me.by(), id, &people, &devices).await?;
    }
    let person =
        form.given("remove_person").map(str::parse::<UserId>).transpose().map_err(|_| Failure::Gone)?;
    let device =
        form.given("remove_device").map(str::parse::<DeviceId>).transpose().map_err(|_| Failure::Gone)?;
    if person.is_some() || device.is_some() {
        app.inventory.remove_from_group(me.by(), id, person.as_slice(), device.as_slice()).await?;
    }
    Ok(())
}

async fn devices_named(app: &App, text: &str) -> Answer<Vec<DeviceId>> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let (devices, _) = app.inventory.devices().await?;
    let find = |name: &str| {
        let found = devices.iter().find(|device| device.name.as_str() == name.to_lowercase());
        let unknown = || Problem::NoDevice(name.chars().take(60).collect());
        found.map(|device| device.id).ok_or_else(|| Failure::field("devices", unknown()))
    };
    people::names(text).map(find).collect()
}

/// `POST /groups/{id}/gate`
pub(crate) async fn set_gate(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
    form: Fields,
) -> Answer {
    match places::place(&form) {
        Ok(place) => {
            app.inventory.set_group_gate(me.by(), id, place).await?;
            Ok(visit.go(&path(id), Texts::of(visit.lang).said_saved.to_owned()))
        }
        Err(failure) => visit.go_refused(&path(id), failure),
    }
}

/// `GET /groups/{id}/delete`
pub(crate) async fn confirm_delete(State(app): State<App>, visit: Visit, Id(id): Id<GroupId>) -> Answer {
    let t = Texts::of(visit.lang);
    visit.show(&Confirm {
        p: visit.page(Here::People),
        title: t.delete_title(&name(&app, id).await?),
        consequence: t.group_delete_consequence.to_owned(),
        action: format!("{}/delete", path(id)),
        back: path(id),
    })
}

/// `POST /groups/{id}/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<GroupId>,
) -> Answer {
    let name = name(&app, id).await?;
    app.inventory.delete_group(me.by(), id).await?;
    Ok(visit.go("/groups", Texts::of(visit.lang).said_deleted(&name)))
}

async fn list_page(app: &App, visit: &Visit) -> Answer<Groups> {
    Ok(Groups {
        p: visit.page(Here::People),
        rows: app.inventory.group_sizes().await?,
        tried: String::new(),
        problems: Shown::default(),
    })
}

async fn page(app: &App, me: &SignedIn, visit: &Visit, id: GroupId) -> Answer<GroupPage> {
    let t = Texts::of(visit.lang);
    let place = app.inventory.group_gate(id).await?;
    let find = Find { group: Some(id), limit: people::CLASS_MAX, ..Find::default() };
    let found = app.inventory.find_people(find).await?;
    let gate = match rights::has(me.user.role, Right::School) {
        true => Some(PlaceForm::load(app, t, t.group_says_nothing, place).await?),
        false => None,
    };
    Ok(GroupPage {
        p: visit.page(Here::People),
        id: id.to_string(),
        name: name(app, id).await?,
        people: (found.people.into_iter().map(|p| p.user))
            .map(|user| (user.id.to_string(), user.name, t.role(user.role)))
            .collect(),
        devices: (app.inventory.devices_of_group(id).await?.into_iter())
            .map(|(id, name)| (id.to_string(), name))
            .collect(),
        tried: Default::default(),
        problems: Shown::default(),
        gate,
    })
}

/// What the group is called, or [`Failure::Gone`].
pub(crate) async fn name(app: &App, id: GroupId) -> Answer<String> {
    lessons::name(app, Target::Group(id)).await
}

fn path(id: GroupId) -> String {
    format!("/groups/{id}")
}

const TYPED_CHARS_MAX: usize = 2000;
