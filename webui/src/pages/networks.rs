//! Networks and their address pools.

use askama::Template;
use axum::extract::State;
use inventory::gate::Place;
use inventory::{DhcpMode, Network, NetworkId};

use crate::actions::{self, MINUTE_SECS, NetworkWish};
use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Fields, Id};
use crate::format;
use crate::lang::Lang;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::places::{PlaceForm, place};
use crate::pages::{Confirm, Me, texts_of};
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "networks.html")]
pub(crate) struct Networks {
    pub(crate) p: Page,
    pub(crate) networks: Vec<NetworkRow>,
    /// Rows that cannot be used.
    pub(crate) unusable: Vec<String>,
}

/// A network in the list.
pub(crate) struct NetworkRow {
    pub(crate) id: String,
    pub(crate) wish: NetworkWish,
    pub(crate) lease: String,
    pub(crate) mode: &'static str,
}

/// The form of one network.
#[derive(Template)]
#[template(path = "network.html")]
pub(crate) struct NetworkForm {
    pub(crate) p: Page,
    pub(crate) title: String,
    pub(crate) action: String,
    pub(crate) fields: Vec<FormField>,
    pub(crate) modes: [(&'static str, &'static str); 3],
    pub(crate) wish: NetworkWish,
    pub(crate) problems: Shown,
    /// Where it can be deleted; not for a new one.
    pub(crate) delete: Option<String>,
    /// What the gate does there; not for a new one.
    pub(crate) gate: Option<GateForm>,
}

/// What holds in the network where nothing else is said.
pub(crate) struct GateForm {
    pub(crate) action: String,
    pub(crate) place: PlaceForm,
    pub(crate) nat: bool,
}

/// A text field.
pub(crate) struct FormField {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) value: String,
    pub(crate) example: &'static str,
}

/// `GET /networks`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    let (networks, bad) = app.inventory.networks().await?;
    let t = Texts::of(visit.lang);
    let row = |network: &Network| NetworkRow {
        id: network.id.to_string(),
        wish: NetworkWish::of(network),
        lease: format::duration(visit.lang, i64::from(network.lease_secs) * 1000),
        mode: match network.mode {
            DhcpMode::Server => t.mode_server_short,
            DhcpMode::Proxy => t.mode_proxy_short,
            DhcpMode::Off => t.mode_off_short,
        },
    };
    visit.show(&Networks {
        p: visit.page(Here::Networks),
        networks: networks.iter().map(row).collect(),
        unusable: texts_of(&bad),
    })
}

/// `GET /networks/new`
pub(crate) async fn fresh(visit: Visit) -> Answer {
    let wish = NetworkWish {
        lease: DEFAULT_LEASE_MINUTES.into(),
        lease_unit_secs: MINUTE_SECS,
        mode: actions::mode_text(DhcpMode::Server).into(),
        ..NetworkWish::default()
    };
    visit.show(&form_page(&visit, None, wish, Shown::default()))
}

/// `POST /networks/new`
pub(crate) async fn create(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let wish = read(&form);
    match actions::put_network(&app.inventory, me.by(), NetworkId::random(), &wish).await {
        Ok(network) => Ok(visit.go("/networks", Texts::of(visit.lang).said_created(&network.name))),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&form_page(&visit, None, wish, problems))
        }
    }
}

/// `GET /networks/{id}`
pub(crate) async fn edit(State(app): State<App>, visit: Visit, Id(id): Id<NetworkId>) -> Answer {
    let network = network(&app, id).await?;
    let page = form_page(&visit, Some((id, &network.name)), NetworkWish::of(&network), Shown::default());
    let (guarded, _) = app.inventory.gated_networks().await?;
    let gate = guarded.iter().find(|guarded| guarded.id == id);
    let place =
        gate.map(|gate| Place { setting: Some(gate.setting), filter: gate.filter }).unwrap_or_default();
    let form = GateForm {
        action: format!("/networks/{id}/gate"),
        place: PlaceForm::load(&app, page.p.t, page.p.t.not_guarded, place).await?,
        nat: gate.is_some_and(|gate| gate.nat),
    };
    visit.show(&NetworkForm { gate: Some(form), ..page })
}

/// `POST /networks/{id}/gate`
pub(crate) async fn guard(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<NetworkId>,
    form: Fields,
) -> Answer {
    let Place { setting, filter } = match place(&form) {
        Ok(place) => place,
        Err(failure) => return visit.go_refused(&format!("/networks/{id}"), failure),
    };
    app.inventory.set_network_gate(me.by(), id, setting, filter, form.given("nat").is_some()).await?;
    Ok(visit.go("/networks", Texts::of(visit.lang).said_saved.to_owned()))
}

/// `POST /networks/{id}`
pub(crate) async fn save(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<NetworkId>,
    form: Fields,
) -> Answer {
    // Without this, saving a network that somebody deleted meanwhile would bring it back.
    let before = network(&app, id).await?;
    let wish = read(&form);
    match actions::put_network(&app.inventory, me.by(), id, &wish).await {
        Ok(_) => Ok(visit.go("/networks", Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&form_page(&visit, Some((id, &before.name)), wish, problems))
        }
    }
}

/// `GET /networks/{id}/delete`
pub(crate) async fn confirm_delete(State(app): State<App>, visit: Visit, Id(id): Id<NetworkId>) -> Answer {
    let network = network(&app, id).await?;
    let t = Texts::of(visit.lang);
    visit.show(&Confirm {
        p: visit.page(Here::Networks),
        title: t.delete_title(&network.name),
        consequence: t.network_delete_consequence.to_owned(),
        action: format!("/networks/{id}/delete"),
        back: format!("/networks/{id}"),
    })
}

/// `POST /networks/{id}/delete`
pub(crate) async fn delete(
    State(app): State<App>,
    axum::Extension(me): Me,
    visit: Visit,
    Id(id): Id<NetworkId>,
) -> Answer {
    let network = network(&app, id).await?;
    app.inventory.delete_network(me.by(), id).await?;
    Ok(visit.go("/networks", Texts::of(visit.lang).said_deleted(&network.name)))
}

async fn network(app: &App, id: NetworkId) -> Answer<Network> {
    let (networks, _) = app.inventory.networks().await?;
    networks.into_iter().find(|network| network.id == id).ok_or(Failure::Gone)
}

fn read(form: &Fields) -> NetworkWish {
    let text = |field| form.text(field).to_owned();
    NetworkWish {
        name: text("name"),
        cidr: text("cidr"),
        router: text("router"),
        pool_first: text("pool_first"),
        pool_last: text("pool_last"),
        lease: text("lease"),
        lease_unit_secs: MINUTE_SECS,
        mode: text("mode"),
    }
}

fn form_page(
    visit: &Visit,
    known: Option<(NetworkId, &str)>,
    wish: NetworkWish,
    problems: Shown,
) -> NetworkForm {
    let t = Texts::of(visit.lang);
    let field =
        |name, label, value: &str, example| FormField { name, label, value: value.to_owned(), example };
    let name_example = match visit.lang {
        Lang::De => "Unterricht",
        Lang::En => "Classrooms",
    };
    NetworkForm {
        p: visit.page(Here::Networks),
        title: known.map_or(t.add_network, |(_, name)| name).to_owned(),
        action: known.map_or_else(|| "/networks/new".to_owned(), |(id, _)| format!("/networks/{id}")),
        delete: known.map(|(id, _)| format!("/networks/{id}/delete")),
        fields: vec![
            field("name", t.name, &wish.name, name_example),
            field("cidr", t.network, &wish.cidr, "10.77.0.0/22"),
            field("router", t.router, &wish.router, "10.77.0.1"),
            field("pool_first", t.pool_first, &wish.pool_first, "10.77.1.0"),
            field("pool_last", t.pool_last, &wish.pool_last, "10.77.3.200"),
            field("lease", t.lease_minutes, &wish.lease, "720"),
        ],
        modes: [DhcpMode::Server, DhcpMode::Proxy, DhcpMode::Off]
            .map(|mode| (actions::mode_text(mode), mode_name(t, mode))),
        wish,
        problems,
        gate: None,
    }
}

fn mode_name(t: &Texts, mode: DhcpMode) -> &'static str {
    match mode {
        DhcpMode::Server => t.mode_server,
        DhcpMode::Proxy => t.mode_proxy,
        DhcpMode::Off => t.mode_off,
    }
}

const DEFAULT_LEASE_MINUTES: &str = "720";
