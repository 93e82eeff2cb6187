//! One person.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::{Group, User, UserId};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::people::{PasswordShown, role, roles};
use crate::pages::{Confirm, Me};
use crate::people;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "person.html")]
pub(crate) struct PersonPage {
    pub(crate) p: Page,
    pub(crate) id: String,
    pub(crate) user: User,
    pub(crate) role_name: &'static str,
    /// What was typed for the name.
    pub(crate) name: String,
    pub(crate) problems: Shown,
    pub(crate) groups: Vec<Group>,
    /// Groups to join.
    pub(crate) others: Vec<Group>,
    /// Roles that the reader may give this person; none if they may not.
    pub(crate) roles: Vec<(&'static str, &'static str)>,
    /// Whether the reader may change this person at all.
    pub(crate) managed: bool,
    /// Whether it is the reader.
    pub(crate) oneself: bool,
}

/// `GET /people/{id}`
pub(crate) async fn show(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
) -> Answer {
    visit.show(&page(&app, &me, &visit, id).await?)
}

/// `POST /people/{id}`: another name.
pub(crate) async fn rename(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
    form: Fields,
) -> Answer {
    let name = form.text("name");
    match people::rename(&app, &me, id, name).await {
        Ok(()) => Ok(visit.go(&path(id), Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let name = name.chars().take(60).collect();
            visit.show_problems(&PersonPage { problems, name, ..page(&app, &me, &visit, id).await? })
        }
    }
}

/// `POST /people/{id}/role`
pub(crate) async fn set_role(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
    form: Fields,
) -> Answer {
    let done = async { people::set_role(&app, &me, id, role(form.text("role"))?).await };
    said(&visit, &path(id), done.await, |t| t.said_saved.to_owned())
}

/// `POST /people/{id}/password`
pub(crate) async fn reset(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
) -> Answer {
    match people::reset(&app, &me, id).await {
        Ok((user, password)) => {
            let back = (path(id), user.name.clone());
            visit.show(&PasswordShown { p: visit.page(Here::People), name: user.name, password, back })
        }
        Err(failure) => visit.go_refused(&path(id), failure),
    }
}

/// `POST /people/{id}/second-factor`: takes it away.
pub(crate) async fn clear_second_factor(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
) -> Answer {
    let done = people::clear_second_factor(&app, &me, id).await;
    said(&visit, &path(id), done, |t| t.said_factor_cleared.to_owned())
}

/// `POST /people/{id}/groups`: `join` or `leave` with a group's id.
pub(crate) async fn join(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
    form: Fields,
) -> Answer {
    people::person(&app, id).await?;
    let group = |name| form.given(name).map(str::parse).transpose().map_err(|_| Failure::Gone);
    if let Some(group) = group("join")? {
        app.inventory.add_to_group(me.by(), group, &[id], &[]).await?;
    }
    if let Some(group) = group("leave")? {
        app.inventory.remove_from_group(me.by(), group, &[id], &[]).await?;
    }
    Ok(visit.go(&path(id), Texts::of(visit.lang).said_saved.to_owned()))
}

/// `GET /people/{id}/delete`
pub(crate) async fn confirm_delete(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
) -> Answer {
    let user = people::managed(&app, &me, id).await?;
    let t = Texts::of(visit.lang);
    visit.show(&Confirm {
        p: visit.page(Here::People),
        title: t.delete_title(&user.name),
        consequence: t.person_delete_consequence.to_owned(),
        action: format!("{}/delete", path(id)),
        back: path(id),
    })
}

/// `POST /people/{id}/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<UserId>,
) -> Answer {
    match people::remove(&app, &me, id).await {
        Ok(user) => Ok(visit.go("/people", Texts::of(visit.lang).said_deleted(&user.name))),
        Err(failure) => visit.go_refused(&path(id), failure),
    }
}

fn said(visit: &Visit, path: &str, done: Answer<()>, text: impl Fn(&Texts) -> String) -> Answer {
    visit.go_done(path, done.map(|()| text(Texts::of(visit.lang))))
}

async fn page(app: &App, me: &SignedIn, visit: &Visit, id: UserId) -> Answer<PersonPage> {
    let t = Texts::of(visit.lang);
    let user = people::person(app, id).await?;
    let groups = app.inventory.groups_of(id).await?;
    let others = app.inventory.groups().await?.into_iter().filter(|group| !groups.contains(group)).collect();
    let (managed, oneself) = (me.manages(user.role), me.user.id == id);
    Ok(PersonPage {
        p: visit.page(Here::People),
        id: id.to_string(),
        role_name: t.role(user.role),
        name: user.name.clone(),
        problems: Shown::default(),
        roles: if managed && !oneself { roles(t, |role| me.manages(role)) } else { Vec::new() },
        groups,
        others,
        managed,
        oneself,
        user,
    })
}

fn path(id: UserId) -> String {
    format!("/people/{id}")
}
