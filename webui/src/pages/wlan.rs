//! The WLAN: rules, access points, guests, and one's own devices.

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use httpd::Peer;
use inventory::wlan::{
    Addresses, Hours, NewAccessPoint, NewVoucher, Rule, Settings, Station, Then, Vlan, Who, server_name,
};
use inventory::{AccessPointId, DeviceId, MacAddr, Role, RoomId, UnixMillis, VoucherId, clock};

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::{Asked, Fields, Id};
use crate::format;
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::tokens::end_of_day;
use crate::pages::{Choice, Me};
use crate::problem::Problem;
use crate::texts::Texts;
use crate::texts::wlan::WlanTexts;
use crate::views::{Badge, When};
use crate::wlan::access_point::{ACCOUNTING_PORT, AUTH_PORT, Values};
use crate::wlan::profile::{Joining, OUTSIDE};
use crate::wlan::{foresee, forget_own, person_or_device, who};

#[derive(Template)]
#[template(path = "wlan.html")]
pub(crate) struct WlanPage {
    pub(crate) p: Page,
    pub(crate) f: &'static WlanTexts,
    /// What the daemon complains of.
    pub(crate) notices: Vec<(String, String)>,
    /// Whether no access point ever asked.
    pub(crate) silent: bool,
    pub(crate) version: i64,
    pub(crate) ssid: String,
    pub(crate) peap: bool,
    pub(crate) rules: Vec<RuleRow>,
    /// Whom a rule may be about: value and name.
    pub(crate) whom: Vec<(String, String)>,
    pub(crate) problems: Shown,
    /// Who was asked about, and what would happen.
    pub(crate) asked: String,
    pub(crate) foreseen: Option<String>,
    pub(crate) stations: Vec<StationRow>,
    pub(crate) refusals: Vec<RefusalRow>,
}

/// A rule in the list.
pub(crate) struct RuleRow {
    pub(crate) index: usize,
    pub(crate) number: usize,
    pub(crate) whom: String,
    pub(crate) then: String,
    pub(crate) limits: String,
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// Something that joined.
pub(crate) struct StationRow {
    pub(crate) mac: String,
    pub(crate) name: String,
    pub(crate) place: String,
    pub(crate) method: String,
    pub(crate) state: Badge,
    pub(crate) last: When,
}

/// Somebody who was turned away.
pub(crate) struct RefusalRow {
    pub(crate) when: When,
    pub(crate) name: String,
    pub(crate) mac: String,
    pub(crate) place: String,
    pub(crate) why: String,
}

/// `GET /wlan?name=NAME`
pub(crate) async fn show(State(app): State<App>, visit: Visit, Asked(query): Asked) -> Answer {
    let name = query.text("name").to_owned();
    let page = page(&app, &visit).await?;
    if name.is_empty() {
        return visit.show(&page);
    }
    let (settings, _) = app.inventory.wlan().await?;
    match foresee(&app, &settings, &name).await {
        Ok(seen) => {
            let f = WlanTexts::of(visit.lang);
            let by = seen.outcome.rule.map(|rule| format!(" ({})", f.by_rule(rule + 1))).unwrap_or_default();
            let said =
                format!("{} ({}) {}{by}", seen.name, f.kind(seen.kind), f.verdict(seen.outcome.verdict));
            visit.show(&WlanPage { asked: name, foreseen: Some(said), ..page })
        }
        Err(failure) => {
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&WlanPage { asked: name, problems, ..page })
        }
    }
}

/// `POST /wlan`: `version`, `ssid`, `peap`.
pub(crate) async fn save(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let changed = change(&app, &me, &form, async |settings| {
        settings.ssid = form.text("ssid").to_owned();
        settings.peap = form.given("peap").is_some();
        Ok(())
    });
    visit.go_done("/wlan", changed.await.map(|()| Texts::of(visit.lang).said_saved.to_owned()))
}

/// `POST /wlan/rules`: `version`, `who`, `name`, `refuse`, `vlan`, `from`, `until`, `devices_max`, `ends`.
pub(crate) async fn add_rule(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let changed = change(&app, &me, &form, async |settings| {
        settings.rules.insert(0, rule(&app, &form).await?);
        Ok(())
    });
    visit.go_done("/wlan", changed.await.map(|()| Texts::of(visit.lang).said_saved.to_owned()))
}

/// `POST /wlan/rules/change`: `version`, `index`, and `do`: `up`, `down` or `remove`.
pub(crate) async fn change_rule(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let changed = change(&app, &me, &form, async |settings| {
        let index = number::<usize>(&form, "index")?.filter(|index| *index < settings.rules.len());
        let index = index.ok_or(Failure::Gone)?;
        match form.text("do") {
            "up" if index > 0 => settings.rules.swap(index, index - 1),
            "down" if index + 1 < settings.rules.len() => settings.rules.swap(index, index + 1),
            "remove" => drop(settings.rules.remove(index)),
            other => return Err(Failure::field("do", Problem::NoChoice(other.to_owned()))),
        }
        Ok(())
    });
    visit.go_done("/wlan", changed.await.map(|()| Texts::of(visit.lang).said_saved.to_owned()))
}

/// `POST /wlan/stations/forget`: `mac`.
pub(crate) async fn forget(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let done = async {
        app.inventory.forget_station(me.by(), mac(&form)?).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done("/wlan", done.await)
}

#[derive(Template)]
#[template(path = "wlan_access_points.html")]
pub(crate) struct AccessPointsPage {
    pub(crate) p: Page,
    pub(crate) f: &'static WlanTexts,
    pub(crate) problems: Shown,
    pub(crate) rows: Vec<AccessPointRow>,
    pub(crate) rooms: Vec<Choice>,
    /// What was typed.
    pub(crate) name: String,
    pub(crate) range: String,
}

/// An access point in the list.
pub(crate) struct AccessPointRow {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) range: String,
    pub(crate) rooms: Vec<Choice>,
    pub(crate) last_seen: Option<When>,
}

/// What is entered into an access point.
#[derive(Template)]
#[template(path = "wlan_access_point.html")]
pub(crate) struct ValuesPage {
    pub(crate) p: Page,
    pub(crate) f: &'static WlanTexts,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) values: Vec<(&'static str, String)>,
    pub(crate) hostapd: String,
    pub(crate) openwrt: String,
}

/// `GET /wlan/access-points`
pub(crate) async fn access_points(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&access_points_page(&app, &visit).await?)
}

/// `POST /wlan/access-points`: `name`, `range`, `room`.
pub(crate) async fn add_access_point(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let added = async {
        let new = access_point(&form)?;
        app.inventory.add_access_point(me.by(), &app.vault, new).await?;
        Ok(())
    };
    match added.await {
        Ok(()) => Ok(visit.go("/wlan/access-points", Texts::of(visit.lang).said_saved.to_owned())),
        Err(failure) => {
            let failure: Failure = failure;
            let problems = Shown::of(visit.lang, &failure.problems()?);
            let typed = |name: &str| form.text(name).chars().take(TYPED_CHARS_MAX).collect();
            let (name, range) = (typed("name"), typed("range"));
            let page = access_points_page(&app, &visit).await?;
            visit.show_problems(&AccessPointsPage { problems, name, range, ..page })
        }
    }
}

/// `POST /wlan/access-points/{id}`: `name`, `range`, `room`.
pub(crate) async fn change_access_point(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<AccessPointId>,
    form: Fields,
) -> Answer {
    let done = async {
        app.inventory.set_access_point(me.by(), id, access_point(&form)?).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done("/wlan/access-points", done.await)
}

/// `POST /wlan/access-points/{id}/delete`
pub(crate) async fn delete_access_point(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<AccessPointId>,
) -> Answer {
    let done = app.inventory.delete_access_point(me.by(), id).await;
    visit.go_done(
        "/wlan/access-points",
        done.map(|()| Texts::of(visit.lang).said_saved.to_owned()).map_err(Into::into),
    )
}

/// `POST /wlan/access-points/{id}/secret`: shows what is entered there; with `renew`, after another secret was made.
pub(crate) async fn secret(
    State(app): State<App>,
    Extension(me): Me,
    Extension(peer): Extension<Peer>,
    visit: Visit,
    Id(id): Id<AccessPointId>,
    form: Fields,
) -> Answer {
    if form.given("renew").is_some() {
        app.inventory.renew_access_point_secret(me.by(), &app.vault, id).await?;
    }
    let secret = app.inventory.access_point_secret(&app.vault, id).await?;
    let all = app.inventory.access_points().await?;
    let name = all.into_iter().find(|one| one.id == id).ok_or(Failure::Gone)?.name;
    let (settings, _) = app.inventory.wlan().await?;
    // Whoever looks at the page on the server itself reaches it by an address that no access point can.
    let reached = peer.local.ip().to_canonical();
    let other = || httpd::local_addresses().into_iter().find(|address| !address.is_loopback());
    let server = if reached.is_loopback() { other().unwrap_or(reached) } else { reached };
    let values = Values { ssid: &settings.ssid, name: &name, server, secret: &secret };
    let f = WlanTexts::of(visit.lang);
    visit.show(&ValuesPage {
        p: visit.page(Here::Wlan),
        f,
        id: id.to_string(),
        hostapd: values.hostapd(),
        openwrt: values.openwrt(),
        values: vec![
            (f.ssid, settings.ssid.clone()),
            (f.security, "WPA2/WPA3 Enterprise (802.1X)".to_owned()),
            (f.server, server.to_string()),
            (f.auth_port, AUTH_PORT.to_string()),
            (f.accounting_port, ACCOUNTING_PORT.to_string()),
            (f.secret, secret.clone()),
            (f.dynamic_vlan, f.on.to_owned()),
        ],
        name,
    })
}

#[derive(Template)]
#[template(path = "wlan_vouchers.html")]
pub(crate) struct VouchersPage {
    pub(crate) p: Page,
    pub(crate) f: &'static WlanTexts,
    pub(crate) problems: Shown,
    pub(crate) ssid: String,
    /// A code that was just made, and whom for.
    pub(crate) code: Option<(String, String)>,
    pub(crate) rows: Vec<VoucherRow>,
}

/// A voucher in the list.
pub(crate) struct VoucherRow {
    pub(crate) id: String,
    pub(crate) note: String,
    pub(crate) devices: u8,
    pub(crate) ends: String,
    pub(crate) over: bool,
    pub(crate) by: String,
}

/// `GET /wlan/vouchers`
pub(crate) async fn vouchers(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&vouchers_page(&app, &visit).await?)
}

/// `POST /wlan/vouchers`: `note`, `devices`, `last_day`.
pub(crate) async fn make_voucher(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let made = async {
        let devices_max = number(&form, "devices")?.unwrap_or(1);
        let ends_at = end_of_day(form.text("last_day"));
        let ends_at = ends_at.ok_or_else(|| Failure::field("last_day", Problem::Missing))?;
        let note = form.text("note");
        let (_, code) =
            app.inventory.make_voucher(me.by(), NewVoucher { note, devices_max, ends_at }).await?;
        Ok((note.to_owned(), code))
    };
    match made.await {
        Ok(shown) => visit.show(&VouchersPage { code: Some(shown), ..vouchers_page(&app, &visit).await? }),
        Err(failure) => {
            let failure: Failure = failure;
            let problems = Shown::of(visit.lang, &failure.problems()?);
            visit.show_problems(&VouchersPage { problems, ..vouchers_page(&app, &visit).await? })
        }
    }
}

/// `POST /wlan/vouchers/{id}/end`
pub(crate) async fn end_voucher(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<VoucherId>,
) -> Answer {
    let done = app.inventory.end_voucher(me.by(), id).await;
    visit.go_done(
        "/wlan/vouchers",
        done.map(|()| Texts::of(visit.lang).said_saved.to_owned()).map_err(Into::into),
    )
}

#[derive(Template)]
#[template(path = "wlan_own.html")]
pub(crate) struct OwnPage {
    pub(crate) p: Page,
    pub(crate) f: &'static WlanTexts,
    pub(crate) values: Vec<(&'static str, String)>,
    pub(crate) stations: Vec<StationRow>,
    /// Whether the school allows a password that is for the WLAN alone.
    pub(crate) peap: bool,
    pub(crate) has_password: bool,
    /// One that was just made.
    pub(crate) password: Option<String>,
}

/// `GET /my/wlan`
pub(crate) async fn own(State(app): State<App>, Extension(me): Me, visit: Visit) -> Answer {
    visit.show(&own_page(&app, &me, &visit).await?)
}

/// `GET /my/wlan/apple`
pub(crate) async fn apple(State(app): State<App>, Extension(me): Me) -> Answer {
    let (settings, server) = (app.inventory.wlan().await?.0, server_name(&app.school.zone));
    let profile = joining(&app, &settings, &server, &me.user.name).apple().ok_or(Failure::Internal)?;
    Ok(file("application/x-apple-aspen-config", "wlan.mobileconfig", profile))
}

/// `GET /my/wlan/windows`
pub(crate) async fn windows(State(app): State<App>, Extension(me): Me) -> Answer {
    let (settings, server) = (app.inventory.wlan().await?.0, server_name(&app.school.zone));
    let profile = joining(&app, &settings, &server, &me.user.name).windows().ok_or(Failure::Internal)?;
    Ok(file("application/xml", "wlan.xml", profile.into_bytes()))
}

/// `POST /my/wlan/password`: makes one, or with `remove` takes it away.
pub(crate) async fn own_password(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    if form.given("remove").is_some() {
        let done = app.inventory.delete_wifi_password(me.by(), me.user.id).await;
        let said = Texts::of(visit.lang).said_saved.to_owned();
        return visit.go_done("/my/wlan", done.map(|()| said).map_err(Into::into));
    }
    let password = app.inventory.make_wifi_password(me.by(), &app.vault, me.user.id).await?;
    visit.show(&OwnPage { password: Some(password), ..own_page(&app, &me, &visit).await? })
}

/// `POST /my/wlan/forget`: `mac` of a device of one's own.
pub(crate) async fn own_forget(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    form: Fields,
) -> Answer {
    let done = async {
        forget_own(&app, &me, mac(&form)?).await?;
        Ok(Texts::of(visit.lang).said_saved.to_owned())
    };
    visit.go_done("/my/wlan", done.await)
}

/// A device's key, to be typed into it.
#[derive(Template)]
#[template(path = "wlan_key.html")]
pub(crate) struct KeyPage {
    pub(crate) p: Page,
    pub(crate) f: &'static WlanTexts,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) ssid: String,
}

/// `POST /devices/{id}/wlan-key`: shows the key, made where there is none or with `renew`; with `remove` takes it away.
pub(crate) async fn device_key(
    State(app): State<App>,
    Extension(me): Me,
    visit: Visit,
    Id(id): Id<DeviceId>,
    form: Fields,
) -> Answer {
    let device = app.inventory.device(id).await?.ok_or(Failure::Gone)?;
    if form.given("remove").is_some() {
        let done = app.inventory.delete_device_key(me.by(), id).await;
        let said = Texts::of(visit.lang).said_saved.to_owned();
        return visit.go_done(&format!("/devices/{id}"), done.map(|()| said).map_err(Into::into));
    }
    let known = app.inventory.device_key(&app.vault, id).await?.filter(|_| form.given("renew").is_none());
    let key = match known {
        Some(key) => key,
        None => app.inventory.make_device_key(me.by(), &app.vault, id).await?,
    };
    visit.show(&KeyPage {
        p: visit.page(Here::Devices),
        f: WlanTexts::of(visit.lang),
        id: id.to_string(),
        name: device.name.to_string(),
        key,
        ssid: app.inventory.wlan().await?.0.ssid,
    })
}

async fn page(app: &App, visit: &Visit) -> Answer<WlanPage> {
    let (f, now) = (WlanTexts::of(visit.lang), clock::now());
    let (settings, version) = app.inventory.wlan().await?;
    let notices = app.inventory.notices().await?.into_iter().filter(|notice| notice.source == "radius");
    let names = names(app).await?;
    let last = settings.rules.len().saturating_sub(1);
    let row = |(index, rule): (usize, &Rule)| RuleRow {
        index,
        number: index + 1,
        whom: f.whom(rule.who, names.get(&rule.who).map(String::as_str)),
        then: f.then(rule.then),
        limits: limits(f, visit, rule),
        first: index == 0,
        last: index == last,
    };
    let refusals = app.inventory.wlan_refusals(REFUSALS_SHOWN).await?.into_iter();
    Ok(WlanPage {
        p: visit.page(Here::Wlan),
        f,
        notices: notices.map(|it| crate::notices::said(visit.lang, &it.text, &it.remedy)).collect(),
        silent: app.inventory.access_points().await?.iter().all(|one| one.last_seen.is_none()),
        version,
        ssid: settings.ssid.clone(),
        peap: settings.peap,
        rules: settings.rules.iter().enumerate().map(row).collect(),
        whom: whom(app, f).await?,
        problems: Shown::default(),
        asked: String::new(),
        foreseen: None,
        stations: station_rows(visit, now, app.inventory.stations(now, STATIONS_SHOWN).await?),
        refusals: refusals
            .map(|one| RefusalRow {
                when: When::new(visit.lang, now, one.at),
                name: one.name,
                mac: one.mac.to_string(),
                place: one.access_point.unwrap_or_default(),
                why: f.refusal(one.reason),
            })
            .collect(),
    })
}

async fn access_points_page(app: &App, visit: &Visit) -> Answer<AccessPointsPage> {
    let now = clock::now();
    let rooms = app.inventory.rooms().await?;
    let choices = |chosen: Option<RoomId>| {
        let one = |room: &inventory::Room| Choice {
            id: room.id.to_string(),
            name: room.name.clone(),
            chosen: chosen == Some(room.id),
        };
        rooms.iter().map(one).collect::<Vec<_>>()
    };
    let rows = app.inventory.access_points().await?.into_iter().map(|one| AccessPointRow {
        id: one.id.to_string(),
        name: one.name,
        range: one.range.to_string(),
        rooms: choices(one.room),
        last_seen: one.last_seen.map(|at| When::new(visit.lang, now, at)),
    });
    Ok(AccessPointsPage {
        p: visit.page(Here::Wlan),
        f: WlanTexts::of(visit.lang),
        problems: Shown::default(),
        rows: rows.collect(),
        rooms: choices(None),
        name: String::new(),
        range: String::new(),
    })
}

async fn vouchers_page(app: &App, visit: &Visit) -> Answer<VouchersPage> {
    let now = clock::now();
    let rows = app.inventory.vouchers().await?.into_iter().map(|one| VoucherRow {
        id: one.id.to_string(),
        note: one.note,
        devices: one.devices_max,
        ends: format::time(visit.lang, one.ends_at),
        over: one.ends_at <= now,
        by: one.created_by,
    });
    Ok(VouchersPage {
        p: visit.page(Here::Guests),
        f: WlanTexts::of(visit.lang),
        problems: Shown::default(),
        ssid: app.inventory.wlan().await?.0.ssid,
        code: None,
        rows: rows.collect(),
    })
}

async fn own_page(app: &App, me: &crate::app::SignedIn, visit: &Visit) -> Answer<OwnPage> {
    let (f, now) = (WlanTexts::of(visit.lang), clock::now());
    let (settings, _) = app.inventory.wlan().await?;
    let has_password = app.inventory.wifi_password(&app.vault, me.user.id).await?.is_some();
    Ok(OwnPage {
        p: visit.page(Here::OwnWlan),
        f,
        values: vec![
            (f.ssid, settings.ssid),
            (f.method, "TTLS".to_owned()),
            (f.inner, "PAP".to_owned()),
            (f.ca_certificate, "hausmeister-ca.crt".to_owned()),
            (f.domain, server_name(&app.school.zone)),
            (f.identity, me.user.name.clone()),
            (f.anonymous, OUTSIDE.to_owned()),
        ],
        stations: station_rows(visit, now, app.inventory.stations_of_user(me.user.id, now).await?),
        peap: settings.peap,
        has_password,
        password: None,
    })
}

/// Reads the settings, has them changed, and saves them if nobody else did meanwhile.
async fn change(
    app: &App,
    me: &crate::app::SignedIn,
    form: &Fields,
    what: impl AsyncFnOnce(&mut Settings) -> Answer<()>,
) -> Answer<()> {
    let (mut settings, _) = app.inventory.wlan().await?;
    let version = number(form, "version")?.ok_or_else(|| Failure::field("version", Problem::Missing))?;
    what(&mut settings).await?;
    app.inventory.set_wlan(me.by(), version, &settings).await?;
    Ok(())
}

async fn rule(app: &App, form: &Fields) -> Answer<Rule> {
    let chosen = form.text("who");
    let no_choice = || Failure::field("who", Problem::NoChoice(chosen.chars().take(60).collect()));
    let who = match chosen {
        "one" => match person_or_device(&who(app, form.text("name")).await?) {
            Some(Ok(user)) => Who::User(user),
            Some(Err(device)) => Who::Device(device),
            None => return Err(no_choice()),
        },
        other => serde_json::from_str(other).map_err(|_| no_choice())?,
    };
    let then = if form.given("refuse").is_some() {
        Then::Refuse
    } else {
        let vlan = number::<u16>(form, "vlan")?.map(Vlan::try_from).transpose();
        Then::Join { vlan: vlan.map_err(|problem| Failure::field("vlan", Problem::Parse(problem)))? }
    };
    let hours = match (form.given("from"), form.given("until")) {
        (Some(from), Some(until)) => {
            Some(Hours { from_minute: minute("from", from)?, until_minute: minute("until", until)? })
        }
        (None, None) => None,
        _ => return Err(Failure::field("from", Problem::Missing)),
    };
    let until = match form.given("ends") {
        Some(day) => {
            Some(end_of_day(day).ok_or_else(|| Failure::field("ends", Problem::NoTime(day.to_owned())))?)
        }
        None => None,
    };
    Ok(Rule { who, then, hours, until, devices_max: number(form, "devices_max")? })
}

fn access_point(form: &Fields) -> Answer<NewAccessPoint<'_>> {
    let range = form.text("range");
    let range =
        range.parse::<Addresses>().map_err(|problem| Failure::field("range", Problem::Parse(problem)))?;
    let no_room = |text: &str| Failure::field("room", Problem::NoRoom(text.to_owned()));
    let room =
        form.given("room").map(|text| text.parse::<RoomId>().map_err(|_| no_room(text))).transpose()?;
    Ok(NewAccessPoint { name: form.text("name"), range, room })
}

/// Whom a rule may be about: the value of the choice, and what it is called.
async fn whom(app: &App, f: &WlanTexts) -> Answer<Vec<(String, String)>> {
    let value = |who: &Who| serde_json::to_string(who).unwrap_or_default();
    let fixed = [Who::Everyone, Who::Exam, Who::Ipads, Who::Pcs, Who::Appliances, Who::Guests];
    let fixed = fixed.into_iter().chain(Role::ALL.map(Who::Role));
    let mut all: Vec<(String, String)> = fixed.map(|who| (value(&who), f.whom(who, None))).collect();
    all.extend(
        app.inventory.groups().await?.into_iter().map(|group| (value(&Who::Group(group.id)), group.name)),
    );
    all.push(("one".to_owned(), f.one.to_owned()));
    Ok(all)
}

/// What classes, people and devices are called that rules may be about.
async fn names(app: &App) -> Answer<HashMap<Who, String>> {
    let (settings, _) = app.inventory.wlan().await?;
    let mut names: HashMap<Who, String> = HashMap::new();
    names.extend(app.inventory.groups().await?.into_iter().map(|group| (Who::Group(group.id), group.name)));
    for rule in &settings.rules {
        let name = match rule.who {
            Who::User(id) => app.inventory.user(id).await?.map(|user| user.name),
            Who::Device(id) => app.inventory.device(id).await?.map(|device| device.name.to_string()),
            _ => None,
        };
        names.extend(name.map(|name| (rule.who, name)));
    }
    Ok(names)
}

fn limits(f: &WlanTexts, visit: &Visit, rule: &Rule) -> String {
    let time = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    let hours = rule.hours.map(|hours| f.hours(&time(hours.from_minute), &time(hours.until_minute)));
    let devices = rule.devices_max.map(|max| f.at_most(max));
    let ends = rule.until.map(|until| f.ends_at(&format::time(visit.lang, UnixMillis(until.0))));
    [hours, devices, ends].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn station_rows(visit: &Visit, now: UnixMillis, stations: Vec<Station>) -> Vec<StationRow> {
    let f = WlanTexts::of(visit.lang);
    let row = |one: Station| StationRow {
        mac: one.mac.to_string(),
        name: one.name,
        place: [one.access_point, one.room].into_iter().flatten().collect::<Vec<_>>().join(", "),
        method: f.method(one.method),
        state: if one.online { Badge::new("good", f.online) } else { Badge::new("idle", f.offline) },
        last: When::new(visit.lang, now, one.last_at),
    };
    stations.into_iter().map(row).collect()
}

fn joining<'a>(app: &'a App, settings: &'a Settings, server: &'a str, user: &'a str) -> Joining<'a> {
    Joining { school: &app.school.name, ssid: &settings.ssid, server, authority: &app.school.authority, user }
}

fn file(kind: &'static str, name: &str, content: Vec<u8>) -> Response {
    let disposition = format!("attachment; filename=\"{name}\"");
    ([(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)], content)
        .into_response()
}

fn number<T: std::str::FromStr>(form: &Fields, field: &'static str) -> Answer<Option<T>> {
    let bad = |text: &str| Failure::field(field, Problem::NoNumber(text.chars().take(30).collect()));
    form.given(field).map(|text| text.parse().map_err(|_| bad(text))).transpose()
}

fn minute(field: &'static str, text: &str) -> Answer<u16> {
    let bad = || Failure::field(field, Problem::NoTime(text.chars().take(30).collect()));
    let time: jiff::civil::Time = text.parse().map_err(|_| bad())?;
    u16::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).map_err(|_| bad())
}

fn mac(form: &Fields) -> Answer<MacAddr> {
    form.text("mac").parse().map_err(|problem| Failure::field("mac", Problem::Parse(problem)))
}

const STATIONS_SHOWN: u32 = 200;
const REFUSALS_SHOWN: u32 = 50;
const TYPED_CHARS_MAX: usize = 200;
