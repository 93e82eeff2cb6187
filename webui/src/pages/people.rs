//! The list of people.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::{Find, Group, Person, Role};

use crate::app::{App, SignedIn};
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields};
use crate::guard::percent;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Me, texts_of};
use crate::problem::Problem;
use crate::texts::Texts;
use crate::{people, rights};

#[derive(Template)]
#[template(path = "people.html")]
pub(crate) struct People {
    pub(crate) p: Page,
    pub(crate) q: String,
    /// Role that is shown; empty for all.
    pub(crate) role: String,
    pub(crate) roles: Vec<(&'static str, &'static str)>,
    pub(crate) rows: Vec<PersonRow>,
    pub(crate) total: usize,
    /// The pages before and after this one.
    pub(crate) newer: Option<String>,
    pub(crate) older: Option<String>,
    pub(crate) groups: Vec<Group>,
    /// What was typed into the form that adds somebody.
    pub(crate) tried: Tried,
    pub(crate) problems: Shown,
    pub(crate) unusable: Vec<String>,
}

/// Somebody to be added, as typed.
#[derive(Default)]
pub(crate) struct Tried {
    pub(crate) name: String,
    pub(crate) role: String,
    pub(crate) group: String,
}

/// A person in the list.
pub(crate) struct PersonRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) role: &'static str,
    pub(crate) groups: String,
    /// Whether they have yet to choose an own password.
    pub(crate) temporary: bool,
}

/// A password that was made up, to be read once.
#[derive(Template)]
#[template(path = "password_shown.html")]
pub(crate) struct PasswordShown {
    pub(crate) p: Page,
    pub(crate) name: String,
    pub(crate) password: String,
    /// Where to go on, and what it is called.
    pub(crate) back: (String, String),
}

/// `GET /people?q=TEXT&role=ROLE&page=N`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Asked(query): Asked) -> Answer {
    visit.show(&page(&app, &visit, &query).await?)
}

/// `POST /people`: name, role and class; the password is made up and shown.
pub(crate) async fn add(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    match try_to_add(&app, &me, &form).await {
        Ok(password) => {
            let name = form.text("name").to_lowercase();
            let back = ("/people".to_owned(), Texts::of(visit.lang).people.to_owned());
            visit.show(&PasswordShown { p: visit.page(Here::People), name, password, back })
        }
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let tried = Tried {
                name: form.text("name").chars().take(60).collect(),
                role: form.text("role").to_owned(),
                group: form.text("group").to_owned(),
            };
            visit.show_problems(&People { tried, problems, ..page(&app, &visit, &Fields::default()).await? })
        }
    }
}

async fn try_to_add(app: &App, me: &SignedIn, form: &Fields) -> Answer<String> {
    let role = role(form.text("role"))?;
    let group = match form.given("group") {
        Some(text) => Some(text.parse().map_err(|_| Failure::Gone)?),
        None => None,
    };
    let added = people::add(app, me, form.text("name"), role, None).await?;
    if let Some(group) = group {
        app.inventory.add_to_group(me.by(), group, &[added.id], &[]).await?;
    }
    Ok(added.password.unwrap_or_default())
}

/// A role, as a form says it.
pub(crate) fn role(text: &str) -> Answer<Role> {
    let chosen = || Problem::NoChoice(text.chars().take(40).collect());
    text.parse().map_err(|_| Failure::field("role", chosen()))
}

/// Roles to choose from.
pub(crate) fn roles(t: &Texts, wanted: impl Fn(Role) -> bool) -> Vec<(&'static str, &'static str)> {
    Role::ALL.into_iter().filter(|role| wanted(*role)).map(|role| (role.text(), t.role(role))).collect()
}

async fn page(app: &App, visit: &Visit, query: &Fields) -> Answer<People> {
    let t = Texts::of(visit.lang);
    let q: String = query.text("q").chars().take(100).collect();
    let role: Option<Role> = query.text("role").parse().ok();
    let number = query.text("page").parse::<u32>().unwrap_or(0).min(PAGES_MAX);
    let find = Find { text: &q, role, group: None, offset: number * ROWS, limit: ROWS };
    let found = app.inventory.find_people(find).await?;
    let role = role.map_or("", Role::text);
    let at = |number: u32| format!("/people?q={}&role={role}&page={number}", percent(&q).replace('/', "%2F"));
    let shown = (number as usize + 1) * ROWS as usize;
    Ok(People {
        p: visit.page(Here::People),
        rows: found.people.into_iter().map(|person| row(t, person)).collect(),
        total: found.total,
        newer: number.checked_sub(1).map(at),
        older: (shown < found.total).then(|| at(number + 1)),
        role: role.to_owned(),
        roles: roles(t, |_| true),
        groups: app.inventory.groups().await?,
        tried: Tried { role: Role::Pupil.text().to_owned(), ..Tried::default() },
        problems: Shown::default(),
        unusable: texts_of(&found.problems),
        q,
    })
}

fn row(t: &Texts, Person { user, groups }: Person) -> PersonRow {
    PersonRow {
        id: user.id.to_string(),
        name: user.name,
        role: t.role(user.role),
        groups,
        temporary: user.password_temporary,
    }
}

impl People {
    /// Roles that somebody can be added with.
    pub(crate) fn common_roles(&self) -> Vec<(&'static str, &'static str)> {
        roles(self.p.t, rights::is_common)
    }
}

const ROWS: u32 = 100;
const PAGES_MAX: u32 = 10_000;
