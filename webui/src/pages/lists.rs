//! Lists of names, and filters.

use askama::Template;
use axum::Extension;
use axum::extract::{Path, State};
use inventory::{ALWAYS_DEFAULT, Filter, FilterId, ListAction, ListId, NewList, YouTube};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::{Confirm, Me};
use crate::texts::Texts;

/// The form of a list.
#[derive(Template)]
#[template(path = "list.html")]
pub(crate) struct ListForm {
    pub(crate) p: Page,
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) source: String,
    pub(crate) names: String,
    /// What holds in any case; for the list of what is always reachable.
    pub(crate) built_in: &'static str,
    pub(crate) problem: String,
    pub(crate) problems: Shown,
    /// Whether it is there already.
    pub(crate) known: bool,
}

/// The form of a filter.
#[derive(Template)]
#[template(path = "filter.html")]
pub(crate) struct FilterForm {
    pub(crate) p: Page,
    pub(crate) title: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) safe_search: bool,
    pub(crate) youtube: &'static str,
    pub(crate) choices: Vec<(&'static str, &'static str)>,
    /// Lists: id, name, what the filter does with it.
    pub(crate) lists: Vec<(String, String, &'static str)>,
    pub(crate) problems: Shown,
    pub(crate) known: bool,
}

/// The list that a path means; `new` is one that does not exist yet.
fn list_id(text: &str) -> Answer<(ListId, bool)> {
    match text {
        "new" => Ok((ListId::random(), true)),
        "always" => Ok((ListId::ALWAYS, false)),
        id => Ok((id.parse().map_err(|_| Failure::NoPage)?, false)),
    }
}

/// `GET /lists/{id}`
pub(crate) async fn list(State(app): State<App>, visit: Visit, Path(path): Path<String>) -> Answer {
    let (id, new) = list_id(&path)?;
    let t = Texts::of(visit.lang);
    let known = app.inventory.name_lists().await?.0.into_iter().find(|list| list.id == id);
    if known.is_none() && !new && id != ListId::ALWAYS {
        return Err(Failure::Gone);
    }
    let names = app.inventory.list_names(id).await?.unwrap_or_default();
    let title = if new { t.list_new } else { t.always };
    visit.show(&ListForm {
        p: visit.page(Here::Rules),
        title: known.as_ref().map_or(title, |list| &list.name).to_owned(),
        id: path,
        name: known.as_ref().map_or(if new { "" } else { t.always }, |list| &list.name).to_owned(),
        source: known.as_ref().and_then(|list| list.source.clone()).unwrap_or_default(),
        names,
        built_in: if id == ListId::ALWAYS { ALWAYS_DEFAULT } else { "" },
        problem: known.as_ref().and_then(|list| list.problem.clone()).unwrap_or_default(),
        problems: Shown::default(),
        known: known.is_some() && id != ListId::ALWAYS,
    })
}

/// `POST /lists/{id}`: `name`, `source`, `names`.
pub(crate) async fn save_list(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Path(path): Path<String>,
    form: Fields,
) -> Answer {
    let (id, new) = list_id(&path)?;
    let t = Texts::of(visit.lang);
    let wish = NewList { name: form.text("name"), source: form.given("source"), names: form.text("names") };
    match app.inventory.put_name_list(me.by(), id, &wish).await.map_err(Failure::from) {
        Ok(()) => Ok(visit.go("/rules", t.said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&ListForm {
                p: visit.page(Here::Rules),
                title: if new { t.list_new.to_owned() } else { wish.name.to_owned() },
                id: path,
                name: wish.name.to_owned(),
                source: wish.source.unwrap_or_default().to_owned(),
                names: wish.names.to_owned(),
                built_in: "",
                problem: String::new(),
                problems,
                known: false,
            })
        }
    }
}

/// `GET /lists/{id}/delete`
pub(crate) async fn confirm_delete_list(State(app): State<App>, visit: Visit, Id(id): Id<ListId>) -> Answer {
    let t = Texts::of(visit.lang);
    let list =
        app.inventory.name_lists().await?.0.into_iter().find(|list| list.id == id).ok_or(Failure::Gone)?;
    visit.show(&Confirm {
        p: visit.page(Here::Rules),
        title: t.delete_title(&list.name),
        consequence: t.list_delete_consequence.to_owned(),
        action: format!("/lists/{id}/delete"),
        back: format!("/lists/{id}"),
    })
}

/// `POST /lists/{id}/delete`
pub(crate) async fn delete_list(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<ListId>,
) -> Answer {
    app.inventory.delete_name_list(me.by(), id).await?;
    Ok(visit.go("/rules", Texts::of(visit.lang).said_saved.to_owned()))
}

fn filter_id(text: &str) -> Answer<(FilterId, bool)> {
    match text {
        "new" => Ok((FilterId::random(), true)),
        id => Ok((id.parse().map_err(|_| Failure::NoPage)?, false)),
    }
}

/// `GET /filters/{id}`
pub(crate) async fn filter(State(app): State<App>, visit: Visit, Path(path): Path<String>) -> Answer {
    let (id, new) = filter_id(&path)?;
    let known = app.inventory.filters().await?.0.into_iter().find(|filter| filter.id == id);
    if known.is_none() && !new {
        return Err(Failure::Gone);
    }
    let filter = known.unwrap_or(Filter {
        id,
        name: String::new(),
        safe_search: true,
        youtube: YouTube::Moderate,
        lists: Vec::new(),
    });
    visit.show(&filter_form(&app, &visit, path, &filter, Shown::default(), !new).await?)
}

async fn filter_form(
    app: &App,
    visit: &Visit,
    id: String,
    filter: &Filter,
    problems: Shown,
    known: bool,
) -> Answer<FilterForm> {
    let t = Texts::of(visit.lang);
    let lists = app.inventory.name_lists().await?.0.into_iter().filter(|list| list.id != ListId::ALWAYS);
    let action =
        |id| filter.lists.iter().find(|(list, _)| *list == id).map_or("", |(_, action)| action.text());
    Ok(FilterForm {
        p: visit.page(Here::Rules),
        title: if filter.name.is_empty() { t.filter_new.to_owned() } else { filter.name.clone() },
        id,
        name: filter.name.clone(),
        safe_search: filter.safe_search,
        youtube: filter.youtube.text(),
        choices: YouTube::ALL.iter().map(|way| (way.text(), t.youtube(*way))).collect(),
        lists: lists.map(|list| (list.id.to_string(), list.name, action(list.id))).collect(),
        problems,
        known,
    })
}

/// `POST /filters/{id}`: `name`, `safe_search`, `youtube`, and for each list a field with its id: `allow`, `block` or nothing.
pub(crate) async fn save_filter(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Path(path): Path<String>,
    form: Fields,
) -> Answer {
    let (id, new) = filter_id(&path)?;
    let youtube = YouTube::ALL.into_iter().find(|way| way.text() == form.text("youtube"));
    let uses = app.inventory.name_lists().await?.0.into_iter().filter_map(|list| {
        let said = form.text(&list.id.to_string());
        ListAction::ALL.into_iter().find(|action| action.text() == said).map(|action| (list.id, action))
    });
    let filter = Filter {
        id,
        name: form.text("name").to_owned(),
        safe_search: form.given("safe_search").is_some(),
        youtube: youtube.unwrap_or(YouTube::Free),
        lists: uses.collect(),
    };
    match app.inventory.put_filter(me.by(), &filter).await.map_err(Failure::from) {
        Ok(()) => Ok(visit.go("/rules", Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&filter_form(&app, &visit, path, &filter, problems, !new).await?)
        }
    }
}

/// `POST /filters/{id}/delete`
pub(crate) async fn delete_filter(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<FilterId>,
) -> Answer {
    app.inventory.delete_filter(me.by(), id).await?;
    Ok(visit.go("/rules", Texts::of(visit.lang).said_saved.to_owned()))
}

/// `GET /filters/{id}/delete`
pub(crate) async fn confirm_delete_filter(
    State(app): State<App>,
    visit: Visit,
    Id(id): Id<FilterId>,
) -> Answer {
    let t = Texts::of(visit.lang);
    let filters = app.inventory.filters().await?.0;
    let filter = filters.into_iter().find(|filter| filter.id == id).ok_or(Failure::Gone)?;
    visit.show(&Confirm {
        p: visit.page(Here::Rules),
        title: t.delete_title(&filter.name),
        consequence: t.filter_delete_consequence.to_owned(),
        action: format!("/filters/{id}/delete"),
        back: format!("/filters/{id}"),
    })
}
