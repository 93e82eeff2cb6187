//! E-mail: how it is sent, to whom, and what about.

use askama::Template;
use axum::Extension;
use axum::extract::State;
use inventory::MailSecurity;

use crate::app::App;
use crate::failure::{Answer, Failure};
use crate::fields::Fields;
use crate::mail::{self, Mail, Wish};
use crate::page::{Here, Page, Shown, Visit};
use crate::pages::Me;
use crate::problem::Problem;
use crate::texts::Texts;

#[derive(Template)]
#[template(path = "mail.html")]
pub(crate) struct MailPage {
    pub(crate) p: Page,
    pub(crate) problems: Shown,
    /// Whether there are settings to try.
    pub(crate) known: bool,
    pub(crate) host: String,
    pub(crate) port: String,
    pub(crate) security: String,
    pub(crate) username: String,
    pub(crate) sender: String,
    pub(crate) recipients: String,
    pub(crate) report: bool,
    pub(crate) alerts: bool,
}

/// `GET /mail`
pub(crate) async fn show(State(app): State<App>, visit: Visit) -> Answer {
    visit.show(&page(&visit, mail::read(&app).await?))
}

/// `POST /mail`: `host`, `port`, `security`, `username`, `password`, `sender`, `recipients` (lines), `report`, `alerts`.
pub(crate) async fn save(State(app): State<App>, Extension(me): Me, visit: Visit, form: Fields) -> Answer {
    let saved = match wish(&form) {
        Ok(wish) => mail::save(&app, &me, wish).await,
        Err(failure) => Err(failure),
    };
    let Err(failure) = saved else {
        return Ok(visit.go("/mail", Texts::of(visit.lang).said_saved.to_owned()));
    };
    let text = |name: &str| form.verbatim(name).chars().take(TYPED_CHARS_MAX).collect::<String>();
    visit.show_problems(&MailPage {
        p: visit.page(Here::Mail),
        problems: Shown::of(visit.lang, &failure.problems()?),
        known: mail::read(&app).await?.is_some(),
        host: text("host"),
        port: text("port"),
        security: text("security"),
        username: text("username"),
        sender: text("sender"),
        recipients: text("recipients"),
        report: form.given("report").is_some(),
        alerts: form.given("alerts").is_some(),
    })
}

/// `POST /mail/test`
pub(crate) async fn test(State(app): State<App>, visit: Visit) -> Answer {
    let sent = mail::test(&app).await;
    visit.go_done("/mail", sent.map(|recipients| Texts::of(visit.lang).said_mailed(recipients)))
}

fn page(visit: &Visit, mail: Option<Mail>) -> MailPage {
    let known = mail.is_some();
    let mail = mail.unwrap_or_else(proposed);
    MailPage {
        p: visit.page(Here::Mail),
        problems: Shown::default(),
        known,
        host: mail.host,
        port: mail.port.to_string(),
        security: mail.security.text().to_owned(),
        username: mail.username.unwrap_or_default(),
        sender: mail.sender,
        recipients: mail.recipients.join("\n"),
        report: mail.report,
        alerts: mail.alerts,
    }
}

fn wish(form: &Fields) -> Answer<Wish> {
    let port = form.text("port");
    let security = form.text("security");
    Ok(Wish {
        host: form.text("host").to_owned(),
        port: port.parse().map_err(|_| Failure::field("port", Problem::NoNumber(port.to_owned())))?,
        security: security
            .parse()
            .map_err(|_| Failure::field("security", Problem::NoChoice(security.to_owned())))?,
        username: form.given("username").map(ToOwned::to_owned),
        password: Some(form.verbatim("password").to_owned()),
        sender: form.text("sender").to_owned(),
        recipients: form.verbatim("recipients").lines().map(ToOwned::to_owned).collect(),
        report: form.given("report").is_some(),
        alerts: form.given("alerts").is_some(),
    })
}

/// What most schools want.
fn proposed() -> Mail {
    Mail {
        host: String::new(),
        port: 587,
        security: MailSecurity::StartTls,
        username: None,
        sender: String::new(),
        recipients: Vec::new(),
        report: true,
        alerts: true,
    }
}

const TYPED_CHARS_MAX: usize = 20_000;
